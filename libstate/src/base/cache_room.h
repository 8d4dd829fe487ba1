// Memory that two caches share, counted in bytes.
#pragma once

#include <algorithm>
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

  // By the borrower, who could have used so many more; and by the owner, who has left so many that it could spare. A hint:
  // what is lost between threads is asked for again.
  void want(std::size_t bytes) { wanted_.store(std::min(wanted() + bytes, kWantedMax), std::memory_order_relaxed); }
  std::size_t wanted() const { return wanted_.load(std::memory_order_relaxed); }
  void spared(std::size_t bytes) {
    const std::size_t wanted = this->wanted();
    wanted_.store(wanted - std::min(wanted, bytes), std::memory_order_relaxed);
  }

 private:
  static constexpr std::size_t kWantedMax = 64u << 10;  // Who wants more asks again.

  const std::size_t bytes_max_;
  Borrower* borrower_ = nullptr;
  alignas(64) std::atomic<std::size_t> taken_{0};
  alignas(64) std::atomic<std::size_t> wanted_{0};
};

}  // namespace st8::state
