#include <algorithm>
#include <array>
#include <charconv>
#include <condition_variable>
#include <deque>
#include <fcntl.h>
#include <map>
#include <mutex>
#include <openssl/rand.h>
#include <optional>
#include <sys/file.h>
#include <thread>
#include <unistd.h>

#include "codec/base64.h"
#include "drivers/file/file_driver.h"
#include "drivers/file/root.h"
#include "drivers/names.h"
#include "st8/state/failpoint.h"
#include "st8/target/worker_agent.h"
#include "worker/confirmations.h"
#include "worker/protocol.h"
#include "worker/step_messages.h"

namespace st8::target {
namespace {

using file::Fd;
using file::Root;
using worker::Confirmation;
using worker::Confirmations;
using worker::Json;

constexpr std::string_view kLock = ".st8/worker/lock";
constexpr std::chrono::milliseconds kRetryLeast{100};
constexpr std::chrono::seconds kGoBackTime{60};  // Of one attempt.
constexpr std::size_t kQueueMax = 512;

enum class Hands : std::uint8_t { kTarget = 0, kSteps = 1, kProbes = 2 };

// An assignment as it came.
struct Assignment {
  Hands hands = Hands::kTarget;
  std::uint64_t number = 0;
  std::uint64_t lease = 0;
  Json order;
  std::chrono::nanoseconds deadline{};
  CancelFlag cancelled = std::make_shared<std::atomic<bool>>(false);
};

std::string random_session() {
  std::array<unsigned char, 16> bytes{};
  if (RAND_bytes(bytes.data(), static_cast<int>(bytes.size())) != 1) return {};
  return codec::to_base64url({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
}

}  // namespace

class WorkerAgent::Impl {
 public:
  Impl(WorkerAgentOptions options, WorkerTransport& transport, const Clock& clock, Root root, Fd lock,
       Confirmations confirmations, std::string session)
      : options_(std::move(options)),
        transport_(transport),
        clock_(clock),
        root_(std::move(root)),
        lock_(std::move(lock)),
        confirmations_(std::move(confirmations)),
        session_(std::move(session)) {}

  Status run() {
    // A step may take long: what is read and switched does not wait for it, and no health check for either.
    std::thread worker([this] { work(Hands::kTarget); });
    std::thread stepper([this] { work(Hands::kSteps); });
    std::thread prober([this] { work(Hands::kProbes); });
    std::thread keeper([this] { keep_deadlines(); });
    Status ended = poll_until_stopped();
    stop();
    worker.join();
    stepper.join();
    prober.join();
    keeper.join();
    return ended;
  }

  void stop() {
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
      for (const auto& one : current_) {
        if (one) one->cancelled->store(true);
      }
      for (const auto& one : queue_) one->cancelled->store(true);
      wake_.notify_all();
      for (auto& hands : work_wake_) hands.notify_all();
    }
    {
      const std::lock_guard lock(target_mutex_);
      keeper_wake_.notify_all();
    }
    transport_.interrupt();
  }

 private:
  // --- Polling ---

  bool stopping() const {
    const std::lock_guard lock(mutex_);
    return stopping_;
  }

  Status poll_until_stopped() {
    auto delay = kRetryLeast;
    std::string last_problem;
    while (!stopping()) {
      const auto begun = clock_.monotonic();
      const Status polled = transport_.poll(poll_body(), [this](std::string_view line) { return take(line); });
      if (stopping()) break;
      if (polled) {
        if (!last_problem.empty()) say("st8d answers again");
        last_problem.clear();
        delay = kRetryLeast;
        continue;
      }
      if (polled.error().code == ErrorCode::kPreconditionFailed) return polled;
      // One line for each reason, not for each attempt.
      if (polled.error().message != last_problem) say(polled.error().message);
      last_problem = polled.error().message;
      if (clock_.monotonic() - begun > options_.retry_max) delay = kRetryLeast;
      std::unique_lock lock(mutex_);
      wake_.wait_for(lock, delay, [this] { return stopping_; });
      delay = std::min(delay * 2, options_.retry_max);
    }
    return {};
  }

  std::string poll_body() const {
    const std::lock_guard lock(mutex_);
    std::vector<std::uint64_t> held;
    for (const auto& one : current_) {
      if (one) held.push_back(one->number);
    }
    for (const auto& one : queue_) held.push_back(one->number);
    return codec::dump(
        {{"protocol", worker::kProtocol}, {"session", session_}, {"held", held}, {"version", options_.version}});
  }

  // A line of the stream. False: no more.
  bool take(std::string_view line) {
    auto read = worker::read_message<Json>("a line", line, [](const Json& json) -> Result<Json> {
      (void)json.at("type").get<std::string>();
      return json;
    });
    if (!read) {
      say("st8d says what is not understood: " + read.error().message);
      return false;
    }
    const std::string type = (*read)["type"].get<std::string>();
    if (type == "assignment") return take_assignment(std::move(*read));
    if (type == "cancel" && read->contains("assignment") && (*read)["assignment"].is_number_unsigned()) {
      const auto number = (*read)["assignment"].get<std::uint64_t>();
      const std::lock_guard lock(mutex_);
      for (const auto& one : current_) {
        if (one && one->number == number) one->cancelled->store(true);
      }
      for (const auto& one : queue_) {
        if (one->number == number) one->cancelled->store(true);
      }
    }
    return !stopping();
  }

  bool take_assignment(Json order) {
    const auto read =
        worker::look_into<std::shared_ptr<Assignment>>("an assignment", [&]() -> Result<std::shared_ptr<Assignment>> {
          auto assignment = std::make_shared<Assignment>();
          assignment->number = order.at("assignment").get<std::uint64_t>();
          assignment->lease = order.at("lease").get<std::uint64_t>();
          assignment->deadline =
              clock_.monotonic() + std::chrono::milliseconds(std::min<std::int64_t>(
                                       order.at("deadline_ms").get<std::int64_t>(), 24 * 3600 * 1000));
          const std::string operation = order.at("operation").get<std::string>();
          if (operation == "step") assignment->hands = Hands::kSteps;
          if (operation == "probe") assignment->hands = Hands::kProbes;
          assignment->order = std::move(order);
          return assignment;
        });
    if (!read) {
      say(read.error().message);
      return true;
    }
    const std::lock_guard lock(mutex_);
    // A delivery of what is here already, under a new lease: only the newest is waited for.
    std::erase_if(queue_, [&](const auto& one) { return one->number == (*read)->number; });
    if (queue_.size() >= kQueueMax) return false;
    queue_.push_back(*read);
    work_wake_[static_cast<std::size_t>((*read)->hands)].notify_one();
    return !stopping_;
  }

  // --- Doing ---

  void work(Hands hands) {
    auto& current = current_[static_cast<std::size_t>(hands)];
    for (;;) {
      std::shared_ptr<Assignment> assignment;
      {
        std::unique_lock lock(mutex_);
        current = nullptr;
        const auto next = [&] {
          return std::find_if(queue_.begin(), queue_.end(), [&](const auto& one) { return one->hands == hands; });
        };
        work_wake_[static_cast<std::size_t>(hands)].wait(lock, [&] { return stopping_ || next() != queue_.end(); });
        if (stopping_) return;
        const auto found = next();
        assignment = current = *found;
        queue_.erase(found);
      }
      if (assignment->cancelled->load()) continue;
      const auto done =
          worker::look_into<Json>("an assignment", [&] { return perform(*assignment, assignment->order); });
      Json report = done ? *done : worker::error_to_json(done.error());
      if (done) report["ok"] = true;
      report["session"] = session_;
      report["assignment"] = assignment->number;
      report["lease"] = assignment->lease;
      ST8_FAILPOINT_VOID("worker.before_report");
      tell(*assignment, codec::dump(report));
    }
  }

  // Until st8d has it, or has no use for it.
  void tell(const Assignment& assignment, const std::string& report) {
    auto delay = kRetryLeast;
    while (!stopping() && clock_.monotonic() < assignment.deadline) {
      const Status told = transport_.report(report);
      // Refused: it is somebody else's by now, or given up.
      if (told || told.error().code != ErrorCode::kUnavailable) return;
      std::unique_lock lock(mutex_);
      wake_.wait_for(lock, delay, [this] { return stopping_; });
      delay = std::min(delay * 2, options_.retry_max);
    }
  }

  Result<Json> perform(const Assignment& assignment, const Json& order) {
    const std::string operation = order.at("operation").get<std::string>();
    if (operation == "step") return do_step(assignment, order.at("step"));
    if (operation == "probe") return do_probe(assignment, order.at("probe"));
    const std::string directory = order.at("directory").get<std::string>();
    if (!directory.empty()) ST8_TRY(check_relative_path(directory));
    file::FileSpec spec{
        root_.path(),
        order.at("layout").get<std::string>() == "files" ? file::Layout::kFiles : file::Layout::kDirectory,
        order.at("keep").get<std::uint32_t>()};
    if (!directory.empty()) {
      // Below the root, by no link.
      ST8_TRY(root_.directory(directory, true).map([](const Fd&) {}));
      spec.root += "/" + directory;
    }
    const auto driver = file::make_file_driver(spec);
    CallContext call;
    call.clock = &clock_;
    call.deadline = assignment.deadline;
    call.cancelled = assignment.cancelled;
    call.fencing_token = order.at("fencing_token").get<std::uint64_t>();
    call.restore_point = order.at("restore_point").get<std::string>();
    const auto done = [](const Status& status) -> Result<Json> {
      if (!status) return fail(status.error());
      return Json::object();
    };
    if (operation == "observe") {
      ST8_ASSIGN(const Observation seen, driver->observe(call));
      Json report = {{"present", seen.present}};
      if (seen.present) {
        report["hash"] = seen.content.hex();
        report["label"] = seen.label;
      }
      return report;
    }
    if (operation == "check") return done(driver->check(call));
    if (operation == "validate") {
      ST8_ASSIGN(const Hash hash, driver->validate(call, order.at("label").get<std::string>()));
      return Json{{"hash", hash.hex()}};
    }
    if (operation == "stage") {
      // What is to be fetched is fetched before the lock is taken: a deadline to go back waits for no network.
      ST8_ASSIGN(const Content content, content_of(assignment, order, *driver, spec, call));
      const std::lock_guard lock(target_mutex_);
      return done(driver->stage(call, content));
    }
    const std::lock_guard lock(target_mutex_);
    if (operation == "activate") return done(activate(*driver, spec, call, directory, order));
    if (operation == "restore") {
      ST8_TRY(driver->restore(call));
      return done(confirmations_.find(directory) == nullptr ? Status{} : confirmations_.forget(directory));
    }
    if (operation == "confirm") return done(confirm(call, directory));
    if (operation == "discard") {
      // What an unconfirmed activation would go back through is needed.
      const Confirmation* waiting = confirmations_.find(directory);
      if (waiting != nullptr && waiting->state == Confirmation::State::kWaiting) return Json::object();
      return done(driver->discard(call));
    }
    return fail(ErrorCode::kUnprocessable, "this worker knows no operation \"" + operation.substr(0, 40) + "\"",
                "use st8d of the same version on both sides");
  }

  Result<Json> do_step(const Assignment& assignment, const Json& order) const {
    ST8_ASSIGN(const worker::StepMessage message, worker::step_from_json(order));
    const bool harmless = message.step.kind == StepKind::kEcho || message.step.kind == StepKind::kSleep;
    if (!options_.allow_steps && !harmless) {
      return fail(ErrorCode::kUnprocessable,
                  "this worker does no steps of type " + std::string(step_kind_name(message.step.kind)),
                  "start it with --allow-steps");
    }
    CallContext call;
    call.clock = &clock_;
    call.deadline = assignment.deadline;
    call.cancelled = assignment.cancelled;
    call.restore_point = message.restore_point;
    const effects::StepContext context{message.name_space, message.branch,        message.revision, message.target,
                                       message.rollout,    message.restore_point, &clock_};
    effects::StepOutcome outcome;
    if (message.action == effects::StepAction::kRun) outcome = effects::run_step(call, message.step, context);
    if (message.action == effects::StepAction::kUndo) outcome = effects::undo_step(call, message.step, context);
    if (message.action == effects::StepAction::kForget) effects::forget_step(message.step, context);
    if (message.action != effects::StepAction::kForget) ST8_FAILPOINT("worker.after_step");
    Json report = {{"output", outcome.output}};
    if (!outcome.status) report["failed"] = worker::error_to_json(outcome.status.error());
    return report;
  }

  // What it finds stands in the report; an error is one of the worker's own.
  Result<Json> do_probe(const Assignment& assignment, const Json& order) const {
    ST8_ASSIGN(const worker::ProbeMessage message, worker::probe_from_json(order));
    Json report = Json::object();
    Status found;
    if (options_.allow_steps) {
      CallContext call;
      call.clock = &clock_;
      call.deadline = assignment.deadline;
      call.cancelled = assignment.cancelled;
      found = effects::probe(call, message.check, message.target);
    } else {
      found = fail(ErrorCode::kUnprocessable, "this worker asks no health checks", "start it with --allow-steps");
    }
    if (!found) report["failed"] = worker::error_to_json(found.error());
    return report;
  }

  Status activate(TargetDriver& driver, const file::FileSpec& spec, const CallContext& call,
                  const std::string& directory, const Json& order) {
    const std::string label = order.at("label").get<std::string>();
    ST8_TRY(call.check());
    const auto within = std::chrono::milliseconds(order.value("confirm_ms", std::int64_t{0}));
    const Confirmation* before = confirmations_.find(directory);
    if (within.count() > 0) {
      // Durable before anything is switched: whatever happens from here on, there is a way back, and a time for it.
      ST8_TRY(drivers::check_name(call.restore_point, "the restore point"));
      if (auto staged = driver.validate(call, label); !staged) return fail(staged.error());
      Confirmation one;
      one.directory = directory;
      one.layout = spec.layout;
      one.keep = spec.keep;
      one.restore_points = {call.restore_point};
      if (before != nullptr && before->state == Confirmation::State::kWaiting) {
        for (const std::string& point : before->restore_points) {
          if (point != call.restore_point) one.restore_points.push_back(point);
        }
      }
      ST8_TRY(confirmations_.wait(std::move(one), within));
      keeper_wake_.notify_all();
      ST8_FAILPOINT("worker.before_switch");
    }
    ST8_TRY(driver.activate(call, label));
    ST8_FAILPOINT("worker.after_switch");
    // One that needs no word makes an earlier wait for one void.
    if (within.count() == 0 && before != nullptr) return confirmations_.forget(directory);
    return {};
  }

  Status confirm(const CallContext& call, const std::string& directory) {
    const Confirmation* one = confirmations_.find(directory);
    if (one == nullptr || !one->is_of(call.restore_point))
      return fail(ErrorCode::kUnprocessable, "nothing of " + call.restore_point + " waits to be confirmed here", "");
    if (one->state == Confirmation::State::kWentBack) {
      return fail(ErrorCode::kUnprocessable, "it was not confirmed in time, and the worker went back by itself",
                  "give the policy a longer `confirm`, or let the rollout take less time");
    }
    return one->state == Confirmation::State::kConfirmed
               ? Status{}
               : confirmations_.set(directory, Confirmation::State::kConfirmed);
  }

  // The files of an assignment: their bytes stand in it, or lie here already, or are fetched.
  Result<Content> content_of(const Assignment& assignment, const Json& order, TargetDriver& driver,
                             const file::FileSpec& spec, const CallContext& call) {
    Content content;
    content.revision = {order.at("revision").get<std::uint64_t>()};
    const std::string label = order.at("label").get<std::string>();
    std::vector<FileEntry> entries;
    for (const Json& file : order.at("files"))
      entries.push_back(
          {file.at("path").get<std::string>(), file.at("mode").get<std::uint32_t>(), codec::hash(file.at("sha256"))});
    content.hash = content_hash(entries);
    if (content.label() != label)
      return fail(ErrorCode::kUnprocessable, "the assignment's files are not those of version " + label.substr(0, 80),
                  "");
    // Staged before, and still whole: nothing is fetched.
    const auto there = driver.validate(call, label);
    const bool whole = there && *there == content.hash;
    std::optional<Root> target;
    std::string live;
    if (auto opened = Root::open(spec.root)) {
      target = std::move(*opened);
      if (spec.layout == file::Layout::kDirectory) {
        const auto link = target->read_link("current");
        if (link && *link) live = **link + "/";
      }
    }
    std::size_t index = 0;
    for (FileEntry& entry : entries) {
      ST8_TRY(call.check());
      ST8_TRY(check_relative_path(entry.path));
      const Json& file = order.at("files").at(index++);
      std::shared_ptr<const std::string> bytes;
      if (const auto inlined = file.find("content_base64url"); inlined != file.end()) {
        const auto text = inlined->get<std::string>();
        auto decoded = text.empty() ? std::optional<std::string>("") : codec::from_base64url(text);
        if (!decoded) return fail(ErrorCode::kUnavailable, "the assignment's content cannot be decoded", "");
        bytes = std::make_shared<const std::string>(std::move(*decoded));
      } else if (target) {
        const std::string base = whole && spec.layout == file::Layout::kDirectory ? "revisions/" + label + "/" : live;
        if (const auto kept = target->read(base + entry.path); kept && *kept && Hash::of((*kept)->bytes) == entry.hash)
          bytes = std::make_shared<const std::string>((*kept)->bytes);
      }
      if (!bytes) {
        const Json request = {{"session", session_},
                              {"assignment", assignment.number},
                              {"lease", assignment.lease},
                              {"sha256", entry.hash.hex()}};
        ST8_ASSIGN(std::string fetched, transport_.content(codec::dump(request)));
        bytes = std::make_shared<const std::string>(std::move(fetched));
      }
      if (Hash::of(*bytes) != entry.hash)
        return fail(ErrorCode::kUnavailable, "the bytes of " + entry.path + " are not those of its hash", "");
      content.files.push_back({std::move(entry), std::move(bytes)});
    }
    return content;
  }

  // --- Going back ---

  void keep_deadlines() {
    std::unique_lock lock(target_mutex_);
    while (!stopping()) {
      bool failed = false;
      for (const Confirmation& one : confirmations_.due()) {
        if (const Status back = go_back(one); !back) {
          say("cannot go back in \"" + one.directory + "\": " + back.error().message);
          failed = true;
        }
      }
      const auto next = confirmations_.next();
      if (failed)
        keeper_wake_.wait_for(lock, std::chrono::seconds(1));
      else if (next)
        keeper_wake_.wait_for(lock, std::min<std::chrono::nanoseconds>(*next, std::chrono::seconds(1)));
      else
        keeper_wake_.wait_for(lock, std::chrono::seconds(1));
    }
  }

  Status go_back(const Confirmation& one) {
    std::string place = root_.path();
    if (!one.directory.empty()) {
      ST8_TRY(root_.directory(one.directory).map([](const Fd&) {}));
      place += "/" + one.directory;
    }
    const auto driver = file::make_file_driver({place, one.layout, one.keep});
    CallContext call;
    call.clock = &clock_;
    call.deadline = clock_.monotonic() + kGoBackTime;
    // Whoever holds the target now: what was never confirmed goes back all the same.
    ST8_ASSIGN(call.fencing_token, highest_token(place));
    for (const std::string& point : one.restore_points) {
      call.restore_point = point;
      ST8_TRY(driver->restore(call));
    }
    ST8_FAILPOINT("worker.went_back");
    ST8_TRY(confirmations_.set(one.directory, Confirmation::State::kWentBack));
    say("nobody confirmed " + one.restore_points.front() + " in time: went back to what was live before");
    return {};
  }

  static Result<std::uint64_t> highest_token(const std::string& place) {
    ST8_ASSIGN(const Root target, Root::open(place));
    ST8_ASSIGN(const auto stored, target.read(".st8/fence"));
    std::uint64_t token = 0;
    if (stored) std::from_chars(stored->bytes.data(), stored->bytes.data() + stored->bytes.size(), token);
    return token;
  }

  void say(const std::string& line) const {
    if (options_.log) options_.log(line);
  }

  const WorkerAgentOptions options_;
  WorkerTransport& transport_;
  const Clock& clock_;
  const Root root_;
  const Fd lock_;

  // Held over every effect on a target, and over what waits for confirmation.
  std::mutex target_mutex_;
  std::condition_variable keeper_wake_;
  Confirmations confirmations_;

  const std::string session_;                         // Names this process.
  mutable std::mutex mutex_;                          // Guards what follows.
  std::condition_variable wake_;                      // For who waits to try again.
  std::array<std::condition_variable, 3> work_wake_;  // By hands: one thread each, and only that one is woken.
  std::deque<std::shared_ptr<Assignment>> queue_;
  std::array<std::shared_ptr<Assignment>, 3> current_;  // By hands.
  bool stopping_ = false;
};

Result<std::unique_ptr<WorkerAgent>> WorkerAgent::open(WorkerAgentOptions options, WorkerTransport& transport,
                                                       const Clock& clock) {
  while (options.root.size() > 1 && options.root.back() == '/') options.root.pop_back();
  if (options.root == "/")
    return fail(ErrorCode::kUnprocessable, "the root of the machine is no place for a worker",
                "name a directory of its own with --root");
  ST8_ASSIGN(Root root, Root::open(options.root));
  ST8_ASSIGN(const Fd place, root.directory(".st8/worker", true));
  Fd lock(::openat(place.get(), "lock", O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!lock.valid()) return fail(file::io_error(errno, "open " + options.root + "/" + std::string(kLock)));
  if (::flock(lock.get(), LOCK_EX | LOCK_NB) != 0)
    return fail(ErrorCode::kConflict, "another worker has " + options.root,
                "end it, or name another directory with --root");
  ST8_ASSIGN(Root again, Root::open(options.root));
  ST8_ASSIGN(Confirmations confirmations, Confirmations::open(std::move(again), clock));
  std::string session = random_session();
  if (session.empty()) return fail(ErrorCode::kUnavailable, "the system gives no random bytes", "");
  return std::unique_ptr<WorkerAgent>(
      new WorkerAgent(std::make_unique<Impl>(std::move(options), transport, clock, std::move(root), std::move(lock),
                                             std::move(confirmations), std::move(session))));
}

WorkerAgent::WorkerAgent(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
WorkerAgent::~WorkerAgent() = default;
Status WorkerAgent::run() { return impl_->run(); }
void WorkerAgent::stop() { impl_->stop(); }

}  // namespace st8::target
