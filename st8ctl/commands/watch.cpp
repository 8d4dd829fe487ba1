// watch: the changes of a branch as they come. The stream resumes where it stood when the connection breaks.
#include <algorithm>
#include <unistd.h>

#include "commands/commands.h"

namespace st8::ctl {
namespace {

constexpr Flag kAfter{"after", 0, FlagKind::kNumber, "N", "Also what came behind this revision already"};
constexpr Flag kAllBranches{"all-branches", 0, FlagKind::kBool, "", "Every branch of the namespace"};
constexpr Flag kCount{"count", 0, FlagKind::kNumber, "N", "End after this many revisions (default 0: never)"};
constexpr const Flag* kFlags[] = {&kAfter, &kAllBranches, &flags::kPrefix, &kCount};

// Longer than the keep-alives that the server sends every 15 seconds.
constexpr std::int64_t kSilenceMsMax = 45'000;
constexpr int kAttemptsMax = 8;

// One server-sent event, by the rules of the format: https://html.spec.whatwg.org/multipage/server-sent-events.html
struct Event {
  std::string id;
  std::string name;
  std::string data;
};

class EventParser {
 public:
  // Takes bytes as they come; calls `on_event` for each whole event until it answers false.
  template <class OnEvent>
  bool feed(std::string_view bytes, const OnEvent& on_event) {
    buffer_.append(bytes);
    std::size_t begin = 0;
    for (std::size_t end = buffer_.find('\n', begin); end != std::string::npos;
         begin = end + 1, end = buffer_.find('\n', begin)) {
      std::string_view line(buffer_.data() + begin, end - begin);
      if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
      if (line.empty()) {
        if (!event_.data.empty() && !on_event(event_)) return false;
        event_ = Event{};
        continue;
      }
      take(line);
    }
    buffer_.erase(0, begin);
    return true;
  }

 private:
  void take(std::string_view line) {
    const std::size_t colon = line.find(':');
    const std::string_view field = line.substr(0, colon);
    std::string_view value = colon == std::string_view::npos ? std::string_view() : line.substr(colon + 1);
    if (!value.empty() && value.front() == ' ') value.remove_prefix(1);
    if (field == "id") event_.id = value;
    if (field == "event") event_.name = value;
    if (field == "data") {
      if (!event_.data.empty()) event_.data += '\n';
      event_.data += value;
    }
  }

  std::string buffer_;
  Event event_;
};

Result<int> run(Context& context) {
  const Arguments& arguments = context.arguments();
  ST8_ASSIGN(Client* const client, context.client());
  const std::uint64_t wanted = arguments.number("count").value_or(0);
  std::uint64_t seen = 0;
  std::string last = arguments.text_or("after", "");
  bool ended = false;
  Result<int> outcome = 0;
  for (int attempt = 0; !ended; ++attempt) {
    Query query{
        {"namespace", context.settings().name_space}, {"prefix", arguments.text_or("prefix", "")}, {"after", last}};
    if (!arguments.on("all-branches")) query.emplace_back("branch", context.settings().branch);
    EventParser parser;
    TransferOptions options;
    options.silence_ms_max = kSilenceMsMax;
    const auto on_event = [&](const Event& event) {
      attempt = 0;
      if (event.name == "overflow") return false;  // Too slow: the server cut us off; go on from where we stand.
      const auto value = parse_answer(event.data);
      if (event.name == "ready") {
        if (last.empty() && value) {
          if (const wire::JsonValue* revision = value->find("revision")) last = revision->text;
        }
        return true;
      }
      if (!event.id.empty()) last = event.id;
      if (context.wants_document()) {
        // One JSON document a line, or one YAML document a change: what stream readers take.
        if (context.format() == OutputFormat::kJson)
          context.out().line(event.data);
        else if (value)
          context.out().write("---\n" + yaml(*value));
      } else if (event.name == "revision") {
        if (const auto entry = wire::parse_log_entry(event.data)) {
          context.out().line(context.format() == OutputFormat::kName ? std::to_string(entry->id) : log_line(*entry));
          if (context.format() == OutputFormat::kText) print_changes(context, entry->changes);
        }
      } else if (event.name == "operation" && context.format() == OutputFormat::kText) {
        if (const auto operation = wire::parse_operation(event.data)) {
          context.out().line(operation->kind + " " + printable(operation->name) + " before=" +
                             std::to_string(operation->before) + " after=" + std::to_string(operation->after));
        }
      }
      context.out().flush();
      if (event.name == "revision") ++seen;
      ended = context.out().broken() || (wanted > 0 && seen >= wanted);
      return !ended;
    };
    options.sink = [&](std::string_view bytes) { return parser.feed(bytes, on_event); };
    const auto response = client->call(get("/v1/watch", std::move(query)), options);
    if (ended) break;
    if (!response && (response.error().code != ErrorCode::kUnavailable || attempt + 1 >= kAttemptsMax)) {
      outcome = fail(response.error());
      break;
    }
    if (attempt > 0 || !response) {
      if (attempt == 0) context.notice("the connection was lost; trying again");
      ::usleep(static_cast<useconds_t>(std::min(100'000 << std::min(attempt, 5), 3'000'000)));
    }
  }
  return outcome;
}

}  // namespace

const Command kWatch{"watch",
                     "Follow the changes of a branch as they happen",
                     "Prints each new revision and its keys; comes back by itself when the connection breaks, without "
                     "missing any. With -o json: one line a change.",
                     "st8ctl watch\n"
                     "st8ctl watch --prefix app/ --after 41\n"
                     "st8ctl watch --all-branches -o json",
                     kFlags,
                     {},
                     {},
                     run};

}  // namespace st8::ctl
