// What is counted of every request, by route and method, found without a lock; and what these counts teach: whether a
// request of that kind is usually answered within moments.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "http/metrics.h"

namespace st8::http {

class RouteStats {
 public:
  RouteStats(Metrics& metrics, std::string route, std::string method);

  // Counts an answer.
  void observe(int status, std::uint64_t nanoseconds);
  // Learns how long the handler took. Refusals say nothing about what the work itself costs, so they do not count.
  void learn(int status, std::uint64_t nanoseconds);
  // False once requests of this kind have proved to be quick: then running one holds nobody up.
  bool may_block() const;
  const std::string& route() const { return route_; }
  const std::string& method() const { return method_; }

 private:
  static constexpr int kStatusMin = 100;
  static constexpr int kStatusEnd = 600;
  Metrics& metrics_;
  const std::string route_;
  const std::string method_;
  Histogram& duration_;
  std::array<std::atomic<Counter*>, kStatusEnd - kStatusMin> by_status_{};
  // A low quantile of the time that the handler took: it falls fast and rises slowly, so that preemption on a busy
  // machine does not make a cheap request look dear.
  std::atomic<std::uint64_t> typical_nanoseconds_{0};
  std::atomic<std::uint32_t> samples_{0};
};

class RequestMetrics {
 public:
  explicit RequestMetrics(Metrics& metrics) : metrics_(metrics) {}
  // Never fails: past kCapacity kinds, all others share one.
  RouteStats& of(std::string_view route, std::string_view method);

 private:
  static constexpr std::size_t kCapacity = 512;
  Metrics& metrics_;
  // Open addressing, insert only; entries never move, so that readers need no lock.
  std::array<std::atomic<RouteStats*>, kCapacity * 2> table_{};
  std::mutex mutex_;
  std::vector<std::unique_ptr<RouteStats>> owned_;
};

}  // namespace st8::http
