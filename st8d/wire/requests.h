// The bodies of /v1 requests, as the server reads them and the client writes them.
//
// Reading is strict: an unknown field, a wrong type, a number out of range or a key given twice is kInvalidArgument and names
// the place. null and absent mean the same; so do "" and 0 for names and revision numbers, as the published clients send
// all their fields. Names are not checked here (st8/state/names.h does) and defaults are not filled in.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "st8/state/result.h"

namespace st8::wire {

// What a write works on. Empty: "default" and "main".
struct Scope {
  std::string name_space;
  std::string branch;
};

struct DocumentBody {
  std::string key;
  std::string content;  // Any bytes: `content` when they are UTF-8, else `content_base64`.
};

// Common to everything that changes state.
struct WriteFields {
  std::string message;
  std::string author;
  std::optional<std::uint64_t> expected_revision;  // 0 is a value here: the branch must not exist yet.
  bool dry_run = false;
};

// POST /v1/apply
struct ApplyBody {
  Scope scope;
  std::vector<DocumentBody> documents;
  std::vector<std::string> unset;
  bool unset_missing_ok = false;
  std::optional<std::string> prune;  // "" prunes everything that is not named; absent prunes nothing.
  WriteFields write;
};
Result<ApplyBody> parse_apply(std::string_view json);
std::string to_json(const ApplyBody& body);

// POST /v1/unset
struct UnsetBody {
  Scope scope;
  std::vector<std::string> keys;
  bool missing_ok = false;
  WriteFields write;
};
Result<UnsetBody> parse_unset(std::string_view json);
std::string to_json(const UnsetBody& body);

// POST /v1/state/batch
struct StateBatchBody {
  Scope scope;
  std::string at;
  std::uint64_t revision_id = 0;
  std::string checkpoint_name;
  std::vector<std::string> keys;
};
Result<StateBatchBody> parse_state_batch(std::string_view json);
std::string to_json(const StateBatchBody& body);

// POST /v1/diff
struct DiffBody {
  Scope scope;
  std::uint64_t revision_id = 0;
  std::string checkpoint_name;
  std::string at;
  std::vector<DocumentBody> documents;
  std::vector<std::string> unset;
  std::optional<std::string> prune;
  std::string from;  // Selectors.
  std::string to;
  std::string prefix;
  std::string after;
  std::uint64_t limit = 0;
};
Result<DiffBody> parse_diff(std::string_view json);
std::string to_json(const DiffBody& body);

// POST /v1/checkpoints
struct CheckpointPutBody {
  Scope scope;
  std::string name;
  std::string description;
  std::string at;
  std::uint64_t revision_id = 0;
  bool replace = false;
  bool dry_run = false;
};
Result<CheckpointPutBody> parse_checkpoint_put(std::string_view json);
std::string to_json(const CheckpointPutBody& body);

// DELETE /v1/checkpoints
struct CheckpointDeleteBody {
  std::string name_space;
  std::string name;
  bool dry_run = false;
};
Result<CheckpointDeleteBody> parse_checkpoint_delete(std::string_view json);
std::string to_json(const CheckpointDeleteBody& body);

// POST /v1/rollback
struct RollbackBody {
  Scope scope;
  std::uint64_t revision_id = 0;
  std::string checkpoint_name;
  std::string at;
  std::vector<std::string> keep;  // Keys that stay as the head has them.
  WriteFields write;
};
Result<RollbackBody> parse_rollback(std::string_view json);
std::string to_json(const RollbackBody& body);

// POST /v1/restore
struct RestoreBody {
  Scope scope;
  std::uint64_t from_revision = 0;
  std::string from_checkpoint;
  std::string from_branch;
  std::string at;
  std::vector<std::string> keep;  // Keys that stay as the head has them.
  WriteFields write;
};
Result<RestoreBody> parse_restore(std::string_view json);
std::string to_json(const RestoreBody& body);

// POST /v1/merge, /v1/cherry-pick and /v1/revert
struct MergeBody {
  Scope scope;
  std::string from_branch;  // Merge only.
  std::uint64_t revision_id = 0;
  std::string at;
  std::string prefer;                                        // "", "ours" or "theirs".
  std::vector<std::pair<std::string, std::string>> resolve;  // Key to "ours" or "theirs".
  WriteFields write;
};
enum class MergeKind : std::uint8_t { kMerge, kCherryPick, kRevert };
Result<MergeBody> parse_merge(std::string_view json, MergeKind kind);
std::string to_json(const MergeBody& body);

// POST /v1/branches
struct BranchCreateBody {
  Scope scope;
  std::string name;
  std::uint64_t from_revision = 0;
  std::string from_checkpoint;
  std::string at;
  bool dry_run = false;
};
Result<BranchCreateBody> parse_branch_create(std::string_view json);
std::string to_json(const BranchCreateBody& body);

// DELETE /v1/branches
struct BranchDeleteBody {
  std::string name_space;
  std::string name;
  std::optional<std::uint64_t> expected_revision;
  bool dry_run = false;
};
Result<BranchDeleteBody> parse_branch_delete(std::string_view json);
std::string to_json(const BranchDeleteBody& body);

// POST /v1/branches/rename
struct BranchRenameBody {
  std::string name_space;
  std::string from;
  std::string to;
  bool dry_run = false;
};
Result<BranchRenameBody> parse_branch_rename(std::string_view json);
std::string to_json(const BranchRenameBody& body);

// POST /v1/branches/protect
struct BranchProtectBody {
  std::string name_space;
  std::string name;
  bool protect = true;
  bool dry_run = false;
};
Result<BranchProtectBody> parse_branch_protect(std::string_view json);
std::string to_json(const BranchProtectBody& body);

// DELETE /v1/namespaces
struct NamespaceDeleteBody {
  std::string name_space;
  bool force = false;
  bool dry_run = false;
};
Result<NamespaceDeleteBody> parse_namespace_delete(std::string_view json);
std::string to_json(const NamespaceDeleteBody& body);

// POST /v1/gc
struct GcBody {
  std::uint64_t keep = 0;  // 0: the server's default, 10.
  std::string name_space;  // Empty: every namespace that the token may administer.
  std::string branch;
  bool dry_run = false;
};
Result<GcBody> parse_gc(std::string_view json);
std::string to_json(const GcBody& body);

// POST /v1/policy/lint
struct PolicyLintBody {
  Scope scope;
  std::string at;                     // The revision that it would be part of; empty: the head.
  std::optional<std::string> policy;  // The document; absent: the revision's own.
};
Result<PolicyLintBody> parse_policy_lint(std::string_view json);
std::string to_json(const PolicyLintBody& body);

// POST /v1/policy/simulate
struct PolicySimulateBody {
  Scope scope;
  std::string at;                     // A revision that exists; empty: the head.
  std::optional<std::string> policy;  // In the place of the revision's own.
  std::vector<DocumentBody> documents;
  std::vector<std::string> unset;
};
Result<PolicySimulateBody> parse_policy_simulate(std::string_view json);
std::string to_json(const PolicySimulateBody& body);

// POST /v1/fsck
struct FsckBody {
  std::string name_space;  // Empty: all.
};
Result<FsckBody> parse_fsck(std::string_view json);
std::string to_json(const FsckBody& body);

}  // namespace st8::wire
