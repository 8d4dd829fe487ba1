# What is installed: the programs (component "runtime") and, for who builds on the libraries, headers, archives and the
# CMake package (component "development"): find_package(st8) gives st8::state and st8::target.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

foreach(program st8d st8ctl)
  if(TARGET ${program})
    install(TARGETS ${program} RUNTIME DESTINATION "${CMAKE_INSTALL_BINDIR}" COMPONENT runtime)
  endif()
endforeach()
# What st8ctl loads for `--local` and for https.
foreach(module st8_local st8_tls)
  if(TARGET ${module})
    install(TARGETS ${module} LIBRARY DESTINATION "${CMAKE_INSTALL_LIBDIR}/st8" COMPONENT runtime)
  endif()
endforeach()
install(FILES README.md CHANGELOG.md DESTINATION "${CMAKE_INSTALL_DOCDIR}" COMPONENT runtime)

foreach(library state target)
  if(TARGET st8_${library})
    set_target_properties(st8_${library} PROPERTIES EXPORT_NAME ${library})
    install(TARGETS st8_${library} EXPORT st8Targets ARCHIVE DESTINATION "${CMAKE_INSTALL_LIBDIR}" COMPONENT development
            INCLUDES DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}")
    install(DIRECTORY lib${library}/include/ DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}" COMPONENT development)
  endif()
endforeach()
set(package_dir "${CMAKE_INSTALL_LIBDIR}/cmake/st8")
install(EXPORT st8Targets NAMESPACE st8:: DESTINATION "${package_dir}" COMPONENT development)
configure_package_config_file(cmake/st8Config.cmake.in "${PROJECT_BINARY_DIR}/cmake/st8Config.cmake" INSTALL_DESTINATION "${package_dir}")
# Before 1.0 a minor version may change an interface.
write_basic_package_version_file("${PROJECT_BINARY_DIR}/cmake/st8ConfigVersion.cmake" COMPATIBILITY SameMinorVersion)
install(FILES "${PROJECT_BINARY_DIR}/cmake/st8Config.cmake" "${PROJECT_BINARY_DIR}/cmake/st8ConfigVersion.cmake"
        DESTINATION "${package_dir}" COMPONENT development)
