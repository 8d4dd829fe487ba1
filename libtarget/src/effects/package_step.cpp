#include "effects/package_step.h"

#include <chrono>

#include "effects/keepsake.h"
#include "effects/process.h"
#include "st8/target/planner.h"

namespace st8::target::effects {
namespace {

constexpr std::size_t kPackageBytesMax = 1u << 30;

// What dpkg knows of a package: "absent", "config-files", or its version.
struct Installed {
  std::string status;   // dpkg's own word; "absent" when it never heard of it.
  std::string version;  // Of "installed".
  std::string told() const { return status == "installed" ? version : status; }
};

struct Order {
  std::string package, version, file, root, rollback_version, rollback_file;
  std::string holder;
  std::string admin() const { return (root == "/" ? "" : root) + "/var/lib/dpkg"; }
  std::string kept() const { return (root == "/" ? "" : root) + "/var/lib/st8-steps"; }
};

std::string param(const StepSpec& step, const std::string& name) {
  const auto found = step.params.find(name);
  return found == step.params.end() ? std::string() : found->second;
}

Result<Order> order_of(const StepSpec& step, const StepContext& context) {
  Order order;
  order.package = param(step, "package");
  order.version = param(step, "version");
  order.rollback_version = param(step, "rollbackVersion");
  ST8_ASSIGN(order.file, render(param(step, "file"), context.target, {}));
  ST8_ASSIGN(order.rollback_file, render(param(step, "rollbackFile"), context.target, {}));
  ST8_ASSIGN(order.root, render(param(step, "root"), context.target, {}));
  if (order.root.empty()) order.root = "/";
  order.holder = step.name + "\n" + context.target.name.str();
  return order;
}

Result<ProcessEnd> run(const CallContext& call, std::vector<std::string> argv, bool separate_errors = false) {
  ProcessOrder order;
  order.argv = std::move(argv);
  order.environment = {{"DEBIAN_FRONTEND", "noninteractive"}};
  order.separate_errors = separate_errors;
  return run_process(call, order);
}

Result<Installed> look(const CallContext& call, const Order& order) {
  ST8_ASSIGN(const ProcessEnd end, run(call,
                                       {"dpkg-query", "--admindir=" + order.admin(), "-W", "-f",
                                        "${db:Status-Status} ${Version}\\n", order.package},
                                       true));
  if (end.exit_code == 1) return Installed{"absent", ""};
  if (end.exit_code != 0)
    return fail(ErrorCode::kUnprocessable,
                "dpkg-query ended with " + std::to_string(end.exit_code) + ": " + end.errors.substr(0, 300), "");
  const std::string line = end.output.substr(0, end.output.find('\n'));
  const std::size_t space = line.find(' ');
  Installed found{line.substr(0, space), space == std::string::npos ? "" : line.substr(space + 1)};
  if (found.status == "not-installed") return Installed{"absent", ""};
  if (found.status != "installed" && found.status != "config-files") {
    return fail(ErrorCode::kUnprocessable, "package " + order.package + " is " + found.status,
                "`dpkg --configure -a` or `apt-get -f install` mends that; then try again");
  }
  return found;
}

Result<std::string> version_of(const CallContext& call, const std::string& file, const std::string& package) {
  ST8_ASSIGN(const ProcessEnd end, run(call, {"dpkg-deb", "--field", file, "Package", "Version"}, true));
  if (end.exit_code != 0)
    return fail(ErrorCode::kUnprocessable, file + " is no Debian package: " + end.errors.substr(0, 300), "");
  std::string name, version;
  for (const auto& [field, out] :
       {std::pair<std::string_view, std::string*>{"Package: ", &name}, {"Version: ", &version}}) {
    const std::size_t at = end.output.find(field);
    if (at != std::string::npos)
      *out = end.output.substr(at + field.size(), end.output.find('\n', at) - at - field.size());
  }
  if (name != package)
    return fail(ErrorCode::kUnprocessable, file + " holds the package \"" + name.substr(0, 80) + "\", not " + package,
                "");
  return version;
}

std::vector<std::string> dpkg(const Order& order, std::vector<std::string> words) {
  std::vector<std::string> argv = {"dpkg"};
  // Another root is somebody's directory: neither the machine's log nor its superuser is asked for.
  if (order.root != "/") argv.insert(argv.end(), {"--root=" + order.root, "--force-not-root", "--log=/dev/null"});
  argv.insert(argv.end(), {"--force-confdef", "--force-confold"});
  argv.insert(argv.end(), words.begin(), words.end());
  return argv;
}
std::vector<std::string> apt(const CallContext& call, std::vector<std::string> words) {
  const auto seconds =
      std::max<std::int64_t>(1, std::chrono::duration_cast<std::chrono::seconds>(call.remaining()).count());
  std::vector<std::string> argv = {"apt-get", "-q",
                                   "-y",      "--no-install-recommends",
                                   "-o",      "DPkg::Lock::Timeout=" + std::to_string(seconds),
                                   "-o",      "Dpkg::Options::=--force-confdef",
                                   "-o",      "Dpkg::Options::=--force-confold",
                                   "-o",      "Dpkg::Use-Pty=0"};
  argv.insert(argv.end(), words.begin(), words.end());
  return argv;
}

StepOutcome refused(Error error, std::string output = {}) { return {fail(std::move(error)), std::move(output)}; }

// Runs what changes packages, and reads back. Whatever the program says, what dpkg says afterwards counts.
StepOutcome change(const CallContext& call, const Order& order, std::vector<std::string> argv,
                   const std::string& wanted) {
  const std::string program = argv.front();
  auto end = run(call, std::move(argv));
  if (!end) return refused(end.error());
  auto found = look(call, order);
  if (!found) return refused(found.error(), end->output);
  const bool there = wanted.empty() ? found->status == "installed" : found->told() == wanted;
  if (end->exit_code == 0 && there) return {Status{}, end->output};
  return refused({ErrorCode::kUnprocessable,
                  program + " ended with " + std::to_string(end->exit_code) + ", and package " + order.package +
                      " is at " + found->told() + (wanted.empty() ? "" : " instead of " + wanted),
                  ""},
                 end->output);
}

std::string cached_name(const Order& order, const std::string& version) {
  std::string name = order.package + "_" + version + ".deb";
  for (char& c : name) {
    if (c == ':' || c == '/') c = '%';
  }
  return name;
}

Result<Keepsake> open_keepsake(const CallContext& call, const Order& order, const StepContext& context) {
  auto directory = file::Root::open(order.kept());
  if (!directory) return fail(directory.error());
  return Keepsake::open(call, std::move(*directory), context.restore_point, order.package);
}

}  // namespace

StepOutcome install_package(const CallContext& call, const StepSpec& step, const StepContext& context) {
  const auto order = order_of(step, context);
  if (!order) return refused(order.error());
  std::string wanted = order->version;
  if (!order->file.empty()) {
    const auto version = version_of(call, order->file, order->package);
    if (!version) return refused(version.error());
    if (!wanted.empty() && wanted != *version)
      return refused({ErrorCode::kUnprocessable, order->file + " is version " + *version + ", not " + wanted, ""});
    wanted = *version;
  }
  auto keepsake = open_keepsake(call, *order, context);
  if (!keepsake) return refused(keepsake.error());
  const auto before = look(call, *order);
  if (!before) return refused(before.error());
  if (const Status kept = keepsake->keep(order->holder, [&]() -> Result<std::string> { return before->told(); }); !kept)
    return refused(kept.error());
  if (!wanted.empty() && before->told() == wanted) return {Status{}, "version " + wanted + " is there already"};
  if (order->file.empty())
    return change(call, *order,
                  apt(call, {"--allow-downgrades", "install", order->package + (wanted.empty() ? "" : "=" + wanted)}),
                  wanted);
  // The file stays here as the way back to this version, from whatever comes after it.
  const std::size_t slash = order->file.rfind('/');
  auto from = file::Root::open(slash == 0 ? "/" : order->file.substr(0, slash));
  if (!from) return refused(from.error());
  auto bytes = from->read(order->file.substr(slash + 1));
  if (!bytes) return refused(bytes.error());
  if (!*bytes) return refused({ErrorCode::kUnprocessable, "there is no file " + order->file, ""});
  if ((*bytes)->bytes.size() > kPackageBytesMax)
    return refused({ErrorCode::kTooLarge, order->file + " is larger than a package may be", ""});
  if (const Status stored = keepsake->directory().replace(cached_name(*order, wanted), (*bytes)->bytes, {0600});
      !stored)
    return refused(stored.error());
  return change(call, *order, dpkg(*order, {"--install", order->kept() + "/" + cached_name(*order, wanted)}), wanted);
}

StepOutcome uninstall_package(const CallContext& call, const StepSpec& step, const StepContext& context) {
  const auto order = order_of(step, context);
  if (!order) return refused(order.error());
  auto keepsake = open_keepsake(call, *order, context);
  if (!keepsake) return refused(keepsake.error());
  const auto original = keepsake->leave(order->holder);
  if (!original) return refused(original.error());
  if (!*original) return {Status{}, ""};
  std::string wanted = **original;
  if (!order->rollback_version.empty() && wanted != "absent" && wanted != "config-files")
    wanted = order->rollback_version;
  const auto now = look(call, *order);
  // Cut short, dpkg leaves packages half installed; the way back leads over that as well.
  StepOutcome outcome;
  if (!now || now->told() != wanted) {
    if (wanted == "absent") {
      outcome = change(call, *order, dpkg(*order, {"--purge", order->package}), wanted);
    } else if (wanted == "config-files") {
      outcome = change(call, *order, dpkg(*order, {"--remove", order->package}), wanted);
    } else if (keepsake->directory().exists(cached_name(*order, wanted))) {
      outcome =
          change(call, *order, dpkg(*order, {"--install", order->kept() + "/" + cached_name(*order, wanted)}), wanted);
    } else if (!order->rollback_file.empty()) {
      const auto version = version_of(call, order->rollback_file, order->package);
      if (!version) return refused(version.error());
      if (*version != wanted)
        return refused({ErrorCode::kUnprocessable,
                        order->rollback_file + " is version " + *version + ", and " + wanted + " was there", ""});
      outcome = change(call, *order, dpkg(*order, {"--install", order->rollback_file}), wanted);
    } else if (order->root != "/") {
      return refused({ErrorCode::kUnprocessable,
                      "there is no file of " + order->package + " " + wanted + " to go back with",
                      "give `rollbackFile`"});
    } else {
      outcome =
          change(call, *order, apt(call, {"--allow-downgrades", "install", order->package + "=" + wanted}), wanted);
    }
  }
  if (!outcome.status) return outcome;
  if (const Status dropped = keepsake->drop(); !dropped) return refused(dropped.error());
  return outcome;
}

void forget_package(const StepSpec& step, const StepContext& context) {
  const auto order = order_of(step, context);
  if (!order) return;
  CallContext call;
  const auto clock = context.clock;
  if (clock == nullptr) return;
  call.clock = clock;
  call.deadline = clock->monotonic() + std::chrono::seconds(10);
  auto keepsake = open_keepsake(call, *order, context);
  if (!keepsake || !keepsake->forget(order->holder)) return;
  // Of the files, the one that is installed now is the way back from the next version.
  const auto now = look(call, *order);
  const auto files = keepsake->directory().list("");
  if (!now || !files) return;
  for (const std::string& name : *files) {
    const bool ours = name.starts_with(order->package + "_") && name.ends_with(".deb");
    if (ours && name != cached_name(*order, now->version)) static_cast<void>(keepsake->directory().remove_file(name));
  }
}

}  // namespace st8::target::effects
