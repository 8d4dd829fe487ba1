// The one seam to what keeps bytes: get, scan, snapshot, commit. Nothing above it knows RocksDB.
//
// Keys and values are byte strings; keys order as unsigned bytes. Objects are immutable, so only the small set of
// pointers needs expectations: a commit is one batch, all or nothing, durable when it returns, refused whole when an
// expectation does not hold. That is also what an existing distributed store (etcd) offers.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "st8/state/result.h"

namespace st8::state {

// What a commit is to write, in order.
class Batch {
 public:
  struct Write {
    std::string key;
    std::optional<std::string> value;  // nullopt: delete.
  };
  void put(std::string key, std::string value);
  void erase(std::string key);
  void reserve(std::size_t writes) { writes_.reserve(writes); }
  const std::vector<Write>& writes() const { return writes_; }
  std::size_t bytes() const { return bytes_; }
  bool empty() const { return writes_.empty(); }
  void clear();
  // Marks a batch that makes room (gc's): it may use disk space that is kept from other commits.
  void set_frees_space(bool frees_space) { frees_space_ = frees_space; }
  bool frees_space() const { return frees_space_; }

 private:
  std::vector<Write> writes_;
  std::size_t bytes_ = 0;
  bool frees_space_ = false;
};

// What must be true at the moment of the commit: the key has exactly this value, or does not exist.
struct Expectation {
  std::string key;
  std::optional<std::string> value;
};

// Half open: [begin, end). An empty end means no end.
struct KeyRange {
  std::string begin;
  std::string end;
  static KeyRange prefix(std::string_view prefix);
};

// A consistent view of the whole engine at one instant. Holds resources: keep it for a request, not for a day.
class EngineSnapshot {
 public:
  virtual ~EngineSnapshot() = default;
};

// Walks a range in key order. Not thread-safe. After each move: valid() or at the end; an error ends the walk and shows in status().
class Cursor {
 public:
  virtual ~Cursor() = default;
  virtual bool valid() const = 0;
  virtual void next() = 0;
  virtual void seek(std::string_view key) = 0;  // To the first key >= `key` within the range.
  virtual std::string_view key() const = 0;     // Valid until the next move.
  virtual std::string_view value() const = 0;
  virtual Status status() const = 0;
};

enum class Durability : std::uint8_t {
  kSynced,    // On stable storage when commit returns.
  kBuffered,  // May be lost by a crash, in order: a later synced commit makes all earlier ones durable.
};

// Counters since open, and sizes now. Cheap: read from memory.
struct EngineStats {
  std::uint64_t gets = 0;
  std::uint64_t scans = 0;
  std::uint64_t commits = 0;
  std::uint64_t syncs = 0;
  std::uint64_t bytes_written = 0;  // Keys and values handed to commit.
  std::uint64_t disk_bytes = 0;     // Live files.
  std::uint64_t memory_bytes = 0;   // Write buffers, block cache, table readers.
  std::string detail;               // The engine's own statistics, as "name value" lines for /metrics.
};

class Engine {
 public:
  virtual ~Engine() = default;

  // The value now, or at `snapshot`. nullopt: no such key. Errors: kCorrupt, kUnavailable. Thread-safe.
  virtual Result<std::optional<std::string>> get(std::string_view key,
                                                 const EngineSnapshot* snapshot = nullptr) const = 0;

  // As get() for each of the keys, answered in their order; keys that lie near each other share much of the search. For what
  // is not likely to be read again soon: it takes no room in the engine's cache from what is. Thread-safe.
  virtual Result<std::vector<std::optional<std::string>>> get_many(std::span<const std::string> keys,
                                                                   const EngineSnapshot* snapshot = nullptr) const;

  // A walk over the range, on `snapshot` or on a snapshot of its own. Thread-safe to make.
  virtual std::unique_ptr<Cursor> scan(KeyRange range, const EngineSnapshot* snapshot = nullptr) const = 0;

  virtual std::unique_ptr<EngineSnapshot> snapshot() const = 0;

  // Writes the whole batch, or nothing. Nobody reads any of it before it is as durable as was asked for. Errors:
  // kPreconditionFailed (an expectation did not hold; nothing written), kUnavailable (nothing written: disk full before the
  // write), kOutcomeUnknown (the write or its sync failed; it may be there after a restart, reads stand on what was before, and
  // the engine accepts no more writes until reopened).
  virtual Status commit(const Batch& batch, std::span<const Expectation> expectations, Durability durability) = 0;

  // A hint that much in these ranges (none: in all) was deleted or written and should now lie as tightly as it can. May take
  // long; safe beside writers. What would gain little is left as it is.
  virtual Status reclaim(const std::vector<KeyRange>& ranges) = 0;

  virtual EngineStats stats() const = 0;
};

struct RocksDbOptions {
  std::string directory;
  bool create_if_missing = true;
  bool read_only = false;
  std::size_t block_cache_bytes = 20u << 20;
  std::size_t write_buffer_bytes = 16u << 20;
  std::size_t wal_bytes_max = 64u << 20;  // Bounds the replay after a crash.
  int background_threads = 2;
  // Merges are light (LZ4, more files at once) while so much is written, or more: some 4,000 commits of 1 KiB a second.
  std::uint64_t light_merges_bytes_per_second = 8u << 20;
};

// Opens, or makes, a store in a directory. Errors: kUnavailable (held by another process — says which lock; no space;
// read-only directory), kCorrupt, kInvalidArgument (a newer format), each with what to do.
Result<std::unique_ptr<Engine>> open_rocksdb_engine(const RocksDbOptions& options);

// Keeps everything in memory; for tests and simulations. Same contract but for durability.
std::unique_ptr<Engine> make_memory_engine();

}  // namespace st8::state
