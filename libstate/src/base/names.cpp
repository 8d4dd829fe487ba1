#include "st8/state/names.h"

#include <array>
#include <type_traits>
#include <vector>

#include "st8/state/text.h"

namespace st8::state {
namespace {

bool is_control(char32_t point) { return point < 0x20 || (point >= 0x7F && point < 0xA0); }

bool is_white_space(char32_t point) {
  return point == ' ' || point == 0xA0 || point == 0x1680 || (point >= 0x2000 && point <= 0x200A) || point == 0x2028 ||
         point == 0x2029 || point == 0x202F || point == 0x205F || point == 0x3000;
}

// Those that belong to selectors and globs.
constexpr std::string_view kReserved = "~^:@?*[]\\{}";
bool is_reserved(char32_t point) {
  return point < 0x80 && kReserved.find(static_cast<char>(point)) != std::string_view::npos;
}

std::string code_point_text(std::string_view text, std::size_t from, std::size_t to) {
  return quote(text.substr(from, to - from));
}

template <class Tag>
constexpr std::string_view kNoun = "name";
template <>
constexpr std::string_view kNoun<NamespaceTag> = "namespace";
template <>
constexpr std::string_view kNoun<BranchTag> = "branch name";
template <>
constexpr std::string_view kNoun<CheckpointTag> = "checkpoint name";
template <>
constexpr std::string_view kNoun<KeyTag> = "document key";

tl::unexpected<Error> refuse(std::string_view noun, std::string_view text, std::string_view why, std::string hint) {
  std::string message(noun);
  message += ' ';
  message += quote(text);
  message += ' ';
  message += why;
  return fail(ErrorCode::kInvalidArgument, std::move(message), std::move(hint));
}

// Bytes that are a character by themselves, and allowed in every name: nearly all names have no others.
constexpr std::array<bool, 256> kPlain = [] {
  std::array<bool, 256> plain{};
  for (unsigned char c = 0x21; c < 0x7F; ++c) plain[c] = kReserved.find(static_cast<char>(c)) == std::string_view::npos;
  return plain;
}();

// The rules that all names share, but for the limit.
Status check_characters(std::string_view noun, std::string_view text, bool selector_safe) {
  std::size_t position = 0;
  while (true) {
    while (position < text.size() && kPlain[static_cast<unsigned char>(text[position])]) ++position;
    if (position == text.size()) return {};
    const std::size_t start = position;
    const auto point = next_code_point(text, position);
    if (!point) {
      return refuse(noun, text, "is not valid UTF-8 (at byte " + std::to_string(start) + ")", "Use UTF-8 text.");
    }
    if (is_control(*point)) {
      return refuse(noun, text, "contains a control character (at byte " + std::to_string(start) + ")",
                    "Use printable characters only.");
    }
    if (selector_safe && (is_white_space(*point) || is_reserved(*point))) {
      return refuse(
          noun, text, "contains " + code_point_text(text, start, position),
          "White space and ~ ^ : @ ? * [ ] \\ { } are not allowed here; letters, digits, '-', '_', '.' and '/' are.");
    }
  }
}

Status check_length(std::string_view noun, std::string_view text, std::size_t bytes_max) {
  if (text.size() <= bytes_max) return {};
  return refuse(
      noun, text,
      "is " + std::to_string(text.size()) + " bytes long; at most " + std::to_string(bytes_max) + " are allowed",
      "Use a shorter name.");
}

Status check_segmented(std::string_view noun, std::string_view text) {
  if (text.front() == '-') return refuse(noun, text, "begins with '-'", "Begin it with a letter or a digit.");
  std::size_t begin = 0;
  while (true) {
    const std::size_t end = std::min(text.find('/', begin), text.size());
    const std::string_view segment = text.substr(begin, end - begin);
    if (segment.empty()) {
      return refuse(noun, text, "has an empty segment", "Separate segments by one '/', with none at either end.");
    }
    if (segment == "." || segment == "..") {
      return refuse(noun, text, "has the segment " + quote(segment), "Segments \".\" and \"..\" are not allowed.");
    }
    if (end == text.size()) return {};
    begin = end + 1;
  }
}

// Whether cleaning would change nothing, as it does for nearly all keys.
bool is_clean(std::string_view text) {
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t end = std::min(text.find('/', begin), text.size());
    const std::string_view segment = text.substr(begin, end - begin);
    if (segment.empty() || segment == "." || segment == "..") return false;
    begin = end + 1;
  }
  return true;
}

// As a path is cleaned: no empty segments, no ".", and ".." takes its parent away.
Result<std::string> clean_key(std::string_view noun, std::string_view text) {
  if (text.front() == '/') {
    return refuse(noun, text, "is absolute",
                  "Use a key relative to the namespace, such as " +
                      quote(text.substr(std::min(text.find_first_not_of('/'), text.size()))) + ".");
  }
  if (is_clean(text)) return std::string(text);
  std::vector<std::string_view> segments;
  std::size_t begin = 0;
  while (begin <= text.size()) {
    const std::size_t end = std::min(text.find('/', begin), text.size());
    const std::string_view segment = text.substr(begin, end - begin);
    if (segment == "..") {
      if (segments.empty()) return refuse(noun, text, "climbs out with \"..\"", "Use a key inside the namespace.");
      segments.pop_back();
    } else if (!segment.empty() && segment != ".") {
      segments.push_back(segment);
    }
    begin = end + 1;
  }
  std::string cleaned;
  cleaned.reserve(text.size());
  for (std::string_view segment : segments) {
    if (!cleaned.empty()) cleaned += '/';
    cleaned += segment;
  }
  if (cleaned.empty()) return refuse(noun, text, "names no document", "Give a path such as \"app/config.json\".");
  return cleaned;
}

}  // namespace

template <class Tag>
Result<Name<Tag>> Name<Tag>::parse(std::string_view text) {
  constexpr bool is_key = std::is_same_v<Tag, KeyTag>;
  constexpr std::string_view noun = kNoun<Tag>;
  if (text.empty()) return fail(ErrorCode::kInvalidArgument, std::string(noun) + " is empty", "Give a name.");
  // Before the characters: a length far beyond the limit is not worth a walk.
  if constexpr (is_key) {
    // Cleaning shortens, so the limit is that of the cleaned key; the bound on what is cleaned is far above it.
    ST8_TRY(check_length(noun, text, 16 * Limits::kKeyBytesMax));
    ST8_TRY(check_characters(noun, text, false));
    ST8_ASSIGN(std::string cleaned, clean_key(noun, text));
    ST8_TRY(check_length(noun, cleaned, Limits::kKeyBytesMax));
    return Name(std::move(cleaned));
  } else {
    ST8_TRY(check_length(noun, text, Limits::kNameBytesMax));
    ST8_TRY(check_characters(noun, text, true));
    ST8_TRY(check_segmented(noun, text));
    return Name(std::string(text));
  }
}

template class Name<NamespaceTag>;
template class Name<BranchTag>;
template class Name<CheckpointTag>;
template class Name<KeyTag>;

}  // namespace st8::state
