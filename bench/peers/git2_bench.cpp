// libgit2 as a peer: commits of N changed files in a repository of M files (nested 100 a folder), objects and refs synced.
#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <git2.h>
#include <string>
#include <vector>

#include "load/histogram.h"

namespace {

void check(int code, const char* what) {
  if (code >= 0) return;
  const git_error* error = git_error_last();
  std::fprintf(stderr, "git2_bench: %s: %s\n", what, error != nullptr ? error->message : "unknown");
  std::exit(1);
}

std::string content(std::size_t bytes, std::uint64_t salt) {
  std::string text = "{\"salt\": " + std::to_string(salt) + ",\n";
  std::size_t line = 0;
  while (text.size() + 40 < bytes) {
    text += "\"option_" + std::to_string(line) + "\": " + std::to_string(salt * 31 + line) + ",\n";
    ++line;
  }
  return text + "\"last\": null}\n";
}

// The tree is three levels: folder / folder / file, 100 entries each, edited by git_tree_create_updated.
std::string path_of(std::size_t index) {
  return "d" + std::to_string(index / 10000) + "/e" + std::to_string(index / 100 % 100) + "/f" + std::to_string(index) +
         ".json";
}

// A new repository with the files in one pack, as after `git gc`: a million loose objects would slow down git, and the machine.
void fill(const std::string& directory, std::size_t files) {
  git_repository* repository = nullptr;
  check(git_repository_init(&repository, directory.c_str(), 1), "init");
  git_repository_free(repository);
  std::FILE* const import = ::popen(("git -C '" + directory + "' fast-import --quiet").c_str(), "w");
  if (import == nullptr) {
    std::perror("git2_bench: git fast-import");
    std::exit(1);
  }
  std::fprintf(import,
               "commit refs/heads/main\ncommitter bench <bench@example.invalid> 1700000000 +0000\ndata 4\nfill\n");
  for (std::size_t i = 0; i < files; ++i) {
    const std::string text = "{\"index\": " + std::to_string(i) + ", \"value\": " + std::to_string(i * 7) + "}\n";
    std::fprintf(import, "M 644 inline %s\ndata %zu\n%s\n", path_of(i).c_str(), text.size(), text.c_str());
  }
  if (::pclose(import) != 0) {
    std::fprintf(stderr, "git2_bench: git fast-import failed\n");
    std::exit(1);
  }
}

}  // namespace

int main(int argc, char** argv) {
  std::string directory;
  std::size_t files = 1000, changed = 1, commits = 50, bytes = 1024;
  CLI::App app{"libgit2 commits, synced"};
  app.add_option("--directory", directory)->required();
  app.add_option("--files", files);
  app.add_option("--changed", changed);
  app.add_option("--commits", commits);
  app.add_option("--bytes", bytes);
  CLI11_PARSE(app, argc, argv);

  git_libgit2_init();
  check(git_libgit2_opts(GIT_OPT_ENABLE_FSYNC_GITDIR, 1), "fsync");
  git_repository* repository = nullptr;
  if (git_repository_open_bare(&repository, directory.c_str()) < 0) {
    fill(directory, files);
    check(git_repository_open_bare(&repository, directory.c_str()), "open");
  }
  git_signature* signature = nullptr;
  check(git_signature_now(&signature, "bench", "bench@example.invalid"), "signature");
  git_oid parent{};
  bool has_parent = git_reference_name_to_id(&parent, repository, "refs/heads/main") == 0;
  // Of this run alone: a commit that writes what is there already would change nothing.
  auto salt = static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::system_clock::now().time_since_epoch())
          .count());
  const auto commit = [&](const std::vector<std::size_t>& indexes) {
    std::vector<std::string> paths;
    paths.reserve(indexes.size());
    std::vector<git_tree_update> updates;
    for (const auto index : indexes) {
      const std::string text = content(bytes, ++salt);
      git_oid blob;
      check(git_blob_create_from_buffer(&blob, repository, text.data(), text.size()), "blob");
      paths.push_back(path_of(index));
      git_tree_update update{};
      update.action = GIT_TREE_UPDATE_UPSERT;
      update.id = blob;
      update.filemode = GIT_FILEMODE_BLOB;
      update.path = paths.back().c_str();
      updates.push_back(update);
    }
    git_tree* base = nullptr;
    git_commit* parent_commit = nullptr;
    if (has_parent) {
      check(git_commit_lookup(&parent_commit, repository, &parent), "parent");
      check(git_commit_tree(&base, parent_commit), "tree");
    }
    git_oid tree_id;
    check(git_tree_create_updated(&tree_id, repository, base, updates.size(), updates.data()), "update");
    git_tree* tree = nullptr;
    check(git_tree_lookup(&tree, repository, &tree_id), "new tree");
    const git_commit* parents[] = {parent_commit};
    git_oid id;
    check(git_commit_create(&id, repository, "refs/heads/main", signature, signature, nullptr, "bench", tree,
                            has_parent ? 1 : 0, parents),
          "commit");
    parent = id;
    has_parent = true;
    git_tree_free(tree);
    if (base != nullptr) git_tree_free(base);
    if (parent_commit != nullptr) git_commit_free(parent_commit);
  };

  st8::bench::RunReport report;
  const auto start = std::chrono::steady_clock::now();
  for (std::size_t c = 0; c < commits; ++c) {
    std::vector<std::size_t> indexes;
    for (std::size_t i = 0; i < changed; ++i)
      indexes.push_back((c * 7919 + i * 97) % files);  // Spread over the folders.
    const auto began = std::chrono::steady_clock::now();
    commit(indexes);
    report.latency.add(static_cast<std::uint64_t>(
        std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now() - began).count()));
  }
  report.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  report.answers_per_connection.push_back(commits);
  report.print();
  git_signature_free(signature);
  git_repository_free(repository);
  git_libgit2_shutdown();
  return 0;
}
