#include "auth/glob.h"

#include <cstdint>

namespace st8::auth {
namespace {

enum class Step : std::uint8_t { kMatch, kMiss, kMalformed };

// Matches one pattern element that is not `*` against one byte (or, with no byte, only checks the element). Moves `at` behind it.
Step match_one(std::string_view pattern, std::size_t& at, const char* byte) {
  const bool usable = byte != nullptr && *byte != '/';
  switch (pattern[at]) {
    case '?':
      ++at;
      return usable ? Step::kMatch : Step::kMiss;
    case '\\':
      if (at + 1 >= pattern.size()) return Step::kMalformed;
      at += 2;
      return byte != nullptr && pattern[at - 1] == *byte ? Step::kMatch : Step::kMiss;
    case '[': {
      ++at;
      const bool inverted = at < pattern.size() && pattern[at] == '^';
      if (inverted) ++at;
      bool found = false;
      bool any = false;
      while (true) {
        if (at >= pattern.size()) return Step::kMalformed;
        if (pattern[at] == ']' && any) {
          ++at;
          break;
        }
        const auto literal = [&](char& out) {
          if (pattern[at] == '-' || pattern[at] == ']') return false;
          if (pattern[at] == '\\' && ++at >= pattern.size()) return false;
          out = pattern[at++];
          return at < pattern.size();
        };
        char low = 0;
        if (!literal(low)) return Step::kMalformed;
        char high = low;
        if (pattern[at] == '-') {
          ++at;
          if (at >= pattern.size() || !literal(high)) return Step::kMalformed;
        }
        any = true;
        if (byte != nullptr) {
          const auto value = static_cast<std::uint8_t>(*byte);
          found = found || (static_cast<std::uint8_t>(low) <= value && value <= static_cast<std::uint8_t>(high));
        }
      }
      return usable && found != inverted ? Step::kMatch : Step::kMiss;
    }
    default:
      ++at;
      return byte != nullptr && pattern[at - 1] == *byte ? Step::kMatch : Step::kMiss;
  }
}

}  // namespace

bool glob_match(std::string_view pattern, std::string_view text) {
  if (pattern == "*") return true;
  // The classic two-pointer walk: on a miss, the last star takes one byte more.
  std::size_t p = 0, t = 0;
  std::size_t star = std::string_view::npos, star_text = 0;
  while (t < text.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      star_text = t;
      continue;
    }
    if (p < pattern.size()) {
      std::size_t next = p;
      const Step step = match_one(pattern, next, &text[t]);
      if (step == Step::kMalformed) return false;
      if (step == Step::kMatch) {
        p = next;
        ++t;
        continue;
      }
    }
    if (star == std::string_view::npos || text[star_text] == '/') return false;
    p = star + 1;
    t = ++star_text;
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

Status check_glob(std::string_view pattern) {
  if (pattern.empty())
    return fail(ErrorCode::kInvalidArgument, "an empty pattern matches nothing", "Write \"*\" for everything.");
  std::size_t at = 0;
  while (at < pattern.size()) {
    if (pattern[at] == '*') {
      ++at;
      continue;
    }
    if (match_one(pattern, at, nullptr) == Step::kMalformed) {
      return fail(ErrorCode::kInvalidArgument, "the pattern \"" + std::string(pattern) + "\" is malformed",
                  "Close the class with ']', and quote a special character with '\\'.");
    }
  }
  return {};
}

}  // namespace st8::auth
