// JSON as text again: ours stays as it is written, but for what changes.
#include "merge/json_merge.h"

namespace st8::state::merge {
namespace {

class JsonWriter final : public Writer {
 public:
  using Writer::Writer;

 protected:
  void write_members(const Merged& merged, std::string& out) override {
    const Value& ours = *merged.ours;
    out += ours_[ours.begin];
    if (!merged.items.empty()) {
      const Style style = style_of(ours, merged);
      for (std::size_t i = 0; i < merged.items.size(); ++i) {
        if (i > 0) out += ',';
        write_item(merged.items[i], i, style, ours, out);
      }
      out.append(style.tail);
    }
    out += ours_[ours.end - 1];
  }

 private:
  struct Style {
    std::string first_lead, lead;  // Before the first member, and before the others.
    std::string tail;              // Before the closing bracket.
    std::string indent;            // Of a member's line.
  };

  static std::string_view last_line(std::string_view lead) {
    const auto newline = lead.rfind('\n');
    return newline == std::string_view::npos ? std::string_view() : lead.substr(newline + 1);
  }
  static std::string_view lead_of(std::string_view text, const Member& member) {
    return text.substr(member.lead, member.begin - member.lead);
  }

  Style style_of(const Value& ours, const Merged& merged) const {
    Style style;
    if (!ours.members.empty()) {
      const auto& members = ours.members;
      style.first_lead = lead_of(ours_, members.front());
      style.lead = members.size() > 1                                 ? std::string(lead_of(ours_, members[1]))
                   : style.first_lead.find('\n') != std::string::npos ? style.first_lead
                                                                      : std::string(" ");
      style.tail = ours_.substr(members.back().value.end, ours.end - 1 - members.back().value.end);
      style.indent = style.lead.find('\n') != std::string::npos ? std::string(last_line(style.lead))
                                                                : std::string(indent_of(ours_, ours.begin));
      return style;
    }
    // Ours is empty here: as theirs is written, moved to where ours stands.
    for (const Merged::Item& item : merged.items) {
      if (item.theirs == nullptr) continue;
      const std::string_view lead = lead_of(theirs_, *item.theirs);
      const std::string_view here = indent_of(ours_, ours.begin), there = indent_of(theirs_, item.theirs->begin);
      if (lead.find('\n') == std::string_view::npos) {
        style.lead = " ";
        style.indent = here;
        return style;
      }
      // One step deeper than here, and a step is what theirs' member has over the line of its container.
      const std::string_view above = enclosing_indent(item.theirs->lead);
      const std::string_view step = there.starts_with(above) ? there.substr(above.size()) : std::string_view("  ");
      style.indent = std::string(here).append(step);
      style.first_lead = style.lead = "\n" + style.indent;
      style.tail = "\n" + std::string(here);
      return style;
    }
    return style;
  }
  // The indent of the line that the container of theirs' member at `lead` opens on: the first line above that is
  // indented less is not searched for; a member's lead follows its container's bracket or a comma.
  std::string_view enclosing_indent(std::size_t lead) const {
    std::size_t depth = 0;
    bool in_string = false;
    for (std::size_t at = lead; at > 0; --at) {
      const char c = theirs_[at - 1];
      if (c == '"') {
        std::size_t slashes = 0;
        while (at - 1 > slashes && theirs_[at - 2 - slashes] == '\\') ++slashes;
        if (slashes % 2 == 0) in_string = !in_string;
      }
      if (in_string) continue;
      if (c == '}' || c == ']') ++depth;
      if (c == '{' || c == '[') {
        if (depth == 0) return indent_of(theirs_, at - 1);
        --depth;
      }
    }
    return {};
  }

  void write_item(const Merged::Item& item, std::size_t position, const Style& style, const Value& ours,
                  std::string& out) {
    const bool was_first = !ours.members.empty() && item.ours == &ours.members.front();
    if (position == 0) {
      out.append(style.first_lead);
    } else {
      out.append(item.ours != nullptr && !was_first ? lead_of(ours_, *item.ours) : std::string_view(style.lead));
    }
    if (item.ours != nullptr) {
      out.append(ours_.substr(item.ours->begin, item.ours->value.begin - item.ours->begin));
      write_value(item.value, &item.ours->value, out);
    } else {
      const Member& member = *item.theirs;
      append_indented(theirs_.substr(member.begin, member.value.end - member.begin), indent_of(theirs_, member.begin),
                      style.indent, out);
    }
  }
};

}  // namespace

std::string write_json(const Merged& merged, std::string_view ours, const Value& ours_root, std::string_view theirs) {
  return JsonWriter(ours, theirs).write(merged, ours_root);
}

}  // namespace st8::state::merge
