// A namespace's rollout policy: the document `.st8/rollout.yaml`, read strictly. The policy that counts is the one in
// the revision that is to go live, so policy and configuration are rolled back together.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "st8/target/target.h"

namespace st8::target {

inline constexpr std::string_view kPolicyKey = ".st8/rollout.yaml";
inline constexpr std::string_view kSystemNamespace = "st8/system";
inline constexpr std::string_view kTargetPrefix = "targets/";

using Millis = std::chrono::milliseconds;

// Which targets. A target is chosen when it is named, or when every label rule holds for it.
struct TargetSelection {
  std::vector<TargetName> names;
  std::vector<std::pair<std::string, std::vector<std::string>>> labels;  // Each: the label has one of these values.
  friend bool operator==(const TargetSelection&, const TargetSelection&) = default;
};

// Which documents, and where each lands.
struct DocumentRule {
  std::string match;  // A glob over keys: `*` and `?` stay within a segment, `**` crosses '/'.
  // Where: a directory (ends with '/'), under which the part of the key behind the glob's fixed directories is kept; or
  // the path of the one document that `match` names without a wildcard. Empty: the key itself.
  std::string to;
  std::uint32_t mode = 0644;
  bool render = false;  // Values in {{ }} are filled in per target.
  friend bool operator==(const DocumentRule&, const DocumentRule&) = default;
};

enum class StrategyKind : std::uint8_t { kParallel = 0, kSequential = 1, kRolling = 2, kCanary = 3, kBlueGreen = 4 };
std::string_view strategy_name(StrategyKind kind);

struct Amount {
  std::uint32_t value = 1;
  bool percent = false;
  // Of `total` things: at least 1, rounded up.
  std::size_t of(std::size_t total) const;
  friend bool operator==(const Amount&, const Amount&) = default;
};

enum class HealthKind : std::uint8_t { kHttp = 0, kTcp = 1, kCommand = 2 };
struct HealthCheck {
  std::string name;
  HealthKind kind = HealthKind::kHttp;
  std::string url;  // http. May hold {{ target.labels.x }}.
  std::vector<std::uint32_t> expect_status{200};
  std::string contains;           // http: the body has these bytes. Empty: any.
  std::string host;               // tcp.
  std::string port;               // tcp; text, since it may be rendered.
  std::vector<std::string> argv;  // command, run by the daemon.
  std::int32_t expect_exit = 0;
  Millis interval{250};         // Between probes.
  Millis timeout{2'000};        // Of one probe.
  Millis deadline{15'000};      // Until it must have passed.
  std::uint32_t successes = 3;  // In a row, to pass.
  std::uint32_t failures = 3;   // In a row after a success, to fail at once.
  bool before = false;          // Before the activation.
  bool after = true;            // After the activation.
  bool bake = true;             // Through the bake.
  bool from_target = false;     // Asked from the target's own machine, instead of st8d's.
  friend bool operator==(const HealthCheck&, const HealthCheck&) = default;
};

// Readings of the whole, taken from the daemon's side: of an error rate, say, while a part of the targets runs the new revision.
struct Analysis {
  HealthCheck reading;      // How one is taken: its name, probe, interval and timeout; its thresholds are not used.
  Millis initial_delay{0};  // Before the first.
  std::uint32_t count = 5;  // Readings to take.
  std::uint32_t failure_limit = 0;  // Failed ones that are borne; one more fails the rollout.
  friend bool operator==(const Analysis&, const Analysis&) = default;
};

struct CanaryStep {
  enum class Kind : std::uint8_t { kSetWeight = 0, kPause = 1, kAnalysis = 2 };
  Kind kind = Kind::kSetWeight;
  std::uint32_t weight = 0;        // Percent of the targets.
  std::optional<Millis> duration;  // Of a pause; nullopt: until promoted.
  std::uint32_t analysis = 0;      // In Strategy::analyses.
  friend bool operator==(const CanaryStep&, const CanaryStep&) = default;
};

struct Strategy {
  StrategyKind kind = StrategyKind::kParallel;
  Amount batch;                     // rolling.
  Millis batch_delay{0};            // rolling, sequential.
  std::vector<CanaryStep> steps;    // canary.
  std::vector<Analysis> analyses;   // canary: what its analysis steps measure.
  bool auto_promotion = true;       // blue-green: switch without waiting for `promote`.
  Millis auto_promotion_delay{0};   // blue-green: wait this long in preview.
  Millis scale_down_delay{30'000};  // blue-green: how long the old version stays ready to switch back.
  std::uint32_t parallel_max = 32;  // Targets worked on at once.
  friend bool operator==(const Strategy&, const Strategy&) = default;
};

struct RetryPolicy {
  std::uint32_t attempts = 3;
  Millis delay{1'000};
  std::uint32_t factor = 2;
  Millis delay_max{60'000};
  // The wait before attempt `next` (2, 3, ...).
  Millis wait_before(std::uint32_t next) const;
  friend bool operator==(const RetryPolicy&, const RetryPolicy&) = default;
};

enum class StepKind : std::uint8_t { kEcho = 0, kScript = 1, kSleep = 2, kFileWrite = 3, kHttp = 4, kPackage = 5 };
std::string_view step_kind_name(StepKind kind);

// A step of the user's own, run for each target before or after its activation.
struct StepSpec {
  std::string name;
  StepKind kind = StepKind::kEcho;
  bool before = true;  // Else after the activation and its read-back.
  std::map<std::string, std::string> params;
  std::vector<std::string> args;     // script: argv after the command.
  bool required = true;              // Its failure fails the target,
  bool continue_on_failure = false;  // unless this is set.
  bool idempotent = false;           // May be run again when its outcome is not known.
  RetryPolicy retry;
  Millis timeout{300'000};
  friend bool operator==(const StepSpec&, const StepSpec&) = default;
};

struct Window {
  std::uint8_t days = 0x7f;           // Bit 0 is Monday. UTC.
  std::uint32_t from_minute = 0;      // Of the day.
  std::uint32_t to_minute = 24 * 60;  // Exclusive; smaller than from: it ends on the next day.
  bool contains(Timestamp time) const;
  friend bool operator==(const Window&, const Window&) = default;
};

enum class SupersedeAction : std::uint8_t { kCancel = 0, kQueue = 1 };
enum class DriftAction : std::uint8_t { kAlert = 0, kRepair = 1, kIgnore = 2 };

struct ApprovalRule {
  bool required = false;
  std::optional<double> risk_threshold;  // Required when the plan's risk reaches it.
  std::vector<std::string> by;           // Who may; empty: anyone with write who is not the author.
  friend bool operator==(const ApprovalRule&, const ApprovalRule&) = default;
};

struct Dependency {
  std::string name_space;
  std::string branch = "main";
  friend bool operator==(const Dependency&, const Dependency&) = default;
};

struct Policy {
  std::vector<std::string> branches;  // Globs.
  TargetSelection targets;
  std::vector<DocumentRule>
      documents;  // The first rule that matches decides. Empty: every key but `.st8/**`, as it is.
  Strategy strategy;
  std::vector<HealthCheck> health;
  std::vector<StepSpec> steps;
  Millis bake{0};                     // After the last wave, with health watched.
  std::uint32_t failures_max = 0;     // More failed targets than this end the rollout.
  Millis progress_deadline{600'000};  // Without progress for this long: failed.
  Millis operation_timeout{60'000};   // Of one driver call.
  RetryPolicy retry;                  // Of driver calls.
  bool rollback_auto = true;          // Else a failed rollout waits for a person.
  bool quarantine = true;
  SupersedeAction supersede = SupersedeAction::kCancel;
  std::vector<Window> windows;        // Empty: any time.
  std::optional<Timestamp> schedule;  // Not before.
  ApprovalRule approval;
  std::vector<Dependency> depends_on;
  Millis drift_interval{60'000};
  DriftAction drift = DriftAction::kAlert;
  Millis confirm{0};
  Millis plan_expiry{24 * 3600 * 1000};

  bool names_branch(std::string_view branch) const;
  friend bool operator==(const Policy&, const Policy&) = default;
};

// Reads a policy strictly: unknown fields, wrong types, doubled keys and values out of range are problems, with line, path
// and suggestion. nullopt when there is any problem.
std::optional<Policy> parse_policy(std::string_view text, std::vector<DocumentProblem>& problems);

// What a policy says about targets that must exist: names without a target are problems, with the nearest name.
void check_policy_targets(const Policy& policy, std::string_view text, std::span<const TargetName> known,
                          std::vector<DocumentProblem>& problems);

// `*` and `?` stay within a segment, `**` crosses '/', "**/" also matches nothing. Cost: O(pattern · text).
bool glob_match(std::string_view pattern, std::string_view text);

// "500ms", "30s", "5m", "1h30m", "2d", "0". nullopt for anything else, and beyond 366 days.
std::optional<Millis> parse_duration(std::string_view text);
std::string format_duration(Millis duration);

// The candidate nearest to `text` in edits, when it is near enough to be what was meant; else empty.
std::string nearest(std::string_view text, std::span<const std::string_view> candidates);

}  // namespace st8::target
