#include "engine/rocksdb_write_buffer.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <new>
#include <rocksdb/slice.h>
#include <string_view>

#include "engine/entry_list.h"
#include "engine/keyspace.h"

namespace st8::state {
namespace {

// Memory of iterators. RocksDB makes one in an arena of a type that it does not publish, and then only calls its
// destructor; so the destructor gives the memory back, to a list of the thread that runs it: nobody else takes it before
// the destructor has returned.
class IteratorMemory {
 public:
  static constexpr std::size_t kBytes = 64;
  ~IteratorMemory() {
    while (count_ > 0) ::operator delete(free_[--count_]);
  }
  void* take() { return count_ > 0 ? free_[--count_] : ::operator new(kBytes); }
  void give_back(void* block) {
    // Too many: one that was given back before goes, since this one's destructor still runs.
    if (count_ == free_.size()) ::operator delete(free_[--count_]);
    free_[count_++] = block;
  }

 private:
  std::array<void*, 16> free_{};
  std::size_t count_ = 0;
};
thread_local IteratorMemory iterator_memory;

class Iterator : public rocksdb::MemTableRep::Iterator {
 public:
  explicit Iterator(const EntryList& list) : list_(&list) {}

  bool Valid() const override { return node_ != nullptr; }
  const char* key() const override { return node_->entry(); }
  void Next() override { node_ = node_->next(0); }
  void Prev() override { node_ = list_->before(node_->key()); }
  void Seek(const rocksdb::Slice& internal_key, const char*) override {
    node_ = list_->at_or_after(EntryList::Key::of_internal({internal_key.data(), internal_key.size()}));
  }
  void SeekForPrev(const rocksdb::Slice& internal_key, const char*) override {
    const EntryList::Key key = EntryList::Key::of_internal({internal_key.data(), internal_key.size()});
    node_ = list_->at_or_after(key);
    if (node_ == nullptr) {
      node_ = list_->last();
    } else if (node_->key().compare(key) != 0) {
      node_ = list_->before(key);
    }
  }
  void SeekToFirst() override { node_ = list_->first(); }
  void SeekToLast() override { node_ = list_->last(); }

 private:
  const EntryList* list_;
  const EntryList::Node* node_ = nullptr;
};

class OwnedIterator final : public Iterator {
 public:
  using Iterator::Iterator;
  ~OwnedIterator() override { iterator_memory.give_back(this); }
  static void* operator new(std::size_t) { return iterator_memory.take(); }
  static void operator delete(void*) {}  // The destructor did.
};
static_assert(sizeof(OwnedIterator) <= IteratorMemory::kBytes);

// What a read by RocksDB's own Get() uses: it asks for an iterator and never gives it back.
class ReadIterator final : public Iterator {
 public:
  using Iterator::Iterator;
  static void* operator new(std::size_t) {
    alignas(std::max_align_t) thread_local std::array<std::byte, IteratorMemory::kBytes> memory;
    return memory.data();
  }
  static void operator delete(void*) {}
};
static_assert(sizeof(ReadIterator) <= IteratorMemory::kBytes);

class WriteBuffer final : public rocksdb::MemTableRep {
 public:
  explicit WriteBuffer(rocksdb::Allocator* allocator)
      : rocksdb::MemTableRep(allocator), list_(make(EntryList::kHeightMax, 0)) {}

  rocksdb::KeyHandle Allocate(const std::size_t length, char** entry) override {
    EntryList::Node* const node = make(list_.random_height(), length);
    *entry = node->entry();
    return node;
  }
  void Insert(rocksdb::KeyHandle handle) override { InsertKey(handle); }
  bool InsertKey(rocksdb::KeyHandle handle) override {
    auto* const node = static_cast<EntryList::Node*>(handle);
    return list_.insert(node, place_of(node->key().user));
  }
  bool Contains(const char* entry) const override {
    const EntryList::Key key = EntryList::Key::of_entry(entry);
    const EntryList::Node* const node = list_.at_or_after(key);
    return node != nullptr && node->key().compare(key) == 0;
  }
  std::size_t ApproximateMemoryUsage() override { return 0; }  // All of it is the allocator's.
  rocksdb::MemTableRep::Iterator* GetIterator(rocksdb::Arena*) override { return new OwnedIterator(list_); }
  rocksdb::MemTableRep::Iterator* GetDynamicPrefixIterator(rocksdb::Arena* arena) override {
    if (arena != nullptr) return GetIterator(arena);
    return new ReadIterator(list_);
  }

 private:
  static constexpr std::size_t kPlaceBits = 12;

  // Where the last key that begins alike went, which the next one mostly goes near to: keys of a table and namespace, of nodes those of
  // a level, are written one behind the other. Those of different beginnings may share a place, which then helps neither.
  EntryList::Place& place_of(std::string_view key) {
    // What follows the namespace: a level, or the first byte of a name. Of a revision's hash nothing is worth a place.
    const bool by_hash = !key.empty() && key.front() == static_cast<char>(keyspace::Table::kRevisionByHash);
    std::uint64_t beginning = 0;
    std::memcpy(&beginning, key.data(), std::min<std::size_t>(key.size(), by_hash ? 5 : 6));
    EntryList::Place*& place = places_[(beginning * 0x9e3779b97f4a7c15u) >> (64 - kPlaceBits)];
    if (place == nullptr) {
      place = new (memory(sizeof(EntryList::Place), alignof(EntryList::Place))) EntryList::Place(list_.beginning());
    }
    return *place;
  }
  // The allocator gives bytes as they come; its type, with a call for aligned ones, is not published.
  void* memory(std::size_t bytes, std::size_t alignment) {
    char* raw = nullptr;
    rocksdb::MemTableRep::Allocate(bytes + alignment - 1, &raw);
    const auto address = reinterpret_cast<std::uintptr_t>(raw);
    return raw + ((alignment - address % alignment) % alignment);
  }
  EntryList::Node* make(int height, std::size_t entry_bytes) {
    return EntryList::Node::make(memory(EntryList::Node::bytes(height) + entry_bytes, alignof(EntryList::Node)),
                                 height);
  }

  EntryList list_;
  std::array<EntryList::Place*, std::size_t{1} << kPlaceBits> places_{};
};

class Factory final : public rocksdb::MemTableRepFactory {
 public:
  const char* Name() const override { return "st8.WriteBuffer"; }
  rocksdb::MemTableRep* CreateMemTableRep(const rocksdb::MemTableRep::KeyComparator&, rocksdb::Allocator* allocator,
                                          const rocksdb::SliceTransform*, rocksdb::Logger*) override {
    return new WriteBuffer(allocator);
  }
  bool CanHandleDuplicatedKey() const override { return true; }
};

}  // namespace

std::shared_ptr<rocksdb::MemTableRepFactory> make_write_buffer_factory() { return std::make_shared<Factory>(); }

}  // namespace st8::state
