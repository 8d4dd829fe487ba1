// /v1/workers: who works on targets' machines, and what `st8d worker` says to st8d.
#pragma once

#include "api/router.h"
#include "st8/target/service.h"
#include "st8/target/worker_hub.h"

namespace st8::api {

// Both are borrowed and outlive the router's use.
void add_worker_routes(Router& router, target::WorkerHub& hub, const target::RolloutService& rollouts);

}  // namespace st8::api
