// The listening socket.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <sys/socket.h>

#include "http/descriptor.h"
#include "st8/state/result.h"

namespace st8::http {

struct ListenAddress {
  std::string host;  // Empty: every interface. A name, an IPv4 or (without its brackets) an IPv6 address.
  std::uint16_t port = 0;
  // Whether only this machine can reach it.
  bool loopback() const;
};

// "host:port", "[::1]:port", ":port". Errors: kInvalidArgument.
Result<ListenAddress> parse_listen_address(std::string_view text);

class Listener {
 public:
  // Binds and listens, non-blocking, without SO_REUSEPORT, so that a port in use is an error and not a share.
  // Port 0 picks a free one. Errors: kUnavailable (in use, not permitted), kInvalidArgument (no such host).
  static Result<Listener> open(const ListenAddress& address);

  int descriptor() const { return socket_.get(); }
  std::uint16_t port() const { return port_; }
  // "127.0.0.1:8748", "[::1]:8748"; where every interface is listened on, the loopback address.
  const std::string& reachable_at() const { return reachable_at_; }
  void close() { socket_.reset(); }

 private:
  Descriptor socket_;
  std::uint16_t port_ = 0;
  std::string reachable_at_;
};

// "127.0.0.1:51234", "[::1]:51234"; IPv4 addresses mapped into IPv6 are shown as IPv4.
std::string format_socket_address(const sockaddr_storage& address);

}  // namespace st8::http
