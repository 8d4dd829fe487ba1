// Decoded nodes at hand: one bounded cache for the whole store, and the NodeSource that reads through it.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <shared_mutex>
#include <string>
#include <vector>

#include "base/cache_room.h"
#include "engine/keyspace.h"
#include "st8/state/engine.h"
#include "tree/node.h"
#include "tree/tree.h"

namespace st8::state::tree {

// Holds nodes by (namespace, name, revision that wrote it): that names one stored body, and its hash is at hand wherever
// a node is looked up. (The name alone would not do: bodies of one name may place their documents differently.)
//
// Bounded by bytes; what was left behind by commits goes first, then what has not been asked for since the last round
// (CLOCK, which unlike a list of recent use changes nothing shared on a hit). Sharded by name; a hit takes a shard's lock
// for reading and sets a flag, so readers do not wait for each other. Thread-safe.
//
// What it does not use of its room it lends. Who borrows there gives back what a node needs; and what commits left behind
// leaves for a borrower who wants more.
class NodeCache {
 public:
  // `room`, of `bytes_max` and outliving it, is this cache's own; null: nobody borrows from it.
  explicit NodeCache(std::size_t bytes_max, CacheRoom* room = nullptr);
  ~NodeCache();
  NodeCache(const NodeCache&) = delete;
  NodeCache& operator=(const NodeCache&) = delete;

  // Null when it is not here. Counts a hit or a miss.
  std::shared_ptr<const Node> get(keyspace::NamespaceId ns, const Hash& name, RevisionNumber written_at) const;
  // The version of a node that a revision wrote, known by the first eight bytes of its name (delta.h). Counts nothing.
  std::shared_ptr<const Node> get_version(keyspace::NamespaceId ns, const NodeLocation& location,
                                          std::uint64_t name_word) const;
  // Keeps the node, dropping others when the bound asks for it. A node that is here already stays as it is.
  void put(keyspace::NamespaceId ns, RevisionNumber written_at, std::shared_ptr<const Node> node);
  // The node is the next to go when room is wanted, unless it is asked for meanwhile. Nothing if it is not here.
  void let_go(keyspace::NamespaceId ns, const Hash& name, RevisionNumber written_at);
  // Drops all: what was put before its write had succeeded, and the write failed.
  void clear();

  struct Stats {
    std::uint64_t hits = 0, misses = 0;
    std::uint64_t nodes = 0, bytes = 0;  // Now.
  };
  Stats stats() const;  // Takes each shard's lock in turn.

 private:
  struct Shard;
  static constexpr std::size_t kShards = 64;
  Shard& shard(std::uint64_t name_word) const;

  std::unique_ptr<Shard[]> shards_;
  CacheRoom* const room_;
};

// Whether the cache keeps what was read only because a node leans on it. Who reads old revisions asks for it again, with each
// version of the node. Who writes wants the newest version of each node and no other: a base would take the room of one.
enum class Bases : std::uint8_t { kKept, kForgotten };

// Nodes of one namespace: from the cache, else from the engine (verified, and kept in the cache). Thread-safe; the
// engine, the cache and the snapshot must outlive it. Errors of node(): kGone when the engine has no body there (gc has
// dropped it), kCorrupt when the body does not verify, and the engine's own.
class StoredNodes final : public NodeSource {
 public:
  StoredNodes(const Engine& engine, NodeCache& cache, keyspace::NamespaceId ns,
              const EngineSnapshot* snapshot = nullptr, Bases bases = Bases::kKept)
      : engine_(&engine), cache_(&cache), ns_(ns), snapshot_(snapshot), bases_(bases) {}
  Result<std::shared_ptr<const Node>> node(const NodeLocation& location, const Hash& name) const override;
  std::shared_ptr<const Node> cached(const Hash& name, RevisionNumber written_at) const override {
    return cache_->get(ns_, name, written_at);
  }
  void keep(RevisionNumber written_at, std::shared_ptr<const Node> node) const {
    cache_->put(ns_, written_at, std::move(node));
  }
  void let_go(const Hash& name, RevisionNumber written_at) const { cache_->let_go(ns_, name, written_at); }

 private:
  const Engine* engine_;
  NodeCache* cache_;
  keyspace::NamespaceId ns_;
  const EngineSnapshot* snapshot_;
  Bases bases_;
};

// The nodes of edits not committed yet, over those that are: for the commits of a group, each building on the one
// before. Put into the batch what write_to() gives, commit, then publish(). Not thread-safe.
class UncommittedNodes final : public NodeSource, public NodeSink {
 public:
  UncommittedNodes(const NodeSource& committed, keyspace::NamespaceId ns) : committed_(&committed), ns_(ns) {}

  void put(const NodeLocation& location, std::shared_ptr<const Node> node, std::string body) override;
  Result<std::shared_ptr<const Node>> node(const NodeLocation& location, const Hash& name) const override;
  std::shared_ptr<const Node> cached(const Hash& name, RevisionNumber written_at) const override;

  std::size_t count() const { return nodes_.size(); }
  std::size_t body_bytes() const { return body_bytes_; }
  // How many nodes there were: pass it to roll_back() to forget those put since, e.g. of a commit that was refused.
  std::size_t mark() const { return nodes_.size(); }
  void roll_back(std::size_t mark);
  // Moves the bodies into the batch, in the order put.
  void write_to(Batch& batch);
  // After the commit: hands the nodes to the cache.
  void publish(NodeCache& cache);

 private:
  struct Uncommitted {
    RevisionNumber written_at;
    std::shared_ptr<const Node> node;
    std::string key, body;  // As for the engine; empty once written.
  };
  const NodeSource* committed_;
  keyspace::NamespaceId ns_;
  std::vector<Uncommitted> nodes_;
  std::vector<std::uint32_t> index_;  // Open addressing by name: a position in nodes_ and one more, or 0.
  std::size_t body_bytes_ = 0;
  void index(std::uint32_t position);
};

}  // namespace st8::state::tree
