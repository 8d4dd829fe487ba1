#include "effects/steps.h"

#include <algorithm>
#include <charconv>
#include <thread>

#include "drivers/file/root.h"
#include "effects/http_client.h"
#include "effects/keepsake.h"
#include "effects/package_step.h"
#include "effects/process.h"
#include "st8/target/planner.h"

namespace st8::target::effects {
namespace {

Result<std::string> filled(const std::string& text, const Target& target) { return render(text, target, {}); }

std::string param(const StepSpec& step, const std::string& name) {
  const auto found = step.params.find(name);
  return found == step.params.end() ? std::string() : found->second;
}

std::vector<std::pair<std::string, std::string>> environment_of(const StepContext& context) {
  return {{"ST8_TARGET", context.target.name.str()},
          {"ST8_NAMESPACE", context.name_space},
          {"ST8_BRANCH", context.branch},
          {"ST8_REVISION", std::to_string(context.revision.value)},
          {"ST8_ROLLOUT", context.rollout}};
}

StepOutcome run_program(const CallContext& call, std::vector<std::string> argv, const StepSpec& step,
                        const StepContext& context) {
  ProcessOrder order;
  order.argv = std::move(argv);
  order.environment = environment_of(context);
  order.directory = param(step, "cwd");
  auto end = run_process(call, order);
  if (!end) return {fail(end.error()), ""};
  if (end->exit_code != 0)
    return {fail(ErrorCode::kUnprocessable, "exit " + std::to_string(end->exit_code), ""), end->output};
  return {Status{}, end->output};
}

StepOutcome run_script(const CallContext& call, const StepSpec& step, const StepContext& context) {
  auto command = filled(param(step, "command"), context.target);
  if (!command) return {fail(command.error()), ""};
  // Without arguments of its own, the command is a line for the shell.
  if (step.args.empty()) return run_program(call, {"/bin/sh", "-c", *command}, step, context);
  std::vector<std::string> argv{*command};
  for (const std::string& argument : step.args) {
    auto text = filled(argument, context.target);
    if (!text) return {fail(text.error()), ""};
    argv.push_back(std::move(*text));
  }
  return run_program(call, std::move(argv), step, context);
}

StepOutcome run_http(const CallContext& call, const StepSpec& step, const StepContext& context, bool undo) {
  HttpOrder order;
  const std::string url = param(step, undo ? "rollbackUrl" : "url");
  if (url.empty()) return {Status{}, ""};
  const std::string method = param(step, undo ? "rollbackMethod" : "method");
  order.method = method.empty() ? "POST" : method;
  if (const std::string type = param(step, "contentType"); !type.empty()) order.content_type = type;
  auto address = filled(url, context.target);
  auto body = filled(param(step, undo ? "rollbackBody" : "body"), context.target);
  if (!address) return {fail(address.error()), ""};
  if (!body) return {fail(body.error()), ""};
  order.url = std::move(*address);
  order.body = std::move(*body);
  auto answer = http_request(call, order);
  if (!answer) return {fail(answer.error()), ""};
  const std::string expected = param(step, "expectStatus");
  const bool good =
      expected.empty() ? answer->status >= 200 && answer->status < 300 : std::to_string(answer->status) == expected;
  if (!good)
    return {fail(ErrorCode::kUnprocessable,
                 order.method + " " + order.url + " answered " + std::to_string(answer->status), ""),
            ""};
  return {Status{}, ""};
}

std::string holder_of(const StepSpec& step, const StepContext& context) {
  return step.name + "\n" + context.target.name.str();
}

// The file's mode and owner in a line of their own, or "absent".
std::string packed(const std::optional<file::StoredFile>& before) {
  if (!before) return "absent\n";
  return std::to_string(before->ownership.mode) + " " + std::to_string(before->ownership.uid) + " " +
         std::to_string(before->ownership.gid) + "\n" + before->bytes;
}

struct Place {
  Keepsake keepsake;
  std::string name;
};
Result<Place> place_of(const CallContext& call, const StepSpec& step, const StepContext& context) {
  ST8_ASSIGN(const std::string path, filled(param(step, "path"), context.target));
  const std::size_t slash = path.find_last_of('/');
  if (path.empty() || path.front() != '/' || slash + 1 == path.size())
    return fail(ErrorCode::kUnprocessable, "\"" + path + "\" is not the absolute path of a file", "");
  ST8_ASSIGN(file::Root root, file::Root::open(slash == 0 ? "/" : path.substr(0, slash)));
  std::string name = path.substr(slash + 1);
  ST8_ASSIGN(Keepsake keepsake, Keepsake::open(call, std::move(root), context.restore_point, name));
  return Place{std::move(keepsake), std::move(name)};
}

Status write_file(const CallContext& call, const StepSpec& step, const StepContext& context) {
  ST8_ASSIGN(const std::string content, filled(param(step, "content"), context.target));
  ST8_ASSIGN(Place place, place_of(call, step, context));
  const file::Root& root = place.keepsake.directory();
  std::uint32_t mode = 0644;
  if (const std::string text = param(step, "mode"); !text.empty())
    std::from_chars(text.data(), text.data() + text.size(), mode, 8);
  ST8_ASSIGN(const auto before, root.read(place.name));
  ST8_TRY(place.keepsake.keep(holder_of(step, context), [&]() -> Result<std::string> { return packed(before); }));
  file::Ownership ownership{mode};
  if (before) ownership = {mode, before->ownership.uid, before->ownership.gid};
  return root.replace(place.name, content, ownership);
}

Status unwrite_file(const CallContext& call, const StepSpec& step, const StepContext& context) {
  ST8_ASSIGN(Place place, place_of(call, step, context));
  const file::Root& root = place.keepsake.directory();
  ST8_ASSIGN(const auto kept, place.keepsake.leave(holder_of(step, context)));
  if (!kept) return {};
  const std::size_t line = kept->find('\n');
  const std::string head = kept->substr(0, line);
  if (head == "absent") {
    ST8_TRY(root.remove_file(place.name));
  } else {
    std::uint32_t numbers[3] = {0644, 0, 0};
    const char* at = head.data();
    for (std::uint32_t& number : numbers) {
      at = std::from_chars(at, head.data() + head.size(), number).ptr;
      if (at < head.data() + head.size()) ++at;
    }
    ST8_TRY(root.replace(place.name, std::string_view(*kept).substr(line + 1), {numbers[0], numbers[1], numbers[2]}));
  }
  return place.keepsake.drop();
}

Status wait(const CallContext& call, Millis duration) {
  const auto end = call.clock->monotonic() + duration;
  while (call.clock->monotonic() < end) {
    ST8_TRY(call.check());
    std::this_thread::sleep_for(
        std::min<std::chrono::nanoseconds>(end - call.clock->monotonic(), std::chrono::milliseconds(20)));
  }
  return {};
}

}  // namespace

StepOutcome run_step(const CallContext& call, const StepSpec& step, const StepContext& context) {
  if (auto good = call.check(); !good) return {good, ""};
  switch (step.kind) {
    case StepKind::kEcho: {
      auto text = filled(param(step, "message"), context.target);
      if (!text) return {fail(text.error()), ""};
      return {Status{}, text->substr(0, kOutputBytesMax)};
    }
    case StepKind::kScript:
      return run_script(call, step, context);
    case StepKind::kSleep:
      return {wait(call, parse_duration(param(step, "duration")).value_or(Millis{0})), ""};
    case StepKind::kFileWrite:
      return {write_file(call, step, context), ""};
    case StepKind::kHttp:
      return run_http(call, step, context, false);
    case StepKind::kPackage:
      return install_package(call, step, context);
  }
  return {fail(ErrorCode::kInternal, "no such step", ""), ""};
}

StepOutcome undo_step(const CallContext& call, const StepSpec& step, const StepContext& context) {
  if (auto good = call.check(); !good) return {good, ""};
  switch (step.kind) {
    case StepKind::kEcho:
    case StepKind::kSleep:
      return {Status{}, ""};
    case StepKind::kScript: {
      const std::string rollback = param(step, "rollback");
      if (rollback.empty()) return {Status{}, ""};
      auto text = filled(rollback, context.target);
      if (!text) return {fail(text.error()), ""};
      return run_program(call, {"/bin/sh", "-c", *text}, step, context);
    }
    case StepKind::kFileWrite:
      return {unwrite_file(call, step, context), ""};
    case StepKind::kHttp:
      return run_http(call, step, context, true);
    case StepKind::kPackage:
      return uninstall_package(call, step, context);
  }
  return {fail(ErrorCode::kInternal, "no such step", ""), ""};
}

void forget_step(const StepSpec& step, const StepContext& context) {
  if (step.kind == StepKind::kPackage) forget_package(step, context);
  if (step.kind != StepKind::kFileWrite || context.clock == nullptr) return;
  CallContext call;
  call.clock = context.clock;
  call.deadline = context.clock->monotonic() + std::chrono::seconds(10);
  if (auto place = place_of(call, step, context)) static_cast<void>(place->keepsake.forget(holder_of(step, context)));
}

namespace {

// `check` with all its texts filled in.
Status read(const CallContext& call, const HealthCheck& check,
            std::vector<std::pair<std::string, std::string>> environment) {
  switch (check.kind) {
    case HealthKind::kHttp: {
      HttpOrder order;
      order.url = check.url;
      ST8_ASSIGN(const HttpAnswer answer, http_request(call, order));
      if (std::find(check.expect_status.begin(), check.expect_status.end(),
                    static_cast<std::uint32_t>(answer.status)) == check.expect_status.end()) {
        return fail(ErrorCode::kUnavailable, order.url + " answered " + std::to_string(answer.status), "");
      }
      if (!check.contains.empty() && answer.body.find(check.contains) == std::string::npos)
        return fail(ErrorCode::kUnavailable, order.url + " answered without the expected text", "");
      return {};
    }
    case HealthKind::kTcp:
      return tcp_connect(call, check.host, check.port);
    case HealthKind::kCommand: {
      ProcessOrder order;
      order.argv = check.argv;
      order.environment = std::move(environment);
      ST8_ASSIGN(const ProcessEnd end, run_process(call, order));
      if (end.exit_code != check.expect_exit) {
        return fail(ErrorCode::kUnavailable,
                    check.argv.front() + " ended with " + std::to_string(end.exit_code) + " instead of " +
                        std::to_string(check.expect_exit),
                    "");
      }
      return {};
    }
  }
  return fail(ErrorCode::kInternal, "no such health check", "");
}

}  // namespace

Status probe(const CallContext& call, const HealthCheck& check, const Target& target) {
  HealthCheck own = check;
  for (std::string* text : {&own.url, &own.host, &own.port}) {
    ST8_ASSIGN(*text, filled(*text, target));
  }
  for (std::string& argument : own.argv) {
    ST8_ASSIGN(argument, filled(argument, target));
  }
  return read(call, own, {{"ST8_TARGET", target.name.str()}});
}

Status measure(const CallContext& call, const Analysis& analysis, const Plan& plan) {
  return read(call, analysis.reading,
              {{"ST8_NAMESPACE", plan.name_space.str()},
               {"ST8_BRANCH", plan.branch.str()},
               {"ST8_REVISION", std::to_string(plan.revision.value)}});
}

}  // namespace st8::target::effects
