// The prolly tree: a search tree over document keys whose node boundaries depend on the keys alone, so that the same
// documents give the same root whatever the order of edits, and an edit of values never moves a boundary.
// Source: Noms' prolly trees; Dolt's go/store/prolly for boundaries chosen by key.
//
// A node is named by the SHA-256 of its content: level, and for each entry its key, its child's (or document's) hash and
// sizes. Where the child lies (the revision that wrote it) stands beside the content and is not part of the name.
// Everything here is a pure function over a NodeSource; nothing locks, nothing writes.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "st8/state/document.h"
#include "st8/state/revision.h"

namespace st8::state::tree {

class Node;  // Decoded and immutable; see node.h.

// Where a node's body lies.
struct NodeLocation {
  std::uint8_t level = 0;
  std::string first_key;
  RevisionNumber written_at;
};

// Gives nodes by location: from a cache, from the commit group being built, from the engine. Thread-safe.
class NodeSource {
 public:
  virtual ~NodeSource() = default;
  // Decoded, and verified against `name`. Errors: kCorrupt, kGone.
  virtual Result<std::shared_ptr<const Node>> node(const NodeLocation& location, const Hash& name) const = 0;
  // The same when it is at hand already, else null. A node is told apart by its name and the revision that wrote it, so
  // a caller need not build a location (a string) first. Asked before every node(); optional.
  virtual std::shared_ptr<const Node> cached(const Hash& name, RevisionNumber written_at) const;
};

// Takes the nodes that an edit makes. `body` is what is stored under the location (level, first_key, the edit's number):
// the whole node, or its difference from an earlier version (delta.h).
class NodeSink {
 public:
  virtual ~NodeSink() = default;
  virtual void put(const NodeLocation& location, std::shared_ptr<const Node> node, std::string body) = 0;
  // Told of the versions of nodes that the edit leaves behind: the tree that it makes does not have them, and an edit of that
  // has to look at them only if keys come or go (delta.h). They may be in other trees, and bodies of this one may be stored as
  // differences from theirs. Optional.
  virtual void leave(const Hash& name, RevisionNumber written_at);
};

struct Edit {
  std::string key;
  std::optional<DocumentRef> value;  // nullopt: delete; deleting a missing key is no change.
};
struct EditResult {
  TreeRoot root;
  std::vector<Change> changes;  // What differs from the tree before, in key order. Empty: root is the one before.
};

// Applies edits (sorted by key, no key twice) and writes O(edits · log n) nodes to the sink, each once, at `number`.
Result<EditResult> edit(const NodeSource& source, const TreeRoot& root, std::span<const Edit> edits,
                        RevisionNumber number, NodeSink& sink);

Result<std::optional<DocumentRef>> find(const NodeSource& source, const TreeRoot& root, std::string_view key);

// Every entry with key > `after` (or >= `from` when `inclusive`) and the prefix, in key order, until `visit` returns false.
Status scan(const NodeSource& source, const TreeRoot& root, std::string_view prefix, std::string_view after,
            const std::function<bool(std::string_view key, const DocumentRef& ref)>& visit);

// Every difference from `before` to `after` with key > `after_key` and the prefix, in key order, until `visit` returns
// false or a key is behind `until` (empty: none is). Subtrees with equal names are skipped unread: cost O(changes · log n).
Status diff(const NodeSource& source, const TreeRoot& before, const TreeRoot& after, std::string_view prefix,
            std::string_view after_key, const std::function<bool(Change&&)>& visit, std::string_view until = {});

// At most `count_max` keys behind `after_key` and with the prefix, in order, that cut what lies there into runs of about the
// same number of documents: first keys of nodes. None when there is little. Cost: some `count_max` nodes.
Result<std::vector<std::string>> cuts(const NodeSource& source, const TreeRoot& root, std::string_view prefix,
                                      std::string_view after_key, std::size_t count_max);

// Visits every node reachable from the root once (children after parents). `enter` returns false to skip a subtree
// (already seen). Leaves' entries are given to `blob`. `base` is given the bodies that entered nodes are stored as
// differences from (delta.h): gc must keep those bodies too. A base need not be a node of any kept tree, so keep them
// in a set of their own: one that was only seen as a base has not been entered. For gc and fsck.
Status walk(const NodeSource& source, const TreeRoot& root,
            const std::function<bool(const NodeLocation& location, const Hash& name)>& enter,
            const std::function<void(std::string_view key, const DocumentRef& ref)>& blob,
            const std::function<void(const NodeLocation& location)>& base);

}  // namespace st8::state::tree
