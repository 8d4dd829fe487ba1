#include "crash/rollout_crash.h"
#include "support/seed.h"

namespace st8::test {
namespace {

TEST(RolloutCrashFile, FiftyKillsDuringRollouts) {
  TempDirectory directory;
  RolloutCrash(directory.path(), file_targets(directory.path())).expect_survives(50, first_seed(20261121));
}

}  // namespace
}  // namespace st8::test
