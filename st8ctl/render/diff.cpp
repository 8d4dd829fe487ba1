#include "render/diff.h"

#include <algorithm>
#include <dtl/dtl.hpp>
#include <utility>

#include "st8/state/text.h"

namespace st8::ctl {
namespace {

// Beyond this many steps of the edit graph the middle is shown as replaced: a diff that takes minutes helps nobody.
constexpr std::size_t kLinesMax = 20'000;

using Lines = std::vector<std::string_view>;

Lines split_lines(std::string_view text) {
  Lines lines;
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    // The line feed belongs to the line: "a" and "a\n" differ.
    const std::size_t length = end == std::string_view::npos ? text.size() : end + 1;
    lines.push_back(text.substr(0, length));
    text.remove_prefix(length);
  }
  return lines;
}

bool is_text(std::string_view content) {
  return content.find('\0') == std::string_view::npos && is_valid_utf8(content);
}

struct Edit {
  char mark;  // ' ', '-' or '+'
  std::string_view line;
};

std::vector<Edit> edits_between(const Lines& before, const Lines& after) {
  std::size_t head = 0;
  while (head < before.size() && head < after.size() && before[head] == after[head]) ++head;
  std::size_t tail = 0;
  while (tail < before.size() - head && tail < after.size() - head &&
         before[before.size() - 1 - tail] == after[after.size() - 1 - tail]) {
    ++tail;
  }
  std::vector<Edit> edits;
  edits.reserve(before.size() + after.size());
  for (std::size_t i = 0; i < head; ++i) edits.push_back({' ', before[i]});
  Lines old_middle(before.begin() + static_cast<std::ptrdiff_t>(head),
                   before.end() - static_cast<std::ptrdiff_t>(tail));
  Lines new_middle(after.begin() + static_cast<std::ptrdiff_t>(head), after.end() - static_cast<std::ptrdiff_t>(tail));
  if (old_middle.empty() || new_middle.empty() || old_middle.size() + new_middle.size() > kLinesMax) {
    for (const std::string_view line : old_middle) edits.push_back({'-', line});
    for (const std::string_view line : new_middle) edits.push_back({'+', line});
  } else {
    dtl::Diff<std::string_view, Lines> diff(old_middle, new_middle);
    diff.onHuge();
    diff.compose();
    // Within a run of changes dtl may mix the two; readers expect what goes first, then what comes.
    std::vector<Edit> added;
    const auto close_run = [&] {
      edits.insert(edits.end(), added.begin(), added.end());
      added.clear();
    };
    for (const auto& [line, info] : diff.getSes().getSequence()) {
      if (info.type == dtl::SES_ADD) {
        added.push_back({'+', line});
      } else if (info.type == dtl::SES_DELETE) {
        edits.push_back({'-', line});
      } else {
        close_run();
        edits.push_back({' ', line});
      }
    }
    close_run();
  }
  for (std::size_t i = before.size() - tail; i < before.size(); ++i) edits.push_back({' ', before[i]});
  return edits;
}

std::string range(std::size_t first, std::size_t count) {
  // A hunk without lines on one side names the line before it.
  if (count == 0) return std::to_string(first) + ",0";
  if (count == 1) return std::to_string(first + 1);
  return std::to_string(first + 1) + "," + std::to_string(count);
}

std::string shown_key(std::string_view key) { return printable(key); }

}  // namespace

std::string unified_diff(std::string_view key, const DiffSide& before, const DiffSide& after, std::size_t context,
                         const Output& output) {
  if (before.content == after.content) return {};
  const std::string old_text = before.content.value_or("");
  const std::string new_text = after.content.value_or("");
  std::string out = output.painted("1", "--- " + (before.content ? shown_key(key) : "/dev/null")) + "\n" +
                    output.painted("1", "+++ " + (after.content ? shown_key(key) : "/dev/null")) + "\n";
  if (!is_text(old_text) || !is_text(new_text)) {
    const auto size = [](const DiffSide& side) {
      return side.content ? std::to_string(side.content->size()) + " bytes" : "none";
    };
    return out + "Binary content differs: " + size(before) + " -> " + size(after) + "\n";
  }
  const std::vector<Edit> edits = edits_between(split_lines(old_text), split_lines(new_text));
  std::size_t old_line = 0;
  std::size_t new_line = 0;
  std::size_t i = 0;
  while (i < edits.size()) {
    if (edits[i].mark == ' ') {
      ++i;
      ++old_line;
      ++new_line;
      continue;
    }
    // A hunk: from `context` lines before this change, until more than twice that many lines stay the same.
    const std::size_t lead = std::min(context, i);
    // What precedes the first change is all context, and what precedes a later one is at least so between hunks.
    std::size_t start = i;
    while (start > 0 && i - start < lead && edits[start - 1].mark == ' ') --start;
    std::size_t end = i;
    std::size_t same = 0;
    for (std::size_t j = i; j < edits.size(); ++j) {
      if (edits[j].mark == ' ') {
        if (++same > 2 * context) break;
      } else {
        same = 0;
        end = j + 1;
      }
    }
    std::size_t stop = end;
    while (stop < edits.size() && stop - end < context && edits[stop].mark == ' ') ++stop;
    const std::size_t old_first = old_line - (i - start);
    const std::size_t new_first = new_line - (i - start);
    std::size_t old_count = 0;
    std::size_t new_count = 0;
    std::string body;
    for (std::size_t j = start; j < stop; ++j) {
      if (edits[j].mark != '+') ++old_count;
      if (edits[j].mark != '-') ++new_count;
      std::string_view line = edits[j].line;
      const bool ends = line.ends_with('\n');
      if (ends) line.remove_suffix(1);
      const std::string text = std::string(1, edits[j].mark) + std::string(line);
      body += edits[j].mark == ' ' ? text : output.painted(edits[j].mark == '-' ? "31" : "32", text);
      body += '\n';
      if (!ends) body += "\\ No newline at end of file\n";
    }
    out += output.painted("36", "@@ -" + range(old_first, old_count) + " +" + range(new_first, new_count) + " @@") +
           "\n" + body;
    for (std::size_t j = i; j < stop; ++j) {
      if (edits[j].mark != '+') ++old_line;
      if (edits[j].mark != '-') ++new_line;
    }
    i = stop;
  }
  return out;
}

DiffCounts count_diff(const DiffSide& before, const DiffSide& after) {
  DiffCounts counts;
  const std::string old_text = before.content.value_or("");
  const std::string new_text = after.content.value_or("");
  if (!is_text(old_text) || !is_text(new_text)) {
    counts.binary = true;
    return counts;
  }
  for (const Edit& edit : edits_between(split_lines(old_text), split_lines(new_text))) {
    if (edit.mark == '+') ++counts.inserted;
    if (edit.mark == '-') ++counts.deleted;
  }
  return counts;
}

}  // namespace st8::ctl
