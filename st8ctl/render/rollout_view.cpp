#include "render/rollout_view.h"

#include <algorithm>
#include <map>
#include <utility>

#include "args/parse.h"
#include "render/fields.h"
#include "st8/state/clock.h"

namespace st8::ctl {
namespace {

using wire::JsonValue;

constexpr std::size_t kShortHash = 12;

std::string count_of(std::uint64_t count, std::string_view noun) {
  return std::to_string(count) + " " + std::string(noun) + (count == 1 ? "" : "s");
}

std::optional<std::int64_t> micros_of(const JsonValue& item, std::string_view name) {
  const auto time = parse_rfc3339(field(item, name));
  return time ? std::optional(time->micros) : std::nullopt;
}

std::string upper(std::string text) {
  for (char& c : text) c = c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
  return text;
}

const char* color_of_change(std::string_view type) { return type == "create" ? "32" : type == "delete" ? "31" : "33"; }

const char* color_of_phase(std::string_view phase) {
  if (phase == "promoted") return "32";
  if (phase == "running" || phase == "pending") return "36";
  if (phase == "paused" || phase == "incomplete" || phase == "superseded") return "33";
  return "31";
}

// Two digits, for what lies between 0 and 1.
std::string decimal(const std::string& digits) {
  const double value = std::strtod(digits.c_str(), nullptr);
  const auto hundredths = static_cast<std::int64_t>(value * 100 + (value < 0 ? -0.5 : 0.5));
  std::string text = std::to_string(hundredths % 100);
  return std::to_string(hundredths / 100) + "." + (text.size() < 2 ? "0" + text : text);
}

std::string gate_text(const JsonValue& gate) {
  const std::string kind = field(gate, "kind");
  const std::string name = field(gate, "name");
  if (kind == "pause") return "pause until promoted";
  return kind + " " + (name.empty() ? "" : name + ", ") + field(gate, "duration");
}

void add_changes(const JsonValue& target, const std::string& indent, const Output& output, Lines& lines) {
  constexpr std::size_t kShown = 20;
  const auto& changes = items_field(target, "diff");
  for (std::size_t i = 0; i < changes.size() && i < kShown; ++i) {
    const std::string type = field(changes[i], "type");
    lines.push_back(indent + output.painted(color_of_change(type), upper(type)) + " " + field(changes[i], "path"));
  }
  if (changes.size() > kShown)
    lines.push_back(indent + "... and " + std::to_string(changes.size() - kShown) + " more; -o json shows all");
}

std::string changes_key(const JsonValue& target) {
  std::string key = field(target, "from_revision");
  for (const JsonValue& change : items_field(target, "diff"))
    key += "\n" + field(change, "type") + " " + field(change, "path");
  return key;
}

// ---- The tree of a rollout -------------------------------------------------------------------------------------------

struct WaveState {
  std::vector<const JsonValue*> targets;
  bool started = false, completed = false, failed = false;
  std::size_t gates_passed = 0;
  std::optional<std::int64_t> gate_since;  // Of the gate behind those passed.
};

struct OperationState {
  std::string running;  // "step migrate", "health web, attempt 2"; empty: nothing is.
  std::size_t done = 0;
  std::optional<std::int64_t> retry_at;
  std::optional<std::int64_t> fails_at;  // Of a health check.
};

struct Tree {
  std::vector<WaveState> waves;
  std::map<std::string, OperationState> operations;  // By target.
  std::size_t operations_total = 0;                  // At each target.
  std::size_t current = 0;                           // The wave that began last.
};

void follow_operation(const JsonValue& event, const std::string& kind, OperationState& state) {
  state.retry_at.reset();
  if (const auto at = micros_of(event, "retry_at")) state.retry_at = *at;
  if (kind == "op.started") {
    const std::string name = field(event, "name");
    state.running = field(event, "operation") + (name.empty() ? "" : " " + name);
    if (number_field(event, "attempt") > 1) state.running += ", attempt " + field(event, "attempt");
    return;
  }
  state.running.clear();
  if (kind == "op.succeeded") ++state.done;
  if (kind == "target.retried") state.done = 0;
}

Tree tree_of(const JsonValue& detail, const JsonValue& plan) {
  Tree tree;
  tree.waves.resize(items_field(plan, "waves").size());
  tree.operations_total = items_field(plan, "operations").size();
  for (const JsonValue& event : items_field(detail, "events")) {
    const std::string kind = field(event, "kind");
    const std::string target = field(event, "target");
    if (!target.empty()) follow_operation(event, kind, tree.operations[target]);
    if (kind == "target.failed" && tree.current < tree.waves.size()) tree.waves[tree.current].failed = true;
    if (kind == "target.retried") {
      for (WaveState& wave : tree.waves) wave.failed = false;
    }
    if (event.find("wave") == nullptr) continue;
    const std::uint64_t index = number_field(event, "wave");
    if (index >= tree.waves.size()) continue;
    WaveState& wave = tree.waves[index];
    if (kind == "wave.started") {
      wave.started = true;
      tree.current = index;
    }
    if (kind == "wave.completed") wave.completed = true;
    if (kind == "gate.started") wave.gate_since = micros_of(event, "at");
    if (kind == "gate.passed") {
      ++wave.gates_passed;
      wave.gate_since.reset();
    }
  }
  for (const JsonValue& wait : items_field(detail, "waits")) {
    if (field(wait, "for") == "health") tree.operations[field(wait, "target")].fails_at = micros_of(wait, "until");
  }
  std::map<std::string, const JsonValue*> by_name;
  for (const JsonValue& target : items_field(detail, "targets")) by_name.emplace(field(target, "name"), &target);
  const auto& waves = items_field(plan, "waves");
  for (std::size_t i = 0; i < waves.size(); ++i) {
    for (const JsonValue& name : items_field(waves[i], "targets")) {
      const auto found = by_name.find(printable(name.text));
      if (found == by_name.end()) continue;
      tree.waves[i].targets.push_back(found->second);
    }
  }
  return tree;
}

std::string mark(const Output& output, char kind) {
  switch (kind) {
    case '+':
      return output.painted("32", "✔");
    case '!':
      return output.painted("31", "✖");
    case '>':
      return output.painted("36", "▶");
    case '<':
      return output.painted("33", "↩");
    default:
      return output.painted("2", "·");
  }
}

char mark_of(const JsonValue& target) {
  const std::string stage = field(target, "stage");
  if (stage == "restored" || stage == "restoring") return '<';
  if (flag_field(target, "failed") || stage == "failed") return '!';
  if (stage == "promoted" || stage == "activated") return '+';
  if (stage == "pending" && target.find("running") == nullptr) return '.';
  return '>';
}

// In a wave: one that is neither begun nor at an operation of this target leaves it as it is, and behind its operations the target is done.
char mark_in(const WaveState& wave, const JsonValue& target) {
  const char kind = mark_of(target);
  if (kind != '>' || target.find("running") != nullptr) return kind;
  if (!wave.started) return '.';
  return wave.completed || wave.gates_passed > 0 || wave.gate_since ? '+' : '>';
}

std::string target_line(const JsonValue& target, char kind, const Tree& tree, std::size_t width, const Output& output,
                        std::int64_t now_micros) {
  std::string name = field(target, "name");
  const std::string shown = name + std::string(name.size() < width ? width - name.size() : 0, ' ');
  std::string line = "    " + mark(output, kind) + " " + shown + "  " + field(target, "stage");
  if (const auto found = tree.operations.find(name); found != tree.operations.end()) {
    const OperationState& state = found->second;
    if (!state.running.empty())
      line += ", " + state.running + " (" + std::to_string(state.done + 1) + " of " +
              std::to_string(tree.operations_total) + ")";
    if (now_micros != 0 && state.retry_at && *state.retry_at > now_micros)
      line += ", tried again in " + short_duration(*state.retry_at - now_micros);
    if (now_micros != 0 && !state.running.empty() && state.fails_at)
      line += ", " + short_duration(std::max<std::int64_t>(0, *state.fails_at - now_micros)) + " left";
  }
  if (const std::string error = field(target, "error"); !error.empty()) line += ": " + error;
  return line;
}

// "6 activated, 2 pending".
std::string counts_of(const std::vector<const JsonValue*>& targets) {
  std::vector<std::pair<std::string, std::size_t>> counts;
  for (const JsonValue* target : targets) {
    const std::string stage = field(*target, "stage");
    const auto found = std::find_if(counts.begin(), counts.end(), [&](const auto& one) { return one.first == stage; });
    if (found == counts.end())
      counts.emplace_back(stage, 1);
    else
      ++found->second;
  }
  std::string text;
  for (const auto& [stage, count] : counts) text += (text.empty() ? "" : ", ") + std::to_string(count) + " " + stage;
  return text;
}

enum class WaveForm : unsigned char { kWhole, kCounted, kLine };

// kCounted: at most `most` of the targets at which something is to be seen, and how many more there are.
void add_wave(const JsonValue& detail, const JsonValue& plan, const Tree& tree, std::size_t index, std::size_t width,
              WaveForm form, std::size_t most, const Output& output, std::int64_t now_micros, Lines& lines) {
  const auto& waves = items_field(plan, "waves");
  const WaveState& wave = tree.waves[index];
  const std::string phase = field(detail, "phase");
  const bool over = is_final_phase(phase);
  const char kind = wave.failed ? '!' : wave.completed ? '+' : wave.started && !over ? '>' : wave.started ? '<' : '.';
  std::string line = "  " + mark(output, kind) + " wave " + std::to_string(index + 1) + " of " +
                     std::to_string(waves.size()) + "  " + field(waves[index], "label");
  // The last wave reads back what the others did: its targets stand there.
  const bool confirms = index > 0 && field(waves[index], "label") == "confirm";
  if (confirms) form = !wave.started ? WaveForm::kLine : form == WaveForm::kWhole ? WaveForm::kCounted : form;
  const std::string counts = confirms && !wave.started ? "" : counts_of(wave.targets);
  if (form == WaveForm::kLine || form == WaveForm::kCounted) line += counts.empty() ? "" : ": " + counts;
  lines.push_back(line);
  if (form == WaveForm::kLine) return;
  // Failures first: they are what a person looks for.
  std::vector<std::pair<const JsonValue*, char>> shown;
  for (const char wanted : {'!', '>'}) {
    if (form != WaveForm::kCounted) break;
    for (const JsonValue* target : wave.targets) {
      if (mark_in(wave, *target) == wanted) shown.emplace_back(target, wanted);
    }
  }
  if (form == WaveForm::kWhole) {
    for (const JsonValue* target : wave.targets) shown.emplace_back(target, mark_in(wave, *target));
  }
  const std::size_t limit = form == WaveForm::kCounted ? most : shown.size();
  for (std::size_t i = 0; i < shown.size() && i < limit; ++i)
    lines.push_back(target_line(*shown[i].first, shown[i].second, tree, width, output, now_micros));
  if (form == WaveForm::kCounted && shown.size() > limit)
    lines.push_back("    ... and " + std::to_string(shown.size() - limit) + " more");
  const auto& gates = items_field(waves[index], "gates");
  for (std::size_t i = 0; i < gates.size(); ++i) {
    const bool passed = i < wave.gates_passed;
    const bool at_hand = !passed && i == wave.gates_passed && wave.gate_since.has_value() && !over;
    std::string text = "    " + mark(output, passed ? '+' : at_hand ? '>' : '.') + " gate: " + gate_text(gates[i]);
    if (at_hand && now_micros != 0) {
      const auto duration = parse_duration_ms(field(gates[i], "duration"));
      if (field(gates[i], "kind") == "pause")
        text += "; st8ctl rollout promote " + field(detail, "id");
      else if (duration)
        text += ", " + short_duration(std::max<std::int64_t>(0, *wave.gate_since + *duration * 1000 - now_micros)) +
                " left";
    }
    lines.push_back(text);
  }
}

Lines head_lines(const JsonValue& detail, const JsonValue& plan, const Output& output, std::int64_t now_micros) {
  Lines lines;
  const std::string phase = field(detail, "phase");
  std::string head = output.painted("1", "rollout " + field(detail, "id")) + "  " + field(detail, "namespace") + "/" +
                     field(detail, "branch") + " revision " + field(detail, "revision") + "  " +
                     output.painted(color_of_phase(phase), phase);
  const auto started = micros_of(detail, "started_at");
  const auto ended = micros_of(detail, "ended_at");
  if (started && ended)
    head += " after " + short_duration(*ended - *started);
  else if (started && now_micros != 0)
    head += " for " + short_duration(std::max<std::int64_t>(0, now_micros - *started));
  lines.push_back(head);
  std::string counts = "  " + field(plan, "strategy") + ", " + field(detail, "targets_activated") + " of " +
                       count_of(number_field(detail, "targets_total"), "target") + " activated";
  counts += ", " + field(detail, "targets_touched") + " touched, " + field(detail, "targets_failed") +
            " failed; plan " + field(detail, "plan_hash").substr(0, kShortHash);
  lines.push_back(counts);
  if (const std::string waiting = field(detail, "waiting_for"); !waiting.empty())
    lines.push_back("  waits for " + output.painted("33", waiting));
  for (const JsonValue& wait : items_field(detail, "waits")) {
    const auto until = micros_of(wait, "until");
    if (now_micros == 0 || !until) continue;
    const std::string left = short_duration(std::max<std::int64_t>(0, *until - now_micros));
    const std::string what = field(wait, "for");
    if (what == "schedule") lines.push_back("  begins in " + left + " at the earliest");
    if (what == "window") lines.push_back("  a window opens in " + left);
    if (what == "plan") lines.push_back("  its plan is made anew in " + left);
    if (what == "progress") lines.push_back("  fails in " + left + " unless something gets further");
    if (what == "append") lines.push_back("  the revision that goes back is tried again in " + left);
  }
  if (const std::string reason = field(detail, "reason"); !reason.empty()) lines.push_back("  because " + reason);
  if (const std::string back = field(detail, "rollback_revision"); !back.empty())
    lines.push_back("  went back by revision " + back);
  return lines;
}

}  // namespace

bool is_final_phase(std::string_view phase) {
  return phase == "promoted" || phase == "rolled-back" || phase == "superseded" || phase == "aborted" ||
         phase == "rejected";
}

std::string short_duration(std::int64_t micros) {
  const std::int64_t tenths = micros / 100'000;
  if (tenths < 100) return std::to_string(tenths / 10) + "." + std::to_string(tenths % 10) + "s";
  const std::int64_t seconds = micros / 1'000'000;
  const auto two = [](std::int64_t value) { return (value < 10 ? "0" : "") + std::to_string(value); };
  if (seconds < 60) return std::to_string(seconds) + "s";
  if (seconds < 3600) return std::to_string(seconds / 60) + "m" + two(seconds % 60) + "s";
  if (seconds < 86400) return std::to_string(seconds / 3600) + "h" + two(seconds / 60 % 60) + "m";
  return std::to_string(seconds / 86400) + "d" + two(seconds / 3600 % 24) + "h";
}

std::string cut_to_width(std::string_view line, std::size_t columns) {
  std::string out;
  std::size_t column = 0;
  bool painted = false;
  for (std::size_t i = 0; i < line.size();) {
    if (line[i] == '\x1b') {
      const std::size_t end = std::min(line.find('m', i), line.size() - 1);
      painted = line.substr(i, end + 1 - i) != "\x1b[0m";
      out += line.substr(i, end + 1 - i);
      i = end + 1;
      continue;
    }
    const bool begins = (static_cast<unsigned char>(line[i]) & 0xc0) != 0x80;
    if (begins && column == columns) break;
    if (begins) ++column;
    out += line[i++];
  }
  if (painted) out += "\x1b[0m";
  return out;
}

Lines plan_lines(const JsonValue& plan, const Output& output) {
  Lines lines;
  const std::string promoted = field(plan, "promoted_revision");
  lines.push_back(output.painted("1", "Plan for " + field(plan, "namespace") + "/" + field(plan, "branch") +
                                          " revision " + field(plan, "revision")) +
                  (promoted == "0" ? ", the first to go live" : ", from revision " + promoted));
  const auto& waves = items_field(plan, "waves");
  const auto& targets = items_field(plan, "targets");
  lines.push_back("strategy: " + field(plan, "strategy") + (flag_field(plan, "fast_path") ? " (fast path)" : "") +
                  ", " + count_of(targets.size(), "target") + " in " + count_of(waves.size(), "wave"));
  lines.push_back("hash: " + field(plan, "hash"));
  lines.push_back("expires: " + short_time(field(plan, "expires_at")));
  lines.push_back(std::string("approval: ") + (flag_field(plan, "needs_approval") ? "needed" : "not needed"));
  for (const JsonValue& reason : items_field(plan, "reasons")) lines.push_back("because: " + printable(reason.text));
  if (const JsonValue* risk = plan.find("risk")) {
    lines.push_back("risk: " + decimal(field(*risk, "score")));
    std::vector<std::vector<std::string>> rows;
    for (const JsonValue& factor : items_field(*risk, "factors")) {
      rows.push_back({"  " + field(factor, "name"),
                      decimal(field(factor, "value")) + " x " + decimal(field(factor, "weight")),
                      field(factor, "because")});
    }
    std::string text = table(rows);
    while (!text.empty()) {
      const std::size_t end = text.find('\n');
      lines.push_back(text.substr(0, end));
      text.erase(0, end + 1);
    }
  }
  std::string operations;
  for (const JsonValue& operation : items_field(plan, "operations")) {
    const std::string name = field(operation, "name");
    operations += (operations.empty() ? "" : ", ") + field(operation, "kind") + (name.empty() ? "" : " " + name);
  }
  if (!operations.empty()) lines.push_back("at each target: " + operations);
  std::map<std::string, const JsonValue*> by_name;
  for (const JsonValue& target : targets) by_name.emplace(field(target, "name"), &target);
  for (std::size_t i = 0; i < waves.size(); ++i) {
    lines.push_back("");
    lines.push_back(output.painted("1", "Wave " + std::to_string(i + 1) + " of " + std::to_string(waves.size()) + ": " +
                                            field(waves[i], "label")) +
                    ", then " + field(waves[i], "weight") + "% of the targets have it");
    std::string shown;  // Changes that many targets share are told once.
    if (i > 0 && field(waves[i], "label") == "confirm") {
      lines.emplace_back("  every target is read back once more, before the revision counts as promoted");
      continue;
    }
    for (const JsonValue& name : items_field(waves[i], "targets")) {
      const auto found = by_name.find(printable(name.text));
      if (found == by_name.end()) continue;
      const JsonValue& target = *found->second;
      lines.push_back("  " + printable(name.text) + ": " + field(target, "reason"));
      const std::string key = changes_key(target);
      if (target.find("diff") == nullptr) continue;
      if (key == shown) {
        lines.push_back("    the same changes");
        continue;
      }
      shown = key;
      add_changes(target, "    ", output, lines);
    }
    for (const JsonValue& gate : items_field(waves[i], "gates")) lines.push_back("  gate: " + gate_text(gate));
  }
  const auto& untouched = items_field(plan, "untouched");
  if (!untouched.empty()) {
    lines.push_back("");
    lines.push_back(output.painted("1", "Left alone"));
    for (const JsonValue& target : untouched)
      lines.push_back("  " + field(target, "name") + ": " + field(target, "reason"));
  }
  return lines;
}

std::string rollout_line(const JsonValue& summary) {
  std::string line = field(summary, "id");
  for (const char* name : {"namespace", "branch", "revision", "phase"})
    line += " " + std::string(name) + "=" + field(summary, name);
  line += " targets=" + field(summary, "targets_activated") + "/" + field(summary, "targets_total");
  if (number_field(summary, "targets_failed") > 0) line += " failed=" + field(summary, "targets_failed");
  line += " at=" + short_time(field(summary, "created_at"));
  if (const std::string waiting = field(summary, "waiting_for"); !waiting.empty())
    line += " waits_for=" + quote(waiting);
  if (const std::string reason = field(summary, "reason"); !reason.empty()) line += " because=" + quote(reason);
  return line;
}

Lines rollout_tree(const JsonValue& detail, const Output& output, std::int64_t now_micros, std::size_t rows) {
  static const JsonValue kNone;
  const JsonValue* found = detail.find("plan");
  const JsonValue& plan = found == nullptr ? kNone : *found;
  const Tree tree = tree_of(detail, plan);
  std::size_t width = 0;
  for (const JsonValue& target : items_field(detail, "targets")) width = std::max(width, field(target, "name").size());
  const std::size_t at_hand = static_cast<std::size_t>(number_field(detail, "wave"));
  const auto draw = [&](WaveForm current, WaveForm others, std::size_t most, bool only_current = false) {
    Lines lines = head_lines(detail, plan, output, now_micros);
    if (only_current && at_hand > 0)
      lines.push_back("  " + mark(output, '+') + " " + count_of(at_hand, "wave") + " before it");
    for (std::size_t i = 0; i < tree.waves.size(); ++i) {
      if (only_current && i != at_hand) continue;
      add_wave(detail, plan, tree, i, std::min<std::size_t>(width, 40), i == at_hand ? current : others, most, output,
               now_micros, lines);
    }
    if (only_current && at_hand + 1 < tree.waves.size())
      lines.push_back("  " + mark(output, '.') + " " + count_of(tree.waves.size() - at_hand - 1, "wave") +
                      " behind it");
    return lines;
  };
  constexpr std::size_t kAll = SIZE_MAX;
  Lines lines = draw(WaveForm::kWhole, WaveForm::kWhole, kAll);
  if (rows == 0 || lines.size() <= rows) return lines;
  lines = draw(WaveForm::kWhole, WaveForm::kLine, kAll);
  if (lines.size() <= rows) return lines;
  // As many targets as there is room for, beside the line that counts the rest; and when there is none for every wave, the one at hand.
  for (const bool only_current : {false, true}) {
    const std::size_t without = draw(WaveForm::kCounted, WaveForm::kLine, 0, only_current).size();
    lines = draw(WaveForm::kCounted, WaveForm::kLine, without >= rows ? 0 : rows - without, only_current);
    if (lines.size() <= rows) return lines;
  }
  lines.resize(std::max<std::size_t>(rows, 2) - 1);
  lines.emplace_back("  ... and more than this window holds");
  return lines;
}

std::string event_line(const JsonValue& event) {
  std::string line = short_time(field(event, "at")) + " " + field(event, "kind");
  for (const wire::JsonMember& member : event.members) {
    if (member.name == "at" || member.name == "kind" || member.name == "sequence") continue;
    const JsonValue& value = member.value;
    std::string text = value.kind == JsonValue::Kind::kBool ? (value.boolean ? "true" : "false") : value.text;
    // Waves and gates are counted from 1 for people.
    if (member.name == "wave" || member.name == "gate")
      text = std::to_string(std::strtoull(text.c_str(), nullptr, 10) + 1);
    if (member.name == "read_back" && text.size() == 64) text.resize(kShortHash);
    if (member.name == "retry_at") text = short_time(text);
    if (member.name == "detail" || text.find(' ') != std::string::npos) text = quote(text);
    line += " " + printable(member.name) + "=" + printable(text);
  }
  return line;
}

namespace {

bool decides(std::string_view kind) {
  for (const std::string_view one : {"approved", "rejected", "paused", "resumed", "promote.asked", "target.retried",
                                     "incomplete", "rollback.started"}) {
    if (kind == one) return true;
  }
  return false;
}

}  // namespace

Lines rollout_explanation(const JsonValue& detail) {
  Lines lines;
  const std::string id = field(detail, "id");
  const std::string phase = field(detail, "phase");
  const std::string waiting = field(detail, "waiting_for");
  const std::string reason = field(detail, "reason");
  const std::string total = field(detail, "targets_total");
  lines.push_back("Rollout " + id + " takes revision " + field(detail, "revision") + " of " +
                  field(detail, "namespace") + "/" + field(detail, "branch") + " live. It is " + phase +
                  (reason.empty() ? "." : ": " + reason + "."));
  if (phase == "promoted")
    lines.push_back("All " + total + " targets read back what was planned, and were healthy.");
  else
    lines.push_back(field(detail, "targets_activated") + " of " + total + " targets have it; " +
                    field(detail, "targets_touched") + " touched, " + field(detail, "targets_failed") + " failed.");
  if (!waiting.empty()) lines.push_back("It waits for " + waiting + ".");
  // A rollback does what other rollouts do not, and may go without targets that are gone.
  if (const JsonValue* plan = detail.find("plan"); plan != nullptr && flag_field(*plan, "fast_path")) {
    for (const JsonValue& why : items_field(*plan, "reasons"))
      lines.push_back("Its plan: " + printable(why.text) + ".");
  }
  for (const JsonValue& target : items_field(detail, "targets")) {
    const std::string error = field(target, "error");
    if (!error.empty())
      lines.push_back("Target " + field(target, "name") + " (" + field(target, "stage") + "): " + error);
  }
  Lines decided;
  for (const JsonValue& event : items_field(detail, "events")) {
    if (decides(field(event, "kind"))) decided.push_back("  " + event_line(event));
  }
  if (!decided.empty()) lines.emplace_back("What was decided, and by whom (nobody named: by st8d itself):");
  lines.insert(lines.end(), decided.begin(), decided.end());
  const std::string back = field(detail, "rollback_revision");
  if (!back.empty())
    lines.push_back("The branch went back by revision " + back + "; `st8ctl show " + back + "` shows it.");
  std::vector<std::string> next;
  if (phase == "pending" && waiting == "an approval") {
    next = {"st8ctl rollout get " + id + "      what would happen, wave by wave",
            "st8ctl rollout approve " + id + "  by someone other than the author", "st8ctl rollout reject " + id};
  } else if (phase == "pending") {
    next = {"st8ctl rollout watch " + id, "st8ctl rollout abort " + id + "    leaves everything as it is"};
    if (waiting.find("freeze") != std::string::npos) next.insert(next.begin(), "st8ctl freeze list");
  } else if (phase == "running" && waiting == "promote") {
    next = {"st8ctl rollout promote " + id + "         passes this gate",
            "st8ctl rollout promote " + id + " --full  passes this one and all to come",
            "st8ctl rollout abort " + id + "           puts every touched target back"};
  } else if (phase == "running") {
    next = {"st8ctl rollout watch " + id, "st8ctl rollout pause " + id,
            "st8ctl rollout abort " + id + "  puts every touched target back"};
  } else if (phase == "paused") {
    next = {"st8ctl rollout resume " + id, "st8ctl rollout retry " + id + "  tries failed targets again",
            "st8ctl rollout abort " + id + "  puts every touched target back"};
  } else if (phase == "incomplete") {
    next = {"st8ctl rollout retry " + id + "  tries failed targets again",
            "st8ctl rollout abort " + id + "  puts every touched target back",
            "or apply something better: a new revision takes its place"};
  } else if (phase == "rolling-back") {
    next = {"st8ctl rollout watch " + id};
  } else if (phase == "rolled-back") {
    const JsonValue* plan = detail.find("plan");
    const std::string promoted = plan == nullptr ? "" : field(*plan, "promoted_revision");
    // Before anything was promoted there is nothing to compare with, and nothing goes into quarantine.
    if (!promoted.empty() && promoted != "0") {
      next = {"st8ctl diff " + promoted + " " + field(detail, "revision") + "  what the targets would have got",
              "st8ctl quarantine list  the changes that may not come back as they are"};
    }
    next.emplace_back("mend it, and apply that");
  }
  if (!next.empty()) lines.emplace_back("Next:");
  for (std::string& one : next) lines.push_back("  " + std::move(one));
  return lines;
}

}  // namespace st8::ctl
