// A target on whose own machine steps are done, and health checks asked that want it: a driver that is one as well is asked for
// them, instead of st8d's machine.
#pragma once

#include "effects/steps.h"

namespace st8::target::effects {

enum class StepAction : std::uint8_t { kRun = 0, kUndo = 1, kForget = 2 };

class StepHost {
 public:
  virtual ~StepHost() = default;
  // As run_step, undo_step and forget_step. Status kOutcomeUnknown: it was begun there, and how it ended is not known; never for a
  // step that may be done again.
  virtual StepOutcome step(const CallContext& call, StepAction action, const StepSpec& step,
                           const StepContext& context) = 0;
  // As effects::probe.
  virtual Status probe(const CallContext& call, const HealthCheck& check, const Target& target) = 0;
};

}  // namespace st8::target::effects
