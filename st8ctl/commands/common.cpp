#include <algorithm>

#include "commands/commands.h"
#include "commands/rollouts.h"

namespace st8::ctl {
namespace {

std::string filled(const std::string& text, std::uint64_t revision) {
  const std::size_t at = text.find("{}");
  return at == std::string::npos ? text : text.substr(0, at) + std::to_string(revision) + text.substr(at + 2);
}

std::string upper(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
  return out;
}

}  // namespace

Result<HttpResponse> send_change(Context& context, Call call, const std::string& what) {
  if (auto key = context.arguments().text("idempotency-key")) {
    if (key->empty())
      return fail(ErrorCode::kInvalidArgument, "--idempotency-key is empty",
                  "it is any text that names this one change");
    for (const char c : *key) {
      if (static_cast<unsigned char>(c) < 0x20 || static_cast<unsigned char>(c) >= 0x7f) {
        return fail(ErrorCode::kInvalidArgument, "--idempotency-key must be printable ASCII");
      }
    }
    call.headers.emplace_back("Idempotency-Key", *key);
  }
  ST8_ASSIGN(Client* const client, context.client());
  // Small requests answer within a moment; the thread that would tick is not worth its start.
  const bool large = call.body.size() > (256u << 10);
  Progress progress(context.shows_progress() && large, what, Progress::Unit::kBytes, call.body.size());
  TransferOptions options;
  if (large) options.on_sent = [&](std::uint64_t sent) { progress.set(sent); };
  return client->call(call, options);
}

void print_changes(Context& context, const std::vector<wire::ChangeBody>& changes) {
  for (const wire::ChangeBody& change : changes) {
    const char* color = change.type == "create" ? "32" : change.type == "delete" ? "31" : "33";
    context.out().line(context.out().painted(color, upper(change.type)) + " " + printable(change.key));
    if (context.out().broken()) return;
  }
}

void print_diffs(Context& context, const std::vector<wire::ChangeBody>& changes, std::size_t lines) {
  for (const wire::ChangeBody& change : changes) {
    DiffSide before;
    DiffSide after;
    if (change.type != "create") before.content = change.before.value_or("");
    if (change.type != "delete") after.content = change.after.value_or("");
    context.out().write("\n" + unified_diff(change.key, before, after, lines, context.out()));
    if (context.out().broken()) return;
  }
}

namespace {

void print_change(Context& context, const wire::WriteResultBody& result, const ChangeTexts& texts) {
  if (context.format() == OutputFormat::kName) {
    for (const wire::ChangeBody& change : result.changes) context.out().line(change.key);
    return;
  }
  if (result.noop) {
    context.out().line(filled(texts.noop, result.revision));
    return;
  }
  context.out().line(filled(result.dry_run || context.dry_run() ? texts.would : texts.made, result.revision));
  print_changes(context, result.changes);
  if (result.changes_truncated) {
    context.notice("the first " + std::to_string(result.changes.size()) + " of " + std::to_string(result.change_count) +
                   " changes are shown; `st8ctl diff` between the revisions shows all");
  }
}

}  // namespace

Result<int> report_change(Context& context, const HttpResponse& response, const ChangeTexts& texts) {
  ST8_ASSIGN(const wire::WriteResultBody result, wire::parse_write_result(response.body));
  const bool wait = context.arguments().on("wait") && !context.dry_run() && !result.noop;
  // With --wait the document is the rollout: two documents would be none.
  bool printed = wait && context.wants_document();
  if (!printed) {
    ST8_ASSIGN(printed, context.print_document(response.body));
  }
  if (!printed) print_change(context, result, texts);
  if (!wait) return 0;
  context.out().flush();
  return wait_until_live(context, result.revision);
}

std::string log_line(const wire::LogEntryBody& entry) {
  const std::uint64_t changes = entry.change_count.value_or(entry.changes.size());
  return "rev=" + std::to_string(entry.id) + " parent=" + std::to_string(entry.parent_id) + " branch=" + entry.branch +
         " at=" + short_time(entry.created_at) + " message=" + quote(entry.message) +
         " changes=" + std::to_string(changes);
}

Result<LoadedDocuments> load_from_flags(Context& context, std::vector<std::string> positional_files) {
  LoadRequest request;
  request.paths = context.arguments().texts("file");
  request.paths.insert(request.paths.end(), positional_files.begin(), positional_files.end());
  request.values = context.arguments().texts("value");
  request.key = context.arguments().text("key");
  request.follow_links = context.arguments().on("follow-links");
  request.under = context.arguments().text_or("under", "");
  Progress progress(context.shows_progress() && !request.paths.empty(), "Reading", Progress::Unit::kItems);
  request.progress = [&](std::uint64_t files) { progress.set(files); };
  ST8_ASSIGN(LoadedDocuments loaded, load_documents(request));
  for (const std::string& text : loaded.notices) context.notice(text);
  return loaded;
}

Result<std::optional<std::string>> prune_prefix(Context& context) {
  const auto prefix = context.arguments().text("prune");
  if (!prefix) return std::optional<std::string>();
  if (!prefix->empty()) return prefix;
  ST8_ASSIGN(std::string under, clean_under(context.arguments().text_or("under", "")));
  return std::optional<std::string>(std::move(under));
}

}  // namespace st8::ctl
