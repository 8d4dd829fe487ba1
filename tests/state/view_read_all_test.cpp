// Contents that are read together are those that are read one by one.
#include <gtest/gtest.h>
#include <string>
#include <vector>

#include "support/store_fixture.h"

namespace st8::state::test {
namespace {

class ViewReadAll : public testing::TestWithParam<EngineKind> {
 protected:
  ViewReadAll() : harness_(GetParam()) {}

  // The places of all documents of two revisions; every second one changed between them.
  void make(std::size_t documents) {
    Documents first, second;
    for (std::size_t i = 0; i < documents; ++i) {
      const std::string name = "key-" + std::to_string(i * 7'919 % 10'007);
      first[name] = "first " + name;
      if (i % 2 == 0) second[name] = std::string(i * 40, 'x') + name;  // Some are too large to be kept.
    }
    ASSERT_TRUE(harness_.apply(first));
    ASSERT_TRUE(harness_.apply(second));
    harness_.open();  // Nothing is at hand any more.
    for (const std::uint64_t revision : {1u, 2u}) {
      view_.emplace(*harness_->view(ns("default"), RevisionNumber{revision}));
      ASSERT_TRUE(view_->for_each({}, [&](const Entry& entry) {
        entries_.push_back(entry);
        return true;
      }));
    }
    for (const Entry& entry : entries_) places_.push_back({entry.key.view(), entry.ref});
  }

  StoreHarness harness_;
  std::optional<View> view_;
  std::vector<Entry> entries_;
  std::vector<ContentPlace> places_;
};

TEST_P(ViewReadAll, IsAsReadingEach) {
  make(600);
  for (const bool keep : {false, true, true}) {
    const auto all = view_->read_all(places_, keep);
    ASSERT_TRUE(all) << why(all);
    ASSERT_EQ(all->size(), places_.size());
    for (std::size_t i = 0; i < places_.size(); ++i) {
      ASSERT_NE((*all)[i], nullptr) << places_[i].key;
      EXPECT_EQ(*(*all)[i], view_->read(entries_[i].key, entries_[i].ref).value()) << places_[i].key;
    }
  }
}

TEST_P(ViewReadAll, KeepsWhatItIsTold) {
  make(100);
  const auto gets_of = [&](bool keep) {
    const std::uint64_t before = harness_->stats().engine.gets;
    EXPECT_TRUE(view_->read_all(places_, keep));
    return harness_->stats().engine.gets - before;
  };
  EXPECT_EQ(gets_of(false), places_.size());
  EXPECT_EQ(gets_of(true), places_.size()) << "kept without being told";
  EXPECT_EQ(gets_of(false), 0u);
}

TEST_P(ViewReadAll, TellsWhatIsNotThere) {
  make(40);
  std::vector<ContentPlace> places = places_;
  places[3].ref.written_at = RevisionNumber{77};
  const auto all = view_->read_all(places, false);
  ASSERT_TRUE(all) << why(all);
  for (std::size_t i = 0; i < places.size(); ++i) EXPECT_EQ((*all)[i] == nullptr, i == 3) << i;

  places[3] = places_[3];
  places[3].ref.hash = Hash::of("something else");
  const auto damaged = view_->read_all(places, true);
  ASSERT_FALSE(damaged);
  EXPECT_EQ(damaged.error().code, ErrorCode::kCorrupt) << damaged.error().message;
  EXPECT_TRUE(view_->read_all({}, true).value().empty());
}

INSTANTIATE_TEST_SUITE_P(Engines, ViewReadAll, testing::Values(EngineKind::kMemory, EngineKind::kRocksDb),
                         engine_kind_name);

}  // namespace
}  // namespace st8::state::test
