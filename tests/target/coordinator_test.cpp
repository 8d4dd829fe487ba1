// What the coordinator publishes: pictures that are whole, and stay as they are while it goes on.
#include "service/coordinator.h"

#include <atomic>
#include <gtest/gtest.h>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "support/rollout_world.h"

namespace st8::target {
namespace {

using Picture = std::shared_ptr<const Coordinator::Published>;

// All that a picture tells, by value.
std::string told_by(const Coordinator::Published& picture) {
  std::string told;
  for (const auto& [id, rollout] : picture.open) told += encode_summary(rollout.summary) + "\n";
  for (const auto& [name, entry] : picture.live) told += name.str() + encode_ledger_entry(entry) + "\n";
  for (const auto& [key, one] : picture.quarantine) told += key + encode_quarantine(one) + "\n";
  for (const auto& [scope, freeze] : picture.freezes) told += scope + encode_freeze(freeze) + "\n";
  for (const auto& [branch, status] : picture.branches) {
    told += branch.first + " " + std::to_string(status.desired.value) + " " + std::to_string(status.promoted.value) +
            " " + status.rollout.str() + " " + std::to_string(status.targets.size()) + "\n";
  }
  for (const auto& [branch, policy] : picture.policies) told += branch.first + "\n";
  return told;
}

// What a rollout has activated is live, in the same picture.
bool whole(const Coordinator::Published& picture) {
  for (const auto& [id, rollout] : picture.open) {
    std::size_t live = 0;
    for (const auto& [name, entry] : picture.live) {
      if (entry.rollout == id) ++live;
    }
    if (live != rollout.summary.targets_activated) return false;
  }
  return true;
}

TEST(Coordinator, AHeldPictureStaysAsItIs) {
  constexpr std::size_t kTargets = 10, kElsewhere = 150;
  RolloutWorld world(kTargets, kElsewhere);
  ASSERT_TRUE(world.start());
  std::vector<std::pair<Picture, std::string>> held;
  const auto hold = [&] {
    const Picture picture = world.coordinator().published();
    EXPECT_TRUE(whole(*picture));
    held.emplace_back(picture, told_by(*picture));
  };
  hold();
  for (int revision = 0; revision < 2; ++revision) {
    world.apply();
    world.step();
    ASSERT_TRUE(world.coordinator().freeze({"other", "person", "busy", Timestamp{1}}));
    hold();
    while (world.waiting() > 0) {
      world.answer();
      world.step();
      hold();
    }
    ASSERT_TRUE(world.coordinator().unfreeze("other"));
    ASSERT_EQ(world.coordinator().open_rollouts(), 0u);
  }
  const Picture last = world.coordinator().published();
  EXPECT_EQ(last->live.size(), kTargets + kElsewhere);
  EXPECT_EQ(last->branches.find(world.branch())->second.promoted.value, 2u);
  std::map<std::string, int> different;
  for (const auto& [picture, told] : held) {
    ++different[told];
    EXPECT_EQ(told_by(*picture), told);
  }
  EXPECT_GT(different.size(), 4 * kTargets) << "else nothing changed under what was held";
}

TEST(Coordinator, PicturesAreReadWhileItGoesOn) {
  RolloutWorld world(50, 200);
  ASSERT_TRUE(world.start());
  std::atomic<bool> ended = false;
  std::atomic<int> torn = 0;
  std::vector<std::thread> readers;
  for (int i = 0; i < 2; ++i) {
    readers.emplace_back([&] {
      Picture held = world.coordinator().published();
      while (!ended) {
        const std::string told = told_by(*held);
        const Picture newer = world.coordinator().published();
        if (!whole(*newer) || told_by(*held) != told) ++torn;
        held = newer;
      }
    });
  }
  for (int revision = 0; revision < 3; ++revision) {
    world.apply();
    world.step();
    while (world.waiting() > 0) {
      world.answer();
      world.step();
    }
  }
  ended = true;
  for (std::thread& reader : readers) reader.join();
  EXPECT_EQ(torn, 0);
  EXPECT_EQ(world.coordinator().published()->branches.find(world.branch())->second.promoted.value, 3u);
}

TEST(Coordinator, AStepSharesWithTheOneBeforeWhatItDidNotChange) {
  constexpr std::size_t kTargets = 20, kElsewhere = 500;
  RolloutWorld world(kTargets, kElsewhere);
  ASSERT_TRUE(world.start());
  world.apply();
  world.step();
  Picture before = world.coordinator().published();
  std::size_t activated = 0;
  while (world.waiting() > 0) {
    world.answer();
    world.step();
    const Picture after = world.coordinator().published();
    std::size_t copied = 0;
    for (const auto& entry : after->live) {
      const auto found = before->live.find(entry.first);
      if (found == before->live.end() || &*found != &entry) ++copied;
    }
    if (!after->open.empty()) {
      EXPECT_LE(copied, 1u);
      activated += copied;
    }
    before = after;
  }
  EXPECT_EQ(activated, kTargets - 1) << "the last one ends the rollout in its step";
}

// What was decided and could not be written never was: readers keep what was true, so that gc keeps what an open rollout needs,
// and nothing is done upon it.
TEST(Coordinator, WhatCouldNotBeWrittenIsNotShown) {
  using Fault = sim::SimRecords::Fault;
  RolloutWorld world(1, 5);
  ASSERT_TRUE(world.start());
  world.apply();
  world.step();
  const auto open = [&] { return world.coordinator().published()->open.size(); };
  const auto live = [&] { return world.coordinator().published()->live.size(); };
  while (world.oldest().plan->ops[world.oldest().effect.op].kind != OpKind::kObserve) {
    world.answer();
    world.step();
  }
  const Picture before = world.coordinator().published();
  ASSERT_EQ(open(), 1u);
  world.answer();  // It would end the rollout.
  world.records().fault = [] { return Fault::kDieBefore; };
  world.step();
  world.records().fault = nullptr;
  const auto refused = [](const Status& status) {
    return !status && status.error().code == ErrorCode::kUnavailable && !status.error().hint.empty();
  };
  const Freeze freeze{"other", "person", "busy", Timestamp{1}};
  EXPECT_TRUE(refused(world.coordinator().freeze(freeze)));
  EXPECT_TRUE(refused(world.coordinator().unfreeze("other")));
  EXPECT_TRUE(refused(world.coordinator().drifted(RolloutWorld::name_of("elsewhere", 0))));
  const auto released = world.coordinator().release("shop", "value");
  ASSERT_FALSE(released);
  EXPECT_EQ(released.error().code, ErrorCode::kUnavailable);
  world.coordinator().write_down(world.now());
  EXPECT_EQ(told_by(*world.coordinator().published()), told_by(*before));

  // Nor when what was read again cannot be written, either.
  world.pass(2);
  world.records().fault = [] { return Fault::kDieBefore; };
  world.step();
  world.records().fault = nullptr;
  EXPECT_TRUE(refused(world.coordinator().freeze(freeze)));
  EXPECT_EQ(told_by(*world.coordinator().published()), told_by(*before));

  world.pass(2);
  world.step();
  EXPECT_EQ(open(), 1u);
  EXPECT_EQ(world.coordinator().published()->branches.find(world.branch())->second.promoted.value, 0u)
      << "its end was not written";
  EXPECT_TRUE(world.coordinator().freeze(freeze));
  while (world.waiting() > 0) {
    world.answer();
    world.step();
  }
  EXPECT_EQ(open(), 0u);
  EXPECT_EQ(live(), 6u);
  EXPECT_EQ(world.coordinator().published()->branches.find(world.branch())->second.promoted.value, 1u);
}

// Its restore point goes at the end, though what was done since it was retried did not touch it.
TEST(Coordinator, ATargetThatWasRetriedCountsAsTouchedAndIsTidiedUp) {
  RolloutWorld world(1, 0, "rollback: {auto: false}\n");
  ASSERT_TRUE(world.start());
  world.apply();
  world.step();
  while (world.oldest().plan->ops[world.oldest().effect.op].kind != OpKind::kObserve) {
    world.answer();
    world.step();
  }
  const RolloutId id = world.oldest().rollout;
  const auto ask = [&](RolloutAction::Kind kind) {
    RolloutAction action;
    action.kind = kind;
    action.actor = "person";
    return world.coordinator().act(id, action, world.now());
  };
  const auto summary = [&] { return world.coordinator().published()->open.find(id)->second.summary; };
  world.answer(fail(ErrorCode::kCorrupt, "something else is there", ""));
  world.step();
  ASSERT_EQ(world.waiting(), 1u);
  ASSERT_EQ(world.oldest().effect.kind, Effect::Kind::kRestore);
  world.answer();
  world.step();
  ASSERT_EQ(summary().phase, RolloutPhase::kPaused);
  EXPECT_EQ(summary().targets_touched, 1u);
  ASSERT_TRUE(ask(RolloutAction::Kind::kRetry));
  EXPECT_EQ(summary().targets_touched, 1u);
  EXPECT_EQ(summary().targets_failed, 0u);
  ASSERT_TRUE(ask(RolloutAction::Kind::kAbort));
  world.step();
  while (world.waiting() > 0) {
    world.answer();
    world.step();
  }
  EXPECT_EQ(world.coordinator().open_rollouts(), 0u);
  EXPECT_EQ(world.discarded(), std::vector<std::uint32_t>{0});
}

}  // namespace
}  // namespace st8::target
