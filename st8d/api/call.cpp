#include "api/call.h"

#include <algorithm>
#include <charconv>

#include "wire/text.h"

namespace st8::api {

std::string_view Call::parameter(std::string_view name) const {
  for (const auto& [key, value] : parameters) {
    if (key == name) return value;
  }
  return {};
}

// ---- The query --------------------------------------------------------------------------------------------------------

void Query::refuse(std::string message, std::string hint) {
  if (!error_) error_ = Error{ErrorCode::kInvalidArgument, std::move(message), std::move(hint)};
}

std::optional<std::string_view> Query::take(std::string_view name) {
  known_.push_back(name);
  if (error_) return std::nullopt;
  const std::optional<std::string_view> value = request_.query_value(name);
  if (!value || value->empty()) return std::nullopt;
  return value;
}

std::string Query::text(std::string_view name) { return std::string(take(name).value_or("")); }

std::optional<std::uint64_t> Query::number(std::string_view name, std::uint64_t max) {
  const std::optional<std::string_view> given = take(name);
  if (!given) return std::nullopt;
  std::uint64_t value = 0;
  const char* const end = given->data() + given->size();
  const auto parsed = std::from_chars(given->data(), end, value);
  if (parsed.ec != std::errc() || parsed.ptr != end || value > max) {
    refuse("the parameter \"" + std::string(name) + "\" must be an integer from 0 to " + std::to_string(max) +
           ", not \"" + wire::printable(*given, 60) + "\"");
    return std::nullopt;
  }
  return value;
}

std::optional<bool> Query::flag(std::string_view name) {
  const std::optional<std::string_view> given = take(name);
  if (!given) return std::nullopt;
  if (*given == "true" || *given == "1") return true;
  if (*given == "false" || *given == "0") return false;
  refuse("the parameter \"" + std::string(name) + "\" must be true or false, not \"" + wire::printable(*given, 60) +
         "\"");
  return std::nullopt;
}

std::size_t Query::word(std::string_view name, std::initializer_list<std::string_view> words) {
  const std::optional<std::string_view> given = take(name);
  if (!given) return 0;
  const auto found = std::find(words.begin(), words.end(), *given);
  if (found != words.end()) return static_cast<std::size_t>(found - words.begin());
  std::string choice;
  for (const std::string_view word : words) choice += (choice.empty() ? "" : ", ") + std::string(word);
  refuse("the parameter \"" + std::string(name) + "\" must be one of " + choice + ", not \"" +
         wire::printable(*given, 60) + "\"");
  return 0;
}

Status Query::finish() {
  if (!error_) {
    for (std::size_t i = 0; i < request_.query.size(); ++i) {
      const std::string& name = request_.query[i].first;
      if (std::find(known_.begin(), known_.end(), name) == known_.end()) {
        const std::string_view meant = wire::nearest(name, known_);
        std::string hint;
        if (!meant.empty()) {
          hint = "Did you mean \"" + std::string(meant) + "\"?";
        } else if (known_.empty()) {
          hint = "This request takes none.";
        } else {
          hint = "The parameters here are";
          for (std::size_t k = 0; k < known_.size(); ++k) hint += (k == 0 ? " " : ", ") + std::string(known_[k]);
          hint += ".";
        }
        refuse("\"" + wire::printable(name, 60) + "\" is not a parameter of this request", std::move(hint));
        break;
      }
      for (std::size_t j = 0; j < i; ++j) {
        if (request_.query[j].first == name) refuse("the parameter \"" + name + "\" stands twice");
      }
    }
  }
  if (error_) return fail(*error_);
  return {};
}

// ---- Names and selectors ------------------------------------------------------------------------------------------------

Result<state::NamespaceName> namespace_of(std::string_view text) {
  return state::NamespaceName::parse(text.empty() ? "default" : text);
}

Result<Where> where_of(std::string_view name_space, std::string_view branch) {
  ST8_ASSIGN(state::NamespaceName ns, namespace_of(name_space));
  ST8_ASSIGN(state::BranchName name, state::BranchName::parse(branch.empty() ? "main" : branch));
  return Where{std::move(ns), std::move(name)};
}

Result<state::Selector> parse_selector(const Call& call, std::string_view text) {
  return state::Selector::parse(text, call.context.clock.now());
}

Result<state::Selector> selector_of(const Call& call, const SelectorFields& fields) {
  const int given = (fields.revision != 0 ? 1 : 0) + (fields.checkpoint.empty() ? 0 : 1) + (fields.at.empty() ? 0 : 1);
  if (given > 1) {
    return fail(ErrorCode::kInvalidArgument, "the request names a revision in more than one way",
                "Give one of a revision number, a checkpoint and `at`.");
  }
  if (fields.revision != 0) return state::Selector::of(state::RevisionNumber{fields.revision});
  if (!fields.checkpoint.empty()) {
    ST8_ASSIGN(state::CheckpointName name, state::CheckpointName::parse(fields.checkpoint));
    return state::Selector::checkpoint(std::move(name));
  }
  if (!fields.at.empty()) return parse_selector(call, fields.at);
  return state::Selector::head();
}

ChangesMode changes_mode(Query& query) {
  switch (query.word("changes", {"full", "keys", "none"})) {
    case 1:
      return ChangesMode::kKeys;
    case 2:
      return ChangesMode::kNone;
    default:
      return ChangesMode::kFull;
  }
}

// ---- Answers -----------------------------------------------------------------------------------------------------------

http::Response json_response(std::string body, int status) {
  http::Response response;
  response.status = status;
  response.set_header("Content-Type", "application/json");
  response.body = std::move(body);
  return response;
}

void set_revision(http::Response& response, state::RevisionNumber revision) {
  response.set_header("X-St8-Revision", std::to_string(revision.value));
}

bool etag_listed(std::string_view header, std::string_view etag) {
  while (!header.empty()) {
    const std::size_t comma = header.find(',');
    std::string_view item = header.substr(0, comma);
    while (!item.empty() && (item.front() == ' ' || item.front() == '\t')) item.remove_prefix(1);
    while (!item.empty() && (item.back() == ' ' || item.back() == '\t')) item.remove_suffix(1);
    if (item.starts_with("W/")) item.remove_prefix(2);
    if (item == "*" || item == etag) return true;
    if (comma == std::string_view::npos) break;
    header.remove_prefix(comma + 1);
  }
  return false;
}

// ---- Writes ------------------------------------------------------------------------------------------------------------

Result<state::WriteContext> write_context(const Call& call, const wire::WriteFields& fields,
                                          std::string_view default_message) {
  state::WriteContext context;
  context.actor = call.principal->name;
  context.author = fields.author;
  context.message = fields.message.empty() ? std::string(default_message) : fields.message;
  context.request_id = call.request.id;
  if (fields.expected_revision) context.expected_revision = state::RevisionNumber{*fields.expected_revision};
  context.dry_run = fields.dry_run;
  const std::string_view key = call.request.header("idempotency-key");
  if (!key.empty() && !fields.dry_run) {
    if (key.size() > state::Limits::kIdempotencyKeyBytesMax || !wire::is_utf8(key)) {
      return fail(ErrorCode::kInvalidArgument, "the Idempotency-Key must be text of at most " +
                                                   std::to_string(state::Limits::kIdempotencyKeyBytesMax) + " bytes");
    }
    // Everything that decides what the request does; lengths keep the parts apart.
    std::string head = call.principal->name;
    const auto part = [&head](std::string_view text) {
      head += '\0';
      head += std::to_string(text.size());
      head += ':';
      head += text;
    };
    part(call.request.method);
    part(call.request.path);
    for (const auto& [name, value] : call.request.query) {
      part(name);
      part(value);
    }
    part(call.request.header("if-match"));
    part(call.request.header("if-none-match"));
    part("");
    context.idempotency = state::IdempotencyKey{std::string(key), Hash::of_parts({head, call.request.body})};
  }
  return context;
}

}  // namespace st8::api
