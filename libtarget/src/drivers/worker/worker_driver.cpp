#include "drivers/worker/worker_driver.h"

#include <array>

#include "codec/base64.h"
#include "drivers/names.h"
#include "drivers/registry.h"
#include "worker/protocol.h"
#include "worker/step_messages.h"

namespace st8::target {
namespace worker {
namespace {

constexpr std::size_t kStepOutputBytesMax = 64u << 10;

class WorkerDriver final : public TargetDriver, public effects::StepHost {
 public:
  WorkerDriver(WorkerHub& hub, WorkerName name, WorkerSpec spec)
      : hub_(hub), name_(std::move(name)), spec_(std::move(spec)) {}

  Capabilities capabilities() const override {
    Capabilities can;
    can.atomic_switch = spec_.layout == file::Layout::kDirectory;
    can.confirm = true;
    return can;
  }

  Status check(const CallContext& call) override { return act(call, "check", Json::object()); }

  Status stage(const CallContext& call, const Content& content) override {
    std::size_t size = 0;
    for (const ContentFile& file : content.files) {
      ST8_TRY(check_relative_path(file.entry.path));
      size += file.bytes->size();
    }
    Json files = Json::array();
    for (const ContentFile& file : content.files) {
      Json entry = {{"path", file.entry.path},
                    {"mode", file.entry.mode},
                    {"sha256", file.entry.hash.hex()},
                    {"size", file.bytes->size()}};
      if (size <= kInlineBytesMax) entry["content_base64url"] = codec::to_base64url(*file.bytes);
      files.push_back(std::move(entry));
    }
    const std::string label = content.label();
    ST8_TRY(drivers::check_name(label, "the version"));
    return act(call, "stage", {{"label", label}, {"revision", content.revision.value}, {"files", std::move(files)}},
               &content);
  }

  Result<Hash> validate(const CallContext& call, const std::string& label) override {
    ST8_TRY(drivers::check_name(label, "the version"));
    ST8_ASSIGN(const Json report, run(call, "validate", {{"label", label}}, nullptr));
    return hash_of(report);
  }

  Status activate(const CallContext& call, const std::string& label) override {
    ST8_TRY(drivers::check_name(label, "the version"));
    ST8_TRY(drivers::check_name(call.restore_point, "the restore point"));
    Json order = {{"label", label}};
    if (call.confirm.count() > 0) order["confirm_ms"] = call.confirm.count();
    return act(call, "activate", std::move(order));
  }

  Result<Observation> observe(const CallContext& call) override {
    ST8_ASSIGN(const Json report, run(call, "observe", Json::object(), nullptr));
    const auto present = report.find("present");
    if (present == report.end() || !present->is_boolean()) return fail(misspoken());
    if (!present->get<bool>()) return Observation{};
    ST8_ASSIGN(const Hash hash, hash_of(report));
    const std::string label =
        report.contains("label") && report["label"].is_string() ? report["label"].get<std::string>() : "";
    return Observation{true, hash, drivers::sane_name(label) ? label : "unknown"};
  }

  Status restore(const CallContext& call) override {
    ST8_TRY(drivers::check_name(call.restore_point, "the restore point"));
    return act(call, "restore", Json::object());
  }

  Status confirm(const CallContext& call) override {
    ST8_TRY(drivers::check_name(call.restore_point, "the restore point"));
    return act(call, "confirm", Json::object());
  }

  Status discard(const CallContext& call) override { return act(call, "discard", Json::object()); }

  effects::StepOutcome step(const CallContext& call, effects::StepAction action, const StepSpec& step,
                            const effects::StepContext& context) override {
    // What may be done twice is delivered again to a worker that was started anew; taking back is always that.
    const bool once = action == effects::StepAction::kRun && !step.idempotent;
    const auto report = run(call, "step", {{"step", step_to_json(action, step, context)}, {"once", once}}, nullptr);
    if (!report) return {fail(report.error()), ""};
    effects::StepOutcome outcome;
    if (const auto output = report->find("output"); output != report->end() && output->is_string())
      outcome.output = output->get<std::string>().substr(0, kStepOutputBytesMax);
    if (const auto failed = report->find("failed"); failed != report->end() && failed->is_object()) {
      outcome.status = look_into<void>("the report", [&]() -> Status { return fail(error_from_json(*failed)); });
    }
    return outcome;
  }

  Status probe(const CallContext& call, const HealthCheck& check, const Target& target) override {
    const auto report = run(call, "probe", {{"probe", probe_to_json(check, target)}}, nullptr);
    if (!report) return fail(report.error());
    const auto failed = report->find("failed");
    if (failed == report->end() || !failed->is_object()) return {};
    return look_into<void>("the report", [&]() -> Status { return fail(error_from_json(*failed)); });
  }

 private:
  Error misspoken() const {
    return {ErrorCode::kUnavailable, "worker " + name_.str() + " does not keep to " + std::string(kProtocol),
            "use st8d of the same version on both sides"};
  }

  Result<Hash> hash_of(const Json& report) const {
    const auto text = report.find("hash");
    if (text == report.end() || !text->is_string()) return fail(misspoken());
    const auto hash = Hash::from_hex(text->get<std::string>());
    if (!hash) return fail(misspoken());
    return *hash;
  }

  Status act(const CallContext& call, std::string_view operation, Json order, const Content* content = nullptr) const {
    const auto report = run(call, operation, std::move(order), content);
    return report ? Status{} : fail(report.error());
  }

  Result<Json> run(const CallContext& call, std::string_view operation, Json order, const Content* content) const {
    order["operation"] = operation;
    order["directory"] = spec_.directory;
    order["layout"] = spec_.layout == file::Layout::kFiles ? "files" : "directory";
    order["keep"] = spec_.keep;
    order["fencing_token"] = call.fencing_token;
    order["restore_point"] = call.restore_point;
    ST8_ASSIGN(const std::string text, hub_.assign(call, name_, codec::dump(order), content));
    const auto report = read_message<Json>("the report", text, [](const Json& json) -> Result<Json> {
      if (!json.at("ok").get<bool>()) {
        Error error = error_from_json(json);
        return fail(std::move(error));
      }
      return json;
    });
    if (!report)
      return fail(report.error().code, "worker " + name_.str() + ": " + report.error().message, report.error().hint);
    return *report;
  }

  WorkerHub& hub_;
  const WorkerName name_;
  const WorkerSpec spec_;
};

class DriversWithWorkers final : public DriverFactory {
 public:
  explicit DriversWithWorkers(WorkerHub& hub) : hub_(hub) {}
  Result<std::unique_ptr<TargetDriver>> make(const Target& target) const override {
    if (target.kind != "worker") return builtin_drivers().make(target);
    ST8_ASSIGN(WorkerSpec spec, specs_.read(target));
    return make_worker_driver(hub_, std::move(spec));
  }

 private:
  WorkerHub& hub_;
  mutable drivers::SpecCache<WorkerSpec> specs_;
};

}  // namespace

void WorkerSpec::read(strict_yaml::Context& context, const strict_yaml::Value& value) {
  strict_yaml::Map map(context, value);
  if (const auto given = map.require("worker")) {
    if (auto text = given->text()) worker = std::move(*text);
    if (const auto name = WorkerName::parse(worker); !name) given->problem(name.error().message, name.error().hint);
  }
  if (const auto given = map.take("directory")) {
    if (auto text = given->text()) directory = std::move(*text);
    if (!check_relative_path(directory))
      given->problem("must be a relative path, without \"..\", \"//\" or a '/' at its end");
    else if (directory == ".st8" || directory.starts_with(".st8/"))
      given->problem("must not be .st8, which belongs to the worker");
  }
  if (const auto mode = map.take("mode")) {
    constexpr std::array<std::string_view, 2> kWords = {"directory", "files"};
    if (const auto index = mode->word(kWords)) layout = static_cast<file::Layout>(*index);
  }
  map.integer("keep", keep, 0, 1000);
  map.finish();
}

Result<std::unique_ptr<TargetDriver>> make_worker_driver(WorkerHub& hub, WorkerSpec spec) {
  auto name = WorkerName::parse(spec.worker);
  if (!name) return fail(ErrorCode::kUnprocessable, name.error().message, name.error().hint);
  return std::make_unique<WorkerDriver>(hub, std::move(*name), std::move(spec));
}

}  // namespace worker

std::unique_ptr<DriverFactory> drivers_with_workers(WorkerHub& hub) {
  return std::make_unique<worker::DriversWithWorkers>(hub);
}

}  // namespace st8::target
