// Real `st8d worker` processes.
#pragma once

#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <string>
#include <vector>

#include "support/process.h"

namespace st8::test {

class WorkerProcess {
 public:
  // Its root is `directory`/<name>, made by itself; what it says goes to `directory`/<name>.log.
  // `before` stands before the program: what puts it on a machine of its own (own_machine.h).
  WorkerProcess(std::string server, std::string name, std::filesystem::path directory,
                std::vector<std::string> more = {}, std::vector<std::string> before = {})
      : server_(std::move(server)),
        name_(std::move(name)),
        directory_(std::move(directory)),
        more_(std::move(more)),
        before_(std::move(before)) {}

  void start(const std::map<std::string, std::string>& environment = {}) {
    std::vector<std::string> words = before_;
    words.insert(words.end(),
                 {ST8_BIN_DIR "/st8d", "worker", "--server", server_, "--name", name_, "--root", root().string()});
    words.insert(words.end(), more_.begin(), more_.end());
    RunOptions options;
    options.environment = environment;
    process_ = Program(std::move(words), options, log_path(), log_path());
  }
  // Waits for its end by itself; the exit code.
  bool ended() { return !process_.running(); }
  int end(int signal) { return process_.end(signal); }
  pid_t pid() const { return process_.pid(); }

  const std::string& name() const { return name_; }
  std::filesystem::path root() const { return directory_ / name_; }
  std::string log() const {
    std::ifstream in(log_path(), std::ios::binary);
    return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
  }

 private:
  std::string log_path() const { return (directory_ / (name_ + ".log")).string(); }

  const std::string server_;
  const std::string name_;
  const std::filesystem::path directory_;
  const std::vector<std::string> more_;
  const std::vector<std::string> before_;
  Program process_;
};

}  // namespace st8::test
