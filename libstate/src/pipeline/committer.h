// Builds commands into a group, seals it as one batch, writes it with one sync, publishes what it made.
//
// Two sides run at once (commit_queue.h says who runs them): one thread at a time builds; one thread at a time writes the
// group sealed last. A group is thus built upon the one before while that is on its way to the disk. It is sealed only
// when that one is done, and never acknowledged before it.
//
// A command's build() checks all it must by the functions marked "reads", then stages by those marked "stages", which do
// not fail: so a refused command has changed nothing. What is staged is seen by the commands behind it, by readers only
// once it is durable.
//
// When the engine refuses or fails a batch, every command of that group and of the one being built gets an error (also
// those that were refused or had nothing to do: what they saw did not come to be), and all that was in memory is dropped
// and loaded afresh.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "pipeline/commit_group.h"
#include "pipeline/commit_queue.h"
#include "pipeline/group_nodes.h"
#include "pipeline/notifier.h"
#include "pipeline/store_core.h"
#include "query/lookup.h"
#include "tree/tree.h"

namespace st8::state::pipeline {

// A branch as the committer is making it.
struct BranchDraft {
  BranchPointer state;  // Null: does not exist.
  bool dirty = false;   // Changed by the group being built.
  // The depths and numbers that the head's jump pointers visit, nearest first: what the next revision's jump follows
  // from, without reading. Loaded with the first commit.
  std::vector<std::pair<std::uint64_t, RevisionNumber>> spine;
};

// A namespace as the committer is making it.
struct NamespaceDraft {
  explicit NamespaceDraft(NamespaceName given) : name(std::move(given)) {}

  const NamespaceName name;
  NamespacePointer entry;  // Null: does not exist (yet).
  codec::Counters counters;
  std::optional<std::string>
      stored_counters;  // As the engine will have them when this group is written; nullopt: none.
  std::unordered_map<std::string, BranchDraft> branches;
  std::unique_ptr<GroupNodes> nodes;  // See Committer::nodes().
  std::uint64_t last_used = 0;        // The group that used it last.

  // Revisions that are not published: of the group being built, numbered from built_from + 1, and of the one before it.
  std::vector<RevisionPointer> built, sealed;
  std::uint64_t built_from = 0, sealed_from = 0;

  // Of the group being built only.
  bool dirty = false;
  bool created = false;
  std::vector<Operation> operations;

  bool exists() const { return entry != nullptr; }
  keyspace::NamespaceId id() const { return exists() ? entry->id : keyspace::NamespaceId{}; }
};

// A revision to be appended to a branch.
struct RevisionDraft {
  std::vector<RevisionPointer> more_parents;  // Behind the branch's head.
  TreeRoot tree;
  std::uint64_t change_count = 0;
  Cause cause = Cause::kApply;
  std::string_view cause_detail;
  RevisionNumber source;
  bool is_copy = false;  // See codec::RevisionRecord.
};

// The record that a revision will be, and the bytes that its hash is over.
struct DraftedRevision {
  std::shared_ptr<codec::RevisionRecord> record;
  std::string hashed;
};

// A document's body to be stored: the kind byte and what belongs to it.
struct StagedBlob {
  std::string_view key;
  std::string stored;
};

class Committer {
 public:
  Committer(StoreCore& core, Notifier& notifier) : core_(core), notifier_(notifier) { open_group(); }

  // Build side. --------------------------------------------------------------------------------------------------------

  // Builds a command into the open group and sets its status.
  void build(Command& command);
  bool full() const;  // The open group has as many commands as it may have.
  // Closes the open group, which may be written from here on. The one sealed before must have been written. open_next() must
  // follow before anything else is done on this side: it puts away what was kept of the group before, which nobody waits for.
  std::shared_ptr<CommitGroup> seal();
  void open_next();
  // Frees what is kept of the group sealed last, which must have been written: it may be large.
  void let_go_of_sealed();
  // After a failed write: fails all commands of the open group and forgets what was loaded. Returns those commands.
  std::vector<Command*> abandon(const Error& why);

  // Write side. --------------------------------------------------------------------------------------------------------

  // Writes and publishes a sealed group. On failure nothing is published.
  Status write(CommitGroup& group);

  // For commands. ------------------------------------------------------------------------------------------------------

  void set_guard(const CommitGuard* guard) { guard_ = guard; }
  Timestamp now() const { return core_.clock.now(); }
  StoreCore& core() { return core_; }

  // Reads. -------------------------------------------------------------------------------------------------------------

  // Never null; valid until the group ends.
  Result<NamespaceDraft*> name_space(const NamespaceName& name);
  // Never null; its state is null when there is no such branch.
  Result<BranchDraft*> branch(NamespaceDraft& ns, std::string_view name);
  // The head's record; empty_revision() when the branch does not exist or is at the beginning.
  static const RevisionPointer& head_of(const BranchDraft& branch) {
    return branch.state == nullptr ? query::empty_revision() : branch.state->head;
  }
  // The writer's expected_revision against the head. Errors: kPreconditionFailed.
  Status check_expected(const BranchName& name, const BranchDraft& branch, const WriteContext& context) const;
  // The recorded answer to this request; `ns` 0 holds the answers of what outlives its namespace. Errors: kConflict when the key was used for another request.
  Result<std::optional<codec::IdempotencyRecord>> find_answer(keyspace::NamespaceId ns, const WriteContext& context);
  // A small record (checkpoint, idempotency, RecordStore's), with what this group wrote.
  Result<std::optional<std::string>> get(std::string_view engine_key);
  // A document's content, also of one that this group wrote.
  Result<std::string> read_content(const NamespaceDraft& ns, std::string_view key, const DocumentRef& ref);
  Status ask_guard(const ProposedCommit& commit) const { return guard_ == nullptr ? Status{} : guard_->check(commit); }
  // See CommitGuard::looks_at().
  std::vector<std::string> guarded_prefixes(const NamespaceName& ns, const BranchName& branch) const {
    return guard_ == nullptr ? std::vector<std::string>{} : guard_->looks_at(ns, branch);
  }
  // The number that the next revision of the namespace will have.
  static RevisionNumber next_revision(const NamespaceDraft& ns) { return {ns.counters.last_revision + 1}; }
  // What resolve() and the walks over the history need, with what this group wrote. Valid as long as `ns`.
  std::unique_ptr<query::Lookup> lookup(NamespaceDraft& ns);
  // The namespace's nodes with those that are not published yet, and the sink for what an edit makes. A command that
  // edits holds a NodeMark, so that what it wrote goes again unless append_revision() takes it. Valid until it ends.
  GroupNodes& nodes(NamespaceDraft& ns);
  // The record that the next revision will be; nothing is staged.
  Result<DraftedRevision> draft_revision(NamespaceDraft& ns, const BranchName& name, BranchDraft& branch,
                                         const RevisionDraft& draft, const WriteContext& context);
  // All branches, or checkpoints, of a namespace, by name, with what this group wrote. Cost: a scan.
  Result<std::vector<std::pair<std::string, codec::BranchRecord>>> all_branches(NamespaceDraft& ns);
  Result<std::vector<std::pair<std::string, codec::CheckpointRecord>>> all_checkpoints(const NamespaceDraft& ns);

  // Stages. ------------------------------------------------------------------------------------------------------------

  // Makes the namespace if it does not exist.
  void ensure_namespace(NamespaceDraft& ns, const WriteContext& context, Timestamp at);
  // Appends what draft_revision() made, with the documents' bodies, and moves the branch there.
  void append_revision(NamespaceDraft& ns, const BranchName& name, BranchDraft& branch, DraftedRevision revision,
                       std::vector<StagedBlob> blobs, const WriteContext& context);
  // Null: the branch goes. Counts branches.
  void set_branch(NamespaceDraft& ns, BranchDraft& branch, BranchPointer state);
  void put(std::string engine_key, std::optional<std::string> value);  // nullopt: delete. For small records.
  // Fills in the sequence, and counts it.
  void add_operation(NamespaceDraft& ns, Operation operation);
  void record_answer(keyspace::NamespaceId ns, const WriteContext& context, codec::IdempotencyRecord record);
  // Takes the namespace away: its name at once, its ranges to be swept by gc. The draft is then one that does not exist.
  void delete_namespace(NamespaceDraft& ns, const WriteContext& context);
  // gc's mark: the record stays, and nobody resolves to its documents any more once this is published. The caller has
  // made sure, in this command, that no branch or checkpoint points there.
  void mark_pruned(NamespaceDraft& ns, const codec::RevisionRecord& revision);

 private:
  class PendingLookup;

  void open_group();
  void forget_idle();
  void stage_pointers(CommitGroup& group, NamespaceDraft& ns);
  void stage_idempotency_expiry(CommitGroup& group);
  void sweep_expired_answers(CommitGroup& group);
  void begin_publish(const CommitGroup& group);
  void end_publish(CommitGroup& group, bool committed);
  Status load_spine(NamespaceDraft& ns, BranchDraft& branch);

  StoreCore& core_;
  Notifier& notifier_;
  const CommitGuard* guard_ = nullptr;

  // What was loaded, kept from group to group; bounded by forget_idle().
  std::unordered_map<std::string, std::unique_ptr<NamespaceDraft>> namespaces_;
  std::uint64_t group_number_ = 0;
  std::optional<std::uint32_t> next_namespace_;
  std::optional<std::string> stored_next_namespace_;

  // The group being built.
  std::shared_ptr<CommitGroup> group_;
  std::vector<NamespaceDraft*> used_;                     // Whose drafts it touched.
  std::vector<std::unique_ptr<NamespaceDraft>> deleted_;  // Namespaces as they were when it deleted them.
  bool made_namespace_ = false;
  // The one before it: being written, or done.
  std::shared_ptr<const CommitGroup> sealed_;
  std::vector<NamespaceDraft*> sealed_used_;

  // Expired answers are swept from where the last sweep ended, now and then.
  std::string expiry_cursor_;
  std::int64_t last_expiry_sweep_us_ = 0;
};

}  // namespace st8::state::pipeline
