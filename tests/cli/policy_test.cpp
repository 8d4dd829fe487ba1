// st8ctl policy: exact lines and exit codes against a real st8d, and that nothing comes of looking.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <regex>

#include "cli/cli_fixture.h"

namespace st8::test {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

constexpr const char* kGood = R"(branches: [main]
targets: {labels: {role: web}}
strategy: {type: rolling, batchSize: 1}
health:
  - {name: answers, tcp: {host: localhost, port: 80}}
)";

class PolicyCommand : public testing::TestWithParam<Mode> {
 protected:
  PolicyCommand() : cli(GetParam()) {
    for (const std::string name : {"web-1", "web-2"}) {
      cli.file("s/targets/" + name + ".yaml",
               "kind: file\nlabels: {role: web}\nenv: dev\nspec: {root: /nonexistent/" + name + "}\n");
    }
    cli.ok({"apply", "-n", "st8/system", "-f", "s"});
    if (cli.has_daemon()) cli.ok({"freeze", "-m", "only looking"});
    cli.ok({"apply", "-v", "app/a=1"});
  }
  Cli cli;
};

TEST_P(PolicyCommand, LintTellsEachFindingAndItsExitCode) {
  cli.file("good.yaml", kGood);
  const RunResult good = cli.run({"policy", "lint", "-f", "good.yaml"});
  EXPECT_EQ(good.code, 0) << good.err;
  EXPECT_EQ(good.out, "");
  EXPECT_EQ(good.err, "nothing to say\n");

  cli.file("bad.yaml", "branches: [main]\ntargets: {names: [web-1]}\nstrategy: {tpye: rolling}\nbake: 30\n");
  const RunResult bad = cli.run({"policy", "lint", "-f", "bad.yaml"});
  EXPECT_EQ(bad.code, 9);
  EXPECT_EQ(bad.out,
            "bad.yaml:3: error: strategy.type: is missing [syntax]\n"
            "bad.yaml:3: error: strategy.tpye: unknown field (did you mean `type`?) [syntax]\n"
            "bad.yaml:4: error: bake: \"30\" is not a duration (did you mean `30s`?) [syntax]\n");
  EXPECT_EQ(bad.err, "3 errors, 0 warnings\n");

  const RunResult warned =
      cli.run({"policy", "lint", "-f", "-"}, with_input("branches: [main]\ntargets: {labels: {role: web}}\n"));
  EXPECT_EQ(warned.code, 0);
  EXPECT_EQ(warned.out,
            "standard input: warning: strategy: a bad revision reaches all 2 targets at once (rolling or canary "
            "reaches a few first: strategy: {type: rolling, batchSize: 10%}) [all-at-once]\n");
  EXPECT_EQ(warned.err, "0 errors, 1 warning\n");
  EXPECT_EQ(cli.run({"policy", "lint", "-f", "-", "--strict"},
                    with_input("branches: [main]\ntargets: {labels: {role: web}}\n"))
                .code,
            9);

  const auto json = nlohmann::json::parse(cli.run({"policy", "lint", "-f", "bad.yaml", "-o", "json"}).out);
  EXPECT_EQ(json["errors"], 3);
  EXPECT_EQ(json["findings"][1]["suggestion"], "did you mean `type`?");
  EXPECT_EQ(cli.run({"policy", "lint", "-f", "bad.yaml", "-o", "name"}).out, "syntax\nsyntax\nsyntax\n");

  const RunResult none = cli.run({"policy", "lint"});
  EXPECT_EQ(none.code, 5);
  EXPECT_EQ(none.err,
            "error: revision 1 of default has no .st8/rollout.yaml\nhint: give the `policy` itself, or apply one\n");
  EXPECT_EQ(cli.run({"policy", "lint", "-f", "nowhere.yaml"}).code, 5);
  EXPECT_EQ(cli.ok({"log", "-o", "name"}), "1\n") << "no revision was made";
}

TEST_P(PolicyCommand, ShowsAndLintsWhatIsStored) {
  cli.file("c/.st8/rollout.yaml", kGood);
  cli.ok({"apply", "-f", "c", "--quiet"});
  EXPECT_EQ(cli.ok({"policy", "show"}), kGood);
  EXPECT_EQ(cli.ok({"policy"}), kGood);
  EXPECT_EQ(nlohmann::json::parse(cli.ok({"policy", "show", "-o", "json"}))["content"], kGood);
  const RunResult before = cli.run({"policy", "show", "main~1"});
  EXPECT_EQ(before.code, 5);
  EXPECT_THAT(before.err, StartsWith("error: there is no document \".st8/rollout.yaml\" at revision 1\n"));
  EXPECT_EQ(cli.ok({"policy", "lint"}), "");
}

TEST_P(PolicyCommand, SimulatesWhatWasNeverApplied) {
  cli.file("good.yaml", kGood);
  const RunResult result = cli.run({"policy", "simulate", "--policy", "good.yaml", "-v", "app/b=2"});
  ASSERT_EQ(result.code, 0) << result.err;
  std::string text = std::regex_replace(result.out, std::regex(R"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ)"), "<time>");
  text = std::regex_replace(text, std::regex("\\b[0-9a-f]{64}\\b"), "<hash>");
  EXPECT_THAT(text,
              StartsWith(std::string("Supposed: with what was given laid over revision 1. Nothing was changed.\n") +
                         (cli.has_daemon() ? "would wait for: the freeze of default to end: only looking\n" : "") +
                         "Plan for default/main revision 1, the first to go live\n"
                         "strategy: rolling, 2 targets in 3 waves\n"
                         "hash: <hash>\n"
                         "expires: <time>\n"
                         "approval: not needed\n"
                         "risk: 0."));
  EXPECT_THAT(text, HasSubstr("\nWave 1 of 3: batch 1 of 2, then 50% of the targets have it\n"
                              "  web-1: chosen by labels: role=web; batch 1 of 2\n"
                              "    CREATE app/a\n"
                              "    CREATE app/b\n"));
  EXPECT_EQ(cli.ok({"policy", "simulate", "--policy", "good.yaml", "-o", "name"}), "web-1\nweb-2\n");
  const auto json = nlohmann::json::parse(
      cli.ok({"policy", "simulate", "--policy", "good.yaml", "--unset", "app/a", "-v", "x=1", "-o", "json"}));
  EXPECT_EQ(json["plan"]["targets"][0]["diff"], nlohmann::json::parse(R"([{"path": "x", "type": "create"}])"));

  const RunResult refused = cli.run({"policy", "simulate"});
  EXPECT_EQ(refused.code, 9);
  EXPECT_THAT(refused.err, StartsWith("error: revision 1 of default has no .st8/rollout.yaml\n"));
  EXPECT_EQ(cli.ok({"log", "-o", "name"}), "1\n") << "no revision was made";
  EXPECT_EQ(cli.run({"rollout", "list"}).out, "");
}

INSTANTIATE_TEST_SUITE_P(Modes, PolicyCommand, testing::Values(Mode::kServer, Mode::kLocal), mode_name);

}  // namespace
}  // namespace st8::test
