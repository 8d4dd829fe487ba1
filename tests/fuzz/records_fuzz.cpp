// Stored records: whatever bytes a damaged disk gives, a decoder says kCorrupt or takes exactly what its encoder makes.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "codec/records.h"

namespace {

using namespace st8;
using namespace st8::state;

void require(bool holds) {
  if (!holds) std::abort();
}

// What was decoded must encode to the same bytes; what was refused must say why.
template <class Decoded, class Encode>
void round_trip(const Result<Decoded>& decoded, std::string_view bytes, const Encode& encode) {
  if (decoded) {
    require(encode(*decoded) == bytes);
  } else {
    require(decoded.error().code == ErrorCode::kCorrupt && !decoded.error().message.empty());
  }
}

}  // namespace

// The first byte says which record.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  const auto plain = [](const auto& record) { return codec::encode(record); };
  switch (data[0] % 9) {
    case 0:
      round_trip(codec::decode_revision(bytes, RevisionNumber{7}), bytes, [](const codec::RevisionRecord& record) {
        const std::string hashed = codec::encode_hashed_revision(record.revision);
        require(codec::hash_revision(hashed) == record.revision.hash && record.revision.number.value == 7);
        return codec::encode_revision(record, hashed);
      });
      break;
    case 1:
      round_trip(codec::decode_namespace(bytes), bytes, plain);
      break;
    case 2:
      round_trip(codec::decode_counters(bytes), bytes, plain);
      break;
    case 3:
      round_trip(codec::decode_branch(bytes), bytes, plain);
      break;
    case 4:
      round_trip(codec::decode_checkpoint(bytes), bytes, plain);
      break;
    case 5:
      round_trip(codec::decode_operations(bytes, 100), bytes, plain);
      break;
    case 6:
      round_trip(codec::decode_idempotency(bytes), bytes, plain);
      break;
    case 7:
      round_trip(codec::decode_idempotency_expiry(bytes), bytes, plain);
      break;
    default:
      round_trip(codec::decode_garbage(bytes), bytes, plain);
      break;
  }
  return 0;
}
