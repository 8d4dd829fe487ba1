#include "api/rollout_hub.h"

#include <algorithm>
#include <utility>

#include "api/event_stream.h"
#include "wire/json.h"

namespace st8::api {
namespace {

constexpr std::size_t kEventsAtOnce = 256;  // Of one rollout, before the others have their turn.
constexpr std::chrono::milliseconds kBlockedPoll{20};

}  // namespace

struct RolloutHub::Watcher {
  Request request;
  std::shared_ptr<http::Channel> channel;
  std::uint64_t next = 1;  // The number of the first event that it has not got.
  Bytes told;              // The state that it was told last.
  bool gone = false;
  SteadyTime last_sent{}, validated{}, moved{};
  std::size_t pending_seen = 0;
};

struct RolloutHub::Feed {
  std::shared_ptr<const target::Plan> plan;
  std::vector<std::unique_ptr<Watcher>> watchers;
  std::string summaries[2];  // As told last, without and with what tells of documents.
  Bytes states[2];
};

RolloutHub::RolloutHub(const auth::Authenticator& authenticator, WatchHubOptions options)
    : authenticator_(authenticator), options_(options) {}
RolloutHub::~RolloutHub() { stop(); }

void RolloutHub::start(const target::RolloutService& rollouts) {
  const std::lock_guard lock(mutex_);
  if (running_) return;
  rollouts_ = &rollouts;
  running_ = true;
  thread_ = std::thread([this] { run(); });
}

void RolloutHub::stop() {
  {
    const std::lock_guard lock(mutex_);
    running_ = false;
  }
  wake_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void RolloutHub::subscribe(Request request, std::shared_ptr<http::Channel> channel) {
  auto watcher = std::make_unique<Watcher>();
  watcher->next = request.after + 1;
  const target::RolloutId id = request.id;
  watcher->request = std::move(request);
  watcher->channel = std::move(channel);
  watcher->last_sent = watcher->validated = watcher->moved = std::chrono::steady_clock::now();
  {
    const std::lock_guard lock(mutex_);
    if (running_) {
      watchers_.fetch_add(1);
      arrivals_.emplace_back(id, std::move(watcher));
    }
  }
  if (watcher != nullptr) {
    watcher->channel->close();
    return;
  }
  wake_.notify_all();
}

void RolloutHub::changed() {
  // Who subscribes after this line reads a state that has the change already.
  if (watchers_.load() == 0) return;
  {
    const std::lock_guard lock(mutex_);
    changed_ = true;
  }
  wake_.notify_one();
}

void RolloutHub::run() {
  SteadyTime tended = std::chrono::steady_clock::now();
  const auto tend_every = std::clamp<std::chrono::milliseconds>(options_.keepalive / 3, std::chrono::milliseconds(5),
                                                                std::chrono::milliseconds(1000));
  bool more = false;     // Somebody can be given more at once.
  bool blocked = false;  // Somebody can as soon as the channel has room.
  while (true) {
    std::vector<std::pair<target::RolloutId, std::unique_ptr<Watcher>>> arrivals;
    bool look = more || blocked;
    {
      std::unique_lock lock(mutex_);
      const auto something = [this] { return !running_ || changed_ || !arrivals_.empty(); };
      if (!more) {
        if (feeds_.empty()) {
          wake_.wait(lock, something);
        } else {
          wake_.wait_for(lock, blocked ? std::min(kBlockedPoll, tend_every) : tend_every, something);
        }
      }
      arrivals.swap(arrivals_);
      look = std::exchange(changed_, false) || look || !arrivals.empty();
      if (!running_) {
        lock.unlock();
        for (const auto& [id, watcher] : arrivals) watcher->channel->close();
        for (auto& [id, feed] : feeds_) {
          for (const auto& watcher : feed.watchers) watcher->channel->close();
        }
        feeds_.clear();
        watchers_.store(0);
        return;
      }
    }
    for (auto& [id, watcher] : arrivals) feeds_[id].watchers.push_back(std::move(watcher));
    more = blocked = false;
    if (look) {
      for (auto& [id, feed] : feeds_) {
        more = serve(id, feed) || more;
        for (const auto& watcher : feed.watchers)
          blocked = blocked || (!watcher->gone && watcher->channel->pending_bytes() > options_.live_pending_bytes_max);
      }
    }
    if (const SteadyTime now = std::chrono::steady_clock::now(); now - tended >= tend_every) {
      tended = now;
      tend(now);
    }
    std::size_t removed = 0;
    for (auto feed = feeds_.begin(); feed != feeds_.end();) {
      removed += std::erase_if(feed->second.watchers, [](const auto& watcher) { return watcher->gone; });
      feed = feed->second.watchers.empty() ? feeds_.erase(feed) : std::next(feed);
    }
    if (removed > 0) watchers_.fetch_sub(removed);
  }
}

bool RolloutHub::serve(target::RolloutId id, Feed& feed) {
  const auto open = [&](const Watcher& watcher) {
    return !watcher.gone && watcher.channel->pending_bytes() <= options_.live_pending_bytes_max;
  };
  const auto end_all = [&](std::string_view why) {
    for (const auto& watcher : feed.watchers) dismiss(*watcher, "error", why);
    return false;
  };
  std::uint64_t from = UINT64_MAX;
  for (const auto& watcher : feed.watchers) {
    if (open(*watcher)) from = std::min(from, watcher->next);
  }
  if (from == UINT64_MAX) return false;
  // The events first: the state that is read behind them is at least as new.
  const auto page = rollouts_->events(id, from - 1, kEventsAtOnce);
  if (!page) return end_all(page.error().message);
  const auto standing = rollouts_->summary(id);
  if (!standing) return end_all(standing.error().message);
  if (feed.plan == nullptr) feed.plan = standing->plan;
  for (const target::RolloutEvent& event : *page) {
    Bytes made[2];
    for (const auto& watcher : feed.watchers) {
      if (!open(*watcher) || watcher->next != event.sequence) continue;
      Bytes& bytes = made[watcher->request.documents ? 1 : 0];
      if (bytes == nullptr)
        bytes = event_bytes("event", rollout_event_json(*feed.plan, event, watcher->request.documents),
                            std::to_string(event.sequence));
      if (send(*watcher, bytes)) watcher->next = event.sequence + 1;
    }
  }
  if (page->size() == kEventsAtOnce) return true;
  const std::uint64_t last = page->empty() ? from - 1 : page->back().sequence;
  const bool over = target::is_final(standing->summary.phase);
  for (const auto& watcher : feed.watchers) {
    // A state is told behind the events that led to it.
    if (!open(*watcher) || watcher->next <= last) continue;
    const int kind = watcher->request.documents ? 1 : 0;
    std::string json = rollout_summary_json(standing->summary, watcher->request.documents);
    if (feed.states[kind] == nullptr || json != feed.summaries[kind]) {
      feed.states[kind] = event_bytes("state", json);
      feed.summaries[kind] = std::move(json);
    }
    if (watcher->told == feed.states[kind]) continue;
    watcher->told = feed.states[kind];
    if (send(*watcher, watcher->told) && over) dismiss(*watcher, "end", "the rollout is over");
  }
  return false;
}

bool RolloutHub::send(Watcher& watcher, const Bytes& bytes) {
  if (watcher.gone) return false;
  if (!watcher.channel->send(bytes)) {
    watcher.gone = true;
    return false;
  }
  watcher.last_sent = std::chrono::steady_clock::now();
  return true;
}

void RolloutHub::dismiss(Watcher& watcher, std::string_view event, std::string_view reason) {
  std::string data;
  wire::JsonWriter(data).begin_object().field("reason", reason).field("after", watcher.next - 1).end_object();
  send(watcher, event_bytes(event, data));
  watcher.channel->close();
  watcher.gone = true;
}

void RolloutHub::tend(SteadyTime now) {
  static const Bytes kKeepalive = std::make_shared<const std::string>(": keepalive\n\n");
  for (auto& [id, feed] : feeds_) {
    for (const auto& watcher : feed.watchers) {
      if (watcher->gone) continue;
      if (watcher->channel->closed()) {
        watcher->gone = true;
        continue;
      }
      const std::size_t pending = watcher->channel->pending_bytes();
      if (pending == 0 || pending < watcher->pending_seen) watcher->moved = now;
      watcher->pending_seen = pending;
      if (now - watcher->moved >= options_.stall_max) {
        dismiss(*watcher, "overflow", "the client has taken nothing for too long");
        continue;
      }
      if (now - watcher->validated >= options_.keepalive) {
        if (!authenticator_.still_valid(*watcher->request.principal)) {
          dismiss(*watcher, "revoked", "the token is no longer valid");
          continue;
        }
        watcher->validated = now;
      }
      if (now - watcher->last_sent >= options_.keepalive) send(*watcher, kKeepalive);
    }
  }
}

}  // namespace st8::api
