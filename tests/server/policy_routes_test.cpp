// /v1/policy: what is supposed is planned and nothing comes of it, and nobody learns by it what is not theirs to know.
#include <gmock/gmock.h>

#include "server/api_fixture.h"
#include "support/eventually.h"
#include "support/temp_directory.h"

namespace st8::api::test {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr std::string_view kTokens = R"(
tokens:
  - {name: root, token: root-token-with-enough-bytes, allow: {namespaces: ["*"], branches: ["*"], verbs: [read, write, admin]}}
  - {name: reader, token: reader-token-with-enough-bytes, allow: {namespaces: ["shop"], branches: ["*"], verbs: [read]}}
  - {name: one-prefix, token: one-prefix-token-with-enough-bytes, allow: {namespaces: ["shop"], branches: ["main"], key_prefix: "app/", verbs: [read]}}
)";
constexpr const char* kPolicy =
    "branches: [main, new]\ntargets: {labels: {role: web}}\nstrategy: {type: rolling, batchSize: 1}\nhealth: [{tcp: "
    "{host: localhost, port: 9}, when: [before], interval: 1ms, deadline: 5ms}]\n";

class PolicyRoutes : public testing::Test {
 protected:
  PolicyRoutes() : server_(kTokens, {}, {}, Rollouts::kWith) {
    as("root");
    EXPECT_EQ(server_.post("/v1/freeze", {{"reason", "nothing goes live here"}}).status, 200);
    for (const std::string name : {"web-1", "web-2"}) {
      server_.put("targets/" + name + ".yaml",
                  "kind: file\nlabels: {role: web}\nspec: {root: " + (directory_.path() / name).string() + "}\n",
                  "main", "st8/system");
    }
    server_.put("app/a", "1", "main", "shop");
  }
  void as(const std::string& name) { server_.use_token(name + "-token-with-enough-bytes"); }
  static Json scope(const std::string& branch = "main") { return {{"namespace", "shop"}, {"branch", branch}}; }
  // All that a change would show in.
  std::string everything() {
    as("root");
    return server_.get("/v1/operations?namespace=shop").body + server_.get("/v1/log?namespace=shop").body +
           server_.get("/v1/rollouts").body + server_.get("/v1/live").body +
           server_.get("/v1/branches?namespace=shop").body;
  }

  st8::test::TempDirectory directory_;
  Server server_;
};

TEST_F(PolicyRoutes, SimulatesAPolicyThatWasNeverApplied) {
  const std::string before = everything();
  EXPECT_EQ(server_.post("/v1/policy/simulate", {{"scope", scope()}}).status, 422) << "there is no policy yet";
  const Answer answer = server_.post("/v1/policy/simulate", {{"scope", scope()}, {"policy", kPolicy}});
  ASSERT_EQ(answer.status, 200) << answer.body;
  EXPECT_EQ(answer.json["supposed"], true);
  const Json& plan = answer.json["plan"];
  EXPECT_EQ(plan["revision"], 1);
  ASSERT_EQ(plan["waves"].size(), 3u);
  EXPECT_EQ(plan["waves"][0]["targets"], (Json{"web-1"}));
  EXPECT_EQ(plan["waves"][1]["targets"], (Json{"web-2"}));
  EXPECT_THAT(plan["targets"][0]["reason"].get<std::string>(), HasSubstr("chosen by labels: role=web"));
  EXPECT_EQ(plan["targets"][0]["diff"], (Json::parse(R"([{"path": "app/a", "type": "create"}])")));
  EXPECT_GT(plan["risk"]["score"].get<double>(), 0.0);
  EXPECT_EQ(answer.json["waits_for"], (Json{"the freeze of everything to end: nothing goes live here"}));
  EXPECT_EQ(everything(), before);
}

TEST_F(PolicyRoutes, LaysDocumentsOverARevision) {
  server_.put(".st8/rollout.yaml", kPolicy, "main", "shop");
  ASSERT_TRUE(st8::test::eventually(
      [&] { return server_.get("/v1/live").json["branches"].size() == 1; }));  // The rollout waits for the freeze.
  const std::string before = everything();
  const auto content = [&](const Json& more) {
    Json body = {{"scope", scope()}};
    body.update(more);
    const Answer answer = server_.post("/v1/policy/simulate", body);
    EXPECT_EQ(answer.status, 200) << answer.body;
    return answer.json["plan"]["targets"][0];
  };
  const Json as_it_is = content(Json::object());
  EXPECT_EQ(content({{"documents", {{{"key", "app/a"}, {"content", "1"}}}}})["content"], as_it_is["content"])
      << "the same bytes are no change";
  const Json changed = content({{"documents", {{{"key", "app/b"}, {"content", "2"}}}}, {"unset", {"app/a"}}});
  EXPECT_NE(changed["content"], as_it_is["content"]);
  EXPECT_EQ(changed["diff"], Json::parse(R"([{"path": "app/b", "type": "create"}])"));
  // Rendered from what is laid over, and from what stands below it.
  const std::string rendering = std::string(kPolicy) + "documents: [{match: \"app/*\", render: true}]\n";
  const Json rendered =
      content({{"policy", rendering}, {"documents", {{{"key", "app/b"}, {"content", "{{ key.app/a }}"}}}}});
  EXPECT_EQ(rendered["content"],
            content({{"policy", rendering}, {"documents", {{{"key", "app/b"}, {"content", "1"}}}}})["content"]);
  const Answer missing =
      server_.post("/v1/policy/simulate", {{"scope", scope()},
                                           {"policy", rendering},
                                           {"documents", {{{"key", "app/b"}, {"content", "{{ key.app/a }}"}}}},
                                           {"unset", {"app/a"}}});
  EXPECT_EQ(missing.status, 422);
  EXPECT_THAT(missing.body, HasSubstr("the revision would have no document \\\"app/a\\\""));
  const Answer other =
      server_.post("/v1/policy/simulate",
                   {{"scope", scope("new")}, {"policy", kPolicy}, {"documents", {{{"key", "k"}, {"content", "2"}}}}});
  EXPECT_EQ(other.status, 200) << "a branch need not exist: " << other.body;
  EXPECT_EQ(other.json["plan"]["targets"][0]["diff"], Json::parse(R"([{"path": "k", "type": "create"}])"));
  EXPECT_EQ(server_.post("/v1/policy/simulate", {{"scope", scope("elsewhere")}}).status, 404);
  EXPECT_EQ(server_.post("/v1/policy/simulate", {{"scope", scope()}, {"at", "99"}}).status, 404);
  EXPECT_EQ(server_
                .post("/v1/policy/simulate",
                      {{"scope", scope()}, {"policy", "branches: [other]\ntargets: {names: [web-1]}\n"}})
                .json["detail"],
            "the policy does not name branch main");
  EXPECT_EQ(everything(), before);
}

TEST_F(PolicyRoutes, ASimulationIsNoWayToASecret) {
  const std::string sealed = server_.post("/v1/seal", {{"namespace", "shop"}, {"value", "1234"}}).json["sealed"];
  const Json body = {{"scope", scope()},
                     {"policy", std::string(kPolicy) + "documents: [{match: \"app/*\", render: true}]\n"},
                     {"documents", {{{"key", "app/pin"}, {"content", sealed}}}}};
  EXPECT_EQ(server_.post("/v1/policy/simulate", body).status, 200);
  as("reader");
  const Answer refused = server_.post("/v1/policy/simulate", body);
  EXPECT_EQ(refused.status, 422) << "whoever may not write could try all four digits against the hash: "
                                 << refused.body;
  EXPECT_THAT(refused.body, Not(HasSubstr("1234")));
  as("one-prefix");
  EXPECT_EQ(server_.post("/v1/policy/simulate", body).status, 403);
}

TEST_F(PolicyRoutes, LintTellsWithoutWhatIsHidden) {
  const std::string before = everything();
  const Json body = {
      {"scope", scope()},
      {"policy", "branches: [main]\ntargets: {names: [web-3]}\ndocuments: [{match: \"none/*\"}]\nbake: 5\n"}};
  const Answer whole =
      server_.post("/v1/policy/lint",
                   {{"scope", scope()},
                    {"policy", "branches: [main]\ntargets: {names: [web-3]}\ndocuments: [{match: \"none/*\"}]\n"}});
  ASSERT_EQ(whole.status, 200) << whole.body;
  EXPECT_EQ(whole.json["errors"], 1);
  EXPECT_EQ(whole.json["warnings"], 2);
  EXPECT_EQ(
      whole.json["findings"][0],
      Json::parse(
          R"({"severity": "error", "rule": "no-target", "file": ".st8/rollout.yaml", "line": 2, "path": "targets.names[0]",
      "message": "there is no target \"web-3\" in st8/system", "suggestion": "did you mean `web-1`?"})"));
  EXPECT_EQ(server_.post("/v1/policy/lint", body).json["findings"][0]["line"], 4);
  as("one-prefix");
  const Answer less =
      server_.post("/v1/policy/lint",
                   {{"scope", scope()},
                    {"policy", "branches: [main]\ntargets: {names: [web-3]}\ndocuments: [{match: \"none/*\"}]\n"}});
  EXPECT_EQ(less.status, 200) << less.body;
  EXPECT_EQ(less.json["findings"], Json::array()) << "neither which targets there are, nor which documents";
  EXPECT_EQ(less.json["looked_at"], Json::parse(R"({"targets": false, "branches": false, "documents": false})"));
  EXPECT_EQ(server_.post("/v1/policy/lint", {{"scope", scope()}}).status, 403)
      << "the stored policy is a document like others";
  EXPECT_EQ(everything(), before);
}

TEST_F(PolicyRoutes, LintLooksAtNoMoreDocumentsThanItHolds) {
  const Json lint = {{"scope", {{"namespace", "large"}}},
                     {"policy", "branches: [main]\ntargets: {names: [web-1]}\ndocuments: [{match: \"none/*\"}]\n"}};
  for (const int part : {0, 1}) {
    Json body = {{"scope", {{"namespace", "large"}}}, {"documents", Json::array()}};
    for (int n = 0; n < 60'000; ++n)
      body["documents"].push_back({{"key", std::to_string(part) + "/" + std::to_string(n)}, {"content", ""}});
    ASSERT_EQ(server_.post("/v1/apply?changes=none", body).status, 200);
    const Json answer = server_.post("/v1/policy/lint", lint).json;
    EXPECT_EQ(answer["looked_at"]["documents"], part == 0);
    EXPECT_EQ(answer["warnings"], part == 0 ? 2 : 0) << "no-document and nothing-lands, or silence";
  }
}

}  // namespace
}  // namespace st8::api::test
