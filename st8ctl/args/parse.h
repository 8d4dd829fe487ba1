// Turns argv into a command, its flags and its arguments. Rules, as users of Go and GNU programs know them:
//  - `--name value`, `--name=value`, `-n value`, `-nvalue`, `-n=value`; letters of switches may be joined.
//  - A switch takes `=true` or `=false`; an optional value is given only with `=`.
//  - Flags and arguments may stand in any order, before or behind the command; `--` ends the flags; `-` is an argument.
//  - Of a flag given twice the last one counts, unless it repeats.
// A value is taken as it stands, whatever its first character.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "args/command.h"

namespace st8::ctl {

class Arguments {
 public:
  const Command* command = nullptr;  // Null: only global flags, or nothing.
  std::vector<const Command*> path;  // From the first word to `command`.
  std::vector<std::string> positionals;
  bool help = false;

  bool given(std::string_view flag) const;
  bool on(std::string_view flag) const;  // A switch that is set.
  std::optional<std::string> text(std::string_view flag) const;
  std::string text_or(std::string_view flag, std::string_view fallback) const;
  std::vector<std::string> texts(std::string_view flag) const;
  std::optional<std::uint64_t> number(std::string_view flag) const;
  void add(const Flag* flag, std::string value) { values_.emplace_back(flag, std::move(value)); }

  // Names of given flags that `owner` does not take.
  std::vector<std::string> foreign(const Command& owner) const;
  // "branch create"
  std::string command_path() const;

 private:
  std::vector<std::pair<const Flag*, std::string>> values_;
};

// Errors: kInvalidArgument, with what was meant as the hint where that can be guessed.
Result<Arguments> parse_arguments(const Command& root, const std::vector<std::string>& words);

// The flag of `command` (or a global one) by name; null when there is none.
const Flag* find_flag(const Command* command, std::string_view name);
const Command* find_child(const Command& parent, std::string_view name);

// Digits alone, within 64 bits.
std::optional<std::uint64_t> parse_number(std::string_view text);
// "1m30s", "500ms", "0"; in milliseconds.
std::optional<std::int64_t> parse_duration_ms(std::string_view text);

}  // namespace st8::ctl
