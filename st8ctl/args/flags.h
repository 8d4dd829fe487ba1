// Flags that several commands share.
#pragma once

#include "args/command.h"

namespace st8::ctl::flags {

// Every command's.
inline constexpr Flag kConfig{
    "config",         0, FlagKind::kText, "FILE", "Configuration file (default ~/.config/st8ctl/config.yaml)",
    Completes::kFiles};
inline constexpr Flag kServer{"server", 0, FlagKind::kText, "URL",
                              "The st8d to talk to (default http://127.0.0.1:8748)"};
inline constexpr Flag kToken{"token", 0, FlagKind::kText, "TOKEN",
                             "Bearer token; ST8CTL_TOKEN or `st8ctl login` keep it off the command line"};
inline constexpr Flag kLocal{"local", 0, FlagKind::kBool, "",
                             "Run the server's code in this process, over --state-dir"};
inline constexpr Flag kStateDir{
    "state-dir", 0, FlagKind::kText, "DIR", "State directory for --local (default ~/.st8)", Completes::kDirectories};
inline constexpr Flag kNamespace{"namespace",           'n', FlagKind::kText, "NAME", "Namespace (default \"default\")",
                                 Completes::kNamespaces};
inline constexpr Flag kBranch{
    "branch", 'b', FlagKind::kText, "NAME", "Branch (default \"main\")", Completes::kBranches};
inline constexpr Flag kTimeout{"timeout", 0, FlagKind::kDuration, "DURATION",
                               "Longest wait for one request, e.g. 30s (default 0: none)"};
inline constexpr Flag kOutput{"output",
                              'o',
                              FlagKind::kChoice,
                              "FORMAT",
                              "text, json, yaml, or name for names alone (default text)",
                              Completes::kNothing,
                              false,
                              "text|json|yaml|name"};
inline constexpr Flag kColor{"color",
                             0,
                             FlagKind::kChoice,
                             "WHEN",
                             "auto, always or never (default auto: on a terminal, unless NO_COLOR is set)",
                             Completes::kNothing,
                             false,
                             "auto|always|never"};
inline constexpr Flag kQuiet{"quiet", 'q', FlagKind::kBool, "",
                             "No notices and no progress on standard error; errors stay"};
inline constexpr Flag kCaCert{
    "ca-cert",        0, FlagKind::kText, "FILE", "Certificates to trust for https, instead of the system's",
    Completes::kFiles};
inline constexpr Flag kClientCert{"client-cert",    0, FlagKind::kText, "FILE", "Client certificate for https",
                                  Completes::kFiles};
inline constexpr Flag kClientKey{"client-key", 0, FlagKind::kText, "FILE", "Its private key", Completes::kFiles};

// Naming a state to read.
inline constexpr Flag kRevision{"revision", 0, FlagKind::kNumber, "N", "The revision of this number"};
inline constexpr Flag kCheckpoint{
    "checkpoint", 0, FlagKind::kText, "NAME", "The revision that this checkpoint names", Completes::kCheckpoints};
inline constexpr Flag kAt{"at",
                          0,
                          FlagKind::kText,
                          "SELECTOR",
                          "The revision that this selector names: main~2, stable, 42, 2h-ago",
                          Completes::kSelectors};

// Every change's.
inline constexpr Flag kMessage{"message", 'm', FlagKind::kText, "TEXT", "Why, for the log"};
inline constexpr Flag kAuthor{"author", 0, FlagKind::kText, "NAME", "Who, for the log (default: the token's name)"};
inline constexpr Flag kExpected{"expected-revision", 0, FlagKind::kNumber, "N",
                                "Refuse unless this is the branch's head; 0: the branch must not exist yet"};
inline constexpr Flag kIdempotency{"idempotency-key", 0, FlagKind::kText, "KEY",
                                   "Makes a retry safe: the same key and request answer what the first one did"};
inline constexpr Flag kWait{
    "wait", 0, FlagKind::kBool, "",
    "Follow the rollout of the new revision until it is over; the exit code tells how, as in `rollout watch`"};
inline constexpr Flag kDeadline{"deadline", 0, FlagKind::kDuration, "DURATION",
                                "Stop watching after this long, with exit code 25 (default 0: never)"};
inline constexpr Flag kDryRun{"dry-run", 0, FlagKind::kBool, "",
                              "Check everything and show the outcome, and change nothing"};

inline constexpr Flag kPrefix{"prefix",        0, FlagKind::kText, "PREFIX", "Only keys that begin with this",
                              Completes::kKeys};
inline constexpr Flag kYes{"yes", 'y', FlagKind::kBool, "", "Do not ask"};

// Documents to send.
inline constexpr Flag kFile{"file",
                            'f',
                            FlagKind::kText,
                            "PATH",
                            "A file, a directory (all files below it), or - for standard input; may be repeated",
                            Completes::kFiles,
                            true};
inline constexpr Flag kValue{"value",
                             'v',
                             FlagKind::kText,
                             "KEY=VALUE",
                             "A document given here, split at the first '='; may be repeated",
                             Completes::kKeys,
                             true};
inline constexpr Flag kKey{"key",
                           0,
                           FlagKind::kText,
                           "KEY",
                           "The key of the one file given, instead of its path; needed for standard input",
                           Completes::kKeys};
inline constexpr Flag kUnder{"under", 0, FlagKind::kText, "PATH", "Put the files' keys below this path"};
inline constexpr Flag kFollowLinks{"follow-links", 0, FlagKind::kBool, "",
                                   "In a directory, also read links to files outside of it"};
inline constexpr Flag kPrune{
    "prune", 0, FlagKind::kOptional, "PREFIX",
    "Delete the keys that were not given: those with this prefix, or those below --under, or all"};

}  // namespace st8::ctl::flags
