// One long-lived run of the OpenSSH client, with a shell at its other end that does call after call.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <sys/types.h>
#include <utility>
#include <vector>

#include "drivers/file/root.h"
#include "drivers/ssh/connection.h"
#include "st8/target/target.h"

namespace st8::target::ssh {

struct Answer {
  std::string word;  // remote_script.h has them.
  std::string message;
  std::string body;  // What was said before; of a call that failed, its last line says why.
};

// What one call is to do at the other end.
struct Order {
  std::vector<std::pair<std::string_view, std::string>> values;
  std::string lay;     // Shell; may be empty.
  std::string settle;  // Shell; may be empty.
};

// Not thread-safe: one call at a time. Memory: an answer while it is read, 4 KiB of what the client says.
class Session {
 public:
  // Starts the client and waits until the shell at the other end answers. `life`: after which the other end kills itself.
  // Errors: kUnavailable (not reached, timed out, cancelled), kUnprocessable (the host's key or ours is not taken, no such program).
  static Result<std::unique_ptr<Session>> start(const CallContext& call, const SshSpec& spec, const std::string& socket,
                                                std::chrono::seconds life);
  // The other end sees its input end, and kills whatever it does.
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  // Errors: kUnavailable (timed out, cancelled, or the session ended: what the call did is not known, and it may be done again),
  // kUnprocessable (an answer of more than 64 MiB). After any error the session is of no more use. `content` is kept out of errors; may be
  // null.
  Result<Answer> exchange(const CallContext& call, const SshSpec& spec, const Order& order, const Content* content);
  // Whether it is still there. What was said since the last answer is passed over. Does not wait.
  bool alive();
  std::chrono::steady_clock::time_point expires() const { return expires_; }

 private:
  Session() = default;
  Result<Answer> exchange_text(const CallContext& call, const SshSpec& spec, std::string_view text,
                               std::uint64_t number, const Content* content);
  // Reads what is there, up to somewhat more than `most`; false at its end.
  static bool take(const file::Fd& from, std::string& text, std::size_t most);
  void take_errors();
  Error ended(const SshSpec& spec, const Content* content);

  std::string mark_;  // No line of anybody else's begins with it: 128 random bits.
  std::uint64_t number_ = 0;
  pid_t client_ = -1;
  file::Fd in_, out_, err_;
  std::string errors_;  // The last of what the client says.
  bool connected_ = false;
  std::chrono::steady_clock::time_point expires_{};
};

}  // namespace st8::target::ssh
