#include "pipeline/committer.h"

#include <algorithm>
#include <map>

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
// A namespace keeps room for so many unpublished revisions from one group to the next.
constexpr std::size_t kRevisionRoomMax = 64;
// Expired answers are looked for this often, and at most so many go with one group.
constexpr std::int64_t kExpirySweepEveryUs = 1'000'000;
constexpr std::size_t kExpirySweepMax = 64;

std::string namespace_key(std::string_view name) {
  return std::string(1, static_cast<char>(Table::kNamespace)).append(name);
}
constexpr std::string_view kNextNamespace = "next_namespace";

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
    ST8_ASSIGN(const std::optional<std::string> bytes,
               committer_.get(keyspace::named_key(Table::kCheckpoint, ns_, name)));
    if (bytes) {
      ST8_ASSIGN(found, codec::decode_checkpoint(*bytes));
    }
    return found;
  }
  Result<RevisionPointer> revision(RevisionNumber number) const override {
    if (number.is_root()) return query::empty_revision();
    if (!draft_.exists() || number.value > draft_.counters.last_revision) return RevisionPointer{};
    if (number.value > draft_.built_from) return draft_.built[number.value - draft_.built_from - 1];
    for (const CommitGroup* group :
         {static_cast<const CommitGroup*>(committer_.group_.get()), committer_.sealed_.get()}) {
      if (group == nullptr) continue;
      for (const auto& [id, record] : group->pruned) {
        if (id == RevisionId{ns_, number}) return record;
      }
    }
    if (number.value > draft_.sealed_from && number.value - draft_.sealed_from <= draft_.sealed.size()) {
      return draft_.sealed[number.value - draft_.sealed_from - 1];
    }
    return committer_.core_.find_revision(ns_, number);
  }
  Result<std::vector<RevisionPointer>> by_hash_prefix(std::string_view hex, std::size_t limit) const override {
    ST8_ASSIGN(std::vector<RevisionPointer> found, EngineLookup::by_hash_prefix(hex, limit));
    const auto add = [&](const RevisionPointer& record) {
      if (found.size() >= limit || !record->revision.hash.hex().starts_with(hex)) return;
      // One that was just published is found in both places.
      const bool known = std::any_of(found.begin(), found.end(), [&](const RevisionPointer& other) {
        return other->revision.number == record->revision.number;
      });
      if (!known) found.push_back(record);
    };
    for (const RevisionPointer& record : draft_.sealed) add(record);
    for (const RevisionPointer& record : draft_.built) add(record);
    return found;
  }

 private:
  Committer& committer_;
  NamespaceDraft& draft_;
};

std::unique_ptr<query::Lookup> Committer::lookup(NamespaceDraft& ns) {
  return std::make_unique<PendingLookup>(*this, ns);
}

GroupNodes& Committer::nodes(NamespaceDraft& ns) {
  // A namespace that does not exist gets the next number if this command makes it; the nodes' keys need it before.
  const keyspace::NamespaceId id = ns.exists() ? ns.id() : keyspace::NamespaceId{*next_namespace_};
  if (ns.nodes == nullptr || ns.nodes->ns() != id)
    ns.nodes = std::make_unique<GroupNodes>(*core_.engine, core_.nodes, id);
  return *ns.nodes;
}

// Groups ----------------------------------------------------------------------------------------------------------------

void Committer::open_group() {
  group_ = std::make_shared<CommitGroup>();
  ++group_number_;
  used_.clear();
  deleted_.clear();
  made_namespace_ = false;
}

bool Committer::full() const {
  return group_->commands.size() >= core_.options.commit_group_max ||
         group_->bytes >= core_.options.commit_group_bytes_max;
}

void Committer::build(Command& command) {
  group_->commands.push_back(&command);
  group_->bytes += command.bytes();
  const auto run = [&]() -> Status {
    ST8_FAILPOINT("commit.before_build");
    return command.build(*this);
  };
  command.status = run();
}

std::vector<Command*> Committer::abandon(const Error& why) {
  std::vector<Command*> commands = std::move(group_->commands);
  for (Command* command : commands) {
    command->status = fail(ErrorCode::kUnavailable, "the write before this one failed: " + why.message, why.hint);
  }
  open_group();
  core_.nodes.clear();  // Of what was built, a node may be placed otherwise when the same revision is made again.
  namespaces_.clear();
  next_namespace_.reset();
  sealed_.reset();
  sealed_used_.clear();
  return commands;
}

void Committer::forget_idle() {
  if (group_number_ % kForgetEveryGroups != 0) return;
  std::size_t branches = 0;
  for (const auto& [name, draft] : namespaces_) branches += draft->branches.size();
  if (namespaces_.size() <= kNamespacesLoadedMax && branches <= kBranchesLoadedMax) return;
  // Half of them at once, the longest unused first, so that this is rare. What the last group used is not stored yet.
  std::vector<std::uint64_t> used;
  used.reserve(namespaces_.size());
  for (const auto& [name, draft] : namespaces_) used.push_back(draft->last_used);
  const auto middle = used.begin() + static_cast<std::ptrdiff_t>(used.size() / 2);
  std::nth_element(used.begin(), middle, used.end());
  const std::uint64_t newest_dropped = *middle;
  std::erase_if(namespaces_, [&](const auto& item) {
    const NamespaceDraft& draft = *item.second;
    return draft.last_used + 1 < group_number_ &&
           (draft.last_used <= newest_dropped || draft.branches.size() > kBranchesLoadedMax / 2);
  });
}

void Committer::stage_pointers(CommitGroup& group, NamespaceDraft& ns) {
  // Branch pointers and counters once a group, whatever number of commits moved them.
  const keyspace::NamespaceId id = ns.id();
  for (auto& [name, branch] : ns.branches) {
    if (!branch.dirty) continue;
    branch.dirty = false;
    std::string key = keyspace::named_key(Table::kBranch, id, name);
    if (branch.state == nullptr) {
      group.erase(std::move(key));
    } else {
      group.put(std::move(key), codec::encode(branch.state->record));
    }
    group.branches.emplace_back(branch_cache_key(ns.name.view(), name), branch.state);
  }
  if (!ns.operations.empty()) {
    group.put(keyspace::numbered_key(Table::kOperation, id, ns.counters.last_operation), codec::encode(ns.operations));
    if (notifier_.needed()) group.operations.push_back({ns.name, std::move(ns.operations)});
    ns.operations.clear();
  }
  std::string key = keyspace::table_key(Table::kCounters, id);
  std::string counters = codec::encode(ns.counters);
  group.expectations.push_back({key, std::move(ns.stored_counters)});
  group.put(std::move(key), counters);
  ns.stored_counters = std::move(counters);
  if (ns.created) group.made.push_back(ns.entry);
  ns.dirty = ns.created = false;
}

void Committer::let_go_of_sealed() {
  sealed_.reset();
  for (NamespaceDraft* ns : sealed_used_) {
    ns->sealed.clear();
    if (ns->nodes != nullptr) ns->nodes->let_go_of_sealed();
  }
  sealed_used_.clear();
}

std::shared_ptr<CommitGroup> Committer::seal() {
  const std::shared_ptr<CommitGroup> group = group_;
  for (const auto& ns : deleted_) {
    stage_pointers(*group, *ns);
    // Its branches go by its name, below; what became of them before does not matter.
    std::erase_if(group->branches,
                  [&](const auto& item) { return item.first.starts_with(branch_cache_key(ns->name.view(), "")); });
    std::erase_if(group->made, [&](const auto& made) { return made == ns->entry; });
    group->deleted.push_back(ns->name.str());
  }
  for (NamespaceDraft* ns : used_) {
    if (ns->dirty && ns->exists()) stage_pointers(*group, *ns);
  }
  if (made_namespace_) {
    std::string key = std::string(1, static_cast<char>(Table::kMeta)).append(kNextNamespace);
    std::string value = codec::encode_meta_number(*next_namespace_);
    group->expectations.push_back({key, std::move(stored_next_namespace_)});
    group->put(std::move(key), value);
    stored_next_namespace_ = std::move(value);
  }
  if (!group->writes_nothing()) stage_idempotency_expiry(*group);
  group->assemble();
  // gc and deletions must get through on a full disk; what stands in their group comes along, a few MiB at most.
  group->batch.set_frees_space(!group->pruned.empty() || !group->deleted.empty());
  return group;
}

void Committer::open_next() {
  // What the group before kept for us is published by now, and what this one made takes its place.
  for (NamespaceDraft* ns : sealed_used_) {
    ns->sealed.clear();
    if (ns->nodes != nullptr && ns->last_used != group_number_) ns->nodes->seal();
  }
  for (NamespaceDraft* ns : used_) {
    ns->sealed.swap(ns->built);
    ns->built.clear();
    if (ns->built.capacity() > kRevisionRoomMax) ns->built.shrink_to_fit();
    ns->sealed_from = std::exchange(ns->built_from, ns->counters.last_revision);
    if (ns->nodes != nullptr) ns->nodes->seal();
  }
  sealed_ = std::move(group_);
  sealed_used_.swap(used_);
  open_group();
  forget_idle();
}

Status Committer::write(CommitGroup& group) {
  if (!core_.writable.load(std::memory_order_relaxed)) {
    return fail(ErrorCode::kUnavailable, "the store takes no writes since a write whose outcome is unknown",
                "Restart st8d: it finds out on opening what was written.");
  }
  if (group.batch.empty()) return {};
  begin_publish(group);
  const auto commit = [&]() -> Status {
    ST8_FAILPOINT("commit.before_write");
    return core_.engine->commit(group.batch, group.expectations, Durability::kSynced);
  };
  Status status = commit();
  if (status) ST8_FAILPOINT_VOID("commit.after_write");
  end_publish(group, status.has_value());
  if (status) {
    ST8_FAILPOINT_VOID("commit.before_acknowledge");
    return status;
  }
  if (status.error().code == ErrorCode::kOutcomeUnknown) core_.writable.store(false, std::memory_order_relaxed);
  if (status.error().code == ErrorCode::kPreconditionFailed) {
    // Nobody but us may write here; to the client this is not its own expectation.
    return fail(ErrorCode::kUnavailable, "another process has written to this store",
                "Make sure that one st8d alone uses the directory.");
  }
  return status;
}

void Committer::begin_publish(const CommitGroup& group) {
  if (!group.deleted.empty()) core_.branches.begin_forget();
  for (const std::string& name : group.deleted) core_.namespaces.begin_publish(name);
  for (const NamespacePointer& made : group.made) core_.namespaces.begin_publish(made->name);
  for (const auto& [key, state] : group.branches) core_.branches.begin_publish(key);
  for (const auto& [id, record] : group.pruned) core_.revisions.begin_publish(id);
}

void Committer::end_publish(CommitGroup& group, bool committed) {
  // Prune marks first: a reader that enters from here on must not resolve to what gc will take.
  for (const auto& [id, record] : group.pruned) core_.revisions.publish(id, committed ? record : nullptr);
  // Names before branches: see ReaderLookup::branch().
  for (const std::string& name : group.deleted) core_.namespaces.publish(name, nullptr);
  for (const NamespacePointer& made : group.made) core_.namespaces.publish(made->name, committed ? made : nullptr);
  if (!group.deleted.empty()) {
    core_.branches.end_forget([&](const std::string& key) {
      return std::any_of(group.deleted.begin(), group.deleted.end(), [&](const std::string& name) {
        return key.size() > name.size() && key.starts_with(name) && key[name.size()] == '\0';
      });
    });
  }
  // After a failure the engine knows; after a success it is this.
  for (const auto& [key, state] : group.branches) core_.branches.publish(key, committed ? state : nullptr);
  if (!committed) return;
  core_.commits.fetch_add(group.commits, std::memory_order_relaxed);
  core_.nodes_written.fetch_add(group.nodes_written, std::memory_order_relaxed);
  core_.node_bytes_written.fetch_add(group.node_bytes, std::memory_order_relaxed);
  core_.commit_groups.fetch_add(1, std::memory_order_relaxed);
  notifier_.publish(std::move(group.operations));
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
      draft->built_from = draft->counters.last_revision;
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
    ST8_ASSIGN(stored_next_namespace_,
               core_.engine->get(std::string(1, static_cast<char>(Table::kMeta)).append(kNextNamespace)));
    std::uint32_t next = 1;
    if (stored_next_namespace_) {
      ST8_ASSIGN(next, codec::decode_meta_number(*stored_next_namespace_));
    }
    next_namespace_ = next;
  }
  if (slot->last_used != group_number_) {
    slot->last_used = group_number_;
    used_.push_back(slot.get());
  }
  return slot.get();
}

Result<BranchDraft*> Committer::branch(NamespaceDraft& ns, std::string_view name) {
  const auto [position, inserted] = ns.branches.try_emplace(std::string(name));
  BranchDraft& draft = position->second;
  if (inserted && ns.exists() && ns.stored_counters) {
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
                  ? "branch " + name.str() + " was expected not to exist, and its head is revision " +
                        std::to_string(head.value)
                  : "branch " + name.str() + " was expected at revision " +
                        std::to_string(context.expected_revision->value) + ", and its head is " +
                        (head.is_root() ? "not yet written" : "revision " + std::to_string(head.value)),
              "Read the state again, then retry with the head that you have seen.");
}

Result<std::optional<codec::IdempotencyRecord>> Committer::find_answer(keyspace::NamespaceId ns,
                                                                       const WriteContext& context) {
  std::optional<codec::IdempotencyRecord> answer;
  if (!context.idempotency) return answer;
  ST8_ASSIGN(const std::optional<std::string> bytes,
             get(keyspace::named_key(Table::kIdempotency, ns, context.idempotency->key)));
  if (!bytes) return answer;
  ST8_ASSIGN(answer, codec::decode_idempotency(*bytes));
  if (answer->request != context.idempotency->request) {
    return fail(ErrorCode::kConflict,
                "the idempotency key " + quote(context.idempotency->key) + " was used for another request",
                "Use a new key for a new request; repeat a key only with the very same request.");
  }
  return answer;
}

Result<std::optional<std::string>> Committer::get(std::string_view engine_key) {
  for (const CommitGroup* group : {static_cast<const CommitGroup*>(group_.get()), sealed_.get()}) {
    if (group == nullptr || group->records.empty()) continue;
    const auto found = group->records.find(std::string(engine_key));
    if (found != group->records.end()) return found->second;
  }
  return core_.engine->get(engine_key);
}

Result<std::string> Committer::read_content(const NamespaceDraft& ns, std::string_view key, const DocumentRef& ref) {
  if (ref.written_at.value > std::min(ns.built_from, ns.sealed.empty() ? ns.built_from : ns.sealed_from)) {
    // Seldom: a merge of what a group that is not published yet wrote. Newest last.
    const std::string blob_key = keyspace::blob_key(ns.id(), key, ref.written_at);
    for (const CommitGroup* group : {static_cast<const CommitGroup*>(group_.get()), sealed_.get()}) {
      if (group == nullptr) continue;
      const auto& writes = group == group_.get() ? group->blobs : group->batch.writes();
      for (auto write = writes.rbegin(); write != writes.rend(); ++write) {
        if (write->key == blob_key && write->value) return open_blob(*write->value, key, ref);
      }
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
      return fail(ErrorCode::kCorrupt,
                  "the jump pointers of the history lead to revision " + std::to_string(number.value) + " and miss",
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
    if (ns.branches.contains(name)) continue;  // As it is loaded, or being made.
    ST8_ASSIGN(codec::BranchRecord record, codec::decode_branch(cursor->value()));
    all.emplace_back(std::move(name), std::move(record));
  }
  ST8_TRY(cursor->status());
  for (const auto& [name, draft] : ns.branches) {
    if (draft.state != nullptr) all.emplace_back(name, draft.state->record);
  }
  std::sort(all.begin(), all.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  return all;
}

Result<std::vector<std::pair<std::string, codec::CheckpointRecord>>> Committer::all_checkpoints(
    const NamespaceDraft& ns) {
  std::vector<std::pair<std::string, codec::CheckpointRecord>> all;
  if (!ns.exists()) return all;
  const std::string prefix = keyspace::table_key(Table::kCheckpoint, ns.id());
  std::map<std::string, std::string> stored;
  const auto cursor = core_.engine->scan(KeyRange::prefix(prefix));
  for (; cursor->valid(); cursor->next()) stored.emplace(cursor->key(), cursor->value());
  ST8_TRY(cursor->status());
  for (const CommitGroup* group : {sealed_.get(), static_cast<const CommitGroup*>(group_.get())}) {
    if (group == nullptr) continue;
    for (const auto& [key, value] : group->records) {
      if (!key.starts_with(prefix)) continue;
      stored.erase(key);
      if (value) stored.emplace(key, *value);
    }
  }
  for (const auto& [key, value] : stored) {
    ST8_ASSIGN(codec::CheckpointRecord record, codec::decode_checkpoint(value));
    all.emplace_back(key.substr(prefix.size()), std::move(record));
  }
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
    group_->put(engine_key, *value);
  } else {
    group_->erase(engine_key);
  }
  group_->records.insert_or_assign(std::move(engine_key), std::move(value));
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
  group_->put(namespace_key(ns.name.view()), codec::encode(codec::NamespaceRecord{entry->id, at}));
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

void Committer::append_revision(NamespaceDraft& ns, const BranchName& name, BranchDraft& branch,
                                DraftedRevision drafted, std::vector<StagedBlob> blobs, const WriteContext& context) {
  const Revision& revision = drafted.record->revision;
  ensure_namespace(ns, context, revision.created_at);
  const keyspace::NamespaceId id = ns.id();
  for (StagedBlob& blob : blobs) {
    group_->blobs.push_back({keyspace::blob_key(id, blob.key, revision.number), std::move(blob.stored)});
  }
  group_->revisions.push_back({keyspace::numbered_key(Table::kRevision, id, revision.number.value),
                               codec::encode_revision(*drafted.record, drafted.hashed)});
  group_->hashes.push_back({keyspace::hash_index_key(id, revision.hash, revision.number), std::string()});
  ns.counters.last_revision = revision.number.value;
  ns.built.push_back(drafted.record);
  ++group_->commits;
  if (ns.nodes != nullptr) {
    group_->node_bytes += ns.nodes->accept(group_->node_bodies);
    group_->nodes_written = group_->node_bodies.size();
  }

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
  group_->answers.entries.push_back({ns, context.idempotency->key});
}

void Committer::stage_idempotency_expiry(CommitGroup& group) {
  if (!group.answers.entries.empty()) {
    const codec::IdempotencyExpiry::Entry& first = group.answers.entries.front();
    group.put(keyspace::idempotency_expiry_key(now().micros, first.ns, first.key), codec::encode(group.answers));
  }
  sweep_expired_answers(group);
}

void Committer::sweep_expired_answers(CommitGroup& group) {
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
      for (const auto& entry : record->entries)
        group.erase(keyspace::named_key(Table::kIdempotency, entry.ns, entry.key));
      group.erase(std::string(cursor->key()));
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
  group_->erase(namespace_key(ns.name.view()));
  group_->put(keyspace::table_key(Table::kGarbage, ns.id()),
              codec::encode(codec::GarbageRecord{ns.name.str(), at, context.actor}));

  auto gone = std::make_unique<NamespaceDraft>(ns.name);
  gone->entry = std::exchange(ns.entry, nullptr);
  gone->counters = std::exchange(ns.counters, {});
  gone->stored_counters = std::exchange(ns.stored_counters, std::nullopt);
  gone->branches = std::exchange(ns.branches, {});
  gone->operations = std::exchange(ns.operations, {});
  ns.nodes.reset();
  gone->dirty = true;
  ns.dirty = ns.created = false;
  gone->built_from = std::exchange(ns.built_from, 0);
  ns.built.clear();
  ns.sealed.clear();
  deleted_.push_back(std::move(gone));
}

void Committer::mark_pruned(NamespaceDraft& ns, const codec::RevisionRecord& revision) {
  auto marked = std::make_shared<codec::RevisionRecord>(revision);
  marked->revision.pruned = true;
  group_->put(keyspace::numbered_key(Table::kRevision, ns.id(), marked->revision.number.value),
              codec::encode_revision(*marked, codec::encode_hashed_revision(marked->revision)));
  ns.dirty = true;
  group_->pruned.emplace_back(RevisionId{ns.id(), marked->revision.number}, std::move(marked));
}

}  // namespace st8::state::pipeline
