// What the commands about rollouts share.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "context.h"
#include "wire/json.h"

namespace st8::ctl {

// How a rollout ended, as st8ctl's exit code says it; docs/errors.md lists them beside the codes of errors.
inline constexpr int kExitRolledBack = 20;
inline constexpr int kExitSuperseded = 21;
inline constexpr int kExitAborted = 22;
inline constexpr int kExitRejected = 23;
inline constexpr int kExitIncomplete = 24;  // Some targets failed, and a person is to decide.
inline constexpr int kExitNotOver = 25;     // Within --deadline.
int exit_code_of_phase(std::string_view phase);

// "r-12", from "r-12" or "12". Errors: kInvalidArgument.
Result<std::string> rollout_id(const std::string& word);
// The rollout meant: the one that is named, else the newest of the branch. With `open`, else the one that is not over. Errors: kNotFound;
// kInvalidArgument when several could be meant.
Result<std::string> chosen_rollout(Context& context, bool open);

// Follows a rollout until it is over or incomplete: a live tree on a terminal, a line each event elsewhere, nothing with -o json or yaml.
// Ends with the exit code of its phase; `detail` is its last state. `deadline_ms` 0: none. Errors: the server's, when it stays away.
struct Watched {
  int exit_code = 0;
  wire::JsonValue detail;
};
Result<Watched> watch_rollout(Context& context, const std::string& id, std::int64_t deadline_ms);

// For --wait: finds the rollout that takes `revision` live, follows it, and tells what is live then. Errors: kUnprocessable when
// the revision goes live nowhere (no policy names the branch, or it cannot be planned), with why.
Result<int> wait_until_live(Context& context, std::uint64_t revision);

// The lines of `st8ctl live` for the scope in use.
Status print_live(Context& context);

}  // namespace st8::ctl
