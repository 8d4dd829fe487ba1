// TLS for the listening side (OpenSSL), and the one way in which a connection reads and writes, with TLS or without.
#pragma once

#include <cstddef>
#include <memory>
#include <openssl/ssl.h>
#include <string>
#include <string_view>
#include <sys/uio.h>

#include "http/descriptor.h"
#include "st8/state/result.h"

namespace st8::http {

struct TlsOptions {
  std::string certificate_file;             // PEM; the chain, leaf first.
  std::string key_file;                     // PEM.
  std::string client_ca_file;               // PEM; empty: no client certificates.
  bool client_certificate_required = true;  // With client_ca_file: refuse clients without one.
};

// An immutable configuration; connections made from it keep it alive. Thread-safe.
class TlsContext {
 public:
  // TLS 1.2 or newer. Errors: kInvalidArgument naming the file and why.
  static Result<std::shared_ptr<const TlsContext>> load(const TlsOptions& options);
  SSL_CTX* get() const { return context_.get(); }

 private:
  struct Free {
    void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
  };
  std::unique_ptr<SSL_CTX, Free> context_;
};

// A socket, plain or under TLS; never blocks. Not thread-safe.
class Transport {
 public:
  enum class Io : std::uint8_t { kDone, kWantRead, kWantWrite, kEnd, kFailed };
  struct Outcome {
    Io io = Io::kFailed;
    std::size_t bytes = 0;
  };

  Transport(Descriptor socket, const TlsContext* tls);
  ~Transport();
  Transport(const Transport&) = delete;
  Transport& operator=(const Transport&) = delete;

  int descriptor() const { return socket_.get(); }
  bool secure() const { return ssl_ != nullptr; }

  // Goes on with the handshake; kDone at once without TLS.
  Io handshake();
  Outcome read(char* into, std::size_t size);
  // Writes from the front of the parts; may take less than all of them.
  Outcome write(const iovec* parts, int count);
  // Whether bytes have been read from the socket that no event will announce (TLS).
  bool holds_input() const;
  // Whether bytes lie in the socket unread. Cost: a system call.
  bool socket_has_input() const;
  // Acknowledges at once what has arrived, instead of waiting for something to send along.
  void acknowledge();
  // Tells the other side that nothing more comes; reading goes on.
  void shutdown_write();
  // Subject of the client's verified certificate (RFC 2253); empty when there is none.
  std::string client_certificate_subject() const;
  void close();

 private:
  struct Free {
    void operator()(SSL* ssl) const { SSL_free(ssl); }
  };
  Io io_of(int result) const;
  Descriptor socket_;
  std::unique_ptr<SSL, Free> ssl_;
  bool broken_ = false;
};

}  // namespace st8::http
