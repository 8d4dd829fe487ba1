// Runs a program: its own process group, a deadline, bounded output, nothing left behind.
#pragma once

#include <string>
#include <sys/types.h>
#include <utility>
#include <vector>

#include "st8/target/target.h"

namespace st8::target::effects {

inline constexpr std::size_t kOutputBytesMax = 16u << 10;  // Of what a program says; more is read and dropped.

struct ProcessOrder {
  std::vector<std::string> argv;  // argv[0] is looked for in the system's directories when it has no '/'.
  std::vector<std::pair<std::string, std::string>>
      environment;        // Beside a fixed PATH and LANG; nothing of the daemon's is passed on.
  std::string directory;  // Empty: "/".
  std::string input;      // On standard input, then end of file.
  std::size_t output_bytes_max = kOutputBytesMax;
  bool separate_errors = false;  // Standard error goes to ProcessEnd::errors.
};
struct ProcessEnd {
  int exit_code = -1;  // 128 + signal when it was killed.
  std::string output;  // Standard output (and error), cut at the bound.
  std::string errors;
  bool truncated = false;
};

// Starts a program of `order` (argv, environment, directory alone) with these descriptors, in a process group of its own, and does not
// wait for it. Errors: kUnprocessable.
Result<pid_t> start_process(const ProcessOrder& order, int in, int out, int err);

// Errors: kUnavailable (cancelled or past the deadline: the whole group is killed first), kUnprocessable (cannot be started).
Result<ProcessEnd> run_process(const CallContext& call, const ProcessOrder& order);

}  // namespace st8::target::effects
