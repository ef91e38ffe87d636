"""Float conversions against torch's casts and torchao's fp6 / fp4 casts."""
import os
import subprocess
import sys
import tempfile

import torch
from safetensors.torch import load_file, save_file
from torchao.prototype.custom_fp_utils import (
    _f32_to_floatx_unpacked,
    _floatx_unpacked_to_f32,
)

FLOAT8 = ["float8_e4m3fn", "float8_e5m2", "float8_e4m3fnuz", "float8_e5m2fnuz",
          "float8_e8m0fnu"]
WIDE = ["float64", "float32", "bfloat16", "float16"]
SMALL = {"float6_e3m2fn": (6, 3, 2), "float6_e2m3fn": (6, 2, 3),
         "float4_e2m1fn": (4, 2, 1)}


def all_sixteen(dtype):
    bits = torch.arange(65536, dtype=torch.int32).to(torch.int16)
    return bits.view(dtype)


def float32_cases():
    """Every 16-bit upper half with lower halves around ties; middles of all
    neighbouring float8 values and the floats next to them."""
    high = torch.arange(65536, dtype=torch.int64) << 16
    low = torch.tensor([0, 1, 0x1000, 0x7FFF, 0x8000, 0x8001, 0xFFFF])
    bits = (high[:, None] | low[None, :]).flatten()
    bits = torch.where(bits >= 1 << 31, bits - (1 << 32), bits)
    cases = [bits.to(torch.int32).view(torch.float32)]
    for name in FLOAT8 + ["float16"]:
        dtype = getattr(torch, name)
        codes = (torch.arange(256, dtype=torch.uint8).view(dtype)
                 if dtype.itemsize == 1 else all_sixteen(dtype))
        values = codes.to(torch.float64)
        values = values[values.isfinite()].unique()
        middle = ((values[1:] + values[:-1]) / 2).to(torch.float32)
        for m in (middle, values.to(torch.float32)):
            for target in (float("inf"), float("-inf")):
                cases.append(torch.nextafter(m, torch.tensor(target)))
            cases.append(m)
    cases.append(torch.randn(100000, generator=torch.Generator().manual_seed(7))
                 * 10.0 ** torch.randint(-9, 9, (100000,)))
    return torch.cat(cases)


def same(a, b):
    """Equal bits, or both NaN."""
    assert a.dtype == b.dtype and a.shape == b.shape, (a.dtype, b.dtype)
    view = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
    bits = view[a.dtype.itemsize]
    wide_a, wide_b = a.to(torch.float64), b.to(torch.float64)
    ok = (a.view(bits) == b.view(bits)) | (wide_a.isnan() & wide_b.isnan())
    return int((~ok).sum())


def unpack(data, width, count):
    data = data.to(torch.int64)
    bits = (data[:, None] >> torch.arange(8)) & 1
    bits = bits.flatten()[: count * width].view(count, width)
    return (bits << torch.arange(width)).sum(1).to(torch.uint8)


def pack(codes, width):
    bits = ((codes.to(torch.int64)[:, None] >> torch.arange(width)) & 1).flatten()
    return (bits.view(-1, 8) << torch.arange(8)).sum(1).to(torch.uint8)


def main(probe):
    sources = {"float32": float32_cases(), "bfloat16": all_sixteen(torch.bfloat16),
               "float16": all_sixteen(torch.float16)}
    sources["float32"] = sources["float32"][: len(sources["float32"]) // 8 * 8]
    sources["float64"] = torch.cat(
        [sources["float32"][::16].double(),
         torch.randn(5000, dtype=torch.float64) * 1e3])
    for name in FLOAT8:
        sources[name] = torch.arange(256, dtype=torch.uint8).view(
            getattr(torch, name))
    for dtype in (torch.int8, torch.uint8):
        sources[str(dtype)[6:]] = torch.arange(256, dtype=torch.uint8).view(dtype)
    for dtype in (torch.int16, torch.int32, torch.int64):
        info = torch.iinfo(dtype)
        sources[str(dtype)[6:]] = torch.cat([
            torch.randint(info.min, info.max, (4000,), dtype=dtype),
            torch.tensor([info.min, info.max, 0, 1, -1, 257, 2049], dtype=dtype)])
    sources["bool"] = torch.tensor([True, False, True])
    inputs = {}
    for name, tensor in sources.items():
        for to in WIDE + FLOAT8:
            inputs[f"{name}>{to}"] = tensor
    finite = sources["float32"]
    finite = finite[~finite.isnan()]
    finite = finite[: len(finite) // 8 * 8].clone()
    for name, (width, _, _) in SMALL.items():
        inputs[f"finite>{name}"] = finite
        codes = torch.arange(1 << width, dtype=torch.uint8)
        inputs[f"codes?{name}"] = pack(codes, width)

    with tempfile.TemporaryDirectory() as folder:
        a, b = os.path.join(folder, "in"), os.path.join(folder, "out")
        inputs = {k: v.clone().contiguous() for k, v in inputs.items()}
        save_file(inputs, a)
        subprocess.run([probe, a, b], check=True)
        out = load_file(b)

    compared = bad = 0
    for key in inputs:
        if ">" in key and not key.startswith("finite"):
            name, to = key.split(">")
            expected = sources[name].to(getattr(torch, to))
            wrong = same(out[key], expected)
        elif key.startswith("finite"):
            width, ebits, mbits = SMALL[key[7:]]
            expected = _f32_to_floatx_unpacked(finite, ebits, mbits)
            got = unpack(out[key], width, len(finite))
            wrong = int((got != expected).sum())
        else:
            width, ebits, mbits = SMALL[key[6:]]
            codes = torch.arange(1 << width, dtype=torch.uint8)
            expected = _floatx_unpacked_to_f32(codes, ebits, mbits)
            wrong = same(out[key], expected)
        compared += expected.numel()
        bad += wrong
        if wrong:
            print(f"FAIL {key}: {wrong} of {expected.numel()} differ")
    print(f"{len(inputs)} conversions, {compared} elements, {bad} differ")
    assert compared > 5_000_000
    return 1 if bad else 0


sys.exit(main(sys.argv[1]))
