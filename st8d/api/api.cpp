#include "api/api.h"

#include <algorithm>
#include <array>
#include <exception>

#include "api/access.h"
#include "api/handlers.h"
#include "api/watch_hub.h"
#include "st8/state/hash.h"
#include "wire/text.h"

namespace st8::api {
namespace {

auth::Verb verb_of(Access access) {
  switch (access) {
    case Access::kWrite:
      return auth::Verb::kWrite;
    case Access::kAdmin:
      return auth::Verb::kAdmin;
    default:
      return auth::Verb::kRead;
  }
}

bool same_ignoring_case(std::string_view a, std::string_view b) {
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; };
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [&](char x, char y) { return lower(x) == lower(y); });
}

// "application/json", with whatever parameters.
bool is_json_type(std::string_view type) {
  type = type.substr(0, type.find(';'));
  while (!type.empty() && type.back() == ' ') type.remove_suffix(1);
  while (!type.empty() && type.front() == ' ') type.remove_prefix(1);
  return same_ignoring_case(type, "application/json");
}

http::Response problem_response(wire::Problem problem, const http::Request& request) {
  problem.request_id = request.id;
  http::Response response;
  response.status = traits_of(problem.error.code).http_status;
  response.set_header("Content-Type", std::string(wire::kProblemContentType));
  if (problem.error.code == ErrorCode::kUnauthenticated) response.set_header("WWW-Authenticate", "Bearer");
  if (problem.error.code == ErrorCode::kRateLimited || problem.error.code == ErrorCode::kUnavailable)
    response.set_header("Retry-After", "1");
  if (!problem.allow.empty()) {
    std::string allow;
    for (const std::string& method : problem.allow) allow += (allow.empty() ? "" : ", ") + method;
    response.set_header("Allow", std::move(allow));
  }
  if (problem.head_revision) response.set_header("X-St8-Revision", std::to_string(*problem.head_revision));
  response.body = wire::to_json(problem);
  return response;
}

bool has_header(const http::Response& response, std::string_view name) {
  return std::any_of(response.headers.begin(), response.headers.end(),
                     [name](const auto& header) { return same_ignoring_case(header.first, name); });
}

// Gives a read its entity tag, unless it has one, and answers 304 where the client has it already.
void finish_read(const http::Request& request, http::Response& response) {
  if (response.status != 200 || !response.more_body.empty() || response.body_source || response.on_stream) return;
  std::string etag;
  for (const auto& [name, value] : response.headers) {
    if (same_ignoring_case(name, "ETag")) etag = value;
  }
  if (etag.empty()) {
    etag = "\"" + Hash::of(response.body).hex().substr(0, 32) + "\"";
    response.set_header("ETag", etag);
  }
  const std::string_view known = request.header("if-none-match");
  if (!known.empty() && etag_listed(known, etag)) {
    response.status = 304;
    response.body.clear();
    std::erase_if(response.headers,
                  [](const auto& header) { return same_ignoring_case(header.first, "Content-Type"); });
  }
}

// Looks a series up once.
template <class Series, class Find>
Series& found_once(std::atomic<Series*>& slot, const Find& find) {
  Series* series = slot.load(std::memory_order_acquire);
  if (series == nullptr) {
    series = &find();
    slot.store(series, std::memory_order_release);
  }
  return *series;
}

}  // namespace

Api::Api(state::Store& store, WatchHub& hub, const auth::Authenticator& authenticator, http::Metrics& metrics,
         const Clock& clock, ApiOptions options)
    : context_{store,
               hub,
               authenticator,
               metrics,
               clock,
               std::move(options.version),
               std::move(options.draining),
               std::move(options.pinned),
               std::move(options.validate),
               std::move(options.status_parts),
               clock.monotonic()} {
  add_health_routes(router_);
  add_apply_routes(router_);
  add_state_routes(router_);
  add_document_routes(router_);
  add_diff_routes(router_);
  add_history_routes(router_);
  add_checkpoint_routes(router_);
  add_copy_routes(router_);
  add_merge_routes(router_);
  add_branch_routes(router_);
  add_namespace_routes(router_);
  add_operation_routes(router_);
  add_watch_routes(router_);
  add_maintenance_routes(router_);
  add_schema_routes(router_);
  add_ofrep_routes(router_);
  for (const auto& extension : options.extensions) extension(router_);
  hub.start(store, authenticator);
  store.add_listener(&hub);
}

Api::~Api() { context_.hub.stop(); }

std::string_view Api::route_of(const http::Request& request) const { return router_.pattern_of(request.path); }

template <class Make>
http::Response Api::guarded(const http::Request& request, const Make& make) {
  try {
    return make();
  } catch (const std::exception& failure) {
    return problem_response(
        wire::Problem(Error{ErrorCode::kInternal, std::string("a fault in the server: ") + failure.what(),
                            "Report it with the request id."}),
        request);
  }
}

http::Response Api::refuse(const http::Request& request, Router::Match& match) const {
  wire::Problem problem;
  if (match.allow.empty()) {
    problem = wire::Problem(Error{ErrorCode::kNotFound, "there is nothing at " + wire::printable(request.path),
                                  "The routes are in docs/api/openapi.yaml."});
  } else {
    problem = wire::Problem(Error{
        ErrorCode::kMethodNotAllowed,
        "the method " + wire::printable(request.method, 20) + " does not go with " + wire::printable(request.path),
        "The header Allow names those that do."});
    problem.allow = std::move(match.allow);
  }
  return problem_response(std::move(problem), request);
}

http::Response Api::answer(const http::Request& request) {
  std::string principal;
  http::Response response = guarded(request, [&] {
    Router::Match match = router_.find(request.method, request.path);
    if (match.route == nullptr) return refuse(request, match);
    const std::chrono::nanoseconds begun = context_.clock.monotonic();
    Call call{request, context_, nullptr, std::move(match.parameters)};
    Reply replied = reply(call, *match.route);
    if (call.principal != nullptr) principal = call.principal->name;
    return finish(call, *match.route, begun, std::move(replied));
  });
  response.principal = std::move(principal);
  return response;
}

http::Response Api::handle(const http::Request& request) {
  http::Response response = answer(request);
  if (!request.id.empty() && !has_header(response, "X-Request-Id")) response.set_header("X-Request-Id", request.id);
  return response;
}

// A call on the heap, for a reply that may come later. The request is the front's, which keeps it as long.
class Api::Later final : public LaterCall, public std::enable_shared_from_this<Later> {
 public:
  Later(Api& api, const http::Request& request, Router::Match match, http::LaterAnswer& answer)
      : api_(api),
        route_(*match.route),
        begun_(api.context_.clock.monotonic()),
        answer_(answer),
        call_{request, api.context_, nullptr, std::move(match.parameters)} {
    call_.later = this;
  }

  // nullopt: the call was kept, and may be another thread's already.
  std::optional<http::Response> run() {
    bool later = false;
    http::Response response = guarded(call_.request, [&]() -> http::Response {
      Reply replied = api_.reply(call_, route_);
      later = replied && replied->status == 0;
      if (later) return {};
      return api_.finish(call_, route_, begun_, std::move(replied));
    });
    if (later) return std::nullopt;
    return close(std::move(response));
  }

  std::shared_ptr<LaterCall> keep() override {
    kept_ = answer_.keep();
    return shared_from_this();
  }

  void deliver(std::function<Reply(Call&)> make) override {
    make_ = std::move(make);
    kept_->deliver([self = shared_from_this()] {
      const auto reply = std::exchange(self->make_, nullptr);  // It holds this call.
      return self->close(guarded(self->call_.request, [&] {
        return self->api_.finish(self->call_, self->route_, self->begun_, reply(self->call_));
      }));
    });
  }

 private:
  http::Response close(http::Response response) {
    if (call_.principal != nullptr) response.principal = call_.principal->name;
    return response;
  }

  Api& api_;
  const Route& route_;
  const std::chrono::nanoseconds begun_;
  http::LaterAnswer& answer_;
  std::shared_ptr<http::LaterAnswer> kept_;
  Call call_;
  std::function<Reply(Call&)> make_;
};

std::optional<http::Response> Api::begin(const http::Request& request, http::LaterAnswer& later) {
  Router::Match match = router_.find(request.method, request.path);
  if (match.route == nullptr || !match.route->may_reply_later) return answer(request);
  return std::make_shared<Later>(*this, request, std::move(match), later)->run();
}

Reply Api::reply(Call& call, const Route& route) {
  const http::Request& request = call.request;
  if (route.access != Access::kOpen) {
    if (request.local && context_.authenticator.anonymous()) {
      // In process: whoever owns the state directory.
      auto owner = std::make_shared<auth::Principal>();
      owner->name = "local";
      owner->allow = auth::Policy::everything();
      owner->anonymous = true;
      call.principal = std::move(owner);
    } else {
      ST8_API_ASSIGN(call.principal, context_.authenticator.authenticate(request.header("authorization")));
    }
    if (route.access != Access::kAnyToken) {
      if (const auto denial = auth::denied(*call.principal, verb_of(route.access), {})) {
        return tl::unexpected<wire::Problem>(problem_of(*denial));
      }
    }
  }
  if (request.body.size() > kBodyBytesMax) {
    return problem(ErrorCode::kTooLarge,
                   "the body has " + std::to_string(request.body.size()) + " bytes; at most " +
                       std::to_string(kBodyBytesMax) + " (20 MiB) are taken",
                   "Send it in several requests.");
  }
  if (route.body == BodyKind::kJson) {
    const std::string_view type = request.header("content-type");
    if (!type.empty() && !is_json_type(type)) {
      return problem(ErrorCode::kUnsupportedMediaType,
                     "the body is " + wire::printable(type, 60) + ", and this route takes JSON",
                     "Send the header \"Content-Type: application/json\".");
    }
  }
  return route.handler(call);
}

http::Response Api::finish(Call& call, const Route& route, std::chrono::nanoseconds begun, Reply reply) {
  const http::Request& request = call.request;
  http::Response response;
  if (reply) {
    response = std::move(*reply);
    if (request.method == "GET" || request.method == "HEAD") finish_read(request, response);
  } else {
    response = problem_response(reply.error(), request);
  }
  if (!route.operation.empty()) {
    const bool failed = response.status >= 400;
    const std::size_t result = failed ? 2 : call.noop ? 1 : 0;
    OperationSeries& series = *route.series;
    found_once(series.results[result], [&]() -> http::Counter& {
      static constexpr std::array<const char*, 3> kResults = {"success", "noop", "error"};
      return context_.metrics.counter("st8_operations_total", "Operations on the store by their result.",
                                      {{"operation", route.operation}, {"result", kResults[result]}});
    }).add();
    const std::chrono::nanoseconds took = context_.clock.monotonic() - begun;
    found_once(series.duration, [&]() -> http::Histogram& {
      return context_.metrics.histogram("st8_operation_duration_seconds", "How long operations on the store took.",
                                        {{"operation", route.operation}});
    }).observe_nanoseconds(static_cast<std::uint64_t>(std::max<std::int64_t>(0, took.count())));
    if (!failed && call.changed_documents > 0) {
      found_once(series.changed_documents, [&]() -> http::Counter& {
        return context_.metrics.counter("st8_changed_documents_total", "Documents that operations changed.",
                                        {{"operation", route.operation}});
      }).add(call.changed_documents);
    }
  }
  return response;
}

}  // namespace st8::api
