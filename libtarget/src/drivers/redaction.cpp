#include "drivers/redaction.h"

#include <algorithm>

namespace st8::target::drivers {
namespace {

constexpr std::size_t kMessageBytesMax = 500;

}  // namespace

std::string redacted(std::string text, const Content* content) {
  if (content != nullptr) {
    for (const ContentFile& file : content->files) {
      std::string_view bytes = *file.bytes;
      while (!bytes.empty() && (bytes.back() == '\n' || bytes.back() == ' ')) bytes.remove_suffix(1);
      // Shorter ones are in any sentence.
      if (bytes.size() < 4) continue;
      for (std::size_t at = 0; (at = text.find(bytes, at)) != std::string::npos;)
        text.replace(at, bytes.size(), "(redacted)");
    }
  }
  if (text.size() > kMessageBytesMax) text = text.substr(0, kMessageBytesMax) + "...";
  std::replace_if(
      text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20; }, ' ');
  return text;
}

}  // namespace st8::target::drivers
