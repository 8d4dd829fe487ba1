// What a request costs the engine, as counts with bounds: syncs, tree nodes, bytes, reads. (How these grow with the
// number of keys: tests/state/store_costs_slow_test.cpp.)
#include <cstdio>
#include <functional>
#include <gtest/gtest.h>

#include "support/store_fixture.h"

namespace st8::state::test {
namespace {

constexpr int kKeys = 1'000;
constexpr int kRounds = 200;
constexpr std::size_t kDocumentBytes = 1'024;

struct Counts {
  double syncs = 0, nodes = 0, node_bytes = 0, bytes = 0, reads = 0;
};

class Counters : public testing::TestWithParam<EngineKind> {
 protected:
  Counters() {
    ApplyRequest fill = StoreHarness::apply_request({});
    for (int i = 0; i < kKeys; ++i) fill.documents.push_back({key(name_of(i)), content_of(i)});
    const auto filled = harness_->apply(std::move(fill));
    EXPECT_TRUE(filled) << why(filled);
  }
  static std::string name_of(int i) {
    return "services/team-" + std::to_string(i % 50) + "/config-" + std::to_string(i) + ".json";
  }
  static std::string content_of(int salt) {
    std::string text = std::to_string(1'000'000 + salt);
    text.resize(kDocumentBytes, 'x');
    return text;
  }

  // Of one call on the average, with nobody else at work.
  Counts of(const char* what, const std::function<void(int)>& request) {
    for (int i = 0; i < 20; ++i) request(i);  // These fill caches.
    const StoreStats before = harness_->stats();
    for (int i = 20; i < 20 + kRounds; ++i) request(i);
    const StoreStats after = harness_->stats();
    const auto each = [](std::uint64_t from, std::uint64_t to) { return static_cast<double>(to - from) / kRounds; };
    const Counts counts{each(before.engine.syncs, after.engine.syncs), each(before.nodes_written, after.nodes_written),
                        each(before.node_bytes_written, after.node_bytes_written),
                        each(before.engine.bytes_written, after.engine.bytes_written),
                        each(before.engine.gets + before.engine.scans, after.engine.gets + after.engine.scans)};
    std::printf("%-24s %.2f syncs, %.2f nodes of %.0f bytes in all, %.0f bytes, %.2f engine reads\n", what,
                counts.syncs, counts.nodes, counts.node_bytes, counts.bytes, counts.reads);
    return counts;
  }
  StoreHarness harness_{GetParam()};
};
INSTANTIATE_TEST_SUITE_P(Engines, Counters, testing::Values(EngineKind::kMemory, EngineKind::kRocksDb),
                         engine_kind_name);

TEST_P(Counters, OfAnApplyOfOneDocument) {
  const Counts counts = of("apply of one document", [&](int i) {
    ASSERT_TRUE(harness_.apply({{name_of(i * 7 % kKeys), content_of(kKeys + i)}}));
  });
  EXPECT_DOUBLE_EQ(counts.syncs, 1);
  EXPECT_LE(counts.nodes, 3.5) << "one a level";
  EXPECT_LE(counts.node_bytes, 500);
  EXPECT_LE(counts.bytes, kDocumentBytes + 1'000) << "the document, its nodes, the revision, its names, the operation";
  EXPECT_LE(counts.reads, 0.1) << "what it builds upon is at hand";
}

// Commits leave more versions of nodes behind than the cache holds; those of the heads, and what the next ones lean on, stay.
TEST(NodeCounters, CommitsInManyNamespacesFindTheirNodes) {
  constexpr int kNamespaces = 16, kNodeKeys = 1'000, kCommits = 6'000;
  StoreOptions options;
  options.node_cache_bytes = 12u << 20;
  StoreHarness harness(EngineKind::kMemory, options);
  const auto apply = [&](int ns, int first, int count, int salt) {
    ApplyRequest request = StoreHarness::apply_request({}, "main", "space-" + std::to_string(ns));
    for (int i = first; i < first + count; ++i)
      request.documents.push_back({key("services/service-" + std::to_string(i)), std::to_string(salt)});
    const auto applied = harness->apply(std::move(request));
    ASSERT_TRUE(applied) << why(applied);
  };
  for (int ns = 0; ns < kNamespaces; ++ns) apply(ns, 0, kNodeKeys, ns);
  const auto commit = [&](int i) { apply(i % kNamespaces, i / kNamespaces * 389 % kNodeKeys, 1, 1'000 + i); };
  for (int i = 0; i < kCommits; ++i) commit(i);
  const StoreStats before = harness->stats();
  for (int i = kCommits; i < 2 * kCommits; ++i) commit(i);
  const StoreStats after = harness->stats();
  EXPECT_GT(after.node_cache_bytes, options.node_cache_bytes * 9 / 10) << "it is full";
  EXPECT_LE(after.node_cache_misses - before.node_cache_misses, kCommits / 50u);
}

// More documents than the cache of contents has room for, each changed in turn: what a change replaces, which its answer
// tells, is found in the room that nodes do not use.
TEST(ContentCounters, CommitsInManyNamespacesFindWhatTheyReplace) {
  constexpr int kNamespaces = 16, kContentKeys = 600, kDocuments = kNamespaces * kContentKeys;
  StoreHarness harness(EngineKind::kMemory);
  const auto apply = [&](int document, int salt) {
    std::string content = "{\n";
    for (int i = 0; i < 25; ++i) {
      content += "  \"option_" + std::to_string(i) +
                 "\": {\"value\": " + std::to_string((document + salt) * 31 * i % 997) + "},\n";
    }
    ApplyRequest request = StoreHarness::apply_request({}, "main", "space-" + std::to_string(document % kNamespaces));
    request.documents.push_back({key("services/service-" + std::to_string(document / kNamespaces)),
                                 content + std::to_string(document) + " " + std::to_string(salt)});
    request.before_wanted = true;
    const auto applied = harness->apply(std::move(request));
    ASSERT_TRUE(applied) << why(applied);
  };
  for (int i = 0; i < kDocuments; ++i) apply(i, 0);
  const StoreStats before = harness->stats();
  for (int i = 0; i < 2 * kDocuments; ++i) apply(i * 7 % kDocuments, 1 + i / kDocuments);
  const StoreStats after = harness->stats();
  EXPECT_LE(after.content_cache_misses - before.content_cache_misses, kDocuments / 50u);
  EXPECT_GT(after.content_cache_bytes, StoreOptions{}.content_cache_bytes * 5 / 4) << "they need more than is theirs";
  EXPECT_LE(after.content_cache_bytes + after.node_cache_bytes,
            StoreOptions{}.content_cache_bytes + StoreOptions{}.node_cache_bytes);
}

TEST_P(Counters, OfARetryAnsweredFromItsRecord) {
  auto request = StoreHarness::apply_request({{"a", "1"}});
  request.context.idempotency = IdempotencyKey{"key", Hash::of("request")};
  ASSERT_TRUE(harness_->apply(request));
  const Counts counts = of("retry of an apply", [&](int) { ASSERT_TRUE(harness_->apply(request)); });
  EXPECT_DOUBLE_EQ(counts.syncs, 0);
  EXPECT_DOUBLE_EQ(counts.bytes, 0);
}

TEST_P(Counters, OfARollback) {
  ASSERT_TRUE(harness_.apply({{"a", "1"}}));
  const Counts counts = of("rollback", [&](int) { ASSERT_TRUE(harness_.copy("@~1")); });
  EXPECT_DOUBLE_EQ(counts.syncs, 1);
  EXPECT_DOUBLE_EQ(counts.nodes, 0) << "a copied root writes no node";
  EXPECT_LE(counts.bytes, 400);
}

TEST_P(Counters, OfABranch) {
  const Counts counts = of("branch", [&](int i) { ASSERT_TRUE(harness_.create_branch("b" + std::to_string(i))); });
  EXPECT_DOUBLE_EQ(counts.syncs, 1);
  EXPECT_DOUBLE_EQ(counts.nodes, 0);
  EXPECT_LE(counts.bytes, 120);
}

TEST_P(Counters, OfAReadAtHead) {
  const Counts counts = of("read at head", [&](int i) {
    const auto view = harness_->view(ns("default"), branch("main"), Selector::head());
    ASSERT_TRUE(view);
    const auto content = view->get(key(name_of(i * 7 % kKeys)));
    ASSERT_TRUE(content && *content);
  });
  EXPECT_LE(counts.reads, 1.1) << "the document itself; its path through the tree is at hand";
  EXPECT_DOUBLE_EQ(counts.syncs, 0);
}

// A rollout of what was applied, or a look at the change, reads it next.
TEST_P(Counters, OfAReadOfWhatAnApplyOfManyHasJustWritten) {
  constexpr int kMany = 500;
  Documents documents;
  for (int i = 0; i < kMany; ++i) documents[name_of(i)] = content_of(2 * kKeys + i);
  ASSERT_TRUE(harness_.apply(documents));
  const Counts counts = of("read of the just written", [&](int i) {
    const auto view = harness_->view(ns("default"), branch("main"), Selector::head());
    ASSERT_TRUE(view);
    const auto content = view->get(key(name_of(i % kMany)));
    ASSERT_TRUE(content && *content);
    EXPECT_EQ(**content, content_of(2 * kKeys + i % kMany));
  });
  EXPECT_LE(counts.reads, 0.1);
}

}  // namespace
}  // namespace st8::state::test
