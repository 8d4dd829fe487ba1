#include "service/crew.h"

namespace st8::target {

void Crew::post(std::function<void()> work) {
  const std::lock_guard lock(mutex_);
  if (stopped_) return;
  queue_.push_back(std::move(work));
  if (idle_ < queue_.size() && threads_.size() < most_) threads_.emplace_back([this] { run(); });
  wake_.notify_one();
}

bool Crew::drain(std::chrono::milliseconds most) {
  std::unique_lock lock(mutex_);
  return quiet_.wait_for(lock, most, [this] { return queue_.empty() && running_ == 0; });
}

void Crew::stop() {
  std::vector<std::thread> threads;
  {
    const std::lock_guard lock(mutex_);
    stopped_ = true;
    queue_.clear();
    threads.swap(threads_);
    wake_.notify_all();
  }
  for (std::thread& thread : threads) thread.join();
}

void Crew::run() {
  std::unique_lock lock(mutex_);
  for (;;) {
    ++idle_;
    wake_.wait(lock, [this] { return stopped_ || !queue_.empty(); });
    --idle_;
    if (stopped_) return;
    std::function<void()> work = std::move(queue_.front());
    queue_.pop_front();
    ++running_;
    lock.unlock();
    work();
    work = nullptr;
    lock.lock();
    --running_;
    if (running_ == 0 && queue_.empty()) quiet_.notify_all();
  }
}

}  // namespace st8::target
