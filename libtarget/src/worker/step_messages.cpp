#include "worker/step_messages.h"

#include <array>

namespace st8::target::worker {
namespace {

constexpr std::array<std::string_view, 3> kActions = {"run", "undo", "forget"};
constexpr std::array kKinds = {StepKind::kEcho,      StepKind::kScript, StepKind::kSleep,
                               StepKind::kFileWrite, StepKind::kHttp,   StepKind::kPackage};

}  // namespace

Json step_to_json(effects::StepAction action, const StepSpec& step, const effects::StepContext& context) {
  Json labels = Json::object();
  for (const auto& [name, value] : context.target.labels) labels[name] = value;
  return {{"action", kActions[static_cast<std::size_t>(action)]},
          {"name", step.name},
          {"type", step_kind_name(step.kind)},
          {"params", step.params},
          {"args", step.args},
          {"target", {{"name", context.target.name.str()}, {"env", context.target.env}, {"labels", std::move(labels)}}},
          {"namespace", context.name_space},
          {"branch", context.branch},
          {"revision", context.revision.value},
          {"rollout", context.rollout},
          {"restore_point", context.restore_point}};
}

Result<StepMessage> step_from_json(const Json& json) {
  const Json& target = json.at("target");
  ST8_ASSIGN(TargetName name, TargetName::parse(target.at("name").get<std::string>()));
  StepMessage message{effects::StepAction::kRun,
                      {},
                      {std::move(name), "worker", {}, Criticality::kMedium, target.at("env").get<std::string>(), ""},
                      "",
                      "",
                      "",
                      "",
                      {}};
  for (const auto& [label, value] : target.at("labels").items())
    message.target.labels.emplace_back(label, value.get<std::string>());
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

}  // namespace st8::target::worker
