#include "api/handlers_sealing.h"

#include "api/access.h"
#include "api/call.h"
#include "wire/fields.h"

namespace st8::api {
namespace {

Reply seal(Call& call, const target::Keyring& keys) {
  Query query(call.request);
  ST8_API_TRY(query.finish());
  ST8_API_ASSIGN(const wire::JsonValue json, wire::parse_json(call.request.body));
  wire::Fields fields(json, "", wire::Fields::Unknown::kRefuse);
  const std::string name_space = fields.text("namespace");
  const std::string value = fields.bytes("value").value_or("");
  ST8_API_TRY(fields.finish());
  ST8_API_ASSIGN(const state::NamespaceName name, namespace_of(name_space));
  ST8_API_TRY(allow(call, auth::Verb::kWrite, name));
  ST8_API_ASSIGN(const std::string sealed, keys.seal(name.str(), value));
  std::string body;
  wire::JsonWriter out(body);
  out.begin_object().field("namespace", name.str()).field("sealed", sealed).end_object();
  return json_response(std::move(body));
}

}  // namespace

void add_sealing_routes(Router& router, std::shared_ptr<const target::Keyring> keys) {
  if (keys == nullptr) keys = std::make_shared<const target::Keyring>();
  router.add(
      {"POST", "/v1/seal", Access::kWrite, BodyKind::kJson, "seal", [keys](Call& call) { return seal(call, *keys); }});
}

}  // namespace st8::api
