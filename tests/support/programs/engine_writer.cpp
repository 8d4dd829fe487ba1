// Commits numbered batches to a RocksDB engine, and says each number once it is durable.
//   engine_writer DIR COMMITS SEED [flush | flush-last]
// Batch i writes: record "N" = i, body "D" i = body_of(i), body "T" (i mod 7) = i, and erases body "D" i-20. Output, a line each:
// "acked I", "unknown I" (kOutcomeUnknown), "refused I" (kUnavailable), "done". All that is in memory goes into tables with "flush" in
// every third commit, behind its record and before the log's sync, with "flush-last" at the end.
#include "support/programs/engine_writer.h"

#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <unistd.h>

#include "st8/state/engine.h"
#include "st8/state/failpoint.h"

namespace {

void say(const std::string& line) {
  if (::write(STDOUT_FILENO, line.data(), line.size()) < 0) std::_Exit(3);
}

}  // namespace

int main(int count, char** arguments) {
  using namespace st8::state;
  if (count != 4 && count != 5) return 2;
  const std::string_view mode = count == 5 ? arguments[4] : "";
  RocksDbOptions options;
  options.directory = arguments[1];
  options.write_buffer_bytes = 128u << 10;  // So that flushes, new logs and compactions happen in a short run.
  options.wal_bytes_max = 256u << 10;
  auto opened = open_rocksdb_engine(options);
  if (!opened) {
    say("closed " + opened.error().message + "\n");
    return 4;
  }
  Engine& engine = **opened;
  std::uint64_t commits_begun = 0;
  if (mode == "flush") {
    st8::failpoint::on_hit("engine.before_sync", [&]() -> st8::Status {
      return ++commits_begun % 3 == 0 ? engine.reclaim({}) : st8::Status{};
    });
  }
  const auto current = engine.get("N");
  if (!current) return 5;
  const std::uint64_t first = *current ? std::strtoull((*current)->c_str(), nullptr, 10) + 1 : 1;
  const std::uint64_t commits = std::strtoull(arguments[2], nullptr, 10);
  for (std::uint64_t i = first; i < first + commits; ++i) {
    Batch batch;
    batch.put("N", std::to_string(i));
    batch.put("D" + std::to_string(i), st8::test::engine_writer_body(i));
    batch.put("T" + std::to_string(i % 7), std::to_string(i));
    if (i > 20) batch.erase("D" + std::to_string(i - 20));
    const st8::Status status = engine.commit(batch, {}, Durability::kSynced);
    const char* word = status                                                   ? "acked "
                       : status.error().code == st8::ErrorCode::kOutcomeUnknown ? "unknown "
                       : status.error().code == st8::ErrorCode::kUnavailable    ? "refused "
                                                                                : "other ";
    say(word + std::to_string(i) + "\n");
    if (!status && status.error().code == st8::ErrorCode::kUnavailable) break;
  }
  if (mode == "flush-last") static_cast<void>(engine.reclaim({}));
  opened->reset();
  say("done\n");
  return 0;
}
