#include "config/settings.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sstream>
#include <sys/stat.h>

#include "args/parse.h"
#include "cli/cli_fixture.h"
#include "config/files.h"

namespace st8::ctl {
namespace {

using testing::HasSubstr;

// The variables that settings read, and no others, for one test.
class SettingsTest : public testing::Test {
 protected:
  void SetUp() override {
    for (const char* name : {"ST8CTL_SERVER", "ST8CTL_TOKEN", "ST8CTL_LOCAL", "ST8CTL_STATE_DIR", "ST8CTL_TIMEOUT",
                             "ST8CTL_CA_CERT", "ST8CTL_CLIENT_CERT", "ST8CTL_CLIENT_KEY", "ST8CTL_NAMESPACE",
                             "ST8CTL_BRANCH", "ST8CTL_OUTPUT", "ST8CTL_AUTHOR", "ST8CTL_CONFIG", "XDG_CONFIG_HOME"}) {
      ::unsetenv(name);
    }
    const char* home = std::getenv("HOME");
    home_before_ = home == nullptr ? "" : home;
    ::setenv("HOME", directory_.path().c_str(), 1);
  }
  void TearDown() override {
    ::setenv("HOME", home_before_.c_str(), 1);
    for (const std::string& name : set_) ::unsetenv(name.c_str());
  }
  void variable(const std::string& name, const std::string& value) {
    ::setenv(name.c_str(), value.c_str(), 1);
    set_.push_back(name);
  }
  std::string path() const { return (directory_.path() / ".config/st8ctl/config.yaml").string(); }
  void file(const std::string& text) { test::write_file(path(), text); }
  Result<Settings> load(std::vector<std::string> words = {"get"}) {
    arguments_ = std::make_unique<Arguments>(*parse_arguments(root_command(), words));
    return load_settings(*arguments_);
  }
  Settings good(std::vector<std::string> words = {"get"}) {
    Result<Settings> settings = load(std::move(words));
    EXPECT_TRUE(settings.has_value()) << (settings ? "" : settings.error().message);
    return settings ? *settings : Settings{};
  }
  Error bad(std::vector<std::string> words = {"get"}) {
    const Result<Settings> settings = load(std::move(words));
    EXPECT_FALSE(settings.has_value());
    return settings ? Error{} : settings.error();
  }

  test::TempDirectory directory_;
  std::unique_ptr<Arguments> arguments_;
  std::string home_before_;
  std::vector<std::string> set_;
};

TEST_F(SettingsTest, WithoutAnythingTheBuiltInValuesHold) {
  const Settings settings = good();
  EXPECT_EQ(settings.server, "http://127.0.0.1:8748");
  EXPECT_EQ(settings.name_space, "default");
  EXPECT_EQ(settings.branch, "main");
  EXPECT_EQ(settings.state_dir, (directory_.path() / ".st8").string());
  EXPECT_EQ(settings.timeout_ms, 0);
  EXPECT_FALSE(settings.local);
}

TEST_F(SettingsTest, FlagBeforeEnvironmentBeforeFile) {
  file(
      "server:\n  url: http://file\n  token: t-file\n  timeout: 7s\ndefaults:\n  namespace: n-file\n  branch: "
      "b-file\n");
  EXPECT_EQ(good().server, "http://file");
  EXPECT_EQ(good().token, "t-file");
  EXPECT_EQ(good().timeout_ms, 7000);
  EXPECT_EQ(good().name_space, "n-file");
  EXPECT_FALSE(good().branch_given);
  variable("ST8CTL_SERVER", "http://environment");
  variable("ST8CTL_NAMESPACE", "n-environment");
  EXPECT_EQ(good().server, "http://environment");
  EXPECT_EQ(good().name_space, "n-environment");
  EXPECT_EQ(good().branch, "b-file");
  const Settings flags = good({"get", "--server", "http://flag", "-n", "n-flag", "--timeout", "0"});
  EXPECT_EQ(flags.server, "http://flag");
  EXPECT_EQ(flags.name_space, "n-flag");
  EXPECT_EQ(flags.timeout_ms, 0);
}

TEST_F(SettingsTest, LocalAndServerExcludeEachOtherAtOneLevelAndOverrideAcross) {
  EXPECT_EQ(bad({"get", "--local", "--server", "http://x"}).message, "--local and --server cannot be used together");
  EXPECT_TRUE(good({"get", "--local", "--server", "local"}).local);
  EXPECT_TRUE(good({"get", "--server", "local"}).local);
  file("server:\n  url: http://file\n");
  EXPECT_TRUE(good({"get", "--local"}).local);
  file("server:\n  url: local\n  dir: /srv/st8\n");
  EXPECT_TRUE(good().local);
  EXPECT_EQ(good().state_dir, "/srv/st8");
  EXPECT_FALSE(good({"get", "--server", "http://x"}).local);
  EXPECT_FALSE(good({"get", "--local=false"}).local);
  variable("ST8CTL_LOCAL", "1");
  variable("ST8CTL_SERVER", "http://x");
  EXPECT_EQ(bad().message, "--local and --server cannot be used together");
  EXPECT_FALSE(good({"get", "--server", "http://y"}).local);
}

TEST_F(SettingsTest, AFileIsReadStrictly) {
  file("server:\n  urll: http://x\n");
  EXPECT_EQ(bad().message, path() + ":2: unknown key \"server.urll\"");
  EXPECT_THAT(bad().hint, HasSubstr("url"));
  file("servers:\n  url: http://x\n");
  EXPECT_THAT(bad().hint, HasSubstr("\"server\""));
  file("server: [1\n");
  EXPECT_THAT(bad().message, HasSubstr(path() + ":"));
  file("- a\n");
  EXPECT_EQ(bad().code, ErrorCode::kInvalidArgument);
  file("server:\n  url: [a]\n");
  EXPECT_THAT(bad().message, HasSubstr(":2:"));
  file("server:\n  timeout: soon\n");
  EXPECT_THAT(bad().message, HasSubstr("\"soon\" is not a duration"));
  for (const char* empty : {"", "# nothing\n", "server:\n", "server: {}\ndefaults:\n"}) {
    file(empty);
    EXPECT_TRUE(load().has_value()) << empty;
  }
}

TEST_F(SettingsTest, TheManualNamesAllThatAFileMayHold) {
  const std::string manual = test::read_file(ST8_SOURCE_DIR "/docs/cli.md");
  std::size_t keys = 0;
  for (const std::string section : {"server", "defaults"}) {
    file(section + ":\n  zzzzzzzzzzzzzzzz: x\n");
    std::istringstream known(bad().hint);
    std::string word;
    for (int lead = 0; lead < 2; ++lead) known >> word;  // "known here:"
    while (known >> word) {
      ++keys;
      EXPECT_THAT(manual, HasSubstr("| `" + section + "." + word + "` |"));
    }
  }
  EXPECT_EQ(keys, 11u);
}

TEST_F(SettingsTest, ANamedFileMustExist) {
  EXPECT_EQ(bad({"get", "--config", "/nowhere/config.yaml"}).code, ErrorCode::kNotFound);
  variable("XDG_CONFIG_HOME", (directory_.path() / "xdg").string());
  EXPECT_TRUE(load().has_value());
  test::write_file(directory_.path() / "xdg/st8ctl/config.yaml", "defaults:\n  branch: from-xdg\n");
  EXPECT_EQ(good().branch, "from-xdg");
}

TEST_F(SettingsTest, LoginKeepsTheRestOfTheFile) {
  const std::string before =
      "# mine\ndefaults:\n  namespace: a  # here\nserver:\n  # the old one\n  url: http://old\n  timeout: 5s\n";
  file(before);
  ASSERT_TRUE(store_login(path(), "https://new:1/", "secret \"\\").has_value());
  EXPECT_EQ(test::read_file(path()),
            "# mine\ndefaults:\n  namespace: a  # here\nserver:\n  # the old one\n  url: \"https://new:1/\"\n  "
            "timeout: 5s\n  token: \"secret \\\"\\\\\"\n");
  EXPECT_EQ(good().token, "secret \"\\");
  EXPECT_EQ(good().timeout_ms, 5000);
  struct stat status {};
  ASSERT_EQ(::stat(path().c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600u);
  // Again, with the token alone.
  ASSERT_TRUE(store_login(path(), "", "second").has_value());
  EXPECT_EQ(good().token, "second");
  EXPECT_EQ(good().server, "https://new:1/");
}

TEST_F(SettingsTest, LoginMakesTheFileForItsOwnerAlone) {
  ASSERT_TRUE(store_login(path(), "http://x", "t").has_value());
  struct stat status {};
  ASSERT_EQ(::stat(path().c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600u);
  ASSERT_EQ(::stat((directory_.path() / ".config/st8ctl").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0700u);
}

TEST_F(SettingsTest, LoginLeavesAloneWhatItDoesNotUnderstand) {
  const std::string flow = "server: {url: http://x}\n";
  file(flow);
  EXPECT_FALSE(store_login(path(), "http://y", "t").has_value());
  EXPECT_EQ(test::read_file(path()), flow);
  EXPECT_FALSE(store_login(path(), "http://y", "a\nb").has_value());
  // A link stays a link.
  test::write_file(directory_.path() / "real.yaml", "server:\n  url: http://x\n");
  std::filesystem::remove(path());
  std::filesystem::create_symlink(directory_.path() / "real.yaml", path());
  ASSERT_TRUE(store_login(path(), "", "t").has_value());
  EXPECT_TRUE(std::filesystem::is_symlink(path()));
  EXPECT_THAT(test::read_file(directory_.path() / "real.yaml"), HasSubstr("token: \"t\""));
}

}  // namespace
}  // namespace st8::ctl
