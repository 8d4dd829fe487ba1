// checkpoint, checkpoint list, checkpoint delete.
#include "commands/commands.h"

namespace st8::ctl {
namespace {

constexpr Flag kDescription{"description", 0, FlagKind::kText, "TEXT", "What it is for"};
constexpr Flag kReplace{"replace", 0, FlagKind::kBool, "",
                        "Move a checkpoint that exists; without it that is an error"};
constexpr Flag kLimit{"limit", 0, FlagKind::kNumber, "N", "At most this many (default 0: all)"};
constexpr const Flag* kPutFlags[] = {&kDescription, &flags::kRevision, &flags::kAt, &kReplace, &flags::kDryRun};
constexpr const Flag* kListFlags[] = {&kLimit};
constexpr const Flag* kDeleteFlags[] = {&flags::kDryRun};
constexpr Positional kNew[] = {{"name", "The checkpoint's name", true, false, Completes::kCheckpoints}};
constexpr Positional kOld[] = {{"name", "The checkpoint's name", true, false, Completes::kCheckpoints}};

Result<int> put(Context& context) {
  wire::CheckpointPutBody body;
  body.scope = context.scope();
  body.name = context.arguments().positionals.front();
  body.description = context.arguments().text_or("description", "");
  ST8_ASSIGN(body.at, context.selector());
  body.replace = context.arguments().on("replace");
  body.dry_run = context.dry_run();
  ST8_ASSIGN(const HttpResponse response,
             send_change(context, change("POST", "/v1/checkpoints", wire::to_json(body)), "Sending"));
  ST8_ASSIGN(const bool printed, context.print_document(response.body));
  if (printed) return 0;
  ST8_ASSIGN(const wire::CheckpointBody made, wire::parse_checkpoint(response.body));
  if (context.format() == OutputFormat::kName) {
    context.out().line(printable(made.name));
  } else {
    context.out().line((context.dry_run() ? "Would make checkpoint " : "Checkpoint ") + printable(made.name) +
                       " -> revision " + std::to_string(made.revision_id));
  }
  return 0;
}

Result<int> list(Context& context) {
  ST8_ASSIGN(Client* const client, context.client());
  ST8_ASSIGN(const wire::JsonValue answer,
             client->pages(get("/v1/checkpoints", {{"namespace", context.settings().name_space}}), "checkpoints",
                           context.arguments().number("limit").value_or(0)));
  ST8_ASSIGN(const bool printed, context.print_document(answer));
  if (printed) return 0;
  ST8_ASSIGN(const wire::CheckpointPageBody page, wire::parse_checkpoint_page(wire::to_json(answer)));
  for (const wire::CheckpointBody& checkpoint : page.checkpoints) {
    if (context.format() == OutputFormat::kName) {
      context.out().line(printable(checkpoint.name));
      continue;
    }
    context.out().line(printable(checkpoint.name) + " -> revision " + std::to_string(checkpoint.revision_id) +
                       " at=" + short_time(checkpoint.created_at) +
                       (checkpoint.description.empty() ? "" : " description=" + quote(checkpoint.description)));
  }
  return 0;
}

Result<int> remove(Context& context) {
  wire::CheckpointDeleteBody body;
  body.name_space = context.settings().name_space;
  body.name = context.arguments().positionals.front();
  body.dry_run = context.dry_run();
  ST8_ASSIGN(const HttpResponse response,
             send_change(context, change("DELETE", "/v1/checkpoints", wire::to_json(body)), "Sending"));
  ST8_ASSIGN(const bool printed, context.print_document(response.body));
  if (!printed)
    context.out().line((context.dry_run() ? "Would delete checkpoint " : "Deleted checkpoint ") + printable(body.name));
  return 0;
}

constexpr Command kList{
    "list", "List the checkpoints of the namespace", "", "st8ctl checkpoint list", kListFlags, {}, {}, list};
constexpr Command kDelete{"delete",
                          "Delete a checkpoint",
                          "The revision that it named stays; gc may then drop what nothing else keeps.",
                          "st8ctl checkpoint delete before-launch",
                          kDeleteFlags,
                          kOld,
                          {},
                          remove};
constexpr const Command* kChildren[] = {&kList, &kDelete};

}  // namespace

const Command kCheckpoint{"checkpoint",
                          "Name a revision, so that it can be found and is kept",
                          "Names the branch's head, or the revision that a selector gives. A checkpoint never moves by "
                          "itself, and gc keeps what it names.",
                          "st8ctl checkpoint stable --description \"before the launch\"\n"
                          "st8ctl checkpoint known-good --at main~3\n"
                          "st8ctl checkpoint list\n"
                          "st8ctl checkpoint delete stable",
                          kPutFlags,
                          kNew,
                          kChildren,
                          put};

}  // namespace st8::ctl
