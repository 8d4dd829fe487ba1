// Lists by name: pages of what the caller may see, whatever lies between.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "api/call.h"

namespace st8::api {

inline constexpr std::size_t kListLimit = 1000;  // When no limit is given, and the most that one may ask for.

template <class Item>
struct ListPage {
  std::vector<Item> items;
  std::string next;  // The name to go on behind; empty at the end.
};

// Fetches pages until `limit` visible items are together. `fetch(after, limit)` answers a Result of items by name;
// `visible(item)` a Result<bool>. A namespace that nobody has written to has empty lists, as it has an empty state.
template <class Item, class Fetch, class Visible>
Outcome<ListPage<Item>> visible_page(std::string after, std::size_t limit, const Fetch& fetch, const Visible& visible) {
  ListPage<Item> page;
  while (true) {
    auto found = fetch(std::string_view(after), kListLimit);
    if (!found) {
      if (found.error().code == ErrorCode::kNotFound) return page;
      return tl::unexpected<wire::Problem>(wire::Problem(std::move(found).error()));
    }
    for (Item& item : *found) {
      Result<bool> sees = visible(item);
      if (!sees) return tl::unexpected<wire::Problem>(wire::Problem(std::move(sees).error()));
      if (!*sees) continue;
      if (page.items.size() == limit) {
        page.next = page.items.back().name.str();
        return page;
      }
      page.items.push_back(std::move(item));
    }
    if (found->size() < kListLimit) return page;
    after = found->back().name.str();
  }
}

inline std::size_t list_limit(const std::optional<std::uint64_t>& given) {
  return given && *given != 0 ? static_cast<std::size_t>(*given) : kListLimit;
}

}  // namespace st8::api
