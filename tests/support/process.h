// Programs as tests run them: with an environment of their own, their input given, both outputs caught, at a terminal if asked for.
#pragma once

#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <fcntl.h>
#include <map>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <string>
#include <string_view>
#include <sys/wait.h>
#include <unistd.h>
#include <utility>
#include <vector>

namespace st8::test {

struct RunOptions {
  std::map<std::string, std::string> environment;  // Nothing else but PATH is passed on.
  std::string directory;                           // Empty: the test's own.
  std::string input;                               // Standard input, closed behind it.
  std::string prompt;                              // The input is given once this has come out; empty: at once.
  bool terminal = false;                           // All three are one terminal; its output is in `out`.
  bool close_out = false;                          // Nobody reads standard output: the pipe's far end is closed.
  std::chrono::milliseconds timeout = std::chrono::seconds(60);  // Then it is killed.
};

struct RunResult {
  int code = -1;  // Exit code; -1 when a signal ended it.
  int signal = 0;
  bool timed_out = false;
  std::string out;
  std::string err;
};

namespace process_detail {

inline std::vector<std::string> environment_of(const RunOptions& options) {
  std::vector<std::string> entries;
  // Sanitizers take their options from the environment.
  for (const char* name : {"PATH", "ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS", "TSAN_OPTIONS"}) {
    if (options.environment.contains(name)) continue;
    if (const char* value = std::getenv(name)) entries.push_back(std::string(name) + "=" + value);
  }
  for (const auto& [name, value] : options.environment) entries.push_back(name + "=" + value);
  return entries;
}

inline std::vector<char*> pointers(std::vector<std::string>& texts) {
  std::vector<char*> result;
  for (std::string& text : texts) result.push_back(text.data());
  result.push_back(nullptr);
  return result;
}

// Never returns. Only calls that are safe between fork and exec.
[[noreturn]] inline void become(const RunOptions& options, char* const* words, char* const* environment) {
  if (!options.directory.empty() && ::chdir(options.directory.c_str()) != 0) ::_exit(126);
  ::signal(SIGPIPE, SIG_DFL);
  ::execve(words[0], words, environment);
  ::_exit(127);
}

}  // namespace process_detail

// Runs `words` (a full path first) to its end.
inline RunResult run_process(std::vector<std::string> words, const RunOptions& options = {}) {
  RunResult result;
  std::vector<std::string> entries = process_detail::environment_of(options);
  const std::vector<char*> environment = process_detail::pointers(entries);
  const std::vector<char*> arguments = process_detail::pointers(words);
  int in = -1;
  int out = -1;
  int err = -1;
  pid_t child = -1;
  if (options.terminal) {
    winsize size{};
    size.ws_row = 40;
    size.ws_col = 120;
    child = ::forkpty(&out, nullptr, nullptr, &size);
    if (child == 0) process_detail::become(options, arguments.data(), environment.data());
    in = ::dup(out);
  } else {
    int ends[3][2];
    for (auto& pair : ends) {
      if (::pipe2(pair, O_CLOEXEC) != 0) return result;
    }
    child = ::fork();
    if (child == 0) {
      ::dup2(ends[0][0], 0);
      ::dup2(ends[1][1], 1);
      ::dup2(ends[2][1], 2);
      if (options.close_out) ::close(ends[1][0]);
      process_detail::become(options, arguments.data(), environment.data());
    }
    ::close(ends[0][0]);
    ::close(ends[1][1]);
    ::close(ends[2][1]);
    in = ends[0][1];
    out = ends[1][0];
    err = ends[2][0];
    if (options.close_out) {
      ::close(out);
      out = -1;
    }
  }
  const auto previous = ::signal(SIGPIPE, SIG_IGN);
  ::fcntl(in, F_SETFL, O_NONBLOCK);
  std::string_view input = options.input;
  const auto deadline = std::chrono::steady_clock::now() + options.timeout;
  while (out >= 0 || err >= 0) {
    if (in >= 0 && input.empty() && !options.terminal) {
      ::close(in);
      in = -1;
    }
    const bool prompted = result.out.find(options.prompt) != std::string::npos;
    pollfd entries_of_poll[3] = {
        {in >= 0 && !input.empty() && prompted ? in : -1, POLLOUT, 0}, {out, POLLIN, 0}, {err, POLLIN, 0}};
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now()).count();
    if (left <= 0) {
      result.timed_out = true;
      ::kill(child, SIGKILL);
      break;
    }
    if (::poll(entries_of_poll, 3, static_cast<int>(left)) < 0 && errno != EINTR) break;
    if (entries_of_poll[0].revents != 0) {
      const ssize_t put = ::write(in, input.data(), input.size());
      if (put > 0)
        input.remove_prefix(static_cast<std::size_t>(put));
      else if (errno != EAGAIN)
        input = {};
    }
    const auto take = [](int& descriptor, short events, std::string& into) {
      if (descriptor < 0 || events == 0) return;
      char buffer[65536];
      const ssize_t got = ::read(descriptor, buffer, sizeof buffer);
      if (got > 0) {
        into.append(buffer, static_cast<std::size_t>(got));
      } else if (got == 0 || errno != EINTR) {
        ::close(descriptor);  // A terminal's end shows as EIO.
        descriptor = -1;
      }
    };
    take(out, entries_of_poll[1].revents, result.out);
    take(err, entries_of_poll[2].revents, result.err);
  }
  for (const int descriptor : {in, out, err}) {
    if (descriptor >= 0) ::close(descriptor);
  }
  ::signal(SIGPIPE, previous);
  int status = 0;
  ::waitpid(child, &status, 0);
  if (WIFEXITED(status)) result.code = WEXITSTATUS(status);
  if (WIFSIGNALED(status)) result.signal = WTERMSIG(status);
  return result;
}

// A program that runs beside the test. Its outputs go to files; the destructor kills what still runs.
class Program {
 public:
  Program() = default;
  Program(std::vector<std::string> words, const RunOptions& options, const std::string& out_path,
          const std::string& err_path) {
    std::vector<std::string> entries = process_detail::environment_of(options);
    const std::vector<char*> environment = process_detail::pointers(entries);
    const std::vector<char*> arguments = process_detail::pointers(words);
    pid_ = ::fork();
    if (pid_ == 0) {
      const int in = ::open("/dev/null", O_RDONLY);
      const int out = ::open(out_path.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
      const int err = ::open(err_path.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
      ::dup2(in, 0);
      ::dup2(out, 1);
      ::dup2(err, 2);
      process_detail::become(options, arguments.data(), environment.data());
    }
  }
  ~Program() { end(SIGKILL); }
  Program(Program&& other) noexcept : pid_(std::exchange(other.pid_, -1)), status_(other.status_) {}
  Program& operator=(Program&& other) noexcept {
    end(SIGKILL);
    pid_ = std::exchange(other.pid_, -1);
    status_ = other.status_;
    return *this;
  }

  pid_t pid() const { return pid_; }
  bool running() {
    if (pid_ > 0 && ::waitpid(pid_, &status_, WNOHANG) == pid_) pid_ = -1;
    return pid_ > 0;
  }
  // Sends the signal and waits for the end; the exit code, or -1.
  int end(int signal) {
    if (pid_ > 0) {
      ::kill(pid_, signal);
      while (::waitpid(pid_, &status_, 0) < 0 && errno == EINTR) {}
      pid_ = -1;
    }
    return WIFEXITED(status_) ? WEXITSTATUS(status_) : -1;
  }

 private:
  pid_t pid_ = -1;
  int status_ = 0;
};

}  // namespace st8::test
