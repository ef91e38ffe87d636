# Large headers, compiled once a target instead of once a file. A file still
# names the headers that it needs; MANTISSA_PCH=OFF shows what it forgot.
option(MANTISSA_PCH "Compile large headers once a target" ON)

# -fpch-preprocess lets ccache find an object again that was compiled so. GCC 12
# takes what it inlines from a precompiled header for code of this project, and
# reports its false alarms about std::string (bugs 105329, 105651).
function(mantissa_precompiled_options target)
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    target_compile_options(${target} PRIVATE -fpch-preprocess
      -Wno-array-bounds -Wno-free-nonheap-object -Wno-maybe-uninitialized
      -Wno-stringop-overflow -Wno-stringop-overread)
  endif()
endfunction()

# mantissa_precompile(TARGET HEADER...)
function(mantissa_precompile target)
  if(MANTISSA_PCH)
    target_precompile_headers(${target} PRIVATE ${ARGN})
    mantissa_precompiled_options(${target})
  endif()
endfunction()

# mantissa_precompile_for_programs(TARGET HEADER...): TARGET is a library; the
# programs that link it may take its headers, so it is compiled as they are.
function(mantissa_precompile_for_programs target)
  set_target_properties(${target} PROPERTIES POSITION_INDEPENDENT_CODE OFF)
  target_compile_options(${target} PRIVATE -fPIE)
  mantissa_precompile(${target} ${ARGN})
endfunction()

# mantissa_precompiled_by(TARGET OWNER): TARGET takes OWNER's headers, compiled
# with the same flags and macros.
function(mantissa_precompiled_by target owner)
  if(MANTISSA_PCH)
    target_compile_options(${target} PRIVATE
      $<FILTER:$<TARGET_PROPERTY:${owner},COMPILE_OPTIONS>,INCLUDE,^-D>)
    target_precompile_headers(${target} REUSE_FROM ${owner})
    mantissa_precompiled_options(${target})
  endif()
endfunction()
