// libst8_local.so: the server's code behind the C interface of abi.h.
#include <algorithm>
#include <cstdio>
#include <exception>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "api/instance.h"
#include "http/request_target.h"
#include "local/abi.h"
#include "st8/state/clock.h"

#ifndef ST8_VERSION
#define ST8_VERSION "dev"
#endif

namespace {

std::string_view view(const St8LocalText& text) { return {text.data, text.size}; }
St8LocalText text_of(std::string_view text) { return {text.data(), text.size()}; }

void put_error(St8LocalError* to, const st8::Error& error) {
  to->code = static_cast<int>(error.code);
  std::snprintf(to->message, sizeof to->message, "%s", error.message.c_str());
  std::snprintf(to->hint, sizeof to->hint, "%s", error.hint.c_str());
}

// Nothing throws across a C interface: what does is told as our bug.
template <class Work>
auto guarded(St8LocalError* error, decltype(std::declval<Work>()()) failed, const Work& work) -> decltype(work()) {
  try {
    return work();
  } catch (const std::exception& thrown) {
    put_error(error, {st8::ErrorCode::kInternal,
                      std::string("an exception reached the end of the server's code: ") + thrown.what(), ""});
  }
  return failed;
}

}  // namespace

extern "C" {

int st8_local_abi() { return ST8_LOCAL_ABI; }

void* st8_local_open(const char* state_dir, St8LocalError* error) {
  return guarded(error, static_cast<void*>(nullptr), [&]() -> void* {
    st8::api::InstanceOptions options;
    options.engine.directory = state_dir;
    options.version = ST8_VERSION;
    auto instance = st8::api::Instance::open(std::move(options), st8::system_clock());
    if (!instance) {
      put_error(error, instance.error());
      return nullptr;
    }
    return instance->release();
  });
}

int st8_local_call(void* local, const St8LocalRequest* from, const St8LocalAnswer* answer, St8LocalError* error) {
  return guarded(error, 1, [&]() -> int {
    auto& instance = *static_cast<st8::api::Instance*>(local);
    st8::http::Request request;
    request.method = view(from->method);
    auto target = st8::http::parse_request_target(view(from->target));
    if (!target) {
      put_error(error, {st8::ErrorCode::kInvalidArgument, "the request's target is malformed", ""});
      return 1;
    }
    request.path = std::move(target->path);
    request.query = std::move(target->query);
    for (std::size_t i = 0; i < from->header_count; ++i) {
      std::string name(view(from->headers[i].name));
      std::transform(name.begin(), name.end(), name.begin(),
                     [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
      request.headers.emplace_back(std::move(name), std::string(view(from->headers[i].value)));
    }
    request.body = view(from->body);
    request.remote_address = "local";
    request.local = true;
    request.id = "local";
    st8::http::Response response = instance.handler().handle(request);
    if (response.on_stream) {
      put_error(error, {st8::ErrorCode::kUnimplemented, "there is nothing to watch in a local store",
                        "start st8d over it and watch that"});
      return 1;
    }
    std::vector<St8LocalHeader> headers;
    for (const auto& [name, value] : response.headers) headers.push_back({text_of(name), text_of(value)});
    answer->head(answer->context, response.status, headers.data(), headers.size());
    if (!response.body_source) {
      bool wanted = answer->body(answer->context, text_of(response.body)) != 0;
      for (const std::string& part : response.more_body)
        wanted = wanted && answer->body(answer->context, text_of(part)) != 0;
      return 0;
    }
    while (true) {
      const st8::Result<std::string> piece = response.body_source();
      if (!piece) {
        put_error(error, piece.error());
        return 1;
      }
      if (piece->empty() || answer->body(answer->context, text_of(*piece)) == 0) return 0;
    }
  });
}

void st8_local_close(void* local) { delete static_cast<st8::api::Instance*>(local); }

}  // extern "C"
