// Tokens, policies and globs.
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <string>

#include "auth/authenticator.h"
#include "auth/glob.h"
#include "auth/policy.h"
#include "st8/state/hash.h"

namespace st8::auth {
namespace {

TEST(AuthGlob, MatchesAsTheReference) {
  struct Case {
    std::string_view pattern, text;
    bool match;
  };
  for (const Case& c : std::initializer_list<Case>{
           {"*", "a/b/c", true},
           {"*", "", true},
           {"a/*", "a/b", true},
           {"a/*", "a/b/c", false},
           {"a/*", "a/", true},
           {"a/*", "a", false},
           {"*/b", "a/b", true},
           {"*/b", "a/c/b", false},
           {"a*c", "abbc", true},
           {"a*c", "ab/c", false},
           {"a*b*c", "aXbYbZc", true},
           {"a*b*c", "aXbYbZ", false},
           {"a?c", "abc", true},
           {"a?c", "a/c", false},
           {"[a-c]x", "bx", true},
           {"[a-c]x", "dx", false},
           {"[^a-c]x", "dx", true},
           {"[^a-c]x", "/x", false},
           {"\\*", "*", true},
           {"\\*", "a", false},
           {"[a", "a", false},
           {"a\\", "a", false},
           {"prod", "production", false},
           {"production", "prod", false},
           {"**", "a/b", false},
           {"", "", true},
           {"", "a", false},
           {"*a*a*a*a*b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", false},
       }) {
    EXPECT_EQ(glob_match(c.pattern, c.text), c.match) << c.pattern << " " << c.text;
  }
}

TEST(AuthGlob, ChecksPatterns) {
  for (const std::string_view good : {"*", "a", "a/*", "[a-z]?", "\\[", "[\\]]", "a**b"})
    EXPECT_TRUE(check_glob(good)) << good;
  for (const std::string_view bad : {"", "[", "[]", "[a", "a\\", "[a-", "[-a]", "[a-]"})
    EXPECT_FALSE(check_glob(bad)) << bad;
}

constexpr std::string_view kTokens = R"(
tokens:
  - token: plain-token-that-is-long-enough
    name: ci
    allow:
      namespaces: ["payments/*"]
      branches: [main, "release/*"]
      key_prefix: app/
      verbs: [read, write]
  - name: ops
    token_sha256: d9310c002af91822beb0b3487d8b04f85bf6bf1f8a5496bff7d35fc7c5a29def
    allow: {namespaces: ["*"], branches: ["*"], verbs: [admin]}
)";  // The SHA-256 of "ops-token".

TEST(Authenticator, KnowsPlainAndHashedTokens) {
  ASSERT_EQ(Hash::of("ops-token").hex(), "d9310c002af91822beb0b3487d8b04f85bf6bf1f8a5496bff7d35fc7c5a29def");
  const auto auth = Authenticator::from_yaml(kTokens);
  ASSERT_TRUE(auth) << auth.error().message;
  const auto ci = (*auth)->authenticate("Bearer plain-token-that-is-long-enough");
  ASSERT_TRUE(ci);
  EXPECT_EQ((*ci)->name, "ci");
  EXPECT_FALSE(denied(**ci, Verb::kWrite, {"payments/prod", "release/1", "app/a.json"}));
  EXPECT_TRUE(denied(**ci, Verb::kAdmin, {}));
  EXPECT_TRUE(denied(**ci, Verb::kRead, {"payments/prod/eu", {}, {}}));
  EXPECT_TRUE(denied(**ci, Verb::kRead, {"payments/prod", "experiment", {}}));
  EXPECT_TRUE(denied(**ci, Verb::kRead, {"payments/prod", "main", "db/a.json"}));
  const auto ops = (*auth)->authenticate("bearer  ops-token");
  ASSERT_TRUE(ops);
  EXPECT_TRUE(denied(**ops, Verb::kRead, {})) << "no verb implies another";
  for (const std::string header : {"", "Bearer", "Bearer ", "Bearer nope", "Basic b3BzLXRva2Vu", "ops-token",
                                   "Bearer ops-toke", "Bearer ops-token2"}) {
    const auto refused = (*auth)->authenticate(header);
    ASSERT_FALSE(refused) << header;
    EXPECT_EQ(refused.error().code, ErrorCode::kUnauthenticated);
  }
  EXPECT_FALSE((*auth)->authenticate("Bearer d9310c002af91822beb0b3487d8b04f85bf6bf1f8a5496bff7d35fc7c5a29def"))
      << "the hash itself is no token";
}

TEST(Authenticator, KnowsSaltedTokensAndSaltsThemAfresh) {
  const auto first = hash_token("secret-token"), second = hash_token("secret-token");
  ASSERT_TRUE(first && second);
  EXPECT_NE(*first, *second);
  EXPECT_EQ(first->find("secret-token"), std::string::npos);
  const std::string yaml = "tokens:\n  - name: a\n    token_hash: \"" + *first +
                           "\"\n    allow: {namespaces: ['*'], branches: ['*'], verbs: [read]}\n";
  const auto auth = Authenticator::from_yaml(yaml);
  ASSERT_TRUE(auth) << auth.error().message;
  for (int i = 0; i < 3; ++i) EXPECT_TRUE((*auth)->authenticate("Bearer secret-token"));
  EXPECT_FALSE((*auth)->authenticate("Bearer secret-tokem"));
  EXPECT_TRUE((*auth)->warnings().empty());
}

TEST(Authenticator, GeneratesLongDifferentTokens) {
  const auto first = generate_token(), second = generate_token();
  ASSERT_TRUE(first && second);
  EXPECT_NE(*first, *second);
  EXPECT_EQ(first->size(), 4u + 43u);
  EXPECT_TRUE(first->starts_with("st8_"));
}

TEST(Authenticator, WarnsOfPlainShortAndUselessTokens) {
  const auto auth = Authenticator::from_yaml("tokens:\n  - {name: a, token: short}\n");
  ASSERT_TRUE(auth);
  const auto warnings = (*auth)->warnings();
  ASSERT_EQ(warnings.size(), 3u);
  EXPECT_NE(warnings[0].find("plain"), std::string::npos);
  EXPECT_NE(warnings[1].find("guessed"), std::string::npos);
  EXPECT_NE(warnings[2].find("allows nothing"), std::string::npos);
  for (const std::string& warning : warnings)
    EXPECT_EQ(warning.find(" short,"), std::string::npos) << "never the token itself";
}

TEST(Authenticator, RefusesABadFileAndSaysWhere) {
  struct Case {
    std::string yaml, says;
  };
  for (const Case& c : std::initializer_list<Case>{
           {"tokens: [", "line"},
           {"toknes: []", "\"toknes\" is not a field"},
           {"tokens:\n  - {name: a}", "exactly one of"},
           {"tokens:\n  - {name: a, token: x, token_sha256: y}", "exactly one of"},
           {"tokens:\n  - {name: a, token_sha256: y}", "64 hexadecimal digits"},
           {"tokens:\n  - {name: a, token_hash: y}", "token_hash"},
           {"tokens:\n  - {token: x, allow: {verb: [read]}}", "\"verb\" is not a field"},
           {"tokens:\n  - {token: x, allow: {verbs: [reed]}}", "\"reed\" is not a verb"},
           {"tokens:\n  - {token: x, allow: {namespaces: ['[a']}}", "malformed"},
           {"tokens:\n  - {token: x, allow: {namespaces: prod}}", "must be a list"},
           {"tokens:\n  - {token: x}\n  - {token: x}", "same token"},
           {"tokens:\n  - {token: x, token: y}", "twice"},
           {"- a", "must be a mapping"},
       }) {
    const auto auth = Authenticator::from_yaml(c.yaml);
    ASSERT_FALSE(auth) << c.yaml;
    EXPECT_NE(auth.error().message.find(c.says), std::string::npos) << c.yaml << ": " << auth.error().message;
  }
}

TEST(Authenticator, ReloadsWholeOrNotAtAll) {
  const auto path = std::filesystem::temp_directory_path() / ("st8-auth-test-" + std::to_string(::getpid()) + ".yaml");
  const auto write = [&](const std::string& text) { std::ofstream(path, std::ios::trunc) << text; };
  const std::string allow = "allow: {namespaces: ['*'], branches: ['*'], verbs: [read]}";
  write("tokens:\n  - {name: a, token: first, " + allow + "}\n");
  const auto auth = Authenticator::create({"", path.string()});
  ASSERT_TRUE(auth) << auth.error().message;
  const auto first = (*auth)->authenticate("Bearer first");
  ASSERT_TRUE(first);
  write("tokens: [oh no");
  EXPECT_FALSE((*auth)->reload());
  EXPECT_TRUE((*auth)->authenticate("Bearer first")) << "a bad file leaves the tokens as they were";
  EXPECT_TRUE((*auth)->still_valid(**first));
  write("tokens:\n  - {name: a, token: second, " + allow + "}\n");
  EXPECT_TRUE((*auth)->reload());
  EXPECT_FALSE((*auth)->authenticate("Bearer first"));
  EXPECT_TRUE((*auth)->authenticate("Bearer second"));
  EXPECT_FALSE((*auth)->still_valid(**first)) << "the token was replaced";
  std::filesystem::remove(path);
  EXPECT_FALSE((*auth)->reload());
  EXPECT_TRUE((*auth)->authenticate("Bearer second"));
}

TEST(Authenticator, WithoutTokensEverybodyMayDoEverythingAndIsNamedAnonymous) {
  const auto auth = Authenticator::create({});
  ASSERT_TRUE(auth);
  EXPECT_TRUE((*auth)->anonymous());
  const auto caller = (*auth)->authenticate("");
  ASSERT_TRUE(caller);
  EXPECT_EQ((*caller)->name, "anonymous");
  EXPECT_FALSE(denied(**caller, Verb::kAdmin, {"x/y", "z", "k"}));
}

TEST(Authenticator, TheAdminTokenStandsBesideTheFile) {
  const auto auth = Authenticator::from_yaml(kTokens, "root-token");
  ASSERT_TRUE(auth);
  EXPECT_EQ((*(*auth)->authenticate("Bearer root-token"))->name, "admin");
  EXPECT_EQ((*(*auth)->authenticate("Bearer ops-token"))->name, "ops");
}

TEST(AuthPolicy, NarrowsPrefixes) {
  Principal limited;
  limited.allow.key_prefix = "app/";
  EXPECT_EQ(narrowed_prefix(limited, ""), "app/");
  EXPECT_EQ(narrowed_prefix(limited, "ap"), "app/");
  EXPECT_EQ(narrowed_prefix(limited, "app/x"), "app/x");
  EXPECT_EQ(narrowed_prefix(limited, "db/"), std::nullopt);
}

}  // namespace
}  // namespace st8::auth
