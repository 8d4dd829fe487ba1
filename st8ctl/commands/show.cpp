#include "commands/commands.h"

namespace st8::ctl {
namespace {

constexpr Flag kNoPatch{"no-patch", 's', FlagKind::kBool, "", "Only the revision, without its diff"};
constexpr Flag kNames{"name-only", 0, FlagKind::kBool, "", "Only which keys it changed"};
constexpr Flag kUnified{"unified", 'U', FlagKind::kNumber, "LINES", "Lines of context (default 3)"};
constexpr const Flag* kFlags[] = {&flags::kRevision, &flags::kCheckpoint, &flags::kAt, &kNoPatch, &kNames, &kUnified};
constexpr Positional kPositionals[] = {
    {"selector", "The revision (default: the branch's head)", false, false, Completes::kSelectors}};

void field(Context& context, const std::string& name, const std::string& value) {
  if (!value.empty())
    context.out().line(name + std::string(name.size() < 10 ? 10 - name.size() : 1, ' ') + printable(value));
}

// Every change, beyond those that the entry itself holds.
Result<std::vector<wire::ChangeBody>> all_changes(Context& context, const wire::LogEntryBody& entry) {
  if (!entry.changes_truncated && entry.has_changes) return entry.changes;
  ST8_ASSIGN(Client* const client, context.client());
  wire::DiffBody body;
  body.scope = context.scope();
  body.from = std::to_string(entry.parent_id);
  body.to = std::to_string(entry.id);
  std::vector<wire::ChangeBody> changes;
  while (true) {
    ST8_ASSIGN(const HttpResponse response, client->call(post("/v1/diff", wire::to_json(body))));
    ST8_ASSIGN(wire::DiffResultBody page, wire::parse_diff_result(response.body));
    changes.insert(changes.end(), std::make_move_iterator(page.changes.begin()),
                   std::make_move_iterator(page.changes.end()));
    if (page.next_cursor.empty()) return changes;
    body.after = page.next_cursor;
  }
}

Result<int> run(Context& context) {
  const Arguments& arguments = context.arguments();
  const auto& words = arguments.positionals;
  ST8_ASSIGN(std::string at,
             context.selector(words.empty() ? std::optional<std::string>() : std::optional(words.front())));
  if (at.empty()) at = "@";
  ST8_ASSIGN(Client* const client, context.client());
  const bool names = arguments.on("name-only") || context.format() == OutputFormat::kName;
  Query query = context.scope_query();
  if (arguments.on("no-patch"))
    query.emplace_back("changes", "none");
  else if (names)
    query.emplace_back("changes", "keys");
  ST8_ASSIGN(const HttpResponse response,
             client->call(get("/v1/revisions/" + percent_encoded(at, true), std::move(query))));
  ST8_ASSIGN(const bool printed, context.print_document(response.body));
  if (printed) return 0;
  ST8_ASSIGN(const wire::LogEntryBody entry, wire::parse_log_entry(response.body));
  if (context.format() == OutputFormat::kName) {
    context.out().line(std::to_string(entry.id));
    return 0;
  }
  context.out().line(context.out().painted("33", "revision  " + std::to_string(entry.id)));
  field(context, "hash", entry.hash);
  std::string parents;
  for (const std::uint64_t parent : entry.parents) parents += (parents.empty() ? "" : " ") + std::to_string(parent);
  field(context, "parents", parents.empty() ? std::to_string(entry.parent_id) : parents);
  field(context, "branch", entry.branch);
  field(context, "author", entry.author);
  field(context, "date", entry.created_at);
  field(context, "cause", entry.cause + (entry.cause_detail.empty() ? "" : " (" + entry.cause_detail + ")"));
  if (entry.source != 0) field(context, "source", std::to_string(entry.source));
  if (entry.pruned) field(context, "pruned", "its documents were dropped by gc");
  field(context, "changes", std::to_string(entry.change_count.value_or(entry.changes.size())));
  if (!entry.message.empty()) {
    context.out().line("");
    std::string_view rest = entry.message;
    while (!rest.empty()) {
      const std::size_t end = rest.find('\n');
      context.out().line("    " + printable(rest.substr(0, end)));
      rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
    }
  }
  if (arguments.on("no-patch") || entry.pruned) return 0;
  ST8_ASSIGN(const std::vector<wire::ChangeBody> changes, all_changes(context, entry));
  if (names) {
    context.out().line("");
    print_changes(context, changes);
  } else {
    print_diffs(context, changes, arguments.number("unified").value_or(3));
  }
  return 0;
}

}  // namespace

const Command kShow{"show",
                    "Show one revision and what it changed",
                    "",
                    "st8ctl show\n"
                    "st8ctl show main~1\n"
                    "st8ctl show stable --name-only",
                    kFlags,
                    kPositionals,
                    {},
                    run};

}  // namespace st8::ctl
