// Keeps one document in a store of its own and reads it back.
#include <iostream>
#include <memory>

#include "st8/state/clock.h"
#include "st8/state/engine.h"
#include "st8/state/store.h"

namespace {

st8::Status run() {
  using namespace st8::state;
  ST8_ASSIGN(const std::unique_ptr<Store> store, Store::open(make_memory_engine(), st8::system_clock()));
  ST8_ASSIGN(const NamespaceName name_space, NamespaceName::parse("default"));
  ST8_ASSIGN(const BranchName branch, BranchName::parse("main"));
  ST8_ASSIGN(const DocumentKey key, DocumentKey::parse("app/greeting"));
  ApplyRequest request{.name_space = name_space, .branch = branch, .documents = {{key, "hello"}}};
  request.context.author = "consumer";
  ST8_ASSIGN(const CommitResult applied, store->apply(std::move(request)));
  ST8_ASSIGN(const View view, store->view(name_space, branch, Selector::head()));
  ST8_ASSIGN(const auto content, view.get(key));
  std::cout << "revision " << applied.revision.value << ": " << key.str() << " = " << content.value_or("nothing")
            << "\n";
  return {};
}

}  // namespace

int main() {
  const st8::Status status = run();
  if (!status) std::cerr << status.error().message << "\n";
  return status ? 0 : 1;
}
