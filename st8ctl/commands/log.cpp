#include "commands/commands.h"

namespace st8::ctl {
namespace {

constexpr Flag kLimit{"limit", 0, FlagKind::kNumber, "N", "At most this many revisions (default 20; 0: all)"};
constexpr Flag kAfter{"after", 0, FlagKind::kNumber, "N", "Go on behind this revision, as a page before ended"};
constexpr Flag kOnlyKey{"key",           0, FlagKind::kText, "KEY", "Only revisions that changed this document",
                        Completes::kKeys};
constexpr Flag kByAuthor{"author", 0, FlagKind::kText, "NAME", "Only this author's"};
constexpr Flag kGrep{"grep", 0, FlagKind::kText, "TEXT", "Only those whose message contains this"};
constexpr Flag kSince{"since", 0, FlagKind::kText, "TIME",
                      "Not older than this: 2026-11-21, 2026-11-21T10:00:00Z, 3d-ago"};
constexpr Flag kUntil{"until", 0, FlagKind::kText, "TIME", "Not newer than this"};
constexpr Flag kCause{"cause",
                      0,
                      FlagKind::kChoice,
                      "CAUSE",
                      "Only revisions made by this",
                      Completes::kNothing,
                      false,
                      "apply|rollback|restore|merge|revert|cherry-pick|auto-rollback|reconcile|import"};
constexpr Flag kLong{"long", 'l', FlagKind::kBool, "", "Also author, cause and hash"};
constexpr Flag kPatch{"patch", 'p', FlagKind::kBool, "", "Also what each revision changed, as a diff"};
constexpr Flag kNames{"name-only", 0, FlagKind::kBool, "", "Also which keys each revision changed"};
constexpr const Flag* kFlags[] = {&kLimit,     &kAfter,   &flags::kRevision, &flags::kCheckpoint,
                                  &flags::kAt, &kOnlyKey, &kByAuthor,        &kGrep,
                                  &kSince,     &kUntil,   &kCause,           &kLong,
                                  &kPatch,     &kNames};
constexpr Positional kPositionals[] = {
    {"selector", "Begin here instead of at the branch's head", false, false, Completes::kSelectors}};

Result<int> run(Context& context) {
  const Arguments& arguments = context.arguments();
  const auto& words = arguments.positionals;
  ST8_ASSIGN(const std::string from,
             context.selector(words.empty() ? std::optional<std::string>() : std::optional(words.front())));
  Query query = context.scope_query();
  query.emplace_back("from", from);
  for (const char* name : {"key", "author", "grep", "since", "until", "cause", "after"})
    query.emplace_back(name, arguments.text_or(name, ""));
  const bool patch = arguments.on("patch");
  query.emplace_back("changes", context.wants_document() || patch ? "full"
                                : arguments.on("name-only")       ? "keys"
                                                                  : "none");
  ST8_ASSIGN(Client* const client, context.client());
  Progress progress(context.shows_progress(), "Reading", Progress::Unit::kTime);
  // With contents a page is kept small, so that the first ones come soon and none grows without bound.
  ST8_ASSIGN(const wire::JsonValue answer, client->pages(get("/v1/log", std::move(query)), "entries",
                                                         arguments.number("limit").value_or(20), patch ? 50 : 1000));
  ST8_ASSIGN(const bool printed, context.print_document(answer));
  if (printed) return 0;
  ST8_ASSIGN(const wire::LogPageBody page, wire::parse_log_page(wire::to_json(answer)));
  for (const wire::LogEntryBody& entry : page.entries) {
    if (context.out().broken()) break;
    if (context.format() == OutputFormat::kName) {
      context.out().line(std::to_string(entry.id));
      continue;
    }
    std::string line = log_line(entry);
    if (arguments.on("long")) {
      line += " author=" + quote(entry.author) + " cause=" + entry.cause +
              (entry.source != 0 ? " source=" + std::to_string(entry.source) : "") + " hash=" + entry.hash;
      if (entry.pruned) line += " pruned";
    }
    context.out().line(patch ? context.out().painted("33", line) : line);
    if (patch) {
      print_diffs(context, entry.changes, 3);
      if (entry.changes_truncated) context.out().line("\n(more changes: st8ctl show " + std::to_string(entry.id) + ")");
      context.out().line("");
    } else if (arguments.on("name-only")) {
      print_changes(context, entry.changes);
    }
  }
  return 0;
}

}  // namespace

const Command kLog{"log",
                   "Show the revisions of a branch, newest first",
                   "Follows first parents from the branch's head, or from the selector given.",
                   "st8ctl log --limit 50\n"
                   "st8ctl log --key app/limits.json -p\n"
                   "st8ctl log --since 1d-ago --author deploy-bot\n"
                   "st8ctl log main~10",
                   kFlags,
                   kPositionals,
                   {},
                   run};

}  // namespace st8::ctl
