#include <algorithm>

#include "st8/target/rollout.h"

namespace st8::target {
namespace {

constexpr std::int64_t kMinuteMicros = 60'000'000;
constexpr std::int64_t kWeekMinutes = 7 * 24 * 60;

Timestamp later(Timestamp from, Millis by) { return Timestamp{from.micros + by.count() * 1000}; }

// The next minute at which a window is open; nullopt when none is within a week, or one is open now.
std::optional<Timestamp> next_opening(const std::vector<Window>& windows, Timestamp now) {
  const auto open = [&](Timestamp at) {
    return std::any_of(windows.begin(), windows.end(), [&](const Window& window) { return window.contains(at); });
  };
  if (windows.empty() || open(now)) return std::nullopt;
  Timestamp at{(now.micros / kMinuteMicros + 1) * kMinuteMicros};
  for (std::int64_t i = 0; i < kWeekMinutes; ++i, at.micros += kMinuteMicros) {
    if (open(at)) return at;
  }
  return std::nullopt;
}

}  // namespace

std::string_view wait_kind_name(RolloutWait::Kind kind) {
  constexpr std::string_view kNames[] = {"schedule", "window", "plan", "gate", "progress", "health", "retry", "append"};
  return kNames[static_cast<std::size_t>(kind)];
}

std::vector<RolloutWait> waits_of(const Plan& plan, const RolloutState& state, Timestamp now) {
  using Kind = RolloutWait::Kind;
  std::vector<RolloutWait> waits;
  const bool over = is_final(state.phase);
  if (over) return waits;
  if (state.phase == RolloutPhase::kPending) {
    if (!plan.fast_path && plan.policy.schedule && now < *plan.policy.schedule) {
      waits.push_back({Kind::kSchedule, *plan.policy.schedule});
    } else if (!plan.fast_path) {
      if (const auto opens = next_opening(plan.policy.windows, now)) waits.push_back({Kind::kWindow, *opens});
    }
    if (plan.expires_at.micros != 0) waits.push_back({Kind::kPlan, plan.expires_at});
    return waits;
  }
  const bool in_wave = state.wave < plan.waves.size() && state.wave_started;
  if (state.phase == RolloutPhase::kRunning && in_wave) {
    const Wave& wave = plan.waves[state.wave];
    if (state.gate_started && state.gate < wave.gates.size()) {
      const Gate& gate = wave.gates[state.gate];
      if (gate.kind != Gate::Kind::kPause)
        waits.push_back(
            {Kind::kGate, later(state.gate_since, gate.duration), RolloutEvent::kNone, state.wave, state.gate});
    } else if (plan.policy.progress_deadline.count() > 0) {
      waits.push_back({Kind::kProgress, later(state.progress_at, plan.policy.progress_deadline)});
    }
  }
  for (std::uint32_t i = 0; i < state.targets.size(); ++i) {
    const TargetProgress& target = state.targets[i];
    if (target.running && target.stage != TargetStage::kRestoring && target.next_op < plan.ops.size() &&
        plan.ops[target.next_op].kind == OpKind::kHealth) {
      const HealthCheck& check = plan.policy.health[plan.ops[target.next_op].index];
      waits.push_back({Kind::kHealth, later(target.started_at, check.deadline), i});
    }
    if (target.retry_at && *target.retry_at > now) waits.push_back({Kind::kRetry, *target.retry_at, i});
  }
  if (state.append_retry_at && !state.append_done) waits.push_back({Kind::kAppend, *state.append_retry_at});
  return waits;
}

}  // namespace st8::target
