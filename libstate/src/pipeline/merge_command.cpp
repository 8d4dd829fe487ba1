#include "pipeline/merge_command.h"

#include "query/chain.h"
#include "query/merge_base.h"
#include "query/resolve.h"

namespace st8::state::pipeline {

using codec::IdempotencyRecord;

Result<MergePlan> plan_merge(
    const query::Lookup& lookup, keyspace::NamespaceId ns, const tree::NodeSource& nodes,
    const std::function<Result<std::string>(std::string_view key, const DocumentRef& ref)>& read,
    const MergeRequest& request, MergePins* pins) {
  MergePlan plan;
  ST8_ASSIGN(plan.head, query::head_of(lookup, request.branch.view()));
  ST8_ASSIGN(plan.source, query::resolve(lookup, request.branch.view(), request.source));
  if (request.cause == Cause::kMerge) {
    plan.theirs = plan.source;
    ST8_ASSIGN(plan.base, query::merge_base(lookup, plan.head, plan.source));
    plan.contained = plan.base->revision.number == plan.source->revision.number;
  } else {
    if (plan.source->revision.number.is_root()) {
      return fail(ErrorCode::kInvalidArgument, "revision 0 changed nothing", "`st8ctl log` lists the revisions.");
    }
    ST8_ASSIGN(RevisionPointer parent, query::parent_of(lookup, plan.source));
    plan.base = request.cause == Cause::kRevert ? plan.source : parent;
    plan.theirs = request.cause == Cause::kRevert ? parent : plan.source;
  }
  if (pins != nullptr) {
    pins->head.stand_on(ns, plan.head->revision.number);
    pins->base.stand_on(ns, plan.base->revision.number);
    pins->theirs.stand_on(ns, plan.theirs->revision.number);
  }
  if (plan.contained) return plan;
  for (const RevisionPointer& each : {plan.head, plan.theirs, plan.base}) {
    if (each->revision.pruned) return query::pruned(each->revision.number);
  }
  const TreeRoot &base = plan.base->revision.tree, &ours = plan.head->revision.tree,
                 &theirs = plan.theirs->revision.tree;
  plan.takes_tree = base.hash == ours.hash;
  if (plan.takes_tree) {
    ST8_TRY(tree::diff(nodes, ours, theirs, {}, {}, [&](Change&& change) {
      plan.changes.push_back(std::move(change));
      return true;
    }));
    return plan;
  }
  ST8_ASSIGN(plan.merge, merge::merge_trees(nodes, base, ours, theirs, read, {request.prefer, request.resolve}));
  return plan;
}

Status MergeCommand::prepare() {
  if (request_.cause != Cause::kMerge && request_.cause != Cause::kCherryPick && request_.cause != Cause::kRevert) {
    return fail(ErrorCode::kInternal,
                "a merge was asked for with a cause that is none of merge, cherry-pick and revert");
  }
  return check_context(request_.context);
}

void MergeCommand::set_plan(std::optional<Result<MergePlan>> plan) {
  plan_ = std::move(plan);
  moved = false;
  bytes_ = 1024;
  if (!plan_ || !*plan_) return;
  for (const merge::TreeMerge::Edit& edit : (*plan_)->merge.edits)
    bytes_ += 4096 + (edit.content ? edit.content->size() : 0);
}

Status MergeCommand::build(Committer& committer) {
  const WriteContext& context = request_.context;
  ST8_ASSIGN(NamespaceDraft * ns, committer.name_space(request_.name_space));
  if (ns->exists() && context.idempotency) {
    ST8_ASSIGN(answer.replay, committer.find_answer(ns->id(), context));
    if (answer.replay) return check_is_commit(*answer.replay, IdempotencyRecord::Kind::kCommit);
  }
  ST8_ASSIGN(BranchDraft * branch, committer.branch(*ns, request_.branch.view()));
  ST8_TRY(committer.check_expected(request_.branch, *branch, context));
  const auto lookup = committer.lookup(*ns);
  GroupNodes& nodes = committer.nodes(*ns);
  if (!plan_) {
    const auto read = [&](std::string_view key, const DocumentRef& ref) {
      return committer.read_content(*ns, key, ref);
    };
    plan_ = plan_merge(*lookup, ns->id(), nodes, read, request_, nullptr);
  }
  if (!*plan_) return fail(plan_->error());
  MergePlan& plan = **plan_;
  const RevisionPointer head = Committer::head_of(*branch);
  if (head->revision.number != plan.head->revision.number) {
    moved = true;
    return {};
  }
  // What the plan's documents lie with must not have been given to gc since; from here on the new head keeps them.
  ST8_ASSIGN(const RevisionPointer theirs, lookup->revision(plan.theirs->revision.number));
  if (theirs == nullptr) return query::no_such_revision(plan.theirs->revision.number);
  if (!plan.contained && theirs->revision.pruned) return query::pruned(theirs->revision.number);

  if (!plan.merge.conflicts.empty()) {
    answer.result = CommitResult{};
    answer.result.revision = head->revision.number;
    answer.result.hash = head->revision.hash;
    answer.result.parent = head->revision.parent();
    answer.result.dry_run = context.dry_run;
    answer.result.conflicts = std::move(plan.merge.conflicts);
    return {};
  }

  RevisionDraft draft;
  draft.cause = request_.cause;
  draft.cause_detail = request_.source.text;
  draft.is_copy = true;
  if (request_.cause == Cause::kMerge) {
    draft.more_parents.push_back(plan.source);
  } else {
    draft.source = plan.source->revision.number;
  }
  const NodeMark mark(nodes);
  std::vector<Change> changes;
  std::vector<StagedBlob> blobs;
  if (plan.contained) {
    answer_noop(committer, *ns, head, context, answer);
    return {};
  }
  if (plan.takes_tree) {
    draft.tree = theirs->revision.tree;
    changes = std::move(plan.changes);
  } else {
    const RevisionNumber number = Committer::next_revision(*ns);
    std::vector<tree::Edit> edits;
    edits.reserve(plan.merge.edits.size());
    for (merge::TreeMerge::Edit& edit : plan.merge.edits) {
      std::optional<DocumentRef> value = edit.stored;
      if (edit.content) {
        value = DocumentRef{Hash::of(*edit.content), edit.content->size(), number};
        blobs.push_back({edit.key, std::string(1, kBlobRaw).append(*edit.content)});
      }
      edits.push_back({edit.key, value});
    }
    ST8_ASSIGN(tree::EditResult edited, tree::edit(nodes, head->revision.tree, edits, number, nodes));
    draft.tree = std::move(edited.root);
    changes = std::move(edited.changes);
  }
  // A merge that changes nothing is recorded all the same: the next one begins behind it.
  if (changes.empty() && request_.cause != Cause::kMerge) {
    answer_noop(committer, *ns, head, context, answer);
    return {};
  }
  draft.change_count = changes.size();
  return finish_commit(committer, *ns, request_.branch, *branch, draft, std::move(changes), std::move(blobs), context,
                       answer);
}

}  // namespace st8::state::pipeline
