#include <gtest/gtest.h>

#include "merge/document_merge.h"
#include "merge/json_scan.h"
#include "merge/yaml_scan.h"

namespace st8::state::merge {
namespace {

std::string clean(std::string_view key, const std::string& base, const std::string& ours, const std::string& theirs) {
  const DocumentMerge merge = merge_document(key, {base, ours, theirs}, ConflictSide::kNone);
  for (const Conflict& conflict : merge.conflicts) ADD_FAILURE() << "conflict at " << conflict.path;
  return merge.content.value_or("(gone)");
}
std::vector<std::string> conflict_paths(std::string_view key, const std::string& base, const std::string& ours,
                                        const std::string& theirs) {
  std::vector<std::string> paths;
  for (const Conflict& conflict : merge_document(key, {base, ours, theirs}, ConflictSide::kNone).conflicts)
    paths.push_back(conflict.path);
  return paths;
}
using Paths = std::vector<std::string>;

TEST(JsonMerge, TakesBothSidesAndKeepsOursAsWritten) {
  EXPECT_EQ(
      clean("a.json", "{\n  \"replicas\": 2,\n  \"image\": \"web:1\",\n  \"limits\": {\"cpu\": 1, \"memory\": 64}\n}\n",
            "{\n    \"image\":\"web:1\",\n    \"replicas\"  : 3,\n    \"limits\": {\"cpu\": 1, \"memory\": 64}\n}",
            "{\n  \"replicas\": 2,\n  \"image\": \"web:2\",\n  \"limits\": {\"cpu\": 1, \"memory\": 128}\n}\n"),
      "{\n    \"image\":\"web:2\",\n    \"replicas\"  : 3,\n    \"limits\": {\"cpu\": 1, \"memory\": 128}\n}");
}

TEST(JsonMerge, AddsMembersInOursStyleWhereTheyStandInTheirs) {
  const std::string base = "{\n  \"a\": 1,\n  \"c\": 3\n}\n";
  EXPECT_EQ(clean("a.json", base, "{\n\t\"a\": 10,\n\t\"c\": 3\n}\n",
                  "{\n  \"a\": 1,\n  \"b\": {\n    \"x\": [\n      1\n    ]\n  },\n  \"c\": 3,\n  \"d\": 4\n}\n"),
            "{\n\t\"a\": 10,\n\t\"b\": {\n\t  \"x\": [\n\t    1\n\t  ]\n\t},\n\t\"c\": 3,\n\t\"d\": 4\n}\n");
  EXPECT_EQ(clean("a.json", "{\"a\":1}", "{\"a\":2}", "{\"z\":0,\"a\":1,\"b\":2}"), "{\"z\":0, \"a\":2, \"b\":2}");
  EXPECT_EQ(clean("a.json", "{\"a\":1,\"b\":1}", "{\"a\":2,\"b\":1}", "{\"a\":1,\"b\":1,\"c\":2}"),
            "{\"a\":2,\"b\":1,\"c\":2}");
  // Into a map that ours has emptied, as theirs is written.
  EXPECT_EQ(clean("a.json", "{\n  \"m\": {\n    \"k\": 1\n  }\n}\n", "{\n  \"m\": {}\n}\n",
                  "{\n  \"m\": {\n    \"k\": 1,\n    \"l\": 2\n  }\n}\n"),
            "{\n  \"m\": {\n    \"l\": 2\n  }\n}\n");
}

TEST(JsonMerge, RemovesMembersWithTheirCommas) {
  const std::string base = "{\n  \"a\": 1,\n  \"b\": 2,\n  \"c\": 3\n}\n";
  EXPECT_EQ(clean("a.json", base, "{\n  \"a\": 1,\n  \"b\": 2,\n  \"c\": 30\n}\n", "{\n  \"b\": 2,\n  \"c\": 3\n}\n"),
            "{\n  \"b\": 2,\n  \"c\": 30\n}\n");
  EXPECT_EQ(clean("a.json", base, "{\n  \"a\": 10,\n  \"b\": 2,\n  \"c\": 3\n}\n", "{\n  \"a\": 1,\n  \"b\": 2\n}\n"),
            "{\n  \"a\": 10,\n  \"b\": 2\n}\n");
  EXPECT_EQ(clean("a.json", base, "{\n  \"b\": 2,\n  \"c\": 3\n}\n", "{\n  \"a\": 1\n}\n"), "{}\n");
  EXPECT_EQ(clean("a.json", "{\"a\": 1, \"b\": 2, \"c\": 3}", "{\"a\": 1, \"b\": 2, \"c\": 4}", "{\"b\": 2, \"c\": 3}"),
            "{\"b\": 2, \"c\": 4}");
}

TEST(JsonMerge, NumbersKeepTheirDigitsAndKeysComeTwice) {
  EXPECT_EQ(clean("a.json", R"({"id": 9007199254740993, "x": 1.10, "n": 1})",
                  R"({"id": 9007199254740993, "x": 1.10, "n": 2})",
                  R"({"id": 123456789012345678901234567890, "x": 1.100, "n": 1})"),
            R"({"id": 123456789012345678901234567890, "x": 1.100, "n": 2})");
  // The same number written otherwise is a change: st8 keeps what was written.
  EXPECT_EQ(conflict_paths("a.json", R"({"x": 1})", R"({"x": 1.0})", R"({"x": 1e0})"), Paths{"/x"});
  EXPECT_EQ(
      clean("a.json", R"({"k": 1, "k": 2, "o": 1})", R"({"k": 1, "k": 2, "o": 2})", R"({"k": 1, "k": 3, "o": 1})"),
      R"({"k": 1, "k": 3, "o": 2})");
  EXPECT_EQ(conflict_paths("a.json", R"({"k": 1, "k": 2})", R"({"k": 1, "k": 4})", R"({"k": 1, "k": 3})"), Paths{"/k"});
}

TEST(JsonMerge, ConflictsNameThePathAndAllThreeSides) {
  const DocumentMerge merge =
      merge_document("a.json",
                     {R"({"a": {"b/c": [1, {"~d": 1}]}, "e": 1, "f": 1})", R"({"a": {"b/c": [1, {"~d": 2}]}, "f": 2})",
                      R"({"a": {"b/c": [1, {"~d": {"x": 3}}]}, "e": 2})"},
                     ConflictSide::kNone);
  ASSERT_EQ(merge.conflicts.size(), 3u);
  EXPECT_EQ(merge.conflicts[0].path, "/e");
  EXPECT_EQ(merge.conflicts[0].base, "1");
  EXPECT_EQ(merge.conflicts[0].ours, std::nullopt);
  EXPECT_EQ(merge.conflicts[0].theirs, "2");
  EXPECT_EQ(merge.conflicts[1].path, "/a/b~1c/1/~0d");
  EXPECT_EQ(merge.conflicts[1].base, "1");
  EXPECT_EQ(merge.conflicts[1].ours, "2");
  EXPECT_EQ(merge.conflicts[1].theirs, "{\"x\": 3}");
  EXPECT_EQ(merge.conflicts[2].path, "/f");
  EXPECT_EQ(merge.conflicts[2].theirs, std::nullopt);
}

TEST(JsonMerge, APreferenceDecidesConflictsAndNothingElse) {
  const Sides sides{R"({"a": 1, "b": 1, "c": 1, "d": 1})", R"({"a": 2, "b": 2, "c": 1, "d": 2})",
                    R"({"a": 3, "b": 1, "c": 3})"};
  EXPECT_EQ(merge_document("a.json", sides, ConflictSide::kOurs).content, R"({"a": 2, "b": 2, "c": 3, "d": 2})");
  EXPECT_EQ(merge_document("a.json", sides, ConflictSide::kTheirs).content, R"({"a": 3, "b": 2, "c": 3})");
  EXPECT_EQ(merge_document("a.json", sides, ConflictSide::kOurs).conflicts.size(), 2u);
}

TEST(JsonMerge, ListsMergeByPositionOrByWhatStayed) {
  EXPECT_EQ(clean("a.json", "[1, 2, 3]", "[1, 20, 3]", "[10, 2, 3]"), "[10, 20, 3]");
  EXPECT_EQ(clean("a.json", R"([{"n": "a", "v": 1}, {"n": "b", "v": 1}])",
                  R"([{"n": "a", "v": 2}, {"n": "b", "v": 1}])", R"([{"n": "a", "v": 1, "w": 0}, {"n": "b", "v": 3}])"),
            R"([{"n": "a", "v": 2, "w": 0}, {"n": "b", "v": 3}])");
  EXPECT_EQ(clean("a.json", "[1, 2, 3, 4]", "[0, 1, 2, 3, 4]", "[1, 2, 3, 5]"), "[0, 1, 2, 3, 5]");
  EXPECT_EQ(clean("a.json", "[\n  1,\n  2,\n  3\n]\n", "[\n  0,\n  1,\n  2,\n  3\n]\n", "[\n  1,\n  2\n]\n"),
            "[\n  0,\n  1,\n  2\n]\n");
  // Both append: whose comes first cannot be told.
  EXPECT_EQ(conflict_paths("a.json", R"({"l": [1]})", R"({"l": [1, 2]})", R"({"l": [1, 3]})"), Paths{"/l"});
  EXPECT_EQ(clean("a.json", R"({"l": [1]})", R"({"l": [1, 2]})", R"({"l": [1, 2]})"), R"({"l": [1, 2]})");
  EXPECT_EQ(conflict_paths("a.json", R"({"l": [1, 2]})", R"({"l": [2]})", R"({"l": [1, 2, 3], "m": 1})"), Paths{});
}

TEST(JsonMerge, ShapesThatDifferConflictWhereTheyDiffer) {
  EXPECT_EQ(conflict_paths("a.json", R"({"a": 1})", R"({"a": [1]})", R"({"a": {"b": 1}})"), Paths{"/a"});
  EXPECT_EQ(conflict_paths("a.json", R"({"a": 1})", R"([1])", R"({"a": 2})"), Paths{""});
  EXPECT_EQ(conflict_paths("a.json", "1", "2", "3"), Paths{""});
}

TEST(JsonMerge, AddedOnBothSidesMergesAsMaps) {
  const DocumentMerge merge =
      merge_document("a.json", {std::nullopt, R"({"a": 1, "same": 0})", R"({"b": 2, "same": 0})"}, ConflictSide::kNone);
  EXPECT_TRUE(merge.conflicts.empty());
  EXPECT_EQ(merge.content, R"({"b": 2, "a": 1, "same": 0})");
  EXPECT_EQ(
      merge_document("a.json", {std::nullopt, R"({"a": 1})", R"({"a": 2})"}, ConflictSide::kNone).conflicts[0].path,
      "/a");
  EXPECT_EQ(merge_document("a.txt", {std::nullopt, "one\n", "two\n"}, ConflictSide::kNone).conflicts.size(), 1u);
}

TEST(JsonMerge, WhatIsNotJsonMergesByLines) {
  EXPECT_EQ(clean("a.json", "{\n a: 1,\n b: 2,\n c: 3\n}\n", "{\n a: 10,\n b: 2,\n c: 3\n}\n",
                  "{\n a: 1,\n b: 2,\n c: 30\n}\n"),
            "{\n a: 10,\n b: 2,\n c: 30\n}\n");
  // Nested deeper than is taken apart: by lines, and without a crash.
  const auto deep = [](const std::string& head, const std::string& tail) {
    return head + "\n" + std::string(200'000, '[') + "\n" + tail + "\n" + std::string(200'000, ']') + "\n";
  };
  EXPECT_FALSE(scan_json(deep("", "")));
  EXPECT_EQ(clean("a.json", deep("", "1"), deep(" ", "1"), deep("", "2")), deep(" ", "2"));
}

TEST(JsonScan, TakesJsonAndNothingElse) {
  for (const char* text :
       {"null", " true ", "-0.5e+10", "\"\\u00e9\\n\"", "[]", "{}", "[[], {\"a\": [1, 2]}]", "0", "{\"\": 0}", "1E5"})
    EXPECT_TRUE(scan_json(text)) << text;
  for (const char* text : {"",         "nul",    "01",          "1.",    ".5",      "+1",      "1e",        "[1,]",
                           "{\"a\":}", "{a: 1}", "{\"a\": 1,}", "[1] 2", "\"\t\"",  "\"\\x\"", "\"\\u12\"", "\"",
                           "[",        "{\"a\"", "\"\xff\"",    "NaN",   "// c\n1", "'a'",     "[1 2]"}) {
    EXPECT_FALSE(scan_json(text)) << text;
  }
  const auto map = scan_json(R"({"\u0061\ud83d\ude00\/": 1, "\ud800": 2})");
  ASSERT_TRUE(map);
  EXPECT_EQ(map->members[0].key, "a\xf0\x9f\x98\x80/");
  EXPECT_EQ(map->members[1].key, "\\ud800");
}

TEST(YamlMerge, KeepsCommentsQuotesAndOrder) {
  EXPECT_EQ(
      clean("values.yaml",
            "# the web tier\nweb:\n  image: 'web:1'   # pinned\n  replicas: 2\n\n# the database\ndb:\n  size: 10Gi\n",
            "# the web tier\nweb:\n  image: 'web:1'   # pinned\n  replicas: 3\n\n# the database\ndb:\n  size: 10Gi\n",
            "# the web tier\nweb:\n  image: 'web:1'   # pinned\n  replicas: 2\n  # how long to wait\n  timeout: "
            "30s\n\n# the database\ndb:\n  size: 20Gi\n"),
      "# the web tier\nweb:\n  image: 'web:1'   # pinned\n  replicas: 3\n  # how long to wait\n  timeout: 30s\n\n# the "
      "database\ndb:\n  size: 20Gi\n");
}

TEST(YamlMerge, AdjacentKeysDoNotConflictAndSameOnesDo) {
  const std::string base = "a: 1\nb: 2\nc: 3\n";
  EXPECT_EQ(clean("a.yml", base, "a: 10\nb: 2\nc: 3\n", "a: 1\nb: 20\nc: 3\n"), "a: 10\nb: 20\nc: 3\n");
  EXPECT_EQ(clean("a.yml", base, "a: 1\nc: 3\n", "a: 1\nb: 2\nc: 30\nd: 4\n"), "a: 1\nc: 30\nd: 4\n");
  const DocumentMerge merge =
      merge_document("a.yml", {base, "a: 10\nb: 2\nc: 3\n", "a: \"1\"\nb: 2\nc: 3\n"}, ConflictSide::kNone);
  ASSERT_EQ(merge.conflicts.size(), 1u);
  EXPECT_EQ(merge.conflicts[0].path, "/a");
  EXPECT_EQ(merge.conflicts[0].base, "1");
  EXPECT_EQ(merge.conflicts[0].ours, "10");
  EXPECT_EQ(merge.conflicts[0].theirs, "\"1\"");
  EXPECT_EQ(merge_document("a.yml", {base, "a: 10\nb: 2\n", "a: 11\nb: 2\nc: 4\n"}, ConflictSide::kTheirs).content,
            "a: 11\nb: 2\nc: 4\n");
  EXPECT_EQ(merge_document("a.yml", {base, "a: 10\nb: 2\n", "a: 11\nb: 2\nc: 4\n"}, ConflictSide::kOurs).content,
            "a: 10\nb: 2\n");
}

TEST(YamlMerge, ListsOfMaps) {
  const std::string base =
      "containers:\n- name: web\n  image: web:1\n  env:\n    - name: A\n      value: x\n- name: log\n  image: log:1\n";
  EXPECT_EQ(clean("pod.yaml", base,
                  "containers:\n- name: web\n  image: web:2\n  env:\n    - name: A\n      value: x\n- name: log\n  "
                  "image: log:1\n",
                  "containers:\n- name: web\n  image: web:1\n  env:\n    - name: A\n      value: x\n    - name: B\n    "
                  "  value: y\n- name: log\n  image: log:1\n- name: proxy\n  image: p:1\n"),
            "containers:\n- name: web\n  image: web:2\n  env:\n    - name: A\n      value: x\n    - name: B\n      "
            "value: y\n- name: log\n  image: log:1\n- name: proxy\n  image: p:1\n");
  // The first key of an item, which stands behind the dash, goes and comes.
  EXPECT_EQ(clean("a.yaml", "- a: 1\n  b: 2\n- c\n", "- a: 1\n  b: 3\n- c\n", "- b: 2\n- c\n"), "- b: 3\n- c\n");
  EXPECT_EQ(clean("a.yaml", "- b: 2\n- c\n", "- b: 3\n- c\n", "- a: 1\n  b: 2\n- c\n"), "- a: 1\n  b: 3\n- c\n");
}

TEST(YamlMerge, BlockScalarsStayWhole) {
  const std::string base = "script: |\n  # not a comment\n  run: it\n\n  end\nnext: 1\n";
  EXPECT_EQ(clean("a.yaml", base, "script: |\n  # not a comment\n  run: it\n\n  end\nnext: 2\n",
                  "script: |\n  # not a comment\n  run: them\n\n  end\nnext: 1\n"),
            "script: |\n  # not a comment\n  run: them\n\n  end\nnext: 2\n");
}

TEST(YamlMerge, WithoutALastLineBreak) {
  EXPECT_EQ(clean("a.yaml", "a: 1\nb: 2", "a: 2\nb: 2", "a: 1\nb: 2\nc: 3"), "a: 2\nb: 2\nc: 3");
}

TEST(YamlMerge, WhatHasNoPlainStructureMergesByLines) {
  // An alias would change its meaning when keys move: by lines, where adjacent changes conflict.
  const std::string base = "base: &b\n  x: 1\nuse: *b\nother: 1\n";
  EXPECT_FALSE(scan_yaml(base));
  EXPECT_EQ(
      conflict_paths("a.yaml", base, "base: &b\n  x: 2\nuse: *b\nother: 1\n", "base: &b\n  x: 1\nuse: *b\nother: 2\n"),
      Paths{});
  EXPECT_EQ(conflict_paths("a.yaml", base, "base: &b\n  x: 2\nuse: *b\nother: 1\n",
                           "base: &b\n  x: 1\nuse: none\nother: 1\n"),
            Paths{""});
  for (const char* text : {"a: 1\n---\nb: 2\n", "a:\n\tb: 1\n", "{a: 1}\n", "? a\n: b\n", "plain\n", "a: !!str 1\n",
                           "%YAML 1.2\n---\na: 1\n", "a: [1, *x]\n", "", "# only\n", "a: 1\r\n"}) {
    EXPECT_FALSE(scan_yaml(text)) << text;
  }
  // Lines that merge into what is no YAML any more are a conflict after all.
  EXPECT_EQ(conflict_paths("a.yaml", "a: &x\n  - 1\nm: 1\nb: *x\n", "a:\n  - 1\nm: 1\nb: 1\n",
                           "a: &x\n  - 1\nm: 1\nb: *x\nc: *x\n"),
            Paths{""});
}

// On a comma where none may be, the YAML parser gives empty documents without end: merging such text must end, by lines.
TEST(YamlMerge, DamagedTextThatStopsTheParserIsMergedByLinesOrConflicts) {
  for (const std::string damage : {",", "a: 1\n---\n,\n", ", a\nb: 1\n"}) {
    EXPECT_FALSE(is_yaml(damage)) << damage;
    EXPECT_FALSE(scan_yaml(damage).has_value()) << damage;
    const DocumentMerge merged =
        merge_document("a.yaml", {damage + "x: 1\n", damage + "x: 2\n", damage + "x: 3\n"}, ConflictSide::kNone);
    EXPECT_FALSE(merged.conflicts.empty()) << damage;
  }
}

TEST(TextMerge, LinesMergeAndTouchingOnesConflict) {
  EXPECT_EQ(clean("nginx.conf", "a\nb\nc\nd\ne\n", "A\nb\nc\nd\ne\n", "a\nb\nc\nd\nE\nf\n"), "A\nb\nc\nd\nE\nf\n");
  const DocumentMerge merge =
      merge_document("nginx.conf", {"a\nb\nc\n", "a\nB\nc\n", "a\nb!\nc\n"}, ConflictSide::kNone);
  ASSERT_EQ(merge.conflicts.size(), 1u);
  EXPECT_EQ(merge.conflicts[0].path, "");
  EXPECT_EQ(merge.conflicts[0].base, "b\n");
  EXPECT_EQ(merge.conflicts[0].ours, "B\n");
  EXPECT_EQ(merge.conflicts[0].theirs, "b!\n");
  EXPECT_EQ(conflict_paths("x", "a\nb\n", "A\nb\n", "a\nB\n"), Paths{""});
  EXPECT_EQ(merge_document("x", {"a\nb\nc\nd\n", "A\nb\nc\nd\n", "a!\nb\nc\nD\n"}, ConflictSide::kTheirs).content,
            "a!\nb\nc\nD\n");
  EXPECT_EQ(merge_document("x", {"a\nb\nc\nd\n", "A\nb\nc\nd\n", "a!\nb\nc\nD\n"}, ConflictSide::kOurs).content,
            "A\nb\nc\nD\n");
  // The break at the end is a difference of the last line.
  EXPECT_EQ(clean("x", "a\nb\nc", "a\nb\nc\n", "A\nb\nc"), "A\nb\nc\n");
}

TEST(TextMerge, BinaryAndExistenceConflictWhole) {
  const std::string zero("a\0b", 3);
  EXPECT_EQ(conflict_paths("x.bin", zero, zero + "1", zero + "2"), Paths{""});
  EXPECT_EQ(conflict_paths("x.json", "{}", "\xff\xfe", "{\"a\": 1}"), Paths{""});
  const DocumentMerge gone = merge_document("x", {"a\n", std::nullopt, "b\n"}, ConflictSide::kNone);
  ASSERT_EQ(gone.conflicts.size(), 1u);
  EXPECT_EQ(gone.conflicts[0].ours, std::nullopt);
  EXPECT_EQ(gone.conflicts[0].theirs, "b\n");
  EXPECT_EQ(merge_document("x", {"a\n", std::nullopt, "b\n"}, ConflictSide::kOurs).content, std::nullopt);
  EXPECT_EQ(merge_document("x", {"a\n", std::nullopt, "b\n"}, ConflictSide::kTheirs).content, "b\n");
  EXPECT_EQ(merge_document("x", {"a\n", std::nullopt, "a\n"}, ConflictSide::kNone).content, std::nullopt);
  EXPECT_TRUE(merge_document("x", {"a\n", std::nullopt, std::nullopt}, ConflictSide::kNone).conflicts.empty());
}

TEST(TextMerge, LargeFilesThatShareLittleEnd) {
  // Every line differs: bounded work, and one conflict.
  std::string base, ours, theirs;
  for (int i = 0; i < 60'000; ++i) {
    base += "b" + std::to_string(i) + "\n";
    ours += "o" + std::to_string(i % 7) + "\n";
    theirs += "t" + std::to_string(i) + "\n";
  }
  EXPECT_EQ(merge_document("x", {base, ours, theirs}, ConflictSide::kNone).conflicts.size(), 1u);
}

}  // namespace
}  // namespace st8::state::merge
