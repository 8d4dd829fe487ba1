#include "api/visibility.h"

namespace st8::api {
namespace {
constexpr std::size_t kBranchPage = 1000;
}

Result<bool> sees_revision(const auth::Principal& principal, auth::Verb verb, const state::Store& store,
                           const state::NamespaceName& name_space, const state::Revision& revision) {
  if (!auth::sees_namespace(principal, verb, name_space.view())) return false;
  if (principal.all_branches()) return true;
  if (revision.number.is_root()) return true;  // The empty state shows nothing.
  if (auth::sees_branch(principal, verb, name_space.view(), revision.branch)) return true;
  std::string after;
  while (true) {
    ST8_ASSIGN(const std::vector<state::BranchInfo> branches, store.branches(name_space, after, kBranchPage));
    for (const state::BranchInfo& branch : branches) {
      if (!auth::sees_branch(principal, verb, name_space.view(), branch.name.view())) continue;
      ST8_ASSIGN(const bool contains, store.is_ancestor(name_space, revision.number, branch.head));
      if (contains) return true;
    }
    if (branches.size() < kBranchPage) return false;
    after = branches.back().name.str();
  }
}

Result<bool> sees_operation(const auth::Principal& principal, const state::Store& store,
                            const state::NamespaceName& name_space, const state::Operation& operation) {
  if (!auth::sees_namespace(principal, auth::Verb::kRead, name_space.view())) return false;
  if (principal.all_branches()) return true;
  const auto sees_branch = [&](std::string_view name) {
    return auth::sees_branch(principal, auth::Verb::kRead, name_space.view(), name);
  };
  switch (operation.kind) {
    case state::OperationKind::kCommit:
    case state::OperationKind::kBranchCreate:
    case state::OperationKind::kBranchDelete:
    case state::OperationKind::kBranchProtect:
    case state::OperationKind::kBranchUnprotect:
      return sees_branch(operation.name);
    case state::OperationKind::kBranchRename:
      return sees_branch(operation.name) && sees_branch(operation.detail);
    case state::OperationKind::kCheckpointCreate:
    case state::OperationKind::kCheckpointReplace:
    case state::OperationKind::kCheckpointDelete: {
      for (const state::RevisionNumber number : {operation.before, operation.after}) {
        if (number.is_root()) continue;
        const Result<state::Revision> revision = store.revision(name_space, number);
        if (!revision) {
          if (revision.error().code == ErrorCode::kNotFound) return false;
          return fail(revision.error());
        }
        ST8_ASSIGN(const bool sees, sees_revision(principal, auth::Verb::kRead, store, name_space, *revision));
        if (!sees) return false;
      }
      return true;
    }
    case state::OperationKind::kNamespaceCreate:
    case state::OperationKind::kNamespaceDelete:
    case state::OperationKind::kGc:
      return true;
  }
  return false;
}

}  // namespace st8::api
