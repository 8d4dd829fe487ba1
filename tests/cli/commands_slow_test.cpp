// What takes its time: applies larger than one request, and a real tree of configuration.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "cli/cli_fixture.h"

namespace st8::test {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

class Large : public testing::TestWithParam<Mode> {
 protected:
  Large() : cli(GetParam()) {}
  Cli cli;
};
INSTANTIATE_TEST_SUITE_P(St8ctl, Large, testing::Values(Mode::kServer, Mode::kLocal), mode_name);

TEST_P(Large, MoreThanARequestHoldsIsStillAllOrNothing) {
  // 27 MB of contents, a quarter of them binary, and one document that Base64 alone would make too large.
  for (int i = 0; i < 24; ++i) {
    std::string content(400'000, static_cast<char>('a' + i));
    if (i % 4 == 0) content[7] = '\xff';
    cli.file("big/" + std::to_string(i), content);
  }
  std::string large(16u << 20, 'x');
  large[0] = '\0';
  cli.file("big/large", large);
  cli.ok({"apply", "-v", "big/old=1", "-v", "other=1"});
  const std::string dry = cli.ok({"apply", "-f", "big", "--under", "big", "--prune", "--dry-run"});
  EXPECT_THAT(dry, StartsWith("Would apply 26 change(s) at revision 2.\nCREATE big/0\n"));
  EXPECT_EQ(cli.ok({"get", "-o", "name"}), "big/old\nother\n");
  const std::string out = cli.ok({"apply", "-f", "big", "--under", "big", "--prune", "-m", "large"});
  EXPECT_THAT(out, StartsWith("Applied 26 change(s) at revision "));
  EXPECT_THAT(out, HasSubstr("\nDELETE big/old\n"));
  EXPECT_EQ(cli.ok({"branch", "-o", "name"}), "main\n");
  EXPECT_EQ(cli.ok({"log", "-o", "json", "--limit", "0"}).find("\"message\": \"large\"") != std::string::npos, true);
  const nlohmann::json log = nlohmann::json::parse(cli.ok({"log", "-o", "json"}));
  EXPECT_EQ(log["entries"].size(), 2u);  // One revision on the branch.
  EXPECT_TRUE(cli.ok({"get", "big/large"}) == large);
  EXPECT_EQ(cli.ok({"apply", "-f", "big", "--under", "big", "--prune"}).substr(0, 11), "No changes.");
  cli.ok({"get", "--prefix", "big/", "--to", "out"});
  for (int i = 0; i < 24; ++i) {
    const std::string name = "big/" + std::to_string(i);
    EXPECT_TRUE(read_file(cli.work() / "out" / name) == read_file(cli.work() / name)) << name;
  }
  // A head that has moved refuses it, and leaves nothing behind.
  std::filesystem::remove(cli.work() / "big/large");
  EXPECT_EQ(cli.ok({"diff", "-f", "big", "--under", "big", "--prune", "--name-only"}), "big/large\n");
  cli.file("big/more", std::string(15u << 20, 'm'));
  EXPECT_EQ(cli.run({"apply", "-f", "big", "--under", "big", "--expected-revision", "1"}).code, 7);
  EXPECT_EQ(cli.ok({"branch", "-o", "name"}), "main\n");
}

std::map<std::string, std::string> contents(const std::filesystem::path& root) {
  std::map<std::string, std::string> all;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(root)) {
    if (entry.is_regular_file()) all[entry.path().lexically_relative(root).string()] = read_file(entry.path());
  }
  return all;
}

void copy_readable(const std::filesystem::path& from, const std::filesystem::path& to) {
  using std::filesystem::directory_options;
  for (const auto& entry :
       std::filesystem::recursive_directory_iterator(from, directory_options::skip_permission_denied)) {
    const auto path = to / entry.path().lexically_relative(from);
    std::error_code unreadable;
    std::filesystem::create_directories(path.parent_path());
    if (entry.is_symlink()) {
      std::filesystem::copy_symlink(entry.path(), path, unreadable);
    } else if (entry.is_regular_file(unreadable)) {
      std::filesystem::copy_file(entry.path(), path, unreadable);
      // Such as had no bit to be read by their owner would not be readable to the client either.
      if (unreadable) std::filesystem::remove(path, unreadable);
      std::filesystem::permissions(path, std::filesystem::perms::owner_read | std::filesystem::perms::owner_write,
                                   std::filesystem::perm_options::add, unreadable);
    }
  }
}

// The machine's own configuration: applied, changed, diffed, rolled back, compared byte for byte.
TEST_P(Large, TheMachinesOwnConfigurationComesBackByteForByte) {
  // All that this user may read, links included: a copy, since the machine may change its own meanwhile.
  copy_readable("/etc", cli.work() / "machine");
  const RunResult first = cli.run({"apply", "-f", "machine", "-n", "whole", "--quiet"});
  ASSERT_EQ(first.code, 0) << first.err;
  cli.ok({"get", "-n", "whole", "--to", "etc"});
  const std::size_t files = contents(cli.work() / "etc").size();
  ASSERT_GT(files, 100u);
  for (const auto& [name, content] : contents(cli.work() / "etc"))
    EXPECT_TRUE(content == read_file(cli.work() / "machine" / name)) << name;
  cli.file("etc/binary", std::string("\0\xff\x80 binary \xfe", 12));
  EXPECT_THAT(cli.ok({"apply", "-f", "etc", "--under", "etc", "--message", "as it is"}),
              StartsWith("Applied " + std::to_string(files + 1) + " change(s) at revision "));
  cli.ok({"checkpoint", "as-it-is"});
  EXPECT_EQ(cli.ok({"diff", "-f", "etc", "--under", "etc", "--prune"}), "No differences.\n");
  cli.ok({"get", "--to", "out"});
  ASSERT_TRUE(contents(cli.work() / "out/etc") == contents(cli.work() / "etc"));

  // Every tenth file goes, every other tenth changes, some come.
  std::size_t index = 0;
  std::set<std::string> touched;
  for (const auto& [name, content] : contents(cli.work() / "etc")) {
    if (++index % 10 == 0) {
      std::filesystem::remove(cli.work() / "etc" / name);
      touched.insert("etc/" + name);
    } else if (index % 10 == 5) {
      cli.file("etc/" + name, content + "# changed\n");
      touched.insert("etc/" + name);
    }
  }
  cli.file("etc/st8-new/one", "1");
  touched.insert("etc/st8-new/one");
  std::string expected;
  for (const std::string& key : touched) expected += key + "\n";
  EXPECT_EQ(cli.ok({"diff", "-f", "etc", "--under", "etc", "--prune", "--name-only"}), expected);
  EXPECT_THAT(cli.ok({"apply", "-f", "etc", "--under", "etc", "--prune"}),
              StartsWith("Applied " + std::to_string(touched.size()) + " change(s)"));
  EXPECT_EQ(cli.ok({"diff", "as-it-is", "@", "--name-only"}), expected);
  EXPECT_THAT(cli.ok({"rollback", "--checkpoint", "as-it-is"}), StartsWith("Rolled back at revision "));
  EXPECT_EQ(cli.ok({"diff", "as-it-is", "@"}), "No differences.\n");
  cli.ok({"get", "--to", "after"});
  EXPECT_TRUE(contents(cli.work() / "after") == contents(cli.work() / "out"));
  EXPECT_THAT(cli.ok({"fsck"}), StartsWith("clean: "));
}

}  // namespace
}  // namespace st8::test
