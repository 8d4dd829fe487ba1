// live, drift, reconcile: what is live where, and whether it still is.
#include <algorithm>
#include <chrono>
#include <poll.h>

#include "commands/commands.h"
#include "commands/rollouts.h"
#include "render/fields.h"

namespace st8::ctl {
namespace {

constexpr Flag kTargetFlag{"target", 0, FlagKind::kText, "NAME", "Only this target", Completes::kTargets};
constexpr Flag kTime{"at", 0, FlagKind::kText, "TIME", "What was live then: 2026-11-21T10:00:00Z, 2h-ago"};
constexpr Flag kAllBranches{"all", 0, FlagKind::kBool, "", "Of every namespace and branch"};
constexpr Flag kExitCode{"exit-code", 0, FlagKind::kBool, "", "Exit with 1 when a target is not as it should be"};
constexpr const Flag* kLiveFlags[] = {&kTargetFlag, &kTime, &kAllBranches};
constexpr const Flag* kDriftFlags[] = {&kTargetFlag, &kAllBranches, &kExitCode};
constexpr Flag kWaitRepaired{
    "wait", 0, FlagKind::kBool, "",
    "Follow the rollouts that repair, until they are over; the exit code tells how, as in `rollout watch`"};
constexpr const Flag* kReconcileFlags[] = {&kWaitRepaired, &flags::kDeadline, &flags::kDryRun};
constexpr Positional kTargets[] = {
    {"target", "The targets (default: all of the branch that have drifted)", false, true, Completes::kTargets}};

Result<wire::JsonValue> live_answer(Context& context) {
  ST8_ASSIGN(Client* const client, context.client());
  Query query = context.arguments().on("all") ? Query() : context.scope_query();
  query.emplace_back("target", context.arguments().text_or("target", ""));
  query.emplace_back("time", context.arguments().text_or("at", ""));
  return client->pages(get("/v1/live", std::move(query)), "live", 0);
}

void print_live_lines(Context& context, const wire::JsonValue& answer) {
  const auto& entries = items_field(answer, "live");
  if (entries.empty()) context.notice("nothing of this branch is live on a target");
  for (const wire::JsonValue& one : entries) {
    std::string line = field(one, "target");
    if (context.format() != OutputFormat::kName) {
      for (const char* name : {"namespace", "branch", "revision", "state"})
        line += " " + std::string(name) + "=" + field(one, name);
      line += " since=" + short_time(field(one, "since"));
      if (const std::string until = field(one, "until"); !until.empty()) line += " until=" + short_time(until);
      line += " hash=" + field(one, "hash").substr(0, 12);
    }
    context.out().line(line);
  }
  // A head that cannot go live is easily taken for one that has.
  for (const wire::JsonValue& branch : items_field(answer, "branches")) {
    if (const std::string problem = field(branch, "problem"); !problem.empty()) {
      context.notice("revision " + field(branch, "desired_revision") + " of " + field(branch, "namespace") + "/" +
                     field(branch, "branch") + " does not go live: " + problem);
    }
  }
}

Result<int> live(Context& context) {
  ST8_ASSIGN(const wire::JsonValue answer, live_answer(context));
  ST8_ASSIGN(const bool printed, context.print_document(answer));
  if (!printed) print_live_lines(context, answer);
  return 0;
}

// What was last observed of the targets in scope.
Result<wire::JsonValue> observed(Context& context) {
  ST8_ASSIGN(Client* const client, context.client());
  ST8_ASSIGN(
      wire::JsonValue answer,
      client->pages(get("/v1/drift", context.arguments().on("all") ? Query() : context.scope_query()), "drift", 0));
  const std::string target = context.arguments().text_or("target", "");
  for (wire::JsonMember& member : answer.members) {
    if (member.name == "drift" && !target.empty())
      std::erase_if(member.value.items, [&](const wire::JsonValue& one) { return field(one, "target") != target; });
  }
  return answer;
}

bool is_good(const wire::JsonValue& one) {
  const std::string state = field(one, "state");
  return state == "healthy" || state == "ok" || state == "in-sync" || state == "unknown";
}

Result<int> drift(Context& context) {
  ST8_ASSIGN(const wire::JsonValue answer, observed(context));
  bool all_good = true;
  for (const wire::JsonValue& one : items_field(answer, "drift")) all_good = all_good && is_good(one);
  const int code = context.arguments().on("exit-code") && !all_good ? 1 : 0;
  ST8_ASSIGN(const bool printed, context.print_document(answer));
  if (printed) return code;
  const auto& entries = items_field(answer, "drift");
  if (entries.empty()) context.notice("nothing of this branch was looked at yet");
  for (const wire::JsonValue& one : entries) {
    if (context.format() == OutputFormat::kName) {
      if (!is_good(one)) context.out().line(field(one, "target"));
      continue;
    }
    std::string line = field(one, "target") +
                       " state=" + context.out().painted(is_good(one) ? "32" : "31", field(one, "state")) +
                       " since=" + short_time(field(one, "since")) +
                       " looked_at=" + std::to_string(number_field(one, "observed_age_ms") / 1000) + "s-ago";
    if (number_field(one, "repairs") > 0) line += " repairs=" + field(one, "repairs");
    if (const std::string detail = field(one, "detail"); !detail.empty()) line += " detail=" + quote(detail);
    context.out().line(line);
  }
  return code;
}

// The branch that is live on a target, and the newest rollout of it.
struct Repaired {
  std::string name_space, branch;
  std::uint64_t newest = 0;
  friend bool operator==(const Repaired& a, const Repaired& b) {
    return a.name_space == b.name_space && a.branch == b.branch;
  }
};

Result<std::uint64_t> newest_rollout(Client& client, const Repaired& of) {
  ST8_ASSIGN(const wire::JsonValue answer,
             client.pages(get("/v1/rollouts", {{"namespace", of.name_space}, {"branch", of.branch}}), "rollouts", 1));
  const auto& rollouts = items_field(answer, "rollouts");
  if (rollouts.empty()) return std::uint64_t{0};
  const std::string id = field(rollouts.front(), "id");
  return parse_number(id.substr(std::min<std::size_t>(2, id.size()))).value_or(0);
}

Result<std::vector<Repaired>> branches_on(Context& context, const std::vector<std::string>& targets) {
  ST8_ASSIGN(Client* const client, context.client());
  std::vector<Repaired> found;
  for (const std::string& target : targets) {
    ST8_ASSIGN(const HttpResponse response, client->call(get("/v1/live", {{"target", target}})));
    ST8_ASSIGN(const wire::JsonValue answer, parse_answer(response.body));
    for (const wire::JsonValue& one : items_field(answer, "live")) {
      Repaired branch{field(one, "namespace"), field(one, "branch"), 0};
      if (std::find(found.begin(), found.end(), branch) != found.end()) continue;
      ST8_ASSIGN(branch.newest, newest_rollout(*client, branch));
      found.push_back(std::move(branch));
    }
  }
  return found;
}

// Follows what repairs: a rollout of each branch that is newer than the newest one was. The first outcome that is not 0.
Result<int> wait_until_repaired(Context& context, const std::vector<Repaired>& branches) {
  constexpr int kBetweenMs = 20;
  ST8_ASSIGN(Client* const client, context.client());
  const std::int64_t deadline_ms = parse_duration_ms(context.arguments().text_or("deadline", "0")).value_or(0);
  const auto begun = std::chrono::steady_clock::now();
  const auto spent_ms = [&] {
    return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - begun).count();
  };
  int code = 0;
  for (const Repaired& branch : branches) {
    std::uint64_t id = branch.newest;
    while (id <= branch.newest) {
      ST8_ASSIGN(id, newest_rollout(*client, branch));
      if (id > branch.newest) break;
      if (deadline_ms > 0 && spent_ms() >= deadline_ms) return kExitNotOver;
      ::poll(nullptr, 0, kBetweenMs);
    }
    ST8_ASSIGN(const Watched watched,
               watch_rollout(context, "r-" + std::to_string(id),
                             deadline_ms == 0 ? 0 : std::max<std::int64_t>(1, deadline_ms - spent_ms())));
    if (code == 0) code = watched.exit_code;
  }
  return code;
}

Result<int> reconcile(Context& context) {
  std::vector<std::string> targets = context.arguments().positionals;
  if (targets.empty()) {
    ST8_ASSIGN(const wire::JsonValue answer, observed(context));
    for (const wire::JsonValue& one : items_field(answer, "drift")) {
      if (!is_good(one)) targets.push_back(field(one, "target"));
    }
    if (targets.empty()) {
      context.notice("no target of this branch has drifted");
      return 0;
    }
  }
  const bool wait = context.arguments().on("wait") && !context.dry_run();
  std::vector<Repaired> branches;
  if (wait) {
    ST8_ASSIGN(branches, branches_on(context, targets));
  }
  std::vector<std::string> repaired;
  std::string json;
  wire::JsonWriter out(json);
  out.begin_object().key("reconciled").begin_array();
  for (const std::string& target : targets) {
    if (context.dry_run()) {
      out.begin_object().field("target", target).field("dry_run", true).end_object();
      if (!context.wants_document())
        context.out().line("Would look at " + printable(target) + " and put right what differs.");
      continue;
    }
    std::string body;
    wire::JsonWriter(body).begin_object().field("target", target).end_object();
    ST8_ASSIGN(const HttpResponse response, send_change(context, change("POST", "/v1/reconcile", body), "Reconciling"));
    out.raw(response.body);
    ST8_ASSIGN(const wire::JsonValue answer, parse_answer(response.body));
    if (flag_field(answer, "repairing")) repaired.push_back(target);
    if (context.wants_document()) continue;
    context.out().line(context.format() == OutputFormat::kName
                           ? printable(target)
                           : printable(target) + " state=" + field(answer, "state") +
                                 (flag_field(answer, "repairing") ? ", being repaired" : ""));
  }
  out.end_array().end_object();
  ST8_TRY(context.print_document(json));
  if (!wait || repaired.empty()) return 0;
  context.out().flush();
  // Only branches of which something is repaired get a rollout.
  ST8_ASSIGN(const std::vector<Repaired> touched, branches_on(context, repaired));
  std::erase_if(branches,
                [&](const Repaired& one) { return std::find(touched.begin(), touched.end(), one) == touched.end(); });
  return wait_until_repaired(context, branches);
}

}  // namespace

Status print_live(Context& context) {
  ST8_ASSIGN(Client* const client, context.client());
  ST8_ASSIGN(const wire::JsonValue answer, client->pages(get("/v1/live", context.scope_query()), "live", 0));
  print_live_lines(context, answer);
  return {};
}

const Command kLive{
    "live",
    "Show what is live on which target",
    "As read back from each target, never as it was sent. With --at, what was live then, from the ledger.",
    "st8ctl live\n"
    "st8ctl live --target web-1 --at 2h-ago",
    kLiveFlags,
    {},
    {},
    live};
const Command kDrift{"drift",
                     "Show targets that are no longer as they were read back",
                     "From the loop that looks at each target: altered, missing, unhealthy or unreachable, since when, "
                     "and how long ago it looked. What is done about it stands in the "
                     "policy (drift.action).",
                     "st8ctl drift\n"
                     "st8ctl drift --all --exit-code",
                     kDriftFlags,
                     {},
                     {},
                     drift};
const Command kReconcile{
    "reconcile",
    "Look at targets now, and put right what differs",
    "Brings back what was last promoted there, whatever the policy says of drift, by a rollout of its own.",
    "st8ctl reconcile web-1 --wait\n"
    "st8ctl reconcile",
    kReconcileFlags,
    kTargets,
    {},
    reconcile};

}  // namespace st8::ctl
