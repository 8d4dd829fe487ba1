// What a worker must not forget of activations that wait to be confirmed: one file for each directory of targets, below its root.
#pragma once

#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "drivers/file/file_driver.h"
#include "drivers/file/root.h"
#include "st8/state/clock.h"
#include "st8/state/result.h"

namespace st8::target::worker {

struct Confirmation {
  enum class State : std::uint8_t { kWaiting = 0, kConfirmed = 1, kWentBack = 2 };
  State state = State::kWaiting;
  std::string directory;  // Below the worker's root; empty: the root itself.
  file::Layout layout = file::Layout::kDirectory;
  std::uint32_t keep = 5;
  // To come back through, the newest first: an activation over one that was never confirmed goes back beyond both.
  std::vector<std::string> restore_points;
  Timestamp deadline;  // By the wall clock: what counts after the machine was started anew.
  std::string boot;    // Names the run of the machine in which `deadline_monotonic` means something.
  std::chrono::nanoseconds deadline_monotonic{};

  bool is_of(const std::string& restore_point) const {
    return !restore_points.empty() && restore_points.front() == restore_point;
  }
};

// Kept in memory and on the disk; each change is durable when it returns. Not thread-safe.
class Confirmations {
 public:
  // Errors: those of reading. What cannot be read is an error too: it may be a deadline.
  static Result<Confirmations> open(file::Root root, const Clock& clock);

  const Confirmation* find(const std::string& directory) const;
  // Sets the deadlines from now.
  Status wait(Confirmation confirmation, std::chrono::milliseconds within);
  Status set(const std::string& directory, Confirmation::State state);
  Status forget(const std::string& directory);
  // Those whose deadline has passed; and how long until the next one.
  std::vector<Confirmation> due() const;
  std::optional<std::chrono::nanoseconds> next() const;

 private:
  Confirmations(file::Root root, const Clock& clock, std::string boot)
      : root_(std::move(root)), clock_(&clock), boot_(std::move(boot)) {}
  Status write(const Confirmation& confirmation);
  std::chrono::nanoseconds remaining(const Confirmation& confirmation) const;

  file::Root root_;
  const Clock* clock_;
  std::string boot_;
  std::map<std::string, Confirmation> all_;
};

}  // namespace st8::target::worker
