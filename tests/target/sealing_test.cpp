// Sealed values: what opens, what does not, and that no error tells a value.
#include "st8/target/sealing.h"

#include <fstream>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "st8/target/planner.h"
#include "support/temp_directory.h"

namespace st8::target {
namespace {

using testing::HasSubstr;
using testing::Not;

std::string key() { return *generate_sealing_key(); }
Keyring ring_of(const std::string& lines) { return *Keyring::parse(lines); }
std::string name_in(const std::string& expression) { return expression.substr(3, expression.size() - 6); }

TEST(Sealing, OpensWhatItSealedInItsNamespaceOnly) {
  const Keyring ring = ring_of(key());
  for (const std::string& value :
       {std::string("s3cret"), std::string("\0\xff\n", 3), std::string(kSealedValueBytesMax, 'x')}) {
    const std::string sealed = *ring.seal("shop", value);
    EXPECT_TRUE(sealed.starts_with("{{ sealed.v1.") && sealed.ends_with(" }}")) << sealed.substr(0, 40);
    EXPECT_EQ(*ring.open("shop", name_in(sealed)), value);
    EXPECT_EQ(sealed, *ring.seal("shop", value)) << "the same value makes no new revision";
    EXPECT_NE(sealed, *ring.seal("bank", value));
    const auto elsewhere = ring.open("bank", name_in(sealed));
    ASSERT_FALSE(elsewhere);
    EXPECT_THAT(elsewhere.error().message, HasSubstr("another namespace"));
  }
}

TEST(Sealing, NoAlteredDigitOpens) {
  const Keyring ring = ring_of(key());
  const std::string sealed = name_in(*ring.seal("shop", "hunter2 hunter2"));
  for (std::size_t i = 0; i < sealed.size(); ++i) {
    std::string altered = sealed;
    altered[i] = altered[i] == 'A' ? 'B' : 'A';
    const auto opened = ring.open("shop", altered);
    ASSERT_FALSE(opened) << i;
    EXPECT_THAT(opened.error().message, Not(HasSubstr("hunter2")));
  }
  for (const std::size_t length :
       {std::size_t{0}, std::size_t{9}, std::size_t{18}, sealed.size() / 2, sealed.size() - 1}) {
    EXPECT_FALSE(ring.open("shop", sealed.substr(0, length))) << length;
  }
  EXPECT_FALSE(ring.open("shop", sealed + "A"));
}

TEST(Sealing, TheFirstKeySealsAndAllOpen) {
  const std::string old_key = key(), new_key = key();
  const std::string before = name_in(*ring_of(old_key).seal("shop", "v"));
  const Keyring both = ring_of("# the new one\n" + new_key + "\n\n" + old_key + "\n");
  EXPECT_EQ(*both.open("shop", before), "v");
  EXPECT_EQ(*ring_of(new_key).open("shop", name_in(*both.seal("shop", "v"))), "v");
  const auto missing = ring_of(new_key).open("shop", before);
  ASSERT_FALSE(missing);
  EXPECT_THAT(missing.error().message, HasSubstr("a key that st8d does not have"));
}

TEST(Sealing, RefusesBadKeysAndValues) {
  const std::string good = key();
  for (const std::string& bad :
       {std::string(), std::string("# nothing\n"), std::string("hello"), good.substr(0, good.size() - 2), good + "A",
        good + "\n" + good, std::string("st8-sealing-key-1 ") + std::string(86, '!')}) {
    const auto ring = Keyring::parse(bad);
    ASSERT_FALSE(ring) << bad;
    EXPECT_THAT(ring.error().message, Not(HasSubstr(good.substr(20, 10)))) << "an error holds no key";
  }
  const Keyring ring = ring_of(good);
  EXPECT_EQ(ring.seal("shop", "").error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(ring.seal("shop", std::string(kSealedValueBytesMax + 1, 'x')).error().code, ErrorCode::kTooLarge);
  EXPECT_EQ(Keyring().seal("shop", "v").error().code, ErrorCode::kUnprocessable);
}

TEST(Sealing, AKeyFileIsItsOwnersAlone) {
  const st8::test::TempDirectory directory;
  const std::string file = (directory.path() / "keys").string();
  EXPECT_EQ(Keyring::load(file).error().code, ErrorCode::kNotFound);
  std::ofstream(file) << key() << "\n";
  ASSERT_EQ(::chmod(file.c_str(), 0640), 0);
  const auto shared = Keyring::load(file);
  ASSERT_FALSE(shared);
  EXPECT_EQ(shared.error().code, ErrorCode::kPermissionDenied);
  EXPECT_THAT(shared.error().hint, HasSubstr("chmod 600"));
  ASSERT_EQ(::chmod(file.c_str(), 0600), 0);
  EXPECT_TRUE(Keyring::load(file));
}

TEST(Sealing, RenderingOpensValuesAndDocumentsThatAreOne) {
  const Keyring ring = ring_of(key());
  std::vector<DocumentProblem> problems;
  const auto target = parse_target(*TargetName::parse("web"), "kind: file\nspec: {root: /srv/x}\n", problems);
  ASSERT_TRUE(target);
  RenderSources sources;
  const std::string sealed = *ring.seal("shop", "p{{ss");
  sources.open = [&](std::string_view name) { return ring.open("shop", name); };
  sources.read = [&](const std::string& document) -> Result<std::string> {
    return document == "password" ? Result<std::string>(sealed + "\n") : Result<std::string>("plain " + sealed);
  };
  EXPECT_EQ(*render("a: " + sealed + "\n", *target, sources), "a: p{{ss\n");
  EXPECT_EQ(*render("{{ key.password }}", *target, sources), "p{{ss");
  EXPECT_EQ(*render("{{ key.other }}", *target, sources), "plain " + sealed)
      << "a document is taken as it is, unless it is one sealed value";
  sources.open = nullptr;
  EXPECT_EQ(render("{{ key.password }}", *target, sources).error().code, ErrorCode::kUnprocessable);
}

}  // namespace
}  // namespace st8::target
