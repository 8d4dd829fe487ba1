#include "pipeline/commit_queue.h"

#include <chrono>
#include <limits>
#include <linux/futex.h>
#include <pthread.h>
#include <string>
#include <sys/syscall.h>
#include <thread>
#include <unistd.h>

#include "pipeline/committer.h"

namespace st8::state::pipeline {
namespace {

// std::atomic::wait() would do, but it yields its processor a dozen times before it sleeps: with more clients than cores
// that was a fifteenth of the daemon's work.
void futex_wait(std::atomic<std::uint32_t>& word, std::uint32_t expected) {
  ::syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, expected, nullptr, nullptr, 0);
}
void futex_wake(std::atomic<std::uint32_t>& word) {
  ::syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, 1, nullptr, nullptr, 0);
}

void relax() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

// How often the writer looks whether its group is there before it sleeps: about as long as a command takes to build.
constexpr int kLooks = 300;

// How many commands one that does not wait for its own builds before it goes about its business, which is others' requests:
// half a group. With 64 in place of 8 the rate was 4% lower at 64 clients, 3 to 5% at 256.
constexpr int kBuiltForOthersMax = 8;

}  // namespace

CommitQueue::CommitQueue(Committer& committer, std::size_t queue_max)
    : committer_(committer),
      queue_max_(queue_max),
      writer_([this] { run_writer(); }),
      builder_([this] { run_builder(); }) {}

CommitQueue::~CommitQueue() {
  while (length() > 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  writer_wake_.notify_one();
  builder_wake_.notify_one();
  writer_.join();
  builder_.join();
}

Status CommitQueue::take_place() {
  if (length_.fetch_add(1, std::memory_order_relaxed) < queue_max_) return {};
  length_.fetch_sub(1, std::memory_order_relaxed);
  return fail(ErrorCode::kRateLimited, "too many writes are waiting (" + std::to_string(queue_max_) + ")",
              "Retry after a moment, with fewer writes at once.");
}

Status CommitQueue::submit(Command& command) {
  ST8_TRY(take_place());
  command.state_.store(Command::kWaiting,
                       std::memory_order_relaxed);  // It may have been submitted, and answered, before.
  {
    Lock lock(mutex_);
    queue_.push_back(&command);
    if (take_building()) build(lock, Builder::kWaits, &command);
  }
  while (sleep(command) == Command::kBuild) {
    Lock lock(mutex_);
    build(lock, Builder::kWaits, &command);
  }
  length_.fetch_sub(1, std::memory_order_relaxed);
  return std::move(command.status);
}

Status CommitQueue::begin(Command& command) {
  ST8_TRY(take_place());
  command.begun_ = true;
  Lock lock(mutex_);
  queue_.push_back(&command);
  if (take_building()) build(lock, Builder::kBegins, nullptr);
  return {};
}

bool CommitQueue::take_building() {
  // A writer who waits for the builder's role comes first, and passes it on.
  if (building_ || role_wanted_) return false;
  building_ = true;
  return true;
}

void CommitQueue::build(Lock& lock, Builder who, const Command* own) {
  int left = who == Builder::kBegins ? kBuiltForOthersMax : std::numeric_limits<int>::max();
  // Of a command that was begun nothing may be looked at here: it may be answered, and gone.
  const auto answered = [own] {
    return own != nullptr && own->state_.load(std::memory_order_relaxed) == Command::kAnswered;
  };
  while (true) {
    if (seal_wanted_.load(std::memory_order_relaxed)) seal_for_writer(lock);
    if (queue_.empty() || committer_.full() || role_wanted_ || (built_ && !writing_) || answered() || left == 0) break;
    Command& next = *queue_.front();
    queue_.pop_front();
    lock.unlock();
    committer_.build(next);
    lock.lock();
    built_ = true;
    --left;
  }
  std::shared_ptr<CommitGroup> group;
  if (built_ && !writing_) {
    writing_ = true;
    // The builder's helper stays free to build; and who begins has others to serve, if there are others.
    if (answered() || who == Builder::kHelps || (who == Builder::kBegins && length() > 1)) {
      call_writer();
    } else {
      built_ = false;
      lock.unlock();
      group = committer_.seal();
      committer_.open_next();
      lock.lock();
    }
  }
  pass_builder_on(lock);
  lock.unlock();
  if (group == nullptr) return;
  write(*group);
  group.reset();
  lock.lock();
  if (built_) {
    call_writer();
  } else {
    stop_writing();
  }
  lock.unlock();
}

void CommitQueue::seal_for_writer(Lock& lock) {
  built_ = false;
  lock.unlock();
  std::shared_ptr<CommitGroup> group = committer_.seal();
  lock.lock();
  sealed_ = std::move(group);
  seal_wanted_.store(false, std::memory_order_release);
  lock.unlock();
  writer_wait_.notify_one();
  committer_.open_next();
  lock.lock();
}

void CommitQueue::stop_writing() {
  writing_ = false;
  // With nobody building, the lock is as good as the builder's role.
  if (!building_) committer_.let_go_of_sealed();
}

void CommitQueue::pass_builder_on(Lock&) {
  if (role_wanted_) {
    building_ = false;
    writer_wait_.notify_one();
  } else if (!queue_.empty() && !committer_.full()) {
    // It stays at its place; its own thread takes it from there, or the helper if it has none.
    if (!queue_.front()->begun_) {
      tell(*queue_.front(), Command::kBuild);
    } else {
      builder_called_ = true;
      builder_wake_.notify_one();
    }
  } else {
    building_ = false;
  }
}

void CommitQueue::become_builder(Lock& lock) {
  role_wanted_ = true;
  writer_wait_.wait(lock, [this] { return !building_; });
  role_wanted_ = false;
  building_ = true;
}

void CommitQueue::write(CommitGroup& group) {
  // The commands may be gone as soon as they are answered, and the group is still looked at by the builder.
  const std::vector<Command*> commands = std::move(group.commands);
  if (const Status status = committer_.write(group); !status) {
    for (Command* command : commands) command->status = status;
    std::vector<Command*> abandoned;
    {
      Lock lock(mutex_);
      become_builder(lock);
      abandoned = committer_.abandon(status.error());
      built_ = false;
      pass_builder_on(lock);
    }
    answer(commands);
    answer(abandoned);
    return;
  }
  answer(commands);
}

std::shared_ptr<CommitGroup> CommitQueue::seal_next(Lock& lock) {
  if (!built_) {
    stop_writing();
    return nullptr;
  }
  if (take_building()) {
    built_ = false;
    lock.unlock();
    std::shared_ptr<CommitGroup> group = committer_.seal();
    committer_.open_next();
    lock.lock();
    pass_builder_on(lock);
    return group;
  }
  seal_wanted_.store(true, std::memory_order_relaxed);
  lock.unlock();
  for (int i = 0; i < kLooks && seal_wanted_.load(std::memory_order_acquire); ++i) relax();
  lock.lock();
  writer_wait_.wait(lock, [this] { return !seal_wanted_.load(std::memory_order_relaxed); });
  return std::move(sealed_);
}

void CommitQueue::call_writer() {
  writer_called_ = true;
  writer_wake_.notify_one();
}

void CommitQueue::run_writer() {
  ::pthread_setname_np(::pthread_self(), "st8-writer");  // For who looks with top or perf; at most 15 bytes.
  Lock lock(mutex_);
  while (true) {
    writer_wake_.wait(lock, [this] { return stop_ || writer_called_; });
    if (!writer_called_) return;
    writer_called_ = false;
    while (std::shared_ptr<CommitGroup> group = seal_next(lock)) {
      lock.unlock();
      write(*group);
      group.reset();
      lock.lock();
    }
  }
}

void CommitQueue::run_builder() {
  ::pthread_setname_np(::pthread_self(), "st8-builder");
  Lock lock(mutex_);
  while (true) {
    builder_wake_.wait(lock, [this] { return stop_ || builder_called_; });
    if (!builder_called_) return;
    builder_called_ = false;
    build(lock, Builder::kHelps, nullptr);
    lock.lock();
  }
}

// From the exchange on, a command may be gone. Waking an address where nobody sleeps any more does no harm.
void CommitQueue::tell(Command& command, Command::State what) {
  if (command.state_.exchange(what, std::memory_order_acq_rel) == Command::kSleeping) futex_wake(command.state_);
}

void CommitQueue::answer(const std::vector<Command*>& commands) {
  for (Command* command : commands) {
    if (!command->begun_) {
      tell(*command, Command::kAnswered);
    } else {
      command->on_answered();
      length_.fetch_sub(1, std::memory_order_relaxed);
    }
  }
}

Command::State CommitQueue::sleep(Command& command) {
  while (true) {
    std::uint32_t state = command.state_.load(std::memory_order_acquire);
    if (state == Command::kAnswered) return Command::kAnswered;
    if (state == Command::kBuild) {
      // Nobody answers it before it is built, and from here until then the builder is this thread.
      command.state_.store(Command::kWaiting, std::memory_order_relaxed);
      return Command::kBuild;
    }
    if (state == Command::kWaiting &&
        !command.state_.compare_exchange_strong(state, Command::kSleeping, std::memory_order_acq_rel)) {
      continue;
    }
    futex_wait(command.state_, Command::kSleeping);
  }
}

}  // namespace st8::state::pipeline
