// The API through the real st8d: sockets, RocksDB, signals.
#include <csignal>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <iterator>
#include <nlohmann/json.hpp>
#include <set>
#include <string>

#include "st8/state/engine.h"
#include "st8/state/maintenance.h"
#include "support/daemon.h"
#include "support/eventually.h"
#include "support/raw_client.h"
#include "support/temp_directory.h"

namespace st8::test {
namespace {

using Json = nlohmann::json;

class DaemonApi : public testing::Test {
 protected:
  void start(std::vector<std::string> arguments = {}) {
    daemon_.reset();
    daemon_ = std::make_unique<Daemon>(DaemonOptions{(directory_.path() / "state").string(), std::move(arguments), {}});
    ASSERT_TRUE(daemon_->wait_ready()) << daemon_->log();
  }
  std::optional<RawResponse> send(RawClient& client, const std::string& method, const std::string& target,
                                  const std::string& body = {}, const std::string& headers = {}) {
    std::string head = method + " " + target + " HTTP/1.1\r\nHost: test\r\n" + headers;
    if (!body.empty() || method == "POST" || method == "PUT")
      head += "Content-Length: " + std::to_string(body.size()) + "\r\n";
    if (!client.send(head + "\r\n") || !client.send(body)) return std::nullopt;
    return client.response(method == "HEAD", std::chrono::seconds(60));
  }
  RawResponse call(const std::string& method, const std::string& target, const std::string& body = {},
                   const std::string& headers = {}) {
    RawClient client(daemon_->port());
    auto response = send(client, method, target, body, headers);
    EXPECT_TRUE(response) << method << " " << target << "\n" << daemon_->log();
    return response.value_or(RawResponse{});
  }
  static std::string apply_body(const std::string& key, const std::string& content) {
    return Json{{"documents", {{{"key", key}, {"content", content}}}}}.dump();
  }

  TempDirectory directory_;
  std::unique_ptr<Daemon> daemon_;
};

TEST_F(DaemonApi, KeepsWhatItAcknowledgedAcrossARestart) {
  start();
  const RawResponse first = call("POST", "/v1/apply", apply_body("a/b c.json", "{\"n\":9007199254740993}"),
                                 "Content-Type: application/json\r\nIdempotency-Key: k\r\n");
  ASSERT_EQ(first.status, 200) << first.body;
  EXPECT_EQ(first.headers.at("x-st8-revision"), "1");
  EXPECT_FALSE(first.headers.at("x-request-id").empty());
  const std::string bytes("\0\xff\n", 3);
  EXPECT_EQ(call("PUT", "/v1/documents/bin", bytes).status, 201);
  daemon_->send_signal(SIGTERM);
  EXPECT_EQ(daemon_->wait_end(), 0) << daemon_->log();
  start();
  EXPECT_EQ(call("GET", "/v1/documents/a/b%20c.json").body, "{\"n\":9007199254740993}");
  EXPECT_EQ(call("GET", "/v1/documents/bin").body, bytes);
  const RawResponse again = call("POST", "/v1/apply", apply_body("a/b c.json", "{\"n\":9007199254740993}"),
                                 "Content-Type: application/json\r\nIdempotency-Key: k\r\n");
  EXPECT_EQ(Json::parse(again.body)["replayed"], true) << again.body;
  EXPECT_EQ(call("POST", "/v1/apply", apply_body("x", "y"), "Idempotency-Key: k\r\n").status, 409);
}

TEST_F(DaemonApi, HeadConditionsAndErrorsOverTheWire) {
  start();
  ASSERT_EQ(call("PUT", "/v1/documents/a", "hello").status, 201);
  RawClient client(daemon_->port());
  const auto head = send(client, "HEAD", "/v1/documents/a");
  ASSERT_TRUE(head);
  EXPECT_EQ(head->status, 200);
  EXPECT_EQ(head->headers.at("content-length"), "5");
  const std::string etag = head->headers.at("etag");
  const auto same = send(client, "GET", "/v1/documents/a", "", "If-None-Match: " + etag + "\r\n");
  ASSERT_TRUE(same);
  EXPECT_EQ(same->status, 304);
  const auto problem = send(client, "POST", "/v1/apply", "{", "X-Request-Id: mine-1\r\n");
  ASSERT_TRUE(problem) << "the connection goes on";
  EXPECT_EQ(problem->status, 400);
  EXPECT_EQ(problem->headers.at("content-type"), "application/problem+json");
  EXPECT_EQ(problem->headers.at("x-request-id"), "mine-1");
  EXPECT_EQ(Json::parse(problem->body)["request_id"], "mine-1");
  const auto method = send(client, "PATCH", "/v1/apply", "{}");
  ASSERT_TRUE(method);
  EXPECT_EQ(method->status, 405);
  EXPECT_EQ(method->headers.at("allow"), "POST");
  const auto dots = send(client, "GET", "/v1/documents/..%2f..%2fetc%2fpasswd");
  ASSERT_TRUE(dots);
  EXPECT_EQ(dots->status, 400);
  const auto nul = send(client, "GET", "/v1/documents/a%00b");
  ASSERT_TRUE(nul);
  EXPECT_EQ(nul->status, 400);
  const RawResponse metrics = call("GET", "/metrics");
  EXPECT_NE(metrics.body.find("st8_http_requests_total{route=\"/v1/documents/{key...}\""), std::string::npos)
      << metrics.body.substr(0, 2000);
  EXPECT_NE(metrics.body.find("st8_operations_total{operation=\"put_document\",result=\"success\"} 1"),
            std::string::npos);
}

std::set<std::string> names_behind(const std::string& text, const std::string& lead) {
  std::set<std::string> names;
  for (std::size_t at = text.find(lead); at != std::string::npos; at = text.find(lead, at + 1)) {
    const std::size_t begin = text.find("st8_", at);
    names.insert(text.substr(begin, text.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_", begin) - begin));
  }
  return names;
}

TEST_F(DaemonApi, MetricsAreThoseOfTheManual) {
  start();
  ASSERT_EQ(call("PUT", "/v1/documents/a", "1").status, 201);  // Series by operation begin with the first one.
  std::ifstream manual(std::string(ST8_SOURCE_DIR) + "/docs/operating.md", std::ios::binary);
  const std::string page{std::istreambuf_iterator<char>(manual), {}};
  const std::set<std::string> told = names_behind(page, "`st8_");
  EXPECT_GT(told.size(), 30u);
  // A request is counted once it is answered, which is a moment after its client has the answer.
  std::set<std::string> found;
  EXPECT_TRUE(eventually([&] {
    found = names_behind(call("GET", "/metrics").body, "# TYPE st8_");
    return found == told;
  })) << testing::PrintToString(found);
}

TEST_F(DaemonApi, TwentyMebibytesInAndAStateOutInChunks) {
  start();
  const std::string content(10u << 20, 'x');
  const std::string body = R"({"documents":[{"key":"a","content":")" + content + R"("},{"key":"b","content":")" +
                           content.substr(1000) + R"("}]})";
  const RawResponse applied = call("POST", "/v1/apply?changes=keys", body, "Content-Type: application/json\r\n");
  ASSERT_EQ(applied.status, 200) << applied.body.substr(0, 300);
  const RawResponse state = call("GET", "/v1/state");
  ASSERT_EQ(state.status, 200);
  EXPECT_EQ(state.headers.count("content-length"), 0u) << "it is sent as it is read";
  const Json parsed = Json::parse(state.body, nullptr, false);
  ASSERT_TRUE(parsed.is_object());
  EXPECT_EQ(parsed["objects"]["a"].get<std::string>(), content);
  RawClient client(daemon_->port());
  const std::string beyond(41u << 20, 'x');
  client.send("POST /v1/apply HTTP/1.1\r\nHost: t\r\nContent-Length: " + std::to_string(beyond.size()) + "\r\n\r\n");
  client.send(std::string_view(beyond).substr(0, 1u << 16));
  const auto refused = client.response();
  ASSERT_TRUE(refused);
  EXPECT_EQ(refused->status, 413);
}

TEST_F(DaemonApi, StreamsResumeAndEndWithTheDaemon) {
  start();
  for (int i = 1; i <= 3; ++i) ASSERT_EQ(call("PUT", "/v1/documents/a", std::to_string(i)).status / 100, 2);
  RawClient stream(daemon_->port());
  ASSERT_TRUE(
      stream.send("GET /v1/watch HTTP/1.1\r\nHost: t\r\nLast-Event-ID: 1\r\nAccept: text/event-stream\r\n\r\n"));
  const auto begun = stream.receive_until("id: 3\n");
  ASSERT_TRUE(begun) << daemon_->log();
  EXPECT_NE(begun->find("text/event-stream"), std::string::npos);
  EXPECT_NE(begun->find("event: ready\n"), std::string::npos);
  EXPECT_NE(begun->find("id: 2\n"), std::string::npos);
  EXPECT_EQ(begun->find("id: 1\n"), std::string::npos);
  ASSERT_EQ(call("PUT", "/v1/documents/a", "4").status, 200);
  ASSERT_TRUE(stream.receive_until("id: 4\n"));
  EXPECT_EQ(call("GET", "/v1/watch?after=99").status, 410);
  const auto before = std::chrono::steady_clock::now();
  daemon_->send_signal(SIGTERM);
  EXPECT_TRUE(stream.receive_all()) << "the stream ends";
  EXPECT_EQ(daemon_->wait_end(), 0) << daemon_->log();
  EXPECT_LT(std::chrono::steady_clock::now() - before, std::chrono::seconds(8))
      << "an open stream does not hold the daemon up";
}

TEST_F(DaemonApi, TokensAreReadAgainOnSighup) {
  const auto tokens = directory_.path() / "tokens.yaml";
  const auto write = [&](const std::string& name) {
    std::ofstream(tokens, std::ios::trunc)
        << "tokens:\n  - {name: " << name << ", token: " << name
        << "-with-more-than-enough-bytes, allow: {namespaces: ['*'], branches: ['*'], verbs: [read, write]}}\n";
  };
  write("first");
  start({"--auth-config", tokens.string()});
  const auto status = [&](const std::string& name) {
    return call("GET", "/v1/state", "", "Authorization: Bearer " + name + "-with-more-than-enough-bytes\r\n").status;
  };
  EXPECT_EQ(call("GET", "/v1/state").status, 401);
  EXPECT_EQ(status("first"), 200);
  EXPECT_EQ(status("second"), 401);
  write("second");
  daemon_->send_signal(SIGHUP);
  ASSERT_TRUE(eventually([&] { return status("second") == 200; })) << daemon_->log();
  EXPECT_EQ(status("first"), 401);
  std::ofstream(tokens, std::ios::trunc) << "tokens: [oh no";
  daemon_->send_signal(SIGHUP);
  ASSERT_TRUE(eventually([&] { return daemon_->log().find("stay as they were") != std::string::npos; }))
      << daemon_->log();
  EXPECT_EQ(status("second"), 200);
  EXPECT_EQ(daemon_->log().find("with-more-than-enough-bytes"), std::string::npos) << "no token in the log";
}

TEST_F(DaemonApi, ABackupTakenOverHttpRestores) {
  start();
  for (int i = 0; i < 20; ++i)
    ASSERT_EQ(
        call("PUT", "/v1/documents/k" + std::to_string(i), std::string(50'000, static_cast<char>('a' + i))).status,
        201);
  const RawResponse backup = call("GET", "/v1/backup");
  ASSERT_EQ(backup.status, 200);
  const std::unique_ptr<state::Engine> engine = state::make_memory_engine();
  std::size_t at = 0;
  const auto report = state::restore_backup(*engine, [&]() -> Result<std::string> {
    const std::string chunk = backup.body.substr(at, 65'536);
    at += chunk.size();
    return chunk;
  });
  ASSERT_TRUE(report) << report.error().message;
  const RawResponse fsck = call("POST", "/v1/fsck", "{}");
  EXPECT_EQ(Json::parse(fsck.body)["clean"], true) << fsck.body;
}

}  // namespace
}  // namespace st8::test
