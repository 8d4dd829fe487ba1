// The connections that are open, found by the tag that epoll hands back. A tag names one connection for ever: when
// its slot is reused, the generation in the tag differs, so that a late event finds nobody.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

namespace st8::http {

class Connection;

// Thread-safe. Cost: O(1) under one of sixteen locks.
class ConnectionTable {
 public:
  // Takes the connection and answers its tag.
  std::uint64_t insert(std::shared_ptr<Connection> connection);
  std::shared_ptr<Connection> find(std::uint64_t tag) const;
  void erase(std::uint64_t tag);
  std::size_t size() const { return size_.load(std::memory_order_relaxed); }

  // All connections for which `wanted` is true; it is called under a lock and must be quick.
  template <class Wanted>
  std::vector<std::shared_ptr<Connection>> collect(Wanted wanted) const {
    std::vector<std::shared_ptr<Connection>> found;
    for (const Shard& shard : shards_) {
      const std::lock_guard lock(shard.mutex);
      for (const Slot& slot : shard.slots) {
        if (slot.connection && wanted(*slot.connection)) found.push_back(slot.connection);
      }
    }
    return found;
  }

 private:
  static constexpr std::uint64_t kShards = 16;
  struct Slot {
    std::shared_ptr<Connection> connection;
    std::uint32_t generation = 0;
  };
  struct Shard {
    mutable std::mutex mutex;
    std::vector<Slot> slots;
    std::vector<std::uint32_t> free;
  };
  std::array<Shard, kShards> shards_;
  std::atomic<std::uint32_t> next_shard_{0};
  std::atomic<std::size_t> size_{0};
};

}  // namespace st8::http
