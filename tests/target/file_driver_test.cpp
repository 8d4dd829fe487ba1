// What the file driver does beyond the conformance suite: links that lead out, files that were there before, and ends that
// come in the middle.
#include <cstddef>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <iterator>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sstream>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "driver_conformance.h"
#include "st8/state/failpoint.h"
#include "support/temp_directory.h"

namespace st8::target {
namespace {

namespace fs = std::filesystem;
using conformance::call_of;
using conformance::content_of;

std::unique_ptr<TargetDriver> driver_at(const fs::path& root, const std::string& mode) {
  const Target target{
      *TargetName::parse("t"), "file", {},
      Criticality::kMedium,    "",     "kind: file\nspec: {root: " + root.string() + ", mode: " + mode + "}\n"};
  return std::move(*builtin_drivers().make(target));
}
std::string slurp(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::stringstream bytes;
  bytes << in.rdbuf();
  return bytes.str();
}

TEST(FileDriver, ASymbolicLinkOnTheWayLeadsNowhere) {
  test::TempDirectory directory;
  const fs::path root = directory.path() / "root", outside = directory.path() / "outside";
  fs::create_directories(root);
  fs::create_directories(outside);
  std::ofstream(outside / "victim") << "untouched";
  fs::create_directory_symlink(outside, root / "link");
  fs::create_symlink(outside / "victim", root / "file");
  for (const char* path : {"link/victim", "link/new", "file"}) {
    const auto driver = driver_at(root, "files");
    const auto content = content_of(1, {{path, {"overwritten", 0644}}});
    ASSERT_TRUE(driver->stage(call_of(1, "r-1"), content));
    const auto activated = driver->activate(call_of(1, std::string("r-") + path[0]), content.label());
    ASSERT_FALSE(activated) << path;
    EXPECT_EQ(activated.error().code, ErrorCode::kUnprocessable) << activated.error().message;
  }
  EXPECT_EQ(slurp(outside / "victim"), "untouched");
  EXPECT_FALSE(fs::exists(outside / "new"));
  // The same for what belongs to the driver itself.
  const fs::path second = directory.path() / "second";
  fs::create_directories(second);
  fs::create_directory_symlink(outside, second / "revisions");
  EXPECT_FALSE(driver_at(second, "directory")->stage(call_of(1, "r-1"), content_of(1, {{"x", {"y", 0644}}})));
  EXPECT_EQ(std::distance(fs::directory_iterator(outside), fs::directory_iterator()), 1);
}

TEST(FileDriver, FilesThatWereThereBeforeComeBackWithModeAndOwner) {
  test::TempDirectory directory;
  const fs::path root = directory.path() / "root";
  fs::create_directories(root / "etc");
  std::ofstream(root / "etc/app.conf") << "by hand\n";
  ASSERT_EQ(::chmod((root / "etc/app.conf").c_str(), 0751), 0);
  const bool privileged = ::geteuid() == 0;
  if (privileged) {
    ASSERT_EQ(::chown((root / "etc/app.conf").c_str(), 1234, 4321), 0);
  }
  const auto driver = driver_at(root, "files");
  const auto content = content_of(1, {{"etc/app.conf", {"by st8\n", 0644}}, {"new/dir/x", {"x", 0644}}});
  ASSERT_TRUE(driver->stage(call_of(1, "r-1"), content));
  ASSERT_TRUE(driver->activate(call_of(1, "r-1"), content.label()));
  struct stat info;
  ASSERT_EQ(::stat((root / "etc/app.conf").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777u, 0644u);
  if (privileged) {
    EXPECT_EQ(info.st_uid, 1234u) << "the owner is kept";
  }
  EXPECT_EQ(slurp(root / "etc/app.conf"), "by st8\n");
  ASSERT_TRUE(driver->restore(call_of(1, "r-1")));
  EXPECT_EQ(slurp(root / "etc/app.conf"), "by hand\n");
  ASSERT_EQ(::stat((root / "etc/app.conf").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777u, 0751u);
  if (privileged) {
    EXPECT_EQ(info.st_gid, 4321u);
  }
  EXPECT_FALSE(fs::exists(root / "new")) << "directories made for the new files go with them";
}

TEST(FileDriver, ADocumentMayNotLandInTheDriversOwnDirectory) {
  test::TempDirectory directory;
  const auto driver = driver_at(directory.path() / "root", "files");
  const auto content = content_of(1, {{".st8/fence", {"999", 0644}}});
  ASSERT_TRUE(driver->stage(call_of(1, "r-1"), content));
  EXPECT_FALSE(driver->activate(call_of(1, "r-1"), content.label()));
}

// The token at the target is written over where it has as many digits, and replaced where it has more.
TEST(FileDriver, ATokenIsKeptWhateverItsLength) {
  test::TempDirectory directory;
  const auto driver = driver_at(directory.path() / "root", "directory");
  const auto content = content_of(1, {{"a", {"1", 0644}}});
  for (const std::uint64_t token : {std::uint64_t{8}, std::uint64_t{9}, std::uint64_t{10}, std::uint64_t{99},
                                    std::uint64_t{100'000'000'000}, std::uint64_t{100'000'000'001}}) {
    ASSERT_TRUE(driver->stage(call_of(token, "r-1"), content)) << token;
    EXPECT_EQ(slurp(directory.path() / "root/.st8/fence"), std::to_string(token) + "\n");
    const auto stale = driver->activate(call_of(token - 1, "r-1"), content.label());
    ASSERT_FALSE(stale) << token;
    EXPECT_EQ(stale.error().code, ErrorCode::kPreconditionFailed) << stale.error().message;
    EXPECT_TRUE(driver->activate(call_of(token, "r-1"), content.label())) << "the same token goes on";
  }
}

// A sandbox, or a system before Linux 5.6, knows no openat2().
TEST(FileDriver, WorksWhereDirectoriesCannotBeOpenedAtOnce) {
  test::TempDirectory directory;
  const fs::path root = directory.path() / "root", outside = directory.path() / "outside";
  fs::create_directories(outside);
  const auto work = [&]() -> std::string {
    sock_filter no_openat2[] = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
                                BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_openat2, 0, 1),
                                BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
                                BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
    const sock_fprog program{std::size(no_openat2), no_openat2};
    if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
      return "no filter";
    const auto driver = driver_at(root, "directory");
    const auto content = content_of(1, {{"sub/deep/a", {"1", 0644}}});
    if (!driver->stage(call_of(1, "r-1"), content)) return "stage";
    if (!driver->activate(call_of(1, "r-1"), content.label())) return "activate";
    const auto seen = driver->observe(call_of(1, ""));
    if (!seen || seen->content != content.hash) return "observe";
    fs::create_directory_symlink(outside, root / "revisions/2-link");
    if (driver->validate(call_of(1, "r-1"), "2-link")) return "a link was followed";
    return "done";
  };
  int said[2];
  ASSERT_EQ(::pipe(said), 0);
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    const std::string word = work();
    const bool told = ::write(said[1], word.data(), word.size()) == static_cast<ssize_t>(word.size());
    ::_exit(told ? 0 : 1);
  }
  ::close(said[1]);
  char word[64] = {};
  EXPECT_GT(::read(said[0], word, sizeof word - 1), 0);
  EXPECT_STREQ(word, "done");
  ::close(said[0]);
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
}

// Cut short by a kill at each of its failpoints, then done again by a new process: the same end. Until then, `directory`
// shows one whole version.
class FileDriverKilled : public ::testing::TestWithParam<std::tuple<std::string, std::string>> {};

TEST_P(FileDriverKilled, EndsTheSameWhenDoneAgain) {
  const auto& [mode, point] = GetParam();
  test::TempDirectory directory;
  const fs::path root = directory.path() / "root";
  const auto one = content_of(1, {{"a", {"one", 0644}}, {"b", {"one", 0644}}, {"gone", {"one", 0644}}});
  const auto two = content_of(2, {{"a", {"two", 0644}}, {"b", {"two", 0600}}, {"sub/new", {"two", 0644}}});
  const auto run = [&](const Content& content, const std::string& restore_point, std::uint64_t token) -> Status {
    const auto driver = driver_at(root, mode);
    const auto call = call_of(token, restore_point);
    ST8_TRY(driver->stage(call, content));
    ST8_TRY(driver->activate(call, content.label()));
    return {};
  };
  ASSERT_TRUE(run(one, "r-1", 1));
  const bool restoring = point.find("restor") != std::string::npos;
  if (restoring) {
    ASSERT_TRUE(run(two, "r-2", 2));
  }
  for (int hit = 1; hit < 10; ++hit) {
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      if (!failpoint::configure(point + "=crash@" + std::to_string(hit))) ::_exit(3);
      const auto status = restoring ? driver_at(root, mode)->restore(call_of(2, "r-2")) : run(two, "r-2", 2);
      ::_exit(status ? 0 : 4);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFEXITED(status));
    ASSERT_TRUE(WEXITSTATUS(status) == 137 || WEXITSTATUS(status) == 0) << WEXITSTATUS(status);
    const auto seen = driver_at(root, mode)->observe(call_of(2, "r-2"));
    ASSERT_TRUE(seen) << seen.error().message;
    if (mode == "directory") {
      EXPECT_TRUE(seen->content == one.hash || seen->content == two.hash);
    }
    if (WEXITSTATUS(status) == 0) {
      EXPECT_EQ(seen->content, restoring ? one.hash : two.hash);
      ASSERT_TRUE(driver_at(root, mode)->restore(call_of(2, "r-2")));
      const auto back = driver_at(root, mode)->observe(call_of(2, "r-2"));
      ASSERT_TRUE(back);
      EXPECT_EQ(back->content, one.hash);
      EXPECT_GT(hit, 1) << "the failpoint was never reached";
      return;
    }
  }
  ADD_FAILURE() << "it never got to its end";
}

INSTANTIATE_TEST_SUITE_P(Points, FileDriverKilled,
                         ::testing::Combine(::testing::Values("directory", "files"),
                                            ::testing::Values("target.file.staging", "target.file.before_switch",
                                                              "target.file.after_switch")),
                         [](const auto& instance) {
                           return std::get<0>(instance.param) + "_" + std::get<1>(instance.param).substr(12);
                         });
INSTANTIATE_TEST_SUITE_P(Restore, FileDriverKilled,
                         ::testing::Values(std::tuple{"directory", "target.file.before_restore"},
                                           std::tuple{"files", "target.file.restoring"}),
                         [](const auto& instance) { return std::get<0>(instance.param); });

}  // namespace
}  // namespace st8::target
