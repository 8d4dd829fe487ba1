// A node of the tree: decoded, immutable, and searched in the very bytes that are stored.
//
// The body keeps its columns in fixed width, and its keys as one common prefix and their own rests, so that a key is
// found by binary search and an entry is read by position without unpacking anything: a node costs its body, one small
// object, and nothing more. docs/formats.md ("Tree nodes") describes the body byte by byte.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "st8/state/hash.h"
#include "st8/state/result.h"
#include "tree/boundary.h"
#include "tree/tree.h"

namespace st8::state::tree {

// How long a node's run of stored differences may be, and how many bases one node can lean on; see delta.h.
inline constexpr std::uint8_t kStepsMax = 31;
inline constexpr std::size_t kBasesMax = 5;  // The most bits set in a step.

// One version of a node, its level and first key apart.
struct Version {
  RevisionNumber written_at;
  Hash name;
  friend bool operator==(const Version&, const Version&) = default;
};

// Which entries of a node may differ from those of an earlier version that has the same keys; or that this is not known,
// since keys came or went, say. With it a difference is written without looking at the earlier version.
class ChangedEntries {
 public:
  static ChangedEntries unknown() {
    ChangedEntries changed;
    changed.known_ = false;
    return changed;
  }
  bool known() const { return known_; }
  void add(std::size_t index) { words_[index / 64] |= std::uint64_t{1} << index % 64; }
  // What differs in either; what is not known of one is not known of both.
  void add(const ChangedEntries& other) {
    known_ = known_ && other.known_;
    for (std::size_t i = 0; i < words_.size(); ++i) words_[i] |= other.words_[i];
  }
  // In order of position.
  template <class Visit>
  void each(Visit&& visit) const {
    for (std::size_t i = 0; i < words_.size(); ++i) {
      for (std::uint64_t left = words_[i]; left != 0; left &= left - 1)
        visit(i * 64 + static_cast<std::size_t>(std::countr_zero(left)));
    }
  }

 private:
  std::array<std::uint64_t, (kEntriesMax + 63) / 64> words_{};
  bool known_ = true;
};

// A version that a node's own body is stored as a difference from.
struct Base {
  Version version;
  ChangedEntries changed = ChangedEntries::unknown();  // Of the node, since then.
};

// What an entry says about its child (a node one level down, or at level 0 a document), its key apart.
struct NodeEntry {
  Hash hash;                    // The child's name.
  std::uint64_t documents = 1;  // Below it; 1 at level 0.
  std::uint64_t bytes = 0;      // The sum of the sizes of the documents below it.
  RevisionNumber written_at;    // Where the child's body lies. Not part of the node's name.
  friend bool operator==(const NodeEntry&, const NodeEntry&) = default;
};

class Node {
  struct Token {};  // Makes the constructor usable by make_shared and by nobody else.

 public:
  // Checks every byte: whatever decodes is the one encoding of what it says. Errors: kCorrupt, saying what is wrong.
  // Cost: one pass and one SHA-256.
  static Result<std::shared_ptr<Node>> decode(std::string body);

  Node(Token, std::string body);
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;

  const Hash& name() const { return name_; }
  std::uint8_t level() const { return level_; }
  std::size_t count() const { return count_; }  // 1 to kEntriesMax.
  std::uint64_t document_count() const { return document_count_; }
  std::uint64_t content_bytes() const { return content_bytes_; }
  const std::string& body() const { return body_; }
  std::string_view content() const {
    return std::string_view(body_).substr(1, location_offset_ - 1);
  }  // What is hashed.
  std::size_t memory_bytes() const {
    return sizeof(Node) + body_.capacity() + base_count() * sizeof(Base) + kAllocationBytes;
  }

  // How it is stored (delta.h): 0 whole, else as a difference, `step` versions after one stored whole, from bases()[0],
  // which leans on bases()[1], and so on. Set before the node is shared.
  std::uint8_t step() const { return step_; }
  std::size_t base_count() const { return static_cast<std::size_t>(std::popcount(step_)); }
  std::span<const Base> bases() const { return {bases_.get(), base_count()}; }
  void set_bases(std::uint8_t step, std::span<const Base> bases);

  // Entries by position, 0 to count() - 1.
  std::string_view key_prefix() const { return std::string_view(body_).substr(prefix_offset_, prefix_size_); }
  // A key is key_prefix() and its key_rest().
  std::string_view key_rest(std::size_t index) const {
    const std::size_t begin = index == 0 ? 0 : static_cast<std::size_t>(column(ends_offset_, ends_width_, index - 1));
    const std::size_t end = static_cast<std::size_t>(column(ends_offset_, ends_width_, index));
    return {body_.data() + rests_offset_ + begin, end - begin};
  }
  std::size_t key_size(std::size_t index) const { return prefix_size_ + key_rest(index).size(); }
  std::string key(std::size_t index) const;
  void append_key(std::size_t index, std::string& out) const { out.append(key_prefix()).append(key_rest(index)); }
  std::string_view first_key() const {
    return {body_.data() + prefix_offset_,
            prefix_size_ + static_cast<std::size_t>(column(ends_offset_, ends_width_, 0))};
  }
  Hash hash(std::size_t index) const {
    Hash hash;
    std::memcpy(hash.bytes.data(), body_.data() + hash_offset_ + index * Hash::kSize, Hash::kSize);
    return hash;
  }
  std::uint64_t documents(std::size_t index) const {
    return level_ == 0 ? 1 : column(documents_offset_, documents_width_, index);
  }
  std::uint64_t bytes(std::size_t index) const { return column(bytes_offset_, bytes_width_, index); }
  RevisionNumber written_at(std::size_t index) const { return {column(written_offset_, written_width_, index)}; }
  NodeEntry entry(std::size_t index) const { return {hash(index), documents(index), bytes(index), written_at(index)}; }
  bool same_entry(std::size_t index, const Node& other, std::size_t other_index) const {
    return std::memcmp(body_.data() + hash_offset_ + index * Hash::kSize,
                       other.body_.data() + other.hash_offset_ + other_index * Hash::kSize, Hash::kSize) == 0 &&
           written_at(index) == other.written_at(other_index) && bytes(index) == other.bytes(other_index) &&
           documents(index) == other.documents(other_index);
  }
  DocumentRef document(std::size_t index) const { return {hash(index), bytes(index), written_at(index)}; }

  // <0, 0, >0 as the key at `index` is before, equal to, or after `key`, in byte order.
  int compare_key(std::size_t index, std::string_view key) const;
  // The first position whose key is >= `key`; count() when there is none.
  std::size_t lower_bound(std::string_view key) const;
  std::optional<std::size_t> find(std::string_view key) const;
  // The entry whose subtree would hold `key`: the last one whose key is <= `key`, or 0.
  std::size_t child_for(std::string_view key) const;

  // The same keys with other values at some positions (each at most once). Cost: one copy and one SHA-256.
  struct Update {
    std::size_t index;
    NodeEntry entry;
  };
  std::shared_ptr<Node> with(std::span<const Update> updates) const;
  bool same_keys(const Node& other) const;
  // Cost: one pass over both.
  ChangedEntries changed_since(const Node& before) const;
  // Of two nodes of as many entries: the first position from `from` on whose hashes differ; count() when there is none.
  std::size_t next_difference(const Node& other, std::size_t from) const {
    while (from < count_ && std::memcmp(body_.data() + hash_offset_ + from * Hash::kSize,
                                        other.body_.data() + other.hash_offset_ + from * Hash::kSize, Hash::kSize) == 0)
      ++from;
    return from;
  }

  // Checks the keys and what the columns hold, and sums them up. decode() does; whoever makes a node by other ways from
  // bytes that may be damaged has to.
  Status validate();

 private:
  friend class NodeBuilder;
  static constexpr std::size_t kAllocationBytes = 48;  // Headers of the allocator and the control block, about.

  // Finds the columns in body_; everything that is read later lies within it.
  Status layout();
  static std::string encode(std::uint8_t level, std::size_t prefix_size, std::uint8_t ends_width, std::string_view keys,
                            std::span<const NodeEntry> entries);
  void copy_layout(const Node& other);
  bool keeps_widths(std::span<const Update> updates) const;
  void rename() { name_ = Hash::of(content()); }
  std::uint64_t column(std::size_t offset, std::size_t width, std::size_t index) const {
    return read_little_endian(body_.data() + offset + index * width, width);
  }
  static std::uint64_t read_little_endian(const char* at, std::size_t width) {
    switch (width) {
      case 1:
        return static_cast<std::uint8_t>(*at);
      case 2: {
        std::uint16_t value;
        std::memcpy(&value, at, 2);
        return value;
      }
      case 3: {
        std::uint16_t value;
        std::memcpy(&value, at, 2);
        return value | std::uint64_t{static_cast<std::uint8_t>(at[2])} << 16;
      }
      case 4: {
        std::uint32_t value;
        std::memcpy(&value, at, 4);
        return value;
      }
      default: {
        std::uint64_t value = 0;
        std::memcpy(&value, at, width);
        return value;
      }
    }
  }

  std::string body_;
  std::unique_ptr<Base[]> bases_;
  Hash name_;
  std::uint64_t document_count_ = 0;
  std::uint64_t content_bytes_ = 0;
  std::uint32_t prefix_offset_ = 0, prefix_size_ = 0;
  std::uint32_t ends_offset_ = 0, rests_offset_ = 0, hash_offset_ = 0, documents_offset_ = 0, bytes_offset_ = 0;
  std::uint32_t location_offset_ = 0, written_offset_ = 0;
  std::uint8_t level_ = 0, count_ = 0;
  std::uint8_t ends_width_ = 0, documents_width_ = 0, bytes_width_ = 0, written_width_ = 0;
  std::uint8_t step_ = 0;
};

// Gathers entries in key order and makes nodes of them. Reused, it allocates only for the nodes.
class NodeBuilder {
 public:
  explicit NodeBuilder(std::uint8_t level) : level_(level) {}
  // `key` after the one before; at most kEntriesMax entries.
  void add(std::string_view key, const NodeEntry& entry);
  // The same with the key of another node's entry.
  void add(const Node& from, std::size_t index);
  std::uint8_t level() const { return level_; }
  bool empty() const { return entries_.empty(); }
  std::size_t count() const { return entries_.size(); }
  std::string_view key(std::size_t index) const;
  // The node of what was added; empty afterwards. Needs at least one entry.
  // Whether each key is greater than the one before; finish() takes it for granted.
  bool ascending() const;
  std::shared_ptr<Node> finish();

 private:
  friend class Node;
  std::uint8_t level_;
  std::string keys_;                 // One after the other.
  std::vector<std::uint32_t> ends_;  // Of each key in keys_.
  std::vector<NodeEntry> entries_;
};

}  // namespace st8::state::tree
