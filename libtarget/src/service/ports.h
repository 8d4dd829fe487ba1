// What the coordinator needs of the world: where revisions come from, and who does effects. The daemon gives it the store and
// a crew of threads; the simulation gives it what it likes.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "service/records.h"
#include "service/target_documents.h"
#include "st8/state/revision.h"
#include "st8/target/executor.h"
#include "st8/target/planner.h"

namespace st8::target {

using records::BranchId;

// A branch's head, and how it came to be.
struct SourceHead {
  state::RevisionNumber revision;
  Hash hash;
  std::string author;
  state::Cause cause = state::Cause::kApply;
};

struct AppendOrder {
  BranchId branch;
  state::RevisionNumber failed;    // Must still be the head.
  state::RevisionNumber promoted;  // To be copied.
  RolloutId rollout;
  std::string reason;
};

class Source {
 public:
  virtual ~Source() = default;
  virtual Result<std::vector<BranchId>> branches() = 0;
  virtual Result<std::optional<SourceHead>> head(const BranchId& branch) = 0;  // nullopt: no such branch.
  virtual Result<SourceHead> revision(const std::string& name_space, state::RevisionNumber number) = 0;
  // Who was authenticated when the revision was made, which its author may claim to be somebody else than. Empty: not known.
  virtual Result<std::string> maker(const std::string& name_space, state::RevisionNumber number);
  // In key order.
  virtual Result<std::vector<SourceDocument>> documents(const std::string& name_space,
                                                        state::RevisionNumber number) = 0;
  virtual Result<std::optional<std::string>> read(const std::string& name_space, state::RevisionNumber number,
                                                  const std::string& key) = 0;
  // A sealed value of the namespace, opened. Errors: kUnprocessable; always, of a source that has no keys.
  virtual Result<std::string> open(const std::string& name_space, std::string_view sealed);
  // What a revision's documents are rendered from.
  RenderSources render_sources(const std::string& name_space, state::RevisionNumber number);
  // The targets' documents at the head of `main` in st8/system; never null. Thread-safe.
  virtual Result<std::shared_ptr<const TargetDocuments>> targets() = 0;
  // Idempotent by the rollout. The appended revision; or 0 with the reason, when the head has moved on or nothing differs.
  virtual Result<std::pair<state::RevisionNumber, std::string>> append_rollback(const AppendOrder& order) = 0;
};

// One effect, with all that it takes to do it.
struct EffectOrder {
  RolloutId rollout;
  Effect effect;
  std::shared_ptr<const Plan> plan;
  std::uint64_t token = 0;
  std::string restore_point;
  std::vector<std::uint32_t> steps_begun;  // Of kRestore: operations to undo, in the order in which they began.
  std::string reason;                      // Of kAppend.
  CancelFlag cancelled;
};

class EffectRunner {
 public:
  virtual ~EffectRunner() = default;
  // Begins the effect and returns at once. Its result comes to Coordinator::take later, by way of whoever drives it.
  virtual void start(EffectOrder order) = 0;
};

}  // namespace st8::target
