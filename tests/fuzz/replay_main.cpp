// Runs a fuzzer's body without libFuzzer: over every file of its corpus, the empty input, and mutations of both from a
// fixed seed, so that what a fuzzer once found stays found in the ordinary tests.
//
//   <fuzzer>_replay directory-or-file...
//
// A body reports what it finds by aborting, as under libFuzzer. ST8_TEST_SEED changes the mutations.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

constexpr std::size_t kMutationsPerInput = 200;
constexpr std::size_t kInputBytesMax = 1 << 16;

void run(const std::string& input) {
  // An exact allocation, so that AddressSanitizer sees a read past the end.
  const std::vector<std::uint8_t> copy(input.begin(), input.end());
  LLVMFuzzerTestOneInput(copy.data(), copy.size());
}

std::string mutate(std::string input, const std::vector<std::string>& others, std::mt19937_64& random) {
  const auto below = [&](std::size_t bound) {
    return static_cast<std::size_t>(random() % std::max<std::size_t>(bound, 1));
  };
  const std::size_t rounds = 1 + below(4);
  for (std::size_t round = 0; round < rounds; ++round) {
    const std::size_t at = below(input.size() + 1);
    switch (below(6)) {
      case 0:
        if (at < input.size()) input[at] = static_cast<char>(random());
        break;
      case 1:
        if (at < input.size()) input[at] = static_cast<char>(input[at] ^ (1 << below(8)));
        break;
      case 2:
        input.erase(at, 1 + below(8));
        break;
      case 3:
        input.insert(at, 1 + below(8), static_cast<char>(random()));
        break;
      case 4:
        input.resize(at);
        break;
      case 5: {
        const std::string& other = others[below(others.size())];
        const std::size_t from = below(other.size() + 1);
        input.insert(at, other, from, below(64));
        break;
      }
    }
  }
  if (input.size() > kInputBytesMax) input.resize(kInputBytesMax);
  return input;
}

}  // namespace

int main(int argc, char** argv) {
  std::vector<std::filesystem::path> files;
  for (int i = 1; i < argc; ++i) {
    if (std::filesystem::is_directory(argv[i])) {
      for (const auto& entry : std::filesystem::recursive_directory_iterator(argv[i])) {
        if (entry.is_regular_file()) files.push_back(entry.path());
      }
    } else {
      files.emplace_back(argv[i]);
    }
  }
  std::sort(files.begin(), files.end());
  std::vector<std::string> inputs{std::string()};
  for (const auto& file : files) {
    std::ifstream stream(file, std::ios::binary);
    if (!stream) {
      std::fprintf(stderr, "cannot read %s\n", file.c_str());
      return 1;
    }
    inputs.emplace_back(std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>());
  }
  if (files.empty()) {
    std::fprintf(stderr, "no corpus: nothing would be tested\n");
    return 1;
  }
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    if (i > 0) std::printf("%s\n", files[i - 1].c_str());
    std::fflush(stdout);
    run(inputs[i]);
  }
  const char* seed_text = std::getenv("ST8_TEST_SEED");
  const std::uint64_t seed = seed_text != nullptr ? std::strtoull(seed_text, nullptr, 10) : 1;
  std::printf("mutations, ST8_TEST_SEED=%llu\n", static_cast<unsigned long long>(seed));
  std::fflush(stdout);
  std::mt19937_64 random(seed);
  for (const std::string& input : inputs) {
    for (std::size_t i = 0; i < kMutationsPerInput; ++i) run(mutate(input, inputs, random));
  }
  std::printf("%zu inputs and %zu mutations\n", inputs.size(), inputs.size() * kMutationsPerInput);
  return 0;
}
