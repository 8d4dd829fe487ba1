#include <nlohmann/json.hpp>

#include "codec/json.h"
#include "st8/target/plan.h"

namespace st8::target {
namespace {

using codec::Json;

Json hash_json(const std::optional<Hash>& hash) { return hash ? Json(hash->hex()) : Json(nullptr); }

// Everything that the hash covers.
Json body(const Plan& plan) {
  Json json;
  json["namespace"] = plan.name_space.str();
  json["branch"] = plan.branch.str();
  json["revision"] = plan.revision.value;
  json["revision_hash"] = plan.revision_hash.hex();
  json["author"] = plan.author;
  json["promoted"] = plan.promoted.value;
  json["policy"] = plan.policy_source;
  json["fast_path"] = plan.fast_path;
  json["needs_approval"] = plan.needs_approval;
  json["reasons"] = plan.reasons;
  Json& contents = json["contents"] = Json::array();
  for (const PlannedContent& content : plan.contents) {
    Json files = Json::array();
    for (const PlannedFile& file : content.files) {
      Json entry = {
          {"path", file.entry.path}, {"mode", file.entry.mode}, {"hash", file.entry.hash.hex()}, {"key", file.key}};
      if (file.rendered) entry["rendered_from"] = file.source.hex();
      files.push_back(std::move(entry));
    }
    contents.push_back({{"hash", content.hash.hex()}, {"files", std::move(files)}});
  }
  Json& diffs = json["diffs"] = Json::array();
  for (const auto& diff : plan.diffs) {
    Json changes = Json::array();
    for (const FileChange& change : diff)
      changes.push_back({{"path", change.path}, {"type", state::change_type_name(change.type)}});
    diffs.push_back(std::move(changes));
  }
  Json& targets = json["targets"] = Json::array();
  for (const PlannedTarget& target : plan.targets) {
    Json labels = Json::object();
    for (const auto& [label, value] : target.target.labels) labels[label] = value;
    targets.push_back({{"name", target.target.name.str()},
                       {"kind", target.target.kind},
                       {"labels", std::move(labels)},
                       {"criticality", static_cast<int>(target.target.criticality)},
                       {"env", target.target.env},
                       {"source", target.target.source},
                       {"prepare_wave", target.prepare_wave},
                       {"switch_wave", target.switch_wave},
                       {"content", target.content},
                       {"diff", target.diff},
                       {"from", hash_json(target.from)},
                       {"from_revision", target.from_revision.value},
                       {"reason", target.reason}});
  }
  Json& untouched = json["untouched"] = Json::array();
  for (const UntouchedTarget& target : plan.untouched) {
    untouched.push_back({{"name", target.name.str()}, {"content", target.content.hex()}, {"reason", target.reason}});
  }
  Json& ops = json["ops"] = Json::array();
  for (const PlannedOp& op : plan.ops) {
    ops.push_back({{"kind", op_kind_name(op.kind)}, {"phase", static_cast<int>(op.phase)}, {"index", op.index}});
  }
  Json& waves = json["waves"] = Json::array();
  for (const Wave& wave : plan.waves) {
    Json gates = Json::array();
    for (const Gate& gate : wave.gates) {
      gates.push_back({{"kind", gate_kind_name(gate.kind)}, {"duration_ms", gate.duration.count()}});
      if (gate.kind == Gate::Kind::kAnalysis) gates.back()["analysis"] = gate.analysis;
    }
    waves.push_back(
        {{"label", wave.label}, {"targets", wave.targets}, {"gates", std::move(gates)}, {"weight", wave.weight}});
  }
  Json& delta = json["delta"] = Json::array();
  for (const KeyDelta& key : plan.delta) delta.push_back({{"key", key.key}, {"after", hash_json(key.after)}});
  Json factors = Json::array();
  for (const RiskFactor& factor : plan.risk.factors) {
    factors.push_back(
        {{"name", factor.name}, {"weight", factor.weight}, {"value", factor.value}, {"because", factor.because}});
  }
  json["risk"] = {{"score", plan.risk.score}, {"factors", std::move(factors)}};
  return json;
}

std::string dump(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }

}  // namespace

std::string_view op_kind_name(OpKind kind) {
  constexpr std::string_view kNames[] = {"stage", "validate", "finalize", "step", "health", "activate", "observe"};
  return kNames[static_cast<std::size_t>(kind)];
}
std::string_view gate_kind_name(Gate::Kind kind) {
  constexpr std::string_view kNames[] = {"delay", "pause", "bake", "analysis"};
  return kNames[static_cast<std::size_t>(kind)];
}

PlanHash hash_plan(const Plan& plan) { return {Hash::of(dump(body(plan)))}; }

std::string encode_plan(const Plan& plan) {
  Json json = body(plan);
  json["version"] = 1;
  json["created_at"] = plan.created_at.micros;
  json["expires_at"] = plan.expires_at.micros;
  json["hash"] = plan.hash.value.hex();
  return dump(json);
}

Result<Plan> decode_plan(std::string_view bytes) {
  return codec::guarded<Plan>("plan", bytes, [](const Json& json) -> Result<Plan> {
    if (json.at("version").get<int>() != 1) {
      return fail(ErrorCode::kInvalidArgument,
                  "the plan's format is version " + json.at("version").dump() + "; this build reads 1",
                  "use a newer st8d");
    }
    ST8_ASSIGN(auto name_space, state::NamespaceName::parse(json.at("namespace").get<std::string>()));
    ST8_ASSIGN(auto branch, state::BranchName::parse(json.at("branch").get<std::string>()));
    Plan plan{std::move(name_space),
              std::move(branch),
              {},
              {},
              {},
              {},
              {},
              {},
              {},
              {},
              {},
              {},
              {},
              {},
              {},
              {},
              false,
              false,
              {},
              {},
              {},
              {}};
    plan.revision.value = json.at("revision").get<std::uint64_t>();
    plan.revision_hash = codec::hash(json.at("revision_hash"));
    plan.author = json.at("author").get<std::string>();
    plan.promoted.value = json.at("promoted").get<std::uint64_t>();
    plan.policy_source = json.at("policy").get<std::string>();
    std::vector<DocumentProblem> problems;
    auto policy = parse_policy(plan.policy_source, problems);
    if (!policy) return fail(as_error(problems));
    plan.policy = std::move(*policy);
    plan.fast_path = json.at("fast_path").get<bool>();
    plan.needs_approval = json.at("needs_approval").get<bool>();
    plan.reasons = json.at("reasons").get<std::vector<std::string>>();
    for (const Json& item : json.at("contents")) {
      PlannedContent content{codec::hash(item.at("hash")), {}};
      for (const Json& file : item.at("files")) {
        PlannedFile planned;
        planned.entry = {file.at("path").get<std::string>(), file.at("mode").get<std::uint32_t>(),
                         codec::hash(file.at("hash"))};
        planned.key = file.at("key").get<std::string>();
        planned.rendered = file.contains("rendered_from");
        planned.source = planned.rendered ? codec::hash(file.at("rendered_from")) : planned.entry.hash;
        content.files.push_back(std::move(planned));
      }
      plan.contents.push_back(std::move(content));
    }
    for (const Json& item : json.at("diffs")) {
      std::vector<FileChange> diff;
      for (const Json& change : item) {
        const std::string type = change.at("type").get<std::string>();
        diff.push_back({change.at("path").get<std::string>(), type == "create"   ? state::ChangeType::kCreate
                                                              : type == "delete" ? state::ChangeType::kDelete
                                                                                 : state::ChangeType::kUpdate});
      }
      plan.diffs.push_back(std::move(diff));
    }
    for (const Json& item : json.at("targets")) {
      ST8_ASSIGN(auto name, TargetName::parse(item.at("name").get<std::string>()));
      Target target{std::move(name),      item.at("kind").get<std::string>(), {},
                    Criticality::kMedium, item.at("env").get<std::string>(),  item.at("source").get<std::string>()};
      for (const auto& [label, value] : item.at("labels").items())
        target.labels.emplace_back(label, value.get<std::string>());
      target.criticality = static_cast<Criticality>(std::clamp(item.at("criticality").get<int>(), 0, 3));
      PlannedTarget planned{std::move(target),
                            0,
                            0,
                            0,
                            0,
                            codec::optional_hash(item.at("from")),
                            {},
                            item.at("reason").get<std::string>()};
      planned.prepare_wave = item.at("prepare_wave").get<std::uint32_t>();
      planned.switch_wave = item.at("switch_wave").get<std::uint32_t>();
      planned.content = item.at("content").get<std::uint32_t>();
      planned.diff = item.at("diff").get<std::uint32_t>();
      planned.from_revision.value = item.at("from_revision").get<std::uint64_t>();
      if (planned.content >= plan.contents.size() || planned.diff >= plan.diffs.size()) {
        return fail(ErrorCode::kCorrupt,
                    "the plan's target " + planned.target.name.str() + " names a content that it does not hold", "");
      }
      plan.targets.push_back(std::move(planned));
    }
    for (const Json& item : json.at("untouched")) {
      ST8_ASSIGN(auto name, TargetName::parse(item.at("name").get<std::string>()));
      plan.untouched.push_back(
          {std::move(name), codec::hash(item.at("content")), item.at("reason").get<std::string>()});
    }
    for (const Json& item : json.at("ops")) {
      PlannedOp op;
      bool known = false;
      for (int kind = 0; kind <= static_cast<int>(OpKind::kObserve); ++kind) {
        if (op_kind_name(static_cast<OpKind>(kind)) == item.at("kind").get<std::string>()) {
          op.kind = static_cast<OpKind>(kind);
          known = true;
        }
      }
      if (!known) return fail(ErrorCode::kCorrupt, "the plan has an operation of an unknown kind", "");
      op.phase = static_cast<OpPhase>(std::clamp(item.at("phase").get<int>(), 0, 2));
      op.index = item.at("index").get<std::uint32_t>();
      if ((op.kind == OpKind::kStep && op.index >= plan.policy.steps.size()) ||
          (op.kind == OpKind::kHealth && op.index >= plan.policy.health.size())) {
        return fail(ErrorCode::kCorrupt, "the plan names a step that its policy does not have", "");
      }
      plan.ops.push_back(op);
    }
    for (const Json& item : json.at("waves")) {
      Wave wave{item.at("label").get<std::string>(),
                item.at("targets").get<std::vector<std::uint32_t>>(),
                {},
                item.at("weight").get<std::uint32_t>()};
      for (const std::uint32_t index : wave.targets) {
        if (index >= plan.targets.size())
          return fail(ErrorCode::kCorrupt, "a wave of the plan names a target that it does not hold", "");
      }
      for (const Json& gate : item.at("gates")) {
        const std::string kind = gate.at("kind").get<std::string>();
        wave.gates.push_back({kind == "delay"   ? Gate::Kind::kDelay
                              : kind == "pause" ? Gate::Kind::kPause
                              : kind == "bake"  ? Gate::Kind::kBake
                                                : Gate::Kind::kAnalysis,
                              Millis{gate.at("duration_ms").get<std::int64_t>()}});
        if (wave.gates.back().kind != Gate::Kind::kAnalysis) continue;
        wave.gates.back().analysis = gate.at("analysis").get<std::uint32_t>();
        if (wave.gates.back().analysis >= plan.policy.strategy.analyses.size())
          return fail(ErrorCode::kCorrupt, "a gate of the plan names an analysis that its policy does not have", "");
      }
      plan.waves.push_back(std::move(wave));
    }
    for (const Json& item : json.at("delta"))
      plan.delta.push_back({item.at("key").get<std::string>(), codec::optional_hash(item.at("after"))});
    plan.risk.score = json.at("risk").at("score").get<double>();
    for (const Json& item : json.at("risk").at("factors")) {
      plan.risk.factors.push_back({item.at("name").get<std::string>(), item.at("weight").get<double>(),
                                   item.at("value").get<double>(), item.at("because").get<std::string>()});
    }
    plan.created_at.micros = json.at("created_at").get<std::int64_t>();
    plan.expires_at.micros = json.at("expires_at").get<std::int64_t>();
    plan.hash.value = codec::hash(json.at("hash"));
    return plan;
  });
}

}  // namespace st8::target
