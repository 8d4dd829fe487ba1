#include "merge/yaml_scan.h"

#include <algorithm>
#include <vector>
#include <yaml-cpp/yaml.h>

#include "st8/state/text.h"
#include "st8/state/yaml.h"

namespace st8::state::merge {
namespace {

struct Line {
  std::size_t begin = 0, end = 0, next = 0;  // `end` before the line break, `next` behind it.
  std::size_t indent = 0;
  bool content = false;  // Neither blank nor a comment.
};

class Scanner {
 public:
  explicit Scanner(std::string_view text) : text_(text) {}

  std::optional<Value> run() {
    if (!split()) return std::nullopt;
    // The head: comments and one "---" before the first content.
    std::size_t first = 0;
    while (first < lines_.size() && !lines_[first].content) ++first;
    std::size_t head_end = 0;
    if (first < lines_.size() && text_of(lines_[first]) == "---") {
      head_end = lines_[first].next;
      ++first;
      while (first < lines_.size() && !lines_[first].content) ++first;
    }
    if (first == lines_.size()) return std::nullopt;
    for (std::size_t i = first; i < lines_.size(); ++i) {
      const std::string_view line = text_of(lines_[i]);
      if (line.starts_with("---") || line.starts_with("...") || line.starts_with("%")) return std::nullopt;
    }
    // Comments behind the last content are nobody's.
    std::size_t end = lines_.size();
    while (!lines_[end - 1].content && lines_[end - 1].indent <= lines_[first].indent) --end;
    Value root;
    if (!node(root, first, end, lines_[first].begin + lines_[first].indent, lines_[first].indent, 0))
      return std::nullopt;
    if (root.shape == Shape::kScalar) return std::nullopt;
    root.begin = root.head_end = head_end;
    root.members.front().lead = head_end;
    root.end = lines_[end - 1].next;
    return root;
  }

 private:
  std::string_view text_of(const Line& line) const { return text_.substr(line.begin, line.end - line.begin); }

  bool split() {
    if (text_.starts_with("\xef\xbb\xbf") || text_.find('\r') != std::string_view::npos) return false;
    for (std::size_t at = 0; at < text_.size();) {
      Line line;
      line.begin = at;
      const std::size_t newline = text_.find('\n', at);
      line.next = newline == std::string_view::npos ? text_.size() : newline + 1;
      line.end = newline == std::string_view::npos ? text_.size() : newline;
      std::size_t first = line.begin;
      while (first < line.end && text_[first] == ' ') ++first;
      line.indent = first - line.begin;
      if (first < line.end && text_[first] == '\t') return false;
      line.content = first < line.end && text_[first] != '#';
      lines_.push_back(line);
      at = line.next;
    }
    return true;
  }

  bool is_dash(std::size_t at, std::size_t line_end) const {
    return at < line_end && text_[at] == '-' && (at + 1 == line_end || text_[at + 1] == ' ');
  }

  // The position of the colon that ends a key beginning at `at`, or npos.
  std::size_t key_end(std::size_t at, std::size_t line_end) const {
    const char first = text_[at];
    if (first == '"' || first == '\'') {
      std::size_t i = at + 1;
      for (; i < line_end; ++i) {
        if (first == '"' && text_[i] == '\\') {
          ++i;
        } else if (text_[i] == first) {
          if (first == '\'' && i + 1 < line_end && text_[i + 1] == '\'') {
            ++i;
            continue;
          }
          break;
        }
      }
      if (i >= line_end) return std::string_view::npos;
      ++i;
      while (i < line_end && text_[i] == ' ') ++i;
      return i < line_end && text_[i] == ':' && (i + 1 == line_end || text_[i + 1] == ' ') ? i : std::string_view::npos;
    }
    if (std::string_view(",[]{}#&*!|>%@`").find(first) != std::string_view::npos) return std::string_view::npos;
    if ((first == '?' || first == ':') && (at + 1 == line_end || text_[at + 1] == ' ')) return std::string_view::npos;
    if (is_dash(at, line_end)) return std::string_view::npos;
    for (std::size_t i = at; i < line_end; ++i) {
      if (text_[i] == '\t') return std::string_view::npos;
      if (text_[i] == '#' && i > at && text_[i - 1] == ' ') return std::string_view::npos;
      if (text_[i] == ':' && (i + 1 == line_end || text_[i + 1] == ' ')) return i;
    }
    return std::string_view::npos;
  }

  // The node of lines [first, last) that begins at `at`, in column `column` of the first. False: not supported.
  bool node(Value& out, std::size_t first, std::size_t last, std::size_t at, std::size_t column, std::size_t depth) {
    if (depth > kDepthMax) return false;
    out.inline_first = at != lines_[first].begin + lines_[first].indent;
    bool sound;
    if (is_dash(at, lines_[first].end)) {
      out.shape = Shape::kList;
      sound = members(out, first, last, at, column, depth);
    } else if (key_end(at, lines_[first].end) != std::string_view::npos) {
      out.shape = Shape::kMap;
      sound = members(out, first, last, at, column, depth);
    } else {
      sound = scalar(lines_[first], at);
    }
    return sound;
  }

  // Of a block map or list whose members begin in `column`.
  bool members(Value& out, std::size_t first, std::size_t last, std::size_t at, std::size_t column, std::size_t depth) {
    const bool map = out.shape == Shape::kMap;
    std::size_t lead = at;  // The first one's is set by the caller, who knows what stands before.
    for (std::size_t line = first; line < last;) {
      Member member;
      member.lead = lead;
      member.begin = line == first ? at : lines_[line].begin + lines_[line].indent;
      std::size_t value_at;
      if (map) {
        const std::size_t colon = key_end(member.begin, lines_[line].end);
        if (colon == std::string_view::npos) return false;
        value_at = colon + 1;
      } else {
        if (!is_dash(member.begin, lines_[line].end)) return false;
        value_at = member.begin + 1;
      }
      // All that is indented more is the member's; for a map's value also a list in the same column.
      std::size_t rest = value_at;
      while (rest < lines_[line].end && text_[rest] == ' ') ++rest;
      const bool has_inline = rest < lines_[line].end && !(text_[rest] == '#' && rest > value_at);
      std::size_t end = line + 1;
      for (; end < last; ++end) {
        if (!lines_[end].content || lines_[end].indent > column) continue;
        const bool list_in_column =
            map && !has_inline && lines_[end].indent == column && is_dash(lines_[end].begin + column, lines_[end].end);
        if (!list_in_column) break;
      }
      if (end < last && lines_[end].indent != column) return false;
      // Comments and blank lines at the end belong to what follows, unless they are indented as the member's own.
      std::size_t own = end;
      if (end < last) {
        while (
            own > line + 1 && !lines_[own - 1].content &&
            (lines_[own - 1].indent <= column || lines_[own - 1].begin + lines_[own - 1].indent >= lines_[own - 1].end))
          --own;
      }
      member.value.begin = value_at;
      member.value.anchor = member.begin;
      if (!value(member.value, line, own, rest, has_inline, column, map, depth)) return false;
      member.value.end = lines_[own - 1].next;
      lead = member.value.end;
      out.members.push_back(std::move(member));
      line = end;
    }
    return !out.members.empty();
  }

  bool value(Value& out, std::size_t line, std::size_t last, std::size_t rest, bool has_inline, std::size_t column,
             bool map, std::size_t depth) {
    if (has_inline) {
      // "- key: value" and "- - item" hold a container on the dash's own line; a map's value on its line is a scalar.
      const std::size_t line_end = lines_[line].end;
      const bool container = !map && (is_dash(rest, line_end) || key_end(rest, line_end) != std::string_view::npos);
      if (!container) return scalar(lines_[line], rest);
      out.head_end = rest;
      if (!node(out, line, last, rest, rest - lines_[line].begin, depth + 1)) return false;
      out.members.front().lead = rest;
      return true;
    }
    std::size_t child = line + 1;
    while (child < last && !lines_[child].content) ++child;
    if (child == last) return true;  // Null.
    const std::size_t indent = lines_[child].indent;
    if (indent < column || (indent == column && !map)) return false;
    if (!node(out, child, last, lines_[child].begin + indent, indent, depth + 1)) return false;
    if (out.shape != Shape::kScalar) {
      out.head_end = lines_[line].next;
      out.members.front().lead = out.head_end;
    }
    return true;
  }

  // Whole; only what would tie it to other places is looked for.
  bool scalar(const Line& line, std::size_t at) const {
    const char first = text_[at];
    if (first == '&' || first == '*' || first == '!') return false;
    if (first == '[' || first == '{') {
      for (std::size_t i = at; i < line.end; ++i) {
        if ((text_[i] == '&' || text_[i] == '*' || text_[i] == '!') &&
            std::string_view(" ,[{:").find(text_[i - 1]) != std::string_view::npos)
          return false;
      }
    }
    return true;
  }

  const std::string_view text_;
  std::vector<Line> lines_;
};

// What yaml-cpp reads, as one string that is equal for equal values. False: too deep.
bool append_token(const YAML::Node& node, std::string& out, std::size_t depth) {
  if (depth > kDepthMax) return false;
  const auto text = [&out](const std::string& part) {
    out.append(std::to_string(part.size())).append(1, ':').append(part);
  };
  switch (node.Type()) {
    case YAML::NodeType::Undefined:
    case YAML::NodeType::Null:
      out += 'n';
      break;
    case YAML::NodeType::Scalar:
      out += 's';
      text(node.Tag());
      text(node.Scalar());
      break;
    case YAML::NodeType::Sequence:
      out += '[';
      for (const auto& item : node) {
        if (!append_token(item, out, depth + 1)) return false;
      }
      out += ']';
      break;
    case YAML::NodeType::Map:
      out += '{';
      for (const auto& pair : node) {
        if (!append_token(pair.first, out, depth + 1) || !append_token(pair.second, out, depth + 1)) return false;
      }
      out += '}';
      break;
  }
  return true;
}

// Gives keys and tokens to what the scanner found, and checks that yaml-cpp finds the same.
class Reader {
 public:
  explicit Reader(std::string_view text) : text_(text) {
    for (std::size_t i = 0; i < text.size(); ++i) {
      if (text[i] == '\n') line_begins_.push_back(i + 1);
    }
  }

  bool read(Value& value, const YAML::Node& node, std::size_t depth) const {
    switch (value.shape) {
      case Shape::kScalar:
        if (!append_token(node, value.token, depth)) return false;
        // Empty flow collections are containers without members, so that members can be added to them.
        if (node.IsMap() && node.size() == 0) value.shape = Shape::kMap;
        if (node.IsSequence() && node.size() == 0) value.shape = Shape::kList;
        if (value.shape != Shape::kScalar) value.token.clear();
        break;
      case Shape::kList: {
        if (!node.IsSequence() || node.size() != value.members.size()) return false;
        std::size_t at = 0;
        for (const auto& item : node) {
          if (!read(value.members[at++].value, item, depth + 1)) return false;
        }
        break;
      }
      case Shape::kMap: {
        if (!node.IsMap() || node.size() != value.members.size()) return false;
        std::size_t at = 0;
        for (const auto& pair : node) {
          Member& member = value.members[at++];
          if (!pair.first.IsScalar() || !stands_at(pair.first, member.begin)) return false;
          member.key = pair.first.Scalar();
          if (!read(member.value, pair.second, depth + 1)) return false;
        }
      }
    }
    seal(value);
    return true;
  }

 private:
  bool stands_at(const YAML::Node& node, std::size_t at) const {
    const YAML::Mark mark = node.Mark();
    const auto line = static_cast<std::size_t>(mark.line);
    return mark.line >= 0 && line < line_begins_.size() && line_begins_[line] <= at &&
           (line + 1 == line_begins_.size() || at < line_begins_[line + 1]);
  }
  const std::string_view text_;
  std::vector<std::size_t> line_begins_{0};
};

// What YAML 1.2 allows in a text; the parser below takes more.
bool is_printable(std::string_view text) {
  return is_valid_utf8(text) && std::none_of(text.begin(), text.end(), [](char c) {
           return (static_cast<unsigned char>(c) < 0x20 && c != '\t' && c != '\n' && c != '\r') || c == 0x7f;
         });
}

}  // namespace

std::optional<Value> scan_yaml(std::string_view text) {
  if (!is_printable(text)) return std::nullopt;
  std::optional<Value> root = Scanner(text).run();
  if (!root) return std::nullopt;
  if (const auto count = count_yaml_documents(text); !count || *count != 1) return std::nullopt;
  try {
    if (!Reader(text).read(*root, YAML::Load(std::string(text)), 0)) return std::nullopt;
  } catch (const YAML::Exception&) {
    return std::nullopt;
  }
  return root;
}

bool is_yaml(std::string_view text) {
  if (!is_printable(text)) return false;
  constexpr std::size_t kDocumentsMax = 10'000;
  const auto count = count_yaml_documents(text, kDocumentsMax);
  return count && *count < kDocumentsMax;
}

}  // namespace st8::state::merge
