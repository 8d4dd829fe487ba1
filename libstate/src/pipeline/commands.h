// The writes that the store offers, as commands for the committer. The constructor checks and hashes on the writer's
// thread (see check() of each); build() does what must see the state at the instant of the commit.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "pipeline/committer.h"
#include "st8/state/commit.h"
#include "st8/state/record_store.h"
#include "tree/tree.h"

namespace st8::state::pipeline {

// Sizes and characters of what every write carries. Errors: kInvalidArgument, kTooLarge.
Status check_context(const WriteContext& context);
Status check_text(std::string_view what, std::string_view text, std::size_t bytes_max);

// What a commit answers, but for what the writer's own thread adds.
struct CommitAnswer {
  CommitResult result;
  // Set when answered from an idempotency record: the writer's thread then finds the changes by reading.
  std::optional<codec::IdempotencyRecord> replay;
};

// Steps that the commands which append a revision share.
// That the record found under the idempotency key is of this kind of request. Errors: kConflict.
Status check_is_commit(const codec::IdempotencyRecord& record, codec::IdempotencyRecord::Kind kind);
// The answer of a commit that changes nothing; recorded all the same when asked for, so that its retry says the same.
void answer_noop(Committer& committer, const NamespaceDraft& ns, const RevisionPointer& head,
                 const WriteContext& context, CommitAnswer& answer);
// The last steps of every commit: the guard, the record, and unless it is a dry run, the staging.
Status finish_commit(Committer& committer, NamespaceDraft& ns, const BranchName& name, BranchDraft& branch,
                     const RevisionDraft& draft, std::vector<Change> changes, std::vector<StagedBlob> blobs,
                     const WriteContext& context, CommitAnswer& answer);

class ApplyCommand : public Command {
 public:
  explicit ApplyCommand(const ApplyRequest& request) : request_(request) {}
  // Validates, sorts and hashes. To be called, and to succeed, before the command is queued.
  Status prepare();
  Status build(Committer& committer) override;
  std::size_t bytes() const override { return bytes_; }

  CommitAnswer answer;

 private:
  struct Wanted {
    std::string key;
    std::string stored;  // Kind byte and content.
    DocumentRef ref;
  };
  Status check_conditions(const tree::NodeSource& nodes, const TreeRoot& root) const;
  Result<std::vector<tree::Edit>> make_edits(const tree::NodeSource& nodes, const TreeRoot& root,
                                             RevisionNumber number) const;

  const ApplyRequest& request_;
  std::vector<Wanted> wanted_;      // By key.
  std::vector<std::string> unset_;  // By key.
  std::size_t bytes_ = 0;
};

class CopyCommand final : public Command {
 public:
  explicit CopyCommand(const CopyRequest& request) : request_(request) {}
  Status prepare();
  Status build(Committer& committer) override;
  std::size_t bytes() const override { return 1024; }

  CommitAnswer answer;

 private:
  const CopyRequest& request_;
};

class BranchCreateCommand final : public Command {
 public:
  explicit BranchCreateCommand(const BranchCreateRequest& request) : request_(request) {}
  Status build(Committer& committer) override;
  std::optional<BranchInfo> answer;

 private:
  const BranchCreateRequest& request_;
};

class BranchDeleteCommand final : public Command {
 public:
  explicit BranchDeleteCommand(const BranchDeleteRequest& request) : request_(request) {}
  Status build(Committer& committer) override;
  std::optional<BranchInfo> answer;

 private:
  const BranchDeleteRequest& request_;
};

class BranchRenameCommand final : public Command {
 public:
  explicit BranchRenameCommand(const BranchRenameRequest& request) : request_(request) {}
  Status build(Committer& committer) override;
  std::optional<BranchInfo> answer;

 private:
  const BranchRenameRequest& request_;
};

class BranchProtectCommand final : public Command {
 public:
  explicit BranchProtectCommand(const BranchProtectRequest& request) : request_(request) {}
  Status build(Committer& committer) override;
  std::optional<BranchInfo> answer;

 private:
  const BranchProtectRequest& request_;
};

class CheckpointPutCommand final : public Command {
 public:
  explicit CheckpointPutCommand(const CheckpointPutRequest& request) : request_(request) {}
  Status prepare();
  Status build(Committer& committer) override;
  std::optional<CheckpointInfo> answer;

 private:
  const CheckpointPutRequest& request_;
};

class CheckpointDeleteCommand final : public Command {
 public:
  explicit CheckpointDeleteCommand(const CheckpointDeleteRequest& request) : request_(request) {}
  Status build(Committer& committer) override;
  std::optional<CheckpointInfo> answer;

 private:
  const CheckpointDeleteRequest& request_;
};

class NamespaceDeleteCommand final : public Command {
 public:
  explicit NamespaceDeleteCommand(const NamespaceDeleteRequest& request) : request_(request) {}
  Status build(Committer& committer) override;
  std::optional<NamespaceInfo> answer;

 private:
  const NamespaceDeleteRequest& request_;
};

class RecordCommand final : public Command {
 public:
  RecordCommand(std::vector<RecordWrite> writes, std::vector<RecordExpectation> expectations)
      : writes_(std::move(writes)), expectations_(std::move(expectations)) {}
  Status build(Committer& committer) override;
  std::size_t bytes() const override;

 private:
  std::vector<RecordWrite> writes_;
  std::vector<RecordExpectation> expectations_;
};

BranchInfo to_info(const BranchName& name, const codec::BranchRecord& record);
CheckpointInfo to_info(const CheckpointName& name, const codec::CheckpointRecord& record);
NamespaceInfo to_info(const NamespaceName& name, const NamespaceEntry& entry, const codec::Counters& counters);

}  // namespace st8::state::pipeline
