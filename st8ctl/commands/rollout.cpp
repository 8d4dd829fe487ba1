// rollout: list and show.
#include "commands/commands.h"
#include "render/fields.h"

namespace st8::ctl {
namespace {

constexpr Flag kLimit{"limit", 0, FlagKind::kNumber, "N", "At most this many (default 20; 0: all)"};
constexpr const Flag* kListFlags[] = {&kLimit};
constexpr Positional kRolloutId[] = {{"id", "The rollout", true, false, Completes::kRollouts}};

// A line each: the first field as the name, the others as name=value. A list without items says `none` on standard error.
void print_lines(Context& context, const wire::JsonValue& answer, std::string_view list, const std::vector<std::string>& fields, const std::string& none) {
  const wire::JsonValue* items = answer.find(list);
  if (items == nullptr || items->items.empty()) {
    context.notice(none);
    return;
  }
  for (const wire::JsonValue& item : items->items) {
    std::string line = field(item, fields.front());
    for (std::size_t i = 1; i < fields.size() && context.format() != OutputFormat::kName; ++i) {
      const std::string value = field(item, fields[i]);
      if (value.empty()) continue;
      line += " " + fields[i] + "=" + (fields[i] == "hash" ? value.substr(0, 12) : fields[i] == "since" ? short_time(value) : value);
    }
    context.out().line(line);
  }
}

// One thing, whole: YAML is what a person reads best of a nested answer.
Result<int> show(Context& context, const std::string& path) {
  ST8_ASSIGN(Client* const client, context.client());
  ST8_ASSIGN(const HttpResponse response, client->call(get(path)));
  ST8_ASSIGN(const bool printed, context.print_document(response.body));
  if (printed) return 0;
  ST8_ASSIGN(const wire::JsonValue answer, parse_answer(response.body));
  context.out().write(yaml(answer));
  return 0;
}

Result<int> list_rollouts(Context& context) {
  ST8_ASSIGN(Client* const client, context.client());
  ST8_ASSIGN(const wire::JsonValue answer, client->pages(get("/v1/rollouts", context.scope_query()), "rollouts", context.arguments().number("limit").value_or(20)));
  ST8_ASSIGN(const bool printed, context.print_document(answer));
  if (!printed) print_lines(context, answer, "rollouts", {"id", "namespace", "branch", "revision", "phase"}, "there are no rollouts");
  return 0;
}
Result<int> show_rollout(Context& context) { return show(context, "/v1/rollouts/" + percent_encoded(context.arguments().positionals.front(), false)); }

constexpr Command kRolloutList{"list", "List the rollouts of a namespace, newest first", "", "st8ctl rollout list", kListFlags, {}, {}, list_rollouts};
constexpr Command kRolloutGet{"get", "Show one rollout with its targets and events", "", "st8ctl rollout get 12", {}, kRolloutId, {}, show_rollout};
constexpr const Command* kRolloutChildren[] = {&kRolloutList, &kRolloutGet};

}  // namespace

const Command kRollout{"rollout", "List or show rollouts", "", "st8ctl rollout list\nst8ctl rollout get 12", kListFlags, {}, kRolloutChildren, list_rollouts};

}  // namespace st8::ctl
