// Tokens: from a YAML file (reloaded while running), a single admin token, or none at all.
//
//   tokens:
//     - name: deploy                       # shown in logs, operations and authors
//       token_hash: "st8-hmac-sha256:<salt>:<digest>"   # as `st8d token hash` prints it
//       allow:
//         namespaces: ["payments/*"]
//         branches: ["main", "release/*"]
//         key_prefix: "app/"
//         verbs: [read, write]
//
// In place of `token_hash`: `token_sha256: <64 hex digits>` (what sha256sum prints), or `token: <plain>` (warned about).
//
// Why a fast hash: a token is at least 128 bits of randomness, not a password; nobody can enumerate 2^128 of them, however fast the
// hash is, so a slow one would only give a flood of bad tokens a lever on the server's CPU. The salt keeps two files from showing
// that they hold the same token. Short tokens, where that reasoning fails, are warned about.
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "auth/policy.h"
#include "st8/state/result.h"

namespace st8::auth {

class TokenSet;

class Authenticator {
 public:
  struct Options {
    std::string admin_token;  // A token with every verb everywhere, named "admin"; empty: none.
    std::string
        token_file;  // YAML; empty: none. With neither, every caller is the anonymous principal, who may do everything.
  };

  // Errors: kInvalidArgument (the file, with line and field), kNotFound and kUnavailable (reading it).
  static Result<std::unique_ptr<Authenticator>> create(Options options);
  // As create() with a token file of that text; for tests.
  static Result<std::unique_ptr<Authenticator>> from_yaml(std::string_view yaml, std::string admin_token = {});
  ~Authenticator();

  // Who sends this Authorization header ("Bearer <token>"; the scheme in any case). Errors: kUnauthenticated. Constant time in what
  // the token is. Cost: two short SHA-256 once a token was seen, one HMAC for each salted token before that. Thread-safe.
  Result<std::shared_ptr<const Principal>> authenticate(std::string_view authorization) const;

  // Reads the file again and takes it over whole; on an error the tokens stay as they were. Thread-safe.
  Status reload();

  // Whether a principal's token is still there with the same rights; false after it was removed or changed by a reload. For what
  // outlives a request. Cost: one look at each token.
  bool still_valid(const Principal& principal) const;

  bool anonymous() const { return options_.admin_token.empty() && options_.token_file.empty() && !from_text_; }
  // About the tokens as they are now: plain or short tokens, entries that allow nothing.
  std::vector<std::string> warnings() const;

 private:
  explicit Authenticator(Options options);
  std::shared_ptr<const TokenSet> current() const;

  Options options_;
  bool from_text_ = false;
  mutable std::mutex mutex_;  // Guards set_ alone; held for a pointer's copy.
  std::shared_ptr<const TokenSet> set_;
};

// "st8-hmac-sha256:<32 hex digits of salt>:<64 of HMAC-SHA-256(salt, token)>", with a fresh salt. kUnavailable without randomness.
Result<std::string> hash_token(std::string_view token);
// A new token: "st8_" and 256 bits of randomness in URL-safe Base64.
Result<std::string> generate_token();

}  // namespace st8::auth
