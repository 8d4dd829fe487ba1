#include "st8/state/duration.h"

#include <gtest/gtest.h>

namespace st8 {
namespace {

using Millis = std::chrono::milliseconds;

TEST(Durations, ReadWholeUnits) {
  EXPECT_EQ(*parse_duration("0", {}), Millis(0));
  EXPECT_EQ(*parse_duration("1h30m", {}), Millis(5'400'000));
  EXPECT_EQ(*parse_duration("2d3h4m5s6ms", {}), Millis(183'845'006));
  EXPECT_EQ(*parse_duration("366d", {}), kDurationMax);
  for (const char* bad :
       {"", "5", "-1s", "+1s", "1x", "s", "1.5h", "10us", "99999999999999999999s", "1s ", " 1s", "1s2"})
    EXPECT_EQ(parse_duration(bad, {}).error().code, ErrorCode::kInvalidArgument) << bad;
  for (const char* long_one : {"367d", "366d1ms", "9999999999999999999d"})
    EXPECT_EQ(parse_duration(long_one, {}).error().code, ErrorCode::kTooLarge) << long_one;
}

TEST(Durations, ReadFractionsAndBareSecondsWhereAsked) {
  const DurationForm go{true, false};
  EXPECT_EQ(*parse_duration("1.5h", go), Millis(5'400'000));
  EXPECT_EQ(*parse_duration("1us", go), Millis(1)) << "never none";
  EXPECT_EQ(*parse_duration("1500us", go), Millis(2));
  EXPECT_EQ(*parse_duration("1000000ns", go), Millis(1));
  for (const char* bad : {"nan", "inf", "1e3s", ".5s", "5", "1h5"}) EXPECT_FALSE(parse_duration(bad, go)) << bad;
  EXPECT_FALSE(parse_duration("99999999999999999999h", go));
  const DurationForm seconds{true, true};
  EXPECT_EQ(*parse_duration("90", seconds), Millis(90'000));
  EXPECT_EQ(*parse_duration("1.5", seconds), Millis(1'500));
  EXPECT_EQ(*parse_duration("1m30", seconds), Millis(90'000));
  EXPECT_EQ(*parse_duration("5s", {false, true}), Millis(5'000));
}

TEST(Durations, AreWrittenAsTheyAreRead) {
  EXPECT_EQ(format_duration(Millis(0)), "0");
  EXPECT_EQ(format_duration(Millis(-5)), "0");
  for (const char* text : {"1ms", "59s", "1h30m500ms", "2d", "366d"})
    EXPECT_EQ(format_duration(*parse_duration(text, {})), text);
}

}  // namespace
}  // namespace st8
