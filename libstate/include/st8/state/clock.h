// Time as the libraries see it: injected, so that tests and the simulator decide what time it is.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace st8 {

// UTC, microseconds since 1970-01-01.
struct Timestamp {
  std::int64_t micros = 0;
  friend auto operator<=>(const Timestamp&, const Timestamp&) = default;
  friend bool operator==(const Timestamp&, const Timestamp&) = default;
};

class Clock {
 public:
  virtual ~Clock() = default;
  virtual Timestamp now() const = 0;                       // Wall clock, for records.
  virtual std::chrono::nanoseconds monotonic() const = 0;  // For durations and deadlines.
};

// The machine's clocks. Thread-safe.
const Clock& system_clock();

// RFC 3339 in UTC with microseconds: 2026-11-21T01:02:03.000004Z.
std::string format_rfc3339(Timestamp time);
// RFC 3339 with any offset and 0 to 9 fraction digits; nullopt for anything else.
std::optional<Timestamp> parse_rfc3339(std::string_view text);

}  // namespace st8
