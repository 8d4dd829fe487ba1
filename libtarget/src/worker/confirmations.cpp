#include "worker/confirmations.h"

#include <algorithm>
#include <fcntl.h>
#include <unistd.h>

#include "codec/json.h"
#include "drivers/names.h"

namespace st8::target::worker {
namespace {

using codec::Json;

constexpr std::string_view kPlace = ".st8/worker";
constexpr std::size_t kRestorePointsMax = 32;

std::string file_of(const std::string& directory) {
  return std::string(kPlace) + "/confirm-" + Hash::of(directory).hex().substr(0, 16) + ".json";
}

// Empty where the system does not say: then the wall clock counts.
std::string boot_of_this_machine() {
  const file::Fd fd(::open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC));
  char text[64];
  const ssize_t got = fd.valid() ? ::read(fd.get(), text, sizeof text) : 0;
  std::string boot(text, static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
  while (!boot.empty() && boot.back() == '\n') boot.pop_back();
  return boot;
}

}  // namespace

Result<Confirmations> Confirmations::open(file::Root root, const Clock& clock) {
  Confirmations confirmations(std::move(root), clock, boot_of_this_machine());
  ST8_TRY(confirmations.root_.directory(kPlace, true).map([](const file::Fd&) {}));
  ST8_ASSIGN(const std::vector<std::string> names, confirmations.root_.list(kPlace));
  for (const std::string& name : names) {
    if (!name.starts_with("confirm-") || !name.ends_with(".json")) continue;
    ST8_ASSIGN(const auto stored, confirmations.root_.read(std::string(kPlace) + "/" + name));
    if (!stored) continue;
    ST8_ASSIGN(
        Confirmation one,
        codec::guarded<Confirmation>("confirmation", stored->bytes, [](const Json& json) -> Result<Confirmation> {
          Confirmation read;
          read.state = static_cast<Confirmation::State>(std::min<unsigned>(json.at("state").get<unsigned>(), 2));
          read.directory = json.at("directory").get<std::string>();
          read.layout = json.at("files").get<bool>() ? file::Layout::kFiles : file::Layout::kDirectory;
          read.keep = json.at("keep").get<std::uint32_t>();
          read.restore_points = json.at("restore_points").get<std::vector<std::string>>();
          read.deadline.micros = json.at("deadline_us").get<std::int64_t>();
          read.boot = json.at("boot").get<std::string>();
          read.deadline_monotonic = std::chrono::nanoseconds(json.at("deadline_monotonic_ns").get<std::int64_t>());
          if (!read.directory.empty()) ST8_TRY(check_relative_path(read.directory));
          for (const std::string& point : read.restore_points) ST8_TRY(drivers::check_name(point, "the restore point"));
          return read;
        }));
    confirmations.all_[one.directory] = std::move(one);
  }
  return confirmations;
}

const Confirmation* Confirmations::find(const std::string& directory) const {
  const auto found = all_.find(directory);
  return found == all_.end() ? nullptr : &found->second;
}

Status Confirmations::write(const Confirmation& one) {
  const Json json = {{"state", static_cast<unsigned>(one.state)},
                     {"directory", one.directory},
                     {"files", one.layout == file::Layout::kFiles},
                     {"keep", one.keep},
                     {"restore_points", one.restore_points},
                     {"deadline_us", one.deadline.micros},
                     {"boot", one.boot},
                     {"deadline_monotonic_ns", one.deadline_monotonic.count()}};
  return root_.replace(file_of(one.directory), codec::dump(json) + "\n", {0600});
}

Status Confirmations::wait(Confirmation one, std::chrono::milliseconds within) {
  one.state = Confirmation::State::kWaiting;
  one.deadline = {clock_->now().micros + within.count() * 1000};
  one.deadline_monotonic = clock_->monotonic() + within;
  one.boot = boot_;
  if (one.restore_points.size() > kRestorePointsMax) one.restore_points.resize(kRestorePointsMax);
  ST8_TRY(write(one));
  all_[one.directory] = std::move(one);
  return {};
}

Status Confirmations::set(const std::string& directory, Confirmation::State state) {
  const auto found = all_.find(directory);
  if (found == all_.end()) return {};
  Confirmation changed = found->second;
  changed.state = state;
  ST8_TRY(write(changed));
  found->second = std::move(changed);
  return {};
}

Status Confirmations::forget(const std::string& directory) {
  ST8_TRY(root_.remove_file(file_of(directory)));
  all_.erase(directory);
  return {};
}

std::chrono::nanoseconds Confirmations::remaining(const Confirmation& one) const {
  if (!boot_.empty() && one.boot == boot_) return one.deadline_monotonic - clock_->monotonic();
  return std::chrono::microseconds(one.deadline.micros - clock_->now().micros);
}

std::vector<Confirmation> Confirmations::due() const {
  std::vector<Confirmation> passed;
  for (const auto& [directory, one] : all_) {
    if (one.state == Confirmation::State::kWaiting && remaining(one).count() <= 0) passed.push_back(one);
  }
  return passed;
}

std::optional<std::chrono::nanoseconds> Confirmations::next() const {
  std::optional<std::chrono::nanoseconds> soonest;
  for (const auto& [directory, one] : all_) {
    if (one.state != Confirmation::State::kWaiting) continue;
    const auto left = std::max(remaining(one), std::chrono::nanoseconds(0));
    if (!soonest || left < *soonest) soonest = left;
  }
  return soonest;
}

}  // namespace st8::target::worker
