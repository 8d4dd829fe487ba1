#include "st8/target/planner.h"

#include <algorithm>
#include <array>
#include <set>

#include "st8/target/sealing.h"

namespace st8::target {
namespace {

std::string quoted(std::string_view text) { return "\"" + std::string(text) + "\""; }

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kBlank = " \t\r\n";
  const std::size_t first = text.find_first_not_of(kBlank);
  return first == std::string_view::npos ? std::string_view()
                                         : text.substr(first, text.find_last_not_of(kBlank) - first + 1);
}

// The directories before a glob's first wildcard, with the '/': what `to: dir/` puts its own in place of.
std::string_view fixed_directories(std::string_view glob) {
  const std::size_t wildcard = glob.find_first_of("*?");
  if (wildcard == std::string_view::npos) {
    const std::size_t slash = glob.rfind('/');
    return slash == std::string_view::npos ? std::string_view{} : glob.substr(0, slash + 1);
  }
  const std::size_t slash = glob.substr(0, wildcard).rfind('/');
  return slash == std::string_view::npos ? std::string_view{} : glob.substr(0, slash + 1);
}

std::string land(const DocumentRule& rule, const std::string& key) {
  if (rule.to.empty()) return key;
  if (!rule.to.ends_with('/')) return rule.to;
  const std::string_view fixed = fixed_directories(rule.match);
  const std::string rest = key.substr(key.starts_with(fixed) ? fixed.size() : 0);
  return rule.to == "./" ? rest : rule.to + rest;
}

std::vector<FileChange> diff_files(const std::vector<FileEntry>& from, const std::vector<PlannedFile>& to) {
  std::vector<FileChange> changes;
  std::size_t i = 0, j = 0;
  while (i < from.size() || j < to.size()) {
    if (j == to.size() || (i < from.size() && from[i].path < to[j].entry.path)) {
      changes.push_back({from[i++].path, state::ChangeType::kDelete});
    } else if (i == from.size() || to[j].entry.path < from[i].path) {
      changes.push_back({to[j++].entry.path, state::ChangeType::kCreate});
    } else {
      if (!(from[i] == to[j].entry)) changes.push_back({to[j].entry.path, state::ChangeType::kUpdate});
      ++i;
      ++j;
    }
  }
  return changes;
}

Hash hash_of(const std::vector<PlannedFile>& files) {
  std::vector<FileEntry> entries;
  entries.reserve(files.size());
  for (const PlannedFile& file : files) entries.push_back(file.entry);
  return content_hash(entries);
}

std::vector<PlannedOp> make_ops(const Policy& policy, bool fast_path, std::size_t waves) {
  std::vector<PlannedOp> ops = {{OpKind::kStage, OpPhase::kPrepare, 0}, {OpKind::kValidate, OpPhase::kPrepare, 0}};
  const auto add_checks = [&](OpPhase phase, bool HealthCheck::*when) {
    for (std::uint32_t i = 0; i < policy.health.size(); ++i) {
      if (policy.health[i].*when) ops.push_back({OpKind::kHealth, phase, i});
    }
  };
  if (!fast_path) add_checks(OpPhase::kPrepare, &HealthCheck::before);
  ops.push_back({OpKind::kFinalize, OpPhase::kSwitch, 0});
  for (std::uint32_t i = 0; i < policy.steps.size(); ++i) {
    if (policy.steps[i].before) ops.push_back({OpKind::kStep, OpPhase::kSwitch, i});
  }
  ops.push_back({OpKind::kActivate, OpPhase::kSwitch, 0});
  ops.push_back({OpKind::kObserve, OpPhase::kSwitch, 0});
  for (std::uint32_t i = 0; i < policy.steps.size(); ++i) {
    if (!policy.steps[i].before) ops.push_back({OpKind::kStep, OpPhase::kSwitch, i});
  }
  add_checks(OpPhase::kSwitch, &HealthCheck::after);
  if (waves > 1) {
    ops.push_back({OpKind::kObserve, OpPhase::kConfirm, 0});
    add_checks(OpPhase::kConfirm, &HealthCheck::after);
  }
  return ops;
}

std::vector<std::uint32_t> range(std::size_t from, std::size_t to) {
  std::vector<std::uint32_t> all;
  for (std::size_t i = from; i < to; ++i) all.push_back(static_cast<std::uint32_t>(i));
  return all;
}

// Splits the plan's targets into waves. Targets are in order of (criticality, name), so the least critical go first.
void make_waves(Plan& plan) {
  const Strategy& strategy = plan.policy.strategy;
  const std::size_t total = plan.targets.size();
  const auto percent = [&](std::size_t done) { return static_cast<std::uint32_t>(done * 100 / total); };
  const auto assign = [&](std::size_t from, std::size_t to, std::string label, std::string why) {
    for (std::size_t i = from; i < to; ++i) {
      plan.targets[i].prepare_wave = plan.targets[i].switch_wave = static_cast<std::uint32_t>(plan.waves.size());
      plan.targets[i].reason += "; " + why;
    }
    plan.waves.push_back({std::move(label), range(from, to), {}, percent(to)});
  };
  const StrategyKind kind = plan.fast_path ? StrategyKind::kParallel : strategy.kind;
  switch (kind) {
    case StrategyKind::kParallel:
      assign(0, total, "all", plan.fast_path ? "a rollback reaches all targets at once" : "the strategy is parallel");
      break;
    case StrategyKind::kSequential:
    case StrategyKind::kRolling: {
      const std::size_t size = kind == StrategyKind::kSequential ? 1 : std::min(total, strategy.batch.of(total));
      const std::size_t batches = (total + size - 1) / size;
      for (std::size_t batch = 0; batch < batches; ++batch) {
        const std::size_t from = batch * size;
        const std::string label = "batch " + std::to_string(batch + 1) + " of " + std::to_string(batches);
        assign(from, std::min(total, from + size), label,
               label + (kind == StrategyKind::kSequential ? ", one at a time" : ""));
        if (batch + 1 < batches && strategy.batch_delay.count() > 0) {
          plan.waves.back().gates.push_back({Gate::Kind::kDelay, strategy.batch_delay});
        }
      }
      break;
    }
    case StrategyKind::kCanary: {
      std::size_t done = 0;
      for (const CanaryStep& step : strategy.steps) {
        if (step.kind == CanaryStep::Kind::kSetWeight) {
          const std::size_t to = std::min(total, Amount{step.weight, true}.of(total));
          if (to > done) {
            const std::string label = "canary " + std::to_string(step.weight) + "%";
            assign(done, to, label, label);
            done = to;
          }
        } else {
          // What stands before the first weight holds back the first wave: an empty wave carries it.
          if (plan.waves.empty()) plan.waves.push_back({"before the canary", {}, {}, 0});
          if (step.kind == CanaryStep::Kind::kAnalysis) {
            const Analysis& analysis = strategy.analyses[step.analysis];
            plan.waves.back().gates.push_back(
                {Gate::Kind::kAnalysis, analysis.initial_delay + analysis.reading.interval * (analysis.count - 1),
                 step.analysis});
            continue;
          }
          plan.waves.back().gates.push_back(step.duration ? Gate{Gate::Kind::kDelay, *step.duration}
                                                          : Gate{Gate::Kind::kPause, Millis{0}});
        }
      }
      if (done < total) assign(done, total, "the rest", "after the canary");
      break;
    }
    case StrategyKind::kBlueGreen: {
      Wave preview{"preview", range(0, total), {}, 0};
      if (!strategy.auto_promotion) {
        preview.gates.push_back({Gate::Kind::kPause, Millis{0}});
      } else if (strategy.auto_promotion_delay.count() > 0) {
        preview.gates.push_back({Gate::Kind::kDelay, strategy.auto_promotion_delay});
      }
      plan.waves.push_back(std::move(preview));
      plan.waves.push_back({"switch", range(0, total), {}, 100});
      if (strategy.scale_down_delay.count() > 0)
        plan.waves.back().gates.push_back({Gate::Kind::kBake, strategy.scale_down_delay});
      for (PlannedTarget& target : plan.targets) {
        target.switch_wave = 1;
        target.reason += "; all are staged in preview, then switched together";
      }
      break;
    }
  }
  if (plan.policy.bake.count() > 0) plan.waves.back().gates.push_back({Gate::Kind::kBake, plan.policy.bake});
  // With more than one wave, or time between going live and promotion, the first read-backs are old by the end.
  if (plan.waves.size() > 1 || !plan.waves.back().gates.empty()) {
    plan.waves.push_back({"confirm", range(0, total), {}, 100});
  }
}

Risk assess(const PlannerInput& input, const Plan& plan) {
  Risk risk;
  const auto add = [&](std::string name, double weight, double value, std::string because) {
    risk.factors.push_back({std::move(name), weight, value, std::move(because)});
  };
  Criticality highest = Criticality::kLow;
  double environment = 0;
  std::string environment_because = "no target names an environment";
  for (const PlannedTarget& target : plan.targets) {
    highest = std::max(highest, target.target.criticality);
    const std::string& env = target.target.env;
    // An environment nobody has a figure for counts as staging.
    const double value = env.empty() || env == "dev" ? 0.0 : env == "prod" ? 1.0 : 0.5;
    if (value >= environment && !env.empty()) {
      environment = value;
      environment_because = target.target.name.str() + " is in " + env;
    }
  }
  constexpr std::array<double, 4> kCriticality = {0, 0.33, 0.66, 1};
  add("criticality", 0.25, kCriticality[static_cast<std::size_t>(highest)],
      "the most critical target is " + std::string(criticality_name(highest)));
  add("environment", 0.20, environment, environment_because);
  add("change_type", 0.20, 0, "documents are configuration");
  add("blast_radius", 0.20, std::min(1.0, input.dependents / 10.0),
      std::to_string(input.dependents) + " namespaces depend on this one");
  const StrategyKind kind = plan.fast_path ? StrategyKind::kParallel : plan.policy.strategy.kind;
  const double strategy = kind == StrategyKind::kCanary                                         ? 0
                          : kind == StrategyKind::kRolling || kind == StrategyKind::kSequential ? 0.5
                                                                                                : 1;
  add("strategy", 0.15, strategy, std::string(strategy_name(kind)));
  add("history", 0.10, std::min(1.0, input.recent_rollbacks / 3.0),
      std::to_string(input.recent_rollbacks) + " of the last rollouts were rolled back");
  double sum = 0, weights = 0;
  for (const RiskFactor& factor : risk.factors) {
    sum += factor.weight * factor.value;
    weights += factor.weight;
  }
  risk.score = sum / weights;
  return risk;
}

}  // namespace

bool selects(const TargetSelection& selection, const Target& target, std::string* reason) {
  if (std::find(selection.names.begin(), selection.names.end(), target.name) != selection.names.end()) {
    if (reason) *reason = "named by the policy";
    return true;
  }
  if (selection.labels.empty()) return false;
  std::string why;
  for (const auto& [label, values] : selection.labels) {
    const auto value = target.label(label);
    if (!value || std::find(values.begin(), values.end(), *value) == values.end()) return false;
    why += (why.empty() ? "" : ", ") + label + "=" + std::string(*value);
  }
  if (reason) *reason = "chosen by labels: " + why;
  return true;
}

Result<std::vector<PlannedFile>> place_documents(const Policy& policy, const std::vector<SourceDocument>& documents) {
  std::vector<PlannedFile> files;
  for (const SourceDocument& document : documents) {
    const DocumentRule* rule = nullptr;
    static const DocumentRule kAsItIs{};
    if (policy.documents.empty()) {
      if (!document.key.starts_with(".st8/")) rule = &kAsItIs;
    } else {
      for (const DocumentRule& candidate : policy.documents) {
        if (glob_match(candidate.match, document.key)) {
          rule = &candidate;
          break;
        }
      }
    }
    if (rule == nullptr) continue;
    PlannedFile file;
    file.entry = {land(*rule, document.key), rule->mode, document.hash};
    file.key = document.key;
    file.source = document.hash;
    file.rendered = rule->render;
    if (auto good = check_relative_path(file.entry.path); !good) {
      return fail(ErrorCode::kUnprocessable,
                  "document " + quoted(document.key) + " cannot land at " + quoted(file.entry.path) + ": " +
                      good.error().message,
                  "change `documents` in " + std::string(kPolicyKey));
    }
    files.push_back(std::move(file));
  }
  std::sort(files.begin(), files.end(),
            [](const PlannedFile& a, const PlannedFile& b) { return a.entry.path < b.entry.path; });
  // A path may be a file or a directory, and only once.
  std::set<std::string_view> paths;
  for (std::size_t i = 0; i < files.size(); ++i) {
    if (!paths.insert(files[i].entry.path).second) {
      return fail(ErrorCode::kUnprocessable,
                  "documents " + quoted(files[i - 1].key) + " and " + quoted(files[i].key) + " both land at " +
                      quoted(files[i].entry.path),
                  "change `documents` in " + std::string(kPolicyKey));
    }
  }
  for (const PlannedFile& file : files) {
    const std::string_view path = file.entry.path;
    for (std::size_t slash = path.find('/'); slash != std::string_view::npos; slash = path.find('/', slash + 1)) {
      if (paths.contains(path.substr(0, slash))) {
        return fail(ErrorCode::kUnprocessable,
                    quoted(path.substr(0, slash)) + " would be both a file and the directory of " + quoted(path),
                    "change `documents` in " + std::string(kPolicyKey));
      }
    }
  }
  return files;
}

namespace {

// What stands between the braces that begin a text, without spaces; nullopt: no closing braces.
std::optional<std::string_view> expression(std::string_view text) {
  const std::size_t close = text.find("}}", 2);
  if (close == std::string_view::npos) return std::nullopt;
  return trimmed(text.substr(2, close - 2));
}

Result<std::string> value_of(std::string_view name, const Target& target, const RenderSources& sources) {
  const auto told = [&] { return "{{ " + std::string(name) + " }}"; };
  if (name == "target.name") return target.name.str();
  if (name == "target.kind") return target.kind;
  if (name == "target.env") return target.env;
  if (name.starts_with("target.labels.")) {
    const auto value = target.label(name.substr(14));
    if (value) return std::string(*value);
    return fail(ErrorCode::kUnprocessable, told() + ": target " + target.name.str() + " has no such label",
                "add the label to " + std::string(kTargetPrefix) + target.name.str() + ".yaml");
  }
  if (name.starts_with(kSealedPrefix)) {
    if (!sources.open)
      return fail(ErrorCode::kUnprocessable, "a sealed value cannot be opened here",
                  "st8d opens it with --sealing-keys");
    return sources.open(name);
  }
  if (name.starts_with("key.")) {
    if (!sources.read) return fail(ErrorCode::kUnprocessable, told() + " cannot be read here", "");
    ST8_ASSIGN(std::string value, sources.read(std::string(name.substr(4))));
    if (value.ends_with('\n')) value.pop_back();
    if (const std::string_view whole = trimmed(value); whole.starts_with("{{") && whole.ends_with("}}")) {
      if (const auto sealed = expression(whole); sealed && sealed->starts_with(kSealedPrefix))
        return value_of(*sealed, target, sources);
    }
    return value;
  }
  return fail(ErrorCode::kUnprocessable, told() + " is not known",
              "known: target.name, target.kind, target.env, target.labels.<label>, key.<document key>, sealed values; "
              "write {{{{ for two braces");
}

}  // namespace

Result<std::string> render(std::string_view text, const Target& target, const RenderSources& sources) {
  std::string out;
  std::size_t at = 0;
  while (at < text.size()) {
    const std::size_t open = text.find("{{", at);
    if (open == std::string_view::npos) break;
    out.append(text.substr(at, open - at));
    if (text.substr(open).starts_with("{{{{")) {
      out += "{{";
      at = open + 4;
      continue;
    }
    const auto name = expression(text.substr(open));
    if (!name)
      return fail(ErrorCode::kUnprocessable, "a value begins with {{ and does not end",
                  "end it with }}, or write {{{{ for two braces");
    ST8_ASSIGN(const std::string value, value_of(*name, target, sources));
    out += value;
    if (out.size() > state::Limits::kDocumentBytesMax) {
      return fail(ErrorCode::kTooLarge, "the rendered document is larger than a document may be", "");
    }
    at = text.find("}}", open + 2) + 2;
  }
  if (at < text.size()) out.append(text.substr(at));
  return out;
}

Result<Plan> make_plan(const PlannerInput& input) {
  Plan plan{input.name_space,
            input.branch,
            input.revision,
            input.revision_hash,
            input.author,
            input.promoted,
            input.policy_source,
            input.policy,
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
            input.now,
            {},
            {}};
  plan.expires_at = Timestamp{input.now.micros + input.policy.plan_expiry.count() * 1000};
  plan.fast_path = input.is_rollback;
  ST8_ASSIGN(const std::vector<PlannedFile> files, place_documents(input.policy, input.documents));
  const bool renders = std::any_of(files.begin(), files.end(), [](const PlannedFile& file) { return file.rendered; });

  std::map<Hash, std::uint32_t> contents;
  std::map<std::pair<std::optional<Hash>, std::uint32_t>, std::uint32_t> diffs;
  const auto content_of = [&](const Target& target) -> Result<std::uint32_t> {
    if (!renders && !plan.contents.empty()) return std::uint32_t{0};
    std::vector<PlannedFile> own = files;
    for (PlannedFile& file : own) {
      if (!file.rendered) continue;
      auto text = input.sources.read(file.key);
      if (!text) return fail(text.error());
      auto rendered = render(*text, target, input.sources);
      if (!rendered) {
        Error error = rendered.error();
        error.message = "document " + quoted(file.key) + ": " + error.message;
        return fail(std::move(error));
      }
      file.entry.hash = Hash::of(*rendered);
    }
    const Hash hash = hash_of(own);
    const auto [known, fresh] = contents.try_emplace(hash, static_cast<std::uint32_t>(plan.contents.size()));
    if (fresh) plan.contents.push_back({hash, std::move(own)});
    return known->second;
  };

  bool any = false;
  for (const TargetFacts& facts : input.targets) {
    std::string reason;
    if (!selects(input.policy.targets, facts.target, &reason)) continue;
    any = true;
    if (!facts.live_namespace.empty() &&
        (facts.live_namespace != input.name_space.str() || facts.live_branch != input.branch.str())) {
      return fail(ErrorCode::kUnprocessable,
                  "target " + facts.target.name.str() + " is live with " + facts.live_namespace + " branch " +
                      facts.live_branch + ", and a target serves one branch",
                  "give it a document and a root of its own, or take it out of the other policy and release it");
    }
    const auto there = std::find_if(input.policy.health.begin(), input.policy.health.end(),
                                    [](const HealthCheck& check) { return check.from_target; });
    // A file target is a directory of st8d's own machine; behind the other kinds nobody takes a check.
    if (there != input.policy.health.end() && facts.target.kind != "worker" && facts.target.kind != "file") {
      return fail(ErrorCode::kUnprocessable,
                  "health check " + quoted(there->name) + " is asked from its target, and target " +
                      facts.target.name.str() + " is of kind " + facts.target.kind + ", where nobody can ask",
                  "leave `from` away, or let `st8d worker` reach the target");
    }
    ST8_ASSIGN(const std::uint32_t content, content_of(facts.target));
    const bool live = facts.live && facts.live->present;
    if (live && !facts.drifted && facts.live->content == plan.contents[content].hash) {
      plan.untouched.push_back({facts.target.name, facts.live->content, "its documents do not change"});
      continue;
    }
    PlannedTarget target{facts.target, 0, 0, content, 0, std::nullopt, facts.live_revision, std::move(reason)};
    if (live) target.from = facts.live->content;
    if (facts.drifted) target.reason += "; what is there was changed behind st8's back";
    const auto [diff, fresh] = diffs.try_emplace({target.from, content}, static_cast<std::uint32_t>(plan.diffs.size()));
    if (fresh) {
      static const std::vector<FileEntry> kNothing;
      const auto known = live ? input.known_contents.find(facts.live->content) : input.known_contents.end();
      plan.diffs.push_back(
          diff_files(known == input.known_contents.end() ? kNothing : known->second, plan.contents[content].files));
    }
    target.diff = diff->second;
    plan.targets.push_back(std::move(target));
  }
  if (!any) {
    return fail(
        ErrorCode::kUnprocessable, "the policy chooses no target that exists",
        "add targets to " + std::string(kSystemNamespace) + ", or change `targets` in " + std::string(kPolicyKey));
  }

  // The least critical go first: if a change is bad, it meets them first.
  std::sort(plan.targets.begin(), plan.targets.end(), [](const PlannedTarget& a, const PlannedTarget& b) {
    return std::pair(a.target.criticality, a.target.name) < std::pair(b.target.criticality, b.target.name);
  });
  if (!plan.targets.empty()) {
    make_waves(plan);
    plan.ops = make_ops(plan.policy, plan.fast_path, plan.waves.back().label == "confirm" ? 2 : 1);
  }

  // What this plan changes at its source, in documents that reach targets: the delta a failure puts into quarantine.
  ST8_ASSIGN(const std::vector<PlannedFile> old_files, place_documents(input.policy, input.promoted_documents));
  std::map<std::string, std::optional<Hash>> before;
  for (const PlannedFile& file : old_files) before[file.key] = file.source;
  for (const PlannedFile& file : files) {
    const auto old = before.find(file.key);
    if (old == before.end() || old->second != file.source) plan.delta.push_back({file.key, file.source});
    if (old != before.end()) before.erase(old);
  }
  for (const auto& [key, hash] : before) plan.delta.push_back({key, std::nullopt});
  std::sort(plan.delta.begin(), plan.delta.end(), [](const KeyDelta& a, const KeyDelta& b) { return a.key < b.key; });

  plan.risk = assess(input, plan);
  const ApprovalRule& approval = plan.policy.approval;
  if (!plan.fast_path && !plan.targets.empty()) {
    if (approval.required) {
      plan.needs_approval = true;
      plan.reasons.push_back("the policy requires an approval");
    } else if (approval.risk_threshold && plan.risk.score >= *approval.risk_threshold) {
      plan.needs_approval = true;
      plan.reasons.push_back("the risk reaches the policy's threshold");
    }
  }
  if (plan.fast_path) plan.reasons.push_back("a rollback takes the fast path: all targets at once");
  for (const TargetName& name : input.missing)
    plan.reasons.push_back("the policy names target " + name.str() +
                           ", which has been removed: a rollback goes to the others without it");
  if (plan.noop()) plan.reasons.push_back("no target's documents change");
  plan.hash = hash_plan(plan);
  return plan;
}

}  // namespace st8::target
