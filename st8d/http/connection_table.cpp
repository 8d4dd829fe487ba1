#include "http/connection_table.h"

#include "http/connection.h"

namespace st8::http {

// A tag is generation (32 bits), slot (28), shard (4).

std::uint64_t ConnectionTable::insert(std::shared_ptr<Connection> connection) {
  const std::uint64_t index = next_shard_.fetch_add(1, std::memory_order_relaxed) % kShards;
  Shard& shard = shards_[index];
  const std::lock_guard lock(shard.mutex);
  std::uint32_t slot = 0;
  if (shard.free.empty()) {
    slot = static_cast<std::uint32_t>(shard.slots.size());
    shard.slots.emplace_back();
  } else {
    slot = shard.free.back();
    shard.free.pop_back();
  }
  shard.slots[slot].connection = std::move(connection);
  size_.fetch_add(1, std::memory_order_relaxed);
  return std::uint64_t{shard.slots[slot].generation} << 32 | std::uint64_t{slot} << 4 | index;
}

std::shared_ptr<Connection> ConnectionTable::find(std::uint64_t tag) const {
  const Shard& shard = shards_[tag % kShards];
  const std::lock_guard lock(shard.mutex);
  const std::size_t slot = (tag & 0xffffffffu) >> 4;
  if (slot >= shard.slots.size() || shard.slots[slot].generation != tag >> 32) return nullptr;
  return shard.slots[slot].connection;
}

void ConnectionTable::erase(std::uint64_t tag) {
  std::shared_ptr<Connection> gone;  // Destroyed after the lock is released.
  Shard& shard = shards_[tag % kShards];
  const std::lock_guard lock(shard.mutex);
  const std::size_t slot = (tag & 0xffffffffu) >> 4;
  if (slot >= shard.slots.size() || shard.slots[slot].generation != tag >> 32) return;
  gone.swap(shard.slots[slot].connection);
  ++shard.slots[slot].generation;
  shard.free.push_back(static_cast<std::uint32_t>(slot));
  size_.fetch_sub(1, std::memory_order_relaxed);
}

}  // namespace st8::http
