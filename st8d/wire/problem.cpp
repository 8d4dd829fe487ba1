#include "wire/problem.h"

#include "wire/fields.h"
#include "wire/text.h"

namespace st8::wire {
namespace {

constexpr ErrorCode kLastCode = ErrorCode::kUnsupportedMediaType;

// The nearest code for an answer that says nothing of its own.
ErrorCode code_of_status(int status) {
  switch (status) {
    case 400:
      return ErrorCode::kInvalidArgument;
    case 401:
      return ErrorCode::kUnauthenticated;
    case 403:
      return ErrorCode::kPermissionDenied;
    case 404:
      return ErrorCode::kNotFound;
    case 405:
      return ErrorCode::kMethodNotAllowed;
    case 409:
      return ErrorCode::kConflict;
    case 410:
      return ErrorCode::kGone;
    case 412:
      return ErrorCode::kPreconditionFailed;
    case 413:
      return ErrorCode::kTooLarge;
    case 415:
      return ErrorCode::kUnsupportedMediaType;
    case 422:
      return ErrorCode::kUnprocessable;
    case 429:
      return ErrorCode::kRateLimited;
    case 501:
      return ErrorCode::kUnimplemented;
    case 502:
    case 503:
    case 504:
      return ErrorCode::kUnavailable;
    default:
      return status >= 400 && status < 500 ? ErrorCode::kInvalidArgument : ErrorCode::kInternal;
  }
}

}  // namespace

std::optional<ErrorCode> error_code_of(std::string_view name) {
  for (int i = 0; i <= static_cast<int>(kLastCode); ++i) {
    const auto code = static_cast<ErrorCode>(i);
    if (traits_of(code).name == name) return code;
  }
  return std::nullopt;
}

std::string to_json(const Problem& problem) {
  const ErrorTraits& traits = traits_of(problem.error.code);
  std::string text;
  JsonWriter out(text);
  out.begin_object()
      .field("type", "https://st8.dev/errors/" + std::string(traits.name))
      .field("title", traits.title)
      .field("status", std::int64_t{traits.http_status})
      .field("detail", problem.error.message)
      .field("code", traits.name)
      .field("hint", problem.error.hint)
      .field("request_id", problem.request_id);
  if (problem.expected_revision) out.field("expected_revision", *problem.expected_revision);
  if (problem.head_revision) out.field("head_revision", *problem.head_revision);
  if (!problem.verb.empty()) out.field("verb", problem.verb);
  if (!problem.name_space.empty()) out.field("namespace", problem.name_space);
  if (!problem.branch.empty()) out.field("branch", problem.branch);
  if (!problem.key.empty()) out.field("key", problem.key);
  if (!problem.allow.empty()) {
    out.key("allow").begin_array();
    for (const std::string& method : problem.allow) out.string(method);
    out.end_array();
  }
  if (!problem.conflicts.empty()) {
    out.key("conflicts").begin_array();
    for (const ConflictBody& conflict : problem.conflicts) {
      out.begin_object().field("key", conflict.key).field("path", conflict.path);
      const auto side = [&out](std::string_view name, const std::optional<std::string>& value) {
        if (!value) {
          out.key(name).null();
        } else {
          out.bytes_field(name, *value);
        }
      };
      side("base", conflict.base);
      side("ours", conflict.ours);
      side("theirs", conflict.theirs);
      out.end_object();
    }
    out.end_array();
  }
  out.end_object();
  return text;
}

Problem parse_problem(int status, std::string_view body) {
  Problem problem;
  problem.error.code = code_of_status(status);
  const Result<JsonValue> root = parse_json(body);
  if (!root || root->kind != JsonValue::Kind::kObject) {
    while (!body.empty() && (body.back() == '\n' || body.back() == '\r' || body.back() == ' ')) body.remove_suffix(1);
    problem.error.message =
        "the server answered " + std::to_string(status) + (body.empty() ? "" : ": " + printable(body));
    return problem;
  }
  Fields fields(*root, "", Fields::Unknown::kIgnore);
  if (const std::optional<ErrorCode> code = error_code_of(fields.text("code"))) problem.error.code = *code;
  problem.error.message = fields.text("detail");
  if (problem.error.message.empty()) problem.error.message = fields.text("errorDetails");
  if (problem.error.message.empty()) problem.error.message = "the server answered " + std::to_string(status);
  problem.error.hint = fields.text("hint");
  problem.request_id = fields.text("request_id");
  problem.expected_revision = fields.number("expected_revision");
  problem.head_revision = fields.number("head_revision");
  problem.verb = fields.text("verb");
  problem.name_space = fields.text("namespace");
  problem.branch = fields.text("branch");
  problem.key = fields.text("key");
  problem.allow = fields.texts("allow");
  if (const JsonValue* conflicts = fields.array("conflicts"); conflicts != nullptr) {
    for (const JsonValue& item : conflicts->items) {
      Fields inner(item, "conflicts", Fields::Unknown::kIgnore);
      ConflictBody conflict;
      conflict.key = inner.text("key");
      conflict.path = inner.text("path");
      conflict.base = inner.bytes("base");
      conflict.ours = inner.bytes("ours");
      conflict.theirs = inner.bytes("theirs");
      problem.conflicts.push_back(std::move(conflict));
    }
  }
  return problem;
}

}  // namespace st8::wire
