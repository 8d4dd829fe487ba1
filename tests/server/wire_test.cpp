// The wire types: strict where a server reads, exact where it writes.
#include <gtest/gtest.h>
#include <string>

#include "wire/problem.h"
#include "wire/requests.h"
#include "wire/responses.h"
#include "wire/text.h"

namespace st8::wire {
namespace {

std::string error_of(const auto& result) {
  return result ? "accepted" : result.error().message + " " + result.error().hint;
}

TEST(WireJson, RefusesWhatIsNotJson) {
  for (const std::string text :
       {"", "{", "{\"a\":}", "[1,]", "{\"a\":1}x", "nul", "\"a", "{'a':1}", "01", "{\"a\" 1}", "\"\x01\""}) {
    const auto parsed = parse_json(text);
    ASSERT_FALSE(parsed) << text;
    EXPECT_EQ(parsed.error().code, ErrorCode::kInvalidArgument) << text;
    EXPECT_FALSE(is_json(text)) << text;
  }
}

TEST(WireJson, RefusesInvalidUtf8AndLoneSurrogates) {
  EXPECT_FALSE(parse_json("\"\xff\""));
  EXPECT_FALSE(parse_json("\"\xc0\xaf\""));
  EXPECT_FALSE(parse_json("\"\xed\xa0\x80\""));
  EXPECT_FALSE(parse_json(R"("\ud800")"));
  EXPECT_FALSE(parse_json(R"("\udc00x")"));
  const auto pair = parse_json(R"("\ud83d\ude00")");
  ASSERT_TRUE(pair);
  EXPECT_EQ(pair->text, "\xf0\x9f\x98\x80");
}

TEST(WireJson, ErrorMessagesAreThemselvesUtf8) {
  for (const std::string text : {"\"\xff\xfe\"", "{\"\xc3\":1}", "\x80", "{\"a\":\"\xe2\x82"}) {
    const auto parsed = parse_json(text);
    ASSERT_FALSE(parsed);
    EXPECT_TRUE(is_utf8(parsed.error().message)) << parsed.error().message;
  }
}

TEST(WireJson, RefusesAKeyGivenTwiceInSmallAndLargeObjects) {
  EXPECT_NE(error_of(parse_json(R"({"a":1,"b":2,"a":3})")).find("\"a\" stands twice"), std::string::npos);
  std::string large = "{";
  for (int i = 0; i < 100; ++i) large += "\"k" + std::to_string(i) + "\":1,";
  EXPECT_TRUE(parse_json(large + "\"last\":1}"));
  EXPECT_NE(error_of(parse_json(large + "\"k57\":1}")).find("\"k57\" stands twice"), std::string::npos);
}

TEST(WireJson, BoundsDepthAndValues) {
  EXPECT_TRUE(parse_json(std::string(128, '[') + std::string(128, ']')));
  EXPECT_FALSE(parse_json(std::string(129, '[') + std::string(129, ']')));
  EXPECT_FALSE(parse_json(std::string(200'000, '[')));
  EXPECT_FALSE(parse_json(std::string(200'000, '[') + std::string(200'000, ']')));
  std::string many = "[0";
  for (int i = 0; i < 200; ++i) many += ",0";
  const auto refused = parse_json(many + "]", JsonLimits{.depth_max = 8, .values_max = 100});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kTooLarge);
}

TEST(WireJson, WriterEscapesAndReadsBack) {
  std::string text;
  JsonWriter out(text);
  std::string every;
  for (int c = 0; c < 128; ++c) every += static_cast<char>(c);
  every += "\xc3\xa9\xf0\x9f\x98\x80";
  out.begin_object()
      .field("a", every)
      .field("n", std::uint64_t{18446744073709551615u})
      .field("i", std::int64_t{-5})
      .field("t", true);
  out.key("l").begin_array().number(std::uint64_t{1}).null().begin_object().end_object().end_array().end_object();
  const auto parsed = parse_json(text);
  ASSERT_TRUE(parsed) << parsed.error().message << text;
  EXPECT_EQ(parsed->find("a")->text, every);
  EXPECT_EQ(parsed->find("n")->text, "18446744073709551615");
  EXPECT_EQ(parsed->find("l")->items.size(), 3u);
  EXPECT_EQ(to_json(*parsed), text);
}

TEST(WireJson, WriterNeverReplacesSilently) {
  std::string text;
  JsonWriter(text).begin_object().bytes_field("content", "a\xff").end_object();
  EXPECT_EQ(text, R"({"content_base64":"Yf8="})");
  text.clear();
  JsonWriter(text).string("bad \xff here");
  EXPECT_EQ(text, R"("bad \\xff here")");
}

TEST(WireText, Base64IsStrictAndRoundTrips) {
  std::string bytes;
  for (int i = 0; i < 300; ++i) {
    EXPECT_EQ(base64_decode(base64_encode(bytes)), bytes);
    bytes += static_cast<char>(i * 7);
  }
  EXPECT_EQ(base64_encode("f"), "Zg==");
  for (const std::string bad :
       {"Zg", "Zg=", "Zg===", "Z===", "====", "Zh==", "Zm9=", "Zm 9", "Zm9v\n", "Zm9_", "=Zg="}) {
    EXPECT_FALSE(base64_decode(bad)) << bad;
  }
}

TEST(WireRequests, AcceptsWhatThePublishedClientSends) {
  const auto apply = parse_apply(R"({"scope":{"namespace":"","branch":""},"documents":null,"message":""})");
  ASSERT_TRUE(apply) << error_of(apply);
  EXPECT_TRUE(apply->documents.empty());
  EXPECT_FALSE(apply->prune);
  EXPECT_FALSE(apply->write.expected_revision);
  EXPECT_TRUE(
      parse_diff(R"({"scope":{"namespace":"a","branch":"b"},"revision_id":0,"checkpoint_name":"","documents":null})"));
  EXPECT_TRUE(
      parse_rollback(R"({"scope":{"namespace":"","branch":""},"revision_id":3,"checkpoint_name":"","message":""})"));
  EXPECT_TRUE(parse_restore(
      R"({"scope":{"namespace":"","branch":""},"from_revision":0,"from_checkpoint":"","from_branch":"x","message":""})"));
  EXPECT_TRUE(parse_branch_create(
      R"({"scope":{"namespace":"","branch":""},"name":"x","from_revision":0,"from_checkpoint":""})"));
  EXPECT_TRUE(parse_checkpoint_put(R"({"scope":{"namespace":"","branch":""},"name":"x","description":""})"));
  EXPECT_TRUE(parse_gc(R"({"keep":10})"));
}

TEST(WireRequests, RefusesAnUnknownFieldWithASuggestion) {
  EXPECT_EQ(error_of(parse_apply(R"({"scope":{"namspace":"a"}})")),
            "\"scope.namspace\" is not a field of this request Did you mean \"namespace\"?");
  EXPECT_EQ(error_of(parse_apply(R"({"documents":[{"key":"a","contents":"x"}]})")),
            "\"documents[0].contents\" is not a field of this request Did you mean \"content\"?");
  EXPECT_EQ(error_of(parse_gc(R"({"zebra":1})")),
            "\"zebra\" is not a field of this request The fields here are keep, namespace, branch, dry_run.");
}

TEST(WireRequests, NamesTheWrongTypeByItsPath) {
  EXPECT_EQ(error_of(parse_apply(R"({"documents":[{"key":"a","content":"b"},{"key":"c","content":5}]})")),
            "\"documents[1].content\" must be a string, not 5 ");
  EXPECT_EQ(error_of(parse_apply("[]")), "the body must be an object, not an array ");
  EXPECT_EQ(error_of(parse_apply(R"({"unset":["a",null]})")), "\"unset[1]\" must be a string, not null ");
  EXPECT_EQ(error_of(parse_apply(R"({"dry_run":"yes"})")), "\"dry_run\" must be true or false, not a string ");
  for (const std::string number :
       {"-1", "1.5", "1.0", "1e3", "9223372036854775808", "99999999999999999999999", "\"5\"", "true", "[]"}) {
    const auto parsed = parse_rollback(R"({"revision_id":)" + number + "}");
    ASSERT_FALSE(parsed) << number;
    EXPECT_NE(parsed.error().message.find("\"revision_id\" must be an integer from 0 to 9223372036854775807"),
              std::string::npos)
        << number;
  }
  EXPECT_EQ(parse_rollback(R"({"revision_id":9223372036854775807})")->revision_id, 9223372036854775807u);
}

TEST(WireRequests, ContentIsTextOrBytesAndOneOfThem) {
  const auto both = parse_apply(R"({"documents":[{"key":"a","content":"x","content_base64":"eA=="}]})");
  EXPECT_NE(error_of(both).find("both given"), std::string::npos);
  const auto neither = parse_apply(R"({"documents":[{"key":"a"}]})");
  EXPECT_NE(error_of(neither).find("\"documents[0].content\" is missing"), std::string::npos);
  const auto bytes = parse_apply(R"({"documents":[{"key":"a","content_base64":"/w=="},{"key":"b","content":""}]})");
  ASSERT_TRUE(bytes);
  EXPECT_EQ(bytes->documents[0].content, "\xff");
  EXPECT_EQ(bytes->documents[1].content, "");
  EXPECT_FALSE(parse_apply(R"({"documents":[{"key":"a","content_base64":"/w="}]})"));
}

TEST(WireRequests, AnExpectedRevisionOfZeroIsAValue) {
  EXPECT_EQ(parse_apply(R"({"expected_revision":0})")->write.expected_revision, 0u);
  EXPECT_FALSE(parse_apply(R"({"expected_revision":null})")->write.expected_revision);
}

TEST(WireRequests, WhatTheClientWritesTheServerReads) {
  ApplyBody apply;
  apply.scope = {"payments/prod", "main"};
  apply.documents = {{"a \"quoted\".json", "{}\n"}, {"b", std::string("\0\xff", 2)}};
  apply.unset = {"old"};
  apply.prune = "";
  apply.write.message = "line\nbreak";
  apply.write.expected_revision = 7;
  apply.write.dry_run = true;
  const auto back = parse_apply(to_json(apply));
  ASSERT_TRUE(back) << error_of(back);
  EXPECT_EQ(back->documents[0].key, apply.documents[0].key);
  EXPECT_EQ(back->documents[1].content, apply.documents[1].content);
  EXPECT_EQ(back->prune, "");
  EXPECT_EQ(back->write.message, apply.write.message);
  EXPECT_EQ(back->write.expected_revision, 7u);
  EXPECT_TRUE(back->write.dry_run);

  MergeBody merge;
  merge.from_branch = "x";
  merge.prefer = "ours";
  merge.resolve = {{"k", "theirs"}};
  EXPECT_TRUE(parse_merge(to_json(merge), MergeKind::kMerge));
  EXPECT_FALSE(parse_merge(to_json(merge), MergeKind::kRevert)) << "from_branch belongs to merges";
  merge.prefer = "mine";
  EXPECT_FALSE(parse_merge(to_json(merge), MergeKind::kMerge));
}

TEST(WireResponses, RoundTripAndIgnoreWhatTheyDoNotKnow) {
  WriteResultBody result;
  result.revision = 9007199254740993u;  // 2^53 + 1: a double would lose the last digit.
  result.changes = {{"k", "update", "a", std::string("\xff"), "h1", "h2"}};
  result.change_count = 1;
  result.noop = false;
  const auto back = parse_write_result(to_json(result));
  ASSERT_TRUE(back) << error_of(back);
  EXPECT_EQ(back->revision, result.revision);
  EXPECT_EQ(back->changes[0].after, "\xff");
  EXPECT_EQ(back->changes[0].before, "a");
  EXPECT_TRUE(parse_write_result(R"({"revision":1,"changes":null,"new_field":{"x":[1]}})"));
  EXPECT_EQ(to_json(WriteResultBody{}),
            R"({"revision":0,"parent":0,"hash":"","changes":[],"change_count":0,"noop":false})");

  StateBody state;
  state.revision = 3;
  state.objects = {{"a", "text"}, {"b", "\xfe"}};
  EXPECT_EQ(to_json(state), R"({"revision":3,"objects":{"a":"text"},"objects_base64":{"b":"/g=="}})");
  EXPECT_EQ(parse_state(to_json(state))->objects, state.objects);
}

TEST(WireDiff, InPartsIsTheSameText) {
  DiffResultBody diff;
  diff.from_revision = 3;
  diff.to_revision = 4;
  diff.next_cursor = "\"changes\":[]";
  for (std::size_t runs = 0; runs < 4; ++runs) {
    SCOPED_TRACE(runs);
    std::string joined;
    for (const std::string& part : to_json_parts(diff)) joined += part;
    EXPECT_EQ(joined, to_json(diff));
    EXPECT_TRUE(is_json(joined));
    const auto back = parse_diff_result(joined);
    ASSERT_TRUE(back);
    EXPECT_EQ(back->changes.size(), 2 * runs);
    std::string& run = diff.rendered_changes.emplace_back();
    JsonWriter out(run);
    ChangeBody change;
    change.type = "create";
    for (const char* key : {"a", "b"}) {
      change.key = key + std::to_string(runs);
      change.after = std::string(100, 'x');
      write_change(out, change);
    }
  }
}

TEST(WireProblem, SaysCodeStatusAndExtras) {
  Problem problem(Error{ErrorCode::kPreconditionFailed, "The head moved.", "Read again."});
  problem.expected_revision = 3;
  problem.head_revision = 5;
  problem.request_id = "r1";
  const std::string text = to_json(problem);
  EXPECT_NE(text.find(R"("status":412)"), std::string::npos) << text;
  EXPECT_NE(text.find(R"("type":"https://st8.dev/errors/precondition_failed")"), std::string::npos) << text;
  const Problem back = parse_problem(412, text);
  EXPECT_EQ(back.error, problem.error);
  EXPECT_EQ(back.head_revision, 5u);
  EXPECT_EQ(back.expected_revision, 3u);
  EXPECT_EQ(parse_problem(503, "<html>").error.code, ErrorCode::kUnavailable);
  EXPECT_NE(parse_problem(502, "bad gateway\n").error.message.find("bad gateway"), std::string::npos);
}

TEST(WireProblem, EveryCodeHasANameThatReadsBack) {
  for (int i = 0; i <= static_cast<int>(ErrorCode::kUnsupportedMediaType); ++i) {
    const auto code = static_cast<ErrorCode>(i);
    EXPECT_EQ(error_code_of(traits_of(code).name), code);
  }
}

}  // namespace
}  // namespace st8::wire
