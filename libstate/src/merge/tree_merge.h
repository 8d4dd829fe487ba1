// Three-way merge of trees: what must change in ours so that it has theirs' changes too.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "st8/state/commit.h"
#include "st8/state/document.h"
#include "st8/state/revision.h"
#include "tree/tree.h"

namespace st8::state::merge {

// At most so many conflicts are told.
inline constexpr std::size_t kConflictsMax = 1000;

struct TreeMerge {
  // One key of ours that changes, in key order.
  struct Edit {
    std::string key;
    std::optional<DocumentRef> stored;   // A document that theirs has, where its body lies,
    std::optional<std::string> content;  // or one that was merged. Neither: the key goes.
  };
  std::vector<Edit> edits;
  std::vector<MergeConflict>
      conflicts;  // Those that no preference decides. When there are any, the edits are of no use.
};

struct MergeRules {
  ConflictSide prefer = ConflictSide::kNone;
  std::vector<std::pair<DocumentKey, ConflictSide>> resolve;  // Before `prefer`. A key twice: the last one holds.
};

// `read` gives the content behind a ref of a key. Errors: its own, those of the source, kTooLarge for a merged document
// above the limit. Cost: O(theirs' changes · log n) nodes (equal subtrees of base and theirs are skipped), and three
// documents for each key that both changed.
Result<TreeMerge> merge_trees(
    const tree::NodeSource& nodes, const TreeRoot& base, const TreeRoot& ours, const TreeRoot& theirs,
    const std::function<Result<std::string>(std::string_view key, const DocumentRef& ref)>& read,
    const MergeRules& rules);

}  // namespace st8::state::merge
