// Edits a tree level by level, from the leaves up. On each level the nodes that edits fall in are made anew, from the
// first entry of the first such node until an old node's end is an end again; everything between such runs stays. What
// changed among a level's nodes is, entry by entry, the edits of the level above. The result is the tree that would be
// built from nothing: boundaries depend on the keys from a node's beginning on, and runs begin and end at boundaries.
#include <algorithm>
#include <forward_list>
#include <vector>

#include "tree/cursor.h"
#include "tree/delta.h"
#include "tree/node.h"

namespace st8::state::tree {
namespace {

// An edit of one level: the entry takes this value, or goes. The key is kept alive by whoever made the edit.
struct LevelEdit {
  std::string_view key;
  std::optional<NodeEntry> entry;
};

NodeEntry entry_of(const DocumentRef& ref) { return {ref.hash, 1, ref.size, ref.written_at}; }

class Editor {
 public:
  Editor(const NodeSource& source, const TreeRoot& root, RevisionNumber number)
      : source_(source), root_(root), number_(number), cursor_(source, root_) {}

  Result<EditResult> run(std::span<const Edit> edits, NodeSink& sink) {
    EditResult result;
    ST8_ASSIGN(std::vector<LevelEdit> level_edits, effective(edits, result.changes));
    if (level_edits.empty()) {
      result.root = root_;
      return result;
    }
    std::uint8_t level = 0;
    for (;; ++level) {
      if (level == 255) return fail(ErrorCode::kInternal, "a tree has grown beyond 255 levels");
      const bool has_old = !root_.empty() && level <= root_.level;
      std::vector<LevelEdit> above;
      ST8_TRY(has_old ? edit_level(level, level_edits, above) : build_level(level, level_edits, above));
      level_edits = std::move(above);
      if (has_old && level < root_.level) {
        if (level_edits.empty()) return fail(ErrorCode::kInternal, "documents differ and their tree does not");
        continue;
      }
      // The whole level is now known: what `above` keeps are its nodes.
      std::erase_if(level_edits, [](const LevelEdit& edit) { return !edit.entry; });
      if (level_edits.size() <= 1) break;
    }
    if (!level_edits.empty()) {
      ST8_TRY(shrink(level, level_edits.front(), result.root));
    }
    for (Made& made : made_) {
      if (result.root.empty() || made.node->level() > result.root.level)
        continue;  // Made before the tree was known to be lower.
      const NodeLocation location{made.node->level(), std::string(made.node->first_key()), number_};
      sink.put(location, std::move(made.node), std::move(made.body));
    }
    for (const Version& left : left_) sink.leave(left.name, left.written_at);
    return result;
  }

 private:
  struct Old {
    std::shared_ptr<const Node> node;
    RevisionNumber written_at;
  };
  struct New {
    std::shared_ptr<Node> node;
    ChangedEntries changed = ChangedEntries::unknown();  // Since the old node that it stands for.
  };
  struct Made {
    std::shared_ptr<const Node> node;
    std::string body;  // As it will be stored.
  };

  // Those edits that change something, and what they change.
  Result<std::vector<LevelEdit>> effective(std::span<const Edit> edits, std::vector<Change>& changes) {
    std::vector<LevelEdit> out;
    out.reserve(edits.size());
    for (std::size_t i = 0; i < edits.size(); ++i) {
      const Edit& edit = edits[i];
      if (i > 0 && edits[i - 1].key >= edit.key) {
        return fail(ErrorCode::kInternal, "edits of a tree are not in key order: \"" + edit.key + "\"");
      }
      std::optional<DocumentRef> before;
      if (!root_.empty()) {
        ST8_TRY(cursor_.seek(0, edit.key));
        if (const auto index = cursor_.node().find(edit.key)) before = cursor_.node().document(*index);
      }
      if (before ? edit.value && edit.value->hash == before->hash : !edit.value) continue;
      ST8_ASSIGN(auto key, DocumentKey::parse(edit.key));
      if (key.str() != edit.key)
        return fail(ErrorCode::kInvalidArgument, "\"" + edit.key + "\" is not a clean document key");
      const ChangeType type = !before ? ChangeType::kCreate : edit.value ? ChangeType::kUpdate : ChangeType::kDelete;
      out.push_back({edit.key, edit.value ? std::optional(entry_of(*edit.value)) : std::nullopt});
      changes.push_back({std::move(key), type, before, edit.value});
    }
    return out;
  }

  // A level that the old tree does not have: all edits are its entries.
  Status build_level(std::uint8_t level, std::span<const LevelEdit> edits, std::vector<LevelEdit>& above) {
    NodeBuilder builder(level);
    for (const LevelEdit& edit : edits) {
      if (edit.entry) append(builder, edit.key, *edit.entry);
    }
    flush(builder);
    emit(above);
    return {};
  }

  Status edit_level(std::uint8_t level, std::span<const LevelEdit> edits, std::vector<LevelEdit>& above) {
    NodeBuilder builder(level);
    for (std::size_t at = 0; at < edits.size();) {
      ST8_TRY(cursor_.seek(level, edits[at].key));
      std::size_t end = edits_within(edits, at);
      if (update_in_place(edits.subspan(at, end - at))) {
        at = end;
      } else {
        for (;;) {
          merge(builder, edits.subspan(at, end - at));
          at = end;
          // At an old node's end with nothing pending, what follows is as it was.
          if (builder.empty()) break;
          ST8_ASSIGN(const bool more, cursor_.next());
          if (!more) {
            flush(builder);
            break;
          }
          end = edits_within(edits, at);
        }
      }
      emit(above);
    }
    return {};
  }

  // The end of those edits from `at` on that fall in the cursor's node.
  std::size_t edits_within(std::span<const LevelEdit> edits, std::size_t at) const {
    while (at < edits.size() && cursor_.ends_after(edits[at].key)) ++at;
    return at;
  }

  // When no key comes or goes, no boundary of the cursor's node moves.
  bool update_in_place(std::span<const LevelEdit> edits) {
    const Node& node = cursor_.node();
    updates_.clear();
    ChangedEntries changed;
    for (const LevelEdit& edit : edits) {
      if (!edit.entry) return false;
      const auto index = node.find(edit.key);
      if (!index) return false;
      updates_.push_back({*index, *edit.entry});
      changed.add(*index);
    }
    removed_.push_back({cursor_.shared_node(), cursor_.written_at()});
    region_.push_back({node.with(updates_), changed});
    return true;
  }

  // The cursor's node with the edits, appended to the builder.
  void merge(NodeBuilder& builder, std::span<const LevelEdit> edits) {
    const Node& node = cursor_.node();
    removed_.push_back({cursor_.shared_node(), cursor_.written_at()});
    std::size_t index = 0;
    for (const LevelEdit& edit : edits) {
      const std::size_t position = node.lower_bound(edit.key);
      for (; index < position; ++index) append(builder, node, index);
      if (edit.entry) append(builder, edit.key, *edit.entry);
      if (index < node.count() && node.compare_key(index, edit.key) == 0) ++index;
    }
    for (; index < node.count(); ++index) append(builder, node, index);
  }

  void append(NodeBuilder& builder, std::string_view key, const NodeEntry& entry) {
    builder.add(key, entry);
    end_node(builder);
  }
  void append(NodeBuilder& builder, const Node& node, std::size_t index) {
    builder.add(node, index);
    end_node(builder);
  }
  void end_node(NodeBuilder& builder) {
    if (ends_node(builder.key(builder.count() - 1), builder.level(), builder.count())) flush(builder);
  }
  void flush(NodeBuilder& builder) {
    if (!builder.empty()) region_.push_back({builder.finish()});
  }

  // Turns a run's old and new nodes into edits of the level above, in key order.
  void emit(std::vector<LevelEdit>& above) {
    auto old = removed_.begin();
    for (auto& [node, changed] : region_) {
      const std::string_view key = node->first_key();
      for (; old != removed_.end() && old->node->first_key() < key; ++old) drop(above, *old);
      const bool replaces = old != removed_.end() && old->node->first_key() == key;
      NodeEntry entry{node->name(), node->document_count(), node->content_bytes(), number_};
      if (replaces && old->node->name() == node->name()) {
        // A run may begin with an old node that stays as it is. Above, its entry stays too; above the old root there is
        // none yet.
        if (node->level() == root_.level) {
          entry.written_at = root_.written_at;
          kept_.push_back(std::move(node));
          above.push_back({key, entry});
        }
      } else {
        std::string body;
        if (replaces && old->written_at < number_) {
          if (!changed.known()) changed = node->changed_since(*old->node);
          body = stored_body(source_, *node, old->node, old->written_at, changed);
        } else {
          body = node->body();
        }
        above.push_back({key, entry});
        if (replaces) leave_behind(*old, node->bases());
        made_.push_back({std::move(node), std::move(body)});
      }
      if (replaces) ++old;
    }
    for (; old != removed_.end(); ++old) drop(above, *old);
    region_.clear();
    removed_.clear();
  }
  void drop(std::vector<LevelEdit>& above, const Old& old) {
    leave_behind(old, {});
    dropped_keys_.emplace_front(old.node->first_key());
    above.push_back({dropped_keys_.front(), std::nullopt});
  }
  // Of a version and its bases those that the one in its place, with these bases, need not be compared with. What became of
  // a base since then, once known, stays known until keys come or go: it was left when it was replaced.
  void leave_behind(const Old& old, std::span<const Base> bases) {
    const auto leave = [&](const Version& version) {
      const bool compared = std::any_of(bases.begin(), bases.end(), [&](const Base& base) {
        return base.version == version && !base.changed.known();
      });
      if (!compared) left_.push_back(version);
    };
    leave({old.written_at, old.node->name()});
    for (const Base& base : old.node->bases()) {
      if (!base.changed.known()) leave(base.version);
    }
  }

  // The root over one node: that node, or, while it has but one child, the child.
  Status shrink(std::uint8_t level, const LevelEdit& top, TreeRoot& root) const {
    NodeEntry entry = *top.entry;
    std::shared_ptr<const Node> held;  // Keeps `key` alive.
    std::string_view key = top.key;
    for (;; --level) {
      root = {entry.hash, entry.documents, entry.bytes, level, entry.written_at, std::string(key)};
      if (level == 0) return {};
      ST8_ASSIGN(auto node, made_or_stored(root));
      if (node->count() > 1) return {};
      entry = node->entry(0);
      held = std::move(node);
      key = held->first_key();
    }
  }
  Result<std::shared_ptr<const Node>> made_or_stored(const TreeRoot& root) const {
    if (root.written_at == number_) {
      for (auto made = made_.rbegin(); made != made_.rend(); ++made) {
        if (made->node->name() == root.hash) return made->node;
      }
    }
    return load_root(source_, root);
  }

  const NodeSource& source_;
  const TreeRoot root_;
  const RevisionNumber number_;
  LevelCursor cursor_;
  std::vector<Made> made_;                         // In the order made: level by level, each in key order.
  std::vector<std::shared_ptr<const Node>> kept_;  // Keeps a key alive.
  std::vector<New> region_;                        // Of the run at hand: nodes made,
  std::vector<Old> removed_;                       // and the old ones they stand for.
  std::vector<Version> left_;                      // See NodeSink::leave().
  std::vector<Node::Update> updates_;
  std::forward_list<std::string> dropped_keys_;
};

}  // namespace

Result<EditResult> edit(const NodeSource& source, const TreeRoot& root, std::span<const Edit> edits,
                        RevisionNumber number, NodeSink& sink) {
  return Editor(source, root, number).run(edits, sink);
}

}  // namespace st8::state::tree
