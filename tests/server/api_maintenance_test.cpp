// gc, fsck and backup through the API.
#include "server/api_fixture.h"

namespace st8::api::test {
namespace {

TEST(ApiMaintenance, GcPrunesKeepsAndSaysSo) {
  Server server;
  for (int i = 1; i <= 20; ++i) server.put("a", std::to_string(i));
  server.post("/v1/checkpoints", {{"name", "pinned"}, {"at", "3"}});
  const Answer dry = server.post("/v1/gc", {{"keep", 5}, {"dry_run", true}});
  ASSERT_EQ(dry.status, 200) << dry.body;
  EXPECT_EQ(dry.json["pruned"], 14);
  EXPECT_EQ(dry.json["dry_run"], true);
  EXPECT_EQ(server.get("/v1/documents/a?revision=1").status, 200) << "a dry run prunes nothing";
  const Answer gc = server.post("/v1/gc", {{"keep", 5}, {"namespace", "default"}});
  ASSERT_EQ(gc.status, 200) << gc.body;
  EXPECT_EQ(gc.json["pruned"], 14);
  const Answer gone = server.get("/v1/documents/a?revision=1");
  EXPECT_EQ(gone.status, 410) << gone.body;
  EXPECT_EQ(gone.code(), "gone");
  EXPECT_EQ(server.post("/v1/rollback", {{"revision_id", 1}}).status, 410);
  EXPECT_EQ(server.get("/v1/state?checkpoint=pinned").json["objects"]["a"], "3");
  const Json entries = server.get("/v1/log?limit=20").json["entries"];
  ASSERT_EQ(entries.size(), 20u) << "the log stays whole";
  EXPECT_EQ(entries[19]["pruned"], true);
  EXPECT_EQ(entries[19]["changes"], Json::array());
  EXPECT_EQ(entries[19]["changes_truncated"], true);
  EXPECT_EQ(entries[0]["pruned"], false);
  EXPECT_EQ(server.post("/v1/gc", {{"keep", 5}}).json["pruned"], 0);
  EXPECT_EQ(server.post("/v1/fsck", Json::object()).json["clean"], true);
  EXPECT_EQ(server.post("/v1/gc", {{"keep", 5}, {"namespace", "nope"}}).status, 404);
}

TEST(ApiMaintenance, AStreamCannotResumeWhereGcHasBeen) {
  Server server;
  for (int i = 1; i <= 20; ++i) server.put("a", std::to_string(i));
  ASSERT_EQ(server.post("/v1/gc", {{"keep", 5}}).status, 200);
  const Answer gone = server.get("/v1/watch?after=3");
  EXPECT_EQ(gone.status, 410) << gone.body;
  EXPECT_EQ(gone.code(), "gone");
  EXPECT_EQ(server.get("/v1/watch", {{"last-event-id", "3"}}).status, 410);
  EXPECT_EQ(server.get("/v1/watch?after=15").status, 410) << "what 16 changed is told from 15, which is gone";
  const auto channel = server.watch("/v1/watch?after=16");
  ASSERT_TRUE(channel->wait([](const std::string& text) { return text.find("id: 20\n") != std::string::npos; }))
      << channel->text();
  EXPECT_NE(channel->text().find("id: 17\n"), std::string::npos);
}

TEST(ApiMaintenance, FsckProvesTheStore) {
  Server server;
  server.put("a", "1");
  server.put("a", "1", "main", "other");
  const Answer all = server.post("/v1/fsck", Json::object());
  ASSERT_EQ(all.status, 200) << all.body;
  EXPECT_EQ(all.json["clean"], true);
  EXPECT_EQ(all.json["problems"], Json::array());
  EXPECT_EQ(all.json["namespaces"], 2);
  EXPECT_EQ(server.send(server.request("POST", "/v1/fsck")).status, 200) << "its body may be empty";
  EXPECT_EQ(server.post("/v1/fsck", {{"namespace", "other"}}).json["namespaces"], 1);
  EXPECT_EQ(server.post("/v1/fsck", {{"namespace", "nope"}}).status, 404);
}

TEST(ApiMaintenance, ABackupFillsAnEmptyStore) {
  Server server;
  for (int i = 0; i < 50; ++i)
    server.put("k" + std::to_string(i), std::string(20'000, static_cast<char>('a' + i % 26)));
  server.post("/v1/checkpoints", {{"name", "c"}});
  const Answer backup = server.get("/v1/backup");
  ASSERT_EQ(backup.status, 200) << backup.body;
  EXPECT_FALSE(backup.stream_error) << backup.stream_error->message;
  EXPECT_EQ(backup.header("Content-Type"), "application/octet-stream");
  const std::unique_ptr<state::Engine> engine = state::make_memory_engine();
  std::size_t at = 0;
  const auto report = state::restore_backup(*engine, [&]() -> Result<std::string> {
    const std::string chunk = backup.body.substr(at, 100'000);
    at += chunk.size();
    return chunk;
  });
  ASSERT_TRUE(report) << report.error().message;
}

TEST(ApiMaintenance, ABackupThatNobodyReadsToTheEndEnds) {
  Server server;
  for (int i = 0; i < 100; ++i) server.put("k" + std::to_string(i), std::string(100'000, 'x'));
  http::Response response = server.api().handle(server.request("GET", "/v1/backup"));
  ASSERT_TRUE(response.body_source);
  const auto first = response.body_source();
  ASSERT_TRUE(first);
  EXPECT_FALSE(first->empty());
  response.body_source = nullptr;  // The client went away; this must not hang.
}

TEST(ApiMaintenance, GcOfAllMeansAllThatTheTokenAdministers) {
  Server server(R"(
tokens:
  - {name: root, token: root-token-with-enough-bytes, allow: {namespaces: ["*"], branches: ["*"], verbs: [read, write, admin]}}
  - {name: team, token: team-token-with-enough-bytes, allow: {namespaces: ["team/*"], branches: ["*"], verbs: [read, admin]}}
)");
  server.use_token("root-token-with-enough-bytes");
  for (int i = 1; i <= 5; ++i) {
    server.put("a", std::to_string(i), "main", "team/x");
    server.put("a", std::to_string(i), "main", "other");
  }
  server.use_token("team-token-with-enough-bytes");
  EXPECT_EQ(server.post("/v1/gc", {{"keep", 1}, {"namespace", "other"}}).status, 403);
  EXPECT_EQ(server.post("/v1/fsck", Json::object()).json["namespaces"], 1);
  const Answer gc = server.post("/v1/gc", {{"keep", 1}});
  ASSERT_EQ(gc.status, 200) << gc.body;
  EXPECT_EQ(gc.json["pruned"], 4);
  server.use_token("root-token-with-enough-bytes");
  EXPECT_EQ(server.get("/v1/documents/a?namespace=other&revision=1").status, 200);
  EXPECT_EQ(server.get("/v1/documents/a?namespace=team/x&revision=1").status, 410);
}

}  // namespace
}  // namespace st8::api::test
