// The engine seam over RocksDB: with the other rocksdb_* files here the only one that knows it.
//
// Two column families share one log. "default" holds the small records; "bodies" holds nodes and blobs, whose keys lay the
// versions of one path side by side: there, large blocks and zstd find what the versions have in common, which is worth
// more than any delta format.
//
// Source: RocksDB 7.8, include/rocksdb/{options,advanced_options,table,listener}.h.
#include <algorithm>
#include <array>
#include <atomic>
#include <bitset>
#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <rocksdb/cache.h>
#include <rocksdb/convenience.h>
#include <rocksdb/db.h>
#include <rocksdb/env.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/flush_block_policy.h>
#include <rocksdb/listener.h>
#include <rocksdb/slice.h>
#include <rocksdb/statistics.h>
#include <rocksdb/table.h>
#include <rocksdb/table_properties.h>
#include <rocksdb/write_batch.h>
#include <sstream>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <system_error>
#include <unistd.h>
#include <unordered_map>
#include <vector>

#include "engine/keyspace.h"
#include "engine/rocksdb_light_merges.h"
#include "engine/rocksdb_logs.h"
#include "engine/rocksdb_pace.h"
#include "engine/rocksdb_write_buffer.h"
#include "st8/state/clock.h"
#include "st8/state/engine.h"
#include "st8/state/failpoint.h"
#include "st8/state/text.h"

namespace st8::state {
namespace {

constexpr std::string_view kBodiesName = "bodies";
// A block is unpacked whole to read one body of it, so small blocks are read sooner; versions of one path in one block pack
// against each other, so large ones take less room. Hence both (see PathBlocks). Measured on 10,000 revisions of 1,000 JSON files: 8
// KiB everywhere takes 27% more room than 32 KiB everywhere, these two 1% more; a cold read among a million documents takes 20 µs in
// place of 35. zstd has its own default level, 3: level 9 saves 2% of the room, and compaction at it took 7% of what an apply costs.
constexpr std::size_t kBodyBlockBytes = 8u << 10;
constexpr std::size_t kHistoryBlockBytes = 32u << 10;
constexpr std::size_t kRecordBlockBytes = 8u << 10;
constexpr double kBloomBitsPerKey = 10;
// Kept free for the engine's own housekeeping (flushes, compactions that give space back): a commit that would eat into
// it is refused before anything is written. A small disk keeps a twentieth.
constexpr std::uint64_t kFreeBytesKept = 64u << 20;

rocksdb::Slice to_slice(std::string_view text) { return {text.data(), text.size()}; }
std::string_view to_view(const rocksdb::Slice& slice) { return {slice.data(), slice.size()}; }

// What RocksDB says, in our terms. For everything but the outcome of a write, which commit() judges itself.
Error to_error(const rocksdb::Status& status, std::string_view doing) {
  std::string message(doing);
  message += ": ";
  message += status.ToString();
  if (status.IsCorruption()) {
    return {ErrorCode::kCorrupt, std::move(message),
            "Run fsck to see what is damaged, and restore from a backup what is lost."};
  }
  if (status.IsNoSpace())
    return {ErrorCode::kUnavailable, std::move(message), "The disk is full: free space, then retry."};
  return {ErrorCode::kUnavailable, std::move(message),
          "Look at the disk and at the LOG file in the store's directory."};
}

// Which process holds a POSIX lock on the file, as the kernel lists it; 0: not known. The file is not opened for this:
// closing any descriptor of it would drop the lock of a store that this very process has open.
long lock_holder(const std::string& path) {
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0) return 0;
  std::array<char, 64> wanted{};
  std::snprintf(wanted.data(), wanted.size(), "%02x:%02x:%lu", major(info.st_dev), minor(info.st_dev),
                static_cast<unsigned long>(info.st_ino));
  std::ifstream locks("/proc/locks");
  std::string line;
  while (std::getline(locks, line)) {
    std::istringstream fields(line);
    std::string number, kind, advisory, access, pid, file;
    if (fields >> number >> kind >> advisory >> access >> pid >> file && file == wanted.data()) {
      return std::strtol(pid.c_str(), nullptr, 10);
    }
  }
  return 0;
}

// Makes the directory and its parents, and makes the new names durable.
Status make_directory(const std::filesystem::path& directory) {
  std::error_code error;
  if (std::filesystem::is_directory(directory, error)) return {};
  std::filesystem::path existing = std::filesystem::absolute(directory, error);
  while (!existing.empty() && !std::filesystem::exists(existing, error) && existing != existing.root_path()) {
    existing = existing.parent_path();
  }
  std::filesystem::create_directories(directory, error);
  if (error) {
    return fail(ErrorCode::kUnavailable,
                "cannot make the directory " + quote(directory.string()) + ": " + error.message(),
                "Choose a directory that can be written, or make it first.");
  }
  const int fd = ::open(existing.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd >= 0) {
    ::fsync(fd);
    ::close(fd);
  }
  return {};
}

// RocksDB's own messages, in the file LOG of the store's directory and one older file beside it. RocksDB's logger would end
// the process when the disk is full (see Logs); here a line that cannot be written is dropped.
class InfoLog final : public rocksdb::Logger {
 public:
  static constexpr std::size_t kFileBytesMax = 1u << 20;

  explicit InfoLog(std::string directory)
      : rocksdb::Logger(rocksdb::WARN_LEVEL), path_(std::move(directory) + "/LOG") {}
  ~InfoLog() override {
    if (fd_ >= 0) ::close(fd_);
  }

  using rocksdb::Logger::Logv;
  void Logv(const char* format, va_list arguments) override { write_line("INFO", format, arguments); }
  void Logv(rocksdb::InfoLogLevel level, const char* format, va_list arguments) override {
    if (level < GetInfoLogLevel() || level == rocksdb::HEADER_LEVEL) return;
    write_line(level >= rocksdb::ERROR_LEVEL ? "ERROR" : "WARN", format, arguments);
  }
  void LogHeader(const char*, va_list) override {}

 private:
  [[gnu::format(__printf__, 3, 0)]] void write_line(const char* level, const char* format, va_list arguments) {
    std::array<char, 2048> text;
    const int length = std::vsnprintf(text.data(), text.size(), format, arguments);
    if (length < 0) return;
    std::string line = format_rfc3339(system_clock().now());
    line += ' ';
    line += level;
    line += ' ';
    line.append(text.data(), std::min(static_cast<std::size_t>(length), text.size() - 1));
    while (line.ends_with('\n')) line.pop_back();
    line += '\n';
    const std::lock_guard lock(mutex_);
    if (fd_ >= 0 && bytes_ + line.size() > kFileBytesMax) {
      ::close(fd_);
      fd_ = -1;
      ::rename(path_.c_str(), (path_ + ".old").c_str());
    }
    if (fd_ < 0) {
      fd_ = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
      struct stat info {};
      bytes_ = fd_ >= 0 && ::fstat(fd_, &info) == 0 ? static_cast<std::size_t>(info.st_size) : 0;
    }
    if (fd_ >= 0 && ::write(fd_, line.data(), line.size()) > 0) bytes_ += line.size();
  }

  std::string path_;
  std::mutex mutex_;
  int fd_ = -1;
  std::size_t bytes_ = 0;
};

// Drops every message: for a store that is only read, whose directory may not be writable.
class NoLog final : public rocksdb::Logger {
 public:
  using rocksdb::Logger::Logv;
  void Logv(const char*, va_list) override {}
};

// Hears of errors that RocksDB meets on its own threads: it then takes no writes until it has recovered by itself.
class ErrorListener final : public rocksdb::EventListener {
 public:
  void OnBackgroundError(rocksdb::BackgroundErrorReason, rocksdb::Status* status) override {
    const std::lock_guard lock(mutex_);
    error_ = status->ToString();
    stopped_ = true;
  }
  void OnErrorRecoveryEnd(const rocksdb::BackgroundErrorRecoveryInfo& info) override {
    const std::lock_guard lock(mutex_);
    if (info.new_bg_error.ok()) stopped_ = false;
  }
  // The error that writing is stopped by; nullopt: none.
  std::optional<std::string> stopped_by() const {
    const std::lock_guard lock(mutex_);
    return stopped_ ? std::optional(error_) : std::nullopt;
  }

 private:
  mutable std::mutex mutex_;
  bool stopped_ = false;
  std::string error_;
};

using SnapshotPtr = std::shared_ptr<const rocksdb::Snapshot>;

SnapshotPtr take_snapshot(rocksdb::DB& db) {
  return {db.GetSnapshot(), [&db](const rocksdb::Snapshot* snapshot) { db.ReleaseSnapshot(snapshot); }};
}

class RocksSnapshot final : public EngineSnapshot {
 public:
  explicit RocksSnapshot(SnapshotPtr snapshot) : snapshot_(std::move(snapshot)) {}
  const rocksdb::Snapshot* get() const { return snapshot_.get(); }

 private:
  SnapshotPtr snapshot_;
};

const rocksdb::Snapshot* to_rocks(const EngineSnapshot* snapshot) {
  return snapshot == nullptr ? nullptr : static_cast<const RocksSnapshot*>(snapshot)->get();
}

// A walk over one column family, or over both as one ordered whole.
class RocksCursor final : public Cursor {
 public:
  RocksCursor(rocksdb::DB& db, std::span<rocksdb::ColumnFamilyHandle* const> families, KeyRange range,
              std::unique_ptr<EngineSnapshot> own, const rocksdb::Snapshot* snapshot)
      : own_(std::move(own)), range_(std::move(range)), lower_(range_.begin), upper_(range_.end) {
    rocksdb::ReadOptions options;
    options.snapshot = snapshot;
    options.iterate_lower_bound = &lower_;
    if (!range_.end.empty()) options.iterate_upper_bound = &upper_;
    for (rocksdb::ColumnFamilyHandle* family : families) iterators_.emplace_back(db.NewIterator(options, family));
    seek(range_.begin);
  }
  bool valid() const override { return current_ != nullptr; }
  void next() override {
    current_->Next();
    choose();
  }
  void seek(std::string_view key) override {
    const rocksdb::Slice target = to_slice(std::max(key, std::string_view(range_.begin)));
    for (auto& iterator : iterators_) iterator->Seek(target);
    choose();
  }
  std::string_view key() const override { return to_view(current_->key()); }
  std::string_view value() const override { return to_view(current_->value()); }
  Status status() const override {
    for (const auto& iterator : iterators_) {
      if (const rocksdb::Status status = iterator->status(); !status.ok())
        return fail(to_error(status, "cannot read the store"));
    }
    return {};
  }

 private:
  void choose() {
    current_ = nullptr;
    for (auto& iterator : iterators_) {
      if (!iterator->Valid()) {
        // What an error hides must not be passed over: the walk ends here.
        if (!iterator->status().ok()) {
          current_ = nullptr;
          return;
        }
        continue;
      }
      if (current_ == nullptr || iterator->key().compare(current_->key()) < 0) current_ = iterator.get();
    }
  }

  std::unique_ptr<EngineSnapshot> own_;  // Before the iterators, so that it goes after them.
  KeyRange range_;
  rocksdb::Slice lower_, upper_;
  std::vector<std::unique_ptr<rocksdb::Iterator>> iterators_;
  rocksdb::Iterator* current_ = nullptr;
};

// The records that expectations were about, as they were last written. The directory's lock makes this process the only
// writer, so a commit that expects what an earlier one wrote need not read it. Not thread-safe.
class ExpectedRecords {
 public:
  // False: not known here, or not so.
  bool holds(const Expectation& expected) const {
    if (!expected.value) return false;
    const auto known = values_.find(expected.key);
    return known != values_.end() && known->second == *expected.value;
  }
  // After each commit that succeeded.
  void learn(const Batch& batch, std::span<const Expectation> expectations) {
    if (values_.size() + expectations.size() > kRecordsMax) {
      values_.clear();
      tables_.reset();
    }
    for (const Expectation& expected : expectations) {
      if (!expected.value) continue;  // Learnt when it is next expected, with its value.
      values_.try_emplace(expected.key, *expected.value);
      tables_.set(table_of(expected.key));
    }
    for (const Batch::Write& write : batch.writes()) {
      // Most writes are of other tables.
      if (!tables_.test(table_of(write.key))) continue;
      const auto known = values_.find(write.key);
      if (known == values_.end()) continue;
      if (write.value) {
        known->second = *write.value;
      } else {
        values_.erase(known);
      }
    }
  }

 private:
  static constexpr std::size_t kRecordsMax = 4096;
  static std::size_t table_of(std::string_view key) {
    return key.empty() ? 0 : static_cast<unsigned char>(key.front());
  }
  std::unordered_map<std::string, std::string> values_;
  std::bitset<256> tables_;
};

class RocksEngine final : public Engine {
 public:
  RocksEngine(std::string directory, bool read_only, std::unique_ptr<rocksdb::Env> environment,
              std::shared_ptr<Logs> logs, std::shared_ptr<ErrorListener> listener, std::shared_ptr<ReclaimPace> pace,
              std::shared_ptr<LightMerges> light_merges, std::shared_ptr<rocksdb::Cache> cache,
              std::shared_ptr<rocksdb::Statistics> statistics, std::unique_ptr<rocksdb::DB> db,
              rocksdb::ColumnFamilyHandle* records, rocksdb::ColumnFamilyHandle* bodies)
      : directory_(std::move(directory)),
        read_only_(read_only),
        environment_(std::move(environment)),
        logs_(std::move(logs)),
        listener_(std::move(listener)),
        pace_(std::move(pace)),
        light_merges_(std::move(light_merges)),
        cache_(std::move(cache)),
        statistics_(std::move(statistics)),
        db_(std::move(db)),
        families_{records, bodies} {
    pace_->watch([this] { return commits_.load(std::memory_order_relaxed); },
                 [this] { return closing_.load() || many_newest_files(); });
    if (!read_only_) light_merges_->start(*db_, families_);
  }

  ~RocksEngine() override {
    closing_.store(true);
    light_merges_->stop();
    rocksdb::CancelAllBackgroundWork(db_.get(), /*wait=*/true);
    before_write_.reset();
    for (rocksdb::ColumnFamilyHandle* family : families_) db_->DestroyColumnFamilyHandle(family);
  }
  RocksEngine(const RocksEngine&) = delete;
  RocksEngine& operator=(const RocksEngine&) = delete;

  Result<std::optional<std::string>> get(std::string_view key, const EngineSnapshot* snapshot) const override {
    gets_.fetch_add(1, std::memory_order_relaxed);
    ST8_FAILPOINT("engine.get");
    rocksdb::PinnableSlice value;
    bool found = false;
    ST8_TRY(read_durable(snapshot, [&](const rocksdb::Snapshot* at) -> Status {
      value.Reset();
      ST8_ASSIGN(found, read(key, at, value));
      return {};
    }));
    if (!found) return std::optional<std::string>{};
    return std::optional<std::string>{std::in_place, value.data(), value.size()};
  }

  Result<std::vector<std::optional<std::string>>> get_many(std::span<const std::string> keys,
                                                           const EngineSnapshot* snapshot) const override {
    gets_.fetch_add(keys.size(), std::memory_order_relaxed);
    ST8_FAILPOINT("engine.get");
    std::vector<std::optional<std::string>> values;
    ST8_TRY(read_durable(snapshot, [&](const rocksdb::Snapshot* at) {
      values.assign(keys.size(), std::nullopt);  // What a first look found may not be durable.
      return read_many(keys, at, values);
    }));
    return values;
  }

  std::unique_ptr<Cursor> scan(KeyRange range, const EngineSnapshot* snapshot) const override {
    scans_.fetch_add(1, std::memory_order_relaxed);
    std::span<rocksdb::ColumnFamilyHandle* const> families = families_;
    if (const auto one = family_of_range(range)) families = families.subspan(*one, 1);
    std::unique_ptr<EngineSnapshot> own;
    if (snapshot == nullptr) own = this->snapshot();
    const rocksdb::Snapshot* at = to_rocks(snapshot != nullptr ? snapshot : own.get());
    return std::make_unique<RocksCursor>(*db_, families, std::move(range), std::move(own), at);
  }

  std::unique_ptr<EngineSnapshot> snapshot() const override {
    if (SnapshotPtr before = before_commit()) return std::make_unique<RocksSnapshot>(std::move(before));
    SnapshotPtr now = take_snapshot(*db_);
    if (SnapshotPtr before = before_commit()) now = std::move(before);
    return std::make_unique<RocksSnapshot>(std::move(now));
  }

  Status commit(const Batch& batch, std::span<const Expectation> expectations, Durability durability) override {
    if (read_only_) {
      return fail(ErrorCode::kUnavailable, "the store in " + quote(directory_) + " is open for reading only",
                  "Open it for writing.");
    }
    rocksdb::WriteBatch writes(batch.bytes() + batch.writes().size() * 12 + 12);
    for (const Batch::Write& write : batch.writes()) {
      rocksdb::ColumnFamilyHandle* family = family_of(write.key);
      const rocksdb::Status added = write.value ? writes.Put(family, to_slice(write.key), to_slice(*write.value))
                                                : writes.Delete(family, to_slice(write.key));
      if (!added.ok()) return fail(to_error(added, "cannot gather the commit"));
    }
    const bool synced = durability == Durability::kSynced;

    // Expectations and write are one step: whoever else commits waits here.
    const std::lock_guard lock(commit_mutex_);
    ST8_TRY(check_writable());
    ST8_TRY(check_expectations(expectations));
    ST8_TRY(check_space(batch));
    ST8_FAILPOINT("engine.before_write");
    const std::uint64_t appends_before = logs_->appends();
    remember(take_snapshot(*db_));
    logs_->write_out_early(synced);
    // Not synced by RocksDB, which would do so before it applies the record in memory: the disk writes meanwhile.
    const rocksdb::Status written = db_->Write(rocksdb::WriteOptions(), &writes);
    if (synced && written.ok()) {
      ST8_FAILPOINT_VOID("engine.before_sync");
      logs_->sync();
    }
    if (!written.ok() || logs_->failed()) return judge_failed_write(written, logs_->appends() != appends_before);
    remember(nullptr);
    expected_.learn(batch, expectations);
    commits_.fetch_add(1, std::memory_order_relaxed);
    if (synced) syncs_.fetch_add(1, std::memory_order_relaxed);
    bytes_written_.fetch_add(batch.bytes(), std::memory_order_relaxed);
    ST8_FAILPOINT_VOID("engine.after_write");
    return {};
  }

  Status reclaim(const std::vector<KeyRange>& ranges) override {
    if (read_only_) return {};
    const LightMerges::Tightly tightly(*light_merges_);
    // All families at once: the log is let go only when none of them needs it any more.
    rocksdb::FlushOptions flush;
    flush.allow_write_stall = false;
    const rocksdb::Status flushed = db_->Flush(flush, {families_.begin(), families_.end()});
    if (!flushed.ok()) return fail(to_error(flushed, "cannot give disk space back"));
    if (ranges.empty()) return reclaim_range({});
    for (const KeyRange& range : ranges) ST8_TRY(reclaim_range(range));
    return {};
  }

  EngineStats stats() const override {
    EngineStats stats;
    stats.gets = gets_.load(std::memory_order_relaxed);
    stats.scans = scans_.load(std::memory_order_relaxed);
    stats.commits = commits_.load(std::memory_order_relaxed);
    stats.syncs = syncs_.load(std::memory_order_relaxed);
    stats.bytes_written = bytes_written_.load(std::memory_order_relaxed);

    const std::uint64_t tables = sum_property("rocksdb.total-sst-files-size");
    const std::uint64_t write_buffers = sum_property("rocksdb.cur-size-all-mem-tables");
    const std::uint64_t readers = sum_property("rocksdb.estimate-table-readers-mem");
    const std::uint64_t cached = cache_->GetUsage();
    stats.disk_bytes = tables + log_bytes();
    stats.memory_bytes = write_buffers + readers + cached;

    std::string& out = stats.detail;
    const auto line = [&out](std::string_view name, std::uint64_t value) {
      out += "rocksdb_";
      out += name;
      out += ' ';
      out += std::to_string(value);
      out += '\n';
    };
    line("sst_bytes", tables);
    line("wal_bytes", stats.disk_bytes - tables);
    line("memtable_bytes", write_buffers);
    line("table_reader_bytes", readers);
    line("block_cache_bytes", cached);
    line("block_cache_capacity_bytes", cache_->GetCapacity());
    line("keys_estimate", sum_property("rocksdb.estimate-num-keys"));
    line("level0_files", newest_files(families_[kRecords]) + newest_files(families_[kBodies]));
    line("compaction_pending_bytes", sum_property("rocksdb.estimate-pending-compaction-bytes"));
    line("compactions_running", property("rocksdb.num-running-compactions", families_[0]));
    line("flushes_running", property("rocksdb.num-running-flushes", families_[0]));
    line("snapshots", property("rocksdb.num-snapshots", families_[0]));
    line("background_errors_total", property("rocksdb.background-errors", families_[0]));
    line("write_stopped", property("rocksdb.is-write-stopped", families_[0]));
    line("write_delayed_bytes_per_second", property("rocksdb.actual-delayed-write-rate", families_[0]));
    line("reclaim_rests_total", pace_->rests());
    line("wal_syncs_total", logs_->syncs());
    line("merges_light", light_merges_->light() ? 1 : 0);
    for (const auto& [ticker, name] : kTickers) line(name, statistics_->getTickerCount(ticker));
    return stats;
  }

 private:
  static constexpr std::size_t kRecords = 0;
  static constexpr std::size_t kBodies = 1;
  static constexpr std::array<std::pair<rocksdb::Tickers, std::string_view>, 8> kTickers{{
      {rocksdb::BLOCK_CACHE_HIT, "block_cache_hits_total"},
      {rocksdb::BLOCK_CACHE_MISS, "block_cache_misses_total"},
      {rocksdb::BLOOM_FILTER_USEFUL, "bloom_useful_total"},
      {rocksdb::WAL_FILE_BYTES, "wal_written_bytes_total"},
      {rocksdb::FLUSH_WRITE_BYTES, "flush_written_bytes_total"},
      {rocksdb::COMPACT_READ_BYTES, "compaction_read_bytes_total"},
      {rocksdb::COMPACT_WRITE_BYTES, "compaction_written_bytes_total"},
      {rocksdb::STALL_MICROS, "write_stall_micros_total"},
  }};

  rocksdb::ColumnFamilyHandle* family_of(std::string_view key) const {
    return families_[keyspace::is_body(key) ? kBodies : kRecords];
  }

  // The one family that a range lies in; nullopt: it may span both.
  static std::optional<std::size_t> family_of_range(const KeyRange& range) {
    if (range.begin.empty() || range.end.empty()) return std::nullopt;
    const auto first = static_cast<unsigned char>(range.begin.front());
    const auto last = static_cast<unsigned char>(range.end.front());
    const bool one_table = last == first || (last == first + 1 && range.end.size() == 1);
    if (!one_table) return std::nullopt;
    return keyspace::is_body(range.begin) ? kBodies : kRecords;
  }

  // An empty bound is none; `end` may lie in the range.
  Status compact(rocksdb::ColumnFamilyHandle* family, std::string_view begin, std::string_view end,
                 rocksdb::BottommostLevelCompaction lowest) {
    rocksdb::CompactRangeOptions options;
    options.bottommost_level_compaction = lowest;
    options.exclusive_manual_compaction = false;
    options.canceled = &closing_;
    const rocksdb::Slice first = to_slice(begin);
    const rocksdb::Slice last = to_slice(end);
    const rocksdb::Status status =
        db_->CompactRange(options, family, begin.empty() ? nullptr : &first, end.empty() ? nullptr : &last);
    if (!status.ok() && !status.IsIncomplete()) return fail(to_error(status, "cannot give disk space back"));
    return {};
  }

  // How the tables lie that a range overlaps.
  struct Tables {
    std::uint64_t packed_bytes = 0, packed_entries = 0;  // In the lowest level, as tight as they get.
    std::uint64_t loose_bytes = 0;                       // In the levels above, or as they were flushed.
    std::uint64_t deletions = 0;                         // Marks that stand for entries below.
    // The first and last keys of tables that came to the lowest level as they were flushed, because nothing was there to merge
    // them with: packed for speed, with their deleted ones still in them.
    std::vector<KeyRange> unfinished;

    // Rewriting costs what stays; it is worth that when a sixteenth is to be gained, or much.
    bool worth_rewriting() const {
      const std::uint64_t entry_bytes = packed_entries == 0 ? 0 : packed_bytes / packed_entries;
      const std::uint64_t gain = loose_bytes + deletions * entry_bytes;
      return gain > 0 && (gain >= packed_bytes / 16 || gain >= (64u << 20));
    }
  };
  Result<Tables> tables_of(rocksdb::ColumnFamilyHandle* family, const KeyRange& range) const {
    const std::string past_all(64, '\xff');
    const rocksdb::Range wanted(to_slice(range.begin), range.end.empty() ? to_slice(past_all) : to_slice(range.end));
    rocksdb::TablePropertiesCollection properties;
    const rocksdb::Status status = db_->GetPropertiesOfTablesInRange(family, &wanted, 1, &properties);
    if (!status.ok()) return fail(to_error(status, "cannot look at the tables"));
    rocksdb::ColumnFamilyMetaData shape;
    db_->GetColumnFamilyMetaData(family, &shape);
    int lowest = 0;
    for (const rocksdb::LevelMetaData& level : shape.levels) {
      if (!level.files.empty()) lowest = level.level;
    }
    Tables tables;
    for (const rocksdb::LevelMetaData& level : shape.levels) {
      for (const rocksdb::SstFileMetaData& file : level.files) {
        const auto found = properties.find(file.db_path + file.name);
        if (found == properties.end()) continue;
        const rocksdb::TableProperties& table = *found->second;
        tables.deletions += table.num_deletions;
        if (level.level == lowest && level.level > 0 && table.compression_name == "ZSTD" && table.num_deletions == 0) {
          tables.packed_bytes += file.size;
          tables.packed_entries += table.num_entries;
        } else {
          tables.loose_bytes += file.size;
          if (level.level == lowest) tables.unfinished.push_back({file.smallestkey, file.largestkey});
        }
      }
    }
    return tables;
  }

  Status reclaim_range(const KeyRange& range) {
    const std::optional<std::size_t> one = family_of_range(range);
    for (std::size_t i = 0; i < families_.size(); ++i) {
      if (one && *one != i) continue;
      ST8_ASSIGN(const Tables before, tables_of(families_[i], range));
      if (!before.worth_rewriting()) continue;
      // Marks of deletion always lie above what they delete, so bringing the upper levels down rewrites just those files
      // of the lowest one that lose something or gain something.
      ST8_TRY(compact(families_[i], range.begin, range.end, rocksdb::BottommostLevelCompaction::kSkip));
      ST8_ASSIGN(const Tables after, tables_of(families_[i], range));
      for (const KeyRange& table : after.unfinished) {
        ST8_TRY(compact(families_[i], table.begin, table.end, rocksdb::BottommostLevelCompaction::kForceOptimized));
      }
    }
    return {};
  }

  Result<bool> read(std::string_view key, const rocksdb::Snapshot* snapshot, rocksdb::PinnableSlice& value) const {
    rocksdb::ReadOptions options;
    options.snapshot = snapshot;
    const rocksdb::Status status = db_->Get(options, family_of(key), to_slice(key), &value);
    if (status.ok()) return true;
    if (status.IsNotFound()) return false;
    return fail(to_error(status, "cannot read the store"));
  }

  // RocksDB looks up many keys at once in the order of its files: searches of one file share its filters and indexes. A
  // block that is not kept is unpacked into memory that the one before has just left.
  Status read_many(std::span<const std::string> keys, const rocksdb::Snapshot* snapshot,
                   std::vector<std::optional<std::string>>& values) const {
    rocksdb::ReadOptions options;
    options.snapshot = snapshot;
    options.fill_cache = false;
    std::vector<std::size_t> wanted;  // Positions in `keys`: those of one family.
    std::vector<rocksdb::Slice> slices;
    for (rocksdb::ColumnFamilyHandle* const family : families_) {
      wanted.clear();
      slices.clear();
      for (std::size_t i = 0; i < keys.size(); ++i) {
        if (family_of(keys[i]) != family) continue;
        wanted.push_back(i);
        slices.push_back(to_slice(keys[i]));
      }
      if (wanted.empty()) continue;
      std::vector<rocksdb::PinnableSlice> found(wanted.size());
      std::vector<rocksdb::Status> statuses(wanted.size());
      db_->MultiGet(options, family, wanted.size(), slices.data(), found.data(), statuses.data());
      for (std::size_t i = 0; i < wanted.size(); ++i) {
        std::optional<std::string>& value = values[wanted[i]];
        value.reset();
        if (statuses[i].ok()) {
          value.emplace(found[i].data(), found[i].size());
        } else if (!statuses[i].IsNotFound()) {
          return fail(to_error(statuses[i], "cannot read the store"));
        }
      }
    }
    return {};
  }

  // Holds commit_mutex_.
  Status check_writable() const {
    if (in_doubt_ || logs_->failed()) {
      return fail(ErrorCode::kUnavailable,
                  "the store accepts no writes since one failed with an unknown outcome (" + failure_text() + ")",
                  "Look at the disk, then restart: what is on disk decides whether that write happened.");
    }
    if (const auto error = listener_->stopped_by()) {
      return fail(ErrorCode::kUnavailable, "the store's engine has stopped writing: " + *error,
                  "Free disk space or mend the disk; it resumes by itself when it can, else restart.");
    }
    return {};
  }
  std::string failure_text() const { return logs_->failed() ? logs_->error() : in_doubt_text_; }

  // Holds commit_mutex_.
  Status check_expectations(std::span<const Expectation> expectations) const {
    for (const Expectation& expected : expectations) {
      if (expected_.holds(expected)) continue;
      rocksdb::PinnableSlice value;
      ST8_ASSIGN(const bool found, read(expected.key, nullptr, value));
      const bool holds =
          found ? expected.value.has_value() && to_view(value) == *expected.value : !expected.value.has_value();
      if (!holds) {
        return fail(ErrorCode::kPreconditionFailed, "the record " + quote(expected.key) + " is not as it was expected",
                    "Read it again and retry.");
      }
    }
    return {};
  }

  // Refuses while refusing is still clean: a log that runs out of disk in the middle of a record leaves the write in doubt.
  Status check_space(const Batch& batch) const {
    struct statvfs disk {};
    if (::statvfs(directory_.c_str(), &disk) != 0) return {};  // The write itself will tell.
    const std::uint64_t unit = disk.f_frsize;
    const std::uint64_t free_bytes = disk.f_bavail * unit;
    std::uint64_t kept = std::min(kFreeBytesKept, disk.f_blocks * unit / 20);
    if (batch.frees_space()) kept /= 4;  // What makes room must not be refused for want of it.
    if (free_bytes >= kept + 2 * batch.bytes()) return {};
    return fail(ErrorCode::kUnavailable,
                "the disk of " + quote(directory_) + " is full: " + std::to_string(free_bytes >> 20) +
                    " MiB are free, and " + std::to_string(kept >> 20) + " MiB are kept for the engine's housekeeping",
                "Free disk space, or run gc; nothing was written.");
  }

  // Holds commit_mutex_. `reached_log`: something of the write was handed to the log.
  Status judge_failed_write(const rocksdb::Status& status, bool reached_log) {
    if (!reached_log && !logs_->failed()) {
      remember(nullptr);
      return fail(to_error(status, "cannot write to the store"));
    }
    in_doubt_ = true;
    in_doubt_text_ = status.ToString();
    return fail(ErrorCode::kOutcomeUnknown,
                "the write or its sync failed (" + failure_text() + "): it may be there after a restart",
                "Look at the disk and restart, then read before you retry.");
  }

  // The state before the commit in progress, which others must not see before it is durable: RocksDB shows it as soon as it is
  // applied in memory. A commit that fails in the log stays in progress: every read stands on the state before it for good.
  // That a commit is in progress is known before it is applied, so a reader that finds none behind its read has seen nothing of
  // one that is not durable.
  void remember(SnapshotPtr before) {
    const std::lock_guard lock(before_mutex_);
    before_write_.swap(before);
    committing_.store(before_write_ != nullptr, std::memory_order_release);
  }
  // Reads by `read` what `snapshot` shows or, where that is null, what is durable: once more if a commit began meanwhile.
  template <class Read>
  Status read_durable(const EngineSnapshot* snapshot, const Read& read) const {
    if (snapshot != nullptr) return read(to_rocks(snapshot));
    SnapshotPtr before = before_commit();
    ST8_TRY(read(before.get()));
    if (before == nullptr && (before = before_commit()) != nullptr) [[unlikely]]
      return read(before.get());
    return {};
  }
  // Null: none is in progress.
  SnapshotPtr before_commit() const {
    if (!committing_.load(std::memory_order_acquire)) return nullptr;
    const std::lock_guard lock(before_mutex_);
    return before_write_;
  }

  std::uint64_t property(const char* name, rocksdb::ColumnFamilyHandle* family) const {
    std::uint64_t value = 0;
    return db_->GetIntProperty(family, name, &value) ? value : 0;
  }
  std::uint64_t sum_property(const char* name) const {
    std::uint64_t sum = 0;
    for (rocksdb::ColumnFamilyHandle* family : families_) sum += property(name, family);
    return sum;
  }
  std::uint64_t newest_files(rocksdb::ColumnFamilyHandle* family) const {
    std::string number;  // Not among the properties that GetIntProperty() knows.
    if (!db_->GetProperty(family, "rocksdb.num-files-at-level0", &number)) return 0;
    return std::strtoull(number.c_str(), nullptr, 10);
  }
  // Newest files wait while their elders are merged: so many that nothing should rest. While reclaim() is at work, they are
  // merged by kTightFiles.
  static constexpr std::uint64_t kNewestFilesMany = LightMerges::kTightFiles + 4;
  bool many_newest_files() const {
    return std::any_of(families_.begin(), families_.end(),
                       [this](auto* family) { return newest_files(family) >= kNewestFilesMany; });
  }
  std::uint64_t log_bytes() const {
    std::uint64_t sum = 0;
    std::error_code error;
    for (std::filesystem::directory_iterator file(directory_, error), end; !error && file != end;
         file.increment(error)) {
      std::error_code gone;
      if (file->path().extension() == ".log") {
        const auto size = file->file_size(gone);
        if (!gone) sum += size;
      }
    }
    return sum;
  }

  std::string directory_;
  bool read_only_;
  std::unique_ptr<rocksdb::Env> environment_;  // Before the database, so that it outlives it.
  std::shared_ptr<Logs> logs_;
  std::shared_ptr<ErrorListener> listener_;
  std::shared_ptr<ReclaimPace> pace_;
  std::shared_ptr<LightMerges> light_merges_;
  std::shared_ptr<rocksdb::Cache> cache_;
  std::shared_ptr<rocksdb::Statistics> statistics_;
  std::unique_ptr<rocksdb::DB> db_;
  std::array<rocksdb::ColumnFamilyHandle*, 2> families_;
  std::atomic<bool> closing_{false};

  std::mutex commit_mutex_;
  ExpectedRecords expected_;  // Guarded by commit_mutex_.
  bool in_doubt_ = false;     // Guarded by commit_mutex_. Never turns back: only a restart knows what is on disk.
  std::string in_doubt_text_;
  mutable std::mutex before_mutex_;
  SnapshotPtr before_write_;             // Guarded by before_mutex_.
  std::atomic<bool> committing_{false};  // before_write_ is there.

  mutable std::atomic<std::uint64_t> gets_{0}, scans_{0};
  std::atomic<std::uint64_t> commits_{0}, syncs_{0}, bytes_written_{0};
};

// Where the blocks of bodies end: between two paths before kBodyBlockBytes are passed, between two versions of one path only
// before kHistoryBlockBytes are.
class PathBlocks final : public rocksdb::FlushBlockPolicyFactory {
 public:
  const char* Name() const override { return "st8.PathBlocks"; }
  rocksdb::FlushBlockPolicy* NewFlushBlockPolicy(const rocksdb::BlockBasedTableOptions&,
                                                 const rocksdb::BlockBuilder&) const override {
    return new Policy;
  }

 private:
  class Policy final : public rocksdb::FlushBlockPolicy {
   public:
    // Whether the block ends before this entry.
    bool Update(const rocksdb::Slice& internal_key, const rocksdb::Slice& value) override {
      constexpr std::size_t kSequenceBytes = 8;  // Behind every key, RocksDB's own.
      constexpr std::size_t kRevisionBytes = 8;  // The end of a body's key: which revision wrote it.
      const std::string_view key = to_view(internal_key).substr(0, internal_key.size() - kSequenceBytes);
      const std::string_view path = key.substr(0, key.size() - std::min(key.size(), kRevisionBytes));
      const auto differ = std::mismatch(path.begin(), path.end(), path_.begin(), path_.end());
      const auto shared = static_cast<std::size_t>(differ.first - path.begin());
      const bool same = path == path_;
      const std::size_t entry = internal_key.size() - shared + value.size();
      const bool ends = block_bytes_ > 0 && block_bytes_ + entry > (same ? kHistoryBlockBytes : kBodyBlockBytes);
      block_bytes_ = (ends ? 0 : block_bytes_) + entry;
      if (!same) path_ = path;
      return ends;
    }

   private:
    std::size_t block_bytes_ = 0;  // Of the block that is being filled.
    std::string path_;             // Of the entry before.
  };
};

rocksdb::BlockBasedTableOptions table_options(const std::shared_ptr<rocksdb::Cache>& cache, std::size_t block_bytes) {
  rocksdb::BlockBasedTableOptions table;
  table.block_cache = cache;
  table.block_size = block_bytes;
  table.format_version = 5;
  table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(kBloomBitsPerKey));
  // Indexes and filters live in the cache, in parts, so that memory has one bound whatever is stored.
  table.index_type = rocksdb::BlockBasedTableOptions::kTwoLevelIndexSearch;
  table.partition_filters = true;
  table.cache_index_and_filter_blocks = true;
  table.cache_index_and_filter_blocks_with_high_priority = true;
  table.pin_l0_filter_and_index_blocks_in_cache = true;
  table.optimize_filters_for_memory = true;
  return table;
}

void set_level_shape(rocksdb::ColumnFamilyOptions& family) {
  family.level_compaction_dynamic_level_bytes = true;
  family.max_bytes_for_level_base = 64u << 20;
  family.target_file_size_base = 16u << 20;
  family.max_write_buffer_number = 3;
  // While much is written, LightMerges changes this, and how levels are packed. Writers are held back when half as
  // many again wait, and stopped at twice as many.
  family.level0_file_num_compaction_trigger = LightMerges::kTightFiles;
  family.level0_slowdown_writes_trigger = LightMerges::kLightFiles + 12;
  family.level0_stop_writes_trigger = LightMerges::kLightFiles * 2;
  family.memtable_factory = make_write_buffer_factory();
}

rocksdb::ColumnFamilyOptions record_options(const RocksDbOptions& options,
                                            const std::shared_ptr<rocksdb::Cache>& cache) {
  rocksdb::ColumnFamilyOptions family;
  set_level_shape(family);
  family.write_buffer_size = options.write_buffer_bytes / 2;
  family.compression_per_level = {rocksdb::kLZ4Compression, rocksdb::kZSTD};
  family.bottommost_compression = rocksdb::kZSTD;
  // Filters on every level: idempotency keys are mostly looked up and not there.
  family.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table_options(cache, kRecordBlockBytes)));
  return family;
}

rocksdb::ColumnFamilyOptions body_options(const RocksDbOptions& options, const std::shared_ptr<rocksdb::Cache>& cache) {
  rocksdb::ColumnFamilyOptions family;
  set_level_shape(family);
  family.write_buffer_size = options.write_buffer_bytes;
  family.compression_per_level = {rocksdb::kLZ4Compression, rocksdb::kZSTD};
  family.bottommost_compression = rocksdb::kZSTD;
  // A body is read by one who knows that it is there, so the lowest level, nine tenths of all, needs no filter.
  family.optimize_filters_for_hits = true;
  rocksdb::BlockBasedTableOptions table = table_options(cache, kBodyBlockBytes);
  table.flush_block_policy_factory = std::make_shared<PathBlocks>();
  family.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
  return family;
}

rocksdb::DBOptions database_options(const RocksDbOptions& options, std::shared_ptr<ErrorListener> listener,
                                    const std::shared_ptr<ReclaimPace>& pace, std::shared_ptr<LightMerges> light_merges,
                                    std::shared_ptr<rocksdb::Statistics> statistics) {
  rocksdb::DBOptions db;
  db.create_if_missing = options.create_if_missing;
  db.create_missing_column_families = options.create_if_missing;
  db.max_background_jobs = options.background_threads;
  // One thread commits at a time, and the write buffer counts on it.
  db.allow_concurrent_memtable_write = false;
  db.max_total_wal_size = options.wal_bytes_max;
  db.db_write_buffer_size = 2 * options.write_buffer_bytes;
  // The log's tail may be torn by a crash; what was synced stands before it.
  db.wal_recovery_mode = rocksdb::WALRecoveryMode::kPointInTimeRecovery;
  db.max_open_files = 512;
  db.max_manifest_file_size = 16u << 20;
  db.bytes_per_sync =
      1u << 20;  // Tables go to disk as they are written, not in one burst that a commit's sync waits behind.
  db.paranoid_checks = true;
  db.info_log_level = rocksdb::WARN_LEVEL;
  if (options.read_only) {
    db.info_log = std::make_shared<NoLog>();
  } else {
    db.info_log = std::make_shared<InfoLog>(options.directory);
  }
  db.stats_dump_period_sec = 0;
  db.stats_persist_period_sec = 0;
  db.skip_stats_update_on_db_open = true;
  db.listeners = {std::move(listener), pace, std::move(light_merges)};
  db.rate_limiter = pace;
  db.statistics = std::move(statistics);
  return db;
}

Error open_error(const rocksdb::Status& status, const std::string& directory) {
  const std::string text = status.ToString();
  // The system's word for a lock that another holds; a disk that fails at the same place is another matter.
  const bool held = text.find("current process") != std::string::npos ||
                    text.find(std::generic_category().message(EAGAIN)) != std::string::npos ||
                    text.find(std::generic_category().message(EACCES)) != std::string::npos;
  if (held && status.IsIOError() && text.find("LOCK") != std::string::npos && text.find("lock") != std::string::npos) {
    std::string message = "the store in " + quote(directory) + " is held by ";
    if (text.find("current process") != std::string::npos) {
      message += "this process already";
    } else if (const long pid = lock_holder(directory + "/LOCK"); pid > 0) {
      message += "process " + std::to_string(pid);
    } else {
      message += "another process";
    }
    message += " (its lock: " + quote(directory + "/LOCK") + ")";
    return {ErrorCode::kUnavailable, std::move(message), "Talk to that process, stop it, or choose another directory."};
  }
  if (status.IsInvalidArgument() && text.find("does not exist") != std::string::npos) {
    return {ErrorCode::kNotFound, "there is no store in " + quote(directory), "Check the directory's name."};
  }
  return to_error(status, "cannot open the store in " + quote(directory));
}

Result<std::unique_ptr<Engine>> open_checked(const RocksDbOptions& options) {
  const bool exists = ::access((options.directory + "/CURRENT").c_str(), F_OK) == 0;
  if (!exists && (!options.create_if_missing || options.read_only)) {
    return fail(ErrorCode::kNotFound, "there is no store in " + quote(options.directory),
                "Check the directory's name.");
  }
  if (!options.read_only) {
    ST8_TRY(make_directory(options.directory));
    if (::access(options.directory.c_str(), R_OK | W_OK | X_OK) != 0) {
      return fail(
          ErrorCode::kUnavailable,
          "cannot write to the directory " + quote(options.directory) + ": " + std::generic_category().message(errno),
          "Give this user write access to it, or choose another directory.");
    }
  }
  auto listener = std::make_shared<ErrorListener>();
  auto pace = std::make_shared<ReclaimPace>();
  auto light_merges = std::make_shared<LightMerges>(options.light_merges_bytes_per_second);
  auto cache = rocksdb::NewLRUCache(options.block_cache_bytes, /*num_shard_bits=*/4, /*strict_capacity_limit=*/false,
                                    /*high_pri_pool_ratio=*/0.5);
  auto statistics = rocksdb::CreateDBStatistics();
  statistics->set_stats_level(rocksdb::StatsLevel::kExceptHistogramOrTimers);
  auto logs = std::make_shared<Logs>();
  std::unique_ptr<rocksdb::Env> environment = rocksdb::NewCompositeEnv(make_file_system(logs));
  rocksdb::DBOptions db_options = database_options(options, listener, pace, light_merges, statistics);
  db_options.env = environment.get();
  const std::vector<rocksdb::ColumnFamilyDescriptor> families{
      {rocksdb::kDefaultColumnFamilyName, record_options(options, cache)},
      {std::string(kBodiesName), body_options(options, cache)},
  };
  std::vector<rocksdb::ColumnFamilyHandle*> handles;
  rocksdb::DB* raw = nullptr;
  const rocksdb::Status status =
      options.read_only ? rocksdb::DB::OpenForReadOnly(db_options, options.directory, families, &handles, &raw)
                        : rocksdb::DB::Open(db_options, options.directory, families, &handles, &raw);
  if (!status.ok()) return fail(open_error(status, options.directory));
  return std::make_unique<RocksEngine>(options.directory, options.read_only, std::move(environment), std::move(logs),
                                       std::move(listener), std::move(pace), std::move(light_merges), std::move(cache),
                                       std::move(statistics), std::unique_ptr<rocksdb::DB>(raw), handles[0],
                                       handles[1]);
}

}  // namespace

Result<std::unique_ptr<Engine>> open_rocksdb_engine(const RocksDbOptions& options) {
  try {
    return open_checked(options);
  } catch (const std::exception& error) {
    return fail(ErrorCode::kUnavailable, "cannot open the store in " + quote(options.directory) + ": " + error.what(),
                "Check the machine's memory and limits.");
  }
}

}  // namespace st8::state
