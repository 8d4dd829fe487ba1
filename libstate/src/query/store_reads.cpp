// The reads of Store: resolve, views, log, listings.
#include <algorithm>

#include "pipeline/store_impl.h"
#include "query/chain.h"
#include "query/key_history.h"
#include "query/resolve.h"
#include "query/view_impl.h"
#include "st8/state/text.h"

namespace st8::state {

using keyspace::Table;
using pipeline::Pin;
using pipeline::ReaderLookup;
using query::RevisionPointer;

namespace {

constexpr std::size_t kLogPageMax = 1000;
// A filter that matches nothing must not walk a whole history in one request: the page then ends early, with a cursor.
constexpr std::size_t kLogScanMax = 20'000;
constexpr std::size_t kListPageMax = 100'000;

Status check_limit(std::size_t limit, std::size_t most) {
  if (limit >= 1 && limit <= most) return {};
  return fail(ErrorCode::kInvalidArgument,
              "the limit is " + std::to_string(limit) + "; 1 to " + std::to_string(most) + " are allowed",
              "Read page by page.");
}

tl::unexpected<Error> no_such_namespace(const NamespaceName& ns) {
  return fail(ErrorCode::kNotFound, "there is no namespace " + quote(ns.view()),
              "`st8ctl namespace list` lists them; the first write makes one.");
}

bool matches(const Revision& revision, const LogQuery& query) {
  if (!query.author.empty() && revision.author != query.author) return false;
  if (!query.message_contains.empty() && revision.message.find(query.message_contains) == std::string::npos)
    return false;
  if (query.since && revision.created_at < *query.since) return false;
  if (query.until && revision.created_at > *query.until) return false;
  return !query.cause || revision.cause == *query.cause;
}

// Where a page begins: `from`, or behind the last one of the page before, and not younger than `until`.
Result<RevisionPointer> first_of_page(const ReaderLookup& lookup, RevisionPointer from,
                                      std::optional<RevisionNumber> after, std::optional<Timestamp> until) {
  if (after) {
    ST8_ASSIGN(const RevisionPointer last, lookup.revision(*after));
    bool on_chain = false;
    if (last != nullptr) {
      ST8_ASSIGN(on_chain, query::is_on_chain(lookup, last, from));
    }
    if (!on_chain) {
      return fail(ErrorCode::kInvalidArgument,
                  "revision " + std::to_string(after->value) + " is not on the history of revision " +
                      std::to_string(from->revision.number.value),
                  "Pass `after` as the page before gave it.");
    }
    ST8_ASSIGN(from, query::parent_of(lookup, last));
  }
  if (until) {
    ST8_ASSIGN(from, query::newest_at(lookup, std::move(from), *until));
  }
  return from;
}

}  // namespace

Result<ReaderLookup> Store::Impl::lookup(const NamespaceName& ns) {
  ST8_ASSIGN(pipeline::NamespacePointer entry, core.find_namespace(ns.view()));
  return ReaderLookup(core, std::move(entry));
}

Result<View> Store::Impl::view(const NamespaceName& ns, const ReaderLookup& lookup, const RevisionPointer& revision,
                               Pin pin) {
  if (revision->revision.pruned) return query::pruned(revision->revision.number);
  return View(std::make_shared<const ViewImpl>(core, ns, lookup.id(), revision->revision.number,
                                               revision->revision.tree, std::move(pin)));
}

Result<Revision> Store::resolve(const NamespaceName& ns, const BranchName& branch, const Selector& selector) const {
  ST8_ASSIGN(const ReaderLookup lookup, impl_->lookup(ns));
  ST8_ASSIGN(const RevisionPointer revision, query::resolve(lookup, branch.view(), selector));
  return revision->revision;
}

Result<View> Store::view(const NamespaceName& ns, const BranchName& branch, const Selector& selector) const {
  Pin pin = impl_->core.pins.enter();
  ST8_ASSIGN(const ReaderLookup lookup, impl_->lookup(ns));
  ST8_ASSIGN(const RevisionPointer revision, query::resolve(lookup, branch.view(), selector));
  return impl_->view(ns, lookup, revision, std::move(pin));
}

Result<View> Store::view(const NamespaceName& ns, RevisionNumber number) const {
  Pin pin = impl_->core.pins.enter();
  ST8_ASSIGN(const ReaderLookup lookup, impl_->lookup(ns));
  ST8_ASSIGN(const RevisionPointer revision, lookup.revision(number));
  if (revision == nullptr) return query::no_such_revision(number);
  return impl_->view(ns, lookup, revision, std::move(pin));
}

Result<Revision> Store::revision(const NamespaceName& ns, RevisionNumber number) const {
  ST8_ASSIGN(const ReaderLookup lookup, impl_->lookup(ns));
  ST8_ASSIGN(const RevisionPointer revision, lookup.revision(number));
  if (revision == nullptr) return query::no_such_revision(number);
  return revision->revision;
}

Result<ChangePage> Store::changes(const NamespaceName& ns, RevisionNumber number, const DiffQuery& query) const {
  ST8_ASSIGN(const Revision found, revision(ns, number));
  ST8_ASSIGN(const View to, view(ns, number));
  ST8_ASSIGN(const View from, view(ns, found.parent()));
  return from.diff(to, query);
}

Result<LogPage> Store::log(const NamespaceName& ns, const BranchName& branch, const LogQuery& query) const {
  ST8_TRY(check_limit(query.limit, kLogPageMax));
  ST8_ASSIGN(const ReaderLookup lookup, impl_->lookup(ns));
  ST8_ASSIGN(RevisionPointer at, query::resolve(lookup, branch.view(), query.from));
  ST8_ASSIGN(at, first_of_page(lookup, std::move(at), query.after, query.until));

  LogPage page;
  RevisionNumber last = query.after.value_or(RevisionNumber{});
  // True when `revision` ends the page: it is full, enough was looked at, or all that follows is too old.
  std::size_t scanned = 0;
  const auto take = [&](const RevisionPointer& revision) {
    if (page.revisions.size() == query.limit || scanned == kLogScanMax) {
      page.next = last;
      return true;
    }
    if (query.since && revision->revision.created_at < *query.since) return true;
    if (matches(revision->revision, query)) page.revisions.push_back(revision->revision);
    last = revision->revision.number;
    ++scanned;
    return false;
  };

  if (query.key) {
    query::KeyHistory history(impl_->core, lookup, *query.key, at);
    while (true) {
      ST8_ASSIGN(const std::optional<query::KeyHistory::Item> item, history.next());
      if (!item || take(item->revision)) break;
    }
    return page;
  }
  while (at->depth > 0 && !take(at)) {
    ST8_ASSIGN(at, query::parent_of(lookup, at));
  }
  return page;
}

Result<KeyHistoryPage> Store::key_history(const NamespaceName& ns, const BranchName& branch, const DocumentKey& key,
                                          std::optional<RevisionNumber> after, std::size_t limit) const {
  ST8_TRY(check_limit(limit, kLogPageMax));
  ST8_ASSIGN(const ReaderLookup lookup, impl_->lookup(ns));
  ST8_ASSIGN(RevisionPointer from, query::head_of(lookup, branch.view()));
  ST8_ASSIGN(from, first_of_page(lookup, std::move(from), after, std::nullopt));
  KeyHistoryPage page;
  query::KeyHistory history(impl_->core, lookup, key, from);
  while (true) {
    ST8_ASSIGN(std::optional<query::KeyHistory::Item> item, history.next());
    if (!item) break;
    if (page.versions.size() == limit) {
      page.next = page.versions.back().revision.number;
      break;
    }
    page.versions.push_back({item->revision->revision, std::move(item->change)});
  }
  return page;
}

Result<bool> Store::is_ancestor(const NamespaceName& ns, RevisionNumber ancestor, RevisionNumber descendant) const {
  ST8_ASSIGN(const ReaderLookup lookup, impl_->lookup(ns));
  ST8_ASSIGN(const RevisionPointer above, lookup.revision(ancestor));
  if (above == nullptr) return query::no_such_revision(ancestor);
  ST8_ASSIGN(const RevisionPointer below, lookup.revision(descendant));
  if (below == nullptr) return query::no_such_revision(descendant);
  return query::is_on_chain(lookup, above, below);
}

Result<BranchInfo> Store::branch(const NamespaceName& ns, const BranchName& name) const {
  ST8_ASSIGN(const ReaderLookup lookup, impl_->lookup(ns));
  ST8_ASSIGN(const query::BranchPointer state, lookup.branch(name.view()));
  if (state == nullptr) return query::no_such_branch(lookup, name.view());
  return pipeline::to_info(name, state->record);
}

Result<CheckpointInfo> Store::checkpoint(const NamespaceName& ns, const CheckpointName& name) const {
  ST8_ASSIGN(const ReaderLookup lookup, impl_->lookup(ns));
  ST8_ASSIGN(const auto record, lookup.checkpoint(name.view()));
  if (!record) return query::no_such_checkpoint(lookup, name.view());
  return pipeline::to_info(name, *record);
}

namespace {

// Walks the records of a table with a name behind `after`, until `take` returns false or the limit is reached.
template <class Take>
Status list_names(const Engine& engine, std::string prefix, std::string_view after, std::size_t limit,
                  const Take& take) {
  ST8_TRY(check_limit(limit, kListPageMax));
  KeyRange range = KeyRange::prefix(prefix);
  if (!after.empty()) range.begin = (prefix + std::string(after)).append(1, '\0');
  const auto cursor = engine.scan(std::move(range));
  for (std::size_t taken = 0; cursor->valid() && taken < limit; cursor->next(), ++taken) {
    ST8_TRY(take(cursor->key().substr(prefix.size()), cursor->value()));
  }
  return cursor->status();
}

}  // namespace

Result<std::vector<BranchInfo>> Store::branches(const NamespaceName& ns, std::string_view after,
                                                std::size_t limit) const {
  ST8_ASSIGN(const ReaderLookup lookup, impl_->lookup(ns));
  std::vector<BranchInfo> branches;
  if (lookup.entry() == nullptr) return branches;
  const auto take = [&](std::string_view name, std::string_view value) -> Status {
    ST8_ASSIGN(const BranchName parsed, BranchName::parse(name));
    ST8_ASSIGN(const codec::BranchRecord record, codec::decode_branch(value));
    branches.push_back(pipeline::to_info(parsed, record));
    return {};
  };
  ST8_TRY(list_names(*impl_->core.engine, keyspace::table_key(Table::kBranch, lookup.id()), after, limit, take));
  return branches;
}

Result<std::vector<CheckpointInfo>> Store::checkpoints(const NamespaceName& ns, std::string_view after,
                                                       std::size_t limit) const {
  ST8_ASSIGN(const ReaderLookup lookup, impl_->lookup(ns));
  std::vector<CheckpointInfo> checkpoints;
  if (lookup.entry() == nullptr) return checkpoints;
  const auto take = [&](std::string_view name, std::string_view value) -> Status {
    ST8_ASSIGN(const CheckpointName parsed, CheckpointName::parse(name));
    ST8_ASSIGN(const codec::CheckpointRecord record, codec::decode_checkpoint(value));
    checkpoints.push_back(pipeline::to_info(parsed, record));
    return {};
  };
  ST8_TRY(list_names(*impl_->core.engine, keyspace::table_key(Table::kCheckpoint, lookup.id()), after, limit, take));
  return checkpoints;
}

namespace {

Result<NamespaceInfo> namespace_info(const Engine& engine, const NamespaceName& name,
                                     const pipeline::NamespaceEntry& entry) {
  ST8_ASSIGN(const std::optional<std::string> bytes, engine.get(keyspace::table_key(Table::kCounters, entry.id)));
  if (!bytes) return no_such_namespace(name);  // Deleted and swept meanwhile.
  ST8_ASSIGN(const codec::Counters counters, codec::decode_counters(*bytes));
  return pipeline::to_info(name, entry, counters);
}

}  // namespace

Result<NamespaceInfo> Store::name_space(const NamespaceName& name) const {
  ST8_ASSIGN(const pipeline::NamespacePointer entry, impl_->core.find_namespace(name.view()));
  if (entry == nullptr) return no_such_namespace(name);
  return namespace_info(*impl_->core.engine, name, *entry);
}

Result<std::vector<NamespaceInfo>> Store::namespaces(std::string_view after, std::size_t limit) const {
  std::vector<NamespaceInfo> namespaces;
  const auto take = [&](std::string_view name, std::string_view value) -> Status {
    ST8_ASSIGN(const NamespaceName parsed, NamespaceName::parse(name));
    ST8_ASSIGN(const codec::NamespaceRecord record, codec::decode_namespace(value));
    auto info = namespace_info(*impl_->core.engine, parsed, {record.id, parsed.str(), record.created_at});
    if (!info && info.error().code == ErrorCode::kNotFound) return {};
    ST8_TRY(info);
    namespaces.push_back(std::move(*info));
    return {};
  };
  ST8_TRY(list_names(*impl_->core.engine, std::string(1, static_cast<char>(Table::kNamespace)), after, limit, take));
  return namespaces;
}

Result<std::vector<Operation>> Store::operations(const NamespaceName& ns, std::uint64_t after,
                                                 std::size_t limit) const {
  ST8_TRY(check_limit(limit, kListPageMax));
  ST8_ASSIGN(const ReaderLookup lookup, impl_->lookup(ns));
  std::vector<Operation> operations;
  if (lookup.entry() == nullptr || after == UINT64_MAX) return operations;
  // A group's operations lie under its last one's number, so the first record at or behind after + 1 holds that one.
  const std::string table = keyspace::table_key(Table::kOperation, lookup.id());
  KeyRange range = KeyRange::prefix(table);
  range.begin = keyspace::numbered_key(Table::kOperation, lookup.id(), after + 1);
  const auto cursor = impl_->core.engine->scan(std::move(range));
  for (; cursor->valid() && operations.size() < limit; cursor->next()) {
    const std::string_view number = cursor->key().substr(table.size());
    if (number.size() != 8)
      return fail(ErrorCode::kCorrupt, "a key of the operation log is malformed", "Run `st8d fsck`.");
    ST8_ASSIGN(std::vector<Operation> group, codec::decode_operations(cursor->value(), keyspace::read_u64(number)));
    for (Operation& operation : group) {
      if (operation.sequence > after && operations.size() < limit) operations.push_back(std::move(operation));
    }
  }
  ST8_TRY(cursor->status());
  return operations;
}

}  // namespace st8::state
