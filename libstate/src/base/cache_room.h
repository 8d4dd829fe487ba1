// Memory that two caches share, counted in bytes.
#pragma once

#include <atomic>
#include <cstddef>

namespace st8::state {

// One cache owns the room, and comes first; another borrows what the owner does not use, and gives it back when the owner
// asks for it. What both have taken is never more than the room. Thread-safe; take() and leave() are one atomic operation.
class CacheRoom {
 public:
  class Borrower {
   public:
    virtual ~Borrower() = default;
    // Leaves so many bytes, or all that it has; how many it left. Called by the owner, under locks of the owner's.
    virtual std::size_t give_back(std::size_t bytes) = 0;
  };

  explicit CacheRoom(std::size_t bytes_max) : bytes_max_(bytes_max) {}
  CacheRoom(const CacheRoom&) = delete;
  CacheRoom& operator=(const CacheRoom&) = delete;

  // Before others use the room.
  void set_borrower(Borrower* borrower) { borrower_ = borrower; }

  // False, and nothing is taken, when there is not so much left.
  bool take(std::size_t bytes) {
    std::size_t taken = taken_.load(std::memory_order_relaxed);
    do {
      if (bytes > bytes_max_ - taken) return false;
    } while (!taken_.compare_exchange_weak(taken, taken + bytes, std::memory_order_relaxed));
    return true;
  }
  void leave(std::size_t bytes) {
    if (bytes > 0) taken_.fetch_sub(bytes, std::memory_order_relaxed);
  }
  std::size_t taken() const { return taken_.load(std::memory_order_relaxed); }
  std::size_t bytes_max() const { return bytes_max_; }
  // Little is left: who can spare something should, before others have to go.
  bool is_low() const { return bytes_max_ - taken() < bytes_max_ / 64; }

  // By the owner, who needs them.
  std::size_t reclaim(std::size_t bytes) { return borrower_ == nullptr ? 0 : borrower_->give_back(bytes); }

  // By the borrower, when little is left and it has something to put in.
  void want() {
    if (wanted_.load(std::memory_order_relaxed) < kWantedPuts / 2)
      wanted_.store(kWantedPuts, std::memory_order_relaxed);
  }
  // By the owner, before each put: whether it should leave what it can spare. So for some time after a want(); counted
  // in puts, and a hint: what is lost between threads makes that time a little longer.
  bool is_wanted() {
    const int left = wanted_.load(std::memory_order_relaxed);
    if (left == 0) return false;
    wanted_.store(left - 1, std::memory_order_relaxed);
    return is_low();
  }

 private:
  static constexpr int kWantedPuts = 4096;

  const std::size_t bytes_max_;
  Borrower* borrower_ = nullptr;
  alignas(64) std::atomic<std::size_t> taken_{0};
  alignas(64) std::atomic<int> wanted_{0};
};

}  // namespace st8::state
