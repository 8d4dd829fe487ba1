#include "pipeline/commands.h"

#include <algorithm>
#include <map>

#include "query/resolve.h"
#include "st8/state/text.h"

namespace st8::state::pipeline {

using codec::IdempotencyRecord;
using keyspace::Table;

Status check_text(std::string_view what, std::string_view text, std::size_t bytes_max) {
  if (text.size() > bytes_max) {
    return fail(ErrorCode::kTooLarge,
                std::string(what) + " is " + std::to_string(text.size()) + " bytes long; at most " +
                    std::to_string(bytes_max) + " are allowed",
                "Shorten it.");
  }
  if (!is_valid_utf8(text))
    return fail(ErrorCode::kInvalidArgument, std::string(what) + " is not valid UTF-8", "Send UTF-8 text.");
  return {};
}

Status check_context(const WriteContext& context) {
  ST8_TRY(check_text("the message", context.message, Limits::kMessageBytesMax));
  ST8_TRY(check_text("the author", context.author, Limits::kMessageBytesMax));
  ST8_TRY(check_text("the actor", context.actor, Limits::kMessageBytesMax));
  ST8_TRY(check_text("the request id", context.request_id, Limits::kMessageBytesMax));
  if (context.idempotency) {
    const std::string& key = context.idempotency->key;
    if (key.empty())
      return fail(ErrorCode::kInvalidArgument, "the idempotency key is empty", "Send a key, or none at all.");
    ST8_TRY(check_text("the idempotency key", key, Limits::kIdempotencyKeyBytesMax));
  }
  return {};
}

BranchInfo to_info(const BranchName& name, const codec::BranchRecord& record) {
  return BranchInfo{name, record.head, record.base, record.is_protected, record.created_at, record.created_by};
}

CheckpointInfo to_info(const CheckpointName& name, const codec::CheckpointRecord& record) {
  return CheckpointInfo{name, record.revision, record.description, record.created_at, record.created_by};
}

NamespaceInfo to_info(const NamespaceName& name, const NamespaceEntry& entry, const codec::Counters& counters) {
  return NamespaceInfo{name, RevisionNumber{counters.last_revision}, counters.branch_count, counters.checkpoint_count,
                       entry.created_at};
}

Status check_is_commit(const IdempotencyRecord& record, IdempotencyRecord::Kind kind) {
  if (record.kind == kind) return {};
  // The request's hash agreed, so this is damage or a caller that hashes too little.
  return fail(ErrorCode::kConflict, "the idempotency key was used for another kind of request",
              "Use a new key for a new request.");
}

namespace {

CommitResult result_of(const Revision& revision) {
  CommitResult result;
  result.revision = revision.number;
  result.hash = revision.hash;
  result.parent = revision.parent();
  return result;
}

}  // namespace

void answer_noop(Committer& committer, const NamespaceDraft& ns, const RevisionPointer& head,
                 const WriteContext& context, CommitAnswer& answer) {
  answer.result = result_of(head->revision);
  answer.result.noop = true;
  answer.result.dry_run = context.dry_run;
  if (context.dry_run || !ns.exists()) return;
  IdempotencyRecord record;
  record.revision = head->revision.number;
  record.noop = true;
  committer.record_answer(ns.id(), context, std::move(record));
}

namespace {

// Bodies that the commit brings stand beside it; the others are stored.
class CommitContent final : public ProposedContent {
 public:
  CommitContent(Committer& committer, const NamespaceDraft& ns, const std::vector<StagedBlob>& blobs)
      : committer_(committer), ns_(ns), blobs_(blobs) {}
  Result<std::string> read(const DocumentKey& key, const DocumentRef& after) const override {
    const auto staged =
        std::find_if(blobs_.begin(), blobs_.end(), [&](const StagedBlob& blob) { return blob.key == key.view(); });
    if (staged != blobs_.end()) return staged->stored.substr(1);  // Behind the kind byte.
    return committer_.read_content(ns_, key.view(), after);
  }

 private:
  Committer& committer_;
  const NamespaceDraft& ns_;
  const std::vector<StagedBlob>& blobs_;
};

}  // namespace

Status finish_commit(Committer& committer, NamespaceDraft& ns, const BranchName& name, BranchDraft& branch,
                     const RevisionDraft& draft, std::vector<Change> changes, std::vector<StagedBlob> blobs,
                     const WriteContext& context, CommitAnswer& answer) {
  ST8_TRY(committer.ask_guard({ns.name, name, draft.cause, Committer::head_of(branch)->revision.number, changes,
                               CommitContent(committer, ns, blobs)}));
  ST8_ASSIGN(DraftedRevision drafted, committer.draft_revision(ns, name, branch, draft, context));
  answer.result = result_of(drafted.record->revision);
  answer.result.changes = std::move(changes);
  answer.result.change_count = draft.change_count;
  answer.result.dry_run = context.dry_run;
  if (context.dry_run) return {};
  committer.append_revision(ns, name, branch, std::move(drafted), std::move(blobs), context);
  IdempotencyRecord record;
  record.revision = answer.result.revision;
  committer.record_answer(ns.id(), context, std::move(record));
  return {};
}

// Apply -----------------------------------------------------------------------------------------------------------------

Status ApplyCommand::prepare() {
  ST8_TRY(check_context(request_.context));
  ST8_TRY(check_text("the cause's detail", request_.cause_detail, Limits::kMessageBytesMax));
  const std::size_t count = request_.documents.size() + request_.unset.size();
  if (count > Limits::kDocumentsPerApplyMax) {
    return fail(ErrorCode::kTooLarge,
                "the request names " + std::to_string(count) + " documents; at most " +
                    std::to_string(Limits::kDocumentsPerApplyMax) + " are allowed in one",
                "Split it into several requests.");
  }
  const auto twice = [](std::string_view key) {
    return fail(ErrorCode::kInvalidArgument, "the key " + quote(key) + " is given twice", "Give each key once.");
  };
  wanted_.reserve(request_.documents.size());
  bytes_ = 1024;
  for (const Document& document : request_.documents) {
    const std::size_t size = document.content.size();
    if (size > Limits::kDocumentBytesMax) {
      return fail(ErrorCode::kTooLarge,
                  "the document " + quote(document.key.view()) + " has " + std::to_string(size) + " bytes; at most " +
                      std::to_string(Limits::kDocumentBytesMax) + " are allowed",
                  "Split it, or keep it elsewhere and store a reference.");
    }
    Wanted wanted;
    wanted.key = document.key.str();
    wanted.stored.reserve(size + 1);
    wanted.stored.push_back(kBlobRaw);
    wanted.stored.append(document.content);
    wanted.ref.hash = Hash::of(document.content);
    wanted.ref.size = size;
    bytes_ += size + 4096;
    wanted_.push_back(std::move(wanted));
  }
  const auto by_key = [](const Wanted& a, const Wanted& b) { return a.key < b.key; };
  if (!std::is_sorted(wanted_.begin(), wanted_.end(), by_key)) std::sort(wanted_.begin(), wanted_.end(), by_key);
  for (std::size_t i = 1; i < wanted_.size(); ++i) {
    if (wanted_[i - 1].key == wanted_[i].key) return twice(wanted_[i].key);
  }
  for (const DocumentKey& key : request_.unset) unset_.push_back(key.str());
  std::sort(unset_.begin(), unset_.end());
  for (std::size_t i = 1; i < unset_.size(); ++i) {
    if (unset_[i - 1] == unset_[i]) return twice(unset_[i]);
  }
  bytes_ += unset_.size() * 1024;
  std::size_t at = 0;
  for (const std::string& key : unset_) {
    while (at < wanted_.size() && wanted_[at].key < key) ++at;
    if (at < wanted_.size() && wanted_[at].key == key) {
      return fail(ErrorCode::kInvalidArgument, "the key " + quote(key) + " is both set and unset",
                  "Do one of the two.");
    }
  }
  return {};
}

Status ApplyCommand::check_conditions(const tree::NodeSource& nodes, const TreeRoot& root) const {
  for (const KeyCondition& condition : request_.conditions) {
    ST8_ASSIGN(const std::optional<DocumentRef> found, tree::find(nodes, root, condition.key.view()));
    const bool holds =
        condition.any ? found.has_value()
                      : condition.hash.has_value() == found.has_value() && (!found || found->hash == *condition.hash);
    if (holds) continue;
    std::string is = found ? "it exists with hash " + found->hash.hex() : "it does not exist";
    return fail(ErrorCode::kPreconditionFailed,
                "the condition on " + quote(condition.key.view()) + " does not hold: " + is,
                "Read the document again, then retry with what you have seen.");
  }
  return {};
}

Result<std::vector<tree::Edit>> ApplyCommand::make_edits(const tree::NodeSource& nodes, const TreeRoot& root,
                                                         RevisionNumber number) const {
  std::vector<tree::Edit> edits;
  edits.reserve(wanted_.size() + unset_.size());
  for (const Wanted& wanted : wanted_) {
    edits.push_back({wanted.key, wanted.ref});
    edits.back().value->written_at = number;
  }
  if (unset_.empty() && !request_.prune_prefix) return edits;

  for (const std::string& key : unset_) {
    if (!request_.unset_missing_ok) {
      ST8_ASSIGN(const std::optional<DocumentRef> found, tree::find(nodes, root, key));
      if (!found) {
        return fail(ErrorCode::kNotFound, "key " + quote(key) + " not found", "`st8ctl get` lists the keys.");
      }
    }
    edits.push_back({key, std::nullopt});
  }
  if (request_.prune_prefix) {
    ST8_TRY(tree::scan(nodes, root, *request_.prune_prefix, {}, [&](std::string_view key, const DocumentRef&) {
      const auto found = std::lower_bound(wanted_.begin(), wanted_.end(), key,
                                          [](const Wanted& wanted, std::string_view k) { return wanted.key < k; });
      const bool named =
          (found != wanted_.end() && found->key == key) || std::binary_search(unset_.begin(), unset_.end(), key);
      if (!named) edits.push_back({std::string(key), std::nullopt});
      return true;
    }));
  }
  std::sort(edits.begin(), edits.end(), [](const tree::Edit& a, const tree::Edit& b) { return a.key < b.key; });
  return edits;
}

Status ApplyCommand::build(Committer& committer) {
  const WriteContext& context = request_.context;
  ST8_ASSIGN(NamespaceDraft * ns, committer.name_space(request_.name_space));
  if (ns->exists() && context.idempotency) {
    ST8_ASSIGN(answer.replay, committer.find_answer(ns->id(), context));
    if (answer.replay) return check_is_commit(*answer.replay, IdempotencyRecord::Kind::kCommit);
  }
  ST8_ASSIGN(BranchDraft * branch, committer.branch(*ns, request_.branch.view()));
  ST8_TRY(committer.check_expected(request_.branch, *branch, context));
  const RevisionPointer head = Committer::head_of(*branch);
  const TreeRoot& root = head->revision.tree;
  GroupNodes& nodes = committer.nodes(*ns);
  const NodeMark mark(nodes);
  ST8_TRY(check_conditions(nodes, root));

  const RevisionNumber number = Committer::next_revision(*ns);
  ST8_ASSIGN(const std::vector<tree::Edit> edits, make_edits(nodes, root, number));
  ST8_ASSIGN(tree::EditResult edited, tree::edit(nodes, root, edits, number, nodes));
  if (edited.changes.empty()) {
    answer_noop(committer, *ns, head, context, answer);
    return {};
  }

  // One body for each change: the content, or the mark of a deletion, so that the table of bodies is each key's history.
  std::vector<StagedBlob> blobs;
  blobs.reserve(edited.changes.size());
  auto wanted = wanted_.begin();
  for (const Change& change : edited.changes) {
    if (!change.after) {
      blobs.push_back({change.key.view(), std::string(1, kBlobDeleted)});
      continue;
    }
    while (wanted->key != change.key.view()) ++wanted;  // Both are in key order, and every change came from an edit.
    blobs.push_back({wanted->key, std::move(wanted->stored)});
  }
  RevisionDraft draft;
  draft.tree = edited.root;
  draft.change_count = edited.changes.size();
  draft.cause = request_.cause;
  draft.cause_detail = request_.cause_detail;
  return finish_commit(committer, *ns, request_.branch, *branch, draft, std::move(edited.changes), std::move(blobs),
                       context, answer);
}

// Copy ------------------------------------------------------------------------------------------------------------------

Status CopyCommand::prepare() {
  ST8_TRY(check_context(request_.context));
  ST8_TRY(check_text("the cause's detail", request_.cause_detail, Limits::kMessageBytesMax));
  return {};
}

namespace {

// How many keys differ between two revisions' trees, where one of them says it: it was made upon the other. A merge into a
// branch that had no revision has a parent that its changes were not counted from.
std::optional<std::uint64_t> known_change_count(const Revision& a, const Revision& b) {
  if (a.parent() == b.number && !a.number.is_root() && a.cause != Cause::kMerge) return a.change_count;
  if (b.parent() == a.number && !b.number.is_root() && b.cause != Cause::kMerge) return b.change_count;
  return std::nullopt;
}

Result<std::vector<Change>> changes_between(const tree::NodeSource& nodes, const TreeRoot& before,
                                            const TreeRoot& after, std::vector<std::string> prefixes) {
  std::vector<Change> changes;
  std::sort(prefixes.begin(), prefixes.end());
  const std::string* last = nullptr;
  for (const std::string& prefix : prefixes) {
    if (last != nullptr && prefix.starts_with(*last)) continue;  // Had already.
    last = &prefix;
    ST8_TRY(tree::diff(nodes, before, after, prefix, {}, [&](Change&& change) {
      changes.push_back(std::move(change));
      return true;
    }));
  }
  return changes;
}

}  // namespace

Status CopyCommand::build(Committer& committer) {
  const WriteContext& context = request_.context;
  ST8_ASSIGN(NamespaceDraft * ns, committer.name_space(request_.name_space));
  if (ns->exists() && context.idempotency) {
    ST8_ASSIGN(answer.replay, committer.find_answer(ns->id(), context));
    if (answer.replay) return check_is_commit(*answer.replay, IdempotencyRecord::Kind::kCommit);
  }
  ST8_ASSIGN(BranchDraft * branch, committer.branch(*ns, request_.branch.view()));
  const auto lookup = committer.lookup(*ns);
  if (branch->state == nullptr && request_.cause != Cause::kRestore &&
      request_.branch.view() != query::kDefaultBranch) {
    return query::no_such_branch(*lookup, request_.branch.view());
  }
  ST8_TRY(committer.check_expected(request_.branch, *branch, context));
  ST8_ASSIGN(const RevisionPointer source, query::resolve(*lookup, request_.source_branch.view(), request_.source));
  if (source->revision.pruned) return query::pruned(source->revision.number);

  const RevisionPointer head = Committer::head_of(*branch);
  GroupNodes& nodes = committer.nodes(*ns);
  const NodeMark mark(nodes);
  TreeRoot wanted = source->revision.tree;
  if (!request_.keep.empty()) {
    std::map<std::string, std::optional<DocumentRef>> kept;
    for (const DocumentKey& key : request_.keep) {
      ST8_ASSIGN(auto ref, tree::find(nodes, head->revision.tree, key.view()));
      if (!ref) {
        ST8_ASSIGN(const auto theirs, tree::find(nodes, wanted, key.view()));
        if (!theirs) {
          return fail(ErrorCode::kNotFound,
                      "key " + quote(key.view()) + " is to be kept, and neither branch " + request_.branch.str() +
                          " nor revision " + std::to_string(source->revision.number.value) + " has it",
                      "`st8ctl get` lists the keys.");
        }
      }
      kept.insert_or_assign(key.str(), std::move(ref));
    }
    std::vector<tree::Edit> edits;
    edits.reserve(kept.size());
    for (const auto& [key, ref] : kept) edits.push_back({key, ref});
    ST8_ASSIGN(tree::EditResult edited, tree::edit(nodes, wanted, edits, Committer::next_revision(*ns), nodes));
    wanted = std::move(edited.root);
  }
  if (wanted.hash == head->revision.tree.hash) {
    answer_noop(committer, *ns, head, context, answer);
    return {};
  }
  std::optional<std::uint64_t> change_count;
  if (!request_.changes_wanted && request_.keep.empty())
    change_count = known_change_count(head->revision, source->revision);
  std::vector<std::string> prefixes{""};
  if (change_count) prefixes = committer.guarded_prefixes(ns->name, request_.branch);
  ST8_ASSIGN(std::vector<Change> changes, changes_between(nodes, head->revision.tree, wanted, std::move(prefixes)));
  RevisionDraft draft;
  draft.tree = std::move(wanted);
  draft.change_count = change_count.value_or(changes.size());
  draft.cause = request_.cause;
  draft.cause_detail = request_.cause_detail;
  draft.source = source->revision.number;
  draft.is_copy = true;
  return finish_commit(committer, *ns, request_.branch, *branch, draft, std::move(changes), {}, context, answer);
}

// Branches --------------------------------------------------------------------------------------------------------------

namespace {

Operation operation_of(OperationKind kind, std::string_view name, const WriteContext& context, Timestamp at) {
  Operation operation;
  operation.kind = kind;
  operation.name = std::string(name);
  operation.actor = context.actor;
  operation.request_id = context.request_id;
  operation.at = at;
  return operation;
}

// The recorded answer of a branch command. nullopt: there is none.
Result<std::optional<BranchInfo>> replay_branch(Committer& committer, const NamespaceDraft& ns,
                                                const WriteContext& context) {
  std::optional<BranchInfo> info;
  if (!ns.exists()) return info;
  ST8_ASSIGN(const auto record, committer.find_answer(ns.id(), context));
  if (!record) return info;
  ST8_TRY(check_is_commit(*record, IdempotencyRecord::Kind::kBranch));
  ST8_ASSIGN(const BranchName name, BranchName::parse(record->name));
  info = to_info(name, record->branch);
  return info;
}

void record_branch(Committer& committer, const NamespaceDraft& ns, const BranchName& name,
                   const codec::BranchRecord& branch, const WriteContext& context) {
  IdempotencyRecord record;
  record.kind = IdempotencyRecord::Kind::kBranch;
  record.name = name.str();
  record.branch = branch;
  committer.record_answer(ns.id(), context, std::move(record));
}

Result<std::optional<CheckpointInfo>> replay_checkpoint(Committer& committer, const NamespaceDraft& ns,
                                                        const WriteContext& context) {
  std::optional<CheckpointInfo> info;
  if (!ns.exists()) return info;
  ST8_ASSIGN(const auto record, committer.find_answer(ns.id(), context));
  if (!record) return info;
  ST8_TRY(check_is_commit(*record, IdempotencyRecord::Kind::kCheckpoint));
  ST8_ASSIGN(const CheckpointName name, CheckpointName::parse(record->name));
  info = to_info(name, record->checkpoint);
  return info;
}

void record_checkpoint(Committer& committer, const NamespaceDraft& ns, const CheckpointName& name,
                       const codec::CheckpointRecord& checkpoint, const WriteContext& context) {
  IdempotencyRecord record;
  record.kind = IdempotencyRecord::Kind::kCheckpoint;
  record.name = name.str();
  record.checkpoint = checkpoint;
  committer.record_answer(ns.id(), context, std::move(record));
}

tl::unexpected<Error> branch_exists(const BranchName& name, const BranchDraft& branch) {
  return fail(
      ErrorCode::kConflict,
      "branch " + name.str() + " exists already, at revision " + std::to_string(branch.state->record.head.value),
      "Choose another name, or delete that branch first.");
}

tl::unexpected<Error> branch_protected(const BranchName& name, std::string_view verb) {
  return fail(ErrorCode::kConflict, "branch " + name.str() + " is protected and cannot be " + std::string(verb),
              "`st8ctl branch protect --off " + name.str() + "` takes the protection away.");
}

}  // namespace

Status BranchCreateCommand::build(Committer& committer) {
  const WriteContext& context = request_.context;
  ST8_TRY(check_context(context));
  ST8_ASSIGN(NamespaceDraft * ns, committer.name_space(request_.name_space));
  ST8_ASSIGN(answer, replay_branch(committer, *ns, context));
  if (answer) return {};
  const auto lookup = committer.lookup(*ns);
  ST8_ASSIGN(BranchDraft * branch, committer.branch(*ns, request_.name.view()));
  if (branch->state != nullptr) return branch_exists(request_.name, *branch);
  ST8_TRY(committer.check_expected(request_.name, *branch, context));
  ST8_ASSIGN(const RevisionPointer from, query::resolve(*lookup, request_.from_branch.view(), request_.from));
  if (from->revision.pruned) return query::pruned(from->revision.number);

  auto state = std::make_shared<query::BranchState>();
  state->record.head = state->record.base = from->revision.number;
  state->record.created_at = committer.now();
  state->record.created_by = context.actor;
  state->head = from;
  answer = to_info(request_.name, state->record);
  if (context.dry_run) return {};
  committer.ensure_namespace(*ns, context, state->record.created_at);
  Operation operation =
      operation_of(OperationKind::kBranchCreate, request_.name.view(), context, state->record.created_at);
  operation.after = from->revision.number;
  committer.add_operation(*ns, std::move(operation));
  record_branch(committer, *ns, request_.name, state->record, context);
  committer.set_branch(*ns, *branch, std::move(state));
  return {};
}

Status BranchDeleteCommand::build(Committer& committer) {
  const WriteContext& context = request_.context;
  ST8_TRY(check_context(context));
  ST8_ASSIGN(NamespaceDraft * ns, committer.name_space(request_.name_space));
  ST8_ASSIGN(answer, replay_branch(committer, *ns, context));
  if (answer) return {};
  ST8_ASSIGN(BranchDraft * branch, committer.branch(*ns, request_.name.view()));
  if (branch->state == nullptr) return query::no_such_branch(*committer.lookup(*ns), request_.name.view());
  ST8_TRY(committer.check_expected(request_.name, *branch, context));
  if (branch->state->record.is_protected) return branch_protected(request_.name, "deleted");
  const codec::BranchRecord record = branch->state->record;
  answer = to_info(request_.name, record);
  if (context.dry_run) return {};
  Operation operation = operation_of(OperationKind::kBranchDelete, request_.name.view(), context, committer.now());
  operation.before = record.head;
  committer.add_operation(*ns, std::move(operation));
  record_branch(committer, *ns, request_.name, record, context);
  committer.set_branch(*ns, *branch, nullptr);
  return {};
}

Status BranchRenameCommand::build(Committer& committer) {
  const WriteContext& context = request_.context;
  ST8_TRY(check_context(context));
  ST8_ASSIGN(NamespaceDraft * ns, committer.name_space(request_.name_space));
  ST8_ASSIGN(answer, replay_branch(committer, *ns, context));
  if (answer) return {};
  ST8_ASSIGN(const BranchDraft* found, committer.branch(*ns, request_.from.view()));
  if (found->state == nullptr) return query::no_such_branch(*committer.lookup(*ns), request_.from.view());
  ST8_TRY(committer.check_expected(request_.from, *found, context));
  if (found->state->record.is_protected) return branch_protected(request_.from, "renamed");
  ST8_ASSIGN(BranchDraft * to, committer.branch(*ns, request_.to.view()));
  if (to->state != nullptr) return branch_exists(request_.to, *to);
  ST8_ASSIGN(BranchDraft * from, committer.branch(*ns, request_.from.view()));  // Again: the map may have moved.
  const BranchPointer state = from->state;
  answer = to_info(request_.to, state->record);
  if (context.dry_run) return {};
  Operation operation = operation_of(OperationKind::kBranchRename, request_.from.view(), context, committer.now());
  operation.detail = request_.to.str();
  operation.before = operation.after = state->record.head;
  committer.add_operation(*ns, std::move(operation));
  record_branch(committer, *ns, request_.to, state->record, context);
  committer.set_branch(*ns, *from, nullptr);
  committer.set_branch(*ns, *to, state);
  return {};
}

Status BranchProtectCommand::build(Committer& committer) {
  const WriteContext& context = request_.context;
  ST8_TRY(check_context(context));
  ST8_ASSIGN(NamespaceDraft * ns, committer.name_space(request_.name_space));
  ST8_ASSIGN(answer, replay_branch(committer, *ns, context));
  if (answer) return {};
  ST8_ASSIGN(BranchDraft * branch, committer.branch(*ns, request_.name.view()));
  if (branch->state == nullptr) return query::no_such_branch(*committer.lookup(*ns), request_.name.view());
  ST8_TRY(committer.check_expected(request_.name, *branch, context));
  auto state = std::make_shared<query::BranchState>(*branch->state);
  const bool same = state->record.is_protected == request_.protect;
  state->record.is_protected = request_.protect;
  answer = to_info(request_.name, state->record);
  if (context.dry_run) return {};
  record_branch(committer, *ns, request_.name, state->record, context);
  if (same) return {};
  Operation operation = operation_of(request_.protect ? OperationKind::kBranchProtect : OperationKind::kBranchUnprotect,
                                     request_.name.view(), context, committer.now());
  operation.before = operation.after = state->record.head;
  committer.add_operation(*ns, std::move(operation));
  committer.set_branch(*ns, *branch, std::move(state));
  return {};
}

// Checkpoints -----------------------------------------------------------------------------------------------------------

Status CheckpointPutCommand::prepare() {
  ST8_TRY(check_context(request_.context));
  return check_text("the description", request_.description, Limits::kMessageBytesMax);
}

Status CheckpointPutCommand::build(Committer& committer) {
  const WriteContext& context = request_.context;
  ST8_ASSIGN(NamespaceDraft * ns, committer.name_space(request_.name_space));
  ST8_ASSIGN(answer, replay_checkpoint(committer, *ns, context));
  if (answer) return {};
  const auto lookup = committer.lookup(*ns);
  ST8_ASSIGN(const RevisionPointer at, query::resolve(*lookup, request_.branch.view(), request_.at));
  if (at->revision.number.is_root()) {
    return fail(ErrorCode::kNotFound, "there is no revision to pin: " + quote(request_.at.text) + " is the empty state",
                "Apply something first, or name another revision.");
  }
  if (at->revision.pruned) return query::pruned(at->revision.number);
  if (context.expected_revision) {
    ST8_ASSIGN(const BranchDraft* branch, committer.branch(*ns, request_.branch.view()));
    ST8_TRY(committer.check_expected(request_.branch, *branch, context));
  }
  ST8_ASSIGN(const auto existing, lookup->checkpoint(request_.name.view()));
  codec::CheckpointRecord record;
  const bool noop = existing && existing->revision == at->revision.number &&
                    (!request_.replace || existing->description == request_.description);
  if (noop) {
    record = *existing;
  } else if (existing && !request_.replace) {
    return fail(ErrorCode::kConflict,
                "checkpoint " + request_.name.str() + " exists already, at revision " +
                    std::to_string(existing->revision.value),
                "Choose another name, or replace it explicitly (--replace).");
  } else {
    record.revision = at->revision.number;
    record.description = request_.description;
    record.created_at = committer.now();
    record.created_by = context.actor;
  }
  answer = to_info(request_.name, record);
  if (context.dry_run) return {};
  record_checkpoint(committer, *ns, request_.name, record, context);
  if (noop) return {};
  committer.put(keyspace::named_key(Table::kCheckpoint, ns->id(), request_.name.view()), codec::encode(record));
  if (!existing) ++ns->counters.checkpoint_count;
  Operation operation = operation_of(existing ? OperationKind::kCheckpointReplace : OperationKind::kCheckpointCreate,
                                     request_.name.view(), context, record.created_at);
  operation.before = existing ? existing->revision : RevisionNumber{};
  operation.after = record.revision;
  operation.detail = request_.description;
  committer.add_operation(*ns, std::move(operation));
  return {};
}

Status CheckpointDeleteCommand::build(Committer& committer) {
  const WriteContext& context = request_.context;
  ST8_TRY(check_context(context));
  ST8_ASSIGN(NamespaceDraft * ns, committer.name_space(request_.name_space));
  ST8_ASSIGN(answer, replay_checkpoint(committer, *ns, context));
  if (answer) return {};
  const auto lookup = committer.lookup(*ns);
  ST8_ASSIGN(const auto existing, lookup->checkpoint(request_.name.view()));
  if (!existing) return query::no_such_checkpoint(*lookup, request_.name.view());
  answer = to_info(request_.name, *existing);
  if (context.dry_run) return {};
  record_checkpoint(committer, *ns, request_.name, *existing, context);
  committer.put(keyspace::named_key(Table::kCheckpoint, ns->id(), request_.name.view()), std::nullopt);
  --ns->counters.checkpoint_count;
  Operation operation = operation_of(OperationKind::kCheckpointDelete, request_.name.view(), context, committer.now());
  operation.before = existing->revision;
  committer.add_operation(*ns, std::move(operation));
  return {};
}

// Namespaces ------------------------------------------------------------------------------------------------------------

Status NamespaceDeleteCommand::build(Committer& committer) {
  const WriteContext& context = request_.context;
  ST8_TRY(check_context(context));
  constexpr keyspace::NamespaceId kBeyondNamespaces{0};  // The answer must outlive the namespace.
  ST8_ASSIGN(const auto record, committer.find_answer(kBeyondNamespaces, context));
  if (record) {
    ST8_TRY(check_is_commit(*record, IdempotencyRecord::Kind::kNamespace));
    NamespaceEntry entry;
    entry.created_at = record->namespace_created_at;
    answer = to_info(request_.name_space, entry, record->counters);
    return {};
  }
  ST8_ASSIGN(NamespaceDraft * ns, committer.name_space(request_.name_space));
  if (!ns->exists()) {
    return fail(ErrorCode::kNotFound, "there is no namespace " + quote(request_.name_space.view()),
                "`st8ctl namespace list` lists them.");
  }
  if (!request_.force) {
    ST8_ASSIGN(const auto branches, committer.all_branches(*ns));
    for (const auto& [name, branch] : branches) {
      if (!branch.is_protected) continue;
      return fail(ErrorCode::kConflict, "namespace " + request_.name_space.str() + " has the protected branch " + name,
                  "Unprotect it, or delete with force.");
    }
  }
  answer = to_info(request_.name_space, *ns->entry, ns->counters);
  if (context.dry_run) return {};
  IdempotencyRecord made;
  made.kind = IdempotencyRecord::Kind::kNamespace;
  made.name = request_.name_space.str();
  made.counters = ns->counters;
  made.namespace_created_at = ns->entry->created_at;
  committer.record_answer(kBeyondNamespaces, context, std::move(made));
  committer.delete_namespace(*ns, context);
  return {};
}

// Records ---------------------------------------------------------------------------------------------------------------

Status RecordCommand::build(Committer& committer) {
  const auto key_of = [](std::string_view key) {
    return std::string(1, static_cast<char>(Table::kRecord)).append(key);
  };
  for (const RecordExpectation& expected : expectations_) {
    ST8_ASSIGN(const std::optional<std::string> value, committer.get(key_of(expected.key)));
    if (value == expected.value) continue;
    return fail(ErrorCode::kPreconditionFailed, "the record " + quote(expected.key) + " is not as it was expected",
                "Read it again and retry.");
  }
  for (RecordWrite& write : writes_) committer.put(key_of(write.key), std::move(write.value));
  return {};
}

std::size_t RecordCommand::bytes() const {
  std::size_t sum = 64;
  for (const RecordWrite& write : writes_) sum += write.key.size() + (write.value ? write.value->size() : 0) + 16;
  return sum;
}

}  // namespace st8::state::pipeline
