// GET /v1/state, POST /v1/state/batch, GET /v1/resolve.
#include <algorithm>
#include <map>

#include "api/access.h"
#include "api/content.h"
#include "api/handlers.h"
#include "wire/json.h"
#include "wire/text.h"

namespace st8::api {
namespace {

constexpr std::size_t kPageEntries = 1000;
constexpr std::size_t kChunkBytes = 256u << 10;
constexpr std::size_t kBatchKeysMax = 10'000;
constexpr std::size_t kBatchBytesMax = 64u << 20;

// Writes a state as JSON, a chunk at a time, so that memory does not grow with the state. Documents that are not UTF-8 come behind
// the others, so their keys are remembered and their contents read again.
class StateStream {
 public:
  StateStream(state::View view, std::string prefix, std::string after, std::optional<std::size_t> limit, bool values)
      : view_(std::move(view)), prefix_(std::move(prefix)), after_(std::move(after)), left_(limit), values_(values) {}

  void nothing_visible() { phase_ = Phase::kNothing; }

  // The next bytes; empty at the end.
  Result<std::string> next() {
    std::string out;
    while (out.size() < kChunkBytes && phase_ != Phase::kEnd) ST8_TRY(step(out));
    return out;
  }
  bool ended() const { return phase_ == Phase::kEnd; }

 private:
  enum class Phase : std::uint8_t { kNothing, kStart, kEntries, kBinary, kLast, kEnd };

  Status step(std::string& text) {
    wire::JsonWriter out(text);
    switch (phase_) {
      case Phase::kNothing:
        text += "{\"revision\":" + std::to_string(view_.revision().value) +
                (values_ ? ",\"objects\":{}}" : ",\"objects\":{},\"keys\":[]}");
        phase_ = Phase::kEnd;
        return {};
      case Phase::kStart:
        text += "{\"revision\":" + std::to_string(view_.revision().value);
        text += values_ ? ",\"objects\":{" : ",\"objects\":{},\"keys\":[";
        phase_ = Phase::kEntries;
        return {};
      case Phase::kEntries:
        return entries(text);
      case Phase::kBinary: {
        if (binary_at_ == binary_.size()) {
          text += "}";
          phase_ = Phase::kLast;
          return {};
        }
        text += binary_at_ == 0 ? ",\"objects_base64\":{" : ",";
        const state::Entry& entry = binary_[binary_at_++];
        ST8_ASSIGN(const std::string content, view_.read(entry.key, entry.ref));
        out.field(entry.key.str(), wire::base64_encode(content));
        return {};
      }
      case Phase::kLast:
        if (more_) {
          text += ",\"next_cursor\":";
          out.string(after_);
        }
        text += "}";
        phase_ = Phase::kEnd;
        return {};
      case Phase::kEnd:
        return {};
    }
    return {};
  }

  Status entries(std::string& text) {
    state::ListQuery query;
    query.prefix = prefix_;
    query.after = after_;
    query.limit = left_ ? std::min(*left_, kPageEntries) : kPageEntries;
    // Large documents: fewer at a time, as a step is held in memory.
    query.limit = std::min(query.limit, std::max<std::size_t>(1, step_entries_));
    ST8_ASSIGN(const state::EntryPage page, view_.list(query));
    const std::size_t begun = text.size();
    for (const state::Entry& entry : page.entries) {
      if (values_) {
        ST8_ASSIGN(const std::string content, view_.read(entry.key, entry.ref));
        if (!wire::is_utf8(content)) {
          binary_.push_back(entry);
        } else {
          if (any_) text += ',';
          any_ = true;
          wire::JsonWriter(text).field(entry.key.str(), content);
        }
      } else {
        if (any_) text += ',';
        any_ = true;
        wire::JsonWriter(text)
            .begin_object()
            .field("key", entry.key.str())
            .field("hash", entry.ref.hash.hex())
            .field("size", entry.ref.size)
            .end_object();
      }
    }
    if (!page.entries.empty()) {
      after_ = page.entries.back().key.str();
      const std::size_t each = (text.size() - begun) / page.entries.size() + 1;
      step_entries_ = kChunkBytes / each;
    }
    more_ = page.more;
    if (left_) *left_ -= std::min(*left_, page.entries.size());
    if (!page.more || (left_ && *left_ == 0)) {
      text += values_ ? "}" : "]";
      more_ = page.more;
      phase_ = binary_.empty() ? Phase::kLast : Phase::kBinary;
    }
    return {};
  }

  state::View view_;
  std::string prefix_;
  std::string after_;
  std::optional<std::size_t> left_;
  bool values_;
  Phase phase_ = Phase::kStart;
  bool any_ = false;
  bool more_ = false;
  std::size_t step_entries_ = 64;
  std::vector<state::Entry> binary_;
  std::size_t binary_at_ = 0;
};

std::string state_etag(const state::View& view) {
  return "\"r" + std::to_string(view.revision().value) + "-" + view.root().hash.hex().substr(0, 16) + "\"";
}

Reply get_state(Call& call) {
  Query query(call.request);
  const std::string ns = query.text("namespace"), branch = query.text("branch");
  const SelectorFields fields{query.number("revision").value_or(0), query.text("checkpoint"), query.text("at")};
  const std::string prefix = query.text("prefix"), after = query.text("after");
  const std::optional<std::uint64_t> limit = query.number("limit", 100'000);
  const bool values = query.flag("values").value_or(true);
  ST8_API_TRY(query.finish());
  ST8_API_ASSIGN(const Where where, where_of(ns, branch));
  ST8_API_TRY(allow(call, auth::Verb::kRead, where));
  ST8_API_ASSIGN(const state::Selector selector, selector_of(call, fields));
  ST8_API_ASSIGN(state::View view, view_allowed(call, auth::Verb::kRead, where, selector));

  http::Response response;
  response.set_header("Content-Type", "application/json");
  set_revision(response, view.revision());
  const std::string etag = state_etag(view);
  response.set_header("ETag", etag);
  if (const std::string_view known = call.request.header("if-none-match"); !known.empty() && etag_listed(known, etag))
    return response;

  const std::optional<std::string> visible = auth::narrowed_prefix(*call.principal, prefix);
  auto stream =
      std::make_shared<StateStream>(std::move(view), visible.value_or(""), after,
                                    limit && *limit != 0 ? std::optional<std::size_t>(*limit) : std::nullopt, values);
  if (!visible) stream->nothing_visible();
  ST8_API_ASSIGN(std::string first, stream->next());
  if (stream->ended() || call.request.method == "HEAD") {
    response.body = std::move(first);
    return response;
  }
  auto begun = std::make_shared<std::string>(std::move(first));
  response.body_source = [stream, begun]() -> Result<std::string> {
    if (!begun->empty()) return std::exchange(*begun, std::string());
    return stream->next();
  };
  return response;
}

Reply batch(Call& call) {
  Query query(call.request);
  ST8_API_TRY(query.finish());
  ST8_API_ASSIGN(const wire::StateBatchBody body, wire::parse_state_batch(call.request.body));
  ST8_API_ASSIGN(const Where where, where_of(body.scope));
  ST8_API_TRY(allow(call, auth::Verb::kRead, where));
  if (body.keys.empty())
    return problem(ErrorCode::kInvalidArgument, "a batch read needs at least one key", "Give `keys`.");
  if (body.keys.size() > kBatchKeysMax) {
    return problem(ErrorCode::kTooLarge, "one batch reads at most " + std::to_string(kBatchKeysMax) + " keys",
                   "Send it in several requests.");
  }
  std::vector<state::DocumentKey> keys;
  keys.reserve(body.keys.size());
  for (const std::string& text : body.keys) {
    ST8_API_ASSIGN(state::DocumentKey key, state::DocumentKey::parse(text));
    ST8_API_TRY(allow(call, auth::Verb::kRead, where, key));
    keys.push_back(std::move(key));
  }
  std::sort(keys.begin(), keys.end());
  keys.erase(std::unique(keys.begin(), keys.end()), keys.end());
  ST8_API_ASSIGN(const state::Selector selector, selector_of(call, {body.revision_id, body.checkpoint_name, body.at}));
  ST8_API_ASSIGN(const state::View view, view_allowed(call, auth::Verb::kRead, where, selector));

  std::string text, encoded, missing;
  wire::JsonWriter out(text), encoded_out(encoded), missing_out(missing);
  out.begin_object().field("revision", view.revision().value).key("objects").begin_object();
  encoded_out.begin_object();
  missing_out.begin_array();
  bool any_encoded = false;
  for (const state::DocumentKey& key : keys) {
    ST8_API_ASSIGN(const std::optional<std::string> content, view.get(key));
    if (!content) {
      missing_out.string(key.str());
    } else if (wire::is_utf8(*content)) {
      out.field(key.str(), *content);
    } else {
      any_encoded = true;
      encoded_out.field(key.str(), wire::base64_encode(*content));
    }
    if (text.size() + encoded.size() > kBatchBytesMax) {
      return problem(ErrorCode::kTooLarge, "the documents asked for have more than 64 MiB",
                     "Ask for fewer keys, or page through GET /v1/state.");
    }
  }
  out.end_object();
  encoded_out.end_object();
  missing_out.end_array();
  if (any_encoded) out.key("objects_base64").raw(encoded);
  out.key("missing").raw(missing);
  out.end_object();
  http::Response response = json_response(std::move(text));
  set_revision(response, view.revision());
  return response;
}

Reply resolve(Call& call) {
  Query query(call.request);
  const std::string ns = query.text("namespace"), branch = query.text("branch");
  const SelectorFields fields{query.number("revision").value_or(0), query.text("checkpoint"), query.text("at")};
  ST8_API_TRY(query.finish());
  ST8_API_ASSIGN(const Where where, where_of(ns, branch));
  ST8_API_TRY(allow(call, auth::Verb::kRead, where));
  ST8_API_ASSIGN(const state::Selector selector, selector_of(call, fields));
  ST8_API_ASSIGN(const state::Revision revision, resolve_allowed(call, auth::Verb::kRead, where, selector));
  wire::ResolveBody body;
  body.revision = revision.number.value;
  body.hash = revision.hash.hex();
  body.branch = revision.branch;
  body.created_at = format_rfc3339(revision.created_at);
  http::Response response = json_response(wire::to_json(body));
  set_revision(response, revision.number);
  return response;
}

}  // namespace

void add_state_routes(Router& router) {
  router.add({"GET", "/v1/state", Access::kRead, BodyKind::kNone, "get", get_state});
  router.add({"POST", "/v1/state/batch", Access::kRead, BodyKind::kJson, "batch_get", batch});
  router.add({"GET", "/v1/resolve", Access::kRead, BodyKind::kNone, "resolve", resolve});
}

}  // namespace st8::api
