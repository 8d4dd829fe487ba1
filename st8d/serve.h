// `st8d serve`: a state directory behind sockets, until a signal ends it.
#pragma once

#include "config.h"
#include "st8/state/result.h"

namespace st8::daemon {

// Blocks the signals it handles; call it from the main thread before any other thread runs. SIGTERM and SIGINT drain and return;
// SIGHUP reads tokens and certificates again. Errors: whatever keeps it from starting.
Status serve(const Config& config);

}  // namespace st8::daemon
