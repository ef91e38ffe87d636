"""Linears of torch and torchao: answers the questions of linear.py (linear_peer.py
says how). The names of KINDS are what they call themselves; a name with " compiled"
behind it goes through torch.compile.

usage: linear_torch.py
"""

import copy
import warnings

import torch
import torch._dynamo
from torchao import quantization as q

from linear_peer import (Refused, check, copies_of, random_rows, random_weight,
                         seconds_a_call, serve)

GROUP = 32
warnings.filterwarnings("ignore")
torch.set_grad_enabled(False)
aten = torch.ops.aten


def by_config(config):
    def make(weight, dtype):
        n, k = weight.shape
        net = torch.nn.Sequential(torch.nn.Linear(k, n, bias=False, dtype=dtype))
        net[0].weight.copy_(weight)
        if config is not None:
            q.quantize_(net, config)
        return net[0]

    return make


def quantize_dynamic(weight, dtype):
    net = torch.nn.Sequential(by_config(None)(weight, dtype))
    return torch.ao.quantization.quantize_dynamic(
        net, {torch.nn.Linear}, dtype=torch.qint8)[0]


class Packed(torch.nn.Module):
    def __init__(self, codes, scales, multiply):
        super().__init__()
        self.codes, self.scales, self.multiply = codes, scales, multiply

    def forward(self, x):
        return self.multiply(x, self.codes, self.scales)


def int4_pack(weight, dtype):
    """Codes u in groups of 32: (u - 8) * scale + zero, what the operator takes."""
    n, k = weight.shape
    groups = weight.view(n, k // GROUP, GROUP)
    low, high = groups.amin(2, True), groups.amax(2, True)
    scale = (high - low) / 15
    codes = ((groups - low) / scale).round().clamp(0, 15).to(torch.int32).view(n, k)
    values = torch.cat([scale, low + 8 * scale], 2).transpose(0, 1)
    return Packed(
        aten._convert_weight_to_int4pack_for_cpu(codes, 1),
        values.contiguous().to(dtype),
        lambda x, w, s: aten._weight_int4pack_mm_for_cpu(x, w, GROUP, s))


def int8_pack(weight, dtype):
    scale = weight.abs().amax(1) / 127
    codes = (weight / scale[:, None]).round().to(torch.int8)
    return Packed(codes, scale.to(dtype), aten._weight_int8pack_mm)


INT4 = {"weight_dtype": torch.int4}
# The dtype of x and y in which each is fastest, how it is made, bytes a
# weight with those of its groups.
KINDS = {
    "float32": (torch.float32, by_config(None), 4),
    "bfloat16": (torch.bfloat16, by_config(None), 2),
    "quantize_dynamic": (torch.float32, quantize_dynamic, 1),
    "Int8DynamicActivationInt8Weight":
    (torch.float32, by_config(q.Int8DynamicActivationInt8WeightConfig(version=2)), 1),
    "Int8WeightOnly":
    (torch.bfloat16, by_config(q.Int8WeightOnlyConfig(version=2)), 1),
    "Int8DynamicActivationIntxWeight int4 g32":
    (torch.bfloat16, by_config(q.Int8DynamicActivationIntxWeightConfig(
        weight_granularity=q.PerGroup(GROUP), **INT4)), 1 + 3 / GROUP),
    "IntxWeightOnly int4 g32":
    (torch.bfloat16, by_config(q.IntxWeightOnlyConfig(
        granularity=q.PerGroup(GROUP), **INT4)), 1 + 3 / GROUP),
    "Float8WeightOnly": (torch.bfloat16, by_config(q.Float8WeightOnlyConfig()), 1),
    "_weight_int4pack_mm_for_cpu g32": (torch.bfloat16, int4_pack, 0.5 + 4 / GROUP),
    "_weight_int8pack_mm": (torch.bfloat16, int8_pack, 1),
}


class Linear:
    def __init__(self, words, n, k):
        kind = words.removesuffix(" compiled")
        self.compiled = kind != words
        self.dtype, make, width = KINDS[kind]
        self.k, self.checked, self.size = k, False, int(n * k * width)
        self.truth = random_weight(n, k)
        try:
            first = make(torch.from_numpy(self.truth), self.dtype)
        except (RuntimeError, ImportError, NotImplementedError) as error:
            raise Refused(str(error).splitlines()[0]) from error
        self.modules = [first] + [copy.deepcopy(first)
                                  for _ in range(copies_of(self.size) - 1)]
        self.calls = (self.compile() if self.compiled
                      else [module.forward for module in self.modules])

    def time(self, m, threads, milliseconds):
        torch.set_num_threads(threads)
        rows = random_rows(m, self.k)
        x = torch.from_numpy(rows).to(self.dtype)

        def call(i):
            self.calls[i % len(self.calls)](x)
            return 1

        try:
            if not self.checked:
                check(self.calls[0](x).float().numpy(), rows, self.truth)
                self.checked = True
            return seconds_a_call(call, milliseconds), self.size
        except (RuntimeError, NotImplementedError) as error:
            raise Refused(str(error).splitlines()[0]) from error

    def compile(self):
        """One function of x and the weight, compiled once for each number of rows and
        of threads."""
        product = torch.compile(torch.nn.functional.linear, dynamic=False)
        return [lambda x, w=module.weight: product(x, w) for module in self.modules]


# Behind the limit torch would run eagerly under the name of a compiled module.
torch._dynamo.config.recompile_limit = 1024
torch._dynamo.config.accumulated_recompile_limit = 4096
serve(Linear)
