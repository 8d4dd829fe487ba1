// Going live as a person drives it: a real st8d, real directories, and st8ctl's exact lines and exit codes.
#include <atomic>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <httplib.h>
#include <nlohmann/json.hpp>
#include <regex>
#include <thread>

#include "cli/cli_fixture.h"
#include "render/document.h"
#include "render/rollout_view.h"
#include "support/worker_process.h"

namespace st8::test {
namespace {

using testing::AllOf;
using testing::EndsWith;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

// Times, hashes and durations differ from run to run.
std::string masked(std::string text) {
  text = std::regex_replace(text, std::regex(R"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z)"), "<time>");
  text = std::regex_replace(text, std::regex(R"(\b\d+(\.\d)?s\b)"), "<duration>");
  return std::regex_replace(text, std::regex("\\b([0-9a-f]{64}|[0-9a-f]{12})\\b"), "<hash>");
}

class Rollouts : public testing::Test {
 protected:
  Rollouts() : cli(Mode::kServer) {}

  std::filesystem::path root(const std::string& target) const { return cli.home() / "roots" / target; }
  void add_targets(const std::vector<std::string>& names) {
    for (const std::string& name : names) {
      std::filesystem::create_directories(root(name));
      cli.ok({"target", "add", name, "--kind", "file", "--spec", "root=" + root(name).string(), "--label", "role=web",
              "--env", "dev"});
    }
  }
  // Applies a policy and one document; gives the rollout's end.
  std::string begin(const std::string& policy) {
    cli.file("c/.st8/rollout.yaml", "branches: [main]\ntargets: {labels: {role: web}}\n" + policy);
    cli.file("c/app/a", "good\n");
    return cli.ok({"apply", "-f", "c", "--author", "ann", "--quiet"});
  }
  std::string phase(const std::string& id) {
    return nlohmann::json::parse(cli.ok({"rollout", "get", id, "-o", "json"}))["phase"];
  }
  bool reaches(const std::string& id, const std::string& wanted) {
    return eventually([&] {
      const RunResult got = cli.run({"rollout", "get", id, "-o", "json"});
      return got.code == 0 && nlohmann::json::parse(got.out)["phase"] == wanted;
    });
  }
  bool waits_for(const std::string& id, const std::string& wanted) {
    return eventually([&] {
      const RunResult got = cli.run({"rollout", "get", id, "-o", "json"});
      return got.code == 0 && nlohmann::json::parse(got.out).value("waiting_for", "") == wanted;
    });
  }

  Cli cli;
};

// Passes as long as the document says so.
std::string health(const std::filesystem::path& root) {
  return "health: [{name: good, command: {argv: [grep, -q, good, " + (root / "current/app/a").string() +
         "]}, interval: 20ms, successes: 1, deadline: 1500ms, when: [after]}]\n";
}

TEST_F(Rollouts, APlanSaysWhatWouldHappenAndWhy) {
  add_targets({"web-1", "web-2"});
  cli.ok({"freeze", "-m", "look first"});
  begin("strategy: {type: rolling, batchSize: 1, batchDelay: 10ms}\n");
  const std::string plan = masked(cli.ok({"plan"}));
  EXPECT_THAT(plan, StartsWith("Plan for default/main revision 1, the first to go live\n"
                               "strategy: rolling, 2 targets in 3 waves\n"
                               "hash: <hash>\n"
                               "expires: <time>\n"
                               "approval: not needed\n"
                               "risk: 0."));
  EXPECT_THAT(plan, HasSubstr("\n  strategy      0.50 x 0.15  rolling\n"));
  EXPECT_THAT(plan, HasSubstr("\nWave 1 of 3: batch 1 of 2, then 50% of the targets have it\n"
                              "  web-1: chosen by labels: role=web; batch 1 of 2\n"
                              "    CREATE app/a\n"));
  EXPECT_THAT(plan, EndsWith("\nWave 3 of 3: confirm, then 100% of the targets have it\n"
                             "  every target is read back once more, before the revision counts as promoted\n"));
  EXPECT_EQ(cli.ok({"plan", "-o", "name"}), "web-1\nweb-2\n");
  EXPECT_THAT(cli.ok({"plan", "-p"}), HasSubstr("\n--- /dev/null\n+++ app/a\n@@ -0,0 +1 @@\n+good\n"));
  const nlohmann::json json = nlohmann::json::parse(cli.ok({"plan", "-o", "json"}));
  EXPECT_EQ(json["waves"].size(), 3u);
  // It changed nothing: the rollout is where it was, and no target was touched.
  EXPECT_EQ(phase("r-1"), "pending");
  EXPECT_FALSE(std::filesystem::exists(root("web-1") / "current"));
  const RunResult nowhere = cli.run({"plan", "--branch", "other"});
  EXPECT_EQ(nowhere.code, 5);
  EXPECT_EQ(cli.run({"plan", "7"}).code, 5);
}

TEST_F(Rollouts, AFreezeHoldsUntilItIsLifted) {
  add_targets({"web-1"});
  EXPECT_EQ(cli.ok({"freeze", "list"}), "");
  EXPECT_EQ(cli.ok({"freeze", "-m", "black friday", "--dry-run"}), "Would freeze namespace default.\n");
  EXPECT_EQ(cli.ok({"freeze", "list"}), "");
  EXPECT_EQ(cli.ok({"freeze", "-m", "black friday"}), "Froze namespace default.\n");
  EXPECT_EQ(cli.ok({"freeze", "--all"}), "Froze everything.\n");
  EXPECT_EQ(masked(cli.ok({"freeze", "list"})),
            "* since=<time> by=anonymous reason=\"\"\ndefault since=<time> by=anonymous reason=\"black friday\"\n");
  EXPECT_EQ(cli.ok({"freeze", "list", "-o", "name"}), "*\ndefault\n");
  EXPECT_EQ(cli.ok({"unfreeze", "--all"}), "Unfroze everything.\n");
  begin("");
  ASSERT_TRUE(waits_for("r-1", "the freeze of default to end: black friday"));
  EXPECT_EQ(masked(cli.ok({"rollout", "list"})),
            "r-1 namespace=default branch=main revision=1 phase=pending targets=0/1 at=<time> waits_for=\"the freeze "
            "of default to end: black friday\"\n");
  EXPECT_EQ(cli.ok({"rollout", "explain"}),
            "Rollout r-1 takes revision 1 of default/main live. It is pending.\n"
            "0 of 1 targets have it; 0 touched, 0 failed.\n"
            "It waits for the freeze of default to end: black friday.\n"
            "Next:\n"
            "  st8ctl freeze list\n"
            "  st8ctl rollout watch r-1\n"
            "  st8ctl rollout abort r-1    leaves everything as it is\n");
  const RunResult late = cli.run({"rollout", "watch", "--deadline", "50ms"});
  EXPECT_EQ(late.code, 25);
  EXPECT_THAT(late.err, HasSubstr("rollout r-1 is not over, and goes on: `st8ctl rollout watch r-1` follows it\n"));
  EXPECT_EQ(cli.ok({"unfreeze"}), "Unfroze namespace default.\n");
  const RunResult watched = cli.run({"rollout", "watch"});
  EXPECT_EQ(watched.code, 0) << watched.err;
  EXPECT_EQ(masked(watched.out),
            "<time> created revision=1\n"
            "<time> started\n"
            "<time> wave.started wave=1\n"
            "<time> op.succeeded target=web-1 operation=observe attempt=1 read_back=<hash>\n"
            "<time> wave.completed wave=1\n"
            "<time> ended outcome=promoted\n");
  EXPECT_EQ(cli.run({"unfreeze"}).code, 5);
}

TEST_F(Rollouts, WhatIsUnderWayIsCountedAndTheTimeLeftIsTold) {
  add_targets({"web-1", "web-2"});
  EXPECT_THAT(cli.ok({"status"}), HasSubstr("rollouts: none under way\ntargets: 0 live\nnamespace: default\n"));
  begin("strategy: {type: rolling, batchSize: 1, batchDelay: 1h}\n");
  ASSERT_TRUE(waits_for("r-1", "a delay of 1h"));
  cli.ok({"freeze", "-n", "elsewhere"});
  EXPECT_THAT(cli.ok({"status"}), HasSubstr("rollouts: 1 running\ntargets: 1 live\nfreezes: 1\nnamespace: default\n"));
  EXPECT_THAT(cli.ok({"rollout", "get"}), testing::ContainsRegex("gate: delay 1h, (59m[0-9]+s|1h00m) left\n"));
  const auto waits = nlohmann::json::parse(cli.ok({"rollout", "get", "-o", "json"}))["waits"];
  ASSERT_EQ(waits.size(), 1u);
  EXPECT_EQ(waits[0]["for"], "gate");
  EXPECT_EQ(waits[0]["wave"], 0);
  cli.ok({"rollout", "pause"});
  EXPECT_THAT(cli.ok({"status"}), HasSubstr("rollouts: 1 paused\n"));
  cli.ok({"rollout", "abort"});
  ASSERT_TRUE(reaches("r-1", "aborted"));
  EXPECT_EQ(nlohmann::json::parse(cli.ok({"rollout", "get", "-o", "json"}))["waits"].size(), 0u);
}

TEST_F(Rollouts, WorkersAreListedWithWhatIsLiveThroughThem) {
  EXPECT_EQ(cli.ok({"worker", "list"}), "");
  cli.ok({"target", "add", "t1", "--kind", "worker", "--spec", "worker=w1", "--label", "role=web"});
  cli.ok({"target", "add", "t2", "--kind", "worker", "--spec", "worker=w2"});
  EXPECT_EQ(cli.ok({"worker"}),
            "w1 away last_seen=never assignments=0 targets=t1\nw2 away last_seen=never assignments=0 targets=t2\n");
  EXPECT_EQ(cli.ok({"worker", "list", "-o", "name", "--limit", "1"}), "w1\n");
  std::filesystem::create_directories(cli.home() / "workers");
  WorkerProcess worker(cli.url(), "w1", cli.home() / "workers");
  worker.start();
  begin("");
  ASSERT_TRUE(reaches("r-1", "promoted")) << worker.log();
  // A promoted rollout may still have the worker tidy up.
  const std::string expected = "w1 connected last_seen=<time> version=" ST8_TEST_VERSION
                               " assignments=0 targets=t1(default/main@1)\n"
                               "w2 away last_seen=never assignments=0 targets=t2\n";
  EXPECT_TRUE(eventually([&] { return masked(cli.ok({"worker", "list"})) == expected; })) << cli.ok({"worker", "list"});
}

// The machine burnt down, its target was removed, and then the night's revision turned out bad.
TEST_F(Rollouts, ARollbackGoesPastATargetThatWasRemovedAndSaysSo) {
  add_targets({"web-1", "web-2"});
  const std::string both = "branches: [main]\ntargets: {names: [web-1, web-2]}\n",
                    one = "branches: [main]\ntargets: {names: [web-1]}\n";
  cli.ok({"apply", "-v", ".st8/rollout.yaml=" + both, "-v", "app/a=good", "--wait"});
  cli.ok({"apply", "-v", ".st8/rollout.yaml=" + one, "-v", "app/a=bad", "--wait"});
  cli.ok({"target", "remove", "web-2"});
  const RunResult restored = cli.run({"restore", "--revision", "1"});
  EXPECT_EQ(restored.code, 9);
  EXPECT_EQ(restored.err,
            "error: this restore would bring a document that is not good: .st8/rollout.yaml:2: targets.names[1]: there "
            "is no target \"web-2\" in st8/system\n"
            "hint: apply targets/web-2.yaml to st8/system first; to leave what the head has in its place, add --keep "
            ".st8/rollout.yaml\n");
  EXPECT_EQ(cli.run({"restore", "--revision", "1", "--dry-run"}).code, 9);
  EXPECT_THAT(cli.ok({"restore", "--revision", "1", "--keep", ".st8/rollout.yaml", "--dry-run"}),
              StartsWith("Would restore into revision 3.\nUPDATE app/a\n"));
  EXPECT_THAT(cli.ok({"rollback", "1", "--wait"}),
              HasSubstr("web-1 namespace=default branch=main revision=3 state=promoted"));
  EXPECT_EQ(read_file(root("web-1") / "current/app/a"), "good");
  EXPECT_THAT(
      cli.ok({"rollout", "explain"}),
      HasSubstr("Its plan: the policy names target web-2, which has been removed: a rollback goes to the others "
                "without it.\n"));
  // What comes next is taken, and goes nowhere until policy and targets agree again.
  const RunResult next = cli.run({"apply", "-v", "app/a=better", "--wait"});
  EXPECT_EQ(next.code, 9);
  EXPECT_THAT(next.err, HasSubstr("there is no target \"web-2\""));
}

TEST_F(Rollouts, AnApprovalIsForOnePlanAndNotByItsAuthor) {
  add_targets({"web-1"});
  begin("approval: {required: true}\n");
  ASSERT_TRUE(waits_for("r-1", "an approval"));
  EXPECT_THAT(cli.ok({"plan"}), HasSubstr("\napproval: needed\nbecause: the policy requires an approval\n"));
  const RunResult other = cli.run({"rollout", "approve", "--plan", "0123456789ab"});
  EXPECT_EQ(other.code, 7);
  EXPECT_THAT(other.err, HasSubstr("hint: look at it with `st8ctl rollout get r-1`"));
  EXPECT_EQ(cli.ok({"rollout", "approve", "r-1", "--dry-run"}), "Would approve rollout r-1.\n");
  EXPECT_EQ(phase("r-1"), "pending");
  const std::string hash = nlohmann::json::parse(cli.ok({"plan", "-o", "json"}))["hash"];
  EXPECT_EQ(cli.ok({"rollout", "approve", "1", "--plan", hash.substr(0, 12)}), "Approved rollout r-1.\n");
  EXPECT_EQ(cli.run({"rollout", "watch", "r-1"}).code, 0);
  // The next one is the anonymous author's own.
  cli.ok({"apply", "-v", "app/a=mine\n"});
  ASSERT_TRUE(waits_for("r-2", "an approval"));
  // Nothing is approved that may not be what was looked at: not named, the plan is shown and asked about.
  const RunResult unasked = cli.run({"rollout", "approve"});
  EXPECT_EQ(unasked.code, 2);
  EXPECT_THAT(unasked.err, AllOf(StartsWith("Plan for default/main revision 2, from revision 1\n"),
                                 HasSubstr("error: Approve this plan, of rollout r-2? Nobody is there to be asked\n")));
  const RunResult own = cli.run({"rollout", "approve", "--yes"});
  EXPECT_EQ(own.code, 4);
  EXPECT_THAT(own.err, HasSubstr("cannot approve it"));
  EXPECT_EQ(cli.ok({"rollout", "reject", "-m", "not before Monday"}), "Rejected rollout r-2.\n");
  EXPECT_EQ(cli.run({"rollout", "watch", "r-2"}).code, 23);
  EXPECT_THAT(cli.ok({"rollout", "get", "r-2"}), HasSubstr("  because not before Monday\n"));
  EXPECT_EQ(read_file(root("web-1") / "current/app/a"), "good\n");
}

TEST_F(Rollouts, ACanaryWaitsForAPersonAndGoesOnOrBack) {
  add_targets({"web-1", "web-2", "web-3", "web-4"});
  begin(
      "strategy: {type: canary, steps: [{setWeight: 25}, {pause: {}}, {setWeight: 50}, {pause: {}}, {setWeight: "
      "100}]}\n");
  ASSERT_TRUE(waits_for("r-1", "promote"));
  EXPECT_EQ(masked(cli.ok({"rollout", "get"})),
            "rollout r-1  default/main revision 1  running for <duration>\n"
            "  canary, 1 of 4 targets activated, 1 touched, 0 failed; plan <hash>\n"
            "  waits for promote\n"
            "  ▶ wave 1 of 4  canary 25%\n"
            "    ✔ web-1  activated\n"
            "    ▶ gate: pause until promoted; st8ctl rollout promote r-1\n"
            "  · wave 2 of 4  canary 50%\n"
            "    · web-2  pending\n"
            "    · gate: pause until promoted\n"
            "  · wave 3 of 4  canary 100%\n"
            "    · web-3  pending\n"
            "    · web-4  pending\n"
            "  · wave 4 of 4  confirm\n");
  EXPECT_EQ(cli.ok({"rollout", "promote", "--dry-run"}), "Would promote rollout r-1 past its gate.\n");
  EXPECT_EQ(cli.ok({"rollout", "pause", "-m", "looking"}), "Paused rollout r-1.\n");
  EXPECT_EQ(cli.run({"rollout", "promote"}).code, 6);
  EXPECT_EQ(cli.ok({"rollout", "resume"}), "Resumed rollout r-1.\n");
  ASSERT_TRUE(waits_for("r-1", "promote"));
  EXPECT_EQ(cli.ok({"rollout", "promote"}), "Promoting rollout r-1 past its gate.\n");
  ASSERT_TRUE(eventually([&] {
    return nlohmann::json::parse(cli.ok({"rollout", "get", "r-1", "-o", "json"}))["targets_activated"] == 2;
  }));
  EXPECT_EQ(cli.ok({"rollout", "promote", "--full"}), "Promoting rollout r-1 through all its gates.\n");
  EXPECT_EQ(cli.run({"rollout", "watch", "r-1"}).code, 0);
  // Another, ended by a person: what was touched is put back.
  cli.ok({"apply", "-v", "app/a=other\n"});
  ASSERT_TRUE(waits_for("r-2", "promote"));
  EXPECT_EQ(read_file(root("web-1") / "current/app/a"), "other\n");
  EXPECT_EQ(cli.ok({"rollout", "abort", "-m", "wrong region"}),
            "Aborting rollout r-2: every touched target is put back.\n");
  EXPECT_EQ(cli.run({"rollout", "watch", "r-2"}).code, 22);
  EXPECT_EQ(read_file(root("web-1") / "current/app/a"), "good\n");
  EXPECT_EQ(cli.run({"rollout", "abort", "r-2"}).code, 6);
  EXPECT_EQ(cli.run({"rollout", "abort", "r-2", "--dry-run"}).code, 6);
  EXPECT_EQ(cli.run({"rollout", "abort"}).code, 5);
}

TEST_F(Rollouts, WaitTellsHowItEndedAndWhatIsLive) {
  add_targets({"web-1", "web-2"});
  begin("strategy: {type: sequential}\n" + health(root("web-1")));
  ASSERT_TRUE(reaches("r-1", "promoted"));
  const RunResult good = cli.run({"apply", "-v", "app/a=good too\n", "--wait"});
  EXPECT_EQ(good.code, 0) << good.err;
  EXPECT_THAT(
      masked(good.out),
      AllOf(StartsWith("Applied 1 change(s) at revision 2.\nUPDATE app/a\n<time> created revision=2\n"),
            EndsWith("<time> ended outcome=promoted\n"
                     "web-1 namespace=default branch=main revision=2 state=promoted since=<time> hash=<hash>\n"
                     "web-2 namespace=default branch=main revision=2 state=promoted since=<time> hash=<hash>\n")));
  const RunResult bad = cli.run({"apply", "-v", "app/a=bad\n", "--wait", "--deadline", "1m"});
  EXPECT_EQ(bad.code, 20) << bad.out << bad.err;
  EXPECT_THAT(bad.out, HasSubstr(" rollback.started outcome=rolled-back detail=\"target web-1: health: "));
  EXPECT_EQ(read_file(root("web-1") / "current/app/a"), "good too\n");
  EXPECT_FALSE(std::filesystem::exists(root("web-2") / "current/app/b"));
  EXPECT_THAT(cli.ok({"rollout", "explain", "r-3"}),
              HasSubstr("The branch went back by revision 4; `st8ctl show 4` shows it.\n"));
  // What failed stays out until it is released.
  EXPECT_THAT(masked(cli.ok({"quarantine", "list"})),
              StartsWith("app/a write hash=<hash> branch=main rollout=r-3 at=<time> targets=web-1,web-2 "
                         "reason=\"target web-1: health: "));
  EXPECT_EQ(cli.run({"apply", "-v", "app/a=bad\n"}).code, 9);
  const RunResult unknown = cli.run({"quarantine", "release", "apd/a"});
  EXPECT_EQ(unknown.code, 5);
  EXPECT_THAT(unknown.err, HasSubstr("did you mean \"app/a\"?"));
  EXPECT_EQ(cli.ok({"__complete", "--", "quarantine", "release", ""}), "app/a\nr-3\n");
  EXPECT_EQ(cli.ok({"quarantine", "release", "app/a", "--dry-run"}),
            "Would release 1 change(s) of app/a from quarantine.\n");
  EXPECT_EQ(cli.ok({"quarantine", "release", "r-3"}), "Released 1 change(s) of r-3 from quarantine.\n");
  EXPECT_EQ(cli.ok({"quarantine", "list"}), "");
  // As a document it is the rollout alone.
  const RunResult json = cli.run({"apply", "-v", "app/a=good again\n", "--wait", "-o", "json"});
  EXPECT_EQ(json.code, 0);
  EXPECT_EQ(nlohmann::json::parse(json.out)["phase"], "promoted");
  EXPECT_EQ(cli.ok({"apply", "-v", "app/a=good again\n", "--wait"}), "No changes. Head stays at revision 5.\n");
  // A branch that goes live nowhere is not waited for.
  const RunResult nowhere = cli.run({"apply", "-b", "side", "-v", "x=1", "--wait"});
  EXPECT_EQ(nowhere.code, 9);
  EXPECT_THAT(nowhere.err, HasSubstr("revision 6 is made, and goes live nowhere: "));
  const RunResult back = cli.run({"rollback", "1", "--wait"});
  EXPECT_EQ(back.code, 0) << back.err;
  EXPECT_EQ(read_file(root("web-2") / "current/app/a"), "good\n");
}

TEST_F(Rollouts, WhatIncompleteMeansAndHowItEnds) {
  add_targets({"web-1", "web-2"});
  // The second target's own check fails until its mark is there.
  write_file(root("web-1") / "ok", "");
  begin(
      "strategy: {type: sequential}\nmaxFailures: 1\nretry: {attempts: 1}\n"
      "health: [{name: mark, command: {argv: [test, -e, \"" +
      (cli.home() / "roots/{{ target.name }}/ok").string() +
      "\"]}, interval: 20ms, successes: 1, deadline: 1500ms}]\n");
  const RunResult watched = cli.run({"rollout", "watch"});
  EXPECT_EQ(watched.code, 24) << watched.out << watched.err;
  EXPECT_THAT(
      masked(watched.out),
      HasSubstr("<time> target.failed target=web-2 detail=\"health: health check \\\"mark\\\" did not pass within "));
  const std::string tree = masked(cli.ok({"rollout", "get"}));
  EXPECT_THAT(tree, StartsWith("rollout r-1  default/main revision 1  incomplete for <duration>\n"));
  EXPECT_THAT(tree, HasSubstr("  ✔ wave 1 of 3  batch 1 of 2\n    ✔ web-1  activated\n"));
  EXPECT_THAT(tree, HasSubstr("    ↩ web-2  restored: health: health check \"mark\" did not pass within "));
  const std::string told = cli.ok({"rollout", "explain"});
  EXPECT_THAT(told, HasSubstr("\nNext:\n  st8ctl rollout retry r-1  tries failed targets again\n  st8ctl rollout abort "
                              "r-1  puts every touched target back\n"));
  const nlohmann::json json = nlohmann::json::parse(cli.ok({"rollout", "explain", "-o", "json"}));
  EXPECT_EQ(json["phase"], "incomplete");
  EXPECT_EQ(json["explanation"].back(), "  or apply something better: a new revision takes its place");
  EXPECT_EQ(cli.ok({"rollout", "retry", "--dry-run"}), "Would try the failed targets of rollout r-1 again.\n");
  write_file(root("web-2") / "ok", "");
  EXPECT_EQ(cli.ok({"rollout", "retry", "-m", "the disk was full"}),
            "Trying the failed targets of rollout r-1 again.\n");
  EXPECT_EQ(cli.run({"rollout", "watch"}).code, 0);
  EXPECT_THAT(masked(cli.ok({"rollout", "explain"})),
              HasSubstr("  <time> target.retried target=web-2 detail=\"the disk was full\" actor=anonymous\n"));
}

TEST_F(Rollouts, ANewerRevisionTakesTheOlderOnesPlace) {
  add_targets({"web-1"});
  begin("strategy: {type: canary, steps: [{setWeight: 100}, {pause: {}}]}\n");
  ASSERT_TRUE(waits_for("r-1", "promote"));
  cli.ok({"apply", "-v", "app/a=better\n"});
  const RunResult superseded = cli.run({"rollout", "watch", "r-1"});
  EXPECT_EQ(superseded.code, 21) << superseded.out;
  ASSERT_TRUE(waits_for("r-2", "promote"));
  EXPECT_EQ(cli.ok({"rollout", "list", "--open", "-o", "name"}), "r-2\n");
  EXPECT_EQ(cli.ok({"rollout", "list", "-o", "name"}), "r-2\nr-1\n");
  EXPECT_EQ(cli.ok({"rollout", "promote", "-m", "looks good"}), "Promoting rollout r-2 past its gate.\n");
  EXPECT_EQ(cli.run({"rollout", "watch"}).code, 0);
  EXPECT_THAT(masked(cli.ok({"rollout", "get", "--events"})),
              HasSubstr("<time> promote.asked detail=\"looks good\" actor=anonymous\n"));
}

TEST_F(Rollouts, BlueGreenPreviewsEverywhereThenSwitches) {
  add_targets({"web-1", "web-2"});
  begin("strategy: {type: blue-green, autoPromotion: false, scaleDownDelay: 10ms}\n");
  ASSERT_TRUE(waits_for("r-1", "promote"));
  EXPECT_EQ(masked(cli.ok({"rollout", "get"})),
            "rollout r-1  default/main revision 1  running for <duration>\n"
            "  blue-green, 0 of 2 targets activated, 0 touched, 0 failed; plan <hash>\n"
            "  waits for promote\n"
            "  ▶ wave 1 of 3  preview\n"
            "    ✔ web-1  validated\n"
            "    ✔ web-2  validated\n"
            "    ▶ gate: pause until promoted; st8ctl rollout promote r-1\n"
            "  · wave 2 of 3  switch\n"
            "    · web-1  validated\n"
            "    · web-2  validated\n"
            "    · gate: bake 10ms\n"
            "  · wave 3 of 3  confirm\n");
  EXPECT_FALSE(std::filesystem::exists(root("web-1") / "current"));
  cli.ok({"rollout", "promote"});
  EXPECT_EQ(cli.run({"rollout", "watch"}).code, 0);
  EXPECT_EQ(read_file(root("web-2") / "current/app/a"), "good\n");
}

// Whoever watches is not thrown out by a restart of st8d, and the rollout goes on where it was.
TEST_F(Rollouts, AWatchOutlivesARestartOfTheServer) {
  add_targets({"web-1"});
  begin("strategy: {type: canary, steps: [{setWeight: 100}, {pause: {}}]}\n");
  ASSERT_TRUE(waits_for("r-1", "promote"));
  const std::string out = (cli.work() / "watch.out").string(), err = (cli.work() / "watch.err").string();
  Program watcher({ST8_BIN_DIR "/st8ctl", "--server", cli.url(), "rollout", "watch", "1"},
                  with_environment({{"HOME", cli.home().string()}}), out, err);
  const std::string told =
      "rollout r-1 is running and waits for promote; `st8ctl rollout explain r-1` says what can be done\n";
  EXPECT_TRUE(eventually([&] { return read_file(err).find(told) != std::string::npos; })) << read_file(err);
  cli.restart();
  EXPECT_TRUE(waits_for("r-1", "promote"));
  cli.ok({"rollout", "promote"});
  EXPECT_TRUE(eventually([&] { return !watcher.running(); })) << read_file(out) << read_file(err);
  EXPECT_EQ(watcher.end(SIGKILL), 0) << read_file(out) << read_file(err);
  EXPECT_THAT(read_file(out), HasSubstr(" promote.asked actor=anonymous\n"));
  EXPECT_THAT(read_file(out), HasSubstr(" ended outcome=promoted\n"));
}

// A server that knows no stream of a rollout is asked again and again instead.
TEST_F(Rollouts, AWatchGoesWithoutAStream) {
  add_targets({"web-1"});
  begin("strategy: {type: canary, steps: [{setWeight: 100}, {pause: {}}]}\n");
  ASSERT_TRUE(waits_for("r-1", "promote"));
  httplib::Server front;
  std::atomic<int> asked = 0, refused = 0;
  front.Get(R"(/v1/rollouts/r-1/events)", [&](const httplib::Request&, httplib::Response& answer) {
    ++refused;
    answer.status = 404;
    answer.set_content(R"({"code":"not_found","detail":"there is nothing at this path","status":404})",
                       "application/problem+json");
  });
  front.Get(R"(/v1/rollouts/r-1)", [&](const httplib::Request&, httplib::Response& answer) {
    ++asked;
    httplib::Client client(cli.url());
    if (const auto got = client.Get("/v1/rollouts/r-1")) answer.set_content(got->body, "application/json");
  });
  const int port = front.bind_to_any_port("127.0.0.1");
  std::thread thread([&] { front.listen_after_bind(); });
  const std::string out = (cli.work() / "watch.out").string(), err = (cli.work() / "watch.err").string();
  Program watcher(
      {ST8_BIN_DIR "/st8ctl", "--server", "http://127.0.0.1:" + std::to_string(port), "rollout", "watch", "1"},
      with_environment({{"HOME", cli.home().string()}}), out, err);
  EXPECT_TRUE(eventually([&] { return asked.load() >= 3; }));
  cli.ok({"rollout", "promote"});
  EXPECT_TRUE(eventually([&] { return !watcher.running(); })) << read_file(out) << read_file(err);
  EXPECT_EQ(watcher.end(SIGKILL), 0) << read_file(err);
  EXPECT_EQ(refused.load(), 1);
  EXPECT_THAT(read_file(out), HasSubstr(" ended outcome=promoted\n"));
  front.stop();
  thread.join();
}

TEST_F(Rollouts, WhatIsWrongIsRefusedAndChangesNothing) {
  add_targets({"web-1"});
  begin("strategy: {type: canary, steps: [{setWeight: 100}, {pause: {}}]}\n");
  ASSERT_TRUE(waits_for("r-1", "promote"));
  const std::string operations = cli.ok({"operations", "-o", "json"});
  const std::string rollout = cli.ok({"rollout", "get", "r-1", "-o", "json"});
  struct Case {
    std::vector<std::string> words;
    int code;
    std::string says;
  };
  const std::vector<Case> cases{
      {{"rollout", "pasue"}, 2, "did you mean \"pause\""},
      {{"rollout", "get", "r-77"}, 5, "there is no rollout r-77"},
      {{"rollout", "get", "77"}, 5, "there is no rollout r-77"},
      {{"rollout", "get", "r-"}, 2, "r-"},
      {{"rollout", "get", "../../v1/live"}, 2, "rollout"},
      {{"rollout", "get", ""}, 2, "error: \"\" is no rollout\nhint: they are called r-1, r-2 and so on"},
      {{"rollout", "get", "99999999999999999999"}, 2, "rollout"},
      {{"rollout", "watch", "r-77"}, 5, "there is no rollout r-77"},
      {{"rollout", "watch", "--deadline", "soon"}, 2, "--deadline"},
      {{"rollout", "watch", "--branch", "side"}, 5, "there are no rollouts of default/side"},
      {{"rollout", "list", "--limit", "some"}, 2, "--limit"},
      {{"rollout", "resume"}, 6, "the rollout is running and cannot be resumed"},
      {{"rollout", "resume", "--dry-run"}, 6, "rollout r-1 is running: resume cannot be asked of it now"},
      {{"rollout", "retry"}, 6, "the rollout is running and cannot be retried"},
      {{"rollout", "approve", "r-1"}, 6, "rollout r-1 is running: approve cannot be asked of it now"},
      {{"rollout", "reject", "r-1"}, 6, "hint: abort it instead"},
      {{"rollout", "abort", "r-2"}, 5, "there is no rollout r-2"},
      {{"rollout", "pause", "-n", "elsewhere"}, 5, "no rollout of elsewhere/main is under way"},
      {{"rollout", "promote", "r-1", "r-2"}, 2, "r-2"},
      {{"plan", "77"}, 5, "77"},
      {{"plan", "--at", "~~"}, 2, "~~"},
      {{"plan", "--branch", "side"}, 5, "side"},
      {{"live", "--at", "yesterday-ish"}, 2, "yesterday-ish"},
      {{"live", "--at", "main~1"}, 2, "is not a time"},
      {{"drift", "--target"}, 2, "--target"},
      {{"reconcile", "web-9"}, 5, "nothing is live on target web-9"},
      {{"reconcile", "../x"}, 2, "../x"},
      {{"unfreeze"}, 5, "default"},
      {{"freeze", "-n", "no//name"}, 2, "no//name"},
      {{"freeze", "-m", std::string(100'000, 'x')}, 8, "reason"},
      {{"quarantine", "release"}, 2, "key"},
      {{"quarantine", "release", "app/a"}, 5, "app/a"},
      {{"quarantine", "release", "app/a", "--dry-run"}, 5, "app/a"},
      {{"target", "show", "web-9"}, 5, "did you mean `web-1`?"},
      {{"target", "show", "a/b"}, 2, "a/b"},
      {{"target", "remove"}, 2, "name"},
      {{"target", "remove", "web-9"}, 5, "web-9"},
      {{"target", "check", "web-1", "web-9"}, 5, "there is no target web-9"},
      {{"target", "add", "we b", "--kind", "file", "--spec", "root=/x"}, 2, "we b"},
      {{"target", "add", "../w", "--kind", "file", "--spec", "root=/x"}, 2, "../w"},
      {{"target", "add", "web-3", "--kind", "file", "--spec", "root=relative"}, 9, "root"},
      {{"target", "add", "web-3", "--kind", "file", "--spec", "root=/x", "--criticality", "huge"}, 2, "huge"},
      {{"target", "add", "web-3", "--kind", "file", "--spec", "rot=/x"}, 9, "spec.ro"},
      {{"target", "add", "web-3", "-f", "missing.yaml"}, 5, "missing.yaml"},
      {{"apply", "-v", "x=1", "--wait", "--deadline", "soon"}, 2, "--deadline"},
  };
  for (const Case& one : cases) {
    std::string shown;
    for (const std::string& word : one.words) shown += " " + word.substr(0, 60);
    const RunResult got = cli.run(one.words);
    EXPECT_EQ(got.code, one.code) << shown << "\n" << got.out << got.err;
    EXPECT_EQ(got.out, "") << shown;
    EXPECT_THAT(got.err, AllOf(StartsWith("error: "), HasSubstr(one.says))) << shown;
    // As a document it is a problem, with the same code.
    std::vector<std::string> as_json = one.words;
    as_json.insert(as_json.end(), {"-o", "json"});
    const RunResult json = cli.run(as_json);
    EXPECT_EQ(json.code, one.code) << shown;
  }
  EXPECT_EQ(cli.ok({"operations", "-o", "json"}), operations);
  EXPECT_EQ(cli.ok({"rollout", "get", "r-1", "-o", "json"}), rollout);
  EXPECT_EQ(cli.ok({"freeze", "list"}), "");
}

TEST_F(Rollouts, EveryCommandSpeaksJsonAndYaml) {
  add_targets({"web-1"});
  begin("strategy: {type: canary, steps: [{setWeight: 100}, {pause: {}}]}\n");
  ASSERT_TRUE(waits_for("r-1", "promote"));
  const std::vector<std::vector<std::string>> commands{
      {"plan"},
      {"rollout"},
      {"rollout", "list"},
      {"rollout", "get"},
      {"rollout", "get", "1"},
      {"rollout", "explain"},
      {"rollout", "pause", "--dry-run"},
      {"rollout", "pause"},
      {"rollout", "resume", "--dry-run"},
      {"rollout", "resume"},
      {"rollout", "promote", "--dry-run"},
      {"rollout", "abort", "--dry-run"},
      {"rollout", "promote", "--full"},
      {"rollout", "watch"},
      {"live"},
      {"live", "--all"},
      {"live", "--at", "1s-ago"},
      {"drift"},
      {"drift", "--all"},
      {"reconcile", "web-1", "--dry-run"},
      {"reconcile", "web-1"},
      {"freeze", "--dry-run"},
      {"freeze"},
      {"freeze", "list"},
      {"unfreeze", "--dry-run"},
      {"unfreeze"},
      {"quarantine"},
      {"quarantine", "list", "--all"},
      {"target"},
      {"target", "list"},
      {"target", "show", "web-1"},
      {"target", "check"},
      {"target", "add", "web-2", "--kind", "file", "--spec", "root=/nowhere", "--dry-run"},
      {"target", "remove", "web-1", "--dry-run"},
      {"apply", "-v", "app/a=4", "--dry-run", "--wait"}};
  for (const std::vector<std::string>& words : commands) {
    // Where asking changes something it is asked once: of what is wanted both ways, --dry-run and reads stand for it.
    for (const std::string format : {"json", "yaml"}) {
      const bool once = words == std::vector<std::string>{"rollout", "pause"} ||
                        words == std::vector<std::string>{"rollout", "resume"} || words.back() == "--full" ||
                        words == std::vector<std::string>{"unfreeze"};
      if (once && format == "yaml") continue;
      std::vector<std::string> whole = words;
      whole.insert(whole.end(), {"-o", format});
      std::string shown;
      for (const std::string& word : whole) shown += " " + word;
      const RunResult got = cli.run(whole);
      EXPECT_EQ(got.code, 0) << shown << "\n" << got.err;
      EXPECT_EQ(got.err, "") << shown;
      if (format == "json") {
        EXPECT_TRUE(nlohmann::json::parse(got.out, nullptr, false).is_object()) << shown << "\n" << got.out;
      } else {
        EXPECT_THAT(got.out, HasSubstr(":")) << shown;
      }
    }
    if (words == std::vector<std::string>{"rollout", "resume"}) {
      EXPECT_TRUE(waits_for("r-1", "promote"));
    }
    if (words.back() == "--full") {
      EXPECT_TRUE(reaches("r-1", "promoted"));
    }
  }
}

TEST(RolloutsLocally, NothingGoesLiveAndNobodyWaitsForIt) {
  const Cli cli(Mode::kLocal);
  cli.ok({"apply", "-v", "a=1"});
  const RunResult waited = cli.run({"apply", "-v", "a=2", "--wait"});
  EXPECT_EQ(waited.code, 2);
  EXPECT_THAT(waited.err, HasSubstr("error: with --local nothing goes live: there is no rollout to wait for\n"));
  EXPECT_EQ(cli.ok({"get", "a"}), "1");
  const RunResult frozen = cli.run({"freeze"});
  EXPECT_EQ(frozen.code, 11) << frozen.err;
  EXPECT_THAT(
      frozen.err,
      HasSubstr(
          "rollouts are run by st8d, not by a store opened locally\nhint: start st8d over the state directory\n"));
}

TEST_F(Rollouts, LiveTellsNowAndThen) {
  add_targets({"web-1"});
  begin("");
  ASSERT_TRUE(reaches("r-1", "promoted"));
  const nlohmann::json first = nlohmann::json::parse(cli.ok({"live", "-o", "json"}))["live"][0];
  EXPECT_EQ(cli.run({"apply", "-v", "app/a=2\n", "--wait"}).code, 0);
  EXPECT_EQ(masked(cli.ok({"live"})),
            "web-1 namespace=default branch=main revision=2 state=promoted since=<time> hash=<hash>\n");
  const std::string then = masked(cli.ok({"live", "--at", first["since"].get<std::string>()}));
  EXPECT_THAT(then, StartsWith("web-1 namespace=default branch=main revision=1 "));
  EXPECT_EQ(cli.ok({"live", "--target", "web-1", "-o", "name"}), "web-1\n");
  EXPECT_EQ(cli.run({"live", "--at", "main"}).code, 2);
}

TEST_F(Rollouts, DriftIsSeenAndPutRight) {
  add_targets({"web-1"});
  begin("drift: {action: alert, interval: 100ms}\n");
  ASSERT_TRUE(reaches("r-1", "promoted"));
  ASSERT_TRUE(eventually([&] { return cli.ok({"drift"}).find("web-1 state=in-sync ") == 0; }));
  EXPECT_EQ(cli.run({"drift", "--exit-code"}).code, 0);
  write_file(root("web-1") / "current/app/a", "by hand\n");
  ASSERT_TRUE(eventually([&] { return cli.run({"drift", "--exit-code"}).code == 1; }));
  EXPECT_THAT(cli.ok({"drift"}), HasSubstr("web-1 state=altered since="));
  EXPECT_EQ(cli.ok({"drift", "-o", "name"}), "web-1\n");
  EXPECT_EQ(cli.run({"target", "check", "web-1"}).code, 9);
  EXPECT_EQ(cli.ok({"reconcile", "--dry-run"}), "Would look at web-1 and put right what differs.\n");
  EXPECT_EQ(masked(cli.ok({"reconcile", "--wait"})),
            "web-1 state=altered, being repaired\n"
            "<time> created revision=1\n"
            "<time> started\n"
            "<time> wave.started wave=1\n"
            "<time> op.succeeded target=web-1 operation=observe attempt=1 read_back=<hash>\n"
            "<time> wave.completed wave=1\n"
            "<time> ended outcome=promoted\n");
  EXPECT_EQ(read_file(root("web-1") / "current/app/a"), "good\n");
  EXPECT_EQ(cli.ok({"reconcile", "web-1", "--wait"}), "web-1 state=in-sync\n");
  ASSERT_TRUE(eventually([&] { return cli.run({"drift", "--exit-code"}).code == 0; }));
  const RunResult unknown = cli.run({"reconcile", "web-2"});
  EXPECT_EQ(unknown.code, 5);
  EXPECT_THAT(unknown.err, HasSubstr("hint: did you mean \"web-1\"?"));
}

TEST_F(Rollouts, TargetsAreAddedCheckedAndRemoved) {
  EXPECT_EQ(cli.ok({"target", "add", "web-1", "--kind", "file", "--spec", "root=" + root("web-1").string(), "-l",
                    "role=web", "-l", "zone=1", "--env", "prod", "--criticality", "high", "--dry-run"}),
            "Would add target web-1.\n");
  EXPECT_EQ(cli.ok({"target", "list"}), "");
  EXPECT_EQ(cli.ok({"target", "add", "web-1", "--kind", "file", "--spec", "root=" + root("web-1").string(), "-l",
                    "role=web", "-l", "zone=1", "--env", "prod", "--criticality", "high"}),
            "Added target web-1.\n");
  const RunResult twice = cli.run({"target", "add", "web-1", "--kind", "file", "--spec", "root=/elsewhere"});
  EXPECT_EQ(twice.code, 6);
  EXPECT_THAT(twice.err, HasSubstr("the target web-1 exists"));
  EXPECT_EQ(cli.ok({"target", "add", "web-1", "--replace", "--kind", "file", "--spec", "root=" + root("web-1").string(),
                    "-l", "role=db"}),
            "Added target web-1.\n");
  cli.file("two.yaml", "kind: file\nlabels: {role: web}\nspec: {root: " + root("web-2").string() + "}\n");
  EXPECT_EQ(cli.ok({"target", "add", "web-2", "-f", "two.yaml"}), "Added target web-2.\n");
  EXPECT_EQ(cli.ok({"target", "list"}), "web-1 kind=file criticality=medium\nweb-2 kind=file criticality=medium\n");
  EXPECT_EQ(cli.ok({"target", "list", "-l", "role=web", "-o", "name"}), "web-2\n");
  // Its driver is asked: the directory above web-1's root is not there yet.
  const RunResult asked = cli.run({"target", "check"});
  EXPECT_EQ(asked.code, 9);
  EXPECT_THAT(asked.out, StartsWith("web-1: bad, nothing is live there\n  "));
  EXPECT_THAT(asked.out, HasSubstr(root("web-1").string()));
  EXPECT_EQ(cli.run({"target", "check", "-o", "name"}).out, "web-1\nweb-2\n");
  EXPECT_EQ(cli.ok({"target", "check", "--last-seen"}),
            "web-1: good, nothing is live there\nweb-2: good, nothing is live there\n");
  std::filesystem::create_directories(root("web-1"));
  std::filesystem::create_directories(root("web-2"));
  EXPECT_EQ(cli.ok({"target", "check"}), "web-1: good, nothing is live there\nweb-2: good, nothing is live there\n");
  const nlohmann::json checked = nlohmann::json::parse(cli.ok({"target", "check", "web-2", "-o", "json"}));
  EXPECT_EQ(checked["targets"].size(), 1u);
  EXPECT_EQ(checked["targets"][0]["check"]["good"], true);
  // What the server's checks say reaches the person, and nothing is changed.
  EXPECT_EQ(cli.ok({"target", "show", "web-2"}),
            "name: web-2\nkind: file\nenv: \"\"\ncriticality: medium\nlabels:\n  role: web\nproblems: []\n"
            "--- # targets/web-2.yaml in st8/system\n"
            "kind: file\nlabels: {role: web}\nspec: {root: " +
                root("web-2").string() + "}\n");
  const RunResult driver = cli.run({"target", "add", "web-3", "--kind", "fille", "--spec", "root=/x"});
  EXPECT_EQ(driver.code, 9);
  EXPECT_THAT(driver.err, HasSubstr("did you mean `file`?"));
  EXPECT_EQ(cli.run({"target", "add", "web-3"}).code, 2);
  EXPECT_EQ(cli.run({"target", "add", "web-3", "--kind", "file", "--file", "two.yaml"}).code, 2);
  EXPECT_EQ(cli.run({"target", "add", "web-3", "--kind", "file", "--spec", "root"}).code, 2);
  const RunResult unknown = cli.run({"target", "show", "web-3"});
  EXPECT_EQ(unknown.code, 5);
  EXPECT_THAT(unknown.err, HasSubstr("did you mean"));
  EXPECT_EQ(cli.ok({"target", "remove", "web-1", "web-2", "--dry-run"}), "Would remove target web-1, web-2.\n");
  EXPECT_EQ(cli.ok({"target", "remove", "web-1", "web-2"}), "Removed target web-1, web-2.\n");
  EXPECT_EQ(cli.ok({"target", "list"}), "");
}

TEST_F(Rollouts, AWatchAtATerminalIsATreeAndLeavesNothingBehind) {
  add_targets({"web-1"});
  begin("strategy: {type: canary, steps: [{setWeight: 100}, {pause: {}}]}\n");
  ASSERT_TRUE(waits_for("r-1", "promote"));
  RunOptions leaving = at_terminal();
  leaving.prompt = "Ctrl-C leaves";
  leaving.input = "\x03";
  const RunResult left = cli.run({"rollout", "watch"}, leaving);
  EXPECT_EQ(left.signal, SIGINT);
  EXPECT_THAT(left.out, HasSubstr("gate: pause until promoted; st8ctl rollout promote r-1"));
  // The other screen was entered and left, and the cursor is back.
  EXPECT_THAT(left.out, StartsWith("\x1b[?1049h\x1b[?25l"));
  EXPECT_THAT(left.out, HasSubstr("\x1b[?25h\x1b[?1049l"));
  EXPECT_THAT(left.out.substr(left.out.rfind("\x1b[?1049")), StartsWith("\x1b[?1049l"));
  EXPECT_EQ(phase("r-1"), "running");
  cli.ok({"rollout", "promote"});
  const RunResult whole = cli.run({"rollout", "watch"}, at_terminal());
  EXPECT_EQ(whole.code, 0);
  // Behind the screen's end stands how it ended.
  EXPECT_THAT(whole.out.substr(whole.out.rfind("\x1b[?1049l")), AllOf(HasSubstr("promoted"), HasSubstr("web-1")));
}

TEST_F(Rollouts, CompletionKnowsRolloutsAndTargets) {
  add_targets({"web-1"});
  begin("");
  ASSERT_TRUE(reaches("r-1", "promoted"));
  EXPECT_EQ(cli.ok({"__complete", "--", "rollout", "get", ""}), "r-1\n");
  EXPECT_EQ(cli.ok({"__complete", "--", "target", "show", ""}), "web-1\n");
  EXPECT_EQ(cli.ok({"__complete", "--", "live", "--target", ""}), "web-1\n");
  EXPECT_THAT(cli.ok({"__complete", "--", "rollout", "promote", "--"}), HasSubstr("--full\n"));
}

// ---- The view by itself ----------------------------------------------------------------------------------------------

TEST(RolloutView, CutsLinesByColumnsNotBytes) {
  EXPECT_EQ(ctl::cut_to_width("abc", 3), "abc");
  EXPECT_EQ(ctl::cut_to_width("abcd", 3), "abc");
  EXPECT_EQ(ctl::cut_to_width("✔✔✔✔", 2), "✔✔");
  EXPECT_EQ(ctl::cut_to_width("\x1b[31mabcd\x1b[0m", 2), "\x1b[31mab\x1b[0m");
  EXPECT_EQ(ctl::cut_to_width("\x1b[31mab\x1b[0mcd", 3), "\x1b[31mab\x1b[0mc");
  EXPECT_EQ(ctl::cut_to_width("", 0), "");
}

TEST(RolloutView, NamesAnalysesAndQuotesWhatIsWaitedFor) {
  const auto rollout = ctl::parse_answer(
      R"({"id":"r-1","namespace":"shop","branch":"main","revision":7,"phase":"running","targets_activated":1,"targets_total":4,
    "created_at":"2026-11-21T10:00:00Z","waiting_for":"analysis \"errors\", 1 of 10 readings","wave":0,"targets":[{"name":"web-1","stage":"activated","failed":false}],
    "plan":{"strategy":"canary","waves":[{"label":"canary 25%","weight":25,"targets":["web-1"],"gates":[{"kind":"analysis","name":"errors","duration":"9s"}]}]},"events":[]})");
  ASSERT_TRUE(rollout);
  EXPECT_EQ(
      ctl::rollout_line(*rollout),
      R"(r-1 namespace=shop branch=main revision=7 phase=running targets=1/4 at=2026-11-21T10:00:00Z waits_for="analysis \"errors\", 1 of 10 readings")");
  const ctl::Lines tree = ctl::rollout_tree(*rollout, ctl::Output(STDOUT_FILENO, ctl::ColorChoice::kNever), 0);
  EXPECT_EQ(tree.back(), "    · gate: analysis errors, 9s");
}

TEST(RolloutView, DurationsAreShort) {
  EXPECT_EQ(ctl::short_duration(0), "0.0s");
  EXPECT_EQ(ctl::short_duration(1'460'000), "1.4s");
  EXPECT_EQ(ctl::short_duration(12'900'000), "12s");
  EXPECT_EQ(ctl::short_duration(185'000'000), "3m05s");
  EXPECT_EQ(ctl::short_duration(7'800'000'000), "2h10m");
  EXPECT_EQ(ctl::short_duration(90'000'000'000), "1d01h");
}

TEST(RolloutView, FitsTheWindowWhateverItsHeight) {
  nlohmann::json detail = {{"id", "r-1"},
                           {"phase", "running"},
                           {"wave", 1},
                           {"targets", nlohmann::json::array()},
                           {"events", nlohmann::json::array()}};
  nlohmann::json& waves = detail["plan"]["waves"] = nlohmann::json::array();
  for (int wave = 0; wave < 5; ++wave) {
    nlohmann::json names = nlohmann::json::array();
    for (int i = 0; i < 100; ++i) {
      const std::string name = "t-" + std::to_string(wave * 100 + i);
      names.push_back(name);
      detail["targets"].push_back(
          {{"name", name}, {"stage", wave == 0 ? "activated" : "pending"}, {"failed", wave == 1 && i == 7}});
    }
    waves.push_back({{"label", "batch"}, {"targets", names}, {"gates", {{{"kind", "delay"}, {"duration", "30s"}}}}});
  }
  detail["events"].push_back({{"sequence", 1}, {"kind", "wave.started"}, {"wave", 1}});
  detail["events"].push_back(
      {{"sequence", 2}, {"kind", "gate.started"}, {"wave", 1}, {"gate", 0}, {"at", "2026-11-21T10:00:00Z"}});
  const auto answer = ctl::parse_answer(detail.dump());
  ASSERT_TRUE(answer);
  const ctl::Output plain(STDOUT_FILENO, ctl::ColorChoice::kNever);
  EXPECT_GT(ctl::rollout_tree(*answer, plain, 0).size(), 500u);
  const std::int64_t at = 1795255200000000 + 10'000'000;  // 10 s behind the gate's begin.
  const ctl::Lines counted = ctl::rollout_tree(*answer, plain, at, 40);
  EXPECT_LE(counted.size(), 40u);
  std::string text;
  for (const std::string& line : counted) text += line + "\n";
  EXPECT_THAT(text,
              HasSubstr("wave 2 of 5  batch: 100 pending\n    ✖ t-107  pending\n    ▶ gate: delay 30s, 20s left\n"));
  // More is under way than there is room for: failures stay in sight, the rest is counted.
  for (std::size_t i = 100; i < 150; ++i) detail["targets"][i]["running"] = "stage";
  const auto busy = ctl::parse_answer(detail.dump());
  ASSERT_TRUE(busy);
  text.clear();
  for (const std::string& line : ctl::rollout_tree(*busy, plain, at, 15)) text += line + "\n";
  EXPECT_THAT(text, HasSubstr("wave 2 of 5  batch: 100 pending\n    ✖ t-107  pending\n    ▶ t-100  pending\n"));
  EXPECT_THAT(text, HasSubstr(" more\n    ▶ gate: delay 30s, 20s left\n  · wave 3 of 5  batch: 100 pending\n"));
  text.clear();
  for (const std::string& line : ctl::rollout_tree(*busy, plain, at, 8)) text += line + "\n";
  EXPECT_THAT(text, HasSubstr("  ✔ 1 wave before it\n"));
  EXPECT_THAT(text, EndsWith("    ▶ gate: delay 30s, 20s left\n  · 3 waves behind it\n"));
  for (std::size_t rows : {1u, 2u, 3u, 10u})
    EXPECT_LE(ctl::rollout_tree(*answer, plain, at, rows).size(), std::max<std::size_t>(rows, 2)) << rows;
}

}  // namespace
}  // namespace st8::test
