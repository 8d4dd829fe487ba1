// docs/formats.md against the code: every table of the store, and every key under which rollouts keep what they know.
#include <fstream>
#include <gtest/gtest.h>
#include <iterator>
#include <regex>
#include <string>

namespace st8 {
namespace {

std::string text_of(const std::string& path) {
  std::ifstream in(std::string(ST8_SOURCE_DIR) + "/" + path);
  EXPECT_TRUE(in) << path;
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

// What the first group of `pattern` matches, wherever it does.
std::vector<std::string> all(const std::string& text, const std::string& pattern) {
  const std::regex regex(pattern);
  std::vector<std::string> found;
  for (std::sregex_iterator it(text.begin(), text.end(), regex), end; it != end; ++it) found.push_back((*it)[1]);
  return found;
}

TEST(FormatsManual, TellsEveryTable) {
  const std::string manual = text_of("docs/formats.md");
  const auto letters = all(text_of("libstate/src/engine/keyspace.h"), R"(\n  k\w+ = '(.)',)");
  EXPECT_EQ(letters.size(), 14u);
  for (const std::string& letter : letters)
    EXPECT_NE(manual.find("\n| `" + letter + "` | "), std::string::npos) << "table " << letter;
  // And no table that there is not.
  EXPECT_EQ(all(manual, R"(\n\| `([A-Z])` \| )").size(), letters.size());
}

TEST(FormatsManual, TellsEveryRecordOfRollouts) {
  const std::string manual = text_of("docs/formats.md");
  auto keys = all(text_of("libtarget/src/service/records.h"), R"re("(rollout/[a-z]+/?)")re");
  for (const std::string& key : all(text_of("libtarget/src/service/records.cpp"), R"re("(rollout/[a-z]+/?)")re"))
    keys.push_back(key);
  EXPECT_EQ(keys.size(), 14u);
  for (const std::string& key : keys) EXPECT_NE(manual.find("\n| `" + key), std::string::npos) << key;
}

TEST(FormatsManual, TellsEveryCauseAndKind) {
  const std::string manual = text_of("docs/formats.md");
  const auto causes = all(text_of("libstate/include/st8/state/revision.h"), R"(\n  k\w+ = (\d+),)");
  EXPECT_EQ(causes.size(), 9u);
  EXPECT_NE(manual.find("cause: 0 apply, 1 rollback, 2 restore, 3 merge, 4 revert, 5 cherry-pick, 6 auto-rollback, 7 "
                        "reconcile, 8 import |"),
            std::string::npos);
  EXPECT_EQ(all(text_of("libstate/include/st8/state/operation.h"), R"(\n  k\w+ = (\d+),)").size(), 12u)
      << "then docs/formats.md lacks one";
}

}  // namespace
}  // namespace st8
