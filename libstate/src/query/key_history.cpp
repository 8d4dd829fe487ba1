#include "query/key_history.h"

#include <algorithm>

#include "query/chain.h"
#include "tree/tree.h"

namespace st8::state::query {

using keyspace::Table;

KeyHistory::KeyHistory(pipeline::StoreCore& core, const pipeline::ReaderLookup& lookup, DocumentKey key,
                       RevisionPointer from)
    : core_(core),
      lookup_(lookup),
      key_(std::move(key)),
      nodes_(*core.engine, core.nodes, lookup.id()),
      from_(std::move(from)),
      copy_(from_),
      window_end_(from_->revision.number.value + 1) {
  if (from_->depth == 0) window_end_ = 0;
}

Result<RevisionNumber> KeyHistory::peek_body() {
  while (bodies_.empty() && window_end_ > 1) {
    const std::uint64_t begin = window_end_ > window_size_ ? window_end_ - window_size_ : 1;
    KeyRange range;
    range.begin = keyspace::blob_key(lookup_.id(), key_.view(), RevisionNumber{begin});
    range.end = keyspace::blob_key(lookup_.id(), key_.view(), RevisionNumber{window_end_});
    const auto cursor = core_.engine->scan(std::move(range));
    for (; cursor->valid(); cursor->next())
      bodies_.push_back(RevisionNumber{keyspace::read_u64(cursor->key().substr(cursor->key().size() - 8))});
    ST8_TRY(cursor->status());
    window_end_ = begin;
    window_size_ *= bodies_.empty() ? 4 : 2;
  }
  return bodies_.empty() ? RevisionNumber{} : bodies_.back();
}

Result<RevisionPointer> KeyHistory::next_candidate() {
  while (true) {
    // Invariant: copy_ is the next revision to ask whether it is a copy, or one that is, or the end.
    if (copy_->depth > 0 && !copy_->is_copy) {
      ST8_ASSIGN(copy_, lookup_.revision(copy_->prev_copy));
      if (copy_ == nullptr) return fail(ErrorCode::kCorrupt, "a link of the history leads nowhere", "Run `st8d fsck`.");
    }
    ST8_ASSIGN(const RevisionNumber body, peek_body());
    const RevisionNumber copy = copy_->revision.number;
    if (body.is_root() && copy.is_root()) return empty_revision();
    if (body == copy) bodies_.pop_back();
    if (copy >= body) {
      RevisionPointer candidate = copy_;
      ST8_ASSIGN(copy_, lookup_.revision(copy_->prev_copy));
      if (copy_ == nullptr) return fail(ErrorCode::kCorrupt, "a link of the history leads nowhere", "Run `st8d fsck`.");
      return candidate;
    }
    bodies_.pop_back();
    ST8_ASSIGN(RevisionPointer candidate, lookup_.revision(body));
    if (candidate == nullptr) continue;  // A body without a revision is no history; fsck names it.
    ST8_ASSIGN(const bool ours, is_on_chain(lookup_, candidate, from_));
    if (ours) return candidate;
  }
}

Result<std::optional<Change>> KeyHistory::change_at(const RevisionPointer& revision) {
  std::optional<Change> change;
  if (revision->revision.pruned) {
    // Only its bodies may remain, where a kept revision still refers to them.
    if (revision->is_copy) return change;
    ST8_ASSIGN(const auto stored,
               core_.engine->get(keyspace::blob_key(lookup_.id(), key_.view(), revision->revision.number)));
    if (!stored || stored->empty()) return change;
    change.emplace(Change{key_, ChangeType::kDelete, std::nullopt, std::nullopt});
    if (stored->front() == pipeline::kBlobRaw) {
      const std::string_view content = std::string_view(*stored).substr(1);
      change->type = ChangeType::kUpdate;
      change->after = DocumentRef{Hash::of(content), content.size(), revision->revision.number};
    }
    return change;
  }
  ST8_ASSIGN(const auto after, tree::find(nodes_, revision->revision.tree, key_.view()));
  ST8_ASSIGN(const RevisionPointer parent, parent_of(lookup_, revision));
  std::optional<DocumentRef> before;
  if (!parent->revision.pruned) {
    ST8_ASSIGN(before, tree::find(nodes_, parent->revision.tree, key_.view()));
    if (before.has_value() == after.has_value() && (!after || before->hash == after->hash)) return change;
  }
  const ChangeType type = !after                              ? ChangeType::kDelete
                          : before || parent->revision.pruned ? ChangeType::kUpdate
                                                              : ChangeType::kCreate;
  change.emplace(Change{key_, type, before, after});
  return change;
}

Result<std::optional<KeyHistory::Item>> KeyHistory::next() {
  while (true) {
    ST8_ASSIGN(RevisionPointer candidate, next_candidate());
    if (candidate->depth == 0) return std::optional<Item>{};
    // Trees are read outside a View: held for as long as that takes.
    pipeline::Pin pin = core_.pins.enter();
    ST8_ASSIGN(candidate, lookup_.revision(candidate->revision.number));  // Again: a prune mark may have come.
    auto change = change_at(candidate);
    if (!change) return fail(std::move(change).error());
    if (*change) return std::optional<Item>{Item{std::move(candidate), std::move(**change)}};
  }
}

}  // namespace st8::state::query
