// gc, in this order, so that nothing is taken from under anybody:
//
//  1. choose    which revisions stay: heads, checkpoints, pins, the newest of each branch.
//  2. mark      the others pruned, in the commit pipeline, which looks again at every branch and checkpoint: from its commit on nobody
//               resolves to them, and no later commit can build on them.
//  3. wait      for readers that began before the marks, and learn which revisions the others stand on (pins.h).
//  4. reach     walk the trees of all revisions that are not pruned, and of those that readers stand on.
//  5. sweep     bodies that were written up to the horizon and not reached. What is written meanwhile lies behind the horizon.
//
// A crash or a cancellation between any two steps leaves bodies that nobody reaches; the next run sweeps them.
#include <algorithm>
#include <chrono>
#include <limits>
#include <span>
#include <string>
#include <thread>
#include <unordered_set>
#include <utility>
#include <vector>

#include "maintenance/reach.h"
#include "pipeline/store_impl.h"
#include "query/chain.h"
#include "st8/state/failpoint.h"

namespace st8::state {
namespace {

using keyspace::NamespaceId;
using keyspace::Table;

// A writer beside waits for one step at most, so steps are small: so many marks or erases.
constexpr std::size_t kMarksPerCommit = 32;
constexpr std::size_t kErasesPerCommit = 64;
// A step of marks also looks at every branch and checkpoint: with many of them it marks more at once.
constexpr std::size_t kNamesPerMark = 8;

// Leaves the commit path to writers for a while after each step, as long as there are any.
class Pace {
 public:
  explicit Pace(const pipeline::StoreCore& core)
      : core_(core), commits_(core.commits.load(std::memory_order_relaxed)) {}

  // To be called between two steps. Steps of gc append no revision, so they are not counted.
  void rest() {
    const std::uint64_t commits = core_.commits.load(std::memory_order_relaxed);
    const bool others = commits != commits_;
    commits_ = commits;
    const auto now = std::chrono::steady_clock::now();
    if (others) std::this_thread::sleep_for(std::min<std::chrono::nanoseconds>((now - begin_) * kRest, kRestMax));
    begin_ = std::chrono::steady_clock::now();
  }

 private:
  static constexpr int kRest = 4;  // Times as long as the step took.
  static constexpr std::chrono::milliseconds kRestMax{20};

  const pipeline::StoreCore& core_;
  std::uint64_t commits_;
  std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
};

// Marks revisions pruned, unless a branch or a checkpoint has come to point there since they were chosen.
class PruneCommand final : public pipeline::Command {
 public:
  PruneCommand(const NamespaceName& ns, NamespaceId id, std::span<const query::RevisionPointer> revisions,
               const std::unordered_set<std::uint64_t>& pinned, const GcRequest& request, bool last,
               std::uint64_t pruned_before)
      : name_(ns),
        id_(id),
        revisions_(revisions),
        pinned_(pinned),
        request_(request),
        last_(last),
        pruned_before_(pruned_before) {}

  Status build(pipeline::Committer& committer) override {
    pruned = 0;
    names = 0;
    ST8_ASSIGN(pipeline::NamespaceDraft* const ns, committer.name_space(name_));
    if (!ns->exists() || ns->id() != id_) return {};  // Deleted meanwhile: its ranges are garbage.
    std::unordered_set<std::uint64_t> named;
    ST8_ASSIGN(const auto branches, committer.all_branches(*ns));
    for (const auto& [name, branch] : branches) named.insert(branch.head.value);
    ST8_ASSIGN(const auto checkpoints, committer.all_checkpoints(*ns));
    for (const auto& [name, checkpoint] : checkpoints) named.insert(checkpoint.revision.value);
    names = branches.size() + checkpoints.size();
    // From here on nothing fails.
    for (const query::RevisionPointer& revision : revisions_) {
      const std::uint64_t number = revision->revision.number.value;
      if (named.count(number) > 0 || pinned_.count(number) > 0) continue;
      committer.mark_pruned(*ns, *revision);
      ++pruned;
    }
    if (last_ && pruned_before_ + pruned > 0) {
      Operation operation;
      operation.kind = OperationKind::kGc;
      operation.name = request_.branch ? request_.branch->str() : std::string();
      operation.actor = request_.actor;
      operation.request_id = request_.request_id;
      operation.detail = "keep=" + std::to_string(request_.keep) + " pruned=" + std::to_string(pruned_before_ + pruned);
      operation.at = committer.now();
      committer.add_operation(*ns, std::move(operation));
    }
    return {};
  }
  std::size_t bytes() const override { return revisions_.size() * 256; }

  std::uint64_t pruned = 0;
  std::size_t names = 0;  // That were looked at.

 private:
  const NamespaceName& name_;
  const NamespaceId id_;
  const std::span<const query::RevisionPointer>
      revisions_;  // Only gc changes a revision's record, and it runs once at a time.
  const std::unordered_set<std::uint64_t>& pinned_;
  const GcRequest& request_;
  const bool last_;
  const std::uint64_t pruned_before_;
};

// One namespace's run.
class NamespaceGc {
 public:
  NamespaceGc(pipeline::StoreCore& core, const std::function<Status(pipeline::Command&)>& submit,
              const GcRequest& request, const NamespaceName& name, const pipeline::NamespacePointer& entry,
              GcReport& report)
      : core_(core),
        submit_(submit),
        request_(request),
        name_(name),
        entry_(entry),
        lookup_(core, entry),
        report_(report) {}

  Status run() {
    ST8_TRY(choose());
    if (cancelled()) return {};
    if (!request_.dry_run) {
      ST8_TRY(mark());
      if (cancelled()) return {};
      ST8_FAILPOINT("gc.after_mark");
    }
    return sweep();
  }

 private:
  bool cancelled() {
    if (request_.cancelled && request_.cancelled()) report_.cancelled = true;
    return report_.cancelled;
  }

  Status choose() {
    std::unordered_set<std::uint64_t> kept;
    for (const auto& [ns, revision] : request_.pinned) {
      if (ns == name_) pinned_.insert(revision.value);
    }
    kept = pinned_;
    ST8_TRY(each_record(Table::kCheckpoint, [&](std::string_view, std::string_view value) -> Status {
      ST8_ASSIGN(const codec::CheckpointRecord checkpoint, codec::decode_checkpoint(value));
      kept.insert(checkpoint.revision.value);
      return {};
    }));
    ST8_TRY(each_record(Table::kBranch, [&](std::string_view, std::string_view value) -> Status {
      ST8_ASSIGN(const codec::BranchRecord branch, codec::decode_branch(value));
      ST8_ASSIGN(query::RevisionPointer at, lookup_.revision(branch.head));
      for (std::size_t n = 0; n < request_.keep && at != nullptr && !at->revision.number.is_root(); ++n) {
        kept.insert(at->revision.number.value);
        ST8_ASSIGN(at, query::parent_of(lookup_, at));
      }
      return {};
    }));
    return each_record(Table::kRevision, [&](std::string_view key, std::string_view value) -> Status {
      const RevisionNumber number{keyspace::read_u64(key)};
      ST8_ASSIGN(const codec::RevisionRecord record, codec::decode_revision(value, number));
      horizon_ = std::max(horizon_, number.value);
      if (record.revision.pruned) return {};
      const bool in_scope = !request_.branch || record.revision.branch == request_.branch->str();
      if (in_scope && kept.count(number.value) == 0) {
        candidates_.push_back(number);
      } else {
        ++report_.revisions_kept;
      }
      return {};
    });
  }

  Status mark() {
    // Read here, not in the pipeline, where writers would wait for it; and past the cache, which old revisions are not worth.
    const query::EngineLookup stored(*core_.engine, entry_->id);
    const std::span<const RevisionNumber> all(candidates_);
    std::uint64_t pruned = 0;
    std::size_t step = kMarksPerCommit;
    Pace pace(core_);
    for (std::size_t first = 0; first < all.size() && !cancelled();) {
      const auto numbers = all.subspan(first, std::min(step, all.size() - first));
      first += numbers.size();
      std::vector<query::RevisionPointer> some;
      for (const RevisionNumber number : numbers) {
        ST8_ASSIGN(query::RevisionPointer revision, stored.revision(number));
        if (revision != nullptr && !revision->revision.pruned) some.push_back(std::move(revision));
      }
      PruneCommand command(name_, entry_->id, some, pinned_, request_, first == all.size(), pruned);
      ST8_TRY(submit_(command));
      pruned += command.pruned;
      report_.revisions_kept += numbers.size() - command.pruned;
      step = std::max(kMarksPerCommit, command.names / kNamesPerMark);
      pace.rest();
    }
    report_.revisions_pruned += pruned;
    return {};
  }

  Status sweep() {
    // The walk has a cache of its own: old trees are not worth the room of what readers use.
    tree::NodeCache cache(8u << 20);
    const tree::StoredNodes nodes(*core_.engine, cache, entry_->id);
    maintenance::Reach reach(nodes, entry_->id);
    std::unordered_set<std::uint64_t> going;  // What a real run would have marked by now.
    if (request_.dry_run) {
      for (const RevisionNumber number : candidates_) going.insert(number.value);
      report_.revisions_pruned += candidates_.size();
    }

    if (!request_.dry_run) {
      const auto standing = core_.pins.collect(request_.cancelled);
      if (!standing) {
        report_.cancelled = true;
        return {};
      }
      for (const pipeline::PinnedRevision& pin : *standing) {
        if (pin.ns != entry_->id) continue;
        ST8_ASSIGN(const query::RevisionPointer revision, lookup_.revision(pin.revision));
        if (revision != nullptr) ST8_TRY(reach.add(revision->revision.tree));
      }
    }
    std::unordered_set<std::uint64_t> unpruned;
    ST8_TRY(each_record(Table::kRevision, [&](std::string_view key, std::string_view value) -> Status {
      const RevisionNumber number{keyspace::read_u64(key)};
      ST8_ASSIGN(const codec::RevisionRecord record, codec::decode_revision(value, number));
      if (record.revision.pruned || going.count(number.value) > 0) return {};
      unpruned.insert(number.value);
      return reach.add(record.revision.tree);
    }));
    if (report_.cancelled) return {};
    reach.bodies().seal();
    ST8_TRY(sweep_table(
        Table::kNode,
        [&](std::string_view key, std::string_view, std::uint64_t) { return !reach.bodies().contains(key); },
        report_.nodes_deleted));
    ST8_TRY(sweep_table(
        Table::kBlob,
        [&](std::string_view key, std::string_view value, std::uint64_t written_at) {
          // That a revision deleted a key is part of the key's history for as long as the revision is.
          if (!value.empty() && value.front() == pipeline::kBlobDeleted) return unpruned.count(written_at) == 0;
          return !reach.bodies().contains(key);
        },
        report_.blobs_deleted));
    return {};
  }

  template <class IsDead>
  Status sweep_table(Table table, const IsDead& is_dead, std::uint64_t& deleted) {
    const KeyRange range = KeyRange::prefix(keyspace::table_key(table, entry_->id));
    Batch batch;
    batch.set_frees_space(true);
    Pace pace(core_);
    const auto flush = [&]() -> Status {
      if (batch.empty()) return {};
      ST8_FAILPOINT("gc.before_erase");
      ST8_TRY(core_.engine->commit(batch, {}, Durability::kBuffered));
      batch.clear();
      batch.set_frees_space(true);
      pace.rest();
      return {};
    };
    const auto cursor = core_.engine->scan(range);
    for (; cursor->valid(); cursor->next()) {
      const std::string_view key = cursor->key();
      if (key.size() < 13) continue;  // Not a body's key; fsck names it.
      const std::uint64_t written_at = keyspace::read_u64(key.substr(key.size() - 8));
      if (written_at > horizon_ || !is_dead(key, cursor->value(), written_at)) continue;
      ++deleted;
      report_.bytes_deleted += key.size() + cursor->value().size();
      if (request_.dry_run) continue;
      batch.erase(std::string(key));
      if (batch.writes().size() >= kErasesPerCommit) {
        ST8_TRY(flush());
        if (cancelled()) return {};
      }
    }
    ST8_TRY(cursor->status());
    return flush();
  }

  // Each record of a table of this namespace: its key behind the table and the namespace, and its value.
  template <class Visit>
  Status each_record(Table table, const Visit& visit) {
    const auto cursor = core_.engine->scan(KeyRange::prefix(keyspace::table_key(table, entry_->id)));
    for (; cursor->valid(); cursor->next()) {
      std::string_view key = cursor->key();
      key.remove_prefix(5);
      if (table == Table::kRevision && key.size() != 8)
        return fail(ErrorCode::kCorrupt, "a key of the revision table is malformed", "Run `st8d fsck`.");
      ST8_TRY(visit(key, cursor->value()));
      if (cancelled()) return {};
    }
    return cursor->status();
  }

  pipeline::StoreCore& core_;
  const std::function<Status(pipeline::Command&)>& submit_;
  const GcRequest& request_;
  const NamespaceName& name_;
  const pipeline::NamespacePointer& entry_;
  const pipeline::ReaderLookup lookup_;
  GcReport& report_;

  std::unordered_set<std::uint64_t> pinned_;
  std::vector<RevisionNumber> candidates_;
  std::uint64_t horizon_ = 0;  // The newest revision when the run began.
};

// Ranges of namespaces that were deleted. Those that a reader still stands in wait for the next run.
// `reclaimed` is told what was swept.
Status sweep_deleted_namespaces(pipeline::StoreCore& core, const GcRequest& request, GcReport& report,
                                std::vector<KeyRange>& reclaimed) {
  const auto standing = core.pins.collect(request.cancelled);
  if (!standing) {
    report.cancelled = true;
    return {};
  }
  std::vector<NamespaceId> gone;
  const auto cursor = core.engine->scan(KeyRange::prefix(std::string(1, static_cast<char>(Table::kGarbage))));
  for (; cursor->valid(); cursor->next()) {
    const std::string_view key = cursor->key();
    if (key.size() != 5)
      return fail(ErrorCode::kCorrupt, "a key of the garbage table is malformed", "Run `st8d fsck`.");
    NamespaceId ns;
    for (std::size_t i = 1; i < 5; ++i) ns.value = ns.value << 8 | static_cast<unsigned char>(key[i]);
    const bool in_use = std::any_of(standing->begin(), standing->end(), [&](const auto& pin) { return pin.ns == ns; });
    if (!in_use) gone.push_back(ns);
  }
  ST8_TRY(cursor->status());
  Pace pace(core);
  for (const NamespaceId ns : gone) {
    for (const Table table :
         {Table::kCounters, Table::kBranch, Table::kCheckpoint, Table::kRevision, Table::kRevisionByHash,
          Table::kOperation, Table::kIdempotency, Table::kNode, Table::kBlob}) {
      const KeyRange range = KeyRange::prefix(keyspace::table_key(table, ns));
      const auto dead = core.engine->scan(range);
      Batch batch;
      batch.set_frees_space(true);
      std::uint64_t erased = 0;
      const auto flush = [&]() -> Status {
        if (batch.empty()) return {};
        ST8_TRY(core.engine->commit(batch, {}, Durability::kBuffered));
        batch.clear();
        batch.set_frees_space(true);
        pace.rest();
        return {};
      };
      for (; dead->valid(); dead->next()) {
        ++erased;
        report.bytes_deleted += dead->key().size() + dead->value().size();
        if (table == Table::kNode) ++report.nodes_deleted;
        if (table == Table::kBlob) ++report.blobs_deleted;
        if (request.dry_run) continue;
        batch.erase(std::string(dead->key()));
        if (batch.writes().size() < kErasesPerCommit) continue;
        ST8_TRY(flush());
        if (request.cancelled && request.cancelled()) {
          report.cancelled = true;
          return {};
        }
      }
      ST8_TRY(dead->status());
      ST8_TRY(flush());
      if (erased > 0) reclaimed.push_back(range);
    }
    if (request.dry_run) continue;
    Batch last;
    last.set_frees_space(true);
    last.erase(keyspace::table_key(Table::kGarbage, ns));
    ST8_TRY(core.engine->commit(last, {}, Durability::kBuffered));
  }
  return {};
}

}  // namespace

Result<GcReport> Store::gc(const GcRequest& request) {
  if (request.keep == 0)
    return fail(ErrorCode::kInvalidArgument, "gc must keep at least 1 revision of each branch",
                "give keep as 1 or more");
  // Two runs at once would do the same work twice and trip over each other's erases.
  const std::unique_lock running(impl_->gc_running, std::try_to_lock);
  if (!running.owns_lock()) return fail(ErrorCode::kConflict, "gc is running already", "wait for it to end");
  GcReport report;
  report.dry_run = request.dry_run;
  report.disk_bytes_before = impl_->core.engine->stats().disk_bytes;
  std::vector<NamespaceName> names = request.namespaces;
  if (names.empty()) {
    std::string after;
    while (true) {
      ST8_ASSIGN(const std::vector<NamespaceInfo> page, namespaces(after, 1000));
      for (const NamespaceInfo& info : page) names.push_back(info.name);
      if (page.size() < 1000) break;
      after = names.back().str();
    }
  }
  std::vector<NamespaceId> swept;
  const std::function<Status(pipeline::Command&)> submit = [this](pipeline::Command& command) {
    return impl_->submit(command);
  };
  for (const NamespaceName& name : names) {
    ST8_ASSIGN(const pipeline::NamespacePointer entry, impl_->core.find_namespace(name.view()));
    if (entry == nullptr) {
      if (request.namespaces.empty()) continue;  // Deleted since it was listed.
      return fail(ErrorCode::kNotFound, "there is no namespace " + name.str(), "`st8ctl namespace list` lists them");
    }
    ST8_TRY(NamespaceGc(impl_->core, submit, request, name, entry, report).run());
    swept.push_back(entry->id);
    if (report.cancelled) break;
  }
  std::vector<KeyRange> reclaimed;
  if (!report.cancelled) ST8_TRY(sweep_deleted_namespaces(impl_->core, request, report, reclaimed));
  if (!report.cancelled && !request.dry_run) {
    // Once for all, now that no cursor stands on what was there before.
    if (request.namespaces.empty()) {
      reclaimed.clear();
    } else {
      for (const NamespaceId id : swept) {
        for (const Table table : {Table::kRevision, Table::kNode, Table::kBlob})
          reclaimed.push_back(KeyRange::prefix(keyspace::table_key(table, id)));
      }
    }
    ST8_TRY(impl_->core.engine->reclaim(reclaimed));
  }
  report.disk_bytes_after = impl_->core.engine->stats().disk_bytes;
  return report;
}

}  // namespace st8::state
