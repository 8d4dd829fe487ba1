// The real st8d ended at any instant while revisions, good and bad ones, go live on real targets; what must hold at the targets while it is
// dead, and after another has taken up what it left.
#pragma once

#include <filesystem>
#include <fstream>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <httplib.h>
#include <nlohmann/json.hpp>
#include <random>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "crash/daemon_crash.h"
#include "support/daemon.h"
#include "support/eventually.h"
#include "support/run_program.h"
#include "support/temp_directory.h"

namespace st8::test {

// A target as its document says it, and the directory of this machine that it ends in.
struct TargetOnDisk {
  std::string name;
  std::string document;
  std::filesystem::path root;
};

class RolloutCrash {
 public:
  using Json = nlohmann::json;
  static constexpr std::size_t kWave = 2;

  RolloutCrash(std::filesystem::path directory, std::vector<TargetOnDisk> targets, DaemonOptions options = {})
      : directory_(std::move(directory)), targets_(std::move(targets)), options_(std::move(options)) {
    options_.state_dir = (directory_ / "state").string();
  }

  // Starts st8d, and the first time makes the namespace with its policy and a first good revision.
  bool start() {
    daemon_ = std::make_unique<Daemon>(options_);
    return daemon_->wait_ready();
  }
  Daemon& daemon() { return *daemon_; }

  void set_up() {
    Json system = Json::array();
    for (const TargetOnDisk& target : targets_)
      system.push_back({{"key", "targets/" + target.name + ".yaml"}, {"content", target.document}});
    ASSERT_EQ(post({{"scope", {{"namespace", "st8/system"}}}, {"documents", system}}), 200);
    // Both files are of one version: `good N` is well, `bad N` is not. The first must go live however busy the machine is; later a good one may be
    // taken for a bad one, and goes back.
    const auto policy = [&](const std::string& deadline) {
      return "branches: [main]\ntargets: {labels: {role: web}}\ndocuments: [{match: 'app/**', to: app/}]\n"
             "strategy: {type: rolling, batchSize: " +
             std::to_string(kWave) +
             "}\nretry: {attempts: 3, delay: 10ms}\n"
             "health:\n  - name: good\n    command: {argv: [/bin/sh, -c, 'grep -q good \"" +
             roots() +
             "$ST8_TARGET/current/app/a\"']}\n"
             "    interval: 10ms\n    successes: 1\n    failures: 100\n    deadline: " +
             deadline + "\n";
    };
    const auto set_policy = [&](const std::string& deadline) {
      return post({{"scope", {{"namespace", "shop"}}},
                   {"documents", {{{"key", ".st8/rollout.yaml"}, {"content", policy(deadline)}}}}});
    };
    ASSERT_EQ(set_policy("30s"), 200);
    ASSERT_EQ(change(true), 200);
    ASSERT_NO_FATAL_FAILURE(expect_settled());
    ASSERT_EQ(set_policy("300ms"), 200);
    ASSERT_NO_FATAL_FAILURE(expect_settled());
  }

  // Commits a next version; the status, or -1 without an answer.
  int change(bool good) {
    const std::string text = (good ? "good " : "bad ") + std::to_string(++next_);
    attempted_.insert(text);
    return post({{"scope", {{"namespace", "shop"}}},
                 {"documents", {{{"key", "app/a"}, {"content", text}}, {{"key", "app/b"}, {"content", text}}}}});
  }

  // What holds at any instant, whoever died: every target has one whole version that somebody committed, and a bad one no more targets than a wave.
  void expect_whole() const {
    std::size_t bad = 0;
    for (const TargetOnDisk& target : targets_) {
      const std::string a = slurp(target.root / "current/app/a");
      EXPECT_EQ(a, slurp(target.root / "current/app/b")) << target.name << " holds half of two versions";
      EXPECT_TRUE(attempted_.contains(a)) << target.name << " holds \"" << a << "\", which nobody wrote";
      bad += a.starts_with("bad");
    }
    EXPECT_LE(bad, kWave) << "a bad value went beyond the first wave";
  }

  // Nothing is under way, and what is promoted is the head, is good, and is on every target, as the ledger says.
  void expect_settled() {
    Json live;
    ASSERT_TRUE(eventually([&] { return settled(live); }, std::chrono::seconds(60)))
        << live.dump(1) << get("/v1/rollouts?open=true&namespace=shop").dump(1) << daemon_->log();
    const Json objects = get("/v1/state?namespace=shop")["objects"];
    const std::string head = objects["app/a"];
    EXPECT_TRUE(head.starts_with("good")) << "a bad value is promoted";
    for (const TargetOnDisk& target : targets_) {
      EXPECT_EQ(slurp(target.root / "current/app/a"), head) << target.name;
      EXPECT_EQ(slurp(target.root / "current/app/b"), head) << target.name;
    }
    const std::uint64_t promoted = live["branches"][0]["promoted_revision"];
    std::set<std::string> told;
    for (const Json& entry : live["live"]) {
      EXPECT_EQ(entry["revision"], promoted) << entry.dump();
      told.insert(entry["target"].get<std::string>());
    }
    EXPECT_EQ(told.size(), targets_.size()) << live.dump(1);
  }

  // Every rollout that was rolled back left a revision that says so, and none of them was promoted.
  void expect_history() {
    std::set<std::uint64_t> causes;
    const Json log = get("/v1/log?namespace=shop&limit=1000");
    for (const Json& entry : log["entries"]) {
      if (entry["cause"] == "auto-rollback") causes.insert(entry["id"].get<std::uint64_t>());
    }
    rolled_back_ = promoted_ = 0;
    const Json rollouts = get("/v1/rollouts?namespace=shop&limit=1000");
    for (const Json& rollout : rollouts["rollouts"]) {
      const std::string phase = rollout["phase"];
      promoted_ += phase == "promoted";
      if (phase != "rolled-back") continue;
      ++rolled_back_;
      // None is appended when the head has moved on meanwhile: what came then goes live instead.
      if (rollout.contains("rollback_revision")) {
        EXPECT_TRUE(causes.contains(rollout["rollback_revision"].get<std::uint64_t>())) << rollout.dump();
      }
    }
  }
  int rolled_back() const { return rolled_back_; }
  int promoted() const { return promoted_; }

  void expect_sound_store() const {
    const ProgramEnd end = run_program({std::string(ST8_BIN_DIR) + "/st8d", "fsck", "--state-dir", options_.state_dir});
    EXPECT_EQ(end.exit_code, 0) << end.output;
  }

  // Kills st8d at `rounds` random instants of rollouts; `meanwhile` may trouble other parts, each round.
  void expect_survives(int rounds, std::uint64_t seed, const std::function<void(std::mt19937_64&)>& meanwhile = {}) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937_64 random(seed);
    ASSERT_TRUE(start()) << daemon_->log();
    ASSERT_NO_FATAL_FAILURE(set_up());
    for (int round = 0; round < rounds && !testing::Test::HasFailure(); ++round) {
      SCOPED_TRACE("round " + std::to_string(round));
      std::thread killer = at_an_instant(random, 1'000, 450'000, [&] { daemon_->send_signal(SIGKILL); });
      if (meanwhile) meanwhile(random);
      for (std::uint64_t changes = 1 + random() % 3; changes > 0; --changes) {
        if (change(random() % 2 == 0) < 0) break;
      }
      killer.join();
      daemon_->kill();
      expect_whole();
      ASSERT_TRUE(start()) << daemon_->log();
      if (round % 4 == 3) {
        // However slow the machine and early the kills: now and then one comes to its end.
        ASSERT_EQ(change(round % 8 == 3), 200);
        expect_settled();
      }
      expect_whole();
    }
    if (testing::Test::HasFailure()) return;
    expect_settled();
    ASSERT_EQ(change(true), 200);
    expect_settled();
    expect_history();
    EXPECT_GT(rolled_back_, rounds / 10) << "too little failed to prove anything";
    EXPECT_GT(promoted_, rounds / 10) << "too little went live to prove anything";
    daemon_->send_signal(SIGTERM);
    EXPECT_EQ(daemon_->wait_end(), 0) << daemon_->log();
    expect_sound_store();
  }

  static std::string slurp(const std::filesystem::path& path) {
    std::ifstream in(path, std::ios::binary);
    std::stringstream bytes;
    bytes << in.rdbuf();
    return bytes.str();
  }

 private:
  // All targets' roots lie side by side, each in a directory of the target's name.
  std::string roots() const { return targets_.front().root.parent_path().string() + "/"; }

  bool settled(Json& live) {
    live = get("/v1/live?namespace=shop");
    if (!live.is_object() || live["branches"].size() != 1) return false;
    const Json& branch = live["branches"][0];
    const Json open = get("/v1/rollouts?open=true&namespace=shop");
    const Json state = get("/v1/state?namespace=shop");
    return branch["desired_revision"] == branch["promoted_revision"] && open.is_object() && open["rollouts"].empty() &&
           state.is_object() && state["revision"] == branch["promoted_revision"];
  }
  int post(const Json& body) {
    httplib::Client client("127.0.0.1", daemon_->port());
    client.set_read_timeout(30, 0);
    const auto answer = client.Post("/v1/apply?changes=none", body.dump(), "application/json");
    return answer ? answer->status : -1;
  }
  Json get(const std::string& target) {
    httplib::Client client("127.0.0.1", daemon_->port());
    client.set_read_timeout(30, 0);
    const auto answer = client.Get(target);
    return answer && answer->status == 200 ? Json::parse(answer->body) : Json();
  }

  const std::filesystem::path directory_;
  const std::vector<TargetOnDisk> targets_;
  DaemonOptions options_;
  std::unique_ptr<Daemon> daemon_;
  std::set<std::string> attempted_;
  std::uint64_t next_ = 0;
  int rolled_back_ = 0, promoted_ = 0;
};

// Six directories, live/t1 to live/t6.
inline std::vector<TargetOnDisk> file_targets(const std::filesystem::path& directory, int count = 6) {
  std::vector<TargetOnDisk> targets;
  std::filesystem::create_directory(directory / "live");
  for (int i = 1; i <= count; ++i) {
    const std::string name = "t" + std::to_string(i);
    const std::filesystem::path root = directory / "live" / name;
    targets.push_back({name, "kind: file\nlabels: {role: web}\nspec: {root: " + root.string() + "}\n", root});
  }
  return targets;
}

}  // namespace st8::test
