#include "pipeline/group_nodes.h"

#include <algorithm>
#include <bit>
#include <cstring>

namespace st8::state::pipeline {
namespace {

// A commit that leaves more versions of nodes behind lets none of them go.
constexpr std::size_t kLetGoMax = 128;

// A name is a SHA-256: any of its bytes are as good as a hash.
std::size_t word_of(const Hash& name) { return std::hash<Hash>{}(name); }

}  // namespace

void NodeTable::add(RevisionNumber written_at, std::shared_ptr<const tree::Node> node) {
  items_.push_back({written_at, std::move(node)});
  if (slots_.empty() && items_.size() <= kScannedMax) return;
  if (items_.size() * 2 > slots_.size()) {
    slots_.assign(std::bit_ceil(items_.size() * 4), 0);
    for (std::uint32_t i = 0; i < items_.size(); ++i) link(i);
  } else {
    link(static_cast<std::uint32_t>(items_.size() - 1));
  }
}

void NodeTable::link(std::uint32_t position) {
  const std::size_t mask = slots_.size() - 1;
  std::size_t slot = word_of(items_[position].node->name()) & mask;
  while (slots_[slot] != 0) slot = (slot + 1) & mask;
  slots_[slot] = position + 1;
}

void NodeTable::truncate(std::size_t count) {
  items_.resize(count);
  if (slots_.empty()) return;
  std::fill(slots_.begin(), slots_.end(), 0);
  for (std::uint32_t i = 0; i < items_.size(); ++i) link(i);
}

void NodeTable::clear() {
  items_.clear();
  slots_.clear();
  if (items_.capacity() > kScannedMax) items_.shrink_to_fit();
  if (slots_.capacity() > 0) slots_.shrink_to_fit();
}

std::shared_ptr<const tree::Node> NodeTable::find(const Hash& name, RevisionNumber written_at) const {
  const auto is_it = [&](const Item& item) { return item.written_at == written_at && item.node->name() == name; };
  if (slots_.empty()) {
    const auto found = std::find_if(items_.begin(), items_.end(), is_it);
    return found == items_.end() ? nullptr : found->node;
  }
  const std::size_t mask = slots_.size() - 1;
  for (std::size_t slot = word_of(name) & mask; slots_[slot] != 0; slot = (slot + 1) & mask) {
    if (const Item& item = items_[slots_[slot] - 1]; is_it(item)) return item.node;
  }
  return nullptr;
}

std::shared_ptr<const tree::Node> GroupNodes::cached(const Hash& name, RevisionNumber written_at) const {
  if (auto node = building_.find(name, written_at)) return node;
  if (auto node = sealed_.find(name, written_at)) return node;
  return stored_.cached(name, written_at);
}

Result<std::shared_ptr<const tree::Node>> GroupNodes::node(const tree::NodeLocation& location, const Hash& name) const {
  if (auto node = cached(name, location.written_at)) return node;
  return stored_.node(location, name);
}

void GroupNodes::put(const tree::NodeLocation& location, std::shared_ptr<const tree::Node> node, std::string body) {
  building_.add(location.written_at, std::move(node));
  bodies_.push_back(
      {keyspace::node_key(ns_, location.level, location.first_key, location.written_at), std::move(body)});
}

std::size_t GroupNodes::accept(std::vector<Batch::Write>& writes) {
  std::size_t bytes = 0;
  for (Batch::Write& body : bodies_) {
    bytes += body.value->size();
    writes.push_back(std::move(body));
  }
  bodies_.clear();
  // Who changed much at once is likely to compare what is with what was: those versions would be gone before the commit is done.
  if (left_.size() <= kLetGoMax) {
    for (const tree::Version& left : left_) stored_.let_go(left.name, left.written_at);
  }
  left_.clear();
  // Kept here, where there is time, and not by the writer, behind whom all wait. Nobody asks for a node before its revision is
  // published; if it never is, Committer::abandon() clears the cache.
  for (const auto& items = building_.items(); accepted_ < items.size(); ++accepted_) {
    stored_.keep(items[accepted_].written_at, items[accepted_].node);
  }
  return bytes;
}

void GroupNodes::discard() {
  left_.clear();
  if (bodies_.empty()) return;
  bodies_.clear();
  building_.truncate(accepted_);
}

void GroupNodes::seal() {
  std::swap(sealed_, building_);
  building_.clear();
  accepted_ = 0;
}

}  // namespace st8::state::pipeline
