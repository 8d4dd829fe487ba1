// One request on its way through a handler, and what every handler does with it: read the query strictly, parse names and
// selectors, ask for permission, build answers.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "api/helpers.h"
#include "api/router.h"
#include "auth/authenticator.h"
#include "auth/policy.h"
#include "http/exchange.h"
#include "http/metrics.h"
#include "st8/state/clock.h"
#include "st8/state/store.h"
#include "wire/fields.h"
#include "wire/json.h"
#include "wire/requests.h"

namespace st8::api {

class WatchHub;
struct Call;
class LaterCall;

// What handlers stand on. All of it outlives every call.
struct Context {
  state::Store& store;
  WatchHub& hub;
  const auth::Authenticator& authenticator;
  http::Metrics& metrics;
  const Clock& clock;
  std::string version;
  std::function<bool()> draining;  // True: no new work, please. May be null.
  // Revisions that gc must keep beside its own rules: what is live on a target. May be null.
  std::function<std::vector<std::pair<state::NamespaceName, state::RevisionNumber>>()> pinned;
  // Refuses documents that would not do what they are for: policies and targets. Asked before an apply. May be null.
  std::function<Status(const state::NamespaceName&, const std::vector<state::Document>&)> validate;
  std::vector<std::function<void(const Call&, wire::JsonWriter&)>> status_parts;  // ApiOptions::status_parts.
  std::chrono::nanoseconds started{0};                                            // Of the clock's monotonic time.
  std::shared_ptr<const Helpers> helpers = std::make_shared<const Helpers>();
};

struct Call {
  const http::Request& request;
  const Context& context;
  std::shared_ptr<const auth::Principal> principal;  // nullptr only on open routes.
  Router::Parameters parameters;

  // For the metrics, set by the handler.
  bool noop = false;
  std::uint64_t changed_documents = 0;

  // Where the reply may come later: set by who can wait for it without a thread. Else null.
  LaterCall* later = nullptr;

  state::Store& store() const { return context.store; }
  std::string_view parameter(std::string_view name) const;
};

// A call whose reply comes later than its handler returns.
class LaterCall {
 public:
  virtual ~LaterCall() = default;
  // By the handler, which then returns replied_later(): keeps the call and its request until deliver() was called.
  virtual std::shared_ptr<LaterCall> keep() = 0;
  // Called once, by any thread; quick. `make` is run later, with the call that was kept, once.
  virtual void deliver(std::function<Reply(Call&)> make) = 0;
};
// What a handler returns that has kept its call.
inline Reply replied_later() {
  http::Response none;
  none.status = 0;
  return none;
}

template <class T>
using Outcome = tl::expected<T, wire::Problem>;
using Checked = Outcome<void>;

// Like ST8_TRY and ST8_ASSIGN, for what carries an Error or a Problem.
#define ST8_API_TRY(expr)                                                                                \
  do {                                                                                                   \
    if (auto st8_checked = (expr); !st8_checked) {                                                       \
      return tl::unexpected<::st8::wire::Problem>(::st8::wire::Problem(std::move(st8_checked).error())); \
    }                                                                                                    \
  } while (false)
#define ST8_API_ASSIGN(decl, expr) ST8_API_ASSIGN_INNER(ST8_CONCAT(st8_outcome_, __LINE__), decl, expr)
#define ST8_API_ASSIGN_INNER(tmp, decl, expr)                                                  \
  auto tmp = (expr);                                                                           \
  if (!tmp) {                                                                                  \
    return tl::unexpected<::st8::wire::Problem>(::st8::wire::Problem(std::move(tmp).error())); \
  }                                                                                            \
  decl = std::move(*tmp)

inline tl::unexpected<wire::Problem> problem(ErrorCode code, std::string message, std::string hint = {}) {
  return tl::unexpected<wire::Problem>(wire::Problem(Error{code, std::move(message), std::move(hint)}));
}

// ---- The query --------------------------------------------------------------------------------------------------------

// Reads query parameters as Fields reads members: the first error stays, and finish() refuses a parameter that nobody asked for or that
// stands twice. An empty value is "not given", as the published clients send names; what 0 means is the handler's.
class Query {
 public:
  explicit Query(const http::Request& request) : request_(request) { known_.reserve(8); }

  std::string text(std::string_view name);
  std::optional<std::uint64_t> number(std::string_view name, std::uint64_t max = (std::uint64_t{1} << 63) - 1);
  std::optional<bool> flag(std::string_view name);
  // One of the words; the first is the default.
  std::size_t word(std::string_view name, std::initializer_list<std::string_view> words);
  Status finish();

 private:
  std::optional<std::string_view> take(std::string_view name);
  void refuse(std::string message, std::string hint = {});

  const http::Request& request_;
  std::vector<std::string_view> known_;
  std::optional<Error> error_;
};

// ---- Names and selectors ------------------------------------------------------------------------------------------------

// Where a request works: the defaults ("default", "main") filled in.
struct Where {
  state::NamespaceName name_space;
  state::BranchName branch;
};
Result<Where> where_of(std::string_view name_space, std::string_view branch);
inline Result<Where> where_of(const wire::Scope& scope) { return where_of(scope.name_space, scope.branch); }
Result<state::NamespaceName> namespace_of(std::string_view text);

// The selector of a request that may name a revision in any of three ways; more than one is refused, none is `@`.
struct SelectorFields {
  std::uint64_t revision = 0;
  std::string checkpoint;
  std::string at;
  bool given() const { return revision != 0 || !checkpoint.empty() || !at.empty(); }
};
Result<state::Selector> selector_of(const Call& call, const SelectorFields& fields);
Result<state::Selector> parse_selector(const Call& call, std::string_view text);

// How much of changes an answer holds.
enum class ChangesMode : std::uint8_t { kFull, kKeys, kNone };
ChangesMode changes_mode(Query& query);

// ---- Answers -----------------------------------------------------------------------------------------------------------

http::Response json_response(std::string body, int status = 200);
void set_revision(http::Response& response, state::RevisionNumber revision);
// Whether an If-None-Match or If-Match header names this entity tag (quotes included); "*" names every one.
bool etag_listed(std::string_view header, std::string_view etag);

// ---- Writes ------------------------------------------------------------------------------------------------------------

// Who, why, on what condition and under which idempotency key. `default_message` is for a request that says nothing, as the
// reference's clients expect.
Result<state::WriteContext> write_context(const Call& call, const wire::WriteFields& fields,
                                          std::string_view default_message);

}  // namespace st8::api
