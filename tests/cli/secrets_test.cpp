// A secret from standard input to a file on a target, through a real st8d: it is in that file, and nowhere else.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "cli/cli_fixture.h"
#include "st8/target/sealing.h"

namespace st8::test {
namespace {

using testing::HasSubstr;
using testing::Not;

constexpr const char* kSecret = "correct-horse-battery-staple-4711";

class Secrets : public testing::Test {
 protected:
  Secrets() {
    const std::string keys = (directory.path() / "sealing.keys").string();
    write_file(keys, *target::generate_sealing_key() + "\n");
    ::chmod(keys.c_str(), 0600);
    cli = std::make_unique<Cli>(Mode::kServer, std::vector<std::string>{"--sealing-keys", keys});
    cli->ok({"-n", "st8/system", "apply", "-v", "targets/web.yaml=kind: file\nspec: {root: " + root() + "}\n"});
  }
  std::string root() const { return (directory.path() / "live").string(); }
  std::string live(const std::string& path) const {
    return read_file(std::filesystem::path(root()) / "current" / path);
  }
  // Every file below a directory that holds the text.
  static std::vector<std::string> holding(const std::filesystem::path& below, const std::string& text) {
    std::vector<std::string> found;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(below)) {
      if (entry.is_regular_file() && read_file(entry.path()).find(text) != std::string::npos)
        found.push_back(entry.path().string());
    }
    return found;
  }

  TempDirectory directory;
  std::unique_ptr<Cli> cli;
};

constexpr const char* kPolicy =
    "branches: [main]\ntargets: {names: [web]}\ndocuments:\n  - {match: app/db.yaml, to: etc/, mode: \"0600\", render: "
    "true}\n";

TEST_F(Secrets, ArriveAtTheTargetAndAreNowhereElse) {
  const std::string sealed = cli->ok({"-n", "shop", "seal"}, with_input(std::string(kSecret) + "\n"));
  EXPECT_THAT(sealed, testing::MatchesRegex("\\{\\{ sealed\\.v1\\.[0-9a-f]+\\.[A-Za-z0-9_-]+ \\}\\}\n"));
  cli->file("cfg/db/password", sealed);
  cli->file("cfg/app/db.yaml", "password: {{ key.db/password }}\ninline: " + sealed);
  cli->file("cfg/.st8/rollout.yaml", kPolicy);
  cli->ok({"-n", "shop", "apply", "-f", "cfg"});
  const std::string expected = "password: " + std::string(kSecret) + "\ninline: " + kSecret + "\n";
  ASSERT_TRUE(eventually([&] { return live("etc/db.yaml") == expected; })) << cli->daemon().log();
  struct stat found {};
  ASSERT_EQ(::stat((root() + "/current/etc/db.yaml").c_str(), &found), 0);
  EXPECT_EQ(found.st_mode & 07777, 0600u);
  ASSERT_TRUE(eventually([&] { return cli->ok({"-n", "shop", "live"}).find("state=promoted") != std::string::npos; }));

  // Changed, so that there are diffs to look at; then everything that tells anything is asked.
  cli->ok({"-n", "shop", "apply", "-v", "app/db.yaml=password: {{ key.db/password }}\nuser: shop\n"});
  ASSERT_TRUE(
      eventually([&] { return live("etc/db.yaml") == "password: " + std::string(kSecret) + "\nuser: shop\n"; }));
  std::string told;
  for (const std::vector<std::string>& words :
       std::vector<std::vector<std::string>>{{"get", "-o", "json"},
                                             {"get", "db/password"},
                                             {"get", "app/db.yaml"},
                                             {"log", "-o", "json"},
                                             {"show", "1"},
                                             {"show", "2"},
                                             {"diff", "1", "2"},
                                             {"history", "app/db.yaml", "-o", "json"},
                                             {"live", "-o", "json"},
                                             {"rollout", "list", "-o", "json"},
                                             {"rollout", "get", "r-1", "-o", "json"},
                                             {"rollout", "get", "r-2", "-o", "json"},
                                             {"operations", "-o", "json"}}) {
    std::vector<std::string> all{"-n", "shop"};
    all.insert(all.end(), words.begin(), words.end());
    told += cli->ok(all);
  }
  const RunResult plan = run_process({"/usr/bin/curl", "-sS", cli->url() + "/v1/plan?namespace=shop"}, {});
  EXPECT_THAT(plan.out, HasSubstr("expires_at"));
  told += plan.out + cli->daemon().log();
  EXPECT_THAT(told, HasSubstr("sealed.v1."));
  EXPECT_THAT(told, Not(HasSubstr(kSecret)));
  EXPECT_THAT(run_process({"/usr/bin/curl", "-sS", cli->url() + "/metrics"}, {}).out, Not(HasSubstr(kSecret)));
  cli->ok({"backup", "copy"});
  EXPECT_THAT(read_file(cli->work() / "copy"), Not(HasSubstr(kSecret)));
  // The store's log holds documents as they came: one that is no secret is found there.
  cli->ok({"-n", "shop", "apply", "-v", "plain=a-value-that-is-no-secret"});
  EXPECT_THAT(holding(cli->state_dir(), "a-value-that-is-no-secret"), Not(testing::IsEmpty()));
  EXPECT_THAT(holding(cli->state_dir(), kSecret), testing::IsEmpty());
  cli->daemon().send_signal(SIGTERM);
  ASSERT_EQ(cli->daemon().wait_end(), 0);
  EXPECT_THAT(holding(cli->state_dir(), kSecret), testing::IsEmpty());
  EXPECT_THAT(holding(root(), kSecret), Not(testing::IsEmpty()));
}

TEST_F(Secrets, OneOfAnotherNamespaceStopsThePlanBeforeAnythingIsTouched) {
  const std::string foreign = cli->ok({"-n", "bank", "seal"}, with_input(kSecret));
  cli->ok(
      {"-n", "shop", "apply", "-v", std::string(".st8/rollout.yaml=") + kPolicy, "-v", "app/db.yaml=p: " + foreign});
  const RunResult plan = run_process({"/usr/bin/curl", "-sS", cli->url() + "/v1/plan?namespace=shop"}, {});
  EXPECT_THAT(plan.out, HasSubstr("another namespace"));
  EXPECT_THAT(plan.out, Not(HasSubstr(kSecret)));
  EXPECT_FALSE(std::filesystem::exists(root()));
}

TEST_F(Secrets, AKeyFileForOthersToReadIsRefusedAtTheStart) {
  const std::string keys = (directory.path() / "shared.keys").string();
  write_file(keys, *target::generate_sealing_key() + "\n");
  ::chmod(keys.c_str(), 0644);
  const RunResult start = run_process({ST8_BIN_DIR "/st8d", "--listen", "127.0.0.1:0", "--state-dir",
                                       (directory.path() / "other").string(), "--sealing-keys", keys},
                                      {});
  EXPECT_NE(start.code, 0);
  EXPECT_THAT(start.err, HasSubstr("chmod 600"));
}

TEST_F(Secrets, WithoutKeysSealingSaysHowToGiveSome) {
  const Cli without(Mode::kServer);
  const RunResult refused = without.run({"seal"}, with_input("v"));
  EXPECT_NE(refused.code, 0);
  EXPECT_THAT(refused.err, HasSubstr("--sealing-keys"));
  EXPECT_NE(cli->run({"seal"}, with_input("")).code, 0);
  EXPECT_NE(cli->run({"seal", "no-such-file"}).code, 0);
}

}  // namespace
}  // namespace st8::test
