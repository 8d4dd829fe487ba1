// The examples of Kitsune's README, run as they are given there, with the waits that they name: `st8ctl import kitsune`, three real
// workers, each on a machine of its own as far as files go (own_machine.h), so that /etc/app/config.json and a deploy.sh of
// the PATH are three. What differs is what must on one machine: st8d listens on a port that the system picks, and the workers'
// own directories lie below the test's. Then, the promises of that README which the original does not keep.
#include <deque>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <httplib.h>
#include <nlohmann/json.hpp>

#include "cli/cli_fixture.h"
#include "st8/state/clock.h"
#include "support/own_machine.h"
#include "support/worker_process.h"

namespace st8::test {
namespace {

using Json = nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;

constexpr const char* kServers = R"(["server-1", "server-2", "server-3"])";
constexpr const char* kConfig = "/etc/app/config.json";
constexpr const char* kNewConfig = R"({"key": "value"})";

// "Trigger an Orchestration".
constexpr const char* kOrchestration = R"({
    "servers": ["server-1", "server-2", "server-3"],
    "steps": [
      {
        "name": "deploy",
        "type": "script",
        "params": {
          "command": "deploy.sh",
          "args": ["--version", "v1.2.3"]
        },
        "required": true
      }
    ],
    "rolloutStrategy": {
      "type": "Rolling",
      "batchSize": 1,
      "batchDelaySeconds": 30,
      "maxFailures": 1
    }
  })";
// "Step Types".
constexpr const char* kEchoStep =
    R"({"name": "log-message", "type": "echo", "params": {"message": "Starting deployment"}})";
constexpr const char* kScriptStep =
    R"({"name": "run-deploy", "type": "script", "params": {"command": "deploy.sh", "args": ["--version", "v1.2.3"]}})";
constexpr const char* kSleepStep = R"({"name": "wait", "type": "sleep", "params": {"duration": "30s"}})";
constexpr const char* kFileStep =
    R"({"name": "write-config", "type": "file_write", "params": {"path": "/etc/app/config.json", "content": "{\"key\": \"value\"}"}})";
// "Rollout Strategies", and that of the request under "Configuration".
constexpr const char* kParallel = R"({"type": "Parallel"})";
constexpr const char* kSequential = R"({"type": "Sequential", "maxFailures": 1})";
constexpr const char* kWithCanary =
    R"({"type": "Rolling", "batchSize": 1, "batchDelaySeconds": 0, "maxFailures": 0, "canaryPercentage": 10})";

std::string request(const std::vector<Json>& steps, const std::string& strategy) {
  return Json{{"servers", Json::parse(kServers)}, {"steps", steps}, {"rolloutStrategy", Json::parse(strategy)}}.dump(2);
}
Json step(const char* text) { return Json::parse(text); }
Json required(const char* text) {
  Json made = Json::parse(text);
  made["required"] = true;
  return made;
}

class Kitsune : public testing::Test {
 protected:
  Kitsune() : cli_(Mode::kServer) {
    for (int i = 1; i <= 3; ++i) machines_.emplace_back(cli_.work() / "machines" / std::to_string(i));
  }
  void SetUp() override {
    if (const std::string problem = machines_[0].problem(); !problem.empty()) GTEST_SKIP() << problem;
    std::filesystem::create_directories(cli_.work() / "roots");
    for (int i = 1; i <= 3; ++i) {
      const OwnMachine& machine = machines_[index(i)];
      // The deploy.sh that the README takes for granted on every server: it notes its arguments, and fails where it is told to.
      machine.put("/usr/local/bin/deploy.sh",
                  "#!/bin/sh\necho \"$@\" >>'" + mark(i, "deploys") + "'\ntest ! -e '" + mark(i, "broken") + "'\n",
                  std::filesystem::perms(0755));
      std::filesystem::create_directories(machine.written("/etc/app"));
      workers_.emplace_back(cli_.url(), "server-" + std::to_string(i), cli_.work() / "roots",
                            std::vector<std::string>{"--allow-steps"}, machine.before());
    }
  }
  static std::size_t index(int server) { return static_cast<std::size_t>(server - 1); }
  const OwnMachine& machine(int server) const { return machines_[index(server)]; }
  std::string mark(int server, const std::string& what) const {
    return (cli_.work() / (what + "-" + std::to_string(server))).string();
  }
  void break_deploys(std::initializer_list<int> servers) const {
    for (const int server : servers) write_file(mark(server, "broken"), "");
  }
  std::string deploys(int server) const { return read_file(mark(server, "deploys")); }
  static RunOptions ops() { return with_environment({{"ST8CTL_NAMESPACE", "ops"}}); }
  // Imports the request and takes it live, as its `temporal workflow start` would.
  void run(const std::string& text, std::initializer_list<int> online = {1, 2, 3}) {
    for (const int server : online) workers_[index(server)].start();
    cli_.file("request.json", text);
    cli_.ok({"apply", "-v", "app/version=v1.2.3"}, ops());
    report_ = cli_.ok({"import", "kitsune", "request.json", "--apply"}, ops());
  }
  Json rollout(const std::string& id) const {
    httplib::Client client(cli_.url());
    client.set_read_timeout(30, 0);
    const auto answer = client.Get("/v1/rollouts/" + id);
    return answer ? Json::parse(answer->body, nullptr, false) : Json();
  }
  Json comes_to(const std::string& id, const std::string& phase) const {
    Json found;
    EXPECT_TRUE(eventually(
        [&] {
          found = rollout(id);
          return found.is_object() && found.value("phase", "") == phase;
        },
        std::chrono::seconds(240)))
        << phase << ": " << found.dump(1) << workers_[0].log();
    return found;
  }
  static std::vector<Json> events(const Json& rollout, const std::string& kind) {
    std::vector<Json> found;
    for (const Json& event : rollout["events"]) {
      if (event["kind"] == kind) found.push_back(event);
    }
    return found;
  }
  static std::int64_t millis(const Json& event) {
    const auto time = parse_rfc3339(event["at"].get<std::string>());
    return time ? time->micros / 1000 : 0;
  }
  static Json target(const Json& rollout, const std::string& name) {
    for (const Json& one : rollout["targets"]) {
      if (one["name"] == name) return one;
    }
    return {};
  }

  Cli cli_;
  std::deque<OwnMachine> machines_;
  std::deque<WorkerProcess> workers_;
  std::string report_;
};

TEST_F(Kitsune, TheOrchestrationOfItsReadme) {
  run(kOrchestration);
  const Json over = comes_to("r-1", "promoted");
  for (const int server : {1, 2, 3}) {
    EXPECT_EQ(deploys(server), "--version v1.2.3\n") << server;
    EXPECT_EQ(read_file(workers_[index(server)].root() / "current/app/version"), "v1.2.3") << server;
  }
  // One server a batch, with the whole delay between one and the next.
  std::vector<std::string> order;
  for (const Json& event : events(over, "op.started")) {
    if (event["operation"] == "step") order.push_back(event["target"]);
  }
  EXPECT_THAT(order, ElementsAre("server-1", "server-2", "server-3"));
  const auto begun = events(over, "gate.started"), passed = events(over, "gate.passed");
  ASSERT_EQ(begun.size(), 2u);
  ASSERT_EQ(passed.size(), 2u);
  for (std::size_t i = 0; i < 2; ++i) EXPECT_GE(millis(passed[i]) - millis(begun[i]), 30'000);
}

TEST_F(Kitsune, TheStepsOfItsReadme) {
  run(request({step(kEchoStep), step(kScriptStep), step(kSleepStep), step(kFileStep)}, kParallel));
  const Json over = comes_to("r-1", "promoted");
  for (const int server : {1, 2, 3}) {
    EXPECT_EQ(deploys(server), "--version v1.2.3\n") << server;
    EXPECT_EQ(machine(server).read(kConfig), kNewConfig) << server;
  }
  EXPECT_FALSE(std::filesystem::exists(kConfig)) << "the machines are not machines of their own";
  std::map<std::string, std::int64_t> began;
  std::size_t waits = 0, greetings = 0;
  for (const Json& event : over["events"]) {
    if (event.value("name", "") == "wait" && event["kind"] == "op.started") began[event["target"]] = millis(event);
    if (event.value("name", "") == "wait" && event["kind"] == "op.succeeded") {
      ++waits;
      EXPECT_GE(millis(event) - began.at(event["target"]), 30'000);
    }
    greetings += event.value("detail", "").find("Starting deployment") != std::string::npos ? 1 : 0;
  }
  EXPECT_EQ(waits, 3u);
  EXPECT_EQ(greetings, 3u) << "its output is in the history of the rollout";
}

// "Automatic rollback is triggered for already-executed steps", those of the server that failed as well; what was there before comes
// back, with its mode; and up to maxFailures servers may fail without stopping the others.
TEST_F(Kitsune, AServerThatFailsGetsBackWhatItHadAndTheOthersGoOn) {
  machine(2).put(kConfig, "old\n", std::filesystem::perms(0600));
  break_deploys({2});
  run(request({step(kFileStep), required(kScriptStep)}, kSequential));
  const Json held = comes_to("r-1", "incomplete");
  EXPECT_EQ(machine(1).read(kConfig), kNewConfig);
  EXPECT_EQ(machine(3).read(kConfig), kNewConfig);
  EXPECT_EQ(machine(2).read(kConfig), "old\n");
  EXPECT_EQ(std::filesystem::status(machine(2).written(kConfig)).permissions(), std::filesystem::perms(0600));
  EXPECT_EQ(deploys(2), "--version v1.2.3\n--version v1.2.3\n--version v1.2.3\n") << "three attempts, as there";
  EXPECT_EQ(held["targets_failed"], 1);
  EXPECT_EQ(target(held, "server-2")["failed"], true);
  // Mended and tried again, it is whole.
  std::filesystem::remove(mark(2, "broken"));
  cli_.ok({"rollout", "retry", "r-1"}, ops());
  comes_to("r-1", "promoted");
  EXPECT_EQ(machine(2).read(kConfig), kNewConfig);
}

// "Allow up to N server failures before stopping": one more, and all is as it was, with every server's result still told.
TEST_F(Kitsune, BeyondMaxFailuresAllGoesBackAndTheResultsStay) {
  machine(1).put(kConfig, "old 1\n", std::filesystem::perms(0640));
  break_deploys({2, 3});
  run(request({step(kFileStep), required(kScriptStep)}, kSequential));
  const Json over = comes_to("r-1", "rolled-back");
  EXPECT_EQ(machine(1).read(kConfig), "old 1\n");
  EXPECT_FALSE(machine(2).has(kConfig));
  EXPECT_FALSE(machine(3).has(kConfig));
  for (const int server : {1, 2, 3})
    EXPECT_FALSE(std::filesystem::exists(workers_[index(server)].root() / "current/app/version")) << server;
  EXPECT_EQ(over["targets_failed"], 2);
  for (const char* server : {"server-1", "server-2", "server-3"})
    EXPECT_EQ(target(over, server)["stage"], "restored") << over["targets"].dump(1);
  for (const char* server : {"server-2", "server-3"})
    EXPECT_THAT(target(over, server)["error"].get<std::string>(), HasSubstr("exit 1"));
  EXPECT_FALSE(target(over, "server-1")["failed"].get<bool>());
  // The same after a restart: the results do not go with the process that had them.
  cli_.restart();
  const Json again = rollout("r-1");
  EXPECT_EQ(again["targets"], over["targets"]);
}

// A worker that never comes is a failure of its server, in bounded time.
TEST_F(Kitsune, AServerThatIsAwayDoesNotHangTheRollout) {
  run(request({step(kFileStep), required(kScriptStep)}, kParallel), {1, 2});
  const Json over = comes_to("r-1", "rolled-back");
  EXPECT_THAT(target(over, "server-3")["error"].get<std::string>(), HasSubstr("server-3 is not there"));
  EXPECT_FALSE(machine(1).has(kConfig));
  EXPECT_FALSE(machine(2).has(kConfig));
}

// canaryPercentage: with 10 of 100 of three servers, one server meets the bad deployment.
TEST_F(Kitsune, ItsCanaryIsHonoured) {
  break_deploys({1, 2, 3});
  run(request({step(kFileStep), required(kScriptStep)}, kWithCanary));
  const Json over = comes_to("r-1", "rolled-back");
  EXPECT_EQ(over["targets_touched"], 1);
  EXPECT_NE(deploys(1), "");
  EXPECT_EQ(deploys(2) + deploys(3), "");
  EXPECT_THAT(report_, HasSubstr("canaryPercentage"));
}

TEST_F(Kitsune, WhatMeansNothingIsRefusedBeforeAnythingIsMade) {
  for (const auto& [text, said] :
       {std::pair{request({step(kEchoStep)}, R"({"type": "Blue"})"), "is not one of Parallel, Sequential and Rolling"},
        std::pair{request({Json{{"name", "x"}, {"type", "format_disk"}, {"params", Json::object()}}}, kParallel),
                  "is not one of echo, script, sleep, file_write and yum_upgrade"}}) {
    cli_.file("request.json", text);
    const RunResult result = cli_.run({"import", "kitsune", "request.json", "--apply"}, ops());
    EXPECT_EQ(result.code, 9);
    EXPECT_THAT(result.err, HasSubstr(said));
  }
  EXPECT_EQ(cli_.ok({"target", "list"}, ops()).find("server-"), std::string::npos);
}

}  // namespace
}  // namespace st8::test
