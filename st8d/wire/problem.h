// Problem documents (RFC 9457): what every error looks like on the wire.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "st8/state/result.h"
#include "wire/json.h"

namespace st8::wire {

inline constexpr std::string_view kProblemContentType = "application/problem+json";

// One place where both sides of a merge changed the same thing differently.
struct ConflictBody {
  std::string key;
  std::string path;                               // Within the document; empty: the whole of it, or lines.
  std::optional<std::string> base, ours, theirs;  // nullopt: absent there.
};

// An error and what a program needs to act on it.
struct Problem {
  Error error;
  std::optional<std::uint64_t> expected_revision;  // Of a failed precondition.
  std::optional<std::uint64_t> head_revision;
  std::vector<ConflictBody> conflicts;        // Of a merge.
  std::string verb, name_space, branch, key;  // What a permission was missing for.
  std::vector<std::string> allow;             // The methods that a route has.
  std::string request_id;

  Problem() = default;
  Problem(Error cause)
      : error(std::move(cause)) {}  // NOLINT(google-explicit-constructor): an Error is the simplest problem.
};

// {"type":"https://st8.dev/errors/<code>","title","status","detail","code","hint","request_id", ...}
std::string to_json(const Problem& problem);

// Reads one, leniently. `status` and the text help where the answer is not a problem document (a proxy's page).
Problem parse_problem(int status, std::string_view body);

// The code whose name stands in a problem document; nullopt for one that this version does not know.
std::optional<ErrorCode> error_code_of(std::string_view name);

}  // namespace st8::wire
