// POST /v1/diff: between a state and documents that are not applied, or between two states.
#include <algorithm>
#include <map>

#include "api/access.h"
#include "api/content.h"
#include "api/handlers.h"
#include "wire/text.h"

namespace st8::api {
namespace {

// A diff with no more bytes of contents than this keeps what it has read: whoever was shown it is likely to page back, to look
// again, or to apply or take back what it shows. The contents that are kept for being written lately have twice as much room at least.
constexpr std::size_t kKeptBytesMax = 2u << 20;

// A page of changes: cut by count, and by bytes of contents.
struct Page {
  std::vector<wire::ChangeBody> changes;
  std::vector<std::string> rendered;  // Or these, so many.
  std::size_t count = 0;
  std::string next;
};

Reply answer(Call& call, std::uint64_t from, std::uint64_t to, Page page) {
  wire::DiffResultBody body;
  body.from_revision = from;
  body.to_revision = to;
  call.changed_documents = page.changes.size() + page.count;
  body.changes = std::move(page.changes);
  body.rendered_changes = std::move(page.rendered);
  body.next_cursor = std::move(page.next);
  std::vector<std::string> parts = wire::to_json_parts(std::move(body));
  http::Response response = json_response(std::move(parts.front()));
  parts.erase(parts.begin());
  response.more_body = std::move(parts);
  set_revision(response, state::RevisionNumber{from});
  return response;
}

// What applying the documents to `view` would change.
Reply with_documents(Call& call, const Where& where, const state::View& view, wire::DiffBody body, ChangesMode mode) {
  std::map<state::DocumentKey, std::optional<std::string>> wanted;  // nullopt: deleted.
  for (wire::DocumentBody& document : body.documents) {
    ST8_API_ASSIGN(state::DocumentKey key, state::DocumentKey::parse(document.key));
    ST8_API_TRY(allow(call, auth::Verb::kRead, where, key));
    if (!wanted.emplace(key, std::move(document.content)).second) {
      return problem(ErrorCode::kInvalidArgument, "the key \"" + key.str() + "\" stands twice in `documents`");
    }
  }
  for (const std::string& text : body.unset) {
    ST8_API_ASSIGN(state::DocumentKey key, state::DocumentKey::parse(text));
    ST8_API_TRY(allow(call, auth::Verb::kRead, where, key));
    if (!wanted.emplace(key, std::nullopt).second) {
      return problem(ErrorCode::kInvalidArgument, "the key \"" + key.str() + "\" stands twice in the request");
    }
  }
  if (body.prune) {
    const std::optional<std::string> visible = auth::narrowed_prefix(*call.principal, *body.prune);
    if (visible) {
      ST8_API_TRY(view.for_each(*visible, [&](const state::Entry& entry) {
        wanted.emplace(entry.key, std::nullopt);
        return true;
      }));
    }
  }
  const std::uint64_t limit = body.limit == 0 ? kChangesMax : body.limit;
  const std::string revision = std::to_string(view.revision().value);
  Page page;
  std::size_t bytes = 0;
  for (auto& [key, content] : wanted) {
    if (!key.view().starts_with(body.prefix) || (!body.after.empty() && key.view() <= body.after)) continue;
    ST8_API_ASSIGN(const std::optional<state::DocumentRef> before, view.find(key));
    if (!before && !content) continue;
    const std::optional<Hash> after_hash = content ? std::optional<Hash>(Hash::of(*content)) : std::nullopt;
    if (before && after_hash && before->hash == *after_hash) continue;
    if (page.changes.size() >= limit || bytes >= kContentBytesMax) {
      page.next = page.changes.back().key;
      break;
    }
    wire::ChangeBody change;
    change.key = key.str();
    change.type = std::string(state::change_type_name(!before    ? state::ChangeType::kCreate
                                                      : !content ? state::ChangeType::kDelete
                                                                 : state::ChangeType::kUpdate));
    if (before) {
      change.before_hash = before->hash.hex();
      if (mode == ChangesMode::kFull) {
        ST8_API_ASSIGN(change.before, view.read(key, *before));
        bytes += change.before->size();
      }
    }
    if (content) {
      change.after_hash = after_hash->hex();
      bytes += content->size();
      if (mode == ChangesMode::kFull) change.after = std::move(*content);
    }
    page.changes.push_back(std::move(change));
  }
  return answer(call, view.revision().value, view.revision().value, std::move(page));
}

Reply between(Call& call, const Where& where, const state::View& from, const state::View& to,
              const wire::DiffBody& body, ChangesMode mode) {
  Page page;
  const std::optional<std::string> visible = auth::narrowed_prefix(*call.principal, body.prefix);
  if (visible) {
    const std::size_t limit =
        body.limit == 0 ? kChangesMax : static_cast<std::size_t>(std::min<std::uint64_t>(body.limit, kChangesMax));
    const auto in_parts = [&](std::size_t parts, const std::function<void(std::size_t)>& work) {
      call.context.helpers->run(parts, work);
    };
    ST8_API_ASSIGN(const state::ChangePage found,
                   from.diff(to, state::DiffQuery{*visible, body.after, limit, in_parts}));
    page.count = mode == ChangesMode::kFull ? changes_that_fit(found.changes) : found.changes.size();
    const std::size_t with_contents = mode == ChangesMode::kFull ? page.count : 0;
    ContentReader reader(call.store(), where.name_space);
    if (content_bytes(found.changes, with_contents) <= kKeptBytesMax) reader.keep();
    ST8_API_ASSIGN(page.rendered,
                   render_changes(*call.context.helpers, reader, found.changes, page.count, with_contents));
    if (page.count > 0 && (page.count < found.changes.size() || found.more))
      page.next = found.changes[page.count - 1].key.str();
  }
  return answer(call, from.revision().value, to.revision().value, std::move(page));
}

Reply diff(Call& call) {
  Query query(call.request);
  const ChangesMode mode = changes_mode(query);
  ST8_API_TRY(query.finish());
  ST8_API_ASSIGN(wire::DiffBody body, wire::parse_diff(call.request.body));
  ST8_API_ASSIGN(const Where where, where_of(body.scope));
  ST8_API_TRY(allow(call, auth::Verb::kRead, where));
  const SelectorFields fields{body.revision_id, body.checkpoint_name, body.at};
  const bool documents = !body.documents.empty() || !body.unset.empty() || body.prune;
  if ((!body.from.empty() || !body.to.empty()) && (documents || fields.given())) {
    return problem(ErrorCode::kInvalidArgument, "the diff says in two ways what to compare",
                   "Give `from` and `to`, or documents with at most one of `revision_id`, `checkpoint_name` and `at`.");
  }
  ST8_API_ASSIGN(const state::Selector selector, selector_of(call, fields));
  if (documents) {
    ST8_API_ASSIGN(const state::View view, view_allowed(call, auth::Verb::kRead, where, selector));
    return with_documents(call, where, view, std::move(body), mode);
  }
  // Without documents, from the head (or `from`) to the state that was named.
  state::Selector from = state::Selector::head(), to = selector;
  if (!body.from.empty()) {
    ST8_API_ASSIGN(from, parse_selector(call, body.from));
  }
  if (!body.to.empty()) {
    ST8_API_ASSIGN(to, parse_selector(call, body.to));
  }
  ST8_API_ASSIGN(const state::View from_view, view_allowed(call, auth::Verb::kRead, where, from));
  ST8_API_ASSIGN(const state::View to_view, view_allowed(call, auth::Verb::kRead, where, to));
  return between(call, where, from_view, to_view, body, mode);
}

}  // namespace

void add_diff_routes(Router& router) { router.add({"POST", "/v1/diff", Access::kRead, BodyKind::kJson, "diff", diff}); }

}  // namespace st8::api
