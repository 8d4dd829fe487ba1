// The worker's side: `st8d worker` on a target's machine.
//
// It applies what it is assigned below one directory of its own, reports what it reads back from there, and keeps what it must not
// forget on the disk: an activation that waits to be confirmed goes back by itself at its deadline, also when the worker was killed
// and started again in between, and whether st8d can be reached or not.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "st8/state/clock.h"
#include "st8/state/result.h"
#include "st8/target/worker_hub.h"

namespace st8::target {

// How a worker speaks with st8d. Calls come from several threads.
class WorkerTransport {
 public:
  virtual ~WorkerTransport() = default;
  // Holds a poll open and gives each line to `take`; ends when st8d ends it, when `take` answers false, or soon after interrupt().
  // Errors: kUnavailable (not reached, cut off), and what st8d refuses it with.
  virtual Status poll(const std::string& body, const std::function<bool(std::string_view line)>& take) = 0;
  virtual Status report(const std::string& body) = 0;
  virtual Result<std::string> content(const std::string& body) = 0;
  virtual void interrupt() = 0;
};

struct WorkerAgentOptions {
  WorkerName name;
  std::string root;                             // Absolute; made when its parent is there.
  std::chrono::milliseconds retry_max{5'000};   // Between attempts to reach st8d.
  std::function<void(const std::string&)> log;  // One line for people; never content. May be null.
  bool allow_steps = false;                     // Does a policy's steps: programs, files anywhere, requests, packages.
  std::string version = {};                     // Told to st8d; at most 64 characters.
};

class WorkerAgent {
 public:
  // Errors: kConflict (another worker has this root), kUnprocessable, kUnavailable (the root). `transport` and `clock` are borrowed.
  static Result<std::unique_ptr<WorkerAgent>> open(WorkerAgentOptions options, WorkerTransport& transport,
                                                   const Clock& clock);
  ~WorkerAgent();

  // Works until stop(). Errors: kPreconditionFailed when a newer process took the name over; what st8d refuses for good
  // (kUnauthenticated, kPermissionDenied) is tried again, since tokens change.
  Status run();
  // Thread-safe. What runs is finished, or cut short where it may be done again.
  void stop();

 private:
  class Impl;
  explicit WorkerAgent(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace st8::target
