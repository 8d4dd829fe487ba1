// Terminals, pipes, other commands at the same time.
#include <fstream>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <thread>

#include "cli/cli_fixture.h"

namespace st8::test {
namespace {

using testing::HasSubstr;
using testing::Not;

constexpr const char* kEscape = "\x1b[";

TEST(Terminal, ColoursThereAndNowhereElse) {
  const Cli cli(Mode::kLocal);
  cli.ok({"apply", "-v", "a=1\n"});
  cli.ok({"apply", "-v", "a=2\n"});
  EXPECT_THAT(cli.run({"diff", "1", "2"}, at_terminal()).out, HasSubstr("\x1b[31m-1\x1b[0m"));
  EXPECT_THAT(cli.run({"apply", "-v", "b=1"}, at_terminal()).out, HasSubstr("\x1b[32mCREATE\x1b[0m b"));
  EXPECT_THAT(cli.run({"get", "nope"}, at_terminal()).out, HasSubstr("\x1b[1;31merror:\x1b[0m"));
  EXPECT_THAT(cli.run({"diff", "1", "2"}).out, Not(HasSubstr(kEscape)));
  EXPECT_THAT(cli.run({"get", "nope"}).err, Not(HasSubstr(kEscape)));
  EXPECT_THAT(cli.run({"diff", "1", "2", "--color", "always"}).out, HasSubstr(kEscape));
  EXPECT_THAT(cli.run({"diff", "1", "2", "--color", "never"}, at_terminal()).out, Not(HasSubstr(kEscape)));
  RunOptions no_color = at_terminal();
  no_color.environment["NO_COLOR"] = "1";
  EXPECT_THAT(cli.run({"diff", "1", "2"}, no_color).out, Not(HasSubstr(kEscape)));
  no_color.environment["NO_COLOR"] = "";  // Empty counts as not set.
  EXPECT_THAT(cli.run({"diff", "1", "2"}, no_color).out, HasSubstr(kEscape));
  RunOptions dumb = at_terminal();
  dumb.environment["TERM"] = "dumb";
  EXPECT_THAT(cli.run({"diff", "1", "2"}, dumb).out, Not(HasSubstr(kEscape)));
}

TEST(Terminal, AsksBeforeWhatCannotBeUndone) {
  const Cli cli(Mode::kLocal);
  cli.ok({"apply", "-n", "scratch", "-v", "a=1"});
  RunOptions no = at_terminal();
  no.prompt = "[y/N]";
  no.input = "\n";
  const RunResult refused = cli.run({"namespace", "delete", "scratch"}, no);
  EXPECT_EQ(refused.code, 2);
  EXPECT_THAT(refused.out, HasSubstr("[y/N]"));
  EXPECT_EQ(cli.ok({"namespace", "-o", "name"}), "scratch\n");
  RunOptions yes = at_terminal();
  yes.prompt = "[y/N]";
  yes.input = "y\n";
  EXPECT_EQ(cli.run({"namespace", "delete", "scratch"}, yes).code, 0);
  EXPECT_EQ(cli.ok({"namespace", "-o", "name"}), "");
}

TEST(Terminal, ATokenIsNotShownWhileItIsTyped) {
  Cli cli(Mode::kServer, {"--token", "hunter2"});
  RunOptions typing = at_terminal();
  typing.input = "hunter2\n";
  typing.prompt = "Token: ";
  const RunResult login = cli.bare({"login", cli.url()}, typing);
  EXPECT_EQ(login.code, 0) << login.out;
  EXPECT_THAT(login.out, HasSubstr("Token: "));
  EXPECT_THAT(login.out, Not(HasSubstr("hunter2")));
}

TEST(Pipes, AReaderWhoLeavesEndsTheOutputQuietly) {
  const Cli cli(Mode::kLocal);
  for (int i = 0; i < 2000; ++i) cli.file("many/document-with-a-long-name-" + std::to_string(i), "x");
  cli.ok({"apply", "-f", "many"});
  RunOptions gone;
  gone.close_out = true;
  for (const std::vector<std::string>& words : std::vector<std::vector<std::string>>{
           {"get"}, {"get", "-o", "json"}, {"diff", "0", "1"}, {"log"}, {"show"}, {"help", "--markdown"}}) {
    const RunResult result = cli.run(words, gone);
    EXPECT_EQ(result.signal, 0) << words[0];
    EXPECT_EQ(result.code, 0) << words[0];
    EXPECT_EQ(result.err, "") << words[0];
  }
}

TEST(Pipes, AFullDiskUnderTheOutputIsAnError) {
  const Cli cli(Mode::kLocal);
  cli.ok({"apply", "-v", "a=1"});
  RunOptions options;
  options.environment = {{"ST8CTL_LOCAL", "1"}, {"ST8CTL_STATE_DIR", cli.state_dir()}, {"HOME", cli.home().string()}};
  const RunResult result = run_process({"/bin/sh", "-c", "exec " ST8_BIN_DIR "/st8ctl get > /dev/full"}, options);
  EXPECT_EQ(result.code, 11);
  EXPECT_THAT(result.err, HasSubstr("cannot write the output"));
}

TEST(Local, TwoAtOnceWaitForEachOther) {
  const Cli cli(Mode::kLocal);
  cli.ok({"apply", "-v", "n=0"});
  std::vector<std::thread> writers;
  std::array<RunResult, 12> results;
  for (std::size_t i = 0; i < results.size(); ++i) {
    writers.emplace_back([&, i] { results[i] = cli.run({"apply", "-v", "k" + std::to_string(i) + "=1"}); });
  }
  for (std::thread& writer : writers) writer.join();
  for (const RunResult& result : results) EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(nlohmann::json::parse(cli.ok({"get", "-o", "json"}))["objects"].size(), results.size() + 1);
  EXPECT_EQ(cli.ok({"resolve", "-o", "name"}), "13\n");
}

TEST(Local, SaysWhoHoldsTheStore) {
  Cli cli(Mode::kServer);
  cli.ok({"apply", "-v", "a=1"});
  // st8d would not let go: it is not waited for.
  const RunResult held = cli.bare({"get", "--local", "--state-dir", cli.state_dir()});
  EXPECT_EQ(held.code, 11);
  EXPECT_THAT(held.err, HasSubstr("is held by st8d (process " + std::to_string(cli.daemon().pid()) + ")"));
  EXPECT_THAT(held.err, HasSubstr("hint: "));
  cli.daemon().send_signal(SIGTERM);
  EXPECT_EQ(cli.daemon().wait_end(), 0);
  const RunResult after = cli.bare({"get", "a", "--local", "--state-dir", cli.state_dir()});
  EXPECT_EQ(after.out, "1") << after.err;
}

TEST(Local, AStoreHeldByAnotherIsWaitedForUntilTheTimeout) {
  const Cli cli(Mode::kLocal);
  cli.ok({"apply", "-v", "a=1"});
  // Holds the lock as RocksDB does, until its input ends.
  const std::string script =
      "import fcntl,sys; f=open(sys.argv[1],'r+'); fcntl.lockf(f, fcntl.LOCK_EX); print('held', flush=True); "
      "sys.stdin.read()";
  int to_child[2];
  ASSERT_EQ(::pipe2(to_child, O_CLOEXEC), 0);
  const std::string out = (cli.home() / "holder.out").string();
  const pid_t holder = ::fork();
  if (holder == 0) {
    ::dup2(to_child[0], 0);
    const int file = ::open(out.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    ::dup2(file, 1);
    ::execl("/usr/bin/python3", "python3", "-c", script.c_str(), (cli.state_dir() + "/LOCK").c_str(), nullptr);
    ::_exit(127);
  }
  ::close(to_child[0]);
  ASSERT_TRUE(eventually([&] { return read_file(out) == "held\n"; }));
  const RunResult timed_out = cli.run({"get", "a", "--timeout", "600ms"});
  EXPECT_EQ(timed_out.code, 11);
  EXPECT_THAT(timed_out.err,
              HasSubstr("is held by python3 (process " + std::to_string(holder) + "); waiting for it\n"));
  EXPECT_THAT(timed_out.err, HasSubstr("did not let go within 600 ms"));
  std::thread release([&] {
    eventually([] { return false; }, std::chrono::milliseconds(200));
    ::close(to_child[1]);
  });
  EXPECT_EQ(cli.ok({"get", "a"}), "1");
  release.join();
  int status = 0;
  ::waitpid(holder, &status, 0);
  EXPECT_EQ(status, 0);
}

TEST(Local, IsNotWatched) {
  const Cli cli(Mode::kLocal);
  const RunResult result = cli.run({"watch"});
  EXPECT_EQ(result.code, 16);
  EXPECT_THAT(result.err, HasSubstr("start st8d over "));
}

// What `st8ctl watch` has printed so far.
class Watcher {
 public:
  Watcher(const Cli& cli, std::vector<std::string> words, const std::string& name)
      : out_((cli.home() / (name + ".out")).string()), err_((cli.home() / (name + ".err")).string()) {
    words.insert(words.begin(), {ST8_BIN_DIR "/st8ctl", "watch", "--server", cli.url()});
    RunOptions options;
    options.environment = {{"HOME", cli.home().string()}};
    program_ = Program(std::move(words), options, out_, err_);
  }
  std::string out() const { return read_file(out_); }
  std::string err() const { return read_file(err_); }
  bool shows(const std::string& text) const {
    return eventually([&] { return out().find(text) != std::string::npos; });
  }
  bool ends() {
    return eventually([&] { return !program_.running(); });
  }

 private:
  std::string out_;
  std::string err_;
  Program program_;
};

TEST(Watch, PrintsWhatComesAndEndsAfterTheCount) {
  const Cli cli(Mode::kServer);
  cli.ok({"apply", "-v", "a=1"});
  cli.ok({"apply", "-v", "a=2", "-v", "b=1"});
  // What has been is asked for, so nothing depends on when the stream begins.
  Watcher watcher(cli, {"--after", "1", "--count", "2"}, "text");
  ASSERT_TRUE(watcher.shows("rev=2 parent=1 branch=main")) << watcher.out() << watcher.err();
  ASSERT_TRUE(watcher.shows("\nUPDATE a\nCREATE b\n"));
  cli.ok({"unset", "b"});
  ASSERT_TRUE(watcher.shows("rev=3 parent=2 branch=main"));
  EXPECT_TRUE(watcher.ends());
  Watcher json(cli, {"--after", "1", "--count", "2", "-o", "json"}, "json");
  ASSERT_TRUE(json.ends());
  std::istringstream lines(json.out());
  int count = 0;
  for (std::string line; std::getline(lines, line);) {
    EXPECT_EQ(nlohmann::json::parse(line)["id"], 2 + count++) << line;
  }
  EXPECT_EQ(count, 2);
}

TEST(Watch, FollowsPrefixesAndAllBranches) {
  const Cli cli(Mode::kServer);
  cli.ok({"apply", "-v", "a=1"});
  Watcher prefix(cli, {"--after", "1", "--prefix", "app/", "-o", "name"}, "prefix");
  Watcher all(cli, {"--after", "1", "--all-branches", "-o", "name"}, "all");
  cli.ok({"apply", "-b", "x", "-v", "app/x=1"});
  cli.ok({"apply", "-v", "other=1"});
  cli.ok({"apply", "-v", "app/y=1"});
  ASSERT_TRUE(prefix.shows("4\n")) << prefix.err();
  EXPECT_EQ(prefix.out(), "4\n");
  ASSERT_TRUE(all.shows("4\n")) << all.err();
  EXPECT_EQ(all.out(), "2\n3\n4\n");
}

TEST(Watch, ComesBackAfterTheServerDidWithoutMissingAny) {
  const TempDirectory directory;
  const std::string state = (directory.path() / "state").string();
  auto daemon = std::make_unique<Daemon>(DaemonOptions{state});
  ASSERT_TRUE(daemon->wait_ready()) << daemon->log();
  const Cli cli(Mode::kLocal);
  const auto apply = [&](const std::string& value) {
    const RunResult result = cli.bare({"apply", "-v", value, "--server", daemon->url()});
    EXPECT_EQ(result.code, 0) << result.err;
  };
  const std::string url = daemon->url();
  apply("a=1");
  apply("a=2");
  RunOptions options;
  options.environment = {{"HOME", cli.home().string()}};
  const std::string out = (cli.home() / "watch.out").string();
  Program watcher({ST8_BIN_DIR "/st8ctl", "watch", "--server", url, "--after", "1", "-o", "name"}, options, out,
                  (cli.home() / "watch.err").string());
  ASSERT_TRUE(eventually([&] { return read_file(out) == "2\n"; })) << read_file(cli.home() / "watch.err");
  daemon->kill();
  // The same port again: taken from the address, as the first one was picked by the system.
  daemon = std::make_unique<Daemon>(DaemonOptions{state, {"--listen", url.substr(std::string("http://").size())}});
  ASSERT_TRUE(daemon->wait_ready()) << daemon->log();
  ASSERT_EQ(daemon->url(), url);
  apply("a=3");
  EXPECT_TRUE(eventually([&] { return read_file(out) == "2\n3\n"; }, std::chrono::seconds(20)))
      << read_file(out) << read_file(cli.home() / "watch.err");
}

TEST(Watch, APointThatGcHasTakenIsSaid) {
  const Cli cli(Mode::kServer);
  for (int i = 0; i < 4; ++i) cli.ok({"apply", "-v", "a=" + std::to_string(i)});
  cli.ok({"gc", "--keep", "1"});
  const RunResult result = cli.run({"watch", "--after", "1", "--count", "1"});
  EXPECT_EQ(result.code, 13) << result.err;
}

}  // namespace
}  // namespace st8::test
