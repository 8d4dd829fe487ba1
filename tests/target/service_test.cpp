// A real store, the real service and real directories: what happens from an apply to what a program on the target reads.
#include "st8/target/service.h"

#include <atomic>
#include <filesystem>
#include <fstream>
#include <functional>
#include <gmock/gmock.h>
#include <sstream>
#include <thread>

#include "support/eventually.h"
#include "support/store_fixture.h"
#include "support/temp_directory.h"

namespace st8::target {
namespace {

namespace fs = std::filesystem;
using state::test::Documents;
using state::test::EngineKind;
using state::test::StoreHarness;
using ::testing::HasSubstr;

std::string slurp(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::stringstream bytes;
  bytes << in.rdbuf();
  return bytes.str();
}

class ServiceTest : public ::testing::Test {
 protected:
  void SetUp() override { start(); }
  void TearDown() override { stop(); }

  void start() {
    service_ = std::make_unique<RolloutService>(harness_.store(), system_clock());
    harness_->add_listener(service_.get());
    harness_->set_guard(service_.get());
    const auto started = service_->start();
    ASSERT_TRUE(started) << started.error().message;
  }
  void stop() {
    if (service_) service_->stop();
    harness_.close();
    service_.reset();
  }
  void restart() {
    stop();
    harness_.open();
    start();
  }

  fs::path root(const std::string& target) const { return directory_.path() / target; }
  std::string live(const std::string& target, const std::string& file) const {
    return slurp(root(target) / "current" / file);
  }

  void add_targets(const std::vector<std::string>& names) {
    Documents documents;
    for (const std::string& name : names)
      documents["targets/" + name + ".yaml"] =
          "kind: file\nlabels: {role: web}\nspec: {root: " + root(name).string() + "}\n";
    const auto applied = harness_.apply(documents, "main", "st8/system");
    ASSERT_TRUE(applied) << applied.error().message;
  }
  state::RevisionNumber apply(const Documents& documents, const std::string& branch = "main") {
    const auto applied = harness_.apply(documents, branch, "shop");
    EXPECT_TRUE(applied) << applied.error().message;
    return applied ? applied->revision : state::RevisionNumber{};
  }
  static bool eventually(const std::function<bool()>& condition) {
    return ::st8::test::eventually(condition, std::chrono::seconds(20));
  }
  // The newest rollout of a revision of shop main.
  RolloutSummary rollout_of(state::RevisionNumber revision) {
    const auto page = service_->list({"shop", "", false, 0, 100});
    EXPECT_TRUE(page);
    for (const RolloutSummary& summary : page->rollouts) {
      if (summary.revision == revision) return summary;
    }
    return {};
  }
  void expect_phase(state::RevisionNumber revision, RolloutPhase phase) {
    EXPECT_TRUE(eventually([&] { return rollout_of(revision).id.value != 0 && rollout_of(revision).phase == phase; }))
        << "revision " << revision.value << " is " << phase_name(rollout_of(revision).phase) << ": "
        << rollout_of(revision).reason << " waits for " << rollout_of(revision).waiting_for << problem();
  }
  std::string problem() {
    std::string all;
    for (const auto& entry : service_->branches())
      all += " [" + entry.name_space + " " + entry.branch + ": " + entry.status.problem + "]";
    return all;
  }
  RolloutAction action(RolloutAction::Kind kind, const std::string& actor = "bob") { return {kind, actor, "", {}}; }

  test::TempDirectory directory_;
  StoreHarness harness_{EngineKind::kRocksDb};
  std::unique_ptr<RolloutService> service_;
};

const std::string kPolicy = "branches: [main]\ntargets: {labels: {role: web}}\n";

TEST_F(ServiceTest, AnAppliedRevisionBecomesLiveAndIsReadBack) {
  add_targets({"web-1", "web-2"});
  const auto first = apply({{".st8/rollout.yaml", kPolicy}, {"app/config.json", "{\"v\":1}\n"}});
  expect_phase(first, RolloutPhase::kPromoted);
  EXPECT_EQ(live("web-1", "app/config.json"), "{\"v\":1}\n");
  EXPECT_EQ(live("web-2", "app/config.json"), "{\"v\":1}\n");
  const auto second = apply({{"app/config.json", "{\"v\":2}\n"}});
  expect_phase(second, RolloutPhase::kPromoted);
  EXPECT_EQ(live("web-2", "app/config.json"), "{\"v\":2}\n");

  const auto entries = service_->live({});
  ASSERT_TRUE(entries);
  ASSERT_EQ(entries->size(), 2u);
  EXPECT_EQ((*entries)[0].entry.revision, second);
  EXPECT_EQ((*entries)[0].desired, second);
  EXPECT_EQ((*entries)[0].state, "promoted");
  const auto detail = service_->get(rollout_of(second).id);
  ASSERT_TRUE(detail);
  EXPECT_EQ(detail->view.state.phase, RolloutPhase::kPromoted);
  EXPECT_EQ(detail->view.state.targets[0].read_back->content, (*entries)[0].entry.content);
  // What was live when the first one was.
  const auto earlier = service_->live({"", "", "web-1", rollout_of(first).ended_at});
  ASSERT_TRUE(earlier);
  ASSERT_EQ(earlier->size(), 1u);
  EXPECT_EQ((*earlier)[0].entry.revision, first);
}

TEST_F(ServiceTest, WithoutAPolicyNothingHappens) {
  add_targets({"web-1"});
  apply({{"a", "1"}});
  apply({{".st8/rollout.yaml", "branches: [release]\ntargets: {labels: {role: web}}\n"}});
  const auto last = apply({{".st8/rollout.yaml", kPolicy}});
  expect_phase(last, RolloutPhase::kPromoted);
  const auto page = service_->list({});
  ASSERT_TRUE(page);
  EXPECT_EQ(page->rollouts.size(), 1u);
}

// A branch that no policy follows is not looked at for every commit: whichever way a policy comes, it must be noticed, however
// many other commits there are.
TEST_F(ServiceTest, APolicyIsPickedUpInABranchBusyWithOtherCommits) {
  add_targets({"web-0", "web-1", "web-2"});  // A target serves one branch.
  for (int round = 0; round < 3; ++round) {
    const std::string branch = "busy-" + std::to_string(round);
    const std::string target = "web-" + std::to_string(round);
    const std::string policy = "branches: [" + branch + "]\ntargets: {names: [" + target + "]}\n";
    const std::string value = "round " + std::to_string(round);
    if (round == 0) apply({{"other", "0"}});
    ASSERT_TRUE(harness_.create_branch(branch, "@", "main", "shop"));
    std::atomic<bool> over{false};
    std::vector<std::thread> writers;
    for (int w = 0; w < 2; ++w) {
      writers.emplace_back([&, w] {
        for (int i = 0; !over.load(); ++i) {
          const auto made = harness_.apply({{"noise/" + std::to_string(w), std::to_string(i)}}, branch, "shop");
          ASSERT_TRUE(made) << made.error().message;
        }
      });
    }
    for (int i = 0; i < 50; ++i) apply({{"value", std::to_string(i)}}, branch);
    apply({{"value", value}, {".st8/rollout.yaml", policy}}, branch);
    EXPECT_TRUE(eventually([&] {
      const auto page = service_->list({"shop", branch, false, 0, 1});
      return page && !page->rollouts.empty();
    })) << problem();
    // And of what comes after it, nothing is missed: the last commit of all is what ends up live.
    over = true;
    for (std::thread& writer : writers) writer.join();
    const auto last = apply({{"value", value + ", the end"}}, branch);
    expect_phase(last, RolloutPhase::kPromoted);
    EXPECT_EQ(live(target, "value"), value + ", the end");
  }
}

TEST_F(ServiceTest, APolicyIsPickedUpWhateverBringsIt) {
  add_targets({"elsewhere", "second", "third", "main", "other"});  // A target serves one branch.
  const auto settled = [&] { ASSERT_TRUE(service_->wait_until_settled(std::chrono::seconds(20))); };
  const auto good = [](const auto& done) { ASSERT_TRUE(done) << done.error().message; };
  const auto policy = [](const std::string& branch) {
    return "branches: [" + branch + "]\ntargets: {names: [" + branch + "]}\n";
  };
  const auto takes = [&](const std::string& branch, const std::string& value) {
    settled();
    const auto last = apply({{"value", value}}, branch);
    expect_phase(last, RolloutPhase::kPromoted);
    EXPECT_EQ(live(branch, "value"), value);
  };
  // Known to be followed by nobody: looked at, and then not any more.
  apply({{"value", "0"}, {".st8/rollout.yaml", policy("elsewhere")}});
  good(harness_.create_branch("quiet", "@", "main", "shop"));
  for (int i = 0; i < 3; ++i) {
    apply({{"value", std::to_string(i)}});
    apply({{"value", std::to_string(i)}}, "quiet");
    settled();
  }
  // A branch that gets another's name, and with it the policy's; with no commit, and then by one.
  good(harness_->rename_branch({state::test::ns("shop"), state::test::branch("quiet"), state::test::branch("elsewhere"),
                                StoreHarness::context()}));
  EXPECT_TRUE(eventually([&] { return live("elsewhere", "value") == "2"; })) << problem();
  takes("elsewhere", "renamed");
  // A branch that is deleted, and made again from one with a policy for that name.
  good(harness_.create_branch("second", "1", "main", "shop"));
  apply({{"value", "unseen"}}, "second");
  settled();
  apply({{".st8/rollout.yaml", policy("second")}, {"value", "made anew"}});
  good(harness_->delete_branch({state::test::ns("shop"), state::test::branch("second"), StoreHarness::context()}));
  good(harness_.create_branch("second", "@", "main", "shop"));
  EXPECT_TRUE(eventually([&] { return live("second", "value") == "made anew"; })) << problem();
  takes("second", "after that");
  // A merge.
  good(harness_.create_branch("third", "1", "main", "shop"));
  apply({{"mine", "1"}}, "third");
  settled();
  apply({{".st8/rollout.yaml", policy("third")}, {"value", "merged"}});
  const auto merged = harness_->merge({state::test::ns("shop"),
                                       state::test::branch("third"),
                                       state::test::at("main"),
                                       state::Cause::kMerge,
                                       state::ConflictSide::kNone,
                                       {},
                                       StoreHarness::context()});
  good(merged);
  EXPECT_TRUE(eventually([&] { return live("third", "value") == "merged"; })) << problem();
  takes("third", "after the merge");
  // A rollback to a revision that had one.
  apply({{".st8/rollout.yaml", policy("main")}, {"value", "rolled back"}});
  const auto with = apply({{"value", "rolled back"}, {"more", "1"}});
  expect_phase(with, RolloutPhase::kPromoted);
  good(harness_.unset({".st8/rollout.yaml"}, "main", "shop"));
  for (int i = 0; i < 3; ++i) apply({{"value", std::to_string(i)}});
  settled();
  const auto back = harness_.copy(std::to_string(with.value), "main", state::Cause::kRollback, "", "shop");
  good(back);
  expect_phase(back->revision, RolloutPhase::kPromoted);
  takes("main", "after the rollback");
  // A namespace that is deleted and begun again.
  good(harness_.apply({{"value", "1"}}, "main", "other"));
  settled();
  good(harness_->delete_namespace({state::test::ns("other"), true, StoreHarness::context()}));
  good(harness_.apply({{"value", "2"}}, "main", "other"));
  settled();
  const std::string for_other = "branches: [main]\ntargets: {names: [other]}\n";
  good(harness_.apply({{".st8/rollout.yaml", for_other}, {"value", "in the next life"}}, "main", "other"));
  EXPECT_TRUE(eventually([&] { return live("other", "value") == "in the next life"; })) << problem();
}

// Revisions count from 1 again in a namespace that is made again: what was planned and promoted of that number in its life
// before must not be taken for this one's.
TEST_F(ServiceTest, ANamespaceMadeAgainGoesLiveFromItsFirstRevisionOn) {
  const auto settled = [&] { ASSERT_TRUE(service_->wait_until_settled(std::chrono::seconds(20))); };
  const auto good = [](const auto& done) { ASSERT_TRUE(done) << done.error().message; };
  add_targets({"again"});
  const std::string policy = "branches: [main]\ntargets: {names: [again]}\n";
  const auto goes_live = [&](const Documents& documents) {
    good(harness_.apply(documents, "main", "again"));
    EXPECT_TRUE(eventually([&] { return live("again", "value") == documents.at("value"); }))
        << "\"" << documents.at("value") << "\" does not go live: " << problem();
    settled();
  };
  goes_live({{".st8/rollout.yaml", policy}, {"value", "1"}});
  goes_live({{"value", "2"}});
  for (const bool away : {false, true}) {
    if (away) service_->stop();
    good(harness_->delete_namespace({state::test::ns("again"), true, StoreHarness::context()}));
    const std::string life = away ? "third life" : "second life";
    if (away) {
      good(harness_.apply({{".st8/rollout.yaml", policy}, {"value", life}}, "main", "again"));
      good(harness_.apply({{"value", life + ", as many revisions as in the life before"}}, "main", "again"));
      restart();
      EXPECT_TRUE(
          eventually([&] { return live("again", "value") == life + ", as many revisions as in the life before"; }));
      settled();
    } else {
      goes_live({{".st8/rollout.yaml", policy}, {"value", life}});
      goes_live({{"value", life + ", second revision"}});
    }
  }
}

TEST_F(ServiceTest, APolicyMayComeBeforeItsTargetsAndMoreMayComeLater) {
  const auto first = apply({{".st8/rollout.yaml", kPolicy}, {"a", "1"}});
  ASSERT_TRUE(eventually([&] { return problem().find("chooses no target that exists") != std::string::npos; }))
      << problem();
  add_targets({"web-1"});
  expect_phase(first, RolloutPhase::kPromoted);
  EXPECT_EQ(live("web-1", "a"), "1");
  add_targets({"web-2"});
  EXPECT_TRUE(eventually([&] { return live("web-2", "a") == "1"; }));
  ASSERT_TRUE(eventually([&] {
    const auto page = service_->list({});
    return page && page->rollouts.size() == 2 && page->rollouts[0].phase == RolloutPhase::kPromoted;
  }));
  const auto page = service_->list({});
  EXPECT_EQ(page->rollouts[0].targets, 1u) << "the first target is left alone";
}

TEST_F(ServiceTest, WhatMovedWhileTheDaemonWasAwayIsTakenLive) {
  add_targets({"web-1"});
  const auto first = apply({{".st8/rollout.yaml", kPolicy}, {"a", "1"}});
  expect_phase(first, RolloutPhase::kPromoted);
  service_->stop();
  const auto second = apply({{"a", "2"}});
  EXPECT_EQ(live("web-1", "a"), "1");
  restart();
  expect_phase(second, RolloutPhase::kPromoted);
  EXPECT_EQ(live("web-1", "a"), "2");
}

TEST_F(ServiceTest, PolicyAndConfigurationAreRolledBackTogether) {
  add_targets({"web-1"});
  const auto first = apply({{".st8/rollout.yaml", kPolicy + "documents: [{match: a, to: old.txt}]\n"}, {"a", "1"}});
  expect_phase(first, RolloutPhase::kPromoted);
  const auto second = apply({{".st8/rollout.yaml", kPolicy + "documents: [{match: a, to: new.txt}]\n"}, {"a", "2"}});
  expect_phase(second, RolloutPhase::kPromoted);
  EXPECT_EQ(live("web-1", "new.txt"), "2");
  const auto back = harness_.copy(std::to_string(first.value), "main", state::Cause::kRollback, "", "shop");
  ASSERT_TRUE(back);
  expect_phase(back->revision, RolloutPhase::kPromoted);
  EXPECT_EQ(live("web-1", "old.txt"), "1");
  EXPECT_FALSE(fs::exists(root("web-1") / "current/new.txt"));
}

TEST_F(ServiceTest, ABadValueTouchesTheFirstWaveAloneAndComesBackByItself) {
  add_targets({"web-1", "web-2", "web-3", "web-4"});
  const std::string policy =
      kPolicy +
      "strategy: {type: rolling, batchSize: 1}\nhealth:\n  - name: good\n    command: {argv: [/bin/sh, -c, 'grep -q "
      "good " +
      directory_.path().string() +
      "/$ST8_TARGET/current/value']}\n    interval: 10ms\n    successes: 2\n    deadline: 1500ms\n";
  const auto first = apply({{".st8/rollout.yaml", policy}, {"value", "good 1"}, {"other", "x"}});
  expect_phase(first, RolloutPhase::kPromoted);
  const auto bad = apply({{"value", "bad 2"}});
  expect_phase(bad, RolloutPhase::kRolledBack);
  for (const auto* target : {"web-1", "web-2", "web-3", "web-4"}) EXPECT_EQ(live(target, "value"), "good 1") << target;
  const RolloutSummary summary = rollout_of(bad);
  EXPECT_EQ(summary.targets_touched, 1u);
  EXPECT_THAT(summary.reason, HasSubstr("web-1"));
  EXPECT_THAT(summary.reason, HasSubstr("good"));

  // The head says why it came back, and is itself promoted, though it touched nothing.
  ASSERT_FALSE(summary.appended.is_root());
  const auto appended = harness_->revision(state::test::ns("shop"), summary.appended);
  ASSERT_TRUE(appended);
  EXPECT_EQ(appended->cause, state::Cause::kAutoRollback);
  EXPECT_EQ(appended->source, first);
  EXPECT_THAT(appended->cause_detail, HasSubstr(summary.id.str()));
  EXPECT_THAT(appended->cause_detail, HasSubstr("health check \"good\""));
  EXPECT_EQ(harness_.head("main", "shop"), summary.appended);
  expect_phase(summary.appended, RolloutPhase::kPromoted);
  EXPECT_EQ(rollout_of(summary.appended).targets, 0u);

  // The change is in quarantine, by whatever way it comes; others pass; a release lets it through.
  const auto again = harness_.apply({{"value", "bad 2"}}, "main", "shop");
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().code, ErrorCode::kUnprocessable);
  EXPECT_THAT(again.error().message, HasSubstr(summary.id.str()));
  ASSERT_TRUE(harness_.create_branch("experiment", "@", "main", "shop"));
  ASSERT_TRUE(harness_.apply({{"value", "bad 2"}}, "experiment", "shop"));
  const auto restored = harness_.copy("experiment", "main", state::Cause::kRestore, "experiment", "shop");
  ASSERT_FALSE(restored);
  EXPECT_EQ(restored.error().code, ErrorCode::kUnprocessable);
  for (const bool changes_wanted : {true, false}) {
    ASSERT_FALSE(harness_.copy(std::to_string(bad.value), "main", state::Cause::kRollback, "", "shop", changes_wanted));
  }
  const auto unrelated = apply({{"other", "y"}});
  expect_phase(unrelated, RolloutPhase::kPromoted);
  EXPECT_EQ(service_->quarantined().size(), 1u);
  const auto released = service_->release("shop", "value");
  ASSERT_TRUE(released);
  EXPECT_TRUE(harness_.apply({{"value", "bad 2"}}, "main", "shop"));
}

TEST_F(ServiceTest, QuarantineOutlivesARestart) {
  add_targets({"web-1"});
  const std::string policy = kPolicy + "health: [{name: no, command: {argv: [/bin/sh, -c, '! grep -q bad " +
                             root("web-1").string() +
                             "/current/a']}, interval: 5ms, successes: 1, deadline: 1500ms}]\n";
  expect_phase(apply({{".st8/rollout.yaml", policy}, {"a", "fine"}}), RolloutPhase::kPromoted);
  const auto bad = apply({{"a", "bad"}});
  expect_phase(bad, RolloutPhase::kRolledBack);
  restart();
  EXPECT_EQ(service_->quarantined().size(), 1u);
  EXPECT_FALSE(harness_.apply({{"a", "bad"}}, "main", "shop"));
}

TEST_F(ServiceTest, AFailureBeforeAnythingWasPromotedRestoresAbsence) {
  add_targets({"web-1"});
  const auto bad = apply(
      {{".st8/rollout.yaml", kPolicy + "health: [{tcp: {host: 127.0.0.1, port: 1}, interval: 5ms, deadline: 50ms}]\n"},
       {"a", "1"}});
  expect_phase(bad, RolloutPhase::kRolledBack);
  EXPECT_FALSE(fs::exists(root("web-1") / "current"));
  EXPECT_TRUE(rollout_of(bad).appended.is_root());
  const auto entries = service_->live({});
  ASSERT_TRUE(entries);
  EXPECT_TRUE(entries->empty());
}

TEST_F(ServiceTest, ACanaryWaitsForAPersonAndCanBeAborted) {
  add_targets({"web-1", "web-2"});
  const std::string policy = kPolicy + "strategy: {type: canary, steps: [{setWeight: 50}, {pause: {}}]}\n";
  const auto first = apply({{".st8/rollout.yaml", policy}, {"a", "1"}});
  ASSERT_TRUE(eventually([&] { return rollout_of(first).waiting_for == "promote"; }));
  EXPECT_EQ(live("web-1", "a"), "1");
  EXPECT_FALSE(fs::exists(root("web-2") / "current"));
  const auto promoted = service_->act(rollout_of(first).id, action(RolloutAction::Kind::kPromote));
  ASSERT_TRUE(promoted) << promoted.error().message;
  expect_phase(first, RolloutPhase::kPromoted);
  const auto second = apply({{"a", "2"}});
  ASSERT_TRUE(eventually([&] { return rollout_of(second).waiting_for == "promote"; }));
  EXPECT_EQ(live("web-1", "a"), "2");
  ASSERT_TRUE(service_->act(rollout_of(second).id, action(RolloutAction::Kind::kAbort)));
  expect_phase(second, RolloutPhase::kAborted);
  EXPECT_EQ(live("web-1", "a"), "1");
  const auto late = service_->act(rollout_of(second).id, action(RolloutAction::Kind::kResume));
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().code, ErrorCode::kConflict);
  EXPECT_EQ(service_->act({999}, action(RolloutAction::Kind::kResume)).error().code, ErrorCode::kNotFound);
}

TEST_F(ServiceTest, ANewerRevisionTakesThePlaceOfOneUnderWay) {
  add_targets({"web-1", "web-2"});
  const std::string policy = kPolicy + "strategy: {type: canary, steps: [{setWeight: 50}, {pause: {}}]}\n";
  const auto first = apply({{".st8/rollout.yaml", policy}, {"a", "1"}});
  ASSERT_TRUE(eventually([&] { return rollout_of(first).waiting_for == "promote"; }));
  const auto second = apply({{".st8/rollout.yaml", kPolicy}, {"a", "2"}});
  expect_phase(first, RolloutPhase::kSuperseded);
  expect_phase(second, RolloutPhase::kPromoted);
  EXPECT_EQ(live("web-1", "a"), "2");
  EXPECT_EQ(live("web-2", "a"), "2");
}

TEST_F(ServiceTest, AnApprovalIsByAnotherAndForThisPlan) {
  add_targets({"web-1"});
  const auto first = apply({{".st8/rollout.yaml", kPolicy + "approval: {required: true}\n"}, {"a", "1"}});
  ASSERT_TRUE(eventually([&] { return rollout_of(first).waiting_for == "an approval"; }));
  const RolloutSummary summary = rollout_of(first);
  RolloutAction approve = action(RolloutAction::Kind::kApprove, "tester");
  approve.plan = summary.plan;
  EXPECT_EQ(service_->act(summary.id, approve).error().code, ErrorCode::kPermissionDenied);
  approve.actor = "bob";
  approve.plan.value = Hash::of("another plan");
  EXPECT_EQ(service_->act(summary.id, approve).error().code, ErrorCode::kPreconditionFailed);
  approve.plan = summary.plan;
  EXPECT_TRUE(service_->act(summary.id, approve));
  expect_phase(first, RolloutPhase::kPromoted);
}

TEST_F(ServiceTest, AFreezeHoldsARolloutAndNeverARollback) {
  add_targets({"web-1"});
  const auto first = apply({{".st8/rollout.yaml", kPolicy}, {"a", "1"}});
  expect_phase(first, RolloutPhase::kPromoted);
  const auto second = apply({{"a", "2"}});
  expect_phase(second, RolloutPhase::kPromoted);
  ASSERT_TRUE(service_->freeze("*", "ann", "holidays"));
  const auto third = apply({{"a", "3"}});
  ASSERT_TRUE(eventually([&] { return rollout_of(third).waiting_for.find("holidays") != std::string::npos; }));
  restart();
  ASSERT_TRUE(eventually([&] { return rollout_of(third).waiting_for.find("holidays") != std::string::npos; }));
  EXPECT_EQ(live("web-1", "a"), "2");
  const auto back = harness_.copy(std::to_string(first.value), "main", state::Cause::kRollback, "", "shop");
  ASSERT_TRUE(back);
  expect_phase(back->revision, RolloutPhase::kPromoted);
  EXPECT_EQ(live("web-1", "a"), "1");
  EXPECT_TRUE(service_->unfreeze("*"));
  EXPECT_EQ(service_->unfreeze("*").error().code, ErrorCode::kNotFound);
}

TEST_F(ServiceTest, StepsRunInTheirOrderAndAreTakenBackInReverse) {
  add_targets({"web-1"});
  const std::string log = (directory_.path() / "log").string();
  const std::string file = (directory_.path() / "beside").string();
  std::ofstream(file) << "as it was";
  const auto policy = [&](const std::string& last) {
    return kPolicy + "steps:\n" + "  - {name: one, type: script, params: {command: 'echo one $ST8_TARGET >> " + log +
           "', rollback: 'echo undo-one >> " + log + "'}}\n" +
           "  - {name: write, type: file_write, params: {path: " + file + ", content: 'for {{ target.name }}'}}\n" +
           "  - {name: two, type: script, when: after, params: {command: '" + last + "', rollback: 'echo undo-two >> " +
           log + "'}, retry: {attempts: 2, delay: 5ms}}\n";
  };
  expect_phase(apply({{".st8/rollout.yaml", policy("echo two >> " + log)}, {"a", "1"}}), RolloutPhase::kPromoted);
  EXPECT_EQ(slurp(log), "one web-1\ntwo\n");
  EXPECT_EQ(slurp(file), "for web-1");
  std::ofstream(file) << "changed by hand";
  const auto bad = apply({{".st8/rollout.yaml", policy("echo tried >> " + log + "; exit 7")}, {"a", "2"}});
  expect_phase(bad, RolloutPhase::kRolledBack);
  EXPECT_EQ(slurp(log), "one web-1\ntwo\none web-1\ntried\ntried\nundo-two\nundo-one\n");
  EXPECT_EQ(slurp(file), "changed by hand");
  EXPECT_EQ(live("web-1", "a"), "1");
  EXPECT_THAT(rollout_of(bad).reason, HasSubstr("exit 7"));
}

TEST_F(ServiceTest, AStepThatMayFailIsTriedAsOftenAsItSaysAndTheRolloutGoesOn) {
  add_targets({"web-1"});
  const std::string log = (directory_.path() / "log").string();
  const auto done =
      apply({{".st8/rollout.yaml",
              kPolicy + "steps:\n" +
                  "  - {name: optional, type: script, required: false, params: {command: 'echo optional >> " + log +
                  "; exit 1'}, retry: {attempts: 3, delay: 1ms}}\n" +
                  "  - {name: lenient, type: script, continueOnFailure: true, params: {command: 'echo lenient >> " +
                  log + "; exit 2'}, retry: {attempts: 2, delay: 1ms}}\n" +
                  "  - {name: stuck, type: script, continueOnFailure: true, timeout: 30ms, params: {command: 'exec "
                  "sleep 600'}, retry: {attempts: 1}}\n" +
                  "  - {name: late, type: script, params: {command: 'echo late >> " + log + "; test $(grep -c late " +
                  log + ") -ge 3'}, retry: {attempts: 5, delay: 1ms}}\n"},
             {"a", "1"}});
  expect_phase(done, RolloutPhase::kPromoted);
  EXPECT_EQ(slurp(log), "optional\noptional\noptional\nlenient\nlenient\nlate\nlate\nlate\n");
  const auto detail = service_->get(rollout_of(done).id);
  ASSERT_TRUE(detail);
  std::string failures;
  for (const RolloutEvent& event : detail->events) {
    if (event.kind == EventKind::kOpFailed)
      failures +=
          detail->view.plan->policy.steps[detail->view.plan->ops[event.op].index].name + ": " + event.detail + "\n";
  }
  EXPECT_THAT(failures, HasSubstr("optional: exit 1"));
  EXPECT_THAT(failures, HasSubstr("stuck: /bin/sh: timed out"));
}

TEST_F(ServiceTest, ARequiredStepThatTakesTooLongTakesTheRolloutBack) {
  add_targets({"web-1"});
  expect_phase(apply({{".st8/rollout.yaml", kPolicy}, {"a", "1"}}), RolloutPhase::kPromoted);
  const auto bad =
      apply({{".st8/rollout.yaml", kPolicy + "steps: [{name: stuck, type: script, when: after, timeout: 30ms, params: "
                                             "{command: 'exec sleep 600'}, retry: {attempts: 2, delay: 1ms}}]\n"},
             {"a", "2"}});
  expect_phase(bad, RolloutPhase::kRolledBack);
  EXPECT_THAT(rollout_of(bad).reason, HasSubstr("step \"stuck\": /bin/sh: timed out"));
  EXPECT_EQ(live("web-1", "a"), "1");
}

TEST_F(ServiceTest, AFileThatTheStepsOfSeveralTargetsWroteComesBack) {
  add_targets({"web-1", "web-2", "web-3"});
  const std::string file = (directory_.path() / "beside").string();
  std::ofstream(file) << "as it was";
  const auto bad = apply({{".st8/rollout.yaml",
                           kPolicy + "strategy: {type: rolling, batchSize: 1}\nsteps:\n" +
                               "  - {name: write, type: file_write, params: {path: " + file + ", content: written}}\n" +
                               "  - {name: third, type: script, when: after, params: {command: 'test $ST8_TARGET != "
                               "web-3', rollback: 'true'}, retry: {attempts: 1}}\n"},
                          {"a", "1"}});
  expect_phase(bad, RolloutPhase::kRolledBack);
  EXPECT_EQ(slurp(file), "as it was");
}

TEST_F(ServiceTest, ATargetChangedByHandDuringARolloutStillEndsOnThePromotedRevision) {
  add_targets({"web-1"});
  const auto first = apply({{".st8/rollout.yaml", kPolicy}, {"a", "1"}});
  expect_phase(first, RolloutPhase::kPromoted);
  std::ofstream(root("web-1") / "current/a") << "tampered";
  const auto bad = apply(
      {{".st8/rollout.yaml", kPolicy + "health: [{tcp: {host: 127.0.0.1, port: 1}, interval: 5ms, deadline: 50ms}]\n"},
       {"a", "2"}});
  expect_phase(bad, RolloutPhase::kRolledBack);
  EXPECT_EQ(live("web-1", "a"), "1");
}

TEST_F(ServiceTest, OneUnreachableTargetOfEightKeepsTheRolloutUnpromoted) {
  std::vector<std::string> names;
  for (int i = 1; i <= 8; ++i) names.push_back("web-" + std::to_string(i));
  add_targets(names);
  std::ofstream(root("web-5")) << "a file stands where the directory should";
  const auto first = apply({{".st8/rollout.yaml", kPolicy + "maxFailures: 1\nretry: {attempts: 1}\n"}, {"a", "1"}});
  expect_phase(first, RolloutPhase::kIncomplete);
  EXPECT_EQ(live("web-8", "a"), "1");
  fs::remove(root("web-5"));
  ASSERT_TRUE(service_->act(rollout_of(first).id, action(RolloutAction::Kind::kRetry)));
  expect_phase(first, RolloutPhase::kPromoted);
  EXPECT_EQ(live("web-5", "a"), "1");
}

TEST_F(ServiceTest, DependenciesGoFirst) {
  add_targets({"web-1"});
  ASSERT_TRUE(harness_.apply({{"targets/net-1.yaml", "kind: file\nspec: {root: " + root("net-1").string() + "}\n"}},
                             "main", "st8/system"));
  const auto first = apply({{".st8/rollout.yaml", kPolicy + "dependsOn: [{namespace: base/net}]\n"}, {"a", "1"}});
  ASSERT_TRUE(eventually([&] { return rollout_of(first).waiting_for.find("base/net") != std::string::npos; }));
  ASSERT_TRUE(harness_.apply({{".st8/rollout.yaml", "branches: [main]\ntargets: {names: [net-1]}\n"}, {"n", "1"}},
                             "main", "base/net"));
  expect_phase(first, RolloutPhase::kPromoted);
  EXPECT_EQ(live("net-1", "n"), "1");
}

TEST_F(ServiceTest, BadPoliciesAndTargetsAreRefusedBeforeARevisionIsMade) {
  add_targets({"web-1"});
  const auto validate = [&](const std::string& ns, const std::string& key, const std::string& content) {
    return service_->validate_documents(state::test::ns(ns), {{state::test::key(key), content}});
  };
  EXPECT_TRUE(validate("shop", ".st8/rollout.yaml", kPolicy));
  EXPECT_TRUE(validate("shop", "anything", "strategy: ["));
  const auto unknown = validate("shop", ".st8/rollout.yaml", "branches: [main]\ntargets: {names: [web-2]}\n");
  ASSERT_FALSE(unknown);
  EXPECT_EQ(unknown.error().code, ErrorCode::kUnprocessable);
  EXPECT_THAT(unknown.error().message,
              HasSubstr(".st8/rollout.yaml:2: targets.names[0]: there is no target \"web-2\""));
  EXPECT_EQ(unknown.error().hint, "did you mean `web-1`?");
  EXPECT_FALSE(validate("st8/system", "targets/web-9.yaml", "kind: fiel\nspec: {}\n"));
  EXPECT_FALSE(validate("st8/system", "targets/Web.yaml", "kind: file\nspec: {root: /x}\n"));
  EXPECT_FALSE(validate("st8/system", "targets/sub/x.yaml", "kind: file\nspec: {root: /x}\n"));
}

TEST_F(ServiceTest, DriftIsNoticedAndRepairedAsThePolicySays) {
  add_targets({"web-1", "web-2"});
  const auto policy = [&](const std::string& action) {
    return kPolicy + "drift: {interval: 100ms, action: " + action + "}\n";
  };
  const auto state_of = [&](const std::string& target) {
    const auto entries = service_->live({"", "", target, std::nullopt});
    return entries && entries->size() == 1 && (*entries)[0].observed_at ? (*entries)[0].state : std::string();
  };
  expect_phase(apply({{".st8/rollout.yaml", policy("alert")}, {"a", "1"}}), RolloutPhase::kPromoted);
  EXPECT_TRUE(eventually([&] { return state_of("web-1") == "promoted" && state_of("web-2") == "promoted"; }));
  std::ofstream(root("web-1") / "current/a") << "by hand";
  EXPECT_TRUE(eventually([&] { return state_of("web-1") == "altered"; }));
  EXPECT_EQ(state_of("web-2"), "promoted");
  fs::remove(root("web-2") / "current");
  EXPECT_TRUE(eventually([&] { return state_of("web-2") == "missing"; }));
  EXPECT_EQ(live("web-1", "a"), "by hand") << "alert changes nothing";

  // A person asks for one; the policy repairs the other.
  const auto looked = service_->reconcile(*TargetName::parse("web-1"));
  ASSERT_TRUE(looked) << looked.error().message;
  EXPECT_EQ(looked->state, TargetHealth::State::kAltered);
  EXPECT_TRUE(eventually([&] { return live("web-1", "a") == "1" && state_of("web-1") == "promoted"; }));
  expect_phase(apply({{".st8/rollout.yaml", policy("repair")}, {"a", "2"}}), RolloutPhase::kPromoted);
  EXPECT_EQ(live("web-2", "a"), "2");
  std::ofstream(root("web-2") / "current/a") << "by hand";
  EXPECT_TRUE(eventually([&] { return live("web-2", "a") == "2" && state_of("web-2") == "promoted"; }));
  EXPECT_EQ(service_->reconcile(*TargetName::parse("none")).error().code, ErrorCode::kNotFound);
}

TEST_F(ServiceTest, GcMustKeepWhatIsLive) {
  add_targets({"web-1"});
  const auto first = apply({{".st8/rollout.yaml", kPolicy}, {"a", "1"}});
  expect_phase(first, RolloutPhase::kPromoted);
  const auto pinned = service_->pinned();
  ASSERT_EQ(pinned.size(), 1u);
  EXPECT_EQ(pinned[0].second, first);
}

TEST_F(ServiceTest, APlanChangesNothing) {
  add_targets({"web-1", "web-2"});
  service_->stop();
  const auto first = apply({{".st8/rollout.yaml", kPolicy + "approval: {required: true}\n"}, {"a", "1"}});
  restart();
  const auto plan = service_->plan(state::test::ns("shop"), state::test::branch("main"), std::nullopt);
  ASSERT_TRUE(plan) << plan.error().message;
  EXPECT_EQ(plan->revision, first);
  EXPECT_EQ(plan->targets.size(), 2u);
  EXPECT_TRUE(plan->needs_approval);
  EXPECT_FALSE(fs::exists(root("web-1")));
  EXPECT_EQ(service_->plan(state::test::ns("none"), state::test::branch("main"), std::nullopt).error().code,
            ErrorCode::kNotFound);
}

TEST_F(ServiceTest, ManyTargetsAndRevisionsInARowEndOnTheLast) {
  std::vector<std::string> names;
  for (int i = 0; i < 20; ++i) names.push_back("t" + std::to_string(i));
  add_targets(names);
  apply({{".st8/rollout.yaml", kPolicy}, {"n", "0"}});
  state::RevisionNumber last;
  for (int i = 1; i <= 15; ++i) last = apply({{"n", std::to_string(i)}});
  expect_phase(last, RolloutPhase::kPromoted);
  for (const std::string& name : names) EXPECT_EQ(live(name, "n"), "15");
}

}  // namespace
}  // namespace st8::target
