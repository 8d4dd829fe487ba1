// An ordered map of which snapshots are taken often, and held for long: copy-on-write. A snapshot is a pointer. A write after
// it copies no more than it touches: the entry, its piece (at most kPieceMax pointers), the list of pieces (a pointer each).
//
// A piece, or the list, made since the last snapshot is in none, and is changed where it lies. Its `edition` tells: how many
// snapshots there had been when it was made. So nothing depends on how many holders there are at that instant.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <memory>
#include <utility>
#include <vector>

namespace st8::target {

template <class Key, class Value>
class SnapshotMap;

// Immutable, in key order. Copying costs a pointer, and any thread may hold and read a copy for as long as it likes. Iterators
// and references last as long as some copy does.
template <class Key, class Value>
class MapSnapshot {
 public:
  using key_type = Key;
  using mapped_type = Value;
  using value_type = std::pair<const Key, Value>;

 private:
  friend class SnapshotMap<Key, Value>;
  struct Piece {
    std::uint64_t edition = 0;
    std::vector<std::shared_ptr<const value_type>> entries;  // In key order; never empty.
  };
  struct Pieces {
    std::uint64_t edition = 0;
    std::size_t size = 0;                      // Entries in all.
    std::vector<std::shared_ptr<Piece>> list;  // In key order.
  };

 public:
  class const_iterator {
   public:
    using iterator_category = std::bidirectional_iterator_tag;
    using value_type = MapSnapshot::value_type;
    using difference_type = std::ptrdiff_t;
    using pointer = const value_type*;
    using reference = const value_type&;

    const_iterator() = default;
    reference operator*() const { return *pieces_->list[piece_]->entries[entry_]; }
    pointer operator->() const { return &**this; }
    const_iterator& operator++() {
      if (++entry_ == pieces_->list[piece_]->entries.size()) {
        ++piece_;
        entry_ = 0;
      }
      return *this;
    }
    const_iterator& operator--() {
      if (entry_ == 0) entry_ = pieces_->list[--piece_]->entries.size();
      --entry_;
      return *this;
    }
    const_iterator operator++(int) {
      const_iterator before = *this;
      ++*this;
      return before;
    }
    const_iterator operator--(int) {
      const_iterator before = *this;
      --*this;
      return before;
    }
    friend bool operator==(const const_iterator&, const const_iterator&) = default;

   private:
    friend class MapSnapshot;
    friend class SnapshotMap<Key, Value>;
    const_iterator(const Pieces* pieces, std::size_t piece, std::size_t entry)
        : pieces_(pieces), piece_(piece), entry_(entry) {}
    const Pieces* pieces_ = nullptr;
    std::size_t piece_ = 0;
    std::size_t entry_ = 0;
  };
  using iterator = const_iterator;
  using const_reverse_iterator = std::reverse_iterator<const_iterator>;

  MapSnapshot() = default;

  std::size_t size() const { return pieces_->size; }
  bool empty() const { return pieces_->size == 0; }
  const_iterator begin() const { return {pieces_.get(), 0, 0}; }
  const_iterator end() const { return {pieces_.get(), pieces_->list.size(), 0}; }
  const_reverse_iterator rbegin() const { return const_reverse_iterator(end()); }
  const_reverse_iterator rend() const { return const_reverse_iterator(begin()); }
  // Cost: O(log n).
  const_iterator find(const Key& key) const {
    const std::size_t piece = piece_of(key);
    if (piece == pieces_->list.size()) return end();
    const auto& entries = pieces_->list[piece]->entries;
    const std::size_t entry = place_of(entries, key);
    return entry < entries.size() && entries[entry]->first == key ? const_iterator(pieces_.get(), piece, entry) : end();
  }
  bool contains(const Key& key) const { return find(key) != end(); }

 private:
  explicit MapSnapshot(std::shared_ptr<Pieces> pieces) : pieces_(std::move(pieces)) {}

  // Where the key is, or would be inserted. The end only when there is no piece.
  std::size_t piece_of(const Key& key) const {
    const auto& list = pieces_->list;
    const auto behind = std::upper_bound(
        list.begin(), list.end(), key,
        [](const Key& wanted, const std::shared_ptr<Piece>& piece) { return wanted < piece->entries.front()->first; });
    return static_cast<std::size_t>(behind - list.begin()) - (behind == list.begin() ? 0 : 1);
  }
  static std::size_t place_of(const std::vector<std::shared_ptr<const value_type>>& entries, const Key& key) {
    const auto at = std::lower_bound(
        entries.begin(), entries.end(), key,
        [](const std::shared_ptr<const value_type>& entry, const Key& wanted) { return entry->first < wanted; });
    return static_cast<std::size_t>(at - entries.begin());
  }

  std::shared_ptr<Pieces> pieces_ = std::make_shared<Pieces>();
};

// For one thread at a time. A write makes iterators and references invalid.
template <class Key, class Value>
class SnapshotMap : private MapSnapshot<Key, Value> {
  using Base = MapSnapshot<Key, Value>;
  using Base::pieces_;
  using typename Base::Piece;
  using typename Base::Pieces;

 public:
  using typename Base::const_iterator;
  using typename Base::value_type;

  // What one write copies at most, besides a pointer a piece.
  static constexpr std::size_t kPieceMax = 64;

  SnapshotMap() = default;
  SnapshotMap(const SnapshotMap&) = delete;
  SnapshotMap& operator=(const SnapshotMap&) = delete;

  using Base::begin;
  using Base::contains;
  using Base::empty;
  using Base::end;
  using Base::find;
  using Base::size;

  // What it holds now. Cost: a pointer.
  MapSnapshot<Key, Value> snapshot() {
    ++edition_;
    return MapSnapshot<Key, Value>(pieces_);
  }

  void insert_or_assign(Key key, Value value) {
    const auto entry = std::make_shared<const value_type>(std::move(key), std::move(value));
    Pieces& pieces = own_pieces();
    if (pieces.list.empty()) pieces.list.push_back(std::make_shared<Piece>(Piece{edition_, {}}));
    const std::size_t at = pieces.size == 0 ? 0 : this->piece_of(entry->first);
    auto& entries = own_piece(at).entries;
    const std::size_t place = Base::place_of(entries, entry->first);
    if (place < entries.size() && entries[place]->first == entry->first) {
      entries[place] = entry;
      return;
    }
    entries.insert(entries.begin() + static_cast<std::ptrdiff_t>(place), entry);
    ++pieces.size;
    if (entries.size() <= kPieceMax) return;
    // In halves; but what is filled in key order leaves full pieces behind.
    const bool last = at + 1 == pieces.list.size() && place + 1 == entries.size();
    const auto middle = entries.begin() + static_cast<std::ptrdiff_t>(last ? kPieceMax : entries.size() / 2);
    auto rest = std::make_shared<Piece>(Piece{edition_, {middle, entries.end()}});
    entries.erase(middle, entries.end());
    pieces.list.insert(pieces.list.begin() + static_cast<std::ptrdiff_t>(at) + 1, std::move(rest));
  }

  // Changes a copy of the value, made anew if there is none, and puts it in the place of the old.
  template <class Change>
  void change(const Key& key, const Change& change) {
    const auto found = find(key);
    Value value = found == end() ? Value{} : found->second;
    change(value);
    insert_or_assign(key, std::move(value));
  }

  // The number erased, 0 or 1.
  std::size_t erase(const Key& key) {
    const auto found = find(key);
    if (found == end()) return 0;
    const std::size_t at = found.piece_;
    Pieces& pieces = own_pieces();
    auto& entries = own_piece(at).entries;
    entries.erase(entries.begin() + static_cast<std::ptrdiff_t>(found.entry_));
    --pieces.size;
    if (entries.empty()) {
      pieces.list.erase(pieces.list.begin() + static_cast<std::ptrdiff_t>(at));
    } else {
      join(at);
      if (at > 0) join(at - 1);
    }
    return 1;
  }

  void clear() { pieces_ = std::make_shared<Pieces>(Pieces{edition_, 0, {}}); }

 private:
  Pieces& own_pieces() {
    if (pieces_->edition != edition_) {
      pieces_ = std::make_shared<Pieces>(*pieces_);
      pieces_->edition = edition_;
    }
    return *pieces_;
  }
  // Of pieces that are own already.
  Piece& own_piece(std::size_t at) {
    std::shared_ptr<Piece>& piece = pieces_->list[at];
    if (piece->edition != edition_) {
      piece = std::make_shared<Piece>(*piece);
      piece->edition = edition_;
    }
    return *piece;
  }
  // Joins a piece with the next one when both are small, so that pieces do not outnumber what was erased.
  void join(std::size_t at) {
    auto& list = pieces_->list;
    if (at + 1 >= list.size() || list[at]->entries.size() + list[at + 1]->entries.size() > kPieceMax / 2) return;
    auto& entries = own_piece(at).entries;
    entries.insert(entries.end(), list[at + 1]->entries.begin(), list[at + 1]->entries.end());
    list.erase(list.begin() + static_cast<std::ptrdiff_t>(at) + 1);
  }

  std::uint64_t edition_ = 0;
};

}  // namespace st8::target
