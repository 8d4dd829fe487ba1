// What st8d and a worker say to each other: JSON objects, one a line (docs/drivers.md, "st8-worker/1").
#pragma once

#include <string>
#include <string_view>

#include "codec/json.h"
#include "st8/state/result.h"

namespace st8::target::worker {

using codec::Json;

inline constexpr std::string_view kProtocol = "st8-worker/1";
inline constexpr std::size_t kInlineBytesMax =
    256u << 10;                                 // Of an assignment's content; larger ones are fetched file by file.
inline constexpr std::size_t kHeldMax = 1'024;  // Assignments that a worker may say it has.
inline constexpr std::size_t kMessageBytesMax = 500;

// Looks into what the other side sent. Errors: kInvalidArgument, naming `what`, when a field is missing or of another type.
template <class T, class Decode>
Result<T> look_into(std::string_view what, Decode decode) {
  try {
    return decode();
  } catch (const std::exception& error) {
    return fail(ErrorCode::kInvalidArgument, std::string(what) + " cannot be read: " + error.what(), "");
  }
}
// Parses it first.
template <class T, class Decode>
Result<T> read_message(std::string_view what, std::string_view text, Decode decode) {
  return look_into<T>(what, [&]() -> Result<T> {
    const Json json = Json::parse(text);
    if (!json.is_object()) return fail(ErrorCode::kInvalidArgument, std::string(what) + " is no JSON object", "");
    return decode(json);
  });
}

// A line of the stream.
inline std::string line_of(const Json& json) { return codec::dump(json) + "\n"; }

// Errors travel as their code's name, message and hint. What is not known comes back as kUnavailable.
Json error_to_json(const Error& error);
Error error_from_json(const Json& json);

}  // namespace st8::target::worker
