// Where random tests begin: the same seeds each time, or those that ./dev soak asks for. A failure names the seed it came from.
#pragma once

#include <cstdint>
#include <cstdlib>

namespace st8::test {

// ST8_TEST_SEED when it is set, `otherwise` when not. Tests over many seeds count on from it.
inline std::uint64_t first_seed(std::uint64_t otherwise = 1) {
  const char* given = std::getenv("ST8_TEST_SEED");
  return given == nullptr ? otherwise : std::strtoull(given, nullptr, 10);
}

}  // namespace st8::test
