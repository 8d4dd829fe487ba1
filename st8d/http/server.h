// The HTTP front: sockets in, Requests to a Handler, Responses out.
//
// Connections that wait cost no thread (see crew.h for who runs what), deadlines are per request, bodies, queues and
// what is buffered for slow clients are bounded. It knows nothing of what the handler does.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "http/access_log.h"
#include "http/exchange.h"
#include "http/listener.h"
#include "http/metrics.h"
#include "http/request_gatherer.h"
#include "http/tls.h"
#include "st8/state/result.h"

namespace st8::http {

struct ServerOptions {
  ListenAddress listen{"127.0.0.1", 0};
  std::optional<TlsOptions> tls;
  GatherLimits limits;

  // A head must be whole after header_timeout, a request after read_timeout, both from its first byte; so must a TLS
  // handshake. Zero: no deadline.
  std::chrono::milliseconds header_timeout{10'000};
  std::chrono::milliseconds read_timeout{30'000};
  // Each MiB of an answer must be taken by the client within this.
  std::chrono::milliseconds write_timeout{60'000};
  // Between two requests.
  std::chrono::milliseconds idle_timeout{120'000};

  std::size_t workers_max = 256;    // Requests that may wait for the store at once.
  std::size_t queue_max = 1024;     // Requests that may wait for a worker; beyond: 503.
  std::size_t connections_max = 0;  // 0: as many as the limit of open files leaves room for.
  std::size_t buffered_bytes_max =
      512u << 20;  // Of bodies coming in and answers not taken yet, over all connections; beyond: 503.

  std::size_t channel_backlog_bytes = 1u << 20;  // What a held stream may be behind before it is cut off.
  std::chrono::milliseconds channel_keepalive{15'000};
};

class Server {
 public:
  // Binds, and serves from now on. `handler`, `metrics` and `log` outlive the server. Ignores SIGPIPE for the
  // process, since a client that is gone is no reason to end. Errors: as Listener::open and TlsContext::load;
  // kUnavailable.
  static Result<std::unique_ptr<Server>> start(const ServerOptions& options, Handler& handler, Metrics& metrics,
                                               AccessLog& log);
  ~Server();  // Cuts what is left; call drain() first for a clean end.
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  std::uint16_t port() const;
  std::string url() const;  // "http://127.0.0.1:8748".

  // Reads certificates and keys again; connections that are open keep theirs. On an error the old ones stay in use.
  Status reload_tls();

  // Stops accepting, closes idle connections, ends channels with a last event, lets running requests finish; what is
  // left at the deadline is cut. Blocks. True: nothing had to be cut.
  bool drain(std::chrono::milliseconds deadline);

 private:
  class Impl;
  explicit Server(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace st8::http
