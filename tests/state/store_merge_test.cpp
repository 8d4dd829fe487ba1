#include <atomic>
#include <gtest/gtest.h>
#include <random>
#include <set>
#include <thread>

#include "support/store_fixture.h"

namespace st8::state::test {
namespace {

class StoreMerge : public StoreTest {
 protected:
  Result<CommitResult> merge(std::string_view source, std::string_view into = "main", Cause cause = Cause::kMerge,
                             ConflictSide prefer = ConflictSide::kNone,
                             std::vector<std::pair<std::string, ConflictSide>> resolve = {}, bool dry_run = false) {
    MergeRequest request = merge_request(source, into, cause);
    request.prefer = prefer;
    for (const auto& [k, side] : resolve) request.resolve.emplace_back(key(k), side);
    request.context.dry_run = dry_run;
    return harness->merge(std::move(request));
  }
  MergeRequest merge_request(std::string_view source, std::string_view into = "main", Cause cause = Cause::kMerge) {
    return MergeRequest{ns("default"),       branch(into), at(source, harness.clock.now()), cause,
                        ConflictSide::kNone, {},           StoreHarness::context()};
  }
  Revision revision(RevisionNumber number) {
    auto found = harness->revision(ns("default"), number);
    EXPECT_TRUE(found) << why(found);
    return *found;
  }
  RevisionNumber apply(const Documents& documents, std::string_view to = "main") {
    auto result = harness.apply(documents, to);
    EXPECT_TRUE(result) << why(result);
    return result ? result->revision : RevisionNumber{};
  }
  void fork(std::string_view name, std::string_view from = "main") {
    auto made = harness.create_branch(name, "@", from);
    ASSERT_TRUE(made) << why(made);
  }
  std::uint64_t base_of(RevisionNumber a, RevisionNumber b) {
    auto base = harness->merge_base(ns("default"), a, b);
    EXPECT_TRUE(base) << why(base);
    return base ? base->value : 0;
  }
};

TEST_P(StoreMerge, TakesBothSidesWithBothParents) {
  apply({{"a", "1\n"}, {"b", "1\n"}, {"c.json", "{\"x\": 1, \"y\": 1}\n"}});
  fork("dev");
  const RevisionNumber ours = apply({{"a", "2\n"}, {"c.json", "{\"x\": 2, \"y\": 1}\n"}});
  const RevisionNumber theirs = apply({{"b", "2\n"}, {"c.json", "{\"x\": 1, \"y\": 2}\n"}, {"new", "n"}}, "dev");
  const auto result = merge("dev");
  ASSERT_TRUE(result) << why(result);
  EXPECT_FALSE(result->noop);
  EXPECT_TRUE(result->conflicts.empty());
  EXPECT_EQ(result->parent, ours);
  ASSERT_EQ(result->changes.size(), 3u);
  EXPECT_EQ(result->changes[0].key.str(), "b");
  EXPECT_EQ(harness.read(),
            (Documents{{"a", "2\n"}, {"b", "2\n"}, {"c.json", "{\"x\": 2, \"y\": 2}\n"}, {"new", "n"}}));
  const Revision made = revision(result->revision);
  EXPECT_EQ(made.parents, (std::vector{ours, theirs}));
  EXPECT_EQ(made.parent_hashes[1], revision(theirs).hash);
  EXPECT_EQ(made.cause, Cause::kMerge);
  EXPECT_EQ(made.cause_detail, "dev");
  EXPECT_EQ(made.change_count, 3u);
  EXPECT_EQ(harness.read("@", "dev").at("a"), "1\n");  // Theirs is not touched.

  // Again: theirs is contained now.
  const auto again = merge("dev");
  ASSERT_TRUE(again) << why(again);
  EXPECT_TRUE(again->noop);
  EXPECT_EQ(again->revision, result->revision);
  // And the other way it only moves on.
  const auto back = merge("main", "dev");
  ASSERT_TRUE(back) << why(back);
  EXPECT_EQ(harness.read("@", "dev"), harness.read());
  EXPECT_EQ(revision(back->revision).tree.hash, revision(result->revision).tree.hash);

  // What the merge did to a key is in its history.
  const auto history = harness->key_history(ns("default"), branch("main"), key("c.json"), std::nullopt, 10);
  ASSERT_TRUE(history) << why(history);
  ASSERT_EQ(history->versions.size(), 3u);
  EXPECT_EQ(history->versions[0].revision.number, result->revision);
  const auto taken = harness->key_history(ns("default"), branch("main"), key("b"), std::nullopt, 10);
  ASSERT_TRUE(taken);
  ASSERT_EQ(taken->versions.size(), 2u);
  EXPECT_EQ(taken->versions[0].revision.number, result->revision);
  harness.open();
  EXPECT_EQ(harness.read().at("c.json"), "{\"x\": 2, \"y\": 2}\n");
  const auto report = harness->fsck({});
  ASSERT_TRUE(report) << why(report);
  EXPECT_TRUE(report->clean()) << report->problems.front().object << ": " << report->problems.front().problem;
}

TEST_P(StoreMerge, ConflictsChangeNothingUntilASideIsChosen) {
  apply({{"a.json", "{\"x\": 1, \"y\": 1}"}, {"gone", "1"}, {"t", "one\n"}, {"u", "one\n"}});
  fork("dev");
  apply({{"a.json", "{\"x\": 2, \"y\": 1}"}, {"t", "ours\n"}, {"u", "ours\n"}});
  const RevisionNumber ours = harness.unset({"gone"})->revision;
  apply({{"a.json", "{\"x\": 3, \"y\": 2}"}, {"gone", "2"}, {"t", "theirs\n"}, {"u", "theirs\n"}}, "dev");
  const Documents before = harness.read();
  const auto result = merge("dev");
  ASSERT_TRUE(result) << why(result);
  ASSERT_EQ(result->conflicts.size(), 4u);
  EXPECT_EQ(result->conflicts[0].key.str(), "a.json");
  EXPECT_EQ(result->conflicts[0].path, "/x");
  EXPECT_EQ(result->conflicts[0].base, "1");
  EXPECT_EQ(result->conflicts[0].ours, "2");
  EXPECT_EQ(result->conflicts[0].theirs, "3");
  EXPECT_EQ(result->conflicts[1].key.str(), "gone");
  EXPECT_EQ(result->conflicts[1].ours, std::nullopt);
  EXPECT_EQ(result->conflicts[1].theirs, "2");
  EXPECT_EQ(result->conflicts[2].theirs, "theirs\n");
  EXPECT_EQ(harness.head(), ours);
  EXPECT_EQ(harness.read(), before);

  // Some chosen: the others are still told.
  const auto some = merge("dev", "main", Cause::kMerge, ConflictSide::kNone,
                          {{"t", ConflictSide::kOurs}, {"a.json", ConflictSide::kTheirs}});
  ASSERT_TRUE(some);
  ASSERT_EQ(some->conflicts.size(), 2u);
  EXPECT_EQ(some->conflicts[1].key.str(), "u");
  // All chosen, one of them against the rule for all.
  const auto all = merge("dev", "main", Cause::kMerge, ConflictSide::kTheirs, {{"t", ConflictSide::kOurs}});
  ASSERT_TRUE(all) << why(all);
  EXPECT_TRUE(all->conflicts.empty());
  EXPECT_EQ(harness.read(),
            (Documents{{"a.json", "{\"x\": 3, \"y\": 2}"}, {"gone", "2"}, {"t", "ours\n"}, {"u", "theirs\n"}}));
}

TEST_P(StoreMerge, DryRunsRetriesAndExpectations) {
  apply({{"a", "1\n"}});
  fork("dev");
  apply({{"b", "1\n"}}, "dev");
  const RevisionNumber head = apply({{"c", "1\n"}});
  const auto tried = merge("dev", "main", Cause::kMerge, ConflictSide::kNone, {}, true);
  ASSERT_TRUE(tried) << why(tried);
  EXPECT_TRUE(tried->dry_run);
  EXPECT_EQ(tried->changes.size(), 1u);
  EXPECT_EQ(harness.head(), head);

  MergeRequest stale = merge_request("dev");
  stale.context.expected_revision = RevisionNumber{1};
  EXPECT_EQ(harness->merge(stale).error().code, ErrorCode::kPreconditionFailed);

  MergeRequest request = merge_request("dev");
  request.context.expected_revision = head;
  request.context.idempotency = IdempotencyKey{"once", Hash::of("request")};
  const auto first = harness->merge(request);
  ASSERT_TRUE(first) << why(first);
  EXPECT_EQ(first->revision, tried->revision);
  // The head has moved and the branch is gone: the answer is what it was.
  ASSERT_TRUE(harness->delete_branch({ns("default"), branch("dev"), StoreHarness::context()}));
  const auto second = harness->merge(request);
  ASSERT_TRUE(second) << why(second);
  EXPECT_TRUE(second->replayed);
  EXPECT_EQ(second->revision, first->revision);
  EXPECT_EQ(second->changes.size(), 1u);
  EXPECT_EQ(merge("dev").error().code, ErrorCode::kNotFound);
  EXPECT_EQ(merge("1", "nowhere").error().code, ErrorCode::kNotFound);
}

TEST_P(StoreMerge, AMergeThatChangesNothingIsRecorded) {
  apply({{"a", "1\n"}});
  fork("dev");
  apply({{"a", "2\n"}}, "dev");
  apply({{"a", "2\n"}});
  const auto merged = merge("dev");
  ASSERT_TRUE(merged) << why(merged);
  EXPECT_FALSE(merged->noop);
  EXPECT_TRUE(merged->changes.empty());
  EXPECT_EQ(revision(merged->revision).parents.size(), 2u);
  // Behind it, ours alone moves on: theirs has nothing new to say.
  apply({{"a", "3\n"}});
  const auto again = merge("dev");
  ASSERT_TRUE(again);
  EXPECT_TRUE(again->noop);
  EXPECT_EQ(harness.read().at("a"), "3\n");
}

TEST_P(StoreMerge, HistoriesWithoutACommonAncestor) {
  apply({{"a", "1\n"}, {"same", "s"}}, "left");
  apply({{"b", "1\n"}, {"same", "s"}}, "right");
  const auto merged = merge("right", "left");
  ASSERT_TRUE(merged) << why(merged);
  EXPECT_EQ(harness.read("@", "left"), (Documents{{"a", "1\n"}, {"b", "1\n"}, {"same", "s"}}));
  // Into the branch that every namespace has, before its first write.
  const auto first = merge("right", "main");
  ASSERT_TRUE(first) << why(first);
  EXPECT_EQ(harness.read(), harness.read("@", "right"));
  EXPECT_EQ(revision(first->revision).parents.size(), 1u);
}

TEST_P(StoreMerge, CherryPickTakesOneChangeAndRevertTakesItBack) {
  apply({{"a", "1\n"}, {"b.json", "{\"x\": 1, \"y\": 1}"}});
  fork("dev");
  apply({{"a", "2\n"}}, "dev");
  const RevisionNumber fix = apply({{"b.json", "{\"x\": 2, \"y\": 1}"}, {"new", "n"}}, "dev");
  apply({{"b.json", "{\"x\": 1, \"y\": 3}"}});
  const auto picked = merge(std::to_string(fix.value), "main", Cause::kCherryPick);
  ASSERT_TRUE(picked) << why(picked);
  EXPECT_EQ(harness.read(), (Documents{{"a", "1\n"}, {"b.json", "{\"x\": 2, \"y\": 3}"}, {"new", "n"}}));
  EXPECT_EQ(revision(picked->revision).source, fix);
  EXPECT_EQ(revision(picked->revision).parents.size(), 1u);
  EXPECT_EQ(revision(picked->revision).cause, Cause::kCherryPick);
  const auto twice = merge(std::to_string(fix.value), "main", Cause::kCherryPick);
  ASSERT_TRUE(twice);
  EXPECT_TRUE(twice->noop);

  apply({{"b.json", "{\"x\": 2, \"y\": 4}"}});
  const auto reverted = merge(std::to_string(picked->revision.value), "main", Cause::kRevert);
  ASSERT_TRUE(reverted) << why(reverted);
  EXPECT_EQ(harness.read(), (Documents{{"a", "1\n"}, {"b.json", "{\"x\": 1, \"y\": 4}"}}));
  EXPECT_EQ(revision(reverted->revision).source, picked->revision);
  // The first revision of all: its documents go, but for what changed since.
  const auto first = merge("1", "main", Cause::kRevert);
  ASSERT_TRUE(first);
  ASSERT_EQ(first->conflicts.size(), 1u);
  EXPECT_EQ(first->conflicts[0].key.str(), "b.json");
  EXPECT_EQ(first->conflicts[0].theirs, std::nullopt);
  EXPECT_EQ(merge("0", "main", Cause::kRevert).error().code, ErrorCode::kInvalidArgument);
}

TEST_P(StoreMerge, BaseIsTheNearestByAllParents) {
  const RevisionNumber r1 = apply({{"a", "1\n"}});
  fork("dev");
  apply({{"b", "1\n"}});
  const RevisionNumber m1 = merge("main", "dev")->revision;  // dev has main.
  const RevisionNumber main2 = apply({{"c", "1\n"}});
  const RevisionNumber dev2 = apply({{"d", "1\n"}}, "dev");
  EXPECT_EQ(base_of(main2, dev2), 2u);  // Through the merge, not where dev began.
  const RevisionNumber m2 = merge("dev")->revision;
  EXPECT_EQ(base_of(m2, dev2), dev2.value);
  EXPECT_EQ(base_of(dev2, m2), dev2.value);
  EXPECT_EQ(base_of(m1, m1), m1.value);
  EXPECT_EQ(base_of(m2, r1), r1.value);
  EXPECT_EQ(base_of(m2, RevisionNumber{0}), 0u);
  EXPECT_EQ(harness->merge_base(ns("default"), m2, RevisionNumber{999}).error().code, ErrorCode::kNotFound);
  // A rollback in between is a copy and no merge.
  ASSERT_TRUE(harness.copy("2"));
  EXPECT_EQ(base_of(harness.head(), dev2), dev2.value);
}

TEST_P(StoreMerge, BaseAgreesWithAWalkOverTheWholeHistory) {
  std::mt19937_64 random(7);
  std::map<std::uint64_t, std::vector<std::uint64_t>> parents;
  std::vector<std::string> branches{"main"};
  const auto note = [&](const Result<CommitResult>& result) {
    ASSERT_TRUE(result) << why(result);
    if (result->noop) return;
    for (const RevisionNumber parent : revision(result->revision).parents)
      parents[result->revision.value].push_back(parent.value);
    parents[result->revision.value];
  };
  note(harness.apply({{"k0", "0"}}));
  for (int i = 1; i < 250; ++i) {
    const std::string& name = branches[random() % branches.size()];
    switch (random() % 8) {
      case 0:
        if (branches.size() < 6) {
          const std::string fresh = "b" + std::to_string(branches.size());
          ASSERT_NO_FATAL_FAILURE(fork(fresh, name));
          branches.push_back(fresh);
        }
        break;
      case 1:
      case 2:
        note(merge(branches[random() % branches.size()], name, Cause::kMerge, ConflictSide::kOurs));
        break;
      case 3:
        note(harness.copy(std::to_string(1 + random() % parents.rbegin()->first), name, Cause::kRestore));
        break;
      default:
        note(harness.apply({{"k" + std::to_string(random() % 40), std::to_string(i)}}, name));
    }
  }
  const auto ancestors = [&](std::uint64_t from) {
    std::set<std::uint64_t> all;
    std::vector<std::uint64_t> open{from};
    while (!open.empty()) {
      const std::uint64_t at = open.back();
      open.pop_back();
      if (!all.insert(at).second) continue;
      for (const std::uint64_t parent : parents[at]) open.push_back(parent);
    }
    return all;
  };
  for (int i = 0; i < 400; ++i) {
    const std::uint64_t a = 1 + random() % parents.rbegin()->first, b = 1 + random() % parents.rbegin()->first;
    const auto of_a = ancestors(a), of_b = ancestors(b);
    std::uint64_t expected = 0;
    for (const std::uint64_t each : of_a) {
      if (of_b.contains(each)) expected = std::max(expected, each);
    }
    ASSERT_EQ(base_of({a}, {b}), expected) << a << " and " << b;
  }
}

TEST_P(StoreMerge, PrunedSidesAreGone) {
  apply({{"a", "1\n"}});
  fork("dev");
  for (int i = 2; i < 8; ++i) apply({{"a", std::to_string(i) + "\n"}});
  for (int i = 0; i < 6; ++i) apply({{"b", std::to_string(i) + "\n"}}, "dev");
  const RevisionNumber old = revision(harness.head("dev")).parent();
  GcRequest gc;
  gc.keep = 1;
  ASSERT_TRUE(harness->gc(gc));
  EXPECT_EQ(merge("dev").error().code, ErrorCode::kGone);  // The base is no more.
  EXPECT_EQ(merge(std::to_string(old.value), "main", Cause::kCherryPick).error().code, ErrorCode::kGone);
}

TEST_P(StoreMerge, EndsWhileTheBranchMoves) {
  apply({{"start", "1"}});
  fork("dev");
  std::atomic<bool> stop{false};
  std::vector<std::thread> writers;
  std::atomic<int> written{0};
  for (int w = 0; w < 3; ++w) {
    writers.emplace_back([&, w] {
      for (int i = 0; !stop; ++i) {
        if (harness.apply({{"w" + std::to_string(w), std::to_string(i)}})) ++written;
      }
    });
  }
  for (int i = 0; i < 30; ++i) {
    const std::string content = std::to_string(i);
    ASSERT_TRUE(harness.apply({{"dev" + content, content}}, "dev"));
    const auto merged = merge("dev");
    EXPECT_TRUE(merged) << why(merged);
    if (!merged) break;
    EXPECT_EQ(merged->changes.size(), 1u);
    EXPECT_EQ(merged->changes[0].key.str(), "dev" + content);
  }
  stop = true;
  for (auto& writer : writers) writer.join();
  const Documents all = harness.read();
  for (int i = 0; i < 30; ++i) EXPECT_EQ(all.at("dev" + std::to_string(i)), std::to_string(i));
  const auto report = harness->fsck({});
  ASSERT_TRUE(report) << why(report);
  EXPECT_TRUE(report->clean());
}

TEST_P(StoreMerge, RefusesWhatTheGuardRefuses) {
  class NoNew final : public CommitGuard {
   public:
    Status check(const ProposedCommit& commit) const override {
      if (commit.cause == Cause::kMerge) return fail(ErrorCode::kUnprocessable, "no merges today");
      return {};
    }
  } guard;
  harness->set_guard(&guard);
  apply({{"a", "1\n"}});
  fork("dev");
  apply({{"a", "2\n"}}, "dev");
  EXPECT_EQ(merge("dev").error().code, ErrorCode::kUnprocessable);
  EXPECT_EQ(harness.read().at("a"), "1\n");
  harness.close();
}

INSTANTIATE_TEST_SUITE_P(Engines, StoreMerge, testing::Values(EngineKind::kMemory, EngineKind::kRocksDb),
                         engine_kind_name);

}  // namespace
}  // namespace st8::state::test
