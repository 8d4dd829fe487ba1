// The JSON Schemas of the documents that st8 reads itself, as docs/schema has them: they are put into the program when it is
// built, so that what a daemon publishes is what its own parser takes.
#pragma once

#include <span>
#include <string_view>

namespace st8::api {

struct Schema {
  std::string_view name;  // "rollout", "target".
  std::string_view text;  // JSON Schema, draft 2020-12.
};

// By name.
std::span<const Schema> schemas();

}  // namespace st8::api
