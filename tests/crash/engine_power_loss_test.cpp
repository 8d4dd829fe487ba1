#include "crash/engine_power_loss.h"

#ifdef ST8_SYNC_FAULT_LIBRARY

namespace st8::test {
namespace {

TEST(EnginePowerLoss, LosesNothingAcknowledged) { expect_survives_power_loss_at_every_sync("", 40, 3); }
TEST(EnginePowerLoss, LosesNothingAcknowledgedThoughNamesAreLostToo) {
  expect_survives_power_loss_at_every_sync("names,", 40, 3);
}

// What is applied in memory and not yet in the log must not come to lie in a table without it.
TEST(EnginePowerLoss, LosesNothingAcknowledgedThoughTablesAreMadeBeforeTheSync) {
  expect_survives_power_loss_at_every_sync("names,", 12, 1, "flush");
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

TEST(EngineSyncFailure, NothingOfItReachesATable) {
  // The log fails at a commit, all that is in memory is to go into tables, and power is lost at one of the syncs of that.
  int in_doubt = 0;
  for (int at = 8; in_doubt < 3; ++at) {
    ASSERT_LT(at, 40) << "no fault met the log";
    for (int behind = 1;; ++behind) {
      TempDirectory temp;
      const auto directory = temp.path() / "db";
      const std::string where = "fail@" + std::to_string(at) + ",drop@" + std::to_string(at + behind);
      const EngineRun run = run_engine_writer(directory, 60, where, "", "flush-last");
      if (!run.unknown) break;  // It met another file.
      check_recovered(directory, run.acked, run.attempted, where);
      if (run.end.signal == 0) {
        ++in_doubt;
        break;
      }
    }
  }
}

}  // namespace
}  // namespace st8::test

#endif  // ST8_SYNC_FAULT_LIBRARY
