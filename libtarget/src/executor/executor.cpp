#include "st8/target/executor.h"

#include <algorithm>

namespace st8::target {
namespace {

// A restore goes on until it succeeds; how long it waits between tries is bounded.
constexpr RetryPolicy kRestoreRetry{0xffffffff, Millis{500}, 2, Millis{30'000}};
// After this many failed tries of each target that cannot be restored, the head is put right without waiting for it.
constexpr std::uint32_t kRestoreFailuresBeforeAppend = 3;
constexpr std::size_t kDetailBytesMax = 16u << 10;

Timestamp later(Timestamp time, Millis by) { return {time.micros + by.count() * 1000}; }

bool worth_a_retry(const Error& error) {
  return error.code == ErrorCode::kUnavailable || error.code == ErrorCode::kOutcomeUnknown ||
         error.code == ErrorCode::kRateLimited;
}

std::string bounded(std::string text) {
  if (text.size() > kDetailBytesMax) text = text.substr(0, kDetailBytesMax) + "… (cut)";
  return text;
}

}  // namespace

Executor::Executor(std::shared_ptr<const Plan> plan, RolloutState state, Timestamp now)
    : plan_(std::move(plan)), state_(std::move(state)) {
  if (is_final(state_.phase)) return;
  look_at_all();
  for (std::uint32_t i = 0; i < state_.targets.size(); ++i) {
    const TargetProgress progress = state_.targets[i];
    if (!progress.running) continue;
    if (progress.stage == TargetStage::kRestoring) {
      RolloutEvent event = about(EventKind::kRestoreFailed, i);
      event.detail = "the daemon ended while it ran; it runs again";
      event.retry_at = now;
      emit(std::move(event), now);
      continue;
    }
    const PlannedOp& op = plan_->ops[progress.next_op];
    const bool runs_again = op.kind != OpKind::kStep || plan_->policy.steps[op.index].idempotent;
    RolloutEvent event = about(runs_again ? EventKind::kOpInterrupted : EventKind::kOpUnknown, i);
    event.op = progress.next_op;
    event.detail = runs_again ? "the daemon ended while it ran; it runs again"
                              : "the daemon ended while step \"" + plan_->policy.steps[op.index].name +
                                    "\" ran, and it is not idempotent: its outcome is not known";
    emit(std::move(event), now);
  }
  if (state_.append_running) {
    RolloutEvent event;
    event.kind = EventKind::kAppendFailed;
    event.detail = "the daemon ended while it ran; it runs again";
    event.retry_at = now;
    emit(std::move(event), now);
  }
}

void Executor::Tally::count(const TargetProgress& target, int by) {
  const auto add = [by](std::int64_t& number, bool counts) {
    if (counts) number += by;
  };
  const bool away = target.touched && target.stage != TargetStage::kRestored;
  add(running, target.running);
  add(unknown, target.unknown);
  add(unrestored, away);
  add(untried, away && !(target.stage == TargetStage::kRestoring && target.failures >= kRestoreFailuresBeforeAppend));
}

bool Executor::emit(RolloutEvent event, Timestamp now) {
  if (broken_) return false;
  event.sequence = state_.events + 1;
  event.at = now;
  event.detail = bounded(std::move(event.detail));
  const TargetProgress* target = event.target < state_.targets.size() ? &state_.targets[event.target] : nullptr;
  if (target != nullptr) tally_.count(*target, -1);
  if (auto applied = state_.apply(*plan_, event); !applied) {
    // The tables say no: standing still is better than doing what they forbid.
    broken_ = applied.error();
    return false;
  }
  if (target != nullptr) {
    tally_.count(*target, 1);
    look_at(event.target);
  }
  switch (event.kind) {
    case EventKind::kResumed:
      look_at_all();  // What was unknown may be forgotten, and the waves may begin anew.
      break;
    case EventKind::kWaveStarted:
      wave_stale_ = true;
      break;
    case EventKind::kGateStarted:
      bake_.reset(state_.targets.size());
      unsettled_.clear();
      break;
    case EventKind::kRollbackStarted:
      restores_.reset(state_.targets.size());
      break;
    default:
      break;
  }
  events_.push_back(std::move(event));
  return true;
}

void Executor::look_at_all() {
  tally_ = {};
  for (const TargetProgress& target : state_.targets) tally_.count(target, 1);
  restores_.reset(state_.targets.size());
  bake_.reset(state_.targets.size());
  wave_stale_ = true;
}

void Executor::look_at(std::uint32_t target) {
  restores_.add(target);
  bake_.add(target);
  if (!wave_stale_ && places_[target] != RolloutEvent::kNone) wave_.add(places_[target]);
}

RolloutEvent Executor::about(EventKind kind, std::uint32_t target) const {
  RolloutEvent event;
  event.kind = kind;
  event.target = target;
  return event;
}

void Executor::start(Effect effect) {
  if (broken_) return;
  in_flight_.insert(effect);
  effects_.push_back(effect);
}

void Executor::wake(Timestamp at) {
  if (!wake_at_ || at < *wake_at_) wake_at_ = at;
}

// --- What happened ---------------------------------------------------------------------------------------------------

void Executor::take(const EffectResult& result, Timestamp now) {
  if (in_flight_.erase(result.effect) == 0 || is_final(state_.phase)) return;
  const Effect& effect = result.effect;
  if (effect.target < state_.targets.size()) look_at(effect.target);
  if (effect.kind == Effect::Kind::kProbe) {
    take_probe(result, now);
    return;
  }
  if (effect.kind == Effect::Kind::kMeasure) {
    take_reading(result, now);
    return;
  }
  if (effect.kind == Effect::Kind::kAppend) {
    RolloutEvent event;
    if (!result.status) {
      event.kind = EventKind::kAppendFailed;
      event.detail = result.status.error().message;
      event.retry_at = later(now, kRestoreRetry.wait_before(state_.append_failures + 2));
    } else if (result.revision.is_root()) {
      event.kind = EventKind::kAppendSkipped;
      event.detail = result.output;
    } else {
      event.kind = EventKind::kAppended;
      event.revision = result.revision;
    }
    emit(std::move(event), now);
    return;
  }
  const std::uint32_t index = effect.target;
  const TargetProgress& progress = state_.targets[index];
  const PlannedTarget& target = plan_->targets[index];
  if (effect.kind == Effect::Kind::kRestore) {
    Error error;
    if (!result.status) {
      error = result.status.error();
    } else {
      const bool present = result.observation && result.observation->present;
      const bool good =
          result.observation && (target.from ? present && result.observation->content == *target.from : !present);
      if (good) {
        RolloutEvent event = about(EventKind::kRestored, index);
        event.observation = result.observation;
        event.detail = result.output;
        emit(std::move(event), now);
        return;
      }
      error = {ErrorCode::kUnavailable,
               "after the restore the target reads " +
                   (present ? result.observation->content.hex().substr(0, 12) : std::string("nothing")) +
                   " instead of " + (target.from ? target.from->hex().substr(0, 12) : std::string("nothing")),
               ""};
    }
    RolloutEvent event = about(EventKind::kRestoreFailed, index);
    event.detail = error.message;
    event.retry_at = later(now, kRestoreRetry.wait_before(progress.failures + 2));
    emit(std::move(event), now);
    return;
  }
  if (!progress.running || progress.next_op != effect.op || progress.attempt != effect.attempt) return;
  if (!result.status) {
    const PlannedOp& failed = plan_->ops[effect.op];
    // It ran elsewhere, and nobody knows how it ended: a person decides, as after an end of the daemon.
    if (state_.phase != RolloutPhase::kRollingBack && result.status.error().code == ErrorCode::kOutcomeUnknown &&
        failed.kind == OpKind::kStep && !plan_->policy.steps[failed.index].idempotent) {
      RolloutEvent event = about(EventKind::kOpUnknown, index);
      event.op = effect.op;
      event.attempt = effect.attempt;
      event.detail = "step \"" + plan_->policy.steps[failed.index].name +
                     "\" is not idempotent, and its outcome is not known: " + result.status.error().message;
      emit(std::move(event), now);
      return;
    }
    op_failed(index, result.status.error(), true, result.output, now);
    return;
  }
  const PlannedOp& op = plan_->ops[effect.op];
  const Hash& wanted = plan_->contents[target.content].hash;
  if (op.kind == OpKind::kValidate && (!result.hash || *result.hash != wanted)) {
    op_failed(index,
              {ErrorCode::kUnprocessable,
               "what was staged reads back as " + (result.hash ? result.hash->hex().substr(0, 12) : "nothing") +
                   " instead of " + wanted.hex().substr(0, 12),
               ""},
              false, result.output, now);
    return;
  }
  if (op.kind == OpKind::kObserve &&
      (!result.observation || !result.observation->present || result.observation->content != wanted)) {
    const bool present = result.observation && result.observation->present;
    op_failed(index,
              {ErrorCode::kUnprocessable,
               "the target reads back " +
                   (present ? result.observation->content.hex().substr(0, 12) : std::string("nothing")) +
                   " instead of " + wanted.hex().substr(0, 12),
               ""},
              false, result.output, now);
    return;
  }
  RolloutEvent event = about(EventKind::kOpSucceeded, index);
  event.op = effect.op;
  event.attempt = effect.attempt;
  event.observation = result.observation;
  event.detail = result.output;
  emit(std::move(event), now);
}

void Executor::op_failed(std::uint32_t index, const Error& error, bool may_retry, const std::string& output,
                         Timestamp now) {
  const TargetProgress& progress = state_.targets[index];
  const PlannedOp& op = plan_->ops[progress.next_op];
  const StepSpec* step = op.kind == OpKind::kStep ? &plan_->policy.steps[op.index] : nullptr;
  const RetryPolicy& retry = step != nullptr ? step->retry : plan_->policy.retry;
  const bool rolling_back = state_.phase == RolloutPhase::kRollingBack;
  RolloutEvent event = about(EventKind::kOpFailed, index);
  event.op = progress.next_op;
  event.attempt = progress.attempt;
  event.detail = error.message + (output.empty() ? "" : "\n" + output);
  // A program's failure is worth its retries whatever it says; a driver tells what is worth one.
  may_retry = may_retry && !rolling_back && (step != nullptr || worth_a_retry(error));
  if (may_retry && progress.failures + 1 < retry.attempts) {
    event.retry_at = later(now, retry.wait_before(progress.failures + 2));
    emit(std::move(event), now);
    return;
  }
  if (step != nullptr && (!step->required || step->continue_on_failure)) {
    event.full = true;
    emit(std::move(event), now);
    return;
  }
  const std::string why =
      std::string(op_kind_name(op.kind)) + (step != nullptr ? " \"" + step->name + "\"" : "") + ": " + error.message;
  emit(std::move(event), now);
  if (!rolling_back) target_failed(index, why, now);
}

void Executor::target_failed(std::uint32_t index, const std::string& why, Timestamp now) {
  RolloutEvent event = about(EventKind::kTargetFailed, index);
  event.detail = why;
  emit(std::move(event), now);
}

void Executor::take_probe(const EffectResult& result, Timestamp now) {
  const std::uint32_t index = result.effect.target;
  const auto found = probes_.find({index, result.effect.check});
  if (found == probes_.end()) return;
  Probe& probe = found->second;
  const HealthCheck& check = plan_->policy.health[result.effect.check];
  if (result.status) {
    ++probe.successes;
    probe.failures = 0;
    probe.ever_succeeded = true;
  } else {
    ++probe.failures;
    probe.successes = 0;
    probe.last_error = result.status.error().message;
  }
  probe.next_at = later(now, check.interval);
  const TargetProgress& progress = state_.targets[index];
  const bool in_gate = progress.running && progress.next_op < plan_->ops.size() &&
                       plan_->ops[progress.next_op].kind == OpKind::kHealth &&
                       plan_->ops[progress.next_op].index == result.effect.check;
  if (in_gate) {
    if (probe.successes >= check.successes) {
      probes_.erase(found);
      RolloutEvent event = about(EventKind::kOpSucceeded, index);
      event.op = progress.next_op;
      event.attempt = progress.attempt;
      emit(std::move(event), now);
    } else if (probe.ever_succeeded && probe.failures >= check.failures) {
      const std::string why = "health check \"" + check.name + "\" became unstable: " + probe.last_error;
      probes_.erase(found);
      op_failed(index, {ErrorCode::kUnprocessable, why, ""}, false, "", now);
    }
    return;
  }
  if (probe.failures >= check.failures && !progress.failed && state_.phase == RolloutPhase::kRunning) {
    const std::string why = "health check \"" + check.name + "\" failed " + std::to_string(probe.failures) +
                            " times through the bake: " + probe.last_error;
    probes_.erase(found);
    target_failed(index, why, now);
  }
}

void Executor::take_reading(const EffectResult& result, Timestamp now) {
  if (!readings_ || state_.phase != RolloutPhase::kRunning || !state_.gate_started) return;
  ++readings_->taken;
  if (!result.status) {
    ++readings_->failed;
    readings_->last_error = result.status.error().message;
  }
  readings_->next_at = later(now, plan_->policy.strategy.analyses[result.effect.check].reading.interval);
}

// --- Verbs -----------------------------------------------------------------------------------------------------------

namespace {
Status not_now(const RolloutState& state, std::string what, std::string hint = {}) {
  return fail(ErrorCode::kConflict,
              "the rollout is " + std::string(phase_name(state.phase)) + " and cannot be " + std::move(what),
              std::move(hint));
}
}  // namespace

Status Executor::approve(const PlanHash& hash, const std::string& actor, Timestamp now, const std::string& why) {
  if (state_.phase != RolloutPhase::kPending || !plan_->needs_approval)
    return not_now(state_, "approved", "it waits for no approval");
  if (state_.approved) return fail(ErrorCode::kConflict, "the plan is approved already, by " + state_.approved_by, "");
  if (!(hash == plan_->hash)) {
    return fail(ErrorCode::kPreconditionFailed, "the approval is for another plan than this rollout's",
                "look at the plan again, then approve its hash " + plan_->hash.value.hex().substr(0, 12));
  }
  if (actor == plan_->author)
    return fail(ErrorCode::kPermissionDenied, actor + " wrote the revision and cannot approve it", "ask someone else");
  const auto& by = plan_->policy.approval.by;
  if (!by.empty() && std::find(by.begin(), by.end(), actor) == by.end()) {
    return fail(ErrorCode::kPermissionDenied, actor + " is not among those who may approve",
                "the policy's approval.by names them");
  }
  RolloutEvent event;
  event.kind = EventKind::kApproved;
  event.actor = actor;
  event.detail = why;
  emit(std::move(event), now);
  return {};
}

Status Executor::reject(const std::string& actor, const std::string& why, Timestamp now) {
  if (state_.phase != RolloutPhase::kPending) return not_now(state_, "rejected", "abort it instead");
  RolloutEvent event;
  event.kind = EventKind::kRejected;
  event.actor = actor;
  event.detail = why.empty() ? "rejected by " + actor : why;
  emit(std::move(event), now);
  return {};
}

Status Executor::pause(const std::string& actor, const std::string& why, Timestamp now) {
  if (state_.phase != RolloutPhase::kRunning) return not_now(state_, "paused");
  RolloutEvent event;
  event.kind = EventKind::kPaused;
  event.actor = actor;
  event.detail = why.empty() ? "paused by " + actor : why;
  emit(std::move(event), now);
  return {};
}

Status Executor::resume(const std::string& actor, Timestamp now, const std::string& why) {
  if (state_.phase != RolloutPhase::kPaused) return not_now(state_, "resumed");
  for (const TargetProgress& target : state_.targets) {
    if (target.unknown) {
      return fail(ErrorCode::kConflict, "the outcome of a step is not known: " + target.error,
                  "look at the target, then `retry` (run it again) or `abort`");
    }
  }
  if (state_.failed_targets > plan_->policy.failures_max) {
    return fail(ErrorCode::kConflict, "more targets failed than maxFailures allows",
                "`retry` tries them again; `abort` rolls back");
  }
  RolloutEvent event;
  event.kind = EventKind::kResumed;
  event.actor = actor;
  event.detail = why;
  emit(std::move(event), now);
  return {};
}

Status Executor::promote(bool full, const std::string& actor, Timestamp now, const std::string& why) {
  if (state_.phase != RolloutPhase::kRunning) return not_now(state_, "promoted");
  if (!full && !state_.gate_started)
    return fail(ErrorCode::kConflict, "the rollout waits at no gate",
                "promote it when it does, or with --full to pass all gates");
  RolloutEvent event;
  event.kind = EventKind::kPromoteAsked;
  event.actor = actor;
  event.detail = why;
  event.full = full;
  emit(std::move(event), now);
  return {};
}

Status Executor::finish_or_roll_back(RolloutPhase outcome, const std::string& why, const std::string& actor,
                                     Timestamp now) {
  if (state_.phase == RolloutPhase::kPending) {
    RolloutEvent event;
    event.kind = EventKind::kEnded;
    event.outcome = outcome;
    event.detail = why;
    event.actor = actor;
    emit(std::move(event), now);
    return {};
  }
  begin_rollback(outcome, why, actor, now);
  return {};
}

Status Executor::abort(const std::string& actor, const std::string& why, Timestamp now) {
  if (is_final(state_.phase) || state_.phase == RolloutPhase::kRollingBack) return not_now(state_, "aborted");
  return finish_or_roll_back(RolloutPhase::kAborted, why.empty() ? "aborted by " + actor : why, actor, now);
}

Status Executor::supersede(const std::string& why, Timestamp now) {
  if (is_final(state_.phase) || state_.phase == RolloutPhase::kRollingBack) return not_now(state_, "superseded");
  return finish_or_roll_back(RolloutPhase::kSuperseded, why, "", now);
}

Status Executor::retry(const std::string& actor, Timestamp now, const std::string& why) {
  if (state_.phase != RolloutPhase::kPaused && state_.phase != RolloutPhase::kIncomplete)
    return not_now(state_, "retried");
  bool any = false;
  for (std::uint32_t i = 0; i < state_.targets.size(); ++i) {
    const TargetProgress& progress = state_.targets[i];
    if (progress.failed && progress.touched && progress.stage != TargetStage::kRestored) {
      return fail(ErrorCode::kConflict, "target " + plan_->targets[i].target.name.str() + " is still being restored",
                  "try again when it is");
    }
    any = any || progress.failed || progress.unknown;
  }
  if (!any) return fail(ErrorCode::kConflict, "no target failed", "`resume` goes on");
  for (std::uint32_t i = 0; i < state_.targets.size(); ++i) {
    if (!state_.targets[i].failed) continue;
    RolloutEvent event = about(EventKind::kTargetRetried, i);
    event.actor = actor;
    event.detail = why;
    emit(std::move(event), now);
  }
  RolloutEvent event;
  event.kind = EventKind::kResumed;
  event.actor = actor;
  event.detail = why;
  event.full = true;
  emit(std::move(event), now);
  return {};
}

// --- What next -------------------------------------------------------------------------------------------------------

void Executor::begin_rollback(RolloutPhase outcome, const std::string& why, const std::string& actor, Timestamp now) {
  probes_.clear();
  // What was decided in this turn and is not begun yet will not be.
  for (const Effect& effect : std::exchange(effects_, {})) {
    if (effect.kind == Effect::Kind::kRestore || effect.kind == Effect::Kind::kAppend) {
      effects_.push_back(effect);
      continue;
    }
    in_flight_.erase(effect);
    if (effect.kind != Effect::Kind::kOp) continue;
    RolloutEvent event = about(EventKind::kOpInterrupted, effect.target);
    event.op = effect.op;
    emit(std::move(event), now);
  }
  // A health gate is a row of probes and nothing at the target: it just ends.
  for (std::uint32_t i = 0; i < state_.targets.size(); ++i) {
    const TargetProgress& progress = state_.targets[i];
    if (progress.running && progress.stage != TargetStage::kRestoring &&
        plan_->ops[progress.next_op].kind == OpKind::kHealth) {
      RolloutEvent event = about(EventKind::kOpInterrupted, i);
      event.op = progress.next_op;
      emit(std::move(event), now);
    }
  }
  RolloutEvent event;
  event.kind = EventKind::kRollbackStarted;
  event.outcome = outcome;
  event.detail = why;
  event.actor = actor;
  emit(std::move(event), now);
}

void Executor::decide(Timestamp now, const Surroundings& surroundings) {
  wake_at_.reset();
  waiting_.clear();
  // Each turn emits an event or ends the loop; the bound only guards against a bug of ours.
  for (int turn = 0; turn < 100'000; ++turn) {
    const std::uint64_t events = state_.events;
    if (broken_ || is_final(state_.phase)) return;
    wake_at_.reset();
    waiting_.clear();
    run(now, surroundings);
    if (state_.events == events) return;
  }
}

void Executor::run(Timestamp now, const Surroundings& surroundings) {
  switch (state_.phase) {
    case RolloutPhase::kPending: {
      if (plan_->needs_approval && !state_.approved) {
        waiting_ = "an approval";
      } else if (!surroundings.blocked.empty()) {
        waiting_ = surroundings.blocked;
      } else if (!surroundings.frozen.empty()) {
        waiting_ = surroundings.frozen;
      } else {
        RolloutEvent event;
        event.kind = EventKind::kStarted;
        emit(std::move(event), now);
        return;
      }
      if (surroundings.look_again) wake(*surroundings.look_again);
      return;
    }
    case RolloutPhase::kRollingBack:
      roll_back(now);
      return;
    case RolloutPhase::kPaused:
      if (state_.failed_targets > plan_->policy.failures_max && plan_->policy.rollback_auto) break;
      [[fallthrough]];
    case RolloutPhase::kIncomplete:
      waiting_ = "a person";
      restore_where_due(now);
      return;
    case RolloutPhase::kRunning:
      break;
    default:
      return;
  }

  restore_where_due(now);
  const auto pause_for_person = [&](const std::string& why) {
    RolloutEvent event;
    event.kind = EventKind::kPaused;
    event.detail = why;
    emit(std::move(event), now);
  };
  if (tally_.unknown > 0) {
    pause_for_person(std::find_if(state_.targets.begin(), state_.targets.end(), [](const TargetProgress& target) {
                       return target.unknown;
                     })->error);
    return;
  }
  const auto failed = [&](const std::string& why) {
    if (plan_->policy.rollback_auto) {
      begin_rollback(RolloutPhase::kRolledBack, why, "", now);
    } else {
      pause_for_person(why);
    }
  };
  if (state_.failed_targets > plan_->policy.failures_max) {
    std::string why;
    for (std::uint32_t i = 0; i < state_.targets.size(); ++i) {
      if (!state_.targets[i].failed) continue;
      why = "target " + plan_->targets[i].target.name.str() + ": " + state_.targets[i].error;
      break;
    }
    if (state_.failed_targets > 1) why = std::to_string(state_.failed_targets) + " targets failed; first " + why;
    failed(why);
    return;
  }
  if (state_.gate_started && readings_) {
    const Analysis& analysis = plan_->policy.strategy.analyses[plan_->waves[state_.wave].gates[state_.gate].analysis];
    if (readings_->failed > analysis.failure_limit) {
      const std::string why = "analysis \"" + analysis.reading.name + "\": " + std::to_string(readings_->failed) +
                              " of " + std::to_string(readings_->taken) + " readings failed, where " +
                              std::to_string(analysis.failure_limit) + " may: " + readings_->last_error;
      readings_.reset();
      failed(why);
      return;
    }
  }
  if (!state_.gate_started && plan_->policy.progress_deadline.count() > 0 && state_.wave < plan_->waves.size() &&
      state_.wave_started) {
    const Timestamp deadline = later(state_.progress_at, plan_->policy.progress_deadline);
    if (now >= deadline) {
      failed("no progress for " + format_duration(plan_->policy.progress_deadline));
      return;
    }
    wake(deadline);
  }

  if (state_.wave >= plan_->waves.size()) {
    RolloutEvent event;
    if (state_.failed_targets > 0) {
      event.kind = EventKind::kIncomplete;
      event.detail =
          std::to_string(state_.failed_targets) + " of " + std::to_string(state_.targets.size()) + " targets failed";
    } else {
      event.kind = EventKind::kEnded;
      event.outcome = RolloutPhase::kPromoted;
    }
    emit(std::move(event), now);
    return;
  }
  if (!state_.wave_started) {
    if (!surroundings.frozen.empty()) {
      waiting_ = surroundings.frozen;
      if (surroundings.look_again) wake(*surroundings.look_again);
      return;
    }
    RolloutEvent event;
    event.kind = EventKind::kWaveStarted;
    event.wave = state_.wave;
    emit(std::move(event), now);
  }
  if (!advance_wave(now) || state_.phase != RolloutPhase::kRunning ||
      state_.failed_targets > plan_->policy.failures_max)
    return;
  if (!gates_passed(now)) return;
  RolloutEvent event;
  event.kind = EventKind::kWaveCompleted;
  event.wave = state_.wave;
  emit(std::move(event), now);
}

bool Executor::advance_wave(Timestamp now) {
  const std::vector<std::uint32_t>& targets = plan_->waves[state_.wave].targets;
  if (std::exchange(wave_stale_, false)) {
    places_.assign(state_.targets.size(), RolloutEvent::kNone);
    for (std::uint32_t place = 0; place < targets.size(); ++place) places_[targets[place]] = place;
    wave_.reset(targets.size());
    open_.assign(targets.size(), true);
    open_count_ = targets.size();
    want_room_.clear();
  }
  std::vector<std::uint32_t> places = wave_.take(now);
  // Of those that wait for room as many as there is room for, each in its turn among the others.
  std::size_t room = plan_->policy.strategy.parallel_max;
  room -= std::min(room, in_flight_.size());
  for (auto place = want_room_.begin(); place != want_room_.end() && room > 0; ++place, --room)
    places.push_back(*place);
  std::sort(places.begin(), places.end());
  places.erase(std::unique(places.begin(), places.end()), places.end());
  for (const std::uint32_t place : places) {
    ++looks_;
    const Need need = advance_target(targets[place], place, now);
    if (need == Need::kRoom) {
      want_room_.insert(place);
    } else {
      want_room_.erase(place);
    }
    const bool open = need != Need::kNothing;
    if (open && !open_[place]) ++open_count_;
    if (!open && open_[place]) --open_count_;
    open_[place] = open;
  }
  if (const auto at = wave_.next()) wake(*at);
  return open_count_ == 0;
}

Executor::Need Executor::advance_target(std::uint32_t index, std::uint32_t place, Timestamp now) {
  const TargetProgress& progress = state_.targets[index];
  if (progress.failed) return Need::kNothing;
  const auto op_index = progress.next_op;
  if (op_index >= plan_->ops.size()) return Need::kNothing;
  const PlannedOp& op = plan_->ops[op_index];
  if (plan_->wave_of(plan_->targets[index], op) != state_.wave) return Need::kNothing;
  if (progress.running) {
    if (op.kind == OpKind::kHealth) {
      const HealthCheck& check = plan_->policy.health[op.index];
      Probe& probe_state = probes_[{index, op.index}];
      const Timestamp deadline = later(progress.started_at, check.deadline);
      if (now >= deadline) {
        const std::string why = "health check \"" + check.name + "\" did not pass within " +
                                format_duration(check.deadline) +
                                (probe_state.last_error.empty() ? "" : ": " + probe_state.last_error);
        probes_.erase({index, op.index});
        op_failed(index, {ErrorCode::kUnprocessable, why, ""}, false, "", now);
        return Need::kTime;
      }
      const auto next = probe(index, op.index, now);
      wave_.add_at(place, next ? std::min(deadline, *next) : deadline);
    }
    return Need::kTime;
  }
  if (progress.unknown) return Need::kTime;
  if (progress.retry_at && *progress.retry_at > now) {
    wave_.add_at(place, *progress.retry_at);
    return Need::kTime;
  }
  if (op.kind != OpKind::kHealth && in_flight_.size() >= plan_->policy.strategy.parallel_max) return Need::kRoom;
  RolloutEvent event = about(EventKind::kOpStarted, index);
  event.op = op_index;
  event.attempt = progress.attempt + 1;
  const std::uint32_t attempt = event.attempt;
  if (!emit(std::move(event), now)) return Need::kTime;
  if (op.kind == OpKind::kHealth) {
    Probe fresh;
    fresh.started_at = fresh.next_at = now;
    probes_[{index, op.index}] = fresh;
    probe(index, op.index,
          now);  // When the next one is to be is asked in the next turn: the event has put it on the agenda.
  } else {
    start({Effect::Kind::kOp, index, op_index, 0, attempt});
  }
  return Need::kTime;
}

std::optional<Timestamp> Executor::probe(std::uint32_t index, std::uint32_t check, Timestamp now) {
  const Effect effect{Effect::Kind::kProbe, index, RolloutEvent::kNone, check, 0};
  if (in_flight_.contains(effect)) return std::nullopt;
  const Probe& state = probes_[{index, check}];
  if (state.next_at > now) return state.next_at;
  start(effect);
  return std::nullopt;
}

bool Executor::bake_settled(Timestamp now) {
  for (const std::uint32_t target : bake_.take(now)) {
    ++looks_;
    unsettled_.erase(target);
    if (state_.targets[target].stage != TargetStage::kActivated || state_.targets[target].failed) continue;
    std::optional<Timestamp> next;
    for (std::uint32_t check = 0; check < plan_->policy.health.size(); ++check) {
      if (!plan_->policy.health[check].bake) continue;
      const auto at = probe(target, check, now);
      if (at && (!next || *at < *next)) next = at;
      // The bake does not end on a bad reading: the next ones decide.
      if (probes_[{target, check}].successes == 0) unsettled_.insert(target);
    }
    if (next) bake_.add_at(target, *next);
  }
  if (const auto at = bake_.next()) wake(*at);
  return unsettled_.empty();
}

bool Executor::gates_passed(Timestamp now) {
  const Wave& wave = plan_->waves[state_.wave];
  if (!state_.wave_worked && !wave.targets.empty()) return true;
  while (state_.gate < wave.gates.size()) {
    const Gate& gate = wave.gates[state_.gate];
    if (!state_.gate_started) {
      probes_.clear();
      readings_.reset();
      RolloutEvent event;
      event.kind = EventKind::kGateStarted;
      event.wave = state_.wave;
      event.gate = state_.gate;
      if (!emit(std::move(event), now)) return false;
    }
    bool pass = state_.promote_asked || state_.promote_full;
    if (!pass && gate.kind == Gate::Kind::kPause) {
      waiting_ = "promote";
      return false;
    }
    const Timestamp end = later(state_.gate_since, gate.duration);
    if (!pass && gate.kind == Gate::Kind::kAnalysis) {
      if (!analysis_passed(gate, now)) return false;
      pass = true;
    } else if (!pass && gate.kind == Gate::Kind::kBake) {
      const bool settled = bake_settled(now);
      pass = now >= end && settled;
      waiting_ = "the bake";
    } else if (!pass) {
      pass = now >= end;
      waiting_ = "a delay of " + format_duration(gate.duration);
    }
    if (!pass) {
      if (now < end) wake(end);
      return false;
    }
    probes_.clear();
    readings_.reset();
    waiting_.clear();
    RolloutEvent event;
    event.kind = EventKind::kGatePassed;
    event.wave = state_.wave;
    event.gate = state_.gate;
    if (!emit(std::move(event), now)) return false;
  }
  return true;
}

bool Executor::analysis_passed(const Gate& gate, Timestamp now) {
  const Analysis& analysis = plan_->policy.strategy.analyses[gate.analysis];
  if (!readings_) readings_ = Readings{0, 0, later(state_.gate_since, analysis.initial_delay), ""};
  if (readings_->taken >= analysis.count) return true;  // One too many failed would have ended the rollout.
  waiting_ = "analysis \"" + analysis.reading.name + "\", " + std::to_string(readings_->taken) + " of " +
             std::to_string(analysis.count) + " readings";
  if (readings_->failed > 0) waiting_ += ", " + std::to_string(readings_->failed) + " failed";
  const Effect effect{Effect::Kind::kMeasure, RolloutEvent::kNone, RolloutEvent::kNone, gate.analysis, 0};
  if (in_flight_.contains(effect)) return false;
  if (readings_->next_at > now) {
    wake(readings_->next_at);
  } else {
    start(effect);
  }
  return false;
}

void Executor::restore_where_due(Timestamp now) {
  const bool all = state_.phase == RolloutPhase::kRollingBack;
  for (const std::uint32_t i : restores_.take(now)) {
    ++looks_;
    const TargetProgress& progress = state_.targets[i];
    if (!progress.touched || progress.running || progress.stage == TargetStage::kRestored) continue;
    if (!all && !progress.failed) continue;
    if (progress.stage == TargetStage::kRestoring && progress.retry_at && *progress.retry_at > now) {
      restores_.add_at(i, *progress.retry_at);
      continue;
    }
    RolloutEvent event = about(EventKind::kRestoreStarted, i);
    event.attempt = progress.stage == TargetStage::kRestoring ? progress.attempt + 1 : 1;
    const std::uint32_t attempt = event.attempt;
    if (!emit(std::move(event), now)) return;
    start({Effect::Kind::kRestore, i, RolloutEvent::kNone, 0, attempt});
  }
  if (const auto at = restores_.next()) wake(*at);
}

void Executor::roll_back(Timestamp now) {
  restore_where_due(now);
  const bool restored = tally_.running == 0 && tally_.unrestored == 0;
  const bool tried = tally_.running == 0 && tally_.untried == 0;
  const bool append = state_.outcome == RolloutPhase::kRolledBack && !plan_->promoted.is_root();
  if (append && !state_.append_done && !state_.append_running && (restored || tried)) {
    if (state_.append_retry_at && *state_.append_retry_at > now) {
      wake(*state_.append_retry_at);
    } else {
      RolloutEvent event;
      event.kind = EventKind::kAppendStarted;
      if (emit(std::move(event), now))
        start({Effect::Kind::kAppend, RolloutEvent::kNone, RolloutEvent::kNone, 0, state_.append_failures});
    }
  }
  if (!restored || (append && !state_.append_done)) {
    waiting_ = restored ? "the revision that goes back" : "restores";
    return;
  }
  RolloutEvent event;
  event.kind = EventKind::kEnded;
  event.outcome = state_.outcome;
  event.detail = state_.reason;
  emit(std::move(event), now);
}

}  // namespace st8::target
