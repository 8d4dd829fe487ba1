// namespace list, namespace delete.
#include "commands/commands.h"

namespace st8::ctl {
namespace {

constexpr Flag kLimit{"limit", 0, FlagKind::kNumber, "N", "At most this many (default 0: all)"};
constexpr Flag kForce{"force", 0, FlagKind::kBool, "", "Also when a branch in it is protected"};
constexpr const Flag* kListFlags[] = {&kLimit, &flags::kPrefix};
constexpr const Flag* kDeleteFlags[] = {&kForce, &flags::kYes, &flags::kDryRun};
constexpr Positional kName[] = {{"name", "The namespace", true, false, Completes::kNamespaces}};

Result<int> list(Context& context) {
  ST8_ASSIGN(Client* const client, context.client());
  Query query{{"prefix", context.arguments().text_or("prefix", "")}};
  ST8_ASSIGN(const wire::JsonValue answer, client->pages(get("/v1/namespaces", std::move(query)), "namespaces",
                                                         context.arguments().number("limit").value_or(0)));
  ST8_ASSIGN(const bool printed, context.print_document(answer));
  if (printed) return 0;
  ST8_ASSIGN(const wire::NamespacePageBody page, wire::parse_namespace_page(wire::to_json(answer)));
  for (const wire::NamespaceBody& one : page.namespaces) {
    if (context.format() == OutputFormat::kName) {
      context.out().line(printable(one.name));
      continue;
    }
    context.out().line(printable(one.name) + " revisions=" + std::to_string(one.last_revision) +
                       " branches=" + std::to_string(one.branches) + " checkpoints=" + std::to_string(one.checkpoints));
  }
  return 0;
}

Result<int> remove(Context& context) {
  wire::NamespaceDeleteBody body{context.arguments().positionals.front(), context.arguments().on("force"),
                                 context.dry_run()};
  const std::string name = printable(body.name_space);
  ST8_TRY(context.confirm("Delete namespace " + name + " with all its branches, revisions and checkpoints?"));
  ST8_ASSIGN(const HttpResponse response,
             send_change(context, change("DELETE", "/v1/namespaces", wire::to_json(body)), "Deleting"));
  ST8_ASSIGN(const bool printed, context.print_document(response.body));
  if (!printed) context.out().line((context.dry_run() ? "Would delete namespace " : "Deleted namespace ") + name);
  return 0;
}

constexpr Command kList{"list",     "List the namespaces that the token may see",
                        "",         "st8ctl namespace list --prefix payments/",
                        kListFlags, {},
                        {},         list};
constexpr Command kDelete{"delete",
                          "Delete a namespace and everything in it",
                          "For good: there is no revision to go back to. Asks first, unless --yes.",
                          "st8ctl namespace delete scratch --dry-run\n"
                          "st8ctl namespace delete scratch --yes",
                          kDeleteFlags,
                          kName,
                          {},
                          remove};
constexpr const Command* kChildren[] = {&kList, &kDelete};

}  // namespace

const Command kNamespaceCommand{"namespace", "List or delete namespaces",
                                "",          "st8ctl namespace\nst8ctl namespace delete scratch",
                                kListFlags,  {},
                                kChildren,   list};

}  // namespace st8::ctl
