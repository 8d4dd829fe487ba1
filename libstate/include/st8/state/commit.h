// What a writer asks for, and what it gets back. Every change of state goes through Store::submit-like calls that take
// one of these: authorised by the caller, then queued, built in order, written as one synced batch with its neighbours.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "st8/state/document.h"
#include "st8/state/operation.h"
#include "st8/state/revision.h"
#include "st8/state/selector.h"

namespace st8::state {

// Makes a retry safe: the same key with the same request answers what the first one did; with another request, kConflict.
// Survives restarts; kept for at least StoreOptions::idempotency_retention.
struct IdempotencyKey {
  std::string key;
  Hash request;  // Over the whole request and its principal.
};

// Who writes, why, and on what condition. Common to all writes.
struct WriteContext {
  std::string actor;   // Authenticated principal, for the operation log.
  std::string author;  // Shown in the revision; empty: the actor.
  std::string message;
  std::string request_id;
  // The head that the writer has seen. Refused with kPreconditionFailed when the branch's head is another; 0: the branch must not exist yet.
  std::optional<RevisionNumber> expected_revision;
  std::optional<IdempotencyKey> idempotency;
  bool dry_run = false;  // All checks, the full answer, and nothing written.
};

// A condition on one key at the head: it must have this content hash, or (nullopt) not exist.
struct KeyCondition {
  DocumentKey key;
  std::optional<Hash> hash;
  bool any = false;  // With `any`: the key must exist, with whatever content.
};

struct ApplyRequest {
  NamespaceName name_space;
  BranchName branch;                // Begun empty by its first write.
  std::vector<Document> documents;  // A key twice is kInvalidArgument.
  std::vector<DocumentKey> unset;   // Must exist, else kNotFound — unless unset_missing_ok.
  bool unset_missing_ok = false;
  std::optional<std::string>
      prune_prefix;  // Keys with this prefix that `documents` does not name are deleted ("" = all).
  std::vector<KeyCondition> conditions;
  Cause cause = Cause::kApply;
  std::string cause_detail;
  WriteContext context;
  bool before_wanted = false;  // A hint: the caller will read what the documents were before.
};

// Appends a revision whose tree is that of `source`: rollback (the same branch or a checkpoint) and restore (any branch).
struct CopyRequest {
  NamespaceName name_space;
  BranchName branch;               // Must exist for a rollback; begun by a restore.
  Selector source;                 // Resolved in the pipeline, at the instant of the commit.
  BranchName source_branch;        // The branch in use for the selector.
  Cause cause = Cause::kRollback;  // kRollback, kRestore or kAutoRollback.
  std::string cause_detail;
  WriteContext context;
  std::vector<DocumentKey> keep = {};  // As the branch's head has them (or has none), whatever the source has.
  // False: the answer may leave `changes` out. Then a copy of the head's parent costs what a branch costs, however much they
  // differ: how many keys that is stands in the head's revision.
  bool changes_wanted = true;
};

enum class ConflictSide : std::uint8_t { kNone, kOurs, kTheirs };

// Three-way: merge (a branch into another), cherry-pick (one revision's change) and revert (its inverse).
struct MergeRequest {
  NamespaceName name_space;
  BranchName branch;                          // "ours".
  Selector source;                            // "theirs": merge and cherry-pick take it, revert undoes it.
  Cause cause = Cause::kMerge;                // kMerge, kCherryPick or kRevert.
  ConflictSide prefer = ConflictSide::kNone;  // For every conflict not named below.
  std::vector<std::pair<DocumentKey, ConflictSide>> resolve;
  WriteContext context;
};

// One place where both sides changed the same thing differently.
struct MergeConflict {
  DocumentKey key;
  std::string path;  // JSON pointer within the document; empty: the whole document, or lines.
  std::optional<std::string> base, ours, theirs;  // As text; nullopt: absent.
};

// Of one change, what is at hand without a read; null: not at hand.
struct ChangeContents {
  std::shared_ptr<const std::string> before, after;
};

struct CommitResult {
  // An apply of more documents gives back no contents.
  static constexpr std::size_t kContentsMax = 16;

  RevisionNumber revision;  // The new head; for a noop the head as it was.
  Hash hash;
  RevisionNumber parent;
  std::vector<Change> changes;           // From the parent, in key order.
  std::uint64_t change_count = 0;        // Of all changes, also where `changes` was not wanted or is no longer known.
  bool noop = false;                     // Nothing differed: no revision was made.
  bool replayed = false;                 // Answered from the idempotency record.
  bool dry_run = false;                  // `revision` is what it would be.
  std::vector<MergeConflict> conflicts;  // Only from merges; then nothing was written.
  // From an apply of few documents: for each of `changes` what it wrote and, where that was wanted, what was there before. Else
  // empty.
  std::vector<ChangeContents> contents;
};

struct BranchInfo {
  BranchName name;
  RevisionNumber head;
  RevisionNumber base;        // Where it was created; never moves.
  bool is_protected = false;  // No delete, no rename, no rewrite of its policy but by an admin.
  Timestamp created_at;
  std::string created_by;
};

struct CheckpointInfo {
  CheckpointName name;
  RevisionNumber revision;
  std::string description;
  Timestamp created_at;
  std::string created_by;
};

struct NamespaceInfo {
  NamespaceName name;
  RevisionNumber last_revision;  // The counter.
  std::uint64_t branch_count = 0;
  std::uint64_t checkpoint_count = 0;
  Timestamp created_at;
};

struct BranchCreateRequest {
  NamespaceName name_space;
  BranchName name;
  Selector from;           // O(1): a pointer; no revision is made.
  BranchName from_branch;  // The branch in use for the selector.
  WriteContext context;
};
struct BranchDeleteRequest {
  NamespaceName name_space;
  BranchName name;  // kConflict when protected; kPreconditionFailed on a stale expected_revision.
  WriteContext context;
};
struct BranchRenameRequest {
  NamespaceName name_space;
  BranchName from, to;
  WriteContext context;
};
struct BranchProtectRequest {
  NamespaceName name_space;
  BranchName name;
  bool protect = true;
  WriteContext context;
};
struct CheckpointPutRequest {
  NamespaceName name_space;
  CheckpointName name;
  Selector at;
  BranchName branch;  // The branch in use for the selector.
  std::string description;
  bool replace = false;  // Without it an existing name is kConflict (the same revision again is a noop).
  WriteContext context;
};
struct CheckpointDeleteRequest {
  NamespaceName name_space;
  CheckpointName name;
  WriteContext context;
};
struct NamespaceDeleteRequest {
  NamespaceName name_space;  // Everything in it. Refused (kConflict) while a branch is protected, unless forced.
  bool force = false;
  WriteContext context;
};

// What the documents of a commit on its way hold, written already or not.
class ProposedContent {
 public:
  virtual ~ProposedContent() = default;
  // Of a change's `after`. Cost: nothing for what the request brings, a read of the engine for what lies there already.
  virtual Result<std::string> read(const DocumentKey& key, const DocumentRef& after) const = 0;
};

// A commit on its way, as a guard sees it.
struct ProposedCommit {
  const NamespaceName& name_space;
  const BranchName& branch;
  Cause cause;
  RevisionNumber head;                 // 0: the branch begins.
  const std::vector<Change>& changes;  // In key order; at least those that the guard looks at.
  const ProposedContent& content;
};

// Asked by the committer about every commit before it is written; an error refuses that commit alone. All writers wait for
// it: it must not block or write, decides from what it has in memory (quarantine, policies that it knows), and reads only
// the few small documents that it must. What it reads of the store is what was acknowledged, without the commits that are
// on their way beside this one.
class CommitGuard {
 public:
  virtual ~CommitGuard() = default;
  // What the keys begin with whose changes check() looks at, for a commit to this branch. Spares a copy the search for all
  // others.
  virtual std::vector<std::string> looks_at(const NamespaceName&, const BranchName&) const { return {""}; }
  virtual Status check(const ProposedCommit& commit) const = 0;
};

// Told of every operation after it is durable, in order per namespace, from one thread, with no lock held.
// It must return soon: hand work to a thread of its own.
class OperationListener {
 public:
  virtual ~OperationListener() = default;
  virtual void on_operation(const NamespaceName& name_space, const Operation& operation) = 0;
};

}  // namespace st8::state
