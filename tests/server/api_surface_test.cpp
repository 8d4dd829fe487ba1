// Every route of /v1 does what it says: requests in, answers out.
#include <fstream>
#include <iterator>
#include <set>

#include "server/api_fixture.h"

namespace st8::api::test {
namespace {

Json apply_body(std::initializer_list<std::pair<std::string, std::string>> documents, Json more = Json::object()) {
  Json body = {{"documents", Json::array()}};
  for (const auto& [key, content] : documents) body["documents"].push_back({{"key", key}, {"content", content}});
  body.update(more);
  return body;
}

TEST(ApiApply, MakesRevisionsAndSaysWhatChanged) {
  Server server;
  const Answer first = server.post("/v1/apply", apply_body({{"b", "2"}, {"a", "1"}}, {{"message", "begin"}}));
  ASSERT_EQ(first.status, 200) << first.body;
  EXPECT_EQ(first.json["revision"], 1);
  EXPECT_EQ(first.json["parent"], 0);
  EXPECT_EQ(first.json["noop"], false);
  EXPECT_EQ(first.json["changes"].size(), 2u);
  EXPECT_EQ(first.json["changes"][0],
            (Json{{"key", "a"}, {"type", "create"}, {"after", "1"}, {"after_hash", Hash::of("1").hex()}}));
  EXPECT_EQ(first.header("X-St8-Revision"), "1");
  EXPECT_EQ(first.header("X-Request-Id"), "test-request");

  const Answer second = server.post("/v1/apply", apply_body({{"a", "one"}}));
  EXPECT_EQ(second.json["revision"], 2);
  EXPECT_EQ(second.json["changes"][0]["before"], "1");
  EXPECT_EQ(second.json["changes"][0]["after"], "one");
  EXPECT_EQ(second.json["changes"][0]["type"], "update");

  const Answer again = server.post("/v1/apply", apply_body({{"a", "one"}}));
  EXPECT_EQ(again.json["noop"], true);
  EXPECT_EQ(again.json["revision"], 2);
  EXPECT_EQ(again.json["changes"], Json::array());
  EXPECT_EQ(server.objects(), (Json{{"a", "one"}, {"b", "2"}}));
}

TEST(ApiApply, DeletesPrunesAndTrims) {
  Server server;
  server.post("/v1/apply", apply_body({{"a/1", "x"}, {"a/2", "x"}, {"b", "x"}}));
  const Answer pruned = server.post("/v1/apply?changes=keys", apply_body({{"a/1", "y"}}, {{"prune", "a/"}}));
  ASSERT_EQ(pruned.status, 200) << pruned.body;
  EXPECT_EQ(pruned.json["changes"].size(), 2u);
  EXPECT_FALSE(pruned.json["changes"][0].contains("after"));
  EXPECT_TRUE(pruned.json["changes"][0].contains("after_hash"));
  EXPECT_EQ(pruned.json["changes"][1]["type"], "delete");
  EXPECT_EQ(server.objects(), (Json{{"a/1", "y"}, {"b", "x"}}));

  const Answer unset = server.post("/v1/unset?changes=none", {{"keys", {"b"}}});
  ASSERT_EQ(unset.status, 200) << unset.body;
  EXPECT_EQ(unset.json["changes"], Json::array());
  EXPECT_EQ(unset.json["change_count"], 1);
  EXPECT_EQ(server.post("/v1/unset", {{"keys", {"b"}}}).status, 404);
  EXPECT_EQ(server.post("/v1/unset", {{"keys", {"b"}}, {"missing_ok", true}}).json["noop"], true);
  const Answer everything = server.post("/v1/apply", {{"documents", nullptr}, {"prune", ""}});
  EXPECT_EQ(everything.status, 200) << everything.body;
  EXPECT_EQ(server.objects(), Json::object());
}

TEST(ApiApply, ADryRunShowsAllAndWritesNothing) {
  Server server;
  server.put("a", "1");
  const Answer dry = server.post("/v1/apply", apply_body({{"a", "2"}, {"b", "3"}}, {{"dry_run", true}}));
  ASSERT_EQ(dry.status, 200) << dry.body;
  EXPECT_EQ(dry.json["dry_run"], true);
  EXPECT_EQ(dry.json["revision"], 2);
  EXPECT_EQ(dry.json["changes"][0]["before"], "1");
  EXPECT_EQ(dry.json["changes"][0]["after"], "2");
  EXPECT_EQ(dry.json["changes"][1]["after"], "3");
  EXPECT_EQ(server.objects(), (Json{{"a", "1"}}));
  EXPECT_EQ(server.get("/v1/resolve").json["revision"], 1);
}

TEST(ApiApply, HoldsTheExpectedRevision) {
  Server server;
  const Answer born = server.post("/v1/apply", apply_body({{"a", "1"}}, {{"expected_revision", 0}}));
  ASSERT_EQ(born.status, 200) << born.body;
  const Answer stale = server.post("/v1/apply", apply_body({{"a", "2"}}, {{"expected_revision", 0}}));
  EXPECT_EQ(stale.status, 412);
  EXPECT_EQ(stale.code(), "precondition_failed");
  EXPECT_EQ(stale.json["expected_revision"], 0);
  EXPECT_EQ(stale.json["head_revision"], 1);
  EXPECT_EQ(stale.header("Content-Type"), "application/problem+json");
  EXPECT_EQ(server.post("/v1/apply", apply_body({{"a", "2"}}, {{"expected_revision", 1}})).json["revision"], 2);
}

TEST(ApiApply, AnIdempotencyKeyMakesARetrySafe) {
  Server server;
  const Headers key = {{"idempotency-key", "k1"}};
  const Answer first = server.post("/v1/apply", apply_body({{"a", "1"}}), key);
  server.put("a", "2");
  const Answer again = server.post("/v1/apply", apply_body({{"a", "1"}}), key);
  EXPECT_EQ(again.status, 200);
  EXPECT_EQ(again.json["revision"], first.json["revision"]);
  EXPECT_EQ(again.json["replayed"], true);
  EXPECT_EQ(again.json["changes"], first.json["changes"]);
  EXPECT_EQ(server.objects(), (Json{{"a", "2"}}));
  const Answer other = server.post("/v1/apply", apply_body({{"a", "3"}}), key);
  EXPECT_EQ(other.status, 409);
  EXPECT_EQ(server.post("/v1/unset", {{"keys", {"a"}}}, key).status, 409);
  EXPECT_EQ(server.post("/v1/apply?changes=none", apply_body({{"a", "1"}}), key).status, 409)
      << "another request, to the letter";
  EXPECT_EQ(server.objects(), (Json{{"a", "2"}}));
}

TEST(ApiState, ReadsAtRevisionsPagesAndPrefixes) {
  Server server;
  server.post("/v1/apply", apply_body({{"a/1", "x"}, {"a/2", "y"}, {"b", "z"}}));
  server.put("b", "zz");
  EXPECT_EQ(server.get("/v1/state?revision=1").json,
            (Json{{"revision", 1}, {"objects", {{"a/1", "x"}, {"a/2", "y"}, {"b", "z"}}}}));
  EXPECT_EQ(server.get("/v1/state?at=@~1").json["objects"]["b"], "z");
  EXPECT_EQ(server.get("/v1/state?at=0").json, (Json{{"revision", 0}, {"objects", Json::object()}}));
  EXPECT_EQ(server.get("/v1/state?prefix=a/").json["objects"], (Json{{"a/1", "x"}, {"a/2", "y"}}));
  const Answer page = server.get("/v1/state?limit=2");
  EXPECT_EQ(page.json["objects"].size(), 2u);
  EXPECT_EQ(page.json["next_cursor"], "a/2");
  const Answer rest = server.get("/v1/state?limit=2&after=a/2");
  EXPECT_EQ(rest.json["objects"], (Json{{"b", "zz"}}));
  EXPECT_FALSE(rest.json.contains("next_cursor"));
  const Answer keys = server.get("/v1/state?values=false&limit=1");
  EXPECT_EQ(keys.json["keys"], (Json{{{"key", "a/1"}, {"hash", Hash::of("x").hex()}, {"size", 1}}}));
  EXPECT_EQ(keys.json["next_cursor"], "a/1");
  EXPECT_EQ(server.get("/v1/state?branch=&namespace=&revision=0&checkpoint=").json["revision"], 2)
      << "empty and 0 are not given";
}

TEST(ApiState, ANamespaceBeforeItsFirstWriteIsEmptyAndAnUnknownBranchIsNot) {
  Server server;
  EXPECT_EQ(server.get("/v1/state").json, (Json{{"revision", 0}, {"objects", Json::object()}}));
  EXPECT_EQ(server.get("/v1/state?namespace=other").status, 200);
  EXPECT_EQ(server.get("/v1/state?branch=nope").status, 404);
  server.put("a", "1");
  EXPECT_EQ(server.get("/v1/state?branch=nope").status, 404);
  EXPECT_EQ(server.get("/v1/log?namespace=other").json["entries"], Json::array());
  EXPECT_EQ(server.get("/v1/branches?namespace=other").json["branches"], Json::array());
  EXPECT_EQ(server.get("/v1/checkpoints?namespace=other").json["checkpoints"], Json::array());
  EXPECT_EQ(server.get("/v1/operations?namespace=other").json["operations"], Json::array());
}

TEST(ApiDiff, OfManyDocumentsIsMadeInPartsAndKept) {
  Server server;
  const auto apply = [&server](char first) {
    Json body = {{"documents", Json::array()}};
    for (int i = 0; i < 300; ++i)
      body["documents"].push_back({{"key", "k" + std::to_string(i)}, {"content", first + std::to_string(i) + "\n"}});
    ASSERT_EQ(server.post("/v1/apply?changes=none", body).status, 200);
  };
  apply('a');
  apply('b');
  const Answer diff =
      server.post("/v1/diff", {{"scope", {{"namespace", "default"}, {"branch", "main"}}}, {"from", "1"}, {"to", "2"}});
  ASSERT_EQ(diff.status, 200) << diff.body;
  EXPECT_GT(diff.response.more_body.size(), 1u);
  ASSERT_EQ(diff.json["changes"].size(), 300u);
  for (const Json& change : diff.json["changes"]) {
    const std::string number = change["key"].get<std::string>().substr(1);
    EXPECT_EQ(change["before"], "a" + number + "\n");
    EXPECT_EQ(change["after"], "b" + number + "\n");
  }
  const std::uint64_t gets = server.store().stats().engine.gets;
  EXPECT_EQ(
      server.post("/v1/diff", {{"scope", {{"namespace", "default"}, {"branch", "main"}}}, {"from", "1"}, {"to", "2"}})
          .body,
      diff.body);
  EXPECT_LT(server.store().stats().engine.gets - gets, 100u) << "600 contents were read again";
}

TEST(ApiState, StreamsALargeStateWhole) {
  Server server;
  Json body = {{"documents", Json::array()}};
  Json wanted = Json::object();
  for (int i = 0; i < 3000; ++i) {
    const std::string key = "k" + std::to_string(i);
    const std::string content(500, static_cast<char>('a' + i % 26));
    body["documents"].push_back({{"key", key}, {"content", content}});
    wanted[key] = content;
  }
  body["documents"].push_back({{"key", "k1000.bin"}, {"content_base64", "/wD+"}});
  body["documents"].push_back({{"key", "z.bin"}, {"content_base64", "gA=="}});
  ASSERT_EQ(server.post("/v1/apply?changes=none", body).status, 200);
  const Answer state = server.get("/v1/state");
  EXPECT_TRUE(state.response.body_source) << "more than one chunk";
  ASSERT_TRUE(state.json.is_object());
  EXPECT_EQ(state.json["objects"], wanted);
  EXPECT_EQ(state.json["objects_base64"], (Json{{"k1000.bin", "/wD+"}, {"z.bin", "gA=="}}));
  std::size_t seen = 0;
  std::string cursor;
  do {
    const Answer page = server.get("/v1/state?limit=700&after=" + cursor);
    seen +=
        page.json["objects"].size() + (page.json.contains("objects_base64") ? page.json["objects_base64"].size() : 0);
    cursor = page.json.value("next_cursor", "");
  } while (!cursor.empty());
  EXPECT_EQ(seen, 3002u);
}

TEST(ApiState, ReadsABatch) {
  Server server;
  server.post("/v1/apply",
              {{"documents", {{{"key", "a"}, {"content", "1"}}, {{"key", "b"}, {"content_base64", "/w=="}}}}});
  const Answer batch = server.post("/v1/state/batch", {{"keys", {"b", "a", "c", "a"}}});
  EXPECT_EQ(
      batch.json,
      (Json{{"revision", 1}, {"objects", {{"a", "1"}}}, {"objects_base64", {{"b", "/w=="}}}, {"missing", {"c"}}}));
  EXPECT_EQ(server.post("/v1/state/batch", {{"keys", Json::array()}}).status, 400);
  EXPECT_EQ(server.post("/v1/state/batch", {{"keys", std::vector<std::string>(10'001, "a")}}).status, 413);
}

TEST(ApiDocuments, ReadsAndWritesAnyBytesUnderConditions) {
  Server server;
  const std::string bytes("\0\xff\r\n{", 5);
  const auto put = [&](const std::string& body, Headers headers = {}, const std::string& query = "") {
    return server.send(server.request("PUT", "/v1/documents/app/x.bin" + query, body, std::move(headers)));
  };
  const Answer created = put(bytes, {}, "?message=hello&author=ann");
  ASSERT_EQ(created.status, 201) << created.body;
  const std::string etag = "\"" + Hash::of(bytes).hex() + "\"";
  EXPECT_EQ(created.header("ETag"), etag);
  const Answer read = server.get("/v1/documents/app/x.bin");
  EXPECT_EQ(read.status, 200);
  EXPECT_EQ(read.body, bytes);
  EXPECT_EQ(read.header("ETag"), etag);
  EXPECT_EQ(read.header("X-St8-Written-At"), "1");
  EXPECT_EQ(read.header("X-St8-Revision"), "1");
  const Answer same = server.get("/v1/documents/app/x.bin", {{"if-none-match", "\"nope\", " + etag}});
  EXPECT_EQ(same.status, 304);
  EXPECT_EQ(same.body, "");
  EXPECT_EQ(same.header("ETag"), etag);

  EXPECT_EQ(put("other", {{"if-none-match", "*"}}).status, 412);
  EXPECT_EQ(put("other", {{"if-match", "\"" + Hash::of("wrong").hex() + "\""}}).status, 412);
  EXPECT_EQ(put("other", {{"if-match", etag}}).status, 200);
  EXPECT_EQ(put("other", {{"if-match", etag}}).status, 412) << "the version has moved on";
  EXPECT_EQ(put("third", {{"if-match", "*"}}).status, 200);
  EXPECT_EQ(put("fourth", {}, "?expected_revision=1").status, 412);
  const Answer entry = server.get("/v1/revisions/1");
  EXPECT_EQ(entry.json["message"], "hello");
  EXPECT_EQ(entry.json["author"], "ann");
  EXPECT_EQ(entry.json["changes"][0]["after_base64"], "AP8NCns=");

  EXPECT_EQ(server.send(server.request("DELETE", "/v1/documents/app/x.bin")).status, 200);
  EXPECT_EQ(server.send(server.request("DELETE", "/v1/documents/app/x.bin")).status, 404);
  EXPECT_EQ(server.get("/v1/documents/app/x.bin").status, 404);
  EXPECT_EQ(server.get("/v1/documents/app/x.bin?revision=1").body, bytes);
  EXPECT_EQ(put("x", {{"if-match", "*"}}).status, 412) << "there is nothing to match";
  EXPECT_EQ(server.get("/v1/documents/").status, 400);
}

TEST(ApiDiff, ComparesDocumentsAndStates) {
  Server server;
  server.post("/v1/apply", apply_body({{"a", "1"}, {"b", "2"}}));
  server.post("/v1/apply", apply_body({{"a", "11"}, {"c", "3"}}));
  const Answer documents = server.post("/v1/diff", apply_body({{"a", "1"}, {"b", "2"}, {"d", "4"}}));
  ASSERT_EQ(documents.status, 200) << documents.body;
  EXPECT_EQ(documents.json["from_revision"], 2);
  EXPECT_EQ(documents.json["to_revision"], 2);
  ASSERT_EQ(documents.json["changes"].size(), 2u);
  EXPECT_EQ(documents.json["changes"][0]["before"], "11");
  EXPECT_EQ(documents.json["changes"][0]["after"], "1");
  EXPECT_EQ(documents.json["changes"][1]["type"], "create");
  EXPECT_EQ(server.post("/v1/diff", apply_body({{"a", "1"}}, {{"revision_id", 1}})).json["changes"], Json::array());
  EXPECT_EQ(server.post("/v1/diff", apply_body({{"a", "11"}}, {{"prune", ""}})).json["changes"].size(), 2u);
  EXPECT_EQ(server.post("/v1/diff", {{"documents", nullptr}}).json["changes"], Json::array());

  const Answer back = server.post("/v1/diff", {{"revision_id", 1}, {"documents", nullptr}});
  EXPECT_EQ(back.json["from_revision"], 2);
  EXPECT_EQ(back.json["to_revision"], 1);
  EXPECT_EQ(back.json["changes"][0]["after"], "1") << "from the head to the state that was named";
  const Answer states = server.post("/v1/diff", {{"from", "1"}, {"to", "@"}});
  EXPECT_EQ(states.json["changes"].size(), 2u);
  EXPECT_EQ(states.json["changes"][0]["after"], "11");
  const Answer page = server.post("/v1/diff?changes=keys", {{"from", "0"}, {"to", "@"}, {"limit", 2}});
  EXPECT_EQ(page.json["next_cursor"], "b");
  EXPECT_EQ(server.post("/v1/diff?changes=keys", {{"from", "0"}, {"to", "@"}, {"limit", 2}, {"after", "b"}})
                .json["changes"]
                .size(),
            1u);
  EXPECT_EQ(server.post("/v1/diff", {{"from", "0"}, {"to", "@"}, {"prefix", "c"}}).json["changes"].size(), 1u);
  EXPECT_EQ(server.post("/v1/diff", {{"from", "0"}, {"revision_id", 1}}).status, 400);
  EXPECT_EQ(server.post("/v1/diff", apply_body({{"a", "1"}, {"a", "2"}})).status, 400);
}

TEST(ApiCopy, RollsBackAndRestoresByAppending) {
  Server server;
  server.put("a", "1");
  server.put("a", "2");
  const Answer back = server.post("/v1/rollback", {{"revision_id", 1}});
  ASSERT_EQ(back.status, 200) << back.body;
  EXPECT_EQ(back.json["revision"], 3);
  EXPECT_EQ(back.json["changes"][0]["after"], "1");
  EXPECT_EQ(server.get("/v1/revisions/3").json["cause"], "rollback");
  EXPECT_EQ(server.get("/v1/revisions/3").json["message"], "rollback");
  EXPECT_EQ(server.post("/v1/rollback", {{"at", "1"}}).json["noop"], true);
  EXPECT_EQ(server.post("/v1/rollback", Json::object()).status, 400);
  EXPECT_EQ(server.post("/v1/rollback", {{"revision_id", 9999}}).status, 404);
  EXPECT_EQ(server.post("/v1/rollback", {{"revision_id", 1}, {"at", "2"}}).status, 400);
  EXPECT_EQ(server.objects(), (Json{{"a", "1"}}));

  server.post("/v1/branches", {{"name", "dev"}});
  server.put("b", "new", "dev");
  const Answer restored = server.post("/v1/restore", {{"from_branch", "dev"}, {"message", "promote"}});
  ASSERT_EQ(restored.status, 200) << restored.body;
  EXPECT_EQ(server.objects(), (Json{{"a", "1"}, {"b", "new"}}));
  EXPECT_EQ(server.post("/v1/restore", Json::object()).status, 400);
  EXPECT_EQ(server.post("/v1/restore", {{"from_branch", "nope"}}).status, 404);
  const Answer at = server.post("/v1/restore", {{"from_branch", "dev"}, {"at", "@~1"}});
  EXPECT_EQ(at.status, 200) << at.body;
  EXPECT_EQ(server.objects(), (Json{{"a", "1"}}));
}

TEST(ApiHistory, LogsWithPagingAndFilters) {
  Server server;
  for (int i = 1; i <= 5; ++i) {
    server.post("/v1/apply",
                apply_body({{i % 2 == 0 ? "even" : "odd", std::to_string(i)}},
                           {{"message", "number " + std::to_string(i)}, {"author", i == 3 ? "ann" : "bob"}}));
  }
  const Answer all = server.get("/v1/log");
  ASSERT_EQ(all.json["entries"].size(), 5u);
  EXPECT_EQ(all.json["entries"][0]["id"], 5);
  EXPECT_EQ(all.json["entries"][0]["parent_id"], 4);
  EXPECT_EQ(all.json["entries"][0]["changes"][0]["after"], "5");
  EXPECT_EQ(all.json["entries"][4]["parent_id"], 0);
  EXPECT_FALSE(all.json.contains("next_cursor"));
  const Answer page = server.get("/v1/log?limit=2");
  EXPECT_EQ(page.json["next_cursor"], 4);
  EXPECT_EQ(server.get("/v1/log?limit=2&after=4").json["entries"][0]["id"], 3);
  EXPECT_EQ(server.get("/v1/log?author=ann").json["entries"].size(), 1u);
  EXPECT_EQ(server.get("/v1/log?key=even").json["entries"].size(), 2u);
  EXPECT_EQ(server.get("/v1/log?grep=number%202").json["entries"].size(), 1u);
  EXPECT_EQ(server.get("/v1/log?from=3").json["entries"].size(), 3u);
  EXPECT_EQ(server.get("/v1/log?cause=rollback").json["entries"].size(), 0u);
  EXPECT_EQ(server.get("/v1/log?cause=role").status, 400);
  EXPECT_EQ(server.get("/v1/log?since=2000-01-01").json["entries"].size(), 5u);
  EXPECT_EQ(server.get("/v1/log?until=2000-01-01").json["entries"].size(), 0u);
  EXPECT_EQ(server.get("/v1/log?since=yesterday").status, 400);
  EXPECT_FALSE(server.get("/v1/log?changes=none").json["entries"][0].contains("changes"));
  EXPECT_FALSE(server.get("/v1/log?changes=keys").json["entries"][0]["changes"][0].contains("after"));
  EXPECT_EQ(server.get("/v1/log?limit=1001").status, 400);

  const Answer history = server.get("/v1/history/even?limit=1");
  ASSERT_EQ(history.json["versions"].size(), 1u);
  EXPECT_EQ(history.json["versions"][0]["revision"]["id"], 4);
  EXPECT_FALSE(history.json["versions"][0]["revision"].contains("changes"));
  EXPECT_EQ(history.json["versions"][0]["change"]["before"], "2");
  const std::uint64_t cursor = history.json["next_cursor"];
  EXPECT_EQ(server.get("/v1/history/even?after=" + std::to_string(cursor)).json["versions"][0]["revision"]["id"], 2);

  EXPECT_EQ(server.get("/v1/revisions/main~1").json["id"], 4);
  EXPECT_EQ(server.get("/v1/resolve?at=main~1").json["revision"], 4);
  EXPECT_EQ(server.get("/v1/revisions/").status, 400);
  EXPECT_EQ(server.get("/v1/revisions/77").status, 404);
}

TEST(ApiNames, KeepsCheckpoints) {
  Server server;
  server.put("a", "1");
  const Answer made = server.post("/v1/checkpoints", {{"name", "stable"}, {"description", "good"}});
  ASSERT_EQ(made.status, 200) << made.body;
  EXPECT_EQ(made.json["name"], "stable");
  EXPECT_EQ(made.json["revision_id"], 1);
  server.put("a", "2");
  EXPECT_EQ(server.post("/v1/checkpoints", {{"name", "stable"}}).status, 409);
  EXPECT_EQ(server.post("/v1/checkpoints", {{"name", "stable"}, {"replace", true}}).json["revision_id"], 2);
  EXPECT_EQ(server.post("/v1/checkpoints", {{"name", "first"}, {"at", "1"}}).json["revision_id"], 1);
  EXPECT_EQ(server.get("/v1/state?checkpoint=first").json["objects"]["a"], "1");
  EXPECT_EQ(server.get("/v1/state?checkpoint=nope").status, 404);
  const Answer list = server.get("/v1/checkpoints");
  ASSERT_EQ(list.json["checkpoints"].size(), 2u);
  EXPECT_EQ(list.json["checkpoints"][0]["name"], "first");
  EXPECT_EQ(server.get("/v1/checkpoints?limit=1").json["next_cursor"], "first");
  EXPECT_EQ(server.get("/v1/checkpoints?limit=1&after=first").json["checkpoints"][0]["name"], "stable");
  EXPECT_EQ(server.post("/v1/rollback", {{"checkpoint_name", "first"}}).json["changes"][0]["after"], "1");
  const Answer gone = server.del("/v1/checkpoints", {{"namespace", ""}, {"name", "first"}});
  EXPECT_EQ(gone.status, 200);
  EXPECT_EQ(gone.json, Json::object());
  EXPECT_EQ(server.del("/v1/checkpoints", {{"name", "first"}}).status, 404);
}

TEST(ApiNames, KeepsBranches) {
  Server server;
  server.put("a", "1");
  server.put("a", "2");
  const Answer made = server.post("/v1/branches", {{"name", "experiment/x"}, {"from_revision", 1}});
  ASSERT_EQ(made.status, 200) << made.body;
  EXPECT_EQ(made.json["base_revision"], 1);
  EXPECT_EQ(made.json["head_revision"], 1);
  EXPECT_EQ(server.post("/v1/branches", {{"name", "experiment/x"}}).status, 409);
  server.put("b", "1", "experiment/x");
  const Answer list = server.get("/v1/branches?branch=experiment/x");
  ASSERT_EQ(list.json["branches"].size(), 2u);
  EXPECT_EQ(list.json["branches"][0]["name"], "experiment/x");
  EXPECT_EQ(list.json["branches"][0]["current"], true);
  EXPECT_EQ(list.json["branches"][0]["base_revision"], 1);
  EXPECT_EQ(list.json["branches"][0]["head_revision"], 3);
  EXPECT_EQ(list.json["branches"][1]["current"], false);
  EXPECT_EQ(server.get("/v1/branches?limit=1").json["next_cursor"], "experiment/x");
  EXPECT_EQ(server.get("/v1/branches?limit=1&after=experiment/x").json["branches"][0]["name"], "main");

  EXPECT_EQ(server.post("/v1/branches/rename", {{"from", "experiment/x"}, {"to", "y"}}).json["name"], "y");
  EXPECT_EQ(server.post("/v1/branches/rename", {{"from", "y"}, {"to", "main"}}).status, 409);
  EXPECT_EQ(server.post("/v1/branches/protect", {{"name", "y"}, {"protected", true}}).json["protected"], true);
  EXPECT_EQ(server.del("/v1/branches", {{"name", "y"}}).status, 409);
  EXPECT_EQ(server.post("/v1/branches/protect", {{"name", "y"}}).status, 400);
  EXPECT_EQ(server.post("/v1/branches/protect", {{"name", "y"}, {"protected", false}}).json["protected"], false);
  EXPECT_EQ(server.del("/v1/branches", {{"name", "y"}, {"expected_revision", 1}}).status, 412);
  EXPECT_EQ(server.del("/v1/branches", {{"name", "y"}, {"dry_run", true}}).status, 200);
  const Answer gone = server.del("/v1/branches", {{"name", "y"}, {"expected_revision", 3}});
  EXPECT_EQ(gone.status, 200);
  EXPECT_EQ(gone.json["head_revision"], 3);
  EXPECT_EQ(server.get("/v1/state?branch=y").status, 404);
}

TEST(ApiNames, KeepsNamespacesAndTheirOperations) {
  Server server;
  server.put("a", "1", "main", "payments/prod");
  server.put("a", "1", "main", "payments/dev");
  server.put("a", "1", "main", "web");
  const Answer list = server.get("/v1/namespaces?prefix=payments/");
  ASSERT_EQ(list.json["namespaces"].size(), 2u);
  EXPECT_EQ(list.json["namespaces"][0]["name"], "payments/dev");
  EXPECT_EQ(list.json["namespaces"][0]["last_revision"], 1);
  EXPECT_EQ(list.json["namespaces"][0]["branches"], 1);
  EXPECT_EQ(server.get("/v1/namespaces?limit=1").json["next_cursor"], "payments/dev");

  server.post("/v1/checkpoints", {{"scope", {{"namespace", "web"}}}, {"name", "c"}});
  const Answer operations = server.get("/v1/operations?namespace=web");
  ASSERT_GE(operations.json["operations"].size(), 2u);
  const Json last = operations.json["operations"].back();
  EXPECT_EQ(last["kind"], "checkpoint.create");
  EXPECT_EQ(last["name"], "c");
  EXPECT_EQ(last["actor"], "anonymous");
  EXPECT_EQ(last["request_id"], "test-request");
  const Answer one = server.get("/v1/operations?namespace=web&limit=1");
  EXPECT_EQ(one.json["next_cursor"], one.json["operations"][0]["sequence"]);
  EXPECT_EQ(
      server.get("/v1/operations?namespace=web&limit=1&after=" + std::to_string(one.json["next_cursor"].get<int>()))
          .json["operations"][0]["sequence"],
      one.json["operations"][0]["sequence"].get<int>() + 1);

  EXPECT_EQ(server.del("/v1/namespaces", Json::object()).status, 400) << "nothing is deleted that was not named";
  EXPECT_EQ(server.del("/v1/namespaces", {{"namespace", "web"}}).status, 200);
  EXPECT_EQ(server.get("/v1/state?namespace=web").json["revision"], 0);
  EXPECT_EQ(server.del("/v1/namespaces", {{"namespace", "web"}}).status, 404);
}

TEST(ApiOfrep, EvaluatesFlagsAsTheProtocolSays) {
  Server server;
  server.post("/v1/apply", {{"documents",
                             {{{"key", "flags/on"}, {"content", "true\n"}},
                              {{"key", "flags/big"}, {"content", "9007199254740993"}},
                              {{"key", "flags/obj"}, {"content", "{\"a\": [1, 2.50]}"}},
                              {{"key", "flags/text"}, {"content", "hello"}},
                              {{"key", "other"}, {"content", "1"}}}}});
  const Answer one = server.post("/ofrep/v1/evaluate/flags/flags/big", {{"context", {{"targetingKey", "u"}}}});
  ASSERT_EQ(one.status, 200) << one.body;
  EXPECT_EQ(one.body, R"({"key":"flags/big","value":9007199254740993,"reason":"STATIC","variant":"rev-1"})");
  EXPECT_EQ(server.post("/ofrep/v1/evaluate/flags/text?prefix=flags/", Json::object()).json["value"], "hello");
  const Answer missing = server.post("/ofrep/v1/evaluate/flags/nope", Json::object());
  EXPECT_EQ(missing.status, 404);
  EXPECT_EQ(missing.json["errorCode"], "FLAG_NOT_FOUND");
  EXPECT_EQ(missing.json["key"], "nope");
  const Answer all = server.post("/ofrep/v1/evaluate/flags?prefix=flags/", Json::object());
  ASSERT_EQ(all.status, 200) << all.body;
  EXPECT_EQ(all.json["flags"].size(), 4u);
  EXPECT_EQ(all.json["flags"][0]["key"], "big");
  EXPECT_EQ(all.json["metadata"]["revision"], 1);
  EXPECT_EQ(all.header("ETag"), "\"rev-1\"");
  const Answer same =
      server.post("/ofrep/v1/evaluate/flags?prefix=flags/", Json::object(), {{"if-none-match", "\"rev-1\""}});
  EXPECT_EQ(same.status, 304);
  EXPECT_EQ(same.body, "");
  server.put("other", "2");
  EXPECT_EQ(server.post("/ofrep/v1/evaluate/flags", Json::object(), {{"if-none-match", "\"rev-1\""}}).status, 200);
  EXPECT_EQ(server.raw("POST", "/ofrep/v1/evaluate/flags/x", "{").json["errorCode"], "PARSE_ERROR");
}

TEST(ApiHealth, AnswersWithoutATokenAndSaysWhenItDrains) {
  bool draining = false;
  ApiOptions options;
  options.draining = [&draining] { return draining; };
  Server server("tokens: []", {}, options);
  EXPECT_EQ(server.get("/healthz").body, "ok\n");
  EXPECT_EQ(server.get("/readyz").status, 200);
  EXPECT_EQ(server.get("/metrics").status, 200);
  EXPECT_EQ(server.get("/v1/status").status, 401);
  EXPECT_EQ(server.get("/v1/status").header("WWW-Authenticate"), "Bearer");
  draining = true;
  EXPECT_EQ(server.get("/readyz").status, 503);
  EXPECT_EQ(server.get("/healthz").status, 200);
}

TEST(ApiHealth, CountsOperations) {
  Server server;
  server.put("a", "1");
  server.put("a", "1");
  server.post("/v1/rollback", {{"revision_id", 9}});
  const std::string text = server.get("/metrics").body;
  EXPECT_NE(text.find(R"(st8_operations_total{operation="apply",result="success"} 1)"), std::string::npos) << text;
  EXPECT_NE(text.find(R"(st8_operations_total{operation="apply",result="noop"} 1)"), std::string::npos);
  EXPECT_NE(text.find(R"(st8_operations_total{operation="rollback",result="error"} 1)"), std::string::npos);
  EXPECT_NE(text.find(R"(st8_changed_documents_total{operation="apply"} 1)"), std::string::npos);
  EXPECT_NE(text.find("st8_operation_duration_seconds_bucket"), std::string::npos);
  EXPECT_NE(text.find("st8_commits_total 1"), std::string::npos);
  const Json status = server.get("/v1/status").json;
  EXPECT_EQ(status["version"], "test");
  EXPECT_EQ(status["whoami"]["name"], "anonymous");
  EXPECT_EQ(status["writable"], true);
}

TEST(ApiReads, HaveEntityTags) {
  Server server;
  server.put("a", "1");
  for (const std::string target :
       {"/v1/state", "/v1/log", "/v1/branches", "/v1/checkpoints", "/v1/namespaces", "/v1/operations", "/v1/resolve",
        "/v1/revisions/1", "/v1/history/a", "/v1/documents/a"}) {
    const Answer first = server.get(target);
    ASSERT_EQ(first.status, 200) << target << first.body;
    const std::string etag = first.header("ETag");
    ASSERT_FALSE(etag.empty()) << target;
    const Answer same = server.get(target, {{"if-none-match", etag}});
    EXPECT_EQ(same.status, 304) << target;
    EXPECT_EQ(same.body, "") << target;
    server.put("a", first.body.substr(0, 5) + target);
    if (target != "/v1/checkpoints" && target != "/v1/revisions/1") {
      EXPECT_EQ(server.get(target, {{"if-none-match", etag}}).status, 200) << target;
    }
  }
}

TEST(ApiNumbers, KeepEveryDigit) {
  Server server;
  const std::string content = R"({"id":9007199254740993,"big":123456789012345678901234567890,"exp":1e400,"a":1,"a":2})";
  server.put("n.json", content);
  EXPECT_EQ(server.objects()["n.json"], content);
  EXPECT_EQ(server.get("/v1/documents/n.json").body, content);
}

TEST(ApiSchema, IsTheFileOfTheTree) {
  Server server;
  const Json list = server.get("/v1/schema").json["schemas"];
  ASSERT_EQ(list.size(), 2u);
  for (const Json& schema : list) {
    const std::string name = schema["name"];
    std::ifstream stream(std::string(ST8_SOURCE_DIR) + "/docs/schema/" + name + ".schema.json", std::ios::binary);
    const std::string file{std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>()};
    const Answer answer = server.get("/v1/schema/" + name);
    EXPECT_EQ(answer.body, file) << name;
    EXPECT_EQ(answer.header("Content-Type"), "application/schema+json");
    EXPECT_EQ(answer.json["$id"], schema["id"]);
    EXPECT_EQ(server.get("/v1/schema/" + name, {{"if-none-match", answer.header("ETag")}}).status, 304);
  }
  EXPECT_EQ(server.get("/v1/schema/rollouts").json["hint"], "there are rollout, target");
}

}  // namespace
}  // namespace st8::api::test
