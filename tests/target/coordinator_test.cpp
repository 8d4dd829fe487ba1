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

// A change of a thousand keys that fails on ten thousand targets is not ten million names.
TEST(Coordinator, QuarantineStoresItsTargetsOnce) {
  constexpr std::size_t kTargets = 20, kKeys = 30;
  RolloutWorld world(kTargets, 0);
  world.set_values(kKeys);
  ASSERT_TRUE(world.start());
  const auto run = [&](bool good) {
    world.apply();
    world.step();
    for (bool failed = false; world.waiting() > 0; world.step()) {
      const EffectOrder& order = world.oldest();
      const bool observes =
          order.effect.kind == Effect::Kind::kOp && order.plan->ops[order.effect.op].kind == OpKind::kObserve;
      const bool fails = !good && observes && !failed;
      failed = failed || fails;
      world.answer(fails ? fail(ErrorCode::kCorrupt, "something else is there", "") : Status{});
    }
  };
  const auto stored = [&](std::string_view prefix) {
    std::vector<std::string> values;
    for (const auto& [key, value] : world.records().map()) {
      if (key.starts_with(prefix)) values.push_back(value);
    }
    return values;
  };
  const auto count = [&] { return world.coordinator().published()->quarantine.size(); };
  run(true);
  ASSERT_EQ(count(), 0u);
  run(false);
  ASSERT_EQ(world.coordinator().open_rollouts(), 0u);
  ASSERT_EQ(count(), kKeys);
  for (const std::string& record : stored(records::kQuarantinePrefix)) {
    const std::size_t failed = record.find("rack-");  // The reason names it.
    EXPECT_EQ(record.find("rack-", failed + 1), std::string::npos) << record;
  }
  EXPECT_EQ(stored(records::kQuarantinedTargetsPrefix).size(), 1u);

  // It is read again as it was.
  const auto all_of_it = [&] {
    std::string told;
    for (const auto& [record, one] : world.coordinator().published()->quarantine) {
      told += encode_quarantine(one) + encode_quarantined_targets(*one.targets) + "\n";
      EXPECT_EQ(one.targets->size(), kTargets);
      EXPECT_TRUE(one.concerns(std::vector{RolloutWorld::name_of("elsewhere", 1), RolloutWorld::name_of("shop", 7)}));
      EXPECT_FALSE(one.concerns(std::vector{RolloutWorld::name_of("elsewhere", 1)}));
    }
    return told;
  };
  const std::string before = all_of_it();
  ASSERT_TRUE(world.start());
  ASSERT_EQ(count(), kKeys);
  EXPECT_EQ(all_of_it(), before);

  // One of an earlier version holds its targets itself.
  const std::string old_key = records::quarantine("old", "key", std::nullopt);
  world.records().map()[old_key] =
      R"({"namespace":"old","branch":"main","key":"key","after":null,"targets":["b","a"],"rollout":77,"reason":"","at":1})";
  ASSERT_TRUE(world.start());
  const auto old = world.coordinator().published()->quarantine.find(old_key);
  ASSERT_NE(old, world.coordinator().published()->quarantine.end());
  EXPECT_TRUE(old->second.concerns(std::vector{*TargetName::parse("b")}));
  ASSERT_TRUE(world.coordinator().release("old", "r-77"));

  // The targets stay until the last change is released.
  ASSERT_TRUE(world.coordinator().release("shop", "value"));
  EXPECT_EQ(stored(records::kQuarantinedTargetsPrefix).size(), 1u);
  const auto rest = world.coordinator().release("shop", "r-2");
  ASSERT_TRUE(rest);
  EXPECT_EQ(*rest, kKeys - 1);
  EXPECT_EQ(count(), 0u);
  EXPECT_TRUE(stored("rollout/quarantine").empty());

  // Without them the records are damaged, and that is said.
  world.records().map()[old_key] =
      R"({"namespace":"old","branch":"main","key":"key","after":null,"rollout":77,"reason":"","at":1})";
  const Status damaged = world.start();
  ASSERT_FALSE(damaged);
  EXPECT_EQ(damaged.error().code, ErrorCode::kCorrupt);
  EXPECT_NE(damaged.error().message.find("r-77"), std::string::npos);
}

}  // namespace
}  // namespace st8::target
