#include "st8/target/policy.h"

#include <algorithm>
#include <array>

#include "document/documents.h"

namespace st8::target {
namespace {

using strict_yaml::Context;
using strict_yaml::Map;
using strict_yaml::Value;

constexpr std::array<std::string_view, 5> kStrategyNames = {"parallel", "sequential", "rolling", "canary",
                                                            "blue-green"};
constexpr std::array<std::string_view, 6> kStepNames = {"echo", "script", "sleep", "file_write", "http", "package"};
constexpr std::array<std::string_view, 7> kDayNames = {"mon", "tue", "wed", "thu", "fri", "sat", "sun"};

void read_selection(Context& context, const Value& value, TargetSelection& out) {
  Map map(context, value);
  if (const auto names = map.take("names")) {
    for (const Value& item : names->items()) {
      const auto text = item.text();
      if (!text) continue;
      auto name = TargetName::parse(*text);
      if (!name) {
        item.problem(name.error().message, name.error().hint);
      } else if (std::find(out.names.begin(), out.names.end(), *name) != out.names.end()) {
        item.problem("the target is named twice");
      } else {
        out.names.push_back(std::move(*name));
      }
    }
  }
  if (const auto labels = map.take("labels")) {
    Map rules(context, *labels);
    for (const auto& [label, wanted] : rules.all()) {
      std::vector<std::string> values;
      if (wanted.is_sequence()) {
        values = wanted.texts();
      } else if (auto text = wanted.text()) {
        values.push_back(std::move(*text));
      }
      if (values.empty()) wanted.problem("names no value of the label");
      out.labels.emplace_back(label, std::move(values));
    }
  }
  map.finish();
  if (map.valid() && out.names.empty() && out.labels.empty()) {
    value.problem("chooses no target", "give `names: [...]` or `labels: {...}`");
  }
}

bool has_wildcard(std::string_view text) { return text.find_first_of("*?") != std::string_view::npos; }

void read_documents(Context& context, const Value& value, std::vector<DocumentRule>& out) {
  for (const Value& item : value.items()) {
    Map map(context, item);
    DocumentRule rule;
    if (const auto match = map.require("match")) {
      if (auto text = match->text()) rule.match = std::move(*text);
      if (rule.match.empty()) match->problem("matches no document");
    }
    if (const auto to = map.take("to")) {
      if (auto text = to->text()) rule.to = std::move(*text);
      std::string_view path = rule.to;
      if (path.ends_with('/')) path.remove_suffix(1);
      if (rule.to.empty() || rule.to == "/") {
        to->problem("is no path", "leave `to` away to keep the document's own key");
      } else if (rule.to != "./") {
        if (auto checked = check_relative_path(path); !checked)
          to->problem(checked.error().message, checked.error().hint);
      }
      if (!rule.to.ends_with('/') && has_wildcard(rule.match)) {
        to->problem("is one file, and `match` can name many documents", "end it with '/' to make it a directory");
      }
    }
    if (const auto mode = map.take("mode")) {
      if (const auto bits = mode->mode()) rule.mode = *bits;
    }
    map.boolean("render", rule.render);
    map.finish();
    out.push_back(std::move(rule));
  }
}

void read_amount(const Value& value, Amount& out) {
  const auto text = value.text();
  if (!text) return;
  std::string_view digits = *text;
  Amount amount;
  if (digits.ends_with('%')) {
    amount.percent = true;
    digits.remove_suffix(1);
  }
  std::uint64_t number = 0;
  bool good = !digits.empty() && digits.size() <= 6;
  for (const char c : digits) {
    good = good && c >= '0' && c <= '9';
    if (good) number = number * 10 + static_cast<std::uint64_t>(c - '0');
  }
  if (!good || number == 0 || (amount.percent && number > 100)) {
    value.problem("must be a number of targets or a part of them", "for example 2 or \"10%\"");
    return;
  }
  amount.value = static_cast<std::uint32_t>(number);
  out = amount;
}

// How one reading is taken: by http, tcp or command.
void read_probe(Context& context, Map& map, const Value& item, HealthCheck& check, std::string_view noun) {
  const auto http = map.take("http");
  const auto tcp = map.take("tcp");
  const auto command = map.take("command");
  if (map.valid() && (http.has_value() ? 1 : 0) + (tcp.has_value() ? 1 : 0) + (command.has_value() ? 1 : 0) != 1) {
    item.problem(std::string(noun) + " is one of http, tcp and command");
  } else if (http) {
    Map fields(context, *http);
    if (const auto url = fields.require("url")) {
      if (auto text = url->text()) check.url = std::move(*text);
      if (!check.url.starts_with("http://")) url->problem("must begin with http://");
    }
    if (const auto status = fields.take("expectStatus")) {
      check.expect_status.clear();
      const std::vector<Value> values = status->is_sequence() ? status->items() : std::vector<Value>{*status};
      for (const Value& one : values) {
        if (const auto number = one.integer(100, 599))
          check.expect_status.push_back(static_cast<std::uint32_t>(*number));
      }
    }
    fields.text("contains", check.contains);
    fields.finish();
  } else if (tcp) {
    check.kind = HealthKind::kTcp;
    Map fields(context, *tcp);
    if (const auto host = fields.require("host")) {
      if (auto text = host->text()) check.host = std::move(*text);
    }
    if (const auto port = fields.require("port")) {
      if (auto text = port->text()) check.port = std::move(*text);
      if (check.port.find("{{") == std::string::npos) (void)port->integer(1, 65'535);
    }
    fields.finish();
  } else if (command) {
    check.kind = HealthKind::kCommand;
    Map fields(context, *command);
    if (const auto argv = fields.require("argv")) {
      check.argv = argv->texts();
      if (check.argv.empty()) argv->problem("names no program");
    }
    fields.integer("expectExit", check.expect_exit, 0, 255);
    fields.finish();
  }
}

void read_analysis(Context& context, const Value& value, Strategy& out) {
  Map map(context, value);
  Analysis analysis;
  HealthCheck& reading = analysis.reading;
  reading.interval = Millis{10'000};
  map.text("name", reading.name);
  read_probe(context, map, value, reading, "an analysis");
  map.duration("interval", reading.interval);
  map.duration("timeout", reading.timeout);
  map.duration("initialDelay", analysis.initial_delay);
  map.integer("count", analysis.count, 1, 10'000);
  map.integer("failureLimit", analysis.failure_limit, 0, 10'000);
  map.finish();
  if (analysis.failure_limit >= analysis.count)
    value.problem("would bear " + std::to_string(analysis.failure_limit) + " failed readings of " +
                      std::to_string(analysis.count),
                  "failureLimit is less than count");
  for (const std::string* text : {&reading.url, &reading.host, &reading.port}) {
    if (text->find("{{") != std::string::npos)
      value.problem("is of the whole and of no target, so {{ }} stands for nothing", "write the address as it is");
  }
  if (reading.name.empty()) reading.name = "analysis-" + std::to_string(out.analyses.size() + 1);
  for (const Analysis& other : out.analyses) {
    if (other.reading.name == reading.name)
      value.problem("the name \"" + reading.name + "\" is taken by another analysis");
  }
  out.analyses.push_back(std::move(analysis));
}

void read_strategy(Context& context, const Value& value, Strategy& out) {
  Map map(context, value);
  bool known = false;
  if (const auto type = map.require("type")) {
    if (const auto index = type->word(kStrategyNames)) {
      out.kind = static_cast<StrategyKind>(*index);
      known = true;
    }
  }
  // A field that the strategy does not read would be a promise not kept, so it is refused.
  const auto only_for = [&](std::string_view name, std::initializer_list<StrategyKind> kinds) -> std::optional<Value> {
    auto field = map.take(name);
    if (field && known && std::find(kinds.begin(), kinds.end(), out.kind) == kinds.end()) {
      field->problem("has no meaning for the strategy " + std::string(strategy_name(out.kind)));
      return std::nullopt;
    }
    return field;
  };
  if (const auto batch = only_for("batchSize", {StrategyKind::kRolling})) read_amount(*batch, out.batch);
  if (const auto delay = only_for("batchDelay", {StrategyKind::kRolling, StrategyKind::kSequential})) {
    if (const auto duration = delay->duration()) out.batch_delay = *duration;
  }
  const auto steps = only_for("steps", {StrategyKind::kCanary});
  if (steps) {
    std::uint32_t last = 0;
    for (const Value& item : steps->items()) {
      Map step_map(context, item);
      CanaryStep step;
      const auto weight = step_map.take("setWeight");
      const auto pause = step_map.take("pause");
      const auto analysis = step_map.take("analysis");
      step_map.finish();
      if (!step_map.valid()) continue;
      if ((weight ? 1 : 0) + (pause ? 1 : 0) + (analysis ? 1 : 0) != 1) {
        item.problem("a step is one of setWeight, pause and analysis");
        continue;
      }
      if (weight) {
        if (const auto number = weight->integer(1, 100)) {
          step.weight = static_cast<std::uint32_t>(*number);
          if (step.weight < last) weight->problem("is less than the weight before it, " + std::to_string(last));
          last = step.weight;
        }
      } else if (analysis) {
        step.kind = CanaryStep::Kind::kAnalysis;
        step.analysis = static_cast<std::uint32_t>(out.analyses.size());
        read_analysis(context, *analysis, out);
      } else {
        step.kind = CanaryStep::Kind::kPause;
        if (!pause->is_null()) {
          Map pause_map(context, *pause);
          if (const auto duration = pause_map.take("duration")) step.duration = duration->duration();
          pause_map.finish();
        }
      }
      out.steps.push_back(step);
    }
    if (out.steps.size() > 100) steps->problem("has more than 100 steps");
  }
  if (known && out.kind == StrategyKind::kCanary && out.steps.empty()) {
    value.problem("a canary needs steps", "for example steps: [{setWeight: 10}, {pause: {}}]");
  }
  if (const auto automatic = only_for("autoPromotion", {StrategyKind::kBlueGreen})) {
    if (const auto boolean = automatic->boolean()) out.auto_promotion = *boolean;
  }
  if (const auto delay = only_for("autoPromotionDelay", {StrategyKind::kBlueGreen})) {
    if (const auto duration = delay->duration()) out.auto_promotion_delay = *duration;
  }
  if (const auto delay = only_for("scaleDownDelay", {StrategyKind::kBlueGreen})) {
    if (const auto duration = delay->duration()) out.scale_down_delay = *duration;
  }
  map.integer("maxParallel", out.parallel_max, 1, 10'000);
  map.finish();
}

void read_health(Context& context, const Value& value, std::vector<HealthCheck>& out) {
  for (const Value& item : value.items()) {
    Map map(context, item);
    HealthCheck check;
    map.text("name", check.name);
    read_probe(context, map, item, check, "a health check");
    if (check.name.empty()) {
      check.name = (check.kind == HealthKind::kHttp ? "http" : check.kind == HealthKind::kTcp ? "tcp" : "command");
      check.name += "-" + std::to_string(out.size() + 1);
    }
    map.duration("interval", check.interval);
    map.duration("timeout", check.timeout);
    map.duration("deadline", check.deadline);
    map.integer("successes", check.successes, 1, 1'000);
    map.integer("failures", check.failures, 1, 1'000);
    if (const auto when = map.take("when")) {
      check.before = check.after = check.bake = false;
      constexpr std::array<std::string_view, 3> kWhen = {"before", "after", "bake"};
      for (const Value& one : when->items()) {
        if (const auto index = one.word(kWhen))
          (*index == 0 ? check.before : *index == 1 ? check.after : check.bake) = true;
      }
    }
    if (const auto from = map.take("from")) {
      constexpr std::array<std::string_view, 2> kFrom = {"st8d", "target"};
      if (const auto index = from->word(kFrom)) check.from_target = *index == 1;
    }
    map.finish();
    for (const HealthCheck& other : out) {
      if (other.name == check.name) item.problem("the name \"" + check.name + "\" is taken by another check");
    }
    out.push_back(std::move(check));
  }
}

void read_retry(Context& context, const Value& value, RetryPolicy& out) {
  Map map(context, value);
  map.integer("attempts", out.attempts, 1, 100);
  map.duration("delay", out.delay);
  map.integer("factor", out.factor, 1, 10);
  map.duration("maxDelay", out.delay_max);
  map.finish();
}

bool is_one_of(char c, std::string_view more) {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || more.find(c) != std::string_view::npos;
}

// What can be known to be wrong before the step runs is said when the policy is applied.
void check_params(const StepSpec& step, Map& fields) {
  const auto each = [&](std::initializer_list<std::string_view> names, const auto& good, const std::string& message,
                        const std::string& suggestion) {
    for (const std::string_view name : names) {
      const auto given = step.params.find(std::string(name));
      if (given == step.params.end() || good(given->second)) continue;
      if (const auto field = fields.take(name)) field->problem(message, suggestion);
    }
  };
  const auto absolute = [](const std::string& text) {
    return text.starts_with('/') && text.find("/../") == std::string::npos && !text.ends_with("/..");
  };
  const auto a_file = [&](const std::string& text) { return absolute(text) && !text.ends_with('/'); };
  const auto http = [](const std::string& text) { return text.starts_with("http://"); };
  const auto method = [](const std::string& text) {
    return !text.empty() && text.size() <= 20 &&
           std::all_of(text.begin(), text.end(), [](char c) { return c >= 'A' && c <= 'Z'; });
  };
  const auto filled = [](const std::string& text) { return !text.empty(); };
  const auto version = [](const std::string& text) {
    return !text.empty() && text.size() <= 128 && text.front() >= '0' && text.front() <= '9' &&
           std::all_of(text.begin(), text.end(),
                       [](char c) { return is_one_of(c, ".+:~-") || (c >= 'A' && c <= 'Z'); });
  };
  const auto package = [](const std::string& text) {
    return text.size() >= 2 && text.size() <= 128 && is_one_of(text.front(), "") &&
           std::all_of(text.begin(), text.end(), [](char c) { return is_one_of(c, "+-."); });
  };
  switch (step.kind) {
    case StepKind::kScript:
      each({"command"}, filled, "names no program", "");
      each({"cwd"}, absolute, "must be an absolute path", "");
      break;
    case StepKind::kFileWrite:
      each({"path"}, a_file, "must be the absolute path of a file", "it may hold {{ target... }} behind its first '/'");
      break;
    case StepKind::kHttp:
      each({"url", "rollbackUrl"}, http, "must begin with http://", "");
      each({"method", "rollbackMethod"}, method, "must be a method", "for example POST");
      break;
    case StepKind::kPackage:
      each({"package"}, package, "must be the name of a Debian package",
           "lower case letters, digits, '+', '-' and '.'");
      each({"version", "rollbackVersion"}, version, "must be the version of a Debian package",
           "it begins with a digit");
      each(
          {"file", "rollbackFile"}, [&](const std::string& text) { return a_file(text) && text.ends_with(".deb"); },
          "must be the absolute path of a .deb file", "");
      each(
          {"root"}, [&](const std::string& text) { return absolute(text) && text.size() > 1 && !text.ends_with('/'); },
          "must be an absolute directory below /", "leave it away for the machine itself");
      if (step.params.contains("root") && !step.params.contains("file")) {
        if (const auto field = fields.take("root"))
          field->problem("goes with `file`: apt installs on the machine itself alone");
      }
      break;
    case StepKind::kEcho:
    case StepKind::kSleep:
      break;
  }
}

void read_steps(Context& context, const Value& value, std::vector<StepSpec>& out) {
  struct Params {
    std::vector<std::string_view> required, optional;
  };
  // By StepKind. `rollback_*` is what undoes the step.
  static const std::array<Params, 6> kParams = {{
      {{"message"}, {}},
      {{"command"}, {"rollback", "cwd"}},
      {{"duration"}, {}},
      {{"path", "content"}, {"mode"}},
      {{"url"}, {"method", "body", "contentType", "expectStatus", "rollbackUrl", "rollbackMethod", "rollbackBody"}},
      {{"package"}, {"version", "file", "root", "rollbackVersion", "rollbackFile"}},
  }};
  for (const Value& item : value.items()) {
    Map map(context, item);
    StepSpec step;
    if (const auto name = map.require("name")) {
      if (auto text = name->text()) step.name = std::move(*text);
      for (const StepSpec& other : out) {
        if (other.name == step.name) name->problem("the name is taken by another step");
      }
    }
    bool known = false;
    if (const auto type = map.require("type")) {
      if (const auto index = type->word(kStepNames)) {
        step.kind = static_cast<StepKind>(*index);
        known = true;
      }
    }
    if (const auto when = map.take("when")) {
      constexpr std::array<std::string_view, 2> kWhen = {"before", "after"};
      if (const auto index = when->word(kWhen)) step.before = *index == 0;
    }
    const auto params = map.take("params");
    if (known) {
      const Params& expected = kParams[static_cast<std::size_t>(step.kind)];
      if (params) {
        Map fields(context, *params);
        for (const std::string_view name : expected.required) {
          if (const auto field = fields.require(name)) {
            if (auto text = field->text()) step.params[std::string(name)] = std::move(*text);
          }
        }
        for (const std::string_view name : expected.optional) {
          if (const auto field = fields.take(name)) {
            if (auto text = field->text()) step.params[std::string(name)] = std::move(*text);
          }
        }
        if (step.kind == StepKind::kScript) fields.texts("args", step.args);
        if (step.kind == StepKind::kSleep && step.params.contains("duration")) {
          if (const auto field = fields.take("duration")) (void)field->duration();
        }
        if (step.kind == StepKind::kFileWrite) {
          if (const auto field = fields.take("mode")) (void)field->mode();
        }
        if (step.kind == StepKind::kHttp) {
          if (const auto field = fields.take("expectStatus")) (void)field->integer(100, 599);
        }
        check_params(step, fields);
        fields.finish();
      } else {
        item.problem("params are missing: " + std::string(expected.required.front()));
      }
    }
    map.boolean("required", step.required);
    map.boolean("continueOnFailure", step.continue_on_failure);
    // What writes the same bytes, says the same words or asks for the same version may be done again; a program or a server of
    // the user's own may not, unless the user says so.
    step.idempotent = step.kind != StepKind::kScript && step.kind != StepKind::kHttp;
    map.boolean("idempotent", step.idempotent);
    if (const auto retry = map.take("retry")) read_retry(context, *retry, step.retry);
    map.duration("timeout", step.timeout);
    map.finish();
    out.push_back(std::move(step));
  }
}

std::optional<std::uint32_t> minute_of(const Value& value) {
  const auto text = value.text();
  if (!text) return std::nullopt;
  const std::string& t = *text;
  const auto digit = [&](std::size_t i) { return t[i] >= '0' && t[i] <= '9'; };
  if (t.size() == 5 && t[2] == ':' && digit(0) && digit(1) && digit(3) && digit(4)) {
    const std::uint32_t hour = static_cast<std::uint32_t>((t[0] - '0') * 10 + (t[1] - '0'));
    const std::uint32_t minute = static_cast<std::uint32_t>((t[3] - '0') * 10 + (t[4] - '0'));
    if ((hour < 24 && minute < 60) || (hour == 24 && minute == 0)) return hour * 60 + minute;
  }
  value.problem("must be a time of the day in UTC", "for example \"09:30\"");
  return std::nullopt;
}

void read_windows(Context& context, const Value& value, std::vector<Window>& out) {
  for (const Value& item : value.items()) {
    Map map(context, item);
    Window window;
    if (const auto days = map.take("days")) {
      window.days = 0;
      for (const Value& day : days->items()) {
        if (const auto index = day.word(kDayNames))
          window.days = static_cast<std::uint8_t>(window.days | (1u << *index));
      }
    }
    if (const auto from = map.take("from")) window.from_minute = minute_of(*from).value_or(0);
    if (const auto to = map.take("to")) window.to_minute = minute_of(*to).value_or(24 * 60);
    map.finish();
    if (map.valid() && window.from_minute == window.to_minute)
      item.problem("the window is empty: it ends when it begins");
    out.push_back(window);
  }
}

}  // namespace

std::string_view criticality_name(Criticality criticality) {
  constexpr std::array<std::string_view, 4> kNames = {"low", "medium", "high", "critical"};
  return kNames[static_cast<std::size_t>(criticality)];
}
std::string_view strategy_name(StrategyKind kind) { return kStrategyNames[static_cast<std::size_t>(kind)]; }
std::string_view step_kind_name(StepKind kind) { return kStepNames[static_cast<std::size_t>(kind)]; }

std::size_t Amount::of(std::size_t total) const {
  if (!percent) return value;
  return std::max<std::size_t>(1, (total * value + 99) / 100);
}

Millis RetryPolicy::wait_before(std::uint32_t next) const {
  Millis wait = delay;
  for (std::uint32_t i = 2; i < next && wait < delay_max; ++i) wait *= factor;
  return std::min(wait, delay_max);
}

bool Window::contains(Timestamp time) const {
  constexpr std::int64_t kDayMicros = 86'400'000'000;
  const std::int64_t day = time.micros >= 0 ? time.micros / kDayMicros : (time.micros - kDayMicros + 1) / kDayMicros;
  const auto minute = static_cast<std::uint32_t>((time.micros - day * kDayMicros) / 60'000'000);
  // 1970-01-01 was a Thursday; bit 0 is Monday.
  const auto weekday = static_cast<unsigned>(((day + 3) % 7 + 7) % 7);
  const auto open_on = [&](unsigned d) { return (days >> (d % 7) & 1u) != 0; };
  if (from_minute < to_minute) return open_on(weekday) && minute >= from_minute && minute < to_minute;
  return (open_on(weekday) && minute >= from_minute) || (open_on(weekday + 6) && minute < to_minute);
}

bool Policy::names_branch(std::string_view branch) const {
  return std::any_of(branches.begin(), branches.end(),
                     [&](const std::string& glob) { return glob_match(glob, branch); });
}

bool glob_match(std::string_view pattern, std::string_view text) {
  // Row by row: reachable[j] says that the pattern so far can match the first j bytes. No backtracking, so no pattern is slow.
  std::vector<char> reachable(text.size() + 1, 0);
  std::vector<char> next(text.size() + 1, 0);
  reachable[0] = 1;
  for (std::size_t i = 0; i < pattern.size();) {
    std::fill(next.begin(), next.end(), 0);
    if (pattern.substr(i).starts_with("**")) {
      const bool directory = pattern.substr(i).starts_with("**/") && (i == 0 || pattern[i - 1] == '/');
      bool open = false;
      for (std::size_t j = 0; j <= text.size(); ++j) {
        if (directory) {
          // "**/" matches nothing, or anything that ends with '/'.
          if (reachable[j]) next[j] = 1;
          if (open && j > 0 && text[j - 1] == '/') next[j] = 1;
          if (reachable[j]) open = true;
        } else {
          if (reachable[j]) open = true;
          next[j] = open ? 1 : 0;
        }
      }
      i += directory ? 3 : 2;
    } else if (pattern[i] == '*') {
      bool open = false;
      for (std::size_t j = 0; j <= text.size(); ++j) {
        if (j > 0 && text[j - 1] == '/') open = false;
        if (reachable[j]) open = true;
        next[j] = open ? 1 : 0;
      }
      ++i;
    } else {
      for (std::size_t j = 0; j < text.size(); ++j) {
        const bool same = pattern[i] == '?' ? text[j] != '/' : pattern[i] == text[j];
        if (reachable[j] && same) next[j + 1] = 1;
      }
      ++i;
    }
    std::swap(reachable, next);
  }
  return reachable[text.size()] != 0;
}

std::optional<Policy> parse_policy(std::string_view text, std::vector<DocumentProblem>& problems) {
  Context context{std::string(kPolicyKey), problems};
  return read_policy(context, text);
}

std::optional<Policy> read_policy(Context& context, std::string_view text) {
  const std::size_t before = context.problems.size();
  const auto root = strict_yaml::load(context, text);
  if (!root) return std::nullopt;
  Policy policy;
  const Value document(context, *root, "");
  Map map(context, document);
  if (const auto branches = map.require("branches")) {
    policy.branches = branches->texts();
    if (branches->is_sequence() && policy.branches.empty()) branches->problem("names no branch");
  }
  if (const auto targets = map.require("targets")) read_selection(context, *targets, policy.targets);
  if (const auto documents = map.take("documents")) read_documents(context, *documents, policy.documents);
  if (const auto strategy = map.take("strategy")) read_strategy(context, *strategy, policy.strategy);
  if (const auto health = map.take("health")) read_health(context, *health, policy.health);
  if (const auto steps = map.take("steps")) read_steps(context, *steps, policy.steps);
  map.duration("bake", policy.bake);
  map.integer("maxFailures", policy.failures_max, 0, 100'000);
  map.duration("progressDeadline", policy.progress_deadline);
  map.duration("operationTimeout", policy.operation_timeout);
  if (const auto retry = map.take("retry")) read_retry(context, *retry, policy.retry);
  if (const auto rollback = map.take("rollback")) {
    Map fields(context, *rollback);
    fields.boolean("auto", policy.rollback_auto);
    fields.boolean("quarantine", policy.quarantine);
    fields.finish();
  }
  if (const auto supersede = map.take("supersede")) {
    constexpr std::array<std::string_view, 2> kWords = {"cancel", "queue"};
    if (const auto index = supersede->word(kWords)) policy.supersede = static_cast<SupersedeAction>(*index);
  }
  if (const auto windows = map.take("windows")) read_windows(context, *windows, policy.windows);
  if (const auto schedule = map.take("schedule")) {
    if (const auto when = schedule->text()) {
      policy.schedule = parse_rfc3339(*when);
      if (!policy.schedule) schedule->problem("must be an RFC 3339 time", "for example 2026-11-21T10:00:00Z");
    }
  }
  if (const auto approval = map.take("approval")) {
    Map fields(context, *approval);
    fields.boolean("required", policy.approval.required);
    if (const auto threshold = fields.take("riskThreshold")) policy.approval.risk_threshold = threshold->number(0, 1);
    fields.texts("by", policy.approval.by);
    fields.finish();
  }
  if (const auto depends = map.take("dependsOn")) {
    for (const Value& item : depends->items()) {
      Map fields(context, item);
      Dependency dependency;
      if (const auto name = fields.require("namespace")) {
        if (auto name_text = name->text()) dependency.name_space = std::move(*name_text);
        if (auto parsed = state::NamespaceName::parse(dependency.name_space); !parsed) {
          name->problem(parsed.error().message, parsed.error().hint);
        }
      }
      fields.text("branch", dependency.branch);
      fields.finish();
      policy.depends_on.push_back(std::move(dependency));
    }
  }
  if (const auto drift = map.take("drift")) {
    Map fields(context, *drift);
    if (const auto interval = fields.take("interval")) {
      if (const auto duration = interval->duration()) {
        if (*duration < Millis{100}) interval->problem("is shorter than 100ms");
        policy.drift_interval = *duration;
      }
    }
    if (const auto action = fields.take("action")) {
      constexpr std::array<std::string_view, 3> kWords = {"alert", "repair", "ignore"};
      if (const auto index = action->word(kWords)) policy.drift = static_cast<DriftAction>(*index);
    }
    fields.finish();
  }
  map.duration("confirm", policy.confirm);
  map.duration("planExpiry", policy.plan_expiry);
  map.finish();
  if (context.problems.size() != before) return std::nullopt;
  return policy;
}

void check_policy_targets(const Policy& policy, std::string_view text, std::span<const TargetName> known,
                          std::vector<DocumentProblem>& problems) {
  std::vector<std::string_view> names;
  // What is named already was hardly meant a second time.
  for (const TargetName& name : known) {
    if (std::find(policy.targets.names.begin(), policy.targets.names.end(), name) == policy.targets.names.end())
      names.push_back(name.str());
  }
  for (std::size_t i = 0; i < policy.targets.names.size(); ++i) {
    const TargetName& name = policy.targets.names[i];
    if (std::find(known.begin(), known.end(), name) != known.end()) continue;
    // Found again in the text for its line: the parsed policy carries none.
    int line = 0;
    std::vector<DocumentProblem> ignored;
    Context context{std::string(kPolicyKey), ignored};
    if (const auto root = strict_yaml::load(context, text)) {
      Map map(context, Value(context, *root, ""));
      if (const auto targets = map.take("targets")) {
        Map fields(context, *targets);
        if (const auto list = fields.take("names"); list && list->is_sequence()) {
          const auto items = list->items();
          if (i < items.size() && !items[i].node().Mark().is_null()) line = items[i].node().Mark().line + 1;
        }
      }
    }
    const std::string near = nearest(name.str(), names);
    problems.push_back({std::string(kPolicyKey), line, "targets.names[" + std::to_string(i) + "]",
                        "there is no target \"" + name.str() + "\" in " + std::string(kSystemNamespace),
                        near.empty() ? "apply " + std::string(kTargetPrefix) + name.str() + ".yaml to " +
                                           std::string(kSystemNamespace) + " first"
                                     : "did you mean `" + near + "`?"});
  }
}

}  // namespace st8::target
