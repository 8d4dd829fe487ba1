#include "api/router.h"

#include <algorithm>

namespace st8::api {

void Router::add(Route route) {
  Path* path = nullptr;
  for (const auto& known : paths_) {
    if (known->pattern == route.pattern) path = known.get();
  }
  if (path == nullptr) {
    auto made = std::make_unique<Path>();
    made->pattern = route.pattern;
    std::string_view rest = made->pattern;
    if (rest.starts_with('/')) rest.remove_prefix(1);
    while (true) {
      const std::size_t slash = rest.find('/');
      const std::string_view segment = rest.substr(0, slash);
      if (segment.starts_with('{') && segment.ends_with('}')) {
        std::string_view name = segment.substr(1, segment.size() - 2);
        if (name.ends_with("...")) {
          name.remove_suffix(3);
          made->tail = true;
        }
        made->segments.emplace_back();
        made->names.emplace_back(name);
      } else {
        made->segments.emplace_back(segment);
      }
      if (slash == std::string_view::npos) break;
      rest.remove_prefix(slash + 1);
    }
    path = made.get();
    paths_.push_back(std::move(made));
    if (path->names.empty()) {
      exact_.emplace(path->pattern, path);
    } else {
      patterns_.push_back(path);
    }
  }
  path->methods.push_back(std::make_unique<Route>(std::move(route)));
}

bool Router::matches(const Path& path, std::string_view text, Parameters* parameters) {
  if (!text.starts_with('/')) return false;
  text.remove_prefix(1);
  std::size_t name = 0;
  if (parameters != nullptr) parameters->clear();
  for (std::size_t i = 0; i < path.segments.size(); ++i) {
    const bool last = i + 1 == path.segments.size();
    if (last && path.tail) {
      if (parameters != nullptr) parameters->emplace_back(path.names[name], std::string(text));
      return true;
    }
    const std::size_t slash = text.find('/');
    if (last != (slash == std::string_view::npos)) return false;
    const std::string_view segment = text.substr(0, slash);
    if (path.segments[i].empty()) {
      if (segment.empty()) return false;
      if (parameters != nullptr) parameters->emplace_back(path.names[name], std::string(segment));
      ++name;
    } else if (segment != path.segments[i]) {
      return false;
    }
    if (!last) text.remove_prefix(slash + 1);
  }
  return true;
}

const Router::Path* Router::find_path(std::string_view text, Parameters* parameters) const {
  if (const auto found = exact_.find(text); found != exact_.end()) return found->second;
  for (const Path* path : patterns_) {
    if (matches(*path, text, parameters)) return path;
  }
  return nullptr;
}

Router::Match Router::find(std::string_view method, std::string_view path) const {
  Match match;
  const Path* found = find_path(path, &match.parameters);
  if (found == nullptr) return match;
  for (const auto& route : found->methods) {
    if (route->method == method || (method == "HEAD" && route->method == "GET")) {
      match.route = route.get();
      if (route->method == method) break;
    }
  }
  if (match.route == nullptr) {
    for (const auto& route : found->methods) {
      match.allow.push_back(route->method);
      if (route->method == "GET") match.allow.emplace_back("HEAD");
    }
    std::sort(match.allow.begin(), match.allow.end());
  }
  return match;
}

std::string_view Router::pattern_of(std::string_view path) const {
  const Path* found = find_path(path, nullptr);
  return found == nullptr ? std::string_view("unmatched") : std::string_view(found->pattern);
}

std::vector<const Route*> Router::routes() const {
  std::vector<const Route*> all;
  for (const auto& path : paths_) {
    for (const auto& route : path->methods) all.push_back(route.get());
  }
  return all;
}

}  // namespace st8::api
