// A sorted list of entries in memory: what RocksDB's write buffers keep theirs in, in place of its own (see
// rocksdb_write_buffer.h). A skip list: one thread inserts, any number read beside it without a lock, nothing is taken out.
//
// An entry is: varint32 length of the key, user key, 8 bytes of sequence number and kind (the tag, a little-endian number),
// and behind them what the list does not look at. Order: user keys by their bytes, of one key the newest (the greatest tag) first.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <new>
#include <string_view>

namespace st8::state {

class EntryList {
 public:
  static constexpr int kHeightMax = 12;

  struct Key {
    std::string_view user;
    std::uint64_t tag = 0;

    // User key and tag, as they stand in an entry.
    static Key of_internal(std::string_view internal) {
      Key key;
      key.user = internal.substr(0, internal.size() - sizeof(tag));
      std::memcpy(&key.tag, internal.data() + key.user.size(), sizeof(tag));
      return key;
    }
    static Key of_entry(const char* entry);
    int compare(const Key& other) const {
      if (const int order = user.compare(other.user); order != 0) return order;
      return tag > other.tag ? -1 : tag < other.tag ? 1 : 0;
    }
  };

  // Behind it in memory: the rest of its links (`height` in all), then the entry.
  class Node {
   public:
    // Aligned as a Node, and of bytes() and the entry's size; whoever gives it keeps it for as long as the list.
    static Node* make(void* memory, int height);
    static constexpr std::size_t bytes(int height) {
      return sizeof(Node) + static_cast<std::size_t>(height - 1) * sizeof(Link);
    }

    int height() const { return height_; }
    char* entry() { return reinterpret_cast<char*>(this) + bytes(height_); }
    const char* entry() const { return reinterpret_cast<const char*>(this) + bytes(height_); }
    Key key() const { return Key::of_entry(entry()); }
    // What a reader finds behind a link is whole: links are set when the node is.
    Node* next(int level) const { return links_[level].load(std::memory_order_acquire); }

   private:
    friend class EntryList;
    using Link = std::atomic<Node*>;
    explicit Node(int height) : height_(height), links_{} {}
    void set_next(int level, Node* node) { links_[level].store(node, std::memory_order_release); }

    const int height_;
    Link links_[1];
  };

  // Where an entry belongs: the neighbours on each level. Kept from one insertion to the next, since neighbours are mostly
  // inserted one after the other; what was inserted elsewhere meanwhile is noticed.
  struct alignas(64) Place {
    struct Neighbours {
      Node* before = nullptr;
      Node* after = nullptr;
    };
    std::array<Neighbours, kHeightMax> levels;  // The lowest ones, which every insertion looks at, share a cache line.
  };

  // `head` is of kHeightMax and has no entry.
  explicit EntryList(Node* head);
  EntryList(const EntryList&) = delete;
  EntryList& operator=(const EntryList&) = delete;

  // By one thread at a time -------------------------------------------------------------------------------------------
  int random_height();
  Place beginning() const;
  // The node's entry is written. False: an equal one is there already, and the list is as before. Cost: a few comparisons
  // next to the last insertion at this place, O(log distance) further away.
  bool insert(Node* node, Place& place);

  // By any thread; null: none ------------------------------------------------------------------------------------------
  Node* first() const { return head_->next(0); }
  Node* last() const;
  Node* at_or_after(const Key& key) const;
  Node* before(const Key& key) const;

 private:
  int top() const { return height_.load(std::memory_order_relaxed) - 1; }
  // On one level, from `before`, which is before the key: its neighbours there. `after` is null, or not before the key.
  static void find(const Key& key, int level, Node*& before, Node*& after);
  // The neighbours on the lowest level.
  void descend(const Key& key, Node*& before, Node*& after) const;

  Node* const head_;
  std::atomic<int> height_{1};
  std::uint64_t random_ = 0x9e3779b97f4a7c15u;
};

inline EntryList::Key EntryList::Key::of_entry(const char* entry) {
  std::uint32_t length = 0;
  for (unsigned shift = 0;; shift += 7) {
    const auto byte = static_cast<unsigned char>(*entry++);
    length |= static_cast<std::uint32_t>(byte & 0x7fu) << shift;
    if (byte < 0x80u) return of_internal({entry, length});
  }
}

}  // namespace st8::state
