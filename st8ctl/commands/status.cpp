// status, resolve, version, login.
#include <unistd.h>

#include "commands/commands.h"
#include "config/files.h"

#ifndef ST8_VERSION
#define ST8_VERSION "unknown"
#endif

namespace st8::ctl {
namespace {

constexpr const Flag* kResolveFlags[] = {&flags::kRevision, &flags::kCheckpoint, &flags::kAt};
constexpr Positional kSelector[] = {{"selector", "main~2, stable, 42, 2h-ago (default: the head)", false, false, Completes::kSelectors}};
constexpr Positional kUrl[] = {{"url", "The server; default: the one in use", false, false, Completes::kNothing}};

std::string text_of(const wire::JsonValue* value) { return value == nullptr ? std::string() : value->text; }

Result<int> status(Context& context) {
  ST8_ASSIGN(Client* const client, context.client());
  ST8_ASSIGN(const HttpResponse response, client->call(get("/v1/status")));
  ST8_ASSIGN(const bool printed, context.print_document(response.body));
  if (printed) return 0;
  ST8_ASSIGN(const wire::JsonValue answer, parse_answer(response.body));
  context.out().line("server: " + client->address());
  context.out().line("version: " + printable(text_of(answer.find("version"))));
  if (const wire::JsonValue* uptime = answer.find("uptime_seconds")) context.out().line("uptime: " + uptime->text + " s");
  if (const wire::JsonValue* writable = answer.find("writable")) context.out().line(std::string("writable: ") + (writable->boolean ? "yes" : "no"));
  if (const wire::JsonValue* whoami = answer.find("whoami")) context.out().line("you: " + printable(text_of(whoami->find("name"))));
  context.out().line("namespace: " + context.settings().name_space);
  context.out().line("branch: " + context.settings().branch);
  return 0;
}

Result<int> resolve(Context& context) {
  const auto& words = context.arguments().positionals;
  ST8_ASSIGN(const std::string at, context.selector(words.empty() ? std::optional<std::string>() : std::optional(words.front())));
  ST8_ASSIGN(Client* const client, context.client());
  Query query = context.scope_query();
  query.emplace_back("at", at);
  ST8_ASSIGN(const HttpResponse response, client->call(get("/v1/resolve", std::move(query))));
  ST8_ASSIGN(const bool printed, context.print_document(response.body));
  if (printed) return 0;
  ST8_ASSIGN(const wire::ResolveBody body, wire::parse_resolve(response.body));
  context.out().line(context.format() == OutputFormat::kName
                         ? std::to_string(body.revision)
                         : "rev=" + std::to_string(body.revision) + " branch=" + printable(body.branch) + " at=" + short_time(body.created_at) + " hash=" + body.hash);
  return 0;
}

Result<int> version(Context& context) {
  std::string json;
  wire::JsonWriter(json).begin_object().key("version").string(ST8_VERSION).end_object();
  ST8_ASSIGN(const bool printed, context.print_document(json));
  if (!printed) context.out().line("st8ctl " ST8_VERSION);
  return 0;
}

Result<int> login(Context& context) {
  const auto& words = context.arguments().positionals;
  const std::string url = words.empty() ? (context.settings().server_is_default ? std::string() : context.settings().server) : words.front();
  std::string token = context.settings().token;
  if (!context.arguments().given("token")) {
    if (::isatty(STDIN_FILENO) == 1) {
      context.err().write("Token: ");
      context.err().flush();
    }
    // On one line of standard input, so that it stands in no history and no process list.
    token.clear();
    char c = 0;
    while (token.size() < 4096 && ::read(STDIN_FILENO, &c, 1) == 1 && c != '\n') token += c;
    while (!token.empty() && (token.back() == '\r' || token.back() == ' ')) token.pop_back();
  }
  if (token.empty()) return fail(ErrorCode::kInvalidArgument, "no token was given", "pipe it in: st8ctl login < token-file");
  ST8_TRY(store_login(context.settings().config_path, url, token));
  context.out().line("Stored the token in " + context.settings().config_path + ".");
  return 0;
}

}  // namespace

const Command kStatus{"status", "Show the server, who you are to it, and the namespace and branch in use", "", "st8ctl status", {}, {}, {}, status};
const Command kResolve{"resolve",
                       "Show which revision a selector names",
                       "",
                       "st8ctl resolve main~2\n"
                       "st8ctl resolve main@2h-ago -o name",
                       kResolveFlags,
                       kSelector,
                       {},
                       resolve};
const Command kVersion{"version", "Print st8ctl's version", "", "st8ctl version", {}, {}, {}, version};
const Command kLogin{"login",
                     "Store a server and a token",
                     "Reads the token from standard input and writes it into the configuration file, readable by you alone.",
                     "st8ctl login https://st8.example.com < token-file",
                     {},
                     kUrl,
                     {},
                     login};

}  // namespace st8::ctl
