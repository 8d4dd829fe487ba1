// A worker and its hub in one process: what goes between them goes through memory.
#pragma once

#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "st8/target/worker_agent.h"
#include "st8/target/worker_hub.h"

namespace st8::test {

class MemoryStream final : public target::WorkerStream {
 public:
  bool send(std::shared_ptr<const std::string> line) override {
    const std::lock_guard lock(mutex_);
    if (closed_) return false;
    lines_.push_back(std::move(line));
    changed_.notify_all();
    return true;
  }
  void close() override {
    const std::lock_guard lock(mutex_);
    closed_ = true;
    changed_.notify_all();
  }
  bool closed() const override {
    const std::lock_guard lock(mutex_);
    return closed_;
  }
  // The next line, when there is one before the end.
  std::shared_ptr<const std::string> next() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return closed_ || !lines_.empty(); });
    if (lines_.empty()) return nullptr;
    auto line = lines_.front();
    lines_.pop_front();
    return line;
  }

 private:
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::shared_ptr<const std::string>> lines_;
  bool closed_ = false;
};

class MemoryTransport final : public target::WorkerTransport {
 public:
  MemoryTransport(target::WorkerHub& hub, target::WorkerName name) : hub_(hub), name_(std::move(name)) {}

  Status poll(const std::string& body, const std::function<bool(std::string_view line)>& take) override {
    auto stream = std::make_shared<MemoryStream>();
    {
      const std::lock_guard lock(mutex_);
      if (interrupted_ || cut_) return fail(ErrorCode::kUnavailable, "cut off", "");
      stream_ = stream;
    }
    auto admission = hub_.admit(name_, body);
    if (!admission) return fail(admission.error());
    hub_.attach(*admission, stream);
    while (const auto line = stream->next()) {
      if (!take(std::string_view(*line).substr(0, line->size() - 1))) break;
    }
    stream->close();
    return {};
  }
  Status report(const std::string& body) override {
    if (is_cut()) return fail(ErrorCode::kUnavailable, "cut off", "");
    return hub_.report(name_, body);
  }
  Result<std::string> content(const std::string& body) override {
    if (is_cut()) return fail(ErrorCode::kUnavailable, "cut off", "");
    auto bytes = hub_.content(name_, body);
    if (!bytes) return fail(bytes.error());
    {
      const std::lock_guard lock(mutex_);
      ++fetched_;
    }
    return std::string(**bytes);
  }
  void interrupt() override {
    const std::lock_guard lock(mutex_);
    interrupted_ = true;
    if (stream_) stream_->close();
  }

  // Nothing goes through from now on, or again.
  void cut(bool yes) {
    const std::lock_guard lock(mutex_);
    cut_ = yes;
    if (yes && stream_) stream_->close();
  }
  bool is_cut() const {
    const std::lock_guard lock(mutex_);
    return cut_;
  }
  int fetched() const {
    const std::lock_guard lock(mutex_);
    return fetched_;
  }

 private:
  target::WorkerHub& hub_;
  const target::WorkerName name_;
  mutable std::mutex mutex_;
  std::shared_ptr<MemoryStream> stream_;
  bool interrupted_ = false;
  bool cut_ = false;
  int fetched_ = 0;
};

// A worker that runs until it is ended.
class LocalWorker {
 public:
  LocalWorker(target::WorkerHub& hub, const std::string& name, const std::string& root, bool allow_steps = true)
      : transport_(hub, *target::WorkerName::parse(name)) {
    auto opened = target::WorkerAgent::open(
        {*target::WorkerName::parse(name), root, std::chrono::milliseconds(200), nullptr, allow_steps}, transport_,
        system_clock());
    if (!opened) {
      ended_ = fail(opened.error());
      return;
    }
    agent_ = std::move(*opened);
    thread_ = std::thread([this] { ended_ = agent_->run(); });
  }
  ~LocalWorker() { end(); }
  LocalWorker(const LocalWorker&) = delete;
  LocalWorker& operator=(const LocalWorker&) = delete;

  void end() {
    if (agent_) agent_->stop();
    static_cast<void>(wait());
    agent_ = nullptr;
  }
  // How it ended by itself.
  Status wait() {
    if (thread_.joinable()) thread_.join();
    return ended_;
  }
  MemoryTransport& transport() { return transport_; }

 private:
  MemoryTransport transport_;
  std::unique_ptr<target::WorkerAgent> agent_;
  std::thread thread_;
  Status ended_;
};

}  // namespace st8::test
