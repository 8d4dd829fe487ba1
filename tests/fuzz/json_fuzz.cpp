// Our JSON parser on anything: what it takes nlohmann/json takes with the same value, and writing it again reads the same.
#include <cstdint>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "wire/json.h"

namespace {

void require(bool holds) {
  if (!holds) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto parsed = st8::wire::parse_json(text);
  if (!parsed) {
    require(!parsed.error().message.empty());
    return 0;
  }
  require(st8::wire::is_json(text));
  const std::string written = st8::wire::to_json(*parsed);
  const nlohmann::json theirs = nlohmann::json::parse(text, nullptr, false);
  // Theirs holds numbers as doubles and refuses those that are too large for one; ours keeps their digits.
  if (theirs.is_discarded()) {
    require(text.find_first_of("0123456789") != std::string_view::npos &&
            (text.find_first_of("eE") != std::string_view::npos || text.size() > 300));
  } else {
    require(theirs == nlohmann::json::parse(written, nullptr, false));
  }
  const auto again = st8::wire::parse_json(written);
  require(again.has_value() && st8::wire::to_json(*again) == written);
  return 0;
}
