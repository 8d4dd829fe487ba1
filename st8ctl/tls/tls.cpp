#include <algorithm>
#include <arpa/inet.h>
#include <cerrno>
#include <climits>
#include <cstring>
#include <memory>
#include <new>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <string>
#include <string_view>

#include "tls/abi.h"

namespace {

struct Tls {
  SSL_CTX* context = nullptr;
  SSL* ssl = nullptr;
  ~Tls() {
    SSL_free(ssl);
    SSL_CTX_free(context);
  }
};

void explain(char* error, std::size_t size, std::string_view text) {
  if (size == 0) return;
  const std::size_t length = std::min(size - 1, text.size());
  std::memcpy(error, text.data(), length);
  error[length] = '\0';
}

std::string openssl_reason() {
  const unsigned long code = ERR_peek_last_error();
  const char* reason = code == 0 ? nullptr : ERR_reason_error_string(code);
  ERR_clear_error();
  return reason == nullptr ? "unknown reason" : reason;
}

int outcome_of(Tls& tls, int result, char* error, std::size_t error_size) {
  switch (SSL_get_error(tls.ssl, result)) {
    case SSL_ERROR_NONE:
      return ST8_TLS_OK;
    case SSL_ERROR_WANT_READ:
      return ST8_TLS_WANT_READ;
    case SSL_ERROR_WANT_WRITE:
      return ST8_TLS_WANT_WRITE;
    case SSL_ERROR_ZERO_RETURN:
      return ST8_TLS_END;
    case SSL_ERROR_SYSCALL:
      // An end without a goodbye: a body by length or in chunks is still known to be whole or not.
      explain(error, error_size, errno == 0 ? "the connection was cut" : std::strerror(errno));
      return errno == 0 ? ST8_TLS_END : ST8_TLS_ERROR;
    default:
      break;
  }
  const long verified = SSL_get_verify_result(tls.ssl);
  if (verified != X509_V_OK && !SSL_is_init_finished(tls.ssl)) {
    explain(error, error_size,
            std::string("the server's certificate does not verify: ") + X509_verify_cert_error_string(verified));
    ERR_clear_error();
    return ST8_TLS_ERROR;
  }
  const std::string reason = openssl_reason();
  if (reason == "unexpected eof while reading") {
    explain(error, error_size, "the connection was cut");
    return ST8_TLS_END;
  }
  explain(error, error_size, "TLS: " + reason);
  return ST8_TLS_ERROR;
}

}  // namespace

extern "C" {

void* st8_tls_open(int descriptor, const St8TlsOptions* options, char* error, std::size_t error_size) {
  auto tls = std::unique_ptr<Tls>(new (std::nothrow) Tls);
  if (!tls) return nullptr;
  tls->context = SSL_CTX_new(TLS_client_method());
  if (tls->context == nullptr) {
    explain(error, error_size, "TLS: " + openssl_reason());
    return nullptr;
  }
  SSL_CTX_set_min_proto_version(tls->context, TLS1_2_VERSION);
  SSL_CTX_set_verify(tls->context, SSL_VERIFY_PEER, nullptr);
  if (*options->ca_cert != '\0') {
    if (SSL_CTX_load_verify_locations(tls->context, options->ca_cert, nullptr) != 1) {
      explain(error, error_size,
              std::string("cannot read the certificates in ") + options->ca_cert + ": " + openssl_reason());
      return nullptr;
    }
  } else if (SSL_CTX_set_default_verify_paths(tls->context) != 1) {
    explain(error, error_size, "cannot read the system's certificates: " + openssl_reason());
    return nullptr;
  }
  if (*options->client_cert != '\0' &&
      (SSL_CTX_use_certificate_chain_file(tls->context, options->client_cert) != 1 ||
       SSL_CTX_use_PrivateKey_file(tls->context,
                                   *options->client_key != '\0' ? options->client_key : options->client_cert,
                                   SSL_FILETYPE_PEM) != 1 ||
       SSL_CTX_check_private_key(tls->context) != 1)) {
    explain(error, error_size,
            std::string("cannot use the client certificate ") + options->client_cert + ": " + openssl_reason());
    return nullptr;
  }
  tls->ssl = SSL_new(tls->context);
  if (tls->ssl == nullptr || SSL_set_fd(tls->ssl, descriptor) != 1) {
    explain(error, error_size, "TLS: " + openssl_reason());
    return nullptr;
  }
  SSL_set_mode(tls->ssl, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  in6_addr number{};
  const bool is_number =
      inet_pton(AF_INET, options->server_name, &number) == 1 || inet_pton(AF_INET6, options->server_name, &number) == 1;
  X509_VERIFY_PARAM* parameters = SSL_get0_param(tls->ssl);
  const bool named = is_number ? X509_VERIFY_PARAM_set1_ip_asc(parameters, options->server_name) == 1
                               : SSL_set_tlsext_host_name(tls->ssl, options->server_name) == 1 &&
                                     X509_VERIFY_PARAM_set1_host(parameters, options->server_name, 0) == 1;
  if (!named) {
    explain(error, error_size, "TLS: " + openssl_reason());
    return nullptr;
  }
  SSL_set_connect_state(tls->ssl);
  return tls.release();
}

int st8_tls_handshake(void* connection, char* error, std::size_t error_size) {
  Tls& tls = *static_cast<Tls*>(connection);
  ERR_clear_error();
  errno = 0;
  const int result = SSL_do_handshake(tls.ssl);
  if (result == 1) return ST8_TLS_OK;
  return outcome_of(tls, result, error, error_size);
}

int st8_tls_read(void* connection, char* into, std::size_t size, std::size_t* moved, char* error,
                 std::size_t error_size) {
  Tls& tls = *static_cast<Tls*>(connection);
  ERR_clear_error();
  errno = 0;
  const int result = SSL_read_ex(tls.ssl, into, size, moved);
  if (result == 1) return ST8_TLS_OK;
  return outcome_of(tls, result, error, error_size);
}

int st8_tls_write(void* connection, const char* from, std::size_t size, std::size_t* moved, char* error,
                  std::size_t error_size) {
  Tls& tls = *static_cast<Tls*>(connection);
  ERR_clear_error();
  errno = 0;
  const int result = SSL_write_ex(tls.ssl, from, size, moved);
  if (result == 1) return ST8_TLS_OK;
  return outcome_of(tls, result, error, error_size);
}

void st8_tls_close(void* connection) {
  Tls* tls = static_cast<Tls*>(connection);
  if (SSL_is_init_finished(tls->ssl)) SSL_shutdown(tls->ssl);
  ERR_clear_error();
  delete tls;
}
}
