// Stories of configuration that goes live, each on a real st8d, real targets and st8ctl: what was promised to whom answers for production.
#include "scenarios/fleet.h"

namespace st8::test {
namespace {

using testing::HasSubstr;
using Values = std::map<std::string, int>;

class Rollouts : public testing::Test {
 protected:
  Fleet fleet;
};

TEST_F(Rollouts, ABadValueStopsAtTheFirstWaveAndComesBackByItself) {
  fleet.add_targets();
  ASSERT_NO_FATAL_FAILURE(fleet.open_shop());
  fleet.cli().ok({"apply", "-v", "app/value=bad 2"}, Fleet::shop());
  const auto rollout = fleet.ended("r-2");
  EXPECT_EQ(rollout["phase"], "rolled-back");
  EXPECT_EQ(rollout["targets_touched"], 2) << "the first quarter of eight";
  EXPECT_EQ(fleet.values(), (Values{{"good 1", 8}})) << "all have back what they had";
  const auto log = fleet.log();
  ASSERT_EQ(log.size(), 3u);
  EXPECT_EQ(log[0]["cause"], "auto-rollback");
  EXPECT_THAT(log[0]["message"].get<std::string>(), testing::AllOf(HasSubstr("r-2"), HasSubstr("health")));
  const auto head = fleet.get("/v1/state?namespace=shop");
  EXPECT_EQ(head["objects"]["app/value"], "good 1");
  // Who looks at it is told how far it came and how long it took.
  const std::string shown = fleet.cli().ok({"rollout", "get", "r-2"}, Fleet::shop());
  EXPECT_THAT(shown, testing::AllOf(HasSubstr("rolled-back after "), HasSubstr("of 8 targets activated, 2 touched"),
                                    HasSubstr("went back by revision 3")))
      << shown;
}

// The target says that all went well, and did nothing: a driver of the user's own, with a mistake in it.
TEST_F(Rollouts, OneOfEightThatWasSilentlySkippedKeepsTheRolloutFromCompletion) {
  fleet.cli().file("skips.sh",
                   "#!/bin/bash\nrequest=$(cat)\n"
                   "case $(jq -r .operation <<<\"$request\") in\n"
                   "  stage) jq -c '[.files[] | {path, mode, sha256}]' <<<\"$request\" >\"" +
                       (fleet.cli().work() / "staged").string() +
                       "\"; echo '{\"ok\":true}';;\n"
                       "  validate) jq -c '{ok: true, files: .}' \"" +
                       (fleet.cli().work() / "staged").string() +
                       "\";;\n"
                       "  observe) echo '{\"ok\":true,\"present\":false}';;\n"
                       "  *) echo '{\"ok\":true}';;\nesac\n");
  std::filesystem::permissions(fleet.cli().work() / "skips.sh", std::filesystem::perms::owner_all);
  fleet.add_targets(
      {{5, "kind: exec\nlabels: {role: web}\nspec: {program: " + (fleet.cli().work() / "skips.sh").string() + "}\n"}});
  // No health check would notice: there is none.
  fleet.cli().ok({"apply", "-v",
                  ".st8/rollout.yaml=branches: [main]\ntargets: {labels: {role: web}}\nstrategy: {type: rolling, "
                  "batchSize: 25%}\nretry: {attempts: 2, delay: 10ms}\n",
                  "-v", "app/value=1"},
                 Fleet::shop());
  const auto rollout = fleet.ended("r-1");
  EXPECT_NE(rollout["phase"], "promoted");
  EXPECT_THAT(rollout["reason"].get<std::string>(), HasSubstr("t5")) << rollout.dump(1);
  const auto live = fleet.get("/v1/live?namespace=shop");
  EXPECT_EQ(live["branches"][0]["promoted_revision"], 0);
  for (const auto& entry : live["live"]) EXPECT_NE(entry["state"], "promoted") << entry.dump();
}

// Each target looks well by itself; what goes wrong shows in the whole.
TEST_F(Rollouts, ACanaryGoesOnOrBackByWhatItsAnalysisReads) {
  fleet.add_targets();
  const std::string readings = (fleet.cli().work() / "readings").string();
  // A reading fails when the error rate is high, which a file stands for; each leaves a line.
  fleet.cli().file("rate.sh", "#!/bin/sh\necho \"$ST8_NAMESPACE $ST8_BRANCH $ST8_REVISION\" >>" + readings +
                                  "\ntest ! -e " + (fleet.cli().work() / "errors").string() + "\n");
  std::filesystem::permissions(fleet.cli().work() / "rate.sh", std::filesystem::perms::owner_all);
  const std::string policy =
      "branches: [main]\ntargets: {labels: {role: web}}\ndocuments: [{match: 'app/**', to: app/}]\nstrategy:\n  type: "
      "canary\n  steps:\n    - setWeight: 25\n"
      "    - analysis: {name: errors, command: {argv: [" +
      (fleet.cli().work() / "rate.sh").string() + "]}, interval: 5ms, count: 4, failureLimit: 1}\n";
  fleet.cli().ok({"apply", "-v", ".st8/rollout.yaml=" + policy, "-v", "app/value=1"}, Fleet::shop());
  ASSERT_EQ(fleet.ended("r-1")["phase"], "promoted") << fleet.get("/v1/rollouts/r-1").dump(1);
  EXPECT_EQ(fleet.values(), (Values{{"1", 8}}));
  EXPECT_EQ(read_file(readings), "shop main 1\nshop main 1\nshop main 1\nshop main 1\n");

  fleet.cli().file("errors", "many");
  fleet.cli().ok({"apply", "-v", "app/value=2"}, Fleet::shop());
  const auto rollout = fleet.ended("r-2");
  EXPECT_EQ(rollout["phase"], "rolled-back");
  EXPECT_THAT(rollout["reason"].get<std::string>(),
              HasSubstr("analysis \"errors\": 2 of 2 readings failed, where 1 may"))
      << rollout.dump(1);
  EXPECT_EQ(rollout["targets_touched"], 2);
  EXPECT_EQ(fleet.values(), (Values{{"1", 8}}));
  EXPECT_THAT(fleet.cli().ok({"rollout", "get", "r-2"}, Fleet::shop()), HasSubstr("gate: analysis errors"))
      << "who looks at it sees the gate";

  // What failed is over; another value passes.
  std::filesystem::remove(fleet.cli().work() / "errors");
  fleet.cli().ok({"apply", "-v", "app/value=3"}, Fleet::shop());
  EXPECT_EQ(fleet.ended("r-4")["phase"], "promoted") << fleet.get("/v1/rollouts?namespace=shop").dump(1);
  EXPECT_EQ(fleet.values(), (Values{{"3", 8}}));
}

TEST_F(Rollouts, AQuarantinedChangeIsRefusedByWhicheverRoadItComesBack) {
  fleet.add_targets();
  ASSERT_NO_FATAL_FAILURE(fleet.open_shop());
  // The change lives on a branch of its own as well, which no policy names.
  fleet.cli().ok({"branch", "create", "trial"}, Fleet::shop());
  fleet.cli().ok({"--branch", "trial", "apply", "-v", "app/value=bad 2"}, Fleet::shop());
  fleet.cli().ok({"apply", "-v", "app/value=bad 2"}, Fleet::shop());
  ASSERT_EQ(fleet.ended("r-2")["phase"], "rolled-back");
  const auto before = fleet.log().size();

  for (const std::vector<std::string>& road :
       std::vector<std::vector<std::string>>{{"apply", "-v", "app/value=bad 2"},
                                             {"restore", "--from-branch", "trial"},
                                             {"rollback", "--revision", "2"}}) {
    const RunResult refused = fleet.st8ctl(road);
    EXPECT_EQ(refused.code, 9) << road[0] << refused.out << refused.err;
    EXPECT_THAT(refused.err, testing::AllOf(HasSubstr("app/value"), HasSubstr("quarantine"), HasSubstr("r-2")))
        << road[0];
  }
  EXPECT_EQ(fleet.log().size(), before) << "nothing was committed";

  // What has nothing to do with it passes, and so does another value.
  fleet.cli().ok({"apply", "-v", "app/other=2"}, Fleet::shop());
  fleet.cli().ok({"apply", "-v", "app/value=good 3"}, Fleet::shop());
  ASSERT_TRUE(eventually(
      [&] {
        return fleet.values() == Values{{"good 3", 8}} && fleet.values("app/other") == Values{{"2", 8}};
      },
      std::chrono::seconds(60)));
}

TEST_F(Rollouts, TwoForOneTargetFollowEachOther) {
  fleet.add_targets();
  ASSERT_NO_FATAL_FAILURE(fleet.open_shop());
  // The first waits for a person in its first step, and holds all its targets meanwhile.
  const std::string canary =
      "branches: [main]\ntargets: {labels: {role: web}}\ndocuments: [{match: 'app/**', to: app/}]\n"
      "strategy: {type: canary, steps: [{setWeight: 25}, {pause: {}}]}\nsupersede: queue\n";
  fleet.cli().ok({"apply", "-v", ".st8/rollout.yaml=" + canary, "-v", "app/value=good 2"}, Fleet::shop());
  ASSERT_TRUE(
      eventually([&] { return fleet.get("/v1/rollouts/r-2")["waiting_for"] == "promote"; }, std::chrono::seconds(30)))
      << fleet.get("/v1/rollouts/r-2").dump(1);
  const Values waiting = fleet.values();
  EXPECT_EQ(waiting, (Values{{"good 1", 6}, {"good 2", 2}}));
  // A newer revision of the branch queues behind it, as its policy says.
  fleet.cli().ok({"apply", "-v", "app/value=good 3"}, Fleet::shop());
  // Another namespace that names one of the targets is told whose it is, and touches nothing.
  const RunResult other = fleet.st8ctl(
      {"apply", "-v", ".st8/rollout.yaml=branches: [main]\ntargets: {names: [t1]}\n", "-v", "x=1"}, "bank");
  ASSERT_EQ(other.code, 0) << other.err;
  Fleet::Json bank;
  ASSERT_TRUE(eventually([&] {
    bank = fleet.get("/v1/live?namespace=bank")["branches"];
    return bank.size() == 1 && bank[0].contains("problem");
  })) << bank.dump(1);
  EXPECT_THAT(bank[0]["problem"].get<std::string>(),
              testing::AllOf(HasSubstr("t1"), HasSubstr("shop branch main"), HasSubstr("serves one branch")));
  for (int i = 1; i <= Fleet::kTargets; ++i) EXPECT_EQ(fleet.get("/v1/targets/" + Fleet::name(i))["held_by"], "r-2");
  EXPECT_EQ(fleet.values(), waiting);

  EXPECT_EQ(fleet.post("/v1/rollouts/r-2/promote", {{"full", true}}), 200);
  EXPECT_EQ(fleet.ended("r-2")["phase"], "promoted");
  ASSERT_TRUE(
      eventually([&] { return fleet.get("/v1/rollouts/r-3")["waiting_for"] == "promote"; }, std::chrono::seconds(30)))
      << fleet.get("/v1/rollouts/r-3").dump(1);
  EXPECT_EQ(fleet.values(), (Values{{"good 2", 6}, {"good 3", 2}}));
  EXPECT_EQ(fleet.post("/v1/rollouts/r-3/promote", {{"full", true}}), 200);
  EXPECT_EQ(fleet.ended("r-3")["phase"], "promoted");
  EXPECT_EQ(fleet.values(), (Values{{"good 3", 8}}));
  EXPECT_EQ(fleet.get("/v1/live?namespace=bank")["branches"][0]["promoted_revision"], 0);
}

TEST_F(Rollouts, PolicyAndConfigurationAreRolledBackTogether) {
  fleet.add_targets();
  ASSERT_NO_FATAL_FAILURE(fleet.open_shop());
  fleet.cli().ok({"checkpoint", "stable"}, Fleet::shop());
  // Another place, at once, and another value, in one revision.
  fleet.cli().ok({"apply", "-v",
                  ".st8/rollout.yaml=branches: [main]\ntargets: {labels: {role: web}}\ndocuments: [{match: 'app/**', "
                  "to: moved/}]\n",
                  "-v", "app/value=good 2"},
                 Fleet::shop());
  ASSERT_EQ(fleet.ended("r-2")["phase"], "promoted");
  EXPECT_EQ(fleet.values("moved/value"), (Values{{"good 2", 8}}));
  EXPECT_EQ(fleet.values("app/value"), (Values{{"", 8}}));
  fleet.cli().ok({"rollback", "--checkpoint", "stable"}, Fleet::shop());
  ASSERT_EQ(fleet.ended("r-3")["phase"], "promoted");
  EXPECT_EQ(fleet.values("app/value"), (Values{{"good 1", 8}}));
  EXPECT_EQ(fleet.values("moved/value"), (Values{{"", 8}}));
  EXPECT_EQ(fleet.log()[0]["cause"], "rollback");
}

TEST_F(Rollouts, ABranchIsPromotedByRestore) {
  fleet.add_targets();
  ASSERT_NO_FATAL_FAILURE(fleet.open_shop());
  fleet.cli().ok({"branch", "create", "trial"}, Fleet::shop());
  fleet.cli().ok({"--branch", "trial", "apply", "-v", "app/value=good trial", "-v", "app/other=7"}, Fleet::shop());
  EXPECT_EQ(fleet.values(), (Values{{"good 1", 8}})) << "a branch that no policy names reaches nobody";
  fleet.cli().ok({"restore", "--from-branch", "trial", "--message", "promote trial"}, Fleet::shop());
  ASSERT_EQ(fleet.ended("r-2")["phase"], "promoted");
  EXPECT_EQ(fleet.values(), (Values{{"good trial", 8}}));
  EXPECT_EQ(fleet.values("app/other"), (Values{{"7", 8}}));
}

}  // namespace
}  // namespace st8::test
