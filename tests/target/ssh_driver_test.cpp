// The ssh driver against a real sshd: the conformance suite, an end at every step of the other side, and whom it trusts.
#include <filesystem>
#include <fstream>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <iterator>
#include <optional>
#include <sys/stat.h>
#include <thread>

#include "driver_conformance.h"
#include "drivers/ssh/remote_script.h"
#include "st8/state/clock.h"
#include "support/eventually.h"
#include "support/manual_clock.h"
#include "support/ssh_server.h"
#include "support/temp_directory.h"

namespace st8::target::conformance {
namespace {

namespace fs = std::filesystem;
using FileMap = std::map<std::string, FileOnTarget>;
using test::SshServer;
using testing::HasSubstr;
using testing::Not;

std::string text_of(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

std::unique_ptr<TargetDriver> driver_of(const std::string& spec) {
  auto made = builtin_drivers().make(
      {*TargetName::parse("t"), "ssh", {}, Criticality::kMedium, "", "kind: ssh\nspec: {" + spec + "}\n"});
  EXPECT_TRUE(made) << made.error().message;
  return std::move(*made);
}

std::string problems_of(const std::string& spec) {
  std::vector<DocumentProblem> problems;
  parse_target(*TargetName::parse("t"), "kind: ssh\nspec: " + spec + "\n", problems);
  std::string all;
  for (const DocumentProblem& one : problems) all += one.str() + "\n";
  return all;
}

class SshSubject final : public Subject {
 public:
  explicit SshSubject(std::string more, std::string command = "")
      : more_(std::move(more)), server_("", std::move(command)) {}
  std::unique_ptr<TargetDriver> driver() override {
    return driver_of(server_.spec() + ", root: " + root().string() + ", keep: 2" + more_);
  }
  FileMap live() override { return files_below(live_root()); }
  bool tamper() override {
    const FileMap files = live();
    if (files.empty()) return false;
    std::ofstream(live_root() / files.begin()->first, std::ios::app) << "x";
    return true;
  }
  std::function<void()> cut_off() override {
    server_.stop();
    return [this] { server_.start(); };
  }

 private:
  // As hard a name as a document may give.
  fs::path root() const { return directory_.path() / "it's \"$(touch mark)\" `root`"; }
  fs::path live_root() const { return more_.find("mode: files") == std::string::npos ? root() / "current" : root(); }
  const std::string more_;
  test::TempDirectory directory_;
  SshServer server_;
};

INSTANTIATE_TEST_SUITE_P(
    SshDrivers, DriverConformance,
    ::testing::Values(Named{"ssh", [] { return std::make_unique<SshSubject>(""); }},
                      Named{"ssh_files", [] { return std::make_unique<SshSubject>(", mode: files"); }},
                      Named{"ssh_not_shared_noisy_login",
                            [] {
                              return std::make_unique<SshSubject>(
                                  ", share: 0", "echo welcome; echo warning >&2; eval \"$SSH_ORIGINAL_COMMAND\"");
                            }}),
    [](const auto& instance) { return instance.param.name; });

// A machine whose tools are wrapped: what a file named after a tool holds is run before it.
class SshDriver : public ::testing::Test {
 protected:
  static constexpr const char* kTools[] = {"cp", "flock", "ln", "mkdir", "mv", "rm", "sync"};
  SshDriver() : server_(tools() + ":/usr/bin:/bin") {
    fs::create_directory(tools());
    for (const std::string tool : kTools) {
      const std::string path = tools() + "/" + tool;
      std::ofstream(path) << "#!/bin/sh\nif [ -f " << tools() << "/before ]; then . " << tools()
                          << "/before; fi\nexec /usr/bin/" << tool << " \"$@\"\n";
      ::chmod(path.c_str(), 0755);
    }
  }
  std::string tools() const { return (directory_.path() / "tools").string(); }
  fs::path root() const { return directory_.path() / "root"; }
  std::unique_ptr<TargetDriver> driver(const std::string& more = "") const {
    return driver_of(server_.spec() + ", root: " + root().string() + more);
  }
  FileMap live() const { return files_below(root() / "current"); }
  // Run by the tools before they do what they do; it knows the tool's name as $tool. Replaced at once.
  void before_each_tool(const std::string& shell) const {
    std::ofstream(tools() + "/new") << "tool=${0##*/}\n" << shell << "\n";
    fs::rename(tools() + "/new", tools() + "/before");
  }
  void plain_tools() const { fs::remove(tools() + "/before"); }
  // What comes next runs `shell` instead of its tool of this number, from 1.
  void cut_at(int tool, const std::string& shell) const {
    std::ofstream(tools() + "/count") << tool;
    before_each_tool("left=$(($(cat " + tools() + "/count) - 1)); echo $left >" + tools() +
                     "/count; if [ $left -eq 0 ]; then " + shell + "; fi");
  }
  // Does `action` again and again, cut short at its first, second, ... tool, until it ends well. The number of times.
  int until_it_ends(const std::string& shell, const std::function<Status()>& action,
                    const std::function<void(int)>& look) const {
    for (int at = 1; at < 200; ++at) {
      cut_at(at, shell);
      const auto done = action();
      plain_tools();
      look(at);
      if (done) return at;
      EXPECT_EQ(done.error().code, ErrorCode::kUnavailable) << done.error().message;
    }
    ADD_FAILURE() << "it never ends";
    return 0;
  }

  test::TempDirectory directory_;
  SshServer server_;
};

TEST_F(SshDriver, ReadersSeeOneVersionOrTheOtherWhereverTheOtherSideEnds) {
  const FileMap one = {{"a", {"1", 0644}}, {"d/b", {"one", 0600}}};
  const FileMap two = {{"a", {"2", 0644}}, {"c", {"two", 0640}}};
  for (const std::string shell : {"kill -9 0", "exit 1"}) {
    fs::remove_all(root());
    const Content first = content_of(1, one), second = content_of(2, two);
    const auto target = driver();
    ASSERT_TRUE(target->stage(call_of(1, "r-1"), first));
    ASSERT_TRUE(target->activate(call_of(1, "r-1"), first.label()));
    const auto is_one_of_both = [&](int at) {
      EXPECT_TRUE(live() == one || live() == two) << shell << " at tool " << at;
    };
    const auto is_one = [&](int at) { EXPECT_EQ(live(), one) << shell << " at tool " << at; };
    // From nothing at all each time: staging leaves what is live alone.
    EXPECT_GT(until_it_ends(
                  shell,
                  [&] {
                    fs::remove_all(root() / "revisions" / second.label());
                    return target->stage(call_of(2, "r-2"), second);
                  },
                  is_one),
              5);
    EXPECT_EQ(*target->validate(call_of(2, "r-2"), second.label()), second.hash);
    EXPECT_GT(until_it_ends(
                  shell, [&] { return target->activate(call_of(2, "r-2"), second.label()); }, is_one_of_both),
              3);
    EXPECT_EQ(live(), two);
    EXPECT_GT(until_it_ends(
                  shell, [&] { return target->restore(call_of(2, "r-2")); }, is_one_of_both),
              3);
    EXPECT_EQ(live(), one);
    EXPECT_GT(until_it_ends(
                  shell, [&] { return target->discard(call_of(3, "r-3")); }, is_one),
              1);
    EXPECT_EQ(target->observe(call_of(3, ""))->content, first.hash);
  }
}

TEST_F(SshDriver, EachFileInItsPlaceIsTheOldOneOrTheNewWhereverTheOtherSideEnds) {
  const FileMap others = {{"mine", {"of the machine", 0600}}};
  FileMap one = {{"a", {"1", 0644}}, {"d/b", {"one", 0600}}, {"same", {"s", 0644}}};
  FileMap two = {{"a", {"2", 0644}}, {"d/e/c", {"two", 0755}}, {"same", {"s", 0644}}};
  const Content first = content_of(1, one), second = content_of(2, two);
  const auto target = driver(", mode: files");
  const auto all = [&] { return files_below(root()); };
  one.insert(others.begin(), others.end());
  two.insert(others.begin(), others.end());
  for (const std::string shell : {"kill -9 0", "exit 1"}) {
    fs::remove_all(root());
    fs::create_directory(root());
    std::ofstream(root() / "mine") << "of the machine";
    ::chmod((root() / "mine").c_str(), 0600);
    ASSERT_TRUE(target->stage(call_of(1, "r-1"), first));
    ASSERT_TRUE(target->activate(call_of(1, "r-1"), first.label()));
    ASSERT_EQ(all(), one);
    struct stat before, after;
    ASSERT_EQ(::stat((root() / "same").c_str(), &before), 0);
    const auto each_is_whole = [&](int at) {
      for (const auto& [path, file] : all()) {
        if (path.find(".st8.") != std::string::npos) continue;  // On its way to a name.
        const auto in_one = one.find(path), in_two = two.find(path);
        EXPECT_TRUE((in_one != one.end() && in_one->second == file) || (in_two != two.end() && in_two->second == file))
            << shell << " at tool " << at << ": " << path;
      }
    };
    ASSERT_TRUE(target->stage(call_of(2, "r-2"), second));
    int at = 1;
    for (;; ++at) {
      cut_at(at, shell);
      const Status done = target->activate(call_of(2, "r-2"), second.label());
      plain_tools();
      each_is_whole(at);
      const bool reached = std::stoi(text_of(tools() + "/count")) <= 0;
      // A link that cannot be made is a copy instead; any other end of a tool is one of the call.
      if (done && !reached) break;
      if (!done) {
        ASSERT_EQ(done.error().code, ErrorCode::kUnavailable) << done.error().message;
      }
      ASSERT_LT(at, 100);
      // Wherever it was cut short, the way back leads to what was there.
      ASSERT_TRUE(target->restore(call_of(2, "r-2")));
      EXPECT_EQ(all(), one) << shell << " at tool " << at;
      fs::remove_all(root() / ".st8/restore/r-2");
    }
    EXPECT_GT(at, 20);
    EXPECT_EQ(all(), two) << shell;
    EXPECT_EQ(target->observe(call_of(2, ""))->content, second.hash);
    // What did not change was not touched.
    ASSERT_EQ(::stat((root() / "same").c_str(), &after), 0);
    if (shell != "exit 1") {
      EXPECT_EQ(before.st_ino, after.st_ino);
    }
    EXPECT_GT(until_it_ends(
                  shell, [&] { return target->restore(call_of(2, "r-2")); }, each_is_whole),
              3);
    EXPECT_EQ(all(), one) << shell;
    EXPECT_FALSE(fs::exists(root() / "d/e"));
    EXPECT_EQ(target->observe(call_of(2, ""))->content, first.hash);
    ASSERT_TRUE(target->discard(call_of(3, "r-3")));
    ASSERT_TRUE(target->activate(call_of(3, "r-3"), first.label()));
  }
}

TEST_F(SshDriver, AFileInItsPlaceKeepsItsOwnerAndNoLinkIsFollowed) {
  const Content content = content_of(1, {{"d/a", {"1", 0644}}, {"b", {"1", 0644}}});
  const auto target = driver(", mode: files");
  const fs::path elsewhere = directory_.path() / "elsewhere";
  fs::create_directory(elsewhere);
  fs::create_directory(root());
  fs::create_directory_symlink(elsewhere, root() / "d");
  ASSERT_TRUE(target->stage(call_of(1, "r-1"), content));
  const auto refused = target->activate(call_of(1, "r-1"), content.label());
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kUnprocessable) << refused.error().message;
  EXPECT_TRUE(fs::is_empty(elsewhere));
  EXPECT_FALSE(fs::exists(root() / "b"));
  fs::remove(root() / "d");
  std::ofstream(root() / "b") << "before";
  constexpr uid_t kSomebody = 12345;
  const bool may = ::chown((root() / "b").c_str(), kSomebody, kSomebody) == 0;  // As root alone.
  ASSERT_TRUE(target->activate(call_of(1, "r-1"), content.label()));
  struct stat info;
  ASSERT_EQ(::stat((root() / "b").c_str(), &info), 0);
  EXPECT_EQ(info.st_uid, may ? kSomebody : ::geteuid());
  EXPECT_EQ(text_of(root() / "b"), "1");
  // A link where a directory was is told, and mended by nobody.
  fs::rename(root() / "d", elsewhere / "d");
  fs::create_directory_symlink(elsewhere / "d", root() / "d");
  const auto seen = target->observe(call_of(1, ""));
  ASSERT_TRUE(seen) << seen.error().message;
  EXPECT_NE(seen->content, content.hash);
  EXPECT_FALSE(target->restore(call_of(1, "r-1")));
  fs::remove(root() / "d");
  fs::rename(elsewhere / "d", root() / "d");
  ASSERT_TRUE(target->restore(call_of(1, "r-1")));
  EXPECT_EQ(text_of(root() / "b"), "before");
  ASSERT_EQ(::stat((root() / "b").c_str(), &info), 0);
  EXPECT_EQ(info.st_uid, may ? kSomebody : ::geteuid());
  EXPECT_FALSE(fs::exists(root() / "d"));
  const Content own = content_of(2, {{".st8/lock", {"x", 0644}}});
  ASSERT_TRUE(target->stage(call_of(2, "r-2"), own));
  EXPECT_FALSE(target->activate(call_of(2, "r-2"), own.label()));
}

TEST_F(SshDriver, AnAlteredLiveVersionIsMendedAndNeverAway) {
  const FileMap files = {{"a", {"1", 0644}}, {"d/b", {"one", 0600}}};
  FileMap altered = files;
  altered["a"].bytes = "1x";
  const Content content = content_of(1, files);
  const auto target = driver();
  ASSERT_TRUE(target->stage(call_of(1, "r-1"), content));
  ASSERT_TRUE(target->activate(call_of(1, "r-1"), content.label()));
  const int steps = until_it_ends(
      "kill -9 0",
      [&] {
        std::ofstream(root() / "current" / "a", std::ios::app) << "x";
        return target->stage(call_of(1, "r-1"), content);
      },
      [&](int at) {
        const FileMap now = live();
        // A cut between may have mended it, or not yet; what was appended twice is altered too.
        EXPECT_EQ(now.size(), 2u) << at;
        EXPECT_EQ(now.count("a"), 1u) << at;
        const auto seen = target->observe(call_of(1, "r-1"));
        ASSERT_TRUE(seen) << at << seen.error().message;
        EXPECT_EQ(seen->label, content.label()) << at;
        EXPECT_EQ(seen->content == content.hash, now == files) << at;
        // Whoever comes next finds a version, and finishes what was cut short.
        ASSERT_TRUE(target->activate(call_of(1, "r-1"), content.label()));
        EXPECT_EQ(fs::read_symlink(root() / "current"), "revisions/" + content.label()) << at;
        EXPECT_EQ(live().size(), 2u) << at;
      });
  EXPECT_GT(steps, 10);
  EXPECT_EQ(live(), files);
}

TEST_F(SshDriver, ACallThatWasGivenUpAndComesLateDoesNothing) {
  const Content one = content_of(1, {{"a", {"1", 0644}}}), two = content_of(2, {{"a", {"2", 0644}}});
  const auto target = driver();
  for (const Content* content : {&one, &two}) ASSERT_TRUE(target->stage(call_of(1, "r-1"), *content));
  ASSERT_TRUE(target->activate(call_of(1, "r-1"), one.label()));
  // The activation comes as far as the lock, and no further until `go` is there.
  const std::string there = tools() + "/there", go = tools() + "/go";
  before_each_tool("if [ $tool = flock ]; then rm " + tools() + "/before; echo $PPID >" + there + ".new; mv " + there +
                   ".new " + there + "; while [ ! -e " + go + " ]; do sleep 0.01; done; fi");
  CallContext call = call_of(2, "r-2");
  call.cancelled = std::make_shared<std::atomic<bool>>(false);
  std::optional<Status> late;
  std::thread caller([&] { late = target->activate(call, two.label()); });
  EXPECT_TRUE(test::eventually([&] { return fs::exists(there); }));
  call.cancelled->store(true);
  caller.join();
  ASSERT_FALSE(*late);
  EXPECT_EQ(late->error().code, ErrorCode::kUnavailable);
  ASSERT_TRUE(target->restore(call_of(2, "r-2")));
  // The restore left its mark; the late one finds it.
  std::ofstream(go).flush();
  EXPECT_TRUE(test::eventually([&] { return !fs::exists("/proc/" + std::to_string(std::stol(text_of(there)))); }));
  EXPECT_EQ(live(), (FileMap{{"a", {"1", 0644}}}));
  EXPECT_FALSE(fs::exists(root() / ".st8/restore/r-2"));
}

TEST_F(SshDriver, ACallThatWasOvertakenIsRefusedAtTheLock) {
  const Content one = content_of(1, {{"a", {"1", 0644}}}), two = content_of(2, {{"a", {"2", 0644}}});
  const auto target = driver();
  test::ManualClock clock(1'000'000'000, 0);
  const auto call_at = [&](const std::string& point) {
    CallContext call = call_of(1, point);
    call.clock = &clock;
    call.deadline = clock.monotonic() + std::chrono::seconds(30);
    return call;
  };
  const CallContext early = call_at("r-1");
  for (const Content* content : {&one, &two}) ASSERT_TRUE(target->stage(early, *content));
  ASSERT_TRUE(target->activate(early, two.label()));
  clock.advance(std::chrono::seconds(1));
  ASSERT_TRUE(target->activate(call_at("r-1"), one.label()));
  clock.advance(-std::chrono::seconds(1));
  const auto late = target->activate(early, two.label());
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().code, ErrorCode::kPreconditionFailed) << late.error().message;
  EXPECT_EQ(live(), (FileMap{{"a", {"1", 0644}}}));
}

TEST_F(SshDriver, WhatHangsThereEndsAtTheDeadlineAndIsKilledThereToo) {
  const auto target = driver();
  ASSERT_TRUE(target->check(call_of(1, "r-1")));
  const std::string pid = tools() + "/pid";
  before_each_tool("if [ $tool = sync ]; then echo $$ >" + pid + ".new; mv " + pid + ".new " + pid +
                   "; exec sleep 1000; fi");
  CallContext call = call_of(1, "r-1");
  call.deadline = system_clock().monotonic() + std::chrono::milliseconds(800);
  const auto staged = target->stage(call, content_of(1, {{"a", {"1", 0644}}}));
  ASSERT_FALSE(staged);
  EXPECT_EQ(staged.error().code, ErrorCode::kUnavailable);
  ASSERT_TRUE(test::eventually([&] { return fs::exists(pid); }));
  EXPECT_TRUE(test::eventually([&] { return !fs::exists("/proc/" + std::to_string(std::stol(text_of(pid)))); }));
  plain_tools();
  EXPECT_TRUE(target->stage(call_of(1, "r-1"), content_of(1, {{"a", {"1", 0644}}})));
}

TEST_F(SshDriver, LinksThatLeadElsewhereAreNotFollowed) {
  const Content content = content_of(1, {{"a", {"1", 0644}}});
  const auto target = driver();
  const fs::path elsewhere = directory_.path() / "elsewhere";
  fs::create_directory(elsewhere);
  for (const std::string name : {".st8", "revisions", ".st8/restore", ".st8/lock"}) {
    fs::remove_all(root());
    fs::create_directories((root() / name).parent_path());
    fs::create_directory_symlink(elsewhere, root() / name);
    if (name != ".st8/restore") {
      const auto staged = target->stage(call_of(1, "r-1"), content);
      ASSERT_FALSE(staged) << name;
      EXPECT_EQ(staged.error().code, ErrorCode::kUnprocessable) << staged.error().message;
    } else {
      ASSERT_TRUE(target->stage(call_of(1, "r-1"), content));
    }
    EXPECT_FALSE(target->activate(call_of(1, "r-1"), content.label())) << name;
    EXPECT_TRUE(fs::is_empty(elsewhere)) << name;
  }
  fs::remove_all(root());
  ASSERT_TRUE(target->stage(call_of(1, "r-1"), content));
  fs::create_directory(root() / "current");
  const auto activated = target->activate(call_of(1, "r-1"), content.label());
  ASSERT_FALSE(activated);
  EXPECT_EQ(activated.error().code, ErrorCode::kUnprocessable);
  EXPECT_THAT(activated.error().message, HasSubstr("not a symbolic link"));
  // A link of somebody else's is live content that is none of ours, and comes back at a restore.
  fs::remove(root() / "current");
  fs::create_directory_symlink(elsewhere, root() / "current");
  EXPECT_EQ(target->observe(call_of(1, ""))->label, "foreign");
  ASSERT_TRUE(target->activate(call_of(1, "r-1"), content.label()));
  ASSERT_TRUE(target->restore(call_of(1, "r-1")));
  EXPECT_EQ(fs::read_symlink(root() / "current"), elsewhere);
}

// A link that somebody made by hand, from / on: the version that it leads to is what is live, and what comes back.
TEST_F(SshDriver, ALinkFromTheTopLeadsToAVersionToo) {
  const auto target = driver();
  const Content first = content_of(1, {{"a", {"1", 0644}}}), second = content_of(2, {{"a", {"2", 0644}}});
  ASSERT_TRUE(target->stage(call_of(1, "r-1"), first));
  fs::create_directory_symlink(root() / "revisions" / first.label(), root() / "current");
  EXPECT_EQ(target->observe(call_of(1, ""))->label, first.label());
  ASSERT_TRUE(target->stage(call_of(1, "r-1"), second));
  ASSERT_TRUE(target->activate(call_of(1, "r-1"), second.label()));
  EXPECT_EQ(live(), (FileMap{{"a", {"2", 0644}}}));
  ASSERT_TRUE(target->restore(call_of(1, "r-1")));
  EXPECT_EQ(live(), (FileMap{{"a", {"1", 0644}}}));
  // One that leads nowhere is told as such, and comes back as it was.
  fs::remove(root() / "current");
  fs::create_directory_symlink("revisions/7-gone", root() / "current");
  EXPECT_EQ(target->observe(call_of(1, ""))->label, "7-gone");
  ASSERT_TRUE(target->activate(call_of(2, "r-2"), second.label()));
  ASSERT_TRUE(target->restore(call_of(2, "r-2")));
  EXPECT_EQ(fs::read_symlink(root() / "current"), "revisions/7-gone");
}

TEST_F(SshDriver, NamesAreTakenAsTheyAre) {
  FileMap files;
  for (const std::string& name :
       {std::string("-rf"), std::string("a b"), std::string("new\nline"), std::string("q'uo\"te$(x)`y`\\"),
        std::string("\xc3\xa4\xff"), std::string(200, 'l') + "/" + std::string(150, 'm'), std::string(100, 'e'),
        std::string("*"), std::string("./a").substr(2) + "a"}) {
    files[name] = {"bytes of " + name, 0644};
  }
  files["set"] = {"", 04755};
  const Content content = content_of(7, files);
  const auto target = driver();
  const auto staged = target->stage(call_of(1, "r-1"), content);
  ASSERT_TRUE(staged) << staged.error().message;
  EXPECT_EQ(*target->validate(call_of(1, "r-1"), content.label()), content.hash);
  ASSERT_TRUE(target->activate(call_of(1, "r-1"), content.label()));
  EXPECT_EQ(live(), files);
  EXPECT_EQ(target->observe(call_of(1, ""))->content, content.hash);
}

TEST_F(SshDriver, NamesInTheirPlacesAreTakenAsTheyAre) {
  FileMap files;
  for (const std::string& name :
       {std::string("-rf"), std::string("a b"), std::string("new\nline"), std::string("q'uo\"te$(x)`y`\\/-d"),
        std::string("\xc3\xa4"), std::string(200, 'l') + "/" + std::string(150, 'm'), std::string("*/%s\\n")}) {
    files[name] = {"bytes of " + name, 0644};
  }
  const Content content = content_of(7, files);
  const auto target = driver(", mode: files");
  ASSERT_TRUE(target->stage(call_of(1, "r-1"), content));
  const auto activated = target->activate(call_of(1, "r-1"), content.label());
  ASSERT_TRUE(activated) << activated.error().message;
  EXPECT_EQ(files_below(root()), files);
  EXPECT_EQ(target->observe(call_of(1, ""))->content, content.hash);
  ASSERT_TRUE(target->restore(call_of(1, "r-1")));
  EXPECT_TRUE(files_below(root()).empty());
  const Content bad = content_of(8, {{"\xff", {"x", 0644}}});
  ASSERT_TRUE(target->stage(call_of(2, "r-2"), bad));
  EXPECT_FALSE(target->activate(call_of(2, "r-2"), bad.label()));
}

TEST_F(SshDriver, OneConnectionServesManyCallsAndADeadOneIsMadeAnew) {
  const auto logins = [&] {
    const std::string log = server_.log();
    int count = 0;
    for (std::size_t at = 0; (at = log.find("Accepted publickey", at)) != std::string::npos; ++at) ++count;
    return count;
  };
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(driver()->check(call_of(1, "r-1")));
  EXPECT_EQ(logins(), 1);
  const fs::path sockets = server_.directory() / "c";
  EXPECT_EQ(fs::status(sockets).permissions(), fs::perms::owner_all);
  server_.drop_connections();
  EXPECT_TRUE(test::eventually([&] { return driver()->check(call_of(1, "r-1")).has_value(); }));
  EXPECT_GE(logins(), 2);
  // One that others may enter is not used.
  fs::permissions(sockets, fs::perms::owner_all | fs::perms::group_exec);
  const auto checked = driver()->check(call_of(1, "r-1"));
  ASSERT_FALSE(checked);
  EXPECT_EQ(checked.error().code, ErrorCode::kUnprocessable);
  EXPECT_THAT(checked.error().message, HasSubstr("0700"));
}

TEST_F(SshDriver, OnlyTheKnownHostIsSpokenTo) {
  const std::string unknown = (directory_.path() / "known").string();
  const std::string base = "host: 127.0.0.1, port: " + std::to_string(server_.port()) +
                           ", identityFile: " + server_.identity() +
                           ", config: /dev/null, share: 0, root: " + root().string();
  const Content content = content_of(1, {{"a", {"hunter2-very-secret", 0644}}});
  for (const std::string& known :
       {std::string(), "[127.0.0.1]:" + std::to_string(server_.port()) + " " + text_of(server_.identity() + ".pub")}) {
    std::ofstream(unknown) << known;
    const auto staged = driver_of(base + ", knownHosts: " + unknown)->stage(call_of(1, "r-1"), content);
    ASSERT_FALSE(staged);
    EXPECT_EQ(staged.error().code, ErrorCode::kUnprocessable);
    EXPECT_THAT(staged.error().message, HasSubstr("host key"));
    EXPECT_FALSE(fs::exists(root()));
  }
  // Told to, it takes the key of a host that it never saw, and from then on no other.
  std::ofstream(unknown).flush();
  const auto checked =
      driver_of(base + ", knownHosts: " + unknown + ", hostKeys: accept-new")->check(call_of(1, "r-1"));
  EXPECT_TRUE(checked) << checked.error().message;
  EXPECT_THAT(text_of(unknown), HasSubstr("ssh-ed25519"));
  EXPECT_TRUE(driver_of(base + ", knownHosts: " + unknown)->check(call_of(1, "r-1")));
}

TEST_F(SshDriver, AKeyThatIsNotTakenIsAnErrorThatNoRetryHelps) {
  const std::string other = (directory_.path() / "other").string();
  ASSERT_EQ(test::run_process({"/usr/bin/ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", other}).code, 0);
  const auto checked =
      driver_of("host: 127.0.0.1, port: " + std::to_string(server_.port()) + ", identityFile: " + other +
                ", knownHosts: " + server_.known_hosts() + ", config: /dev/null, share: 0, root: " + root().string())
          ->check(call_of(1, "r-1"));
  ASSERT_FALSE(checked);
  EXPECT_EQ(checked.error().code, ErrorCode::kUnprocessable);
  EXPECT_THAT(checked.error().message, HasSubstr("Permission denied"));
}

TEST(SshDriverAlone, NothingOfOursStandsOnTheCommandLineOrComesBackInAnError) {
  test::TempDirectory directory;
  const std::string log = (directory.path() / "log").string();
  // A machine that tells all that it hears.
  SshServer server("", "printf '%s' \"$SSH_ORIGINAL_COMMAND\" >" + log + "; head -c 4000 >&2; exit 9");
  const auto staged = driver_of(server.spec() + ", root: /srv/secret-place")
                          ->stage(call_of(1, "r-1"), content_of(1, {{"a", {"hunter2-very-secret", 0644}}}));
  ASSERT_FALSE(staged);
  EXPECT_THAT(staged.error().message, Not(HasSubstr("hunter2")));
  EXPECT_EQ(text_of(log), ssh::kBootstrap);
}

TEST(SshDriverAlone, TheRemoteScriptIsWellFormed) {
  test::TempDirectory directory;
  const std::string path = (directory.path() / "script").string();
  std::ofstream(path) << "mark='' op='' layout='' versions='' root='' label='' point='' token='' serial='' keep='' "
                         "wait='' digest='' fill='' built=''\n"
                      << ssh::remote_functions()
                      << ssh::call_text(1, {{"op", "stage"}}, "mkdir \"$built\"\n", "sync \"$@\"\n");
  EXPECT_EQ(test::run_process({"/bin/sh", "-n", path}).code, 0);
  const auto linted =
      test::run_process({"/usr/bin/shellcheck", "-s", "sh", "-e", "SC2015,SC2030,SC2031,SC2034,SC2209,SC2317", path});
  EXPECT_EQ(linted.code, 0) << linted.out;
}

TEST(SshDriverAlone, ACallThatDoesNotArriveWholeDoesNothing) {
  test::TempDirectory directory;
  const std::string root = (directory.path() / "root").string(), script = (directory.path() / "script").string();
  const std::string functions = "mark=m\n" + std::string(ssh::remote_functions());
  const std::string call = ssh::call_text(1,
                                          {{"op", "stage"},
                                           {"layout", "directory"},
                                           {"versions", "revisions"},
                                           {"root", root},
                                           {"label", "1-x"},
                                           {"token", "1"},
                                           {"serial", "1"},
                                           {"wait", "5"},
                                           {"digest", "x"},
                                           {"fill", "now"},
                                           {"built", "revisions/.st8.building"}},
                                          "mkdir \"$built\"\nprintf 'x' >\"$built\"/'a'\n", "sync \"$@\"\n");
  const auto run = [&](const std::string& text) {
    std::ofstream(script) << functions << text;
    return test::run_process({"/bin/sh", script});
  };
  for (std::size_t length = 0; length + 2 <= call.size(); length += 1 + length % 7) {
    (void)run(call.substr(0, length));
    ASSERT_FALSE(fs::exists(root)) << call.substr(0, length);
  }
  EXPECT_THAT(run(call).out, HasSubstr("m 1 ok"));
  EXPECT_EQ(text_of(root + "/revisions/1-x/a"), "x");
}

TEST(SshDriverAlone, ItsSpecIsReadStrictly) {
  for (const auto& [spec, problem] :
       std::map<std::string, std::string>{{"{root: /x}", "host"},
                                          {"{host: h}", "root"},
                                          {"{host: \"-oProxyCommand=x\", root: /x}", "must be a host"},
                                          {"{host: \"a b\", root: /x}", "must be a host"},
                                          {"{host: h, user: \"-l\", root: /x}", "must be a user"},
                                          {"{host: h, root: x}", "absolute"},
                                          {"{host: h, root: /}", "root of the machine"},
                                          {"{host: h, root: /a/../b}", "plain path"},
                                          {"{host: h, root: /x, port: 70000}", "port"},
                                          {"{host: h, root: /x, mode: both}", "mode"},
                                          {"{host: h, root: /x, identityFile: key}", "absolute"},
                                          {"{host: h, root: /x, knownHosts: \"/a %h\"}", "letters"},
                                          {"{host: h, root: /x, hostKeys: \"no\"}", "strict"},
                                          {"{host: h, root: /x, knownHost: /a}", "knownHosts"}}) {
    EXPECT_THAT(problems_of(spec), HasSubstr(problem)) << spec;
  }
  EXPECT_EQ(problems_of("{host: web-1.example, user: deploy, port: 2222, root: \"/srv/my app\", keep: 3, knownHosts: "
                        "/etc/st8/known_hosts, connectTimeout: 5s, share: 2m}"),
            "");
}

}  // namespace
}  // namespace st8::target::conformance
