// What a command runs with: its arguments, the settings, where to write, and the server when it is needed.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "args/parse.h"
#include "client/client.h"
#include "config/settings.h"
#include "render/output.h"
#include "render/progress.h"
#include "wire/json.h"
#include "wire/requests.h"

namespace st8::ctl {

class Context {
 public:
  Context(const Arguments& arguments, Settings settings, Output& out, Output& err)
      : arguments_(arguments), settings_(std::move(settings)), out_(out), err_(err), quiet_(arguments.on("quiet")) {}

  const Arguments& arguments() const { return arguments_; }
  const Settings& settings() const { return settings_; }
  OutputFormat format() const { return settings_.output; }
  Output& out() { return out_; }
  Output& err() { return err_; }
  bool quiet() const { return quiet_; }

  // A line on standard error that is no error; nothing with --quiet.
  void notice(std::string_view text);
  // Progress is shown on a terminal and without --quiet.
  bool shows_progress() const { return err_.terminal() && !quiet_; }

  // Made with the first use.
  Result<Client*> client();
  // One more, for what waits on a stream while client() goes on asking. Errors: kUnavailable with --local, which has no streams.
  Result<std::unique_ptr<Client>> stream_client();
  Client* client_if_made() { return client_.get(); }

  wire::Scope scope() const { return {settings_.name_space, settings_.branch}; }
  // Query parameters that every read of a branch carries.
  Query scope_query() const { return {{"namespace", settings_.name_space}, {"branch", settings_.branch}}; }

  // The selector that --revision, --checkpoint, --at or `positional` gives; empty when none does. Errors: kInvalidArgument for two.
  Result<std::string> selector(const std::optional<std::string>& positional = std::nullopt) const;
  // The fields and the header that every change carries.
  wire::WriteFields write_fields() const;
  bool dry_run() const { return arguments_.on("dry-run"); }

  // Prints an answer as -o json or -o yaml asks. False in the other formats, which are the command's to write.
  Result<bool> print_document(std::string_view json);
  Result<bool> print_document(const wire::JsonValue& value);
  bool wants_document() const {
    return settings_.output == OutputFormat::kJson || settings_.output == OutputFormat::kYaml;
  }

  // "[y/N]" on a terminal; without one, and without --yes, an error that names the flag.
  Status confirm(const std::string& question);

 private:
  const Arguments& arguments_;
  Settings settings_;
  Output& out_;
  Output& err_;
  bool quiet_;
  std::unique_ptr<Client> client_;
};

// `error: ...` and `hint: ...` on standard error, or the problem document with -o json and yaml. Looks at the server for what may have been
// meant when a name was not found.
void report_error(Context* context, Output& err, Error error);

}  // namespace st8::ctl
