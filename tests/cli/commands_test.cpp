// Every command with its exact output lines, against a real st8d and over a directory with --local.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <regex>

#include "cli/cli_fixture.h"

namespace st8::test {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

// Times and hashes differ from run to run.
std::string masked(std::string text) {
  text = std::regex_replace(text, std::regex(R"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z)"), "<time>");
  return std::regex_replace(text, std::regex("[0-9a-f]{64}"), "<hash>");
}

class Commands : public testing::TestWithParam<Mode> {
 protected:
  Commands() : cli(GetParam()) {}
  Cli cli;
};
INSTANTIATE_TEST_SUITE_P(St8ctl, Commands, testing::Values(Mode::kServer, Mode::kLocal), mode_name);

TEST_P(Commands, ApplyGetDiffAndLog) {
  cli.file("conf/app.json", "{\"a\":1}");
  EXPECT_EQ(cli.ok({"apply", "-f", "./conf//app.json", "-v", "limits/rps=250", "--message", "begin"}),
            "Applied 2 change(s) at revision 1.\nCREATE conf/app.json\nCREATE limits/rps\n");
  EXPECT_EQ(cli.ok({"apply", "conf/app.json"}), "No changes. Head stays at revision 1.\n");
  EXPECT_EQ(cli.ok({"get"}), "revision: 1\nconf/app.json\nlimits/rps\n");
  EXPECT_EQ(cli.ok({"get", "limits/rps"}), "250");
  EXPECT_EQ(cli.ok({"get", "./conf//app.json"}), "{\"a\":1}");
  EXPECT_EQ(cli.ok({"diff", "conf/app.json"}), "No differences.\n");
  cli.file("conf/app.json", "{\"a\":2}\n");
  EXPECT_EQ(
      cli.ok({"diff", "-f", "conf/app.json", "-v", "new=x\n"}),
      "Diff from revision 1 to 1\n"
      "\n--- conf/app.json\n+++ conf/app.json\n@@ -1 +1 @@\n-{\"a\":1}\n\\ No newline at end of file\n+{\"a\":2}\n"
      "\n--- /dev/null\n+++ new\n@@ -0,0 +1 @@\n+x\n");
  EXPECT_EQ(cli.ok({"apply", "-f", "conf/app.json", "-m", "say \"two\""}),
            "Applied 1 change(s) at revision 2.\nUPDATE conf/app.json\n");
  EXPECT_EQ(cli.ok({"unset", "limits/rps", "-m", "no limits"}),
            "Applied 1 change(s) at revision 3.\nDELETE limits/rps\n");
  EXPECT_EQ(masked(cli.ok({"log"})),
            "rev=3 parent=2 branch=main at=<time> message=\"no limits\" changes=1\n"
            "rev=2 parent=1 branch=main at=<time> message=\"say \\\"two\\\"\" changes=1\n"
            "rev=1 parent=0 branch=main at=<time> message=\"begin\" changes=2\n");
  EXPECT_EQ(masked(cli.ok({"log", "--limit", "1"})),
            "rev=3 parent=2 branch=main at=<time> message=\"no limits\" changes=1\n");
  EXPECT_EQ(cli.ok({"log", "main~1", "-o", "name"}), "2\n1\n");
  EXPECT_EQ(cli.ok({"diff", "1", "2"}),
            "Diff from revision 1 to 2\n\n--- conf/app.json\n+++ conf/app.json\n@@ -1 +1 @@\n-{\"a\":1}\n\\ No newline "
            "at end of file\n+{\"a\":2}\n");
  EXPECT_EQ(cli.ok({"diff", "main~1"}),
            "Diff from revision 2 to 3\n\n--- limits/rps\n+++ /dev/null\n@@ -1 +0,0 @@\n-250\n\\ No newline at end of "
            "file\n");
  EXPECT_EQ(cli.ok({"get", "limits/rps", "--revision", "1"}), "250");
  EXPECT_EQ(cli.ok({"get", "--at", "@~2"}), "revision: 1\nconf/app.json\nlimits/rps\n");
}

TEST_P(Commands, CheckpointRollbackRestoreAndBranches) {
  cli.ok({"apply", "-v", "a=1"});
  EXPECT_EQ(cli.ok({"checkpoint", "stable", "--description", "it works"}), "Checkpoint stable -> revision 1\n");
  cli.ok({"apply", "-v", "a=2", "-v", "b=1"});
  EXPECT_EQ(masked(cli.ok({"checkpoint", "list"})), "stable -> revision 1 at=<time> description=\"it works\"\n");
  EXPECT_EQ(cli.ok({"get", "a", "--checkpoint", "stable"}), "1");
  EXPECT_EQ(cli.ok({"rollback", "--checkpoint", "stable", "--message", "back"}),
            "Rolled back at revision 3.\nUPDATE a\nDELETE b\n");
  EXPECT_EQ(cli.ok({"rollback", "--revision", "1"}), "Already at requested state.\n");
  EXPECT_EQ(cli.ok({"branch", "create", "experiment/x", "--revision", "2"}),
            "Created branch experiment/x at revision 2.\n");
  EXPECT_EQ(cli.ok({"branch", "create", "from-stable", "--checkpoint", "stable"}),
            "Created branch from-stable at revision 1.\n");
  EXPECT_EQ(cli.ok({"branch"}), "experiment/x head=2 base=2\nfrom-stable head=1 base=1\nmain head=3 base=0 *\n");
  EXPECT_EQ(cli.ok({"branch", "--branch", "experiment/x", "-o", "name"}), "experiment/x\nfrom-stable\nmain\n");
  cli.ok({"apply", "-b", "experiment/x", "-v", "c=1"});
  EXPECT_EQ(cli.ok({"restore", "--from-branch", "experiment/x"}),
            "Restored into revision 5.\nUPDATE a\nCREATE b\nCREATE c\n");
  EXPECT_EQ(cli.ok({"restore", "--from-branch", "experiment/x"}), "Already at requested state.\n");
  EXPECT_EQ(cli.ok({"restore", "--revision", "1"}), "Restored into revision 6.\nUPDATE a\nDELETE b\nDELETE c\n");
  EXPECT_EQ(cli.ok({"branch", "protect", "main"}), "Protected branch main\n");
  EXPECT_THAT(cli.ok({"branch"}), HasSubstr("main head=6 base=0 protected *\n"));
  EXPECT_EQ(cli.run({"branch", "delete", "main"}).code, 6);
  EXPECT_EQ(cli.ok({"branch", "unprotect", "main"}), "Unprotected branch main\n");
  EXPECT_EQ(cli.ok({"branch", "rename", "from-stable", "blue"}), "Renamed branch from-stable to blue\n");
  EXPECT_EQ(cli.ok({"branch", "delete", "blue"}), "Deleted branch blue\n");
  EXPECT_EQ(cli.ok({"checkpoint", "delete", "stable"}), "Deleted checkpoint stable\n");
  EXPECT_EQ(cli.ok({"checkpoint", "list"}), "");
}

TEST_P(Commands, ACheckpointMovesOnlyWhenTold) {
  cli.ok({"apply", "-v", "a=1"});
  cli.ok({"checkpoint", "stable"});
  cli.ok({"apply", "-v", "a=2"});
  const RunResult refused = cli.run({"checkpoint", "stable"});
  EXPECT_EQ(refused.code, 6);
  EXPECT_THAT(refused.err, StartsWith("error: "));
  EXPECT_EQ(cli.ok({"get", "a", "--checkpoint", "stable"}), "1");
  EXPECT_EQ(cli.ok({"checkpoint", "stable", "--replace"}), "Checkpoint stable -> revision 2\n");
  EXPECT_EQ(cli.ok({"checkpoint", "old", "--at", "main~1"}), "Checkpoint old -> revision 1\n");
  // Names that are commands too.
  EXPECT_EQ(cli.ok({"checkpoint", "--", "list"}), "Checkpoint list -> revision 2\n");
}

TEST_P(Commands, DryRunsChangeNothing) {
  cli.ok({"apply", "-v", "a=1"});
  cli.ok({"apply", "-v", "a=2"});
  cli.ok({"checkpoint", "c"});
  cli.ok({"branch", "create", "other", "--revision", "1"});
  const std::string before = cli.ok({"operations", "-o", "json"});
  EXPECT_EQ(cli.ok({"apply", "-v", "b=1", "--dry-run"}), "Would apply 1 change(s) at revision 3.\nCREATE b\n");
  EXPECT_EQ(cli.ok({"apply", "-v", "a=2", "--dry-run"}), "No changes. Head stays at revision 2.\n");
  EXPECT_EQ(cli.ok({"unset", "a", "--dry-run"}), "Would apply 1 change(s) at revision 3.\nDELETE a\n");
  EXPECT_EQ(cli.ok({"rollback", "1", "--dry-run"}), "Would roll back at revision 3.\nUPDATE a\n");
  EXPECT_EQ(cli.ok({"restore", "--from-branch", "other", "--dry-run"}), "Would restore into revision 3.\nUPDATE a\n");
  EXPECT_EQ(cli.ok({"revert", "2", "--dry-run"}), "Would revert at revision 3.\nUPDATE a\n");
  EXPECT_EQ(cli.ok({"checkpoint", "d", "--dry-run"}), "Would make checkpoint d -> revision 2\n");
  EXPECT_EQ(cli.ok({"checkpoint", "delete", "c", "--dry-run"}), "Would delete checkpoint c\n");
  EXPECT_EQ(cli.ok({"branch", "create", "n", "--dry-run"}), "Would create branch n at revision 2.\n");
  EXPECT_EQ(cli.ok({"branch", "delete", "other", "--dry-run"}), "Would delete branch other\n");
  EXPECT_EQ(cli.ok({"branch", "rename", "other", "n", "--dry-run"}), "Would rename branch other to n\n");
  EXPECT_EQ(cli.ok({"branch", "protect", "main", "--dry-run"}), "Would protect branch main\n");
  EXPECT_EQ(cli.ok({"namespace", "delete", "default", "--dry-run"}), "Would delete namespace default\n");
  EXPECT_EQ(cli.ok({"gc", "--keep", "1", "--dry-run"}), "pruned=0\n");
  EXPECT_EQ(cli.ok({"operations", "-o", "json"}), before);
  EXPECT_EQ(cli.ok({"get"}), "revision: 2\na\n");
}

TEST_P(Commands, PruneDeletesWhatIsNotGiven) {
  cli.file("conf/a", "1");
  cli.file("conf/b", "1");
  cli.ok({"apply", "-f", "conf", "--under", "app", "-v", "kept=1"}, {});
  EXPECT_EQ(cli.ok({"get", "-o", "name"}), "app/a\napp/b\napp/kept\n");
  cli.ok({"apply", "-v", "other/x=1"});
  std::filesystem::remove(cli.work() / "conf/b");
  EXPECT_EQ(cli.ok({"diff", "-f", "conf", "--under", "app", "--prune", "--name-only"}), "app/b\napp/kept\n");
  EXPECT_EQ(cli.ok({"apply", "-f", "conf", "--under", "app", "--prune"}),
            "Applied 2 change(s) at revision 3.\nDELETE app/b\nDELETE app/kept\n");
  EXPECT_EQ(cli.ok({"apply", "-v", "app/c=1", "--prune=app/"}),
            "Applied 2 change(s) at revision 4.\nDELETE app/a\nCREATE app/c\n");
  EXPECT_EQ(cli.ok({"apply", "-v", "only=1", "--prune"}),
            "Applied 3 change(s) at revision 5.\nDELETE app/c\nCREATE only\nDELETE other/x\n");
}

TEST_P(Commands, BytesComeBackAsTheyWent) {
  std::string bytes;
  for (int i = 0; i < 256; ++i) bytes += static_cast<char>(i);
  bytes += bytes;
  cli.file("all", bytes);
  cli.file("empty", "");
  cli.file("sp ace/\u00e4.txt", "\u00e4\r\n");
  EXPECT_EQ(cli.ok({"apply", "-f", "."}),
            "Applied 3 change(s) at revision 1.\nCREATE all\nCREATE empty\nCREATE sp ace/\u00e4.txt\n");
  EXPECT_EQ(cli.ok({"get", "all"}), bytes);
  EXPECT_EQ(cli.ok({"get", "empty"}), "");
  EXPECT_EQ(cli.ok({"get", "sp ace/\u00e4.txt"}), "\u00e4\r\n");
  EXPECT_EQ(cli.ok({"apply", "-f", "-", "--key", "in"}, with_input(bytes)),
            "Applied 1 change(s) at revision 2.\nCREATE in\n");
  EXPECT_EQ(cli.ok({"get", "in"}), bytes);
  EXPECT_EQ(cli.ok({"diff", "-f", "-", "--key", "in"}, with_input("text\n")),
            "Diff from revision 2 to 2\n\n--- in\n+++ in\nBinary content differs: 512 bytes -> 5 bytes\n");
  const nlohmann::json state = nlohmann::json::parse(cli.ok({"get", "-o", "json"}));
  EXPECT_EQ(state["objects"].size(), 2u);
  EXPECT_EQ(state["objects_base64"].size(), 2u);
  EXPECT_EQ(cli.ok({"get", "--to", "out"}), "Wrote 4 document(s) of revision 2 to out.\n");
  for (const char* name : {"all", "empty", "sp ace/\u00e4.txt"})
    EXPECT_EQ(read_file(cli.work() / "out" / name), read_file(cli.work() / name)) << name;
}

TEST_P(Commands, SelectorsNameTheSameRevisionInEveryCommand) {
  for (int i = 1; i <= 4; ++i) cli.ok({"apply", "-v", "n=" + std::to_string(i)});
  cli.ok({"checkpoint", "two", "--revision", "2"});
  const std::string hash = nlohmann::json::parse(cli.ok({"resolve", "2", "-o", "json"}))["hash"];
  for (const std::string& selector :
       {std::string("2"), std::string("rev:2"), std::string("main~2"), std::string("@~2"), std::string("two"),
        std::string("checkpoint:two"), std::string("branch:main~2"), "hash:" + hash.substr(0, 12), hash}) {
    EXPECT_EQ(cli.ok({"get", "n", "--at", selector}), "2") << selector;
    EXPECT_EQ(cli.ok({"resolve", selector, "-o", "name"}), "2\n") << selector;
    EXPECT_THAT(cli.ok({"show", selector, "-s"}), StartsWith("revision  2\n")) << selector;
    EXPECT_THAT(cli.ok({"log", selector, "-o", "name"}), StartsWith("2\n")) << selector;
    EXPECT_EQ(cli.ok({"diff", selector, "rev:3", "--name-only"}), "n\n") << selector;
    EXPECT_EQ(cli.ok({"rollback", selector, "--dry-run"}), "Would roll back at revision 5.\nUPDATE n\n") << selector;
  }
  EXPECT_EQ(cli.ok({"get", "n", "--at", "0s-ago"}), "4");
}

TEST_P(Commands, ShowHistoryAndPatches) {
  cli.ok({"apply", "-v", "a=1\n", "-m", "one"});
  cli.ok({"apply", "-v", "a=2\n", "-m", "two\n\nwith a body", "--author", "ann"});
  cli.ok({"apply", "-v", "b=1\n"});
  EXPECT_EQ(masked(cli.ok({"show", "2"})),
            "revision  2\nhash      <hash>\nparents   1\nbranch    main\nauthor    ann\ndate      <time>\ncause     "
            "apply\nchanges   1\n"
            "\n    two\n    \n    with a body\n\n--- a\n+++ a\n@@ -1 +1 @@\n-1\n+2\n");
  EXPECT_THAT(cli.ok({"show", "--name-only"}), testing::EndsWith("\nCREATE b\n"));
  const std::string history = masked(cli.ok({"history", "a"}));
  EXPECT_THAT(history, StartsWith("rev=2 type=update at=<time> author=\"ann\" message=\"two\\n\\nwith a body\"\nrev=1 "
                                  "type=create at=<time> author="));
  EXPECT_THAT(cli.ok({"history", "a", "-p", "--limit", "1"}), HasSubstr("\n--- a\n+++ a\n@@ -1 +1 @@\n-1\n+2\n"));
  EXPECT_EQ(cli.ok({"log", "--key", "a", "-o", "name"}), "2\n1\n");
  EXPECT_EQ(cli.ok({"log", "--author", "ann", "-o", "name"}), "2\n");
  EXPECT_EQ(cli.ok({"log", "--grep", "one", "-o", "name"}), "1\n");
  EXPECT_EQ(cli.ok({"log", "--since", "1h-ago", "-o", "name"}), "3\n2\n1\n");
  EXPECT_EQ(cli.ok({"log", "--until", "2020-01-01", "-o", "name"}), "");
  EXPECT_EQ(cli.ok({"log", "--after", "2", "-o", "name"}), "1\n");
  EXPECT_THAT(cli.ok({"log", "-p", "--limit", "2"}),
              HasSubstr("message=\"two\\n\\nwith a body\" changes=1\n\n--- a\n+++ a\n"));
  EXPECT_THAT(cli.ok({"log", "--name-only", "--limit", "1"}), testing::EndsWith("changes=1\nCREATE b\n"));
  EXPECT_THAT(cli.ok({"log", "--long", "--limit", "1"}), HasSubstr(" cause=apply hash="));
  EXPECT_EQ(cli.ok({"diff", "1", "3", "--stat"}),
            "Diff from revision 1 to 3\na  +1 -1\nb  +1 -0\n2 document(s) changed, 2 line(s) added, 1 taken away\n");
}

TEST_P(Commands, ExpectedRevisionRefusesTheSecondOfTwo) {
  EXPECT_EQ(cli.ok({"apply", "-v", "a=1", "--expected-revision", "0"}),
            "Applied 1 change(s) at revision 1.\nCREATE a\n");
  EXPECT_EQ(cli.ok({"apply", "-v", "a=2", "--expected-revision", "1"}),
            "Applied 1 change(s) at revision 2.\nUPDATE a\n");
  const RunResult stale = cli.run({"apply", "-v", "a=3", "--expected-revision", "1"});
  EXPECT_EQ(stale.code, 7);
  EXPECT_EQ(stale.out, "");
  EXPECT_THAT(stale.err, HasSubstr("2"));
  EXPECT_EQ(cli.run({"apply", "-v", "a=3", "--expected-revision", "0"}).code, 7);
  EXPECT_EQ(cli.run({"rollback", "1", "--expected-revision", "1"}).code, 7);
  EXPECT_EQ(cli.ok({"get", "a"}), "2");
}

TEST_P(Commands, AnIdempotencyKeyMakesARetrySafe) {
  const std::string first = cli.ok({"apply", "-v", "a=1", "--idempotency-key", "k1"});
  EXPECT_EQ(cli.ok({"apply", "-v", "a=1", "--idempotency-key", "k1"}), first);
  const RunResult other = cli.run({"apply", "-v", "a=2", "--idempotency-key", "k1"});
  EXPECT_EQ(other.code, 6);
  EXPECT_EQ(cli.ok({"log", "-o", "name"}), "1\n");
}

TEST_P(Commands, MergeCherryPickAndRevert) {
  cli.ok({"apply", "-v", "m.json={\"a\":1,\"b\":1}\n", "-v", "t=1\n"});
  cli.ok({"branch", "create", "x"});
  cli.ok({"apply", "-b", "x", "-v", "m.json={\"a\":1,\"b\":2}\n"});
  cli.ok({"apply", "-v", "m.json={\"a\":2,\"b\":1}\n"});
  EXPECT_EQ(cli.ok({"merge", "x", "--dry-run"}), "Would merge into revision 4.\nUPDATE m.json\n");
  EXPECT_EQ(cli.ok({"merge", "x"}), "Merged into revision 4.\nUPDATE m.json\n");
  const nlohmann::json merged = nlohmann::json::parse(cli.ok({"get", "m.json"}));
  EXPECT_EQ(merged, (nlohmann::json{{"a", 2}, {"b", 2}}));
  EXPECT_EQ(cli.ok({"merge", "x"}), "Already up to date.\n");
  cli.ok({"apply", "-b", "x", "-v", "t=theirs\n"});
  cli.ok({"apply", "-v", "t=ours\n"});
  const RunResult conflict = cli.run({"merge", "x"});
  EXPECT_EQ(conflict.code, 6);
  EXPECT_THAT(conflict.out,
              StartsWith("CONFLICT t\n  base:   \"1\\n\"\n  ours:   \"ours\\n\"\n  theirs: \"theirs\\n\"\n"));
  EXPECT_THAT(conflict.err, HasSubstr("hint: "));
  EXPECT_EQ(cli.ok({"get", "t"}), "ours\n");
  EXPECT_EQ(cli.ok({"merge", "x", "--key", "t=theirs"}), "Merged into revision 7.\nUPDATE t\n");
  EXPECT_EQ(cli.ok({"revert", "@"}), "Reverted at revision 8.\nUPDATE t\n");
  EXPECT_EQ(cli.ok({"get", "t"}), "ours\n");
  cli.ok({"apply", "-b", "x", "-v", "picked=1"});
  EXPECT_EQ(cli.ok({"cherry-pick", "x"}), "Cherry-picked into revision 10.\nCREATE picked\n");
  EXPECT_EQ(cli.run({"merge", "x", "--ours", "--theirs"}).code, 2);
  EXPECT_EQ(cli.run({"merge", "x", "--key", "t=mine"}).code, 2);
}

TEST_P(Commands, NamespacesAreApart) {
  cli.ok({"apply", "-n", "payments/prod", "-v", "a=1"});
  cli.ok({"apply", "-v", "b=1"});
  EXPECT_EQ(cli.ok({"get", "-o", "name", "--namespace", "payments/prod"}), "a\n");
  EXPECT_EQ(cli.ok({"namespace", "list"}),
            "default revisions=1 branches=1 checkpoints=0\npayments/prod revisions=1 branches=1 checkpoints=0\n");
  EXPECT_EQ(cli.ok({"namespace", "-o", "name", "--prefix", "pay"}), "payments/prod\n");
  const RunResult unasked = cli.run({"namespace", "delete", "payments/prod"});
  EXPECT_EQ(unasked.code, 2);
  EXPECT_THAT(unasked.err, HasSubstr("--yes"));
  EXPECT_EQ(cli.ok({"namespace", "delete", "payments/prod", "--yes"}), "Deleted namespace payments/prod\n");
  EXPECT_EQ(cli.ok({"namespace", "-o", "name"}), "default\n");
}

TEST_P(Commands, GcFsckAndBackup) {
  for (int i = 1; i <= 5; ++i) cli.ok({"apply", "-v", "n=" + std::to_string(i)});
  cli.ok({"checkpoint", "two", "--revision", "2"});
  EXPECT_EQ(cli.ok({"gc", "--keep", "1"}), "pruned=3\n");
  EXPECT_EQ(cli.ok({"gc", "--keep", "1"}), "pruned=0\n");
  EXPECT_EQ(cli.ok({"get", "n", "--checkpoint", "two"}), "2");
  EXPECT_EQ(cli.run({"get", "n", "--revision", "3"}).code, 13);
  EXPECT_EQ(cli.ok({"gc"}), "pruned=0\n");
  EXPECT_THAT(cli.ok({"fsck"}), StartsWith("clean: 1 namespace(s), 5 revision(s), "));
  EXPECT_THAT(cli.ok({"fsck", "--all-namespaces"}), StartsWith("clean: "));
  EXPECT_THAT(cli.ok({"backup", "b.st8"}), StartsWith("Wrote "));
  EXPECT_GT(std::filesystem::file_size(cli.work() / "b.st8"), 100u);
  EXPECT_FALSE(std::filesystem::exists(cli.work() / "b.st8.partial"));
  EXPECT_EQ(cli.run({"backup", "b.st8"}).code, 6);  // Never over a file that is there.
}

TEST_P(Commands, OperationsStatusAndVersion) {
  cli.ok({"apply", "-v", "a=1"});
  cli.ok({"checkpoint", "c"});
  const std::string operations = masked(cli.ok({"operations"}));
  EXPECT_THAT(operations, HasSubstr("seq=2 at=<time> commit main before=0 after=1 actor="));
  EXPECT_THAT(operations, HasSubstr("seq=3 at=<time> checkpoint.create c before=0 after=1 actor="));
  EXPECT_THAT(cli.ok({"operations", "--after", "2"}), StartsWith("seq=3 "));
  EXPECT_THAT(cli.ok({"status"}), HasSubstr("writable: yes\n"));
  EXPECT_EQ(cli.ok({"version"}), "st8ctl " ST8_TEST_VERSION "\n");
}

TEST_P(Commands, EveryCommandSpeaksJsonAndYaml) {
  cli.ok({"apply", "-v", "a=1", "-v", "b=x\ny\n"});
  cli.ok({"checkpoint", "c"});
  cli.ok({"apply", "-v", "a=2"});
  const std::vector<std::vector<std::string>> commands{{"apply", "-v", "a=3"},
                                                       {"unset", "b"},
                                                       {"get"},
                                                       {"get", "a"},
                                                       {"diff", "1", "2"},
                                                       {"diff", "-v", "a=9"},
                                                       {"show"},
                                                       {"log"},
                                                       {"history", "a"},
                                                       {"resolve"},
                                                       {"checkpoint", "d"},
                                                       {"checkpoint", "list"},
                                                       {"checkpoint", "delete", "d"},
                                                       {"rollback", "1"},
                                                       {"restore", "2"},
                                                       {"branch", "create", "n"},
                                                       {"branch"},
                                                       {"branch", "protect", "n"},
                                                       {"branch", "unprotect", "n"},
                                                       {"branch", "rename", "n", "m"},
                                                       {"merge", "m"},
                                                       {"revert", "@"},
                                                       {"cherry-pick", "2"},
                                                       {"branch", "delete", "m"},
                                                       {"namespace", "list"},
                                                       {"operations"},
                                                       {"live"},
                                                       {"drift"},
                                                       {"target", "list"},
                                                       {"target", "check"},
                                                       {"rollout", "list"},
                                                       {"freeze", "list"},
                                                       {"quarantine"},
                                                       {"reconcile", "web-1", "--dry-run"},
                                                       {"gc"},
                                                       {"fsck"},
                                                       {"status"},
                                                       {"version"},
                                                       {"namespace", "delete", "default", "--yes", "--force"}};
  for (std::vector<std::string> words : commands) {
    std::string shown;
    for (const std::string& word : words) shown += word + " ";
    std::vector<std::string> json = words;
    // Looked at twice without a change between: what changes is tried dry first, where it can be.
    const bool reads =
        words[0] == "get" || words[0] == "diff" || words[0] == "log" || words[0] == "show" || words[0] == "history";
    if (reads) {
      words.insert(words.end(), {"-o", "yaml"});
      EXPECT_EQ(cli.ok(words).find('{'), std::string::npos) << shown;
    }
    json.insert(json.end(), {"-o", "json"});
    const std::string out = cli.ok(json);
    EXPECT_TRUE(nlohmann::json::accept(out)) << shown << "\n" << out;
    EXPECT_EQ(nlohmann::ordered_json::parse(out).dump(2) + "\n", out) << shown;
  }
}

TEST_P(Commands, ExitCodesOfDiffAndErrorsAsDocuments) {
  cli.ok({"apply", "-v", "a=1"});
  EXPECT_EQ(cli.run({"diff", "-v", "a=1", "--exit-code"}).code, 0);
  EXPECT_EQ(cli.run({"diff", "-v", "a=2", "--exit-code"}).code, 1);
  EXPECT_EQ(cli.run({"diff", "-v", "a=2", "--exit-code", "-o", "json"}).code, 1);
  EXPECT_EQ(cli.run({"diff", "-v", "a=2"}).code, 0);
  EXPECT_EQ(cli.run({"diff", "0", "@", "--exit-code"}).code, 1);
  const RunResult missing = cli.run({"rollback", "99", "-o", "json"});
  EXPECT_EQ(missing.code, 5);
  EXPECT_EQ(missing.out, "");
  EXPECT_EQ(nlohmann::json::parse(missing.err)["code"], "not_found");
}

TEST_P(Commands, OneLargeDocumentGoesAlone) {
  std::string large(16u << 20, '\x80');
  cli.file("large", large);
  EXPECT_EQ(cli.ok({"apply", "-f", "large", "-m", "big one"}), "Applied 1 change(s) at revision 1.\nCREATE large\n");
  EXPECT_TRUE(cli.ok({"get", "large"}) == large);
  EXPECT_THAT(cli.ok({"log"}), HasSubstr("message=\"big one\""));
  cli.file("large", large + "x");
  EXPECT_EQ(cli.run({"apply", "-f", "large"}).code, 8);
}

TEST_P(Commands, ManyDocumentsAreOneRevision) {
  for (int i = 0; i < 3000; ++i)
    cli.file("many/" + std::to_string(i % 60) + "/" + std::to_string(i) + ".json",
             "{\"n\":" + std::to_string(i) + "}\n");
  EXPECT_THAT(cli.ok({"apply", "-f", "many"}), StartsWith("Applied 3000 change(s) at revision 1.\n"));
  EXPECT_EQ(cli.ok({"diff", "-f", "many", "--prune"}), "No differences.\n");
  EXPECT_EQ(cli.ok({"get", "--to", "out"}), "Wrote 3000 document(s) of revision 1 to out.\n");
  EXPECT_EQ(cli.ok({"diff", "-f", "out", "--prune"}), "No differences.\n");
  const std::string changed = cli.ok({"diff", "0", "1", "--name-only"});
  EXPECT_EQ(std::count(changed.begin(), changed.end(), '\n'), 3000);
  // `show` goes beyond what an entry of the log holds.
  const std::string shown = cli.ok({"show", "--name-only"});
  std::size_t created = 0;
  for (std::size_t at = shown.find("\nCREATE "); at != std::string::npos; at = shown.find("\nCREATE ", at + 1))
    ++created;
  EXPECT_EQ(created, 3000u);
}

}  // namespace
}  // namespace st8::test
