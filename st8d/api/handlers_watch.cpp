// GET /v1/watch: changes as they happen, as server-sent events.
#include <charconv>

#include "api/access.h"
#include "api/event_stream.h"
#include "api/handlers.h"
#include "api/watch_hub.h"
#include "wire/text.h"

namespace st8::api {
namespace {

// How far ahead of a stream it is checked that what it asks for is still there; beyond, the stream itself says so.
constexpr std::uint64_t kLookAheadMax = 10'000;

Outcome<std::optional<state::RevisionNumber>> resume_point(Call& call, const std::optional<std::uint64_t>& after) {
  const std::string_view last_seen = call.request.header("last-event-id");
  if (last_seen.empty()) {
    if (!after) return std::optional<state::RevisionNumber>();
    return std::optional(state::RevisionNumber{*after});
  }
  // What the client has seen last is newer than the address it began with.
  std::uint64_t value = 0;
  const auto parsed = std::from_chars(last_seen.data(), last_seen.data() + last_seen.size(), value);
  if (parsed.ec != std::errc() || parsed.ptr != last_seen.data() + last_seen.size()) {
    return problem(ErrorCode::kInvalidArgument,
                   "the Last-Event-ID must be a revision number, not \"" + wire::printable(last_seen, 60) + "\"");
  }
  return std::optional(state::RevisionNumber{value});
}

Reply watch(Call& call) {
  Query query(call.request);
  const std::string ns = query.text("namespace"), branch = query.text("branch"), prefix = query.text("prefix");
  const std::optional<std::uint64_t> after_text = query.number("after");
  ST8_API_TRY(query.finish());
  ST8_API_ASSIGN(state::NamespaceName name_space, namespace_of(ns));
  ST8_API_TRY(allow(call, auth::Verb::kRead, name_space));
  WatchRequest request{name_space, std::nullopt, "", std::nullopt, call.principal};
  if (!branch.empty()) {
    ST8_API_ASSIGN(const Where where, where_of(ns, branch));
    ST8_API_TRY(allow(call, auth::Verb::kRead, where));
    request.branch = where.branch;
  }
  const std::optional<std::string> visible = auth::narrowed_prefix(*call.principal, prefix);
  if (!visible) {
    return tl::unexpected<wire::Problem>(
        problem_of({auth::Verb::kRead, name_space.str(), branch, prefix,
                    "the token of \"" + call.principal->name + "\" covers only keys that begin with \"" +
                        call.principal->allow.key_prefix + "\""}));
  }
  request.prefix = *visible;
  ST8_API_ASSIGN(request.after, resume_point(call, after_text));
  if (request.after) {
    std::uint64_t last = 0;
    if (const Result<state::NamespaceInfo> info = call.store().name_space(name_space)) last = info->last_revision.value;
    if (request.after->value > last) {
      return problem(ErrorCode::kGone,
                     "revision " + std::to_string(request.after->value) + " does not exist here; the newest is " +
                         std::to_string(last),
                     "Read the state again and watch from its revision.");
    }
    for (std::uint64_t number = request.after->value + 1;
         number <= last && number - request.after->value <= kLookAheadMax; ++number) {
      const Result<state::Revision> revision = call.store().revision(name_space, state::RevisionNumber{number});
      if (!revision || (request.branch && revision->branch != request.branch->view())) continue;
      // What a revision changed is told from its own documents and its parent's.
      const Result<state::Revision> parent = call.store().revision(name_space, revision->parent());
      if (revision->pruned || (parent && parent->pruned)) {
        return problem(ErrorCode::kGone,
                       "the changes behind revision " + std::to_string(request.after->value) + " were pruned by gc",
                       "Read the state again and watch from its revision.");
      }
    }
  }
  ST8_API_ASSIGN(http::Response response, event_stream_response(call));
  if (call.request.method == "HEAD") return response;
  WatchHub* hub = &call.context.hub;
  response.on_stream = [hub, request = std::move(request)](std::shared_ptr<http::Channel> channel) {
    hub->subscribe(request, std::move(channel));
  };
  return response;
}

}  // namespace

void add_watch_routes(Router& router) {
  router.add({"GET", "/v1/watch", Access::kRead, BodyKind::kNone, "watch", watch});
}

}  // namespace st8::api
