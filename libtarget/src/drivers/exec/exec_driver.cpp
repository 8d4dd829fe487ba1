#include "drivers/exec/exec_driver.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "codec/base64.h"
#include "codec/json.h"
#include "drivers/file/root.h"
#include "drivers/names.h"
#include "drivers/redaction.h"
#include "effects/process.h"

namespace st8::target::exec {
namespace {

using codec::Json;
using file::Fd;

constexpr std::size_t kProgramBytesMax = 64u << 20;
constexpr std::size_t kAnswerBytesMax = 16u << 20;  // A list of the files of a large content.

// The program as it was when its hash was taken: a sealed copy in memory, which nobody can change before it is run. What is not
// pinned is run from where it lies.
class Program {
 public:
  static Result<Program> open(const ExecSpec& spec) {
    Program program;
    if (!spec.sha256) {
      program.path_ = spec.program;
      return program;
    }
    const Fd in(::open(spec.program.c_str(), O_RDONLY | O_CLOEXEC));
    if (!in.valid()) return fail(file::io_error(errno, "open " + spec.program));
    std::string bytes;
    char buffer[64 << 10];
    for (ssize_t got = 0; (got = ::read(in.get(), buffer, sizeof buffer)) != 0;) {
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) return fail(file::io_error(errno, "read " + spec.program));
      bytes.append(buffer, static_cast<std::size_t>(got));
      if (bytes.size() > kProgramBytesMax)
        return fail(ErrorCode::kUnprocessable, spec.program + " is too large to be pinned", "");
    }
    if (const Hash found = Hash::of(bytes); found != *spec.sha256) {
      return fail(ErrorCode::kUnprocessable,
                  spec.program + " is not the program that the target names: its SHA-256 is " + found.hex(),
                  "put the right program there, or change `sha256` in the target");
    }
    const Fd copy(::memfd_create("st8-driver", MFD_CLOEXEC | MFD_ALLOW_SEALING));
    if (!copy.valid()) return fail(file::io_error(errno, "copy " + spec.program));
    for (std::string_view rest = bytes; !rest.empty();) {
      const ssize_t written = ::write(copy.get(), rest.data(), rest.size());
      if (written < 0 && errno != EINTR) return fail(file::io_error(errno, "copy " + spec.program));
      if (written > 0) rest.remove_prefix(static_cast<std::size_t>(written));
    }
    if (::fchmod(copy.get(), 0700) != 0 ||
        ::fcntl(copy.get(), F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) {
      return fail(file::io_error(errno, "seal the copy of " + spec.program));
    }
    // A file that is open for writing cannot be run: it is opened anew.
    program.copy_ = Fd(::open(("/proc/self/fd/" + std::to_string(copy.get())).c_str(), O_RDONLY | O_CLOEXEC));
    if (!program.copy_.valid()) return fail(file::io_error(errno, "open the copy of " + spec.program));
    program.path_ = "/proc/" + std::to_string(::getpid()) + "/fd/" + std::to_string(program.copy_.get());
    return program;
  }
  const std::string& path() const { return path_; }

 private:
  Fd copy_;
  std::string path_;
};

class ExecDriver final : public TargetDriver {
 public:
  ExecDriver(const Target& target, ExecSpec spec) : target_(target), spec_(std::move(spec)) {}

  Capabilities capabilities() const override { return {}; }

  Status check(const CallContext& call) override { return act(call, "check", Json::object()); }

  Status stage(const CallContext& call, const Content& content) override {
    Json files = Json::array();
    for (const ContentFile& file : content.files) {
      ST8_TRY(check_relative_path(file.entry.path));
      files.push_back({{"path", file.entry.path},
                       {"mode", file.entry.mode},
                       {"sha256", file.entry.hash.hex()},
                       {"content_base64", codec::to_base64(*file.bytes)}});
    }
    return act(call, "stage",
               {{"label", content.label()}, {"revision", content.revision.value}, {"files", std::move(files)}},
               &content);
  }

  Result<Hash> validate(const CallContext& call, const std::string& label) override {
    ST8_TRY(drivers::check_name(label, "the version"));
    ST8_ASSIGN(const Json answer, run(call, "validate", {{"label", label}}));
    return files_hash(answer);
  }

  Status activate(const CallContext& call, const std::string& label) override {
    ST8_TRY(drivers::check_name(label, "the version"));
    ST8_TRY(drivers::check_name(call.restore_point, "the restore point"));
    return act(call, "activate", {{"label", label}});
  }

  Result<Observation> observe(const CallContext& call) override {
    ST8_ASSIGN(const Json answer, run(call, "observe", Json::object()));
    const auto present = answer.find("present");
    if (present == answer.end() || !present->is_boolean())
      return fail(misspoken("its answer to observe has no `present`"));
    if (!present->get<bool>()) return Observation{};
    ST8_ASSIGN(const Hash hash, files_hash(answer));
    const auto label = answer.find("label");
    return Observation{
        true, hash,
        label != answer.end() && label->is_string() && drivers::sane_name(label->get_ref<const std::string&>())
            ? label->get<std::string>()
            : "unknown"};
  }

  Status restore(const CallContext& call) override {
    ST8_TRY(drivers::check_name(call.restore_point, "the restore point"));
    return act(call, "restore", Json::object());
  }

  Status discard(const CallContext& call) override { return act(call, "discard", Json::object()); }

 private:
  Error misspoken(std::string what) const {
    return {ErrorCode::kUnprocessable, spec_.program + " does not keep to the contract: " + std::move(what),
            "docs/drivers.md tells it"};
  }

  // The hash of the files that an answer lists, as it would be of a plan's.
  Result<Hash> files_hash(const Json& answer) const {
    const auto listed = answer.find("files");
    if (listed == answer.end() || !listed->is_array()) return fail(misspoken("its answer has no list of `files`"));
    std::vector<FileEntry> files;
    for (const Json& one : *listed) {
      const auto path = one.find("path"), mode = one.find("mode"), sha256 = one.find("sha256");
      if (!one.is_object() || path == one.end() || !path->is_string() || mode == one.end() ||
          !mode->is_number_unsigned() || sha256 == one.end() || !sha256->is_string()) {
        return fail(misspoken("a file in its answer needs `path`, `mode` and `sha256`"));
      }
      const auto hash = Hash::from_hex(sha256->get<std::string>());
      if (!hash) return fail(misspoken("a `sha256` in its answer is none"));
      files.push_back({path->get<std::string>(), mode->get<std::uint32_t>(), *hash});
    }
    std::sort(files.begin(), files.end(), [](const FileEntry& a, const FileEntry& b) { return a.path < b.path; });
    return content_hash(files);
  }

  Status act(const CallContext& call, std::string_view operation, Json request,
             const Content* content = nullptr) const {
    const auto answer = run(call, operation, std::move(request), content);
    return answer ? Status{} : fail(answer.error());
  }

  // One run. The answer, when it says that it went well.
  Result<Json> run(const CallContext& call, std::string_view operation, Json request,
                   const Content* content = nullptr) const {
    ST8_TRY(call.check());
    ST8_ASSIGN(const Program program, Program::open(spec_));
    request["protocol"] = kProtocol;
    request["operation"] = operation;
    request["target"] = {{"name", target_.name.str()}, {"env", target_.env}, {"labels", Json::object()}};
    for (const auto& [name, value] : target_.labels) request["target"]["labels"][name] = value;
    request["config"] = spec_.config;
    request["fencing_token"] = call.fencing_token;
    request["restore_point"] = call.restore_point;
    request["deadline_ms"] = std::chrono::duration_cast<std::chrono::milliseconds>(call.remaining()).count();
    effects::ProcessOrder order;
    order.argv = {program.path()};
    order.argv.insert(order.argv.end(), spec_.args.begin(), spec_.args.end());
    order.input = codec::dump(request);
    order.output_bytes_max = kAnswerBytesMax;
    order.separate_errors = true;  // What it says there may hold content, and is dropped.
    auto end = effects::run_process(call, order);
    if (!end)
      return fail(end.error().code,
                  spec_.program + " " + std::string(operation) + ": " + drivers::redacted(end.error().message, content),
                  end.error().hint);
    if (end->truncated) return fail(misspoken("it answers more than 16 MiB"));
    const Json answer = Json::parse(end->output, nullptr, false);
    if (answer.is_discarded() || !answer.is_object()) {
      if (end->exit_code != 0)
        return fail(ErrorCode::kUnavailable,
                    spec_.program + " " + std::string(operation) + " ended with status " +
                        std::to_string(end->exit_code) + " and without an answer",
                    "");
      return fail(misspoken("its answer is no JSON object"));
    }
    const auto ok = answer.find("ok");
    if (ok == answer.end() || !ok->is_boolean()) return fail(misspoken("its answer has no `ok`"));
    if (ok->get<bool>()) return answer;
    const auto text = [&](const char* name) {
      const auto found = answer.find(name);
      return found != answer.end() && found->is_string() ? found->get<std::string>() : std::string();
    };
    const std::string code = text("code");
    const std::string message = "target " + target_.name.str() + ": " + std::string(operation) + ": " +
                                drivers::redacted(text("message"), content);
    if (code == "unavailable") return fail(ErrorCode::kUnavailable, message, "");
    if (code == "stale_token") return fail(ErrorCode::kPreconditionFailed, message, "another rollout took it over");
    if (code == "not_found") return fail(ErrorCode::kNotFound, message, "");
    if (code == "refused") return fail(ErrorCode::kUnprocessable, message, "");
    return fail(misspoken("it says neither unavailable, stale_token, not_found nor refused of its error"));
  }

  const Target target_;
  const ExecSpec spec_;
};

}  // namespace

void ExecSpec::read(strict_yaml::Context& context, const strict_yaml::Value& value) {
  strict_yaml::Map map(context, value);
  if (const auto path = map.require("program")) {
    if (auto text = path->text()) program = std::move(*text);
    if (program.empty() || program.front() != '/') path->problem("must be an absolute path");
  }
  if (const auto pin = map.take("sha256")) {
    if (const auto text = pin->text()) {
      if (const auto hash = Hash::from_hex(*text))
        sha256 = *hash;
      else
        pin->problem("must be 64 hexadecimal digits", "`sha256sum PROGRAM` tells them");
    }
  }
  map.texts("args", args);
  if (const auto given = map.take("config")) {
    strict_yaml::Map fields(context, *given);
    for (const auto& [name, field] : fields.all()) {
      if (auto text = field.text()) config[name] = std::move(*text);
    }
  }
  map.finish();
}

std::unique_ptr<TargetDriver> make_exec_driver(const Target& target, ExecSpec spec) {
  return std::make_unique<ExecDriver>(target, std::move(spec));
}

}  // namespace st8::target::exec
