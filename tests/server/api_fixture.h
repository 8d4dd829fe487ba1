// The whole API in process over a store in memory: requests in, answers out, no sockets.
#pragma once

#include <chrono>
#include <condition_variable>
#include <gtest/gtest.h>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "api/api.h"
#include "api/handlers_rollouts.h"
#include "api/handlers_sealing.h"
#include "api/handlers_workers.h"
#include "api/rollout_hub.h"
#include "api/watch_hub.h"
#include "auth/authenticator.h"
#include "http/exchange.h"
#include "http/metrics.h"
#include "st8/state/engine.h"
#include "st8/state/store.h"
#include "st8/target/service.h"
#include "st8/target/worker_hub.h"
#include "support/manual_clock.h"

namespace st8::api::test {

using Json = nlohmann::json;
using Headers = std::vector<std::pair<std::string, std::string>>;

// Splits and decodes a request target as the front does.
inline void set_target(http::Request& request, std::string_view target) {
  const auto decode = [](std::string_view text, bool plus) {
    std::string out;
    for (std::size_t i = 0; i < text.size(); ++i) {
      if (text[i] == '%' && i + 2 < text.size()) {
        out += static_cast<char>(std::stoi(std::string(text.substr(i + 1, 2)), nullptr, 16));
        i += 2;
      } else if (plus && text[i] == '+') {
        out += ' ';
      } else {
        out += text[i];
      }
    }
    return out;
  };
  const std::size_t question = target.find('?');
  request.path = decode(target.substr(0, question), false);
  if (question == std::string_view::npos) return;
  std::string_view rest = target.substr(question + 1);
  while (!rest.empty()) {
    const std::size_t end = rest.find('&');
    const std::string_view pair = rest.substr(0, end);
    const std::size_t equals = pair.find('=');
    request.query.emplace_back(decode(pair.substr(0, equals), true), equals == std::string_view::npos
                                                                         ? std::string()
                                                                         : decode(pair.substr(equals + 1), true));
    if (end == std::string_view::npos) break;
    rest.remove_prefix(end + 1);
  }
}

// Percent-encodes everything that is not plain, for keys and values in targets.
inline std::string encoded(std::string_view text) {
  static constexpr char kHex[] = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (std::isalnum(byte) || c == '/' || c == '-' || c == '_' || c == '.' || c == '~') {
      out += c;
    } else {
      out += '%';
      out += kHex[byte >> 4];
      out += kHex[byte & 15];
    }
  }
  return out;
}

struct Answer {
  http::Response response;
  int status = 0;
  std::string body;                   // The whole, also of a streamed one.
  std::optional<Error> stream_error;  // Where a streamed body broke off.
  Json json;                          // Of the body, when it is JSON; discarded otherwise.

  std::string header(std::string_view name) const {
    for (const auto& [key, value] : response.headers) {
      if (std::equal(key.begin(), key.end(), name.begin(), name.end(),
                     [](char a, char b) { return std::tolower(a) == std::tolower(b); }))
        return value;
    }
    return {};
  }
  std::string code() const { return json.is_object() ? json.value("code", "") : ""; }
};

// The far end of a stream: collects what comes.
class TestChannel : public http::Channel {
 public:
  bool send(std::shared_ptr<const std::string> bytes) override {
    const std::lock_guard lock(mutex_);
    if (closed_) return false;
    text_ += *bytes;
    if (holding_) pending_ += bytes->size();
    changed_.notify_all();
    return true;
  }
  std::size_t pending_bytes() const override {
    const std::lock_guard lock(mutex_);
    return pending_;
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

  // From now on nothing is taken: what is sent stays pending.
  void hold() {
    const std::lock_guard lock(mutex_);
    holding_ = true;
  }
  void release() {
    const std::lock_guard lock(mutex_);
    holding_ = false;
    pending_ = 0;
  }
  // Waits until `done(text)` holds; false after ten seconds.
  template <class Done>
  bool wait(const Done& done) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::seconds(10), [&] { return done(text_); });
  }
  bool wait_closed() {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::seconds(10), [&] { return closed_; });
  }
  std::string text() const {
    const std::lock_guard lock(mutex_);
    return text_;
  }

 private:
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::string text_;
  std::size_t pending_ = 0;
  bool closed_ = false;
  bool holding_ = false;
};

enum class Rollouts { kWithout, kWith };

// A server: hub, store, tokens, API; with rollouts it takes revisions live, by the machine's clock.
class Server {
 public:
  explicit Server(std::string_view tokens = {}, WatchHubOptions hub = {}, ApiOptions options = {},
                  Rollouts rollouts = Rollouts::kWithout)
      : hub_(hub) {
    const Clock& clock = rollouts == Rollouts::kWith ? system_clock() : clock_;
    auto store = state::Store::open(state::make_memory_engine(), clock);
    if (!store) throw std::runtime_error(store.error().message);
    store_ = std::move(*store);
    auto authenticator = tokens.empty() ? auth::Authenticator::create({}) : auth::Authenticator::from_yaml(tokens);
    if (!authenticator) throw std::runtime_error(authenticator.error().message);
    authenticator_ = std::move(*authenticator);
    options.version = "test";
    if (rollouts == Rollouts::kWith) {
      const auto keys =
          std::make_shared<const target::Keyring>(*target::Keyring::parse(*target::generate_sealing_key()));
      workers_ = std::make_unique<target::WorkerHub>(clock);
      drivers_ = target::drivers_with_workers(*workers_);
      target::ServiceOptions service;
      service.sealing_keys = keys;
      service.drivers = drivers_.get();
      rollout_hub_ = std::make_unique<RolloutHub>(*authenticator_);
      service.changed = [this] { rollout_hub_->changed(); };
      rollouts_ = std::make_unique<target::RolloutService>(*store_, clock, service);
      store_->set_guard(rollouts_.get());
      store_->add_listener(rollouts_.get());
      options.validate = [this](const state::NamespaceName& ns, const std::vector<state::Document>& documents) {
        return rollouts_->validate_documents(ns, documents);
      };
      options.extensions.push_back([this](Router& router) { add_rollout_routes(router, *rollouts_, *rollout_hub_); });
      options.extensions.push_back([this](Router& router) { add_worker_routes(router, *workers_, *rollouts_); });
      options.status_parts.push_back(
          [this](const Call& call, wire::JsonWriter& out) { write_rollout_status(call, *rollouts_, out); });
      options.extensions.push_back([keys](Router& router) { add_sealing_routes(router, keys); });
    }
    api_ = std::make_unique<Api>(*store_, hub_, *authenticator_, metrics_, clock, std::move(options));
    if (rollouts_ != nullptr) {
      rollout_hub_->start(*rollouts_);
      if (const Status started = rollouts_->start(); !started) throw std::runtime_error(started.error().message);
    }
  }
  ~Server() {
    if (rollout_hub_ != nullptr) rollout_hub_->stop();
    if (rollouts_ != nullptr) rollouts_->stop();
    if (workers_ != nullptr) workers_->stop();
    api_.reset();
    store_.reset();  // Before its listeners.
  }

  http::Request request(std::string method, std::string_view target, std::string body = {},
                        Headers headers = {}) const {
    http::Request request;
    request.method = std::move(method);
    set_target(request, target);
    request.headers = std::move(headers);
    if (!token_.empty()) request.headers.emplace_back("authorization", "Bearer " + token_);
    request.body = std::move(body);
    request.remote_address = "127.0.0.1:1";
    request.id = "test-request";
    return request;
  }

  Answer send(const http::Request& request) {
    Answer answer;
    answer.response = api_->handle(request);
    answer.status = answer.response.status;
    answer.body = answer.response.body;
    for (const std::string& part : answer.response.more_body) answer.body += part;
    if (answer.response.body_source) {
      while (true) {
        auto chunk = answer.response.body_source();
        if (!chunk) {
          answer.stream_error = chunk.error();
          break;
        }
        if (chunk->empty()) break;
        answer.body += *chunk;
      }
    }
    answer.json = Json::parse(answer.body, nullptr, false);
    return answer;
  }

  Answer get(std::string_view target, Headers headers = {}) {
    return send(request("GET", target, {}, std::move(headers)));
  }
  Answer post(std::string_view target, const Json& body, Headers headers = {}) {
    return raw("POST", target, body.dump(), std::move(headers));
  }
  Answer del(std::string_view target, const Json& body) { return raw("DELETE", target, body.dump()); }
  // A JSON body as it stands.
  Answer raw(std::string method, std::string_view target, std::string body, Headers headers = {}) {
    headers.emplace_back("content-type", "application/json");
    return send(request(std::move(method), target, std::move(body), std::move(headers)));
  }

  // One document; the revision.
  std::uint64_t put(const std::string& key, const std::string& content, const std::string& branch = "main",
                    const std::string& ns = "default") {
    const Answer answer = post("/v1/apply", {{"scope", {{"namespace", ns}, {"branch", branch}}},
                                             {"documents", {{{"key", key}, {"content", content}}}}});
    EXPECT_EQ(answer.status, 200) << answer.body;
    return answer.json.is_object() ? answer.json.value("revision", std::uint64_t{0}) : 0;
  }
  Json objects(const std::string& branch = "main", const std::string& ns = "default") {
    return get("/v1/state?namespace=" + ns + "&branch=" + branch).json["objects"];
  }

  // Opens a stream; nullptr (and a failure) when it is refused.
  std::shared_ptr<TestChannel> watch(std::string_view target, Headers headers = {}) {
    const http::Response response = api_->handle(request("GET", target, {}, std::move(headers)));
    if (!response.on_stream) {
      ADD_FAILURE() << response.status << " " << response.body;
      return nullptr;
    }
    auto channel = std::make_shared<TestChannel>();
    response.on_stream(channel);
    return channel;
  }

  void use_token(std::string token) { token_ = std::move(token); }
  Api& api() { return *api_; }
  state::Store& store() { return *store_; }
  st8::test::ManualClock& clock() { return clock_; }
  http::Metrics& metrics() { return metrics_; }
  WatchHub& hub() { return hub_; }

 private:
  st8::test::ManualClock clock_;
  http::Metrics metrics_;
  WatchHub hub_;
  std::unique_ptr<state::Store> store_;
  std::unique_ptr<target::WorkerHub> workers_;
  std::unique_ptr<target::DriverFactory> drivers_;
  std::unique_ptr<auth::Authenticator> authenticator_;
  std::unique_ptr<RolloutHub> rollout_hub_;
  std::unique_ptr<target::RolloutService> rollouts_;
  std::unique_ptr<Api> api_;
  std::string token_;
};

}  // namespace st8::api::test
