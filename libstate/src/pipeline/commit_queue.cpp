#include "pipeline/commit_queue.h"

namespace st8::state::pipeline {

CommitQueue::CommitQueue(const Options& options, CommitGroup commit_group)
    : options_(options), commit_group_(std::move(commit_group)), committer_([this] { run_committer(); }) {}

CommitQueue::~CommitQueue() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  wake_committer_.notify_one();
  committer_.join();
}

Status CommitQueue::submit(Command& command) {
  std::unique_lock lock(mutex_);
  if (length_.load(std::memory_order_relaxed) >= options_.queue_max) {
    return fail(ErrorCode::kRateLimited, "too many writes are waiting (" + std::to_string(options_.queue_max) + ")",
                "Retry after a moment, with fewer writes at once.");
  }
  length_.fetch_add(1, std::memory_order_relaxed);
  const std::size_t bytes = command.bytes();
  if (groups_.empty() || groups_.back()->commands.size() >= options_.group_max ||
      groups_.back()->bytes + bytes > options_.group_bytes_max) {
    groups_.push_back(std::make_shared<Group>());
  }
  const std::shared_ptr<Group> group = groups_.back();
  group->commands.push_back(&command);
  group->bytes += bytes;

  if (busy_) {
    lock.unlock();
    group->done.wait(0, std::memory_order_acquire);
    return std::move(command.status);
  }

  // Nobody is at work, so nobody waited before us: the oldest group is ours.
  busy_ = true;
  const std::shared_ptr<Group> own = take(lock);
  commit(*own, true);
  lock.lock();
  if (groups_.empty()) {
    busy_ = false;
  } else {
    hand_over_ = true;
    lock.unlock();
    wake_committer_.notify_one();
  }
  return std::move(command.status);
}

std::shared_ptr<CommitQueue::Group> CommitQueue::take(std::unique_lock<std::mutex>& lock) {
  std::shared_ptr<Group> group = std::move(groups_.front());
  groups_.pop_front();
  lock.unlock();
  return group;
}

void CommitQueue::commit(Group& group, bool leading) {
  commit_group_(group.commands);
  length_.fetch_sub(group.commands.size(), std::memory_order_relaxed);
  const bool others = group.commands.size() > (leading ? 1u : 0u);
  group.done.store(1, std::memory_order_release);
  if (others) group.done.notify_all();
}

void CommitQueue::run_committer() {
  std::unique_lock lock(mutex_);
  while (true) {
    wake_committer_.wait(lock, [this] { return stop_ || hand_over_; });
    if (!hand_over_) return;
    while (!groups_.empty()) {
      const std::shared_ptr<Group> group = take(lock);
      commit(*group, false);
      lock.lock();
    }
    hand_over_ = false;
    busy_ = false;
  }
}

}  // namespace st8::state::pipeline
