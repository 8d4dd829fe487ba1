#include <algorithm>
#include <gtest/gtest.h>
#include <random>
#include <thread>

#include "pipeline/group_nodes.h"
#include "support/memory_nodes.h"
#include "support/tree_costs.h"
#include "tree/node_cache.h"

namespace st8::state::tree {
namespace {

constexpr keyspace::NamespaceId kNs{7};

std::shared_ptr<const Node> numbered_node(std::uint64_t number) {
  NodeBuilder builder(0);
  builder.add("key/" + std::to_string(number), {Hash::of(std::to_string(number)), 1, number, {1 + number}});
  return builder.finish();
}

// Looked through while it is small, by slots when it has grown, and small again after clear().
TEST(NodeTable, FindsWhatWasAddedAndNotTakenBack) {
  std::vector<std::shared_ptr<const Node>> nodes;
  for (std::uint64_t i = 0; i < 200; ++i) nodes.push_back(numbered_node(i));
  std::mt19937_64 random(11);
  pipeline::NodeTable table;
  for (int round = 0; round < 40; ++round) {
    std::vector<std::pair<std::uint64_t, std::size_t>> expected;  // Written at, and which.
    const std::size_t most = round % 2 == 0 ? 12 : 200;
    for (int step = 0; step < 60; ++step) {
      if (random() % 8 == 0) {
        const std::size_t left = expected.empty() ? 0 : random() % (expected.size() + 1);
        table.truncate(left);
        expected.resize(left);
      } else if (expected.size() < most) {
        expected.emplace_back(1 + random() % 3, random() % nodes.size());
        table.add({expected.back().first}, nodes[expected.back().second]);
      }
      ASSERT_EQ(table.items().size(), expected.size());
      for (std::size_t which = 0; which < nodes.size(); which += 1 + random() % 7) {
        for (std::uint64_t at = 1; at <= 3; ++at) {
          const bool there = std::find(expected.begin(), expected.end(), std::pair{at, which}) != expected.end();
          ASSERT_EQ(table.find(nodes[which]->name(), {at}), there ? nodes[which] : nullptr) << round << '/' << step;
        }
      }
    }
    table.clear();
    ASSERT_EQ(table.find(nodes[0]->name(), {1}), nullptr);
  }
}

TEST(NodeCache, TellsBodiesApartByNamespaceNameAndRevision) {
  NodeCache cache(1 << 20);
  const auto node = numbered_node(1), other = numbered_node(2);
  cache.put(kNs, {5}, node);
  EXPECT_EQ(cache.get(kNs, node->name(), {5}), node);
  EXPECT_EQ(cache.get(kNs, node->name(), {6}), nullptr);
  EXPECT_EQ(cache.get({8}, node->name(), {5}), nullptr);
  EXPECT_EQ(cache.get(kNs, other->name(), {5}), nullptr);
  const NodeCache::Stats stats = cache.stats();
  EXPECT_EQ(stats.hits, 1u);
  EXPECT_EQ(stats.misses, 3u);
  EXPECT_EQ(stats.nodes, 1u);
  EXPECT_GT(stats.bytes, node->body().size());
}

TEST(NodeCache, FindsVersionsByTheBeginningOfTheirName) {
  NodeCache cache(1 << 20);
  const auto node = numbered_node(1);
  cache.put(kNs, {5}, node);
  std::uint64_t word;
  std::memcpy(&word, node->name().bytes.data(), 8);
  EXPECT_EQ(cache.get_version(kNs, {0, "key/1", {5}}, word), node);
  EXPECT_EQ(cache.get_version(kNs, {0, "key/2", {5}}, word), nullptr);
  EXPECT_EQ(cache.get_version(kNs, {1, "key/1", {5}}, word), nullptr);
  EXPECT_EQ(cache.get_version(kNs, {0, "key/1", {6}}, word), nullptr);
  EXPECT_EQ(cache.get_version(kNs, {0, "key/1", {5}}, word + 1), nullptr);
}

TEST(NodeCache, StaysWithinItsBoundAndKeepsWhatIsAskedFor) {
  NodeCache cache(1 << 20);
  std::vector<std::shared_ptr<const Node>> hot;
  for (std::uint64_t i = 0; i < 64; ++i) {
    hot.push_back(numbered_node(i));
    cache.put(kNs, {1}, hot.back());
  }
  std::size_t kept = 0;
  for (std::uint64_t i = 0; i < 20'000; ++i) {
    cache.put(kNs, {1}, numbered_node(1'000 + i));
    if (i % 50 == 0) {
      for (const auto& node : hot) kept += cache.get(kNs, node->name(), {1}) != nullptr;
    }
    if (i % 1'000 == 0) {
      EXPECT_LE(cache.stats().bytes, std::size_t{1} << 20);
    }
  }
  EXPECT_LE(cache.stats().bytes, std::size_t{1} << 20);
  EXPECT_GT(cache.stats().nodes, 1'000u);
  EXPECT_EQ(kept, 400u * 64);  // A scan of 20,000 others did not drive them out.
}

TEST(NodeCache, WhatWasLetGoLeavesFirst) {
  NodeCache cache(1 << 20);
  const auto present = [&](const auto& nodes) {
    return static_cast<std::size_t>(std::count_if(
        nodes.begin(), nodes.end(), [&](const auto& node) { return cache.get(kNs, node->name(), {1}) != nullptr; }));
  };
  std::vector<std::shared_ptr<const Node>> kept, wanted, left;
  for (std::uint64_t i = 0; i < 64; ++i) {
    for (auto* nodes : {&kept, &wanted, &left}) {
      nodes->push_back(numbered_node(1'000 * i + nodes->size() +
                                     (nodes == &kept     ? 100
                                      : nodes == &wanted ? 300
                                                         : 500)));
      cache.put(kNs, {1}, nodes->back());
    }
    cache.let_go(kNs, wanted.back()->name(), {1});
    cache.let_go(kNs, left.back()->name(), {1});
    cache.let_go(kNs, left.back()->name(), {1});  // Twice is once.
    cache.let_go(kNs, left.back()->name(), {2});  // Nobody has that.
  }
  EXPECT_EQ(present(wanted), 64u);  // Asked for again: they stay.
  for (std::uint64_t i = 0; i < 20'000; ++i) {
    const auto node = numbered_node(100'000 + i);
    cache.put(kNs, {1}, node);
    cache.let_go(kNs, node->name(), {1});
  }
  EXPECT_LE(cache.stats().bytes, std::size_t{1} << 20);
  EXPECT_EQ(present(left), 0u);
  EXPECT_EQ(present(kept), 64u) << "nobody asked for them, and they had not been let go";
  EXPECT_EQ(present(wanted), 64u);
}

TEST(NodeCache, AgreesWithAPlainMapThroughEvictions) {
  // Small, so that shards fill, evict, and their tables close holes over and over.
  NodeCache cache(64 << 10);
  std::mt19937_64 random(3);
  std::vector<std::shared_ptr<const Node>> nodes;
  for (std::uint64_t i = 0; i < 2'000; ++i) nodes.push_back(numbered_node(i));
  std::size_t hits = 0;
  for (int i = 0; i < 200'000; ++i) {
    const auto& node = nodes[random() % nodes.size()];
    if (const auto found = cache.get(kNs, node->name(), {1})) {
      ASSERT_EQ(found, node);
      ++hits;
    } else {
      cache.put(kNs, {1}, node);
      ASSERT_EQ(cache.get(kNs, node->name(), {1}), node);  // What was just put is there.
    }
    if (i % 5 == 0) cache.let_go(kNs, nodes[random() % nodes.size()]->name(), {1});
  }
  EXPECT_GT(hits, 1'000u);
  EXPECT_LE(cache.stats().bytes, std::size_t{64} << 10);
}

TEST(NodeCache, ServesManyThreads) {
  NodeCache cache(256 << 10);
  std::vector<std::shared_ptr<const Node>> nodes;
  for (std::uint64_t i = 0; i < 1'500; ++i) nodes.push_back(numbered_node(i));
  std::vector<std::thread> threads;
  std::atomic<std::size_t> wrong{0};
  for (unsigned t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      std::mt19937_64 random(t);
      for (int i = 0; i < 30'000; ++i) {
        const auto& node = nodes[random() % nodes.size()];
        const auto found = cache.get(kNs, node->name(), {1});
        if (!found)
          cache.put(kNs, {1}, node);
        else if (found != node)
          ++wrong;
        if (i % 5 == 0) cache.let_go(kNs, node->name(), {1});
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0u);
  EXPECT_LE(cache.stats().bytes, std::size_t{256} << 10);
}

TEST(StoredNodes, ReadsThroughTheCacheAndFromTheEngine) {
  const auto engine = make_memory_engine();
  NodeCache cache(64 << 20);
  const StoredNodes stored(*engine, cache, kNs);
  const Model model = realistic_model(3'000);
  TreeRoot root;
  std::vector<Edit> edits;
  for (const auto& [key, ref] : model) edits.push_back({key, ref});
  const auto commit = [&](std::uint64_t number, std::span<const Edit> some) {
    UncommittedNodes nodes(stored, kNs);
    const auto result = edit(nodes, root, some, {number}, nodes);
    ASSERT_TRUE(result);
    root = result->root;
    // Readable before it is committed, through the draft alone.
    EXPECT_TRUE(contents(nodes, root));
    Batch batch;
    nodes.write_to(batch);
    ASSERT_TRUE(engine->commit(batch, {}, Durability::kSynced));
    nodes.publish(cache);
    EXPECT_EQ(nodes.count(), 0u);
  };
  commit(1, edits);
  for (std::uint64_t number = 2; number < 80; ++number) {
    edits[number * 17].value = ref_of(std::to_string(number), number);
    commit(number, std::span(&edits[number * 17], 1));
  }
  // Warm: no engine reads at all.
  auto gets = engine->stats().gets;
  ASSERT_TRUE(contents(stored, root));
  EXPECT_EQ(engine->stats().gets, gets);
  // Cold: the same, from the engine alone; and then warm again, bases included.
  NodeCache empty(64 << 20);
  const StoredNodes cold(*engine, empty, kNs);
  const auto read = contents(cold, root);
  ASSERT_TRUE(read) << read.error().message;
  for (const Edit& each : edits) EXPECT_EQ(read->at(each.key), each.value);
  const auto cold_gets = engine->stats().gets - gets;
  gets = engine->stats().gets;
  ASSERT_TRUE(contents(cold, root));
  EXPECT_EQ(engine->stats().gets, gets);
  EXPECT_LE(cold_gets, 2 * empty.stats().nodes);
  // Who writes keeps the nodes that there are now, and none that they lean on.
  NodeCache writers(64 << 20);
  const StoredNodes writing(*engine, writers, kNs, nullptr, Bases::kForgotten);
  ASSERT_TRUE(contents(writing, root));
  gets = engine->stats().gets;
  ASSERT_TRUE(contents(writing, root));
  EXPECT_EQ(engine->stats().gets, gets);
  EXPECT_LT(writers.stats().nodes, empty.stats().nodes);
  // Another namespace sees nothing.
  const StoredNodes elsewhere(*engine, cache, {8});
  EXPECT_EQ(find(elsewhere, root, "k").error().code, ErrorCode::kGone);
}

TEST(GroupNodes, LetGoOfFewVersionsAndOfManyNone) {
  for (const std::uint64_t count : {100u, 200u}) {
    NodeCache cache(1 << 20);
    const auto engine = make_memory_engine();
    pipeline::GroupNodes nodes(*engine, cache, kNs);
    std::vector<std::shared_ptr<const Node>> left;
    for (std::uint64_t i = 0; i < count; ++i) {
      left.push_back(numbered_node(1'000 + i));
      cache.put(kNs, {1}, left.back());
      nodes.leave(left.back()->name(), {1});
    }
    std::vector<Batch::Write> writes;
    nodes.accept(writes);
    // What comes and goes takes the room of what was let go, and of nothing else.
    for (std::uint64_t i = 0; i < 20'000; ++i) {
      const auto node = numbered_node(100'000 + i);
      cache.put(kNs, {1}, node);
      cache.let_go(kNs, node->name(), {1});
    }
    std::uint64_t present = 0;
    for (const auto& node : left) present += cache.get(kNs, node->name(), {1}) != nullptr ? 1 : 0;
    EXPECT_EQ(present, count == 100 ? 0 : count);
  }
}

TEST(UncommittedNodes, ForgetsWhatIsRolledBack) {
  const auto engine = make_memory_engine();
  NodeCache cache(1 << 20);
  const StoredNodes stored(*engine, cache, kNs);
  UncommittedNodes nodes(stored, kNs);
  const auto first = edit(nodes, {}, std::vector<Edit>{{"a", ref_of("1", 1)}}, {1}, nodes);
  ASSERT_TRUE(first);
  const std::size_t mark = nodes.mark(), bytes = nodes.body_bytes();
  const auto second = edit(nodes, first->root, std::vector<Edit>{{"b", ref_of("2", 2)}}, {2}, nodes);
  ASSERT_TRUE(second);
  EXPECT_GT(nodes.body_bytes(), bytes);
  nodes.roll_back(mark);
  EXPECT_EQ(nodes.body_bytes(), bytes);
  EXPECT_EQ(find(nodes, second->root, "b").error().code, ErrorCode::kGone);
  EXPECT_TRUE(*find(nodes, first->root, "a"));
  // The number is free again.
  const auto again = edit(nodes, first->root, std::vector<Edit>{{"c", ref_of("3", 2)}}, {2}, nodes);
  ASSERT_TRUE(again);
  EXPECT_TRUE(*find(nodes, again->root, "c"));
  EXPECT_FALSE(*find(nodes, again->root, "b"));
}

}  // namespace
}  // namespace st8::state::tree
