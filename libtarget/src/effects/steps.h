// A policy's own steps and health checks, done on this machine for one target.
#pragma once

#include <string>

#include "st8/target/plan.h"
#include "st8/target/policy.h"

namespace st8::target::effects {

struct StepOutcome {
  Status status;
  std::string output;  // Bounded.
};

// What a step may know: in {{ }} of its parameters, and in the environment of its programs (ST8_TARGET, ST8_NAMESPACE,
// ST8_BRANCH, ST8_REVISION, ST8_ROLLOUT).
struct StepContext {
  std::string name_space, branch;
  state::RevisionNumber revision;
  const Target& target;
  std::string rollout;
  std::string restore_point;
  const Clock* clock = nullptr;  // For what may wait although the rollout is over.
};

StepOutcome run_step(const CallContext& call, const StepSpec& step, const StepContext& context);
// Takes back what a step did, or may have done. Safe to do again.
StepOutcome undo_step(const CallContext& call, const StepSpec& step, const StepContext& context);
// The step is for good: drops what was kept to take it back.
void forget_step(const StepSpec& step, const StepContext& context);
// One probe.
Status probe(const CallContext& call, const HealthCheck& check, const Target& target);
// One reading of an analysis, of the whole: commands are told the namespace, branch and revision in ST8_NAMESPACE, ST8_BRANCH and ST8_REVISION.
Status measure(const CallContext& call, const Analysis& analysis, const Plan& plan);

}  // namespace st8::target::effects
