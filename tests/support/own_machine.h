// A machine of its own for one program, as far as files go: in a mount namespace of its own what it writes below /etc, /usr and
// /var lands in a directory of the test, and the real ones stay as they are. So three workers are three servers.
#pragma once

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>
#include <unistd.h>
#include <vector>

#include "support/process.h"

namespace st8::test {

class OwnMachine {
 public:
  explicit OwnMachine(std::filesystem::path directory) : directory_(std::move(directory)) {
    for (const char* part : kParts) {
      std::filesystem::create_directories(written(part));
      std::filesystem::create_directories(directory_ / "work" / part);
    }
  }

  // Why there can be none here; empty: there can. It takes root, and a kernel that lets it mount.
  std::string problem() const {
    if (::geteuid() != 0) return "only root may give a program a machine of its own";
    std::vector<std::string> words = before();
    words.emplace_back("/bin/true");
    const RunResult result = run_process(std::move(words));
    return result.code == 0 ? "" : "no machine of its own: " + result.err;
  }
  // Stands before a program's own words; the process stays the same one.
  std::vector<std::string> before() const {
    std::string script = "set -e\n";
    for (const std::string part : kParts) {
      script += "mount -t overlay overlay -o 'lowerdir=/" + part + ",upperdir=" + written(part).string() +
                ",workdir=" + (directory_ / "work" / part).string() + "' /" + part + "\n";
    }
    return {"/usr/bin/unshare",
            "--mount",
            "--propagation",
            "private",
            "/bin/sh",
            "-c",
            script + first_ + "exec \"$@\"",
            "sh"};
  }
  // Lines for the machine's shell, run there before each program.
  void begin_with(std::string script) { first_ = std::move(script); }
  // Where a file of this machine lies that it has written itself, or that is put there before it begins. `path` is absolute,
  // below one of the parts.
  std::filesystem::path written(std::string_view path) const {
    while (path.starts_with('/')) path.remove_prefix(1);
    return directory_ / "written" / path;
  }
  void put(std::string_view path, std::string_view content, std::filesystem::perms mode) const {
    std::filesystem::create_directories(written(path).parent_path());
    std::ofstream(written(path), std::ios::binary) << content;
    std::filesystem::permissions(written(path), mode);
  }
  bool has(std::string_view path) const { return std::filesystem::is_regular_file(written(path)); }
  std::string read(std::string_view path) const {
    std::ifstream in(written(path), std::ios::binary);
    return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
  }

 private:
  // Not /var itself: a temporary directory may lie there.
  static constexpr const char* kParts[] = {"etc", "usr", "var/lib", "var/cache", "var/log"};
  const std::filesystem::path directory_;
  std::string first_;
};

}  // namespace st8::test
