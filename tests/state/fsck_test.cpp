// fsck: stored bodies and records damaged in turn, through the engine and below it, and each damage named.
#include <filesystem>
#include <fstream>
#include <utility>

#include "state/fsck_fixture.h"

namespace st8::state::test {
namespace {

TEST_F(Fsck, FindsASoundStoreCleanAndCountsIt) {
  const FsckReport report = fsck();
  EXPECT_TRUE(report.clean()) << told(report);
  EXPECT_EQ(report.namespaces, 2u);
  EXPECT_EQ(report.revisions, 17u);
  EXPECT_EQ(report.blobs, 120u + 24 + 1 + 1);
  EXPECT_GT(report.nodes, 10u);
}

TEST_F(Fsck, NamesDamagedDocuments) { damage_documents(12); }
TEST_F(Fsck, NamesDamagedNodes) { damage_nodes(10); }
TEST_F(Fsck, NamesDamagedRevisions) { damage_revisions(7); }

TEST_F(Fsck, NamesWhatIsMissing) {
  const std::map<char, std::string> objects{
      {'C', "counters"}, {'B', "counters"}, {'K', "counters"}, {'H', "revision "}, {'O', "operation "}};
  for (const auto& [engine_key, value] : records("CBKHO")) {
    put(engine_key, std::nullopt);
    const FsckReport report = fsck();
    EXPECT_TRUE(names(report, objects.at(engine_key.front()))) << engine_key.front() << told(report);
    put(engine_key, value);
  }
}

TEST_F(Fsck, NamesRecordsThatCannotBeRead) {
  const std::map<char, std::string> objects{{'N', "namespace"},  {'C', "counters"},
                                            {'B', "branch "},    {'K', "checkpoint good"},
                                            {'O', "operation "}, {'I', "idempotency key retry"}};
  for (const auto& [engine_key, value] : records("NCBKOI")) {
    for (const std::string& wrong :
         {std::string(), std::string("\xff"), value.substr(0, value.size() - 1), value + "x"}) {
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
    if (number_of(engine_key) == 1 && engine_key[5] == '\0' &&
        keyspace::read_u64(engine_key.substr(engine_key.size() - 8)) == 1) {
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
    for (int flips = 0; flips < 4 && !value.empty(); ++flips)
      value[random() % value.size()] = static_cast<char>(random());
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
  const auto restored =
      restore_backup(*target, [&]() -> Result<std::string> { return std::exchange(given, true) ? "" : stream; });
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
