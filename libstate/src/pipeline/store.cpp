#include "st8/state/store.h"

#include <algorithm>

#include "maintenance/backup.h"
#include "pipeline/store_impl.h"
#include "query/chain.h"
#include "query/resolve.h"
#include "st8/state/text.h"

namespace st8::state {

using keyspace::Table;

namespace {

std::string meta_key(std::string_view name) { return std::string(1, static_cast<char>(Table::kMeta)).append(name); }

// Refuses a store of another format; marks a new one. The first write of all, so that nothing lies unmarked.
Status check_format(Engine& engine) {
  ST8_ASSIGN(const std::optional<std::string> restoring, engine.get(maintenance::restoring_key()));
  if (restoring) {
    return fail(ErrorCode::kCorrupt, "the store holds a restore that did not end well",
                "Delete the directory and restore again, from a backup that is whole.");
  }
  const std::string key = meta_key("format");
  ST8_ASSIGN(const std::optional<std::string> stored, engine.get(key));
  if (stored) {
    ST8_ASSIGN(const std::uint32_t version, codec::decode_meta_number(*stored));
    if (version == codec::kFormatVersion) return {};
    return fail(ErrorCode::kInvalidArgument,
                "the store has format version " + std::to_string(version) + ", and this program reads version " +
                    std::to_string(codec::kFormatVersion),
                version > codec::kFormatVersion ? "Use a newer st8d." : "Migrate it with the release that wrote it.");
  }
  const auto cursor = engine.scan({});
  if (cursor->valid()) {
    return fail(ErrorCode::kCorrupt, "the store holds data and no format version",
                "Restore a backup, or name another directory.");
  }
  ST8_TRY(cursor->status());
  Batch batch;
  batch.put(key, codec::encode_meta_number(codec::kFormatVersion));
  const Expectation none{key, std::nullopt};
  return engine.commit(batch, {&none, 1}, Durability::kSynced);
}

}  // namespace

Store::Impl::Impl(std::unique_ptr<Engine> engine, const Clock& clock, const StoreOptions& options)
    : core(std::move(engine), clock, options),
      ahead(core),
      committer(core, notifier),
      queue(committer, options.commit_queue_max) {}

Status Store::Impl::submit(pipeline::Command& command) {
  ST8_TRY(check_listeners());
  return queue.submit(command);
}

Status Store::Impl::begin(pipeline::Command& command) {
  ST8_TRY(check_listeners());
  return queue.begin(command);
}

Status Store::Impl::check_listeners() const {
  if (!notifier.overloaded()) return {};
  return fail(ErrorCode::kRateLimited, "the listeners of this store are far behind", "Retry after a moment.");
}

Result<CommitResult> Store::Impl::finish(ApplyRequest request, pipeline::ApplyCommand& command) {
  give_contents(request, command.answer.result);
  return render(request.name_space, std::move(command.answer));
}

void Store::Impl::read_before_ahead(const ApplyRequest& request) {
  if (request.documents.size() != 1 || queue.length() != 0) return;
  const DocumentKey& key = request.documents.front().key;
  // The path to the leaf is read for the commit anyway. Whatever is wrong here will be wrong there, too, and said there.
  const auto found = lookup(request.name_space);
  if (!found || found->id().value == 0) return;
  const auto branch = found->branch(request.branch.view());
  if (!branch || *branch == nullptr) return;
  const tree::StoredNodes nodes(*core.engine, core.nodes, found->id(), nullptr, tree::Bases::kForgotten);
  const auto ref = tree::find(nodes, (*branch)->head->revision.tree, key.view());
  if (!ref || !*ref || (*ref)->size > pipeline::ContentCache::kContentBytesMax) return;
  if (core.contents.find((*ref)->hash) == nullptr) ahead.begin(found->id(), key.view(), **ref);
}

void Store::Impl::keep_contents(std::vector<Document>& documents, const std::vector<Change>& changes) {
  // What was written is read next, by a rollout or by who looks at the change. Who loads more than this would drive out
  // what others change again and again.
  const std::size_t bytes_max = core.options.content_cache_bytes / 4;
  std::size_t bytes = 0;
  for (const Document& document : documents) bytes += document.content.size();
  if (bytes > bytes_max) return;
  std::sort(documents.begin(), documents.end(), [](const Document& a, const Document& b) { return a.key < b.key; });
  for (const Change& change : changes) {
    if (!change.after) continue;
    const auto document = std::lower_bound(documents.begin(), documents.end(), change.key,
                                           [](const Document& each, const DocumentKey& key) { return each.key < key; });
    if (document != documents.end() && document->key == change.key) {
      core.contents.put(change.after->hash, std::move(document->content), pipeline::ContentCache::Then::kGo);
    }
  }
}

void Store::Impl::give_contents(ApplyRequest& request, CommitResult& result) {
  const bool written = !request.context.dry_run;
  if (request.documents.size() > CommitResult::kContentsMax) {
    if (written) keep_contents(request.documents, result.changes);
    return;
  }
  // What a prune deletes may be much, and is not looked for one by one.
  const bool before_wanted = request.before_wanted && result.changes.size() <= CommitResult::kContentsMax;
  result.contents.resize(result.changes.size());
  for (std::size_t i = 0; i < result.changes.size(); ++i) {
    const Change& change = result.changes[i];
    ChangeContents& contents = result.contents[i];
    if (before_wanted && change.before) {
      contents.before =
          written ? core.contents.find_replaced(change.before->hash) : core.contents.find(change.before->hash);
    }
    if (!change.after) continue;
    for (Document& document : request.documents) {
      if (document.key != change.key) continue;
      contents.after = std::make_shared<const std::string>(std::move(document.content));
      if (written) core.contents.put(change.after->hash, contents.after, pipeline::ContentCache::Then::kPack);
    }
  }
}

Result<CommitResult> Store::Impl::render(const NamespaceName& ns, pipeline::CommitAnswer answer) {
  if (!answer.replay) return std::move(answer.result);
  // The first answer again: the revision is what it was, and its changes are found by comparing trees.
  const codec::IdempotencyRecord& replay = *answer.replay;
  CommitResult result;
  result.replayed = true;
  result.noop = replay.noop;
  result.revision = replay.revision;
  pipeline::Pin pin = core.pins.enter();
  pipeline::Pin parent_pin = core.pins.enter();  // Both before anything is resolved.
  ST8_ASSIGN(const pipeline::ReaderLookup found, lookup(ns));
  ST8_ASSIGN(const query::RevisionPointer revision, found.revision(replay.revision));
  if (revision == nullptr) return query::no_such_revision(replay.revision);
  result.hash = revision->revision.hash;
  result.parent = revision->revision.parent();
  if (replay.noop) return result;
  result.change_count = revision->revision.change_count;
  ST8_ASSIGN(const query::RevisionPointer parent, query::parent_of(found, revision));
  // Pruned since: which keys changed is no longer known; that it was committed, and as what, is.
  if (revision->revision.pruned || parent->revision.pruned) return result;
  pin.stand_on(found.id(), revision->revision.number);
  parent_pin.stand_on(found.id(), parent->revision.number);
  const tree::StoredNodes nodes(*core.engine, core.nodes, found.id());
  ST8_TRY(tree::diff(nodes, parent->revision.tree, revision->revision.tree, {}, {}, [&](Change&& change) {
    result.changes.push_back(std::move(change));
    return true;
  }));
  return result;
}

Result<std::optional<std::string>> Store::Impl::get(std::string_view key) const {
  return core.engine->get(std::string(1, static_cast<char>(Table::kRecord)).append(key));
}

Result<std::vector<Record>> Store::Impl::scan(std::string_view prefix, std::string_view after,
                                              std::size_t limit) const {
  const std::string table(1, static_cast<char>(Table::kRecord));
  KeyRange range = KeyRange::prefix(table + std::string(prefix));
  if (!after.empty()) range.begin = std::max(range.begin, (table + std::string(after)).append(1, '\0'));
  std::vector<Record> records;
  const auto cursor = core.engine->scan(std::move(range));
  for (; cursor->valid() && records.size() < limit; cursor->next()) {
    records.push_back({std::string(cursor->key().substr(1)), std::string(cursor->value())});
  }
  ST8_TRY(cursor->status());
  return records;
}

Status Store::Impl::commit(std::vector<RecordWrite> writes, std::vector<RecordExpectation> expectations) {
  pipeline::RecordCommand command(std::move(writes), std::move(expectations));
  return submit(command);
}

Result<std::unique_ptr<Store>> Store::open(std::unique_ptr<Engine> engine, const Clock& clock, StoreOptions options) {
  ST8_TRY(check_format(*engine));
  return std::unique_ptr<Store>(new Store(std::make_unique<Impl>(std::move(engine), clock, options)));
}

Store::Store(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Store::~Store() = default;

Result<CommitResult> Store::apply(ApplyRequest request) {
  pipeline::ApplyCommand command(request);
  ST8_TRY(command.prepare());
  if (request.before_wanted) impl_->read_before_ahead(request);
  ST8_TRY(impl_->submit(command));
  return impl_->finish(std::move(request), command);
}

// Keeps itself until it is answered, and its result until somebody takes it.
class Store::Impl::BegunApply final {
 public:
  BegunApply(Impl& store, ApplyRequest request, std::function<void(FinishApply)> answered)
      : store_(store), request_(std::move(request)), answered_(std::move(answered)), command_(*this) {}

  static void begin(const std::shared_ptr<BegunApply>& apply) {
    Status status = apply->command_.prepare();
    if (status) {
      if (apply->request_.before_wanted) apply->store_.read_before_ahead(apply->request_);
      apply->self_ = apply;
      status = apply->store_.begin(apply->command_);
      if (status) return;
      apply->self_.reset();
    }
    apply->command_.status = std::move(status);
    tell(apply);
  }

 private:
  class Command final : public pipeline::ApplyCommand {
   public:
    explicit Command(BegunApply& apply) : ApplyCommand(apply.request_), apply_(apply) {}
    void on_answered() override { tell(std::move(apply_.self_)); }

   private:
    BegunApply& apply_;
  };

  static void tell(std::shared_ptr<BegunApply> apply) {
    const auto answered = std::move(apply->answered_);
    answered([apply = std::move(apply)]() -> Result<CommitResult> {
      if (!apply->command_.status) return fail(apply->command_.status.error());
      return apply->store_.finish(std::move(apply->request_), apply->command_);
    });
  }

  Impl& store_;
  ApplyRequest request_;
  std::function<void(FinishApply)> answered_;
  Command command_;
  std::shared_ptr<BegunApply> self_;
};

void Store::begin_apply(ApplyRequest request, std::function<void(FinishApply)> answered) {
  Impl::BegunApply::begin(std::make_shared<Impl::BegunApply>(*impl_, std::move(request), std::move(answered)));
}

Result<CommitResult> Store::copy(CopyRequest request) {
  pipeline::CopyCommand command(request);
  ST8_TRY(command.prepare());
  ST8_TRY(impl_->submit(command));
  return impl_->render(request.name_space, std::move(command.answer));
}

namespace {

template <class Command, class Submit>
auto run(Command& command, const Submit& submit) -> Result<typename decltype(command.answer)::value_type> {
  ST8_TRY(submit(command));
  return std::move(*command.answer);
}

}  // namespace

Result<BranchInfo> Store::create_branch(BranchCreateRequest request) {
  pipeline::BranchCreateCommand command(request);
  return run(command, [this](pipeline::Command& c) { return impl_->submit(c); });
}

Result<BranchInfo> Store::delete_branch(BranchDeleteRequest request) {
  pipeline::BranchDeleteCommand command(request);
  return run(command, [this](pipeline::Command& c) { return impl_->submit(c); });
}

Result<BranchInfo> Store::rename_branch(BranchRenameRequest request) {
  pipeline::BranchRenameCommand command(request);
  return run(command, [this](pipeline::Command& c) { return impl_->submit(c); });
}

Result<BranchInfo> Store::protect_branch(BranchProtectRequest request) {
  pipeline::BranchProtectCommand command(request);
  return run(command, [this](pipeline::Command& c) { return impl_->submit(c); });
}

Result<CheckpointInfo> Store::put_checkpoint(CheckpointPutRequest request) {
  pipeline::CheckpointPutCommand command(request);
  ST8_TRY(command.prepare());
  return run(command, [this](pipeline::Command& c) { return impl_->submit(c); });
}

Result<CheckpointInfo> Store::delete_checkpoint(CheckpointDeleteRequest request) {
  pipeline::CheckpointDeleteCommand command(request);
  return run(command, [this](pipeline::Command& c) { return impl_->submit(c); });
}

Result<NamespaceInfo> Store::delete_namespace(NamespaceDeleteRequest request) {
  pipeline::NamespaceDeleteCommand command(request);
  return run(command, [this](pipeline::Command& c) { return impl_->submit(c); });
}

RecordStore& Store::records() { return *impl_; }
void Store::set_guard(const CommitGuard* guard) { impl_->committer.set_guard(guard); }
void Store::add_listener(OperationListener* listener) { impl_->notifier.add(listener); }

bool Store::writable() const { return impl_->core.writable.load(std::memory_order_relaxed); }

StoreStats Store::stats() const {
  StoreStats stats;
  stats.engine = impl_->core.engine->stats();
  stats.commits = impl_->core.commits.load(std::memory_order_relaxed);
  stats.commit_groups = impl_->core.commit_groups.load(std::memory_order_relaxed);
  stats.nodes_written = impl_->core.nodes_written.load(std::memory_order_relaxed);
  stats.node_bytes_written = impl_->core.node_bytes_written.load(std::memory_order_relaxed);
  const tree::NodeCache::Stats cache = impl_->core.nodes.stats();
  stats.node_cache_hits = cache.hits;
  stats.node_cache_misses = cache.misses;
  stats.node_cache_bytes = cache.bytes;
  const pipeline::ContentCache::Stats contents = impl_->core.contents.stats();
  stats.content_cache_hits = contents.hits;
  stats.content_cache_misses = contents.misses;
  stats.content_cache_bytes = contents.bytes;
  stats.commit_queue_length = impl_->queue.length();
  stats.writable = impl_->core.writable.load(std::memory_order_relaxed);
  return stats;
}

}  // namespace st8::state
