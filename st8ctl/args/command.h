// The command model: what every command is called, takes and does, as plain data. The parser, the help, docs/cli.md and
// the completion scripts all read this one table, so none of them can be out of step with the others.
#pragma once

#include <span>
#include <string_view>

#include "st8/state/result.h"

namespace st8::ctl {

class Context;

enum class FlagKind : unsigned char {
  kBool,      // --dry-run, --dry-run=false
  kText,      // --message TEXT
  kOptional,  // --prune, --prune=PREFIX: a value only after '='
  kNumber,    // A whole number, 0 or more.
  kDuration,  // 500ms, 30s, 1m30s; 0 for none.
  kChoice,    // One of `choices`, separated by '|'.
};

// What a shell completes a value with. The dynamic ones ask the server.
enum class Completes : unsigned char {
  kNothing,
  kFiles,
  kDirectories,
  kKeys,
  kBranches,
  kCheckpoints,
  kSelectors,
  kNamespaces,
  kTargets,
  kRollouts,
  kQuarantined,
  kCommands
};

struct Flag {
  std::string_view name;  // Without the dashes.
  char letter = 0;        // One-letter form, or 0.
  FlagKind kind = FlagKind::kText;
  std::string_view placeholder;  // As help shows the value.
  std::string_view help;
  Completes completes = Completes::kNothing;
  bool repeats = false;
  std::string_view choices = {};  // For kChoice: "text|json".
};

struct Positional {
  std::string_view name;
  std::string_view help;
  bool required = false;
  bool repeats = false;  // Takes all that follow; only the last one may.
  Completes completes = Completes::kNothing;
};

struct Command {
  std::string_view name;         // One word.
  std::string_view summary;      // One line, without a full stop.
  std::string_view description;  // Paragraphs; may be empty.
  std::string_view examples;     // One command a line; may be empty.
  std::span<const Flag* const> flags = {};
  std::span<const Positional> positionals = {};
  std::span<const Command* const> children = {};
  // The exit code, or an error. Null: a group that only holds children.
  Result<int> (*run)(Context&) = nullptr;
  bool hidden = false;
};

// The root: every command, in the order help lists them.
const Command& root_command();
// Flags that every command takes.
std::span<const Flag* const> global_flags();

}  // namespace st8::ctl
