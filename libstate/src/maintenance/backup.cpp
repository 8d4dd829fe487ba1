#include "maintenance/backup.h"

#include <optional>

#include "base/sha256_stream.h"
#include "engine/keyspace.h"
#include "maintenance/fsck.h"
#include "st8/state/failpoint.h"
#include "st8/state/hash.h"

namespace st8::state {
namespace maintenance {
namespace {

constexpr std::string_view kMagic{"ST8BKUP\0", 8};
constexpr std::uint32_t kVersion = 1;
constexpr char kRecordsFrame = 1;
constexpr char kTrailerFrame = 2;
constexpr std::size_t kFrameHeaderBytes = 5;
constexpr std::size_t kChecksumBytes = 8;
constexpr std::size_t kTrailerBytes = 8 + 8 + Hash::kSize;
constexpr std::size_t kFrameBytesTarget = 256u << 10;
constexpr std::size_t kFrameBytesMax = 64u << 20;
constexpr std::size_t kRestoreBatchBytes = 4u << 20;

std::uint64_t read_number(std::string_view bytes) {
  std::uint64_t value = 0;
  for (char byte : bytes) value = value << 8 | static_cast<unsigned char>(byte);
  return value;
}

tl::unexpected<Error> damaged(std::uint64_t offset, std::string_view what) {
  std::string message = "the backup is damaged at byte " + std::to_string(offset) + ": ";
  message += what;
  return fail(ErrorCode::kCorrupt, std::move(message),
              "Use another copy of it; what was restored from this one must not be used.");
}

// Frames go out through here, so that digest and frame checksums cover what was really written.
class StreamWriter {
 public:
  explicit StreamWriter(const std::function<Status(std::string_view)>& sink) : sink_(sink) {}

  Status write(std::string_view bytes) {
    digest_.update(bytes);
    return sink_(bytes);
  }
  Status write_frame(char type, std::string_view payload) {
    std::string frame(1, type);
    keyspace::append_u32(frame, static_cast<std::uint32_t>(payload.size()));
    frame += payload;
    frame += Hash::of(frame).view().substr(0, kChecksumBytes);
    return write(frame);
  }
  Hash digest() const { return digest_.digest(); }

 private:
  const std::function<Status(std::string_view)>& sink_;
  Sha256Stream digest_;
};

// Gives exact numbers of bytes from a source that gives what it has.
class StreamReader {
 public:
  explicit StreamReader(const std::function<Result<std::string>()>& source) : source_(source) {}

  // Exactly `count` bytes, valid until the next call.
  Result<std::string_view> read(std::size_t count) {
    // Moved to the front only when most of it is spent, so that a source that gives all at once costs no more.
    if (taken_ > buffer_.size() / 2) {
      buffer_.erase(0, taken_);
      taken_ = 0;
    }
    while (buffer_.size() - taken_ < count) {
      ST8_ASSIGN(const std::string more, source_());
      if (more.empty()) return damaged(offset_ + buffer_.size() - taken_, "it ends here");
      buffer_ += more;
    }
    const std::string_view bytes = std::string_view(buffer_).substr(taken_, count);
    taken_ += count;
    offset_ += count;
    digest_.update(bytes);
    return bytes;
  }
  // Whether the source has nothing more to give.
  Result<bool> at_end() {
    if (buffer_.size() > taken_) return false;
    ST8_ASSIGN(const std::string more, source_());
    buffer_ += more;
    return more.empty();
  }
  std::uint64_t offset() const { return offset_; }
  Hash digest() const { return digest_.digest(); }

 private:
  const std::function<Result<std::string>()>& source_;
  std::string buffer_;
  std::size_t taken_ = 0;     // Of buffer_, already given.
  std::uint64_t offset_ = 0;  // In the stream, behind what was given.
  Sha256Stream digest_;
};

struct Frame {
  char type = 0;
  std::string payload;
  std::uint64_t offset = 0;  // Of the frame in the stream.
};

Result<Frame> read_frame(StreamReader& reader) {
  Frame frame;
  frame.offset = reader.offset();
  ST8_ASSIGN(const std::string_view header_bytes, reader.read(kFrameHeaderBytes));
  const std::string header(header_bytes);
  frame.type = header[0];
  const std::uint64_t length = read_number(std::string_view(header).substr(1));
  const bool length_fits = frame.type == kRecordsFrame   ? length >= 8 && length <= kFrameBytesMax
                           : frame.type == kTrailerFrame ? length == kTrailerBytes
                                                         : false;
  if (!length_fits) return damaged(frame.offset, "no frame begins so");
  ST8_ASSIGN(const std::string_view payload, reader.read(length));
  frame.payload = payload;
  const Hash expected = Hash::of_parts({header, frame.payload});
  ST8_ASSIGN(const std::string_view checksum, reader.read(kChecksumBytes));
  if (checksum != expected.view().substr(0, kChecksumBytes))
    return damaged(frame.offset, "the frame's checksum does not match");
  return frame;
}

// Fills an engine, and keeps to what a stream must be.
class Restorer {
 public:
  explicit Restorer(Engine& engine) : engine_(engine) {}

  Status take(const Frame& frame) {
    std::string_view rest = frame.payload;
    const auto take_part = [&rest]() -> std::optional<std::string_view> {
      if (rest.size() < 4) return std::nullopt;
      const std::uint64_t length = read_number(rest.substr(0, 4));
      if (rest.size() - 4 < length) return std::nullopt;
      const std::string_view part = rest.substr(4, length);
      rest.remove_prefix(4 + length);
      return part;
    };
    while (!rest.empty()) {
      const auto key = take_part();
      const auto value = key ? take_part() : std::nullopt;
      if (!value) return damaged(frame.offset, "a record of this frame is cut short");
      if (count_ > 0 && *key <= last_key_) return damaged(frame.offset, "the records of this frame are out of order");
      last_key_ = *key;
      ++count_;
      bytes_ += key->size() + value->size();
      batch_.put(std::string(*key), std::string(*value));
    }
    if (batch_.bytes() < kRestoreBatchBytes) return {};
    return flush(Durability::kBuffered);
  }
  Status flush(Durability durability) {
    ST8_FAILPOINT("restore.before_batch");
    ST8_TRY(engine_.commit(batch_, {}, durability));
    batch_.clear();
    return {};
  }
  std::uint64_t count() const { return count_; }
  std::uint64_t bytes() const { return bytes_; }

 private:
  Engine& engine_;
  Batch batch_;
  std::string last_key_;
  std::uint64_t count_ = 0;
  std::uint64_t bytes_ = 0;
};

Status check_empty(const Engine& engine) {
  const auto cursor = engine.scan({});
  ST8_TRY(cursor->status());
  if (!cursor->valid()) return {};
  if (cursor->key() == restoring_key()) {
    return fail(ErrorCode::kConflict, "an earlier restore into this store did not end well",
                "Delete the directory and restore into a new one.");
  }
  return fail(ErrorCode::kConflict, "the store to restore into is not empty",
              "Restore into a directory that does not exist yet.");
}

// The stream is what was written; that what was written is a sound store, fsck says.
Status prove_restored(const Engine& engine) {
  ST8_ASSIGN(const FsckReport report, fsck_engine(engine, {}));
  if (report.clean()) return {};
  const FsckProblem& first = report.problems.front();
  return fail(
      ErrorCode::kCorrupt,
      "the backup is whole, and the store in it was damaged when it was made: " + std::to_string(report.problem_count) +
          " problem(s), the first in namespace " + first.name_space + ", " + first.object + ": " + first.problem,
      "Use an older backup; what was restored from this one must not be used.");
}

Result<BackupReport> read_stream(Restorer& restorer, StreamReader& reader) {
  ST8_ASSIGN(const std::string_view magic, reader.read(kMagic.size()));
  if (magic != kMagic) return damaged(0, "this is no st8 backup");
  ST8_ASSIGN(const std::string_view version_bytes, reader.read(4));
  const std::uint64_t version = read_number(version_bytes);
  if (version != kVersion) {
    return fail(ErrorCode::kInvalidArgument,
                "the backup has format version " + std::to_string(version) + "; this program reads version " +
                    std::to_string(kVersion),
                "Restore it with the version of st8 that made it, or a newer one.");
  }
  while (true) {
    const Hash digest_before = reader.digest();
    ST8_ASSIGN(const Frame frame, read_frame(reader));
    if (frame.type == kRecordsFrame) {
      ST8_TRY(restorer.take(frame));
      continue;
    }
    const std::string_view trailer = frame.payload;
    if (read_number(trailer.substr(0, 8)) != restorer.count() ||
        read_number(trailer.substr(8, 8)) != restorer.bytes()) {
      return damaged(frame.offset, "its trailer counts other records than it holds");
    }
    if (trailer.substr(16) != digest_before.view()) return damaged(frame.offset, "its digest does not match");
    ST8_ASSIGN(const bool at_end, reader.at_end());
    if (!at_end) return damaged(reader.offset(), "there is more behind the trailer");
    return BackupReport{restorer.count(), reader.offset(), reader.digest().hex()};
  }
}

}  // namespace

std::string restoring_key() { return std::string(1, static_cast<char>(keyspace::Table::kMeta)) + "!restoring"; }

Result<BackupReport> write_backup(const Engine& engine, const std::function<Status(std::string_view)>& sink) {
  const std::unique_ptr<EngineSnapshot> snapshot = engine.snapshot();
  std::uint64_t stream_bytes = 0;
  Sha256Stream whole;
  const std::function<Status(std::string_view)> counted = [&](std::string_view bytes) -> Status {
    stream_bytes += bytes.size();
    whole.update(bytes);
    return sink(bytes);
  };
  StreamWriter writer(counted);
  std::string header(kMagic);
  keyspace::append_u32(header, kVersion);
  ST8_TRY(writer.write(header));

  BackupReport report;
  std::uint64_t record_bytes = 0;
  std::string payload;
  const auto cursor = engine.scan({}, snapshot.get());
  for (; cursor->valid(); cursor->next()) {
    const std::string_view key = cursor->key();
    const std::string_view value = cursor->value();
    const std::size_t record = key.size() + value.size() + 8;
    if (record > kFrameBytesMax) {
      return fail(ErrorCode::kTooLarge,
                  "a record of " + std::to_string(value.size()) + " bytes does not fit a backup's frame");
    }
    if (!payload.empty() && payload.size() + record > kFrameBytesTarget) {
      ST8_TRY(writer.write_frame(kRecordsFrame, payload));
      payload.clear();
    }
    keyspace::append_u32(payload, static_cast<std::uint32_t>(key.size()));
    payload += key;
    keyspace::append_u32(payload, static_cast<std::uint32_t>(value.size()));
    payload += value;
    ++report.records;
    record_bytes += key.size() + value.size();
  }
  ST8_TRY(cursor->status());
  if (!payload.empty()) {
    ST8_TRY(writer.write_frame(kRecordsFrame, payload));
  }

  std::string trailer;
  keyspace::append_u64(trailer, report.records);
  keyspace::append_u64(trailer, record_bytes);
  trailer += writer.digest().view();
  ST8_TRY(writer.write_frame(kTrailerFrame, trailer));
  report.bytes = stream_bytes;
  report.sha256 = whole.digest().hex();
  return report;
}

}  // namespace maintenance

Result<BackupReport> restore_backup(Engine& engine, const std::function<Result<std::string>()>& source) {
  using namespace maintenance;
  ST8_TRY(check_empty(engine));
  Batch mark;
  mark.put(restoring_key(), "1");
  ST8_TRY(engine.commit(mark, {}, Durability::kSynced));

  Restorer restorer(engine);
  StreamReader reader(source);
  ST8_ASSIGN(BackupReport report, read_stream(restorer, reader));
  ST8_TRY(restorer.flush(Durability::kSynced));
  ST8_TRY(prove_restored(engine));

  Batch unmark;
  unmark.erase(restoring_key());
  ST8_TRY(engine.commit(unmark, {}, Durability::kSynced));
  return report;
}

}  // namespace st8::state
