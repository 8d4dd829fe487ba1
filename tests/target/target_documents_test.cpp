// The cache of targets' documents tells what the head has, reads anew only what changed, and keeps no more than it may.
#include "service/target_documents.h"

#include <gmock/gmock.h>

#include "support/store_fixture.h"

namespace st8::target {
namespace {

using state::test::EngineKind;
using state::test::StoreHarness;
using ::testing::HasSubstr;

constexpr std::string_view kNamespace = "st8/system";

class TargetDocumentsTest : public ::testing::Test {
 protected:
  static TargetName name(std::string_view text) { return *TargetName::parse(text); }
  static std::string good(const std::string& root) {
    return "kind: file\nlabels: {role: web}\nspec: {root: " + root + "}\n";
  }

  void write(const state::test::Documents& documents) {
    const auto applied = harness_.apply(documents, "main", kNamespace);
    ASSERT_TRUE(applied) << state::test::why(applied);
  }
  std::shared_ptr<const TargetDocuments> read(TargetDocumentCache& cache) {
    const auto view = harness_->view(state::test::ns(kNamespace), state::test::branch("main"), state::Selector::head());
    if (!view) throw std::runtime_error(view.error().message);
    auto documents = cache.read(*view);
    if (!documents) throw std::runtime_error(documents.error().message);
    return *documents;
  }

  StoreHarness harness_{EngineKind::kMemory};
};

TEST_F(TargetDocumentsTest, WhatDidNotChangeIsReadOnce) {
  TargetDocumentCache cache;
  write({{"targets/web-1.yaml", good("/srv/a")}, {"targets/web.yaml", good("/srv/b")}, {"policy.yaml", "x: 1\n"}});
  const auto first = read(cache);
  ASSERT_EQ(first->size(), 2u);
  EXPECT_EQ(first->at(name("web-1"))->target->labels.front().second, "web");
  EXPECT_EQ(read(cache), first) << "the head is where it was";

  // Another document, then one of the targets.
  write({{"policy.yaml", "x: 2\n"}});
  const auto second = read(cache);
  EXPECT_EQ(second->at(name("web-1")), first->at(name("web-1")));
  write({{"targets/web-1.yaml", good("/srv/c")}});
  const auto third = read(cache);
  EXPECT_EQ(third->at(name("web")), first->at(name("web")));
  EXPECT_NE(third->at(name("web-1")), first->at(name("web-1")));
  EXPECT_THAT(third->at(name("web-1"))->source(), HasSubstr("/srv/c"));
  EXPECT_THAT(first->at(name("web-1"))->source(), HasSubstr("/srv/a")) << "who holds the older one keeps it";

  const auto gone = harness_.unset({"targets/web.yaml"}, "main", kNamespace);
  ASSERT_TRUE(gone) << state::test::why(gone);
  EXPECT_FALSE(read(cache)->contains(name("web")));
}

TEST_F(TargetDocumentsTest, TwoTargetsOfOneTextAreTwo) {
  TargetDocumentCache cache;
  write({{"targets/a.yaml", good("/srv/a")}});
  const auto first = read(cache);
  EXPECT_EQ(first->at(name("a"))->target->name, name("a"));
  // The same bytes under another name must not come out as the first.
  write({{"targets/b.yaml", good("/srv/a")}});
  const auto second = read(cache);
  EXPECT_EQ(second->at(name("b"))->target->name, name("b"));
  EXPECT_EQ(second->at(name("a")), first->at(name("a")));
}

TEST_F(TargetDocumentsTest, OneThatIsNotGoodSaysWhyUntilItIs) {
  TargetDocumentCache cache;
  write({{"targets/web-1.yaml", "kind: fiel\nspec: {root: /srv}\n"}});
  const auto bad = read(cache)->at(name("web-1"));
  EXPECT_FALSE(bad->target);
  ASSERT_EQ(bad->problems.size(), 1u);
  EXPECT_EQ(bad->problems.front().file, "targets/web-1.yaml");
  EXPECT_THAT(bad->problems.front().str(), HasSubstr("fiel"));
  EXPECT_THAT(bad->source(), HasSubstr("kind: fiel"));
  write({{"targets/web-1.yaml", good("/srv")}});
  const auto mended = read(cache)->at(name("web-1"));
  EXPECT_TRUE(mended->target);
  EXPECT_TRUE(mended->problems.empty());
}

TEST_F(TargetDocumentsTest, MoreThanMayBeKeptIsReadEachTime) {
  TargetDocumentCache cache(64);
  write({{"targets/web-1.yaml", good("/srv/a")}});
  const auto small = read(cache);
  EXPECT_EQ(read(cache), small);
  write({{"targets/web-2.yaml", good("/srv/b")}});
  const auto large = read(cache);
  ASSERT_EQ(large->size(), 2u);
  EXPECT_NE(read(cache), large);
  EXPECT_EQ(read(cache)->size(), 2u);
}

}  // namespace
}  // namespace st8::target
