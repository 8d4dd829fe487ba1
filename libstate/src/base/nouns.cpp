// The words that go with stored numbers.
#include "st8/state/document.h"
#include "st8/state/operation.h"
#include "st8/state/revision.h"

namespace st8::state {

// A number that is not known can only come from newer or damaged data; it is shown, never a reason to fail.

std::string_view change_type_name(ChangeType type) {
  switch (type) {
    case ChangeType::kCreate:
      return "create";
    case ChangeType::kUpdate:
      return "update";
    case ChangeType::kDelete:
      return "delete";
  }
  return "unknown";
}

std::string_view cause_name(Cause cause) {
  switch (cause) {
    case Cause::kApply:
      return "apply";
    case Cause::kRollback:
      return "rollback";
    case Cause::kRestore:
      return "restore";
    case Cause::kMerge:
      return "merge";
    case Cause::kRevert:
      return "revert";
    case Cause::kCherryPick:
      return "cherry-pick";
    case Cause::kAutoRollback:
      return "auto-rollback";
    case Cause::kReconcile:
      return "reconcile";
    case Cause::kImport:
      return "import";
  }
  return "unknown";
}

std::string_view operation_kind_name(OperationKind kind) {
  switch (kind) {
    case OperationKind::kCommit:
      return "commit";
    case OperationKind::kBranchCreate:
      return "branch.create";
    case OperationKind::kBranchDelete:
      return "branch.delete";
    case OperationKind::kBranchRename:
      return "branch.rename";
    case OperationKind::kBranchProtect:
      return "branch.protect";
    case OperationKind::kBranchUnprotect:
      return "branch.unprotect";
    case OperationKind::kCheckpointCreate:
      return "checkpoint.create";
    case OperationKind::kCheckpointReplace:
      return "checkpoint.replace";
    case OperationKind::kCheckpointDelete:
      return "checkpoint.delete";
    case OperationKind::kNamespaceCreate:
      return "namespace.create";
    case OperationKind::kNamespaceDelete:
      return "namespace.delete";
    case OperationKind::kGc:
      return "gc";
  }
  return "unknown";
}

}  // namespace st8::state
