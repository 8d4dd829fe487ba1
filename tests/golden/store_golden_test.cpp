// A whole data directory as an earlier build wrote it (tests/golden/store/v1), opened by this one: everything in it reads as written
// down beside it, it proves whole, and it can be written on. A failure means that stores of users would no longer open, or
// would tell something else; that takes a new format version (docs/formats.md), and code that still reads the old one.
//
// ST8_WRITE_GOLDEN=DIRECTORY makes the directory and its description anew, there.
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <gtest/gtest.h>
#include <iterator>
#include <sstream>

#include "st8/state/maintenance.h"
#include "support/run_program.h"
#include "support/store_fixture.h"

namespace st8::state::test {
namespace {

const std::filesystem::path kGolden = ST8_SOURCE_DIR "/tests/golden/store";

std::unique_ptr<Store> open_directory(const std::filesystem::path& directory, const Clock& clock) {
  RocksDbOptions options;
  options.directory = directory.string();
  auto engine = open_rocksdb_engine(options);
  if (!engine) throw std::runtime_error(why(engine));
  auto store = Store::open(std::move(*engine), clock);
  if (!store) throw std::runtime_error(why(store));
  return std::move(*store);
}

// One of everything that is stored. The clock stands between the steps, so that what is made depends on nothing else.
// `reopen` may close and open the store on the way, so that a directory holds tables and a log.
void write_everything(
    std::unique_ptr<Store>& held, st8::test::ManualClock& clock, const std::function<void()>& reopen = [] {}) {
  const auto step = [&](const char* message) {
    clock.advance(std::chrono::minutes(1));
    WriteContext context;
    context.actor = "rosa";
    context.message = message;
    return context;
  };
  const auto apply = [&](const char* message, const Documents& documents, std::vector<std::string> unset = {},
                         const char* on = "main", const char* in = "shop") {
    ApplyRequest request = StoreHarness::apply_request(documents, on, in);
    for (const std::string& k : unset) request.unset.push_back(key(k));
    request.context = step(message);
    request.context.idempotency = IdempotencyKey{std::string("key of ") + message, Hash::of(message)};
    const auto applied = held->apply(std::move(request));
    ASSERT_TRUE(applied) << why(applied);
  };
  Documents many;
  for (int i = 0; i < 300; ++i)
    many["services/svc-" + std::to_string(i) + "/config.json"] = "{\"replicas\": " + std::to_string(i) + "}\n";
  apply("first", many);
  apply("binary and text", {{"app/logo", std::string("\x89PNG\0\xff\xfe", 7)},
                            {"app/config.json", "{\"n\": 9007199254740993}\n"},
                            {"app/empty", ""}});
  ASSERT_TRUE(held->put_checkpoint({ns("shop"), checkpoint("before/friday"), Selector::head(), branch("main"),
                                    "all quiet", false, step("checkpoint")}));
  ASSERT_TRUE(
      held->create_branch({ns("shop"), branch("experiment"), Selector::head(), branch("main"), step("branch")}));
  apply("on the branch", {{"app/config.json", "{\"n\": 1, \"branch\": true}\n"}}, {}, "experiment");
  apply("gone", {{"services/svc-7/config.json", "{\"replicas\": 70}\n"}}, {"services/svc-8/config.json"});
  const auto merged = held->merge(MergeRequest{
      ns("shop"), branch("main"), at("branch:experiment"), Cause::kMerge, ConflictSide::kNone, {}, step("merge")});
  ASSERT_TRUE(merged) << why(merged);
  const auto copied = held->copy(CopyRequest{ns("shop"), branch("main"), at("checkpoint:before/friday"), branch("main"),
                                             Cause::kRollback, "by hand", step("rollback")});
  ASSERT_TRUE(copied) << why(copied);
  ASSERT_TRUE(held->protect_branch({ns("shop"), branch("experiment"), true, step("protect")}));
  reopen();
  apply("another namespace", {{"a", "1"}}, {}, "main", "payments/prod");
  apply("long ago", {{"a", "2"}}, {}, "main", "payments/prod");
  apply("short-lived", {{"x", "y"}}, {}, "main", "gone");
  ASSERT_TRUE(held->delete_namespace({ns("gone"), false, step("delete")}));
  ASSERT_TRUE(held->records().commit({{"rollout/one", "record"}, {"rollout/two", std::string("\0\1", 2)}}));
}

// Everything that can be read, in words and hashes.
std::string describe(Store& store) {
  std::ostringstream out;
  const auto spaces = store.namespaces("", 100);
  EXPECT_TRUE(spaces) << why(spaces);
  for (const NamespaceInfo& space : *spaces) {
    out << "namespace " << space.name.str() << "\n";
    const auto branches = store.branches(space.name, "", 100);
    EXPECT_TRUE(branches) << why(branches);
    for (const BranchInfo& each : *branches) {
      out << "  branch " << each.name.str() << " head=" << each.head.value << " protected=" << each.is_protected
          << " created_at=" << each.created_at.micros << "\n";
      const auto log = store.log(space.name, each.name,
                                 LogQuery{Selector::head(), std::nullopt, 100, std::nullopt, "", "", std::nullopt,
                                          std::nullopt, std::nullopt});
      EXPECT_TRUE(log) << why(log);
      for (const Revision& revision : log->revisions) {
        out << "    revision " << revision.number.value << " " << revision.hash.hex()
            << " tree=" << revision.tree.hash.hex() << " documents=" << revision.tree.document_count
            << " author=" << revision.author << " message=" << revision.message
            << " cause=" << static_cast<int>(revision.cause) << " at=" << revision.created_at.micros << " parents=";
        for (const RevisionNumber parent : revision.parents) out << parent.value << ",";
        const auto view = store.view(space.name, revision.number);
        EXPECT_TRUE(view) << why(view);
        std::string all;
        for (const auto& [k, content] : StoreHarness::read(*view)) all += k + '\0' + content + '\0';
        out << " contents=" << Hash::of(all).hex() << "\n";
      }
    }
    const auto checkpoints = store.checkpoints(space.name, "", 100);
    EXPECT_TRUE(checkpoints) << why(checkpoints);
    for (const CheckpointInfo& each : *checkpoints) {
      out << "  checkpoint " << each.name.str() << " revision=" << each.revision.value
          << " description=" << each.description << " created_by=" << each.created_by << "\n";
    }
    const auto operations = store.operations(space.name, 0, 100);
    EXPECT_TRUE(operations) << why(operations);
    for (const Operation& each : *operations)
      out << "  operation " << each.sequence << " kind=" << static_cast<int>(each.kind) << " at=" << each.at.micros
          << " by=" << each.actor << "\n";
  }
  const auto records = store.records().scan("", "", 100);
  EXPECT_TRUE(records) << why(records);
  for (const Record& record : *records) out << "record " << record.key << " " << Hash::of(record.value).hex() << "\n";
  return out.str();
}

std::string golden_description() {
  std::ifstream file(kGolden / "v1.txt");
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

TEST(StoreGolden, MakingTheSameAgainGivesTheSameNames) {
  st8::test::ManualClock clock(1'800'000'000'000'000, 0);
  auto opened = Store::open(make_memory_engine(), clock);
  ASSERT_TRUE(opened);
  std::unique_ptr<Store> store = std::move(*opened);
  write_everything(store, clock);
  EXPECT_EQ(describe(*store), golden_description());
}

TEST(StoreGolden, ADirectoryOfAnEarlierBuildOpensReadsProvesAndTakesWrites) {
  const st8::test::TempDirectory directory;
  const auto copy = directory.path() / "state";
  std::filesystem::copy(kGolden / "v1", copy);
  st8::test::ManualClock clock(1'900'000'000'000'000);
  auto store = open_directory(copy, clock);
  EXPECT_EQ(describe(*store), golden_description());
  const auto proof = store->fsck({});
  ASSERT_TRUE(proof) << why(proof);
  EXPECT_TRUE(proof->clean());
  const auto written = store->apply(StoreHarness::apply_request({{"app/new", "1"}}, "main", "shop"));
  ASSERT_TRUE(written) << why(written);
  store.reset();
  EXPECT_EQ(st8::test::run_program({ST8_BIN_DIR "/st8d", "fsck", "--state-dir", copy.string()}).exit_code, 0);
}

TEST(StoreGolden, WritesADirectoryWhenAskedTo) {
  const char* to = std::getenv("ST8_WRITE_GOLDEN");
  st8::test::TempDirectory unasked;
  const std::filesystem::path directory = to != nullptr ? std::filesystem::path(to) : unasked.path();
  st8::test::ManualClock clock(1'800'000'000'000'000, 0);
  auto store = open_directory(directory / "v1", clock);
  write_everything(store, clock, [&] {
    store.reset();
    store = open_directory(directory / "v1", clock);
  });
  const std::string description = describe(*store);
  EXPECT_EQ(description, golden_description()) << "the format has changed";
  store.reset();
  std::ofstream(directory / "v1.txt") << description;
  // The engine's own notes, which hold paths and are not needed to open it.
  for (const auto& entry : std::filesystem::directory_iterator(directory / "v1")) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with("OPTIONS") || name.starts_with("LOG") || name == "LOCK" || name == "IDENTITY")
      std::filesystem::remove(entry.path());
  }
}

}  // namespace
}  // namespace st8::state::test
