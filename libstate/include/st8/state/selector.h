// Selectors: one grammar, in CLI and API, that names a revision and needs no quoting in a shell.
//
//   selector   := base ancestor*
//   ancestor   := "~" [number]                      the first parent, `number` times (default 1)
//   base       := "@"                               the head of the branch in use (also "head")
//               | number | "rev:" number            a revision by its number; 0 is the empty state
//               | "hash:" hex | hex                 a revision by hash prefix (bare: at least 8 digits, and no such name)
//               | "branch:" name                    a branch's head
//               | "checkpoint:" name                a checkpoint
//               | name                              a branch or a checkpoint; an error when both exist
//               | time | "time:" time               the branch in use, as it was then
//               | name "@" time                     that branch, as it was then
//   time       := RFC 3339 | date (midnight UTC) | duration "-ago"     2026-11-21T10:00:00Z, 2026-11-21, 90m-ago, 2h30m-ago, 3d-ago
//
// Digits alone are always a number.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>

#include "st8/state/clock.h"
#include "st8/state/names.h"

namespace st8::state {

struct Selector {
  struct Head {};  // "@"
  struct ByNumber {
    RevisionNumber number;
  };
  struct ByHashPrefix {
    std::string hex;
  };  // Lower case, 1 to 64 digits.
  struct ByBranch {
    BranchName branch;
  };
  struct ByCheckpoint {
    CheckpointName name;
  };
  struct ByName {
    std::string name;
  };  // Branch or checkpoint, or a bare hash prefix.
  struct ByTime {
    std::string branch;
    Timestamp time;
  };  // Empty branch: the one in use.
  using Base = std::variant<Head, ByNumber, ByHashPrefix, ByBranch, ByCheckpoint, ByName, ByTime>;

  Base base = Head{};
  std::uint64_t ancestors = 0;  // How many first parents up.
  std::string text;             // As given, for messages.

  // `now` resolves relative times. Errors: kInvalidArgument, with the grammar's nearest form as a hint.
  static Result<Selector> parse(std::string_view text, Timestamp now);
  static Selector head();
  static Selector of(RevisionNumber number);
  static Selector checkpoint(CheckpointName name);
};

}  // namespace st8::state
