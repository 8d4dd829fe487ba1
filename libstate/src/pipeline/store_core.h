// What a store is made of, shared by its readers (query/), its writers (pipeline/) and its upkeep (maintenance/).
#pragma once

#include <atomic>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/cache_room.h"
#include "pipeline/content_cache.h"
#include "pipeline/packed_contents.h"
#include "pipeline/pins.h"
#include "pipeline/published_map.h"
#include "query/lookup.h"
#include "st8/state/clock.h"
#include "st8/state/store.h"
#include "tree/node_cache.h"

namespace st8::state::pipeline {

// A namespace as readers find it. Never changes; a deleted and remade namespace gets another.
struct NamespaceEntry {
  keyspace::NamespaceId id;
  std::string name;
  Timestamp created_at;
};

struct RevisionId {
  keyspace::NamespaceId ns;
  RevisionNumber number;
  friend bool operator==(const RevisionId&, const RevisionId&) = default;
};
struct RevisionIdHash {
  std::size_t operator()(const RevisionId& id) const noexcept {
    return id.number.value * 0xff51afd7ed558ccdu ^ (std::uint64_t{id.ns.value} << 32);
  }
};

using query::BranchPointer;
using query::RevisionPointer;
using NamespacePointer = std::shared_ptr<const NamespaceEntry>;

// A branch's name with its namespace's, as one key; NUL is in no name.
std::string branch_cache_key(std::string_view ns, std::string_view branch);

// Caches of what the engine holds, kept true by the committer. Thread-safe.
struct StoreCore {
  StoreCore(std::unique_ptr<Engine> owned_engine, const Clock& store_clock, const StoreOptions& store_options);

  std::unique_ptr<Engine> engine;
  const Clock& clock;
  const StoreOptions options;

  CacheRoom room;  // The nodes'; the packed contents borrow of it.
  mutable tree::NodeCache nodes;
  PackedContents packed_contents;
  mutable ContentCache contents;
  PublishedMap<std::string, NamespaceEntry> namespaces;
  PublishedMap<std::string, query::BranchState> branches;  // By branch_cache_key().
  PublishedMap<RevisionId, codec::RevisionRecord, RevisionIdHash> revisions;
  mutable PinRegistry pins;

  std::atomic<bool> writable{true};
  std::atomic<std::uint64_t> commits{0}, commit_groups{0}, nodes_written{0}, node_bytes_written{0};

  // Null: there is no such namespace.
  Result<NamespacePointer> find_namespace(std::string_view name);
  // As readers see it. Errors: kCorrupt.
  Result<RevisionPointer> find_revision(keyspace::NamespaceId ns, RevisionNumber number);
  // The content behind a ref, checked against its hash. Errors: kGone, kCorrupt.
  Result<std::string> read_content(keyspace::NamespaceId ns, std::string_view key, const DocumentRef& ref) const;
  // The same for many, cheaper than one by one; null where it is no longer stored. `keep`: in `contents`. Errors: kCorrupt.
  Result<std::vector<ContentPointer>> read_contents(keyspace::NamespaceId ns, std::span<const ContentPlace> places,
                                                    bool keep) const;
};

// Kinds of blob: the first byte of a stored body. Persisted.
inline constexpr char kBlobDeleted = 0;  // The key was deleted by this revision; nothing follows.
inline constexpr char kBlobRaw = 1;      // The content follows.

// Takes a stored blob apart and checks it. Errors: kCorrupt.
Result<std::string> open_blob(std::string stored, std::string_view key, const DocumentRef& ref);

// One namespace as readers see it. Cheap to make; keep it for one call.
class ReaderLookup final : public query::EngineLookup {
 public:
  // `entry` null: a namespace that does not exist.
  ReaderLookup(StoreCore& core, NamespacePointer entry)
      : EngineLookup(*core.engine, entry == nullptr ? keyspace::NamespaceId{} : entry->id),
        core_(core),
        entry_(std::move(entry)) {}
  Result<BranchPointer> branch(std::string_view name) const override;
  Result<RevisionPointer> revision(RevisionNumber number) const override;
  const NamespacePointer& entry() const { return entry_; }
  keyspace::NamespaceId id() const { return ns_; }

 private:
  StoreCore& core_;
  NamespacePointer entry_;
};

}  // namespace st8::state::pipeline
