# install() rules and the CMake package `mantissa`: headers, one self-contained
# archive, the tool. Private dependencies are merged into the archive, so the
# package asks for nothing but threads.
include(CMakePackageConfigHelpers)

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/mantissa)
install(TARGETS mantissa RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})

# Completion and manual page, printed by the tool itself (src/cli).
set(shell_dir ${CMAKE_BINARY_DIR}/shell)
install(FILES ${shell_dir}/mantissa
  DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions)
install(FILES ${shell_dir}/_mantissa
  DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/site-functions)
install(FILES ${shell_dir}/mantissa.fish
  DESTINATION ${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d)
install(FILES ${shell_dir}/mantissa.1
  DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)

install(TARGETS mantissa_core EXPORT mantissa-targets
  ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(DIRECTORY include/mantissa DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}
  FILES_MATCHING PATTERN *.h
  PATTERN torch EXCLUDE PATTERN mantissa.h EXCLUDE)
install(EXPORT mantissa-targets
  NAMESPACE mantissa:: DESTINATION ${package_dir})

# The torch half has targets of its own: the rest of the package needs no
# libtorch.
if(TARGET mantissa_torch)
  install(TARGETS mantissa_torch EXPORT mantissa-torch-targets
    LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
  install(DIRECTORY include/mantissa/torch
    DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/mantissa FILES_MATCHING PATTERN *.h)
  install(FILES include/mantissa/mantissa.h
    DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/mantissa)
  install(EXPORT mantissa-torch-targets
    NAMESPACE mantissa:: DESTINATION ${package_dir})
  install(FILES cmake/MantissaTorchWheel.cmake DESTINATION ${package_dir})
  # Where the tool looks for it: beside its own folder.
  install(TARGETS mantissa_torch_tool
    RUNTIME DESTINATION libexec/mantissa)
endif()

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

# pkg-config finds the prefix from where the file lies: it may be moved.
file(RELATIVE_PATH pc_to_prefix
  /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
configure_file(cmake/mantissa.pc.in ${CMAKE_BINARY_DIR}/mantissa.pc @ONLY)
install(FILES ${CMAKE_BINARY_DIR}/mantissa.pc
  DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
install(FILES LICENSE NOTICE README.md CHANGELOG.md
  DESTINATION ${CMAKE_INSTALL_DOCDIR} OPTIONAL)
