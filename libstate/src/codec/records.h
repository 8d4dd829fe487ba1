// The records that the store keeps beside trees and documents, and their bytes (docs/formats.md, "Records").
//
// Every record begins with a version byte. A decoder takes exactly the bytes that an encoder of that version makes:
// unknown versions, flags and enum values, overlong numbers, short and surplus bytes are all kCorrupt.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/keyspace.h"
#include "st8/state/commit.h"
#include "st8/state/operation.h"
#include "st8/state/result.h"
#include "st8/state/revision.h"

namespace st8::state::codec {

using keyspace::NamespaceId;

// Persisted: never change. A store whose "format" is greater is refused by this binary.
inline constexpr std::uint32_t kFormatVersion = 1;

// A revision and what is kept beside its hashed part. `depth`, `jump` and `prev_copy` follow from the parents, and
// serve only speed; they are not hashed.
struct RevisionRecord {
  Revision revision;
  std::uint64_t depth = 1;   // Revisions on its chain of first parents, itself included. The empty state has depth 0.
  RevisionNumber jump;       // The ancestor at jump_depth(depth).
  RevisionNumber prev_copy;  // The nearest proper ancestor with is_copy; 0 for none.
  bool is_copy = false;      // Its tree was not made by writing documents alone: key history must compare trees here.
};

// The depth to which a revision at this depth jumps. Jumps form a skew-binary list, so any ancestor is reached in
// O(log depth) steps. Source: Myers, "An applicative random-access stack" (1983). Needs depth >= 1.
std::uint64_t jump_depth(std::uint64_t depth);

// The bytes that a revision's hash is over, and the hash.
std::string encode_hashed_revision(const Revision& revision);
Hash hash_revision(std::string_view hashed_bytes);
// `hashed_bytes` and revision.hash must belong to the revision.
std::string encode_revision(const RevisionRecord& record, std::string_view hashed_bytes);
// `number` is the one that the record lies under; the hash is computed and checked.
Result<RevisionRecord> decode_revision(std::string_view bytes, RevisionNumber number);

struct NamespaceRecord {
  NamespaceId id;
  Timestamp created_at;
};
std::string encode(const NamespaceRecord& record);
Result<NamespaceRecord> decode_namespace(std::string_view bytes);

struct Counters {
  std::uint64_t last_revision = 0;
  std::uint64_t last_operation = 0;
  std::uint64_t branch_count = 0;
  std::uint64_t checkpoint_count = 0;
  friend bool operator==(const Counters&, const Counters&) = default;
};
std::string encode(const Counters& counters);
Result<Counters> decode_counters(std::string_view bytes);

struct BranchRecord {
  RevisionNumber head;  // 0: begun at the empty state and not yet written.
  RevisionNumber base;
  bool is_protected = false;
  Timestamp created_at;
  std::string created_by;
};
std::string encode(const BranchRecord& record);
Result<BranchRecord> decode_branch(std::string_view bytes);

struct CheckpointRecord {
  RevisionNumber revision;
  std::string description;
  Timestamp created_at;
  std::string created_by;
};
std::string encode(const CheckpointRecord& record);
Result<CheckpointRecord> decode_checkpoint(std::string_view bytes);

// The operations of one commit group in one namespace lie in one record, under the last one's sequence number.
std::string encode(const std::vector<Operation>& operations);
Result<std::vector<Operation>> decode_operations(std::string_view bytes, std::uint64_t last_sequence);

// What was answered under an idempotency key; enough to answer it again.
struct IdempotencyRecord {
  enum class Kind : std::uint8_t { kCommit = 0, kBranch = 1, kCheckpoint = 2, kNamespace = 3 };  // Persisted.
  Kind kind = Kind::kCommit;
  Hash request;
  Timestamp created_at;
  // kCommit: the head after it, and whether it was there before.
  RevisionNumber revision;
  bool noop = false;
  // kBranch, kCheckpoint, kNamespace: the thing as answered.
  std::string name;
  BranchRecord branch;
  CheckpointRecord checkpoint;
  Counters counters;
  Timestamp namespace_created_at;
};
std::string encode(const IdempotencyRecord& record);
Result<IdempotencyRecord> decode_idempotency(std::string_view bytes);

// Which idempotency keys were recorded by one commit group; lies under the time.
struct IdempotencyExpiry {
  struct Entry {
    NamespaceId ns;
    std::string key;
  };
  std::vector<Entry> entries;
};
std::string encode(const IdempotencyExpiry& record);
Result<IdempotencyExpiry> decode_idempotency_expiry(std::string_view bytes);

// A deleted namespace whose ranges are still to be swept.
struct GarbageRecord {
  std::string name;
  Timestamp deleted_at;
  std::string actor;
};
std::string encode(const GarbageRecord& record);
Result<GarbageRecord> decode_garbage(std::string_view bytes);

// "format" and "next_namespace" in the meta table.
std::string encode_meta_number(std::uint32_t value);
Result<std::uint32_t> decode_meta_number(std::string_view bytes);

}  // namespace st8::state::codec
