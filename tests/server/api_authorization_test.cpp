// Who may do what: every route × verb × scope, and nothing that a token does not cover in any answer.
#include <functional>
#include <map>
#include <set>

#include "server/api_fixture.h"

namespace st8::api::test {
namespace {

constexpr std::string_view kTokens = R"(
tokens:
  - {name: root, token: root-token-with-enough-bytes, allow: {namespaces: ["*"], branches: ["*"], verbs: [read, write, admin]}}
  - {name: reader, token: reader-token-with-enough-bytes, allow: {namespaces: ["*"], branches: ["*"], verbs: [read]}}
  - {name: writer, token: writer-token-with-enough-bytes, allow: {namespaces: ["*"], branches: ["*"], verbs: [write]}}
  - {name: keeper, token: keeper-token-with-enough-bytes, allow: {namespaces: ["*"], branches: ["*"], verbs: [admin]}}
  - {name: nothing, token: nothing-token-with-enough-bytes}
  - {name: elsewhere, token: elsewhere-token-with-enough-bytes, allow: {namespaces: ["elsewhere/*"], branches: ["*"], verbs: [read, write, admin]}}
  - {name: one-branch, token: one-branch-token-with-enough-bytes, allow: {namespaces: ["team/*"], branches: ["main"], verbs: [read, write, admin]}}
  - {name: other-branch, token: other-branch-token-with-enough-bytes, allow: {namespaces: ["team/*"], branches: ["feature/*"], verbs: [read, write, admin]}}
  - {name: one-prefix, token: one-prefix-token-with-enough-bytes, allow: {namespaces: ["team/*"], branches: ["*"], key_prefix: "app/", verbs: [read, write, admin]}}
  - {name: narrow, token: narrow-token-with-enough-bytes, allow: {namespaces: ["team/app"], branches: ["main"], key_prefix: "app/", verbs: [read, write, admin]}}
  - {name: narrow-writer, token: narrow-writer-token-with-enough-bytes, allow: {namespaces: ["team/app"], branches: ["main"], key_prefix: "app/", verbs: [read, write]}}
)";

// team/app:  main    1: app/a=PUBLIC-1, db/pw=SECRETKEY-1      3: app/a=PUBLIC-3    4: db/pw=SECRETKEY-4
//            hidden  2: + app/h=SECRETBRANCH                   checkpoint "buried" there, "plain" on main's 1
// other/ns:  main    1: x=SECRETSPACE                          checkpoint "faraway"
class Authorization : public testing::Test {
 protected:
  Authorization() : server_(kTokens, {}, {}, Rollouts::kWith) {
    as("root");
    apply("team/app", "main", {{"app/a", "PUBLIC-1"}, {"db/pw", "SECRETKEY-1"}}, "begin");
    server_.post("/v1/branches", {{"scope", scope("main")}, {"name", "hidden"}});
    apply("team/app", "hidden", {{"app/h", "SECRETBRANCH"}}, "SECRETBRANCH message");
    server_.post("/v1/checkpoints",
                 {{"scope", scope("hidden")}, {"name", "buried"}, {"description", "SECRETBRANCH checkpoint"}});
    apply("team/app", "main", {{"app/a", "PUBLIC-3"}}, "third");
    apply("team/app", "main", {{"db/pw", "SECRETKEY-4"}}, "fourth");
    server_.post("/v1/checkpoints", {{"scope", scope("main")}, {"name", "plain"}, {"at", "1"}});
    apply("other/ns", "main", {{"x", "SECRETSPACE"}}, "SECRETSPACE message");
    server_.post("/v1/checkpoints", {{"scope", {{"namespace", "other/ns"}}}, {"name", "faraway"}});
    hidden_hash_ = server_.get("/v1/revisions/2?namespace=team/app").json["hash"].get<std::string>();
  }

  void as(const std::string& name) { server_.use_token(name + "-token-with-enough-bytes"); }
  static Json scope(const std::string& branch) { return {{"namespace", "team/app"}, {"branch", branch}}; }
  void apply(const std::string& ns, const std::string& branch,
             std::initializer_list<std::pair<std::string, std::string>> documents, const std::string& message) {
    Json body = {
        {"scope", {{"namespace", ns}, {"branch", branch}}}, {"documents", Json::array()}, {"message", message}};
    for (const auto& [key, content] : documents) body["documents"].push_back({{"key", key}, {"content", content}});
    const Answer answer = server_.post("/v1/apply", body);
    ASSERT_EQ(answer.status, 200) << answer.body;
  }
  // The whole state of the store, as root sees it.
  std::string everything() {
    as("root");
    std::string all;
    for (const std::string ns : {"team/app", "other/ns"}) {
      const Answer branches = server_.get("/v1/branches?namespace=" + ns);
      for (const Json& branch : branches.json["branches"]) {
        all += branch.dump() +
               server_.get("/v1/state?namespace=" + ns + "&branch=" + branch["name"].get<std::string>()).body;
      }
      all += server_.get("/v1/checkpoints?namespace=" + ns).body + server_.get("/v1/operations?namespace=" + ns).body;
    }
    return all;
  }

  Server server_;
  std::string hidden_hash_;
};

// One request of a route, good with every permission, for the scope team/app, main, app/...
struct Probe {
  std::string method, pattern, target;
  std::string body;
  std::string verb;         // "", "token", "read", "write", "admin".
  bool branch_scoped;       // The request is about one branch.
  bool keys_scoped;         // A token of another key prefix is refused; else it is shown less.
  bool everything = false;  // About all branches and keys of a namespace, or more; or about another namespace.
  bool by_id =
      false;  // Found by an id of its own; what is hidden is answered as if it did not exist (rollout_routes_test.cpp).
};

const std::vector<Probe>& probes() {
  static const std::string kScope = R"("scope":{"namespace":"team/app","branch":"main"})";
  static const std::string kQuery = "?namespace=team/app&branch=main";
  static const std::vector<Probe> kProbes = {
      {"GET", "/healthz", "/healthz", "", "", false, false},
      {"GET", "/readyz", "/readyz", "", "", false, false},
      {"GET", "/metrics", "/metrics", "", "", false, false},
      {"GET", "/v1/status", "/v1/status", "", "token", false, false},
      {"POST", "/v1/apply", "/v1/apply",
       "{" + kScope + R"(,"documents":[{"key":"app/n","content":"1"}],"dry_run":true})", "write", true, true},
      {"POST", "/v1/unset", "/v1/unset", "{" + kScope + R"(,"keys":["app/a"],"dry_run":true})", "write", true, true},
      {"GET", "/v1/state", "/v1/state" + kQuery, "", "read", true, false},
      {"POST", "/v1/state/batch", "/v1/state/batch", "{" + kScope + R"(,"keys":["app/a"]})", "read", true, true},
      {"GET", "/v1/resolve", "/v1/resolve" + kQuery, "", "read", true, false},
      {"GET", "/v1/documents/{key...}", "/v1/documents/app/a" + kQuery, "", "read", true, true},
      {"PUT", "/v1/documents/{key...}", "/v1/documents/app/a" + kQuery + "&dry_run=true", "x", "write", true, true},
      {"DELETE", "/v1/documents/{key...}", "/v1/documents/app/a" + kQuery + "&dry_run=true", "", "write", true, true},
      {"POST", "/v1/diff", "/v1/diff", "{" + kScope + R"(,"documents":[{"key":"app/a","content":"1"}]})", "read", true,
       true},
      {"GET", "/v1/log", "/v1/log" + kQuery, "", "read", true, false},
      {"GET", "/v1/revisions/{selector...}", "/v1/revisions/1" + kQuery, "", "read", true, false},
      {"GET", "/v1/history/{key...}", "/v1/history/app/a" + kQuery, "", "read", true, true},
      {"POST", "/v1/checkpoints", "/v1/checkpoints", "{" + kScope + R"(,"name":"new","dry_run":true})", "write", true,
       false},
      {"GET", "/v1/checkpoints", "/v1/checkpoints?namespace=team/app", "", "read", false, false},
      {"DELETE", "/v1/checkpoints", "/v1/checkpoints", R"({"namespace":"team/app","name":"plain","dry_run":true})",
       "write", false, true},
      {"POST", "/v1/rollback", "/v1/rollback", "{" + kScope + R"(,"revision_id":3,"dry_run":true})", "write", true,
       true},
      {"POST", "/v1/restore", "/v1/restore", "{" + kScope + R"(,"from_revision":3,"dry_run":true})", "write", true,
       true},
      {"POST", "/v1/merge", "/v1/merge", "{" + kScope + R"(,"at":"1","dry_run":true})", "write", true, false},
      {"POST", "/v1/cherry-pick", "/v1/cherry-pick", "{" + kScope + R"(,"at":"3","dry_run":true})", "write", true,
       true},
      {"POST", "/v1/revert", "/v1/revert", "{" + kScope + R"(,"at":"3","dry_run":true})", "write", true, true},
      {"GET", "/v1/branches", "/v1/branches?namespace=team/app", "", "read", false, false},
      {"POST", "/v1/branches", "/v1/branches", "{" + kScope + R"(,"name":"main2","dry_run":true})", "write", true,
       false},
      {"DELETE", "/v1/branches", "/v1/branches", R"({"namespace":"team/app","name":"main","dry_run":true})", "write",
       true, true},
      {"POST", "/v1/branches/rename", "/v1/branches/rename",
       R"({"namespace":"team/app","from":"main","to":"main2","dry_run":true})", "write", true, true},
      {"POST", "/v1/branches/protect", "/v1/branches/protect",
       R"({"namespace":"team/app","name":"main","protected":true,"dry_run":true})", "admin", true, true},
      {"GET", "/v1/namespaces", "/v1/namespaces", "", "read", false, false},
      {"DELETE", "/v1/namespaces", "/v1/namespaces", R"({"namespace":"team/app","dry_run":true})", "admin", false, true,
       true},
      {"GET", "/v1/operations", "/v1/operations?namespace=team/app", "", "read", false, false},
      {"GET", "/v1/watch", "/v1/watch" + kQuery, "", "read", true, false},
      {"POST", "/v1/gc", "/v1/gc", R"({"keep":100,"namespace":"team/app","branch":"main","dry_run":true})", "admin",
       true, true},
      {"POST", "/v1/fsck", "/v1/fsck", R"({"namespace":"team/app"})", "admin", false, true, true},
      {"GET", "/v1/backup", "/v1/backup", "", "admin", false, true, true},
      {"GET", "/v1/live", "/v1/live" + kQuery, "", "read", true, false},
      {"GET", "/v1/targets", "/v1/targets", "", "read", false, false, true},
      {"GET", "/v1/targets/{name}", "/v1/targets/x", "", "read", false, true, true, true},
      {"POST", "/v1/target-checks", "/v1/target-checks", R"({"targets":["x"]})", "write", false, true, true},
      {"GET", "/v1/rollouts", "/v1/rollouts" + kQuery, "", "read", true, false},
      {"GET", "/v1/rollouts/{id}", "/v1/rollouts/r-1", "", "read", false, false, false, true},
      {"GET", "/v1/rollouts/{id}/events", "/v1/rollouts/r-1/events", "", "read", false, false, false, true},
      {"POST", "/v1/rollouts/{id}/{verb}", "/v1/rollouts/r-1/pause", "{}", "write", false, false, false, true},
      {"GET", "/v1/plan", "/v1/plan" + kQuery, "", "read", true, false},
      {"GET", "/v1/freezes", "/v1/freezes", "", "token", false, false},
      {"POST", "/v1/freeze", "/v1/freeze", R"({"namespace":"team/app","reason":"test"})", "admin", false, true, true},
      {"POST", "/v1/unfreeze", "/v1/unfreeze", R"({"namespace":"team/app"})", "admin", false, true, true},
      {"GET", "/v1/quarantine", "/v1/quarantine?namespace=team/app", "", "read", false, false},
      {"POST", "/v1/quarantine/release", "/v1/quarantine/release", R"({"namespace":"team/app","key":"app/none"})",
       "write", false, false},
      {"GET", "/v1/drift", "/v1/drift" + kQuery, "", "read", true, false},
      {"POST", "/v1/reconcile", "/v1/reconcile", R"({"target":"x"})", "write", false, false, false, true},
      {"GET", "/v1/workers", "/v1/workers", "", "read", false, false, true},
      {"POST", "/v1/workers/{name}/poll", "/v1/workers/w/poll",
       R"({"protocol":"st8-worker/1","session":"0123456789abcdef"})", "write", false, true, true},
      {"POST", "/v1/workers/{name}/report", "/v1/workers/w/report",
       R"({"session":"0123456789abcdef","assignment":1,"lease":1,"ok":true})", "write", false, true, true, true},
      {"POST", "/v1/workers/{name}/content", "/v1/workers/w/content",
       R"({"session":"0123456789abcdef","assignment":1,"lease":1,"sha256":")" + std::string(64, '0') + R"("})", "write",
       false, true, true, true},
      {"POST", "/v1/seal", "/v1/seal", R"({"namespace":"team/app","value":"v"})", "write", false, false},
      {"POST", "/v1/policy/lint", "/v1/policy/lint", "{" + kScope + R"(,"policy":"branches: [main]"})", "read", true,
       false},
      {"POST", "/v1/policy/simulate", "/v1/policy/simulate", "{" + kScope + "}", "read", true, true},
      {"GET", "/v1/schema", "/v1/schema", "", "", false, false},
      {"GET", "/v1/schema/{name}", "/v1/schema/rollout", "", "", false, false},
      {"POST", "/ofrep/v1/evaluate/flags/{key...}", "/ofrep/v1/evaluate/flags/app/a" + kQuery, "{}", "read", true,
       true},
      {"POST", "/ofrep/v1/evaluate/flags", "/ofrep/v1/evaluate/flags" + kQuery, "{}", "read", true, false},
  };
  return kProbes;
}

class AuthorizationTable : public Authorization {
 protected:
  Answer send(const Probe& probe) {
    Headers headers;
    if (probe.method != "GET" && probe.method != "PUT") headers.emplace_back("content-type", "application/json");
    Answer answer = server_.send(server_.request(probe.method, probe.target, probe.body, headers));
    return answer;
  }
  // Allowed means: not refused. A route that this build does not offer yet (501) was let through all the same.
  static bool refused(const Answer& answer) { return answer.status == 401 || answer.status == 403; }
};

TEST_F(AuthorizationTable, HoldsEveryRoute) {
  std::set<std::string> probed, routed;
  for (const Probe& probe : probes()) probed.insert(probe.method + " " + probe.pattern);
  for (const Route* route : server_.api().router().routes()) routed.insert(route->method + " " + route->pattern);
  EXPECT_EQ(probed, routed) << "a route without a row here is a route whose permissions nobody checks";
}

TEST_F(AuthorizationTable, EveryProbeIsGoodWithEveryPermission) {
  as("root");
  for (const Probe& probe : probes()) {
    const Answer answer = send(probe);
    // There is no policy and nothing in quarantine here: these answer that.
    const bool nothing_there = probe.by_id || probe.pattern == "/v1/plan" || probe.pattern == "/v1/policy/simulate" ||
                               probe.pattern == "/v1/quarantine/release";
    const bool let_through = answer.status == 200 || answer.status == 501 ||
                             (nothing_there && (answer.status == 404 || answer.status == 422));
    EXPECT_TRUE(let_through) << probe.method << " " << probe.target << " " << answer.status << " " << answer.body;
  }
}

TEST_F(AuthorizationTable, WithoutATokenOnlyTheOpenRoutesAnswer) {
  server_.use_token("");
  for (const Probe& probe : probes()) {
    EXPECT_EQ(send(probe).status, probe.verb.empty() ? 200 : 401) << probe.method << " " << probe.pattern;
  }
  server_.use_token("no-such-token");
  for (const Probe& probe : probes()) {
    EXPECT_EQ(send(probe).status, probe.verb.empty() ? 200 : 401) << probe.method << " " << probe.pattern;
  }
}

TEST_F(AuthorizationTable, EveryRouteAsksForItsVerbAndNoVerbImpliesAnother) {
  const std::map<std::string, std::string> holders = {
      {"reader", "read"}, {"writer", "write"}, {"keeper", "admin"}, {"nothing", "none"}};
  for (const auto& [token, verb] : holders) {
    as(token);
    for (const Probe& probe : probes()) {
      const bool open = probe.verb.empty() || probe.verb == "token";
      // What takes documents from elsewhere reads them.
      const bool reads_too = probe.pattern == "/v1/merge" || probe.pattern == "/v1/cherry-pick";
      const Answer answer = send(probe);
      const bool allowed = open || (probe.verb == verb && !reads_too);
      EXPECT_EQ(refused(answer), !allowed)
          << token << ": " << probe.method << " " << probe.pattern << " " << answer.status << " " << answer.body;
      if (refused(answer)) {
        EXPECT_EQ(answer.code(), "permission_denied");
        EXPECT_TRUE(answer.json.contains("verb")) << answer.body;
      }
    }
  }
}

TEST_F(AuthorizationTable, EveryRouteAsksForTheNamespace) {
  as("elsewhere");
  for (const Probe& probe : probes()) {
    if (probe.by_id && !probe.everything) continue;
    const Answer answer = send(probe);
    const bool about_none = probe.verb.empty() || probe.verb == "token" || probe.pattern == "/v1/namespaces"
                                ? probe.method == "GET"
                                : false;
    EXPECT_EQ(refused(answer), !about_none)
        << probe.method << " " << probe.pattern << " " << answer.status << " " << answer.body;
    if (probe.pattern == "/v1/namespaces" && probe.method == "GET") {
      EXPECT_EQ(answer.json["namespaces"], Json::array());
    }
  }
}

TEST_F(AuthorizationTable, EveryRouteAsksForTheBranch) {
  as("other-branch");
  for (const Probe& probe : probes()) {
    if (probe.by_id && !probe.everything) continue;
    const Answer answer = send(probe);
    const bool deletes_a_checkpoint = probe.pattern == "/v1/checkpoints" && probe.method == "DELETE";  // One of main's.
    const bool wanted = probe.branch_scoped || probe.everything || deletes_a_checkpoint;
    EXPECT_EQ(refused(answer), wanted) << probe.method << " " << probe.pattern << " " << answer.status << " "
                                       << answer.body;
  }
}

TEST_F(AuthorizationTable, EveryRouteThatNamesKeysAsksForThem) {
  // The probes name app/...; a token of another prefix must be refused, or shown less.
  const std::string yaml = R"(
tokens:
  - {name: root, token: root-token-with-enough-bytes, allow: {namespaces: ["*"], branches: ["*"], verbs: [read, write, admin]}}
  - {name: db, token: db-token-with-enough-bytes, allow: {namespaces: ["*"], branches: ["*"], key_prefix: "zzz/", verbs: [read, write, admin]}}
)";
  Server server(yaml, {}, {}, Rollouts::kWith);
  server.use_token("root-token-with-enough-bytes");
  const auto apply = [&](const std::string& content) {
    return server
        .post("/v1/apply", {{"scope", scope("main")}, {"documents", {{{"key", "app/a"}, {"content", content}}}}})
        .status;
  };
  ASSERT_EQ(apply("SECRET-1"), 200);
  ASSERT_EQ(apply("SECRET-2"), 200);
  ASSERT_EQ(apply("SECRET-3"), 200);
  ASSERT_EQ(apply("SECRET-4"), 200);
  ASSERT_EQ(server.post("/v1/checkpoints", {{"scope", scope("main")}, {"name", "plain"}}).status, 200);
  server.use_token("db-token-with-enough-bytes");
  for (const Probe& probe : probes()) {
    if (probe.verb.empty() || probe.verb == "token") continue;
    Headers headers;
    if (probe.method != "GET" && probe.method != "PUT") headers.emplace_back("content-type", "application/json");
    const Answer answer = server.send(server.request(probe.method, probe.target, probe.body, headers));
    if (answer.status != 501) {
      // A merge of what is merged already changes nothing, and so touches no key.
      EXPECT_EQ(refused(answer), probe.keys_scoped)
          << probe.method << " " << probe.pattern << " " << answer.status << " " << answer.body;
    }
    EXPECT_EQ(answer.body.find("SECRET"), std::string::npos)
        << probe.method << " " << probe.pattern << " " << answer.body;
    EXPECT_EQ(answer.body.find(Hash::of("SECRET-4").hex()), std::string::npos) << probe.method << " " << probe.pattern;
  }
}

// ---- What reaches around: selectors, names, prefixes ---------------------------------------------------------------------

TEST_F(Authorization, NoSelectorLeadsToAHiddenBranch) {
  const std::string before = everything();
  std::vector<std::string> selectors = {"2",
                                        "rev:2",
                                        "hidden",
                                        "branch:hidden",
                                        "hidden~0",
                                        "buried",
                                        "checkpoint:buried",
                                        "hidden@0m-ago",
                                        "hash:" + hidden_hash_.substr(0, 12),
                                        hidden_hash_,
                                        hidden_hash_.substr(0, 16)};
  for (const std::string token : {"one-branch", "narrow"}) {
    as(token);
    for (const std::string& selector : selectors) {
      const std::string at = encoded(selector);
      const std::string query = "?namespace=team/app&branch=main";
      std::vector<Answer> answers;
      answers.push_back(server_.get("/v1/state" + query + "&at=" + at));
      answers.push_back(server_.get("/v1/state" + query + "&values=false&at=" + at));
      answers.push_back(server_.get("/v1/documents/app/h" + query + "&at=" + at));
      answers.push_back(server_.get("/v1/resolve" + query + "&at=" + at));
      answers.push_back(server_.get("/v1/revisions/" + at + query));
      answers.push_back(server_.get("/v1/log" + query + "&from=" + at));
      answers.push_back(
          server_.post("/v1/state/batch", {{"scope", scope("main")}, {"keys", {"app/h"}}, {"at", selector}}));
      answers.push_back(server_.post("/v1/diff", {{"scope", scope("main")}, {"from", selector}, {"to", "@"}}));
      answers.push_back(server_.post("/v1/diff", {{"scope", scope("main")}, {"from", "@"}, {"to", selector}}));
      answers.push_back(server_.post(
          "/v1/diff",
          {{"scope", scope("main")}, {"at", selector}, {"documents", {{{"key", "app/h"}, {"content", ""}}}}}));
      answers.push_back(server_.post("/v1/diff", {{"scope", scope("main")}, {"at", selector}}));
      for (const bool dry : {true, false}) {
        answers.push_back(server_.post("/v1/rollback", {{"scope", scope("main")}, {"at", selector}, {"dry_run", dry}}));
        answers.push_back(server_.post("/v1/restore", {{"scope", scope("main")}, {"at", selector}, {"dry_run", dry}}));
        answers.push_back(server_.post("/v1/merge", {{"scope", scope("main")}, {"at", selector}, {"dry_run", dry}}));
        answers.push_back(
            server_.post("/v1/cherry-pick", {{"scope", scope("main")}, {"at", selector}, {"dry_run", dry}}));
        answers.push_back(server_.post("/v1/revert", {{"scope", scope("main")}, {"at", selector}, {"dry_run", dry}}));
        answers.push_back(server_.post(
            "/v1/checkpoints", {{"scope", scope("main")}, {"name", "stolen"}, {"at", selector}, {"dry_run", dry}}));
        answers.push_back(server_.post(
            "/v1/branches", {{"scope", scope("main")}, {"name", "main"}, {"at", selector}, {"dry_run", dry}}));
      }
      for (std::size_t i = 0; i < answers.size(); ++i) {
        EXPECT_EQ(answers[i].status, 403) << token << " " << selector << " #" << i << " " << answers[i].body;
        EXPECT_EQ(answers[i].body.find("SECRET"), std::string::npos) << selector << " #" << i;
      }
    }
    for (const Answer& answer :
         {server_.get("/v1/state?namespace=team/app&branch=hidden"),
          server_.get("/v1/state?namespace=team/app&revision=2"),
          server_.get("/v1/state?namespace=team/app&checkpoint=buried"),
          server_.post("/v1/rollback", {{"scope", scope("main")}, {"checkpoint_name", "buried"}}),
          server_.post("/v1/restore", {{"scope", scope("main")}, {"from_branch", "hidden"}}),
          server_.post("/v1/restore", {{"scope", scope("main")}, {"from_branch", "hidden"}, {"from_revision", 1}}),
          server_.post("/v1/restore", {{"scope", scope("main")}, {"from_checkpoint", "buried"}}),
          server_.post("/v1/merge", {{"scope", scope("main")}, {"from_branch", "hidden"}}),
          server_.post("/v1/branches", {{"scope", scope("hidden")}, {"name", "main"}}),
          server_.post("/v1/branches", {{"scope", scope("main")}, {"name", "hidden2"}}),
          server_.post("/v1/branches", {{"scope", scope("main")}, {"name", "main"}, {"from_checkpoint", "buried"}}),
          server_.post("/v1/branches/rename", {{"namespace", "team/app"}, {"from", "main"}, {"to", "hidden2"}}),
          server_.post("/v1/branches/rename", {{"namespace", "team/app"}, {"from", "hidden"}, {"to", "main"}}),
          server_.del("/v1/branches", {{"namespace", "team/app"}, {"name", "hidden"}}),
          server_.del("/v1/checkpoints", {{"namespace", "team/app"}, {"name", "buried"}}),
          server_.post("/v1/checkpoints", {{"scope", scope("main")}, {"name", "buried"}, {"replace", true}}),
          server_.post("/v1/gc", {{"namespace", "team/app"}}),
          server_.post("/v1/gc", {{"keep", 1}}),
          server_.post("/v1/gc", {{"keep", 1}, {"branch", "hidden"}}),
          server_.get("/v1/watch?namespace=team/app&branch=hidden"),
          server_.post("/v1/fsck", Json::object()),
          server_.get("/v1/backup"),
          server_.post("/ofrep/v1/evaluate/flags?namespace=team/app&branch=hidden", Json::object())}) {
      EXPECT_EQ(answer.status, 403) << token << " " << answer.body;
    }
  }
  EXPECT_EQ(everything(), before) << "nothing changed";
}

TEST_F(Authorization, ARevisionIsSeenThroughAnyAllowedBranchThatContainsIt) {
  as("root");
  ASSERT_EQ(server_.post("/v1/branches", {{"scope", scope("hidden")}, {"name", "feature/x"}}).status, 200);
  as("other-branch");
  const Answer shared = server_.get("/v1/state?namespace=team/app&branch=feature/x&revision=1");
  EXPECT_EQ(shared.status, 200) << "revision 1 was written to main, and feature/x stands on it: " << shared.body;
  EXPECT_EQ(server_.get("/v1/state?namespace=team/app&branch=feature/x&revision=2").status, 200);
  EXPECT_EQ(server_.get("/v1/state?namespace=team/app&branch=feature/x&revision=3").status, 403);
  EXPECT_EQ(server_.get("/v1/state?namespace=team/app&branch=feature/x&at=main").status, 403)
      << "the branch itself is not allowed by name";
  EXPECT_EQ(server_.get("/v1/log?namespace=team/app&branch=feature/x").json["entries"].size(), 2u);
}

TEST_F(Authorization, ListsShowOnlyWhatIsCovered) {
  as("narrow");
  EXPECT_EQ(server_.get("/v1/namespaces").json["namespaces"].size(), 1u);
  EXPECT_EQ(server_.get("/v1/branches?namespace=team/app").json["branches"].size(), 1u);
  const Json checkpoints = server_.get("/v1/checkpoints?namespace=team/app").json["checkpoints"];
  ASSERT_EQ(checkpoints.size(), 1u);
  EXPECT_EQ(checkpoints[0]["name"], "plain");
  const Answer operations = server_.get("/v1/operations?namespace=team/app");
  EXPECT_EQ(operations.body.find("hidden"), std::string::npos) << operations.body;
  EXPECT_EQ(operations.body.find("buried"), std::string::npos) << operations.body;
  EXPECT_NE(operations.body.find("\"plain\""), std::string::npos) << operations.body;
  EXPECT_EQ(server_.get("/v1/branches?namespace=other/ns").status, 403);
  EXPECT_EQ(server_.get("/v1/operations?namespace=other/ns").status, 403);
  EXPECT_EQ(server_.get("/v1/state?namespace=no/such").status, 403) << "whether it exists is not told";
}

TEST_F(Authorization, KeysOutsideThePrefixAreNowhere) {
  for (const std::string token : {"narrow", "one-prefix"}) {
    as(token);
    const std::string query = "?namespace=team/app&branch=main";
    for (const Answer& answer :
         {server_.get("/v1/state" + query), server_.get("/v1/state" + query + "&values=false"),
          server_.get("/v1/state" + query + "&prefix=db/"), server_.get("/v1/state" + query + "&prefix=d"),
          server_.get("/v1/state" + query + "&after=b"), server_.get("/v1/state" + query + "&revision=1"),
          server_.get("/v1/log" + query), server_.get("/v1/log" + query + "&changes=keys"),
          server_.get("/v1/revisions/4" + query), server_.get("/v1/revisions/1" + query),
          server_.post("/v1/diff", {{"scope", scope("main")}, {"from", "0"}, {"to", "@"}}),
          server_.post("/v1/diff", {{"scope", scope("main")}, {"from", "0"}, {"to", "@"}, {"prefix", "db"}}),
          server_.post("/v1/diff", {{"scope", scope("main")}, {"revision_id", 1}}),
          server_.post("/v1/diff", {{"scope", scope("main")}, {"prune", ""}}),
          server_.post("/v1/diff", {{"scope", scope("main")}, {"prune", "db/"}}),
          server_.post("/ofrep/v1/evaluate/flags" + query, Json::object()),
          server_.post("/ofrep/v1/evaluate/flags" + query + "&prefix=db/", Json::object())}) {
      EXPECT_EQ(answer.status, 200) << answer.body;
      EXPECT_EQ(answer.body.find("SECRET"), std::string::npos) << answer.body;
      EXPECT_EQ(answer.body.find("db/pw"), std::string::npos) << answer.body;
      EXPECT_EQ(answer.body.find(Hash::of("SECRETKEY-4").hex()), std::string::npos) << answer.body;
    }
    for (const Answer& answer :
         {server_.get("/v1/documents/db/pw" + query), server_.get("/v1/history/db/pw" + query),
          server_.get("/v1/log" + query + "&key=db/pw"),
          server_.post("/v1/state/batch", {{"scope", scope("main")}, {"keys", {"app/a", "db/pw"}}}),
          server_.post("/v1/diff",
                       {{"scope", scope("main")}, {"documents", {{{"key", "db/pw"}, {"content", "guess"}}}}}),
          server_.post("/v1/diff", {{"scope", scope("main")}, {"unset", {"db/pw"}}}),
          server_.post("/v1/unset", {{"scope", scope("main")}, {"keys", {"db/pw"}}}),
          server_.post("/v1/apply",
                       {{"scope", scope("main")},
                        {"documents", {{{"key", "app/a"}, {"content", "x"}}, {{"key", "db/pw"}, {"content", "x"}}}}}),
          server_.post("/v1/apply", {{"scope", scope("main")}, {"unset", {"db/pw"}}}),
          server_.post("/v1/apply", {{"scope", scope("main")}, {"prune", ""}, {"dry_run", true}}),
          server_.post("/v1/apply", {{"scope", scope("main")}, {"prune", "ap"}}),
          server_.get("/v1/watch" + query + "&prefix=db/"),
          server_.post("/ofrep/v1/evaluate/flags/db/pw" + query, Json::object()),
          server_.post("/ofrep/v1/evaluate/flags/pw" + query + "&prefix=db/", Json::object()),
          server_.send(server_.request("PUT", "/v1/documents/db/pw" + query, "x")),
          server_.send(server_.request("DELETE", "/v1/documents/db/pw" + query))}) {
      EXPECT_EQ(answer.status, 403) << answer.body;
      EXPECT_EQ(answer.body.find("SECRET"), std::string::npos) << answer.body;
    }
    // Prefixes are bytes; a path that only looks as if it were inside is cleaned first.
    EXPECT_EQ(server_.get("/v1/documents/app/../db/pw" + query).status, 403);
    EXPECT_EQ(server_.get("/v1/documents//db/pw" + query).status, 400);
  }
}

TEST_F(Authorization, ALogEntryOfHiddenKeysTellsNoCount) {
  as("narrow");
  const Json entries = server_.get("/v1/log?namespace=team/app&branch=main").json["entries"];
  ASSERT_EQ(entries.size(), 3u);
  EXPECT_EQ(entries[0]["changes"], Json::array());
  EXPECT_EQ(entries[0]["change_count"], 0);
  EXPECT_EQ(entries[2]["change_count"], 1) << "one of two is covered";
  EXPECT_EQ(
      server_.get("/v1/log?namespace=team/app&branch=main&changes=none").json["entries"][2].value("change_count", 0),
      1);
}

TEST_F(Authorization, ACopyThatTouchesOtherKeysIsRefusedWhole) {
  const std::string before = everything();
  as("narrow-writer");
  const Answer refused = server_.post("/v1/rollback", {{"scope", scope("main")}, {"revision_id", 1}});
  EXPECT_EQ(refused.status, 403) << refused.body;
  EXPECT_EQ(refused.body.find("SECRETKEY"), std::string::npos);
  EXPECT_EQ(server_.post("/v1/restore", {{"scope", scope("main")}, {"from_revision", 1}}).status, 403);
  EXPECT_EQ(server_.post("/v1/restore", {{"scope", scope("main")}, {"from_checkpoint", "plain"}}).status, 403);
  EXPECT_EQ(everything(), before);

  as("root");
  apply("team/app", "main", {{"app/a", "PUBLIC-5"}}, "fifth");
  as("narrow-writer");
  const Answer allowed = server_.post("/v1/rollback", {{"scope", scope("main")}, {"revision_id", 4}});
  EXPECT_EQ(allowed.status, 200) << allowed.body;
  EXPECT_EQ(allowed.json["changes"].size(), 1u);
  const Answer stale =
      server_.post("/v1/rollback", {{"scope", scope("main")}, {"revision_id", 4}, {"expected_revision", 1}});
  EXPECT_EQ(stale.status, 412) << stale.body;
  const Answer pruned = server_.post(
      "/v1/apply",
      {{"scope", scope("main")}, {"documents", {{{"key", "app/new"}, {"content", "1"}}}}, {"prune", "app/"}});
  EXPECT_EQ(pruned.status, 200) << pruned.body;
  as("root");
  EXPECT_EQ(server_.objects("main", "team/app"), (Json{{"app/new", "1"}, {"db/pw", "SECRETKEY-4"}}));
}

TEST_F(Authorization, AReplayOfAGuardedWriteIsAnsweredFromItsRecord) {
  as("root");
  apply("team/app", "main", {{"app/a", "PUBLIC-5"}}, "fifth");
  as("narrow-writer");
  const Headers key = {{"idempotency-key", "once"}};
  const Json body = {{"scope", scope("main")}, {"revision_id", 4}};
  const Answer first = server_.post("/v1/rollback", body, key);
  ASSERT_EQ(first.status, 200) << first.body;
  const Answer again = server_.post("/v1/rollback", body, key);
  EXPECT_EQ(again.status, 200) << again.body;
  EXPECT_EQ(again.json["revision"], first.json["revision"]);
  EXPECT_EQ(again.json["replayed"], true);
  as("root");
  EXPECT_EQ(server_.post("/v1/rollback", body, key).status, 409) << "another principal's request is another request";
}

TEST_F(Authorization, AProtectedBranchKeepsItsPolicyFromWriters) {
  as("root");
  ASSERT_EQ(server_.post("/v1/apply", {{"documents", {{{"key", ".st8/policy-notes"}, {"content", "keep\n"}}}}}).status,
            200);
  ASSERT_EQ(server_.post("/v1/branches/protect", {{"name", "main"}, {"protected", true}}).status, 200);
  as("writer");
  EXPECT_EQ(server_.post("/v1/apply", {{"documents", {{{"key", ".st8/policy-notes"}, {"content", ""}}}}}).status, 403);
  EXPECT_EQ(server_.post("/v1/unset", {{"keys", {".st8/policy-notes"}}}).status, 403);
  EXPECT_EQ(server_.post("/v1/apply", {{"documents", {{{"key", "a"}, {"content", "1"}}}}, {"prune", ""}}).status, 403);
  EXPECT_EQ(server_.send(server_.request("DELETE", "/v1/documents/.st8/policy-notes")).status, 403);
  EXPECT_EQ(server_.post("/v1/rollback", {{"at", "0"}}).status, 403);
  EXPECT_EQ(server_.post("/v1/apply", {{"documents", {{{"key", "a"}, {"content", "1"}}}}}).status, 200)
      << "everything else stays open";
  as("root");
  EXPECT_EQ(server_.post("/v1/unset", {{"keys", {".st8/policy-notes"}}}).status, 200);
}

TEST_F(Authorization, WhoMayOnlyWriteIsNotShownWhatWasThere) {
  as("writer");
  const Answer answer =
      server_.post("/v1/apply", {{"scope", scope("main")}, {"documents", {{{"key", "db/pw"}, {"content", "mine"}}}}});
  ASSERT_EQ(answer.status, 200);
  EXPECT_EQ(answer.body.find("SECRET"), std::string::npos) << answer.body;
  const Answer back = server_.post("/v1/rollback", {{"scope", scope("main")}, {"revision_id", 1}, {"dry_run", true}});
  ASSERT_EQ(back.status, 200);
  EXPECT_EQ(back.body.find("SECRET"), std::string::npos) << back.body;
}

TEST_F(Authorization, ALimitedTokenKeepsItsOwnCheckpoints) {
  as("narrow-writer");
  ASSERT_EQ(server_.post("/v1/checkpoints", {{"scope", scope("main")}, {"name", "mine"}}).status, 200);
  EXPECT_EQ(
      server_.post("/v1/checkpoints", {{"scope", scope("main")}, {"name", "mine"}, {"at", "3"}, {"replace", true}})
          .status,
      200);
  EXPECT_EQ(server_.del("/v1/checkpoints", {{"namespace", "team/app"}, {"name", "plain"}}).status, 403) << "another's";
  EXPECT_EQ(server_.post("/v1/checkpoints", {{"scope", scope("main")}, {"name", "plain"}, {"replace", true}}).status,
            403);
  EXPECT_EQ(server_.del("/v1/checkpoints", {{"namespace", "team/app"}, {"name", "mine"}}).status, 200);
}

TEST_F(Authorization, StreamsCarryOnlyWhatIsCovered) {
  as("narrow");
  const auto branch = server_.watch("/v1/watch?namespace=team/app&branch=main&after=0");
  const auto all = server_.watch("/v1/watch?namespace=team/app&after=0");
  ASSERT_TRUE(branch && all);
  as("root");
  apply("team/app", "hidden", {{"app/h", "SECRETBRANCH again"}}, "SECRETBRANCH");
  server_.post("/v1/checkpoints", {{"scope", scope("hidden")}, {"name", "buried2"}});
  apply("team/app", "main", {{"db/pw", "SECRETKEY-5"}}, "unseen-message");
  apply("team/app", "main", {{"app/a", "PUBLIC-6"}}, "last-message");
  for (const auto& channel : {branch, all}) {
    ASSERT_TRUE(channel->wait([](const std::string& text) { return text.find("last-message") != std::string::npos; }))
        << channel->text();
    const std::string text = channel->text();
    for (const std::string hidden : {"SECRET", "buried", "hidden", "db/pw", "unseen-message", "fourth"}) {
      EXPECT_EQ(text.find(hidden), std::string::npos) << hidden << "\n" << text;
    }
    EXPECT_NE(text.find("\"third\""), std::string::npos) << text;
  }
}

TEST(AuthorizationModes, InProcessWithoutTokensTheCallerIsTheOwner) {
  Server server;
  http::Request request = server.request("GET", "/v1/status");
  request.local = true;
  EXPECT_EQ(server.send(request).json["whoami"]["name"], "local");
}

}  // namespace
}  // namespace st8::api::test
