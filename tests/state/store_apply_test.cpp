// Apply: what it makes, what it refuses, and that a refusal changes nothing.
#include "support/store_fixture.h"

namespace st8::state::test {
namespace {

class StoreApply : public StoreTest {};
INSTANTIATE_TEST_SUITE_P(Engines, StoreApply, testing::Values(EngineKind::kMemory, EngineKind::kRocksDb),
                         engine_kind_name);

TEST_P(StoreApply, MakesConsecutiveRevisionsThatReadBack) {
  const auto first = harness.apply({{"a", "1"}, {"b", "2"}});
  ASSERT_TRUE(first) << why(first);
  EXPECT_EQ(first->revision.value, 1u);
  EXPECT_EQ(first->parent.value, 0u);
  EXPECT_FALSE(first->noop);
  ASSERT_EQ(first->changes.size(), 2u);
  EXPECT_EQ(first->changes[0].type, ChangeType::kCreate);

  const auto second = harness.apply({{"b", "3"}});
  ASSERT_TRUE(second) << why(second);
  EXPECT_EQ(second->revision.value, 2u);
  EXPECT_EQ(second->parent.value, 1u);
  ASSERT_EQ(second->changes.size(), 1u);
  EXPECT_EQ(second->changes[0].type, ChangeType::kUpdate);
  EXPECT_EQ(second->changes[0].before->hash, Hash::of("2"));
  EXPECT_EQ(second->changes[0].after->hash, Hash::of("3"));

  EXPECT_EQ(harness.read(), (Documents{{"a", "1"}, {"b", "3"}}));
  EXPECT_EQ(harness.read("1"), (Documents{{"a", "1"}, {"b", "2"}}));
  EXPECT_EQ(harness.read("0"), Documents{});
}

TEST_P(StoreApply, GivesBackWhatItWroteAndWhatWasThere) {
  const auto apply = [&](const Documents& documents, bool dry_run, bool before_wanted) {
    ApplyRequest request = StoreHarness::apply_request(documents);
    request.context.dry_run = dry_run;
    request.before_wanted = before_wanted;
    return harness->apply(std::move(request));
  };
  ASSERT_TRUE(apply({{"a", "1"}, {"b", "1"}}, false, true));
  const auto update = apply({{"a", "1"}, {"b", "2"}, {"c", "2"}}, false, true);
  ASSERT_TRUE(update) << why(update);
  ASSERT_EQ(update->changes.size(), 2u);
  ASSERT_EQ(update->contents.size(), 2u);
  ASSERT_NE(update->contents[0].before, nullptr);
  EXPECT_EQ(*update->contents[0].before, "1");
  EXPECT_EQ(*update->contents[0].after, "2");
  EXPECT_EQ(update->contents[1].before, nullptr);
  EXPECT_EQ(*update->contents[1].after, "2");

  const auto trial = apply({{"b", "3"}}, true, true);
  ASSERT_TRUE(trial) << why(trial);
  EXPECT_EQ(*trial->contents.at(0).before, "2");
  EXPECT_EQ(*trial->contents.at(0).after, "3");
  EXPECT_EQ(harness.read(), (Documents{{"a", "1"}, {"b", "2"}, {"c", "2"}}));

  const auto unasked = apply({{"b", "4"}}, false, false);
  ASSERT_TRUE(unasked) << why(unasked);
  EXPECT_EQ(unasked->contents.at(0).before, nullptr);

  Documents many;
  for (std::size_t i = 0; i <= CommitResult::kContentsMax; ++i) many["many/" + std::to_string(i)] = "x";
  const auto loaded = apply(many, false, true);
  ASSERT_TRUE(loaded) << why(loaded);
  EXPECT_TRUE(loaded->contents.empty());
}

TEST_P(StoreApply, KeepsEverythingAcrossReopen) {
  ASSERT_TRUE(harness.apply({{"a", "1"}}));
  ASSERT_TRUE(harness.apply({{"a", "2"}}));
  const auto before = harness->revision(ns("default"), RevisionNumber{2});
  ASSERT_TRUE(before);
  harness.open();
  EXPECT_EQ(harness.read(), (Documents{{"a", "2"}}));
  EXPECT_EQ(harness.read("@~1"), (Documents{{"a", "1"}}));
  const auto after = harness->revision(ns("default"), RevisionNumber{2});
  ASSERT_TRUE(after);
  EXPECT_EQ(after->hash, before->hash);
  EXPECT_EQ(after->created_at, before->created_at);
  const auto third = harness.apply({{"a", "3"}});
  ASSERT_TRUE(third);
  EXPECT_EQ(third->revision.value, 3u);
}

TEST_P(StoreApply, NoopMakesNoRevision) {
  ASSERT_TRUE(harness.apply({{"a", "1"}}));
  const auto again = harness.apply({{"a", "1"}});
  ASSERT_TRUE(again);
  EXPECT_TRUE(again->noop);
  EXPECT_EQ(again->revision.value, 1u);
  EXPECT_TRUE(again->changes.empty());
  EXPECT_EQ(harness.head().value, 1u);
  const auto empty = harness.apply({}, "main", "never/written");
  ASSERT_TRUE(empty);
  EXPECT_TRUE(empty->noop);
  EXPECT_EQ(empty->revision.value, 0u);
  EXPECT_FALSE(harness->name_space(ns("never/written")));
}

}  // namespace
}  // namespace st8::state::test
