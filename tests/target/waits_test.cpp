// What a rollout waits for, and until when: pure, from its plan and state.
#include <gtest/gtest.h>

#include "st8/target/rollout.h"

namespace st8::target {
namespace {

constexpr std::int64_t kSecond = 1'000'000;
constexpr Timestamp kNow{1'700'000'000LL * kSecond};  // A Tuesday, 22:13:20.
Timestamp after(std::int64_t seconds) { return {kNow.micros + seconds * kSecond}; }

Plan plan_of_one() {
  Plan plan{*state::NamespaceName::parse("shop"),
            *state::BranchName::parse("main"),
            {},
            {},
            "",
            {},
            "",
            {},
            {},
            {},
            {},
            {},
            {},
            {},
            {},
            {},
            false,
            false,
            {},
            {},
            {},
            {}};
  plan.expires_at = after(3600);
  plan.targets.push_back(PlannedTarget{
      Target{*TargetName::parse("web-1"), "file", {}, Criticality::kMedium, "", ""}, 0, 0, 0, 0, std::nullopt, {}, ""});
  plan.policy.health.push_back({});
  plan.policy.health[0].deadline = Millis{15'000};
  plan.policy.progress_deadline = Millis{600'000};
  plan.ops = {{OpKind::kActivate, OpPhase::kSwitch, 0}, {OpKind::kHealth, OpPhase::kSwitch, 0}};
  plan.waves = {Wave{"all", {0}, {{Gate::Kind::kPause, Millis{0}}, {Gate::Kind::kBake, Millis{60'000}}}, 100}};
  return plan;
}

TEST(RolloutWaits, BeforeItBegins) {
  Plan plan = plan_of_one();
  const RolloutState state(plan);
  using Kind = RolloutWait::Kind;
  EXPECT_EQ(waits_of(plan, state, kNow), (std::vector<RolloutWait>{{Kind::kPlan, after(3600)}}));
  // It opens at 22:30 on weekdays, and is shut at 22:13:20.
  plan.policy.windows = {Window{0x1f, 22 * 60 + 30, 23 * 60}};
  EXPECT_EQ(waits_of(plan, state, kNow),
            (std::vector<RolloutWait>{{Kind::kWindow, after(16 * 60 + 40)}, {Kind::kPlan, after(3600)}}));
  EXPECT_EQ(waits_of(plan, state, after(17 * 60)), (std::vector<RolloutWait>{{Kind::kPlan, after(3600)}}));
  plan.policy.windows = {Window{0, 0, 24 * 60}};  // It never opens.
  EXPECT_EQ(waits_of(plan, state, kNow), (std::vector<RolloutWait>{{Kind::kPlan, after(3600)}}));
  plan.policy.schedule = after(120);
  EXPECT_EQ(waits_of(plan, state, kNow),
            (std::vector<RolloutWait>{{Kind::kSchedule, after(120)}, {Kind::kPlan, after(3600)}}));
  // A rollback waits for neither.
  plan.fast_path = true;
  EXPECT_EQ(waits_of(plan, state, kNow), (std::vector<RolloutWait>{{Kind::kPlan, after(3600)}}));
}

TEST(RolloutWaits, UnderWayAndOver) {
  const Plan plan = plan_of_one();
  RolloutState state(plan);
  using Kind = RolloutWait::Kind;
  state.phase = RolloutPhase::kRunning;
  state.wave_started = true;
  state.progress_at = kNow;
  state.targets[0].stage = TargetStage::kActivated;
  state.targets[0].next_op = 1;
  state.targets[0].running = true;
  state.targets[0].started_at = after(5);
  EXPECT_EQ(waits_of(plan, state, after(6)),
            (std::vector<RolloutWait>{{Kind::kProgress, after(600)}, {Kind::kHealth, after(20), 0}}));
  state.targets[0].running = false;
  state.targets[0].retry_at = after(9);
  EXPECT_EQ(waits_of(plan, state, after(6)),
            (std::vector<RolloutWait>{{Kind::kProgress, after(600)}, {Kind::kRetry, after(9), 0}}));
  state.targets[0].retry_at.reset();
  state.targets[0].next_op = 2;
  state.gate_started = true;
  state.gate_since = after(20);
  EXPECT_TRUE(waits_of(plan, state, after(21)).empty()) << "a pause waits for a person";
  state.gate = 1;
  EXPECT_EQ(waits_of(plan, state, after(21)),
            (std::vector<RolloutWait>{{Kind::kGate, after(80), RolloutEvent::kNone, 0, 1}}));
  state.phase = RolloutPhase::kPaused;
  EXPECT_TRUE(waits_of(plan, state, after(21)).empty());
  state.phase = RolloutPhase::kRollingBack;
  state.targets[0].stage = TargetStage::kRestoring;
  state.targets[0].retry_at = after(30);
  state.append_retry_at = after(31);
  EXPECT_EQ(waits_of(plan, state, after(21)),
            (std::vector<RolloutWait>{{Kind::kRetry, after(30), 0}, {Kind::kAppend, after(31)}}));
  state.phase = RolloutPhase::kRolledBack;
  EXPECT_TRUE(waits_of(plan, state, after(21)).empty());
}

}  // namespace
}  // namespace st8::target
