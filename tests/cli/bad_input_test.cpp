// What is wrong is refused with its exit code, a message that says what, and nothing changed.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli/cli_fixture.h"

namespace st8::test {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

class BadInput : public testing::TestWithParam<Mode> {
 protected:
  BadInput() : cli(GetParam()) {
    cli.ok({"apply", "-v", "app/limits.json={}", "-v", "a=1"});
    cli.ok({"apply", "-v", "a=2"});
    cli.ok({"checkpoint", "stable", "--revision", "1"});
    cli.ok({"branch", "create", "canary"});
    before = cli.ok({"operations", "-o", "json"});
  }
  Cli cli;
  std::string before;
};
INSTANTIATE_TEST_SUITE_P(St8ctl, BadInput, testing::Values(Mode::kServer, Mode::kLocal), mode_name);

TEST_P(BadInput, IsRefusedWithItsExitCodeAndChangesNothing) {
  cli.file("same/a", "1");
  const std::string long_key(2000, 'k');
  const std::string mib_key(1u << 20, 'k');
  struct Case {
    std::vector<std::string> words;
    int code;
    std::string says;
  };
  const std::vector<Case> cases{
      // The command line.
      {{"aply"}, 2, "did you mean \"apply\""},
      {{"apply"}, 2, "nothing to apply"},
      {{"apply", "--no-such"}, 2, "unknown flag --no-such"},
      {{"apply", "-v", "a"}, 2, "has no '='"},
      {{"apply", "-f", "missing.json"}, 5, "missing.json"},
      {{"apply", "-f", "-"}, 2, "--key"},
      {{"apply", "-v", "a=1", "-v", "./a=2"}, 2, "given twice"},
      {{"apply", "-v", "a=1", "--expected-revision", "one"}, 2, "whole number"},
      {{"get", "--revision", "abc"}, 2, "--revision needs a whole number, not \"abc\""},
      {{"get", "--revision", "1", "--checkpoint", "stable"}, 2, "--revision and --checkpoint cannot be used together"},
      {{"get", "a", "b"}, 2, "-o json"},
      {{"rollback"}, 2, "roll back to what?"},
      {{"restore"}, 2, "restore from what?"},
      {{"diff"}, 2, "nothing to compare"},
      {{"diff", "same/a", "main"}, 2, "is a file here"},
      {{"diff", "1", "2", "3"}, 2, "two sides"},
      {{"gc", "--keep", "0"}, 2, "--keep must be at least 1"},
      {{"completion", "tcsh"}, 2, "bash, zsh and fish"},
      {{"help", "aply"}, 2, "did you mean \"apply\""},
      // Keys.
      {{"apply", "-v", "=x"}, 2, "key"},
      {{"apply", "-v", "/abs=1"}, 2, "/abs"},
      {{"apply", "-v", "../up=1"}, 2, "../up"},
      {{"apply", "-v", "a/../../up=1"}, 2, "up"},
      {{"apply", "-v", std::string("nul\x01=1")}, 2, "control"},
      {{"apply", "-v", "bad\xff=1"}, 2, "UTF-8"},
      {{"apply", "-v", long_key + "=1"}, 2, "1024"},
      {{"get", "/abs"}, 2, "/abs"},
      {{"get", "../up"}, 2, "../up"},
      {{"unset", ""}, 2, "key"},
      // What does not exist.
      {{"get", "nope"}, 5, "error: key \"nope\" not found"},
      {{"get", "limits.json"}, 5, "did you mean \"app/limits.json\"?"},
      {{"get", "app/limts.json"}, 5, "did you mean \"app/limits.json\"?"},
      {{"get", "--revision", "9999"}, 5, "9999"},
      {{"get", "a", "--revision", "9999"}, 5, "9999"},
      {{"get", "a", "--checkpoint", "stabel"}, 5, "did you mean \"stable\"?"},
      {{"get", "--at", "cnary"}, 5, "did you mean \"canary\"?"},
      {{"get", "--branch", "mian", "a"}, 5, "did you mean \"main\"?"},
      {{"get", "--at", "main~77"}, 5, "main~77"},
      {{"get", "--at", "~~~^"}, 2, "~~~^"},
      {{"get", "--at", ""}, 2, "--at is empty"},
      {{"rollback", "--revision", "9999"}, 5, "9999"},
      {{"rollback", "--checkpoint", "nope"}, 5, "nope"},
      {{"rollback", "1", "--branch", "nope"}, 5, "nope"},
      {{"restore", "--from-branch", "nope"}, 5, "nope"},
      {{"diff", "nope"}, 5, "nope"},
      {{"unset", "nope"}, 5, "nope"},
      {{"checkpoint", "delete", "nope"}, 5, "nope"},
      {{"checkpoint", "c", "--at", "nope"}, 5, "nope"},
      {{"branch", "delete", "nope"}, 5, "nope"},
      {{"branch", "create", "n", "--revision", "9999"}, 5, "9999"},
      {{"history", "nope"}, 5, "nope"},
      {{"target", "show", "nope"}, 5, "nope"},
      {{"rollout", "get", "99"}, 5, "99"},
      // What is there already, and names that are none.
      {{"branch", "create", "canary"}, 6, "canary"},
      {{"branch", "create", "a b"}, 2, "a b"},
      {{"branch", "create", "-- "}, 2, ""},
      {{"checkpoint", "a..b/../c"}, 2, ""},
      {{"apply", "-v", "x=1", "--branch", "a~1"}, 2, "~"},
      {{"apply", "-v", "x=1", "--namespace", "a//b"}, 2, "a//b"},
      {{"namespace", "delete", "nope", "--yes"}, 5, "nope"},
      {{"namespace", "delete", "default"}, 2, "--yes"},
  };
  for (const Case& one : cases) {
    std::string shown;
    for (const std::string& word : one.words) shown += " " + word.substr(0, 60);
    const RunResult result = cli.run(one.words);
    EXPECT_EQ(result.code, one.code) << shown << "\n" << result.err;
    EXPECT_THAT(result.err, HasSubstr(one.says)) << shown;
    EXPECT_THAT(result.err, StartsWith("error: ")) << shown;
    EXPECT_EQ(result.out, "") << shown;
    // One line for what, at most one for what next.
    EXPECT_LE(std::count(result.err.begin(), result.err.end(), '\n'), 2) << result.err;
    EXPECT_LE(result.err.size(), 2000u) << shown;
  }
  EXPECT_EQ(cli.ok({"operations", "-o", "json"}), before);
  EXPECT_EQ(cli.ok({"get"}), "revision: 2\na\napp/limits.json\n");
}

TEST(BadServer, SaysWhoIsNotThereAndWhatToDo) {
  const Cli cli(Mode::kLocal);
  std::string dead;
  {
    Cli gone(Mode::kServer);
    dead = gone.url();
    gone.daemon().kill();
  }
  const RunResult refused = cli.bare({"get", "--server", dead});
  EXPECT_EQ(refused.code, 11);
  EXPECT_THAT(refused.err, HasSubstr("cannot connect to"));
  EXPECT_THAT(refused.err, HasSubstr("hint: is st8d running there?"));
  EXPECT_EQ(cli.bare({"get", "--server", "127.0.0.1:1"}).code, 2);
  EXPECT_EQ(cli.bare({"get", "--server", "ftp://x"}).code, 2);
  EXPECT_EQ(cli.bare({"get", "--server", "http://no-such-host.invalid"}).code, 11);
  const RunResult both = cli.bare({"get", "--local", "--server", "http://x"});
  EXPECT_EQ(both.code, 2);
  EXPECT_THAT(both.err, StartsWith("error: --local and --server cannot be used together\n"));
  EXPECT_EQ(cli.bare({"get", "--config", "/nowhere.yaml"}).code, 5);
}

TEST(BadToken, IsRefusedAndLoginStoresOnlyOneThatIsNot) {
  Cli cli(Mode::kServer, {"--token", "right"});
  const RunResult none = cli.run({"get"});
  EXPECT_EQ(none.code, 3);
  EXPECT_THAT(none.err, HasSubstr("hint: "));
  EXPECT_EQ(cli.run({"get", "--token", "wrong"}).code, 3);
  EXPECT_EQ(cli.run({"apply", "-v", "a=1", "--token", "wrong"}).code, 3);
  EXPECT_EQ(cli.run({"get", "--token", "a b"}).code, 2);
  EXPECT_EQ(cli.run({"get", "--token", "right\r\nX-Evil: 1"}).code, 2);
  EXPECT_EQ(cli.run({"apply", "-v", "a=1", "--token", "right"}).code, 0);
  const std::filesystem::path config = cli.home() / ".config/st8ctl/config.yaml";
  EXPECT_EQ(cli.bare({"login", cli.url()}, with_input("wrong\n")).code, 3);
  EXPECT_FALSE(std::filesystem::exists(config));
  const RunResult login = cli.bare({"login", cli.url()}, with_input("right\n"));
  EXPECT_EQ(login.code, 0) << login.err;
  EXPECT_EQ(std::filesystem::status(config).permissions(), std::filesystem::perms(0600));
  EXPECT_EQ(login.out.find("right"), std::string::npos);  // Never shown.
  const RunResult after = cli.bare({"get", "a"});
  EXPECT_EQ(after.out, "1") << after.err;
  EXPECT_EQ(cli.bare({"login"}, with_input("\n")).code, 2);
}

TEST(BadStateDirectory, IsNamed) {
  const Cli cli(Mode::kLocal);
  cli.file("plain", "a file");
  const RunResult file = cli.bare({"get", "--local", "--state-dir", (cli.work() / "plain").string()});
  EXPECT_NE(file.code, 0);
  EXPECT_THAT(file.err, HasSubstr("plain"));
  const RunResult proc = cli.bare({"apply", "-v", "a=1", "--local", "--state-dir", "/proc/st8"});
  EXPECT_NE(proc.code, 0);
  EXPECT_THAT(proc.err, StartsWith("error: "));
}

}  // namespace
}  // namespace st8::test
