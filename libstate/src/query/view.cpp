#include "st8/state/view.h"

#include <algorithm>

#include "query/view_impl.h"
#include "tree/tree.h"

namespace st8::state {
namespace {

constexpr std::size_t kPageMax = 100'000;
// Of a diff that may be walked in parts: so many changes are looked for before it is, and so many are kept of each part.
constexpr std::size_t kChangesAlone = 64;
constexpr std::size_t kPartsMax = 12;
constexpr std::size_t kPartChangesMax = 4096;

Status check_limit(std::size_t limit) {
  if (limit >= 1 && limit <= kPageMax) return {};
  return fail(ErrorCode::kInvalidArgument,
              "the limit is " + std::to_string(limit) + "; 1 to " + std::to_string(kPageMax) + " are allowed",
              "Read page by page.");
}

}  // namespace

const NamespaceName& View::name_space() const { return impl_->name_space; }
RevisionNumber View::revision() const { return impl_->revision; }
const TreeRoot& View::root() const { return impl_->root; }

Result<std::optional<DocumentRef>> View::find(const DocumentKey& key) const {
  return tree::find(impl_->nodes, impl_->root, key.view());
}

Result<std::optional<std::string>> View::get(const DocumentKey& key) const {
  ST8_ASSIGN(const std::optional<DocumentRef> ref, find(key));
  if (!ref) return std::optional<std::string>{};
  ST8_ASSIGN(std::string content, read(key, *ref));
  return std::optional<std::string>{std::move(content)};
}

Result<std::string> View::read(const DocumentKey& key, const DocumentRef& ref) const {
  return impl_->core.read_content(impl_->ns, key.view(), ref);
}

Result<std::vector<ContentPointer>> View::read_all(std::span<const ContentPlace> places, bool keep) const {
  return impl_->core.read_contents(impl_->ns, places, keep);
}

Result<EntryPage> View::list(const ListQuery& query) const {
  ST8_TRY(check_limit(query.limit));
  EntryPage page;
  Status made;
  ST8_TRY(tree::scan(impl_->nodes, impl_->root, query.prefix, query.after,
                     [&](std::string_view key, const DocumentRef& ref) {
                       if (page.entries.size() == query.limit) {
                         page.more = true;
                         return false;
                       }
                       auto name = DocumentKey::parse(key);
                       if (!name) {
                         made = fail(std::move(name).error());
                         return false;
                       }
                       page.entries.push_back({std::move(*name), ref});
                       return true;
                     }));
  ST8_TRY(std::move(made));
  return page;
}

Status View::for_each(std::string_view prefix, const std::function<bool(const Entry&)>& visit) const {
  Status made;
  ST8_TRY(tree::scan(impl_->nodes, impl_->root, prefix, {}, [&](std::string_view key, const DocumentRef& ref) {
    auto name = DocumentKey::parse(key);
    if (!name) {
      made = fail(std::move(name).error());
      return false;
    }
    return visit(Entry{std::move(*name), ref});
  }));
  return made;
}

Result<ChangePage> View::diff(const View& to, const DiffQuery& query) const {
  ST8_TRY(check_limit(query.limit));
  if (impl_->ns != to.impl_->ns && !root().empty() && !to.root().empty()) {
    return fail(ErrorCode::kInvalidArgument,
                "the two states are of different namespaces, " + name_space().str() + " and " + to.name_space().str(),
                "Compare states of one namespace.");
  }
  const ViewImpl& nodes_of = root().empty() ? *to.impl_ : *impl_;
  const auto walk = [&](std::string_view after, std::string_view until, std::size_t limit, ChangePage& page) {
    return tree::diff(
        nodes_of.nodes, root(), to.root(), query.prefix, after,
        [&](Change&& change) {
          if (page.changes.size() == limit) {
            page.more = true;
            return false;
          }
          page.changes.push_back(std::move(change));
          return true;
        },
        until);
  };
  ChangePage page;
  ST8_TRY(walk(query.after, {}, query.in_parts ? std::min(query.limit, kChangesAlone) : query.limit, page));
  if (!page.more || page.changes.size() == query.limit) return page;

  const std::string last = page.changes.back().key.str();
  ST8_ASSIGN(std::vector<std::string> ends,
             tree::cuts(nodes_of.nodes, (root().empty() ? to : *this).root(), query.prefix, last, kPartsMax - 1));
  ends.emplace_back();  // The last part has no end.
  struct Part {
    ChangePage page;
    Status walked;
  };
  std::vector<Part> parts(ends.size());
  query.in_parts(parts.size(), [&](std::size_t i) {
    const std::size_t limit = std::min(query.limit - kChangesAlone, kPartChangesMax);
    parts[i].walked = walk(i == 0 ? last : ends[i - 1], ends[i], limit, parts[i].page);
  });
  page.more = false;
  for (Part& part : parts) {
    ST8_TRY(std::move(part.walked));
    for (Change& change : part.page.changes) {
      if (page.changes.size() == query.limit) {
        page.more = true;
        return page;
      }
      page.changes.push_back(std::move(change));
    }
    if (!part.page.more) continue;
    // So many differ that parts would hold too much: the rest as one.
    const std::string reached = page.changes.back().key.str();  // The page grows, and moves its keys, meanwhile.
    ST8_TRY(walk(reached, {}, query.limit, page));
    break;
  }
  return page;
}

}  // namespace st8::state
