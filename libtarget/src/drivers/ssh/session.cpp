#include "drivers/ssh/session.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <openssl/rand.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "drivers/redaction.h"
#include "drivers/ssh/remote_script.h"
#include "effects/process.h"

namespace st8::target::ssh {
namespace {

constexpr std::size_t kAnswerBytesMax = 64u << 20;  // A list of the files of a very large content.
constexpr std::size_t kErrorBytesMax = 4u << 10;
constexpr int kLookMs = 20;  // How long a call that was cancelled goes on.

std::string last_line(std::string_view text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) text.remove_suffix(1);
  return std::string(text.substr(text.find_last_of('\n') + 1));
}

Result<std::string> random_mark() {
  std::array<unsigned char, 16> bytes;
  if (RAND_bytes(bytes.data(), static_cast<int>(bytes.size())) != 1)
    return fail(ErrorCode::kInternal, "no random bytes are to be had", "");
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string mark = "st8-";
  for (const unsigned char byte : bytes) {
    mark += kDigits[byte >> 4];
    mark += kDigits[byte & 15];
  }
  return mark;
}

Error system_error(const char* what) {
  return {ErrorCode::kUnavailable, std::string(what) + ": " + std::strerror(errno), ""};
}

}  // namespace

Result<std::unique_ptr<Session>> Session::start(const CallContext& call, const SshSpec& spec, const std::string& socket,
                                                std::chrono::seconds life) {
  ST8_TRY(call.check());
  ST8_ASSIGN(std::string mark, random_mark());
  std::unique_ptr<Session> session(new Session);
  session->mark_ = std::move(mark);
  session->expires_ = std::chrono::steady_clock::now() + life;
  effects::ProcessOrder order;
  order.argv = client_words(spec, socket);
  order.argv.emplace_back(kBootstrap);
  {
    // A socket as its input: writing to a client that is gone is an error there, and no signal. Their ends are the client's alone.
    int in[2], out[2], err[2];
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, in) != 0) return fail(system_error("socketpair"));
    session->in_ = file::Fd(in[0]);
    const file::Fd its_in(in[1]);
    if (::pipe2(out, O_CLOEXEC) != 0) return fail(system_error("pipe"));
    session->out_ = file::Fd(out[0]);
    const file::Fd its_out(out[1]);
    if (::pipe2(err, O_CLOEXEC) != 0) return fail(system_error("pipe"));
    session->err_ = file::Fd(err[0]);
    const file::Fd its_err(err[1]);
    for (const int fd : {in[0], out[0], err[0]}) ::fcntl(fd, F_SETFL, O_NONBLOCK);
    ST8_ASSIGN(session->client_, effects::start_process(order, in[1], out[1], err[1]));
  }
  std::string hello = std::to_string(life.count()) + "\n" + std::string(remote_functions()) + "mark=" + session->mark_ +
                      "\n" + call_text(0, {{"op", "hello"}}, {}, {});
  ST8_ASSIGN(const Answer answer, session->exchange_text(call, spec, hello, 0, nullptr));
  session->connected_ = true;
  if (answer.word == "refused") return fail(ErrorCode::kUnprocessable, spec.host + ": " + answer.message, "");
  if (answer.word != "ok")
    return fail(ErrorCode::kUnavailable,
                "ssh to " + spec.host + ": " + drivers::redacted(last_line(answer.body), nullptr), "");
  return session;
}

Session::~Session() {
  in_ = file::Fd();
  if (client_ <= 0) return;
  // A client that serves is killed alone, and not with its group: a program that carries the shared connection (to a jump host, say)
  // lives there. One that is still on its way takes all with it that it started.
  ::kill(connected_ ? client_ : -client_, SIGKILL);
  while (::waitpid(client_, nullptr, 0) < 0 && errno == EINTR) {}
}

Result<Answer> Session::exchange(const CallContext& call, const SshSpec& spec, const Order& order,
                                 const Content* content) {
  const std::uint64_t number = ++number_;
  return exchange_text(call, spec, call_text(number, order.values, order.lay, order.settle), number, content);
}

bool Session::take(const file::Fd& from, std::string& text, std::size_t most) {
  char buffer[16 << 10];
  for (;;) {
    const ssize_t got = ::read(from.get(), buffer, sizeof buffer);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && errno == EAGAIN) return true;
    if (got <= 0) return false;
    text.append(buffer, static_cast<std::size_t>(got));
    if (text.size() > most) return true;
  }
}

bool Session::alive() {
  std::string noise;
  const bool there = take(out_, noise, kAnswerBytesMax) && noise.size() <= kAnswerBytesMax;
  take_errors();
  return there;
}

void Session::take_errors() {
  if (!err_.valid()) return;
  if (!take(err_, errors_, 16 * kErrorBytesMax)) err_ = file::Fd();
  if (errors_.size() > kErrorBytesMax) errors_.erase(0, errors_.size() - kErrorBytesMax);
}

// What the client says when there is no answer.
Error Session::ended(const SshSpec& spec, const Content* content) {
  in_ = file::Fd();
  int status = 0;
  // It said all that it will, or hangs; either way it is over.
  const auto until = std::chrono::steady_clock::now() + std::chrono::milliseconds(500);
  pid_t gone = 0;
  while ((gone = ::waitpid(client_, &status, WNOHANG)) == 0 && std::chrono::steady_clock::now() < until) {
    pollfd said{err_.valid() ? err_.get() : -1, POLLIN, 0};
    ::poll(&said, 1, 5);
    take_errors();
  }
  take_errors();
  int code = 255;
  if (gone == client_) {
    client_ = -1;
    code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }
  if (!connected_) return connection_error(spec, errors_, code, content);
  const std::string said = drivers::redacted(last_line(errors_), content);
  return {ErrorCode::kUnavailable,
          "ssh to " + spec.host + ": the session ended in the middle of the call" + (said.empty() ? "" : ": " + said),
          "what the call did is not known; it may be made again"};
}

Result<Answer> Session::exchange_text(const CallContext& call, const SshSpec& spec, std::string_view text,
                                      std::uint64_t number, const Content* content) {
  const std::string name = "\n" + mark_ + " " + std::to_string(number) + " ";
  const std::string begin = name + "begin\n";
  std::string output;
  std::size_t body = std::string::npos, looked = 0;
  for (;;) {
    if (auto good = call.check(); !good)
      return fail(good.error().code,
                  "ssh to " + spec.host + ": " + (call.remaining().count() <= 0 ? "timed out" : good.error().message),
                  good.error().hint);
    pollfd fds[3] = {{out_.get(), POLLIN, 0},
                     {err_.valid() ? err_.get() : -1, POLLIN, 0},
                     {text.empty() ? -1 : in_.get(), POLLOUT, 0}};
    ::poll(fds, 3, kLookMs);
    if (fds[1].revents != 0) take_errors();
    if (fds[2].revents != 0) {
      const ssize_t sent = ::send(in_.get(), text.data(), text.size(), MSG_NOSIGNAL);
      if (sent > 0) text.remove_prefix(static_cast<std::size_t>(sent));
      // Why it takes no more is told by the end of its output.
      if (sent < 0 && errno != EAGAIN && errno != EINTR) text = {};
    }
    if (fds[0].revents == 0) continue;
    const bool open = take(out_, output, kAnswerBytesMax);
    if (body == std::string::npos) {
      const std::size_t at = output.find(begin, looked);
      looked = output.size() - std::min(output.size(), begin.size());
      if (at != std::string::npos) looked = body = at + begin.size();
    }
    if (body != std::string::npos) {
      const std::size_t at = output.find(name, looked);
      const std::size_t line = at == std::string::npos ? at : output.find('\n', at + name.size());
      if (line != std::string::npos) {
        const std::string last = output.substr(at + name.size(), line - at - name.size());
        const std::size_t space = last.find(' ');
        return Answer{last.substr(0, space), space == std::string::npos ? "" : last.substr(space + 1),
                      output.substr(body, at - body)};
      }
      looked = at != std::string::npos ? at : std::max(body, output.size() - std::min(output.size(), name.size()));
    }
    if (!open) return fail(ended(spec, content));
    if (output.size() > kAnswerBytesMax)
      return fail(ErrorCode::kUnprocessable, "ssh to " + spec.host + ": the answer is larger than 64 MiB", "");
  }
}

}  // namespace st8::target::ssh
