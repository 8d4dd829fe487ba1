#include "st8/state/clock.h"

#include <algorithm>
#include <array>
#include <cstdio>

namespace st8 {
namespace {

constexpr std::int64_t kMicrosPerSecond = 1'000'000;
constexpr std::int64_t kMicrosPerDay = 86'400 * kMicrosPerSecond;
// The years that RFC 3339 can write: 0000-01-01 to the last microsecond of 9999-12-31.
constexpr std::int64_t kDayFirst = std::chrono::sys_days(std::chrono::year(0) / 1 / 1).time_since_epoch().count();
constexpr std::int64_t kDayLast = std::chrono::sys_days(std::chrono::year(9999) / 12 / 31).time_since_epoch().count();
constexpr std::int64_t kMicrosFirst = kDayFirst * kMicrosPerDay;
constexpr std::int64_t kMicrosLast = (kDayLast + 1) * kMicrosPerDay - 1;

class SystemClock final : public Clock {
 public:
  Timestamp now() const override {
    const auto since = std::chrono::system_clock::now().time_since_epoch();
    return Timestamp{std::chrono::duration_cast<std::chrono::microseconds>(since).count()};
  }
  std::chrono::nanoseconds monotonic() const override {
    return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now().time_since_epoch());
  }
};

// Reads exactly `digits` digits at `position` and moves past them.
std::optional<int> read_digits(std::string_view text, std::size_t& position, std::size_t digits) {
  if (text.size() - position < digits) return std::nullopt;
  int value = 0;
  for (std::size_t i = 0; i < digits; ++i) {
    const char c = text[position + i];
    if (c < '0' || c > '9') return std::nullopt;
    value = value * 10 + (c - '0');
  }
  position += digits;
  return value;
}

bool read_one_of(std::string_view text, std::size_t& position, std::string_view allowed) {
  if (position >= text.size() || allowed.find(text[position]) == std::string_view::npos) return false;
  ++position;
  return true;
}

void write_digits(char* out, std::int64_t value, int digits) {
  for (int i = digits - 1; i >= 0; --i) {
    out[i] = static_cast<char>('0' + value % 10);
    value /= 10;
  }
}

}  // namespace

const Clock& system_clock() {
  static const SystemClock clock;
  return clock;
}

std::string format_rfc3339(Timestamp time) {
  // A time outside the format can only come from damaged bytes; it is shown at the nearest end.
  const std::int64_t micros = std::clamp(time.micros, kMicrosFirst, kMicrosLast);
  const std::chrono::sys_time<std::chrono::microseconds> point{std::chrono::microseconds{micros}};
  const auto day = std::chrono::floor<std::chrono::days>(point);
  const std::chrono::year_month_day date{day};
  const std::int64_t of_day = (point - day).count();
  std::string out = "0000-00-00T00:00:00.000000Z";
  write_digits(out.data(), static_cast<int>(date.year()), 4);
  write_digits(out.data() + 5, static_cast<unsigned>(date.month()), 2);
  write_digits(out.data() + 8, static_cast<unsigned>(date.day()), 2);
  const std::int64_t seconds = of_day / kMicrosPerSecond;
  write_digits(out.data() + 11, seconds / 3600, 2);
  write_digits(out.data() + 14, seconds / 60 % 60, 2);
  write_digits(out.data() + 17, seconds % 60, 2);
  write_digits(out.data() + 20, of_day % kMicrosPerSecond, 6);
  return out;
}

std::optional<Timestamp> parse_rfc3339(std::string_view text) {
  std::size_t at = 0;
  const auto year = read_digits(text, at, 4);
  if (!year || !read_one_of(text, at, "-")) return std::nullopt;
  const auto month = read_digits(text, at, 2);
  if (!month || !read_one_of(text, at, "-")) return std::nullopt;
  const auto day = read_digits(text, at, 2);
  if (!day || !read_one_of(text, at, "Tt")) return std::nullopt;
  const auto hour = read_digits(text, at, 2);
  if (!hour || !read_one_of(text, at, ":")) return std::nullopt;
  const auto minute = read_digits(text, at, 2);
  if (!minute || !read_one_of(text, at, ":")) return std::nullopt;
  const auto second = read_digits(text, at, 2);
  if (!second) return std::nullopt;
  const std::chrono::year_month_day date{std::chrono::year(*year), std::chrono::month(static_cast<unsigned>(*month)),
                                         std::chrono::day(static_cast<unsigned>(*day))};
  if (!date.ok() || *hour > 23 || *minute > 59 || *second > 60) return std::nullopt;

  std::int64_t fraction = 0;
  if (read_one_of(text, at, ".")) {
    std::int64_t scale = kMicrosPerSecond;
    const std::size_t first = at;
    while (at < text.size() && text[at] >= '0' && text[at] <= '9') {
      if (at - first == 9) return std::nullopt;
      scale /= 10;  // Reaches 0 behind the sixth digit: what is finer than a microsecond is dropped.
      fraction += scale * (text[at] - '0');
      ++at;
    }
    if (at == first) return std::nullopt;
  }

  std::int64_t offset_seconds = 0;
  if (!read_one_of(text, at, "Zz")) {
    if (at >= text.size() || (text[at] != '+' && text[at] != '-')) return std::nullopt;
    const int sign = text[at] == '-' ? -1 : 1;
    ++at;
    const auto offset_hour = read_digits(text, at, 2);
    if (!offset_hour || !read_one_of(text, at, ":")) return std::nullopt;
    const auto offset_minute = read_digits(text, at, 2);
    if (!offset_minute || *offset_hour > 23 || *offset_minute > 59) return std::nullopt;
    offset_seconds = sign * (*offset_hour * 3600 + *offset_minute * 60);
  }
  if (at != text.size()) return std::nullopt;

  const std::int64_t days = std::chrono::sys_days(date).time_since_epoch().count();
  const std::int64_t seconds = days * 86'400 + *hour * 3600 + *minute * 60 + *second - offset_seconds;
  // A leap second is the last of a UTC day, and reads as the first of the next.
  if (*second == 60 && seconds % 86'400 != 0) return std::nullopt;
  const std::int64_t micros = seconds * kMicrosPerSecond + fraction;
  if (micros < kMicrosFirst || micros > kMicrosLast) return std::nullopt;
  return Timestamp{micros};
}

}  // namespace st8
