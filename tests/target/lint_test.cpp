// What lint_policy says, rule by rule, with its line; and that it says nothing of what it was not told.
#include "st8/target/lint.h"

#include <gmock/gmock.h>

namespace st8::target {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::StartsWith;

Target target(const std::string& name, std::vector<std::pair<std::string, std::string>> labels) {
  return {*TargetName::parse(name), "file", std::move(labels), Criticality::kMedium, "", ""};
}

LintFacts facts() {
  LintFacts facts;
  facts.targets =
      std::vector<Target>{target("web-1", {{"role", "web"}, {"zone", "a"}}),
                          target("web-2", {{"role", "web"}, {"zone", "b"}}), target("db-1", {{"role", "db"}})};
  facts.branches = std::vector<std::string>{"main", "release/1"};
  facts.keys = std::vector<std::string>{"app/a.json", "app/b.json", "docs/readme"};
  facts.branch_exists = [](const Dependency& dependency) { return dependency.name_space == "base/net"; };
  facts.name_space = "shop";
  facts.branch = "main";
  facts.now = *parse_rfc3339("2026-11-21T10:00:00Z");
  return facts;
}

// "warning no-label 2: targets.labels.role: no target has ..."
std::vector<std::string> said(std::string_view text, const LintFacts& given = facts()) {
  std::vector<std::string> lines;
  for (const Finding& finding : lint_policy(text, given)) {
    lines.push_back(std::string(severity_name(finding.severity)) + " " + finding.rule + " " +
                    std::to_string(finding.problem.line) + ": " + finding.problem.path + ": " +
                    finding.problem.message +
                    (finding.problem.suggestion.empty() ? "" : " (" + finding.problem.suggestion + ")"));
  }
  return lines;
}

// A policy that there is nothing to say about, with some of it changed.
std::string policy(const std::string& more = "", const std::string& targets = "labels: {role: web}",
                   const std::string& strategy = "{type: rolling, batchSize: 1}") {
  return "branches: [main]\ntargets:\n  " + targets + "\nstrategy: " + strategy +
         "\nhealth:\n  - tcp: {host: localhost, port: 80}\n" + more;
}

TEST(PolicyLint, HasNothingToSayOfAGoodPolicy) {
  EXPECT_THAT(said(policy()), IsEmpty());
  EXPECT_THAT(
      said(policy("bake: 1m\ndependsOn: [{namespace: base/net}]\ndocuments: [{match: \"app/**\", to: conf/}]\n")),
      IsEmpty());
}

TEST(PolicyLint, TellsEveryProblemOfTheReader) {
  EXPECT_THAT(said("branches: [main]\ntargets: {names: [web-1]}\nstrategy:\n  tpye: rolling\nbake: 30\n"),
              ElementsAre("error syntax 4: strategy.type: is missing",
                          "error syntax 4: strategy.tpye: unknown field (did you mean `type`?)",
                          "error syntax 5: bake: \"30\" is not a duration (did you mean `30s`?)"));
  EXPECT_THAT(said("["), ElementsAre(StartsWith("error syntax 1: : not YAML")));
}

TEST(PolicyLint, KnowsTheTargets) {
  EXPECT_THAT(
      said(policy("", "names: [web-1, wbe-2]")),
      ElementsAre(
          "error no-target 3: targets.names[1]: there is no target \"wbe-2\" in st8/system (did you mean `web-2`?)"));
  EXPECT_THAT(
      said(policy("", "labels: {roel: web}")),
      ElementsAre("warning no-label 3: targets.labels.roel: no target has the label roel (did you mean `role`?)",
                  "warning no-target 3: targets: chooses no target that exists (add targets to st8/system, or change "
                  "the labels)"));
  EXPECT_THAT(said(policy("", "labels: {role: [web, dbb]}")),
              ElementsAre("warning no-label 3: targets.labels.role: no target has role=dbb (did you mean `db`?)"));
  EXPECT_THAT(said(policy("", "labels: {zone: [a, north, b]}")),
              ElementsAre("warning no-label 3: targets.labels.zone: no target has zone=north (there are a, b)"));
  EXPECT_THAT(said(policy("maxFailures: 2\n")),
              ElementsAre("warning failures-endless 7: maxFailures: as many failures as there are targets (2) end no "
                          "rollout (a smaller number stops a bad revision)"));
}

TEST(PolicyLint, KnowsTheBranches) {
  EXPECT_THAT(said("branches: [main, mian2, \"release/*\"]\ntargets: {names: [web-1]}\n"),
              ElementsAre("warning no-branch 1: branches[1]: no branch is called so now (did you mean `main`?)"));
  EXPECT_THAT(said("branches: [\"release/*\"]\ntargets: {names: [web-1]}\n"),
              ElementsAre("warning other-branch 1: branches: branch main is not named: what is applied there goes live "
                          "nowhere (add it, or apply the policy to a branch that is named)"));
}

TEST(PolicyLint, KnowsTheDocuments) {
  EXPECT_THAT(
      said(policy("documents:\n  - {match: \"app/*.json\"}\n  - {match: \"app/a.json\"}\n  - {match: \"apps/**\"}\n")),
      ElementsAre("warning never-decides 9: documents[1]: the rules before it decide for every document that it "
                  "matches (put it before them: the first rule that matches a key decides)",
                  "warning no-document 10: documents[2]: no document's key matches apps/** (`*` stays within a "
                  "segment, `**` crosses '/')"));
  EXPECT_THAT(said(policy("documents:\n  - {match: app/a.json, to: x}\n  - {match: app/b.json, to: x}\n")),
              ElementsAre("error placement 8: documents: documents \"app/a.json\" and \"app/b.json\" both land at "
                          "\"x\" (change `documents` in .st8/rollout.yaml)"));
  EXPECT_THAT(said(policy("documents:\n  - {match: \"apps/**\"}\n")),
              Contains("warning nothing-lands 8: documents: no document of the revision lands on a target"));
}

TEST(PolicyLint, KnowsWhatConfirmWaitsFor) {
  const std::string begin = "branches: [main]\ntargets: {names: [web-1]}\n";
  EXPECT_THAT(said(begin + "confirm: 1m\n"),
              ElementsAre(StartsWith("warning confirm-nobody 3: confirm: no target is one of a worker")));
  EXPECT_THAT(said(begin + "confirm: 1m\nbake: 1m\n"),
              Contains("warning confirm-first 3: confirm: is over before the rollout can be: bake and pauses alone "
                       "take 1m (make it longer than all that the rollout takes)"));
  EXPECT_THAT(said(begin + "confirm: 3m\nbake: 1m\nstrategy: {type: canary, steps: [{pause: {duration: 1h}}, "
                           "{setWeight: 50}, {pause: {duration: 1m}}, {setWeight: 100}]}\n"),
              testing::Not(Contains(testing::HasSubstr("confirm-first"))))
      << "a pause before the first target keeps nobody waiting";
  EXPECT_THAT(
      said(begin + "confirm: 3m\nstrategy: {type: canary, steps: [{setWeight: 50}, {pause: {}}, {setWeight: 100}]}\n"),
      Contains(StartsWith("warning confirm-first 3: confirm: does not wait for the person")));
}

TEST(PolicyLint, LooksForGatesBetweenWaves) {
  EXPECT_THAT(said(policy("", "labels: {role: web}", "{type: parallel}")),
              ElementsAre("warning all-at-once 4: strategy: a bad revision reaches all 2 targets at once (rolling or "
                          "canary reaches a few first: strategy: {type: rolling, batchSize: 10%})"));
  EXPECT_THAT(said("branches: [main]\ntargets: {names: [web-1, web-2]}\n"),
              Contains(StartsWith("warning all-at-once 0: strategy: ")));
  EXPECT_THAT(said("branches: [main]\ntargets: {names: [web-1]}\n"), IsEmpty()) << "one target is one target";
  EXPECT_THAT(said(policy("", "labels: {role: web}", "{type: rolling, batchSize: 100%}")),
              ElementsAre(StartsWith("warning all-at-once 4: strategy.batchSize: one batch holds all 2 targets")));
  EXPECT_THAT(said("branches: [main]\ntargets: {labels: {role: web}}\nstrategy: {type: sequential}\n"),
              ElementsAre(StartsWith("warning no-health 0: health: without a health check")));
  EXPECT_THAT(said("branches: [main]\ntargets: {labels: {role: web}}\nstrategy: {type: sequential}\nsteps: [{name: "
                   "probe, type: script, when: after, idempotent: true, params: {command: x, rollback: \"true\"}}]\n"),
              IsEmpty())
      << "a required step after the activation is a gate";
  EXPECT_THAT(said("branches: [main]\ntargets: {labels: {role: web}}\nstrategy: {type: canary, steps: [{setWeight: "
                   "10}, {setWeight: 20}, {setWeight: 100}]}\n"),
              ElementsAre("warning empty-step 3: strategy.steps[1]: of 2 targets, 20% adds none to those before",
                          StartsWith("warning no-gate 3: strategy: nothing stands between"),
                          StartsWith("warning no-health 0:")));
  EXPECT_THAT(
      said(policy("", "labels: {role: web}", "{type: canary, steps: [{setWeight: 90}]}")),
      ElementsAre(StartsWith("warning all-at-once 4: strategy.steps[0]: of 2 targets, the first step takes all")));
}

TEST(PolicyLint, LooksAtHealthAndSteps) {
  const std::string begin = "branches: [main]\ntargets: {names: [web-1]}\n";
  EXPECT_THAT(said(begin + "bake: 1m\n"),
              ElementsAre(StartsWith("warning bake-blind 3: bake: no health check is watched")));
  EXPECT_THAT(said(begin + "health:\n  - {tcp: {host: x, port: 1}, when: []}\n"),
              ElementsAre(StartsWith("warning never-asked 4: health[0]: its `when` is empty")));
  EXPECT_THAT(said(begin + "health:\n  - {tcp: {host: x, port: 1}, successes: 11, interval: 1s, deadline: 10s}\n"),
              ElementsAre("warning cannot-pass 4: health[0]: 11 probes 1s apart do not fit into its deadline of 10s (a "
                          "longer deadline, a shorter interval, or fewer successes)"));
  EXPECT_THAT(said(begin + "health:\n  - {http: {url: \"http://x/\", expectStatus: []}}\n"),
              ElementsAre(StartsWith("warning cannot-pass 4: health[0]: no status is good")));
  EXPECT_THAT(said(begin + "health:\n  - {tcp: {host: x, port: 1}, deadline: 10m}\n"),
              ElementsAre(StartsWith(
                  "warning deadline-first 0: progressDeadline: ends the rollout before the check tcp-1 may (10m)")));
  EXPECT_THAT(said(begin + "steps:\n  - {name: a, type: script, params: {command: x}}\n"),
              ElementsAre(StartsWith("warning no-rollback 4: steps[0]: step a is not taken back"),
                          StartsWith("warning retry-twice 4: steps[0]: step a is tried up to 3 times")));
  EXPECT_THAT(said(begin + "steps:\n  - {name: a, type: http, idempotent: true, params: {url: \"http://x/\"}}\n"),
              ElementsAre(StartsWith("warning no-rollback 4: steps[0]: step a is not taken back")));
  EXPECT_THAT(
      said(
          begin +
          "rollback: {auto: false}\nsteps:\n  - {name: a, type: script, retry: {attempts: 1}, params: {command: x}}\n"),
      ElementsAre(StartsWith("warning no-rollback 3: rollback.auto: a failed rollout leaves")));
}

TEST(PolicyLint, LooksAtWhatARolloutWaitsFor) {
  EXPECT_THAT(said(policy("schedule: 2026-11-21T10:00:00Z\n")),
              ElementsAre(StartsWith("warning schedule-past 7: schedule: is in the past")));
  EXPECT_THAT(said(policy("schedule: 2026-11-21T10:00:01Z\n")), IsEmpty());
  EXPECT_THAT(said(policy("approval: {by: [ann]}\n")),
              ElementsAre(StartsWith("warning approval-unasked 7: approval: names who may approve, and never asks")));
  EXPECT_THAT(said(policy("dependsOn: [{namespace: shop}]\n")),
              ElementsAre("error waits-for-itself 7: dependsOn[0]: the namespace waits for itself, and would wait for "
                          "ever (name another namespace)"));
  EXPECT_THAT(said(policy("dependsOn: [{namespace: none}]\n")),
              ElementsAre("warning no-dependency 7: dependsOn[0]: there is no branch main in none: the rollout waits "
                          "until it is promoted"));
  EXPECT_THAT(said(policy("windows: [{days: []}]\n")),
              ElementsAre("warning never-open 7: windows[0]: opens on no day (leave `days` away for every day)"));
}

TEST(PolicyLint, SaysNothingOfWhatItWasNotTold) {
  const std::string text = policy(
      "documents: [{match: \"none/**\"}]\ndependsOn: [{namespace: none}]\nmaxFailures: 99\nschedule: "
      "2020-01-01T00:00:00Z\n",
      "names: [none]", "{type: canary, steps: [{setWeight: 100}, {pause: {}}]}");
  EXPECT_THAT(said(text, LintFacts{}), IsEmpty());
  EXPECT_THAT(said(text), Not(IsEmpty()));
}

}  // namespace
}  // namespace st8::target
