#include "http/metrics.h"

#include <charconv>

namespace st8::http {
namespace {

void append_number(std::string& out, double value) {
  char buffer[32];
  const auto result = std::to_chars(buffer, buffer + sizeof(buffer), value);
  out.append(buffer, result.ptr);
}

void append_escaped(std::string& out, std::string_view text, bool quotes) {
  for (const char c : text) {
    if (c == '\\') {
      out += "\\\\";
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '"' && quotes) {
      out += "\\\"";
    } else {
      out.push_back(c);
    }
  }
}

// `a="x",b="y"`, without braces; empty for no labels.
std::string rendered(const Labels& labels) {
  std::string out;
  for (const auto& [name, value] : labels) {
    if (!out.empty()) out.push_back(',');
    out += name;
    out += "=\"";
    append_escaped(out, value, true);
    out.push_back('"');
  }
  return out;
}

void append_sample(std::string& out, std::string_view name, std::string_view labels, double value) {
  out += name;
  if (!labels.empty()) {
    out.push_back('{');
    out += labels;
    out.push_back('}');
  }
  out.push_back(' ');
  append_number(out, value);
  out.push_back('\n');
}

void append_header(std::string& out, std::string_view name, std::string_view type, std::string_view help) {
  out += "# HELP ";
  out += name;
  out.push_back(' ');
  append_escaped(out, help, false);
  out += "\n# TYPE ";
  out += name;
  out.push_back(' ');
  out += type;
  out.push_back('\n');
}

}  // namespace

void Histogram::observe_nanoseconds(std::uint64_t nanoseconds) {
  const double seconds = static_cast<double>(nanoseconds) * 1e-9;
  std::size_t bucket = 0;
  while (bucket < kBoundsSeconds.size() && seconds > kBoundsSeconds[bucket]) ++bucket;
  buckets_[bucket].fetch_add(1, std::memory_order_relaxed);
  sum_nanoseconds_.fetch_add(nanoseconds, std::memory_order_relaxed);
}

void MetricsWriter::family(std::string_view name, std::string_view type, std::string_view help) {
  family_ = name;
  append_header(out_, name, type, help);
}

void MetricsWriter::sample(double value, const Labels& labels) {
  append_sample(out_, family_, rendered(labels), value);
}

Metrics::Series& Metrics::series(Kind kind, std::string_view name, std::string_view help, const Labels& labels) {
  const std::string key = rendered(labels);
  {
    const std::shared_lock lock(mutex_);
    const auto family = families_.find(name);
    if (family != families_.end()) {
      const auto found = family->second.series.find(key);
      if (found != family->second.series.end()) return found->second;
    }
  }
  const std::unique_lock lock(mutex_);
  Family& family = families_.try_emplace(std::string(name)).first->second;
  if (family.series.empty()) {
    family.kind = kind;
    family.help = help;
  }
  Series& series = family.series[key];
  // A name used as two kinds is our bug; each caller still gets what it asked for.
  if (kind == Kind::kCounter && !series.counter) series.counter = std::make_unique<Counter>();
  if (kind == Kind::kGauge && !series.gauge) series.gauge = std::make_unique<Gauge>();
  if (kind == Kind::kHistogram && !series.histogram) series.histogram = std::make_unique<Histogram>();
  return series;
}

Counter& Metrics::counter(std::string_view name, std::string_view help, const Labels& labels) {
  return *series(Kind::kCounter, name, help, labels).counter;
}
Gauge& Metrics::gauge(std::string_view name, std::string_view help, const Labels& labels) {
  return *series(Kind::kGauge, name, help, labels).gauge;
}
Histogram& Metrics::histogram(std::string_view name, std::string_view help, const Labels& labels) {
  return *series(Kind::kHistogram, name, help, labels).histogram;
}

void Metrics::add_collector(std::function<void(MetricsWriter&)> collector) {
  const std::unique_lock lock(mutex_);
  collectors_.push_back(std::move(collector));
}

std::string Metrics::render() const {
  std::string out;
  const std::shared_lock lock(mutex_);
  for (const auto& [name, family] : families_) {
    static constexpr std::string_view kTypes[] = {"counter", "gauge", "histogram"};
    append_header(out, name, kTypes[static_cast<std::size_t>(family.kind)], family.help);
    for (const auto& [labels, series] : family.series) {
      if (family.kind == Kind::kCounter && series.counter) {
        append_sample(out, name, labels, static_cast<double>(series.counter->value()));
      } else if (family.kind == Kind::kGauge && series.gauge) {
        append_sample(out, name, labels, static_cast<double>(series.gauge->value()));
      } else if (family.kind == Kind::kHistogram && series.histogram) {
        std::uint64_t count = 0;
        for (std::size_t i = 0; i <= Histogram::kBoundsSeconds.size(); ++i) {
          count += series.histogram->buckets_[i].load(std::memory_order_relaxed);
          std::string bound = labels.empty() ? "le=\"" : labels + ",le=\"";
          if (i < Histogram::kBoundsSeconds.size()) {
            append_number(bound, Histogram::kBoundsSeconds[i]);
          } else {
            bound += "+Inf";
          }
          bound.push_back('"');
          append_sample(out, name + "_bucket", bound, static_cast<double>(count));
        }
        append_sample(out, name + "_sum", labels,
                      static_cast<double>(series.histogram->sum_nanoseconds_.load(std::memory_order_relaxed)) * 1e-9);
        append_sample(out, name + "_count", labels, static_cast<double>(count));
      }
    }
  }
  MetricsWriter writer(out);
  for (const auto& collector : collectors_) collector(writer);
  return out;
}

}  // namespace st8::http
