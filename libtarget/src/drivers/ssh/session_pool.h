// The sessions that are open, by connection: few for each host, kept for the next call, closed when nobody calls.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "drivers/ssh/session.h"

namespace st8::target::ssh {

// sshd takes ten sessions over one connection as it comes; a user's own, or a second daemon's, shall find room beside these.
inline constexpr std::size_t kSessionsPerConnectionMax = 8;
// Idle ones over all connections: each is a process here. The one that was idle the longest gives way.
inline constexpr std::size_t kIdleSessionsMax = 256;

// Thread-safe. A call for a connection that has all its sessions at work waits for one of them; the first call of a connection
// makes it, and those that came meanwhile share its fate.
class SessionPool {
 public:
  using Use = std::function<Result<Answer>(Session&)>;

  SessionPool() = default;
  ~SessionPool();  // Ends every session; nobody may use one any more.
  SessionPool(const SessionPool&) = delete;
  SessionPool& operator=(const SessionPool&) = delete;

  // Runs `use` with a session that is nobody else's meanwhile. It goes back to the pool when that gives an answer, and is ended when
  // it gives an error. Errors: those of Session::start and of `use`; kUnavailable when none came free in time.
  Result<Answer> with_session(const CallContext& call, const SshSpec& spec, const Use& use);

 private:
  using Time = std::chrono::steady_clock::time_point;
  struct Idle {
    std::unique_ptr<Session> session;
    Time until;
  };
  struct Connection {
    std::size_t most = kSessionsPerConnectionMax;  // Less when the host was seen to take less.
    std::size_t open = 0;                          // Sessions that are idle, at work, or on their way.
    bool connecting = false;                       // The first is on its way.
    std::uint64_t attempts = 0;                    // How often that ended.
    std::optional<Error> error;                    // How the last one did.
    std::size_t callers = 0;
    std::vector<Idle> idle;  // The one used last at the end.
    std::condition_variable changed;
  };

  Result<std::unique_ptr<Session>> lease(const CallContext& call, const SshSpec& spec, Connection& connection);
  void give_back(Connection& connection, const SshSpec& spec, std::unique_ptr<Session> session);
  void retire();  // A thread: closes what was idle for long enough.

  std::mutex mutex_;
  std::condition_variable wake_;
  // Kept while anything of it is open; by every option of the connection. Nodes do not move.
  std::map<std::string, Connection> connections_;
  std::size_t idle_ = 0;
  Time next_ = Time::max();  // When retire() looks again.
  bool ending_ = false;
  std::thread retiring_;  // Made with the first session that is kept.
};

}  // namespace st8::target::ssh
