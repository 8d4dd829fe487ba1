// rollout: the rollouts of a branch, and what a person decides about one.
#include <algorithm>
#include <poll.h>

#include "commands/commands.h"
#include "commands/rollouts.h"
#include "render/fields.h"
#include "render/rollout_view.h"
#include "st8/state/clock.h"

namespace st8::ctl {
namespace {

constexpr Flag kLimit{"limit", 0, FlagKind::kNumber, "N", "At most this many (default 20; 0: all)"};
constexpr Flag kOpen{"open", 0, FlagKind::kBool, "", "Only those that are not over"};
constexpr Flag kAll{"all", 0, FlagKind::kBool, "", "Of every namespace and branch"};
constexpr Flag kEvents{"events", 0, FlagKind::kBool, "", "Also what happened, event by event"};
constexpr Flag kEveryEvent{"events", 0, FlagKind::kBool, "",
                           "Where there is no tree: every event, each operation's begin and end too"};
constexpr Flag kReason{"message", 'm', FlagKind::kText, "TEXT", "Why, for its events"};
constexpr Flag kFull{"full", 0, FlagKind::kBool, "", "Pass all gates to come too"};
constexpr Flag kPlanHash{"plan", 0, FlagKind::kText, "HASH",
                         "The plan that was looked at, or the beginning of its hash; refused when it is another"};
constexpr const Flag* kListFlags[] = {&kLimit, &kOpen, &kAll};
constexpr const Flag* kGetFlags[] = {&kEvents};
constexpr const Flag* kWatchFlags[] = {&flags::kDeadline, &kEveryEvent};
constexpr const Flag* kReasonFlags[] = {&kReason, &flags::kDryRun};
constexpr const Flag* kPromoteFlags[] = {&kFull, &kReason, &flags::kDryRun};
constexpr const Flag* kApproveFlags[] = {&kPlanHash, &kReason, &flags::kYes, &flags::kDryRun};
constexpr Positional kRead[] = {
    {"id", "The rollout (default: the newest of the branch)", false, false, Completes::kRollouts}};
constexpr Positional kWrite[] = {
    {"id", "The rollout (default: the one of the branch that is not over)", false, false, Completes::kRollouts}};

Result<wire::JsonValue> detail_of(Context& context, const std::string& id) {
  ST8_ASSIGN(Client* const client, context.client());
  ST8_ASSIGN(const HttpResponse response, client->call(get("/v1/rollouts/" + percent_encoded(id, false))));
  return parse_answer(response.body);
}

Result<int> list(Context& context) {
  ST8_ASSIGN(Client* const client, context.client());
  Query query;
  if (!context.arguments().on("all")) query.emplace_back("namespace", context.settings().name_space);
  if (!context.arguments().on("all") && context.settings().branch_given)
    query.emplace_back("branch", context.settings().branch);
  if (context.arguments().on("open")) query.emplace_back("open", "true");
  ST8_ASSIGN(const wire::JsonValue answer, client->pages(get("/v1/rollouts", std::move(query)), "rollouts",
                                                         context.arguments().number("limit").value_or(20)));
  ST8_ASSIGN(const bool printed, context.print_document(answer));
  if (printed) return 0;
  const auto& rollouts = items_field(answer, "rollouts");
  if (rollouts.empty()) context.notice("there are no rollouts");
  for (const wire::JsonValue& one : rollouts)
    context.out().line(context.format() == OutputFormat::kName ? field(one, "id") : rollout_line(one));
  return 0;
}

Result<int> show(Context& context) {
  ST8_ASSIGN(const std::string id, chosen_rollout(context, false));
  ST8_ASSIGN(const wire::JsonValue detail, detail_of(context, id));
  ST8_ASSIGN(const bool printed, context.print_document(detail));
  if (printed) return 0;
  if (context.format() == OutputFormat::kName) {
    context.out().line(field(detail, "id"));
    return 0;
  }
  for (const std::string& line : rollout_tree(detail, context.out(), system_clock().now().micros))
    context.out().line(line);
  if (context.arguments().on("events")) {
    context.out().line("");
    for (const wire::JsonValue& event : items_field(detail, "events")) context.out().line(event_line(event));
  }
  return 0;
}

Result<int> explain(Context& context) {
  ST8_ASSIGN(const std::string id, chosen_rollout(context, false));
  ST8_ASSIGN(const wire::JsonValue detail, detail_of(context, id));
  const Lines lines = rollout_explanation(detail);
  if (context.wants_document()) {
    std::string json;
    wire::JsonWriter out(json);
    out.begin_object()
        .field("id", field(detail, "id"))
        .field("phase", field(detail, "phase"))
        .key("explanation")
        .begin_array();
    for (const std::string& line : lines) out.string(line);
    out.end_array().end_object();
    ST8_TRY(context.print_document(json));
    return 0;
  }
  for (const std::string& line : lines) context.out().line(line);
  return 0;
}

Result<int> watch(Context& context) {
  ST8_ASSIGN(const std::string id, chosen_rollout(context, false));
  ST8_ASSIGN(const Watched watched,
             watch_rollout(context, id, parse_duration_ms(context.arguments().text_or("deadline", "0")).value_or(0)));
  ST8_TRY(context.print_document(watched.detail));
  return watched.exit_code;
}

struct Verb {
  std::string_view name;
  std::string_view done, would;          // "{}" is the rollout.
  std::vector<std::string_view> phases;  // In which it may be asked.
};

Status may_be_asked(const Verb& verb, const wire::JsonValue& detail) {
  const std::string phase = field(detail, "phase");
  if (std::find(verb.phases.begin(), verb.phases.end(), phase) != verb.phases.end()) return {};
  const std::string id = field(detail, "id");
  return fail(ErrorCode::kConflict,
              "rollout " + id + " is " + phase + ": " + std::string(verb.name) + " cannot be asked of it now",
              "`st8ctl rollout explain " + id + "` says what can be done");
}

Result<int> act(Context& context, const Verb& verb, std::string id = "", const std::string& plan = "") {
  const Arguments& arguments = context.arguments();
  if (id.empty()) {
    ST8_ASSIGN(id, chosen_rollout(context, true));
  }
  const auto filled = [&](std::string_view text) {
    std::string out(text);
    if (const std::size_t at = out.find("{}"); at != std::string::npos) out.replace(at, 2, printable(id));
    return out;
  };
  if (context.dry_run()) {
    ST8_ASSIGN(const wire::JsonValue detail, detail_of(context, id));
    ST8_TRY(may_be_asked(verb, detail));
    ST8_ASSIGN(const bool printed, context.print_document(detail));
    if (!printed) context.out().line(filled(verb.would));
    return 0;
  }
  std::string body;
  wire::JsonWriter out(body);
  out.begin_object();
  if (const auto reason = arguments.text("message")) out.field("reason", *reason);
  if (arguments.on("full")) out.field("full", true);
  if (!plan.empty()) out.field("plan", plan);
  out.end_object();
  ST8_ASSIGN(
      const HttpResponse response,
      send_change(context,
                  change("POST", "/v1/rollouts/" + percent_encoded(id, false) + "/" + std::string(verb.name), body),
                  "Sending"));
  ST8_ASSIGN(const bool printed, context.print_document(response.body));
  if (printed) return 0;
  context.out().line(context.format() == OutputFormat::kName ? printable(id) : filled(verb.done));
  return 0;
}

Result<int> pause(Context& context) {
  return act(context, {"pause", "Paused rollout {}.", "Would pause rollout {}.", {"running"}});
}
Result<int> resume(Context& context) {
  return act(context, {"resume", "Resumed rollout {}.", "Would resume rollout {}.", {"paused"}});
}
Result<int> promote(Context& context) {
  if (context.arguments().on("full"))
    return act(context, {"promote",
                         "Promoting rollout {} through all its gates.",
                         "Would promote rollout {} through all its gates.",
                         {"running"}});
  return act(
      context,
      {"promote", "Promoting rollout {} past its gate.", "Would promote rollout {} past its gate.", {"running"}});
}
Result<int> abort(Context& context) {
  return act(context, {"abort",
                       "Aborting rollout {}: every touched target is put back.",
                       "Would abort rollout {}.",
                       {"pending", "running", "paused", "incomplete"}});
}
Result<int> retry(Context& context) {
  return act(context, {"retry",
                       "Trying the failed targets of rollout {} again.",
                       "Would try the failed targets of rollout {} again.",
                       {"paused", "incomplete"}});
}
Result<int> reject(Context& context) {
  return act(context, {"reject", "Rejected rollout {}.", "Would reject rollout {}.", {"pending"}});
}

// A rollout's plan never changes, so its id or its hash stands for what was looked at. Without either the one that is approved may be newer
// than the one that was looked at: then it is shown, and asked about.
Result<int> approve(Context& context) {
  const Verb verb{"approve", "Approved rollout {}.", "Would approve rollout {}.", {"pending"}};
  ST8_ASSIGN(const std::string id, chosen_rollout(context, true));
  ST8_ASSIGN(const wire::JsonValue detail, detail_of(context, id));
  ST8_TRY(may_be_asked(verb, detail));
  const std::string hash = field(detail, "plan_hash");
  const std::string looked_at = context.arguments().text_or("plan", hash);
  if (looked_at.size() < 8 || !hash.starts_with(looked_at)) {
    return fail(ErrorCode::kPreconditionFailed,
                "the plan of rollout " + id + " is " + hash.substr(0, 12) + ", not " + looked_at,
                "look at it with `st8ctl rollout get " + id + "`, then approve that");
  }
  if (context.arguments().positionals.empty() && !context.arguments().given("plan") && !context.dry_run()) {
    const wire::JsonValue* plan = detail.find("plan");
    if (!context.arguments().on("yes") && plan != nullptr) {
      for (const std::string& line : plan_lines(*plan, context.err())) context.err().line(line);
    }
    ST8_TRY(context.confirm("Approve this plan, of rollout " + id + "?"));
  }
  return act(context, verb, id, hash);
}

constexpr Command kList{"list",     "List the rollouts of a namespace, newest first",
                        "",         "st8ctl rollout list\nst8ctl rollout list --open --all",
                        kListFlags, {},
                        {},         list};
constexpr Command kGet{"get",
                       "Show a rollout: its waves, targets and gates",
                       "With --events also what happened, and the output of steps. -o json shows the plan too.",
                       "st8ctl rollout get r-12 --events",
                       kGetFlags,
                       kRead,
                       {},
                       show};
constexpr Command kShow{"show", "The same as get", "", "", kGetFlags, kRead, {}, show, true};
constexpr Command kWatch{"watch",
                         "Follow a rollout until it is over",
                         "On a terminal a live tree of waves, targets, steps and gates with the time left; elsewhere a "
                         "line for each event. The exit code tells how it ended: 0 "
                         "promoted, 20 rolled back, 21 superseded, 22 aborted, 23 rejected, 24 incomplete (a person is "
                         "to decide), 25 not over within --deadline.",
                         "st8ctl rollout watch\n"
                         "st8ctl rollout watch r-12 --deadline 10m",
                         kWatchFlags,
                         kRead,
                         {},
                         watch};
constexpr Command kExplain{"explain", "Say why a rollout is where it is, and what can be done",
                           "",        "st8ctl rollout explain r-12",
                           {},        kRead,
                           {},        explain};
constexpr Command kPause{"pause",
                         "Hold a running rollout where it is",
                         "What has begun at a target ends; nothing new begins.",
                         "st8ctl rollout pause r-12 -m \"looking at the latency\"",
                         kReasonFlags,
                         kWrite,
                         {},
                         pause};
constexpr Command kResume{
    "resume", "Let a paused rollout go on", "", "st8ctl rollout resume r-12", kReasonFlags, kWrite, {}, resume};
constexpr Command kPromote{"promote",
                           "Pass the gate that a rollout waits at",
                           "",
                           "st8ctl rollout promote r-12\nst8ctl rollout promote r-12 --full",
                           kPromoteFlags,
                           kWrite,
                           {},
                           promote};
constexpr Command kAbort{"abort",      "End a rollout and put every touched target back",
                         "",           "st8ctl rollout abort r-12 -m \"wrong region\"",
                         kReasonFlags, kWrite,
                         {},           abort};
constexpr Command kRetry{
    "retry", "Try the failed targets of a rollout again", "", "st8ctl rollout retry r-12", kReasonFlags, kWrite, {},
    retry};
constexpr Command kApprove{"approve",
                           "Approve the plan of a rollout",
                           "The approval is for the plan's hash, and for nobody's own revision: whoever wrote it "
                           "cannot approve it. When neither the rollout nor its plan is "
                           "named, the plan is shown, and asked about.",
                           "st8ctl rollout approve r-12\n"
                           "st8ctl rollout approve --plan 5c1d0f22ab31",
                           kApproveFlags,
                           kWrite,
                           {},
                           approve};
constexpr Command kReject{"reject",
                          "Refuse a rollout before it begins",
                          "Nothing was touched, and the revision is never what a rollback goes to.",
                          "st8ctl rollout reject r-12 -m \"not before Monday\"",
                          kReasonFlags,
                          kWrite,
                          {},
                          reject};
constexpr const Command* kChildren[] = {&kList,   &kGet,     &kShow,  &kWatch, &kExplain, &kPause,
                                        &kResume, &kPromote, &kAbort, &kRetry, &kApprove, &kReject};

}  // namespace

Result<std::string> rollout_id(const std::string& word) {
  const auto number = parse_number(word.starts_with("r-") ? word.substr(2) : word);
  if (!number)
    return fail(ErrorCode::kInvalidArgument, quote(word) + " is no rollout",
                "they are called r-1, r-2 and so on: `st8ctl rollout list`");
  return "r-" + std::to_string(*number);
}

namespace {

// A head that moved this moment has no rollout yet, and the newest one is another's: st8d is given time to look at it. What cannot be asked
// is left; the command itself says what is wrong.
void wait_until_looked_at(Context& context, Client& client) {
  constexpr int kLooks = 250;
  constexpr int kBetweenMs = 20;
  const auto resolved = client.call(get("/v1/resolve", context.scope_query()));
  if (!resolved) return;
  const auto head = wire::parse_resolve(resolved->body);
  if (!head) return;
  for (int i = 0; i < kLooks; ++i) {
    const auto live = client.call(get("/v1/live", context.scope_query()));
    if (!live) return;
    const auto answer = parse_answer(live->body);
    if (!answer) return;
    const auto& branches = items_field(*answer, "branches");
    if (std::any_of(branches.begin(), branches.end(), [&](const wire::JsonValue& branch) {
          return number_field(branch, "desired_revision") >= head->revision;
        }))
      return;
    // No policy may name it at all.
    if (branches.empty() && !client.call(get("/v1/plan", context.scope_query()))) return;
    ::poll(nullptr, 0, kBetweenMs);
  }
}

}  // namespace

Result<std::string> chosen_rollout(Context& context, bool open) {
  const auto& words = context.arguments().positionals;
  if (!words.empty()) return rollout_id(words.front());
  ST8_ASSIGN(Client* const client, context.client());
  wait_until_looked_at(context, *client);
  Query query = context.scope_query();
  if (open) query.emplace_back("open", "true");
  ST8_ASSIGN(const wire::JsonValue answer, client->pages(get("/v1/rollouts", std::move(query)), "rollouts", 2));
  const auto& rollouts = items_field(answer, "rollouts");
  const std::string where = context.settings().name_space + "/" + context.settings().branch;
  if (rollouts.empty()) {
    return fail(ErrorCode::kNotFound,
                open ? "no rollout of " + where + " is under way" : "there are no rollouts of " + where,
                "`st8ctl rollout list --all` shows those of every branch");
  }
  if (open && rollouts.size() > 1)
    return fail(ErrorCode::kInvalidArgument, "several rollouts of " + where + " are under way",
                "name one: `st8ctl rollout list --open`");
  return field(rollouts.front(), "id");
}

const Command kRollout{"rollout",
                       "List, follow and decide rollouts",
                       "A rollout takes one revision live, wave by wave. It begins by itself when the head of a branch "
                       "moves that the policy names.",
                       "st8ctl rollout\n"
                       "st8ctl rollout watch\n"
                       "st8ctl rollout promote r-12",
                       kListFlags,
                       {},
                       kChildren,
                       list};

}  // namespace st8::ctl
