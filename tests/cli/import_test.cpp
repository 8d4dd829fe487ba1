// Other tools' documents as st8's: what each field becomes, what is refused, and the commands that do it.
#include "import/import.h"

#include <filesystem>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <map>
#include <nlohmann/json.hpp>

#include "cli/cli_fixture.h"
#include "support/import_check.h"

namespace st8::test {
namespace {

using ctl::Imported;
using ctl::ImportOptions;
using ctl::ImportRow;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

std::string example(const std::string& name) {
  return read_file(std::filesystem::path(ST8_SOURCE_DIR) / "tests/data/import" / name);
}

// The policy that comes out, as st8's reader has it.
target::Policy policy_of(const Imported& imported) {
  std::vector<target::DocumentProblem> problems;
  const auto policy = target::parse_policy(ctl::yaml(imported.policy), problems);
  EXPECT_TRUE(policy) << (problems.empty() ? "" : problems.front().str());
  return policy.value_or(target::Policy{});
}
// What became of a field: "taken steps[0].name", "changed strategy.batchSize: 0 means 1", "left: why".
std::string row(const Imported& imported, const std::string& from) {
  std::string found;
  for (const ImportRow& one : imported.report) {
    if (one.from == from)
      found += (found.empty() ? "" : " | ") + std::string(ctl::import_word(one.what)) +
               (one.to.empty() ? "" : " " + one.to) + (one.why.empty() ? "" : ": " + one.why);
  }
  return found;
}
std::string error_of(const Result<Imported>& imported) { return imported ? "none" : imported.error().message; }

TEST(Import, ExamplesBecomeGoodDocumentsWithEveryFieldReported) {
  const std::map<std::string, Result<Imported> (*)(std::string_view, const ImportOptions&)> examples = {
      {"kitsune_code.json", ctl::import_kitsune},
      {"kitsune_readme.json", ctl::import_kitsune},
      {"rollops.yaml", ctl::import_rollops},
      {"argo_canary.yaml", ctl::import_argo},
      {"argo_blue_green.yaml", ctl::import_argo}};
  for (const auto& [name, import] : examples) {
    const std::string text = example(name);
    for (const char* kind : {"worker", "ssh", "file"}) {
      ImportOptions options;
      options.kind = kind;
      const auto imported = import(text, options);
      ASSERT_TRUE(imported) << name << ": " << imported.error().message;
      EXPECT_EQ(import_fault(text, *imported), "") << name;
    }
  }
}

TEST(ImportKitsune, TheReadmesDialect) {
  const auto imported = ctl::import_kitsune(example("kitsune_readme.json"));
  ASSERT_TRUE(imported) << imported.error().message;
  const target::Policy policy = policy_of(*imported);
  EXPECT_EQ(policy.targets.names.size(), 3u);
  EXPECT_EQ(policy.strategy.kind, target::StrategyKind::kRolling);
  EXPECT_EQ(policy.strategy.batch.value, 2u);
  EXPECT_EQ(policy.strategy.batch_delay, target::Millis{1000});
  ASSERT_EQ(policy.steps.size(), 4u);
  EXPECT_FALSE(policy.steps[0].required) << "in Kitsune a step is required only when it says so";
  EXPECT_TRUE(policy.steps[1].required);
  EXPECT_EQ(policy.steps[2].params.at("duration"), "1s");
  EXPECT_EQ(policy.steps[3].params.at("content"), "patched\n");
  // Its retries are st8's own.
  EXPECT_EQ(policy.steps[0].retry, target::RetryPolicy{});
  EXPECT_EQ(policy.steps[0].timeout, target::Millis{300'000});
  ASSERT_EQ(imported->targets.size(), 3u);
  EXPECT_EQ(imported->targets[1].first, "server-2");
}

TEST(ImportKitsune, TheCodesDialectAndWhatItsReadmePromises) {
  const auto imported = ctl::import_kitsune(example("kitsune_code.json"));
  ASSERT_TRUE(imported) << imported.error().message;
  const target::Policy policy = policy_of(*imported);
  EXPECT_EQ(policy.strategy.kind, target::StrategyKind::kCanary) << "canaryPercentage is honoured";
  ASSERT_EQ(policy.strategy.steps.size(), 3u);
  EXPECT_EQ(policy.strategy.steps[0].weight, 10u);
  EXPECT_EQ(policy.strategy.steps[1].duration, target::Millis{30'000});
  EXPECT_EQ(policy.strategy.steps[2].weight, 100u);
  EXPECT_EQ(policy.failures_max, 1u);
  EXPECT_EQ(policy.steps[0].params.at("message"), "hi {{{{x}}");
  EXPECT_EQ(policy.steps[1].params.at("command"), "/opt/x.sh");
  EXPECT_THAT(policy.steps[1].args, ElementsAre("a", "b c"));
  EXPECT_EQ(policy.steps[1].params.at("rollback"), "/opt/undo.sh");
  EXPECT_EQ(policy.steps[2].params.at("duration"), "1m30s");
  EXPECT_EQ(policy.steps[4].kind, target::StepKind::kPackage);
  EXPECT_EQ(policy.steps[4].name, "f 2");
  EXPECT_EQ(row(*imported, "steps[1].params.rollback_script"), "taken steps[1].params.rollback");
  EXPECT_EQ(row(*imported, "servers[2]"), "left: the server is named twice");
  EXPECT_THAT(row(*imported, "steps[4].params.package"),
              StartsWith("changed steps[4].params.package: installed with the machine's apt"));
  EXPECT_EQ(row(*imported, "zz"), "left: it is no field that is known here");
  ASSERT_EQ(imported->targets.size(), 2u);
  EXPECT_EQ(imported->targets[1].first, "server_2");
}

TEST(ImportKitsune, Strategies) {
  const auto with = [](const std::string& strategy) {
    std::string servers;
    for (int i = 1; i <= 10; ++i) servers += (i > 1 ? "," : "") + std::string("\"s") + std::to_string(i) + "\"";
    return ctl::import_kitsune("{\"servers\":[" + servers + "],\"steps\":[],\"rolloutStrategy\":" + strategy + "}");
  };
  EXPECT_EQ(policy_of(*with("{\"type\":\"Parallel\",\"batchSize\":3}")).strategy.kind, target::StrategyKind::kParallel);
  EXPECT_EQ(row(*with("{\"type\":\"Parallel\",\"batchSize\":3}"), "rolloutStrategy.batchSize"),
            "left: the strategy Parallel does not read it");
  const target::Policy sequential =
      policy_of(*with("{\"type\":\"Sequential\",\"batchDelaySeconds\":5,\"canaryPercentage\":10}"));
  EXPECT_EQ(sequential.strategy.kind, target::StrategyKind::kSequential);
  EXPECT_EQ(sequential.strategy.batch_delay, target::Millis{5000});
  EXPECT_EQ(row(*with("{\"type\":\"Rolling\",\"batchSize\":0}"), "rolloutStrategy.batchSize"),
            "changed strategy.batchSize: 0 means 1");
  std::vector<std::uint32_t> weights;
  for (const target::CanaryStep& step :
       policy_of(*with("{\"type\":\"Rolling\",\"batchSize\":4,\"canaryPercentage\":20}")).strategy.steps)
    weights.push_back(step.weight);
  EXPECT_THAT(weights, ElementsAre(20, 60, 100)) << "2, then 4 and 4 of 10";
  EXPECT_EQ(error_of(with("{\"type\":\"Yolo\"}")),
            "line 1: rolloutStrategy.type: is not one of Parallel, Sequential and Rolling");
  EXPECT_EQ(error_of(with("{\"type\":\"Rolling\",\"batchSize\":-1}")),
            "line 1: rolloutStrategy.batchSize: must be from 0 to 999999, not -1");
  EXPECT_EQ(error_of(with("{\"maxFailures\":1.5}")), "line 1: rolloutStrategy.maxFailures: \"1.5\" is no whole number");
}

TEST(ImportKitsune, RefusesWhatMeansNothing) {
  const auto of = [](const std::string& text) {
    ImportOptions options;
    options.kind = "ssh";
    return error_of(ctl::import_kitsune(text, options));
  };
  EXPECT_EQ(of("[]"), "the document is no map of fields");
  EXPECT_EQ(of("{}"), "line 1: has no `servers`");
  EXPECT_EQ(of("{\"servers\":[]}"), "line 1: servers: names no server");
  EXPECT_EQ(of("{\"servers\":[\"a\"]}"), "line 1: has no `steps`");
  EXPECT_EQ(of("{\"servers\":\"a\",\"steps\":[]}"), "line 1: servers: must be a list");
  EXPECT_EQ(of("{\"servers\":[\"--\"],\"steps\":[]}"),
            "line 1: servers[0]: has no letter or digit to name a target by");
  EXPECT_EQ(of("{\"servers\":[\"-oProxyCommand=x\"],\"steps\":[]}"),
            "line 1: servers[0]: is no name of a machine that ssh could reach");
  EXPECT_EQ(of("{\"servers\":[\"a\"],\n\"steps\":[{\"type\":\"reboot\"}]}"),
            "line 2: steps[0].type: is not one of echo, script, sleep, file_write and yum_upgrade");
  EXPECT_EQ(of("{\"servers\":[\"a\"],\"steps\":[{\"type\":\"echo\"}]}"), "line 1: steps[0]: has no params");
  EXPECT_EQ(of("{\"servers\":[\"a\"],\"steps\":[{\"type\":\"echo\",\"params\":{}}]}"),
            "line 1: steps[0].params: has no `message`");
  EXPECT_EQ(
      of("{\"servers\":[\"a\"],\"steps\":[{\"type\":\"script\",\"params\":{\"script\":\"a\",\"command\":\"b\"}}]}"),
      "line 1: steps[0].params: has both `command` and `script`");
  EXPECT_EQ(of("{\"servers\":[\"a\"],\"steps\":[{\"type\":\"sleep\",\"params\":{\"duration\":\"soon\"}}]}"),
            "line 1: steps[0].params.duration: \"soon\" is no duration");
  EXPECT_EQ(
      of("{\"servers\":[\"a\"],\"steps\":[{\"type\":\"file_write\",\"params\":{\"path\":\"x\",\"content\":\"\"}}]}"),
      "line 1: steps[0].params.path: is not the absolute path of a file");
  EXPECT_EQ(of("{\"servers\":[\"a\"],\"steps\":[{\"type\":\"yum_upgrade\",\"params\":{\"package\":\"a; rm -rf /\"}}]}"),
            "line 1: steps[0].params.package: is no name of a Debian package");
  EXPECT_EQ(of("{\"servers\":[\"a\"],\"steps\":[{\"type\":\"echo\",\"params\":{\"message\":\"a\\u0000b\"}}]}"),
            "line 1: steps[0].params.message: holds a NUL, which no file or program takes");
  EXPECT_THAT(of("{\"servers\":"), StartsWith("line 1: not YAML or JSON"));
  EXPECT_THAT(of(std::string(300'000, ' ')), HasSubstr("at most 262144"));
  EXPECT_EQ(of("\xff\xfe"), "the document is no UTF-8 text");
  EXPECT_EQ(of("a: 1\n---\nb: 2\n"), "the file holds more than one document; give each a file of its own");
}

TEST(ImportRollops, TakesTheStrategyTheChecksAndTheTarget) {
  const auto imported = ctl::import_rollops(example("rollops.yaml"));
  ASSERT_TRUE(imported) << imported.error().message;
  EXPECT_EQ(imported->name, "web");
  const target::Policy policy = policy_of(*imported);
  ASSERT_EQ(policy.strategy.steps.size(), 5u);
  EXPECT_EQ(policy.strategy.steps[3].duration, target::Millis{5'400'000});
  ASSERT_EQ(policy.health.size(), 2u);
  EXPECT_EQ(policy.health[0].deadline, target::Millis{30'000});
  EXPECT_THAT(policy.health[1].argv, ElementsAre("curl", "-f", "http://web-1:8080/"));
  EXPECT_FALSE(policy.health[1].bake);
  ASSERT_EQ(policy.steps.size(), 1u);
  EXPECT_EQ(policy.steps[0].params.at("command"), "migrate up 'a b'");
  EXPECT_EQ(policy.steps[0].params.at("rollback"), "migrate down");
  EXPECT_EQ(policy.steps[0].retry.attempts, 1u);
  EXPECT_EQ(policy.approval.risk_threshold, 0.6);
  EXPECT_EQ(policy.drift, target::DriftAction::kRepair);
  ASSERT_EQ(imported->targets.size(), 1u);
  std::vector<target::DocumentProblem> problems;
  const auto target =
      target::parse_target(*target::TargetName::parse("web-1"), ctl::yaml(imported->targets[0].second), problems);
  ASSERT_TRUE(target);
  EXPECT_EQ(target->criticality, target::Criticality::kHigh);
  EXPECT_EQ(target->env, "prod");
  EXPECT_EQ(target->label("team"), "shop");
  EXPECT_EQ(ctl::yaml(imported->targets[0].second).find("deploy-key"), std::string::npos)
      << "a secret's name is not a key's path";
  EXPECT_THAT(row(*imported, "spec.analysis"), StartsWith("left: there is no metrics provider"));
  EXPECT_THAT(row(*imported, "spec.rollback.trigger"), StartsWith("left: expressions are not evaluated"));
  EXPECT_THAT(row(*imported, "spec.dependsOn"), StartsWith("left: it names targets"));
}

TEST(ImportRollops, KindsOfTargets) {
  const auto of = [](const std::string& target) {
    return ctl::import_rollops(
        "apiVersion: rollops.klarlabs.de/v1\nkind: RolloutConfig\nmetadata: {name: web}\nspec:\n  target: " + target +
        "\n");
  };
  const auto plugin = of("{kind: plugin, ref: web-1, spec: {binary: /usr/bin/p, sha256: " + std::string(64, 'a') +
                         ", region: eu, token: secret:x}}");
  ASSERT_TRUE(plugin) << plugin.error().message;
  EXPECT_THAT(ctl::yaml(plugin->targets.at(0).second), HasSubstr("program: /usr/bin/p\n"));
  EXPECT_EQ(row(*plugin, "spec.target.spec.region"), "changed spec.config.region: handed to the program as text");
  EXPECT_THAT(row(*plugin, "spec.target.spec.token"), StartsWith("left: a secret"));
  for (const char* kind : {"ftp", "kubernetes"}) {
    const auto without = of(std::string("{kind: ") + kind + ", ref: Web 1, criticality: low, spec: {manifest: x}}");
    ASSERT_TRUE(without) << without.error().message;
    EXPECT_TRUE(without->targets.empty());
    EXPECT_EQ(policy_of(*without).targets.names.at(0).str(), "web-1");
    EXPECT_THAT(row(*without, "spec.target.kind"), StartsWith("left: there is no driver for"));
  }
  EXPECT_EQ(error_of(of("{kind: floppy}")), "line 5: spec.target.kind: is not one of ssh, ftp, kubernetes, plugin");
  EXPECT_EQ(error_of(of("{kind: ssh, spec: {host: \"-x\"}}")),
            "line 5: spec.target.spec: has no `host` that ssh could reach");
  EXPECT_EQ(error_of(of("{kind: plugin, spec: {binary: p}}")), "line 5: spec.target.spec.binary: is no absolute path");
  EXPECT_EQ(error_of(ctl::import_rollops("apiVersion: v1\nkind: Pod\n")),
            "line 1: apiVersion: is not rollops.klarlabs.de/v1");
  const auto set = ctl::import_rollops("apiVersion: rollops.klarlabs.de/v1\nkind: RolloutSet\n");
  EXPECT_EQ(error_of(set), "line 2: kind: is not RolloutConfig");
  EXPECT_EQ(set.error().hint, "expand the set first, and import each config");
}

TEST(ImportArgo, Canary) {
  const auto imported = ctl::import_argo(example("argo_canary.yaml"));
  ASSERT_TRUE(imported) << imported.error().message;
  const target::Policy policy = policy_of(*imported);
  std::vector<std::string> steps;
  for (const target::CanaryStep& step : policy.strategy.steps) {
    steps.push_back(step.kind == target::CanaryStep::Kind::kSetWeight ? std::to_string(step.weight)
                    : step.duration                                   ? target::format_duration(*step.duration)
                                                                      : "until promoted");
  }
  EXPECT_THAT(steps, ElementsAre("20", "until promoted", "40", "10m", "60", "10s"));
  EXPECT_EQ(policy.bake, target::Millis{30'000});
  EXPECT_TRUE(policy.rollback_auto);
  EXPECT_EQ(policy.targets.labels.at(0), (std::pair<std::string, std::vector<std::string>>{"app", {"web"}}));
  EXPECT_THAT(row(*imported, "spec.strategy.canary.steps[4].analysis"),
              StartsWith("left: there is no metrics provider"));
  EXPECT_THAT(row(*imported, "spec.template"), StartsWith("left: st8 delivers documents"));
}

TEST(ImportArgo, OtherStrategiesAndBadOnes) {
  const auto blue_green = ctl::import_argo(example("argo_blue_green.yaml"));
  ASSERT_TRUE(blue_green) << blue_green.error().message;
  const target::Strategy strategy = policy_of(*blue_green).strategy;
  EXPECT_EQ(strategy.kind, target::StrategyKind::kBlueGreen);
  EXPECT_FALSE(strategy.auto_promotion);
  EXPECT_EQ(strategy.auto_promotion_delay, target::Millis{120'000});
  EXPECT_EQ(strategy.scale_down_delay, target::Millis{45'000});
  const auto of = [](const std::string& text) {
    return ctl::import_argo("apiVersion: argoproj.io/v1alpha1\nkind: Rollout\nspec:\n  strategy: " + text + "\n");
  };
  EXPECT_EQ(policy_of(*of("{canary: {maxUnavailable: 2}}")).strategy.batch, (target::Amount{2, false}));
  EXPECT_EQ(policy_of(*of("{canary: {maxSurge: 30%, maxUnavailable: 0}}")).strategy.batch, (target::Amount{1, false}));
  EXPECT_EQ(policy_of(*of("{canary: {}}")).strategy.batch, (target::Amount{25, true})) << "Argo's own default";
  EXPECT_EQ(error_of(of("{}")), "line 4: spec.strategy: is not exactly one of canary and blueGreen");
  EXPECT_EQ(error_of(of("{canary: {steps: [{setWeight: 10, pause: {}}]}}")),
            "line 4: spec.strategy.canary.steps[0]: has both setWeight and pause; a step is one of them");
  EXPECT_EQ(error_of(of("{canary: {steps: [{setWeight: lots}]}}")),
            "line 4: spec.strategy.canary.steps[0].setWeight: \"lots\" is no whole number");
  EXPECT_EQ(error_of(of("{canary: {maxSurge: 200%}}")),
            "line 4: spec.strategy.canary.maxSurge: is no number, and no part from 0% to 100%");
  EXPECT_EQ(error_of(ctl::import_argo("apiVersion: apps/v1\nkind: Deployment\n")),
            "line 1: apiVersion: is not argoproj.io/v1alpha1");
}

TEST(ImportCommand, PrintsDocumentsAndBesideThemTheReport) {
  const Cli cli(Mode::kLocal);
  cli.file("k.json",
           "{\"servers\":[\"a\"],\n\"steps\":[{\"name\":\"hi\",\"type\":\"echo\",\"params\":{\"message\":\"x\"}}],"
           "\n\"colour\":\"red\"}");
  const RunResult result = cli.run({"import", "kitsune", "k.json"});
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(result.out,
            "# From k.json, by `st8ctl import`.\n"
            "branches:\n  - main\n"
            "targets:\n  names:\n    - a\n"
            "steps:\n  - name: hi\n    type: echo\n    params:\n      message: x\n    required: false\n"
            "---\n# st8/system targets/a.yaml\n"
            "kind: worker\nspec:\n  worker: a\n");
  EXPECT_EQ(result.err,
            "taken   line 1: servers[0] -> targets/a.yaml\n"
            "taken   line 2: steps[0].name -> steps[0].name\n"
            "taken   line 2: steps[0].type -> steps[0].type\n"
            "taken   line 2: steps[0].params.message -> steps[0].params.message\n"
            "left    line 3: colour: it is no field that is known here\n"
            "4 taken, 0 changed, 1 left out\n");
  const auto json = nlohmann::json::parse(cli.ok({"import", "kitsune", "k.json", "-o", "json"}));
  EXPECT_EQ(json["imports"][0]["policy"]["targets"]["names"][0], "a");
  EXPECT_EQ(json["imports"][0]["report"][4]["result"], "left");
  const RunResult bad = cli.run({"import", "argo", "k.json"});
  EXPECT_EQ(bad.code, 9);
  EXPECT_EQ(bad.err, "error: k.json: line 1: has no `apiVersion`\n");
  EXPECT_EQ(cli.run({"import", "kitsune", "k.json", "k.json"}).code, 2);
  EXPECT_EQ(cli.run({"import", "kitsune", "k.json", "--to", "x", "--apply"}).code, 2);
  EXPECT_EQ(cli.run({"import", "kitsune", "k.json", "--root", "srv"}).code, 2);
}

TEST(ImportCommand, WritesFilesAndNotOverOthers) {
  const Cli cli(Mode::kLocal);
  cli.file("a.yaml", example("argo_canary.yaml"));
  cli.file("b.yaml", example("argo_blue_green.yaml"));
  const std::string out = cli.ok({"import", "argo", "a.yaml", "b.yaml", "--to", "made"});
  EXPECT_THAT(out, StartsWith("wrote made/checkout/.st8/rollout.yaml\nwrote made/web/.st8/rollout.yaml\na.yaml:\n"));
  EXPECT_THAT(read_file(cli.work() / "made/checkout/.st8/rollout.yaml"),
              StartsWith("# From b.yaml, by `st8ctl import`.\nbranches:\n"));
  const RunResult again = cli.run({"import", "argo", "a.yaml", "b.yaml", "--to", "made"});
  EXPECT_EQ(again.code, 6);
  EXPECT_EQ(again.err, "error: made/checkout/.st8/rollout.yaml is there already\nhint: --replace writes over it\n");
  EXPECT_EQ(cli.run({"import", "argo", "a.yaml", "b.yaml", "--to", "made", "--replace"}).code, 0);
}

TEST(ImportCommand, AppliesAndTheRolloutRunsAsKitsuneWouldHave) {
  const Cli cli(Mode::kServer);
  const std::string root = (cli.home() / "roots").string(), marker = (cli.home() / "marker").string();
  std::filesystem::create_directories(root);
  std::string text = example("kitsune_readme.json");
  text.replace(text.find("/tmp/st8-kitsune-marker"), 23, marker);
  text.replace(text.find("\"1s\""), 4, "\"1ms\"");
  text.replace(text.find("\"batchDelaySeconds\": 1"), 22, "\"batchDelaySeconds\": 0");
  cli.file("patch.json", text);
  cli.ok({"apply", "-v", "app/a=1", "-n", "ops"});
  const std::string out =
      cli.ok({"import", "kitsune", "patch.json", "--kind", "file", "--root", root, "--apply", "-n", "ops"});
  EXPECT_THAT(out, StartsWith("Applied 3 document(s) to st8/system at revision 1.\nApplied 1 document(s) to ops at "
                              "revision 2.\ntaken   line 2: servers[0]"));
  ASSERT_TRUE(eventually([&] {
    const auto rollouts =
        nlohmann::json::parse(cli.run({"rollout", "list", "-n", "ops", "-o", "json"}).out, nullptr, false);
    return rollouts.is_object() && rollouts["rollouts"].size() == 1 && rollouts["rollouts"][0]["phase"] == "promoted";
  })) << cli.run({"rollout", "get", "r-1"}).out;
  EXPECT_EQ(read_file(marker), "patched\n");
  for (const char* server : {"server-1", "server-2", "server-3"})
    EXPECT_EQ(read_file(root + "/" + server + "/current/app/a"), "1");
  const RunResult again =
      cli.run({"import", "kitsune", "patch.json", "--kind", "file", "--root", root + "2", "--apply", "-n", "ops"});
  EXPECT_EQ(again.code, 6);
  EXPECT_THAT(again.err,
              StartsWith("error: targets/server-1.yaml is in st8/system already, and says something else\n"));
  EXPECT_THAT(cli.ok({"import", "kitsune", "patch.json", "--kind", "file", "--root", root, "--apply", "-n", "ops"}),
              StartsWith("No changes in st8/system at revision 1.\nNo changes in ops at revision 2.\n"));
}

}  // namespace
}  // namespace st8::test
