// The step `package`: a Debian package at a version, by dpkg from a file or by apt, and back to what was there.
#pragma once

#include "effects/steps.h"

namespace st8::target::effects {

// Nothing is done when the version is there already. What was there is kept first (a version, or none); what is there afterwards is
// read back. A package that is half installed is not touched. Errors: kUnprocessable, kUnavailable (not in time).
StepOutcome install_package(const CallContext& call, const StepSpec& step, const StepContext& context);
// Back to the version that was there (or to `rollbackVersion`): from the file that st8 installed it from, from `rollbackFile`, or by
// apt; a package that was not there is purged.
StepOutcome uninstall_package(const CallContext& call, const StepSpec& step, const StepContext& context);
void forget_package(const StepSpec& step, const StepContext& context);

}  // namespace st8::target::effects
