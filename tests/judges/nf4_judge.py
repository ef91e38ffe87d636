"""NF4Tensor against torchao's to_nf4 on a CPU."""
import itertools
import json
import os
import subprocess
import sys
import tempfile

import torch
from safetensors.torch import load_file, save_file
from torchao.quantization.quantize_.workflows.nf4.nf4_tensor import to_nf4

FIELDS = ["quantized_data", "quantized_scalers", "quantization_factor",
          "scaler_mean", "nf4"]
DTYPES = [torch.bfloat16, torch.float16, torch.float32]
SHAPES = [((512, 256), 64, 256), ((64, 256), 64, 256), ((512, 96), 64, 256),
          ((1024, 512), 64, 256), ((32, 160), 32, 16), ((16384,), 64, 256),
          ((48, 64), 6, 128)]


def weight(shape, dtype, seed, block):
    g = torch.Generator().manual_seed(seed)
    w = torch.randn(shape, generator=g) * 0.05
    flat = w.view(-1)
    blocks = flat.view(-1, block)
    blocks[3] = 0
    blocks[7, 1] = 50.0
    blocks[9] *= 1e-38
    blocks[10] *= 1e-6
    blocks[11] = 0.25
    if seed % 2:  # a scaler block of equal scalers
        blocks[:, 0] = 3.0
        blocks.clamp_(-3, 3)
    return w.to(dtype)


def raw(t):
    view = {1: torch.uint8, 2: torch.int16, 4: torch.int32}
    return t.reshape(-1).view(view[t.dtype.itemsize])


def main(probe):
    # The mean is a sum in the order of one thread.
    torch.set_num_threads(1)
    cases, inputs, made = [], {}, {}
    for seed, (dtype, (shape, block, scaler)) in enumerate(
            itertools.product(DTYPES, SHAPES)):
        key = f"t{seed}"
        w = weight(shape, dtype, seed, block)
        t = to_nf4(w, block, scaler)
        inputs[key], made[key] = w, (w, t, block)
        for field in FIELDS:
            inputs[f"{key}.{field}"] = getattr(t, field).clone()
        cases.append({"key": key, "block_size": block,
                      "scaler_block_size": scaler})
    with tempfile.TemporaryDirectory() as folder:
        paths = [os.path.join(folder, p) for p in ("cases", "in", "out")]
        with open(paths[0], "w") as f:
            json.dump(cases, f)
        save_file(inputs, paths[1])
        subprocess.run([probe, *paths], check=True)
        out = load_file(paths[2])
    elements = zeros = 0
    for key, (w, t, block) in made.items():
        for field in FIELDS[1:]:
            expected, got = getattr(t, field), out[f"{key}.{field}"]
            assert got.dtype == expected.dtype and got.shape == expected.shape
            assert torch.equal(raw(got), raw(expected)), (
                key, w.dtype, w.shape, field, got, expected)
        codes = [torch.stack([d >> 4, d & 15], 1).view(-1, block)
                 for d in (t.quantized_data, out[f"{key}.quantized_data"])]
        zero = (w.reshape(-1, block) == 0).all(1)
        assert torch.equal(codes[0][~zero], codes[1][~zero]), (key, w.dtype)
        assert (codes[1][zero] == 7).all(), key
        expected = t.get_original_weight()
        assert torch.equal(raw(out[key + ".decoded"]), raw(expected)), (
            key, w.dtype, w.shape)
        elements += w.numel()
        zeros += int(zero.sum())
    print(f"{len(made)} tensors of {elements} elements: all fields byte-equal "
          f"({zeros} zero blocks by rule), decoded equal")
    assert zeros > 10 and elements > 2_000_000
    return 0


sys.exit(main(sys.argv[1]))
