// Documents from files, directories, standard input and the command line.
//
// Keys. A file's key is its path, cleaned: "./conf//app.json" is "conf/app.json"; an absolute path or one that climbs out with
// ".." is no key, and needs --key. A directory's files have keys relative to it: `-f conf` gives "app.json" for conf/app.json.
// --under puts all of them below a path.
//
// What is in a directory. Regular files, hidden ones too, but nothing below ".git"; a link to a regular file below the
// same directory is read as that file. Left out, with a notice that counts them: links to files elsewhere (unless `follow_links`: /etc holds many, to
// programs and libraries), links to directories, dangling links, sockets, pipes and devices.
// A file that cannot be read is an error: half a directory is never sent. What is named itself may be anything that can be read.
//
// Contents are taken as they are, byte for byte.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "st8/state/result.h"
#include "wire/requests.h"

namespace st8::ctl {

struct LoadRequest {
  std::vector<std::string> paths;                     // "-" for standard input.
  std::vector<std::string> values;                    // "key=value"
  std::optional<std::string> key;                     // For the one path.
  std::string under;                                  // Empty: none.
  bool follow_links = false;                          // Also links to files outside of the directory.
  std::function<void(std::uint64_t files)> progress;  // Files read so far; may be null.
};

struct LoadedDocuments {
  std::vector<wire::DocumentBody> documents;  // By key.
  std::vector<std::string> notices;           // What was left out.
  std::uint64_t bytes = 0;                    // Of contents.
};

// Errors: kInvalidArgument (no valid key, a key twice, naming both sources), kNotFound, kPermissionDenied, kTooLarge.
Result<LoadedDocuments> load_documents(const LoadRequest& request);

// The part of a key path that --under and --prune stand for: cleaned, with a slash at the end; "" for "".
Result<std::string> clean_under(const std::string& under);

}  // namespace st8::ctl
