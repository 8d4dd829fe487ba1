#include "service/unfollowed.h"

#include <gtest/gtest.h>

namespace st8::target {
namespace {

const records::BranchId kMain{"shop", "main"};

TEST(UnfollowedBranches, ABranchIsKnownFromALookOn) {
  UnfollowedBranches unfollowed;
  EXPECT_FALSE(unfollowed.contains("shop", "main"));
  unfollowed.found(kMain, unfollowed.begin_look());
  EXPECT_TRUE(unfollowed.contains("shop", "main"));
  EXPECT_FALSE(unfollowed.contains("shop", "other"));
  EXPECT_FALSE(unfollowed.contains("other", "main"));
}

TEST(UnfollowedBranches, AProposedPolicyIsNotForgottenOverALook) {
  UnfollowedBranches unfollowed;
  unfollowed.found(kMain, unfollowed.begin_look());
  unfollowed.policy_proposed("shop", "main");
  EXPECT_FALSE(unfollowed.contains("shop", "main"));
  // Looked at before the commit is durable, so without its policy.
  unfollowed.found(kMain, unfollowed.begin_look());
  EXPECT_FALSE(unfollowed.contains("shop", "main"));
}

TEST(UnfollowedBranches, ALookThatABranchChangedUnderSaysNothing) {
  UnfollowedBranches unfollowed;
  const auto look = unfollowed.begin_look();
  unfollowed.branch_changed("shop", "main");
  unfollowed.found(kMain, look);
  EXPECT_FALSE(unfollowed.contains("shop", "main"));
  const auto again = unfollowed.begin_look();
  unfollowed.forget();
  unfollowed.found(kMain, again);
  EXPECT_FALSE(unfollowed.contains("shop", "main"));
  unfollowed.found(kMain, unfollowed.begin_look());
  EXPECT_TRUE(unfollowed.contains("shop", "main"));
}

TEST(UnfollowedBranches, AChangeTakesOutItsBranchAndADeletedNamespaceAll) {
  UnfollowedBranches unfollowed;
  const records::BranchId other{"shop", "other"};
  unfollowed.found(kMain, unfollowed.begin_look());
  unfollowed.found(other, unfollowed.begin_look());
  unfollowed.branch_changed("shop", "main");
  EXPECT_FALSE(unfollowed.contains("shop", "main"));
  EXPECT_TRUE(unfollowed.contains("shop", "other"));
  unfollowed.forget();
  EXPECT_FALSE(unfollowed.contains("shop", "other"));
}

TEST(UnfollowedBranches, BeyondTheBoundEveryBranchIsLookedAt) {
  UnfollowedBranches unfollowed;
  unfollowed.found(kMain, unfollowed.begin_look());
  for (int i = 0; i < 70'000; ++i) unfollowed.policy_proposed("shop", "branch-" + std::to_string(i));
  EXPECT_FALSE(unfollowed.contains("shop", "main"));
  unfollowed.found(kMain, unfollowed.begin_look());
  EXPECT_FALSE(unfollowed.contains("shop", "main"));
}

TEST(UnfollowedBranches, ManyBranchesAreNotAllKept) {
  UnfollowedBranches unfollowed;
  for (int i = 0; i < 70'000; ++i) {
    const records::BranchId branch{"shop", "branch-" + std::to_string(i)};
    unfollowed.found(branch, unfollowed.begin_look());
    ASSERT_TRUE(unfollowed.contains(branch.first, branch.second));
  }
  EXPECT_FALSE(unfollowed.contains("shop", "branch-0"));
}

}  // namespace
}  // namespace st8::target
