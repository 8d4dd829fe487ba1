#include "worker/step_messages.h"

#include <algorithm>
#include <array>

namespace st8::target::worker {
namespace {

constexpr std::array<std::string_view, 3> kActions = {"run", "undo", "forget"};
constexpr std::array kKinds = {StepKind::kEcho,      StepKind::kScript, StepKind::kSleep,
                               StepKind::kFileWrite, StepKind::kHttp,   StepKind::kPackage};

constexpr std::array<std::string_view, 3> kProbes = {"http", "tcp", "command"};

Json target_to_json(const Target& target) {
  Json labels = Json::object();
  for (const auto& [name, value] : target.labels) labels[name] = value;
  return {{"name", target.name.str()}, {"env", target.env}, {"labels", std::move(labels)}};
}

Result<Target> target_from_json(const Json& json) {
  ST8_ASSIGN(TargetName name, TargetName::parse(json.at("name").get<std::string>()));
  Target target{std::move(name), "worker", {}, Criticality::kMedium, json.at("env").get<std::string>(), ""};
  for (const auto& [label, value] : json.at("labels").items())
    target.labels.emplace_back(label, value.get<std::string>());
  return target;
}

}  // namespace

Json step_to_json(effects::StepAction action, const StepSpec& step, const effects::StepContext& context) {
  return {{"action", kActions[static_cast<std::size_t>(action)]},
          {"name", step.name},
          {"type", step_kind_name(step.kind)},
          {"params", step.params},
          {"args", step.args},
          {"target", target_to_json(context.target)},
          {"namespace", context.name_space},
          {"branch", context.branch},
          {"revision", context.revision.value},
          {"rollout", context.rollout},
          {"restore_point", context.restore_point}};
}

Result<StepMessage> step_from_json(const Json& json) {
  ST8_ASSIGN(Target target, target_from_json(json.at("target")));
  StepMessage message{effects::StepAction::kRun, {}, std::move(target), "", "", "", "", {}};
  const std::string action = json.at("action").get<std::string>(), type = json.at("type").get<std::string>();
  bool known = false;
  for (std::size_t i = 0; i < kActions.size(); ++i) {
    if (kActions[i] == action) message.action = static_cast<effects::StepAction>(i), known = true;
  }
  if (!known) return fail(ErrorCode::kInvalidArgument, "a step cannot be done \"" + action.substr(0, 40) + "\"", "");
  known = false;
  for (const StepKind kind : kKinds) {
    if (step_kind_name(kind) == type) message.step.kind = kind, known = true;
  }
  if (!known)
    return fail(ErrorCode::kInvalidArgument, "there is no step of type \"" + type.substr(0, 40) + "\"",
                "use st8d of the same version on both sides");
  message.step.name = json.at("name").get<std::string>();
  message.step.params = json.at("params").get<std::map<std::string, std::string>>();
  message.step.args = json.at("args").get<std::vector<std::string>>();
  message.name_space = json.at("namespace").get<std::string>();
  message.branch = json.at("branch").get<std::string>();
  message.revision = {json.at("revision").get<std::uint64_t>()};
  message.rollout = json.at("rollout").get<std::string>();
  message.restore_point = json.at("restore_point").get<std::string>();
  return message;
}

Json probe_to_json(const HealthCheck& check, const Target& target) {
  return {{"type", kProbes[static_cast<std::size_t>(check.kind)]},
          {"name", check.name},
          {"url", check.url},
          {"expect_status", check.expect_status},
          {"contains", check.contains},
          {"host", check.host},
          {"port", check.port},
          {"argv", check.argv},
          {"expect_exit", check.expect_exit},
          {"target", target_to_json(target)}};
}

Result<ProbeMessage> probe_from_json(const Json& json) {
  ST8_ASSIGN(Target target, target_from_json(json.at("target")));
  ProbeMessage message{{}, std::move(target)};
  HealthCheck& check = message.check;
  const std::string type = json.at("type").get<std::string>();
  const auto* const kind = std::find(kProbes.begin(), kProbes.end(), type);
  if (kind == kProbes.end())
    return fail(ErrorCode::kInvalidArgument, "there is no health check of type \"" + type.substr(0, 40) + "\"",
                "use st8d of the same version on both sides");
  check.kind = static_cast<HealthKind>(kind - kProbes.begin());
  check.name = json.at("name").get<std::string>();
  check.url = json.at("url").get<std::string>();
  check.expect_status = json.at("expect_status").get<std::vector<std::uint32_t>>();
  check.contains = json.at("contains").get<std::string>();
  check.host = json.at("host").get<std::string>();
  check.port = json.at("port").get<std::string>();
  check.argv = json.at("argv").get<std::vector<std::string>>();
  check.expect_exit = json.at("expect_exit").get<std::int32_t>();
  if (check.kind == HealthKind::kCommand && check.argv.empty())
    return fail(ErrorCode::kInvalidArgument, "the health check names no program", "");
  return message;
}

}  // namespace st8::target::worker
