// A coordinator among targets that do at once whatever they are asked: for what a step of it costs, and what its readers see.
#pragma once

#include <deque>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "sim/simulation.h"

namespace st8::target {

class RolloutWorld final : public Source, public EffectRunner {
 public:
  // `targets` take what branch main of "shop" holds, nothing being live there; something is live at `elsewhere` others,
  // brought there by no rollout that the records know.
  RolloutWorld(std::size_t targets, std::size_t elsewhere, std::string policy = {}) {
    if (!policy.empty()) policy_ += policy;
    for (std::size_t i = 0; i < targets; ++i) {
      const TargetName name = name_of("shop", i);
      std::string text = "kind: file\nlabels: {role: web}\nspec: {root: /none/" + name.str() + "}\n";
      const Hash hash = Hash::of(text);
      documents_->emplace(name,
                          std::make_shared<const TargetDocument>(TargetDocument::read(name, hash, std::move(text))));
    }
    for (std::size_t i = 0; i < elsewhere; ++i) {
      const TargetName name = name_of("elsewhere", i);
      records_.map()[records::live(name)] = encode_ledger_entry(
          {name, "elsewhere", "main", {1}, Hash::of(name.str()), {}, true, Timestamp{1}, std::nullopt});
    }
  }

  static TargetName name_of(const std::string& group, std::size_t i) {
    return *TargetName::parse("rack-" + std::to_string(i % 40) + "." + group + "-" + std::to_string(100'000 + i));
  }
  const BranchId& branch() const { return branch_; }
  // Of so many documents a revision consists, besides the policy.
  void set_values(std::size_t values) { values_ = values; }
  Coordinator& coordinator() { return *coordinator_; }
  sim::SimRecords& records() { return records_; }
  std::size_t waiting() const { return orders_.size(); }
  // Targets whose restore points were to go, in order.
  const std::vector<std::uint32_t>& discarded() const { return discarded_; }
  Timestamp now() { return Timestamp{now_ += 1000}; }

  // A coordinator that begins with what the records hold.
  Status start() {
    orders_.clear();
    coordinator_ = std::make_unique<Coordinator>(records_, *this, *this);
    return coordinator_->recover(now());
  }
  void apply() {
    ++revisions_;
    coordinator_->branch_moved(branch_);
  }
  void step() { static_cast<void>(coordinator_->step(now())); }
  void pass(std::int64_t seconds) { now_ += seconds * 1'000'000; }
  // What the oldest effect is that the coordinator began and was not told the result of.
  const EffectOrder& oldest() const { return orders_.front(); }
  // Tells it that result; nothing is decided upon it before step().
  void answer(Status status = {}) {
    const EffectOrder order = std::move(orders_.front());
    orders_.pop_front();
    EffectResult result{order.effect, std::move(status), std::nullopt, std::nullopt, {}, ""};
    if (order.effect.kind != Effect::Kind::kOp) {
      if (order.effect.kind == Effect::Kind::kRestore) {
        const auto& from = order.plan->targets[order.effect.target].from;
        result.observation = Observation{from.has_value(), from.value_or(Hash{}), ""};
      } else {
        result.output = "nothing is appended here";
      }
      coordinator_->take(order.rollout, result, now());
      return;
    }
    const Hash wanted = order.plan->contents[order.plan->targets[order.effect.target].content].hash;
    switch (order.plan->ops[order.effect.op].kind) {
      case OpKind::kValidate:
        result.hash = wanted;
        break;
      case OpKind::kFinalize:
        result.observation = Observation{false, Hash{}, ""};
        break;
      case OpKind::kObserve:
        result.observation = Observation{true, wanted, ""};
        break;
      default:
        break;
    }
    coordinator_->take(order.rollout, result, now());
  }

  // --- Source ---

  Result<std::vector<BranchId>> branches() override { return std::vector<BranchId>{branch_}; }
  Result<std::optional<SourceHead>> head(const BranchId& branch) override {
    if (branch != branch_ || revisions_ == 0) return std::optional<SourceHead>{};
    return std::optional<SourceHead>(head_of(revisions_));
  }
  Result<SourceHead> revision(const std::string&, state::RevisionNumber number) override {
    return head_of(number.value);
  }
  Result<std::vector<SourceDocument>> documents(const std::string&, state::RevisionNumber number) override {
    const std::string value = value_of(number.value);
    std::vector<SourceDocument> documents{{std::string(kPolicyKey), Hash::of(policy_), policy_.size()}};
    for (std::size_t i = 0; i < values_; ++i) {
      documents.push_back({i == 0 ? "value" : "value-" + std::to_string(1000 + i), Hash::of(value), value.size()});
    }
    return documents;
  }
  Result<std::optional<std::string>> read(const std::string&, state::RevisionNumber number,
                                          const std::string& key) override {
    return std::optional<std::string>(key == kPolicyKey ? policy_ : value_of(number.value));
  }
  Result<std::shared_ptr<const TargetDocuments>> targets() override { return documents_; }
  Result<std::pair<state::RevisionNumber, std::string>> append_rollback(const AppendOrder&) override {
    return std::pair(state::RevisionNumber{}, std::string("nothing is appended here"));
  }

  // --- EffectRunner ---

  void start(EffectOrder order) override {
    if (order.effect.kind == Effect::Kind::kOp || order.effect.kind == Effect::Kind::kRestore ||
        order.effect.kind == Effect::Kind::kAppend) {
      orders_.push_back(std::move(order));
    } else if (order.effect.kind == Effect::Kind::kDiscard) {
      discarded_.push_back(order.effect.target);
    }
  }

 private:
  static std::string value_of(std::uint64_t revision) { return "value " + std::to_string(revision); }
  SourceHead head_of(std::uint64_t number) const {
    return {{number}, Hash::of("revision " + std::to_string(number)), "author", state::Cause::kApply};
  }

  std::string policy_ = "branches: [main]\ntargets: {labels: {role: web}}\n";
  const BranchId branch_{"shop", "main"};
  std::int64_t now_ = 1'800'000'000'000'000;
  std::uint64_t revisions_ = 0;
  std::size_t values_ = 1;
  std::shared_ptr<TargetDocuments> documents_ = std::make_shared<TargetDocuments>();
  sim::SimRecords records_;
  std::deque<EffectOrder> orders_;
  std::vector<std::uint32_t> discarded_;
  std::unique_ptr<Coordinator> coordinator_;
};

}  // namespace st8::target
