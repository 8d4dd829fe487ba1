#include <algorithm>
#include <bit>
#include <gtest/gtest.h>
#include <random>

#include "support/memory_nodes.h"
#include "tree/delta.h"
#include "tree/node.h"

namespace st8::state::tree {
namespace {

NodeEntry leaf_entry(std::uint64_t size, std::uint64_t written_at) {
  return {Hash::of(std::to_string(size) + "@" + std::to_string(written_at)), 1, size, RevisionNumber{written_at}};
}

std::shared_ptr<Node> make_node(std::uint8_t level, const std::vector<std::pair<std::string, NodeEntry>>& entries) {
  NodeBuilder builder(level);
  for (const auto& [key, entry] : entries) builder.add(key, entry);
  return builder.finish();
}

std::shared_ptr<Node> sample_leaf() {
  return make_node(0, {{"app/a.json", leaf_entry(0, 1)},
                       {"app/b.json", leaf_entry(70'000, 300)},
                       {"app/web/x", leaf_entry(12, 2)},
                       {"app/web/x.json", leaf_entry(255, 70'000)}});
}
std::shared_ptr<Node> sample_inner() {
  return make_node(3, {{"a", {Hash::of("1"), 1000, 1 << 20, {7}}},
                       {"m/n", {Hash::of("2"), 1, 0, {1}}},
                       {"z", {Hash::of("3"), 70'000, 5, {std::uint64_t{1} << 40}}}});
}

Result<std::shared_ptr<const Node>> load_body(const std::string& body, const Node& node,
                                              std::uint64_t written_at = 100'000) {
  const NodeLocation location{node.level(), std::string(node.first_key()), RevisionNumber{written_at}};
  return load(location, node.name(), {[&](RevisionNumber) -> Result<std::string> { return body; }, {}, {}});
}

// The same bytes with one field of the header or one byte changed, for encodings that the builder never makes.
std::string patched(std::string body, std::size_t at, char value) {
  body[at] = value;
  return body;
}

TEST(TreeNode, ReadsBackWhatWasBuilt) {
  for (const auto& node : {sample_leaf(), sample_inner()}) {
    const auto decoded = Node::decode(node->body());
    ASSERT_TRUE(decoded) << decoded.error().message;
    EXPECT_EQ((*decoded)->name(), node->name());
    EXPECT_EQ((*decoded)->name(), Hash::of(node->content()));
    EXPECT_EQ((*decoded)->level(), node->level());
    EXPECT_EQ((*decoded)->document_count(), node->document_count());
    EXPECT_EQ((*decoded)->content_bytes(), node->content_bytes());
    ASSERT_EQ((*decoded)->count(), node->count());
    for (std::size_t i = 0; i < node->count(); ++i) {
      EXPECT_EQ((*decoded)->key(i), node->key(i));
      EXPECT_EQ((*decoded)->entry(i), node->entry(i));
    }
  }
  EXPECT_EQ(sample_leaf()->document_count(), 4u);
  EXPECT_EQ(sample_leaf()->content_bytes(), 70'267u);
  EXPECT_EQ(sample_leaf()->first_key(), "app/a.json");
  EXPECT_EQ(sample_leaf()->key_prefix(), "app/");
  EXPECT_EQ(sample_leaf()->document(1), (DocumentRef{leaf_entry(70'000, 300).hash, 70'000, {300}}));
  EXPECT_EQ(sample_inner()->document_count(), 71'001u);
}

TEST(TreeNode, NameCoversKeysHashesAndSizesButNotLocations) {
  const auto node = make_node(0, {{"a", leaf_entry(1, 1)}, {"b", leaf_entry(2, 1)}});
  auto moved_entry = leaf_entry(2, 1);
  moved_entry.written_at = {1'000'000};
  const auto moved = make_node(0, {{"a", leaf_entry(1, 1)}, {"b", moved_entry}});
  EXPECT_EQ(node->name(), moved->name());
  EXPECT_NE(node->body(), moved->body());
  auto other_size = leaf_entry(2, 1);
  other_size.bytes = 3;
  EXPECT_NE(node->name(), make_node(0, {{"a", leaf_entry(1, 1)}, {"b", other_size}})->name());
  EXPECT_NE(node->name(), make_node(0, {{"a", leaf_entry(1, 1)}, {"c", leaf_entry(2, 1)}})->name());
  EXPECT_NE(node->name(), make_node(0, {{"a", leaf_entry(2, 1)}, {"b", leaf_entry(2, 1)}})->name());
  EXPECT_NE(node->name(), make_node(1, {{"a", leaf_entry(1, 1)}, {"b", leaf_entry(2, 1)}})->name());
}

TEST(TreeNode, FindsKeysByBinarySearch) {
  std::mt19937_64 random(1);
  for (int round = 0; round < 200; ++round) {
    std::vector<std::pair<std::string, NodeEntry>> entries;
    const std::string prefix(round % 5 == 0 ? 0 : random() % 20, 'p');
    std::set<std::string> keys;
    for (std::size_t n = 1 + random() % kEntriesMax; keys.size() < n;) {
      std::string key = prefix;
      for (std::size_t size = 1 + random() % 4; size > 0; --size)
        key += static_cast<char>(random() % 3 == 0 ? 255 - random() % 3 : 'a' + random() % 4);
      keys.insert(key);
    }
    for (const std::string& key : keys) entries.push_back({key, leaf_entry(1, 1)});
    const auto node = make_node(0, entries);
    std::vector<std::string> probes(keys.begin(), keys.end());
    for (const std::string& key : keys) {
      probes.push_back(key + "a");
      probes.push_back(key.substr(0, key.size() - 1));
      probes.push_back(key.substr(0, key.size() - 1) + "\xff\xff");
    }
    probes.push_back("");
    probes.push_back("\xff\xff\xff");
    for (const std::string& probe : probes) {
      const auto expected = static_cast<std::size_t>(std::distance(keys.begin(), keys.lower_bound(probe)));
      EXPECT_EQ(node->lower_bound(probe), expected);
      EXPECT_EQ(node->find(probe).has_value(), keys.contains(probe));
      const auto above = static_cast<std::size_t>(std::distance(keys.begin(), keys.upper_bound(probe)));
      EXPECT_EQ(node->child_for(probe), above == 0 ? 0 : above - 1);
      for (std::size_t i = 0; i < node->count(); ++i) {
        const int order = node->compare_key(i, probe);
        EXPECT_EQ((order > 0) - (order < 0), (entries[i].first > probe) - (entries[i].first < probe));
      }
    }
  }
}

TEST(TreeNode, UpdatedInPlaceIsTheNodeBuiltAnew) {
  std::mt19937_64 random(2);
  const std::uint64_t scales[] = {1, 255, 256, 65'535, 65'536, 1 << 24, std::uint64_t{1} << 33};
  for (int round = 0; round < 2'000; ++round) {
    const auto level = static_cast<std::uint8_t>(random() % 3);
    const auto random_entry = [&] {
      const std::uint64_t scale = scales[random() % std::size(scales)];
      return NodeEntry{Hash::of(std::to_string(random())),
                       level == 0 ? 1 : 1 + random() % scale,
                       random() % (scale + 1),
                       {1 + random() % scale}};
    };
    std::vector<std::pair<std::string, NodeEntry>> entries;
    for (std::size_t i = 0, n = 1 + random() % 6; i < n; ++i)
      entries.push_back({"key/" + std::to_string(i), random_entry()});
    const auto node = make_node(level, entries);
    std::vector<Node::Update> updates;
    for (std::size_t i = 0; i < entries.size(); ++i) {
      if (random() % 3 == 0) continue;
      entries[i].second = random_entry();
      updates.push_back({i, entries[i].second});
    }
    const auto updated = node->with(updates);
    const auto rebuilt = make_node(level, entries);
    ASSERT_EQ(updated->body(), rebuilt->body());
    EXPECT_EQ(updated->name(), rebuilt->name());
    EXPECT_EQ(updated->document_count(), rebuilt->document_count());
    EXPECT_EQ(updated->content_bytes(), rebuilt->content_bytes());
    for (std::size_t i = 0; i < entries.size(); ++i) EXPECT_EQ(updated->entry(i), entries[i].second);
  }
}

TEST(TreeNode, EveryTruncationAndEveryBitFlipIsCorrupt) {
  for (const auto& node : {sample_leaf(), sample_inner()}) {
    const std::string& body = node->body();
    ASSERT_TRUE(load_body(body, *node));
    for (std::size_t size = 0; size < body.size(); ++size) {
      const auto result = load_body(body.substr(0, size), *node);
      ASSERT_FALSE(result) << "cut to " << size;
      EXPECT_EQ(result.error().code, ErrorCode::kCorrupt);
    }
    for (std::size_t bit = 0; bit < body.size() * 8; ++bit) {
      std::string damaged = body;
      damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << bit % 8));
      const auto result = load_body(damaged, *node);
      ASSERT_FALSE(result) << "bit " << bit;
      EXPECT_EQ(result.error().code, ErrorCode::kCorrupt);
    }
    const auto longer = load_body(body + '\0', *node);
    ASSERT_FALSE(longer);
    EXPECT_EQ(longer.error().code, ErrorCode::kCorrupt);
  }
}

TEST(TreeNode, RefusesEncodingsThatTheBuilderNeverMakes) {
  const auto expect_corrupt = [](const std::string& body, const char* what) {
    const auto result = Node::decode(body);
    ASSERT_FALSE(result) << what;
    EXPECT_EQ(result.error().code, ErrorCode::kCorrupt) << what;
    EXPECT_NE(result.error().message.find("damaged"), std::string::npos);
  };
  const auto good = make_node(0, {{"aa", leaf_entry(1, 1)}, {"ab", leaf_entry(2, 1)}});
  // version, level, count, prefix size (2), widths; ends 1 2; prefix "a"; rests "a" "b".
  ASSERT_EQ(good->body().substr(0, 13), std::string("\x01\x00\x02\x01\x00\x01\x01\x00\x01\x02"
                                                    "aab",
                                                    13));
  expect_corrupt(patched(good->body(), 0, 9), "version");
  expect_corrupt(patched(good->body(), 2, 0), "no entries");
  expect_corrupt(patched(good->body(), 2, static_cast<char>(kEntriesMax + 1)), "too many entries");
  expect_corrupt(patched(good->body(), 11, 'b'), "keys equal");
  expect_corrupt(patched(good->body(), 11, 'c'), "keys out of order");
  expect_corrupt(patched(good->body(), 10, '\0'), "NUL in a key");
  expect_corrupt(patched(good->body(), 8, 3), "ends that fall");
  expect_corrupt(patched(good->body(), 5, 0), "width 0");
  expect_corrupt(patched(good->body(), 6, 9), "width 9");
  expect_corrupt(patched(good->body(), 7, 1), "documents in a leaf");
  expect_corrupt("", "empty");

  // A prefix that could be longer: ends 2 4, rests "aa" "ab".
  std::string loose = good->body();
  loose[3] = 0;
  loose[8] = 2;
  loose[9] = 4;
  loose.replace(10, 3, "aaab");
  expect_corrupt(loose, "prefix too short");
  // A column of two bytes where one does.
  std::string wide = good->body();
  const std::size_t sizes = 13 + 64;
  wide[6] = 2;
  wide.insert(sizes + 1, 1, '\0');
  wide.insert(sizes + 3, 1, '\0');
  expect_corrupt(wide, "column too wide");

  // Sums that overflow, documents and locations of zero: what a builder fed with nonsense makes is refused when read.
  const std::uint64_t huge = ~std::uint64_t{0};
  expect_corrupt(make_node(1, {{"a", {Hash{}, huge, 1, {1}}}, {"b", {Hash{}, 1, 1, {1}}}})->body(),
                 "documents overflow");
  expect_corrupt(make_node(1, {{"a", {Hash{}, 1, huge, {1}}}, {"b", {Hash{}, 1, 1, {1}}}})->body(), "bytes overflow");
  expect_corrupt(make_node(1, {{"a", {Hash{}, 0, 1, {1}}}})->body(), "no documents");
  expect_corrupt(make_node(0, {{"a", {Hash{}, 1, 1, {0}}}})->body(), "no location");
  expect_corrupt(make_node(0, {{"", leaf_entry(1, 1)}})->body(), "empty key");
  expect_corrupt(make_node(0, {{std::string(Limits::kKeyBytesMax + 1, 'k'), leaf_entry(1, 1)}})->body(), "long key");
  EXPECT_TRUE(Node::decode(make_node(0, {{std::string(Limits::kKeyBytesMax, 'k'), leaf_entry(1, 1)}})->body()));
}

// A node and the differences between it and later versions of itself.
struct Versions {
  std::map<std::uint64_t, std::string> bodies;
  std::vector<std::shared_ptr<const Node>> nodes;
  std::size_t reads = 0;
  Result<std::shared_ptr<const Node>> load(std::uint64_t written_at, const Hash& name) {
    return tree::load({nodes.front()->level(), std::string(nodes.front()->first_key()), {written_at}}, name,
                      {[&](RevisionNumber at) -> Result<std::string> {
                         ++reads;
                         const auto found = bodies.find(at.value);
                         if (found == bodies.end()) return fail(ErrorCode::kGone, "no such body");
                         return found->second;
                       },
                       {},
                       {}});
  }
};

// One entry changes, comes or goes in each version; version i is written by revision i + 1.
Versions make_versions(std::size_t count, std::uint8_t level) {
  class None final : public NodeSource {
   public:
    explicit None(Versions& versions) : versions_(versions) {}
    Result<std::shared_ptr<const Node>> node(const NodeLocation& location, const Hash& name) const override {
      return versions_.load(location.written_at.value, name);
    }
    Versions& versions_;
  };
  std::mt19937_64 random(level);
  std::map<std::string, NodeEntry> model;
  const auto entry = [&] {
    return NodeEntry{Hash::of(std::to_string(random())),
                     level == 0 ? 1 : 1 + random() % 1000,
                     random() % 3000,
                     {1 + random() % 100}};
  };
  for (int i = 0; i < 40; ++i) model["services/" + std::to_string(1000 + i) + "/config"] = entry();
  Versions versions;
  const None source(versions);
  std::shared_ptr<const Node> before;
  for (std::size_t i = 0; i < count; ++i) {
    auto at = std::next(model.begin(), 1 + static_cast<std::ptrdiff_t>(random() % (model.size() - 1)));
    switch (random() % 4) {
      case 0:
        model.emplace(at->first + "x", entry());
        break;
      case 1:
        model.erase(at);
        break;
      default:
        at->second = entry();
    }
    auto node = make_node(level, {model.begin(), model.end()});
    versions.bodies[i + 1] =
        before ? stored_body(source, *node, before, {i}, node->changed_since(*before)) : node->body();
    versions.nodes.push_back(node);
    before = std::move(node);
  }
  return versions;
}

TEST(TreeDelta, EveryVersionReadsBackFromFewBodies) {
  for (const std::uint8_t level : {std::uint8_t{0}, std::uint8_t{2}}) {
    Versions versions = make_versions(200, level);
    std::size_t bytes = 0, whole = 0, reads_max = 0;
    for (std::size_t i = 0; i < versions.nodes.size(); ++i) {
      versions.reads = 0;
      const auto loaded = versions.load(i + 1, versions.nodes[i]->name());
      ASSERT_TRUE(loaded) << loaded.error().message;
      EXPECT_EQ((*loaded)->body(), versions.nodes[i]->body());
      EXPECT_EQ((*loaded)->step(), versions.nodes[i]->step());
      ASSERT_EQ((*loaded)->base_count(), versions.nodes[i]->base_count());
      for (std::size_t b = 0; b < (*loaded)->base_count(); ++b) {
        EXPECT_EQ((*loaded)->bases()[b].version, versions.nodes[i]->bases()[b].version);
      }
      EXPECT_EQ(versions.reads, 1 + (*loaded)->base_count());
      reads_max = std::max(reads_max, versions.reads);
      bytes += versions.bodies[i + 1].size();
      whole += (*loaded)->step() == 0;
    }
    EXPECT_LE(reads_max, kBasesMax + 1);
    EXPECT_EQ(whole, (200 + kStepsMax) / (kStepsMax + 1));  // None was cut short here: the changes are small.
    EXPECT_LT(bytes / 200, versions.nodes.back()->body().size() / 8);
  }
}

TEST(TreeDelta, EveryTruncationAndEveryBitFlipIsCorrupt) {
  Versions versions = make_versions(4, 0);
  const Node& node = *versions.nodes[3];
  ASSERT_EQ(node.step(), 3);
  const std::string body = versions.bodies[4];
  const auto expect_corrupt = [&](std::string damaged, std::size_t where) {
    versions.bodies[4] = std::move(damaged);
    const auto result = versions.load(4, node.name());
    ASSERT_FALSE(result) << where;
    EXPECT_EQ(result.error().code, ErrorCode::kCorrupt) << where;
  };
  for (std::size_t size = 0; size < body.size(); ++size) expect_corrupt(body.substr(0, size), size);
  for (std::size_t bit = 0; bit < body.size() * 8; ++bit) {
    std::string damaged = body;
    damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << bit % 8));
    expect_corrupt(std::move(damaged), bit);
  }
  expect_corrupt(body + '\0', body.size());
}

TEST(TreeDelta, AMissingOrAnotherBaseIsCorruptAndAMissingNodeIsGone) {
  Versions versions = make_versions(4, 0);
  const Hash name = versions.nodes[3]->name();
  const std::string base = versions.bodies[3];
  versions.bodies.erase(3);
  EXPECT_EQ(versions.load(4, name).error().code, ErrorCode::kCorrupt);
  versions.bodies[3] = versions.bodies[1];
  EXPECT_EQ(versions.load(4, name).error().code, ErrorCode::kCorrupt);
  // A difference that leads back to itself ends.
  versions.bodies[3] = versions.bodies[4];
  EXPECT_EQ(versions.load(4, name).error().code, ErrorCode::kCorrupt);
  versions.bodies[3] = base;
  EXPECT_TRUE(versions.load(4, name));
  versions.bodies.erase(4);
  EXPECT_EQ(versions.load(4, name).error().code, ErrorCode::kGone);
}

TEST(TreeDelta, IsStoredWholeWhenTheDifferenceIsLarge) {
  MemoryNodes nodes;
  std::vector<std::pair<std::string, NodeEntry>> entries;
  for (int i = 10; i < 40; ++i) entries.push_back({"k" + std::to_string(i), leaf_entry(1, 1)});
  const std::shared_ptr<const Node> before = make_node(0, entries);
  for (int i = 0; i < 20; ++i) entries[static_cast<std::size_t>(i)].second = leaf_entry(2, 2);
  const auto after = make_node(0, entries);
  EXPECT_EQ(stored_body(nodes, *after, before, {1}, after->changed_since(*before)), after->body());
  EXPECT_EQ(after->step(), 0);
  // Nor does a base that cannot be read spoil what is written now.
  const auto second = make_node(0, entries);
  const std::array<Base, 1> gone{Base{{{1}, Hash::of("gone")}}};
  auto with_lost_base = make_node(0, entries);
  with_lost_base->set_bases(1, gone);
  entries[3].second = leaf_entry(3, 3);
  const auto third = make_node(0, entries);
  EXPECT_EQ(stored_body(nodes, *third, with_lost_base, {2}, third->changed_since(*with_lost_base)), third->body());
  EXPECT_EQ(third->step(), 0);
}

// As long as no key comes or goes, a version is stored without a look at what it leans on.
TEST(TreeDelta, WhatChangedSinceABaseIsKnownWithoutReadingIt) {
  class Nobody final : public NodeSource {
   public:
    Result<std::shared_ptr<const Node>> node(const NodeLocation&, const Hash&) const override {
      ++asked;
      return fail(ErrorCode::kGone, "nothing is here");
    }
    std::shared_ptr<const Node> cached(const Hash&, RevisionNumber) const override {
      ++asked;
      return nullptr;
    }
    mutable int asked = 0;
  };
  for (const std::uint8_t level : {std::uint8_t{0}, std::uint8_t{1}}) {
    const Nobody nobody;
    std::mt19937_64 random(level + 1u);
    std::vector<std::pair<std::string, NodeEntry>> entries;
    const auto entry = [&](std::uint64_t number) {
      return NodeEntry{Hash::of(std::to_string(number)), level == 0 ? 1 : 1 + number % 300, number % 70'000, {number}};
    };
    for (std::uint64_t i = 0; i < kEntriesMax; ++i) entries.push_back({"k" + std::to_string(100 + i), entry(1)});
    Versions versions;
    std::shared_ptr<const Node> before = make_node(level, entries);
    versions.bodies[1] = before->body();
    versions.nodes.push_back(before);
    std::size_t differences = 0;
    for (std::uint64_t number = 2; number <= 200; ++number) {
      std::vector<Node::Update> updates{{random() % kEntriesMax, entry(number)}};
      // Now and then an entry goes back to what it was.
      if (number % 5 == 0 && updates[0].index != 7) updates.push_back({7, entry(1)});
      auto node = before->with(updates);
      ChangedEntries changed;
      for (const Node::Update& update : updates) changed.add(update.index);
      const std::string body = stored_body(nobody, *node, before, {number - 1}, changed);
      differences += node->step() > 0;
      for (const Base& base : node->bases()) {
        // All that differs is among what may have changed.
        ChangedEntries either = base.changed;
        either.add(node->changed_since(*versions.nodes[base.version.written_at.value - 1]));
        std::vector<std::size_t> known, all;
        base.changed.each([&](std::size_t index) { known.push_back(index); });
        either.each([&](std::size_t index) { all.push_back(index); });
        EXPECT_TRUE(base.changed.known());
        EXPECT_EQ(known, all);
      }
      versions.bodies[number] = body;
      versions.nodes.push_back(node);
      const auto loaded = versions.load(number, node->name());
      ASSERT_TRUE(loaded) << loaded.error().message;
      EXPECT_EQ((*loaded)->body(), node->body());
      // Who reads it goes on from it in the same way.
      EXPECT_TRUE(std::all_of((*loaded)->bases().begin(), (*loaded)->bases().end(),
                              [](const Base& base) { return base.changed.known(); }));
      before = number % 2 == 0 ? *loaded : std::shared_ptr<const Node>(node);
    }
    EXPECT_GT(differences, 180u);
    EXPECT_EQ(nobody.asked, 0);

    // A key comes: what changed since the bases is not known any more, and the next one that leans on one asks for it.
    entries.clear();
    for (std::size_t i = 0; i < before->count(); ++i) entries.push_back({before->key(i), before->entry(i)});
    entries.back().first += "x";
    const auto other = make_node(level, entries);
    EXPECT_FALSE(other->changed_since(*before).known());
    static_cast<void>(stored_body(nobody, *other, before, {200}, other->changed_since(*before)));
    for (const Base& base : other->bases()) EXPECT_FALSE(base.changed.known());
  }
}

}  // namespace
}  // namespace st8::state::tree
