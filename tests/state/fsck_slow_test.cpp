// The whole of what fsck_test.cpp samples.
#include "state/fsck_fixture.h"

namespace st8::state::test {
namespace {

using FsckOfEverything = Fsck;

TEST_F(FsckOfEverything, NamesEveryDamagedDocument) { damage_documents(1); }
TEST_F(FsckOfEverything, NamesEveryDamagedNode) { damage_nodes(1); }
TEST_F(FsckOfEverything, NamesEveryDamagedRevision) { damage_revisions(1); }

}  // namespace
}  // namespace st8::state::test
