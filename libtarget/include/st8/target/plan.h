// A Plan: what a rollout would do, as pure data — which targets, in which waves, with which operations and gates, and why.
// Plans are compared, hashed, stored and approved; they hold hashes of content and no content.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "st8/state/document.h"
#include "st8/target/ids.h"
#include "st8/target/policy.h"
#include "st8/target/target.h"

namespace st8::target {

// A file that a target shall hold, and the document it comes from.
struct PlannedFile {
  FileEntry entry;
  std::string key;  // The document.
  Hash source;      // Hash of the document's content; differs from entry.hash when rendered.
  bool rendered = false;
  friend bool operator==(const PlannedFile&, const PlannedFile&) = default;
};
// A set of files, shared by all targets that get the same.
struct PlannedContent {
  Hash hash;
  std::vector<PlannedFile> files;  // In path order.
  friend bool operator==(const PlannedContent&, const PlannedContent&) = default;
};

struct FileChange {
  std::string path;
  state::ChangeType type = state::ChangeType::kUpdate;
  friend bool operator==(const FileChange&, const FileChange&) = default;
};

// One operation at a target. Every target of a plan goes through the same list.
enum class OpKind : std::uint8_t {
  kStage = 0,
  kValidate = 1,
  kFinalize = 2,
  kStep = 3,
  kHealth = 4,
  kActivate = 5,
  kObserve = 6
};
std::string_view op_kind_name(OpKind kind);

// In which of a target's waves an operation runs.
enum class OpPhase : std::uint8_t {
  kPrepare = 0,  // Nothing live is touched.
  kSwitch = 1,   // The version goes live. The same wave as kPrepare but for blue-green.
  kConfirm = 2,  // The last wave, over all targets: everything is read back once more before promotion.
};
struct PlannedOp {
  OpKind kind = OpKind::kStage;
  OpPhase phase = OpPhase::kPrepare;
  std::uint32_t index = 0;  // Of kStep and kHealth: in the policy's list.
  friend bool operator==(const PlannedOp&, const PlannedOp&) = default;
};

struct PlannedTarget {
  Target target;
  std::uint32_t prepare_wave = 0;
  std::uint32_t switch_wave = 0;
  std::uint32_t content = 0;  // In Plan::contents.
  std::uint32_t diff = 0;     // In Plan::diffs.
  std::optional<Hash> from;   // What is live there now, as last promoted; nullopt: nothing of st8's.
  state::RevisionNumber from_revision;
  std::string reason;  // Why it is in the plan, and in its wave.
};

// A target that the policy chooses and the plan leaves alone.
struct UntouchedTarget {
  TargetName name;
  Hash content;
  std::string reason;
};

struct Gate {
  enum class Kind : std::uint8_t {
    kDelay = 0,     // Wait.
    kPause = 1,     // Wait for `promote`.
    kBake = 2,      // Wait, with the health of every activated target watched.
    kAnalysis = 3,  // Take readings, and go on when few enough of them failed.
  };
  Kind kind = Kind::kDelay;
  Millis duration{0};
  std::uint32_t analysis = 0;  // kAnalysis: in the policy's Strategy::analyses.
  friend bool operator==(const Gate&, const Gate&) = default;
};
std::string_view gate_kind_name(Gate::Kind kind);

struct Wave {
  std::string label;                   // "canary 10%", "batch 2 of 5", "preview", "confirm", ...
  std::vector<std::uint32_t> targets;  // In Plan::targets.
  std::vector<Gate> gates;             // One after the other, when the wave's operations are done.
  std::uint32_t weight = 100;          // Percent of the targets that are away from the old version after it.
  friend bool operator==(const Wave&, const Wave&) = default;
};

struct RiskFactor {
  std::string name;
  double weight = 0;
  double value = 0;  // 0 to 1.
  std::string because;
};
struct Risk {
  double score = 0;  // Σ(weight·value) / Σweight.
  std::vector<RiskFactor> factors;
};

// A key of the source whose change this plan carries; what is quarantined when it fails.
struct KeyDelta {
  std::string key;
  std::optional<Hash> after;  // nullopt: deleted.
  friend bool operator==(const KeyDelta&, const KeyDelta&) = default;
};

struct Plan {
  state::NamespaceName name_space;
  state::BranchName branch;
  state::RevisionNumber revision;
  Hash revision_hash;
  std::string author;              // Of the revision; may not approve it.
  state::RevisionNumber promoted;  // The last promoted revision: where a rollback goes. 0: none.
  std::string policy_source;       // The policy's text: the executor reads steps and checks from it.
  Policy policy;                   // Parsed from policy_source.
  std::vector<PlannedContent> contents;
  std::vector<std::vector<FileChange>> diffs;
  std::vector<PlannedTarget> targets;  // In order of name.
  std::vector<UntouchedTarget> untouched;
  std::vector<PlannedOp> ops;  // The list every target goes through.
  std::vector<Wave> waves;
  std::vector<KeyDelta> delta;
  Risk risk;
  bool needs_approval = false;
  bool fast_path = false;            // A rollback: all targets at once, no canary, no windows.
  std::vector<std::string> reasons;  // Why the plan is as it is.
  Timestamp created_at;
  Timestamp expires_at;
  PlanHash hash;  // Over all of the above but the times.

  // The wave in which an operation of a target runs.
  std::uint32_t wave_of(const PlannedTarget& target, const PlannedOp& op) const {
    switch (op.phase) {
      case OpPhase::kPrepare:
        return target.prepare_wave;
      case OpPhase::kSwitch:
        return target.switch_wave;
      case OpPhase::kConfirm:
        break;
    }
    return waves.empty() ? 0 : static_cast<std::uint32_t>(waves.size() - 1);
  }
  bool noop() const { return targets.empty(); }
};

// The plan as JSON (docs/formats.md): what is stored. Read back by decode_plan to an equal plan.
std::string encode_plan(const Plan& plan);
Result<Plan> decode_plan(std::string_view bytes);
// Computes Plan::hash from the rest.
PlanHash hash_plan(const Plan& plan);

}  // namespace st8::target
