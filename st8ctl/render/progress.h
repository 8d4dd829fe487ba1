// Progress with a rate, on standard error, on a terminal, for what takes over two seconds; nothing otherwise.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <string>
#include <thread>

namespace st8::ctl {

class Progress {
 public:
  enum class Unit : unsigned char { kBytes, kItems, kTime };

  // `what` as in "Sending"; `total` 0: unknown. Silent when `enabled` is false. A thread ticks only when enabled.
  Progress(bool enabled, std::string what, Unit unit, std::uint64_t total = 0);
  ~Progress();  // Wipes its line.
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  // Thread-safe.
  void set(std::uint64_t done) { done_.store(done, std::memory_order_relaxed); }
  void add(std::uint64_t more) { done_.fetch_add(more, std::memory_order_relaxed); }
  void set_total(std::uint64_t total) { total_.store(total, std::memory_order_relaxed); }

  // The line as shown; for tests. `elapsed_ms` above 0.
  static std::string line(const std::string& what, Unit unit, std::uint64_t done, std::uint64_t total,
                          std::int64_t elapsed_ms);

 private:
  void tick();

  std::string what_;
  Unit unit_;
  std::atomic<std::uint64_t> done_{0};
  std::atomic<std::uint64_t> total_;
  std::mutex mutex_;
  std::condition_variable wake_;
  bool ended_ = false;
  bool shown_ = false;
  std::thread thread_;
};

}  // namespace st8::ctl
