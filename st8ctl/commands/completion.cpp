// completion: scripts for shells. They ask `st8ctl __complete WORDS...`, so that flags, commands, keys and branches come from one place.
#include "commands/commands.h"

namespace st8::ctl {
namespace {

// A shell that hangs at a key is worse than one that completes nothing.
constexpr std::int64_t kPatienceMs = 1500;

constexpr Positional kShell[] = {{"shell", "bash, zsh or fish", true, false, Completes::kNothing}};
constexpr Positional kWords[] = {
    {"words", "The words so far, the last one unfinished", false, true, Completes::kNothing}};

constexpr std::string_view kBash = R"(# bash completion for st8ctl: source <(st8ctl completion bash)
_st8ctl() {
  local current=${COMP_WORDS[COMP_CWORD]} answers
  answers=$(st8ctl __complete -- "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
  if [[ $answers == ":files" ]]; then
    compopt -o default 2>/dev/null
    COMPREPLY=()
    return
  fi
  local IFS=$'\n'
  COMPREPLY=($(compgen -W "$answers" -- "$current"))
}
complete -F _st8ctl st8ctl
)";
constexpr std::string_view kZsh = R"(#compdef st8ctl
# zsh completion for st8ctl: source <(st8ctl completion zsh)
_st8ctl() {
  local answers
  answers=$(st8ctl __complete -- "${words[@]:1:$((CURRENT - 1))}" 2>/dev/null)
  if [[ $answers == ":files" ]]; then
    _files
    return
  fi
  compadd -- ${(f)answers}
}
compdef _st8ctl st8ctl
)";
constexpr std::string_view kFish = R"(# fish completion for st8ctl: st8ctl completion fish | source
function __st8ctl_complete
    set -l words (commandline -opc) (commandline -ct)
    set -l answers (st8ctl __complete -- $words[2..-1] 2>/dev/null)
    if test "$answers" = ":files"
        __fish_complete_path (commandline -ct)
        return
    end
    printf '%s\n' $answers
end
complete -c st8ctl -f -a '(__st8ctl_complete)'
)";

Result<int> completion(Context& context) {
  const std::string& shell = context.arguments().positionals.front();
  if (shell == "bash")
    context.out().write(kBash);
  else if (shell == "zsh")
    context.out().write(kZsh);
  else if (shell == "fish")
    context.out().write(kFish);
  else
    return fail(ErrorCode::kInvalidArgument, "there is no completion for \"" + shell + "\"",
                "bash, zsh and fish are known");
  return 0;
}

void names(Context& context, const std::string& path, const std::string& list, const std::string& field, Query query,
           std::uint64_t page_max = 500) {
  const auto client = context.client();
  if (!client) return;
  const auto answer = (*client)->pages(get(path, std::move(query)), list, page_max, page_max);
  if (!answer) return;
  const wire::JsonValue* items = answer->find(list);
  if (items == nullptr) return;
  for (const wire::JsonValue& item : items->items) {
    const wire::JsonValue* name = item.find(field);
    if (name != nullptr && name->text.find_first_of("\n ") == std::string::npos)
      context.out().line(printable(name->text));
  }
}

// Values of one kind, a line each. What the server refuses or does not answer is no completion, and no error.
void values(Context& context, Completes kind, const Command* at) {
  const Query in_namespace{{"namespace", context.settings().name_space}};
  switch (kind) {
    case Completes::kFiles:
    case Completes::kDirectories:
      context.out().line(":files");
      break;
    case Completes::kBranches:
      names(context, "/v1/branches", "branches", "name", in_namespace);
      break;
    case Completes::kCheckpoints:
      names(context, "/v1/checkpoints", "checkpoints", "name", in_namespace);
      break;
    case Completes::kSelectors:
      names(context, "/v1/branches", "branches", "name", in_namespace);
      names(context, "/v1/checkpoints", "checkpoints", "name", in_namespace);
      break;
    case Completes::kNamespaces:
      names(context, "/v1/namespaces", "namespaces", "name", {});
      break;
    case Completes::kTargets:
      names(context, "/v1/targets", "targets", "name", {});
      break;
    case Completes::kRollouts:
      names(context, "/v1/rollouts", "rollouts", "id", in_namespace);
      break;
    case Completes::kQuarantined:
      names(context, "/v1/quarantine", "quarantine", "key", in_namespace, 0);
      names(context, "/v1/quarantine", "quarantine", "rollout", in_namespace, 0);
      break;
    case Completes::kKeys: {
      Query query = context.scope_query();
      query.emplace_back("values", "false");
      names(context, "/v1/state", "keys", "key", std::move(query));
      break;
    }
    case Completes::kCommands:
      for (const Command* child : (at == nullptr ? root_command() : *at).children) {
        if (!child->hidden) context.out().line(child->name);
      }
      break;
    case Completes::kNothing:
      break;
  }
}

Result<int> complete(Context& outer) {
  std::vector<std::string> words = outer.arguments().positionals;
  const std::string current = words.empty() ? std::string() : words.back();
  if (!words.empty()) words.pop_back();
  // The command so far, the flags given, and the one whose value is being typed.
  Arguments given = outer.arguments();
  const Command* command = nullptr;
  const Flag* open = nullptr;
  std::size_t arguments = 0;
  for (const std::string& word : words) {
    if (open != nullptr) {
      given.add(open, word);
      open = nullptr;
    } else if (word.size() > 1 && word.front() == '-') {
      const Flag* flag = nullptr;
      if (word.starts_with("--")) {
        const std::size_t equals = word.find('=');
        flag = find_flag(command, std::string_view(word).substr(2, equals == std::string::npos ? equals : equals - 2));
        if (flag != nullptr && (equals != std::string::npos || flag->kind == FlagKind::kBool)) {
          given.add(flag, equals != std::string::npos ? word.substr(equals + 1) : "true");
          continue;
        }
      } else if (word.size() == 2) {
        for (const Flag* known : global_flags()) flag = known->letter == word[1] ? known : flag;
        for (const Flag* known : command == nullptr ? std::span<const Flag* const>() : command->flags)
          flag = known->letter == word[1] ? known : flag;
      }
      if (flag != nullptr && flag->kind != FlagKind::kBool && flag->kind != FlagKind::kOptional) open = flag;
    } else if (const Command* child =
                   arguments == 0 ? find_child(command == nullptr ? root_command() : *command, word) : nullptr) {
      command = child;
    } else {
      ++arguments;
    }
  }
  // What is asked of the server is asked as the command itself would: its namespace, branch and server.
  Result<Settings> settings = load_settings(given);
  if (!settings) return 0;
  if (settings->timeout_ms == 0) settings->timeout_ms = kPatienceMs;
  Context context(given, std::move(*settings), outer.out(), outer.err());
  if (open != nullptr) {
    for (std::size_t begin = 0; !open->choices.empty() && begin <= open->choices.size();) {
      const std::size_t end = std::min(open->choices.find('|', begin), open->choices.size());
      context.out().line(open->choices.substr(begin, end - begin));
      begin = end + 1;
    }
    values(context, open->completes, command);
    return 0;
  }
  if (current.starts_with("-")) {
    if (command != nullptr) {
      for (const Flag* flag : command->flags) context.out().line("--" + std::string(flag->name));
    }
    for (const Flag* flag : global_flags()) context.out().line("--" + std::string(flag->name));
    return 0;
  }
  if (arguments == 0) {
    values(context, Completes::kCommands, command);
    if (command != nullptr && command->name == "completion") {
      for (const char* shell : {"bash", "zsh", "fish"}) context.out().line(shell);
    }
  }
  if (command != nullptr && !command->positionals.empty()) {
    const std::size_t index = std::min(arguments, command->positionals.size() - 1);
    if (index == arguments || command->positionals[index].repeats)
      values(context, command->positionals[index].completes, nullptr);
  }
  return 0;
}

}  // namespace

const Command kCompletion{"completion",
                          "Print a shell's completion script",
                          "",
                          "source <(st8ctl completion bash)\n"
                          "source <(st8ctl completion zsh)\n"
                          "st8ctl completion fish | source",
                          {},
                          kShell,
                          {},
                          completion};
const Command kComplete{"__complete", "What may follow the words so far", "", "", {}, kWords, {}, complete, true};

}  // namespace st8::ctl
