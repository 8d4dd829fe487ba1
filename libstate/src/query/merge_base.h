// The common ancestor that a three-way merge starts from.
#pragma once

#include "query/lookup.h"

namespace st8::state::query {

// The nearest revision (the one with the greatest number, which none of the others descends from) that both descend from
// by all parents; empty_revision() when there is none. Where histories cross so that there is more than one such
// revision, the greatest is taken: the same whichever side is asked for first.
//
// Histories are chains of first parents, tied together by merges. Two chains meet where their jump pointers say, in
// O(log history) lookups; merges are found along `prev_copy`, and only those newer than the best meeting so far can
// lead to a better one. Cost: O((merges and copies newer than the answer) · log history), not the length of the branches.
Result<RevisionPointer> merge_base(const Lookup& lookup, const RevisionPointer& a, const RevisionPointer& b);

// Whether `ancestor` is reached from `descendant` by all parents. Cost: as merge_base.
Result<bool> is_reached(const Lookup& lookup, const RevisionPointer& ancestor, const RevisionPointer& descendant);

}  // namespace st8::state::query
