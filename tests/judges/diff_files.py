"""Judges `mantissa diff` and `inspect --stats` against torch in float64.

usage: diff_files.py MANTISSA

A model is saved plain and as torchao quantizes it. For every tensor the tool's
SQNR, cosine, maximum error and its index, and the statistics, must be those
that torch computes from torchao's own dequantize(). Infinities and NaNs too.
"""
import json
import math
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from safetensors.torch import save_file
from torchao.prototype.safetensors.safetensors_support import (
    flatten_tensor_state_dict,
)
from torchao.quantization import (
    Float8WeightOnlyConfig,
    Int8WeightOnlyConfig,
    IntxWeightOnlyConfig,
    PerGroup,
    quantize_,
)

TOOL = sys.argv[1]
CONFIGS = {
    "Int8Tensor": lambda: Int8WeightOnlyConfig(version=2),
    "IntxUnpackedToInt8Tensor": lambda: IntxWeightOnlyConfig(
        weight_dtype=torch.int4, granularity=PerGroup(32)),
    "Float8Tensor": lambda: Float8WeightOnlyConfig(),
}
RELATIVE = 1e-12  # float64 sums of up to 1e6 terms in another order


def tool(*words):
    run = subprocess.run([TOOL, *words], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


def model(dtype):
    torch.manual_seed(3)
    m = torch.nn.Sequential(torch.nn.Linear(256, 700),
                            torch.nn.LayerNorm(700),
                            torch.nn.Linear(256, 33)).to(dtype)
    with torch.no_grad():
        m[0].weight[5] = 0
        m[0].weight[7, 3] = 4
    return m


def state_of(m):
    return {k: v.data if type(v) is torch.nn.Parameter else v.detach()
            for k, v in m.state_dict().items()}


def close(a, b):
    return math.isclose(a, b, rel_tol=RELATIVE, abs_tol=1e-300)


def compare(found, name, a, b):
    a, b = a.double().flatten(), b.double().flatten()
    finite = (a - b).isfinite()
    error = torch.where(finite, (a - b).abs(), 0.0)
    x, y = a[finite], b[finite]
    signal, noise = (x * x).sum().item(), (error * error).sum().item()
    # torchao's float8 turns a row of zeros into NaN: pairs without a distance.
    assert found["nonfinite"] == int((~finite).sum()), name
    if found["nonfinite"] or noise == 0:
        assert found["sqnr_db"] is None, name
    else:
        assert close(found["sqnr_db"], 10 * math.log10(signal / noise)), name
    if noise > 0:
        cosine = (x @ y / (x.norm() * y.norm())).item()
        assert math.isclose(found["cosine"], cosine, rel_tol=1e-9), name
    assert found["differing"] == int((a != b).sum()), name
    assert found["max_error"] == error.max().item(), name
    assert found["max_error_index"] == int(error.argmax()), name
    assert found["values"] == a.numel(), name


def main():
    count = 0
    with tempfile.TemporaryDirectory() as tmp:
        folder = Path(tmp)
        for dtype in (torch.bfloat16, torch.float16, torch.float32):
            plain = state_of(model(dtype))
            save_file(plain, folder / "plain.safetensors")
            for type_, config in CONFIGS.items():
                m = model(dtype)
                quantize_(m, config())
                state = state_of(m)
                tensors, metadata = flatten_tensor_state_dict(state)
                save_file(tensors, folder / "q.safetensors", metadata)
                report = tool("diff", folder / "plain.safetensors",
                              folder / "q.safetensors", "--json")
                assert report["compared"] == len(plain), report
                rows = {row["name"]: row for row in report["tensors"]}
                quantized = 0
                for name, tensor in state.items():
                    if rows[name]["stored_b"] == type_:
                        quantized += 1
                        tensor = tensor.dequantize()
                    compare(rows[name], f"{type_} {dtype} {name}",
                            plain[name], tensor)
                    count += 1
                assert quantized == 2
        tensors = {"w": torch.tensor([[1.5, -2, 0, -0.0],
                                      [float("inf"), float("nan"), 3, 1e-40]]),
                   "q": torch.arange(-100, 28, dtype=torch.int8),
                   "h": plain["0.weight"]}
        save_file(tensors, folder / "stats.safetensors")
        report = tool("inspect", folder / "stats.safetensors", "--stats",
                      "--json")
        for row in report["tensors"]:
            values = tensors[row["name"]].double()
            finite = values[values.isfinite()]
            stats = row["stats"]
            assert stats["min"] == finite.min().item(), row
            assert stats["max"] == finite.max().item(), row
            assert stats["absmax"] == finite.abs().max().item(), row
            assert stats["zeros"] == int((values == 0).sum()), row
            assert stats["nonfinite"] == values.numel() - finite.numel(), row
            count += 1
    print(f"diff and inspect: {count} tensors, the numbers of torch")


main()
