// A target: a place where documents become live; its document, and the contract of the drivers that reach it.
//
// A target's document is `targets/<name>.yaml` in the namespace `st8/system`:
//
//   kind: file                  # the driver
//   labels: {role: web, zone: a}
//   criticality: medium         # low | medium | high | critical; weighs in a plan's risk
//   env: prod                   # dev | staging | prod | any word
//   spec: {root: /srv/app}      # the driver's own part
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "st8/state/clock.h"
#include "st8/state/hash.h"
#include "st8/state/names.h"
#include "st8/state/result.h"
#include "st8/target/ids.h"

namespace st8::target {

enum class Criticality : std::uint8_t { kLow = 0, kMedium = 1, kHigh = 2, kCritical = 3 };
std::string_view criticality_name(Criticality criticality);

struct Target {
  TargetName name;
  std::string kind;
  std::vector<std::pair<std::string, std::string>> labels;  // By name.
  Criticality criticality = Criticality::kMedium;
  std::string env;
  std::string source;  // The whole document, as written: drivers read their `spec` from it, with its lines.

  std::optional<std::string_view> label(std::string_view key) const;
};

// One thing wrong with a document, where, and what was probably meant.
struct DocumentProblem {
  std::string file;  // The document's key.
  int line = 0;      // From 1; 0: the whole document.
  std::string path;  // "strategy.steps[2].setWeight".
  std::string message;
  std::string suggestion;  // May be empty.

  std::string str() const;  // "file:line: path: message (suggestion)"
};
// All problems as one Error (kUnprocessable): the first in the message, the suggestion as hint.
Error as_error(const std::vector<DocumentProblem>& problems);

// Reads and checks a target's document, its driver's spec included. Unknown fields, wrong types and doubled keys are
// problems. nullopt when there is any problem.
std::optional<Target> parse_target(const TargetName& name, std::string_view text,
                                   std::vector<DocumentProblem>& problems);

// --- What goes to a target -------------------------------------------------------------------------------------------

// A file as it shall be, or as it was found.
struct FileEntry {
  std::string path;           // Relative, forward slashes, no "." or "..".
  std::uint32_t mode = 0644;  // Permission bits.
  Hash hash;                  // SHA-256 of the bytes.
  friend bool operator==(const FileEntry&, const FileEntry&) = default;
};
// The name of a set of files: SHA-256 over path, mode and hash of each, in path order. It is what a plan promises and
// what a read-back must equal. `files` must be in path order without doubles.
Hash content_hash(std::span<const FileEntry> files);

// Errors: kInvalidArgument for a path that is empty, absolute, climbs out, or has a component no file system keeps.
Status check_relative_path(std::string_view path);

struct ContentFile {
  FileEntry entry;
  std::shared_ptr<const std::string> bytes;
};
struct Content {
  state::RevisionNumber revision;
  Hash hash;                       // content_hash() of the entries.
  std::vector<ContentFile> files;  // In path order.

  // What a version is called at the target: "<revision>-<first 12 digits of the hash>".
  std::string label() const;
};
std::string version_label(state::RevisionNumber revision, const Hash& content);

// What was found at a target: hashed from the bytes that are there, never from what was sent.
struct Observation {
  bool present = false;  // False: nothing of st8's is live there.
  Hash content;          // content_hash() of the files found; zero when not present.
  std::string label;     // The version's label as the target tells it; for people.
  friend bool operator==(const Observation&, const Observation&) = default;
};

// --- The driver contract ---------------------------------------------------------------------------------------------

using CancelFlag = std::shared_ptr<std::atomic<bool>>;

// Under what conditions a driver may act. Every call checks it before an effect, and ends soon after it says no.
struct CallContext {
  const Clock* clock = nullptr;
  std::chrono::nanoseconds deadline{};  // On clock->monotonic().
  CancelFlag cancelled;                 // May be null.
  std::uint64_t fencing_token = 0;  // Grows each time the target changes hands; an older one is refused at the target.
  // Names what to come back to: the state before the first activation that carried this name. Never reused.
  std::string restore_point;
  // Of activate: the target goes back to what the restore point names, by itself, when confirm() has not come within this time.
  // 0: it does not. A driver without the capability does nothing with it.
  std::chrono::milliseconds confirm{0};

  std::chrono::nanoseconds remaining() const { return deadline - clock->monotonic(); }
  // Errors: kUnavailable when cancelled or past the deadline.
  Status check() const;
};

struct Capabilities {
  bool stage = true;          // Content can lie at the target without being live.
  bool validate = true;       // What was staged can be read back.
  bool atomic_switch = true;  // Readers see the old version or the new one, nothing between.
  bool restore = true;        // What was there can be put back, bytes, modes and absence.
  bool weight = false;        // A part of the traffic can be sent to the new version.
  bool confirm = false;       // The target goes back by itself when it is not confirmed.
};

// One target, reached. Every call is idempotent: done twice, or cut short and done again, it ends the same. Output and
// errors hold no document's content. Calls for one target come one at a time; observe may come beside them.
// Errors of all: kUnavailable (unreachable, timed out, cancelled: may be retried), kPreconditionFailed (a stale fencing
// token: another rollout holds the target), kUnprocessable (the target refuses it; a retry will not help).
class TargetDriver {
 public:
  virtual ~TargetDriver() = default;
  virtual Capabilities capabilities() const = 0;
  // Whether the target can be reached and would take content. Changes nothing.
  virtual Status check(const CallContext& call) = 0;
  // Puts the content beside what is live. Durable when it returns.
  virtual Status stage(const CallContext& call, const Content& content) = 0;
  // Reads back what was staged; the answer is the hash of what lies there. Errors: kNotFound when it is not staged.
  virtual Result<Hash> validate(const CallContext& call, const std::string& label) = 0;
  // Makes a staged version live; before that, keeps what was live under call.restore_point unless that name is kept
  // already. Durable when it returns.
  virtual Status activate(const CallContext& call, const std::string& label) = 0;
  virtual Result<Observation> observe(const CallContext& call) = 0;
  // Puts back what call.restore_point names: bytes, modes, owners, absence. Nothing happens when no activation with
  // that name had begun.
  virtual Status restore(const CallContext& call) = 0;
  // What was activated under call.restore_point shall stay. Durable when it returns. Errors: kUnprocessable when the target went
  // back by itself before.
  virtual Status confirm(const CallContext& call) { return call.check(); }
  // Drops versions and restore points that are no longer needed: keeps what is live and the newest ones (as the spec says).
  virtual Status discard(const CallContext& call) = 0;
};

// Makes the driver of a target from its document. Errors: kUnprocessable (kind or spec), each with line and field.
class DriverFactory {
 public:
  virtual ~DriverFactory() = default;
  virtual Result<std::unique_ptr<TargetDriver>> make(const Target& target) const = 0;
};
// The drivers that st8 ships. Thread-safe.
const DriverFactory& builtin_drivers();

}  // namespace st8::target
