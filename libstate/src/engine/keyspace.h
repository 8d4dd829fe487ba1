// Every key the store writes, in one file. The first byte is the table; numbers are big-endian, so that key order is
// number order; names and document keys cannot contain NUL, so a NUL ends them and keeps their order.
// Stored bytes: never change a table's letter or layout without a new format version (docs/formats.md).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "st8/state/hash.h"
#include "st8/state/names.h"

namespace st8::state::keyspace {

enum class Table : char {
  kMeta = 'M',            // name → value: "format", "next_namespace", "!restoring"
  kNamespace = 'N',       // namespace name → NamespaceRecord
  kCounters = 'C',        // ns → Counters (last revision, last operation)
  kBranch = 'B',          // ns, branch name → BranchRecord
  kCheckpoint = 'K',      // ns, checkpoint name → CheckpointRecord
  kRevision = 'R',        // ns, number → Revision
  kRevisionByHash = 'H',  // ns, first kHashIndexBytes of the hash, number → empty
  kOperation = 'O',       // ns, last sequence → the Operations of one commit group
  kIdempotency = 'I',     // ns, key → IdempotencyRecord
  // time (µs), ns, key → IdempotencyExpiry: the keys recorded by one commit group; ns and key are its first
  kIdempotencyExpiry = 'J',
  kGarbage = 'G',  // ns of a deleted namespace → GarbageRecord: its ranges are still to be deleted
  kRecord = 'X',   // the layers' own records (RecordStore)
  // Bodies: laid by path, then by the revision that wrote them, so that versions of one path are neighbours and compress
  // against each other. What they are called (their hash) stands in the node or revision that refers to them.
  kNode = 'T',  // ns, level, first key NUL, written_at → node body
  kBlob = 'D',  // ns, document key NUL, written_at → 1 kind byte (0 deleted here, 1 raw), content
};

// Enough that two revisions of a namespace seldom share an entry's beginning; the number makes entries distinct.
inline constexpr std::size_t kHashIndexBytes = 8;

// A namespace's number in keys, from 1; never reused, so a deleted and remade namespace shares nothing with its past.
struct NamespaceId {
  std::uint32_t value = 0;
  friend bool operator==(const NamespaceId&, const NamespaceId&) = default;
};

inline bool is_body(std::string_view key) {
  return !key.empty() &&
         (key.front() == static_cast<char>(Table::kNode) || key.front() == static_cast<char>(Table::kBlob));
}

inline void append_u32(std::string& out, std::uint32_t value) {
  for (int shift = 24; shift >= 0; shift -= 8) out.push_back(static_cast<char>(value >> shift));
}
inline void append_u64(std::string& out, std::uint64_t value) {
  for (int shift = 56; shift >= 0; shift -= 8) out.push_back(static_cast<char>(value >> shift));
}

// Of at least eight bytes, the first eight.
inline std::uint64_t read_u64(std::string_view bytes) {
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < 8; ++i) value = value << 8 | static_cast<unsigned char>(bytes[i]);
  return value;
}

// table | ns
inline std::string table_key(Table table, NamespaceId ns) {
  std::string key(1, static_cast<char>(table));
  append_u32(key, ns.value);
  return key;
}
// table | ns | name
inline std::string named_key(Table table, NamespaceId ns, std::string_view name) {
  std::string key = table_key(table, ns);
  key.append(name);
  return key;
}
// table | ns | number
inline std::string numbered_key(Table table, NamespaceId ns, std::uint64_t number) {
  std::string key = table_key(table, ns);
  append_u64(key, number);
  return key;
}
// H | ns | first bytes of the hash | number
inline std::string hash_index_key(NamespaceId ns, const Hash& hash, RevisionNumber number) {
  std::string key;
  key.reserve(5 + kHashIndexBytes + 8);
  key.append(table_key(Table::kRevisionByHash, ns));
  key.append(hash.view().substr(0, kHashIndexBytes));
  append_u64(key, number.value);
  return key;
}
// J | time | ns | key
inline std::string idempotency_expiry_key(std::int64_t time_us, NamespaceId ns, std::string_view idempotency_key) {
  std::string key(1, static_cast<char>(Table::kIdempotencyExpiry));
  append_u64(key, time_us < 0 ? 0 : static_cast<std::uint64_t>(time_us));
  append_u32(key, ns.value);
  key.append(idempotency_key);
  return key;
}
inline std::string node_key(NamespaceId ns, std::uint8_t level, std::string_view first_key, RevisionNumber written_at) {
  std::string key;
  key.reserve(15 + first_key.size());
  key.append(table_key(Table::kNode, ns));
  key.push_back(static_cast<char>(level));
  key.append(first_key);
  key.push_back('\0');
  append_u64(key, written_at.value);
  return key;
}
inline std::string blob_key(NamespaceId ns, std::string_view document_key, RevisionNumber written_at) {
  std::string key;
  key.reserve(14 + document_key.size());
  key.append(table_key(Table::kBlob, ns));
  key.append(document_key);
  key.push_back('\0');
  append_u64(key, written_at.value);
  return key;
}

}  // namespace st8::state::keyspace
