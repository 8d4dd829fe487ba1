// A world for rollouts: the real planner, executor and coordinator over a clock, targets, a source of revisions and records
// that are all made up, driven by one seed. Targets are slow, dead for a while, lie about success, write half; people pause,
// promote and abort; the daemon dies at any of its writes, and what it had sent may still arrive.
//
// After everything that happens the invariants of docs/architecture.md are checked against what is truly at the targets.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "service/coordinator.h"

namespace st8::target::sim {

// What is deliberately broken, to see whether the checks notice.
enum class Mutation : std::uint8_t {
  kNone,
  kNoFence,       // Targets take calls under any token.
  kEchoObserve,   // Read-back answers what was sent.
  kEchoRestore,   // A restore says it restored, and did not.
  kLoseIntents,   // Events written before effects are lost with a crash.
  kSkipValidate,  // Validation answers the planned hash without looking.
};

struct Options {
  std::uint64_t seed = 1;
  Mutation mutation = Mutation::kNone;
  bool trace = false;
};

class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed * 0x9e3779b97f4a7c15ull + 0x1234567) {}
  std::uint64_t next() {  // splitmix64
    std::uint64_t z = (state_ += 0x9e3779b97f4a7c15ull);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
  }
  std::uint64_t below(std::uint64_t bound) { return next() % bound; }
  bool chance(unsigned percent) { return below(100) < percent; }

 private:
  std::uint64_t state_;
};

// Records that survive the daemon, and its death at a write.
class SimRecords final : public state::RecordStore {
 public:
  enum class Fault : std::uint8_t { kNone, kDieBefore, kDieAfter };
  std::function<Fault()> fault;

  Result<std::optional<std::string>> get(std::string_view key) const override {
    const auto found = map_.find(std::string(key));
    return found == map_.end() ? std::optional<std::string>{} : std::optional<std::string>(found->second);
  }
  Result<std::vector<state::Record>> scan(std::string_view prefix, std::string_view after,
                                          std::size_t limit) const override {
    std::vector<state::Record> found;
    for (auto it = after.empty() ? map_.lower_bound(std::string(prefix)) : map_.upper_bound(std::string(after));
         it != map_.end() && found.size() < limit; ++it) {
      if (!it->first.starts_with(prefix)) break;
      found.push_back({it->first, it->second});
    }
    return found;
  }
  Status commit(std::vector<state::RecordWrite> writes, std::vector<state::RecordExpectation>) override {
    const Fault what = fault ? fault() : Fault::kNone;
    if (what == Fault::kDieBefore) return fail(ErrorCode::kUnavailable, "died before the write");
    for (state::RecordWrite& write : writes) {
      if (write.value) {
        map_[write.key] = std::move(*write.value);
      } else {
        map_.erase(write.key);
      }
    }
    if (what == Fault::kDieAfter) return fail(ErrorCode::kOutcomeUnknown, "died after the write");
    return {};
  }
  std::map<std::string, std::string>& map() { return map_; }

 private:
  std::map<std::string, std::string> map_;
};

struct SimTarget {
  std::optional<Hash> live;
  std::map<std::string, Hash> staged;
  std::map<std::string, std::optional<Hash>> restore_points;
  std::uint64_t fence = 0;
  std::int64_t dead_until = 0;
  std::int64_t sick_from = 0;      // Unhealthy from then, whatever is live; 0: well.
  std::uint64_t last_rollout = 0;  // Whose effect was the last to take hold.
  std::uint64_t last_token = 0;
};

class Simulation final : public Source, public EffectRunner {
 public:
  explicit Simulation(Options options) : options_(options), random_(options.seed) {
    const std::size_t count = 1 + random_.below(8);
    for (std::size_t i = 0; i < count; ++i) targets_.emplace(*TargetName::parse("t" + std::to_string(i)), SimTarget{});
    fault_percent_ = static_cast<unsigned>(random_.below(4) * 6);
    crash_percent_ = static_cast<unsigned>(random_.below(4) * 2);
    records_.fault = [this] { return random_fault(); };
    apply();
    boot();
  }

  // Runs to the end. The violation that was found; empty: none.
  std::string run() {
    // Trouble.
    const std::int64_t trouble_until = now_ + 200'000'000;
    std::size_t happenings = 0;
    while (now_ < trouble_until && violation_.empty() && ++happenings < 4000) {
      advance();
      if (random_.chance(2)) apply();
      if (random_.chance(4)) meddle();
      if (random_.chance(crash_percent_) && random_.chance(30)) crash("between two writes");
      check_instant();
    }
    // Peace: nothing fails any more, people answer what they are asked. Everything must come to its end.
    fault_percent_ = crash_percent_ = 0;
    for (auto& [name, target] : targets_) target.dead_until = target.sick_from = 0;
    if (frozen_) thaw();
    for (int i = 0; i < 20'000 && violation_.empty() && !quiet(); ++i) {
      advance();
      if (i % 50 == 49) soothe();
      check_instant();
    }
    if (violation_.empty() && !quiet()) violate("6: not everything came to its end in peace: " + describe());
    if (violation_.empty()) check_end();
    return violation_;
  }

  const std::string& trace() const { return trace_; }
  std::uint64_t rollouts_ended() const { return ended_; }
  std::uint64_t rollbacks() const { return rollbacks_; }
  std::uint64_t crashes() const { return crashes_; }

  // --- Source ---

  Result<std::vector<BranchId>> branches() override { return std::vector<BranchId>{branch_}; }
  Result<std::optional<SourceHead>> head(const BranchId& branch) override {
    if (branch != branch_ || revisions_.empty()) return std::optional<SourceHead>{};
    return std::optional<SourceHead>(head_of(revisions_.size()));
  }
  Result<SourceHead> revision(const std::string&, state::RevisionNumber number) override {
    return head_of(number.value);
  }
  Result<std::vector<SourceDocument>> documents(const std::string&, state::RevisionNumber number) override {
    const Revision& revision = revisions_[number.value - 1];
    return std::vector<SourceDocument>{{".st8/rollout.yaml", Hash::of(revision.policy), revision.policy.size()},
                                       {"value", Hash::of(revision.value), revision.value.size()}};
  }
  Result<std::optional<std::string>> read(const std::string&, state::RevisionNumber number,
                                          const std::string& key) override {
    const Revision& revision = revisions_[number.value - 1];
    return key == "value"      ? std::optional(revision.value)
           : key == kPolicyKey ? std::optional(revision.policy)
                               : std::optional<std::string>{};
  }
  Result<std::shared_ptr<const TargetDocuments>> targets() override {
    auto documents = std::make_shared<TargetDocuments>();
    for (const auto& [name, target] : targets_) {
      std::string text = "kind: file\nlabels: {role: web}\nspec: {root: /none/" + name.str() + "}\n";
      const Hash hash = Hash::of(text);
      documents->emplace(name,
                         std::make_shared<const TargetDocument>(TargetDocument::read(name, hash, std::move(text))));
    }
    return documents;
  }
  Result<std::pair<state::RevisionNumber, std::string>> append_rollback(const AppendOrder& order) override {
    if (failed_revisions_.contains(order.promoted.value))
      violate("7: a failed revision, " + std::to_string(order.promoted.value) + ", is a rollback's source");
    if (const auto done = appended_.find(order.rollout); done != appended_.end())
      return std::pair(state::RevisionNumber{done->second}, std::string());
    if (order.failed.value != revisions_.size())
      return std::pair(state::RevisionNumber{}, std::string("the head has moved on"));
    Revision copy = revisions_[order.promoted.value - 1];
    copy.cause = state::Cause::kAutoRollback;
    revisions_.push_back(copy);
    appended_[order.rollout] = revisions_.size();
    moved_ = true;
    say("revision " + std::to_string(revisions_.size()) + " copies " + std::to_string(order.promoted.value));
    return std::pair(state::RevisionNumber{revisions_.size()}, std::string());
  }

  // --- EffectRunner ---

  void start(EffectOrder order) override {
    const Effect& effect = order.effect;
    if (const Executor* executor = coordinator_ ? coordinator_->executor(order.rollout) : nullptr) {
      const bool rolling_back = executor->state().phase == RolloutPhase::kRollingBack;
      if (rolling_back && effect.kind == Effect::Kind::kOp)
        violate("3: a new operation begins at " + name_of(order) + " while the rollout is rolled back");
    }
    const std::int64_t latency = random_.chance(fault_percent_) ? static_cast<std::int64_t>(random_.below(30'000'000))
                                                                : static_cast<std::int64_t>(random_.below(200'000));
    in_flight_.emplace(now_ + latency, Flight{epoch_, std::move(order)});
  }

 private:
  struct Revision {
    std::string value;
    std::string policy;
    state::Cause cause = state::Cause::kApply;
  };
  struct Flight {
    std::uint64_t epoch;
    EffectOrder order;
  };

  SourceHead head_of(std::uint64_t number) const {
    return {{number}, Hash::of("revision " + std::to_string(number)), "author", revisions_[number - 1].cause};
  }
  std::string name_of(const EffectOrder& order) const {
    return order.plan->targets[order.effect.target].target.name.str();
  }
  void say(const std::string& what) {
    if (options_.trace) trace_ += std::to_string(now_ / 1000) + " ms: " + what + "\n";
  }
  void violate(const std::string& what) {
    if (violation_.empty())
      violation_ =
          "seed " + std::to_string(options_.seed) + ", at " + std::to_string(now_ / 1000) + " ms: invariant " + what;
    say("VIOLATION " + what);
  }

  std::string random_policy() {
    std::string policy = "branches: [main]\ntargets: {labels: {role: web}}\n";
    switch (random_.below(5)) {
      case 0:
        break;
      case 1:
        policy += "strategy: {type: sequential}\n";
        break;
      case 2:
        policy += "strategy: {type: rolling, batchSize: " + std::to_string(1 + random_.below(3)) +
                  ", batchDelay: 2s, maxParallel: 2}\n";
        break;
      case 3: {
        const bool analysis = random_.chance(50);
        policy +=
            "strategy: {type: canary, steps: [{setWeight: 20}, " +
            std::string(analysis ? "{analysis: {tcp: {host: h, port: 1}, interval: 1s, count: 4, failureLimit: 1}}"
                                 : "{pause: {duration: 5s}}") +
            ", {setWeight: 60}, {pause: {}}]}\n";
        break;
      }
      case 4:
        policy += "strategy: {type: blue-green, scaleDownDelay: 5s}\n";
        break;
    }
    policy += "maxFailures: " + std::to_string(random_.below(3)) + "\n";
    policy += "retry: {attempts: " + std::to_string(1 + random_.below(3)) + ", delay: 500ms}\n";
    policy +=
        "health: [{name: up, tcp: {host: h, port: 1}, interval: 200ms, successes: 2, failures: 2, deadline: 3s}]\n";
    if (random_.chance(50)) policy += "bake: 3s\n";
    if (random_.chance(30)) policy += "supersede: queue\n";
    if (random_.chance(40)) {
      policy += "steps: [{name: once, type: script, when: " + std::string(random_.chance(50) ? "before" : "after") +
                ", params: {command: x}, retry: {attempts: 1}}]\n";
    }
    policy += "progressDeadline: 60s\n";
    return policy;
  }

  void apply() {
    Revision revision = revisions_.empty() ? Revision{"v0", random_policy()} : revisions_.back();
    revision.cause = state::Cause::kApply;
    const bool bad = !revisions_.empty() && random_.chance(30);
    revision.value = (bad ? "bad " : "good ") + std::to_string(revisions_.size() + 1);
    if (random_.chance(20)) revision.policy = random_policy();
    revisions_.push_back(revision);
    moved_ = true;
    say("revision " + std::to_string(revisions_.size()) + " " + revision.value);
  }

  // --- The daemon ---

  SimRecords::Fault random_fault() {
    if (booting_ || !random_.chance(crash_percent_)) return SimRecords::Fault::kNone;
    die_ = true;
    return random_.chance(50) ? SimRecords::Fault::kDieBefore : SimRecords::Fault::kDieAfter;
  }
  void boot() {
    booting_ = true;
    die_ = false;
    ++epoch_;
    coordinator_ = std::make_unique<Coordinator>(records_, *this, *this);
    const Status recovered = coordinator_->recover(Timestamp{now_});
    if (!recovered) violate("6: the daemon cannot take up what it left: " + recovered.error().message);
    booting_ = false;
    step();
  }
  void crash(const std::string& how) {
    say("the daemon dies " + how);
    ++crashes_;
    coordinator_.reset();
    results_.clear();
    if (options_.mutation == Mutation::kLoseIntents) {
      // The newest event of each open rollout is lost.
      std::map<std::string, std::string> last;
      for (const auto& [key, value] : records_.map()) {
        if (key.starts_with("rollout/event/")) last[key.substr(0, 14 + 16)] = key;
      }
      for (const auto& [rollout, key] : last) {
        if (records_.map().contains("rollout/open/" + rollout.substr(14)) && !key.ends_with("0000000000000001"))
          records_.map().erase(key);
      }
    }
    // What was sent may be lost, or arrive after all.
    for (auto it = in_flight_.begin(); it != in_flight_.end();)
      it = random_.chance(40) ? in_flight_.erase(it) : std::next(it);
    now_ += static_cast<std::int64_t>(random_.below(5'000'000));
    boot();
  }
  void step() {
    for (int i = 0; i < 3 && violation_.empty(); ++i) {
      if (moved_) coordinator_->branch_moved(branch_);
      moved_ = false;
      for (auto& [id, result] : std::exchange(results_, {})) coordinator_->take(id, result, Timestamp{now_});
      wake_ = coordinator_->step(Timestamp{now_});
      note_ends();
      if (die_) {
        crash("at a write");
        return;
      }
      check_asleep(now_);
      check_asleep(next_time() - 1);
      if (!moved_ && results_.empty()) return;
    }
  }
  std::int64_t next_time() const {
    std::int64_t next = now_ + 1'000'000;
    if (!in_flight_.empty()) next = std::min(next, in_flight_.begin()->first);
    if (wake_) next = std::min(next, wake_->micros);
    return next;
  }
  void advance() {
    now_ = std::max(now_ + 1, next_time());
    while (!in_flight_.empty() && in_flight_.begin()->first <= now_) {
      const Flight flight = std::move(in_flight_.begin()->second);
      in_flight_.erase(in_flight_.begin());
      EffectResult result = happen(flight);
      check_instant();
      if (flight.epoch == epoch_ && flight.order.effect.kind != Effect::Kind::kDiscard)
        results_.emplace_back(flight.order.rollout, std::move(result));
    }
    step();
  }

  // --- The targets ---

  Hash wanted_by(const EffectOrder& order) const {
    return order.plan->contents[order.plan->targets[order.effect.target].content].hash;
  }

  EffectResult happen(const Flight& flight) {
    const EffectOrder& order = flight.order;
    const Effect& effect = order.effect;
    EffectResult result{effect, Status{}, std::nullopt, std::nullopt, {}, ""};
    const auto failed = [&](ErrorCode code, const std::string& why) {
      result.status = fail(code, why);
      return result;
    };
    if (effect.kind == Effect::Kind::kAppend) {
      if (flight.epoch != epoch_ && random_.chance(50)) return failed(ErrorCode::kUnavailable, "gone");
      auto appended =
          append_rollback({branch_, order.plan->revision, order.plan->promoted, order.rollout, order.reason});
      result.revision = appended->first;
      result.output = appended->second;
      if (random_.chance(fault_percent_)) return failed(ErrorCode::kOutcomeUnknown, "the answer was lost");
      return result;
    }
    if (effect.kind == Effect::Kind::kMeasure) {
      if (order.cancelled && order.cancelled->load()) return failed(ErrorCode::kUnavailable, "cancelled");
      if (bad_revision(order.plan->revision.value) || random_.chance(fault_percent_))
        return failed(ErrorCode::kUnavailable, "the error rate is high");
      return result;
    }
    SimTarget& target = targets_.at(order.plan->targets[effect.target].target.name);
    const std::string name = name_of(order);
    if (random_.chance(fault_percent_) && random_.chance(20))
      target.dead_until = now_ + static_cast<std::int64_t>(random_.below(90'000'000));
    if (target.dead_until > now_) return failed(ErrorCode::kUnavailable, "unreachable");
    if (order.cancelled && order.cancelled->load() && random_.chance(50))
      return failed(ErrorCode::kUnavailable, "cancelled");
    if (effect.kind == Effect::Kind::kProbe) {
      const bool well =
          target.live && !bad_contents_.contains(*target.live) && (target.sick_from == 0 || now_ < target.sick_from);
      if (!well) return failed(ErrorCode::kUnavailable, "unhealthy");
      return result;
    }
    const bool mutates =
        effect.kind == Effect::Kind::kRestore || effect.kind == Effect::Kind::kDiscard ||
        (effect.kind == Effect::Kind::kOp && order.plan->ops[effect.op].kind != OpKind::kObserve &&
         order.plan->ops[effect.op].kind != OpKind::kFinalize && order.plan->ops[effect.op].kind != OpKind::kValidate &&
         order.plan->ops[effect.op].kind != OpKind::kStep);
    if (mutates) {
      if (order.token < target.fence && options_.mutation != Mutation::kNoFence)
        return failed(ErrorCode::kPreconditionFailed, "a stale token");
      // Whoever takes hold after a newer holder did breaks the lease.
      if (effect.kind != Effect::Kind::kDiscard) {
        if (order.token < target.last_token)
          violate("5: rollout " + order.rollout.str() + " acts on " + name + " after r-" +
                  std::to_string(target.last_rollout) + " took it over");
        target.last_token = order.token;
        target.last_rollout = order.rollout.value;
      }
      target.fence = std::max(target.fence, order.token);
    }
    const Hash wanted = wanted_by(order);
    if (bad_revision(order.plan->revision.value)) bad_contents_.insert(wanted);
    const std::string label = version_label(order.plan->revision, wanted);
    const bool trouble = random_.chance(fault_percent_);
    if (effect.kind == Effect::Kind::kDiscard) return result;
    if (effect.kind == Effect::Kind::kRestore) {
      if (trouble && random_.chance(50)) return failed(ErrorCode::kUnavailable, "no restore this time");
      if (options_.mutation != Mutation::kEchoRestore) {
        const auto point = target.restore_points.find(order.restore_point);
        if (point != target.restore_points.end()) target.live = point->second;
        const auto& from = order.plan->targets[effect.target].from;
        if (from && target.live != from) target.live = from;  // Put back from the store.
        result.observation = seen(target);
      } else {
        const auto& from = order.plan->targets[effect.target].from;
        result.observation = Observation{from.has_value(), from.value_or(Hash{}), ""};
      }
      say(name + " restored by " + order.rollout.str());
      if (trouble) return failed(ErrorCode::kUnavailable, "the answer was lost");
      return result;
    }
    switch (order.plan->ops[effect.op].kind) {
      case OpKind::kStage:
        if (trouble && random_.chance(50)) return failed(ErrorCode::kUnavailable, "no room");
        // Now and then a half-written version, said to be whole.
        target.staged[label] = trouble ? Hash::of("half " + label) : wanted;
        return result;
      case OpKind::kValidate: {
        const auto staged = target.staged.find(label);
        if (options_.mutation == Mutation::kSkipValidate) {
          result.hash = wanted;
          return result;
        }
        if (staged == target.staged.end()) return failed(ErrorCode::kNotFound, "not staged");
        result.hash = staged->second;
        if (staged->second == wanted) validated_.insert({order.rollout.value, name});
        return result;
      }
      case OpKind::kActivate: {
        if (trouble && random_.chance(30)) return failed(ErrorCode::kUnavailable, "refused");
        if (trouble && random_.chance(30)) return result;  // A lie: nothing happened.
        const auto staged = target.staged.find(label);
        if (staged == target.staged.end()) return failed(ErrorCode::kNotFound, "not staged");
        if (!validated_.contains({order.rollout.value, name}))
          violate("1: " + name + " is activated by " + order.rollout.str() + " without having been validated in it");
        target.restore_points.try_emplace(order.restore_point, target.live);
        target.live = trouble && random_.chance(30) ? Hash::of("half live " + label) : staged->second;
        say(name + " goes live with " + label + " by " + order.rollout.str());
        if (trouble && random_.chance(50)) return failed(ErrorCode::kUnavailable, "the answer was lost");
        if (random_.chance(fault_percent_))
          target.sick_from = now_ + static_cast<std::int64_t>(random_.below(10'000'000));
        return result;
      }
      case OpKind::kFinalize:
      case OpKind::kObserve:
        if (trouble) return failed(ErrorCode::kUnavailable, "no answer");
        result.observation = seen(target);
        if (options_.mutation == Mutation::kEchoObserve && order.plan->ops[effect.op].kind == OpKind::kObserve)
          result.observation = Observation{true, wanted, label};
        return result;
      case OpKind::kStep: {
        const std::string step = order.rollout.str() + " " + name + " " + std::to_string(effect.op);
        if (++steps_run_[step] > 1 + retries_[order.rollout])
          violate("6: a step that must not run twice ran " + std::to_string(steps_run_[step]) + " times: " + step);
        if (trouble) return failed(ErrorCode::kUnprocessable, "exit 1");
        return result;
      }
      default:
        return failed(ErrorCode::kInternal, "no such operation");
    }
  }
  static Observation seen(const SimTarget& target) {
    return {target.live.has_value(), target.live.value_or(Hash{}), ""};
  }
  bool bad_revision(std::uint64_t number) const { return revisions_[number - 1].value.starts_with("bad"); }

  // --- People ---

  void each_open(const std::function<void(RolloutId, const RolloutStanding&)>& visit) {
    const auto published = coordinator_->published();
    for (const auto& [id, view] : published->open) visit(id, view);
  }
  void act(RolloutId id, RolloutAction::Kind kind) {
    // A retry lets what ran, or may yet arrive, run once more.
    if (kind == RolloutAction::Kind::kRetry) ++retries_[id];
    static_cast<void>(coordinator_->act(id, {kind, "person", "because", {}}, Timestamp{now_}));
    note_ends();
    if (die_) crash("at a write for a person");
  }
  void meddle() {
    using Kind = RolloutAction::Kind;
    std::vector<std::pair<RolloutId, Kind>> acts;
    each_open([&](RolloutId id, const RolloutStanding&) {
      constexpr Kind kKinds[] = {Kind::kPause,   Kind::kResume,      Kind::kResume, Kind::kPromote,
                                 Kind::kPromote, Kind::kPromoteFull, Kind::kAbort,  Kind::kRetry};
      acts.emplace_back(id, kKinds[random_.below(8)]);
    });
    for (const auto& [id, kind] : acts) act(id, kind);
    if (random_.chance(5) && !frozen_) {
      if (coordinator_->freeze({"*", "person", "busy", Timestamp{now_}})) frozen_ = true;
      if (die_) crash("at a freeze");
    } else if (frozen_ && random_.chance(30)) {
      thaw();
    }
  }
  void thaw() {
    if (coordinator_->unfreeze("*")) frozen_ = false;
    if (die_) crash("at a thaw");
  }
  void soothe() {
    using Kind = RolloutAction::Kind;
    std::vector<std::pair<RolloutId, Kind>> acts;
    // A freeze that was written, and whose answer was lost.
    if (!coordinator_->published()->freezes.empty()) thaw();
    each_open([&](RolloutId id, const RolloutStanding& view) {
      if (view.summary.phase == RolloutPhase::kPaused || view.summary.phase == RolloutPhase::kIncomplete)
        acts.emplace_back(id, random_.chance(50) ? Kind::kRetry : random_.chance(50) ? Kind::kResume : Kind::kAbort);
      if (view.summary.waiting_for == "promote") acts.emplace_back(id, Kind::kPromote);
    });
    for (const auto& [id, kind] : acts) act(id, kind);
  }

  // --- The invariants ---

  state::RevisionNumber promoted() const {
    const auto found = records_const().find(records::promoted(branch_));
    if (found == records_const().end()) return {};
    const auto decoded = records::decode_promoted(found->second);
    return decoded ? decoded->revision : state::RevisionNumber{};
  }
  const std::map<std::string, std::string>& records_const() const { return const_cast<SimRecords&>(records_).map(); }
  Hash content_of(std::uint64_t revision) const {
    const FileEntry entry{"value", 0644, Hash::of(revisions_[revision - 1].value)};
    return content_hash({&entry, 1});
  }

  // An executor looks only at targets that are on its agenda: one that looks at all of them must find nothing more to do, neither
  // now nor before somebody is to be woken.
  void check_asleep(std::int64_t at) {
    if (at < now_ || !coordinator_ || !violation_.empty() || moved_ || !results_.empty()) return;
    each_open([&](RolloutId id, const RolloutStanding&) {
      const Executor* executor = coordinator_->executor(id);
      if (executor == nullptr || executor->state().phase == RolloutPhase::kPending ||
          (executor->state().phase == RolloutPhase::kRunning && !executor->state().wave_started)) {
        return;  // What surrounds them decides, too.
      }
      Executor attentive = *executor;
      attentive.look_at_all();
      attentive.decide(Timestamp{at}, {});
      const auto events = attentive.take_events();
      if (events.empty() && attentive.take_effects().empty()) return;
      violate("8: " + id.str() + " sleeps where " +
              (events.empty() ? std::string("an effect") : std::string(event_kind_name(events.front().kind))) +
              " is due at " + std::to_string(at / 1000) + " ms, and waits for " + executor->waiting_for());
    });
  }

  void check_instant() {
    if (!coordinator_ || !violation_.empty()) return;
    std::set<std::string> begun;
    std::map<std::string, RolloutId> holders;
    const auto published = coordinator_->published();
    for (const auto& [id, view] : published->open) {
      const Executor* executor = coordinator_->executor(id);
      if (executor == nullptr) continue;
      if (executor->broken()) violate("(tables): " + executor->broken()->message);
      const RolloutState& state = executor->state();
      check_counts(id, state);
      if (state.phase == RolloutPhase::kPending) continue;
      for (std::uint32_t i = 0; i < view.plan->targets.size(); ++i) {
        const PlannedTarget& target = view.plan->targets[i];
        const std::string name = target.target.name.str();
        if (const auto [other, fresh] = holders.try_emplace(name, id); !fresh)
          violate("5: " + name + " is held by " + other->second.str() + " and " + id.str());
        const bool wave_begun = target.switch_wave < state.wave ||
                                (target.switch_wave == state.wave && state.wave_started) || state.targets[i].touched;
        if (wave_begun) begun.insert(name);
      }
    }
    const state::RevisionNumber last = promoted();
    for (const auto& [name, target] : targets_) {
      const std::optional<Hash> good = last.is_root() ? std::nullopt : std::optional<Hash>(content_of(last.value));
      if (target.live != good && !begun.contains(name.str())) {
        violate("2: " + name.str() + " is away from the promoted revision " + std::to_string(last.value) +
                ", and no rollout has begun its wave");
      }
    }
  }

  void check_counts(RolloutId id, const RolloutState& state) {
    std::uint32_t activated = 0, touched = 0, failed = 0;
    for (const TargetProgress& target : state.targets) {
      if (target.stage == TargetStage::kActivated || target.stage == TargetStage::kPromoted) ++activated;
      if (target.ever_touched) ++touched;
      if (target.failed) ++failed;
    }
    if (state.activated_targets != activated || state.touched_targets != touched || state.failed_targets != failed)
      violate("(counts): " + id.str() + " miscounts its targets");
  }

  // Looks at every rollout that ended since the last look.
  void note_ends() {
    const std::map<std::string, std::string>& all = records_.map();
    for (auto it = all.lower_bound(records::index({first_open_}));
         it != all.end() && it->first.starts_with(records::kIndexPrefix); ++it) {
      if (it->second.find("\"ended_at\":0,") != std::string::npos) continue;
      const auto summary = decode_summary(it->second);
      if (!summary || !is_final(summary->phase) || !seen_ends_.insert(summary->id).second) continue;
      while (seen_ends_.contains({first_open_})) ++first_open_;
      ++ended_;
      say(summary->id.str() + " ends as " + std::string(phase_name(summary->phase)) + ": " + summary->reason);
      const auto plan = decode_plan(records_.map()[records::plan(summary->id)]);
      if (!plan) {
        violate("(records): " + plan.error().message);
        continue;
      }
      if (summary->phase == RolloutPhase::kPromoted) {
        if (failed_revisions_.contains(plan->revision.value))
          violate("7: the failed revision " + std::to_string(plan->revision.value) + " is promoted");
        for (const PlannedTarget& target : plan->targets) {
          const SimTarget& truth = targets_.at(target.target.name);
          if (truth.live != plan->contents[target.content].hash)
            violate("4: " + summary->id.str() + " is promoted, and " + target.target.name.str() +
                    " is not live with it");
        }
        if (!plan->targets.empty() && bad_revision(plan->revision.value))
          violate("4: " + summary->id.str() + " promotes an unhealthy revision");
      } else {
        if (summary->phase == RolloutPhase::kRolledBack) {
          ++rollbacks_;
          failed_revisions_.insert(plan->revision.value);
        }
        for (const PlannedTarget& target : plan->targets) {
          const SimTarget& truth = targets_.at(target.target.name);
          if (truth.live != target.from)
            violate("3: " + summary->id.str() + " ends as " + std::string(phase_name(summary->phase)) + ", and " +
                    target.target.name.str() + " is not back");
        }
      }
    }
  }

  bool quiet() const {
    return coordinator_ && coordinator_->open_rollouts() == 0 && in_flight_.empty() && results_.empty() && !moved_;
  }
  std::string describe() {
    std::string all;
    each_open([&](RolloutId id, const RolloutStanding& view) {
      all += id.str() + " is " + std::string(phase_name(view.summary.phase)) + " in wave " +
             std::to_string(view.summary.wave) + ", waits for \"" + view.summary.waiting_for + "\", " +
             view.summary.reason + "; ";
    });
    return all;
  }
  void check_end() {
    const state::RevisionNumber last = promoted();
    for (const auto& [name, target] : targets_) {
      const std::optional<Hash> good = last.is_root() ? std::nullopt : std::optional<Hash>(content_of(last.value));
      if (target.live != good) violate("6: in the end " + name.str() + " is not on the promoted revision");
    }
  }

  const Options options_;
  Random random_;
  const BranchId branch_{"shop", "main"};
  std::int64_t now_ = 1'800'000'000'000'000;
  std::uint64_t epoch_ = 0;
  unsigned fault_percent_ = 0, crash_percent_ = 0;
  bool booting_ = false, die_ = false, moved_ = false, frozen_ = false;
  std::vector<Revision> revisions_;
  std::map<RolloutId, std::uint64_t> appended_;
  std::map<TargetName, SimTarget> targets_;
  SimRecords records_;
  std::multimap<std::int64_t, Flight> in_flight_;
  std::vector<std::pair<RolloutId, EffectResult>> results_;
  std::optional<Timestamp> wake_;
  std::set<std::pair<std::uint64_t, std::string>> validated_;
  std::set<Hash> bad_contents_;
  std::map<std::string, std::uint64_t> steps_run_;
  std::map<RolloutId, std::uint64_t> retries_;
  std::set<std::uint64_t> failed_revisions_;
  std::set<RolloutId> seen_ends_;
  std::uint64_t first_open_ = 1;
  std::uint64_t ended_ = 0, rollbacks_ = 0, crashes_ = 0;
  std::string violation_, trace_;
  std::unique_ptr<Coordinator> coordinator_;
};

}  // namespace st8::target::sim
