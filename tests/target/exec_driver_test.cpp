// The exec driver: its example programs through the conformance suite, and programs that do not keep to the contract.
#include <filesystem>
#include <fstream>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <iterator>
#include <sys/stat.h>

#include "driver_conformance.h"
#include "st8/state/clock.h"
#include "support/temp_directory.h"

namespace st8::target::conformance {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;
using testing::Not;

std::string bytes_of(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

Target target_of(const std::string& spec) {
  return {*TargetName::parse("t"), "exec", {{"zone", "a"}},
          Criticality::kMedium,    "prod", "kind: exec\nspec: " + spec + "\n"};
}

class ExecSubject final : public Subject {
 public:
  ExecSubject(std::string program, bool pinned)
      : program_(ST8_SOURCE_DIR "/examples/drivers/" + program), pinned_(pinned) {
    fs::create_directory(root());
  }
  std::unique_ptr<TargetDriver> driver() override {
    auto made = builtin_drivers().make(target_of(
        "{program: " + program_ + (pinned_ ? ", sha256: " + Hash::of(bytes_of(program_)).hex() : std::string()) +
        ", config: {root: " + root().string() + ", keep: \"2\"}}"));
    EXPECT_TRUE(made) << made.error().message;
    return std::move(*made);
  }
  std::map<std::string, FileOnTarget> live() override { return files_below(root() / "current"); }
  bool tamper() override {
    const auto files = live();
    if (files.empty()) return false;
    std::ofstream(root() / "current" / files.begin()->first, std::ios::app) << "x";
    return true;
  }
  std::function<void()> cut_off() override {
    fs::rename(root(), directory_.path() / "away");
    std::ofstream(root()) << "in the way";
    return [this] {
      fs::remove(root());
      fs::rename(directory_.path() / "away", root());
    };
  }

 private:
  fs::path root() const { return directory_.path() / "root"; }
  const std::string program_;
  const bool pinned_;
  test::TempDirectory directory_;
};

INSTANTIATE_TEST_SUITE_P(
    ExecDrivers, DriverConformance,
    ::testing::Values(Named{"exec_python", [] { return std::make_unique<ExecSubject>("directory.py", false); }},
                      Named{"exec_python_pinned", [] { return std::make_unique<ExecSubject>("directory.py", true); }},
                      Named{"exec_shell", [] { return std::make_unique<ExecSubject>("directory.sh", false); }}),
    [](const auto& instance) { return instance.param.name; });

class BadProgram : public ::testing::Test {
 protected:
  // A program of one line of shell.
  std::unique_ptr<TargetDriver> program(const std::string& line, const std::string& more = "") {
    const std::string path = (directory_.path() / "program").string();
    std::ofstream(path) << "#!/bin/sh\n" << line << "\n";
    ::chmod(path.c_str(), 0755);
    return driver("{program: " + path + more + "}");
  }
  static std::unique_ptr<TargetDriver> driver(const std::string& spec) {
    auto made = builtin_drivers().make(target_of(spec));
    EXPECT_TRUE(made) << made.error().message;
    return std::move(*made);
  }
  test::TempDirectory directory_;
};

TEST_F(BadProgram, WhatIsNoAnswerIsRefusedWithTheReason) {
  const CallContext call = call_of(1, "r-1");
  const std::map<std::string, std::pair<ErrorCode, std::string>> cases = {
      {"echo hello", {ErrorCode::kUnprocessable, "no JSON object"}},
      {"echo '[]'", {ErrorCode::kUnprocessable, "no JSON object"}},
      {"echo '{}'", {ErrorCode::kUnprocessable, "no `ok`"}},
      {"exit 3", {ErrorCode::kUnavailable, "status 3"}},
      {"kill -9 $$", {ErrorCode::kUnavailable, "status 137"}},
      {R"(echo '{"ok": false, "code": "what", "message": "x"}')", {ErrorCode::kUnprocessable, "neither"}},
      {R"(echo '{"ok": false, "code": "unavailable", "message": "no route"}')", {ErrorCode::kUnavailable, "no route"}},
      {R"(echo '{"ok": false, "code": "refused", "message": "full"}')", {ErrorCode::kUnprocessable, "full"}},
      {R"(echo '{"ok": false, "code": "stale_token", "message": "older"}')", {ErrorCode::kPreconditionFailed, "older"}},
      {"head -c 20000000 /dev/zero", {ErrorCode::kUnprocessable, "16 MiB"}},
  };
  for (const auto& [line, expected] : cases) {
    const auto checked = program(line)->check(call);
    ASSERT_FALSE(checked) << line;
    EXPECT_EQ(checked.error().code, expected.first) << line << ": " << checked.error().message;
    EXPECT_THAT(checked.error().message, HasSubstr(expected.second)) << line;
  }
  for (const char* files :
       {R"("present": true)", R"("present": true, "files": 7)", R"("present": true, "files": [{"path": "a"}])",
        R"("present": true, "files": [{"path": "a", "mode": 420, "sha256": "xyz"}])", R"("files": [])"}) {
    const auto seen = program("echo '{\"ok\": true, " + std::string(files) + "}'")->observe(call);
    ASSERT_FALSE(seen) << files;
    EXPECT_EQ(seen.error().code, ErrorCode::kUnprocessable) << files;
  }
  EXPECT_FALSE(driver("{program: /no/such/program}")->check(call));
}

TEST_F(BadProgram, OneThatHangsIsKilledWithItsChildrenAtTheDeadline) {
  CallContext call = call_of(1, "r-1");
  call.deadline = system_clock().monotonic() + std::chrono::milliseconds(300);
  const std::string mark = (directory_.path() / "mark").string();
  const auto checked = program("(sleep 3; touch " + mark + ") & sleep 1000")->check(call);
  ASSERT_FALSE(checked);
  EXPECT_EQ(checked.error().code, ErrorCode::kUnavailable);
  EXPECT_FALSE(fs::exists(mark));
}

TEST_F(BadProgram, ContentInItsWordsIsNotToldOn) {
  const Content content = content_of(1, {{"password", {"hunter2-very-secret\n", 0600}}});
  const auto staged =
      program(
          R"(jq -c '{ok: false, code: "refused", message: ("cannot take " + (.files[0].content_base64 | @base64d))}')")
          ->stage(call_of(1, "r-1"), content);
  ASSERT_FALSE(staged);
  EXPECT_THAT(staged.error().message, HasSubstr("cannot take"));
  EXPECT_THAT(staged.error().message, Not(HasSubstr("hunter2")));
}

TEST_F(BadProgram, OnlyThePinnedBytesAreRun) {
  const std::string mark = (directory_.path() / "mark").string();
  const std::string line = "touch " + mark + "; echo '{\"ok\": true}'";
  static_cast<void>(program(line));
  const std::string pin = Hash::of(bytes_of(directory_.path() / "program")).hex();
  EXPECT_TRUE(program(line, ", sha256: " + pin)->check(call_of(1, "r-1")));
  EXPECT_TRUE(fs::remove(mark));
  const auto checked = program(line + "\n# changed", ", sha256: " + pin)->check(call_of(1, "r-1"));
  ASSERT_FALSE(checked);
  EXPECT_EQ(checked.error().code, ErrorCode::kUnprocessable);
  EXPECT_THAT(checked.error().message, HasSubstr("SHA-256"));
  EXPECT_FALSE(fs::exists(mark));
}

TEST_F(BadProgram, ItsSpecIsReadStrictly) {
  for (const auto& [spec, problem] :
       std::map<std::string, std::string>{{"{}", "program"},
                                          {"{program: relative}", "absolute"},
                                          {"{program: /x, sha256: abc}", "64 hexadecimal"},
                                          {"{program: /x, argz: []}", "args"},
                                          {"{program: /x, config: {a: [1]}}", "must be text"}}) {
    std::vector<DocumentProblem> problems;
    EXPECT_FALSE(parse_target(*TargetName::parse("t"), "kind: exec\nspec: " + spec + "\n", problems)) << spec;
    std::string all;
    for (const DocumentProblem& one : problems) all += one.str() + "\n";
    EXPECT_THAT(all, HasSubstr(problem)) << spec;
  }
}

}  // namespace
}  // namespace st8::target::conformance
