#include <algorithm>
#include <array>

#include "st8/target/rollout.h"

namespace st8::target {
namespace {

constexpr std::array<std::string_view, 10> kPhaseNames = {"pending",      "running",  "paused",      "incomplete",
                                                          "rolling-back", "promoted", "rolled-back", "superseded",
                                                          "aborted",      "rejected"};
constexpr std::array<std::string_view, 10> kStageNames = {"pending",    "candidate", "validated", "finalized",
                                                          "activating", "activated", "promoted",  "failed",
                                                          "restoring",  "restored"};
constexpr std::array<std::string_view, 28> kEventNames = {
    "created",         "approved",          "rejected",       "started",        "wave.started",
    "op.started",      "op.succeeded",      "op.failed",      "op.interrupted", "op.unknown",
    "target.failed",   "target.retried",    "gate.started",   "gate.passed",    "wave.completed",
    "paused",          "resumed",           "promote.asked",  "incomplete",     "rollback.started",
    "restore.started", "restore.succeeded", "restore.failed", "append.started", "append.succeeded",
    "append.skipped",  "append.failed",     "ended"};
static_assert(static_cast<std::size_t>(EventKind::kEnded) + 1 == kEventNames.size());

// Row: from. Column: to. The whole truth about phases.
//                                   pend  run    paus   inco   roll   prom   rbck   supe   abor   reje
constexpr bool kPhaseTable[10][10] = {
    /* pending      */ {false, true, false, false, false, false, false, true, true, true},
    /* running      */ {false, false, true, true, true, true, false, true, true, false},
    /* paused       */ {false, true, false, true, true, false, false, true, true, false},
    /* incomplete   */ {false, true, false, false, true, false, false, true, true, false},
    /* rolling-back */ {false, false, false, false, false, false, true, true, true, false},
    /* promoted     */ {false, false, false, false, false, false, false, false, false, false},
    /* rolled-back  */ {false, false, false, false, false, false, false, false, false, false},
    /* superseded   */ {false, false, false, false, false, false, false, false, false, false},
    /* aborted      */ {false, false, false, false, false, false, false, false, false, false},
    /* rejected     */ {false, false, false, false, false, false, false, false, false, false},
};

//                                   pend   cand   vali   fina   actg   actd   prom   fail   resg   resd
constexpr bool kStageTable[10][10] = {
    /* pending    */ {false, true, false, false, false, false, false, true, false, false},
    /* candidate  */ {false, false, true, false, false, false, false, true, false, false},
    /* validated  */ {false, false, false, true, false, false, false, true, false, false},
    /* finalized  */ {false, false, false, false, true, false, false, true, true, false},
    /* activating */ {false, false, false, false, true, true, false, true, true, false},
    /* activated  */ {false, false, false, false, false, true, true, true, true, false},
    /* promoted   */ {false, false, false, false, false, false, false, false, false, false},
    /* failed     */ {true, false, false, false, false, false, false, false, true, false},
    /* restoring  */ {false, false, false, false, false, false, false, false, true, true},
    /* restored   */ {true, false, false, false, false, false, false, false, false, false},
};

}  // namespace

std::string_view phase_name(RolloutPhase phase) { return kPhaseNames[static_cast<std::size_t>(phase)]; }
std::string_view stage_name(TargetStage stage) { return kStageNames[static_cast<std::size_t>(stage)]; }
std::string_view event_kind_name(EventKind kind) { return kEventNames[static_cast<std::size_t>(kind)]; }
std::optional<EventKind> event_kind_of(std::string_view name) {
  for (std::size_t i = 0; i < kEventNames.size(); ++i) {
    if (kEventNames[i] == name) return static_cast<EventKind>(i);
  }
  return std::nullopt;
}

bool phase_may_follow(RolloutPhase from, RolloutPhase to) {
  return kPhaseTable[static_cast<std::size_t>(from)][static_cast<std::size_t>(to)];
}
bool stage_may_follow(TargetStage from, TargetStage to) {
  return kStageTable[static_cast<std::size_t>(from)][static_cast<std::size_t>(to)];
}

Status RolloutState::apply(const Plan& plan, const RolloutEvent& event) {
  const auto refuse = [&](std::string why) -> Status {
    return fail(ErrorCode::kInternal,
                "event " + std::to_string(event.sequence) + " (" + std::string(event_kind_name(event.kind)) + ") " +
                    std::move(why),
                "");
  };
  if (event.sequence != events + 1) return refuse("is not the next one after " + std::to_string(events));
  if ((event.kind == EventKind::kCreated) != (events == 0))
    return refuse("does not begin the rollout, or begins it twice");
  if (is_final(phase)) return refuse("comes after the rollout ended as " + std::string(phase_name(phase)));

  // What the event does is first decided, then checked, then done: a refused event leaves nothing half changed.
  std::optional<RolloutPhase> to_phase;
  std::optional<TargetStage> to_stage;
  TargetProgress* target = nullptr;
  const PlannedOp* op = nullptr;
  if (event.target != RolloutEvent::kNone) {
    if (event.target >= targets.size() || event.target >= plan.targets.size())
      return refuse("names a target that the plan does not have");
    target = &targets[event.target];
  }
  if (event.op != RolloutEvent::kNone) {
    if (event.op >= plan.ops.size()) return refuse("names an operation that the plan does not have");
    op = &plan.ops[event.op];
  }

  switch (event.kind) {
    case EventKind::kOpStarted:
    case EventKind::kOpSucceeded:
    case EventKind::kOpFailed:
    case EventKind::kOpInterrupted:
    case EventKind::kOpUnknown:
      if (target == nullptr || op == nullptr) return refuse("names no target or no operation");
      if (target->next_op != event.op) return refuse("is about another operation than the target's next");
      if (target->running == (event.kind == EventKind::kOpStarted))
        return refuse("does not fit whether the operation is running");
      break;
    case EventKind::kTargetFailed:
    case EventKind::kTargetRetried:
    case EventKind::kRestoreStarted:
    case EventKind::kRestored:
    case EventKind::kRestoreFailed:
      if (target == nullptr) return refuse("names no target");
      break;
    default:
      break;
  }

  switch (event.kind) {
    case EventKind::kCreated:
      break;
    case EventKind::kApproved:
      if (phase != RolloutPhase::kPending) return refuse("comes when the rollout is " + std::string(phase_name(phase)));
      break;
    case EventKind::kRejected:
      to_phase = RolloutPhase::kRejected;
      break;
    case EventKind::kStarted:
      to_phase = RolloutPhase::kRunning;
      break;
    case EventKind::kWaveStarted:
      if (phase != RolloutPhase::kRunning || wave_started || event.wave != wave || wave >= plan.waves.size())
        return refuse("begins a wave out of turn");
      break;
    case EventKind::kOpStarted:
      if (phase != RolloutPhase::kRunning || !wave_started) return refuse("comes while no wave is running");
      if (plan.wave_of(plan.targets[event.target], *op) != wave) return refuse("belongs to another wave");
      if (target->failed) return refuse("is for a target that failed");
      if (op->kind == OpKind::kActivate) to_stage = TargetStage::kActivating;
      break;
    case EventKind::kOpSucceeded:
      switch (op->kind) {
        case OpKind::kStage:
          to_stage = TargetStage::kCandidate;
          break;
        case OpKind::kValidate:
          to_stage = TargetStage::kValidated;
          break;
        case OpKind::kFinalize:
          to_stage = TargetStage::kFinalized;
          break;
        case OpKind::kObserve:
          to_stage = TargetStage::kActivated;
          // Live is what was read back: a reading of anything else cannot have succeeded.
          if (!event.observation || !event.observation->present ||
              event.observation->content != plan.contents[plan.targets[event.target].content].hash) {
            return refuse("reads back something else than the plan");
          }
          break;
        default:
          break;
      }
      break;
    case EventKind::kTargetFailed:
      to_stage = TargetStage::kFailed;
      break;
    case EventKind::kTargetRetried:
      to_stage = TargetStage::kPending;
      if (target->running || (target->touched && target->stage != TargetStage::kRestored))
        return refuse("retries a target that is not restored");
      break;
    case EventKind::kGateStarted:
    case EventKind::kGatePassed:
      if (phase != RolloutPhase::kRunning || event.wave != wave || event.gate != gate || wave >= plan.waves.size() ||
          gate >= plan.waves[wave].gates.size()) {
        return refuse("is about another gate");
      }
      if (gate_started == (event.kind == EventKind::kGateStarted))
        return refuse("does not fit whether the gate has begun");
      break;
    case EventKind::kWaveCompleted:
      if (phase != RolloutPhase::kRunning || !wave_started || event.wave != wave || gate_started)
        return refuse("ends a wave out of turn");
      break;
    case EventKind::kPaused:
      to_phase = RolloutPhase::kPaused;
      break;
    case EventKind::kResumed:
      if (phase != RolloutPhase::kPaused && phase != RolloutPhase::kIncomplete)
        return refuse("resumes what is not paused");
      to_phase = RolloutPhase::kRunning;
      break;
    case EventKind::kIncomplete:
      to_phase = RolloutPhase::kIncomplete;
      break;
    case EventKind::kRollbackStarted:
      to_phase = RolloutPhase::kRollingBack;
      if (!event.outcome || !is_final(*event.outcome) || *event.outcome == RolloutPhase::kPromoted)
        return refuse("names no outcome");
      break;
    case EventKind::kRestoreStarted:
      if (target->running) return refuse("comes while an effect is running at the target");
      to_stage = TargetStage::kRestoring;
      break;
    case EventKind::kRestored:
      to_stage = TargetStage::kRestored;
      break;
    case EventKind::kRestoreFailed:
      if (target->stage != TargetStage::kRestoring || !target->running)
        return refuse("fails a restore that was not begun");
      break;
    case EventKind::kAppendStarted:
    case EventKind::kAppended:
    case EventKind::kAppendSkipped:
    case EventKind::kAppendFailed:
      if (phase != RolloutPhase::kRollingBack || append_done) return refuse("comes outside a rollback, or twice");
      break;
    case EventKind::kEnded:
      if (!event.outcome || !is_final(*event.outcome)) return refuse("names no outcome");
      to_phase = *event.outcome;
      if (to_phase == RolloutPhase::kPromoted) {
        // A skipped, failed or unread target keeps the rollout unpromoted.
        for (const TargetProgress& one : targets) {
          if (one.stage != TargetStage::kActivated || one.running || one.next_op != plan.ops.size())
            return refuse("promotes a target that is not activated");
        }
      } else {
        for (const TargetProgress& one : targets) {
          if (one.touched && one.stage != TargetStage::kRestored)
            return refuse("ends with a touched target that is not restored");
          if (one.running) return refuse("ends with an effect still running");
        }
      }
      break;
    default:
      break;
  }
  if (to_phase && !phase_may_follow(phase, *to_phase)) {
    return refuse("cannot take the rollout from " + std::string(phase_name(phase)) + " to " +
                  std::string(phase_name(*to_phase)));
  }
  if (to_stage && !stage_may_follow(target->stage, *to_stage)) {
    // A target that was touched before it came to finalized (a step of the user's) is restored from where it stands.
    const bool early_restore =
        event.kind == EventKind::kRestoreStarted && target->touched && target->stage < TargetStage::kPromoted;
    if (!early_restore) {
      return refuse("cannot take target " + plan.targets[event.target].target.name.str() + " from " +
                    std::string(stage_name(target->stage)) + " to " + std::string(stage_name(*to_stage)));
    }
  }

  events = event.sequence;
  const auto is_activated = [&] {
    return target != nullptr && (target->stage == TargetStage::kActivated || target->stage == TargetStage::kPromoted);
  };
  const bool was_activated = is_activated();
  const bool was_touched = target != nullptr && target->ever_touched;
  if (to_stage) target->stage = *to_stage;
  if (event.observation && target != nullptr) target->read_back = event.observation;
  switch (event.kind) {
    case EventKind::kCreated:
      created_at = progress_at = event.at;
      break;
    case EventKind::kApproved:
      approved = true;
      approved_by = event.actor;
      break;
    case EventKind::kStarted:
      started_at = progress_at = event.at;
      break;
    case EventKind::kWaveStarted:
      wave_started = true;
      progress_at = event.at;
      break;
    case EventKind::kOpStarted:
      wave_worked = true;
      target->running = true;
      target->unknown = false;
      target->attempt = event.attempt;
      target->retry_at.reset();
      target->started_at = event.at;
      if (op->kind == OpKind::kActivate) target->touched = target->ever_touched = true;
      if (op->kind == OpKind::kStep) {
        if (std::find(target->steps_begun.begin(), target->steps_begun.end(), event.op) == target->steps_begun.end())
          target->steps_begun.push_back(event.op);
        target->touched = target->ever_touched = true;
      }
      break;
    case EventKind::kOpSucceeded:
      if (op->kind == OpKind::kFinalize) target->before = event.observation;
      [[fallthrough]];
    case EventKind::kOpFailed:
      target->running = false;
      target->unknown = false;
      if (event.kind == EventKind::kOpFailed && event.retry_at) {
        ++target->failures;
        target->retry_at = event.retry_at;
        target->error = event.detail;
      } else if (event.kind == EventKind::kOpFailed && !event.full) {
        // Failed for good; kTargetFailed follows.
        ++target->failures;
        target->error = event.detail;
      } else {
        // Done, or (full) failed in a way the policy lets pass.
        ++target->next_op;
        target->attempt = target->failures = 0;
        target->retry_at.reset();
        target->error.clear();
        progress_at = event.at;
      }
      break;
    case EventKind::kOpInterrupted:
      target->running = false;
      break;
    case EventKind::kOpUnknown:
      target->running = false;
      target->unknown = true;
      target->error = event.detail;
      break;
    case EventKind::kTargetFailed:
      target->failed = true;
      target->running = false;
      target->attempt = target->failures = 0;
      target->retry_at.reset();
      target->error = event.detail;
      ++failed_targets;
      break;
    case EventKind::kTargetRetried:
      *target = TargetProgress{};
      target->ever_touched = was_touched;
      if (failed_targets > 0) --failed_targets;
      break;
    case EventKind::kGateStarted:
      gate_started = true;
      gate_since = progress_at = event.at;
      promote_asked = false;
      break;
    case EventKind::kGatePassed:
      gate_started = false;
      promote_asked = false;
      ++gate;
      progress_at = event.at;
      break;
    case EventKind::kWaveCompleted:
      ++wave;
      gate = 0;
      wave_started = wave_worked = gate_started = promote_asked = false;
      progress_at = event.at;
      break;
    case EventKind::kPaused:
      paused_from = phase;
      reason = event.detail;
      break;
    case EventKind::kResumed:
      reason.clear();
      progress_at = event.at;
      if (event.full) {
        // A retry: the waves are gone through again; targets that are done stay done.
        for (TargetProgress& one : targets) one.unknown = false;
        wave = 0;
        gate = 0;
        wave_started = wave_worked = gate_started = false;
      }
      break;
    case EventKind::kPromoteAsked:
      promote_asked = true;
      if (event.full) promote_full = true;
      break;
    case EventKind::kIncomplete:
      reason = event.detail;
      break;
    case EventKind::kRollbackStarted:
      outcome = *event.outcome;
      reason = event.detail;
      progress_at = event.at;
      break;
    case EventKind::kRestoreStarted:
      target->running = true;
      target->unknown = false;
      target->attempt = event.attempt;
      target->retry_at.reset();
      target->started_at = event.at;
      break;
    case EventKind::kRestored:
      target->running = false;
      target->attempt = target->failures = 0;
      target->retry_at.reset();
      progress_at = event.at;
      break;
    case EventKind::kRestoreFailed:
      target->running = false;
      ++target->failures;
      target->retry_at = event.retry_at;
      target->error = event.detail;
      break;
    case EventKind::kAppendStarted:
      append_running = true;
      append_retry_at.reset();
      break;
    case EventKind::kAppended:
      append_running = false;
      append_done = true;
      appended = event.revision;
      break;
    case EventKind::kAppendSkipped:
      append_running = false;
      append_done = true;
      break;
    case EventKind::kAppendFailed:
      append_running = false;
      ++append_failures;
      append_retry_at = event.retry_at;
      break;
    case EventKind::kRejected:
    case EventKind::kEnded:
      ended_at = event.at;
      if (!event.detail.empty()) reason = event.detail;
      if (to_phase == RolloutPhase::kPromoted) {
        for (TargetProgress& one : targets) one.stage = TargetStage::kPromoted;
      }
      break;
  }
  if (to_phase) phase = *to_phase;
  const auto count = [](std::uint32_t& counted, bool was, bool is) {
    if (is && !was) ++counted;
    if (was && !is) --counted;
  };
  count(activated_targets, was_activated, is_activated());
  count(touched_targets, was_touched, target != nullptr && target->ever_touched);
  return {};
}

}  // namespace st8::target
