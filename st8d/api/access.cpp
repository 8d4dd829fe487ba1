#include "api/access.h"

#include "api/visibility.h"
#include "auth/policy.h"

namespace st8::api {
namespace {

// A dry run and the write behind it lose a race only to another commit on the branch; so many in a row is a busy branch.
constexpr int kAttemptsMax = 16;

Checked check(const Call& call, auth::Verb verb, const auth::Scope& scope) {
  if (const std::optional<auth::Denial> denial = auth::denied(*call.principal, verb, scope)) {
    return tl::unexpected<wire::Problem>(problem_of(*denial));
  }
  return {};
}

bool is_policy_key(const state::DocumentKey& key) { return key.view().starts_with(".st8/"); }

// The branch that a selector names by itself, or an empty view.
std::string_view named_branch(const state::Selector& selector) {
  if (const auto* branch = std::get_if<state::Selector::ByBranch>(&selector.base)) return branch->branch.view();
  if (const auto* time = std::get_if<state::Selector::ByTime>(&selector.base)) return time->branch;
  return {};
}

}  // namespace

wire::Problem problem_of(const auth::Denial& denial) {
  wire::Problem problem(
      Error{ErrorCode::kPermissionDenied, denial.reason, "Ask whoever keeps the server's tokens for the permission."});
  problem.verb = std::string(auth::verb_name(denial.verb));
  problem.name_space = denial.name_space;
  problem.branch = denial.branch;
  problem.key = denial.key;
  return problem;
}

Checked allow(const Call& call, auth::Verb verb, const state::NamespaceName& name_space) {
  return check(call, verb, {name_space.view(), {}, {}});
}

Checked allow(const Call& call, auth::Verb verb, const Where& where) {
  return check(call, verb, {where.name_space.view(), where.branch.view(), {}});
}

Checked allow(const Call& call, auth::Verb verb, const Where& where, const state::DocumentKey& key) {
  return check(call, verb, {where.name_space.view(), where.branch.view(), key.view()});
}

Checked allow_all_branches(const Call& call, auth::Verb verb, const state::NamespaceName& name_space,
                           std::string_view what) {
  ST8_API_TRY(allow(call, verb, name_space));
  if (call.principal->all_branches()) return {};
  auth::Denial denial{verb, name_space.str(), "", "",
                      "the token of \"" + call.principal->name + "\" is limited to some branches, and " +
                          std::string(what) + " touches all"};
  return tl::unexpected<wire::Problem>(problem_of(denial));
}

Checked allow_all_keys(const Call& call, auth::Verb verb, const Where& where, std::string_view what) {
  ST8_API_TRY(allow(call, verb, where));
  if (call.principal->all_keys()) return {};
  auth::Denial denial{verb, where.name_space.str(), where.branch.str(), "",
                      "the token of \"" + call.principal->name + "\" covers only keys that begin with \"" +
                          call.principal->allow.key_prefix + "\", and " + std::string(what) + " touches all"};
  return tl::unexpected<wire::Problem>(problem_of(denial));
}

Result<bool> sees_revision(const Call& call, auth::Verb verb, const state::NamespaceName& name_space,
                           const state::Revision& revision) {
  return sees_revision(*call.principal, verb, call.store(), name_space, revision);
}

Outcome<state::Revision> resolve_allowed(const Call& call, auth::Verb verb, const Where& where,
                                         const state::Selector& selector) {
  ST8_API_TRY(allow(call, verb, where));
  if (!call.principal->all_branches()) {
    std::string_view named = named_branch(selector);
    if (const auto* name = std::get_if<state::Selector::ByName>(&selector.base)) {
      // A bare name is a branch, a checkpoint or a hash; only the first is checked by its name.
      const Result<state::BranchName> as_branch = state::BranchName::parse(name->name);
      if (as_branch && call.store().branch(where.name_space, *as_branch)) named = name->name;
    }
    if (!named.empty()) ST8_API_TRY(check(call, verb, {where.name_space.view(), named, {}}));
  }
  ST8_API_ASSIGN(state::Revision revision, call.store().resolve(where.name_space, where.branch, selector));
  // What hangs off the head of the branch in use needs no search.
  const bool of_branch_in_use = std::holds_alternative<state::Selector::Head>(selector.base);
  if (!of_branch_in_use) {
    ST8_API_ASSIGN(const bool sees, sees_revision(call, verb, where.name_space, revision));
    if (!sees) {
      auth::Denial denial{verb, where.name_space.str(), where.branch.str(), "",
                          "revision " + std::to_string(revision.number.value) +
                              " is on no branch that the token of \"" + call.principal->name + "\" covers"};
      return tl::unexpected<wire::Problem>(problem_of(denial));
    }
  }
  return revision;
}

Outcome<state::View> view_allowed(const Call& call, auth::Verb verb, const Where& where,
                                  const state::Selector& selector) {
  if (call.principal->all_branches() || std::holds_alternative<state::Selector::Head>(selector.base)) {
    ST8_API_TRY(allow(call, verb, where));
    ST8_API_ASSIGN(state::View view, call.store().view(where.name_space, where.branch, selector));
    return view;
  }
  ST8_API_ASSIGN(const state::Revision revision, resolve_allowed(call, verb, where, selector));
  ST8_API_ASSIGN(state::View view,
                 call.store().view(where.name_space, where.branch, state::Selector::of(revision.number)));
  return view;
}

bool branch_protected(const Call& call, const Where& where) {
  const Result<state::BranchInfo> branch = call.store().branch(where.name_space, where.branch);
  return branch && branch->is_protected;
}

Checked allow_changed_key(const Call& call, const Where& where, bool is_protected, const state::DocumentKey& key) {
  ST8_API_TRY(allow(call, auth::Verb::kWrite, where, key));
  if (is_protected && is_policy_key(key) && !call.principal->has(auth::Verb::kAdmin)) {
    auth::Denial denial{
        auth::Verb::kAdmin, where.name_space.str(), where.branch.str(), key.str(),
        "the branch \"" + where.branch.str() + "\" is protected: its policy is changed by an admin alone"};
    return tl::unexpected<wire::Problem>(problem_of(denial));
  }
  return {};
}

Outcome<state::CommitResult> guarded_write(const Call& call, const Where& where, state::WriteContext context,
                                           const Write& write) {
  const auth::Principal& principal = *call.principal;
  const bool free = principal.all_keys() && (principal.has(auth::Verb::kAdmin) || !branch_protected(call, where));
  if (free) {
    ST8_API_ASSIGN(state::CommitResult result, write(context));
    return result;
  }
  for (int attempt = 1;; ++attempt) {
    state::WriteContext trial = context;
    trial.dry_run = true;
    trial.idempotency.reset();
    ST8_API_ASSIGN(state::CommitResult seen, write(trial));
    const bool is_protected = branch_protected(call, where);
    for (const state::Change& change : seen.changes)
      ST8_API_TRY(allow_changed_key(call, where, is_protected, change.key));
    // A conflict shows all sides of a document.
    for (const state::MergeConflict& conflict : seen.conflicts)
      ST8_API_TRY(allow_changed_key(call, where, is_protected, conflict.key));
    if (context.dry_run || !seen.conflicts.empty()) return seen;
    state::WriteContext real = context;
    if (!real.expected_revision) real.expected_revision = seen.noop ? seen.revision : seen.parent;
    Result<state::CommitResult> result = write(real);
    if (result) return std::move(*result);
    const bool moved = result.error().code == ErrorCode::kPreconditionFailed && !context.expected_revision;
    if (!moved || attempt == kAttemptsMax)
      return tl::unexpected<wire::Problem>(wire::Problem(std::move(result).error()));
  }
}

}  // namespace st8::api
