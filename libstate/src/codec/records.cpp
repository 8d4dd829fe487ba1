#include "codec/records.h"

#include "codec/bytes.h"

namespace st8::state::codec {
namespace {

constexpr std::uint8_t kRecordVersion = 1;
constexpr std::string_view kRevisionDomain =
    "st8 revision\n";                       // Hashed first, so that no document hashes like a revision.
constexpr std::size_t kHashCheckBytes = 4;  // Of the revision's hash, kept to notice damage.

// Flag bits; persisted.
constexpr std::uint8_t kRevisionPruned = 1;
constexpr std::uint8_t kRevisionCopy = 2;
constexpr std::uint8_t kRevisionHasTree = 4;  // A tree location follows; not so for the empty tree.
constexpr std::uint8_t kBranchProtected = 1;

constexpr std::uint8_t kLastCause = static_cast<std::uint8_t>(Cause::kImport);
constexpr std::uint8_t kLastOperationKind = static_cast<std::uint8_t>(OperationKind::kGc);

tl::unexpected<Error> corrupt(std::string_view what) {
  return fail(ErrorCode::kCorrupt, "A stored " + std::string(what) + " record is damaged or of an unknown version.",
              "Run `st8d fsck` to learn what else is damaged, then restore a backup.");
}

void put_number(std::string& out, RevisionNumber number) { put_varint(out, number.value); }
RevisionNumber get_number(ByteReader& in) { return RevisionNumber{in.varint()}; }
void put_time(std::string& out, Timestamp time) { put_zigzag(out, time.micros); }
Timestamp get_time(ByteReader& in) { return Timestamp{in.zigzag()}; }
std::string get_string(ByteReader& in) { return std::string(in.counted()); }

void check_version(ByteReader& in) {
  if (in.byte() != kRecordVersion) in.broken();
}

Cause get_cause(ByteReader& in) {
  const std::uint8_t value = in.byte();
  if (value > kLastCause) in.broken();
  return in.ok() ? static_cast<Cause>(value) : Cause::kApply;
}

void put_branch(std::string& out, const BranchRecord& record) {
  put_byte(out, record.is_protected ? kBranchProtected : 0);
  put_number(out, record.head);
  put_number(out, record.base);
  put_time(out, record.created_at);
  put_counted(out, record.created_by);
}

BranchRecord get_branch(ByteReader& in) {
  BranchRecord record;
  const std::uint8_t flags = in.byte();
  if ((flags & ~kBranchProtected) != 0) in.broken();
  record.is_protected = (flags & kBranchProtected) != 0;
  record.head = get_number(in);
  record.base = get_number(in);
  record.created_at = get_time(in);
  record.created_by = get_string(in);
  return record;
}

void put_checkpoint(std::string& out, const CheckpointRecord& record) {
  put_number(out, record.revision);
  put_time(out, record.created_at);
  put_counted(out, record.created_by);
  put_counted(out, record.description);
}

CheckpointRecord get_checkpoint(ByteReader& in) {
  CheckpointRecord record;
  record.revision = get_number(in);
  record.created_at = get_time(in);
  record.created_by = get_string(in);
  record.description = get_string(in);
  return record;
}

void put_counters(std::string& out, const Counters& counters) {
  put_varint(out, counters.last_revision);
  put_varint(out, counters.last_operation);
  put_varint(out, counters.branch_count);
  put_varint(out, counters.checkpoint_count);
}

Counters get_counters(ByteReader& in) {
  Counters counters;
  counters.last_revision = in.varint();
  counters.last_operation = in.varint();
  counters.branch_count = in.varint();
  counters.checkpoint_count = in.varint();
  return counters;
}

}  // namespace

std::uint64_t jump_depth(std::uint64_t depth) {
  // Write `depth` as a sum of terms 2^k - 1, greatest first; the jump skips the smallest term.
  std::uint64_t rest = depth;
  std::uint64_t term = 1;
  while (term <= (rest - 1) / 2) term = term * 2 + 1;  // The greatest 2^k - 1 within `rest`.
  while (rest > term) {
    rest -= term;
    while (term > rest) term = (term - 1) / 2;
  }
  return depth - term;
}

std::string encode_hashed_revision(const Revision& revision) {
  std::string out;
  out.reserve(128 + revision.parents.size() * 40 + revision.branch.size() + revision.author.size() +
              revision.message.size() + revision.cause_detail.size());
  put_byte(out, kRecordVersion);
  put_number(out, revision.number);
  put_varint(out, revision.parents.size());
  for (std::size_t i = 0; i < revision.parents.size(); ++i) {
    put_number(out, revision.parents[i]);
    put_hash(out, revision.parent_hashes[i]);
  }
  put_varint(out, revision.tree.document_count);
  if (!revision.tree.empty()) {
    put_hash(out, revision.tree.hash);
    put_varint(out, revision.tree.content_bytes);
  }
  put_byte(out, static_cast<std::uint8_t>(revision.cause));
  put_time(out, revision.created_at);
  put_number(out, revision.source);
  put_varint(out, revision.change_count);
  put_counted(out, revision.branch);
  put_counted(out, revision.author);
  put_counted(out, revision.cause_detail);
  put_counted(out, revision.message);
  return out;
}

Hash hash_revision(std::string_view hashed_bytes) { return Hash::of_parts({kRevisionDomain, hashed_bytes}); }

std::string encode_revision(const RevisionRecord& record, std::string_view hashed_bytes) {
  const Revision& revision = record.revision;
  std::string out;
  out.reserve(hashed_bytes.size() + revision.tree.first_key.size() + 40);
  put_byte(out, kRecordVersion);
  put_byte(out,
           static_cast<std::uint8_t>((revision.pruned ? kRevisionPruned : 0) | (record.is_copy ? kRevisionCopy : 0) |
                                     (revision.tree.empty() ? 0 : kRevisionHasTree)));
  put_varint(out, record.depth);
  put_number(out, record.jump);
  put_number(out, record.prev_copy);
  out.append(revision.hash.view().substr(0, kHashCheckBytes));
  if (!revision.tree.empty()) {
    put_number(out, revision.tree.written_at);
    put_byte(out, revision.tree.level);
    put_counted(out, revision.tree.first_key);
  }
  out.append(hashed_bytes);  // Last and whole, so that it can be hashed as it lies.
  return out;
}

Result<RevisionRecord> decode_revision(std::string_view bytes, RevisionNumber number) {
  RevisionRecord record;
  Revision& revision = record.revision;
  ByteReader in(bytes);
  check_version(in);
  const std::uint8_t flags = in.byte();
  if ((flags & ~(kRevisionPruned | kRevisionCopy | kRevisionHasTree)) != 0) in.broken();
  revision.pruned = (flags & kRevisionPruned) != 0;
  record.is_copy = (flags & kRevisionCopy) != 0;
  record.depth = in.varint();
  record.jump = get_number(in);
  record.prev_copy = get_number(in);
  const std::string_view check = in.fixed(kHashCheckBytes);
  if ((flags & kRevisionHasTree) != 0) {
    revision.tree.written_at = get_number(in);
    revision.tree.level = in.byte();
    revision.tree.first_key = get_string(in);
  }
  if (!in.ok()) return corrupt("revision");
  revision.hash = hash_revision(in.rest());

  check_version(in);
  revision.number = get_number(in);
  const std::uint64_t parents = in.varint();
  if (parents > in.rest().size() / (1 + Hash::kSize)) in.broken();
  for (std::uint64_t i = 0; in.ok() && i < parents; ++i) {
    revision.parents.push_back(get_number(in));
    revision.parent_hashes.push_back(in.hash());
    if (revision.parents.back() >= number || revision.parents.back().is_root()) in.broken();
  }
  revision.tree.document_count = in.varint();
  if (revision.tree.document_count != 0) {
    revision.tree.hash = in.hash();
    revision.tree.content_bytes = in.varint();
  }
  revision.cause = get_cause(in);
  revision.created_at = get_time(in);
  revision.source = get_number(in);
  revision.change_count = in.varint();
  revision.branch = get_string(in);
  revision.author = get_string(in);
  revision.cause_detail = get_string(in);
  revision.message = get_string(in);

  const bool has_tree = (flags & kRevisionHasTree) != 0;
  const bool sound = in.finished() && revision.number == number && !number.is_root() && record.depth >= 1 &&
                     record.depth <= number.value && record.jump < number && record.prev_copy < number &&
                     has_tree == !revision.tree.empty() && check == revision.hash.view().substr(0, kHashCheckBytes) &&
                     revision.tree.written_at <= number && has_tree == !revision.tree.written_at.is_root();
  if (!sound) return corrupt("revision");
  return record;
}

std::string encode(const NamespaceRecord& record) {
  std::string out;
  put_byte(out, kRecordVersion);
  put_varint(out, record.id.value);
  put_time(out, record.created_at);
  return out;
}

Result<NamespaceRecord> decode_namespace(std::string_view bytes) {
  ByteReader in(bytes);
  check_version(in);
  const std::uint64_t id = in.varint();
  NamespaceRecord record;
  record.created_at = get_time(in);
  if (!in.finished() || id == 0 || id > 0xffffffffu) return corrupt("namespace");
  record.id = NamespaceId{static_cast<std::uint32_t>(id)};
  return record;
}

std::string encode(const Counters& counters) {
  std::string out;
  put_byte(out, kRecordVersion);
  put_counters(out, counters);
  return out;
}

Result<Counters> decode_counters(std::string_view bytes) {
  ByteReader in(bytes);
  check_version(in);
  Counters counters = get_counters(in);
  if (!in.finished()) return corrupt("counters");
  return counters;
}

std::string encode(const BranchRecord& record) {
  std::string out;
  put_byte(out, kRecordVersion);
  put_branch(out, record);
  return out;
}

Result<BranchRecord> decode_branch(std::string_view bytes) {
  ByteReader in(bytes);
  check_version(in);
  BranchRecord record = get_branch(in);
  if (!in.finished()) return corrupt("branch");
  return record;
}

std::string encode(const CheckpointRecord& record) {
  std::string out;
  put_byte(out, kRecordVersion);
  put_checkpoint(out, record);
  return out;
}

Result<CheckpointRecord> decode_checkpoint(std::string_view bytes) {
  ByteReader in(bytes);
  check_version(in);
  CheckpointRecord record = get_checkpoint(in);
  if (!in.finished() || record.revision.is_root()) return corrupt("checkpoint");
  return record;
}

std::string encode(const std::vector<Operation>& operations) {
  std::string out;
  put_byte(out, kRecordVersion);
  put_varint(out, operations.size());
  for (const Operation& operation : operations) {
    put_byte(out, static_cast<std::uint8_t>(operation.kind));
    put_counted(out, operation.name);
    put_number(out, operation.before);
    put_number(out, operation.after);
    put_byte(out, static_cast<std::uint8_t>(operation.cause));
    put_time(out, operation.at);
    put_counted(out, operation.actor);
    put_counted(out, operation.detail);
    put_counted(out, operation.request_id);
  }
  return out;
}

Result<std::vector<Operation>> decode_operations(std::string_view bytes, std::uint64_t last_sequence) {
  ByteReader in(bytes);
  check_version(in);
  const std::uint64_t count = in.varint();
  // An operation takes at least nine bytes: a count that cannot be true must not make us allocate.
  if (!in.ok() || count == 0 || count > last_sequence || count > in.rest().size() / 9) return corrupt("operation");
  std::vector<Operation> operations(static_cast<std::size_t>(count));
  std::uint64_t sequence = last_sequence - count;
  for (Operation& operation : operations) {
    operation.sequence = ++sequence;
    const std::uint8_t kind = in.byte();
    if (kind > kLastOperationKind) in.broken();
    if (!in.ok()) break;
    operation.kind = static_cast<OperationKind>(kind);
    operation.name = get_string(in);
    operation.before = get_number(in);
    operation.after = get_number(in);
    operation.cause = get_cause(in);
    operation.at = get_time(in);
    operation.actor = get_string(in);
    operation.detail = get_string(in);
    operation.request_id = get_string(in);
  }
  if (!in.finished()) return corrupt("operation");
  return operations;
}

std::string encode(const IdempotencyRecord& record) {
  std::string out;
  put_byte(out, kRecordVersion);
  put_byte(out, static_cast<std::uint8_t>(record.kind));
  put_hash(out, record.request);
  put_time(out, record.created_at);
  switch (record.kind) {
    case IdempotencyRecord::Kind::kCommit:
      put_number(out, record.revision);
      put_byte(out, record.noop ? 1 : 0);
      break;
    case IdempotencyRecord::Kind::kBranch:
      put_counted(out, record.name);
      put_branch(out, record.branch);
      break;
    case IdempotencyRecord::Kind::kCheckpoint:
      put_counted(out, record.name);
      put_checkpoint(out, record.checkpoint);
      break;
    case IdempotencyRecord::Kind::kNamespace:
      put_counted(out, record.name);
      put_counters(out, record.counters);
      put_time(out, record.namespace_created_at);
      break;
  }
  return out;
}

Result<IdempotencyRecord> decode_idempotency(std::string_view bytes) {
  ByteReader in(bytes);
  check_version(in);
  IdempotencyRecord record;
  const std::uint8_t kind = in.byte();
  record.request = in.hash();
  record.created_at = get_time(in);
  switch (kind) {
    case 0: {
      record.kind = IdempotencyRecord::Kind::kCommit;
      record.revision = get_number(in);
      const std::uint8_t noop = in.byte();
      if (noop > 1) in.broken();
      record.noop = noop == 1;
      break;
    }
    case 1:
      record.kind = IdempotencyRecord::Kind::kBranch;
      record.name = get_string(in);
      record.branch = get_branch(in);
      break;
    case 2:
      record.kind = IdempotencyRecord::Kind::kCheckpoint;
      record.name = get_string(in);
      record.checkpoint = get_checkpoint(in);
      break;
    case 3:
      record.kind = IdempotencyRecord::Kind::kNamespace;
      record.name = get_string(in);
      record.counters = get_counters(in);
      record.namespace_created_at = get_time(in);
      break;
    default:
      in.broken();
  }
  if (!in.finished()) return corrupt("idempotency");
  return record;
}

std::string encode(const IdempotencyExpiry& record) {
  std::string out;
  put_byte(out, kRecordVersion);
  put_varint(out, record.entries.size());
  for (const IdempotencyExpiry::Entry& entry : record.entries) {
    put_varint(out, entry.ns.value);
    put_counted(out, entry.key);
  }
  return out;
}

Result<IdempotencyExpiry> decode_idempotency_expiry(std::string_view bytes) {
  ByteReader in(bytes);
  check_version(in);
  const std::uint64_t count = in.varint();
  if (!in.ok() || count > in.rest().size() / 2) return corrupt("idempotency expiry");
  IdempotencyExpiry record;
  record.entries.resize(static_cast<std::size_t>(count));
  for (IdempotencyExpiry::Entry& entry : record.entries) {
    const std::uint64_t ns = in.varint();
    if (ns > 0xffffffffu) in.broken();
    entry.ns = NamespaceId{static_cast<std::uint32_t>(ns)};
    entry.key = get_string(in);
  }
  if (!in.finished()) return corrupt("idempotency expiry");
  return record;
}

std::string encode(const GarbageRecord& record) {
  std::string out;
  put_byte(out, kRecordVersion);
  put_counted(out, record.name);
  put_time(out, record.deleted_at);
  put_counted(out, record.actor);
  return out;
}

Result<GarbageRecord> decode_garbage(std::string_view bytes) {
  ByteReader in(bytes);
  check_version(in);
  GarbageRecord record;
  record.name = get_string(in);
  record.deleted_at = get_time(in);
  record.actor = get_string(in);
  if (!in.finished()) return corrupt("garbage");
  return record;
}

std::string encode_meta_number(std::uint32_t value) {
  std::string out;
  keyspace::append_u32(out, value);
  return out;
}

Result<std::uint32_t> decode_meta_number(std::string_view bytes) {
  if (bytes.size() != 4) return corrupt("meta");
  std::uint32_t value = 0;
  for (const char byte : bytes) value = value << 8 | static_cast<std::uint8_t>(byte);
  return value;
}

}  // namespace st8::state::codec
