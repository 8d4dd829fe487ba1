// Nodes kept in memory, with counts of what was read and written: the trees of tests stand on it.
#pragma once

#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "st8/state/hash.h"
#include "tree/delta.h"
#include "tree/tree.h"

namespace st8::state::tree {

class MemoryNodes final : public NodeSource, public NodeSink {
 public:
  using Place = std::pair<std::pair<std::uint8_t, std::string>, std::uint64_t>;

  // Decodes the stored body each time, as a store with an empty cache does.
  Result<std::shared_ptr<const Node>> node(const NodeLocation& location, const Hash& name) const override {
    ++reads;
    return load(location, name,
                {[&](RevisionNumber written_at) -> Result<std::string> {
                   const auto found = bodies.find(place({location.level, location.first_key, written_at}));
                   if (found == bodies.end()) return fail(ErrorCode::kGone, "no node there");
                   return found->second;
                 },
                 {},
                 {}});
  }
  void put(const NodeLocation& location, std::shared_ptr<const Node> node, std::string body) override {
    ++writes;
    bytes_written += body.size();
    written.push_back({location, node->name()});
    overwritten = overwritten || !bodies.emplace(place(location), std::move(body)).second;
  }
  static Place place(const NodeLocation& location) {
    return {{location.level, location.first_key}, location.written_at.value};
  }
  void reset_counts() {
    reads = writes = bytes_written = 0;
    written.clear();
  }

  std::map<Place, std::string> bodies;
  std::vector<std::pair<NodeLocation, Hash>> written;  // In order, since reset_counts().
  mutable std::size_t reads = 0;
  std::size_t writes = 0, bytes_written = 0;
  bool overwritten = false;  // A body was put where one lay already: never right.
};

// A document as trees see it: its content's hash and size, written by `revision`.
inline DocumentRef ref_of(std::string_view content, std::uint64_t revision) {
  return {Hash::of(content), content.size(), RevisionNumber{revision}};
}

using Model = std::map<std::string, DocumentRef, std::less<>>;

// The tree built from nothing, in one edit.
inline Result<TreeRoot> build(const Model& model, std::uint64_t revision, MemoryNodes& nodes) {
  std::vector<Edit> edits;
  for (const auto& [key, ref] : model) edits.push_back({key, ref});
  ST8_ASSIGN(auto result, edit(nodes, TreeRoot{}, edits, RevisionNumber{revision}, nodes));
  return result.root;
}

inline Result<Model> contents(const NodeSource& nodes, const TreeRoot& root) {
  Model model;
  ST8_TRY(scan(nodes, root, "", "", [&](std::string_view key, const DocumentRef& ref) {
    model.emplace_hint(model.end(), key, ref);
    return true;
  }));
  return model;
}

}  // namespace st8::state::tree
