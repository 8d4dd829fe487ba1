#include "st8/state/failpoint.h"

#include <charconv>
#include <chrono>
#include <cstdlib>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <unistd.h>

#include "st8/state/text.h"

namespace st8::failpoint {
namespace {

enum class Action : std::uint8_t { kCrash, kError, kUnknown, kCorrupt, kSleep, kCall };

struct Point {
  Action action = Action::kError;
  std::uint64_t at = 1;    // The hit at which it acts, from 1.
  bool and_later = false;  // At all behind that one too.
  std::int64_t sleep_ms = 0;
  std::shared_ptr<const std::function<Status()>> call;
  std::uint64_t hits = 0;
};

// The one registry of the process: failpoints are named in code that has no handle to pass one through.
struct Registry {
  std::mutex mutex;
  std::map<std::string, Point, std::less<>> points;
  bool environment_read = false;
};

Registry& registry() {
  static Registry instance;
  return instance;
}

tl::unexpected<Error> refuse(std::string_view point, std::string_view why) {
  std::string message = "failpoint " + quote(point) + " ";
  message += why;
  return fail(ErrorCode::kInvalidArgument, std::move(message), "Write name=crash@3;other=error.");
}

template <class Integer>
bool read_number(std::string_view text, Integer& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc{} && end == text.data() + text.size() && !text.empty();
}

Result<std::pair<std::string, Point>> parse_point(std::string_view text) {
  const std::size_t equals = text.find('=');
  if (equals == std::string_view::npos || equals == 0) return refuse(text, "has no name and action");
  std::string_view action = text.substr(equals + 1);
  Point point;
  if (const std::size_t at = action.find('@'); at != std::string_view::npos) {
    std::string_view hit = action.substr(at + 1);
    if (hit.ends_with('+')) {
      point.and_later = true;
      hit.remove_suffix(1);
    }
    if (!read_number(hit, point.at) || point.at == 0) return refuse(text, "has no hit number behind '@'");
    action = action.substr(0, at);
  }
  if (action == "crash") {
    point.action = Action::kCrash;
  } else if (action == "error") {
    point.action = Action::kError;
  } else if (action == "unknown") {
    point.action = Action::kUnknown;
  } else if (action == "corrupt") {
    point.action = Action::kCorrupt;
  } else if (action.starts_with("sleep:")) {
    point.action = Action::kSleep;
    if (!read_number(action.substr(6), point.sleep_ms) || point.sleep_ms < 0)
      return refuse(text, "has no milliseconds to sleep");
  } else {
    return refuse(text, "has an action that is not known");
  }
  return std::pair{std::string(text.substr(0, equals)), point};
}

Result<std::map<std::string, Point, std::less<>>> parse(std::string_view spec) {
  std::map<std::string, Point, std::less<>> points;
  while (!spec.empty()) {
    const std::size_t end = std::min(spec.find(';'), spec.size());
    if (end > 0) {
      ST8_ASSIGN(auto named, parse_point(spec.substr(0, end)));
      points.insert_or_assign(std::move(named.first), std::move(named.second));
    }
    spec.remove_prefix(std::min(end + 1, spec.size()));
  }
  return points;
}

void end_now(int status, std::string_view message) {
  // Not through the C library's streams: nothing that is buffered may reach a file now.
  if (!message.empty() && ::write(STDERR_FILENO, message.data(), message.size()) < 0) ::_exit(status);
  ::_exit(status);
}

// Holds the registry's lock.
void set_arming(const Registry& all) {
  arming.store(all.points.empty() ? Arming::kOff : Arming::kOn, std::memory_order_relaxed);
}

void read_environment(Registry& all) {
  if (all.environment_read) return;
  all.environment_read = true;
  const char* spec = std::getenv("ST8_FAILPOINTS");
  if (spec == nullptr) return;
  auto points = parse(spec);
  if (!points) end_now(138, "st8: ST8_FAILPOINTS: " + points.error().message + "\n");
  all.points.merge(*points);
}

}  // namespace

Status configure(std::string_view spec) {
  ST8_ASSIGN(auto points, parse(spec));
  Registry& all = registry();
  const std::lock_guard lock(all.mutex);
  all.environment_read = true;
  all.points = std::move(points);
  set_arming(all);
  return {};
}

void on_hit(std::string_view name, std::function<Status()> action) {
  Registry& all = registry();
  const std::lock_guard lock(all.mutex);
  read_environment(all);
  if (action) {
    Point point;
    point.action = Action::kCall;
    point.and_later = true;
    point.call = std::make_shared<const std::function<Status()>>(std::move(action));
    all.points.insert_or_assign(std::string(name), std::move(point));
  } else if (const auto found = all.points.find(name); found != all.points.end()) {
    all.points.erase(found);
  }
  set_arming(all);
}

void clear() {
  Registry& all = registry();
  const std::lock_guard lock(all.mutex);
  all.environment_read = true;
  all.points.clear();
  set_arming(all);
}

std::uint64_t hits(std::string_view name) {
  Registry& all = registry();
  const std::lock_guard lock(all.mutex);
  const auto found = all.points.find(name);
  return found == all.points.end() ? 0 : found->second.hits;
}

Status hit(std::string_view name) {
  Action action;
  std::int64_t sleep_ms = 0;
  std::shared_ptr<const std::function<Status()>> call;
  {
    Registry& all = registry();
    const std::lock_guard lock(all.mutex);
    if (!all.environment_read) {
      read_environment(all);
      set_arming(all);
    }
    const auto found = all.points.find(name);
    if (found == all.points.end()) return {};
    Point& point = found->second;
    ++point.hits;
    if (point.hits != point.at && !(point.and_later && point.hits > point.at)) return {};
    action = point.action;
    sleep_ms = point.sleep_ms;
    call = point.call;
  }
  switch (action) {
    case Action::kCrash:
      end_now(137, {});
      break;
    case Action::kError:
      return fail(ErrorCode::kUnavailable, "failpoint " + std::string(name) + ": asked to fail here");
    case Action::kUnknown:
      return fail(ErrorCode::kOutcomeUnknown, "failpoint " + std::string(name) + ": asked to fail here");
    case Action::kCorrupt:
      return fail(ErrorCode::kCorrupt, "failpoint " + std::string(name) + ": asked to fail here");
    case Action::kSleep:
      std::this_thread::sleep_for(std::chrono::milliseconds(sleep_ms));
      break;
    case Action::kCall:
      return (*call)();
  }
  return {};
}

}  // namespace st8::failpoint
