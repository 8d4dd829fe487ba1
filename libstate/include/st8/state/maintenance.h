// Keeping a store well: gc, fsck, backup and restore. All run beside readers and writers.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "st8/state/engine.h"
#include "st8/state/names.h"
#include "st8/state/result.h"

namespace st8::state {

// gc keeps, per branch, the newest `keep` revisions; every head; every checkpoint; every pinned revision (live on a
// target); and all that a reader stands on. The documents of other revisions go; their records stay, marked pruned, so
// the hash chain and the log remain whole.
struct GcRequest {
  std::vector<NamespaceName> namespaces;  // Empty: all.
  std::optional<BranchName> branch;       // Only revisions appended to this branch.
  std::size_t keep = 10;                  // At least 1.
  bool dry_run = false;
  std::vector<std::pair<NamespaceName, RevisionNumber>> pinned;
  std::string actor;
  std::string request_id;
  std::function<bool()> cancelled;  // Asked often; true ends the run cleanly between batches.
};
struct GcReport {
  std::uint64_t revisions_pruned = 0;
  std::uint64_t revisions_kept = 0;
  std::uint64_t nodes_deleted = 0;
  std::uint64_t blobs_deleted = 0;
  std::uint64_t bytes_deleted = 0;  // Of bodies, as stored before compression.
  std::uint64_t disk_bytes_before = 0;
  std::uint64_t disk_bytes_after = 0;
  bool dry_run = false;
  bool cancelled = false;
};

// fsck recomputes every hash: blobs, nodes, trees, revisions and their chain; and checks every pointer.
struct FsckRequest {
  std::vector<NamespaceName> namespaces;                                  // Empty: all.
  std::function<void(std::uint64_t done, std::uint64_t total)> progress;  // In revisions; may be null.
  std::function<bool()> cancelled;
};
struct FsckProblem {
  std::string name_space;
  std::string object;   // e.g. "revision 12", "blob app/a.json@7", "branch main".
  std::string problem;  // What is wrong.
  std::string affects;  // What a user loses by it, e.g. "revisions 7 to 12 cannot read app/a.json".
};
struct FsckReport {
  std::uint64_t namespaces = 0, revisions = 0, nodes = 0, blobs = 0;
  std::vector<FsckProblem> problems;  // At most 1,000.
  std::uint64_t problem_count = 0;
  bool clean() const { return problem_count == 0; }
};

// A backup is one stream (docs/formats.md): a header with the format version, then every key and value of one engine
// snapshot in checksummed frames, then a trailer with counts and a SHA-256 over it all. It does not depend on the engine.
struct BackupReport {
  std::uint64_t records = 0;
  std::uint64_t bytes = 0;
  std::string sha256;  // Of the whole stream.
};
// Fills an empty engine from a stream and proves it: frames, trailer, then fsck of all. `source` returns the next bytes, empty at the end.
// Errors: kCorrupt (naming the offset), kConflict (the engine is not empty). On an error nothing that was restored may be used.
Result<BackupReport> restore_backup(Engine& engine, const std::function<Result<std::string>()>& source);

}  // namespace st8::state
