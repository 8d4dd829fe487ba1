// Rests for the merges that Engine::reclaim() asks for, while others write.
//
// Why: such a merge keeps a core and the disk busy for seconds. Beside 16 writers on four cores, in half-second turns within one run, it
// made their median 1.3 to 1.7 times as long and their p99 1.2 to 1.5 at full speed, 1.16 and 1.0 to 1.2 with rests four times as long as
// the work. Rests twice as long gave half of that, a lower priority of its thread (nice 19) less: 1.3 to 1.6 and 1.1 to 1.5.
//
// Source: RocksDB 7.8, include/rocksdb/{rate_limiter,listener}.h.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <rocksdb/listener.h>
#include <rocksdb/rate_limiter.h>
#include <thread>

namespace st8::state {

// RocksDB asks its rate limiter before each block that a merge reads and each piece that it writes; it is told by the listener's
// calls, which come on the merging thread, which merges were asked for. Flushes and merges of RocksDB's own accord pass
// untouched: what writers wait for must not rest. To be given to the database as both. Thread-safe.
class ReclaimPace final : public rocksdb::RateLimiter, public rocksdb::EventListener {
 public:
  ReclaimPace() : rocksdb::RateLimiter(Mode::kAllIo) {}

  // `commits`: how many there have been; while there are none, nothing rests. `in_haste`: others wait, or soon will, for what is
  // merged. Both are called on RocksDB's threads, and until the database is closed. To be called once, before the first reclaim().
  void watch(std::function<std::uint64_t()> commits, std::function<bool()> in_haste);
  std::uint64_t rests() const { return rests_.load(std::memory_order_relaxed); }

  void OnCompactionBegin(rocksdb::DB*, const rocksdb::CompactionJobInfo& job) override;
  void OnCompactionCompleted(rocksdb::DB*, const rocksdb::CompactionJobInfo& job) override;
  void Request(std::int64_t bytes, rocksdb::Env::IOPriority priority, rocksdb::Statistics* statistics,
               OpType type) override;

  // There is no bound on bytes.
  void SetBytesPerSecond(std::int64_t) override {}
  std::int64_t GetBytesPerSecond() const override { return 0; }
  std::int64_t GetSingleBurstBytes() const override;
  std::int64_t GetTotalBytesThrough(rocksdb::Env::IOPriority) const override { return 0; }
  std::int64_t GetTotalRequests(rocksdb::Env::IOPriority) const override { return 0; }

 private:
  using Clock = std::chrono::steady_clock;
  static constexpr std::chrono::milliseconds kWorkMin{1};  // Before a rest.
  static constexpr int kRest = 4;                          // Times as long as the work took.
  static constexpr std::chrono::milliseconds kRestMax{40};

  std::function<std::uint64_t()> commits_;
  std::function<bool()> in_haste_;
  // That merges what was asked for. Of two at once, the one that began last rests.
  std::atomic<std::thread::id> thread_{};
  std::atomic<Clock::rep> work_began_{0};
  std::atomic<std::uint64_t> commits_seen_{0};
  std::atomic<std::uint64_t> rests_{0};
};

}  // namespace st8::state
