// The executor of one rollout: a state machine that is told what happened and says what to do next. It has no clock, no
// thread and no target of its own, so that a simulation runs the same code as the daemon.
//
// How it is driven, over and over, by one thread:
//   1. take() the results of effects, call verbs, then decide();
//   2. make take_events() durable — all of them, before
//   3. any of take_effects() is begun.
// When step 2 fails, the executor is thrown away and made anew from the durable events: what it had decided never was.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "st8/target/rollout.h"

namespace st8::target {

// Something to be done outside. Idempotent, but for steps that say otherwise.
struct Effect {
  enum class Kind : std::uint8_t {
    kOp = 0,       // An operation at a target, but for health.
    kProbe = 1,    // One probe of a health check. Changes nothing and is not in the events.
    kRestore = 2,  // Undo the target's steps, put back what was live, read it back.
    kAppend = 3,   // Append the revision that copies the last promoted one.
    kDiscard = 4,  // Drop versions that are no longer needed. Nobody waits for it.
    kMeasure = 5,  // One reading of an analysis; of no target. Changes nothing and is not in the events.
  };
  Kind kind = Kind::kOp;
  std::uint32_t target = RolloutEvent::kNone;
  std::uint32_t op = RolloutEvent::kNone;
  std::uint32_t check = 0;  // Of kProbe and kMeasure: in the policy's list.
  std::uint32_t attempt = 0;
  friend auto operator<=>(const Effect&, const Effect&) = default;
  friend bool operator==(const Effect&, const Effect&) = default;
};

struct EffectResult {
  Effect effect;
  Status status;                           // kUnavailable and kOutcomeUnknown are tried again; the rest is final.
  std::optional<Observation> observation;  // finalize, observe, restore.
  std::optional<Hash> hash;                // validate.
  state::RevisionNumber revision;          // append; 0: it was not to be done, for the reason in `output`.
  std::string output;                      // Bounded and redacted.
};

// What else there is that decides whether a rollout may go on.
struct Surroundings {
  std::string blocked;  // Why it may not start: a lease, a window, a dependency. Empty: it may.
  std::string frozen;   // Why no wave may begin. Empty: it may.
  std::optional<Timestamp> look_again;
};

class Executor {
 public:
  // `state` is the sum of the durable events. Effects that it shows as running are taken as interrupted.
  Executor(std::shared_ptr<const Plan> plan, RolloutState state, Timestamp now);

  // What happened. A result that nobody waits for any more is ignored.
  void take(const EffectResult& result, Timestamp now);

  // What a person, or the trigger, asks. Errors: kConflict when the rollout's phase does not allow it; then nothing changed.
  Status approve(const PlanHash& hash, const std::string& actor, Timestamp now, const std::string& why = "");
  Status reject(const std::string& actor, const std::string& why, Timestamp now);
  Status pause(const std::string& actor, const std::string& why, Timestamp now);
  Status resume(const std::string& actor, Timestamp now, const std::string& why = "");
  Status promote(bool full, const std::string& actor, Timestamp now, const std::string& why = "");
  Status abort(const std::string& actor, const std::string& why, Timestamp now);
  Status retry(const std::string& actor, Timestamp now, const std::string& why = "");
  Status supersede(const std::string& why, Timestamp now);

  void decide(Timestamp now, const Surroundings& surroundings);

  std::vector<RolloutEvent> take_events() { return std::exchange(events_, {}); }
  std::vector<Effect> take_effects() { return std::exchange(effects_, {}); }
  // Whether effects that are neither restores nor appends should end early: the rollout is being rolled back.
  bool cancels_operations() const { return state_.phase == RolloutPhase::kRollingBack; }
  // When decide() should be called again if nothing happens before.
  std::optional<Timestamp> wake_at() const { return wake_at_; }
  // What it waits for, for people; empty when it works.
  const std::string& waiting_for() const { return waiting_; }

  const Plan& plan() const { return *plan_; }
  const std::shared_ptr<const Plan>& plan_pointer() const { return plan_; }
  const RolloutState& state() const { return state_; }
  bool finished() const { return is_final(state_.phase); }
  std::size_t in_flight() const { return in_flight_.size(); }
  // Set when the executor wanted an event that the tables refuse: a bug. The rollout then stands still.
  const std::optional<Error>& broken() const { return broken_; }

 private:
  struct Probe {
    std::uint32_t successes = 0;  // In a row.
    std::uint32_t failures = 0;   // In a row.
    bool ever_succeeded = false;
    Timestamp started_at;
    Timestamp next_at;
    std::string last_error;
  };

  // Of the analysis at hand. Not durable: a daemon that comes back, or a rollout that was paused, begins it anew.
  struct Readings {
    std::uint32_t taken = 0;
    std::uint32_t failed = 0;
    Timestamp next_at;
    std::string last_error;
  };

  bool emit(RolloutEvent event, Timestamp now);
  RolloutEvent about(EventKind kind, std::uint32_t target) const;
  void start(Effect effect);
  void wake(Timestamp at);
  void run(Timestamp now, const Surroundings& surroundings);
  bool advance_target(std::uint32_t target, Timestamp now);  // True: nothing is left to do in this wave.
  bool gates_passed(Timestamp now);
  void probe(std::uint32_t target, std::uint32_t check, Timestamp now);
  void take_probe(const EffectResult& result, Timestamp now);
  bool analysis_passed(const Gate& gate, Timestamp now);
  void take_reading(const EffectResult& result, Timestamp now);
  void op_failed(std::uint32_t target, const Error& error, bool may_retry, const std::string& output, Timestamp now);
  void target_failed(std::uint32_t target, const std::string& why, Timestamp now);
  void begin_rollback(RolloutPhase outcome, const std::string& why, const std::string& actor, Timestamp now);
  void restore_where_due(Timestamp now);
  void roll_back(Timestamp now);
  Status finish_or_roll_back(RolloutPhase outcome, const std::string& why, const std::string& actor, Timestamp now);

  std::shared_ptr<const Plan> plan_;
  RolloutState state_;
  std::vector<RolloutEvent> events_;
  std::vector<Effect> effects_;
  std::set<Effect> in_flight_;
  std::map<std::pair<std::uint32_t, std::uint32_t>, Probe> probes_;  // By target and check.
  std::optional<Readings> readings_;
  std::optional<Timestamp> wake_at_;
  std::string waiting_;
  std::optional<Error> broken_;
};

}  // namespace st8::target
