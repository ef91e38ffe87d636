# install() rules and the CMake package `mantissa`: headers, one self-contained
# archive, the tool. Private dependencies are merged into the archive, so the
# package asks for nothing but threads.
include(CMakePackageConfigHelpers)

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/mantissa)
install(TARGETS mantissa RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(TARGETS mantissa_core EXPORT mantissa-targets
  ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(DIRECTORY include/mantissa DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}
  FILES_MATCHING PATTERN *.h)
install(EXPORT mantissa-targets
  NAMESPACE mantissa:: DESTINATION ${package_dir})

configure_package_config_file(cmake/mantissa-config.cmake.in
  ${CMAKE_BINARY_DIR}/mantissa-config.cmake
  INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file(
  ${CMAKE_BINARY_DIR}/mantissa-config-version.cmake
  COMPATIBILITY SameMinorVersion)
install(FILES
  ${CMAKE_BINARY_DIR}/mantissa-config.cmake
  ${CMAKE_BINARY_DIR}/mantissa-config-version.cmake
  DESTINATION ${package_dir})
install(FILES LICENSE NOTICE README.md CHANGELOG.md
  DESTINATION ${CMAKE_INSTALL_DOCDIR} OPTIONAL)
