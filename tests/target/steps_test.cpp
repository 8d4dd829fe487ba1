// Each step of a policy for real: what it does, what is refused beforehand, and that taking it back restores what was there.
#include "effects/steps.h"

#include <filesystem>
#include <fstream>
#include <gmock/gmock.h>
#include <httplib.h>
#include <iterator>
#include <mutex>
#include <sys/stat.h>
#include <thread>

#include "st8/target/planner.h"
#include "support/run_program.h"
#include "support/temp_directory.h"

namespace st8::target::effects {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;

std::string read(const fs::path& path) {
  std::ifstream stream(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>()};
}
void write(const fs::path& path, std::string_view text) {
  fs::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary) << text;
}
std::vector<std::string> names_in(const fs::path& directory) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(directory)) names.push_back(entry.path().filename().string());
  std::sort(names.begin(), names.end());
  return names;
}

class Steps : public testing::Test {
 protected:
  Steps()
      : plan_{*state::NamespaceName::parse("shop"),
              *state::BranchName::parse("main"),
              state::RevisionNumber{7},
              {},
              "ann",
              {},
              "",
              {},
              {},
              {},
              {},
              {},
              {},
              {},
              {},
              {},
              false,
              false,
              {},
              {},
              {},
              {}} {}

  // The step as the policy's reader has it.
  static StepSpec step(const std::string& yaml) {
    std::vector<DocumentProblem> problems;
    const auto policy =
        parse_policy("branches: [main]\ntargets: {names: [web-1]}\nsteps:\n  - {name: it, " + yaml + "}\n", problems);
    EXPECT_TRUE(policy) << yaml << "\n" << (problems.empty() ? "" : problems.front().str());
    return policy ? policy->steps.at(0) : StepSpec{};
  }
  static Target target(const std::string& name) {
    return {*TargetName::parse(name), "file", {{"zone", "a"}}, Criticality::kMedium, "", ""};
  }
  CallContext call(std::chrono::milliseconds most = std::chrono::seconds(60)) const {
    CallContext call;
    call.clock = &system_clock();
    call.deadline = system_clock().monotonic() + most;
    return call;
  }
  StepContext context(const Target& target) const {
    return {plan_.name_space.str(), plan_.branch.str(), plan_.revision, target, "r-1", "r-1-abc", &system_clock()};
  }
  StepOutcome run(const StepSpec& step, const Target& target) { return run_step(call(), step, context(target)); }
  StepOutcome undo(const StepSpec& step, const Target& target) { return undo_step(call(), step, context(target)); }
  static std::string told(const StepOutcome& outcome) { return outcome.status ? "" : outcome.status.error().message; }
  fs::path path(const std::string& name) const { return directory_.path() / name; }

  st8::test::TempDirectory directory_;
  Plan plan_;
  const Target web_ = target("web-1");
  const Target other_ = target("web-2");
};

TEST_F(Steps, EchoSaysItsMessageForTheTarget) {
  const StepSpec echo =
      step("type: echo, params: {message: \"to {{ target.name }} in {{ target.labels.zone }}, {{{{ as it is }}\"}");
  const StepOutcome said = run(echo, web_);
  EXPECT_EQ(told(said), "");
  EXPECT_EQ(said.output, "to web-1 in a, {{ as it is }}");
  EXPECT_EQ(told(undo(echo, web_)), "");
  EXPECT_THAT(told(run(step("type: echo, params: {message: \"{{ target.labels.none }}\"}"), web_)),
              HasSubstr("has no such label"));
}

TEST_F(Steps, ScriptsRunWithWhatTheyMayKnowAndNoMore) {
  const StepOutcome line = run(step("type: script, params: {command: \"echo $ST8_TARGET $ST8_NAMESPACE $ST8_BRANCH "
                                    "$ST8_REVISION $ST8_ROLLOUT; pwd; echo HOME=$HOME\"}"),
                               web_);
  EXPECT_EQ(told(line), "");
  EXPECT_EQ(line.output, "web-1 shop main 7 r-1\n/\nHOME=\n");
  const StepOutcome words = run(
      step("type: script, params: {command: /bin/echo, args: [\"a b\", \"$HOME\", \"{{ target.name }}\"], cwd: /tmp}"),
      web_);
  EXPECT_EQ(words.output, "a b $HOME web-1\n") << "no shell between";
  const StepOutcome failed = run(step("type: script, params: {command: \"echo why; exit 3\"}"), web_);
  EXPECT_EQ(told(failed), "exit 3");
  EXPECT_EQ(failed.output, "why\n");
  const StepOutcome much =
      run(step("type: script, params: {command: \"head -c 1000000 /dev/zero | tr '\\\\0' x\"}"), web_);
  EXPECT_EQ(told(much), "");
  EXPECT_EQ(much.output.size(), 16u << 10);
  EXPECT_THAT(told(run(step("type: script, params: {command: no-such-program, args: [x]}"), web_)),
              HasSubstr("there is no program no-such-program"));
}

TEST_F(Steps, AScriptThatIsTakenBackRunsItsRollback) {
  const StepSpec script = step("type: script, params: {command: \"echo on >" + path("state").string() +
                               "\", rollback: \"echo off-$ST8_TARGET >" + path("state").string() + "\"}");
  EXPECT_EQ(told(run(script, web_)), "");
  EXPECT_EQ(read(path("state")), "on\n");
  EXPECT_EQ(told(undo(script, web_)), "");
  EXPECT_EQ(read(path("state")), "off-web-1\n");
  EXPECT_EQ(told(undo(step("type: script, params: {command: \"false\"}"), web_)), "");
  EXPECT_EQ(told(undo(step("type: script, params: {command: \"true\", rollback: \"exit 4\"}"), web_)), "exit 4");
}

TEST_F(Steps, AScriptIsEndedAtItsDeadlineWithAllThatItStarted) {
  const StepSpec script =
      step("type: script, params: {command: \"(sleep 600; touch " + path("late").string() + ") & sleep 600\"}");
  const StepOutcome ended = run_step(call(std::chrono::milliseconds(50)), script, context(web_));
  EXPECT_THAT(told(ended), HasSubstr("timed out"));
  CallContext cancelled = call();
  cancelled.cancelled = std::make_shared<std::atomic<bool>>(true);
  EXPECT_THAT(told(run_step(cancelled, script, context(web_))), HasSubstr("cancelled"));
}

TEST_F(Steps, SleepWaitsAndCanBeCutShort) {
  const auto begun = system_clock().monotonic();
  EXPECT_EQ(told(run(step("type: sleep, params: {duration: 30ms}"), web_)), "");
  EXPECT_GE(system_clock().monotonic() - begun, std::chrono::milliseconds(30));
  EXPECT_THAT(
      told(run_step(call(std::chrono::milliseconds(20)), step("type: sleep, params: {duration: 1h}"), context(web_))),
      HasSubstr("timed out"));
}

TEST_F(Steps, AWrittenFileGivesWayToWhatWasThere) {
  const std::string there = path("etc/motd").string();
  write(there, "old\n");
  ASSERT_EQ(::chmod(there.c_str(), 0640), 0);
  const StepSpec file =
      step("type: file_write, params: {path: " + there + ", content: \"for {{ target.name }}\", mode: \"0600\"}");
  EXPECT_EQ(told(run(file, web_)), "");
  EXPECT_EQ(read(there), "for web-1");
  EXPECT_EQ(fs::status(there).permissions(), fs::perms{0600});
  EXPECT_EQ(told(run(file, web_)), "") << "done twice is done once";
  EXPECT_EQ(told(undo(file, web_)), "");
  EXPECT_EQ(read(there), "old\n");
  EXPECT_EQ(fs::status(there).permissions(), fs::perms{0640});
  EXPECT_EQ(told(undo(file, web_)), "");
  EXPECT_THAT(names_in(path("etc")), ElementsAre("motd")) << "nothing is left behind";

  const StepSpec fresh = step("type: file_write, params: {path: " + path("etc/new").string() + ", content: x}");
  EXPECT_EQ(told(run(fresh, web_)), "");
  EXPECT_EQ(told(undo(fresh, web_)), "");
  EXPECT_THAT(names_in(path("etc")), ElementsAre("motd")) << "absence comes back too";
  EXPECT_EQ(told(run(fresh, web_)), "");
  forget_step(fresh, context(web_));
  EXPECT_EQ(told(undo(fresh, web_)), "");
  EXPECT_THAT(names_in(path("etc")), ElementsAre("motd", "new")) << "for good is for good";
  EXPECT_THAT(told(run(step("type: file_write, params: {path: " + path("none/x").string() + "/y, content: x}"), web_)),
              testing::Not(IsEmpty()));
}

TEST_F(Steps, OneFileOfSeveralTargetsComesBackWithTheLastOfThem) {
  const std::string there = path("etc/motd").string();
  write(there, "old\n");
  const StepSpec file = step("type: file_write, params: {path: " + there + ", content: new}");
  for (const auto& order : {std::pair(web_, other_), std::pair(other_, web_)}) {
    EXPECT_EQ(told(run(file, web_)), "");
    EXPECT_EQ(told(run(file, other_)), "");
    EXPECT_EQ(told(undo(file, order.first)), "");
    EXPECT_EQ(read(there), "new") << "the other target still stands on it";
    EXPECT_EQ(told(undo(file, order.first)), "");
    EXPECT_EQ(read(there), "new");
    EXPECT_EQ(told(undo(file, order.second)), "");
    EXPECT_EQ(read(there), "old\n") << "whichever goes last";
    EXPECT_THAT(names_in(path("etc")), ElementsAre("motd"));
  }
}

TEST_F(Steps, HttpSendsChecksTheAnswerAndTakesBack) {
  httplib::Server server;
  std::mutex mutex;
  std::vector<std::string> seen;
  const auto note = [&](const httplib::Request& request, httplib::Response& response) {
    const std::lock_guard lock(mutex);
    seen.push_back(request.method + " " + request.path + " " + request.get_header_value("Content-Type") + " " +
                   request.body);
    response.status = request.path == "/bad" ? 503 : 204;
  };
  server.Post(".*", note);
  server.Put(".*", note);
  const int port = server.bind_to_any_port("127.0.0.1");
  std::thread thread([&] { server.listen_after_bind(); });
  const std::string base = "http://127.0.0.1:" + std::to_string(port);
  const StepSpec http = step("type: http, params: {url: \"" + base +
                             "/drain/{{ target.name }}\", method: PUT, body: \"zone {{ target.labels.zone }}\", "
                             "contentType: text/plain, expectStatus: 204, rollbackUrl: \"" +
                             base + "/undrain\", rollbackBody: back}");
  EXPECT_EQ(told(run(http, web_)), "");
  EXPECT_EQ(told(undo(http, web_)), "");
  EXPECT_EQ(told(run(step("type: http, params: {url: \"" + base + "/bad\"}"), web_)),
            "POST " + base + "/bad answered 503");
  EXPECT_EQ(told(run(step("type: http, params: {url: \"" + base + "/x\", expectStatus: 200}"), web_)),
            "POST " + base + "/x answered 204");
  EXPECT_EQ(told(undo(step("type: http, params: {url: \"" + base + "/x\"}"), web_)), "")
      << "without a rollbackUrl there is nothing to take back";
  server.stop();
  thread.join();
  ASSERT_EQ(seen.size(), 4u);
  EXPECT_EQ(seen[0], "PUT /drain/web-1 text/plain zone a");
  EXPECT_EQ(seen[1], "POST /undrain text/plain back");
  EXPECT_THAT(told(run(http, web_)), testing::Not(IsEmpty())) << "nobody listens any more";
}

// A real dpkg over a root directory of the test's own, with packages that the test builds. What goes by apt is run
// in tests/scenarios/apt_slow_test.cpp, on a machine of its own.
class PackageStep : public Steps {
 protected:
  PackageStep() {
    for (const char* part : {"updates", "info", "triggers"}) fs::create_directories(root() / "var/lib/dpkg" / part);
    write(root() / "var/lib/dpkg/status", "");
  }
  fs::path root() const { return directory_.path() / "root"; }
  // Builds <name>_<version>.deb, which holds one file and one configuration file.
  std::string build(const std::string& name, const std::string& version, const std::string& depends = "") {
    const fs::path tree = path("build-" + name + "-" + version);
    write(tree / "DEBIAN/control", "Package: " + name + "\nVersion: " + version +
                                       "\nArchitecture: all\nMaintainer: st8 <st8@example.org>\n" +
                                       (depends.empty() ? "" : "Depends: " + depends + "\n") + "Description: a test\n");
    write(tree / "DEBIAN/conffiles", "/etc/" + name + ".conf\n");
    write(tree / "usr/share" / name / "version", version);
    write(tree / "etc" / (name + ".conf"), "a=1\n");
    for (const auto& entry : fs::recursive_directory_iterator(tree))
      fs::permissions(entry.path(), entry.is_directory() ? fs::perms{0755} : fs::perms{0644});
    fs::permissions(tree, fs::perms{0755});
    fs::permissions(tree / "DEBIAN", fs::perms{0755});
    const std::string file = path(name + "_" + version + ".deb").string();
    const auto built = st8::test::run_program({"/usr/bin/dpkg-deb", "--build", tree.string(), file});
    EXPECT_EQ(built.exit_code, 0) << built.output;
    return file;
  }
  StepSpec package(const std::string& params) const {
    return step("type: package, params: {package: app, root: " + root().string() + ", " + params + "}");
  }
  std::string installed() const { return read(root() / "usr/share/app/version"); }
  std::string dpkg_says() const {
    const auto end = st8::test::run_program({"/usr/bin/dpkg-query", "--admindir=" + (root() / "var/lib/dpkg").string(),
                                             "-W", "-f", "${db:Status-Status} ${Version}", "app"});
    return end.exit_code == 0 ? end.output : "absent";
  }
  std::vector<std::string> kept() const { return names_in(root() / "var/lib/st8-steps"); }
};

TEST_F(PackageStep, InstallsUpgradesAndGoesBackToWhatWasThere) {
  const std::string one = build("app", "1.0"), two = build("app", "2.0");
  const StepSpec first = package("file: " + one), second = package("file: " + two);
  const StepOutcome done = run(first, web_);
  ASSERT_EQ(told(done), "") << done.output;
  EXPECT_EQ(installed(), "1.0");
  EXPECT_EQ(run(first, web_).output, "version 1.0 is there already");
  EXPECT_EQ(told(undo(first, web_)), "");
  EXPECT_EQ(dpkg_says(), "absent");
  EXPECT_FALSE(fs::exists(root() / "etc/app.conf")) << "absence comes back whole";
  EXPECT_FALSE(fs::exists(root() / "usr/share/app"));
  EXPECT_EQ(told(undo(first, web_)), "");

  ASSERT_EQ(told(run(first, web_)), "");
  forget_step(first, context(web_));
  EXPECT_THAT(kept(), ElementsAre("app_1.0.deb")) << "the way back from the next version";
  write(root() / "etc/app.conf", "a=2\n");
  fs::remove(one);  // What st8 installed it from is gone; its own copy is not.
  ASSERT_EQ(told(run(second, web_)), "");
  EXPECT_EQ(installed(), "2.0");
  EXPECT_EQ(read(root() / "etc/app.conf"), "a=2\n") << "a changed configuration file stays";
  EXPECT_EQ(told(undo(second, web_)), "");
  EXPECT_EQ(installed(), "1.0");
  EXPECT_EQ(dpkg_says(), "installed 1.0");
  EXPECT_EQ(read(root() / "etc/app.conf"), "a=2\n");
  ASSERT_EQ(told(run(second, web_)), "");
  forget_step(second, context(web_));
  EXPECT_THAT(kept(), ElementsAre("app_2.0.deb"));
}

TEST_F(PackageStep, OfSeveralTargetsTheLastOneGoesBack) {
  const StepSpec step = package("file: " + build("app", "1.0"));
  ASSERT_EQ(told(run(step, web_)), "");
  ASSERT_EQ(told(run(step, other_)), "");
  EXPECT_EQ(told(undo(step, web_)), "");
  EXPECT_EQ(dpkg_says(), "installed 1.0");
  EXPECT_EQ(told(undo(step, other_)), "");
  EXPECT_EQ(dpkg_says(), "absent");
}

TEST_F(PackageStep, GoesBackWithAFileOfTheUsers) {
  const std::string one = build("app", "1.0"), two = build("app", "2.0"), three = build("app", "3.0");
  // Installed by hand: st8 has no copy.
  ASSERT_EQ(st8::test::run_program(
                {"/usr/bin/dpkg", "--root=" + root().string(), "--force-not-root", "--log=/dev/null", "--install", one},
                {"PATH=/usr/sbin:/usr/bin:/sbin:/bin"})
                .exit_code,
            0);
  const StepSpec without = package("file: " + two);
  ASSERT_EQ(told(run(without, web_)), "");
  const StepOutcome lost = undo(without, web_);
  EXPECT_THAT(told(lost), StartsWith("there is no file of app 1.0 to go back with"));
  EXPECT_THAT(told(undo(package("file: " + two + ", rollbackFile: " + three), web_)),
              HasSubstr("is version 3.0, and 1.0 was there"));
  EXPECT_EQ(told(undo(package("file: " + two + ", rollbackFile: " + one), web_)), "");
  EXPECT_EQ(dpkg_says(), "installed 1.0");
  ASSERT_EQ(told(run(without, web_)), "");
  EXPECT_EQ(told(undo(package("file: " + two + ", rollbackVersion: 3.0, rollbackFile: " + three), web_)), "")
      << "a version of the user's choice";
  EXPECT_EQ(dpkg_says(), "installed 3.0");
}

TEST_F(PackageStep, RefusesWhatIsNotWhatItSays) {
  const std::string one = build("app", "1.0"), other = build("other", "1.0"),
                    needs = build("app", "9.0", "no-such-package");
  EXPECT_EQ(told(run(package("file: " + one + ", version: 2.0"), web_)), one + " is version 1.0, not 2.0");
  EXPECT_EQ(told(run(package("file: " + other), web_)), other + " holds the package \"other\", not app");
  EXPECT_THAT(told(run(package("file: " + path("none.deb").string()), web_)), HasSubstr("is no Debian package"));
  EXPECT_EQ(dpkg_says(), "absent");
  const StepSpec broken = package("file: " + needs);
  const StepOutcome failed = run(broken, web_);
  EXPECT_THAT(told(failed), testing::Not(IsEmpty()));
  EXPECT_THAT(failed.output, HasSubstr("no-such-package"));
  const StepOutcome again = run(broken, web_);
  EXPECT_THAT(told(again), HasSubstr("package app is unpacked"))
      << "a half installed package is not touched: " << again.output;
  const StepOutcome back = undo(broken, web_);
  EXPECT_EQ(told(back), "") << back.output;
  EXPECT_EQ(dpkg_says(), "absent") << "and the way back leads over it";
}

}  // namespace
}  // namespace st8::target::effects
