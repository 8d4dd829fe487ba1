// A loopback address for a server that comes back at the same one while its clients go on asking for it.
#pragma once

#include <arpa/inet.h>
#include <cstdint>
#include <random>
#include <stdexcept>
#include <string>
#include <sys/socket.h>
#include <unistd.h>

namespace st8::test {

// "127.0.0.1:<port>", with a port below those that the system gives to clients. One of theirs may be taken meanwhile: a client that
// asks again and again for a port where nobody listens is given that very port some day, and connects to itself.
inline std::string fixed_address() {
  std::random_device seed;
  for (int attempt = 0; attempt < 1'000; ++attempt) {
    const auto port = static_cast<std::uint16_t>(10'000 + seed() % 20'000);
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const bool free = fd >= 0 && ::bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
    if (fd >= 0) ::close(fd);
    if (free) return "127.0.0.1:" + std::to_string(port);
  }
  throw std::runtime_error("no free port");
}

}  // namespace st8::test
