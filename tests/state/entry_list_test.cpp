#include "engine/entry_list.h"

#include <atomic>
#include <deque>
#include <gtest/gtest.h>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "support/seed.h"

namespace st8::state {
namespace {

// As the list orders them: by key, of one key the newest first.
struct Newest {
  bool operator()(const std::pair<std::string, std::uint64_t>& a,
                  const std::pair<std::string, std::uint64_t>& b) const {
    return a.first != b.first ? a.first < b.first : a.second > b.second;
  }
};
using Model = std::map<std::pair<std::string, std::uint64_t>, std::string, Newest>;

class Fixture {
 public:
  // A node with key, tag and value in it.
  EntryList::Node* node(std::string_view key, std::uint64_t tag, std::string_view value) {
    std::string entry;
    std::size_t length = key.size() + sizeof(tag);
    for (; length >= 0x80; length >>= 7) entry.push_back(static_cast<char>(length | 0x80));
    entry.push_back(static_cast<char>(length));
    entry.append(key);
    entry.append(reinterpret_cast<const char*>(&tag), sizeof(tag));
    entry.push_back(static_cast<char>(value.size()));
    entry.append(value);
    EntryList::Node* const made = make(list.random_height(), entry.size());
    entry.copy(made->entry(), entry.size());
    return made;
  }
  EntryList::Node* make(int height, std::size_t bytes) {
    blocks_.push_back(std::make_unique<std::max_align_t[]>(
        (EntryList::Node::bytes(height) + bytes + sizeof(std::max_align_t) - 1) / sizeof(std::max_align_t)));
    return EntryList::Node::make(blocks_.back().get(), height);
  }
  static std::string value_of(const EntryList::Node& node) {
    const std::string_view user = node.key().user;
    const char* const size = user.data() + user.size() + sizeof(std::uint64_t);
    return {size + 1, static_cast<std::size_t>(static_cast<unsigned char>(*size))};
  }

 private:
  std::deque<std::unique_ptr<std::max_align_t[]>> blocks_;

 public:
  EntryList list{make(EntryList::kHeightMax, 0)};
};

void expect_node(const EntryList::Node* node, const Model& model, Model::const_iterator expected) {
  ASSERT_EQ(node == nullptr, expected == model.end());
  if (node == nullptr) return;
  ASSERT_EQ(node->key().user, expected->first.first);
  ASSERT_EQ(node->key().tag, expected->first.second);
  ASSERT_EQ(Fixture::value_of(*node), expected->second);
}

void expect_same(const EntryList& list, const Model& model) {
  const EntryList::Node* node = list.first();
  for (auto it = model.begin(); it != model.end(); ++it, node = node->next(0)) {
    expect_node(node, model, it);
    if (testing::Test::HasFatalFailure()) return;
  }
  ASSERT_EQ(node, nullptr);
  expect_node(list.last(), model, model.empty() ? model.end() : std::prev(model.end()));
}

TEST(EntryListTest, AnEmptyListHasNothing) {
  Fixture fixture;
  EXPECT_EQ(fixture.list.first(), nullptr);
  EXPECT_EQ(fixture.list.last(), nullptr);
  EXPECT_EQ(fixture.list.at_or_after({"", ~0ull}), nullptr);
  EXPECT_EQ(fixture.list.before({"z", 0}), nullptr);
}

TEST(EntryListTest, OfOneKeyTheNewestIsFirstAndAnEqualOneIsRefused) {
  Fixture fixture;
  EntryList::Place place = fixture.list.beginning();
  for (const std::uint64_t tag : {7u, 9u, 8u}) EXPECT_TRUE(fixture.list.insert(fixture.node("k", tag, "v"), place));
  EXPECT_FALSE(fixture.list.insert(fixture.node("k", 8, "other"), place));
  place = fixture.list.beginning();
  EXPECT_FALSE(fixture.list.insert(fixture.node("k", 9, "other"), place));
  expect_same(fixture.list, {{{"k", 7}, "v"}, {{"k", 8}, "v"}, {{"k", 9}, "v"}});
  EXPECT_EQ(fixture.list.at_or_after({"k", ~0ull})->key().tag, 9u);
  EXPECT_EQ(fixture.list.at_or_after({"k", 8})->key().tag, 8u);
  EXPECT_EQ(fixture.list.at_or_after({"k", 6}), nullptr);
}

// Runs of neighbours at several places, and keys anywhere between them, so that what a place remembers is right, stale, or
// too high by turns.
TEST(EntryListTest, IsAMapWhateverTheOrderOfInsertion) {
  const std::uint64_t seed = test::first_seed(11);
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 random(seed);
  for (int round = 0; round < 60; ++round) {
    Fixture fixture;
    Model model;
    std::vector<EntryList::Place> places(1 + random() % 5, fixture.list.beginning());
    std::vector<std::uint64_t> runs(places.size());
    const std::uint64_t keys = 1 + random() % 2'000;
    const auto key_of = [](std::uint64_t number) {
      std::string key(1 + number % 3, static_cast<char>('a' + number % 7));
      return key + std::to_string(number) + std::string(number % 11 == 0 ? 150 : 0, 'x');
    };
    for (int i = 0; i < 1'500; ++i) {
      const std::size_t at = random() % places.size();
      if (random() % 4 == 0) runs[at] = random() % keys;
      const std::string key = key_of(runs[at]++ % keys);
      const std::uint64_t tag = random() % 3 == 0 ? random() % 4 : static_cast<std::uint64_t>(i) << 8;
      const std::string value = std::to_string(i);
      EntryList::Node* const node = fixture.node(key, tag, value);
      EntryList::Place beginning = fixture.list.beginning();
      const bool is_new = fixture.list.insert(node, random() % 8 == 0 ? beginning : places[at]);
      ASSERT_EQ(is_new, model.emplace(std::pair(key, tag), value).second) << "round " << round << ", entry " << i;
    }
    ASSERT_NO_FATAL_FAILURE(expect_same(fixture.list, model)) << "round " << round;
    for (int i = 0; i < 500; ++i) {
      const std::pair<std::string, std::uint64_t> wanted(key_of(random() % (keys + 5)), random() % 1'500 << 8);
      const EntryList::Key key{wanted.first, wanted.second};
      const auto expected = model.lower_bound(wanted);
      ASSERT_NO_FATAL_FAILURE(expect_node(fixture.list.at_or_after(key), model, expected));
      ASSERT_NO_FATAL_FAILURE(
          expect_node(fixture.list.before(key), model, expected == model.begin() ? model.end() : std::prev(expected)));
    }
  }
}

TEST(EntryListTest, ReadersBesideAWriterSeeWholeEntriesInOrder) {
  Fixture fixture;
  constexpr int kEntries = 20'000;
  const auto key_of = [](int i) { return std::to_string(i * 7'919 % 100'003); };
  std::atomic<int> inserted{0};
  std::atomic<bool> wrong{false};
  const auto read = [&](unsigned number) {
    std::mt19937 random(number);
    while (inserted.load(std::memory_order_acquire) < kEntries && !wrong) {
      const int known = inserted.load(std::memory_order_acquire);
      if (known == 0) continue;
      const int i = static_cast<int>(random() % static_cast<unsigned>(known));
      const std::string key = key_of(i);
      const EntryList::Node* node = fixture.list.at_or_after({key, ~0ull});
      if (node == nullptr || node->key().user != key || Fixture::value_of(*node) != key) wrong = true;
      for (int steps = 0; node != nullptr && steps < 200; ++steps) {
        const EntryList::Node* const next = node->next(0);
        if (next != nullptr && node->key().compare(next->key()) >= 0) wrong = true;
        node = next;
      }
    }
  };
  std::vector<std::thread> readers;
  for (unsigned i = 0; i < 3; ++i) readers.emplace_back(read, i);
  EntryList::Place places[2] = {fixture.list.beginning(), fixture.list.beginning()};
  for (int i = 0; i < kEntries; ++i) {
    const std::string key = key_of(i);
    EntryList::Node* const node = fixture.node(key, static_cast<std::uint64_t>(i), key);
    EXPECT_TRUE(fixture.list.insert(node, places[i % 2]));
    inserted.store(i + 1, std::memory_order_release);
  }
  for (std::thread& reader : readers) reader.join();
  EXPECT_FALSE(wrong);
}

}  // namespace
}  // namespace st8::state
