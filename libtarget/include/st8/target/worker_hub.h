// Where st8d and its workers meet. A worker is `st8d worker` on a target's machine: it polls st8d, gets assignments, applies them with
// the file driver's code, and reports what it reads back. The driver of kind `worker` hands its calls in here and waits.
//
// Each delivery of an assignment is a lease with a number of its own, and each process of a worker a session: a report of an older
// process, or of a delivery that was given to another one since, is refused. What a worker says and gets is JSON in lines
// (docs/drivers.md has the fields); it passes through here as text.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "st8/state/clock.h"
#include "st8/state/result.h"
#include "st8/target/target.h"

namespace st8::target {

// What a worker is called; spelled as a target's name is.
class WorkerName {
 public:
  // Errors: kInvalidArgument.
  static Result<WorkerName> parse(std::string_view text);

  const std::string& str() const { return value_; }
  friend auto operator<=>(const WorkerName&, const WorkerName&) = default;
  friend bool operator==(const WorkerName&, const WorkerName&) = default;

 private:
  explicit WorkerName(std::string value) : value_(std::move(value)) {}
  std::string value_;
};

// The far end of a poll that is held open. Thread-safe.
class WorkerStream {
 public:
  virtual ~WorkerStream() = default;
  // Does not block. False: the worker is gone.
  virtual bool send(std::shared_ptr<const std::string> line) = 0;
  virtual void close() = 0;
  virtual bool closed() const = 0;
};

struct WorkerView {
  std::string name;
  bool connected = false;
  Timestamp last_seen;
  std::size_t assignments = 0;  // Not yet reported.
  std::string version;          // As it says; empty: it does not.
};

struct WorkerHubOptions {
  std::chrono::milliseconds heartbeat{5'000};  // Between lines that only say that the stream lives.
  std::chrono::milliseconds poll_max{60'000};  // Then a poll is ended, and comes again.
  std::chrono::milliseconds away_max{3'000};   // A call waits this long for a worker that is not there.
  std::size_t workers_max = 10'000;            // Names that are remembered.
  std::size_t assignments_max = 256;           // Of one worker.
};

// Thread-safe. Costs one thread; a worker that waits costs none.
class WorkerHub {
 public:
  explicit WorkerHub(const Clock& clock, WorkerHubOptions options = {});
  ~WorkerHub();  // stop()
  WorkerHub(const WorkerHub&) = delete;
  WorkerHub& operator=(const WorkerHub&) = delete;

  // Ends every poll; calls that wait end with kUnavailable. Safe to call twice.
  void stop();

  // --- For whoever answers workers. Bodies are what they sent. ---

  struct Admission {
    WorkerName worker;
    std::string session;
    std::vector<std::uint64_t> held;  // Assignments that this process has and will report.
    std::string version;
  };
  // Errors: kInvalidArgument (the body), kPreconditionFailed (a newer process has this name: this one must end), kUnavailable
  // (stopping), kRateLimited (too many names).
  Result<Admission> admit(const WorkerName& worker, std::string_view body);
  // From now on assignments go there. What an older process or a broken poll had is delivered again.
  void attach(const Admission& admission, std::shared_ptr<WorkerStream> stream);
  // Errors: kInvalidArgument, kPreconditionFailed (as admit), kNotFound (that delivery is not waited for any more).
  Status report(const WorkerName& worker, std::string_view body);
  // The bytes of a file of an assignment that this process holds. Errors: as report.
  Result<std::shared_ptr<const std::string>> content(const WorkerName& worker, std::string_view body);
  std::vector<WorkerView> workers() const;  // By name.

  // --- For the driver. ---

  // Hands the assignment (a JSON object, as text) to the worker and waits for its report: a JSON object, as text. `content` may be
  // null. Errors: kUnavailable (no such worker is there, timed out, cancelled, stopping, too many assignments).
  Result<std::string> assign(const CallContext& call, const WorkerName& worker, std::string assignment,
                             const Content* content);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

// builtin_drivers(), and `worker` through this hub, which outlives it.
std::unique_ptr<DriverFactory> drivers_with_workers(WorkerHub& hub);

}  // namespace st8::target
