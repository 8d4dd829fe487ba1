// The service dies, as by SIGKILL, at each of its writes and effects over a real store and real directories; a new one takes
// up what it left and comes to the same end. Every service lives in a process of its own.
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <sstream>
#include <sys/wait.h>
#include <unistd.h>

#include "st8/state/engine.h"
#include "st8/state/failpoint.h"
#include "st8/state/store.h"
#include "st8/target/service.h"
#include "support/eventually.h"
#include "support/temp_directory.h"

namespace st8::target {
namespace {

namespace fs = std::filesystem;

constexpr int kKilled = 137;

std::string slurp(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::stringstream bytes;
  bytes << in.rdbuf();
  return bytes.str();
}

class Daemon {
 public:
  explicit Daemon(const fs::path& directory) {
    state::RocksDbOptions options;
    options.directory = (directory / "state").string();
    auto engine = state::open_rocksdb_engine(options);
    if (!engine) return;
    auto store = state::Store::open(std::move(*engine), system_clock());
    if (!store) return;
    store_ = std::move(*store);
    service_ = std::make_unique<RolloutService>(*store_, system_clock());
    store_->set_guard(service_.get());
    store_->add_listener(service_.get());
    if (!service_->start()) service_.reset();
  }
  ~Daemon() {
    if (service_) service_->stop();
    store_.reset();
  }
  bool good() const { return service_ != nullptr; }
  bool apply(const std::string& ns, const std::vector<std::pair<std::string, std::string>>& documents) {
    state::ApplyRequest request{*state::NamespaceName::parse(ns),
                                *state::BranchName::parse("main"),
                                {},
                                {},
                                false,
                                {},
                                {},
                                state::Cause::kApply,
                                {},
                                {}};
    for (const auto& [key, content] : documents)
      request.documents.push_back({*state::DocumentKey::parse(key), content});
    request.context.actor = "tester";
    return store_->apply(std::move(request)).has_value();
  }
  std::uint64_t head() {
    const auto info = store_->branch(*state::NamespaceName::parse("shop"), *state::BranchName::parse("main"));
    return info ? info->head.value : 0;
  }
  // Nothing is open, and the head is what is promoted.
  bool ends() {
    return test::eventually(
        [&] {
          const auto page = service_->list({"shop", "", true, 0, 10});
          if (!page || !page->rollouts.empty()) return false;
          for (const auto& entry : service_->branches()) {
            if (entry.name_space == "shop") return entry.status.promoted.value == head();
          }
          return false;
        },
        std::chrono::seconds(20));
  }
  RolloutService& service() { return *service_; }
  state::Store& store() { return *store_; }

 private:
  std::unique_ptr<RolloutService> service_;  // Unmade after the store, whose listener it is.
  std::unique_ptr<state::Store> store_;
};

// Runs `work` in a process of its own; its exit code.
template <class Work>
int in_child(const Work& work) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(work());
  int status = 0;
  if (child < 0 || ::waitpid(child, &status, 0) != child) return -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

class ServiceKilled : public ::testing::TestWithParam<std::tuple<std::string, bool>> {
 protected:
  void SetUp() override {
    ASSERT_EQ(in_child([&] {
                Daemon daemon(path());
                if (!daemon.good()) return 2;
                std::vector<std::pair<std::string, std::string>> targets;
                for (const char* name : {"t1", "t2", "t3"})
                  targets.emplace_back(
                      "targets/" + std::string(name) + ".yaml",
                      "kind: file\nlabels: {role: web}\nspec: {root: " + (path() / name).string() + "}\n");
                if (!daemon.apply("st8/system", targets)) return 3;
                if (!daemon.apply("shop", {{".st8/rollout.yaml", policy("20s")}, {"value", "good 1"}})) return 4;
                if (!daemon.ends()) return 5;
                // What is good has all the time it needs on a busy machine; what is bad need not be waited for long.
                if (std::get<1>(GetParam()) && !daemon.apply("shop", {{".st8/rollout.yaml", policy("400ms")}}))
                  return 6;
                return daemon.ends() ? 0 : 7;
              }),
              0);
  }
  const fs::path& path() const { return directory_.path(); }
  std::string policy(const std::string& deadline) const {
    return "branches: [main]\ntargets: {labels: {role: web}}\nstrategy: {type: rolling, batchSize: 2}\nretry: "
           "{attempts: 3, delay: 5ms}\nhealth:\n  - name: good\n    command: {argv: [/bin/sh, -c, 'grep -q good " +
           path().string() +
           "/$ST8_TARGET/current/value']}\n    interval: 5ms\n    successes: 1\n    deadline: " + deadline + "\n";
  }
  test::TempDirectory directory_;
};

TEST_P(ServiceKilled, ComesToTheSameEnd) {
  const auto& [point, bad] = GetParam();
  const std::string value = bad ? "bad 2" : "good 2";
  bool reached = false;
  for (int hit = 1; hit <= 40; ++hit) {
    const int code = in_child([&, &point_name = point, &is_bad = bad] {
      Daemon daemon(path());
      if (!daemon.good()) return 2;
      // Each round brings a change of its own, and only then dies.
      const std::string text = (is_bad ? "bad " : "good ") + std::to_string(hit + 1);
      if (!failpoint::configure(point_name + "=crash@" + std::to_string(hit))) return 3;
      if (!daemon.apply("shop", {{"value", text}})) return 4;
      return daemon.ends() ? 0 : 5;
    });
    ASSERT_TRUE(code == kKilled || code == 0) << "hit " << hit << " ended with " << code;
    reached = reached || code == kKilled;
    const std::string expected = bad ? "good 1" : "good " + std::to_string(hit + 1);
    ASSERT_EQ(in_child([&] {
                Daemon daemon(path());
                if (!daemon.good()) return 2;
                if (!daemon.ends()) return 5;
                // What is live is what the ledger says, on every target.
                const auto live = daemon.service().live({});
                if (!live || live->size() != 3) return 6;
                for (const auto& entry : *live) {
                  if (entry.entry.revision.value != daemon.head()) return 7;
                }
                return 0;
              }),
              0)
        << "hit " << hit;
    for (const char* name : {"t1", "t2", "t3"})
      ASSERT_EQ(slurp(path() / name / "current/value"), expected) << name << " after hit " << hit;
    if (code == 0) break;
  }
  EXPECT_TRUE(reached) << "the failpoint was never reached";
}

INSTANTIATE_TEST_SUITE_P(Points, ServiceKilled,
                         ::testing::Combine(::testing::Values("rollout.before_commit", "rollout.after_commit",
                                                              "rollout.after_effect", "target.file.before_switch",
                                                              "target.file.after_switch"),
                                            ::testing::Bool()),
                         [](const auto& instance) {
                           std::string name = std::get<0>(instance.param);
                           for (char& c : name) c = c == '.' ? '_' : c;
                           return name + (std::get<1>(instance.param) ? "_rolled_back" : "_promoted");
                         });

}  // namespace
}  // namespace st8::target
