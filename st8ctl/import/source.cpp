#include "import/source.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "st8/state/duration.h"
#include "st8/state/text.h"
#include "st8/state/yaml.h"

namespace st8::ctl {
namespace {

// A document of a person's has a few hundred fields; aliases of aliases could make any number.
constexpr std::size_t kRowsMax = 10'000;

int line_of(const YAML::Node& node, int otherwise) {
  return node.IsDefined() && !node.Mark().is_null() ? node.Mark().line + 1 : otherwise;
}

std::string shown(std::string_view text) {
  std::string result;
  for (const char c : text.substr(0, 60)) result += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
  return "\"" + result + "\"";
}

// A field of that name; one without a name is shown as "".
std::string path_of(const std::string& parent, std::string_view name) {
  const std::string shown_name = name.empty() ? "\"\"" : std::string(name);
  return parent.empty() ? shown_name : parent + "." + shown_name;
}

Error refusal(int line, const std::string& path, std::string message, std::string hint) {
  std::string where = line > 0 ? "line " + std::to_string(line) + ": " : "";
  if (!path.empty()) where += path + ": ";
  return {ErrorCode::kUnprocessable, where + std::move(message), std::move(hint)};
}

}  // namespace

std::string_view import_word(ImportRow::What what) {
  switch (what) {
    case ImportRow::What::kTaken:
      return "taken";
    case ImportRow::What::kChanged:
      return "changed";
    case ImportRow::What::kLeft:
      return "left";
  }
  return "left";
}

std::optional<Part> Part::take(std::string_view name) const {
  if (!node_.IsMap()) return std::nullopt;
  for (const auto& field : node_) {
    if (!field.first.IsScalar() || field.first.Scalar() != name) continue;
    taken_->insert(std::string(name));
    return std::optional<Part>(std::in_place, *report_, field.second, path_of(path_, name),
                               line_of(field.first, line_));
  }
  return std::nullopt;
}

Result<Part> Part::require(std::string_view name) const {
  const auto part = take(name);
  if (!part || part->is_null()) return refuse("has no `" + std::string(name) + "`");
  return *part;
}

std::vector<Part> Part::items() const {
  std::vector<Part> parts;
  if (!node_.IsSequence()) return parts;
  std::size_t index = 0;
  for (const auto& item : node_) {
    parts.emplace_back(*report_, item, path_ + "[" + std::to_string(index) + "]", line_of(item, line_));
    ++index;
  }
  return parts;
}

std::vector<std::pair<std::string, Part>> Part::fields() const {
  std::vector<std::pair<std::string, Part>> parts;
  if (!node_.IsMap()) return parts;
  for (const auto& field : node_) {
    if (!field.first.IsScalar() || taken_->contains(field.first.Scalar())) continue;
    if (auto part = take(field.first.Scalar())) parts.emplace_back(field.first.Scalar(), *part);
  }
  return parts;
}

tl::unexpected<Error> Part::refuse(std::string message, std::string hint) const {
  return fail(refusal(line_, path_, std::move(message), std::move(hint)));
}

Status Part::expect_map() const {
  if (node_.IsMap()) return {};
  return refuse("must be a map of fields");
}
Status Part::expect_list() const {
  if (node_.IsSequence()) return {};
  return refuse("must be a list");
}

Result<std::string> Part::text() const {
  if (!node_.IsScalar()) return refuse("must be text");
  if (node_.Scalar().find('\0') != std::string::npos) return refuse("holds a NUL, which no file or program takes");
  // The reader takes the two escapes of a character beyond U+FFFF for two characters.
  if (!is_valid_utf8(node_.Scalar()))
    return refuse("holds an escaped half of a character", "write the character itself instead of \\uXXXX\\uXXXX");
  return node_.Scalar();
}

Result<std::int64_t> Part::integer(std::int64_t least, std::int64_t most) const {
  ST8_ASSIGN(const std::string text, this->text());
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (text.empty() || error != std::errc() || end != text.data() + text.size())
    return refuse(shown(text) + " is no whole number");
  if (number < least || number > most)
    return refuse("must be from " + std::to_string(least) + " to " + std::to_string(most) + ", not " + text);
  return number;
}

Result<double> Part::number(double least, double most) const {
  ST8_ASSIGN(const std::string text, this->text());
  double number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (text.empty() || error != std::errc() || end != text.data() + text.size() || !std::isfinite(number))
    return refuse(shown(text) + " is no number");
  if (number < least || number > most) return refuse("is out of range: " + text);
  return number;
}

Result<bool> Part::boolean() const {
  ST8_ASSIGN(const std::string text, this->text());
  if (text == "true") return true;
  if (text == "false") return false;
  return refuse(shown(text) + " is neither true nor false");
}

Result<std::int64_t> Part::duration(bool seconds) const {
  ST8_ASSIGN(const std::string whole, this->text());
  if (whole.empty()) return refuse("is no duration");
  const auto parsed = parse_duration(whole, {true, seconds});
  if (!parsed) return refuse(parsed.error().message, parsed.error().hint);
  return parsed->count();
}

Result<std::vector<std::string>> Part::texts() const {
  ST8_TRY(expect_list());
  std::vector<std::string> texts;
  for (const Part& item : items()) {
    ST8_ASSIGN(std::string text, item.text());
    texts.push_back(std::move(text));
  }
  return texts;
}

void Part::row(ImportRow::What what, std::string to, std::string why) const {
  if (report_->size() < kRowsMax) report_->push_back({line_, path_, what, std::move(to), std::move(why)});
}
void Part::taken(std::string to) const { row(ImportRow::What::kTaken, std::move(to), ""); }
void Part::changed(std::string to, std::string why) const {
  row(ImportRow::What::kChanged, std::move(to), std::move(why));
}
void Part::left(std::string why) const { row(ImportRow::What::kLeft, "", std::move(why)); }

void Part::rest(const std::string& why) const {
  if (!node_.IsMap()) return;
  std::set<std::string> seen;
  for (const auto& field : node_) {
    const std::string name = field.first.IsScalar() ? field.first.Scalar() : std::string("?");
    const bool again = !seen.insert(name).second;
    if (!again && taken_->contains(name)) continue;
    Part(*report_, field.second, path_of(path_, name), line_of(field.first, line_))
        .left(again ? "it stands twice; the first one counts" : why);
  }
}

Result<Imported> read_source(std::string_view text, const std::function<Result<Imported>(const Part&)>& read) {
  const auto refuse = [](int line, std::string message) { return fail(refusal(line, "", std::move(message), "")); };
  if (text.size() > kImportBytesMax)
    return fail(ErrorCode::kTooLarge,
                "the document has " + std::to_string(text.size()) + " bytes; at most " +
                    std::to_string(kImportBytesMax) + " are read",
                "");
  if (!is_valid_utf8(text) || text.find('\0') != std::string_view::npos)
    return refuse(0, "the document is no UTF-8 text");
  // The parser is someone else's and throws; what it throws ends here.
  try {
    const YAML::Node document = YAML::Load(std::string(text));
    ST8_ASSIGN(const std::size_t documents, count_yaml_documents(text));
    if (documents > 1) return refuse(0, "the file holds more than one document; give each a file of its own");
    if (!document.IsMap()) return refuse(0, "the document is no map of fields");
    std::vector<ImportRow> report;
    ST8_ASSIGN(Imported imported, read(Part(report, document, "", 1)));
    if (report.size() >= kRowsMax)
      return fail(ErrorCode::kTooLarge, "the document has more than " + std::to_string(kRowsMax) + " fields", "");
    std::stable_sort(report.begin(), report.end(),
                     [](const ImportRow& a, const ImportRow& b) { return a.line < b.line; });
    imported.report = std::move(report);
    std::sort(imported.targets.begin(), imported.targets.end(),
              [](const auto& a, const auto& b) { return a.first < b.first; });
    return imported;
  } catch (const YAML::Exception& error) {
    return refuse(error.mark.is_null() ? 0 : error.mark.line + 1, "not YAML or JSON: " + error.msg);
  } catch (const std::exception& error) {
    return refuse(0, std::string("not YAML or JSON: ") + error.what());
  }
}

wire::JsonValue json_text(std::string_view text) {
  wire::JsonValue value;
  value.kind = wire::JsonValue::Kind::kString;
  value.text = text;
  return value;
}
wire::JsonValue json_number(std::int64_t number) {
  wire::JsonValue value;
  value.kind = wire::JsonValue::Kind::kNumber;
  value.text = std::to_string(number);
  return value;
}
wire::JsonValue json_bool(bool boolean) {
  wire::JsonValue value;
  value.kind = wire::JsonValue::Kind::kBool;
  value.boolean = boolean;
  return value;
}
wire::JsonValue json_list(std::vector<wire::JsonValue> items) {
  wire::JsonValue value;
  value.kind = wire::JsonValue::Kind::kArray;
  value.items = std::move(items);
  return value;
}
wire::JsonValue json_texts(const std::vector<std::string>& texts) {
  wire::JsonValue value = json_list();
  for (const std::string& text : texts) value.items.push_back(json_text(text));
  return value;
}
wire::JsonValue json_object() {
  wire::JsonValue value;
  value.kind = wire::JsonValue::Kind::kObject;
  return value;
}
void put(wire::JsonValue& object, std::string_view name, wire::JsonValue value) {
  for (wire::JsonMember& member : object.members) {
    if (member.name == name) {
      member.value = std::move(value);
      return;
    }
  }
  object.members.push_back({std::string(name), std::move(value)});
}

std::string duration_text(std::int64_t milliseconds) {
  return milliseconds <= 0 ? "0s" : format_duration(std::chrono::milliseconds(milliseconds));
}

std::string target_name(std::string_view text) {
  std::string name;
  for (const char c : text) {
    const char lower = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    const bool good = (lower >= 'a' && lower <= 'z') || (lower >= '0' && lower <= '9') || lower == '.' ||
                      lower == '_' || lower == '-';
    name += good ? lower : '-';
  }
  const auto bare = [](char c) { return c == '.' || c == '_' || c == '-'; };
  while (!name.empty() && bare(name.front())) name.erase(0, 1);
  name = name.substr(0, 63);
  while (!name.empty() && bare(name.back())) name.pop_back();
  return name;
}

std::string unrendered(std::string_view text) {
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    if (text.substr(at).starts_with("{{")) {
      out += "{{{{";
      at += 2;
    } else {
      out += text[at++];
    }
  }
  return out;
}

std::string shell_line(const std::vector<std::string>& words) {
  std::string line;
  for (const std::string& word : words) {
    if (!line.empty()) line += ' ';
    const bool plain = !word.empty() && std::all_of(word.begin(), word.end(), [](char c) {
      return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '/' || c == '.' ||
             c == '_' || c == '-' || c == ':' || c == '=' || c == ',' || c == '@' || c == '+';
    });
    if (plain) {
      line += word;
      continue;
    }
    line += '\'';
    for (const char c : word) line += c == '\'' ? std::string("'\\''") : std::string(1, c);
    line += '\'';
  }
  return line;
}

}  // namespace st8::ctl
