#include "merge/value_merge.h"

#include <algorithm>
#include <unordered_map>

#include "merge/sequence_merge.h"

namespace st8::state::merge {
namespace {

void append_pointer(std::string& path, std::string_view key) {
  path += '/';
  for (const char c : key) {
    if (c == '~')
      path += "~0";
    else if (c == '/')
      path += "~1";
    else
      path += c;
  }
}

std::optional<std::string> span_of(std::string_view text, const Value* value) {
  if (value == nullptr) return std::nullopt;
  std::string_view span = text.substr(value->begin, value->end - value->begin);
  const auto first = span.find_first_not_of(" \t\r\n");
  if (first == std::string_view::npos) return std::string();
  return std::string(span.substr(first, span.find_last_not_of(" \t\r\n") - first + 1));
}

// Finds members of a map by key and occurrence; of one that is absent, nothing.
class Index {
 public:
  explicit Index(const Value* map) {
    if (map == nullptr) return;
    for (std::size_t i = 0; i < map->members.size(); ++i)
      by_key_.emplace(Name{map->members[i].key, map->members[i].occurrence}, i);
    map_ = map;
  }
  std::optional<std::size_t> find(const Member& like) const {
    const auto found = by_key_.find(Name{like.key, like.occurrence});
    if (found == by_key_.end()) return std::nullopt;
    return found->second;
  }
  const Value* value(const Member& like) const {
    const auto at = find(like);
    return at ? &map_->members[*at].value : nullptr;
  }

 private:
  struct Name {
    std::string_view key;
    std::size_t occurrence;
    bool operator==(const Name&) const = default;
  };
  struct NameHash {
    std::size_t operator()(const Name& name) const {
      return std::hash<std::string_view>{}(name.key) ^ (name.occurrence * 0x9e3779b97f4a7c15u);
    }
  };
  std::unordered_map<Name, std::size_t, NameHash> by_key_;
  const Value* map_ = nullptr;
};

// Numbers for list elements: equal ones get equal numbers.
class Symbols {
 public:
  std::vector<Symbol> of(const Value& list) {
    std::vector<Symbol> symbols;
    for (const Member& member : list.members) symbols.push_back(symbol(member.value));
    return symbols;
  }

 private:
  Symbol symbol(const Value& value) {
    std::vector<Symbol>& candidates = by_digest_[value.digest];
    for (const Symbol candidate : candidates) {
      if (same(*values_[candidate], value)) return candidate;
    }
    candidates.push_back(static_cast<Symbol>(values_.size()));
    values_.push_back(&value);
    return candidates.back();
  }
  std::unordered_map<std::uint64_t, std::vector<Symbol>> by_digest_;
  std::vector<const Value*> values_;
};

class Merger {
 public:
  Merger(std::string_view base, std::string_view ours, std::string_view theirs, ConflictSide prefer,
         std::vector<Conflict>& conflicts)
      : base_(base), ours_(ours), theirs_(theirs), prefer_(prefer), conflicts_(conflicts) {}

  Merged merge(const Value* b, const Value& o, const Value& t) {
    if (same(o, t) || (b != nullptr && same(*b, t))) return take_ours(o);
    if (b != nullptr && same(*b, o)) return take_theirs(t);
    const auto all = [&](Shape shape) {
      return o.shape == shape && t.shape == shape && (b == nullptr || b->shape == shape);
    };
    if (all(Shape::kMap)) return merge_maps(b, o, t);
    if (b != nullptr && all(Shape::kList)) return merge_lists(*b, o, t);
    return conflict(b, o, t);
  }

 private:
  static Merged take_ours(const Value& o) {
    Merged merged;
    merged.ours = &o;
    return merged;
  }
  static Merged take_theirs(const Value& t) {
    Merged merged;
    merged.from = Merged::From::kTheirs;
    merged.theirs = &t;
    return merged;
  }
  bool prefers_theirs() const { return prefer_ == ConflictSide::kTheirs; }
  void report(const Value* b, const Value* o, const Value* t) {
    conflicts_.push_back({path_, span_of(base_, b), span_of(ours_, o), span_of(theirs_, t)});
  }
  Merged conflict(const Value* b, const Value& o, const Value& t) {
    report(b, &o, &t);
    return prefers_theirs() ? take_theirs(t) : take_ours(o);
  }
  // Appends a step to the path for as long as it lives.
  class Step {
   public:
    Step(Merger& merger, std::string_view key) : path_(merger.path_), size_(path_.size()) {
      append_pointer(path_, key);
    }
    ~Step() { path_.resize(size_); }
    Step(const Step&) = delete;
    Step& operator=(const Step&) = delete;

   private:
    std::string& path_;
    const std::size_t size_;
  };

  Merged merge_maps(const Value* b, const Value& o, const Value& t) {
    Merged merged;
    merged.from = Merged::From::kMixed;
    merged.ours = &o;
    const Index in_base(b), in_ours(&o), in_theirs(&t);

    // Theirs' own members come behind the one that they follow there.
    std::vector<std::vector<const Member*>> behind(t.members.size() + 1);
    std::size_t place = 0;
    for (std::size_t i = 0; i < t.members.size(); ++i) {
      const Member& member = t.members[i];
      if (in_ours.find(member)) {
        place = i + 1;
        continue;
      }
      if (const Value* was = in_base.value(member)) {
        if (same(*was, member.value)) continue;  // Ours removed it.
        const Step step(*this, member.key);
        report(was, nullptr, &member.value);
        if (!prefers_theirs()) continue;
      }
      behind[place].push_back(&member);
    }
    const auto insert = [&](std::size_t at) {
      for (const Member* member : behind[at]) {
        merged.items.push_back({nullptr, member, take_theirs(member->value)});
        merged.members_changed = true;
      }
      behind[at].clear();
    };

    insert(0);
    for (const Member& member : o.members) {
      const Value* const was = in_base.value(member);
      const Step step(*this, member.key);
      if (const auto at = in_theirs.find(member)) {
        merged.items.push_back({&member, nullptr, merge(was, member.value, t.members[*at].value)});
        insert(*at + 1);
        continue;
      }
      bool keep = was == nullptr;  // Ours added it; else theirs removed it.
      if (was != nullptr && !same(*was, member.value)) {
        report(was, &member.value, nullptr);
        keep = !prefers_theirs();
      }
      if (keep) {
        merged.items.push_back({&member, nullptr, take_ours(member.value)});
      } else {
        merged.members_changed = true;
      }
    }
    return merged;
  }

  Merged merge_lists(const Value& b, const Value& o, const Value& t) {
    Merged merged;
    merged.from = Merged::From::kMixed;
    merged.ours = &o;
    const auto by_position = [&](std::size_t in_base, std::size_t in_ours, std::size_t in_theirs, std::size_t count) {
      for (std::size_t i = 0; i < count; ++i) {
        const Step step(*this, std::to_string(in_ours + i));
        const Member& member = o.members[in_ours + i];
        merged.items.push_back(
            {&member, nullptr, merge(&b.members[in_base + i].value, member.value, t.members[in_theirs + i].value)});
      }
    };
    if (b.members.size() == o.members.size() && b.members.size() == t.members.size()) {
      by_position(0, 0, 0, b.members.size());
      return merged;
    }
    Symbols symbols;
    const std::vector<Symbol> base = symbols.of(b), ours = symbols.of(o), theirs = symbols.of(t);
    const std::vector<Region> regions = merge_sequences(base, ours, theirs);
    for (const Region& region : regions) {
      const std::size_t count = region.base_end - region.base_begin;
      if (region.kind == Region::Kind::kConflict &&
          (region.ours_end - region.ours_begin != count || region.theirs_end - region.theirs_begin != count)) {
        return conflict(&b, o, t);
      }
    }
    for (const Region& region : regions) {
      switch (region.kind) {
        case Region::Kind::kTheirs:
          for (std::size_t i = region.theirs_begin; i < region.theirs_end; ++i) {
            merged.items.push_back({nullptr, &t.members[i], take_theirs(t.members[i].value)});
          }
          merged.members_changed = true;
          break;
        case Region::Kind::kConflict:
          by_position(region.base_begin, region.ours_begin, region.theirs_begin, region.base_end - region.base_begin);
          break;
        default:
          for (std::size_t i = region.ours_begin; i < region.ours_end; ++i) {
            merged.items.push_back({&o.members[i], nullptr, take_ours(o.members[i].value)});
          }
      }
    }
    return merged;
  }

  const std::string_view base_, ours_, theirs_;
  const ConflictSide prefer_;
  std::vector<Conflict>& conflicts_;
  std::string path_;
};

}  // namespace

Merged merge_values(const MergeSide& base, const MergeSide& ours, const MergeSide& theirs, ConflictSide prefer,
                    std::vector<Conflict>& conflicts) {
  return Merger(base.text, ours.text, theirs.text, prefer, conflicts).merge(base.root, *ours.root, *theirs.root);
}

bool is_outcome(const Value& value, const Merged& merged) {
  if (merged.from == Merged::From::kOurs) return same(value, *merged.ours);
  if (merged.from == Merged::From::kTheirs) return same(value, *merged.theirs);
  if (value.shape != merged.ours->shape || value.members.size() != merged.items.size()) return false;
  for (std::size_t i = 0; i < merged.items.size(); ++i) {
    const Merged::Item& item = merged.items[i];
    const Member& decided = item.ours != nullptr ? *item.ours : *item.theirs;
    if (value.members[i].key != decided.key || !is_outcome(value.members[i].value, item.value)) return false;
  }
  return true;
}

std::string Writer::write(const Merged& root, const Value& ours_root) {
  std::string out(ours_.substr(0, ours_root.begin));
  write_value(root, &ours_root, out);
  out.append(ours_.substr(ours_root.end));
  return out;
}

void Writer::write_value(const Merged& merged, const Value* ours_place, std::string& out) {
  switch (merged.from) {
    case Merged::From::kOurs:
      out.append(ours_.substr(merged.ours->begin, merged.ours->end - merged.ours->begin));
      return;
    case Merged::From::kTheirs:
      append_indented(theirs_.substr(merged.theirs->begin, merged.theirs->end - merged.theirs->begin),
                      indent_at(theirs_, merged.theirs->anchor), indent_at(ours_, ours_place->anchor), out);
      return;
    case Merged::From::kMixed:
      break;
  }
  if (merged.members_changed) return write_members(merged, out);
  std::size_t at = merged.ours->begin;
  for (const Merged::Item& item : merged.items) {
    const Value& place = item.ours->value;
    out.append(ours_.substr(at, place.begin - at));
    write_value(item.value, &place, out);
    at = place.end;
  }
  out.append(ours_.substr(at, merged.ours->end - at));
}

void Writer::append_indented(std::string_view text, std::string_view from, std::string_view to, std::string& out) {
  if (from == to) {
    out.append(text);
    return;
  }
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size() - 1) + 1;
    std::string_view line = text.substr(at, end - at);
    if (at > 0 && line.starts_with(from) && line.find_first_not_of(" \t\r\n") != std::string_view::npos) {
      out.append(to);
      line.remove_prefix(from.size());
    }
    out.append(line);
    at = end;
  }
}

std::string_view Writer::indent_of(std::string_view text, std::size_t at) {
  const std::size_t newline = at == 0 ? std::string_view::npos : text.rfind('\n', at - 1);
  const std::size_t begin = newline == std::string_view::npos ? 0 : newline + 1;
  std::size_t end = begin;
  while (end < text.size() && (text[end] == ' ' || text[end] == '\t')) ++end;
  return text.substr(begin, end - begin);
}

}  // namespace st8::state::merge
