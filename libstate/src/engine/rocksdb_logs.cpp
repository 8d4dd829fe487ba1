// Source: RocksDB 7.8, include/rocksdb/file_system.h.
#include "engine/rocksdb_logs.h"

#include <algorithm>
#include <cerrno>
#include <string_view>
#include <system_error>
#include <utility>

#include "engine/log_file.h"

namespace st8::state {
// LogFile, as RocksDB wants its files. An error of append or sync is kept in Logs, which who commits asks, and hidden from
// RocksDB: it would go on to use the file, and its debug assertions, which Debian's build has switched on, take that for a bug
// and end the process. Behind an error the file takes nothing more, so what was synced stays readable.
class RocksLogFile final : public rocksdb::FSWritableFile {
 public:
  RocksLogFile(std::string path, std::shared_ptr<Logs> logs) : path_(std::move(path)), logs_(std::move(logs)) {
    logs_->add(*this);
  }
  ~RocksLogFile() override { logs_->remove(*this); }

  rocksdb::IOStatus open() {
    const int error = file_.open(path_);
    if (error == 0) return rocksdb::IOStatus::OK();
    const std::string text = std::generic_category().message(error);
    return error == ENOSPC || error == EDQUOT ? rocksdb::IOStatus::NoSpace(path_, text)
                                              : rocksdb::IOStatus::IOError(path_, text);
  }

  using rocksdb::FSWritableFile::Append;
  rocksdb::IOStatus Append(const rocksdb::Slice& data, const rocksdb::IOOptions&, rocksdb::IODebugContext*) override {
    logs_->appends_.fetch_add(1, std::memory_order_relaxed);
    size_ += data.size();
    if (!logs_->failed()) note(file_.append({data.data(), data.size()}), "append to");
    appended_.fetch_add(1, std::memory_order_release);
    return rocksdb::IOStatus::OK();
  }
  rocksdb::IOStatus Truncate(std::uint64_t size, const rocksdb::IOOptions&, rocksdb::IODebugContext*) override {
    size_ = size;
    if (!logs_->failed()) note(file_.truncate(size), "truncate");
    return rocksdb::IOStatus::OK();
  }
  rocksdb::IOStatus Close(const rocksdb::IOOptions&, rocksdb::IODebugContext*) override {
    // What had to be durable was synced before; a close that fails takes nothing of it back.
    const std::lock_guard lock(sync_mutex_);
    static_cast<void>(file_.close());
    closed_ = true;
    return rocksdb::IOStatus::OK();
  }
  // Behind each record.
  rocksdb::IOStatus Flush(const rocksdb::IOOptions&, rocksdb::IODebugContext*) override {
    if (logs_->write_out_early_.load(std::memory_order_relaxed) && !logs_->failed()) file_.write_out();
    return rocksdb::IOStatus::OK();
  }
  rocksdb::IOStatus Sync(const rocksdb::IOOptions&, rocksdb::IODebugContext*) override {
    sync();
    return rocksdb::IOStatus::OK();
  }
  bool IsSyncThreadSafe() const override { return true; }
  std::uint64_t GetFileSize(const rocksdb::IOOptions&, rocksdb::IODebugContext*) override { return size_; }
  // It prepares its blocks itself.
  void PrepareWrite(std::size_t, std::size_t, const rocksdb::IOOptions&, rocksdb::IODebugContext*) override {}

  // By who commits, and by RocksDB when it has made tables of what other logs hold. One at a time: the system tells an error once,
  // and who came second would hear of none.
  void sync() {
    const std::lock_guard lock(sync_mutex_);
    const std::uint64_t appended = appended_.load(std::memory_order_acquire);
    if (appended == synced_ || closed_ || logs_->failed()) return;
    note(file_.sync(), "sync");
    synced_ = appended;
    logs_->syncs_.fetch_add(1, std::memory_order_relaxed);
  }

 private:
  void note(int error, const char* doing) {
    if (error != 0)
      logs_->fail(std::string("cannot ") + doing + " " + path_ + ": " + std::generic_category().message(error));
  }

  std::string path_;
  std::shared_ptr<Logs> logs_;
  LogFile file_;
  std::uint64_t size_ = 0;                  // As RocksDB believes.
  std::atomic<std::uint64_t> appended_{0};  // How often.
  std::mutex sync_mutex_;
  std::uint64_t synced_ = 0;  // Guarded by sync_mutex_, as is closed_: of appended_.
  bool closed_ = false;
};

namespace {

class FileSystem final : public rocksdb::FileSystemWrapper {
 public:
  explicit FileSystem(std::shared_ptr<Logs> logs)
      : rocksdb::FileSystemWrapper(rocksdb::FileSystem::Default()), logs_(std::move(logs)) {}
  const char* Name() const override { return "st8"; }
  rocksdb::IOStatus NewWritableFile(const std::string& path, const rocksdb::FileOptions& options,
                                    std::unique_ptr<rocksdb::FSWritableFile>* file,
                                    rocksdb::IODebugContext* debug) override {
    if (path.ends_with(".sst") && logs_->failed()) return rocksdb::IOStatus::IOError(path, logs_->error());
    if (!path.ends_with(".log")) return target()->NewWritableFile(path, options, file, debug);
    auto log = std::make_unique<RocksLogFile>(path, logs_);
    rocksdb::IOStatus status = log->open();
    if (status.ok()) *file = std::move(log);
    return status;
  }

 private:
  std::shared_ptr<Logs> logs_;
};

}  // namespace

void Logs::sync() {
  // Held while it syncs, so that no file goes meanwhile. Nobody but who makes or drops a log waits for it.
  const std::lock_guard lock(files_mutex_);
  for (RocksLogFile* file : files_) file->sync();
}

void Logs::add(RocksLogFile& file) {
  const std::lock_guard lock(files_mutex_);
  files_.push_back(&file);
}

void Logs::remove(RocksLogFile& file) {
  const std::lock_guard lock(files_mutex_);
  std::erase(files_, &file);
}

void Logs::fail(std::string error) {
  const std::lock_guard lock(error_mutex_);
  if (!failed_.load(std::memory_order_relaxed)) error_ = std::move(error);
  failed_.store(true, std::memory_order_release);
}

std::string Logs::error() const {
  const std::lock_guard lock(error_mutex_);
  return error_;
}

std::shared_ptr<rocksdb::FileSystem> make_file_system(std::shared_ptr<Logs> logs) {
  return std::make_shared<FileSystem>(std::move(logs));
}

}  // namespace st8::state
