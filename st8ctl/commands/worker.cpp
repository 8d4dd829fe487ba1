// worker: who works on the targets' machines.
#include "commands/commands.h"
#include "render/fields.h"

namespace st8::ctl {
namespace {

constexpr Flag kLimit{"limit", 0, FlagKind::kNumber, "N", "At most this many (default: all)"};
constexpr const Flag* kListFlags[] = {&kLimit};

Result<int> list(Context& context) {
  ST8_ASSIGN(Client* const client, context.client());
  ST8_ASSIGN(const wire::JsonValue answer,
             client->pages(get("/v1/workers"), "workers", context.arguments().number("limit").value_or(0)));
  ST8_ASSIGN(const bool printed, context.print_document(answer));
  if (printed) return 0;
  const auto& workers = items_field(answer, "workers");
  if (workers.empty()) context.notice("there are no workers: `st8d worker` on a target's machine is one");
  for (const wire::JsonValue& worker : workers) {
    const std::string name = field(worker, "name");
    if (context.format() == OutputFormat::kName) {
      context.out().line(name);
      continue;
    }
    const bool connected = flag_field(worker, "connected");
    const std::string seen = field(worker, "last_seen");
    std::string line = name + " " + context.out().painted(connected ? "32" : "31", connected ? "connected" : "away");
    line += " last_seen=" + (seen.empty() ? "never" : short_time(seen));
    if (const std::string version = field(worker, "version"); !version.empty()) line += " version=" + version;
    line += " assignments=" + field(worker, "assignments");
    std::string targets;
    for (const wire::JsonValue& target : items_field(worker, "targets")) {
      targets += (targets.empty() ? "" : ",") + field(target, "name");
      if (const std::string revision = field(target, "revision"); !revision.empty())
        targets += "(" + field(target, "namespace") + "/" + field(target, "branch") + "@" + revision + ")";
    }
    line += " targets=" + (targets.empty() ? "-" : targets);
    context.out().line(line);
  }
  return 0;
}

constexpr Command kList{"list",
                        "List the workers, and what is live through each",
                        "Those that this st8d has met since it was started, and those that a target names and that "
                        "have not come: when each was last seen, its version, the assignments that it "
                        "has not reported, and its targets with the revision that was read back from each.",
                        "st8ctl worker list\nst8ctl worker list -o json",
                        kListFlags,
                        {},
                        {},
                        list};
constexpr const Command* kChildren[] = {&kList};

}  // namespace

const Command kWorker{"worker", "List the workers", "", "st8ctl worker list", kListFlags, {}, kChildren, list};

}  // namespace st8::ctl
