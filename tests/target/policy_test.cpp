// Policies and targets are read strictly: what is refused, with which line, path and suggestion.
#include "st8/target/policy.h"

#include <gmock/gmock.h>

namespace st8::target {
namespace {

std::vector<std::string> problems_of(std::string_view text) {
  std::vector<DocumentProblem> problems;
  const auto policy = parse_policy(text, problems);
  EXPECT_EQ(policy.has_value(), problems.empty());
  std::vector<std::string> texts;
  for (const DocumentProblem& problem : problems) texts.push_back(problem.str());
  return texts;
}

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

TEST(PolicyDocument, ReadsEveryField) {
  std::vector<DocumentProblem> problems;
  const auto policy = parse_policy(R"(
branches: [main, "release/*"]
targets:
  names: [web-1]
  labels: {role: web, zone: [a, b]}
documents:
  - {match: "app/**", to: conf/, mode: "0600", render: true}
strategy: {type: canary, maxParallel: 4, steps: [{setWeight: 10}, {pause: {}}, {setWeight: 50}, {pause: {duration: 10m}}]}
health:
  - {name: up, http: {url: "http://127.0.0.1:8080/", expectStatus: [200, 204], contains: ok}, interval: 100ms, successes: 2, when: [after, bake]}
  - {tcp: {host: localhost, port: 80}}
  - {command: {argv: [/bin/true], expectExit: 0}, when: [before]}
steps:
  - {name: hi, type: echo, params: {message: hello}, when: after}
  - {name: run, type: script, params: {command: /bin/sh, args: [-c, "true"]}, continueOnFailure: true, retry: {attempts: 1}}
bake: 30s
maxFailures: 2
progressDeadline: 5m
rollback: {auto: false, quarantine: false}
supersede: queue
windows: [{days: [mon, fri], from: "22:00", to: "04:00"}]
schedule: 2026-11-21T10:00:00Z
approval: {required: true, riskThreshold: 0.5, by: [ann]}
dependsOn: [{namespace: base/net}]
drift: {interval: 10s, action: repair}
)",
                                   problems);
  for (const auto& problem : problems) ADD_FAILURE() << problem.str();
  ASSERT_TRUE(policy);
  EXPECT_TRUE(policy->names_branch("release/1"));
  EXPECT_FALSE(policy->names_branch("release/1/2"));
  EXPECT_EQ(policy->targets.labels[1].second.size(), 2u);
  EXPECT_EQ(policy->documents[0].mode, 0600u);
  EXPECT_EQ(policy->strategy.steps.size(), 4u);
  EXPECT_FALSE(policy->strategy.steps[1].duration);
  EXPECT_EQ(policy->strategy.steps[3].duration, Millis{600'000});
  EXPECT_EQ(policy->health[1].name, "tcp-2");
  EXPECT_TRUE(policy->health[2].before);
  EXPECT_FALSE(policy->health[2].after);
  EXPECT_FALSE(policy->steps[1].idempotent);
  EXPECT_TRUE(policy->steps[0].idempotent);
  EXPECT_FALSE(policy->rollback_auto);
  EXPECT_EQ(policy->drift, DriftAction::kRepair);
}

TEST(PolicyDocument, RefusesWithLinePathAndSuggestion) {
  EXPECT_THAT(problems_of("branches: [main]\ntargets: {names: [a]}\nstrategy:\n  tpye: rolling\n"),
              Contains(".st8/rollout.yaml:4: strategy.tpye: unknown field (did you mean `type`?)"));
  EXPECT_THAT(problems_of("branches: [main]\ntargets: {names: [a]}\nbake: 30\n"),
              ElementsAre(".st8/rollout.yaml:3: bake: \"30\" is not a duration (did you mean `30s`?)"));
  EXPECT_THAT(problems_of("branches: [main]\ntargets: {names: [a]}\nstrategy: {type: roling}\n"),
              Contains(HasSubstr("did you mean `rolling`?")));
  EXPECT_THAT(problems_of("branches: [main]\n"), Contains(HasSubstr("targets: is missing")));
  EXPECT_THAT(problems_of("branches: [main]\ntargets: {}\n"), Contains(HasSubstr("chooses no target")));
  EXPECT_THAT(problems_of("branches: main\ntargets: {names: [a]}\n"), Contains(HasSubstr("branches: must be a list")));
  EXPECT_THAT(problems_of("branches: [main]\nbranches: [x]\ntargets: {names: [a]}\n"),
              Contains(HasSubstr("the field stands twice")));
  EXPECT_THAT(problems_of("branches: [main]\ntargets: {names: [a]}\nmaxFailures: -1\n"),
              Contains(HasSubstr("must be from 0")));
  EXPECT_THAT(problems_of("branches: [main]\ntargets: {names: [a]}\nmaxFailures: [1]\n"),
              Contains(HasSubstr("must be a whole number")));
  EXPECT_THAT(problems_of("branches: [main]\ntargets: {names: [a]}\nstrategy: {type: parallel, batchSize: 2}\n"),
              Contains(HasSubstr("has no meaning for the strategy parallel")));
  EXPECT_THAT(problems_of("branches: [main]\ntargets: {names: [a]}\nstrategy: {type: canary}\n"),
              Contains(HasSubstr("a canary needs steps")));
  EXPECT_THAT(problems_of("branches: [main]\ntargets: {names: [a]}\nstrategy: {type: canary, steps: [{setWeight: 50}, "
                          "{setWeight: 10}]}\n"),
              Contains(HasSubstr("less than the weight before")));
  EXPECT_THAT(problems_of("branches: [main]\ntargets: {names: [a]}\ndocuments: [{match: \"*\", to: ../etc/}]\n"),
              Contains(HasSubstr("has a component \"..\"")));
  EXPECT_THAT(problems_of("branches: [main]\ntargets: {names: [a]}\ndocuments: [{match: \"*\", to: /etc/}]\n"),
              Contains(HasSubstr("is absolute")));
  EXPECT_THAT(problems_of("branches: [main]\ntargets: {names: [a]}\ndocuments: [{match: \"*\", to: one}]\n"),
              Contains(HasSubstr("is one file")));
  EXPECT_THAT(
      problems_of("branches: [main]\ntargets: {names: [a]}\nsteps: [{name: x, type: script, params: {comand: y}}]\n"),
      Contains(HasSubstr("did you mean `command`?")));
  EXPECT_THAT(problems_of("branches: [main]\ntargets: {names: [a, a]}\n"), Contains(HasSubstr("named twice")));
}

TEST(PolicyDocument, NoBytesMakeItThrowOrHang) {
  EXPECT_THAT(problems_of(""), Contains(HasSubstr("not a map")));
  EXPECT_THAT(problems_of("["), Contains(HasSubstr("not YAML")));
  EXPECT_THAT(problems_of("a: b\n---\nc: d\n"), Contains(HasSubstr("more than one")));
  // On a comma where none may be, the YAML parser gives empty documents without end.
  for (const char* endless : {",", ", a: 1\n", "branches: [main]\n---\n,\n"})
    EXPECT_FALSE(problems_of(endless).empty()) << endless;
  EXPECT_FALSE(problems_of(std::string(300'000, 'a')).empty());
  EXPECT_FALSE(problems_of(std::string("a\0b", 3)).empty());
  EXPECT_FALSE(problems_of(std::string(20'000, '[')).empty());
  EXPECT_FALSE(problems_of("&a [*a, *a]: x").empty());
  EXPECT_FALSE(problems_of("\xff\xfe\x00zz").empty());
}

TEST(PolicyDocument, AnAnalysisIsAStepOfACanary) {
  const std::string head =
      "branches: [main]\ntargets: {names: [a]}\nstrategy: {type: canary, steps: [{setWeight: 10}, ";
  std::vector<DocumentProblem> problems;
  const auto policy = parse_policy(head +
                                       "{analysis: {name: errors, http: {url: 'http://127.0.0.1:9/rate', contains: "
                                       "ok}, interval: 5s, initialDelay: 1m, count: 12, failureLimit: 2}}, "
                                       "{analysis: {command: {argv: [/bin/true]}}}]}\n",
                                   problems);
  ASSERT_TRUE(policy) << problems.front().str();
  ASSERT_EQ(policy->strategy.analyses.size(), 2u);
  const Analysis& first = policy->strategy.analyses[0];
  EXPECT_EQ(first.reading.name, "errors");
  EXPECT_EQ(first.reading.interval, Millis{5'000});
  EXPECT_EQ(first.initial_delay, Millis{60'000});
  EXPECT_EQ(first.count, 12u);
  EXPECT_EQ(first.failure_limit, 2u);
  EXPECT_EQ(policy->strategy.analyses[1].reading.name, "analysis-2");
  EXPECT_EQ(policy->strategy.steps[2].kind, CanaryStep::Kind::kAnalysis);
  EXPECT_EQ(policy->strategy.steps[2].analysis, 1u);

  const auto refused = [&](const std::string& step) { return problems_of(head + step + "]}\n"); };
  EXPECT_THAT(refused("{analysis: {}}"), Contains(HasSubstr("an analysis is one of http, tcp and command")));
  EXPECT_THAT(refused("{analysis: {tcp: {host: a, port: 1}, command: {argv: [x]}}}"),
              Contains(HasSubstr("one of http, tcp and command")));
  EXPECT_THAT(refused("{analysis: {command: {argv: [x]}, count: 3, failureLimit: 3}}"),
              Contains(HasSubstr("would bear 3 failed readings of 3")));
  EXPECT_THAT(refused("{analysis: {command: {argv: [x]}, count: 0}}"), Contains(HasSubstr("count")));
  EXPECT_THAT(refused("{analysis: {command: {argv: [x]}, successes: 3}}"), Contains(HasSubstr("unknown field")));
  EXPECT_THAT(refused("{analysis: {http: {url: 'http://{{ target.labels.host }}/'}}}"),
              Contains(HasSubstr("of no target")));
  EXPECT_THAT(refused("{analysis: {name: x, command: {argv: [x]}}}, {analysis: {name: x, command: {argv: [y]}}}"),
              Contains(HasSubstr("is taken by another analysis")));
  EXPECT_THAT(refused("{analysis: {command: {argv: [x]}}, setWeight: 20}"),
              Contains(HasSubstr("one of setWeight, pause and analysis")));
}

TEST(PolicyDocument, NamesTheNearestTarget) {
  const std::string text = "branches: [main]\ntargets:\n  names:\n    - web-1\n    - wbe-2\n";
  std::vector<DocumentProblem> problems;
  const auto policy = parse_policy(text, problems);
  ASSERT_TRUE(policy);
  const std::vector<TargetName> known = {*TargetName::parse("web-1"), *TargetName::parse("web-2")};
  check_policy_targets(*policy, text, known, problems);
  ASSERT_EQ(problems.size(), 1u);
  EXPECT_EQ(
      problems[0].str(),
      ".st8/rollout.yaml:5: targets.names[1]: there is no target \"wbe-2\" in st8/system (did you mean `web-2`?)");
}

TEST(TargetDocument, ReadsAndRefuses) {
  const TargetName name = *TargetName::parse("web-1");
  std::vector<DocumentProblem> problems;
  const auto target = parse_target(
      name, "kind: file\nlabels: {zone: b, role: web}\ncriticality: high\nenv: prod\nspec: {root: /srv/app}\n",
      problems);
  ASSERT_TRUE(target) << (problems.empty() ? "" : problems[0].str());
  EXPECT_EQ(target->label("role"), "web");
  EXPECT_EQ(target->criticality, Criticality::kHigh);
  const auto refused = [&](std::string_view text) {
    problems.clear();
    EXPECT_FALSE(parse_target(name, text, problems));
    return problems.empty() ? std::string() : problems.front().str();
  };
  EXPECT_EQ(refused("kind: file\nspec: {root: /srv, kep: 3}\n"),
            "targets/web-1.yaml:2: spec.kep: unknown field (did you mean `keep`?)");
  EXPECT_THAT(refused("kind: flie\nspec: {}\n"), HasSubstr("did you mean `file`?"));
  EXPECT_THAT(refused("kind: file\nspec: {root: srv}\n"), HasSubstr("spec.root: must be an absolute path"));
  EXPECT_THAT(refused("kind: file\nspec: {root: /srv/../etc}\n"), HasSubstr("plain path"));
  EXPECT_THAT(refused("kind: file\n"), HasSubstr("spec: is missing"));
  EXPECT_THAT(refused("kind: file\nlables: {}\nspec: {root: /x}\n"), HasSubstr("did you mean `labels`?"));
}

TEST(Glob, MatchesByTheirSegments) {
  EXPECT_TRUE(glob_match("*", "a"));
  EXPECT_FALSE(glob_match("*", "a/b"));
  EXPECT_TRUE(glob_match("**", "a/b"));
  EXPECT_TRUE(glob_match("app/**", "app/x/y.json"));
  EXPECT_FALSE(glob_match("app/**", "application"));
  EXPECT_TRUE(glob_match("**/x.json", "x.json"));
  EXPECT_TRUE(glob_match("**/x.json", "a/b/x.json"));
  EXPECT_FALSE(glob_match("**/x.json", "a/bx.json"));
  EXPECT_TRUE(glob_match("a/**/b", "a/b"));
  EXPECT_TRUE(glob_match("a/**/b", "a/x/y/b"));
  EXPECT_TRUE(glob_match("*.ya?l", "x.yaml"));
  EXPECT_FALSE(glob_match("?", "/"));
  // A pattern that makes backtracking matchers run for years.
  EXPECT_FALSE(glob_match(std::string(60, '*') + "b", std::string(500, 'a')));
}

TEST(Duration, ReadsAndWrites) {
  EXPECT_EQ(parse_duration("1h30m"), Millis{5'400'000});
  EXPECT_EQ(parse_duration("500ms"), Millis{500});
  EXPECT_EQ(parse_duration("0"), Millis{0});
  for (const auto* bad : {"", "5", "-1s", "1x", "s", "99999999999999999999s", "400d", "1s "})
    EXPECT_FALSE(parse_duration(bad)) << bad;
  EXPECT_EQ(format_duration(Millis{5'400'500}), "1h30m500ms");
}

TEST(Window, CrossesMidnight) {
  Window window{0b0000001, 22 * 60, 4 * 60};  // From Monday 22:00 to Tuesday 04:00.
  const auto at = [](std::string_view text) { return *parse_rfc3339(text); };
  EXPECT_FALSE(window.contains(at("2026-11-23T21:59:59Z")));  // A Monday.
  EXPECT_TRUE(window.contains(at("2026-11-23T22:00:00Z")));
  EXPECT_TRUE(window.contains(at("2026-11-24T03:59:59Z")));
  EXPECT_FALSE(window.contains(at("2026-11-24T04:00:00Z")));
  EXPECT_FALSE(window.contains(at("2026-11-24T22:00:00Z")));
}

}  // namespace
}  // namespace st8::target
