// What readers stand on, so that gc can tell. Entering and leaving cost one compare-and-swap and a few stores each.
//
// A reader enters before it resolves anything, then names the one revision that it will read, and leaves when its view
// dies. gc, after it has published the prune marks (so that no reader resolves those revisions any more), calls
// collect(): it waits for the readers that are still resolving (they may have seen the time before the marks; resolving
// is short), and returns what the others stand on. Those trees are roots for the sweep as kept revisions are, so a long
// read never holds gc up, and gc never takes anything from under a reader.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "engine/keyspace.h"
#include "st8/state/revision.h"

namespace st8::state::pipeline {

class PinRegistry;

// Held by a reader. Movable, not copyable; a default one holds nothing.
class Pin {
 public:
  Pin() = default;
  Pin(Pin&& other) noexcept : registry_(other.registry_), slot_(other.slot_) { other.registry_ = nullptr; }
  Pin& operator=(Pin&& other) noexcept {
    if (this != &other) {
      release();
      registry_ = other.registry_;
      slot_ = other.slot_;
      other.registry_ = nullptr;
    }
    return *this;
  }
  Pin(const Pin&) = delete;
  Pin& operator=(const Pin&) = delete;
  ~Pin() { release(); }

  // Names what is read, once. The tree of revision 0 needs no protection, and may be named too.
  void stand_on(keyspace::NamespaceId ns, RevisionNumber revision);
  void release();

 private:
  friend class PinRegistry;
  Pin(PinRegistry* registry, void* slot) : registry_(registry), slot_(slot) {}
  PinRegistry* registry_ = nullptr;
  void* slot_ = nullptr;
};

struct PinnedRevision {
  keyspace::NamespaceId ns;
  RevisionNumber revision;
};

class PinRegistry {
 public:
  PinRegistry() = default;
  PinRegistry(const PinRegistry&) = delete;
  PinRegistry& operator=(const PinRegistry&) = delete;

  // To be called before the first read. Thread-safe, lock-free while fewer than kFixedSlots readers are inside.
  Pin enter();

  // See above. Waits for the readers that were resolving when it was called; asks `cancelled` (may be null) while it
  // waits, and returns nullopt when told so. Thread-safe.
  std::optional<std::vector<PinnedRevision>> collect(const std::function<bool()>& cancelled);

 private:
  friend class Pin;
  enum Phase : std::uint64_t { kFree = 0, kResolving = 1, kStanding = 2 };

  // `state` is a phase in its low two bits and a count of entries above them, so that gc can tell one reader from the next.
  struct alignas(64) Slot {
    std::atomic<std::uint64_t> state{kFree};
    std::atomic<std::uint32_t> ns{0};
    std::atomic<std::uint64_t> revision{0};
  };
  static constexpr std::size_t kFixedSlots = 512;

  bool try_claim(Slot& slot);
  void leave(Slot& slot);

  std::array<Slot, kFixedSlots> slots_;
  std::mutex overflow_mutex_;
  std::vector<std::unique_ptr<Slot>> overflow_;  // Grows to the most readers ever inside at once; slots are reused.
};

}  // namespace st8::state::pipeline
