#include "engine/log_file.h"

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <iterator>
#include <random>

#include "support/temp_directory.h"

namespace st8::state {
namespace {

std::string contents(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

TEST(LogFileTest, ZerosStandBehindTheLastAppendUntilClose) {
  test::TempDirectory directory;
  const auto path = directory.path() / "a.log";
  std::mt19937 random(7);
  std::string model;
  LogFile file;
  ASSERT_EQ(file.open(path), 0);
  for (int i = 0; i < 300; ++i) {
    std::string record(1 + random() % (i % 50 == 0 ? 600'000 : 5'000), static_cast<char>('a' + i % 26));
    ASSERT_EQ(file.append(record), 0);
    model += record;
    if (i % 3 == 0) file.write_out();
    ASSERT_EQ(file.size(), model.size());
    if (i % 60 == 0) {
      ASSERT_EQ(file.sync(), 0);
      const std::string now = contents(path);
      ASSERT_GE(now.size(), model.size());
      ASSERT_EQ(now.compare(0, model.size(), model), 0);
      ASSERT_EQ(now.find_first_not_of('\0', model.size()), std::string::npos);
    }
  }
  ASSERT_EQ(file.close(), 0);
  EXPECT_EQ(contents(path), model);
}

TEST(LogFileTest, TruncateDropsAndGoesOnThere) {
  test::TempDirectory directory;
  LogFile file;
  ASSERT_EQ(file.open(directory.path() / "a.log"), 0);
  ASSERT_EQ(file.append("hello world"), 0);
  file.write_out();
  ASSERT_EQ(file.truncate(5), 0);
  ASSERT_EQ(file.append("!"), 0);
  file.write_out();
  ASSERT_EQ(file.close(), 0);
  EXPECT_EQ(contents(directory.path() / "a.log"), "hello!");
}

TEST(LogFileTest, SaysWhyItCannot) {
  LogFile missing;
  EXPECT_EQ(missing.open("/nonexistent-directory/a.log"), ENOENT);
  EXPECT_EQ(missing.append("x"), EBADF);
  missing.write_out();
  EXPECT_NE(missing.sync(), 0) << "beginning to write hides no error";
  LogFile full;
  ASSERT_EQ(full.open("/dev/full"), 0);
  EXPECT_EQ(full.append("x"), ENOSPC);
}

}  // namespace
}  // namespace st8::state
