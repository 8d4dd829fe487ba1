#include "maintenance/backup.h"

#include <gtest/gtest.h>
#include <map>
#include <random>

#include "engine/keyspace.h"
#include "st8/state/failpoint.h"
#include "st8/state/hash.h"
#include "st8/state/maintenance.h"
#include "support/temp_directory.h"

namespace st8::state {
namespace {

using Contents = std::map<std::string, std::string>;

Contents contents(const Engine& engine) {
  Contents found;
  const auto cursor = engine.scan({});
  for (; cursor->valid(); cursor->next()) found.emplace(cursor->key(), cursor->value());
  EXPECT_TRUE(cursor->status());
  return found;
}

void fill(Engine& engine, int records, unsigned seed, std::size_t value_bytes_max = 4000) {
  std::mt19937 random(seed);
  Batch batch;
  for (int i = 0; i < records; ++i) {
    static constexpr std::string_view kTables = "BDRTX";
    std::string value(random() % value_bytes_max, '\0');
    for (char& c : value) c = static_cast<char>(random());
    batch.put(std::string(1, kTables[random() % kTables.size()]) + std::to_string(random()), std::move(value));
  }
  ASSERT_TRUE(engine.commit(batch, {}, Durability::kSynced));
}

std::string backup(const Engine& engine, BackupReport* report = nullptr) {
  std::string stream;
  const auto made = maintenance::write_backup(engine, [&](std::string_view bytes) -> Status {
    stream += bytes;
    return {};
  });
  EXPECT_TRUE(made) << made.error().message;
  if (report != nullptr && made) *report = *made;
  return stream;
}

// Gives the stream in pieces of at most `piece` bytes.
std::function<Result<std::string>()> source_of(const std::string& stream, std::size_t piece = 1000) {
  return [&stream, piece, at = std::size_t{0}]() mutable -> Result<std::string> {
    std::string part = stream.substr(std::min(at, stream.size()), piece);
    at += part.size();
    return part;
  };
}

TEST(Backup, RestoresEveryByteIntoAnyEngine) {
  const auto memory = make_memory_engine();
  fill(*memory, 300, 1);
  BackupReport made;
  const std::string stream = backup(*memory, &made);
  EXPECT_EQ(made.records, contents(*memory).size());
  EXPECT_EQ(made.bytes, stream.size());
  EXPECT_EQ(made.sha256, Hash::of(stream).hex()) << "what sha256sum says of the file";

  test::TempDirectory directory;
  RocksDbOptions options;
  options.directory = directory.path() / "db";
  auto rocks = open_rocksdb_engine(options);
  ASSERT_TRUE(rocks);
  for (std::size_t piece : {std::size_t{7}, std::size_t{70'000}, stream.size()}) {
    const auto again = make_memory_engine();
    const auto restored = restore_backup(*again, source_of(stream, piece));
    ASSERT_TRUE(restored) << restored.error().message;
    EXPECT_EQ(contents(*again), contents(*memory));
    EXPECT_EQ(restored->sha256, made.sha256);
    EXPECT_EQ(restored->records, made.records);
    EXPECT_EQ(restored->bytes, made.bytes);
  }
  ASSERT_TRUE(restore_backup(**rocks, source_of(stream)));
  EXPECT_EQ(contents(**rocks), contents(*memory));
  EXPECT_EQ(backup(**rocks), stream) << "the stream depends on the contents alone";
}

TEST(Backup, OfAnEmptyStoreIsOne) {
  const auto empty = make_memory_engine();
  const std::string stream = backup(*empty);
  const auto again = make_memory_engine();
  ASSERT_TRUE(restore_backup(*again, source_of(stream)));
  EXPECT_TRUE(contents(*again).empty());
}

TEST(Backup, TakesOneInstantWhileWritersGoOn) {
  const auto engine = make_memory_engine();
  fill(*engine, 200, 2);
  const Contents before = contents(*engine);
  std::string stream;
  const auto made = maintenance::write_backup(*engine, [&](std::string_view bytes) -> Status {
    stream += bytes;
    Batch batch;
    batch.put("Z" + std::to_string(stream.size()), "late");
    for (const auto& [key, value] : before) batch.erase(key);
    return engine->commit(batch, {}, Durability::kBuffered);
  });
  ASSERT_TRUE(made);
  const auto again = make_memory_engine();
  ASSERT_TRUE(restore_backup(*again, source_of(stream)));
  EXPECT_EQ(contents(*again), before);
}

TEST(Backup, HoldsDocumentsOfTheLargestSize) {
  const auto engine = make_memory_engine();
  Batch batch;
  for (char c : std::string("abc")) batch.put(std::string("D") + c, std::string((16u << 20) + 1, c));
  batch.put("Dd", "small");
  ASSERT_TRUE(engine->commit(batch, {}, Durability::kSynced));
  const std::string stream = backup(*engine);
  const auto again = make_memory_engine();
  ASSERT_TRUE(restore_backup(*again, source_of(stream, 1 << 20)));
  EXPECT_EQ(contents(*again), contents(*engine));
}

TEST(Backup, ASinkThatFailsEndsIt) {
  const auto engine = make_memory_engine();
  fill(*engine, 400, 3);
  int calls = 0;
  const auto made = maintenance::write_backup(*engine, [&](std::string_view) -> Status {
    if (++calls == 3) return fail(ErrorCode::kUnavailable, "gone");
    return {};
  });
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().message, "gone");
  EXPECT_EQ(calls, 3);
}

void expect_refused(const std::string& stream, std::string_view what) {
  const auto engine = make_memory_engine();
  const auto restored = restore_backup(*engine, source_of(stream, 100'000));
  ASSERT_FALSE(restored) << what;
  EXPECT_TRUE(restored.error().code == ErrorCode::kCorrupt || restored.error().code == ErrorCode::kInvalidArgument)
      << what << ": " << restored.error().message;
  EXPECT_TRUE(contents(*engine).contains(maintenance::restoring_key()))
      << what << ": the engine must stay marked as unusable";
}

TEST(Restore, RefusesAStreamCutAnywhere) {
  const auto engine = make_memory_engine();
  fill(*engine, 12, 4, 60);
  const std::string stream = backup(*engine);
  ASSERT_LT(stream.size(), 3000u);
  for (std::size_t length = 0; length < stream.size(); ++length) {
    expect_refused(stream.substr(0, length), "cut at " + std::to_string(length));
  }
}

TEST(Restore, RefusesEveryFlippedBit) {
  const auto engine = make_memory_engine();
  fill(*engine, 8, 5, 40);
  const std::string stream = backup(*engine);
  ASSERT_LT(stream.size(), 3000u);
  for (std::size_t at = 0; at < stream.size(); ++at) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string flipped = stream;
      flipped[at] = static_cast<char>(flipped[at] ^ (1 << bit));
      expect_refused(flipped, "byte " + std::to_string(at) + " bit " + std::to_string(bit));
    }
  }
}

TEST(Restore, RefusesFramesLostRepeatedOrReordered) {
  const auto engine = make_memory_engine();
  fill(*engine, 400, 6);  // Several frames.
  const std::string stream = backup(*engine);
  // Frame borders, by the lengths that the frames state.
  std::vector<std::size_t> borders{12};
  while (borders.back() < stream.size()) {
    std::size_t length = 0;
    for (int i = 1; i <= 4; ++i)
      length = length << 8 | static_cast<unsigned char>(stream[borders.back() + static_cast<std::size_t>(i)]);
    borders.push_back(borders.back() + 5 + length + 8);
  }
  ASSERT_GE(borders.size(), 5u);
  const auto frame = [&](std::size_t i) { return stream.substr(borders[i], borders[i + 1] - borders[i]); };
  const std::string header = stream.substr(0, 12);
  std::string rest;
  for (std::size_t i = 2; i + 1 < borders.size(); ++i) rest += frame(i);
  expect_refused(header + frame(0) + rest, "second frame lost");
  expect_refused(header + frame(1) + frame(0) + rest, "two frames exchanged");
  expect_refused(header + frame(0) + frame(1) + frame(1) + rest, "a frame twice");
  expect_refused(stream + "x", "a byte behind the trailer");
  expect_refused(stream + stream, "two streams");
  expect_refused(header + frame(borders.size() - 2), "only the trailer");
  expect_refused("", "nothing");
  expect_refused("not a backup at all, but some other file that is long enough", "another file");
}

TEST(Restore, RefusesANewerVersionByName) {
  const auto engine = make_memory_engine();
  std::string stream = backup(*engine);
  stream[11] = 9;
  const auto target = make_memory_engine();
  const auto restored = restore_backup(*target, source_of(stream));
  ASSERT_FALSE(restored);
  EXPECT_EQ(restored.error().code, ErrorCode::kInvalidArgument);
  EXPECT_NE(restored.error().message.find("version 9"), std::string::npos) << restored.error().message;
}

TEST(Restore, RefusesAnEngineThatIsNotEmpty) {
  const auto engine = make_memory_engine();
  fill(*engine, 3, 7);
  const std::string stream = backup(*engine);
  const Contents before = contents(*engine);
  const auto onto = restore_backup(*engine, source_of(stream));
  ASSERT_FALSE(onto);
  EXPECT_EQ(onto.error().code, ErrorCode::kConflict);
  EXPECT_EQ(contents(*engine), before) << "nothing changed";

  const auto half = make_memory_engine();
  ASSERT_FALSE(restore_backup(*half, source_of(stream.substr(0, stream.size() / 2))));
  const auto again = restore_backup(*half, source_of(stream));
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().code, ErrorCode::kConflict);
  EXPECT_NE(again.error().message.find("earlier restore"), std::string::npos) << again.error().message;
}

TEST(Restore, PassesOnWhatTheSourceSays) {
  const auto engine = make_memory_engine();
  const auto restored =
      restore_backup(*engine, []() -> Result<std::string> { return fail(ErrorCode::kUnavailable, "the line is cut"); });
  ASSERT_FALSE(restored);
  EXPECT_EQ(restored.error().message, "the line is cut");
}

TEST(Restore, AWriteThatFailsEndsIt) {
  const auto engine = make_memory_engine();
  fill(*engine, 50, 8);
  const std::string stream = backup(*engine);
  ASSERT_TRUE(failpoint::configure("restore.before_batch=error"));
  const auto target = make_memory_engine();
  const auto restored = restore_backup(*target, source_of(stream));
  failpoint::clear();
  ASSERT_FALSE(restored);
  EXPECT_TRUE(contents(*target).contains(maintenance::restoring_key()));
}

}  // namespace
}  // namespace st8::state
