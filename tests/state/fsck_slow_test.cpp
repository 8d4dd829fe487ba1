// The whole of what fsck_test.cpp samples.
#include "state/fsck_fixture.h"

namespace st8::state::test {
namespace {

using FsckOfEverything = Fsck;

TEST_F(FsckOfEverything, NamesEveryDamagedDocument) {
  damage_documents(1);
  EXPECT_FALSE(HasFailure()) << "the fixture says which damage was not named";
}
TEST_F(FsckOfEverything, NamesEveryDamagedNode) {
  damage_nodes(1);
  EXPECT_FALSE(HasFailure()) << "the fixture says which damage was not named";
}
TEST_F(FsckOfEverything, NamesEveryDamagedRevision) {
  damage_revisions(1);
  EXPECT_FALSE(HasFailure()) << "the fixture says which damage was not named";
}

}  // namespace
}  // namespace st8::state::test
