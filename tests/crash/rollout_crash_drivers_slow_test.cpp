// As rollout_crash_slow_test.cpp, with targets of three kinds side by side: directories, directories behind a real sshd, and workers, which are
// killed at random as well.
#include <deque>

#include "crash/rollout_crash.h"
#include "support/eventually.h"
#include "support/fixed_address.h"
#include "support/seed.h"
#include "support/ssh_server.h"
#include "support/worker_process.h"

namespace st8::test {
namespace {

TEST(RolloutCrashDrivers, FiftyKillsOverFileSshAndThreeWorkers) {
  TempDirectory directory;
  const SshServer server;
  const std::string address = fixed_address();  // Workers keep to it.
  std::vector<TargetOnDisk> targets = file_targets(directory.path(), 1);
  const std::filesystem::path live = directory.path() / "live";
  for (const std::string name : {"t2", "t3"}) {
    targets.push_back(
        {name, "kind: ssh\nlabels: {role: web}\nspec: {" + server.spec() + ", root: " + (live / name).string() + "}\n",
         live / name});
  }
  std::deque<WorkerProcess> workers;
  for (const std::string name : {"t4", "t5", "t6"}) {
    targets.push_back({name, "kind: worker\nlabels: {role: web}\nspec: {worker: " + name + "}\n", live / name});
    workers.emplace_back("http://" + address, name, live);
    workers.back().start();
  }
  RolloutCrash(directory.path(), targets, {.state_dir = "", .arguments = {"--listen", address}})
      .expect_survives(50, first_seed(20261121), [&](std::mt19937_64& random) {
        WorkerProcess& victim = workers[random() % workers.size()];
        victim.end(random() % 2 == 0 ? SIGKILL : SIGTERM);
        victim.start();
      });
  // What a killed daemon had open at the ssh targets ended there too.
  EXPECT_TRUE(eventually([&] { return server.commands() == 0; })) << server.commands() << " processes are left";
}

}  // namespace
}  // namespace st8::test
