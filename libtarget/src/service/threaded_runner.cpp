#include "service/threaded_runner.h"

#include <algorithm>

#include "effects/step_host.h"
#include "st8/state/failpoint.h"
#include "st8/target/planner.h"

namespace st8::target {

ThreadedRunner::ThreadedRunner(Source& source, const DriverFactory& drivers, const Clock& clock, std::size_t threads,
                               Sink sink)
    : source_(source), drivers_(drivers), clock_(clock), sink_(std::move(sink)), crew_(threads) {}

void ThreadedRunner::start(EffectOrder order) {
  crew_.post([this, order = std::move(order)]() mutable {
    EffectResult result = run(order);
    ST8_FAILPOINT_VOID("rollout.after_effect");
    if (order.effect.kind != Effect::Kind::kDiscard) sink_(order.rollout, std::move(result));
  });
}

CallContext ThreadedRunner::call_for(const EffectOrder& order, Millis timeout) const {
  CallContext call;
  call.clock = &clock_;
  call.deadline = clock_.monotonic() + timeout;
  // Restores are not cut short by the rollback that asked for them; the end of the daemon cuts everything short.
  call.cancelled = order.cancelled ? order.cancelled : stopping_;
  call.fencing_token = order.token;
  call.restore_point = order.restore_point;
  return call;
}

Result<std::shared_ptr<const Content>> ThreadedRunner::content(const EffectOrder& order, std::uint32_t index,
                                                               const Target& target) {
  const Plan& plan = *order.plan;
  const PlannedContent& planned = plan.contents[index];
  const std::pair key{plan.name_space.str() + " " + std::to_string(plan.revision.value), planned.hash};
  {
    const std::lock_guard lock(contents_mutex_);
    if (const auto found = contents_.find(key); found != contents_.end()) {
      if (auto content = found->second.lock()) return content;
    }
  }
  auto content = std::make_shared<Content>();
  content->revision = plan.revision;
  content->hash = planned.hash;
  const RenderSources sources = source_.render_sources(plan.name_space.str(), plan.revision);
  for (const PlannedFile& file : planned.files) {
    ST8_ASSIGN(std::string bytes, sources.read(file.key));
    if (file.rendered) {
      ST8_ASSIGN(bytes, render(bytes, target, sources));
    }
    if (Hash::of(bytes) != file.entry.hash)
      return fail(ErrorCode::kCorrupt, "document \"" + file.key + "\" is not what the plan saw", "run `st8d fsck`");
    content->files.push_back({file.entry, std::make_shared<const std::string>(std::move(bytes))});
  }
  const std::lock_guard lock(contents_mutex_);
  std::erase_if(contents_, [](const auto& one) { return one.second.expired(); });
  contents_[key] = content;
  return std::shared_ptr<const Content>(std::move(content));
}

// What was promoted last, made anew: for a target whose own way back did not lead there.
Result<std::shared_ptr<const Content>> ThreadedRunner::promoted_content(const EffectOrder& order,
                                                                        const PlannedTarget& target) {
  const std::string& ns = order.plan->name_space.str();
  const state::RevisionNumber revision = target.from_revision;
  ST8_ASSIGN(const auto source, source_.read(ns, revision, std::string(kPolicyKey)));
  if (!source) return fail(ErrorCode::kNotFound, "revision " + std::to_string(revision.value) + " has no policy", "");
  std::vector<DocumentProblem> problems;
  const auto policy = parse_policy(*source, problems);
  if (!policy) return fail(as_error(problems));
  ST8_ASSIGN(const auto documents, source_.documents(ns, revision));
  ST8_ASSIGN(auto files, place_documents(*policy, documents));
  const RenderSources sources = source_.render_sources(ns, revision);
  auto content = std::make_shared<Content>();
  content->revision = revision;
  std::vector<FileEntry> entries;
  for (PlannedFile& file : files) {
    ST8_ASSIGN(std::string bytes, sources.read(file.key));
    if (file.rendered) {
      ST8_ASSIGN(bytes, render(bytes, target.target, sources));
      file.entry.hash = Hash::of(bytes);
    }
    entries.push_back(file.entry);
    content->files.push_back({file.entry, std::make_shared<const std::string>(std::move(bytes))});
  }
  content->hash = content_hash(entries);
  if (content->hash != *target.from)
    return fail(ErrorCode::kUnprocessable,
                "revision " + std::to_string(revision.value) + " cannot be made again as it was live", "");
  return std::shared_ptr<const Content>(std::move(content));
}

Result<Observation> ThreadedRunner::observe(const Target& target, std::chrono::nanoseconds timeout) {
  ST8_ASSIGN(const auto driver, drivers_.make(target));
  return driver->observe(call_within(timeout));
}

Status ThreadedRunner::check(const Target& target, std::chrono::nanoseconds timeout) {
  ST8_ASSIGN(const auto driver, drivers_.make(target));
  return driver->check(call_within(timeout));
}

CallContext ThreadedRunner::call_within(std::chrono::nanoseconds timeout) const {
  CallContext call;
  call.clock = &clock_;
  call.deadline = clock_.monotonic() + timeout;
  call.cancelled = stopping_;
  return call;
}

EffectResult ThreadedRunner::run(const EffectOrder& order) {
  EffectResult result{order.effect, Status{}, std::nullopt, std::nullopt, {}, ""};
  const Plan& plan = *order.plan;
  const auto failed = [&](Error error) {
    result.status = fail(std::move(error));
    return result;
  };
  if (stopping_->load()) return failed({ErrorCode::kUnavailable, "the daemon is ending", ""});
  if (order.effect.kind == Effect::Kind::kAppend) {
    auto appended = source_.append_rollback(
        {{plan.name_space.str(), plan.branch.str()}, plan.revision, plan.promoted, order.rollout, order.reason});
    if (!appended) return failed(appended.error());
    result.revision = appended->first;
    result.output = appended->second;
    return result;
  }
  if (order.effect.kind == Effect::Kind::kMeasure) {
    const Analysis& analysis = plan.policy.strategy.analyses[order.effect.check];
    result.status = effects::measure(call_for(order, analysis.reading.timeout), analysis, plan);
    return result;
  }
  const PlannedTarget& target = plan.targets[order.effect.target];
  const effects::StepContext steps{plan.name_space.str(), plan.branch.str(),   plan.revision, target.target,
                                   order.rollout.str(),   order.restore_point, &clock_};
  const auto do_step = [&](const CallContext& context, effects::StepAction action,
                           const StepSpec& step) -> effects::StepOutcome {
    auto driver = drivers_.make(target.target);
    if (!driver) return {fail(driver.error()), ""};
    if (auto* host = dynamic_cast<effects::StepHost*>(driver->get())) return host->step(context, action, step, steps);
    switch (action) {
      case effects::StepAction::kRun:
        return effects::run_step(context, step, steps);
      case effects::StepAction::kUndo:
        return effects::undo_step(context, step, steps);
      case effects::StepAction::kForget:
        break;
    }
    effects::forget_step(step, steps);
    return {Status{}, ""};
  };
  if (order.effect.kind == Effect::Kind::kProbe) {
    const HealthCheck& check = plan.policy.health[order.effect.check];
    if (check.from_target) {
      auto driver = drivers_.make(target.target);
      if (!driver) return failed(driver.error());
      if (auto* host = dynamic_cast<effects::StepHost*>(driver->get())) {
        result.status = host->probe(call_for(order, check.timeout), check, target.target);
        return result;
      }
    }
    result.status = effects::probe(call_for(order, check.timeout), check, target.target);
    return result;
  }
  CallContext call = call_for(order, plan.policy.operation_timeout);
  if (order.effect.kind == Effect::Kind::kOp && plan.ops[order.effect.op].kind == OpKind::kStep) {
    const StepSpec& step = plan.policy.steps[plan.ops[order.effect.op].index];
    call = call_for(order, step.timeout);
    effects::StepOutcome outcome = do_step(call, effects::StepAction::kRun, step);
    result.status = std::move(outcome.status);
    result.output = std::move(outcome.output);
    return result;
  }
  auto made = drivers_.make(target.target);
  if (!made) return failed(made.error());
  TargetDriver& driver = **made;
  switch (order.effect.kind) {
    case Effect::Kind::kOp: {
      const std::string label = version_label(plan.revision, plan.contents[target.content].hash);
      switch (plan.ops[order.effect.op].kind) {
        case OpKind::kStage: {
          auto bytes = content(order, target.content, target.target);
          if (!bytes) return failed(bytes.error());
          result.status = driver.stage(call, **bytes);
          break;
        }
        case OpKind::kValidate: {
          auto hash = driver.validate(call, label);
          if (!hash) return failed(hash.error());
          result.hash = *hash;
          break;
        }
        case OpKind::kActivate:
          call.confirm = plan.policy.confirm;
          result.status = driver.activate(call, label);
          break;
        case OpKind::kFinalize:
        case OpKind::kObserve: {
          auto seen = driver.observe(call);
          if (!seen) return failed(seen.error());
          // The last look before promotion: when it is as planned, the target is told to stay. A revision is promoted when every
          // target took that.
          const bool last = order.effect.op + 1 == plan.ops.size();
          if (last && plan.policy.confirm.count() > 0 && seen->present &&
              seen->content == plan.contents[target.content].hash) {
            if (auto confirmed = driver.confirm(call); !confirmed) return failed(confirmed.error());
          }
          result.observation = std::move(*seen);
          break;
        }
        default:
          return failed({ErrorCode::kInternal, "no such operation", ""});
      }
      return result;
    }
    case Effect::Kind::kRestore: {
      for (auto op = order.steps_begun.rbegin(); op != order.steps_begun.rend(); ++op) {
        const StepSpec& step = plan.policy.steps[plan.ops[*op].index];
        effects::StepOutcome outcome = do_step(call_for(order, step.timeout), effects::StepAction::kUndo, step);
        if (!outcome.status)
          return failed(
              {outcome.status.error().code, "undo step \"" + step.name + "\": " + outcome.status.error().message, ""});
        if (!outcome.output.empty()) result.output += step.name + ": " + outcome.output + "\n";
      }
      call = call_for(order, plan.policy.operation_timeout);
      if (auto restored = driver.restore(call); !restored) return failed(restored.error());
      auto seen = driver.observe(call);
      if (!seen) return failed(seen.error());
      if (target.from && (!seen->present || seen->content != *target.from)) {
        // The way back led somewhere else: someone changed the target before or beside the rollout. What was promoted is
        // put there anew, from the store.
        auto bytes = promoted_content(order, target);
        if (!bytes) return failed(bytes.error());
        if (auto staged = driver.stage(call, **bytes); !staged) return failed(staged.error());
        auto hash = driver.validate(call, (*bytes)->label());
        if (!hash) return failed(hash.error());
        if (*hash != *target.from)
          return failed({ErrorCode::kUnavailable, "what was staged to go back reads back wrong", ""});
        if (auto activated = driver.activate(call, (*bytes)->label()); !activated) return failed(activated.error());
        seen = driver.observe(call);
        if (!seen) return failed(seen.error());
        result.output += "put back from the store: the target had been changed\n";
      }
      result.observation = std::move(*seen);
      return result;
    }
    case Effect::Kind::kDiscard: {
      for (const std::uint32_t op : order.steps_begun)
        (void)do_step(call, effects::StepAction::kForget, plan.policy.steps[plan.ops[op].index]);
      call.restore_point.clear();
      result.status = driver.discard(call);
      return result;
    }
    default:
      return failed({ErrorCode::kInternal, "no such effect", ""});
  }
}

}  // namespace st8::target
