#include <chrono>
#include <gtest/gtest.h>
#include <string>
#include <thread>
#include <vector>

#include "support/store_fixture.h"

namespace st8::state::test {
namespace {

ApplyRequest wanting(const Documents& documents) {
  ApplyRequest request = StoreHarness::apply_request(documents);
  request.before_wanted = true;
  return request;
}

TEST(AheadReader, ReadsWhatALoneApplyReplaces) {
  StoreHarness harness(EngineKind::kRocksDb);
  ASSERT_TRUE(harness.apply({{"a", "first"}, {"b", "other"}}));
  harness.open();  // Nothing is at hand any more.
  const auto applied = harness->apply(wanting({{"a", "second"}}));
  ASSERT_TRUE(applied) << why(applied);
  const auto view = harness->view(ns("default"), RevisionNumber{1});
  ASSERT_TRUE(view);
  // The reading may end after the answer, but it ends: from then on the engine is not asked.
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  while (true) {
    const std::uint64_t gets = harness->stats().engine.gets;
    ASSERT_EQ(view->read(key("a"), *applied->changes.at(0).before).value(), "first");
    if (harness->stats().engine.gets == gets) break;
    ASSERT_LT(std::chrono::steady_clock::now(), deadline);
    std::this_thread::yield();
  }
}

TEST(AheadReader, ChangesNoAnswer) {
  StoreHarness harness(EngineKind::kMemory);
  const std::string large(100'000, 'x');
  for (const Documents& documents : std::vector<Documents>{{{"a", "1"}},  // A namespace that is not there,
                                                           {{"b", "1"}},  // a key that is not there,
                                                           {{"a", large}},
                                                           {{"a", "2"}},  // after a large one,
                                                           {{"a", "2"}},  // the same again,
                                                           {{"a", "3"}, {"b", "2"}}}) {
    const auto applied = harness->apply(wanting(documents));
    ASSERT_TRUE(applied) << why(applied);
    Documents now = harness.read();
    for (const auto& [k, content] : documents) EXPECT_EQ(now[k], content);
  }
  ApplyRequest elsewhere = wanting({{"a", "4"}});
  elsewhere.branch = branch("new");
  ASSERT_TRUE(harness->apply(elsewhere));
  EXPECT_EQ(harness.read("@", "new"), (Documents{{"a", "4"}}));
}

}  // namespace
}  // namespace st8::state::test
