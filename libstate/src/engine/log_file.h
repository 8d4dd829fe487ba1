// A file for a write-ahead log: appended and synced in small steps, where each sync must be as short as the disk allows.
//
// Syncing an append costs two writes to the disk: the data, and the file's new size in the file system's journal. A file
// whose blocks are already written has only the first. So this one is filled with zeros a stretch ahead of its end, and
// an append overwrites them: measured on ext4, a sync of 1.5 KiB takes 40 µs instead of 65, and 137 instead of 255 on a
// slower disk. After a crash the zeros stand behind the last record; a log's reader must take them for its end.
// close() cuts them off.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace st8::state {

// Errors are errno values, 0 for none. append() and close() are for one thread at a time, and so is sync(), which may run beside append().
class LogFile {
 public:
  static constexpr std::size_t kZeroBytesAhead = 256u << 10;

  LogFile() = default;
  ~LogFile();
  LogFile(const LogFile&) = delete;
  LogFile& operator=(const LogFile&) = delete;

  // Makes the file, empty; one that exists is emptied.
  int open(const std::string& path);
  // Behind the last append. When it fails, a part may have been written.
  int append(std::string_view data);
  // Has the disk begin to write what was appended, and does not wait: a sync behind it has less to wait for. Promises nothing.
  // For who appends.
  void write_out();
  // All that was appended before the call is on stable storage, and so is the file's name.
  int sync();
  // Drops what lies behind `size`.
  int truncate(std::uint64_t size);
  int close();
  // Bytes appended; the zeros ahead do not count.
  std::uint64_t size() const { return size_; }

 private:
  int write_at(std::string_view data, std::uint64_t offset);

  std::string directory_;
  bool named_ = false;  // On stable storage.
  int fd_ = -1;
  std::uint64_t size_ = 0;
  std::uint64_t written_out_ = 0;    // write_out() has seen what lies before.
  std::uint64_t written_until_ = 0;  // The file's size on disk: data, then zeros. Never below size_.
};

}  // namespace st8::state
