#include "http/tls.h"

#include <algorithm>
#include <cerrno>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/x509.h>
#include <sys/socket.h>

namespace st8::http {
namespace {

std::string openssl_reason() {
  const unsigned long error = ERR_get_error();
  ERR_clear_error();
  if (error == 0) return "unknown error";
  const char* reason = ERR_reason_error_string(error);
  return reason != nullptr ? reason : "error " + std::to_string(error);
}

// The only protocol spoken over TLS here is HTTP/1.1; a client that offers others is told so by ALPN.
int select_alpn(SSL*, const unsigned char** out, unsigned char* out_length, const unsigned char* offered,
                unsigned int offered_length, void*) {
  static constexpr unsigned char kHttp11[] = {8, 'h', 't', 't', 'p', '/', '1', '.', '1'};
  unsigned char* selected = nullptr;
  if (SSL_select_next_proto(&selected, out_length, kHttp11, sizeof(kHttp11), offered, offered_length) !=
      OPENSSL_NPN_NEGOTIATED) {
    return SSL_TLSEXT_ERR_NOACK;
  }
  *out = selected;
  return SSL_TLSEXT_ERR_OK;
}

}  // namespace

Result<std::shared_ptr<const TlsContext>> TlsContext::load(const TlsOptions& options) {
  ERR_clear_error();
  auto made = std::make_shared<TlsContext>();
  made->context_.reset(SSL_CTX_new(TLS_server_method()));
  SSL_CTX* context = made->context_.get();
  if (context == nullptr) return fail(ErrorCode::kInternal, "OpenSSL gave no context: " + openssl_reason());
  SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
  SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE |
                                   SSL_OP_IGNORE_UNEXPECTED_EOF);
  // Idle connections give their record buffers back (34 KB each).
  SSL_CTX_set_mode(context,
                   SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  SSL_CTX_set_alpn_select_cb(context, select_alpn, nullptr);
  static constexpr unsigned char kSessionContext[] = {'s', 't', '8', 'd'};
  SSL_CTX_set_session_id_context(context, kSessionContext, sizeof(kSessionContext));

  if (SSL_CTX_use_certificate_chain_file(context, options.certificate_file.c_str()) != 1) {
    return fail(ErrorCode::kInvalidArgument,
                "cannot use the TLS certificate " + options.certificate_file + ": " + openssl_reason(),
                "--tls-cert names a PEM file with the certificate first and its chain after it");
  }
  if (SSL_CTX_use_PrivateKey_file(context, options.key_file.c_str(), SSL_FILETYPE_PEM) != 1) {
    return fail(ErrorCode::kInvalidArgument, "cannot use the TLS key " + options.key_file + ": " + openssl_reason(),
                "--tls-key names the PEM file of the private key that belongs to " + options.certificate_file);
  }
  if (SSL_CTX_check_private_key(context) != 1) {
    return fail(ErrorCode::kInvalidArgument,
                "the TLS key " + options.key_file + " does not belong to " + options.certificate_file,
                "check --tls-key");
  }
  if (!options.client_ca_file.empty()) {
    STACK_OF(X509_NAME)* names = SSL_load_client_CA_file(options.client_ca_file.c_str());
    if (names == nullptr || SSL_CTX_load_verify_locations(context, options.client_ca_file.c_str(), nullptr) != 1) {
      sk_X509_NAME_pop_free(names, X509_NAME_free);
      return fail(ErrorCode::kInvalidArgument,
                  "cannot use the client authorities in " + options.client_ca_file + ": " + openssl_reason(),
                  "--tls-client-ca names a PEM file with one or more CA certificates");
    }
    SSL_CTX_set_client_CA_list(context, names);
    const int required = options.client_certificate_required ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0;
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER | required, nullptr);
  }
  ERR_clear_error();
  return std::shared_ptr<const TlsContext>(std::move(made));
}

Transport::Transport(Descriptor socket, const TlsContext* tls) : socket_(std::move(socket)) {
  if (tls == nullptr) return;
  ssl_.reset(SSL_new(tls->get()));
  if (ssl_ == nullptr || SSL_set_fd(ssl_.get(), socket_.get()) != 1) {
    broken_ = true;
    return;
  }
  SSL_set_accept_state(ssl_.get());
}

Transport::~Transport() { close(); }

Transport::Io Transport::io_of(int result) const {
  switch (SSL_get_error(ssl_.get(), result)) {
    case SSL_ERROR_WANT_READ:
      return Io::kWantRead;
    case SSL_ERROR_WANT_WRITE:
      return Io::kWantWrite;
    case SSL_ERROR_ZERO_RETURN:
      return Io::kEnd;
    default:
      return Io::kFailed;
  }
}

Transport::Io Transport::handshake() {
  if (broken_) return Io::kFailed;
  if (ssl_ == nullptr) return Io::kDone;
  // OpenSSL keeps its errors in a queue of the thread; what an earlier connection left there would be taken for ours.
  ERR_clear_error();
  const int result = SSL_do_handshake(ssl_.get());
  if (result == 1) return Io::kDone;
  const Io io = io_of(result);
  if (io == Io::kFailed) broken_ = true;
  return io;
}

Transport::Outcome Transport::read(char* into, std::size_t size) {
  if (broken_) return {Io::kFailed, 0};
  if (ssl_ != nullptr) {
    ERR_clear_error();
    std::size_t got = 0;
    const int result = SSL_read_ex(ssl_.get(), into, size, &got);
    if (result == 1) return {Io::kDone, got};
    const Io io = io_of(result);
    if (io == Io::kFailed) broken_ = true;
    return {io, 0};
  }
  while (true) {
    const ssize_t got = ::recv(socket_.get(), into, size, 0);
    if (got > 0) return {Io::kDone, static_cast<std::size_t>(got)};
    if (got == 0) return {Io::kEnd, 0};
    if (errno == EINTR) continue;
    if (errno == EAGAIN || errno == EWOULDBLOCK) return {Io::kWantRead, 0};
    return {Io::kFailed, 0};
  }
}

Transport::Outcome Transport::write(const iovec* parts, int count) {
  if (broken_) return {Io::kFailed, 0};
  if (ssl_ != nullptr) {
    ERR_clear_error();
    std::size_t total = 0;
    for (int i = 0; i < count; ++i) {
      if (parts[i].iov_len == 0) continue;
      std::size_t put = 0;
      const int result = SSL_write_ex(ssl_.get(), parts[i].iov_base, parts[i].iov_len, &put);
      total += put;
      if (result != 1) {
        const Io io = io_of(result);
        if (io == Io::kFailed) broken_ = true;
        return {total > 0 && io != Io::kFailed ? Io::kDone : io, total};
      }
      if (put < parts[i].iov_len) break;
    }
    return {Io::kDone, total};
  }
  msghdr message{};
  message.msg_iov = const_cast<iovec*>(parts);
  message.msg_iovlen = static_cast<std::size_t>(count);
  while (true) {
    const ssize_t put = ::sendmsg(socket_.get(), &message, MSG_NOSIGNAL);
    if (put >= 0) return {Io::kDone, static_cast<std::size_t>(put)};
    if (errno == EINTR) continue;
    if (errno == EAGAIN || errno == EWOULDBLOCK) return {Io::kWantWrite, 0};
    return {Io::kFailed, 0};
  }
}

bool Transport::holds_input() const { return ssl_ != nullptr && SSL_has_pending(ssl_.get()) == 1; }

bool Transport::socket_has_input() const {
  char byte = 0;
  return socket_ && ::recv(socket_.get(), &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
}

void Transport::acknowledge() {
  const int on = 1;
  ::setsockopt(socket_.get(), IPPROTO_TCP, TCP_QUICKACK, &on, sizeof(on));
}

void Transport::shutdown_write() {
  if (!socket_) return;
  if (ssl_ != nullptr && !broken_ && SSL_is_init_finished(ssl_.get())) {
    ERR_clear_error();
    SSL_shutdown(ssl_.get());
  }
  ::shutdown(socket_.get(), SHUT_WR);
}

std::string Transport::client_certificate_subject() const {
  if (ssl_ == nullptr || SSL_get_verify_result(ssl_.get()) != X509_V_OK) return {};
  X509* certificate = SSL_get0_peer_certificate(ssl_.get());
  if (certificate == nullptr) return {};
  const std::unique_ptr<BIO, decltype(&BIO_free_all)> text(BIO_new(BIO_s_mem()), &BIO_free_all);
  if (text == nullptr || X509_NAME_print_ex(text.get(), X509_get_subject_name(certificate), 0, XN_FLAG_RFC2253) < 0)
    return {};
  char* data = nullptr;
  const long length = BIO_get_mem_data(text.get(), &data);
  return length > 0 ? std::string(data, static_cast<std::size_t>(length)) : std::string();
}

void Transport::close() {
  if (!socket_) return;
  if (ssl_ != nullptr && !broken_ && SSL_is_init_finished(ssl_.get()) &&
      (SSL_get_shutdown(ssl_.get()) & SSL_SENT_SHUTDOWN) == 0) {
    ERR_clear_error();
    SSL_shutdown(ssl_.get());
  }
  ssl_.reset();
  socket_.reset();
}

}  // namespace st8::http
