// The store against a plain map of maps, over random histories: applies, branches, checkpoints, rollbacks, restores,
// renames, deletions, retries by idempotency key, failing disks and reopening. A failure prints the seed; run it again by
// ST8_TEST_SEED=<seed> and --gtest_filter.
#include <algorithm>
#include <cstdlib>
#include <random>
#include <set>

#include "support/seed.h"
#include "support/store_fixture.h"

namespace st8::state::test {
namespace {

struct ModelRevision {
  Documents documents;
  std::uint64_t parent = 0;
  std::string branch;
  Timestamp created_at;
  Hash hash;
  Cause cause = Cause::kApply;
  std::string message;
};
struct ModelBranch {
  std::uint64_t head = 0;
  std::uint64_t base = 0;
  bool is_protected = false;
};
struct ModelNamespace {
  std::map<std::uint64_t, ModelRevision> revisions;  // 0 is not in it.
  std::map<std::string, ModelBranch> branches;
  std::map<std::string, std::uint64_t> checkpoints;
  std::uint64_t operations = 0;
  bool exists = false;

  Documents documents(std::uint64_t number) const { return number == 0 ? Documents{} : revisions.at(number).documents; }
  std::uint64_t head(const std::string& name) const {
    const auto found = branches.find(name);
    return found == branches.end() ? 0 : found->second.head;
  }
  std::vector<std::uint64_t> chain(std::uint64_t number) const {
    std::vector<std::uint64_t> numbers;
    for (; number != 0; number = revisions.at(number).parent) numbers.push_back(number);
    return numbers;
  }
};

class History {
 public:
  History(EngineKind kind, std::uint64_t seed) : harness_(kind), random_(seed), seed_(seed) {}

  void run(int steps) {
    for (int step = 0; step < steps && !testing::Test::HasFailure(); ++step) {
      SCOPED_TRACE("seed " + std::to_string(seed_) + " step " + std::to_string(step));
      one_step();
      check_something();
      if (step % 50 == 49) check_everything();
    }
    harness_.open();
    check_everything();
  }

 private:
  std::size_t pick(std::size_t below) { return std::uniform_int_distribution<std::size_t>(0, below - 1)(random_); }
  bool chance(int percent) { return static_cast<int>(pick(100)) < percent; }
  std::string random_key() {
    return "dir" + std::to_string(pick(4)) + "/k" + std::to_string(pick(chance(90) ? 12 : 400));
  }
  std::string random_content() {
    return chance(10) ? std::string(pick(3000), 'x') + std::to_string(pick(9)) : "v" + std::to_string(pick(6));
  }
  std::string random_branch() { return std::array{"main", "main", "dev", "feature/x", "feature/y"}[pick(5)]; }
  std::string random_checkpoint() { return std::array{"good", "v1", "v2", "release/3"}[pick(4)]; }

  // A selector for an existing revision of the namespace, and its number.
  std::pair<std::string, std::uint64_t> random_source(const ModelNamespace& model, const std::string& in_use) {
    for (int tries = 0; tries < 20; ++tries) {
      switch (pick(6)) {
        case 0:
          if (!model.checkpoints.empty()) {
            auto item = model.checkpoints.begin();
            std::advance(item, static_cast<long>(pick(model.checkpoints.size())));
            return {"checkpoint:" + item->first, item->second};
          }
          break;
        case 1:
          if (!model.branches.empty()) {
            auto item = model.branches.begin();
            std::advance(item, static_cast<long>(pick(model.branches.size())));
            return {"branch:" + item->first, item->second.head};
          }
          break;
        case 2:
          if (!model.revisions.empty()) {
            const std::uint64_t number = 1 + pick(model.revisions.size());
            return {std::to_string(number), number};
          }
          break;
        case 3:
          if (!model.revisions.empty()) {
            const std::uint64_t number = 1 + pick(model.revisions.size());
            return {"hash:" + model.revisions.at(number).hash.hex().substr(0, 16 + pick(49)), number};
          }
          break;
        case 4:
          if (model.branches.contains(in_use)) {
            const auto chain = model.chain(model.head(in_use));
            const std::size_t back = pick(chain.size() + 1);
            return {"@~" + std::to_string(back), back == chain.size() ? 0 : chain[back]};
          }
          break;
        default:
          if (model.branches.contains(in_use) && !model.revisions.empty()) {
            const Timestamp time = model.revisions.at(1 + pick(model.revisions.size())).created_at;
            std::uint64_t expected = 0;
            for (const std::uint64_t number : model.chain(model.head(in_use))) {
              if (model.revisions.at(number).created_at <= time) {
                expected = number;
                break;
              }
            }
            return {in_use + "@" + format_rfc3339(time), expected};
          }
      }
    }
    return {"0", 0};
  }

  static std::size_t differences(const Documents& a, const Documents& b) {
    std::size_t count = 0;
    for (const auto& [k, content] : a) {
      const auto other = b.find(k);
      count += other == b.end() || other->second != content;
    }
    for (const auto& [k, content] : b) count += !a.contains(k);
    return count;
  }

  void append(ModelNamespace& model, const std::string& name, Documents documents, const CommitResult& result,
              Cause cause, bool changes_wanted = true) {
    EXPECT_EQ(result.revision.value, model.revisions.size() + 1);
    EXPECT_EQ(result.parent.value, model.head(name));
    // The changes are the difference, and the difference applied to the old gives the new.
    Documents patched = model.documents(model.head(name));
    EXPECT_EQ(result.change_count, differences(patched, documents));
    if (!changes_wanted && result.changes.empty()) patched = documents;
    for (const Change& change : result.changes) {
      if (change.after) {
        const auto now = documents.find(change.key.str());
        ASSERT_NE(now, documents.end());
        EXPECT_EQ(change.after->hash, Hash::of(now->second));
        EXPECT_EQ(change.type, patched.contains(change.key.str()) ? ChangeType::kUpdate : ChangeType::kCreate);
        patched[change.key.str()] = now->second;
      } else {
        EXPECT_EQ(change.type, ChangeType::kDelete);
        EXPECT_EQ(patched.erase(change.key.str()), 1u);
      }
    }
    EXPECT_EQ(patched, documents);
    auto revision = harness_->revision(ns(ns_), result.revision);
    ASSERT_TRUE(revision) << why(revision);
    ModelRevision& made = model.revisions[result.revision.value];
    made.documents = std::move(documents);
    made.parent = model.head(name);
    made.branch = name;
    made.created_at = revision->created_at;
    made.hash = revision->hash;
    made.cause = cause;
    made.message = revision->message;
    if (made.parent != 0) {
      EXPECT_GE(made.created_at, model.revisions.at(made.parent).created_at);
    }
    if (!model.exists) ++model.operations;  // namespace.create
    model.exists = true;
    ++model.operations;
    model.branches[name].head = result.revision.value;
  }

  // Sends a request once, and then perhaps again with the same key: both must answer alike, and only one must count.
  template <class Request, class Call>
  Result<CommitResult> send(Request request, const Call& call) {
    const bool keyed = chance(30);
    if (keyed)
      request.context.idempotency = IdempotencyKey{"key-" + std::to_string(++keys_), Hash::of(std::to_string(keys_))};
    if (chance(10)) {
      Request dry = request;
      dry.context.dry_run = true;
      const auto rehearsed = call(dry);
      const auto real = call(request);
      EXPECT_EQ(rehearsed.has_value(), real.has_value());
      if (rehearsed && real) {
        EXPECT_TRUE(rehearsed->dry_run);
        EXPECT_EQ(rehearsed->revision, real->revision);
        EXPECT_EQ(rehearsed->noop, real->noop);
        EXPECT_EQ(rehearsed->changes.size(), real->changes.size());
        EXPECT_EQ(rehearsed->change_count, real->change_count);
      }
      return real;
    }
    if (chance(8)) {
      harness_.set_fault([](const Batch&) -> Status { return fail(ErrorCode::kUnavailable, "no space"); });
      const auto failed = call(request);
      harness_.set_fault({});
      // A noop that records no key writes nothing, so it does not notice.
      if (failed) {
        EXPECT_TRUE(failed->noop && (!keyed || !namespaces_[ns_].exists));
      }
    }
    auto result = call(request);
    if (keyed && result && chance(70)) {
      if (chance(30)) harness_.open();
      const auto again = call(request);
      EXPECT_TRUE(again) << why(again);
      if (again) {
        // Only where the namespace exists is there a place to record a noop.
        if (!result->noop) {
          EXPECT_TRUE(again->replayed);
        }
        EXPECT_EQ(again->revision, result->revision);
        EXPECT_EQ(again->hash, result->hash);
        EXPECT_EQ(again->noop, result->noop);
        EXPECT_EQ(again->parent, result->parent);
        EXPECT_EQ(again->change_count, result->change_count);
        EXPECT_EQ(again->changes.size(), result->change_count);
        for (std::size_t i = 0; i < std::min(again->changes.size(), result->changes.size()); ++i) {
          EXPECT_EQ(again->changes[i].key, result->changes[i].key);
          EXPECT_EQ(again->changes[i].before, result->changes[i].before);
          EXPECT_EQ(again->changes[i].after, result->changes[i].after);
        }
      }
      Request other = request;
      other.context.idempotency->request = Hash::of("another request");
      if (!result->noop) {
        const auto refused = call(other);
        EXPECT_FALSE(refused);
        if (!refused) {
          EXPECT_EQ(refused.error().code, ErrorCode::kConflict);
        }
      }
    }
    return result;
  }

  void do_apply() {
    ModelNamespace& model = namespaces_[ns_];
    const std::string name = random_branch();
    ApplyRequest request = StoreHarness::apply_request({}, name, ns_);
    request.context.message = "apply " + std::to_string(pick(5));
    Documents documents = model.documents(model.head(name));
    const Documents before = documents;
    std::set<std::string> used;
    const std::size_t count = chance(5) ? pick(300) : pick(5);
    for (std::size_t i = 0; i < count; ++i) {
      const std::string k = random_key();
      if (!used.insert(k).second) continue;
      request.documents.push_back({key(k), random_content()});
      documents[k] = request.documents.back().content;
    }
    bool missing = false;
    if (chance(40)) {
      request.unset_missing_ok = chance(60);
      for (std::size_t i = 0; i < 1 + pick(3); ++i) {
        const std::string k = chance(70) && !before.empty()
                                  ? std::next(before.begin(), static_cast<long>(pick(before.size())))->first
                                  : random_key();
        if (!used.insert(k).second) continue;
        request.unset.push_back(key(k));
        missing = missing || !before.contains(k);
        documents.erase(k);
      }
    }
    if (chance(10)) {
      request.prune_prefix = chance(50) ? "dir1/" : chance(50) ? "" : "dir2/k1";
      std::set<std::string> wanted;
      for (const Document& document : request.documents) wanted.insert(document.key.str());
      std::erase_if(documents, [&](const auto& item) {
        return item.first.starts_with(*request.prune_prefix) && !wanted.contains(item.first);
      });
    }
    const std::uint64_t head = model.head(name);
    if (chance(20)) {
      request.context.expected_revision = RevisionNumber{head + 1 + pick(3)};
      const auto stale = harness_->apply(request);
      EXPECT_FALSE(stale);
      if (!stale) {
        EXPECT_EQ(stale.error().code, ErrorCode::kPreconditionFailed);
      }
      request.context.expected_revision = RevisionNumber{head};
    }
    const auto result = send(request, [&](const ApplyRequest& r) { return harness_->apply(r); });
    if (missing && !request.unset_missing_ok) {
      ASSERT_FALSE(result);
      EXPECT_EQ(result.error().code, ErrorCode::kNotFound);
      return;
    }
    ASSERT_TRUE(result) << why(result);
    if (documents == before) {
      EXPECT_TRUE(result->noop);
      EXPECT_EQ(result->revision.value, head);
      return;
    }
    EXPECT_FALSE(result->noop);
    append(model, name, std::move(documents), *result, Cause::kApply);
  }

  void do_copy() {
    ModelNamespace& model = namespaces_[ns_];
    const std::string name = random_branch();
    const bool restore = chance(50);
    const std::string source_branch = restore ? random_branch() : name;
    const auto [selector, number] = random_source(model, source_branch);
    const CopyRequest request{ns(ns_),
                              branch(name),
                              at(selector),
                              branch(source_branch),
                              restore ? Cause::kRestore : Cause::kRollback,
                              "",
                              StoreHarness::context(),
                              {},
                              chance(50)};
    const auto result = send(request, [&](const CopyRequest& r) { return harness_->copy(r); });
    if (!restore && name != "main" && !model.branches.contains(name)) {
      ASSERT_FALSE(result);
      EXPECT_EQ(result.error().code, ErrorCode::kNotFound);
      return;
    }
    ASSERT_TRUE(result) << selector << ": " << why(result);
    const Documents documents = model.documents(number);
    if (documents == model.documents(model.head(name))) {
      EXPECT_TRUE(result->noop);
      return;
    }
    append(model, name, documents, *result, request.cause, request.changes_wanted);
    EXPECT_EQ(harness_->revision(ns(ns_), result->revision)->source.value, number);
  }

  void do_branch() {
    ModelNamespace& model = namespaces_[ns_];
    const std::string name = random_branch();
    switch (pick(5)) {
      case 0:
      case 1: {
        const std::string from_branch = random_branch();
        const auto [selector, number] = random_source(model, from_branch);
        const auto made = harness_.create_branch(name, selector, from_branch, ns_);
        if (model.branches.contains(name)) {
          ASSERT_FALSE(made);
          EXPECT_EQ(made.error().code, ErrorCode::kConflict);
          return;
        }
        ASSERT_TRUE(made) << selector << ": " << why(made);
        model.branches[name] = {number, number, false};
        if (!model.exists) ++model.operations;
        model.exists = true;
        ++model.operations;
        return;
      }
      case 2: {
        const auto gone = harness_->delete_branch({ns(ns_), branch(name), StoreHarness::context()});
        if (!model.branches.contains(name) || model.branches[name].is_protected) {
          ASSERT_FALSE(gone);
          return;
        }
        ASSERT_TRUE(gone) << why(gone);
        EXPECT_EQ(gone->head.value, model.head(name));
        model.branches.erase(name);
        ++model.operations;
        return;
      }
      case 3: {
        const std::string to = random_branch();
        const auto renamed = harness_->rename_branch({ns(ns_), branch(name), branch(to), StoreHarness::context()});
        if (!model.branches.contains(name) || model.branches[name].is_protected || model.branches.contains(to)) {
          ASSERT_FALSE(renamed);
          return;
        }
        ASSERT_TRUE(renamed) << why(renamed);
        model.branches[to] = model.branches[name];
        model.branches.erase(name);
        ++model.operations;
        return;
      }
      default: {
        const bool on = chance(30);
        const auto info = harness_->protect_branch({ns(ns_), branch(name), on, StoreHarness::context()});
        if (!model.branches.contains(name)) {
          ASSERT_FALSE(info);
          return;
        }
        ASSERT_TRUE(info) << why(info);
        if (model.branches[name].is_protected != on) ++model.operations;
        model.branches[name].is_protected = on;
      }
    }
  }

  void do_checkpoint() {
    ModelNamespace& model = namespaces_[ns_];
    const std::string name = random_checkpoint();
    if (chance(25)) {
      const auto gone = harness_->delete_checkpoint({ns(ns_), checkpoint(name), StoreHarness::context()});
      EXPECT_EQ(gone.has_value(), model.checkpoints.erase(name) == 1);
      if (gone) ++model.operations;
      return;
    }
    const std::string name_of_branch = random_branch();
    const auto [selector, number] = random_source(model, name_of_branch);
    const bool replace = chance(40);
    const auto info = harness_.put_checkpoint(name, selector, name_of_branch, replace, ns_);
    if (number == 0) {
      ASSERT_FALSE(info);
      EXPECT_EQ(info.error().code, ErrorCode::kNotFound);
      return;
    }
    const auto existing = model.checkpoints.find(name);
    if (existing != model.checkpoints.end() && existing->second != number && !replace) {
      ASSERT_FALSE(info);
      EXPECT_EQ(info.error().code, ErrorCode::kConflict);
      return;
    }
    ASSERT_TRUE(info) << why(info);
    if (existing == model.checkpoints.end() || existing->second != number) ++model.operations;
    model.checkpoints[name] = number;
  }

  void do_delete_namespace() {
    ModelNamespace& model = namespaces_[ns_];
    const bool force = chance(50);
    const auto gone = harness_->delete_namespace({ns(ns_), force, StoreHarness::context()});
    const bool is_protected = std::any_of(model.branches.begin(), model.branches.end(),
                                          [](const auto& item) { return item.second.is_protected; });
    if (!model.exists || (is_protected && !force)) {
      ASSERT_FALSE(gone);
      EXPECT_EQ(gone.error().code, model.exists ? ErrorCode::kConflict : ErrorCode::kNotFound);
      return;
    }
    ASSERT_TRUE(gone) << why(gone);
    model = {};
  }

  void one_step() {
    if (chance(3)) harness_.open();
    if (chance(10)) harness_.clock.set(Timestamp{harness_.clock.now().micros - 5});  // Clocks go back, too.
    ns_ = chance(80) ? "default" : "team/two";
    const std::size_t what = pick(100);
    if (what < 60) {
      do_apply();
    } else if (what < 75) {
      do_copy();
    } else if (what < 88) {
      do_branch();
    } else if (what < 98) {
      do_checkpoint();
    } else if (chance(30)) {
      do_delete_namespace();
    }
  }

  void check_history(const std::string& name, const std::string& k) {
    const ModelNamespace& model = namespaces_[ns_];
    if (!model.branches.contains(name)) return;
    std::vector<std::uint64_t> expected;
    for (const std::uint64_t number : model.chain(model.head(name))) {
      const Documents now = model.documents(number);
      const Documents before = model.documents(model.revisions.at(number).parent);
      const auto a = now.find(k);
      const auto b = before.find(k);
      if ((a == now.end()) != (b == before.end()) || (a != now.end() && a->second != b->second))
        expected.push_back(number);
    }
    std::vector<std::uint64_t> found;
    std::optional<RevisionNumber> after;
    const std::size_t limit = 1 + pick(5);
    while (true) {
      const auto page = harness_->key_history(ns(ns_), branch(name), key(k), after, limit);
      ASSERT_TRUE(page) << why(page);
      ASSERT_LE(page->versions.size(), limit);
      for (const KeyVersion& version : page->versions) {
        found.push_back(version.revision.number.value);
        const Documents now = model.documents(version.revision.number.value);
        const auto content = now.find(k);
        ASSERT_EQ(version.change.after.has_value(), content != now.end());
        if (content != now.end()) {
          EXPECT_EQ(version.change.after->hash, Hash::of(content->second));
        }
      }
      if (!page->next) break;
      after = page->next;
    }
    EXPECT_EQ(found, expected) << name << " " << k;

    // The log with this key as its filter says the same.
    LogQuery query;
    query.key = key(k);
    query.limit = 1000;
    const auto log = harness_->log(ns(ns_), branch(name), query);
    ASSERT_TRUE(log) << why(log);
    std::vector<std::uint64_t> logged;
    for (const Revision& revision : log->revisions) logged.push_back(revision.number.value);
    EXPECT_EQ(logged, expected);
  }

  void check_log(const std::string& name) {
    const ModelNamespace& model = namespaces_[ns_];
    if (!model.branches.contains(name)) return;
    LogQuery query;
    if (chance(30)) query.cause = chance(50) ? Cause::kApply : Cause::kRollback;
    if (chance(30)) query.message_contains = "apply 1";
    if (chance(30) && !model.revisions.empty())
      query.since = model.revisions.at(1 + pick(model.revisions.size())).created_at;
    if (chance(30) && !model.revisions.empty())
      query.until = model.revisions.at(1 + pick(model.revisions.size())).created_at;
    std::vector<std::uint64_t> expected;
    for (const std::uint64_t number : model.chain(model.head(name))) {
      const ModelRevision& revision = model.revisions.at(number);
      if (query.cause && revision.cause != *query.cause) continue;
      if (!query.message_contains.empty() && revision.message.find(query.message_contains) == std::string::npos)
        continue;
      if (query.since && revision.created_at < *query.since) continue;
      if (query.until && revision.created_at > *query.until) continue;
      expected.push_back(number);
    }
    query.limit = 1 + pick(7);
    std::vector<std::uint64_t> found;
    while (true) {
      const auto page = harness_->log(ns(ns_), branch(name), query);
      ASSERT_TRUE(page) << why(page);
      for (const Revision& revision : page->revisions) found.push_back(revision.number.value);
      if (!page->next) break;
      query.after = page->next;
    }
    EXPECT_EQ(found, expected);
  }

  void check_something() {
    const ModelNamespace& model = namespaces_[ns_];
    const std::string name = random_branch();
    const auto [selector, number] = random_source(model, name);
    auto view = harness_->view(ns(ns_), branch(name), at(selector));
    ASSERT_TRUE(view) << selector << ": " << why(view);
    EXPECT_EQ(view->revision().value, number) << selector;
    EXPECT_EQ(StoreHarness::read(*view), model.documents(number)) << selector;

    const auto [other, other_number] = random_source(model, name);
    auto other_view = harness_->view(ns(ns_), branch(name), at(other));
    ASSERT_TRUE(other_view) << why(other_view);
    const auto diff = view->diff(*other_view);
    ASSERT_TRUE(diff) << why(diff);
    Documents patched = model.documents(number);
    const Documents target = model.documents(other_number);
    for (const Change& change : diff->changes) {
      if (change.after) {
        ASSERT_TRUE(target.contains(change.key.str()));
        patched[change.key.str()] = target.at(change.key.str());
      } else {
        patched.erase(change.key.str());
      }
    }
    EXPECT_EQ(patched, target);

    if (number != 0 && other_number != 0) {
      const auto chain = model.chain(number);
      const auto related = harness_->is_ancestor(ns(ns_), RevisionNumber{other_number}, RevisionNumber{number});
      ASSERT_TRUE(related) << why(related);
      EXPECT_EQ(*related, std::find(chain.begin(), chain.end(), other_number) != chain.end());
    }
    if (chance(20)) check_history(name, random_key());
    if (chance(20)) check_log(name);
  }

  void check_everything() {
    for (auto& [space, model] : namespaces_) {
      ns_ = space;
      const auto info = harness_->name_space(ns(space));
      ASSERT_EQ(info.has_value(), model.exists) << space;
      if (!model.exists) continue;
      EXPECT_EQ(info->last_revision.value, model.revisions.size());
      EXPECT_EQ(info->branch_count, model.branches.size());
      EXPECT_EQ(info->checkpoint_count, model.checkpoints.size());
      const auto branches = harness_->branches(ns(space), "", 1000);
      ASSERT_TRUE(branches);
      ASSERT_EQ(branches->size(), model.branches.size());
      auto expected = model.branches.begin();
      for (const BranchInfo& found : *branches) {
        EXPECT_EQ(found.name.str(), expected->first);
        EXPECT_EQ(found.head.value, expected->second.head);
        EXPECT_EQ(found.base.value, expected->second.base);
        EXPECT_EQ(found.is_protected, expected->second.is_protected);
        ++expected;
      }
      const auto checkpoints = harness_->checkpoints(ns(space), "", 1000);
      ASSERT_TRUE(checkpoints);
      ASSERT_EQ(checkpoints->size(), model.checkpoints.size());
      for (const CheckpointInfo& found : *checkpoints)
        EXPECT_EQ(found.revision.value, model.checkpoints.at(found.name.str()));
      for (const auto& [number, revision] : model.revisions) {
        const auto view = harness_->view(ns(space), RevisionNumber{number});
        ASSERT_TRUE(view) << why(view);
        EXPECT_EQ(StoreHarness::read(*view), revision.documents) << "revision " << number;
        EXPECT_EQ(view->root().document_count, revision.documents.size());
      }
      const auto operations = harness_->operations(ns(space), 0, 100'000);
      ASSERT_TRUE(operations) << why(operations);
      EXPECT_EQ(operations->size(), model.operations);
      for (std::size_t i = 0; i < operations->size(); ++i) EXPECT_EQ((*operations)[i].sequence, i + 1);
      if (!operations->empty()) {
        const std::uint64_t after = pick(operations->size());
        const auto rest = harness_->operations(ns(space), after, 3);
        ASSERT_TRUE(rest);
        ASSERT_EQ(rest->size(), std::min<std::size_t>(3, operations->size() - after));
        EXPECT_EQ(rest->front().sequence, after + 1);
      }
    }
  }

  StoreHarness harness_;
  std::mt19937_64 random_;
  const std::uint64_t seed_;
  std::map<std::string, ModelNamespace> namespaces_;
  std::string ns_ = "default";
  std::uint64_t keys_ = 0;
};

class StoreModel : public testing::TestWithParam<EngineKind> {};
INSTANTIATE_TEST_SUITE_P(Engines, StoreModel, testing::Values(EngineKind::kMemory, EngineKind::kRocksDb),
                         engine_kind_name);

TEST_P(StoreModel, RandomHistoriesAgree) {
  const std::uint64_t histories = GetParam() == EngineKind::kMemory ? 8 : 2;
  for (std::uint64_t first = st8::test::first_seed(), seed = first; seed - first < histories && !HasFailure(); ++seed)
    History(GetParam(), seed).run(400);
}

}  // namespace
}  // namespace st8::state::test
