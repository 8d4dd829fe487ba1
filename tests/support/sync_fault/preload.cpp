// The preloaded library of sync_fault.h. Every function here replaces libc's of the same name and goes to the kernel by
// syscall(), so nothing in it can meet itself.
//
// Data: for each file (by inode) with writes since its last sync, the bytes that they replaced below the synced size, in
// order; undoing them backwards and cutting the file to the synced size gives what the disk would hold. Names: the changes of
// each directory since its last sync, in order, with hard links to what was replaced or deleted.
#include <cerrno>
#include <csignal>
#include <cstdarg>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#include <fcntl.h>
#include <filesystem>
#include <linux/limits.h>
#include <map>
#include <mutex>
#include <string>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>
#include <utility>
#include <vector>

namespace {

using FileId = std::pair<dev_t, ino_t>;

struct Undo {
  std::uint64_t offset;
  std::string bytes;
  bool lost = false;  // A sync of it failed: no later one brings it back.
};

struct File {
  int fd = -1;  // Our own, for reading and writing.
  std::uint64_t synced_size = 0;
  std::vector<Undo> undo;  // At least one while the file is listed.
};

struct NameChange {
  enum class Kind { kCreate, kMakeDirectory, kRename, kExchange, kUnlink, kRemoveDirectory } kind;
  std::string path;    // For a rename: the new one.
  std::string from;    // For a rename: the old one.
  std::string backup;  // What stood at `path`; empty: nothing.
};

struct Directive {
  enum class Kind { kFail, kDrop, kKeep, kNoSpace } kind;
  std::uint64_t at = 0;
  bool and_later = false;
  bool holds(std::uint64_t count) const { return count == at || (and_later && count > at); }
};

struct Shim {
  std::recursive_mutex mutex;
  bool active = false;
  bool names = false;
  std::string directory, match, report, backups;
  std::vector<Directive> directives;
  std::map<FileId, File> files;
  std::vector<NameChange> changes;
  std::uint64_t syncs = 0, writes = 0, backup_count = 0;
  std::string fired = "none";
};

void say(const std::string& text) { static_cast<void>(!::syscall(SYS_write, 2, text.data(), text.size())); }

std::string take_environment(const char* name) {
  const char* value = std::getenv(name);
  std::string text = value == nullptr ? "" : value;
  ::unsetenv(name);
  return text;
}

void configure(Shim& shim) {
  const std::string spec = take_environment("ST8_SYNC_FAULT");
  shim.directory = take_environment("ST8_SYNC_FAULT_DIR");
  shim.match = take_environment("ST8_SYNC_FAULT_MATCH");
  shim.report = take_environment("ST8_SYNC_FAULT_REPORT");
  ::unsetenv("LD_PRELOAD");
  if (shim.directory.empty()) return;
  while (shim.directory.size() > 1 && shim.directory.back() == '/') shim.directory.pop_back();
  shim.backups = shim.directory + ".sync-fault";
  std::size_t begin = 0;
  while (begin < spec.size()) {
    const std::size_t end = std::min(spec.find(',', begin), spec.size());
    const std::string one = spec.substr(begin, end - begin);
    begin = end + 1;
    if (one == "names") {
      shim.names = true;
      continue;
    }
    const std::size_t at = one.find('@');
    const std::string kind = one.substr(0, at);
    Directive directive{};
    char* behind = nullptr;
    if (at != std::string::npos) directive.at = std::strtoull(one.c_str() + at + 1, &behind, 10);
    directive.and_later = behind != nullptr && *behind == '+';
    const bool known = kind == "fail" || kind == "drop" || kind == "keep" || kind == "nospace";
    if (!known || directive.at == 0 || (*behind != '\0' && behind[directive.and_later ? 1 : 0] != '\0')) {
      say("sync_fault: cannot read \"" + one + "\"\n");
      ::_exit(138);
    }
    directive.kind = kind == "fail"   ? Directive::Kind::kFail
                     : kind == "drop" ? Directive::Kind::kDrop
                     : kind == "keep" ? Directive::Kind::kKeep
                                      : Directive::Kind::kNoSpace;
    shim.directives.push_back(directive);
  }
  // Files with unsynced writes are kept open here beside the program's own.
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) == 0) {
    limit.rlim_cur = limit.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &limit);
  }
  shim.active = true;
}

// Never destroyed: files are written until the last instant.
Shim& shim() {
  static Shim* const instance = [] {
    auto* made = new Shim;
    configure(*made);
    return made;
  }();
  return *instance;
}

bool watched(const Shim& all, const std::string& path) {
  return path.size() > all.directory.size() && path.compare(0, all.directory.size(), all.directory) == 0 &&
         path[all.directory.size()] == '/';
}

std::string path_of_fd(int fd) {
  char target[PATH_MAX];
  const std::string link = "/proc/self/fd/" + std::to_string(fd);
  const long length = ::syscall(SYS_readlink, link.c_str(), target, sizeof target);
  return length <= 0 ? "" : std::string(target, static_cast<std::size_t>(length));
}

std::string absolute(int directory_fd, const char* path) {
  if (path == nullptr) return "";
  std::filesystem::path made(path);
  if (made.is_relative()) {
    char here[PATH_MAX];
    std::string base;
    if (directory_fd == AT_FDCWD) {
      if (::syscall(SYS_getcwd, here, sizeof here) > 0) base = here;
    } else {
      base = path_of_fd(directory_fd);
    }
    made = std::filesystem::path(base) / made;
  }
  return made.lexically_normal().string();
}

bool exists(const std::string& path, struct stat* info = nullptr) {
  struct stat own {};
  return ::syscall(SYS_newfstatat, AT_FDCWD, path.c_str(), info == nullptr ? &own : info, AT_SYMLINK_NOFOLLOW) == 0;
}

bool counted(const Shim& all, const std::string& path) {
  return all.match.empty() || path.find(all.match) != std::string::npos;
}

void write_report(Shim& all) {
  if (all.report.empty()) return;
  const std::string line = "syncs=" + std::to_string(all.syncs) + " writes=" + std::to_string(all.writes) +
                           " fired=" + all.fired + " files=" + std::to_string(all.files.size()) +
                           " names=" + std::to_string(all.changes.size()) + "\n";
  const long fd = ::syscall(SYS_openat, AT_FDCWD, all.report.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0644);
  if (fd < 0) return;
  static_cast<void>(!::syscall(SYS_write, fd, line.data(), line.size()));
  ::syscall(SYS_close, fd);
  all.report.clear();
}

void undo_data(File& file) {
  for (auto undo = file.undo.rbegin(); undo != file.undo.rend(); ++undo) {
    static_cast<void>(!::syscall(SYS_pwrite64, file.fd, undo->bytes.data(), undo->bytes.size(), undo->offset));
  }
  ::syscall(SYS_ftruncate, file.fd, file.synced_size);
}

void undo_name(const NameChange& change) {
  switch (change.kind) {
    case NameChange::Kind::kCreate:
      ::syscall(SYS_unlink, change.path.c_str());
      break;
    case NameChange::Kind::kMakeDirectory:
      ::syscall(SYS_rmdir, change.path.c_str());
      break;
    case NameChange::Kind::kRemoveDirectory:
      ::syscall(SYS_mkdir, change.path.c_str(), 0755);
      break;
    case NameChange::Kind::kUnlink:
      ::syscall(SYS_rename, change.backup.c_str(), change.path.c_str());
      break;
    case NameChange::Kind::kExchange:
      ::syscall(SYS_renameat2, AT_FDCWD, change.path.c_str(), AT_FDCWD, change.from.c_str(), RENAME_EXCHANGE);
      break;
    case NameChange::Kind::kRename:
      ::syscall(SYS_rename, change.path.c_str(), change.from.c_str());
      if (!change.backup.empty()) ::syscall(SYS_rename, change.backup.c_str(), change.path.c_str());
      break;
  }
}

void remove_backups(Shim& all) {
  for (std::uint64_t i = 1; i <= all.backup_count; ++i)
    ::syscall(SYS_unlink, (all.backups + "/" + std::to_string(i)).c_str());
  if (all.backup_count > 0) ::syscall(SYS_rmdir, all.backups.c_str());
}

// Holds the lock, and keeps it: nothing is written behind this.
[[noreturn]] void end_process(Shim& all, bool lose) {
  write_report(all);
  if (lose) {
    for (auto& [id, file] : all.files) undo_data(file);
    for (auto change = all.changes.rbegin(); change != all.changes.rend(); ++change) undo_name(*change);
  }
  remove_backups(all);
  ::syscall(SYS_kill, ::syscall(SYS_getpid), SIGKILL);
  for (;;) ::syscall(SYS_pause);
}

// A second name for what is about to be replaced or deleted; "": there is nothing there.
std::string back_up(Shim& all, const std::string& path) {
  if (!exists(path)) return "";
  ::syscall(SYS_mkdir, all.backups.c_str(), 0755);
  std::string backup = all.backups + "/" + std::to_string(++all.backup_count);
  if (::syscall(SYS_linkat, AT_FDCWD, path.c_str(), AT_FDCWD, backup.c_str(), 0) != 0) {
    say("sync_fault: cannot keep " + path + "\n");
    ::_exit(138);
  }
  return backup;
}

void forget_inode(Shim& all, const std::string& path) {
  struct stat info {};
  if (!exists(path, &info) || info.st_nlink > 1) return;
  const auto found = all.files.find({info.st_dev, info.st_ino});
  if (found == all.files.end()) return;
  ::syscall(SYS_close, found->second.fd);
  all.files.erase(found);
}

// Before bytes [offset, offset + length) of the file change, or (`cut`) all behind offset. Holds the lock.
void before_change(Shim& all, int fd, std::uint64_t offset, std::uint64_t length, bool cut = false) {
  struct stat info {};
  if (::syscall(SYS_fstat, fd, &info) != 0 || !S_ISREG(info.st_mode)) return;
  const FileId id{info.st_dev, info.st_ino};
  auto found = all.files.find(id);
  if (found == all.files.end()) {
    if (!watched(all, path_of_fd(fd))) return;
    File file;
    const std::string link = "/proc/self/fd/" + std::to_string(fd);
    file.fd = static_cast<int>(::syscall(SYS_openat, AT_FDCWD, link.c_str(), O_RDWR | O_CLOEXEC, 0));
    if (file.fd < 0) {
      say("sync_fault: cannot open " + path_of_fd(fd) + " for itself\n");
      ::_exit(138);
    }
    // Nothing is unsynced here yet, so all that it holds is durable.
    file.synced_size = static_cast<std::uint64_t>(info.st_size);
    found = all.files.emplace(id, std::move(file)).first;
  }
  File& file = found->second;
  Undo undo{offset, {}, false};
  const std::uint64_t end = cut ? file.synced_size : std::min(file.synced_size, offset + length);
  if (offset < end) {
    undo.bytes.resize(end - offset);
    const long got = ::syscall(SYS_pread64, file.fd, undo.bytes.data(), undo.bytes.size(), offset);
    undo.bytes.resize(got < 0 ? 0 : static_cast<std::size_t>(got));
  }
  // One entry stands for all the appends behind it: they have nothing to give back.
  if (undo.bytes.empty() && !file.undo.empty() && file.undo.back().bytes.empty() && !file.undo.back().lost) return;
  file.undo.push_back(std::move(undo));
}

// Whether this write is to fail. Holds the lock.
bool write_fails(Shim& all, int fd) {
  bool wanted = false;
  for (const Directive& directive : all.directives) wanted = wanted || directive.kind == Directive::Kind::kNoSpace;
  if (!wanted && all.report.empty()) return false;
  const std::string path = path_of_fd(fd);
  if (!watched(all, path) || !counted(all, path)) return false;
  ++all.writes;
  for (const Directive& directive : all.directives) {
    if (directive.kind == Directive::Kind::kNoSpace && directive.holds(all.writes)) {
      all.fired = "nospace@" + std::to_string(all.writes);
      return true;
    }
  }
  return false;
}

template <class Call>
auto write_call(int fd, std::int64_t offset, std::uint64_t length, Call call) -> decltype(call()) {
  Shim& all = shim();
  if (!all.active) return call();
  const std::lock_guard lock(all.mutex);
  if (write_fails(all, fd)) {
    errno = ENOSPC;
    return -1;
  }
  struct stat info {};
  std::uint64_t at = static_cast<std::uint64_t>(offset);
  if (offset < 0) {  // At the descriptor's own position.
    const long flags = ::syscall(SYS_fcntl, fd, F_GETFL);
    const bool append = flags >= 0 && (flags & O_APPEND) != 0;
    const long position =
        append ? (::syscall(SYS_fstat, fd, &info) == 0 ? info.st_size : -1) : ::syscall(SYS_lseek, fd, 0, SEEK_CUR);
    if (position < 0) return call();  // A pipe or a socket.
    at = static_cast<std::uint64_t>(position);
  }
  before_change(all, fd, at, length);
  return call();
}

// What the Nth sync is told to do; ends the process for some. Holds the lock.
bool sync_fails(Shim& all, const FileId& id) {
  ++all.syncs;
  for (const Directive& directive : all.directives) {
    if (!directive.holds(all.syncs)) continue;
    const std::string number = std::to_string(all.syncs);
    switch (directive.kind) {
      case Directive::Kind::kDrop:
        all.fired = "drop@" + number;
        end_process(all, true);
      case Directive::Kind::kKeep:
        all.fired = "keep@" + number;
        end_process(all, false);
      case Directive::Kind::kFail: {
        all.fired = "fail@" + number;
        if (const auto found = all.files.find(id); found != all.files.end()) {
          for (Undo& undo : found->second.undo) undo.lost = true;
        }
        return true;
      }
      case Directive::Kind::kNoSpace:
        break;
    }
  }
  return false;
}

// Holds the lock.
void after_directory_sync(Shim& all, const std::string& directory) {
  std::vector<NameChange> kept;
  for (NameChange& change : all.changes) {
    if (std::filesystem::path(change.path).parent_path().string() != directory) {
      kept.push_back(std::move(change));
    } else if (!change.backup.empty()) {
      forget_inode(all, change.backup);
      ::syscall(SYS_unlink, change.backup.c_str());
    }
  }
  all.changes = std::move(kept);
}

// Holds the lock.
void after_file_sync(Shim& all, const FileId& id) {
  const auto found = all.files.find(id);
  if (found == all.files.end()) return;
  File& file = found->second;
  // Once something of it is lost, nothing behind that is known to stand: the whole stays as it was before.
  for (const Undo& undo : file.undo) {
    if (undo.lost) return;
  }
  ::syscall(SYS_close, file.fd);
  all.files.erase(found);
}

// The lock is held through the real sync, so that what it covers is exactly what was written before it.
int sync_call(int fd, long number) {
  Shim& all = shim();
  if (!all.active) return static_cast<int>(::syscall(number, fd));
  const std::lock_guard lock(all.mutex);
  struct stat info {};
  const std::string path = path_of_fd(fd);
  if (::syscall(SYS_fstat, fd, &info) != 0 || !(watched(all, path) || path == all.directory)) {
    return static_cast<int>(::syscall(number, fd));
  }
  const FileId id{info.st_dev, info.st_ino};
  if (counted(all, path) && sync_fails(all, id)) {
    errno = EIO;
    return -1;
  }
  const int result = static_cast<int>(::syscall(number, fd));
  if (result != 0) return result;
  if (S_ISDIR(info.st_mode)) {
    after_directory_sync(all, path);
  } else {
    after_file_sync(all, id);
  }
  return result;
}

int name_call(NameChange change, bool replaces, long (*call)(const NameChange&)) {
  Shim& all = shim();
  if (!all.active || (!watched(all, change.path) && (change.from.empty() || !watched(all, change.from)))) {
    return static_cast<int>(call(change));
  }
  const std::lock_guard lock(all.mutex);
  if (!all.names) {
    if (replaces) forget_inode(all, change.path);
    return static_cast<int>(call(change));
  }
  if (replaces) change.backup = back_up(all, change.path);
  const long result = call(change);
  const int saved = errno;
  if (result == 0) {
    all.changes.push_back(std::move(change));
  } else if (!change.backup.empty()) {
    ::syscall(SYS_unlink, change.backup.c_str());
  }
  errno = saved;
  return static_cast<int>(result);
}

int open_call(int directory_fd, const char* path, int flags, mode_t mode) {
  Shim& all = shim();
  const auto call = [&] { return static_cast<int>(::syscall(SYS_openat, directory_fd, path, flags, mode)); };
  if (!all.active || (flags & (O_CREAT | O_TRUNC)) == 0) return call();
  const std::string full = absolute(directory_fd, path);
  if (!watched(all, full)) return call();
  const std::lock_guard lock(all.mutex);
  const bool existed = exists(full);
  if (existed && (flags & O_TRUNC) != 0) {
    // What it held goes with the open: keep it first, through a descriptor that does not cut.
    const long reading = ::syscall(SYS_openat, AT_FDCWD, full.c_str(), O_RDWR | O_CLOEXEC, 0);
    if (reading >= 0) {
      before_change(all, static_cast<int>(reading), 0, 0, /*cut=*/true);
      ::syscall(SYS_close, reading);
    }
  }
  const int fd = call();
  if (fd >= 0 && !existed && all.names) all.changes.push_back({NameChange::Kind::kCreate, full, "", ""});
  return fd;
}

[[gnu::constructor]] void begin() { shim(); }
[[gnu::destructor]] void finish() {
  Shim& all = shim();
  if (!all.active) return;
  const std::lock_guard lock(all.mutex);
  write_report(all);
  remove_backups(all);
}

std::uint64_t sum_of(const iovec* parts, int count) {
  std::uint64_t sum = 0;
  for (int i = 0; i < count; ++i) sum += parts[i].iov_len;
  return sum;
}

}  // namespace

#define ST8_EXPORT extern "C" [[gnu::visibility("default")]]

ST8_EXPORT int fsync(int fd) { return sync_call(fd, SYS_fsync); }
ST8_EXPORT int fdatasync(int fd) { return sync_call(fd, SYS_fdatasync); }

ST8_EXPORT ssize_t write(int fd, const void* data, size_t length) {
  return write_call(fd, -1, length, [&] { return static_cast<ssize_t>(::syscall(SYS_write, fd, data, length)); });
}
ST8_EXPORT ssize_t pwrite(int fd, const void* data, size_t length, off_t offset) {
  return write_call(fd, offset, length,
                    [&] { return static_cast<ssize_t>(::syscall(SYS_pwrite64, fd, data, length, offset)); });
}
ST8_EXPORT ssize_t pwrite64(int fd, const void* data, size_t length, off64_t offset) {
  return pwrite(fd, data, length, offset);
}
ST8_EXPORT ssize_t writev(int fd, const iovec* parts, int count) {
  return write_call(fd, -1, sum_of(parts, count),
                    [&] { return static_cast<ssize_t>(::syscall(SYS_writev, fd, parts, count)); });
}
ST8_EXPORT ssize_t pwritev(int fd, const iovec* parts, int count, off_t offset) {
  return write_call(fd, offset, sum_of(parts, count), [&] {
    return static_cast<ssize_t>(::syscall(SYS_pwritev, fd, parts, count, offset, offset >> 32 >> 32));
  });
}
ST8_EXPORT ssize_t pwritev64(int fd, const iovec* parts, int count, off64_t offset) {
  return pwritev(fd, parts, count, offset);
}
ST8_EXPORT int ftruncate(int fd, off_t size) {
  Shim& all = shim();
  if (!all.active) return static_cast<int>(::syscall(SYS_ftruncate, fd, size));
  const std::lock_guard lock(all.mutex);
  before_change(all, fd, static_cast<std::uint64_t>(size), 0, /*cut=*/true);
  return static_cast<int>(::syscall(SYS_ftruncate, fd, size));
}
ST8_EXPORT int ftruncate64(int fd, off64_t size) { return ftruncate(fd, size); }
ST8_EXPORT ssize_t copy_file_range(int in, off64_t* in_offset, int out, off64_t* out_offset, size_t length,
                                   unsigned flags) {
  return write_call(out, out_offset == nullptr ? -1 : *out_offset, length, [&] {
    return static_cast<ssize_t>(::syscall(SYS_copy_file_range, in, in_offset, out, out_offset, length, flags));
  });
}
ST8_EXPORT ssize_t sendfile(int out, int in, off_t* offset, size_t length) {
  return write_call(out, -1, length,
                    [&] { return static_cast<ssize_t>(::syscall(SYS_sendfile, out, in, offset, length)); });
}
ST8_EXPORT ssize_t sendfile64(int out, int in, off64_t* offset, size_t length) {
  return sendfile(out, in, offset, length);
}

ST8_EXPORT int open(const char* path, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  const mode_t mode = (flags & (O_CREAT | __O_TMPFILE)) != 0 ? va_arg(rest, mode_t) : 0;
  va_end(rest);
  return open_call(AT_FDCWD, path, flags, mode);
}
ST8_EXPORT int open64(const char* path, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  const mode_t mode = (flags & (O_CREAT | __O_TMPFILE)) != 0 ? va_arg(rest, mode_t) : 0;
  va_end(rest);
  return open_call(AT_FDCWD, path, flags, mode);
}
ST8_EXPORT int openat(int directory_fd, const char* path, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  const mode_t mode = (flags & (O_CREAT | __O_TMPFILE)) != 0 ? va_arg(rest, mode_t) : 0;
  va_end(rest);
  return open_call(directory_fd, path, flags, mode);
}
ST8_EXPORT int openat64(int directory_fd, const char* path, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  const mode_t mode = (flags & (O_CREAT | __O_TMPFILE)) != 0 ? va_arg(rest, mode_t) : 0;
  va_end(rest);
  return open_call(directory_fd, path, flags, mode);
}

ST8_EXPORT int renameat2(int from_fd, const char* from, int to_fd, const char* to, unsigned flags) {
  NameChange change{(flags & RENAME_EXCHANGE) != 0 ? NameChange::Kind::kExchange : NameChange::Kind::kRename,
                    absolute(to_fd, to), absolute(from_fd, from), ""};
  if (flags == RENAME_EXCHANGE) {
    return name_call(std::move(change), false, [](const NameChange& c) {
      return ::syscall(SYS_renameat2, AT_FDCWD, c.from.c_str(), AT_FDCWD, c.path.c_str(), RENAME_EXCHANGE);
    });
  }
  if (flags == RENAME_NOREPLACE) {
    return name_call(std::move(change), false, [](const NameChange& c) {
      return ::syscall(SYS_renameat2, AT_FDCWD, c.from.c_str(), AT_FDCWD, c.path.c_str(), RENAME_NOREPLACE);
    });
  }
  return name_call(std::move(change), true,
                   [](const NameChange& c) { return ::syscall(SYS_rename, c.from.c_str(), c.path.c_str()); });
}
ST8_EXPORT int rename(const char* from, const char* to) { return renameat2(AT_FDCWD, from, AT_FDCWD, to, 0); }
ST8_EXPORT int renameat(int from_fd, const char* from, int to_fd, const char* to) {
  return renameat2(from_fd, from, to_fd, to, 0);
}

ST8_EXPORT int unlinkat(int directory_fd, const char* path, int flags) {
  const bool directory = (flags & AT_REMOVEDIR) != 0;
  NameChange change{directory ? NameChange::Kind::kRemoveDirectory : NameChange::Kind::kUnlink,
                    absolute(directory_fd, path), "", ""};
  if (directory) {
    return name_call(std::move(change), false,
                     [](const NameChange& c) { return ::syscall(SYS_rmdir, c.path.c_str()); });
  }
  return name_call(std::move(change), true, [](const NameChange& c) { return ::syscall(SYS_unlink, c.path.c_str()); });
}
ST8_EXPORT int unlink(const char* path) { return unlinkat(AT_FDCWD, path, 0); }
ST8_EXPORT int rmdir(const char* path) { return unlinkat(AT_FDCWD, path, AT_REMOVEDIR); }
ST8_EXPORT int remove(const char* path) {
  struct stat info {};
  const bool directory = exists(absolute(AT_FDCWD, path), &info) && S_ISDIR(info.st_mode);
  return unlinkat(AT_FDCWD, path, directory ? AT_REMOVEDIR : 0);
}
ST8_EXPORT int mkdirat(int directory_fd, const char* path, mode_t mode) {
  const int result = static_cast<int>(::syscall(SYS_mkdirat, directory_fd, path, mode));
  Shim& all = shim();
  if (result != 0 || !all.active || !all.names) return result;
  const std::string full = absolute(directory_fd, path);
  if (!watched(all, full)) return result;
  const std::lock_guard lock(all.mutex);
  all.changes.push_back({NameChange::Kind::kMakeDirectory, full, "", ""});
  return result;
}
ST8_EXPORT int mkdir(const char* path, mode_t mode) { return mkdirat(AT_FDCWD, path, mode); }

namespace {
int remember_created(int result, int directory_fd, const char* path) {
  Shim& all = shim();
  if (result != 0 || !all.active || !all.names) return result;
  const std::string full = absolute(directory_fd, path);
  if (!watched(all, full)) return result;
  const std::lock_guard lock(all.mutex);
  all.changes.push_back({NameChange::Kind::kCreate, full, "", ""});
  return result;
}
}  // namespace

ST8_EXPORT int symlinkat(const char* target, int directory_fd, const char* path) {
  return remember_created(static_cast<int>(::syscall(SYS_symlinkat, target, directory_fd, path)), directory_fd, path);
}
ST8_EXPORT int symlink(const char* target, const char* path) { return symlinkat(target, AT_FDCWD, path); }
ST8_EXPORT int linkat(int from_fd, const char* from, int to_fd, const char* to, int flags) {
  return remember_created(static_cast<int>(::syscall(SYS_linkat, from_fd, from, to_fd, to, flags)), to_fd, to);
}
ST8_EXPORT int link(const char* from, const char* to) { return linkat(AT_FDCWD, from, AT_FDCWD, to, 0); }
