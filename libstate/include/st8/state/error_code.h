// The stable error codes, and the one table that maps each to its name, HTTP status and exit code.
#pragma once

#include <cstdint>
#include <string_view>

namespace st8 {

// Names and numbers are part of the API (docs/errors.md); add at the end, never renumber.
enum class ErrorCode : std::uint8_t {
  kInvalidArgument = 0,   // The request is malformed: bad name, bad number, bad JSON.
  kUnauthenticated = 1,   // No token, or one that is not known.
  kPermissionDenied = 2,  // The token is known and may not do this.
  kNotFound = 3,          // The named thing does not exist.
  kConflict = 4,  // It exists already, or clashes with something else: a merge conflict, a reused idempotency key.
  kPreconditionFailed = 5,  // The writer's expectation (expected revision, If-Match) is stale.
  kTooLarge = 6,            // A stated limit is exceeded.
  kUnprocessable = 7,       // Well-formed, and refused for what it says: schema, policy, quarantine.
  kRateLimited = 8,         // Too many requests; try later.
  kUnavailable = 9,         // The service cannot answer now: starting, draining, held by another process, disk full.
  kOutcomeUnknown = 10,     // A write was tried and may or may not have happened: re-read before a retry.
  kGone = 11,               // It existed and was pruned: a revision's content, a resume point.
  kCorrupt = 12,            // Stored bytes do not verify.
  kInternal = 13,           // A bug of ours.
  kUnimplemented = 14,      // Known and not offered here, e.g. a driver without that capability.
  kMethodNotAllowed = 15,   // The route exists, with other methods.
  kUnsupportedMediaType = 16,
};

struct ErrorTraits {
  ErrorCode code;
  std::string_view name;  // snake_case, as in problem documents' `code`.
  std::string_view title;
  int http_status;
  int exit_code;  // st8ctl's exit code.
};

// Never fails: an unknown code answers the traits of kInternal.
const ErrorTraits& traits_of(ErrorCode code);

}  // namespace st8
