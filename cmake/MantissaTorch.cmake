# Imported target mantissa::torch_wheel: libtorch from the PyPI wheel `torch`, as
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

include(${CMAKE_CURRENT_LIST_DIR}/MantissaTorchWheel.cmake)
mantissa_find_torch(${MANTISSA_TORCH} MANTISSA_TORCH_SITE)
if(MANTISSA_TORCH_SITE)
  mantissa_add_torch_wheel(mantissa::torch_wheel ${MANTISSA_TORCH_SITE})
  message(STATUS "libtorch: ${MANTISSA_TORCH_SITE}/torch")
else()
  message(STATUS
    "libtorch: none at ${MANTISSA_TORCH}; the torch half is left out "
    "(tools/setup.sh --torch installs it)")
endif()
