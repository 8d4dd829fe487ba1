#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "cli/cli_fixture.h"
#include "documents/load.h"

namespace st8::ctl {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class LoadTest : public testing::Test {
 protected:
  std::string path(const std::string& name) const { return (directory_.path() / name).string(); }
  void file(const std::string& name, const std::string& content) const { test::write_file(path(name), content); }
  LoadedDocuments load(LoadRequest request) const {
    Result<LoadedDocuments> loaded = load_documents(request);
    EXPECT_TRUE(loaded.has_value()) << (loaded ? "" : loaded.error().message);
    return loaded ? *loaded : LoadedDocuments{};
  }
  Error refused(LoadRequest request) const {
    const Result<LoadedDocuments> loaded = load_documents(request);
    EXPECT_FALSE(loaded.has_value());
    return loaded ? Error{} : loaded.error();
  }
  static std::vector<std::string> keys(const LoadedDocuments& loaded) {
    std::vector<std::string> keys;
    for (const wire::DocumentBody& document : loaded.documents) keys.push_back(document.key);
    return keys;
  }
  test::TempDirectory directory_;
};

LoadRequest paths(std::vector<std::string> names) {
  LoadRequest request;
  request.paths = std::move(names);
  return request;
}

LoadRequest values(std::vector<std::string> texts) {
  LoadRequest request;
  request.values = std::move(texts);
  return request;
}

TEST_F(LoadTest, ADirectorysKeysAreRelativeToIt) {
  file("conf/b.json", "b");
  file("conf/a/x.json", "x");
  file("conf/.hidden", "h");
  file("conf/.git/config", "not this");
  file("conf/a/.git/HEAD", "nor this");
  file("conf/.github/ci.yml", "but this");
  for (const std::string& spelled : {path("conf"), path("conf/"), path("conf//"), path("conf/.")}) {
    EXPECT_THAT(keys(load(paths({spelled}))), ElementsAre(".github/ci.yml", ".hidden", "a/x.json", "b.json"))
        << spelled;
  }
  LoadRequest under = paths({path("conf")});
  under.under = "./etc//app/";
  EXPECT_THAT(keys(load(under)),
              ElementsAre("etc/app/.github/ci.yml", "etc/app/.hidden", "etc/app/a/x.json", "etc/app/b.json"));
}

TEST_F(LoadTest, LinksAndSpecialFilesFollowTheRule) {
  file("conf/real", "r");
  file("elsewhere/inner", "i");
  std::filesystem::create_symlink("real", path("conf/link"));
  std::filesystem::create_symlink("../elsewhere/inner", path("conf/out"));
  std::filesystem::create_directory_symlink("../elsewhere", path("conf/dir"));
  std::filesystem::create_directory_symlink(".", path("conf/loop"));
  std::filesystem::create_symlink("nothing", path("conf/dangling"));
  ASSERT_EQ(::mkfifo(path("conf/pipe").c_str(), 0600), 0);
  const LoadedDocuments loaded = load(paths({path("conf")}));
  EXPECT_THAT(keys(loaded), ElementsAre("link", "real"));
  EXPECT_EQ(loaded.documents[0].content, "r");
  EXPECT_THAT(loaded.notices,
              ElementsAre(HasSubstr("1 link(s) to files elsewhere"), HasSubstr("2 link(s) to directories"),
                          HasSubstr("1 dangling"), HasSubstr("1 socket")));
  LoadRequest all = paths({path("conf")});
  all.follow_links = true;
  EXPECT_THAT(keys(load(all)), ElementsAre("link", "out", "real"));
  EXPECT_EQ(load(all).documents[1].content, "i");
  // Named itself, a link to a directory is that directory.
  EXPECT_THAT(keys(load(paths({path("conf/dir")}))), ElementsAre("inner"));
}

TEST_F(LoadTest, ContentsAreTakenByteForByte) {
  const std::string bytes("\0\xff\r\n\xc3(no newline", 17);
  file("b", bytes);
  file("empty", "");
  LoadRequest request = paths({path("b")});
  request.key = "x/b";
  EXPECT_EQ(load(request).documents.front().content, bytes);
  EXPECT_EQ(load(request).documents.front().key, "x/b");
  request.paths = {path("empty")};
  EXPECT_EQ(load(request).documents.front().content, "");
}

TEST_F(LoadTest, ValuesSplitAtTheFirstEquals) {
  const LoadedDocuments loaded = load(values({"b=x=y", "a=", "./c//d= v "}));
  EXPECT_THAT(keys(loaded), ElementsAre("a", "b", "c/d"));
  EXPECT_EQ(loaded.documents[0].content, "");
  EXPECT_EQ(loaded.documents[1].content, "x=y");
  EXPECT_EQ(loaded.documents[2].content, " v ");
}

TEST_F(LoadTest, WhatIsNoKeyIsRefusedWithAWayOut) {
  file("f", "1");
  EXPECT_THAT(refused(paths({path("f")})).hint, HasSubstr("--key"));  // Absolute.
  EXPECT_THAT(refused(values({"novalue"})).message, HasSubstr("has no '='"));
  EXPECT_THAT(refused(values({"=x"})).message, HasSubstr("--value"));
  EXPECT_EQ(refused(values({"../x=1"})).code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(refused(values({std::string("a\nb=1")})).code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(refused(values({std::string("a\xff=1")})).code, ErrorCode::kInvalidArgument);
  EXPECT_THAT(refused(values({"a=1", "./a=2"})).message, HasSubstr("is given twice"));
  EXPECT_THAT(refused(paths({"-"})).hint, HasSubstr("--key"));
  EXPECT_EQ(refused(paths({path("missing")})).code, ErrorCode::kNotFound);
  EXPECT_EQ(refused(paths({""})).code, ErrorCode::kInvalidArgument);
  LoadRequest keyed = paths({path("f"), path("f")});
  keyed.key = "k";
  EXPECT_THAT(refused(keyed).message, HasSubstr("2 files are given"));
  keyed.paths = {directory_.path().string()};
  EXPECT_THAT(refused(keyed).message, HasSubstr("is a directory"));
  LoadRequest under = values({"a=1"});
  for (const char* wrong : {"/", "..", "a/../..", "/abs"}) {
    under.under = wrong;
    EXPECT_THAT(refused(under).message, HasSubstr("--under")) << wrong;
  }
}

TEST_F(LoadTest, NoKeyMayStepOutOfUnder) {
  LoadRequest request = values({"../x=1"});
  request.under = "a";
  const Result<LoadedDocuments> loaded = load_documents(request);
  EXPECT_FALSE(loaded.has_value()) << "a key left --under: " << keys(*loaded).front();
}

TEST_F(LoadTest, AFileThatIsTooLargeIsNotReadWhole) {
  file("big", "");
  std::filesystem::resize_file(path("big"), (16u << 20) + 1);
  LoadRequest request = paths({path("big")});
  request.key = "big";
  EXPECT_EQ(refused(request).code, ErrorCode::kTooLarge);
  std::filesystem::resize_file(path("big"), std::uintmax_t{1} << 40);  // Sparse: reading it would not end.
  EXPECT_EQ(refused(request).code, ErrorCode::kTooLarge);
  std::filesystem::resize_file(path("big"), 16u << 20);
  EXPECT_EQ(load(request).bytes, 16u << 20);
}

}  // namespace
}  // namespace st8::ctl
