// branch, branch create, delete, rename, protect, unprotect.
#include "commands/commands.h"

namespace st8::ctl {
namespace {

constexpr Flag kLimit{"limit", 0, FlagKind::kNumber, "N", "At most this many (default 0: all)"};
constexpr const Flag* kListFlags[] = {&kLimit};
constexpr const Flag* kCreateFlags[] = {&flags::kRevision, &flags::kCheckpoint, &flags::kAt, &flags::kDryRun};
constexpr const Flag* kDeleteFlags[] = {&flags::kExpected, &flags::kDryRun};
constexpr const Flag* kDryRunFlag[] = {&flags::kDryRun};
constexpr Positional kNew[] = {
    {"name", "The new branch's name", true, false, Completes::kNothing},
    {"selector", "Where it begins, instead of at the head", false, false, Completes::kSelectors}};
constexpr Positional kOld[] = {{"name", "The branch", true, false, Completes::kBranches}};
constexpr Positional kRenamed[] = {{"from", "The branch", true, false, Completes::kBranches},
                                   {"to", "Its new name", true, false, Completes::kNothing}};

Result<int> list(Context& context) {
  ST8_ASSIGN(Client* const client, context.client());
  ST8_ASSIGN(const wire::JsonValue answer, client->pages(get("/v1/branches", context.scope_query()), "branches",
                                                         context.arguments().number("limit").value_or(0)));
  ST8_ASSIGN(const bool printed, context.print_document(answer));
  if (printed) return 0;
  ST8_ASSIGN(const wire::BranchPageBody page, wire::parse_branch_page(wire::to_json(answer)));
  for (const wire::BranchBody& branch : page.branches) {
    if (context.format() == OutputFormat::kName) {
      context.out().line(printable(branch.name));
      continue;
    }
    context.out().line(printable(branch.name) + " head=" + std::to_string(branch.head_revision) +
                       " base=" + std::to_string(branch.base_revision) + (branch.is_protected ? " protected" : "") +
                       (branch.current ? " *" : ""));
  }
  return 0;
}

Result<int> create(Context& context) {
  const auto& words = context.arguments().positionals;
  wire::BranchCreateBody body;
  body.scope = context.scope();
  body.name = words.front();
  ST8_ASSIGN(body.at, context.selector(words.size() > 1 ? std::optional(words[1]) : std::nullopt));
  body.dry_run = context.dry_run();
  ST8_ASSIGN(const HttpResponse response,
             send_change(context, change("POST", "/v1/branches", wire::to_json(body)), "Sending"));
  ST8_ASSIGN(const bool printed, context.print_document(response.body));
  if (printed) return 0;
  ST8_ASSIGN(const wire::BranchBody made, wire::parse_branch(response.body));
  if (context.format() == OutputFormat::kName) {
    context.out().line(printable(made.name));
  } else {
    context.out().line((context.dry_run() ? "Would create branch " : "Created branch ") + printable(made.name) +
                       " at revision " + std::to_string(made.head_revision) + ".");
  }
  return 0;
}

// What the three short changes below share: send, print as asked, or one line.
Result<int> tell(Context& context, Call call, const std::string& done, const std::string& would) {
  ST8_ASSIGN(const HttpResponse response, send_change(context, std::move(call), "Sending"));
  ST8_ASSIGN(const bool printed, context.print_document(response.body));
  if (!printed) context.out().line(context.dry_run() ? would : done);
  return 0;
}

Result<int> remove(Context& context) {
  wire::BranchDeleteBody body;
  body.name_space = context.settings().name_space;
  body.name = context.arguments().positionals.front();
  body.expected_revision = context.arguments().number("expected-revision");
  body.dry_run = context.dry_run();
  const std::string name = printable(body.name);
  return tell(context, change("DELETE", "/v1/branches", wire::to_json(body)), "Deleted branch " + name,
              "Would delete branch " + name);
}

Result<int> rename(Context& context) {
  const auto& words = context.arguments().positionals;
  wire::BranchRenameBody body{context.settings().name_space, words[0], words[1], context.dry_run()};
  const std::string names = "branch " + printable(words[0]) + " to " + printable(words[1]);
  return tell(context, change("POST", "/v1/branches/rename", wire::to_json(body)), "Renamed " + names,
              "Would rename " + names);
}

Result<int> set_protection(Context& context, bool protect) {
  wire::BranchProtectBody body{context.settings().name_space, context.arguments().positionals.front(), protect,
                               context.dry_run()};
  const std::string name = printable(body.name);
  const Call call = change("POST", "/v1/branches/protect", wire::to_json(body));
  return protect ? tell(context, call, "Protected branch " + name, "Would protect branch " + name)
                 : tell(context, call, "Unprotected branch " + name, "Would unprotect branch " + name);
}
Result<int> protect(Context& context) { return set_protection(context, true); }
Result<int> unprotect(Context& context) { return set_protection(context, false); }

constexpr Command kList{"list", "List the branches", "", "st8ctl branch list", kListFlags, {}, {}, list};
constexpr Command kCreate{
    "create",
    "Create a branch",
    "A pointer to the head of --branch, or to what a selector names: it costs nothing, and copies nothing.",
    "st8ctl branch create canary\n"
    "st8ctl branch create hotfix stable\n"
    "st8ctl branch create experiment/x --revision 12",
    kCreateFlags,
    kNew,
    {},
    create};
constexpr Command kDelete{"delete",
                          "Delete a branch",
                          "Its revisions stay until gc; a protected branch is refused.",
                          "st8ctl branch delete canary",
                          kDeleteFlags,
                          kOld,
                          {},
                          remove};
constexpr Command kRename{"rename",    "Rename a branch", "", "st8ctl branch rename canary blue",
                          kDryRunFlag, kRenamed,          {}, rename};
constexpr Command kProtect{
    "protect", "Protect a branch from deletion and renaming", "", "st8ctl branch protect main", kDryRunFlag, kOld, {},
    protect};
constexpr Command kUnprotect{
    "unprotect", "Lift a branch's protection", "", "st8ctl branch unprotect main", kDryRunFlag, kOld, {}, unprotect};
constexpr const Command* kChildren[] = {&kList, &kCreate, &kDelete, &kRename, &kProtect, &kUnprotect};

}  // namespace

const Command kBranch{"branch",
                      "List the branches, or change them",
                      "Lists each branch with its head and the revision it was created at; * marks the one in use.",
                      "st8ctl branch\n"
                      "st8ctl branch create canary\n"
                      "st8ctl branch delete canary",
                      kListFlags,
                      {},
                      kChildren,
                      list};

}  // namespace st8::ctl
