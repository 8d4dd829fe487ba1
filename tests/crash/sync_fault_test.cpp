// The simulated disk itself: what it forgets must be what a real one may forget, and no more.
#include "support/sync_fault.h"

#include <csignal>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <iterator>

#include "support/run_program.h"
#include "support/temp_directory.h"

#ifdef ST8_SYNC_FAULT_LIBRARY

namespace st8::test {
namespace {

class SyncFault : public testing::Test {
 protected:
  SyncFault() { std::filesystem::create_directory(directory_); }
  ProgramEnd run(const std::string& faults, const std::vector<std::string>& operations, const std::string& match = "") {
    std::vector<std::string> arguments{std::string(ST8_BIN_DIR) + "/st8_file_script", directory_.string()};
    arguments.insert(arguments.end(), operations.begin(), operations.end());
    return run_program(arguments,
                       sync_fault_environment(directory_, faults, (temp_.path() / "report").string(), match));
  }
  std::string contents(const std::string& name) const {
    std::ifstream file(directory_ / name, std::ios::binary);
    return file ? std::string(std::istreambuf_iterator<char>(file), {}) : "(absent)";
  }
  std::string report() const {
    std::ifstream file(temp_.path() / "report");
    return {std::istreambuf_iterator<char>(file), {}};
  }
  TempDirectory temp_;
  std::filesystem::path directory_ = temp_.path() / "watched";
};

TEST_F(SyncFault, ChangesNothingUnlessTold) {
  const ProgramEnd end =
      run("", {"write:a:one", "sync:a", "append:a:two", "rename:a:b", "syncdir", "remove:b", "write:c:x"});
  EXPECT_EQ(end.exit_code, 0) << end.output;
  EXPECT_EQ(contents("b"), "(absent)");
  EXPECT_EQ(contents("c"), "x");
  EXPECT_NE(report().find("syncs=2 "), std::string::npos) << report();
  EXPECT_NE(report().find("fired=none"), std::string::npos) << report();
}

TEST_F(SyncFault, ADropForgetsWhatWasNotSynced) {
  const ProgramEnd end =
      run("drop@3", {"write:a:one", "sync:a", "append:a:two", "write:b:never", "write:c:kept", "sync:c", "sync:a"});
  EXPECT_EQ(end.signal, SIGKILL) << end.output;
  EXPECT_EQ(contents("a"), "one");
  EXPECT_EQ(contents("b"), "");
  EXPECT_EQ(contents("c"), "kept");
  EXPECT_NE(report().find("fired=drop@3"), std::string::npos) << report();
}

TEST_F(SyncFault, ADropPutsOverwrittenBytesBack) {
  const ProgramEnd end = run("drop@2", {"write:a:0123456789", "sync:a", "at:a:2:XX", "at:a:3:YYY", "cut:a:4",
                                        "append:a:zzzzzzzzzzzz", "sync:a"});
  EXPECT_EQ(end.signal, SIGKILL) << end.output;
  EXPECT_EQ(contents("a"), "0123456789");
}

TEST_F(SyncFault, ADropPutsBackWhatOpenCutOff) {
  std::ofstream(directory_ / "a") << "from before";
  const ProgramEnd end = run("drop@1", {"write:a:new", "syncdir"});
  EXPECT_EQ(end.signal, SIGKILL) << end.output;
  EXPECT_EQ(contents("a"), "from before");
}

TEST_F(SyncFault, NamesComeBackOnlyWhenAsked) {
  const std::vector<std::string> operations{
      "write:a:one",   "sync:a",   "write:old:old", "sync:old",   "syncdir",  // All durable.
      "write:new:new", "sync:new", "rename:new:a",  "remove:old", "link:l:a", "sync:a"};
  EXPECT_EQ(run("drop@5", operations).signal, SIGKILL);
  EXPECT_EQ(contents("a"), "new");
  EXPECT_EQ(contents("old"), "(absent)");
  std::filesystem::remove_all(directory_);
  std::filesystem::create_directory(directory_);
  const ProgramEnd end = run("names,drop@5", operations);
  EXPECT_EQ(end.signal, SIGKILL) << end.output;
  EXPECT_EQ(contents("a"), "one");
  EXPECT_EQ(contents("old"), "old");
  EXPECT_EQ(contents("new"), "(absent)");
  EXPECT_FALSE(std::filesystem::exists(std::filesystem::symlink_status(directory_ / "l")));
  EXPECT_FALSE(std::filesystem::exists(directory_.string() + ".sync-fault"));
}

TEST_F(SyncFault, ADirectoryThatWasSyncedKeepsItsNames) {
  const ProgramEnd end =
      run("names,drop@4", {"write:a:one", "sync:a", "write:b:two", "sync:b", "rename:b:a", "syncdir", "sync:a"});
  EXPECT_EQ(end.signal, SIGKILL) << end.output;
  EXPECT_EQ(contents("a"), "two");
  EXPECT_EQ(contents("b"), "(absent)");
}

TEST_F(SyncFault, ALogFileThatWasSyncedKeepsItsName) {
  const ProgramEnd end = run("names,drop@3", {"log:a:one", "write:b:two", "sync:b"});
  EXPECT_EQ(end.signal, SIGKILL) << end.output;
  EXPECT_EQ(contents("a").substr(0, 3), "one");  // Zeros stand behind it.
  EXPECT_EQ(contents("b"), "(absent)");
}

TEST_F(SyncFault, AFailedSyncIsNotMendedByALaterOne) {
  const ProgramEnd failed = run("fail@2", {"write:a:one", "sync:a", "append:a:two", "sync:a"});
  EXPECT_EQ(failed.exit_code, 1);
  EXPECT_NE(failed.output.find("sync:a: Input/output error"), std::string::npos) << failed.output;
  const ProgramEnd later =
      run("fail@2,drop@4", {"write:a:one", "sync:a", "append:a:two", "trysync:a", "sync:a", "sync:a"});
  EXPECT_EQ(later.signal, SIGKILL) << later.output;
  EXPECT_EQ(contents("a"), "one") << "Linux marks the pages clean when a sync fails; a later sync does not write them";
}

TEST_F(SyncFault, AKillKeepsWhatWasWritten) {
  const ProgramEnd end = run("keep@1", {"write:a:one", "append:a:two", "sync:a"});
  EXPECT_EQ(end.signal, SIGKILL);
  EXPECT_EQ(contents("a"), "onetwo");
}

TEST_F(SyncFault, AFullDiskRefusesWrites) {
  const ProgramEnd end = run("nospace@2+", {"write:a:one", "append:a:two"});
  EXPECT_EQ(end.exit_code, 1);
  EXPECT_NE(end.output.find("No space left on device"), std::string::npos) << end.output;
  EXPECT_EQ(contents("a"), "one");
}

TEST_F(SyncFault, CountsOnlyWhatMatches) {
  const ProgramEnd end = run("drop@1", {"write:a.log:one", "write:b:two", "sync:b", "sync:a.log"}, ".log");
  EXPECT_EQ(end.signal, SIGKILL);
  EXPECT_EQ(contents("a.log"), "");
  EXPECT_EQ(contents("b"), "two");
}

TEST_F(SyncFault, ABadDirectiveEndsTheProgram) {
  for (const char* bad : {"drop", "drop@", "drop@0", "drop@x", "explode@1", "fail@1-"}) {
    EXPECT_EQ(run(bad, {"write:a:one"}).exit_code, 138) << bad;
  }
}

}  // namespace
}  // namespace st8::test

#endif  // ST8_SYNC_FAULT_LIBRARY
