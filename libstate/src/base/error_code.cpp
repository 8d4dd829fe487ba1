#include "st8/state/error_code.h"

#include <array>

namespace st8 {
namespace {

// Indexed by code. Exit code 0 is success, 1 is a difference found by `diff --exit-code`; errors begin at 2.
constexpr std::array<ErrorTraits, 17> kTraits{{
    {ErrorCode::kInvalidArgument, "invalid_argument", "Invalid request", 400, 2},
    {ErrorCode::kUnauthenticated, "unauthenticated", "Authentication required", 401, 3},
    {ErrorCode::kPermissionDenied, "permission_denied", "Permission denied", 403, 4},
    {ErrorCode::kNotFound, "not_found", "Not found", 404, 5},
    {ErrorCode::kConflict, "conflict", "Conflict", 409, 6},
    {ErrorCode::kPreconditionFailed, "precondition_failed", "Precondition failed", 412, 7},
    {ErrorCode::kTooLarge, "too_large", "Too large", 413, 8},
    {ErrorCode::kUnprocessable, "unprocessable", "Refused", 422, 9},
    {ErrorCode::kRateLimited, "rate_limited", "Too many requests", 429, 10},
    {ErrorCode::kUnavailable, "unavailable", "Unavailable", 503, 11},
    // Not 503: clients and proxies retry that by themselves, and this must be looked at before it is tried again.
    {ErrorCode::kOutcomeUnknown, "outcome_unknown", "Outcome unknown", 500, 12},
    {ErrorCode::kGone, "gone", "Gone", 410, 13},
    {ErrorCode::kCorrupt, "corrupt", "Stored data is damaged", 500, 14},
    {ErrorCode::kInternal, "internal", "Internal error", 500, 15},
    {ErrorCode::kUnimplemented, "unimplemented", "Not implemented", 501, 16},
    {ErrorCode::kMethodNotAllowed, "method_not_allowed", "Method not allowed", 405, 17},
    {ErrorCode::kUnsupportedMediaType, "unsupported_media_type", "Unsupported media type", 415, 18},
}};

constexpr bool rows_stand_at_their_code() {
  for (std::size_t i = 0; i < kTraits.size(); ++i) {
    if (static_cast<std::size_t>(kTraits[i].code) != i) return false;
  }
  return true;
}
static_assert(rows_stand_at_their_code());

}  // namespace

const ErrorTraits& traits_of(ErrorCode code) {
  const auto index = static_cast<std::size_t>(code);
  return index < kTraits.size() ? kTraits[index] : kTraits[static_cast<std::size_t>(ErrorCode::kInternal)];
}

}  // namespace st8
