#include "commands/commands.h"
#include "wire/fields.h"

namespace st8::ctl {
namespace {

constexpr Flag kKeepNewline{"keep-newline", 0, FlagKind::kBool, "", "The value's last newline is part of it"};
constexpr const Flag* kFlags[] = {&kKeepNewline};
constexpr Positional kPositionals[] = {
    {"file", "Where the value stands; standard input when none is named", false, false, Completes::kFiles}};

Result<int> run(Context& context) {
  LoadRequest request;
  request.paths = context.arguments().positionals;
  if (request.paths.empty()) request.paths.emplace_back("-");
  request.key = "value";
  ST8_ASSIGN(LoadedDocuments loaded, load_documents(request));
  std::string value = std::move(loaded.documents.at(0).content);
  if (!context.arguments().on("keep-newline") && value.ends_with('\n')) value.pop_back();

  std::string body;
  wire::JsonWriter out(body);
  out.begin_object().field("namespace", context.scope().name_space).bytes_field("value", value).end_object();
  ST8_ASSIGN(Client* const client, context.client());
  ST8_ASSIGN(const HttpResponse response, client->call(post("/v1/seal", std::move(body))));
  ST8_ASSIGN(const bool printed, context.print_document(response.body));
  if (printed) return 0;
  ST8_ASSIGN(const wire::JsonValue json, wire::parse_json(response.body));
  wire::Fields fields(json, "", wire::Fields::Unknown::kIgnore);
  const std::string sealed = fields.text("sealed");
  ST8_TRY(fields.finish());
  context.out().line(sealed);
  return 0;
}

}  // namespace

const Command kSeal{"seal",
                    "Seal a secret value, so that it may be stored",
                    "Prints what stands for the value from then on: a document of its own, or a part of one that is "
                    "rendered for its targets (docs/secrets.md). "
                    "Only st8d opens it, on its way to a target of the same namespace; no command does.\n"
                    "\n"
                    "The value comes from a file or from standard input, never from the command line, where others "
                    "could see it. Its last newline is left off.",
                    "st8ctl seal < password.txt | st8ctl apply -f - --key db/password\n"
                    "st8ctl --namespace payments/prod seal token.txt",
                    kFlags,
                    kPositionals,
                    {},
                    run};

}  // namespace st8::ctl
