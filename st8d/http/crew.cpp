#include "http/crew.h"

#include <algorithm>
#include <utility>

namespace st8::http {

Crew::Crew(const CrewOptions& options, Poller& poller, std::function<void(const epoll_event&)> on_event,
           std::function<void()> on_alone)
    : options_(options), poller_(poller), on_event_(std::move(on_event)), on_alone_(std::move(on_alone)) {}

Crew::~Crew() {
  std::unique_lock lock(mutex_);
  stopping_.store(true);
  for (Parked* parked : parked_) {
    parked->woken = true;
    parked->wake.notify_one();
  }
  parked_.clear();
  poller_.wake_for_ever();
  ended_.wait(lock, [this] { return threads_ == 0; });
  std::vector<pthread_t> finished = std::exchange(finished_, {});
  lock.unlock();
  for (const pthread_t thread : finished) ::pthread_join(thread, nullptr);
}

Status Crew::start() {
  const std::lock_guard lock(mutex_);
  const std::size_t first = std::min(options_.pollers_max, options_.threads_max);
  for (std::size_t i = 0; i < first; ++i) {
    if (!spawn()) {
      if (threads_ > 0) break;
      return fail(ErrorCode::kUnavailable, "the system gives no thread", "raise the limit of processes (ulimit -u)");
    }
  }
  return {};
}

bool Crew::spawn() {
  if (threads_ >= options_.threads_max || stopping_) return false;
  pthread_attr_t attributes;
  ::pthread_attr_init(&attributes);
  ::pthread_attr_setstacksize(&attributes, options_.stack_bytes);
  pthread_t thread{};
  const bool made = ::pthread_create(&thread, &attributes, &Crew::thread_main, this) == 0;
  ::pthread_attr_destroy(&attributes);
  if (made) ++threads_;
  return made;
}

void* Crew::thread_main(void* crew) {
  static_cast<Crew*>(crew)->run();
  return nullptr;
}

bool Crew::call_up(bool polls) {
  if (!parked_.empty()) {
    Parked* parked = parked_.back();
    parked_.pop_back();
    if (polls) pollers_.fetch_add(1);
    parked->polls = polls;
    parked->woken = true;
    parked->wake.notify_one();
    return true;
  }
  // Threads that ended by themselves are joined here, where new ones are made: their number stays small.
  std::vector<pthread_t> finished = std::exchange(finished_, {});
  for (const pthread_t thread : finished) ::pthread_join(thread, nullptr);
  if (!spawn()) return false;
  if (polls) {
    pollers_.fetch_add(1);
    ++spawned_polling_;
  }
  return true;
}

bool Crew::admit(bool may_block) {
  if (pollers_.load() > 0) return true;
  if (!may_block) {
    on_alone_();
    return true;
  }
  const std::lock_guard lock(mutex_);
  // Two, so that a burst of work is met by twice as many threads at each step, and not by one after the other.
  if (pollers_.load() == 0) call_up(true);
  if (pollers_.load() == 1) call_up(true);
  return pollers_.load() > 0;
}

bool Crew::enqueue(std::function<void()> work) {
  const std::lock_guard lock(mutex_);
  if (queue_.size() >= options_.queue_max) return false;
  queue_.push_back(std::move(work));
  queued_.store(queue_.size());
  call_up(false);
  return true;
}

void Crew::enqueue_short(std::function<void()> work) {
  {
    const std::lock_guard lock(mutex_);
    short_queue_.push_back(std::move(work));
    queued_short_.store(short_queue_.size());
  }
  // A thread on its way to poll looks at the queue after it has counted itself, so one of the two sees the other.
  if (pollers_.load() > 0) poller_.wake(1);
}

void Crew::relieve() {
  const std::uint64_t polls = polls_.load(std::memory_order_relaxed);
  const bool stuck = pollers_.load() == 0 && polls == polls_seen_;
  polls_seen_ = polls;
  if (!stuck) return;
  const std::lock_guard lock(mutex_);
  if (pollers_.load() == 0) call_up(true);
}

CrewStats Crew::stats() const {
  const std::lock_guard lock(mutex_);
  return {threads_, parked_.size(), queue_.size()};
}

bool Crew::enter_poll() {
  std::size_t pollers = pollers_.load();
  while (pollers < options_.pollers_max) {
    if (pollers_.compare_exchange_weak(pollers, pollers + 1)) return true;
  }
  return false;
}

void Crew::run() {
  bool polls = false;  // Whether this thread is counted in pollers_.
  {
    const std::lock_guard lock(mutex_);
    if (spawned_polling_ > 0) {
      --spawned_polling_;
      polls = true;
    }
  }
  std::function<void()> work;
  while (!stopping_.load(std::memory_order_relaxed)) {
    if (!polls && (queued_.load() == 0 || pollers_.load() == 0)) polls = enter_poll();
    if (queued_short_.load() > 0) {
      {
        const std::lock_guard lock(mutex_);
        if (!short_queue_.empty()) {
          work = std::move(short_queue_.front());
          short_queue_.pop_front();
          queued_short_.store(short_queue_.size());
        }
      }
      if (work) {
        // It is back within moments; if nobody else polls, the timekeeper looks whether that holds.
        if (polls) {
          polls = false;
          if (pollers_.fetch_sub(1) == 1) on_alone_();
        }
        work();
        work = nullptr;
        continue;
      }
    }
    if (polls) {
      const epoll_event event = poller_.wait();
      polls = false;
      pollers_.fetch_sub(1);
      polls_.fetch_add(1, std::memory_order_relaxed);
      if (event.data.u64 != Poller::kWakeTag) on_event_(event);
      continue;
    }
    std::unique_lock lock(mutex_);
    if (!queue_.empty() && pollers_.load() > 0) {
      work = std::move(queue_.front());
      queue_.pop_front();
      queued_.store(queue_.size());
      lock.unlock();
      work();
      work = nullptr;
      continue;
    }
    if (!queue_.empty() || stopping_ || pollers_.load() < options_.pollers_max) continue;
    Parked self;
    parked_.push_back(&self);
    const bool woken = self.wake.wait_for(lock, options_.idle, [&self] { return self.woken; });
    if (woken) {
      polls = self.polls;
      continue;
    }
    std::erase(parked_, &self);
    if (threads_ > options_.pollers_max) {
      finished_.push_back(::pthread_self());
      --threads_;
      ended_.notify_all();
      return;
    }
  }
  if (polls) pollers_.fetch_sub(1);
  const std::lock_guard lock(mutex_);
  finished_.push_back(::pthread_self());
  --threads_;
  ended_.notify_all();
}

}  // namespace st8::http
