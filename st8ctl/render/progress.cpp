#include "render/progress.h"

#include <chrono>
#include <string_view>
#include <unistd.h>
#include <utility>

#include "render/output.h"

namespace st8::ctl {
namespace {

constexpr std::chrono::milliseconds kQuiet{2000};
constexpr std::chrono::milliseconds kStep{200};

// A message that cannot be shown is no reason to fail.
void put(std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = ::write(STDERR_FILENO, text.data(), text.size());
    if (written <= 0) return;
    text.remove_prefix(static_cast<std::size_t>(written));
  }
}

}  // namespace

Progress::Progress(bool enabled, std::string what, Unit unit, std::uint64_t total)
    : what_(std::move(what)), unit_(unit), total_(total) {
  if (enabled) thread_ = std::thread([this] { tick(); });
}

Progress::~Progress() {
  if (!thread_.joinable()) return;
  {
    const std::lock_guard lock(mutex_);
    ended_ = true;
  }
  wake_.notify_all();
  thread_.join();
  if (shown_) put("\r\x1b[K");
}

void Progress::tick() {
  const auto begun = std::chrono::steady_clock::now();
  std::unique_lock lock(mutex_);
  if (wake_.wait_for(lock, kQuiet, [this] { return ended_; })) return;
  while (!ended_) {
    const auto elapsed =
        std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - begun);
    put("\r" +
        line(what_, unit_, done_.load(std::memory_order_relaxed), total_.load(std::memory_order_relaxed),
             elapsed.count()) +
        "\x1b[K");
    shown_ = true;
    wake_.wait_for(lock, kStep, [this] { return ended_; });
  }
}

std::string Progress::line(const std::string& what, Unit unit, std::uint64_t done, std::uint64_t total,
                           std::int64_t elapsed_ms) {
  const auto shown = [unit](std::uint64_t amount) {
    return unit == Unit::kBytes ? human_bytes(amount) : std::to_string(amount);
  };
  std::string text = what;
  if (unit != Unit::kTime) {
    text += " " + shown(done);
    if (total > 0) {
      text += " of " + shown(total) + " (" + std::to_string(done >= total ? 100 : done * 100 / total) + "%)";
    }
    const double seconds = static_cast<double>(elapsed_ms) / 1000;
    text += ", " + shown(seconds > 0 ? static_cast<std::uint64_t>(static_cast<double>(done) / seconds) : 0) + "/s";
    if (total > done && done > 0) {
      text +=
          ", " +
          std::to_string(
              static_cast<std::uint64_t>(static_cast<double>(total - done) * seconds / static_cast<double>(done)) + 1) +
          "s left";
    }
  } else {
    text += " " + std::to_string(elapsed_ms / 1000) + "s";
  }
  return text;
}

}  // namespace st8::ctl
