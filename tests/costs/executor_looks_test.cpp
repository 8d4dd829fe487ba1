// At how many targets the executor looks for what happens at one of them: as many of three thousand as of a hundred.
#include <gtest/gtest.h>

#include "support/rollout_world.h"

namespace st8::target {
namespace {

constexpr int kRounds = 200;

class Looks : public testing::TestWithParam<std::size_t> {
 protected:
  void begin() {
    ASSERT_TRUE(world_.start());
    world_.apply();
    world_.step();
    ASSERT_GT(world_.waiting(), 0u);
    rollout_ = world_.oldest().rollout;
  }
  // Of one result on the average.
  double each(int rounds, const Status& result = {}) {
    const std::uint64_t before = executor().looks();
    for (int i = 0; i < rounds; ++i) {
      world_.answer(result);
      world_.step();
    }
    return static_cast<double>(executor().looks() - before) / rounds;
  }
  const Executor& executor() { return *world_.coordinator().executor(rollout_); }

  // More may fail than do here, and what failed is restored at once.
  RolloutWorld world_{GetParam(), 0, "maxFailures: 3000\n"};
  RolloutId rollout_{};
};
INSTANTIATE_TEST_SUITE_P(Targets, Looks, testing::Values(std::size_t{100}, std::size_t{3'000}),
                         [](const auto& instance) { return std::to_string(instance.param); });

// The target itself, in the turn that takes the result and in the one that finds nothing more to do, each among those that may
// have to be restored and among the wave's; and one that its end leaves room for.
constexpr double kMax = 6;

TEST_P(Looks, OfAResultAreFew) {
  ASSERT_NO_FATAL_FAILURE(begin());
  EXPECT_LE(each(kRounds), kMax);
}

TEST_P(Looks, OfAFailureAreFew) {
  ASSERT_NO_FATAL_FAILURE(begin());
  EXPECT_LE(each(50, fail(ErrorCode::kUnprocessable, "no", "")), kMax);
}

TEST_P(Looks, OfARestoreAreFew) {
  ASSERT_NO_FATAL_FAILURE(begin());
  while (executor().state().touched_targets < 20) {
    world_.answer();
    world_.step();
  }
  RolloutAction abort;
  abort.kind = RolloutAction::Kind::kAbort;
  abort.actor = "someone";
  ASSERT_TRUE(world_.coordinator().act(rollout_, abort, world_.now()));
  world_.step();
  ASSERT_EQ(executor().state().phase, RolloutPhase::kRollingBack);
  EXPECT_LE(each(5), kMax);
}

}  // namespace
}  // namespace st8::target
