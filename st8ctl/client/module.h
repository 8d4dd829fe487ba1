// Parts of st8ctl that are loaded only when a command needs them: libst8_local.so and libst8_tls.so.
#pragma once

#include <string>

#include "st8/state/result.h"

namespace st8::ctl {

// Loads `name` from beside the program (its build or install tree). Errors: kUnavailable, naming the places looked at.
Result<void*> load_module(const std::string& name);
// Errors: kInternal.
Result<void*> module_symbol(void* module, const char* symbol);

}  // namespace st8::ctl
