#include "api/instance.h"

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <sys/stat.h>
#include <system_error>
#include <utility>

#include "api/handlers_rollouts.h"
#include "api/handlers_sealing.h"
#include "api/handlers_workers.h"

namespace st8::api {
namespace {

// The directory and those above it. What it holds is nobody's business but its owner's.
Status make_state_directory(const std::string& directory) {
  if (directory.empty())
    return fail(ErrorCode::kInvalidArgument, "the state directory has no name", "give one with --state-dir");
  std::error_code error;
  const std::filesystem::path path(directory);
  if (std::filesystem::is_directory(path, error)) return {};
  if (path.has_parent_path()) std::filesystem::create_directories(path.parent_path(), error);
  if (::mkdir(directory.c_str(), 0700) != 0 && errno != EEXIST) {
    return fail(ErrorCode::kUnavailable, "cannot make the state directory " + directory + ": " + std::strerror(errno),
                "name a directory that this user may write, with --state-dir");
  }
  if (!std::filesystem::is_directory(path, error)) {
    return fail(ErrorCode::kInvalidArgument, directory + " is not a directory", "name another with --state-dir");
  }
  return {};
}

}  // namespace

Result<std::unique_ptr<Instance>> Instance::open(InstanceOptions options, const Clock& clock) {
  std::unique_ptr<Instance> instance(new Instance());
  ST8_ASSIGN(instance->authenticator_, auth::Authenticator::create(std::move(options.auth)));
  if (options.engine.create_if_missing) ST8_TRY(make_state_directory(options.engine.directory));
  ST8_ASSIGN(std::unique_ptr<state::Engine> engine, state::open_rocksdb_engine(options.engine));
  instance->hub_ = std::make_unique<WatchHub>();
  ST8_ASSIGN(instance->store_, state::Store::open(std::move(engine), clock, options.store));
  instance->workers_ = std::make_unique<target::WorkerHub>(clock);
  instance->drivers_ = target::drivers_with_workers(*instance->workers_);
  target::ServiceOptions rollouts;
  // A store that is opened for a moment has no workers: nobody can reach it.
  if (options.rollouts) rollouts.drivers = instance->drivers_.get();
  rollouts.passive = !options.rollouts;
  rollouts.sealing_keys = options.sealing_keys;
  instance->rollout_hub_ = std::make_unique<RolloutHub>(*instance->authenticator_);
  rollouts.changed = [hub = instance->rollout_hub_.get()] { hub->changed(); };
  instance->rollouts_ = std::make_unique<target::RolloutService>(*instance->store_, clock, rollouts);
  instance->store_->set_guard(instance->rollouts_.get());
  instance->store_->add_listener(instance->rollouts_.get());
  ApiOptions api;
  api.version = std::move(options.version);
  api.draining = [raw = instance.get()] { return raw->draining_.load(std::memory_order_relaxed); };
  api.pinned = [raw = instance.get()] { return raw->rollouts_->pinned(); };
  api.validate = [raw = instance.get()](const state::NamespaceName& name_space,
                                        const std::vector<state::Document>& documents) {
    return raw->rollouts_->validate_documents(name_space, documents);
  };
  api.extensions.push_back(
      [raw = instance.get()](Router& router) { add_rollout_routes(router, *raw->rollouts_, *raw->rollout_hub_); });
  api.extensions.push_back(
      [raw = instance.get()](Router& router) { add_worker_routes(router, *raw->workers_, *raw->rollouts_); });
  api.status_parts.push_back([raw = instance.get()](const Call& call, wire::JsonWriter& out) {
    write_rollout_status(call, *raw->rollouts_, out);
  });
  api.extensions.push_back(
      [keys = std::move(options.sealing_keys)](Router& router) { add_sealing_routes(router, keys); });
  instance->api_ = std::make_unique<Api>(*instance->store_, *instance->hub_, *instance->authenticator_,
                                         instance->metrics_, clock, std::move(api));
  instance->rollout_hub_->start(*instance->rollouts_);
  ST8_TRY(instance->rollouts_->start());
  return instance;
}

Instance::~Instance() {
  begin_drain();
  if (rollout_hub_ != nullptr) rollout_hub_->stop();
  if (rollouts_ != nullptr) rollouts_->stop();
  if (workers_ != nullptr) workers_->stop();
  // Streams first, while the store that they read from is there.
  api_.reset();
  if (hub_ != nullptr) hub_->stop();
  store_.reset();
}

}  // namespace st8::api
