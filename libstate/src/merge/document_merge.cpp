#include "merge/document_merge.h"

#include <algorithm>
#include <unordered_map>

#include "merge/json_merge.h"
#include "merge/json_scan.h"
#include "merge/sequence_merge.h"
#include "merge/yaml_merge.h"
#include "merge/yaml_scan.h"
#include "st8/state/text.h"

namespace st8::state::merge {
namespace {

bool ends_with_ignoring_case(std::string_view text, std::string_view end) {
  if (text.size() < end.size()) return false;
  return std::equal(end.begin(), end.end(), text.end() - static_cast<std::ptrdiff_t>(end.size()),
                    [](char a, char b) { return a == (b >= 'A' && b <= 'Z' ? static_cast<char>(b - 'A' + 'a') : b); });
}
bool is_text(std::string_view content) {
  return content.find('\0') == std::string_view::npos && is_valid_utf8(content);
}

std::optional<std::string> copy_of(std::optional<std::string_view> content) {
  return content ? std::optional<std::string>(*content) : std::nullopt;
}

DocumentMerge whole_conflict(const Sides& sides, ConflictSide prefer) {
  DocumentMerge merge;
  merge.conflicts.push_back({"", copy_of(sides.base), copy_of(sides.ours), copy_of(sides.theirs)});
  merge.content = copy_of(prefer == ConflictSide::kTheirs ? sides.theirs : sides.ours);
  return merge;
}

// Lines keep their breaks, so that a missing last one is a difference of that line.
class Lines {
 public:
  std::vector<std::string_view> split(std::string_view text, std::vector<Symbol>& symbols) {
    std::vector<std::string_view> lines;
    for (std::size_t at = 0; at < text.size();) {
      const std::size_t end = std::min(text.find('\n', at), text.size() - 1) + 1;
      lines.push_back(text.substr(at, end - at));
      symbols.push_back(known_.try_emplace(lines.back(), static_cast<Symbol>(known_.size())).first->second);
      at = end;
    }
    return lines;
  }

 private:
  std::unordered_map<std::string_view, Symbol> known_;
};

std::string join(const std::vector<std::string_view>& lines, std::size_t begin, std::size_t end) {
  std::string out;
  for (; begin < end; ++begin) out.append(lines[begin]);
  return out;
}

DocumentMerge merge_lines(const Sides& sides, ConflictSide prefer) {
  Lines known;
  std::vector<Symbol> base_symbols, our_symbols, their_symbols;
  const auto base = known.split(sides.base.value_or(std::string_view()), base_symbols);
  const auto ours = known.split(*sides.ours, our_symbols);
  const auto theirs = known.split(*sides.theirs, their_symbols);
  DocumentMerge merge;
  std::string content;
  for (const Region& region : merge_sequences(base_symbols, our_symbols, their_symbols)) {
    bool take_theirs = region.kind == Region::Kind::kTheirs;
    if (region.kind == Region::Kind::kConflict) {
      merge.conflicts.push_back(
          {"", sides.base ? std::optional(join(base, region.base_begin, region.base_end)) : std::nullopt,
           join(ours, region.ours_begin, region.ours_end), join(theirs, region.theirs_begin, region.theirs_end)});
      take_theirs = prefer == ConflictSide::kTheirs;
    }
    content += take_theirs ? join(theirs, region.theirs_begin, region.theirs_end)
                           : join(ours, region.ours_begin, region.ours_end);
  }
  merge.content = std::move(content);
  return merge;
}

using Scan = std::optional<Value> (*)(std::string_view);
using Write = std::string (*)(const Merged&, std::string_view ours, const Value& ours_root, std::string_view theirs);

// nullopt: a side has no structure, or the outcome could not be written in ours' text.
std::optional<DocumentMerge> merge_structure(const Sides& sides, ConflictSide prefer, Scan scan, Write write) {
  std::optional<Value> base;
  if (sides.base) {
    base = scan(*sides.base);
    if (!base) return std::nullopt;
  }
  const std::optional<Value> ours = scan(*sides.ours);
  if (!ours) return std::nullopt;
  const std::optional<Value> theirs = scan(*sides.theirs);
  if (!theirs) return std::nullopt;
  DocumentMerge merge;
  const Merged merged = merge_values({sides.base.value_or(std::string_view()), base ? &*base : nullptr},
                                     {*sides.ours, &*ours}, {*sides.theirs, &*theirs}, prefer, merge.conflicts);
  if (!merge.conflicts.empty() && prefer == ConflictSide::kNone) return merge;
  std::string content = write(merged, *sides.ours, *ours, *sides.theirs);
  const std::optional<Value> written = scan(content);
  if (!written || !is_outcome(*written, merged)) return std::nullopt;
  merge.content = std::move(content);
  return merge;
}

std::optional<DocumentMerge> merge_yaml(const Sides& sides, ConflictSide prefer) {
  // Every line with a break; ours' last one goes again if it had none.
  const auto broken = [](std::optional<std::string_view> text) {
    std::optional<std::string> out = copy_of(text);
    if (out && !out->empty() && out->back() != '\n') *out += '\n';
    return out;
  };
  const std::optional<std::string> base = broken(sides.base), ours = broken(sides.ours), theirs = broken(sides.theirs);
  auto merge = merge_structure({base, ours, theirs}, prefer, scan_yaml, write_yaml);
  if (merge && merge->content && ours->size() != sides.ours->size() && merge->content->ends_with('\n'))
    merge->content->pop_back();
  return merge;
}

bool looks_like_json(std::string_view content) {
  const auto first = content.find_first_not_of(" \t\r\n");
  return first != std::string_view::npos && (content[first] == '{' || content[first] == '[');
}

}  // namespace

DocumentMerge merge_document(std::string_view key, const Sides& sides, ConflictSide prefer) {
  DocumentMerge merge;
  if (sides.ours == sides.theirs || sides.base == sides.theirs) {
    merge.content = copy_of(sides.ours);
    return merge;
  }
  if (sides.base == sides.ours) {
    merge.content = copy_of(sides.theirs);
    return merge;
  }
  if (!sides.ours || !sides.theirs) return whole_conflict(sides, prefer);
  if ((sides.base && !is_text(*sides.base)) || !is_text(*sides.ours) || !is_text(*sides.theirs))
    return whole_conflict(sides, prefer);

  const std::size_t largest = std::max({sides.base ? sides.base->size() : 0, sides.ours->size(), sides.theirs->size()});
  const bool yaml = ends_with_ignoring_case(key, ".yaml") || ends_with_ignoring_case(key, ".yml");
  const bool json =
      ends_with_ignoring_case(key, ".json") || (looks_like_json(*sides.ours) && looks_like_json(*sides.theirs));
  if (json && largest <= kJsonBytesMax) {
    if (auto structured = merge_structure(sides, prefer, scan_json, write_json)) return std::move(*structured);
  }
  if (yaml && largest <= kYamlBytesMax) {
    if (auto structured = merge_yaml(sides, prefer)) return std::move(*structured);
  }
  // Without a base there are no lines to tell changes by.
  if (!sides.base) return whole_conflict(sides, prefer);
  merge = merge_lines(sides, prefer);
  // Lines know nothing of structure: what was sound on all sides must stay so.
  if (merge.content && (merge.conflicts.empty() || prefer != ConflictSide::kNone)) {
    const auto broken = [&](auto is_sound) {
      return is_sound(*sides.base) && is_sound(*sides.ours) && is_sound(*sides.theirs) && !is_sound(*merge.content);
    };
    if (json && largest <= kJsonBytesMax && broken([](std::string_view text) { return scan_json(text).has_value(); }))
      return whole_conflict(sides, prefer);
    if (yaml && largest <= kYamlBytesMax && broken([](std::string_view text) { return is_yaml(text); }))
      return whole_conflict(sides, prefer);
  }
  return merge;
}

}  // namespace st8::state::merge
