// `st8d worker`: the process on a target's machine.
#pragma once

#include <string>

#include "st8/state/result.h"

namespace st8::daemon {

struct WorkerConfig {
  std::string server;  // "https://st8.example:8748"
  std::string name;
  std::string root;
  std::string token_file;  // Read anew for each attempt to connect; empty: none.
  std::string ca_cert;     // PEM; empty: the system's.
  bool allow_steps = false;
};

// Works until SIGTERM or SIGINT. Errors: as WorkerAgent::open and run; kInvalidArgument (the flags).
Status work(const WorkerConfig& config);

}  // namespace st8::daemon
