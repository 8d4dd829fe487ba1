// What may be asked of YAML text before it is believed.
#pragma once

#include <cstddef>
#include <string_view>

#include "st8/state/result.h"

namespace st8 {

// How many documents a YAML text holds; counting ends at `most`. The parser below can stand still on damaged text and give
// one empty document after the other for ever, so nothing may ask it for "all". Errors: kInvalidArgument (not YAML), with the
// line. Cost: one pass. Thread-safe.
Result<std::size_t> count_yaml_documents(std::string_view text, std::size_t most = 2);

}  // namespace st8
