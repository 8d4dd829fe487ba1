// Named failpoints: places where a test makes the process die or an operation fail, in the code that users run.
//
//   ST8_FAILPOINT("commit.before_write");     in a function that returns Status or Result<T>
//
// Specification, in the environment (ST8_FAILPOINTS, read at the first failpoint reached) or by failpoint::configure():
//   spec   := point (";" point)*
//   point  := name "=" action ["@" hit]
//   action := "crash"      the process ends at once with status 137, as by SIGKILL: nothing is flushed, no destructor runs
//           | "error"      kUnavailable: nothing has happened
//           | "unknown"    kOutcomeUnknown
//           | "corrupt"    kCorrupt
//           | "sleep:" ms  waits, then goes on
//   hit    := number (that hit only, counted from 1; without "@": the first) | number "+" (that one and all behind it)
//
// Cost when none is set: one relaxed load. A specification that cannot be read ends the process (from the environment)
// or is an error (from configure): a fault that was asked for and never comes would let a test pass that proved nothing.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "st8/state/result.h"

namespace st8::failpoint {

// Replaces all points by those of `spec`; "" clears them. Thread-safe. Errors: kInvalidArgument.
Status configure(std::string_view spec);
// Calls `action` at every hit of `name` (replacing what was set there), on the thread that hits, with no lock held: it
// may block until the test lets it go. An error that it returns is the failpoint's. An empty function takes it away.
void on_hit(std::string_view name, std::function<Status()> action);
// Clears everything and all counts.
void clear();
// How often `name` was reached since it was set.
std::uint64_t hits(std::string_view name);

// For the macro.
enum class Arming : std::uint8_t { kUnread, kOff, kOn };
inline std::atomic<Arming> arming{Arming::kUnread};
Status hit(std::string_view name);

}  // namespace st8::failpoint

#define ST8_FAILPOINT(name)                                                                                      \
  do {                                                                                                           \
    if (::st8::failpoint::arming.load(std::memory_order_relaxed) != ::st8::failpoint::Arming::kOff) [[unlikely]] \
      ST8_TRY(::st8::failpoint::hit(name));                                                                      \
  } while (false)

// For a function that cannot return an error: crash, sleep and on_hit work there, an error is dropped.
#define ST8_FAILPOINT_VOID(name)                                                                                 \
  do {                                                                                                           \
    if (::st8::failpoint::arming.load(std::memory_order_relaxed) != ::st8::failpoint::Arming::kOff) [[unlikely]] \
      static_cast<void>(::st8::failpoint::hit(name));                                                            \
  } while (false)
