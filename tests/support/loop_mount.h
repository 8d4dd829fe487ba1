// A file system of its own, in an image file on a loop device: to be cut off, or filled, without harm to anything else.
#pragma once

#include <filesystem>
#include <string>
#include <unistd.h>

#include "support/run_program.h"
#include "support/temp_directory.h"

namespace st8::test {

class LoopMount {
 public:
  // An ext4 of that size, mounted. `problem()` says why not: it takes root, and a kernel that has loop devices.
  explicit LoopMount(int mebibytes) {
    if (::geteuid() != 0) {
      problem_ = "only root may mount";
      return;
    }
    std::filesystem::create_directory(path());
    if (!run({"/usr/bin/truncate", "-s", std::to_string(mebibytes) + "M", image()})) return;
    if (!run({"/sbin/mkfs.ext4", "-q", "-F", "-m", "0", image()})) return;
    mount();
  }
  ~LoopMount() { unmount(); }
  LoopMount(const LoopMount&) = delete;
  LoopMount& operator=(const LoopMount&) = delete;

  const std::string& problem() const { return problem_; }  // Empty: it is mounted.
  std::string path() const { return (directory_.path() / "mount").string(); }

  // Again, after unmount(): a copy of the disk. Whoever made a mount namespace meanwhile still has the old one mounted, and
  // the system would give the same file system anew, cut off as it is.
  void mount() {
    const std::string copy = image() + ".copy";
    if (was_mounted_ &&
        (!run({"/usr/bin/cp", "--sparse=always", image(), copy}) || !run({"/usr/bin/mv", copy, image()})))
      return;
    mounted_ = was_mounted_ = run({"/usr/bin/mount", "-o", "loop", image(), path()});
  }
  void make_read_only() { run({"/usr/bin/mount", "-o", "remount,ro", path()}); }
  void unmount() {
    if (mounted_ && run({"/usr/bin/umount", path()})) mounted_ = false;
  }
  // What a power cut leaves: from now on every call fails with EIO, and what was not synced is not there after mounting again.
  void cut_off() { run({"/usr/sbin/xfs_io", "-x", "-c", "shutdown", path()}); }

 private:
  bool run(std::vector<std::string> words) {
    const std::string program = words.front();
    const ProgramEnd end = run_program(std::move(words));
    if (end.exit_code != 0) problem_ = program + ": " + end.output;
    return end.exit_code == 0;
  }
  std::string image() const { return (directory_.path() / "image").string(); }

  TempDirectory directory_;
  std::string problem_;
  bool mounted_ = false;
  bool was_mounted_ = false;
};

}  // namespace st8::test
