#include "client/module.h"

#include <climits>
#include <dlfcn.h>
#include <unistd.h>
#include <vector>

#ifndef ST8_MODULE_DIR
#define ST8_MODULE_DIR ""
#endif

namespace st8::ctl {

Result<void*> load_module(const std::string& name) {
  char self[PATH_MAX];
  const ssize_t length = ::readlink("/proc/self/exe", self, sizeof self);
  std::vector<std::string> places;
  if (length > 0) {
    std::string directory(self, static_cast<std::size_t>(length));
    directory.erase(directory.find_last_of('/'));
    for (const char* beside :
         {"/../lib/", "/../lib/st8/", "/../lib/x86_64-linux-gnu/st8/", "/../lib/aarch64-linux-gnu/st8/", "/"}) {
      places.push_back(directory + beside + name);
    }
  }
  if (*ST8_MODULE_DIR != '\0') places.push_back(std::string(ST8_MODULE_DIR) + "/" + name);
  for (const std::string& place : places) {
    if (::access(place.c_str(), R_OK) != 0) continue;
    if (void* module = ::dlopen(place.c_str(), RTLD_NOW | RTLD_LOCAL)) return module;
    return fail(ErrorCode::kUnavailable, std::string("cannot load ") + ::dlerror(),
                "is the installation of st8 whole?");
  }
  std::string looked;
  for (const std::string& place : places) looked += (looked.empty() ? "" : ", ") + place;
  return fail(ErrorCode::kUnavailable, name + " is not installed; looked at " + looked,
              "it comes with st8ctl: install the whole package");
}

Result<void*> module_symbol(void* module, const char* symbol) {
  if (void* found = ::dlsym(module, symbol)) return found;
  return fail(ErrorCode::kInternal, std::string("a module lacks ") + symbol,
              "st8ctl and its modules must be of one version");
}

}  // namespace st8::ctl
