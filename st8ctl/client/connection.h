// A connected byte stream with deadlines: plain TCP, or TLS over it by a module that is loaded when https is asked for, so
// that nothing of OpenSSL is touched otherwise.
#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "st8/state/result.h"

namespace st8::ctl {

using Deadline = std::optional<std::chrono::steady_clock::time_point>;  // nullopt: none.

class Connection {
 public:
  virtual ~Connection() = default;
  // One attempt at each: bytes moved (0 from read: the other side has closed), or nullopt when it must wait for wait().
  // Errors: kUnavailable.
  virtual Result<std::optional<std::size_t>> read(char* into, std::size_t size) = 0;
  virtual Result<std::optional<std::size_t>> write(std::string_view bytes) = 0;
  // Waits until one of those asked for may move, or an error shows. False: the deadline passed. Errors: kUnavailable.
  virtual Result<bool> wait(bool for_read, bool for_write, const Deadline& deadline) = 0;
};

struct Address {
  bool tls = false;
  std::string host;  // Without brackets.
  std::string port;
  std::string base_path;  // Without a trailing slash.
  std::string authority;  // As in the Host field.
};

// "http://host:port/base", "https://[::1]". Errors: kInvalidArgument, with the form that was probably meant.
Result<Address> parse_address(const std::string& url);

struct TlsFiles {
  std::string ca_cert, client_cert, client_key;  // Empty: the system's roots; no client certificate.
};

// Tries each address of the host in turn. Errors: kUnavailable (refused, unreachable, timed out, a certificate that does not verify), kInvalidArgument.
Result<std::unique_ptr<Connection>> connect_to(const Address& address, const TlsFiles& tls, const Deadline& deadline);

}  // namespace st8::ctl
