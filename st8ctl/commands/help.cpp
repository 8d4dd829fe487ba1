#include "commands/help.h"

#include <functional>

#include "args/suggest.h"
#include "commands/commands.h"

namespace st8::ctl {
namespace {

constexpr std::size_t kWidth = 100;

std::string path_text(const std::vector<const Command*>& path) {
  std::string text = "st8ctl";
  for (const Command* word : path) text += " " + std::string(word->name);
  return text;
}

std::string usage(const std::vector<const Command*>& path) {
  const Command& command = path.empty() ? root_command() : *path.back();
  std::string text = path_text(path);
  if (command.run == nullptr) return text + " <command> [flags]";
  for (const Positional& positional : command.positionals) {
    const std::string name = std::string(positional.name) + (positional.repeats ? "..." : "");
    text += positional.required ? " <" + name + ">" : " [" + name + "]";
  }
  return text + " [flags]";
}

std::string flag_head(const Flag& flag) {
  std::string text = flag.letter == 0 ? "    " : std::string("-") + flag.letter + ", ";
  text += "--" + std::string(flag.name);
  if (flag.kind == FlagKind::kOptional)
    text += "[=" + std::string(flag.placeholder) + "]";
  else if (flag.kind != FlagKind::kBool)
    text += " " + std::string(flag.placeholder);
  return text;
}

// Lines of at most `width`, broken at spaces.
std::string wrapped(std::string_view text, std::size_t width) {
  std::string out;
  std::size_t column = 0;
  while (!text.empty()) {
    if (text.front() == '\n') {
      out += '\n';
      column = 0;
      text.remove_prefix(1);
      continue;
    }
    const std::size_t end = std::min(text.find_first_of(" \n"), text.size());
    if (column > 0 && column + 1 + end > width) {
      out += '\n';
      column = 0;
    } else if (column > 0) {
      out += ' ';
      ++column;
    }
    out += text.substr(0, end);
    column += end;
    text.remove_prefix(end);
    if (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  }
  return out;
}

std::string flag_table(std::span<const Flag* const> flags) {
  std::vector<std::vector<std::string>> rows;
  for (const Flag* flag : flags) rows.push_back({"  " + flag_head(*flag), std::string(flag->help)});
  return table(rows);
}

std::string command_table(const Command& command) {
  std::vector<std::vector<std::string>> rows;
  for (const Command* child : command.children) {
    if (!child->hidden) rows.push_back({"  " + std::string(child->name), std::string(child->summary)});
  }
  return table(rows);
}

std::string indented(std::string_view lines) {
  std::string out = "  ";
  for (const char c : lines) {
    out += c;
    if (c == '\n') out += "  ";
  }
  return out + "\n";
}

void for_each_command(const std::function<void(const std::vector<const Command*>&)>& visit) {
  std::vector<const Command*> path;
  const std::function<void(const Command&)> walk = [&](const Command& command) {
    for (const Command* child : command.children) {
      if (child->hidden) continue;
      path.push_back(child);
      visit(path);
      walk(*child);
      path.pop_back();
    }
  };
  walk(root_command());
}

constexpr Flag kMarkdown{"markdown", 0, FlagKind::kBool, "", "The whole reference, as docs/cli.md holds it"};
constexpr const Flag* kFlags[] = {&kMarkdown};
constexpr Positional kWords[] = {{"command", "The command to explain", false, true, Completes::kCommands}};

Result<int> run(Context& context) {
  if (context.arguments().on("markdown")) {
    context.out().write(help_markdown());
    return 0;
  }
  std::vector<const Command*> path;
  const Command* at = &root_command();
  for (const std::string& word : context.arguments().positionals) {
    const Command* child = find_child(*at, word);
    if (child == nullptr) {
      std::vector<std::string> names;
      for (const Command* known : at->children) {
        if (!known->hidden) names.emplace_back(known->name);
      }
      const std::string meant = did_you_mean(word, names);
      return fail(ErrorCode::kInvalidArgument, "unknown command \"" + word + "\"",
                  meant.empty() ? "`st8ctl --help` lists the commands" : meant);
    }
    path.push_back(child);
    at = child;
  }
  context.out().write(help_text(path));
  return 0;
}

}  // namespace

std::string help_text(const std::vector<const Command*>& path) {
  const Command& command = path.empty() ? root_command() : *path.back();
  std::string text = wrapped(command.summary, kWidth) + ".\n\nUsage:\n  " + usage(path) + "\n";
  if (command.run != nullptr && !command.children.empty()) {
    text += "  " + path_text(path) + " <command> [flags]\n";
  }
  if (!command.description.empty()) text += "\n" + wrapped(command.description, kWidth) + "\n";
  if (!command.children.empty()) text += "\nCommands:\n" + command_table(command);
  if (!command.examples.empty()) text += "\nExamples:\n" + indented(command.examples);
  if (!command.flags.empty()) text += "\nFlags:\n" + flag_table(command.flags);
  if (path.empty()) {
    text += "\nFlags of every command:\n" + flag_table(global_flags());
    text += "\n`st8ctl <command> --help` explains one. Exit codes: 0 done; others stand in docs/errors.md.\n";
  } else {
    text += "\nFlags of every command: st8ctl --help\n";
  }
  return text;
}

std::string help_markdown() {
  std::string text =
      "# st8ctl\n\n"
      "Written by `st8ctl help --markdown`; a test holds this page against the program. Exit codes are those of "
      "[errors](errors.md); "
      "`diff --exit-code` exits 1 when there are differences.\n\n"
      "## Flags of every command\n\n```\n" +
      flag_table(global_flags()) +
      "```\n\n"
      "Precedence: flag, then environment, then the configuration file, then what is built in. The file is YAML; "
      "`st8ctl login` writes it, for its owner alone.\n\n"
      "| Flag | Variable | In the file |\n|---|---|---|\n"
      "| `--server` | `ST8CTL_SERVER` | `server.url` |\n"
      "| `--token` | `ST8CTL_TOKEN` | `server.token` |\n"
      "| `--local` | `ST8CTL_LOCAL` | `server.url: local` |\n"
      "| `--state-dir` | `ST8CTL_STATE_DIR` | `server.dir` |\n"
      "| `--timeout` | `ST8CTL_TIMEOUT` | `server.timeout` |\n"
      "| `--ca-cert` | `ST8CTL_CA_CERT` | `server.ca_cert` |\n"
      "| `--client-cert` | `ST8CTL_CLIENT_CERT` | `server.client_cert` |\n"
      "| `--client-key` | `ST8CTL_CLIENT_KEY` | `server.client_key` |\n"
      "| `--namespace` | `ST8CTL_NAMESPACE` | `defaults.namespace` |\n"
      "| `--branch` | `ST8CTL_BRANCH` | `defaults.branch` |\n"
      "| `--output` | `ST8CTL_OUTPUT` | `defaults.output` |\n"
      "| `--author`, where a command has it | `ST8CTL_AUTHOR` | `defaults.author` |\n"
      "| `--config` | `ST8CTL_CONFIG` | |\n";
  for_each_command([&](const std::vector<const Command*>& path) {
    const Command& command = *path.back();
    text += "\n## " + path_text(path) + "\n\n" + std::string(command.summary) + ".\n\n```\n" + usage(path) + "\n```\n";
    if (!command.description.empty()) text += "\n" + std::string(command.description) + "\n";
    if (!command.flags.empty()) text += "\n```\n" + flag_table(command.flags) + "```\n";
    if (!command.examples.empty()) text += "\n```sh\n" + std::string(command.examples) + "\n```\n";
  });
  return text;
}

const Command kHelp{"help", "Explain a command", "", "st8ctl help branch create", kFlags, kWords, {}, run};

}  // namespace st8::ctl
