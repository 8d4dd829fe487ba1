# Every dependency is found on the system (Debian's packages); none is vendored.

find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
find_package(OpenSSL 3.0 REQUIRED)
find_package(RocksDB 7.8 REQUIRED CONFIG)
find_package(nlohmann_json 3.11 REQUIRED)
find_package(CLI11 2.1 REQUIRED)
find_package(yaml-cpp REQUIRED)
find_package(tl-expected REQUIRED)
# cpp-httplib's flags change its ABI, so they come from its own pkg-config file.
pkg_check_modules(HTTPLIB REQUIRED IMPORTED_TARGET cpp-httplib)
# Debian's has no CMake files.
pkg_check_modules(LZ4 REQUIRED IMPORTED_TARGET liblz4)
find_path(DTL_INCLUDE_DIR dtl/dtl.hpp REQUIRED)

# SYSTEM includes: other people's headers do not have to pass our warnings.
add_library(st8_dtl INTERFACE)
target_include_directories(st8_dtl SYSTEM INTERFACE "${DTL_INCLUDE_DIR}")

if(ST8_BUILD_TESTS)
  find_package(GTest REQUIRED)
endif()
