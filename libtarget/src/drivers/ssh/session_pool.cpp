#include "drivers/ssh/session_pool.h"

#include <algorithm>
#include <iterator>
#include <unistd.h>
#include <utility>

namespace st8::target::ssh {
namespace {

using std::chrono::steady_clock;

constexpr std::chrono::seconds kLife{600};   // After which a session kills itself at its other end, whoever forgot it.
constexpr std::chrono::seconds kSpare{300};  // How much longer than the call that starts it one lives.
constexpr std::chrono::milliseconds kLook{20};

std::string key_of(const SshSpec& spec) {
  std::string key = spec.control_directory + '\0' + std::to_string(spec.share.count());
  for (const std::string& word : client_words(spec, "")) key += '\0' + word;
  return key;
}

}  // namespace

SessionPool::~SessionPool() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
    wake_.notify_all();
  }
  if (retiring_.joinable()) retiring_.join();
}

Result<Answer> SessionPool::with_session(const CallContext& call, const SshSpec& spec, const Use& use) {
  ST8_TRY(call.check());
  const std::string key = key_of(spec);
  std::unique_lock lock(mutex_);
  Connection& connection = connections_[key];
  ++connection.callers;
  lock.unlock();
  auto session = lease(call, spec, connection);
  Result<Answer> answer = session ? use(**session) : Result<Answer>(fail(session.error()));
  std::vector<Idle> rest;
  if (session && !answer) {
    session->reset();
    lock.lock();
    // A connection that no longer carries anything must not be what the next call waits on. Whoever still uses it goes on.
    if (answer.error().code == ErrorCode::kUnavailable && call.remaining().count() <= 0) {
      if (const auto socket = control_socket(spec); socket && !socket->empty()) ::unlink(socket->c_str());
      rest.swap(connection.idle);
      idle_ -= rest.size();
      connection.open -= rest.size();
    }
    --connection.open;
    lock.unlock();
  } else if (session) {
    give_back(connection, spec, std::move(*session));
  }
  rest.clear();
  lock.lock();
  --connection.callers;
  if (connection.callers == 0 && connection.open == 0)
    connections_.erase(key);
  else
    connection.changed.notify_one();
  return answer;
}

Result<std::unique_ptr<Session>> SessionPool::lease(const CallContext& call, const SshSpec& spec,
                                                    Connection& connection) {
  // Without a shared connection each session is one of its own, and is of one call.
  const bool shared = spec.share.count() > 0;
  ST8_ASSIGN(const std::string socket, control_socket(spec));
  std::unique_lock lock(mutex_);
  const std::uint64_t attempts = connection.attempts;
  for (;;) {
    if (auto good = call.check(); !good)
      return fail(good.error().code,
                  "ssh to " + spec.host + ": " +
                      (call.remaining().count() <= 0 ? "timed out: every session is at work" : good.error().message),
                  good.error().hint);
    if (!connection.idle.empty()) {
      std::unique_ptr<Session> last = std::move(connection.idle.back().session);
      connection.idle.pop_back();
      --idle_;
      if (last->expires() - steady_clock::now() > call.remaining() && last->alive()) return last;
      --connection.open;
      lock.unlock();
      last.reset();
      lock.lock();
      continue;
    }
    if (!shared || (!connection.connecting && connection.open < connection.most)) {
      const bool first = shared && connection.open == 0;
      connection.connecting = first;
      ++connection.open;
      lock.unlock();
      const auto left = std::chrono::ceil<std::chrono::seconds>(call.remaining());
      auto session = Session::start(call, spec, socket, std::max(kLife, left + kSpare));
      // It may have been a connection that is there and carries nothing any more; the next one is made anew.
      if (first && !session && session.error().code == ErrorCode::kUnavailable) ::unlink(socket.c_str());
      lock.lock();
      if (!session) --connection.open;
      if (first) {
        connection.connecting = false;
        ++connection.attempts;
        connection.error.reset();
        // One that was cancelled, or had no time left, tells nothing about the host.
        if (!session && call.check()) connection.error = session.error();
        connection.changed.notify_all();
      } else if (!session && shared && connection.open > 0 && call.check()) {
        // The host takes no more of them: those that there are must do.
        connection.most = connection.open;
        continue;
      }
      return session;
    }
    connection.changed.wait_for(lock, kLook);
    if (connection.attempts != attempts && connection.error) return fail(*connection.error);
  }
}

void SessionPool::give_back(Connection& connection, const SshSpec& spec, std::unique_ptr<Session> session) {
  std::unique_ptr<Session> over;  // Ended after the lock is gone.
  const std::lock_guard lock(mutex_);
  if (spec.share.count() == 0 || ending_) {
    --connection.open;
    over = std::move(session);
    return;
  }
  const Time until = steady_clock::now() + spec.share;
  connection.idle.push_back({std::move(session), until});
  ++idle_;
  if (!retiring_.joinable()) retiring_ = std::thread([this] { retire(); });
  if (until < next_ || idle_ > kIdleSessionsMax) wake_.notify_one();
}

void SessionPool::retire() {
  std::unique_lock lock(mutex_);
  while (!ending_) {
    std::vector<std::unique_ptr<Session>> over;
    const Time now = steady_clock::now();
    Time next = Time::max();
    const auto take = [&](Connection& connection, std::size_t at) {
      over.push_back(std::move(connection.idle[at].session));
      connection.idle.erase(connection.idle.begin() + static_cast<std::ptrdiff_t>(at));
      --connection.open;
      --idle_;
    };
    for (auto& [key, connection] : connections_) {
      while (!connection.idle.empty() && connection.idle.front().until <= now) take(connection, 0);
      if (!connection.idle.empty()) next = std::min(next, connection.idle.front().until);
    }
    while (idle_ > kIdleSessionsMax) {
      Connection* oldest = nullptr;
      for (auto& [key, connection] : connections_) {
        if (!connection.idle.empty() &&
            (oldest == nullptr || connection.idle.front().until < oldest->idle.front().until))
          oldest = &connection;
      }
      if (oldest == nullptr) break;
      take(*oldest, 0);
    }
    std::erase_if(connections_, [](const auto& one) { return one.second.open == 0 && one.second.callers == 0; });
    if (!over.empty()) {
      lock.unlock();
      over.clear();
      lock.lock();
      continue;
    }
    next_ = next;
    if (next == Time::max())
      wake_.wait(lock);
    else
      wake_.wait_until(lock, next);
  }
}

}  // namespace st8::target::ssh
