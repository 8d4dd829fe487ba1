#include "st8/target/lint.h"

#include <algorithm>
#include <set>

#include "document/documents.h"
#include "st8/target/planner.h"

namespace st8::target {
namespace {

using strict_yaml::Context;
using strict_yaml::Map;
using strict_yaml::Value;

std::string count_of(std::size_t count, std::string_view noun) {
  return std::to_string(count) + " " + std::string(noun) + (count == 1 ? "" : "s");
}

class Linter {
 public:
  Linter(std::string_view text, const Policy& policy, const LintFacts& facts, std::vector<Finding>& findings)
      : context_{std::string(kPolicyKey), problems_},
        policy_(policy),
        facts_(facts),
        findings_(findings),
        root_(strict_yaml::load(context_, text)) {}

  void run() {
    if (!root_) return;
    branches();
    targets();
    documents();
    strategy();
    health();
    steps();
    deadlines();
    consequences();
  }

 private:
  // A field by its names from the root; nullopt when it is not written.
  std::optional<Value> at(std::initializer_list<std::string_view> names) {
    std::optional<Value> value(std::in_place, context_, *root_, "");
    for (const std::string_view name : names) {
      if (!value->is_map()) return std::nullopt;
      Map map(context_, *value);
      const auto next = map.take(name);
      if (!next) return std::nullopt;
      // Made anew: assigned to, a node of this library would change the document.
      value.emplace(*next);
    }
    return value;
  }
  std::optional<Value> item(std::initializer_list<std::string_view> names, std::size_t index) {
    const auto list = at(names);
    if (!list || !list->is_sequence()) return std::nullopt;
    const std::vector<Value> items = list->items();
    return index < items.size() ? std::optional<Value>(items[index]) : std::nullopt;
  }
  // Says it of a value; of the whole document when the value is not written.
  void say(Severity severity, std::string rule, const std::optional<Value>& where, std::string path,
           std::string message, std::string suggestion) {
    problems_.clear();
    if (where) {
      where->problem(std::move(message), std::move(suggestion));
    } else {
      context_.problem({}, std::move(path), std::move(message), std::move(suggestion));
    }
    for (DocumentProblem& problem : problems_) findings_.push_back({severity, rule, std::move(problem)});
    problems_.clear();
  }
  void warn(std::string rule, const std::optional<Value>& where, std::string path, std::string message,
            std::string suggestion) {
    say(Severity::kWarning, std::move(rule), where, std::move(path), std::move(message), std::move(suggestion));
  }

  void branches() {
    if (!facts_.branches) return;
    std::vector<std::string_view> names(facts_.branches->begin(), facts_.branches->end());
    if (!facts_.branch.empty() && std::find(names.begin(), names.end(), facts_.branch) == names.end())
      names.push_back(facts_.branch);
    for (std::size_t i = 0; i < policy_.branches.size(); ++i) {
      const std::string& glob = policy_.branches[i];
      if (std::any_of(names.begin(), names.end(), [&](std::string_view name) { return glob_match(glob, name); }))
        continue;
      const std::string near = nearest(glob, names);
      warn("no-branch", item({"branches"}, i), "branches", "no branch is called so now",
           near.empty() ? "it goes live when such a branch is made" : "did you mean `" + near + "`?");
    }
    if (!facts_.branch.empty() && !policy_.names_branch(facts_.branch)) {
      warn("other-branch", at({"branches"}), "branches",
           "branch " + facts_.branch + " is not named: what is applied there goes live nowhere",
           "add it, or apply the policy to a branch that is named");
    }
  }

  void targets() {
    if (!facts_.targets) return;
    chosen_.emplace();
    for (const Target& target : *facts_.targets) {
      if (selects(policy_.targets, target)) chosen_->push_back(&target);
    }
    for (const auto& [label, wanted] : policy_.targets.labels) {
      std::set<std::string> values, labels;
      for (const Target& target : *facts_.targets) {
        for (const auto& [name, value] : target.labels) {
          labels.insert(name);
          if (name == label) values.insert(value);
        }
      }
      const auto place = at({"targets", "labels", label});
      if (!labels.contains(label)) {
        const std::vector<std::string_view> known(labels.begin(), labels.end());
        const std::string near = nearest(label, known);
        warn("no-label", place, "targets.labels", "no target has the label " + label,
             near.empty() ? "add it to targets in " + std::string(kSystemNamespace) : "did you mean `" + near + "`?");
        continue;
      }
      for (const std::string& value : wanted) {
        if (values.contains(value)) continue;
        const std::vector<std::string_view> known(values.begin(), values.end());
        const std::string near = nearest(value, known);
        std::string all;
        for (const std::string& one : values) all += (all.empty() ? "" : ", ") + one;
        warn("no-label", place, "targets.labels", "no target has " + label + "=" + value,
             near.empty() ? "there are " + all : "did you mean `" + near + "`?");
      }
    }
    // Names without a target were told one by one.
    if (chosen_->empty() && policy_.targets.names.empty()) {
      warn("no-target", at({"targets"}), "targets", "chooses no target that exists",
           "add targets to " + std::string(kSystemNamespace) + ", or change the labels");
    }
    if (policy_.failures_max > 0 && !chosen_->empty() && policy_.failures_max >= chosen_->size()) {
      warn("failures-endless", at({"maxFailures"}), "maxFailures",
           "as many failures as there are targets (" + std::to_string(chosen_->size()) + ") end no rollout",
           "a smaller number stops a bad revision");
    }
  }

  void documents() {
    if (!facts_.keys) return;
    std::vector<SourceDocument> documents;
    for (const std::string& key : *facts_.keys) documents.push_back({key, {}, 0});
    std::vector<std::size_t> decides(policy_.documents.size()), matches(policy_.documents.size());
    for (const SourceDocument& document : documents) {
      bool decided = false;
      for (std::size_t i = 0; i < policy_.documents.size(); ++i) {
        if (!glob_match(policy_.documents[i].match, document.key)) continue;
        ++matches[i];
        if (!decided) ++decides[i];
        decided = true;
      }
    }
    for (std::size_t i = 0; i < policy_.documents.size(); ++i) {
      if (decides[i] != 0) continue;
      if (matches[i] == 0) {
        warn("no-document", item({"documents"}, i), "documents",
             "no document's key matches " + policy_.documents[i].match, "`*` stays within a segment, `**` crosses '/'");
      } else {
        warn("never-decides", item({"documents"}, i), "documents",
             "the rules before it decide for every document that it matches",
             "put it before them: the first rule that matches a key decides");
      }
    }
    const auto placed = place_documents(policy_, documents);
    if (!placed) {
      say(Severity::kError, "placement", at({"documents"}), "documents", placed.error().message, placed.error().hint);
    } else if (placed->empty() && !documents.empty()) {
      warn("nothing-lands", at({"documents"}), "documents", "no document of the revision lands on a target", "");
    }
  }

  void strategy() {
    const Strategy& strategy = policy_.strategy;
    const std::size_t total = chosen_ ? chosen_->size() : 0;
    if (strategy.kind == StrategyKind::kParallel && total > 1) {
      warn("all-at-once", at({"strategy"}), "strategy",
           "a bad revision reaches all " + std::to_string(total) + " targets at once",
           "rolling or canary reaches a few first: strategy: {type: rolling, batchSize: 10%}");
    }
    if (strategy.kind == StrategyKind::kRolling && total > 1 && strategy.batch.of(total) >= total) {
      warn("all-at-once", at({"strategy", "batchSize"}), "strategy.batchSize",
           "one batch holds all " + std::to_string(total) + " targets",
           "a smaller batch stops a bad revision at the first one");
    }
    if (strategy.kind != StrategyKind::kCanary) return;
    std::size_t before = 0;
    bool gates = !policy_.health.empty();
    for (std::size_t i = 0; i < strategy.steps.size(); ++i) {
      const CanaryStep& step = strategy.steps[i];
      if (step.kind == CanaryStep::Kind::kPause) {
        gates = true;
        continue;
      }
      const std::size_t now = (total * step.weight + 99) / 100;
      if (total > 0 && now == before) {
        warn("empty-step", item({"strategy", "steps"}, i), "strategy.steps",
             "of " + count_of(total, "target") + ", " + std::to_string(step.weight) + "% adds none to those before",
             "");
      }
      if (total > 1 && now == total && before == 0) {
        warn("all-at-once", item({"strategy", "steps"}, i), "strategy.steps",
             "of " + count_of(total, "target") + ", the first step takes all", "begin with a smaller weight");
      }
      before = now;
    }
    if (!gates)
      warn("no-gate", at({"strategy"}), "strategy",
           "nothing stands between the canary's steps: no pause, and no health check", "add a pause, or `health`");
  }

  void health() {
    const bool waves = policy_.strategy.kind != StrategyKind::kParallel;
    if (policy_.health.empty()) {
      const bool gated = std::any_of(policy_.steps.begin(), policy_.steps.end(), [](const StepSpec& step) {
        return !step.before && step.required && !step.continue_on_failure;
      });
      if (waves && !gated) {
        warn("no-health", std::nullopt, "health",
             "without a health check a wave passes as soon as its content is read back",
             "add one, for example health: [{http: {url: \"http://127.0.0.1:{{ target.labels.port }}/healthz\"}}]");
      }
    }
    if (policy_.bake.count() > 0 && std::none_of(policy_.health.begin(), policy_.health.end(),
                                                 [](const HealthCheck& check) { return check.bake; })) {
      warn("bake-blind", at({"bake"}), "bake", "no health check is watched through the bake, so it only waits",
           "add a check, or `bake` to the `when` of one");
    }
    for (std::size_t i = 0; i < policy_.health.size(); ++i) {
      const HealthCheck& check = policy_.health[i];
      const auto place = item({"health"}, i);
      const std::string path = "health[" + std::to_string(i) + "]";
      if (!check.before && !check.after && !check.bake)
        warn("never-asked", place, path, "its `when` is empty, so it is never asked",
             "leave `when` away for after and bake");
      if (check.interval * (check.successes - 1) >= check.deadline) {
        warn("cannot-pass", place, path,
             std::to_string(check.successes) + " probes " + format_duration(check.interval) +
                 " apart do not fit into its deadline of " + format_duration(check.deadline),
             "a longer deadline, a shorter interval, or fewer successes");
      }
      if (check.kind == HealthKind::kHttp && check.expect_status.empty())
        warn("cannot-pass", place, path, "no status is good", "name one in `expectStatus`");
    }
  }

  void steps() {
    for (std::size_t i = 0; i < policy_.steps.size(); ++i) {
      const StepSpec& step = policy_.steps[i];
      const auto place = item({"steps"}, i);
      const std::string path = "steps[" + std::to_string(i) + "]";
      const bool script = step.kind == StepKind::kScript && !step.params.contains("rollback");
      const bool http = step.kind == StepKind::kHttp && !step.params.contains("rollbackUrl");
      if (policy_.rollback_auto && (script || http)) {
        warn("no-rollback", place, path, "step " + step.name + " is not taken back when the rollout is",
             script ? "give it a `rollback`; `true` when there is nothing to take back"
                    : "give it a `rollbackUrl`, when there is something to take back");
      }
      if (step.retry.attempts > 1 && !step.idempotent &&
          (step.kind == StepKind::kScript || step.kind == StepKind::kHttp)) {
        warn("retry-twice", place, path,
             "step " + step.name + " is tried up to " + std::to_string(step.retry.attempts) +
                 " times, and does not say that it may be done twice",
             "idempotent: true, or retry: {attempts: 1}");
      }
    }
  }

  void deadlines() {
    for (const HealthCheck& check : policy_.health) {
      if (policy_.progress_deadline <= check.deadline) {
        warn("deadline-first", at({"progressDeadline"}), "progressDeadline",
             "ends the rollout before the check " + check.name + " may (" + format_duration(check.deadline) + ")",
             "make it longer than every check's deadline");
        break;
      }
    }
    if (policy_.confirm.count() > 0) confirmation();
    if (policy_.schedule && facts_.now.micros != 0 && *policy_.schedule <= facts_.now) {
      warn("schedule-past", at({"schedule"}), "schedule", "is in the past, and holds nothing back",
           "remove it, or name a later time");
    }
  }

  // The first targets wait to be confirmed from their activation to the end of the last gate.
  void confirmation() {
    Millis least = policy_.bake;
    bool person = false, begun = false;
    if (policy_.strategy.kind == StrategyKind::kCanary) {
      for (const CanaryStep& step : policy_.strategy.steps) {
        if (step.kind == CanaryStep::Kind::kSetWeight)
          begun = true;
        else if (begun && step.duration)
          least += *step.duration;
        else if (begun)
          person = true;
      }
    }
    const auto place = at({"confirm"});
    if (person) {
      warn("confirm-first", place, "confirm",
           "does not wait for the person that a pause waits for: the targets go back by themselves meanwhile",
           "give the pause a duration, or leave `confirm` away");
    } else if (policy_.confirm <= least) {
      warn("confirm-first", place, "confirm",
           "is over before the rollout can be: bake and pauses alone take " + format_duration(least),
           "make it longer than all that the rollout takes");
    }
    if (chosen_ && !chosen_->empty() &&
        std::none_of(chosen_->begin(), chosen_->end(), [](const Target* target) { return target->kind == "worker"; })) {
      warn("confirm-nobody", place, "confirm", "no target is one of a worker, and others do not go back by themselves",
           "leave it away");
    }
  }

  void consequences() {
    if (!policy_.rollback_auto)
      warn("no-rollback", at({"rollback", "auto"}), "rollback.auto",
           "a failed rollout leaves its targets as they are until someone aborts it", "");
    if (!policy_.approval.by.empty() && !policy_.approval.required && !policy_.approval.risk_threshold) {
      warn("approval-unasked", at({"approval"}), "approval", "names who may approve, and never asks",
           "add required: true, or a riskThreshold");
    }
    for (std::size_t i = 0; i < policy_.depends_on.size(); ++i) {
      const Dependency& dependency = policy_.depends_on[i];
      const auto place = item({"dependsOn"}, i);
      const std::string path = "dependsOn[" + std::to_string(i) + "]";
      if (dependency.name_space == facts_.name_space && policy_.names_branch(dependency.branch)) {
        say(Severity::kError, "waits-for-itself", place, path,
            "the namespace waits for itself, and would wait for ever", "name another namespace");
      } else if (facts_.branch_exists && !facts_.branch_exists(dependency)) {
        warn("no-dependency", place, path,
             "there is no branch " + dependency.branch + " in " + dependency.name_space +
                 ": the rollout waits until it is promoted",
             "");
      }
    }
    for (std::size_t i = 0; i < policy_.windows.size(); ++i) {
      if (policy_.windows[i].days == 0)
        warn("never-open", item({"windows"}, i), "windows", "opens on no day", "leave `days` away for every day");
    }
  }

  std::vector<DocumentProblem> problems_;
  Context context_;
  const Policy& policy_;
  const LintFacts& facts_;
  std::vector<Finding>& findings_;
  std::optional<YAML::Node> root_;
  std::optional<std::vector<const Target*>> chosen_;
};

}  // namespace

std::string_view severity_name(Severity severity) { return severity == Severity::kError ? "error" : "warning"; }

std::vector<Finding> lint_policy(std::string_view text, const LintFacts& facts) {
  std::vector<Finding> findings;
  std::vector<DocumentProblem> problems;
  const auto policy = parse_policy(text, problems);
  for (DocumentProblem& problem : problems) findings.push_back({Severity::kError, "syntax", std::move(problem)});
  problems.clear();
  if (policy && facts.targets) {
    std::vector<TargetName> known;
    for (const Target& target : *facts.targets) known.push_back(target.name);
    check_policy_targets(*policy, text, known, problems);
  }
  for (DocumentProblem& problem : problems) findings.push_back({Severity::kError, "no-target", std::move(problem)});
  if (policy) Linter(text, *policy, facts, findings).run();
  return findings;
}

}  // namespace st8::target
