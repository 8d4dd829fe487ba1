// A clock that a test sets.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>

#include "st8/state/clock.h"

namespace st8::test {

// Every reading of the wall clock is `step` microseconds after the one before (0: it stands). Thread-safe.
class ManualClock final : public Clock {
 public:
  explicit ManualClock(std::int64_t start_us = 1'800'000'000'000'000, std::int64_t step_us = 1)
      : now_us_(start_us), step_us_(step_us) {}
  Timestamp now() const override { return Timestamp{now_us_.fetch_add(step_us_)}; }
  std::chrono::nanoseconds monotonic() const override { return std::chrono::microseconds(now_us_.load()); }
  void set(Timestamp time) { now_us_ = time.micros; }
  void advance(std::chrono::microseconds by) { now_us_ += by.count(); }

 private:
  mutable std::atomic<std::int64_t> now_us_;
  const std::int64_t step_us_;
};

}  // namespace st8::test
