// Requests answered in this process by the server's own code, over a state directory (`--local`).
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "client/transport.h"

namespace st8::ctl {

struct LocalOptions {
  std::string state_dir;
  std::int64_t timeout_ms =
      0;  // How long to wait for another process that holds the directory; 0: as long as it takes.
  std::function<void(std::string_view)> notice;  // Says who is waited for; may be null.
};

// Opens the store with the first request. One process at a time holds a directory: a second st8ctl waits for the first; a st8d
// that serves it is not waited for, as it would not end. Errors of send(): kUnavailable (held by another, naming it; the module is not installed), kPermissionDenied.
std::unique_ptr<Transport> make_local_transport(LocalOptions options);

// Who holds the store's lock: "st8ctl (process 4711)"; empty when nobody does, or it cannot be told.
struct LockHolder {
  std::int64_t process = 0;  // 0: nobody.
  std::string name;
};
LockHolder store_lock_holder(const std::string& state_dir);

}  // namespace st8::ctl
