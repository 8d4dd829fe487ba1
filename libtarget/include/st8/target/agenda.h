// Which of so many things are to be looked at: those to which something happened, and those whose time has come. So that a turn
// costs what there is to do, and not what there is.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "st8/state/clock.h"

namespace st8::target {

// Not thread-safe. Things are numbers below the count.
class Agenda {
 public:
  // From now on `count` things, all of which are to be looked at.
  void reset(std::size_t count) {
    due_.resize(count);
    for (std::size_t i = 0; i < count; ++i) due_[i] = static_cast<std::uint32_t>(i);
    listed_.assign(count, true);
    at_.assign(count, std::nullopt);
    times_.clear();
  }

  // It is to be looked at.
  void add(std::uint32_t thing) {
    if (thing >= listed_.size() || listed_[thing]) return;
    listed_[thing] = true;
    due_.push_back(thing);
  }

  // It is to be looked at then, if nothing happens to it before. Takes the place of an earlier word about it.
  void add_at(std::uint32_t thing, Timestamp at) {
    forget_time(thing);
    at_[thing] = at;
    times_.emplace(at, thing);
  }

  // Takes what is due out of it, in the order of the numbers.
  std::vector<std::uint32_t> take(Timestamp now) {
    while (!times_.empty() && times_.begin()->first <= now) {
      const std::uint32_t thing = times_.begin()->second;
      forget_time(thing);
      add(thing);
    }
    for (const std::uint32_t thing : due_) {
      listed_[thing] = false;
      forget_time(thing);
    }
    std::sort(due_.begin(), due_.end());
    return std::exchange(due_, {});
  }

  // When the next thing's time comes; of those that are due already it says nothing.
  std::optional<Timestamp> next() const { return times_.empty() ? std::nullopt : std::optional(times_.begin()->first); }

 private:
  void forget_time(std::uint32_t thing) {
    if (!at_[thing]) return;
    times_.erase({*at_[thing], thing});
    at_[thing].reset();
  }

  std::vector<std::uint32_t> due_;  // In no order.
  std::vector<bool> listed_;        // In due_.
  std::vector<std::optional<Timestamp>> at_;
  std::set<std::pair<Timestamp, std::uint32_t>> times_;
};

}  // namespace st8::target
