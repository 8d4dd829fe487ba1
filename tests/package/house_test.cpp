// The rules of the house, held by a test: which way includes point, what a library may not do, what every file, test and
// document must be like. A rule that fails names the file and line.
#include <algorithm>
#include <array>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <functional>
#include <gtest/gtest.h>
#include <iterator>
#include <map>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

namespace {

namespace fs = std::filesystem;

const fs::path kRoot = ST8_SOURCE_DIR;

// Folders of the project in which every file is ours.
constexpr std::array kFolders = {"bench",     "cmake",     "docs",   "examples", "libstate",
                                 "libtarget", "packaging", "st8ctl", "st8d",     "tests"};

struct File {
  std::string path;  // Relative to the root, with forward slashes.
  std::string text;
  std::vector<std::string> lines;
};

bool ends_with_any(std::string_view text, std::initializer_list<std::string_view> ends) {
  return std::any_of(ends.begin(), ends.end(), [&](std::string_view end) { return text.ends_with(end); });
}

bool is_cpp(const File& file) { return ends_with_any(file.path, {".h", ".cpp"}); }

// Data kept byte for byte (corpora, goldens, example inputs) is nobody's style.
bool is_data(const std::string& path) {
  return path.starts_with("tests/fuzz/corpus/") || path.starts_with("tests/golden/data") ||
         path.starts_with("tests/data/");
}

File read_file(const fs::path& path) {
  std::ifstream stream(path, std::ios::binary);
  File file{fs::relative(path, kRoot).generic_string(),
            {std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>()},
            {}};
  std::istringstream lines(file.text);
  for (std::string line; std::getline(lines, line);) file.lines.push_back(line);
  return file;
}

const std::vector<File>& all_files() {
  static const std::vector<File> files = [] {
    std::vector<File> found;
    for (const auto& entry : fs::directory_iterator(kRoot)) {
      if (entry.is_regular_file() && entry.path().filename().string().front() != '.')
        found.push_back(read_file(entry.path()));
    }
    for (const char* folder : kFolders) {
      if (!fs::exists(kRoot / folder)) continue;
      for (auto it = fs::recursive_directory_iterator(kRoot / folder); it != fs::recursive_directory_iterator(); ++it) {
        const std::string name = it->path().filename().string();
        if (it->is_directory() && (name == "node_modules" || name == "__pycache__")) {
          it.disable_recursion_pending();
        } else if (it->is_regular_file() && !is_data(fs::relative(it->path(), kRoot).generic_string())) {
          found.push_back(read_file(it->path()));
        }
      }
    }
    std::sort(found.begin(), found.end(), [](const File& a, const File& b) { return a.path < b.path; });
    return found;
  }();
  return files;
}

std::vector<File> files_where(const std::function<bool(const File&)>& keep) {
  std::vector<File> kept;
  std::copy_if(all_files().begin(), all_files().end(), std::back_inserter(kept), keep);
  return kept;
}

struct Include {
  std::string target;
  std::size_t line = 0;
};
std::vector<Include> includes_of(const File& file) {
  static const std::regex pattern(R"(^\s*#\s*include\s*[<"]([^>"]+)[>"])");
  std::vector<Include> found;
  for (std::size_t i = 0; i < file.lines.size(); ++i) {
    std::smatch match;
    if (std::regex_search(file.lines[i], match, pattern)) found.push_back({match[1], i + 1});
  }
  return found;
}

// Drops // and /* */ comments and the contents of string literals, keeping line breaks, so that rules read code alone.
std::string code_of(const std::string& text) {
  std::string code;
  enum class In { kCode, kLine, kBlock, kString, kChar } in = In::kCode;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    const char next = i + 1 < text.size() ? text[i + 1] : '\0';
    switch (in) {
      case In::kCode:
        if (c == '/' && next == '/')
          in = In::kLine;
        else if (c == '/' && next == '*')
          in = In::kBlock, ++i;
        else if (c == 'R' && next == '"') {
          // A raw string: R"delimiter( ... )delimiter".
          const std::size_t open = text.find('(', i);
          if (open == std::string::npos) return code;
          const std::string close = ")" + text.substr(i + 2, open - i - 2) + "\"";
          const std::size_t end = text.find(close, open);
          code += "\"\"";
          if (end == std::string::npos) return code;
          code.append(static_cast<std::size_t>(std::count(text.begin() + static_cast<std::ptrdiff_t>(i),
                                                          text.begin() + static_cast<std::ptrdiff_t>(end), '\n')),
                      '\n');
          i = end + close.size() - 1;
        } else {
          if (c == '"') in = In::kString;
          // A digit separator (1'000) is not a character literal.
          if (c == '\'' && (i == 0 || !std::isalnum(static_cast<unsigned char>(text[i - 1])))) in = In::kChar;
          code.push_back(c);
        }
        break;
      case In::kLine:
        if (c == '\n') in = In::kCode, code.push_back(c);
        break;
      case In::kBlock:
        if (c == '*' && next == '/')
          in = In::kCode, ++i;
        else if (c == '\n')
          code.push_back(c);
        break;
      case In::kString:
      case In::kChar:
        if (c == '\\')
          ++i;
        else if (c == (in == In::kString ? '"' : '\'') || c == '\n')
          in = In::kCode, code.push_back(c);
        break;
    }
  }
  return code;
}

std::size_t line_of(const std::string& text, std::size_t offset) {
  return 1 +
         static_cast<std::size_t>(std::count(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(offset), '\n'));
}

// Fails for every match of `pattern` in the code (not comments, not strings) of the files.
void expect_absent(const std::vector<File>& files, const std::regex& pattern, const std::string& rule) {
  for (const File& file : files) {
    const std::string code = code_of(file.text);
    for (std::sregex_iterator it(code.begin(), code.end(), pattern), end; it != end; ++it) {
      ADD_FAILURE() << file.path << ":" << line_of(code, static_cast<std::size_t>(it->position())) << ": " << rule
                    << ": " << it->str();
    }
  }
}

bool in_library(const File& file) {
  return is_cpp(file) && (file.path.starts_with("libstate/") || file.path.starts_with("libtarget/"));
}
bool is_public_header(const File& file) {
  return file.path.starts_with("libstate/include/") || file.path.starts_with("libtarget/include/");
}

TEST(House, CommentsAndStringsAreNotCode) {
  EXPECT_EQ(code_of("a /* printf( */ b\n// printf(\nc"), "a  b\n\nc");
  EXPECT_EQ(code_of("x = \"printf(\\\"\" + 1'000;"), "x = \"\" + 1'000;");
  EXPECT_EQ(code_of("x = R\"j(printf()\n)j\" + y;"), "x = \"\"\n + y;");
  EXPECT_EQ(code_of("c = '\"'; d"), "c = ''; d");
}

TEST(House, SourcesAreFound) {
  EXPECT_GT(files_where(is_public_header).size(), 10u);
  EXPECT_GT(files_where(in_library).size(), 15u);
}

// st8ctl -> wire; st8d -> wire, libtarget, libstate; libtarget -> libstate's public headers.
TEST(House, IncludesPointOneWay) {
  const std::set<std::string> state_public = [] {
    std::set<std::string> names;
    for (const File& file : files_where(is_public_header))
      names.insert(file.path.substr(file.path.find("include/") + 8));
    return names;
  }();
  for (const File& file : files_where(is_cpp)) {
    const std::string from = file.path.substr(0, file.path.find('/'));
    if (from == "tests" || from == "bench") continue;
    // The module behind `st8ctl --local` is the server's code, loaded on demand.
    const bool is_local_module = file.path.starts_with("st8ctl/local/");
    for (const Include& include : includes_of(file)) {
      const std::string at = file.path + ":" + std::to_string(include.line) + ": ";
      const std::string& to = include.target;
      const auto begins = [&](std::string_view prefix) { return to.starts_with(prefix); };
      if (begins("st8/")) {
        EXPECT_TRUE(state_public.contains(to)) << at << to << " is no public header";
      }
      if (from == "libstate") {
        EXPECT_FALSE(begins("st8/target/") || begins("wire/") || begins("http/") || begins("api/") || begins("auth/") ||
                     begins("st8d/"))
            << at << "libstate includes what stands above it: " << to;
      }
      if (from == "libtarget") {
        EXPECT_FALSE(begins("wire/") || begins("http/") || begins("api/") || begins("auth/") || begins("st8d/"))
            << at << "libtarget includes what stands above it: " << to;
        EXPECT_FALSE(begins("../") || begins("libstate/")) << at << "libtarget reaches into libstate: " << to;
        EXPECT_FALSE(!begins("st8/") && fs::exists(kRoot / "libstate/src" / to) &&
                     !fs::exists(kRoot / "libtarget/src" / to) && !fs::exists((kRoot / file.path).parent_path() / to))
            << at << "libtarget includes a private header of libstate: " << to;
      }
      if (from == "st8d") {
        EXPECT_FALSE(!begins("st8/") && !fs::exists(kRoot / "st8d" / to) &&
                     !fs::exists((kRoot / file.path).parent_path() / to) &&
                     (fs::exists(kRoot / "libstate/src" / to) || fs::exists(kRoot / "libtarget/src" / to)))
            << at << "st8d includes a private header of a library: " << to;
      }
      if (from == "st8ctl" && !is_local_module) {
        EXPECT_FALSE(begins("st8/target/") || begins("http/") || begins("api/") || begins("auth/"))
            << at << "st8ctl knows the wire alone, not the server: " << to;
      }
    }
  }
}

TEST(House, RocksDbIsIncludedByItsEngineAlone) {
  for (const File& file : files_where(is_cpp)) {
    if (file.path.starts_with("bench/") || file.path.starts_with("libstate/src/engine/rocksdb_")) continue;
    for (const Include& include : includes_of(file)) {
      EXPECT_FALSE(include.target.starts_with("rocksdb/"))
          << file.path << ":" << include.line << ": " << include.target;
    }
  }
}

TEST(House, PublicHeadersKeepThirdPartyTypesOut) {
  static const std::regex foreign(R"(^(nlohmann/|httplib|yaml-cpp/|rocksdb/|openssl/|CLI/|dtl/))");
  for (const File& file : files_where(is_public_header)) {
    for (const Include& include : includes_of(file)) {
      EXPECT_FALSE(std::regex_search(include.target, foreign))
          << file.path << ":" << include.line << ": " << include.target;
    }
  }
}

TEST(House, HeadersAreIncludedOnce) {
  for (const File& file : files_where([](const File& f) { return f.path.ends_with(".h"); })) {
    EXPECT_NE(file.text.find("#pragma once"), std::string::npos) << file.path;
  }
}

TEST(House, LibrariesNeverPrint) {
  expect_absent(
      files_where(in_library),
      std::regex(R"(\b(std::cout|std::cerr|std::clog|printf|fprintf|puts|fputs|putchar|perror|stdout|stderr)\b)"),
      "a library never prints");
}

// Configuration comes in through options; only the failpoints, which exist for tests, look for themselves.
TEST(House, LibrariesReadNoEnvironment) {
  expect_absent(
      files_where([](const File& f) { return in_library(f) && f.path.find("failpoint") == std::string::npos; }),
      std::regex(R"(\b(secure_)?getenv\b|\benviron\b)"), "a library reads no environment");
}

TEST(House, LibrariesNeverEndTheProcess) {
  expect_absent(
      files_where([](const File& f) { return in_library(f) && f.path.find("failpoint") == std::string::npos; }),
      std::regex(R"(\b(std::)?(exit|_exit|quick_exit)\s*\()"), "a library never ends the process");
}

TEST(House, NoExceptionIsThrownByHand) {
  expect_absent(files_where([](const File& f) {
                  return is_cpp(f) && !f.path.starts_with("tests/") && !f.path.starts_with("bench/");
                }),
                std::regex(R"(\bthrow\s+[A-Za-z:])"), "errors are values");
}

TEST(House, NoTabsNoTrailingSpacesOneNewlineAtTheEnd) {
  for (const File& file : files_where([](const File& f) {
         return is_cpp(f) ||
                ends_with_any(f.path, {"CMakeLists.txt", ".cmake", ".md", ".sh", ".py", ".yaml", ".json"}) ||
                f.path == "dev";
       })) {
    // Documents given to st8 as input may look as they like.
    if (file.path.starts_with("examples/") && ends_with_any(file.path, {".json", ".yaml"})) continue;
    for (std::size_t i = 0; i < file.lines.size(); ++i) {
      const std::string& line = file.lines[i];
      EXPECT_EQ(line.find('\t'), std::string::npos) << file.path << ":" << i + 1 << ": tab";
      EXPECT_FALSE(!line.empty() && (line.back() == ' ' || line.back() == '\r'))
          << file.path << ":" << i + 1 << ": trailing space";
    }
    EXPECT_TRUE(file.text.ends_with('\n') && !file.text.ends_with("\n\n"))
        << file.path << ": ends with exactly one newline";
  }
}

TEST(House, NothingIsLeftOpen) {
  // Put together, so that this file does not find itself.
  const std::regex marks(std::string("\\b(TO") + "DO|FIX" + "ME|X" + "XX|HA" + "CK)\\b");
  for (const File& file : all_files()) {
    if (!is_cpp(file) && !ends_with_any(file.path, {".md", ".sh", ".py", ".cmake", "CMakeLists.txt"}) &&
        file.path != "dev")
      continue;
    for (std::size_t i = 0; i < file.lines.size(); ++i) {
      EXPECT_FALSE(std::regex_search(file.lines[i], marks)) << file.path << ":" << i + 1 << ": " << file.lines[i];
    }
  }
}

TEST(House, NoFileNamesTheMachineItWasWrittenOn) {
  for (const File& file : all_files()) {
    EXPECT_EQ(file.text.find(kRoot.string() + "/"), std::string::npos) << file.path;
  }
}

// A test that asserts nothing cannot fail. Assertions may stand in a helper, which then has Expect, Check or Verify in its name, or
// whose outcome the test asks for with HasFailure().
TEST(House, EveryTestAsserts) {
  static const std::regex begin(R"(^(TEST|TEST_F|TEST_P|TYPED_TEST)\s*\(([^)]*)\)\s*\{)");
  static const std::regex asserts(R"(EXPECT_|ASSERT_|FAIL\(|HasFailure\(|[Ee]xpect|[Cc]heck|[Vv]erify)");
  std::size_t tests = 0;
  for (const File& file :
       files_where([](const File& f) { return f.path.starts_with("tests/") && f.path.ends_with("_test.cpp"); })) {
    for (std::size_t i = 0; i < file.lines.size(); ++i) {
      std::smatch match;
      if (!std::regex_search(file.lines[i], match, begin)) continue;
      ++tests;
      bool found = std::regex_search(match.suffix().str(), asserts);
      std::size_t end = i;
      while (!found && ++end < file.lines.size() && file.lines[end] != "}")
        found = std::regex_search(file.lines[end], asserts);
      EXPECT_TRUE(found) << file.path << ":" << i + 1 << ": no assertion in " << match[2];
    }
  }
  EXPECT_GT(tests, 10u);
}

TEST(House, NoTestIsDisabled) {
  const std::regex disabled(std::string("\\bDIS") + "ABLED_");
  for (const File& file : files_where([](const File& f) { return f.path.starts_with("tests/") && is_cpp(f); })) {
    EXPECT_FALSE(std::regex_search(file.text, disabled)) << file.path;
  }
}

// Sleeping until something has surely happened is how tests become slow and flaky: poll with a deadline (support/).
TEST(House, TestsDoNotSleep) {
  expect_absent(
      files_where([](const File& f) { return f.path.starts_with("tests/") && f.path.ends_with("_test.cpp"); }),
      std::regex(R"(\b(sleep_for|sleep_until|usleep|nanosleep|sleep)\s*\()"), "a test polls with a deadline");
}

// GitHub's anchor of a heading: lower case, punctuation dropped, spaces to hyphens.
std::string anchor_of(std::string heading) {
  std::string anchor;
  for (const char c : heading) {
    const auto byte = static_cast<unsigned char>(c);
    if (std::isalnum(byte) || c == '-' || c == '_' || byte >= 0x80)
      anchor.push_back(static_cast<char>(std::tolower(byte)));
    else if (c == ' ')
      anchor.push_back('-');
  }
  return anchor;
}

std::set<std::string> anchors_of(const File& file) {
  std::set<std::string> anchors;
  bool fenced = false;
  for (const std::string& line : file.lines) {
    if (line.starts_with("```")) fenced = !fenced;
    if (!fenced && line.starts_with('#')) anchors.insert(anchor_of(line.substr(line.find_first_not_of("# "))));
  }
  return anchors;
}

TEST(House, EveryLinkInTheDocsResolves) {
  static const std::regex link(R"(\]\(([^)\s]+)\))");
  std::size_t links = 0;
  for (const File& file : files_where([](const File& f) { return f.path.ends_with(".md"); })) {
    bool fenced = false;
    for (std::size_t i = 0; i < file.lines.size(); ++i) {
      if (file.lines[i].starts_with("```")) fenced = !fenced;
      if (fenced) continue;
      for (std::sregex_iterator it(file.lines[i].begin(), file.lines[i].end(), link), end; it != end; ++it) {
        const std::string target = (*it)[1];
        if (target.starts_with("http://") || target.starts_with("https://") || target.starts_with("mailto:")) continue;
        ++links;
        const std::string at = file.path + ":" + std::to_string(i + 1) + ": " + target;
        const std::size_t hash = target.find('#');
        const fs::path path =
            hash == 0 ? kRoot / file.path : (kRoot / file.path).parent_path() / target.substr(0, hash);
        ASSERT_TRUE(fs::exists(path)) << at << " does not exist";
        if (hash != std::string::npos && path.extension() == ".md") {
          EXPECT_TRUE(anchors_of(read_file(path)).contains(target.substr(hash + 1))) << at << ": no such heading";
        }
      }
    }
  }
  EXPECT_GT(links, 5u);
}

TEST(House, TheDocsAreThere) {
  for (const char* path : {"README.md", "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "docs/architecture.md",
                           "docs/glossary.md", "docs/testing.md", "docs/operating.md", ".ci/run", "dev"}) {
    EXPECT_TRUE(fs::exists(kRoot / path)) << path;
  }
}

// Every `./dev x` that a document tells a reader to run exists.
TEST(House, DocumentedCommandsExist) {
  const File dev = read_file(kRoot / "dev");
  static const std::regex command(R"(\./dev ([a-z]+))");
  std::size_t commands = 0;
  for (const File& file : files_where([](const File& f) { return f.path.ends_with(".md"); })) {
    for (std::sregex_iterator it(file.text.begin(), file.text.end(), command), end; it != end; ++it) {
      ++commands;
      EXPECT_NE(dev.text.find("\ncmd_" + (*it)[1].str() + "() {"), std::string::npos)
          << file.path << ": ./dev " << (*it)[1];
    }
  }
  EXPECT_GT(commands, 3u);
}

}  // namespace
