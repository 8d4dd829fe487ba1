// import: other tools' rollout documents as st8's policy and targets, with a report of every field.
#include "import/import.h"

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>

#include "commands/commands.h"

namespace st8::ctl {
namespace {

constexpr const char* kPolicyKey = ".st8/rollout.yaml";
constexpr const char* kSystem = "st8/system";

constexpr Flag kTo{"to",
                   0,
                   FlagKind::kText,
                   "DIR",
                   "Write DIR/[<name>/].st8/rollout.yaml and DIR/system/targets/<target>.yaml, and print the report",
                   Completes::kDirectories};
constexpr Flag kApply{"apply", 0, FlagKind::kBool, "",
                      "Apply the targets to st8/system and the policy to the branch, and print the report"};
constexpr Flag kReplace{"replace", 0, FlagKind::kBool, "",
                        "Also in the place of what is there already and says something else"};
constexpr Flag kKind{"kind",
                     0,
                     FlagKind::kChoice,
                     "KIND",
                     "What targets become that the source only names: worker, ssh or file (default worker)",
                     Completes::kNothing,
                     false,
                     "worker|ssh|file"};
constexpr Flag kRoot{
    "root", 0, FlagKind::kText, "DIR",
    "Where the documents of ssh and file targets lie (default /srv/st8); of kind file, a directory for each below it"};
constexpr const Flag* kFlags[] = {&kTo, &kApply, &kReplace, &kKind, &kRoot, &flags::kMessage, &flags::kAuthor};
constexpr Positional kFiles[] = {
    {"file", "The document, or - for standard input; with --to more than one", true, true, Completes::kFiles}};

using Importer = Result<Imported> (*)(std::string_view, const ImportOptions&);

struct One {
  std::string file;
  Imported imported;
};

std::string policy_text(const One& one) {
  return "# From " + std::filesystem::path(one.file == "-" ? "standard input" : one.file).filename().string() +
         ", by `st8ctl import`.\n" + yaml(one.imported.policy);
}

std::string report_line(const ImportRow& row) {
  std::string line(import_word(row.what));
  line.resize(8, ' ');
  line += "line " + std::to_string(row.line) + ": " + printable(row.from);
  if (!row.to.empty()) line += " -> " + printable(row.to);
  if (!row.why.empty()) line += ": " + printable(row.why);
  return line;
}

std::string summary_of(const Imported& imported) {
  std::map<ImportRow::What, std::size_t> counts;
  for (const ImportRow& row : imported.report) ++counts[row.what];
  return std::to_string(counts[ImportRow::What::kTaken]) + " taken, " +
         std::to_string(counts[ImportRow::What::kChanged]) + " changed, " +
         std::to_string(counts[ImportRow::What::kLeft]) + " left out";
}

Status write_file(const std::filesystem::path& path, const std::string& content, bool replace) {
  std::error_code error;
  std::filesystem::create_directories(path.parent_path(), error);
  if (error)
    return fail(ErrorCode::kUnavailable, "cannot make " + path.parent_path().string() + ": " + error.message(), "");
  if (std::filesystem::exists(path, error) && !replace)
    return fail(ErrorCode::kConflict, path.string() + " is there already", "--replace writes over it");
  std::ofstream stream(path, std::ios::binary | std::ios::trunc);
  stream << content;
  stream.close();
  if (!stream) return fail(ErrorCode::kUnavailable, "cannot write " + path.string() + ": " + std::strerror(errno), "");
  return {};
}

// A directory's name, from what the source calls itself or from its file's name.
std::string directory_name(const One& one) {
  std::string name = one.imported.name.empty() ? std::filesystem::path(one.file).stem().string() : one.imported.name;
  for (char& c : name) {
    const bool good =
        (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
    if (!good) c = '-';
  }
  return name.empty() || name.front() == '.' ? "import" + name : name;
}

Status write_all(Context& context, const std::string& directory, const std::vector<One>& all) {
  const bool replace = context.arguments().on("replace");
  std::map<std::filesystem::path, std::string> files;
  for (const One& one : all) {
    const std::filesystem::path base =
        all.size() == 1 ? std::filesystem::path(directory) : std::filesystem::path(directory) / directory_name(one);
    if (!files.emplace(base / kPolicyKey, policy_text(one)).second)
      return fail(ErrorCode::kConflict, "two of the documents are called " + directory_name(one),
                  "import them one by one");
    for (const auto& [name, target] : one.imported.targets) {
      const auto [there, fresh] =
          files.emplace(std::filesystem::path(directory) / "system/targets" / (name + ".yaml"), yaml(target));
      if (!fresh && there->second != yaml(target))
        return fail(ErrorCode::kConflict, "two of the documents describe target " + name + " differently",
                    "import them one by one");
    }
  }
  std::error_code error;
  for (const auto& [path, content] : files) {
    if (std::filesystem::exists(path, error) && !replace)
      return fail(ErrorCode::kConflict, path.string() + " is there already", "--replace writes over it");
  }
  for (const auto& [path, content] : files) ST8_TRY(write_file(path, content, replace));
  for (const auto& [path, content] : files) {
    if (!context.wants_document()) context.out().line("wrote " + path.string());
  }
  return {};
}

// What is there already is replaced only when it was asked for.
Status refuse_existing(Context& context, Client& client, const wire::Scope& scope,
                       const std::map<std::string, std::string>& documents) {
  if (context.arguments().on("replace") || documents.empty()) return {};
  for (const auto& [key, content] : documents) {
    auto response = client.call(get(document_path(key), {{"namespace", scope.name_space}, {"branch", scope.branch}}));
    if (!response) {
      if (response.error().code == ErrorCode::kNotFound) continue;
      return fail(response.error());
    }
    if (response->body != content)
      return fail(ErrorCode::kConflict, key + " is in " + scope.name_space + " already, and says something else",
                  "--replace puts the imported one in its place");
  }
  client.set_problem(std::nullopt);
  return {};
}

Result<std::string> apply_documents(Context& context, Client& client, const wire::Scope& scope,
                                    const std::map<std::string, std::string>& documents) {
  wire::ApplyBody body;
  body.scope = scope;
  for (const auto& [key, content] : documents) body.documents.push_back({key, content});
  body.write = context.write_fields();
  if (body.write.message.empty()) body.write.message = "import";
  ST8_ASSIGN(const HttpResponse response, client.call(change("POST", "/v1/apply", wire::to_json(body))));
  ST8_ASSIGN(const wire::WriteResultBody result, wire::parse_write_result(response.body));
  return (result.noop ? "No changes in " : "Applied " + std::to_string(documents.size()) + " document(s) to ") +
         scope.name_space + " at revision " + std::to_string(result.revision) + ".";
}

Status apply_all(Context& context, const One& one) {
  ST8_ASSIGN(Client* const client, context.client());
  const wire::Scope system{kSystem, "main"};
  std::map<std::string, std::string> targets;
  for (const auto& [name, target] : one.imported.targets) targets["targets/" + name + ".yaml"] = yaml(target);
  const std::map<std::string, std::string> policy = {{kPolicyKey, policy_text(one)}};
  ST8_TRY(refuse_existing(context, *client, system, targets));
  ST8_TRY(refuse_existing(context, *client, context.scope(), policy));
  // The targets first: a policy that names what does not exist is refused.
  if (!targets.empty()) {
    ST8_ASSIGN(const std::string told, apply_documents(context, *client, system, targets));
    if (!context.wants_document()) context.out().line(told);
  }
  ST8_ASSIGN(const std::string told, apply_documents(context, *client, context.scope(), policy));
  if (!context.wants_document()) context.out().line(told);
  return {};
}

std::string json_of(const std::vector<One>& all) {
  std::string body;
  wire::JsonWriter out(body);
  out.begin_object().key("imports").begin_array();
  for (const One& one : all) {
    out.begin_object()
        .field("file", one.file)
        .field("name", one.imported.name)
        .key("policy")
        .raw(wire::to_json(one.imported.policy))
        .key("targets")
        .begin_object();
    for (const auto& [name, target] : one.imported.targets) out.key(name).raw(wire::to_json(target));
    out.end_object().key("report").begin_array();
    for (const ImportRow& row : one.imported.report) {
      out.begin_object()
          .field("line", static_cast<std::uint64_t>(row.line))
          .field("from", row.from)
          .field("result", import_word(row.what))
          .field("to", row.to)
          .field("why", row.why)
          .end_object();
    }
    out.end_array().end_object();
  }
  out.end_array().end_object();
  return body;
}

Result<int> run(Context& context, Importer import) {
  const Arguments& arguments = context.arguments();
  const auto to = arguments.text("to");
  const bool apply = arguments.on("apply");
  if (to && apply)
    return fail(ErrorCode::kInvalidArgument, "--to and --apply cannot be used together",
                "write, look, and apply with `st8ctl apply`");
  if (!to && arguments.positionals.size() > 1)
    return fail(ErrorCode::kInvalidArgument, "each policy is a namespace's own, so several documents go to a directory",
                "give --to DIR, or import them one by one");
  ImportOptions options;
  options.branch = context.scope().branch;
  options.kind = arguments.text_or("kind", options.kind);
  options.root = arguments.text_or("root", options.root);
  while (options.root.size() > 1 && options.root.ends_with('/')) options.root.pop_back();
  if (!options.root.starts_with('/') || options.root == "/")
    return fail(ErrorCode::kInvalidArgument, "--root must be an absolute directory below /", "");
  std::vector<One> all;
  for (const std::string& file : arguments.positionals) {
    LoadRequest request;
    request.paths = {file};
    request.key = "source";
    ST8_ASSIGN(LoadedDocuments loaded, load_documents(request));
    if (loaded.documents.size() != 1)
      return fail(ErrorCode::kInvalidArgument, file + " is a directory; name its files", "");
    auto imported = import(loaded.documents.front().content, options);
    if (!imported) {
      Error error = imported.error();
      error.message = (file == "-" ? std::string("standard input") : file) + ": " + error.message;
      return fail(std::move(error));
    }
    all.push_back({file, std::move(*imported)});
  }
  if (to) {
    ST8_TRY(write_all(context, *to, all));
  } else if (apply) {
    ST8_TRY(apply_all(context, all.front()));
  }
  ST8_ASSIGN(const bool printed, context.print_document(json_of(all)));
  if (printed) return 0;
  const bool prints = !to && !apply;
  for (const One& one : all) {
    if (prints) {
      context.out().write(policy_text(one));
      for (const auto& [name, target] : one.imported.targets) {
        context.out().write("---\n# " + std::string(kSystem) + " targets/" + name + ".yaml\n" + yaml(target));
      }
    }
    // Where documents are printed, the report goes beside them.
    const auto tell = [&](const std::string& line) { prints ? context.notice(line) : context.out().line(line); };
    if (all.size() > 1) tell(one.file + ":");
    for (const ImportRow& row : one.imported.report) tell(report_line(row));
    tell(summary_of(one.imported));
  }
  return 0;
}

Result<int> kitsune(Context& context) { return run(context, import_kitsune); }
Result<int> rollops(Context& context) { return run(context, import_rollops); }
Result<int> argo(Context& context) { return run(context, import_argo); }

constexpr const char* kHow =
    "Prints the policy and the targets that it makes, and on standard error what became of each field: taken over, "
    "changed (and how), left out (and why). "
    "With --to it writes them to files, with --apply to the server; the report is then what it prints.";

constexpr Command kKitsuneCommand{"kitsune",
                                  "Import Kitsune orchestration JSON",
                                  kHow,
                                  "st8ctl import kitsune patch.json\n"
                                  "st8ctl import kitsune patch.json --kind file --root /srv/st8 --apply -n ops/patch",
                                  kFlags,
                                  kFiles,
                                  {},
                                  kitsune};
constexpr Command kRollopsCommand{"rollops",
                                  "Import a RollOps RolloutConfig",
                                  kHow,
                                  "st8ctl import rollops web.yaml\n"
                                  "st8ctl import rollops *.yaml --to imported",
                                  kFlags,
                                  kFiles,
                                  {},
                                  rollops};
constexpr Command kArgoCommand{"argo",
                               "Import the strategy of an Argo Rollout",
                               kHow,
                               "kubectl get rollout web -o yaml | st8ctl import argo -\n"
                               "st8ctl import argo web.yaml --apply -n shop/web",
                               kFlags,
                               kFiles,
                               {},
                               argo};
constexpr const Command* kChildren[] = {&kKitsuneCommand, &kRollopsCommand, &kArgoCommand};

}  // namespace

const Command kImport{"import",
                      "Take over another tool's rollout documents",
                      "docs/import.md says what becomes of each field.",
                      "st8ctl import kitsune patch.json\n"
                      "st8ctl import argo web.yaml",
                      {},
                      {},
                      kChildren,
                      nullptr};

}  // namespace st8::ctl
