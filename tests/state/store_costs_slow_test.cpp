// Counts, not times, of what the store does over RocksDB: with a million keys in a namespace, at most three times what it does
// with a thousand.
#include <functional>
#include <gtest/gtest.h>
#include <random>

#include "support/store_fixture.h"

namespace st8::state::test {
namespace {

struct Counts {
  double nodes = 0, reads = 0, syncs = 0, bytes = 0;
};

class Costs {
 public:
  static std::string name(std::size_t i) {
    return "services/team-" + std::to_string(i / 10 % 97) + "/svc-" + std::to_string(i / 10) + "/config-" +
           std::to_string(i % 10) + ".json";
  }
  explicit Costs(std::size_t keys) : keys_(keys), harness_(EngineKind::kRocksDb) {
    constexpr std::size_t kAtOnce = 50'000;
    for (std::size_t at = 0; at < keys; at += kAtOnce) {
      ApplyRequest request = StoreHarness::apply_request({});
      for (std::size_t i = at; i < std::min(keys, at + kAtOnce); ++i)
        request.documents.push_back({key(name(i)), "value " + std::to_string(i)});
      const auto applied = harness_->apply(std::move(request));
      if (!applied) throw std::runtime_error(why(applied));
    }
    harness_.open();
    // As in a server that has run for a moment: the upper levels are in the cache, the leaves of a million keys are not.
    for (int i = 0; i < 3'000; ++i) {
      const auto view = harness_->view(ns("default"), branch("main"), Selector::head());
      if (!view || !view->get(key(name(random_() % keys_)))) throw std::runtime_error("a key is not there");
    }
  }

  // What one of `rounds` costs on the average.
  Counts of(int rounds, const std::function<void(StoreHarness&, int, const std::string&)>& operation) {
    const StoreStats before = harness_->stats();
    for (int i = 0; i < rounds; ++i) operation(harness_, ++number_, name(random_() % keys_));
    const StoreStats after = harness_->stats();
    const auto each = [rounds](std::uint64_t from, std::uint64_t to) {
      return static_cast<double>(to - from) / rounds;
    };
    return {each(before.nodes_written, after.nodes_written),
            each(before.engine.gets + before.engine.scans, after.engine.gets + after.engine.scans),
            each(before.engine.syncs, after.engine.syncs),
            each(before.engine.bytes_written, after.engine.bytes_written)};
  }

 private:
  const std::size_t keys_;
  StoreHarness harness_;
  std::mt19937_64 random_{7};
  int number_ = 0;
};

void expect_within(const char* what, double large, double small, double least) {
  EXPECT_LE(large, 3 * std::max(small, least))
      << what << ": " << large << " with a million keys, " << small << " with a thousand";
}

TEST(StoreCosts, OfAMillionKeysStayWithinThreeTimesThoseOfAThousand) {
  Costs thousand(1'000), million(1'000'000);
  struct Case {
    const char* name;
    double syncs;  // Exactly.
    std::function<void(StoreHarness&, int, const std::string&)> operation;
  };
  const std::vector<Case> cases = {
      {"apply of one key", 1,
       [](StoreHarness& store, int n, const std::string& k) {
         ASSERT_TRUE(store.apply({{k, "new " + std::to_string(n)}}));
       }},
      {"branch", 1,
       [](StoreHarness& store, int n, const std::string&) {
         ASSERT_TRUE(store.create_branch("b" + std::to_string(n)));
       }},
      {"rollback", 1, [](StoreHarness& store, int, const std::string&) { ASSERT_TRUE(store.copy("@~1")); }},
      {"diff of one key", 0,
       [](StoreHarness& store, int, const std::string&) {
         const auto head = store.head();
         const auto changes = store->changes(ns("default"), head);
         ASSERT_TRUE(changes) << why(changes);
         ASSERT_EQ(changes->changes.size(), 1u);
       }},
      {"point read", 0,
       [](StoreHarness& store, int, const std::string& k) {
         const auto view = store->view(ns("default"), branch("main"), Selector::head());
         ASSERT_TRUE(view);
         const auto value = view->get(key(k));
         ASSERT_TRUE(value && *value) << k;
       }},
  };
  for (const Case& each : cases) {
    SCOPED_TRACE(each.name);
    const Counts small = thousand.of(40, each.operation), large = million.of(40, each.operation);
    RecordProperty(std::string(each.name) + " reads", std::to_string(large.reads));
    std::printf("%-18s nodes %.2f / %.2f   reads %.2f / %.2f   syncs %.2f / %.2f   bytes %.0f / %.0f\n", each.name,
                large.nodes, small.nodes, large.reads, small.reads, large.syncs, small.syncs, large.bytes, small.bytes);
    expect_within("nodes written", large.nodes, small.nodes, 0);
    expect_within("engine reads", large.reads, small.reads, 1);
    expect_within("bytes written", large.bytes, small.bytes, 0);
    EXPECT_DOUBLE_EQ(large.syncs, each.syncs);
    EXPECT_DOUBLE_EQ(small.syncs, each.syncs);
  }

  // Back and forth over a change of 500 keys, by a caller who does not ask which: nothing is compared.
  million.of(1, [](StoreHarness& store, int, const std::string&) {
    Documents documents;
    for (std::size_t i = 0; i < 500; ++i) documents[Costs::name(i * 1'999)] = "changed";
    ASSERT_TRUE(store.apply(documents));
  });
  const Counts back = million.of(20, [](StoreHarness& store, int, const std::string&) {
    const auto copied = store.copy("@~1", "main", Cause::kRollback, "", "default", false);
    ASSERT_TRUE(copied) << why(copied);
    ASSERT_EQ(copied->change_count, 500u);
  });
  EXPECT_LE(back.reads, 2) << "the revision to go back to";
  EXPECT_DOUBLE_EQ(back.nodes, 0);
}

}  // namespace
}  // namespace st8::state::test
