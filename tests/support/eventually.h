// Waiting for what other threads and processes do: by looking again and again until a deadline, never by sleeping until
// it has surely happened.
#pragma once

#include <chrono>
#include <thread>

namespace st8::test {

// True as soon as `condition` holds; false when it does not in time.
template <class Condition>
bool eventually(Condition condition, std::chrono::milliseconds timeout = std::chrono::seconds(10)) {
  const auto deadline = std::chrono::steady_clock::now() + timeout;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return true;
}

}  // namespace st8::test
