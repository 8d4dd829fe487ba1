// Contents of documents written lately, by their hash: whoever changes a document is told what it was, and that was most
// often written not long ago.
//
// Bounded by bytes; what was asked for longest ago goes first. Holds what was committed, and a content's name is its
// hash, so nothing in it can be out of date. Thread-safe: a shard's lock is held for a lookup and a pointer's copy.
#pragma once

#include <array>
#include <cstring>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <utility>

#include "st8/state/hash.h"

namespace st8::state::pipeline {

class ContentCache {
 public:
  // Larger contents are not kept: one would take the place of many, and reading it back costs little beside sending it.
  static constexpr std::size_t kContentBytesMax = 16u << 10;

  explicit ContentCache(std::size_t bytes_max) : shard_bytes_max_(bytes_max / kShards) {}

  // Null when it is not here.
  std::shared_ptr<const std::string> find(const Hash& hash) { return find(hash, false); }
  // As find(), for a content that has just been replaced: who else may want it can read it, so it is the next to go.
  std::shared_ptr<const std::string> find_replaced(const Hash& hash) { return find(hash, true); }
  void put(const Hash& hash, std::shared_ptr<const std::string> content);
  void put(const Hash& hash, std::string content) {
    put(hash, std::make_shared<const std::string>(std::move(content)));
  }

 private:
  std::shared_ptr<const std::string> find(const Hash& hash, bool goes_next);

  struct Entry {
    Hash hash;
    std::shared_ptr<const std::string> content;
    std::size_t bytes() const { return content->capacity() + 256; }  // With the nodes that hold it, about.
  };
  struct HashWord {  // A SHA-256: any eight bytes of it are as good as a hash.
    std::size_t operator()(const Hash& hash) const noexcept {
      std::size_t word;
      std::memcpy(&word, hash.bytes.data() + 8, sizeof word);
      return word;
    }
  };
  struct alignas(64) Shard {
    std::mutex mutex;
    std::list<Entry> entries;  // Asked for longest ago first.
    std::unordered_map<Hash, std::list<Entry>::iterator, HashWord> index;
    std::size_t bytes = 0;
  };
  static constexpr std::size_t kShards = 16;
  Shard& shard_of(const Hash& hash) { return shards_[hash.bytes[0] % kShards]; }

  const std::size_t shard_bytes_max_;
  std::array<Shard, kShards> shards_;
};

}  // namespace st8::state::pipeline
