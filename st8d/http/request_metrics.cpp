#include "http/request_metrics.h"

#include <algorithm>

namespace st8::http {
namespace {

constexpr std::uint64_t kQuickNanoseconds = 100'000;
constexpr std::uint32_t kSamplesMin = 4;

// Methods come from clients; a label must not take any value they think of.
std::string_view known_method(std::string_view method) {
  for (const std::string_view known : {"GET", "POST", "PUT", "DELETE", "HEAD", "PATCH", "OPTIONS"}) {
    if (method == known) return known;
  }
  return "OTHER";
}

}  // namespace

RouteStats::RouteStats(Metrics& metrics, std::string route, std::string method)
    : metrics_(metrics),
      route_(std::move(route)),
      method_(std::move(method)),
      duration_(metrics.histogram("st8_http_request_duration_seconds", "Time from a whole request to its answer.",
                                  {{"route", route_}, {"method", method_}})) {}

void RouteStats::observe(int status, std::uint64_t nanoseconds) {
  duration_.observe_nanoseconds(nanoseconds);
  std::atomic<Counter*>& slot =
      by_status_[static_cast<std::size_t>(std::clamp(status, kStatusMin, kStatusEnd - 1) - kStatusMin)];
  Counter* counter = slot.load(std::memory_order_acquire);
  if (counter == nullptr) {
    counter = &metrics_.counter("st8_http_requests_total", "Requests answered.",
                                {{"route", route_}, {"method", method_}, {"status", std::to_string(status)}});
    slot.store(counter, std::memory_order_release);
  }
  counter->add();
}

void RouteStats::learn(int status, std::uint64_t nanoseconds) {
  if (status >= 400) return;
  // Races between threads lose a sample now and then, which does not matter.
  const std::uint64_t typical = typical_nanoseconds_.load(std::memory_order_relaxed);
  const std::uint32_t samples = samples_.load(std::memory_order_relaxed);
  std::uint64_t next = nanoseconds;
  if (samples > 0)
    next = nanoseconds < typical ? typical - (typical - nanoseconds) / 4 : typical + (nanoseconds - typical) / 64;
  typical_nanoseconds_.store(next, std::memory_order_relaxed);
  if (samples < kSamplesMin) samples_.store(samples + 1, std::memory_order_relaxed);
}

bool RouteStats::may_block() const {
  return samples_.load(std::memory_order_relaxed) < kSamplesMin ||
         typical_nanoseconds_.load(std::memory_order_relaxed) > kQuickNanoseconds;
}

RouteStats& RequestMetrics::of(std::string_view route, std::string_view method) {
  method = known_method(method);
  const std::size_t start = std::hash<std::string_view>()(route) * 31 + std::hash<std::string_view>()(method);
  // The table is never more than half full, so that the search always ends at an empty slot.
  const auto find = [&]() -> std::atomic<RouteStats*>& {
    for (std::size_t i = start;; ++i) {
      std::atomic<RouteStats*>& slot = table_[i % table_.size()];
      const RouteStats* stats = slot.load(std::memory_order_acquire);
      if (stats == nullptr || (stats->route() == route && stats->method() == method)) return slot;
    }
  };
  if (RouteStats* stats = find().load(std::memory_order_acquire); stats != nullptr) return *stats;
  const std::lock_guard lock(mutex_);
  std::atomic<RouteStats*>& slot = find();
  if (slot.load() == nullptr) {
    if (owned_.size() == kCapacity) return *owned_.front();
    owned_.push_back(std::make_unique<RouteStats>(metrics_, std::string(route), std::string(method)));
    slot.store(owned_.back().get(), std::memory_order_release);
  }
  return *slot.load();
}

}  // namespace st8::http
