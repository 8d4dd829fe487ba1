// docs/errors.md is the table in the code, row by row.
#include <fstream>
#include <gtest/gtest.h>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "st8/state/error_code.h"

namespace st8 {
namespace {

std::vector<std::string> cells(const std::string& line) {
  std::vector<std::string> out;
  std::stringstream stream(line.substr(1));
  for (std::string cell; std::getline(stream, cell, '|');) {
    const std::size_t first = cell.find_first_not_of(' ');
    out.push_back(first == std::string::npos ? "" : cell.substr(first, cell.find_last_not_of(' ') - first + 1));
  }
  return out;
}

TEST(ErrorsPage, SaysWhatTheTableSays) {
  std::ifstream file(std::string(ST8_SOURCE_DIR) + "/docs/errors.md");
  ASSERT_TRUE(file);
  std::map<std::string, std::vector<std::string>> rows;
  for (std::string line; std::getline(file, line);) {
    if (!line.starts_with("| `")) continue;
    std::vector<std::string> row = cells(line);
    ASSERT_GE(row.size(), 5u) << line;
    const std::string name = row[0].substr(1, row[0].size() - 2);
    EXPECT_TRUE(rows.emplace(name, row).second) << "twice: " << name;
  }
  constexpr int kCodes = static_cast<int>(ErrorCode::kUnsupportedMediaType) + 1;
  for (int i = 0; i < kCodes; ++i) {
    const ErrorTraits& traits = traits_of(static_cast<ErrorCode>(i));
    const auto row = rows.find(std::string(traits.name));
    ASSERT_NE(row, rows.end()) << traits.name;
    EXPECT_EQ(row->second[1], std::to_string(traits.http_status)) << traits.name;
    EXPECT_EQ(row->second[2], std::to_string(traits.exit_code)) << traits.name;
    EXPECT_FALSE(row->second[3].empty()) << traits.name;
    rows.erase(row);
  }
  EXPECT_TRUE(rows.empty()) << "described and unknown: " << rows.begin()->first;
}

}  // namespace
}  // namespace st8
