// A store of another format is refused by name, by every program that opens one, and what it holds stays as it is.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <vector>

#include "codec/records.h"
#include "support/daemon.h"
#include "support/raw_client.h"
#include "support/run_program.h"
#include "support/store_fixture.h"

namespace st8::state::test {
namespace {

using st8::test::Daemon;
using st8::test::ProgramEnd;
using st8::test::RawClient;
using st8::test::run_program;
using testing::HasSubstr;

std::vector<std::pair<std::string, std::string>> everything(Engine& engine) {
  std::vector<std::pair<std::string, std::string>> all;
  for (const auto cursor = engine.scan({}); cursor->valid(); cursor->next())
    all.emplace_back(cursor->key(), cursor->value());
  return all;
}

// The mark is the only meta record called "format", whatever lies beside it.
void set_format(Engine& engine, std::uint32_t version) {
  std::string key;
  for (const auto& [k, value] : everything(engine)) {
    if (k.size() > 6 && k.compare(k.size() - 6, 6, "format") == 0) key = k;
  }
  ASSERT_FALSE(key.empty());
  Batch batch;
  batch.put(key, codec::encode_meta_number(version));
  ASSERT_TRUE(engine.commit(batch, {}, Durability::kSynced));
}

TEST(StoreFormat, OfAnotherVersionIsRefusedAndLeftAlone) {
  StoreHarness harness(EngineKind::kMemory);
  ASSERT_TRUE(harness.apply({{"a", "1"}}));
  harness.close();
  const auto engine = harness.memory_engine();
  for (const std::uint32_t version : {codec::kFormatVersion + 1, codec::kFormatVersion + 1000, 0u}) {
    set_format(*engine, version);
    const auto before = everything(*engine);
    const auto refused =
        Store::open(std::make_unique<SharedEngine>(engine, std::make_shared<SharedEngine::Fault>()), harness.clock, {});
    ASSERT_FALSE(refused) << version;
    EXPECT_EQ(refused.error().code, ErrorCode::kInvalidArgument);
    EXPECT_THAT(refused.error().message, HasSubstr("format version " + std::to_string(version)));
    EXPECT_THAT(refused.error().message, HasSubstr("reads version " + std::to_string(codec::kFormatVersion)));
    EXPECT_THAT(refused.error().hint, HasSubstr(version > codec::kFormatVersion ? "newer st8d" : "Migrate"));
    EXPECT_EQ(everything(*engine), before);
  }
  set_format(*engine, codec::kFormatVersion);
  harness.open();
  EXPECT_EQ(harness.read(), (Documents{{"a", "1"}}));
}

TEST(StoreFormat, WithoutAMarkIsRefused) {
  StoreHarness harness(EngineKind::kMemory);
  std::shared_ptr<Engine> shared = make_memory_engine();
  Batch batch;
  batch.put("somebody", "else's");
  ASSERT_TRUE(shared->commit(batch, {}, Durability::kSynced));
  const auto refused =
      Store::open(std::make_unique<SharedEngine>(shared, std::make_shared<SharedEngine::Fault>()), harness.clock, {});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kCorrupt);
  EXPECT_EQ(everything(*shared).size(), 1u);
}

TEST(StoreFormat, NewerIsRefusedByEveryProgram) {
  st8::test::TempDirectory directory;
  const std::string state = (directory.path() / "state").string();
  {
    Daemon daemon({.state_dir = state});
    ASSERT_TRUE(daemon.wait_ready()) << daemon.log();
    RawClient client(daemon.port());
    ASSERT_EQ(client.post("/v1/apply", R"({"documents":[{"key":"a","content":"1"}]})")->status, 200);
    daemon.send_signal(SIGTERM);
    ASSERT_EQ(daemon.wait_end(), 0) << daemon.log();
  }
  const auto mark = [&](std::uint32_t version) {
    RocksDbOptions options;
    options.directory = state;
    auto engine = open_rocksdb_engine(options);
    ASSERT_TRUE(engine) << engine.error().message;
    set_format(**engine, version);
  };
  mark(codec::kFormatVersion + 1);
  const std::string bin = ST8_BIN_DIR;
  for (const std::vector<std::string>& words : std::vector<std::vector<std::string>>{
           {bin + "/st8d", "--listen", "127.0.0.1:0", "--state-dir", state},
           {bin + "/st8d", "fsck", "--state-dir", state},
           {bin + "/st8d", "backup", (directory.path() / "copy").string(), "--state-dir", state},
           {bin + "/st8ctl", "--local", "--state-dir", state, "get", "a"},
           {bin + "/st8ctl", "--local", "--state-dir", state, "apply", "-v", "a=2"}}) {
    const ProgramEnd end = run_program(words);
    EXPECT_EQ(end.exit_code, traits_of(ErrorCode::kInvalidArgument).exit_code) << words[1] << ": " << end.output;
    EXPECT_THAT(end.output, HasSubstr("format version " + std::to_string(codec::kFormatVersion + 1))) << words[1];
    EXPECT_THAT(end.output, HasSubstr("newer st8d")) << words[1];
  }
  EXPECT_FALSE(std::filesystem::exists(directory.path() / "copy"));
  mark(codec::kFormatVersion);
  Daemon daemon({.state_dir = state});
  ASSERT_TRUE(daemon.wait_ready()) << daemon.log();
  EXPECT_EQ(RawClient(daemon.port()).get("/v1/documents/a")->body, "1");
}

}  // namespace
}  // namespace st8::state::test
