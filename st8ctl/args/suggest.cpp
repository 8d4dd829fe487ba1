#include "args/suggest.h"

#include <algorithm>
#include <cstddef>
#include <utility>

namespace st8::ctl {
namespace {

// Optimal string alignment distance, given up (as `limit + 1`) once it must exceed `limit`.
std::size_t distance(std::string_view a, std::string_view b, std::size_t limit) {
  if (a.size() > b.size() + limit || b.size() > a.size() + limit) return limit + 1;
  std::vector<std::size_t> before_last(b.size() + 1), last(b.size() + 1), row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) last[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    std::size_t least = row[0];
    for (std::size_t j = 1; j <= b.size(); ++j) {
      row[j] = std::min({last[j] + 1, row[j - 1] + 1, last[j - 1] + (a[i - 1] == b[j - 1] ? 0u : 1u)});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
        row[j] = std::min(row[j], before_last[j - 2] + 1);
      least = std::min(least, row[j]);
    }
    if (least > limit) return limit + 1;
    std::swap(before_last, last);
    std::swap(last, row);
  }
  return last[b.size()];
}

}  // namespace

std::vector<std::string> nearest(std::string_view typed, const std::vector<std::string>& names) {
  // One slip in a short word, more in a long one.
  const std::size_t limit = typed.size() <= 3 ? 1 : typed.size() <= 7 ? 2 : 3;
  std::vector<std::pair<std::size_t, std::string>> found;
  for (const std::string& name : names) {
    if (name == typed) continue;
    std::size_t d = distance(typed, name, limit);
    if (d > limit && typed.size() >= 3 && name.starts_with(typed)) d = limit;
    // The last segment alone: `get app.json` for `web/app.json`.
    if (d > limit && typed.size() >= 3 && name.size() > typed.size() && name.ends_with(typed) &&
        name[name.size() - typed.size() - 1] == '/') {
      d = limit;
    }
    if (d <= limit) found.emplace_back(d, name);
  }
  std::sort(found.begin(), found.end());
  std::vector<std::string> result;
  for (auto& [d, name] : found) {
    if (result.size() == 3) break;
    result.push_back(std::move(name));
  }
  return result;
}

std::string did_you_mean(std::string_view typed, const std::vector<std::string>& names) {
  const std::vector<std::string> near = nearest(typed, names);
  if (near.empty()) return {};
  std::string text = "did you mean ";
  for (std::size_t i = 0; i < near.size(); ++i) {
    if (i > 0) text += i + 1 == near.size() ? " or " : ", ";
    text += "\"" + near[i] + "\"";
  }
  return text + "?";
}

}  // namespace st8::ctl
