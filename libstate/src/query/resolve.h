// From a selector to a revision; one algorithm for readers and for the committer.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "query/lookup.h"
#include "st8/state/names.h"
#include "st8/state/selector.h"

namespace st8::state::query {

inline constexpr std::string_view kDefaultBranch = "main";  // Empty, and not unknown, before its first write.

// The revision that `selector` names, with `branch` the branch in use; empty_revision() for the empty state. A time is
// looked up along the branch's chain of first parents: heads are only ever appended to, so what a branch was at a time is
// on its chain, and a time before the branch began finds its parents' state, which it began from.
// Errors: kNotFound (the hint names what is near), kInvalidArgument (ambiguous). A pruned revision is no error here.
Result<RevisionPointer> resolve(const Lookup& lookup, std::string_view branch, const Selector& selector);

// The head of a branch; of kDefaultBranch also before it exists. Errors: kNotFound.
Result<RevisionPointer> head_of(const Lookup& lookup, std::string_view branch);

// "there is no branch X" with the nearest names, or how to list them, as the hint.
tl::unexpected<Error> no_such_branch(const Lookup& lookup, std::string_view name);
tl::unexpected<Error> no_such_checkpoint(const Lookup& lookup, std::string_view name);
tl::unexpected<Error> no_such_revision(RevisionNumber number);
tl::unexpected<Error> pruned(RevisionNumber number);

// Those of `names` that are likely meant by `name`: at most three, nearest first.
std::vector<std::string> near_names(std::string_view name, const std::vector<std::string>& names);

}  // namespace st8::state::query
