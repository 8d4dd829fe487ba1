// st8d as a process: its settings from every source, what it refuses to start with and how it says so, signals, and the
// directories and ports that it shares with nobody.
#include <atomic>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <sstream>
#include <string>
#include <sys/stat.h>
#include <thread>
#include <unistd.h>
#include <vector>

#include "st8/state/error_code.h"
#include "support/daemon.h"
#include "support/eventually.h"
#include "support/raw_client.h"
#include "support/run_program.h"
#include "support/temp_directory.h"

namespace st8::daemon {
namespace {

namespace fs = std::filesystem;
using test::Daemon;
using test::eventually;
using test::ProgramEnd;
using test::RawClient;
using test::TempDirectory;

int exit_code_of(ErrorCode code) { return traits_of(code).exit_code; }

void write_file(const fs::path& path, const std::string& text) { std::ofstream(path) << text; }

std::string read_file(const fs::path& path) {
  std::ifstream in(path);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

class St8d : public ::testing::Test {
 protected:
  std::string state() const { return (directory.path() / "state").string(); }
  std::string file(const std::string& name) const { return (directory.path() / name).string(); }
  // Runs st8d to its end; for starts that must fail and for commands.
  ProgramEnd run(std::vector<std::string> arguments, const std::vector<std::string>& environment = {}) const {
    arguments.insert(arguments.begin(), std::string(ST8_BIN_DIR) + "/st8d");
    return test::run_program(arguments, environment);
  }
  // The status of GET `target` from a fresh connection, with a token when one is given; -1 without an answer.
  static int get(std::uint16_t port, const std::string& target, const std::string& token = {}) {
    RawClient client(port);
    const std::string authorization = token.empty() ? "" : "Authorization: Bearer " + token + "\r\n";
    client.send("GET " + target + " HTTP/1.1\r\nHost: a\r\nConnection: close\r\n" + authorization + "\r\n");
    const auto response = client.response();
    return response ? response->status : -1;
  }
  static int apply(RawClient& client, const std::string& key, const std::string& content) {
    const auto response = client.post(
        "/v1/apply", "{\"documents\":[{\"key\":\"" + key + "\",\"content\":\"" + content + "\"}],\"message\":\"m\"}");
    return response ? response->status : -1;
  }

  TempDirectory directory;
};

TEST_F(St8d, ServesDrainsAtSigtermAndKeepsWhatItAcknowledged) {
  {
    Daemon daemon({.state_dir = state()});
    ASSERT_TRUE(daemon.wait_ready()) << daemon.log();
    EXPECT_NE(daemon.log().find("listening on http://127.0.0.1:"), std::string::npos);
    EXPECT_EQ(get(daemon.port(), "/readyz"), 200);
    RawClient client(daemon.port());
    EXPECT_EQ(apply(client, "app/a", "kept"), 200);
    daemon.send_signal(SIGTERM);
    EXPECT_EQ(daemon.wait_end(), 0) << daemon.log();
  }
  Daemon again({.state_dir = state()});
  ASSERT_TRUE(again.wait_ready()) << again.log();
  EXPECT_EQ(RawClient(again.port()).get("/v1/documents/app/a")->body, "kept");
  again.send_signal(SIGINT);
  EXPECT_EQ(again.wait_end(), 0);
}

TEST_F(St8d, DrainsUnderLoadWithoutLosingAnAcknowledgedWrite) {
  constexpr int kWriters = 16;
  std::vector<std::vector<int>> acknowledged(kWriters);
  std::atomic<int> total{0};
  {
    Daemon daemon({.state_dir = state()});
    ASSERT_TRUE(daemon.wait_ready()) << daemon.log();
    std::vector<std::thread> writers;
    std::atomic<int> torn{0};
    for (int w = 0; w < kWriters; ++w) {
      writers.emplace_back([&, w] {
        RawClient client(daemon.port());
        for (int i = 0; i < 100'000; ++i) {
          const std::string content = std::to_string(w) + "-" + std::to_string(i);
          const std::string body = "{\"documents\":[{\"key\":\"k/" + content + "\",\"content\":\"" + content + "\"}]}";
          if (!client.send("POST /v1/apply HTTP/1.1\r\nHost: a\r\nContent-Length: " + std::to_string(body.size()) +
                           "\r\n\r\n" + body))
            return;
          const auto first = client.receive();
          if (!first || first->empty()) return;  // Closed between requests: not acknowledged, and the client knows.
          if (!first->starts_with("HTTP/1.1 200") || first->find("\r\n\r\n") == std::string::npos) {
            ++torn;
            return;
          }
          acknowledged[static_cast<std::size_t>(w)].push_back(i);
          ++total;
          if (first->find("Connection: close") != std::string::npos) return;
        }
      });
    }
    ASSERT_TRUE(eventually([&] { return total > 200; }));
    daemon.send_signal(SIGTERM);
    EXPECT_EQ(daemon.wait_end(), 0) << daemon.log();
    for (std::thread& writer : writers) writer.join();
    EXPECT_EQ(torn, 0) << "an answer was cut or an error";
  }
  Daemon again({.state_dir = state()});
  ASSERT_TRUE(again.wait_ready()) << again.log();
  RawClient client(again.port());
  for (std::size_t w = 0; w < kWriters; ++w) {
    for (const int i : acknowledged[w]) {
      const std::string content = std::to_string(w) + "-" + std::to_string(i);
      ASSERT_EQ(client.get("/v1/documents/k/" + content)->body, content);
    }
  }
}

TEST_F(St8d, ASecondSignalEndsTheWait) {
  Daemon daemon({.state_dir = state(), .arguments = {"--read-timeout", "0", "--log-format", "text"}});
  ASSERT_TRUE(daemon.wait_ready()) << daemon.log();
  RawClient half(daemon.port());
  half.send("POST /v1/apply HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n{");
  // One request is under way for as long as the client likes.
  ASSERT_TRUE(eventually([&] {
    return RawClient(daemon.port()).get("/metrics")->body.find("\nst8_http_connections_open 2\n") != std::string::npos;
  }));
  daemon.send_signal(SIGTERM);
  ASSERT_TRUE(eventually([&] { return daemon.log().find("draining") != std::string::npos; }));
  EXPECT_EQ(::kill(daemon.pid(), 0), 0) << "it waits for the request";
  daemon.send_signal(SIGTERM);
  EXPECT_EQ(daemon.wait_end(), 128 + SIGTERM);
}

TEST_F(St8d, ReadsTokensAgainAtSighupAndKeepsTheOldOnesWhenTheNewAreBad) {
  const auto tokens = [](const std::string& token) {
    return "tokens:\n  - name: reader\n    token: " + token +
           "\n    allow: {namespaces: [\"*\"], branches: [\"*\"], verbs: [read]}\n";
  };
  const std::string first = "first-token-0123456789abcdef0123456789";
  const std::string second = "second-token-0123456789abcdef012345678";
  write_file(file("auth.yaml"), tokens(first));
  Daemon daemon({.state_dir = state(), .arguments = {"--auth-config", file("auth.yaml"), "--log-format", "json"}});
  ASSERT_TRUE(daemon.wait_ready()) << daemon.log();
  EXPECT_EQ(get(daemon.port(), "/v1/branches"), 401);
  EXPECT_EQ(get(daemon.port(), "/v1/branches", first), 200);
  write_file(file("auth.yaml"), tokens(second));
  daemon.send_signal(SIGHUP);
  ASSERT_TRUE(eventually([&] { return get(daemon.port(), "/v1/branches", second) == 200; }));
  EXPECT_EQ(get(daemon.port(), "/v1/branches", first), 401);
  write_file(file("auth.yaml"), "tokens: [{nonsense: 1}]\n");
  daemon.send_signal(SIGHUP);
  ASSERT_TRUE(eventually([&] { return daemon.log().find("the tokens stay as they were") != std::string::npos; }));
  EXPECT_EQ(get(daemon.port(), "/v1/branches", second), 200);
  EXPECT_EQ(daemon.log().find(second), std::string::npos) << "a token is never logged";
}

TEST_F(St8d, WritesOneLogLineARequest) {
  Daemon daemon({.state_dir = state(), .arguments = {"--log-format", "json"}});
  ASSERT_TRUE(daemon.wait_ready()) << daemon.log();
  RawClient client(daemon.port());
  client.send("GET /v1/documents/a%22b?namespace=secret-query HTTP/1.1\r\nHost: a\r\nX-Request-Id: find-me\r\n\r\n");
  ASSERT_TRUE(client.response());
  ASSERT_TRUE(eventually([&] { return daemon.log().find("find-me") != std::string::npos; }));
  std::stringstream lines(daemon.log());
  std::string line;
  int found = 0;
  while (std::getline(lines, line)) {
    if (line.find("\"id\":\"find-me\"") == std::string::npos) continue;
    ++found;
    for (const std::string_view part : {"\"time\":\"", "\"method\":\"GET\"", "\"route\":\"/v1/documents/{key...}\"",
                                        "\"path\":\"/v1/documents/a\\\"b\"", "\"status\":404", "\"bytes\":",
                                        "\"duration_ms\":", "\"remote\":\"127.0.0.1:", "\"principal\":\"anonymous\""}) {
      EXPECT_NE(line.find(part), std::string::npos) << part << " is not in " << line;
    }
    EXPECT_EQ(line.find("secret-query"), std::string::npos) << "queries are not logged";
  }
  EXPECT_EQ(found, 1);
}

// The largest of 1, 2, 3, ... MiB that the daemon takes as a body, asked before the body is sent.
int largest_body_mib(std::uint16_t port) {
  int largest = 0;
  for (int mib = 1; mib <= 20; ++mib) {
    RawClient client(port);
    client.send("PUT /v1/documents/a HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: " +
                std::to_string(mib << 20) + "\r\n\r\n");
    const auto response = client.response();
    if (response && response->status == 100) largest = mib;
  }
  return largest;
}

TEST_F(St8d, TakesSettingsFromFlagBeforeEnvironmentBeforeFile) {
  write_file(file("st8d.yaml"), "# limits\nmax_body: 2MiB\nidle_timeout: 1m30s\nallow_anonymous: true\n");
  const std::string in_environment = "ST8D_MAX_BODY=3MiB";
  const std::string file_in_environment = "ST8D_CONFIG=" + file("st8d.yaml");
  const struct {
    std::vector<std::string> arguments, environment;
    int mib;
  } cases[] = {
      {{}, {}, 20},
      {{"--config", file("st8d.yaml")}, {}, 2},
      {{}, {file_in_environment}, 2},
      {{"--config", file("st8d.yaml")}, {in_environment}, 3},
      {{"--config", file("st8d.yaml"), "--max-body", "4MiB"}, {in_environment}, 4},
      {{"--max-body", "4MiB", "--max-body", "5MiB"}, {"ST8D_MAX_BODY="}, 5},
  };
  for (const auto& c : cases) {
    Daemon daemon({.state_dir = state(), .arguments = c.arguments, .environment = c.environment});
    ASSERT_TRUE(daemon.wait_ready()) << daemon.log();
    EXPECT_EQ(largest_body_mib(daemon.port()), c.mib);
  }
}

TEST_F(St8d, RefusesBadSettingsAndNamesTheirPlace) {
  const struct {
    std::vector<std::string> arguments, environment;
    std::string config;
    std::vector<std::string> says;
  } cases[] = {
      {{"--listen", "nonsense"}, {}, "", {"--listen", "HOST:PORT", "nonsense"}},
      {{"--listen", "127.0.0.1:99999"}, {}, "", {"99999"}},
      {{"--read-timeout", "30"}, {}, "", {"--read-timeout", "30s"}},
      {{"--read-timeout", "-1s"}, {}, "", {"--read-timeout"}},
      {{"--max-body", "1GB"}, {}, "", {"--max-body", "20MiB"}},
      {{"--workers", "0"}, {}, "", {"--workers"}},
      {{"--log-format", "xml"}, {}, "", {"json, text or none"}},
      {{"--lisen", ":1"}, {}, "", {"--lisen", "did you mean --listen?"}},
      {{"bakup"}, {}, "", {"bakup"}},
      {{"--tls-cert", "a.pem"}, {}, "", {"--tls-key"}},
      {{"--tls-client-ca", "a.pem"}, {}, "", {"--tls-client-ca"}},
      {{}, {"ST8D_WRITE_TIMEOUT=soon"}, "", {"ST8D_WRITE_TIMEOUT", "soon"}},
      {{}, {}, "listen: 127.0.0.1:0\n\nlisten_adress: x\n", {"st8d.yaml", "line 3", "listen_adress"}},
      {{}, {}, "read_timout: 3s\n", {"line 1", "did you mean", "read_timeout"}},
      {{}, {}, "workers: 8\nmax_body: 1MiB\nworkers: 9\n", {"line 3", "twice"}},
      {{}, {}, "workers: [8]\n", {"line 1", "one value"}},
      {{}, {}, "workers: 8\nidle_timeout: never\n", {"line 2", "idle_timeout", "never"}},
      {{}, {}, "workers: 8\n  idle: {\n", {"line"}},
      {{}, {}, "- a\n- b\n", {"line 1"}},
      {{"--config", "/nonexistent/st8d.yaml"}, {}, "", {"/nonexistent/st8d.yaml"}},
  };
  for (const auto& c : cases) {
    std::vector<std::string> arguments = {"--state-dir", state(), "--allow-anonymous"};
    if (!c.config.empty()) {
      write_file(file("st8d.yaml"), c.config);
      arguments.insert(arguments.end(), {"--config", file("st8d.yaml")});
    }
    arguments.insert(arguments.end(), c.arguments.begin(), c.arguments.end());
    const ProgramEnd end = run(arguments, c.environment);
    const bool missing = c.says.front().starts_with("/nonexistent");
    EXPECT_EQ(end.exit_code, exit_code_of(missing ? ErrorCode::kNotFound : ErrorCode::kInvalidArgument)) << end.output;
    for (const std::string& part : c.says)
      EXPECT_NE(end.output.find(part), std::string::npos) << part << " is not in: " << end.output;
    EXPECT_FALSE(fs::exists(state())) << "nothing is made by a start that is refused: " << end.output;
  }
}

TEST_F(St8d, ServesWithoutATokenOnlyOnThisMachineUnlessToldSo) {
  for (const std::string address : {":0", "0.0.0.0:0", "[::]:0"}) {
    const ProgramEnd refused = run({"--listen", address, "--state-dir", state()});
    EXPECT_EQ(refused.exit_code, exit_code_of(ErrorCode::kInvalidArgument)) << address;
    EXPECT_NE(refused.output.find("no token"), std::string::npos) << refused.output;
    EXPECT_NE(refused.output.find("--allow-anonymous"), std::string::npos) << refused.output;
  }
  const std::vector<std::string> open[] = {{"--allow-anonymous"},
                                           {"--token", "token-0123456789abcdef0123456789abcdef"}};
  for (const auto& arguments : open) {
    std::vector<std::string> all = {"--listen", ":0"};
    all.insert(all.end(), arguments.begin(), arguments.end());
    Daemon daemon({.state_dir = state(), .arguments = all});
    ASSERT_TRUE(daemon.wait_ready()) << daemon.log();
    EXPECT_EQ(get(daemon.port(), "/v1/branches"), arguments.size() == 1 ? 200 : 401);
  }
}

TEST_F(St8d, SharesNeitherPortNorDirectory) {
  Daemon daemon({.state_dir = state()});
  ASSERT_TRUE(daemon.wait_ready()) << daemon.log();
  const ProgramEnd same_port =
      run({"--listen", "127.0.0.1:" + std::to_string(daemon.port()), "--state-dir", file("other")});
  EXPECT_EQ(same_port.exit_code, exit_code_of(ErrorCode::kUnavailable)) << same_port.output;
  EXPECT_NE(same_port.output.find("another process listens there"), std::string::npos) << same_port.output;
  const ProgramEnd same_directory = run({"--listen", "127.0.0.1:0", "--state-dir", state()});
  EXPECT_EQ(same_directory.exit_code, exit_code_of(ErrorCode::kUnavailable)) << same_directory.output;
  EXPECT_NE(same_directory.output.find("held by process " + std::to_string(daemon.pid())), std::string::npos)
      << same_directory.output;
  const ProgramEnd fsck = run({"--state-dir", state(), "fsck"});
  EXPECT_EQ(fsck.exit_code, exit_code_of(ErrorCode::kUnavailable)) << fsck.output;
  EXPECT_EQ(get(daemon.port(), "/readyz"), 200) << "the one that serves has noticed nothing";
}

TEST_F(St8d, SaysWhyADirectoryWillNotDo) {
  write_file(file("a-file"), "x");
  const ProgramEnd not_a_directory = run({"--listen", "127.0.0.1:0", "--state-dir", file("a-file")});
  EXPECT_EQ(not_a_directory.exit_code, exit_code_of(ErrorCode::kInvalidArgument)) << not_a_directory.output;
  EXPECT_NE(not_a_directory.output.find("a-file"), std::string::npos) << not_a_directory.output;
  if (::geteuid() != 0) {
    // Root may write anywhere; there is nothing to refuse.
    fs::create_directory(file("read-only"));
    ::chmod(file("read-only").c_str(), 0500);
    const ProgramEnd read_only = run({"--listen", "127.0.0.1:0", "--state-dir", file("read-only")});
    EXPECT_EQ(read_only.exit_code, exit_code_of(ErrorCode::kUnavailable)) << read_only.output;
  }
  const ProgramEnd nowhere = run({"--listen", "127.0.0.1:0", "--state-dir", "/proc/st8d-cannot-be-here"});
  EXPECT_EQ(nowhere.exit_code, exit_code_of(ErrorCode::kUnavailable)) << nowhere.output;
}

TEST_F(St8d, BacksUpProvesAndRestoresWhatIsNotServed) {
  {
    Daemon daemon({.state_dir = state()});
    ASSERT_TRUE(daemon.wait_ready()) << daemon.log();
    RawClient client(daemon.port());
    for (int i = 0; i < 20; ++i) ASSERT_EQ(apply(client, "k" + std::to_string(i), "v" + std::to_string(i)), 200);
    daemon.send_signal(SIGTERM);
    ASSERT_EQ(daemon.wait_end(), 0) << daemon.log();
  }
  const ProgramEnd fsck = run({"fsck", "--state-dir", state()});
  EXPECT_EQ(fsck.exit_code, 0) << fsck.output;
  EXPECT_NE(fsck.output.find("clean"), std::string::npos) << fsck.output;
  const ProgramEnd backup = run({"backup", file("copy"), "--state-dir", state()});
  EXPECT_EQ(backup.exit_code, 0) << backup.output;
  EXPECT_EQ(run({"backup", file("copy"), "--state-dir", state()}).exit_code, exit_code_of(ErrorCode::kConflict))
      << "an older backup is kept";
  EXPECT_EQ(run({"restore", file("copy"), "--state-dir", state()}).exit_code, exit_code_of(ErrorCode::kConflict))
      << "a store is kept";

  std::string damaged = read_file(file("copy"));
  damaged[damaged.size() / 2] = static_cast<char>(damaged[damaged.size() / 2] ^ 1);
  write_file(file("damaged"), damaged);
  const ProgramEnd refused = run({"restore", file("damaged"), "--state-dir", file("restored")});
  EXPECT_EQ(refused.exit_code, exit_code_of(ErrorCode::kCorrupt)) << refused.output;
  EXPECT_FALSE(fs::exists(file("restored"))) << "what is not proved is not left behind";

  const ProgramEnd restore = run({"restore", file("copy"), "--state-dir", file("restored")});
  EXPECT_EQ(restore.exit_code, 0) << restore.output;
  Daemon again({.state_dir = file("restored")});
  ASSERT_TRUE(again.wait_ready()) << again.log();
  EXPECT_EQ(RawClient(again.port()).get("/v1/documents/k7")->body, "v7");
  EXPECT_EQ(run({"fsck", "--state-dir", file("nowhere")}).exit_code, exit_code_of(ErrorCode::kNotFound));
}

TEST_F(St8d, TellsItsVersionAndSettings) {
  const ProgramEnd version = run({"version"});
  EXPECT_EQ(version.exit_code, 0);
  EXPECT_TRUE(version.output.starts_with("st8d ")) << version.output;
  const ProgramEnd help = run({"--help"});
  EXPECT_EQ(help.exit_code, 0);
  for (const std::string_view flag :
       {"--listen",        "--state-dir",     "--token",      "--auth-config", "--read-timeout",
        "--write-timeout", "--idle-timeout",  "--tls-cert",   "--tls-key",     "--tls-client-ca",
        "--max-body",      "--workers",       "--log-format", "--config",      "--allow-anonymous",
        "--ready-file",    "--drain-timeout", "fsck",         "backup",        "restore",
        "token",           "version",         "serve"}) {
    EXPECT_NE(help.output.find(flag), std::string::npos) << flag;
  }
  // The manual knows every flag that the program knows.
  const std::string manual = read_file(fs::path(ST8_SOURCE_DIR) / "docs/operating.md");
  int flags = 0;
  for (std::size_t at = help.output.find("  --"); at != std::string::npos; at = help.output.find("  --", at + 1)) {
    const std::string flag = help.output.substr(at + 2, help.output.find_first_of(" \n", at + 2) - at - 2);
    if (flag == "--version") continue;
    ++flags;
    EXPECT_NE(manual.find("`" + flag + "`"), std::string::npos) << flag << " is not in docs/operating.md";
  }
  EXPECT_GE(flags, 17);
}

}  // namespace
}  // namespace st8::daemon
