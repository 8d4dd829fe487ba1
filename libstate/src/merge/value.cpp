#include "merge/value.h"

#include <functional>
#include <unordered_map>

namespace st8::state::merge {
namespace {

std::uint64_t mix(std::uint64_t a, std::uint64_t b) {
  std::uint64_t x = (a ^ (b + 0x9e3779b97f4a7c15u + (a << 6) + (a >> 2))) * 0xd6e8feb86659fd93u;
  return x ^ (x >> 32);
}
std::uint64_t text_digest(std::string_view text) { return std::hash<std::string_view>{}(text); }

}  // namespace

void seal(Value& value) {
  std::uint64_t digest = mix(static_cast<std::uint64_t>(value.shape) + 1, text_digest(value.token));
  if (value.shape == Shape::kMap) {
    std::unordered_map<std::string_view, std::size_t> seen;
    for (Member& member : value.members) {
      member.occurrence = seen[member.key]++;
      digest += mix(mix(text_digest(member.key), member.occurrence), member.value.digest);
    }
  } else {
    for (const Member& member : value.members) digest = mix(digest, member.value.digest);
  }
  value.digest = digest;
}

bool same(const Value& a, const Value& b) {
  if (a.digest != b.digest || a.shape != b.shape || a.members.size() != b.members.size() || a.token != b.token)
    return false;
  std::size_t at = 0;
  for (; at < a.members.size(); ++at) {
    const Member &x = a.members[at], &y = b.members[at];
    if (a.shape == Shape::kMap && x.key != y.key) break;
    if (!same(x.value, y.value)) {
      // In a map the same key may come twice in another order; then it is not the same.
      return false;
    }
  }
  if (at == a.members.size()) return true;
  // Only a map, and its keys are in another order.
  std::unordered_map<std::string_view, std::vector<const Member*>> others;
  for (std::size_t i = at; i < b.members.size(); ++i) others[b.members[i].key].push_back(&b.members[i]);
  std::unordered_map<std::string_view, std::size_t> next;
  for (std::size_t i = at; i < a.members.size(); ++i) {
    const auto found = others.find(a.members[i].key);
    if (found == others.end()) return false;
    const std::size_t nth = next[a.members[i].key]++;
    if (nth >= found->second.size() || !same(a.members[i].value, found->second[nth]->value)) return false;
  }
  return true;
}

}  // namespace st8::state::merge
