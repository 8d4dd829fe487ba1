// Calls of the API: routes and parameters in, answers or errors out.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "client/transport.h"
#include "wire/json.h"
#include "wire/problem.h"

namespace st8::ctl {

using Query = std::vector<std::pair<std::string, std::string>>;

struct Call {
  std::string method = "GET";
  std::string path;  // Encoded where it must be.
  Query query;       // Encoded by the client; empty values are left out.
  std::string body;  // JSON unless `content_type` says otherwise.
  std::string content_type = "application/json";
  std::vector<std::pair<std::string, std::string>> headers;
  bool changes = false;  // Not safe to send twice, unless it carries an idempotency key.
};

class Client {
 public:
  Client(std::unique_ptr<Transport> transport, std::string token)
      : transport_(std::move(transport)), token_(std::move(token)) {}

  // An answer with a 2xx or 304 status. Errors: the server's (see problem()), and the transport's.
  Result<HttpResponse> call(const Call& call, const TransferOptions& options = {});

  // All pages of a list, as one answer: the items of `list` gathered, until `limit` (0: all). `next_cursor` stays when there is more.
  // `page_max` 0: the list has no pages.
  Result<wire::JsonValue> pages(Call call, const std::string& list, std::uint64_t limit, std::uint64_t page_max = 1000);

  // The last error that the server answered, whole.
  const std::optional<wire::Problem>& problem() const { return problem_; }
  void set_problem(std::optional<wire::Problem> problem) { problem_ = std::move(problem); }
  std::string address() const { return transport_->address(); }

 private:
  std::unique_ptr<Transport> transport_;
  std::string token_;
  std::optional<wire::Problem> problem_;
};

Call get(std::string path, Query query = {});
Call post(std::string path, std::string body);  // A read.
Call change(std::string method, std::string path, std::string body);
std::string document_path(std::string_view key);  // "/v1/documents/app/a%20b.json"

}  // namespace st8::ctl
