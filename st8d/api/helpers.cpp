#include "api/helpers.h"

#include <algorithm>
#include <atomic>
#include <pthread.h>
#include <system_error>

namespace st8::api {
namespace {

constexpr std::size_t kThreadsMax = 3;

}  // namespace

struct Helpers::Task {
  const std::size_t parts;
  const std::function<void(std::size_t part)>& work;
  std::atomic<std::size_t> next{0};
  std::size_t helping = 0;  // Threads that are at it, beside its own. Guarded by mutex_.
  std::condition_variable left = {};

  void take_parts() {
    for (std::size_t part; (part = next.fetch_add(1, std::memory_order_relaxed)) < parts;) work(part);
  }
};

Helpers::Helpers()
    : Helpers(std::min<std::size_t>(kThreadsMax, std::max(1u, std::thread::hardware_concurrency()) - 1)) {}

Helpers::~Helpers() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  wake_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

void Helpers::help() const {
  ::pthread_setname_np(::pthread_self(), "st8-helper");  // For who looks with top or perf; at most 15 bytes.
  std::unique_lock lock(mutex_);
  while (true) {
    wake_.wait(lock, [this] { return stop_ || !asked_.empty(); });
    if (stop_) return;
    Task& task = *asked_.front();
    asked_.pop_front();
    ++task.helping;
    --waiting_;
    lock.unlock();
    task.take_parts();
    lock.lock();
    ++waiting_;
    ++free_;
    if (--task.helping == 0) task.left.notify_one();  // Under the lock: the task may be gone as soon as it is let go.
  }
}

void Helpers::run(std::size_t parts, const std::function<void(std::size_t part)>& work) const {
  Task task{parts, work};
  std::size_t asked = 0;
  if (parts > 1) {
    const std::lock_guard lock(mutex_);
    for (; free_ > 0 && asked + 1 < parts; ++asked) {
      if (waiting_ <= asked_.size()) {
        try {
          threads_.emplace_back([this] { help(); });
        } catch (const std::system_error&) {  // The machine has no thread to give.
          break;
        }
        ++waiting_;
      }
      --free_;
      asked_.push_back(&task);
    }
  }
  for (std::size_t i = 0; i < asked; ++i) wake_.notify_one();
  task.take_parts();
  if (asked == 0) return;
  std::unique_lock lock(mutex_);
  // Who has not come yet need not come any more.
  free_ += std::erase(asked_, &task);
  task.left.wait(lock, [&] { return task.helping == 0; });
}

}  // namespace st8::api
