// What st8d does to a state directory without serving it: fsck, backup, restore. The directory must not be in use.
#pragma once

#include <string>

#include "st8/state/result.h"

namespace st8::daemon {

// Prints each problem and a summary. kCorrupt when there is one.
Status fsck(const std::string& state_dir);
// Writes the stream into a file that must not exist yet, whole or not at all.
Status backup(const std::string& state_dir, const std::string& file);
// Makes a new state directory of a backup and proves it.
Status restore(const std::string& state_dir, const std::string& file);

}  // namespace st8::daemon
