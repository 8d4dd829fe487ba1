#include "documents/load.h"

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <dirent.h>
#include <fcntl.h>
#include <map>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

#include "config/files.h"
#include "render/output.h"
#include "st8/state/names.h"

namespace st8::ctl {
namespace {

using state::DocumentKey;
using state::Limits;

class Loader {
 public:
  explicit Loader(const LoadRequest& request) : request_(request) {}

  Result<LoadedDocuments> run() {
    ST8_ASSIGN(under_, clean_under(request_.under));
    if (request_.key && request_.paths.size() != 1) {
      return fail(ErrorCode::kInvalidArgument,
                  "--key names one file's document, and " + std::to_string(request_.paths.size()) + " files are given",
                  "give one -f with each --key, or let the paths be the keys");
    }
    for (const std::string& path : request_.paths) ST8_TRY(load_path(path));
    for (const std::string& value : request_.values) ST8_TRY(load_value(value));
    if (links_elsewhere_ > 0) note(links_elsewhere_, "link(s) to files elsewhere; --follow-links takes them");
    if (links_to_directories_ > 0) note(links_to_directories_, "link(s) to directories, which are not followed");
    if (dangling_ > 0) note(dangling_, "dangling link(s)");
    if (special_ > 0) note(special_, "socket(s), pipe(s) or device(s)");
    std::sort(out_.documents.begin(), out_.documents.end(), [](const auto& a, const auto& b) { return a.key < b.key; });
    return std::move(out_);
  }

 private:
  void note(std::size_t count, const std::string& what) {
    out_.notices.push_back("left out " + std::to_string(count) + " " + what);
  }

  Status load_path(const std::string& path) {
    if (path.empty()) return fail(ErrorCode::kInvalidArgument, "an empty file name is given");
    if (path == "-") {
      if (!request_.key) {
        return fail(ErrorCode::kInvalidArgument, "what comes from standard input has no name of its own",
                    "give its key: -f - --key app/config.json");
      }
      ST8_ASSIGN(std::string content, read_whole_descriptor(STDIN_FILENO, "standard input", Limits::kDocumentBytesMax));
      return add(under_ + *request_.key, std::move(content), "standard input");
    }
    struct stat status {};
    if (::stat(path.c_str(), &status) != 0) return fail(system_error("read", path, errno));
    if (S_ISDIR(status.st_mode)) {
      if (request_.key)
        return fail(ErrorCode::kInvalidArgument, path + " is a directory, and --key names one document",
                    "--under puts its files below a path");
      const int directory = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
      if (directory < 0) return fail(system_error("read", path, errno));
      root_ = real_path(path);
      return load_directory(directory, path, "");
    }
    ST8_ASSIGN(std::string content, read_whole_file(path, Limits::kDocumentBytesMax));
    return add(under_ + (request_.key ? *request_.key : path), std::move(content), path);
  }

  // Without links; empty when it cannot be told.
  static std::string real_path(const std::string& path) {
    char* const real = ::realpath(path.c_str(), nullptr);
    if (real == nullptr) return {};
    std::string text = real;
    std::free(real);
    return text;
  }

  // Takes the descriptor over.
  Status load_directory(int descriptor, const std::string& shown, const std::string& relative) {
    DIR* directory = ::fdopendir(descriptor);
    if (directory == nullptr) {
      const int number = errno;
      ::close(descriptor);
      return fail(system_error("read", shown, number));
    }
    std::vector<std::string> names;
    errno = 0;
    while (const dirent* entry = ::readdir(directory)) {
      const std::string name = entry->d_name;
      if (name != "." && name != ".." && name != ".git") names.push_back(name);
      errno = 0;
    }
    Status outcome = errno == 0 ? Status() : Status(fail(system_error("read", shown, errno)));
    // In order, so that the first error is the same every time.
    std::sort(names.begin(), names.end());
    for (const std::string& name : names) {
      if (!outcome) break;
      outcome = load_entry(::dirfd(directory), name, shown + (shown.ends_with('/') ? "" : "/") + name, relative + name);
    }
    ::closedir(directory);
    return outcome;
  }

  Status load_entry(int directory, const std::string& name, const std::string& shown, const std::string& relative) {
    struct stat status {};
    if (::fstatat(directory, name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) {
      // Gone since the directory was listed: as if it had gone before.
      if (errno == ENOENT) return {};
      return fail(system_error("read", shown, errno));
    }
    if (S_ISLNK(status.st_mode)) {
      if (::fstatat(directory, name.c_str(), &status, 0) != 0) {
        ++dangling_;
        return {};
      }
      if (S_ISDIR(status.st_mode)) {
        ++links_to_directories_;
        return {};
      }
      const std::string target = real_path(shown);
      if (!request_.follow_links && !target.starts_with(root_ == "/" ? root_ : root_ + "/")) {
        ++links_elsewhere_;
        return {};
      }
    }
    if (S_ISDIR(status.st_mode)) {
      const int descriptor = ::openat(directory, name.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
      if (descriptor < 0) return fail(system_error("read", shown, errno));
      return load_directory(descriptor, shown, relative + "/");
    }
    if (!S_ISREG(status.st_mode)) {
      ++special_;
      return {};
    }
    const int descriptor = ::openat(directory, name.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (descriptor < 0) return fail(system_error("read", shown, errno));
    Result<std::string> content = read_whole_descriptor(descriptor, shown, Limits::kDocumentBytesMax);
    ::close(descriptor);
    if (!content) return fail(content.error());
    return add(under_ + relative, std::move(*content), shown);
  }

  Status load_value(const std::string& value) {
    const std::size_t equals = value.find('=');
    if (equals == std::string::npos) {
      return fail(ErrorCode::kInvalidArgument, "the value " + quote(value.substr(0, 100)) + " has no '='",
                  "write it as key=value; a file is given with -f");
    }
    const std::string key = value.substr(0, equals);
    return add(under_ + key, value.substr(equals + 1),
               "--value " + (key.size() <= 100 ? key : key.substr(0, 100) + "..."));
  }

  Status add(const std::string& key_text, std::string content, const std::string& source) {
    Result<DocumentKey> key = DocumentKey::parse(key_text);
    if (!key) {
      Error error = key.error();
      if (key_text.starts_with("/") || key_text.find("..") != std::string::npos) {
        error.hint = "give it a key with --key, or apply its directory: keys are relative to that";
      }
      if (source != key_text) error.message = source + ": " + error.message;
      return fail(std::move(error));
    }
    if (!key->view().starts_with(under_)) {
      return fail(ErrorCode::kInvalidArgument,
                  source + ": the key " + quote(key->str()) + " is not below --under " + quote(under_),
                  "leave \"..\" out of it");
    }
    const auto [entry, fresh] = sources_.emplace(key->str(), source);
    if (!fresh) {
      return fail(ErrorCode::kInvalidArgument,
                  "the key " + quote(key->str()) + " is given twice: by " + entry->second + " and by " + source,
                  "one apply gives a key one content");
    }
    if (content.size() > Limits::kDocumentBytesMax) {
      return fail(ErrorCode::kTooLarge, source + " is " + human_bytes(content.size()) + "; a document holds at most " +
                                            human_bytes(Limits::kDocumentBytesMax));
    }
    out_.bytes += content.size();
    out_.documents.push_back({key->str(), std::move(content)});
    if (out_.documents.size() > Limits::kDocumentsPerApplyMax) {
      return fail(ErrorCode::kTooLarge,
                  "more than " + std::to_string(Limits::kDocumentsPerApplyMax) +
                      " documents are given, the most that one apply takes",
                  "apply the directory's parts one after the other");
    }
    if (request_.progress) request_.progress(out_.documents.size());
    return {};
  }

  const LoadRequest& request_;
  std::string under_;
  LoadedDocuments out_;
  std::map<std::string, std::string> sources_;
  std::string root_;  // The real path of the directory that is being read.
  std::size_t links_elsewhere_ = 0;
  std::size_t links_to_directories_ = 0;
  std::size_t dangling_ = 0;
  std::size_t special_ = 0;
};

}  // namespace

Result<std::string> clean_under(const std::string& under) {
  if (under.empty()) return std::string();
  Result<DocumentKey> key =
      DocumentKey::parse(under.ends_with('/') && under != "/" ? under.substr(0, under.size() - 1) : under);
  if (!key) {
    return fail(ErrorCode::kInvalidArgument, "--under: " + key.error().message,
                "it is a path within the namespace, like etc/app");
  }
  return key->str() + "/";
}

Result<LoadedDocuments> load_documents(const LoadRequest& request) { return Loader(request).run(); }

}  // namespace st8::ctl
