// Rollouts over random schedules of faults: every invariant, at every event. A seed that fails is replayed by ./dev sim --seed N.
#include "sim/simulation.h"

#include <cstdlib>
#include <gtest/gtest.h>

#include "support/seed.h"

namespace st8::target::sim {
namespace {

TEST(Simulation, InvariantsHoldOverManySeeds) {
  std::uint64_t first = test::first_seed(), count = 500;
  if (const char* seed = std::getenv("ST8_SIM_SEED")) {
    first = std::strtoull(seed, nullptr, 10);
    count = 1;
  }
  std::uint64_t ended = 0, rollbacks = 0, crashes = 0;
  for (std::uint64_t seed = first; seed < first + count; ++seed) {
    Simulation simulation({seed, Mutation::kNone, count == 1});
    const std::string violation = simulation.run();
    if (count == 1) std::fputs(simulation.trace().c_str(), stderr);
    ASSERT_EQ(violation, "") << "replay it with ./dev sim --seed " << seed;
    ended += simulation.rollouts_ended();
    rollbacks += simulation.rollbacks();
    crashes += simulation.crashes();
  }
  std::printf("%llu rollouts, %llu rolled back, %llu crashes\n", static_cast<unsigned long long>(ended),
              static_cast<unsigned long long>(rollbacks), static_cast<unsigned long long>(crashes));
  if (count > 1) {
    // A world in which nothing happens proves nothing.
    EXPECT_GT(ended, 3 * count);
    EXPECT_GT(rollbacks, count / 10);
    EXPECT_GT(crashes, count);
  }
}

struct Named {
  Mutation mutation;
  const char* name;
};
void PrintTo(const Named& named, std::ostream* out) { *out << named.name; }

class Broken : public ::testing::TestWithParam<Named> {};

TEST_P(Broken, OnPurposeIsFound) {
  std::string violation;
  for (std::uint64_t seed = 1; seed <= 400 && violation.empty(); ++seed)
    violation = Simulation({seed, GetParam().mutation, false}).run();
  EXPECT_NE(violation, "") << "no seed noticed it";
  std::printf("%s: %s\n", GetParam().name, violation.c_str());
}

INSTANTIATE_TEST_SUITE_P(Mutations, Broken,
                         ::testing::Values(Named{Mutation::kNoFence, "NoFence"},
                                           Named{Mutation::kEchoObserve, "EchoObserve"},
                                           Named{Mutation::kEchoRestore, "EchoRestore"},
                                           Named{Mutation::kLoseIntents, "LoseIntents"},
                                           Named{Mutation::kSkipValidate, "SkipValidate"}),
                         [](const auto& instance) { return instance.param.name; });

}  // namespace
}  // namespace st8::target::sim
