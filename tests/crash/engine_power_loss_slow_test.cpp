#include "crash/engine_power_loss.h"

#ifdef ST8_SYNC_FAULT_LIBRARY

namespace st8::test {
namespace {

TEST(EnginePowerLossEverySync, LosesNothingAcknowledged) { expect_survives_power_loss_at_every_sync("", 200, 1); }
TEST(EnginePowerLossEverySync, LosesNothingAcknowledgedThoughNamesAreLostToo) {
  expect_survives_power_loss_at_every_sync("names,", 200, 1);
}

TEST(EngineBackgroundFailureEverywhere, NeverLosesNorEndsTheProcess) {
  expect_survives_failures_in_the_background({".sst", "MANIFEST", "CURRENT", "OPTIONS", "LOG", ""},
                                             {"1+", "2", "5+", "9", "14+", "22", "30", "60+"});
}

}  // namespace
}  // namespace st8::test

#endif  // ST8_SYNC_FAULT_LIBRARY
