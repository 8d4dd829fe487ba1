// Finds the handler of a request. Exact paths through a hash table, then the patterns:
//   {name}     one segment, not empty
//   {name...}  the rest of the path, slashes and all, perhaps empty; only at the end
// HEAD finds what GET finds.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <unordered_map>
#include <utility>
#include <vector>

#include "http/exchange.h"
#include "http/metrics.h"
#include "wire/problem.h"

namespace st8::api {

struct Call;

// What a handler gives back: an answer, or the problem that stands in its place.
using Reply = tl::expected<http::Response, wire::Problem>;
using HandlerFunction = std::function<Reply(Call&)>;

// What a caller must hold before the handler is asked at all. The handler still asks for the namespace, branch and keys.
enum class Access : std::uint8_t { kOpen, kAnyToken, kRead, kWrite, kAdmin };

enum class BodyKind : std::uint8_t {
  kNone,  // Whatever comes is not looked at.
  kJson,  // application/json, or no type given.
  kRaw,   // Any type.
};

// Where a route's operations are counted: the series of the registry, each looked up (by names, under a lock) the first time
// that it counts.
struct OperationSeries {
  std::array<std::atomic<http::Counter*>, 3> results{};  // success, noop, error.
  std::atomic<http::Histogram*> duration{nullptr};
  std::atomic<http::Counter*> changed_documents{nullptr};
};

struct Route {
  std::string method;
  std::string pattern;
  Access access = Access::kRead;
  BodyKind body = BodyKind::kNone;
  std::string operation;  // The name in st8_operations_total; empty: not counted.
  HandlerFunction handler;
  bool may_reply_later = false;  // See LaterCall.
  std::shared_ptr<OperationSeries> series = std::make_shared<OperationSeries>();
};

// Routes are added before the first request; finding is thread-safe.
class Router {
 public:
  void add(Route route);

  using Parameters = std::vector<std::pair<std::string_view, std::string>>;
  struct Match {
    const Route* route = nullptr;    // nullptr: no such path, or not with this method.
    std::vector<std::string> allow;  // The methods that the path has; empty: no such path.
    Parameters parameters;
  };
  Match find(std::string_view method, std::string_view path) const;

  // The pattern that the path matches, with whatever method; "unmatched" for none.
  std::string_view pattern_of(std::string_view path) const;

  // All routes, for the test that holds the API's description against them.
  std::vector<const Route*> routes() const;

 private:
  // One path pattern with its methods.
  struct Path {
    std::string pattern;
    std::vector<std::string> segments;  // "" is a parameter; names_ tells which.
    std::vector<std::string> names;     // For each parameter.
    bool tail = false;                  // The last one takes the rest.
    std::vector<std::unique_ptr<Route>> methods;
  };
  static bool matches(const Path& path, std::string_view text, Parameters* parameters);
  const Path* find_path(std::string_view text, Parameters* parameters) const;

  std::vector<std::unique_ptr<Path>> paths_;
  std::unordered_map<std::string_view, const Path*> exact_;
  std::vector<const Path*> patterns_;
};

}  // namespace st8::api
