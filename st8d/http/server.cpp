#include "http/server.h"

#include <algorithm>
#include <cerrno>
#include <condition_variable>
#include <csignal>
#include <sys/resource.h>
#include <sys/socket.h>
#include <thread>

#include "http/connection.h"
#include "http/front.h"

namespace st8::http {
namespace {

constexpr int kAcceptsPerTurn = 64;
constexpr std::chrono::milliseconds kAcceptPause{100};  // When descriptors have run out.
constexpr std::chrono::milliseconds kReliefTick{5};     // While work may hold all pollers.
constexpr std::chrono::milliseconds kReliefLinger{1'000};
constexpr std::size_t kDescriptorsForOthers = 256;  // The store's files, logs, spare ones.

std::size_t connections_by_descriptors() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return 65'536;
  const auto files = static_cast<std::size_t>(limit.rlim_cur);
  return files > 2 * kDescriptorsForOthers ? files - kDescriptorsForOthers : std::max<std::size_t>(files / 2, 8);
}

// Deadlines are kept to an eighth of the shortest of them.
std::chrono::milliseconds tick_for(const ServerOptions& options) {
  auto shortest = std::chrono::milliseconds(2'000);
  for (const auto timeout : {options.header_timeout, options.read_timeout, options.write_timeout, options.idle_timeout,
                             options.channel_keepalive}) {
    if (timeout.count() > 0) shortest = std::min(shortest, timeout);
  }
  return std::clamp<std::chrono::milliseconds>(shortest / 8, std::chrono::milliseconds(5),
                                               std::chrono::milliseconds(250));
}

}  // namespace

class Server::Impl {
 public:
  Impl(const ServerOptions& options, Handler& handler, Metrics& metrics, AccessLog& log, Poller poller,
       Listener listener)
      : metrics_(metrics),
        front_(options, handler, metrics, log, std::move(poller)),
        listener_(std::move(listener)),
        tick_(tick_for(options)) {
    if (front_.options.connections_max == 0) front_.options.connections_max = connections_by_descriptors();
    front_.on_acceptable = [this] { accept_some(); };
    front_.on_alone = [this] { watch(); };
  }

  ~Impl() {
    stop_accepting();
    front_.draining.store(true);
    {
      const std::lock_guard lock(time_mutex_);
      stopping_ = true;
    }
    time_wake_.notify_all();
    if (timekeeper_.joinable()) timekeeper_.join();
    cut_all();
    // Whoever answers later still holds on to the front.
    while (front_.kept.load() > 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }

  Status begin() {
    // Series of this server; the registry may outlive it, the shared state tells the collector so.
    metrics_.add_collector([state = shared_](MetricsWriter& writer) {
      const std::lock_guard lock(state->mutex);
      if (state->front == nullptr) return;
      const Front& front = *state->front;
      const CrewStats crew = front.crew.stats();
      const auto gauge = [&writer](std::string_view name, std::string_view help, double value) {
        writer.family(name, "gauge", help);
        writer.sample(value);
      };
      gauge("st8_http_connections_open", "Connections open now.", static_cast<double>(front.table.size()));
      gauge("st8_http_workers", "Threads of the HTTP front.", static_cast<double>(crew.threads));
      gauge("st8_http_workers_parked", "Threads of the HTTP front with nothing to do.",
            static_cast<double>(crew.parked));
      gauge("st8_http_queue_length", "Requests waiting for a thread.", static_cast<double>(crew.queued));
      gauge("st8_http_buffered_bytes", "Bodies under way and answers not taken yet.",
            static_cast<double>(front.budget.used()));
      writer.family("st8_http_log_lines_dropped_total", "counter",
                    "Access log lines dropped because their reader is slow.");
      writer.sample(static_cast<double>(front.log.dropped()));
    });
    ST8_TRY(front_.crew.start());
    timekeeper_ = std::thread([this] { keep_time(); });
    {
      const std::lock_guard lock(shared_->mutex);
      shared_->front = &front_;
    }
    if (!front_.poller.add(listener_.descriptor(), kListenerTag, EPOLLIN)) {
      return fail(ErrorCode::kUnavailable, "the kernel refuses to watch the listening socket",
                  "raise the limit of open files");
    }
    return {};
  }

  Status load_tls() {
    if (!front_.options.tls) return {};
    ST8_ASSIGN(auto context, TlsContext::load(*front_.options.tls));
    const std::lock_guard lock(tls_mutex_);
    tls_ = std::move(context);
    return {};
  }

  bool drain(std::chrono::milliseconds deadline) {
    const auto end = monotonic_now() + deadline;
    front_.draining.store(true);
    stop_accepting();
    while (true) {
      // Again and again, since a connection may become idle, or be made by an accept that was under way.
      for (const auto& connection : front_.table.collect([](const Connection&) { return true; }))
        connection->begin_drain();
      if (front_.table.size() == 0) return true;
      if (monotonic_now() >= end) break;
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
    cut_all();
    return false;
  }

  std::uint16_t port() const { return port_; }
  std::string url() const { return (front_.options.tls ? "https://" : "http://") + reachable_at_; }

 private:
  struct Shared {
    std::mutex mutex;
    Front* front = nullptr;
  };

  void cut_all() {
    {
      const std::lock_guard lock(shared_->mutex);
      if (stopping_) shared_->front = nullptr;
    }
    for (const auto& connection : front_.table.collect([](const Connection&) { return true; })) connection->cut();
  }

  void stop_accepting() {
    const std::lock_guard lock(accept_mutex_);
    if (listener_.descriptor() < 0) return;
    accept_locked();  // Those whom the kernel has accepted in our name are ours.
    front_.poller.remove(listener_.descriptor());
    listener_.close();
  }

  void accept_some() {
    const std::lock_guard lock(accept_mutex_);
    if (listener_.descriptor() < 0) return;
    if (accept_locked()) {
      front_.poller.arm(listener_.descriptor(), kListenerTag, EPOLLIN);
    } else {
      accept_again_.store((monotonic_now() + kAcceptPause).count());
    }
  }

  // False: the system has no more descriptors; try again later.
  bool accept_locked() {
    std::shared_ptr<const TlsContext> tls;
    {
      const std::lock_guard lock(tls_mutex_);
      tls = tls_;
    }
    for (int i = 0; i < kAcceptsPerTurn; ++i) {
      sockaddr_storage peer{};
      socklen_t length = sizeof(peer);
      Descriptor socket(
          ::accept4(listener_.descriptor(), reinterpret_cast<sockaddr*>(&peer), &length, SOCK_NONBLOCK | SOCK_CLOEXEC));
      if (!socket) {
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) return false;
        if (errno == EAGAIN || errno == EWOULDBLOCK) return true;
        continue;  // The client gave up in between.
      }
      front_.counters.accepted.add();
      if (front_.table.size() >= front_.options.connections_max) {
        front_.counters.overloaded.add();
        static constexpr std::string_view kFull =
            "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
        if (!tls) ::send(socket.get(), kFull.data(), kFull.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
        continue;
      }
      std::make_shared<Connection>(front_, std::move(socket), format_socket_address(peer), tls)->begin();
    }
    return true;
  }

  void watch() {
    if (watching_.exchange(true)) return;
    const std::lock_guard lock(time_mutex_);
    time_wake_.notify_all();
  }

  void keep_time() {
    auto next_check = monotonic_now() + tick_;
    auto watch_until = std::chrono::nanoseconds(0);
    std::unique_lock lock(time_mutex_);
    while (!stopping_) {
      const bool watching = watching_.load(std::memory_order_relaxed);
      time_wake_.wait_for(lock, watching ? std::min(kReliefTick, tick_) : tick_,
                          [&] { return stopping_ || watching_.load(std::memory_order_relaxed) != watching; });
      if (stopping_) return;
      lock.unlock();
      const auto now = monotonic_now();
      if (watching_.load(std::memory_order_relaxed)) {
        if (front_.crew.alone() || watch_until.count() == 0) watch_until = now + kReliefLinger;
        front_.crew.relieve();
        if (now > watch_until) {
          watch_until = {};
          watching_.store(false);
          // Whoever began in between saw the watch still kept, and called nobody.
          if (front_.crew.alone()) watching_.store(true);
        }
      }
      if (now >= next_check) {
        next_check = now + tick_;
        for (const auto& connection : front_.table.collect([now](const Connection& c) { return c.due(now); })) {
          connection->check_time(now);
        }
        const std::int64_t again = accept_again_.load();
        if (again != 0 && again <= now.count()) {
          accept_again_.store(0);
          accept_some();
        }
      }
      lock.lock();
    }
  }

  friend class Server;
  Metrics& metrics_;
  std::mutex tls_mutex_;
  std::shared_ptr<const TlsContext> tls_;
  std::shared_ptr<Shared> shared_ = std::make_shared<Shared>();
  std::uint16_t port_ = 0;
  std::string reachable_at_;
  std::atomic<std::int64_t> accept_again_{0};
  std::atomic<bool> watching_{false};
  std::mutex time_mutex_;
  std::condition_variable time_wake_;
  bool stopping_ = false;
  Front front_;  // Its crew's threads use what stands above.
  std::mutex accept_mutex_;
  Listener listener_;
  const std::chrono::milliseconds tick_;
  std::thread timekeeper_;
};

Server::Server(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Server::~Server() = default;

Result<std::unique_ptr<Server>> Server::start(const ServerOptions& options, Handler& handler, Metrics& metrics,
                                              AccessLog& log) {
  ST8_ASSIGN(auto listener, Listener::open(options.listen));
  ST8_ASSIGN(auto poller, Poller::open());
  const std::uint16_t port = listener.port();
  std::string reachable_at = listener.reachable_at();
  auto impl = std::make_unique<Impl>(options, handler, metrics, log, std::move(poller), std::move(listener));
  impl->port_ = port;
  impl->reachable_at_ = std::move(reachable_at);
  ST8_TRY(impl->load_tls());
  std::signal(SIGPIPE, SIG_IGN);
  ST8_TRY(impl->begin());
  return std::unique_ptr<Server>(new Server(std::move(impl)));
}

std::uint16_t Server::port() const { return impl_->port(); }
std::string Server::url() const { return impl_->url(); }
Status Server::reload_tls() { return impl_->load_tls(); }
bool Server::drain(std::chrono::milliseconds deadline) { return impl_->drain(deadline); }

}  // namespace st8::http
