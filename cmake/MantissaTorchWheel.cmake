# mantissa_find_torch(ROOT OUT): the site-packages folder that holds the wheel
# `torch`, found from a Python interpreter, a virtual environment or that folder;
# "" if there is none. Installed with the package.
function(mantissa_find_torch root out)
  if(root MATCHES "/bin/python[0-9.]*$")
    string(REGEX REPLACE "/bin/python[0-9.]*$" "" root ${root})
  endif()
  file(GLOB candidates
    ${root} ${root}/lib/python3*/site-packages ${root}/..)
  foreach(candidate IN LISTS candidates)
    if(EXISTS ${candidate}/torch/lib/libtorch_cpu.so)
      file(REAL_PATH ${candidate} candidate)
      set(${out} ${candidate} PARENT_SCOPE)
      return()
    endif()
  endforeach()
  set(${out} "" PARENT_SCOPE)
endfunction()

# mantissa_add_torch_wheel(TARGET SITE): an interface target of that libtorch.
function(mantissa_add_torch_wheel target site)
  set(torch_dir ${site}/torch)
  add_library(${target} INTERFACE IMPORTED GLOBAL)
  target_include_directories(${target} SYSTEM INTERFACE
    ${torch_dir}/include ${torch_dir}/include/torch/csrc/api/include)
  target_link_directories(${target} INTERFACE ${torch_dir}/lib)
  target_link_options(${target} INTERFACE
    LINKER:--allow-shlib-undefined
    LINKER:-rpath,${torch_dir}/lib
    LINKER:-rpath,${site}/nvidia/cu13/lib)
  target_link_libraries(${target} INTERFACE
    -Wl,--no-as-needed torch_cpu c10 -Wl,--as-needed)
endfunction()
