#include "pipeline/pins.h"

#include <chrono>
#include <functional>
#include <thread>

namespace st8::state::pipeline {

void Pin::stand_on(keyspace::NamespaceId ns, RevisionNumber revision) {
  if (registry_ == nullptr) return;
  auto& slot = *static_cast<PinRegistry::Slot*>(slot_);
  slot.ns.store(ns.value, std::memory_order_relaxed);
  slot.revision.store(revision.value, std::memory_order_relaxed);
  const std::uint64_t state = slot.state.load(std::memory_order_relaxed);
  slot.state.store((state & ~std::uint64_t{3}) | PinRegistry::kStanding, std::memory_order_release);
}

void Pin::release() {
  if (registry_ != nullptr) registry_->leave(*static_cast<PinRegistry::Slot*>(slot_));
  registry_ = nullptr;
}

bool PinRegistry::try_claim(Slot& slot) {
  std::uint64_t state = slot.state.load(std::memory_order_relaxed);
  if ((state & 3) != kFree) return false;
  // Sequentially consistent: a reader whose claim gc does not see must see gc's marks (both write, then read the other).
  return slot.state.compare_exchange_strong(state, ((state & ~std::uint64_t{3}) + 4) | kResolving);
}

void PinRegistry::leave(Slot& slot) {
  const std::uint64_t state = slot.state.load(std::memory_order_relaxed);
  slot.state.store((state & ~std::uint64_t{3}) | kFree, std::memory_order_release);
}

Pin PinRegistry::enter() {
  // A thread begins where it last found a slot, so threads keep out of each other's cache lines.
  thread_local std::size_t start = std::hash<std::thread::id>{}(std::this_thread::get_id()) * 7;
  for (std::size_t i = 0; i < kFixedSlots; ++i) {
    Slot& slot = slots_[(start + i) % kFixedSlots];
    if (try_claim(slot)) {
      start += i;
      return Pin(this, &slot);
    }
  }
  const std::lock_guard lock(overflow_mutex_);
  for (const auto& slot : overflow_) {
    if (try_claim(*slot)) return Pin(this, slot.get());
  }
  overflow_.push_back(std::make_unique<Slot>());
  Slot& slot = *overflow_.back();
  try_claim(slot);
  return Pin(this, &slot);
}

std::optional<std::vector<PinnedRevision>> PinRegistry::collect(const std::function<bool()>& cancelled) {
  std::vector<Slot*> slots;
  for (Slot& slot : slots_) slots.push_back(&slot);
  {
    const std::lock_guard lock(overflow_mutex_);
    for (const auto& slot : overflow_) slots.push_back(slot.get());
  }
  std::vector<PinnedRevision> pinned;
  for (Slot* slot : slots) {
    std::uint64_t state = slot->state.load();
    const std::uint64_t seen = state;
    while ((state & 3) == kResolving && state == seen) {
      if (cancelled && cancelled()) return std::nullopt;
      std::this_thread::sleep_for(std::chrono::microseconds(50));
      state = slot->state.load();
    }
    if ((state & 3) == kStanding && (state >> 2) == (seen >> 2)) {
      const PinnedRevision pin{{slot->ns.load(std::memory_order_relaxed)},
                               {slot->revision.load(std::memory_order_relaxed)}};
      // A reader that left meanwhile may have made room for another, which stands on something newer: both are harmless,
      // but a mixture of the two is not, so take the pair only when the slot did not move.
      if (slot->state.load() == state && !pin.revision.is_root()) pinned.push_back(pin);
    }
  }
  return pinned;
}

}  // namespace st8::state::pipeline
