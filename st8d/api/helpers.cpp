#include "api/helpers.h"

#include <algorithm>
#include <pthread.h>
#include <system_error>
#include <thread>
#include <vector>

namespace st8::api {
namespace {

constexpr std::size_t kThreadsMax = 3;

}  // namespace

Helpers::Helpers() : free_(std::min<std::size_t>(kThreadsMax, std::max(1u, std::thread::hardware_concurrency()) - 1)) {}

bool Helpers::take() const {
  std::size_t free = free_.load(std::memory_order_relaxed);
  while (free > 0) {
    if (free_.compare_exchange_weak(free, free - 1, std::memory_order_relaxed)) return true;
  }
  return false;
}

void Helpers::run(std::size_t parts, const std::function<void(std::size_t part)>& work) const {
  std::atomic<std::size_t> next{0};
  const auto take_parts = [&] {
    for (std::size_t part; (part = next.fetch_add(1, std::memory_order_relaxed)) < parts;) work(part);
  };
  std::vector<std::thread> threads;
  while (threads.size() + 1 < parts && take()) {
    try {
      threads.emplace_back([&] {
        ::pthread_setname_np(::pthread_self(), "st8-helper");  // For who looks with top or perf; at most 15 bytes.
        take_parts();
      });
    } catch (const std::system_error&) {  // The machine has no thread to give.
      free_.fetch_add(1, std::memory_order_relaxed);
      break;
    }
  }
  take_parts();
  for (std::thread& thread : threads) thread.join();
  free_.fetch_add(threads.size(), std::memory_order_relaxed);
}

}  // namespace st8::api
