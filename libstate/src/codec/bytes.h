// The primitives of every stored record: varints, counted bytes, and a reader that never runs past the end.
//
// varint: little-endian base 128, seven bits a byte, the high bit set on all but the last byte; always the shortest form.
// zigzag: a signed number as the varint of (n << 1) ^ (n >> 63).
// counted: a varint length, then as many bytes.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "st8/state/hash.h"

namespace st8::state::codec {

inline void put_byte(std::string& out, std::uint8_t value) { out.push_back(static_cast<char>(value)); }

inline void put_varint(std::string& out, std::uint64_t value) {
  while (value >= 0x80) {
    out.push_back(static_cast<char>(value | 0x80));
    value >>= 7;
  }
  out.push_back(static_cast<char>(value));
}

inline void put_zigzag(std::string& out, std::int64_t value) {
  put_varint(out, (static_cast<std::uint64_t>(value) << 1) ^ static_cast<std::uint64_t>(value >> 63));
}

inline void put_counted(std::string& out, std::string_view bytes) {
  put_varint(out, bytes.size());
  out.append(bytes);
}

inline void put_hash(std::string& out, const Hash& hash) { out.append(hash.view()); }

// Reads what the functions above wrote. After the first malformed byte ok() is false and every further read answers
// zero or empty, so a decoder reads all its fields and asks once at the end.
class ByteReader {
 public:
  explicit ByteReader(std::string_view bytes) : rest_(bytes) {}

  bool ok() const { return ok_; }
  bool at_end() const { return rest_.empty(); }
  // All bytes read, none malformed.
  bool finished() const { return ok_ && rest_.empty(); }
  std::string_view rest() const { return rest_; }

  std::uint8_t byte() {
    if (rest_.empty()) return static_cast<std::uint8_t>(broken());
    const auto value = static_cast<std::uint8_t>(rest_.front());
    rest_.remove_prefix(1);
    return value;
  }

  std::uint64_t varint() {
    std::uint64_t value = 0;
    for (std::size_t i = 0; i < rest_.size() && i < 10; ++i) {
      const auto part = static_cast<std::uint8_t>(rest_[i]);
      if (i == 9 && part > 1) return broken();  // More than 64 bits.
      value |= static_cast<std::uint64_t>(part & 0x7f) << (7 * i);
      if ((part & 0x80) == 0) {
        if (part == 0 && i > 0) return broken();  // Not the shortest form.
        rest_.remove_prefix(i + 1);
        return value;
      }
    }
    return broken();
  }

  std::int64_t zigzag() {
    const std::uint64_t value = varint();
    return static_cast<std::int64_t>(value >> 1) ^ -static_cast<std::int64_t>(value & 1);
  }

  // A view into the bytes that were given.
  std::string_view fixed(std::size_t size) {
    if (rest_.size() < size) {
      broken();
      return {};
    }
    const std::string_view bytes = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return bytes;
  }

  std::string_view counted() {
    const std::uint64_t size = varint();
    if (size > rest_.size()) {
      broken();
      return {};
    }
    return fixed(static_cast<std::size_t>(size));
  }

  Hash hash() {
    const auto value = Hash::from_bytes(fixed(Hash::kSize));
    return value ? *value : Hash{};
  }

  // Marks the bytes as malformed: for values that parse and may not be.
  std::uint64_t broken() {
    ok_ = false;
    rest_ = {};
    return 0;
  }

 private:
  std::string_view rest_;
  bool ok_ = true;
};

}  // namespace st8::state::codec
