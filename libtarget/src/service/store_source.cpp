#include "service/store_source.h"

namespace st8::target {

Result<std::vector<BranchId>> StoreSource::branches() {
  constexpr std::size_t kPage = 1000;
  std::vector<BranchId> all;
  std::string after;
  for (;;) {
    ST8_ASSIGN(const auto namespaces, store_.namespaces(after, kPage));
    for (const auto& info : namespaces) {
      std::string after_branch;
      for (;;) {
        auto page = store_.branches(info.name, after_branch, kPage);
        if (!page) {
          if (page.error().code == ErrorCode::kNotFound) break;  // Deleted between the two reads.
          return fail(page.error());
        }
        for (const auto& branch : *page) all.emplace_back(info.name.str(), branch.name.str());
        if (page->size() < kPage) break;
        after_branch = page->back().name.str();
      }
      after = info.name.str();
    }
    if (namespaces.size() < kPage) return all;
  }
}

Result<std::optional<SourceHead>> StoreSource::head(const BranchId& branch) {
  ST8_ASSIGN(const auto ns, state::NamespaceName::parse(branch.first));
  ST8_ASSIGN(const auto name, state::BranchName::parse(branch.second));
  // With its record, as it was published: the engine is not read for it.
  const auto head = store_.resolve(ns, name, state::Selector::head());
  if (!head) {
    if (head.error().code == ErrorCode::kNotFound) return std::optional<SourceHead>{};
    return fail(head.error());
  }
  if (head->number.is_root()) return std::optional<SourceHead>{};
  return std::optional<SourceHead>({head->number, head->hash, head->author, head->cause});
}

Result<SourceHead> StoreSource::revision(const std::string& name_space, state::RevisionNumber number) {
  ST8_ASSIGN(const auto ns, state::NamespaceName::parse(name_space));
  ST8_ASSIGN(const auto revision, store_.revision(ns, number));
  return SourceHead{number, revision.hash, revision.author, revision.cause};
}

Result<std::string> StoreSource::maker(const std::string& name_space, state::RevisionNumber number) {
  constexpr std::size_t kPage = 1000;
  ST8_ASSIGN(const auto ns, state::NamespaceName::parse(name_space));
  // Every revision has an operation, in the order of their numbers: that of revision n is not before the n-th.
  std::uint64_t after = number.value == 0 ? 0 : number.value - 1;
  while (true) {
    ST8_ASSIGN(const auto operations, store_.operations(ns, after, kPage));
    for (const state::Operation& operation : operations) {
      if (operation.kind == state::OperationKind::kCommit && operation.after == number) return operation.actor;
    }
    if (operations.size() < kPage)
      return fail(
          ErrorCode::kNotFound,
          "the operation log of " + name_space + " does not tell who made revision " + std::to_string(number.value),
          "");
    after = operations.back().sequence;
  }
}

Result<std::vector<SourceDocument>> StoreSource::documents(const std::string& name_space,
                                                           state::RevisionNumber number) {
  ST8_ASSIGN(const auto ns, state::NamespaceName::parse(name_space));
  ST8_ASSIGN(const auto view, store_.view(ns, number));
  std::vector<SourceDocument> documents;
  ST8_TRY(view.for_each("", [&](const state::Entry& entry) {
    documents.push_back({entry.key.str(), entry.ref.hash, entry.ref.size});
    return true;
  }));
  return documents;
}

Result<std::optional<std::string>> StoreSource::read(const std::string& name_space, state::RevisionNumber number,
                                                     const std::string& key) {
  ST8_ASSIGN(const auto ns, state::NamespaceName::parse(name_space));
  const auto parsed = state::DocumentKey::parse(key);
  if (!parsed) return std::optional<std::string>{};
  ST8_ASSIGN(const auto view, store_.view(ns, number));
  return view.get(*parsed);
}

Result<std::string> StoreSource::open(const std::string& name_space, std::string_view sealed) {
  return keys_ == nullptr ? Source::open(name_space, sealed) : keys_->open(name_space, sealed);
}

Result<std::shared_ptr<const TargetDocuments>> StoreSource::targets() {
  ST8_ASSIGN(const auto ns, state::NamespaceName::parse(kSystemNamespace));
  ST8_ASSIGN(const auto main, state::BranchName::parse("main"));
  const auto view = store_.view(ns, main, state::Selector::head());
  if (!view) {
    if (view.error().code == ErrorCode::kNotFound) return std::make_shared<const TargetDocuments>();
    return fail(view.error());
  }
  return targets_.read(*view);
}

Result<std::pair<state::RevisionNumber, std::string>> StoreSource::append_rollback(const AppendOrder& order) {
  using Answer = std::pair<state::RevisionNumber, std::string>;
  ST8_ASSIGN(auto ns, state::NamespaceName::parse(order.branch.first));
  ST8_ASSIGN(auto branch, state::BranchName::parse(order.branch.second));
  state::CopyRequest request{std::move(ns),
                             branch,
                             state::Selector::of(order.promoted),
                             branch,
                             state::Cause::kAutoRollback,
                             "rollout " + order.rollout.str() + ": " + order.reason.substr(0, 1000),
                             {},
                             {}};
  request.changes_wanted = false;
  request.context.actor = "st8d";
  request.context.message = "Roll back revision " + std::to_string(order.failed.value) + " to " +
                            std::to_string(order.promoted.value) + ": rollout " + order.rollout.str() +
                            " failed: " + order.reason.substr(0, 1000);
  request.context.expected_revision = order.failed;
  request.context.idempotency =
      state::IdempotencyKey{"st8/rollout/" + order.rollout.str() + "/auto-rollback",
                            Hash::of(order.rollout.str() + " " + std::to_string(order.failed.value) + " " +
                                     std::to_string(order.promoted.value))};
  const auto copied = store_.copy(std::move(request));
  if (copied) {
    if (copied->noop) return Answer{{}, "the head has the promoted documents already"};
    return Answer{copied->revision, ""};
  }
  switch (copied.error().code) {
    case ErrorCode::kPreconditionFailed:
      return Answer{{}, "the head has moved on: " + copied.error().message};
    case ErrorCode::kGone:
    case ErrorCode::kNotFound:
    case ErrorCode::kConflict:
      return Answer{{}, copied.error().message};
    default:
      return fail(copied.error());
  }
}

}  // namespace st8::target
