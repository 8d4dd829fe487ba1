// A store with records of every kind, and ways to damage them one by one and see that fsck names each.
#pragma once

#include <random>
#include <set>

#include "codec/records.h"
#include "engine/keyspace.h"
#include "maintenance/backup.h"
#include "maintenance/fsck.h"
#include "support/store_fixture.h"

namespace st8::state::test {

using keyspace::Table;

// A store of every kind of record, over the engine in memory.
class Fsck : public testing::Test {
 protected:
  Fsck() {
    Documents many;
    for (int i = 0; i < 120; ++i) many["app/k" + std::to_string(1000 + i)] = "value " + std::to_string(i);
    EXPECT_TRUE(harness.apply(many));
    for (int i = 0; i < 12; ++i) {
      EXPECT_TRUE(
          harness.apply({{"app/k1005", "changed " + std::to_string(i)}, {"app/k1100", "too " + std::to_string(i)}}));
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
  // Each record of these tables (empty: all), or every so manyth.
  std::map<std::string, std::string> records(std::string_view tables = "", std::size_t every = 1) {
    std::map<std::string, std::string> found;
    std::size_t met = 0;
    const auto cursor = engine().scan({});
    for (; cursor->valid(); cursor->next()) {
      const bool wanted = tables.empty() || tables.find(cursor->key().front()) != std::string_view::npos;
      if (wanted && met++ % every == 0) found.emplace(cursor->key(), cursor->value());
    }
    return found;
  }
  void put(const std::string& engine_key, const std::optional<std::string>& value) {
    Batch batch;
    if (value)
      batch.put(engine_key, *value);
    else
      batch.erase(engine_key);
    ASSERT_TRUE(engine().commit(batch, {}, Durability::kBuffered));
  }
  static bool names(const FsckReport& report, std::string_view object) {
    for (const FsckProblem& problem : report.problems) {
      if (problem.object.find(object) != std::string::npos && !problem.problem.empty() && !problem.affects.empty())
        return true;
    }
    return false;
  }
  static std::string told(const FsckReport& report) {
    std::string all;
    for (const FsckProblem& problem : report.problems)
      all += "\n  " + problem.name_space + " | " + problem.object + " | " + problem.problem + " | " + problem.affects;
    return all.empty() ? "\n  nothing" : all;
  }
  // The document or first key of a body's key.
  static std::string path_of(const std::string& engine_key) {
    const std::size_t begin = engine_key.front() == 'T' ? 6 : 5;
    return engine_key.substr(begin, engine_key.size() - 9 - begin);
  }
  static std::uint64_t number_of(const std::string& engine_key) {
    return keyspace::read_u64(std::string_view(engine_key).substr(engine_key.size() - 8));
  }

  void damage_documents(std::size_t every) {
    for (const auto& [engine_key, value] : records("D", every)) {
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
      for (const std::optional<std::string>& wrong : {std::optional<std::string>{}, std::optional<std::string>{""},
                                                      std::optional(value.substr(1)), std::optional(value + "x")}) {
        put(engine_key, wrong);
        ASSERT_TRUE(names(fsck(), object)) << object;
      }
      put(engine_key, value);
    }
    EXPECT_TRUE(fsck().clean());
  }

  void damage_nodes(std::size_t every) {
    std::size_t checked = 0;
    for (const auto& [engine_key, value] : records("T", every)) {
      const std::string object = "tree node " + path_of(engine_key) + "@";
      const std::string level = "of level " + std::to_string(static_cast<int>(engine_key[5]));
      // Every byte of some, a few of the others: a run of fsck a byte.
      const std::size_t step = checked++ % 12 != 0 ? 97 : every > 1 ? 11 : 1;
      for (std::size_t at = 0; at < value.size(); at += step) {
        std::string damaged = value;
        damaged[at] = static_cast<char>(damaged[at] ^ (1 << at % 8));
        put(engine_key, damaged);
        const FsckReport report = fsck();
        ASSERT_FALSE(report.clean()) << object << " byte " << at;
        // A place that is not hashed (where a body lies) leads to a body that is missing or another: then that one is named.
        ASSERT_TRUE(names(report, object) || names(report, "blob ") || names(report, "tree node "))
            << object << " byte " << at << told(report);
      }
      for (const std::optional<std::string>& wrong : {std::optional<std::string>{}, std::optional<std::string>{""},
                                                      std::optional(value.substr(0, value.size() / 2))}) {
        put(engine_key, wrong);
        const FsckReport report = fsck();
        ASSERT_TRUE(names(report, object)) << object << told(report);
        ASSERT_TRUE(names(report, level)) << level << told(report);
      }
      put(engine_key, value);
    }
    EXPECT_GT(checked, 1u);
    EXPECT_TRUE(fsck().clean());
  }

  void damage_revisions(std::size_t every) {
    std::size_t passed_over = 0;
    for (const auto& [engine_key, value] : records("R", every)) {
      const std::uint64_t number = number_of(engine_key);
      const std::string object = "revision " + std::to_string(number);
      for (std::size_t at = 0; at < value.size(); ++at) {
        for (int bit = 0; bit < 8; ++bit) {
          // What is beside the hash bit by bit, then a bit of every third byte.
          if (at > 12 && (at % 3 != 0 || bit != static_cast<int>(at % 8))) continue;
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
          ASSERT_TRUE(before->revision.pruned != after->revision.pruned || before->is_copy != after->is_copy)
              << object << " byte " << at << " bit " << bit << told(report);
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

  StoreHarness harness{EngineKind::kMemory};
};

}  // namespace st8::state::test
