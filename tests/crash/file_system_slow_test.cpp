// A real file system under the real st8d: cut off under load as by a power cut, and full.
#include <fstream>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "crash/daemon_crash.h"
#include "st8/state/error_code.h"
#include "support/eventually.h"
#include "support/loop_mount.h"
#include "support/seed.h"

namespace st8::test {
namespace {

using Json = nlohmann::json;
using testing::HasSubstr;

TEST(FileSystem, Ext4CutOffUnderLoadLosesNothingAcknowledged) {
  LoopMount disk(512);
  if (!disk.problem().empty()) GTEST_SKIP() << disk.problem();
  const std::uint64_t seed = first_seed(2027);
  constexpr int kRounds = 15;
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 random(seed);
  CrashHarness harness(disk.path() + "/state");
  for (int round = 0; round < kRounds && !testing::Test::HasFailure(); ++round) {
    SCOPED_TRACE("round " + std::to_string(round));
    ASSERT_TRUE(harness.start()) << harness.daemon().log();
    if (round > 0) harness.check_recovered();
    std::atomic<bool> stop{false};
    std::thread cutter = at_an_instant(random, 20'000, 420'000, [&] { disk.cut_off(); });
    harness.write_until(stop);
    cutter.join();
    harness.daemon().kill();
    disk.unmount();
    disk.mount();
    ASSERT_TRUE(disk.problem().empty()) << disk.problem();
    harness.check_fsck();
  }
  EXPECT_GT(harness.acknowledgements(), static_cast<std::uint64_t>(kRounds))
      << "too little was written to prove anything";
  harness.daemon().kill();
}

class FullDisk : public testing::Test {
 protected:
  FullDisk() : disk(160) {}
  void SetUp() override {
    if (!disk.problem().empty()) GTEST_SKIP() << disk.problem();
    start();
  }
  void TearDown() override { daemon.reset(); }
  void start() {
    daemon = std::make_unique<Daemon>(DaemonOptions{disk.path() + "/state", {}, {}});
    ASSERT_TRUE(daemon->wait_ready()) << daemon->log();
  }
  httplib::Result put(const std::string& key, const std::string& content) {
    httplib::Client client("127.0.0.1", daemon->port());
    client.set_read_timeout(60, 0);
    return client.Put("/v1/documents/" + key, content, "application/octet-stream");
  }
  httplib::Result get(const std::string& target) {
    httplib::Client client("127.0.0.1", daemon->port());
    client.set_read_timeout(60, 0);
    return client.Get(target);
  }
  static std::string noise(std::size_t bytes, std::uint64_t seed) {
    std::mt19937_64 random(seed);
    std::string text(bytes, '\0');
    for (char& c : text) c = static_cast<char>(random());
    return text;
  }

  LoopMount disk;
  std::unique_ptr<Daemon> daemon;
};

TEST_F(FullDisk, RefusesClearlyKeepsReadingAndGoesOnWhenThereIsRoomAgain) {
  // What somebody else fills the disk with.
  const std::string ballast = disk.path() + "/ballast";
  ASSERT_EQ(put("first", "good")->status, 201);
  std::vector<std::uint64_t> written;
  int refused = 0;
  for (std::uint64_t i = 0; i < 200; ++i) {
    if (i == 4) {
      std::ofstream out(ballast, std::ios::binary);
      const std::string chunk(1u << 20, 'x');
      for (int m = 0; m < 60; ++m) out << chunk;
    }
    const auto answer = put("big/" + std::to_string(i), noise(2u << 20, i));
    ASSERT_TRUE(answer) << "no answer; " << daemon->log();
    if (answer->status == 201) {
      written.push_back(i);
      continue;
    }
    EXPECT_EQ(answer->status, 503) << answer->body;
    const Json problem = Json::parse(answer->body);
    ASSERT_TRUE(problem.contains("detail") && problem.contains("hint")) << answer->body;
    EXPECT_THAT(problem["detail"].get<std::string>(), testing::AnyOf(HasSubstr("disk"), HasSubstr("space")))
        << answer->body;
    EXPECT_FALSE(problem["hint"].get<std::string>().empty());
    if (++refused == 3) break;
  }
  ASSERT_EQ(refused, 3) << "the disk never filled";
  ASSERT_GE(written.size(), 4u);
  const auto whole = [&] {
    for (const std::uint64_t i : written) {
      const auto answer = get("/v1/documents/big/" + std::to_string(i));
      ASSERT_TRUE(answer);
      ASSERT_EQ(answer->status, 200) << i << ": " << answer->body;
      ASSERT_TRUE(answer->body == noise(2u << 20, i)) << i;
    }
    EXPECT_EQ(get("/v1/documents/first")->body, "good");
    const Json log = Json::parse(get("/v1/log?limit=1")->body);
    EXPECT_EQ(log.at("entries").at(0).at("id").get<std::uint64_t>(), written.size() + 1)
        << "a refused write left a revision";
  };
  whole();

  std::filesystem::remove(ballast);
  const std::uint64_t next = 1000;
  ASSERT_TRUE(eventually([&] { return put("big/" + std::to_string(next), noise(2u << 20, next))->status == 201; },
                         std::chrono::seconds(60)))
      << put("big/x", "x")->body << daemon->log();
  written.push_back(next);
  whole();
  daemon->send_signal(SIGTERM);
  EXPECT_EQ(daemon->wait_end(), 0) << daemon->log();
  EXPECT_EQ(run_program({ST8_BIN_DIR "/st8d", "fsck", "--state-dir", disk.path() + "/state"}).exit_code, 0);
  start();
  whole();
}

// Root may write into any directory; a file system that is mounted read-only refuses root as well.
TEST(ReadOnlyFileSystem, IsNamedAndNothingIsTouched) {
  LoopMount disk(160);
  if (!disk.problem().empty()) GTEST_SKIP() << disk.problem();
  const std::string state = disk.path() + "/state";
  {
    Daemon daemon(DaemonOptions{.state_dir = state});
    ASSERT_TRUE(daemon.wait_ready()) << daemon.log();
    ASSERT_EQ(
        httplib::Client("127.0.0.1", daemon.port()).Put("/v1/documents/a", "1", "application/octet-stream")->status,
        201);
    daemon.send_signal(SIGTERM);
    ASSERT_EQ(daemon.wait_end(), 0) << daemon.log();
  }
  disk.make_read_only();
  ASSERT_TRUE(disk.problem().empty()) << disk.problem();
  for (const std::vector<std::string>& words : std::vector<std::vector<std::string>>{
           {ST8_BIN_DIR "/st8d", "--listen", "127.0.0.1:0", "--state-dir", state},
           {ST8_BIN_DIR "/st8d", "--listen", "127.0.0.1:0", "--state-dir", disk.path() + "/new"},
           {ST8_BIN_DIR "/st8ctl", "--local", "--state-dir", state, "apply", "-v", "a=2"},
           {ST8_BIN_DIR "/st8ctl", "--local", "--state-dir", disk.path() + "/new", "apply", "-v", "a=2"}}) {
    const ProgramEnd end = run_program(words);
    const bool daemon = words.front().ends_with(
        "st8d");  // Its store may be whole again a moment later; a user's own directory will not.
    EXPECT_EQ(end.exit_code, traits_of(daemon ? ErrorCode::kUnavailable : ErrorCode::kPermissionDenied).exit_code)
        << words.back() << ": " << end.output;
    EXPECT_THAT(end.output, HasSubstr("ead-only file system")) << words.back();
    EXPECT_THAT(end.output, HasSubstr(disk.path())) << words.back();
  }
  disk.unmount();
  disk.mount();
  ASSERT_TRUE(disk.problem().empty()) << disk.problem();
  EXPECT_FALSE(std::filesystem::exists(disk.path() + "/new"));
  Daemon daemon(DaemonOptions{.state_dir = state});
  ASSERT_TRUE(daemon.wait_ready()) << daemon.log();
  EXPECT_EQ(httplib::Client("127.0.0.1", daemon.port()).Get("/v1/documents/a")->body, "1");
}

}  // namespace
}  // namespace st8::test
