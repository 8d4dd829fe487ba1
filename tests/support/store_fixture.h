// A store to test: over the engine in memory or over RocksDB, reopened at will, with short ways to write and read.
#pragma once

#include <gtest/gtest.h>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "st8/state/store.h"
#include "support/manual_clock.h"
#include "support/shared_engine.h"
#include "support/temp_directory.h"

namespace st8::state::test {

enum class EngineKind { kMemory, kRocksDb };

inline std::string engine_kind_name(const testing::TestParamInfo<EngineKind>& info) {
  return info.param == EngineKind::kMemory ? "Memory" : "RocksDb";
}

inline void PrintTo(EngineKind kind, std::ostream* out) {
  *out << (kind == EngineKind::kMemory ? "Memory" : "RocksDb");
}

template <class Name>
Name named(std::string_view text) {
  auto name = Name::parse(text);
  if (!name) ADD_FAILURE() << name.error().message;
  return *name;
}
inline NamespaceName ns(std::string_view text) { return named<NamespaceName>(text); }
inline BranchName branch(std::string_view text) { return named<BranchName>(text); }
inline CheckpointName checkpoint(std::string_view text) { return named<CheckpointName>(text); }
inline DocumentKey key(std::string_view text) { return named<DocumentKey>(text); }

inline Selector at(std::string_view text, Timestamp now = {}) {
  auto selector = Selector::parse(text, now);
  if (!selector) ADD_FAILURE() << selector.error().message;
  return *selector;
}

template <class T>
std::string why(const Result<T>& result) {
  return result ? "ok" : result.error().message + " | " + result.error().hint;
}

using Documents = std::map<std::string, std::string>;

// Holds the engine across stores.
class StoreHarness {
 public:
  explicit StoreHarness(EngineKind kind, StoreOptions options = {}) : kind_(kind), options_(options) {
    if (kind_ == EngineKind::kMemory) memory_ = make_memory_engine();
    open();
  }

  void open() {
    store_.reset();
    std::unique_ptr<Engine> engine;
    if (kind_ == EngineKind::kMemory) {
      engine = std::make_unique<SharedEngine>(memory_, fault_);
    } else {
      RocksDbOptions options;
      options.directory = directory_.path() / "db";
      auto opened = open_rocksdb_engine(options);
      if (!opened) throw std::runtime_error(opened.error().message);
      engine = std::make_unique<SharedEngine>(std::move(*opened), fault_);
    }
    auto store = Store::open(std::move(engine), clock, options_);
    if (!store) throw std::runtime_error(store.error().message);
    store_ = std::move(*store);
  }
  void close() { store_.reset(); }

  Store& store() { return *store_; }
  Store* operator->() { return store_.get(); }
  void set_fault(SharedEngine::Fault fault) { *fault_ = std::move(fault); }
  std::shared_ptr<Engine> memory_engine() { return memory_; }

  // Requests with what most tests do not care about.
  static WriteContext context() {
    WriteContext context;
    context.actor = "tester";
    context.message = "test";
    return context;
  }
  static ApplyRequest apply_request(const Documents& documents, std::string_view branch_name = "main",
                                    std::string_view ns_name = "default") {
    ApplyRequest request{ns(ns_name), branch(branch_name), {}, {}, false, {}, {}, Cause::kApply, {}, context()};
    for (const auto& [k, content] : documents) request.documents.push_back({key(k), content});
    return request;
  }
  Result<CommitResult> apply(const Documents& documents, std::string_view branch_name = "main",
                             std::string_view ns_name = "default") {
    return store_->apply(apply_request(documents, branch_name, ns_name));
  }
  Result<CommitResult> unset(std::vector<std::string> keys, std::string_view branch_name = "main",
                             std::string_view ns_name = "default") {
    ApplyRequest request = apply_request({}, branch_name, ns_name);
    for (const std::string& k : keys) request.unset.push_back(key(k));
    return store_->apply(std::move(request));
  }
  Result<CommitResult> copy(std::string_view source, std::string_view branch_name = "main",
                            Cause cause = Cause::kRollback, std::string_view source_branch = "",
                            std::string_view ns_name = "default", bool changes_wanted = true) {
    return store_->copy(CopyRequest{ns(ns_name),
                                    branch(branch_name),
                                    at(source, clock.now()),
                                    branch(source_branch.empty() ? branch_name : source_branch),
                                    cause,
                                    {},
                                    context(),
                                    {},
                                    changes_wanted});
  }
  Result<BranchInfo> create_branch(std::string_view name, std::string_view from = "@",
                                   std::string_view from_branch = "main", std::string_view ns_name = "default") {
    return store_->create_branch({ns(ns_name), branch(name), at(from, clock.now()), branch(from_branch), context()});
  }
  Result<CheckpointInfo> put_checkpoint(std::string_view name, std::string_view from = "@",
                                        std::string_view branch_name = "main", bool replace = false,
                                        std::string_view ns_name = "default") {
    return store_->put_checkpoint(
        {ns(ns_name), checkpoint(name), at(from, clock.now()), branch(branch_name), "", replace, context()});
  }

  // All documents there, or a failed expectation and nothing.
  Documents read(std::string_view selector = "@", std::string_view branch_name = "main",
                 std::string_view ns_name = "default") {
    auto view = store_->view(ns(ns_name), branch(branch_name), at(selector, clock.now()));
    EXPECT_TRUE(view) << why(view);
    return view ? read(*view) : Documents{};
  }
  static Documents read(const View& view) {
    Documents documents;
    const Status status = view.for_each("", [&](const Entry& entry) {
      auto content = view.read(entry.key, entry.ref);
      EXPECT_TRUE(content) << why(content);
      if (content) documents[entry.key.str()] = std::move(*content);
      return true;
    });
    EXPECT_TRUE(status) << why(status);
    return documents;
  }
  RevisionNumber head(std::string_view branch_name = "main", std::string_view ns_name = "default") {
    auto info = store_->branch(ns(ns_name), branch(branch_name));
    return info ? info->head : RevisionNumber{};
  }

  st8::test::ManualClock clock;

 private:
  const EngineKind kind_;
  const StoreOptions options_;
  st8::test::TempDirectory directory_;
  std::shared_ptr<Engine> memory_;
  std::shared_ptr<SharedEngine::Fault> fault_ = std::make_shared<SharedEngine::Fault>();
  std::unique_ptr<Store> store_;
};

class StoreTest : public testing::TestWithParam<EngineKind> {
 protected:
  StoreHarness harness{GetParam()};
};

}  // namespace st8::state::test
