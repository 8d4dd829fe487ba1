// Documents in their own places at the other end, each replaced by a rename: what is live is told by a manifest there, and the shell
// that changes it is made here, from what the target told. Pure functions.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "st8/target/target.h"

namespace st8::target::ssh {

// The file driver's `.st8/live.json`.
struct Manifest {
  bool present = false;
  std::string bytes;
  std::string label;
  std::vector<std::string> paths;

  // What the target told: "m" and the bytes, or "-". Takes it from `told`. Errors: kUnavailable, kCorrupt.
  static Result<Manifest> take(std::string_view& told);
  // What put_files() there is to find: its hash, or "-".
  std::string digest() const;
};

// What a restore point knows beside the files, which lie there under the numbers of their paths; "d<number>" says that a
// directory was absent.
struct RestorePoint {
  bool present = false;
  std::vector<std::string> paths;
  std::vector<std::string> directories;  // Of the paths; what is above comes first.
  Manifest manifest;
  std::vector<std::string> names;  // What lies there.

  static Result<RestorePoint> take(std::string_view& told);
};

// Shell that tells kind, mode, "./" path and hash of each of these files that is there.
std::string listing_of(const std::vector<std::string>& paths);

// Shell that keeps what is live and then makes `wanted` live. `found`: how the files of both are now, in path order.
// Errors: kUnprocessable when a document lands where the driver's own things lie.
Result<std::string> switching_of(const Manifest& before, const std::string& label, const std::vector<FileEntry>& wanted,
                                 const std::vector<FileEntry>& found);

// Shell that puts back what a restore point keeps.
std::string restoring_of(const Manifest& now, const RestorePoint& point);

}  // namespace st8::target::ssh
