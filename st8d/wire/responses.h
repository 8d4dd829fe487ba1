// The bodies of /v1 answers: written by the server, read by the client. Reading is lenient: unknown fields are ignored (a newer
// server may say more), absent ones keep their defaults; a wrong type is kInvalidArgument.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "st8/state/result.h"
#include "wire/json.h"

namespace st8::wire {

struct ChangeBody {
  std::string key;
  std::string type;                   // "create", "update", "delete".
  std::optional<std::string> before;  // Content; absent for a create, and where it was not asked for.
  std::optional<std::string> after;
  std::string before_hash;  // SHA-256, hex; empty: absent.
  std::string after_hash;
};

// As ChangeBody, for contents that lie elsewhere.
struct ChangeView {
  std::string_view key, type;
  std::optional<std::string_view> before, after;
  std::string_view before_hash, after_hash;
};

// apply, unset, rollback, restore, merge, cherry-pick, revert, PUT and DELETE of a document.
struct WriteResultBody {
  std::uint64_t revision = 0;
  std::uint64_t parent = 0;
  std::string hash;
  std::vector<ChangeBody> changes;
  std::vector<std::string> rendered_changes;  // In place of `changes`: runs of them, each as write_change() makes them.
  std::uint64_t change_count = 0;
  bool changes_truncated = false;  // The answer holds only the first of them, or not all contents.
  bool noop = false;
  bool replayed = false;
  bool dry_run = false;
};

struct ObjectBody {
  std::string key;
  std::string content;  // Bytes; written under `objects` or `objects_base64`.
  std::string hash;     // Only where contents were not asked for.
  std::uint64_t size = 0;
};

struct StateBody {
  std::uint64_t revision = 0;
  std::map<std::string, std::string> objects;  // Both kinds together; bytes.
  std::vector<ObjectBody> keys;                // With values=false.
  std::vector<std::string> missing;            // Of a batch.
  std::string next_cursor;
};

struct DiffResultBody {
  std::uint64_t from_revision = 0;
  std::uint64_t to_revision = 0;
  std::vector<ChangeBody> changes;
  std::vector<std::string> rendered_changes;  // As in WriteResultBody.
  std::string next_cursor;
};

struct LogEntryBody {
  std::uint64_t id = 0;
  std::uint64_t parent_id = 0;
  std::string message;
  std::string created_at;
  std::string branch;
  bool has_changes = false;  // Whether `changes` stands in the answer.
  std::vector<ChangeBody> changes;
  bool changes_truncated = false;
  std::optional<std::uint64_t> change_count;
  std::string author;
  std::string cause;
  std::string cause_detail;
  std::uint64_t source = 0;
  std::string hash;
  std::vector<std::uint64_t> parents;
  bool pruned = false;
};

struct LogPageBody {
  std::vector<LogEntryBody> entries;
  std::uint64_t next_cursor = 0;
};

struct KeyVersionBody {
  LogEntryBody revision;
  ChangeBody change;
};
struct HistoryPageBody {
  std::vector<KeyVersionBody> versions;
  std::uint64_t next_cursor = 0;
};

struct ResolveBody {
  std::uint64_t revision = 0;
  std::string hash;
  std::string branch;
  std::string created_at;
};

struct CheckpointBody {
  std::string name;
  std::uint64_t revision_id = 0;
  std::string created_at;
  std::string description;
  std::string created_by;
};
struct CheckpointPageBody {
  std::vector<CheckpointBody> checkpoints;
  std::string next_cursor;
};

struct BranchBody {
  std::string name;
  std::uint64_t base_revision = 0;
  std::uint64_t head_revision = 0;
  bool current = false;
  bool is_protected = false;
  std::string created_at;
  std::string created_by;
};
struct BranchPageBody {
  std::vector<BranchBody> branches;
  std::string next_cursor;
};

struct NamespaceBody {
  std::string name;
  std::uint64_t last_revision = 0;
  std::uint64_t branches = 0;
  std::uint64_t checkpoints = 0;
  std::string created_at;
};
struct NamespacePageBody {
  std::vector<NamespaceBody> namespaces;
  std::string next_cursor;
};

struct OperationBody {
  std::uint64_t sequence = 0;
  std::string kind;
  std::string name;
  std::uint64_t before = 0;
  std::uint64_t after = 0;
  std::string actor;
  std::string detail;
  std::string cause;
  std::string request_id;
  std::string at;
};
struct OperationPageBody {
  std::vector<OperationBody> operations;
  std::uint64_t next_cursor = 0;
};

struct GcResultBody {
  std::uint64_t pruned = 0;
  std::uint64_t kept = 0;
  std::uint64_t nodes_deleted = 0;
  std::uint64_t blobs_deleted = 0;
  std::uint64_t bytes_deleted = 0;
  std::uint64_t disk_bytes_before = 0;
  std::uint64_t disk_bytes_after = 0;
  bool dry_run = false;
  bool cancelled = false;
};

struct FsckProblemBody {
  std::string name_space;
  std::string object;
  std::string problem;
  std::string affects;
};
struct FsckResultBody {
  bool clean = true;
  std::uint64_t problem_count = 0;
  std::vector<FsckProblemBody> problems;
  std::uint64_t namespaces = 0;
  std::uint64_t revisions = 0;
  std::uint64_t nodes = 0;
  std::uint64_t blobs = 0;
};

void write_change(JsonWriter& out, const ChangeBody& change);
void write_change(JsonWriter& out, const ChangeView& change);
void write_log_entry(JsonWriter& out, const LogEntryBody& entry);
void write_checkpoint(JsonWriter& out, const CheckpointBody& checkpoint);
void write_branch(JsonWriter& out, const BranchBody& branch);
void write_namespace(JsonWriter& out, const NamespaceBody& name_space);
void write_operation(JsonWriter& out, const OperationBody& operation);

std::string to_json(const WriteResultBody& body);
std::string to_json(const StateBody& body);
std::string to_json(const DiffResultBody& body);
// As to_json(), in parts: what was rendered is moved, not copied.
std::vector<std::string> to_json_parts(DiffResultBody body);
std::string to_json(const LogEntryBody& body);
std::string to_json(const LogPageBody& body);
std::string to_json(const HistoryPageBody& body);
std::string to_json(const ResolveBody& body);
std::string to_json(const CheckpointBody& body);
std::string to_json(const CheckpointPageBody& body);
std::string to_json(const BranchBody& body);
std::string to_json(const BranchPageBody& body);
std::string to_json(const NamespaceBody& body);
std::string to_json(const NamespacePageBody& body);
std::string to_json(const OperationPageBody& body);
std::string to_json(const GcResultBody& body);
std::string to_json(const FsckResultBody& body);

Result<WriteResultBody> parse_write_result(std::string_view json);
Result<StateBody> parse_state(std::string_view json);
Result<DiffResultBody> parse_diff_result(std::string_view json);
Result<LogEntryBody> parse_log_entry(std::string_view json);
Result<LogPageBody> parse_log_page(std::string_view json);
Result<HistoryPageBody> parse_history_page(std::string_view json);
Result<ResolveBody> parse_resolve(std::string_view json);
Result<CheckpointBody> parse_checkpoint(std::string_view json);
Result<CheckpointPageBody> parse_checkpoint_page(std::string_view json);
Result<BranchBody> parse_branch(std::string_view json);
Result<BranchPageBody> parse_branch_page(std::string_view json);
Result<NamespacePageBody> parse_namespace_page(std::string_view json);
Result<OperationBody> parse_operation(std::string_view json);
Result<OperationPageBody> parse_operation_page(std::string_view json);
Result<GcResultBody> parse_gc_result(std::string_view json);
Result<FsckResultBody> parse_fsck_result(std::string_view json);

}  // namespace st8::wire
