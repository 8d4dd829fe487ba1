#include "tree/cursor.h"
#include "tree/node.h"

namespace st8::state::tree {
namespace {

struct Walk {
  const NodeSource& source;
  const std::function<bool(const NodeLocation&, const Hash&)>& enter;
  const std::function<void(std::string_view, const DocumentRef&)>& blob;
  const std::function<void(const NodeLocation&)>& base;
  std::string key;

  // As deep as the tree, whose level load_child() checks to fall by one at each step.
  Status visit(const Node& node) {
    if (base) {
      for (const Base& each : node.bases())
        base({node.level(), std::string(node.first_key()), each.version.written_at});
    }
    if (node.level() == 0) {
      if (!blob) return {};
      for (std::size_t i = 0; i < node.count(); ++i) {
        key.clear();
        node.append_key(i, key);
        blob(key, node.document(i));
      }
      return {};
    }
    const auto child_level = static_cast<std::uint8_t>(node.level() - 1);
    for (std::size_t i = 0; i < node.count(); ++i) {
      if (!enter({child_level, node.key(i), node.written_at(i)}, node.hash(i))) continue;
      ST8_ASSIGN(const auto child, load_child(source, node, i));
      ST8_TRY(visit(*child));
    }
    return {};
  }
};

}  // namespace

Status walk(const NodeSource& source, const TreeRoot& root,
            const std::function<bool(const NodeLocation& location, const Hash& name)>& enter,
            const std::function<void(std::string_view key, const DocumentRef& ref)>& blob,
            const std::function<void(const NodeLocation& location)>& base) {
  if (root.empty() || !enter({root.level, root.first_key, root.written_at}, root.hash)) return {};
  ST8_ASSIGN(const auto node, load_root(source, root));
  return Walk{source, enter, blob, base, {}}.visit(*node);
}

}  // namespace st8::state::tree
