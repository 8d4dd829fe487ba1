#include "document/strict_yaml.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "st8/state/duration.h"
#include "st8/state/yaml.h"

namespace st8::target {

std::string nearest(std::string_view text, std::span<const std::string_view> candidates) {
  std::string best;
  std::size_t best_distance = std::max<std::size_t>(1, std::min<std::size_t>(3, text.size() / 2)) + 1;
  for (const std::string_view candidate : candidates) {
    if (candidate.size() > 128 || text.size() > 128) continue;
    // Optimal string alignment: a swap of neighbours counts as one edit, since that is what fingers do.
    std::vector<std::vector<std::size_t>> cost(text.size() + 1, std::vector<std::size_t>(candidate.size() + 1));
    for (std::size_t i = 0; i <= text.size(); ++i) cost[i][0] = i;
    for (std::size_t j = 0; j <= candidate.size(); ++j) cost[0][j] = j;
    for (std::size_t i = 1; i <= text.size(); ++i) {
      for (std::size_t j = 1; j <= candidate.size(); ++j) {
        const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; };
        const bool same = lower(text[i - 1]) == lower(candidate[j - 1]);
        cost[i][j] = std::min({cost[i - 1][j] + 1, cost[i][j - 1] + 1, cost[i - 1][j - 1] + (same ? 0u : 1u)});
        if (i > 1 && j > 1 && text[i - 1] == candidate[j - 2] && text[i - 2] == candidate[j - 1]) {
          cost[i][j] = std::min(cost[i][j], cost[i - 2][j - 2] + 1);
        }
      }
    }
    const std::size_t distance = cost[text.size()][candidate.size()];
    if (distance < best_distance) {
      best_distance = distance;
      best = candidate;
    }
  }
  return best;
}

std::optional<Millis> parse_duration(std::string_view text) {
  const auto parsed = st8::parse_duration(text, {});
  return parsed ? std::optional<Millis>(*parsed) : std::nullopt;
}

std::string format_duration(Millis duration) { return st8::format_duration(duration); }

std::string DocumentProblem::str() const {
  std::string text = file;
  if (line > 0) text += ":" + std::to_string(line);
  text += ": ";
  if (!path.empty()) text += path + ": ";
  text += message;
  if (!suggestion.empty()) text += " (" + suggestion + ")";
  return text;
}

Error as_error(const std::vector<DocumentProblem>& problems) {
  if (problems.empty()) return {ErrorCode::kInternal, "a document was refused without a reason", ""};
  DocumentProblem first = problems.front();
  std::string hint = std::exchange(first.suggestion, {});
  std::string message = first.str();
  if (problems.size() > 1) message += " (and " + std::to_string(problems.size() - 1) + " more)";
  return {ErrorCode::kUnprocessable, std::move(message), std::move(hint)};
}

namespace strict_yaml {
namespace {

std::string join(const std::string& path, std::string_view name) {
  return path.empty() ? std::string(name) : path + "." + std::string(name);
}

// "steps[3].name" as "steps[].name".
std::string without_indexes(std::string_view path) {
  std::string text;
  bool inside = false;
  for (const char c : path) {
    if (c == ']') inside = false;
    if (!inside) text += c;
    if (c == '[') inside = true;
  }
  return text;
}

std::string shown(std::string_view text) {
  std::string result(text.substr(0, 60));
  for (char& c : result) {
    if (static_cast<unsigned char>(c) < 0x20) c = ' ';
  }
  return "\"" + result + (text.size() > 60 ? "…\"" : "\"");
}

}  // namespace

void Context::problem(const YAML::Node& node, std::string path, std::string message, std::string suggestion) {
  if (problems.size() >= kProblemsMax) return;
  int line = 0;
  if (node.IsDefined() && !node.Mark().is_null()) line = node.Mark().line + 1;
  problems.push_back({file, line, std::move(path), std::move(message), std::move(suggestion)});
}

std::optional<YAML::Node> load(Context& context, std::string_view text) {
  if (text.size() > kDocumentBytesMax) {
    context.problem({}, "",
                    "the document is " + std::to_string(text.size()) + " bytes long; the limit is " +
                        std::to_string(kDocumentBytesMax));
    return std::nullopt;
  }
  if (text.find('\0') != std::string_view::npos) {
    context.problem({}, "", "the document has a NUL byte; it must be YAML text");
    return std::nullopt;
  }
  // The parser is someone else's and throws; what it throws ends here.
  try {
    const YAML::Node document = YAML::Load(std::string(text));
    const auto count = count_yaml_documents(text);
    if (!count || *count > 1) {
      context.problem({}, "", "the file holds more than one YAML document", "leave one of them; `---` begins another");
      return std::nullopt;
    }
    if (!document.IsMap()) {
      context.problem({}, "", "the document is not a map of fields");
      return std::nullopt;
    }
    return document;
  } catch (const YAML::Exception& error) {
    context.problems.push_back(
        {context.file, error.mark.is_null() ? 0 : error.mark.line + 1, "", "not YAML: " + error.msg, ""});
  } catch (const std::exception& error) {
    context.problems.push_back({context.file, 0, "", std::string("not YAML: ") + error.what(), ""});
  }
  return std::nullopt;
}

void Value::problem(std::string message, std::string suggestion) const {
  context_->problem(node_, path_, std::move(message), std::move(suggestion));
}

std::optional<std::string> Value::text() const {
  if (!node_.IsScalar()) {
    problem("must be text");
    return std::nullopt;
  }
  return node_.Scalar();
}

std::optional<bool> Value::boolean() const {
  if (node_.IsScalar()) {
    if (node_.Scalar() == "true") return true;
    if (node_.Scalar() == "false") return false;
  }
  problem("must be true or false");
  return std::nullopt;
}

std::optional<std::int64_t> Value::integer(std::int64_t least, std::int64_t most) const {
  std::int64_t number = 0;
  if (node_.IsScalar()) {
    const std::string& text = node_.Scalar();
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (!text.empty() && error == std::errc() && end == text.data() + text.size()) {
      if (number >= least && number <= most) return number;
      problem("must be from " + std::to_string(least) + " to " + std::to_string(most) + ", not " + text);
      return std::nullopt;
    }
  }
  problem("must be a whole number");
  return std::nullopt;
}

std::optional<double> Value::number(double least, double most) const {
  if (node_.IsScalar()) {
    const std::string& text = node_.Scalar();
    double number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (!text.empty() && error == std::errc() && end == text.data() + text.size() && std::isfinite(number)) {
      if (number >= least && number <= most) return number;
      problem("is out of range: " + text);
      return std::nullopt;
    }
  }
  problem("must be a number");
  return std::nullopt;
}

std::optional<Millis> Value::duration() const {
  if (node_.IsScalar()) {
    if (const auto parsed = parse_duration(node_.Scalar())) return parsed;
    const std::string& text = node_.Scalar();
    const bool digits =
        !text.empty() && std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
    problem(shown(text) + " is not a duration",
            digits ? "did you mean `" + text + "s`?" : "durations look like 500ms, 30s, 5m, 1h30m");
    return std::nullopt;
  }
  problem("must be a duration", "durations look like 500ms, 30s, 5m, 1h30m");
  return std::nullopt;
}

std::optional<std::uint32_t> Value::mode() const {
  if (node_.IsScalar()) {
    const std::string& text = node_.Scalar();
    std::uint32_t mode = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), mode, 8);
    if ((text.size() == 3 || (text.size() == 4 && text[0] == '0')) && error == std::errc() &&
        end == text.data() + text.size()) {
      return mode;
    }
  }
  problem("must be permission bits in octal", "for example \"0644\"");
  return std::nullopt;
}

std::optional<std::size_t> Value::word(std::span<const std::string_view> words) const {
  std::string all;
  for (const std::string_view word : words) all += (all.empty() ? "" : ", ") + std::string(word);
  if (!node_.IsScalar()) {
    problem("must be one of " + all);
    return std::nullopt;
  }
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (node_.Scalar() == words[i]) return i;
  }
  const std::string near = nearest(node_.Scalar(), words);
  problem(shown(node_.Scalar()) + " is not one of " + all, near.empty() ? "" : "did you mean `" + near + "`?");
  return std::nullopt;
}

std::vector<Value> Value::items() const {
  std::vector<Value> values;
  if (!node_.IsSequence()) {
    problem("must be a list");
    return values;
  }
  for (std::size_t i = 0; i < node_.size(); ++i) {
    values.emplace_back(*context_, node_[i], path_ + "[" + std::to_string(i) + "]");
  }
  return values;
}

std::vector<std::string> Value::texts() const {
  std::vector<std::string> texts;
  for (const Value& item : items()) {
    if (auto text = item.text()) texts.push_back(std::move(*text));
  }
  return texts;
}

Map::Map(Context& context, const Value& value) : context_(&context), node_(value.node()), path_(value.path()) {
  if (!node_.IsMap()) {
    value.problem("must be a map of fields");
    return;
  }
  valid_ = true;
  std::set<std::string> seen;
  for (const auto& field : node_) {
    if (!field.first.IsScalar()) {
      context_->problem(field.first, path_, "a field's name must be text");
      valid_ = false;
    } else if (!seen.insert(field.first.Scalar()).second) {
      context_->problem(field.first, join(path_, field.first.Scalar()), "the field stands twice", "remove one of them");
    }
  }
}

std::optional<Value> Map::take(std::string_view name) {
  known_.push_back(name);
  if (context_->asked != nullptr) context_->asked->insert(without_indexes(join(path_, name)));
  if (!valid_) return std::nullopt;
  for (const auto& field : node_) {
    if (field.first.IsScalar() && field.first.Scalar() == name) {
      taken_.insert(std::string(name));
      return Value(*context_, field.second, join(path_, name));
    }
  }
  return std::nullopt;
}

std::optional<Value> Map::require(std::string_view name) {
  auto value = take(name);
  if (!value && valid_) context_->problem(node_, join(path_, name), "is missing");
  return value;
}

std::vector<std::pair<std::string, Value>> Map::all() {
  std::vector<std::pair<std::string, Value>> values;
  if (!valid_) return values;
  for (const auto& field : node_) {
    taken_.insert(field.first.Scalar());
    values.emplace_back(field.first.Scalar(), Value(*context_, field.second, join(path_, field.first.Scalar())));
  }
  return values;
}

void Map::finish() {
  if (!valid_) return;
  for (const auto& field : node_) {
    const std::string& name = field.first.Scalar();
    if (taken_.contains(name)) continue;
    const std::string near = nearest(name, known_);
    std::string suggestion;
    if (!near.empty()) {
      suggestion = "did you mean `" + near + "`?";
    } else {
      for (const std::string_view known : known_)
        suggestion += (suggestion.empty() ? "known fields: " : ", ") + std::string(known);
    }
    context_->problem(field.first, join(path_, name), "unknown field", std::move(suggestion));
  }
}

void Map::text(std::string_view name, std::string& out) {
  if (const auto value = take(name)) {
    if (auto text = value->text()) out = std::move(*text);
  }
}
void Map::boolean(std::string_view name, bool& out) {
  if (const auto value = take(name)) {
    if (const auto boolean = value->boolean()) out = *boolean;
  }
}
void Map::duration(std::string_view name, Millis& out) {
  if (const auto value = take(name)) {
    if (const auto duration = value->duration()) out = *duration;
  }
}
void Map::texts(std::string_view name, std::vector<std::string>& out) {
  if (const auto value = take(name)) out = value->texts();
}

}  // namespace strict_yaml
}  // namespace st8::target
