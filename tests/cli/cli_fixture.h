// st8ctl as a person runs it: the program itself, against a real st8d or over a directory with --local, in a home of its own.
#pragma once

#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <iterator>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "support/daemon.h"
#include "support/eventually.h"
#include "support/process.h"
#include "support/temp_directory.h"

namespace st8::test {

enum class Mode { kServer, kLocal };

inline std::string mode_name(const testing::TestParamInfo<Mode>& info) {
  return info.param == Mode::kServer ? "Server" : "Local";
}

inline void PrintTo(Mode mode, std::ostream* out) { *out << (mode == Mode::kServer ? "Server" : "Local"); }

inline void write_file(const std::filesystem::path& path, std::string_view content) {
  std::filesystem::create_directories(path.parent_path());
  std::ofstream stream(path, std::ios::binary);
  stream.write(content.data(), static_cast<std::streamsize>(content.size()));
}

inline std::string read_file(const std::filesystem::path& path) {
  std::ifstream stream(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>()};
}

class Cli {
 public:
  explicit Cli(Mode mode, std::vector<std::string> daemon_flags = {}) : mode_(mode) {
    std::filesystem::create_directories(home());
    std::filesystem::create_directories(work());
    if (mode != Mode::kServer) return;
    daemon_flags_ = std::move(daemon_flags);
    daemon_ = std::make_unique<Daemon>(DaemonOptions{state_dir(), daemon_flags_});
    EXPECT_TRUE(daemon_->wait_ready()) << daemon_->log();
  }

  std::filesystem::path home() const { return directory_.path() / "home"; }
  std::filesystem::path work() const { return directory_.path() / "work"; }  // Where st8ctl is run.
  std::string state_dir() const { return (directory_.path() / "state").string(); }
  Daemon& daemon() { return *daemon_; }
  // Kills the daemon and starts another over the same state, at the same address.
  void restart() {
    std::vector<std::string> flags = daemon_flags_;
    flags.insert(flags.end(), {"--listen", "127.0.0.1:" + std::to_string(daemon_->port())});
    daemon_->kill();
    daemon_ = std::make_unique<Daemon>(DaemonOptions{state_dir(), std::move(flags)});
    EXPECT_TRUE(daemon_->wait_ready()) << daemon_->log();
  }
  bool has_daemon() const { return daemon_ != nullptr; }
  std::string url() const { return daemon_ != nullptr ? daemon_->url() : std::string(); }
  void file(const std::string& name, std::string_view content) const { write_file(work() / name, content); }

  // With no server named.
  RunResult bare(std::vector<std::string> words, RunOptions options = {}) const {
    words.insert(words.begin(), ST8_BIN_DIR "/st8ctl");
    options.directory = work().string();
    options.environment.emplace("HOME", home().string());
    options.environment.emplace("TERM", "xterm");
    return run_process(std::move(words), options);
  }
  RunResult run(std::vector<std::string> words, RunOptions options = {}) const {
    if (mode_ == Mode::kServer) {
      options.environment.emplace("ST8CTL_SERVER", daemon_->url());
    } else {
      options.environment.emplace("ST8CTL_LOCAL", "1");
      options.environment.emplace("ST8CTL_STATE_DIR", state_dir());
    }
    return bare(std::move(words), std::move(options));
  }
  // Runs what must work; its standard output.
  std::string ok(std::vector<std::string> words, RunOptions options = {}) const {
    std::string shown;
    for (const std::string& word : words) shown += " " + word;
    const RunResult result = run(std::move(words), std::move(options));
    EXPECT_EQ(result.code, 0) << "st8ctl" << shown << "\n" << result.out << result.err;
    return result.out;
  }

 private:
  Mode mode_;
  TempDirectory directory_;
  std::vector<std::string> daemon_flags_;
  std::unique_ptr<Daemon> daemon_;
};

inline RunOptions with_input(std::string input) {
  RunOptions options;
  options.input = std::move(input);
  return options;
}

inline RunOptions with_environment(std::map<std::string, std::string> environment) {
  RunOptions options;
  options.environment = std::move(environment);
  return options;
}

inline RunOptions at_terminal() {
  RunOptions options;
  options.terminal = true;
  return options;
}

}  // namespace st8::test
