// fsck: every stored body and record damaged in turn, through the engine, and each damage named.
#include <filesystem>
#include <fstream>
#include <random>
#include <set>

#include "codec/records.h"
#include "engine/keyspace.h"
#include "maintenance/backup.h"
#include "maintenance/fsck.h"
#include "support/store_fixture.h"

namespace st8::state::test {
namespace {

using keyspace::Table;

// A store of every kind of record, over the engine in memory.
class Fsck : public testing::Test {
 protected:
  Fsck() {
    Documents many;
    for (int i = 0; i < 120; ++i) many["app/k" + std::to_string(1000 + i)] = "value " + std::to_string(i);
    EXPECT_TRUE(harness.apply(many));
    for (int i = 0; i < 12; ++i) {
      EXPECT_TRUE(harness.apply({{"app/k1005", "changed " + std::to_string(i)}, {"app/k1100", "too " + std::to_string(i)}}));
    }
    EXPECT_TRUE(harness.unset({"app/k1007"}));
    EXPECT_TRUE(harness.copy("3"));
    EXPECT_TRUE(harness.create_branch("dev"));
    EXPECT_TRUE(harness.apply({{"app/new", "on dev"}}, "dev"));
    EXPECT_TRUE(harness.put_checkpoint("good", "5"));
    ApplyRequest keyed = StoreHarness::apply_request({{"x", "y"}}, "main", "other");
    keyed.context.idempotency = IdempotencyKey{"retry", Hash::of("request")};
    EXPECT_TRUE(harness->apply(keyed));
    harness.close();
  }

  Engine& engine() { return *harness.memory_engine(); }
  FsckReport fsck() {
    auto report = maintenance::fsck_engine(engine(), {});
    EXPECT_TRUE(report) << why(report);
    return report ? *report : FsckReport{};
  }
  std::map<std::string, std::string> records(std::string_view tables = "") {
    std::map<std::string, std::string> found;
    const auto cursor = engine().scan({});
    for (; cursor->valid(); cursor->next()) {
      if (tables.empty() || tables.find(cursor->key().front()) != std::string_view::npos) found.emplace(cursor->key(), cursor->value());
    }
    return found;
  }
  void put(const std::string& engine_key, const std::optional<std::string>& value) {
    Batch batch;
    if (value) batch.put(engine_key, *value);
    else batch.erase(engine_key);
    ASSERT_TRUE(engine().commit(batch, {}, Durability::kBuffered));
  }
  static bool names(const FsckReport& report, std::string_view object) {
    for (const FsckProblem& problem : report.problems) {
      if (problem.object.find(object) != std::string::npos && !problem.problem.empty() && !problem.affects.empty()) return true;
    }
    return false;
  }
  static std::string told(const FsckReport& report) {
    std::string all;
    for (const FsckProblem& problem : report.problems) all += "\n  " + problem.name_space + " | " + problem.object + " | " + problem.problem + " | " + problem.affects;
    return all.empty() ? "\n  nothing" : all;
  }
  // The document or first key of a body's key.
  static std::string path_of(const std::string& engine_key) {
    const std::size_t begin = engine_key.front() == 'T' ? 6 : 5;
    return engine_key.substr(begin, engine_key.size() - 9 - begin);
  }
  static std::uint64_t number_of(const std::string& engine_key) { return keyspace::read_u64(std::string_view(engine_key).substr(engine_key.size() - 8)); }

  StoreHarness harness{EngineKind::kMemory};
};

TEST_F(Fsck, FindsASoundStoreCleanAndCountsIt) {
  const FsckReport report = fsck();
  EXPECT_TRUE(report.clean()) << told(report);
  EXPECT_EQ(report.namespaces, 2u);
  EXPECT_EQ(report.revisions, 17u);
  EXPECT_EQ(report.blobs, 120u + 24 + 1 + 1);
  EXPECT_GT(report.nodes, 10u);
}

TEST_F(Fsck, NamesEveryDamagedDocument) {
  for (const auto& [engine_key, value] : records("D")) {
    if (value.front() == '\0') continue;  // A deletion's mark has no content to check.
    const std::string object = "blob " + path_of(engine_key) + "@" + std::to_string(number_of(engine_key));
    for (std::size_t at = 0; at < value.size(); at += 3) {
      std::string damaged = value;
      damaged[at] = static_cast<char>(damaged[at] ^ 0x10);
      put(engine_key, damaged);
      const FsckReport report = fsck();
      ASSERT_EQ(report.problem_count, 1u) << object << " byte " << at << told(report);
      ASSERT_TRUE(names(report, object)) << object << " byte " << at << told(report);
    }
    for (const std::optional<std::string>& wrong : {std::optional<std::string>{}, std::optional<std::string>{""}, std::optional(value.substr(1)), std::optional(value + "x")}) {
      put(engine_key, wrong);
      ASSERT_TRUE(names(fsck(), object)) << object;
    }
    put(engine_key, value);
  }
  EXPECT_TRUE(fsck().clean());
}

TEST_F(Fsck, NamesEveryDamagedNode) {
  std::size_t checked = 0;
  for (const auto& [engine_key, value] : records("T")) {
    const std::string object = "tree node " + path_of(engine_key) + "@";
    const std::string level = "of level " + std::to_string(static_cast<int>(engine_key[5]));
    // Every byte of some, a few of the others: a run of fsck a byte.
    const std::size_t step = checked++ % 12 == 0 ? 1 : 97;
    for (std::size_t at = 0; at < value.size(); at += step) {
      std::string damaged = value;
      damaged[at] = static_cast<char>(damaged[at] ^ (1 << at % 8));
      put(engine_key, damaged);
      const FsckReport report = fsck();
      ASSERT_FALSE(report.clean()) << object << " byte " << at;
      // A place that is not hashed (where a body lies) leads to a body that is missing or another: then that one is named.
      ASSERT_TRUE(names(report, object) || names(report, "blob ") || names(report, "tree node ")) << object << " byte " << at << told(report);
    }
    for (const std::optional<std::string>& wrong : {std::optional<std::string>{}, std::optional<std::string>{""}, std::optional(value.substr(0, value.size() / 2))}) {
      put(engine_key, wrong);
      const FsckReport report = fsck();
      ASSERT_TRUE(names(report, object)) << object << told(report);
      ASSERT_TRUE(names(report, level)) << level << told(report);
    }
    put(engine_key, value);
  }
  EXPECT_GT(checked, 20u);
  EXPECT_TRUE(fsck().clean());
}

TEST_F(Fsck, NamesEveryDamagedRevision) {
  std::size_t passed_over = 0;
  for (const auto& [engine_key, value] : records("R")) {
    const std::uint64_t number = number_of(engine_key);
    const std::string object = "revision " + std::to_string(number);
    for (std::size_t at = 0; at < value.size(); ++at) {
      for (int bit = 0; bit < 8; ++bit) {
        if (at > 8 && bit != static_cast<int>(at % 8)) continue;  // The unhashed numbers bit by bit, then a bit of each byte.
        std::string damaged = value;
        damaged[at] = static_cast<char>(damaged[at] ^ (1 << bit));
        put(engine_key, damaged);
        const FsckReport report = fsck();
        // Where the root lies is beside the hash too: then a node is missing or another, and the revision is what it affects.
        if (names(report, object) || told(report).find(" | " + object + " ") != std::string::npos) continue;
        // Two flags are beside the hash, and no more than other revisions say what they should be: that the documents were pruned,
        // and that the tree is a copy, which the next revision repeats.
        const auto before = codec::decode_revision(value, RevisionNumber{number});
        const auto after = codec::decode_revision(damaged, RevisionNumber{number});
        ASSERT_TRUE(before && after);
        ASSERT_EQ(before->revision.hash, after->revision.hash) << object << " byte " << at;
        ASSERT_TRUE(before->revision.pruned != after->revision.pruned || before->is_copy != after->is_copy) << object << " byte " << at << " bit " << bit;
        if (report.clean()) ++passed_over;
      }
    }
    put(engine_key, std::nullopt);
    ASSERT_TRUE(names(fsck(), object)) << object;
    put(engine_key, value);
  }
  EXPECT_LE(passed_over, 2u * 17) << "two flags a revision at most";
  EXPECT_TRUE(fsck().clean());
}

TEST_F(Fsck, NamesWhatIsMissing) {
  const std::map<char, std::string> objects{{'C', "counters"}, {'B', "counters"}, {'K', "counters"}, {'H', "revision "}, {'O', "operation "}};
  for (const auto& [engine_key, value] : records("CBKHO")) {
    put(engine_key, std::nullopt);
    const FsckReport report = fsck();
    EXPECT_TRUE(names(report, objects.at(engine_key.front()))) << engine_key.front() << told(report);
    put(engine_key, value);
  }
}

TEST_F(Fsck, NamesRecordsThatCannotBeRead) {
  const std::map<char, std::string> objects{{'N', "namespace"}, {'C', "counters"}, {'B', "branch "}, {'K', "checkpoint good"}, {'O', "operation "}, {'I', "idempotency key retry"}};
  for (const auto& [engine_key, value] : records("NCBKOI")) {
    for (const std::string& wrong : {std::string(), std::string("\xff"), value.substr(0, value.size() - 1), value + "x"}) {
      put(engine_key, wrong);
      const FsckReport report = fsck();
      EXPECT_TRUE(names(report, objects.at(engine_key.front()))) << engine_key.front() << told(report);
      put(engine_key, value);
    }
  }
}

TEST_F(Fsck, NamesPointersToWhatIsNotThere) {
  const auto point = [&](const std::string& engine_key, std::uint64_t revision) {
    const auto value = engine().get(engine_key).value();
    ASSERT_TRUE(value);
    auto record = codec::decode_branch(*value);
    ASSERT_TRUE(record);
    record->head = RevisionNumber{revision};
    put(engine_key, codec::encode(*record));
  };
  const std::string main = keyspace::named_key(Table::kBranch, {1}, "main");
  const auto before = engine().get(main).value();
  point(main, 99);
  FsckReport report = fsck();
  ASSERT_EQ(report.problem_count, 1u) << told(report);
  EXPECT_EQ(report.problems[0].object, "branch main");
  EXPECT_EQ(report.problems[0].name_space, "default");
  put(main, before);

  codec::CheckpointRecord checkpoint;
  checkpoint.revision = RevisionNumber{98};
  put(keyspace::named_key(Table::kCheckpoint, {1}, "good"), codec::encode(checkpoint));
  EXPECT_TRUE(names(fsck(), "checkpoint good"));
}

TEST_F(Fsck, SaysWhichRevisionsADamageTakesAlong) {
  put(keyspace::blob_key({1}, "app/k1005", RevisionNumber{4}), std::string("\1nonsense", 9));
  const FsckReport one = fsck();
  ASSERT_EQ(one.problem_count, 1u) << told(one);
  EXPECT_EQ(one.problems[0].affects, "revision 4 cannot read app/k1005");
  put(keyspace::blob_key({1}, "app/k1050", RevisionNumber{1}), std::nullopt);
  const FsckReport two = fsck();
  ASSERT_EQ(two.problem_count, 2u) << told(two);
  EXPECT_TRUE(names(two, "blob app/k1050@1")) << told(two);
  EXPECT_NE(told(two).find("revisions 1 to 16 cannot read app/k1050"), std::string::npos) << told(two);
}

TEST_F(Fsck, NamesAllDamagesOfOneTree) {
  std::size_t damaged = 0;
  for (const auto& [engine_key, value] : records("T")) {
    if (number_of(engine_key) == 1 && engine_key[5] == '\0' && keyspace::read_u64(engine_key.substr(engine_key.size() - 8)) == 1) {
      put(engine_key, "broken");
      ++damaged;
    }
  }
  ASSERT_GT(damaged, 3u);
  EXPECT_GE(fsck().problem_count, damaged) << "a node that cannot be read hides nothing beside it";
}

TEST_F(Fsck, BoundsWhatItSays) {
  for (const auto& [engine_key, value] : records("D")) put(engine_key, std::nullopt);
  // Far more revisions than there are, by one stray key.
  put(keyspace::numbered_key(Table::kRevision, {1}, UINT64_MAX - 1), "stray");
  const FsckReport report = fsck();
  EXPECT_GT(report.problem_count, 100u);
  EXPECT_LE(report.problems.size(), 1000u);
}

TEST_F(Fsck, RandomBytesAnywhereNeverEndIt) {
  std::mt19937 random(3);
  const auto all = records();
  for (int round = 0; round < 300; ++round) {
    auto victim = std::next(all.begin(), static_cast<long>(random() % all.size()));
    std::string value = victim->second;
    for (int flips = 0; flips < 4 && !value.empty(); ++flips) value[random() % value.size()] = static_cast<char>(random());
    put(victim->first, value);
    ASSERT_TRUE(maintenance::fsck_engine(engine(), {}));
    if (round % 3 != 0) put(victim->first, victim->second);  // Some stay, and gather.
  }
}

TEST_F(Fsck, CanBeCancelledAndSaysItsProgress) {
  std::uint64_t last = 0, whole = 0;
  FsckRequest request;
  request.progress = [&](std::uint64_t done, std::uint64_t total) {
    EXPECT_EQ(done, last + 1);
    last = done;
    whole = total;
  };
  ASSERT_TRUE(maintenance::fsck_engine(engine(), request));
  EXPECT_EQ(last, whole);
  EXPECT_EQ(whole, 17u);
  for (int allowed = 0; allowed < 60; ++allowed) {
    int asked = 0;
    FsckRequest cancelled;
    cancelled.cancelled = [&] { return asked++ >= allowed; };
    const auto report = maintenance::fsck_engine(engine(), cancelled);
    ASSERT_TRUE(report);
    EXPECT_TRUE(report->clean()) << "what was not looked at is no problem: " << told(*report);
  }
}

TEST_F(Fsck, LooksAtTheNamespacesAskedFor) {
  put(keyspace::blob_key({1}, "app/k1050", RevisionNumber{1}), std::nullopt);
  FsckRequest request;
  request.namespaces.push_back(ns("other"));
  const auto other = maintenance::fsck_engine(engine(), request);
  ASSERT_TRUE(other);
  EXPECT_TRUE(other->clean());
  EXPECT_EQ(other->namespaces, 1u);
  request.namespaces.push_back(ns("missing"));
  const auto missing = maintenance::fsck_engine(engine(), request);
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, ErrorCode::kNotFound);
}

TEST_F(Fsck, ABackupOfADamagedStoreIsNotRestored) {
  put(keyspace::blob_key({1}, "app/k1050", RevisionNumber{1}), std::string("\1other", 6));
  std::string stream;
  ASSERT_TRUE(maintenance::write_backup(engine(), [&](std::string_view bytes) -> Status {
    stream += bytes;
    return {};
  }));
  const std::shared_ptr<Engine> target = make_memory_engine();
  bool given = false;
  const auto restored = restore_backup(*target, [&]() -> Result<std::string> { return std::exchange(given, true) ? "" : stream; });
  ASSERT_FALSE(restored);
  EXPECT_EQ(restored.error().code, ErrorCode::kCorrupt);
  EXPECT_NE(restored.error().message.find("blob app/k1050@1"), std::string::npos) << restored.error().message;
  st8::test::ManualClock clock;
  const auto store = Store::open(std::make_unique<SharedEngine>(target), clock);
  ASSERT_FALSE(store) << "what a failed restore left must not be opened";
  EXPECT_EQ(store.error().code, ErrorCode::kCorrupt);
}

// Damage below the engine: a flipped byte in each block of the files.
TEST(FsckOnDisk, GoesOnPastBlocksThatCannotBeRead) {
  st8::test::TempDirectory directory;
  st8::test::ManualClock clock;
  RocksDbOptions options;
  options.directory = directory.path() / "db";
  {
    auto engine = open_rocksdb_engine(options);
    ASSERT_TRUE(engine);
    auto store = Store::open(std::make_unique<SharedEngine>(std::move(*engine)), clock);
    ASSERT_TRUE(store);
    std::mt19937 random(5);
    for (int i = 0; i < 60; ++i) {
      Documents documents;
      for (int n = 0; n < 10; ++n) {
        std::string content(3000, '\0');
        for (char& c : content) c = static_cast<char>('a' + random() % 26);
        documents["k" + std::to_string(random() % 300)] = content;
      }
      ASSERT_TRUE((*store)->apply(StoreHarness::apply_request(documents)));
    }
  }
  {
    auto engine = open_rocksdb_engine(options);
    ASSERT_TRUE(engine);
    ASSERT_TRUE((*engine)->reclaim({}));
  }
  std::set<std::filesystem::path> files;
  for (const auto& file : std::filesystem::directory_iterator(options.directory)) {
    if (file.path().extension() == ".sst") files.insert(file.path());
  }
  ASSERT_FALSE(files.empty());
  for (const auto& path : files) {
    for (const std::uint64_t at : {std::uint64_t{100}, std::filesystem::file_size(path) / 3}) {
      const auto flip = [&] {
        std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
        file.seekg(static_cast<std::streamoff>(at));
        const char byte = static_cast<char>(file.get());
        file.seekp(static_cast<std::streamoff>(at));
        file.put(static_cast<char>(byte ^ 4));
      };
      flip();
      auto engine = open_rocksdb_engine(options);
      if (engine) {  // Else the damage was in what every open reads, and was told there.
        const auto report = maintenance::fsck_engine(**engine, {});
        ASSERT_TRUE(report) << why(report);
        EXPECT_FALSE(report->clean()) << path << " at " << at;
        for (const FsckProblem& problem : report->problems) EXPECT_FALSE(problem.problem.empty());
      }
      if (engine) engine->reset();
      flip();
    }
  }
  auto engine = open_rocksdb_engine(options);
  ASSERT_TRUE(engine);
  const auto report = maintenance::fsck_engine(**engine, {});
  ASSERT_TRUE(report);
  EXPECT_TRUE(report->clean());
}

}  // namespace
}  // namespace st8::state::test
