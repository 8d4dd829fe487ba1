// Helpers for the JSON in which libtarget keeps its records. Stored bytes are input: whatever is wrong with them is an error.
#pragma once

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "st8/state/hash.h"
#include "st8/state/result.h"

namespace st8::target::codec {

using Json = nlohmann::json;

// Used inside guarded() only, which catches what the parser does about text that is no hash: it is asked for a field that
// text does not have, so the record is refused like any other of a wrong type.
inline Hash hash(const Json& json) {
  const auto parsed = Hash::from_hex(json.get<std::string>());
  return parsed ? *parsed : hash(json.at("sha256"));
}
inline std::optional<Hash> optional_hash(const Json& json) {
  return json.is_null() ? std::nullopt : std::optional<Hash>(hash(json));
}

// Parses the bytes and runs `decode`; what either throws becomes kCorrupt.
template <class T, class Decode>
Result<T> guarded(std::string_view what, std::string_view bytes, Decode decode) {
  try {
    return decode(Json::parse(bytes));
  } catch (const std::exception& error) {
    return fail(ErrorCode::kCorrupt, "a stored " + std::string(what) + " cannot be read: " + error.what(),
                "run `st8d fsck`; a backup from before has it whole");
  }
}

inline std::string dump(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }

}  // namespace st8::target::codec
