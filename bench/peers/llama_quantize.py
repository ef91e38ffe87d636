"""Quantizes a GGUF file with llama.cpp and says how long its call took.

The last line that it prints is JSON: what `llama_model_quantize` alone took,
reading and writing the files included, starting Python and importing not.

usage: llama_quantize.py IN.gguf OUT.gguf TYPE THREADS
"""

import ctypes
import json
import sys
import time

import llama_cpp

TYPES = {
    "F32": llama_cpp.LLAMA_FTYPE_ALL_F32,
    "F16": llama_cpp.LLAMA_FTYPE_MOSTLY_F16,
    "Q4_0": llama_cpp.LLAMA_FTYPE_MOSTLY_Q4_0,
    "Q4_1": llama_cpp.LLAMA_FTYPE_MOSTLY_Q4_1,
    "Q4_K_S": llama_cpp.LLAMA_FTYPE_MOSTLY_Q4_K_S,
    "Q4_K_M": llama_cpp.LLAMA_FTYPE_MOSTLY_Q4_K_M,
    "Q5_K_M": llama_cpp.LLAMA_FTYPE_MOSTLY_Q5_K_M,
    "Q8_0": llama_cpp.LLAMA_FTYPE_MOSTLY_Q8_0,
}

source, target, kind, threads = sys.argv[1:]
silent = llama_cpp.llama_log_callback(lambda level, text, data: None)
llama_cpp.llama_log_set(silent, ctypes.c_void_p(0))
llama_cpp.llama_backend_init()
parameters = llama_cpp.llama_model_quantize_default_params()
parameters.nthread = int(threads)
parameters.ftype = TYPES[kind]
parameters.allow_requantize = True
start, start_cpu = time.perf_counter(), time.process_time()
code = llama_cpp.llama_model_quantize(
    source.encode(), target.encode(), ctypes.byref(parameters)
)
if code != 0:
    sys.exit(f"llama_model_quantize: code {code}")
print(
    json.dumps(
        {
            "seconds": time.perf_counter() - start,
            "cpu_seconds": time.process_time() - start_cpu,
        }
    )
)
