// A diff that is walked in parts is the same as one that is walked from end to end.
#include <functional>
#include <gtest/gtest.h>
#include <optional>
#include <random>
#include <set>
#include <thread>
#include <vector>

#include "support/store_fixture.h"

namespace st8::state::test {
namespace {

std::string name_of(std::size_t i) {
  return "team-" + std::to_string(i % 7) + "/" + std::to_string(i * 7'919 % 100'003);
}

// Updates, deletions and creations, `changed` of each at random.
class ViewDiff : public testing::Test {
 protected:
  void make(std::size_t keys, std::size_t changed) {
    Documents documents;
    for (std::size_t i = 0; i < keys; ++i) documents[name_of(i)] = "v";
    ASSERT_TRUE(harness_.apply(documents));
    std::mt19937_64 random(keys);
    ApplyRequest request = StoreHarness::apply_request({});
    std::set<std::size_t> used;
    while (used.size() < 3 * changed) {
      const std::size_t i = random() % keys;
      if (!used.insert(i).second) continue;
      if (used.size() % 3 == 0) {
        request.unset.push_back(key(name_of(i)));
      } else {
        request.documents.push_back({key(used.size() % 3 == 1 ? name_of(i) : name_of(i) + "-new"), "changed"});
      }
    }
    ASSERT_TRUE(harness_->apply(std::move(request)));
    from_.emplace(*harness_->view(ns("default"), RevisionNumber{1}));
    to_.emplace(*harness_->view(ns("default"), RevisionNumber{2}));
  }
  // Returns how many parts the walk was cut into.
  std::size_t compare(const View& from, const View& to, DiffQuery query) {
    const auto whole = from.diff(to, query);
    std::size_t most = 0;
    query.in_parts = [&](std::size_t parts, const std::function<void(std::size_t)>& work) {
      most = std::max(most, parts);
      std::vector<std::thread> threads;
      for (std::size_t part = parts; part-- > 0;) threads.emplace_back([&work, part] { work(part); });
      for (std::thread& thread : threads) thread.join();
    };
    const auto in_parts = from.diff(to, query);
    EXPECT_TRUE(whole && in_parts);
    if (!whole || !in_parts) return most;
    EXPECT_EQ(in_parts->more, whole->more);
    EXPECT_EQ(in_parts->changes.size(), whole->changes.size());
    for (std::size_t i = 0; i < std::min(in_parts->changes.size(), whole->changes.size()); ++i) {
      EXPECT_EQ(in_parts->changes[i].key, whole->changes[i].key);
      EXPECT_EQ(in_parts->changes[i].type, whole->changes[i].type);
      EXPECT_EQ(in_parts->changes[i].before, whole->changes[i].before);
      EXPECT_EQ(in_parts->changes[i].after, whole->changes[i].after);
    }
    return most;
  }

  StoreHarness harness_{EngineKind::kMemory};
  std::optional<View> from_, to_;
};

TEST_F(ViewDiff, InPartsIsTheSame) {
  make(20'000, 700);
  const auto empty = harness_->view(ns("default"), RevisionNumber{0});
  ASSERT_TRUE(empty);
  EXPECT_GT(compare(*from_, *to_, {}), 4u);
  EXPECT_GT(compare(*to_, *from_, {}), 4u);
  for (const std::size_t limit : {1u, 63u, 64u, 65u, 66u, 500u, 2'099u, 2'100u, 2'101u}) {
    for (const char* prefix : {"", "team-3/", "team-3/1", "team-9", "team-6/99"}) {
      for (const char* after : {"", "team-3/5", "team-6/9999", "zzz"}) {
        SCOPED_TRACE(std::to_string(limit) + " \"" + prefix + "\" \"" + after + "\"");
        DiffQuery query;
        query.prefix = prefix;
        query.after = after;
        query.limit = limit;
        compare(*from_, *to_, query);
      }
    }
  }
  compare(*empty, *to_, {});
  compare(*to_, *empty, {});
}

TEST_F(ViewDiff, OfMoreThanPartsMayHoldIsTheSame) {
  make(90'000, 29'000);
  EXPECT_GT(compare(*from_, *to_, {}), 4u);
  DiffQuery query;
  query.limit = 6'000;
  compare(*from_, *to_, query);
}

TEST_F(ViewDiff, OfFewChangesIsWalkedAsOne) {
  make(20'000, 20);
  EXPECT_EQ(compare(*from_, *to_, {}), 0u);
}

}  // namespace
}  // namespace st8::state::test
