#include "crash/daemon_crash.h"
#include "support/seed.h"

namespace st8::test {
namespace {

TEST(DaemonCrash, SurvivesTwoHundredKills) { expect_survives_kills(200, first_seed(2026)); }

}  // namespace
}  // namespace st8::test
