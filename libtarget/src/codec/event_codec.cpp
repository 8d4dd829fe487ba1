#include "codec/json.h"
#include "st8/target/rollout.h"

namespace st8::target {

using codec::Json;

std::string encode_event(const RolloutEvent& event) {
  Json json = {{"seq", event.sequence}, {"at", event.at.micros}, {"kind", event_kind_name(event.kind)}};
  const auto number = [&](const char* name, std::uint32_t value) {
    if (value != RolloutEvent::kNone) json[name] = value;
  };
  number("target", event.target);
  number("op", event.op);
  number("wave", event.wave);
  number("gate", event.gate);
  if (event.attempt != 0) json["attempt"] = event.attempt;
  if (event.retry_at) json["retry_at"] = event.retry_at->micros;
  if (event.observation) {
    json["observed"] = {{"present", event.observation->present},
                        {"content", event.observation->content.hex()},
                        {"label", event.observation->label}};
  }
  if (event.outcome) json["outcome"] = phase_name(*event.outcome);
  if (!event.revision.is_root()) json["revision"] = event.revision.value;
  if (event.full) json["full"] = true;
  if (!event.detail.empty()) json["detail"] = event.detail;
  if (!event.actor.empty()) json["actor"] = event.actor;
  return codec::dump(json);
}

Result<RolloutEvent> decode_event(std::string_view bytes) {
  return codec::guarded<RolloutEvent>("rollout event", bytes, [](const Json& json) -> Result<RolloutEvent> {
    RolloutEvent event;
    event.sequence = json.at("seq").get<std::uint64_t>();
    event.at.micros = json.at("at").get<std::int64_t>();
    const auto kind = event_kind_of(json.at("kind").get<std::string>());
    if (!kind)
      return fail(ErrorCode::kCorrupt, "a rollout event is of an unknown kind " + json.at("kind").dump(),
                  "use the st8d that wrote it, or a newer one");
    event.kind = *kind;
    const auto number = [&](const char* name, std::uint32_t& out) {
      if (json.contains(name)) out = json.at(name).get<std::uint32_t>();
    };
    number("target", event.target);
    number("op", event.op);
    number("wave", event.wave);
    number("gate", event.gate);
    number("attempt", event.attempt);
    if (json.contains("retry_at")) event.retry_at = Timestamp{json.at("retry_at").get<std::int64_t>()};
    if (json.contains("observed")) {
      const Json& seen = json.at("observed");
      event.observation = Observation{seen.at("present").get<bool>(), codec::hash(seen.at("content")),
                                      seen.at("label").get<std::string>()};
    }
    if (json.contains("outcome")) {
      const std::string name = json.at("outcome").get<std::string>();
      for (int phase = 0; phase <= static_cast<int>(RolloutPhase::kRejected); ++phase) {
        if (phase_name(static_cast<RolloutPhase>(phase)) == name) event.outcome = static_cast<RolloutPhase>(phase);
      }
    }
    if (json.contains("revision")) event.revision.value = json.at("revision").get<std::uint64_t>();
    event.full = json.value("full", false);
    event.detail = json.value("detail", std::string());
    event.actor = json.value("actor", std::string());
    return event;
  });
}

}  // namespace st8::target
