// The cache of contents written lately: finds by hash, stays within its bound, drops what was asked for longest ago.
#include "pipeline/content_cache.h"

#include <gtest/gtest.h>
#include <string>
#include <thread>
#include <vector>

#include "st8/state/hash.h"

namespace st8::state::pipeline {
namespace {

std::string content(int number) { return "document " + std::to_string(number) + std::string(1000, 'x'); }

TEST(ContentCache, FindsWhatWasPut) {
  ContentCache cache(1u << 20);
  EXPECT_EQ(cache.find(Hash::of(content(1))), nullptr);
  cache.put(Hash::of(content(1)), content(1), ContentCache::Then::kGo);
  ASSERT_NE(cache.find(Hash::of(content(1))), nullptr);
  EXPECT_EQ(*cache.find(Hash::of(content(1))), content(1));
  cache.put(Hash::of(content(1)), content(1), ContentCache::Then::kGo);
  EXPECT_EQ(*cache.find(Hash::of(content(1))), content(1));
}

TEST(ContentCache, DropsWhatWasAskedForLongestAgo) {
  ContentCache cache(256u << 10);
  cache.put(Hash::of(content(0)), content(0), ContentCache::Then::kGo);
  for (int i = 1; i < 2000; ++i) {
    cache.put(Hash::of(content(i)), content(i), ContentCache::Then::kGo);
    ASSERT_NE(cache.find(Hash::of(content(0))), nullptr) << "asked for all the time, and gone after " << i;
  }
  int held = 0;
  for (int i = 0; i < 2000; ++i) held += cache.find(Hash::of(content(i))) != nullptr ? 1 : 0;
  EXPECT_LE(held, 256);  // Of a kibibyte and what holds it.
  EXPECT_GT(held, 100);
}

TEST(ContentCache, DropsFirstWhatWasReplaced) {
  ContentCache cache(256u << 10);
  // Each version is replaced by the next, and the others' by none.
  for (int i = 0; i < 100; ++i) cache.put(Hash::of(content(i)), content(i), ContentCache::Then::kGo);
  for (int version = 1000; version < 3000; ++version) {
    cache.put(Hash::of(content(version)), content(version), ContentCache::Then::kGo);
    const auto replaced = cache.find_replaced(Hash::of(content(version - 1)));
    ASSERT_TRUE(version == 1000 || (replaced != nullptr && *replaced == content(version - 1))) << version;
  }
  EXPECT_NE(cache.find(Hash::of(content(2999))), nullptr);
  int held = 0;
  for (int i = 0; i < 100; ++i) held += cache.find(Hash::of(content(i))) != nullptr ? 1 : 0;
  EXPECT_GT(held, 70) << "what was replaced took the place of what was not";
  EXPECT_EQ(cache.find_replaced(Hash::of(content(-1))), nullptr);
}

TEST(ContentCache, KeepsNothingLarge) {
  ContentCache cache(64u << 20);
  const std::string large(ContentCache::kContentBytesMax + 1, 'x');
  cache.put(Hash::of(large), large, ContentCache::Then::kGo);
  EXPECT_EQ(cache.find(Hash::of(large)), nullptr);
  ContentCache none(0);
  none.put(Hash::of(content(1)), content(1), ContentCache::Then::kGo);
  EXPECT_EQ(none.find(Hash::of(content(1))), nullptr);
}

TEST(ContentCache, IsForManyThreads) {
  ContentCache cache(64u << 10);
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&cache, t] {
      for (int i = 0; i < 2000; ++i) {
        const std::string text = content((i * 7 + t) % 100);
        cache.put(Hash::of(text), text, ContentCache::Then::kGo);
        const auto found = cache.find(Hash::of(text));
        if (found != nullptr) {
          EXPECT_EQ(*found, text);
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace
}  // namespace st8::state::pipeline
