// One HTTP request, for health checks and steps.
#pragma once

#include <string>

#include "st8/target/target.h"

namespace st8::target::effects {

struct HttpOrder {
  std::string method = "GET";
  std::string url;  // http://host[:port]/path
  std::string body;
  std::string content_type = "text/plain";
};
struct HttpAnswer {
  int status = 0;
  std::string body;  // At most 64 KiB of it.
};
// Errors: kUnprocessable (the URL), kUnavailable (no answer within the deadline).
Result<HttpAnswer> http_request(const CallContext& call, const HttpOrder& order);

// Whether a TCP connection can be made. Errors: kUnavailable, kUnprocessable (the port).
Status tcp_connect(const CallContext& call, const std::string& host, const std::string& port);

}  // namespace st8::target::effects
