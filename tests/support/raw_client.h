// A client that sends exactly the bytes a test wants, over a real socket, and reads answers with a deadline.
#pragma once

#include <arpa/inet.h>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstdint>
#include <map>
#include <netinet/in.h>
#include <optional>
#include <poll.h>
#include <string>
#include <string_view>
#include <sys/socket.h>
#include <unistd.h>
#include <utility>

namespace st8::test {

struct RawResponse {
  int status = 0;
  std::map<std::string, std::string> headers;  // Names in lower case.
  std::string body;
};

class RawClient {
 public:
  explicit RawClient(std::uint16_t port) {
    socket_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    connected_ = ::connect(socket_, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0;
  }
  ~RawClient() { close(); }
  RawClient(RawClient&& other) noexcept
      : socket_(std::exchange(other.socket_, -1)), connected_(other.connected_), surplus_(std::move(other.surplus_)) {}
  RawClient& operator=(RawClient&&) = delete;

  bool connected() const { return connected_; }
  int socket() const { return socket_; }
  void close() {
    if (socket_ >= 0) ::close(std::exchange(socket_, -1));
  }
  void shutdown_write() { ::shutdown(socket_, SHUT_WR); }
  // A small receive buffer makes a slow reader felt early.
  void set_receive_buffer(int bytes) { ::setsockopt(socket_, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes)); }

  // False when the other side does not take it all.
  bool send(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t sent = ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent < 0 && errno == EINTR) continue;
      if (sent <= 0) return false;
      bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
    return true;
  }

  // What comes next, at most `max` bytes; empty at the end of the stream; nullopt when nothing comes in time.
  std::optional<std::string> receive(std::chrono::milliseconds timeout = std::chrono::seconds(10),
                                     std::size_t max = 65'536) {
    if (!surplus_.empty()) return std::exchange(surplus_, {});
    pollfd waiting{socket_, POLLIN, 0};
    if (::poll(&waiting, 1, static_cast<int>(timeout.count())) != 1) return std::nullopt;
    std::string bytes(max, '\0');
    const ssize_t got = ::recv(socket_, bytes.data(), bytes.size(), 0);
    bytes.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
    return bytes;
  }

  // Reads until `text` has come; the bytes up to its end. nullopt at a deadline or the end of the stream.
  std::optional<std::string> receive_until(std::string_view text,
                                           std::chrono::milliseconds timeout = std::chrono::seconds(10)) {
    const auto deadline = std::chrono::steady_clock::now() + timeout;
    std::string all;
    while (true) {
      const std::size_t found = all.find(text);
      if (found != std::string::npos) {
        surplus_ = all.substr(found + text.size());
        all.resize(found + text.size());
        return all;
      }
      const auto left =
          std::chrono::duration_cast<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
      const auto more = receive(std::max(left, std::chrono::milliseconds(0)));
      if (!more || more->empty()) return std::nullopt;
      all += *more;
    }
  }

  // Everything up to the end of the stream; nullopt when it does not end in time.
  std::optional<std::string> receive_all(std::chrono::milliseconds timeout = std::chrono::seconds(10)) {
    const auto deadline = std::chrono::steady_clock::now() + timeout;
    std::string all;
    while (true) {
      const auto left =
          std::chrono::duration_cast<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
      const auto more = receive(std::max(left, std::chrono::milliseconds(0)));
      if (!more) return std::nullopt;
      if (more->empty()) return all;
      all += *more;
    }
  }

  // One response, framed by length, by chunks or by the end of the stream. nullopt when none comes whole.
  std::optional<RawResponse> response(bool head_only = false,
                                      std::chrono::milliseconds timeout = std::chrono::seconds(10)) {
    const auto head = receive_until("\r\n\r\n", timeout);
    if (!head || !head->starts_with("HTTP/1.1 ")) return std::nullopt;
    RawResponse response;
    std::from_chars(head->data() + 9, head->data() + 12, response.status);
    std::size_t at = head->find("\r\n") + 2;
    while (at + 2 < head->size()) {
      const std::size_t end = head->find("\r\n", at);
      const std::size_t colon = head->find(':', at);
      std::string name = head->substr(at, colon - at);
      for (char& c : name) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
      response.headers[name] = head->substr(colon + 2, end - colon - 2);
      at = end + 2;
    }
    if (response.status == 100) return response;
    if (head_only || response.status == 204 || response.status == 304) return response;
    if (const auto length = response.headers.find("content-length"); length != response.headers.end()) {
      const auto size = static_cast<std::size_t>(std::stoull(length->second));
      while (response.body.size() < size) {
        const auto more = receive(timeout);
        if (!more || more->empty()) return std::nullopt;
        response.body += *more;
      }
      surplus_ = response.body.substr(size);
      response.body.resize(size);
      return response;
    }
    if (response.headers.contains("transfer-encoding")) {
      while (true) {
        const auto line = receive_until("\r\n", timeout);
        if (!line) return std::nullopt;
        const auto size = static_cast<std::size_t>(std::stoull(*line, nullptr, 16));
        std::string chunk;
        while (chunk.size() < size + 2) {
          const auto more = receive(timeout);
          if (!more || more->empty()) return std::nullopt;
          chunk += *more;
        }
        surplus_ = chunk.substr(size + 2);
        response.body += chunk.substr(0, size);
        if (size == 0) return response;
      }
    }
    const auto rest = receive_all(timeout);
    if (!rest) return std::nullopt;
    response.body = *rest;
    return response;
  }

  std::optional<RawResponse> get(std::string_view target) {
    if (!send("GET " + std::string(target) + " HTTP/1.1\r\nHost: test\r\n\r\n")) return std::nullopt;
    return response();
  }
  std::optional<RawResponse> post(std::string_view target, std::string_view body) {
    if (!send("POST " + std::string(target) +
              " HTTP/1.1\r\nHost: test\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n")) {
      return std::nullopt;
    }
    if (!send(body)) return std::nullopt;
    return response();
  }

 private:
  int socket_ = -1;
  bool connected_ = false;
  std::string surplus_;
};

}  // namespace st8::test
