// The write-ahead logs of one store: files of our own under RocksDB, synced when a commit says so.
//
// RocksDB appends a commit's record to the log, would sync it, and then applies it in memory. Here the disk is told to write the
// record as soon as it is appended, and the sync, which waits for the disk, comes when RocksDB is done: applying it takes as long as
// writing it. Who commits must hide what is applied until it is synced.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <rocksdb/file_system.h>
#include <string>
#include <vector>

namespace st8::state {

class RocksLogFile;

// Thread-safe, but for what is said.
class Logs {
 public:
  Logs() = default;
  Logs(const Logs&) = delete;
  Logs& operator=(const Logs&) = delete;

  // From here on, what is appended is written to the disk at once, or when the kernel likes to. For who commits.
  void write_out_early(bool early) { write_out_early_.store(early, std::memory_order_relaxed); }

  // All that was appended before, and the logs' names, are on stable storage behind it; or failed().
  void sync();
  std::uint64_t syncs() const { return syncs_.load(std::memory_order_relaxed); }

  // How often something was handed to a log.
  std::uint64_t appends() const { return appends_.load(std::memory_order_relaxed); }

  // An append or a sync failed, and error() says how. Never turns back; the logs take nothing from then on.
  bool failed() const { return failed_.load(std::memory_order_acquire); }
  std::string error() const;

 private:
  friend class RocksLogFile;
  void add(RocksLogFile& file);
  void remove(RocksLogFile& file);
  void fail(std::string error);

  std::atomic<bool> write_out_early_{false};
  std::atomic<std::uint64_t> appends_{0}, syncs_{0};
  std::atomic<bool> failed_{false};
  mutable std::mutex error_mutex_;
  std::string error_;
  std::mutex files_mutex_;
  std::vector<RocksLogFile*> files_;  // Those that are open, oldest first.
};

// The machine's files, with logs of our own. Once a log has failed no table is made: RocksDB does not know of the failure, and a
// table would make a part of what the log lacks durable.
std::shared_ptr<rocksdb::FileSystem> make_file_system(std::shared_ptr<Logs> logs);

}  // namespace st8::state
