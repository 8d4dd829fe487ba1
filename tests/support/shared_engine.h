// An engine handle that can be given to one store after another: how a test reopens an engine that lives in memory, and
// how it makes commits fail.
#pragma once

#include <functional>
#include <memory>
#include <utility>

#include "st8/state/engine.h"

namespace st8::state::test {

class SharedEngine final : public Engine {
 public:
  // Asked before each commit; an error fails it with nothing written.
  using Fault = std::function<Status(const Batch&)>;

  explicit SharedEngine(std::shared_ptr<Engine> engine, std::shared_ptr<Fault> fault = nullptr)
      : engine_(std::move(engine)), fault_(std::move(fault)) {}

  Result<std::optional<std::string>> get(std::string_view key, const EngineSnapshot* snapshot) const override {
    return engine_->get(key, snapshot);
  }
  std::unique_ptr<Cursor> scan(KeyRange range, const EngineSnapshot* snapshot) const override {
    return engine_->scan(std::move(range), snapshot);
  }
  std::unique_ptr<EngineSnapshot> snapshot() const override { return engine_->snapshot(); }
  Status commit(const Batch& batch, std::span<const Expectation> expectations, Durability durability) override {
    if (fault_ != nullptr && *fault_) ST8_TRY((*fault_)(batch));
    return engine_->commit(batch, expectations, durability);
  }
  Status reclaim(const std::vector<KeyRange>& ranges) override { return engine_->reclaim(ranges); }
  EngineStats stats() const override { return engine_->stats(); }

 private:
  std::shared_ptr<Engine> engine_;
  std::shared_ptr<Fault> fault_;
};

}  // namespace st8::state::test
