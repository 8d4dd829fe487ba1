// Following a rollout: a live tree on a terminal, lines elsewhere.
#include <algorithm>
#include <chrono>
#include <csignal>
#include <functional>
#include <poll.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <utility>

#include "commands/commands.h"
#include "commands/rollouts.h"
#include "render/fields.h"
#include "render/rollout_view.h"
#include "st8/state/clock.h"

namespace st8::ctl {
namespace {

using Steady = std::chrono::steady_clock;

// The server tells on a stream when there is something to look at. Where there is no stream: between looks at least the first of
// these, and so many times what an answer takes, so that watching costs a busy server little.
constexpr int kLookMs = 250;
constexpr int kTickMs = 50;                     // Of a stream on which nothing comes.
constexpr std::int64_t kSilenceMsMax = 45'000;  // Longer than the keep-alives that the server sends every 15 seconds.
constexpr int kLookTimes = 10;
constexpr int kLookMsMax = 5'000;
// How long the server may be away before the watch gives up: a restart of st8d is shorter.
constexpr std::chrono::seconds kAwayMax{30};

constexpr char kEnter[] = "\x1b[?1049h\x1b[?25l";
constexpr char kLeave[] = "\x1b[?25h\x1b[?1049l";

void put(const char* text, std::size_t size) {
  while (size > 0) {
    const ssize_t written = ::write(STDOUT_FILENO, text, size);
    if (written <= 0 && errno != EINTR) return;
    if (written > 0) {
      text += written;
      size -= static_cast<std::size_t>(written);
    }
  }
}

// Signal handlers: only calls that are safe there. The terminal is given back as it was, then the signal does what it does.
extern "C" void leave_and_end(int signal) {
  put(kLeave, sizeof kLeave - 1);
  ::signal(signal, SIG_DFL);
  ::raise(signal);
}
extern "C" void leave_and_stop(int) {
  put(kLeave, sizeof kLeave - 1);
  ::raise(SIGSTOP);
  put(kEnter, sizeof kEnter - 1);
}
extern "C" void wake_up(int) {}

// The terminal's other screen, while it lives: what was there before comes back, whatever ends the command.
class Screen {
 public:
  Screen() {
    put(kEnter, sizeof kEnter - 1);
    for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGQUIT}) install(signal, leave_and_end);
    install(SIGTSTP, leave_and_stop);
    install(SIGWINCH, wake_up);  // Ends the wait, so that the new size is drawn at once.
  }
  ~Screen() {
    for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP, SIGWINCH}) ::signal(signal, SIG_DFL);
    put(kLeave, sizeof kLeave - 1);
  }
  Screen(const Screen&) = delete;
  Screen& operator=(const Screen&) = delete;

  static winsize size() {
    winsize size{};
    if (::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_row == 0 || size.ws_col == 0) size = {24, 80, 0, 0};
    return size;
  }

  // One write a frame, each line written over the one before it: nothing flickers.
  void draw(const Lines& lines, std::size_t columns) {
    std::string frame = "\x1b[H";
    for (std::size_t i = 0; i < lines.size(); ++i)
      frame += (i == 0 ? "" : "\r\n") + cut_to_width(lines[i], columns) + "\x1b[K";
    frame += "\x1b[J";
    put(frame.data(), frame.size());
  }

 private:
  static void install(int signal, void (*handler)(int)) {
    struct sigaction action {};
    action.sa_handler = handler;
    ::sigaction(signal, &action, nullptr);
  }
};

// What a person who follows a rollout wants to read of it; --events gives the rest.
bool tells_much(const wire::JsonValue& event) {
  const std::string kind = field(event, "kind");
  if (kind == "op.succeeded") return field(event, "operation") == "observe";
  return kind != "op.started" && kind != "append.started";
}

class Watch {
 public:
  Watch(Context& context, std::string id, std::int64_t deadline_ms)
      : context_(context), id_(std::move(id)), every_event_(context.arguments().on("events")) {
    if (deadline_ms > 0) end_ = Steady::now() + std::chrono::milliseconds(deadline_ms);
  }

  Result<Watched> run() {
    const bool tree = context_.out().terminal() && context_.format() == OutputFormat::kText;
    Result<Watched> outcome = tree ? on_screen() : in_lines();
    if (outcome && tree) {
      // What stays behind in the terminal is no longer than what was seen; `rollout get` tells the rest.
      for (const std::string& line : rollout_tree(outcome->detail, context_.out(), 0, Screen::size().ws_row - 2u))
        context_.out().line(line);
    }
    if (outcome && outcome->exit_code == kExitNotOver && !context_.out().broken())
      context_.notice("rollout " + id_ + " is not over, and goes on: `st8ctl rollout watch " + id_ + "` follows it");
    if (outcome && outcome->exit_code == kExitIncomplete)
      context_.notice("a person is to decide: `st8ctl rollout explain " + id_ + "` says what can be done");
    return outcome;
  }

 private:
  // Its newest state; a server that is away for a moment is waited for.
  Result<bool> look() {
    ST8_ASSIGN(Client* const client, context_.client());
    const auto asked = Steady::now();
    Call call = get("/v1/rollouts/" + percent_encoded(id_, false));
    if (!tag_.empty()) call.headers.emplace_back("If-None-Match", tag_);
    auto response = client->call(call);
    const auto took_ms = std::chrono::duration_cast<std::chrono::milliseconds>(Steady::now() - asked).count();
    look_ms_ =
        std::clamp(static_cast<int>(std::min<std::int64_t>(took_ms, kLookMsMax)) * kLookTimes, kLookMs, kLookMsMax);
    if (!response) {
      if (response.error().code != ErrorCode::kUnavailable) return fail(response.error());
      if (!away_since_) away_since_ = Steady::now();
      if (Steady::now() - *away_since_ > kAwayMax) return fail(response.error());
      return false;
    }
    away_since_.reset();
    if (response->status == 304) return true;
    tag_ = response->header("etag");
    ST8_ASSIGN(detail_, parse_answer(response->body));
    return true;
  }

  bool late() const { return end_ && Steady::now() >= *end_; }
  bool over() const {
    const std::string phase = field(detail_, "phase");
    return is_final_phase(phase) || phase == "incomplete";
  }
  Watched ended(bool in_time) {
    return {in_time ? exit_code_of_phase(field(detail_, "phase")) : kExitNotOver, std::move(detail_)};
  }

  using Step = std::function<Result<std::optional<Watched>>()>;

  // Calls `step` whenever the rollout got further, and every kLookMs for the time that is left, until it is done.
  Result<Watched> follow(const Step& step) {
    while (true) {
      ST8_ASSIGN(std::optional<Watched> done, step());
      if (done) return std::move(*done);
      if (streams_) {
        ST8_ASSIGN(done, stream(step));
        if (done) return std::move(*done);
      }
      // Without a stream, or until the next one: as often as the server bears.
      ::poll(nullptr, 0, look_ms_);
    }
  }

  // Until the stream ends. nullopt: it did, and the rollout goes on.
  Result<std::optional<Watched>> stream(const Step& step) {
    auto client = context_.stream_client();
    if (!client) {
      streams_ = false;
      return std::optional<Watched>();
    }
    Result<std::optional<Watched>> outcome = std::optional<Watched>();
    bool rung = false;
    auto stepped = Steady::now();
    const auto tick = [&] {
      const auto since = std::chrono::duration_cast<std::chrono::milliseconds>(Steady::now() - stepped).count();
      // News at once, but no more often than the server bears: on a stream a fifth of the time between looks without one.
      if (since < kLookMs && (!rung || since < look_ms_ / 5)) return true;
      look_due_ = std::exchange(rung, false) || away_since_.has_value();
      outcome = step();
      look_due_ = true;
      stepped = Steady::now();
      return outcome && !*outcome;
    };
    TransferOptions options;
    options.silence_ms_max = kSilenceMsMax;
    options.idle_ms = kTickMs;
    options.sink = [&](std::string_view bytes) {
      rung = rung || bytes.find("event: ") != std::string_view::npos;
      return tick();
    };
    options.on_idle = tick;
    // What was looked at may have got further before the stream began: all of it is told again, and so it rings at once.
    const auto ended = (*client)->call(get("/v1/rollouts/" + percent_encoded(id_, false) + "/events"), options);
    if (!outcome || *outcome) return outcome;
    // An older server has no such stream; one that is away is looked for in any case.
    if (!ended && ended.error().code != ErrorCode::kUnavailable) streams_ = false;
    return std::optional<Watched>();
  }

  Result<Watched> on_screen() {
    Screen screen;
    bool fresh = false;
    return follow([&]() -> Result<std::optional<Watched>> {
      if (look_due_) {
        ST8_ASSIGN(fresh, look());
      }
      const winsize size = Screen::size();
      Lines lines;
      if (detail_.find("id") != nullptr)
        lines = rollout_tree(detail_, context_.out(), system_clock().now().micros, size.ws_row - 2u);
      if (!fresh)
        lines.push_back(context_.out().painted("33", "no answer from st8d; trying again"));
      else
        lines.push_back(context_.out().painted("2", "Ctrl-C leaves; the rollout goes on"));
      screen.draw(lines, size.ws_col);
      if (fresh && over()) return std::optional(ended(true));
      if (late()) return std::optional(ended(false));
      return std::optional<Watched>();
    });
  }

  // In lines a wait shows as nothing at all: what it waits for is said, once, when it has lasted. What ends in a moment is no news.
  void tell_waiting() {
    const std::string phase = field(detail_, "phase");
    std::string waiting = field(detail_, "waiting_for");
    if (phase != "pending" && phase != "paused" && waiting != "promote") waiting.clear();
    if (over()) return;
    if (waiting != seen_waiting_) {
      seen_waiting_ = waiting;
      waiting_since_ = Steady::now();
      return;
    }
    if (waiting == told_waiting_ || Steady::now() - waiting_since_ < std::chrono::milliseconds(kLookMs)) return;
    told_waiting_ = waiting;
    if (!waiting.empty())
      context_.notice("rollout " + id_ + " is " + phase + " and waits for " + waiting + "; `st8ctl rollout explain " +
                      id_ + "` says what can be done");
  }

  Result<Watched> in_lines() {
    std::uint64_t told = 0;
    bool fresh = false;
    return follow([&]() -> Result<std::optional<Watched>> {
      if (look_due_) {
        ST8_ASSIGN(fresh, look());
      }
      if (fresh && context_.format() == OutputFormat::kText) {
        for (const wire::JsonValue& event : items_field(detail_, "events")) {
          const std::uint64_t sequence = number_field(event, "sequence");
          if (sequence <= told) continue;
          told = sequence;
          if (every_event_ || tells_much(event)) context_.out().line(event_line(event));
        }
        context_.out().flush();
        tell_waiting();
      }
      if (fresh && over()) return std::optional(ended(true));
      if (late() || context_.out().broken()) return std::optional(ended(false));
      return std::optional<Watched>();
    });
  }

  Context& context_;
  std::string id_;
  bool every_event_;
  wire::JsonValue detail_;
  std::string tag_;  // Of `detail_`.
  std::string seen_waiting_;
  std::string told_waiting_;
  Steady::time_point waiting_since_{};
  int look_ms_ = kLookMs;
  bool streams_ = true;   // The server has a stream for it, as far as is known.
  bool look_due_ = true;  // The next step looks at the server; else it only shows.
  std::optional<Steady::time_point> end_;
  std::optional<Steady::time_point> away_since_;
};

}  // namespace

int exit_code_of_phase(std::string_view phase) {
  if (phase == "promoted") return 0;
  if (phase == "rolled-back") return kExitRolledBack;
  if (phase == "superseded") return kExitSuperseded;
  if (phase == "aborted") return kExitAborted;
  if (phase == "rejected") return kExitRejected;
  if (phase == "incomplete") return kExitIncomplete;
  return kExitNotOver;
}

Result<int> wait_until_live(Context& context, std::uint64_t revision) {
  const std::int64_t deadline_ms = parse_duration_ms(context.arguments().text_or("deadline", "0")).value_or(0);
  const auto begun = Steady::now();
  ST8_ASSIGN(Client* const client, context.client());
  Query about = context.scope_query();
  about.emplace_back("at", std::to_string(revision));
  // What cannot be planned would be waited for in vain.
  if (const auto plan = client->call(get("/v1/plan", std::move(about))); !plan) {
    if (plan.error().code == ErrorCode::kUnprocessable) {
      return fail(ErrorCode::kUnprocessable,
                  "revision " + std::to_string(revision) + " is made, and goes live nowhere: " + plan.error().message,
                  plan.error().hint);
    }
    return fail(plan.error());
  }
  std::string id;
  while (id.empty()) {
    ST8_ASSIGN(const wire::JsonValue answer, client->pages(get("/v1/rollouts", context.scope_query()), "rollouts", 20));
    bool passed_by = false;
    for (const wire::JsonValue& one : items_field(answer, "rollouts")) {
      if (number_field(one, "revision") == revision) id = field(one, "id");
      passed_by = passed_by || number_field(one, "revision") > revision;
    }
    if (!id.empty()) break;
    if (passed_by) {
      context.notice("a newer revision took the place of revision " + std::to_string(revision) +
                     " before it went live");
      return kExitSuperseded;
    }
    ST8_ASSIGN(const HttpResponse live, client->call(get("/v1/live", context.scope_query())));
    ST8_ASSIGN(const wire::JsonValue standing, parse_answer(live.body));
    for (const wire::JsonValue& branch : items_field(standing, "branches")) {
      const std::string problem = field(branch, "problem");
      if (!problem.empty() && number_field(branch, "desired_revision") == revision) {
        return fail(ErrorCode::kUnprocessable,
                    "revision " + std::to_string(revision) + " is made, and goes live nowhere: " + problem);
      }
    }
    if (deadline_ms > 0 && Steady::now() - begun >= std::chrono::milliseconds(deadline_ms)) return kExitNotOver;
    ::poll(nullptr, 0, kLookMs / 5);
  }
  const std::int64_t spent_ms = std::chrono::duration_cast<std::chrono::milliseconds>(Steady::now() - begun).count();
  ST8_ASSIGN(const Watched watched,
             watch_rollout(context, id, deadline_ms == 0 ? 0 : std::max<std::int64_t>(1, deadline_ms - spent_ms)));
  if (context.wants_document())
    ST8_TRY(context.print_document(watched.detail));
  else
    ST8_TRY(print_live(context));
  return watched.exit_code;
}

Result<Watched> watch_rollout(Context& context, const std::string& id, std::int64_t deadline_ms) {
  return Watch(context, id, deadline_ms).run();
}

}  // namespace st8::ctl
