// GET /v1/log, /v1/revisions/{selector...}, /v1/history/{key...}.
#include <algorithm>

#include "api/access.h"
#include "api/content.h"
#include "api/handlers.h"
#include "wire/text.h"

namespace st8::api {
namespace {

constexpr std::size_t kLogLimit = 20;
constexpr std::size_t kLogLimitMax = 1000;

// Puts a revision's changes into its entry, as far as the caller may see them.
Status add_changes(Call& call, const state::NamespaceName& ns, const state::Revision& revision, ContentReader& reader,
                   ChangesMode mode, wire::LogEntryBody& entry) {
  const std::optional<std::string> prefix = auth::narrowed_prefix(*call.principal, "");
  // A count over keys that the caller may not see is not told.
  if (!call.principal->all_keys()) entry.change_count.reset();
  if (mode == ChangesMode::kNone && call.principal->all_keys()) return {};
  if (revision.number.is_root()) {
    entry.has_changes = mode != ChangesMode::kNone;
    return {};
  }
  Result<state::ChangePage> page =
      call.store().changes(ns, revision.number, state::DiffQuery{*prefix, "", kChangesPerLogEntryMax});
  if (!page) {
    if (page.error().code != ErrorCode::kGone) return fail(std::move(page).error());
    // gc has dropped what they are told from: this revision's documents, or its parent's.
    entry.has_changes = entry.changes_truncated = mode != ChangesMode::kNone;
    return {};
  }
  if (!call.principal->all_keys() && !page->more) entry.change_count = page->changes.size();
  if (mode == ChangesMode::kNone) return {};
  entry.has_changes = true;
  ST8_ASSIGN(entry.changes, reader.changes(page->changes, mode));
  entry.changes_truncated = page->more || reader.left_out();
  return {};
}

Outcome<std::optional<Timestamp>> time_of(Call& call, std::string_view name, const std::string& text) {
  if (text.empty()) return std::optional<Timestamp>();
  const Result<state::Selector> selector = parse_selector(call, text);
  if (selector && selector->ancestors == 0) {
    if (const auto* time = std::get_if<state::Selector::ByTime>(&selector->base);
        time != nullptr && time->branch.empty()) {
      return std::optional<Timestamp>(time->time);
    }
  }
  return problem(
      ErrorCode::kInvalidArgument,
      "the parameter \"" + std::string(name) + "\" must be a time, not \"" + wire::printable(text, 60) + "\"",
      "For example 2026-11-21T10:00:00Z, 2026-11-21 or 3d-ago.");
}

Outcome<std::optional<state::Cause>> cause_of(const std::string& text) {
  if (text.empty()) return std::optional<state::Cause>();
  std::vector<std::string_view> names;
  for (int i = 0; i <= static_cast<int>(state::Cause::kImport); ++i) {
    const auto cause = static_cast<state::Cause>(i);
    names.push_back(state::cause_name(cause));
    if (names.back() == text) return std::optional<state::Cause>(cause);
  }
  std::string hint = "The causes are";
  for (std::size_t i = 0; i < names.size(); ++i) hint += (i == 0 ? " " : ", ") + std::string(names[i]);
  return problem(ErrorCode::kInvalidArgument, "\"" + wire::printable(text, 60) + "\" is not a cause", hint + ".");
}

Reply log(Call& call) {
  Query query(call.request);
  const std::string ns = query.text("namespace"), branch = query.text("branch");
  const std::optional<std::uint64_t> limit = query.number("limit", kLogLimitMax);
  const std::optional<std::uint64_t> after = query.number("after");
  const std::string from = query.text("from"), key = query.text("key");
  state::LogQuery wanted;
  wanted.author = query.text("author");
  wanted.message_contains = query.text("grep");
  const std::string since = query.text("since"), until = query.text("until"), cause = query.text("cause");
  const ChangesMode mode = changes_mode(query);
  ST8_API_TRY(query.finish());
  ST8_API_ASSIGN(const Where where, where_of(ns, branch));
  ST8_API_TRY(allow(call, auth::Verb::kRead, where));
  wanted.from = state::Selector::head();
  if (!from.empty()) {
    ST8_API_ASSIGN(wanted.from, parse_selector(call, from));
  }
  if (after && *after != 0) wanted.after = state::RevisionNumber{*after};
  wanted.limit = limit && *limit != 0 ? static_cast<std::size_t>(*limit) : kLogLimit;
  if (!key.empty()) {
    ST8_API_ASSIGN(state::DocumentKey parsed, state::DocumentKey::parse(key));
    ST8_API_TRY(allow(call, auth::Verb::kRead, where, parsed));
    wanted.key = std::move(parsed);
  }
  ST8_API_ASSIGN(wanted.since, time_of(call, "since", since));
  ST8_API_ASSIGN(wanted.until, time_of(call, "until", until));
  ST8_API_ASSIGN(wanted.cause, cause_of(cause));

  ST8_API_ASSIGN(const state::Revision newest, resolve_allowed(call, auth::Verb::kRead, where, wanted.from));
  wire::LogPageBody body;
  if (!newest.number.is_root()) {
    if (!from.empty()) wanted.from = state::Selector::of(newest.number);
    ST8_API_ASSIGN(const state::LogPage page, call.store().log(where.name_space, where.branch, wanted));
    ContentReader reader(call.store(), where.name_space);
    for (const state::Revision& revision : page.revisions) {
      // A page is cut where its contents are enough, and goes on from there.
      if (reader.full() && !body.entries.empty()) {
        body.next_cursor = body.entries.back().id;
        break;
      }
      wire::LogEntryBody entry = log_entry_body(revision);
      ST8_API_TRY(add_changes(call, where.name_space, revision, reader, mode, entry));
      body.entries.push_back(std::move(entry));
    }
    if (body.next_cursor == 0 && page.next) body.next_cursor = page.next->value;
  }
  http::Response response = json_response(wire::to_json(body));
  set_revision(response, newest.number);
  return response;
}

Reply revision(Call& call) {
  Query query(call.request);
  const std::string ns = query.text("namespace"), branch = query.text("branch");
  const ChangesMode mode = changes_mode(query);
  ST8_API_TRY(query.finish());
  ST8_API_ASSIGN(const Where where, where_of(ns, branch));
  ST8_API_TRY(allow(call, auth::Verb::kRead, where));
  const std::string_view text = call.parameter("selector");
  if (text.empty())
    return problem(ErrorCode::kInvalidArgument, "the path does not name a revision", "For example /v1/revisions/12.");
  ST8_API_ASSIGN(const state::Selector selector, parse_selector(call, text));
  ST8_API_ASSIGN(const state::Revision found, resolve_allowed(call, auth::Verb::kRead, where, selector));
  wire::LogEntryBody entry = log_entry_body(found);
  ContentReader reader(call.store(), where.name_space);
  ST8_API_TRY(add_changes(call, where.name_space, found, reader, mode, entry));
  http::Response response = json_response(wire::to_json(entry));
  set_revision(response, found.number);
  return response;
}

Reply history(Call& call) {
  Query query(call.request);
  const std::string ns = query.text("namespace"), branch = query.text("branch");
  const std::optional<std::uint64_t> limit = query.number("limit", kLogLimitMax);
  const std::optional<std::uint64_t> after = query.number("after");
  const ChangesMode mode = changes_mode(query);
  ST8_API_TRY(query.finish());
  ST8_API_ASSIGN(const Where where, where_of(ns, branch));
  ST8_API_ASSIGN(const state::DocumentKey key, state::DocumentKey::parse(call.parameter("key")));
  ST8_API_TRY(allow(call, auth::Verb::kRead, where, key));
  ST8_API_ASSIGN(
      const state::KeyHistoryPage page,
      call.store().key_history(where.name_space, where.branch, key,
                               after && *after != 0 ? std::optional(state::RevisionNumber{*after}) : std::nullopt,
                               limit && *limit != 0 ? static_cast<std::size_t>(*limit) : kLogLimit));
  wire::HistoryPageBody body;
  ContentReader reader(call.store(), where.name_space);
  for (const state::KeyVersion& version : page.versions) {
    if (reader.full() && !body.versions.empty()) {
      body.next_cursor = body.versions.back().revision.id;
      break;
    }
    wire::KeyVersionBody item;
    item.revision = log_entry_body(version.revision);
    if (!call.principal->all_keys()) item.revision.change_count.reset();
    // What the change was stands even with changes=none: it is what was asked for.
    ST8_API_ASSIGN(item.change,
                   reader.change(version.change, mode == ChangesMode::kFull ? ChangesMode::kFull : ChangesMode::kKeys));
    body.versions.push_back(std::move(item));
  }
  if (body.next_cursor == 0 && page.next) body.next_cursor = page.next->value;
  return json_response(wire::to_json(body));
}

}  // namespace

void add_history_routes(Router& router) {
  router.add({"GET", "/v1/log", Access::kRead, BodyKind::kNone, "log", log});
  router.add({"GET", "/v1/revisions/{selector...}", Access::kRead, BodyKind::kNone, "revision", revision});
  router.add({"GET", "/v1/history/{key...}", Access::kRead, BodyKind::kNone, "history", history});
}

}  // namespace st8::api
