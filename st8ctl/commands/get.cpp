#include <algorithm>

#include "args/suggest.h"
#include "commands/commands.h"
#include "config/files.h"
#include "st8/state/names.h"

namespace st8::ctl {
namespace {

constexpr Flag kTo{
    "to", 0, FlagKind::kText, "DIR", "Write the documents as files below this directory", Completes::kDirectories};
constexpr const Flag* kFlags[] = {&flags::kRevision, &flags::kCheckpoint, &flags::kAt, &flags::kPrefix, &kTo};
constexpr Positional kPositionals[] = {
    {"key", "The document's key; none lists the keys", false, true, Completes::kKeys}};

std::vector<std::string> keys_of(const wire::StateBody& state) {
  std::vector<std::string> keys;
  for (const wire::ObjectBody& object : state.keys) keys.push_back(object.key);
  // A server that knows no values=false answers everything.
  if (keys.empty()) {
    for (const auto& [key, content] : state.objects) keys.push_back(key);
  }
  return keys;
}

Query state_query(Context& context, const std::string& at) {
  Query query = context.scope_query();
  query.emplace_back("at", at);
  return query;
}

Result<wire::StateBody> list_keys(Context& context, const std::string& at, const std::string& prefix) {
  ST8_ASSIGN(Client* const client, context.client());
  Query query = state_query(context, at);
  query.emplace_back("prefix", prefix);
  query.emplace_back("values", "false");
  ST8_ASSIGN(const HttpResponse response, client->call(get("/v1/state", std::move(query))));
  return wire::parse_state(response.body);
}

tl::unexpected<Error> key_not_found(const std::string& key, const std::vector<std::string>& keys) {
  std::string hint = did_you_mean(key, keys);
  if (hint.empty()) hint = keys.empty() ? "the branch has no documents there" : "`st8ctl get` lists the keys";
  return fail(ErrorCode::kNotFound, "key " + quote(key) + " not found", std::move(hint));
}

// One document, as raw bytes, as they come.
Result<int> print_one(Context& context, const std::string& key, const std::string& at) {
  ST8_ASSIGN(Client* const client, context.client());
  Call call = get(document_path(key), state_query(context, at));
  TransferOptions options;
  options.sink = [&](std::string_view piece) {
    context.out().write(piece);
    return !context.out().broken();
  };
  Result<HttpResponse> response = client->call(call, options);
  if (response) return 0;
  if (response.error().code != ErrorCode::kNotFound) return fail(response.error());
  // Is it the key that is missing, or the branch or revision? The second answer tells, and knows what was nearly meant.
  ST8_ASSIGN(const wire::StateBody state, list_keys(context, at, ""));
  return key_not_found(key, keys_of(state));
}

Result<int> print_several(Context& context, const std::vector<std::string>& keys, const std::string& at) {
  wire::StateBatchBody body;
  body.scope = context.scope();
  body.at = at;
  body.keys = keys;
  ST8_ASSIGN(Client* const client, context.client());
  ST8_ASSIGN(const HttpResponse response, client->call(post("/v1/state/batch", wire::to_json(body))));
  ST8_ASSIGN(const wire::StateBody state, wire::parse_state(response.body));
  if (!state.missing.empty()) {
    ST8_ASSIGN(const wire::StateBody known, list_keys(context, at, ""));
    return key_not_found(state.missing.front(), keys_of(known));
  }
  ST8_ASSIGN(const bool printed, context.print_document(response.body));
  if (!printed) {
    for (const auto& [key, content] : state.objects) context.out().line(printable(key));
  }
  return 0;
}

Result<int> write_files(Context& context, const std::string& at, const std::string& prefix,
                        const std::string& directory) {
  ST8_ASSIGN(Client* const client, context.client());
  Progress progress(context.shows_progress(), "Writing", Progress::Unit::kItems);
  std::uint64_t files = 0;
  std::uint64_t revision = 0;
  std::string pinned = at;
  std::string after;
  ST8_TRY(make_directories(directory, 0777));
  while (true) {
    Query query = state_query(context, pinned);
    query.emplace_back("prefix", prefix);
    query.emplace_back("after", after);
    query.emplace_back("limit", "500");
    ST8_ASSIGN(const HttpResponse response, client->call(get("/v1/state", std::move(query))));
    ST8_ASSIGN(const wire::StateBody state, wire::parse_state(response.body));
    revision = state.revision;
    // All pages of one state, whatever is written meanwhile.
    pinned = std::to_string(revision);
    for (const auto& [key, content] : state.objects) {
      // A server is believed about contents, not about paths: a key that is none would leave the directory.
      ST8_ASSIGN(const state::DocumentKey checked, state::DocumentKey::parse(key));
      ST8_TRY(write_file_atomically(directory + "/" + checked.str(), content, 0666, 0777, WriteManner::kMasked));
      progress.set(++files);
    }
    if (state.next_cursor.empty()) break;
    after = state.next_cursor;
  }
  context.out().line("Wrote " + std::to_string(files) + " document(s) of revision " + std::to_string(revision) +
                     " to " + directory + ".");
  return 0;
}

Result<int> run(Context& context) {
  const Arguments& arguments = context.arguments();
  ST8_ASSIGN(const std::string at, context.selector());
  std::vector<std::string> keys;
  for (const std::string& word : arguments.positionals) {
    ST8_ASSIGN(const state::DocumentKey key, state::DocumentKey::parse(word));
    keys.push_back(key.str());
  }
  const std::string prefix = arguments.text_or("prefix", "");
  if (!keys.empty() && arguments.given("prefix")) {
    return fail(ErrorCode::kInvalidArgument, "--prefix and a key cannot be used together", "leave one of them out");
  }
  if (auto directory = arguments.text("to")) {
    if (!keys.empty())
      return fail(ErrorCode::kInvalidArgument, "--to writes a whole state, or what has a --prefix",
                  "for one document: st8ctl get KEY > FILE");
    if (directory->empty()) return fail(ErrorCode::kInvalidArgument, "--to names no directory");
    return write_files(context, at, prefix, *directory);
  }
  if (keys.size() == 1 && context.format() == OutputFormat::kText) return print_one(context, keys.front(), at);
  if (keys.size() > 1 && context.format() == OutputFormat::kText) {
    return fail(ErrorCode::kInvalidArgument,
                "as text one document is printed, and " + std::to_string(keys.size()) + " are asked for",
                "use -o json or -o yaml for several");
  }
  if (!keys.empty()) return print_several(context, keys, at);

  if (context.wants_document()) {
    ST8_ASSIGN(Client* const client, context.client());
    Query query = state_query(context, at);
    query.emplace_back("prefix", prefix);
    ST8_ASSIGN(const HttpResponse response, client->call(get("/v1/state", std::move(query))));
    ST8_ASSIGN(const bool printed, context.print_document(response.body));
    return printed ? 0 : 1;
  }
  ST8_ASSIGN(const wire::StateBody state, list_keys(context, at, prefix));
  if (context.format() == OutputFormat::kText) context.out().line("revision: " + std::to_string(state.revision));
  for (const std::string& key : keys_of(state)) context.out().line(printable(key));
  return 0;
}

}  // namespace

const Command kGet{
    "get",
    "Print a document, or list the keys",
    "With a key: the document's bytes, exactly as they were applied. Without: the revision and the keys, one a line. "
    "With -o json or yaml: the contents too (`objects`, and `objects_base64` for what is not text).",
    "st8ctl get feature_flags.json\n"
    "st8ctl get feature_flags.json --at main~2\n"
    "st8ctl get --checkpoint stable\n"
    "st8ctl get --prefix app/ -o json\n"
    "st8ctl get --at 2h-ago --to ./before",
    kFlags,
    kPositionals,
    {},
    run};

}  // namespace st8::ctl
