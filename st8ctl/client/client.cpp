#include "client/client.h"

#include <algorithm>

#include "render/document.h"

namespace st8::ctl {

Call get(std::string path, Query query) {
  Call call;
  call.path = std::move(path);
  call.query = std::move(query);
  return call;
}

Call post(std::string path, std::string body) {
  Call call;
  call.method = "POST";
  call.path = std::move(path);
  call.body = std::move(body);
  return call;
}

Call change(std::string method, std::string path, std::string body) {
  Call call;
  call.method = std::move(method);
  call.path = std::move(path);
  call.body = std::move(body);
  call.changes = true;
  return call;
}

std::string document_path(std::string_view key) { return "/v1/documents/" + percent_encoded(key, true); }

Result<HttpResponse> Client::call(const Call& call, const TransferOptions& options) {
  problem_.reset();
  HttpRequest request;
  request.method = call.method;
  request.target = call.path;
  char separator = '?';
  for (const auto& [name, value] : call.query) {
    if (value.empty()) continue;
    request.target += separator + name + "=" + percent_encoded(value, true);
    separator = '&';
  }
  request.headers = call.headers;
  if (!token_.empty()) request.headers.emplace_back("Authorization", "Bearer " + token_);
  if (!call.body.empty()) request.headers.emplace_back("Content-Type", call.content_type);
  request.body = call.body;
  request.safe_to_repeat =
      !call.changes || std::any_of(call.headers.begin(), call.headers.end(),
                                   [](const auto& header) { return header.first == "Idempotency-Key"; });
  ST8_ASSIGN(HttpResponse response, transport_->send(request, options));
  if ((response.status >= 200 && response.status < 300) || response.status == 304) return response;
  problem_ = wire::parse_problem(response.status, response.body);
  if (problem_->request_id.empty()) problem_->request_id = response.header("x-request-id");
  if (response.status >= 300 && response.status < 400) {
    problem_->error = Error{ErrorCode::kUnavailable,
                            address() + " answers with a redirect to " + std::string(response.header("location")),
                            "name that address with --server"};
  }
  return fail(problem_->error);
}

Result<wire::JsonValue> Client::pages(Call call, const std::string& list, std::uint64_t limit, std::uint64_t page_max) {
  wire::JsonValue whole;
  bool first = true;
  std::uint64_t have = 0;
  while (true) {
    Call page = call;
    if (page_max > 0)
      page.query.emplace_back("limit", std::to_string(limit == 0 ? page_max : std::min(page_max, limit - have)));
    ST8_ASSIGN(const HttpResponse response, this->call(page));
    ST8_ASSIGN(wire::JsonValue answer, parse_answer(response.body));
    std::string cursor;
    std::size_t items = 0;
    for (wire::JsonMember& member : answer.members) {
      if (member.name == "next_cursor" && !member.value.is_null()) cursor = member.value.text;
      if (member.name != list) continue;
      items = member.value.items.size();
      if (!first) {
        for (wire::JsonMember& into : whole.members) {
          if (into.name == list)
            into.value.items.insert(into.value.items.end(), std::make_move_iterator(member.value.items.begin()),
                                    std::make_move_iterator(member.value.items.end()));
        }
      }
    }
    if (cursor == "0") cursor.clear();
    if (first) {
      whole = std::move(answer);
      first = false;
    } else {
      // The last page says whether there is more.
      std::erase_if(whole.members, [](const wire::JsonMember& member) { return member.name == "next_cursor"; });
      for (wire::JsonMember& member : answer.members) {
        if (member.name == "next_cursor") whole.members.push_back(std::move(member));
      }
    }
    have += items;
    // A server that answers an empty page with a cursor would never end.
    if (cursor.empty() || items == 0 || (limit > 0 && have >= limit)) return whole;
    std::erase_if(call.query, [](const auto& parameter) { return parameter.first == "after"; });
    call.query.emplace_back("after", cursor);
  }
}

}  // namespace st8::ctl
