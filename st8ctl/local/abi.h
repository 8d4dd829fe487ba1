// What libst8_local.so offers: the server's code over a state directory, in this process. A C interface, so that st8ctl itself
// links neither the store nor RocksDB; nothing throws across it.
#pragma once

#include <cstddef>

extern "C" {

enum : int { ST8_LOCAL_ABI = 1 };

struct St8LocalText {
  const char* data;
  std::size_t size;
};

struct St8LocalHeader {
  St8LocalText name;
  St8LocalText value;
};

struct St8LocalRequest {
  St8LocalText method;
  St8LocalText target;  // Path and query, percent-encoded.
  const St8LocalHeader* headers;
  std::size_t header_count;
  St8LocalText body;
};

// How an answer is handed over: the head once, then the body in pieces; `body` answers 0 to end it.
struct St8LocalAnswer {
  void* context;
  void (*head)(void* context, int status, const St8LocalHeader* headers, std::size_t header_count);
  int (*body)(void* context, St8LocalText piece);
};

struct St8LocalError {
  int code;  // A value of st8::ErrorCode.
  char message[2048];
  char hint[1024];
};

int st8_local_abi();
// Opens the store in a directory, making both when they do not exist. Null with the reason in `error`.
void* st8_local_open(const char* state_dir, St8LocalError* error);
// One request. 0, or 1 with the reason in `error`.
int st8_local_call(void* local, const St8LocalRequest* request, const St8LocalAnswer* answer, St8LocalError* error);
// Waits for what is being written, and closes the store.
void st8_local_close(void* local);
}
