// Branches, checkpoints, copies, namespaces: pointers that move as told and never otherwise.
#include "support/store_fixture.h"

namespace st8::state::test {
namespace {

class StoreNames : public StoreTest {};
INSTANTIATE_TEST_SUITE_P(Engines, StoreNames, testing::Values(EngineKind::kMemory, EngineKind::kRocksDb),
                         engine_kind_name);

TEST_P(StoreNames, BranchIsAPointerWithABaseThatNeverMoves) {
  ASSERT_TRUE(harness.apply({{"a", "1"}}));
  ASSERT_TRUE(harness.apply({{"a", "2"}}));
  const auto made = harness.create_branch("feature/x", "1");
  ASSERT_TRUE(made) << why(made);
  EXPECT_EQ(made->head.value, 1u);
  EXPECT_EQ(made->base.value, 1u);
  EXPECT_EQ(harness->name_space(ns("default"))->last_revision.value, 2u) << "creating a branch makes no revision";
  ASSERT_TRUE(harness.apply({{"b", "x"}}, "feature/x"));
  const auto info = harness->branch(ns("default"), branch("feature/x"));
  ASSERT_TRUE(info);
  EXPECT_EQ(info->head.value, 3u);
  EXPECT_EQ(info->base.value, 1u);
  EXPECT_EQ(harness.read("@", "feature/x"), (Documents{{"a", "1"}, {"b", "x"}}));
  EXPECT_EQ(harness.read(), (Documents{{"a", "2"}}));
  const auto again = harness.create_branch("feature/x");
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().code, ErrorCode::kConflict);
}

TEST_P(StoreNames, RollbackAppendsACopy) {
  ASSERT_TRUE(harness.apply({{"a", "1"}, {"b", "1"}}));
  ASSERT_TRUE(harness.put_checkpoint("good"));
  ASSERT_TRUE(harness.apply({{"a", "2"}, {"c", "1"}}));
  const auto back = harness.copy("checkpoint:good");
  ASSERT_TRUE(back) << why(back);
  EXPECT_EQ(back->revision.value, 3u);
  ASSERT_EQ(back->changes.size(), 2u);
  EXPECT_EQ(back->changes[1].type, ChangeType::kDelete);
  EXPECT_EQ(harness.read(), (Documents{{"a", "1"}, {"b", "1"}}));
  const auto record = harness->revision(ns("default"), RevisionNumber{3});
  ASSERT_TRUE(record);
  EXPECT_EQ(record->source.value, 1u);
  EXPECT_EQ(record->cause, Cause::kRollback);
  const auto noop = harness.copy("good");
  ASSERT_TRUE(noop);
  EXPECT_TRUE(noop->noop);
}

TEST_P(StoreNames, ACopyCountsItsChangesThoughTheyAreNotWanted) {
  ASSERT_TRUE(harness.apply({{"a", "1"}, {"b", "1"}}));
  ASSERT_TRUE(harness.apply({{"a", "2"}, {"c", "1"}}));
  ASSERT_TRUE(harness.apply({{"d", "1"}}));
  const auto copy = [&](std::string_view source, std::string_view name = "main", Cause cause = Cause::kRollback,
                        std::string_view source_branch = "") {
    auto result = harness.copy(source, name, cause, source_branch, "default", false);
    EXPECT_TRUE(result) << why(result);
    return result ? std::move(*result) : CommitResult{};
  };
  const auto count = [&](RevisionNumber number) { return harness->revision(ns("default"), number)->change_count; };
  for (const auto& [source, expected] : {std::pair{"@~1", 1u}, {"1", 2u}, {"@~1", 2u}, {"0", 3u}}) {
    const CommitResult copied = copy(source);
    EXPECT_EQ(copied.change_count, expected) << source;
    EXPECT_EQ(count(copied.revision), expected) << source;
  }
  EXPECT_TRUE(harness.read().empty());
  // The way forward: the source was made upon the branch's head.
  ASSERT_TRUE(harness.create_branch("staging", "2"));
  EXPECT_EQ(copy("3", "staging", Cause::kRestore, "main").change_count, 1u);
  EXPECT_TRUE(copy("3", "staging", Cause::kRestore, "main").noop);
}

// Such a merge has a parent, and brings all of it.
TEST_P(StoreNames, ACopyOfWhatAMergeBeganABranchFromCountsNothing) {
  ASSERT_TRUE(harness.apply({{"a", "1"}, {"b", "1"}}, "side"));
  MergeRequest merge{ns("default"),          branch("main"),      at("branch:side", harness.clock.now()),
                     Cause::kMerge,          ConflictSide::kNone, {},
                     StoreHarness::context()};
  const auto merged = harness->merge(merge);
  ASSERT_TRUE(merged) << why(merged);
  const auto back = harness.copy("1", "main", Cause::kRollback, "", "default", false);
  ASSERT_TRUE(back) << why(back);
  EXPECT_TRUE(back->noop);
  const auto gone = harness.copy("0", "main", Cause::kRollback, "", "default", false);
  ASSERT_TRUE(gone) << why(gone);
  EXPECT_EQ(gone->change_count, 2u);
}

TEST_P(StoreNames, UnknownSourceIsRefusedAndNothingIsLost) {
  ASSERT_TRUE(harness.apply({{"a", "1"}}));
  for (const char* source : {"9999", "checkpoint:none", "branch:none", "none", "@~7", "hash:ffff"}) {
    const auto result = harness.copy(source);
    ASSERT_FALSE(result) << source;
    EXPECT_EQ(result.error().code, ErrorCode::kNotFound) << source;
    EXPECT_FALSE(result.error().hint.empty()) << source;
  }
  EXPECT_EQ(harness.read(), (Documents{{"a", "1"}}));
  EXPECT_EQ(harness.head().value, 1u);
}

TEST_P(StoreNames, RestoreBeginsABranchOrOverwritesOne) {
  ASSERT_TRUE(harness.apply({{"a", "1"}}));
  const auto begun = harness.copy("@", "staging", Cause::kRestore, "main");
  ASSERT_TRUE(begun) << why(begun);
  EXPECT_EQ(harness.read("@", "staging"), (Documents{{"a", "1"}}));
  ASSERT_TRUE(harness.apply({{"a", "2"}}, "staging"));
  ASSERT_TRUE(harness.copy("@", "main", Cause::kRestore, "staging"));
  EXPECT_EQ(harness.read(), (Documents{{"a", "2"}}));
  const auto rollback = harness.copy("1", "unknown");
  ASSERT_FALSE(rollback);
  EXPECT_EQ(rollback.error().code, ErrorCode::kNotFound);
}

TEST_P(StoreNames, LogWalksFirstParents) {
  for (int i = 1; i <= 5; ++i) ASSERT_TRUE(harness.apply({{"a", std::to_string(i)}}));
  LogQuery query;
  query.limit = 2;
  const auto page = harness->log(ns("default"), branch("main"), query);
  ASSERT_TRUE(page) << why(page);
  ASSERT_EQ(page->revisions.size(), 2u);
  EXPECT_EQ(page->revisions[0].number.value, 5u);
  EXPECT_EQ(page->revisions[1].number.value, 4u);
  ASSERT_TRUE(page->next);
  query.after = page->next;
  query.limit = 10;
  const auto rest = harness->log(ns("default"), branch("main"), query);
  ASSERT_TRUE(rest);
  ASSERT_EQ(rest->revisions.size(), 3u);
  EXPECT_EQ(rest->revisions[2].number.value, 1u);
  EXPECT_FALSE(rest->next);
}

}  // namespace
}  // namespace st8::state::test
