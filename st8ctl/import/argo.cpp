// Argo Rollouts' `Rollout`: the strategy, and what of its spec says when one has failed.
#include <algorithm>
#include <array>

#include "import/common.h"

namespace st8::ctl {
namespace {

using wire::JsonValue;

constexpr const char* kPods = "st8 delivers documents to targets, and runs no pods";
constexpr const char* kTraffic = "st8 delivers to a part of the targets, and routes no traffic";
constexpr const char* kAnalysis = "there is no metrics provider; a health check of kind command can ask one";

// Seconds, or text with a unit.
Result<std::int64_t> seconds_or_duration(const Part& part) { return part.duration(true); }

Status read_canary(const Part& canary, JsonValue& policy) {
  if (canary.is_null()) {
    canary.taken("strategy.type");
  } else {
    ST8_TRY(canary.expect_map());
  }
  JsonValue strategy = json_object(), steps = json_list();
  const auto list = canary.take("steps");
  std::int64_t last = 0;
  if (list && !list->is_null()) {
    ST8_TRY(list->expect_list());
    for (const Part& item : list->items()) {
      ST8_TRY(item.expect_map());
      const std::string to = "strategy.steps[" + std::to_string(steps.items.size()) + "]";
      JsonValue step = json_object();
      const auto weight = item.take("setWeight"), pause = item.take("pause");
      if (weight && pause) return item.refuse("has both setWeight and pause; a step is one of them");
      if (steps.items.size() >= 99) {
        item.left("a canary has at most 100 steps");
        continue;
      }
      if (weight) {
        ST8_ASSIGN(const std::int64_t percent, weight->integer(0, 100));
        if (percent == 0) {
          weight->left("a step of weight 0 moves nothing");
        } else if (percent < last) {
          weight->left("a canary does not shrink; a failed one goes back whole");
        } else {
          put(step, "setWeight", json_number(percent));
          weight->changed(to + ".setWeight", "of the targets, where Argo sends this part of the traffic");
          last = percent;
          steps.items.push_back(std::move(step));
        }
      } else if (pause) {
        JsonValue body = json_object();
        const bool empty = pause->is_null() || (pause->is_map() && !pause->take("duration"));
        if (!empty) {
          ST8_TRY(pause->expect_map());
          ST8_ASSIGN(const Part duration, pause->require("duration"));
          ST8_ASSIGN(const std::int64_t millis, seconds_or_duration(duration));
          put(body, "duration", json_text(duration_text(millis)));
          duration.taken(to + ".pause.duration");
        } else {
          pause->taken(to + ".pause");
        }
        pause->rest();
        put(step, "pause", std::move(body));
        steps.items.push_back(std::move(step));
      } else if (const auto analysis = item.take("analysis")) {
        analysis->left(kAnalysis);
      } else if (const auto experiment = item.take("experiment")) {
        experiment->left(kPods);
      } else if (const auto plugin = item.take("plugin")) {
        plugin->left("a step of type script runs what you like");
      } else {
        for (const char* name : {"setCanaryScale", "setHeaderRoute", "setMirrorRoute"}) {
          if (const auto part = item.take(name)) part->left(std::string(name) == "setCanaryScale" ? kPods : kTraffic);
        }
      }
      item.rest();
    }
  } else if (list) {
    list->left("it is empty");
  }
  const auto surge = canary.take("maxSurge"), unavailable = canary.take("maxUnavailable");
  const bool gradual = last > 0;
  if (gradual) {
    put(strategy, "type", json_text("canary"));
    put(strategy, "steps", std::move(steps));
    for (const auto& part : {surge, unavailable}) {
      if (part) part->left("between a canary's steps targets go live at once; maxParallel bounds how many at a time");
    }
  } else {
    // Without a weight Argo replaces pods a few at a time.
    put(strategy, "type", json_text("rolling"));
    for (const JsonValue& step : steps.items) {
      (void)step;
      canary.changed("strategy", "pauses without a weight between them have nothing to wait between, and are left out");
      break;
    }
    JsonValue size = json_text("25%");
    const auto& amount = unavailable ? unavailable : surge;
    if (surge && unavailable) surge->left("a target has no spare; maxUnavailable says how many at a time");
    if (amount && !amount->is_null()) {
      ST8_ASSIGN(const std::string text, amount->text());
      std::string_view digits = text;
      const bool percent = digits.ends_with('%');
      if (percent) digits.remove_suffix(1);
      const bool whole = !digits.empty() && digits.size() <= 6 &&
                         std::all_of(digits.begin(), digits.end(), [](char c) { return c >= '0' && c <= '9'; });
      const int number = whole ? std::stoi(std::string(digits)) : 0;
      if (!whole || (percent && number > 100)) return amount->refuse("is no number, and no part from 0% to 100%");
      if (number == 0) {
        size = json_number(1);
        amount->changed("strategy.batchSize", "0 would never end; one at a time");
      } else {
        size = percent ? json_text(std::to_string(number) + "%") : json_number(number);
        amount->changed("strategy.batchSize", "targets at a time, where Argo counts pods");
      }
    } else if (amount) {
      amount->left("it is empty");
    }
    put(strategy, "batchSize", std::move(size));
  }
  put(policy, "strategy", std::move(strategy));
  static constexpr std::array<std::string_view, 6> kOfTraffic = {"canaryService", "stableService",  "trafficRouting",
                                                                 "pingPong",      "canaryMetadata", "stableMetadata"};
  for (const std::string_view name : kOfTraffic) {
    if (const auto part = canary.take(name)) part->left(kTraffic);
  }
  static constexpr std::array<std::string_view, 6> kOfPods = {
      "dynamicStableScale",          "antiAffinity",
      "minPodsPerReplicaSet",        "scaleDownDelaySeconds",
      "scaleDownDelayRevisionLimit", "abortScaleDownDelaySeconds"};
  for (const std::string_view name : kOfPods) {
    if (const auto part = canary.take(name)) part->left(kPods);
  }
  if (const auto part = canary.take("analysis")) part->left(kAnalysis);
  canary.rest();
  return {};
}

Status read_blue_green(const Part& source, JsonValue& policy) {
  if (source.is_null()) {
    source.taken("strategy.type");
  } else {
    ST8_TRY(source.expect_map());
  }
  JsonValue strategy = json_object();
  put(strategy, "type", json_text("blue-green"));
  if (const auto automatic = source.take("autoPromotionEnabled")) {
    ST8_ASSIGN(const bool on, automatic->boolean());
    put(strategy, "autoPromotion", json_bool(on));
    automatic->taken("strategy.autoPromotion");
  }
  if (const auto delay = source.take("autoPromotionSeconds")) {
    ST8_ASSIGN(const std::int64_t millis, seconds_or_duration(*delay));
    put(strategy, "autoPromotionDelay", json_text(duration_text(millis)));
    delay->changed("strategy.autoPromotionDelay", "written " + duration_text(millis));
  }
  if (const auto delay = source.take("scaleDownDelaySeconds")) {
    ST8_ASSIGN(const std::int64_t millis, seconds_or_duration(*delay));
    put(strategy, "scaleDownDelay", json_text(duration_text(millis)));
    delay->changed("strategy.scaleDownDelay", "written " + duration_text(millis));
  }
  for (const char* name : {"activeService", "previewService", "activeMetadata", "previewMetadata"}) {
    if (const auto part = source.take(name)) part->left(kTraffic);
  }
  for (const char* name : {"prePromotionAnalysis", "postPromotionAnalysis"}) {
    if (const auto part = source.take(name)) part->left(kAnalysis);
  }
  for (const char* name : {"previewReplicaCount", "antiAffinity", "scaleDownDelayRevisionLimit",
                           "abortScaleDownDelaySeconds", "maxUnavailable"}) {
    if (const auto part = source.take(name)) part->left(kPods);
  }
  put(policy, "strategy", std::move(strategy));
  source.rest();
  return {};
}

}  // namespace

Result<Imported> import_argo(std::string_view text, const ImportOptions& options) {
  return read_source(text, [&](const Part& root) -> Result<Imported> {
    Imported out;
    out.policy = new_policy(options);
    ST8_TRY(read_opening(root, "argoproj.io", "v1alpha1", "Rollout"));
    std::string app = "app";
    if (const auto metadata = root.take("metadata"); metadata && !metadata->is_null()) {
      ST8_TRY(metadata->expect_map());
      if (const auto name = metadata->take("name")) {
        ST8_ASSIGN(out.name, name->text());
        if (!out.name.empty()) app = out.name;
        name->changed("targets.labels.app", "the targets that have this label; a Rollout names none");
      }
      if (const auto name_space = metadata->take("namespace"))
        name_space->left("st8's namespaces are not Kubernetes'; --namespace says where the policy goes");
      metadata->rest("a policy has none");
    } else if (metadata) {
      metadata->left("it is empty");
    }
    JsonValue selection = json_object(), labels = json_object();
    put(labels, "app", json_text(app));
    put(selection, "labels", std::move(labels));
    put(out.policy, "targets", std::move(selection));
    ST8_ASSIGN(const Part spec, root.require("spec"));
    ST8_TRY(spec.expect_map());
    ST8_ASSIGN(const Part strategy, spec.require("strategy"));
    ST8_TRY(strategy.expect_map());
    const auto canary = strategy.take("canary"), blue_green = strategy.take("blueGreen");
    if (canary.has_value() == blue_green.has_value())
      return strategy.refuse("is not exactly one of canary and blueGreen");
    if (canary) {
      ST8_TRY(read_canary(*canary, out.policy));
    } else {
      ST8_TRY(read_blue_green(*blue_green, out.policy));
    }
    strategy.rest();
    if (const auto ready = spec.take("minReadySeconds")) {
      ST8_ASSIGN(const std::int64_t millis, seconds_or_duration(*ready));
      put(out.policy, "bake", json_text(duration_text(millis)));
      ready->changed("bake", "how long health is watched after the last wave, where Argo waits for each pod");
    }
    if (const auto deadline = spec.take("progressDeadlineSeconds")) {
      ST8_ASSIGN(const std::int64_t millis, seconds_or_duration(*deadline));
      put(out.policy, "progressDeadline", json_text(duration_text(millis)));
      deadline->changed("progressDeadline", "written " + duration_text(millis));
    }
    if (const auto abort = spec.take("progressDeadlineAbort")) {
      ST8_ASSIGN(const bool on, abort->boolean());
      JsonValue rollback = json_object();
      put(rollback, "auto", json_bool(on));
      put(out.policy, "rollback", std::move(rollback));
      abort->changed("rollback.auto",
                     on ? "a rollout that makes no progress is taken back" : "a failed rollout waits for a person");
    }
    static constexpr std::array<std::pair<std::string_view, std::string_view>, 9> kLeft = {{
        {"replicas", kPods},
        {"selector", kPods},
        {"template", kPods},
        {"workloadRef", kPods},
        {"revisionHistoryLimit", "history is append-only; gc keeps what is live and what checkpoints name"},
        {"paused", "`st8ctl rollout pause` and `st8ctl freeze` hold rollouts up"},
        {"restartAt", kPods},
        {"rollbackWindow", "a rollback always takes the fast path: all targets at once, no canary"},
        {"analysis", kAnalysis},
    }};
    for (const auto& [name, why] : kLeft) {
      if (const auto part = spec.take(name)) part->left(std::string(why));
    }
    spec.rest();
    if (const auto status = root.take("status")) status->left("it tells how things stood");
    root.rest();
    return out;
  });
}

}  // namespace st8::ctl
