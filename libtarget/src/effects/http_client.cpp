#include "effects/http_client.h"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <httplib.h>
#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "drivers/file/root.h"

namespace st8::target::effects {

Result<HttpAnswer> http_request(const CallContext& call, const HttpOrder& order) {
  ST8_TRY(call.check());
  constexpr std::string_view kScheme = "http://";
  if (!order.url.starts_with(kScheme))
    return fail(ErrorCode::kUnprocessable, "the URL \"" + order.url + "\" does not begin with http://", "");
  const std::size_t slash = order.url.find('/', kScheme.size());
  const std::string base = order.url.substr(0, slash);
  const std::string path = slash == std::string::npos ? "/" : order.url.substr(slash);
  // The library's parts throw now and then; what they throw ends here.
  try {
    httplib::Client client(base);
    const auto remaining = std::max(call.remaining(), std::chrono::nanoseconds(std::chrono::milliseconds(1)));
    client.set_connection_timeout(remaining);
    client.set_read_timeout(remaining);
    client.set_write_timeout(remaining);
    client.set_follow_location(false);
    httplib::Request request;
    request.method = order.method;
    request.path = path;
    request.body = order.body;
    if (!order.body.empty()) request.set_header("Content-Type", order.content_type);
    HttpAnswer answer;
    request.content_receiver = [&](const char* data, std::size_t length, std::uint64_t, std::uint64_t) {
      const std::size_t room = (64u << 10) - std::min<std::size_t>(64u << 10, answer.body.size());
      answer.body.append(data, std::min(room, length));
      return call.remaining().count() > 0;
    };
    const auto result = client.send(request);
    if (!result)
      return fail(ErrorCode::kUnavailable, order.method + " " + order.url + ": " + httplib::to_string(result.error()),
                  "");
    answer.status = result->status;
    return answer;
  } catch (const std::exception& error) {
    return fail(ErrorCode::kUnprocessable, order.method + " " + order.url + ": " + error.what(), "");
  }
}

Status tcp_connect(const CallContext& call, const std::string& host, const std::string& port) {
  ST8_TRY(call.check());
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (const int code = ::getaddrinfo(host.c_str(), port.c_str(), &hints, &found); code != 0) {
    return fail(ErrorCode::kUnavailable, "resolve " + host + ":" + port + ": " + ::gai_strerror(code), "");
  }
  std::string why = "no address";
  bool connected = false;
  for (const addrinfo* one = found; one != nullptr && !connected; one = one->ai_next) {
    const file::Fd fd(::socket(one->ai_family, one->ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC, one->ai_protocol));
    if (!fd.valid()) continue;
    if (::connect(fd.get(), one->ai_addr, one->ai_addrlen) == 0) {
      connected = true;
      break;
    }
    int error = errno;
    while (error == EINPROGRESS && call.check()) {
      pollfd waiting{fd.get(), POLLOUT, 0};
      if (::poll(&waiting, 1, 20) > 0) {
        socklen_t length = sizeof error;
        ::getsockopt(fd.get(), SOL_SOCKET, SO_ERROR, &error, &length);
      }
    }
    connected = error == 0;
    why = std::strerror(error);
  }
  ::freeaddrinfo(found);
  if (connected) return {};
  return fail(ErrorCode::kUnavailable, "connect to " + host + ":" + port + ": " + why, "");
}

}  // namespace st8::target::effects
