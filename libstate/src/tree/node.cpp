#include "tree/node.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cassert>
#include <cstring>
#include <limits>

namespace st8::state::tree {
namespace {

// Body (docs/formats.md): one byte for the version; the content, whose SHA-256 is the node's name; the location.
constexpr char kVersion = 1;
constexpr std::size_t kHeaderBytes = 8;  // version, level, count, prefix size (2), widths of ends, bytes and documents.
constexpr std::size_t kChecksumBytes = 4;
static_assert(kEntriesMax <= 255, "the count is one byte");
static_assert(Limits::kKeyBytesMax <= 65'535, "the prefix size is two bytes");
static_assert(std::endian::native == std::endian::little, "columns are little-endian and read as such");

// The least number of bytes that hold `value`; at least one.
std::uint8_t width_of(std::uint64_t value) {
  return static_cast<std::uint8_t>((64 - std::countl_zero(value | 1) + 7) / 8);
}

void append_little_endian(std::string& out, std::uint64_t value, std::size_t width) {
  char bytes[8];
  std::memcpy(bytes, &value, 8);
  out.append(bytes, width);
}

std::size_t common_prefix(std::string_view a, std::string_view b) {
  const auto size = std::min(a.size(), b.size());
  return static_cast<std::size_t>(std::mismatch(a.begin(), a.begin() + size, b.begin()).first - a.begin());
}

tl::unexpected<Error> corrupt(std::string what) {
  return fail(ErrorCode::kCorrupt, "a stored tree node is damaged: " + std::move(what),
              "run `st8d fsck`, and restore from a backup what it names");
}

}  // namespace

Node::Node(Token, std::string body) : body_(std::move(body)) {}

Result<std::shared_ptr<Node>> Node::decode(std::string body) {
  auto node = std::make_shared<Node>(Token{}, std::move(body));
  ST8_TRY(node->layout());
  ST8_TRY(node->validate());
  node->rename();
  return node;
}

void Node::set_bases(std::uint8_t step, std::span<const Base> bases) {
  assert(step <= kStepsMax && bases.size() == static_cast<std::size_t>(std::popcount(step)));
  step_ = step;
  bases_ = bases.empty() ? nullptr : std::make_unique<Base[]>(bases.size());
  std::copy(bases.begin(), bases.end(), bases_.get());
}

bool Node::same_keys(const Node& other) const {
  return count_ == other.count_ &&
         std::string_view(body_).substr(ends_offset_, hash_offset_ - ends_offset_) ==
             std::string_view(other.body_).substr(other.ends_offset_, other.hash_offset_ - other.ends_offset_);
}

ChangedEntries Node::changed_since(const Node& before) const {
  if (!same_keys(before)) return ChangedEntries::unknown();
  ChangedEntries changed;
  for (std::size_t i = 0; i < count_; ++i) {
    if (!same_entry(i, before, i)) changed.add(i);
  }
  return changed;
}

Status Node::layout() {
  const std::size_t size = body_.size();
  if (size < kHeaderBytes) return corrupt("it is shorter than its header");
  if (body_[0] != kVersion) return corrupt("its format version is unknown");
  level_ = static_cast<std::uint8_t>(body_[1]);
  count_ = static_cast<std::uint8_t>(body_[2]);
  prefix_size_ = static_cast<std::uint32_t>(read_little_endian(&body_[3], 2));
  ends_width_ = static_cast<std::uint8_t>(body_[5]);
  bytes_width_ = static_cast<std::uint8_t>(body_[6]);
  documents_width_ = static_cast<std::uint8_t>(body_[7]);
  if (count_ == 0 || count_ > kEntriesMax) return corrupt("it has an impossible number of entries");
  if (ends_width_ < 1 || ends_width_ > 3 || bytes_width_ < 1 || bytes_width_ > 8)
    return corrupt("a column has an impossible width");
  if (level_ == 0 ? documents_width_ != 0 : documents_width_ < 1 || documents_width_ > 8)
    return corrupt("a column has an impossible width");

  const std::size_t count = count_;
  std::size_t at = kHeaderBytes;
  ends_offset_ = static_cast<std::uint32_t>(at);
  at += count * ends_width_;
  prefix_offset_ = static_cast<std::uint32_t>(at);
  at += prefix_size_;
  rests_offset_ = static_cast<std::uint32_t>(at);
  if (at > size) return corrupt("it is cut short");
  at += column(ends_offset_, ends_width_, count - 1);
  hash_offset_ = static_cast<std::uint32_t>(at);
  at += count * Hash::kSize;
  documents_offset_ = static_cast<std::uint32_t>(at);
  at += count * documents_width_;
  bytes_offset_ = static_cast<std::uint32_t>(at);
  at += count * bytes_width_;
  location_offset_ = static_cast<std::uint32_t>(at);
  if (at + 1 > size) return corrupt("it is cut short");
  written_width_ = static_cast<std::uint8_t>(body_[at]);
  written_offset_ = static_cast<std::uint32_t>(at + 1);
  if (written_width_ < 1 || written_width_ > 8) return corrupt("a column has an impossible width");
  at += 1 + count * written_width_ + kChecksumBytes;
  if (at != size) return corrupt(at > size ? "it is cut short" : "bytes follow its end");
  return {};
}

Status Node::validate() {
  const std::size_t count = count_;
  // Keys: rests that lie one behind the other, strictly increasing, within the limits, without NUL.
  std::uint64_t end = 0;
  for (std::size_t i = 0; i < count; ++i) {
    const std::uint64_t next = column(ends_offset_, ends_width_, i);
    if (next < end) return corrupt("its keys overlap");
    if (prefix_size_ + (next - end) > Limits::kKeyBytesMax) return corrupt("a key is too long");
    end = next;
  }
  if (width_of(end) != ends_width_) return corrupt("a column is wider than it needs");
  const std::size_t keys_size = prefix_size_ + static_cast<std::size_t>(end);
  if (std::memchr(body_.data() + prefix_offset_, 0, keys_size) != nullptr) return corrupt("a key has a NUL byte");
  if (first_key().empty()) return corrupt("a key is empty");
  for (std::size_t i = 1; i < count; ++i) {
    if (key_rest(i - 1) >= key_rest(i)) return corrupt("its keys are out of order");
  }
  // One encoding only: the prefix is all that the first and last key share.
  if (count == 1 ? end != 0 : common_prefix(key_rest(0), key_rest(count - 1)) != 0)
    return corrupt("its key prefix is too short");

  document_count_ = 0;
  content_bytes_ = 0;
  std::uint64_t documents_max = 0, bytes_max = 0, written_max = 0;
  for (std::size_t i = 0; i < count; ++i) {
    const std::uint64_t documents_here = documents(i), bytes_here = bytes(i), written_here = written_at(i).value;
    if (documents_here == 0) return corrupt("an entry stands for no document");
    if (written_here == 0) return corrupt("an entry has no location");
    if (documents_here > std::numeric_limits<std::uint64_t>::max() - document_count_ ||
        bytes_here > std::numeric_limits<std::uint64_t>::max() - content_bytes_) {
      return corrupt("its sizes overflow");
    }
    document_count_ += documents_here;
    content_bytes_ += bytes_here;
    documents_max = std::max(documents_max, documents_here);
    bytes_max = std::max(bytes_max, bytes_here);
    written_max = std::max(written_max, written_here);
  }
  if (width_of(bytes_max) != bytes_width_ || width_of(written_max) != written_width_ ||
      (level_ != 0 && width_of(documents_max) != documents_width_)) {
    return corrupt("a column is wider than it needs");
  }
  const std::string_view location = std::string_view(body_).substr(location_offset_);
  const std::string_view columns = location.substr(0, location.size() - kChecksumBytes);
  if (checksum(columns) != read_little_endian(location.data() + columns.size(), kChecksumBytes)) {
    return corrupt("its locations do not match their checksum");
  }
  return {};
}

std::string Node::key(std::size_t index) const {
  std::string out;
  append_key(index, out);
  return out;
}

int Node::compare_key(std::size_t index, std::string_view key) const {
  const std::string_view prefix = key_prefix();
  if (const int order = prefix.compare(key.substr(0, prefix.size())); order != 0) return order;
  return key_rest(index).compare(key.substr(prefix.size()));
}

std::size_t Node::lower_bound(std::string_view key) const {
  const std::string_view prefix = key_prefix();
  if (const int order = prefix.compare(key.substr(0, prefix.size())); order != 0) return order > 0 ? 0 : count_;
  key.remove_prefix(prefix.size());
  std::size_t low = 0, size = count_;
  while (size > 0) {
    const std::size_t half = size / 2;
    if (key_rest(low + half) < key) {
      low += half + 1;
      size -= half + 1;
    } else {
      size = half;
    }
  }
  return low;
}

std::optional<std::size_t> Node::find(std::string_view key) const {
  const std::size_t index = lower_bound(key);
  if (index == count_ || compare_key(index, key) != 0) return std::nullopt;
  return index;
}

std::size_t Node::child_for(std::string_view key) const {
  const std::size_t index = lower_bound(key);
  if (index < count_ && compare_key(index, key) == 0) return index;
  return index == 0 ? 0 : index - 1;
}

std::shared_ptr<Node> Node::with(std::span<const Update> updates) const {
  std::uint64_t documents_total = document_count_, bytes_total = content_bytes_;
  std::uint64_t documents_max = 0, bytes_max = 0, written_max = 0;
  for (const Update& update : updates) {
    documents_total += update.entry.documents - documents(update.index);
    bytes_total += update.entry.bytes - bytes(update.index);
    documents_max = std::max(documents_max, update.entry.documents);
    bytes_max = std::max(bytes_max, update.entry.bytes);
    written_max = std::max(written_max, update.entry.written_at.value);
  }
  std::shared_ptr<Node> node;
  // Most often every column stays as wide as it is: no new value needs more, and one that stays needs as much.
  if (width_of(documents_max) <= documents_width_ + (level_ == 0) && width_of(bytes_max) <= bytes_width_ &&
      width_of(written_max) <= written_width_ && keeps_widths(updates)) {
    node = std::make_shared<Node>(Token{}, body_);
    char* const body = node->body_.data();
    const auto put = [body](std::size_t at, std::uint64_t value, std::size_t width) {
      std::memcpy(body + at, &value, width);
    };
    for (const auto& [index, entry] : updates) {
      std::memcpy(body + hash_offset_ + index * Hash::kSize, entry.hash.bytes.data(), Hash::kSize);
      put(documents_offset_ + index * documents_width_, entry.documents, documents_width_);
      put(bytes_offset_ + index * bytes_width_, entry.bytes, bytes_width_);
      put(written_offset_ + index * written_width_, entry.written_at.value, written_width_);
    }
    const std::size_t checksum_offset = body_.size() - kChecksumBytes;
    put(checksum_offset, checksum(std::string_view(body + location_offset_, checksum_offset - location_offset_)),
        kChecksumBytes);
    node->copy_layout(*this);
  } else {
    std::array<NodeEntry, kEntriesMax> entries;
    for (std::size_t i = 0; i < count_; ++i) entries[i] = entry(i);
    for (const auto& [index, entry] : updates) entries[index] = entry;
    const auto same_keys = std::string_view(body_).substr(ends_offset_, hash_offset_ - ends_offset_);
    node = std::make_shared<Node>(
        Token{}, encode(level_, prefix_size_, ends_width_, same_keys, std::span(entries.data(), count_)));
    [[maybe_unused]] const Status laid_out = node->layout();
    assert(laid_out);
  }
  node->document_count_ = documents_total;
  node->content_bytes_ = bytes_total;
  node->rename();
  return node;
}

// Whether, after the updates, each column still has a value that needs its width.
bool Node::keeps_widths(std::span<const Update> updates) const {
  const auto needed = [&](std::size_t offset, std::uint8_t width, auto value_of) {
    if (width <= 1) return true;
    for (const Update& update : updates) {
      if (width_of(value_of(update.entry)) == width) return true;
    }
    for (std::size_t i = 0; i < count_; ++i) {
      if (width_of(column(offset, width, i)) != width) continue;
      if (std::none_of(updates.begin(), updates.end(), [i](const Update& update) { return update.index == i; }))
        return true;
    }
    return false;
  };
  return needed(documents_offset_, documents_width_, [](const NodeEntry& entry) { return entry.documents; }) &&
         needed(bytes_offset_, bytes_width_, [](const NodeEntry& entry) { return entry.bytes; }) &&
         needed(written_offset_, written_width_, [](const NodeEntry& entry) { return entry.written_at.value; });
}

void Node::copy_layout(const Node& other) {
  prefix_offset_ = other.prefix_offset_;
  prefix_size_ = other.prefix_size_;
  ends_offset_ = other.ends_offset_;
  rests_offset_ = other.rests_offset_;
  hash_offset_ = other.hash_offset_;
  documents_offset_ = other.documents_offset_;
  bytes_offset_ = other.bytes_offset_;
  location_offset_ = other.location_offset_;
  written_offset_ = other.written_offset_;
  level_ = other.level_;
  count_ = other.count_;
  ends_width_ = other.ends_width_;
  documents_width_ = other.documents_width_;
  bytes_width_ = other.bytes_width_;
  written_width_ = other.written_width_;
}

// `keys` is the part of the body from the column of ends to the last rest.
std::string Node::encode(std::uint8_t level, std::size_t prefix_size, std::uint8_t ends_width, std::string_view keys,
                         std::span<const NodeEntry> entries) {
  std::uint64_t documents_max = 0, bytes_max = 0, written_max = 0;
  for (const NodeEntry& entry : entries) {
    documents_max = std::max(documents_max, entry.documents);
    bytes_max = std::max(bytes_max, entry.bytes);
    written_max = std::max(written_max, entry.written_at.value);
  }
  const std::uint8_t bytes_width = width_of(bytes_max);
  const std::uint8_t documents_width = level == 0 ? std::uint8_t{0} : width_of(documents_max);
  const std::uint8_t written_width = width_of(written_max);

  const std::size_t count = entries.size();
  std::string body;
  body.resize(kHeaderBytes + keys.size() + count * (Hash::kSize + documents_width + bytes_width + written_width) + 1 +
              kChecksumBytes);
  char* at = body.data();
  const auto put = [&at](std::uint64_t value, std::size_t width) {
    std::memcpy(at, &value, width);
    at += width;
  };
  put(static_cast<std::uint8_t>(kVersion), 1);
  put(level, 1);
  put(count, 1);
  put(prefix_size, 2);
  put(ends_width, 1);
  put(bytes_width, 1);
  put(documents_width, 1);
  std::memcpy(at, keys.data(), keys.size());
  at += keys.size();
  for (const NodeEntry& entry : entries) {
    std::memcpy(at, entry.hash.bytes.data(), Hash::kSize);
    at += Hash::kSize;
  }
  if (level != 0) {
    for (const NodeEntry& entry : entries) put(entry.documents, documents_width);
  }
  for (const NodeEntry& entry : entries) put(entry.bytes, bytes_width);
  const char* const location = at;
  put(written_width, 1);
  for (const NodeEntry& entry : entries) put(entry.written_at.value, written_width);
  put(checksum({location, static_cast<std::size_t>(at - location)}), kChecksumBytes);
  return body;
}

void NodeBuilder::add(std::string_view key, const NodeEntry& entry) {
  keys_.append(key);
  ends_.push_back(static_cast<std::uint32_t>(keys_.size()));
  entries_.push_back(entry);
}

void NodeBuilder::add(const Node& from, std::size_t index) {
  from.append_key(index, keys_);
  ends_.push_back(static_cast<std::uint32_t>(keys_.size()));
  entries_.push_back(from.entry(index));
}

std::string_view NodeBuilder::key(std::size_t index) const {
  const std::size_t begin = index == 0 ? 0 : ends_[index - 1];
  return std::string_view(keys_).substr(begin, ends_[index] - begin);
}

bool NodeBuilder::ascending() const {
  for (std::size_t i = 1; i < count(); ++i) {
    if (key(i - 1) >= key(i)) return false;
  }
  return true;
}

std::shared_ptr<Node> NodeBuilder::finish() {
  assert(!entries_.empty() && entries_.size() <= kEntriesMax);
  const std::size_t count = entries_.size();
  const std::size_t prefix_size = common_prefix(key(0), key(count - 1));
  const std::size_t rests_size = keys_.size() - count * prefix_size;
  const std::uint8_t ends_width = width_of(rests_size);
  std::string keys;
  keys.reserve(count * ends_width + prefix_size + rests_size);
  for (std::size_t i = 0; i < count; ++i) append_little_endian(keys, ends_[i] - (i + 1) * prefix_size, ends_width);
  keys.append(key(0).substr(0, prefix_size));
  for (std::size_t i = 0; i < count; ++i) keys.append(key(i).substr(prefix_size));

  auto node = std::make_shared<Node>(Node::Token{}, Node::encode(level_, prefix_size, ends_width, keys, entries_));
  [[maybe_unused]] const Status laid_out = node->layout();
  assert(laid_out);
  for (const NodeEntry& entry : entries_) {
    node->document_count_ += entry.documents;
    node->content_bytes_ += entry.bytes;
  }
  node->rename();
  keys_.clear();
  ends_.clear();
  entries_.clear();
  return node;
}

}  // namespace st8::state::tree
