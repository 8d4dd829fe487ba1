// What every stream of server-sent events has: the bytes of an event, and the head of the response.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "api/call.h"

namespace st8::api {

// One event as it goes out. `data` is one line; without an `id` a client resumes behind the event before.
std::shared_ptr<const std::string> event_bytes(std::string_view name, std::string_view data, std::string_view id = {});

// The response that a stream begins with; its opener is the caller's to set. Errors: kUnavailable while the server stops.
Reply event_stream_response(const Call& call);

}  // namespace st8::api
