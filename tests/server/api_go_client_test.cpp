// The requests that the reference's published Go client makes, byte for byte, and the fields it reads from the answers. It sends every field
// of its structs: unset names as "", unset numbers as 0, nil lists as null; it escapes <, > and & in JSON.
#include "server/api_fixture.h"

namespace st8::api::test {
namespace {

class GoClient : public testing::Test {
 protected:
  // What its doJSON does: the body, a content type with a body alone, errors from 400 on.
  Json call(const std::string& method, const std::string& target, const std::string& body = {}) {
    Headers headers = {{"user-agent", "Go-http-client/1.1"}, {"accept-encoding", "gzip"}};
    if (!body.empty()) headers.emplace_back("content-type", "application/json");
    const Answer answer = server_.send(server_.request(method, target, body, headers));
    status_ = answer.status;
    EXPECT_TRUE(answer.json.is_object()) << answer.body;
    return answer.json;
  }
  static void expect_apply_result(const Json& result, std::int64_t revision, std::size_t changes, bool noop) {
    EXPECT_TRUE(result["revision"].is_number_integer());
    EXPECT_EQ(result["revision"], revision);
    ASSERT_TRUE(result["changes"].is_array());
    EXPECT_EQ(result["changes"].size(), changes);
    EXPECT_EQ(result["noop"], noop);
    for (const Json& change : result["changes"]) {
      EXPECT_TRUE(change["key"].is_string());
      EXPECT_TRUE(change["type"] == "create" || change["type"] == "update" || change["type"] == "delete");
      for (const char* side : {"before", "after"}) {
        if (change.contains(side)) {
          EXPECT_TRUE(change[side].is_string());
        }
      }
    }
  }

  Server server_;
  int status_ = 0;
};

TEST_F(GoClient, EveryCallWorksUnmodified) {
  Json result = call("POST", "/v1/apply",
                     "{\"scope\":{\"namespace\":\"\",\"branch\":\"\"},\"documents\":[{\"key\":\"a\",\"content\":\"x "
                     "\\u003c y \\u0026 z\"}],\"message\":\"\"}");
  ASSERT_EQ(status_, 200);
  expect_apply_result(result, 1, 1, false);
  EXPECT_EQ(result["changes"][0]["after"], "x < y & z");
  EXPECT_FALSE(result["changes"][0].contains("before"));

  call("POST", "/v1/apply", R"({"scope":{"namespace":"","branch":""},"documents":null,"message":""})");
  EXPECT_EQ(status_, 400) << "an apply needs at least one document";

  result = call(
      "POST", "/v1/apply",
      R"({"scope":{"namespace":"default","branch":"main"},"documents":[{"key":"a","content":"x \u003c y \u0026 z"}],"message":"again"})");
  expect_apply_result(result, 1, 0, true);
  call(
      "POST", "/v1/apply",
      R"({"scope":{"namespace":"","branch":""},"documents":[{"key":"a","content":"2"},{"key":"b","content":""}],"message":"two"})");

  result = call("GET", "/v1/state?branch=&namespace=");
  EXPECT_EQ(result["revision"], 2);
  EXPECT_EQ(result["objects"], (Json{{"a", "2"}, {"b", ""}}));
  result = call("GET", "/v1/state?branch=main&namespace=default&revision=1");
  EXPECT_EQ(result["objects"], (Json{{"a", "x < y & z"}}));

  result = call("POST", "/v1/checkpoints", R"({"scope":{"namespace":"","branch":""},"name":"v1","description":""})");
  EXPECT_EQ(result["name"], "v1");
  EXPECT_EQ(result["revision_id"], 2);
  result = call("GET", "/v1/state?branch=&checkpoint=v1&namespace=");
  EXPECT_EQ(result["revision"], 2);

  result = call(
      "POST", "/v1/diff",
      R"({"scope":{"namespace":"","branch":""},"revision_id":0,"checkpoint_name":"","documents":[{"key":"a","content":"3"}]})");
  EXPECT_EQ(result["from_revision"], 2);
  EXPECT_EQ(result["to_revision"], 2);
  EXPECT_EQ(result["changes"][0]["before"], "2");
  result = call("POST", "/v1/diff",
                R"({"scope":{"namespace":"","branch":""},"revision_id":1,"checkpoint_name":"","documents":null})");
  EXPECT_EQ(result["from_revision"], 2);
  EXPECT_EQ(result["to_revision"], 1);
  EXPECT_EQ(result["changes"].size(), 2u);

  result = call("POST", "/v1/rollback",
                R"({"scope":{"namespace":"","branch":""},"revision_id":1,"checkpoint_name":"","message":""})");
  ASSERT_EQ(status_, 200);
  expect_apply_result(result, 3, 2, false);
  result = call("POST", "/v1/rollback",
                R"({"scope":{"namespace":"","branch":""},"revision_id":0,"checkpoint_name":"v1","message":"back"})");
  expect_apply_result(result, 4, 2, false);

  result = call("POST", "/v1/branches",
                R"({"scope":{"namespace":"","branch":""},"name":"dev","from_revision":0,"from_checkpoint":""})");
  EXPECT_EQ(result["name"], "dev");
  EXPECT_EQ(result["base_revision"], 4);
  EXPECT_EQ(result["head_revision"], 4);
  result = call("POST", "/v1/branches",
                R"({"scope":{"namespace":"","branch":""},"name":"old","from_revision":1,"from_checkpoint":""})");
  EXPECT_EQ(result["base_revision"], 1);
  call("POST", "/v1/branches",
       R"({"scope":{"namespace":"","branch":""},"name":"pin","from_revision":0,"from_checkpoint":"v1"})");
  EXPECT_EQ(status_, 200);
  result = call("GET", "/v1/branches?branch=dev&namespace=");
  ASSERT_EQ(result["branches"].size(), 4u);
  EXPECT_EQ(result["branches"][0], (Json{{"name", "dev"},
                                         {"base_revision", 4},
                                         {"head_revision", 4},
                                         {"current", true},
                                         {"protected", false},
                                         {"created_at", result["branches"][0]["created_at"]},
                                         {"created_by", "anonymous"}}));
  result = call("GET", "/v1/branches?after=dev&branch=&limit=2&namespace=");
  EXPECT_EQ(result["branches"][0]["name"], "main");
  EXPECT_TRUE(result["next_cursor"].is_string());
  EXPECT_EQ(result["next_cursor"], "old");

  call("POST", "/v1/apply",
       R"({"scope":{"namespace":"","branch":"dev"},"documents":[{"key":"c","content":"dev"}],"message":""})");
  result = call(
      "POST", "/v1/restore",
      R"({"scope":{"namespace":"","branch":""},"from_revision":0,"from_checkpoint":"","from_branch":"dev","message":""})");
  expect_apply_result(result, 6, 1, false);

  result = call("GET", "/v1/log?branch=&limit=2&namespace=");
  ASSERT_EQ(result["entries"].size(), 2u);
  EXPECT_TRUE(result["next_cursor"].is_number_integer());
  const Json entry = result["entries"][0];
  EXPECT_EQ(entry["id"], 6);
  EXPECT_EQ(entry["parent_id"], 4);
  EXPECT_EQ(entry["message"], "restore");
  EXPECT_EQ(entry["branch"], "main");
  EXPECT_EQ(entry["changes"].size(), 1u);
  // time.Time reads RFC 3339.
  EXPECT_TRUE(parse_rfc3339(entry["created_at"].get<std::string>()));
  result =
      call("GET", "/v1/log?after=" + std::to_string(result["next_cursor"].get<int>()) + "&branch=&limit=50&namespace=");
  EXPECT_EQ(result["entries"].size(), 3u);
  EXPECT_FALSE(result.contains("next_cursor")) << "omitted at the end, so that it decodes to 0";
  EXPECT_EQ(result["entries"][2]["message"], "apply");
}

TEST_F(GoClient, CollectsGarbage) {
  server_.put("a", "1");
  const Json result = call("POST", "/v1/gc", R"({"keep":10})");
  EXPECT_EQ(status_, 200);
  EXPECT_EQ(result["pruned"], 0);
}

TEST_F(GoClient, DeletesACheckpointWithABody) {
  server_.put("a", "1");
  call("POST", "/v1/checkpoints", R"({"scope":{"namespace":"","branch":""},"name":"v1","description":"d"})");
  EXPECT_EQ(call("DELETE", "/v1/checkpoints", R"({"namespace":"default","name":"v1"})"), Json::object());
  EXPECT_EQ(status_, 200);
}

}  // namespace
}  // namespace st8::api::test
