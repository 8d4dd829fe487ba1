// The engine's contract, over every engine.
#include "st8/state/engine.h"

#include <atomic>
#include <filesystem>
#include <fstream>
#include <future>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <map>
#include <random>
#include <set>
#include <sstream>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

#include "engine/keyspace.h"
#include "st8/state/failpoint.h"
#include "support/temp_directory.h"

namespace st8::state {
namespace {

struct MemoryMaker {
  std::unique_ptr<Engine> make() { return make_memory_engine(); }
  std::unique_ptr<Engine> reopen(std::unique_ptr<Engine> engine) { return engine; }
};

struct RocksDbMaker {
  test::TempDirectory directory;
  std::unique_ptr<Engine> make() {
    RocksDbOptions options;
    options.directory = directory.path() / "db";
    auto engine = open_rocksdb_engine(options);
    if (!engine) {
      ADD_FAILURE() << engine.error().message;
      return nullptr;
    }
    return std::move(*engine);
  }
  std::unique_ptr<Engine> reopen(std::unique_ptr<Engine> engine) {
    engine.reset();
    return make();
  }
};

template <class Maker>
class EngineContract : public testing::Test {
 protected:
  void SetUp() override {
    engine = maker.make();
    ASSERT_NE(engine, nullptr);
  }
  Status put(std::string key, std::string value, std::vector<Expectation> expectations = {}) {
    Batch batch;
    batch.put(std::move(key), std::move(value));
    return engine->commit(batch, expectations, Durability::kSynced);
  }
  Status erase(std::string key) {
    Batch batch;
    batch.erase(std::move(key));
    return engine->commit(batch, {}, Durability::kBuffered);
  }
  std::optional<std::string> get(std::string_view key, const EngineSnapshot* snapshot = nullptr) {
    auto value = engine->get(key, snapshot);
    EXPECT_TRUE(value);
    return value ? *value : std::nullopt;
  }
  std::vector<std::pair<std::string, std::string>> all(KeyRange range, const EngineSnapshot* snapshot = nullptr) {
    std::vector<std::pair<std::string, std::string>> found;
    auto cursor = engine->scan(std::move(range), snapshot);
    for (; cursor->valid(); cursor->next()) found.emplace_back(cursor->key(), cursor->value());
    EXPECT_TRUE(cursor->status());
    return found;
  }
  std::vector<std::string> keys(KeyRange range, const EngineSnapshot* snapshot = nullptr) {
    std::vector<std::string> found;
    for (auto& [key, value] : all(std::move(range), snapshot)) found.push_back(key);
    return found;
  }

  Maker maker;
  std::unique_ptr<Engine> engine;
};

using Makers = testing::Types<MemoryMaker, RocksDbMaker>;
TYPED_TEST_SUITE(EngineContract, Makers);

TYPED_TEST(EngineContract, GetsWhatWasPut) {
  EXPECT_EQ(this->get("absent"), std::nullopt);
  ASSERT_TRUE(this->put("a", "1"));
  ASSERT_TRUE(this->put(std::string("\0\xff", 2), std::string("\0binary\0", 8)));
  ASSERT_TRUE(this->put("empty", ""));
  EXPECT_EQ(this->get("a"), "1");
  EXPECT_EQ(this->get(std::string("\0\xff", 2)), std::string("\0binary\0", 8));
  EXPECT_EQ(this->get("empty"), "") << "an empty value is not an absent one";
  ASSERT_TRUE(this->erase("a"));
  EXPECT_EQ(this->get("a"), std::nullopt);
  EXPECT_TRUE(this->erase("a")) << "erasing what is not there is no error";
}

TYPED_TEST(EngineContract, GetsManyAsItGetsOne) {
  // Of both kinds of table, in no order, some twice, some absent or deleted, some written again; from memory and from files.
  std::vector<std::string> keys;
  for (int i = 0; i < 300; ++i) {
    const std::string key = (i % 3 == 0 ? "R" : "D") + std::to_string(i * 7919 % 1000);
    keys.push_back(key);
    if (i % 5 != 0) {
      ASSERT_TRUE(this->put(key, "first " + key + std::string(static_cast<std::size_t>(i), 'x')));
    }
    if (i == 200) {
      ASSERT_TRUE(this->engine->reclaim({}));
    }
    if (i % 7 == 0) {
      ASSERT_TRUE(this->erase(key));
    }
    if (i % 11 == 0) {
      ASSERT_TRUE(this->put(key, "second " + key));
    }
  }
  keys.push_back(keys.front());
  keys.push_back("absent");
  keys.emplace_back();
  const auto snapshot = this->engine->snapshot();
  for (int round = 0; round < 2; ++round) {
    const EngineStats before = this->engine->stats();
    const auto now = this->engine->get_many(keys);
    EXPECT_EQ(this->engine->stats().gets - before.gets, keys.size());
    const auto then = this->engine->get_many(keys, snapshot.get());
    ASSERT_TRUE(now) << now.error().message;
    ASSERT_TRUE(then) << then.error().message;
    ASSERT_EQ(now->size(), keys.size());
    ASSERT_EQ(then->size(), keys.size());
    for (std::size_t i = 0; i < keys.size(); ++i) {
      EXPECT_EQ((*now)[i], this->get(keys[i])) << keys[i];
      EXPECT_EQ((*then)[i], this->engine->get(keys[i], snapshot.get()).value()) << keys[i];
    }
    Batch batch;  // What the snapshot does not see.
    for (std::size_t i = 0; i < keys.size(); i += 2) batch.put(keys[i], "third");
    if (round == 0) {
      ASSERT_TRUE(this->engine->commit(batch, {}, Durability::kBuffered));
    }
  }
  EXPECT_EQ(this->engine->get_many({}).value().size(), 0u);
}

TYPED_TEST(EngineContract, ABatchIsAppliedInOrder) {
  Batch batch;
  batch.put("k", "1");
  batch.erase("k");
  batch.put("k", "2");
  batch.put("l", "1");
  batch.erase("l");
  ASSERT_TRUE(this->engine->commit(batch, {}, Durability::kSynced));
  EXPECT_EQ(this->get("k"), "2");
  EXPECT_EQ(this->get("l"), std::nullopt);
  EXPECT_EQ(this->keys({}), std::vector<std::string>{"k"});
}

TYPED_TEST(EngineContract, AnExpectationThatDoesNotHoldRefusesTheWholeBatch) {
  ASSERT_TRUE(this->put("head", "1"));
  const std::vector<std::vector<Expectation>> wrong{
      {{"head", "2"}},   {{"head", std::nullopt}},         {{"absent", ""}},
      {{"absent", "x"}}, {{"head", "1"}, {"absent", "x"}}, {{"head", ""}}};
  for (const auto& expectations : wrong) {
    const Status status = this->put("written", "yes", expectations);
    ASSERT_FALSE(status);
    EXPECT_EQ(status.error().code, ErrorCode::kPreconditionFailed);
    EXPECT_EQ(this->get("written"), std::nullopt);
  }
  EXPECT_TRUE(this->put("written", "yes", {{"head", "1"}, {"absent", std::nullopt}}));
  EXPECT_EQ(this->get("written"), "yes");
}

TYPED_TEST(EngineContract, ExpectationsGuardConcurrentWriters) {
  ASSERT_TRUE(this->put("counter", "0"));
  constexpr int kThreads = 4, kEach = 50;
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&] {
      for (int done = 0; done < kEach;) {
        const auto now = this->engine->get("counter", nullptr);
        if (!now) return;
        Batch batch;
        batch.put("counter", std::to_string(std::stoi(now->value()) + 1));
        const std::vector<Expectation> expected{{"counter", **now}};
        const Status status = this->engine->commit(batch, expected, Durability::kBuffered);
        if (status)
          ++done;
        else if (status.error().code != ErrorCode::kPreconditionFailed)
          return;
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(this->get("counter"), std::to_string(kThreads * kEach));
}

TYPED_TEST(EngineContract, ScansAreOrderedByUnsignedBytesWithinTheirRange) {
  for (std::string key : {"b", "a", "ab", "a\xff", "c", "\x01", "\xff", "\xff\xff"}) ASSERT_TRUE(this->put(key, key));
  EXPECT_EQ(this->keys({}), (std::vector<std::string>{"\x01", "a", "ab", "a\xff", "b", "c", "\xff", "\xff\xff"}));
  EXPECT_EQ(this->keys({"ab", "c"}), (std::vector<std::string>{"ab", "a\xff", "b"}));
  EXPECT_EQ(this->keys({"b", ""}), (std::vector<std::string>{"b", "c", "\xff", "\xff\xff"}));
  EXPECT_EQ(this->keys(KeyRange::prefix("a")), (std::vector<std::string>{"a", "ab", "a\xff"}));
  EXPECT_EQ(this->keys(KeyRange::prefix("a\xff")), (std::vector<std::string>{"a\xff"}));
  EXPECT_EQ(this->keys(KeyRange::prefix("\xff")), (std::vector<std::string>{"\xff", "\xff\xff"}));
  EXPECT_EQ(this->keys(KeyRange::prefix("")).size(), 8u);
  EXPECT_TRUE(this->keys({"x", "y"}).empty());
  EXPECT_TRUE(this->keys({"c", "b"}).empty());
  EXPECT_TRUE(this->keys({"b", "b"}).empty());
}

TYPED_TEST(EngineContract, AScanOverAllTablesMergesThem) {
  std::vector<std::string> expected;
  for (char table : std::string("BCDGHIJKMNORTX")) {
    for (const char* rest : {"", "1", "2"}) {
      expected.push_back(std::string(1, table) + rest);
      ASSERT_TRUE(this->put(expected.back(), "v" + expected.back()));
    }
  }
  EXPECT_EQ(this->keys({}), expected);
  EXPECT_EQ(this->keys({"C2", "H1"}), (std::vector<std::string>{"C2", "D", "D1", "D2", "G", "G1", "G2", "H"}));
  EXPECT_EQ(this->keys({"D", "E"}), (std::vector<std::string>{"D", "D1", "D2"}));
  EXPECT_EQ(this->keys({"T1", "X"}), (std::vector<std::string>{"T1", "T2"}));
  EXPECT_EQ(this->keys({"R2", "T1"}), (std::vector<std::string>{"R2", "T"}));
  auto cursor = this->engine->scan({});
  cursor->seek("O2");
  ASSERT_TRUE(cursor->valid());
  cursor->next();
  EXPECT_EQ(cursor->key(), "R");
  cursor->seek("S");
  EXPECT_EQ(cursor->key(), "T");
  EXPECT_EQ(cursor->value(), "vT");
}

TYPED_TEST(EngineContract, ACursorSeeksWithinItsRangeOnly) {
  for (std::string key : {"a", "b", "c", "d"}) ASSERT_TRUE(this->put(key, key));
  auto cursor = this->engine->scan({"b", "d"});
  cursor->seek("a");
  ASSERT_TRUE(cursor->valid());
  EXPECT_EQ(cursor->key(), "b");
  cursor->seek("c");
  EXPECT_EQ(cursor->key(), "c");
  cursor->seek("bb");
  EXPECT_EQ(cursor->key(), "c") << "backwards too";
  cursor->seek("d");
  EXPECT_FALSE(cursor->valid());
  cursor->seek("b");
  EXPECT_TRUE(cursor->valid());
}

TYPED_TEST(EngineContract, SnapshotsAndCursorsDoNotSeeLaterWrites) {
  ASSERT_TRUE(this->put("a", "1"));
  ASSERT_TRUE(this->put("T-node", "1"));
  const auto before = this->engine->snapshot();
  auto open_cursor = this->engine->scan({});
  ASSERT_TRUE(this->put("a", "2"));
  ASSERT_TRUE(this->put("b", "2"));
  const auto between = this->engine->snapshot();
  ASSERT_TRUE(this->erase("a"));
  ASSERT_TRUE(this->erase("T-node"));
  ASSERT_TRUE(this->put("b", "3"));

  EXPECT_EQ(this->get("a", before.get()), "1");
  EXPECT_EQ(this->get("b", before.get()), std::nullopt);
  EXPECT_EQ(this->get("a", between.get()), "2");
  EXPECT_EQ(this->get("b", between.get()), "2");
  EXPECT_EQ(this->get("a"), std::nullopt);
  EXPECT_EQ(this->keys({}, before.get()), (std::vector<std::string>{"T-node", "a"}));
  EXPECT_EQ(this->keys({}, between.get()), (std::vector<std::string>{"T-node", "a", "b"}));
  EXPECT_EQ(this->keys({}), std::vector<std::string>{"b"});
  std::vector<std::string> seen;
  for (; open_cursor->valid(); open_cursor->next())
    seen.push_back(std::string(open_cursor->key()) + "=" + std::string(open_cursor->value()));
  EXPECT_EQ(seen, (std::vector<std::string>{"T-node=1", "a=1"}));
}

TYPED_TEST(EngineContract, BehavesAsAMapOverRandomHistories) {
  std::mt19937 random(20261121);
  std::map<std::string, std::string> model;
  struct Held {
    std::unique_ptr<EngineSnapshot> snapshot;
    std::map<std::string, std::string> model;
  };
  std::vector<Held> held;
  const auto random_key = [&] {
    static constexpr std::string_view kTables = "DTRB";
    return std::string(1, kTables[random() % kTables.size()]) + std::to_string(random() % 40);
  };
  for (int round = 0; round < 1500; ++round) {
    Batch batch;
    for (auto left = 1 + random() % 5; left > 0; --left) {
      std::string key = random_key();
      if (random() % 3 == 0) {
        model.erase(key);
        batch.erase(std::move(key));
      } else {
        std::string value(random() % 300, static_cast<char>(random()));
        model[key] = value;
        batch.put(std::move(key), std::move(value));
      }
    }
    ASSERT_TRUE(this->engine->commit(batch, {}, Durability::kBuffered));
    if (random() % 20 == 0) held.push_back({this->engine->snapshot(), model});
    if (held.size() > 4) held.erase(held.begin() + static_cast<std::ptrdiff_t>(random() % held.size()));
    if (random() % 200 == 0) {
      ASSERT_TRUE(this->engine->reclaim({KeyRange::prefix("D")}));
    }
    const std::string key = random_key();
    const auto found = model.find(key);
    ASSERT_EQ(this->get(key), found == model.end() ? std::nullopt : std::optional(found->second));
    if (round % 50 == 0) {
      using Pairs = std::vector<std::pair<std::string, std::string>>;
      ASSERT_EQ(this->all({}), Pairs(model.begin(), model.end()));
      for (const Held& one : held)
        ASSERT_EQ(this->all({}, one.snapshot.get()), Pairs(one.model.begin(), one.model.end()));
    }
  }
  held.clear();
  this->engine = this->maker.reopen(std::move(this->engine));
  ASSERT_NE(this->engine, nullptr);
  EXPECT_EQ(this->all({}), (std::vector<std::pair<std::string, std::string>>(model.begin(), model.end())));
}

TYPED_TEST(EngineContract, ReadersNeverSeeHalfABatch) {
  std::atomic<bool> stop{false};
  std::thread writer([&] {
    for (int i = 0; i < 400 && !stop; ++i) {
      Batch batch;
      for (const char* key : {"B", "D", "T", "Z"}) batch.put(key, std::to_string(i));
      if (!this->engine->commit(batch, {}, Durability::kBuffered)) break;
    }
    stop = true;
  });
  while (!stop) {
    const auto found = this->all({});
    for (const auto& [key, value] : found) EXPECT_EQ(value, found.front().second);
    EXPECT_TRUE(found.empty() || found.size() == 4) << found.size();
  }
  writer.join();
}

TYPED_TEST(EngineContract, CountsWhatItDoes) {
  const EngineStats before = this->engine->stats();
  ASSERT_TRUE(this->put("key", "value"));
  ASSERT_TRUE(this->erase("key"));
  this->get("key");
  this->keys({});
  const EngineStats after = this->engine->stats();
  EXPECT_EQ(after.commits - before.commits, 2u);
  EXPECT_EQ(after.syncs - before.syncs, 1u) << "buffered commits do not sync";
  EXPECT_EQ(after.gets - before.gets, 1u);
  EXPECT_EQ(after.scans - before.scans, 1u);
  EXPECT_EQ(after.bytes_written - before.bytes_written, 11u);
}

TEST(BatchTest, CountsItsBytes) {
  Batch batch;
  EXPECT_TRUE(batch.empty());
  batch.put("ab", "cde");
  batch.erase("fg");
  EXPECT_EQ(batch.bytes(), 7u);
  EXPECT_EQ(batch.writes().size(), 2u);
  batch.set_frees_space(true);
  batch.clear();
  EXPECT_TRUE(batch.empty());
  EXPECT_EQ(batch.bytes(), 0u);
  EXPECT_FALSE(batch.frees_space());
}

TEST(KeyRangeTest, PrefixEndsBehindAllThatBeginSo) {
  EXPECT_EQ(KeyRange::prefix("ab").end, "ac");
  EXPECT_EQ(KeyRange::prefix("a\xff").end, "b");
  EXPECT_EQ(KeyRange::prefix("\xff\xff").end, "");
  EXPECT_EQ(KeyRange::prefix("").end, "");
  EXPECT_EQ(KeyRange::prefix("\x7f").end, "\x80");
}

// Beyond the contract: what only the engine on disk does.

class RocksDbEngine : public testing::Test {
 protected:
  RocksDbOptions options() const {
    RocksDbOptions made;
    made.directory = directory_.path() / "db";
    return made;
  }
  test::TempDirectory directory_;
};

TEST_F(RocksDbEngine, KeepsWhatWasCommitted) {
  {
    auto engine = open_rocksdb_engine(options());
    ASSERT_TRUE(engine) << engine.error().message;
    Batch batch;
    batch.put("B", "record");
    batch.put("D", "body");
    ASSERT_TRUE((*engine)->commit(batch, {}, Durability::kSynced));
  }
  auto engine = open_rocksdb_engine(options());
  ASSERT_TRUE(engine);
  EXPECT_EQ((*engine)->get("B").value(), "record");
  EXPECT_EQ((*engine)->get("D").value(), "body");
}

TEST_F(RocksDbEngine, ShowsNothingBeforeItIsSynced) {
  auto opened = open_rocksdb_engine(options());
  ASSERT_TRUE(opened);
  Engine& engine = **opened;
  const std::vector<std::string> keys{"B1", "D1"};  // A record and a body.
  const auto commit = [&](const std::string& value) {
    Batch batch;
    for (const std::string& key : keys) batch.put(key, value);
    return engine.commit(batch, {}, Durability::kSynced);
  };
  const auto seen = [&] {
    std::vector<std::string> values;
    const auto add = [&](const auto& value) { values.push_back(value && *value ? **value : "(none)"); };
    const auto many = engine.get_many(keys);
    const auto snapshot = engine.snapshot();
    const auto cursor = engine.scan({});
    for (std::size_t i = 0; i < keys.size(); ++i) {
      add(engine.get(keys[i]));
      add(engine.get(keys[i], snapshot.get()));
      values.push_back(many && (*many)[i] ? *(*many)[i] : "(none)");
      values.push_back(cursor->valid() ? std::string(cursor->value()) : "(none)");
      if (cursor->valid()) cursor->next();
    }
    return values;
  };
  ASSERT_TRUE(commit("old"));
  std::promise<void> applied, synced;
  failpoint::on_hit("engine.before_sync", [&]() -> Status {
    applied.set_value();
    synced.get_future().wait();
    return {};
  });
  auto committed = std::async(std::launch::async, [&] { return commit("new"); });
  applied.get_future().wait();
  EXPECT_THAT(seen(), testing::Each("old"));
  EXPECT_TRUE(engine.reclaim({}));  // Tables show no more than memory does.
  EXPECT_THAT(seen(), testing::Each("old"));
  const auto before = engine.snapshot();
  synced.set_value();
  EXPECT_TRUE(committed.get());
  failpoint::clear();
  EXPECT_THAT(seen(), testing::Each("new"));
  EXPECT_EQ(engine.get("B1", before.get())->value(), "old");
}

TEST_F(RocksDbEngine, ASecondOpenSaysWhoHoldsTheStore) {
  auto first = open_rocksdb_engine(options());
  ASSERT_TRUE(first);
  const auto second = open_rocksdb_engine(options());
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, ErrorCode::kUnavailable);
  EXPECT_NE(second.error().message.find(options().directory), std::string::npos) << second.error().message;
  EXPECT_NE(second.error().message.find("this process"), std::string::npos) << second.error().message;
  EXPECT_FALSE(second.error().hint.empty());
}

TEST_F(RocksDbEngine, AnotherProcessThatHoldsTheStoreIsNamed) {
  // The child opens the store, says so, and holds it until the pipe closes.
  int ready[2], release[2];
  ASSERT_EQ(::pipe(ready), 0);
  ASSERT_EQ(::pipe(release), 0);
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    ::close(release[1]);
    auto engine = open_rocksdb_engine(options());
    char byte = engine ? 'y' : 'n';
    if (::write(ready[1], &byte, 1) != 1) ::_exit(1);
    while (::read(release[0], &byte, 1) > 0) {}
    ::_exit(0);
  }
  ::close(release[0]);
  char byte = 0;
  ASSERT_EQ(::read(ready[0], &byte, 1), 1);
  ASSERT_EQ(byte, 'y');
  const auto second = open_rocksdb_engine(options());
  ::close(release[1]);
  int status = 0;
  ::waitpid(child, &status, 0);
  ::close(ready[0]);
  ::close(ready[1]);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, ErrorCode::kUnavailable);
  EXPECT_NE(second.error().message.find("process " + std::to_string(child)), std::string::npos)
      << second.error().message;
  EXPECT_TRUE(open_rocksdb_engine(options())) << "free again when that process has gone";
}

TEST_F(RocksDbEngine, AMissingStoreIsNotMadeUnlessAsked) {
  RocksDbOptions made = options();
  made.create_if_missing = false;
  const auto missing = open_rocksdb_engine(made);
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, ErrorCode::kNotFound);
  made.create_if_missing = true;
  made.read_only = true;
  EXPECT_FALSE(open_rocksdb_engine(made));
  EXPECT_FALSE(std::filesystem::exists(made.directory)) << "nothing was made";
}

TEST_F(RocksDbEngine, ReadOnlyReadsBesideAWriterAndRefusesWrites) {
  auto writer = open_rocksdb_engine(options());
  ASSERT_TRUE(writer);
  Batch batch;
  batch.put("B", "1");
  ASSERT_TRUE((*writer)->commit(batch, {}, Durability::kSynced));
  RocksDbOptions reading = options();
  reading.read_only = true;
  auto reader = open_rocksdb_engine(reading);
  ASSERT_TRUE(reader) << reader.error().message;
  EXPECT_EQ((*reader)->get("B").value(), "1");
  const Status refused = (*reader)->commit(batch, {}, Durability::kSynced);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kUnavailable);
}

TEST_F(RocksDbEngine, APathThatCannotBeADirectoryIsRefused) {
  const auto file = directory_.path() / "file";
  std::ofstream(file) << "x";
  for (const std::filesystem::path& bad :
       {file, file / "below", std::filesystem::path("/proc/st8-cannot-be-here/db")}) {
    RocksDbOptions made;
    made.directory = bad;
    const auto engine = open_rocksdb_engine(made);
    ASSERT_FALSE(engine) << bad;
    EXPECT_EQ(engine.error().code, ErrorCode::kUnavailable) << engine.error().message;
    EXPECT_NE(engine.error().message.find(bad.string()), std::string::npos) << engine.error().message;
  }
}

TEST_F(RocksDbEngine, DamagedFilesAreReportedNotServed) {
  {
    auto engine = open_rocksdb_engine(options());
    ASSERT_TRUE(engine);
    for (int i = 0; i < 200; ++i) {
      Batch batch;
      batch.put("D" + std::to_string(i), std::string(2000, static_cast<char>('a' + i % 26)));
      ASSERT_TRUE((*engine)->commit(batch, {}, Durability::kBuffered));
    }
    ASSERT_TRUE((*engine)->reclaim({}));
  }
  int flipped = 0;
  for (const auto& file : std::filesystem::directory_iterator(options().directory)) {
    if (file.path().extension() != ".sst") continue;
    std::fstream bytes(file.path(), std::ios::in | std::ios::out | std::ios::binary);
    bytes.seekg(40);
    const char byte = static_cast<char>(bytes.get());
    bytes.seekp(40);
    bytes.put(static_cast<char>(byte ^ 0x20));
    ++flipped;
  }
  ASSERT_GT(flipped, 0);
  auto engine = open_rocksdb_engine(options());
  ASSERT_TRUE(engine) << engine.error().message;
  auto cursor = (*engine)->scan({});
  while (cursor->valid()) cursor->next();
  ASSERT_FALSE(cursor->status());
  EXPECT_EQ(cursor->status().error().code, ErrorCode::kCorrupt) << cursor->status().error().message;
  std::vector<std::string> keys;
  for (int i = 0; i < 200; ++i) keys.push_back("D" + std::to_string(i));
  const auto many = (*engine)->get_many(keys);
  ASSERT_FALSE(many);
  EXPECT_EQ(many.error().code, ErrorCode::kCorrupt) << many.error().message;
}

TEST_F(RocksDbEngine, GivesDiskSpaceBack) {
  auto engine = open_rocksdb_engine(options());
  ASSERT_TRUE(engine);
  std::mt19937_64 random(1);
  Batch erase;
  for (int i = 0; i < 64; ++i) {
    Batch batch;
    std::string noise(256 * 1024, '\0');
    for (char& c : noise) c = static_cast<char>(random());
    batch.put("D" + std::to_string(i), noise);
    erase.erase("D" + std::to_string(i));
    ASSERT_TRUE((*engine)->commit(batch, {}, Durability::kBuffered));
  }
  ASSERT_TRUE((*engine)->reclaim({KeyRange::prefix("D")}));
  const std::uint64_t full = (*engine)->stats().disk_bytes;
  EXPECT_GT(full, 16u << 20);
  ASSERT_TRUE((*engine)->commit(erase, {}, Durability::kSynced));
  ASSERT_TRUE((*engine)->reclaim({KeyRange::prefix("D")}));
  EXPECT_LT((*engine)->stats().disk_bytes, full / 4);
}

// A table that nothing else overlaps reaches the lowest level without being rewritten; giving space back must pack it all the same.
TEST_F(RocksDbEngine, PacksWhatWasWrittenOnce) {
  auto engine = open_rocksdb_engine(options());
  ASSERT_TRUE(engine);
  std::mt19937_64 random(1);
  std::size_t bytes = 0;
  for (int i = 0; i < 1000; ++i) {
    // Random hexadecimal digits: four bits of eight, to a packer that counts digits; nothing repeats.
    std::string digits(1000, '\0');
    for (char& c : digits) c = "0123456789abcdef"[random() % 16];
    Batch batch;
    for (const char table : {'D', 'R'}) {
      batch.put(table + std::to_string(i), digits);
      bytes += digits.size();
    }
    ASSERT_TRUE((*engine)->commit(batch, {}, Durability::kBuffered));
  }
  ASSERT_TRUE((*engine)->reclaim({}));
  EXPECT_LT((*engine)->stats().disk_bytes, bytes * 6 / 10);
  const auto value = (*engine)->get("D7");
  ASSERT_TRUE(value);
  EXPECT_TRUE(value->has_value());
}

std::string noise_of(std::mt19937_64& random, std::size_t bytes) {
  std::string noise(bytes, '\0');
  for (char& c : noise) c = static_cast<char>(random());
  return noise;
}
std::string body_key(int path, std::uint64_t revision) {
  std::string digits = std::to_string(path);
  digits.insert(0, 6 - digits.size(), '0');
  return keyspace::blob_key({1}, "team/" + digits, RevisionNumber{revision});
}

TEST_F(RocksDbEngine, AReadOfOneBodyUnpacksFewKilobytes) {
  constexpr int kPaths = 4'000, kReads = 100;
  {
    auto engine = open_rocksdb_engine(options());
    ASSERT_TRUE(engine);
    std::mt19937_64 random(1);
    Batch batch;
    for (int path = 0; path < kPaths; ++path) batch.put(body_key(path, 1), noise_of(random, 1'000));
    ASSERT_TRUE((*engine)->commit(batch, {}, Durability::kSynced));
    ASSERT_TRUE((*engine)->reclaim({}));
  }
  auto engine = open_rocksdb_engine(options());
  ASSERT_TRUE(engine);
  const auto cached = [&] {
    std::istringstream lines((*engine)->stats().detail);
    std::string name;
    std::uint64_t value = 0;
    while (lines >> name >> value && name != "rocksdb_block_cache_bytes") {}
    return value;
  };
  ASSERT_TRUE(*(*engine)->get(body_key(0, 1)));  // With it comes what is read once.
  const std::uint64_t before = cached();
  for (int i = 1; i <= kReads; ++i) ASSERT_TRUE(*(*engine)->get(body_key(i * (kPaths / kReads) - 1, 1)));
  EXPECT_LE(cached() - before, kReads * std::uint64_t{12'000});
}

TEST_F(RocksDbEngine, VersionsOfOnePathPackAgainstEachOther) {
  constexpr int kPaths = 400, kVersions = 16;
  auto engine = open_rocksdb_engine(options());
  ASSERT_TRUE(engine);
  std::mt19937_64 random(1);
  Batch batch;
  for (int path = 0; path < kPaths; ++path) {
    const std::string body = noise_of(random, 1'000);
    for (std::uint64_t version = 1; version <= kVersions; ++version)
      batch.put(body_key(path, version), body + noise_of(random, 8));
  }
  ASSERT_TRUE((*engine)->commit(batch, {}, Durability::kSynced));
  ASSERT_TRUE((*engine)->reclaim({}));
  EXPECT_LE((*engine)->stats().disk_bytes, kPaths * std::uint64_t{1'800}) << "each path's text should be there once";
}

std::uint64_t statistic(const Engine& engine, std::string_view wanted) {
  std::istringstream lines(engine.stats().detail);
  std::string name;
  std::uint64_t value = 0;
  while (lines >> name >> value) {
    if (name == wanted) return value;
  }
  ADD_FAILURE() << "there is no " << wanted;
  return 0;
}

TEST_F(RocksDbEngine, GivingSpaceBackRestsWhileOthersWrite) {
  auto engine = open_rocksdb_engine(options());
  ASSERT_TRUE(engine);
  std::mt19937_64 random(1);
  std::uint64_t revision = 0;
  const auto reclaim = [&] {
    ++revision;
    Batch batch;
    for (int path = 0; path < 4'000; ++path) batch.put(body_key(path, revision), noise_of(random, 1'000));
    ASSERT_TRUE((*engine)->commit(batch, {}, Durability::kBuffered));
    ASSERT_TRUE((*engine)->reclaim({KeyRange::prefix("D")}));
  };
  for (int i = 0; i < 3; ++i) reclaim();
  EXPECT_EQ(statistic(**engine, "rocksdb_reclaim_rests_total"), 0u) << "nobody wrote";

  std::atomic<bool> stop{false};
  std::atomic<int> refused{0};
  std::thread writer([&] {
    for (int i = 0; !stop; ++i) {
      Batch batch;
      batch.put("B" + std::to_string(i % 100), "x");
      if (!(*engine)->commit(batch, {}, Durability::kBuffered)) ++refused;
    }
  });
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (statistic(**engine, "rocksdb_reclaim_rests_total") == 0 && std::chrono::steady_clock::now() < deadline)
    reclaim();
  stop = true;
  writer.join();
  EXPECT_GT(statistic(**engine, "rocksdb_reclaim_rests_total"), 0u);
  EXPECT_EQ(refused, 0);
}

// JSON-like text that packs by its words: LZ4 takes well more room for it than zstd.
std::string words_of(std::mt19937_64& random, std::size_t bytes) {
  std::string text;
  while (text.size() < bytes) text += std::to_string(random() % 100'000'000) + "\": ";
  return text;
}

TEST_F(RocksDbEngine, PacksLightlyWhileMuchIsWrittenAndTightlyWhenAskedTo) {
  RocksDbOptions busy = options();
  busy.write_buffer_bytes = 256u << 10;
  busy.light_merges_bytes_per_second = 1;
  RocksDbOptions calm = busy;
  calm.light_merges_bytes_per_second = std::uint64_t{1} << 60;
  calm.directory += "-calm";
  auto lightly = open_rocksdb_engine(busy);
  auto tightly = open_rocksdb_engine(calm);
  ASSERT_TRUE(lightly);
  ASSERT_TRUE(tightly);
  EXPECT_EQ(statistic(**lightly, "rocksdb_merges_light"), 0u) << "nothing was written yet";
  std::mt19937_64 random(1);
  const auto merged = [](const Engine& engine) { return statistic(engine, "rocksdb_compaction_written_bytes_total"); };
  // Until both have merged a good deal.
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(120);
  std::uint64_t revision = 0;
  while ((merged(**lightly) < (8u << 20) || merged(**tightly) < (8u << 20)) &&
         std::chrono::steady_clock::now() < deadline) {
    ++revision;
    Batch batch;
    for (int i = 0; i < 200; ++i)
      batch.put(body_key(static_cast<int>(random() % 4'000), revision), words_of(random, 1'000));
    ASSERT_TRUE((*lightly)->commit(batch, {}, Durability::kBuffered));
    ASSERT_TRUE((*tightly)->commit(batch, {}, Durability::kBuffered));
  }
  ASSERT_GE(merged(**lightly), 8u << 20);
  EXPECT_EQ(statistic(**lightly, "rocksdb_merges_light"), 1u);
  EXPECT_EQ(statistic(**tightly, "rocksdb_merges_light"), 0u);
  EXPECT_GT(statistic(**lightly, "rocksdb_sst_bytes"), statistic(**tightly, "rocksdb_sst_bytes") * 11 / 10);

  ASSERT_TRUE((*lightly)->reclaim({}));
  ASSERT_TRUE((*tightly)->reclaim({}));
  EXPECT_EQ(statistic(**lightly, "rocksdb_merges_light"), 0u);
  EXPECT_LT(statistic(**lightly, "rocksdb_sst_bytes"), statistic(**tightly, "rocksdb_sst_bytes") * 21 / 20)
      << "giving space back packs all tightly";
  tightly->reset();
  std::filesystem::remove_all(calm.directory);
}

TEST_F(RocksDbEngine, CountsItsNewestFiles) {
  auto engine = open_rocksdb_engine(options());
  ASSERT_TRUE(engine);
  EXPECT_EQ(statistic(**engine, "rocksdb_level0_files"), 0u);
  std::mt19937_64 random(1);
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  for (int i = 0; statistic(**engine, "rocksdb_level0_files") == 0 && std::chrono::steady_clock::now() < deadline;
       ++i) {
    Batch batch;
    batch.put(body_key(i, 1), noise_of(random, 256 * 1024));
    ASSERT_TRUE((*engine)->commit(batch, {}, Durability::kBuffered));
  }
  EXPECT_GT(statistic(**engine, "rocksdb_level0_files"), 0u);
}

TEST_F(RocksDbEngine, SaysItsStatisticsAsNamesAndNumbers) {
  auto engine = open_rocksdb_engine(options());
  ASSERT_TRUE(engine);
  std::istringstream lines((*engine)->stats().detail);
  std::string name;
  std::uint64_t value = 0;
  std::set<std::string> names;
  while (lines >> name >> value) EXPECT_TRUE(names.insert(name).second) << name;
  EXPECT_TRUE(lines.eof());
  EXPECT_TRUE(names.contains("rocksdb_block_cache_bytes"));
  EXPECT_TRUE(names.contains("rocksdb_wal_bytes"));
}

TEST_F(RocksDbEngine, KeepsFewFilesOverManyOpens) {
  for (int i = 0; i < 12; ++i) {
    auto engine = open_rocksdb_engine(options());
    ASSERT_TRUE(engine);
    Batch batch;
    batch.put("B" + std::to_string(i), "x");
    ASSERT_TRUE((*engine)->commit(batch, {}, Durability::kSynced));
  }
  int logs = 0, all = 0;
  for (const auto& file : std::filesystem::directory_iterator(options().directory)) {
    ++all;
    if (file.path().filename().string().starts_with("LOG")) ++logs;
  }
  EXPECT_LE(logs, 3);
  EXPECT_LE(all, 30);
}

}  // namespace
}  // namespace st8::state
