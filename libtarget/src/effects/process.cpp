#include "effects/process.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "drivers/file/root.h"

namespace st8::target::effects {
namespace {

using file::Fd;

struct Pipe {
  Fd read, write;
};
Result<Pipe> make_pipe() {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0)
    return fail(ErrorCode::kUnavailable, std::string("pipe: ") + std::strerror(errno), "");
  return Pipe{Fd(ends[0]), Fd(ends[1])};
}

// What programs are found in. A fixed one: what the daemon was started with must not decide what runs.
constexpr std::string_view kPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

Result<std::string> find_program(const std::string& name) {
  if (name.find('/') != std::string::npos) return name;
  for (std::string_view rest = kPath; !rest.empty();) {
    const std::size_t colon = rest.find(':');
    const std::string candidate = std::string(rest.substr(0, colon)) + "/" + name;
    if (::access(candidate.c_str(), X_OK) == 0) return candidate;
    rest = colon == std::string_view::npos ? std::string_view{} : rest.substr(colon + 1);
  }
  return fail(ErrorCode::kUnprocessable, "there is no program " + name + " in " + std::string(kPath),
              "give its whole path");
}

}  // namespace

Result<pid_t> start_process(const ProcessOrder& order, int in, int out, int err) {
  if (order.argv.empty() || order.argv.front().empty())
    return fail(ErrorCode::kUnprocessable, "no program is named", "");
  std::vector<std::string> environment = {"PATH=" + std::string(kPath), "LANG=C.UTF-8"};
  for (const auto& [name, value] : order.environment) environment.push_back(name + "=" + value);
  std::vector<char*> argv, envp;
  for (const std::string& argument : order.argv) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  for (const std::string& one : environment) envp.push_back(const_cast<char*>(one.c_str()));
  envp.push_back(nullptr);
  const std::string directory = order.directory.empty() ? "/" : order.directory;
  ST8_ASSIGN(const std::string program, find_program(order.argv.front()));
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_adddup2(&actions, in, 0);
  ::posix_spawn_file_actions_adddup2(&actions, out, 1);
  ::posix_spawn_file_actions_adddup2(&actions, err, 2);
  ::posix_spawn_file_actions_addchdir_np(&actions, directory.c_str());
  posix_spawnattr_t attributes;
  ::posix_spawnattr_init(&attributes);
  sigset_t none, all;
  sigemptyset(&none);
  sigfillset(&all);
  ::posix_spawnattr_setsigmask(&attributes, &none);
  ::posix_spawnattr_setsigdefault(&attributes, &all);
  ::posix_spawnattr_setpgroup(&attributes, 0);
  ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
  pid_t child = -1;
  const int number = ::posix_spawn(&child, program.c_str(), &actions, &attributes, argv.data(), envp.data());
  ::posix_spawnattr_destroy(&attributes);
  ::posix_spawn_file_actions_destroy(&actions);
  if (number != 0)
    return fail(ErrorCode::kUnprocessable, "cannot start " + order.argv.front() + ": " + std::strerror(number), "");
  return child;
}

Result<ProcessEnd> run_process(const CallContext& call, const ProcessOrder& order) {
  ST8_TRY(call.check());
  ST8_ASSIGN(Pipe in, make_pipe());
  ST8_ASSIGN(Pipe out, make_pipe());
  ST8_ASSIGN(Pipe err, make_pipe());
  ST8_ASSIGN(const pid_t child, start_process(order, in.read.get(), out.write.get(),
                                              order.separate_errors ? err.write.get() : out.write.get()));
  in.read = Fd();
  out.write = Fd();
  err.write = Fd();
  const auto reap = [&](bool kill) {
    if (kill) ::kill(-child, SIGKILL);
    int status = 0;
    while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {}
    return status;
  };
  // Tells at once when the program is over; a kernel that has none (-1) is asked again and again instead.
  const Fd over(static_cast<int>(::syscall(SYS_pidfd_open, child, 0)));
  ::fcntl(in.write.get(), F_SETFL, O_NONBLOCK);
  ProcessEnd end;
  std::string_view input = order.input;
  if (input.empty()) in.write = Fd();
  // A write to a program that no longer listens must not end the daemon.
  struct sigaction ignore {
  }, before{};
  ignore.sa_handler = SIG_IGN;
  ::sigaction(SIGPIPE, nullptr, &before);
  if (before.sa_handler == SIG_DFL) ::sigaction(SIGPIPE, &ignore, nullptr);
  bool out_open = true, err_open = order.separate_errors, exited = false;
  int status = 0;
  std::chrono::nanoseconds exited_at{};
  while (out_open || err_open || !exited) {
    if (!exited) {
      const pid_t gone = ::waitpid(child, &status, WNOHANG);
      if (gone == child) {
        exited = true;
        exited_at = call.clock->monotonic();
      }
    }
    // A child of its own may keep the pipe open for ever: what the program said is read, then it is over.
    if (exited && call.clock->monotonic() - exited_at > std::chrono::milliseconds(200)) break;
    if (auto good = call.check(); !good) {
      if (!exited) (void)reap(true);
      ::kill(-child, SIGKILL);
      return fail(good.error().code, order.argv.front() + ": " + good.error().message, "");
    }
    pollfd fds[4] = {{out_open ? out.read.get() : -1, POLLIN, 0},
                     {err_open ? err.read.get() : -1, POLLIN, 0},
                     {in.write.valid() ? in.write.get() : -1, POLLOUT, 0},
                     {exited ? -1 : over.get(), POLLIN, 0}};
    ::poll(fds, 4, exited ? 10 : 20);
    const auto pull = [&](int fd, std::string& text, bool& open) {
      char buffer[16 << 10];
      const ssize_t got = ::read(fd, buffer, sizeof buffer);
      if (got < 0 && errno == EINTR) return;
      if (got <= 0) {
        open = false;
        return;
      }
      const std::size_t room = order.output_bytes_max - std::min(order.output_bytes_max, text.size());
      text.append(buffer, std::min(room, static_cast<std::size_t>(got)));
      end.truncated = end.truncated || static_cast<std::size_t>(got) > room;
    };
    if (fds[0].revents != 0) pull(out.read.get(), end.output, out_open);
    if (fds[1].revents != 0) pull(err.read.get(), end.errors, err_open);
    if (fds[2].revents != 0) {
      const ssize_t written = ::write(in.write.get(), input.data(), input.size());
      if (written > 0) input.remove_prefix(static_cast<std::size_t>(written));
      if ((written < 0 && errno != EAGAIN && errno != EINTR) || input.empty()) in.write = Fd();
    }
  }
  ::kill(-child, SIGKILL);  // Whatever it left running in its group.
  end.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return end;
}

}  // namespace st8::target::effects
