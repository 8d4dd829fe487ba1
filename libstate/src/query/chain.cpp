#include "query/chain.h"

namespace st8::state::query {
namespace {

// A revision that another one refers to: absent means damage. Chains only ever lead to smaller numbers (the decoder
// checks), so that every walk ends.
Result<RevisionPointer> must_have(const Lookup& lookup, RevisionNumber number) {
  ST8_ASSIGN(RevisionPointer record, lookup.revision(number));
  if (record == nullptr) {
    return fail(ErrorCode::kCorrupt, "the record of revision " + std::to_string(number.value) + " is missing",
                "Run `st8d fsck` to learn what else is damaged, then restore a backup.");
  }
  return record;
}

}  // namespace

Result<RevisionPointer> parent_of(const Lookup& lookup, const RevisionPointer& revision) {
  return must_have(lookup, revision->revision.parent());
}

Result<RevisionPointer> ancestor_at_depth(const Lookup& lookup, RevisionPointer from, std::uint64_t depth) {
  while (from->depth > depth) {
    const bool jump = codec::jump_depth(from->depth) >= depth;
    ST8_ASSIGN(from, must_have(lookup, jump ? from->jump : from->revision.parent()));
  }
  if (from->depth != depth) {
    return fail(ErrorCode::kCorrupt, "the jump pointers of the history do not agree with its depths",
                "Run `st8d fsck` to learn what else is damaged, then restore a backup.");
  }
  return from;
}

Result<RevisionPointer> newest_at(const Lookup& lookup, RevisionPointer from, Timestamp time) {
  // Times never fall along a chain, so "younger than `time`" holds down to one point and not below it.
  while (from->depth > 0 && from->revision.created_at > time) {
    ST8_ASSIGN(RevisionPointer far, must_have(lookup, from->jump));
    if (far->depth > 0 && far->revision.created_at > time) {
      from = std::move(far);
    } else {
      ST8_ASSIGN(from, parent_of(lookup, from));
    }
  }
  return from;
}

Result<bool> is_on_chain(const Lookup& lookup, const RevisionPointer& ancestor, const RevisionPointer& descendant) {
  if (ancestor->depth > descendant->depth) return false;
  ST8_ASSIGN(const RevisionPointer at, ancestor_at_depth(lookup, descendant, ancestor->depth));
  return at->revision.number == ancestor->revision.number;
}

}  // namespace st8::state::query
