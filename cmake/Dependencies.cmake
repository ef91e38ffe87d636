# Private dependencies of the core half. None of them appears in an installed
# header, so a consumer of mantissa::core needs none of them at configure time.
find_package(Threads REQUIRED)
find_package(nlohmann_json REQUIRED CONFIG)
find_package(fmt REQUIRED CONFIG)
find_package(CLI11 REQUIRED CONFIG)
find_package(PkgConfig REQUIRED)

# fmt's headers. Its functions are compiled once, in src/core/fmt.cpp: in every
# file that formats something they took 4 of 10 s.
add_library(mantissa_fmt INTERFACE)
get_target_property(mantissa_fmt_include
  fmt::fmt-header-only INTERFACE_INCLUDE_DIRECTORIES)
target_include_directories(mantissa_fmt SYSTEM INTERFACE
  ${mantissa_fmt_include})

# Static archives, so that the tool runs on machines without these packages.
function(mantissa_static_library target archive header)
  find_library(${target}_archive NAMES ${archive} REQUIRED)
  find_path(${target}_include NAMES ${header} REQUIRED)
  add_library(${target} STATIC IMPORTED GLOBAL)
  set_target_properties(${target} PROPERTIES
    IMPORTED_LOCATION ${${target}_archive}
    INTERFACE_INCLUDE_DIRECTORIES ${${target}_include})
  # cmake/Install.cmake merges these into the installed archive.
  set_property(GLOBAL APPEND PROPERTY
    MANTISSA_STATIC_ARCHIVES ${${target}_archive})
endfunction()

mantissa_static_library(mantissa_re2 libre2.a re2/re2.h)
mantissa_static_library(mantissa_xxhash libxxhash.a xxhash.h)
mantissa_static_library(mantissa_pcre2 libpcre2-8.a pcre2.h)
mantissa_static_library(mantissa_utf8proc libutf8proc.a utf8proc.h)
