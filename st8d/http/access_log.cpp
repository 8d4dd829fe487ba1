#include "http/access_log.h"

#include <cerrno>
#include <charconv>
#include <chrono>
#include <unistd.h>

#include "http/json_text.h"

namespace st8::http {
namespace {

constexpr std::size_t kPendingBytesMax = 1u << 20;
// Lines that come within this time are written together.
constexpr std::chrono::milliseconds kCoalesce{20};

void append_unsigned(std::string& out, std::uint64_t value) {
  char buffer[24];
  out.append(buffer, std::to_chars(buffer, buffer + sizeof(buffer), value).ptr);
}

// Milliseconds with three decimals.
void append_milliseconds(std::string& out, std::uint64_t nanoseconds) {
  const std::uint64_t micros = nanoseconds / 1000;
  append_unsigned(out, micros / 1000);
  out.push_back('.');
  const std::uint64_t rest = micros % 1000;
  out.push_back(static_cast<char>('0' + rest / 100));
  out.push_back(static_cast<char>('0' + rest / 10 % 10));
  out.push_back(static_cast<char>('0' + rest % 10));
}

void append_json(std::string& out, std::string_view time, const AccessRecord& record) {
  out += "{\"time\":\"";
  out += time;
  out += "\",\"id\":";
  append_json_string(out, record.id);
  out += ",\"method\":";
  append_json_string(out, record.method);
  out += ",\"route\":";
  append_json_string(out, record.route);
  out += ",\"path\":";
  append_json_string(out, record.path);
  out += ",\"status\":";
  append_unsigned(out, static_cast<std::uint64_t>(record.status));
  out += ",\"bytes\":";
  append_unsigned(out, record.bytes);
  out += ",\"duration_ms\":";
  append_milliseconds(out, record.duration_nanoseconds);
  out += ",\"remote\":";
  append_json_string(out, record.remote);
  if (!record.principal.empty()) {
    out += ",\"principal\":";
    append_json_string(out, record.principal);
  }
  out += "}\n";
}

void append_text(std::string& out, std::string_view time, const AccessRecord& record) {
  out += time;
  out.push_back(' ');
  out += record.remote;
  out.push_back(' ');
  append_json_string(out, record.principal.empty() ? std::string_view("-") : record.principal);
  out.push_back(' ');
  out += record.method;
  out.push_back(' ');
  append_json_string(out, record.path);
  out.push_back(' ');
  append_unsigned(out, static_cast<std::uint64_t>(record.status));
  out.push_back(' ');
  append_unsigned(out, record.bytes);
  out += "B ";
  append_milliseconds(out, record.duration_nanoseconds);
  out += "ms ";
  out += record.id;
  out.push_back('\n');
}

void write_all(int descriptor, std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = ::write(descriptor, text.data(), text.size());
    if (written < 0) {
      if (errno == EINTR) continue;
      return;  // Nobody is left to tell.
    }
    text.remove_prefix(static_cast<std::size_t>(written));
  }
}

}  // namespace

AccessLog::AccessLog(LogFormat format, int descriptor, const Clock& clock)
    : format_(format), descriptor_(descriptor), clock_(clock) {
  if (format_ != LogFormat::kNone) writer_ = std::thread([this] { run(); });
}

AccessLog::~AccessLog() {
  if (!writer_.joinable()) return;
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_one();
  writer_.join();
}

void AccessLog::record(const AccessRecord& record) {
  if (format_ == LogFormat::kNone) return;
  const std::string time = format_rfc3339(clock_.now());
  static thread_local std::string line;
  line.clear();
  if (format_ == LogFormat::kJson) {
    append_json(line, time, record);
  } else {
    append_text(line, time, record);
  }
  bool first = false;
  {
    const std::lock_guard lock(mutex_);
    if (pending_.size() + line.size() > kPendingBytesMax) {
      ++dropped_;
      return;
    }
    first = pending_.empty();
    pending_ += line;
  }
  if (first) wake_.notify_one();
}

std::uint64_t AccessLog::dropped() const {
  const std::lock_guard lock(mutex_);
  return dropped_;
}

void AccessLog::run() {
  std::string batch;
  std::unique_lock lock(mutex_);
  while (true) {
    wake_.wait(lock, [this] { return stopping_ || !pending_.empty(); });
    if (!stopping_) wake_.wait_for(lock, kCoalesce, [this] { return stopping_; });
    batch.clear();
    batch.swap(pending_);
    const bool stopping = stopping_;
    lock.unlock();
    write_all(descriptor_, batch);
    if (stopping) return;
    lock.lock();
  }
}

}  // namespace st8::http
