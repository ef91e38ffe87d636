"""The HQQ solvers on one weight, [4096, 4096] bfloat16, ours beside torchao's on
one thread, in turns: bench_encode's cases against torchao's own functions.

usage: torchao_hqq.py BENCH_ENCODE [--runs N]
"""

import argparse
import json
import statistics
import subprocess
import time

import torch
from torchao.quantization.quant_primitives import (
    _choose_qparams_and_quantize_affine_hqq,
    _choose_qparams_and_quantize_scale_only_hqq,
)

CASES = {
    "hqq_scale_only_int4_g32":
    lambda w: _choose_qparams_and_quantize_scale_only_hqq(w, [1, 32], -8, 7),
    "hqq_int4_g64":
    lambda w: _choose_qparams_and_quantize_affine_hqq(
        w, nbits=4, group_size=64, compute_dtype=torch.bfloat16, device="cpu"),
}


def ours(bench, case):
    out = subprocess.run(
        [bench, f"--benchmark_filter=^{case}/", "--benchmark_format=json"],
        check=True, capture_output=True, text=True).stdout
    (found,) = json.loads(out)["benchmarks"]
    if "error_message" in found:
        raise SystemExit(f"{case}: {found['error_message']}")
    return found["real_time"] / 1e3


def torchao(call, weight):
    begin = time.perf_counter()
    call(weight)
    return time.perf_counter() - begin


parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("bench")
parser.add_argument("--runs", type=int, default=3)
options = parser.parse_args()
torch.set_num_threads(1)
torch.manual_seed(7)
weight = (torch.randn(4096, 4096) * 0.02).bfloat16()
for case, call in CASES.items():
    pairs = [(ours(options.bench, case), torchao(call, weight))
             for _ in range(options.runs)]
    mine, peer = (statistics.median(side) for side in zip(*pairs))
    print(f"{case:24} {mine:7.3f} s, torchao {peer:7.3f} s = {peer / mine:.1f}",
          flush=True)
