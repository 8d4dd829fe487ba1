#include "crash/daemon_crash.h"

#include "support/seed.h"

namespace st8::test {
namespace {

TEST(DaemonCrash, SurvivesSigkillUnderWriters) { expect_survives_kills(8, first_seed()); }

// At each write boundary of the pipeline, at an early and at later commits.
class DaemonFailpoint : public testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(Boundaries, DaemonFailpoint,
                         testing::Values("commit.before_build", "commit.before_write", "commit.after_write",
                                         "commit.before_acknowledge", "engine.before_write", "engine.before_sync",
                                         "engine.after_write"));

TEST_P(DaemonFailpoint, LosesNothingAcknowledged) {
  CrashHarness harness;
  for (const int hit : {3, 7, 20}) {
    SCOPED_TRACE(std::string(GetParam()) + "@" + std::to_string(hit));
    ASSERT_TRUE(harness.start(std::string(GetParam()) + "=crash@" + std::to_string(hit))) << harness.daemon().log();
    const std::atomic<bool> stop{false};
    harness.write_until(stop);
    const auto status = harness.daemon().wait_end();
    ASSERT_TRUE(status) << "the failpoint was not reached";
    EXPECT_EQ(*status, 137);
    harness.check_fsck();
    ASSERT_TRUE(harness.start()) << harness.daemon().log();
    harness.check_recovered();
    harness.daemon().kill();
  }
}

TEST(DaemonCrash, AFailedWriteIsToldAndNothingAcknowledgedIsLost) {
  CrashHarness harness;
  ASSERT_TRUE(harness.start("engine.before_write=error@5+")) << harness.daemon().log();
  const std::atomic<bool> stop{false};
  harness.write_until(stop);  // Each writer ends at its first answer that is not 200.
  harness.daemon().kill();
  harness.check_fsck();
  ASSERT_TRUE(harness.start()) << harness.daemon().log();
  harness.check_recovered();
}

}  // namespace
}  // namespace st8::test
