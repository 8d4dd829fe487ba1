// The sessions of the ssh driver against a real sshd: how many there are, what ends them, and what comes after.
#include <filesystem>
#include <fstream>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <iterator>
#include <map>
#include <optional>
#include <signal.h>
#include <sys/stat.h>
#include <thread>

#include "driver_conformance.h"
#include "drivers/ssh/session_pool.h"
#include "drivers/ssh/ssh_driver.h"
#include "st8/state/clock.h"
#include "support/eventually.h"
#include "support/ssh_server.h"
#include "support/temp_directory.h"

namespace st8::target::conformance {
namespace {

namespace fs = std::filesystem;
using FileMap = std::map<std::string, FileOnTarget>;
using test::SshServer;
using testing::HasSubstr;

// One machine, and one daemon's sessions to it.
class Machine {
 public:
  // `before`: shell that its login runs before what it is asked for.
  explicit Machine(const std::string& before = "", const std::string& settings = "")
      : server_(tools() + ":/usr/bin:/bin", before.empty() ? "" : "/bin/sh " + (directory_.path() / "login").string(),
                settings) {
    std::ofstream(directory_.path() / "login") << before << "\neval \"$SSH_ORIGINAL_COMMAND\"\n";
    fs::create_directory(tools());
  }

  std::unique_ptr<TargetDriver> target(const std::string& name, Millis share = Millis(60'000)) {
    ssh::SshSpec spec;
    spec.host = "127.0.0.1";
    spec.port = server_.port();
    spec.root = root(name).string();
    spec.keep = 2;
    spec.identity_file = server_.identity();
    spec.known_hosts = server_.known_hosts();
    spec.config = config_.empty() ? "/dev/null" : config_;
    spec.control_directory = (directory_.path() / "c").string();
    spec.share = share;
    return ssh::make_ssh_driver(spec, sessions_);
  }
  fs::path root(const std::string& name) const { return directory_.path() / name; }
  FileMap live(const std::string& name) const { return files_below(root(name) / "current"); }
  const fs::path& path() const { return directory_.path(); }
  SshServer& server() { return server_; }
  void forget_sessions() { sessions_ = std::make_shared<ssh::SessionPool>(); }
  void use_config(const std::string& path) { config_ = path; }

  // From now on a tool of the machine runs this first; it is there as long as `once` is not set, or until it ran.
  void replace_tool(const std::string& tool, const std::string& shell) {
    std::ofstream(tools() + "/new") << "#!/bin/sh\n" << shell << "\nexec /usr/bin/" << tool << " \"$@\"\n";
    ::chmod((tools() + "/new").c_str(), 0755);
    fs::rename(tools() + "/new", tools() + "/" + tool);
  }
  void plain_tool(const std::string& tool) { fs::remove(tools() + "/" + tool); }

  int logged(const std::string& words) const {
    const std::string log = server_.log();
    int count = 0;
    for (std::size_t at = 0; (at = log.find(words, at)) != std::string::npos; ++at) ++count;
    return count;
  }
  int logins() const { return logged("Accepted publickey"); }
  int begun() const { return logged("Starting session"); }
  int over() const { return logged("Close session"); }

 private:
  std::string tools() const { return (directory_.path() / "tools").string(); }
  test::TempDirectory directory_;
  SshServer server_;
  std::string config_;
  std::shared_ptr<ssh::SessionPool> sessions_ = std::make_shared<ssh::SessionPool>();
};

Content content_with(std::uint64_t revision, const std::string& text) {
  return content_of(revision, {{"app/value", {text, 0644}}});
}

// Which files differ; their bytes are too many to be printed.
std::string differing(const FileMap& a, const FileMap& b) {
  std::string names;
  for (const auto* map : {&a, &b}) {
    for (const auto& [name, file] : *map) {
      const auto in_a = a.find(name), in_b = b.find(name);
      if (in_a == a.end() || in_b == b.end() || !(in_a->second == in_b->second)) names += name + "\n";
    }
  }
  return names;
}

Status go_live(TargetDriver& target, const Content& content) {
  const std::uint64_t token = content.revision.value;
  const CallContext call = call_of(token, "r-" + std::to_string(token));
  ST8_TRY(target.stage(call, content));
  ST8_ASSIGN(const Hash staged, target.validate(call, content.label()));
  EXPECT_EQ(staged, content.hash);
  ST8_TRY(target.activate(call, content.label()));
  ST8_ASSIGN(const Observation seen, target.observe(call));
  EXPECT_EQ(seen.content, content.hash);
  return {};
}

// `count` threads, each with a target of its own; what each ended with.
std::vector<Status> at_once(int count, const std::function<Status(int)>& work) {
  std::vector<Status> ends(static_cast<std::size_t>(count));
  std::vector<std::thread> threads;
  for (int i = 0; i < count; ++i) threads.emplace_back([&, i] { ends[static_cast<std::size_t>(i)] = work(i); });
  for (std::thread& thread : threads) thread.join();
  return ends;
}

std::string wait_for_file(const fs::path& path) { return "while [ ! -e " + path.string() + " ]; do sleep 0.01; done"; }

TEST(SshSession, OneServesEveryCallOfEveryTargetOfAHost) {
  Machine machine;
  for (std::uint64_t revision = 1; revision <= 3; ++revision) {
    for (const std::string name : {"a", "b"}) {
      const Content content = content_with(revision, name + std::to_string(revision));
      const Status done = go_live(*machine.target(name), content);
      ASSERT_TRUE(done) << done.error().message;
      ASSERT_TRUE(machine.target(name)->discard(call_of(revision, "")));
    }
  }
  EXPECT_EQ(machine.live("a"), (FileMap{{"app/value", {"a3", 0644}}}));
  EXPECT_EQ(machine.live("b"), (FileMap{{"app/value", {"b3", 0644}}}));
  EXPECT_EQ(machine.logins(), 1);
  EXPECT_EQ(machine.begun(), 1);
}

TEST(SshSession, CallsAtOnceShareAFewSessionsOfOneConnection) {
  Machine machine;
  for (std::uint64_t revision = 1; revision <= 2; ++revision) {
    const auto ends = at_once(24, [&](int i) {
      return go_live(*machine.target("t" + std::to_string(i)), content_with(revision, std::to_string(i)));
    });
    for (const Status& end : ends) EXPECT_TRUE(end) << end.error().message;
  }
  for (int i = 0; i < 24; ++i)
    EXPECT_EQ(machine.live("t" + std::to_string(i)), (FileMap{{"app/value", {std::to_string(i), 0644}}}));
  EXPECT_EQ(machine.logins(), 1);
  EXPECT_LE(machine.begun(), static_cast<int>(ssh::kSessionsPerConnectionMax));
}

TEST(SshSession, AHostThatTakesFewSessionsIsServedAllTheSame) {
  Machine machine("", "MaxSessions 1\n");
  const auto ends = at_once(
      6, [&](int i) { return go_live(*machine.target("t" + std::to_string(i)), content_with(1, std::to_string(i))); });
  for (const Status& end : ends) EXPECT_TRUE(end) << end.error().message;
}

TEST(SshSession, OneThatIsKilledInTheMiddleSaysThatTheOutcomeIsNotKnown) {
  Machine machine;
  const Content one = content_with(1, "1"), two = content_with(2, "2");
  ASSERT_TRUE(go_live(*machine.target("a"), one));
  ASSERT_TRUE(go_live(*machine.target("b"), one));
  // Everything of the session at the other end, at once, in the middle of the switch.
  machine.replace_tool("mv", "kill -9 0");
  const CallContext call = call_of(2, "r-2");
  const Status staged = machine.target("a")->stage(call, two);
  ASSERT_FALSE(staged);
  EXPECT_EQ(staged.error().code, ErrorCode::kUnavailable);
  EXPECT_THAT(staged.error().message, HasSubstr("ended in the middle"));
  EXPECT_THAT(staged.error().hint, HasSubstr("not known"));
  EXPECT_EQ(machine.live("a"), (FileMap{{"app/value", {"1", 0644}}}));
  machine.plain_tool("mv");
  for (const std::string name : {"a", "b"}) {
    const Status done = go_live(*machine.target(name), two);
    EXPECT_TRUE(done) << done.error().message;
  }
  EXPECT_EQ(machine.logins(), 1);
  EXPECT_EQ(machine.begun(), 2);
}

TEST(SshSession, OneThatWasKilledWhileItWasIdleIsMadeAnew) {
  Machine machine;
  ASSERT_TRUE(go_live(*machine.target("a"), content_with(1, "1")));
  machine.server().drop_connections();
  // Nobody hears of a call that comes before the news does.
  EXPECT_TRUE(test::eventually([&] { return machine.target("a")->observe(call_of(1, "")).has_value(); }));
  ASSERT_TRUE(go_live(*machine.target("a"), content_with(2, "2")));
  EXPECT_EQ(machine.live("a"), (FileMap{{"app/value", {"2", 0644}}}));
}

TEST(SshSession, WhatOthersPrintThereIsPassedOver) {
  test::TempDirectory marks;
  const fs::path go = marks.path() / "go", done = marks.path() / "done";
  // A banner, what looks like an answer, and something in the background that prints when a call is long over.
  Machine machine("echo welcome; printf 'st8-0 0 begin\\nst8-0 0 ok\\n\\000\\377'; echo careful >&2; (" +
                  wait_for_file(go) + "; printf 'late\\nst8-0 2 ok\\n\\nf 644 app/value\\000'; : >" + done.string() +
                  ") </dev/null &");
  std::ofstream(machine.server().directory() / ".bashrc") << "echo of a shell; echo and more >&2\n";
  ASSERT_TRUE(go_live(*machine.target("a"), content_with(1, "1")));
  std::ofstream(go).flush();
  ASSERT_TRUE(test::eventually([&] { return fs::exists(done); }));
  const Status again = go_live(*machine.target("a"), content_with(2, "2"));
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ(machine.begun(), 1);
}

TEST(SshSession, AnAnswerWithoutEndIsCutOffAndTheNextCallWorks) {
  Machine machine;
  const Content content = content_with(1, "1");
  ASSERT_TRUE(go_live(*machine.target("a"), content));
  machine.replace_tool("find", "exec cat /dev/zero");
  const auto seen = machine.target("a")->observe(call_of(1, ""));
  ASSERT_FALSE(seen);
  EXPECT_EQ(seen.error().code, ErrorCode::kUnprocessable) << seen.error().message;
  EXPECT_THAT(seen.error().message, HasSubstr("64 MiB"));
  machine.plain_tool("find");
  const auto now = machine.target("a")->observe(call_of(1, ""));
  ASSERT_TRUE(now) << now.error().message;
  EXPECT_EQ(now->content, content.hash);
}

TEST(SshSession, CallsThatComeWhileTheFirstOneConnectsWaitForIt) {
  test::TempDirectory marks;
  const fs::path go = marks.path() / "go";
  Machine machine(wait_for_file(go));
  std::thread opens([&] {
    EXPECT_TRUE(test::eventually([&] { return machine.begun() == 1; }));
    std::ofstream(go).flush();
  });
  const auto ends = at_once(6, [&](int i) { return machine.target("t" + std::to_string(i))->check(call_of(1, "")); });
  opens.join();
  for (const Status& end : ends) EXPECT_TRUE(end) << end.error().message;
  EXPECT_EQ(machine.logins(), 1);
}

TEST(SshSession, CallsForAHostThatIsAwayShareItsFateAndItComesBack) {
  Machine machine;
  for (int i = 0; i < 6; ++i)
    ASSERT_TRUE(go_live(*machine.target("t" + std::to_string(i)), content_with(1, std::to_string(i))));
  machine.server().stop();
  const auto ends = at_once(6, [&](int i) { return machine.target("t" + std::to_string(i))->check(call_of(1, "")); });
  for (const Status& end : ends) {
    ASSERT_FALSE(end);
    EXPECT_EQ(end.error().code, ErrorCode::kUnavailable) << end.error().message;
  }
  machine.server().start();
  for (int i = 0; i < 6; ++i) {
    const Status done = go_live(*machine.target("t" + std::to_string(i)), content_with(2, std::to_string(i)));
    EXPECT_TRUE(done) << done.error().message;
  }
}

TEST(SshSession, ACallThatIsCancelledEndsThereTooAndItsNeighbourGoesOn) {
  Machine machine;
  const Content one = content_with(1, "1"), two = content_with(2, "2");
  ASSERT_TRUE(go_live(*machine.target("a"), one));
  ASSERT_TRUE(go_live(*machine.target("b"), one));
  const fs::path pid = machine.path() / "pid";
  // It hangs in one root alone.
  machine.replace_tool("mv", "case $(pwd -P) in " + machine.root("a").string() + ") echo $$ >" + pid.string() +
                                 ".new; /bin/mv " + pid.string() + ".new " + pid.string() +
                                 "; exec sleep 1000 ;; esac");
  CallContext call = call_of(2, "r-2");
  call.cancelled = std::make_shared<std::atomic<bool>>(false);
  std::optional<Status> hung;
  std::thread caller([&] { hung = machine.target("a")->stage(call, two); });
  EXPECT_TRUE(test::eventually([&] { return fs::exists(pid); }));
  const Status neighbour = go_live(*machine.target("b"), two);
  EXPECT_TRUE(neighbour) << neighbour.error().message;
  call.cancelled->store(true);
  caller.join();
  ASSERT_FALSE(*hung);
  EXPECT_EQ(hung->error().code, ErrorCode::kUnavailable);
  long number = 0;
  std::ifstream(pid) >> number;
  EXPECT_TRUE(test::eventually([&] { return !fs::exists("/proc/" + std::to_string(number)); }));
  machine.plain_tool("mv");
  EXPECT_TRUE(go_live(*machine.target("a"), two));
}

TEST(SshSession, IdleOnesAreClosedAfterAWhileAndAllOfThemAtTheEnd) {
  Machine machine;
  ASSERT_TRUE(machine.target("a", Millis(50))->check(call_of(1, "")));
  EXPECT_EQ(machine.begun(), 1);
  EXPECT_TRUE(test::eventually([&] { return machine.over() == 1; }));
  ASSERT_TRUE(machine.target("a")->check(call_of(1, "")));
  EXPECT_EQ(machine.begun(), 2);
  EXPECT_GT(machine.server().commands(), 0u);
  machine.forget_sessions();
  EXPECT_TRUE(test::eventually([&] { return machine.over() == 2; }));
  EXPECT_TRUE(test::eventually([&] { return machine.server().commands() == 0; }));
}

TEST(SshSession, AConnectionThroughAnotherHostServesManyCallsToo) {
  Machine machine;
  const SshServer& server = machine.server();
  const std::string config = (machine.path() / "config").string();
  std::ofstream(config) << "Host *\n  ProxyCommand /usr/bin/ssh -F /dev/null -i " << server.identity()
                        << " -o IdentitiesOnly=yes -o BatchMode=yes -o UserKnownHostsFile=" << server.known_hosts()
                        << " -p " << server.port() << " -W %h:%p 127.0.0.1\n";
  machine.use_config(config);
  for (std::uint64_t revision = 1; revision <= 3; ++revision) {
    const auto ends = at_once(4, [&](int i) {
      return go_live(*machine.target("t" + std::to_string(i)), content_with(revision, std::to_string(revision)));
    });
    for (const Status& end : ends) EXPECT_TRUE(end) << end.error().message;
  }
  EXPECT_EQ(machine.logins(), 2);
}

TEST(SshSession, ALargeContentComesInPartsAndOnlyOnce) {
  Machine machine;
  std::string bytes;
  for (std::uint32_t i = 0; i < 400'000; ++i) bytes += static_cast<char>((i * 7919u) >> (i % 5));
  FileMap files = {{"a/binary", {bytes, 0644}},
                   {"a/private", {std::string(300'000, '%'), 0600}},
                   {"run", {"#!/bin/sh\n", 0755}},
                   {"kept", {std::string(200'000, '-'), 0444}},
                   {"-n", {"", 0640}}};
  for (int i = 0; i < 500; ++i)
    files["many/" + std::to_string(i % 7) + "/" + std::to_string(i)] = {"\\n'" + std::to_string(i), 0644};
  const Content content = content_of(1, files);
  const auto target = machine.target("a");
  const Status done = go_live(*target, content);
  ASSERT_TRUE(done) << done.error().message;
  EXPECT_EQ(differing(machine.live("a"), files), "");
  // Another of the same parts, of which nothing is written: it is there.
  machine.replace_tool("mkdir", "exit 1");
  EXPECT_TRUE(target->stage(call_of(1, "r-1"), content));
  machine.plain_tool("mkdir");
  // One that was cut off between leaves nothing that a discard does not take away.
  machine.replace_tool("mv", "exit 1");
  FileMap changed = files;
  changed["a/binary"].bytes += "x";
  ASSERT_FALSE(target->stage(call_of(2, "r-2"), content_of(2, changed)));
  machine.plain_tool("mv");
  ASSERT_TRUE(target->discard(call_of(3, "")));
  for (const auto& entry : fs::directory_iterator(machine.root("a") / "revisions"))
    EXPECT_EQ(entry.path().filename(), content.label());
  EXPECT_EQ(differing(machine.live("a"), files), "");
}

}  // namespace
}  // namespace st8::target::conformance
