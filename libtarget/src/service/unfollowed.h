// The branches that no policy follows, as far as is known: a commit there needs no look of the coordinator's.
//
// A branch is in here only while its head's policy document is known to be none, or to name other branches. That document
// changes in two ways: by a commit, which the store's guard sees before it is durable, and by a branch that is made, renamed
// or deleted, which the store tells of after it is. Both take the branch out; a look that began before one of them cannot
// put it back in. Where nothing is known, the branch is looked at, so forgetting is always right.
//
// Thread-safe.
#pragma once

#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_set>

#include "service/records.h"

namespace st8::target {

class UnfollowedBranches {
 public:
  // True: nobody need look at a commit to it. Cost: a lookup by hash; every commit comes here.
  bool contains(std::string_view name_space, std::string_view branch) const;

  // The guard's: a commit that is being built changes the branch's policy. Whether and when it becomes durable is not known
  // here, so from now on every commit to the branch is looked at.
  void policy_proposed(std::string_view name_space, std::string_view branch);
  // The branch was made, renamed or deleted, or was renamed to this name.
  void branch_changed(std::string_view name_space, std::string_view branch);
  // A namespace was deleted.
  void forget();

  // The coordinator's: a ticket before it reads the branch; found() with it, if no policy follows what was read.
  using Ticket = std::uint64_t;
  Ticket begin_look() const;
  void found(const records::BranchId& branch, Ticket ticket);

 private:
  // Beyond it what is known is forgotten, and learnt again; of proposals, none is forgotten and no branch is known any more.
  static constexpr std::size_t kBranchesMax = 1u << 16;

  mutable std::mutex mutex_;
  std::unordered_set<std::string> unfollowed_;  // By name_of().
  std::unordered_set<std::string> proposed_;
  Ticket changes_ = 0;
};

}  // namespace st8::target
