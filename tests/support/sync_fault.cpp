#include "support/sync_fault.h"

namespace st8::test {

std::vector<std::string> sync_fault_environment(const std::string& directory, const std::string& faults,
                                                const std::string& report, const std::string& match) {
  std::vector<std::string> environment{"ST8_SYNC_FAULT_DIR=" + directory, "ST8_SYNC_FAULT=" + faults};
#ifdef ST8_SYNC_FAULT_LIBRARY
  environment.push_back(std::string("LD_PRELOAD=") + kSyncFaultLibrary);
#endif
  if (!report.empty()) environment.push_back("ST8_SYNC_FAULT_REPORT=" + report);
  if (!match.empty()) environment.push_back("ST8_SYNC_FAULT_MATCH=" + match);
  return environment;
}

}  // namespace st8::test
