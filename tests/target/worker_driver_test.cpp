// The worker driver: hub and worker in one process through the conformance suite; sessions, leases, and going back.
#include <filesystem>
#include <fstream>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "driver_conformance.h"
#include "effects/step_host.h"
#include "st8/state/clock.h"
#include "st8/state/failpoint.h"
#include "support/eventually.h"
#include "support/local_worker.h"
#include "support/temp_directory.h"

namespace st8::target::conformance {
namespace {

namespace fs = std::filesystem;
using FileMap = std::map<std::string, FileOnTarget>;
using Json = nlohmann::json;
using test::eventually;
using test::LocalWorker;
using testing::HasSubstr;
using testing::Not;

const WorkerHubOptions kSoon{std::chrono::milliseconds(50), std::chrono::milliseconds(300),
                             std::chrono::milliseconds(500), 100, 16};

std::unique_ptr<TargetDriver> driver_of(const DriverFactory& drivers, const std::string& spec) {
  auto made = drivers.make(
      {*TargetName::parse("t"), "worker", {}, Criticality::kMedium, "", "kind: worker\nspec: {" + spec + "}\n"});
  EXPECT_TRUE(made) << made.error().message;
  return std::move(*made);
}

class WorkerSubject final : public Subject {
 public:
  explicit WorkerSubject(bool files)
      : files_(files), worker_(std::make_unique<LocalWorker>(hub_, "w", root().string())) {}
  std::unique_ptr<TargetDriver> driver() override {
    return driver_of(*drivers_,
                     std::string("worker: w, directory: app/web, keep: 2, mode: ") + (files_ ? "files" : "directory"));
  }
  FileMap live() override { return files_below(live_root()); }
  bool tamper() override {
    const FileMap files = live();
    if (files.empty()) return false;
    std::ofstream(live_root() / files.begin()->first, std::ios::app) << "x";
    return true;
  }
  std::function<void()> cut_off() override {
    worker_.reset();
    return [this] { worker_ = std::make_unique<LocalWorker>(hub_, "w", root().string()); };
  }

 private:
  fs::path root() const { return directory_.path() / "root"; }
  fs::path live_root() const { return root() / "app/web" / (files_ ? "" : "current"); }
  const bool files_;
  test::TempDirectory directory_;
  WorkerHub hub_{system_clock(), kSoon};
  std::unique_ptr<DriverFactory> drivers_ = drivers_with_workers(hub_);
  std::unique_ptr<LocalWorker> worker_;
};

INSTANTIATE_TEST_SUITE_P(WorkerDrivers, DriverConformance,
                         ::testing::Values(Named{"worker_directory",
                                                 [] { return std::make_unique<WorkerSubject>(false); }},
                                           Named{"worker_files", [] { return std::make_unique<WorkerSubject>(true); }}),
                         [](const auto& instance) { return instance.param.name; });

class WorkerDriver : public ::testing::Test {
 protected:
  std::string root() const { return (directory_.path() / "root").string(); }
  std::unique_ptr<LocalWorker> worker() { return std::make_unique<LocalWorker>(hub_, "w", root()); }
  std::unique_ptr<TargetDriver> driver() const { return driver_of(*drivers_, "worker: w"); }
  FileMap live() const { return files_below(fs::path(root()) / "current"); }
  // Stages and activates; to be confirmed within that time.
  Status go_live(const Content& content, std::uint64_t token, const std::string& point,
                 std::chrono::milliseconds confirm = {}) const {
    CallContext call = call_of(token, point);
    ST8_TRY(driver()->stage(call, content));
    call.confirm = confirm;
    return driver()->activate(call, content.label());
  }
  // A delivery as a worker of the test's own gets it.
  static Json delivery(test::MemoryStream& stream) {
    for (;;) {
      const auto line = stream.next();
      if (!line) return {};
      Json json = Json::parse(*line);
      if (json["type"] == "assignment") return json;
    }
  }
  static std::string poll_body(const std::string& session, std::vector<std::uint64_t> held = {}) {
    return Json({{"protocol", "st8-worker/1"}, {"session", session}, {"held", held}}).dump();
  }
  static std::string report_body(const std::string& session, const Json& delivered) {
    return Json({{"session", session},
                 {"assignment", delivered["assignment"]},
                 {"lease", delivered["lease"]},
                 {"ok", true},
                 {"present", false}})
        .dump();
  }

  const Content one_ = content_of(1, {{"a", {"one", 0644}}});
  const Content two_ = content_of(2, {{"a", {"two", 0644}}});
  const Content three_ = content_of(3, {{"a", {"three", 0644}}});
  const FileMap live_one_ = {{"a", {"one", 0644}}};
  test::TempDirectory directory_;
  WorkerHub hub_{system_clock(), kSoon};
  std::unique_ptr<DriverFactory> drivers_ = drivers_with_workers(hub_);
  const WorkerName name_ = *WorkerName::parse("w");
};

TEST_F(WorkerDriver, AWorkerThatIsNotThereIsSaidSoAndWaitedForALittle) {
  const auto seen = driver()->observe(call_of(1, ""));
  ASSERT_FALSE(seen);
  EXPECT_EQ(seen.error().code, ErrorCode::kUnavailable);
  EXPECT_THAT(seen.error().message, HasSubstr("worker w is not there"));
  EXPECT_TRUE(hub_.workers().empty());
  std::optional<Result<Observation>> waited;
  std::thread caller([&] { waited = driver()->observe(call_of(1, "")); });
  const auto late = worker();
  caller.join();
  EXPECT_TRUE(waited->has_value());
  ASSERT_EQ(hub_.workers().size(), 1u);
  EXPECT_TRUE(hub_.workers()[0].connected);
}

TEST_F(WorkerDriver, LargeContentIsFetchedFileByFileAndOnlyWhatIsNotThere) {
  const auto agent = worker();
  FileMap files;
  for (int i = 0; i < 5; ++i) files["f" + std::to_string(i)] = {std::string(100'000, static_cast<char>('a' + i)), 0644};
  ASSERT_TRUE(go_live(content_of(1, files), 1, "r-1"));
  EXPECT_EQ(live(), files);
  EXPECT_EQ(agent->transport().fetched(), 5);
  files["f3"].bytes = std::string(100'000, 'z');
  ASSERT_TRUE(go_live(content_of(2, files), 2, "r-2"));
  EXPECT_EQ(live(), files);
  EXPECT_EQ(agent->transport().fetched(), 6);
}

TEST_F(WorkerDriver, APollThatEndsLosesNothing) {
  const auto agent = worker();
  for (std::uint64_t i = 1; i <= 20; ++i) {
    agent->transport().cut(i % 3 == 0);
    std::thread back([&] { agent->transport().cut(false); });
    const auto done = go_live(content_of(i, {{"a", {std::to_string(i), 0644}}}), i, "r-" + std::to_string(i));
    back.join();
    ASSERT_TRUE(done) << i << ": " << done.error().message;
    EXPECT_EQ(live(), (FileMap{{"a", {std::to_string(i), 0644}}}));
  }
}

TEST_F(WorkerDriver, WhatAnOlderProcessHadIsGivenToTheNewerAndItsReportIsRefused) {
  const std::string first = "first-session-0000", second = "second-session-000";
  auto one = std::make_shared<test::MemoryStream>(), two = std::make_shared<test::MemoryStream>();
  hub_.attach(*hub_.admit(name_, poll_body(first)), one);
  std::optional<Result<Observation>> seen;
  std::thread caller([&] { seen = driver()->observe(call_of(1, "")); });
  const Json delivered = delivery(*one);
  hub_.attach(*hub_.admit(name_, poll_body(second)), two);
  const Json again = delivery(*two);
  EXPECT_EQ(again["assignment"], delivered["assignment"]);
  EXPECT_NE(again["lease"], delivered["lease"]);
  EXPECT_TRUE(one->closed());
  const auto stale = hub_.report(name_, report_body(first, delivered));
  ASSERT_FALSE(stale);
  EXPECT_EQ(stale.error().code, ErrorCode::kPreconditionFailed);
  // Not under the older lease either.
  EXPECT_FALSE(hub_.report(name_, report_body(second, delivered)));
  EXPECT_EQ(hub_.admit(name_, poll_body(first)).error().code, ErrorCode::kPreconditionFailed);
  EXPECT_TRUE(hub_.report(name_, report_body(second, again)));
  caller.join();
  ASSERT_TRUE(*seen);
  EXPECT_FALSE((*seen)->present);
  // It is over: a second report is for nobody.
  EXPECT_EQ(hub_.report(name_, report_body(second, again)).error().code, ErrorCode::kNotFound);
}

TEST_F(WorkerDriver, WhatAProcessHoldsIsNotDeliveredTwiceAndWhatItLostIs) {
  const std::string session = "the-one-session-00";
  auto one = std::make_shared<test::MemoryStream>(), two = std::make_shared<test::MemoryStream>(),
       three = std::make_shared<test::MemoryStream>();
  hub_.attach(*hub_.admit(name_, poll_body(session)), one);
  std::optional<Result<Observation>> seen;
  std::thread caller([&] { seen = driver()->observe(call_of(1, "")); });
  const Json delivered = delivery(*one);
  hub_.attach(*hub_.admit(name_, poll_body(session, {delivered["assignment"].get<std::uint64_t>()})), two);
  EXPECT_EQ(Json::parse(*two->next())["type"], "welcome");
  EXPECT_EQ(Json::parse(*two->next())["type"], "alive");
  hub_.attach(*hub_.admit(name_, poll_body(session)), three);
  const Json again = delivery(*three);
  EXPECT_EQ(again["assignment"], delivered["assignment"]);
  EXPECT_TRUE(hub_.report(name_, report_body(session, again)));
  caller.join();
  EXPECT_TRUE(*seen);
}

TEST_F(WorkerDriver, TwoProcessesOfOneNameAreOneTooMany) {
  const auto first = worker();
  ASSERT_TRUE(driver()->check(call_of(1, "")));
  // On the same directory: the lock tells.
  const auto same = worker()->wait();
  ASSERT_FALSE(same);
  EXPECT_EQ(same.error().code, ErrorCode::kConflict);
  // On another: the newer one works, the older one ends.
  LocalWorker second(hub_, "w", (directory_.path() / "other").string());
  const auto ended = first->wait();
  ASSERT_FALSE(ended);
  EXPECT_EQ(ended.error().code, ErrorCode::kPreconditionFailed);
  EXPECT_TRUE(driver()->check(call_of(1, "")));
}

TEST_F(WorkerDriver, WhatIsNotUnderstoodIsRefused) {
  for (const char* body :
       {"", "[]", "{}", "{\"protocol\":\"st8-worker/2\",\"session\":\"0123456789abcdef\"}",
        "{\"protocol\":\"st8-worker/1\",\"session\":7}", "{\"protocol\":\"st8-worker/1\",\"session\":\"short\"}",
        "{\"protocol\":\"st8-worker/1\",\"session\":\"0123456789abcdef\",\"held\":\"x\"}"}) {
    const auto admitted = hub_.admit(name_, body);
    ASSERT_FALSE(admitted) << body;
    EXPECT_EQ(admitted.error().code, ErrorCode::kInvalidArgument) << body;
  }
  for (const char* body : {"", "{}", "{\"session\":\"s\",\"assignment\":-1,\"lease\":1,\"ok\":true}",
                           "{\"session\":\"s\",\"assignment\":1,\"lease\":1}"})
    EXPECT_FALSE(hub_.report(name_, body)) << body;
}

TEST_F(WorkerDriver, AReportThatIsNoneIsAnErrorOfTheCall) {
  const std::string session = "the-one-session-00";
  auto stream = std::make_shared<test::MemoryStream>();
  hub_.attach(*hub_.admit(name_, poll_body(session)), stream);
  for (const Json& more : {Json{{"ok", true}}, Json{{"ok", true}, {"present", true}},
                           Json{{"ok", true}, {"present", true}, {"hash", "xyz"}}, Json{{"ok", false}},
                           Json{{"ok", false}, {"code", "unprocessable"}, {"message", "no"}}}) {
    std::optional<Result<Observation>> seen;
    std::thread caller([&] { seen = driver()->observe(call_of(1, "")); });
    const Json delivered = delivery(*stream);
    Json report = {{"session", session}, {"assignment", delivered["assignment"]}, {"lease", delivered["lease"]}};
    report.update(more);
    EXPECT_TRUE(hub_.report(name_, report.dump())) << more;
    caller.join();
    EXPECT_FALSE(*seen) << more;
  }
}

TEST_F(WorkerDriver, ACallThatIsGivenUpIsCancelledAtTheWorker) {
  const std::string session = "the-one-session-00";
  auto stream = std::make_shared<test::MemoryStream>();
  hub_.attach(*hub_.admit(name_, poll_body(session)), stream);
  CallContext call = call_of(1, "");
  call.cancelled = std::make_shared<std::atomic<bool>>(false);
  std::optional<Result<Observation>> seen;
  std::thread caller([&] { seen = driver()->observe(call); });
  const Json delivered = delivery(*stream);
  call.cancelled->store(true);
  caller.join();
  EXPECT_EQ(seen->error().code, ErrorCode::kUnavailable);
  Json line;
  do line = Json::parse(*stream->next());
  while (line["type"] == "alive");
  EXPECT_EQ(line["type"], "cancel");
  EXPECT_EQ(line["assignment"], delivered["assignment"]);
}

TEST_F(WorkerDriver, LinksThatLeadOutOfItsRootAreNotFollowed) {
  const auto agent = worker();
  fs::create_directory(directory_.path() / "elsewhere");
  fs::create_directory_symlink(directory_.path() / "elsewhere", fs::path(root()) / "out");
  const auto target = driver_of(*drivers_, "worker: w, directory: out");
  const auto staged = target->stage(call_of(1, "r-1"), one_);
  ASSERT_FALSE(staged);
  EXPECT_EQ(staged.error().code, ErrorCode::kUnprocessable);
  EXPECT_TRUE(fs::is_empty(directory_.path() / "elsewhere"));
}

// --- Going back ---

TEST_F(WorkerDriver, WhatIsNotConfirmedInTimeGoesBackAlsoWhenNobodyIsReached) {
  const auto agent = worker();
  ASSERT_TRUE(go_live(one_, 1, "r-1"));
  ASSERT_TRUE(go_live(two_, 2, "r-2", std::chrono::milliseconds(300)));
  agent->transport().cut(true);
  EXPECT_TRUE(eventually([&] { return live() == live_one_; }));
  agent->transport().cut(false);
  ASSERT_TRUE(eventually([&] { return driver()->check(call_of(2, "r-2")).has_value(); }));
  EXPECT_EQ(driver()->observe(call_of(2, "r-2"))->content, one_.hash);
  const auto confirmed = driver()->confirm(call_of(2, "r-2"));
  ASSERT_FALSE(confirmed);
  EXPECT_EQ(confirmed.error().code, ErrorCode::kUnprocessable);
  EXPECT_THAT(confirmed.error().message, HasSubstr("went back by itself"));
}

TEST_F(WorkerDriver, AnActivationWithNothingBeforeItGoesBackToNothing) {
  const auto agent = worker();
  ASSERT_TRUE(go_live(one_, 1, "r-1", std::chrono::milliseconds(200)));
  EXPECT_TRUE(eventually([&] { return !fs::exists(fs::symlink_status(fs::path(root()) / "current")); }));
}

TEST_F(WorkerDriver, WhatIsConfirmedStays) {
  const auto agent = worker();
  ASSERT_TRUE(go_live(one_, 1, "r-1"));
  const auto begun = system_clock().monotonic();
  ASSERT_TRUE(go_live(two_, 2, "r-2", std::chrono::seconds(2)));
  for (int i = 0; i < 2; ++i) ASSERT_TRUE(driver()->confirm(call_of(2, "r-2")));
  EXPECT_FALSE(driver()->confirm(call_of(2, "r-9")));
  EXPECT_TRUE(eventually([&] { return system_clock().monotonic() - begun > std::chrono::milliseconds(2'200); }));
  ASSERT_TRUE(driver()->check(call_of(2, "r-2")));
  EXPECT_EQ(live(), (FileMap{{"a", {"two", 0644}}}));
}

TEST_F(WorkerDriver, TheDeadlineOutlivesTheWorker) {
  {
    const auto agent = worker();
    ASSERT_TRUE(go_live(one_, 1, "r-1"));
    ASSERT_TRUE(go_live(two_, 2, "r-2", std::chrono::milliseconds(500)));
  }
  EXPECT_EQ(live(), (FileMap{{"a", {"two", 0644}}}));
  // Nobody is reached by the next one either.
  LocalWorker next(hub_, "w", root());
  next.transport().cut(true);
  EXPECT_TRUE(eventually([&] { return live() == live_one_; }));
}

TEST_F(WorkerDriver, OverAnUnconfirmedActivationTheWayBackLeadsBeyondBoth) {
  const auto agent = worker();
  ASSERT_TRUE(go_live(one_, 1, "r-1"));
  ASSERT_TRUE(go_live(two_, 2, "r-2", std::chrono::seconds(30)));
  ASSERT_TRUE(go_live(three_, 3, "r-3", std::chrono::milliseconds(300)));
  // What the way back needs is not discarded.
  ASSERT_TRUE(driver()->discard(call_of(3, "")));
  EXPECT_TRUE(eventually([&] { return live() == live_one_; }));
}

TEST_F(WorkerDriver, ARestoreEndsTheWaitAndANewActivationBeginsAnother) {
  const auto agent = worker();
  ASSERT_TRUE(go_live(one_, 1, "r-1"));
  ASSERT_TRUE(go_live(two_, 2, "r-2", std::chrono::seconds(30)));
  ASSERT_TRUE(driver()->restore(call_of(2, "r-2")));
  EXPECT_EQ(live(), live_one_);
  EXPECT_FALSE(driver()->confirm(call_of(2, "r-2")));
  ASSERT_TRUE(go_live(two_, 2, "r-2", std::chrono::milliseconds(300)));
  EXPECT_TRUE(eventually([&] { return live() == live_one_; }));
}

// --- Steps ---

class WorkerSteps : public WorkerDriver {
 protected:
  effects::StepOutcome script(const std::string& line, bool idempotent = false,
                              effects::StepAction action = effects::StepAction::kRun) const {
    StepSpec step;
    step.name = "it";
    step.kind = StepKind::kScript;
    step.params = {{"command", line}, {"rollback", "echo undone for {{ target.labels.zone }}"}};
    step.idempotent = idempotent;
    const Target target{*TargetName::parse("t"), "worker", {{"zone", "a"}}, Criticality::kMedium, "prod", ""};
    const auto driver = this->driver();
    auto* host = dynamic_cast<effects::StepHost*>(driver.get());
    EXPECT_NE(host, nullptr);
    return host->step(call_of(1, "r-1"), action, step, {"shop", "main", {7}, target, "r-1", "r-1", &system_clock()});
  }
};

TEST_F(WorkerSteps, AreDoneThereWithTheirEnvironmentAndOutput) {
  const auto agent = worker();
  const auto done = script("echo $ST8_TARGET $ST8_NAMESPACE $ST8_BRANCH $ST8_REVISION $ST8_ROLLOUT");
  ASSERT_TRUE(done.status) << done.status.error().message;
  EXPECT_EQ(done.output, "t shop main 7 r-1\n");
  const auto failed = script("echo why; exit 3");
  ASSERT_FALSE(failed.status);
  EXPECT_EQ(failed.status.error().code, ErrorCode::kUnprocessable);
  EXPECT_EQ(failed.status.error().message, "exit 3");
  EXPECT_EQ(failed.output, "why\n");
  EXPECT_EQ(script("", false, effects::StepAction::kUndo).output, "undone for a\n");
}

TEST_F(WorkerSteps, ALongOneKeepsNothingElseWaiting) {
  const auto agent = worker();
  const std::string go = (directory_.path() / "go").string();
  std::optional<effects::StepOutcome> outcome;
  std::thread caller([&] { outcome = script("while [ ! -e " + go + " ]; do sleep 0.01; done"); });
  EXPECT_TRUE(go_live(one_, 1, "r-1"));
  EXPECT_EQ(live(), live_one_);
  std::ofstream(go).flush();
  caller.join();
  EXPECT_TRUE(outcome->status);
}

TEST_F(WorkerSteps, AWorkerDoesNoneThatItWasNotToldToDo) {
  const LocalWorker agent(hub_, "w", root(), false);
  const auto refused = script("true");
  ASSERT_FALSE(refused.status);
  EXPECT_EQ(refused.status.error().code, ErrorCode::kUnprocessable);
  EXPECT_THAT(refused.status.error().hint, HasSubstr("--allow-steps"));
}

TEST_F(WorkerSteps, OneThatMayBeDoneOnceIsNotDeliveredTwice) {
  auto one = std::make_shared<test::MemoryStream>(), two = std::make_shared<test::MemoryStream>();
  hub_.attach(*hub_.admit(name_, poll_body("first-session-0000")), one);
  std::optional<effects::StepOutcome> once, again;
  std::thread caller([&] { once = script("true"); });
  EXPECT_EQ(delivery(*one)["operation"], "step");
  std::thread other([&] { again = script("true", true); });
  EXPECT_EQ(delivery(*one)["operation"], "step");
  hub_.attach(*hub_.admit(name_, poll_body("second-session-000")), two);
  const Json delivered = delivery(*two);
  EXPECT_EQ(delivered["once"], false);
  EXPECT_TRUE(hub_.report(name_, report_body("second-session-000", delivered)));
  caller.join();
  other.join();
  ASSERT_FALSE(once->status);
  EXPECT_EQ(once->status.error().code, ErrorCode::kOutcomeUnknown);
  EXPECT_TRUE(again->status);
}

TEST_F(WorkerDriver, ItsSpecIsReadStrictly) {
  for (const auto& [spec, problem] :
       std::map<std::string, std::string>{{"{}", "worker"},
                                          {"{worker: \"A b\"}", "worker name"},
                                          {"{worker: w, directory: /abs}", "relative"},
                                          {"{worker: w, directory: a/../b}", "relative"},
                                          {"{worker: w, directory: .st8/x}", "belongs to the worker"},
                                          {"{worker: w, mode: link}", "directory"},
                                          {"{worker: w, root: /x}", "root"}}) {
    std::vector<DocumentProblem> problems;
    EXPECT_FALSE(parse_target(*TargetName::parse("t"), "kind: worker\nspec: " + spec + "\n", problems)) << spec;
    std::string all;
    for (const DocumentProblem& one : problems) all += one.str() + "\n";
    EXPECT_THAT(all, HasSubstr(problem)) << spec;
  }
  // Where there is no st8d, nobody reaches a worker.
  EXPECT_FALSE(builtin_drivers().make(
      {*TargetName::parse("t"), "worker", {}, Criticality::kMedium, "", "kind: worker\nspec: {worker: w}\n"}));
}

}  // namespace
}  // namespace st8::target::conformance
