// The OpenFeature remote evaluation protocol: a document is a flag, its content the flag's value.
#include "api/access.h"
#include "api/handlers.h"
#include "wire/json.h"
#include "wire/text.h"

namespace st8::api {
namespace {

constexpr std::size_t kFlagBytesMax = 32u << 20;

std::string variant_of(state::RevisionNumber revision) { return "rev-" + std::to_string(revision.value); }

http::Response failure(int status, std::string_view key, std::string_view code, std::string_view details) {
  std::string text;
  wire::JsonWriter out(text);
  out.begin_object();
  if (!code.empty()) out.field("key", key).field("errorCode", code);
  out.field("errorDetails", details).end_object();
  return json_response(std::move(text), status);
}

// A document that is JSON is that value, digit for digit; any other is its text, and bytes that are no text are Base64.
void write_flag(wire::JsonWriter& out, std::string_view key, std::string_view content, std::string_view variant) {
  out.begin_object().field("key", key).key("value");
  std::string_view trimmed = content;
  while (!trimmed.empty() &&
         (trimmed.back() == '\n' || trimmed.back() == '\r' || trimmed.back() == ' ' || trimmed.back() == '\t'))
    trimmed.remove_suffix(1);
  if (wire::is_json(trimmed)) {
    out.raw(trimmed);
  } else if (wire::is_utf8(content)) {
    out.string(content);
  } else {
    out.string(wire::base64_encode(content));
  }
  out.field("reason", "STATIC").field("variant", variant).end_object();
}

struct Flags {
  Where where;
  std::string prefix;
};

// The part that both requests share. The context of the evaluation is accepted and has no influence: flags here are static.
Outcome<Flags> flags_of(Call& call) {
  const std::string_view ns = call.request.query_value("namespace").value_or(""),
                         branch = call.request.query_value("branch").value_or("");
  ST8_API_ASSIGN(Where where, where_of(ns, branch));
  ST8_API_TRY(allow(call, auth::Verb::kRead, where));
  if (!call.request.body.empty()) {
    ST8_API_ASSIGN(const wire::JsonValue body, wire::parse_json(call.request.body));
    const wire::JsonValue* context = body.find("context");
    if (body.kind != wire::JsonValue::Kind::kObject ||
        (context != nullptr && !context->is_null() && context->kind != wire::JsonValue::Kind::kObject)) {
      return problem(ErrorCode::kInvalidArgument, "the body must be an object, and its \"context\" too");
    }
  }
  return Flags{std::move(where), std::string(call.request.query_value("prefix").value_or(""))};
}

// Permissions keep their problem documents; what is wrong with the request is told in the protocol's words.
bool in_protocol(const wire::Problem& problem) {
  return problem.error.code == ErrorCode::kInvalidArgument || problem.error.code == ErrorCode::kNotFound;
}

Reply one(Call& call) {
  const std::string key(call.parameter("key"));
  if (key.empty()) return failure(400, "", "PARSE_ERROR", "the flag key is missing");
  Outcome<Flags> flags = flags_of(call);
  if (!flags) {
    if (!in_protocol(flags.error())) return tl::unexpected<wire::Problem>(std::move(flags).error());
    return failure(400, key, "PARSE_ERROR", flags.error().error.message);
  }
  const Result<state::DocumentKey> document = state::DocumentKey::parse(flags->prefix + key);
  if (!document) return failure(400, key, "PARSE_ERROR", document.error().message);
  ST8_API_TRY(allow(call, auth::Verb::kRead, flags->where, *document));
  Outcome<state::View> view = view_allowed(call, auth::Verb::kRead, flags->where, state::Selector::head());
  if (!view) {
    if (!in_protocol(view.error())) return tl::unexpected<wire::Problem>(std::move(view).error());
    return failure(404, key, "FLAG_NOT_FOUND", view.error().error.message);
  }
  ST8_API_ASSIGN(const std::optional<std::string> content, view->get(*document));
  if (!content) return failure(404, key, "FLAG_NOT_FOUND", "there is no flag \"" + key + "\"");
  std::string text;
  wire::JsonWriter out(text);
  write_flag(out, key, *content, variant_of(view->revision()));
  http::Response response = json_response(std::move(text));
  set_revision(response, view->revision());
  return response;
}

Reply all(Call& call) {
  Outcome<Flags> flags = flags_of(call);
  if (!flags) {
    if (!in_protocol(flags.error())) return tl::unexpected<wire::Problem>(std::move(flags).error());
    return failure(400, "", "", flags.error().error.message);
  }
  Outcome<state::View> view = view_allowed(call, auth::Verb::kRead, flags->where, state::Selector::head());
  if (!view) {
    if (!in_protocol(view.error())) return tl::unexpected<wire::Problem>(std::move(view).error());
    return failure(404, "", "", view.error().error.message);
  }
  const std::string variant = variant_of(view->revision());
  const std::string etag = "\"" + variant + "\"";
  http::Response response;
  response.set_header("ETag", etag);
  set_revision(response, view->revision());
  if (const std::string_view known = call.request.header("if-none-match"); !known.empty() && etag_listed(known, etag)) {
    response.status = 304;
    return response;
  }
  response.set_header("Content-Type", "application/json");
  wire::JsonWriter out(response.body);
  out.begin_object().key("flags").begin_array();
  Status read;
  bool too_large = false;
  if (const std::optional<std::string> visible = auth::narrowed_prefix(*call.principal, flags->prefix)) {
    ST8_API_TRY(view->for_each(*visible, [&](const state::Entry& entry) {
      const Result<std::string> content = view->read(entry.key, entry.ref);
      if (!content) {
        read = fail(content.error());
        return false;
      }
      write_flag(out, entry.key.view().substr(flags->prefix.size()), *content, variant);
      too_large = response.body.size() > kFlagBytesMax;
      return !too_large;
    }));
  }
  ST8_API_TRY(read);
  if (too_large) return problem(ErrorCode::kTooLarge, "the flags have more than 32 MiB", "Narrow them with `prefix`.");
  out.end_array().key("metadata").begin_object().field("revision", view->revision().value).end_object().end_object();
  return response;
}

}  // namespace

void add_ofrep_routes(Router& router) {
  router.add({"POST", "/ofrep/v1/evaluate/flags/{key...}", Access::kRead, BodyKind::kJson, "evaluate_flag", one});
  router.add({"POST", "/ofrep/v1/evaluate/flags", Access::kRead, BodyKind::kJson, "evaluate_flags", all});
}

}  // namespace st8::api
