#include "st8/state/failpoint.h"

#include <gtest/gtest.h>

namespace st8 {
namespace {

Status step(int& reached) {
  ST8_FAILPOINT("test.step");
  ++reached;
  return {};
}

class Failpoints : public testing::Test {
 protected:
  void TearDown() override { failpoint::clear(); }
};

TEST_F(Failpoints, DoNothingUnlessSet) {
  int reached = 0;
  EXPECT_TRUE(step(reached));
  ASSERT_TRUE(failpoint::configure("other.step=error"));
  EXPECT_TRUE(step(reached));
  EXPECT_EQ(reached, 2);
}

TEST_F(Failpoints, FailAtTheHitTheyName) {
  int reached = 0;
  ASSERT_TRUE(failpoint::configure("test.step=unknown@2"));
  EXPECT_TRUE(step(reached));
  const Status failed = step(reached);
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().code, ErrorCode::kOutcomeUnknown);
  EXPECT_TRUE(step(reached));
  EXPECT_EQ(reached, 2);
  EXPECT_EQ(failpoint::hits("test.step"), 3u);
}

TEST_F(Failpoints, FailFromAHitOn) {
  int reached = 0;
  ASSERT_TRUE(failpoint::configure("test.step=error@2+"));
  EXPECT_TRUE(step(reached));
  EXPECT_FALSE(step(reached));
  EXPECT_FALSE(step(reached));
  failpoint::clear();
  EXPECT_TRUE(step(reached));
}

TEST_F(Failpoints, CallWhatATestGives) {
  int reached = 0;
  int called = 0;
  failpoint::on_hit("test.step", [&]() -> Status {
    if (++called == 2) return fail(ErrorCode::kCorrupt, "as told");
    return {};
  });
  EXPECT_TRUE(step(reached));
  EXPECT_FALSE(step(reached));
  failpoint::on_hit("test.step", nullptr);
  EXPECT_TRUE(step(reached));
  EXPECT_EQ(called, 2);
}

TEST_F(Failpoints, RefuseASpecificationThatCannotBeRead) {
  for (const char* bad : {"x", "=crash", "x=", "x=explode", "x=crash@", "x=crash@0", "x=crash@-1", "x=crash@x",
                          "x=sleep:", "x=sleep:-1", "x=error;y"}) {
    EXPECT_FALSE(failpoint::configure(bad)) << bad;
  }
  EXPECT_TRUE(failpoint::configure(""));
  EXPECT_TRUE(failpoint::configure("a=crash@3;b=error;;c=sleep:1@2+;"));
}

using FailpointsDeathTest = Failpoints;

TEST_F(FailpointsDeathTest, CrashEndsTheProcessAtOnce) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(
      {
        int reached = 0;
        if (failpoint::configure("test.step=crash@2") && step(reached)) static_cast<void>(step(reached));
      },
      testing::ExitedWithCode(137), "");
}

TEST_F(FailpointsDeathTest, ABadEnvironmentEndsTheProcessWithAMessage) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(
      {
        ::setenv("ST8_FAILPOINTS", "nonsense", 1);
        int reached = 0;
        static_cast<void>(step(reached));
      },
      testing::ExitedWithCode(138), "ST8_FAILPOINTS");
}

}  // namespace
}  // namespace st8
