#include "http/listener.h"

#include <arpa/inet.h>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <memory>
#include <netdb.h>
#include <netinet/in.h>
#include <system_error>

namespace st8::http {
namespace {

// As much as the kernel allows (it cuts at net.core.somaxconn): a burst of clients must not be refused.
constexpr int kBacklog = 4096;

std::string reason_of(int error) { return std::error_code(error, std::generic_category()).message(); }

}  // namespace

Result<ListenAddress> parse_listen_address(std::string_view text) {
  const auto malformed = [text] {
    return fail(ErrorCode::kInvalidArgument, "cannot listen on \"" + std::string(text) + "\": it is not host:port",
                "give an address such as 127.0.0.1:8748, [::1]:8748 or :8748");
  };
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return malformed();
  std::string_view host = text.substr(0, colon);
  const std::string_view port = text.substr(colon + 1);
  if (host.starts_with('[')) {
    if (!host.ends_with(']') || host.size() < 4) return malformed();
    host = host.substr(1, host.size() - 2);
  } else if (host.find(':') != std::string_view::npos) {
    return malformed();
  }
  ListenAddress address;
  address.host = host;
  const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), address.port);
  if (port.empty() || error != std::errc() || end != port.data() + port.size()) return malformed();
  return address;
}

bool ListenAddress::loopback() const {
  if (host == "localhost" || host == "::1") return true;
  in_addr parsed{};
  return ::inet_pton(AF_INET, host.c_str(), &parsed) == 1 && (ntohl(parsed.s_addr) >> 24) == 127;
}

std::string format_socket_address(const sockaddr_storage& address) {
  char text[INET6_ADDRSTRLEN] = {};
  if (address.ss_family == AF_INET) {
    sockaddr_in v4{};
    std::memcpy(&v4, &address, sizeof(v4));
    ::inet_ntop(AF_INET, &v4.sin_addr, text, sizeof(text));
    return std::string(text) + ":" + std::to_string(ntohs(v4.sin_port));
  }
  if (address.ss_family == AF_INET6) {
    sockaddr_in6 v6{};
    std::memcpy(&v6, &address, sizeof(v6));
    const std::string port = std::to_string(ntohs(v6.sin6_port));
    if (IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr)) {
      ::inet_ntop(AF_INET, &v6.sin6_addr.s6_addr[12], text, sizeof(text));
      return std::string(text) + ":" + port;
    }
    ::inet_ntop(AF_INET6, &v6.sin6_addr, text, sizeof(text));
    return "[" + std::string(text) + "]:" + port;
  }
  return "unknown";
}

Result<Listener> Listener::open(const ListenAddress& address) {
  const std::string shown = (address.host.find(':') == std::string::npos ? address.host : "[" + address.host + "]") +
                            ":" + std::to_string(address.port);
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  const std::string port_text = std::to_string(address.port);
  const int lookup =
      ::getaddrinfo(address.host.empty() ? nullptr : address.host.c_str(), port_text.c_str(), &hints, &found);
  if (lookup != 0) {
    return fail(ErrorCode::kInvalidArgument, "cannot listen on " + shown + ": " + ::gai_strerror(lookup),
                "give an address of this machine, such as 127.0.0.1:8748");
  }
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> owner(found, &::freeaddrinfo);

  // Every interface: one IPv6 socket that takes IPv4 too, where the machine has IPv6.
  int last_error = EADDRNOTAVAIL;
  for (const int family : {AF_INET6, AF_INET}) {
    for (const addrinfo* candidate = found; candidate != nullptr; candidate = candidate->ai_next) {
      if (candidate->ai_family != family) continue;
      if (family == AF_INET6 && address.host == "localhost") continue;  // 127.0.0.1 is what people mean.
      Descriptor socket(::socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
      if (!socket) {
        last_error = errno;
        continue;
      }
      const int on = 1;
      const int off = 0;
      ::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
      if (family == AF_INET6 && address.host.empty()) {
        ::setsockopt(socket.get(), IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
      }
      if (::bind(socket.get(), candidate->ai_addr, candidate->ai_addrlen) != 0 ||
          ::listen(socket.get(), kBacklog) != 0) {
        last_error = errno;
        if (last_error == EADDRINUSE) break;  // Do not slip onto the other family beside whoever holds the port.
        continue;
      }
      sockaddr_storage bound{};
      socklen_t length = sizeof(bound);
      ::getsockname(socket.get(), reinterpret_cast<sockaddr*>(&bound), &length);
      Listener listener;
      listener.socket_ = std::move(socket);
      const std::string text = format_socket_address(bound);
      std::from_chars(text.data() + text.rfind(':') + 1, text.data() + text.size(), listener.port_);
      const bool any = address.host.empty() || address.host == "0.0.0.0" || address.host == "::";
      listener.reachable_at_ = any ? "127.0.0.1:" + std::to_string(listener.port_) : text;
      return listener;
    }
    if (last_error == EADDRINUSE) break;
  }
  if (last_error == EADDRINUSE) {
    return fail(ErrorCode::kUnavailable, "cannot listen on " + shown + ": another process listens there",
                "stop it (`ss -ltnp` names it) or choose another address with --listen");
  }
  return fail(ErrorCode::kUnavailable, "cannot listen on " + shown + ": " + reason_of(last_error),
              "choose another address with --listen");
}

}  // namespace st8::http
