// What the store costs over the engine below it: the same work by Store, and by bare RocksDB with the same durability.
//
//   store_tax --side store|rocksdb --workload apply|get|scan [--threads N] [--seconds S] [--keys N] [--bytes N] [--dir DIR]
//
//   apply  each thread writes one document at a time to a random key, synced. RocksDB: one synced Put, so the store's
//          revision, tree nodes, operation and index are the tax.
//   get    each thread reads a random document at head. RocksDB: one Get.
//   scan   each thread walks all documents, of which the store gives key, hash and size. RocksDB: an iterator over keys and values.
//          Counted in documents.
#include <CLI/CLI.hpp>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <memory>
#include <random>
#include <rocksdb/db.h>
#include <rocksdb/options.h>
#include <string>
#include <thread>
#include <unistd.h>
#include <vector>

#include "load/histogram.h"
#include "st8/state/store.h"

namespace {

using namespace st8;
using namespace st8::state;
using SteadyClock = std::chrono::steady_clock;

[[noreturn]] void die(const std::string& why) {
  std::fprintf(stderr, "store_tax: %s\n", why.c_str());
  std::exit(1);
}

std::string key_name(std::size_t number) {
  return "services/team-" + std::to_string(number % 37) + "/service-" + std::to_string(number) + "/config.json";
}

std::string document(std::size_t bytes, std::uint64_t salt) {
  std::string text = "{\"revision\": " + std::to_string(salt) + ", \"settings\": {";
  for (int field = 0; text.size() + 32 < bytes; ++field)
    text += "\"option_" + std::to_string(field) + "\": \"value\", ";
  text.resize(bytes, ' ');
  return text;
}

struct Side {
  virtual ~Side() = default;
  virtual void put_all(std::size_t keys, std::size_t bytes) = 0;
  virtual void put(std::size_t key, std::string text) = 0;
  virtual void get(std::size_t key) = 0;
  virtual std::size_t scan() = 0;  // How many documents it met.
};

class StoreSide final : public Side {
 public:
  explicit StoreSide(const std::string& directory) {
    RocksDbOptions options;
    options.directory = directory;
    auto engine = open_rocksdb_engine(options);
    if (!engine) die(engine.error().message);
    auto opened = Store::open(std::move(*engine), system_clock());
    if (!opened) die(opened.error().message);
    store_ = std::move(*opened);
  }
  void put_all(std::size_t keys, std::size_t bytes) override {
    for (std::size_t at = 0; at < keys;) {
      ApplyRequest request = make();
      for (; at < keys && request.documents.size() < 10'000; ++at)
        request.documents.push_back({*DocumentKey::parse(key_name(at)), document(bytes, at)});
      apply(std::move(request));
    }
    for (std::size_t i = 0; i < keys; ++i) keys_.push_back(*DocumentKey::parse(key_name(i)));
  }
  void put(std::size_t key, std::string text) override {
    ApplyRequest request = make();
    request.documents.push_back({keys_[key], std::move(text)});
    apply(std::move(request));
  }
  void get(std::size_t key) override {
    const auto view = head();
    const auto content = view.get(keys_[key]);
    if (!content || !*content) die("a document is missing");
  }
  std::size_t scan() override {
    std::size_t met = 0;
    const Status done = head().for_each({}, [&](const Entry&) {
      ++met;
      return true;
    });
    if (!done) die(done.error().message);
    return met;
  }

 private:
  ApplyRequest make() const {
    ApplyRequest request{ns_, branch_, {}, {}, false, {}, {}, Cause::kApply, {}, {}};
    request.context.actor = "bench";
    request.context.message = "bench";
    return request;
  }
  void apply(ApplyRequest request) {
    if (auto result = store_->apply(std::move(request)); !result) die(result.error().message);
  }
  View head() const {
    auto view = store_->view(ns_, branch_, Selector::head());
    if (!view) die(view.error().message);
    return std::move(*view);
  }

  NamespaceName ns_ = *NamespaceName::parse("bench");
  BranchName branch_ = *BranchName::parse("main");
  std::unique_ptr<Store> store_;
  std::vector<DocumentKey> keys_;
};

class RocksSide final : public Side {
 public:
  explicit RocksSide(const std::string& directory) {
    rocksdb::Options options;
    options.create_if_missing = true;
    rocksdb::DB* db = nullptr;
    check(rocksdb::DB::Open(options, directory, &db));
    db_.reset(db);
  }
  void put_all(std::size_t keys, std::size_t bytes) override {
    for (std::size_t i = 0; i < keys; ++i) {
      keys_.push_back(key_name(i));
      check(db_->Put({}, keys_.back(), document(bytes, i)));
    }
    check(db_->SyncWAL());
  }
  void put(std::size_t key, std::string text) override {
    rocksdb::WriteOptions options;
    options.sync = true;
    check(db_->Put(options, keys_[key], text));
  }
  void get(std::size_t key) override {
    std::string value;
    check(db_->Get({}, keys_[key], &value));
  }
  std::size_t scan() override {
    std::size_t met = 0;
    const std::unique_ptr<rocksdb::Iterator> iterator(db_->NewIterator({}));
    for (iterator->SeekToFirst(); iterator->Valid(); iterator->Next()) {
      met += iterator->value().empty() ? 0 : 1;
    }
    check(iterator->status());
    return met;
  }

 private:
  static void check(const rocksdb::Status& status) {
    if (!status.ok()) die(status.ToString());
  }
  std::unique_ptr<rocksdb::DB> db_;
  std::vector<std::string> keys_;
};

}  // namespace

int main(int argc, char** argv) {
  std::string side_name, workload, directory;
  std::size_t threads = 64, keys = 1000, bytes = 1024;
  double seconds = 3;
  CLI::App app{"the store beside bare RocksDB"};
  app.add_option("--side", side_name)->required()->check(CLI::IsMember({"store", "rocksdb"}));
  app.add_option("--workload", workload)->required()->check(CLI::IsMember({"apply", "get", "scan"}));
  app.add_option("--threads", threads);
  app.add_option("--keys", keys)->check(CLI::PositiveNumber);
  app.add_option("--bytes", bytes);
  app.add_option("--seconds", seconds);
  app.add_option("--dir", directory, "a directory that exists; the data is made below it, and removed")->required();
  CLI11_PARSE(app, argc, argv);

  const std::string data = directory + "/store_tax." + std::to_string(::getpid());
  std::unique_ptr<Side> side;
  if (side_name == "store")
    side = std::make_unique<StoreSide>(data);
  else
    side = std::make_unique<RocksSide>(data);
  side->put_all(keys, bytes);

  struct Worker {
    bench::Samples latency;
    std::uint64_t answers = 0;
  };
  std::vector<Worker> workers(threads);
  std::vector<std::thread> running;
  std::atomic<bool> stop{false};
  const auto began = SteadyClock::now();
  for (std::size_t t = 0; t < threads; ++t) {
    running.emplace_back([&, t] {
      std::mt19937_64 random(t + 1);
      Worker& mine = workers[t];
      const std::string text = document(bytes, 0);
      while (!stop.load(std::memory_order_relaxed)) {
        const std::size_t key = random() % keys;
        std::uint64_t done = 1;
        const auto start = SteadyClock::now();
        if (workload == "apply") {
          std::string changed = text;
          const std::string salt = std::to_string(random());
          changed.replace(13, salt.size(), salt);
          side->put(key, std::move(changed));
        } else if (workload == "get") {
          side->get(key);
        } else {
          done = side->scan();
          if (done != keys) die("a walk met " + std::to_string(done) + " documents of " + std::to_string(keys));
        }
        mine.latency.add(static_cast<std::uint64_t>(
            std::chrono::duration_cast<std::chrono::nanoseconds>(SteadyClock::now() - start).count()));
        mine.answers += done;
      }
    });
  }
  std::this_thread::sleep_for(std::chrono::duration<double>(seconds));
  stop = true;
  for (std::thread& thread : running) thread.join();

  bench::RunReport report;
  report.seconds = std::chrono::duration<double>(SteadyClock::now() - began).count();
  for (const Worker& worker : workers) {
    report.latency.merge(worker.latency);
    report.answers_per_connection.push_back(worker.answers);
  }
  report.print();
  side.reset();
  std::filesystem::remove_all(data);
  return 0;
}
