// Nodes and packed contents in one room: never more than it holds, nodes first, and what commits left behind makes way.
#include "base/cache_room.h"

#include <atomic>
#include <gtest/gtest.h>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "pipeline/content_cache.h"
#include "pipeline/packed_contents.h"
#include "st8/state/hash.h"
#include "tree/node_cache.h"

namespace st8::state::pipeline {
namespace {

constexpr keyspace::NamespaceId kNs{7};
using Then = ContentCache::Then;

std::string json(std::uint64_t number, std::size_t bytes = 1000) {
  std::mt19937_64 random(number);
  std::string text = "{\n  \"number\": " + std::to_string(number);
  while (text.size() + 50 < bytes) {
    text += ",\n  \"option_" + std::to_string(text.size()) + "\": {\"value\": " + std::to_string(random() % 1000) + "}";
  }
  return text + "\n}\n";
}
std::string noise(std::uint64_t number, std::size_t bytes) {
  std::mt19937_64 random(number);
  std::string text(bytes, '\0');
  for (char& c : text) c = static_cast<char>(random());
  return text;
}
std::shared_ptr<const tree::Node> numbered_node(std::uint64_t number) {
  tree::NodeBuilder builder(0);
  builder.add("key/" + std::to_string(number), {Hash::of(std::to_string(number)), 1, number, {1 + number}});
  return builder.finish();
}

TEST(CacheRoom, LendsNoMoreThanItHas) {
  CacheRoom room(100);
  EXPECT_TRUE(room.take(60));
  EXPECT_FALSE(room.take(41));
  EXPECT_TRUE(room.take(40));
  EXPECT_FALSE(room.take(1));
  room.leave(10);
  EXPECT_EQ(room.taken(), 90u);
  EXPECT_FALSE(room.take(std::size_t{0} - 1));
  EXPECT_EQ(room.reclaim(5), 0u) << "nobody has borrowed";
}

TEST(CacheRoom, IsWantedForSomeTimeWhenLittleIsLeft) {
  CacheRoom room(6'400);
  EXPECT_FALSE(room.is_wanted());
  ASSERT_TRUE(room.take(6'000));
  room.want();
  EXPECT_FALSE(room.is_wanted()) << "there is enough left";
  ASSERT_TRUE(room.take(390));
  EXPECT_TRUE(room.is_wanted());
  int puts = 0;
  while (room.is_wanted() && puts < 1'000'000) ++puts;
  EXPECT_GT(puts, 100);
  EXPECT_LT(puts, 100'000) << "who wants nothing more is forgotten";
}

TEST(PackedContents, GivesBackWhatWasPut) {
  CacheRoom room(4u << 20);
  {
    PackedContents packed(room);
    std::vector<std::string> contents{
        "", "a", json(1), json(2, 16'000), noise(3, 5'000), noise(4, 16u << 10), std::string(16u << 10, 'x')};
    for (const std::string& content : contents) packed.put(Hash::of(content), content);
    EXPECT_EQ(packed.stats().contents, contents.size() - 1) << "nothing is kept of an empty one";
    EXPECT_EQ(packed.stats().bytes, room.taken());
    for (const std::string& content : contents) {
      const auto found = packed.find(Hash::of(content));
      ASSERT_EQ(found == nullptr, content.empty());
      if (found != nullptr) {
        EXPECT_EQ(*found, content);
      }
    }
    const std::string large(ContentCache::kContentBytesMax + 1, 'x');
    packed.put(Hash::of(large), large);
    EXPECT_EQ(packed.find(Hash::of(large)), nullptr);

    const auto taken = packed.take(Hash::of(json(1)));
    ASSERT_NE(taken, nullptr);
    EXPECT_EQ(*taken, json(1));
    EXPECT_EQ(packed.take(Hash::of(json(1))), nullptr);
    EXPECT_EQ(packed.stats().bytes, room.taken());
    EXPECT_EQ(packed.stats().hits, contents.size());
  }
  EXPECT_EQ(room.taken(), 0u);
}

TEST(PackedContents, DropsWhatWasAskedForLongestAgo) {
  CacheRoom room(256u << 10);
  PackedContents packed(room);
  packed.put(Hash::of(json(0)), json(0));
  for (std::uint64_t i = 1; i < 3'000; ++i) {
    packed.put(Hash::of(json(i)), json(i));
    packed.put(Hash::of(json(i)), json(i));  // Twice is once.
    ASSERT_LE(room.taken(), room.bytes_max());
    ASSERT_NE(packed.find(Hash::of(json(0))), nullptr) << "asked for all the time, and gone after " << i;
  }
  EXPECT_EQ(packed.stats().bytes, room.taken());
  EXPECT_GT(packed.stats().contents, 300u) << "packed they take less than half of a kibibyte";
  EXPECT_TRUE(room.is_wanted());
  EXPECT_EQ(packed.find(Hash::of(json(1))), nullptr);

  EXPECT_GE(packed.give_back(100u << 10), 100u << 10);
  EXPECT_LE(room.taken(), 156u << 10);
  EXPECT_LT(packed.give_back(1u << 20), 157u << 10) << "all that it has";
  EXPECT_EQ(packed.give_back(1), 0u);
  EXPECT_EQ(room.taken(), 0u);
  EXPECT_EQ(packed.stats().contents, 0u);
  packed.put(Hash::of(json(1)), json(1));
  EXPECT_NE(packed.find(Hash::of(json(1))), nullptr);
}

TEST(ContentCache, WhatMayBeWantedLivesOnPacked) {
  CacheRoom room(4u << 20);
  PackedContents packed(room);
  ContentCache cache(256u << 10, &packed);
  for (std::uint64_t i = 0; i < 2'000; ++i) cache.put(Hash::of(json(i)), json(i), Then::kPack);
  for (std::uint64_t i = 0; i < 2'000; ++i) {
    const auto found = cache.find(Hash::of(json(i)));
    ASSERT_TRUE(found != nullptr && *found == json(i)) << i;
  }
  EXPECT_EQ(cache.stats().hits, 2'000u);
  EXPECT_EQ(cache.stats().misses, 0u);
  const std::uint64_t held = packed.stats().contents;
  EXPECT_GT(held, 1'700u);
  // Replaced: out of both, at once or when its time is over.
  for (std::uint64_t i = 0; i < 2'000; ++i) ASSERT_NE(cache.find_replaced(Hash::of(json(i))), nullptr);
  EXPECT_EQ(packed.stats().contents, 0u);
  // What is not worth it is not packed; nor is what was replaced meanwhile.
  for (std::uint64_t i = 5'000; i < 7'000; ++i) cache.put(Hash::of(json(i)), json(i), Then::kGo);
  EXPECT_EQ(packed.stats().contents, 0u);
  // Replaced and written again, it is worth it as before.
  cache.put(Hash::of(json(1)), json(1), Then::kPack);
  ASSERT_NE(cache.find_replaced(Hash::of(json(1))), nullptr);
  cache.put(Hash::of(json(1)), json(1), Then::kPack);
  for (std::uint64_t i = 8'000; i < 9'000; ++i) cache.put(Hash::of(json(i)), json(i), Then::kGo);
  EXPECT_EQ(packed.stats().contents, 1u);
  EXPECT_NE(cache.find(Hash::of(json(1))), nullptr);
}

class Shared : public testing::Test {
 protected:
  static constexpr std::size_t kRoom = 1u << 20;
  void put_contents(std::uint64_t first, std::uint64_t count) {
    for (std::uint64_t i = first; i < first + count; ++i) packed_.put(Hash::of(json(i)), json(i));
  }
  void check() {
    EXPECT_LE(room_.taken(), kRoom);
    EXPECT_EQ(room_.taken(), nodes_.stats().bytes + packed_.stats().bytes);
  }
  CacheRoom room_{kRoom};
  tree::NodeCache nodes_{kRoom, &room_};
  PackedContents packed_{room_};
  Shared() { room_.set_borrower(&packed_); }
};
using CacheRoomShared = Shared;

TEST_F(CacheRoomShared, NodesComeFirst) {
  put_contents(0, 5'000);
  check();
  EXPECT_GT(packed_.stats().bytes, kRoom * 9 / 10) << "nodes use nothing yet";
  std::vector<std::shared_ptr<const tree::Node>> all;
  for (std::uint64_t i = 0; i < 1'500; ++i) {
    all.push_back(numbered_node(i));
    nodes_.put(kNs, {1}, all.back());
    ASSERT_LE(room_.taken(), kRoom);
  }
  check();
  for (const auto& node : all) ASSERT_NE(nodes_.get(kNs, node->name(), {1}), nullptr) << "a content took its room";
  const std::uint64_t contents = packed_.stats().contents;
  EXPECT_GT(contents, 0u) << "nodes need only half";
  // Contents take nothing from nodes that nobody let go.
  put_contents(10'000, 3'000);
  for (const auto& node : all) ASSERT_NE(nodes_.get(kNs, node->name(), {1}), nullptr);
  for (std::uint64_t i = 2'000; i < 20'000; ++i) nodes_.put(kNs, {1}, numbered_node(i));
  check();
  EXPECT_LT(packed_.stats().bytes, kRoom / 8) << "nodes want all of it";
  nodes_.clear();
  check();
  EXPECT_EQ(nodes_.stats().bytes, 0u);
}

TEST_F(CacheRoomShared, WhatCommitsLeftBehindMakesWay) {
  std::vector<std::shared_ptr<const tree::Node>> kept;
  for (std::uint64_t i = 0; i < 300; ++i) {
    kept.push_back(numbered_node(i));
    nodes_.put(kNs, {1}, kept.back());
  }
  std::uint64_t next = 1'000;
  const auto commit = [&] {
    const auto node = numbered_node(++next);
    nodes_.put(kNs, {1}, node);
    nodes_.let_go(kNs, node->name(), {1});
  };
  for (int i = 0; i < 10'000; ++i) commit();
  EXPECT_GT(nodes_.stats().bytes, kRoom * 8 / 10) << "they stay while nobody wants the room";
  check();
  for (std::uint64_t i = 0; i < 3'000; ++i) {
    put_contents(100'000 + i, 1);
    commit();
  }
  check();
  EXPECT_GT(packed_.stats().bytes, kRoom / 4);
  const std::uint64_t contents = packed_.stats().contents;
  // Commits alone find room in what they let go themselves.
  for (int i = 0; i < 10'000; ++i) commit();
  EXPECT_GT(packed_.stats().contents, contents * 9 / 10);
  for (const auto& node : kept) EXPECT_NE(nodes_.get(kNs, node->name(), {1}), nullptr) << "nobody had let it go";
  check();
}

TEST_F(CacheRoomShared, HoldsItsBoundWhateverManyThreadsDo) {
  std::vector<std::shared_ptr<const tree::Node>> nodes;
  std::vector<std::pair<Hash, std::string>> contents;
  for (std::uint64_t i = 0; i < 4'000; ++i) {
    nodes.push_back(numbered_node(i));
    const std::string content = i % 5 == 0 ? noise(i, 300) : json(i, 200 + i % 800);
    contents.emplace_back(Hash::of(content), content);
  }
  ContentCache cache(64u << 10, &packed_);
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  for (unsigned t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      std::mt19937_64 random(t);
      for (int i = 0; i < 20'000; ++i) {
        const auto& node = nodes[random() % nodes.size()];
        const auto& [hash, content] = contents[random() % contents.size()];
        const auto is_wrong = [&](const auto& found) { return found != nullptr && *found != content; };
        switch (random() % 6) {
          case 0:
          case 1:
            nodes_.put(kNs, {1}, node);
            break;
          case 2:
            nodes_.let_go(kNs, node->name(), {1});
            break;
          case 3:
            cache.put(hash, content, Then::kPack);
            break;
          case 4:
            wrong += is_wrong(cache.find(hash));
            break;
          case 5:
            wrong += is_wrong(cache.find_replaced(hash));
            break;
        }
        wrong += room_.taken() > kRoom;
        if (t == 0 && i % 5'000 == 4'999) nodes_.clear();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
  check();
}

}  // namespace
}  // namespace st8::state::pipeline
