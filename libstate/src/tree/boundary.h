// Where a node ends: decided by the keys alone, left to right, so that the same keys always give the same nodes and an
// edit of values never moves a boundary.
//
// An entry ends its node with a probability that grows with the number of entries already in it (a count-aware hazard),
// which keeps sizes close to their mean: plain "hash below a threshold" gives sizes that vary as much as their mean, and
// the nodes that edits land in are then twice the mean. It starts at zero for the first kEntriesMin - 1 entries, rises
// linearly, and is certain at kEntriesMax. The decision is deterministic: the hash of the key stands for the dice.
// Stored trees depend on every constant here (docs/formats.md): never change one without a new format version.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace st8::state::tree {

// Entries in a node: at least kEntriesMin but in the last node of a level, at most kEntriesMax, about 24 in the mean.
inline constexpr std::size_t kEntriesMin = 7;
inline constexpr std::size_t kEntriesMax = 80;
// What the hazard gains with each entry, of 2^32.
inline constexpr std::uint32_t kHazardStep = 20'350'000;
static_assert(std::uint64_t{kHazardStep} * (kEntriesMax - kEntriesMin + 1) < (std::uint64_t{1} << 32));

// A 64-bit hash of a key's bytes. Not cryptographic and not seeded: keys chosen against it can only make nodes of
// kEntriesMin or of kEntriesMax entries, and either makes a sound tree.
//   h = length · M; for every 8 bytes, as a little-endian word (the last one padded with zero bytes): h = (h ^ word) · M,
//   h ^= h >> 32; M = 0x9e3779b97f4a7c15.
std::uint64_t key_hash(std::string_view key);

// The dice of one key at one level: levels must not repeat each other's decisions.
//   x = hash + level · 0xd1342543de82ef95; x = (x ^ x >> 32) · 0xd6e8feb86659fd93; x ^= x >> 32; the low 32 bits.
inline std::uint32_t boundary_dice(std::uint64_t hash, std::uint8_t level) {
  std::uint64_t x = hash + level * 0xd1342543de82ef95u;
  x = (x ^ (x >> 32)) * 0xd6e8feb86659fd93u;
  x ^= x >> 32;
  return static_cast<std::uint32_t>(x);
}

// A 32-bit checksum of stored bytes that no name covers; against accidents only.
inline std::uint32_t checksum(std::string_view bytes) { return boundary_dice(key_hash(bytes), 0); }

// Whether the entry that makes a node `count` entries long (itself included) ends it.
inline bool ends_node(std::uint32_t dice, std::size_t count) {
  if (count < kEntriesMin) return false;
  if (count >= kEntriesMax) return true;
  return dice < kHazardStep * static_cast<std::uint32_t>(count - kEntriesMin + 1);
}
inline bool ends_node(std::string_view key, std::uint8_t level, std::size_t count) {
  return count >= kEntriesMin && ends_node(boundary_dice(key_hash(key), level), count);
}

}  // namespace st8::state::tree
