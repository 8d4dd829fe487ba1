// Durations as people write them: "500ms", "30s", "1h30m", "2d"; "0" is none.
#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "st8/state/result.h"

namespace st8 {

inline constexpr std::chrono::milliseconds kDurationMax = std::chrono::hours(366 * 24);

struct DurationForm {
  bool fractions = false;     // Also "1.5h", "10us" and "3ns", as Go writes them; rounded up to a millisecond.
  bool bare_seconds = false;  // A number without a unit at the end is seconds.
};

// Errors: kInvalidArgument (it is none), kTooLarge (beyond kDurationMax).
Result<std::chrono::milliseconds> parse_duration(std::string_view text, DurationForm form);
// In the largest units, without zeros: "1h30m500ms". What is not above 0 is "0".
std::string format_duration(std::chrono::milliseconds duration);

}  // namespace st8
