#include "driver_conformance.h"

#include <filesystem>
#include <fstream>
#include <gmock/gmock.h>
#include <sstream>
#include <sys/stat.h>

#include "st8/state/clock.h"
#include "support/temp_directory.h"

namespace st8::target::conformance {

std::map<std::string, FileOnTarget> files_below(const std::filesystem::path& directory) {
  std::map<std::string, FileOnTarget> files;
  if (!std::filesystem::exists(directory)) return files;
  const auto base = std::filesystem::canonical(directory);
  for (const auto& entry : std::filesystem::recursive_directory_iterator(base)) {
    const std::string relative = entry.path().lexically_relative(base).string();
    if (relative.starts_with('.') || !entry.is_regular_file()) continue;
    std::ifstream in(entry.path(), std::ios::binary);
    std::stringstream bytes;
    bytes << in.rdbuf();
    struct stat info;
    EXPECT_EQ(::stat(entry.path().c_str(), &info), 0);
    files[relative] = {bytes.str(), info.st_mode & 07777u};
  }
  return files;
}

Content content_of(std::uint64_t revision, std::map<std::string, FileOnTarget> files) {
  Content content;
  content.revision = {revision};
  std::vector<FileEntry> entries;
  for (auto& [path, file] : files) {
    FileEntry entry{path, file.mode, Hash::of(file.bytes)};
    entries.push_back(entry);
    content.files.push_back({std::move(entry), std::make_shared<const std::string>(std::move(file.bytes))});
  }
  content.hash = content_hash(entries);
  return content;
}

CallContext call_of(std::uint64_t token, const std::string& restore_point) {
  CallContext call;
  call.clock = &system_clock();
  call.deadline = system_clock().monotonic() + std::chrono::seconds(30);
  call.fencing_token = token;
  call.restore_point = restore_point;
  return call;
}

void DriverConformance::go_live(const Content& content, std::uint64_t token, const std::string& restore_point) {
  const auto driver = subject_->driver();
  const auto call = call_of(token, restore_point);
  auto staged = driver->stage(call, content);
  ASSERT_TRUE(staged) << staged.error().message;
  auto hash = driver->validate(call, content.label());
  ASSERT_TRUE(hash) << hash.error().message;
  ASSERT_EQ(*hash, content.hash);
  auto activated = driver->activate(call, content.label());
  ASSERT_TRUE(activated) << activated.error().message;
  auto seen = driver->observe(call);
  ASSERT_TRUE(seen) << seen.error().message;
  ASSERT_TRUE(seen->present);
  ASSERT_EQ(seen->content, content.hash);
  ASSERT_EQ(seen->label, content.label());
}

namespace {

using FileMap = std::map<std::string, FileOnTarget>;
const FileMap kOne = {{"app/a.json", {"{\"a\":1}\n", 0644}}, {"top", {std::string("\0\xff bytes", 8), 0600}}};
const FileMap kTwo = {{"app/a.json", {"{\"a\":2}\n", 0640}}, {"app/deep/er/b", {"", 0644}}};

class FileSubject final : public Subject {
 public:
  explicit FileSubject(bool files) : files_(files) { std::filesystem::create_directory(root()); }
  std::unique_ptr<TargetDriver> driver() override {
    const Target target{
        *TargetName::parse("t"),
        "file",
        {},
        Criticality::kMedium,
        "",
        "kind: file\nspec: {root: " + root().string() + ", mode: " + (files_ ? "files" : "directory") + ", keep: 2}\n"};
    auto made = builtin_drivers().make(target);
    EXPECT_TRUE(made) << made.error().message;
    return std::move(*made);
  }
  std::filesystem::path root() const { return directory_.path() / "root"; }
  std::filesystem::path live_root() const { return files_ ? root() : root() / "current"; }
  FileMap live() override { return files_below(live_root()); }
  bool tamper() override {
    const FileMap files = live();
    if (files.empty()) return false;
    std::ofstream out(live_root() / files.begin()->first, std::ios::app);
    out << "x";
    return true;
  }
  std::function<void()> cut_off() override {
    std::filesystem::rename(root(), directory_.path() / "away");
    std::ofstream(root()) << "in the way";
    return [this] {
      std::filesystem::remove(root());
      std::filesystem::rename(directory_.path() / "away", root());
    };
  }
  test::TempDirectory directory_;
  bool files_;
};

TEST_P(DriverConformance, NothingIsLiveBeforeTheFirstActivation) {
  const auto seen = subject_->driver()->observe(call_of(1, "r-1"));
  ASSERT_TRUE(seen) << seen.error().message;
  EXPECT_FALSE(seen->present);
}

TEST_P(DriverConformance, StagingTouchesNothingThatIsLive) {
  go_live(content_of(1, kOne), 1, "r-1");
  const Content two = content_of(2, kTwo);
  const auto driver = subject_->driver();
  ASSERT_TRUE(driver->stage(call_of(2, "r-2"), two));
  EXPECT_EQ(subject_->live(), kOne);
  const auto seen = driver->observe(call_of(2, "r-2"));
  ASSERT_TRUE(seen);
  EXPECT_EQ(seen->content, content_of(1, kOne).hash);
}

TEST_P(DriverConformance, WhatIsLiveIsExactlyTheContent) {
  go_live(content_of(1, kOne), 1, "r-1");
  EXPECT_EQ(subject_->live(), kOne);
  go_live(content_of(2, kTwo), 2, "r-2");
  EXPECT_EQ(subject_->live(), kTwo);
}

TEST_P(DriverConformance, AnEmptyContentIsLiveToo) {
  go_live(content_of(1, kOne), 1, "r-1");
  go_live(content_of(2, {}), 2, "r-2");
  EXPECT_TRUE(subject_->live().empty());
}

TEST_P(DriverConformance, EveryCallMayBeMadeTwice) {
  const Content one = content_of(1, kOne);
  const Content two = content_of(2, kTwo);
  go_live(one, 1, "r-1");
  for (int i = 0; i < 2; ++i) go_live(two, 2, "r-2");
  for (int i = 0; i < 2; ++i) {
    ASSERT_TRUE(subject_->driver()->restore(call_of(2, "r-2")));
    EXPECT_EQ(subject_->live(), kOne);
  }
  for (int i = 0; i < 2; ++i) ASSERT_TRUE(subject_->driver()->discard(call_of(2, "r-2")));
  EXPECT_EQ(subject_->live(), kOne);
}

TEST_P(DriverConformance, RestoreBringsBackBytesModesAndAbsence) {
  ASSERT_TRUE(subject_->driver()->restore(call_of(1, "r-0")));  // Nothing had begun under that name.
  go_live(content_of(1, kOne), 1, "r-1");
  ASSERT_TRUE(subject_->driver()->restore(call_of(1, "r-1")));
  EXPECT_TRUE(subject_->live().empty());
  auto seen = subject_->driver()->observe(call_of(1, "r-1"));
  ASSERT_TRUE(seen);
  EXPECT_FALSE(seen->present);
  go_live(content_of(1, kOne), 2, "r-2");
  go_live(content_of(2, kTwo), 3, "r-3");
  ASSERT_TRUE(subject_->driver()->restore(call_of(3, "r-3")));
  EXPECT_EQ(subject_->live(), kOne);
  seen = subject_->driver()->observe(call_of(3, "r-3"));
  ASSERT_TRUE(seen);
  EXPECT_EQ(seen->content, content_of(1, kOne).hash);
}

TEST_P(DriverConformance, ARestorePointIsTheStateBeforeItsFirstActivation) {
  go_live(content_of(1, kOne), 1, "r-1");
  go_live(content_of(2, kTwo), 2, "r-2");
  go_live(content_of(3, {{"third", {"3", 0644}}}), 2, "r-2");
  ASSERT_TRUE(subject_->driver()->restore(call_of(2, "r-2")));
  EXPECT_EQ(subject_->live(), kOne);
}

TEST_P(DriverConformance, ObserveReadsTheTargetAndNotAMemory) {
  go_live(content_of(1, kOne), 1, "r-1");
  ASSERT_TRUE(subject_->tamper());
  const auto seen = subject_->driver()->observe(call_of(1, "r-1"));
  ASSERT_TRUE(seen) << seen.error().message;
  EXPECT_NE(seen->content, content_of(1, kOne).hash);
  // Staging the same version again mends it, since what lies there is looked at.
  go_live(content_of(1, kOne), 1, "r-1");
  EXPECT_EQ(subject_->live(), kOne);
}

TEST_P(DriverConformance, ActivatingWhatIsNotStagedIsRefused) {
  go_live(content_of(1, kOne), 1, "r-1");
  const auto activated = subject_->driver()->activate(call_of(1, "r-2"), content_of(9, kTwo).label());
  ASSERT_FALSE(activated);
  EXPECT_EQ(activated.error().code, ErrorCode::kNotFound);
  EXPECT_FALSE(subject_->driver()->validate(call_of(1, "r-2"), content_of(9, kTwo).label()));
  EXPECT_EQ(subject_->live(), kOne);
}

TEST_P(DriverConformance, AnOlderFencingTokenIsRefusedAtTheTarget) {
  go_live(content_of(1, kOne), 5, "r-1");
  const Content two = content_of(2, kTwo);
  const auto driver = subject_->driver();
  for (const auto& refused :
       {driver->stage(call_of(4, "r-2"), two), driver->activate(call_of(4, "r-1"), content_of(1, kOne).label()),
        driver->restore(call_of(4, "r-1"))}) {
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::kPreconditionFailed) << refused.error().message;
  }
  EXPECT_EQ(subject_->live(), kOne);
}

TEST_P(DriverConformance, PathsThatLeaveTheRootAreRefused) {
  for (const char* path : {"../x", "a/../../x", "/etc/x", "", "a//b", "./a"}) {
    const auto staged = subject_->driver()->stage(call_of(1, "r-1"), content_of(1, {{path, {"x", 0644}}}));
    EXPECT_FALSE(staged) << path;
  }
  for (const char* label : {"../x", "a/b", "", ".."}) {
    EXPECT_FALSE(subject_->driver()->activate(call_of(1, "r-1"), label)) << label;
    EXPECT_FALSE(subject_->driver()->validate(call_of(1, "r-1"), label)) << label;
  }
  EXPECT_FALSE(subject_->driver()->activate(call_of(1, "../../x"), "1-x"));
}

TEST_P(DriverConformance, CancelledAndLateCallsEndWithoutAnEffect) {
  go_live(content_of(1, kOne), 1, "r-1");
  CallContext cancelled = call_of(2, "r-2");
  cancelled.cancelled = std::make_shared<std::atomic<bool>>(true);
  CallContext late = call_of(2, "r-2");
  late.deadline = system_clock().monotonic();
  for (const CallContext& call : {cancelled, late}) {
    const auto staged = subject_->driver()->stage(call, content_of(2, kTwo));
    ASSERT_FALSE(staged);
    EXPECT_EQ(staged.error().code, ErrorCode::kUnavailable);
    EXPECT_FALSE(subject_->driver()->activate(call, content_of(1, kOne).label()));
  }
  EXPECT_EQ(subject_->live(), kOne);
}

TEST_P(DriverConformance, AnUnreachableTargetIsAnErrorAndNoEmptyOne) {
  go_live(content_of(1, kOne), 1, "r-1");
  const auto back = subject_->cut_off();
  if (!back) return;
  EXPECT_FALSE(subject_->driver()->observe(call_of(1, "r-1")));
  EXPECT_FALSE(subject_->driver()->check(call_of(1, "r-1")));
  EXPECT_FALSE(subject_->driver()->stage(call_of(1, "r-1"), content_of(2, kTwo)));
  back();
  const auto seen = subject_->driver()->observe(call_of(1, "r-1"));
  ASSERT_TRUE(seen);
  EXPECT_EQ(seen->content, content_of(1, kOne).hash);
}

TEST_P(DriverConformance, DiscardKeepsWhatIsLiveAndWhatARestoreNeeds) {
  for (std::uint64_t i = 1; i <= 6; ++i)
    go_live(content_of(i, {{"n", {std::to_string(i), 0644}}}), i, "r-" + std::to_string(i));
  ASSERT_TRUE(subject_->driver()->discard(call_of(6, "r-6")));
  EXPECT_EQ(subject_->live(), (FileMap{{"n", {"6", 0644}}}));
  ASSERT_TRUE(subject_->driver()->restore(call_of(6, "r-6")));
  EXPECT_EQ(subject_->live(), (FileMap{{"n", {"5", 0644}}}));
  // The first version is beyond those kept.
  EXPECT_FALSE(subject_->driver()->validate(call_of(6, "r-6"), content_of(1, {{"n", {"1", 0644}}}).label()));
}

TEST_P(DriverConformance, ErrorsHoldNoContent) {
  const std::string secret = "hunter2-very-secret";
  const auto staged =
      subject_->driver()->stage(call_of(1, "r-1"), content_of(1, {{"../" + std::string("x"), {secret, 0644}}}));
  ASSERT_FALSE(staged);
  EXPECT_EQ(staged.error().message.find(secret), std::string::npos);
}

INSTANTIATE_TEST_SUITE_P(Drivers, DriverConformance,
                         ::testing::Values(Named{"file_directory", [] { return std::make_unique<FileSubject>(false); }},
                                           Named{"file_files", [] { return std::make_unique<FileSubject>(true); }}),
                         [](const auto& instance) { return instance.param.name; });

}  // namespace
}  // namespace st8::target::conformance
