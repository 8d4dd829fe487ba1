// Fields of an answer whose shape the server decides: what is absent reads as nothing, never as an error.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "render/output.h"
#include "wire/json.h"

namespace st8::ctl {

// A string's text or a number's digits, fit for a terminal; empty when there is none.
inline std::string field(const wire::JsonValue& item, std::string_view name) {
  const wire::JsonValue* value = item.find(name);
  return value == nullptr ? std::string() : printable(value->text);
}
inline std::uint64_t number_field(const wire::JsonValue& item, std::string_view name) {
  const wire::JsonValue* value = item.find(name);
  return value == nullptr ? 0 : std::strtoull(value->text.c_str(), nullptr, 10);
}
inline bool flag_field(const wire::JsonValue& item, std::string_view name) {
  const wire::JsonValue* value = item.find(name);
  return value != nullptr && value->boolean;
}
// The items of a list; none when it is absent. Refers to `item`.
inline const std::vector<wire::JsonValue>& items_field(const wire::JsonValue& item, std::string_view name) {
  const wire::JsonValue* value = item.find(name);
  return value == nullptr ? item.items : value->items;
}

}  // namespace st8::ctl
