#include "tree/delta.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <cstring>

#include "tree/cursor.h"

namespace st8::state::tree {
namespace {

// A body's first byte. Whole bodies have 1 (node.cpp).
constexpr char kDifference = 2;
constexpr std::size_t kChecksumBytes = 4;
static_assert(2 * kEntriesMax <= 255, "the number of changes is one byte");

enum class ChangeKind : std::uint8_t { kReplace = 0, kInsert = 1, kRemove = 2 };

tl::unexpected<Error> corrupt(std::string what) {
  return fail(ErrorCode::kCorrupt, "a stored tree node is damaged: " + std::move(what),
              "run `st8d fsck`, and restore from a backup what it names");
}

std::uint64_t name_word(const Hash& name) {
  std::uint64_t word;
  std::memcpy(&word, name.bytes.data(), sizeof word);
  return word;
}

template <class T>
void append_fixed(std::string& out, T value) {
  char bytes[sizeof value];
  std::memcpy(bytes, &value, sizeof value);
  out.append(bytes, sizeof value);
}
void append_varint(std::string& out, std::uint64_t value) {
  for (; value >= 0x80; value >>= 7) out.push_back(static_cast<char>(value | 0x80));
  out.push_back(static_cast<char>(value));
}

// Reads from the front; once something was missing, ok() is false and every read gives zeros.
class Reader {
 public:
  explicit Reader(std::string_view bytes) : bytes_(bytes) {}
  bool ok() const { return ok_; }
  bool at_end() const { return bytes_.empty(); }
  std::string_view take(std::size_t size) {
    if (size > bytes_.size()) {
      ok_ = false;
      bytes_ = {};
      return {};
    }
    const auto taken = bytes_.substr(0, size);
    bytes_.remove_prefix(size);
    return taken;
  }
  template <class T>
  T fixed() {
    T value{};
    if (const auto taken = take(sizeof value); !taken.empty()) std::memcpy(&value, taken.data(), sizeof value);
    return value;
  }
  std::uint64_t varint() {
    std::uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
      const auto byte = fixed<std::uint8_t>();
      if (shift == 63 && byte > 1) break;
      value |= std::uint64_t{byte & 0x7fu} << shift;
      if (byte < 0x80) return value;
    }
    ok_ = false;
    return 0;
  }

 private:
  std::string_view bytes_;
  bool ok_ = true;
};

void append_entry(std::string& out, std::uint8_t level, const NodeEntry& entry) {
  out.append(entry.hash.view());
  if (level != 0) append_varint(out, entry.documents);
  append_varint(out, entry.bytes);
  append_varint(out, entry.written_at.value);
}

std::size_t common_prefix(std::string_view a, std::string_view b) {
  const auto size = std::min(a.size(), b.size());
  return static_cast<std::size_t>(std::mismatch(a.begin(), a.begin() + size, b.begin()).first - a.begin());
}

// A difference, change by change in order of position.
class DeltaWriter {
 public:
  DeltaWriter(const Hash& base_name, RevisionNumber base_written_at, std::uint8_t step, const Node& node)
      : node_(node) {
    body_.reserve(128);
    body_.push_back(kDifference);
    body_.push_back(static_cast<char>(step));
    append_fixed(body_, name_word(base_name));
    append_varint(body_, base_written_at.value);
    count_at_ = body_.size();
    body_.push_back(0);
  }
  void replace(std::size_t in_base, std::size_t in_node) {
    begin_change(in_base, ChangeKind::kReplace);
    append_entry(body_, node_.level(), node_.entry(in_node));
  }
  void insert(std::size_t in_base, std::size_t in_node, std::string_view key_before, std::string_view key) {
    begin_change(in_base, ChangeKind::kInsert);
    const std::size_t shared = common_prefix(key_before, key);
    append_fixed(body_, static_cast<std::uint16_t>(shared));
    append_fixed(body_, static_cast<std::uint16_t>(key.size() - shared));
    body_.append(key.substr(shared));
    append_entry(body_, node_.level(), node_.entry(in_node));
  }
  void remove(std::size_t in_base) { begin_change(in_base, ChangeKind::kRemove); }
  std::string finish() && {
    body_[count_at_] = static_cast<char>(changes_);
    append_fixed(body_, checksum(body_));
    return std::move(body_);
  }

 private:
  void begin_change(std::size_t position, ChangeKind kind) {
    ++changes_;
    body_.push_back(static_cast<char>(position));
    body_.push_back(static_cast<char>(kind));
  }

  const Node& node_;
  std::string body_;
  std::size_t count_at_ = 0;
  std::uint8_t changes_ = 0;
};

NodeEntry read_entry(Reader& in, std::uint8_t level) {
  NodeEntry entry;
  entry.hash = in.fixed<Hash>();
  entry.documents = level == 0 ? 1 : in.varint();
  entry.bytes = in.varint();
  entry.written_at.value = in.varint();
  return entry;
}

// The node that `written_at` wrote, and its step must be below `steps`.
Result<std::shared_ptr<Node>> load_version(RevisionNumber written_at, unsigned steps, const StoredVersions& versions) {
  auto stored = versions.body_at(written_at);
  if (!stored) return fail(std::move(stored).error());
  std::string& body = *stored;
  if (!body.starts_with(kDifference)) return Node::decode(std::move(body));
  ST8_ASSIGN(const DeltaHeader header, decode_delta_header(body));
  if (header.step >= steps) return corrupt("it leans on a later version of itself");
  if (header.base_written_at >= written_at) return corrupt("it leans on a later revision");
  const auto base_step = static_cast<std::uint8_t>(header.step & (header.step - 1));

  std::shared_ptr<const Node> base;
  if (versions.at_hand) base = versions.at_hand(header.base_written_at, header.base_name_word);
  if (!base) {
    auto loaded = load_version(header.base_written_at, header.step, versions);
    if (!loaded) {
      Error error = std::move(loaded).error();
      // Its base was kept for its sake, so this is damage and not something pruned.
      if (error.code == ErrorCode::kGone) {
        return corrupt("revision " + std::to_string(header.base_written_at.value) +
                       "'s version, which it is stored as a difference from, is missing");
      }
      return fail(std::move(error));
    }
    base = std::move(*loaded);
    if (versions.keep) versions.keep(header.base_written_at, base);
  }
  if (base->step() != base_step || name_word(base->name()) != header.base_name_word)
    return corrupt("it leans on another version of itself");
  ST8_ASSIGN(auto node, apply_delta(*base, body));
  std::array<Base, kBasesMax> bases;
  const ChangedEntries changed = node->changed_since(*base);
  std::size_t count = 0;
  bases[count++] = {{header.base_written_at, base->name()}, changed};
  for (const Base& each : base->bases()) {
    bases[count] = each;
    bases[count++].changed.add(changed);
  }
  node->set_bases(header.step, std::span(bases.data(), count));
  return node;
}

}  // namespace

Result<std::shared_ptr<const Node>> load(const NodeLocation& location, const Hash& name,
                                         const StoredVersions& versions) {
  ST8_ASSIGN(auto node, load_version(location.written_at, kStepsMax + 1, versions));
  if (node->name() != name) return corrupt("it is called " + name.hex() + " and hashes to " + node->name().hex());
  return node;
}

std::string stored_body(const NodeSource& source, Node& node, const std::shared_ptr<const Node>& before,
                        RevisionNumber before_written_at, const ChangedEntries& changed) {
  if (before->step() == kStepsMax) return node.body();
  // The next step's base is what remains of it without its lowest bit: `before` itself, or one of its bases.
  const auto step = static_cast<std::uint8_t>(before->step() + 1);
  const auto up = static_cast<std::size_t>(std::countr_one(before->step()));
  std::array<Base, kBasesMax> bases;
  std::size_t count = 0;
  if (up == 0) bases[count++] = {{before_written_at, before->name()}, changed};
  for (const Base& base : before->bases().subspan(up == 0 ? 0 : up - 1)) {
    bases[count] = base;
    bases[count++].changed.add(changed);
  }

  std::string body;
  if (bases[0].changed.known()) {
    body = encode_delta(bases[0], step, node);
  } else {
    const Version& version = bases[0].version;
    std::shared_ptr<const Node> base = before;
    if (up != 0) {
      base = source.cached(version.name, version.written_at);
      if (!base) {
        auto loaded = source.node({node.level(), std::string(node.first_key()), version.written_at}, version.name);
        if (!loaded)
          return node.body();  // A base that is damaged or missing must not spoil what is written from now on.
        base = std::move(*loaded);
      }
    }
    body = encode_delta(*base, version.written_at, step, node);
  }
  if (body.size() * 2 > node.body().size()) return node.body();
  node.set_bases(step, std::span(bases.data(), count));
  return body;
}

std::string encode_delta(const Node& base, RevisionNumber base_written_at, std::uint8_t step, const Node& node) {
  DeltaWriter writer(base.name(), base_written_at, step, node);
  const auto replace = [&](std::size_t in_base, std::size_t in_node) {
    if (!node.same_entry(in_node, base, in_base)) writer.replace(in_base, in_node);
  };
  if (node.same_keys(base)) {
    for (std::size_t i = 0; i < node.count(); ++i) replace(i, i);
  } else {
    std::string previous, key;
    std::size_t in_base = 0;
    for (std::size_t i = 0; i < node.count(); ++i) {
      key.clear();
      node.append_key(i, key);
      for (; in_base < base.count() && base.compare_key(in_base, key) < 0; ++in_base) writer.remove(in_base);
      if (in_base < base.count() && base.compare_key(in_base, key) == 0) {
        replace(in_base++, i);
      } else {
        writer.insert(in_base, i, previous, key);
      }
      std::swap(previous, key);
    }
    for (; in_base < base.count(); ++in_base) writer.remove(in_base);
  }
  return std::move(writer).finish();
}

std::string encode_delta(const Base& base, std::uint8_t step, const Node& node) {
  DeltaWriter writer(base.version.name, base.version.written_at, step, node);
  base.changed.each([&](std::size_t index) { writer.replace(index, index); });
  return std::move(writer).finish();
}

Result<DeltaHeader> decode_delta_header(std::string_view body) {
  if (body.size() < kChecksumBytes) return corrupt("it is cut short");
  Reader in(body.substr(0, body.size() - kChecksumBytes));
  Reader end(body.substr(body.size() - kChecksumBytes));
  if (end.fixed<std::uint32_t>() != checksum(body.substr(0, body.size() - kChecksumBytes)))
    return corrupt("it does not match its checksum");
  if (in.fixed<char>() != kDifference) return corrupt("it is not a difference");
  DeltaHeader header;
  header.step = in.fixed<std::uint8_t>();
  header.base_name_word = in.fixed<std::uint64_t>();
  header.base_written_at.value = in.varint();
  if (!in.ok()) return corrupt("it is cut short");
  if (header.step == 0 || header.step > kStepsMax) return corrupt("its step is impossible");
  return header;
}

Result<std::shared_ptr<Node>> apply_delta(const Node& base, std::string_view body) {
  if (body.size() < kChecksumBytes) return corrupt("it is cut short");
  Reader in(body.substr(0, body.size() - kChecksumBytes));
  in.take(2 + sizeof(std::uint64_t));  // Checked with the header.
  in.varint();
  const std::size_t changes = in.fixed<std::uint8_t>();
  const std::uint8_t level = base.level();

  NodeBuilder builder(level);
  std::vector<Node::Update> updates;  // As long as no key has come or gone.
  bool same_keys = true;
  std::size_t at = 0;  // Positions of the base passed so far.
  std::string previous, key;
  const auto keep_until = [&](std::size_t position) {
    for (; at < position; ++at) builder.add(base, at);
  };
  // From updates to a builder, once a key comes or goes.
  const auto leave_same_keys = [&](std::size_t position) {
    if (!same_keys) return;
    same_keys = false;
    at = 0;
    for (const Node::Update& update : updates) {
      keep_until(update.index);
      builder.add(base.key(update.index), update.entry);
      at = update.index + 1;
    }
    keep_until(position);
  };
  for (std::size_t i = 0; i < changes; ++i) {
    const std::size_t position = in.fixed<std::uint8_t>();
    const auto kind = in.fixed<ChangeKind>();
    if (!in.ok()) return corrupt("it is cut short");
    if (position < at || position > base.count() || (kind != ChangeKind::kInsert && position == base.count())) {
      return corrupt("its changes are out of place");
    }
    switch (kind) {
      case ChangeKind::kReplace: {
        const NodeEntry entry = read_entry(in, level);
        if (same_keys) {
          updates.push_back({position, entry});
        } else {
          keep_until(position);
          if (builder.count() == kEntriesMax) return corrupt("it has too many entries");
          builder.add(base.key(position), entry);
        }
        at = position + 1;
        break;
      }
      case ChangeKind::kInsert: {
        leave_same_keys(position);
        keep_until(position);
        const std::size_t shared = in.fixed<std::uint16_t>();
        const std::string_view rest = in.take(in.fixed<std::uint16_t>());
        const NodeEntry entry = read_entry(in, level);
        if (!in.ok()) return corrupt("it is cut short");
        if (builder.empty()) return corrupt("it begins with another key than its base");
        const std::string_view last = builder.key(builder.count() - 1);
        if (shared > last.size() || shared + rest.size() > Limits::kKeyBytesMax) return corrupt("a key is impossible");
        key.assign(last.substr(0, shared)).append(rest);
        if (builder.count() >= kEntriesMax) return corrupt("it has too many entries");
        builder.add(key, entry);
        break;
      }
      case ChangeKind::kRemove: {
        leave_same_keys(position);
        keep_until(position);
        if (position == 0) return corrupt("it begins with another key than its base");
        at = position + 1;
        break;
      }
      default:
        return corrupt("a change is of no known kind");
    }
  }
  if (!in.ok()) return corrupt("it is cut short");
  if (!in.at_end()) return corrupt("bytes follow its end");
  std::shared_ptr<Node> node;
  if (same_keys) {
    node = base.with(updates);
  } else {
    if (builder.count() + (base.count() - at) > kEntriesMax) return corrupt("it has too many entries");
    keep_until(base.count());
    if (!builder.ascending()) return corrupt("its keys are out of order");
    node = builder.finish();
  }
  ST8_TRY(node->validate());
  return node;
}

}  // namespace st8::state::tree
