// A Rollout: one durable execution of a plan. Its state is nothing but the sum of its events, and every change of a phase
// or of a target's stage goes through a table: what the table does not allow does not happen.
//
// Lifecycle of a target in a rollout (a running program is not a successful deployment):
//
//   pending → candidate → validated → finalized → activating → activated → promoted
//                       any of them, but the last → failed → restoring → restored → (retry) pending
//
//   candidate   the content lies at the target            (stage succeeded)
//   validated   it was read back there and hashed         (validate succeeded)
//   finalized   what is live was noted, to come back to   (finalize succeeded)
//   activating  the activation is about to be, or was, tried; from here on the target counts as touched
//   activated   it is live: read back, with the planned hash
//   promoted    the whole rollout was good
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "st8/target/plan.h"

namespace st8::target {

enum class RolloutPhase : std::uint8_t {
  kPending = 0,  // Planned; waits for an approval, a window, a freeze to end, a dependency, a target's lease.
  kRunning = 1,
  kPaused = 2,       // A person is to say how it goes on.
  kIncomplete = 3,   // All waves are done, and some targets failed within maxFailures: retry, abort or supersede it.
  kRollingBack = 4,  // Every touched target is being restored.
  kPromoted = 5,
  kRolledBack = 6,
  kSuperseded = 7,
  kAborted = 8,
  kRejected = 9,
};
std::string_view phase_name(RolloutPhase phase);
constexpr bool is_final(RolloutPhase phase) { return phase >= RolloutPhase::kPromoted; }

enum class TargetStage : std::uint8_t {
  kPending = 0,
  kCandidate = 1,
  kValidated = 2,
  kFinalized = 3,
  kActivating = 4,
  kActivated = 5,
  kPromoted = 6,
  kFailed = 7,
  kRestoring = 8,
  kRestored = 9,
};
std::string_view stage_name(TargetStage stage);

// Values are stored by name; see event_kind_name().
enum class EventKind : std::uint8_t {
  kCreated,
  kApproved,
  kRejected,
  kStarted,
  kWaveStarted,      // wave
  kOpStarted,        // target, op, attempt. Written before the effect.
  kOpSucceeded,      // target, op; observe, finalize and validate carry what was read.
  kOpFailed,         // target, op, detail; retry_at when it is to be tried again.
  kOpInterrupted,    // target, op: the daemon ended while it ran; it is idempotent and runs again.
  kOpUnknown,        // target, op: the daemon ended while it ran, and it must not run twice.
  kTargetFailed,     // target, detail
  kTargetRetried,    // target, actor
  kGateStarted,      // wave, gate
  kGatePassed,       // wave, gate
  kWaveCompleted,    // wave
  kPaused,           // detail, actor
  kResumed,          // actor
  kPromoteAsked,     // actor, full
  kIncomplete,       // detail
  kRollbackStarted,  // detail; outcome: how the rollout will end
  kRestoreStarted,   // target, attempt
  kRestored,         // target; what was read back
  kRestoreFailed,    // target, detail, retry_at
  kAppendStarted,    // The revision that copies the last promoted one is about to be appended.
  kAppended,         // revision
  kAppendSkipped,    // detail
  kAppendFailed,     // detail, retry_at
  kEnded,            // outcome, detail
};
std::string_view event_kind_name(EventKind kind);
std::optional<EventKind> event_kind_of(std::string_view name);

struct RolloutEvent {
  static constexpr std::uint32_t kNone = 0xffffffff;

  std::uint64_t sequence = 0;  // Per rollout, from 1, without gaps.
  Timestamp at;
  EventKind kind = EventKind::kCreated;
  std::uint32_t target = kNone;  // In Plan::targets.
  std::uint32_t op = kNone;      // In Plan::ops.
  std::uint32_t wave = kNone;
  std::uint32_t gate = kNone;
  std::uint32_t attempt = 0;
  std::optional<Timestamp> retry_at;
  std::optional<Observation> observation;
  std::optional<RolloutPhase> outcome;
  state::RevisionNumber revision;
  bool full = false;
  std::string detail;  // For people: what happened; bounded output of steps. Never a document's content.
  std::string actor;   // Who asked; empty: the daemon itself.
  friend bool operator==(const RolloutEvent&, const RolloutEvent&) = default;
};

std::string encode_event(const RolloutEvent& event);
Result<RolloutEvent> decode_event(std::string_view bytes);

struct TargetProgress {
  TargetStage stage = TargetStage::kPending;
  std::uint32_t next_op = 0;   // In Plan::ops.
  bool running = false;        // An effect was begun and its end is not known.
  bool unknown = false;        // ... and it must not be run again without a person's word.
  bool touched = false;        // Something at the target may differ from before the rollout.
  bool ever_touched = false;   // As touched; it stays when the target is retried.
  bool failed = false;         // Counts against maxFailures.
  std::uint32_t attempt = 0;   // Of the current operation or restore, from 1.
  std::uint32_t failures = 0;  // Of the current operation or restore.
  std::optional<Timestamp> retry_at;
  Timestamp started_at;                    // Of the current operation.
  std::vector<std::uint32_t> steps_begun;  // Operations of kind kStep that were begun, in order: undone in reverse.
  std::optional<Observation> before;       // What finalize saw.
  std::optional<Observation> read_back;    // The newest reading.
  std::string error;
};

struct RolloutState {
  RolloutPhase phase = RolloutPhase::kPending;
  std::uint64_t events = 0;             // The last event's sequence.
  std::vector<TargetProgress> targets;  // As Plan::targets.
  std::uint32_t wave = 0;               // The current one.
  bool wave_started = false;
  bool wave_worked = false;  // An operation of it was begun, so its gates count.
  bool gate_started = false;
  std::uint32_t gate = 0;  // The current one of the wave.
  Timestamp gate_since;
  bool promote_asked = false;  // For the gate at hand.
  bool promote_full = false;   // For all gates to come.
  bool approved = false;
  std::string approved_by;
  RolloutPhase paused_from = RolloutPhase::kRunning;
  RolloutPhase outcome = RolloutPhase::kRolledBack;  // How a rollback will end.
  bool append_running = false;
  bool append_done = false;
  std::uint32_t append_failures = 0;
  std::optional<Timestamp> append_retry_at;
  state::RevisionNumber appended;  // By the rollback.
  std::string reason;              // Why it is paused, rolled back, rejected, ended.
  Timestamp created_at;
  Timestamp started_at;
  Timestamp progress_at;  // The last time anything got further.
  Timestamp ended_at;
  // Of `targets`, counted as they change, so that a summary does not go over all of them.
  std::uint32_t failed_targets = 0;
  std::uint32_t activated_targets = 0;  // Activated or promoted.
  std::uint32_t touched_targets = 0;    // Ever.

  explicit RolloutState(const Plan& plan) : targets(plan.targets.size()) {}
  RolloutState() = default;

  // Takes one event. Errors: kInternal when the tables do not allow it here, or its sequence is not the next; then
  // nothing has changed.
  Status apply(const Plan& plan, const RolloutEvent& event);
};

// A wait that ends by itself, at an instant that is known.
struct RolloutWait {
  enum class Kind : std::uint8_t {
    kSchedule = 0,  // The rollout may begin.
    kWindow = 1,    // A window opens.
    kPlan = 2,      // The plan has expired and is made anew.
    kGate = 3,      // A delay, bake or analysis is over; `wave` and `gate` say which.
    kProgress = 4,  // Without progress until then, the rollout has failed.
    kHealth = 5,    // Without a pass until then, the check at `target` has failed.
    kRetry = 6,     // The operation, or restore, at `target` is tried again.
    kAppend = 7,    // The revision that goes back is tried again.
  };
  Kind kind = Kind::kGate;
  Timestamp until;
  std::uint32_t target = RolloutEvent::kNone;
  std::uint32_t wave = RolloutEvent::kNone;
  std::uint32_t gate = RolloutEvent::kNone;
  friend bool operator==(const RolloutWait&, const RolloutWait&) = default;
};
std::string_view wait_kind_name(RolloutWait::Kind kind);
// What it waits for at `now`, so far as that ends by itself: not a person, a freeze, another rollout. Pure. Cost: O(targets).
std::vector<RolloutWait> waits_of(const Plan& plan, const RolloutState& state, Timestamp now);

// The tables. Pure.
bool phase_may_follow(RolloutPhase from, RolloutPhase to);
bool stage_may_follow(TargetStage from, TargetStage to);

}  // namespace st8::target
