#include "tree/node_cache.h"

#include <bit>
#include <cstring>
#include <deque>
#include <mutex>

#include "tree/delta.h"

namespace st8::state::tree {
namespace {

// A name is a SHA-256: its first bytes are as good as a hash.
std::uint64_t word_of(const Hash& name) {
  std::uint64_t word;
  std::memcpy(&word, name.bytes.data(), sizeof word);
  return word;
}
std::uint64_t place_of(keyspace::NamespaceId ns, std::uint64_t name_word, RevisionNumber written_at) {
  return (name_word >> 8) ^ (written_at.value * 0x9e3779b97f4a7c15u) ^ (std::uint64_t{ns.value} << 32);
}

constexpr std::uint32_t kNone = 0xffffffffu;
// Of nodes let go, these stay in each shard for the next ones' room, whoever else wants it; and so many leave at one put.
constexpr std::size_t kLeavingKept = 8;
constexpr int kSparedAtOnce = 4;

}  // namespace

// Entries lie in a slab; a table with linear probing finds them; a hand goes round the slab and evicts.
struct alignas(64) NodeCache::Shard {
  struct Entry {
    std::shared_ptr<const Node> node;  // Null: free.
    std::uint64_t written_at = 0;
    std::uint64_t place = 0;
    std::uint32_t ns = 0;
    bool leaving = false;  // In the shard's `leaving`.
    mutable std::atomic<bool> asked_for{false};

    Entry() = default;
    Entry(Entry&& other) noexcept  // Only under the lock for writing, when the slab grows.
        : node(std::move(other.node)),
          written_at(other.written_at),
          place(other.place),
          ns(other.ns),
          leaving(other.leaving),
          asked_for(other.asked_for.load(std::memory_order_relaxed)) {}
    // Read first: a flag that is set already is not written again, so the line stays shared.
    void mark_asked_for() const {
      if (!asked_for.load(std::memory_order_relaxed)) asked_for.store(true, std::memory_order_relaxed);
    }
    static std::size_t bytes_of(const Node& node) {
      return node.memory_bytes() + sizeof(Entry) + 2 * sizeof(std::uint32_t);
    }
  };

  mutable std::shared_mutex mutex;
  std::vector<Entry> entries;
  std::vector<std::uint32_t> free;
  std::deque<std::uint32_t> leaving;  // Positions, let go longest ago first; some may hold others by now.
  std::vector<std::uint32_t> table;   // Positions in `entries`, or kNone; a power of two, at most half full.
  std::size_t hand = 0;
  std::size_t live = 0;
  std::size_t bytes = 0;
  std::size_t bytes_max = 0;
  alignas(64) mutable std::atomic<std::uint64_t> hits{0};
  mutable std::atomic<std::uint64_t> misses{0};

  std::size_t mask() const { return table.size() - 1; }

  // The entry at this place for which `is_it` holds, or null.
  template <class IsIt>
  const Entry* find(std::uint64_t place, IsIt&& is_it) const {
    if (table.empty()) return nullptr;
    for (std::size_t slot = place & mask(); table[slot] != kNone; slot = (slot + 1) & mask()) {
      const Entry& entry = entries[table[slot]];
      if (entry.place == place && is_it(entry)) return &entry;
    }
    return nullptr;
  }
  const Entry* find(std::uint64_t place, keyspace::NamespaceId ns, const Hash& name, RevisionNumber written_at) const {
    return find(place, [&](const Entry& entry) {
      return entry.written_at == written_at.value && entry.ns == ns.value && entry.node->name() == name;
    });
  }

  void link(std::uint32_t position) {
    std::size_t slot = entries[position].place & mask();
    while (table[slot] != kNone) slot = (slot + 1) & mask();
    table[slot] = position;
  }

  void unlink(std::uint32_t position) {
    std::size_t hole = entries[position].place & mask();
    while (table[hole] != position) hole = (hole + 1) & mask();
    // Close the hole: whatever stands behind it and may stand at it moves up.
    for (std::size_t slot = (hole + 1) & mask(); table[slot] != kNone; slot = (slot + 1) & mask()) {
      const std::size_t home = entries[table[slot]].place & mask();
      if (((slot - home) & mask()) >= ((slot - hole) & mask())) {
        table[hole] = table[slot];
        hole = slot;
      }
    }
    table[hole] = kNone;
  }

  void grow_table() {
    table.assign(std::max<std::size_t>(16, table.size() * 2), kNone);
    for (std::uint32_t i = 0; i < entries.size(); ++i) {
      if (entries[i].node) link(i);
    }
  }

  // The one let go longest ago that nobody asked for since; 0: there is none. Gives the bytes that it took.
  std::size_t evict_leaving() {
    while (!leaving.empty()) {
      const std::uint32_t position = leaving.front();
      leaving.pop_front();
      Entry& entry = entries[position];
      if (!entry.leaving) continue;
      entry.leaving = false;
      if (!entry.asked_for.load(std::memory_order_relaxed)) return evict(position);
    }
    return 0;
  }

  // Any, of which there must be one.
  std::size_t evict_one() {
    if (const std::size_t evicted = evict_leaving()) return evicted;
    // One turn of the hand beyond a full round is enough: each entry's flag is cleared when it is passed.
    for (;; ++hand) {
      if (hand >= entries.size()) hand = 0;
      const Entry& entry = entries[hand];
      if (entry.node && !entry.asked_for.exchange(false, std::memory_order_relaxed))
        return evict(static_cast<std::uint32_t>(hand++));
    }
  }

  std::size_t evict(std::uint32_t position) {
    Entry& entry = entries[position];
    const std::size_t evicted = Entry::bytes_of(*entry.node);
    bytes -= evicted;
    --live;
    unlink(position);
    entry.node.reset();
    entry.leaving = false;
    free.push_back(position);
    return evicted;
  }

  // Makes `wanted` bytes fit, and takes them from the room; false: they do not fit in there.
  bool make_room(std::size_t wanted, CacheRoom* room) {
    std::size_t evicted = 0;
    while (live > 0 && bytes + wanted > bytes_max) evicted += evict_one();
    if (room == nullptr) return true;
    // When others want room and little is left, what was let go makes way: for this node, and a little more for them.
    if (room->is_wanted()) {
      for (int i = 0; i < kSparedAtOnce && evicted < 2 * wanted && leaving.size() > kLeavingKept; ++i)
        evicted += evict_leaving();
    }
    while (evicted < wanted && !room->take(wanted - evicted)) {
      const std::size_t left = evict_leaving();
      if (left == 0 && room->reclaim(wanted - evicted) > 0) continue;
      if (left == 0 && live == 0) {
        room->leave(evicted);
        return false;
      }
      evicted += left > 0 ? left : evict_one();
    }
    if (evicted > wanted) room->leave(evicted - wanted);
    return true;
  }
};

NodeCache::NodeCache(std::size_t bytes_max, CacheRoom* room)
    : shards_(std::make_unique<Shard[]>(kShards)), room_(room) {
  for (std::size_t i = 0; i < kShards; ++i) shards_[i].bytes_max = bytes_max / kShards;
}
NodeCache::~NodeCache() { clear(); }

NodeCache::Shard& NodeCache::shard(std::uint64_t name_word) const { return shards_[name_word % kShards]; }

std::shared_ptr<const Node> NodeCache::get(keyspace::NamespaceId ns, const Hash& name,
                                           RevisionNumber written_at) const {
  const std::uint64_t word = word_of(name);
  const std::uint64_t place = place_of(ns, word, written_at);
  const Shard& home = shard(word);
  const std::shared_lock lock(home.mutex);
  const Shard::Entry* entry = home.find(place, ns, name, written_at);
  if (entry == nullptr) {
    home.misses.fetch_add(1, std::memory_order_relaxed);
    return nullptr;
  }
  home.hits.fetch_add(1, std::memory_order_relaxed);
  entry->mark_asked_for();
  return entry->node;
}

std::shared_ptr<const Node> NodeCache::get_version(keyspace::NamespaceId ns, const NodeLocation& location,
                                                   std::uint64_t name_word) const {
  const Shard& home = shard(name_word);
  const std::shared_lock lock(home.mutex);
  const Shard::Entry* entry = home.find(place_of(ns, name_word, location.written_at), [&](const Shard::Entry& each) {
    return each.written_at == location.written_at.value && each.ns == ns.value &&
           each.node->level() == location.level && each.node->first_key() == location.first_key;
  });
  if (entry == nullptr) return nullptr;
  // A base is asked for by every version that leans on it: it is worth more than any of them.
  entry->mark_asked_for();
  return entry->node;
}

void NodeCache::put(keyspace::NamespaceId ns, RevisionNumber written_at, std::shared_ptr<const Node> node) {
  const std::uint64_t word = word_of(node->name());
  const std::uint64_t place = place_of(ns, word, written_at);
  Shard& home = shard(word);
  const std::unique_lock lock(home.mutex);
  if (home.find(place, ns, node->name(), written_at) != nullptr) return;
  const std::size_t bytes = Shard::Entry::bytes_of(*node);
  if (!home.make_room(bytes, room_)) return;
  if ((home.live + 1) * 2 > home.table.size()) home.grow_table();
  std::uint32_t position;
  if (home.free.empty()) {
    position = static_cast<std::uint32_t>(home.entries.size());
    home.entries.emplace_back();
  } else {
    position = home.free.back();
    home.free.pop_back();
  }
  Shard::Entry& entry = home.entries[position];
  entry.node = std::move(node);
  entry.written_at = written_at.value;
  entry.place = place;
  entry.ns = ns.value;
  entry.asked_for.store(false, std::memory_order_relaxed);  // A scan of all must not drive out what is asked for again.
  home.link(position);
  ++home.live;
  home.bytes += bytes;
}

void NodeCache::let_go(keyspace::NamespaceId ns, const Hash& name, RevisionNumber written_at) {
  const std::uint64_t word = word_of(name);
  Shard& home = shard(word);
  const std::unique_lock lock(home.mutex);
  const Shard::Entry* found = home.find(place_of(ns, word, written_at), ns, name, written_at);
  if (found == nullptr) return;
  const auto position = static_cast<std::uint32_t>(found - home.entries.data());
  Shard::Entry& entry = home.entries[position];
  entry.asked_for.store(false, std::memory_order_relaxed);
  if (!entry.leaving) home.leaving.push_back(position);
  entry.leaving = true;
}

void NodeCache::clear() {
  for (std::size_t i = 0; i < kShards; ++i) {
    Shard& each = shards_[i];
    const std::unique_lock lock(each.mutex);
    if (room_ != nullptr) room_->leave(each.bytes);
    each.entries.clear();
    each.free.clear();
    each.leaving.clear();
    each.table.clear();
    each.hand = each.live = each.bytes = 0;
  }
}

NodeCache::Stats NodeCache::stats() const {
  Stats stats;
  for (std::size_t i = 0; i < kShards; ++i) {
    const Shard& each = shards_[i];
    stats.hits += each.hits.load(std::memory_order_relaxed);
    stats.misses += each.misses.load(std::memory_order_relaxed);
    const std::shared_lock lock(each.mutex);
    stats.nodes += each.live;
    stats.bytes += each.bytes;
  }
  return stats;
}

Result<std::shared_ptr<const Node>> StoredNodes::node(const NodeLocation& location, const Hash& name) const {
  if (auto node = cache_->get(ns_, name, location.written_at)) return node;
  NodeLocation version = location;
  StoredVersions versions;
  versions.body_at = [&](RevisionNumber written_at) -> Result<std::string> {
    ST8_ASSIGN(auto body,
               engine_->get(keyspace::node_key(ns_, location.level, location.first_key, written_at), snapshot_));
    if (!body) {
      return fail(ErrorCode::kGone,
                  "the tree node of level " + std::to_string(location.level) + " at \"" + location.first_key +
                      "\", written by revision " + std::to_string(written_at.value) + ", is not in the store",
                  "its revision may have been pruned by gc; if not, run `st8d fsck`");
    }
    return std::move(*body);
  };
  versions.at_hand = [&](RevisionNumber written_at, std::uint64_t name_word) {
    version.written_at = written_at;
    return cache_->get_version(ns_, version, name_word);
  };
  if (bases_ == Bases::kKept) {
    versions.keep = [&](RevisionNumber written_at, const std::shared_ptr<const Node>& node) {
      cache_->put(ns_, written_at, node);
    };
  }
  ST8_ASSIGN(auto node, load(location, name, versions));
  cache_->put(ns_, location.written_at, node);
  return node;
}

void UncommittedNodes::put(const NodeLocation& location, std::shared_ptr<const Node> node, std::string body) {
  body_bytes_ += body.size();
  nodes_.push_back({location.written_at, std::move(node),
                    keyspace::node_key(ns_, location.level, location.first_key, location.written_at), std::move(body)});
  if (nodes_.size() * 2 > index_.size()) {
    index_.assign(std::max<std::size_t>(64, std::bit_ceil(nodes_.size() * 4)), 0);
    for (std::uint32_t i = 0; i < nodes_.size(); ++i) index(i);
  } else {
    index(static_cast<std::uint32_t>(nodes_.size() - 1));
  }
}

void UncommittedNodes::index(std::uint32_t position) {
  const std::size_t mask = index_.size() - 1;
  std::size_t slot = word_of(nodes_[position].node->name()) & mask;
  while (index_[slot] != 0) slot = (slot + 1) & mask;
  index_[slot] = position + 1;
}

std::shared_ptr<const Node> UncommittedNodes::cached(const Hash& name, RevisionNumber written_at) const {
  if (!nodes_.empty()) {
    const std::size_t mask = index_.size() - 1;
    for (std::size_t slot = word_of(name) & mask; index_[slot] != 0; slot = (slot + 1) & mask) {
      const Uncommitted& here = nodes_[index_[slot] - 1];
      if (here.written_at == written_at && here.node->name() == name) return here.node;
    }
  }
  return committed_->cached(name, written_at);
}

Result<std::shared_ptr<const Node>> UncommittedNodes::node(const NodeLocation& location, const Hash& name) const {
  if (auto node = cached(name, location.written_at)) return node;
  return committed_->node(location, name);
}

void UncommittedNodes::roll_back(std::size_t mark) {
  while (nodes_.size() > mark) {
    body_bytes_ -= nodes_.back().body.size();
    nodes_.pop_back();
  }
  std::fill(index_.begin(), index_.end(), 0);
  for (std::uint32_t i = 0; i < nodes_.size(); ++i) index(i);
}

void UncommittedNodes::write_to(Batch& batch) {
  for (Uncommitted& each : nodes_) batch.put(std::move(each.key), std::move(each.body));
}

void UncommittedNodes::publish(NodeCache& cache) {
  for (Uncommitted& each : nodes_) cache.put(ns_, each.written_at, std::move(each.node));
  nodes_.clear();
  index_.clear();
  body_bytes_ = 0;
}

}  // namespace st8::state::tree
