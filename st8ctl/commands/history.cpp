#include "args/suggest.h"
#include "commands/commands.h"
#include "st8/state/names.h"

namespace st8::ctl {
namespace {

constexpr Flag kLimit{"limit", 0, FlagKind::kNumber, "N", "At most this many versions (default 20; 0: all)"};
constexpr Flag kAfter{"after", 0, FlagKind::kNumber, "N", "Go on behind this revision, as a page before ended"};
constexpr Flag kPatch{"patch", 'p', FlagKind::kBool, "", "Also the diff of each version"};
constexpr const Flag* kFlags[] = {&kLimit, &kAfter, &kPatch};
constexpr Positional kPositionals[] = {{"key", "The document's key", true, false, Completes::kKeys}};

Result<int> run(Context& context) {
  const Arguments& arguments = context.arguments();
  ST8_ASSIGN(const state::DocumentKey key, state::DocumentKey::parse(arguments.positionals.front()));
  Query query = context.scope_query();
  query.emplace_back("after", arguments.text_or("after", ""));
  ST8_ASSIGN(Client* const client, context.client());
  ST8_ASSIGN(const wire::JsonValue answer,
             client->pages(get("/v1/history/" + percent_encoded(key.str(), true), std::move(query)), "versions",
                           arguments.number("limit").value_or(20), 100));
  ST8_ASSIGN(const bool printed, context.print_document(answer));
  if (printed) return 0;
  ST8_ASSIGN(const wire::HistoryPageBody page, wire::parse_history_page(wire::to_json(answer)));
  if (page.versions.empty() && !arguments.given("after")) {
    return fail(ErrorCode::kNotFound,
                "key " + quote(key.str()) + " not found in the history of branch " + context.settings().branch,
                "`st8ctl get` lists the keys");
  }
  for (const wire::KeyVersionBody& version : page.versions) {
    if (context.out().broken()) break;
    if (context.format() == OutputFormat::kName) {
      context.out().line(std::to_string(version.revision.id));
      continue;
    }
    const std::string line = "rev=" + std::to_string(version.revision.id) + " type=" + version.change.type +
                             " at=" + short_time(version.revision.created_at) +
                             " author=" + quote(version.revision.author) +
                             " message=" + quote(version.revision.message);
    context.out().line(arguments.on("patch") ? context.out().painted("33", line) : line);
    if (arguments.on("patch")) {
      print_diffs(context, {version.change}, 3);
      context.out().line("");
    }
  }
  return 0;
}

}  // namespace

const Command kHistory{"history",
                       "Show every version of one document, newest first",
                       "",
                       "st8ctl history app/limits.json\n"
                       "st8ctl history app/limits.json -p --limit 5",
                       kFlags,
                       kPositionals,
                       {},
                       run};

}  // namespace st8::ctl
