// Going live as a person drives it: a real st8d, real directories, and st8ctl's exact lines and exit codes.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli/cli_fixture.h"

namespace st8::test {
namespace {

using testing::HasSubstr;

class Rollouts : public testing::Test {
 protected:
  Rollouts() : cli(Mode::kServer) {}

  std::filesystem::path root(const std::string& target) const { return cli.home() / "roots" / target; }

  Cli cli;
};

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
