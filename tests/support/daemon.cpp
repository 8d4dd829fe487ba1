#include "support/daemon.h"

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <spawn.h>
#include <sstream>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

extern char** environ;

namespace st8::test {

Daemon::Daemon(DaemonOptions options) : options_(std::move(options)), ready_file_(options_.state_dir + ".ready") {
  std::filesystem::remove(ready_file_);
  std::vector<std::string> words = {std::string(ST8_BIN_DIR) + "/st8d", "--state-dir", options_.state_dir,
                                    "--ready-file", ready_file_};
  if (std::find(options_.arguments.begin(), options_.arguments.end(), "--log-format") == options_.arguments.end()) {
    words.insert(words.end(), {"--log-format", "none"});
  }
  if (std::find(options_.arguments.begin(), options_.arguments.end(), "--listen") == options_.arguments.end()) {
    words.insert(words.end(), {"--listen", "127.0.0.1:0"});
  }
  words.insert(words.end(), options_.arguments.begin(), options_.arguments.end());
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  std::vector<char*> environment;
  for (char** variable = environ; *variable != nullptr; ++variable) environment.push_back(*variable);
  for (std::string& variable : options_.environment) environment.push_back(variable.data());
  environment.push_back(nullptr);
  const std::string log_file = options_.state_dir + ".log";
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, log_file.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
  ::posix_spawn_file_actions_adddup2(&actions, STDOUT_FILENO, STDERR_FILENO);
  if (::posix_spawn(&pid_, arguments[0], &actions, nullptr, arguments.data(), environment.data()) != 0) pid_ = -1;
  ::posix_spawn_file_actions_destroy(&actions);
}

Daemon::~Daemon() { kill(); }

bool Daemon::wait_ready(int seconds) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(seconds);
  while (pid_ > 0 && std::chrono::steady_clock::now() < deadline) {
    std::ifstream in(ready_file_);
    std::string url;
    if (std::getline(in, url) && !in.eof()) {
      url_ = url;
      port_ = static_cast<std::uint16_t>(std::stoi(url.substr(url.rfind(':') + 1)));
      return true;
    }
    siginfo_t info{};
    if (::waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == pid_)
      return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return false;
}

std::string Daemon::log() const {
  std::ifstream in(options_.state_dir + ".log");
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

void Daemon::send_signal(int number) const {
  if (pid_ > 0) ::kill(pid_, number);
}

std::optional<int> Daemon::wait_end(int seconds) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(seconds);
  while (pid_ > 0 && std::chrono::steady_clock::now() < deadline) {
    int status = 0;
    if (::waitpid(pid_, &status, WNOHANG) == pid_) {
      pid_ = -1;
      return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return std::nullopt;
}

void Daemon::kill() {
  if (pid_ <= 0) return;
  ::kill(pid_, SIGKILL);
  int status = 0;
  ::waitpid(pid_, &status, 0);
  pid_ = -1;
}

}  // namespace st8::test
