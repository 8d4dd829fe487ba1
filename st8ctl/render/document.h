// JSON laid out again: indented JSON, or YAML. The order of fields and every digit of a number stay as they came.
#pragma once

#include <string>
#include <string_view>

#include "st8/state/result.h"
#include "wire/json.h"

namespace st8::ctl {

// Two spaces a level; empty lists and mappings on one line. Ends with a newline.
std::string indented_json(const wire::JsonValue& value);
// Block style; a string stands plain only when no reader could take it for something else. Ends with a newline.
std::string yaml(const wire::JsonValue& value);

// An answer's body, of any size. Errors: kInvalidArgument.
Result<wire::JsonValue> parse_answer(std::string_view json);

}  // namespace st8::ctl
