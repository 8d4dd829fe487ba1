// The `ssh` driver: a directory of another machine, reached with the OpenSSH client, so that its configuration, agent and jump
// hosts work. docs/drivers.md has the fields.
//
// Calls go through a session that stays open: one run of the client, and one shell at the other end, serve many calls of many
// targets of a host. What lies at the other end is what the `file` driver would make there. The content goes by standard input; no
// document stands on a command line here or there.
#pragma once

#include <memory>

#include "drivers/ssh/connection.h"
#include "drivers/ssh/session_pool.h"
#include "st8/target/target.h"

namespace st8::target::ssh {

std::unique_ptr<TargetDriver> make_ssh_driver(SshSpec spec, std::shared_ptr<SessionPool> pool);

}  // namespace st8::target::ssh
