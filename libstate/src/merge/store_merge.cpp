// Store::merge and merge_base.
#include "pipeline/merge_command.h"
#include "pipeline/store_impl.h"
#include "query/merge_base.h"
#include "query/resolve.h"

namespace st8::state {

namespace {

// How often a merge is worked out beside the committer before the committer has to do it.
constexpr int kPlansMax = 4;

}  // namespace

Result<CommitResult> Store::merge(MergeRequest request) {
  pipeline::StoreCore& core = impl_->core;
  pipeline::MergeCommand command(request);
  ST8_TRY(command.prepare());
  for (int attempt = 0;; ++attempt) {
    pipeline::MergePins pins{core.pins.enter(), core.pins.enter(), core.pins.enter()};
    if (attempt < kPlansMax) {
      ST8_ASSIGN(const pipeline::ReaderLookup found, impl_->lookup(request.name_space));
      const tree::StoredNodes nodes(*core.engine, core.nodes, found.id());
      const auto read = [&](std::string_view key, const DocumentRef& ref) {
        return core.read_content(found.id(), key, ref);
      };
      auto plan = pipeline::plan_merge(found, found.id(), nodes, read, request, &pins);
      if (!plan) pins = {};  // gc must not wait for what stands on nothing.
      command.set_plan(std::move(plan));
    } else {
      command.set_plan(std::nullopt);
      pins = {};
    }
    ST8_TRY(impl_->submit(command));
    if (!command.moved) return impl_->render(request.name_space, std::move(command.answer));
  }
}

Result<RevisionNumber> Store::merge_base(const NamespaceName& ns, RevisionNumber a, RevisionNumber b) const {
  ST8_ASSIGN(const pipeline::ReaderLookup lookup, impl_->lookup(ns));
  ST8_ASSIGN(const query::RevisionPointer one, lookup.revision(a));
  if (one == nullptr) return query::no_such_revision(a);
  ST8_ASSIGN(const query::RevisionPointer other, lookup.revision(b));
  if (other == nullptr) return query::no_such_revision(b);
  ST8_ASSIGN(const query::RevisionPointer base, query::merge_base(lookup, one, other));
  return base->revision.number;
}

}  // namespace st8::state
