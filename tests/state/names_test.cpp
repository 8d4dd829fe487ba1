#include "st8/state/names.h"

#include <gtest/gtest.h>

namespace st8::state {
namespace {

template <class NameType>
void expect_refused(std::string_view text) {
  const auto name = NameType::parse(text);
  ASSERT_FALSE(name) << text;
  EXPECT_EQ(name.error().code, ErrorCode::kInvalidArgument);
  EXPECT_FALSE(name.error().message.empty());
  EXPECT_LT(name.error().message.size(), 400u) << "a stranger's bytes must not fill the log";
  for (char c : name.error().message)
    EXPECT_GE(static_cast<unsigned char>(c), 0x20) << "control character in a message";
}

std::string key(std::string_view text) {
  const auto parsed = DocumentKey::parse(text);
  EXPECT_TRUE(parsed) << text;
  return parsed ? parsed->str() : "";
}

TEST(BranchNames, AreAcceptedAsGiven) {
  for (const char* good : {"main", "experiment/x", "a", "v1.2.3", "..a", "a..", "feature/Ünïcode", "123", "head",
                           "a/b/c/d", "a-b_c+d=e,f;g!h#i$j%k&l(m)"}) {
    const auto name = BranchName::parse(good);
    ASSERT_TRUE(name) << good;
    EXPECT_EQ(name->str(), good);
  }
  EXPECT_TRUE(BranchName::parse(std::string(255, 'x')));
}

TEST(BranchNames, RefuseWhatASelectorOrGlobUses) {
  for (const char* bad : {"",
                          "a b",
                          "a\tb",
                          "a~1",
                          "a^",
                          "a:b",
                          "a@b",
                          "a?",
                          "a*",
                          "a[b",
                          "a]b",
                          "a\\b",
                          "a{b",
                          "a}b",
                          "-a",
                          "/a",
                          "a/",
                          "a//b",
                          "/",
                          "a/./b",
                          "a/../b",
                          ".",
                          "..",
                          "a\nb",
                          "a\x7f",
                          "a\xC2\x85",
                          "a\xC2\xA0"
                          "b",
                          "a\xE3\x80\x80",
                          "\xFF",
                          "a\xC3",
                          "a\xE2\x80\xA8"}) {
    expect_refused<BranchName>(bad);
    expect_refused<NamespaceName>(bad);
    expect_refused<CheckpointName>(bad);
  }
  expect_refused<BranchName>(std::string(256, 'x'));
  expect_refused<BranchName>(std::string(1 << 20, 'x'));
  expect_refused<BranchName>(std::string_view("a\0b", 3));
}

TEST(DocumentKeys, AreCleanedAsPaths) {
  EXPECT_EQ(key("app/config.json"), "app/config.json");
  EXPECT_EQ(key("./app//config.json"), "app/config.json");
  EXPECT_EQ(key("app/./config.json"), "app/config.json");
  EXPECT_EQ(key("././a"), "a");
  EXPECT_EQ(key("a/"), "a");
  EXPECT_EQ(key("a/b/../c"), "a/c");
  EXPECT_EQ(key("a/../b"), "b");
  EXPECT_EQ(key("..a/...b"), "..a/...b");
  EXPECT_EQ(key("with space and ~^:@?*[]\\{} too"), "with space and ~^:@?*[]\\{} too");
  EXPECT_EQ(key("-x"), "-x");
  EXPECT_EQ(key("Ünï/cödé"), "Ünï/cödé");
  EXPECT_EQ(key(".st8/rollout.yaml"), ".st8/rollout.yaml");
}

TEST(DocumentKeys, CleaningTwiceChangesNothing) {
  for (const char* text : {"./a/b", "a//b///c", "a/b/..", "x/./y/../z/", "..a"}) EXPECT_EQ(key(key(text)), key(text));
}

TEST(DocumentKeys, RefuseWhatLeavesTheNamespace) {
  for (const char* bad :
       {"", ".", "./", "/", "//a", "/etc/passwd", "..", "../a", "a/../..", "a/../../b", "./..", "a/..", "a\nb",
        "a\x1b[31m", "a\x7f", "\xC2\x9B", "\xFF\xFE", "a/\xC0\xAF/b", "\xED\xA0\x80"}) {
    expect_refused<DocumentKey>(bad);
  }
  expect_refused<DocumentKey>(std::string_view("a\0b", 3));
}

TEST(DocumentKeys, HoldTheirLimitAfterCleaning) {
  EXPECT_TRUE(DocumentKey::parse(std::string(1024, 'k')));
  expect_refused<DocumentKey>(std::string(1025, 'k'));
  expect_refused<DocumentKey>(std::string(1 << 20, 'k'));
  std::string long_way = "a";
  while (long_way.size() < 2000) long_way += "/./";
  EXPECT_EQ(key(long_way + "b"), "a/b");
}

TEST(DocumentKeys, TheErrorSaysWhichByteAndWhatToDo) {
  const auto name = DocumentKey::parse("abc\x01");
  ASSERT_FALSE(name);
  EXPECT_NE(name.error().message.find("byte 3"), std::string::npos) << name.error().message;
  const auto absolute = DocumentKey::parse("/etc/hosts");
  ASSERT_FALSE(absolute);
  EXPECT_NE(absolute.error().hint.find("\"etc/hosts\""), std::string::npos) << absolute.error().hint;
}

}  // namespace
}  // namespace st8::state
