#include "query/merge_base.h"

#include <queue>
#include <unordered_set>

#include "query/chain.h"

namespace st8::state::query {
namespace {

Result<RevisionPointer> must_have(const Lookup& lookup, RevisionNumber number) {
  ST8_ASSIGN(RevisionPointer record, lookup.revision(number));
  if (record == nullptr) {
    return fail(ErrorCode::kCorrupt, "the record of revision " + std::to_string(number.value) + " is missing",
                "Run `st8d fsck` to learn what else is damaged, then restore a backup.");
  }
  return record;
}

// Where two chains of first parents meet; the empty state is on all.
Result<RevisionPointer> meeting(const Lookup& lookup, RevisionPointer a, RevisionPointer b) {
  const std::uint64_t depth = std::min(a->depth, b->depth);
  ST8_ASSIGN(a, ancestor_at_depth(lookup, std::move(a), depth));
  ST8_ASSIGN(b, ancestor_at_depth(lookup, std::move(b), depth));
  // At one depth both jump equally far.
  while (a->revision.number != b->revision.number) {
    const bool jump = a->jump != b->jump;
    ST8_ASSIGN(a, must_have(lookup, jump ? a->jump : a->revision.parent()));
    ST8_ASSIGN(b, must_have(lookup, jump ? b->jump : b->revision.parent()));
  }
  return a;
}

// The chains that one side's history is made of: that of its head, and those of what was merged into them.
struct History {
  struct ByNumber {
    bool operator()(const RevisionPointer& a, const RevisionPointer& b) const {
      return a->revision.number < b->revision.number;
    }
  };
  std::priority_queue<RevisionPointer, std::vector<RevisionPointer>, ByNumber>
      waiting;                        // Tops of chains, newest first.
  std::vector<RevisionPointer> tops;  // Those whose merges have been looked for.
  std::unordered_set<std::uint64_t> seen_tops, seen_copies;

  void add(RevisionPointer top) {
    if (seen_tops.insert(top->revision.number.value).second) waiting.push(std::move(top));
  }
};

}  // namespace

Result<RevisionPointer> merge_base(const Lookup& lookup, const RevisionPointer& a, const RevisionPointer& b) {
  ST8_ASSIGN(RevisionPointer best, meeting(lookup, a, b));
  History sides[2];
  sides[0].add(a);
  sides[1].add(b);
  while (!sides[0].waiting.empty() || !sides[1].waiting.empty()) {
    const bool second =
        sides[0].waiting.empty() || (!sides[1].waiting.empty() &&
                                     sides[0].waiting.top()->revision.number < sides[1].waiting.top()->revision.number);
    History& side = sides[second ? 1 : 0];
    const History& other = sides[second ? 0 : 1];
    const RevisionPointer top = side.waiting.top();
    side.waiting.pop();
    if (top->revision.number <= best->revision.number) break;  // Nor can any that waits lead to a newer one.
    for (const RevisionPointer& met : other.tops) {
      ST8_ASSIGN(RevisionPointer common, meeting(lookup, top, met));
      if (common->revision.number > best->revision.number) best = std::move(common);
    }
    side.tops.push_back(top);
    // What was merged into this chain, as far down as it can matter. Copies are few, and linked.
    RevisionPointer copy = top;
    if (!copy->is_copy) {
      ST8_ASSIGN(copy, must_have(lookup, copy->prev_copy));
    }
    while (copy->revision.number > best->revision.number &&
           side.seen_copies.insert(copy->revision.number.value).second) {
      for (std::size_t i = 1; i < copy->revision.parents.size(); ++i) {
        ST8_ASSIGN(RevisionPointer merged, must_have(lookup, copy->revision.parents[i]));
        if (merged->revision.number > best->revision.number) side.add(std::move(merged));
      }
      ST8_ASSIGN(copy, must_have(lookup, copy->prev_copy));
    }
  }
  return best;
}

Result<bool> is_reached(const Lookup& lookup, const RevisionPointer& ancestor, const RevisionPointer& descendant) {
  ST8_ASSIGN(const RevisionPointer base, merge_base(lookup, ancestor, descendant));
  return base->revision.number == ancestor->revision.number;
}

}  // namespace st8::state::query
