// What the connections of one server share.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "http/access_log.h"
#include "http/connection_table.h"
#include "http/crew.h"
#include "http/exchange.h"
#include "http/metrics.h"
#include "http/poller.h"
#include "http/request_metrics.h"
#include "http/server.h"

namespace st8::http {

// Counts bytes held for clients against a limit. Thread-safe.
class ByteBudget {
 public:
  explicit ByteBudget(std::size_t limit) : limit_(static_cast<std::int64_t>(limit)) {}
  // Changes a holder's share from `held` to `wanted`. False: over the limit; the share is as before.
  bool change(std::size_t& held, std::size_t wanted);
  std::int64_t used() const { return used_.load(std::memory_order_relaxed); }

 private:
  const std::int64_t limit_;
  std::atomic<std::int64_t> used_{0};
};

// Connections for which there is something to do that nobody should wait for: channels with something to send, requests
// whose answer has come. Whoever has the news only queues; the crew does it, several threads at once when there is much, so that a
// thousand channels cost the publisher no thousand system calls, and the committer renders no answers.
class Errands {
 public:
  Errands(Crew& crew, std::size_t batch, void (Connection::*run)()) : crew_(crew), batch_(batch), run_(run) {}
  void schedule(std::shared_ptr<Connection> connection);

 private:
  void run_batch();
  Crew& crew_;
  const std::size_t batch_;  // What one thread takes before another is called.
  void (Connection::*const run_)();
  std::mutex mutex_;
  std::deque<std::shared_ptr<Connection>> waiting_;
  bool scheduled_ = false;
};

struct FrontCounters {
  explicit FrontCounters(Metrics& metrics);
  Counter& accepted;
  Counter& overloaded;
  Counter& timed_out;
  Counter& handshakes_failed;
  Counter& channels_overflowed;
  Gauge& channels;
};

struct Front {
  Front(const ServerOptions& server_options, Handler& request_handler, Metrics& registry, AccessLog& access_log,
        Poller epoll);

  ServerOptions options;
  Handler& handler;
  AccessLog& log;
  RequestMetrics requests;
  FrontCounters counters;
  ByteBudget budget;
  ConnectionTable table;
  std::atomic<bool> draining{false};
  std::function<void()> on_acceptable;  // The listening socket has connections; set before the crew starts.
  std::function<void()> on_alone;       // Work runs and nobody polls; see Crew::relieve.
  Poller poller;
  Crew crew;  // After all that its threads use.
  Errands flushes, answers;
  std::atomic<std::size_t> kept{0};  // Requests that will be answered later, and hold on to all this.
};

// The listening socket's tag in epoll.
inline constexpr std::uint64_t kListenerTag = Poller::kWakeTag - 1;

std::chrono::nanoseconds monotonic_now();

// The client's id for a request when it is short and plain, else one of ours.
std::string request_id_from(std::string_view offered);

}  // namespace st8::http
