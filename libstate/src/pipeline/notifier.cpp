#include "pipeline/notifier.h"

#include <iterator>
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

bool Notifier::overloaded() const { return queued_operations_.load(std::memory_order_relaxed) > kQueuedOperationsMax; }

void Notifier::publish(std::vector<Item> items) {
  if (!needed() || items.empty()) return;
  std::size_t operations = 0;
  for (const Item& item : items) operations += item.operations.size();
  queued_operations_.fetch_add(operations, std::memory_order_relaxed);
  bool wake = false;
  {
    const std::lock_guard lock(mutex_);
    if (queue_.empty()) {
      queue_.swap(items);
    } else {
      queue_.insert(queue_.end(), std::make_move_iterator(items.begin()), std::make_move_iterator(items.end()));
    }
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
      queued_operations_.fetch_sub(item.operations.size(), std::memory_order_relaxed);
    }
    items.clear();
  }
}

}  // namespace st8::state::pipeline
