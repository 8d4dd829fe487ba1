// No way of changing a branch brings a policy or a target's document that an apply would refuse; and what was good once can
// come back by a rollback.
#include <gmock/gmock.h>

#include "st8/target/service.h"
#include "support/eventually.h"
#include "support/store_fixture.h"
#include "support/temp_directory.h"

namespace st8::target {
namespace {

using state::CommitResult;
using state::test::Documents;
using state::test::EngineKind;
using state::test::StoreHarness;
using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr const char* kPolicyDocument = ".st8/rollout.yaml";
const std::string kGood = "branches: [main]\ntargets: {names: [web-1]}\n";
const std::string kMisspelt = "branches: [main]\ntargets: {names: [web-1]}\nbaek: 5m\n";
const std::string kOfAGoneTarget = "branches: [main]\ntargets:\n  names: [web-1, web-9]\n";

class DocumentGuardTest : public ::testing::Test {
 protected:
  // What nobody guarded: as a store of an earlier version may hold it, or one that was written without st8d.
  void write(const Documents& documents, const std::string& branch = "main", const std::string& ns = "shop") {
    const auto applied = harness_.apply(documents, branch, ns);
    ASSERT_TRUE(applied) << state::test::why(applied);
  }
  void fork(const std::string& branch, const std::string& ns = "shop") {
    const auto made = harness_.create_branch(branch, "@", "main", ns);
    ASSERT_TRUE(made) << state::test::why(made);
  }
  std::string target(const std::string& name) const {
    return "kind: file\nspec: {root: " + (directory_.path() / name).string() + "}\n";
  }
  void guard() {
    harness_.close();
    harness_.open();
    service_ = std::make_unique<RolloutService>(harness_.store(), system_clock());
    harness_->add_listener(service_.get());
    harness_->set_guard(service_.get());
    const auto started = service_->start();
    ASSERT_TRUE(started) << started.error().message;
  }
  void TearDown() override {
    if (service_) service_->stop();
    harness_.close();
    service_.reset();
  }
  Result<CommitResult> merge(const std::string& source, state::Cause cause, const std::string& ns = "shop",
                             bool dry_run = false) {
    state::MergeRequest request{state::test::ns(ns),        state::test::branch("main"),
                                state::test::at(source),    cause,
                                state::ConflictSide::kNone, {},
                                StoreHarness::context()};
    request.context.dry_run = dry_run;
    return harness_->merge(std::move(request));
  }
  Result<CommitResult> copy(const std::string& source, state::Cause cause, const std::string& source_branch = "main",
                            std::vector<std::string> keep = {}, const std::string& ns = "shop") {
    state::CopyRequest request{state::test::ns(ns),
                               state::test::branch("main"),
                               state::test::at(source),
                               state::test::branch(source_branch),
                               cause,
                               {},
                               StoreHarness::context(),
                               {}};
    for (const std::string& key : keep) request.keep.push_back(state::test::key(key));
    // What the guard looks at does not hang on what the caller wants to know.
    request.context.dry_run = true;
    const auto rehearsed = harness_->copy(request);
    request.context.dry_run = false;
    request.changes_wanted = false;
    auto copied = harness_->copy(std::move(request));
    EXPECT_EQ(rehearsed.has_value(), copied.has_value());
    return copied;
  }
  void expect_refused(const Result<CommitResult>& result, const std::string& message, const std::string& hint,
                      const std::string& ns = "shop") {
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().code, ErrorCode::kUnprocessable);
    EXPECT_THAT(result.error().message, HasSubstr(message));
    EXPECT_THAT(result.error().hint, HasSubstr(hint));
    EXPECT_EQ(harness_.head("main", ns).value, head_before_) << "a revision was made";
  }
  void remember_head(const std::string& ns = "shop") { head_before_ = harness_.head("main", ns).value; }

  st8::test::TempDirectory directory_;
  StoreHarness harness_{EngineKind::kRocksDb};
  std::unique_ptr<RolloutService> service_;
  std::uint64_t head_before_ = 0;
};

TEST_F(DocumentGuardTest, NoWayOfChangingABranchBringsAPolicyThatCannotBeRead) {
  write({{"targets/web-1.yaml", target("web-1")}}, "main", "st8/system");
  write({{kPolicyDocument, kMisspelt}, {"app", "1\n"}});  // Revision 1.
  write({{kPolicyDocument, kGood}});                      // Revision 2: what a revert of it would take away.
  fork("side");
  write({{kPolicyDocument, kMisspelt}}, "side");  // Revision 3.
  write({{"other", "x\n"}}, "side");              // Revision 4: the head of the side.
  write({{"app", "2\n"}});                        // Revision 5: both sides have moved.
  guard();
  remember_head();
  const std::string message = ".st8/rollout.yaml:3: baek";
  expect_refused(merge("branch:side", state::Cause::kMerge), message, "end it where it comes from");
  expect_refused(merge("branch:side", state::Cause::kMerge, "shop", true), message, "did you mean `bake`?");
  expect_refused(merge("3", state::Cause::kCherryPick), message, "end it where it comes from");
  expect_refused(merge("2", state::Cause::kRevert), message, "st8ctl rollback");
  expect_refused(copy("1", state::Cause::kRollback), message, "--keep .st8/rollout.yaml");
  expect_refused(copy("branch:side", state::Cause::kRestore, "side"), message, "--keep .st8/rollout.yaml");
  expect_refused(harness_.apply({{kPolicyDocument, kMisspelt}}, "main", "shop"), message, "did you mean `bake`?");
  // What does not touch the policy passes, and so does each of the ways that were offered.
  const auto picked = merge("4", state::Cause::kCherryPick);
  ASSERT_TRUE(picked) << state::test::why(picked);
  const auto rolled = copy("1", state::Cause::kRollback, "main", {kPolicyDocument});
  ASSERT_TRUE(rolled) << state::test::why(rolled);
  EXPECT_EQ(harness_.read("@", "main", "shop"), (Documents{{kPolicyDocument, kGood}, {"app", "1\n"}}));
  const auto restored = copy("branch:side", state::Cause::kRestore, "side", {kPolicyDocument});
  ASSERT_TRUE(restored) << state::test::why(restored);
  EXPECT_EQ(harness_.read("@", "main", "shop"),
            (Documents{{kPolicyDocument, kGood}, {"app", "1\n"}, {"other", "x\n"}}));
  const auto clean = harness_->fsck({});
  ASSERT_TRUE(clean);
  EXPECT_TRUE(clean->clean()) << "a copy that keeps documents is whole";
}

TEST_F(DocumentGuardTest, NoWayOfChangingTheSystemBringsATargetThatCannotBeRead) {
  const std::string bad = "kind: fille\nspec: {root: /srv/a}\n";
  write({{"targets/web-1.yaml", bad}}, "main", "st8/system");              // Revision 1.
  write({{"targets/web-1.yaml", target("web-1")}}, "main", "st8/system");  // Revision 2.
  fork("side", "st8/system");
  write({{"targets/web-2.yaml", bad}}, "side", "st8/system");
  write({{"targets/Web 3.yaml", target("web-3")}}, "side", "st8/system");
  guard();
  remember_head("st8/system");
  expect_refused(copy("1", state::Cause::kRollback, "main", {}, "st8/system"), "targets/web-1.yaml:1: kind",
                 "--keep targets/web-1.yaml", "st8/system");
  expect_refused(merge("branch:side", state::Cause::kMerge, "st8/system"), "targets/", "end it where it comes from",
                 "st8/system");
  expect_refused(copy("branch:side", state::Cause::kRestore, "side", {"targets/web-2.yaml"}, "st8/system"),
                 "targets/Web 3.yaml", "--keep targets/Web 3.yaml", "st8/system");
  const auto kept =
      copy("branch:side", state::Cause::kRestore, "side", {"targets/web-2.yaml", "targets/Web 3.yaml"}, "st8/system");
  ASSERT_TRUE(kept) << state::test::why(kept);
  EXPECT_TRUE(kept->noop);
  const auto unknown = copy("branch:side", state::Cause::kRestore, "side", {"targets/wbe-2.yaml"}, "st8/system");
  ASSERT_FALSE(unknown);
  EXPECT_EQ(unknown.error().code, ErrorCode::kNotFound);
}

TEST_F(DocumentGuardTest, APolicyThatNamesAGoneTargetComesBackByARollbackAlone) {
  write({{"targets/web-1.yaml", target("web-1")}}, "main", "st8/system");
  write({{kPolicyDocument, kOfAGoneTarget}, {"app", "good\n"}});  // Revision 1.
  write({{kPolicyDocument, kGood}, {"app", "new\n"}});            // Revision 2.
  guard();
  const auto promoted = [&](std::uint64_t revision) {
    return test::eventually([&] {
      const auto page = service_->list({"shop", "main", false, 0, 10});
      for (const RolloutSummary& one : page->rollouts) {
        if (one.revision.value == revision && one.phase == RolloutPhase::kPromoted) return true;
      }
      return false;
    });
  };
  ASSERT_TRUE(promoted(2));
  remember_head();
  const std::string message = ".st8/rollout.yaml:3: targets.names[1]: there is no target \"web-9\"";
  expect_refused(copy("1", state::Cause::kRestore), message, "--keep .st8/rollout.yaml");
  expect_refused(merge("2", state::Cause::kRevert), message, "st8ctl rollback");
  // It goes live on what there is, at once, and says what it went without.
  const auto rolled = copy("1", state::Cause::kRollback);
  ASSERT_TRUE(rolled) << state::test::why(rolled);
  ASSERT_TRUE(promoted(rolled->revision.value));
  const auto page = service_->list({"shop", "main", false, 0, 1});
  const auto detail = service_->get(page->rollouts.front().id);
  ASSERT_TRUE(detail);
  EXPECT_EQ(detail->view.summary.targets, 1u);
  EXPECT_THAT(detail->view.plan->reasons, ::testing::Contains(AllOf(HasSubstr("web-9"), HasSubstr("without it"))));
  // Any other revision goes nowhere until policy and targets agree again.
  write({{"app", "newer\n"}});
  EXPECT_TRUE(test::eventually([&] {
    const auto branches = service_->branches();
    return branches.size() == 1 && branches.front().status.problem.find("web-9") != std::string::npos;
  }));
}

TEST_F(DocumentGuardTest, TargetsOfTheSameChangeCountAndThoseThatItTakesAwayDoNot) {
  write({{"targets/web-1.yaml", target("web-1")}, {"app", "1\n"}}, "main", "st8/system");
  guard();
  remember_head("st8/system");
  const auto together = harness_.apply({{kPolicyDocument, "branches: [main]\ntargets: {names: [web-1, web-2]}\n"},
                                        {"targets/web-2.yaml", target("web-2")}},
                                       "main", "st8/system");
  ASSERT_TRUE(together) << state::test::why(together);
  remember_head("st8/system");
  auto request = StoreHarness::apply_request({{kPolicyDocument, "branches: [main]\ntargets: {names: [web-2]}\n"}},
                                             "main", "st8/system");
  request.unset.push_back(state::test::key("targets/web-2.yaml"));
  expect_refused(harness_->apply(std::move(request)), "there is no target \"web-2\"", "did you mean `web-1`?",
                 "st8/system");
}

}  // namespace
}  // namespace st8::target
