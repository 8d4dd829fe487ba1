#include "pipeline/notifier.h"

#include <pthread.h>

namespace st8::state::pipeline {

Notifier::~Notifier() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  wake_.notify_one();
  if (thread_.joinable()) thread_.join();
}

void Notifier::add(OperationListener* listener) {
  listeners_.push_back(listener);
  if (!thread_.joinable()) thread_ = std::thread([this] { run(); });
}

bool Notifier::overloaded() const {
  if (!needed()) return false;
  const std::lock_guard lock(mutex_);
  return queued_operations_ > kQueuedOperationsMax;
}

void Notifier::publish(const NamespaceName& ns, std::vector<Operation> operations) {
  if (!needed() || operations.empty()) return;
  bool wake = false;
  {
    const std::lock_guard lock(mutex_);
    queued_operations_ += operations.size();
    queue_.push_back({ns, std::move(operations)});
    wake = sleeping_;
  }
  if (wake) wake_.notify_one();
}

void Notifier::run() {
  ::pthread_setname_np(::pthread_self(), "st8-notifier");
  std::vector<Item> items;
  while (true) {
    {
      std::unique_lock lock(mutex_);
      sleeping_ = true;
      wake_.wait(lock, [this] { return stop_ || !queue_.empty(); });
      sleeping_ = false;
      if (queue_.empty()) return;
      items.swap(queue_);
    }
    for (const Item& item : items) {
      for (const Operation& operation : item.operations) {
        for (OperationListener* listener : listeners_) listener->on_operation(item.ns, operation);
      }
      const std::lock_guard lock(mutex_);
      queued_operations_ -= item.operations.size();
    }
    items.clear();
  }
}

}  // namespace st8::state::pipeline
