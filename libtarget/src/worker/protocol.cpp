#include "worker/protocol.h"

#include <array>

#include "drivers/redaction.h"
#include "st8/state/error_code.h"

namespace st8::target::worker {

Json error_to_json(const Error& error) {
  return {{"ok", false},
          {"code", traits_of(error.code).name},
          {"message", drivers::redacted(error.message, nullptr)},
          {"hint", drivers::redacted(error.hint, nullptr)}};
}

Error error_from_json(const Json& json) {
  constexpr std::array kCodes = {ErrorCode::kInvalidArgument, ErrorCode::kNotFound,    ErrorCode::kPreconditionFailed,
                                 ErrorCode::kUnprocessable,   ErrorCode::kUnavailable, ErrorCode::kCorrupt,
                                 ErrorCode::kOutcomeUnknown};
  Error error{ErrorCode::kUnavailable, drivers::redacted(json.value("message", "no reason given"), nullptr),
              drivers::redacted(json.value("hint", ""), nullptr)};
  const std::string name = json.value("code", "");
  for (const ErrorCode code : kCodes) {
    if (traits_of(code).name == name) error.code = code;
  }
  return error;
}

}  // namespace st8::target::worker
