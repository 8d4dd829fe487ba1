#include "api/handlers_workers.h"

#include <map>
#include <optional>

#include "api/access.h"
#include "api/paging.h"
#include "st8/target/policy.h"
#include "wire/json.h"

namespace st8::api {
namespace {

using target::WorkerHub;
using target::WorkerName;
using wire::JsonWriter;

const Where kSystem = {*state::NamespaceName::parse(target::kSystemNamespace), *state::BranchName::parse("main")};

// A worker's poll, held open by the front.
class HeldPoll final : public target::WorkerStream {
 public:
  explicit HeldPoll(std::shared_ptr<http::Channel> channel) : channel_(std::move(channel)) {}
  bool send(std::shared_ptr<const std::string> line) override { return channel_->send(std::move(line)); }
  void close() override { channel_->close(); }
  bool closed() const override { return channel_->closed(); }

 private:
  std::shared_ptr<http::Channel> channel_;
};

Outcome<state::DocumentKey> key_of(const std::string& worker) {
  ST8_API_ASSIGN(state::DocumentKey key, state::DocumentKey::parse("workers/" + worker + "/assignments"));
  return key;
}

// A worker's token covers `workers/<name>/` of st8/system, and so one worker. What it is sent may hold secrets that were opened.
Outcome<WorkerName> worker_of(Call& call) {
  Query query(call.request);
  ST8_API_TRY(query.finish());
  ST8_API_ASSIGN(WorkerName name, WorkerName::parse(call.parameter("name")));
  ST8_API_ASSIGN(const state::DocumentKey key, key_of(name.str()));
  ST8_API_TRY(allow(call, auth::Verb::kWrite, kSystem, key));
  return name;
}

// Those that this process has met, and those that targets name and that never came.
Reply list(Call& call, WorkerHub& hub, const target::RolloutService& rollouts) {
  Query query(call.request);
  const std::size_t limit = list_limit(query.number("limit", kListLimit));
  const std::string after = query.text("after");
  ST8_API_TRY(query.finish());
  ST8_API_TRY(allow(call, auth::Verb::kRead, kSystem));
  struct Known {
    std::optional<target::WorkerView> met;
    std::vector<target::TargetView> targets;
  };
  std::map<std::string, Known> all;
  for (target::WorkerView& view : hub.workers()) {
    Known& known = all[view.name];
    known.met = std::move(view);
  }
  ST8_API_ASSIGN(std::vector<target::TargetView> targets, rollouts.targets());
  for (target::TargetView& view : targets) {
    if (!view.worker.empty()) all[view.worker].targets.push_back(std::move(view));
  }
  std::string body;
  JsonWriter out(body);
  out.begin_object().key("workers").begin_array();
  std::size_t written = 0;
  std::string last, next;
  for (const auto& [name, known] : all) {
    if (!after.empty() && name <= after) continue;
    const auto key = key_of(name);
    if (!key || !allow(call, auth::Verb::kRead, kSystem, *key)) continue;
    if (written == limit) {
      next = last;
      break;
    }
    out.begin_object().field("name", name).field("connected", known.met && known.met->connected);
    if (known.met) {
      out.field("last_seen", format_rfc3339(known.met->last_seen));
      if (!known.met->version.empty()) out.field("version", known.met->version);
    }
    out.field("assignments", known.met ? std::uint64_t{known.met->assignments} : 0);
    out.key("targets").begin_array();
    for (const target::TargetView& view : known.targets) {
      const auto document =
          state::DocumentKey::parse(std::string(target::kTargetPrefix) + view.target.name.str() + ".yaml");
      if (!document || !allow(call, auth::Verb::kRead, kSystem, *document)) continue;
      out.begin_object().field("name", view.target.name.str());
      if (view.live &&
          auth::sees_branch(*call.principal, auth::Verb::kRead, view.live->entry.name_space, view.live->entry.branch)) {
        out.field("namespace", view.live->entry.name_space)
            .field("branch", view.live->entry.branch)
            .field("revision", view.live->entry.revision.value)
            .field("state", view.live->state);
      }
      out.end_object();
    }
    out.end_array().end_object();
    last = name;
    ++written;
  }
  out.end_array();
  if (!next.empty()) out.field("next_cursor", next);
  out.end_object();
  return json_response(std::move(body));
}

Reply poll(Call& call, WorkerHub& hub) {
  ST8_API_ASSIGN(const WorkerName name, worker_of(call));
  if (call.context.draining && call.context.draining())
    return problem(ErrorCode::kUnavailable, "the server is stopping", "Try again.");
  ST8_API_ASSIGN(WorkerHub::Admission admission, hub.admit(name, call.request.body));
  http::Response response;
  response.set_header("Content-Type", "application/x-ndjson");
  response.set_header("Cache-Control", "no-store");
  response.set_header("X-Accel-Buffering", "no");
  response.on_stream = [&hub, admission = std::move(admission)](std::shared_ptr<http::Channel> channel) {
    hub.attach(admission, std::make_shared<HeldPoll>(std::move(channel)));
  };
  return response;
}

Reply report(Call& call, WorkerHub& hub) {
  ST8_API_ASSIGN(const WorkerName name, worker_of(call));
  ST8_API_TRY(hub.report(name, call.request.body));
  return json_response("{}");
}

Reply content(Call& call, WorkerHub& hub) {
  ST8_API_ASSIGN(const WorkerName name, worker_of(call));
  ST8_API_ASSIGN(const auto bytes, hub.content(name, call.request.body));
  http::Response response;
  response.set_header("Content-Type", "application/octet-stream");
  response.set_header("Cache-Control", "no-store");
  response.body = *bytes;
  return response;
}

}  // namespace

void add_worker_routes(Router& router, WorkerHub& hub, const target::RolloutService& rollouts) {
  const auto with = [&hub](auto handler) -> HandlerFunction {
    return [&hub, handler](Call& call) { return handler(call, hub); };
  };
  router.add({"GET", "/v1/workers", Access::kRead, BodyKind::kNone, "workers",
              [&hub, &rollouts](Call& call) { return list(call, hub, rollouts); }});
  // Bodies are the hub's to read: what a newer worker says beside the known fields does no harm.
  router.add({"POST", "/v1/workers/{name}/poll", Access::kWrite, BodyKind::kRaw, "", with(poll)});
  router.add({"POST", "/v1/workers/{name}/report", Access::kWrite, BodyKind::kRaw, "", with(report)});
  router.add({"POST", "/v1/workers/{name}/content", Access::kWrite, BodyKind::kRaw, "", with(content)});
}

}  // namespace st8::api
