// Does effects on a crew of threads, through drivers.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>

#include "service/crew.h"
#include "service/ports.h"

namespace st8::target {

class ThreadedRunner final : public EffectRunner {
 public:
  using Sink = std::function<void(RolloutId, EffectResult)>;
  // `sink` is called from the crew's threads. Everything is borrowed.
  ThreadedRunner(Source& source, const DriverFactory& drivers, const Clock& clock, std::size_t threads, Sink sink);

  void start(EffectOrder order) override;
  Crew& crew() { return crew_; }
  // From now on calls end as soon as they look.
  void cancel_all() { stopping_->store(true); }

  // Both done on the caller's thread.
  Result<Observation> observe(const Target& target, std::chrono::nanoseconds timeout);
  Status check(const Target& target, std::chrono::nanoseconds timeout);

 private:
  EffectResult run(const EffectOrder& order);
  Result<std::shared_ptr<const Content>> content(const EffectOrder& order, std::uint32_t index, const Target& target);
  Result<std::shared_ptr<const Content>> promoted_content(const EffectOrder& order, const PlannedTarget& target);
  CallContext call_for(const EffectOrder& order, Millis timeout) const;
  CallContext call_within(std::chrono::nanoseconds timeout) const;

  Source& source_;
  const DriverFactory& drivers_;
  const Clock& clock_;
  Sink sink_;
  CancelFlag stopping_ = std::make_shared<std::atomic<bool>>(false);
  std::mutex contents_mutex_;
  // Contents in use, shared by the targets that get the same; forgotten when the last one is done.
  std::map<std::pair<std::string, Hash>, std::weak_ptr<const Content>> contents_;
  Crew crew_;  // The last: its threads use the rest.
};

}  // namespace st8::target
