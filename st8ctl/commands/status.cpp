// status, resolve, version, login.
#include <termios.h>
#include <unistd.h>

#include "client/http_transport.h"
#include "commands/commands.h"
#include "config/files.h"
#include "render/fields.h"

#ifndef ST8_VERSION
#define ST8_VERSION "unknown"
#endif

namespace st8::ctl {
namespace {

constexpr const Flag* kResolveFlags[] = {&flags::kRevision, &flags::kCheckpoint, &flags::kAt};
constexpr Positional kSelector[] = {
    {"selector", "main~2, stable, 42, 2h-ago (default: the head)", false, false, Completes::kSelectors}};
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
  if (const wire::JsonValue* uptime = answer.find("uptime_seconds"))
    context.out().line("uptime: " + uptime->text + " s");
  if (const wire::JsonValue* writable = answer.find("writable"))
    context.out().line(std::string("writable: ") + (writable->boolean ? "yes" : "no"));
  if (const wire::JsonValue* whoami = answer.find("whoami"))
    context.out().line("you: " + printable(text_of(whoami->find("name"))));
  if (const wire::JsonValue* rollouts = answer.find("rollouts")) {
    std::string line;
    for (const auto& [name, word] :
         {std::pair{"running", "running"}, std::pair{"pending", "waiting to begin"}, std::pair{"paused", "paused"},
          std::pair{"incomplete", "incomplete"}, std::pair{"rolling_back", "rolling back"}}) {
      if (number_field(*rollouts, name) > 0) line += (line.empty() ? "" : ", ") + field(*rollouts, name) + " " + word;
    }
    context.out().line("rollouts: " + (line.empty() ? "none under way" : line));
    if (number_field(*rollouts, "branches_stuck") > 0)
      context.out().line("cannot go live: " + field(*rollouts, "branches_stuck") +
                         " heads; `st8ctl live --all` says why");
  }
  if (const wire::JsonValue* targets = answer.find("targets")) {
    std::string line = field(*targets, "live") + " live";
    if (number_field(*targets, "drifted") > 0) line += ", " + field(*targets, "drifted") + " drifted";
    if (number_field(*targets, "unreachable") > 0) line += ", " + field(*targets, "unreachable") + " unreachable";
    context.out().line("targets: " + line);
  }
  if (number_field(answer, "freezes") > 0) context.out().line("freezes: " + field(answer, "freezes"));
  if (number_field(answer, "quarantined") > 0)
    context.out().line("quarantine: " + field(answer, "quarantined") + " changes");
  context.out().line("namespace: " + context.settings().name_space);
  context.out().line("branch: " + context.settings().branch);
  return 0;
}

Result<int> resolve(Context& context) {
  const auto& words = context.arguments().positionals;
  ST8_ASSIGN(const std::string at,
             context.selector(words.empty() ? std::optional<std::string>() : std::optional(words.front())));
  ST8_ASSIGN(Client* const client, context.client());
  Query query = context.scope_query();
  query.emplace_back("at", at);
  ST8_ASSIGN(const HttpResponse response, client->call(get("/v1/resolve", std::move(query))));
  ST8_ASSIGN(const bool printed, context.print_document(response.body));
  if (printed) return 0;
  ST8_ASSIGN(const wire::ResolveBody body, wire::parse_resolve(response.body));
  context.out().line(context.format() == OutputFormat::kName
                         ? std::to_string(body.revision)
                         : "rev=" + std::to_string(body.revision) + " branch=" + printable(body.branch) +
                               " at=" + short_time(body.created_at) + " hash=" + body.hash);
  return 0;
}

Result<int> version(Context& context) {
  std::string json;
  wire::JsonWriter(json).begin_object().key("version").string(ST8_VERSION).end_object();
  ST8_ASSIGN(const bool printed, context.print_document(json));
  if (!printed) context.out().line("st8ctl " ST8_VERSION);
  return 0;
}

// One line of standard input; at a terminal it is asked for and not shown.
std::string read_token(Context& context) {
  termios before{};
  const bool asked = ::isatty(STDIN_FILENO) == 1 && ::tcgetattr(STDIN_FILENO, &before) == 0;
  if (asked) {
    termios silent = before;
    silent.c_lflag &= ~static_cast<tcflag_t>(ECHO);
    ::tcsetattr(STDIN_FILENO, TCSAFLUSH, &silent);
    // Behind the change: what is typed at the prompt is not shown.
    context.err().write("Token: ");
    context.err().flush();
  }
  std::string token;
  char c = 0;
  while (token.size() < 4096 && ::read(STDIN_FILENO, &c, 1) == 1 && c != '\n') token += c;
  if (asked) {
    ::tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
    context.err().write("\n");
    context.err().flush();
  }
  while (!token.empty() && (token.back() == '\r' || token.back() == ' ')) token.pop_back();
  return token;
}

// Asks the server who the token is. A server that cannot be reached is no reason to keep a token from being stored; one that refuses it is.
Status check_token(Context& context, const std::string& url, const std::string& token, std::string& name) {
  HttpOptions options;
  options.url = url;
  options.tls = {context.settings().ca_cert, context.settings().client_cert, context.settings().client_key};
  options.timeout_ms = context.settings().timeout_ms;
  ST8_ASSIGN(std::unique_ptr<Transport> transport, make_http_transport(std::move(options)));
  Client client(std::move(transport), token);
  const Result<HttpResponse> response = client.call(get("/v1/status"));
  if (!response) {
    if (response.error().code != ErrorCode::kUnavailable) return fail(response.error());
    context.notice("the token is not checked: " + response.error().message);
    return {};
  }
  if (const auto answer = parse_answer(response->body)) {
    if (const wire::JsonValue* whoami = answer->find("whoami")) name = printable(text_of(whoami->find("name")));
  }
  return {};
}

Result<int> login(Context& context) {
  const auto& words = context.arguments().positionals;
  if (context.settings().local)
    return fail(ErrorCode::kInvalidArgument, "a local store needs no token",
                "name a server: st8ctl login https://st8.example.com");
  const std::string url = words.empty() ? context.settings().server : words.front();
  const std::string token =
      context.arguments().given("token") ? context.arguments().text_or("token", "") : read_token(context);
  if (token.empty())
    return fail(ErrorCode::kInvalidArgument, "no token was given", "pipe it in: st8ctl login < token-file");
  std::string name;
  ST8_TRY(check_token(context, url, token, name));
  const bool keep_url = words.empty() && context.settings().server_is_default;
  ST8_TRY(store_login(context.settings().config_path, keep_url ? "" : url, token));
  std::string json;
  wire::JsonWriter(json)
      .begin_object()
      .field("config", context.settings().config_path)
      .field("server", url)
      .field("name", name)
      .end_object();
  ST8_ASSIGN(const bool printed, context.print_document(json));
  if (!printed) {
    context.out().line((name.empty() ? "Stored the token for " : "Logged in as " + name + " at ") + url + ", in " +
                       context.settings().config_path + ".");
  }
  return 0;
}

}  // namespace

const Command kStatus{
    "status", "Show the server, who you are to it, what is under way, and the namespace and branch in use",
    "",       "st8ctl status",
    {},       {},
    {},       status};
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
                     "Reads the token from standard input (at a terminal it is asked for, and not shown), asks the "
                     "server whose it is, and writes both into the "
                     "configuration file, readable by you alone. What else stands in the file stays as it is.",
                     "st8ctl login https://st8.example.com < token-file",
                     {},
                     kUrl,
                     {},
                     login};

}  // namespace st8::ctl
