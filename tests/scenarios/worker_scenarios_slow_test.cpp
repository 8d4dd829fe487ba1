// Stories of workers: a real st8d, three real worker processes, each with a token of its own.
#include <deque>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <httplib.h>
#include <nlohmann/json.hpp>

#include "cli/cli_fixture.h"
#include "support/eventually.h"
#include "support/fixed_address.h"
#include "support/worker_process.h"

namespace st8::test {
namespace {

using Json = nlohmann::json;
using testing::HasSubstr;
using Values = std::map<std::string, int>;
constexpr auto kLong = std::chrono::seconds(60);

class Workers : public testing::Test {
 protected:
  static constexpr const char* kRoot = "root-token-with-enough-bytes";

  // The tokens must be there before st8d, whose flags name them.
  Workers() : cli_(Mode::kServer, {"--auth-config", tokens(), "--listen", fixed_address()}) {
    std::filesystem::create_directory(live());
    for (int i = 1; i <= 3; ++i) {
      const std::string name = "w" + std::to_string(i);
      write_file(cli_.work() / (name + ".token"), "worker-" + name + "-token-with-enough-bytes\n");
      workers_.emplace_back(
          cli_.url(), name, live(),
          std::vector<std::string>{"--allow-steps", "--token-file", (cli_.work() / (name + ".token")).string()});
      workers_.back().start();
      cli_.file("system/targets/t" + std::to_string(i) + ".yaml",
                "kind: worker\nlabels: {role: web}\nspec: {worker: " + name + "}\n");
    }
    ok({"--namespace", "st8/system", "apply", "-f", "system"});
  }
  std::string tokens() const {
    std::string text = std::string("tokens:\n  - {name: root, token: ") + kRoot +
                       ", allow: {namespaces: [\"*\"], branches: [\"*\"], verbs: [read, write, admin]}}\n";
    for (const std::string name : {"w1", "w2", "w3"}) {
      text += "  - {name: " + name + ", token: worker-" + name +
              "-token-with-enough-bytes, allow: {namespaces: [st8/system], branches: [main], key_prefix: \"workers/" +
              name + "/\", verbs: [write]}}\n";
    }
    write_file(tokens_.path() / "tokens.yaml", text);
    return (tokens_.path() / "tokens.yaml").string();
  }
  std::filesystem::path live() const { return cli_.work() / "live"; }
  static RunOptions in(const std::string& ns) {
    return with_environment({{"ST8CTL_NAMESPACE", ns}, {"ST8CTL_TOKEN", kRoot}});
  }
  std::string ok(std::vector<std::string> words, const std::string& ns = "shop") const {
    return cli_.ok(std::move(words), in(ns));
  }
  Json get(const std::string& target) {
    httplib::Client client(cli_.url());
    client.set_bearer_token_auth(kRoot);
    client.set_read_timeout(30, 0);
    const auto answer = client.Get(target);
    return answer ? Json::parse(answer->body, nullptr, false) : Json();
  }
  std::string policy(const std::string& more = {}) const {
    return "branches: [main]\ntargets: {labels: {role: web}}\ndocuments: [{match: 'app/**', to: app/}]\nretry: "
           "{attempts: 5, delay: 100ms}\n" +
           more;
  }
  // The rollout once it is over.
  Json ended(const std::string& id) {
    Json rollout;
    EXPECT_TRUE(eventually(
        [&] {
          rollout = get("/v1/rollouts/" + id);
          return rollout.is_object() && rollout.contains("ended_at");
        },
        kLong))
        << id << ": " << rollout.dump(1) << cli_.daemon().log() << workers_[0].log();
    return rollout;
  }
  Values values() const {
    Values counted;
    for (const WorkerProcess& worker : workers_) ++counted[read_file(worker.root() / "current/app/value")];
    return counted;
  }
  void open_shop(const std::string& more = {}) {
    ok({"apply", "-v", ".st8/rollout.yaml=" + policy(more), "-v", "app/value=good 1"});
    ASSERT_EQ(ended("r-1")["phase"], "promoted") << get("/v1/rollouts/r-1").dump(1);
    ASSERT_EQ(values(), (Values{{"good 1", 3}}));
  }

  TempDirectory tokens_;
  Cli cli_;
  std::deque<WorkerProcess> workers_;
};

TEST_F(Workers, ARevisionGoesLiveOnAllAndABadOneComesBack) {
  ASSERT_NO_FATAL_FAILURE(open_shop(
      "strategy: {type: sequential}\nhealth:\n  - name: good\n    command: {argv: [/bin/sh, -c, '! grep -rq bad " +
      live().string() +
      "/*/current/app/value']}\n    interval: 10ms\n    successes: 1\n    failures: 100\n    deadline: 300ms\n"));
  ok({"apply", "-v", "app/value=good 2"});
  EXPECT_EQ(ended("r-2")["phase"], "promoted");
  EXPECT_EQ(values(), (Values{{"good 2", 3}}));
  ok({"apply", "-v", "app/value=bad 3"});
  const Json back = ended("r-3");
  EXPECT_EQ(back["phase"], "rolled-back");
  EXPECT_EQ(back["targets_touched"], 1);
  EXPECT_EQ(values(), (Values{{"good 2", 3}}));
  const Json workers = get("/v1/workers");
  ASSERT_EQ(workers["workers"].size(), 3u) << workers;
  for (const Json& worker : workers["workers"]) EXPECT_EQ(worker["connected"], true);
  for (WorkerProcess& worker : workers_) EXPECT_EQ(worker.end(SIGTERM), 0) << worker.log();
}

TEST_F(Workers, AWorkersTokenIsForThatWorkerAlone) {
  ASSERT_NO_FATAL_FAILURE(open_shop());
  httplib::Client client(cli_.url());
  client.set_bearer_token_auth("worker-w1-token-with-enough-bytes");
  const std::string body = R"({"protocol":"st8-worker/1","session":"0123456789abcdef"})";
  for (const char* route :
       {"/v1/workers/w2/poll", "/v1/workers/w10/poll", "/v1/workers/w2/report", "/v1/workers/w2/content"}) {
    const auto refused = client.Post(route, body, "application/json");
    ASSERT_TRUE(refused) << route;
    EXPECT_EQ(refused->status, 403) << route << refused->body;
  }
  EXPECT_EQ(client.Get("/v1/state?namespace=shop")->status, 403);
  EXPECT_EQ(client.Get("/v1/state?namespace=st8/system")->status, 403);
}

// It has switched, and nobody knows.
TEST_F(Workers, OneThatDiesBetweenTheSwitchAndItsReportIsStartedAgainAndTellsIt) {
  ASSERT_NO_FATAL_FAILURE(open_shop("operationTimeout: 20s\n"));
  for (const std::string point : {"worker.after_switch", "worker.before_report", "worker.before_switch",
                                  "target.file.before_switch", "target.file.after_switch"}) {
    const auto number = get("/v1/state?namespace=shop")["revision"].get<std::uint64_t>() + 1;
    EXPECT_EQ(workers_[0].end(SIGTERM), 0);
    workers_[0].start({{"ST8_FAILPOINTS", point + "=crash"}});
    const std::string value = "good " + std::to_string(number);
    // `confirm`, so that all of the way is gone.
    ok({"apply", "-v", ".st8/rollout.yaml=" + policy("operationTimeout: 20s\nconfirm: 60s\n"), "-v",
        "app/value=" + value});
    ASSERT_TRUE(eventually([&] { return workers_[0].ended(); }, kLong)) << point << workers_[0].log();
    EXPECT_EQ(workers_[0].end(SIGTERM), 137) << point;
    workers_[0].start();
    ASSERT_TRUE(eventually(
        [&] {
          const Json live = get("/v1/live?namespace=shop");
          return live.is_object() && live["branches"].size() == 1 && live["branches"][0]["promoted_revision"] == number;
        },
        kLong))
        << point << get("/v1/rollouts?namespace=shop").dump(1) << workers_[0].log();
    EXPECT_EQ(values(), (Values{{value, 3}})) << point;
  }
}

TEST_F(Workers, WhenTheDaemonDiesBeforeConfirmingTheyGoBackByThemselves) {
  ASSERT_NO_FATAL_FAILURE(open_shop());
  ok({"apply", "-v", ".st8/rollout.yaml=" + policy("bake: 10m\nconfirm: 2s\nsupersede: queue\n"), "-v",
      "app/value=good 2"});
  ASSERT_TRUE(eventually([&] { return values() == Values{{"good 2", 3}}; }, kLong)) << get("/v1/rollouts/r-2").dump(1);
  cli_.daemon().kill();
  // One of them dies as well, and is started again while nobody can be asked.
  workers_[2].end(SIGKILL);
  workers_[2].start();
  ASSERT_TRUE(eventually(
      [&] {
        return values() == Values{{"good 1", 3}};
      },
      kLong))
      << workers_[0].log() << workers_[2].log();
  EXPECT_TRUE(eventually([&] { return workers_[0].log().find("went back") != std::string::npos; }))
      << workers_[0].log();
  // The next daemon takes the rollout up; it cannot be promoted any more.
  cli_.restart();
  ok({"rollout", "abort", "r-2"});
  EXPECT_NE(ended("r-2")["phase"], "promoted");
  EXPECT_EQ(values(), (Values{{"good 1", 3}}));
}

TEST_F(Workers, WhatWentBackByItselfIsNotPromoted) {
  ASSERT_NO_FATAL_FAILURE(open_shop());
  ok({"apply", "-v", ".st8/rollout.yaml=" + policy("bake: 2s\nconfirm: 500ms\n"), "-v", "app/value=good 2"});
  const Json over = ended("r-2");
  EXPECT_EQ(over["phase"], "rolled-back") << over.dump(1);
  EXPECT_EQ(values(), (Values{{"good 1", 3}}));
}

TEST_F(Workers, WhatIsPromotedIsConfirmedAndStays) {
  ASSERT_NO_FATAL_FAILURE(open_shop());
  ok({"apply", "-v", ".st8/rollout.yaml=" + policy("confirm: 3s\n"), "-v", "app/value=good 2"});
  EXPECT_EQ(ended("r-2")["phase"], "promoted");
  cli_.daemon().kill();
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(4);
  EXPECT_TRUE(eventually([&] { return std::chrono::steady_clock::now() > until; }, kLong));
  EXPECT_EQ(values(), (Values{{"good 2", 3}}));
  cli_.restart();
  ASSERT_TRUE(eventually([&] { return get("/v1/workers")["workers"].size() == 3; }, kLong));
}

// A step that must not be done twice: what became of it on a worker that died is for a person to find out.
TEST_F(Workers, StepsAreDoneThereAndOnceOnly) {
  const std::string ran = (live() / "ran").string();
  const std::string steps =
      "steps: [{name: note, type: script, params: {command: 'echo $ST8_TARGET $ST8_REVISION >>" + ran + "'}}]\n";
  ASSERT_NO_FATAL_FAILURE(open_shop("strategy: {type: sequential}\n" + steps));
  EXPECT_EQ(read_file(ran), "t1 1\nt2 1\nt3 1\n");
  EXPECT_EQ(workers_[1].end(SIGTERM), 0);
  workers_[1].start({{"ST8_FAILPOINTS", "worker.after_step=crash"}});
  ok({"apply", "-v", "app/value=good 2"});
  ASSERT_TRUE(eventually([&] { return workers_[1].ended(); }, kLong)) << workers_[1].log();
  workers_[1].start();
  ASSERT_TRUE(eventually(
      [&] { return get("/v1/rollouts/r-2").dump().find("outcome is not known") != std::string::npos; }, kLong))
      << get("/v1/rollouts/r-2").dump(1);
  EXPECT_FALSE(get("/v1/rollouts/r-2").contains("ended_at"));
  ok({"rollout", "abort", "r-2"});
  EXPECT_NE(ended("r-2")["phase"], "promoted");
  EXPECT_EQ(read_file(ran), "t1 1\nt2 1\nt3 1\nt1 2\nt2 2\n");
  EXPECT_EQ(values(), (Values{{"good 1", 3}}));
}

// A command that only the worker's machine answers well: each has a directory of its own to run it in.
TEST_F(Workers, ChecksAreAskedFromTheTargetsOwnMachine) {
  const std::string asked = (live() / "asked").string();
  ASSERT_NO_FATAL_FAILURE(
      open_shop("strategy: {type: sequential}\nhealth:\n  - name: here\n    from: target\n    command: {argv: "
                "[/bin/sh, -c, 'echo "
                "$ST8_TARGET $(cat /proc/$PPID/cmdline | tr \"\\\\0\" \" \") >>" +
                asked + "']}\n    interval: 10ms\n    successes: 1\n    deadline: 20s\n"));
  for (const char* name : {"1", "2", "3"}) {
    // The program's parent is the worker that reaches the target, not st8d.
    EXPECT_THAT(read_file(asked),
                testing::ContainsRegex(std::string("t") + name + " [^\n]* worker [^\n]*--name w" + name))
        << read_file(asked);
  }
  // Without the flag it refuses, and the check fails with the way out.
  EXPECT_EQ(workers_[0].end(SIGTERM), 0);
  WorkerProcess without(cli_.url(), "w1", live(), {"--token-file", (cli_.work() / "w1.token").string()});
  without.start();
  ok({"apply", "-v",
      ".st8/rollout.yaml=" +
          policy("health: [{name: here, from: target, tcp: {host: 127.0.0.1, port: " +
                 std::to_string(cli_.daemon().port()) + "}, interval: 50ms, successes: 1, deadline: 500ms}]\n"),
      "-v", "app/value=good 2"});
  const Json back = ended("r-2");
  EXPECT_EQ(back["phase"], "rolled-back");
  EXPECT_THAT(back["reason"].get<std::string>(), HasSubstr("this worker asks no health checks"));
  EXPECT_EQ(values(), (Values{{"good 1", 3}}));
}

TEST_F(Workers, TwoRolloutsDoNotHoldOneTarget) {
  ASSERT_NO_FATAL_FAILURE(open_shop());
  ok({"apply", "-v", ".st8/rollout.yaml=branches: [main]\ntargets: {names: [t2]}\n", "-v", "app/value=stolen"},
     "thieves");
  ASSERT_TRUE(eventually(
      [&] {
        const Json branches = get("/v1/live?namespace=thieves")["branches"];
        return branches.size() == 1 && branches[0].contains("problem");
      },
      kLong))
      << get("/v1/live?namespace=thieves").dump(1);
  EXPECT_THAT(get("/v1/live?namespace=thieves")["branches"][0]["problem"].get<std::string>(), HasSubstr("t2"));
  EXPECT_EQ(values(), (Values{{"good 1", 3}}));
  ok({"apply", "-v", "app/value=good 2"});
  EXPECT_EQ(ended("r-2")["phase"], "promoted");
  EXPECT_EQ(values(), (Values{{"good 2", 3}}));
}

}  // namespace
}  // namespace st8::test
