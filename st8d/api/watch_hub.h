// Streams of changes (server-sent events): one thread turns the store's operations into events, formats each once, and gives the same
// bytes to every channel that may have them.
//
// A watcher never has a gap and never gets a revision twice: revisions are numbered in the order of their commits, every watcher
// knows the number it waits for, and one that was away or is slow reads what it missed from the store before it goes live.
// Memory is bounded: a channel that does not keep up holds at most kLivePendingBytes, then reads from the store at its own pace.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "auth/authenticator.h"
#include "http/exchange.h"
#include "st8/state/store.h"

namespace st8::api {

struct WatchRequest {
  state::NamespaceName name_space;
  std::optional<state::BranchName> branch;  // nullopt: all that the principal may see.
  std::string prefix;  // Only revisions that change a key with this prefix (already narrowed to the principal's).
  std::optional<state::RevisionNumber> after;  // Resume behind this revision; nullopt: from now on.
  std::shared_ptr<const auth::Principal> principal;
};

struct WatchHubOptions {
  std::chrono::milliseconds keepalive{15'000};
  std::chrono::milliseconds stall_max{
      60'000};                     // A channel that takes nothing for this long is told `overflow` and closed.
  std::size_t queue_max = 65'536;  // Operations waiting; beyond it watchers re-read from the store.
  std::size_t live_pending_bytes_max = 512u << 10;
  std::size_t resume_pending_bytes_max = 128u << 10;
};

class WatchHub : public state::OperationListener {
 public:
  explicit WatchHub(WatchHubOptions options = {});
  ~WatchHub() override;

  // Starts the thread. `store` and `authenticator` outlive the next stop().
  void start(state::Store& store, const auth::Authenticator& authenticator);
  // Closes every channel and ends the thread; operations that come later are dropped. May be called twice.
  void stop();

  // Takes the channel over: the first event is `ready`. Thread-safe, does not block.
  void subscribe(WatchRequest request, std::shared_ptr<http::Channel> channel);

  // Called by the store, in order per namespace.
  void on_operation(const state::NamespaceName& name_space, const state::Operation& operation) override;

  std::size_t watchers() const { return watchers_.load(std::memory_order_relaxed); }
  std::uint64_t events_sent() const { return events_sent_.load(std::memory_order_relaxed); }

 private:
  using SteadyTime = std::chrono::steady_clock::time_point;
  using Bytes = std::shared_ptr<const std::string>;
  struct Watcher;

  void run();
  void welcome(std::unique_ptr<Watcher> watcher);
  void deliver(const state::NamespaceName& name_space, const state::Operation& operation);
  void deliver_revision(std::vector<std::unique_ptr<Watcher>>& feed, const state::NamespaceName& name_space,
                        state::RevisionNumber number);
  // Sends what a watcher missed, as far as its channel takes it. True: it could go on at once.
  bool resume(Watcher& watcher);
  void tend(SteadyTime now);
  bool send(Watcher& watcher, const Bytes& bytes);
  // Says why, then ends the stream.
  void dismiss(Watcher& watcher, std::string_view event, std::string_view reason);
  // The bytes of a revision's event for watchers of that prefix; nullptr: nothing for them in it. Errors: kGone when pruned.
  Result<Bytes> revision_event(const state::NamespaceName& name_space, const state::Revision& revision,
                               const std::string& prefix);

  const WatchHubOptions options_;
  state::Store* store_ = nullptr;
  const auth::Authenticator* authenticator_ = nullptr;

  std::mutex mutex_;  // Guards what stands up to the blank line.
  std::condition_variable wake_;
  std::deque<std::pair<state::NamespaceName, state::Operation>> queue_;
  std::vector<std::unique_ptr<Watcher>> arrivals_;
  bool lost_ = false;  // The queue was full: something was dropped.
  bool running_ = false;

  std::thread thread_;
  // The thread's own.
  std::map<std::string, std::vector<std::unique_ptr<Watcher>>> feeds_;  // By namespace.
  std::map<std::string, Bytes>
      formatted_;  // Events made lately, by namespace, number and prefix: those who resume together share them.
  std::atomic<std::size_t> watchers_{0};
  std::atomic<std::uint64_t> events_sent_{0};
};

}  // namespace st8::api
