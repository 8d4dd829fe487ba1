// A directory tree that nothing leaves: every path is walked component by component without following a symbolic link, so
// neither ".." nor a link planted on the way leads out of it. Whatever is written is durable when a call returns.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <sys/types.h>
#include <vector>

#include "st8/target/target.h"

namespace st8::target::file {

class Fd {
 public:
  Fd() = default;
  explicit Fd(int fd) : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&& other) noexcept {
    if (this != &other) reset(std::exchange(other.fd_, -1));
    return *this;
  }
  ~Fd() { reset(-1); }
  int get() const { return fd_; }
  bool valid() const { return fd_ >= 0; }

 private:
  void reset(int fd);
  int fd_ = -1;
};

// What a file is beside its bytes.
struct Ownership {
  std::uint32_t mode = 0644;
  uid_t uid = static_cast<uid_t>(-1);  // -1: whoever writes.
  gid_t gid = static_cast<gid_t>(-1);
};
struct StoredFile {
  std::string bytes;
  Ownership ownership;
};

// The error of a failed call, in errno, as ours: what is full or unreachable may be tried again, a refusal may not.
Error io_error(int number, std::string what);

class Root {
 public:
  // `path` must be absolute. A missing root is made when its parent is there.
  static Result<Root> open(const std::string& path);

  const std::string& path() const { return path_; }
  int fd() const { return fd_.get(); }

  // The directory at a relative path ("" is the root). With `create`, missing ones are made and their paths (deepest
  // last) added to `made`. Errors: kNotFound, kUnprocessable when a component is a symbolic link or no directory.
  Result<Fd> directory(std::string_view path, bool create = false, std::vector<std::string>* made = nullptr) const {
    return walk(path, create, true, made);
  }
  bool exists(std::string_view path) const;  // Of any kind; the last component is not followed.
  // A regular file. nullopt: nothing there. Errors: kUnprocessable for anything else than a regular file.
  Result<std::optional<StoredFile>> read(std::string_view path) const;
  // Writes beside the path, syncs, and renames over it: a reader sees the old bytes or the new. Directories must be there
  // unless `create_directories`.
  Status replace(std::string_view path, std::string_view bytes, const Ownership& ownership,
                 bool create_directories = false, std::vector<std::string>* made = nullptr) const;
  // The first bytes of a regular file, in place, and syncs: a fraction of what replace() costs. For so few bytes that a disk writes all
  // of them or none (a sector), and for readers that are locked out meanwhile.
  Status overwrite(std::string_view path, std::string_view bytes) const;
  Status remove_file(std::string_view path) const;  // Absence is success.
  Status remove_tree(std::string_view path) const;  // Absence is success.
  Status remove_directory_if_empty(std::string_view path) const;
  Status rename(std::string_view from, std::string_view to) const;  // Syncs both directories, or the one.
  Status exchange(std::string_view a, std::string_view b) const;    // Swaps two entries at once.
  Result<std::optional<std::string>> read_link(
      std::string_view path) const;  // nullopt: nothing there; kUnprocessable: no link.
  Status replace_link(std::string_view path, const std::string& to) const;
  Result<std::vector<std::string>> list(std::string_view path) const;  // Names, sorted; empty when absent.
  Status sync(std::string_view path) const;                            // Of a directory.
  // Every file below, hashed from its bytes on the disk. What is no regular file gets an entry that no plan can have.
  Result<std::vector<FileEntry>> scan(std::string_view path, const CallContext& call) const;

 private:
  friend class TreeBuilder;
  Result<Fd> walk(std::string_view path, bool create, bool sync, std::vector<std::string>* made) const;

  std::string path_;
  Fd fd_;
};

// Writes a tree of new files into a directory that nobody reads yet. Nothing is durable before finish(), which syncs every file and every
// directory once: the journal of a file system takes many files at the cost of few.
class TreeBuilder {
 public:
  // `base` must be absent, below a directory that is there.
  TreeBuilder(const Root& root, std::string base) : root_(root), base_(std::move(base)) {}
  Status add(std::string_view path, std::string_view bytes,
             const Ownership& ownership);  // Relative to the base; each path once.
  Status finish();                         // All is on the disk but the base's own entry in its parent.

 private:
  Status sync_files();

  const Root& root_;
  const std::string base_;
  std::vector<Fd> unsynced_;
  std::set<std::string> directories_;
};

}  // namespace st8::target::file
