# The project's build options and the compile flags every target shares.

option(ST8_BUILD_TESTS "Build the tests" ${PROJECT_IS_TOP_LEVEL})
option(ST8_BUILD_BENCH "Build the benchmarks" OFF)
option(ST8_BUILD_FUZZERS "Build the libFuzzer targets (needs clang)" OFF)
option(ST8_WARNINGS_AS_ERRORS "Treat warnings as errors" ${PROJECT_IS_TOP_LEVEL})
set(ST8_SANITIZERS "" CACHE STRING "Sanitizers to compile with, as for -fsanitize=")

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/bin")
set(CMAKE_LIBRARY_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/lib")
set(CMAKE_ARCHIVE_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/lib")

find_program(CCACHE_PROGRAM ccache)
if(CCACHE_PROGRAM)
  set(CMAKE_CXX_COMPILER_LAUNCHER "${CCACHE_PROGRAM}")
endif()

# Carried by every st8 target: warnings, sanitizers, and the include root.
add_library(st8_build_flags INTERFACE)
target_compile_options(st8_build_flags INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wno-sign-conversion -Wnon-virtual-dtor -Woverloaded-virtual
  $<$<BOOL:${ST8_WARNINGS_AS_ERRORS}>:-Werror>)
# GCC 12's flow analysis takes an empty std::optional's storage, and the sanitizers' own branches, for uses before a value is set;
# the sanitizers and clang-tidy find the real ones.
target_compile_options(st8_build_flags INTERFACE $<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized>)
if(ST8_SANITIZERS)
  target_compile_options(st8_build_flags INTERFACE -fsanitize=${ST8_SANITIZERS} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  target_link_options(st8_build_flags INTERFACE -fsanitize=${ST8_SANITIZERS})
endif()
if(ST8_BUILD_FUZZERS)
  # Coverage in every library, so that libFuzzer sees its way; the runtime is linked to the fuzzers alone.
  target_compile_options(st8_build_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()
