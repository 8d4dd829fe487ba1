// How a request reaches st8d: over HTTP, or into the server's code in this process. Neither knows what it carries.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "st8/state/result.h"

namespace st8::ctl {

struct HttpRequest {
  std::string method;
  std::string target;  // Path and query, percent-encoded: "/v1/state?namespace=default".
  std::vector<std::pair<std::string, std::string>> headers;
  std::string_view body;  // Outlives the call.
  // A read, or a write that carries an idempotency key: a connection that dies before the answer is tried again once.
  bool safe_to_repeat = false;
};

struct HttpResponse {
  int status = 0;
  std::vector<std::pair<std::string, std::string>> headers;  // Names in lower case.
  std::string body;
  // Empty when absent.
  std::string_view header(std::string_view name) const;
};

struct TransferOptions {
  // For a body that is consumed as it comes: called for each piece of a 2xx answer, whose `body` then stays empty; false ends
  // the transfer, without an error.
  std::function<bool(std::string_view)> sink;
  std::function<void(std::uint64_t sent)> on_sent;                               // Of the request's body; may be null.
  std::function<void(std::uint64_t received, std::uint64_t total)> on_received;  // `total` 0: not said.
  // A stream has no deadline as a whole; it is lost when nothing came for this long. 0: an ordinary request.
  std::int64_t silence_ms_max = 0;
  // Of a stream: called when nothing came for `idle_ms`, again and again; false ends the transfer, without an error. May be null.
  std::function<bool()> on_idle;
  std::int64_t idle_ms = 0;
};

class Transport {
 public:
  virtual ~Transport() = default;
  // Errors: kUnavailable (no connection, or it broke before a write could have been read; a timeout of a read), kOutcomeUnknown (a
  // write was sent, and its answer did not come), kInvalidArgument (a malformed address). An answer with an error status is no error here.
  virtual Result<HttpResponse> send(const HttpRequest& request, const TransferOptions& options) = 0;
  // For messages: "http://127.0.0.1:8748", "/root/.st8".
  virtual std::string address() const = 0;
};

// RFC 3986 percent-encoding of one path segment or query value; '/' stays when `keep_slash`.
std::string percent_encoded(std::string_view text, bool keep_slash);

}  // namespace st8::ctl
