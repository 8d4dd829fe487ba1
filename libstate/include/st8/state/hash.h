// A SHA-256 digest: the name of an object (blob, tree node, revision) within its namespace.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <cstring>
#include <functional>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>

namespace st8 {

struct Hash {
  static constexpr std::size_t kSize = 32;
  std::array<std::uint8_t, kSize> bytes{};

  // SHA-256 of the bytes. Cost: one pass. Thread-safe.
  static Hash of(std::string_view data);
  // SHA-256 of the parts, one after the other, without joining them.
  static Hash of_parts(std::initializer_list<std::string_view> parts);
  // 64 hexadecimal digits, either case; nothing else.
  static std::optional<Hash> from_hex(std::string_view hex);
  // Exactly 32 raw bytes; nothing else.
  static std::optional<Hash> from_bytes(std::string_view raw);

  std::string hex() const;
  std::string_view view() const { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }
  bool is_zero() const { return *this == Hash{}; }

  friend auto operator<=>(const Hash&, const Hash&) = default;
  friend bool operator==(const Hash&, const Hash&) = default;
};

}  // namespace st8

template <>
struct std::hash<st8::Hash> {
  std::size_t operator()(const st8::Hash& digest) const noexcept {
    std::size_t value;
    std::memcpy(&value, digest.bytes.data(), sizeof value);
    return value;
  }
};
