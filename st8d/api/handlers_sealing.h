// /v1/seal: what a value looks like when it may be stored. There is no route back.
#pragma once

#include <memory>

#include "api/router.h"
#include "st8/target/sealing.h"

namespace st8::api {

// `keys` may be null: then the route says how to give some.
void add_sealing_routes(Router& router, std::shared_ptr<const target::Keyring> keys);

}  // namespace st8::api
