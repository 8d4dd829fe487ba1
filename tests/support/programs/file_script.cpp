// Does file operations as its arguments say, by the system calls that a preloaded library may stand before.
//   file_script DIR op...      write:NAME:TEXT append:NAME:TEXT at:NAME:OFFSET:TEXT cut:NAME:SIZE sync:NAME trysync:NAME syncdir
//                              rename:FROM:TO remove:NAME link:NAME:TARGET log:NAME:TEXT (a LogFile: opened, appended to, synced and left open)
// Prints one line for each operation that succeeded, and ends with 1 at the first that failed (but for trysync, whose
// failure is expected).
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <list>
#include <string>
#include <unistd.h>
#include <vector>

#include "engine/log_file.h"

namespace {

std::vector<std::string> split(const std::string& text) {
  std::vector<std::string> parts;
  std::size_t begin = 0;
  while (begin <= text.size()) {
    const std::size_t end = std::min(text.find(':', begin), text.size());
    parts.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  parts.resize(4);
  return parts;
}

bool with_file(const std::string& path, int flags, const auto& act) {
  const int fd = ::open(path.c_str(), flags, 0644);
  if (fd < 0) return false;
  const bool done = act(fd);
  const int saved = errno;
  ::close(fd);
  errno = saved;
  return done;
}

bool run(const std::string& directory, const std::vector<std::string>& op) {
  const std::string path = directory + "/" + op[1];
  const auto written = [](ssize_t count, const std::string& text) {
    return count == static_cast<ssize_t>(text.size());
  };
  if (op[0] == "write") {
    return with_file(path, O_WRONLY | O_CREAT | O_TRUNC,
                     [&](int fd) { return written(::write(fd, op[2].data(), op[2].size()), op[2]); });
  }
  if (op[0] == "append") {
    return with_file(path, O_WRONLY | O_CREAT | O_APPEND,
                     [&](int fd) { return written(::write(fd, op[2].data(), op[2].size()), op[2]); });
  }
  if (op[0] == "at") {
    return with_file(path, O_WRONLY, [&](int fd) {
      return written(::pwrite(fd, op[3].data(), op[3].size(), std::atol(op[2].c_str())), op[3]);
    });
  }
  if (op[0] == "cut")
    return with_file(path, O_WRONLY, [&](int fd) { return ::ftruncate(fd, std::atol(op[2].c_str())) == 0; });
  if (op[0] == "sync") return with_file(path, O_RDONLY, [](int fd) { return ::fdatasync(fd) == 0; });
  if (op[0] == "trysync") return !with_file(path, O_RDONLY, [](int fd) { return ::fdatasync(fd) == 0; });
  if (op[0] == "syncdir") return with_file(directory, O_RDONLY | O_DIRECTORY, [](int fd) { return ::fsync(fd) == 0; });
  if (op[0] == "rename") return ::rename(path.c_str(), (directory + "/" + op[2]).c_str()) == 0;
  if (op[0] == "remove") return ::unlink(path.c_str()) == 0;
  if (op[0] == "link") return ::symlink(op[2].c_str(), path.c_str()) == 0;
  if (op[0] == "log") {
    static std::list<st8::state::LogFile> open_logs;
    st8::state::LogFile& file = open_logs.emplace_back();
    errno = file.open(path);
    if (errno == 0) errno = file.append(op[2]);
    if (errno == 0) errno = file.sync();
    return errno == 0;
  }
  return false;
}

}  // namespace

int main(int count, char** arguments) {
  for (int i = 2; i < count; ++i) {
    if (!run(arguments[1], split(arguments[i]))) {
      std::printf("%s: %s\n", arguments[i], std::strerror(errno));
      return 1;
    }
    std::printf("%s\n", arguments[i]);
    std::fflush(stdout);
  }
  return 0;
}
