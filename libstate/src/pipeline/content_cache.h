// Contents of documents written lately, by their hash: whoever changes a document is told what it was, and that was most
// often written not long ago.
//
// Bounded by bytes; what was asked for longest ago goes first, and lives on packed (packed_contents.h) if somebody may still
// want it and there is room for that. Holds what was committed, and a content's name is its hash, so nothing in it can be
// out of date. Thread-safe: a shard's lock is held for a lookup and a pointer's copy.
#pragma once

#include <array>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <utility>

#include "pipeline/packed_contents.h"
#include "st8/state/hash.h"

namespace st8::state::pipeline {

class ContentCache {
 public:
  // Larger contents are not kept: one would take the place of many, and reading it back costs little beside sending it.
  static constexpr std::size_t kContentBytesMax = 16u << 10;

  // `packed`, which must outlive it, takes what this lets go; null: nobody does.
  explicit ContentCache(std::size_t bytes_max, PackedContents* packed = nullptr)
      : shard_bytes_max_(bytes_max / kShards), packed_(packed) {}

  // Null when it is not here.
  std::shared_ptr<const std::string> find(const Hash& hash) { return find(hash, false); }
  // As find(), for a content that has just been replaced: who else may want it can read it, so it is the next to go.
  std::shared_ptr<const std::string> find_replaced(const Hash& hash) { return find(hash, true); }

  // What becomes of a content when its time here is over. What comes by the thousand is not worth being packed.
  enum class Then { kGo, kPack };
  void put(const Hash& hash, std::shared_ptr<const std::string> content, Then then);
  void put(const Hash& hash, std::string content, Then then) {
    put(hash, std::make_shared<const std::string>(std::move(content)), then);
  }

  struct Stats {
    std::uint64_t hits = 0, misses = 0;
    std::uint64_t bytes = 0;  // Now; of the packed ones, too.
  };
  Stats stats();  // Takes each shard's lock in turn.

 private:
  std::shared_ptr<const std::string> find(const Hash& hash, bool goes_next);

  struct Entry {
    Hash hash;
    std::shared_ptr<const std::string> content;
    Then then;
    std::size_t bytes() const { return content->capacity() + 256; }  // With the nodes that hold it, about.
  };
  struct alignas(64) Shard {
    std::mutex mutex;
    std::list<Entry> entries;  // Asked for longest ago first.
    std::unordered_map<Hash, std::list<Entry>::iterator, ContentHashWord> index;
    std::size_t bytes = 0;
    std::uint64_t hits = 0, misses = 0;
  };
  static constexpr std::size_t kShards = 16;
  Shard& shard_of(const Hash& hash) { return shards_[hash.bytes[0] % kShards]; }

  const std::size_t shard_bytes_max_;
  PackedContents* const packed_;
  std::array<Shard, kShards> shards_;
};

}  // namespace st8::state::pipeline
