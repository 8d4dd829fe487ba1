#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <random>
#include <yaml-cpp/yaml.h>

#include "cli/cli_fixture.h"
#include "render/diff.h"
#include "render/document.h"
#include "render/output.h"
#include "render/progress.h"

namespace st8::ctl {
namespace {

using test::TempDirectory;
using testing::HasSubstr;

Output& plain() {
  static Output output(-1, ColorChoice::kNever);
  return output;
}

std::string diff_of(const std::optional<std::string>& before, const std::optional<std::string>& after,
                    std::size_t context = 3) {
  return unified_diff("k", DiffSide{before}, DiffSide{after}, context, plain());
}

TEST(UnifiedDiff, NamesBothSidesAndCountsLines) {
  EXPECT_EQ(diff_of("a\nb\nc\n", "a\nB\nc\n"), "--- k\n+++ k\n@@ -1,3 +1,3 @@\n a\n-b\n+B\n c\n");
  EXPECT_EQ(diff_of(std::nullopt, "a\n"), "--- /dev/null\n+++ k\n@@ -0,0 +1 @@\n+a\n");
  EXPECT_EQ(diff_of("a\n", std::nullopt), "--- k\n+++ /dev/null\n@@ -1 +0,0 @@\n-a\n");
  EXPECT_EQ(diff_of("a", "a\n"), "--- k\n+++ k\n@@ -1 +1 @@\n-a\n\\ No newline at end of file\n+a\n");
  EXPECT_EQ(diff_of("same", "same"), "");
  EXPECT_EQ(diff_of(std::nullopt, ""), "--- /dev/null\n+++ k\n");  // An empty document has no lines.
}

TEST(UnifiedDiff, ShowsSizesOfWhatIsNoText) {
  EXPECT_EQ(diff_of(std::string("a\0b", 3), "text\n"), "--- k\n+++ k\nBinary content differs: 3 bytes -> 5 bytes\n");
  EXPECT_EQ(diff_of("\xff", std::nullopt), "--- k\n+++ /dev/null\nBinary content differs: 1 bytes -> none\n");
}

TEST(UnifiedDiff, JoinsHunksThatTouchAndPartsThoseThatDoNot) {
  std::string before;
  for (int i = 1; i <= 30; ++i) before += std::to_string(i) + "\n";
  const auto changed = [&](std::vector<int> lines) {
    std::string text;
    for (int i = 1; i <= 30; ++i)
      text += std::to_string(i) + (std::find(lines.begin(), lines.end(), i) != lines.end() ? "x\n" : "\n");
    return text;
  };
  const auto hunks = [](const std::string& diff) {
    std::size_t count = 0;
    for (std::size_t at = diff.find("\n@@ "); at != std::string::npos; at = diff.find("\n@@ ", at + 1)) ++count;
    return count;
  };
  EXPECT_EQ(hunks(diff_of(before, changed({10, 17}))), 1u);  // Six lines between: their contexts meet.
  EXPECT_EQ(hunks(diff_of(before, changed({10, 18}))), 2u);
  EXPECT_EQ(hunks(diff_of(before, changed({1, 30}))), 2u);
  EXPECT_THAT(diff_of(before, changed({10}), 0), HasSubstr("@@ -10 +10 @@\n-10\n+10x\n"));
}

// `patch` is the judge: what it makes of the old text and the diff is the new text, byte for byte.
TEST(UnifiedDiff, IsTakenByPatch) {
  std::mt19937 random(20261121);
  const auto lines = [&](std::size_t most) {
    std::string text;
    const std::size_t count = random() % most;
    for (std::size_t i = 0; i < count; ++i) text += std::string(1, static_cast<char>('a' + random() % 4)) + "\n";
    if (random() % 3 == 0 && !text.empty()) text.pop_back();
    return text;
  };
  const auto edited = [&](const std::string& text) {
    std::string out;
    for (const char c : text) {
      const auto roll = random() % 12;
      if (roll == 0) continue;
      out += c;
      if (roll == 1) out += "n\n";
    }
    return out;
  };
  const TempDirectory directory;
  for (int round = 0; round < 60; ++round) {
    const std::string before = lines(40);
    const std::string after = round % 2 == 0 ? edited(before) : lines(40);
    const std::string diff = diff_of(before, after, random() % 5);
    if (before == after) {
      EXPECT_EQ(diff, "");
      continue;
    }
    test::write_file(directory.path() / "k", before);
    test::RunOptions options;
    options.directory = directory.path().string();
    options.input = diff;
    const test::RunResult patched = test::run_process({"/usr/bin/patch", "-p0", "-s", "--posix", "-N", "k"}, options);
    ASSERT_EQ(patched.code, 0) << patched.out << patched.err << "\n" << diff;
    const std::string made =
        std::filesystem::exists(directory.path() / "k") ? test::read_file(directory.path() / "k") : "";
    ASSERT_EQ(made, after) << diff;
    const DiffCounts counts = count_diff(DiffSide{before}, DiffSide{after});
    EXPECT_GT(counts.inserted + counts.deleted, 0u);
  }
}

TEST(UnifiedDiff, LargeTextsThatShareNothingTakeNoMinutes) {
  std::string before;
  std::string after;
  for (int i = 0; i < 60'000; ++i) {
    before += "old " + std::to_string(i * 7) + "\n";
    after += "new " + std::to_string(i * 11) + "\n";
  }
  const DiffCounts counts = count_diff(DiffSide{before}, DiffSide{after});
  EXPECT_EQ(counts.inserted, 60'000u);
  EXPECT_EQ(counts.deleted, 60'000u);
}

TEST(UnifiedDiff, ColoursOnlyWhatItIsTold) {
  Output colored(-1, ColorChoice::kAlways);
  const std::string diff = unified_diff("k", DiffSide{"a\n"}, DiffSide{"b\n"}, 3, colored);
  EXPECT_THAT(diff, HasSubstr("\x1b[31m-a\x1b[0m\n\x1b[32m+b\x1b[0m\n"));
  EXPECT_EQ(diff_of("a\n", "b\n").find('\x1b'), std::string::npos);
}

wire::JsonValue json(const std::string& text) {
  Result<wire::JsonValue> value = parse_answer(text);
  EXPECT_TRUE(value.has_value()) << text;
  return value ? *value : wire::JsonValue{};
}

TEST(Document, JsonKeepsOrderAndDigits) {
  EXPECT_EQ(indented_json(json(R"({"z":1,"a":[12345678901234567890123,1.50],"e":{},"l":[]})")),
            "{\n  \"z\": 1,\n  \"a\": [\n    12345678901234567890123,\n    1.50\n  ],\n  \"e\": {},\n  \"l\": []\n}\n");
}

// A reader of the YAML finds the very values of the JSON.
void expect_same(const YAML::Node& yaml, const nlohmann::json& json, const std::string& path) {
  if (json.is_object()) {
    ASSERT_TRUE(yaml.IsMap()) << path;
    ASSERT_EQ(yaml.size(), json.size()) << path;
    for (const auto& [name, value] : json.items()) expect_same(yaml[name], value, path + "/" + name);
  } else if (json.is_array()) {
    ASSERT_TRUE(yaml.IsSequence()) << path;
    ASSERT_EQ(yaml.size(), json.size()) << path;
    for (std::size_t i = 0; i < json.size(); ++i) expect_same(yaml[i], json[i], path + "/" + std::to_string(i));
  } else if (json.is_null()) {
    ASSERT_TRUE(yaml.IsNull()) << path;
  } else if (json.is_string()) {
    ASSERT_TRUE(yaml.IsScalar()) << path;
    EXPECT_EQ(yaml.Scalar(), json.get<std::string>()) << path;
    // Plain, it would be read as something else.
    if (yaml.Tag() == "?") {
      for (const char* word : {"", "~", "null", "true", "false", "yes", "no", "on", "off", "y", "n", "1", "1.5", ".5",
                               "-", "0x1f", "1e3", "2026-11-21"}) {
        EXPECT_NE(yaml.Scalar(), word) << path;
      }
    }
  } else {
    EXPECT_EQ(yaml.Scalar(), json.dump()) << path;
    EXPECT_EQ(yaml.Tag(), "?") << path;
  }
}

TEST(Document, YamlReadsBackAsTheSameValues) {
  const std::vector<std::string> texts{"",
                                       " ",
                                       "a",
                                       "true",
                                       "No",
                                       "null",
                                       "~",
                                       "1",
                                       "-1",
                                       "1.5",
                                       ".5",
                                       "0x1f",
                                       "1e3",
                                       "2026-11-21",
                                       "12:30",
                                       "a: b",
                                       "a #b",
                                       "#",
                                       "-",
                                       "- a",
                                       "?",
                                       ":",
                                       "'",
                                       "\"",
                                       "\\",
                                       "{",
                                       "[",
                                       "&a",
                                       "*a",
                                       "!t",
                                       "%",
                                       "@",
                                       "`",
                                       "|",
                                       ">",
                                       "a\n",
                                       "a\nb",
                                       "a\nb\n",
                                       "\na\n",
                                       " a\n b\n",
                                       "a\n\nb\n",
                                       "a\n\n",
                                       "\t",
                                       "a\tb\n",
                                       "a\r\n",
                                       "\x01",
                                       "\x7f",
                                       "\u00e4",
                                       "\u2028",
                                       "\ufeff",
                                       "key: value\nlist:\n  - 1\n",
                                       "---\n",
                                       "...\n",
                                       "a ",
                                       " a",
                                       "main~2",
                                       "exp/x",
                                       "v1.2",
                                       std::string("a\0b", 3)};
  nlohmann::json all;
  for (std::size_t i = 0; i < texts.size(); ++i) {
    all["list"].push_back(texts[i]);
    all["map"]["k" + std::to_string(i)] = texts[i];
    all["nested"].push_back({{"text", texts[i]}, {"inner", {texts[i], {texts[i]}}}});
    all["keys"][texts[i]] = i;
  }
  all["scalars"] = {nullptr, true, false, 0, -5, 1.25, 18446744073709551615u};
  all["empty"] = {{"list", nlohmann::json::array()},
                  {"map", nlohmann::json::object()},
                  {"lists", {nlohmann::json::array(), nlohmann::json::array({nlohmann::json::array()})}}};
  const std::string text = yaml(json(all.dump()));
  YAML::Node node;
  ASSERT_NO_THROW(node = YAML::Load(text)) << text;
  expect_same(node, all, "");
  EXPECT_EQ(yaml(json("{}")), "{}\n");
  EXPECT_EQ(yaml(json("[]")), "[]\n");
  EXPECT_EQ(yaml(json("\"x\"")), "x\n");
}

TEST(Text, QuotesAsGoDoes) {
  EXPECT_EQ(quote("plain"), "\"plain\"");
  EXPECT_EQ(quote("a \"b\" \\ \n\t\x1b\x7f"), "\"a \\\"b\\\" \\\\ \\n\\t\\x1b\\x7f\"");
  EXPECT_EQ(quote("\u00e4\u4e2d"), "\"\u00e4\u4e2d\"");
  EXPECT_EQ(quote("\xff"), "\"\\xff\"");
  EXPECT_EQ(quote("\u009b31m"), "\"\\u009b31m\"");  // A terminal takes the C1 control for an escape sequence.
  EXPECT_EQ(printable("\x1b[31mred"), "\\x1b[31mred");
}

TEST(Text, SizesTimesAndTables) {
  EXPECT_EQ(human_bytes(1023), "1023 B");
  EXPECT_EQ(human_bytes(1024), "1.0 KiB");
  EXPECT_EQ(human_bytes(1536), "1.5 KiB");
  EXPECT_EQ(human_bytes((1u << 20) - 1), "1.0 MiB");  // Never "1024.0 KiB".
  EXPECT_EQ(human_bytes(18446744073709551615u), "16.0 EiB");
  EXPECT_EQ(short_time("2026-11-21T01:02:03.000004Z"), "2026-11-21T01:02:03Z");
  EXPECT_EQ(short_time("2026-11-21T01:02:03+02:00"), "2026-11-21T01:02:03+02:00");
  EXPECT_EQ(table({{"a", "bb"}, {"\u00e4\u00e4\u00e4", "c", ""}}), "a    bb\n\u00e4\u00e4\u00e4  c\n");
}

TEST(Progress, SaysHowMuchHowFastAndHowLong) {
  EXPECT_EQ(Progress::line("Sending", Progress::Unit::kBytes, 5 << 20, 20 << 20, 5000),
            "Sending 5.0 MiB of 20.0 MiB (25%), 1.0 MiB/s, 16s left");
  EXPECT_EQ(Progress::line("Reading", Progress::Unit::kItems, 900, 0, 3000), "Reading 900, 300/s");
  EXPECT_EQ(Progress::line("Collecting", Progress::Unit::kTime, 0, 0, 4200), "Collecting 4s");
  EXPECT_EQ(Progress::line("Sending", Progress::Unit::kBytes, 10, 10, 0), "Sending 10 B of 10 B (100%), 0 B/s");
}

}  // namespace
}  // namespace st8::ctl
