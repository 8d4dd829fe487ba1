// Runs engine_writer over a disk that fails or forgets, and holds what is found afterwards against what was acknowledged.
#pragma once

#include <csignal>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <iterator>
#include <sstream>
#include <vector>

#include "st8/state/engine.h"
#include "support/programs/engine_writer.h"
#include "support/run_program.h"
#include "support/sync_fault.h"
#include "support/temp_directory.h"

namespace st8::test {

#ifdef ST8_SYNC_FAULT_LIBRARY

struct EngineRun {
  std::uint64_t acked = 0;      // The last number acknowledged.
  std::uint64_t attempted = 0;  // The last number tried: one behind the last that was answered.
  bool unknown = false, refused = false, done = false;
  bool fired = false;
  ProgramEnd end;
};

inline EngineRun run_engine_writer(const std::filesystem::path& directory, int commits, const std::string& faults,
                                   const std::string& match = "", const std::string& mode = "") {
  const std::string report = directory.string() + ".report";
  std::filesystem::remove(report);
  EngineRun run;
  std::vector<std::string> program{std::string(ST8_BIN_DIR) + "/st8_engine_writer", directory.string(),
                                   std::to_string(commits), "1"};
  if (!mode.empty()) program.push_back(mode);
  run.end = run_program(program, sync_fault_environment(directory.string(), faults, report, match));
  std::istringstream lines(run.end.output);
  std::string line;
  while (std::getline(lines, line)) {
    std::istringstream words(line);
    std::string word;
    std::uint64_t number = 0;
    words >> word >> number;
    if (word == "acked") run.acked = number;
    if (word == "acked" || word == "unknown") run.attempted = number;
    run.unknown = run.unknown || word == "unknown";
    run.refused = run.refused || word == "refused";
    run.done = run.done || word == "done";
  }
  if (!run.done) ++run.attempted;
  std::ifstream told(report);
  const std::string text{std::istreambuf_iterator<char>(told), {}};
  run.fired = text.find("fired=none") == std::string::npos;
  return run;
}

// acknowledged <= recovered <= attempted, and what is recovered is whole.
inline std::uint64_t check_recovered(const std::filesystem::path& directory, std::uint64_t acked,
                                     std::uint64_t attempted, const std::string& where) {
  state::RocksDbOptions options;
  options.directory = directory;
  auto engine = state::open_rocksdb_engine(options);
  EXPECT_TRUE(engine) << where << ": " << (engine ? "" : engine.error().message);
  if (!engine) return 0;
  const auto current = (*engine)->get("N");
  EXPECT_TRUE(current) << where;
  const std::uint64_t recovered = current && *current ? std::stoull(**current) : 0;
  EXPECT_GE(recovered, acked) << where << ": an acknowledged commit is lost";
  EXPECT_LE(recovered, attempted) << where << ": something that was never tried is there";
  std::uint64_t found = 0;
  const auto cursor = (*engine)->scan(state::KeyRange::prefix("D"));
  for (; cursor->valid(); cursor->next(), ++found) {
    const std::uint64_t number = std::stoull(std::string(cursor->key().substr(1)));
    EXPECT_TRUE(number <= recovered && number + 20 > recovered) << where << ": body " << number << " at " << recovered;
    EXPECT_EQ(cursor->value(), engine_writer_body(number)) << where;
  }
  EXPECT_TRUE(cursor->status()) << where;
  EXPECT_EQ(found, std::min<std::uint64_t>(recovered, 20)) << where << ": half a commit";
  for (std::uint64_t slot = 0; slot < 7 && recovered >= 7; ++slot) {
    const auto value = (*engine)->get("T" + std::to_string(slot));
    EXPECT_TRUE(value && *value) << where;
    if (value && *value) {
      EXPECT_EQ(std::stoull(**value), recovered - (recovered + 7 - slot) % 7) << where;
    }
  }
  return recovered;
}

// Power is lost at every `step`th sync, on one directory that lives through all of it, until a run meets no fault.
inline void expect_survives_power_loss_at_every_sync(const std::string& more, int commits, int step,
                                                     const std::string& mode = "") {
  TempDirectory temp;
  const auto directory = temp.path() / "db";
  std::uint64_t acked = 0, rounds = 0;
  for (int at = 1;; at += step) {
    const std::string where = "drop@" + std::to_string(at) + " " + more;
    const EngineRun run = run_engine_writer(directory, commits, more + "drop@" + std::to_string(at), "", mode);
    ASSERT_FALSE(run.end.output.starts_with("closed")) << where << ": " << run.end.output;
    ASSERT_EQ(run.end.signal, run.fired ? SIGKILL : 0) << where << ": " << run.end.output;
    const std::uint64_t known = std::max(acked, run.acked);
    acked = check_recovered(directory, known, std::max(run.attempted, known + 1), where);
    if (testing::Test::HasFailure()) return;
    if (!run.fired) break;
    ++rounds;
    ASSERT_LT(at, 10'000) << "the run never completes";
  }
  EXPECT_GE(rounds, static_cast<std::uint64_t>(commits / step)) << "fewer syncs than commits";
}

// Tables, the manifest and the rest are written behind commits: an error there may refuse commits, or be passed over.
inline void expect_survives_failures_in_the_background(std::initializer_list<const char*> matches,
                                                       std::initializer_list<const char*> hits) {
  for (const char* match : matches) {
    for (const char* kind : {"fail", "nospace"}) {
      for (const char* at : hits) {
        TempDirectory temp;
        const auto directory = temp.path() / "db";
        ASSERT_TRUE(run_engine_writer(directory, 5, "").done);
        const std::string fault = std::string(kind) + "@" + at;
        const std::string where = fault + " on files like \"" + match + "\"";
        const EngineRun run = run_engine_writer(directory, 90, fault, match);
        EXPECT_EQ(run.end.signal, 0) << where << ": " << run.end.output;
        const std::uint64_t known = std::max<std::uint64_t>(run.acked, 5);
        check_recovered(directory, known, std::max(run.attempted, known), where);
      }
    }
  }
}

#endif  // ST8_SYNC_FAULT_LIBRARY

}  // namespace st8::test
