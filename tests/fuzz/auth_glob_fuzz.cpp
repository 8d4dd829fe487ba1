// The globs of tokens: a pattern and a text, cut at the first zero byte. Held against a plain recursive reading of the rules.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "auth/glob.h"

namespace {

void require(bool holds) {
  if (!holds) std::abort();
}

// Well-formed patterns only. Exponential, so the inputs stay short.
bool reference(std::string_view pattern, std::string_view text) {
  if (pattern.empty()) return text.empty();
  if (pattern.front() == '*') {
    if (reference(pattern.substr(1), text)) return true;
    return !text.empty() && text.front() != '/' && reference(pattern, text.substr(1));
  }
  if (text.empty()) return false;
  const char c = text.front();
  if (pattern.front() == '?') return c != '/' && reference(pattern.substr(1), text.substr(1));
  if (pattern.front() == '\\') return pattern[1] == c && reference(pattern.substr(2), text.substr(1));
  if (pattern.front() != '[') return pattern.front() == c && reference(pattern.substr(1), text.substr(1));
  std::size_t at = 1;
  const bool negated = pattern[at] == '^';
  if (negated) ++at;
  bool inside = false;
  const auto one = [&] {
    if (pattern[at] == '\\') ++at;
    return static_cast<unsigned char>(pattern[at++]);
  };
  bool first = true;
  while (first || pattern[at] != ']') {
    first = false;
    const unsigned char low = one();
    unsigned char high = low;
    if (pattern[at] == '-') {
      ++at;
      high = one();
    }
    const auto byte = static_cast<unsigned char>(c);
    inside = inside || (low <= byte && byte <= high);
  }
  return c != '/' && inside != negated && reference(pattern.substr(at + 1), text.substr(1));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const std::size_t cut = input.find('\0');
  const std::string_view pattern = input.substr(0, cut);
  const std::string_view text = cut == std::string_view::npos ? std::string_view() : input.substr(cut + 1);
  const bool good = st8::auth::check_glob(pattern).has_value();
  const bool matched = st8::auth::glob_match(pattern, text);
  if (pattern.empty()) {
    require(!good && matched == text.empty());  // As the reference's; a token file may not say it.
  } else if (!good) {
    require(!matched);
  } else if (pattern == "*") {
    require(matched);
  } else if (pattern.size() <= 12 && text.size() <= 12) {
    require(matched == reference(pattern, text));
  }
  return 0;
}
