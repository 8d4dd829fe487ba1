// Bad input over every route: a clear error, and nothing changed.
#include <set>

#include "server/api_fixture.h"
#include "wire/text.h"

namespace st8::api::test {
namespace {

struct JsonRoute {
  std::string method, target, good;
};

// Every route that takes a JSON body, with one that would be good (as far as the store goes).
const std::vector<JsonRoute>& json_routes() {
  static const std::vector<JsonRoute> kRoutes = {
      {"POST", "/v1/apply", R"({"documents":[{"key":"a","content":"new"}]})"},
      {"POST", "/v1/unset", R"({"keys":["a"]})"},
      {"POST", "/v1/state/batch", R"({"keys":["a"]})"},
      {"POST", "/v1/diff", R"({"documents":[{"key":"a","content":"new"}]})"},
      {"POST", "/v1/checkpoints", R"({"name":"c2"})"},
      {"DELETE", "/v1/checkpoints", R"({"name":"c"})"},
      {"POST", "/v1/rollback", R"({"revision_id":1})"},
      {"POST", "/v1/restore", R"({"from_revision":1})"},
      {"POST", "/v1/merge", R"({"from_branch":"dev"})"},
      {"POST", "/v1/cherry-pick", R"({"at":"1"})"},
      {"POST", "/v1/revert", R"({"at":"2"})"},
      {"POST", "/v1/branches", R"({"name":"b2"})"},
      {"DELETE", "/v1/branches", R"({"name":"dev"})"},
      {"POST", "/v1/branches/rename", R"({"from":"dev","to":"dev2"})"},
      {"POST", "/v1/branches/protect", R"({"name":"dev","protected":true})"},
      {"DELETE", "/v1/namespaces", R"({"namespace":"default"})"},
      {"POST", "/v1/gc", R"({"keep":1})"},
      {"POST", "/v1/fsck", R"({"namespace":""})"},
  };
  return kRoutes;
}

class BadInput : public testing::Test {
 protected:
  BadInput() {
    server_.put("a", "1");
    server_.put("a", "2");
    server_.post("/v1/branches", {{"name", "dev"}});
    server_.post("/v1/checkpoints", {{"name", "c"}});
    before_ = everything();
  }
  ~BadInput() override { EXPECT_EQ(everything(), before_) << "something was changed"; }

  std::string everything() {
    return server_.get("/v1/state").body + server_.get("/v1/branches").body + server_.get("/v1/checkpoints").body +
           server_.get("/v1/operations").body + server_.get("/v1/namespaces").body;
  }

  // An error as every error is: the status, a problem document that is valid UTF-8, with a code and a message.
  void expect_problem(const Answer& answer, int status, const std::string& what) {
    EXPECT_EQ(answer.status, status) << what << "\n" << answer.body.substr(0, 500);
    EXPECT_EQ(answer.header("Content-Type"), "application/problem+json") << what;
    EXPECT_TRUE(wire::is_utf8(answer.body)) << what;
    ASSERT_TRUE(answer.json.is_object()) << what << answer.body.substr(0, 200);
    EXPECT_EQ(answer.json["status"], status) << what;
    EXPECT_FALSE(answer.json.value("detail", "").empty()) << what;
    EXPECT_FALSE(answer.json.value("code", "").empty()) << what;
    EXPECT_EQ(answer.json["request_id"], "test-request") << what;
    EXPECT_LT(answer.body.size(), 4000u) << what << ": an error does not send the whole input back";
  }

  Server server_;
  std::string before_;
};

TEST_F(BadInput, EveryJsonRouteIsTested) {
  std::set<std::string> tested, routed;
  for (const JsonRoute& route : json_routes()) tested.insert(route.method + " " + route.target);
  for (const Route* route : server_.api().router().routes()) {
    if (route->body == BodyKind::kJson && !route->pattern.starts_with("/ofrep/"))
      routed.insert(route->method + " " + route->pattern);
  }
  EXPECT_EQ(tested, routed);
}

TEST_F(BadInput, BodiesThatAreNotAcceptableJson) {
  for (const JsonRoute& route : json_routes()) {
    const std::string& good = route.good;
    const std::string inner = good.substr(1, good.size() - 2);
    std::vector<std::pair<std::string, std::string>> bodies = {
        {"truncated", good.substr(0, good.size() - 1)},
        {"half", good.substr(0, good.size() / 2 + 1)},
        {"not JSON", "key=value"},
        {"trailing bytes", good + "x"},
        {"two values", good + good},
        {"a list", "[" + good + "]"},
        {"a string", "\"" + route.target + "\""},
        {"a number", "5"},
        {"null", "null"},
        {"invalid UTF-8", "{\"scope\":{\"namespace\":\"\xff\"}}"},
        {"invalid UTF-8 in a name", "{\"\xc3\":1}"},
        {"a lone surrogate", R"({"scope":{"namespace":"\ud800"}})"},
        {"a key twice", "{" + inner + "," + inner + "}"},
        {"200,000 deep", std::string(200'000, '[')},
        {"200,000 deep, closed", R"({"scope":)" + std::string(200'000, '[') + std::string(200'000, ']') + "}"},
        {"129 deep", R"({"scope":)" + std::string(129, '[') + std::string(129, ']') + "}"},
        {"a number beyond doubles", R"({"keep":1e999})"},
        {"a control character", "{\"scope\":{\"namespace\":\"a\x01\"}}"},
        {"a byte order mark", "\xef\xbb\xbf\xef\xbb\xbf{}"},
        {"an unknown field", "{" + inner + R"(,"unknown_field":1})"},
        {"a number for a scope", R"({"scope":7,"namespace":7})"},
    };
    if (route.target != "/v1/fsck") bodies.emplace_back("empty", "");
    for (const auto& [what, body] : bodies) {
      expect_problem(server_.raw(route.method, route.target, body), 400,
                     route.method + " " + route.target + ": " + what);
    }
  }
}

TEST_F(BadInput, AnUnknownFieldIsAnsweredWithASuggestion) {
  const Answer field = server_.raw("POST", "/v1/apply", R"({"documnets":[]})");
  expect_problem(field, 400, "field");
  EXPECT_EQ(field.json["hint"], "Did you mean \"documents\"?");
  const Answer nested =
      server_.raw("POST", "/v1/apply", R"({"scope":{"branhc":"x"},"documents":[{"key":"a","content":"b"}]})");
  EXPECT_EQ(nested.json["detail"], "\"scope.branhc\" is not a field of this request");
  const Answer parameter = server_.get("/v1/state?revison=1");
  expect_problem(parameter, 400, "parameter");
  EXPECT_EQ(parameter.json["hint"], "Did you mean \"revision\"?");
  expect_problem(server_.raw("POST", "/v1/apply?namespace=other", R"({"documents":[{"key":"a","content":"b"}]})"), 400,
                 "a scope in the query of a route that takes it in the body would be lost silently");
  expect_problem(server_.get("/v1/state?revision=1&revision=2"), 400, "a parameter twice");
}

TEST_F(BadInput, ContentTypesAndMethods) {
  for (const JsonRoute& route : json_routes()) {
    for (const std::string type :
         {"text/plain", "application/x-www-form-urlencoded", "application/jsonx", "multipart/form-data; boundary=x"}) {
      expect_problem(server_.send(server_.request(route.method, route.target, route.good, {{"content-type", type}})),
                     415, route.target + " " + type);
    }
    for (const std::string method : {"PATCH", "TRACE", "BREW"}) {
      const Answer answer = server_.send(server_.request(method, route.target, route.good));
      expect_problem(answer, 405, route.target + " " + method);
      EXPECT_NE(answer.header("Allow").find(route.method), std::string::npos) << route.target;
    }
  }
  const Answer get = server_.get("/v1/apply");
  EXPECT_EQ(get.status, 405);
  EXPECT_EQ(get.header("Allow"), "POST");
  EXPECT_EQ(server_.send(server_.request("POST", "/v1/state")).header("Allow"), "GET, HEAD");
  for (const std::string target :
       {"/", "/v1", "/v1/", "/v1/stat", "/v1/state/", "/v2/state", "/v1/apply/x", "//v1/state", "/v1/../v1/state"}) {
    expect_problem(server_.get(target), 404, target);
  }
  // Parameters of the type, and none at all, are fine.
  EXPECT_EQ(
      server_.send(server_.request("POST", "/v1/diff", "{}", {{"content-type", "Application/JSON; charset=utf-8"}}))
          .status,
      200);
  EXPECT_EQ(server_.send(server_.request("POST", "/v1/diff", "{}")).status, 200);
}

TEST_F(BadInput, KeysThatAreNone) {
  const std::string huge(1u << 20, 'k');
  const std::vector<std::pair<std::string, std::string>> keys = {
      {"empty", ""},
      {"absolute", "/etc/passwd"},
      {"climbing", "../x"},
      {"climbing inside", "a/../../x"},
      {"NUL", std::string("a\0b", 3)},
      {"newline", "a\nb"},
      {"1 MiB", huge},
      {"1,025 bytes", std::string(1025, 'k')},
      {"only dots", ".."},
      {"dot", "."},
      {"delete character", "a\x7f"},
      {"only slashes", "///"},
  };
  for (const auto& [what, key] : keys) {
    const Json document = {{"key", key}, {"content", "x"}};
    for (const auto& [route, body] : std::vector<std::pair<std::string, Json>>{
             {"/v1/apply", {{"documents", {document}}}},
             {"/v1/apply", {{"documents", {{{"key", "fine"}, {"content", "x"}}, document}}}},
             {"/v1/apply", {{"unset", {key}}}},
             {"/v1/unset", {{"keys", {key}}}},
             {"/v1/state/batch", {{"keys", {key}}}},
             {"/v1/diff", {{"documents", {document}}}},
             {"/v1/merge", {{"at", "1"}, {"resolve", {{key, "ours"}}}}}}) {
      const Answer answer = server_.post(route, body);
      EXPECT_TRUE(answer.status == 400 || answer.status == 413)
          << what << " " << route << " " << answer.status << " " << answer.body.substr(0, 300);
      expect_problem(answer, answer.status, what + " " + route);
    }
    for (const std::string method : {"GET", "PUT", "DELETE"}) {
      const Answer answer = server_.send(server_.request(method, "/v1/documents/" + encoded(key), "x"));
      EXPECT_TRUE(answer.status == 400 || answer.status == 413) << what << " " << method << " " << answer.status;
    }
    const Answer history = server_.get("/v1/history/" + encoded(key));
    EXPECT_TRUE(history.status == 400 || history.status == 413) << what << " " << history.status;
  }
  for (const std::string bytes : {"\xff", "a\xc3", "\xed\xa0\x80"}) {
    expect_problem(server_.get("/v1/documents/" + encoded(bytes)), 400, "invalid UTF-8 in a path");
    expect_problem(server_.get("/v1/state?namespace=" + encoded(bytes)), 400, "invalid UTF-8 in a name");
    expect_problem(server_.get("/v1/state?checkpoint=" + encoded(bytes)), 400, "invalid UTF-8 in a checkpoint");
    expect_problem(server_.get("/v1/state?at=" + encoded(bytes)), 400, "invalid UTF-8 in a selector");
  }
}

TEST_F(BadInput, NamesThatAreNone) {
  for (const std::string name : {"a b", "/a", "a/", "a//b", "..", "a/../b", "-a", "a~1", "a@b", "a:b", "a*", "a?",
                                 "a[b", "a\\b", "{a}", "a\n"}) {
    for (const std::string member : {"namespace", "branch"}) {
      expect_problem(
          server_.post("/v1/apply", {{"scope", {{member, name}}}, {"documents", {{{"key", "a"}, {"content", "x"}}}}}),
          400, member + " " + name);
      expect_problem(server_.get("/v1/state?" + member + "=" + encoded(name)), 400, member + " " + name);
      expect_problem(server_.get("/v1/log?" + member + "=" + encoded(name)), 400, member + " " + name);
    }
    expect_problem(server_.post("/v1/branches", {{"name", name}}), 400, "branch " + name);
    expect_problem(server_.post("/v1/checkpoints", {{"name", name}}), 400, "checkpoint " + name);
    expect_problem(server_.post("/v1/branches/rename", {{"from", "dev"}, {"to", name}}), 400, "rename " + name);
  }
  const std::string longest(256, 'n');
  EXPECT_GE(server_.post("/v1/branches", {{"name", longest}}).status, 400);
  EXPECT_GE(server_.post("/v1/checkpoints", {{"name", longest}}).status, 400);
  EXPECT_EQ(server_.post("/v1/branches", {{"name", ""}}).status, 400);
  EXPECT_EQ(server_.post("/v1/checkpoints", {{"name", ""}}).status, 400);
}

TEST_F(BadInput, AKeyTwiceInOneApply) {
  const Json one = {{"key", "x"}, {"content", "1"}}, same = {{"key", "x"}, {"content", "1"}},
             alias = {{"key", "./x"}, {"content", "2"}};
  expect_problem(server_.post("/v1/apply", {{"documents", {one, same}}}), 400, "twice");
  expect_problem(server_.post("/v1/apply", {{"documents", {one, alias}}}), 400, "twice by another spelling");
  expect_problem(server_.post("/v1/apply", {{"documents", {{{"key", "a"}, {"content", "1"}}}}, {"unset", {"a"}}}), 400,
                 "set and unset");
  expect_problem(server_.post("/v1/diff", {{"documents", {one, alias}}}), 400, "twice in a diff");
}

TEST_F(BadInput, WhatDoesNotExist) {
  for (const std::string target :
       {"/v1/state?revision=9999", "/v1/state?checkpoint=nope", "/v1/state?branch=nope", "/v1/state?at=nope",
        "/v1/state?at=9999", "/v1/state?at=hash:ffffffffffff", "/v1/documents/nope", "/v1/documents/a?revision=9999",
        "/v1/log?branch=nope", "/v1/log?from=9999", "/v1/revisions/9999", "/v1/resolve?at=nope",
        "/v1/history/a?branch=nope"}) {
    expect_problem(server_.get(target), 404, target);
  }
  for (const auto& [route, body] : std::vector<std::pair<std::string, Json>>{
           {"/v1/rollback", {{"revision_id", 9999}}},
           {"/v1/rollback", {{"checkpoint_name", "nope"}}},
           {"/v1/rollback", {{"at", "nope"}}},
           {"/v1/rollback", {{"scope", {{"branch", "nope"}}}, {"revision_id", 1}}},
           {"/v1/restore", {{"from_revision", 9999}}},
           {"/v1/restore", {{"from_checkpoint", "nope"}}},
           {"/v1/restore", {{"from_branch", "nope"}}},
           {"/v1/branches", {{"name", "b"}, {"from_revision", 9999}}},
           {"/v1/branches", {{"name", "b"}, {"from_checkpoint", "nope"}}},
           {"/v1/branches", {{"name", "b"}, {"scope", {{"branch", "nope"}}}}},
           {"/v1/branches/rename", {{"from", "nope"}, {"to", "b"}}},
           {"/v1/branches/protect", {{"name", "nope"}, {"protected", true}}},
           {"/v1/checkpoints", {{"name", "x"}, {"at", "9999"}}},
           {"/v1/checkpoints", {{"name", "x"}, {"scope", {{"branch", "nope"}}}}},
           {"/v1/diff", {{"revision_id", 9999}}},
           {"/v1/diff", {{"checkpoint_name", "nope"}}},
           {"/v1/diff", {{"from", "9999"}, {"to", "@"}}},
           {"/v1/state/batch", {{"keys", {"a"}}, {"at", "9999"}}},
           {"/v1/unset", {{"keys", {"nope"}}}},
       }) {
    expect_problem(server_.post(route, body), 404, route + " " + body.dump());
  }
  expect_problem(server_.del("/v1/branches", {{"name", "nope"}}), 404, "branch");
  expect_problem(server_.del("/v1/checkpoints", {{"name", "nope"}}), 404, "checkpoint");
  expect_problem(server_.del("/v1/namespaces", {{"namespace", "nope"}}), 404, "namespace");
}

TEST_F(BadInput, ANumberThatIsNoneIsNeverReadAsTheHead) {
  for (const std::string number : {"abc", "-1", "1.5", "1e3", " 1", "1 ", "+1", "0x1", "99999999999999999999",
                                   "9223372036854775808", "1,2", "NaN", "null", "%00"}) {
    for (const std::string target : {"/v1/state?revision=", "/v1/documents/a?revision=", "/v1/resolve?revision=",
                                     "/v1/log?after=", "/v1/log?limit=", "/v1/state?limit=", "/v1/history/a?limit=",
                                     "/v1/branches?limit=", "/v1/operations?after=", "/v1/watch?after="}) {
      expect_problem(server_.get(target + (number == "%00" ? number : encoded(number))), 400, target + number);
    }
  }
  for (const Json& number :
       {Json("1"), Json(1.5), Json(-1), Json(true), Json(Json::array({1})), Json(18446744073709551615u)}) {
    expect_problem(server_.post("/v1/rollback", {{"revision_id", number}}), 400, number.dump());
    expect_problem(server_.post("/v1/restore", {{"from_revision", number}}), 400, number.dump());
    expect_problem(server_.post("/v1/diff", {{"revision_id", number}}), 400, number.dump());
    expect_problem(server_.post("/v1/branches", {{"name", "b"}, {"from_revision", number}}), 400, number.dump());
    expect_problem(
        server_.post("/v1/apply", {{"documents", {{{"key", "a"}, {"content", "x"}}}}, {"expected_revision", number}}),
        400, number.dump());
    expect_problem(server_.post("/v1/gc", {{"keep", number}}), 400, number.dump());
  }
}

TEST_F(BadInput, SelectorsGivenTwice) {
  for (const std::string query : {"revision=1&checkpoint=c", "revision=1&at=1", "checkpoint=c&at=1"}) {
    expect_problem(server_.get("/v1/state?" + query), 400, query);
    expect_problem(server_.get("/v1/documents/a?" + query), 400, query);
    expect_problem(server_.get("/v1/resolve?" + query), 400, query);
  }
  expect_problem(server_.post("/v1/rollback", {{"revision_id", 1}, {"checkpoint_name", "c"}}), 400, "rollback");
  expect_problem(server_.post("/v1/restore", {{"from_revision", 1}, {"from_checkpoint", "c"}}), 400, "restore");
  expect_problem(server_.post("/v1/branches", {{"name", "b"}, {"from_revision", 1}, {"at", "1"}}), 400, "branch");
}

TEST_F(BadInput, StaleExpectationsAndReusedKeys) {
  for (const auto& [route, body] : std::vector<std::pair<std::string, Json>>{
           {"/v1/apply", {{"documents", {{{"key", "a"}, {"content", "x"}}}}, {"expected_revision", 1}}},
           {"/v1/apply", {{"documents", {{{"key", "a"}, {"content", "x"}}}}, {"expected_revision", 0}}},
           {"/v1/unset", {{"keys", {"a"}}, {"expected_revision", 1}}},
           {"/v1/rollback", {{"revision_id", 1}, {"expected_revision", 1}}},
           {"/v1/restore", {{"from_revision", 1}, {"expected_revision", 9}}},
       }) {
    const Answer answer = server_.post(route, body);
    expect_problem(answer, 412, route);
    EXPECT_EQ(answer.json["head_revision"], 2) << route;
    EXPECT_EQ(answer.json["expected_revision"], body["expected_revision"]) << route;
  }
  const Answer deleted = server_.del("/v1/branches", {{"name", "dev"}, {"expected_revision", 1}});
  expect_problem(deleted, 412, "delete branch");
  expect_problem(server_.post("/v1/apply", {{"documents", {{{"key", "a"}, {"content", "x"}}}}},
                              {{"idempotency-key", std::string(256, 'k')}}),
                 400, "long key");
}

TEST_F(BadInput, BodiesBeyondTheLimit) {
  const std::string large = R"({"documents":[{"key":"a","content":")" + std::string(kBodyBytesMax, 'x') + R"("}]})";
  for (const JsonRoute& route : json_routes())
    expect_problem(server_.raw(route.method, route.target, large), 413, route.target);
  expect_problem(server_.send(server_.request("PUT", "/v1/documents/a", std::string(kBodyBytesMax + 1, 'x'))), 413,
                 "raw");
  expect_problem(
      server_.send(server_.request("PUT", "/v1/documents/a", std::string(state::Limits::kDocumentBytesMax + 1, 'x'))),
      413, "a document");
  std::string many = "[0";
  for (int i = 0; i < 1'500'000; ++i) many += ",0";
  expect_problem(server_.raw("POST", "/v1/apply", R"({"documents":)" + many + "]}"), 413,
                 "more values than any request needs");
  expect_problem(server_.post("/v1/apply", {{"message", std::string(20'000, 'm')},
                                            {"documents", {{{"key", "a"}, {"content", "x"}}}}}),
                 413, "message");
}

TEST(LargeInput, TwentyMebibytesGoThrough) {
  Server server;
  const std::string content(10u << 20, 'x');
  std::string body = R"({"documents":[{"key":"a","content":")" + content + R"("},{"key":"b","content":")" +
                     content.substr(200) + R"("}]})";
  ASSERT_LE(body.size(), kBodyBytesMax);
  const Answer answer = server.raw("POST", "/v1/apply", body);
  ASSERT_EQ(answer.status, 200) << answer.body.substr(0, 300);
  EXPECT_EQ(answer.json["changes"][0]["after"].get<std::string>().size(), content.size());
  EXPECT_EQ(server.get("/v1/documents/a").body, content);
}

TEST(LargeInput, ManyDocumentsInOneApply) {
  Server server;
  Json body = {{"documents", Json::array()}};
  for (int i = 0; i < 20'000; ++i) body["documents"].push_back({{"key", "k" + std::to_string(i)}, {"content", "x"}});
  const Answer answer = server.post("/v1/apply?changes=keys", body);
  ASSERT_EQ(answer.status, 200) << answer.body.substr(0, 300);
  EXPECT_EQ(answer.json["change_count"], 20'000);
  const Answer entry = server.get("/v1/log?changes=keys").json["entries"].size() == 1
                           ? server.get("/v1/revisions/1?changes=keys")
                           : Answer{};
  EXPECT_EQ(entry.json["changes"].size(), 1000u);
  EXPECT_EQ(entry.json["changes_truncated"], true);
  EXPECT_EQ(entry.json["change_count"], 20'000);
}

}  // namespace
}  // namespace st8::api::test
