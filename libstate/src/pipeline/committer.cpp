#include "pipeline/committer.h"

#include <algorithm>

#include "query/chain.h"
#include "st8/state/failpoint.h"
#include "st8/state/text.h"

namespace st8::state::pipeline {

using keyspace::Table;

namespace {

// Bounds what stays loaded between groups; speed only.
constexpr std::size_t kNamespacesLoadedMax = 2048;
constexpr std::size_t kBranchesLoadedMax = 8192;
constexpr std::uint64_t kForgetEveryGroups = 64;
// Expired answers are looked for this often, and at most so many go with one group.
constexpr std::int64_t kExpirySweepEveryUs = 1'000'000;
constexpr std::size_t kExpirySweepMax = 64;

std::string namespace_key(std::string_view name) { return std::string(1, static_cast<char>(Table::kNamespace)).append(name); }
std::string meta_key(std::string_view name) { return std::string(1, static_cast<char>(Table::kMeta)).append(name); }

}  // namespace

// The group's names and revisions before those that are stored.
class Committer::PendingLookup final : public query::EngineLookup {
 public:
  PendingLookup(Committer& committer, NamespaceDraft& ns)
      : EngineLookup(*committer.core_.engine, ns.id()), committer_(committer), draft_(ns) {}

  Result<BranchPointer> branch(std::string_view name) const override {
    ST8_ASSIGN(const BranchDraft* draft, committer_.branch(draft_, name));
    return draft->state;
  }
  Result<std::optional<codec::CheckpointRecord>> checkpoint(std::string_view name) const override {
    std::optional<codec::CheckpointRecord> found;
    if (!draft_.exists()) return found;
    ST8_ASSIGN(const std::optional<std::string> bytes, committer_.get(keyspace::named_key(Table::kCheckpoint, ns_, name)));
    if (bytes) {
      ST8_ASSIGN(found, codec::decode_checkpoint(*bytes));
    }
    return found;
  }
  Result<RevisionPointer> revision(RevisionNumber number) const override {
    if (number.is_root()) return query::empty_revision();
    if (!draft_.exists() || number.value > draft_.counters.last_revision) return RevisionPointer{};
    if (number.value > draft_.revisions_before) return draft_.new_revisions[number.value - draft_.revisions_before - 1];
    for (const auto& [id, record] : committer_.pruned_) {
      if (id == RevisionId{ns_, number}) return record;
    }
    return committer_.core_.find_revision(ns_, number);
  }
  Result<std::vector<RevisionPointer>> by_hash_prefix(std::string_view hex, std::size_t limit) const override {
    ST8_ASSIGN(std::vector<RevisionPointer> found, EngineLookup::by_hash_prefix(hex, limit));
    for (const RevisionPointer& record : draft_.new_revisions) {
      if (found.size() < limit && record->revision.hash.hex().starts_with(hex)) found.push_back(record);
    }
    return found;
  }

 private:
  Committer& committer_;
  NamespaceDraft& draft_;
};

std::unique_ptr<query::Lookup> Committer::lookup(NamespaceDraft& ns) { return std::make_unique<PendingLookup>(*this, ns); }

tree::UncommittedNodes& Committer::nodes(NamespaceDraft& ns) {
  // A namespace that does not exist gets the next number if this command makes it; the nodes' keys need it before.
  const keyspace::NamespaceId id = ns.exists() ? ns.id() : keyspace::NamespaceId{*next_namespace_};
  if (ns.nodes == nullptr || ns.nodes_id != id) {
    ns.nodes.reset();
    ns.stored_nodes = std::make_unique<tree::StoredNodes>(*core_.engine, core_.nodes, id);
    ns.nodes = std::make_unique<tree::UncommittedNodes>(*ns.stored_nodes, id);
    ns.nodes_id = id;
  }
  return *ns.nodes;
}

// The group -------------------------------------------------------------------------------------------------------------

void Committer::commit_group(std::span<Command* const> commands) {
  begin_group();
  const auto build = [&]() -> Status {
    ST8_FAILPOINT("commit.before_build");
    for (Command* command : commands) command->status = command->build(*this);
    return {};
  };
  Status status = build();
  if (status) status = write_group();
  if (!status) {
    for (Command* command : commands) command->status = status;
    forget_all();
  }
  ST8_FAILPOINT_VOID("commit.before_acknowledge");
}

void Committer::begin_group() {
  ++group_;
  batch_.clear();
  expectations_.clear();
  used_.clear();
  deleted_.clear();
  pending_.clear();
  pruned_.clear();
  answers_.entries.clear();
  made_namespace_ = false;
  new_commits_ = new_nodes_ = new_node_bytes_ = 0;
  forget_idle();
}

void Committer::forget_all() {
  begin_group();
  namespaces_.clear();
  next_namespace_.reset();
}

void Committer::forget_idle() {
  if (group_ % kForgetEveryGroups != 0) return;
  std::size_t branches = 0;
  for (const auto& [name, draft] : namespaces_) branches += draft->branches.size();
  if (namespaces_.size() <= kNamespacesLoadedMax && branches <= kBranchesLoadedMax) return;
  // Half of them at once, the longest unused first, so that this is rare.
  std::vector<std::uint64_t> used;
  used.reserve(namespaces_.size());
  for (const auto& [name, draft] : namespaces_) used.push_back(draft->last_used);
  const auto middle = used.begin() + static_cast<std::ptrdiff_t>(used.size() / 2);
  std::nth_element(used.begin(), middle, used.end());
  const std::uint64_t newest_dropped = *middle;
  std::erase_if(namespaces_, [&](const auto& item) {
    return item.second->last_used <= newest_dropped || item.second->branches.size() > kBranchesLoadedMax / 2;
  });
}

Status Committer::write_group() {
  if (!core_.writable.load(std::memory_order_relaxed)) {
    return fail(ErrorCode::kUnavailable, "the store takes no writes since a write whose outcome is unknown",
                "Restart st8d: it finds out on opening what was written.");
  }
  // Branch pointers and counters once a group, whatever number of commits moved them.
  const auto stage_pointers = [this](NamespaceDraft& ns) {
    const keyspace::NamespaceId id = ns.id();
    for (auto& [name, branch] : ns.branches) {
      if (!branch.dirty) continue;
      std::string key = keyspace::named_key(Table::kBranch, id, name);
      if (branch.state == nullptr) {
        batch_.erase(std::move(key));
      } else {
        batch_.put(std::move(key), codec::encode(branch.state->record));
      }
    }
    if (!ns.operations.empty()) {
      batch_.put(keyspace::numbered_key(Table::kOperation, id, ns.counters.last_operation), codec::encode(ns.operations));
    }
    std::string counters_key = keyspace::table_key(Table::kCounters, id);
    expectations_.push_back({counters_key, ns.stored_counters});
    std::string counters = codec::encode(ns.counters);
    batch_.put(std::move(counters_key), counters);
    ns.stored_counters = std::move(counters);
    if (ns.nodes != nullptr) {
      new_nodes_ += ns.nodes->count();
      new_node_bytes_ += ns.nodes->body_bytes();
      ns.nodes->write_to(batch_);
    }
  };
  for (const auto& ns : deleted_) {
    if (ns->dirty) stage_pointers(*ns);
  }
  for (NamespaceDraft* ns : used_) {
    if (ns->dirty && ns->exists()) stage_pointers(*ns);
  }
  if (made_namespace_) {
    std::string value = codec::encode_meta_number(*next_namespace_);
    expectations_.push_back({meta_key("next_namespace"), stored_next_namespace_});
    batch_.put(meta_key("next_namespace"), value);
    stored_next_namespace_ = std::move(value);
  }
  if (batch_.empty()) return {};
  stage_idempotency_expiry();
  // gc and deletions must get through on a full disk; what stands in their group comes along, a few MiB at most.
  batch_.set_frees_space(!pruned_.empty() || !deleted_.empty());

  begin_publish();
  const auto write = [this]() -> Status {
    ST8_FAILPOINT("commit.before_write");
    return core_.engine->commit(batch_, expectations_, Durability::kSynced);
  };
  Status status = write();
  if (status) ST8_FAILPOINT_VOID("commit.after_write");
  end_publish(status.has_value());
  if (status) return status;
  if (status.error().code == ErrorCode::kOutcomeUnknown) core_.writable.store(false, std::memory_order_relaxed);
  if (status.error().code == ErrorCode::kPreconditionFailed) {
    // Nobody but us may write here; to the client this is not its own expectation.
    return fail(ErrorCode::kUnavailable, "another process has written to this store", "Make sure that one st8d alone uses the directory.");
  }
  return status;
}

void Committer::begin_publish() {
  if (!deleted_.empty()) core_.branches.begin_forget();
  for (const auto& ns : deleted_) core_.namespaces.begin_publish(ns->name.str());
  for (const NamespaceDraft* ns : used_) {
    if (ns->created) core_.namespaces.begin_publish(ns->name.str());
    for (const auto& [name, branch] : ns->branches) {
      if (branch.dirty) core_.branches.begin_publish(branch_cache_key(ns->name.view(), name));
    }
  }
  for (const auto& [id, record] : pruned_) core_.revisions.begin_publish(id);
}

void Committer::end_publish(bool committed) {
  if (committed) {
    for (NamespaceDraft* ns : used_) {
      if (ns->nodes != nullptr) ns->nodes->publish(core_.nodes);
    }
  }
  // Prune marks first: a reader that enters from here on must not resolve to what gc will take.
  for (auto& [id, record] : pruned_) core_.revisions.publish(id, committed ? std::move(record) : nullptr);
  // Names before branches: see ReaderLookup::branch().
  for (const auto& ns : deleted_) core_.namespaces.publish(ns->name.str(), nullptr);
  for (const NamespaceDraft* ns : used_) {
    if (ns->created) core_.namespaces.publish(ns->name.str(), committed ? ns->entry : nullptr);
  }
  if (!deleted_.empty()) {
    core_.branches.end_forget([&](const std::string& key) {
      return std::any_of(deleted_.begin(), deleted_.end(), [&](const auto& ns) {
        return key.size() > ns->name.str().size() && key.starts_with(ns->name.str()) && key[ns->name.str().size()] == '\0';
      });
    });
  }
  for (NamespaceDraft* ns : used_) {
    for (auto& [name, branch] : ns->branches) {
      if (!branch.dirty) continue;
      // After a failure the engine knows; after a success it is this.
      core_.branches.publish(branch_cache_key(ns->name.view(), name), committed ? branch.state : nullptr);
      branch.dirty = false;
    }
  }
  if (!committed) return;
  core_.commits.fetch_add(new_commits_, std::memory_order_relaxed);
  core_.commit_groups.fetch_add(1, std::memory_order_relaxed);
  core_.nodes_written.fetch_add(new_nodes_, std::memory_order_relaxed);
  core_.node_bytes_written.fetch_add(new_node_bytes_, std::memory_order_relaxed);
  for (const auto& ns : deleted_) notifier_.publish(ns->name, std::move(ns->operations));
  for (NamespaceDraft* ns : used_) {
    notifier_.publish(ns->name, std::move(ns->operations));
    ns->dirty = ns->created = false;
    ns->operations.clear();
    ns->new_revisions.clear();
    ns->revisions_before = ns->counters.last_revision;
  }
}

// Reads -----------------------------------------------------------------------------------------------------------------

Result<NamespaceDraft*> Committer::name_space(const NamespaceName& name) {
  auto& slot = namespaces_[name.str()];
  if (slot == nullptr) {
    auto draft = std::make_unique<NamespaceDraft>(name);
    const auto load = [&]() -> Status {
      ST8_ASSIGN(draft->entry, core_.find_namespace(name.view()));
      if (draft->entry == nullptr) return {};
      ST8_ASSIGN(draft->stored_counters, core_.engine->get(keyspace::table_key(Table::kCounters, draft->entry->id)));
      if (!draft->stored_counters) {
        return fail(ErrorCode::kCorrupt, "the counters of namespace " + quote(name.view()) + " are missing",
                    "Run `st8d fsck` to learn what else is damaged, then restore a backup.");
      }
      ST8_ASSIGN(draft->counters, codec::decode_counters(*draft->stored_counters));
      draft->revisions_before = draft->counters.last_revision;
      return {};
    };
    if (Status status = load(); !status) {
      namespaces_.erase(name.str());
      return fail(std::move(status).error());
    }
    slot = std::move(draft);
  }
  if (!slot->exists() && !next_namespace_) {
    // Read here, so that making the namespace cannot fail.
    ST8_ASSIGN(stored_next_namespace_, core_.engine->get(meta_key("next_namespace")));
    std::uint32_t next = 1;
    if (stored_next_namespace_) {
      ST8_ASSIGN(next, codec::decode_meta_number(*stored_next_namespace_));
    }
    next_namespace_ = next;
  }
  if (slot->last_used != group_) {
    slot->last_used = group_;
    used_.push_back(slot.get());
  }
  return slot.get();
}

Result<BranchDraft*> Committer::branch(NamespaceDraft& ns, std::string_view name) {
  const auto [position, inserted] = ns.branches.try_emplace(std::string(name));
  BranchDraft& draft = position->second;
  if (inserted && ns.exists() && !ns.created) {
    auto state = query::EngineLookup(*core_.engine, ns.id()).branch(name);
    if (!state) {
      ns.branches.erase(position);
      return fail(std::move(state).error());
    }
    draft.state = std::move(*state);
  }
  return &draft;
}

Status Committer::check_expected(const BranchName& name, const BranchDraft& branch, const WriteContext& context) const {
  if (!context.expected_revision) return {};
  const RevisionNumber head = head_of(branch)->revision.number;
  if (*context.expected_revision == head) return {};
  return fail(ErrorCode::kPreconditionFailed,
              context.expected_revision->is_root()
                  ? "branch " + name.str() + " was expected not to exist, and its head is revision " + std::to_string(head.value)
                  : "branch " + name.str() + " was expected at revision " + std::to_string(context.expected_revision->value) +
                        ", and its head is " + (head.is_root() ? "not yet written" : "revision " + std::to_string(head.value)),
              "Read the state again, then retry with the head that you have seen.");
}

Result<std::optional<codec::IdempotencyRecord>> Committer::find_answer(keyspace::NamespaceId ns, const WriteContext& context) {
  std::optional<codec::IdempotencyRecord> answer;
  if (!context.idempotency) return answer;
  ST8_ASSIGN(const std::optional<std::string> bytes,
             get(keyspace::named_key(Table::kIdempotency, ns, context.idempotency->key)));
  if (!bytes) return answer;
  ST8_ASSIGN(answer, codec::decode_idempotency(*bytes));
  if (answer->request != context.idempotency->request) {
    return fail(ErrorCode::kConflict, "the idempotency key " + quote(context.idempotency->key) + " was used for another request",
                "Use a new key for a new request; repeat a key only with the very same request.");
  }
  return answer;
}

Result<std::optional<std::string>> Committer::get(std::string_view engine_key) {
  if (!pending_.empty()) {
    const auto found = pending_.find(std::string(engine_key));
    if (found != pending_.end()) return found->second;
  }
  return core_.engine->get(engine_key);
}

Result<std::string> Committer::read_content(const NamespaceDraft& ns, std::string_view key, const DocumentRef& ref) {
  if (ref.written_at.value > ns.revisions_before) {
    // Seldom: a merge of what its own group wrote. Newest last.
    const std::string blob_key = keyspace::blob_key(ns.id(), key, ref.written_at);
    for (auto write = batch_.writes().rbegin(); write != batch_.writes().rend(); ++write) {
      if (write->key == blob_key && write->value) return open_blob(*write->value, key, ref);
    }
  }
  return core_.read_content(ns.id(), key, ref);
}

Status Committer::load_spine(NamespaceDraft& ns, BranchDraft& branch) {
  if (!branch.spine.empty()) return {};
  const auto found = lookup(ns);
  RevisionPointer at = head_of(branch);
  branch.spine.emplace_back(at->depth, at->revision.number);
  while (at->depth > 0) {
    const std::uint64_t depth = codec::jump_depth(at->depth);
    const RevisionNumber number = at->jump;
    ST8_ASSIGN(at, found->revision(number));
    if (at == nullptr || at->depth != depth) {
      branch.spine.clear();
      return fail(ErrorCode::kCorrupt, "the jump pointers of the history lead to revision " + std::to_string(number.value) + " and miss",
                  "Run `st8d fsck` to learn what else is damaged, then restore a backup.");
    }
    branch.spine.emplace_back(at->depth, at->revision.number);
  }
  return {};
}

Result<std::vector<std::pair<std::string, codec::BranchRecord>>> Committer::all_branches(NamespaceDraft& ns) {
  std::vector<std::pair<std::string, codec::BranchRecord>> all;
  if (!ns.exists()) return all;
  const std::string prefix = keyspace::table_key(Table::kBranch, ns.id());
  const auto cursor = core_.engine->scan(KeyRange::prefix(prefix));
  for (; cursor->valid(); cursor->next()) {
    std::string name(cursor->key().substr(prefix.size()));
    if (const auto draft = ns.branches.find(name); draft != ns.branches.end() && draft->second.dirty) continue;
    ST8_ASSIGN(codec::BranchRecord record, codec::decode_branch(cursor->value()));
    all.emplace_back(std::move(name), std::move(record));
  }
  ST8_TRY(cursor->status());
  for (const auto& [name, draft] : ns.branches) {
    if (draft.dirty && draft.state != nullptr) all.emplace_back(name, draft.state->record);
  }
  std::sort(all.begin(), all.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  return all;
}

Result<std::vector<std::pair<std::string, codec::CheckpointRecord>>> Committer::all_checkpoints(const NamespaceDraft& ns) {
  std::vector<std::pair<std::string, codec::CheckpointRecord>> all;
  if (!ns.exists()) return all;
  const std::string prefix = keyspace::table_key(Table::kCheckpoint, ns.id());
  const auto add = [&](std::string_view key, std::string_view value) -> Status {
    ST8_ASSIGN(codec::CheckpointRecord record, codec::decode_checkpoint(value));
    all.emplace_back(key.substr(prefix.size()), std::move(record));
    return {};
  };
  const auto cursor = core_.engine->scan(KeyRange::prefix(prefix));
  for (; cursor->valid(); cursor->next()) {
    if (pending_.contains(std::string(cursor->key()))) continue;
    ST8_TRY(add(cursor->key(), cursor->value()));
  }
  ST8_TRY(cursor->status());
  for (const auto& [key, value] : pending_) {
    if (value && key.starts_with(prefix)) ST8_TRY(add(key, *value));
  }
  std::sort(all.begin(), all.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  return all;
}

Result<DraftedRevision> Committer::draft_revision(NamespaceDraft& ns, const BranchName& name, BranchDraft& branch,
                                                  const RevisionDraft& draft, const WriteContext& context) {
  ST8_TRY(load_spine(ns, branch));
  const RevisionPointer& head = head_of(branch);
  auto record = std::make_shared<codec::RevisionRecord>();
  Revision& revision = record->revision;
  revision.number = next_revision(ns);
  revision.created_at = now();
  const auto add_parent = [&](const RevisionPointer& parent) {
    if (parent->revision.number.is_root()) return;
    revision.parents.push_back(parent->revision.number);
    revision.parent_hashes.push_back(parent->revision.hash);
    revision.created_at = std::max(revision.created_at, parent->revision.created_at);
  };
  add_parent(head);
  for (const RevisionPointer& parent : draft.more_parents) add_parent(parent);
  revision.tree = draft.tree;
  revision.branch = name.str();
  revision.author = context.author.empty() ? context.actor : context.author;
  revision.message = context.message;
  revision.cause = draft.cause;
  revision.cause_detail = std::string(draft.cause_detail);
  revision.source = draft.source;
  revision.change_count = draft.change_count;
  record->depth = head->depth + 1;
  record->prev_copy = head->is_copy ? head->revision.number : head->prev_copy;
  record->is_copy = draft.is_copy;
  // Myers' rule: two equal leaps in a row become one.
  const auto& spine = branch.spine;
  const bool leap = spine.size() >= 3 && spine[0].first - spine[1].first == spine[1].first - spine[2].first;
  record->jump = leap ? spine[2].second : spine[0].second;
  std::string hashed = codec::encode_hashed_revision(revision);
  revision.hash = codec::hash_revision(hashed);
  return DraftedRevision{std::move(record), std::move(hashed)};
}

// Stages ----------------------------------------------------------------------------------------------------------------

void Committer::put(std::string engine_key, std::optional<std::string> value) {
  if (value) {
    batch_.put(engine_key, *value);
  } else {
    batch_.erase(engine_key);
  }
  pending_.insert_or_assign(std::move(engine_key), std::move(value));
}

void Committer::add_operation(NamespaceDraft& ns, Operation operation) {
  operation.sequence = ++ns.counters.last_operation;
  ns.operations.push_back(std::move(operation));
  ns.dirty = true;
}

void Committer::ensure_namespace(NamespaceDraft& ns, const WriteContext& context, Timestamp at) {
  if (ns.exists()) return;
  // Invariant: name_space() has loaded next_namespace_ for a namespace that does not exist.
  auto entry = std::make_shared<NamespaceEntry>();
  entry->id = keyspace::NamespaceId{(*next_namespace_)++};
  entry->name = ns.name.str();
  entry->created_at = at;
  made_namespace_ = true;
  batch_.put(namespace_key(ns.name.view()), codec::encode(codec::NamespaceRecord{entry->id, at}));
  ns.entry = std::move(entry);
  ns.created = true;
  ns.counters = {};
  ns.stored_counters.reset();
  Operation operation;
  operation.kind = OperationKind::kNamespaceCreate;
  operation.name = ns.name.str();
  operation.actor = context.actor;
  operation.request_id = context.request_id;
  operation.at = at;
  add_operation(ns, std::move(operation));
}

void Committer::set_branch(NamespaceDraft& ns, BranchDraft& branch, BranchPointer state) {
  if (branch.state == nullptr && state != nullptr) ++ns.counters.branch_count;
  if (branch.state != nullptr && state == nullptr) --ns.counters.branch_count;
  branch.state = std::move(state);
  branch.spine.clear();
  branch.dirty = true;
  ns.dirty = true;
}

void Committer::append_revision(NamespaceDraft& ns, const BranchName& name, BranchDraft& branch, DraftedRevision drafted,
                                std::vector<StagedBlob> blobs, const WriteContext& context) {
  const Revision& revision = drafted.record->revision;
  ensure_namespace(ns, context, revision.created_at);
  const keyspace::NamespaceId id = ns.id();
  for (StagedBlob& blob : blobs) {
    batch_.put(keyspace::blob_key(id, blob.key, revision.number), std::move(blob.stored));
  }
  batch_.put(keyspace::numbered_key(Table::kRevision, id, revision.number.value),
             codec::encode_revision(*drafted.record, drafted.hashed));
  batch_.put(keyspace::hash_index_key(id, revision.hash, revision.number), {});
  ns.counters.last_revision = revision.number.value;
  ns.new_revisions.push_back(drafted.record);
  ++new_commits_;

  Operation operation;
  operation.kind = OperationKind::kCommit;
  operation.name = name.str();
  operation.before = head_of(branch)->revision.number;
  operation.after = revision.number;
  operation.actor = context.actor;
  operation.detail = revision.cause_detail;
  operation.cause = revision.cause;
  operation.request_id = context.request_id;
  operation.at = revision.created_at;
  add_operation(ns, std::move(operation));

  auto state = std::make_shared<query::BranchState>();
  if (branch.state != nullptr) {
    state->record = branch.state->record;
  } else {
    state->record.created_at = revision.created_at;
    state->record.created_by = context.actor;
  }
  state->record.head = revision.number;
  state->head = drafted.record;
  auto spine = std::move(branch.spine);
  set_branch(ns, branch, std::move(state));
  if (drafted.record->jump == spine.front().second) {
    spine.emplace(spine.begin(), drafted.record->depth, revision.number);
  } else {
    spine.erase(spine.begin());  // The leap skips the parent and what it leapt to.
    spine.front() = {drafted.record->depth, revision.number};
  }
  branch.spine = std::move(spine);
}

void Committer::record_answer(keyspace::NamespaceId ns, const WriteContext& context, codec::IdempotencyRecord record) {
  if (!context.idempotency) return;
  record.request = context.idempotency->request;
  record.created_at = now();
  put(keyspace::named_key(Table::kIdempotency, ns, context.idempotency->key), codec::encode(record));
  answers_.entries.push_back({ns, context.idempotency->key});
}

void Committer::stage_idempotency_expiry() {
  if (!answers_.entries.empty()) {
    const codec::IdempotencyExpiry::Entry& first = answers_.entries.front();
    batch_.put(keyspace::idempotency_expiry_key(now().micros, first.ns, first.key), codec::encode(answers_));
  }
  sweep_expired_answers();
}

void Committer::sweep_expired_answers() {
  const std::int64_t now_us = now().micros;
  if (now_us - last_expiry_sweep_us_ < kExpirySweepEveryUs && now_us >= last_expiry_sweep_us_) return;
  const std::int64_t retention_us = std::chrono::microseconds(core_.options.idempotency_retention).count();
  KeyRange range;
  range.begin = std::max(expiry_cursor_, std::string(1, static_cast<char>(Table::kIdempotencyExpiry)));
  range.end = keyspace::idempotency_expiry_key(now_us - retention_us, {}, {});
  if (range.begin >= range.end) {
    last_expiry_sweep_us_ = now_us;
    return;
  }
  const auto cursor = core_.engine->scan(std::move(range));
  std::size_t records = 0;
  for (; cursor->valid() && records < kExpirySweepMax; cursor->next(), ++records) {
    // A record that cannot be read is left for fsck to name; its answers stay.
    if (const auto record = codec::decode_idempotency_expiry(cursor->value())) {
      for (const auto& entry : record->entries) batch_.erase(keyspace::named_key(Table::kIdempotency, entry.ns, entry.key));
      batch_.erase(std::string(cursor->key()));
    }
    expiry_cursor_ = cursor->key();
    expiry_cursor_.push_back('\0');
  }
  if (records < kExpirySweepMax) last_expiry_sweep_us_ = now_us;  // Else the next group goes on.
}

void Committer::delete_namespace(NamespaceDraft& ns, const WriteContext& context) {
  const Timestamp at = now();
  Operation operation;
  operation.kind = OperationKind::kNamespaceDelete;
  operation.name = ns.name.str();
  operation.before = RevisionNumber{ns.counters.last_revision};
  operation.actor = context.actor;
  operation.request_id = context.request_id;
  operation.at = at;
  add_operation(ns, std::move(operation));
  batch_.erase(namespace_key(ns.name.view()));
  batch_.put(keyspace::table_key(Table::kGarbage, ns.id()), codec::encode(codec::GarbageRecord{ns.name.str(), at, context.actor}));

  auto gone = std::make_unique<NamespaceDraft>(ns.name);
  gone->entry = std::exchange(ns.entry, nullptr);
  gone->counters = std::exchange(ns.counters, {});
  gone->stored_counters = std::exchange(ns.stored_counters, std::nullopt);
  gone->branches = std::exchange(ns.branches, {});
  gone->operations = std::exchange(ns.operations, {});
  ns.nodes.reset();
  gone->dirty = true;
  ns.dirty = ns.created = false;
  ns.revisions_before = 0;
  ns.new_revisions.clear();
  deleted_.push_back(std::move(gone));
}

void Committer::mark_pruned(NamespaceDraft& ns, const codec::RevisionRecord& revision) {
  auto marked = std::make_shared<codec::RevisionRecord>(revision);
  marked->revision.pruned = true;
  batch_.put(keyspace::numbered_key(Table::kRevision, ns.id(), marked->revision.number.value),
             codec::encode_revision(*marked, codec::encode_hashed_revision(marked->revision)));
  ns.dirty = true;
  pruned_.emplace_back(RevisionId{ns.id(), marked->revision.number}, std::move(marked));
}

}  // namespace st8::state::pipeline
