#include "crash/daemon_crash.h"

namespace st8::test {
namespace {

TEST(DaemonCrash, SurvivesTwoHundredKills) { expect_survives_kills(200, 2026); }

}  // namespace
}  // namespace st8::test
