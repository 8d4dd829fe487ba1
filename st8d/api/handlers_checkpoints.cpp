// /v1/checkpoints.
#include "api/access.h"
#include "api/content.h"
#include "api/handlers.h"
#include "api/paging.h"
#include "wire/json.h"

namespace st8::api {
namespace {

// Moving or dropping a name is felt by whoever uses it. A token that is limited to some keys may do it to the checkpoints it made.
Checked may_change(Call& call, const Where& where, const state::CheckpointInfo& checkpoint) {
  ST8_API_ASSIGN(const state::Revision revision, call.store().revision(where.name_space, checkpoint.revision));
  ST8_API_ASSIGN(const bool sees, sees_revision(call, auth::Verb::kWrite, where.name_space, revision));
  if (!sees) {
    return tl::unexpected<wire::Problem>(
        problem_of({auth::Verb::kWrite, where.name_space.str(), "", "",
                    "the checkpoint \"" + checkpoint.name.str() + "\" is on no branch that the token of \"" +
                        call.principal->name + "\" covers"}));
  }
  if (call.principal->all_keys() || checkpoint.created_by == call.principal->name) return {};
  return tl::unexpected<wire::Problem>(
      problem_of({auth::Verb::kWrite, where.name_space.str(), "", "",
                  "the checkpoint \"" + checkpoint.name.str() + "\" was made by \"" + checkpoint.created_by +
                      "\", and the token of \"" + call.principal->name + "\" covers only some keys"}));
}

Reply put(Call& call) {
  Query query(call.request);
  ST8_API_TRY(query.finish());
  ST8_API_ASSIGN(const wire::CheckpointPutBody body, wire::parse_checkpoint_put(call.request.body));
  ST8_API_ASSIGN(Where where, where_of(body.scope));
  ST8_API_TRY(allow(call, auth::Verb::kWrite, where));
  ST8_API_ASSIGN(state::CheckpointName name, state::CheckpointName::parse(body.name));
  ST8_API_ASSIGN(state::Selector at, selector_of(call, {body.revision_id, "", body.at}));
  if (!call.principal->all_branches()) {
    ST8_API_ASSIGN(const state::Revision revision, resolve_allowed(call, auth::Verb::kWrite, where, at));
    // The head is taken as it is at the commit; anything else is the revision that was asked about.
    if (!std::holds_alternative<state::Selector::Head>(at.base)) at = state::Selector::of(revision.number);
  }
  if (body.replace && !(call.principal->all_branches() && call.principal->all_keys())) {
    if (const Result<state::CheckpointInfo> existing = call.store().checkpoint(where.name_space, name)) {
      ST8_API_TRY(may_change(call, where, *existing));
    }
  }
  wire::WriteFields fields;
  fields.dry_run = body.dry_run;
  state::CheckpointPutRequest request{
      where.name_space, std::move(name), std::move(at), where.branch, body.description, body.replace, {}};
  ST8_API_ASSIGN(request.context, write_context(call, fields, ""));
  ST8_API_ASSIGN(const state::CheckpointInfo made, call.store().put_checkpoint(std::move(request)));
  http::Response response = json_response(wire::to_json(checkpoint_body(made)));
  set_revision(response, made.revision);
  return response;
}

Reply list(Call& call) {
  Query query(call.request);
  const std::string ns = query.text("namespace");
  query.text("branch");  // The published clients send a whole scope with every read.
  const std::size_t limit = list_limit(query.number("limit", kListLimit));
  const std::string after = query.text("after");
  ST8_API_TRY(query.finish());
  ST8_API_ASSIGN(const state::NamespaceName name_space, namespace_of(ns));
  ST8_API_TRY(allow(call, auth::Verb::kRead, name_space));
  ST8_API_ASSIGN(const ListPage<state::CheckpointInfo> page,
                 visible_page<state::CheckpointInfo>(
                     after, limit,
                     [&](std::string_view behind, std::size_t count) {
                       return call.store().checkpoints(name_space, behind, count);
                     },
                     [&](const state::CheckpointInfo& checkpoint) -> Result<bool> {
                       if (call.principal->all_branches()) return true;
                       ST8_ASSIGN(const state::Revision revision,
                                  call.store().revision(name_space, checkpoint.revision));
                       return sees_revision(call, auth::Verb::kRead, name_space, revision);
                     }));
  wire::CheckpointPageBody body;
  for (const state::CheckpointInfo& checkpoint : page.items) body.checkpoints.push_back(checkpoint_body(checkpoint));
  body.next_cursor = page.next;
  return json_response(wire::to_json(body));
}

Reply remove(Call& call) {
  Query query(call.request);
  ST8_API_TRY(query.finish());
  ST8_API_ASSIGN(const wire::CheckpointDeleteBody body, wire::parse_checkpoint_delete(call.request.body));
  ST8_API_ASSIGN(Where where, where_of(body.name_space, ""));
  ST8_API_TRY(allow(call, auth::Verb::kWrite, where.name_space));
  ST8_API_ASSIGN(state::CheckpointName name, state::CheckpointName::parse(body.name));
  if (!(call.principal->all_branches() && call.principal->all_keys())) {
    ST8_API_ASSIGN(const state::CheckpointInfo existing, call.store().checkpoint(where.name_space, name));
    ST8_API_TRY(may_change(call, where, existing));
  }
  wire::WriteFields fields;
  fields.dry_run = body.dry_run;
  state::CheckpointDeleteRequest request{where.name_space, std::move(name), {}};
  ST8_API_ASSIGN(request.context, write_context(call, fields, ""));
  ST8_API_ASSIGN(const state::CheckpointInfo was, call.store().delete_checkpoint(std::move(request)));
  return json_response("{}");
}

}  // namespace

void add_checkpoint_routes(Router& router) {
  router.add({"POST", "/v1/checkpoints", Access::kWrite, BodyKind::kJson, "checkpoint", put});
  router.add({"GET", "/v1/checkpoints", Access::kRead, BodyKind::kNone, "list_checkpoints", list});
  router.add({"DELETE", "/v1/checkpoints", Access::kWrite, BodyKind::kJson, "delete_checkpoint", remove});
}

}  // namespace st8::api
