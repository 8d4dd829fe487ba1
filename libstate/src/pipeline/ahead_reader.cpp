#include "pipeline/ahead_reader.h"

#include <pthread.h>
#include <system_error>

namespace st8::state::pipeline {

AheadReader::~AheadReader() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  wake_.notify_one();
  if (thread_.joinable()) thread_.join();
}

void AheadReader::begin(keyspace::NamespaceId ns, std::string_view key, const DocumentRef& ref) {
  {
    const std::lock_guard lock(mutex_);
    if (wish_) return;
    if (!thread_.joinable()) {
      try {
        thread_ = std::thread([this] { run(); });
      } catch (const std::system_error&) {  // The machine has no thread to give.
        return;
      }
    }
    wish_.emplace(Wish{ns, std::string(key), ref});
  }
  wake_.notify_one();
}

void AheadReader::run() {
  ::pthread_setname_np(::pthread_self(), "st8-ahead");  // For who looks with top or perf; at most 15 bytes.
  std::unique_lock lock(mutex_);
  while (true) {
    wake_.wait(lock, [this] { return stop_ || wish_; });
    if (stop_) return;
    const Wish wish = *wish_;
    lock.unlock();
    if (auto content = core_.read_content(wish.ns, wish.key, wish.ref))
      core_.contents.put(wish.ref.hash, std::move(*content), ContentCache::Then::kGo);
    lock.lock();
    wish_.reset();
  }
}

}  // namespace st8::state::pipeline
