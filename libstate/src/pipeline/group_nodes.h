// The tree nodes of commit groups that are not published yet: of the one being built, and of the one before it, which may
// be on its way to the disk.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "engine/keyspace.h"
#include "st8/state/engine.h"
#include "tree/node.h"
#include "tree/node_cache.h"
#include "tree/tree.h"

namespace st8::state::pipeline {

// Nodes by name and the revision that wrote them. Grows while its group is built; from then on read only, by any thread.
class NodeTable {
 public:
  struct Item {
    RevisionNumber written_at;
    std::shared_ptr<const tree::Node> node;
  };
  void add(RevisionNumber written_at, std::shared_ptr<const tree::Node> node);
  void truncate(std::size_t count);
  void clear();  // Little room is kept for what comes next.
  std::shared_ptr<const tree::Node> find(const Hash& name, RevisionNumber written_at) const;
  const std::vector<Item>& items() const { return items_; }

 private:
  // So few are looked through: of one commit to a namespace there are two or three.
  static constexpr std::size_t kScannedMax = 8;

  void link(std::uint32_t position);
  std::vector<Item> items_;
  std::vector<std::uint32_t>
      slots_;  // Open addressing by name: a position and one more, or 0. Empty: none is needed yet.
};

// What one namespace's edits read from and write to. Used by the builder only.
class GroupNodes final : public tree::NodeSource, public tree::NodeSink {
 public:
  GroupNodes(const Engine& engine, tree::NodeCache& cache, keyspace::NamespaceId ns)
      : ns_(ns), stored_(engine, cache, ns, nullptr, tree::Bases::kForgotten) {}

  Result<std::shared_ptr<const tree::Node>> node(const tree::NodeLocation& location, const Hash& name) const override;
  std::shared_ptr<const tree::Node> cached(const Hash& name, RevisionNumber written_at) const override;
  void put(const tree::NodeLocation& location, std::shared_ptr<const tree::Node> node, std::string body) override;
  void leave(const Hash& name, RevisionNumber written_at) override { left_.push_back({written_at, name}); }

  keyspace::NamespaceId ns() const { return ns_; }
  // What was put since the last accept() or discard(): among the writes (and how many bytes that is) and in the cache, or away.
  std::size_t accept(std::vector<Batch::Write>& writes);
  void discard();
  // The group is sealed: its nodes, perhaps none, stay readable here until the next call.
  void seal();
  void let_go_of_sealed() { sealed_.clear(); }

 private:
  const keyspace::NamespaceId ns_;
  const tree::StoredNodes stored_;
  NodeTable building_, sealed_;
  std::size_t accepted_ = 0;          // Of building_'s items.
  std::vector<Batch::Write> bodies_;  // Of the others.
  std::vector<tree::Version> left_;   // By their edits.
};

// Takes back what an edit put, unless it was accepted meanwhile.
class NodeMark {
 public:
  explicit NodeMark(GroupNodes& nodes) : nodes_(nodes) {}
  ~NodeMark() { nodes_.discard(); }
  NodeMark(const NodeMark&) = delete;
  NodeMark& operator=(const NodeMark&) = delete;

 private:
  GroupNodes& nodes_;
};

}  // namespace st8::state::pipeline
