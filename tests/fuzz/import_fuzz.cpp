// Other tools' documents: refused with a place, or translated to documents that st8's own reader takes, with every field in the report.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "support/import_check.h"

namespace {

void check(std::string_view text, const st8::Result<st8::ctl::Imported>& imported) {
  if (!imported) {
    const bool known = imported.error().code == st8::ErrorCode::kUnprocessable ||
                       imported.error().code == st8::ErrorCode::kTooLarge ||
                       imported.error().code == st8::ErrorCode::kInvalidArgument;
    if (!known || imported.error().message.empty()) std::abort();
    return;
  }
  const std::string fault = st8::test::import_fault(text, *imported);
  if (!fault.empty()) {
    std::fprintf(stderr, "%s\n", fault.c_str());
    std::abort();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  check(text, st8::ctl::import_kitsune(text));
  check(text, st8::ctl::import_rollops(text));
  check(text, st8::ctl::import_argo(text));
  return 0;
}
