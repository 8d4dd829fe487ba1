// The disk's own latency: 4 KiB appended and fdatasynced, and 4 KiB overwritten and fdatasynced, printed beside every result.
#include <chrono>
#include <cstdio>
#include <fcntl.h>
#include <string>
#include <unistd.h>

#include "load/histogram.h"

int main(int argc, char** argv) {
  const std::string path = std::string(argc > 1 ? argv[1] : "/tmp") + "/sync_probe." + std::to_string(::getpid());
  const int fd = ::open(path.c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0600);
  if (fd < 0) {
    std::perror("sync_probe");
    return 1;
  }
  const std::string block(4096, 'x');
  double median[2];
  for (int overwrite = 0; overwrite < 2; ++overwrite) {
    st8::bench::Samples samples;
    for (int i = 0; i < 500; ++i) {
      const auto began = std::chrono::steady_clock::now();
      if (::pwrite(fd, block.data(), block.size(), static_cast<off_t>(i) * 4096) != 4096 || ::fdatasync(fd) != 0) {
        std::perror("sync_probe");
        ::unlink(path.c_str());
        return 1;
      }
      samples.add(static_cast<std::uint64_t>(
          std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now() - began).count()));
    }
    median[overwrite] = samples.micros(0.5);
  }
  ::close(fd);
  ::unlink(path.c_str());
  std::printf("{\"append_us\":%.1f,\"overwrite_us\":%.1f}\n", median[0], median[1]);
  return 0;
}
