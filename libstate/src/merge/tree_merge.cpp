#include "merge/tree_merge.h"

#include <map>

#include "merge/document_merge.h"
#include "st8/state/text.h"

namespace st8::state::merge {

Result<TreeMerge> merge_trees(
    const tree::NodeSource& nodes, const TreeRoot& base, const TreeRoot& ours, const TreeRoot& theirs,
    const std::function<Result<std::string>(std::string_view key, const DocumentRef& ref)>& read,
    const MergeRules& rules) {
  std::map<std::string_view, ConflictSide> chosen;
  for (const auto& [key, side] : rules.resolve) chosen[key.view()] = side;

  TreeMerge merge;
  const auto visit = [&](const Change& change) -> Status {
    const std::string& key = change.key.str();
    ST8_ASSIGN(const std::optional<DocumentRef> mine, tree::find(nodes, ours, key));
    const auto equal = [](const std::optional<DocumentRef>& a, const std::optional<DocumentRef>& b) {
      return a.has_value() == b.has_value() && (!a || a->hash == b->hash);
    };
    if (equal(mine, change.after)) return {};
    if (equal(mine, change.before)) {
      merge.edits.push_back({key, change.after, std::nullopt});
      return {};
    }
    std::optional<std::string> contents[3];
    const std::optional<DocumentRef>* const refs[3] = {&change.before, &mine, &change.after};
    for (int i = 0; i < 3; ++i) {
      if (!*refs[i]) continue;
      ST8_ASSIGN(contents[i], read(key, **refs[i]));
    }
    const auto found = chosen.find(key);
    const ConflictSide side =
        found != chosen.end() && found->second != ConflictSide::kNone ? found->second : rules.prefer;
    DocumentMerge document = merge_document(key, {contents[0], contents[1], contents[2]}, side);
    if (side == ConflictSide::kNone && !document.conflicts.empty()) {
      for (Conflict& conflict : document.conflicts) {
        if (merge.conflicts.size() == kConflictsMax) break;
        merge.conflicts.push_back({change.key, std::move(conflict.path), std::move(conflict.base),
                                   std::move(conflict.ours), std::move(conflict.theirs)});
      }
      return {};
    }
    if (document.content == contents[1]) return {};
    if (document.content == contents[2]) {
      merge.edits.push_back({key, change.after, std::nullopt});
      return {};
    }
    if (document.content->size() > Limits::kDocumentBytesMax) {
      return fail(ErrorCode::kTooLarge,
                  "the document " + quote(key) + " would be merged to " + std::to_string(document.content->size()) +
                      " bytes; at most " + std::to_string(Limits::kDocumentBytesMax) + " are allowed",
                  "Choose a side for it.");
    }
    merge.edits.push_back({key, std::nullopt, std::move(document.content)});
    return {};
  };

  Status failed;
  ST8_TRY(tree::diff(nodes, base, theirs, {}, {}, [&](Change&& change) {
    failed = visit(change);
    return failed.has_value() && merge.conflicts.size() < kConflictsMax;
  }));
  ST8_TRY(failed);
  return merge;
}

}  // namespace st8::state::merge
