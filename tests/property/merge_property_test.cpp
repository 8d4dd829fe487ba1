// Three-way merges of random documents and their random changes.
#include <functional>
#include <gtest/gtest.h>
#include <map>
#include <nlohmann/json.hpp>
#include <random>
#include <yaml-cpp/yaml.h>

#include "merge/document_merge.h"
#include "merge/json_scan.h"
#include "merge/sequence_merge.h"
#include "merge/yaml_scan.h"
#include "support/seed.h"

namespace st8::state::merge {
namespace {

using Json = nlohmann::ordered_json;

class Random {
 public:
  explicit Random(std::uint64_t seed) : engine_(seed) {}
  std::size_t below(std::size_t bound) { return std::uniform_int_distribution<std::size_t>(0, bound - 1)(engine_); }
  bool one_in(std::size_t n) { return below(n) == 0; }

 private:
  std::mt19937_64 engine_;
};

Json random_scalar(Random& random) {
  switch (random.below(6)) {
    case 0:
      return nullptr;
    case 1:
      return random.one_in(2);
    case 2:
      return "text " + std::to_string(random.below(1000));
    case 3:
      return "a \"quoted\" \\ {text}: # [x]";
    case 4:
      return 9007199254740993u + random.below(1000);
    default:
      return random.below(100);
  }
}
Json random_value(Random& random, std::size_t depth) {
  if (depth == 0 || random.one_in(2)) return random_scalar(random);
  Json value = random.one_in(3) ? Json::array() : Json::object();
  for (std::size_t n = random.below(5); n > 0; --n) {
    if (value.is_array())
      value.push_back(random_value(random, depth - 1));
    else
      value["k" + std::to_string(random.below(9))] = random_value(random, depth - 1);
  }
  return value;
}
Json random_object(Random& random) {
  Json value = Json::object();
  for (std::size_t n = 1 + random.below(6); n > 0; --n)
    value["k" + std::to_string(random.below(9))] = random_value(random, 3);
  return value;
}
// A few changes anywhere.
void change(Json& value, Random& random) {
  if (value.is_object() && !random.one_in(6)) {
    if (value.empty() || random.one_in(4)) {
      value["n" + std::to_string(random.below(9))] = random_value(random, 2);
    } else {
      auto at = value.begin();
      std::advance(at, static_cast<std::ptrdiff_t>(random.below(value.size())));
      if (random.one_in(4))
        value.erase(at.key());
      else
        change(at.value(), random);
    }
  } else if (value.is_array() && !random.one_in(6)) {
    if (value.empty() || random.one_in(4)) {
      value.insert(value.begin() + static_cast<std::ptrdiff_t>(random.below(value.size() + 1)),
                   random_value(random, 1));
    } else {
      const std::size_t at = random.below(value.size());
      if (random.one_in(4))
        value.erase(at);
      else
        change(value[at], random);
    }
  } else {
    value = random_value(random, 1);
  }
}

// YAML in block style, with comments between, as people write it.
void print_yaml(const Json& value, std::size_t indent, bool in_list_item, Random& random, std::string& out) {
  const std::string pad(indent, ' ');
  const auto print_value = [&](const Json& child) {
    const bool container = (child.is_object() || child.is_array()) && !child.empty();
    if (!container) {
      out += " " + child.dump() + (random.one_in(8) ? "  # note" : "") + "\n";
      return;
    }
    out += random.one_in(8) ? " # note\n" : "\n";
    const std::size_t deeper = child.is_array() && value.is_object() && random.one_in(2) ? indent : indent + 2;
    print_yaml(child, deeper, false, random, out);
  };
  bool first = true;
  if (value.is_object()) {
    for (const auto& [key, child] : value.items()) {
      if (!(first && in_list_item)) {
        if (random.one_in(6)) out += pad + "# about " + key + "\n";
        if (random.one_in(9)) out += "\n";
        out += pad;
      }
      out += key + ":";
      print_value(child);
      first = false;
    }
    return;
  }
  for (const Json& child : value) {
    if (random.one_in(8)) out += pad + "# item\n";
    out += pad + "-";
    if (child.is_object() && !child.empty() && !random.one_in(4)) {
      out += " ";
      print_yaml(child, indent + 2, true, random, out);
    } else {
      print_value(child);
    }
  }
}

struct Format {
  const char* key;
  std::function<std::string(const Json&, Random&)> print;
  std::function<std::optional<Value>(std::string_view)> scan;
};
Format json_format(int indent) {
  return {"a.json", [indent](const Json& value, Random&) { return value.dump(indent) + (indent < 0 ? "" : "\n"); },
          scan_json};
}
Format yaml_format() {
  return {"a.yaml",
          [](const Json& value, Random& random) {
            if (value.empty()) return std::string("{}\n");
            std::string out = random.one_in(4) ? "---\n" : random.one_in(4) ? "# head\n" : "";
            print_yaml(value, 0, false, random, out);
            if (random.one_in(5)) out += "# end\n";
            return out;
          },
          scan_yaml};
}

// What a document says, its formatting apart.
void expect_says(const Format& format, const std::string& text, const std::string& expected, std::uint64_t seed) {
  const auto a = format.scan(text), b = format.scan(expected);
  if (!a || !b) {
    // `{}` alone and the like have no block structure; then the two readings must agree.
    EXPECT_EQ(YAML::Dump(YAML::Load(text)), YAML::Dump(YAML::Load(expected))) << "seed " << seed;
    return;
  }
  EXPECT_TRUE(same(*a, *b)) << "seed " << seed << "\n" << text << "\n--- expected\n" << expected;
}

void check(const Format& format, std::uint64_t seed) {
  Random random(seed);
  const Json base = random_object(random);
  Json ours = base, theirs = base;
  for (std::size_t n = random.below(4); n > 0; --n) change(ours, random);
  for (std::size_t n = random.below(4); n > 0; --n) change(theirs, random);
  const std::string b = format.print(base, random), o = format.print(ours, random), t = format.print(theirs, random);
  SCOPED_TRACE("seed " + std::to_string(seed) + "\n--- base\n" + b + "--- ours\n" + o + "--- theirs\n" + t);
  EXPECT_TRUE(format.scan(b));
  if (!ours.empty()) {
    EXPECT_TRUE(format.scan(o));
  }

  // One side alone: that side, byte for byte.
  EXPECT_EQ(merge_document(format.key, {b, o, b}, ConflictSide::kNone).content, o);
  EXPECT_EQ(merge_document(format.key, {b, b, t}, ConflictSide::kNone).content, t);
  EXPECT_EQ(merge_document(format.key, {b, o, o}, ConflictSide::kNone).content, o);

  const DocumentMerge forth = merge_document(format.key, {b, o, t}, ConflictSide::kNone);
  const DocumentMerge back = merge_document(format.key, {b, t, o}, ConflictSide::kNone);
  EXPECT_EQ(forth.conflicts.empty(), back.conflicts.empty());
  std::multiset<std::string> forth_paths, back_paths;
  for (const Conflict& conflict : forth.conflicts)
    forth_paths.insert(conflict.path.substr(0, conflict.path.find_last_not_of("0123456789") + 1));
  for (const Conflict& conflict : back.conflicts)
    back_paths.insert(conflict.path.substr(0, conflict.path.find_last_not_of("0123456789") + 1));
  EXPECT_EQ(forth_paths.size(), back_paths.size());
  if (forth.conflicts.empty()) {
    ASSERT_TRUE(forth.content && back.content);
    expect_says(format, *forth.content, *back.content, seed);
    // Merging a side again brings nothing new.
    EXPECT_EQ(merge_document(format.key, {t, *forth.content, t}, ConflictSide::kNone).content, forth.content);
  }
  // A preference always gives a document; all of ours' way and all of theirs' way.
  for (const ConflictSide side : {ConflictSide::kOurs, ConflictSide::kTheirs}) {
    const DocumentMerge chosen = merge_document(format.key, {b, o, t}, side);
    ASSERT_TRUE(chosen.content);
    if (!base.empty() && !ours.empty() && !theirs.empty()) {
      EXPECT_NO_THROW(YAML::Load(*chosen.content)) << *chosen.content;
    }
    const DocumentMerge mirrored = merge_document(
        format.key, {b, t, o}, side == ConflictSide::kOurs ? ConflictSide::kTheirs : ConflictSide::kOurs);
    ASSERT_TRUE(mirrored.content);
    expect_says(format, *chosen.content, *mirrored.content, seed);
  }
}

TEST(MergeProperty, JsonOfAnyIndentation) {
  for (std::uint64_t first = st8::test::first_seed(), seed = first; seed - first < 1'500; ++seed) {
    ASSERT_NO_FATAL_FAILURE(
        check(json_format(static_cast<int>(seed % 4) * 2 - 2 < 0 ? -1 : static_cast<int>(seed % 4) * 2 - 2), seed));
    if (testing::Test::HasFailure()) return;
  }
}
TEST(MergeProperty, YamlInBlockStyle) {
  for (std::uint64_t first = st8::test::first_seed(), seed = first; seed - first < 1'500; ++seed) {
    ASSERT_NO_FATAL_FAILURE(check(yaml_format(), seed));
    if (testing::Test::HasFailure()) return;
  }
}

// Changes of different members of a map: all land, whatever the sides.
TEST(MergeProperty, DisjointChangesAllLand) {
  for (const Format& format : {json_format(2), json_format(-1), yaml_format()}) {
    for (std::uint64_t first = st8::test::first_seed(), seed = first; seed - first < 300; ++seed) {
      Random random(seed);
      Json base = Json::object();
      for (int i = 0; i < 12; ++i) {
        if (random.one_in(5))
          base["k" + std::to_string(i)] = {{"deep", {{"a", i}, {"b", Json::array({1, 2, i})}}}, {"c", "x"}};
        else
          base["k" + std::to_string(i)] = random_scalar(random);
      }
      Json ours = base, theirs = base, both = base;
      for (int i = 0; i < 14; ++i) {
        const std::string key = "k" + std::to_string(i);
        Json& side = random.one_in(2) ? ours : theirs;
        if (random.one_in(2)) continue;
        if (base.contains(key) && random.one_in(3)) {
          side.erase(key);
          both.erase(key);
        } else {
          side[key] = both[key] = random_value(random, 2);
        }
      }
      const std::string b = format.print(base, random), o = format.print(ours, random),
                        t = format.print(theirs, random);
      SCOPED_TRACE("seed " + std::to_string(seed) + "\n--- base\n" + b + "--- ours\n" + o + "--- theirs\n" + t);
      const DocumentMerge merged = merge_document(format.key, {b, o, t}, ConflictSide::kNone);
      ASSERT_TRUE(merged.conflicts.empty()) << merged.conflicts.front().path;
      expect_says(format, *merged.content, format.print(both, random), seed);
      if (testing::Test::HasFailure()) return;
    }
  }
}

std::vector<Symbol> random_sequence(Random& random, std::size_t size, std::size_t alphabet) {
  std::vector<Symbol> out;
  for (std::size_t i = 0; i < size; ++i) out.push_back(static_cast<Symbol>(random.below(alphabet)));
  return out;
}
std::vector<Symbol> edited(std::vector<Symbol> sequence, Random& random, std::size_t alphabet) {
  for (std::size_t n = random.below(5); n > 0; --n) {
    const auto at = static_cast<std::ptrdiff_t>(random.below(sequence.size() + 1));
    switch (random.below(3)) {
      case 0:
        sequence.insert(sequence.begin() + at, static_cast<Symbol>(random.below(alphabet)));
        break;
      case 1:
        if (at < std::ssize(sequence)) sequence.erase(sequence.begin() + at);
        break;
      default:
        if (at < std::ssize(sequence))
          sequence[static_cast<std::size_t>(at)] = static_cast<Symbol>(random.below(alphabet));
    }
  }
  return sequence;
}

TEST(MergeProperty, DifferencesOfSequencesApply) {
  for (std::uint64_t first = st8::test::first_seed(), seed = first; seed - first < 3'000; ++seed) {
    Random random(seed);
    const std::size_t alphabet = 1 + random.below(random.one_in(2) ? 4 : 1000);
    const auto from = random_sequence(random, random.below(60), alphabet);
    const auto to =
        random.one_in(3) ? random_sequence(random, random.below(60), alphabet) : edited(from, random, alphabet);
    std::vector<Symbol> applied;
    std::size_t at = 0;
    for (const Hunk& hunk : diff_sequences(from, to)) {
      ASSERT_TRUE(hunk.from_begin >= at && hunk.from_end >= hunk.from_begin && hunk.to_end >= hunk.to_begin);
      ASSERT_TRUE(at == 0 || hunk.from_begin > at) << "touching hunks, seed " << seed;
      applied.insert(applied.end(), from.begin() + static_cast<std::ptrdiff_t>(at),
                     from.begin() + static_cast<std::ptrdiff_t>(hunk.from_begin));
      ASSERT_EQ(applied.size(), hunk.to_begin);
      applied.insert(applied.end(), to.begin() + static_cast<std::ptrdiff_t>(hunk.to_begin),
                     to.begin() + static_cast<std::ptrdiff_t>(hunk.to_end));
      at = hunk.from_end;
    }
    applied.insert(applied.end(), from.begin() + static_cast<std::ptrdiff_t>(at), from.end());
    ASSERT_EQ(applied, to) << "seed " << seed;
  }
}

TEST(MergeProperty, RegionsCoverAllThreeAndMirror) {
  using Kind = Region::Kind;
  for (std::uint64_t first = st8::test::first_seed(), seed = first; seed - first < 3'000; ++seed) {
    Random random(seed);
    const std::size_t alphabet = 1 + random.below(random.one_in(2) ? 4 : 1000);
    const auto base = random_sequence(random, random.below(40), alphabet);
    const auto ours = edited(base, random, alphabet), theirs = edited(base, random, alphabet);
    const auto regions = merge_sequences(base, ours, theirs), mirrored = merge_sequences(base, theirs, ours);
    ASSERT_EQ(regions.size(), mirrored.size());
    std::size_t b = 0, o = 0, t = 0;
    for (std::size_t i = 0; i < regions.size(); ++i) {
      const Region& r = regions[i];
      ASSERT_TRUE(r.base_begin == b && r.ours_begin == o && r.theirs_begin == t) << "seed " << seed;
      b = r.base_end;
      o = r.ours_end;
      t = r.theirs_end;
      const auto part = [](const std::vector<Symbol>& all, std::size_t begin, std::size_t end) {
        return std::vector<Symbol>(all.begin() + static_cast<std::ptrdiff_t>(begin),
                                   all.begin() + static_cast<std::ptrdiff_t>(end));
      };
      const auto in_base = part(base, r.base_begin, r.base_end), in_ours = part(ours, r.ours_begin, r.ours_end),
                 in_theirs = part(theirs, r.theirs_begin, r.theirs_end);
      if (r.kind == Kind::kUnchanged) {
        EXPECT_TRUE(in_base == in_ours && in_base == in_theirs);
      }
      if (r.kind == Kind::kOurs) {
        EXPECT_EQ(in_base, in_theirs);
      }
      if (r.kind == Kind::kTheirs) {
        EXPECT_EQ(in_base, in_ours);
      }
      if (r.kind == Kind::kSame) {
        EXPECT_EQ(in_ours, in_theirs);
      }
      EXPECT_EQ(mirrored[i].kind, r.kind == Kind::kOurs     ? Kind::kTheirs
                                  : r.kind == Kind::kTheirs ? Kind::kOurs
                                                            : r.kind);
    }
    EXPECT_TRUE(b == base.size() && o == ours.size() && t == theirs.size());
  }
}

TEST(MergeProperty, LinesOfText) {
  for (std::uint64_t first = st8::test::first_seed(), seed = first; seed - first < 1'000; ++seed) {
    Random random(seed);
    const auto text = [](const std::vector<Symbol>& lines) {
      std::string out;
      for (const Symbol line : lines) out += "line " + std::to_string(line) + "\n";
      return out;
    };
    const auto base = random_sequence(random, random.below(40), 30);
    const std::string b = text(base), o = text(edited(base, random, 30)), t = text(edited(base, random, 30));
    const DocumentMerge forth = merge_document("notes.txt", {b, o, t}, ConflictSide::kNone),
                        back = merge_document("notes.txt", {b, t, o}, ConflictSide::kNone);
    EXPECT_EQ(forth.conflicts.size(), back.conflicts.size());
    if (forth.conflicts.empty()) {
      EXPECT_EQ(forth.content, back.content);
    }
    EXPECT_EQ(merge_document("notes.txt", {b, o, b}, ConflictSide::kNone).content, o);
    EXPECT_EQ(merge_document("notes.txt", {b, b, t}, ConflictSide::kNone).content, t);
    EXPECT_EQ(merge_document("notes.txt", {b, o, t}, ConflictSide::kOurs).content,
              merge_document("notes.txt", {b, t, o}, ConflictSide::kTheirs).content);
  }
}

}  // namespace
}  // namespace st8::state::merge
