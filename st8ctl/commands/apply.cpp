#include <algorithm>

#include "commands/commands.h"
#include "commands/staged.h"

namespace st8::ctl {
namespace {

constexpr const Flag* kFlags[] = {&flags::kFile,        &flags::kValue,       &flags::kKey,     &flags::kUnder,
                                  &flags::kFollowLinks, &flags::kPrune,       &flags::kMessage, &flags::kAuthor,
                                  &flags::kExpected,    &flags::kIdempotency, &flags::kWait,    &flags::kDeadline,
                                  &flags::kDryRun};
constexpr Positional kPositionals[] = {{"file", "Files and directories, as with -f", false, true, Completes::kFiles}};

// One document too large for JSON goes as raw bytes.
Result<HttpResponse> put_document(Context& context, wire::ApplyBody body) {
  Call call = change("PUT", document_path(body.documents.front().key), std::move(body.documents.front().content));
  call.content_type = "application/octet-stream";
  call.query = context.scope_query();
  call.query.insert(call.query.end(), {{"message", body.write.message},
                                       {"author", body.write.author},
                                       {"changes", context.wants_document() ? "" : "keys"}});
  if (body.write.expected_revision)
    call.query.emplace_back("expected_revision", std::to_string(*body.write.expected_revision));
  if (body.write.dry_run) call.query.emplace_back("dry_run", "true");
  return send_change(context, std::move(call), "Sending");
}

Result<HttpResponse> send(Context& context, wire::ApplyBody body) {
  // The content alone is a lower bound that saves building what could not be sent.
  std::size_t bytes = 0;
  for (const wire::DocumentBody& document : body.documents) bytes += document.content.size();
  std::string json = bytes > kBodyBytesMax ? std::string() : wire::to_json(body);
  if (!json.empty() && json.size() <= kBodyBytesMax) {
    Call call = change("POST", "/v1/apply", std::move(json));
    call.query = {{"changes", context.wants_document() ? "" : "keys"}};
    return send_change(context, std::move(call), "Sending");
  }
  if (body.documents.size() == 1 && !body.prune) return put_document(context, std::move(body));
  return staged_apply(context, std::move(body));
}

Result<int> run(Context& context) {
  ST8_ASSIGN(const std::optional<std::string> prune, prune_prefix(context));
  ST8_ASSIGN(LoadedDocuments loaded, load_from_flags(context, context.arguments().positionals));
  if (loaded.documents.empty() && !prune) {
    if (context.arguments().positionals.empty() && !context.arguments().given("file") &&
        !context.arguments().given("value")) {
      return fail(ErrorCode::kInvalidArgument, "nothing to apply: provide at least one -f <file> or --value key=value",
                  "see `st8ctl apply --help`");
    }
    return fail(ErrorCode::kInvalidArgument, "nothing to apply: no file was found there",
                "--prune, with none, would delete what is not given");
  }
  wire::ApplyBody body;
  body.scope = context.scope();
  body.documents = std::move(loaded.documents);
  body.prune = prune;
  body.write = context.write_fields();
  ST8_ASSIGN(const HttpResponse response, send(context, std::move(body)));
  ST8_ASSIGN(const wire::WriteResultBody result, wire::parse_write_result(response.body));
  const std::string count = std::to_string(std::max<std::uint64_t>(result.change_count, result.changes.size()));
  return report_change(
      context, response,
      {"Applied " + count + " change(s) at revision {}.", "Would apply " + count + " change(s) at revision {}.",
       "No changes. Head stays at revision {}."});
}

}  // namespace

const Command kApply{
    "apply",
    "Apply files, directories and values to a branch",
    "Makes one revision of everything given: all of it or nothing. Keys that are not named stay as they are, unless "
    "--prune says otherwise; "
    "what changes nothing makes no revision.\n"
    "\n"
    "A file's key is its path, cleaned (\"./conf//app.json\" is \"conf/app.json\"). A directory's files have keys "
    "relative to it: `-f conf` gives "
    "\"app.json\" for conf/app.json, and `-f conf --under conf` gives \"conf/app.json\". Contents are taken byte for "
    "byte, text or not.\n"
    "\n"
    "In a directory, regular files are taken, hidden ones too, but nothing below .git. A link to a file below the same "
    "directory is read as that "
    "file. Links to files elsewhere (unless --follow-links) and to directories, dangling links, sockets, pipes and "
    "devices are left out, with a notice. A file that cannot be read stops the whole apply.\n"
    "\n"
    "More than one request holds (20 MiB) is sent in parts to a branch of its own, st8ctl/apply-..., and taken over "
    "from there by one restore: still all or "
    "nothing, and refused when somebody else moved the head meanwhile.",
    "st8ctl apply -f feature_flags.json --message \"enable dark mode\"\n"
    "st8ctl apply -v limits/rps=250 -v limits/burst=500\n"
    "st8ctl apply -f conf --under app/conf --prune --dry-run\n"
    "kubectl get cm app -o json | st8ctl apply -f - --key app/cm.json\n"
    "st8ctl apply -f app.json --expected-revision 41",
    kFlags,
    kPositionals,
    {},
    run};

}  // namespace st8::ctl
