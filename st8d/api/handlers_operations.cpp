// GET /v1/operations: who changed which name, when.
#include "api/access.h"
#include "api/content.h"
#include "api/handlers.h"
#include "api/paging.h"
#include "api/visibility.h"

namespace st8::api {
namespace {

// How many operations one request looks at for a caller that sees few of them.
constexpr std::size_t kLookedAtMax = 20'000;

Reply operations(Call& call) {
  Query query(call.request);
  const std::string ns = query.text("namespace");
  query.text("branch");
  const std::size_t limit = list_limit(query.number("limit", kListLimit));
  std::uint64_t after = query.number("after").value_or(0);
  ST8_API_TRY(query.finish());
  ST8_API_ASSIGN(const state::NamespaceName name_space, namespace_of(ns));
  ST8_API_TRY(allow(call, auth::Verb::kRead, name_space));
  wire::OperationPageBody body;
  for (std::size_t looked_at = 0;;) {
    const Result<std::vector<state::Operation>> found = call.store().operations(name_space, after, kListLimit);
    if (!found) {
      if (found.error().code == ErrorCode::kNotFound) break;
      return tl::unexpected<wire::Problem>(wire::Problem(found.error()));
    }
    for (const state::Operation& operation : *found) {
      if (body.operations.size() == limit) {
        body.next_cursor = after;
        return json_response(wire::to_json(body));
      }
      after = operation.sequence;
      ST8_API_ASSIGN(const bool sees, sees_operation(*call.principal, call.store(), name_space, operation));
      if (sees) body.operations.push_back(operation_body(operation));
    }
    if (found->size() < kListLimit) break;
    looked_at += found->size();
    if (looked_at >= kLookedAtMax) {
      body.next_cursor = after;  // The page may be empty; the cursor goes on.
      break;
    }
  }
  return json_response(wire::to_json(body));
}

}  // namespace

void add_operation_routes(Router& router) {
  router.add({"GET", "/v1/operations", Access::kRead, BodyKind::kNone, "operations", operations});
}

}  // namespace st8::api
