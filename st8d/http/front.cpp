#include "http/front.h"

#include <algorithm>
#include <random>
#include <thread>

#include "http/connection.h"

namespace st8::http {
namespace {

constexpr std::size_t kFlushesAtOnce = 32;
constexpr std::size_t kAnswersAtOnce = 8;

}  // namespace

bool ByteBudget::change(std::size_t& held, std::size_t wanted) {
  const std::int64_t delta = static_cast<std::int64_t>(wanted) - static_cast<std::int64_t>(held);
  if (delta == 0) return true;
  const std::int64_t used = used_.fetch_add(delta, std::memory_order_relaxed) + delta;
  if (delta > 0 && used > limit_) {
    used_.fetch_sub(delta, std::memory_order_relaxed);
    return false;
  }
  held = wanted;
  return true;
}

void Errands::schedule(std::shared_ptr<Connection> connection) {
  {
    const std::lock_guard lock(mutex_);
    waiting_.push_back(std::move(connection));
    if (scheduled_) return;
    scheduled_ = true;
  }
  crew_.enqueue_short([this] { run_batch(); });
}

void Errands::run_batch() {
  std::vector<std::shared_ptr<Connection>> batch;
  bool more = false;
  {
    const std::lock_guard lock(mutex_);
    const auto end = waiting_.begin() + static_cast<std::ptrdiff_t>(std::min(waiting_.size(), batch_));
    batch.assign(std::make_move_iterator(waiting_.begin()), std::make_move_iterator(end));
    waiting_.erase(waiting_.begin(), end);
    more = !waiting_.empty();
    scheduled_ = more;
  }
  // The next batch is another thread's, beginning now.
  if (more) crew_.enqueue_short([this] { run_batch(); });
  for (const auto& connection : batch) (connection.get()->*run_)();
}

FrontCounters::FrontCounters(Metrics& metrics)
    : accepted(metrics.counter("st8_http_connections_accepted_total", "Connections accepted.")),
      overloaded(metrics.counter("st8_http_overloaded_total",
                                 "Requests and connections refused because a limit was reached.")),
      timed_out(metrics.counter("st8_http_timeouts_total", "Connections ended by a deadline.")),
      handshakes_failed(metrics.counter("st8_http_tls_handshakes_failed_total", "TLS handshakes that failed.")),
      channels_overflowed(
          metrics.counter("st8_http_channels_overflowed_total", "Held streams cut off because they fell behind.")),
      channels(metrics.gauge("st8_http_channels_open", "Held streams open now.")) {}

Front::Front(const ServerOptions& server_options, Handler& request_handler, Metrics& registry, AccessLog& access_log,
             Poller epoll)
    : options(server_options),
      handler(request_handler),
      log(access_log),
      requests(registry),
      counters(registry),
      budget(server_options.buffered_bytes_max),
      poller(std::move(epoll)),
      crew(
          CrewOptions{.threads_max = std::max<std::size_t>(server_options.workers_max, 2),
                      .pollers_max = std::clamp<std::size_t>(std::thread::hardware_concurrency(), 2, 64),
                      .queue_max = server_options.queue_max},
          poller,
          [this](const epoll_event& event) {
            if (event.data.u64 == kListenerTag) return on_acceptable();
            if (const auto connection = table.find(event.data.u64)) connection->on_ready();
          },
          [this] { on_alone(); }),
      flushes(crew, kFlushesAtOnce, &Connection::flush_channel),
      answers(crew, kAnswersAtOnce, &Connection::answer_later) {}

std::chrono::nanoseconds monotonic_now() { return std::chrono::steady_clock::now().time_since_epoch(); }

std::string request_id_from(std::string_view offered) {
  const bool sane = !offered.empty() && offered.size() <= 64 && std::all_of(offered.begin(), offered.end(), [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' || c == '_' ||
           c == '.';
  });
  if (sane) return std::string(offered);
  static thread_local std::mt19937_64 random{std::random_device{}()};
  static constexpr char kHex[] = "0123456789abcdef";
  std::string id(16, '0');
  std::uint64_t value = random();
  for (char& c : id) {
    c = kHex[value & 15];
    value >>= 4;
  }
  return id;
}

}  // namespace st8::http
