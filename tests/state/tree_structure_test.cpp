// What the tree costs, in nodes and bytes, and that damage below a root is an error and never a wrong answer.
#include <cmath>
#include <gtest/gtest.h>
#include <random>

#include "support/memory_nodes.h"
#include "support/tree_costs.h"
#include "tree/boundary.h"

namespace st8::state::tree {
namespace {

TEST(TreeBoundary, HashesAreThoseOfTheFormat) {
  EXPECT_EQ(key_hash(""), 0u);
  // 1 · M; then one padded word: (M ^ 'a') · M, and its upper half folded in.
  const std::uint64_t multiplier = 0x9e3779b97f4a7c15u;
  const std::uint64_t product = (multiplier ^ 'a') * multiplier;
  EXPECT_EQ(key_hash("a"), product ^ (product >> 32));
  EXPECT_NE(key_hash("a"), key_hash(std::string_view("a\0", 2)));
  EXPECT_NE(boundary_dice(key_hash("a"), 0), boundary_dice(key_hash("a"), 1));
  EXPECT_FALSE(ends_node(std::uint32_t{0}, kEntriesMin - 1));
  EXPECT_TRUE(ends_node(std::uint32_t{0}, kEntriesMin));
  EXPECT_TRUE(ends_node(~std::uint32_t{0}, kEntriesMax));
}

TEST(TreeStructure, SizesStayCloseToTheirMean) {
  const auto shape = shape_of(100'000);
  ASSERT_GE(shape.levels.size(), 3u);
  for (std::size_t level = 0; level + 2 < shape.levels.size(); ++level) {  // The top two are too small to have a mean.
    const auto& counts = shape.levels[level];
    double sum = 0, squares = 0;
    for (std::size_t i = 0; i < counts.size(); ++i) {
      if (i + 1 < counts.size()) {
        EXPECT_GE(counts[i], kEntriesMin);
      }
      EXPECT_LE(counts[i], kEntriesMax);
      sum += double(counts[i]);
      squares += double(counts[i]) * double(counts[i]);
    }
    const double mean = sum / double(counts.size());
    EXPECT_GT(mean, 21);
    EXPECT_LT(mean, 27);
    // The size of the node that an entry is found in: twice the mean for boundaries without memory, here close to it.
    EXPECT_LT(squares / sum, 1.25 * mean);
  }
}

TEST(TreeStructure, KeysMadeAgainstTheHashStillMakeASoundTree) {
  // Keys that never end a node, and keys that always do: nodes of the most and of the fewest entries.
  for (const bool ends : {false, true}) {
    Model model;
    for (std::size_t i = 0; model.size() < 2'000; ++i) {
      const std::string key = "k" + std::to_string(i);
      const std::uint32_t dice = boundary_dice(key_hash(key), 0);
      if (ends ? dice < kHazardStep : dice > 0xa0000000u) model[key] = ref_of(key, 1);
    }
    MemoryNodes nodes;
    const auto root = build(model, 1, nodes);
    ASSERT_TRUE(root);
    EXPECT_LE(root->level, 5);
    EXPECT_EQ(*contents(nodes, *root), model);
  }
}

class TreeCosts : public testing::TestWithParam<std::size_t> {};

TEST_P(TreeCosts, OneKeyEditsWriteOneNodeALevelAndFewBytes) { check_one_key_costs(GetParam()); }
INSTANTIATE_TEST_SUITE_P(Keys, TreeCosts, testing::Values(1'000, 100'000));

TEST(TreeEdit, ReplacingAllUpdatesAllAndMovesNoBoundary) {
  MemoryNodes nodes;
  Model model;
  for (int i = 0; i < 3'000; ++i) model["key/" + std::to_string(i)] = ref_of("a", 1);
  const auto root = build(model, 1, nodes);
  ASSERT_TRUE(root);
  const std::size_t written = nodes.writes;
  std::vector<Edit> edits;
  for (auto& [key, ref] : model) edits.push_back({key, ref = ref_of("bb", 2)});
  nodes.reset_counts();
  const auto result = edit(nodes, *root, edits, {2}, nodes);
  ASSERT_TRUE(result);
  EXPECT_EQ(nodes.writes, written);
  EXPECT_EQ(result->changes.size(), 3'000u);
  EXPECT_EQ(result->root.content_bytes, 6'000u);
  EXPECT_EQ(*contents(nodes, result->root), model);
}

// Nodes in memory, as a cache has them, without those that edits leave behind; what is not there is read from the store.
class ForgetfulNodes final : public NodeSource, public NodeSink {
 public:
  Result<std::shared_ptr<const Node>> node(const NodeLocation& location, const Hash& name) const override {
    if (auto found = cached(name, location.written_at)) return found;
    ++reads;
    return stored.node(location, name);
  }
  std::shared_ptr<const Node> cached(const Hash& name, RevisionNumber written_at) const override {
    const auto found = kept.find({name, written_at.value});
    return found == kept.end() ? nullptr : found->second;
  }
  void put(const NodeLocation& location, std::shared_ptr<const Node> node, std::string body) override {
    kept[{node->name(), location.written_at.value}] = node;
    stored.put(location, std::move(node), std::move(body));
  }
  void leave(const Hash& name, RevisionNumber written_at) override { left += kept.erase({name, written_at.value}); }
  MemoryNodes stored;
  std::map<std::pair<Hash, std::uint64_t>, std::shared_ptr<const Node>> kept;
  mutable std::size_t reads = 0;
  std::size_t left = 0;
};

TEST(TreeEdit, WhatItLeavesBehindIsReadAgainOnlyWhereKeysComeOrGo) {
  for (const bool keys_change : {false, true}) {
    MemoryNodes all;
    ForgetfulNodes few;
    Model model = realistic_model(500);
    std::vector<Edit> edits;
    for (const auto& [key, ref] : model) edits.push_back({key, ref});
    TreeRoot root, same;
    std::mt19937_64 random(5);
    for (std::uint64_t number = 1; number <= 1'500; ++number) {
      if (number > 1) {
        edits.clear();
        std::string key = realistic_key(random() % 600);
        if (!keys_change) key = std::next(model.begin(), static_cast<std::ptrdiff_t>(random() % model.size()))->first;
        const auto found = model.find(key);
        if (keys_change && found != model.end() && random() % 8 == 0) {
          model.erase(found);
          edits.push_back({key, std::nullopt});
        } else {
          model.insert_or_assign(key, ref_of(std::to_string(number), number));
          edits.push_back({key, model.find(key)->second});
        }
      }
      const auto in_all = edit(all, root, edits, {number}, all);
      const auto in_few = edit(few, same, edits, {number}, few);
      ASSERT_TRUE(in_all);
      ASSERT_TRUE(in_few) << in_few.error().message;
      ASSERT_EQ(in_all->root.hash, in_few->root.hash);
      root = in_all->root;
      same = in_few->root;
    }
    ASSERT_EQ(all.bytes_written, few.stored.bytes_written) << "each node leaned on what it would have leaned on";
    std::size_t nodes = 0;
    ASSERT_TRUE(walk(all, root, [&](const NodeLocation&, const Hash&) { return ++nodes > 0; }, {}, {}));
    if (keys_change) {
      EXPECT_LT(few.reads, 1'500u) << "fewer than one an edit";
      EXPECT_LE(few.kept.size(), nodes * (1 + kBasesMax)) << "what is left behind is all told";
    } else {
      EXPECT_EQ(few.reads, 0u);
      EXPECT_LE(few.kept.size(), nodes + 1)
          << "of each node the newest version alone is at hand; the root is walked from";
    }
    const auto read = contents(few.stored, same);
    ASSERT_TRUE(read) << read.error().message;
    EXPECT_EQ(*read, model);
  }
}

TEST(TreeEdit, RefusesEditsThatAreNotInOrderAndKeysThatAreNone) {
  MemoryNodes nodes;
  const auto code = [&](const std::vector<Edit>& edits) {
    const auto result = edit(nodes, TreeRoot{}, edits, {1}, nodes);
    return result ? std::optional<ErrorCode>() : result.error().code;
  };
  EXPECT_EQ(code({{"b", ref_of("", 1)}, {"a", ref_of("", 1)}}), ErrorCode::kInternal);
  EXPECT_EQ(code({{"a", ref_of("", 1)}, {"a", ref_of("", 1)}}), ErrorCode::kInternal);
  EXPECT_EQ(code({{"", ref_of("", 1)}}), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code({{"a//b", ref_of("", 1)}}), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code({{std::string("a\0b", 3), ref_of("", 1)}}), ErrorCode::kInvalidArgument);
  EXPECT_EQ(nodes.writes, 0u);
  EXPECT_EQ(code({{"gone", std::nullopt}}), std::nullopt);
}

TEST(TreeDamage, AMissingNodeIsAnErrorInEveryOperation) {
  MemoryNodes nodes;
  Model model;
  for (int i = 0; i < 2'000; ++i) model["key/" + std::to_string(i)] = ref_of(std::to_string(i), 1);
  const auto root = build(model, 1, nodes);
  ASSERT_TRUE(root);
  const auto whole = nodes.bodies;
  for (const bool remove : {true, false}) {
    // A leaf in the middle, gone or replaced by another sound node.
    const auto leaf = std::next(whole.begin(), 40);
    ASSERT_EQ(leaf->first.first.first, 0);
    nodes.bodies = whole;
    if (remove)
      nodes.bodies.erase(leaf->first);
    else
      nodes.bodies[leaf->first] = std::next(leaf)->second;
    const ErrorCode expected = remove ? ErrorCode::kGone : ErrorCode::kCorrupt;
    const std::string key = leaf->first.first.second;
    EXPECT_EQ(find(nodes, *root, key).error().code, expected);
    EXPECT_EQ(contents(nodes, *root).error().code, expected);
    EXPECT_EQ(walk(nodes, *root, [](const NodeLocation&, const Hash&) { return true; }, {}, {}).error().code, expected);
    EXPECT_EQ(edit(nodes, *root, std::vector<Edit>{{key, std::nullopt}}, {2}, nodes).error().code, expected);
    EXPECT_EQ(diff(nodes, *root, TreeRoot{}, "", "", [](Change&&) { return true; }).error().code, expected);
    EXPECT_EQ(diff(nodes, TreeRoot{}, *root, "", "", [](Change&&) { return true; }).error().code, expected);
    // What does not need the leaf does not notice.
    EXPECT_TRUE(find(nodes, *root, model.begin()->first));
  }
}

TEST(TreeDamage, ANodeThatIsNotWhatItsParentSaysIsCorrupt) {
  // Every node here is sound and has the name it is asked for by; only what the parents say of them is wrong.
  const auto leaf_of = [](const std::string& key) {
    NodeBuilder builder(0);
    builder.add(key, {Hash::of(key), 1, 10, {1}});
    builder.add(key + "z", {Hash::of(key), 1, 10, {1}});
    return builder.finish();
  };
  const auto check = [&](const std::string& entry_key, const NodeEntry& entry) {
    MemoryNodes nodes;
    const auto good = leaf_of("a"), other = leaf_of("m");
    NodeBuilder builder(1);
    builder.add("a", {good->name(), 2, 20, {1}});
    builder.add(entry_key, entry);
    const auto top = builder.finish();
    nodes.put({0, "a", {1}}, good, good->body());
    nodes.put({0, "m", {1}}, other, other->body());
    if (entry_key != "m") nodes.put({0, entry_key, {1}}, other, other->body());
    nodes.put({1, "a", {1}}, top, top->body());
    const TreeRoot root{top->name(), top->document_count(), top->content_bytes(), 1, {1}, "a"};
    const auto result = find(nodes, root, "mz");
    return result ? std::optional<ErrorCode>() : result.error().code;
  };
  const Hash name = leaf_of("m")->name();
  EXPECT_EQ(check("m", {name, 2, 20, {1}}), std::nullopt);
  EXPECT_EQ(check("m", {name, 3, 20, {1}}), ErrorCode::kCorrupt);
  EXPECT_EQ(check("m", {name, 2, 21, {1}}), ErrorCode::kCorrupt);
  EXPECT_EQ(check("l", {name, 2, 20, {1}}), ErrorCode::kCorrupt);

  MemoryNodes nodes;
  const auto leaf = leaf_of("a");
  nodes.put({0, "a", {1}}, leaf, leaf->body());
  nodes.put({7, "a", {1}}, leaf, leaf->body());
  EXPECT_TRUE(find(nodes, {leaf->name(), 2, 20, 0, {1}, "a"}, "a"));
  EXPECT_EQ(find(nodes, {leaf->name(), 2, 20, 7, {1}, "a"}, "a").error().code, ErrorCode::kCorrupt);
  EXPECT_EQ(find(nodes, {leaf->name(), 3, 20, 0, {1}, "a"}, "a").error().code, ErrorCode::kCorrupt);
  EXPECT_EQ(find(nodes, {leaf->name(), 2, 19, 0, {1}, "a"}, "a").error().code, ErrorCode::kCorrupt);
}

}  // namespace
}  // namespace st8::state::tree
