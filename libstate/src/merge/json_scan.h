// A JSON scanner that keeps what was written: spans of the text instead of numbers and strings.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "merge/value.h"

namespace st8::state::merge {

// nullopt: not JSON as RFC 8259 has it, not UTF-8, or nested deeper than kDepthMax. A scalar's token is its text; a
// member's key is unescaped (but left as written where that gives no UTF-8).
std::optional<Value> scan_json(std::string_view text);

}  // namespace st8::state::merge
