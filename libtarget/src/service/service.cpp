#include "st8/target/service.h"

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <future>
#include <thread>

#include "codec/json.h"
#include "drivers/registry.h"
#include "drivers/worker/worker_driver.h"
#include "service/coordinator.h"
#include "service/document_guard.h"
#include "service/store_source.h"
#include "service/threaded_runner.h"

namespace st8::target {

using codec::Json;

std::string encode_summary(const RolloutSummary& summary) {
  return codec::dump({{"id", summary.id.value},
                      {"namespace", summary.name_space},
                      {"branch", summary.branch},
                      {"revision", summary.revision.value},
                      {"phase", phase_name(summary.phase)},
                      {"reason", summary.reason},
                      {"plan", summary.plan.value.hex()},
                      {"targets", summary.targets},
                      {"activated", summary.targets_activated},
                      {"failed", summary.targets_failed},
                      {"touched", summary.targets_touched},
                      {"waves", summary.waves},
                      {"wave", summary.wave},
                      {"appended", summary.appended.value},
                      {"created_at", summary.created_at.micros},
                      {"started_at", summary.started_at.micros},
                      {"ended_at", summary.ended_at.micros}});
}
Result<RolloutSummary> decode_summary(std::string_view bytes) {
  return codec::guarded<RolloutSummary>("rollout summary", bytes, [](const Json& json) -> Result<RolloutSummary> {
    RolloutSummary summary;
    summary.id.value = json.at("id").get<std::uint64_t>();
    summary.name_space = json.at("namespace").get<std::string>();
    summary.branch = json.at("branch").get<std::string>();
    summary.revision.value = json.at("revision").get<std::uint64_t>();
    const std::string phase = json.at("phase").get<std::string>();
    for (int i = 0; i <= static_cast<int>(RolloutPhase::kRejected); ++i) {
      if (phase_name(static_cast<RolloutPhase>(i)) == phase) summary.phase = static_cast<RolloutPhase>(i);
    }
    summary.reason = json.at("reason").get<std::string>();
    summary.plan.value = codec::hash(json.at("plan"));
    summary.targets = json.at("targets").get<std::uint32_t>();
    summary.targets_activated = json.at("activated").get<std::uint32_t>();
    summary.targets_failed = json.at("failed").get<std::uint32_t>();
    summary.targets_touched = json.at("touched").get<std::uint32_t>();
    summary.waves = json.at("waves").get<std::uint32_t>();
    summary.wave = json.at("wave").get<std::uint32_t>();
    summary.appended.value = json.at("appended").get<std::uint64_t>();
    summary.created_at.micros = json.at("created_at").get<std::int64_t>();
    summary.started_at.micros = json.at("started_at").get<std::int64_t>();
    summary.ended_at.micros = json.at("ended_at").get<std::int64_t>();
    return summary;
  });
}

class RolloutService::Impl {
 public:
  Impl(state::Store& store, const Clock& clock, ServiceOptions options)
      : store_(store),
        clock_(clock),
        options_(options),
        source_(store, options.sealing_keys),
        runner_(source_, options.drivers != nullptr ? *options.drivers : builtin_drivers(), clock,
                options.effect_threads,
                [this](RolloutId id, EffectResult result) { post_result(id, std::move(result)); }),
        coordinator_(store.records(), source_, runner_),
        documents_(store) {}
  ~Impl() { stop(); }

  Status start() {
    {
      const std::lock_guard lock(mutex_);
      if (running_) return {};
    }
    if (options_.passive) return coordinator_.read_only();
    ST8_TRY(coordinator_.recover(clock_.now()));
    const std::lock_guard lock(mutex_);
    running_ = true;
    settled_ = false;
    thread_ = std::thread([this] { run(); });
    if (options_.observe) observer_ = std::thread([this] { observe_all(); });
    return {};
  }

  void stop() {
    std::thread thread, observer;
    {
      const std::lock_guard lock(mutex_);
      running_ = false;
      thread.swap(thread_);
      observer.swap(observer_);
      wake_.notify_all();
      look_.notify_all();
    }
    if (observer.joinable()) observer.join();
    if (thread.joinable()) {
      thread.join();
      // Nothing new is begun from here on. What ends in time is written down; what does not is cut short, and the next start
      // does it again.
      const auto deadline = std::chrono::steady_clock::now() + options_.drain;
      bool quiet = false;
      while (!quiet && std::chrono::steady_clock::now() < deadline) {
        quiet = runner_.crew().drain(std::chrono::milliseconds(20));
        decltype(results_) results;
        {
          const std::lock_guard lock(mutex_);
          results.swap(results_);
        }
        for (const auto& [id, result] : results) coordinator_.take(id, result, clock_.now());
        coordinator_.write_down(clock_.now());
      }
    }
    runner_.cancel_all();
    runner_.crew().stop();
    std::deque<std::function<void()>> dropped;
    {
      const std::lock_guard lock(mutex_);
      dropped.swap(tasks_);
    }
  }

  void branch_moved(BranchId branch) {
    if (options_.passive) return;
    bool first = false;
    {
      const std::lock_guard lock(mutex_);
      first = moved_.empty();
      moved_.insert(std::move(branch));
      settled_ = false;
    }
    // Once for all that move until the thread looks, and without the lock that it would run into: every commit comes here.
    if (first) wake_.notify_all();
  }

  void post_result(RolloutId id, EffectResult result) {
    const std::lock_guard lock(mutex_);
    results_.emplace_back(id, std::move(result));
    settled_ = false;
    wake_.notify_all();
  }

  // Runs `work` on the thread that decides, and answers what it answers.
  template <class T>
  Result<T> ask(std::function<Result<T>()> work) const {
    auto promise = std::make_shared<std::promise<Result<T>>>();
    auto future = promise->get_future();
    {
      const std::lock_guard lock(mutex_);
      if (!running_ && options_.passive)
        return fail(ErrorCode::kUnavailable, "rollouts are run by st8d, not by a store opened locally",
                    "start st8d over the state directory");
      if (!running_)
        return fail(ErrorCode::kUnavailable, "rollouts are not running", "the daemon is starting or ending; try again");
      tasks_.push_back([promise, work = std::move(work)] { promise->set_value(work()); });
      settled_ = false;
      wake_.notify_all();
    }
    // A task that is dropped at the end breaks its promise; waiting for readiness does not throw.
    while (future.wait_for(std::chrono::milliseconds(50)) != std::future_status::ready) {
      const std::lock_guard lock(mutex_);
      if (!running_ && future.wait_for(std::chrono::seconds(0)) != std::future_status::ready) {
        return fail(ErrorCode::kUnavailable, "the daemon is ending", "try again when it is back");
      }
    }
    return future.get();
  }

  // As ask(), for what only reads: without a thread that decides, nothing changes what is read.
  template <class T>
  Result<T> ask_to_read(std::function<Result<T>()> work) const {
    if (!options_.passive) return ask(std::move(work));
    const std::lock_guard lock(mutex_);
    return work();
  }

  bool wait_until_settled(std::chrono::milliseconds most) const {
    std::unique_lock lock(mutex_);
    return settled_changed_.wait_for(lock, most, [this] { return settled_; });
  }

  Timestamp now() const { return clock_.now(); }
  state::Store& store_;
  const Clock& clock_;
  const ServiceOptions options_;
  mutable StoreSource source_;
  ThreadedRunner runner_;
  Coordinator coordinator_;
  const DocumentGuard documents_;

  std::map<TargetName, TargetHealth> health() const {
    const std::lock_guard lock(health_mutex_);
    return health_;
  }

  // Looks at one target. What is found is kept; the ledger says what should be.
  Result<TargetHealth> look(const TargetName& name) {
    const auto published = coordinator_.published();
    const auto live = published->live.find(name);
    if (live == published->live.end()) return fail(ErrorCode::kNotFound, "nothing is live on target " + name.str(), "");
    ST8_ASSIGN(const auto documents, source_.targets());
    const auto document = documents->find(name);
    if (document == documents->end())
      return fail(ErrorCode::kNotFound, "there is no target " + name.str() + " any more", "");
    if (!document->second->target) return fail(as_error(document->second->problems));
    return look(*document->second->target, live->second.content);
  }
  TargetHealth look(const Target& target, const Hash& expected) {
    const auto seen = runner_.observe(target, std::chrono::seconds(30));
    TargetHealth found;
    if (!seen) {
      found.state = TargetHealth::State::kUnreachable;
      found.detail = seen.error().message;
    } else if (!seen->present) {
      found.state = TargetHealth::State::kMissing;
      found.detail = "nothing is live there";
    } else if (seen->content != expected) {
      found.state = TargetHealth::State::kAltered;
      found.detail =
          "it reads back " + seen->content.hex().substr(0, 12) + " instead of " + expected.hex().substr(0, 12);
    }
    found.looked_at = found.since = clock_.now();
    const std::lock_guard lock(health_mutex_);
    const auto before = health_.find(target.name);
    if (before != health_.end()) {
      if (before->second.state == found.state) found.since = before->second.since;
      if (found.state == TargetHealth::State::kUnreachable) found.failures = before->second.failures + 1;
      if (found.state != TargetHealth::State::kInSync) found.repairs = before->second.repairs;
    }
    health_[target.name] = found;
    return found;
  }

  // On the crew, a few at once, so that targets that do not answer leave threads to rollouts.
  Result<std::vector<TargetCheck>> check_targets(const std::vector<TargetName>& names,
                                                 std::chrono::milliseconds timeout_each) {
    if (options_.passive)
      return fail(ErrorCode::kUnavailable, "targets are asked by st8d, not by a store opened locally",
                  "start st8d over the state directory");
    ST8_ASSIGN(const auto documents, source_.targets());
    struct Asked {
      std::promise<TargetCheck> promise;
      std::future<TargetCheck> future = promise.get_future();
    };
    std::vector<TargetCheck> checks;
    for (std::size_t at = 0; at < names.size(); at += kLooksAtOnce) {
      std::vector<std::shared_ptr<Asked>> asked;
      for (std::size_t i = at; i < std::min(names.size(), at + kLooksAtOnce); ++i) {
        asked.push_back(std::make_shared<Asked>());
        const auto document = documents->find(names[i]);
        if (document == documents->end() || !document->second->target) {
          Error error = document == documents->end()
                            ? Error{ErrorCode::kNotFound, "there is no target " + names[i].str(), ""}
                            : as_error(document->second->problems);
          asked.back()->promise.set_value({names[i], fail(std::move(error)), std::chrono::milliseconds(0)});
          continue;
        }
        runner_.crew().post([this, one = asked.back(), target = *document->second->target, timeout_each] {
          const auto begun = clock_.monotonic();
          Status status = runner_.check(target, timeout_each);
          one->promise.set_value({target.name, std::move(status),
                                  std::chrono::duration_cast<std::chrono::milliseconds>(clock_.monotonic() - begun)});
        });
      }
      for (const auto& one : asked) {
        while (one->future.wait_for(std::chrono::milliseconds(50)) != std::future_status::ready) {
          // Work that is dropped at the end never answers.
          const std::lock_guard lock(mutex_);
          if (!running_) return fail(ErrorCode::kUnavailable, "the daemon is ending", "try again when it is back");
        }
        checks.push_back(one->future.get());
      }
    }
    return checks;
  }

  Status repair(const TargetName& name) {
    ST8_TRY(ask<void>([this, name] { return coordinator_.drifted(name); }));
    const std::lock_guard lock(health_mutex_);
    ++health_[name].repairs;
    return {};
  }

 private:
  // After this many repairs that did not last, someone else wants the target otherwise: a person is to decide.
  static constexpr std::uint32_t kRepairsMax = 3;
  static constexpr std::size_t kLooksAtOnce = 8;

  // The loop that looks for drift: each live target as often as its policy says, less often while it does not answer.
  void observe_all() {
    for (;;) {
      const auto published = coordinator_.published();
      const Timestamp now = clock_.now();
      std::set<TargetName> held;
      for (const auto& [id, rollout] : published->open) {
        if (rollout.summary.phase == RolloutPhase::kPending) continue;
        for (const PlannedTarget& target : rollout.plan->targets) held.insert(target.target.name);
      }
      std::vector<std::pair<TargetName, const LedgerEntry*>> now_due;
      Timestamp next{now.micros + 1'000'000};
      const auto known = health();
      for (const auto& [name, entry] : published->live) {
        const auto policy = published->policies.find({entry.name_space, entry.branch});
        if (policy == published->policies.end() || policy->second->drift == DriftAction::kIgnore || !entry.promoted ||
            held.contains(name))
          continue;
        std::int64_t wait = policy->second->drift_interval.count() * 1000;
        std::int64_t last = 0;
        if (const auto seen = known.find(name); seen != known.end()) {
          last = seen->second.looked_at.micros;
          // An answer that does not come is asked for less and less, up to ten minutes.
          wait = std::min<std::int64_t>(std::max<std::int64_t>(wait, 600'000'000),
                                        wait << std::min<std::uint32_t>(seen->second.failures, 10));
        }
        if (last + wait <= now.micros) {
          now_due.emplace_back(name, &entry);
        } else {
          next = std::min(next, Timestamp{last + wait});
        }
      }
      for (std::size_t at = 0; at < now_due.size(); at += kLooksAtOnce) {
        std::vector<std::future<void>> looks;
        auto documents = source_.targets();
        for (std::size_t i = at; i < std::min(now_due.size(), at + kLooksAtOnce); ++i) {
          const auto& [name, entry] = now_due[i];
          if (!documents) break;
          const auto document = (*documents)->find(name);
          if (document == (*documents)->end() || !document->second->target) continue;
          const auto policy = published->policies.find({entry->name_space, entry->branch});
          const bool may_repair = policy->second->drift == DriftAction::kRepair;
          auto done = std::make_shared<std::promise<void>>();
          looks.push_back(done->get_future());
          runner_.crew().post([this, target = *document->second->target, expected = entry->content, may_repair, done] {
            const TargetHealth found = look(target, expected);
            const bool drift =
                found.state == TargetHealth::State::kAltered || found.state == TargetHealth::State::kMissing;
            // A rollout may have begun meanwhile; then the coordinator says so, and the next look tells.
            if (drift && may_repair && found.repairs < kRepairsMax) static_cast<void>(repair(target.name));
            done->set_value();
          });
        }
        for (auto& one : looks) {
          while (one.wait_for(std::chrono::milliseconds(50)) != std::future_status::ready) {
            const std::lock_guard lock(mutex_);
            if (!running_) return;
          }
        }
      }
      std::unique_lock lock(mutex_);
      if (!running_) return;
      look_.wait_for(lock, std::chrono::microseconds(std::max<std::int64_t>(1000, next.micros - clock_.now().micros)),
                     [this] { return !running_; });
      if (!running_) return;
    }
  }

  void run() {
    std::optional<Timestamp> wake_at;
    std::unique_lock lock(mutex_);
    while (running_) {
      const auto ready = [this] { return !running_ || !moved_.empty() || !results_.empty() || !tasks_.empty(); };
      if (first_) {
        first_ = false;
      } else if (wake_at) {
        const std::int64_t wait = std::max<std::int64_t>(0, wake_at->micros - clock_.now().micros);
        wake_.wait_for(lock, std::chrono::microseconds(std::min<std::int64_t>(wait, 1'000'000)), ready);
      } else {
        wake_.wait(lock, ready);
      }
      if (!running_) return;
      auto moved = std::exchange(moved_, {});
      auto results = std::exchange(results_, {});
      auto tasks = std::exchange(tasks_, {});
      lock.unlock();
      for (const BranchId& branch : moved) coordinator_.branch_moved(branch);
      for (const auto& [id, result] : results) coordinator_.take(id, result, clock_.now());
      for (const auto& task : tasks) task();
      wake_at = coordinator_.step(clock_.now());
      if (options_.changed) options_.changed();
      lock.lock();
      settled_ = moved_.empty() && results_.empty() && tasks_.empty() && coordinator_.open_rollouts() == 0;
      if (settled_) settled_changed_.notify_all();
    }
  }

  mutable std::mutex mutex_;
  mutable std::condition_variable wake_;
  mutable std::condition_variable settled_changed_;
  std::condition_variable look_;
  mutable std::deque<std::function<void()>> tasks_;
  std::deque<std::pair<RolloutId, EffectResult>> results_;
  std::set<BranchId> moved_;
  mutable bool settled_ = false;
  bool first_ = true;
  bool running_ = false;
  std::thread thread_;
  std::thread observer_;
  mutable std::mutex health_mutex_;
  std::map<TargetName, TargetHealth> health_;
};

RolloutService::RolloutService(state::Store& store, const Clock& clock, ServiceOptions options)
    : impl_(std::make_unique<Impl>(store, clock, options)) {}
RolloutService::~RolloutService() = default;
Status RolloutService::start() { return impl_->start(); }
void RolloutService::stop() { impl_->stop(); }
bool RolloutService::wait_until_settled(std::chrono::milliseconds most) const {
  return impl_->wait_until_settled(most);
}

void RolloutService::on_operation(const state::NamespaceName& name_space, const state::Operation& operation) {
  UnfollowedBranches& unfollowed = impl_->coordinator_.unfollowed();
  const auto changed = [&](const std::string& branch) {
    unfollowed.branch_changed(name_space.view(), branch);
    impl_->branch_moved({name_space.str(), branch});
  };
  switch (operation.kind) {
    case state::OperationKind::kCommit:
      if (unfollowed.contains(name_space.view(), operation.name)) break;
      impl_->branch_moved({name_space.str(), operation.name});
      break;
    case state::OperationKind::kBranchCreate:
    case state::OperationKind::kBranchDelete:
      changed(operation.name);
      break;
    case state::OperationKind::kBranchRename:
      changed(operation.name);
      changed(operation.detail);
      break;
    case state::OperationKind::kNamespaceDelete:
      unfollowed.forget();
      break;
    default:
      break;
  }
}

Status RolloutService::check(const state::ProposedCommit& commit) const {
  // Before the commit is durable, so before anybody is told of it.
  for (const state::Change& change : commit.changes) {
    if (change.key.view() != kPolicyKey) continue;
    impl_->coordinator_.unfollowed().policy_proposed(commit.name_space.view(), commit.branch.view());
    break;
  }
  // What was promoted was good when it was planned, and its way back is never barred.
  if (commit.cause == state::Cause::kAutoRollback) return {};
  ST8_TRY(impl_->documents_.check(commit));
  const auto published = impl_->coordinator_.published();
  if (published->quarantine.empty()) return {};
  const auto branch = published->branches.find({commit.name_space.str(), commit.branch.str()});
  for (const auto& [record, one] : published->quarantine) {
    if (one.name_space != commit.name_space.str()) continue;
    for (const state::Change& change : commit.changes) {
      if (change.key.str() != one.key) continue;
      const bool same = one.after ? change.after && change.after->hash == *one.after : !change.after;
      if (!same) continue;
      const bool same_branch = one.branch == commit.branch.str();
      if (!same_branch && (branch == published->branches.end() || !one.concerns(branch->second.targets))) continue;
      return fail(ErrorCode::kUnprocessable,
                  "the change of \"" + one.key + "\" is in quarantine: it failed in rollout " + one.rollout.str() +
                      " (" + one.reason.substr(0, 300) + ")",
                  "change it, or release it with `st8ctl quarantine release " + one.key + "`");
    }
  }
  return {};
}

std::vector<std::string> RolloutService::looks_at(const state::NamespaceName& name_space,
                                                  const state::BranchName&) const {
  std::vector<std::string> prefixes{std::string(kPolicyKey)};
  if (name_space.view() == kSystemNamespace) prefixes.emplace_back(kTargetPrefix);
  const auto published = impl_->coordinator_.published();  // Held: another may be published meanwhile.
  for (const auto& [record, one] : published->quarantine) {
    if (one.name_space == name_space.str()) prefixes.push_back(one.key);
  }
  return prefixes;
}

Status RolloutService::validate_documents(const state::NamespaceName& name_space,
                                          const std::vector<state::Document>& documents) const {
  return impl_->documents_.validate(name_space, documents);
}

// --- Reads -----------------------------------------------------------------------------------------------------------

Result<RolloutPage> RolloutService::list(const RolloutQuery& query) const {
  const auto published = impl_->coordinator_.published();
  RolloutPage page;
  const std::size_t limit = std::clamp<std::size_t>(query.limit, 1, 1000);
  const auto wanted = [&](const RolloutSummary& summary) {
    return (query.name_space.empty() || summary.name_space == query.name_space) &&
           (query.branch.empty() || summary.branch == query.branch) && (!query.open_only || !is_final(summary.phase));
  };
  if (query.open_only) {
    for (auto it = published->open.rbegin(); it != published->open.rend(); ++it) {
      const RolloutSummary& summary = it->second.summary;
      if (query.before != 0 && summary.id.value >= query.before) continue;
      if (!wanted(summary)) continue;
      if (page.rollouts.size() == limit) {
        page.next = page.rollouts.back().id.value;
        break;
      }
      page.rollouts.push_back(summary);
    }
    return page;
  }
  // Newest first over a store that scans forward: by blocks of ids from the end.
  const auto& records = impl_->store_.records();
  ST8_ASSIGN(const auto last, records.get(records::kSequence));
  std::uint64_t end = last ? std::strtoull(last->c_str(), nullptr, 10) + 1 : 1;
  if (query.before != 0) end = std::min(end, query.before);
  constexpr std::uint64_t kBlock = 256;
  while (end > 1) {
    const std::uint64_t begin = end > kBlock ? end - kBlock : 1;
    ST8_ASSIGN(auto block,
               records.scan(records::kIndexPrefix, records::index({begin - 1}), static_cast<std::size_t>(end - begin)));
    for (auto it = block.rbegin(); it != block.rend(); ++it) {
      ST8_ASSIGN(RolloutSummary summary, decode_summary(it->value));
      if (summary.id.value >= end || summary.id.value < begin) continue;
      if (const auto open = published->open.find(summary.id); open != published->open.end())
        summary = open->second.summary;
      if (!wanted(summary)) continue;
      if (page.rollouts.size() == limit) {
        page.next = page.rollouts.back().id.value;
        return page;
      }
      page.rollouts.push_back(std::move(summary));
    }
    end = begin;
  }
  return page;
}

Result<RolloutDetail> RolloutService::get(RolloutId id) const {
  const auto& records = impl_->store_.records();
  ST8_ASSIGN(const auto bytes, records.get(records::plan(id)));
  if (!bytes) return fail(ErrorCode::kNotFound, "there is no rollout " + id.str(), "`st8ctl rollout list` shows them");
  RolloutDetail detail;
  const auto published = impl_->coordinator_.published();
  if (const auto open = published->open.find(id); open != published->open.end()) {
    detail.view.summary = open->second.summary;
    detail.view.plan = open->second.plan;
  } else {
    ST8_ASSIGN(Plan plan, decode_plan(*bytes));
    detail.view.plan = std::make_shared<const Plan>(std::move(plan));
    ST8_ASSIGN(const auto index, records.get(records::index(id)));
    if (index) {
      ST8_ASSIGN(detail.view.summary, decode_summary(*index));
    }
  }
  std::string after;
  constexpr std::size_t kPage = 1000;
  for (;;) {
    ST8_ASSIGN(const auto page, records.scan(records::event_prefix(id), after, kPage));
    for (const state::Record& record : page) {
      ST8_ASSIGN(RolloutEvent event, decode_event(record.value));
      detail.events.push_back(std::move(event));
    }
    if (page.size() < kPage) break;
    after = page.back().key;
  }
  // The events are the truth, and at least as new as what was published before they were read.
  RolloutState state(*detail.view.plan);
  for (const RolloutEvent& event : detail.events) ST8_TRY(state.apply(*detail.view.plan, event));
  detail.view.state = std::move(state);
  return detail;
}

Result<std::vector<RolloutEvent>> RolloutService::events(RolloutId id, std::uint64_t after, std::size_t limit) const {
  ST8_ASSIGN(const auto page, impl_->store_.records().scan(records::event_prefix(id),
                                                           after == 0 ? "" : records::event(id, after), limit));
  std::vector<RolloutEvent> events;
  events.reserve(page.size());
  for (const state::Record& record : page) {
    ST8_ASSIGN(RolloutEvent event, decode_event(record.value));
    events.push_back(std::move(event));
  }
  return events;
}

Result<RolloutStanding> RolloutService::summary(RolloutId id) const {
  const auto published = impl_->coordinator_.published();
  if (const auto open = published->open.find(id); open != published->open.end()) return open->second;
  const auto& records = impl_->store_.records();
  ST8_ASSIGN(const auto index, records.get(records::index(id)));
  ST8_ASSIGN(const auto bytes, records.get(records::plan(id)));
  if (!index || !bytes)
    return fail(ErrorCode::kNotFound, "there is no rollout " + id.str(), "`st8ctl rollout list` shows them");
  ST8_ASSIGN(RolloutSummary summary, decode_summary(*index));
  ST8_ASSIGN(Plan plan, decode_plan(*bytes));
  return RolloutStanding{std::move(summary), std::make_shared<const Plan>(std::move(plan))};
}

namespace {
bool chosen(const LiveQuery& query, const std::string& name_space, const std::string& branch) {
  return (query.name_space.empty() || name_space == query.name_space) &&
         (query.branch.empty() || branch == query.branch);
}
bool chosen(const LiveQuery& query, const LedgerEntry& entry) {
  return chosen(query, entry.name_space, entry.branch) && (query.target.empty() || entry.target.str() == query.target);
}
}  // namespace

RolloutService::Live RolloutService::live_now(const LiveQuery& query) const {
  const auto published = impl_->coordinator_.published();
  const auto health = impl_->health();
  Live now;
  for (const auto& [name, entry] : published->live) {
    if (!chosen(query, entry)) continue;
    LiveEntry live{entry, {}, entry.promoted ? "promoted" : "activated", std::nullopt};
    if (const auto branch = published->branches.find({entry.name_space, entry.branch});
        branch != published->branches.end())
      live.desired = branch->second.desired;
    // A look from before this content went live says nothing about it.
    if (const auto found = health.find(entry.target); found != health.end() && found->second.looked_at >= entry.since) {
      live.observed_at = found->second.looked_at;
      if (found->second.state != TargetHealth::State::kInSync) live.state = health_state_name(found->second.state);
    }
    now.targets.push_back(std::move(live));
  }
  if (!query.target.empty()) return now;
  for (const auto& [branch, status] : published->branches) {
    if (chosen(query, branch.first, branch.second)) now.branches.push_back({branch.first, branch.second, status});
  }
  return now;
}

Result<std::vector<LiveEntry>> RolloutService::live(const LiveQuery& query) const {
  if (!query.at) return live_now(query).targets;
  std::vector<LiveEntry> entries;
  // The newest ledger entry of each target that began by then.
  const auto& records = impl_->store_.records();
  std::optional<LedgerEntry> best;
  const auto settle = [&] {
    if (best && (!best->until || *best->until > *query.at) && chosen(query, *best)) {
      const LedgerEntry entry = *best;
      LiveEntry live{entry, {}, entry.promoted ? "promoted" : "activated", std::nullopt};
      entries.push_back(std::move(live));
    }
    best.reset();
  };
  std::string after;
  constexpr std::size_t kPage = 1000;
  constexpr std::string_view kLedger = "rollout/ledger/";
  const std::string prefix = query.target.empty() ? std::string(kLedger) : std::string(kLedger) + query.target + '\0';
  for (;;) {
    ST8_ASSIGN(const auto page, records.scan(prefix, after, kPage));
    for (const state::Record& record : page) {
      ST8_ASSIGN(LedgerEntry entry, decode_ledger_entry(record.value));
      if (best && !(best->target == entry.target)) settle();
      if (entry.since <= *query.at) best = std::move(entry);
    }
    if (page.size() < kPage) break;
    after = page.back().key;
  }
  settle();
  return entries;
}

Result<std::vector<TargetView>> RolloutService::targets() const {
  ST8_ASSIGN(const auto documents, impl_->source_.targets());
  std::map<TargetName, LiveEntry> live;
  for (LiveEntry& entry : live_now({}).targets) live.insert_or_assign(entry.entry.target, entry);
  std::map<TargetName, RolloutId> holders;
  const auto published = impl_->coordinator_.published();
  for (const auto& [id, rollout] : published->open) {
    if (rollout.summary.phase == RolloutPhase::kPending) continue;
    for (const PlannedTarget& planned : rollout.plan->targets) holders[planned.target.name] = id;
  }
  std::vector<TargetView> views;
  for (const auto& [name, document] : *documents) {
    TargetView view{
        document->target ? *document->target : Target{name, "", {}, Criticality::kMedium, "", document->text},
        std::nullopt,
        {},
        document->problems,
        ""};
    if (view.problems.empty() && view.target.kind == "worker") {
      if (const auto spec = drivers::read_spec<worker::WorkerSpec>(view.target)) view.worker = spec->worker;
    }
    if (const auto found = live.find(name); found != live.end()) view.live = found->second;
    if (const auto holder = holders.find(name); holder != holders.end()) view.held_by = holder->second;
    views.push_back(std::move(view));
  }
  return views;
}

Result<TargetView> RolloutService::target(const TargetName& name) const {
  ST8_ASSIGN(auto views, targets());
  std::vector<std::string> names;
  for (TargetView& view : views) {
    if (view.target.name == name) return std::move(view);
    names.push_back(view.target.name.str());
  }
  const std::vector<std::string_view> candidates(names.begin(), names.end());
  const std::string near = nearest(name.str(), candidates);
  return fail(ErrorCode::kNotFound, "there is no target " + name.str(),
              near.empty() ? "apply targets/" + name.str() + ".yaml to " + std::string(kSystemNamespace)
                           : "did you mean `" + near + "`?");
}

Result<Plan> RolloutService::plan(const state::NamespaceName& name_space, const state::BranchName& branch,
                                  std::optional<state::RevisionNumber> revision) const {
  return impl_->ask_to_read<Plan>([this, id = BranchId{name_space.str(), branch.str()}, revision] {
    return impl_->coordinator_.plan_for(id, revision, impl_->now());
  });
}

Result<Simulation> RolloutService::simulate(const state::NamespaceName& name_space, const state::BranchName& branch,
                                            const Hypothesis& hypothesis) const {
  return impl_->ask_to_read<Simulation>([this, id = BranchId{name_space.str(), branch.str()}, hypothesis] {
    return impl_->coordinator_.simulate(id, hypothesis, impl_->now());
  });
}

std::vector<RolloutService::BranchEntry> RolloutService::branches() const { return live_now({}).branches; }

std::string_view health_state_name(TargetHealth::State state) {
  constexpr std::string_view kNames[] = {"in-sync", "altered", "missing", "unreachable"};
  return kNames[static_cast<std::size_t>(state)];
}

std::vector<std::pair<TargetName, TargetHealth>> RolloutService::health() const {
  const auto health = impl_->health();
  return {health.begin(), health.end()};
}

Result<std::vector<TargetCheck>> RolloutService::check_targets(const std::vector<TargetName>& names,
                                                               std::chrono::milliseconds timeout_each) const {
  return impl_->check_targets(names, timeout_each);
}

Result<TargetHealth> RolloutService::reconcile(const TargetName& name) {
  ST8_ASSIGN(const TargetHealth found, impl_->look(name));
  if (found.state == TargetHealth::State::kAltered || found.state == TargetHealth::State::kMissing)
    ST8_TRY(impl_->repair(name));
  return found;
}

Result<RolloutSummary> RolloutService::act(RolloutId id, const RolloutAction& action) {
  auto done = impl_->ask<void>([this, id, action] { return impl_->coordinator_.act(id, action, impl_->now()); });
  if (!done) return fail(done.error());
  ST8_ASSIGN(auto index, impl_->store_.records().get(records::index(id)));
  if (!index) return fail(ErrorCode::kNotFound, "there is no rollout " + id.str(), "");
  return decode_summary(*index);
}

Status RolloutService::freeze(const std::string& scope, const std::string& actor, const std::string& reason) {
  if (scope != "*") {
    if (auto name = state::NamespaceName::parse(scope); !name) return fail(name.error());
  }
  return impl_->ask<void>([this, scope, actor, reason] {
    return impl_->coordinator_.freeze({scope, actor, reason, impl_->now()});
  });
}
Status RolloutService::unfreeze(const std::string& scope) {
  return impl_->ask<void>([this, scope] { return impl_->coordinator_.unfreeze(scope); });
}
std::vector<Freeze> RolloutService::freezes() const {
  const auto published = impl_->coordinator_.published();
  std::vector<Freeze> freezes;
  for (const auto& [scope, freeze] : published->freezes) freezes.push_back(freeze);
  return freezes;
}
std::vector<Quarantine> RolloutService::quarantined() const {
  const auto published = impl_->coordinator_.published();
  std::vector<Quarantine> quarantined;
  for (const auto& [record, one] : published->quarantine) quarantined.push_back(one);
  return quarantined;
}
Result<std::size_t> RolloutService::release(const std::string& name_space, const std::string& key_or_rollout) {
  return impl_->ask<std::size_t>(
      [this, name_space, key_or_rollout] { return impl_->coordinator_.release(name_space, key_or_rollout); });
}

std::vector<std::pair<state::NamespaceName, state::RevisionNumber>> RolloutService::pinned() const {
  const auto published = impl_->coordinator_.published();
  std::set<std::pair<std::string, std::uint64_t>> pins;
  for (const auto& [name, entry] : published->live) pins.emplace(entry.name_space, entry.revision.value);
  for (const auto& [branch, status] : published->branches) {
    if (!status.promoted.is_root()) pins.emplace(branch.first, status.promoted.value);
  }
  for (const auto& [id, rollout] : published->open) {
    pins.emplace(rollout.plan->name_space.str(), rollout.plan->revision.value);
    if (!rollout.plan->promoted.is_root()) pins.emplace(rollout.plan->name_space.str(), rollout.plan->promoted.value);
  }
  std::vector<std::pair<state::NamespaceName, state::RevisionNumber>> result;
  for (const auto& [ns, number] : pins) {
    if (auto name = state::NamespaceName::parse(ns))
      result.emplace_back(std::move(*name), state::RevisionNumber{number});
  }
  return result;
}

}  // namespace st8::target
