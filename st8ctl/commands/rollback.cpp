// rollback and restore: a new revision that copies a known state.
#include "commands/commands.h"

namespace st8::ctl {
namespace {

constexpr Flag kFromBranch{"from-branch",
                           0,
                           FlagKind::kText,
                           "NAME",
                           "Copy the head of this branch, or what the selector names as seen from it",
                           Completes::kBranches};
constexpr Flag kKeep{
    "keep",           0,   FlagKind::kText, "KEY", "Leave this document as the head has it; may be repeated",
    Completes::kKeys, true};
constexpr const Flag* kRollbackFlags[] = {
    &flags::kRevision, &flags::kCheckpoint, &flags::kAt,       &kKeep,
    &flags::kMessage,  &flags::kAuthor,     &flags::kExpected, &flags::kIdempotency,
    &flags::kWait,     &flags::kDeadline,   &flags::kDryRun};
constexpr const Flag* kRestoreFlags[] = {
    &flags::kRevision, &flags::kCheckpoint, &flags::kAt,       &kFromBranch,         &kKeep,
    &flags::kMessage,  &flags::kAuthor,     &flags::kExpected, &flags::kIdempotency, &flags::kWait,
    &flags::kDeadline, &flags::kDryRun};
constexpr Positional kPositionals[] = {
    {"selector", "The revision to copy: main~1, stable, 42, 2h-ago", false, false, Completes::kSelectors}};

std::optional<std::string> positional(const Context& context) {
  const auto& words = context.arguments().positionals;
  return words.empty() ? std::optional<std::string>() : std::optional(words.front());
}

Result<int> rollback(Context& context) {
  wire::RollbackBody body;
  body.scope = context.scope();
  ST8_ASSIGN(body.at, context.selector(positional(context)));
  if (body.at.empty()) {
    return fail(ErrorCode::kInvalidArgument, "roll back to what? Give --revision, --checkpoint or a selector",
                "`st8ctl log` shows the revisions; @~1 is the one before the head");
  }
  body.keep = context.arguments().texts("keep");
  body.write = context.write_fields();
  Call call = change("POST", "/v1/rollback", wire::to_json(body));
  call.query = {{"changes", context.wants_document() ? "" : "keys"}};
  ST8_ASSIGN(const HttpResponse response, send_change(context, std::move(call), "Rolling back"));
  return report_change(
      context, response,
      {"Rolled back at revision {}.", "Would roll back at revision {}.", "Already at requested state."});
}

Result<int> restore(Context& context) {
  wire::RestoreBody body;
  body.scope = context.scope();
  ST8_ASSIGN(body.at, context.selector(positional(context)));
  body.from_branch = context.arguments().text_or("from-branch", "");
  if (body.at.empty() && body.from_branch.empty()) {
    return fail(ErrorCode::kInvalidArgument,
                "restore from what? Give --from-branch, --revision, --checkpoint or a selector",
                "`st8ctl branch` and `st8ctl checkpoint list` show the names");
  }
  body.keep = context.arguments().texts("keep");
  body.write = context.write_fields();
  Call call = change("POST", "/v1/restore", wire::to_json(body));
  call.query = {{"changes", context.wants_document() ? "" : "keys"}};
  ST8_ASSIGN(const HttpResponse response, send_change(context, std::move(call), "Restoring"));
  return report_change(
      context, response,
      {"Restored into revision {}.", "Would restore into revision {}.", "Already at requested state."});
}

}  // namespace

const Command kRollback{"rollback",
                        "Go back to a known state, by a new revision",
                        "Appends a revision with exactly the documents of the one named. Nothing is lost: what is "
                        "rolled back stays in the log.",
                        "st8ctl rollback --checkpoint stable --message \"latency regression\"\n"
                        "st8ctl rollback @~1\n"
                        "st8ctl rollback 2h-ago --dry-run\n"
                        "st8ctl rollback 42 --keep .st8/rollout.yaml",
                        kRollbackFlags,
                        kPositionals,
                        {},
                        rollback};

const Command kRestore{
    "restore",
    "Copy the state of another branch, revision or checkpoint",
    "As rollback, from anywhere in the namespace: promotes a tested branch, or begins a new one with a known state.",
    "st8ctl restore --from-branch canary --message \"promote canary to main\"\n"
    "st8ctl restore --checkpoint stable --branch hotfix",
    kRestoreFlags,
    kPositionals,
    {},
    restore};

}  // namespace st8::ctl
