// What merges cost while much is written: they pack by LZ4 in place of zstd, and wait for more new files.
//
// Why: three fifths of what merging costs is zstd. At 64 clients that write without a pause, merging takes 25 µs of processor time a commit
// over a store's first million revisions, 14 with LZ4; at the end 40 and 20, when its thread is busy all the time and commits are held
// back by files that heap up. Much of what is left is the rewriting of what the new files are merged into: with twice as many at once 29 became 24, over 64 namespaces 43 became 25.
// What LZ4 packs is a fifth to a half larger, and a reader looks into more files. So who loads a store gets his time, who works with
// one gets the room and the reads, and what was packed lightly is packed again by later merges, and by gc.
//
// Source: RocksDB 7.8, include/rocksdb/{db,listener}.h.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <rocksdb/db.h>
#include <rocksdb/listener.h>
#include <span>
#include <thread>
#include <vector>

namespace st8::state {

// To be given to the database as a listener: it decides at each flush. What is decided is done by a thread of its own, since RocksDB
// changes options behind the writers that wait, and those may wait for the very flush that tells us. Thread-safe.
class LightMerges final : public rocksdb::EventListener {
 public:
  // Lightly from so many bytes a second on, as they are flushed (before packing); tightly again below half of it.
  explicit LightMerges(std::uint64_t light_bytes_per_second) : light_from_(light_bytes_per_second) {}
  ~LightMerges() override { stop(); }
  LightMerges(const LightMerges&) = delete;
  LightMerges& operator=(const LightMerges&) = delete;

  // To be called once. Flushes before that decide nothing. The database and the families must be open until stop().
  void start(rocksdb::DB& db, std::span<rocksdb::ColumnFamilyHandle* const> families);
  // Returns when nothing is under way here. May wait for writers that RocksDB holds back.
  void stop();

  // While one lives, all that is merged is packed tightly; afterwards the next flushes decide. To be made while the database is
  // open; waits like stop().
  class Tightly {
   public:
    explicit Tightly(LightMerges& merges);
    ~Tightly();
    Tightly(const Tightly&) = delete;
    Tightly& operator=(const Tightly&) = delete;

   private:
    LightMerges& merges_;
  };

  // Whether some merges may be light.
  bool light() const { return light_.load(std::memory_order_relaxed); }

  void OnFlushCompleted(rocksdb::DB*, const rocksdb::FlushJobInfo& flush) override;

  // How many of the newest files are merged at once, tightly and lightly. A commit's share of merging was 20 µs at 8 files, 13 at
  // 12, 11 at 16 in a store of half a million revisions, with zstd; a reader looks at each of them, and finds most ruled out by their filters.
  static constexpr int kTightFiles = 12, kLightFiles = 24;

 private:
  using Clock = std::chrono::steady_clock;
  struct Flush {
    Clock::time_point at;
    std::uint64_t bytes = 0;
  };
  static constexpr std::size_t kFlushes = 4;  // That the rate is taken over: bursts decide nothing.

  void run();
  bool set(bool light);  // Not under the mutex: whoever waits for it may wait for writers.

  const std::uint64_t light_from_;
  std::mutex mutex_;
  std::condition_variable changed_;
  rocksdb::DB* db_ = nullptr;
  std::vector<rocksdb::ColumnFamilyHandle*> families_;
  std::array<Flush, kFlushes> flushes_;  // A ring; the oldest is at next_.
  std::size_t next_ = 0, seen_ = 0;
  int held_tight_ = 0;
  bool light_wanted_ = false;
  bool failed_ = false;  // What was wanted last could not be had: not tried again before something else is wanted.
  bool stopping_ = false;
  std::atomic<bool> light_{false};
  std::thread thread_;
};

}  // namespace st8::state
