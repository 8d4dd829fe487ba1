#include "upkeep.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <memory>
#include <unistd.h>

#include "st8/state/clock.h"
#include "st8/state/engine.h"
#include "st8/state/store.h"

namespace st8::daemon {
namespace {

Error system_error(const std::string& what, const std::string& path) {
  return Error{errno == ENOENT ? ErrorCode::kNotFound : ErrorCode::kUnavailable,
               "cannot " + what + " " + path + ": " + std::strerror(errno), ""};
}

class File {
 public:
  File(const std::string& path, int flags) : descriptor_(::open(path.c_str(), flags | O_CLOEXEC, 0600)) {}
  ~File() {
    if (descriptor_ >= 0) ::close(descriptor_);
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  int get() const { return descriptor_; }

 private:
  int descriptor_;
};

Result<std::unique_ptr<state::Store>> open_existing(const std::string& state_dir) {
  if (!std::filesystem::is_directory(state_dir)) {
    return fail(ErrorCode::kNotFound, "there is no state directory " + state_dir, "name one with --state-dir");
  }
  state::RocksDbOptions options;
  options.directory = state_dir;
  options.create_if_missing = false;
  ST8_ASSIGN(std::unique_ptr<state::Engine> engine, state::open_rocksdb_engine(options));
  return state::Store::open(std::move(engine), system_clock());
}

}  // namespace

Status fsck(const std::string& state_dir) {
  ST8_ASSIGN(const std::unique_ptr<state::Store> store, open_existing(state_dir));
  ST8_ASSIGN(const state::FsckReport report, store->fsck({}));
  for (const state::FsckProblem& problem : report.problems) {
    std::printf("%s: %s: %s%s%s%s\n", problem.name_space.c_str(), problem.object.c_str(), problem.problem.c_str(),
                problem.affects.empty() ? "" : " (", problem.affects.c_str(), problem.affects.empty() ? "" : ")");
  }
  const std::string checked = std::to_string(report.namespaces) + " namespace(s), " + std::to_string(report.revisions) +
                              " revision(s), " + std::to_string(report.nodes) + " node(s), " +
                              std::to_string(report.blobs) + " document(s) checked";
  if (!report.clean()) {
    return fail(ErrorCode::kCorrupt, std::to_string(report.problem_count) + " problem(s): " + checked,
                "restore a backup with `st8d restore`, or keep what still reads");
  }
  std::printf("clean: %s\n", checked.c_str());
  return {};
}

Status backup(const std::string& state_dir, const std::string& file) {
  ST8_ASSIGN(const std::unique_ptr<state::Store> store, open_existing(state_dir));
  if (std::filesystem::exists(file))
    return fail(ErrorCode::kConflict, file + " exists", "name a file that does not, or remove it first");
  const std::string partial = file + ".partial";
  const auto written = [&]() -> Result<state::BackupReport> {
    const File out(partial, O_WRONLY | O_CREAT | O_TRUNC);
    if (out.get() < 0) return fail(system_error("create", partial));
    ST8_ASSIGN(state::BackupReport report, store->backup([&](std::string_view piece) -> Status {
      while (!piece.empty()) {
        const ssize_t done = ::write(out.get(), piece.data(), piece.size());
        if (done < 0 && errno == EINTR) continue;
        if (done < 0) return fail(system_error("write", partial));
        piece.remove_prefix(static_cast<std::size_t>(done));
      }
      return {};
    }));
    if (::fsync(out.get()) != 0) return fail(system_error("sync", partial));
    if (::rename(partial.c_str(), file.c_str()) != 0) return fail(system_error("rename", partial));
    return report;
  }();
  if (!written) {
    ::unlink(partial.c_str());
    return fail(written.error());
  }
  std::printf("wrote %llu record(s), %llu bytes to %s, sha256 %s\n", static_cast<unsigned long long>(written->records),
              static_cast<unsigned long long>(written->bytes), file.c_str(), written->sha256.c_str());
  return {};
}

Status restore(const std::string& state_dir, const std::string& file) {
  if (std::filesystem::exists(state_dir)) {
    return fail(ErrorCode::kConflict, state_dir + " exists",
                "restore into a directory that does not exist yet, look at it, then move it");
  }
  const File in(file, O_RDONLY);
  if (in.get() < 0) return fail(system_error("read", file));
  // Built beside, so that a restore that failed leaves nothing that looks like a store.
  const std::string partial = state_dir + ".partial";
  if (std::filesystem::exists(partial))
    return fail(ErrorCode::kConflict, partial + " is left of an earlier restore", "remove it and try again");
  const auto filled = [&]() -> Result<state::BackupReport> {
    state::RocksDbOptions options;
    options.directory = partial;
    ST8_ASSIGN(const std::unique_ptr<state::Engine> engine, state::open_rocksdb_engine(options));
    return state::restore_backup(*engine, [&]() -> Result<std::string> {
      std::string piece(1u << 20, '\0');
      while (true) {
        const ssize_t got = ::read(in.get(), piece.data(), piece.size());
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return fail(system_error("read", file));
        piece.resize(static_cast<std::size_t>(got));
        return piece;
      }
    });
  }();
  std::error_code error;
  if (filled) std::filesystem::rename(partial, state_dir, error);
  if (!filled || error) {
    const Error reason = filled
                             ? Error{ErrorCode::kUnavailable, "cannot rename " + partial + ": " + error.message(), ""}
                             : filled.error();
    std::error_code ignored;
    std::filesystem::remove_all(partial, ignored);
    return fail(reason);
  }
  std::printf("restored %llu record(s) into %s; the backup's sha256 is %s\n",
              static_cast<unsigned long long>(filled->records), state_dir.c_str(), filled->sha256.c_str());
  return {};
}

}  // namespace st8::daemon
