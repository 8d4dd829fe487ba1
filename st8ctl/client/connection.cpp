#include "client/connection.h"

#include <algorithm>
#include <arpa/inet.h>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>
#include <utility>
#include <vector>

#include "args/parse.h"
#include "client/module.h"
#include "tls/abi.h"

namespace st8::ctl {
namespace {

// Without a deadline of its own a connect would wait for minutes on a host that drops packets.
constexpr std::chrono::seconds kConnectMax{10};

Error unavailable(const std::string& what, int number) {
  return Error{ErrorCode::kUnavailable, what + ": " + std::strerror(number), ""};
}

class TcpConnection : public Connection {
 public:
  explicit TcpConnection(int descriptor) : descriptor_(descriptor) {}
  ~TcpConnection() override { ::close(descriptor_); }
  TcpConnection(const TcpConnection&) = delete;
  TcpConnection& operator=(const TcpConnection&) = delete;

  Result<std::optional<std::size_t>> read(char* into, std::size_t size) override {
    while (true) {
      const ssize_t got = ::recv(descriptor_, into, size, 0);
      if (got >= 0) return std::optional<std::size_t>(static_cast<std::size_t>(got));
      if (errno == EAGAIN || errno == EWOULDBLOCK) return std::optional<std::size_t>();
      if (errno != EINTR) return fail(unavailable("the connection broke", errno));
    }
  }
  Result<std::optional<std::size_t>> write(std::string_view bytes) override {
    while (true) {
      const ssize_t put = ::send(descriptor_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (put >= 0) return std::optional<std::size_t>(static_cast<std::size_t>(put));
      if (errno == EAGAIN || errno == EWOULDBLOCK) return std::optional<std::size_t>();
      if (errno != EINTR) return fail(unavailable("the connection broke", errno));
    }
  }
  Result<bool> wait(bool for_read, bool for_write, const Deadline& deadline) override {
    pollfd entry{descriptor_, static_cast<short>((for_read ? POLLIN : 0) | (for_write ? POLLOUT : 0)), 0};
    while (true) {
      int wait_ms = -1;
      if (deadline) {
        const auto left = std::chrono::ceil<std::chrono::milliseconds>(*deadline - std::chrono::steady_clock::now());
        wait_ms = static_cast<int>(std::clamp<std::int64_t>(left.count(), 0, 1'000'000'000));
      }
      const int ready = ::poll(&entry, 1, wait_ms);
      if (ready > 0) return true;
      if (ready == 0) return false;
      if (errno != EINTR) return fail(unavailable("cannot wait for the connection", errno));
    }
  }
  int descriptor() const { return descriptor_; }

 private:
  int descriptor_;
};

// The module's functions, found once.
struct TlsModule {
  decltype(&st8_tls_open) open = nullptr;
  decltype(&st8_tls_handshake) handshake = nullptr;
  decltype(&st8_tls_read) read = nullptr;
  decltype(&st8_tls_write) write = nullptr;
  decltype(&st8_tls_close) close = nullptr;
};

Result<TlsModule> load_tls() {
  ST8_ASSIGN(void* const module, load_module("libst8_tls.so"));
  TlsModule functions;
  const auto find = [&](auto& function, const char* name) -> Status {
    ST8_ASSIGN(void* const symbol, module_symbol(module, name));
    function = reinterpret_cast<std::remove_reference_t<decltype(function)>>(symbol);
    return {};
  };
  ST8_TRY(find(functions.open, "st8_tls_open"));
  ST8_TRY(find(functions.handshake, "st8_tls_handshake"));
  ST8_TRY(find(functions.read, "st8_tls_read"));
  ST8_TRY(find(functions.write, "st8_tls_write"));
  ST8_TRY(find(functions.close, "st8_tls_close"));
  return functions;
}

class TlsConnection : public Connection {
 public:
  static Result<std::unique_ptr<Connection>> open(std::unique_ptr<TcpConnection> tcp, const Address& address,
                                                  const TlsFiles& files, const Deadline& deadline) {
    ST8_ASSIGN(const TlsModule module, load_tls());
    const St8TlsOptions options{address.host.c_str(), files.ca_cert.c_str(), files.client_cert.c_str(),
                                files.client_key.c_str()};
    char error[512] = "";
    void* const handle = module.open(tcp->descriptor(), &options, error, sizeof error);
    if (handle == nullptr)
      return fail(ErrorCode::kInvalidArgument, error, "check --ca-cert, --client-cert and --client-key");
    auto connection = std::make_unique<TlsConnection>(std::move(tcp), module, handle);
    while (true) {
      const int outcome = module.handshake(handle, error, sizeof error);
      if (outcome == ST8_TLS_OK) return connection;
      if (outcome == ST8_TLS_END || outcome == ST8_TLS_ERROR) {
        const std::string why = error;
        const bool certificate = why.find("certificate") != std::string::npos;
        return fail(ErrorCode::kUnavailable, "no secure connection to " + address.authority + ": " + why,
                    certificate
                        ? "--ca-cert names the certificates to trust; --client-cert and --client-key give your own"
                        : "does the server speak TLS on this port?");
      }
      ST8_ASSIGN(const bool ready,
                 connection->tcp_->wait(outcome == ST8_TLS_WANT_READ, outcome == ST8_TLS_WANT_WRITE, deadline));
      if (!ready) return fail(ErrorCode::kUnavailable, "no secure connection to " + address.authority + " in time");
    }
  }

  TlsConnection(std::unique_ptr<TcpConnection> tcp, const TlsModule& module, void* handle)
      : tcp_(std::move(tcp)), module_(module), handle_(handle) {}
  ~TlsConnection() override { module_.close(handle_); }
  TlsConnection(const TlsConnection&) = delete;
  TlsConnection& operator=(const TlsConnection&) = delete;

  Result<std::optional<std::size_t>> read(char* into, std::size_t size) override {
    std::size_t moved = 0;
    char error[512] = "";
    const int outcome = module_.read(handle_, into, size, &moved, error, sizeof error);
    return result_of(outcome, moved, error, read_wants_write_);
  }
  Result<std::optional<std::size_t>> write(std::string_view bytes) override {
    std::size_t moved = 0;
    char error[512] = "";
    bool wants_write = false;
    const int outcome = module_.write(handle_, bytes.data(), bytes.size(), &moved, error, sizeof error);
    auto result = result_of(outcome, moved, error, wants_write);
    write_wants_read_ = result && !*result && !wants_write;
    return result;
  }
  Result<bool> wait(bool for_read, bool for_write, const Deadline& deadline) override {
    return tcp_->wait((for_read && !read_wants_write_) || (for_write && write_wants_read_),
                      (for_write && !write_wants_read_) || (for_read && read_wants_write_), deadline);
  }

 private:
  static Result<std::optional<std::size_t>> result_of(int outcome, std::size_t moved, const char* error,
                                                      bool& wants_write) {
    wants_write = outcome == ST8_TLS_WANT_WRITE;
    if (outcome == ST8_TLS_OK) return std::optional<std::size_t>(moved);
    if (outcome == ST8_TLS_END) return std::optional<std::size_t>(0);
    if (outcome == ST8_TLS_ERROR) return fail(ErrorCode::kUnavailable, std::string("the connection broke: ") + error);
    return std::optional<std::size_t>();
  }

  std::unique_ptr<TcpConnection> tcp_;
  TlsModule module_;
  void* handle_;
  bool read_wants_write_ = false;
  bool write_wants_read_ = false;
};

struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t length = 0;
};

SocketAddress ipv4(std::uint32_t address, std::uint16_t port) {
  SocketAddress result;
  auto* in = reinterpret_cast<sockaddr_in*>(&result.storage);
  in->sin_family = AF_INET;
  in->sin_port = htons(port);
  in->sin_addr.s_addr = htonl(address);
  result.length = sizeof *in;
  return result;
}

SocketAddress ipv6(const in6_addr& address, std::uint16_t port) {
  SocketAddress result;
  auto* in = reinterpret_cast<sockaddr_in6*>(&result.storage);
  in->sin6_family = AF_INET6;
  in->sin6_port = htons(port);
  in->sin6_addr = address;
  result.length = sizeof *in;
  return result;
}

Result<std::vector<SocketAddress>> look_up(const Address& address) {
  const auto port = static_cast<std::uint16_t>(*parse_number(address.port));
  // Numbers and "localhost" (RFC 6761) need no resolver, whose libraries would cost more than the request.
  in_addr four{};
  in6_addr six{};
  if (::inet_pton(AF_INET, address.host.c_str(), &four) == 1) return std::vector{ipv4(ntohl(four.s_addr), port)};
  if (::inet_pton(AF_INET6, address.host.c_str(), &six) == 1) return std::vector{ipv6(six, port)};
  if (address.host == "localhost") return std::vector{ipv4(INADDR_LOOPBACK, port), ipv6(in6addr_loopback, port)};
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_ADDRCONFIG;
  addrinfo* found = nullptr;
  const int outcome = ::getaddrinfo(address.host.c_str(), address.port.c_str(), &hints, &found);
  if (outcome != 0) {
    return fail(ErrorCode::kUnavailable, "cannot find the host " + address.host + ": " + ::gai_strerror(outcome),
                "is the server's name spelled right?");
  }
  std::vector<SocketAddress> addresses;
  for (const addrinfo* entry = found; entry != nullptr; entry = entry->ai_next) {
    SocketAddress one;
    std::memcpy(&one.storage, entry->ai_addr, entry->ai_addrlen);
    one.length = entry->ai_addrlen;
    addresses.push_back(one);
  }
  ::freeaddrinfo(found);
  return addresses;
}

Result<std::unique_ptr<TcpConnection>> connect_one(const SocketAddress& target, const std::string& name,
                                                   const Deadline& deadline) {
  const int descriptor = ::socket(target.storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (descriptor < 0) return fail(unavailable("cannot open a socket", errno));
  auto connection = std::make_unique<TcpConnection>(descriptor);
  const int on = 1;
  ::setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  if (::connect(descriptor, reinterpret_cast<const sockaddr*>(&target.storage), target.length) == 0) return connection;
  if (errno != EINPROGRESS) return fail(unavailable("cannot connect to " + name, errno));
  ST8_ASSIGN(const bool ready, connection->wait(false, true, deadline));
  if (!ready) return fail(unavailable("cannot connect to " + name, ETIMEDOUT));
  int number = 0;
  socklen_t size = sizeof number;
  ::getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &number, &size);
  if (number != 0) return fail(unavailable("cannot connect to " + name, number));
  return connection;
}

}  // namespace

Result<Address> parse_address(const std::string& url) {
  const auto malformed = [&](const std::string& why, const std::string& hint) {
    return fail(ErrorCode::kInvalidArgument, "the server address \"" + url + "\" " + why, hint);
  };
  for (const char c : url) {
    if (static_cast<unsigned char>(c) <= 0x20 || c == 0x7f)
      return malformed("holds white space or a control character", "");
  }
  Address address;
  std::string_view rest = url;
  if (rest.starts_with("http://")) {
    rest.remove_prefix(7);
  } else if (rest.starts_with("https://")) {
    rest.remove_prefix(8);
    address.tls = true;
  } else {
    return malformed(
        "is not an http or https URL",
        "did you mean \"http://" + url.substr(url.find("://") == std::string::npos ? 0 : url.find("://") + 3) + "\"?");
  }
  const std::size_t slash = rest.find_first_of("/?#");
  std::string_view authority = rest.substr(0, slash);
  std::string_view path = slash == std::string_view::npos ? std::string_view() : rest.substr(slash);
  if (path.find_first_of("?#") != std::string_view::npos)
    return malformed("has a query or fragment", "leave out what begins with ? or #");
  if (authority.find('@') != std::string_view::npos)
    return malformed("holds a user name", "give the token by --token or `st8ctl login`");
  while (path.ends_with('/')) path.remove_suffix(1);
  address.base_path = path;
  address.authority = authority;
  address.port = address.tls ? "443" : "80";
  std::string_view port;
  if (authority.starts_with('[')) {
    const std::size_t close = authority.find(']');
    if (close == std::string_view::npos) return malformed("has no ] behind its address", "");
    address.host = authority.substr(1, close - 1);
    port = authority.substr(close + 1);
    if (!port.empty() && port[0] != ':') return malformed("is malformed behind ]", "");
    if (!port.empty())
      port.remove_prefix(1);
    else
      port = {};
    if (authority.size() > close + 1 && port.empty()) return malformed("has an empty port", "");
  } else {
    const std::size_t colon = authority.find(':');
    address.host = authority.substr(0, colon);
    if (colon != std::string_view::npos) {
      port = authority.substr(colon + 1);
      if (port.empty()) return malformed("has an empty port", "");
    }
  }
  if (address.host.empty()) return malformed("names no host", "write it as http://host:8748");
  if (!port.empty()) {
    const auto number = parse_number(port);
    if (!number || *number == 0 || *number > 65535)
      return malformed("has a port that is no number from 1 to 65535", "");
    address.port = port;
  }
  return address;
}

Result<std::unique_ptr<Connection>> connect_to(const Address& address, const TlsFiles& tls, const Deadline& deadline) {
  const auto latest = std::chrono::steady_clock::now() + kConnectMax;
  const Deadline connect_by = deadline ? std::min(*deadline, latest) : latest;
  ST8_ASSIGN(const std::vector<SocketAddress> targets, look_up(address));
  Error last{ErrorCode::kUnavailable, "the host " + address.host + " has no address", ""};
  for (const SocketAddress& target : targets) {
    Result<std::unique_ptr<TcpConnection>> connection = connect_one(target, address.authority, connect_by);
    if (!connection) {
      last = connection.error();
      continue;
    }
    if (!address.tls) return std::unique_ptr<Connection>(std::move(*connection));
    return TlsConnection::open(std::move(*connection), address, tls, connect_by);
  }
  return fail(std::move(last));
}

}  // namespace st8::ctl
