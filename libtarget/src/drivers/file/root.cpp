#include "drivers/file/root.h"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <dirent.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace st8::target::file {
namespace {

constexpr int kDirectoryFlags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;

std::pair<std::string_view, std::string_view> split(std::string_view path) {
  const std::size_t slash = path.rfind('/');
  if (slash == std::string_view::npos) return {{}, path};
  return {path.substr(0, slash), path.substr(slash + 1)};
}

// The directory at a relative path, which nothing but directories leads to, in one call. Invalid: it is not there, or not so, or the
// system (before Linux 5.6, or its sandbox) has no such call; who walks there component by component learns which.
Fd open_at_once(int root, const std::string& path) {
  static std::atomic<bool> unknown{false};
  if (unknown.load(std::memory_order_relaxed)) return {};
  open_how how{};
  how.flags = static_cast<std::uint64_t>(kDirectoryFlags);
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS;
  Fd fd(static_cast<int>(::syscall(SYS_openat2, root, path.c_str(), &how, sizeof how)));
  if (!fd.valid() && errno == ENOSYS) unknown.store(true, std::memory_order_relaxed);
  return fd;
}

// Whether every component is a name, none of them "." or "..".
bool is_plain(std::string_view path) {
  while (true) {
    const std::size_t slash = path.find('/');
    const std::string_view part = path.substr(0, slash);
    if (part.empty() || part == "." || part == "..") return false;
    if (slash == std::string_view::npos) return true;
    path.remove_prefix(slash + 1);
  }
}

Status write_all(int fd, std::string_view bytes, const std::string& what) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(fd, bytes.data(), bytes.size());
    if (written < 0) {
      if (errno == EINTR) continue;
      return fail(io_error(errno, what));
    }
    bytes.remove_prefix(static_cast<std::size_t>(written));
  }
  return {};
}

Result<std::string> read_all(int fd, const std::string& what) {
  std::string bytes;
  char buffer[64 << 10];
  for (;;) {
    const ssize_t got = ::read(fd, buffer, sizeof buffer);
    if (got < 0) {
      if (errno == EINTR) continue;
      return fail(io_error(errno, what));
    }
    if (got == 0) return bytes;
    bytes.append(buffer, static_cast<std::size_t>(got));
    if (bytes.size() > 4 * state::Limits::kDocumentBytesMax)
      return fail(ErrorCode::kUnprocessable, what + ": the file is larger than any document", "");
  }
}

// The bytes, the owner and the mode of a file that was just made. Nothing is synced.
Status fill(int fd, std::string_view bytes, const Ownership& ownership, const std::string& what) {
  ST8_TRY(write_all(fd, bytes, what));
  if (ownership.uid != static_cast<uid_t>(-1) || ownership.gid != static_cast<gid_t>(-1)) {
    struct stat own;
    if (::fstat(fd, &own) != 0) return fail(io_error(errno, what));
    const bool differs = (ownership.uid != static_cast<uid_t>(-1) && own.st_uid != ownership.uid) ||
                         (ownership.gid != static_cast<gid_t>(-1) && own.st_gid != ownership.gid);
    if (differs && ::fchown(fd, ownership.uid, ownership.gid) != 0)
      return fail(io_error(errno, what + ": change its owner"));
  }
  if (::fchmod(fd, ownership.mode & 07777u) != 0) return fail(io_error(errno, what));
  return {};
}

}  // namespace

void Fd::reset(int fd) {
  if (fd_ >= 0) ::close(fd_);
  fd_ = fd;
}

Error io_error(int number, std::string what) {
  std::string message = std::move(what) + ": " + std::strerror(number);
  switch (number) {
    case ENOENT:
      return {ErrorCode::kNotFound, std::move(message), ""};
    case EACCES:
    case EPERM:
      return {ErrorCode::kUnprocessable, std::move(message), "give the daemon's user the right to write there"};
    case ELOOP:
    case ENOTDIR:
      return {ErrorCode::kUnprocessable, std::move(message),
              "a component of the path is a symbolic link or a file; st8 follows none"};
    case EROFS:
      return {ErrorCode::kUnprocessable, std::move(message), "the file system is read-only"};
    case EISDIR:
    case EINVAL:
    case ENAMETOOLONG:
      return {ErrorCode::kUnprocessable, std::move(message), ""};
    case ENOSPC:
    case EDQUOT:
      return {ErrorCode::kUnavailable, std::move(message), "make room on the target"};
    default:
      return {ErrorCode::kUnavailable, std::move(message), ""};
  }
}

Result<Root> Root::open(const std::string& path) {
  Root root;
  root.path_ = path;
  if (path.empty() || path.front() != '/')
    return fail(ErrorCode::kUnprocessable, "the root \"" + path + "\" is not an absolute path", "write it from /");
  root.fd_ = Fd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!root.fd_.valid() && errno == ENOENT) {
    if (::mkdir(path.c_str(), 0755) == 0) {
      const std::string parent = path.substr(0, path.find_last_of('/'));
      Fd above(::open(parent.empty() ? "/" : parent.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
      if (above.valid()) ::fsync(above.get());
    }
    root.fd_ = Fd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  }
  if (!root.fd_.valid()) {
    Error error = io_error(errno, "open " + path);
    if (errno == ENOENT) error = {ErrorCode::kUnavailable, error.message, "make the directory above it, or mount it"};
    return fail(std::move(error));
  }
  return root;
}

Result<Fd> Root::walk(std::string_view path, bool create, bool sync, std::vector<std::string>* made) const {
  if (is_plain(path)) {
    if (Fd there = open_at_once(fd_.get(), std::string(path)); there.valid()) return there;
  }
  Fd here(::openat(fd_.get(), ".", kDirectoryFlags));
  if (!here.valid()) return fail(io_error(errno, "open " + path_));
  std::string walked;
  while (!path.empty()) {
    const std::size_t slash = path.find('/');
    const std::string part(path.substr(0, slash));
    path = slash == std::string_view::npos ? std::string_view{} : path.substr(slash + 1);
    if (part.empty() || part == "." || part == "..")
      return fail(ErrorCode::kUnprocessable, "the path leaves its root at \"" + walked + "/" + part + "\"", "");
    walked += (walked.empty() ? "" : "/") + part;
    if (create && ::mkdirat(here.get(), part.c_str(), 0755) == 0) {
      if (made != nullptr) made->push_back(walked);
      if (sync && ::fsync(here.get()) != 0) return fail(io_error(errno, "sync the directory above " + walked));
    }
    Fd next(::openat(here.get(), part.c_str(), kDirectoryFlags));
    if (!next.valid()) return fail(io_error(errno, "open directory " + walked + " in " + path_));
    here = std::move(next);
  }
  return here;
}

bool Root::exists(std::string_view path) const {
  const auto [parent, name] = split(path);
  const auto dir = directory(parent);
  if (!dir) return false;
  struct stat info;
  return ::fstatat(dir->get(), std::string(name).c_str(), &info, AT_SYMLINK_NOFOLLOW) == 0;
}

Result<std::optional<StoredFile>> Root::read(std::string_view path) const {
  const auto [parent, name] = split(path);
  auto dir = directory(parent);
  if (!dir) {
    if (dir.error().code == ErrorCode::kNotFound) return std::optional<StoredFile>{};
    return fail(dir.error());
  }
  // O_NONBLOCK: a pipe planted at the path must not hold us.
  Fd fd(::openat(dir->get(), std::string(name).c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  if (!fd.valid()) {
    if (errno == ENOENT) return std::optional<StoredFile>{};
    return fail(io_error(errno, "open " + std::string(path) + " in " + path_));
  }
  struct stat info;
  if (::fstat(fd.get(), &info) != 0) return fail(io_error(errno, "stat " + std::string(path)));
  if (!S_ISREG(info.st_mode))
    return fail(ErrorCode::kUnprocessable, std::string(path) + " in " + path_ + " is not a regular file", "");
  ST8_ASSIGN(std::string bytes, read_all(fd.get(), "read " + std::string(path)));
  return std::optional<StoredFile>(StoredFile{std::move(bytes), {info.st_mode & 07777u, info.st_uid, info.st_gid}});
}

Status Root::replace(std::string_view path, std::string_view bytes, const Ownership& ownership, bool create_directories,
                     std::vector<std::string>* made) const {
  const auto [parent, name_view] = split(path);
  const std::string name(name_view);
  const std::string what = "write " + std::string(path) + " in " + path_;
  ST8_ASSIGN(const Fd dir, directory(parent, create_directories, made));
  struct stat info;
  if (::fstatat(dir.get(), name.c_str(), &info, AT_SYMLINK_NOFOLLOW) == 0 && !S_ISREG(info.st_mode)) {
    return fail(ErrorCode::kUnprocessable, what + ": there is something else than a regular file", "move it away");
  }
  // One temporary name a path: what a crash leaves behind, the next try takes over.
  const std::string temporary = ".st8." + Hash::of(name).hex().substr(0, 16) + ".tmp";
  if (::unlinkat(dir.get(), temporary.c_str(), 0) != 0 && errno != ENOENT) return fail(io_error(errno, what));
  {
    Fd fd(::openat(dir.get(), temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
    if (!fd.valid()) return fail(io_error(errno, what));
    const auto written = [&]() -> Status {
      ST8_TRY(fill(fd.get(), bytes, ownership, what));
      if (::fsync(fd.get()) != 0) return fail(io_error(errno, what));
      return {};
    }();
    if (!written) {
      ::unlinkat(dir.get(), temporary.c_str(), 0);
      return written;
    }
  }
  if (::renameat(dir.get(), temporary.c_str(), dir.get(), name.c_str()) != 0) return fail(io_error(errno, what));
  if (::fsync(dir.get()) != 0) return fail(io_error(errno, what));
  return {};
}

Status Root::overwrite(std::string_view path, std::string_view bytes) const {
  const auto [parent, name] = split(path);
  const std::string what = "write " + std::string(path) + " in " + path_;
  ST8_ASSIGN(const Fd dir, directory(parent));
  const Fd fd(::openat(dir.get(), std::string(name).c_str(), O_WRONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  if (!fd.valid()) return fail(io_error(errno, what));
  ST8_TRY(write_all(fd.get(), bytes, what));
  if (::fdatasync(fd.get()) != 0) return fail(io_error(errno, what));
  return {};
}

Status Root::remove_file(std::string_view path) const {
  const auto [parent, name] = split(path);
  auto dir = directory(parent);
  if (!dir) {
    if (dir.error().code == ErrorCode::kNotFound) return {};
    return fail(dir.error());
  }
  if (::unlinkat(dir->get(), std::string(name).c_str(), 0) != 0) {
    if (errno == ENOENT) return {};
    return fail(io_error(errno, "remove " + std::string(path) + " in " + path_));
  }
  if (::fsync(dir->get()) != 0) return fail(io_error(errno, "sync the directory of " + std::string(path)));
  return {};
}

Status Root::remove_directory_if_empty(std::string_view path) const {
  const auto [parent, name] = split(path);
  auto dir = directory(parent);
  if (!dir) return {};
  if (::unlinkat(dir->get(), std::string(name).c_str(), AT_REMOVEDIR) != 0) {
    if (errno == ENOENT || errno == ENOTEMPTY || errno == EEXIST || errno == ENOTDIR) return {};
    return fail(io_error(errno, "remove directory " + std::string(path) + " in " + path_));
  }
  if (::fsync(dir->get()) != 0) return fail(io_error(errno, "sync the directory of " + std::string(path)));
  return {};
}

Status Root::remove_tree(std::string_view path) const {
  const auto [parent, name_view] = split(path);
  const std::string name(name_view);
  auto dir = directory(parent);
  if (!dir) {
    if (dir.error().code == ErrorCode::kNotFound) return {};
    return fail(dir.error());
  }
  struct stat info;
  if (::fstatat(dir->get(), name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) {
    if (errno == ENOENT) return {};
    return fail(io_error(errno, "stat " + std::string(path)));
  }
  if (S_ISDIR(info.st_mode)) {
    ST8_ASSIGN(const std::vector<std::string> names, list(path));
    for (const std::string& child : names) ST8_TRY(remove_tree(std::string(path) + "/" + child));
  }
  if (::unlinkat(dir->get(), name.c_str(), S_ISDIR(info.st_mode) ? AT_REMOVEDIR : 0) != 0 && errno != ENOENT) {
    return fail(io_error(errno, "remove " + std::string(path) + " in " + path_));
  }
  return {};
}

Status Root::rename(std::string_view from, std::string_view to) const {
  const auto [from_parent, from_name] = split(from);
  const auto [to_parent, to_name] = split(to);
  ST8_ASSIGN(const Fd from_dir, directory(from_parent));
  ST8_ASSIGN(const Fd to_dir, directory(to_parent));
  const std::string what = "rename " + std::string(from) + " to " + std::string(to) + " in " + path_;
  if (::renameat(from_dir.get(), std::string(from_name).c_str(), to_dir.get(), std::string(to_name).c_str()) != 0)
    return fail(io_error(errno, what));
  if (::fsync(to_dir.get()) != 0 || (from_parent != to_parent && ::fsync(from_dir.get()) != 0))
    return fail(io_error(errno, what));
  return {};
}

Status Root::exchange(std::string_view a, std::string_view b) const {
  const auto [a_parent, a_name] = split(a);
  const auto [b_parent, b_name] = split(b);
  ST8_ASSIGN(const Fd a_dir, directory(a_parent));
  ST8_ASSIGN(const Fd b_dir, directory(b_parent));
  const std::string what = "exchange " + std::string(a) + " with " + std::string(b) + " in " + path_;
  if (::syscall(SYS_renameat2, a_dir.get(), std::string(a_name).c_str(), b_dir.get(), std::string(b_name).c_str(),
                RENAME_EXCHANGE) != 0)
    return fail(io_error(errno, what));
  if (::fsync(a_dir.get()) != 0 || (a_parent != b_parent && ::fsync(b_dir.get()) != 0))
    return fail(io_error(errno, what));
  return {};
}

Result<std::optional<std::string>> Root::read_link(std::string_view path) const {
  const auto [parent, name] = split(path);
  auto dir = directory(parent);
  if (!dir) {
    if (dir.error().code == ErrorCode::kNotFound) return std::optional<std::string>{};
    return fail(dir.error());
  }
  char buffer[4096];
  const ssize_t length = ::readlinkat(dir->get(), std::string(name).c_str(), buffer, sizeof buffer);
  if (length < 0) {
    if (errno == ENOENT) return std::optional<std::string>{};
    if (errno == EINVAL)
      return fail(ErrorCode::kUnprocessable, std::string(path) + " in " + path_ + " is not a symbolic link",
                  "move it away: st8 makes it");
    return fail(io_error(errno, "read link " + std::string(path)));
  }
  return std::optional<std::string>(std::string(buffer, static_cast<std::size_t>(length)));
}

Status Root::replace_link(std::string_view path, const std::string& to) const {
  const auto [parent, name] = split(path);
  ST8_ASSIGN(const Fd dir, directory(parent));
  const std::string temporary = ".st8." + std::string(name) + ".link";
  const std::string what = "link " + std::string(path) + " in " + path_;
  if (::unlinkat(dir.get(), temporary.c_str(), 0) != 0 && errno != ENOENT) return fail(io_error(errno, what));
  if (::symlinkat(to.c_str(), dir.get(), temporary.c_str()) != 0) return fail(io_error(errno, what));
  if (::renameat(dir.get(), temporary.c_str(), dir.get(), std::string(name).c_str()) != 0)
    return fail(io_error(errno, what));
  if (::fsync(dir.get()) != 0) return fail(io_error(errno, what));
  return {};
}

Result<std::vector<std::string>> Root::list(std::string_view path) const {
  std::vector<std::string> names;
  auto dir = directory(path);
  if (!dir) {
    if (dir.error().code == ErrorCode::kNotFound) return names;
    return fail(dir.error());
  }
  const int copy = ::dup(dir->get());
  DIR* stream = copy < 0 ? nullptr : ::fdopendir(copy);
  if (stream == nullptr) {
    const int number = errno;
    if (copy >= 0) ::close(copy);
    return fail(io_error(number, "list " + std::string(path)));
  }
  while (const dirent* entry = ::readdir(stream)) {
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") names.emplace_back(name);
  }
  ::closedir(stream);
  std::sort(names.begin(), names.end());
  return names;
}

Status TreeBuilder::add(std::string_view path, std::string_view bytes, const Ownership& ownership) {
  const auto [parent, name] = split(path);
  const std::string directory = parent.empty() ? base_ : base_ + "/" + std::string(parent);
  const std::string what = "write " + std::string(path) + " in " + root_.path();
  ST8_ASSIGN(const Fd dir, root_.walk(directory, true, false, nullptr));
  for (std::string above = directory; above.size() > base_.size() && directories_.insert(above).second;)
    above.erase(above.find_last_of('/'));
  Fd fd(::openat(dir.get(), std::string(name).c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!fd.valid()) return fail(io_error(errno, what));
  ST8_TRY(fill(fd.get(), bytes, ownership, what));
  unsynced_.push_back(std::move(fd));
  constexpr std::size_t kOpenMax = 64;
  return unsynced_.size() < kOpenMax ? Status{} : sync_files();
}

Status TreeBuilder::sync_files() {
  for (const Fd& fd : unsynced_) {
    if (::fsync(fd.get()) != 0) return fail(io_error(errno, "sync a file below " + base_ + " in " + root_.path()));
  }
  unsynced_.clear();
  return {};
}

Status TreeBuilder::finish() {
  ST8_TRY(sync_files());
  ST8_TRY(root_.walk(base_, true, false, nullptr).map([](const Fd&) {}));  // A tree of no files is one too.
  directories_.insert(base_);
  // The deepest first.
  for (auto directory = directories_.rbegin(); directory != directories_.rend(); ++directory)
    ST8_TRY(root_.sync(*directory));
  return {};
}

Status Root::sync(std::string_view path) const {
  ST8_ASSIGN(const Fd dir, directory(path));
  if (::fsync(dir.get()) != 0) return fail(io_error(errno, "sync " + std::string(path)));
  return {};
}

Result<std::vector<FileEntry>> Root::scan(std::string_view path, const CallContext& call) const {
  std::vector<FileEntry> entries;
  std::vector<std::string> open{std::string(path)};
  while (!open.empty()) {
    ST8_TRY(call.check());
    const std::string here = std::move(open.back());
    open.pop_back();
    ST8_ASSIGN(const Fd dir, directory(here));
    ST8_ASSIGN(const std::vector<std::string> names, list(here));
    for (const std::string& name : names) {
      const std::string full = here + "/" + name;
      const std::string relative = full.substr(path.size() + 1);
      struct stat info;
      if (::fstatat(dir.get(), name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) {
        if (errno == ENOENT) continue;
        return fail(io_error(errno, "stat " + full));
      }
      if (S_ISDIR(info.st_mode)) {
        open.push_back(full);
      } else if (S_ISREG(info.st_mode)) {
        ST8_ASSIGN(const auto file, read(full));
        if (file) entries.push_back({relative, file->ownership.mode, Hash::of(file->bytes)});
      } else {
        entries.push_back({relative, 0, Hash::of("not a regular file")});
      }
    }
  }
  std::sort(entries.begin(), entries.end(), [](const FileEntry& a, const FileEntry& b) { return a.path < b.path; });
  return entries;
}

}  // namespace st8::target::file
