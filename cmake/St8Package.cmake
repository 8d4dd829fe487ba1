# The Debian package that `./dev package` builds: the programs, the systemd unit, a commented configuration file, the
# documents. The libraries' development files are installed by `cmake --install`, not by the package.
set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME st8)
set(CPACK_PACKAGE_VENDOR "The st8 authors")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "versioned store of configuration, and its client")
set(CPACK_PACKAGE_DESCRIPTION "st8d keeps immutable revisions, branches and checkpoints of configuration in a durable
store, answers over HTTP, and puts revisions live on targets.
st8ctl is its client, and works on a local store too.")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_COMPONENTS_ALL runtime package)
set(CPACK_COMPONENTS_GROUPING ALL_COMPONENTS_IN_ONE)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_STRIP_FILES ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_MAINTAINER "The st8 authors <st8@invalid.example>")
set(CPACK_DEBIAN_PACKAGE_SECTION admin)
set(CPACK_DEBIAN_PACKAGE_PRIORITY optional)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(CPACK_DEBIAN_PACKAGE_CONTROL_EXTRA "${PROJECT_SOURCE_DIR}/packaging/debian/conffiles"
    "${PROJECT_SOURCE_DIR}/packaging/debian/postinst" "${PROJECT_SOURCE_DIR}/packaging/debian/prerm")

# Only for the package: never part of a plain `cmake --install`, which must stay below its prefix.
install(FILES packaging/st8d.service DESTINATION /lib/systemd/system COMPONENT package EXCLUDE_FROM_ALL)
install(FILES packaging/st8d.yaml DESTINATION /etc/st8 COMPONENT package EXCLUDE_FROM_ALL)
install(FILES packaging/debian/copyright docs/operating.md DESTINATION /usr/share/doc/st8 COMPONENT package EXCLUDE_FROM_ALL)
install(FILES packaging/debian/lintian-overrides DESTINATION /usr/share/lintian/overrides RENAME st8 COMPONENT package EXCLUDE_FROM_ALL)
foreach(page st8d st8ctl)
  add_custom_command(OUTPUT "${PROJECT_BINARY_DIR}/man/${page}.1.gz" DEPENDS "packaging/man/${page}.1"
    COMMAND "${CMAKE_COMMAND}" -E make_directory "${PROJECT_BINARY_DIR}/man"
    COMMAND gzip -9 -n -c "${PROJECT_SOURCE_DIR}/packaging/man/${page}.1" > "${PROJECT_BINARY_DIR}/man/${page}.1.gz" VERBATIM)
  list(APPEND man_pages "${PROJECT_BINARY_DIR}/man/${page}.1.gz")
endforeach()
add_custom_target(st8_man ALL DEPENDS ${man_pages})
install(FILES ${man_pages} DESTINATION /usr/share/man/man1 COMPONENT package EXCLUDE_FROM_ALL)
include(CPack)
