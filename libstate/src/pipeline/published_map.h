// A bounded map of immutable values that the committer publishes and readers load on a miss, such that a reader never
// goes back in time: a value loaded from the engine before a commit is not kept over, or beside, what that commit publishes.
//
// Readers:   find(); on a miss  ticket = begin_load(); load from the engine; finish_load(ticket, value).
// Committer: begin_publish() before the engine's commit; then publish(), whether the commit succeeded or not.
// A lock is held for a lookup and a pointer's copy only.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <utility>
#include <vector>

namespace st8::state::pipeline {

template <class Key, class Value, class KeyHash = std::hash<Key>>
class PublishedMap {
 public:
  using Pointer = std::shared_ptr<const Value>;

  explicit PublishedMap(std::size_t entries_max) : shard_entries_max_(entries_max / kShards + 1) {}

  // Null: not here; the engine may have it.
  Pointer find(const Key& key) const {
    const Shard& shard = shard_of(key);
    const std::lock_guard lock(shard.mutex);
    const auto found = shard.entries.find(key);
    return found == shard.entries.end() ? nullptr : found->second;
  }

  struct Ticket {
    std::uint64_t version = 0;
    bool valid = false;
  };
  Ticket begin_load(const Key& key) const {
    const Shard& shard = shard_of(key);
    const std::lock_guard lock(shard.mutex);
    return {shard.version, shard.publishing == 0};
  }
  void finish_load(const Key& key, const Ticket& ticket, Pointer value) {
    if (!ticket.valid || value == nullptr) return;
    Shard& shard = shard_of(key);
    const std::lock_guard lock(shard.mutex);
    if (shard.publishing == 0 && shard.version == ticket.version) insert(shard, key, std::move(value));
  }

  void begin_publish(const Key& key) {
    Shard& shard = shard_of(key);
    const std::lock_guard lock(shard.mutex);
    ++shard.publishing;
  }
  // Ends a begin_publish() of the key. Null: forget the key.
  void publish(const Key& key, Pointer value) {
    Shard& shard = shard_of(key);
    const std::lock_guard lock(shard.mutex);
    --shard.publishing;
    ++shard.version;
    if (value == nullptr) {
      shard.entries.erase(key);
    } else {
      insert(shard, key, std::move(value));
    }
  }

  // The same for all keys for which `forget` is true: for what happens seldom.
  void begin_forget() {
    for (Shard& shard : shards_) {
      const std::lock_guard lock(shard.mutex);
      ++shard.publishing;
    }
  }
  template <class Predicate>
  void end_forget(const Predicate& forget) {
    for (Shard& shard : shards_) {
      const std::lock_guard lock(shard.mutex);
      --shard.publishing;
      ++shard.version;
      std::erase_if(shard.entries, [&](const auto& entry) { return forget(entry.first); });
    }
  }

 private:
  static constexpr std::size_t kShards = 32;
  struct alignas(64) Shard {
    mutable std::mutex mutex;
    std::unordered_map<Key, Pointer, KeyHash> entries;
    std::uint64_t version = 0;
    std::uint32_t publishing = 0;  // Commits on their way that will publish something here.
  };

  static std::size_t index_of(const Key& key) { return (KeyHash{}(key)*0x9e3779b97f4a7c15u >> 40) % kShards; }
  Shard& shard_of(const Key& key) { return shards_[index_of(key)]; }
  const Shard& shard_of(const Key& key) const { return shards_[index_of(key)]; }

  void insert(Shard& shard, const Key& key, Pointer value) {
    const auto [position, inserted] = shard.entries.insert_or_assign(key, std::move(value));
    // Any other entry will do as the one to go: what is in use comes back with its next load.
    if (inserted && shard.entries.size() > shard_entries_max_) {
      auto victim = shard.entries.begin();
      if (victim == position) ++victim;
      shard.entries.erase(victim);
    }
  }

  const std::size_t shard_entries_max_;
  std::array<Shard, kShards> shards_;
};

}  // namespace st8::state::pipeline
