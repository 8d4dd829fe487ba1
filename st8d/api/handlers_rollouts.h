// /v1/live, /v1/targets, /v1/rollouts, /v1/plan, /v1/freezes, /v1/quarantine: what is live where, and how it gets there.
#pragma once

#include "api/router.h"
#include "st8/target/service.h"

namespace st8::api {

// `rollouts` is borrowed and outlives the router's use.
void add_rollout_routes(Router& router, target::RolloutService& rollouts);

}  // namespace st8::api
