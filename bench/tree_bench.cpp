// What the tree costs: nodes, bytes and time of a one-key edit, of a point read and of a bulk load, by number of keys.
// Usage: st8_tree_bench [keys...]   (default 1000 100000 1000000)
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <string>
#include <vector>

#include "tree/delta.h"
#include "tree/node_cache.h"

namespace st8::state::tree {
namespace {

using Clock = std::chrono::steady_clock;

std::string key_of(std::size_t i) {
  char key[64];
  std::snprintf(key, sizeof key, "services/team-%02zu/svc-%05zu/config-%zu.json", i / 10 % 97, i / 10, i % 10);
  return key;
}

struct CountingSink final : NodeSink {
  explicit CountingSink(UncommittedNodes& to) : nodes(to) {}
  void put(const NodeLocation& location, std::shared_ptr<const Node> node, std::string body) override {
    ++puts;
    bytes += body.size();
    whole += node->step() == 0;
    key_bytes += location.first_key.size() + 15;
    nodes.put(location, std::move(node), std::move(body));
  }
  UncommittedNodes& nodes;
  std::size_t puts = 0, bytes = 0, key_bytes = 0, whole = 0;
};

[[noreturn]] void die(const Error& error) {
  std::fprintf(stderr, "%s\n", error.message.c_str());
  std::exit(1);
}
template <class T>
T must(Result<T> result) {
  if (!result) die(result.error());
  return std::move(*result);
}

void run(std::size_t keys) {
  const auto engine = make_memory_engine();
  NodeCache cache(std::size_t{4} << 30);
  const keyspace::NamespaceId ns{1};
  const StoredNodes stored(*engine, cache, ns);
  std::uint64_t number = 0;
  TreeRoot root;

  std::vector<std::string> names;
  for (std::size_t i = 0; i < keys; ++i) names.push_back(key_of(i));
  std::sort(names.begin(), names.end());

  const auto commit = [&](UncommittedNodes& nodes) {
    Batch batch;
    nodes.write_to(batch);
    if (auto status = engine->commit(batch, {}, Durability::kSynced); !status) die(status.error());
    nodes.publish(cache);
  };

  const auto begin = Clock::now();
  for (std::size_t at = 0; at < keys; at += 100'000) {
    std::vector<Edit> edits;
    for (std::size_t i = at; i < std::min(keys, at + 100'000); ++i)
      edits.push_back({names[i], DocumentRef{Hash::of(names[i]), 1000, {number + 1}}});
    UncommittedNodes nodes(stored, ns);
    root = must(edit(nodes, root, edits, {++number}, nodes)).root;
    commit(nodes);
  }
  const double load = std::chrono::duration<double>(Clock::now() - begin).count();

  std::size_t counts[16] = {}, entries[16] = {}, squares[16] = {};
  auto status = walk(stored, root,
                     [&](const NodeLocation& location, const Hash& name) {
                       const auto node = must(stored.node(location, name));
                       ++counts[location.level];
                       entries[location.level] += node->count();
                       squares[location.level] += node->count() * node->count();
                       return true;
                     },
                     {}, {});
  if (!status) die(status.error());
  const auto stats = cache.stats();
  std::printf("%zu keys: load %.2f s (%.0f keys/s), %llu nodes, %.1f B/key in memory\n", keys, load,
              double(keys) / load, static_cast<unsigned long long>(stats.nodes), double(stats.bytes) / double(keys));
  for (int level = 0; level <= root.level; ++level) {
    std::printf("  level %d: %zu nodes, mean %.1f entries, met by an edit %.1f\n", level, counts[level],
                double(entries[level]) / double(counts[level]), double(squares[level]) / double(entries[level]));
  }

  std::mt19937_64 random(1);
  for (const char* kind : {"update", "insert", "delete"}) {
    const std::size_t rounds = 20'000;
    std::chrono::nanoseconds spent{0};
    std::size_t puts = 0, bytes = 0, key_bytes = 0, whole = 0;
    for (std::size_t i = 0; i < rounds; ++i) {
      ++number;
      const std::string& name = names[random() % names.size()];
      Edit change{name, DocumentRef{Hash::of(std::to_string(number)), 1000 + number % 50, {number}}};
      if (kind[0] == 'i') change.key += std::to_string(number);
      if (kind[0] == 'd') change.value = std::nullopt;
      UncommittedNodes nodes(stored, ns);
      CountingSink sink(nodes);
      const auto start = Clock::now();
      auto result = must(edit(nodes, root, std::span(&change, 1), {number}, sink));
      spent += Clock::now() - start;
      puts += sink.puts;
      bytes += sink.bytes;
      key_bytes += sink.key_bytes;
      whole += sink.whole;
      if (kind[0] == 'u') root = result.root;  // The others start over from the same tree each time.
      if (kind[0] == 'u') commit(nodes);
    }
    std::printf("  %s: %.2f us, %.2f nodes (%.2f whole), %.0f B of bodies, %.0f B of keys\n", kind,
                double(spent.count()) / 1000 / double(rounds), double(puts) / double(rounds),
                double(whole) / double(rounds), double(bytes) / double(rounds), double(key_bytes) / double(rounds));
  }
  {
    const std::size_t rounds = 500'000;
    std::size_t found = 0;
    const auto start = Clock::now();
    for (std::size_t i = 0; i < rounds; ++i)
      found += must(find(stored, root, names[random() % names.size()])).has_value();
    const double ns_each = double((Clock::now() - start).count()) / double(rounds);
    std::printf("  find: %.0f ns (%zu found)\n", ns_each, found);
  }
  {
    NodeCache small(64 << 10);
    const StoredNodes cold(*engine, small, ns);
    const std::size_t rounds = 20'000;
    const auto before = engine->stats().gets;
    const auto start = Clock::now();
    for (std::size_t i = 0; i < rounds; ++i) must(find(cold, root, names[random() % names.size()]));
    std::printf("  find, cache of 64 KiB: %.0f ns, %.2f engine reads\n",
                double((Clock::now() - start).count()) / double(rounds),
                double(engine->stats().gets - before) / double(rounds));
  }
}

}  // namespace
}  // namespace st8::state::tree

int main(int argc, char** argv) {
  std::vector<std::size_t> sizes;
  for (int i = 1; i < argc; ++i) sizes.push_back(std::strtoull(argv[i], nullptr, 10));
  if (sizes.empty()) sizes = {1'000, 100'000, 1'000'000};
  for (const std::size_t keys : sizes) st8::state::tree::run(keys);
}
