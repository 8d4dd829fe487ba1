#include "service/coordinator.h"

#include <algorithm>
#include <charconv>
#include <functional>

#include "st8/state/failpoint.h"

namespace st8::target {
namespace {

constexpr std::size_t kPage = 1000;
constexpr Millis kTryAgain{1'000};

Timestamp later(Timestamp time, Millis by) { return {time.micros + by.count() * 1000}; }

Result<std::vector<state::Record>> scan_all(const state::RecordStore& records, std::string_view prefix) {
  std::vector<state::Record> all;
  std::string after;
  for (;;) {
    ST8_ASSIGN(std::vector<state::Record> page, records.scan(prefix, after, kPage));
    const bool more = page.size() == kPage;
    if (!page.empty()) after = page.back().key;
    std::move(page.begin(), page.end(), std::back_inserter(all));
    if (!more) return all;
  }
}

std::uint64_t number_of(const std::optional<std::string>& text) {
  std::uint64_t number = 0;
  if (text) std::from_chars(text->data(), text->data() + text->size(), number);
  return number;
}
std::uint64_t hex_of(std::string_view text) {
  std::uint64_t number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number, 16);
  return number;
}

// Names the state before the first activation, at the target, for ever: the id alone would come back in a store made anew.
std::string restore_point_of(RolloutId id, const Plan& plan) {
  return id.str() + "-" +
         Hash::of_parts({plan.hash.value.view(), std::to_string(plan.created_at.micros)}).hex().substr(0, 12);
}

RolloutSummary summarize(RolloutId id, const Plan& plan, const RolloutState& state, const std::string& waiting) {
  RolloutSummary summary;
  summary.id = id;
  summary.name_space = plan.name_space.str();
  summary.branch = plan.branch.str();
  summary.revision = plan.revision;
  summary.phase = state.phase;
  summary.reason = state.reason;
  summary.waiting_for = waiting;
  summary.plan = plan.hash;
  summary.targets = static_cast<std::uint32_t>(plan.targets.size());
  summary.targets_activated = state.activated_targets;
  summary.targets_touched = state.touched_targets;
  summary.targets_failed = state.failed_targets;
  summary.waves = static_cast<std::uint32_t>(plan.waves.size());
  summary.wave = state.wave;
  summary.appended = state.appended;
  summary.created_at = state.created_at;
  summary.started_at = state.started_at;
  summary.ended_at = state.ended_at;
  return summary;
}

// Those that the plan is about, whether it touches them or not.
std::vector<TargetName> targets_of(const Plan& plan) {
  std::vector<TargetName> targets;
  targets.reserve(plan.targets.size() + plan.untouched.size());
  for (const PlannedTarget& target : plan.targets) targets.push_back(target.target.name);
  for (const UntouchedTarget& target : plan.untouched) targets.push_back(target.name);
  return targets;
}

}  // namespace

Coordinator::Coordinator(state::RecordStore& records, Source& source, EffectRunner& runner)
    : records_(records), source_(source), runner_(runner) {}

std::shared_ptr<const Coordinator::Published> Coordinator::published() const {
  const std::lock_guard lock(published_mutex_);
  return published_;
}

const Executor* Coordinator::executor(RolloutId id) const {
  const auto found = active_.find(id);
  return found == active_.end() ? nullptr : found->second->executor.get();
}

// --- Recovery --------------------------------------------------------------------------------------------------------

Result<std::unique_ptr<Coordinator::Active>> Coordinator::load(RolloutId id, Timestamp now) {
  ST8_ASSIGN(const auto bytes, records_.get(records::plan(id)));
  if (!bytes) return fail(ErrorCode::kCorrupt, "rollout " + id.str() + " has no plan", "run `st8d fsck`");
  ST8_ASSIGN(Plan decoded, decode_plan(*bytes));
  const auto plan = std::make_shared<const Plan>(std::move(decoded));
  RolloutState state(*plan);
  ST8_ASSIGN(const std::vector<state::Record> events, scan_all(records_, records::event_prefix(id)));
  for (const state::Record& record : events) {
    ST8_ASSIGN(const RolloutEvent event, decode_event(record.value));
    if (auto applied = state.apply(*plan, event); !applied) {
      return fail(ErrorCode::kCorrupt, "rollout " + id.str() + ": " + applied.error().message, "run `st8d fsck`");
    }
  }
  auto active = std::make_unique<Active>();
  active->id = id;
  active->restore_point = restore_point_of(id, *plan);
  active->executor = std::make_unique<Executor>(plan, std::move(state), now);
  return active;
}

Status Coordinator::read_records() {
  leases_.clear();
  live_.clear();
  planned_.clear();
  promoted_.clear();
  quarantine_.clear();
  freezes_.clear();
  policies_.clear();
  std::vector<BranchId> known;  // What is promoted there is read below.
  for (const auto& [branch, status] : status_) known.push_back(branch);
  for (const BranchId& branch : known) status_.change(branch, [](BranchStatus& status) { status.promoted = {}; });
  ST8_ASSIGN(const auto sequence, records_.get(records::kSequence));
  ST8_ASSIGN(const auto fence, records_.get(records::kFence));
  sequence_ = number_of(sequence);
  fence_ = number_of(fence);
  ST8_ASSIGN(const auto leases, scan_all(records_, records::kLeasePrefix));
  for (const state::Record& record : leases) {
    ST8_ASSIGN(auto name, TargetName::parse(record.key.substr(records::kLeasePrefix.size())));
    ST8_ASSIGN(const records::Lease lease, records::decode_lease(record.value));
    leases_[std::move(name)] = lease;
  }
  ST8_ASSIGN(const auto live, scan_all(records_, records::kLivePrefix));
  for (const state::Record& record : live) {
    ST8_ASSIGN(LedgerEntry entry, decode_ledger_entry(record.value));
    const TargetName name = entry.target;
    live_.insert_or_assign(name, std::move(entry));
  }
  ST8_ASSIGN(const auto planned, scan_all(records_, records::kPlannedPrefix));
  for (const state::Record& record : planned) {
    ST8_ASSIGN(const records::Planned one, records::decode_planned(record.value));
    if (const auto branch = records::branch_of(record.key, records::kPlannedPrefix)) planned_[*branch] = one;
  }
  ST8_ASSIGN(const auto promoted, scan_all(records_, records::kPromotedPrefix));
  for (const state::Record& record : promoted) {
    ST8_ASSIGN(const records::Promoted one, records::decode_promoted(record.value));
    if (const auto branch = records::branch_of(record.key, records::kPromotedPrefix)) promoted_[*branch] = one;
  }
  ST8_ASSIGN(const auto quarantine, scan_all(records_, records::kQuarantinePrefix));
  std::map<RolloutId, QuarantinedTargets> quarantined_targets;
  for (const state::Record& record : quarantine) {
    ST8_ASSIGN(Quarantine one, decode_quarantine(record.value));
    if (one.targets == nullptr) {
      auto& targets = quarantined_targets[one.rollout];
      if (targets == nullptr) {
        ST8_ASSIGN(const auto names, records_.get(records::quarantined_targets(one.rollout)));
        if (!names)
          return fail(ErrorCode::kCorrupt,
                      "the targets of what rollout " + one.rollout.str() + " put in quarantine are missing",
                      "restore a backup");
        ST8_ASSIGN(targets, decode_quarantined_targets(*names));
      }
      one.targets = targets;
    }
    quarantine_.insert_or_assign(record.key, std::move(one));
  }
  ST8_ASSIGN(const auto freezes, scan_all(records_, records::kFreezePrefix));
  for (const state::Record& record : freezes) {
    ST8_ASSIGN(Freeze one, decode_freeze(record.value));
    std::string scope = one.scope;
    freezes_.insert_or_assign(std::move(scope), std::move(one));
  }
  for (const auto& [branch, one] : promoted_) {
    const state::RevisionNumber revision = one.revision;
    status_.change(branch, [&](BranchStatus& status) { status.promoted = revision; });
    ST8_ASSIGN(const auto bytes, records_.get(records::plan(one.rollout)));
    if (!bytes) continue;
    ST8_ASSIGN(const Plan plan, decode_plan(*bytes));
    policies_.insert_or_assign(branch, std::make_shared<const Policy>(plan.policy));
    status_.change(branch, [&](BranchStatus& status) { status.targets = targets_of(plan); });
  }
  return {};
}

Status Coordinator::load_open(Timestamp now) {
  for (auto& [id, active] : active_) active->cancel_operations->store(true);
  active_.clear();
  ST8_ASSIGN(const auto open, scan_all(records_, records::kOpenPrefix));
  for (const state::Record& record : open) {
    const RolloutId id{hex_of(std::string_view(record.key).substr(records::kOpenPrefix.size()))};
    ST8_ASSIGN(auto active, load(id, now));
    const Plan& plan = active->executor->plan();
    status_.change({plan.name_space.str(), plan.branch.str()}, [&](BranchStatus& status) {
      status.rollout = id;
      status.targets.clear();
      for (const PlannedTarget& target : plan.targets) status.targets.push_back(target.target.name);
    });
    active_[id] = std::move(active);
  }
  open_.clear();  // publish() fills it.
  return {};
}

Status Coordinator::read_only() {
  ST8_TRY(read_records());
  ST8_TRY(load_open({}));
  std::vector<BranchId> branches;
  for (const auto& [branch, status] : status_) branches.push_back(branch);
  for (const BranchId& branch : branches) {
    ST8_ASSIGN(const auto head, source_.head(branch));
    if (head) status_.change(branch, [&](BranchStatus& status) { status.desired = head->revision; });
  }
  publish();
  return {};
}

Status Coordinator::recover(Timestamp now) {
  ST8_TRY(read_records());
  ST8_TRY(load_open(now));
  // An effect of before the crash may still be on its way to its target: under a new token it comes too late.
  Group group;
  for (auto& [id, active] : active_) {
    bool holds = false;
    for (const PlannedTarget& target : active->executor->plan().targets) {
      const auto lease = leases_.find(target.target.name);
      if (lease == leases_.end() || lease->second.holder != id) continue;
      if (!holds) fence_ = std::max(fence_ + 1, static_cast<std::uint64_t>(std::max<std::int64_t>(now.micros, 0)));
      holds = true;
      active->token = lease->second.token = fence_;
      group.writes.push_back({records::lease(target.target.name), records::encode(lease->second)});
    }
    collect(*active, group, now);
  }
  if (!group.writes.empty()) {
    group.writes.push_back({std::string(records::kFence), std::to_string(fence_)});
    ST8_TRY(records_.commit(std::move(group.writes)));
    for (auto& then : group.then) then();
  }
  ST8_TRY(all_moved());
  publish();
  return {};
}

Status Coordinator::all_moved() {
  ST8_ASSIGN(std::vector<BranchId> branches, source_.branches());
  for (BranchId& branch : branches) dirty_.insert(std::move(branch));
  return {};
}

// What was decided could not be made durable: it never was. Everything is read again, as after a crash.
void Coordinator::reload_all(Timestamp now) {
  for (auto& [id, active] : active_) active->cancel_operations->store(true);
  try_again_at_ = later(now, kTryAgain);
  active_.clear();
}

// --- What happened ---------------------------------------------------------------------------------------------------

void Coordinator::take(RolloutId rollout, const EffectResult& result, Timestamp now) {
  const auto found = active_.find(rollout);
  if (found == active_.end()) return;
  found->second->executor->take(result, now);
  found->second->changed = true;
}

std::optional<Timestamp> Coordinator::step(Timestamp now) {
  if (try_again_at_) {
    if (now < *try_again_at_) return try_again_at_;
    try_again_at_.reset();
    if (auto recovered = recover(now); !recovered) {
      reload_all(now);
      return try_again_at_;
    }
  }
  if (look_again_at_ && now >= *look_again_at_) {
    look_again_at_.reset();
    dirty_.merge(std::exchange(unread_, {}));
  }
  // Ends when a whole turn changes nothing: one rollout's end may be what another waits for.
  for (int turn = 0; turn < 1000; ++turn) {
    bool busy = false;
    std::set<BranchId> dirty = std::exchange(dirty_, {});
    for (const BranchId& branch : dirty) {
      Group group;
      if (auto considered = consider(branch, now, group); !considered) {
        // The store could not be read: nothing is decided on half of the facts.
        status_.change(branch, [&](BranchStatus& status) { status.problem = considered.error().message; });
        unread_.insert(branch);
        look_again_at_ = later(now, kTryAgain);
        continue;
      }
      busy = busy || !group.writes.empty();
      if (!commit(std::move(group), now)) return try_again_at_;
    }
    for (auto& [id, active] : active_) {
      std::string why;
      if (active->executor->state().phase == RolloutPhase::kPending && stale(*active, now, why)) {
        active->replan = true;
        (void)active->executor->supersede(why, now);
      }
      active->executor->decide(now, surroundings_of(*active, now));
      if (active->waiting != active->executor->waiting_for()) {
        active->waiting = active->executor->waiting_for();
        active->changed = true;
      }
    }
    const std::size_t before = active_.size();
    if (!flush(now)) return try_again_at_;
    publish();
    busy = busy || active_.size() != before || !dirty_.empty();
    if (!busy) break;
  }
  std::optional<Timestamp> wake = look_again_at_;
  for (auto& [id, active] : active_) {
    const auto at = active->executor->wake_at();
    if (at && (!wake || *at < *wake)) wake = at;
  }
  return wake;
}

// --- Planning --------------------------------------------------------------------------------------------------------

Result<PlannerInput> Coordinator::gather(const BranchId& branch, const SourceHead& head, Policy policy,
                                         std::string policy_source, Timestamp now) {
  ST8_ASSIGN(auto name_space, state::NamespaceName::parse(branch.first));
  ST8_ASSIGN(auto branch_name, state::BranchName::parse(branch.second));
  PlannerInput input{std::move(name_space),
                     std::move(branch_name),
                     head.revision,
                     head.hash,
                     head.author,
                     head.cause == state::Cause::kRollback || head.cause == state::Cause::kAutoRollback,
                     {},
                     {},
                     std::move(policy_source),
                     std::move(policy),
                     {},
                     {},
                     {},
                     {},
                     0,
                     0,
                     now,
                     {}};
  if (!head.revision.is_root()) {
    ST8_ASSIGN(input.documents, source_.documents(branch.first, head.revision));
  }
  if (const auto promoted = promoted_.find(branch); promoted != promoted_.end()) {
    input.promoted = promoted->second.revision;
    auto documents = source_.documents(branch.first, input.promoted);
    if (!documents) return fail(documents.error());
    input.promoted_documents = std::move(*documents);
  }
  ST8_ASSIGN(const auto targets, source_.targets());
  for (const auto& [name, document] : *targets) {
    if (!document->target) {
      // Only a policy that names it minds: labels cannot be read from a document that is not good.
      if (std::find(input.policy.targets.names.begin(), input.policy.targets.names.end(), name) ==
          input.policy.targets.names.end())
        continue;
      return fail(as_error(document->problems));
    }
    TargetFacts facts{*document->target, std::nullopt, {}, "", ""};
    if (const auto live = live_.find(name); live != live_.end()) {
      facts.live = Observation{true, live->second.content, ""};
      facts.drifted = drifted_.contains(name);
      facts.live_revision = live->second.revision;
      facts.live_namespace = live->second.name_space;
      facts.live_branch = live->second.branch;
      if (!input.known_contents.contains(live->second.content)) {
        ST8_ASSIGN(const auto bytes, records_.get(records::content(live->second.content)));
        if (bytes) {
          ST8_ASSIGN(auto files, records::decode_files(*bytes));
          input.known_contents[live->second.content] = std::move(files);
        }
      }
    }
    input.targets.push_back(std::move(facts));
  }
  std::vector<TargetName> known;
  for (const auto& [name, document] : *targets) known.push_back(name);
  // What was good once must be able to come back though its policy names a machine that is gone since; anything else would
  // silently leave a target out.
  if (input.is_rollback) {
    for (const TargetName& name : input.policy.targets.names) {
      if (std::find(known.begin(), known.end(), name) == known.end()) input.missing.push_back(name);
    }
  } else {
    std::vector<DocumentProblem> problems;
    check_policy_targets(input.policy, input.policy_source, known, problems);
    if (!problems.empty()) return fail(as_error(problems));
  }
  for (const auto& [other, dependencies] : dependencies_) {
    for (const Dependency& dependency : dependencies) {
      if (dependency.name_space == branch.first && dependency.branch == branch.second) ++input.dependents;
    }
  }
  if (const auto count = rollbacks_.find(branch); count != rollbacks_.end()) input.recent_rollbacks = count->second;
  input.sources = source_.render_sources(branch.first, head.revision);
  return input;
}

std::string Coordinator::quarantined(const BranchId& branch, const std::vector<SourceDocument>& documents,
                                     const std::vector<TargetName>& targets) const {
  for (const auto& held : quarantine_) {
    const Quarantine& one = held.second;
    if (one.name_space != branch.first) continue;
    const auto at =
        std::lower_bound(documents.begin(), documents.end(), one.key,
                         [](const SourceDocument& document, const std::string& key) { return document.key < key; });
    const bool there = at != documents.end() && at->key == one.key;
    if ((one.after ? there && at->hash == *one.after : !there) && one.concerns(targets)) {
      return "the change of \"" + one.key + "\" failed in rollout " + one.rollout.str() +
             " and is in quarantine: " + one.reason;
    }
  }
  return "";
}

Status Coordinator::forget_earlier_life(const BranchId& branch, const SourceHead& head, Group& group) {
  const auto is_of_this_life = [&](state::RevisionNumber number, const std::optional<Hash>& hash) -> Result<bool> {
    if (number == head.revision) return !hash || *hash == head.hash;
    const auto revision = source_.revision(branch.first, number);
    if (!revision && revision.error().code == ErrorCode::kNotFound) return false;
    if (!revision) return fail(revision.error());
    return !hash || *hash == revision->hash;
  };
  if (const auto planned = planned_.find(branch); planned != planned_.end()) {
    ST8_ASSIGN(const bool keeps, is_of_this_life(planned->second.revision, planned->second.hash));
    if (!keeps) {
      planned_.erase(planned);
      group.writes.push_back({records::planned(branch), std::nullopt});
    }
  }
  if (const auto promoted = promoted_.find(branch); promoted != promoted_.end()) {
    ST8_ASSIGN(const bool keeps, is_of_this_life(promoted->second.revision, promoted->second.hash));
    if (!keeps) {
      promoted_.erase(promoted);
      policies_.erase(branch);
      status_.change(branch, [](BranchStatus& status) { status.promoted = {}; });
      group.writes.push_back({records::promoted(branch), std::nullopt});
    }
  }
  return {};
}

Status Coordinator::consider(const BranchId& branch, Timestamp now, Group& group) {
  const auto look = unfollowed_.begin_look();
  ST8_ASSIGN(const auto head, source_.head(branch));
  if (!head) {
    status_.erase(branch);
    return {};
  }
  // Targets changed: branches that could not be planned may be now, and what is promoted may have to reach new ones.
  const bool holds_targets = branch.first == kSystemNamespace && branch.second == "main";
  if (holds_targets) {
    for (const auto& [other, status] : status_) {
      dirty_.insert(other);
      targets_changed_.insert(other);
    }
  }
  const bool targets_changed = targets_changed_.erase(branch) > 0;
  ST8_TRY(forget_earlier_life(branch, *head, group));
  Active* open = nullptr;
  for (auto& [id, active] : active_) {
    if (active->executor->plan().name_space.str() == branch.first &&
        active->executor->plan().branch.str() == branch.second)
      open = active.get();
  }
  const auto planned = planned_.find(branch);
  const bool reaches_new_targets = targets_changed && open == nullptr && planned != planned_.end() &&
                                   planned->second.revision == head->revision && promoted_.contains(branch) &&
                                   promoted_[branch].revision == head->revision;
  if (planned != planned_.end() && planned->second.revision == head->revision && !reaches_new_targets) {
    const auto known = status_.find(branch);
    if (known != status_.end() && known->second.desired != head->revision)
      status_.change(branch, [&](BranchStatus& status) { status.desired = head->revision; });
    return {};
  }
  if (open != nullptr) {
    const RolloutPhase phase = open->executor->state().phase;
    status_.change(branch, [&](BranchStatus& status) { status.desired = head->revision; });
    // It is looked at again when the open one ends: see collect_event().
    if (phase == RolloutPhase::kRollingBack || is_final(phase)) return {};
    const bool rollback = head->cause == state::Cause::kRollback || head->cause == state::Cause::kAutoRollback;
    if (open->executor->plan().policy.supersede == SupersedeAction::kQueue && phase != RolloutPhase::kPending &&
        !rollback)
      return {};
    open->changed = true;
    return open->executor->supersede("revision " + std::to_string(head->revision.value) + " took its place", now);
  }
  ST8_ASSIGN(auto source, source_.read(branch.first, head->revision, std::string(kPolicyKey)));
  const auto nothing_follows = [&]() -> Status {
    status_.erase(branch);
    dependencies_.erase(branch);
    if (!holds_targets) unfollowed_.found(branch, look);
    return {};
  };
  if (!source) return nothing_follows();
  const auto set_desired = [&](const std::string& problem) {
    status_.change(branch, [&](BranchStatus& status) {
      status.desired = head->revision;
      status.problem = problem;
    });
  };
  std::vector<DocumentProblem> problems;
  auto policy = parse_policy(*source, problems);
  if (!policy) {
    set_desired(as_error(problems).message);
    return {};
  }
  if (!policy->names_branch(branch.second)) return nothing_follows();
  dependencies_[branch] = policy->depends_on;
  set_desired("");
  auto input = gather(branch, *head, std::move(*policy), std::move(*source), now);
  auto plan = input ? make_plan(*input) : Result<Plan>(fail(input.error()));
  if (!plan) {
    const ErrorCode code = plan.error().code;
    if (code == ErrorCode::kUnavailable || code == ErrorCode::kOutcomeUnknown) return fail(plan.error());
    set_desired(plan.error().message + (plan.error().hint.empty() ? "" : " (" + plan.error().hint + ")"));
    return {};
  }
  const std::vector<TargetName> targets = targets_of(*plan);
  const std::string why = quarantined(branch, input->documents, targets);
  status_.change(branch, [&](BranchStatus& status) {
    status.targets = targets;
    status.problem = why;
  });
  if (!why.empty()) return {};
  if (reaches_new_targets && plan->noop()) return {};
  const RolloutId id{sequence_ + 1};
  auto active = std::make_unique<Active>();
  active->id = id;
  active->restore_point = restore_point_of(id, *plan);
  RolloutEvent created;
  created.sequence = 1;
  created.at = now;
  created.revision = plan->revision;
  RolloutState state(*plan);
  ST8_TRY(state.apply(*plan, created));
  group.writes.push_back({std::string(records::kSequence), std::to_string(id.value)});
  group.writes.push_back({records::plan(id), encode_plan(*plan)});
  group.writes.push_back({records::open(id), ""});
  group.writes.push_back({records::event(id, 1), encode_event(created)});
  const records::Planned planned_now{plan->revision, plan->revision_hash};
  group.writes.push_back({records::planned(branch), records::encode(planned_now)});
  group.writes.push_back({records::index(id), encode_summary(summarize(id, *plan, state, ""))});
  active->executor = std::make_unique<Executor>(std::make_shared<const Plan>(std::move(*plan)), std::move(state), now);
  group.then.push_back(
      [this, branch, id, planned_now, shared = std::make_shared<std::unique_ptr<Active>>(std::move(active))] {
        sequence_ = id.value;
        planned_[branch] = planned_now;
        status_.change(branch, [&](BranchStatus& status) { status.rollout = id; });
        active_[id] = std::move(*shared);
      });
  return {};
}

Status Coordinator::drifted(const TargetName& target) {
  ST8_TRY(check_durable());
  const auto live = live_.find(target);
  if (live == live_.end()) return fail(ErrorCode::kNotFound, "nothing is live on target " + target.str(), "");
  const auto lease = leases_.find(target);
  if (lease != leases_.end() && lease->second.holder.value != 0) {
    return fail(ErrorCode::kConflict, "target " + target.str() + " is held by rollout " + lease->second.holder.str(),
                "wait for its end");
  }
  const BranchId branch{live->second.name_space, live->second.branch};
  const auto promoted = promoted_.find(branch);
  const auto planned = planned_.find(branch);
  if (promoted == promoted_.end() || planned == planned_.end() ||
      planned->second.revision != promoted->second.revision) {
    return fail(ErrorCode::kConflict,
                "the head of " + branch.first + " branch " + branch.second +
                    " is not promoted, so there is nothing to bring back to",
                "promote a revision first");
  }
  drifted_.insert(target);
  targets_changed_.insert(branch);
  dirty_.insert(branch);
  return {};
}

Result<Plan> Coordinator::plan_for(const BranchId& branch, std::optional<state::RevisionNumber> revision,
                                   Timestamp now) {
  Hypothesis as_it_is;
  as_it_is.revision = revision;
  ST8_ASSIGN(Simulation simulation, simulate(branch, as_it_is, now));
  return std::move(simulation.plan);
}

Result<Simulation> Coordinator::simulate(const BranchId& branch, const Hypothesis& hypothesis, Timestamp now) {
  // What is laid over the revision: nullptr for a document that is taken away.
  std::map<std::string, const std::string*> laid;
  for (const state::Document& document : hypothesis.documents) laid[document.key.str()] = &document.content;
  for (const state::DocumentKey& key : hypothesis.unset) laid[key.str()] = nullptr;
  if (hypothesis.policy) laid[std::string(kPolicyKey)] = &*hypothesis.policy;

  std::optional<SourceHead> head;
  if (hypothesis.revision) {
    ST8_ASSIGN(head, source_.revision(branch.first, *hypothesis.revision));
  } else {
    ST8_ASSIGN(head, source_.head(branch));
    if (!head && laid.empty())
      return fail(ErrorCode::kNotFound, "there is no branch " + branch.second + " in " + branch.first, "");
  }
  const std::string told = head ? "revision " + std::to_string(head->revision.value) + " of " + branch.first
                                : branch.first + " branch " + branch.second;
  std::optional<std::string> source;
  if (const auto policy = laid.find(std::string(kPolicyKey)); policy != laid.end()) {
    if (policy->second != nullptr) source = *policy->second;
  } else if (head) {
    ST8_ASSIGN(source, source_.read(branch.first, head->revision, std::string(kPolicyKey)));
  }
  if (!source) return fail(ErrorCode::kUnprocessable, told + " has no " + std::string(kPolicyKey), "apply one");
  std::vector<DocumentProblem> problems;
  auto policy = parse_policy(*source, problems);
  if (!policy) return fail(as_error(problems));
  if (!policy->names_branch(branch.second))
    return fail(ErrorCode::kUnprocessable, "the policy does not name branch " + branch.second, "add it to `branches`");
  // Of a branch that does not exist yet nothing but what is laid over is read.
  SourceHead base = head.value_or(SourceHead{});
  if (!laid.empty()) {
    base.author = hypothesis.author;
    base.cause = state::Cause::kApply;
  }
  ST8_ASSIGN(PlannerInput input, gather(branch, base, std::move(*policy), std::move(*source), now));
  if (!laid.empty()) {
    std::erase_if(input.documents, [&](const SourceDocument& document) { return laid.contains(document.key); });
    for (const auto& [key, content] : laid) {
      if (content != nullptr) input.documents.push_back({key, Hash::of(*content), content->size()});
    }
    std::sort(input.documents.begin(), input.documents.end(),
              [](const SourceDocument& a, const SourceDocument& b) { return a.key < b.key; });
    input.sources.read = [&laid, below = input.sources.read,
                          exists = head.has_value()](const std::string& key) -> Result<std::string> {
      if (const auto one = laid.find(key); one != laid.end()) {
        if (one->second != nullptr) return *one->second;
        return fail(ErrorCode::kUnprocessable, "the revision would have no document \"" + key + "\"", "");
      }
      if (!exists) return fail(ErrorCode::kUnprocessable, "the revision would have no document \"" + key + "\"", "");
      return below(key);
    };
    if (!hypothesis.opens_sealed) {
      input.sources.open = [](std::string_view) -> Result<std::string> {
        return fail(ErrorCode::kUnprocessable, "a sealed value is opened for a simulation only by who may write there",
                    "simulate a revision that exists, or with a token that may write");
      };
    }
  }
  ST8_ASSIGN(Plan plan, make_plan(input));
  Simulation simulation{std::move(plan), {}};
  if (std::string why = quarantined(branch, input.documents, targets_of(simulation.plan)); !why.empty())
    simulation.waits.push_back(std::move(why));
  if (simulation.plan.needs_approval)
    simulation.waits.emplace_back("an approval by someone other than " + (simulation.plan.author.empty()
                                                                              ? std::string("the author")
                                                                              : simulation.plan.author));
  const Surroundings around = surroundings_of(simulation.plan, RolloutId{}, true, now);
  if (!around.frozen.empty()) simulation.waits.push_back(around.frozen);
  if (!around.blocked.empty()) simulation.waits.push_back(around.blocked);
  return simulation;
}

bool Coordinator::stale(const Active& active, Timestamp now, std::string& why) {
  const Plan& plan = active.executor->plan();
  if (now >= plan.expires_at) {
    why = "the plan expired";
    return true;
  }
  const BranchId branch{plan.name_space.str(), plan.branch.str()};
  const auto promoted = promoted_.find(branch);
  if ((promoted == promoted_.end() ? state::RevisionNumber{} : promoted->second.revision) != plan.promoted) {
    why = "the plan went stale: another revision was promoted meanwhile";
    return true;
  }
  for (const PlannedTarget& target : plan.targets) {
    const auto live = live_.find(target.target.name);
    const std::optional<Hash> content = live == live_.end() ? std::nullopt : std::optional<Hash>(live->second.content);
    if (content == target.from) continue;
    // Held by a rollout that is not over, it may yet come back to what the plan saw.
    const auto lease = leases_.find(target.target.name);
    if (lease != leases_.end() && lease->second.holder.value != 0) continue;
    why = "the plan went stale: target " + target.target.name.str() + " changed meanwhile";
    return true;
  }
  return false;
}

Surroundings Coordinator::surroundings_of(const Active& active, Timestamp now) {
  return surroundings_of(active.executor->plan(), active.id, active.executor->state().phase == RolloutPhase::kPending,
                         now);
}

Surroundings Coordinator::surroundings_of(const Plan& plan, RolloutId rollout, bool pending, Timestamp now) {
  Surroundings around;
  // A rollback is never held up by a freeze, a window or a schedule.
  if (!plan.fast_path) {
    for (const auto& [scope, freeze] : freezes_) {
      if (scope == "*" || scope == plan.name_space.str())
        around.frozen = "the freeze of " + (scope == "*" ? std::string("everything") : scope) + " to end" +
                        (freeze.reason.empty() ? "" : ": " + freeze.reason);
    }
  }
  if (!pending) return around;
  for (const PlannedTarget& target : plan.targets) {
    const auto lease = leases_.find(target.target.name);
    if (lease != leases_.end() && lease->second.holder.value != 0 && lease->second.holder != rollout) {
      around.blocked = "target " + target.target.name.str() + ", held by rollout " + lease->second.holder.str();
      return around;
    }
  }
  if (plan.fast_path) return around;
  if (plan.policy.schedule && now < *plan.policy.schedule) {
    around.blocked = "its schedule, " + format_rfc3339(*plan.policy.schedule);
    around.look_again = plan.policy.schedule;
    return around;
  }
  const auto& windows = plan.policy.windows;
  if (!windows.empty() &&
      std::none_of(windows.begin(), windows.end(), [&](const Window& window) { return window.contains(now); })) {
    around.blocked = "a window to open";
    constexpr std::int64_t kMinute = 60'000'000;
    around.look_again = Timestamp{(now.micros / kMinute + 1) * kMinute};
    return around;
  }
  for (const Dependency& dependency : plan.policy.depends_on) {
    const BranchId other{dependency.name_space, dependency.branch};
    const auto promoted = promoted_.find(other);
    const auto planned = planned_.find(other);
    const bool settled = promoted != promoted_.end() &&
                         (planned == planned_.end() || planned->second.revision == promoted->second.revision);
    if (!settled) around.blocked = dependency.name_space + " branch " + dependency.branch + " to be promoted";
  }
  return around;
}

// --- Making it durable -----------------------------------------------------------------------------------------------

void Coordinator::set_live(Group& group, const TargetName& target, std::optional<LedgerEntry> entry, Timestamp now) {
  const auto live = live_.find(target);
  const bool was = live != live_.end();
  if (was && entry && live->second.content == entry->content && live->second.revision == entry->revision &&
      live->second.name_space == entry->name_space && live->second.branch == entry->branch) {
    if (live->second.promoted == entry->promoted) return;
    entry->since = live->second.since;
    if (live->second.promoted) entry->promoted = true;
  } else if (was) {
    LedgerEntry closed = live->second;
    closed.until = now;
    group.writes.push_back({records::ledger(target, closed.since), encode_ledger_entry(closed)});
  }
  if (entry) {
    group.writes.push_back({records::ledger(target, entry->since), encode_ledger_entry(*entry)});
    group.writes.push_back({records::live(target), encode_ledger_entry(*entry)});
  } else if (was) {
    group.writes.push_back({records::live(target), std::nullopt});
  }
  // At once in memory: a later event of the same group builds on it. When the group is not written, all is read again.
  if (entry) {
    live_.insert_or_assign(target, std::move(*entry));
  } else {
    live_.erase(target);
  }
}

void Coordinator::collect_event(Active& active, const RolloutEvent& event, Group& group) {
  const Plan& plan = active.executor->plan();
  const BranchId branch{plan.name_space.str(), plan.branch.str()};
  group.writes.push_back({records::event(active.id, event.sequence), encode_event(event)});
  switch (event.kind) {
    case EventKind::kStarted: {
      fence_ = std::max(fence_ + 1, static_cast<std::uint64_t>(std::max<std::int64_t>(event.at.micros, 0)));
      active.token = fence_;
      group.writes.push_back({std::string(records::kFence), std::to_string(fence_)});
      for (const PlannedTarget& target : plan.targets) {
        leases_[target.target.name] = {active.id, fence_};
        group.writes.push_back({records::lease(target.target.name), records::encode(leases_[target.target.name])});
      }
      // The files of what goes live, for the diffs of later plans.
      for (const PlannedContent& content : plan.contents) {
        std::vector<FileEntry> files;
        for (const PlannedFile& file : content.files) files.push_back(file.entry);
        group.writes.push_back({records::content(content.hash), records::encode(files)});
      }
      break;
    }
    case EventKind::kOpSucceeded:
      if (plan.ops[event.op].kind == OpKind::kObserve && event.observation) {
        const PlannedTarget& target = plan.targets[event.target];
        drifted_.erase(target.target.name);
        set_live(group, target.target.name,
                 LedgerEntry{target.target.name, branch.first, branch.second, plan.revision, event.observation->content,
                             active.id, false, event.at, std::nullopt},
                 event.at);
      }
      break;
    case EventKind::kRestored: {
      const PlannedTarget& target = plan.targets[event.target];
      const auto live = live_.find(target.target.name);
      if (target.from) {
        if (live == live_.end() || live->second.content != *target.from ||
            live->second.revision != target.from_revision) {
          set_live(group, target.target.name,
                   LedgerEntry{target.target.name, branch.first, branch.second, target.from_revision, *target.from,
                               active.id, true, event.at, std::nullopt},
                   event.at);
        }
      } else {
        set_live(group, target.target.name, std::nullopt, event.at);
      }
      break;
    }
    case EventKind::kRollbackStarted:
      if (*event.outcome == RolloutPhase::kRolledBack && plan.policy.quarantine) {
        // Without a revision to go back to there is nothing that the delta is a delta of.
        if (!plan.promoted.is_root() && !plan.delta.empty()) {
          std::vector<TargetName> names = targets_of(plan);
          std::sort(names.begin(), names.end());
          group.writes.push_back({records::quarantined_targets(active.id), encode_quarantined_targets(names)});
          const auto targets = std::make_shared<const std::vector<TargetName>>(std::move(names));
          std::set<RolloutId> replaced;
          for (const KeyDelta& delta : plan.delta) {
            Quarantine one{branch.first, branch.second, delta.key,    delta.after,
                           targets,      active.id,     event.detail, event.at};
            std::string key = records::quarantine(branch.first, delta.key, delta.after);
            group.writes.push_back({key, encode_quarantine(one)});
            if (const auto before = quarantine_.find(key); before != quarantine_.end())
              replaced.insert(before->second.rollout);
            quarantine_.insert_or_assign(std::move(key), std::move(one));
          }
          forget_quarantined_targets(replaced, {}, group.writes);
        }
      }
      break;
    case EventKind::kRejected:
    case EventKind::kEnded: {
      group.writes.push_back({records::open(active.id), std::nullopt});
      for (const PlannedTarget& target : plan.targets) {
        const auto lease = leases_.find(target.target.name);
        if (lease == leases_.end() || lease->second.holder != active.id) continue;
        lease->second.holder = {};
        group.writes.push_back({records::lease(target.target.name), records::encode(lease->second)});
      }
      if (event.outcome == RolloutPhase::kPromoted) {
        const records::Promoted promoted{plan.revision, active.id, event.at, plan.revision_hash};
        group.writes.push_back({records::promoted(branch), records::encode(promoted)});
        promoted_[branch] = promoted;
        status_.change(branch, [&](BranchStatus& status) { status.promoted = plan.revision; });
        policies_.insert_or_assign(branch, std::make_shared<const Policy>(plan.policy));
        for (const PlannedTarget& target : plan.targets) {
          set_live(group, target.target.name,
                   LedgerEntry{target.target.name, branch.first, branch.second, plan.revision,
                               plan.contents[target.content].hash, active.id, true, event.at, std::nullopt},
                   event.at);
        }
        // Left alone, because what was read back there is what this revision asks for.
        for (const UntouchedTarget& target : plan.untouched) {
          set_live(group, target.name,
                   LedgerEntry{target.name, branch.first, branch.second, plan.revision, target.content, active.id, true,
                               event.at, std::nullopt},
                   event.at);
        }
        rollbacks_.erase(branch);
      } else if (event.outcome == RolloutPhase::kRolledBack) {
        ++rollbacks_[branch];
      }
      if (active.replan) {
        planned_.erase(branch);
        group.writes.push_back({records::planned(branch), std::nullopt});
      }
      for (const PlannedTarget& target : plan.targets) drifted_.erase(target.target.name);
      dirty_.insert(branch);
      break;
    }
    default:
      break;
  }
}

void Coordinator::collect(Active& active, Group& group, Timestamp now) {
  std::vector<RolloutEvent> events = active.executor->take_events();
  std::vector<Effect> effects = active.executor->take_effects();
  if (!events.empty()) {
    active.changed = true;
    for (const RolloutEvent& event : events) collect_event(active, event, group);
    group.writes.push_back(
        {records::index(active.id),
         encode_summary(summarize(active.id, active.executor->plan(), active.executor->state(), active.waiting))});
  }
  std::move(effects.begin(), effects.end(), std::back_inserter(active.effects));
  (void)now;
}

void Coordinator::forget_quarantined_targets(std::set<RolloutId> rollouts, const std::set<std::string>& released,
                                             std::vector<state::RecordWrite>& writes) const {
  if (rollouts.empty()) return;
  for (const auto& [record, one] : quarantine_) {
    if (!released.contains(record)) rollouts.erase(one.rollout);
  }
  for (const RolloutId& id : rollouts) writes.push_back({records::quarantined_targets(id), std::nullopt});
}

bool Coordinator::commit(Group group, Timestamp now) {
  if (!group.writes.empty()) {
    ST8_FAILPOINT_VOID("rollout.before_commit");
    if (auto written = records_.commit(std::move(group.writes)); !written) {
      reload_all(now);
      return false;
    }
    ST8_FAILPOINT_VOID("rollout.after_commit");
  }
  for (auto& then : group.then) then();
  return true;
}

bool Coordinator::flush(Timestamp now) {
  // All that all rollouts decided goes with one sync.
  Group group;
  for (auto& [id, active] : active_) collect(*active, group, now);
  if (!commit(std::move(group), now)) return false;
  for (auto& [id, active] : active_) dispatch(*active);
  return true;
}

void Coordinator::write_down(Timestamp now) {
  if (flush(now)) publish();
}

void Coordinator::dispatch(Active& active) {
  const auto& plan = active.executor->plan_pointer();
  if (active.executor->cancels_operations()) active.cancel_operations->store(true);
  for (const Effect& effect : std::exchange(active.effects, {})) {
    EffectOrder order{active.id, effect, plan, active.token, active.restore_point, {}, active.executor->state().reason,
                      nullptr};
    if (effect.kind == Effect::Kind::kOp || effect.kind == Effect::Kind::kProbe ||
        effect.kind == Effect::Kind::kMeasure)
      order.cancelled = active.cancel_operations;
    if (effect.kind == Effect::Kind::kRestore)
      order.steps_begun = active.executor->state().targets[effect.target].steps_begun;
    runner_.start(std::move(order));
  }
  if (active.executor->finished()) {
    for (std::uint32_t i = 0; i < plan->targets.size(); ++i) {
      if (!active.executor->state().targets[i].ever_touched) continue;
      runner_.start({active.id,
                     {Effect::Kind::kDiscard, i, RolloutEvent::kNone, 0, 0},
                     plan,
                     active.token,
                     active.restore_point,
                     active.executor->state().targets[i].steps_begun,
                     "",
                     nullptr});
    }
  }
}

Status Coordinator::check_durable() const {
  if (!try_again_at_) return {};
  return fail(ErrorCode::kUnavailable, "the rollouts cannot be written now", "try again in a second");
}

void Coordinator::publish() {
  if (!check_durable()) return;
  for (auto it = active_.begin(); it != active_.end();) {
    Active& active = *it->second;
    if (active.executor->finished()) {
      open_.erase(active.id);
      it = active_.erase(it);
      continue;
    }
    if (std::exchange(active.changed, false)) {
      const Executor& executor = *active.executor;
      const std::string waiting = executor.broken() ? "a bug: " + executor.broken()->message : active.waiting;
      open_.insert_or_assign(
          active.id, {summarize(active.id, executor.plan(), executor.state(), waiting), executor.plan_pointer()});
    }
    ++it;
  }
  // The last one is let go of, if nobody holds it, when the lock is not held any more.
  std::shared_ptr<const Published> next =
      std::make_shared<const Published>(Published{open_.snapshot(), live_.snapshot(), quarantine_.snapshot(),
                                                  freezes_.snapshot(), status_.snapshot(), policies_.snapshot()});
  const std::lock_guard lock(published_mutex_);
  published_.swap(next);
}

// --- Verbs -----------------------------------------------------------------------------------------------------------

Status Coordinator::act(RolloutId rollout, const RolloutAction& action, Timestamp now) {
  ST8_TRY(check_durable());
  const auto found = active_.find(rollout);
  if (found == active_.end()) {
    if (rollout.value == 0 || rollout.value > sequence_)
      return fail(ErrorCode::kNotFound, "there is no rollout " + rollout.str(), "`st8ctl rollout list` shows them");
    return fail(ErrorCode::kConflict, "rollout " + rollout.str() + " is over",
                "apply or restore a revision to begin another");
  }
  Executor& executor = *found->second->executor;
  const auto done = [&]() -> Status {
    switch (action.kind) {
      case RolloutAction::Kind::kPause:
        return executor.pause(action.actor, action.reason, now);
      case RolloutAction::Kind::kResume:
        return executor.resume(action.actor, now, action.reason);
      case RolloutAction::Kind::kPromote:
        return executor.promote(false, action.actor, now, action.reason);
      case RolloutAction::Kind::kPromoteFull:
        return executor.promote(true, action.actor, now, action.reason);
      case RolloutAction::Kind::kAbort:
        return executor.abort(action.actor, action.reason, now);
      case RolloutAction::Kind::kRetry:
        return executor.retry(action.actor, now, action.reason);
      case RolloutAction::Kind::kApprove: {
        // An author is what somebody wrote down. Who was authenticated cannot be chosen.
        const Plan& plan = executor.plan();
        if (!action.anonymous && executor.state().phase == RolloutPhase::kPending && action.plan == plan.hash) {
          ST8_ASSIGN(const std::string maker, source_.maker(plan.name_space.str(), plan.revision));
          if (maker == action.actor)
            return fail(ErrorCode::kPermissionDenied, action.actor + " made the revision and cannot approve it",
                        "ask someone else");
        }
        return executor.approve(action.plan, action.actor, now, action.reason);
      }
      case RolloutAction::Kind::kReject:
        return executor.reject(action.actor, action.reason, now);
    }
    return fail(ErrorCode::kInvalidArgument, "no such action", "");
  }();
  if (!done) return done;
  if (!flush(now)) return fail(ErrorCode::kUnavailable, "what was asked could not be written", "try again in a second");
  publish();
  return {};
}

Status Coordinator::freeze(const Freeze& freeze) {
  ST8_TRY(check_durable());
  ST8_TRY(records_.commit({{records::freeze(freeze.scope), encode_freeze(freeze)}}));
  freezes_.insert_or_assign(freeze.scope, freeze);
  publish();
  return {};
}

Status Coordinator::unfreeze(const std::string& scope) {
  ST8_TRY(check_durable());
  if (!freezes_.contains(scope)) return fail(ErrorCode::kNotFound, "there is no freeze of " + scope, "");
  ST8_TRY(records_.commit({{records::freeze(scope), std::nullopt}}));
  freezes_.erase(scope);
  publish();
  return {};
}

Result<std::size_t> Coordinator::release(const std::string& name_space, const std::string& key_or_rollout) {
  ST8_TRY(check_durable());
  std::vector<state::RecordWrite> writes;
  std::set<std::string> keys;
  std::set<RolloutId> rollouts;
  for (const auto& [record, one] : quarantine_) {
    if (one.name_space != name_space || (one.key != key_or_rollout && one.rollout.str() != key_or_rollout)) continue;
    writes.push_back({record, std::nullopt});
    keys.insert(record);
    rollouts.insert(one.rollout);
    dirty_.insert({one.name_space, one.branch});
  }
  if (keys.empty())
    return fail(ErrorCode::kNotFound, "nothing of \"" + key_or_rollout + "\" is in quarantine in " + name_space,
                "`st8ctl quarantine list` shows what is");
  forget_quarantined_targets(rollouts, keys, writes);
  ST8_TRY(records_.commit(std::move(writes)));
  for (const std::string& key : keys) quarantine_.erase(key);
  publish();
  return keys.size();
}

}  // namespace st8::target
