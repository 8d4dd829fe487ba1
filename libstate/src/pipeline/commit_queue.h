// The queue before the committer, and who does its work: the writers themselves, and two threads that help.
//
// Two roles, each held by at most one thread. The builder takes commands from the queue, in order, and builds them into
// the open group. The writer has the open group sealed, writes it with one sync, publishes it and answers its commands. So a
// group is built while the one before is on its way to the disk, and a group holds all that came meanwhile. A client that
// is alone holds both roles, one after the other, on its own thread: no hand-off, no other thread.
//
// Why nobody waits for ever. Whether a role is held, the queue, and `built_` (the open group has commands) are all read and
// changed under one mutex. Between two sections under it, these hold:
//   1. A queued command has a builder; or the open group is full; or the writer waits to become the builder.
//   2. A built command that is not sealed has a writer; or a builder, who becomes the writer on giving up that role.
// A role is given up in the very section that looks at what is left to do, so these are kept:
//   - The builder stops when the queue is empty, the group is full, the writer wants the role, nobody writes what it has
//     built, or its own command is answered. If nobody writes, it takes the role of the writer (or, its own command being
//     answered, calls the helper to it). Its own role then goes to the writer who wants it, or else to the first in the
//     queue, whose thread is woken with it, or else to nobody (queue empty, or group full and thus with a writer).
//   - The writer stops when nothing is built. It seals a group itself if nobody builds. Otherwise it asks the builder to, who
//     does so behind the command at hand and in any case before giving up the role, and goes on building: while the role went to
//     the writer for that, nobody built until a thread was woken again, which was longer than a group takes to build.
//     After a failure, to forget what was built on it, the writer takes the builder's role, and comes before all
//     others: who builds stops behind the command at hand, and holds nothing else that the writer could wait for.
//     Afterwards the role goes on as above.
//   - A writer that is a client hands its role to the helper rather than serve others for longer than its own group.
//   - Where the first in the queue has no thread that waits with it (begin()), the builder's role goes to a helper too.
// Nobody waits but: clients, for their answer or a role; the writer, for the builder; the helpers, for their roles.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "st8/state/result.h"

namespace st8::state::pipeline {

class Committer;
struct CommitGroup;

// One writer's wish. Stays where it is until it is answered.
class Command {
 public:
  virtual ~Command() = default;
  // By the builder, on any client's thread: checks everything, then stages everything. An error refuses this command
  // alone, and must be returned before anything was staged.
  virtual Status build(Committer& committer) = 0;
  // About how much it will write; bounds a group.
  virtual std::size_t bytes() const { return 256; }

  // The answer: that of build(), or why the group failed. Set before the writer is woken.
  Status status;

  // Of a command that was begun: it is answered. Called once, by the thread that answers, which others wait for: be quick.
  // The command may be destroyed in it.
  virtual void on_answered() {}

 private:
  friend class CommitQueue;
  // What its client is told, and whether that client sleeps until it is told something.
  enum State : std::uint32_t { kWaiting, kSleeping, kBuild, kAnswered };
  std::atomic<std::uint32_t> state_{kWaiting};
  bool begun_ = false;  // Nobody sleeps for it; on_answered() is called.
};

class CommitQueue {
 public:
  // `committer` outlives the queue, and is used by nobody else.
  CommitQueue(Committer& committer, std::size_t queue_max);
  ~CommitQueue();  // No submit() may be running or follow; waits for what was begun.
  CommitQueue(const CommitQueue&) = delete;
  CommitQueue& operator=(const CommitQueue&) = delete;

  // Blocks until the command is answered. May build other clients' commands meanwhile. Errors: the command's, or
  // kRateLimited when too many wait.
  Status submit(Command& command);

  // As submit(), without waiting for the answer, which comes by on_answered(), perhaps before this returns. May build other
  // clients' commands, and if it is alone writes and answers its own. Errors: kRateLimited; the command is then not taken.
  Status begin(Command& command);

  // Commands that wait for their answer.
  std::size_t length() const { return length_.load(std::memory_order_relaxed); }

 private:
  using Lock = std::unique_lock<std::mutex>;

  Status take_place();
  // Who builds: a client that waits for its own command, one that does not wait, or the helper.
  enum class Builder : std::uint8_t { kWaits, kBegins, kHelps };
  // As the builder, under the lock; returns, unlocked, without the role. `own` is null but for one that waits.
  void build(Lock& lock, Builder who, const Command* own);
  bool take_building();              // Under the lock. False: somebody has the builder's role, or comes first.
  void pass_builder_on(Lock& lock);  // As the builder, under the lock.
  void seal_for_writer(Lock& lock);  // As the builder, under the lock, while seal_wanted_.
  void become_builder(Lock& lock);   // As the writer, under the lock: waits for the builder's role.
  // As the writer: writes, publishes, answers.
  void write(CommitGroup& group);
  // As the writer, under the lock: the next group; null: there is none, and the role is given up.
  std::shared_ptr<CommitGroup> seal_next(Lock& lock);
  void call_writer();   // As the writer, under the lock: hands the role over.
  void stop_writing();  // As the writer, under the lock: gives it up.
  void run_writer();
  void run_builder();

  static void tell(Command& command, Command::State what);
  static Command::State sleep(Command& command);
  void answer(const std::vector<Command*>& commands);

  Committer& committer_;  // Its build side is the builder's, its write side the writer's.
  const std::size_t queue_max_;

  std::mutex mutex_;
  std::deque<Command*> queue_;  // Not built yet.
  bool built_ = false;          // The open group has commands.
  bool writing_ = false;        // Somebody is the writer.
  bool building_ = false;       // Somebody is the builder.
  // The writer waits until the builder has sealed the open group, which is then in sealed_. Changed under the mutex.
  std::atomic<bool> seal_wanted_{false};
  std::shared_ptr<CommitGroup> sealed_;
  bool role_wanted_ = false;             // The writer waits for the builder's role.
  std::condition_variable writer_wait_;  // For the writer, while it waits for either.

  bool writer_called_ = false;   // The writer's role is that helper's.
  bool builder_called_ = false;  // The builder's role is that helper's.
  bool stop_ = false;
  std::condition_variable writer_wake_, builder_wake_;

  std::atomic<std::size_t> length_{0};
  std::thread writer_, builder_;
};

}  // namespace st8::state::pipeline
