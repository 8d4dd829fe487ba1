#include <gtest/gtest.h>

#include "support/tree_costs.h"

namespace st8::state::tree {
namespace {

TEST(TreeCostsSlow, OneKeyEditsAtAMillionKeys) { check_one_key_costs(1'000'000); }

}  // namespace
}  // namespace st8::state::tree
