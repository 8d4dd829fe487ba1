// The tree against a plain map, over random histories.
#include <gtest/gtest.h>
#include <random>

#include "support/memory_nodes.h"
#include "support/seed.h"
#include "tree/node_cache.h"

namespace st8::state::tree {
namespace {

class Random {
 public:
  explicit Random(std::uint64_t seed) : engine_(seed) {}
  std::size_t below(std::size_t bound) { return std::uniform_int_distribution<std::size_t>(0, bound - 1)(engine_); }
  bool one_in(std::size_t n) { return below(n) == 0; }
  std::mt19937_64& engine() { return engine_; }

 private:
  std::mt19937_64 engine_;
};

std::string random_key(Random& random, std::size_t space) {
  static constexpr std::string_view kFolders[] = {"a",  "app/",     "app/web/", "services/payments/prod/",
                                                  "z/", "\xc3\xa9/"};
  std::string key(kFolders[random.below(std::size(kFolders))]);
  key += std::to_string(random.below(space));
  if (random.one_in(50)) key += std::string(random.below(900) + 1, 'k');
  if (random.one_in(3)) key += ".json";
  return key;
}

// Edits of about `size` keys, the model after them, and what they change.
struct RandomEdits {
  std::vector<Edit> edits;
  Model after;
  std::map<std::string, std::pair<std::optional<DocumentRef>, std::optional<DocumentRef>>> changes;
};
RandomEdits random_edits(Random& random, const Model& model, std::size_t size, std::size_t space,
                         std::uint64_t revision, bool mostly_delete) {
  std::map<std::string, std::optional<DocumentRef>> edits;
  for (std::size_t i = 0; i < size; ++i) {
    std::string key = random_key(random, space);
    if (!model.empty() && !random.one_in(3)) {
      auto near = model.lower_bound(key);
      if (near == model.end()) near = std::prev(near);
      key = near->first;
    }
    if (mostly_delete ? !random.one_in(10) : random.one_in(3)) {
      edits[key] = std::nullopt;
    } else {
      edits[key] = ref_of("v" + std::to_string(random.below(5)), revision);
    }
  }
  RandomEdits result;
  result.after = model;
  for (auto& [key, value] : edits) {
    const auto old = model.find(key);
    const std::optional<DocumentRef> before = old == model.end() ? std::nullopt : std::optional(old->second);
    const bool same = before ? value && value->hash == before->hash : !value;
    if (!same) {
      result.changes[key] = {before, value};
      if (value)
        result.after[key] = *value;
      else
        result.after.erase(key);
    }
    result.edits.push_back({key, value});
  }
  return result;
}

bool same_tree(const TreeRoot& a, const TreeRoot& b) {
  return a.hash == b.hash && a.document_count == b.document_count && a.content_bytes == b.content_bytes &&
         a.level == b.level && a.first_key == b.first_key;
}

void check_changes(const std::vector<Change>& got, const RandomEdits& expected) {
  ASSERT_EQ(got.size(), expected.changes.size());
  auto at = expected.changes.begin();
  for (const Change& change : got) {
    EXPECT_EQ(change.key.str(), at->first);
    EXPECT_EQ(change.before, at->second.first);
    EXPECT_EQ(change.after, at->second.second);
    EXPECT_EQ(change.type, !change.before  ? ChangeType::kCreate
                           : !change.after ? ChangeType::kDelete
                                           : ChangeType::kUpdate);
    ++at;
  }
}

class TreeHistory : public testing::TestWithParam<std::uint64_t> {};

TEST_P(TreeHistory, EqualsAPlainMapAtEveryRevision) {
  SCOPED_TRACE("seed " + std::to_string(GetParam()));
  Random random(GetParam());
  const std::size_t space = 1 + random.below(random.one_in(2) ? 30 : 3000);
  MemoryNodes nodes;
  Model model;
  TreeRoot root;
  struct Past {
    Model model;
    TreeRoot root;
  };
  std::vector<Past> history{{model, root}};
  for (std::uint64_t revision = 1; revision <= 60; ++revision) {
    const std::size_t size = random.one_in(4) ? 1 + random.below(space) : 1 + random.below(4);
    const RandomEdits step = random_edits(random, model, size, space, revision, random.one_in(6));
    nodes.reset_counts();
    const auto result = edit(nodes, root, step.edits, RevisionNumber{revision}, nodes);
    ASSERT_TRUE(result) << result.error().message;
    ASSERT_NO_FATAL_FAILURE(check_changes(result->changes, step));
    if (step.changes.empty()) {
      EXPECT_EQ(result->root, root);
      EXPECT_EQ(nodes.writes, 0u);
    }
    model = step.after;
    root = result->root;
    EXPECT_FALSE(nodes.overwritten);

    // The same documents, built from nothing.
    MemoryNodes fresh;
    const auto rebuilt = build(model, revision, fresh);
    ASSERT_TRUE(rebuilt);
    ASSERT_TRUE(same_tree(root, *rebuilt));
    EXPECT_EQ(root.document_count, model.size());
    EXPECT_EQ(root.empty(), root.hash.is_zero());

    // What was written is reachable, and nothing reachable is missing: gc can drop the rest.
    std::set<MemoryNodes::Place> reached, bases;
    Model walked;
    ASSERT_TRUE(walk(
        nodes, root,
        [&](const NodeLocation& location, const Hash&) { return reached.insert(MemoryNodes::place(location)).second; },
        [&](std::string_view key, const DocumentRef& ref) { walked.emplace(key, ref); },
        [&](const NodeLocation& location) { bases.insert(MemoryNodes::place(location)); }));
    EXPECT_EQ(walked, model);
    MemoryNodes kept;
    for (const auto* places : {&reached, &bases}) {
      for (const auto& place : *places) kept.bodies[place] = nodes.bodies.at(place);
    }
    const auto after_gc = contents(kept, root);
    ASSERT_TRUE(after_gc) << after_gc.error().message;
    EXPECT_EQ(*after_gc, model);
    for (const auto& [location, name] : nodes.written) EXPECT_TRUE(reached.contains(MemoryNodes::place(location)));

    // Point reads: of keys that are there, and of ones that may be.
    for (int i = 0; i < 20; ++i) {
      std::string key = random_key(random, space);
      const auto expected = model.find(key);
      const auto found = find(nodes, root, key);
      ASSERT_TRUE(found);
      EXPECT_EQ(*found, expected == model.end() ? std::nullopt : std::optional(expected->second)) << key;
    }
    for (const Edit& each : step.edits) {
      const auto expected = model.find(each.key);
      const auto found = find(nodes, root, each.key);
      ASSERT_TRUE(found);
      EXPECT_EQ(*found, expected == model.end() ? std::nullopt : std::optional(expected->second)) << each.key;
    }

    // Any earlier state: the difference, applied to it, gives this one.
    const Past& past = history[random.below(history.size())];
    std::vector<Edit> patch;
    std::vector<Change> changes;
    ASSERT_TRUE(diff(nodes, past.root, root, "", "", [&](Change&& change) {
      patch.push_back({change.key.str(), change.after});
      changes.push_back(std::move(change));
      return true;
    }));
    std::size_t at = 0;
    for (const auto& [key, ref] : past.model) {
      const auto now = model.find(key);
      if (now != model.end() && now->second.hash == ref.hash) continue;
      const auto change = std::find_if(changes.begin(), changes.end(),
                                       [&key = key](const Change& each) { return each.key.str() == key; });
      ASSERT_NE(change, changes.end());
      EXPECT_EQ(change->before, ref);
      EXPECT_EQ(change->after, now == model.end() ? std::nullopt : std::optional(now->second));
      ++at;
    }
    for (const auto& [key, ref] : model) at += !past.model.contains(key);
    EXPECT_EQ(at, changes.size());
    UncommittedNodes aside(nodes, {});
    const auto patched = edit(aside, past.root, patch, RevisionNumber{revision + 1000}, aside);
    ASSERT_TRUE(patched);
    EXPECT_TRUE(same_tree(patched->root, root));
    EXPECT_EQ(patched->changes.size(), changes.size());

    // A part of the difference and of the state: by prefix, behind a key, and ended by the visitor.
    const std::string prefix = random.one_in(3) ? "" : random_key(random, space).substr(0, 1 + random.below(6));
    const std::string after = random.one_in(2) ? "" : random_key(random, space);
    const auto in_part = [&](std::string_view key) { return key.starts_with(prefix) && key > after; };
    std::vector<std::string> expected_keys, got_keys;
    for (const Change& change : changes) {
      if (in_part(change.key.view())) expected_keys.push_back(change.key.str());
    }
    ASSERT_TRUE(diff(nodes, past.root, root, prefix, after, [&](Change&& change) {
      got_keys.push_back(change.key.str());
      return true;
    }));
    EXPECT_EQ(got_keys, expected_keys);
    expected_keys.clear();
    got_keys.clear();
    const std::size_t limit = 1 + random.below(10);
    for (const auto& [key, ref] : model) {
      if (in_part(key) && expected_keys.size() < limit) expected_keys.push_back(key);
    }
    ASSERT_TRUE(scan(nodes, root, prefix, after, [&](std::string_view key, const DocumentRef&) {
      got_keys.emplace_back(key);
      return got_keys.size() < limit;
    }));
    EXPECT_EQ(got_keys, expected_keys);

    history.push_back({model, root});
  }
}
INSTANTIATE_TEST_SUITE_P(Seeds, TreeHistory, testing::Range<std::uint64_t>(1, 17));

TEST(TreeOrder, AnyOrderOfEditsGivesTheSameRoot) {
  for (std::uint64_t first = st8::test::first_seed(), seed = first; seed - first < 10; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Random random(seed);
    Model model;
    while (model.size() < 700) {
      const std::string key = random_key(random, 2000);
      model[key] = ref_of(key, 1);
    }
    MemoryNodes nodes;
    const auto expected = build(model, 1, nodes);
    ASSERT_TRUE(expected);
    std::vector<std::string> keys;
    for (const auto& [key, ref] : model) keys.push_back(key);
    std::shuffle(keys.begin(), keys.end(), random.engine());
    TreeRoot root;
    std::uint64_t revision = 1;
    for (std::size_t at = 0; at < keys.size();) {
      std::map<std::string, std::optional<DocumentRef>> batch;
      for (std::size_t n = 1 + random.below(random.one_in(10) ? 100 : 3); n > 0 && at < keys.size(); --n, ++at) {
        batch[keys[at]] = model[keys[at]];
      }
      std::vector<Edit> edits;
      for (auto& [key, value] : batch) edits.push_back({key, value});
      const auto result = edit(nodes, root, edits, RevisionNumber{++revision}, nodes);
      ASSERT_TRUE(result);
      root = result->root;
    }
    EXPECT_TRUE(same_tree(root, *expected));
    // And down again, to nothing.
    std::shuffle(keys.begin(), keys.end(), random.engine());
    for (const std::string& key : keys) {
      const auto result = edit(nodes, root, std::vector<Edit>{{key, std::nullopt}}, RevisionNumber{++revision}, nodes);
      ASSERT_TRUE(result);
      root = result->root;
    }
    EXPECT_EQ(root, TreeRoot{});
  }
}

}  // namespace
}  // namespace st8::state::tree
