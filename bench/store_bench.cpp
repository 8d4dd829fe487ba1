// The commit path alone: Store::apply from many threads, over RocksDB on a real disk, without HTTP.
//
//   st8_store_bench [--threads 64] [--seconds 3] [--bytes 1024] [--keys 1000] [--namespaces 1] [--engine rocksdb|memory] [--dir DIR]
//
// Each thread applies one document at a time to a random key and waits until it is durable. Printed: commits a second, the
// latency's p50 and p99, commits a group, and what each commit cost in bytes and engine reads. See bench/README.md.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "st8/state/store.h"

namespace {

using namespace st8;
using namespace st8::state;
using SteadyClock = std::chrono::steady_clock;

struct Settings {
  int threads = 64;
  double seconds = 3;
  std::size_t bytes = 1024;
  std::size_t keys = 1000;
  int namespaces = 1;
  std::string engine = "rocksdb";
  std::string directory;
};

[[noreturn]] void die(const std::string& why) {
  std::fprintf(stderr, "st8_store_bench: %s\n", why.c_str());
  std::exit(1);
}

Settings parse(int count, char** arguments) {
  Settings settings;
  for (int i = 1; i + 1 < count; i += 2) {
    const std::string name = arguments[i];
    const std::string value = arguments[i + 1];
    if (name == "--threads")
      settings.threads = std::atoi(value.c_str());
    else if (name == "--seconds")
      settings.seconds = std::atof(value.c_str());
    else if (name == "--bytes")
      settings.bytes = std::strtoull(value.c_str(), nullptr, 10);
    else if (name == "--keys")
      settings.keys = std::strtoull(value.c_str(), nullptr, 10);
    else if (name == "--namespaces")
      settings.namespaces = std::atoi(value.c_str());
    else if (name == "--engine")
      settings.engine = value;
    else if (name == "--dir")
      settings.directory = value;
    else
      die("unknown option " + name);
  }
  return settings;
}

DocumentKey key_of(std::size_t number) {
  return *DocumentKey::parse("services/svc-" + std::to_string(number % 50) + "/config-" + std::to_string(number) +
                             ".json");
}

// A document like configuration: text that a random field makes different from all others.
std::string document(std::size_t bytes, std::uint64_t salt) {
  std::string text = "{\"revision\": " + std::to_string(salt) + ", \"settings\": {";
  for (int field = 0; text.size() + 32 < bytes; ++field)
    text += "\"option_" + std::to_string(field) + "\": \"value\", ";
  text.resize(bytes, ' ');
  return text;
}

}  // namespace

int main(int count, char** arguments) {
  const Settings settings = parse(count, arguments);
  std::string directory = settings.directory;
  const bool own_directory = directory.empty();
  std::unique_ptr<Engine> engine;
  if (settings.engine == "memory") {
    engine = make_memory_engine();
  } else {
    if (own_directory) {
      directory = (std::filesystem::temp_directory_path() / "st8-store-bench-XXXXXX").string();
      if (::mkdtemp(directory.data()) == nullptr) die("cannot make a directory");
    }
    RocksDbOptions options;
    options.directory = directory + "/db";
    auto opened = open_rocksdb_engine(options);
    if (!opened) die(opened.error().message);
    engine = std::move(*opened);
  }
  auto opened = Store::open(std::move(engine), system_clock());
  if (!opened) die(opened.error().message);
  Store& store = **opened;

  const auto ns_of = [&](int number) { return *NamespaceName::parse("bench/" + std::to_string(number)); };
  const BranchName main_branch = *BranchName::parse("main");
  const auto request_for = [&](int ns) {
    ApplyRequest request{ns_of(ns), main_branch, {}, {}, false, {}, {}, Cause::kApply, {}, {}};
    request.context.actor = "bench";
    request.context.message = "bench";
    return request;
  };
  for (int ns = 0; ns < settings.namespaces; ++ns) {
    for (std::size_t at = 0; at < settings.keys;) {
      ApplyRequest fill = request_for(ns);
      for (std::size_t i = 0; i < 1000 && at < settings.keys; ++i, ++at)
        fill.documents.push_back({key_of(at), document(settings.bytes, at)});
      if (auto result = store.apply(std::move(fill)); !result) die(result.error().message);
    }
  }

  // Keys and texts are made beforehand: the store is to be measured, and not who calls it.
  std::vector<DocumentKey> keys;
  for (std::size_t i = 0; i < settings.keys; ++i) keys.push_back(key_of(i));

  const StoreStats before = store.stats();
  std::atomic<bool> stop{false};
  std::vector<std::vector<float>> latencies_us(static_cast<std::size_t>(settings.threads));
  std::vector<std::thread> threads;
  const auto begin = SteadyClock::now();
  for (int t = 0; t < settings.threads; ++t) {
    threads.emplace_back([&, t] {
      std::mt19937_64 random(static_cast<std::uint64_t>(t) + 1);
      auto& mine = latencies_us[static_cast<std::size_t>(t)];
      const ApplyRequest empty = request_for(t % settings.namespaces);
      std::string text = document(settings.bytes, 0);
      while (!stop.load(std::memory_order_relaxed)) {
        ApplyRequest request = empty;
        const std::string salt = std::to_string(random());
        text.replace(13, salt.size(), salt);
        request.documents.push_back({keys[random() % settings.keys], text});
        const auto start = SteadyClock::now();
        const auto result = store.apply(std::move(request));
        if (!result) die(result.error().message);
        mine.push_back(std::chrono::duration<float, std::micro>(SteadyClock::now() - start).count());
      }
    });
  }
  std::this_thread::sleep_for(std::chrono::duration<double>(settings.seconds));
  stop = true;
  for (std::thread& thread : threads) thread.join();
  const double elapsed = std::chrono::duration<double>(SteadyClock::now() - begin).count();
  const StoreStats after = store.stats();

  std::vector<float> all;
  for (const auto& each : latencies_us) all.insert(all.end(), each.begin(), each.end());
  std::sort(all.begin(), all.end());
  const auto commits = static_cast<double>(after.commits - before.commits);
  const auto groups = static_cast<double>(after.commit_groups - before.commit_groups);
  std::printf(
      "%.0f commits/s  p50 %.0f us  p99 %.0f us  %.1f commits/group  %.0f bytes/commit  %.2f nodes/commit (%.0f B)  "
      "%.2f gets/commit  %.2f syncs/group\n",
      commits / elapsed, static_cast<double>(all[all.size() / 2]), static_cast<double>(all[all.size() * 99 / 100]),
      commits / groups, static_cast<double>(after.engine.bytes_written - before.engine.bytes_written) / commits,
      static_cast<double>(after.nodes_written - before.nodes_written) / commits,
      static_cast<double>(after.node_bytes_written - before.node_bytes_written) / commits,
      static_cast<double>(after.engine.gets - before.engine.gets) / commits,
      static_cast<double>(after.engine.syncs - before.engine.syncs) / groups);
  opened->reset();
  if (own_directory && !directory.empty()) std::filesystem::remove_all(directory);
  return 0;
}
