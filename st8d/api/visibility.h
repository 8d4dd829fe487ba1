// What of the store a principal sees, apart from any one request: streams ask it too.
#pragma once

#include "auth/policy.h"
#include "st8/state/store.h"

namespace st8::api {

// Whether the revision's branch, or an allowed branch that exists and contains it, is readable (or has `verb`). Cost: nothing
// for a principal with all branches; else O(branches · log history).
Result<bool> sees_revision(const auth::Principal& principal, auth::Verb verb, const state::Store& store,
                           const state::NamespaceName& name_space, const state::Revision& revision);

// Branches by their name (a rename by both), checkpoints by what they point to, the rest by the namespace.
Result<bool> sees_operation(const auth::Principal& principal, const state::Store& store,
                            const state::NamespaceName& name_space, const state::Operation& operation);

}  // namespace st8::api
