#include "engine/rocksdb_pace.h"

#include <algorithm>
#include <limits>
#include <utility>

namespace st8::state {

void ReclaimPace::watch(std::function<std::uint64_t()> commits, std::function<bool()> in_haste) {
  commits_ = std::move(commits);
  in_haste_ = std::move(in_haste);
}

void ReclaimPace::OnCompactionBegin(rocksdb::DB*, const rocksdb::CompactionJobInfo& job) {
  if (job.compaction_reason != rocksdb::CompactionReason::kManualCompaction) return;
  work_began_.store(Clock::now().time_since_epoch().count(), std::memory_order_relaxed);
  commits_seen_.store(commits_(), std::memory_order_relaxed);
  thread_.store(std::this_thread::get_id());
}

void ReclaimPace::OnCompactionCompleted(rocksdb::DB*, const rocksdb::CompactionJobInfo&) {
  std::thread::id self = std::this_thread::get_id();
  thread_.compare_exchange_strong(self, std::thread::id());
}

void ReclaimPace::Request(std::int64_t, rocksdb::Env::IOPriority, rocksdb::Statistics*, OpType) {
  if (thread_.load(std::memory_order_relaxed) != std::this_thread::get_id()) return;
  const Clock::time_point now = Clock::now();
  const Clock::duration work = now - Clock::time_point(Clock::duration(work_began_.load(std::memory_order_relaxed)));
  if (work < kWorkMin) return;
  const std::uint64_t commits = commits_();
  const bool others = commits_seen_.exchange(commits, std::memory_order_relaxed) != commits;
  if (others && !in_haste_()) {
    rests_.fetch_add(1, std::memory_order_relaxed);
    std::this_thread::sleep_for(std::min<Clock::duration>(work * kRest, kRestMax));
  }
  work_began_.store(Clock::now().time_since_epoch().count(), std::memory_order_relaxed);
}

std::int64_t ReclaimPace::GetSingleBurstBytes() const { return std::numeric_limits<std::int64_t>::max(); }

}  // namespace st8::state
