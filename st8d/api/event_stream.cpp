#include "api/event_stream.h"

namespace st8::api {

std::shared_ptr<const std::string> event_bytes(std::string_view name, std::string_view data, std::string_view id) {
  auto bytes = std::make_shared<std::string>();
  bytes->reserve(name.size() + data.size() + id.size() + 32);
  if (!id.empty()) bytes->append("id: ").append(id).append("\n");
  bytes->append("event: ").append(name).append("\ndata: ").append(data).append("\n\n");
  return bytes;
}

Reply event_stream_response(const Call& call) {
  if (call.context.draining && call.context.draining())
    return problem(ErrorCode::kUnavailable, "the server is stopping and takes no new streams", "Try again.");
  http::Response response;
  response.set_header("Content-Type", "text/event-stream");
  response.set_header("Cache-Control", "no-store");
  response.set_header("X-Accel-Buffering", "no");
  return response;
}

}  // namespace st8::api
