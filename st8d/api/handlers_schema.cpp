// /v1/schema: the JSON Schemas of policies and targets. Open to all, since editors fetch them and they tell nothing of a store.
#include "api/call.h"
#include "api/handlers.h"
#include "api/schemas.h"
#include "wire/json.h"
#include "wire/text.h"

namespace st8::api {
namespace {

Reply list_schemas(Call& call) {
  Query query(call.request);
  ST8_API_TRY(query.finish());
  std::string body;
  wire::JsonWriter out(body);
  out.begin_object().key("schemas").begin_array();
  for (const Schema& schema : schemas()) {
    ST8_API_ASSIGN(const wire::JsonValue json, wire::parse_json(schema.text));
    const auto text = [&](std::string_view name) -> std::string {
      const wire::JsonValue* value = json.find(name);
      return value == nullptr ? std::string() : value->text;
    };
    out.begin_object()
        .field("name", schema.name)
        .field("id", text("$id"))
        .field("title", text("title"))
        .field("description", text("description"))
        .end_object();
  }
  out.end_array().end_object();
  return json_response(std::move(body));
}

Reply get_schema(Call& call) {
  Query query(call.request);
  ST8_API_TRY(query.finish());
  const std::string_view name = call.parameter("name");
  std::string all;
  for (const Schema& schema : schemas()) {
    if (schema.name != name) {
      all += (all.empty() ? "" : ", ") + std::string(schema.name);
      continue;
    }
    http::Response response;
    response.set_header("Content-Type", "application/schema+json");
    response.body = schema.text;
    return response;
  }
  return problem(ErrorCode::kNotFound, "there is no schema \"" + wire::printable(name, 80) + "\"", "there are " + all);
}

}  // namespace

void add_schema_routes(Router& router) {
  router.add({"GET", "/v1/schema", Access::kOpen, BodyKind::kNone, "", list_schemas});
  router.add({"GET", "/v1/schema/{name}", Access::kOpen, BodyKind::kNone, "", get_schema});
}

}  // namespace st8::api
