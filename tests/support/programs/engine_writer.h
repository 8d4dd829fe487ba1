// What engine_writer writes, for those who check it.
#pragma once

#include <cstdint>
#include <string>

namespace st8::test {

// Sizes from a few bytes to 40 KiB, so that records cross the log's blocks.
inline std::string engine_writer_body(std::uint64_t number) {
  const std::uint64_t mixed = number * 2654435761u % 40'000;
  std::string body = std::to_string(number) + ":";
  for (std::uint64_t i = 0; i < mixed; ++i) body += static_cast<char>('a' + (i * i + number) % 26);
  return body;
}

}  // namespace st8::test
