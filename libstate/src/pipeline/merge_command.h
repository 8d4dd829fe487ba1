// Merge, cherry-pick and revert. What they come to is worked out on the writer's thread, from a head that it has seen;
// the command then commits that if the head is still the same. A branch that moves faster than merges are worked out gets
// its merge worked out by the committer, so that every merge ends.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "merge/tree_merge.h"
#include "pipeline/commands.h"

namespace st8::state::pipeline {

// What a merge comes to at one head.
struct MergePlan {
  RevisionPointer head, source;
  RevisionPointer base, theirs;  // Three-way with the head's tree: theirs' changes from the base.
  bool contained = false;        // A merge of what the head has already.
  bool takes_tree = false;       // Ours is as the base was: the outcome is theirs' tree,
  std::vector<Change> changes;   // and these are its changes from the head.
  merge::TreeMerge merge;
};

// Errors: kNotFound, kInvalidArgument, kGone; those of merge_trees. `pins`, if given, are put on what is read as soon as
// it is resolved.
struct MergePins {
  Pin head, base, theirs;
};
Result<MergePlan> plan_merge(
    const query::Lookup& lookup, keyspace::NamespaceId ns, const tree::NodeSource& nodes,
    const std::function<Result<std::string>(std::string_view key, const DocumentRef& ref)>& read,
    const MergeRequest& request, MergePins* pins);

class MergeCommand final : public Command {
 public:
  explicit MergeCommand(const MergeRequest& request) : request_(request) {}
  Status prepare();
  // What build() is to commit; an error, which it answers with unless the request was answered before; or nothing: it is
  // to work it out itself.
  void set_plan(std::optional<Result<MergePlan>> plan);
  Status build(Committer& committer) override;
  std::size_t bytes() const override { return bytes_; }

  CommitAnswer answer;
  bool moved = false;  // The head is another than the plan's: nothing was done, plan again.

 private:
  const MergeRequest& request_;
  std::optional<Result<MergePlan>> plan_;
  std::size_t bytes_ = 1024;
};

}  // namespace st8::state::pipeline
