// The real st8d under concurrent writers, ended at any instant, and what must hold when it is started again:
// acknowledged ⊆ recovered ⊆ attempted, every revision whole or absent, and fsck clean.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <gtest/gtest.h>
#include <httplib.h>
#include <map>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "support/daemon.h"
#include "support/run_program.h"
#include "support/temp_directory.h"

namespace st8::test {

class CrashHarness {
 public:
  using Json = nlohmann::json;
  static constexpr int kWriters = 4;

  CrashHarness() : state_dir_(directory_.path().string() + "/state") {}
  explicit CrashHarness(std::string state_dir) : state_dir_(std::move(state_dir)) {}

  // Starts st8d over the same directory, with failpoints or none.
  bool start(const std::string& failpoints = {}) {
    DaemonOptions options;
    options.state_dir = state_dir_;
    if (!failpoints.empty()) options.environment.push_back("ST8_FAILPOINTS=" + failpoints);
    daemon_ = std::make_unique<Daemon>(std::move(options));
    return daemon_->wait_ready();
  }
  Daemon& daemon() { return *daemon_; }

  // Each writer sets two keys of its own to one new value, in one apply, again and again, until the daemon is gone or
  // `stop` is set: a revision that is half there would show as two different values.
  void write_until(const std::atomic<bool>& stop) {
    std::vector<std::thread> writers;
    for (int writer = 0; writer < kWriters; ++writer) {
      writers.emplace_back([this, writer, &stop] {
        httplib::Client client("127.0.0.1", daemon_->port());
        client.set_keep_alive(true);
        client.set_tcp_nodelay(true);
        client.set_read_timeout(20, 0);
        while (!stop.load()) {
          const std::uint64_t value = ++next_;
          {
            const std::lock_guard lock(mutex_);
            attempted_[writer].push_back(value);
          }
          const Json body = {{"documents",
                              {{{"key", key(writer, 'a')}, {"content", std::to_string(value)}},
                               {{"key", key(writer, 'b')}, {"content", std::to_string(value)}}}},
                             {"message", "w" + std::to_string(writer)}};
          const auto answer = client.Post("/v1/apply?changes=none", body.dump(), "application/json");
          if (!answer || answer->status != 200) return;
          const std::lock_guard lock(mutex_);
          acknowledged_[writer] = value;
          last_revision_ = std::max(last_revision_, Json::parse(answer->body)["revision"].get<std::uint64_t>());
          ++acknowledgements_;
        }
      });
    }
    for (std::thread& writer : writers) writer.join();
  }

  // What the restarted daemon says, against what the writers know.
  void check_recovered() {
    httplib::Client client("127.0.0.1", daemon_->port());
    client.set_read_timeout(20, 0);
    const auto answer = client.Get("/v1/state");
    ASSERT_TRUE(answer);
    ASSERT_EQ(answer->status, 200) << answer->body;
    const Json state = Json::parse(answer->body);
    EXPECT_GE(state["revision"].get<std::uint64_t>(), last_revision_) << "an acknowledged revision is gone";
    for (int writer = 0; writer < kWriters; ++writer) {
      const auto& attempted = attempted_[writer];
      const auto value = [&](char half) -> std::uint64_t {
        const auto found = state["objects"].find(key(writer, half));
        return found == state["objects"].end() ? 0 : std::stoull(found->get<std::string>());
      };
      const std::uint64_t a = value('a');
      EXPECT_EQ(a, value('b')) << "half a revision of writer " << writer;
      EXPECT_GE(a, acknowledged_[writer]) << "an acknowledged value of writer " << writer << " is gone";
      EXPECT_TRUE(a == 0 || std::find(attempted.begin(), attempted.end(), a) != attempted.end())
          << "a value that nobody wrote";
    }
    last_revision_ = std::max(last_revision_, state["revision"].get<std::uint64_t>());
  }

  // On the directory as the crash left it; st8d must not run.
  void check_fsck() {
    const ProgramEnd end = run_program({std::string(ST8_BIN_DIR) + "/st8d", "fsck", "--state-dir", state_dir_});
    EXPECT_EQ(end.exit_code, 0) << end.output;
  }

  std::uint64_t acknowledgements() const { return acknowledgements_; }

 private:
  static std::string key(int writer, char half) { return "writer/" + std::to_string(writer) + "/" + half; }

  TempDirectory directory_;
  const std::string state_dir_;
  std::unique_ptr<Daemon> daemon_;
  std::atomic<std::uint64_t> next_{0};
  std::mutex mutex_;  // Guards what follows.
  std::map<int, std::vector<std::uint64_t>> attempted_;
  std::map<int, std::uint64_t> acknowledged_;
  std::uint64_t last_revision_ = 0;
  std::uint64_t acknowledgements_ = 0;
};

// Acts on a thread of its own at a random instant, which is what such a test is about and not a wait for something.
inline std::thread at_an_instant(std::mt19937_64& random, std::uint64_t least_us, std::uint64_t most_us,
                                 std::function<void()> act) {
  const std::chrono::microseconds delay(least_us + random() % (most_us - least_us));
  return std::thread([delay, act = std::move(act)] {
    std::this_thread::sleep_for(delay);
    act();
  });
}

// Kills st8d with SIGKILL at random instants. The seed is printed with a failure.
inline void expect_survives_kills(int rounds, std::uint64_t seed) {
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 random(seed);
  CrashHarness harness;
  for (int round = 0; round < rounds && !testing::Test::HasFailure(); ++round) {
    SCOPED_TRACE("round " + std::to_string(round));
    ASSERT_TRUE(harness.start()) << harness.daemon().log();
    if (round > 0) harness.check_recovered();
    std::atomic<bool> stop{false};
    std::thread killer = at_an_instant(random, 5'000, 125'000, [&] { harness.daemon().send_signal(SIGKILL); });
    harness.write_until(stop);
    killer.join();
    harness.daemon().kill();
    if (round % 8 == 7 || round + 1 == rounds) harness.check_fsck();
  }
  EXPECT_GT(harness.acknowledgements(), static_cast<std::uint64_t>(rounds))
      << "too little was written to prove anything";
}

}  // namespace st8::test
