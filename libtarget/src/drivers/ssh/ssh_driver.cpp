#include "drivers/ssh/ssh_driver.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <map>
#include <set>
#include <utility>

#include "drivers/names.h"
#include "drivers/redaction.h"
#include "drivers/ssh/files_layout.h"
#include "drivers/ssh/remote_script.h"
#include "drivers/ssh/session_pool.h"

namespace st8::target::ssh {
namespace {

// What no retry mends, as programs say it.
constexpr std::array<std::string_view, 7> kRefusals = {
    "Permission denied", "Operation not permitted",           "Read-only file system", "Not a directory",
    "Is a directory",    "Too many levels of symbolic links", "File name too long"};
constexpr std::size_t kPieceBytesMax = 256u << 10;  // Of shell in one call: what lies in memory there.
constexpr std::size_t kSettleFilesMax = 200;        // Synced by name; of more, the whole tree is.
constexpr std::size_t kWordsBytesMax = 64u << 10;   // On one command line there; names alone, never content.

std::string octal(std::uint32_t mode) {
  char digits[12];
  const auto end = std::to_chars(digits, digits + sizeof digits, mode, 8);
  return {digits, end.ptr};
}

// The scan of remote_script.h as it would come out of a directory that holds this content and nothing else, hashed as
// `sort -z | sha256sum` does.
Hash scan_digest(const Content& content) {
  std::vector<std::string> records;
  for (const ContentFile& file : content.files) {
    records.push_back("f " + octal(file.entry.mode & 07777u) + " " + file.entry.path);
    records.push_back(file.entry.hash.hex() + "  ./" + file.entry.path);
  }
  std::sort(records.begin(), records.end());
  std::string all;
  for (const std::string& record : records) all += record + '\0';
  return Hash::of(all);
}

// The shell that writes a content below "$built", in pieces of bounded length. Each is whole by itself, and they are run in
// their order, without a fork but for directories and for modes that a umask cannot give.
std::vector<std::string> laying_of(const Content& content) {
  std::vector<std::string> pieces(1);
  const auto add = [&](std::string text) {
    if (pieces.back().size() + text.size() > kPieceBytesMax && !pieces.back().empty()) pieces.emplace_back();
    pieces.back() += text;
  };
  const auto place = [](std::string_view path) { return "\"$built\"/" + quoted(path); };
  std::set<std::string_view> directories;
  for (const ContentFile& file : content.files) {
    const std::string_view path = file.entry.path;
    for (std::size_t at = 0; (at = path.find('/', at)) != std::string_view::npos; ++at)
      directories.insert(path.substr(0, at));
  }
  const auto many = [&](const std::string& command, std::string first, const auto& paths) {
    std::string words = std::move(first);
    const auto flush = [&] {
      if (!words.empty()) add(command + words + " || return 1\n");
      words.clear();
    };
    for (const std::string_view path : paths) {
      words += " " + place(path);
      if (words.size() > kWordsBytesMax) flush();
    }
    flush();
  };
  many("mkdir", " \"$built\"", directories);  // A set is in order: what is above comes first.
  std::map<std::uint32_t, std::vector<std::string_view>> modes;
  std::uint32_t umask = 022;
  for (const ContentFile& file : content.files) {
    const std::uint32_t mode = file.entry.mode & 07777u;
    // A new file gets what the umask leaves of 0666; another mode is given afterwards, and nobody else may read it before.
    const bool plain = (mode & 07111u) == 0 && (mode & 0600u) == 0600u;
    const std::uint32_t mask = plain ? 0666u & ~mode : 077u;
    if (!plain) modes[mode].push_back(file.entry.path);
    std::string_view rest = *file.bytes;
    bool begun = false;
    do {
      const std::string_view part = rest.substr(0, kPieceBytesMax / 8);
      rest.remove_prefix(part.size());
      std::string text;
      if (mask != umask) text += "umask " + octal(mask) + "\n";
      umask = mask;
      text += part.empty() ? ":" : "printf ";
      if (!part.empty()) put_format(text, part);
      text += (begun ? " >>" : " >") + place(file.entry.path) + " || return 1\n";
      begun = true;
      const std::size_t before = pieces.size();
      add(std::move(text));
      // Each call begins with a umask of its own.
      if (pieces.size() != before && umask != 022) pieces.back().insert(0, "umask " + octal(umask) + "\n");
    } while (!rest.empty());
  }
  for (const auto& [mode, paths] : modes) many("chmod " + octal(mode), "", paths);
  pieces.back() += "umask 022\n";
  return pieces;
}

// The shell that syncs what lies at "$to", and what it is called with.
std::string settling_of(const Content& content) {
  std::string words;
  std::set<std::string_view> directories;
  for (const ContentFile& file : content.files) {
    const std::string_view path = file.entry.path;
    words += " \"$to\"/" + quoted(path);
    for (std::size_t at = 0; (at = path.find('/', at)) != std::string_view::npos; ++at)
      directories.insert(path.substr(0, at));
  }
  for (const std::string_view path : directories) words += " \"$to\"/" + quoted(path);
  if (content.files.size() > kSettleFilesMax || words.size() > kWordsBytesMax)
    return "sync_below \"$to\" && sync \"$@\"\n";
  return "sync" + words + " \"$to\" \"$@\"\n";
}

class SshDriver final : public TargetDriver {
 public:
  SshDriver(SshSpec spec, std::shared_ptr<SessionPool> pool) : spec_(std::move(spec)), pool_(std::move(pool)) {}

  Capabilities capabilities() const override {
    Capabilities can;
    can.atomic_switch = !spec_.files;
    return can;
  }

  Status check(const CallContext& call) override { return act(call, "check", {}); }

  Status stage(const CallContext& call, const Content& content) override {
    for (const ContentFile& file : content.files) ST8_TRY(check_relative_path(file.entry.path));
    const std::string label = content.label();
    ST8_TRY(drivers::check_name(label, "the version"));
    std::vector<std::string> pieces = laying_of(content);
    const bool small = pieces.size() == 1;
    const Values values = {{"label", label}, {"digest", scan_digest(content).hex()}};
    if (small) {
      Values now = values;
      now.insert({{"fill", "now"}, {"built", versions() + "/.st8.building"}});
      return act(call, "stage", std::move(now), std::move(pieces.front()), settling_of(content), &content);
    }
    // What is there already is not sent again.
    Values asked = values;
    asked["fill"] = "no";
    ST8_ASSIGN(const Answer answer, run(call, "stage", std::move(asked), "", "", &content));
    if (answer.word != "wanted") return {};
    const std::string built = versions() + "/.st8.building." + std::to_string(call.fencing_token) + "-" +
                              std::to_string(call.clock->monotonic().count());
    for (std::string& piece : pieces) {
      ST8_TRY(act(call, "lay_part", {{"built", built}}, std::move(piece), "", &content));
    }
    Values laid = values;
    laid.insert({{"fill", "laid"}, {"built", built}});
    return act(call, "stage", std::move(laid), "", settling_of(content), &content);
  }

  Result<Hash> validate(const CallContext& call, const std::string& label) override {
    ST8_TRY(drivers::check_name(label, "the version"));
    ST8_ASSIGN(const Answer answer, run(call, "validate", {{"label", label}}));
    if (answer.word == "absent") return fail(not_staged(label));
    return files_hash(answer.body);
  }

  Status activate(const CallContext& call, const std::string& label) override {
    ST8_TRY(drivers::check_name(label, "the version"));
    ST8_TRY(drivers::check_name(call.restore_point, "the restore point"));
    if (spec_.files) return activate_files(call, label);
    return act(call, "activate", {{"label", label}});
  }

  Result<Observation> observe(const CallContext& call) override {
    if (spec_.files) return observe_files(call);
    ST8_ASSIGN(const Answer answer, run(call, "observe", {}));
    if (answer.word == "absent") return Observation{};
    if (answer.word == "foreign") return Observation{true, Hash::of("foreign link: " + answer.message), "foreign"};
    if (answer.word == "missing")
      return Observation{true, Hash::of("missing version: " + answer.message), answer.message};
    ST8_ASSIGN(const Hash hash, files_hash(answer.body));
    return Observation{true, hash, answer.message};
  }

  Status restore(const CallContext& call) override {
    ST8_TRY(drivers::check_name(call.restore_point, "the restore point"));
    if (spec_.files) return restore_files(call);
    return act(call, "restore", {});
  }

  Status discard(const CallContext& call) override {
    if (!call.restore_point.empty()) ST8_TRY(drivers::check_name(call.restore_point, "the restore point"));
    return act(call, "discard", {});
  }

 private:
  using Values = std::map<std::string_view, std::string>;

  std::string versions() const { return spec_.files ? ".st8/versions" : "revisions"; }

  // Two or three round trips: what is live and what shall be is told, and then changed, unless somebody came between.
  Status activate_files(const CallContext& call, const std::string& label) const {
    ST8_ASSIGN(const Answer told, run(call, "look", {{"label", label}}));
    if (told.word == "absent") return fail(not_staged(label));
    std::string_view rest = told.body;
    ST8_ASSIGN(const Manifest before, Manifest::take(rest));
    ST8_ASSIGN(const std::vector<FileEntry> wanted, files_of(rest));
    std::set<std::string> touched(before.paths.begin(), before.paths.end());
    for (const FileEntry& file : wanted) touched.insert(file.path);
    ST8_ASSIGN(const Answer listed, run(call, "list", {}, listing_of({touched.begin(), touched.end()})));
    ST8_ASSIGN(const std::vector<FileEntry> found, files_of(listed.body));
    ST8_ASSIGN(std::string text, switching_of(before, label, wanted, found));
    return act(call, "put_files", {{"label", label}, {"digest", before.digest()}}, std::move(text));
  }

  Result<Observation> observe_files(const CallContext& call) const {
    ST8_ASSIGN(const Answer told, run(call, "look", {{"label", ""}}));
    if (told.word == "absent") return Observation{};
    std::string_view rest = told.body;
    ST8_ASSIGN(const Manifest live, Manifest::take(rest));
    if (!live.present) return Observation{};
    ST8_ASSIGN(const Answer listed, run(call, "list", {}, listing_of(live.paths)));
    ST8_ASSIGN(const Hash hash, files_hash(listed.body));
    return Observation{true, hash, live.label};
  }

  Status restore_files(const CallContext& call) const {
    ST8_ASSIGN(const Answer told, run(call, "look_point", {}));
    std::string_view rest = told.body;
    ST8_ASSIGN(const Manifest now, Manifest::take(rest));
    ST8_ASSIGN(const RestorePoint point, RestorePoint::take(rest));
    if (!point.present) return {};
    return act(call, "put_files", {{"digest", now.digest()}}, restoring_of(now, point));
  }

  Error not_staged(const std::string& label) const {
    return {ErrorCode::kNotFound, "version " + label + " is not staged at " + spec_.root + " of " + spec_.host, ""};
  }

  Status act(const CallContext& call, std::string_view operation, Values values, std::string lay = {},
             std::string settle = {}, const Content* content = nullptr) const {
    const auto answer = run(call, operation, std::move(values), std::move(lay), std::move(settle), content);
    return answer ? Status{} : fail(answer.error());
  }

  Result<Answer> run(const CallContext& call, std::string_view operation, Values values, std::string lay = {},
                     std::string settle = {}, const Content* content = nullptr) const {
    values["op"] = operation;
    values["layout"] = spec_.files ? "files" : "directory";
    values["versions"] = versions();
    values["root"] = spec_.root;
    values["point"] = call.restore_point;
    values["token"] = std::to_string(call.fencing_token);
    // Calls for a target come one at a time, and a daemon that begins anew comes with a new token: so this clock orders the calls of
    // one token, and one that was given up on and still lies on the line does nothing after a later one.
    values["serial"] = std::to_string(call.clock->monotonic().count());
    values["keep"] = std::to_string(spec_.keep);
    values["wait"] = std::to_string(
        std::max<std::int64_t>(1, std::chrono::duration_cast<std::chrono::seconds>(call.remaining()).count()));
    const Order order{{values.begin(), values.end()}, std::move(lay), std::move(settle)};
    ST8_ASSIGN(Answer answer, pool_->with_session(call, spec_, [&](Session& session) {
      return session.exchange(call, spec_, order, content);
    }));
    const std::string said = spec_.host + ": " + drivers::redacted(answer.message, content);
    if (answer.word == "refused") return fail(ErrorCode::kUnprocessable, said, "");
    if (answer.word == "unavailable") return fail(ErrorCode::kUnavailable, said, "");
    if (answer.word == "stale") return fail(ErrorCode::kPreconditionFailed, said, "another rollout took it over");
    if (answer.word == "not_found") return fail(ErrorCode::kNotFound, said, "stage it first");
    if (answer.word == "failed" || answer.word == "ended") return fail(said_error(answer, content));
    return answer;
  }

  // Of a program there that failed: its last line says why.
  Error said_error(const Answer& answer, const Content* content) const {
    std::string_view said = answer.body;
    while (!said.empty() && (said.back() == '\n' || said.back() == '\r')) said.remove_suffix(1);
    said = said.substr(said.find_last_of(std::string_view("\n\0", 2)) + 1);
    const bool refused = std::any_of(kRefusals.begin(), kRefusals.end(), [&](std::string_view words) {
      return said.find(words) != std::string_view::npos;
    });
    const std::string what = answer.word == "ended" ? "the call ended with status " + answer.message : answer.message;
    return {refused ? ErrorCode::kUnprocessable : ErrorCode::kUnavailable,
            spec_.host + ": " + drivers::redacted(what + (said.empty() ? "" : ": " + std::string(said)), content), ""};
  }

  // The hash of the files that a scan tells, as it would be of a plan's.
  Result<Hash> files_hash(std::string_view scan) const {
    ST8_ASSIGN(const std::vector<FileEntry> files, files_of(scan));
    return content_hash(files);
  }

  // In path order.
  Result<std::vector<FileEntry>> files_of(std::string_view scan) const {
    const auto misread = [&] {
      return fail(ErrorCode::kUnavailable, spec_.host + ": what it reads back is no list of files", "");
    };
    constexpr std::size_t kHexDigits = 64;
    std::map<std::string, FileEntry, std::less<>> files;
    while (!scan.empty()) {
      const std::size_t end = scan.find('\0');
      if (end == std::string_view::npos) return misread();
      const std::string_view record = scan.substr(0, end);
      scan.remove_prefix(end + 1);
      // "<kind> <mode> <path>", or "<hash>  ./<path>".
      if (record.size() > 4 && record[1] == ' ') {
        const std::size_t space = record.find(' ', 2);
        if (space == std::string_view::npos) return misread();
        const std::string_view path = record.substr(space + 1);
        FileEntry entry{std::string(path.substr(path.starts_with("./") ? 2 : 0)), 0, Hash::of("not a regular file")};
        if (record[0] == 'f') {
          const auto [rest, error] = std::from_chars(record.data() + 2, record.data() + space, entry.mode, 8);
          if (error != std::errc{} || rest != record.data() + space) return misread();
          entry.hash = Hash{};
        }
        files[entry.path] = std::move(entry);
      } else {
        const auto hash =
            record.size() > kHexDigits + 4 ? Hash::from_hex(std::string(record.substr(0, kHexDigits))) : std::nullopt;
        if (!hash || record.substr(kHexDigits, 4) != "  ./") return misread();
        // One that came after the first look is told by the next read-back.
        if (const auto found = files.find(record.substr(kHexDigits + 4)); found != files.end())
          found->second.hash = *hash;
      }
    }
    std::vector<FileEntry> entries;
    for (auto& [path, entry] : files) entries.push_back(std::move(entry));
    return entries;
  }

  const SshSpec spec_;
  const std::shared_ptr<SessionPool> pool_;
};

}  // namespace

std::unique_ptr<TargetDriver> make_ssh_driver(SshSpec spec, std::shared_ptr<SessionPool> pool) {
  return std::make_unique<SshDriver>(std::move(spec), std::move(pool));
}

}  // namespace st8::target::ssh
