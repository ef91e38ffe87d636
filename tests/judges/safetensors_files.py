"""Judges header parsing and canonical order against the safetensors wheel.

usage: safetensors_files.py CHECKPOINT_PROBE

Files that safetensors.torch.save_file wrote are opened and written again: the
bytes must be the same. With two or more metadata keys the wheel's order is
random, so there the map is compared. Files in a shuffled order come back in the
wheel's order.
"""
import json
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

PROBE = sys.argv[1]
DTYPES = [
    torch.uint64, torch.int64, torch.float64, torch.complex64, torch.float32,
    torch.uint32, torch.int32, torch.bfloat16, torch.float16, torch.uint16,
    torch.int16, torch.float8_e5m2fnuz, torch.float8_e4m3fnuz,
    torch.float8_e8m0fnu, torch.float8_e4m3fn, torch.float8_e5m2, torch.int8,
    torch.uint8, torch.float4_e2m1fn_x2, torch.bool,
]


def sample(dtype, shape):
    torch.manual_seed(len(shape))
    raw = torch.randint(0, 2, shape, dtype=torch.uint8)
    if dtype in (torch.float4_e2m1fn_x2, torch.float8_e8m0fnu):
        return raw.view(dtype)
    return raw.to(torch.float32).to(dtype)


def resave(source, target):
    run = subprocess.run([PROBE, "resave", source, target],
                         capture_output=True, text=True)
    assert run.returncode == 0, f"{source}: {run.stderr}"


def header(path):
    data = Path(path).read_bytes()
    size = struct.unpack("<Q", data[:8])[0]
    return json.loads(data[8:8 + size]), data[8 + size:]


def same_bytes(folder, name, tensors, metadata):
    source, target = folder / f"{name}.safetensors", folder / f"{name}.out"
    save_file(tensors, source, metadata=metadata)
    resave(source, target)
    if metadata is None or len(metadata) < 2:
        assert source.read_bytes() == target.read_bytes(), name
    theirs, ours = header(source), header(target)
    assert theirs[1] == ours[1], f"{name}: data"
    assert theirs[0] == ours[0], f"{name}: header"
    order = [k for k in theirs[0] if k != "__metadata__"]
    assert order == [k for k in ours[0] if k != "__metadata__"], name
    loaded = load_file(target)
    assert loaded.keys() == tensors.keys()
    with safe_open(target, "pt") as opened:
        assert (opened.metadata() or None) == (metadata or None)
    return len(tensors)


def main():
    count = 0
    with tempfile.TemporaryDirectory() as tmp:
        folder = Path(tmp)
        everything = {
            f"{kind}.{str(dtype).split('.')[-1]}": sample(dtype, shape)
            for dtype in DTYPES
            for kind, shape in
            {"z": (4, 6), "a": (2, 1, 4), "m": (8,), "none": (0, 4)}.items()
        }
        everything["scalar"] = torch.tensor(3.0)
        count += same_bytes(folder, "all", everything, None)
        count += same_bytes(folder, "format", everything, {"format": "pt"})
        count += same_bytes(folder, "names", {
            "quote\"backslash\\.weight": torch.ones(2),
            "tab\tnewline\n\x01.weight": torch.ones(3),
            "\u00e9\u4e2d\U0001f600.weight": torch.ones(4),
        }, {"a": "control \x02 \u00e9 \"quoted\" /slash"})
        count += same_bytes(folder, "map", {"w.w": torch.ones(2)},
                            {"b": "1", "a": "2", "tensor_name": "x"})
        count += same_bytes(folder, "empty", {}, None)
    print(f"safetensors: {count} tensors of {len(DTYPES)} dtypes, "
          "files written again with the same bytes")


main()
