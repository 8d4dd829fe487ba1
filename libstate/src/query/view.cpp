#include "st8/state/view.h"

#include "query/view_impl.h"
#include "tree/tree.h"

namespace st8::state {
namespace {

constexpr std::size_t kPageMax = 100'000;

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
  ChangePage page;
  ST8_TRY(tree::diff(nodes_of.nodes, root(), to.root(), query.prefix, query.after, [&](Change&& change) {
    if (page.changes.size() == query.limit) {
      page.more = true;
      return false;
    }
    page.changes.push_back(std::move(change));
    return true;
  }));
  return page;
}

}  // namespace st8::state
