#include <algorithm>
#include <iterator>
#include <sys/stat.h>
#include <utility>

#include "commands/commands.h"
#include "commands/staged.h"

namespace st8::ctl {
namespace {

constexpr Flag kExitCode{"exit-code", 0, FlagKind::kBool, "",
                         "Exit with 1 when there are differences, 0 when there are none"};
constexpr Flag kNameOnly{"name-only", 0, FlagKind::kBool, "", "Only the changed keys"};
constexpr Flag kStat{"stat", 0, FlagKind::kBool, "", "Only how many lines were added and taken away for each key"};
constexpr Flag kUnified{"unified", 'U', FlagKind::kNumber, "LINES", "Lines of context (default 3)"};
constexpr const Flag* kFlags[] = {&flags::kFile,
                                  &flags::kValue,
                                  &flags::kKey,
                                  &flags::kUnder,
                                  &flags::kFollowLinks,
                                  &flags::kPrune,
                                  &flags::kRevision,
                                  &flags::kCheckpoint,
                                  &flags::kAt,
                                  &flags::kPrefix,
                                  &kExitCode,
                                  &kNameOnly,
                                  &kStat,
                                  &kUnified};
constexpr Positional kPositionals[] = {
    {"file or selector", "Files to compare, or one or two selectors", false, true, Completes::kSelectors}};

bool exists(const std::string& path) {
  struct stat status {};
  return ::stat(path.c_str(), &status) == 0;
}

// What is compared: documents with a state, or two states.
struct Sides {
  std::vector<std::string> files;
  std::vector<std::string> selectors;
};

// A word that names an existing file or directory is a file; any other is a selector. One kind at a time.
Result<Sides> sort_out(const std::vector<std::string>& words) {
  Sides sides;
  for (const std::string& word : words) (exists(word) ? sides.files : sides.selectors).push_back(word);
  if (!sides.files.empty() && !sides.selectors.empty()) {
    return fail(ErrorCode::kInvalidArgument,
                "\"" + sides.files.front() + "\" is a file here, and \"" + sides.selectors.front() +
                    "\" is not, so it is taken for a selector",
                "to compare a file with a revision: st8ctl diff -f " + sides.files.front() + " --at " +
                    sides.selectors.front());
  }
  return sides;
}

// All pages of one diff: every change in one answer.
Result<wire::DiffResultBody> fetch(Context& context, wire::DiffBody body) {
  ST8_ASSIGN(Client* const client, context.client());
  Progress progress(context.shows_progress(), "Comparing", Progress::Unit::kTime);
  wire::DiffResultBody whole;
  while (true) {
    ST8_ASSIGN(const HttpResponse response, client->call(post("/v1/diff", wire::to_json(body))));
    ST8_ASSIGN(wire::DiffResultBody page, wire::parse_diff_result(response.body));
    whole.from_revision = page.from_revision;
    whole.to_revision = page.to_revision;
    whole.changes.insert(whole.changes.end(), std::make_move_iterator(page.changes.begin()),
                         std::make_move_iterator(page.changes.end()));
    if (page.next_cursor.empty()) return whole;
    // All pages of the same two states, whatever is written meanwhile.
    if (!body.from.empty()) {
      body.from = std::to_string(page.from_revision);
      body.to = std::to_string(page.to_revision);
    } else {
      body.at = std::to_string(page.from_revision);
    }
    body.after = page.next_cursor;
  }
}

// As fetch(), for more documents than one request holds: no key is in two parts, so their changes together are the whole's.
Result<wire::DiffResultBody> fetch_parts(Context& context, wire::DiffBody body) {
  ST8_ASSIGN(Client* const client, context.client());
  // All parts against one state, whatever is written meanwhile.
  Query query = context.scope_query();
  query.emplace_back("at", body.at);
  ST8_ASSIGN(const HttpResponse response, client->call(get("/v1/resolve", std::move(query))));
  ST8_ASSIGN(const wire::ResolveBody base, wire::parse_resolve(response.body));
  body.at = std::to_string(base.revision);
  if (const auto prefix = std::exchange(body.prune, std::nullopt)) {
    ST8_ASSIGN(body.unset, keys_to_prune(context, body.at, *prefix, body.documents));
  }
  DocumentParts parts = split_documents(std::exchange(body.documents, {}));
  if (!parts.large.empty()) {
    return fail(ErrorCode::kTooLarge,
                "the document " + quote(parts.large.front().key) + " is too large to be compared by the server",
                "compare it here: st8ctl get KEY | cmp - FILE");
  }
  wire::DiffResultBody whole;
  for (auto& documents : parts.small) {
    wire::DiffBody part = body;
    part.documents = std::move(documents);
    body.unset.clear();
    ST8_ASSIGN(wire::DiffResultBody page, fetch(context, std::move(part)));
    whole.from_revision = page.from_revision;
    whole.to_revision = page.to_revision;
    whole.changes.insert(whole.changes.end(), std::make_move_iterator(page.changes.begin()),
                         std::make_move_iterator(page.changes.end()));
  }
  std::sort(whole.changes.begin(), whole.changes.end(), [](const auto& a, const auto& b) { return a.key < b.key; });
  return whole;
}

void print_stat(Context& context, const std::vector<wire::ChangeBody>& changes) {
  std::size_t inserted = 0;
  std::size_t deleted = 0;
  std::vector<std::vector<std::string>> rows;
  for (const wire::ChangeBody& change : changes) {
    DiffSide before;
    DiffSide after;
    if (change.type != "create") before.content = change.before.value_or("");
    if (change.type != "delete") after.content = change.after.value_or("");
    const DiffCounts counts = count_diff(before, after);
    inserted += counts.inserted;
    deleted += counts.deleted;
    rows.push_back(
        {printable(change.key),
         counts.binary ? "binary" : "+" + std::to_string(counts.inserted) + " -" + std::to_string(counts.deleted)});
  }
  context.out().write(table(rows));
  context.out().line(std::to_string(changes.size()) + " document(s) changed, " + std::to_string(inserted) +
                     " line(s) added, " + std::to_string(deleted) + " taken away");
}

Result<int> run(Context& context) {
  const Arguments& arguments = context.arguments();
  ST8_ASSIGN(Sides sides, sort_out(arguments.positionals));
  const bool documents =
      !sides.files.empty() || arguments.given("file") || arguments.given("value") || arguments.given("prune");
  if (sides.selectors.size() > 2) {
    return fail(ErrorCode::kInvalidArgument,
                "a diff has two sides, and " + std::to_string(sides.selectors.size()) + " selectors are given");
  }
  wire::DiffBody body;
  body.scope = context.scope();
  body.prefix = arguments.text_or("prefix", "");
  if (documents) {
    if (sides.selectors.size() > 1)
      return fail(ErrorCode::kInvalidArgument, "documents are compared with one revision, and two selectors are given");
    const auto base = sides.selectors.empty() ? std::optional<std::string>() : std::optional(sides.selectors.front());
    ST8_ASSIGN(body.at, context.selector(base));
    ST8_ASSIGN(body.prune, prune_prefix(context));
    ST8_ASSIGN(LoadedDocuments loaded, load_from_flags(context, std::move(sides.files)));
    body.documents = std::move(loaded.documents);
  } else if (sides.selectors.size() == 2) {
    ST8_ASSIGN(const std::string extra, context.selector());
    if (!extra.empty())
      return fail(ErrorCode::kInvalidArgument, "two selectors are given as arguments, and a third as a flag",
                  "leave one out");
    body.from = sides.selectors[0];
    body.to = sides.selectors[1];
  } else {
    const auto one = sides.selectors.empty() ? std::optional<std::string>() : std::optional(sides.selectors.front());
    ST8_ASSIGN(body.from, context.selector(one));
    body.to = "@";
    if (body.from.empty()) {
      return fail(ErrorCode::kInvalidArgument, "nothing to compare: give files, values, or one or two selectors",
                  "st8ctl diff -f app.json; st8ctl diff main~2 main; st8ctl diff --revision 3");
    }
  }
  std::size_t bytes = 0;
  for (const wire::DocumentBody& document : body.documents) bytes += document.content.size();
  // Encoding it only to measure it is worth the time where it may not fit: escapes make text at most six times as large.
  const bool in_parts = bytes > kBodyBytesMax / 8 && wire::to_json(body).size() > kBodyBytesMax;
  Result<wire::DiffResultBody> fetched =
      in_parts ? fetch_parts(context, std::move(body)) : fetch(context, std::move(body));
  if (!fetched) {
    Error error = fetched.error();
    if (error.code == ErrorCode::kNotFound && sides.selectors.size() == 1 &&
        sides.selectors.front().find_first_of("./") != std::string::npos && error.hint.empty()) {
      error.hint = "there is no file of that name here either";
    }
    return fail(std::move(error));
  }
  const wire::DiffResultBody diff = std::move(*fetched);
  const int code = arguments.on("exit-code") && !diff.changes.empty() ? 1 : 0;
  ST8_ASSIGN(const bool printed, context.print_document(wire::to_json(diff)));
  if (printed) return code;
  if (context.format() == OutputFormat::kName || arguments.on("name-only")) {
    for (const wire::ChangeBody& change : diff.changes) context.out().line(printable(change.key));
    return code;
  }
  if (diff.changes.empty()) {
    context.out().line("No differences.");
    return code;
  }
  context.out().line("Diff from revision " + std::to_string(diff.from_revision) + " to " +
                     std::to_string(diff.to_revision));
  if (arguments.on("stat"))
    print_stat(context, diff.changes);
  else
    print_diffs(context, diff.changes, arguments.number("unified").value_or(3));
  return code;
}

}  // namespace

const Command kDiff{"diff",
                    "Compare documents with a branch, or two revisions",
                    "With files or values: what applying them would change, on top of the head or of the revision "
                    "named with --at, --revision or "
                    "--checkpoint. With one selector: from that revision to the branch's head. With two: from the "
                    "first to the second.\n"
                    "\n"
                    "An argument that names an existing file or directory is a file; any other is a selector. Both at "
                    "once are refused: "
                    "then give the file with -f. A selector that happens to name a file is written branch:NAME, "
                    "checkpoint:NAME or rev:N.",
                    "st8ctl diff -f feature_flags.json\n"
                    "st8ctl diff main~2 main\n"
                    "st8ctl diff stable --stat\n"
                    "st8ctl diff -f conf --under app/conf --prune --exit-code\n"
                    "st8ctl diff 2h-ago @ --prefix app/",
                    kFlags,
                    kPositionals,
                    {},
                    run};

}  // namespace st8::ctl
