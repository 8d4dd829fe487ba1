#include "pipeline/store_core.h"

#include "st8/state/text.h"

namespace st8::state::pipeline {
namespace {

// How many names and revisions are kept in memory: speed only.
constexpr std::size_t kNamespacesCachedMax = 4096;
constexpr std::size_t kBranchesCachedMax = 4096;
constexpr std::size_t kRevisionsCachedMax = 8192;

}  // namespace

std::string branch_cache_key(std::string_view ns, std::string_view branch) {
  std::string key;
  key.reserve(ns.size() + branch.size() + 1);
  key.append(ns);
  key.push_back('\0');
  key.append(branch);
  return key;
}

StoreCore::StoreCore(std::unique_ptr<Engine> owned_engine, const Clock& store_clock, const StoreOptions& store_options)
    : engine(std::move(owned_engine)),
      clock(store_clock),
      options(store_options),
      room(store_options.node_cache_bytes),
      nodes(store_options.node_cache_bytes, &room),
      packed_contents(room),
      contents(store_options.content_cache_bytes, &packed_contents),
      namespaces(kNamespacesCachedMax),
      branches(kBranchesCachedMax),
      revisions(kRevisionsCachedMax) {
  room.set_borrower(&packed_contents);
}

Result<NamespacePointer> StoreCore::find_namespace(std::string_view name) {
  const std::string key(name);
  if (auto found = namespaces.find(key)) return found;
  const auto ticket = namespaces.begin_load(key);
  ST8_ASSIGN(const std::optional<std::string> bytes,
             engine->get(std::string(1, static_cast<char>(keyspace::Table::kNamespace)) + key));
  if (!bytes) return NamespacePointer{};
  ST8_ASSIGN(const codec::NamespaceRecord record, codec::decode_namespace(*bytes));
  auto entry = std::make_shared<const NamespaceEntry>(NamespaceEntry{record.id, key, record.created_at});
  namespaces.finish_load(key, ticket, entry);
  return NamespacePointer{std::move(entry)};
}

Result<RevisionPointer> StoreCore::find_revision(keyspace::NamespaceId ns, RevisionNumber number) {
  if (number.is_root()) return query::empty_revision();
  const RevisionId id{ns, number};
  if (auto found = revisions.find(id)) return found;
  const auto ticket = revisions.begin_load(id);
  ST8_ASSIGN(RevisionPointer record, query::EngineLookup(*engine, ns).revision(number));
  revisions.finish_load(id, ticket, record);
  return record;
}

Result<std::string> open_blob(std::string stored, std::string_view key, const DocumentRef& ref) {
  if (stored.size() != ref.size + 1 || stored.front() != kBlobRaw ||
      Hash::of(std::string_view(stored).substr(1)) != ref.hash) {
    return fail(ErrorCode::kCorrupt,
                "the content of " + quote(key) + " written by revision " + std::to_string(ref.written_at.value) +
                    " does not match its hash",
                "Run `st8d fsck` to learn what else is damaged, then restore a backup.");
  }
  stored.erase(0, 1);
  return stored;
}

Result<std::string> StoreCore::read_content(keyspace::NamespaceId ns, std::string_view key,
                                            const DocumentRef& ref) const {
  if (const auto kept = contents.find(ref.hash)) return *kept;
  ST8_ASSIGN(std::optional<std::string> stored, engine->get(keyspace::blob_key(ns, key, ref.written_at)));
  if (!stored) {
    return fail(ErrorCode::kGone,
                "the content of " + quote(key) + " written by revision " + std::to_string(ref.written_at.value) +
                    " is no longer stored",
                "gc prunes old revisions; use a newer one or a checkpoint.");
  }
  return open_blob(std::move(*stored), key, ref);
}

Result<std::vector<ContentPointer>> StoreCore::read_contents(keyspace::NamespaceId ns,
                                                             std::span<const ContentPlace> places, bool keep) const {
  std::vector<ContentPointer> found(places.size());
  std::vector<std::size_t> missing;
  std::vector<std::string> keys;
  for (std::size_t i = 0; i < places.size(); ++i) {
    found[i] = contents.find(places[i].ref.hash);
    if (found[i] != nullptr) continue;
    missing.push_back(i);
    keys.push_back(keyspace::blob_key(ns, places[i].key, places[i].ref.written_at));
  }
  if (missing.empty()) return found;
  std::vector<std::optional<std::string>> stored;
  if (keys.size() == 1) {
    // What one change has replaced, say. A search for many costs more, and leaves nobody the block that it unpacked.
    ST8_ASSIGN(std::optional<std::string> one, engine->get(keys.front()));
    stored.push_back(std::move(one));
  } else {
    ST8_ASSIGN(stored, engine->get_many(keys));
  }
  for (std::size_t i = 0; i < missing.size(); ++i) {
    if (!stored[i]) continue;
    const ContentPlace& place = places[missing[i]];
    ST8_ASSIGN(std::string content, open_blob(std::move(*stored[i]), place.key, place.ref));
    ContentPointer& here = found[missing[i]];
    here = std::make_shared<const std::string>(std::move(content));
    if (keep) contents.put(place.ref.hash, here, ContentCache::Then::kGo);
  }
  return found;
}

Result<BranchPointer> ReaderLookup::branch(std::string_view name) const {
  if (entry_ == nullptr) return BranchPointer{};
  const std::string key = branch_cache_key(entry_->name, name);
  if (auto found = core_.branches.find(key)) return found;
  const auto ticket = core_.branches.begin_load(key);
  ST8_ASSIGN(BranchPointer state, EngineLookup::branch(name));
  // The namespace may have been deleted, or remade under another id, since `entry_` was found: such a branch is right for
  // this call and wrong for later ones.
  const auto current = core_.namespaces.find(entry_->name);
  if (current != nullptr && current->id == entry_->id) core_.branches.finish_load(key, ticket, state);
  return state;
}

Result<RevisionPointer> ReaderLookup::revision(RevisionNumber number) const {
  if (entry_ == nullptr && !number.is_root()) return RevisionPointer{};
  return core_.find_revision(ns_, number);
}

}  // namespace st8::state::pipeline
