#include "args/parse.h"

#include <charconv>
#include <limits>

#include "args/suggest.h"
#include "st8/state/duration.h"

namespace st8::ctl {
namespace {

std::vector<std::string> flag_names(const Command* command) {
  std::vector<std::string> names;
  if (command != nullptr) {
    for (const Flag* flag : command->flags) names.push_back("--" + std::string(flag->name));
  }
  for (const Flag* flag : global_flags()) names.push_back("--" + std::string(flag->name));
  return names;
}

const Flag* find_letter(const Command* command, char letter) {
  if (command != nullptr) {
    for (const Flag* flag : command->flags) {
      if (flag->letter == letter) return flag;
    }
  }
  for (const Flag* flag : global_flags()) {
    if (flag->letter == letter) return flag;
  }
  return nullptr;
}

std::string help_hint(const Arguments& arguments) {
  const std::string path = arguments.command_path();
  return path.empty() ? "see `st8ctl --help`" : "see `st8ctl " + path + " --help`";
}

bool has_choice(std::string_view choices, std::string_view value) {
  while (!choices.empty()) {
    const std::size_t bar = choices.find('|');
    if (choices.substr(0, bar) == value) return true;
    if (bar == std::string_view::npos) break;
    choices.remove_prefix(bar + 1);
  }
  return false;
}

std::string listed(std::string_view choices) {
  std::string text;
  while (true) {
    const std::size_t bar = choices.find('|');
    text += choices.substr(0, bar);
    if (bar == std::string_view::npos) return text;
    choices.remove_prefix(bar + 1);
    text += choices.find('|') == std::string_view::npos ? " or " : ", ";
  }
}

// Whether a value fits its flag; the message names both.
Status check_value(const Flag& flag, const std::string& value) {
  const std::string name = "--" + std::string(flag.name);
  switch (flag.kind) {
    case FlagKind::kNumber:
      if (!parse_number(value)) {
        return fail(ErrorCode::kInvalidArgument, name + " needs a whole number, not \"" + value + "\"",
                    flag.name == "revision" ? "`--at` takes branches, checkpoints, times and `main~2`" : "");
      }
      return {};
    case FlagKind::kDuration:
      if (!parse_duration_ms(value)) {
        return fail(ErrorCode::kInvalidArgument, name + " needs a duration, not \"" + value + "\"",
                    "write a number and a unit: 500ms, 30s, 1m30s, 2h; 0 is none");
      }
      return {};
    case FlagKind::kBool:
      if (value != "true" && value != "false") {
        return fail(ErrorCode::kInvalidArgument,
                    name + " is a switch: it takes =true or =false, not \"" + value + "\"");
      }
      return {};
    case FlagKind::kChoice:
      if (!has_choice(flag.choices, value)) {
        return fail(ErrorCode::kInvalidArgument, name + " is " + listed(flag.choices) + ", not \"" + value + "\"");
      }
      return {};
    case FlagKind::kText:
    case FlagKind::kOptional:
      return {};
  }
  return {};
}

class Parser {
 public:
  Parser(const Command& root, const std::vector<std::string>& words) : root_(root), words_(words) {}

  Result<Arguments> run() {
    bool flags_end = false;
    for (at_ = 0; at_ < words_.size(); ++at_) {
      const std::string& word = words_[at_];
      if (!flags_end && word == "--") {
        flags_end = true;
      } else if (!flags_end && word.starts_with("--")) {
        ST8_TRY(long_flag(word));
      } else if (!flags_end && word.size() > 1 && word[0] == '-') {
        ST8_TRY(letters(word));
      } else {
        ST8_TRY(argument(word, flags_end));
      }
    }
    if (out_.help || out_.command == nullptr) return std::move(out_);
    ST8_TRY(check_positionals());
    return std::move(out_);
  }

 private:
  Status long_flag(const std::string& word) {
    const std::size_t equals = word.find('=');
    const std::string name = word.substr(2, equals == std::string::npos ? equals : equals - 2);
    if (name == "help") {
      out_.help = true;
      return {};
    }
    const Flag* flag = find_flag(out_.command, name);
    if (flag == nullptr) return unknown("--" + name);
    if (equals != std::string::npos) return take(*flag, word.substr(equals + 1));
    if (flag->kind == FlagKind::kBool) return take(*flag, "true");
    if (flag->kind == FlagKind::kOptional) return take(*flag, "");
    return take_next(*flag, "--" + name);
  }

  Status letters(const std::string& word) {
    for (std::size_t i = 1; i < word.size(); ++i) {
      if (word[i] == 'h') {
        out_.help = true;
        continue;
      }
      const Flag* flag = find_letter(out_.command, word[i]);
      if (flag == nullptr) return unknown(std::string("-") + word[i]);
      if (flag->kind == FlagKind::kBool || flag->kind == FlagKind::kOptional) {
        ST8_TRY(take(*flag, flag->kind == FlagKind::kBool ? "true" : ""));
        continue;
      }
      std::string rest = word.substr(i + 1);
      if (rest.empty()) return take_next(*flag, std::string("-") + word[i]);
      if (rest[0] == '=') rest.erase(0, 1);
      return take(*flag, std::move(rest));
    }
    return {};
  }

  Status take_next(const Flag& flag, const std::string& shown) {
    if (at_ + 1 >= words_.size()) {
      return fail(ErrorCode::kInvalidArgument, shown + " needs a value: " + shown + " " + std::string(flag.placeholder),
                  help_hint(out_));
    }
    return take(flag, words_[++at_]);
  }

  Status take(const Flag& flag, std::string value) {
    ST8_TRY(check_value(flag, value));
    out_.add(&flag, std::move(value));
    return {};
  }

  Status unknown(const std::string& shown) {
    std::string message = "unknown flag " + shown;
    if (out_.command != nullptr) message += " for `st8ctl " + out_.command_path() + "`";
    std::string hint = did_you_mean(shown, flag_names(out_.command));
    if (hint.empty() && out_.command == nullptr && shown.starts_with("--")) hint = "flags of a command stand behind it";
    return fail(ErrorCode::kInvalidArgument, std::move(message),
                hint.empty() ? help_hint(out_) : hint + " " + help_hint(out_));
  }

  Status argument(const std::string& word, bool flags_end) {
    const Command& current = out_.command == nullptr ? root_ : *out_.command;
    if (out_.positionals.empty() && !flags_end) {
      if (const Command* child = find_child(current, word)) {
        out_.path.push_back(child);
        out_.command = child;
        return {};
      }
    }
    if (out_.command == nullptr) {
      std::vector<std::string> names;
      for (const Command* child : root_.children) {
        if (!child->hidden) names.emplace_back(child->name);
      }
      std::string hint = did_you_mean(word, names);
      return fail(ErrorCode::kInvalidArgument, "unknown command \"" + word + "\"",
                  hint.empty() ? "`st8ctl --help` lists the commands" : hint);
    }
    out_.positionals.push_back(word);
    return {};
  }

  Status check_positionals() {
    const Command& command = *out_.command;
    std::size_t required = 0;
    bool repeats = false;
    for (const Positional& positional : command.positionals) {
      if (positional.required) ++required;
      repeats = repeats || positional.repeats;
    }
    if (out_.positionals.size() < required) {
      const Positional& missing = command.positionals[out_.positionals.size()];
      return fail(ErrorCode::kInvalidArgument,
                  "`st8ctl " + out_.command_path() + "` needs a <" + std::string(missing.name) +
                      ">: " + std::string(missing.help),
                  help_hint(out_));
    }
    if (!repeats && out_.positionals.size() > command.positionals.size()) {
      const std::string& extra = out_.positionals[command.positionals.size()];
      std::vector<std::string> names;
      for (const Command* child : command.children) names.emplace_back(child->name);
      std::string hint = did_you_mean(extra, names);
      if (hint.empty() && !names.empty()) {
        hint = "`st8ctl " + out_.command_path() + "` has the commands";
        for (std::size_t i = 0; i < names.size(); ++i) hint += (i == 0 ? " " : ", ") + names[i];
      }
      return fail(ErrorCode::kInvalidArgument, "`st8ctl " + out_.command_path() + "` does not take \"" + extra + "\"",
                  hint.empty() ? help_hint(out_) : hint);
    }
    // Flags may stand before the word that names the command they belong to; they must be its own all the same.
    for (const std::string& name : out_.foreign(command)) return unknown("--" + name);
    return {};
  }

  const Command& root_;
  const std::vector<std::string>& words_;
  std::size_t at_ = 0;
  Arguments out_;
};

}  // namespace

Result<Arguments> parse_arguments(const Command& root, const std::vector<std::string>& words) {
  return Parser(root, words).run();
}

const Flag* find_flag(const Command* command, std::string_view name) {
  if (command != nullptr) {
    for (const Flag* flag : command->flags) {
      if (flag->name == name) return flag;
    }
  }
  for (const Flag* flag : global_flags()) {
    if (flag->name == name) return flag;
  }
  return nullptr;
}

const Command* find_child(const Command& parent, std::string_view name) {
  for (const Command* child : parent.children) {
    if (child->name == name) return child;
  }
  return nullptr;
}

bool Arguments::given(std::string_view flag) const {
  for (const auto& [spec, value] : values_) {
    if (spec->name == flag) return true;
  }
  return false;
}

bool Arguments::on(std::string_view flag) const { return text(flag) == "true"; }

std::optional<std::string> Arguments::text(std::string_view flag) const {
  std::optional<std::string> last;
  for (const auto& [spec, value] : values_) {
    if (spec->name == flag) last = value;
  }
  return last;
}

std::string Arguments::text_or(std::string_view flag, std::string_view fallback) const {
  auto value = text(flag);
  return value ? *value : std::string(fallback);
}

std::vector<std::string> Arguments::texts(std::string_view flag) const {
  std::vector<std::string> all;
  for (const auto& [spec, value] : values_) {
    if (spec->name == flag) all.push_back(value);
  }
  return all;
}

std::optional<std::uint64_t> Arguments::number(std::string_view flag) const {
  auto value = text(flag);
  return value ? parse_number(*value) : std::nullopt;
}

std::vector<std::string> Arguments::foreign(const Command& owner) const {
  std::vector<std::string> names;
  for (const auto& [spec, value] : values_) {
    if (find_flag(&owner, spec->name) != spec) names.emplace_back(spec->name);
  }
  return names;
}

std::string Arguments::command_path() const {
  std::string text;
  for (const Command* word : path) {
    if (!text.empty()) text += ' ';
    text += word->name;
  }
  return text;
}

std::optional<std::uint64_t> parse_number(std::string_view text) {
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (text.empty() || error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

std::optional<std::int64_t> parse_duration_ms(std::string_view text) {
  const auto parsed = parse_duration(text, {true, false});
  return parsed ? std::optional(parsed->count()) : std::nullopt;
}

}  // namespace st8::ctl
