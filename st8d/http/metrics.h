// Counters, gauges and histograms, and their text for Prometheus (exposition format 0.0.4).
//
// A family is made once by name; a series within it by its label values. Handles stay valid as long as the registry and
// are updated with relaxed atomics: no lock on the path of a request. Making or finding a series takes a shared lock.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace st8::http {

class Counter {
 public:
  void add(std::uint64_t n = 1) { value_.fetch_add(n, std::memory_order_relaxed); }
  std::uint64_t value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t> value_{0};
};

class Gauge {
 public:
  void set(std::int64_t value) { value_.store(value, std::memory_order_relaxed); }
  void add(std::int64_t n) { value_.fetch_add(n, std::memory_order_relaxed); }
  std::int64_t value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::int64_t> value_{0};
};

// Durations, in buckets from 100 µs to 10 s, the same for every histogram of st8.
class Histogram {
 public:
  static constexpr std::array<double, 15> kBoundsSeconds = {0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025,
                                                            0.05,   0.1,     0.25,   0.5,   1,      2.5,   10};
  void observe_nanoseconds(std::uint64_t nanoseconds);

 private:
  friend class Metrics;
  std::array<std::atomic<std::uint64_t>, kBoundsSeconds.size() + 1> buckets_{};
  std::atomic<std::uint64_t> sum_nanoseconds_{0};
};

using Labels = std::vector<std::pair<std::string, std::string>>;

// What a collector writes into at each scrape.
class MetricsWriter {
 public:
  explicit MetricsWriter(std::string& out) : out_(out) {}
  // Starts a family; `type` is "counter", "gauge" or "untyped".
  void family(std::string_view name, std::string_view type, std::string_view help);
  // A sample of the family begun last.
  void sample(double value, const Labels& labels = {});

 private:
  std::string& out_;
  std::string family_;
};

class Metrics {
 public:
  Metrics() = default;
  Metrics(const Metrics&) = delete;
  Metrics& operator=(const Metrics&) = delete;

  // Finds or makes. Label names of one family are always given in the same order.
  Counter& counter(std::string_view name, std::string_view help, const Labels& labels = {});
  Gauge& gauge(std::string_view name, std::string_view help, const Labels& labels = {});
  Histogram& histogram(std::string_view name, std::string_view help, const Labels& labels = {});

  // Called at each scrape, from the scraping thread; must be quick and must not call back into the registry.
  void add_collector(std::function<void(MetricsWriter&)> collector);

  // The whole registry as text; Content-Type is kContentType.
  std::string render() const;
  static constexpr std::string_view kContentType = "text/plain; version=0.0.4; charset=utf-8";

 private:
  enum class Kind : std::uint8_t { kCounter, kGauge, kHistogram };
  struct Series {
    std::unique_ptr<Counter> counter;
    std::unique_ptr<Gauge> gauge;
    std::unique_ptr<Histogram> histogram;
  };
  struct Family {
    Kind kind = Kind::kCounter;
    std::string help;
    std::map<std::string, Series> series;  // By their rendered labels.
  };
  Series& series(Kind kind, std::string_view name, std::string_view help, const Labels& labels);

  mutable std::shared_mutex mutex_;
  std::map<std::string, Family, std::less<>> families_;
  std::vector<std::function<void(MetricsWriter&)>> collectors_;
};

}  // namespace st8::http
