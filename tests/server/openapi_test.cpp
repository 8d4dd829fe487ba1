// docs/api/openapi.yaml against the router (every route, both ways), against what requests may hold (both ways), and against real answers.
#include <algorithm>
#include <fstream>
#include <gtest/gtest.h>
#include <map>
#include <set>
#include <string>
#include <yaml-cpp/yaml.h>

#include "server/api_fixture.h"
#include "support/eventually.h"
#include "support/temp_directory.h"

namespace st8::api::test {
namespace {

class OpenApi : public testing::Test {
 protected:
  OpenApi() : document_(YAML::LoadFile(std::string(ST8_SOURCE_DIR) + "/docs/api/openapi.yaml")) {}

  // The router's pattern as OpenAPI writes it, and back.
  static std::string described(std::string pattern) {
    const std::size_t dots = pattern.find("...}");
    if (dots != std::string::npos) pattern.erase(dots, 3);
    return pattern;
  }
  static std::string lower(std::string text) {
    std::transform(text.begin(), text.end(), text.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    return text;
  }

  YAML::Node schema(const std::string& name) const { return document_["components"]["schemas"][name]; }
  static std::string name_of(const YAML::Node& node) {
    const std::string text = node["$ref"].as<std::string>();
    return text.substr(text.rfind('/') + 1);
  }

  // Checks a value against a schema; `seen` gathers "Schema.property".
  void validate(const Json& value, const YAML::Node& node, const std::string& path, const std::string& owner = "") {
    if (node["$ref"]) {
      const std::string name = name_of(node);
      ASSERT_TRUE(schema(name)) << path << ": no schema " << name;
      validate(value, schema(name), path, name);
      return;
    }
    if (!node["type"]) return;  // Anything.
    if (node["type"].IsScalar() && node["type"].as<std::string>() == "number") {
      EXPECT_TRUE(value.is_number()) << path;
      return;
    }
    std::vector<std::string> types;
    if (node["type"].IsSequence()) {
      for (const auto& type : node["type"]) types.push_back(type.as<std::string>());
    } else {
      types.push_back(node["type"].as<std::string>());
    }
    const bool fits = std::any_of(types.begin(), types.end(), [&](const std::string& type) {
      return (type == "string" && value.is_string()) || (type == "integer" && value.is_number_integer()) ||
             (type == "boolean" && value.is_boolean()) || (type == "object" && value.is_object()) ||
             (type == "array" && value.is_array()) || (type == "null" && value.is_null());
    });
    ASSERT_TRUE(fits) << path << " is " << value.dump().substr(0, 100);
    if (node["enum"]) {
      bool listed = false;
      for (const auto& word : node["enum"]) listed = listed || word.as<std::string>() == value.get<std::string>();
      EXPECT_TRUE(listed) << path << " is " << value;
    }
    if (value.is_array()) {
      for (std::size_t i = 0; i < value.size(); ++i)
        validate(value[i], node["items"], path + "[" + std::to_string(i) + "]");
    }
    if (!value.is_object()) return;
    for (const auto& name : node["required"])
      EXPECT_TRUE(value.contains(name.as<std::string>())) << path << " lacks " << name.as<std::string>();
    for (const auto& [name, member] : value.items()) {
      if (node["properties"] && node["properties"][name]) {
        if (!owner.empty()) seen_.insert(owner + "." + name);
        validate(member, node["properties"][name], path + "." + name);
      } else if (node["additionalProperties"] && node["additionalProperties"].IsMap()) {
        validate(member, node["additionalProperties"], path + "." + name);
      } else {
        EXPECT_TRUE(node["additionalProperties"] && node["additionalProperties"].as<std::string>() != "false")
            << path << " has undescribed " << name;
      }
    }
  }

  // Sends, and checks the answer against what is described for its route and status.
  Answer check(Server& server, const http::Request& request, int status) {
    Answer answer = server.send(request);
    EXPECT_EQ(answer.status, status) << request.method << " " << request.path << " " << answer.body.substr(0, 400);
    const std::string pattern = described(std::string(server.api().route_of(request)));
    const YAML::Node operation = document_["paths"][pattern][lower(request.method)];
    const std::string what = request.method + " " + pattern;
    EXPECT_TRUE(operation) << what;
    if (!operation) return answer;
    answered_.insert(what);
    YAML::Node response = operation["responses"][std::to_string(answer.status)];
    EXPECT_TRUE(response) << what << " answers an undescribed " << answer.status << ": " << answer.body.substr(0, 200);
    if (!response) return answer;
    if (response["$ref"]) response = document_["components"]["responses"][name_of(response)];
    std::string type = answer.header("Content-Type");
    type = type.substr(0, type.find(';'));
    if (!response["content"]) {
      EXPECT_TRUE(answer.body.empty() || status == 503) << what;
      return answer;
    }
    YAML::Node media = response["content"][type];
    if (!media) media = response["content"]["*/*"];
    EXPECT_TRUE(media) << what << " answers an undescribed " << type;
    if (media && answer.json.is_object()) validate(answer.json, media["schema"], what);
    return answer;
  }

  YAML::Node document_;
  std::set<std::string> seen_;
  std::set<std::string> answered_;
};

TEST_F(OpenApi, DescribesEveryRouteAndNoOther) {
  Server server({}, {}, {}, Rollouts::kWith);
  std::map<std::string, std::string> routed, described_routes;
  for (const Route* route : server.api().router().routes()) {
    std::string verb;
    switch (route->access) {
      case Access::kOpen:
        verb = "open";
        break;
      case Access::kAnyToken:
        verb = "token";
        break;
      case Access::kRead:
        verb = "read";
        break;
      case Access::kWrite:
        verb = "write";
        break;
      case Access::kAdmin:
        verb = "admin";
        break;
    }
    routed[route->method + " " + described(route->pattern)] = verb;
  }
  for (const auto& path : document_["paths"]) {
    for (const auto& operation : path.second) {
      std::string method = operation.first.as<std::string>();
      std::transform(method.begin(), method.end(), method.begin(),
                     [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
      described_routes[method + " " + path.first.as<std::string>()] = operation.second["x-st8-verb"].as<std::string>();
    }
  }
  EXPECT_EQ(routed, described_routes);
}

TEST_F(OpenApi, ReferencesResolveAndIdsAreUnique) {
  std::set<std::string> ids, used;
  const std::function<void(const YAML::Node&)> walk = [&](const YAML::Node& node) {
    if (node.IsMap()) {
      for (const auto& item : node) {
        if (item.first.as<std::string>() == "$ref" && item.second.IsScalar()) {
          const std::string reference = item.second.as<std::string>();
          const std::string kind = reference.substr(0, reference.rfind('/'));
          EXPECT_TRUE(document_["components"][kind.substr(kind.rfind('/') + 1)][name_of(node)]) << reference;
          used.insert(name_of(node));
        }
        if (item.first.as<std::string>() == "operationId") {
          EXPECT_TRUE(ids.insert(item.second.as<std::string>()).second) << "twice: " << item.second.as<std::string>();
        }
        walk(item.second);
      }
    } else if (node.IsSequence()) {
      for (const auto& item : node) walk(item);
    }
  };
  walk(document_);
  for (const auto& item : document_["components"]["schemas"])
    EXPECT_TRUE(used.contains(item.first.as<std::string>())) << "unused: " << item.first.as<std::string>();
}

// The names in a hint like "The fields here are a, b, c."
std::set<std::string> names_in(std::string hint) {
  std::set<std::string> names;
  const std::size_t are = hint.find(" are ");
  if (are == std::string::npos) return names;
  hint = hint.substr(are + 5);
  while (!hint.empty()) {
    const std::size_t comma = hint.find(", ");
    std::string name = hint.substr(0, comma);
    if (name.ends_with('.')) name.pop_back();
    names.insert(name);
    hint = comma == std::string::npos ? "" : hint.substr(comma + 2);
  }
  return names;
}

TEST_F(OpenApi, DescribesEveryFieldAndParameterThatIsTaken) {
  Server server({}, {}, {}, Rollouts::kWith);
  for (const Route* route : server.api().router().routes()) {
    if (route->access == Access::kOpen) continue;
    const std::string what = route->method + " " + route->pattern;
    const YAML::Node operation = document_["paths"][described(route->pattern)][lower(route->method)];
    std::string target = route->pattern;
    if (route->pattern == "/v1/rollouts/{id}/{verb}")
      continue;  // What it takes depends on the verb, and is asked of a rollout that exists.
    for (std::size_t brace; (brace = target.find('{')) != std::string::npos;)
      target.replace(brace, target.find('}') + 1 - brace, "x");

    std::set<std::string> parameters;
    for (const auto& parameter : operation["parameters"]) {
      if (parameter["in"].as<std::string>() == "query") parameters.insert(parameter["name"].as<std::string>());
    }
    if (!route->pattern.starts_with("/ofrep/")) {
      const Answer unknown = server.send(server.request(route->method, target + "?zzzzzzzzzzzzzzzz=1", "{}"));
      EXPECT_EQ(unknown.status, 400) << what << unknown.body;
      EXPECT_EQ(names_in(unknown.json.value("hint", "")), parameters) << what;
    }

    if (route->body != BodyKind::kJson || route->pattern.starts_with("/ofrep/")) continue;
    const std::string name = name_of(operation["requestBody"]["content"]["application/json"]["schema"]);
    std::set<std::string> fields;
    Json body = Json::object();
    for (const auto& property : schema(name)["properties"]) fields.insert(property.first.as<std::string>());
    // Required ones are given, so that the unknown one is what is complained of.
    for (const auto& required : schema(name)["required"]) {
      const YAML::Node property = schema(name)["properties"][required.as<std::string>()];
      const std::string type = property["type"].as<std::string>();
      body[required.as<std::string>()] = type == "array"     ? Json(Json::array({"x"}))
                                         : type == "boolean" ? Json(true)
                                                             : Json("x");
    }
    body["zzzzzzzzzzzzzzzz"] = 1;
    const Answer unknown = server.raw(route->method, target, body.dump());
    EXPECT_EQ(unknown.status, 400) << what;
    EXPECT_EQ(names_in(unknown.json.value("hint", "")), fields) << what << unknown.body;
    for (const auto& required : schema(name)["required"]) {
      Json without = body;
      without.erase("zzzzzzzzzzzzzzzz");
      without.erase(required.as<std::string>());
      EXPECT_EQ(server.raw(route->method, target, without.dump()).status, 400)
          << what << " without " << required.as<std::string>();
    }
  }
}

TEST_F(OpenApi, RealAnswersAreAsDescribed) {
  st8::test::TempDirectory directory;
  Server server(R"(
tokens:
  - {name: root, token: root-token-with-enough-bytes, allow: {namespaces: ["*"], branches: ["*"], verbs: [read, write, admin]}}
  - {name: approver, token: approver-token-with-enough-bytes, allow: {namespaces: ["*"], branches: ["*"], verbs: [read, write]}}
  - {name: little, token: little-token-with-enough-bytes, allow: {namespaces: ["*"], branches: ["main"], key_prefix: "app/", verbs: [read, write]}}
)",
                {}, {}, Rollouts::kWith);
  server.use_token("root-token-with-enough-bytes");
  const auto get = [&](const std::string& target, int status = 200, Headers headers = {}) {
    return check(server, server.request("GET", target, {}, std::move(headers)), status);
  };
  const auto send = [&](const std::string& method, const std::string& target, const Json& body, int status = 200,
                        Headers headers = {}) {
    headers.emplace_back("content-type", "application/json");
    return check(server, server.request(method, target, body.dump(), std::move(headers)), status);
  };
  const Json first = {{"documents",
                       {{{"key", "a.json"}, {"content", "{\"x\":1}"}},
                        {{"key", "app/t"}, {"content", "text"}},
                        {{"key", "bin"}, {"content_base64", "/wA="}}}},
                      {"message", "begin"},
                      {"author", "ann"},
                      {"expected_revision", 0}};
  get("/healthz");
  get("/readyz");
  get("/metrics");
  get("/v1/status");
  send("POST", "/v1/apply", first, 200, {{"idempotency-key", "k"}});
  send("POST", "/v1/apply", first, 200, {{"idempotency-key", "k"}});
  send("POST", "/v1/apply", {{"documents", {{{"key", "x"}, {"content", ""}}}}, {"dry_run", true}});
  send("POST", "/v1/apply", {{"documents", {{{"key", "bin"}, {"content_base64", "/w=="}}}}, {"unset", {"app/t"}}});
  send("POST", "/v1/unset", {{"keys", {"bin"}}, {"missing_ok", true}});
  Json many = {{"documents", Json::array()}};
  for (int n = 0; n < 1200; ++n) many["documents"].push_back({{"key", "m/" + std::to_string(n)}, {"content", "x"}});
  send("POST", "/v1/apply?changes=none", many);
  get("/v1/state");
  get("/v1/state?revision=1");
  get("/v1/state?limit=1&values=false");
  get("/v1/state", 304, {{"if-none-match", get("/v1/state").header("ETag")}});
  send("POST", "/v1/state/batch", {{"keys", {"a.json", "bin", "none"}}, {"at", "1"}});
  get("/v1/resolve?at=main~1");
  get("/v1/documents/a.json");
  check(server, server.request("PUT", "/v1/documents/new", "1"), 201);
  check(server, server.request("PUT", "/v1/documents/new", "2"), 200);
  check(server, server.request("DELETE", "/v1/documents/new"), 200);
  check(server, server.request("DELETE", "/v1/documents/new"), 404);
  send("POST", "/v1/diff", {{"documents", {{{"key", "a.json"}, {"content", "{}"}}}}});
  send("POST", "/v1/diff", {{"from", "0"}, {"to", "@"}, {"limit", 1}});
  get("/v1/log?limit=2");
  get("/v1/log?limit=1000");
  get("/v1/revisions/1");
  get("/v1/history/bin?limit=1");
  send("POST", "/v1/checkpoints", {{"name", "c"}, {"description", "d"}, {"at", "1"}});
  send("POST", "/v1/checkpoints", {{"name", "c"}}, 409);
  send("POST", "/v1/checkpoints", {{"name", "d"}});
  get("/v1/checkpoints?limit=1");
  send("POST", "/v1/rollback", {{"checkpoint_name", "c"}});
  get("/v1/revisions/@");
  send("POST", "/v1/branches", {{"name", "dev"}});
  send("POST", "/v1/apply",
       {{"scope", {{"branch", "dev"}}},
        {"documents", {{{"key", "a.json"}, {"content", "{\"x\":2}"}}, {{"key", "bin"}, {"content_base64", "gA=="}}}}});
  send("POST", "/v1/apply",
       {{"documents", {{{"key", "a.json"}, {"content", "{\"x\":3}"}}, {{"key", "bin"}, {"content_base64", "gIA="}}}}});
  send("POST", "/v1/restore", {{"from_branch", "dev"}, {"dry_run", true}});
  const Answer merge = server.post("/v1/merge", {{"from_branch", "dev"}});
  if (merge.status != 501) {
    send("POST", "/v1/merge", {{"from_branch", "dev"}}, 409);
    send("POST", "/v1/merge", {{"from_branch", "dev"}, {"prefer", "theirs"}});
    send("POST", "/v1/cherry-pick", {{"at", "dev"}, {"prefer", "ours"}});
    send("POST", "/v1/revert", {{"at", "@"}});
  }
  send("POST", "/v1/branches/protect", {{"name", "dev"}, {"protected", true}});
  send("DELETE", "/v1/branches", {{"name", "dev"}}, 409);
  send("POST", "/v1/branches/protect", {{"name", "dev"}, {"protected", false}});
  send("POST", "/v1/branches/rename", {{"from", "dev"}, {"to", "dev2"}});
  get("/v1/branches?limit=1");
  send("DELETE", "/v1/branches", {{"name", "dev2"}, {"expected_revision", 1}}, 412);
  send("DELETE", "/v1/branches", {{"name", "dev2"}});
  send("DELETE", "/v1/checkpoints", {{"name", "d"}});
  server.put("a", "1", "main", "second");
  get("/v1/namespaces?limit=1");
  get("/v1/operations?limit=1");
  send("POST", "/v1/gc", {{"keep", 3}, {"dry_run", true}});
  send("POST", "/v1/gc", {{"keep", 3}});
  get("/v1/documents/a.json?revision=2", 410);
  send("POST", "/v1/fsck", Json::object());
  get("/v1/backup");
  send("DELETE", "/v1/namespaces", {{"namespace", "second"}});
  server.put("flag", "true");
  send("POST", "/ofrep/v1/evaluate/flags/flag", Json::object());
  send("POST", "/ofrep/v1/evaluate/flags/none", Json::object(), 404);
  send("POST", "/ofrep/v1/evaluate/flags?prefix=fl", Json::object());
  send("POST", "/v1/apply", {{"nope", 1}}, 400);

  // A revision goes live on a directory, another fails there and comes back.
  const auto apply = [&](const std::string& ns, const std::string& key, const std::string& content, int status = 200) {
    send("POST", "/v1/apply", {{"scope", {{"namespace", ns}}}, {"documents", {{{"key", key}, {"content", content}}}}},
         status);
  };
  const auto phase = [&](const std::string& id, const std::string& wanted) {
    return st8::test::eventually([&] { return server.get("/v1/rollouts/" + id).json.value("phase", "") == wanted; });
  };
  apply("st8/system", "targets/web-1.yaml",
        "kind: file\nlabels: {zone: a}\nspec: {root: " + (directory.path() / "web-1").string() + "}\n");
  apply("shop", ".st8/rollout.yaml", "nonsense: 1\n", 422);
  apply("shop", ".st8/rollout.yaml",
        "branches: [main]\ntargets: {names: [web-1]}\napproval: {required: true}\nstrategy: {type: canary, steps: "
        "[{analysis: {command: {argv: [/bin/true]}, count: 1}}, {setWeight: 100}]}\n"
        "health: [{name: fine, command: {argv: [/bin/sh, -c, '! grep -q bad " +
            (directory.path() / "web-1/current/a").string() +
            "']}, interval: 5ms, deadline: 2s}]\n"
            "steps: [{name: hello, type: echo, params: {message: hello}}]\n");
  // It is in the list as soon as it is stored, and a moment later tells what it waits for: until it is approved.
  ASSERT_TRUE(st8::test::eventually([&] {
    return server.get("/v1/rollouts/r-1").json.value("waiting_for", "") == "an approval";
  })) << server.get("/v1/rollouts/r-1").body;
  EXPECT_EQ(get("/v1/rollouts?limit=1").json["rollouts"].size(), 1u);
  get("/v1/rollouts/r-1");
  get("/v1/rollouts/r-99", 404);
  get("/v1/rollouts/r-1/events");
  get("/v1/rollouts/r-1/events?after=99", 410);
  send("POST", "/v1/rollouts/r-1/approve", {{"plan", std::string(64, '0')}}, 412);
  const auto approve = [&](const std::string& id) {
    const Json plan = server.get("/v1/rollouts/" + id).json["plan_hash"];
    server.use_token("approver-token-with-enough-bytes");
    send("POST", "/v1/rollouts/" + id + "/approve", {{"plan", plan}});
    server.use_token("root-token-with-enough-bytes");
  };
  approve("r-1");
  ASSERT_TRUE(phase("r-1", "promoted")) << server.get("/v1/rollouts/r-1").body;
  get("/v1/rollouts/r-1");
  get("/v1/live?namespace=shop");
  get("/v1/live?time=1s-ago");
  get("/v1/targets");
  get("/v1/targets/web-1");
  get("/v1/targets/web-9", 404);
  apply("st8/system", "targets/web-2.yaml",
        "kind: file\nspec: {root: " + (directory.path() / "web-2").string() + "}\n");
  get("/v1/targets?limit=1");
  get("/v1/plan?namespace=shop");
  send("POST", "/v1/freeze", {{"namespace", "shop"}, {"reason", "test"}});
  EXPECT_EQ(send("POST", "/v1/policy/lint",
                 {{"scope", {{"namespace", "shop"}}}, {"policy", "branches: [main]\ntargets: {names: [web-3]}\n"}})
                .json["errors"],
            1);
  send("POST", "/v1/policy/lint", {{"scope", {{"namespace", "shop"}}}});
  send("POST", "/v1/policy/lint", {{"scope", {{"namespace", "second"}}}}, 404);
  EXPECT_FALSE(
      send("POST", "/v1/policy/simulate",
           {{"scope", {{"namespace", "shop"}}}, {"documents", {{{"key", "b"}, {"content", "b"}}}}, {"unset", {"a"}}})
          .json["waits_for"]
          .empty());
  send("POST", "/v1/policy/simulate", {{"scope", {{"namespace", "shop"}}}, {"policy", "nonsense: 1\n"}}, 422);
  get("/v1/freezes");
  send("POST", "/v1/unfreeze", {{"namespace", "shop"}});
  apply("shop", "a", "bad");
  ASSERT_TRUE(st8::test::eventually([&] { return server.get("/v1/rollouts/r-2").status == 200; }));
  approve("r-2");
  ASSERT_TRUE(phase("r-2", "rolled-back")) << server.get("/v1/rollouts/r-2").body;
  get("/v1/rollouts/r-2");
  get("/v1/rollouts");
  get("/v1/rollouts?limit=1");
  get("/v1/quarantine");
  apply("shop", "a", "bad", 422);
  send("POST", "/v1/quarantine/release", {{"namespace", "shop"}, {"key", "none"}}, 404);
  send("POST", "/v1/quarantine/release", {{"namespace", "shop"}, {"key", "a"}});

  ASSERT_TRUE(st8::test::eventually([&] { return !server.get("/v1/drift").json["drift"].empty(); }));
  std::ofstream(directory.path() / "web-1/current/a") << "by hand";
  EXPECT_EQ(send("POST", "/v1/reconcile", {{"target", "web-1"}}).json["state"], "altered");
  get("/v1/drift?namespace=shop");
  send("POST", "/v1/reconcile", {{"target", "none"}}, 404);
  EXPECT_EQ(send("POST", "/v1/target-checks", {{"targets", {"web-1", "none"}}}).json["checks"][0]["good"], true);
  send("POST", "/v1/target-checks", {{"targets", Json::array()}}, 400);
  // Another namespace that wants the same target.
  apply("other", ".st8/rollout.yaml", "branches: [main]\ntargets: {names: [web-1]}\n");
  ASSERT_TRUE(st8::test::eventually([&] {
    const Json branches = server.get("/v1/live?namespace=other").json["branches"];
    return branches.size() == 1 && branches[0].contains("problem");
  }));
  get("/v1/live?namespace=other");
  const Json polling = {{"protocol", "st8-worker/1"}, {"session", "0123456789abcdef"}, {"version", "1.0"}};
  std::vector<std::shared_ptr<TestChannel>> workers;
  for (const std::string name : {"w1", "w2"}) {
    send("POST", "/v1/workers/" + name + "/poll", polling);
    const http::Response held =
        server.api().handle(server.request("POST", "/v1/workers/" + name + "/poll", polling.dump()));
    workers.push_back(std::make_shared<TestChannel>());
    held.on_stream(workers.back());
  }
  send("POST", "/v1/workers/w1/poll", Json::object(), 400);
  send("POST", "/v1/workers/w1/report",
       {{"session", "0123456789abcdef"}, {"assignment", 1}, {"lease", 1}, {"ok", true}}, 404);
  send("POST", "/v1/workers/w1/content",
       {{"session", "0123456789abcdef"}, {"assignment", 1}, {"lease", 1}, {"sha256", std::string(64, '0')}}, 404);
  get("/v1/workers?limit=1");
  get("/v1/workers");

  send("POST", "/v1/seal", {{"namespace", "shop"}, {"value", "s3cret"}});
  send("POST", "/v1/seal", {{"namespace", "shop"}}, 400);
  const Answer schemas = get("/v1/schema");
  for (const Json& schema : schemas.json["schemas"]) get("/v1/schema/" + schema["name"].get<std::string>());
  get("/v1/schema/none", 404);

  check(server, server.request("POST", "/v1/apply", "{}", {{"content-type", "text/plain"}}), 415);
  server.use_token("little-token-with-enough-bytes");
  get("/v1/documents/flag", 403);
  server.use_token("");
  get("/v1/state", 401);
  check(server, server.request("GET", "/v1/watch"), 401);

  // What is described and was seen in no answer above, with the reason.
  std::set<std::string> excused = {
      "Problem.allow",                  // 405 belongs to no operation.
      "GcResult.cancelled",             // Only while stopping.
      "WriteResult.changes_truncated",  // Beyond 100,000 changes or 32 MiB.
      "Conflict.base_base64",
      "Live.until",
      "Live.observed_age_ms",
      "Target.held_by",
      "RolloutTarget.running",  // Of a moment.
      "RolloutEvent.gate",
      "RolloutEvent.retry_at",
      "Gate.kind",
      "Gate.duration",  // Of pauses, bakes and retries, which take their time.
      "LivePage.next_cursor",
      "DriftPage.next_cursor",
      "QuarantinePage.next_cursor",  // Of lists that are longer than here: tests/server/rollout_routes_test.cpp.
  };
  for (const char* of_fsck : {"namespace", "object", "problem", "affects"})
    excused.insert(std::string("FsckProblem.") + of_fsck);  // Only of damage.
  if (merge.status == 501) {
    for (const char* of_merge : {"key", "path", "base", "ours", "theirs", "ours_base64", "theirs_base64"})
      excused.insert(std::string("Conflict.") + of_merge);
    excused.insert("Problem.conflicts");
  }
  for (const auto& item : document_["components"]["schemas"]) {
    const std::string name = item.first.as<std::string>();
    if (name.ends_with("Request") || name == "Scope" || name == "Document") continue;
    for (const auto& property : item.second["properties"]) {
      const std::string full = name + "." + property.first.as<std::string>();
      EXPECT_TRUE(seen_.contains(full) || excused.contains(full)) << "described and never answered: " << full;
    }
  }
  for (const Route* route : server.api().router().routes()) {
    if (merge.status == 501 &&
        (route->pattern == "/v1/merge" || route->pattern == "/v1/cherry-pick" || route->pattern == "/v1/revert"))
      continue;
    EXPECT_TRUE(answered_.contains(route->method + " " + described(route->pattern)))
        << "never asked: " << route->pattern;
  }
}

}  // namespace
}  // namespace st8::api::test
