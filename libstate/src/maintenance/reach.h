// What a set of trees stands on, gathered by walking them: the bodies that gc must keep. Shared subtrees are walked once.
#pragma once

#include <cstdint>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "engine/keyspace.h"
#include "st8/state/revision.h"
#include "tree/node_cache.h"
#include "tree/tree.h"

namespace st8::state::maintenance {

// A stored node, told apart by its name and the revision that wrote it. 128 bits of the name: a chance meeting of two would
// make a walk skip a subtree, so fewer will not do.
struct StoredNode {
  std::uint64_t name[2] = {0, 0};
  std::uint64_t written_at = 0;
  friend bool operator==(const StoredNode&, const StoredNode&) = default;
};
struct StoredNodeHash {
  std::size_t operator()(const StoredNode& node) const noexcept {
    return node.name[0] ^ node.written_at * 0x9e3779b97f4a7c15u;
  }
};
StoredNode stored_node(const Hash& name, RevisionNumber written_at);

using StoredNodes = std::unordered_set<StoredNode, StoredNodeHash>;

// Marks of engine keys, 8 bytes each. A chance meeting of two only keeps a body that could go.
class KeyMarks {
 public:
  void add(std::string_view engine_key) { marks_.push_back(mark_of(engine_key)); }
  // Sorts; to be called once after the last add() and before the first contains().
  void seal();
  bool contains(std::string_view engine_key) const;

 private:
  static std::uint64_t mark_of(std::string_view engine_key) { return std::hash<std::string_view>{}(engine_key); }
  std::vector<std::uint64_t> marks_;
};

// Bodies reached from trees of one namespace. Memory: some 40 bytes a node and 8 a body.
class Reach {
 public:
  Reach(const tree::NodeSource& nodes, keyspace::NamespaceId ns) : nodes_(nodes), ns_(ns) {}
  // Errors: those of reading the tree's nodes.
  Status add(const TreeRoot& root);
  KeyMarks& bodies() { return bodies_; }

 private:
  const tree::NodeSource& nodes_;
  const keyspace::NamespaceId ns_;
  StoredNodes entered_;
  KeyMarks bodies_;
};

}  // namespace st8::state::maintenance
