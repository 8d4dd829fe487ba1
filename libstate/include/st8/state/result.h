// The error and result types that every st8 library returns; nothing in st8 throws across an interface.
//
// An Error carries a stable code (what class of thing went wrong), a message (what and why) and a hint (what to do
// next). The code picks the HTTP status and the exit code through one table (see error_code.h); the message is for
// people and may change.
#pragma once

#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <utility>

#include "st8/state/error_code.h"

namespace st8 {

struct Error {
  ErrorCode code = ErrorCode::kInternal;
  std::string message;  // What happened and why, one sentence, no trailing newline.
  std::string hint;     // What to do next; may be empty.

  friend bool operator==(const Error&, const Error&) = default;
};

// A value or an Error. Never ignored silently: the compiler warns when a result is dropped.
template <class T>
class [[nodiscard]] Result : public tl::expected<T, Error> {
 public:
  using tl::expected<T, Error>::expected;
};

using Status = Result<void>;

// Makes an error to return: `return fail(ErrorCode::kNotFound, "...", "...");`
inline tl::unexpected<Error> fail(ErrorCode code, std::string message, std::string hint = {}) {
  return tl::unexpected<Error>(Error{code, std::move(message), std::move(hint)});
}
inline tl::unexpected<Error> fail(Error error) { return tl::unexpected<Error>(std::move(error)); }

}  // namespace st8

#define ST8_CONCAT_INNER(a, b) a##b
#define ST8_CONCAT(a, b) ST8_CONCAT_INNER(a, b)

// Returns the error of `expr` to the caller, if it has one.
#define ST8_TRY(expr)                                    \
  do {                                                   \
    if (auto st8_status = (expr); !st8_status) {         \
      return ::st8::fail(std::move(st8_status).error()); \
    }                                                    \
  } while (false)

// Binds the value of `expr` to `decl`, or returns its error: ST8_ASSIGN(auto view, store.view(...));
#define ST8_ASSIGN(decl, expr) ST8_ASSIGN_INNER(ST8_CONCAT(st8_result_, __LINE__), decl, expr)
#define ST8_ASSIGN_INNER(tmp, decl, expr)       \
  auto tmp = (expr);                            \
  if (!tmp) {                                   \
    return ::st8::fail(std::move(tmp).error()); \
  }                                             \
  decl = std::move(*tmp)
