# Several files of a target compiled as one: headers are read, and templates
# instantiated, once for all of them. With libtorch's headers a file of its own
# costs 12 s, one of eight together 4 s. Names in anonymous namespaces are then
# shared: two files of a target must not give one name two meanings.
option(MANTISSA_UNITY
  "Compile files together (quicker from nothing, slower after a change)" ON)

# mantissa_unity(TARGET N): N files at a time.
function(mantissa_unity target files)
  if(MANTISSA_UNITY)
    set_target_properties(${target} PROPERTIES
      UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE ${files})
  endif()
endfunction()

# mantissa_unity_files(TARGET N file...): these files of TARGET, which is compiled
# file by file else.
function(mantissa_unity_files target files)
  if(MANTISSA_UNITY)
    set_target_properties(${target} PROPERTIES
      UNITY_BUILD ON UNITY_BUILD_MODE GROUP)
    get_filename_component(room ${CMAKE_CURRENT_SOURCE_DIR} NAME)
    set(index 0)
    foreach(file IN LISTS ARGN)
      math(EXPR group "${index} / ${files}")
      set_source_files_properties(${file} TARGET_DIRECTORY ${target}
        PROPERTIES UNITY_GROUP ${room}_${group})
      math(EXPR index "${index} + 1")
    endforeach()
  endif()
endfunction()
