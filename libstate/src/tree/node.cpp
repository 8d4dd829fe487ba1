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

std::uint64_t read_little_endian(const char* at, std::size_t width) {
  switch (width) {
    case 1: return static_cast<std::uint8_t>(*at);
    case 2: { std::uint16_t value; std::memcpy(&value, at, 2); return value; }
    case 4: { std::uint32_t value; std::memcpy(&value, at, 4); return value; }
    default: { std::uint64_t value = 0; std::memcpy(&value, at, width); return value; }
  }
}

// Guards what the name does not cover. Against accidents only.
std::uint32_t location_checksum(std::string_view location) {
  const std::uint64_t hash = key_hash(location);
  return static_cast<std::uint32_t>(hash ^ (hash >> 32));
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
  return count_ == other.count_ && std::string_view(body_).substr(ends_offset_, hash_offset_ - ends_offset_) ==
                                       std::string_view(other.body_).substr(other.ends_offset_, other.hash_offset_ - other.ends_offset_);
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
  if (ends_width_ < 1 || ends_width_ > 3 || bytes_width_ < 1 || bytes_width_ > 8) return corrupt("a column has an impossible width");
  if (level_ == 0 ? documents_width_ != 0 : documents_width_ < 1 || documents_width_ > 8) return corrupt("a column has an impossible width");

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
  if (count == 1 ? end != 0 : common_prefix(key_rest(0), key_rest(count - 1)) != 0) return corrupt("its key prefix is too short");

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
  if (location_checksum(columns) != read_little_endian(location.data() + columns.size(), kChecksumBytes)) {
    return corrupt("its locations do not match their checksum");
  }
  return {};
}

std::uint64_t Node::column(std::size_t offset, std::size_t width, std::size_t index) const {
  return read_little_endian(body_.data() + offset + index * width, width);
}

std::uint64_t Node::documents(std::size_t index) const {
  return level_ == 0 ? 1 : column(documents_offset_, documents_width_, index);
}

std::string_view Node::key_rest(std::size_t index) const {
  const std::size_t begin = index == 0 ? 0 : static_cast<std::size_t>(column(ends_offset_, ends_width_, index - 1));
  const std::size_t end = static_cast<std::size_t>(column(ends_offset_, ends_width_, index));
  return {body_.data() + rests_offset_ + begin, end - begin};
}

std::string_view Node::first_key() const {
  return {body_.data() + prefix_offset_, prefix_size_ + static_cast<std::size_t>(column(ends_offset_, ends_width_, 0))};
}

std::string Node::key(std::size_t index) const {
  std::string out;
  append_key(index, out);
  return out;
}

void Node::append_key(std::size_t index, std::string& out) const {
  out.append(key_prefix());
  out.append(key_rest(index));
}

Hash Node::hash(std::size_t index) const {
  Hash hash;
  std::memcpy(hash.bytes.data(), body_.data() + hash_offset_ + index * Hash::kSize, Hash::kSize);
  return hash;
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
  std::array<NodeEntry, kEntriesMax> entries;
  for (std::size_t i = 0; i < count_; ++i) entries[i] = entry(i);
  std::uint64_t documents_total = document_count_, bytes_total = content_bytes_;
  for (const Update& update : updates) {
    NodeEntry& entry = entries[update.index];
    documents_total += update.entry.documents - entry.documents;
    bytes_total += update.entry.bytes - entry.bytes;
    entry = update.entry;
  }
  const auto same_keys = std::string_view(body_).substr(ends_offset_, hash_offset_ - ends_offset_);
  auto node = std::make_shared<Node>(Token{}, encode(level_, prefix_size_, ends_width_, same_keys, std::span(entries.data(), count_)));
  [[maybe_unused]] const Status laid_out = node->layout();
  assert(laid_out);
  node->document_count_ = documents_total;
  node->content_bytes_ = bytes_total;
  node->rename();
  return node;
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

  std::string body;
  body.reserve(kHeaderBytes + keys.size() + entries.size() * (Hash::kSize + documents_width + bytes_width + written_width) + 1 +
               kChecksumBytes);
  body.push_back(kVersion);
  body.push_back(static_cast<char>(level));
  body.push_back(static_cast<char>(entries.size()));
  append_little_endian(body, prefix_size, 2);
  body.push_back(static_cast<char>(ends_width));
  body.push_back(static_cast<char>(bytes_width));
  body.push_back(static_cast<char>(documents_width));
  body.append(keys);
  for (const NodeEntry& entry : entries) body.append(entry.hash.view());
  if (level != 0) {
    for (const NodeEntry& entry : entries) append_little_endian(body, entry.documents, documents_width);
  }
  for (const NodeEntry& entry : entries) append_little_endian(body, entry.bytes, bytes_width);
  const std::size_t location_offset = body.size();
  body.push_back(static_cast<char>(written_width));
  for (const NodeEntry& entry : entries) append_little_endian(body, entry.written_at.value, written_width);
  append_little_endian(body, location_checksum(std::string_view(body).substr(location_offset)), kChecksumBytes);
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
