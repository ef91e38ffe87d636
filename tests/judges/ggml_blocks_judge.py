"""Our decoding of ggml blocks against the gguf wheel's, byte for byte.

usage: ggml_blocks_judge.py PROBE

Every type gets random bytes as codes. Half-float fields are drawn from all
finite bit patterns (zeros, subnormals, negative ones), so the K types, which
the wheel cannot quantize, are judged on valid blocks.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

import gguf
import numpy as np
import torch
from safetensors.torch import load_file, save_file

BLOCKS = 4096
# Byte offsets of the half-float fields of each block.
HALVES = {
    "Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "Q8_0": [0],
    "Q2_K": [80, 82], "Q3_K": [108], "Q4_K": [0, 2], "Q5_K": [0, 2],
    "Q6_K": [208], "F16": [0],
}
TYPES = ["F32", "F16", "BF16", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0",
         "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K"]


def finite_halves(rng, count):
    bits = rng.integers(0, 1 << 16, count, dtype=np.uint16)
    infinite = (bits & 0x7C00) == 0x7C00
    return np.where(infinite, bits & 0x83FF, bits).astype(np.uint16)


def random_blocks(rng, name):
    qtype = gguf.GGMLQuantizationType[name]
    values, size = gguf.GGML_QUANT_SIZES[qtype]
    count = BLOCKS if values > 1 else 1 << 16
    blocks = rng.integers(0, 256, (count, size), dtype=np.uint8)
    for offset in HALVES.get(name, []):
        halves = finite_halves(rng, count)
        blocks[:, offset:offset + 2] = halves.view(np.uint8).reshape(count, 2)
    if name == "F16":  # every bit pattern but NaN, whose payload is arbitrary
        every = np.arange(1 << 16, dtype=np.uint16)
        nan = ((every & 0x7C00) == 0x7C00) & ((every & 0x3FF) != 0)
        blocks = np.where(nan, 0, every).astype(np.uint16).view(np.uint8)
        blocks = blocks.reshape(-1, 2)
    if name in ("F32", "BF16"):
        floats = rng.standard_normal(count).astype(np.float32)
        bits = floats.view(np.uint32)
        if name == "F32":
            blocks = bits.view(np.uint8).reshape(-1, 4)
        else:
            half = (bits >> 16).astype(np.uint16)
            blocks = half.view(np.uint8).reshape(-1, 2)
    return qtype, np.ascontiguousarray(blocks)


def main():
    probe = sys.argv[1]
    rng = np.random.default_rng(20)
    blocks = {name: random_blocks(rng, name) for name in TYPES}
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "in.safetensors"
        target = Path(folder) / "out.safetensors"
        save_file({name: torch.from_numpy(raw.reshape(-1))
                   for name, (_, raw) in blocks.items()}, source)
        subprocess.run([probe, "blocks", source, target], check=True)
        ours = load_file(target)
    assert len(ours) == 3 * len(TYPES), sorted(ours)
    for name, (qtype, raw) in blocks.items():
        data = raw.reshape(-1) if name in ("F32", "F16") else raw
        theirs = np.ascontiguousarray(gguf.dequantize(data, qtype)).reshape(-1)
        truth = torch.from_numpy(theirs)
        assert truth.dtype == torch.float32
        for dtype in (torch.float32, torch.bfloat16, torch.float16):
            key = f"{name}.{str(dtype).removeprefix('torch.')}"
            expected = truth.to(dtype)
            if name == "F16" and dtype == torch.float16:
                expected = torch.from_numpy(raw.reshape(-1)).view(dtype)
            width = torch.int32 if dtype == torch.float32 else torch.int16
            differ = expected.view(width) != ours[key].view(width)
            first = int(differ.int().argmax())
            assert not differ.any(), (
                key, int(differ.sum()), first, expected[first],
                ours[key][first])
        print(f"{name}: {truth.numel()} values equal in float32, bfloat16, "
              "float16")


main()
