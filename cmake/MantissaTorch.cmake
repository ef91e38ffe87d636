# Imported target mantissa_torch_wheel: libtorch from the PyPI wheel `torch`, as
# it lies in a virtual environment. find_package(Torch) is of no use here: it
# probes for a GPU, asks for a CUDA SDK and changes CUDA architectures.
#
# MANTISSA_TORCH names a Python interpreter, a virtual environment or a
# site-packages folder that holds `torch` and the wheels nvidia-cuda-runtime and
# nvidia-cuda-cupti, which libtorch_cpu loads even on a CPU
# (tools/setup.sh --torch).
set(mantissa_torch_default ${PROJECT_SOURCE_DIR}/.deps/torch)
if(DEFINED ENV{MANTISSA_TORCH})
  set(mantissa_torch_default $ENV{MANTISSA_TORCH})
endif()
set(MANTISSA_TORCH ${mantissa_torch_default} CACHE PATH
  "Interpreter, environment or site-packages with the wheel torch")

# mantissa_find_torch(OUT): the site-packages folder, or "".
function(mantissa_find_torch out)
  set(root ${MANTISSA_TORCH})
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

mantissa_find_torch(MANTISSA_TORCH_SITE)
if(MANTISSA_TORCH_SITE)
  set(torch_dir ${MANTISSA_TORCH_SITE}/torch)
  add_library(mantissa_torch_wheel INTERFACE)
  target_include_directories(mantissa_torch_wheel SYSTEM INTERFACE
    ${torch_dir}/include ${torch_dir}/include/torch/csrc/api/include)
  target_link_directories(mantissa_torch_wheel INTERFACE ${torch_dir}/lib)
  target_link_options(mantissa_torch_wheel INTERFACE
    LINKER:--allow-shlib-undefined
    LINKER:-rpath,${torch_dir}/lib
    LINKER:-rpath,${MANTISSA_TORCH_SITE}/nvidia/cu13/lib)
  target_link_libraries(mantissa_torch_wheel INTERFACE
    -Wl,--no-as-needed torch_cpu c10 -Wl,--as-needed)
  message(STATUS "libtorch: ${torch_dir}")
else()
  message(STATUS
    "libtorch: none at ${MANTISSA_TORCH}; the torch half is left out "
    "(tools/setup.sh --torch installs it)")
endif()
