// The error table, hashes, text, clock and the words of stored numbers.
#include <cstdint>
#include <gtest/gtest.h>
#include <set>
#include <thread>
#include <vector>

#include "st8/state/clock.h"
#include "st8/state/document.h"
#include "st8/state/error_code.h"
#include "st8/state/hash.h"
#include "st8/state/operation.h"
#include "st8/state/revision.h"
#include "st8/state/text.h"

namespace st8 {
namespace {

TEST(ErrorTable, NamesAndExitCodesAreDistinct) {
  std::set<std::string_view> names;
  std::set<int> exit_codes;
  for (int code = 0; code <= static_cast<int>(ErrorCode::kUnsupportedMediaType); ++code) {
    const ErrorTraits& traits = traits_of(static_cast<ErrorCode>(code));
    EXPECT_EQ(static_cast<int>(traits.code), code);
    EXPECT_TRUE(names.insert(traits.name).second) << traits.name;
    EXPECT_TRUE(exit_codes.insert(traits.exit_code).second) << traits.name;
    EXPECT_GT(traits.exit_code, 1) << "0 is success, 1 a difference";
    EXPECT_GE(traits.http_status, 400);
    EXPECT_LT(traits.http_status, 600);
    for (char c : traits.name) EXPECT_TRUE(c == '_' || (c >= 'a' && c <= 'z')) << traits.name;
  }
}

TEST(ErrorTable, AnUnknownCodeIsInternal) {
  EXPECT_EQ(traits_of(static_cast<ErrorCode>(200)).code, ErrorCode::kInternal);
}

TEST(HashTest, KnownDigests) {
  // FIPS 180-2, appendix B.
  EXPECT_EQ(Hash::of("").hex(), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(Hash::of("abc").hex(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(Hash::of(std::string(1'000'000, 'a')).hex(),
            "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST(HashTest, PartsAreTheWhole) {
  EXPECT_EQ(Hash::of_parts({"a", "", "bc"}), Hash::of("abc"));
  EXPECT_EQ(Hash::of_parts({}), Hash::of(""));
}

TEST(HashTest, ThreadsDoNotDisturbEachOther) {
  const Hash expected = Hash::of("abc");
  std::vector<std::thread> threads;
  std::array<bool, 4> right{};
  for (std::size_t t = 0; t < right.size(); ++t) {
    threads.emplace_back([&, t] {
      bool all = true;
      for (int i = 0; i < 2000; ++i)
        all = all && Hash::of("abc") == expected && Hash::of_parts({"ab", "c"}) == expected;
      right[t] = all;
    });
  }
  for (auto& thread : threads) thread.join();
  for (bool one : right) EXPECT_TRUE(one);
}

TEST(HashTest, HexGoesThereAndBack) {
  const Hash hash = Hash::of("x");
  EXPECT_EQ(Hash::from_hex(hash.hex()), hash);
  std::string upper = hash.hex();
  for (char& c : upper) c = static_cast<char>(std::toupper(c));
  EXPECT_EQ(Hash::from_hex(upper), hash);
  EXPECT_EQ(Hash::from_bytes(hash.view()), hash);
}

TEST(HashTest, RefusesWhatIsNotADigest) {
  const std::string hex = Hash::of("x").hex();
  for (const std::string& bad : {std::string(), hex.substr(1), hex + "0", " " + hex.substr(1), "g" + hex.substr(1),
                                 hex.substr(0, 63) + std::string(1, '\0'), std::string("0x") + hex.substr(2)}) {
    EXPECT_FALSE(Hash::from_hex(bad)) << bad;
  }
  EXPECT_FALSE(Hash::from_bytes(""));
  EXPECT_FALSE(Hash::from_bytes(std::string(31, 'a')));
  EXPECT_FALSE(Hash::from_bytes(std::string(33, 'a')));
}

TEST(Utf8, AcceptsShortestFormsOnly) {
  for (const char* good :
       {"", "plain ascii, more than eight bytes of it", "\xC3\xA9", "\xE2\x82\xAC", "\xF0\x9F\x98\x80", "\xEF\xBF\xBF",
        "\xF4\x8F\xBF\xBF", "\xED\x9F\xBF", "12345678\xC3\xA9"}) {
    EXPECT_TRUE(is_valid_utf8(good)) << good;
  }
  for (const char* bad : {"\x80",
                          "\xC0\x80",
                          "\xC1\xBF",
                          "\xE0\x80\x80",
                          "\xE0\x9F\xBF",
                          "\xF0\x80\x80\x80",
                          "\xF0\x8F\xBF\xBF",
                          "\xED\xA0\x80",
                          "\xED\xBF\xBF",
                          "\xF4\x90\x80\x80",
                          "\xF8\x88\x80\x80\x80",
                          "\xFF",
                          "\xFE",
                          "\xC3",
                          "\xE2\x82",
                          "\xF0\x9F\x98",
                          "\xC3(",
                          "12345678\xC3",
                          "1234567\x80",
                          "ok ok ok ok \xE2\x28\xA1"}) {
    EXPECT_FALSE(is_valid_utf8(bad)) << quote(bad);
  }
  EXPECT_TRUE(is_valid_utf8(std::string(3, '\0')));
}

TEST(Quoted, IsFitForAMessage) {
  EXPECT_EQ(quote("plain"), "\"plain\"");
  EXPECT_EQ(quote("a\"b\\c"), "\"a\\\"b\\\\c\"");
  EXPECT_EQ(quote(std::string_view("a\0\n\x1b", 4)), "\"a\\x00\\x0a\\x1b\"");
  EXPECT_EQ(quote("\xFF\xC3\xA9"), "\"\\xff\xC3\xA9\"");
  EXPECT_EQ(quote("\xC2\x9B"), "\"\\xc2\\x9b\"") << "a C1 control character";
  EXPECT_LT(quote(std::string(1 << 20, 'x')).size(), 100u);
  EXPECT_TRUE(is_valid_utf8(quote(std::string(79, 'x') + "\xE2\x82\xAC\xE2\x82\xAC")));
}

Timestamp at(std::string_view text) {
  const auto time = parse_rfc3339(text);
  EXPECT_TRUE(time) << text;
  return time.value_or(Timestamp{});
}

TEST(Rfc3339, KnownInstants) {
  EXPECT_EQ(at("1970-01-01T00:00:00Z").micros, 0);
  EXPECT_EQ(at("2026-11-21T01:02:03.000004Z").micros, 1'795'222'923'000'004);
  EXPECT_EQ(at("1969-12-31T23:59:59.999999Z").micros, -1);
  EXPECT_EQ(at("2000-02-29T12:00:00Z").micros, 951'825'600'000'000);
  EXPECT_EQ(format_rfc3339(Timestamp{1'795'222'923'000'004}), "2026-11-21T01:02:03.000004Z");
  EXPECT_EQ(format_rfc3339(Timestamp{-1}), "1969-12-31T23:59:59.999999Z");
}

TEST(Rfc3339, OffsetsAndFractions) {
  EXPECT_EQ(at("2026-11-21T02:00:00+01:00"), at("2026-11-21T01:00:00Z"));
  EXPECT_EQ(at("2026-11-20T19:30:00-05:30"), at("2026-11-21T01:00:00Z"));
  EXPECT_EQ(at("2026-11-21T01:00:00-00:00"), at("2026-11-21T01:00:00Z"));
  EXPECT_EQ(at("2026-11-21t01:00:00.5z").micros % 1'000'000, 500'000);
  EXPECT_EQ(at("2026-11-21T01:00:00.123456789Z").micros % 1'000'000, 123'456);
  EXPECT_EQ(at("2016-12-31T23:59:60Z"), at("2017-01-01T00:00:00Z")) << "a leap second";
}

TEST(Rfc3339, RefusesAnythingElse) {
  for (const char* bad : {"",
                          "2026",
                          "2026-11-21",
                          "2026-11-21T",
                          "2026-11-21T01:02",
                          "2026-11-21T01:02:03",
                          "2026-11-21 01:02:03Z",
                          "2026-13-01T00:00:00Z",
                          "2026-00-01T00:00:00Z",
                          "2026-02-29T00:00:00Z",
                          "2026-11-31T00:00:00Z",
                          "2026-11-00T00:00:00Z",
                          "2026-11-21T24:00:00Z",
                          "2026-11-21T01:60:00Z",
                          "2026-11-21T01:02:61Z",
                          "2026-11-21T01:02:60Z",
                          "2026-11-21T01:02:03.Z",
                          "2026-11-21T01:02:03.1234567890Z",
                          "2026-11-21T01:02:03,5Z",
                          "2026-11-21T01:02:03Zx",
                          "2026-11-21T01:02:03+1:00",
                          "2026-11-21T01:02:03+0100",
                          "2026-11-21T01:02:03+24:00",
                          "2026-11-21T01:02:03+01:60",
                          "2026-11-21T01:02:03+",
                          "26-11-21T01:02:03Z",
                          "+2026-11-21T01:02:03Z",
                          "-026-11-21T01:02:03Z",
                          "2026-11-21T-1:02:03Z",
                          " 2026-11-21T01:02:03Z",
                          "2026-11-21T01:02:03Z ",
                          "0000-01-01T00:00:00+00:01",
                          "9999-12-31T23:59:59-00:01",
                          "2026-1a-21T01:02:03Z",
                          "99999999999999999999"}) {
    EXPECT_FALSE(parse_rfc3339(bad)) << bad;
  }
  EXPECT_FALSE(parse_rfc3339(std::string_view("2026-11-21T01:02:03\0", 20)));
}

TEST(Rfc3339, FormatIsReadBackOverItsWholeRange) {
  const std::int64_t first = at("0000-01-01T00:00:00Z").micros;
  const std::int64_t last = at("9999-12-31T23:59:59.999999Z").micros;
  for (std::int64_t micros = first; micros <= last - 7'919'333'333'331; micros += 7'919'333'333'331) {
    ASSERT_EQ(at(format_rfc3339(Timestamp{micros})).micros, micros);
  }
  EXPECT_EQ(format_rfc3339(Timestamp{INT64_MAX}), "9999-12-31T23:59:59.999999Z");
  EXPECT_EQ(format_rfc3339(Timestamp{INT64_MIN}), "0000-01-01T00:00:00.000000Z");
}

TEST(Clock, MonotonicDoesNotGoBack) {
  const auto before = system_clock().monotonic();
  EXPECT_GE(system_clock().monotonic(), before);
  EXPECT_GT(system_clock().now(), at("2024-01-01T00:00:00Z"));
}

TEST(Nouns, AreTheWordsOfTheWire) {
  using namespace state;
  EXPECT_EQ(change_type_name(ChangeType::kCreate), "create");
  EXPECT_EQ(change_type_name(ChangeType::kDelete), "delete");
  EXPECT_EQ(cause_name(Cause::kCherryPick), "cherry-pick");
  EXPECT_EQ(cause_name(Cause::kAutoRollback), "auto-rollback");
  EXPECT_EQ(operation_kind_name(OperationKind::kCheckpointDelete), "checkpoint.delete");
  std::set<std::string_view> names;
  for (int i = 0; i <= static_cast<int>(OperationKind::kGc); ++i)
    names.insert(operation_kind_name(static_cast<OperationKind>(i)));
  EXPECT_EQ(names.size(), 12u);
  EXPECT_EQ(cause_name(static_cast<Cause>(99)), "unknown");
}

}  // namespace
}  // namespace st8
