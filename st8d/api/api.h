// st8d's whole HTTP API as one object: a Request in, a Response out. st8d puts it behind its sockets, `st8ctl --local` calls it
// in process; what it answers is the same.
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "api/call.h"
#include "api/router.h"
#include "http/exchange.h"
#include "wire/json.h"

namespace st8::api {

struct ApiOptions {
  std::string version = "dev";
  std::function<bool()> draining;
  std::function<std::vector<std::pair<state::NamespaceName, state::RevisionNumber>>()> pinned;
  std::function<Status(const state::NamespaceName&, const std::vector<state::Document>&)> validate;
  // Further routes (rollouts, targets, ...); each keeps what its handlers need.
  std::vector<std::function<void(Router&)>> extensions;
  // Further members of GET /v1/status, each for what the caller may see.
  std::vector<std::function<void(const Call&, wire::JsonWriter&)>> status_parts;
};

inline constexpr std::size_t kBodyBytesMax = 20u << 20;

class Api : public http::Handler {
 public:
  // Everything is borrowed and outlives the Api. The hub is made before the store and destroyed after it, as it is the store's
  // listener (the Api registers it).
  Api(state::Store& store, WatchHub& hub, const auth::Authenticator& authenticator, http::Metrics& metrics,
      const Clock& clock, ApiOptions options = {});
  ~Api() override;  // Ends all streams.

  // Thread-safe; may block for the store. Never throws.
  http::Response handle(const http::Request& request) override;
  std::optional<http::Response> begin(const http::Request& request, http::LaterAnswer& later) override;
  std::string_view route_of(const http::Request& request) const override;

  const Router& router() const { return router_; }

 private:
  class Later;
  // No route.
  http::Response refuse(const http::Request& request, Router::Match& match) const;
  // What the call's handler replies, to whom it may.
  Reply reply(Call& call, const Route& route);
  // The reply as a response, counted.
  http::Response finish(Call& call, const Route& route, std::chrono::nanoseconds begun, Reply reply);
  // As handle(), without the request's id in the response: over HTTP the front adds that.
  http::Response answer(const http::Request& request);
  // Runs `make`, and makes whatever it throws a response.
  template <class Make>
  static http::Response guarded(const http::Request& request, const Make& make);

  Context context_;
  Router router_;
};

}  // namespace st8::api
