#include "drivers/registry.h"

#include <array>

#include "drivers/exec/exec_driver.h"
#include "drivers/file/file_driver.h"
#include "drivers/ssh/ssh_driver.h"
#include "drivers/worker/worker_driver.h"

namespace st8::target {
namespace drivers {
namespace {

constexpr std::array<std::string_view, 4> kKinds = {"file", "exec", "ssh", "worker"};

class BuiltinDrivers final : public DriverFactory {
 public:
  Result<std::unique_ptr<TargetDriver>> make(const Target& target) const override {
    if (target.kind == "file") {
      ST8_ASSIGN(file::FileSpec spec, file_specs_.read(target));
      return file::make_file_driver(std::move(spec));
    }
    if (target.kind == "exec") {
      ST8_ASSIGN(exec::ExecSpec spec, exec_specs_.read(target));
      return exec::make_exec_driver(target, std::move(spec));
    }
    if (target.kind == "ssh") {
      ST8_ASSIGN(ssh::SshSpec spec, ssh_specs_.read(target));
      return ssh::make_ssh_driver(std::move(spec), sessions_);
    }
    if (target.kind == "worker")
      return fail(ErrorCode::kUnprocessable, "workers are reached by a running st8d alone",
                  "ask st8d, without --local");
    return fail(ErrorCode::kUnprocessable, "there is no driver \"" + target.kind + "\"", "");
  }

 private:
  mutable SpecCache<file::FileSpec> file_specs_;
  mutable SpecCache<exec::ExecSpec> exec_specs_;
  mutable SpecCache<ssh::SshSpec> ssh_specs_;
  // Of all ssh targets of the process. It ends with it, and so do they: their input ends then, whatever ended it.
  const std::shared_ptr<ssh::SessionPool> sessions_ = std::make_shared<ssh::SessionPool>();
};

}  // namespace

std::span<const std::string_view> driver_kinds() { return kKinds; }

void check_spec(std::string_view kind, strict_yaml::Context& context, const strict_yaml::Value& spec) {
  if (kind == "file") file::FileSpec().read(context, spec);
  if (kind == "exec") exec::ExecSpec().read(context, spec);
  if (kind == "ssh") ssh::SshSpec().read(context, spec);
  if (kind == "worker") worker::WorkerSpec().read(context, spec);
}

}  // namespace drivers

const DriverFactory& builtin_drivers() {
  static const drivers::BuiltinDrivers drivers;
  return drivers;
}

}  // namespace st8::target
