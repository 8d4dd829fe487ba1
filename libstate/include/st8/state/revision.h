// A revision: one immutable state of a branch's documents, and how it came to be.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "st8/state/clock.h"
#include "st8/state/hash.h"
#include "st8/state/names.h"

namespace st8::state {

// Why a revision exists. Values are stored: never renumber.
enum class Cause : std::uint8_t {
  kApply = 0,
  kRollback = 1,
  kRestore = 2,
  kMerge = 3,
  kRevert = 4,
  kCherryPick = 5,
  kAutoRollback = 6,
  kReconcile = 7,
  kImport = 8,
};
std::string_view cause_name(Cause cause);  // "apply", "rollback", "restore", "merge", "revert", "cherry-pick", ...

// What a tree is: its root's name and location, and its size. The empty tree has a zero hash.
struct TreeRoot {
  Hash hash;  // Depends on the documents alone, never on the order of edits.
  std::uint64_t document_count = 0;
  std::uint64_t content_bytes = 0;  // The sum of the documents' sizes.
  std::uint8_t level = 0;           // Of the root node; 0 is a leaf.
  RevisionNumber written_at;        // Locates the root node's body.
  std::string first_key;            // Locates the root node's body.
  bool empty() const { return document_count == 0; }
  friend bool operator==(const TreeRoot&, const TreeRoot&) = default;
};

struct Revision {
  RevisionNumber number;
  Hash hash;  // Over all that follows, but for `pruned` (docs/formats.md).
  std::vector<RevisionNumber>
      parents;  // First the branch's earlier head; none for the first revision of a branch begun empty.
  std::vector<Hash> parent_hashes;  // Of the same length.
  TreeRoot tree;
  std::string branch;  // The branch it was appended to.
  std::string author;
  std::string message;
  Cause cause = Cause::kApply;
  std::string cause_detail;        // e.g. the source revision of a rollback, or the rollout that failed.
  RevisionNumber source;           // The revision copied by a rollback, restore, cherry-pick or revert; 0 for none.
  Timestamp created_at;            // Never earlier than its parents'.
  std::uint64_t change_count = 0;  // Keys that differ from the first parent.
  bool pruned = false;             // gc has dropped its documents; the record stays.

  RevisionNumber parent() const { return parents.empty() ? RevisionNumber{} : parents.front(); }
};

}  // namespace st8::state
