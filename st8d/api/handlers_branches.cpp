// /v1/branches.
#include "api/access.h"
#include "api/content.h"
#include "api/handlers.h"
#include "api/paging.h"

namespace st8::api {
namespace {

Reply list(Call& call) {
  Query query(call.request);
  const std::string ns = query.text("namespace"), branch = query.text("branch");
  const std::size_t limit = list_limit(query.number("limit", kListLimit));
  const std::string after = query.text("after");
  ST8_API_TRY(query.finish());
  // `branch` only says which one to mark as current; it need not be readable, or exist.
  ST8_API_ASSIGN(const Where where, where_of(ns, branch));
  ST8_API_TRY(allow(call, auth::Verb::kRead, where.name_space));
  ST8_API_ASSIGN(const ListPage<state::BranchInfo> page,
                 visible_page<state::BranchInfo>(
                     after, limit,
                     [&](std::string_view behind, std::size_t count) {
                       return call.store().branches(where.name_space, behind, count);
                     },
                     [&](const state::BranchInfo& info) -> Result<bool> {
                       return auth::sees_branch(*call.principal, auth::Verb::kRead, where.name_space.view(),
                                                info.name.view());
                     }));
  wire::BranchPageBody body;
  for (const state::BranchInfo& info : page.items) body.branches.push_back(branch_body(info, &where.branch));
  body.next_cursor = page.next;
  return json_response(wire::to_json(body));
}

http::Response branch_response(const state::BranchInfo& branch, int status = 200) {
  http::Response response = json_response(wire::to_json(branch_body(branch, nullptr)), status);
  set_revision(response, branch.head);
  return response;
}

Reply create(Call& call) {
  Query query(call.request);
  ST8_API_TRY(query.finish());
  ST8_API_ASSIGN(const wire::BranchCreateBody body, wire::parse_branch_create(call.request.body));
  ST8_API_ASSIGN(const Where from, where_of(body.scope));
  ST8_API_ASSIGN(state::BranchName name, state::BranchName::parse(body.name));
  ST8_API_TRY(allow(call, auth::Verb::kWrite, Where{from.name_space, name}));
  ST8_API_TRY(allow(call, auth::Verb::kWrite, from));
  ST8_API_ASSIGN(state::Selector source, selector_of(call, {body.from_revision, body.from_checkpoint, body.at}));
  if (!call.principal->all_branches()) {
    ST8_API_ASSIGN(const state::Revision revision, resolve_allowed(call, auth::Verb::kWrite, from, source));
    if (!std::holds_alternative<state::Selector::Head>(source.base)) source = state::Selector::of(revision.number);
  }
  wire::WriteFields fields;
  fields.dry_run = body.dry_run;
  state::BranchCreateRequest request{from.name_space, std::move(name), std::move(source), from.branch, {}};
  ST8_API_ASSIGN(request.context, write_context(call, fields, ""));
  ST8_API_ASSIGN(const state::BranchInfo made, call.store().create_branch(std::move(request)));
  return branch_response(made);
}

Reply remove(Call& call) {
  Query query(call.request);
  ST8_API_TRY(query.finish());
  ST8_API_ASSIGN(const wire::BranchDeleteBody body, wire::parse_branch_delete(call.request.body));
  ST8_API_ASSIGN(const Where where, where_of(body.name_space, body.name));
  ST8_API_TRY(allow_all_keys(call, auth::Verb::kWrite, where, "deleting a branch"));
  wire::WriteFields fields;
  fields.expected_revision = body.expected_revision;
  fields.dry_run = body.dry_run;
  state::BranchDeleteRequest request{where.name_space, where.branch, {}};
  ST8_API_ASSIGN(request.context, write_context(call, fields, ""));
  const std::optional<state::RevisionNumber> expected = request.context.expected_revision;
  Result<state::BranchInfo> was = call.store().delete_branch(std::move(request));
  if (!was)
    return tl::unexpected<wire::Problem>(write_problem(call, where, wire::Problem(std::move(was).error()), expected));
  return branch_response(*was);
}

Reply rename(Call& call) {
  Query query(call.request);
  ST8_API_TRY(query.finish());
  ST8_API_ASSIGN(const wire::BranchRenameBody body, wire::parse_branch_rename(call.request.body));
  ST8_API_ASSIGN(const Where from, where_of(body.name_space, body.from));
  ST8_API_ASSIGN(const Where to, where_of(body.name_space, body.to));
  ST8_API_TRY(allow_all_keys(call, auth::Verb::kWrite, from, "renaming a branch"));
  ST8_API_TRY(allow(call, auth::Verb::kWrite, to));
  wire::WriteFields fields;
  fields.dry_run = body.dry_run;
  state::BranchRenameRequest request{from.name_space, from.branch, to.branch, {}};
  ST8_API_ASSIGN(request.context, write_context(call, fields, ""));
  ST8_API_ASSIGN(const state::BranchInfo now, call.store().rename_branch(std::move(request)));
  return branch_response(now);
}

Reply protect(Call& call) {
  Query query(call.request);
  ST8_API_TRY(query.finish());
  ST8_API_ASSIGN(const wire::BranchProtectBody body, wire::parse_branch_protect(call.request.body));
  ST8_API_ASSIGN(const Where where, where_of(body.name_space, body.name));
  ST8_API_TRY(allow_all_keys(call, auth::Verb::kAdmin, where, "protecting a branch"));
  wire::WriteFields fields;
  fields.dry_run = body.dry_run;
  state::BranchProtectRequest request{where.name_space, where.branch, body.protect, {}};
  ST8_API_ASSIGN(request.context, write_context(call, fields, ""));
  ST8_API_ASSIGN(const state::BranchInfo now, call.store().protect_branch(std::move(request)));
  return branch_response(now);
}

}  // namespace

void add_branch_routes(Router& router) {
  router.add({"GET", "/v1/branches", Access::kRead, BodyKind::kNone, "list_branches", list});
  router.add({"POST", "/v1/branches", Access::kWrite, BodyKind::kJson, "create_branch", create});
  router.add({"DELETE", "/v1/branches", Access::kWrite, BodyKind::kJson, "delete_branch", remove});
  router.add({"POST", "/v1/branches/rename", Access::kWrite, BodyKind::kJson, "rename_branch", rename});
  router.add({"POST", "/v1/branches/protect", Access::kAdmin, BodyKind::kJson, "protect_branch", protect});
}

}  // namespace st8::api
