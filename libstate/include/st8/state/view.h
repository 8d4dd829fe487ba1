// A read view: the documents of one namespace at one revision. Immutable, cheap to copy, safe to use from any thread.
// Reading one never waits for a writer. gc does not drop what a live View stands on.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "st8/state/document.h"
#include "st8/state/revision.h"

namespace st8::state {

struct Entry {
  DocumentKey key;
  DocumentRef ref;
};

struct ListQuery {
  std::string prefix;        // Keys that begin with these bytes; empty: all.
  std::string after;         // Exclusive cursor: the last key of the page before; empty: from the start.
  std::size_t limit = 1000;  // 1 to 100,000.
};
struct EntryPage {
  std::vector<Entry> entries;  // In key order (bytes).
  bool more = false;           // There are keys behind the last one.
};

struct DiffQuery {
  std::string prefix;
  std::string after;
  std::size_t limit = 100'000;
  // Calls its second argument with each number below its first, on several threads if it can, and returns when all are done. Given
  // this, a diff of many changes is walked in parts.
  std::function<void(std::size_t parts, const std::function<void(std::size_t part)>& work)> in_parts = {};
};
struct ChangePage {
  std::vector<Change> changes;  // In key order.
  bool more = false;
};

class ViewImpl;

class View {
 public:
  explicit View(std::shared_ptr<const ViewImpl> impl) : impl_(std::move(impl)) {}

  const NamespaceName& name_space() const;
  RevisionNumber revision() const;  // 0: the empty state.
  const TreeRoot& root() const;

  // Cost: O(log n) nodes, from cache when near a head. Errors: kCorrupt.
  Result<std::optional<DocumentRef>> find(const DocumentKey& key) const;
  // find() and the content. nullopt: no such key.
  Result<std::optional<std::string>> get(const DocumentKey& key) const;
  // The content behind a ref of `key` in this namespace, verified against its hash. Errors: kGone, kCorrupt.
  Result<std::string> read(const DocumentKey& key, const DocumentRef& ref) const;
  // As read() for each of them, in their order; cheaper than so many reads. Null where gc has dropped it. With `keep` what was read
  // is kept in memory for a while, in place of others that were asked for longer ago (StoreOptions::content_cache_bytes
  // bounds them all): for contents that are likely to be asked for again soon. Holds them all at once. Errors: kCorrupt.
  Result<std::vector<ContentPointer>> read_all(std::span<const ContentPlace> places, bool keep) const;
  // Cost: O(log n + limit).
  Result<EntryPage> list(const ListQuery& query) const;
  // Every entry in key order until `visit` returns false. Cost: O(log n + visited); memory: one node a level.
  Status for_each(std::string_view prefix, const std::function<bool(const Entry&)>& visit) const;
  // What must change in this view to reach `to`. Cost: O(changes · log n): shared subtrees are skipped by hash.
  Result<ChangePage> diff(const View& to, const DiffQuery& query = {}) const;

 private:
  std::shared_ptr<const ViewImpl> impl_;
};

}  // namespace st8::state
