"""The affine primitives against torchao's, bit by bit.

affine_primitives_judge.py PROBE
"""
import json
import pathlib
import subprocess
import sys
import tempfile

import torch
from safetensors.torch import load_file, save_file
from torchao.quantization.quant_primitives import (
    MappingType,
    _choose_qparams_and_quantize_scale_only_hqq,
    choose_qparams_affine,
    choose_qparams_affine_with_min_max,
    dequantize_affine,
    quantize_affine,
)

from affine_values import DTYPES, same_bytes, weight

BLOCKS = {
    "tensor": [48, 96], "row": [1, 96], "column": [48, 1], "g32": [1, 32],
    "g3": [1, 3], "block": [16, 32], "tall": [4, 1],
}
# Target dtype, bounds; sub-byte signed types are int8 with bounds in torchao.
TARGETS = {
    "int8": ("int8", None, None), "uint8": ("uint8", None, None),
    "int4": ("int8", -8, 7), "int2": ("int8", -2, 1), "int3": ("int8", -4, 3),
    "int5": ("int8", -16, 15), "int6": ("int8", -32, 31),
    "int7": ("int8", -64, 63), "narrow": ("int8", -127, 127),
    "uint4": ("uint4", None, None), "uint1": ("uint1", None, None),
    "uint7": ("uint7", None, None), "int16": ("int16", None, None),
}


def make_cases(tensors):
    cases = []

    def add(kind, x, block, mapping, target, **extra):
        dtype, low, high = TARGETS[target]
        if mapping == "SYMMETRIC_NO_CLIPPING_ERR" and target.startswith("u"):
            return
        case = dict(name=f"c{len(cases)}", kind=kind, input=x, mapping=mapping,
                    block_size=block, target=dtype, **extra)
        if low is not None:
            case.update(quant_min=low, quant_max=high)
        cases.append(case)

    for d in DTYPES:
        for mapping in MappingType.__members__:
            for block in BLOCKS.values():
                for target in ("int8", "uint8", "int4", "narrow"):
                    add("block", f"w.{d}", block, mapping, target,
                        zero_point_dtype="int32", keepdim=True)
            for target in TARGETS:
                if target == "int16" and d != "f32":
                    continue  # 32767 rounds to 32768 there and torch wraps
                add("block", f"w.{d}", [1, 32], mapping, target,
                    zero_point_dtype="int32")
            for keepdim in (False, True):
                for block in BLOCKS.values():
                    add("block", f"w.{d}", block, mapping, "int8",
                        keepdim=keepdim, zero_point_dtype="int32")
            for scale_dtype in ("float32", "float16", "bfloat16"):
                for eps in (2.0**-23, 1e-5, None):
                    add("block", f"w.{d}", [1, 48], mapping, "int8",
                        scale_dtype=scale_dtype, zero_point_dtype="int8",
                        keepdim=True, **({"eps": eps} if eps else {}))
            for zp in ("float32", "bfloat16", None):
                add("block", f"w.{d}", [1, 16], mapping, "int8", keepdim=True,
                    **({"zero_point_dtype": zp} if zp else {}))
            for block in ([1, 1, 96], [1, 12, 32], [4, 12, 96], [1, 1, 1]):
                add("block", f"e.{d}", block, mapping, "int4", keepdim=True,
                    zero_point_dtype="int32")
            for zp in ("int32", None):
                add("min_max", f"w.{d}", [1, 96], mapping, "int8",
                    min=f"min.{d}", max=f"max.{d}",
                    **({"zero_point_dtype": zp} if zp else {}))
    for d in DTYPES:
        for bits in range(1, 9):
            for group in (3, 32, 96):
                cases.append(dict(
                    name=f"c{len(cases)}", kind="hqq", input=f"w.{d}",
                    block_size=[1, group], quant_min=-2**(bits - 1),
                    quant_max=2**(bits - 1) - 1))
    return cases


def torch_dtype(case, key):
    return getattr(torch, case[key]) if key in case else None


def expected(case, tensors):
    x = tensors[case["input"]]
    block = case["block_size"]
    if case["kind"] == "hqq":
        q, s = _choose_qparams_and_quantize_scale_only_hqq(
            x, block, case["quant_min"], case["quant_max"])
        return {"q": q, "scale": s}
    common = dict(quant_min=case.get("quant_min"),
                  quant_max=case.get("quant_max"), eps=case.get("eps"),
                  scale_dtype=torch_dtype(case, "scale_dtype"),
                  zero_point_dtype=torch_dtype(case, "zero_point_dtype"))
    mapping = MappingType[case["mapping"]]
    target = torch_dtype(case, "target")
    if case["kind"] == "min_max":
        s, z = choose_qparams_affine_with_min_max(
            tensors[case["min"]], tensors[case["max"]], mapping, block, target,
            **common)
        return {"scale": s, "zero_point": z}
    if all(b == 1 for b in block):
        return None  # torchao reduces the whole tensor here; checked apart
    if common["zero_point_dtype"] is None and mapping != MappingType.ASYMMETRIC:
        common["zero_point_dtype"] = x.dtype  # what the raw operator keeps
    s, z = choose_qparams_affine(x, mapping, block, target,
                                 keepdim=case.get("keepdim", False), **common)
    q = quantize_affine(x, block, s, z, target, case.get("quant_min"),
                        case.get("quant_max"))
    held = torch.uint8 if str(target).startswith("torch.uint") else target
    back = [dequantize_affine(q, block, s, z, held, output_dtype=d)
            for d in (x.dtype, torch.float32)]
    return {"scale": s, "zero_point": z, "q": q, "dq": back[0],
            "dq32": back[1]}


def identity_block(case, tensors, got):
    """Blocks of one element: the scale of each element alone."""
    flat = dict(case, block_size=[1, 1, 2])
    x = tensors[case["input"]]
    pairs = x.unsqueeze(-1).repeat(1, 1, 1, 2).reshape(*x.shape[:2], -1)
    want = expected(flat, {case["input"]: pairs})
    assert same_bytes(got["scale"], want["scale"]), case
    assert torch.equal(got["q"], want["q"][..., ::2]), case


def main(probe):
    tensors = {}
    for name, dtype in DTYPES.items():
        tensors[f"w.{name}"] = weight(48, 96, dtype)
        tensors[f"e.{name}"] = weight(48, 96, dtype, 1).reshape(4, 12, 96)
        tensors[f"min.{name}"] = tensors[f"w.{name}"].amin(1)
        tensors[f"max.{name}"] = tensors[f"w.{name}"].amax(1)
    cases = make_cases(tensors)
    with tempfile.TemporaryDirectory() as d:
        d = pathlib.Path(d)
        (d / "cases.json").write_text(json.dumps(cases))
        save_file({k: v.contiguous() for k, v in tensors.items()},
                  d / "in.safetensors")
        subprocess.run([probe, d / "cases.json", d / "in.safetensors",
                        d / "out.safetensors"], check=True)
        got = load_file(d / "out.safetensors")
    compared = 0
    failures = []
    for case in cases:
        mine = {k.split(".")[1]: v for k, v in got.items()
                if k.split(".")[0] == case["name"]}
        want = expected(case, tensors)
        if want is None:
            identity_block(case, tensors, mine)
            compared += 1
            continue
        assert set(mine) == set(want), case
        for field, value in want.items():
            compared += 1
            if not same_bytes(mine[field], value):
                n = (mine[field] != value).sum().item() if (
                    mine[field].shape == value.shape) else "shape"
                failures.append((case, field, n, mine[field].dtype,
                                 value.dtype))
    for failure in failures[:20]:
        print(*failure)
    assert not failures, f"{len(failures)} fields differ"
    print(f"{len(cases)} cases, {compared} tensors equal to torchao's")


main(sys.argv[1])
