#include "query/lookup.h"

#include <algorithm>

namespace st8::state::query {

using keyspace::Table;

const RevisionPointer& empty_revision() {
  static const RevisionPointer instance = [] {
    auto record = std::make_shared<codec::RevisionRecord>();
    record->depth = 0;
    return record;
  }();
  return instance;
}

Result<BranchPointer> EngineLookup::branch(std::string_view name) const {
  if (ns_.value == 0) return BranchPointer{};
  ST8_ASSIGN(const std::optional<std::string> bytes, engine_.get(keyspace::named_key(Table::kBranch, ns_, name)));
  if (!bytes) return BranchPointer{};
  auto state = std::make_shared<BranchState>();
  ST8_ASSIGN(state->record, codec::decode_branch(*bytes));
  ST8_ASSIGN(state->head, revision(state->record.head));
  if (state->head == nullptr) {
    return fail(ErrorCode::kCorrupt,
                "the head of branch " + std::string(name) + ", revision " + std::to_string(state->record.head.value) +
                    ", is missing",
                "Run `st8d fsck` to learn what else is damaged, then restore a backup.");
  }
  return BranchPointer{std::move(state)};
}

Result<std::optional<codec::CheckpointRecord>> EngineLookup::checkpoint(std::string_view name) const {
  std::optional<codec::CheckpointRecord> found;
  if (ns_.value == 0) return found;
  ST8_ASSIGN(const std::optional<std::string> bytes, engine_.get(keyspace::named_key(Table::kCheckpoint, ns_, name)));
  if (bytes) {
    ST8_ASSIGN(found, codec::decode_checkpoint(*bytes));
  }
  return found;
}

Result<RevisionPointer> EngineLookup::revision(RevisionNumber number) const {
  if (number.is_root()) return empty_revision();
  if (ns_.value == 0) return RevisionPointer{};
  ST8_ASSIGN(const std::optional<std::string> bytes,
             engine_.get(keyspace::numbered_key(Table::kRevision, ns_, number.value)));
  if (!bytes) return RevisionPointer{};
  ST8_ASSIGN(auto record, codec::decode_revision(*bytes, number));
  return RevisionPointer{std::make_shared<const codec::RevisionRecord>(std::move(record))};
}

Result<std::vector<RevisionPointer>> EngineLookup::by_hash_prefix(std::string_view hex, std::size_t limit) const {
  std::vector<RevisionPointer> found;
  if (ns_.value == 0) return found;
  // The index holds the first bytes of each hash: scan from the least hash with this prefix while the prefix holds.
  std::string padded(hex.substr(0, 2 * Hash::kSize));
  padded.append(2 * Hash::kSize - padded.size(), '0');
  const std::optional<Hash> least = Hash::from_hex(padded);
  if (!least) return found;
  const std::string table = keyspace::table_key(Table::kRevisionByHash, ns_);
  KeyRange range = KeyRange::prefix(table);
  range.begin = table + std::string(least->view().substr(0, keyspace::kHashIndexBytes));
  const auto cursor = engine_.scan(std::move(range));
  const std::string_view indexed = hex.substr(0, std::min(hex.size(), 2 * keyspace::kHashIndexBytes));
  for (; cursor->valid() && found.size() < limit; cursor->next()) {
    const std::string_view rest = cursor->key().substr(table.size());
    if (rest.size() != keyspace::kHashIndexBytes + 8)
      return fail(ErrorCode::kCorrupt, "an entry of the hash index is malformed");
    Hash hash{};
    std::copy_n(rest.begin(), keyspace::kHashIndexBytes, reinterpret_cast<char*>(hash.bytes.data()));
    if (!hash.hex().starts_with(indexed)) break;
    const RevisionNumber number{keyspace::read_u64(rest.substr(keyspace::kHashIndexBytes))};
    ST8_ASSIGN(RevisionPointer record, revision(number));
    if (record != nullptr && record->revision.hash.hex().starts_with(hex)) found.push_back(std::move(record));
  }
  ST8_TRY(cursor->status());
  return found;
}

std::vector<std::string> EngineLookup::names(Table table, std::size_t limit) const {
  std::vector<std::string> names;
  if (ns_.value == 0) return names;
  const std::string prefix = keyspace::table_key(table, ns_);
  const auto cursor = engine_.scan(KeyRange::prefix(prefix));
  for (; cursor->valid() && names.size() < limit; cursor->next())
    names.emplace_back(cursor->key().substr(prefix.size()));
  return names;
}

}  // namespace st8::state::query
