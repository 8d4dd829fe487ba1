// Walks along first parents by jump pointers. Every function costs O(log history) lookups.
#pragma once

#include "query/lookup.h"

namespace st8::state::query {

// The ancestor (or the revision itself) at this depth; depth 0 is the empty state. Needs depth <= from's depth.
Result<RevisionPointer> ancestor_at_depth(const Lookup& lookup, RevisionPointer from, std::uint64_t depth);

// The newest revision on the chain that is not younger than `time`; the empty state when all are.
Result<RevisionPointer> newest_at(const Lookup& lookup, RevisionPointer from, Timestamp time);

// Whether `ancestor` lies on the chain of first parents of `descendant` (or is it).
Result<bool> is_on_chain(const Lookup& lookup, const RevisionPointer& ancestor, const RevisionPointer& descendant);

// The first parent; the empty state's is itself.
Result<RevisionPointer> parent_of(const Lookup& lookup, const RevisionPointer& revision);

}  // namespace st8::state::query
