#include "context.h"

#include <algorithm>
#include <unistd.h>

#include "args/suggest.h"
#include "client/http_transport.h"
#include "client/local_transport.h"
#include "render/document.h"
#include "wire/problem.h"
#include "wire/responses.h"

namespace st8::ctl {

void Context::notice(std::string_view text) {
  if (quiet_) return;
  err_.line(text);
  err_.flush();
}

Result<Client*> Context::client() {
  if (client_ != nullptr) return client_.get();
  if (settings_.local && arguments_.on("wait")) {
    return fail(ErrorCode::kInvalidArgument, "with --local nothing goes live: there is no rollout to wait for",
                "leave --wait out, or start st8d over " + settings_.state_dir);
  }
  std::unique_ptr<Transport> transport;
  if (settings_.local) {
    transport = make_local_transport(
        {settings_.state_dir, settings_.timeout_ms, [this](std::string_view text) { notice(text); }});
  } else {
    HttpOptions options;
    options.url = settings_.server;
    options.tls = {settings_.ca_cert, settings_.client_cert, settings_.client_key};
    options.timeout_ms = settings_.timeout_ms;
    ST8_ASSIGN(transport, make_http_transport(std::move(options)));
  }
  for (const char c : settings_.token) {
    if (static_cast<unsigned char>(c) <= 0x20 || static_cast<unsigned char>(c) >= 0x7f) {
      return fail(ErrorCode::kInvalidArgument, "the token holds white space, a control character or no ASCII",
                  "look at --token, ST8CTL_TOKEN and server.token in " + settings_.config_path);
    }
  }
  client_ = std::make_unique<Client>(std::move(transport), settings_.token);
  return client_.get();
}

Result<std::unique_ptr<Client>> Context::stream_client() {
  if (settings_.local) return fail(ErrorCode::kUnavailable, "with --local there are no streams");
  HttpOptions options;
  options.url = settings_.server;
  options.tls = {settings_.ca_cert, settings_.client_cert, settings_.client_key};
  options.timeout_ms = settings_.timeout_ms;
  ST8_ASSIGN(auto transport, make_http_transport(std::move(options)));
  return std::make_unique<Client>(std::move(transport), settings_.token);
}

Result<std::string> Context::selector(const std::optional<std::string>& positional) const {
  std::string selector;
  std::string from;
  const auto take = [&](const std::string& value, const std::string& name) -> Status {
    if (!from.empty()) {
      return fail(ErrorCode::kInvalidArgument, from + " and " + name + " cannot be used together",
                  "each names a revision: leave one out");
    }
    selector = value;
    from = name;
    return {};
  };
  if (auto number = arguments_.number("revision")) ST8_TRY(take(std::to_string(*number), "--revision"));
  if (auto name = arguments_.text("checkpoint")) ST8_TRY(take("checkpoint:" + *name, "--checkpoint"));
  if (auto text = arguments_.text("at")) ST8_TRY(take(*text, "--at"));
  if (positional) ST8_TRY(take(*positional, "the argument \"" + *positional + "\""));
  if (!from.empty() && selector.empty())
    return fail(ErrorCode::kInvalidArgument, from + " is empty", "a selector is like main~2, stable, 42 or 2h-ago");
  return selector;
}

wire::WriteFields Context::write_fields() const {
  wire::WriteFields fields;
  fields.message = arguments_.text_or("message", "");
  fields.author = settings_.author;
  fields.expected_revision = arguments_.number("expected-revision");
  fields.dry_run = dry_run();
  return fields;
}

Result<bool> Context::print_document(std::string_view json) {
  if (!wants_document()) return false;
  ST8_ASSIGN(const wire::JsonValue value, parse_answer(json));
  return print_document(value);
}

Result<bool> Context::print_document(const wire::JsonValue& value) {
  if (settings_.output == OutputFormat::kJson)
    out_.write(indented_json(value));
  else if (settings_.output == OutputFormat::kYaml)
    out_.write(yaml(value));
  else
    return false;
  return true;
}

Status Context::confirm(const std::string& question) {
  if (arguments_.on("yes") || dry_run()) return {};
  if (::isatty(STDIN_FILENO) != 1 || !err_.terminal()) {
    return fail(ErrorCode::kInvalidArgument, question + " Nobody is there to be asked",
                "say --yes, or look first with --dry-run");
  }
  err_.write(question + " [y/N] ");
  err_.flush();
  std::string answer;
  char c = 0;
  while (::read(STDIN_FILENO, &c, 1) == 1 && c != '\n') answer += c;
  if (answer == "y" || answer == "Y" || answer == "yes") return {};
  return fail(ErrorCode::kInvalidArgument, "not confirmed: nothing was changed");
}

namespace {

// The names in a selector that may be a branch or a checkpoint: "exp/x~2" -> "exp/x".
std::string base_name(std::string_view selector) {
  for (const std::string_view kind : {"branch:", "checkpoint:"}) {
    if (selector.starts_with(kind)) selector.remove_prefix(kind.size());
  }
  selector = selector.substr(0, selector.find_first_of("~@"));
  return std::string(selector);
}

// What the person may have meant by a name that was not found; asks the server, so only after an error.
std::string name_hint(Context& context) {
  Client* client = context.client_if_made();
  if (client == nullptr) return {};
  const auto known = [&](const std::string& path, const std::string& list, const std::string& field, Query query,
                         std::uint64_t page_max = 1000) {
    std::vector<std::string> names;
    if (auto answer = client->pages(get(path, std::move(query)), list, page_max, page_max)) {
      if (const wire::JsonValue* items = answer->find(list)) {
        for (const wire::JsonValue& item : items->items) {
          if (const wire::JsonValue* name = item.find(field)) names.push_back(name->text);
        }
      }
    }
    return names;
  };
  const std::string ns = context.settings().name_space;
  // What the command itself says its words are.
  const Command* command = context.arguments().command;
  for (std::size_t i = 0;
       command != nullptr && !command->positionals.empty() && i < context.arguments().positionals.size(); ++i) {
    const Completes kind = command->positionals[std::min(i, command->positionals.size() - 1)].completes;
    std::vector<std::string> candidates;
    if (kind == Completes::kTargets)
      candidates = known("/v1/targets", "targets", "name", {});
    else if (kind == Completes::kRollouts)
      candidates = known("/v1/rollouts", "rollouts", "id", {{"namespace", ns}});
    else if (kind == Completes::kQuarantined)
      candidates = known("/v1/quarantine", "quarantine", "key", {{"namespace", ns}}, 0);
    else
      continue;
    const std::string& word = context.arguments().positionals[i];
    if (std::find(candidates.begin(), candidates.end(), word) == candidates.end())
      return did_you_mean(word, candidates);
  }
  if (const auto target = context.arguments().text("target")) {
    const std::string meant = did_you_mean(*target, known("/v1/targets", "targets", "name", {}));
    if (!meant.empty()) return meant;
  }
  std::vector<std::string> names = known("/v1/branches", "branches", "name", {{"namespace", ns}});
  for (std::string& name : known("/v1/checkpoints", "checkpoints", "name", {{"namespace", ns}}))
    names.push_back(std::move(name));
  std::vector<std::string> typed{context.settings().branch};
  for (const char* flag : {"at", "checkpoint", "from-branch"}) {
    if (auto value = context.arguments().text(flag)) typed.push_back(base_name(*value));
  }
  for (const std::string& word : context.arguments().positionals) typed.push_back(base_name(word));
  for (const std::string& word : typed) {
    if (word.empty() || std::find(names.begin(), names.end(), word) != names.end()) continue;
    std::string hint = did_you_mean(word, names);
    if (!hint.empty()) return hint;
  }
  if (names.empty()) {
    const std::string near = did_you_mean(ns, known("/v1/namespaces", "namespaces", "name", {}));
    if (!near.empty()) return near;
  }
  return {};
}

}  // namespace

void report_error(Context* context, Output& err, Error error) {
  wire::Problem problem(error);
  if (context != nullptr && context->client_if_made() != nullptr && context->client_if_made()->problem() &&
      context->client_if_made()->problem()->error.code == error.code) {
    problem = *context->client_if_made()->problem();
    problem.error = error;
    if (error.code == ErrorCode::kNotFound && error.hint.find("did you mean") == std::string::npos) {
      const std::string meant = name_hint(*context);
      if (!meant.empty()) problem.error.hint = meant;
    }
  }
  if (context != nullptr && error.code == ErrorCode::kUnavailable && error.hint.empty() && !context->settings().local &&
      error.message.starts_with("cannot connect")) {
    problem.error.hint = context->settings().server_is_default
                             ? "start st8d, name another server with --server, or use --local to do without one"
                             : "is st8d running there? `st8ctl --local` does without one";
  }
  if (error.code == ErrorCode::kUnauthenticated && problem.error.hint.empty())
    problem.error.hint = "`st8ctl login` stores a token";
  if (context != nullptr && context->wants_document()) {
    const std::string json = wire::to_json(problem);
    if (auto value = parse_answer(json)) {
      err.write(context->format() == OutputFormat::kJson ? indented_json(*value) : yaml(*value));
      err.flush();
      return;
    }
  }
  // One line each, whatever a stranger's text holds.
  err.line(err.painted("1;31", "error:") + " " + printable(problem.error.message));
  if (!problem.error.hint.empty()) err.line(err.painted("1", "hint:") + " " + printable(problem.error.hint));
  if (!problem.request_id.empty() && (error.code == ErrorCode::kInternal || error.code == ErrorCode::kCorrupt)) {
    err.line("request: " + printable(problem.request_id));
  }
  err.flush();
}

}  // namespace st8::ctl
