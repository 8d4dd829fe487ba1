#include "drivers/ssh/files_layout.h"

#include <algorithm>
#include <functional>
#include <map>
#include <set>

#include "codec/json.h"
#include "drivers/ssh/remote_script.h"

namespace st8::target::ssh {
namespace {

using codec::Json;

constexpr std::size_t kGroup = 200;  // Files on one command line there.

// Never an option, whatever the name.
std::string place(std::string_view path) { return ssh::quoted("./" + std::string(path)); }

std::vector<std::string> parents(std::string_view path) {
  std::vector<std::string> all;
  for (std::size_t at = 0; (at = path.find('/', at)) != std::string_view::npos; ++at)
    all.emplace_back(path.substr(0, at));
  return all;
}

// Where a file is made before it takes its name: beside it, the same each time, so that what was cut short is found again.
std::string beside(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  const std::string directory = slash == std::string::npos ? "" : path.substr(0, slash + 1);
  return place(directory + ".st8." + Hash::of(path).hex().substr(0, 16));
}

std::set<std::string> directories_of(const std::set<std::string>& paths) {
  std::set<std::string> all;
  for (const std::string& path : paths) {
    for (std::string& directory : parents(path)) all.insert(std::move(directory));
  }
  return all;
}

// In groups on a command line. `command` gets the words behind it.
template <class Range>
std::string grouped(const std::string& command, const Range& words) {
  std::string text, line;
  std::size_t count = 0;
  for (const std::string& word : words) {
    line += " " + word;
    if (++count % kGroup != 0) continue;
    text += command + line + " || return 1\n";
    line.clear();
  }
  if (!line.empty()) text += command + line + " || return 1\n";
  return text;
}

std::string sync_directories(const std::set<std::string>& directories) {
  // Those that are still there.
  std::string text = "set -- .\n";
  std::size_t count = 0;
  for (const std::string& directory : directories) {
    text += "[ ! -d " + place(directory) + " ] || set -- \"$@\" " + place(directory) + "\n";
    if (++count % kGroup == 0) text += "sync \"$@\" || return 1\nset -- .\n";
  }
  return text + "sync \"$@\" || return 1\n";
}

std::string write_file(std::string_view bytes, const std::string& to) {
  constexpr std::size_t kPart = 32u << 10;
  std::string text;
  for (std::size_t at = 0; at == 0 || at < bytes.size(); at += kPart) {
    text += bytes.empty() ? ":" : "printf ";
    if (!bytes.empty()) put_format(text, bytes.substr(at, kPart));
    text += (at == 0 ? " >" : " >>") + to + " || return 1\n";
  }
  return text;
}

std::string put_manifest(std::string_view bytes) {
  return "clear_way .st8/live.new || return 1\numask 077\n" + write_file(bytes, ".st8/live.new") +
         "umask 022\nswitch_manifest || return 1\n";
}

std::string manifest_bytes(const std::string& label, const std::set<std::string>& paths) {
  return codec::dump({{"label", label}, {"paths", paths}}) + "\n";
}

// What a call that was cut short left.
std::string clear_up(const std::set<std::string>& paths) {
  std::string text;
  for (const std::string& path : paths) text += "clear_way " + beside(path) + " || return 1\n";
  return text;
}

std::string no_links(const std::set<std::string>& directories) {
  std::string text;
  for (const std::string& directory : directories) text += "real_directory " + place(directory) + "\n";
  return text;
}

Result<std::vector<std::string>> paths_in(const Json& json) {
  auto paths = json.get<std::vector<std::string>>();
  for (const std::string& path : paths) ST8_TRY(check_relative_path(path));
  return paths;
}

std::string_view take_field(std::string_view& told) {
  const std::string_view field = told.substr(0, told.find('\0'));
  told.remove_prefix(std::min(told.size(), field.size() + 1));
  return field;
}

Result<Manifest> manifest_of(std::string_view bytes) {
  return codec::guarded<Manifest>("manifest at the target", bytes, [&](const Json& json) -> Result<Manifest> {
    Manifest manifest{true, std::string(bytes), json.at("label").get<std::string>(), {}};
    ST8_ASSIGN(manifest.paths, paths_in(json.at("paths")));
    return manifest;
  });
}

}  // namespace

Result<Manifest> Manifest::take(std::string_view& told) {
  const std::string_view field = take_field(told);
  if (field == "-") return Manifest{};
  if (!field.starts_with('m')) return fail(ErrorCode::kUnavailable, "what the target tells is no manifest", "");
  return manifest_of(field.substr(1));
}

std::string Manifest::digest() const { return present ? Hash::of(bytes).hex() : "-"; }

Result<RestorePoint> RestorePoint::take(std::string_view& told) {
  const std::string_view field = take_field(told);
  if (field.empty()) return RestorePoint{};
  if (!field.starts_with('i')) return fail(ErrorCode::kUnavailable, "what the target tells is no restore point", "");
  return codec::guarded<RestorePoint>("restore point", field.substr(1), [&](const Json& json) -> Result<RestorePoint> {
    RestorePoint point;
    point.present = true;
    ST8_ASSIGN(point.paths, paths_in(json.at("paths")));
    ST8_ASSIGN(point.directories, paths_in(json.at("directories")));
    if (!json.at("manifest").is_null()) {
      ST8_ASSIGN(point.manifest, manifest_of(json.at("manifest").get<std::string>()));
    }
    while (!told.empty()) point.names.emplace_back(take_field(told));
    std::sort(point.names.begin(), point.names.end());
    return point;
  });
}

std::string listing_of(const std::vector<std::string>& paths) {
  std::string text;
  for (std::size_t first = 0; first < paths.size(); first += kGroup) {
    text += "set --\n";
    for (std::size_t i = first; i < std::min(paths.size(), first + kGroup); ++i) {
      const std::string file = place(paths[i]);
      std::string look = "[ ! -e " + file + " ] && [ ! -L " + file + " ] || set -- \"$@\" " + file + "\n";
      std::string links;
      for (const std::string& parent : parents(paths[i]))
        links += (links.empty() ? "" : " || ") + ("[ -L " + place(parent) + " ]");
      if (links.empty()) {
        text += look;
        continue;
      }
      // A way through a link is none of ours: what stands in the file's place is something else.
      text += "if " + links + "; then printf ";
      put_format(text, "l 0 ./" + paths[i] + '\0');
      text += "; else " + look + "fi\n";
    }
    text +=
        "[ $# -eq 0 ] || find \"$@\" -maxdepth 0 -printf '%y %m %p\\0' -type f -exec sha256sum -z {} + || return 1\n";
  }
  return text.empty() ? ":\n" : text;
}

Result<std::string> switching_of(const Manifest& before, const std::string& label, const std::vector<FileEntry>& wanted,
                                 const std::vector<FileEntry>& found) {
  std::set<std::string> touched(before.paths.begin(), before.paths.end()), kept;
  for (const FileEntry& file : wanted) {
    ST8_TRY(check_relative_path(file.path));
    if (file.path.starts_with(".st8/") || file.path == ".st8")
      return fail(ErrorCode::kUnprocessable, "a document lands in .st8/, which belongs to the driver",
                  "change `to` in the policy");
    if (Json::parse(codec::dump(Json(file.path))).get<std::string>() != file.path)
      return fail(ErrorCode::kUnprocessable, "a document's path is no UTF-8, and cannot stand in a manifest",
                  "use `mode: directory`, or name it otherwise");
    kept.insert(file.path);
    touched.insert(file.path);
  }
  const std::set<std::string> directories = directories_of(touched);
  std::string text = no_links(directories) + clear_up(touched);
  const std::string building = ".st8/restore/.building";
  // What was live, under the restore point's name, once.
  text += "plain_directory .st8/restore\nif [ ! -e \"$kept\" ]; then\nrm -rf " + building +
          " || return 1\numask 077\nmkdir " + building + " || return 1\n";
  std::size_t number = 0;
  for (const std::string& path : touched)
    text += "keep_file " + place(path) + " " + std::to_string(number++) + " || return 1\n";
  number = 0;
  for (const std::string& directory : directories)
    text += "[ -d " + place(directory) + " ] || : >" + building + "/d" + std::to_string(number++) + " || return 1\n";
  Json index = {{"paths", touched}, {"directories", directories}};
  index["manifest"] = before.present ? Json(before.bytes) : Json(nullptr);
  text += write_file(codec::dump(index), building + "/index.json");
  text += "umask 022\nsync " + building + "/* " + building + " && mv -T " + building +
          " \"$kept\" && sync .st8/restore || return 1\nfi\n";
  // Until the manifest names the new files, what is observed is neither version; it is written before the first file, so that
  // no file is live that no manifest knows of.
  text += put_manifest(manifest_bytes(label, touched));
  for (const std::string& directory : directories_of(kept))
    text += "new_directory " + place(directory) + " || return 1\n";
  std::map<std::string_view, const FileEntry*> now;
  for (const FileEntry& file : found) now.emplace(file.path, &file);
  std::vector<std::string> made, moves, gone;
  for (const FileEntry& file : wanted) {
    const auto there = now.find(file.path);
    if (there != now.end() && *there->second == file) continue;
    made.push_back(beside(file.path));
    text += "bring " + place(file.path) + " " + made.back() + " \"$versions/$label\"/" + ssh::quoted(file.path) +
            " || return 1\n";
    moves.push_back("in_place " + place(file.path) + " " + made.back() + " || return 1\n");
  }
  text += grouped("sync", made);
  for (const std::string& move : moves) text += move;
  for (const std::string& path : before.paths) {
    if (!kept.contains(path)) gone.push_back(place(path));
  }
  text += grouped("rm -f", gone);
  text += sync_directories(directories);
  return text + put_manifest(manifest_bytes(label, kept));
}

std::string restoring_of(const Manifest& now, const RestorePoint& point) {
  const auto has = [&](const std::string& name) {
    return std::binary_search(point.names.begin(), point.names.end(), name);
  };
  std::set<std::string> touched(now.paths.begin(), now.paths.end());
  touched.insert(point.paths.begin(), point.paths.end());
  const std::set<std::string> directories = directories_of(touched);
  std::string text = no_links(directories) + clear_up(touched);
  std::vector<std::string> gone;
  // What is live now and was not there before goes, even if a later version of the same rollout added it.
  const std::set<std::string> listed(point.paths.begin(), point.paths.end());
  for (const std::string& path : now.paths) {
    if (!listed.contains(path)) gone.push_back(place(path));
  }
  std::set<std::string> present;
  for (std::size_t i = 0; i < point.paths.size(); ++i) {
    if (has(std::to_string(i)))
      present.insert(point.paths[i]);
    else
      gone.push_back(place(point.paths[i]));
  }
  for (const std::string& directory : directories_of(present))
    text += "new_directory " + place(directory) + " || return 1\n";
  for (std::size_t i = 0; i < point.paths.size(); ++i) {
    if (!has(std::to_string(i))) continue;
    text += "put_back " + place(point.paths[i]) + " " + beside(point.paths[i]) + " \"$kept/" + std::to_string(i) +
            "\" || return 1\n";
  }
  text += grouped("rm -f", gone);
  for (std::size_t i = point.directories.size(); i-- > 0;) {
    if (has("d" + std::to_string(i))) text += "old_directory " + place(point.directories[i]) + "\n";
  }
  text += sync_directories(directories);
  if (point.manifest.present) return text + put_manifest(point.manifest.bytes);
  return text + "rm -f \"$manifest\" && sync .st8 || return 1\n";
}

}  // namespace st8::target::ssh
