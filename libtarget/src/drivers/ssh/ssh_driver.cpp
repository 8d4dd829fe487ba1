#include "drivers/ssh/ssh_driver.h"

#include <algorithm>
#include <charconv>
#include <map>
#include <utility>

#include "drivers/names.h"
#include "drivers/redaction.h"
#include "drivers/ssh/tar.h"

namespace st8::target::ssh {
namespace {

constexpr std::string_view kPayloadEnd = "end\n";

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

class SshDriver final : public TargetDriver {
 public:
  explicit SshDriver(SshSpec spec) : spec_(std::move(spec)) {}

  Capabilities capabilities() const override { return {}; }

  Status check(const CallContext& call) override { return act(call, "check", {}); }

  Status stage(const CallContext& call, const Content& content) override {
    for (const ContentFile& file : content.files) ST8_TRY(check_relative_path(file.entry.path));
    const std::string label = content.label();
    ST8_TRY(drivers::check_name(label, "the version"));
    std::string payload = tar_of(content);
    const std::string size = std::to_string(payload.size());
    payload += kPayloadEnd;
    return act(call, "stage", {{"label", label}, {"size", size}, {"digest", scan_digest(content).hex()}}, payload,
               &content);
  }

  Result<Hash> validate(const CallContext& call, const std::string& label) override {
    ST8_TRY(drivers::check_name(label, "the version"));
    ST8_ASSIGN(const Answer answer, run(call, "validate", {{"label", label}}));
    if (answer.word == "absent")
      return fail(ErrorCode::kNotFound, "version " + label + " is not staged at " + spec_.root + " of " + spec_.host,
                  "");
    return files_hash(answer.body);
  }

  Status activate(const CallContext& call, const std::string& label) override {
    ST8_TRY(drivers::check_name(label, "the version"));
    ST8_TRY(drivers::check_name(call.restore_point, "the restore point"));
    return act(call, "activate", {{"label", label}});
  }

  Result<Observation> observe(const CallContext& call) override {
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
    return act(call, "restore", {});
  }

  Status discard(const CallContext& call) override {
    if (!call.restore_point.empty()) ST8_TRY(drivers::check_name(call.restore_point, "the restore point"));
    return act(call, "discard", {});
  }

 private:
  using Values = std::map<std::string, std::string>;

  Status act(const CallContext& call, std::string_view operation, Values values, std::string_view input = {},
             const Content* content = nullptr) const {
    const auto answer = run(call, operation, std::move(values), input, content);
    return answer ? Status{} : fail(answer.error());
  }

  Result<Answer> run(const CallContext& call, std::string_view operation, Values values, std::string_view input = {},
                     const Content* content = nullptr) const {
    values["op"] = operation;
    values["root"] = spec_.root;
    values["point"] = call.restore_point;
    values["token"] = std::to_string(call.fencing_token);
    // Calls for a target come one at a time, and a daemon that begins anew comes with a new token: so this clock orders the calls of
    // one token, and one that was given up on and still lies on the line does nothing after a later one.
    values["serial"] = std::to_string(call.clock->monotonic().count());
    values["keep"] = std::to_string(spec_.keep);
    values["wait"] = std::to_string(
        std::max<std::int64_t>(1, std::chrono::duration_cast<std::chrono::seconds>(call.remaining()).count()));
    std::string assignments;
    for (const auto& [name, value] : values) assignments += name + "=" + quoted(value) + "\n";
    ST8_ASSIGN(Answer answer, run_remote(call, spec_, assignments, input, content));
    const std::string said = spec_.host + ": " + drivers::redacted(answer.message, content);
    if (answer.word == "refused") return fail(ErrorCode::kUnprocessable, said, "");
    if (answer.word == "unavailable") return fail(ErrorCode::kUnavailable, said, "");
    if (answer.word == "stale") return fail(ErrorCode::kPreconditionFailed, said, "another rollout took it over");
    if (answer.word == "not_found") return fail(ErrorCode::kNotFound, said, "stage it first");
    return answer;
  }

  // The hash of the files that a scan tells, as it would be of a plan's.
  Result<Hash> files_hash(std::string_view scan) const {
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
        FileEntry entry{std::string(record.substr(space + 1)), 0, Hash::of("not a regular file")};
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
    return content_hash(entries);
  }

  const SshSpec spec_;
};

}  // namespace

std::unique_ptr<TargetDriver> make_ssh_driver(SshSpec spec) { return std::make_unique<SshDriver>(std::move(spec)); }

}  // namespace st8::target::ssh
