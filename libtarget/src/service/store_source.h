// The store as the coordinator sees it.
#pragma once

#include "service/ports.h"
#include "service/target_documents.h"
#include "st8/state/store.h"
#include "st8/target/sealing.h"

namespace st8::target {

class StoreSource final : public Source {
 public:
  // `keys` may be null: then sealed values are refused.
  explicit StoreSource(state::Store& store, std::shared_ptr<const Keyring> keys = nullptr)
      : store_(store), keys_(std::move(keys)) {}

  Result<std::vector<BranchId>> branches() override;
  Result<std::optional<SourceHead>> head(const BranchId& branch) override;
  Result<SourceHead> revision(const std::string& name_space, state::RevisionNumber number) override;
  // Cost: reads the operation log from the revision's number on, which lies before it by as many records as are no commits.
  Result<std::string> maker(const std::string& name_space, state::RevisionNumber number) override;
  Result<std::vector<SourceDocument>> documents(const std::string& name_space, state::RevisionNumber number) override;
  Result<std::optional<std::string>> read(const std::string& name_space, state::RevisionNumber number,
                                          const std::string& key) override;
  Result<std::string> open(const std::string& name_space, std::string_view sealed) override;
  Result<std::shared_ptr<const TargetDocuments>> targets() override;
  Result<std::pair<state::RevisionNumber, std::string>> append_rollback(const AppendOrder& order) override;

 private:
  state::Store& store_;
  const std::shared_ptr<const Keyring> keys_;
  TargetDocumentCache targets_;
};

}  // namespace st8::target
