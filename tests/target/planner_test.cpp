// Plans are data: each test gives the planner its facts and compares what comes out. No store, no target.
#include "st8/target/planner.h"

#include <chrono>
#include <gmock/gmock.h>

namespace st8::target {
namespace {

Target make_target(const std::string& name, const std::string& role = "web",
                   Criticality criticality = Criticality::kMedium) {
  return Target{*TargetName::parse(name),
                "file",
                {{"role", role}, {"zone", "z-" + name}},
                criticality,
                "prod",
                "kind: file\nspec: {root: /srv/" + name + "}\n"};
}

PlannerInput input_for(const std::string& policy, std::size_t targets) {
  PlannerInput input{*state::NamespaceName::parse("shop"),
                     *state::BranchName::parse("main"),
                     {7},
                     Hash::of("r7"),
                     "ann",
                     false,
                     {},
                     {},
                     policy,
                     {},
                     {},
                     {},
                     {},
                     {},
                     0,
                     0,
                     {}};
  std::vector<DocumentProblem> problems;
  auto parsed = parse_policy(policy, problems);
  EXPECT_TRUE(parsed) << (problems.empty() ? "" : problems[0].str());
  if (parsed) input.policy = *parsed;
  input.documents = {{".st8/rollout.yaml", Hash::of("p"), 1},
                     {"app/a.json", Hash::of("a"), 1},
                     {"app/sub/b.json", Hash::of("b"), 1},
                     {"other/c", Hash::of("c"), 1}};
  for (std::size_t i = 0; i < targets; ++i) {
    std::string number = std::to_string(i);
    number.insert(0, 5 - number.size(), '0');
    input.targets.push_back({make_target("t" + number), std::nullopt, {}, "", ""});
  }
  return input;
}

std::vector<std::pair<std::string, std::size_t>> waves_of(const Plan& plan) {
  std::vector<std::pair<std::string, std::size_t>> waves;
  for (const Wave& wave : plan.waves) waves.emplace_back(wave.label, wave.targets.size());
  return waves;
}

const std::string kAll = "branches: [main]\ntargets: {labels: {role: web}}\n";
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;

TEST(Planner, ACheckFromTheTargetNeedsSomebodyThere) {
  const std::string policy = kAll + "health: [{name: here, from: target, tcp: {host: 127.0.0.1, port: 80}}]\n";
  auto input = input_for(policy, 2);
  EXPECT_TRUE(input.policy.health[0].from_target);
  for (const char* kind : {"worker", "file"}) {
    input.targets[1].target.kind = kind;
    EXPECT_TRUE(make_plan(input)) << kind;
  }
  input.targets[1].target.kind = "ssh";
  const auto refused = make_plan(input);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kUnprocessable);
  EXPECT_THAT(refused.error().message,
              HasSubstr("health check \"here\" is asked from its target, and target t00001 is of kind ssh"));
  // Where the policy does not choose it, it is in nobody's way.
  input.targets[1].target.labels.clear();
  EXPECT_TRUE(make_plan(input));
}

TEST(Planner, LaysDocumentsWhereThePolicySays) {
  auto input = input_for(kAll +
                             "documents:\n  - {match: \"app/*.json\", to: conf/}\n  - {match: \"app/**\", to: deep/}\n "
                             " - {match: other/c, to: c.txt, mode: \"0600\"}\n",
                         1);
  const auto plan = make_plan(input);
  ASSERT_TRUE(plan) << plan.error().message;
  std::vector<std::string> paths;
  for (const auto& file : plan->contents[0].files) paths.push_back(file.entry.path);
  EXPECT_THAT(paths, ElementsAre("c.txt", "conf/a.json", "deep/sub/b.json"));
  EXPECT_EQ(plan->contents[0].files[0].entry.mode, 0600u);
}

TEST(Planner, WithoutRulesEveryDocumentButItsOwnLandsAtItsKey) {
  const auto plan = make_plan(input_for(kAll, 1));
  ASSERT_TRUE(plan);
  ASSERT_EQ(plan->contents[0].files.size(), 3u);
  EXPECT_EQ(plan->contents[0].files[0].entry.path, "app/a.json");
}

TEST(Planner, RefusesTwoDocumentsOnOnePathAndAFileThatIsADirectory) {
  auto twice = make_plan(input_for(kAll + "documents: [{match: app/a.json, to: x}, {match: other/c, to: x}]\n", 1));
  ASSERT_FALSE(twice);
  EXPECT_THAT(twice.error().message, HasSubstr("both land at \"x\""));
  auto nested = make_plan(input_for(kAll + "documents: [{match: app/a.json, to: x}, {match: other/c, to: x/y}]\n", 1));
  ASSERT_FALSE(nested);
  EXPECT_THAT(nested.error().message, HasSubstr("both a file and the directory"));
}

TEST(Planner, MakesTheWavesOfEachStrategy) {
  const auto waves = [](const std::string& strategy, std::size_t targets = 10) {
    const auto plan = make_plan(input_for(kAll + strategy, targets));
    EXPECT_TRUE(plan);
    return waves_of(*plan);
  };
  EXPECT_THAT(waves(""), ElementsAre(Pair("all", 10)));
  EXPECT_THAT(waves("bake: 1s\n"), ElementsAre(Pair("all", 10), Pair("confirm", 10)));
  EXPECT_THAT(waves("strategy: {type: sequential}\n", 2),
              ElementsAre(Pair("batch 1 of 2", 1), Pair("batch 2 of 2", 1), Pair("confirm", 2)));
  EXPECT_THAT(
      waves("strategy: {type: rolling, batchSize: 4}\n"),
      ElementsAre(Pair("batch 1 of 3", 4), Pair("batch 2 of 3", 4), Pair("batch 3 of 3", 2), Pair("confirm", 10)));
  EXPECT_THAT(waves("strategy: {type: rolling, batchSize: 25%}\n"),
              ElementsAre(Pair("batch 1 of 4", 3), Pair("batch 2 of 4", 3), Pair("batch 3 of 4", 3),
                          Pair("batch 4 of 4", 1), Pair("confirm", 10)));
  EXPECT_THAT(waves("strategy: {type: canary, steps: [{setWeight: 10}, {pause: {}}, {setWeight: 50}, {pause: "
                    "{duration: 1m}}]}\n"),
              ElementsAre(Pair("canary 10%", 1), Pair("canary 50%", 4), Pair("the rest", 5), Pair("confirm", 10)));
  EXPECT_THAT(waves("strategy: {type: canary, steps: [{pause: {}}, {setWeight: 100}]}\n", 1),
              ElementsAre(Pair("before the canary", 0), Pair("canary 100%", 1), Pair("confirm", 1)));
  EXPECT_THAT(waves("strategy: {type: blue-green}\n", 3),
              ElementsAre(Pair("preview", 3), Pair("switch", 3), Pair("confirm", 3)));
}

TEST(Planner, ARollbackReachesAllTargetsAtOnce) {
  auto input = input_for(
      kAll + "strategy: {type: canary, steps: [{setWeight: 10}, {pause: {}}]}\napproval: {required: true}\n", 10);
  input.is_rollback = true;
  const auto plan = make_plan(input);
  ASSERT_TRUE(plan);
  EXPECT_THAT(waves_of(*plan), ElementsAre(Pair("all", 10)));
  EXPECT_FALSE(plan->needs_approval);
}

TEST(Planner, LeavesTargetsAloneWhoseDocumentsDoNotChange) {
  auto input = input_for(kAll, 3);
  const auto first = make_plan(input);
  ASSERT_TRUE(first);
  input.targets[1].live = Observation{true, first->contents[0].hash, "x"};
  input.targets[1].live_namespace = "shop";
  input.targets[1].live_branch = "main";
  const auto second = make_plan(input);
  ASSERT_TRUE(second);
  EXPECT_EQ(second->targets.size(), 2u);
  ASSERT_EQ(second->untouched.size(), 1u);
  EXPECT_EQ(second->untouched[0].name.str(), "t00001");
}

TEST(Planner, TheLeastCriticalGoFirst) {
  auto input = input_for(kAll + "strategy: {type: sequential}\n", 0);
  input.targets = {{make_target("a", "web", Criticality::kCritical), {}, {}, "", ""},
                   {make_target("b", "web", Criticality::kLow), {}, {}, "", ""},
                   {make_target("c", "db"), {}, {}, "", ""}};
  const auto plan = make_plan(input);
  ASSERT_TRUE(plan);
  ASSERT_EQ(plan->targets.size(), 2u);
  EXPECT_EQ(plan->targets[0].target.name.str(), "b");
  EXPECT_THAT(plan->targets[0].reason, HasSubstr("role=web"));
  EXPECT_THAT(plan->targets[0].reason, HasSubstr("batch 1 of 2"));
}

TEST(Planner, RefusesATargetThatServesAnotherBranch) {
  auto input = input_for(kAll, 1);
  input.targets[0].live = Observation{true, Hash::of("x"), "x"};
  input.targets[0].live_namespace = "bank";
  input.targets[0].live_branch = "main";
  const auto plan = make_plan(input);
  ASSERT_FALSE(plan);
  EXPECT_THAT(plan.error().message, HasSubstr("is live with bank branch main"));
}

TEST(Planner, ShowsEachTargetsDiffAndTheDelta) {
  auto input = input_for(kAll, 1);
  const std::vector<FileEntry> old = {{"app/a.json", 0644, Hash::of("old")}, {"gone", 0644, Hash::of("g")}};
  input.targets[0].live = Observation{true, content_hash(old), "1-x"};
  input.targets[0].live_namespace = "shop";
  input.targets[0].live_branch = "main";
  input.known_contents[content_hash(old)] = old;
  input.promoted = {6};
  input.promoted_documents = {
      {"app/a.json", Hash::of("old"), 1}, {"gone", Hash::of("g"), 1}, {"other/c", Hash::of("c"), 1}};
  const auto plan = make_plan(input);
  ASSERT_TRUE(plan);
  using state::ChangeType;
  EXPECT_THAT(
      plan->diffs[plan->targets[0].diff],
      ElementsAre(FileChange{"app/a.json", ChangeType::kUpdate}, FileChange{"app/sub/b.json", ChangeType::kCreate},
                  FileChange{"gone", ChangeType::kDelete}, FileChange{"other/c", ChangeType::kCreate}));
  EXPECT_THAT(plan->delta, ElementsAre(KeyDelta{"app/a.json", Hash::of("a")}, KeyDelta{"app/sub/b.json", Hash::of("b")},
                                       KeyDelta{"gone", std::nullopt}));
}

TEST(Planner, RendersPerTarget) {
  auto input = input_for(kAll + "documents: [{match: app/a.json, render: true}]\n", 2);
  input.sources.read = [](const std::string& key) -> Result<std::string> {
    if (key == "app/a.json") return std::string("{{ target.name }} {{target.labels.zone}} {{ key.other/c }} {{{{x}}");
    if (key == "other/c") return std::string("value\n");
    return fail(ErrorCode::kNotFound, "no " + key);
  };
  const auto plan = make_plan(input);
  ASSERT_TRUE(plan) << plan.error().message;
  ASSERT_EQ(plan->contents.size(), 2u);
  EXPECT_EQ(plan->contents[plan->targets[1].content].files[0].entry.hash, Hash::of("t00001 z-t00001 value {{x}}"));
  input.sources.read = [](const std::string&) -> Result<std::string> {
    return std::string("{{ target.labels.nope }}");
  };
  const auto refused = make_plan(input);
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message,
              HasSubstr("document \"app/a.json\": {{ target.labels.nope }}: target t00000 has no such label"));
}

TEST(Planner, RiskIsTheWeightedSumFactorByFactor) {
  auto input = input_for(kAll, 1);
  input.targets[0].target.criticality = Criticality::kCritical;
  input.dependents = 5;
  const auto plan = make_plan(input);
  ASSERT_TRUE(plan);
  double sum = 0, weights = 0;
  for (const RiskFactor& factor : plan->risk.factors) {
    sum += factor.weight * factor.value;
    weights += factor.weight;
  }
  EXPECT_DOUBLE_EQ(plan->risk.score, sum / weights);
  // critical 1·.25 + prod 1·.20 + config 0·.20 + 5/10·.20 + parallel 1·.15 + history 0·.10, over 1.10.
  EXPECT_NEAR(plan->risk.score, (0.25 + 0.20 + 0.10 + 0.15) / 1.10, 1e-9);
}

TEST(Planner, APlanIsStoredAndReadBackWhole) {
  auto input = input_for(kAll +
                             "strategy: {type: rolling, batchSize: 2, batchDelay: 3s}\nbake: 1s\nhealth: [{tcp: {host: "
                             "h, port: 1}}]\nsteps: [{name: e, type: echo, params: {message: m}}]\n",
                         5);
  const auto plan = make_plan(input);
  ASSERT_TRUE(plan);
  const std::string bytes = encode_plan(*plan);
  const auto again = decode_plan(bytes);
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ(encode_plan(*again), bytes);
  EXPECT_EQ(hash_plan(*again), plan->hash);
  // Any cut of the bytes is an error, never a crash.
  for (std::size_t cut = 0; cut < bytes.size(); cut += 97)
    EXPECT_FALSE(decode_plan(std::string_view(bytes).substr(0, cut)));
}

TEST(Planner, TheHashFollowsThePlanAndNotTheTime) {
  auto input = input_for(kAll, 2);
  const auto one = make_plan(input);
  input.now.micros += 5'000'000;
  const auto two = make_plan(input);
  input.documents[1].hash = Hash::of("changed");
  const auto three = make_plan(input);
  ASSERT_TRUE(one && two && three);
  EXPECT_EQ(one->hash, two->hash);
  EXPECT_FALSE(one->hash == three->hash);
}

TEST(Planner, TenThousandTargetsAreNotSlow) {
  const auto input = input_for(kAll + "strategy: {type: rolling, batchSize: 10%}\n", 10'000);
  const auto begin = std::chrono::steady_clock::now();
  const auto plan = make_plan(input);
  const auto took = std::chrono::steady_clock::now() - begin;
  ASSERT_TRUE(plan);
  EXPECT_EQ(plan->waves.size(), 11u);
  // The goal is one second in a release build; this one runs anywhere.
  EXPECT_LT(std::chrono::duration<double>(took).count(), 10.0);
}

}  // namespace
}  // namespace st8::target
