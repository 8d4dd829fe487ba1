#include "tree/cursor.h"

namespace st8::state::tree {
namespace {

tl::unexpected<Error> mismatch(std::uint8_t level, std::string_view first_key) {
  return fail(ErrorCode::kCorrupt,
              "a stored tree is damaged: the node of level " + std::to_string(level) + " at \"" +
                  std::string(first_key) + "\" is not what the node above says of it",
              "run `st8d fsck`, and restore from a backup what it names");
}

}  // namespace

std::shared_ptr<const Node> NodeSource::cached(const Hash&, RevisionNumber) const { return nullptr; }

void NodeSink::leave(const Hash&, RevisionNumber) {}

Result<std::shared_ptr<const Node>> load_root(const NodeSource& source, const TreeRoot& root) {
  auto node = source.cached(root.hash, root.written_at);
  if (!node) {
    ST8_ASSIGN(node, source.node({root.level, root.first_key, root.written_at}, root.hash));
  }
  if (node->level() != root.level || node->first_key() != root.first_key ||
      node->document_count() != root.document_count || node->content_bytes() != root.content_bytes) {
    return mismatch(root.level, root.first_key);
  }
  return node;
}

Result<std::shared_ptr<const Node>> load_child(const NodeSource& source, const Node& parent, std::size_t index) {
  const Hash name = parent.hash(index);
  const RevisionNumber written_at = parent.written_at(index);
  const auto level = static_cast<std::uint8_t>(parent.level() - 1);
  auto node = source.cached(name, written_at);
  if (!node) {
    ST8_ASSIGN(node, source.node({level, parent.key(index), written_at}, name));
  }
  if (node->level() != level || node->document_count() != parent.documents(index) ||
      node->content_bytes() != parent.bytes(index) || parent.compare_key(index, node->first_key()) != 0) {
    return mismatch(level, parent.key(index));
  }
  return node;
}

Status LevelCursor::seek(std::uint8_t level, std::string_view key) {
  if (path_.empty()) {
    ST8_ASSIGN(auto root, load_root(*source_, *root_));
    path_.push_back({std::move(root)});
  }
  const std::size_t depth = static_cast<std::size_t>(root_->level - level) + 1;
  if (path_.size() > depth) path_.resize(depth);
  while (path_.size() > 1 && !(begins_at_or_before(path_.size() - 1, key) && ends_after(path_.size() - 1, key)))
    path_.pop_back();
  while (path_.size() < depth) ST8_TRY(descend(node().child_for(key)));
  return {};
}

Result<bool> LevelCursor::next() {
  const std::size_t depth = path_.size();
  while (path_.size() > 1) {
    path_.pop_back();
    if (const std::size_t index = path_.back().index + 1; index < node().count()) {
      ST8_TRY(descend(index));
      while (path_.size() < depth) ST8_TRY(descend(0));
      return true;
    }
  }
  return false;
}

Status LevelCursor::descend(std::size_t index) {
  path_.back().index = index;
  ST8_ASSIGN(auto child, load_child(*source_, node(), index));
  path_.push_back({std::move(child)});
  return {};
}

bool LevelCursor::begins_at_or_before(std::size_t depth, std::string_view key) const {
  while (depth-- > 0) {
    if (const Step& step = path_[depth]; step.index > 0) return step.node->compare_key(step.index, key) <= 0;
  }
  return true;
}

bool LevelCursor::ends_after(std::size_t depth, std::string_view key) const {
  while (depth-- > 0) {
    const Step& step = path_[depth];
    if (step.index + 1 < step.node->count()) return step.node->compare_key(step.index + 1, key) > 0;
  }
  return true;
}

}  // namespace st8::state::tree
