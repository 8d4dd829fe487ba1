// A state directory, opened, with everything that answers requests about it. st8d puts sockets before it, `st8ctl --local` calls it
// in process, and both get the same answers.
#pragma once

#include <atomic>
#include <memory>
#include <string>

#include "api/api.h"
#include "api/rollout_hub.h"
#include "api/watch_hub.h"
#include "auth/authenticator.h"
#include "http/metrics.h"
#include "st8/state/clock.h"
#include "st8/state/engine.h"
#include "st8/state/store.h"
#include "st8/target/service.h"
#include "st8/target/worker_hub.h"

namespace st8::api {

struct InstanceOptions {
  state::RocksDbOptions engine;  // `directory` names the state directory; made when missing, 0700.
  state::StoreOptions store;
  auth::Authenticator::Options auth;
  std::shared_ptr<const target::Keyring> sealing_keys;  // Null: nothing is sealed, and nothing sealed goes live.
  std::string version = "dev";
  // Takes revisions live. Without it (a store that a command opens for a moment) what is live is shown, policies are
  // checked and quarantine is held, and whoever serves the store next takes live what moved meanwhile.
  bool rollouts = false;
};

class Instance {
 public:
  // Errors: as open_rocksdb_engine, Store::open and Authenticator::create.
  static Result<std::unique_ptr<Instance>> open(InstanceOptions options, const Clock& clock);
  ~Instance();  // Ends the streams, waits for queued commits, closes the store.
  Instance(const Instance&) = delete;
  Instance& operator=(const Instance&) = delete;

  http::Handler& handler() { return *api_; }
  http::Metrics& metrics() { return metrics_; }
  auth::Authenticator& authenticator() { return *authenticator_; }
  state::Store& store() { return *store_; }
  target::RolloutService& rollouts() { return *rollouts_; }
  // Lets rollouts come to a place where they can be taken up again, and begins nothing new.
  void stop_rollouts() { rollouts_->stop(); }
  // From now on /readyz says that no new work is wanted.
  void begin_drain() { draining_.store(true, std::memory_order_relaxed); }

 private:
  Instance() = default;

  // In the order of making; unmade in reverse.
  http::Metrics metrics_;
  std::atomic<bool> draining_{false};
  std::unique_ptr<auth::Authenticator> authenticator_;
  std::unique_ptr<WatchHub> hub_;
  std::unique_ptr<target::WorkerHub> workers_;
  std::unique_ptr<target::DriverFactory> drivers_;
  std::unique_ptr<RolloutHub> rollout_hub_;           // Stopped before the service, unmade after it.
  std::unique_ptr<target::RolloutService> rollouts_;  // The store's listener: unmade after it, stopped before.
  std::unique_ptr<state::Store> store_;
  std::unique_ptr<Api> api_;
};

}  // namespace st8::api
