// The operation log: one record for every change of a name (a branch's head, a checkpoint, a protection), in order.
// Undo, audit, events and "where was this branch at that time" read it.
#pragma once

#include <cstdint>
#include <string>

#include "st8/state/clock.h"
#include "st8/state/names.h"
#include "st8/state/revision.h"

namespace st8::state {

// Values are stored: never renumber.
enum class OperationKind : std::uint8_t {
  kCommit = 0,  // A branch's head moved to a new revision (apply, rollback, restore, merge, ...).
  kBranchCreate = 1,
  kBranchDelete = 2,
  kBranchRename = 3,  // `name` is the old one, `detail` the new one.
  kBranchProtect = 4,
  kBranchUnprotect = 5,
  kCheckpointCreate = 6,
  kCheckpointReplace = 7,
  kCheckpointDelete = 8,
  kNamespaceCreate = 9,
  kNamespaceDelete = 10,  // The last record of a namespace's earlier life.
  kGc = 11,
};
std::string_view operation_kind_name(OperationKind kind);  // "commit", "branch.create", "checkpoint.delete", ...

struct Operation {
  std::uint64_t sequence = 0;  // Per namespace, from 1, without gaps.
  OperationKind kind = OperationKind::kCommit;
  std::string name;       // The branch or checkpoint.
  RevisionNumber before;  // 0: it did not exist.
  RevisionNumber after;   // 0: it no longer exists.
  std::string actor;      // Who was authenticated.
  std::string detail;
  Cause cause = Cause::kApply;
  std::string request_id;
  Timestamp at;
};

}  // namespace st8::state
