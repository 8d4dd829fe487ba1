// Whole files in and out, with errors that name the path and say why.
#pragma once

#include <string>
#include <string_view>
#include <sys/types.h>

#include "st8/state/result.h"

namespace st8::ctl {

// Errors: kNotFound, kPermissionDenied, kInvalidArgument (a directory), kTooLarge (more than `bytes_max`), kUnavailable.
Result<std::string> read_whole_file(const std::string& path, std::size_t bytes_max = std::string::npos);
Result<std::string> read_whole_descriptor(int descriptor, const std::string& shown,
                                          std::size_t bytes_max = std::string::npos);

// Writes beside `path` and renames over it: a reader sees the old or the new file; with kSyncExact so does who
// looks after a crash, and the mode is set whatever the umask; kMasked obeys it. Makes missing directories.
enum class WriteManner : unsigned char { kSyncExact, kMasked };
Status write_file_atomically(const std::string& path, std::string_view content, mode_t mode, mode_t directory_mode,
                             WriteManner manner = WriteManner::kSyncExact);
Status make_directories(const std::string& path, mode_t mode);

// An errno as an Error: `cannot <verb> <path>: <reason>`.
Error system_error(std::string_view verb, const std::string& path, int number);

}  // namespace st8::ctl
