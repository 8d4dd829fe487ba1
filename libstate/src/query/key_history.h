// The revisions of a chain that changed one key, newest first, without walking the chain.
//
// Two sources are merged. Every revision made by writing documents left a body, or the mark of a deletion, under the key in
// the table of bodies; and the revisions that took a tree over from elsewhere (rollback, restore, merge) are linked by
// `prev_copy`. Those of the first source that lie on other branches are told by their place on the chain; those of the
// second that did not touch the key, by comparing it in their tree and their parent's.
// Cost: O(log history) for each body of the key and each copy on the chain.
#pragma once

#include <optional>
#include <vector>

#include "pipeline/store_core.h"
#include "query/lookup.h"
#include "st8/state/document.h"

namespace st8::state::query {

class KeyHistory {
 public:
  // From `from` (inclusive) downwards. `core` and `lookup` must outlive it.
  KeyHistory(pipeline::StoreCore& core, const pipeline::ReaderLookup& lookup, DocumentKey key, RevisionPointer from);

  struct Item {
    RevisionPointer revision;
    Change change;
  };
  // The next older revision that changed the key; nullopt at the end. Of a pruned revision whose body is still there, what
  // is known of the change is told.
  Result<std::optional<Item>> next();

 private:
  // The next body's number, newest first; 0 at the end.
  Result<RevisionNumber> peek_body();
  Result<RevisionPointer> next_candidate();
  Result<std::optional<Change>> change_at(const RevisionPointer& revision);

  pipeline::StoreCore& core_;
  const pipeline::ReaderLookup& lookup_;
  const DocumentKey key_;
  const tree::StoredNodes nodes_;
  RevisionPointer from_;
  RevisionPointer copy_;  // The next copy; empty_revision() at the end.

  // The table can be walked upwards only, so numbers are gathered from windows that go down, each twice the last.
  std::vector<RevisionNumber> bodies_;  // Of the window, the newest at the back.
  std::uint64_t window_end_;            // Exclusive; everything from here up is done. 0: the bottom is reached.
  std::uint64_t window_size_ = 256;
};

}  // namespace st8::state::query
