// The `file` driver: a directory of this machine.
//
//   spec:
//     root: /srv/app            # absolute; made when its parent is there
//     mode: directory           # or `files`
//     keep: 5                   # versions kept beside the live one
//
// directory: each version is a directory `revisions/<label>`, and `current` is a symbolic link that is swapped at once. A
//   program reads root/current/….
// files: the documents lie at their own paths below root, each replaced by a rename, with its owner kept; what was there
//   before — bytes, mode, owner, absence — is kept until the rollout is over.
// Beside them `.st8/` holds the lock, the fencing token, restore points, and (for files) staged versions and the manifest.
#pragma once

#include <memory>

#include "document/strict_yaml.h"
#include "st8/target/target.h"

namespace st8::target::file {

enum class Layout : std::uint8_t { kDirectory = 0, kFiles = 1 };

struct FileSpec {
  std::string root;
  Layout layout = Layout::kDirectory;
  std::uint32_t keep = 5;
  void read(strict_yaml::Context& context, const strict_yaml::Value& value);
};

std::unique_ptr<TargetDriver> make_file_driver(FileSpec spec);

}  // namespace st8::target::file
