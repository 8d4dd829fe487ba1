#include "service/unfollowed.h"

namespace st8::target {
namespace {

// NUL is in no name.
std::string name_of(std::string_view name_space, std::string_view branch) {
  std::string name;
  name.reserve(name_space.size() + 1 + branch.size());
  return name.append(name_space).append(1, '\0').append(branch);
}

}  // namespace

bool UnfollowedBranches::contains(std::string_view name_space, std::string_view branch) const {
  const std::string name = name_of(name_space, branch);
  const std::lock_guard lock(mutex_);
  return unfollowed_.contains(name);
}

void UnfollowedBranches::policy_proposed(std::string_view name_space, std::string_view branch) {
  std::string name = name_of(name_space, branch);
  const std::lock_guard lock(mutex_);
  unfollowed_.erase(name);
  if (proposed_.size() < kBranchesMax) {
    proposed_.insert(std::move(name));
  } else if (!proposed_.contains(name)) {
    proposed_.insert(std::string());  // One more than may be: found() refuses from here on.
    unfollowed_.clear();
  }
}

void UnfollowedBranches::branch_changed(std::string_view name_space, std::string_view branch) {
  const std::string name = name_of(name_space, branch);
  const std::lock_guard lock(mutex_);
  ++changes_;
  unfollowed_.erase(name);
}

void UnfollowedBranches::forget() {
  const std::lock_guard lock(mutex_);
  ++changes_;
  unfollowed_.clear();
}

UnfollowedBranches::Ticket UnfollowedBranches::begin_look() const {
  const std::lock_guard lock(mutex_);
  return changes_;
}

void UnfollowedBranches::found(const records::BranchId& branch, Ticket ticket) {
  std::string name = name_of(branch.first, branch.second);
  const std::lock_guard lock(mutex_);
  if (ticket != changes_ || proposed_.size() > kBranchesMax || proposed_.contains(name)) return;
  if (unfollowed_.size() >= kBranchesMax) unfollowed_.clear();
  unfollowed_.insert(std::move(name));
}

}  // namespace st8::target
