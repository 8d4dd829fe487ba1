#include "st8/state/duration.h"

#include <array>
#include <charconv>
#include <cmath>
#include <cstdint>

#include "st8/state/text.h"

namespace st8 {
namespace {

struct Unit {
  std::string_view name;
  std::int64_t nanos;
};
// "ms" before "m": the first that the text begins with is meant.
constexpr std::array<Unit, 7> kUnits = {{{"ns", 1},
                                         {"us", 1'000},
                                         {"ms", 1'000'000},
                                         {"s", 1'000'000'000},
                                         {"m", 60'000'000'000},
                                         {"h", 3'600'000'000'000},
                                         {"d", 86'400'000'000'000}}};
constexpr std::int64_t kMillisecond = 1'000'000;

}  // namespace

Result<std::chrono::milliseconds> parse_duration(std::string_view text, DurationForm form) {
  const auto bad = [&] {
    return fail(ErrorCode::kInvalidArgument, quote(text) + " is no duration", "durations look like 30s, 5m, 1h30m");
  };
  if (text == "0") return std::chrono::milliseconds(0);
  if (text.empty()) return bad();
  // In nanoseconds; exact up to a hundred days, far beyond what a fraction is written for.
  long double total = 0;
  for (std::string_view rest = text; !rest.empty();) {
    if (rest.front() < '0' || rest.front() > '9') return bad();
    double number = 0;
    const char* const last = rest.data() + rest.size();
    const char* end = nullptr;
    if (form.fractions) {
      const auto read = std::from_chars(rest.data(), last, number, std::chars_format::fixed);
      if (read.ec != std::errc() || !std::isfinite(number)) return bad();
      end = read.ptr;
    } else {
      std::uint64_t whole = 0;
      const auto read = std::from_chars(rest.data(), last, whole);
      if (read.ec != std::errc()) return bad();
      number = static_cast<double>(whole);
      end = read.ptr;
    }
    rest.remove_prefix(static_cast<std::size_t>(end - rest.data()));
    std::int64_t nanos = 0;
    for (const Unit& unit : kUnits) {
      if (nanos != 0 || !rest.starts_with(unit.name) || (!form.fractions && unit.nanos < kMillisecond)) continue;
      nanos = unit.nanos;
      rest.remove_prefix(unit.name.size());
    }
    if (nanos == 0 && form.bare_seconds && rest.empty()) nanos = 1'000 * kMillisecond;
    if (nanos == 0) return bad();
    total += static_cast<long double>(number) * static_cast<long double>(nanos);
  }
  const long double most = static_cast<long double>(kDurationMax.count()) * kMillisecond;
  if (!(total <= most)) return fail(ErrorCode::kTooLarge, quote(text) + " is longer than 366 days");
  return std::chrono::milliseconds(static_cast<std::int64_t>(std::ceil(total / kMillisecond)));
}

std::string format_duration(std::chrono::milliseconds duration) {
  std::int64_t rest = duration.count();
  if (rest <= 0) return "0";
  std::string text;
  for (auto unit = kUnits.rbegin(); unit != kUnits.rend(); ++unit) {
    const std::int64_t millis = unit->nanos / kMillisecond;
    if (millis == 0 || rest < millis) continue;
    text += std::to_string(rest / millis) + std::string(unit->name);
    rest %= millis;
  }
  return text;
}

}  // namespace st8
