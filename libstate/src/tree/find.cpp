#include "tree/cursor.h"
#include "tree/node.h"

namespace st8::state::tree {

Result<std::optional<DocumentRef>> find(const NodeSource& source, const TreeRoot& root, std::string_view key) {
  if (root.empty()) return std::nullopt;
  ST8_ASSIGN(auto node, load_root(source, root));
  while (node->level() > 0) {
    ST8_ASSIGN(node, load_child(source, *node, node->child_for(key)));
  }
  const auto index = node->find(key);
  if (!index) return std::nullopt;
  return node->document(*index);
}

Status scan(const NodeSource& source, const TreeRoot& root, std::string_view prefix, std::string_view after,
            const std::function<bool(std::string_view key, const DocumentRef& ref)>& visit) {
  if (root.empty()) return {};
  const std::string_view from = std::max(prefix, after);
  LevelCursor cursor(source, root);
  ST8_TRY(cursor.seek(0, from));
  std::string key;
  for (std::size_t index = cursor.node().lower_bound(from);;) {
    for (; index < cursor.node().count(); ++index) {
      key.clear();
      cursor.node().append_key(index, key);
      if (key == after) continue;
      if (!key.starts_with(prefix)) return {};
      if (!visit(key, cursor.node().document(index))) return {};
    }
    ST8_ASSIGN(const bool more, cursor.next());
    if (!more) return {};
    index = 0;
  }
}

}  // namespace st8::state::tree
