// Requests over HTTP/1.1 or HTTPS, on one connection that is kept from request to request.
//
// This is a client of our own rather than a library's because of what a library costs before the first byte: loading and
// binding cpp-httplib with OpenSSL, zlib and brotli takes several times as long as the whole of `st8ctl get`.
#pragma once

#include <memory>
#include <string>

#include "client/connection.h"
#include "client/transport.h"

namespace st8::ctl {

struct HttpOptions {
  std::string url;
  TlsFiles tls;
  std::int64_t timeout_ms = 0;  // For a request as a whole, from the connect to the last byte; 0: none.
};

// Connects when the first request is sent. Errors: kInvalidArgument for a malformed address.
Result<std::unique_ptr<Transport>> make_http_transport(HttpOptions options);

}  // namespace st8::ctl
