// The queue before the committer: concurrent writers gather in groups, and each group is committed at once.
//
// Flat combining: a writer that finds nobody at work leads, on its own thread, so one client alone pays no hand-off. Who
// comes while a group is being committed gathers in the next one; when the leader's group is done and others wait, a
// committer thread takes over and works until nobody waits. All writers of a group sleep on one word and are woken by one
// system call.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <thread>
#include <vector>

#include "st8/state/result.h"

namespace st8::state::pipeline {

class Committer;

// One writer's wish. Lives on the writer's stack until it is answered.
class Command {
 public:
  virtual ~Command() = default;
  // On the committing thread: checks everything, then stages everything. An error refuses this command alone, and must
  // be returned before anything was staged.
  virtual Status build(Committer& committer) = 0;
  // About how much it will write; bounds a group.
  virtual std::size_t bytes() const { return 256; }

  // The answer: that of build(), or why the group failed. Set before the writer is woken.
  Status status;
};

class CommitQueue {
 public:
  struct Options {
    std::size_t group_max = 512;
    std::size_t group_bytes_max = 8u << 20;
    std::size_t queue_max = 8192;
  };
  // Commits a group and sets each command's status; called by one thread at a time.
  using CommitGroup = std::function<void(std::span<Command* const>)>;

  CommitQueue(const Options& options, CommitGroup commit_group);
  ~CommitQueue();  // Commits what is queued. No submit() may be running or follow.
  CommitQueue(const CommitQueue&) = delete;
  CommitQueue& operator=(const CommitQueue&) = delete;

  // Blocks until the command is answered. Errors: the command's, or kRateLimited when too many wait.
  Status submit(Command& command);

  std::size_t length() const { return length_.load(std::memory_order_relaxed); }

 private:
  struct Group {
    std::vector<Command*> commands;
    std::size_t bytes = 0;
    std::atomic<std::uint32_t> done{0};
  };

  // Takes the oldest group, which no writer can join any more.
  std::shared_ptr<Group> take(std::unique_lock<std::mutex>& lock);
  // `leading`: by one of the group's own writers, who need not be woken.
  void commit(Group& group, bool leading);
  void run_committer();

  const Options options_;
  const CommitGroup commit_group_;

  std::mutex mutex_;
  std::deque<std::shared_ptr<Group>> groups_;  // The last one gathers.
  bool busy_ = false;         // Somebody leads, or the committer thread works.
  bool hand_over_ = false;    // The committer thread is to take over; busy_ stays true.
  bool stop_ = false;
  std::condition_variable wake_committer_;
  std::atomic<std::size_t> length_{0};
  std::thread committer_;
};

}  // namespace st8::state::pipeline
