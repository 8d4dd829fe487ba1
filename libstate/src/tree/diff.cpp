// Walks two trees side by side, each at the highest entry that begins where the other stands, so that equal subtrees
// meet and are skipped whole, also when the trees differ in height. Two nodes of the same keys, which is what an update of
// values leaves, are not walked: the next entry that differs is found by comparing their columns of hashes.
#include <algorithm>
#include <vector>

#include "tree/cursor.h"
#include "tree/node.h"

namespace st8::state::tree {
namespace {

// A position in a tree: an entry at some level. Everything before it has been passed.
class Side {
 public:
  Side(const NodeSource& source, const TreeRoot& root, std::string_view from)
      : source_(source), root_(root), from_(from) {
    at_end_ = root.empty();
    if (!at_end_) key_ = root.first_key;
  }

  bool at_end() const { return at_end_; }
  std::string_view key() const { return key_; }
  bool is_document() const { return !path_.empty() && path_.back().node->level() == 0; }
  // Of the entry; the root, before it is opened, is an entry of a level above its own.
  int level() const { return path_.empty() ? root_.level + 1 : path_.back().node->level(); }
  bool same_entry(const Side& other) const { return level() == other.level() && hash() == other.hash(); }
  DocumentRef document() const { return path_.back().node->document(path_.back().index); }

  // Behind the entry, to the highest entry that begins there.
  void skip() {
    while (!path_.empty()) {
      Step& step = path_.back();
      if (++step.index < step.node->count()) return set_key();
      path_.pop_back();
    }
    at_end_ = true;
  }
  // Both behind the entry, which they have in common (or, unless `past_it`, at it), and behind what follows alike as far as
  // that is seen without looking at keys.
  static void skip_alike(Side& a, Side& b, bool past_it) {
    if (!a.path_.empty() && !b.path_.empty()) {
      Step &in_a = a.path_.back(), &in_b = b.path_.back();
      if (in_a.index == in_b.index && in_a.node->level() == in_b.node->level() && in_a.node->same_keys(*in_b.node)) {
        const std::size_t next = in_a.node->next_difference(*in_b.node, in_a.index + past_it);
        if (next == in_a.index) return;
        in_a.index = in_b.index = next - 1;
        past_it = true;
      }
    }
    if (!past_it) return;
    a.skip();
    b.skip();
  }
  // Into the entry's subtree: to its first entry, or to the one that holds where the walk begins.
  Status open() {
    ST8_ASSIGN(auto node,
               path_.empty() ? load_root(source_, root_) : load_child(source_, *path_.back().node, path_.back().index));
    const std::size_t index = key_ < from_ ? node->child_for(from_) : 0;
    path_.push_back({std::move(node), index});
    set_key();
    return {};
  }

 private:
  struct Step {
    std::shared_ptr<const Node> node;
    std::size_t index;
  };
  Hash hash() const { return path_.empty() ? root_.hash : path_.back().node->hash(path_.back().index); }
  void set_key() {
    key_.clear();
    path_.back().node->append_key(path_.back().index, key_);
  }

  const NodeSource& source_;
  const TreeRoot& root_;
  const std::string_view from_;
  std::vector<Step> path_;
  std::string key_;
  bool at_end_ = false;
};

}  // namespace

Status diff(const NodeSource& source, const TreeRoot& before, const TreeRoot& after, std::string_view prefix,
            std::string_view after_key, const std::function<bool(Change&&)>& visit, std::string_view until) {
  if (before.hash == after.hash) return {};
  const std::string_view from = std::max(prefix, after_key);
  Side a(source, before, from), b(source, after, from);

  const auto past_prefix = [prefix](std::string_view key) { return key > prefix && !key.starts_with(prefix); };
  // False: the visitor has had enough.
  const auto report = [&](std::string_view key, std::optional<DocumentRef> was,
                          std::optional<DocumentRef> is) -> Result<bool> {
    if (key < from || key == after_key) return true;
    auto parsed = DocumentKey::parse(key);
    if (!parsed || parsed->view() != key) return fail(ErrorCode::kCorrupt, "a stored tree holds a key that is none");
    const ChangeType type = !was ? ChangeType::kCreate : !is ? ChangeType::kDelete : ChangeType::kUpdate;
    return visit({std::move(*parsed), type, was, is});
  };

  while (!a.at_end() || !b.at_end()) {
    const int order = a.at_end() ? 1 : b.at_end() ? -1 : a.key().compare(b.key());
    const std::string_view least = order <= 0 ? a.key() : b.key();
    if (past_prefix(least) || (!until.empty() && least > until)) return {};
    if (order == 0) {
      if (a.same_entry(b)) {
        Side::skip_alike(a, b, true);
      } else if (a.is_document() && b.is_document()) {
        ST8_ASSIGN(const bool more, report(a.key(), a.document(), b.document()));
        if (!more) return {};
        Side::skip_alike(a, b, true);
      } else {
        const int a_level = a.level(), b_level = b.level();
        if (a_level >= b_level) ST8_TRY(a.open());
        if (b_level >= a_level) ST8_TRY(b.open());
        if (a_level == b_level) Side::skip_alike(a, b, false);
      }
      continue;
    }
    // Only one side has something here; the other waits at a later key, as high as it stands.
    Side& side = order < 0 ? a : b;
    if (!side.is_document()) {
      ST8_TRY(side.open());
      continue;
    }
    ST8_ASSIGN(const bool more,
               order < 0 ? report(a.key(), a.document(), std::nullopt) : report(b.key(), std::nullopt, b.document()));
    if (!more) return {};
    side.skip();
  }
  return {};
}

Result<std::vector<std::string>> cuts(const NodeSource& source, const TreeRoot& root, std::string_view prefix,
                                      std::string_view after_key, std::size_t count_max) {
  std::vector<std::string> keys;
  if (root.empty() || root.level == 0) return keys;
  const std::string_view from = std::max(prefix, after_key);
  std::vector<std::shared_ptr<const Node>> nodes(1);
  ST8_ASSIGN(nodes.front(), load_root(source, root));
  while (true) {
    keys.clear();
    const bool descend = nodes.front()->level() > 1;
    std::vector<std::shared_ptr<const Node>> below;
    for (const auto& node : nodes) {
      for (std::size_t i = 0; i < node->count(); ++i) {
        if (i + 1 < node->count() && node->compare_key(i + 1, from) <= 0) continue;
        std::string key = node->key(i);
        if (key > prefix && !key.starts_with(prefix)) break;
        if (key > from) keys.push_back(std::move(key));
        if (!descend || keys.size() >= count_max) continue;
        ST8_ASSIGN(below.emplace_back(), load_child(source, *node, i));
      }
    }
    if (!descend || keys.size() >= count_max || below.empty()) break;
    nodes = std::move(below);
  }
  if (keys.size() <= count_max) return keys;
  std::vector<std::string> even;
  for (std::size_t i = 1; i <= count_max; ++i) even.push_back(std::move(keys[i * keys.size() / (count_max + 1)]));
  return even;
}

}  // namespace st8::state::tree
