// A real st8d on a loopback port that the system picks, started and ended by the test.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <sys/types.h>
#include <utility>
#include <vector>

namespace st8::test {

struct DaemonOptions {
  std::string state_dir;
  std::vector<std::string> arguments{};    // Beside --listen (unless it is among them), --state-dir and --ready-file.
  std::vector<std::string> environment{};  // "NAME=value", beside ours.
};

class Daemon {
 public:
  // Starts; wait_ready() tells when it answers. Its output goes to `<state_dir>.log`.
  explicit Daemon(DaemonOptions options);
  ~Daemon();  // SIGKILL, if it still runs.
  Daemon(const Daemon&) = delete;
  Daemon& operator=(const Daemon&) = delete;

  // False when it ended, or did not answer within the time.
  bool wait_ready(int seconds = 30);
  std::uint16_t port() const { return port_; }
  const std::string& url() const { return url_; }  // "http://127.0.0.1:41234", or https; empty until ready.
  pid_t pid() const { return pid_; }
  std::string log() const;

  void send_signal(int number) const;
  // Waits for its end. The exit status as a shell has it (128 + n for signal n); nullopt when it did not end in time.
  std::optional<int> wait_end(int seconds = 60);
  // SIGKILL and wait.
  void kill();

 private:
  DaemonOptions options_;
  std::string ready_file_;
  pid_t pid_ = -1;
  std::uint16_t port_ = 0;
  std::string url_;
};

}  // namespace st8::test
