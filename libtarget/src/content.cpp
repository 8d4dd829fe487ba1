#include <algorithm>

#include "st8/target/target.h"

namespace st8::target {

Hash content_hash(std::span<const FileEntry> files) {
  std::string joined;
  for (const FileEntry& file : files) {
    joined += file.path;
    joined += '\0';
    joined += std::to_string(file.mode & 07777);
    joined += '\0';
    joined += file.hash.view();
  }
  return Hash::of_parts({"st8 content 1\n", joined});
}

std::string version_label(state::RevisionNumber revision, const Hash& content) {
  return std::to_string(revision.value) + "-" + content.hex().substr(0, 12);
}

std::string Content::label() const { return version_label(revision, hash); }

Status check_relative_path(std::string_view path) {
  const auto refuse = [&](std::string why) -> Status {
    return fail(ErrorCode::kInvalidArgument, "the path \"" + std::string(path.substr(0, 200)) + "\" " + std::move(why),
                "use a relative path with forward slashes");
  };
  if (path.empty()) return refuse("is empty");
  if (path.size() > 4000) return refuse("is longer than 4000 bytes");
  if (path.front() == '/') return refuse("is absolute");
  if (path.find('\0') != std::string_view::npos) return refuse("has a NUL");
  while (!path.empty()) {
    const std::size_t slash = path.find('/');
    const std::string_view part = path.substr(0, slash);
    if (part.empty()) return refuse("has an empty component");
    if (part == "." || part == "..") return refuse("has a component \"" + std::string(part) + "\"");
    if (part.size() > 255) return refuse("has a component longer than 255 bytes");
    if (slash == std::string_view::npos) break;
    path.remove_prefix(slash + 1);
    if (path.empty()) return refuse("ends with '/'");
  }
  return {};
}

Status CallContext::check() const {
  if (cancelled && cancelled->load(std::memory_order_relaxed)) return fail(ErrorCode::kUnavailable, "cancelled", "");
  if (remaining().count() <= 0) return fail(ErrorCode::kUnavailable, "timed out", "");
  return {};
}

}  // namespace st8::target
