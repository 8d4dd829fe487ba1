#include "crash/engine_power_loss.h"

#ifdef ST8_SYNC_FAULT_LIBRARY

namespace st8::test {
namespace {

TEST(EnginePowerLoss, LosesNothingAcknowledged) { expect_survives_power_loss_at_every_sync("", 40, 3); }
TEST(EnginePowerLoss, LosesNothingAcknowledgedThoughNamesAreLostToo) {
  expect_survives_power_loss_at_every_sync("names,", 40, 3);
}

TEST(EngineLogFailure, IsOutcomeUnknownAndEndsWriting) {
  for (const char* fault : {"fail@20", "fail@20+", "nospace@20+"}) {
    TempDirectory temp;
    const auto directory = temp.path() / "db";
    const EngineRun run = run_engine_writer(directory, 60, fault, ".log");
    EXPECT_TRUE(run.fired) << fault;
    EXPECT_TRUE(run.unknown) << fault << ": " << run.end.output;
    EXPECT_TRUE(run.refused) << fault << ": no write is taken after one in doubt: " << run.end.output;
    EXPECT_EQ(run.end.exit_code, 0) << fault << ": " << run.end.output;
    EXPECT_GT(run.acked, 0u) << fault;
    check_recovered(directory, run.acked, run.attempted, fault);
  }
}

TEST(EngineBackgroundFailure, NeverLosesNorEndsTheProcess) {
  expect_survives_failures_in_the_background({".sst", "MANIFEST", ""}, {"9", "14+"});
}

TEST(EngineSyncFailure, ASingleOneIsNotForgotten) {
  // After one failed sync the disk works again, and then loses power: what was in doubt must not have been built upon.
  for (int at : {25, 31, 38}) {
    TempDirectory temp;
    const auto directory = temp.path() / "db";
    const std::string where = "fail@" + std::to_string(at);
    const EngineRun run = run_engine_writer(directory, 60, where + ",drop@" + std::to_string(at + 7));
    EXPECT_TRUE(run.fired) << where;
    check_recovered(directory, run.acked, run.attempted, where);
  }
}

}  // namespace
}  // namespace st8::test

#endif  // ST8_SYNC_FAULT_LIBRARY
