#include "config/files.h"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace st8::ctl {

Error system_error(std::string_view verb, const std::string& path, int number) {
  ErrorCode code = ErrorCode::kUnavailable;
  if (number == ENOENT || number == ENOTDIR) code = ErrorCode::kNotFound;
  if (number == EACCES || number == EPERM || number == EROFS) code = ErrorCode::kPermissionDenied;
  if (number == EISDIR || number == ELOOP || number == ENAMETOOLONG) code = ErrorCode::kInvalidArgument;
  return Error{code, "cannot " + std::string(verb) + " " + path + ": " + std::strerror(number), ""};
}

Result<std::string> read_whole_descriptor(int descriptor, const std::string& shown, std::size_t bytes_max) {
  const auto too_large = [&] {
    return fail(ErrorCode::kTooLarge,
                shown + " is larger than " + std::to_string(bytes_max) + " bytes, the most that is taken");
  };
  std::string content;
  struct stat status {};
  std::size_t step = 1u << 16;
  if (::fstat(descriptor, &status) == 0 && S_ISREG(status.st_mode) && status.st_size > 0) {
    if (static_cast<std::size_t>(status.st_size) > bytes_max) return too_large();
    // One byte more, so that a file that has not grown ends with the second read.
    step = static_cast<std::size_t>(status.st_size) + 1;
  }
  std::size_t size = 0;
  while (true) {
    if (size > bytes_max) return too_large();
    if (size == content.size()) content.resize(size + step);
    const ssize_t got = ::read(descriptor, content.data() + size, content.size() - size);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return fail(system_error("read", shown, errno));
    if (got == 0) break;
    size += static_cast<std::size_t>(got);
  }
  content.resize(size);
  if (content.capacity() > 2 * size + 4096) content.shrink_to_fit();
  return content;
}

Result<std::string> read_whole_file(const std::string& path, std::size_t bytes_max) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) return fail(system_error("read", path, errno));
  Result<std::string> content = read_whole_descriptor(descriptor, path, bytes_max);
  ::close(descriptor);
  return content;
}

Status make_directories(const std::string& path, mode_t mode) {
  if (path.empty() || ::mkdir(path.c_str(), mode) == 0) return {};
  if (errno == EEXIST) {
    struct stat status {};
    if (::stat(path.c_str(), &status) == 0 && S_ISDIR(status.st_mode)) return {};
    return fail(system_error("make the directory", path, ENOTDIR));
  }
  if (errno != ENOENT) return fail(system_error("make the directory", path, errno));
  const std::size_t slash = path.find_last_of('/');
  if (slash == std::string::npos || slash == 0) return fail(system_error("make the directory", path, errno));
  ST8_TRY(make_directories(path.substr(0, slash), mode));
  if (::mkdir(path.c_str(), mode) == 0 || errno == EEXIST) return {};
  return fail(system_error("make the directory", path, errno));
}

Status write_file_atomically(const std::string& path, std::string_view content, mode_t mode, mode_t directory_mode,
                             WriteManner manner) {
  const std::size_t slash = path.find_last_of('/');
  if (slash != std::string::npos && slash > 0) ST8_TRY(make_directories(path.substr(0, slash), directory_mode));
  // A link keeps being a link: the file it points to is replaced.
  std::string target = path;
  if (char* real = ::realpath(path.c_str(), nullptr)) {
    target = real;
    std::free(real);
  }
  const std::string beside = target + ".tmp." + std::to_string(::getpid());
  const int descriptor = ::open(beside.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, mode);
  if (descriptor < 0) return fail(system_error("write", beside, errno));
  int number = 0;
  const bool exact = manner == WriteManner::kSyncExact;
  // The mode again, for a umask that is wider and a leftover that is looser.
  if (exact && ::fchmod(descriptor, mode) != 0) number = errno;
  while (number == 0 && !content.empty()) {
    const ssize_t put = ::write(descriptor, content.data(), content.size());
    if (put < 0 && errno == EINTR) continue;
    if (put < 0)
      number = errno;
    else
      content.remove_prefix(static_cast<std::size_t>(put));
  }
  if (exact && number == 0 && ::fsync(descriptor) != 0) number = errno;
  if (::close(descriptor) != 0 && number == 0) number = errno;
  if (number == 0 && ::rename(beside.c_str(), target.c_str()) != 0) number = errno;
  if (number != 0) {
    ::unlink(beside.c_str());
    return fail(system_error("write", path, number));
  }
  return {};
}

}  // namespace st8::ctl
