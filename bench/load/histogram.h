// Latencies of one run: every sample is kept (a run has at most some millions), so percentiles are exact.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <string>
#include <vector>

namespace st8::bench {

class Samples {
 public:
  void add(std::uint64_t nanoseconds) { values_.push_back(nanoseconds); }
  void merge(const Samples& other) { values_.insert(values_.end(), other.values_.begin(), other.values_.end()); }
  std::size_t count() const { return values_.size(); }
  // The value below which `quantile` (0 to 1) of the samples lie, in microseconds; 0 without samples.
  double micros(double quantile) {
    if (values_.empty()) return 0;
    std::sort(values_.begin(), values_.end());
    const auto index = static_cast<std::size_t>(quantile * static_cast<double>(values_.size() - 1));
    return static_cast<double>(values_[index]) / 1000.0;
  }

 private:
  std::vector<std::uint64_t> values_;
};

// What a load run found, printed as one JSON line. Answers are counted per connection: a server that serves some
// connections and starves others shows in min against max.
struct RunReport {
  double seconds = 0;
  std::uint64_t errors = 0;
  std::string first_error;
  Samples latency;
  std::vector<std::uint64_t> answers_per_connection;

  void print() {
    std::uint64_t least = UINT64_MAX, most = 0, total = 0;
    for (const auto answers : answers_per_connection) {
      least = std::min(least, answers);
      most = std::max(most, answers);
      total += answers;
    }
    if (answers_per_connection.empty()) least = 0;
    for (auto& c : first_error) {
      if (static_cast<unsigned char>(c) < 0x20 || c == '"' || c == '\\') c = ' ';
    }
    std::printf(
        "{\"operations\":%llu,\"seconds\":%.3f,\"per_second\":%.1f,\"p50_us\":%.1f,\"p99_us\":%.1f,\"max_us\":%.1f,"
        "\"errors\":%llu,\"first_error\":\"%s\",\"connections\":%zu,\"least_answers\":%llu,\"most_answers\":%llu}\n",
        static_cast<unsigned long long>(total), seconds, static_cast<double>(total) / seconds, latency.micros(0.5),
        latency.micros(0.99), latency.micros(1.0), static_cast<unsigned long long>(errors), first_error.c_str(),
        answers_per_connection.size(), static_cast<unsigned long long>(least), static_cast<unsigned long long>(most));
  }
};

}  // namespace st8::bench
