#include "st8/state/text.h"

#include <cstring>

namespace st8 {

std::optional<char32_t> next_code_point(std::string_view text, std::size_t& position) {
  if (position >= text.size()) return std::nullopt;
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char first = byte(position);
  if (first < 0x80) {
    ++position;
    return first;
  }
  // Length, the bits of the first byte, and the smallest code point that needs this length.
  std::size_t length;
  char32_t point;
  char32_t smallest;
  if ((first & 0xE0) == 0xC0) {
    length = 2, point = first & 0x1Fu, smallest = 0x80;
  } else if ((first & 0xF0) == 0xE0) {
    length = 3, point = first & 0x0Fu, smallest = 0x800;
  } else if ((first & 0xF8) == 0xF0) {
    length = 4, point = first & 0x07u, smallest = 0x10000;
  } else {
    return std::nullopt;
  }
  if (text.size() - position < length) return std::nullopt;
  for (std::size_t i = 1; i < length; ++i) {
    const unsigned char next = byte(position + i);
    if ((next & 0xC0) != 0x80) return std::nullopt;
    point = (point << 6) | (next & 0x3Fu);
  }
  if (point < smallest || point > 0x10FFFF || (point >= 0xD800 && point <= 0xDFFF)) return std::nullopt;
  position += length;
  return point;
}

bool is_valid_utf8(std::string_view bytes) {
  std::size_t position = 0;
  while (position < bytes.size()) {
    if (bytes.size() - position >= 8) {
      std::uint64_t word;
      std::memcpy(&word, bytes.data() + position, 8);
      if ((word & 0x8080808080808080ull) == 0) {
        position += 8;
        continue;
      }
    }
    if (!next_code_point(bytes, position)) return false;
  }
  return true;
}

std::string quote(std::string_view text, std::size_t bytes_max) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string out = "\"";
  std::size_t position = 0;
  while (position < text.size()) {
    if (position >= bytes_max) {
      out += "\"...";
      return out;
    }
    const std::size_t start = position;
    const auto point = next_code_point(text, position);
    const bool control = point && (*point < 0x20 || (*point >= 0x7F && *point < 0xA0));
    if (!point) ++position;
    if (!point || control) {
      for (std::size_t i = start; i < position; ++i) {
        const auto byte = static_cast<unsigned char>(text[i]);
        out += "\\x";
        out += kDigits[byte >> 4];
        out += kDigits[byte & 15];
      }
    } else {
      if (*point == '"' || *point == '\\') out += '\\';
      out.append(text.substr(start, position - start));
    }
  }
  out += '"';
  return out;
}

}  // namespace st8
