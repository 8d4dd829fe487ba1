#include "engine/entry_list.h"

#include <algorithm>

namespace st8::state {

EntryList::Node* EntryList::Node::make(void* memory, int height) {
  auto* const node = new (memory) Node(height);
  for (int level = 1; level < height; ++level) new (&node->links_[level]) Link(nullptr);
  return node;
}

EntryList::EntryList(Node* head) : head_(head) {}

EntryList::Place EntryList::beginning() const {
  Place place;
  place.levels.fill({head_, nullptr});
  return place;
}

int EntryList::random_height() {
  // Of the entries on a level one in four stands on the next too. xorshift64: this need not be unforeseeable.
  constexpr unsigned kBranching = 4;
  random_ ^= random_ << 13;
  random_ ^= random_ >> 7;
  random_ ^= random_ << 17;
  int height = 1;
  for (std::uint64_t bits = random_; height < kHeightMax && bits % kBranching == 0; bits /= kBranching) ++height;
  return height;
}

void EntryList::find(const Key& key, int level, Node*& before, Node*& after) {
  Node* const known = after;
  while (true) {
    Node* const next = before->next(level);
    if (next == known || next == nullptr) {
      after = next;
      return;
    }
    __builtin_prefetch(next->next(level));
    if (next->key().compare(key) >= 0) {
      after = next;
      return;
    }
    before = next;
  }
}

bool EntryList::insert(Node* node, Place& place) {
  const Key key = node->key();
  const int list_height = height_.load(std::memory_order_relaxed);
  // Upwards, to the lowest level whose neighbours are still neighbours, with the key between them.
  int level = 0;
  while (level < list_height) {
    const auto [before, after] = place.levels[level];
    if (before->next(level) != after) {
      ++level;
    } else if (before != head_ && before->key().compare(key) >= 0) {
      do ++level;
      while (level < list_height && place.levels[level].before == before);
    } else if (after != nullptr && after->key().compare(key) <= 0) {
      do ++level;
      while (level < list_height && place.levels[level].after == after);
    } else {
      break;
    }
  }
  // And down again.
  Node* before = level < list_height ? place.levels[level].before : head_;
  Node* after = level < list_height ? place.levels[level].after : nullptr;
  for (int below = level - 1; below >= 0; --below) {
    find(key, below, before, after);
    place.levels[below] = {before, after};
  }
  bool overwrites = false;
  if (const Node* const next = place.levels[0].after; next != nullptr) {
    const Key next_key = next->key();
    overwrites = next_key.user == key.user;
    if (overwrites && next_key.tag == key.tag) return false;
  }
  // On the levels above, the key is between the neighbours; between them may be others by now.
  for (int above = level; above < node->height(); ++above) {
    auto& [at_left, at_right] = place.levels[above];
    if (at_left->next(above) == at_right) continue;
    at_right = nullptr;
    find(key, above, at_left, at_right);
  }
  if (node->height() > list_height) height_.store(node->height(), std::memory_order_relaxed);
  for (int i = 0; i < node->height(); ++i) {
    auto& [at_left, at_right] = place.levels[i];
    node->set_next(i, at_right);
    at_left->set_next(i, node);
    // The next one mostly comes behind this one; but of a key that is written again and again the newest comes first.
    (overwrites ? at_right : at_left) = node;
  }
  return true;
}

EntryList::Node* EntryList::last() const {
  Node* node = head_;
  for (int level = top(); level >= 0; --level) {
    while (Node* const next = node->next(level)) node = next;
  }
  return node == head_ ? nullptr : node;
}

void EntryList::descend(const Key& key, Node*& before, Node*& after) const {
  before = head_;
  after = nullptr;
  for (int level = top(); level >= 0; --level) find(key, level, before, after);
}

EntryList::Node* EntryList::at_or_after(const Key& key) const {
  Node* before = nullptr;
  Node* after = nullptr;
  descend(key, before, after);
  return after;
}

EntryList::Node* EntryList::before(const Key& key) const {
  Node* before = nullptr;
  Node* after = nullptr;
  descend(key, before, after);
  return before == head_ ? nullptr : before;
}

}  // namespace st8::state
