// Power loss and failing disks, simulated: a library to preload (LD_PRELOAD) into any program, which stands between it and
// the kernel's file calls. For tests only.
//
// Environment of the program:
//   LD_PRELOAD            kSyncFaultLibrary
//   ST8_SYNC_FAULT_DIR    the directory (absolute) whose files are watched; all others are left alone
//   ST8_SYNC_FAULT        what is to happen, directives separated by commas:
//       fail@N            the Nth sync fails with EIO. As Linux does it: what was to be synced is then never written,
//                         whatever later syncs of that file say
//       fail@N+           that one and all later ones
//       drop@N            the power goes at the Nth sync, before it has done anything: every watched file goes back to
//                         what it held at its last successful sync, and the process is killed
//       keep@N            the process is killed at the Nth sync, and what was written stays (what SIGKILL does)
//       nospace@N+        the Nth write and all later ones fail with ENOSPC (no "+": that one only)
//       names             with drop: names too go back to what they were when their directory was last synced (files
//                         made, renamed and deleted since). Stricter than ext4, which orders most of them; what POSIX promises
//   ST8_SYNC_FAULT_MATCH  counts only syncs and writes of files whose path contains this text (all are still tracked)
//   ST8_SYNC_FAULT_REPORT a file to which one line is appended when the process ends or is killed here:
//                         "syncs=12 writes=80 fired=drop@12 files=3 names=1" (fired=none)
//
// A sync is fsync or fdatasync (sync_file_range makes nothing durable); that of a directory counts too, and makes the names
// in it durable. Children do not inherit the faults: the library takes its variables out of the environment.
//
// What it cannot see: mmap writes, io_uring, and stdio's own buffers until they are written (FILE* writes made inside libc
// are not tracked: such a file keeps what it got). The program must not be a static one, nor built with sanitizers.
#pragma once

#include <string>
#include <vector>

namespace st8::test {

#ifdef ST8_SYNC_FAULT_LIBRARY
inline constexpr const char* kSyncFaultLibrary = ST8_SYNC_FAULT_LIBRARY;
#endif

// The environment entries ("NAME=value") for a program whose files under `directory` shall meet `faults`.
std::vector<std::string> sync_fault_environment(const std::string& directory, const std::string& faults,
                                                const std::string& report = "", const std::string& match = "");

}  // namespace st8::test
