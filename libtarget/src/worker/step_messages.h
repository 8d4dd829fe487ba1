// A step, or a probe of a health check, as it goes to a worker.
#pragma once

#include "effects/step_host.h"
#include "worker/protocol.h"

namespace st8::target::worker {

struct StepMessage {
  effects::StepAction action = effects::StepAction::kRun;
  StepSpec step;
  Target target;  // Its name, environment and labels; nothing else of its document.
  std::string name_space, branch, rollout, restore_point;
  state::RevisionNumber revision;
};

Json step_to_json(effects::StepAction action, const StepSpec& step, const effects::StepContext& context);
// Throws what the JSON library throws; for look_into(). Errors: kInvalidArgument.
Result<StepMessage> step_from_json(const Json& json);

struct ProbeMessage {
  HealthCheck check;  // What is asked and what is good; not how often.
  Target target;
};
Json probe_to_json(const HealthCheck& check, const Target& target);
// As step_from_json().
Result<ProbeMessage> probe_from_json(const Json& json);

}  // namespace st8::target::worker
