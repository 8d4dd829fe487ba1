// docs/cli.md, help and completion say what the program does.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "args/command.h"
#include "cli/cli_fixture.h"
#include "commands/help.h"

namespace st8::test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

TEST(Reference, IsWhatTheProgramWrites) {
  EXPECT_EQ(read_file(ST8_SOURCE_DIR "/docs/cli.md"), ctl::help_markdown())
      << "docs/cli.md is not current: build/dev/bin/st8ctl help --markdown > docs/cli.md";
}

TEST(Help, ExplainsEveryCommand) {
  const Cli cli(Mode::kLocal);
  EXPECT_EQ(cli.bare({"--help"}).code, 0);
  EXPECT_EQ(cli.bare({}).code, 2);
  EXPECT_THAT(cli.bare({}).err, HasSubstr("Commands:"));
  std::size_t commands = 0;
  const std::function<void(const ctl::Command&, std::vector<std::string>)> visit = [&](const ctl::Command& command,
                                                                                       std::vector<std::string> words) {
    for (const ctl::Command* child : command.children) {
      if (child->hidden) continue;
      std::vector<std::string> path = words;
      path.emplace_back(child->name);
      std::vector<std::string> asked = path;
      asked.emplace_back("--help");
      const RunResult help = cli.bare(asked);
      EXPECT_EQ(help.code, 0);
      EXPECT_THAT(help.out, HasSubstr("Usage:\n  st8ctl " + path.front()));
      std::vector<std::string> by_word = path;
      by_word.insert(by_word.begin(), "help");
      EXPECT_EQ(cli.bare(by_word).out, help.out);
      for (const std::string& line : lines_of(help.out)) EXPECT_LE(line.size(), 160u) << line;
      ++commands;
      visit(*child, path);
    }
  };
  visit(ctl::root_command(), {});
  EXPECT_GT(commands, 35u);
}

class Completion : public testing::Test {
 protected:
  Completion() : cli(Mode::kServer) {
    cli.ok({"apply", "-v", "app/limits.json={}", "-v", "app/flags.json={}"});
    cli.ok({"branch", "create", "exp/x"});
    cli.ok({"checkpoint", "stable"});
    cli.ok({"apply", "-n", "payments/prod", "-v", "a=1"});
  }
  std::vector<std::string> completed(std::vector<std::string> words) const {
    words.insert(words.begin(), {"__complete", "--"});
    return lines_of(cli.ok(words));
  }
  Cli cli;
};

TEST_F(Completion, KnowsCommandsFlagsAndNames) {
  EXPECT_THAT(completed({""}), testing::Contains("cherry-pick"));
  EXPECT_THAT(completed({""}), testing::Not(testing::Contains("__complete")));
  EXPECT_THAT(completed({"branch", ""}), ElementsAre("list", "create", "delete", "rename", "protect", "unprotect"));
  EXPECT_THAT(completed({"branch", "delete", ""}), ElementsAre("exp/x", "main"));
  EXPECT_THAT(completed({"get", ""}), ElementsAre("app/flags.json", "app/limits.json"));
  EXPECT_THAT(completed({"get", "--at", ""}), ElementsAre("exp/x", "main", "stable"));
  EXPECT_THAT(completed({"get", "--checkpoint", ""}), ElementsAre("stable"));
  EXPECT_THAT(completed({"get", "-n", ""}), ElementsAre("default", "payments/prod"));
  EXPECT_THAT(completed({"get", "-n", "payments/prod", ""}), ElementsAre("a"));
  EXPECT_THAT(completed({"get", "-o", ""}), ElementsAre("text", "json", "yaml", "name"));
  EXPECT_THAT(completed({"apply", ""}), ElementsAre(":files"));
  EXPECT_THAT(completed({"apply", "-f", ""}), ElementsAre(":files"));
  EXPECT_THAT(completed({"apply", "--"}), testing::Contains("--expected-revision"));
  EXPECT_THAT(completed({"completion", ""}), ElementsAre("bash", "zsh", "fish"));
  EXPECT_THAT(completed({"help", "bra"}), testing::Contains("branch"));
}

TEST_F(Completion, IsSilentWithoutAServer) {
  const RunResult result = cli.bare({"__complete", "--server", "http://127.0.0.1:1", "--", "get", ""});
  EXPECT_EQ(result.code, 0);
  EXPECT_EQ(result.out + result.err, "");
}

// The script, in the shell itself.
TEST_F(Completion, WorksInBash) {
  RunOptions options;
  options.environment = {{"HOME", cli.home().string()},
                         {"ST8CTL_SERVER", cli.url()},
                         {"PATH", std::string(ST8_BIN_DIR) + ":/usr/bin:/bin"}};
  const auto in_bash = [&](const std::string& words, int index) {
    const RunResult result = run_process(
        {"/bin/bash", "-c",
         "source <(st8ctl completion bash); COMP_WORDS=(" + words + "); COMP_CWORD=" + std::to_string(index) +
             "; _st8ctl 2>/dev/null; printf '%s\\n' \"${COMPREPLY[@]}\""},
        options);
    EXPECT_EQ(result.code, 0) << result.err;
    return lines_of(result.out);
  };
  EXPECT_THAT(in_bash("st8ctl chec", 1), ElementsAre("checkpoint"));
  EXPECT_THAT(in_bash("st8ctl get app/l", 2), ElementsAre("app/limits.json"));
  EXPECT_THAT(in_bash("st8ctl rollback --exp", 2), ElementsAre("--expected-revision"));
  EXPECT_THAT(in_bash("st8ctl branch delete ''", 3), ElementsAre("exp/x", "main"));
}

TEST_F(Completion, ScriptsAreWhatTheirShellsRead) {
  const Cli local(Mode::kLocal);
  for (const char* shell : {"bash", "zsh", "fish"}) {
    const std::string path = std::string("/usr/bin/") + shell;
    const RunResult script = local.bare({"completion", shell});
    EXPECT_EQ(script.code, 0);
    EXPECT_THAT(script.out, HasSubstr("__complete"));
    if (!std::filesystem::exists(path)) continue;  // bash is always there.
    write_file(local.work() / "script", script.out);
    const RunResult read = run_process({path, "-n", (local.work() / "script").string()});
    EXPECT_EQ(read.code, 0) << shell << read.err;
  }
}

}  // namespace
}  // namespace st8::test
