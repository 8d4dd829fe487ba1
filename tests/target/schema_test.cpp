// docs/schema and the strict parser, held against each other: they know the same fields, admit the same documents, and the
// defaults that the one tells are those that the other takes.
#include <filesystem>
#include <fstream>
#include <gmock/gmock.h>
#include <iterator>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "document/documents.h"
#include "drivers/exec/exec_driver.h"
#include "drivers/file/file_driver.h"
#include "drivers/registry.h"
#include "support/process.h"

namespace st8::target {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;
using ::testing::IsEmpty;

const fs::path kRoot = ST8_SOURCE_DIR;
const TargetName kWeb = *TargetName::parse("web-1");

std::string text_of(const fs::path& path) {
  std::ifstream stream(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>()};
}

enum class Which { kRollout, kTarget };

const Json& schema(Which which) {
  static const Json rollout = Json::parse(text_of(kRoot / "docs/schema/rollout.schema.json"));
  static const Json target = Json::parse(text_of(kRoot / "docs/schema/target.schema.json"));
  return which == Which::kRollout ? rollout : target;
}

// What the schema says of each document: "" when it admits it.
std::vector<std::string> by_schema(Which which, const std::vector<std::string>& documents) {
  st8::test::RunOptions options;
  options.input = Json{{"schema", schema(which)}, {"documents", documents}}.dump();
  const auto end =
      st8::test::run_process({"/usr/bin/python3", (kRoot / "tests/support/schema_check.py").string()}, options);
  EXPECT_EQ(end.code, 0) << "python3-jsonschema and python3-yaml of Debian are needed: " << end.err;
  const Json answers = Json::parse(end.out, nullptr, false);
  EXPECT_TRUE(answers.is_array() && answers.size() == documents.size()) << end.out;
  return answers.is_array() ? answers.get<std::vector<std::string>>()
                            : std::vector<std::string>(documents.size(), "no answer");
}

std::string by_parser(Which which, const std::string& text, std::set<std::string>* asked = nullptr) {
  std::vector<DocumentProblem> problems;
  strict_yaml::Context context{"document", problems, asked};
  const bool read =
      which == Which::kRollout ? read_policy(context, text).has_value() : read_target(context, kWeb, text).has_value();
  EXPECT_EQ(read, problems.empty()) << text;
  return problems.empty() ? "" : problems.front().str();
}

void expect_agreement(Which which, const std::vector<std::string>& documents) {
  const std::vector<std::string> answers = by_schema(which, documents);
  for (std::size_t i = 0; i < documents.size(); ++i) {
    const std::string problem = by_parser(which, documents[i]);
    EXPECT_EQ(answers[i].empty(), problem.empty())
        << documents[i] << "\nthe schema: " << answers[i] << "\nthe parser: " << problem;
  }
}

// Every field of a schema, as the parser tells of those it asks for: "steps[].params.url".
void collect(const Json& root, const Json& node, const std::string& path, std::set<std::string>& fields) {
  if (!node.is_object()) return;  // `false`: a field that may not be there.
  if (const auto reference = node.find("$ref"); reference != node.end()) {
    const std::string name = reference->get<std::string>();
    ASSERT_TRUE(name.starts_with("#/$defs/") && root["$defs"].contains(name.substr(8))) << name;
    collect(root, root["$defs"][name.substr(8)], path, fields);
  }
  if (const auto properties = node.find("properties"); properties != node.end()) {
    for (const auto& [name, property] : properties->items()) {
      const std::string full = path.empty() ? name : path + "." + name;
      if (property.is_object()) fields.insert(full);
      collect(root, property, full, fields);
    }
  }
  if (node.contains("items")) collect(root, node["items"], path + "[]", fields);
  for (const char* several : {"allOf", "anyOf", "oneOf"}) {
    if (!node.contains(several)) continue;
    for (const Json& one : node[several]) collect(root, one, path, fields);
  }
  for (const char* one : {"if", "then", "else"}) {
    if (node.contains(one)) collect(root, node[one], path, fields);
  }
}

constexpr const char* kLeastPolicy = "branches: [main]\ntargets: {names: [web-1]}\n";

// Together they lead the parser everywhere.
std::vector<std::string> policies_everywhere() {
  const std::string begin = kLeastPolicy;
  std::vector<std::string> all = {begin + R"(documents: [{match: "app/**", to: conf/, mode: "0600", render: true}]
health:
  - {name: up, http: {url: "http://127.0.0.1:8080/", expectStatus: [200, 204], contains: ok}, interval: 100ms, timeout: 1s, deadline: 5s, successes: 2, failures: 1, when: [after, bake]}
  - {tcp: {host: localhost, port: 80}}
  - {tcp: {host: localhost, port: "{{ target.labels.port }}"}}
  - {command: {argv: [/bin/true, 1], expectExit: 0}, when: [before]}
bake: 30s
maxFailures: 2
progressDeadline: 5m
operationTimeout: 10s
retry: {attempts: 4, delay: 500ms, factor: 3, maxDelay: 1m}
rollback: {auto: false, quarantine: false}
supersede: queue
windows: [{days: [mon, fri], from: "22:00", to: "04:00"}, {}]
schedule: 2026-11-21T10:00:00Z
approval: {required: true, riskThreshold: 0.5, by: [ann]}
dependsOn: [{namespace: base/net, branch: main}]
drift: {interval: 10s, action: repair}
confirm: 0
planExpiry: 1h30m
)",
                                  "branches: [main]\ntargets: {labels: {role: web, zone: [a, b], port: 80}}\n"};
  for (const char* strategy :
       {"{type: parallel, maxParallel: 4}", "{type: sequential, batchDelay: 1s}",
        "{type: rolling, batchSize: 25%, batchDelay: 1s}", "{type: rolling, batchSize: 3}",
        "{type: canary, steps: [{setWeight: 10}, {pause: {}}, {pause: }, {setWeight: 50}, {pause: {duration: 10m}}]}",
        "{type: canary, steps: [{setWeight: 10}, {analysis: {name: errors, http: {url: 'http://127.0.0.1:1/', "
        "expectStatus: 204, contains: ok}, interval: 5s, timeout: 1s, "
        "initialDelay: 1m, count: 12, failureLimit: 2}}, {analysis: {tcp: {host: localhost, port: 80}}}, {analysis: "
        "{command: {argv: [/bin/true], expectExit: 1}}}]}",
        "{type: blue-green, autoPromotion: false, autoPromotionDelay: 1s, scaleDownDelay: 1m}"}) {
    all.push_back(begin + "strategy: " + strategy + "\n");
  }
  for (const char* step :
       {"type: echo, params: {message: 5}",
        "type: script, params: {command: /bin/sh, args: [-c, true], rollback: \"true\", cwd: /tmp}",
        "type: sleep, params: {duration: 1s}", "type: file_write, params: {path: /tmp/x, content: x, mode: 0600}",
        "type: http, params: {url: \"http://x/\", method: PUT, body: x, contentType: text/plain, expectStatus: 201, "
        "rollbackUrl: \"http://x/\", rollbackMethod: POST, rollbackBody: x}",
        "type: package, params: {package: app, version: 1.10, rollbackVersion: 1.9}",
        "type: package, params: {package: lib-x+1.0, version: \"1:2~rc1-3\", file: /srv/x.deb, root: \"/srv/{{ "
        "target.name }}\", rollbackFile: /srv/y.deb}",
        "type: echo, params: {message: x}, when: after, required: false, continueOnFailure: true, idempotent: true, "
        "retry: {attempts: 1}, timeout: 5s"}) {
    all.push_back(begin + "steps: [{name: it, " + step + "}]\n");
  }
  return all;
}

// Good ones, at least one of each driver.
std::vector<std::string> targets_everywhere() {
  return {
      "kind: file\nlabels: {role: web, port: 80}\ncriticality: high\nenv: prod\nspec: {root: /srv/app, mode: files, "
      "keep: 3}\n",
      "kind: exec\nspec: {program: /bin/x, sha256: " + std::string(64, 'a') +
          ", args: [--a, 1], config: {url: x, n: 1}}\n",
      "kind: ssh\nspec: {host: web-1, root: /srv/app, user: deploy, port: 22, keep: 1, identityFile: /k, agent: /a, "
      "knownHosts: /h, hostKeys: strict, config: /dev/null, connectTimeout: 5s, share: 0, controlDirectory: /c}\n",
      "kind: worker\nspec: {worker: web-1, directory: app/web, mode: files, keep: 3}\n"};
}

TEST(Schema, KnowsTheFieldsThatTheParserKnows) {
  for (const Which which : {Which::kRollout, Which::kTarget}) {
    std::set<std::string> asked, described;
    for (const std::string& text : which == Which::kRollout ? policies_everywhere() : targets_everywhere())
      EXPECT_EQ(by_parser(which, text, &asked), "") << text;
    if (which == Which::kTarget) {
      // A driver without a document above is asked all the same.
      for (const std::string_view kind : drivers::driver_kinds())
        (void)by_parser(which, "kind: " + std::string(kind) + "\nspec: {}\n", &asked);
    }
    collect(schema(which), schema(which), "", described);
    EXPECT_EQ(described, asked) << "left: docs/schema, right: the parser";
  }
}

// The lists of words are told twice; this is what keeps them one.
TEST(Schema, NamesEveryDriver) {
  const auto kinds = drivers::driver_kinds();
  EXPECT_EQ(schema(Which::kTarget)["properties"]["kind"]["enum"].get<std::vector<std::string>>(),
            std::vector<std::string>(kinds.begin(), kinds.end()));
}

TEST(Schema, DescribesEveryField) {
  for (const Which which : {Which::kRollout, Which::kTarget}) {
    const Json& root = schema(which);
    EXPECT_EQ(root["$schema"], "https://json-schema.org/draft/2020-12/schema");
    EXPECT_EQ(root["$id"], which == Which::kRollout ? "https://st8.dev/schema/rollout.schema.json"
                                                    : "https://st8.dev/schema/target.schema.json");
    const std::function<void(const Json&, const std::string&)> walk = [&](const Json& node, const std::string& path) {
      if (node.is_array()) {
        for (const Json& one : node) walk(one, path);
      }
      if (!node.is_object()) return;
      for (const auto& [name, member] : node.items()) {
        const bool conditional = name == "if" || name == "then" || name == "else" || name == "allOf" ||
                                 name == "anyOf" || name == "oneOf" || name == "examples";
        if (conditional) continue;  // What they name is described where it stands.
        if (name == "properties") {
          for (const auto& [field, property] : member.items()) {
            const bool told = property.contains("description") ||
                              (property.contains("$ref") &&
                               root["$defs"][property["$ref"].get<std::string>().substr(8)].contains("description"));
            EXPECT_TRUE(told) << path << "." << field;
            walk(property, path + "." + field);
          }
        } else {
          walk(member, path + "/" + name);
        }
      }
    };
    walk(root, "");
  }
}

TEST(Schema, AdmitsWhatTheParserAdmits) {
  std::vector<std::string> policies = policies_everywhere();
  std::vector<std::string> targets = targets_everywhere();
  // Those of the tree: what a reader is shown.
  std::size_t found = 0;
  for (auto it = fs::recursive_directory_iterator(kRoot / "examples"); it != fs::recursive_directory_iterator(); ++it) {
    const std::string path = it->path().generic_string();
    if (path.ends_with("/.st8/rollout.yaml")) {
      policies.push_back(text_of(it->path()));
    } else if (path.find("/targets/") != std::string::npos && path.ends_with(".yaml")) {
      std::string text = text_of(it->path());
      if (const std::size_t place = text.find("ROOT\n"); place != std::string::npos)
        text.replace(place, 4, "/srv");  // As its README fills it in.
      targets.push_back(std::move(text));
    } else {
      continue;
    }
    ++found;
  }
  EXPECT_GE(found, 3u);
  for (const auto& [which, documents] : {std::pair{Which::kRollout, policies}, std::pair{Which::kTarget, targets}}) {
    const std::vector<std::string> answers = by_schema(which, documents);
    for (std::size_t i = 0; i < documents.size(); ++i) {
      EXPECT_EQ(answers[i], "") << documents[i];
      EXPECT_EQ(by_parser(which, documents[i]), "") << documents[i];
    }
  }
}

TEST(Schema, RefusesWhatTheParserRefuses) {
  std::vector<std::string> policies = {"",
                                       "- a\n",
                                       "branches: [main]\n",
                                       "targets: {names: [a]}\n",
                                       "branches: main\ntargets: {names: [a]}\n",
                                       "branches: []\ntargets: {names: [a]}\n",
                                       "branches: [main]\ntargets: {}\n",
                                       "branches: [main]\ntargets: {names: []}\n",
                                       "branches: [main]\ntargets: {names: [A]}\n",
                                       "branches: [main]\ntargets: {names: [a, a]}\n",
                                       "branches: [main]\ntargets: {labels: {role: []}}\n",
                                       "branches: [main]\ntargets: {labels: {role: {}}}\n"};
  for (const char* line : {"nonsense: 1",
                           "bake: 30",
                           "bake: -1s",
                           "bake: 1w",
                           "bake: [1s]",
                           "maxFailures: -1",
                           "maxFailures: 1.5",
                           "maxFailures: many",
                           "maxFailures: 100001",
                           "documents: {}",
                           "documents: [{to: x}]",
                           "documents: [{match: \"\"}]",
                           "documents: [{match: \"*\", to: ../etc/}]",
                           "documents: [{match: \"*\", to: /etc/}]",
                           "documents: [{match: \"*\", to: one}]",
                           "documents: [{match: a, to: a//b}]",
                           "documents: [{match: a, to: a/./b}]",
                           "documents: [{match: a, to: \"\"}]",
                           "documents: [{match: a, mode: \"999\"}]",
                           "documents: [{match: a, mode: rw}]",
                           "documents: [{match: a, render: yes}]",
                           "documents: [{match: a, mod: 1}]",
                           "strategy: rolling",
                           "strategy: {}",
                           "strategy: {type: roling}",
                           "strategy: {type: canary}",
                           "strategy: {type: canary, steps: []}",
                           "strategy: {type: canary, steps: [{}]}",
                           "strategy: {type: canary, steps: [{setWeight: 0}]}",
                           "strategy: {type: canary, steps: [{setWeight: 101}]}",
                           "strategy: {type: canary, steps: [{setWeight: 1, pause: {}}]}",
                           "strategy: {type: canary, steps: [{pause: {for: 1s}}]}",
                           "strategy: {type: canary, steps: [{pause: 1s}]}",
                           "strategy: {type: rolling, batchSize: 0}",
                           "strategy: {type: rolling, batchSize: 101%}",
                           "strategy: {type: rolling, batchSize: half}",
                           "strategy: {type: rolling, batchSize: 1000000}",
                           "strategy: {type: parallel, maxParallel: 0}",
                           "health: [{}]",
                           "health: [{http: {}}]",
                           "health: [{http: {url: \"https://x/\"}}]",
                           "health: [{http: {url: \"http://x/\", expectStatus: 99}}]",
                           "health: [{http: {url: \"http://x/\"}, tcp: {host: x, port: 1}}]",
                           "health: [{tcp: {host: x}}]",
                           "health: [{tcp: {host: x, port: 0}}]",
                           "health: [{tcp: {host: x, port: 65536}}]",
                           "health: [{command: {argv: []}}]",
                           "health: [{command: {argv: [x], expectExit: 256}}]",
                           "health: [{tcp: {host: x, port: 1}, when: [during]}]",
                           "health: [{tcp: {host: x, port: 1}, successes: 0}]",
                           "health: [{tcp: {host: x, port: 1}, interval: soon}]",
                           "steps: [{}]",
                           "steps: [{name: a, type: echo}]",
                           "steps: [{name: a, params: {message: x}}]",
                           "steps: [{type: echo, params: {message: x}}]",
                           "steps: [{name: a, type: ecko, params: {message: x}}]",
                           "steps: [{name: a, type: script, params: {comand: y}}]",
                           "steps: [{name: a, type: script, params: {command: [y]}}]",
                           "steps: [{name: a, type: sleep, params: {duration: 5}}]",
                           "steps: [{name: a, type: file_write, params: {path: /x, content: y, mode: \"9\"}}]",
                           "steps: [{name: a, type: http, params: {url: \"http://x\", expectStatus: ok}}]",
                           "steps: [{name: a, type: script, params: {command: \"\"}}]",
                           "steps: [{name: a, type: script, params: {command: x, cwd: tmp}}]",
                           "steps: [{name: a, type: script, params: {command: x, cwd: /a/../b}}]",
                           "steps: [{name: a, type: file_write, params: {path: x, content: y}}]",
                           "steps: [{name: a, type: file_write, params: {path: /x/, content: y}}]",
                           "steps: [{name: a, type: file_write, params: {path: /x/.., content: y}}]",
                           "steps: [{name: a, type: http, params: {url: \"https://x/\"}}]",
                           "steps: [{name: a, type: http, params: {url: \"http://x/\", method: get}}]",
                           "steps: [{name: a, type: http, params: {url: \"http://x/\", rollbackUrl: x}}]",
                           "steps: [{name: a, type: package, params: {package: A}}]",
                           "steps: [{name: a, type: package, params: {package: a}}]",
                           "steps: [{name: a, type: package, params: {package: -ab}}]",
                           "steps: [{name: a, type: package, params: {package: ab, version: newest}}]",
                           "steps: [{name: a, type: package, params: {package: ab, version: \"1;x\"}}]",
                           "steps: [{name: a, type: package, params: {package: ab, file: x.deb}}]",
                           "steps: [{name: a, type: package, params: {package: ab, file: /x.rpm}}]",
                           "steps: [{name: a, type: package, params: {package: ab, root: /x}}]",
                           "steps: [{name: a, type: package, params: {package: ab, file: /x.deb, root: /}}]",
                           "steps: [{name: a, type: echo, params: {message: x}, when: later}]",
                           "steps: [{name: a, type: echo, params: {message: x}, required: 1}]",
                           "steps: [{name: a, type: echo, params: {message: x}, retry: {attempts: 0}}]",
                           "steps: [{name: a, type: echo, params: {message: x}, retry: {factor: 11}}]",
                           "steps: [{name: a, type: echo, params: {message: x}, timeout: never}]",
                           "rollback: {auto: maybe}",
                           "rollback: true",
                           "supersede: never",
                           "windows: [{days: [monday]}]",
                           "windows: [{from: \"9:00\"}]",
                           "windows: [{to: \"24:01\"}]",
                           "schedule: tomorrow",
                           "approval: {riskThreshold: 2}",
                           "approval: {by: ann}",
                           "dependsOn: [{}]",
                           "dependsOn: [{namespace: \"\"}]",
                           "dependsOn: [{namespace: x, at: 1}]",
                           "drift: {interval: 50ms}",
                           "drift: {interval: 0}",
                           "drift: {action: shout}",
                           "confirm: x",
                           "planExpiry: [1s]",
                           "retry: {attempts: 101}",
                           "progressDeadline: 5",
                           "operationTimeout: true"}) {
    policies.push_back(std::string(kLeastPolicy) + line + "\n");
  }
  const std::vector<std::string> targets = {"",
                                            "kind: file\n",
                                            "spec: {}\n",
                                            "kind: flie\nspec: {root: /x}\n",
                                            "kind: [file]\nspec: {root: /x}\n",
                                            "kind: file\nspec: {}\n",
                                            "kind: file\nspec: {root: srv}\n",
                                            "kind: file\nspec: {root: /srv/../etc}\n",
                                            "kind: file\nspec: {root: /srv//x}\n",
                                            "kind: file\nspec: {root: /srv/}\n",
                                            "kind: file\nspec: {root: /}\n",
                                            "kind: file\nspec: {root: /srv, kep: 3}\n",
                                            "kind: file\nspec: {root: /srv, keep: 1001}\n",
                                            "kind: file\nspec: {root: /srv, mode: link}\n",
                                            "kind: file\nlables: {}\nspec: {root: /x}\n",
                                            "kind: file\nlabels: [a]\nspec: {root: /x}\n",
                                            "kind: file\nlabels: {a: [b]}\nspec: {root: /x}\n",
                                            "kind: file\ncriticality: huge\nspec: {root: /x}\n",
                                            "kind: file\nenv: [prod]\nspec: {root: /x}\n",
                                            "kind: exec\nspec: {}\n",
                                            "kind: exec\nspec: {program: x}\n",
                                            "kind: exec\nspec: {program: /x, sha256: abc}\n",
                                            "kind: exec\nspec: {program: /x, args: a}\n",
                                            "kind: exec\nspec: {program: /x, config: {a: [b]}}\n",
                                            "kind: exec\nspec: {program: /x, root: /y}\n",
                                            "kind: ssh\nspec: {host: h}\n",
                                            "kind: ssh\nspec: {host: \"-o\", root: /x}\n",
                                            "kind: ssh\nspec: {host: h, root: x}\n",
                                            "kind: ssh\nspec: {host: h, root: /x, port: 0}\n",
                                            "kind: ssh\nspec: {host: h, root: /x, config: \"/a b\"}\n",
                                            "kind: worker\nspec: {}\n",
                                            "kind: worker\nspec: {worker: A}\n",
                                            "kind: worker\nspec: {worker: w, directory: /x}\n",
                                            "kind: worker\nspec: {worker: w, directory: a/../b}\n",
                                            "kind: worker\nspec: {worker: w, directory: .st8}\n",
                                            "kind: ssh\nspec: {host: h, root: /x, hostKeys: \"no\"}\n",
                                            "kind: ssh\nspec: {host: h, root: /x, share: 5}\n",
                                            "kind: ssh\nspec: {host: h, root: /x, user: \"-l\"}\n"};
  for (const auto& [which, documents] : {std::pair{Which::kRollout, policies}, std::pair{Which::kTarget, targets}}) {
    const std::vector<std::string> answers = by_schema(which, documents);
    for (std::size_t i = 0; i < documents.size(); ++i) {
      EXPECT_NE(answers[i], "") << "the schema admits: " << documents[i];
      EXPECT_NE(by_parser(which, documents[i]), "") << "the parser admits: " << documents[i];
    }
  }
}

// A field that has a meaning for one type has none for another: each with each.
TEST(Schema, AgreesOnWhichFieldsBelongToWhichType) {
  std::vector<std::string> policies;
  const std::vector<std::pair<std::string, std::string>> strategy_fields = {
      {"batchSize", "2"},        {"batchDelay", "1s"},         {"steps", "[{setWeight: 10}]"},
      {"autoPromotion", "true"}, {"autoPromotionDelay", "1s"}, {"scaleDownDelay", "1s"},
      {"maxParallel", "3"}};
  EXPECT_EQ(strategy_fields.size() + 1, schema(Which::kRollout)["$defs"]["strategy"]["properties"].size());
  for (const char* type : {"parallel", "sequential", "rolling", "canary", "blue-green"}) {
    for (const auto& [field, value] : strategy_fields)
      policies.push_back(std::string(kLeastPolicy) + "strategy: {type: " + type + ", " + field + ": " + value + "}\n");
  }
  std::set<std::string> params;
  const Json& definitions = schema(Which::kRollout)["$defs"];
  for (const auto& [name, definition] : definitions.items()) {
    if (!name.ends_with("Params")) continue;
    for (const auto& [field, unused] : definition["properties"].items()) params.insert(field);
  }
  const auto good = [](const std::string& param) -> std::string {
    if (param == "args") return "[x]";
    if (param == "duration") return "1s";
    if (param == "mode") return "\"0600\"";
    if (param == "expectStatus") return "200";
    if (param == "url" || param == "rollbackUrl") return "\"http://x/\"";
    if (param == "path" || param == "cwd" || param == "root") return "/x";
    if (param == "file" || param == "rollbackFile") return "/x.deb";
    if (param == "version" || param == "rollbackVersion") return "\"1.0\"";
    if (param == "method" || param == "rollbackMethod") return "PUT";
    return "abc";
  };
  for (const char* type : {"echo", "script", "sleep", "file_write", "http", "package"}) {
    std::string key = type == std::string("file_write") ? "fileWrite" : type;
    const Json& definition = definitions[key + "Params"];
    for (const std::string& param : params) {
      std::string text =
          std::string(kLeastPolicy) + "steps: [{name: a, type: " + type + ", params: {" + param + ": " + good(param);
      for (const Json& required : definition["required"]) {
        if (required != param) text += ", " + required.get<std::string>() + ": " + good(required.get<std::string>());
      }
      policies.push_back(text + "}}]\n");
    }
  }
  expect_agreement(Which::kRollout, policies);
  std::vector<std::string> targets;
  const Json& target_definitions = schema(Which::kTarget)["$defs"];
  for (const Json& kind : schema(Which::kTarget)["properties"]["kind"]["enum"]) {
    std::set<std::string> fields;
    for (const auto& [name, definition] : target_definitions.items()) {
      if (!name.ends_with("Spec")) continue;
      for (const auto& [field, unused] : definition["properties"].items()) fields.insert(field);
    }
    // A field that the kind does not have is refused by both, whatever its value.
    const Json& own = target_definitions[kind.get<std::string>() + "Spec"]["properties"];
    for (const std::string& field : fields) {
      if (!own.contains(field)) targets.push_back("kind: " + kind.get<std::string>() + "\nspec: {" + field + ": x}\n");
    }
    targets.push_back("kind: " + kind.get<std::string>() + "\nspec: {zzzz: x}\n");
  }
  expect_agreement(Which::kTarget, targets);
}

// A default written out changes nothing.
TEST(Schema, TellsTheDefaultsThatTheParserTakes) {
  const auto policy_of = [](const std::string& text) {
    std::vector<DocumentProblem> problems;
    auto policy = parse_policy(text, problems);
    EXPECT_TRUE(policy) << text << (problems.empty() ? "" : problems.front().str());
    return policy.value_or(Policy{});
  };
  const Json& root = schema(Which::kRollout);
  std::size_t compared = 0;
  const auto compare = [&](const std::string& before, const Json& properties, const std::string& after,
                           const std::string& without) {
    for (const auto& [field, property] : properties.items()) {
      if (!property.contains("default")) continue;
      const std::string text = before + field + ": " + property["default"].dump() + after;
      EXPECT_EQ(policy_of(text), policy_of(without)) << text;
      ++compared;
    }
  };
  const std::string least = kLeastPolicy;
  compare(least, root["properties"], "\n", least);
  for (const char* group : {"rollback", "approval", "drift"})
    compare(least + group + ": {", root["properties"][group]["properties"], "}\n", least);
  compare(least + "retry: {", root["$defs"]["retry"]["properties"], "}\n", least);
  const auto in_list = [&](const std::string& list, const std::string& rest, const Json& properties) {
    compare(least + list + ": [{" + rest + ", ", properties, "}]\n", least + list + ": [{" + rest + "}]\n");
  };
  in_list("documents", "match: a", root["properties"]["documents"]["items"]["properties"]);
  in_list("windows", "days: [mon]", Json{{"from", root["properties"]["windows"]["items"]["properties"]["from"]}});
  in_list("windows", "from: \"10:00\"", Json{{"to", root["properties"]["windows"]["items"]["properties"]["to"]}});
  in_list("dependsOn", "namespace: a", root["properties"]["dependsOn"]["items"]["properties"]);
  in_list("health", "tcp: {host: a, port: 1}", root["$defs"]["health"]["properties"]);
  in_list("steps", "name: a, type: echo, params: {message: x}", root["$defs"]["step"]["properties"]);
  compare(least + "health: [{http: {url: \"http://x/\", ", root["$defs"]["httpReading"]["properties"], "}}]\n",
          least + "health: [{http: {url: \"http://x/\"}}]\n");
  compare(least + "health: [{command: {argv: [x], ", root["$defs"]["commandReading"]["properties"], "}}]\n",
          least + "health: [{command: {argv: [x]}}]\n");
  const std::string canary =
      least + "strategy: {type: canary, steps: [{setWeight: 10}, {analysis: {command: {argv: [x]}";
  compare(canary + ", ", root["$defs"]["analysis"]["properties"], "}}]}\n", canary + "}}]}\n");
  Json strategy = root["$defs"]["strategy"]["properties"];
  EXPECT_EQ(policy_of(least + "strategy: {type: " + strategy["type"]["default"].get<std::string>() + "}\n"),
            policy_of(least));
  const auto of_strategy = [&](const std::string& type, std::initializer_list<const char*> fields) {
    Json some = Json::object();
    for (const char* field : fields) some[field] = strategy[field];
    compare(least + "strategy: {type: " + type + ", ", some, "}\n", least + "strategy: {type: " + type + "}\n");
  };
  of_strategy("rolling", {"batchSize", "batchDelay", "maxParallel"});
  of_strategy("blue-green", {"autoPromotion", "autoPromotionDelay", "scaleDownDelay"});
  EXPECT_GT(compared, 35u);

  const Json& file = schema(Which::kTarget)["$defs"]["fileSpec"]["properties"];
  EXPECT_EQ(file["keep"]["default"].get<std::uint32_t>(), file::FileSpec{}.keep);
  EXPECT_EQ(file["mode"]["default"] == "directory", file::FileSpec{}.layout == file::Layout::kDirectory);
  std::vector<DocumentProblem> problems;
  const auto plain = parse_target(kWeb, "kind: file\nspec: {root: /x}\n", problems);
  ASSERT_TRUE(plain);
  EXPECT_EQ(schema(Which::kTarget)["properties"]["criticality"]["default"].get<std::string>(),
            criticality_name(plain->criticality));
  EXPECT_THAT(problems, IsEmpty());
}

}  // namespace
}  // namespace st8::target
