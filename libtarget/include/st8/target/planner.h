// The planner: a pure function from what is wanted and what is there to a Plan. No clock, no store, no target.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "st8/target/plan.h"

namespace st8::target {

// Where a rendered value comes from beside its target. Either may be empty: then such values are refused.
struct RenderSources {
  std::function<Result<std::string>(const std::string& key)> read;   // A document of the same revision.
  std::function<Result<std::string>(std::string_view sealed)> open;  // A sealed value (sealing.h), by its name.
};

// A document of the revision that shall go live.
struct SourceDocument {
  std::string key;
  Hash hash;
  std::uint64_t size = 0;
};

// What is known of a target before the plan.
struct TargetFacts {
  Target target;
  std::optional<Observation> live;  // As last promoted there, or read back since; nullopt: never.
  state::RevisionNumber live_revision;
  std::string live_namespace, live_branch;  // Whose content that is; empty: nobody's.
  bool drifted = false;  // Something else was found there since: it is brought back, though `live` is right.
};

struct PlannerInput {
  state::NamespaceName name_space;
  state::BranchName branch;
  state::RevisionNumber revision;
  Hash revision_hash;
  std::string author;
  bool is_rollback = false;                        // The revision copies an earlier state: the fast path.
  state::RevisionNumber promoted;                  // 0: none yet.
  std::vector<SourceDocument> promoted_documents;  // Of `promoted`; empty when there is none.
  std::string policy_source;
  Policy policy;
  std::vector<SourceDocument> documents;  // In key order.
  std::vector<TargetFacts> targets;       // All there are; the policy chooses.
  // The files of contents that are live somewhere, by their hash, for the diffs.
  std::map<Hash, std::vector<FileEntry>> known_contents;
  // Asked only for documents of rules with `render`, and what their text names.
  RenderSources sources;
  std::uint32_t dependents = 0;        // Namespaces whose policies wait for this one.
  std::uint32_t recent_rollbacks = 0;  // Among the branch's last 10 rollouts.
  Timestamp now;
  std::vector<TargetName> missing = {};  // Named by the policy, and no targets any more: a rollback goes without them.
};

// Errors: kUnprocessable (two documents land on one path, a path is refused, a value cannot be rendered, no target is
// chosen, a target belongs to another namespace), naming the document or target. Cost: O(documents + targets · log), plus
// O(documents) per target when something is rendered.
Result<Plan> make_plan(const PlannerInput& input);

// Which documents a policy lands where; shared by the planner and by whoever needs the content of an older revision.
Result<std::vector<PlannedFile>> place_documents(const Policy& policy, const std::vector<SourceDocument>& documents);

// Fills in {{ target.name }}, {{ target.kind }}, {{ target.env }}, {{ target.labels.<label> }}, {{ key.<document key> }}
// (without its last newline; a document that is one sealed value gives that value) and {{ sealed.… }}. `{{{{` stands for "{{".
// Errors: kUnprocessable, naming what is unknown, and never a value.
Result<std::string> render(std::string_view text, const Target& target, const RenderSources& sources);

// Whether the policy chooses the target, and why.
bool selects(const TargetSelection& selection, const Target& target, std::string* reason = nullptr);

}  // namespace st8::target
