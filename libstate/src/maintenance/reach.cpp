#include "maintenance/reach.h"

#include <algorithm>
#include <cstring>

namespace st8::state::maintenance {

StoredNode stored_node(const Hash& name, RevisionNumber written_at) {
  StoredNode node;
  std::memcpy(node.name, name.bytes.data(), sizeof node.name);
  node.written_at = written_at.value;
  return node;
}

void KeyMarks::seal() {
  std::sort(marks_.begin(), marks_.end());
  marks_.erase(std::unique(marks_.begin(), marks_.end()), marks_.end());
}

bool KeyMarks::contains(std::string_view engine_key) const {
  return std::binary_search(marks_.begin(), marks_.end(), mark_of(engine_key));
}

Status Reach::add(const TreeRoot& root) {
  return tree::walk(
      nodes_, root,
      [&](const tree::NodeLocation& location, const Hash& name) {
        if (!entered_.insert(stored_node(name, location.written_at)).second) return false;
        bodies_.add(keyspace::node_key(ns_, location.level, location.first_key, location.written_at));
        return true;
      },
      [&](std::string_view key, const DocumentRef& ref) { bodies_.add(keyspace::blob_key(ns_, key, ref.written_at)); },
      [&](const tree::NodeLocation& base) {
        bodies_.add(keyspace::node_key(ns_, base.level, base.first_key, base.written_at));
      });
}

}  // namespace st8::state::maintenance
