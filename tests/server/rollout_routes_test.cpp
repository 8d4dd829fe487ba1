// The routes of rollouts over a real store, directories and service: what they answer, and to whom.
#include <filesystem>
#include <fstream>
#include <gmock/gmock.h>
#include <nlohmann/json.hpp>
#include <regex>

#include "api/instance.h"
#include "server/api_fixture.h"
#include "support/eventually.h"
#include "support/temp_directory.h"

namespace st8::api {
namespace {

using test::Json;
using ::testing::HasSubstr;

constexpr const char* kTokens = R"(
tokens:
  - {token: root-token-with-enough-bytes, name: root, allow: {namespaces: ["*"], branches: ["*"], verbs: [read, write, admin]}}
  - {token: shop-token-with-enough-bytes, name: shop, allow: {namespaces: [shop], branches: [main], verbs: [read, write]}}
  - {token: look-token-with-enough-bytes, name: look, allow: {namespaces: [shop], branches: [main], verbs: [read]}}
  - {token: bank-token-with-enough-bytes, name: bank, allow: {namespaces: [bank], branches: ["*"], verbs: [read, write, admin]}}
  - {token: part-token-with-enough-bytes, name: part, allow: {namespaces: [shop], branches: [main], key_prefix: pub/, verbs: [read, write]}}
)";

class RolloutRoutes : public ::testing::Test {
 protected:
  void SetUp() override {
    const auto tokens = directory_.path() / "tokens.yaml";
    std::ofstream(tokens) << kTokens;
    InstanceOptions options;
    options.engine.directory = (directory_.path() / "state").string();
    options.auth.token_file = tokens.string();
    options.rollouts = true;
    auto opened = Instance::open(std::move(options), system_clock());
    ASSERT_TRUE(opened) << opened.error().message;
    instance_ = std::move(*opened);
    put("st8/system",
        {{"targets/web-1.yaml", "kind: file\nspec: {root: " + (directory_.path() / "web-1").string() + "}\n"}});
    put("shop", {{".st8/rollout.yaml", "branches: [main]\ntargets: {names: [web-1]}\napproval: {required: true}\n"},
                 {"pub/a", "1"},
                 {"private/secret-name", "2"}});
    // It is listed a moment before it is planned.
    ASSERT_TRUE(
        st8::test::eventually([&] { return get("root", "/v1/rollouts/r-1").json["waiting_for"] == "an approval"; }));
  }

  struct Reply {
    int status = 0;
    std::string body;
    Json json;
  };
  Reply send(const std::string& token, const std::string& method, const std::string& target,
             const std::string& body = "") {
    http::Request request;
    request.method = method;
    test::set_target(request, target);
    request.body = body;
    if (!token.empty()) request.headers.emplace_back("authorization", "Bearer " + token + "-token-with-enough-bytes");
    if (method != "GET") request.headers.emplace_back("content-type", "application/json");
    request.remote_address = "127.0.0.1:1";
    const http::Response response = instance_->handler().handle(request);
    return {response.status, response.body, Json::parse(response.body, nullptr, false)};
  }
  // The stream that a GET opens.
  std::shared_ptr<test::TestChannel> follow(const std::string& token, const std::string& target,
                                            const std::string& last_event_id = "") {
    http::Request request;
    request.method = "GET";
    test::set_target(request, target);
    request.headers.emplace_back("authorization", "Bearer " + token + "-token-with-enough-bytes");
    if (!last_event_id.empty()) request.headers.emplace_back("last-event-id", last_event_id);
    request.remote_address = "127.0.0.1:1";
    const http::Response response = instance_->handler().handle(request);
    auto channel = std::make_shared<test::TestChannel>();
    EXPECT_EQ(response.status, 200) << response.body;
    if (response.on_stream) response.on_stream(channel);
    return channel;
  }
  Reply get(const std::string& token, const std::string& target) { return send(token, "GET", target); }
  Reply post(const std::string& token, const std::string& target, const Json& body = Json::object()) {
    return send(token, "POST", target, body.dump());
  }
  void put(const std::string& ns, const std::vector<std::pair<std::string, std::string>>& documents) {
    Json body = {{"scope", {{"namespace", ns}, {"branch", "main"}}}, {"documents", Json::array()}};
    for (const auto& [key, content] : documents) body["documents"].push_back({{"key", key}, {"content", content}});
    const Reply reply = post("root", "/v1/apply", body);
    ASSERT_EQ(reply.status, 200) << reply.body;
  }
  void approve() {
    const std::string hash = get("root", "/v1/rollouts/r-1").json["plan_hash"];
    const Reply reply = post("shop", "/v1/rollouts/r-1/approve", {{"plan", hash}});
    ASSERT_EQ(reply.status, 200) << reply.body;
    ASSERT_TRUE(st8::test::eventually([&] { return get("root", "/v1/rollouts/r-1").json["phase"] == "promoted"; }));
  }

  st8::test::TempDirectory directory_;
  std::unique_ptr<Instance> instance_;
};

// Four eyes: who wrote a revision down under another's name is still the one who made it.
TEST_F(RolloutRoutes, NobodyApprovesWhatTheyMadeWhateverAuthorTheyGave) {
  approve();
  const Json body = {{"scope", {{"namespace", "shop"}, {"branch", "main"}}},
                     {"author", "somebody-else"},
                     {"documents", {{{"key", "pub/a"}, {"content", "mine"}}}}};
  const Reply made = post("shop", "/v1/apply", body);
  ASSERT_EQ(made.status, 200) << made.body;
  ASSERT_TRUE(
      st8::test::eventually([&] { return get("root", "/v1/rollouts/r-2").json["waiting_for"] == "an approval"; }));
  const std::string hash = get("root", "/v1/rollouts/r-2").json["plan_hash"];
  const Reply own = post("shop", "/v1/rollouts/r-2/approve", {{"plan", hash}});
  EXPECT_EQ(own.status, 403);
  EXPECT_THAT(own.body, HasSubstr("shop made the revision and cannot approve it"));
  EXPECT_EQ(get("root", "/v1/rollouts/r-2").json["phase"], "pending");
  // Many names changed in between: the log is read on to the revision's own record.
  for (int i = 0; i < 3; ++i) {
    const std::string name = "c" + std::to_string(i);
    ASSERT_EQ(post("root", "/v1/checkpoints", {{"scope", {{"namespace", "shop"}, {"branch", "main"}}}, {"name", name}})
                  .status,
              200);
  }
  EXPECT_EQ(post("root", "/v1/rollouts/r-2/approve", {{"plan", hash}}).status, 200);
}

TEST_F(RolloutRoutes, ShowTheWayOfARevisionToItsTarget) {
  EXPECT_EQ(get("root", "/v1/rollouts/r-1").json["waiting_for"], "an approval");
  EXPECT_TRUE(get("root", "/v1/live").json["live"].empty());
  EXPECT_EQ(post("shop", "/v1/rollouts/r-1/approve", {{"plan", std::string(64, '0')}}).status, 412);
  EXPECT_EQ(post("shop", "/v1/rollouts/r-1/approve").status, 400);
  approve();
  const Json live = get("root", "/v1/live?namespace=shop").json["live"];
  ASSERT_EQ(live.size(), 1u);
  EXPECT_EQ(live[0]["target"], "web-1");
  EXPECT_EQ(live[0]["revision"], 1);
  EXPECT_EQ(live[0]["desired_revision"], 1);
  EXPECT_EQ(live[0]["state"], "promoted");
  EXPECT_TRUE(get("root", "/v1/live?namespace=shop&time=1h-ago").json["live"].empty());
  EXPECT_EQ(get("root", "/v1/live?time=yesterday").status, 400);
  const Json detail = get("root", "/v1/rollouts/1").json;
  EXPECT_EQ(detail["targets"][0]["stage"], "promoted");
  EXPECT_EQ(detail["targets"][0]["read_back"], live[0]["hash"]);
  EXPECT_EQ(detail["events"].front()["kind"], "created");
  EXPECT_EQ(detail["events"].back()["outcome"], "promoted");
  EXPECT_EQ(detail["plan"]["targets"][0]["diff"][0]["type"], "create");
  EXPECT_EQ(get("root", "/v1/targets").json["targets"][0]["live"]["revision"], 1);
  EXPECT_EQ(get("root", "/v1/targets/web-1").json["kind"], "file");
  const Reply near = get("root", "/v1/targets/wbe-1");
  EXPECT_EQ(near.status, 404);
  EXPECT_THAT(near.body, HasSubstr("did you mean"));
  EXPECT_EQ(post("root", "/v1/rollouts/r-1/abort").status, 409);
  EXPECT_EQ(post("root", "/v1/rollouts/r-1/explode").status, 404);
  EXPECT_EQ(post("root", "/v1/rollouts/r-1/abort", {{"raeson", "x"}}).status, 400);
  EXPECT_EQ(get("root", "/v1/rollouts/r-99").status, 404);
  EXPECT_EQ(get("root", "/v1/rollouts/nonsense").status, 400);
  EXPECT_EQ(get("root", "/v1/plan?namespace=shop").json["noop"], true);
}

TEST_F(RolloutRoutes, AnswerOnlyWhoMaySeeTheBranch) {
  approve();
  for (const char* path : {"/v1/rollouts/r-1", "/v1/live?namespace=shop", "/v1/rollouts?namespace=shop",
                           "/v1/plan?namespace=shop", "/v1/targets", "/v1/targets/web-1"}) {
    EXPECT_EQ(get("", path).status, 401) << path;
    const int status = get("bank", path).status;
    EXPECT_TRUE(status == 403 || status == 404) << path << " " << status;
  }
  EXPECT_TRUE(get("bank", "/v1/live").json["live"].empty());
  EXPECT_TRUE(get("bank", "/v1/rollouts").json["rollouts"].empty());
  EXPECT_EQ(get("look", "/v1/rollouts/r-1").status, 200);
  for (const char* verb : {"pause", "resume", "promote", "abort", "retry", "approve", "reject"}) {
    EXPECT_EQ(post("look", std::string("/v1/rollouts/r-1/") + verb).status, 403) << verb;
    EXPECT_EQ(post("bank", std::string("/v1/rollouts/r-1/") + verb).status, 404) << verb;
  }
  EXPECT_EQ(post("shop", "/v1/freeze", {{"namespace", "shop"}, {"reason", "x"}}).status, 403);
  EXPECT_EQ(post("bank", "/v1/freeze", {{"namespace", "shop"}, {"reason", "x"}}).status, 403);
  EXPECT_EQ(post("bank", "/v1/freeze", {{"reason", "x"}}).status, 403);
  EXPECT_EQ(post("root", "/v1/freeze", {{"reason", "x"}}).status, 200);
  EXPECT_EQ(get("root", "/v1/freezes").json["freezes"][0]["namespace"], "*");
  EXPECT_EQ(post("root", "/v1/unfreeze").status, 200);
  EXPECT_EQ(post("bank", "/v1/quarantine/release", {{"namespace", "shop"}, {"key", "x"}}).status, 403);
}

TEST_F(RolloutRoutes, TellNothingOfKeysOutsideThePrefix) {
  approve();
  for (const char* path : {"/v1/rollouts/r-1", "/v1/rollouts", "/v1/plan?namespace=shop", "/v1/live?namespace=shop",
                           "/v1/quarantine?namespace=shop"}) {
    const Reply reply = get("part", path);
    EXPECT_EQ(reply.status, 200) << path << reply.body;
    EXPECT_EQ(reply.body.find("secret-name"), std::string::npos) << path;
  }
}

TEST_F(RolloutRoutes, RefuseABadPolicyBeforeARevisionIsMade) {
  const auto apply = [&](const std::string& ns, const std::string& key, const std::string& content) {
    return post("root", "/v1/apply",
                {{"scope", {{"namespace", ns}}}, {"documents", {{{"key", key}, {"content", content}}}}});
  };
  const Reply policy = apply("shop", ".st8/rollout.yaml", "branches: [main]\ntargets: {names: [web-2]}\n");
  EXPECT_EQ(policy.status, 422) << policy.body;
  EXPECT_THAT(policy.json["detail"].get<std::string>(), HasSubstr(".st8/rollout.yaml:2"));
  EXPECT_THAT(policy.json["hint"].get<std::string>(), HasSubstr("web-1"));
  EXPECT_EQ(apply("st8/system", "targets/x.yaml", "kind: file\nspec: {}\n").status, 422);
  EXPECT_EQ(send("root", "PUT", "/v1/documents/.st8/rollout.yaml?namespace=shop", "nonsense: 1\n").status, 422);
  EXPECT_EQ(get("root", "/v1/log?namespace=shop").json["entries"].size(), 1u);
}

TEST_F(RolloutRoutes, ACopyKeepsTheDocumentsThatItIsToldToKeep) {
  put("shop", {{"pub/a", "changed"}, {"pub/b", "new"}});
  const Json scope = {{"namespace", "shop"}, {"branch", "main"}};
  const Reply rolled =
      post("root", "/v1/rollback", {{"scope", scope}, {"revision_id", 1}, {"keep", {"pub/b", "pub/b"}}});
  ASSERT_EQ(rolled.status, 200) << rolled.body;
  const Json state = get("root", "/v1/state?namespace=shop").json["objects"];
  EXPECT_EQ(state["pub/a"], "1");
  EXPECT_EQ(state["pub/b"], "new");
  const Reply unknown = post("root", "/v1/rollback", {{"scope", scope}, {"revision_id", 1}, {"keep", {"pub/c"}}});
  EXPECT_EQ(unknown.status, 404);
  EXPECT_THAT(unknown.body, HasSubstr("neither branch main nor revision 1 has it"));
  EXPECT_EQ(post("root", "/v1/rollback", {{"scope", scope}, {"revision_id", 1}, {"keep", {"/etc"}}}).status, 400);
  EXPECT_EQ(post("root", "/v1/restore",
                 {{"scope", scope}, {"from_revision", 1}, {"keep", Json(std::vector<std::string>(1001, "a"))}})
                .status,
            413);
  // A bad policy that a merge would bring is refused as an apply of it is.
  ASSERT_EQ(post("root", "/v1/branches", {{"scope", scope}, {"name", "side"}}).status, 200);
  const Reply bad = post(
      "root", "/v1/apply",
      {{"scope", {{"namespace", "shop"}, {"branch", "side"}}},
       {"documents",
        {{{"key", ".st8/rollout.yaml"}, {"content", "branches: [main]\ntargets: {labels: {a: b}}\nbaek: 5m\n"}}}}});
  EXPECT_EQ(bad.status, 422) << bad.body;
  EXPECT_THAT(bad.body, HasSubstr(".st8/rollout.yaml:3: baek"));
}

std::vector<std::uint64_t> ids(const std::string& text) {
  std::vector<std::uint64_t> found;
  static const std::regex kId("(?:^|\n)id: ([0-9]+)\nevent: event\ndata: ");
  for (std::sregex_iterator it(text.begin(), text.end(), kId), end; it != end; ++it)
    found.push_back(std::stoull((*it)[1]));
  return found;
}
auto says(const std::string& needle) {
  return [needle](const std::string& text) { return text.find(needle) != std::string::npos; };
}

TEST_F(RolloutRoutes, AStreamTellsEveryEventOnceAndEndsWithTheRollout) {
  const auto early = follow("look", "/v1/rollouts/r-1/events");
  const auto part = follow("part", "/v1/rollouts/r-1/events");
  ASSERT_TRUE(early->wait(says("\"waiting_for\":\"an approval\""))) << early->text();
  EXPECT_THAT(early->text(), testing::StartsWith("id: 1\nevent: event\ndata: {\"sequence\":1,"));
  approve();
  ASSERT_TRUE(early->wait_closed()) << early->text();
  const Json rollout = get("root", "/v1/rollouts/r-1").json;
  const std::size_t count = rollout["events"].size();
  std::vector<std::uint64_t> all;
  for (std::size_t i = 1; i <= count; ++i) all.push_back(i);
  EXPECT_EQ(ids(early->text()), all);
  // The state stands behind the events that led to it, and the last one before the end.
  const std::string text = early->text();
  const std::size_t last = text.rfind("event: state\ndata: ");
  ASSERT_NE(last, std::string::npos);
  EXPECT_LT(text.rfind("\nid: "), last);
  EXPECT_NE(text.find("\"phase\":\"promoted\"", last), std::string::npos);
  EXPECT_THAT(
      text,
      HasSubstr("event: end\ndata: {\"reason\":\"the rollout is over\",\"after\":" + std::to_string(count) + "}\n\n"));
  ASSERT_TRUE(part->wait_closed());
  EXPECT_EQ(ids(part->text()), all);
  EXPECT_EQ(part->text().find("secret-name"), std::string::npos);
  EXPECT_EQ(part->text().find("\"detail\""), std::string::npos);

  // Whoever was away goes on behind what it has seen; the header is newer than the address.
  const auto resumed = follow("look", "/v1/rollouts/r-1/events?after=1", "3");
  ASSERT_TRUE(resumed->wait_closed());
  EXPECT_EQ(ids(resumed->text()).front(), 4u);
  EXPECT_EQ(ids(resumed->text()).size(), count - 3);
  const auto whole = follow("look", "/v1/rollouts/r-1/events?after=" + std::to_string(count));
  ASSERT_TRUE(whole->wait_closed());
  EXPECT_TRUE(ids(whole->text()).empty());
}

TEST_F(RolloutRoutes, AStreamIsForThoseWhoSeeTheBranchAndSaysWhatIsGone) {
  EXPECT_EQ(get("", "/v1/rollouts/r-1/events").status, 401);
  EXPECT_EQ(get("bank", "/v1/rollouts/r-1/events").status, 404);
  EXPECT_EQ(get("root", "/v1/rollouts/r-99/events").status, 404);
  EXPECT_EQ(get("root", "/v1/rollouts/x/events").status, 400);
  EXPECT_EQ(get("root", "/v1/rollouts/r-1/events?after=x").status, 400);
  const Reply gone = get("root", "/v1/rollouts/r-1/events?after=9999");
  EXPECT_EQ(gone.status, 410) << gone.body;
  EXPECT_THAT(gone.body, HasSubstr("has no event 9999 here"));
  EXPECT_EQ(send("root", "HEAD", "/v1/rollouts/r-1/events").status, 200);
}

TEST_F(RolloutRoutes, ListsOfWhatIsLiveAndQuarantinedPage) {
  put("st8/system",
      {{"targets/web-2.yaml", "kind: file\nspec: {root: " + (directory_.path() / "web-2").string() + "}\n"}});
  const std::string health =
      "health: [{name: bad, command: {argv: [/bin/false]}, interval: 10ms, deadline: 50ms, failures: 1}]\n";
  const std::string policy = "branches: [main]\ntargets: {names: [web-1, web-2]}\n";
  put("shop", {{".st8/rollout.yaml", policy}});
  ASSERT_TRUE(st8::test::eventually([&] { return get("root", "/v1/live?namespace=shop").json["live"].size() == 2; }));
  const Json first = get("shop", "/v1/live?namespace=shop&limit=1").json;
  ASSERT_EQ(first["live"].size(), 1u);
  EXPECT_EQ(first["live"][0]["target"], "web-1");
  EXPECT_EQ(first["next_cursor"], "web-1");
  EXPECT_EQ(first["branches"].size(), 1u);
  const Json second = get("shop", "/v1/live?namespace=shop&limit=1&after=web-1").json;
  EXPECT_EQ(second["live"][0]["target"], "web-2");
  EXPECT_FALSE(second.contains("next_cursor"));
  EXPECT_FALSE(second.contains("branches"));
  EXPECT_EQ(get("shop", "/v1/drift?namespace=shop&limit=1&after=zz").json["drift"].size(), 0u);

  ASSERT_TRUE(st8::test::eventually(
      [&] { return get("root", "/v1/rollouts?namespace=shop&open=true").json["rollouts"].empty(); }));
  put("shop", {{".st8/rollout.yaml", policy + health}, {"pub/a", "bad"}, {"private/secret-name", "bad"}});
  ASSERT_TRUE(st8::test::eventually([&] { return get("root", "/v1/quarantine").json["quarantine"].size() == 2; }));
  const Json one = get("root", "/v1/quarantine?limit=1").json;
  ASSERT_EQ(one["quarantine"].size(), 1u);
  EXPECT_EQ(one["quarantine"][0]["key"], "private/secret-name");
  const std::string cursor = std::regex_replace(one["next_cursor"].get<std::string>(), std::regex("\t"), "%09");
  const Json two = get("root", "/v1/quarantine?limit=1&after=" + cursor).json;
  ASSERT_EQ(two["quarantine"].size(), 1u);
  EXPECT_EQ(two["quarantine"][0]["key"], "pub/a");
  EXPECT_FALSE(two.contains("next_cursor"));
}

}  // namespace
}  // namespace st8::api
