// Expectations on records that were expected before: an engine may remember those, and must not remember them wrongly.
#include <gtest/gtest.h>

#include "support/store_fixture.h"

namespace st8::state::test {
namespace {

class EngineExpectations : public testing::TestWithParam<EngineKind> {
 protected:
  EngineExpectations() {
    if (GetParam() == EngineKind::kMemory) {
      engine_ = make_memory_engine();
      return;
    }
    RocksDbOptions options;
    options.directory = directory_.path() / "db";
    auto opened = open_rocksdb_engine(options);
    EXPECT_TRUE(opened) << why(opened);
    if (opened) engine_ = std::move(*opened);
  }
  // Writes (nullopt: erases) the record; the code of the refusal, or nullopt.
  std::optional<ErrorCode> write(const std::string& record, const std::optional<std::string>& value,
                                 const std::vector<Expectation>& expectations = {}) {
    Batch batch;
    if (value) {
      batch.put(record, *value);
    } else {
      batch.erase(record);
    }
    const Status status = engine_->commit(batch, expectations, Durability::kBuffered);
    return status ? std::nullopt : std::optional(status.error().code);
  }
  static std::vector<Expectation> expecting(std::optional<std::string> value) { return {{"r", std::move(value)}}; }

  st8::test::TempDirectory directory_;
  std::unique_ptr<Engine> engine_;
};
INSTANTIATE_TEST_SUITE_P(Engines, EngineExpectations, testing::Values(EngineKind::kMemory, EngineKind::kRocksDb),
                         engine_kind_name);

TEST_P(EngineExpectations, FollowEveryWrite) {
  constexpr auto kRefused = ErrorCode::kPreconditionFailed;
  EXPECT_EQ(write("r", "1", expecting(std::nullopt)), std::nullopt);
  EXPECT_EQ(write("r", "2", expecting("1")), std::nullopt);
  EXPECT_EQ(write("r", "3", expecting("2")), std::nullopt);
  EXPECT_EQ(write("r", "4", expecting("2")), kRefused) << "as it was before";
  EXPECT_EQ(write("r", "4"), std::nullopt) << "without an expectation";
  EXPECT_EQ(write("r", "5", expecting("3")), kRefused);
  EXPECT_EQ(write("r", "5", expecting("4")), std::nullopt);
  EXPECT_EQ(write("other", "1", expecting("5")), std::nullopt) << "expected, and not written";
  EXPECT_EQ(write("r", std::nullopt, expecting("5")), std::nullopt);
  EXPECT_EQ(write("r", "6", expecting("5")), kRefused) << "erased since";
  EXPECT_EQ(write("r", "6", expecting("")), kRefused) << "empty is not absent";
  EXPECT_EQ(write("r", "6", expecting(std::nullopt)), std::nullopt);
  EXPECT_EQ(write("r", "7", expecting(std::nullopt)), kRefused);
  EXPECT_EQ(write("r", "7", expecting("6")), std::nullopt);
  EXPECT_EQ(*engine_->get("r"), "7");
}

TEST_P(EngineExpectations, HoldForMoreRecordsThanAreRemembered) {
  for (int round = 0; round < 3; ++round) {
    for (int i = 0; i < 5'000; ++i) {
      const std::string record = "r" + std::to_string(i);
      const auto was = round == 0 ? std::nullopt : std::optional(std::to_string(round - 1));
      ASSERT_EQ(write(record, std::to_string(round), {{record, was}}), std::nullopt) << record;
    }
  }
  EXPECT_EQ(write("r1", "x", {{"r1", "1"}}), ErrorCode::kPreconditionFailed);
}

}  // namespace
}  // namespace st8::state::test
