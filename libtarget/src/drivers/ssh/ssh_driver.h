// The `ssh` driver: a directory of another machine, reached with the OpenSSH client, so that its configuration, agent and jump
// hosts work. docs/drivers.md has the fields.
//
// One run of the client a call, over a connection that is shared between calls. What lies at the other end is what the `file`
// driver would make there. The content goes by standard input; no value of ours stands on a command line here or there.
#pragma once

#include <memory>

#include "drivers/ssh/connection.h"
#include "st8/target/target.h"

namespace st8::target::ssh {

std::unique_ptr<TargetDriver> make_ssh_driver(SshSpec spec);

}  // namespace st8::target::ssh
