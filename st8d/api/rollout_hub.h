// Streams of a rollout's events (server-sent events): one thread reads what is new of the rollouts that are watched, formats each
// event once, and gives the same bytes to every channel that may have them.
//
// A watcher never has a gap and never gets an event twice: a rollout's events are numbered without gaps, each watcher knows the
// number that it waits for, and what it has not got is read from the store. A channel that does not keep up is given no more
// until it has room; one that takes nothing for too long is told `overflow` and closed.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "api/watch_hub.h"
#include "st8/target/service.h"

namespace st8::api {

class RolloutHub {
 public:
  explicit RolloutHub(const auth::Authenticator& authenticator, WatchHubOptions options = {});
  ~RolloutHub();  // stop()

  // Starts the thread. `rollouts` outlives the next stop().
  void start(const target::RolloutService& rollouts);
  // Closes every channel and ends the thread. May be called twice.
  void stop();

  struct Request {
    target::RolloutId id;
    std::uint64_t after = 0;  // The first event is the one behind this.
    bool documents = false;   // Whether what tells of documents is told.
    std::shared_ptr<const auth::Principal> principal;
  };
  // Takes the channel over. Thread-safe, does not block.
  void subscribe(Request request, std::shared_ptr<http::Channel> channel);

  // Some rollout may have got further. Thread-safe, does not block.
  void changed();

 private:
  using SteadyTime = std::chrono::steady_clock::time_point;
  using Bytes = std::shared_ptr<const std::string>;
  struct Watcher;
  struct Feed;

  void run();
  // Gives the watchers of one rollout what they have not got. True: there is more, and somebody has room for it.
  bool serve(target::RolloutId id, Feed& feed);
  void tend(SteadyTime now);
  bool send(Watcher& watcher, const Bytes& bytes);
  void dismiss(Watcher& watcher, std::string_view event, std::string_view reason);

  const auth::Authenticator& authenticator_;
  const WatchHubOptions options_;
  const target::RolloutService* rollouts_ = nullptr;

  std::mutex mutex_;  // Guards what stands up to the blank line.
  std::condition_variable wake_;
  std::vector<std::pair<target::RolloutId, std::unique_ptr<Watcher>>> arrivals_;
  bool changed_ = false;
  bool running_ = false;

  std::thread thread_;
  std::map<target::RolloutId, Feed> feeds_;  // The thread's own.
  std::atomic<std::size_t> watchers_{0};
};

// An event, and a rollout without its events, plan and targets, as JSON.
std::string rollout_event_json(const target::Plan& plan, const target::RolloutEvent& event, bool documents);
std::string rollout_summary_json(const target::RolloutSummary& summary, bool documents);

}  // namespace st8::api
