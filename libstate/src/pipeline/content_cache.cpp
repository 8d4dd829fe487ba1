#include "pipeline/content_cache.h"

#include <utility>

namespace st8::state::pipeline {

std::shared_ptr<const std::string> ContentCache::find(const Hash& hash, bool goes_next) {
  Shard& shard = shard_of(hash);
  const std::lock_guard lock(shard.mutex);
  const auto found = shard.index.find(hash);
  if (found == shard.index.end()) return nullptr;
  shard.entries.splice(goes_next ? shard.entries.begin() : shard.entries.end(), shard.entries, found->second);
  return found->second->content;
}

void ContentCache::put(const Hash& hash, std::shared_ptr<const std::string> content) {
  if (content->size() > kContentBytesMax) return;
  Entry entry{hash, std::move(content)};
  Shard& shard = shard_of(hash);
  std::list<Entry> dropped;  // Freed after the lock is.
  {
    const std::lock_guard lock(shard.mutex);
    if (entry.bytes() > shard_bytes_max_ || shard.index.contains(hash)) return;
    shard.bytes += entry.bytes();
    while (shard.bytes > shard_bytes_max_) {
      shard.bytes -= shard.entries.front().bytes();
      shard.index.erase(shard.entries.front().hash);
      dropped.splice(dropped.end(), shard.entries, shard.entries.begin());
    }
    shard.entries.push_back(std::move(entry));
    shard.index.emplace(hash, std::prev(shard.entries.end()));
  }
}

}  // namespace st8::state::pipeline
