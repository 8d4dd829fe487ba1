// Contents that fell out of the cache of those written lately (content_cache.h), packed, in the room that the cache of nodes
// does not use. A configuration document takes a third or so of its length, and unpacking it a fraction of a microsecond,
// where reading it from the engine takes dozens.
//
// What was asked for longest ago goes first. Thread-safe: a shard's lock is held for a lookup and for unpacking.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <utility>

#include "base/cache_room.h"
#include "st8/state/hash.h"

namespace st8::state::pipeline {

struct ContentHashWord {  // A SHA-256: any eight bytes of it are as good as a hash.
  std::size_t operator()(const Hash& hash) const noexcept {
    std::size_t word;
    std::memcpy(&word, hash.bytes.data() + 8, sizeof word);
    return word;
  }
};

class PackedContents final : public CacheRoom::Borrower {
 public:
  explicit PackedContents(CacheRoom& room) : room_(room) {}
  ~PackedContents() override;
  PackedContents(const PackedContents&) = delete;
  PackedContents& operator=(const PackedContents&) = delete;

  // Null when it is not here.
  std::shared_ptr<const std::string> find(const Hash& hash);
  // As find(), and it is here no more.
  std::shared_ptr<const std::string> take(const Hash& hash);
  // Costs the packing, a microsecond for a kibibyte. Drops others of its shard when there is no more room.
  void put(const Hash& hash, const std::string& content);
  std::size_t give_back(std::size_t bytes) override;

  struct Stats {
    std::uint64_t hits = 0;
    std::uint64_t contents = 0, bytes = 0;  // Now.
  };
  Stats stats();  // Takes each shard's lock in turn.

 private:
  struct Packed;
  using Slot = std::pair<const Hash, Packed>;  // Where the map has it; it stays there.
  struct Packed {
    std::unique_ptr<char[]> data;
    std::uint32_t size = 0;
    std::uint32_t content_size = 0;  // As `size`: it could not be packed.
    Slot* older = nullptr;
    Slot* newer = nullptr;
    std::size_t bytes() const;  // With what holds it.
    std::shared_ptr<const std::string> unpack() const;
  };
  struct alignas(64) Shard {
    std::mutex mutex;
    std::unordered_map<Hash, Packed, ContentHashWord> index;
    Slot* oldest = nullptr;
    Slot* newest = nullptr;
    std::size_t bytes = 0;
    std::uint64_t hits = 0;
    void link(Slot& slot);  // As the newest.
    void unlink(Slot& slot);
    Packed drop(Slot& slot);
  };
  static constexpr std::size_t kShards = 32;
  Shard& shard_of(const Hash& hash) { return shards_[hash.bytes[0] % kShards]; }

  CacheRoom& room_;
  std::array<Shard, kShards> shards_;
  std::atomic<std::uint32_t> gives_next_{0};  // The shard that gives back first.
};

}  // namespace st8::state::pipeline
