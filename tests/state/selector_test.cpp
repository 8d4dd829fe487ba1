#include "st8/state/selector.h"

#include <gtest/gtest.h>

namespace st8::state {
namespace {

const Timestamp kNow = *parse_rfc3339("2026-11-21T12:00:00Z");

Selector parse(std::string_view text) {
  auto selector = Selector::parse(text, kNow);
  EXPECT_TRUE(selector) << text << ": " << (selector ? "" : selector.error().message);
  return selector ? *selector : Selector{};
}

template <class Base>
Base base(std::string_view text) {
  const Selector selector = parse(text);
  const Base* found = std::get_if<Base>(&selector.base);
  EXPECT_NE(found, nullptr) << text << " is of kind " << selector.base.index();
  EXPECT_EQ(selector.text, text);
  return found != nullptr ? *found : Base{};
}

TEST(SelectorParse, TheHead) {
  EXPECT_TRUE(std::holds_alternative<Selector::Head>(parse("@").base));
  EXPECT_TRUE(std::holds_alternative<Selector::Head>(parse("head").base));
  EXPECT_TRUE(std::holds_alternative<Selector::Head>(Selector::head().base));
}

TEST(SelectorParse, Numbers) {
  EXPECT_EQ(base<Selector::ByNumber>("12").number.value, 12u);
  EXPECT_EQ(base<Selector::ByNumber>("0").number.value, 0u);
  EXPECT_EQ(base<Selector::ByNumber>("007").number.value, 7u);
  EXPECT_EQ(base<Selector::ByNumber>("rev:12").number.value, 12u);
  EXPECT_EQ(base<Selector::ByNumber>("12345678").number.value, 12345678u) << "digits alone are a number, never a hash";
  EXPECT_EQ(base<Selector::ByNumber>("18446744073709551615").number.value, UINT64_MAX);
}

TEST(SelectorParse, Hashes) {
  EXPECT_EQ(base<Selector::ByHashPrefix>("hash:1").hex, "1");
  EXPECT_EQ(base<Selector::ByHashPrefix>("hash:DEADbeef").hex, "deadbeef");
  EXPECT_EQ(base<Selector::ByHashPrefix>("hash:" + std::string(64, 'a')).hex.size(), 64u);
  EXPECT_EQ(base<Selector::ByName>("deadbeef").name, "deadbeef") << "the store tells a name from a bare hash";
}

TEST(SelectorParse, Names) {
  Selector selector = parse("branch:123");
  ASSERT_TRUE(std::holds_alternative<Selector::ByBranch>(selector.base));
  EXPECT_EQ(std::get<Selector::ByBranch>(selector.base).branch.str(), "123");
  selector = parse("checkpoint:2026-11-21~1");
  ASSERT_TRUE(std::holds_alternative<Selector::ByCheckpoint>(selector.base));
  EXPECT_EQ(std::get<Selector::ByCheckpoint>(selector.base).name.str(), "2026-11-21");
  EXPECT_EQ(selector.ancestors, 1u);
  EXPECT_EQ(base<Selector::ByName>("experiment/x").name, "experiment/x");
  EXPECT_EQ(base<Selector::ByName>("10-ago-x").name, "10-ago-x");
}

TEST(SelectorParse, Ancestors) {
  EXPECT_EQ(parse("main").ancestors, 0u);
  EXPECT_EQ(parse("main~").ancestors, 1u);
  EXPECT_EQ(parse("main~2").ancestors, 2u);
  EXPECT_EQ(parse("main~~").ancestors, 2u);
  EXPECT_EQ(parse("main~2~3~").ancestors, 6u);
  EXPECT_EQ(parse("@~0").ancestors, 0u);
  EXPECT_EQ(parse("2026-11-21~1").ancestors, 1u);
}

TEST(SelectorParse, Times) {
  EXPECT_EQ(base<Selector::ByTime>("2026-11-21T10:00:00Z").time, *parse_rfc3339("2026-11-21T10:00:00Z"));
  EXPECT_EQ(base<Selector::ByTime>("2026-11-21T10:00:00+01:00").time, *parse_rfc3339("2026-11-21T09:00:00Z"));
  EXPECT_EQ(base<Selector::ByTime>("2026-11-21").time, *parse_rfc3339("2026-11-21T00:00:00Z"));
  EXPECT_EQ(base<Selector::ByTime>("90m-ago").time, *parse_rfc3339("2026-11-21T10:30:00Z"));
  EXPECT_EQ(base<Selector::ByTime>("2h30m-ago").time, *parse_rfc3339("2026-11-21T09:30:00Z"));
  EXPECT_EQ(base<Selector::ByTime>("1w3d-ago").time, *parse_rfc3339("2026-11-11T12:00:00Z"));
  EXPECT_EQ(base<Selector::ByTime>("0s-ago").time, kNow);
  EXPECT_EQ(base<Selector::ByTime>("time:90m-ago").branch, "");
  EXPECT_EQ(base<Selector::ByTime>("main@90m-ago").branch, "main");
  EXPECT_EQ(base<Selector::ByTime>("release/1@2026-11-21T10:00:00Z").branch, "release/1");
  EXPECT_EQ(base<Selector::ByTime>("123@1d-ago").branch, "123");
}

TEST(SelectorParse, BadInputIsRefusedWithWhatToDo) {
  for (const char* bad : {"",
                          "~",
                          "~2",
                          "^",
                          "@1",
                          "@90m-ago",
                          "@@",
                          "main@",
                          "main@yesterday",
                          "main@90m",
                          "main@-ago",
                          "main~x",
                          "main~-1",
                          "main~+1",
                          "main~1x",
                          "main~18446744073709551616",
                          "main~18446744073709551615~1",
                          "18446744073709551616",
                          "rev:",
                          "rev:x",
                          "rev:-1",
                          "rev:1 ",
                          "hash:",
                          "hash:xyz",
                          "hash:12 ",
                          "branch:",
                          "branch:a b",
                          "checkpoint:",
                          "checkpoint:a*",
                          "time:",
                          "time:12",
                          "time:now",
                          "tag:x",
                          ":",
                          ":x",
                          "a:b",
                          "-1",
                          "-x",
                          "a b",
                          " main",
                          "main ",
                          "a//b",
                          "/a",
                          "a/",
                          "..",
                          "a/../b",
                          "HEAD^",
                          "main{1}",
                          "*",
                          "a\nb",
                          "\xFF",
                          "1x-ago",
                          "5-ago",
                          "1h2-ago",
                          "99999999999999999999s-ago",
                          "9223372036854775807w-ago",
                          "1.5h-ago",
                          "2026-02-30T00:00:00Z",
                          "2026-11-21T10:00"}) {
    const auto selector = Selector::parse(bad, kNow);
    ASSERT_FALSE(selector) << bad;
    EXPECT_EQ(selector.error().code, ErrorCode::kInvalidArgument) << bad;
    EXPECT_FALSE(selector.error().message.empty()) << bad;
    EXPECT_FALSE(selector.error().hint.empty()) << bad;
  }
  EXPECT_FALSE(Selector::parse("hash:" + std::string(65, 'a'), kNow));
  EXPECT_FALSE(Selector::parse(std::string(1 << 20, '~'), kNow));
  EXPECT_FALSE(Selector::parse(std::string_view("a\0b", 3), kNow));
}

TEST(SelectorParse, WhatItMakesItReads) {
  EXPECT_EQ(base<Selector::ByNumber>(Selector::of(RevisionNumber{42}).text).number.value, 42u);
  const Selector selector = Selector::checkpoint(*CheckpointName::parse("v1"));
  EXPECT_EQ(selector.text, "checkpoint:v1");
  EXPECT_TRUE(std::holds_alternative<Selector::ByCheckpoint>(parse(selector.text).base));
}

}  // namespace
}  // namespace st8::state
