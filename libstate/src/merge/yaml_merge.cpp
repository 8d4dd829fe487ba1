#include "merge/yaml_merge.h"

namespace st8::state::merge {
namespace {

class YamlWriter final : public Writer {
 public:
  using Writer::Writer;

 protected:
  // Every line of both texts ends with a line break (the caller has seen to it). A value's span begins behind the colon or the dash and ends behind its last line's break. Its members lie on lines of
  // their own, but for the first of a container that begins on a dash's line.
  void write_members(const Merged& merged, std::string& out) override {
    const Value& ours = *merged.ours;
    const bool at_root = ours.begin == ours.head_end;
    if (merged.items.empty()) {
      out.append(at_root ? "" : " ").append(ours.shape == Shape::kMap ? "{}\n" : "[]\n");
      return;
    }
    std::string indent;
    if (ours.members.empty()) {
      out += '\n';
      indent = column_of(ours_, ours.anchor) + "  ";
    } else {
      out.append(ours_.substr(ours.begin, ours.head_end - ours.begin));
      indent = column_of(ours_, ours.members.front().begin);
    }
    bool first = true;
    for (const Merged::Item& item : merged.items) {
      const bool inline_here = first && ours.inline_first;
      if (item.ours != nullptr) {
        const bool was_inline = ours.inline_first && item.ours == &ours.members.front();
        const std::string_view lead =
            was_inline ? std::string_view() : ours_.substr(item.ours->lead, item.ours->begin - item.ours->lead);
        begin_member(lead, indent, inline_here, out);
        out.append(ours_.substr(item.ours->begin, item.ours->value.begin - item.ours->begin));
        write_value(item.value, &item.ours->value, out);
      } else {
        const Member& member = *item.theirs;
        const std::string there = column_of(theirs_, member.begin);
        // Comments come along, indented as here.
        std::string lead;
        if (theirs_.substr(member.lead, member.begin - member.lead).find('\n') != std::string_view::npos) {
          const std::string_view comments = theirs_.substr(member.lead, member.begin - member.lead);
          append_lines(comments.substr(0, comments.rfind('\n') + 1), there, indent, lead);
          lead += indent;
        }
        begin_member(lead, indent, inline_here, out);
        append_indented(theirs_.substr(member.begin, member.value.end - member.begin), there, indent, out);
      }
      first = false;
    }
  }

  std::string indent_at(std::string_view text, std::size_t anchor) const override { return column_of(text, anchor); }

 private:
  // As many spaces as the column of `at`.
  static std::string column_of(std::string_view text, std::size_t at) {
    const std::size_t newline = at == 0 ? std::string_view::npos : text.rfind('\n', at - 1);
    return std::string(at - (newline == std::string_view::npos ? 0 : newline + 1), ' ');
  }
  // `lead`: lines of comments, then the indent; empty: the indent alone.
  static void begin_member(std::string_view lead, std::string_view indent, bool inline_here, std::string& out) {
    const bool has_lines = lead.find('\n') != std::string_view::npos;
    if (inline_here && !has_lines) return;  // Behind the dash.
    if (inline_here) {
      while (!out.empty() && out.back() == ' ') out.pop_back();
      out += '\n';
    }
    out.append(has_lines ? lead : indent);
  }
  // append_indented() for text that begins at a line's beginning.
  static void append_lines(std::string_view text, std::string_view from, std::string_view to, std::string& out) {
    for (std::size_t at = 0; at < text.size();) {
      const std::size_t end = std::min(text.find('\n', at), text.size() - 1) + 1;
      std::string_view line = text.substr(at, end - at);
      if (line.starts_with(from) && line.find_first_not_of(" \r\n") != std::string_view::npos) {
        out.append(to);
        line.remove_prefix(from.size());
      }
      out.append(line);
      at = end;
    }
  }
};

}  // namespace

std::string write_yaml(const Merged& merged, std::string_view ours, const Value& ours_root, std::string_view theirs) {
  return YamlWriter(ours, theirs).write(merged, ours_root);
}

}  // namespace st8::state::merge
