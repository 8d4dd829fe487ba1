#include "wire/json.h"

#include <array>
#include <charconv>
#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>
#include <unordered_set>

#include "wire/text.h"

namespace st8::wire {
namespace {

// Strips the library's own prefix ("[json.exception.parse_error.101] parse error at ") and what follows "; last read": the
// bytes it quotes may be anything.
std::string clean_message(std::string_view what) {
  if (const std::size_t bracket = what.find("] "); what.starts_with('[') && bracket != std::string_view::npos) {
    what.remove_prefix(bracket + 2);
  }
  if (what.starts_with("parse error at ")) what.remove_prefix(std::string_view("parse error at ").size());
  if (what.starts_with("parse error: ")) what.remove_prefix(std::string_view("parse error: ").size());
  std::string_view expected;
  if (const std::size_t at = what.rfind("; expected "); at != std::string_view::npos) expected = what.substr(at);
  std::string_view quoted;
  if (const std::size_t at = what.find("; last read: "); at != std::string_view::npos) {
    quoted = what.substr(at, std::min(what.size() - at, std::string_view::npos));
    if (!expected.empty() && quoted.size() >= expected.size()) quoted.remove_suffix(expected.size());
    what = what.substr(0, at);
  }
  std::string out = printable(what, 400);
  if (!quoted.empty()) {
    // Only the end of what was read says where it went wrong.
    constexpr std::string_view kLead = "; last read: ";
    std::string_view token = quoted.substr(kLead.size());
    if (token.size() > 48) token = token.substr(token.size() - 48);
    out += " after " + printable(token, 64);
  }
  if (!expected.empty()) out += printable(expected, 100);
  return out;
}

// Receives the library's events. With a root it builds the value; without, it only checks.
class Builder {
 public:
  Builder(JsonValue* root, const JsonLimits& limits) : root_(root), limits_(limits) {}

  const std::optional<Error>& error() const { return error_; }

  bool null() { return place(JsonValue::Kind::kNull) != nullptr; }
  bool boolean(bool value) {
    JsonValue* slot = place(JsonValue::Kind::kBool);
    if (slot != nullptr) slot->boolean = value;
    return slot != nullptr;
  }
  bool number_integer(std::int64_t value) { return number(std::to_string(value)); }
  bool number_unsigned(std::uint64_t value) { return number(std::to_string(value)); }
  bool number_float(double, const std::string& literal) { return number(literal); }
  bool string(std::string& value) {
    JsonValue* slot = place(JsonValue::Kind::kString);
    if (slot != nullptr) slot->text = std::move(value);
    return slot != nullptr;
  }
  bool binary(nlohmann::json::binary_t&) { return refuse(ErrorCode::kInvalidArgument, "binary is not JSON"); }

  bool start_object(std::size_t) { return descend(JsonValue::Kind::kObject); }
  bool start_array(std::size_t) { return descend(JsonValue::Kind::kArray); }
  bool end_object() { return ascend(); }
  bool end_array() { return ascend(); }

  bool key(std::string& name) {
    if (root_ == nullptr) return true;
    Level& level = levels_.back();
    std::vector<JsonMember>& members = level.value->members;
    // Few members are compared one by one; many through a set.
    bool twice = false;
    if (members.size() < kSetFrom) {
      for (const JsonMember& member : members) twice = twice || member.name == name;
    } else {
      if (level.names.empty()) {
        for (const JsonMember& member : members) level.names.insert(member.name);
      }
      twice = !level.names.insert(name).second;
    }
    if (twice) return refuse(ErrorCode::kInvalidArgument, "the key \"" + printable(name) + "\" stands twice in one object");
    members.push_back(JsonMember{std::move(name), {}});
    return true;
  }

  bool parse_error(std::size_t, const std::string&, const nlohmann::json::exception& failure) {
    return refuse(ErrorCode::kInvalidArgument, clean_message(failure.what()));
  }

 private:
  static constexpr std::size_t kSetFrom = 16;
  struct Level {
    JsonValue* value = nullptr;
    std::unordered_set<std::string> names;
  };

  bool refuse(ErrorCode code, std::string message) {
    if (!error_) error_ = Error{code, "the body is not acceptable JSON: " + std::move(message), {}};
    return false;
  }

  bool number(std::string literal) {
    JsonValue* slot = place(JsonValue::Kind::kNumber);
    if (slot != nullptr) slot->text = std::move(literal);
    return slot != nullptr;
  }

  // Where the next value belongs; nullptr ends the parse.
  JsonValue* place(JsonValue::Kind kind) {
    if (++values_ > limits_.values_max) {
      refuse(ErrorCode::kTooLarge, "it holds more than " + std::to_string(limits_.values_max) + " values");
      return nullptr;
    }
    if (root_ == nullptr) return &scratch_;
    JsonValue* slot = root_;
    if (!levels_.empty()) {
      JsonValue& parent = *levels_.back().value;
      if (parent.kind == JsonValue::Kind::kArray) {
        slot = &parent.items.emplace_back();
      } else {
        slot = &parent.members.back().value;
      }
    }
    slot->kind = kind;
    return slot;
  }

  bool descend(JsonValue::Kind kind) {
    if (++depth_ > limits_.depth_max) {
      return refuse(ErrorCode::kInvalidArgument, "it is nested deeper than " + std::to_string(limits_.depth_max) + " levels");
    }
    JsonValue* slot = place(kind);
    if (slot == nullptr) return false;
    if (root_ != nullptr) levels_.push_back(Level{slot, {}});
    return true;
  }
  bool ascend() {
    --depth_;
    if (root_ != nullptr) levels_.pop_back();
    return true;
  }

  JsonValue* root_;
  JsonLimits limits_;
  JsonValue scratch_;
  std::vector<Level> levels_;  // Pointers stay valid: a parent's vector does not grow while a child is open.
  std::size_t depth_ = 0;
  std::size_t values_ = 0;
  std::optional<Error> error_;
};

}  // namespace

const JsonValue* JsonValue::find(std::string_view name) const {
  for (const JsonMember& member : members) {
    if (member.name == name) return &member.value;
  }
  return nullptr;
}

std::string_view JsonValue::kind_name() const {
  switch (kind) {
    case Kind::kNull: return "null";
    case Kind::kBool: return "a boolean";
    case Kind::kNumber: return "a number";
    case Kind::kString: return "a string";
    case Kind::kArray: return "an array";
    case Kind::kObject: return "an object";
  }
  return "a value";
}

Result<JsonValue> parse_json(std::string_view text, const JsonLimits& limits) {
  JsonValue root;
  Builder builder(&root, limits);
  try {
    if (nlohmann::json::sax_parse(text.begin(), text.end(), &builder)) return root;
  } catch (const std::exception& failure) {
    return fail(ErrorCode::kInvalidArgument, "the body is not acceptable JSON: " + printable(failure.what()));
  }
  if (builder.error()) return fail(*builder.error());
  return fail(ErrorCode::kInvalidArgument, "the body is not acceptable JSON");
}

bool is_json(std::string_view text, std::size_t depth_max) {
  JsonLimits limits;
  limits.depth_max = depth_max;
  limits.values_max = text.size() + 1;
  Builder builder(nullptr, limits);
  try {
    return nlohmann::json::sax_parse(text.begin(), text.end(), &builder);
  } catch (const std::exception&) {
    return false;
  }
}

void JsonWriter::separate() {
  if (comma_) out_ += ',';
  comma_ = true;
}

JsonWriter& JsonWriter::open(char bracket) {
  separate();
  out_ += bracket;
  comma_ = false;
  return *this;
}

JsonWriter& JsonWriter::close(char bracket) {
  out_ += bracket;
  comma_ = true;
  return *this;
}

JsonWriter& JsonWriter::key(std::string_view name) {
  string(name);
  out_ += ':';
  comma_ = false;
  return *this;
}

JsonWriter& JsonWriter::string(std::string_view text) {
  separate();
  if (is_utf8(text)) {
    quoted(text);
  } else {
    quoted(printable(text, text.size()));
  }
  return *this;
}

void JsonWriter::quoted(std::string_view utf8) {
  static constexpr char kHex[] = "0123456789abcdef";
  out_ += '"';
  std::size_t run = 0;
  for (std::size_t i = 0; i < utf8.size(); ++i) {
    const auto byte = static_cast<std::uint8_t>(utf8[i]);
    if (byte >= 0x20 && byte != '"' && byte != '\\') continue;
    out_.append(utf8.substr(run, i - run));
    run = i + 1;
    switch (byte) {
      case '"': out_ += "\\\""; break;
      case '\\': out_ += "\\\\"; break;
      case '\n': out_ += "\\n"; break;
      case '\r': out_ += "\\r"; break;
      case '\t': out_ += "\\t"; break;
      default:
        out_ += "\\u00";
        out_ += kHex[byte >> 4];
        out_ += kHex[byte & 0xF];
    }
  }
  out_.append(utf8.substr(run));
  out_ += '"';
}

JsonWriter& JsonWriter::number(std::uint64_t value) {
  separate();
  std::array<char, 24> digits;
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), value).ptr;
  out_.append(digits.data(), end);
  return *this;
}

JsonWriter& JsonWriter::number(std::int64_t value) {
  separate();
  std::array<char, 24> digits;
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), value).ptr;
  out_.append(digits.data(), end);
  return *this;
}

JsonWriter& JsonWriter::number(double value) {
  if (!std::isfinite(value)) return null();  // JSON has no infinity.
  separate();
  std::array<char, 32> digits;
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), value).ptr;
  out_.append(digits.data(), end);
  return *this;
}

JsonWriter& JsonWriter::boolean(bool value) {
  separate();
  out_ += value ? "true" : "false";
  return *this;
}

JsonWriter& JsonWriter::null() {
  separate();
  out_ += "null";
  return *this;
}

JsonWriter& JsonWriter::raw(std::string_view json) {
  separate();
  out_.append(json);
  return *this;
}

JsonWriter& JsonWriter::bytes_field(std::string_view name, std::string_view bytes) {
  if (is_utf8(bytes)) {
    key(name);
    separate();
    quoted(bytes);
    return *this;
  }
  return key(std::string(name) + "_base64").string(base64_encode(bytes));
}

namespace {
void write_value(JsonWriter& out, const JsonValue& value) {
  switch (value.kind) {
    case JsonValue::Kind::kNull: out.null(); return;
    case JsonValue::Kind::kBool: out.boolean(value.boolean); return;
    case JsonValue::Kind::kNumber: out.raw(value.text); return;
    case JsonValue::Kind::kString: out.string(value.text); return;
    case JsonValue::Kind::kArray:
      out.begin_array();
      for (const JsonValue& item : value.items) write_value(out, item);
      out.end_array();
      return;
    case JsonValue::Kind::kObject:
      out.begin_object();
      for (const JsonMember& member : value.members) {
        out.key(member.name);
        write_value(out, member.value);
      }
      out.end_object();
      return;
  }
}
}  // namespace

std::string to_json(const JsonValue& value) {
  std::string text;
  JsonWriter out(text);
  write_value(out, value);
  return text;
}

}  // namespace st8::wire
