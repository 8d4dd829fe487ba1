// Every key has its values by the sequence of the commit that wrote them, so a snapshot is a number, and a commit costs
// the same however much is stored.
#include <algorithm>
#include <atomic>
#include <deque>
#include <map>
#include <mutex>
#include <set>
#include <shared_mutex>

#include "st8/state/engine.h"
#include "st8/state/text.h"

namespace st8::state {
namespace {

using Sequence = std::uint64_t;

struct Version {
  Sequence sequence;
  std::shared_ptr<const std::string> value;  // Null: deleted.
};
using Versions = std::vector<Version>;  // Oldest first, never empty.

struct Data {
  mutable std::shared_mutex mutex;
  std::map<std::string, Versions, std::less<>> keys;
  std::multiset<Sequence> snapshots;
  // Deletions whose key still stands because a snapshot could see it, in the order of their sequence.
  std::deque<std::pair<Sequence, std::string>> deleted;
  Sequence last = 0;
  std::uint64_t bytes = 0;
  std::atomic<std::uint64_t> gets{0}, scans{0}, commits{0}, syncs{0}, bytes_written{0};
};

// The value as of `sequence`; null: none.
std::shared_ptr<const std::string> at(const Versions& versions, Sequence sequence) {
  const auto behind = std::upper_bound(versions.begin(), versions.end(), sequence,
                                       [](Sequence s, const Version& version) { return s < version.sequence; });
  return behind == versions.begin() ? nullptr : std::prev(behind)->value;
}

class Snapshot final : public EngineSnapshot {
 public:
  explicit Snapshot(std::shared_ptr<Data> data) : data_(std::move(data)) {
    const std::lock_guard lock(data_->mutex);
    sequence_ = data_->last;
    position_ = data_->snapshots.insert(sequence_);
  }
  ~Snapshot() override {
    const std::lock_guard lock(data_->mutex);
    data_->snapshots.erase(position_);
  }
  Sequence sequence() const { return sequence_; }

 private:
  std::shared_ptr<Data> data_;
  Sequence sequence_;
  std::multiset<Sequence>::iterator position_;
};

class MemoryCursor final : public Cursor {
 public:
  MemoryCursor(std::shared_ptr<Data> data, KeyRange range, const EngineSnapshot* snapshot)
      : data_(std::move(data)), range_(std::move(range)) {
    if (snapshot == nullptr) {
      own_ = std::make_unique<Snapshot>(data_);
      sequence_ = own_->sequence();
    } else {
      sequence_ = static_cast<const Snapshot*>(snapshot)->sequence();
    }
    seek(range_.begin);
  }
  bool valid() const override { return value_ != nullptr; }
  void next() override {
    const std::shared_lock lock(data_->mutex);
    settle(data_->keys.upper_bound(key_));
  }
  void seek(std::string_view key) override {
    const std::shared_lock lock(data_->mutex);
    settle(data_->keys.lower_bound(std::max(key, std::string_view(range_.begin))));
  }
  std::string_view key() const override { return key_; }
  std::string_view value() const override { return *value_; }
  Status status() const override { return {}; }

 private:
  void settle(std::map<std::string, Versions, std::less<>>::const_iterator position) {
    value_ = nullptr;
    for (; position != data_->keys.end(); ++position) {
      if (!range_.end.empty() && position->first >= range_.end) return;
      if (auto value = at(position->second, sequence_)) {
        key_ = position->first;
        value_ = std::move(value);
        return;
      }
    }
  }

  std::shared_ptr<Data> data_;
  KeyRange range_;
  std::unique_ptr<Snapshot> own_;
  Sequence sequence_ = 0;
  std::string key_;
  std::shared_ptr<const std::string> value_;
};

class MemoryEngine final : public Engine {
 public:
  Result<std::optional<std::string>> get(std::string_view key, const EngineSnapshot* snapshot) const override {
    data_->gets.fetch_add(1, std::memory_order_relaxed);
    std::shared_ptr<const std::string> value;
    {
      const std::shared_lock lock(data_->mutex);
      const auto found = data_->keys.find(key);
      if (found == data_->keys.end()) return std::optional<std::string>{};
      value = at(found->second, snapshot == nullptr ? data_->last : static_cast<const Snapshot*>(snapshot)->sequence());
    }
    if (value == nullptr) return std::optional<std::string>{};
    return std::optional<std::string>{*value};
  }

  std::unique_ptr<Cursor> scan(KeyRange range, const EngineSnapshot* snapshot) const override {
    data_->scans.fetch_add(1, std::memory_order_relaxed);
    return std::make_unique<MemoryCursor>(data_, std::move(range), snapshot);
  }

  std::unique_ptr<EngineSnapshot> snapshot() const override { return std::make_unique<Snapshot>(data_); }

  Status commit(const Batch& batch, std::span<const Expectation> expectations, Durability durability) override {
    const std::lock_guard lock(data_->mutex);
    for (const Expectation& expected : expectations) {
      const auto found = data_->keys.find(expected.key);
      const auto value = found == data_->keys.end() ? nullptr : at(found->second, data_->last);
      const bool holds = value == nullptr ? !expected.value.has_value() : expected.value == *value;
      if (!holds) {
        return fail(ErrorCode::kPreconditionFailed, "the record " + quote(expected.key) + " is not as it was expected",
                    "Read it again and retry.");
      }
    }
    const Sequence sequence = ++data_->last;
    const Sequence oldest = data_->snapshots.empty() ? sequence : *data_->snapshots.begin();
    for (const Batch::Write& write : batch.writes()) put(write, sequence, oldest);
    forget_deleted(oldest);
    data_->commits.fetch_add(1, std::memory_order_relaxed);
    if (durability == Durability::kSynced) data_->syncs.fetch_add(1, std::memory_order_relaxed);
    data_->bytes_written.fetch_add(batch.bytes(), std::memory_order_relaxed);
    return {};
  }

  Status reclaim(const std::vector<KeyRange>&) override { return {}; }

  EngineStats stats() const override {
    EngineStats stats;
    stats.gets = data_->gets.load(std::memory_order_relaxed);
    stats.scans = data_->scans.load(std::memory_order_relaxed);
    stats.commits = data_->commits.load(std::memory_order_relaxed);
    stats.syncs = data_->syncs.load(std::memory_order_relaxed);
    stats.bytes_written = data_->bytes_written.load(std::memory_order_relaxed);
    const std::shared_lock lock(data_->mutex);
    stats.memory_bytes = data_->bytes;
    return stats;
  }

 private:
  void put(const Batch::Write& write, Sequence sequence, Sequence oldest) {
    auto found = data_->keys.lower_bound(write.key);
    const bool known = found != data_->keys.end() && found->first == write.key;
    if (!known) {
      if (!write.value) return;
      found = data_->keys.emplace_hint(found, write.key, Versions{});
      data_->bytes += write.key.size();
    }
    Versions& versions = found->second;
    Version version{sequence, write.value ? std::make_shared<const std::string>(*write.value) : nullptr};
    data_->bytes += size_of(version);
    if (!versions.empty() && versions.back().sequence == sequence) {
      data_->bytes -= size_of(versions.back());
      versions.back() = std::move(version);
    } else {
      versions.push_back(std::move(version));
    }
    drop_unseen(versions, oldest);
    if (versions.back().value == nullptr) data_->deleted.emplace_back(sequence, write.key);
  }

  // Drops every version that no snapshot, and no reader now, can see: those behind which a newer one is old enough for all.
  void drop_unseen(Versions& versions, Sequence oldest) {
    std::size_t unseen = 0;
    while (unseen + 1 < versions.size() && versions[unseen + 1].sequence <= oldest) {
      data_->bytes -= size_of(versions[unseen]);
      ++unseen;
    }
    versions.erase(versions.begin(), versions.begin() + static_cast<std::ptrdiff_t>(unseen));
  }

  void forget_deleted(Sequence oldest) {
    while (!data_->deleted.empty() && data_->deleted.front().first <= oldest) {
      const auto found = data_->keys.find(data_->deleted.front().second);
      if (found != data_->keys.end()) {
        drop_unseen(found->second, oldest);
        if (found->second.size() == 1 && found->second.back().value == nullptr) {
          data_->bytes -= found->first.size();
          data_->keys.erase(found);
        }
      }
      data_->deleted.pop_front();
    }
  }

  static std::uint64_t size_of(const Version& version) { return version.value == nullptr ? 0 : version.value->size(); }

  std::shared_ptr<Data> data_ = std::make_shared<Data>();
};

}  // namespace

std::unique_ptr<Engine> make_memory_engine() { return std::make_unique<MemoryEngine>(); }

}  // namespace st8::state
