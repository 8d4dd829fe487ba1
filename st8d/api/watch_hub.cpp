#include "api/watch_hub.h"

#include <algorithm>

#include "api/content.h"
#include "api/event_stream.h"
#include "api/visibility.h"
#include "wire/json.h"

namespace st8::api {
namespace {

constexpr std::size_t kResumeSlice = 256;  // Revisions a watcher reads before the others have their turn.
constexpr std::size_t kEventChangesMax = 1'000;
constexpr std::size_t kEventBytesMax =
    64u << 10;  // Of changes; beyond, the event says that it holds only the first of them.
constexpr std::size_t kFormattedMax = 512;
constexpr std::chrono::milliseconds kBlockedPoll{20};

}  // namespace

struct WatchHub::Watcher {
  WatchRequest request;
  std::shared_ptr<http::Channel> channel;
  std::uint64_t next = 1;  // The number of the first revision that was not yet looked at for this watcher.
  bool live = false;       // Nothing is missing below `next`: operations can be sent as they come.
  bool gone = false;
  SteadyTime last_sent{};
  SteadyTime validated{};  // When its token was last found good.
  SteadyTime moved{};      // When its channel last took something.
  std::size_t pending_seen = 0;

  bool wants_branch(std::string_view branch) const {
    if (request.branch) return request.branch->view() == branch;
    return auth::sees_branch(*request.principal, auth::Verb::kRead, request.name_space.view(), branch);
  }
};

WatchHub::WatchHub(WatchHubOptions options) : options_(options) {}

WatchHub::~WatchHub() { stop(); }

void WatchHub::start(state::Store& store, const auth::Authenticator& authenticator) {
  const std::lock_guard lock(mutex_);
  if (running_) return;
  store_ = &store;
  authenticator_ = &authenticator;
  running_ = true;
  thread_ = std::thread([this] { run(); });
}

void WatchHub::stop() {
  {
    const std::lock_guard lock(mutex_);
    running_ = false;
    queue_.clear();
  }
  wake_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void WatchHub::subscribe(WatchRequest request, std::shared_ptr<http::Channel> channel) {
  auto watcher = std::make_unique<Watcher>(Watcher{std::move(request), std::move(channel)});
  {
    const std::lock_guard lock(mutex_);
    if (running_) {
      watchers_.fetch_add(1);
      arrivals_.push_back(std::move(watcher));
    }
  }
  if (watcher != nullptr) {
    watcher->channel->close();
    return;
  }
  wake_.notify_all();
}

void WatchHub::on_operation(const state::NamespaceName& name_space, const state::Operation& operation) {
  // Who subscribes after this line reads a state that has the operation already.
  if (watchers_.load() == 0) return;
  {
    const std::lock_guard lock(mutex_);
    if (!running_) return;
    if (queue_.size() >= options_.queue_max) {
      lost_ = true;
      queue_.clear();
    }
    if (!lost_ || operation.kind != state::OperationKind::kCommit) queue_.emplace_back(name_space, operation);
  }
  wake_.notify_one();
}

void WatchHub::run() {
  SteadyTime tended = std::chrono::steady_clock::now();
  const auto tend_every = std::clamp<std::chrono::milliseconds>(options_.keepalive / 3, std::chrono::milliseconds(5),
                                                                std::chrono::milliseconds(1000));
  bool busy = false;     // Someone can go on resuming at once.
  bool blocked = false;  // Someone resumes as soon as its channel has room.
  while (true) {
    std::deque<std::pair<state::NamespaceName, state::Operation>> operations;
    std::vector<std::unique_ptr<Watcher>> arrivals;
    bool lost = false;
    {
      std::unique_lock lock(mutex_);
      const auto something = [this] { return !running_ || !queue_.empty() || !arrivals_.empty() || lost_; };
      if (!busy) {
        if (feeds_.empty()) {
          wake_.wait(lock, something);
        } else {
          wake_.wait_for(lock, blocked ? std::min(kBlockedPoll, tend_every) : tend_every, something);
        }
      }
      if (!running_) {
        arrivals.swap(arrivals_);
        lock.unlock();
        for (const auto& watcher : arrivals) watcher->channel->close();
        for (auto& [name, feed] : feeds_) {
          for (const auto& watcher : feed) watcher->channel->close();
        }
        feeds_.clear();
        formatted_.clear();
        watchers_.store(0);
        return;
      }
      operations.swap(queue_);
      arrivals.swap(arrivals_);
      lost = std::exchange(lost_, false);
    }

    for (auto& watcher : arrivals) welcome(std::move(watcher));
    if (lost) {
      for (auto& [name, feed] : feeds_) {
        for (const auto& watcher : feed) watcher->live = false;
      }
    }
    for (const auto& [name_space, operation] : operations) deliver(name_space, operation);

    busy = blocked = false;
    for (auto& [name, feed] : feeds_) {
      for (const auto& watcher : feed) {
        if (watcher->live || watcher->gone) continue;
        if (resume(*watcher)) {
          busy = true;
        } else if (!watcher->live && !watcher->gone) {
          blocked = true;
        }
      }
    }
    if (const SteadyTime now = std::chrono::steady_clock::now(); now - tended >= tend_every) {
      tended = now;
      tend(now);
    }
    std::size_t removed = 0;
    for (auto feed = feeds_.begin(); feed != feeds_.end();) {
      removed += std::erase_if(feed->second, [](const auto& watcher) { return watcher->gone; });
      feed = feed->second.empty() ? feeds_.erase(feed) : std::next(feed);
    }
    if (removed > 0) watchers_.fetch_sub(removed);
  }
}

void WatchHub::welcome(std::unique_ptr<Watcher> watcher) {
  const WatchRequest& request = watcher->request;
  // The counter first, the head then: a revision of the branch up to the counter is not above that head.
  std::uint64_t last = 0;
  if (const auto info = store_->name_space(request.name_space)) last = info->last_revision.value;
  std::uint64_t head = last;
  if (request.branch) {
    const auto branch = store_->branch(request.name_space, *request.branch);
    head = branch ? branch->head.value : 0;
  }
  watcher->next = (request.after ? request.after->value : std::max(last, head)) + 1;
  watcher->live = false;  // resume() finds out.
  watcher->last_sent = watcher->validated = watcher->moved = std::chrono::steady_clock::now();
  std::string data;
  wire::JsonWriter(data).begin_object().field("revision", head).field("after", watcher->next - 1).end_object();
  send(*watcher, event_bytes("ready", data));
  feeds_[request.name_space.str()].push_back(std::move(watcher));
}

bool WatchHub::send(Watcher& watcher, const Bytes& bytes) {
  if (watcher.gone) return false;
  if (!watcher.channel->send(bytes)) {
    watcher.gone = true;
    return false;
  }
  watcher.last_sent = std::chrono::steady_clock::now();
  events_sent_.fetch_add(1, std::memory_order_relaxed);
  return true;
}

void WatchHub::dismiss(Watcher& watcher, std::string_view event, std::string_view reason) {
  std::string data;
  wire::JsonWriter(data).begin_object().field("reason", reason).field("after", watcher.next - 1).end_object();
  send(watcher, event_bytes(event, data));
  watcher.channel->close();
  watcher.gone = true;
}

Result<WatchHub::Bytes> WatchHub::revision_event(const state::NamespaceName& name_space,
                                                 const state::Revision& revision, const std::string& prefix) {
  // The hash tells a namespace's next life from its last.
  std::string key = name_space.str() + '\0' + std::to_string(revision.number.value) + '\0' +
                    std::string(revision.hash.view()) + prefix;
  if (const auto found = formatted_.find(key); found != formatted_.end()) return found->second;
  ST8_ASSIGN(const state::ChangePage page,
             store_->changes(name_space, revision.number, state::DiffQuery{prefix, "", kEventChangesMax}));
  Bytes bytes;
  if (!page.changes.empty() || (prefix.empty() && revision.change_count == 0)) {
    wire::LogEntryBody entry = log_entry_body(revision);
    entry.has_changes = true;
    entry.changes_truncated = page.more;
    if (!prefix.empty())
      entry.change_count = page.more ? std::nullopt : std::optional<std::uint64_t>(page.changes.size());
    std::size_t size = 0;
    for (const state::Change& change : page.changes) {
      size += change.key.str().size() + 160;
      if (size > kEventBytesMax) {
        entry.changes_truncated = true;
        break;
      }
      wire::ChangeBody body;
      body.key = change.key.str();
      body.type = std::string(state::change_type_name(change.type));
      if (change.before) body.before_hash = change.before->hash.hex();
      if (change.after) body.after_hash = change.after->hash.hex();
      entry.changes.push_back(std::move(body));
    }
    bytes = event_bytes("revision", wire::to_json(entry), std::to_string(revision.number.value));
  }
  if (formatted_.size() >= kFormattedMax) formatted_.clear();
  formatted_.emplace(std::move(key), bytes);
  return bytes;
}

void WatchHub::deliver(const state::NamespaceName& name_space, const state::Operation& operation) {
  const auto found = feeds_.find(name_space.str());
  if (found == feeds_.end()) return;
  if (operation.kind == state::OperationKind::kCommit) {
    deliver_revision(found->second, name_space, operation.after);
    return;
  }
  std::string data;
  wire::JsonWriter out(data);
  wire::write_operation(out, operation_body(operation));
  const Bytes bytes = event_bytes("operation", data);
  for (const auto& watcher : found->second) {
    const WatchRequest& request = watcher->request;
    const bool of_a_branch = operation.kind >= state::OperationKind::kBranchCreate &&
                             operation.kind <= state::OperationKind::kBranchUnprotect;
    if (of_a_branch && request.branch && operation.name != request.branch->view() &&
        operation.detail != request.branch->view())
      continue;
    const Result<bool> sees = sees_operation(*request.principal, *store_, name_space, operation);
    if (sees && *sees && watcher->channel->pending_bytes() <= options_.live_pending_bytes_max) send(*watcher, bytes);
    if (operation.kind == state::OperationKind::kNamespaceDelete) {
      watcher->next = 1;  // What comes is another namespace of that name, and counts anew.
      watcher->live = true;
    }
  }
}

void WatchHub::deliver_revision(std::vector<std::unique_ptr<Watcher>>& feed, const state::NamespaceName& name_space,
                                state::RevisionNumber number) {
  std::optional<state::Revision> revision;
  for (const auto& watcher : feed) {
    if (!watcher->live || watcher->gone || number.value < watcher->next) continue;
    if (!revision) {
      Result<state::Revision> read = store_->revision(name_space, number);
      if (!read) {
        // It was pruned, or its namespace deleted, in the meantime; or the engine is in trouble. Reading again tells.
        for (const auto& other : feed) other->live = false;
        return;
      }
      revision = std::move(*read);
    }
    if (watcher->wants_branch(revision->branch)) {
      if (watcher->channel->pending_bytes() > options_.live_pending_bytes_max) {
        watcher->live = false;  // Too far behind: it reads the rest from the store when it has room.
        continue;
      }
      const Result<Bytes> bytes = revision_event(name_space, *revision, watcher->request.prefix);
      if (!bytes) {
        watcher->live = false;
        continue;
      }
      if (*bytes != nullptr) send(*watcher, *bytes);
    }
    watcher->next = number.value + 1;
  }
}

bool WatchHub::resume(Watcher& watcher) {
  const state::NamespaceName& name_space = watcher.request.name_space;
  for (std::size_t i = 0; i < kResumeSlice; ++i) {
    if (watcher.channel->pending_bytes() > options_.resume_pending_bytes_max) return false;
    const state::RevisionNumber number{watcher.next};
    const Result<state::Revision> revision = store_->revision(name_space, number);
    if (!revision) {
      if (revision.error().code != ErrorCode::kNotFound) {
        dismiss(watcher, "error", revision.error().message);
        return false;
      }
      std::uint64_t last = 0;
      if (const auto info = store_->name_space(name_space)) last = info->last_revision.value;
      if (last < watcher.next) {
        if (last + 1 < watcher.next) watcher.next = last + 1;  // The namespace was deleted and counts anew.
        watcher.live = true;
        return false;
      }
      // The counter was read after the revision was looked for: it may have come in between. A number that is still
      // not there is one that was never used.
      if (!store_->revision(name_space, number)) ++watcher.next;
      continue;
    }
    if (watcher.wants_branch(revision->branch)) {
      const Result<Bytes> bytes = revision_event(name_space, *revision, watcher.request.prefix);
      if (!bytes) {
        const bool pruned = bytes.error().code == ErrorCode::kGone;
        dismiss(watcher, pruned ? "gone" : "error", bytes.error().message);
        return false;
      }
      if (*bytes != nullptr && !send(watcher, *bytes)) return false;
    }
    ++watcher.next;
  }
  return true;
}

void WatchHub::tend(SteadyTime now) {
  static const Bytes kKeepalive = std::make_shared<const std::string>(": keepalive\n\n");
  for (auto& [name, feed] : feeds_) {
    for (const auto& watcher : feed) {
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
        if (!authenticator_->still_valid(*watcher->request.principal)) {
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
