#include "pipeline/content_cache.h"

#include <utility>

namespace st8::state::pipeline {

std::shared_ptr<const std::string> ContentCache::find(const Hash& hash, bool goes_next) {
  {
    Shard& shard = shard_of(hash);
    const std::lock_guard lock(shard.mutex);
    if (const auto found = shard.index.find(hash); found != shard.index.end()) {
      ++shard.hits;
      Entry& entry = *found->second;
      if (goes_next) entry.then = Then::kGo;
      shard.entries.splice(goes_next ? shard.entries.begin() : shard.entries.end(), shard.entries, found->second);
      return entry.content;
    }
    ++shard.misses;
  }
  if (packed_ == nullptr) return nullptr;
  return goes_next ? packed_->take(hash) : packed_->find(hash);
}

void ContentCache::put(const Hash& hash, std::shared_ptr<const std::string> content, Then then) {
  if (content->size() > kContentBytesMax) return;
  Entry entry{hash, std::move(content), then};
  Shard& shard = shard_of(hash);
  std::list<Entry> dropped;  // Packed and freed after the lock is.
  {
    const std::lock_guard lock(shard.mutex);
    if (const auto found = shard.index.find(hash); found != shard.index.end()) {
      // Perhaps replaced once, and now written again.
      if (then == Then::kPack) found->second->then = then;
      shard.entries.splice(shard.entries.end(), shard.entries, found->second);
      return;
    }
    if (entry.bytes() > shard_bytes_max_) return;
    shard.bytes += entry.bytes();
    while (shard.bytes > shard_bytes_max_) {
      shard.bytes -= shard.entries.front().bytes();
      shard.index.erase(shard.entries.front().hash);
      dropped.splice(dropped.end(), shard.entries, shard.entries.begin());
    }
    shard.entries.push_back(std::move(entry));
    shard.index.emplace(hash, std::prev(shard.entries.end()));
  }
  if (packed_ == nullptr) return;
  for (const Entry& each : dropped) {
    if (each.then == Then::kPack) packed_->put(each.hash, *each.content);
  }
}

ContentCache::Stats ContentCache::stats() {
  Stats stats;
  for (Shard& shard : shards_) {
    const std::lock_guard lock(shard.mutex);
    stats.hits += shard.hits;
    stats.misses += shard.misses;
    stats.bytes += shard.bytes;
  }
  if (packed_ == nullptr) return stats;
  const PackedContents::Stats packed = packed_->stats();
  stats.hits += packed.hits;
  stats.misses -= packed.hits;  // Not found here, and there.
  stats.bytes += packed.bytes;
  return stats;
}

}  // namespace st8::state::pipeline
