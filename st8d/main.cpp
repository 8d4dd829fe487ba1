// st8d: reads its flags, and serves, or looks after a state directory.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <map>
#include <string>
#include <string_view>
#include <unistd.h>
#include <vector>

#include "auth/authenticator.h"
#include "config.h"
#include "serve.h"
#include "st8/state/error_code.h"
#include "st8/target/sealing.h"
#include "upkeep.h"
#include "wire/text.h"
#include "worker.h"

#ifndef ST8_VERSION
#define ST8_VERSION "dev"
#endif

namespace {

int report(const st8::Status& done) {
  if (done) return 0;
  std::fprintf(stderr, "st8d: error: %s\n", done.error().message.c_str());
  if (!done.error().hint.empty()) std::fprintf(stderr, "st8d: hint: %s\n", done.error().hint.c_str());
  return st8::traits_of(done.error().code).exit_code;
}

st8::Status hash_token() {
  if (::isatty(STDIN_FILENO) == 1) std::fprintf(stderr, "Token: ");
  std::string token;
  std::getline(std::cin, token);
  while (!token.empty() && (token.back() == '\r' || token.back() == ' ')) token.pop_back();
  ST8_ASSIGN(const std::string hash, st8::auth::hash_token(token));
  std::printf("%s\n", hash.c_str());
  return {};
}

st8::Status generate_token() {
  ST8_ASSIGN(const std::string token, st8::auth::generate_token());
  std::printf("%s\n", token.c_str());
  return {};
}

st8::Status print_sealing_key() {
  ST8_ASSIGN(const std::string key, st8::target::generate_sealing_key());
  std::printf("%s\n", key.c_str());
  return {};
}

// What was probably meant by the first argument that nobody knows.
std::string suggestion(const std::vector<std::string>& unknown) {
  std::vector<std::string> flags{"--config", "--help", "--version"};
  for (const auto& setting : st8::daemon::settings()) flags.push_back("--" + setting.name);
  const std::vector<std::string_view> names(flags.begin(), flags.end());
  const std::string_view near = unknown.empty() ? std::string_view() : st8::wire::nearest(unknown.front(), names);
  return near.empty() ? "see `st8d --help`" : "did you mean " + std::string(near) + "?";
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"st8d stores versioned configuration and takes it live", "st8d"};
  app.footer(
      "Every flag can be given as an environment variable (ST8D_LISTEN) and in the file of --config (listen: ...).\n"
      "Exit codes stand in docs/errors.md.");
  app.set_version_flag("--version", "st8d " ST8_VERSION);
  app.require_subcommand(0, 1);
  app.fallthrough();

  std::string config_file;
  app.add_option("--config", config_file, "Settings in YAML; also ST8D_CONFIG")->type_name("FILE");
  std::map<std::string, std::string> texts;
  std::map<std::string, bool> switches;
  std::map<std::string, CLI::Option*> options;
  for (const auto& setting : st8::daemon::settings()) {
    options[setting.name] =
        setting.placeholder.empty()
            ? app.add_flag("--" + setting.name, switches[setting.name], setting.help)
            : app.add_option("--" + setting.name, texts[setting.name], setting.help)->type_name(setting.placeholder);
    options[setting.name]->take_last();  // As shells and wrapper scripts expect: what is said last holds.
  }
  app.add_subcommand("serve", "Serve the state directory (what st8d does without a command)");
  CLI::App* const fsck =
      app.add_subcommand("fsck", "Prove that a state directory is whole; st8d must not be running over it");
  CLI::App* const backup =
      app.add_subcommand("backup", "Copy a state directory into one file; while st8d runs: st8ctl backup");
  CLI::App* const restore = app.add_subcommand("restore", "Make a new state directory of a backup, and prove it");
  std::string file;
  backup->add_option("file", file, "The file to write; must not exist yet")->required();
  restore->add_option("file", file, "The backup")->required();
  CLI::App* const token = app.add_subcommand("token", "Make tokens, and what the token file keeps of them");
  token->require_subcommand(1);
  CLI::App* const hash = token->add_subcommand("hash", "Read a token from standard input and print its token_hash");
  CLI::App* const generate = token->add_subcommand("generate", "Print a new random token");
  CLI::App* const sealing_key = app.add_subcommand("sealing-key", "Make keys for --sealing-keys");
  sealing_key->require_subcommand(1);
  CLI::App* const generate_key =
      sealing_key->add_subcommand("generate", "Print a new random key, as a line of a key file");
  CLI::App* const worker = app.add_subcommand(
      "worker", "Work on a target's machine: fetch assignments from st8d, apply them below --root, report");
  st8::daemon::WorkerConfig work;
  worker->add_option("--server", work.server, "st8d's address")->type_name("URL")->required();
  worker->add_option("--name", work.name, "What targets of kind worker call it")->type_name("NAME")->required();
  worker->add_option("--root", work.root, "The directory below which everything lands")->type_name("DIR")->required();
  worker->add_option("--token-file", work.token_file, "Holds the worker's token")->type_name("FILE");
  worker->add_option("--ca-cert", work.ca_cert, "What st8d's certificate is verified with; else the system's")
      ->type_name("FILE");
  worker->add_flag("--allow-steps", work.allow_steps,
                   "Do a policy's steps here too: programs, files anywhere, requests, packages");
  CLI::App* const version = app.add_subcommand("version", "Print the version");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ExtrasError& error) {
    return report(st8::fail(st8::ErrorCode::kInvalidArgument, error.what(), suggestion(app.remaining(true))));
  } catch (const CLI::ParseError& error) {
    const int code = app.exit(error);
    return code == 0 ? 0 : st8::traits_of(st8::ErrorCode::kInvalidArgument).exit_code;
  }

  if (version->parsed()) {
    std::printf("st8d %s\n", ST8_VERSION);
    return 0;
  }
  if (hash->parsed()) return report(hash_token());
  if (generate->parsed()) return report(generate_token());
  if (generate_key->parsed()) return report(print_sealing_key());

  if (worker->parsed()) return report(st8::daemon::work(work));

  std::map<std::string, std::string> flags;
  for (const auto& [name, option] : options) {
    if (option->count() == 0) continue;
    flags[name] = switches.count(name) > 0 ? (switches[name] ? "true" : "false") : texts[name];
  }
  if (config_file.empty()) {
    if (const char* named = std::getenv("ST8D_CONFIG"); named != nullptr) config_file = named;
  }
  const auto config = st8::daemon::load_config(
      flags, [](const char* name) -> const char* { return std::getenv(name); }, config_file);
  if (!config) return report(st8::fail(config.error()));
  if (fsck->parsed()) return report(st8::daemon::fsck(config->state_dir));
  if (backup->parsed()) return report(st8::daemon::backup(config->state_dir, file));
  if (restore->parsed()) return report(st8::daemon::restore(config->state_dir, file));
  return report(st8::daemon::serve(*config));
}
