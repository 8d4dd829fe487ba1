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

#include "st8/target/agenda.h"
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
  // How many targets decide() has looked at so far: what it cost. Those of which nothing is to be said are not looked at.
  std::uint64_t looks() const { return looks_; }
  // The next decide() looks at all of them. It finds nothing that it would not have found without: the simulation asks.
  void look_at_all();
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

  // How many targets stand so; derived from state_.
  struct Tally {
    std::int64_t running = 0;
    std::int64_t unknown = 0;
    std::int64_t unrestored = 0;  // Touched, and not put back.
    std::int64_t untried = 0;     // Of these, those whose restore has not failed often enough to go on without it.
    void count(const TargetProgress& target, int by);
  };

  // What a target of the wave needs.
  enum class Need : std::uint8_t { kNothing, kTime, kRoom };  // kTime: an answer, or an hour on the agenda.

  bool emit(RolloutEvent event, Timestamp now);
  void look_at(std::uint32_t target);  // In the next turn: something happened to it, or to an effect of it.
  RolloutEvent about(EventKind kind, std::uint32_t target) const;
  void start(Effect effect);
  void wake(Timestamp at);
  void run(Timestamp now, const Surroundings& surroundings);
  bool advance_wave(Timestamp now);  // True: nothing is left to do in it but its gates.
  Need advance_target(std::uint32_t target, std::uint32_t position, Timestamp now);
  bool gates_passed(Timestamp now);
  bool bake_settled(Timestamp now);
  // Begins a probe if it is time for one. When it will be; nullopt: one is on its way.
  std::optional<Timestamp> probe(std::uint32_t target, std::uint32_t check, Timestamp now);
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

  // What to look at, so that a turn need not go over all targets. All of it follows from what is above and from state_, and is
  // made anew where that changes as a whole: a wave or a gate begins, or the rollout goes on, or back.
  Tally tally_;
  Agenda restores_;  // Targets that may have to be put back.
  Agenda wave_;      // Places in the wave.
  bool wave_stale_ = true;
  std::vector<std::uint32_t> places_;  // Of each target, in the wave; RolloutEvent::kNone: it is not in it.
  std::vector<bool> open_;             // Of each place: something is left to do.
  std::size_t open_count_ = 0;
  std::set<std::uint32_t> want_room_;  // Places whose next operation waits for another to end.
  Agenda bake_;                        // Targets that are probed through a bake.
  std::set<std::uint32_t> unsettled_;  // Of these, those with a check that has not passed yet.
  std::uint64_t looks_ = 0;
  std::optional<Readings> readings_;
  std::optional<Timestamp> wake_at_;
  std::string waiting_;
  std::optional<Error> broken_;
};

}  // namespace st8::target
