// /v1/namespaces.
#include "api/access.h"
#include "api/content.h"
#include "api/handlers.h"
#include "api/paging.h"

namespace st8::api {
namespace {

Reply list(Call& call) {
  Query query(call.request);
  const std::string prefix = query.text("prefix");
  const std::size_t limit = list_limit(query.number("limit", kListLimit));
  const std::string after = query.text("after");
  ST8_API_TRY(query.finish());
  ST8_API_ASSIGN(const ListPage<state::NamespaceInfo> page,
                 visible_page<state::NamespaceInfo>(
                     after, limit,
                     [&](std::string_view behind, std::size_t count) { return call.store().namespaces(behind, count); },
                     [&](const state::NamespaceInfo& info) -> Result<bool> {
                       return info.name.view().starts_with(prefix) &&
                              auth::sees_namespace(*call.principal, auth::Verb::kRead, info.name.view());
                     }));
  wire::NamespacePageBody body;
  for (const state::NamespaceInfo& info : page.items) body.namespaces.push_back(namespace_body(info));
  body.next_cursor = page.next;
  return json_response(wire::to_json(body));
}

Reply remove(Call& call) {
  Query query(call.request);
  ST8_API_TRY(query.finish());
  ST8_API_ASSIGN(const wire::NamespaceDeleteBody body, wire::parse_namespace_delete(call.request.body));
  ST8_API_ASSIGN(state::NamespaceName name_space, state::NamespaceName::parse(body.name_space));
  ST8_API_TRY(allow_all_branches(call, auth::Verb::kAdmin, name_space, "deleting a namespace"));
  ST8_API_ASSIGN(const Where whole, where_of(name_space.view(), ""));
  ST8_API_TRY(allow_all_keys(call, auth::Verb::kAdmin, whole, "deleting a namespace"));
  wire::WriteFields fields;
  fields.dry_run = body.dry_run;
  state::NamespaceDeleteRequest request{std::move(name_space), body.force, {}};
  ST8_API_ASSIGN(request.context, write_context(call, fields, ""));
  ST8_API_ASSIGN(const state::NamespaceInfo was, call.store().delete_namespace(std::move(request)));
  return json_response(wire::to_json(namespace_body(was)));
}

}  // namespace

void add_namespace_routes(Router& router) {
  router.add({"GET", "/v1/namespaces", Access::kRead, BodyKind::kNone, "list_namespaces", list});
  router.add({"DELETE", "/v1/namespaces", Access::kAdmin, BodyKind::kJson, "delete_namespace", remove});
}

}  // namespace st8::api
