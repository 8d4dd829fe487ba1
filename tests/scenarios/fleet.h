// Eight real targets under a real st8d, moved by st8ctl: what the stories of this folder are told with.
#pragma once

#include <filesystem>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <httplib.h>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "cli/cli_fixture.h"
#include "support/eventually.h"

namespace st8::test {

class Fleet {
 public:
  using Json = nlohmann::json;
  static constexpr int kTargets = 8;

  Fleet() : cli_(Mode::kServer) {}

  std::filesystem::path root(int i) const { return cli_.work() / "live" / name(i); }
  static std::string name(int i) { return "t" + std::to_string(i); }
  const Cli& cli() const { return cli_; }
  Daemon& daemon() { return cli_.daemon(); }

  // The document of a target that is a directory; `labels` beside its role.
  std::string file_target(int i, const std::string& labels = {}) const {
    return "kind: file\nlabels: {role: web" + labels + "}\nspec: {root: " + root(i).string() + "}\n";
  }
  void add_targets(const std::map<int, std::string>& others = {}) {
    std::filesystem::create_directories(cli_.work() / "live");
    for (int i = 1; i <= kTargets; ++i) {
      const auto other = others.find(i);
      cli_.file("system/targets/" + name(i) + ".yaml", other == others.end() ? file_target(i) : other->second);
    }
    cli_.ok({"--namespace", "st8/system", "apply", "-f", "system"});
  }
  // A quarter at a time; a value is well when its file says "good".
  std::string policy(const std::string& more = {}) const {
    return "branches: [main]\ntargets: {labels: {role: web}}\ndocuments: [{match: 'app/**', to: app/}]\nstrategy: "
           "{type: rolling, batchSize: 25%}\n"
           "retry: {attempts: 2, delay: 10ms}\nhealth:\n  - name: good\n    command: {argv: [/bin/sh, -c, 'grep -q "
           "good \"" +
           (cli_.work() / "live").string() +
           "/$ST8_TARGET/current/app/value\"']}\n    interval: 10ms\n    successes: 1\n    failures: 100\n    "
           "deadline: 5s\n" +
           more;
  }
  // The namespace with its policy and a good value, live on all.
  void open_shop(const std::string& more_policy = {}) {
    cli_.ok({"apply", "-v", ".st8/rollout.yaml=" + policy(more_policy), "-v", "app/value=good 1", "-v", "app/other=1"},
            shop());
    ASSERT_FALSE(testing::Test::HasFailure());
    ASSERT_EQ(ended("r-1")["phase"], "promoted") << get("/v1/rollouts/r-1").dump(1);
  }

  // st8ctl in the namespace of the story.
  static RunOptions shop(const std::string& ns = "shop") { return with_environment({{"ST8CTL_NAMESPACE", ns}}); }
  RunResult st8ctl(std::vector<std::string> words, const std::string& ns = "shop") const {
    return cli_.run(std::move(words), shop(ns));
  }

  Json get(const std::string& target) const {
    httplib::Client client(cli_.url());
    client.set_read_timeout(30, 0);
    const auto answer = client.Get(target);
    return answer ? Json::parse(answer->body) : Json();
  }
  int post(const std::string& target, const Json& body) const {
    httplib::Client client(cli_.url());
    client.set_read_timeout(30, 0);
    const auto answer = client.Post(target, body.dump(), "application/json");
    return answer ? answer->status : -1;
  }
  // The rollout once its phase is final.
  Json ended(const std::string& id) const {
    Json rollout;
    EXPECT_TRUE(eventually(
        [&] {
          rollout = get("/v1/rollouts/" + id);
          return rollout.contains("ended_at");
        },
        std::chrono::seconds(60)))
        << id << ": " << rollout.dump(1);
    return rollout;
  }
  // What is at the targets, by reading it there: "good 1" -> how many.
  std::map<std::string, int> values(const std::string& path = "app/value") const {
    std::map<std::string, int> counted;
    for (int i = 1; i <= kTargets; ++i) ++counted[read_file(root(i) / "current" / path)];
    return counted;
  }
  Json log(const std::string& ns = "shop") const { return get("/v1/log?namespace=" + ns)["entries"]; }

 private:
  Cli cli_;
};

}  // namespace st8::test
