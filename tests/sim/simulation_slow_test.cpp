// The same simulation over ten thousand seeds, in shards that ctest runs side by side.
#include <gtest/gtest.h>

#include "sim/simulation.h"

namespace st8::target::sim {
namespace {

class SimulationShard : public ::testing::TestWithParam<std::uint64_t> {};

TEST_P(SimulationShard, InvariantsHold) {
  constexpr std::uint64_t kShard = 500;
  for (std::uint64_t seed = GetParam() * kShard + 1; seed <= (GetParam() + 1) * kShard; ++seed) {
    Simulation simulation({seed, Mutation::kNone, false});
    ASSERT_EQ(simulation.run(), "") << "replay it with ./dev sim --seed " << seed;
  }
}

INSTANTIATE_TEST_SUITE_P(TenThousandSeeds, SimulationShard, ::testing::Range<std::uint64_t>(0, 20));

}  // namespace
}  // namespace st8::target::sim
