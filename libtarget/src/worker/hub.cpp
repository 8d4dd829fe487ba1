#include <algorithm>
#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>
#include <set>
#include <thread>
#include <utility>

#include "st8/target/worker_hub.h"
#include "worker/protocol.h"

namespace st8::target {

using worker::Json;

Result<WorkerName> WorkerName::parse(std::string_view text) {
  // The same letters as a target's, since a person gives both the same name.
  if (const auto name = TargetName::parse(text); !name)
    return fail(ErrorCode::kInvalidArgument, "worker name: " + name.error().message, name.error().hint);
  return WorkerName(std::string(text));
}

class WorkerHub::Impl {
 public:
  Impl(const Clock& clock, WorkerHubOptions options) : clock_(clock), options_(options) {
    // Numbers of an earlier daemon are never met again.
    numbers_ = static_cast<std::uint64_t>(std::max<std::int64_t>(clock.now().micros, 0));
    thread_ = std::thread([this] { tend(); });
  }
  ~Impl() { stop(); }

  void stop() {
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
      for (auto& [name, entry] : workers_) {
        if (entry.stream) entry.stream->close();
        entry.stream = nullptr;
        for (const auto& assignment : entry.assignments) assignment->changed.notify_all();
      }
      wake_.notify_all();
    }
    const std::lock_guard lock(joining_);
    if (thread_.joinable()) thread_.join();
  }

  Result<Admission> admit(const WorkerName& name, std::string_view body) {
    ST8_ASSIGN(Admission admission,
               worker::read_message<Admission>("the poll", body, [&](const Json& json) -> Result<Admission> {
                 if (json.value("protocol", "") != worker::kProtocol) {
                   return fail(ErrorCode::kInvalidArgument,
                               "the worker speaks \"" + json.value("protocol", "").substr(0, 40) + "\" and this st8d " +
                                   std::string(worker::kProtocol),
                               "use st8d of the same version on both sides");
                 }
                 Admission read{name, json.at("session").get<std::string>(), {}, json.value("version", "")};
                 if (read.session.size() < 16 || read.session.size() > 64)
                   return fail(ErrorCode::kInvalidArgument, "the session must have 16 to 64 characters", "");
                 if (read.version.size() > 64)
                   return fail(ErrorCode::kInvalidArgument, "the version is longer than 64 characters", "");
                 if (const auto held = json.find("held"); held != json.end()) {
                   if (held->size() > worker::kHeldMax)
                     return fail(ErrorCode::kInvalidArgument, "too many assignments are held", "");
                   read.held = held->get<std::vector<std::uint64_t>>();
                 }
                 return read;
               }));
    const std::lock_guard lock(mutex_);
    if (stopping_) return fail(ErrorCode::kUnavailable, "the server is stopping", "try again");
    const auto found = workers_.find(name.str());
    if (found == workers_.end() && workers_.size() >= options_.workers_max)
      return fail(ErrorCode::kRateLimited, "there are " + std::to_string(workers_.size()) + " workers already", "");
    if (found != workers_.end()) ST8_TRY(not_superseded(found->second, name, admission.session));
    return admission;
  }

  void attach(const Admission& admission, std::shared_ptr<WorkerStream> stream) {
    const std::lock_guard lock(mutex_);
    Entry& entry = workers_[admission.worker.str()];
    // Since admit() a newer process may have come.
    if (stopping_ || !not_superseded(entry, admission.worker, admission.session)) {
      stream->close();
      return;
    }
    if (entry.session != admission.session) {
      if (!entry.session.empty()) entry.superseded.push_back(std::exchange(entry.session, admission.session));
      entry.session = admission.session;
      if (entry.superseded.size() > kSupersededMax) entry.superseded.pop_front();
    }
    if (entry.stream) entry.stream->close();
    entry.stream = std::move(stream);
    entry.version = admission.version;
    entry.attached_at = clock_.monotonic();
    entry.last_seen = clock_.now();
    if (!send(entry, Json{{"type", "welcome"}})) return;
    const std::set<std::uint64_t> held(admission.held.begin(), admission.held.end());
    for (const auto& assignment : entry.assignments) {
      const bool has_it = assignment->session == admission.session && held.contains(assignment->number);
      if (has_it) continue;
      if (assignment->once && assignment->lease != 0) {
        assignment->lost = true;
        assignment->changed.notify_all();
      } else {
        deliver(entry, *assignment);
      }
    }
  }

  Status report(const WorkerName& name, std::string_view body) {
    ST8_ASSIGN(const Json report, worker::read_message<Json>("the report", body, [](const Json& json) -> Result<Json> {
                 // Whoever waits for it reads these.
                 (void)json.at("session").get<std::string>();
                 (void)json.at("assignment").get<std::uint64_t>();
                 (void)json.at("lease").get<std::uint64_t>();
                 (void)json.at("ok").get<bool>();
                 return json;
               }));
    const std::lock_guard lock(mutex_);
    ST8_ASSIGN(const auto assignment, held_assignment(name, report));
    assignment->report = codec::dump(report);
    assignment->done = true;
    assignment->changed.notify_all();
    return {};
  }

  Result<std::shared_ptr<const std::string>> content(const WorkerName& name, std::string_view body) {
    using Bytes = std::shared_ptr<const std::string>;
    ST8_ASSIGN(const auto order, (worker::read_message<std::pair<Json, Hash>>(
                                     "the request", body, [](const Json& json) -> Result<std::pair<Json, Hash>> {
                                       (void)json.at("session").get<std::string>();
                                       (void)json.at("assignment").get<std::uint64_t>();
                                       (void)json.at("lease").get<std::uint64_t>();
                                       return std::pair(json, codec::hash(json.at("sha256")));
                                     })));
    const std::lock_guard lock(mutex_);
    ST8_ASSIGN(const auto assignment, held_assignment(name, order.first));
    const auto bytes = assignment->bytes.find(order.second);
    if (bytes == assignment->bytes.end())
      return fail(ErrorCode::kNotFound, "that assignment has no file with this hash", "");
    return Bytes(bytes->second);
  }

  std::vector<WorkerView> workers() const {
    const std::lock_guard lock(mutex_);
    std::vector<WorkerView> all;
    for (const auto& [name, entry] : workers_) {
      if (entry.last_seen.micros == 0) continue;  // Called for, and never there.
      all.push_back({name, entry.stream != nullptr && !entry.stream->closed(), entry.last_seen,
                     entry.assignments.size(), entry.version});
    }
    return all;
  }

  Result<std::string> assign(const CallContext& call, const WorkerName& name, std::string text,
                             const Content* content) {
    ST8_TRY(call.check());
    auto assignment = std::make_shared<Assignment>();
    assignment->text = std::move(text);
    assignment->deadline = call.deadline;
    if (content == nullptr) {
      ST8_ASSIGN(assignment->once,
                 worker::read_message<bool>("the assignment", assignment->text, [](const Json& json) -> Result<bool> {
                   return json.value("once", false);
                 }));
    } else {
      for (const ContentFile& file : content->files) assignment->bytes[file.entry.hash] = file.bytes;
    }
    std::unique_lock lock(mutex_);
    if (stopping_) return fail(ErrorCode::kUnavailable, "the daemon is ending", "");
    Entry& entry = workers_[name.str()];
    if (entry.assignments.size() >= options_.assignments_max)
      return fail(ErrorCode::kUnavailable,
                  "worker " + name.str() + " has " + std::to_string(entry.assignments.size()) + " assignments already",
                  "");
    assignment->number = ++numbers_;
    entry.assignments.push_back(assignment);
    ++entry.waiting;
    const auto begun = clock_.monotonic();
    if (entry.stream) deliver(entry, *assignment);
    Status ended;
    while (!assignment->done) {
      if (stopping_)
        ended = fail(ErrorCode::kUnavailable, "the daemon is ending", "");
      else
        ended = call.check();
      if (ended && !present(entry) && clock_.monotonic() - begun > options_.away_max &&
          clock_.monotonic() - entry.left_at > options_.away_max) {
        ended =
            fail(ErrorCode::kUnavailable,
                 "worker " + name.str() + " is not there" +
                     (entry.last_seen.micros == 0 ? "" : ": it was last seen at " + format_rfc3339(entry.last_seen)),
                 "start `st8d worker --name " + name.str() + "` on the target's machine");
      }
      if (assignment->lost) ended = fail(ErrorCode::kOutcomeUnknown, "the worker ended, or lost it, while it ran", "");
      if (!ended) break;
      // A cancellation tells nobody: it is looked at again and again.
      assignment->changed.wait_for(lock, std::chrono::milliseconds(20));
    }
    std::erase(entry.assignments, assignment);
    --entry.waiting;
    if (assignment->done) return std::move(assignment->report);
    if (assignment->lease != 0) (void)send(entry, Json{{"type", "cancel"}, {"assignment", assignment->number}});
    // Begun there, with no word of how it ended.
    if (assignment->once && assignment->lease != 0)
      return fail(ErrorCode::kOutcomeUnknown, ended.error().message, ended.error().hint);
    return fail(ended.error());
  }

 private:
  struct Assignment {
    std::uint64_t number = 0;
    std::string text;
    std::chrono::nanoseconds deadline{};
    std::map<Hash, std::shared_ptr<const std::string>> bytes;
    std::uint64_t lease = 0;  // Of the newest delivery; 0: none yet.
    std::string session;      // It was delivered to.
    bool once = false;        // Never delivered a second time.
    bool lost = false;        // It would have to be.
    bool done = false;
    std::string report;
    std::condition_variable changed;
  };
  struct Entry {
    std::string session;
    std::deque<std::string> superseded;
    std::shared_ptr<WorkerStream> stream;
    std::chrono::nanoseconds attached_at{};
    std::chrono::nanoseconds left_at = std::chrono::nanoseconds::min() / 2;
    Timestamp last_seen;
    std::string version;
    std::deque<std::shared_ptr<Assignment>> assignments;  // In the order in which they came.
    std::size_t waiting = 0;                              // Calls that look at this entry.
  };
  static constexpr std::size_t kSupersededMax = 16;

  static Status not_superseded(const Entry& entry, const WorkerName& name, const std::string& session) {
    if (std::find(entry.superseded.begin(), entry.superseded.end(), session) == entry.superseded.end()) return {};
    return fail(ErrorCode::kPreconditionFailed, "another process works as \"" + name.str() + "\" since",
                "end this one, or give it a name of its own");
  }

  // The assignment that a worker speaks of, when it is still his.
  Result<std::shared_ptr<Assignment>> held_assignment(const WorkerName& name, const Json& message) {
    const auto gone = [] { return fail(ErrorCode::kNotFound, "this delivery is not waited for any more", ""); };
    const auto found = workers_.find(name.str());
    if (found == workers_.end()) return gone();
    Entry& entry = found->second;
    const std::string session = message.at("session").get<std::string>();
    ST8_TRY(not_superseded(entry, name, session));
    if (session != entry.session) return gone();
    entry.last_seen = clock_.now();
    const auto number = message.at("assignment").get<std::uint64_t>(), lease = message.at("lease").get<std::uint64_t>();
    for (const auto& assignment : entry.assignments) {
      if (assignment->number == number && assignment->lease == lease && !assignment->done) return assignment;
    }
    return gone();
  }

  void left(Entry& entry) {
    entry.stream = nullptr;
    entry.left_at = clock_.monotonic();
  }
  // Whether there is a worker at the other end, as far as can be told.
  bool present(Entry& entry) {
    if (entry.stream && entry.stream->closed()) left(entry);
    return entry.stream != nullptr;
  }
  bool send(Entry& entry, const Json& line) {
    if (!entry.stream) return false;
    if (entry.stream->send(std::make_shared<const std::string>(worker::line_of(line)))) return true;
    left(entry);
    return false;
  }
  void deliver(Entry& entry, Assignment& assignment) {
    if (assignment.done) return;
    auto remaining = std::chrono::duration_cast<std::chrono::milliseconds>(assignment.deadline - clock_.monotonic());
    // There it ends a little sooner, so that its end is told before nobody waits for it any more.
    if (assignment.once) remaining -= std::min(remaining / 10, std::chrono::milliseconds(1'000));
    assignment.lease = ++numbers_;
    assignment.session = entry.session;
    // The text is an object of our own making: it gets its delivery's fields in front.
    const std::string head = codec::dump({{"type", "assignment"},
                                          {"assignment", assignment.number},
                                          {"lease", assignment.lease},
                                          {"deadline_ms", std::max<std::int64_t>(remaining.count(), 1)}});
    auto line =
        std::make_shared<const std::string>(head.substr(0, head.size() - 1) + "," + assignment.text.substr(1) + "\n");
    if (!entry.stream->send(std::move(line))) left(entry);
  }

  void tend() {
    std::unique_lock lock(mutex_);
    while (!stopping_) {
      wake_.wait_for(lock, options_.heartbeat);
      const auto now = clock_.monotonic();
      for (auto it = workers_.begin(); it != workers_.end();) {
        Entry& entry = it->second;
        if (present(entry)) {
          if (now - entry.attached_at >= options_.poll_max) {
            entry.stream->close();
            left(entry);
          } else if (send(entry, Json{{"type", "alive"}})) {
            entry.last_seen = clock_.now();
          }
        }
        // Names that nobody calls for and that never came are forgotten.
        if (entry.last_seen.micros == 0 && entry.waiting == 0)
          it = workers_.erase(it);
        else
          ++it;
      }
    }
  }

  const Clock& clock_;
  const WorkerHubOptions options_;
  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::map<std::string, Entry> workers_;
  std::uint64_t numbers_ = 0;
  bool stopping_ = false;
  std::mutex joining_;
  std::thread thread_;
};

WorkerHub::WorkerHub(const Clock& clock, WorkerHubOptions options) : impl_(std::make_unique<Impl>(clock, options)) {}
WorkerHub::~WorkerHub() = default;
void WorkerHub::stop() { impl_->stop(); }
Result<WorkerHub::Admission> WorkerHub::admit(const WorkerName& worker, std::string_view body) {
  return impl_->admit(worker, body);
}
void WorkerHub::attach(const Admission& admission, std::shared_ptr<WorkerStream> stream) {
  impl_->attach(admission, std::move(stream));
}
Status WorkerHub::report(const WorkerName& worker, std::string_view body) { return impl_->report(worker, body); }
Result<std::shared_ptr<const std::string>> WorkerHub::content(const WorkerName& worker, std::string_view body) {
  return impl_->content(worker, body);
}
std::vector<WorkerView> WorkerHub::workers() const { return impl_->workers(); }
Result<std::string> WorkerHub::assign(const CallContext& call, const WorkerName& worker, std::string assignment,
                                      const Content* content) {
  return impl_->assign(call, worker, std::move(assignment), content);
}

}  // namespace st8::target
