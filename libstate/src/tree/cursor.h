// Walks the nodes of one level of a tree from left to right, holding one node a level. Not thread-safe.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tree/node.h"
#include "tree/tree.h"

namespace st8::state::tree {

// The root's node, checked against what the root says of it. Errors: as NodeSource::node; kCorrupt when they disagree.
// The tree must not be empty.
Result<std::shared_ptr<const Node>> load_root(const NodeSource& source, const TreeRoot& root);
// The child at `index` of an inner node, checked against its entry.
Result<std::shared_ptr<const Node>> load_child(const NodeSource& source, const Node& parent, std::size_t index);

class LevelCursor {
 public:
  LevelCursor(const NodeSource& source, const TreeRoot& root) : source_(&source), root_(&root) {}

  // To the node of `level` (at most the root's) whose range holds `key`. The first node's range has no lower end, the
  // last one's no upper end. Cost: only the nodes between here and there are read.
  Status seek(std::uint8_t level, std::string_view key);
  // To the next node of the same level. False at the end; then there is no node until the next seek.
  Result<bool> next();
  // The node sought.
  const Node& node() const { return *path_.back().node; }
  const std::shared_ptr<const Node>& shared_node() const { return path_.back().node; }
  RevisionNumber written_at() const {
    return path_.size() == 1 ? root_->written_at
                             : path_[path_.size() - 2].node->written_at(path_[path_.size() - 2].index);
  }
  // Whether `key` is below the end of the node's range.
  bool ends_after(std::string_view key) const { return ends_after(path_.size() - 1, key); }

 private:
  struct Step {
    std::shared_ptr<const Node> node;
    std::size_t index = 0;  // Of the child that the next step holds.
  };
  bool begins_at_or_before(std::size_t depth, std::string_view key) const;
  bool ends_after(std::size_t depth, std::string_view key) const;
  Status descend(std::size_t index);

  const NodeSource* source_;
  const TreeRoot* root_;
  std::vector<Step> path_;  // From the root down.
};

}  // namespace st8::state::tree
