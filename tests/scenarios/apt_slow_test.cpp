// The step `package` by apt, with the machine's own apt-get and dpkg: a worker on a machine of its own as far as files go
// (own_machine.h), whose only source of packages is a directory of the test's. What is installed there is not installed here.
// Without root, or where the kernel lets nobody mount, it is skipped and says so.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <httplib.h>
#include <nlohmann/json.hpp>

#include "cli/cli_fixture.h"
#include "st8/state/hash.h"
#include "support/own_machine.h"
#include "support/run_program.h"
#include "support/worker_process.h"

namespace st8::test {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;
using testing::HasSubstr;

class Apt : public testing::Test {
 protected:
  Apt() : cli_(Mode::kServer), machine_(cli_.work() / "machine") {}
  void SetUp() override {
    if (const std::string problem = machine_.problem(); !problem.empty()) GTEST_SKIP() << problem;
    fs::create_directories(packages());
    write_file(packages() / "Packages", "");
    machine_.put("/etc/apt/sources.list", "deb [trusted=yes] file:" + packages().string() + " ./\n", fs::perms(0644));
    // The files of the machine are those of this one until they are written: here, deleted.
    machine_.begin_with("rm -rf /etc/apt/sources.list.d /var/lib/apt/lists\n");
    machine_.put("/etc/apt/apt.conf.d/99test", "APT::Sandbox::User \"root\";\n", fs::perms(0644));
    fs::create_directories(cli_.work() / "roots");
    worker_ = std::make_unique<WorkerProcess>(cli_.url(), "w1", cli_.work() / "roots",
                                              std::vector<std::string>{"--allow-steps"}, machine_.before());
    worker_->start();
    cli_.ok({"target", "add", "web-1", "--kind", "worker", "--spec", "worker=w1"});
  }
  fs::path packages() const { return cli_.work() / "packages"; }

  // Builds a package and adds it to the index of the directory.
  void publish(const std::string& name, const std::string& version, const std::string& depends = "") const {
    const fs::path tree = cli_.work() / "build" / (name + "-" + version);
    const std::string fields = "Package: " + name + "\nVersion: " + version +
                               "\nArchitecture: all\nMaintainer: st8 <st8@example.org>\n" +
                               (depends.empty() ? "" : "Depends: " + depends + "\n");
    write_file(tree / "DEBIAN/control", fields + "Description: a test\n");
    write_file(tree / "usr/share" / name / "version", version);
    fs::permissions(tree / "DEBIAN", fs::perms(0755));
    const std::string file = name + "_" + version + ".deb";
    const auto built = run_program(
        {"/usr/bin/dpkg-deb", "--root-owner-group", "--build", tree.string(), (packages() / file).string()});
    ASSERT_EQ(built.exit_code, 0) << built.output;
    const std::string bytes = read_file(packages() / file);
    std::ofstream(packages() / "Packages", std::ios::app)
        << fields << "Filename: ./" << file << "\nSize: " << bytes.size() << "\nSHA256: " << Hash::of(bytes).hex()
        << "\nDescription: a test\n\n";
  }
  // Takes a revision live whose policy has these steps behind one that reads the index again.
  Json run(const std::string& steps) {
    const std::string number = std::to_string(++rollouts_);
    cli_.ok({"apply", "-v", "app/number=" + number, "-v",
             ".st8/rollout.yaml=branches: [main]\ntargets: {names: [web-1]}\nretry: {attempts: 1}\nsteps:\n"
             "  - {name: update, type: script, params: {command: apt-get -q update}}\n" +
                 steps});
    Json rollout;
    EXPECT_TRUE(eventually(
        [&] {
          httplib::Client client(cli_.url());
          const auto answer = client.Get("/v1/rollouts/r-" + number);
          rollout = answer ? Json::parse(answer->body, nullptr, false) : Json();
          return rollout.is_object() && rollout.contains("ended_at");
        },
        std::chrono::seconds(120)))
        << rollout.dump(1) << worker_->log();
    return rollout;
  }
  static std::string package(const std::string& name, const std::string& more = {}) {
    return "  - {name: " + name + ", type: package, retry: {attempts: 1}, params: {package: " + name + more + "}}\n";
  }
  static std::string failing() {
    return "  - {name: fails, type: script, retry: {attempts: 1}, params: {command: exit 1}}\n";
  }
  std::string version(const std::string& name) const { return machine_.read("/usr/share/" + name + "/version"); }
  // As dpkg's own list on that machine has it.
  bool listed(const std::string& name, const std::string& version) const {
    const std::string status = machine_.read("/var/lib/dpkg/status");
    const std::size_t at = status.find("Package: " + name + "\n");
    if (at == std::string::npos) return false;
    const std::string entry = status.substr(at, status.find("\n\n", at) - at);
    return entry.find("Status: install ok installed") != std::string::npos &&
           entry.find("Version: " + version + "\n") != std::string::npos;
  }

  Cli cli_;
  OwnMachine machine_;
  std::unique_ptr<WorkerProcess> worker_;
  int rollouts_ = 0;
};

TEST_F(Apt, InstallsUpgradesAndGoesBackByTheMachinesOwnPrograms) {
  publish("st8-hello", "1.0");
  Json over = run(package("st8-hello", ", version: \"1.0\""));
  ASSERT_EQ(over["phase"], "promoted") << over.dump(1);
  EXPECT_EQ(version("st8-hello"), "1.0");
  EXPECT_TRUE(listed("st8-hello", "1.0"));

  // What it depends on comes with it.
  publish("st8-library", "7");
  publish("st8-hello", "2.0", "st8-library (>= 7)");
  over = run(package("st8-hello", ", version: \"2.0\""));
  ASSERT_EQ(over["phase"], "promoted") << over.dump(1);
  EXPECT_EQ(version("st8-hello"), "2.0");
  EXPECT_EQ(version("st8-library"), "7");

  // A step behind it fails: the version that was there comes back, and a package that was not there goes.
  publish("st8-hello", "3.0");
  publish("st8-extra", "1.0");
  over = run(package("st8-hello") + package("st8-extra") + failing());
  EXPECT_EQ(over["phase"], "rolled-back") << over.dump(1);
  EXPECT_THAT(over["reason"].get<std::string>(), HasSubstr("fails"));
  EXPECT_EQ(version("st8-hello"), "2.0");
  EXPECT_TRUE(listed("st8-hello", "2.0"));
  EXPECT_FALSE(machine_.has("/usr/share/st8-extra/version"));
  EXPECT_FALSE(listed("st8-extra", "1.0"));

  // Without a version, the newest that apt knows.
  ++rollouts_;  // The rollback's own revision went live as well.
  over = run(package("st8-hello"));
  ASSERT_EQ(over["phase"], "promoted") << over.dump(1);
  EXPECT_EQ(version("st8-hello"), "3.0");

  // A version that apt does not have fails, and changes nothing.
  over = run(package("st8-hello", ", version: \"4.0\""));
  EXPECT_EQ(over["phase"], "rolled-back");
  EXPECT_THAT(over["reason"].get<std::string>(), HasSubstr("4.0"));
  EXPECT_TRUE(listed("st8-hello", "3.0"));

  EXPECT_NE(run_program({"/usr/bin/dpkg-query", "-W", "st8-hello"}).exit_code, 0)
      << "it is not installed on this machine";
}

}  // namespace
}  // namespace st8::test
