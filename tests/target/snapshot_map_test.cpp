#include "service/snapshot_map.h"

#include <gtest/gtest.h>
#include <map>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "support/seed.h"

namespace st8::target {
namespace {

using Map = SnapshotMap<std::string, int>;
using Snapshot = MapSnapshot<std::string, int>;
using Model = std::map<std::string, int>;

std::string key_of(std::size_t i) { return "key-" + std::to_string(100'000 + i); }

// Forwards, backwards, and key by key.
template <class Read>
void expect_same(const Read& read, const Model& model) {
  ASSERT_EQ(read.size(), model.size());
  ASSERT_EQ(read.empty(), model.empty());
  auto expected = model.begin();
  for (const auto& [key, value] : read) {
    ASSERT_NE(expected, model.end());
    ASSERT_EQ(key, expected->first);
    ASSERT_EQ(value, expected->second);
    const auto found = read.find(key);
    ASSERT_NE(found, read.end());
    ASSERT_EQ(&*found, &*read.find(key));
    ASSERT_EQ(found->second, value);
    ++expected;
  }
  ASSERT_EQ(expected, model.end());
  auto at = read.end();
  for (auto behind = model.end(); behind != model.begin();) {
    --behind;
    --at;
    ASSERT_EQ(at->first, behind->first);
  }
  ASSERT_EQ(at, read.begin());
}

TEST(SnapshotMap, IsEmptyAtFirst) {
  Map map;
  expect_same(map, {});
  expect_same(map.snapshot(), {});
  expect_same(Snapshot(), {});
  EXPECT_FALSE(map.contains("a"));
  EXPECT_EQ(map.erase("a"), 0u);
}

TEST(SnapshotMap, DoesWhatAMapDoesAndItsSnapshotsStayAsTheyWere) {
  const std::uint64_t seed = test::first_seed();
  SCOPED_TRACE("ST8_TEST_SEED=" + std::to_string(seed));
  for (std::uint64_t round = 0; round < 12; ++round) {
    std::mt19937_64 random(seed * 1000 + round);
    const auto below = [&](std::size_t bound) { return static_cast<std::size_t>(random() % bound); };
    const std::size_t keys = round % 3 == 0 ? 20 : round % 3 == 1 ? 200 : 3'000;
    Map map;
    Model model;
    std::vector<std::pair<Snapshot, Model>> held;
    // It grows at first, and shrinks to nothing in the end.
    for (std::size_t i = 0; i < 6'000 || !model.empty(); ++i) {
      const std::string key = key_of(below(keys));
      const std::size_t what = below(100);
      if (i >= 6'000 && what < 90) {
        const std::string any =
            model.lower_bound(key) == model.end() ? model.begin()->first : model.lower_bound(key)->first;
        ASSERT_EQ(map.erase(any), 1u);
        model.erase(any);
      } else if (what < (i < 3'000 ? 70 : 45)) {
        map.insert_or_assign(key, static_cast<int>(i));
        model.insert_or_assign(key, static_cast<int>(i));
      } else if (what < 80) {
        ASSERT_EQ(map.erase(key), model.erase(key));
      } else if (what < 85 && i < 6'000) {
        map.change(key, [](int& value) { ++value; });
        ++model[key];
      } else if (what == 85) {
        if (held.size() == 8) held.erase(held.begin() + static_cast<std::ptrdiff_t>(below(8)));
        held.emplace_back(map.snapshot(), model);
      } else {
        ASSERT_EQ(map.contains(key), model.contains(key));
      }
      if (i % 500 != 0) continue;
      ASSERT_NO_FATAL_FAILURE(expect_same(map, model));
      for (const auto& [snapshot, then] : held) ASSERT_NO_FATAL_FAILURE(expect_same(snapshot, then));
    }
    ASSERT_NO_FATAL_FAILURE(expect_same(map, {}));
    ASSERT_FALSE(held.empty());
    for (const auto& [snapshot, then] : held) ASSERT_NO_FATAL_FAILURE(expect_same(snapshot, then));
  }
}

TEST(SnapshotMap, ASnapshotOutlivesItsMap) {
  Snapshot held;
  Model model;
  {
    Map map;
    for (std::size_t i = 0; i < 3 * Map::kPieceMax; ++i) {
      map.insert_or_assign(key_of(i), 1);
      model[key_of(i)] = 1;
    }
    held = map.snapshot();
    map.clear();
    expect_same(map, {});
    map.insert_or_assign("another", 2);
  }
  expect_same(held, model);
}

TEST(SnapshotMap, TwoSnapshotsShareWhatWasNotWrittenBetween) {
  Map map;
  for (std::size_t i = 0; i < 10 * Map::kPieceMax; ++i) map.insert_or_assign(key_of(i), 0);
  const Snapshot before = map.snapshot();
  map.insert_or_assign(key_of(70), 1);
  map.erase(key_of(300));
  map.insert_or_assign(key_of(400) + "-new", 1);
  const Snapshot after = map.snapshot();
  std::size_t shared = 0;
  for (const auto& entry : before) {
    const auto found = after.find(entry.first);
    if (found != after.end() && &*found == &entry) ++shared;
  }
  EXPECT_EQ(shared, before.size() - 2) << "all but what was overwritten or erased";
  EXPECT_EQ(after.find(key_of(70))->second, 1);
  EXPECT_EQ(before.find(key_of(70))->second, 0);
}

TEST(SnapshotMap, IsReadFromTheEnd) {
  Map map;
  for (std::size_t i = 0; i < 3 * Map::kPieceMax; ++i) map.insert_or_assign(key_of(i), static_cast<int>(i));
  const Snapshot held = map.snapshot();
  int expected = 3 * static_cast<int>(Map::kPieceMax);
  for (auto it = held.rbegin(); it != held.rend(); ++it) EXPECT_EQ(it->second, --expected);
  EXPECT_EQ(expected, 0);
}

}  // namespace
}  // namespace st8::target
