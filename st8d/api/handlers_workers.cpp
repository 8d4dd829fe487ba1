#include "api/handlers_workers.h"

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

Reply list(Call& call, WorkerHub& hub) {
  Query query(call.request);
  const std::size_t limit = list_limit(query.number("limit", kListLimit));
  const std::string after = query.text("after");
  ST8_API_TRY(query.finish());
  ST8_API_TRY(allow(call, auth::Verb::kRead, kSystem));
  std::string body;
  JsonWriter out(body);
  out.begin_object().key("workers").begin_array();
  std::size_t written = 0;
  std::string last, next;
  for (const target::WorkerView& view : hub.workers()) {
    if (!after.empty() && view.name <= after) continue;
    const auto key = key_of(view.name);
    if (!key || !allow(call, auth::Verb::kRead, kSystem, *key)) continue;
    if (written == limit) {
      next = last;
      break;
    }
    out.begin_object()
        .field("name", view.name)
        .field("connected", view.connected)
        .field("last_seen", format_rfc3339(view.last_seen))
        .field("assignments", static_cast<std::uint64_t>(view.assignments))
        .end_object();
    last = view.name;
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

void add_worker_routes(Router& router, WorkerHub& hub) {
  const auto with = [&hub](auto handler) -> HandlerFunction {
    return [&hub, handler](Call& call) { return handler(call, hub); };
  };
  router.add({"GET", "/v1/workers", Access::kRead, BodyKind::kNone, "workers", with(list)});
  // Bodies are the hub's to read: what a newer worker says beside the known fields does no harm.
  router.add({"POST", "/v1/workers/{name}/poll", Access::kWrite, BodyKind::kRaw, "", with(poll)});
  router.add({"POST", "/v1/workers/{name}/report", Access::kWrite, BodyKind::kRaw, "", with(report)});
  router.add({"POST", "/v1/workers/{name}/content", Access::kWrite, BodyKind::kRaw, "", with(content)});
}

}  // namespace st8::api
