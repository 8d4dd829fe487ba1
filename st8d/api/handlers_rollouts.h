// /v1/live, /v1/targets, /v1/rollouts, /v1/plan, /v1/freezes, /v1/quarantine: what is live where, and how it gets there.
#pragma once

#include "api/call.h"
#include "api/router.h"
#include "st8/target/service.h"
#include "wire/json.h"

namespace st8::api {

class RolloutHub;

// Both are borrowed and outlive the router's use.
void add_rollout_routes(Router& router, target::RolloutService& rollouts, RolloutHub& hub);
// /v1/policy/lint and /v1/policy/simulate; add_rollout_routes() adds them too.
void add_policy_routes(Router& router, const target::RolloutService& rollouts);

// Members of GET /v1/status: how many rollouts, freezes, quarantined changes and drifted targets the caller may see. Cost: from memory.
void write_rollout_status(const Call& call, const target::RolloutService& rollouts, wire::JsonWriter& out);

// A plan as the API tells it. `documents`: with the paths that change.
void write_plan(wire::JsonWriter& out, const target::Plan& plan, bool documents);

}  // namespace st8::api
