// Permissions that need the store to answer: which branch a revision is on, which keys a rollback would touch.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "api/call.h"

namespace st8::api {

wire::Problem problem_of(const auth::Denial& denial);

// The verb on a namespace, a branch of it, a key there. kPermissionDenied says which of them was refused. None of these tells
// whether the thing exists: they are asked before the store is.
Checked allow(const Call& call, auth::Verb verb, const state::NamespaceName& name_space);
Checked allow(const Call& call, auth::Verb verb, const Where& where);
Checked allow(const Call& call, auth::Verb verb, const Where& where, const state::DocumentKey& key);
// For what touches every branch, or every key, of a namespace at once: refused to tokens that are limited to some.
Checked allow_all_branches(const Call& call, auth::Verb verb, const state::NamespaceName& name_space,
                           std::string_view what);
Checked allow_all_keys(const Call& call, auth::Verb verb, const Where& where, std::string_view what);

// Whether a revision may be seen: its branch is allowed, or some allowed branch that exists contains it (along first parents).
// Cost: nothing for a token with all branches; else O(branches · log history).
Result<bool> sees_revision(const Call& call, auth::Verb verb, const state::NamespaceName& name_space,
                           const state::Revision& revision);

// Resolves a selector with `where.branch` in use, and asks whether the caller may have what it leads to. A branch that the
// selector names must itself be allowed. Errors: those of Store::resolve, kPermissionDenied.
Outcome<state::Revision> resolve_allowed(const Call& call, auth::Verb verb, const Where& where,
                                         const state::Selector& selector);

// The documents there, for a caller that was found allowed.
Outcome<state::View> view_allowed(const Call& call, auth::Verb verb, const Where& where,
                                  const state::Selector& selector);

// Runs a write whose changed keys are not known beforehand (a copy, a merge, a prune). A caller that may not touch every key
// gets it in two steps: a dry run shows the keys, then the write goes in with the head that the dry run saw as its condition,
// and starts again when that head has moved.
using Write = std::function<Result<state::CommitResult>(const state::WriteContext&)>;
Outcome<state::CommitResult> guarded_write(const Call& call, const Where& where, state::WriteContext context,
                                           const Write& write);

// Whether the caller may change that key on that branch: the key prefix, and for the branch's own policy (".st8/...") on a
// protected branch the verb admin.
Checked allow_changed_key(const Call& call, const Where& where, bool is_protected, const state::DocumentKey& key);
// Whether the branch exists and is protected.
bool branch_protected(const Call& call, const Where& where);

}  // namespace st8::api
