// The store: namespaces of branches, revisions and checkpoints over an engine.
//
// Durability: a write that returned a value is on stable storage; one that returned kOutcomeUnknown may be.
// Threading: every method may be called from any thread. Writers queue and are committed in groups; readers never wait
// for them, and see only what is durable.
// Cost: in nodes touched, for n documents — apply O(changes · log n), copy (rollback, restore) O(1) writes and a diff,
// branch O(1), find O(log n), resolve an ancestor or a time O(log history).
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "st8/state/clock.h"
#include "st8/state/commit.h"
#include "st8/state/engine.h"
#include "st8/state/maintenance.h"
#include "st8/state/operation.h"
#include "st8/state/record_store.h"
#include "st8/state/revision.h"
#include "st8/state/selector.h"
#include "st8/state/view.h"

namespace st8::state {

struct StoreOptions {
  // Changes behaviour.
  std::chrono::seconds idempotency_retention{24 * 3600};
  // Changes speed only.
  // Some 27,000 nodes: those of 10,000 revisions of 1,000 documents. What they do not use is lent to contents.
  std::size_t node_cache_bytes = 40u << 20;
  std::size_t content_cache_bytes = 4u << 20;  // Of documents written lately, beside what is lent to them.
  std::size_t commit_group_max = 512;          // Commits written with one sync.
  std::size_t commit_group_bytes_max = 8u << 20;
  std::size_t commit_queue_max = 8192;  // Beyond: kRateLimited.
};

struct LogQuery {
  Selector from;                        // Newest first from here (inclusive), along first parents.
  std::optional<RevisionNumber> after;  // Paging: exclusive, the last number of the page before.
  std::size_t limit = 20;               // 1 to 1,000.
  // Filters; each narrows.
  std::optional<DocumentKey> key;  // Revisions that changed this key (through the key index: cost follows its changes).
  std::string author;              // Exact.
  std::string message_contains;
  std::optional<Timestamp> since, until;
  std::optional<Cause> cause;
};
struct LogPage {
  std::vector<Revision> revisions;
  std::optional<RevisionNumber> next;  // Pass as `after`; nullopt at the end.
};

// One revision that changed a key.
struct KeyVersion {
  Revision revision;
  Change change;
};
struct KeyHistoryPage {
  std::vector<KeyVersion> versions;  // Newest first.
  std::optional<RevisionNumber> next;
};

struct StoreStats {
  EngineStats engine;
  std::uint64_t commits = 0;        // Revisions made.
  std::uint64_t commit_groups = 0;  // Synced batches; commits / groups is the group size.
  std::uint64_t nodes_written = 0;
  std::uint64_t node_bytes_written = 0;
  std::uint64_t node_cache_hits = 0;
  std::uint64_t node_cache_misses = 0;
  std::uint64_t node_cache_bytes = 0;
  std::uint64_t content_cache_hits = 0;
  std::uint64_t content_cache_misses = 0;
  std::uint64_t content_cache_bytes = 0;
  std::uint64_t commit_queue_length = 0;
  bool writable = true;  // False after kOutcomeUnknown from the engine, until reopened.
};

class Store {
 public:
  // Checks the format version (kInvalidArgument for a newer one, naming both) and is ready at once; there is no replay
  // beyond the engine's own. `clock` must outlive the store.
  static Result<std::unique_ptr<Store>> open(std::unique_ptr<Engine> engine, const Clock& clock,
                                             StoreOptions options = {});
  ~Store();  // Waits for queued commits.
  Store(const Store&) = delete;
  Store& operator=(const Store&) = delete;

  // Writes. Common errors: kInvalidArgument, kPreconditionFailed (expected_revision, conditions), kConflict (idempotency
  // key reused for another request), kTooLarge, kRateLimited, kUnavailable, kOutcomeUnknown, kNotFound (selector, branch), kGone (source pruned).
  Result<CommitResult> apply(ApplyRequest request);
  // As apply(), with no thread waiting. `answered` is called once, by the thread that answers (perhaps this one, before
  // this returns), and must be quick; it is given what makes the result, to be called once, by a thread that may read.
  // The store waits for it before it goes.
  using FinishApply = std::function<Result<CommitResult>()>;
  void begin_apply(ApplyRequest request, std::function<void(FinishApply)> answered);
  Result<CommitResult> copy(CopyRequest request);
  Result<CommitResult> merge(MergeRequest request);
  Result<BranchInfo> create_branch(BranchCreateRequest request);
  Result<BranchInfo> delete_branch(BranchDeleteRequest request);  // What it was.
  Result<BranchInfo> rename_branch(BranchRenameRequest request);
  Result<BranchInfo> protect_branch(BranchProtectRequest request);
  Result<CheckpointInfo> put_checkpoint(CheckpointPutRequest request);
  Result<CheckpointInfo> delete_checkpoint(CheckpointDeleteRequest request);  // What it was.
  Result<NamespaceInfo> delete_namespace(NamespaceDeleteRequest request);     // What it was.

  // Reads. Every one answers from a durable state at least as new as the last acknowledged write before the call.

  // The revision a selector names, with `branch` the branch in use. Revision 0 (the empty state) when it names the head
  // of `main` before its first write, or "0". Errors: kNotFound, kInvalidArgument (ambiguous; the hint shows both forms).
  Result<Revision> resolve(const NamespaceName& ns, const BranchName& branch, const Selector& selector) const;
  // The documents there. Errors: as resolve; kGone when pruned by gc.
  Result<View> view(const NamespaceName& ns, const BranchName& branch, const Selector& selector) const;
  Result<View> view(const NamespaceName& ns, RevisionNumber revision) const;
  Result<Revision> revision(const NamespaceName& ns, RevisionNumber number) const;
  // The changes a revision made to its first parent. Errors: kGone.
  Result<ChangePage> changes(const NamespaceName& ns, RevisionNumber number, const DiffQuery& query = {}) const;
  Result<LogPage> log(const NamespaceName& ns, const BranchName& branch, const LogQuery& query) const;
  Result<KeyHistoryPage> key_history(const NamespaceName& ns, const BranchName& branch, const DocumentKey& key,
                                     std::optional<RevisionNumber> after, std::size_t limit) const;
  // Whether `ancestor` is reached from `descendant` along first parents. Cost: O(log history).
  Result<bool> is_ancestor(const NamespaceName& ns, RevisionNumber ancestor, RevisionNumber descendant) const;
  // The nearest revision that both descend from, by all parents; 0 for none.
  Result<RevisionNumber> merge_base(const NamespaceName& ns, RevisionNumber a, RevisionNumber b) const;

  Result<BranchInfo> branch(const NamespaceName& ns, const BranchName& name) const;
  Result<std::vector<BranchInfo>> branches(const NamespaceName& ns, std::string_view after,
                                           std::size_t limit) const;  // By name.
  Result<CheckpointInfo> checkpoint(const NamespaceName& ns, const CheckpointName& name) const;
  Result<std::vector<CheckpointInfo>> checkpoints(const NamespaceName& ns, std::string_view after,
                                                  std::size_t limit) const;
  Result<NamespaceInfo> name_space(const NamespaceName& name) const;
  Result<std::vector<NamespaceInfo>> namespaces(std::string_view after, std::size_t limit) const;
  // Operations with sequence > after, oldest first.
  Result<std::vector<Operation>> operations(const NamespaceName& ns, std::uint64_t after, std::size_t limit) const;

  // Maintenance; see maintenance.h.
  Result<GcReport> gc(const GcRequest& request);
  Result<FsckReport> fsck(const FsckRequest& request) const;
  Result<BackupReport> backup(
      const std::function<Status(std::string_view)>& sink) const;  // Online; see maintenance.h for the stream.

  // Records of the layers above (rollouts, leases), in the same engine and the same synced groups.
  RecordStore& records();

  // Guards and listeners are set before the first write and outlive the store.
  void set_guard(const CommitGuard* guard);
  void add_listener(OperationListener* listener);

  StoreStats stats() const;
  // StoreStats::writable alone, without gathering the rest. Cost: one load.
  bool writable() const;

 private:
  class Impl;
  explicit Store(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace st8::state
