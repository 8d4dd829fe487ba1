// One structured line a request, written by a thread of its own so that a slow reader of the log slows no request.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>

#include "st8/state/clock.h"

namespace st8::http {

enum class LogFormat : std::uint8_t { kNone, kJson, kText };

struct AccessRecord {
  std::string_view id;
  std::string_view method;
  std::string_view route;
  std::string_view path;  // Without the query, which may hold what is nobody's business.
  int status = 0;
  std::uint64_t bytes = 0;  // Of the response body.
  std::uint64_t duration_nanoseconds = 0;
  std::string_view remote;
  std::string_view principal;
};

class AccessLog {
 public:
  // Writes to `descriptor`, which stays open as long as the log; `clock` outlives it too.
  AccessLog(LogFormat format, int descriptor, const Clock& clock);
  ~AccessLog();  // Writes what is queued.
  AccessLog(const AccessLog&) = delete;
  AccessLog& operator=(const AccessLog&) = delete;

  // Queues a line. Thread-safe, never blocks on the descriptor: when a megabyte waits, lines are dropped and counted.
  void record(const AccessRecord& record);
  std::uint64_t dropped() const;

 private:
  void run();

  const LogFormat format_;
  const int descriptor_;
  const Clock& clock_;
  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::string pending_;
  std::uint64_t dropped_ = 0;
  bool stopping_ = false;
  std::thread writer_;
};

}  // namespace st8::http
