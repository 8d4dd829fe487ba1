#include "render/document.h"

#include <limits>

namespace st8::ctl {
namespace {

using wire::JsonValue;
using Kind = wire::JsonValue::Kind;

std::string json_scalar(const JsonValue& value) { return wire::to_json(value); }

std::string json_string(std::string_view text) {
  std::string out;
  wire::JsonWriter(out).string(text);
  return out;
}

bool empty(const JsonValue& value) {
  return (value.kind == Kind::kArray && value.items.empty()) || (value.kind == Kind::kObject && value.members.empty());
}

void indent_json(const JsonValue& value, std::size_t depth, std::string& out) {
  const bool list = value.kind == Kind::kArray;
  if ((!list && value.kind != Kind::kObject) || empty(value)) {
    out += json_scalar(value);
    return;
  }
  out += list ? '[' : '{';
  bool first = true;
  const auto begin_entry = [&] {
    if (!first) out += ',';
    first = false;
    out += '\n';
    out.append((depth + 1) * 2, ' ');
  };
  for (const JsonValue& item : value.items) {
    begin_entry();
    indent_json(item, depth + 1, out);
  }
  for (const wire::JsonMember& member : value.members) {
    begin_entry();
    out += json_string(member.name);
    out += ": ";
    indent_json(member.value, depth + 1, out);
  }
  out += '\n';
  out.append(depth * 2, ' ');
  out += list ? ']' : '}';
}

// Whether no reader, of YAML 1.1 or 1.2, could take the plain text for anything but this string.
bool plain_in_yaml(std::string_view text) {
  if (text.empty() || text.size() > 200) return false;
  const auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); };
  for (const char c : text) {
    if (!letter(c) && !(c >= '0' && c <= '9') && c != '_' && c != '.' && c != '/' && c != '-' && c != ' ') return false;
  }
  // A first character that begins no number, list item or document mark.
  if (!letter(text.front()) && text.front() != '/') return false;
  if (text.back() == ' ') return false;
  std::string lower;
  for (const char c : text) lower += static_cast<char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
  for (const char* word : {"true", "false", "null", "yes", "no", "on", "off", "y", "n"}) {
    if (lower == word) return false;
  }
  return true;
}

// A literal block keeps text readable; only where its rules keep every byte too.
bool fits_block(std::string_view text) {
  if (text.size() < 2 || text.back() != '\n' || text[text.size() - 2] == '\n') return false;
  if (text.front() == '\n' || text.front() == ' ') return false;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if ((byte < 0x20 && byte != '\n') || byte == 0x7f) return false;
    // What may begin a line separator, a control character or a byte order mark: YAML readers act on them.
    if (byte == 0xc2 || byte == 0xe2 || byte == 0xef) return false;
  }
  return true;
}

// `indent` is the column of the entry that holds the value. A scalar follows on the same line, a mapping or list on the next
// ones, or, within a list item (`inside_item`), beginning behind its dash.
void write_yaml(const JsonValue& value, std::size_t indent, bool inside_item, std::string& out);

void write_yaml_entry_value(const JsonValue& value, std::size_t indent, std::string& out) {
  if ((value.kind == Kind::kArray || value.kind == Kind::kObject) && !empty(value)) {
    out += '\n';
    write_yaml(value, indent + 2, false, out);
    return;
  }
  out += ' ';
  write_yaml(value, indent, false, out);
}

void write_yaml(const JsonValue& value, std::size_t indent, bool inside_item, std::string& out) {
  if (empty(value)) {
    out += value.kind == Kind::kArray ? "[]\n" : "{}\n";
    return;
  }
  if (value.kind == Kind::kString) {
    if (plain_in_yaml(value.text)) {
      out += value.text + "\n";
    } else if (fits_block(value.text)) {
      out += "|\n";
      std::string_view rest = value.text;
      while (!rest.empty()) {
        const std::size_t end = rest.find('\n');
        if (end != 0) out.append(indent + 2, ' ');
        out += rest.substr(0, end + 1);
        rest.remove_prefix(end + 1);
      }
    } else {
      out += json_string(value.text) + "\n";
    }
    return;
  }
  bool first = inside_item;
  const auto begin_entry = [&] {
    if (!first) out.append(indent, ' ');
    first = false;
  };
  if (value.kind == Kind::kArray) {
    for (const JsonValue& item : value.items) {
      begin_entry();
      out += "- ";
      write_yaml(item, indent + (item.kind == Kind::kArray || item.kind == Kind::kObject ? 2 : 0), true, out);
    }
    return;
  }
  if (value.kind == Kind::kObject) {
    for (const wire::JsonMember& member : value.members) {
      begin_entry();
      out += plain_in_yaml(member.name) ? member.name : json_string(member.name);
      out += ':';
      write_yaml_entry_value(member.value, indent, out);
    }
    return;
  }
  out += json_scalar(value) + "\n";
}

}  // namespace

std::string indented_json(const JsonValue& value) {
  std::string out;
  indent_json(value, 0, out);
  return out + "\n";
}

std::string yaml(const JsonValue& value) {
  std::string out;
  write_yaml(value, 0, false, out);
  return out;
}

Result<JsonValue> parse_answer(std::string_view json) {
  wire::JsonLimits limits;
  limits.values_max = std::numeric_limits<std::size_t>::max();
  return wire::parse_json(json, limits);
}

}  // namespace st8::ctl
