// Help, from the command model: as text for a terminal, as Markdown for docs/cli.md.
#pragma once

#include <string>
#include <vector>

#include "args/command.h"

namespace st8::ctl {

// `path` from the first word to the command; empty: st8ctl itself.
std::string help_text(const std::vector<const Command*>& path);
// Every command that is not hidden.
std::string help_markdown();

}  // namespace st8::ctl
