// /v1/documents/{key...}: one document's raw bytes.
#include "api/access.h"
#include "api/content.h"
#include "api/handlers.h"

namespace st8::api {
namespace {

std::string_view type_of(std::string_view key) {
  if (key.ends_with(".json")) return "application/json";
  if (key.ends_with(".yaml") || key.ends_with(".yml")) return "application/yaml";
  if (key.ends_with(".txt") || key.ends_with(".md") || key.ends_with(".conf") || key.ends_with(".toml") ||
      key.ends_with(".ini")) {
    return "text/plain; charset=utf-8";
  }
  return "application/octet-stream";
}

std::string etag_of(const Hash& hash) { return "\"" + hash.hex() + "\""; }

Reply get_document(Call& call) {
  Query query(call.request);
  const std::string ns = query.text("namespace"), branch = query.text("branch");
  const SelectorFields fields{query.number("revision").value_or(0), query.text("checkpoint"), query.text("at")};
  ST8_API_TRY(query.finish());
  ST8_API_ASSIGN(const Where where, where_of(ns, branch));
  ST8_API_ASSIGN(const state::DocumentKey key, state::DocumentKey::parse(call.parameter("key")));
  ST8_API_TRY(allow(call, auth::Verb::kRead, where, key));
  ST8_API_ASSIGN(const state::Selector selector, selector_of(call, fields));
  ST8_API_ASSIGN(const state::View view, view_allowed(call, auth::Verb::kRead, where, selector));
  ST8_API_ASSIGN(const std::optional<state::DocumentRef> ref, view.find(key));
  if (!ref) {
    return problem(ErrorCode::kNotFound,
                   "there is no document \"" + key.str() + "\" at revision " + std::to_string(view.revision().value),
                   "GET /v1/state?values=false lists the keys.");
  }
  http::Response response;
  response.set_header("Content-Type", std::string(type_of(key.view())));
  response.set_header("X-Content-Type-Options", "nosniff");
  const std::string etag = etag_of(ref->hash);
  response.set_header("ETag", etag);
  set_revision(response, view.revision());
  response.set_header("X-St8-Written-At", std::to_string(ref->written_at.value));
  if (const std::string_view known = call.request.header("if-none-match"); !known.empty() && etag_listed(known, etag))
    return response;
  ST8_API_ASSIGN(response.body, view.read(key, *ref));
  return response;
}

struct Target {
  Where where;
  state::DocumentKey key;
  wire::WriteFields fields;
  ChangesMode mode;
};

Outcome<Target> target_of(Call& call) {
  Query query(call.request);
  const std::string ns = query.text("namespace"), branch = query.text("branch");
  wire::WriteFields fields;
  fields.message = query.text("message");
  fields.author = query.text("author");
  fields.expected_revision = query.number("expected_revision");
  fields.dry_run = query.flag("dry_run").value_or(false);
  const ChangesMode mode = changes_mode(query);
  ST8_API_TRY(query.finish());
  ST8_API_ASSIGN(Where where, where_of(ns, branch));
  ST8_API_ASSIGN(state::DocumentKey key, state::DocumentKey::parse(call.parameter("key")));
  ST8_API_TRY(allow(call, auth::Verb::kWrite, where, key));
  ST8_API_TRY(
      allow_changed_key(call, where, !call.principal->has(auth::Verb::kAdmin) && branch_protected(call, where), key));
  return Target{std::move(where), std::move(key), std::move(fields), mode};
}

// What If-Match and If-None-Match ask of the document at the head. Nothing for a request that has neither.
Outcome<std::vector<state::KeyCondition>> conditions_of(Call& call, const Target& target) {
  std::vector<state::KeyCondition> conditions;
  const std::string_view match = call.request.header("if-match"), none_match = call.request.header("if-none-match");
  if (!none_match.empty()) {
    if (none_match != "*") {
      return problem(ErrorCode::kInvalidArgument, "a write takes If-None-Match only as \"*\"",
                     "Use If-Match to name the version you have read.");
    }
    conditions.push_back(state::KeyCondition{target.key, std::nullopt, false});
  }
  if (match == "*") {
    conditions.push_back(state::KeyCondition{target.key, std::nullopt, true});
  } else if (!match.empty()) {
    // Of several tags the one that is true now is what the commit is held to; where none is, any of them refuses it.
    std::optional<Hash> held;
    ST8_API_ASSIGN(const state::View view,
                   view_allowed(call, auth::Verb::kWrite, target.where, state::Selector::head()));
    ST8_API_ASSIGN(const std::optional<state::DocumentRef> now, view.find(target.key));
    if (now && etag_listed(match, etag_of(now->hash))) held = now->hash;
    if (!held) {
      wire::Problem refused(Error{ErrorCode::kPreconditionFailed,
                                  "the document \"" + target.key.str() + "\" is not the version that If-Match names",
                                  "Read it again and decide anew."});
      return tl::unexpected<wire::Problem>(write_problem(call, target.where, std::move(refused), std::nullopt));
    }
    conditions.push_back(state::KeyCondition{target.key, held, false});
  }
  return conditions;
}

Reply write(Call& call, const Target& target, state::ApplyRequest request) {
  ST8_API_ASSIGN(request.conditions, conditions_of(call, target));
  if (call.context.validate) ST8_API_TRY(call.context.validate(target.where.name_space, request.documents));
  const std::vector<state::Document> kept = request.documents;
  const std::optional<state::RevisionNumber> expected = request.context.expected_revision;
  Outcome<state::CommitResult> result;
  if (Result<state::CommitResult> applied = call.store().apply(std::move(request))) {
    result = std::move(*applied);
  } else {
    result = tl::unexpected<wire::Problem>(wire::Problem(std::move(applied).error()));
  }
  Reply reply = write_reply(call, target.where, result, target.mode, &kept, expected);
  if (reply && !kept.empty()) {
    reply->set_header("ETag", etag_of(Hash::of(kept.front().content)));
    const bool created = !result->changes.empty() && result->changes.front().type == state::ChangeType::kCreate;
    if (created && !result->dry_run) reply->status = 201;
  }
  return reply;
}

Reply put_document(Call& call) {
  ST8_API_ASSIGN(const Target target, target_of(call));
  state::ApplyRequest request{
      target.where.name_space, target.where.branch, {}, {}, false, std::nullopt, {}, state::Cause::kApply, "", {}};
  request.documents.push_back(state::Document{target.key, call.request.body});
  ST8_API_ASSIGN(request.context, write_context(call, target.fields, "apply"));
  return write(call, target, std::move(request));
}

Reply delete_document(Call& call) {
  ST8_API_ASSIGN(const Target target, target_of(call));
  state::ApplyRequest request{target.where.name_space,
                              target.where.branch,
                              {},
                              {target.key},
                              false,
                              std::nullopt,
                              {},
                              state::Cause::kApply,
                              "",
                              {}};
  ST8_API_ASSIGN(request.context, write_context(call, target.fields, "unset"));
  return write(call, target, std::move(request));
}

}  // namespace

void add_document_routes(Router& router) {
  router.add({"GET", "/v1/documents/{key...}", Access::kRead, BodyKind::kNone, "get_document", get_document});
  router.add({"PUT", "/v1/documents/{key...}", Access::kWrite, BodyKind::kRaw, "put_document", put_document});
  router.add({"DELETE", "/v1/documents/{key...}", Access::kWrite, BodyKind::kNone, "delete_document", delete_document});
}

}  // namespace st8::api
