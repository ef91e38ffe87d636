"""Judges quantized attention: torchao's schema, and its formula in float64.

usage: attention_judge.py ATTENTION_PROBE

The wheel declares torchao::qscaled_dot_product everywhere and has a kernel for
it only where it was built for that CPU: there it is called too. The formula is
that of its operators: decode, softmax, codes of the probabilities, decode,
codes of the output.
"""
import math
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
import torchao
from safetensors.torch import load_file, save_file

PROBE = sys.argv[1]
FLOAT8 = torch.float8_e4m3fn
NAME = "torchao::qscaled_dot_product"
# The wheel's kernel is float32 too.
HAS_KERNEL = torch._C._dispatch_has_kernel_for_dispatch_key(NAME, "CPU")
torch.manual_seed(0)


def probe(*arguments):
    done = subprocess.run([PROBE, *map(str, arguments)], capture_output=True,
                          text=True)
    assert done.returncode == 0, f"{arguments}: {done.stderr}"
    return done.stdout.strip()


def encode(steps, zero, dtype):
    """Codes of values in steps, as float64."""
    if dtype == torch.uint8:
        return (steps.round() + zero).clamp(0, 255)
    return steps.clamp(-448, 448).float().to(dtype).double()


def formula(q, k, v, mask, options):
    """The least and the largest code of each element that float32 may give."""
    given, scale, qs, qz, ks, kz, vs, vz, a, az, o, oz = options.double().tolist()
    scale = scale if given else 1 / math.sqrt(q.shape[-1])
    dtype = q.dtype
    q = (q.double() - qz) * qs
    k = (k.double() - kz) * ks
    v = (v.double() - vz) * vs
    scores = q @ k.transpose(-2, -1) * scale
    # Sums of products are exact for uint8, of K products for float8; the scale
    # and the mask round.
    products = 4 if dtype == torch.uint8 else q.shape[-1] + 4
    error = q.abs() @ k.abs().transpose(-2, -1) * abs(scale) * products
    if mask is not None:
        scores = scores + mask.double()
        error = error + scores.abs().nan_to_num(0, 0, 0)
    error = (error + error.amax(-1, keepdim=True)) * 2**-24
    p = scores.softmax(-1) / a
    # The power, its argument, the sum of all, the factor.
    error = error + (scores.shape[-1] + 60) * 2**-24
    most = encode(p * (1 + error), az, dtype)
    least = encode(p * (1 - error), az, dtype)
    codes = encode(p, az, dtype)
    y = ((codes - az) * a) @ v
    off = (most - least) * a @ v.abs()
    off = off + ((codes - az).abs() * a) @ v.abs() * 2**-24 * (
        4 if dtype == torch.uint8 else v.shape[-2] + 4)
    return (encode((y - off) / o, oz, dtype), encode((y + off) / o, oz, dtype))


def wheel(q, k, v, mask, options):
    given, scale, *rest = options.double().tolist()
    numbers = [int(n) if i % 2 else n for i, n in enumerate(rest)]
    return torch.ops.torchao.qscaled_dot_product(
        q, k, v, mask, 0.0, False, scale if given else None, *numbers)


def case(dtype, shape, mask, spread, scale=None):
    batch, heads, queries, keys, dim = shape

    def codes(length):
        x = torch.randn(batch, heads, length, dim) * spread
        if dtype == FLOAT8:
            return x.to(dtype)
        return (x + 128).round().clamp(0, 255).to(dtype)

    zeros = [0] * 5 if dtype == FLOAT8 else [125, 131, 128, 2, 120]
    a = 1 / 256 if keys < 64 else 8 / keys / 256
    scales = [0.03, 0.02, 0.025, a, 2 * spread * 0.025 / 128]
    numbers = [float(scale is not None), scale or 0.0]
    for pair in zip(scales, zeros):
        numbers += pair
    shapes = {
        None: None, "rows": (queries, keys), "keys": (1, keys),
        "full": (batch, heads, queries, keys), "batch": (batch, 1, 1, keys),
    }
    found = None if mask is None else torch.randn(shapes[mask])
    if mask == "batch":
        found[..., keys // 2 + 1:] = -math.inf
        found = found.bfloat16()
    return codes(queries), codes(keys), codes(keys), found, torch.tensor(numbers)


def all_cases():
    shapes = [(1, 1, 1, 1, 1), (2, 3, 1, 7, 3), (1, 2, 7, 65, 16),
              (2, 1, 65, 7, 63), (1, 2, 65, 257, 64), (1, 1, 257, 65, 80),
              (2, 2, 33, 1, 128), (1, 4, 128, 512, 64), (1, 2, 96, 2048, 128)]
    for dtype in (torch.uint8, FLOAT8):
        for shape in shapes:
            for mask in (None, "rows", "keys", "full", "batch"):
                yield case(dtype, shape, mask, 40)
            yield case(dtype, shape, None, 90, scale=0.3)
            yield case(dtype, shape, "rows", 40, scale=-0.1)


def judge_codes(folder):
    cases = list(all_cases())
    tensors = {}
    for i, (q, k, v, mask, options) in enumerate(cases):
        tensors |= {f"{i}/q": q, f"{i}/k": k, f"{i}/v": v,
                    f"{i}/options": options}
        if mask is not None:
            tensors[f"{i}/mask"] = mask
    save_file(tensors, folder / "in.safetensors")
    probe("run", folder / "in.safetensors", folder / "out.safetensors")
    found = load_file(folder / "out.safetensors")
    count = {torch.uint8: [0, 0], FLOAT8: [0, 0]}
    for i, inputs in enumerate(cases):
        low, high = formula(*inputs)
        ours = found[str(i)]
        dtype = inputs[0].dtype
        assert ours.dtype == dtype and ours.shape == inputs[0].shape, i
        outside = (ours.double() < low) | (ours.double() > high)
        assert not outside.any(), (
            f"case {i} {dtype} {list(inputs[0].shape)}: {outside.sum()} of "
            f"{outside.numel()} codes outside, first ours "
            f"{ours[outside][0].float()} not in [{low[outside][0]}, "
            f"{high[outside][0]}]")
        count[dtype][0] += int((low != high).sum())
        count[dtype][1] += low.numel()
        if HAS_KERNEL:
            theirs = wheel(*inputs).double()
            assert ((theirs >= low) & (theirs <= high)).double().mean() > 0.99, i
    for dtype, (open_, total) in count.items():
        # ATen adds products of float8 in an order of its own.
        assert open_ < total / (20 if dtype == torch.uint8 else 6), (
            dtype, open_, total)
        print(f"{dtype}: {total} codes, {open_} of them open by a rounding of "
              f"float32, none outside")


def judge_schema():
    schema = str(torch.ops.torchao.qscaled_dot_product.default._schema)
    ours = probe("schema")
    assert ours.replace("mantissa::", "torchao::") == schema, (ours, schema)
    print(f"the schema of torchao {torchao.__version__}")


judge_schema()
with tempfile.TemporaryDirectory() as tmp:
    judge_codes(Path(tmp))
print("torchao's own kernel: " + ("compared" if HAS_KERNEL else
                                  "not in this wheel for this CPU"))
