// What libst8_tls.so offers: TLS 1.2 or newer over a connected, non-blocking socket, with the server's certificate verified
// against its name. A C interface, so that the two may be built apart; nothing throws across it.
#pragma once

#include <cstddef>

extern "C" {

enum St8TlsOutcome : int {
  ST8_TLS_OK = 0,
  ST8_TLS_WANT_READ = 1,
  ST8_TLS_WANT_WRITE = 2,
  ST8_TLS_END = 3,    // The other side has closed in order.
  ST8_TLS_ERROR = 4,  // `error` says why.
};

struct St8TlsOptions {
  const char* server_name;  // A host name or an IP address: what the certificate must be for.
  const char* ca_cert;      // A PEM file; "" for the system's roots.
  const char* client_cert;  // PEM files; "" for none.
  const char* client_key;
};

// Null with the reason in `error` (always terminated).
void* st8_tls_open(int descriptor, const St8TlsOptions* options, char* error, std::size_t error_size);
int st8_tls_handshake(void* connection, char* error, std::size_t error_size);
int st8_tls_read(void* connection, char* into, std::size_t size, std::size_t* moved, char* error,
                 std::size_t error_size);
int st8_tls_write(void* connection, const char* from, std::size_t size, std::size_t* moved, char* error,
                  std::size_t error_size);
// Says goodbye if that does not block, and frees. The descriptor stays open.
void st8_tls_close(void* connection);
}
