#include "engine/log_file.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <fcntl.h>
#include <filesystem>
#include <sys/uio.h>
#include <unistd.h>

namespace st8::state {
namespace {

constexpr std::size_t kZeroPartBytes = 16u << 10;
constexpr std::size_t kZeroParts = LogFile::kZeroBytesAhead / kZeroPartBytes;
const char kZeros[kZeroPartBytes] = {};

// How many zeros were written at `offset`; 0 on an error.
std::uint64_t write_zeros(int fd, std::uint64_t offset) {
  std::array<iovec, kZeroParts> parts;
  for (iovec& part : parts) part = {const_cast<char*>(kZeros), kZeroPartBytes};
  const ssize_t written = ::pwritev(fd, parts.data(), static_cast<int>(parts.size()), static_cast<off_t>(offset));
  return written > 0 ? static_cast<std::uint64_t>(written) : 0;
}

int sync_directory(const std::string& directory) {
  const int fd = ::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return errno;
  const int error = ::fsync(fd) == 0 ? 0 : errno;
  ::close(fd);
  return error;
}

}  // namespace

LogFile::~LogFile() { close(); }

int LogFile::open(const std::string& path) {
  fd_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  directory_ = (std::filesystem::path(path).parent_path() / ".").string();
  named_ = false;
  size_ = 0;
  written_out_ = 0;
  written_until_ = 0;
  return fd_ < 0 ? errno : 0;
}

int LogFile::write_at(std::string_view data, std::uint64_t offset) {
  while (!data.empty()) {
    const ssize_t written = ::pwrite(fd_, data.data(), data.size(), static_cast<off_t>(offset));
    if (written < 0) {
      if (errno == EINTR) continue;
      return errno;
    }
    data.remove_prefix(static_cast<std::size_t>(written));
    offset += static_cast<std::uint64_t>(written);
  }
  return 0;
}

int LogFile::append(std::string_view data) {
  if (const int error = write_at(data, size_); error != 0) return error;
  size_ += data.size();
  if (size_ <= written_until_) return 0;
  written_until_ = size_;
  // Behind the data and before its sync, so that a large append is written once. A disk without room for the zeros is
  // no error: the log is then as slow as any other.
  written_until_ += write_zeros(fd_, size_);
  return 0;
}

void LogFile::write_out() {
  if (written_out_ >= size_) return;
  // To the end: zeros that stand there since this append are synced with it. An error shows in the sync, which looks at all pages.
  static_cast<void>(::sync_file_range(fd_, static_cast<off_t>(written_out_), 0, SYNC_FILE_RANGE_WRITE));
  written_out_ = size_;
}

int LogFile::sync() {
  if (!named_) {
    if (const int error = sync_directory(directory_); error != 0) return error;
    named_ = true;
  }
  return ::fdatasync(fd_) == 0 ? 0 : errno;
}

int LogFile::truncate(std::uint64_t size) {
  if (::ftruncate(fd_, static_cast<off_t>(size)) != 0) return errno;
  size_ = size;
  written_out_ = std::min(written_out_, size);
  written_until_ = size;
  return 0;
}

int LogFile::close() {
  if (fd_ < 0) return 0;
  const int cut = written_until_ > size_ ? truncate(size_) : 0;
  const int closed = ::close(fd_) == 0 ? 0 : errno;
  fd_ = -1;
  return cut != 0 ? cut : closed;
}

}  // namespace st8::state
