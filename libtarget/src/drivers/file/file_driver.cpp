#include "drivers/file/file_driver.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <fcntl.h>
#include <set>
#include <sys/file.h>
#include <thread>
#include <unistd.h>

#include "codec/json.h"
#include "drivers/file/root.h"
#include "drivers/names.h"
#include "st8/state/failpoint.h"

namespace st8::target::file {
namespace {

using codec::Json;
using drivers::check_name;
using drivers::sane_name;

constexpr std::string_view kControl = ".st8";
constexpr std::string_view kLock = ".st8/lock";
constexpr std::string_view kFence = ".st8/fence";
constexpr std::string_view kRestore = ".st8/restore";
constexpr std::string_view kManifest = ".st8/live.json";
constexpr std::string_view kCurrent = "current";
constexpr std::string_view kAbsent = "-";

std::string under(std::string_view directory, std::string_view name) {
  return std::string(directory) + "/" + std::string(name);
}

// Held over every call that changes something: two daemons, or an old call that lives on, never work at once.
class TargetLock {
 public:
  static Result<TargetLock> take(const Root& root, const CallContext& call) {
    ST8_ASSIGN(const Fd control, root.directory(kControl, true));
    TargetLock lock;
    lock.fd_ = Fd(::openat(control.get(), "lock", O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600));
    if (!lock.fd_.valid()) return fail(io_error(errno, "open " + under(root.path(), kLock)));
    for (;;) {
      if (::flock(lock.fd_.get(), LOCK_EX | LOCK_NB) == 0) break;
      if (errno != EWOULDBLOCK && errno != EINTR) return fail(io_error(errno, "lock " + under(root.path(), kLock)));
      ST8_TRY(call.check());
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    // The token is compared and kept under the lock, where the effect happens.
    ST8_ASSIGN(const auto stored, root.read(kFence));
    std::uint64_t highest = 0;
    if (stored) std::from_chars(stored->bytes.data(), stored->bytes.data() + stored->bytes.size(), highest);
    if (call.fencing_token < highest) {
      return fail(ErrorCode::kPreconditionFailed,
                  "the target is held under a newer token (" + std::to_string(highest) + ") than this call's (" +
                      std::to_string(call.fencing_token) + ")",
                  "another rollout took it over");
    }
    if (call.fencing_token > highest) {
      const std::string token = std::to_string(call.fencing_token) + "\n";
      const bool fits = stored && stored->bytes.size() == token.size();
      ST8_TRY(fits ? root.overwrite(kFence, token) : root.replace(kFence, token, {0600}));
    }
    ST8_TRY(call.check());
    return lock;
  }

 private:
  Fd fd_;
};

class FileDriver final : public TargetDriver {
 public:
  explicit FileDriver(FileSpec spec) : spec_(std::move(spec)) {}

  Capabilities capabilities() const override {
    Capabilities can;
    can.atomic_switch = spec_.layout == Layout::kDirectory;
    return can;
  }

  Status check(const CallContext& call) override {
    ST8_TRY(call.check());
    ST8_ASSIGN(const Root root, Root::open(spec_.root));
    if (::faccessat(root.fd(), ".", W_OK | X_OK, AT_EACCESS) != 0)
      return fail(io_error(errno, "write in " + spec_.root));
    return {};
  }

  Status stage(const CallContext& call, const Content& content) override {
    ST8_ASSIGN(const Root root, Root::open(spec_.root));
    ST8_ASSIGN(const TargetLock lock, TargetLock::take(root, call));
    const std::string final_path = under(versions(), content.label());
    ST8_TRY(root.directory(versions(), true).map([](const Fd&) {}));
    const bool there = root.exists(final_path);
    if (there) {
      ST8_ASSIGN(const std::vector<FileEntry> files, root.scan(final_path, call));
      if (content_hash(files) == content.hash) return {};
    }
    const std::string building = under(versions(), ".st8.building");
    ST8_TRY(root.remove_tree(building));
    TreeBuilder builder(root, building);
    for (const ContentFile& file : content.files) {
      ST8_TRY(call.check());
      ST8_TRY(check_relative_path(file.entry.path));
      ST8_TRY(builder.add(file.entry.path, *file.bytes, {file.entry.mode}));
      ST8_FAILPOINT("target.file.staging");
    }
    ST8_TRY(builder.finish());
    // A version that is there and is not what it should be (cut short, or altered) changes places with the whole one at once.
    if (there) {
      ST8_TRY(root.exchange(building, final_path));
      ST8_TRY(root.remove_tree(building));
    } else {
      ST8_TRY(root.rename(building, final_path));
    }
    return {};
  }

  Result<Hash> validate(const CallContext& call, const std::string& label) override {
    ST8_TRY(check_name(label, "the version"));
    ST8_ASSIGN(const Root root, Root::open(spec_.root));
    const std::string path = under(versions(), label);
    if (!root.exists(path))
      return fail(ErrorCode::kNotFound, "version " + label + " is not staged at " + spec_.root, "");
    ST8_ASSIGN(const std::vector<FileEntry> files, root.scan(path, call));
    return content_hash(files);
  }

  Status activate(const CallContext& call, const std::string& label) override {
    ST8_TRY(check_name(label, "the version"));
    ST8_TRY(check_name(call.restore_point, "the restore point"));
    ST8_ASSIGN(const Root root, Root::open(spec_.root));
    ST8_ASSIGN(const TargetLock lock, TargetLock::take(root, call));
    if (!root.exists(under(versions(), label)))
      return fail(ErrorCode::kNotFound, "version " + label + " is not staged at " + spec_.root, "stage it first");
    ST8_TRY(root.directory(kRestore, true).map([](const Fd&) {}));
    if (spec_.layout == Layout::kFiles) return activate_files(root, call, label);
    const std::string point = under(kRestore, call.restore_point);
    if (!root.exists(point)) {
      ST8_ASSIGN(const auto live, root.read_link(kCurrent));
      ST8_TRY(root.replace(point, live ? *live : std::string(kAbsent), {0600}));
    }
    ST8_FAILPOINT("target.file.before_switch");
    ST8_TRY(root.replace_link(kCurrent, under(versions(), label)));
    ST8_FAILPOINT("target.file.after_switch");
    return {};
  }

  Result<Observation> observe(const CallContext& call) override {
    ST8_TRY(call.check());
    ST8_ASSIGN(const Root root, Root::open(spec_.root));
    return spec_.layout == Layout::kFiles ? observe_files(root, call) : observe_directory(root, call);
  }

  Status restore(const CallContext& call) override {
    ST8_TRY(check_name(call.restore_point, "the restore point"));
    ST8_ASSIGN(const Root root, Root::open(spec_.root));
    ST8_ASSIGN(const TargetLock lock, TargetLock::take(root, call));
    if (spec_.layout == Layout::kFiles) return restore_files(root, call);
    ST8_ASSIGN(const auto point, root.read(under(kRestore, call.restore_point)));
    if (!point) return {};
    ST8_FAILPOINT("target.file.before_restore");
    if (point->bytes == kAbsent) return root.remove_file(kCurrent);
    return root.replace_link(kCurrent, point->bytes);
  }

  Status discard(const CallContext& call) override {
    ST8_ASSIGN(const Root root, Root::open(spec_.root));
    ST8_ASSIGN(const TargetLock lock, TargetLock::take(root, call));
    // Restore points but the one in use are of rollouts that are over: a target is held by one at a time.
    std::set<std::string> needed;
    ST8_ASSIGN(const std::vector<std::string> points, root.list(kRestore));
    for (const std::string& point : points) {
      if (point != call.restore_point) {
        ST8_TRY(root.remove_tree(under(kRestore, point)));
      } else if (spec_.layout == Layout::kDirectory) {
        ST8_ASSIGN(const auto link, root.read(under(kRestore, point)));
        if (link) needed.insert(link->bytes.substr(link->bytes.find_last_of('/') + 1));
      }
    }
    if (spec_.layout == Layout::kDirectory) {
      ST8_ASSIGN(const auto live, root.read_link(kCurrent));
      if (live) needed.insert(live->substr(live->find_last_of('/') + 1));
    } else {
      ST8_ASSIGN(const Manifest live, read_manifest(root));
      needed.insert(live.label);
    }
    ST8_ASSIGN(std::vector<std::string> names, root.list(versions()));
    const auto number = [](const std::string& label) {
      std::uint64_t value = 0;
      std::from_chars(label.data(), label.data() + label.size(), value);
      return value;
    };
    std::stable_sort(names.begin(), names.end(),
                     [&](const std::string& a, const std::string& b) { return number(a) > number(b); });
    std::size_t kept = 0;
    for (const std::string& name : names) {
      ST8_TRY(call.check());
      if (needed.contains(name)) continue;
      if (sane_name(name) && kept < spec_.keep) {
        ++kept;
        continue;
      }
      ST8_TRY(root.remove_tree(under(versions(), name)));
    }
    return {};
  }

 private:
  std::string_view versions() const {
    return spec_.layout == Layout::kDirectory ? std::string_view("revisions") : std::string_view(".st8/versions");
  }

  // --- directory ---

  Result<Observation> observe_directory(const Root& root, const CallContext& call) const {
    ST8_ASSIGN(const auto link, root.read_link(kCurrent));
    if (!link) return Observation{};
    const std::string prefix = std::string(versions()) + "/";
    const std::string label = link->starts_with(prefix) ? link->substr(prefix.size()) : "";
    // A link that st8 did not make is live content that is none of ours.
    if (!sane_name(label)) return Observation{true, Hash::of("foreign link: " + *link), "foreign"};
    auto files = root.scan(*link, call);
    if (!files) {
      if (files.error().code == ErrorCode::kNotFound)
        return Observation{true, Hash::of("missing version: " + label), label};
      return fail(files.error());
    }
    return Observation{true, content_hash(*files), label};
  }

  // --- files ---

  struct Manifest {
    bool present = false;
    std::string label;
    std::vector<std::string> paths;
  };

  Result<Manifest> read_manifest(const Root& root) const {
    ST8_ASSIGN(const auto stored, root.read(kManifest));
    if (!stored) return Manifest{};
    return codec::guarded<Manifest>("manifest at the target", stored->bytes, [](const Json& json) -> Result<Manifest> {
      Manifest manifest{true, json.at("label").get<std::string>(), json.at("paths").get<std::vector<std::string>>()};
      for (const std::string& path : manifest.paths) ST8_TRY(check_relative_path(path));
      return manifest;
    });
  }
  static std::string manifest_bytes(const std::string& label, const std::vector<std::string>& paths) {
    return codec::dump({{"label", label}, {"paths", paths}}) + "\n";
  }

  // What was live, under the restore point's name, once: index.json and the bytes of each file that was there.
  Status keep_previous(const Root& root, const CallContext& call, const std::set<std::string>& paths) const {
    const std::string point = under(kRestore, call.restore_point);
    if (root.exists(point)) return {};
    const std::string building = under(kRestore, ".building");
    ST8_TRY(root.remove_tree(building));
    ST8_TRY(root.directory(building, true).map([](const Fd&) {}));
    Json files = Json::array();
    std::set<std::string> absent_directories;
    std::size_t number = 0;
    for (const std::string& path : paths) {
      ST8_TRY(call.check());
      ST8_ASSIGN(const auto file, root.read(path));
      Json entry = {{"path", path}, {"present", file.has_value()}};
      if (file) {
        const std::string name = std::to_string(number++);
        ST8_TRY(root.replace(under(building, name), file->bytes, {0600}));
        entry["bytes"] = name;
        entry["mode"] = file->ownership.mode;
        entry["uid"] = file->ownership.uid;
        entry["gid"] = file->ownership.gid;
      } else {
        for (std::size_t slash = path.find('/'); slash != std::string::npos; slash = path.find('/', slash + 1)) {
          if (!root.exists(path.substr(0, slash))) absent_directories.insert(path.substr(0, slash));
        }
      }
      files.push_back(std::move(entry));
    }
    ST8_ASSIGN(const auto manifest, root.read(kManifest));
    Json index = {{"files", std::move(files)}, {"absent_directories", absent_directories}};
    index["manifest"] = manifest ? Json(manifest->bytes) : Json(nullptr);
    ST8_TRY(root.replace(under(building, "index.json"), codec::dump(index), {0600}));
    return root.rename(building, point);
  }

  Status activate_files(const Root& root, const CallContext& call, const std::string& label) const {
    const std::string version = under(versions(), label);
    ST8_ASSIGN(const std::vector<FileEntry> files, root.scan(version, call));
    ST8_ASSIGN(const Manifest before, read_manifest(root));
    std::set<std::string> wanted, touched(before.paths.begin(), before.paths.end());
    for (const FileEntry& file : files) {
      ST8_TRY(check_relative_path(file.path));
      if (file.path.starts_with(".st8/") || file.path == ".st8")
        return fail(ErrorCode::kUnprocessable, "a document lands in .st8/, which belongs to the driver",
                    "change `to` in the policy");
      wanted.insert(file.path);
      touched.insert(file.path);
    }
    ST8_TRY(keep_previous(root, call, touched));
    ST8_FAILPOINT("target.file.before_switch");
    // Until the manifest names the new files, what is observed is neither version; it is written before the first file, so
    // that no file is live that no manifest knows of.
    ST8_TRY(root.replace(kManifest, manifest_bytes(label, {touched.begin(), touched.end()}), {0600}));
    for (const FileEntry& file : files) {
      ST8_TRY(call.check());
      ST8_ASSIGN(const auto bytes, root.read(under(version, file.path)));
      if (!bytes) return fail(ErrorCode::kUnavailable, "the staged version lost " + file.path, "stage it again");
      ST8_ASSIGN(const auto old, root.read(file.path));
      Ownership ownership{file.mode};
      if (old) ownership = {file.mode, old->ownership.uid, old->ownership.gid};
      if (!old || old->bytes != bytes->bytes || old->ownership.mode != file.mode)
        ST8_TRY(root.replace(file.path, bytes->bytes, ownership, true));
      ST8_FAILPOINT("target.file.switching");
    }
    for (const std::string& path : before.paths) {
      if (!wanted.contains(path)) ST8_TRY(root.remove_file(path));
    }
    ST8_TRY(root.replace(kManifest, manifest_bytes(label, {wanted.begin(), wanted.end()}), {0600}));
    ST8_FAILPOINT("target.file.after_switch");
    return {};
  }

  Result<Observation> observe_files(const Root& root, const CallContext& call) const {
    ST8_ASSIGN(const Manifest manifest, read_manifest(root));
    if (!manifest.present) return Observation{};
    std::vector<FileEntry> files;
    for (const std::string& path : manifest.paths) {
      ST8_TRY(call.check());
      auto file = root.read(path);
      if (!file) {
        // Something else stands in the file's place: that is what is live, and no plan has it.
        if (file.error().code != ErrorCode::kUnprocessable) return fail(file.error());
        files.push_back({path, 0, Hash::of("not a regular file")});
      } else if (*file) {
        files.push_back({path, (*file)->ownership.mode, Hash::of((*file)->bytes)});
      }
    }
    std::sort(files.begin(), files.end(), [](const FileEntry& a, const FileEntry& b) { return a.path < b.path; });
    return Observation{true, content_hash(files), manifest.label};
  }

  Status restore_files(const Root& root, const CallContext& call) const {
    const std::string point = under(kRestore, call.restore_point);
    ST8_ASSIGN(const auto stored, root.read(under(point, "index.json")));
    if (!stored) return {};
    return codec::guarded<void>("restore point", stored->bytes, [&](const Json& index) -> Status {
      // What is live now and was not there before goes, even if a later version of the same rollout added it.
      ST8_ASSIGN(const Manifest live, read_manifest(root));
      std::set<std::string> listed;
      for (const Json& entry : index.at("files")) listed.insert(entry.at("path").get<std::string>());
      for (const std::string& path : live.paths) {
        if (!listed.contains(path)) ST8_TRY(root.remove_file(path));
      }
      for (const Json& entry : index.at("files")) {
        ST8_TRY(call.check());
        const std::string path = entry.at("path").get<std::string>();
        ST8_TRY(check_relative_path(path));
        if (!entry.at("present").get<bool>()) {
          ST8_TRY(root.remove_file(path));
          continue;
        }
        ST8_ASSIGN(const auto bytes, root.read(under(point, entry.at("bytes").get<std::string>())));
        if (!bytes) return fail(ErrorCode::kUnprocessable, "the restore point lost the bytes of " + path, "");
        const Ownership ownership{entry.at("mode").get<std::uint32_t>(), entry.at("uid").get<uid_t>(),
                                  entry.at("gid").get<gid_t>()};
        ST8_ASSIGN(const auto now, root.read(path));
        const bool same = now && now->bytes == bytes->bytes && now->ownership.mode == ownership.mode &&
                          now->ownership.uid == ownership.uid && now->ownership.gid == ownership.gid;
        if (!same) ST8_TRY(root.replace(path, bytes->bytes, ownership, true));
        ST8_FAILPOINT("target.file.restoring");
      }
      auto directories = index.at("absent_directories").get<std::vector<std::string>>();
      std::sort(directories.rbegin(), directories.rend());  // The deepest first.
      for (const std::string& directory : directories) {
        ST8_TRY(check_relative_path(directory));
        ST8_TRY(root.remove_directory_if_empty(directory));
      }
      if (index.at("manifest").is_null()) return root.remove_file(kManifest);
      return root.replace(kManifest, index.at("manifest").get<std::string>(), {0600});
    });
  }

  FileSpec spec_;
};

}  // namespace

void FileSpec::read(strict_yaml::Context& context, const strict_yaml::Value& value) {
  strict_yaml::Map map(context, value);
  if (const auto path = map.require("root")) {
    if (auto text = path->text()) root = std::move(*text);
    if (root.empty() || root.front() != '/') {
      path->problem("must be an absolute path");
    } else if (root.size() > 1 && !check_relative_path(std::string_view(root).substr(1))) {
      path->problem("must be a plain path, without \"..\", \"//\" or a '/' at its end");
    } else if (root == "/") {
      path->problem("must not be the root of the machine");
    }
  }
  if (const auto mode = map.take("mode")) {
    constexpr std::array<std::string_view, 2> kWords = {"directory", "files"};
    if (const auto index = mode->word(kWords)) layout = static_cast<Layout>(*index);
  }
  map.integer("keep", keep, 0, 1000);
  map.finish();
}

std::unique_ptr<TargetDriver> make_file_driver(FileSpec spec) { return std::make_unique<FileDriver>(std::move(spec)); }

}  // namespace st8::target::file
