// Going live as a person drives it: a real st8d, real directories, and st8ctl's exact lines and exit codes.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <regex>

#include "cli/cli_fixture.h"

namespace st8::test {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

// Times, hashes and durations differ from run to run.
std::string masked(std::string text) {
  text = std::regex_replace(text, std::regex(R"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z)"), "<time>");
  text = std::regex_replace(text, std::regex(R"(\b\d+(\.\d)?s\b)"), "<duration>");
  return std::regex_replace(text, std::regex("\\b([0-9a-f]{64}|[0-9a-f]{12})\\b"), "<hash>");
}

class Rollouts : public testing::Test {
 protected:
  Rollouts() : cli(Mode::kServer) {}

  std::filesystem::path root(const std::string& target) const { return cli.home() / "roots" / target; }
  void add_targets(const std::vector<std::string>& names) {
    for (const std::string& name : names) {
      std::filesystem::create_directories(root(name));
      cli.ok({"target", "add", name, "--kind", "file", "--spec", "root=" + root(name).string(), "--label", "role=web", "--env", "dev"});
    }
  }
  // Applies a policy and one document; gives the rollout's end.
  std::string begin(const std::string& policy) {
    cli.file("c/.st8/rollout.yaml", "branches: [main]\ntargets: {labels: {role: web}}\n" + policy);
    cli.file("c/app/a", "good\n");
    return cli.ok({"apply", "-f", "c", "--author", "ann", "--quiet"});
  }
  bool reaches(const std::string& id, const std::string& wanted) {
    return eventually([&] {
      const RunResult got = cli.run({"rollout", "get", id, "-o", "json"});
      return got.code == 0 && nlohmann::json::parse(got.out)["phase"] == wanted;
    });
  }

  Cli cli;
};

TEST_F(Rollouts, LiveTellsNowAndThen) {
  add_targets({"web-1"});
  begin("");
  ASSERT_TRUE(reaches("r-1", "promoted"));
  const nlohmann::json first = nlohmann::json::parse(cli.ok({"live", "-o", "json"}))["live"][0];
  EXPECT_EQ(cli.run({"apply", "-v", "app/a=2\n"}).code, 0);
  ASSERT_TRUE(reaches("r-2", "promoted"));
  EXPECT_EQ(masked(cli.ok({"live"})), "web-1 namespace=default branch=main revision=2 state=promoted since=<time> hash=<hash>\n");
  const std::string then = masked(cli.ok({"live", "--at", first["since"].get<std::string>()}));
  EXPECT_THAT(then, StartsWith("web-1 namespace=default branch=main revision=1 "));
  EXPECT_EQ(cli.ok({"live", "--target", "web-1", "-o", "name"}), "web-1\n");
  EXPECT_EQ(cli.run({"live", "--at", "main"}).code, 2);
}

TEST_F(Rollouts, DriftIsSeenAndPutRight) {
  add_targets({"web-1"});
  begin("drift: {action: alert, interval: 100ms}\n");
  ASSERT_TRUE(reaches("r-1", "promoted"));
  ASSERT_TRUE(eventually([&] { return cli.ok({"drift"}).find("web-1 state=in-sync ") == 0; }));
  EXPECT_EQ(cli.run({"drift", "--exit-code"}).code, 0);
  write_file(root("web-1") / "current/app/a", "by hand\n");
  ASSERT_TRUE(eventually([&] { return cli.run({"drift", "--exit-code"}).code == 1; }));
  EXPECT_THAT(cli.ok({"drift"}), HasSubstr("web-1 state=altered since="));
  EXPECT_EQ(cli.ok({"drift", "-o", "name"}), "web-1\n");
  EXPECT_EQ(cli.run({"target", "check", "web-1"}).code, 9);
  EXPECT_EQ(cli.ok({"reconcile", "--dry-run"}), "Would look at web-1 and put right what differs.\n");
  EXPECT_THAT(cli.ok({"reconcile"}), StartsWith("web-1 state=altered, being repaired\n"));
  ASSERT_TRUE(eventually([&] { return read_file(root("web-1") / "current/app/a") == "good\n"; }));
  ASSERT_TRUE(eventually([&] { return cli.run({"drift", "--exit-code"}).code == 0; }));
  const RunResult unknown = cli.run({"reconcile", "web-2"});
  EXPECT_EQ(unknown.code, 5);
  EXPECT_THAT(unknown.err, HasSubstr("hint: did you mean \"web-1\"?"));
}

TEST_F(Rollouts, TargetsAreAddedCheckedAndRemoved) {
  EXPECT_EQ(cli.ok({"target", "add", "web-1", "--kind", "file", "--spec", "root=" + root("web-1").string(), "-l", "role=web", "-l", "zone=1", "--env", "prod", "--criticality", "high", "--dry-run"}),
            "Would add target web-1.\n");
  EXPECT_EQ(cli.ok({"target", "list"}), "");
  EXPECT_EQ(cli.ok({"target", "add", "web-1", "--kind", "file", "--spec", "root=" + root("web-1").string(), "-l", "role=web", "-l", "zone=1", "--env", "prod", "--criticality", "high"}),
            "Added target web-1.\n");
  const RunResult twice = cli.run({"target", "add", "web-1", "--kind", "file", "--spec", "root=/elsewhere"});
  EXPECT_EQ(twice.code, 6);
  EXPECT_THAT(twice.err, HasSubstr("the target web-1 exists"));
  EXPECT_EQ(cli.ok({"target", "add", "web-1", "--replace", "--kind", "file", "--spec", "root=" + root("web-1").string(), "-l", "role=db"}), "Added target web-1.\n");
  cli.file("two.yaml", "kind: file\nlabels: {role: web}\nspec: {root: " + root("web-2").string() + "}\n");
  EXPECT_EQ(cli.ok({"target", "add", "web-2", "-f", "two.yaml"}), "Added target web-2.\n");
  EXPECT_EQ(cli.ok({"target", "list"}), "web-1 kind=file criticality=medium\nweb-2 kind=file criticality=medium\n");
  EXPECT_EQ(cli.ok({"target", "list", "-l", "role=web", "-o", "name"}), "web-2\n");
  EXPECT_EQ(cli.ok({"target", "check"}), "web-1: good, nothing is live there\nweb-2: good, nothing is live there\n");
  // What the server's checks say reaches the person, and nothing is changed.
  const RunResult driver = cli.run({"target", "add", "web-3", "--kind", "fille", "--spec", "root=/x"});
  EXPECT_EQ(driver.code, 9);
  EXPECT_THAT(driver.err, HasSubstr("did you mean `file`?"));
  EXPECT_EQ(cli.run({"target", "add", "web-3"}).code, 2);
  EXPECT_EQ(cli.run({"target", "add", "web-3", "--kind", "file", "--file", "two.yaml"}).code, 2);
  EXPECT_EQ(cli.run({"target", "add", "web-3", "--kind", "file", "--spec", "root"}).code, 2);
  const RunResult unknown = cli.run({"target", "show", "web-3"});
  EXPECT_EQ(unknown.code, 5);
  EXPECT_THAT(unknown.err, HasSubstr("did you mean"));
  EXPECT_EQ(cli.ok({"target", "remove", "web-1", "web-2", "--dry-run"}), "Would remove target web-1, web-2.\n");
  EXPECT_EQ(cli.ok({"target", "remove", "web-1", "web-2"}), "Removed target web-1, web-2.\n");
  EXPECT_EQ(cli.ok({"target", "list"}), "");
}

}  // namespace
}  // namespace st8::test
