"""Products of ggml's CPU backend, by the libraries of llama-cpp-python: answers the
questions of linear.py (linear_peer.py says how).

Kinds: Q4_0, Q4_K, Q6_K, Q8_0 .., and with " repacked" behind them the same in the first
of the backend's extra buffer types that takes them (llama.cpp's own choice). Up to
64 products stand in one graph, as in a model, so that its start costs little.

usage: linear_ggml.py
"""

import ctypes as c
from importlib.util import find_spec
from pathlib import Path

import numpy

from linear_peer import (Refused, check, copies_of, random_rows, random_weight,
                         seconds_a_call, serve)

TYPES = {"F32": 0, "Q4_0": 2, "Q4_1": 3, "Q8_0": 8, "Q4_K": 12, "Q5_K": 13,
         "Q6_K": 14, "BF16": 30}
# Values of K; the others have 32.
BLOCK = {"Q4_K": 256, "Q5_K": 256, "Q6_K": 256, "F32": 1, "BF16": 1}
P, I64, SIZE = c.c_void_p, c.c_int64, c.c_size_t
# By the names that they have for each other: a wheel holds copies, no links.
folder = Path(find_spec("llama_cpp").origin).parent / "lib"
base = c.CDLL(str(folder / "libggml-base.so.0"), mode=c.RTLD_GLOBAL)
cpu = c.CDLL(str(folder / "libggml-cpu.so.0"), mode=c.RTLD_GLOBAL)


class InitParams(c.Structure):
    _fields_ = [("mem_size", SIZE), ("mem_buffer", P), ("no_alloc", c.c_bool)]


def function(library, name, result, *arguments):
    found = getattr(library, name)
    found.restype, found.argtypes = result, arguments
    return found


init = function(base, "ggml_init", P, InitParams)
free = function(base, "ggml_free", None, P)
tensor_2d = function(base, "ggml_new_tensor_2d", P, P, c.c_int, I64, I64)
mul_mat = function(base, "ggml_mul_mat", P, P, P, P)
new_graph = function(base, "ggml_new_graph_custom", P, P, SIZE, c.c_bool)
expand = function(base, "ggml_build_forward_expand", None, P, P)
alloc_all = function(base, "ggml_backend_alloc_ctx_tensors_from_buft", P, P, P)
alloc_buffer = function(base, "ggml_backend_buft_alloc_buffer", P, P, SIZE)
buffer_base = function(base, "ggml_backend_buffer_get_base", P, P)
buffer_free = function(base, "ggml_backend_buffer_free", None, P)
place = function(base, "ggml_backend_tensor_alloc", c.c_int, P, P, P)
write = function(base, "ggml_backend_tensor_set", None, P, P, SIZE, SIZE)
read = function(base, "ggml_backend_tensor_get", None, P, P, SIZE, SIZE)
row_size = function(base, "ggml_row_size", SIZE, c.c_int, I64)
quantize = function(base, "ggml_quantize_chunk", SIZE, c.c_int, P, P, I64, I64, I64, P)
plain_buffers = function(base, "ggml_backend_cpu_buffer_type", P)
compute = function(base, "ggml_backend_graph_compute", c.c_int, P, P)
device_of = function(base, "ggml_backend_reg_dev_get", P, P, SIZE)
address = function(base, "ggml_backend_reg_get_proc_address", P, P, c.c_char_p)
takes = function(base, "ggml_backend_dev_supports_op", c.c_bool, P, P)
registry = function(cpu, "ggml_backend_cpu_reg", P)
set_threads = function(cpu, "ggml_backend_cpu_set_n_threads", None, P, c.c_int)
silent = c.CFUNCTYPE(None, c.c_int, c.c_char_p, P)(lambda level, text, data: None)
function(base, "ggml_log_set", None, P, P)(c.cast(silent, P), None)
backend = function(cpu, "ggml_backend_cpu_init", P)()


def context():
    return init(InitParams(64 << 20, None, True))


def extra_buffers(kind, n, k):
    """The first of the backend's own buffer types that multiplies such weights."""
    device = device_of(registry(), 0)
    found = address(registry(), b"ggml_backend_dev_get_extra_bufts")
    if not found:
        raise Refused("ggml_backend_dev_get_extra_bufts is not there")
    listed = c.CFUNCTYPE(c.POINTER(P), P)(found)(device)
    scratch = context()
    weight = tensor_2d(scratch, TYPES[kind], k, n)
    product = mul_mat(scratch, weight, tensor_2d(scratch, TYPES["F32"], k, 512))
    try:
        i = 0
        while listed and listed[i]:
            empty = alloc_buffer(listed[i], 0)
            # struct ggml_tensor { enum ggml_type type; ggml_backend_buffer* buffer; ...
            P.from_address(weight + 8).value = empty
            good = takes(device, product)
            buffer_free(empty)
            if good:
                return listed[i]
            i += 1
    finally:
        free(scratch)
    raise Refused(f"ggml repacks no {kind} on this machine")


class Linear:
    def __init__(self, words, n, k):
        kind, _, repacked = words.partition(" ")
        if k % BLOCK.get(kind, 32):
            raise Refused(f"{kind} takes blocks of {BLOCK[kind]}, K is {k}")
        buffers = extra_buffers(kind, n, k) if repacked else plain_buffers()
        self.n, self.k, self.checked = n, k, False
        self.truth = random_weight(n, k)
        self.size = row_size(TYPES[kind], k) * n
        data = numpy.empty(self.size, numpy.uint8)
        quantize(TYPES[kind], self.truth.ctypes.data, data.ctypes.data, 0, n, k, None)
        self.context = context()
        self.weights = [tensor_2d(self.context, TYPES[kind], k, n)
                        for _ in range(copies_of(self.size))]
        self.buffer = alloc_all(self.context, buffers)
        for weight in self.weights:
            write(weight, data.ctypes.data, 0, self.size)

    def __del__(self):
        if hasattr(self, "buffer"):
            buffer_free(self.buffer)
            free(self.context)

    def graphs(self, scratch, x, at, buffer, m):
        each = min(len(self.weights), max(1, 64 // m))
        for first in range(0, len(self.weights) - each + 1, each):
            graph = new_graph(scratch, 2 * each + 8, False)
            for weight in self.weights[first:first + each]:
                y = mul_mat(scratch, weight, x)
                place(buffer, y, at)
                expand(graph, y)
            yield graph, y, each

    def time(self, m, threads, milliseconds):
        rows = random_rows(m, self.k)
        scratch = context()
        buffer = alloc_buffer(plain_buffers(), rows.nbytes + 4 * m * self.n + 4096)
        try:
            x = tensor_2d(scratch, TYPES["F32"], self.k, m)
            start = buffer_base(buffer)
            place(buffer, x, start)
            write(x, rows.ctypes.data, 0, rows.nbytes)
            at = start + (rows.nbytes + 63) // 64 * 64
            graphs = list(self.graphs(scratch, x, at, buffer, m))
            set_threads(backend, threads)

            def call(i):
                graph, _, products = graphs[i % len(graphs)]
                compute(backend, graph)
                return products

            seconds = seconds_a_call(call, milliseconds)
            if not self.checked:
                y = numpy.empty((m, self.n), numpy.float32)
                read(graphs[0][1], y.ctypes.data, 0, y.nbytes)
                check(y, rows, self.truth)
                self.checked = True
            return seconds, self.size
        finally:
            buffer_free(buffer)
            free(scratch)


serve(Linear)
