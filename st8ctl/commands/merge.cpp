// merge, cherry-pick and revert: three-way, with conflicts shown and never guessed.
#include "commands/commands.h"

namespace st8::ctl {
namespace {

constexpr Flag kOurs{"ours", 0, FlagKind::kBool, "", "On a conflict keep this branch's side"};
constexpr Flag kTheirs{"theirs", 0, FlagKind::kBool, "", "On a conflict take the other side"};
constexpr Flag kKeySide{"key",
                        0,
                        FlagKind::kText,
                        "KEY=SIDE",
                        "On a conflict in this document take ours or theirs; may be repeated",
                        Completes::kKeys,
                        true};
constexpr const Flag* kFlags[] = {&kOurs,
                                  &kTheirs,
                                  &kKeySide,
                                  &flags::kMessage,
                                  &flags::kAuthor,
                                  &flags::kExpected,
                                  &flags::kIdempotency,
                                  &flags::kWait,
                                  &flags::kDeadline,
                                  &flags::kDryRun};
constexpr Positional kBranchPositional[] = {
    {"selector", "The branch to merge, or a revision of it", true, false, Completes::kSelectors}};
constexpr Positional kRevisionPositional[] = {
    {"selector", "The revision whose change is meant", true, false, Completes::kSelectors}};

std::string shown_side(const std::optional<std::string>& content) {
  if (!content) return "(absent)";
  constexpr std::size_t kShownMax = 200;
  return content->size() <= kShownMax ? quote(*content) : quote(content->substr(0, kShownMax)) + "...";
}

Result<int> run(Context& context, const std::string& route, const ChangeTexts& texts) {
  const Arguments& arguments = context.arguments();
  if (arguments.on("ours") && arguments.on("theirs"))
    return fail(ErrorCode::kInvalidArgument, "--ours and --theirs cannot be used together",
                "choose one, and name exceptions with --key");
  wire::MergeBody body;
  body.scope = context.scope();
  body.at = arguments.positionals.front();
  body.prefer = arguments.on("ours") ? "ours" : arguments.on("theirs") ? "theirs" : "";
  for (const std::string& choice : arguments.texts("key")) {
    // The side is behind the last '=': a key may hold one.
    const std::size_t equals = choice.rfind('=');
    const std::string side = equals == std::string::npos ? "" : choice.substr(equals + 1);
    if (side != "ours" && side != "theirs") {
      return fail(ErrorCode::kInvalidArgument, "--key " + quote(choice) + " names no side",
                  "write it as --key app/config.json=theirs");
    }
    body.resolve.emplace_back(choice.substr(0, equals), side);
  }
  body.write = context.write_fields();
  Call call = change("POST", route, wire::to_json(body));
  call.query = {{"changes", context.wants_document() ? "" : "keys"}};
  Result<HttpResponse> response = send_change(context, std::move(call), "Merging");
  if (response) return report_change(context, *response, texts);
  const Client* client = context.client_if_made();
  if (client != nullptr && client->problem() && !client->problem()->conflicts.empty() && !context.wants_document()) {
    // The conflicts are what was asked for; the error says what to do with them.
    for (const wire::ConflictBody& conflict : client->problem()->conflicts) {
      if (context.format() == OutputFormat::kName) {
        context.out().line(printable(conflict.key));
        continue;
      }
      context.out().line(context.out().painted("31", "CONFLICT") + " " + printable(conflict.key) +
                         (conflict.path.empty() ? "" : " " + printable(conflict.path)));
      context.out().line("  base:   " + shown_side(conflict.base));
      context.out().line("  ours:   " + shown_side(conflict.ours));
      context.out().line("  theirs: " + shown_side(conflict.theirs));
    }
    Error error = response.error();
    if (error.hint.empty()) error.hint = "choose with --ours, --theirs or --key KEY=theirs; nothing was changed";
    return fail(std::move(error));
  }
  return fail(response.error());
}

Result<int> merge(Context& context) {
  return run(context, "/v1/merge",
             {"Merged into revision {}.", "Would merge into revision {}.", "Already up to date."});
}
Result<int> cherry_pick(Context& context) {
  return run(context, "/v1/cherry-pick",
             {"Cherry-picked into revision {}.", "Would cherry-pick into revision {}.",
              "No changes. Head stays at revision {}."});
}
Result<int> revert(Context& context) {
  return run(context, "/v1/revert",
             {"Reverted at revision {}.", "Would revert at revision {}.", "No changes. Head stays at revision {}."});
}

}  // namespace

const Command kMerge{"merge",
                     "Merge another branch into this one",
                     "Three-way, from the nearest common ancestor: by path in JSON and YAML, by lines in other text, "
                     "as a whole otherwise. Where both sides "
                     "changed the same thing differently, each conflict is shown with its three sides, nothing is "
                     "changed, and the exit code is that of a conflict; "
                     "--ours, --theirs and --key choose.",
                     "st8ctl merge experiment/x\n"
                     "st8ctl merge canary --theirs --key limits.json=ours",
                     kFlags,
                     kBranchPositional,
                     {},
                     merge};

const Command kCherryPick{
    "cherry-pick",
    "Take over the change of one revision",
    "Applies what that revision changed against its parent to this branch, three-way; conflicts as in merge.",
    "st8ctl cherry-pick 42\n"
    "st8ctl cherry-pick canary --branch main",
    kFlags,
    kRevisionPositional,
    {},
    cherry_pick};

const Command kRevert{
    "revert",
    "Undo the change of one revision",
    "Appends a revision that takes back what that one changed, and keeps everything made since; conflicts as in merge.",
    "st8ctl revert 42\n"
    "st8ctl revert @ --message \"not yet\"",
    kFlags,
    kRevisionPositional,
    {},
    revert};

}  // namespace st8::ctl
