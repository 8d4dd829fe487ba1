#include "engine/rocksdb_light_merges.h"

#include <algorithm>
#include <pthread.h>
#include <string>

namespace st8::state {

void LightMerges::start(rocksdb::DB& db, std::span<rocksdb::ColumnFamilyHandle* const> families) {
  const std::lock_guard lock(mutex_);
  db_ = &db;
  families_.assign(families.begin(), families.end());
  thread_ = std::thread([this] { run(); });
}

void LightMerges::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void LightMerges::OnFlushCompleted(rocksdb::DB*, const rocksdb::FlushJobInfo& flush) {
  const std::lock_guard lock(mutex_);
  if (db_ == nullptr) return;
  const Flush now{Clock::now(), flush.table_properties.raw_key_size + flush.table_properties.raw_value_size};
  const Flush oldest = flushes_[next_];
  flushes_[next_] = now;
  next_ = (next_ + 1) % kFlushes;
  seen_ = std::min(seen_ + 1, kFlushes + 1);
  if (seen_ <= kFlushes || held_tight_ > 0) return;
  std::uint64_t bytes = 0;
  for (const Flush& one : flushes_) bytes += one.bytes;
  const double rate =
      static_cast<double>(bytes) / std::max(std::chrono::duration<double>(now.at - oldest.at).count(), 1e-6);
  const double bound = static_cast<double>(light_from_) / (light_wanted_ ? 2 : 1);
  if ((rate >= bound) == light_wanted_) return;
  light_wanted_ = !light_wanted_;
  failed_ = false;
  changed_.notify_all();
}

void LightMerges::run() {
  ::pthread_setname_np(::pthread_self(), "st8-merges");
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [this] { return stopping_ || (light_wanted_ != light() && !failed_); });
    if (stopping_) return;
    const bool wanted_now = light_wanted_;
    if (wanted_now) light_.store(true, std::memory_order_relaxed);  // Some may be from here on, whatever comes of it.
    lock.unlock();
    const bool done = set(wanted_now);
    lock.lock();
    if (done) light_.store(wanted_now, std::memory_order_relaxed);
    failed_ = !done && light_wanted_ == wanted_now;
    changed_.notify_all();
  }
}

bool LightMerges::set(bool light) {
  // The newest files are packed for speed either way, since they are soon merged.
  const std::string rest = light ? "kLZ4Compression" : "kZSTD";
  const std::string files = std::to_string(light ? kLightFiles : kTightFiles);
  return std::all_of(families_.begin(), families_.end(), [&](rocksdb::ColumnFamilyHandle* family) {
    return db_
        ->SetOptions(family, {{"compression_per_level", "kLZ4Compression:" + rest},
                              {"bottommost_compression", rest},
                              {"level0_file_num_compaction_trigger", files}})
        .ok();
  });
}

LightMerges::Tightly::Tightly(LightMerges& merges) : merges_(merges) {
  std::unique_lock lock(merges_.mutex_);
  ++merges_.held_tight_;
  merges_.light_wanted_ = merges_.failed_ = false;
  merges_.seen_ = 0;  // Afterwards the next flushes decide.
  merges_.changed_.notify_all();
  merges_.changed_.wait(lock, [this] { return !merges_.light() || merges_.failed_ || merges_.stopping_; });
}

LightMerges::Tightly::~Tightly() {
  const std::lock_guard lock(merges_.mutex_);
  --merges_.held_tight_;
}

}  // namespace st8::state
