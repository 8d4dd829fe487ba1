#include "pipeline/packed_contents.h"

#include <algorithm>
#include <bit>
#include <lz4.h>
#include <vector>

#include "pipeline/content_cache.h"

namespace st8::state::pipeline {
namespace {

// What an allocator takes for so many bytes: four sizes between two powers of two.
constexpr std::size_t allocated(std::size_t bytes) {
  const std::size_t step = std::max<std::size_t>(16, std::bit_floor(bytes) / 4);
  return (bytes + step - 1) / step * step;
}

constexpr std::size_t kBucketsKept = 64;
constexpr std::size_t kBucketBytes = 16;  // The map's table, which is at least half full.

}  // namespace

std::size_t PackedContents::Packed::bytes() const {
  return allocated(size) + allocated(sizeof(void*) + sizeof(Slot)) + kBucketBytes;
}

std::shared_ptr<const std::string> PackedContents::Packed::unpack() const {
  auto content = std::make_shared<std::string>();
  if (size == content_size) {
    content->assign(data.get(), size);
    return content;
  }
  content->resize(content_size);
  const int unpacked =
      LZ4_decompress_safe(data.get(), content->data(), static_cast<int>(size), static_cast<int>(content_size));
  if (unpacked != static_cast<int>(content_size)) return nullptr;  // It can be read instead.
  return content;
}

void PackedContents::Shard::link(Slot& slot) {
  slot.second.older = newest;
  slot.second.newer = nullptr;
  (newest == nullptr ? oldest : newest->second.newer) = &slot;
  newest = &slot;
}

void PackedContents::Shard::unlink(Slot& slot) {
  Packed& packed = slot.second;
  (packed.older == nullptr ? oldest : packed.older->second.newer) = packed.newer;
  (packed.newer == nullptr ? newest : packed.newer->second.older) = packed.older;
}

PackedContents::Packed PackedContents::Shard::drop(Slot& slot) {
  unlink(slot);
  bytes -= slot.second.bytes();
  Packed packed = std::move(slot.second);
  index.erase(index.find(slot.first));
  return packed;
}

PackedContents::~PackedContents() {
  for (Shard& shard : shards_) room_.leave(shard.bytes);
}

std::shared_ptr<const std::string> PackedContents::find(const Hash& hash) {
  Shard& shard = shard_of(hash);
  const std::lock_guard lock(shard.mutex);
  const auto found = shard.index.find(hash);
  if (found == shard.index.end()) return nullptr;
  ++shard.hits;
  shard.unlink(*found);
  shard.link(*found);
  return found->second.unpack();
}

std::shared_ptr<const std::string> PackedContents::take(const Hash& hash) {
  Packed packed;
  {
    Shard& shard = shard_of(hash);
    const std::lock_guard lock(shard.mutex);
    const auto found = shard.index.find(hash);
    if (found == shard.index.end()) return nullptr;
    ++shard.hits;
    packed = shard.drop(*found);
  }
  room_.leave(packed.bytes());
  return packed.unpack();
}

void PackedContents::put(const Hash& hash, const std::string& content) {
  if (content.empty() || content.size() > ContentCache::kContentBytesMax) return;
  // Not worth it unless an eighth is gained.
  std::array<char, ContentCache::kContentBytesMax> buffer;
  const int fitted = LZ4_compress_default(content.data(), buffer.data(), static_cast<int>(content.size()),
                                          static_cast<int>(content.size() - content.size() / 8));
  Packed packed;
  packed.content_size = static_cast<std::uint32_t>(content.size());
  packed.size = fitted > 0 ? static_cast<std::uint32_t>(fitted) : packed.content_size;
  packed.data = std::make_unique_for_overwrite<char[]>(packed.size);
  std::memcpy(packed.data.get(), fitted > 0 ? buffer.data() : content.data(), packed.size);
  const std::size_t bytes = packed.bytes();

  Shard& shard = shard_of(hash);
  std::vector<Packed> dropped;  // Freed after the lock is.
  const std::lock_guard lock(shard.mutex);
  if (const auto found = shard.index.find(hash); found != shard.index.end()) {
    shard.unlink(*found);
    shard.link(*found);
    return;
  }
  if (room_.is_low()) room_.want();
  while (!room_.take(bytes)) {
    if (shard.oldest == nullptr) return;
    dropped.push_back(shard.drop(*shard.oldest));
    room_.leave(dropped.back().bytes());
  }
  shard.bytes += bytes;
  shard.link(*shard.index.emplace(hash, std::move(packed)).first);
}

std::size_t PackedContents::give_back(std::size_t bytes) {
  std::size_t given = 0;
  for (std::size_t tried = 0; tried < kShards && given < bytes; ++tried) {
    Shard& shard = shards_[gives_next_.fetch_add(1, std::memory_order_relaxed) % kShards];
    const std::lock_guard lock(shard.mutex);
    while (shard.oldest != nullptr && given < bytes) {
      const Packed packed = shard.drop(*shard.oldest);
      given += packed.bytes();
    }
    // Its table shrinks, too.
    if (shard.index.bucket_count() > std::max(kBucketsKept, shard.index.size() * 8)) {
      shard.index.rehash(shard.index.size() * 2);
    }
  }
  room_.leave(given);
  return given;
}

PackedContents::Stats PackedContents::stats() {
  Stats stats;
  for (Shard& shard : shards_) {
    const std::lock_guard lock(shard.mutex);
    stats.hits += shard.hits;
    stats.contents += shard.index.size();
    stats.bytes += shard.bytes;
  }
  return stats;
}

}  // namespace st8::state::pipeline
