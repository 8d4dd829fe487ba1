// One request and its response, free of any transport: the front makes Requests from sockets, `st8ctl --local` makes
// them from its arguments, and the same handlers answer both.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "st8/state/result.h"

namespace st8::http {

struct Request {
  std::string method;                                        // Upper case.
  std::string path;                                          // Decoded, without the query: "/v1/documents/app/a.json".
  std::vector<std::pair<std::string, std::string>> query;    // Decoded, in order.
  std::vector<std::pair<std::string, std::string>> headers;  // Names in lower case.
  std::string body;
  std::string remote_address;      // "127.0.0.1:51234"; "local" in process.
  bool local = false;              // In process: the caller is the owner of the state directory.
  bool secure = false;             // Came over TLS.
  std::string client_certificate;  // Subject of a verified client certificate, or empty.
  std::string id;                  // Request id: the client's X-Request-Id when sane, else made.

  // The first value of a query parameter; nullopt when absent (an empty value is present).
  std::optional<std::string_view> query_value(std::string_view name) const;
  // The first value of a header (name in lower case); empty when absent.
  std::string_view header(std::string_view name) const;
};

// The far end of a response that stays open (server-sent events). Thread-safe; costs no thread while it waits.
class Channel {
 public:
  virtual ~Channel() = default;
  // Queues bytes for the client without blocking. False: the client is gone or too far behind (the front then closes it).
  virtual bool send(std::shared_ptr<const std::string> bytes) = 0;
  // Bytes queued and not yet taken by the client's socket: who has much to send waits while this is high, and is not cut off.
  virtual std::size_t pending_bytes() const = 0;
  virtual void close() = 0;
  virtual bool closed() const = 0;
};

struct Response {
  int status = 200;
  std::vector<std::pair<std::string, std::string>> headers;  // Content-Length and Date are the front's.
  std::string body;
  std::vector<std::string>
      more_body;  // Behind `body`: a large answer is made in parts, and joining them would be a copy.
  // Instead of `body`: pulled by a worker until it answers empty; an error cuts the connection. For backups and dumps.
  std::function<Result<std::string>()> body_source;
  // Instead of `body`: the head is sent, then the connection belongs to whoever keeps the channel.
  std::function<void(std::shared_ptr<Channel>)> on_stream;
  // The name of whoever was authenticated, for the access log; never sent.
  std::string principal;

  void set_header(std::string name, std::string value) { headers.emplace_back(std::move(name), std::move(value)); }
  std::size_t body_bytes() const {
    std::size_t bytes = body.size();
    for (const std::string& part : more_body) bytes += part.size();
    return bytes;
  }
};

// Where an answer goes that comes later than its handler returns.
class LaterAnswer {
 public:
  virtual ~LaterAnswer() = default;
  // Called by a handler that is going to answer later: holds the place, and the request, until deliver() was called.
  virtual std::shared_ptr<LaterAnswer> keep() = 0;
  // Called once, by any thread, also before the handler has returned. Quick: `make` is run later, by a worker thread, once.
  virtual void deliver(std::function<Response()> make) = 0;
};

class Handler {
 public:
  virtual ~Handler() = default;
  // Called on a worker thread; may block for the store. Must not throw.
  virtual Response handle(const Request& request) = 0;
  // As handle(), for a caller that can wait without a thread: nullopt says that `later` was kept.
  virtual std::optional<Response> begin(const Request& request, LaterAnswer&) { return handle(request); }
  // The route's pattern for metrics ("/v1/documents/{key}"), without work; "unmatched" when there is none.
  virtual std::string_view route_of(const Request& request) const = 0;
};

}  // namespace st8::http
