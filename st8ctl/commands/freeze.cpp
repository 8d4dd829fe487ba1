// freeze, unfreeze, quarantine: what holds changes back.
#include "commands/commands.h"
#include "render/fields.h"

namespace st8::ctl {
namespace {

constexpr Flag kAll{"all", 0, FlagKind::kBool, "", "Everything, instead of one namespace"};
constexpr Flag kReason{"message", 'm', FlagKind::kText, "TEXT", "Why; shown to whoever waits"};
constexpr const Flag* kFreezeFlags[] = {&kAll, &kReason, &flags::kDryRun};
constexpr const Flag* kUnfreezeFlags[] = {&kAll, &flags::kDryRun};
constexpr const Flag* kReleaseFlags[] = {&flags::kDryRun};
constexpr Flag kAllNamespaces{"all", 0, FlagKind::kBool, "", "Of every namespace"};
constexpr const Flag* kQuarantineFlags[] = {&kAllNamespaces};
constexpr Positional kReleased[] = {
    {"key", "The key, or the rollout in which it failed", true, false, Completes::kQuarantined}};

Result<int> list_freezes(Context& context) {
  ST8_ASSIGN(Client* const client, context.client());
  ST8_ASSIGN(const HttpResponse response, client->call(get("/v1/freezes")));
  ST8_ASSIGN(const bool printed, context.print_document(response.body));
  if (printed) return 0;
  ST8_ASSIGN(const wire::JsonValue answer, parse_answer(response.body));
  const auto& freezes = items_field(answer, "freezes");
  if (freezes.empty()) context.notice("nothing is frozen");
  for (const wire::JsonValue& one : freezes) {
    const std::string name = field(one, "namespace");
    context.out().line(context.format() == OutputFormat::kName
                           ? name
                           : name + " since=" + short_time(field(one, "since")) + " by=" + field(one, "actor") +
                                 " reason=" + quote(field(one, "reason")));
  }
  return 0;
}

Result<int> set(Context& context, bool on) {
  const bool all = context.arguments().on("all");
  const std::string what = all ? "everything" : "namespace " + context.settings().name_space;
  if (context.dry_run()) {
    ST8_ASSIGN(Client* const client, context.client());
    ST8_ASSIGN(const HttpResponse response, client->call(get("/v1/freezes")));
    ST8_ASSIGN(const bool printed, context.print_document(response.body));
    if (!printed) context.out().line((on ? "Would freeze " : "Would unfreeze ") + printable(what) + ".");
    return 0;
  }
  std::string body;
  wire::JsonWriter out(body);
  out.begin_object();
  if (!all) out.field("namespace", context.settings().name_space);
  if (const auto reason = context.arguments().text("message")) out.field("reason", *reason);
  out.end_object();
  ST8_ASSIGN(const HttpResponse response,
             send_change(context, change("POST", on ? "/v1/freeze" : "/v1/unfreeze", body), "Sending"));
  ST8_ASSIGN(const bool printed, context.print_document(response.body));
  if (printed) return 0;
  context.out().line((on ? "Froze " : "Unfroze ") + printable(what) + ".");
  return 0;
}
Result<int> freeze(Context& context) { return set(context, true); }
Result<int> unfreeze(Context& context) { return set(context, false); }

Result<wire::JsonValue> quarantined(Context& context) {
  ST8_ASSIGN(Client* const client, context.client());
  Query query;
  if (!context.arguments().on("all")) query.emplace_back("namespace", context.settings().name_space);
  return client->pages(get("/v1/quarantine", std::move(query)), "quarantine", 0);
}

Result<int> list_quarantine(Context& context) {
  ST8_ASSIGN(const wire::JsonValue answer, quarantined(context));
  ST8_ASSIGN(const bool printed, context.print_document(answer));
  if (printed) return 0;
  const auto& held = items_field(answer, "quarantine");
  const bool all = context.arguments().on("all");
  if (held.empty())
    context.notice("nothing" + (all ? std::string() : " of namespace " + context.settings().name_space) +
                   " is in quarantine");
  for (const wire::JsonValue& one : held) {
    if (context.format() == OutputFormat::kName) {
      context.out().line(field(one, "key"));
      continue;
    }
    std::string line = field(one, "key") + " " + field(one, "change") +
                       (all ? " namespace=" + field(one, "namespace") : "") +
                       (one.find("hash") == nullptr ? "" : " hash=" + field(one, "hash").substr(0, 12)) +
                       " branch=" + field(one, "branch") + " rollout=" + field(one, "rollout") +
                       " at=" + short_time(field(one, "at")) + " targets=";
    bool first = true;
    for (const wire::JsonValue& target : items_field(one, "targets")) {
      line += (first ? "" : ",") + printable(target.text);
      first = false;
    }
    if (const std::string reason = field(one, "reason"); !reason.empty()) line += " reason=" + quote(reason);
    context.out().line(line);
  }
  return 0;
}

Result<int> release(Context& context) {
  const std::string& key = context.arguments().positionals.front();
  const auto told = [&](std::uint64_t count, const char* word) {
    context.out().line(word + std::to_string(count) + " change(s) of " + printable(key) + " from quarantine.");
    return 0;
  };
  if (context.dry_run()) {
    ST8_ASSIGN(const wire::JsonValue answer, quarantined(context));
    std::uint64_t count = 0;
    for (const wire::JsonValue& one : items_field(answer, "quarantine"))
      count += field(one, "key") == printable(key) || field(one, "rollout") == printable(key) ? 1 : 0;
    if (count == 0)
      return fail(ErrorCode::kNotFound, "nothing in quarantine is called " + key,
                  "`st8ctl quarantine list` shows what is");
    ST8_ASSIGN(const bool printed, context.print_document(answer));
    return printed ? 0 : told(count, "Would release ");
  }
  std::string body;
  wire::JsonWriter(body)
      .begin_object()
      .field("namespace", context.settings().name_space)
      .field("key", key)
      .end_object();
  ST8_ASSIGN(const HttpResponse response,
             send_change(context, change("POST", "/v1/quarantine/release", body), "Sending"));
  ST8_ASSIGN(const bool printed, context.print_document(response.body));
  if (printed) return 0;
  ST8_ASSIGN(const wire::JsonValue answer, parse_answer(response.body));
  return told(number_field(answer, "released"), "Released ");
}

constexpr Command kFreezeList{"list",      "List what is frozen, by whom and why", "", "st8ctl freeze list", {}, {}, {},
                              list_freezes};
constexpr const Command* kFreezeChildren[] = {&kFreezeList};
constexpr Command kQuarantineList{"list",
                                  "List the changes in quarantine",
                                  "",
                                  "st8ctl quarantine list\nst8ctl quarantine list --all",
                                  kQuarantineFlags,
                                  {},
                                  {},
                                  list_quarantine};
constexpr Command kQuarantineRelease{"release",
                                     "Let a quarantined change come back",
                                     "By its key, or by the rollout in which it failed.",
                                     "st8ctl quarantine release app/limits.json\n"
                                     "st8ctl quarantine release r-12",
                                     kReleaseFlags,
                                     kReleased,
                                     {},
                                     release};
constexpr const Command* kQuarantineChildren[] = {&kQuarantineList, &kQuarantineRelease};

}  // namespace

const Command kFreeze{
    "freeze",
    "Hold every rollout of a namespace before its next wave",
    "Lasts until `st8ctl unfreeze`, across restarts. Changes are still taken, and wait; a rollback is never held.",
    "st8ctl freeze -m \"black friday\"\n"
    "st8ctl freeze --all -m \"incident 42\"\n"
    "st8ctl freeze list",
    kFreezeFlags,
    {},
    kFreezeChildren,
    freeze};
const Command kUnfreeze{"unfreeze",
                        "End a freeze; what waited goes on",
                        "",
                        "st8ctl unfreeze\nst8ctl unfreeze --all",
                        kUnfreezeFlags,
                        {},
                        {},
                        unfreeze};
const Command kQuarantine{"quarantine",
                          "List or release changes that failed on their targets",
                          "What an automatic rollback took back may not return to the same targets as it was, by "
                          "whatever road, until it is released.",
                          "st8ctl quarantine list\n"
                          "st8ctl quarantine release app/limits.json",
                          kQuarantineFlags,
                          {},
                          kQuarantineChildren,
                          list_quarantine};

}  // namespace st8::ctl
