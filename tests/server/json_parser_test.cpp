// Our JSON parser against nlohmann/json: the same texts accepted, the same values read, over random documents and damaged ones.
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <vector>

#include "support/seed.h"
#include "wire/json.h"
#include "wire/text.h"

namespace st8::wire {
namespace {

using Json = nlohmann::json;

class Generator {
 public:
  explicit Generator(std::uint32_t seed) : random_(seed) {}

  std::size_t below(std::size_t n) { return std::uniform_int_distribution<std::size_t>(0, n - 1)(random_); }

  std::string space() {
    static const std::vector<std::string> kSpaces = {"", "", "", " ", "\n", "\t", "\r\n", "  "};
    return kSpaces[below(kSpaces.size())];
  }
  std::string text() {
    static const std::vector<std::string> kPieces = {"a",
                                                     "key",
                                                     "\\n",
                                                     "\\\"",
                                                     "\\\\",
                                                     "\\/",
                                                     "\\u0041",
                                                     "\\u00e9",
                                                     "\xc3\xa9",
                                                     "\xf0\x9f\x98\x80",
                                                     "\\ud83d\\ude00",
                                                     "12345678",
                                                     "abcdefghijklmnop",
                                                     "\\b\\f\\r\\t",
                                                     "\\u0000",
                                                     " ",
                                                     "{",
                                                     "]",
                                                     ",",
                                                     "\x7f"};
    std::string out = "\"";
    for (std::size_t n = below(6); n > 0; --n) out += kPieces[below(kPieces.size())];
    return out + "\"";
  }
  std::string number() {
    static const std::vector<std::string> kNumbers = {"0",
                                                      "-0",
                                                      "1",
                                                      "-17",
                                                      "9007199254740993",
                                                      "18446744073709551615",
                                                      "1.5",
                                                      "-0.25e3",
                                                      "1E+2",
                                                      "2e-7",
                                                      "123456789012345678901234567890"};
    return kNumbers[below(kNumbers.size())];
  }
  std::string value(std::size_t depth) {
    switch (below(depth == 0 ? 5 : 8)) {
      case 0:
        return "null";
      case 1:
        return "true";
      case 2:
        return "false";
      case 3:
        return number();
      case 4:
        return text();
      case 5:
      case 6: {
        std::string out = "[" + space();
        const std::size_t n = below(5);
        for (std::size_t i = 0; i < n; ++i) out += (i == 0 ? "" : ",") + space() + value(depth - 1) + space();
        return out + "]";
      }
      default: {
        std::string out = "{" + space();
        const std::size_t n = below(25);
        for (std::size_t i = 0; i < n; ++i)
          out += (i == 0 ? "" : ",") + space() + "\"k" + std::to_string(i) + "\"" + space() + ":" + space() +
                 value(depth - 1) + space();
        return out + "}";
      }
    }
  }
  std::string damaged(std::string text) {
    static constexpr std::string_view kBytes(
        "\0\x01\x1f \"\\{}[]:,ue019.-+tfn\x7f\x80\xbf\xc0\xc3\xe2\xed\xa0\xf4\xf5\xff", 34);
    for (std::size_t n = 1 + below(3); n > 0; --n) {
      const std::size_t at = text.empty() ? 0 : below(text.size());
      switch (below(4)) {
        case 0:
          if (!text.empty()) text.erase(at, 1 + below(3));
          break;
        case 1:
          text.insert(at, 1, kBytes[below(kBytes.size())]);
          break;
        case 2:
          if (!text.empty()) text[at] = kBytes[below(kBytes.size())];
          break;
        default:
          text = text.substr(0, at);
      }
    }
    return text;
  }

 private:
  std::mt19937 random_;
};

void compare(const std::string& text, int& accepted, int& refused) {
  const Result<JsonValue> ours = parse_json(text);
  Json theirs;
  std::string why;
  try {
    theirs = Json::parse(text);
  } catch (const std::exception& failure) {
    why = failure.what();
  }
  const bool theirs_good = why.empty();
  const bool twice = !ours && ours.error().message.find("stands twice") != std::string::npos;
  // is_json() keeps no names, so it does not see one that stands twice.
  if (!twice) {
    EXPECT_EQ(is_json(text), ours.has_value()) << printable(text, 2000);
  }
  if (ours) {
    ++accepted;
    // A number beyond a double is a number to us: its digits are kept.
    if (!theirs_good && why.find("out_of_range") != std::string::npos) return;
    ASSERT_TRUE(theirs_good) << "accepted: " << printable(text, 2000) << "\n" << why;
    EXPECT_EQ(Json::parse(to_json(*ours)), theirs) << printable(text, 2000);
  } else {
    ++refused;
    EXPECT_TRUE(is_utf8(ours.error().message));
    EXPECT_LT(ours.error().message.size(), 400u);
    // The library takes a NUL for the end of its input and looks no further.
    const bool stricter = twice || text.find('\0') != std::string::npos;
    EXPECT_TRUE(!theirs_good || stricter) << "refused: " << printable(text, 2000) << "\n" << ours.error().message;
  }
}

TEST(JsonParser, AgreesWithNlohmannOnRandomAndDamagedDocuments) {
  int accepted = 0, refused = 0;
  for (std::uint32_t seed = 0; seed < 4000 && !testing::Test::HasFailure(); ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Generator generator(seed);
    const std::string text = generator.space() + generator.value(4) + generator.space();
    compare(text, accepted, refused);
    for (int i = 0; i < 4; ++i) compare(generator.damaged(text), accepted, refused);
  }
  EXPECT_GT(accepted, 4000);
  EXPECT_GT(refused, 4000);
}

TEST(JsonParser, AgreesOnEveryShortTextOfCriticalBytes) {
  static const std::string kBytes = "\"\\u{}[]:,0-.e1tn \xc3\xa9\x01";
  int accepted = 0, refused = 0;
  std::string text;
  for (const char a : kBytes) {
    for (const char b : kBytes) {
      for (const char c : kBytes) compare({a, b, c}, accepted, refused);
      compare({a, b}, accepted, refused);
    }
    compare({a}, accepted, refused);
  }
  EXPECT_GT(accepted, 20);
}

TEST(JsonParser, FindsWhatEndsARunAtEveryOffset) {
  for (std::size_t length = 0; length < 110; length += length < 70 ? 1 : 7) {
    for (std::size_t at = 0; at <= length; ++at) {
      const std::string before(at, 'x'), after(length - at, 'y');
      EXPECT_EQ(parse_json("\"" + before + "\\n" + after + "\"")->text, before + "\n" + after);
      EXPECT_EQ(parse_json("\"" + before + "\xc3\xa9" + after + "\"")->text, before + "\xc3\xa9" + after);
      EXPECT_FALSE(parse_json("\"" + before + "\x1f" + after + "\""));
      EXPECT_FALSE(parse_json("\"" + before + "\xff" + after + "\""));
      EXPECT_FALSE(parse_json("\"" + before + "\"" + after + "\"")) << "ends too early";
    }
  }
}

// What the writer quotes is read back as it was by both parsers: texts that are mostly plain, mostly escapes, and mixed,
// of every length around the blocks that both go by, and around the buffer that the parser puts them together in.
TEST(JsonWriter, QuotesWhatBothParsersReadBack) {
  std::mt19937 random(static_cast<std::uint32_t>(test::first_seed()));
  const std::string plain = "abcdefghij :{}[],0123456789", critical = "\"\\\n\t\r\x01\x1f\x7f/";
  for (int escapes_of_16 : {0, 1, 4, 12, 16}) {
    for (std::size_t length = 0; length < 4'200; length += length == 200 ? 3'800 : 1) {
      std::string text;
      while (text.size() < length) {
        const std::string& from = static_cast<int>(random() % 16) < escapes_of_16 ? critical : plain;
        text += from[random() % from.size()];
        if (random() % 40 == 0) text += "\xc3\xa9";
      }
      std::string quoted;
      JsonWriter(quoted).string(text);
      ASSERT_EQ(Json::parse(quoted).get<std::string>(), text) << quoted;
      const auto ours = parse_json(quoted);
      ASSERT_TRUE(ours) << quoted;
      ASSERT_EQ(ours->text, text) << quoted;
    }
  }
}

TEST(JsonParser, SaysWhereAndWhat) {
  EXPECT_EQ(parse_json("{\"a\": 1,\n \"b\": x}").error().message,
            "the body is not acceptable JSON: line 2, column 7: this is no value, at \"x}\"");
  EXPECT_EQ(parse_json("{\"a\":").error().message,
            "the body is not acceptable JSON: line 1, column 6: it ends where a value should stand");
  EXPECT_EQ(parse_json("\"ab\xff\"").error().message,
            "the body is not acceptable JSON: line 1, column 4: these bytes are not UTF-8, at \"\\xff\"\"");
}

}  // namespace
}  // namespace st8::wire
