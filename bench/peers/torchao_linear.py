"""One linear of torchao's eager modules, weight [64, 64], M = 1, one thread: the
peer of bench_torch_linear. Best of 25 times 200 calls, in ns.

usage: torchao_linear.py
"""

import time

import torch
from torchao.quantization import (
    Float8WeightOnlyConfig,
    Int8DynamicActivationInt8WeightConfig,
    Int8DynamicActivationIntxWeightConfig,
    Int8WeightOnlyConfig,
    PerGroup,
    quantize_,
)

CALLS = 200
CONFIGS = {
    "plain": None,
    "int8_weight_only": Int8WeightOnlyConfig(version=2),
    "int8_dynamic": Int8DynamicActivationInt8WeightConfig(version=2),
    "int8_dynamic_int4": Int8DynamicActivationIntxWeightConfig(
        weight_dtype=torch.int4, weight_granularity=PerGroup(32)),
    "float8_weight_only": Float8WeightOnlyConfig(),
}


def best_ns(call):
    best = float("inf")
    for _ in range(25):
        begin = time.perf_counter()
        for _ in range(CALLS):
            call()
        best = min(best, (time.perf_counter() - begin) / CALLS)
    return best * 1e9


torch.set_num_threads(1)
x = torch.randn(1, 64)
with torch.no_grad():
    for name, config in CONFIGS.items():
        net = torch.nn.Sequential(torch.nn.Linear(64, 64))
        if config is not None:
            quantize_(net, config)
        linear = net[0]
        linear(x)
        print(f"torchao eager {name:20} {best_ns(lambda: linear(x)):10.0f} ns")
