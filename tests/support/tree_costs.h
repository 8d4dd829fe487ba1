// Counts, not times, of what the tree does: bounds that hold on any machine.
#pragma once

#include <cmath>
#include <gtest/gtest.h>
#include <random>
#include <string>
#include <vector>

#include "engine/keyspace.h"
#include "support/memory_nodes.h"
#include "tree/node_cache.h"

namespace st8::state::tree {

inline std::string realistic_key(std::size_t i) {
  return "services/team-" + std::to_string(i / 10 % 97) + "/svc-" + std::to_string(i / 10) + "/config-" +
         std::to_string(i % 10) + ".json";
}
inline Model realistic_model(std::size_t keys) {
  Model model;
  for (std::size_t i = 0; i < keys; ++i) {
    std::string key = realistic_key(i);
    const DocumentRef ref = ref_of(key, 1);
    model.emplace(std::move(key), ref);
  }
  return model;
}

struct Shape {
  std::vector<std::vector<std::size_t>> levels;  // The sizes of each level's nodes, left to right.
};
inline Shape shape_of(std::size_t keys) {
  MemoryNodes nodes;
  const auto root = build(realistic_model(keys), 1, nodes);
  Shape shape;
  shape.levels.resize(root->level + 1u);
  EXPECT_TRUE(walk(nodes, *root,
                   [&](const NodeLocation& location, const Hash& name) {
                     shape.levels[location.level].push_back((*nodes.node(location, name))->count());
                     return true;
                   },
                   {}, {}));
  return shape;
}

// Edits of one key in a tree of `keys`, each on the tree before, and reads of it: within a small factor of one node a level.
inline void check_one_key_costs(std::size_t keys) {
  MemoryNodes nodes;
  const auto built = build(realistic_model(keys), 1, nodes);
  ASSERT_TRUE(built);
  TreeRoot root = *built;
  const double levels = root.level + 1.0;
  EXPECT_LE(levels, std::ceil(std::log(double(keys)) / std::log(24.0)) + 1);

  std::mt19937_64 random(1);
  std::uint64_t number = 1;
  const int rounds = 300;
  for (const char* kind : {"update", "insert", "delete"}) {
    std::size_t writes = 0, bytes = 0, reads = 0, diff_reads = 0;
    for (int i = 0; i < rounds; ++i) {
      Edit change{realistic_key(random() % keys), ref_of(std::to_string(number), number + 1)};
      if (kind[0] == 'i') change.key += "." + std::to_string(number);
      if (kind[0] == 'd') change.value.reset();
      nodes.reset_counts();
      const auto result = edit(nodes, root, std::span(&change, 1), {++number}, nodes);
      ASSERT_TRUE(result);
      writes += nodes.writes;
      bytes += nodes.bytes_written;
      reads += nodes.reads;
      if (kind[0] == 'u') {
        EXPECT_EQ(nodes.writes, root.level + 1u);
      }                                                // No boundary moves.
      EXPECT_LE(nodes.writes, 6 * (root.level + 1u));  // Rarely, a boundary that moves moves others.
      nodes.reset_counts();
      std::size_t changes = 0;
      ASSERT_TRUE(diff(nodes, root, result->root, "", "",
                       [&](Change&& each) { return ++changes, each.key.str() == change.key; }));
      EXPECT_EQ(changes, result->changes.size());
      diff_reads += nodes.reads;
      root = result->root;

      nodes.reset_counts();
      ASSERT_TRUE(find(nodes, root, change.key));
      EXPECT_EQ(nodes.reads, root.level + 1u);
    }
    SCOPED_TRACE(kind);
    EXPECT_LE(double(writes) / rounds, 1.25 * levels);
    EXPECT_LE(double(reads) / rounds, 2.2 * levels);       // The path, and bases of what is stored as a difference.
    EXPECT_LE(double(diff_reads) / rounds, 2.6 * levels);  // Both paths.
    EXPECT_LE(double(bytes) / rounds, 260 * levels);       // Whole nodes would be 1,400 a level.
  }
}

}  // namespace st8::state::tree
