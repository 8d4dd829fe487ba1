// What may not enter a branch: a policy or a target's document that the strict reader refuses, and a policy that names a
// target that does not exist. Asked on the writer's thread for what an apply brings, and by the committer about every commit,
// whatever made it: a merge, a cherry-pick, a revert, a restore or a rollback brings documents that no apply has seen.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "st8/state/store.h"
#include "st8/target/policy.h"
#include "st8/target/target.h"

namespace st8::target {

class DocumentGuard {
 public:
  explicit DocumentGuard(const state::Store& store) : store_(store) {}

  // All of the documents, changed or not. Errors: kUnprocessable, with file, line, path and suggestion.
  Status validate(const state::NamespaceName& name_space, const std::vector<state::Document>& documents) const;
  // The documents that the commit changes. A rollback may name targets that are gone: the plan leaves them out. Errors: as
  // validate(), and how to do it all the same. Cost: of commits that change none of these documents, a comparison a change.
  Status check(const state::ProposedCommit& commit) const;

 private:
  struct ReadPolicy {
    std::optional<Policy> policy;
    std::vector<DocumentProblem> problems;
  };

  std::shared_ptr<const ReadPolicy> read_policy(const Hash& hash, const std::string& text) const;
  void read_target_document(const std::string& key, const Hash& hash, const std::string& text,
                            std::vector<DocumentProblem>& problems) const;
  bool known_target(const Hash& hash) const;
  std::shared_ptr<const ReadPolicy> known_policy(const Hash& hash) const;
  Status check_names(const Policy& policy, const std::string& text, const std::set<std::string>& made,
                     const std::set<std::string>& unmade, std::vector<DocumentProblem>& problems) const;

  const state::Store& store_;
  // Texts that were read before: the committer, for which all writers wait, rarely has to read one itself.
  mutable std::mutex mutex_;
  mutable std::map<Hash, std::shared_ptr<const ReadPolicy>> policies_;
  mutable std::set<Hash> targets_;  // Good ones.
};

}  // namespace st8::target
