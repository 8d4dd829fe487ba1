// The bytes that go out before a body, and the answers that the front gives by itself.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "http/exchange.h"

namespace st8::http {

enum class BodyFraming : std::uint8_t { kLength, kChunked, kUntilClose, kNone };

struct ResponseHeadOptions {
  BodyFraming framing = BodyFraming::kLength;
  std::uint64_t length = 0;
  bool keep_alive = true;
  bool http_1_0 = false;
  std::string_view request_id;  // Sent as X-Request-Id, unless the handler set one.
};

// Appends the status line and headers, with Date, the framing and the connection's fate. Header names and values are
// the handler's; bytes in them that could end a header are replaced by '?'.
void append_response_head(std::string& out, const Response& response, const ResponseHeadOptions& options);

// Whether an answer with this status has no body whatever its handler says (RFC 9110 section 6.4.1).
bool status_has_no_body(int status);

// An RFC 9457 problem document made without a handler: a refused head, an overload, a timeout.
Response make_problem(int status, std::string_view detail, std::string_view request_id);

std::string_view status_text(int status);

}  // namespace st8::http
