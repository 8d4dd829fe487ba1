// Builds the commands of a group in order, writes them as one batch with one sync, publishes what they made.
//
// Everything here runs on one thread at a time, the committing one (see commit_queue.h). A command's build() checks all it
// must by the functions marked "reads", then stages by those marked "stages", which do not fail: so a refused command has
// changed nothing. What is staged is seen by the commands behind it in the group, by readers only after the commit.
//
// When the engine refuses or fails the batch, every command of the group gets that error (also those that were refused or
// had nothing to do: what they saw did not come to be), and all that was in memory is dropped and loaded afresh.
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

#include "pipeline/commit_queue.h"
#include "pipeline/notifier.h"
#include "pipeline/store_core.h"
#include "query/lookup.h"
#include "tree/node_cache.h"
#include "tree/tree.h"

namespace st8::state::pipeline {

// A branch as the committer is making it.
struct BranchDraft {
  BranchPointer state;           // Null: does not exist.
  bool dirty = false;            // Differs from what is stored.
  // The depths and numbers that the head's jump pointers visit, nearest first: what the next revision's jump follows
  // from, without reading. Loaded with the first commit.
  std::vector<std::pair<std::uint64_t, RevisionNumber>> spine;
};

// A namespace as the committer is making it.
struct NamespaceDraft {
  explicit NamespaceDraft(NamespaceName given) : name(std::move(given)) {}

  const NamespaceName name;
  NamespacePointer entry;        // Null: does not exist (yet).
  codec::Counters counters;
  std::optional<std::string> stored_counters;  // As the engine has them; nullopt: it has none.
  std::unordered_map<std::string, BranchDraft> branches;
  std::uint64_t last_used = 0;   // The group that used it last.
  std::unique_ptr<tree::StoredNodes> stored_nodes;

  // Of this group only.
  bool dirty = false;
  bool created = false;
  std::uint64_t revisions_before = 0;                // counters.last_revision when the group began.
  std::vector<RevisionPointer> new_revisions;        // Numbers revisions_before + 1, ...
  std::vector<Operation> operations;
  std::unique_ptr<tree::UncommittedNodes> nodes;     // See Committer::nodes().
  keyspace::NamespaceId nodes_id;

  bool exists() const { return entry != nullptr; }
  keyspace::NamespaceId id() const { return exists() ? entry->id : keyspace::NamespaceId{}; }
};

// A revision to be appended to a branch.
struct RevisionDraft {
  std::vector<RevisionPointer> more_parents;         // Behind the branch's head.
  TreeRoot tree;
  std::uint64_t change_count = 0;
  Cause cause = Cause::kApply;
  std::string_view cause_detail;
  RevisionNumber source;
  bool is_copy = false;                              // See codec::RevisionRecord.
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

// Takes back the nodes put since it was made, unless told to keep them.
class NodeMark {
 public:
  explicit NodeMark(tree::UncommittedNodes& nodes) : nodes_(nodes), mark_(nodes.mark()) {}
  ~NodeMark() {
    if (!kept_ && nodes_.mark() != mark_) nodes_.roll_back(mark_);
  }
  NodeMark(const NodeMark&) = delete;
  NodeMark& operator=(const NodeMark&) = delete;
  void keep() { kept_ = true; }

 private:
  tree::UncommittedNodes& nodes_;
  const std::size_t mark_;
  bool kept_ = false;
};

class Committer {
 public:
  Committer(StoreCore& core, Notifier& notifier) : core_(core), notifier_(notifier) {}

  // Builds, writes and publishes; sets the status of each command. Called by the queue.
  void commit_group(std::span<Command* const> commands);

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
  // The number that the next revision of the namespace will have.
  static RevisionNumber next_revision(const NamespaceDraft& ns) { return {ns.counters.last_revision + 1}; }
  // What resolve() and the walks over the history need, with what this group wrote. Valid as long as `ns`.
  std::unique_ptr<query::Lookup> lookup(NamespaceDraft& ns);
  // The namespace's nodes with those that this group wrote, and the sink for what an edit makes. A command that edits
  // keeps a NodeMark, so that what it wrote goes again unless it is accepted. Valid until the command ends.
  tree::UncommittedNodes& nodes(NamespaceDraft& ns);
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

  void begin_group();
  Status write_group();
  void begin_publish();
  void end_publish(bool committed);
  void forget_all();
  void forget_idle();
  void stage_idempotency_expiry();
  void sweep_expired_answers();
  Status load_spine(NamespaceDraft& ns, BranchDraft& branch);

  StoreCore& core_;
  Notifier& notifier_;
  const CommitGuard* guard_ = nullptr;

  // What was loaded, kept from group to group; bounded by forget_idle().
  std::unordered_map<std::string, std::unique_ptr<NamespaceDraft>> namespaces_;
  std::uint64_t group_ = 0;
  std::optional<std::uint32_t> next_namespace_;
  std::optional<std::string> stored_next_namespace_;

  // Of the group at hand.
  Batch batch_;
  std::vector<Expectation> expectations_;
  std::vector<NamespaceDraft*> used_;                                   // Whose drafts this group touched.
  std::vector<std::unique_ptr<NamespaceDraft>> deleted_;                // Namespaces as they were when deleted.
  std::unordered_map<std::string, std::optional<std::string>> pending_; // What put() wrote.
  std::vector<std::pair<RevisionId, RevisionPointer>> pruned_;
  codec::IdempotencyExpiry answers_;
  bool made_namespace_ = false;
  std::uint64_t new_commits_ = 0;
  std::uint64_t new_nodes_ = 0;
  std::uint64_t new_node_bytes_ = 0;

  // Expired answers are swept from where the last sweep ended, now and then.
  std::string expiry_cursor_;
  std::int64_t last_expiry_sweep_us_ = 0;
};

}  // namespace st8::state::pipeline
