#include "api/handlers_rollouts.h"

#include <algorithm>
#include <charconv>
#include <map>
#include <variant>

#include "api/access.h"
#include "api/content.h"
#include "api/event_stream.h"
#include "api/paging.h"
#include "api/rollout_hub.h"
#include "wire/json.h"
#include "wire/text.h"

namespace st8::api {
namespace {

using target::RolloutService;
using wire::JsonWriter;

Reply object(const std::function<void(JsonWriter&)>& write) {
  std::string body;
  JsonWriter out(body);
  out.begin_object();
  write(out);
  out.end_object();
  return json_response(std::move(body));
}

void time_field(JsonWriter& out, std::string_view name, Timestamp time) {
  if (time.micros != 0) out.field(name, format_rfc3339(time));
}

const Where kSystem = {*state::NamespaceName::parse(target::kSystemNamespace), *state::BranchName::parse("main")};

Where where_of(const target::Plan& plan) { return {plan.name_space, plan.branch}; }
bool sees(const Call& call, const std::string& name_space, const std::string& branch) {
  return auth::sees_branch(*call.principal, auth::Verb::kRead, name_space, branch);
}
// What tells of documents — paths, keys, words of programs — is for those who may see all keys.
bool sees_documents(const Call& call) { return call.principal->all_keys(); }

// A rollout is found by its id alone, so whoever may not see its branch is answered as if it were not there.
Outcome<target::RolloutDetail> rollout_of(const Call& call, const RolloutService& rollouts, auth::Verb verb) {
  ST8_API_ASSIGN(const target::RolloutId id, target::RolloutId::parse(call.parameter("id")));
  auto detail = rollouts.get(id);
  const auto hidden = [&] {
    return problem(ErrorCode::kNotFound, "there is no rollout " + id.str(), "`st8ctl rollout list` shows them");
  };
  if (!detail) {
    if (detail.error().code == ErrorCode::kNotFound) return hidden();
    return tl::unexpected<wire::Problem>(wire::Problem(std::move(detail).error()));
  }
  const target::Plan& plan = *detail->view.plan;
  if (!sees(call, plan.name_space.str(), plan.branch.str())) return hidden();
  ST8_API_TRY(allow(call, verb, where_of(plan)));
  return std::move(*detail);
}

// Writes at most `limit` of the items that may be seen behind the cursor `after`; they are in the order of their cursors. The cursor
// to go on behind; empty at the end.
template <class Item, class Cursor, class Visible, class Write>
std::string write_page(const std::vector<Item>& items, const std::string& after, std::size_t limit,
                       const Cursor& cursor, const Visible& visible, const Write& write) {
  std::size_t written = 0;
  std::string last;
  for (const Item& item : items) {
    std::string at = cursor(item);
    if ((!after.empty() && at <= after) || !visible(item)) continue;
    if (written == limit) return last;
    write(item);
    last = std::move(at);
    ++written;
  }
  return "";
}

// ---- Writing ---------------------------------------------------------------------------------------------------------

void write_live(JsonWriter& out, const target::LiveEntry& live, Timestamp now) {
  out.begin_object()
      .field("target", live.entry.target.str())
      .field("namespace", live.entry.name_space)
      .field("branch", live.entry.branch)
      .field("revision", live.entry.revision.value)
      .field("hash", live.entry.content.hex())
      .field("since", format_rfc3339(live.entry.since))
      .field("state", live.state)
      .field("rollout", live.entry.rollout.str())
      .field("desired_revision", live.desired.value);
  if (live.entry.until) out.field("until", format_rfc3339(*live.entry.until));
  if (live.observed_at)
    out.field("observed_age_ms", static_cast<std::int64_t>((now.micros - live.observed_at->micros) / 1000));
  out.end_object();
}

void write_branch(JsonWriter& out, const RolloutService::BranchEntry& branch, bool documents) {
  out.begin_object()
      .field("namespace", branch.name_space)
      .field("branch", branch.branch)
      .field("desired_revision", branch.status.desired.value)
      .field("promoted_revision", branch.status.promoted.value);
  if (branch.status.rollout.value != 0) out.field("rollout", branch.status.rollout.str());
  // Those who may not see all keys learn that there is a problem, and not which document it names.
  if (!branch.status.problem.empty())
    out.field("problem", documents ? branch.status.problem : std::string("the revision cannot be planned"));
  out.key("targets").begin_array();
  for (const target::TargetName& name : branch.status.targets) out.string(name.str());
  out.end_array().end_object();
}

void write_target(JsonWriter& out, const target::TargetView& view, Timestamp now) {
  const target::Target& target = view.target;
  out.begin_object()
      .field("name", target.name.str())
      .field("kind", target.kind)
      .field("env", target.env)
      .field("criticality", target::criticality_name(target.criticality));
  out.key("labels").begin_object();
  for (const auto& [label, value] : target.labels) out.field(label, value);
  out.end_object();
  if (view.held_by.value != 0) out.field("held_by", view.held_by.str());
  if (view.live) {
    out.key("live");
    write_live(out, *view.live, now);
  }
  out.key("problems").begin_array();
  for (const target::DocumentProblem& one : view.problems) out.string(one.str());
  out.end_array().end_object();
}

void write_summary(JsonWriter& out, const target::RolloutSummary& summary) {
  out.field("id", summary.id.str())
      .field("namespace", summary.name_space)
      .field("branch", summary.branch)
      .field("revision", summary.revision.value)
      .field("phase", target::phase_name(summary.phase))
      .field("reason", summary.reason)
      .field("plan_hash", summary.plan.value.hex())
      .field("targets_total", std::uint64_t{summary.targets})
      .field("targets_activated", std::uint64_t{summary.targets_activated})
      .field("targets_failed", std::uint64_t{summary.targets_failed})
      .field("targets_touched", std::uint64_t{summary.targets_touched})
      .field("waves_total", std::uint64_t{summary.waves})
      .field("wave", std::uint64_t{summary.wave});
  if (!summary.waiting_for.empty()) out.field("waiting_for", summary.waiting_for);
  if (!summary.appended.is_root()) out.field("rollback_revision", summary.appended.value);
  time_field(out, "created_at", summary.created_at);
  time_field(out, "started_at", summary.started_at);
  time_field(out, "ended_at", summary.ended_at);
}

void write_event(JsonWriter& out, const target::Plan& plan, const target::RolloutEvent& event, bool documents) {
  using target::RolloutEvent;
  out.begin_object()
      .field("sequence", event.sequence)
      .field("at", format_rfc3339(event.at))
      .field("kind", target::event_kind_name(event.kind));
  if (event.target < plan.targets.size()) out.field("target", plan.targets[event.target].target.name.str());
  if (event.op < plan.ops.size()) {
    const target::PlannedOp& op = plan.ops[event.op];
    out.field("operation", target::op_kind_name(op.kind));
    if (op.kind == target::OpKind::kStep) out.field("name", plan.policy.steps[op.index].name);
    if (op.kind == target::OpKind::kHealth) out.field("name", plan.policy.health[op.index].name);
  }
  if (event.wave != RolloutEvent::kNone) out.field("wave", std::uint64_t{event.wave});
  if (event.gate != RolloutEvent::kNone) out.field("gate", std::uint64_t{event.gate});
  if (event.attempt != 0) out.field("attempt", std::uint64_t{event.attempt});
  if (event.retry_at) out.field("retry_at", format_rfc3339(*event.retry_at));
  if (event.observation)
    out.field("read_back", event.observation->present ? event.observation->content.hex() : std::string("nothing"));
  if (event.outcome) out.field("outcome", target::phase_name(*event.outcome));
  if (!event.revision.is_root()) out.field("revision", event.revision.value);
  if (!event.detail.empty() && documents) out.field("detail", event.detail);
  if (!event.actor.empty()) out.field("actor", event.actor);
  out.end_object();
}

Reply detail_reply(const Call& call, const target::RolloutDetail& detail) {
  const target::Plan& plan = *detail.view.plan;
  const bool documents = sees_documents(call);
  return object([&](JsonWriter& out) {
    target::RolloutSummary summary = detail.view.summary;
    if (!documents) summary.reason.clear();
    write_summary(out, summary);
    out.key("targets").begin_array();
    for (std::size_t i = 0; i < plan.targets.size(); ++i) {
      const target::TargetProgress& progress = detail.view.state.targets[i];
      out.begin_object()
          .field("name", plan.targets[i].target.name.str())
          .field("stage", target::stage_name(progress.stage))
          .field("wave", std::uint64_t{plan.targets[i].switch_wave})
          .field("touched", progress.touched)
          .field("failed", progress.failed);
      if (progress.running && progress.next_op < plan.ops.size())
        out.field("running", target::op_kind_name(plan.ops[progress.next_op].kind));
      if (progress.read_back)
        out.field("read_back",
                  progress.read_back->present ? progress.read_back->content.hex() : std::string("nothing"));
      if (!progress.error.empty() && documents) out.field("error", progress.error);
      out.end_object();
    }
    out.end_array().key("waits").begin_array();
    for (const target::RolloutWait& wait : target::waits_of(plan, detail.view.state, call.context.clock.now())) {
      out.begin_object().field("for", target::wait_kind_name(wait.kind)).field("until", format_rfc3339(wait.until));
      if (wait.target < plan.targets.size()) out.field("target", plan.targets[wait.target].target.name.str());
      if (wait.wave != target::RolloutEvent::kNone) out.field("wave", std::uint64_t{wait.wave});
      if (wait.gate != target::RolloutEvent::kNone) out.field("gate", std::uint64_t{wait.gate});
      out.end_object();
    }
    out.end_array().key("plan");
    write_plan(out, plan, documents);
    out.key("events").begin_array();
    for (const target::RolloutEvent& event : detail.events) write_event(out, plan, event, documents);
    out.end_array();
  });
}

// ---- Reads -----------------------------------------------------------------------------------------------------------

Reply live(Call& call, const RolloutService& rollouts) {
  Query query(call.request);
  target::LiveQuery wanted;
  wanted.name_space = query.text("namespace");
  wanted.branch = query.text("branch");
  wanted.target = query.text("target");
  const std::string time = query.text("time");
  const std::size_t limit = list_limit(query.number("limit", kListLimit));
  const std::string after = query.text("after");
  ST8_API_TRY(query.finish());
  if (!wanted.name_space.empty()) {
    ST8_API_ASSIGN(const Where where, api::where_of(wanted.name_space, wanted.branch));
    ST8_API_TRY(allow(call, auth::Verb::kRead, where));
  }
  const Timestamp now = call.context.clock.now();
  if (!time.empty()) {
    ST8_API_ASSIGN(const state::Selector selector, state::Selector::parse(time, now));
    const auto* by_time = std::get_if<state::Selector::ByTime>(&selector.base);
    if (by_time == nullptr || !by_time->branch.empty() || selector.ancestors != 0) {
      return problem(ErrorCode::kInvalidArgument, "\"" + time + "\" is not a time",
                     "times look like 2026-11-21T10:00:00Z or 2h-ago");
    }
    wanted.at = by_time->time;
  }
  RolloutService::Live live;
  if (wanted.at) {
    ST8_API_ASSIGN(live.targets, rollouts.live(wanted));
  } else {
    live = rollouts.live_now(wanted);
  }
  return object([&](JsonWriter& out) {
    out.key("live").begin_array();
    const std::string next = write_page(
        live.targets, after, limit, [&](const target::LiveEntry& entry) { return entry.entry.target.str(); },
        [&](const target::LiveEntry& entry) { return sees(call, entry.entry.name_space, entry.entry.branch); },
        [&](const target::LiveEntry& entry) { write_live(out, entry, now); });
    out.end_array();
    if (!next.empty()) out.field("next_cursor", next);
    // They stand on the first page.
    if (wanted.at || !wanted.target.empty() || !after.empty()) return;
    out.key("branches").begin_array();
    for (const RolloutService::BranchEntry& branch : live.branches) {
      if (sees(call, branch.name_space, branch.branch)) write_branch(out, branch, sees_documents(call));
    }
    out.end_array();
  });
}

Reply drift(Call& call, const RolloutService& rollouts) {
  Query query(call.request);
  target::LiveQuery wanted;
  wanted.name_space = query.text("namespace");
  wanted.branch = query.text("branch");
  const std::size_t limit = list_limit(query.number("limit", kListLimit));
  const std::string after = query.text("after");
  ST8_API_TRY(query.finish());
  if (!wanted.name_space.empty()) {
    ST8_API_ASSIGN(const Where where, api::where_of(wanted.name_space, wanted.branch));
    ST8_API_TRY(allow(call, auth::Verb::kRead, where));
  }
  ST8_API_ASSIGN(const std::vector<target::LiveEntry> live, rollouts.live(wanted));
  const std::map<target::TargetName, target::TargetHealth> found = [&] {
    const auto health = rollouts.health();
    return std::map<target::TargetName, target::TargetHealth>(health.begin(), health.end());
  }();
  const Timestamp now = call.context.clock.now();
  return object([&](JsonWriter& out) {
    out.key("drift").begin_array();
    const auto write = [&](const target::LiveEntry& entry) {
      const auto health = found.find(entry.entry.target);
      out.begin_object()
          .field("target", entry.entry.target.str())
          .field("namespace", entry.entry.name_space)
          .field("branch", entry.entry.branch)
          .field("state", target::health_state_name(health->second.state))
          .field("since", format_rfc3339(health->second.since))
          .field("observed_age_ms", static_cast<std::int64_t>((now.micros - health->second.looked_at.micros) / 1000))
          .field("repairs", std::uint64_t{health->second.repairs});
      if (!health->second.detail.empty() && sees_documents(call)) out.field("detail", health->second.detail);
      out.end_object();
    };
    const std::string next = write_page(
        live, after, limit, [](const target::LiveEntry& entry) { return entry.entry.target.str(); },
        [&](const target::LiveEntry& entry) {
          return found.contains(entry.entry.target) && sees(call, entry.entry.name_space, entry.entry.branch);
        },
        write);
    out.end_array();
    if (!next.empty()) out.field("next_cursor", next);
  });
}

target::TargetView without_hidden(const Call& call, target::TargetView view) {
  if (view.live && !sees(call, view.live->entry.name_space, view.live->entry.branch)) {
    view.live.reset();
    view.held_by = {};
  }
  return view;
}

Outcome<state::DocumentKey> document_of(const target::TargetName& name) {
  ST8_API_ASSIGN(state::DocumentKey key,
                 state::DocumentKey::parse(std::string(target::kTargetPrefix) + name.str() + ".yaml"));
  return key;
}

Reply list_targets(Call& call, const RolloutService& rollouts) {
  Query query(call.request);
  const std::size_t limit = list_limit(query.number("limit", kListLimit));
  const std::string after = query.text("after");
  ST8_API_TRY(query.finish());
  ST8_API_TRY(allow(call, auth::Verb::kRead, kSystem));
  ST8_API_ASSIGN(std::vector<target::TargetView> views, rollouts.targets());
  const Timestamp now = call.context.clock.now();
  return object([&](JsonWriter& out) {
    out.key("targets").begin_array();
    std::size_t written = 0;
    std::string last, next;
    for (target::TargetView& view : views) {
      const std::string name = view.target.name.str();
      if (!after.empty() && name <= after) continue;
      const auto key = document_of(view.target.name);
      if (!key || !allow(call, auth::Verb::kRead, kSystem, *key)) continue;
      if (written == limit) {
        next = last;
        break;
      }
      write_target(out, without_hidden(call, std::move(view)), now);
      last = name;
      ++written;
    }
    out.end_array();
    if (!next.empty()) out.field("next_cursor", next);
  });
}

Reply get_target(Call& call, const RolloutService& rollouts) {
  Query query(call.request);
  ST8_API_TRY(query.finish());
  ST8_API_ASSIGN(const target::TargetName name, target::TargetName::parse(call.parameter("name")));
  ST8_API_ASSIGN(const state::DocumentKey key, document_of(name));
  ST8_API_TRY(allow(call, auth::Verb::kRead, kSystem, key));
  ST8_API_ASSIGN(target::TargetView view, rollouts.target(name));
  std::string body;
  JsonWriter out(body);
  write_target(out, without_hidden(call, std::move(view)), call.context.clock.now());
  return json_response(std::move(body));
}

Reply list_rollouts(Call& call, const RolloutService& rollouts) {
  Query query(call.request);
  target::RolloutQuery wanted;
  wanted.name_space = query.text("namespace");
  wanted.branch = query.text("branch");
  wanted.open_only = query.flag("open").value_or(false);
  const std::size_t limit = list_limit(query.number("limit", kListLimit));
  const std::string after = query.text("after");
  ST8_API_TRY(query.finish());
  if (!wanted.name_space.empty()) {
    ST8_API_ASSIGN(const Where where, api::where_of(wanted.name_space, wanted.branch));
    ST8_API_TRY(allow(call, auth::Verb::kRead, where));
  }
  if (!after.empty()) {
    ST8_API_ASSIGN(const target::RolloutId id, target::RolloutId::parse(after));
    wanted.before = id.value;
  }
  wanted.limit = 1000;
  std::vector<target::RolloutSummary> found;
  std::string next;
  while (true) {
    ST8_API_ASSIGN(target::RolloutPage page, rollouts.list(wanted));
    for (target::RolloutSummary& summary : page.rollouts) {
      if (!sees(call, summary.name_space, summary.branch)) continue;
      if (found.size() == limit) {
        next = found.back().id.str();
        break;
      }
      if (!sees_documents(call)) summary.reason.clear();
      found.push_back(std::move(summary));
    }
    if (!next.empty() || page.next == 0) break;
    wanted.before = page.next;
  }
  return object([&](JsonWriter& out) {
    out.key("rollouts").begin_array();
    for (const target::RolloutSummary& summary : found) {
      out.begin_object();
      write_summary(out, summary);
      out.end_object();
    }
    out.end_array();
    if (!next.empty()) out.field("next_cursor", next);
  });
}

Reply get_rollout(Call& call, const RolloutService& rollouts) {
  Query query(call.request);
  ST8_API_TRY(query.finish());
  ST8_API_ASSIGN(const target::RolloutDetail detail, rollout_of(call, rollouts, auth::Verb::kRead));
  return detail_reply(call, detail);
}

// A rollout's events as they happen, from the one behind `after` (or Last-Event-ID) on.
Reply follow(Call& call, const RolloutService& rollouts, RolloutHub& hub) {
  Query query(call.request);
  std::uint64_t after = query.number("after").value_or(0);
  ST8_API_TRY(query.finish());
  ST8_API_ASSIGN(const target::RolloutId id, target::RolloutId::parse(call.parameter("id")));
  const auto standing = rollouts.summary(id);
  // As rollout_of(): whoever may not see its branch is answered as if it were not there.
  if (!standing || !sees(call, standing->summary.name_space, standing->summary.branch)) {
    if (!standing && standing.error().code != ErrorCode::kNotFound)
      return tl::unexpected<wire::Problem>(wire::Problem(standing.error()));
    return problem(ErrorCode::kNotFound, "there is no rollout " + id.str(), "`st8ctl rollout list` shows them");
  }
  ST8_API_TRY(allow(call, auth::Verb::kRead, where_of(*standing->plan)));
  // What the client has seen last is newer than the address it began with.
  if (const std::string_view seen = call.request.header("last-event-id"); !seen.empty()) {
    const auto parsed = std::from_chars(seen.data(), seen.data() + seen.size(), after);
    if (parsed.ec != std::errc() || parsed.ptr != seen.data() + seen.size()) {
      return problem(ErrorCode::kInvalidArgument,
                     "the Last-Event-ID must be an event's sequence, not \"" + wire::printable(seen, 60) + "\"");
    }
  }
  if (after != 0) {
    ST8_API_ASSIGN(const auto known, rollouts.events(id, after - 1, 1));
    if (known.empty() || known.front().sequence != after) {
      return problem(ErrorCode::kGone, "rollout " + id.str() + " has no event " + std::to_string(after) + " here",
                     "Read the rollout again, and follow it from its last event.");
    }
  }
  ST8_API_ASSIGN(http::Response response, api::event_stream_response(call));
  if (call.request.method == "HEAD") return response;
  response.on_stream = [&hub, request = RolloutHub::Request{id, after, sees_documents(call), call.principal}](
                           std::shared_ptr<http::Channel> channel) { hub.subscribe(request, std::move(channel)); };
  return response;
}

Reply plan(Call& call, const RolloutService& rollouts) {
  Query query(call.request);
  const std::string ns = query.text("namespace");
  const std::string branch = query.text("branch");
  const std::string at = query.text("at");
  ST8_API_TRY(query.finish());
  ST8_API_ASSIGN(const Where where, api::where_of(ns, branch));
  ST8_API_TRY(allow(call, auth::Verb::kRead, where));
  std::optional<state::RevisionNumber> revision;
  if (!at.empty()) {
    ST8_API_ASSIGN(const state::Selector selector, parse_selector(call, at));
    ST8_API_ASSIGN(const state::Revision resolved, resolve_allowed(call, auth::Verb::kRead, where, selector));
    revision = resolved.number;
  }
  ST8_API_ASSIGN(const target::Plan planned, rollouts.plan(where.name_space, where.branch, revision));
  std::string body;
  JsonWriter out(body);
  write_plan(out, planned, sees_documents(call));
  return json_response(std::move(body));
}

// ---- Verbs -----------------------------------------------------------------------------------------------------------

struct ActionBody {
  std::string reason;
  std::string plan;
  std::string name_space;
  std::string key;
  std::string target;
  bool full = false;
};
Result<ActionBody> parse_action(const Call& call, std::initializer_list<std::string_view> takes) {
  ActionBody body;
  if (call.request.body.empty()) return body;
  ST8_ASSIGN(const wire::JsonValue json, wire::parse_json(call.request.body));
  wire::Fields fields(json, "", wire::Fields::Unknown::kRefuse);
  for (const std::string_view name : takes) {
    if (name == "reason") body.reason = fields.text("reason");
    if (name == "plan") body.plan = fields.text("plan");
    if (name == "namespace") body.name_space = fields.text("namespace");
    if (name == "key") body.key = fields.text("key");
    if (name == "target") body.target = fields.text("target");
    if (name == "full") body.full = fields.flag("full").value_or(false);
  }
  ST8_TRY(fields.finish());
  if (body.reason.size() > state::Limits::kMessageBytesMax)
    return fail(ErrorCode::kTooLarge, "the reason is longer than a message may be", "");
  return body;
}

Reply act(Call& call, RolloutService& rollouts) {
  Query query(call.request);
  ST8_API_TRY(query.finish());
  using Kind = target::RolloutAction::Kind;
  static constexpr std::pair<std::string_view, Kind> kVerbs[] = {
      {"pause", Kind::kPause}, {"resume", Kind::kResume},   {"promote", Kind::kPromote}, {"abort", Kind::kAbort},
      {"retry", Kind::kRetry}, {"approve", Kind::kApprove}, {"reject", Kind::kReject}};
  const std::string_view verb = call.parameter("verb");
  const auto* found =
      std::find_if(std::begin(kVerbs), std::end(kVerbs), [&](const auto& one) { return one.first == verb; });
  if (found == std::end(kVerbs)) {
    return problem(ErrorCode::kNotFound, "there is no \"" + std::string(verb.substr(0, 80)) + "\" of a rollout",
                   "there are pause, resume, promote, abort, retry, approve and reject");
  }
  ST8_API_ASSIGN(const target::RolloutDetail detail, rollout_of(call, rollouts, auth::Verb::kWrite));
  target::RolloutAction action{found->second, call.principal->name, "", {}, call.principal->anonymous};
  ST8_API_ASSIGN(const ActionBody body, found->second == Kind::kPromote   ? parse_action(call, {"full", "reason"})
                                        : found->second == Kind::kApprove ? parse_action(call, {"plan", "reason"})
                                                                          : parse_action(call, {"reason"}));
  action.reason = body.reason;
  if (action.kind == Kind::kPromote && body.full) action.kind = Kind::kPromoteFull;
  if (action.kind == Kind::kApprove) {
    const auto hash = Hash::from_hex(body.plan);
    if (!hash)
      return problem(ErrorCode::kInvalidArgument, "an approval names the plan that it is for",
                     "give `plan`: the plan_hash that GET /v1/rollouts/{id} answers");
    action.plan.value = *hash;
  }
  ST8_API_ASSIGN(const target::RolloutSummary summary, rollouts.act(detail.view.summary.id, action));
  return object([&](JsonWriter& out) { write_summary(out, summary); });
}

Checked allow_scope(const Call& call, auth::Verb verb, const std::string& scope) {
  if (scope == "*") {
    const auth::Principal& who = *call.principal;
    if (who.has(verb) && who.all_namespaces() && who.all_branches() && who.all_keys()) return {};
    return tl::unexpected<wire::Problem>(
        problem_of({verb, "*", "", "",
                    "the token of \"" + call.principal->name +
                        "\" does not cover everything, and a freeze without a namespace holds everything"}));
  }
  ST8_API_ASSIGN(const state::NamespaceName name, namespace_of(scope));
  ST8_API_TRY(allow_all_branches(call, verb, name, "a freeze"));
  ST8_API_ASSIGN(const Where whole, api::where_of(scope, ""));
  return allow_all_keys(call, verb, whole, "a freeze");
}

Reply list_freezes(Call& call, const RolloutService& rollouts) {
  Query query(call.request);
  ST8_API_TRY(query.finish());
  return object([&](JsonWriter& out) {
    out.key("freezes").begin_array();
    for (const target::Freeze& freeze : rollouts.freezes()) {
      if (freeze.scope != "*" && !auth::sees_namespace(*call.principal, auth::Verb::kRead, freeze.scope)) continue;
      out.begin_object()
          .field("namespace", freeze.scope)
          .field("actor", freeze.actor)
          .field("reason", freeze.reason)
          .field("since", format_rfc3339(freeze.since))
          .end_object();
    }
    out.end_array();
  });
}

Reply freeze(Call& call, RolloutService& rollouts, bool on) {
  Query query(call.request);
  ST8_API_TRY(query.finish());
  ST8_API_ASSIGN(const ActionBody body,
                 on ? parse_action(call, {"namespace", "reason"}) : parse_action(call, {"namespace"}));
  const std::string scope = body.name_space.empty() ? "*" : body.name_space;
  ST8_API_TRY(allow_scope(call, auth::Verb::kAdmin, scope));
  if (on) {
    ST8_API_TRY(rollouts.freeze(scope, call.principal->name, body.reason));
  } else {
    ST8_API_TRY(rollouts.unfreeze(scope));
  }
  return object([&](JsonWriter& out) { out.field("namespace", scope).field("frozen", on); });
}

Reply list_quarantine(Call& call, const RolloutService& rollouts) {
  Query query(call.request);
  const std::string ns = query.text("namespace");
  query.text("branch");
  const std::size_t limit = list_limit(query.number("limit", kListLimit));
  const std::string after = query.text("after");
  ST8_API_TRY(query.finish());
  if (!ns.empty()) {
    ST8_API_ASSIGN(const state::NamespaceName name, namespace_of(ns));
    ST8_API_TRY(allow(call, auth::Verb::kRead, name));
  }
  return object([&](JsonWriter& out) {
    out.key("quarantine").begin_array();
    // Names and keys hold no control character, so that none of them can be taken for what stands between them.
    const auto cursor = [](const target::Quarantine& one) {
      return one.name_space + '\t' + one.key + '\t' + (one.after ? one.after->hex() : std::string("-"));
    };
    std::vector<target::Quarantine> all = rollouts.quarantined();
    std::sort(all.begin(), all.end(), [&](const auto& a, const auto& b) { return cursor(a) < cursor(b); });
    const auto visible = [&](const target::Quarantine& one) {
      return (ns.empty() || one.name_space == ns) && sees(call, one.name_space, one.branch) &&
             one.key.starts_with(call.principal->allow.key_prefix);
    };
    const std::string next = write_page(all, after, limit, cursor, visible, [&](const target::Quarantine& one) {
      out.begin_object()
          .field("namespace", one.name_space)
          .field("branch", one.branch)
          .field("key", one.key)
          .field("change", one.after ? "write" : "delete");
      if (one.after) out.field("hash", one.after->hex());
      out.field("rollout", one.rollout.str()).field("at", format_rfc3339(one.at));
      if (sees_documents(call)) out.field("reason", one.reason);
      out.key("targets").begin_array();
      for (const target::TargetName& name : *one.targets) out.string(name.str());
      out.end_array().end_object();
    });
    out.end_array();
    if (!next.empty()) out.field("next_cursor", next);
  });
}

Reply release(Call& call, RolloutService& rollouts) {
  Query query(call.request);
  ST8_API_TRY(query.finish());
  ST8_API_ASSIGN(const ActionBody body, parse_action(call, {"namespace", "key"}));
  ST8_API_ASSIGN(const state::NamespaceName name, namespace_of(body.name_space));
  if (body.key.empty())
    return problem(ErrorCode::kInvalidArgument, "nothing to release is named", "give `key`: a key, or a rollout's id");
  // Every branch on which it failed must be the caller's, and the keys too.
  for (const target::Quarantine& one : rollouts.quarantined()) {
    if (one.name_space != name.str() || (one.key != body.key && one.rollout.str() != body.key)) continue;
    ST8_API_ASSIGN(const Where where, api::where_of(one.name_space, one.branch));
    ST8_API_ASSIGN(const state::DocumentKey key, state::DocumentKey::parse(one.key));
    ST8_API_TRY(allow(call, auth::Verb::kWrite, where, key));
  }
  ST8_API_TRY(allow(call, auth::Verb::kWrite, name));
  ST8_API_ASSIGN(const std::size_t released, rollouts.release(name.str(), body.key));
  return object([&](JsonWriter& out) { out.field("released", std::uint64_t{released}); });
}

// As many as one answer waits for: each within kCheckTimeout, a few at once.
constexpr std::size_t kChecksMax = 32;
constexpr std::chrono::seconds kCheckTimeout{5};

Reply check_targets(Call& call, const RolloutService& rollouts) {
  Query query(call.request);
  ST8_API_TRY(query.finish());
  ST8_API_ASSIGN(const wire::JsonValue json, wire::parse_json(call.request.body));
  wire::Fields fields(json, "", wire::Fields::Unknown::kRefuse);
  const std::vector<std::string> texts = fields.texts("targets");
  ST8_API_TRY(fields.finish());
  if (texts.empty())
    return problem(ErrorCode::kInvalidArgument, "no target is named", "give `targets`: a list of names");
  if (texts.size() > kChecksMax)
    return problem(ErrorCode::kInvalidArgument, "more than " + std::to_string(kChecksMax) + " targets are named",
                   "ask for them in parts");
  std::vector<target::TargetName> names;
  for (const std::string& text : texts) {
    ST8_API_ASSIGN(target::TargetName name, target::TargetName::parse(text));
    ST8_API_ASSIGN(const state::DocumentKey key, document_of(name));
    ST8_API_TRY(allow(call, auth::Verb::kWrite, kSystem, key));
    names.push_back(std::move(name));
  }
  ST8_API_ASSIGN(const std::vector<target::TargetCheck> checks, rollouts.check_targets(names, kCheckTimeout));
  return object([&](JsonWriter& out) {
    out.key("checks").begin_array();
    for (const target::TargetCheck& check : checks) {
      out.begin_object()
          .field("target", check.name.str())
          .field("good", check.status.has_value())
          .field("took_ms", static_cast<std::int64_t>(check.took.count()));
      if (!check.status) {
        out.field("problem", check.status.error().message);
        if (!check.status.error().hint.empty()) out.field("hint", check.status.error().hint);
      }
      out.end_object();
    }
    out.end_array();
  });
}

Reply reconcile(Call& call, RolloutService& rollouts) {
  Query query(call.request);
  ST8_API_TRY(query.finish());
  ST8_API_ASSIGN(const ActionBody body, parse_action(call, {"target"}));
  ST8_API_ASSIGN(const target::TargetName name, target::TargetName::parse(body.target));
  ST8_API_ASSIGN(const std::vector<target::LiveEntry> live, rollouts.live({"", "", name.str(), std::nullopt}));
  if (live.empty() || !sees(call, live[0].entry.name_space, live[0].entry.branch)) {
    return problem(ErrorCode::kNotFound, "nothing is live on target " + name.str(), "`st8ctl live` shows what is");
  }
  ST8_API_ASSIGN(const Where where, api::where_of(live[0].entry.name_space, live[0].entry.branch));
  ST8_API_TRY(allow(call, auth::Verb::kWrite, where));
  ST8_API_ASSIGN(const target::TargetHealth found, rollouts.reconcile(name));
  const bool repairs =
      found.state == target::TargetHealth::State::kAltered || found.state == target::TargetHealth::State::kMissing;
  return object([&](JsonWriter& out) {
    out.field("target", name.str()).field("state", target::health_state_name(found.state)).field("repairing", repairs);
  });
}

}  // namespace

void write_plan(JsonWriter& out, const target::Plan& plan, bool documents) {
  out.begin_object()
      .field("namespace", plan.name_space.str())
      .field("branch", plan.branch.str())
      .field("revision", plan.revision.value)
      .field("promoted_revision", plan.promoted.value)
      .field("hash", plan.hash.value.hex())
      .field("strategy",
             plan.fast_path ? std::string_view("parallel") : target::strategy_name(plan.policy.strategy.kind))
      .field("fast_path", plan.fast_path)
      .field("needs_approval", plan.needs_approval)
      .field("noop", plan.noop());
  time_field(out, "created_at", plan.created_at);
  time_field(out, "expires_at", plan.expires_at);
  out.key("reasons").begin_array();
  for (const std::string& reason : plan.reasons) out.string(reason);
  out.end_array();
  out.key("risk").begin_object().field("score", plan.risk.score).key("factors").begin_array();
  for (const target::RiskFactor& factor : plan.risk.factors) {
    out.begin_object()
        .field("name", factor.name)
        .field("weight", factor.weight)
        .field("value", factor.value)
        .field("because", factor.because)
        .end_object();
  }
  out.end_array().end_object();
  out.key("waves").begin_array();
  for (const target::Wave& wave : plan.waves) {
    out.begin_object()
        .field("label", wave.label)
        .field("weight", std::uint64_t{wave.weight})
        .key("targets")
        .begin_array();
    for (const std::uint32_t index : wave.targets) out.string(plan.targets[index].target.name.str());
    out.end_array().key("gates").begin_array();
    for (const target::Gate& gate : wave.gates) {
      out.begin_object().field("kind", target::gate_kind_name(gate.kind));
      if (gate.kind == target::Gate::Kind::kAnalysis)
        out.field("name", plan.policy.strategy.analyses[gate.analysis].reading.name);
      if (gate.kind != target::Gate::Kind::kPause) out.field("duration", target::format_duration(gate.duration));
      out.end_object();
    }
    out.end_array().end_object();
  }
  out.end_array();
  out.key("operations").begin_array();
  for (const target::PlannedOp& op : plan.ops) {
    out.begin_object().field("kind", target::op_kind_name(op.kind));
    if (op.kind == target::OpKind::kStep) out.field("name", plan.policy.steps[op.index].name);
    if (op.kind == target::OpKind::kHealth) out.field("name", plan.policy.health[op.index].name);
    out.end_object();
  }
  out.end_array();
  out.key("targets").begin_array();
  for (const target::PlannedTarget& one : plan.targets) {
    out.begin_object()
        .field("name", one.target.name.str())
        .field("wave", std::uint64_t{one.switch_wave})
        .field("reason", one.reason)
        .field("content", plan.contents[one.content].hash.hex())
        .field("from_revision", one.from_revision.value)
        .field("from_content", one.from ? one.from->hex() : std::string());
    if (documents) {
      out.key("diff").begin_array();
      for (const target::FileChange& change : plan.diffs[one.diff]) {
        out.begin_object().field("path", change.path).field("type", state::change_type_name(change.type)).end_object();
      }
      out.end_array();
    }
    out.end_object();
  }
  out.end_array();
  out.key("untouched").begin_array();
  for (const target::UntouchedTarget& one : plan.untouched)
    out.begin_object().field("name", one.name.str()).field("reason", one.reason).end_object();
  out.end_array().end_object();
}

std::string rollout_event_json(const target::Plan& plan, const target::RolloutEvent& event, bool documents) {
  std::string json;
  JsonWriter out(json);
  write_event(out, plan, event, documents);
  return json;
}

std::string rollout_summary_json(const target::RolloutSummary& summary, bool documents) {
  target::RolloutSummary told = summary;
  if (!documents) told.reason.clear();
  std::string json;
  JsonWriter out(json);
  out.begin_object();
  write_summary(out, told);
  out.end_object();
  return json;
}

void write_rollout_status(const Call& call, const RolloutService& rollouts, JsonWriter& out) {
  using target::RolloutPhase;
  std::map<RolloutPhase, std::uint64_t> phases;
  target::RolloutQuery open;
  open.open_only = true;
  open.limit = 1000;
  do {
    const auto page = rollouts.list(open);
    if (!page) break;
    for (const target::RolloutSummary& one : page->rollouts) {
      if (sees(call, one.name_space, one.branch)) ++phases[one.phase];
    }
    open.before = page->next;
  } while (open.before != 0);
  const RolloutService::Live now = rollouts.live_now({});
  std::uint64_t stuck = 0, live = 0, drifted = 0, unreachable = 0, quarantined = 0, freezes = 0;
  for (const RolloutService::BranchEntry& branch : now.branches)
    stuck += !branch.status.problem.empty() && sees(call, branch.name_space, branch.branch) ? 1 : 0;
  for (const target::LiveEntry& entry : now.targets) {
    if (!sees(call, entry.entry.name_space, entry.entry.branch)) continue;
    ++live;
    drifted += entry.state == "altered" || entry.state == "missing" ? 1 : 0;
    unreachable += entry.state == "unreachable" ? 1 : 0;
  }
  for (const target::Quarantine& one : rollouts.quarantined())
    quarantined +=
        sees(call, one.name_space, one.branch) && one.key.starts_with(call.principal->allow.key_prefix) ? 1 : 0;
  for (const target::Freeze& freeze : rollouts.freezes())
    freezes += freeze.scope == "*" || auth::sees_namespace(*call.principal, auth::Verb::kRead, freeze.scope) ? 1 : 0;
  out.key("rollouts")
      .begin_object()
      .field("pending", phases[RolloutPhase::kPending])
      .field("running", phases[RolloutPhase::kRunning])
      .field("paused", phases[RolloutPhase::kPaused])
      .field("incomplete", phases[RolloutPhase::kIncomplete])
      .field("rolling_back", phases[RolloutPhase::kRollingBack])
      .field("branches_stuck", stuck)
      .end_object();
  out.key("targets")
      .begin_object()
      .field("live", live)
      .field("drifted", drifted)
      .field("unreachable", unreachable)
      .end_object();
  out.field("freezes", freezes).field("quarantined", quarantined);
}

void add_rollout_routes(Router& router, target::RolloutService& rollouts, RolloutHub& hub) {
  const auto with = [&rollouts](auto handler) -> HandlerFunction {
    return [&rollouts, handler](Call& call) { return handler(call, rollouts); };
  };
  router.add({"GET", "/v1/live", Access::kRead, BodyKind::kNone, "live", with(live)});
  router.add({"GET", "/v1/targets", Access::kRead, BodyKind::kNone, "targets", with(list_targets)});
  router.add({"GET", "/v1/targets/{name}", Access::kRead, BodyKind::kNone, "targets", with(get_target)});
  router.add({"POST", "/v1/target-checks", Access::kWrite, BodyKind::kJson, "target-checks", with(check_targets)});
  router.add({"GET", "/v1/rollouts", Access::kRead, BodyKind::kNone, "rollouts", with(list_rollouts)});
  router.add({"GET", "/v1/rollouts/{id}", Access::kRead, BodyKind::kNone, "rollouts", with(get_rollout)});
  router.add({"GET", "/v1/rollouts/{id}/events", Access::kRead, BodyKind::kNone, "rollout-events",
              [&rollouts, &hub](Call& call) { return follow(call, rollouts, hub); }});
  router.add({"POST", "/v1/rollouts/{id}/{verb}", Access::kWrite, BodyKind::kJson, "rollout", with(act)});
  router.add({"GET", "/v1/plan", Access::kRead, BodyKind::kNone, "plan", with(plan)});
  add_policy_routes(router, rollouts);
  router.add({"GET", "/v1/drift", Access::kRead, BodyKind::kNone, "drift", with(drift)});
  router.add({"POST", "/v1/reconcile", Access::kWrite, BodyKind::kJson, "reconcile", with(reconcile)});
  router.add({"GET", "/v1/freezes", Access::kAnyToken, BodyKind::kNone, "freezes", with(list_freezes)});
  router.add({"POST", "/v1/freeze", Access::kAdmin, BodyKind::kJson, "freeze",
              with([](Call& call, RolloutService& service) { return freeze(call, service, true); })});
  router.add({"POST", "/v1/unfreeze", Access::kAdmin, BodyKind::kJson, "unfreeze",
              with([](Call& call, RolloutService& service) { return freeze(call, service, false); })});
  router.add({"GET", "/v1/quarantine", Access::kRead, BodyKind::kNone, "quarantine", with(list_quarantine)});
  router.add({"POST", "/v1/quarantine/release", Access::kWrite, BodyKind::kJson, "quarantine", with(release)});
}

}  // namespace st8::api
