"""Int4 primitives against the torchao wheel on the CPU.

The tinygemm domain must be equal bit for bit.
HQQ cannot be matched to the bit outside ATen (its pow): codes must be equal,
scales and zero points within 2 units in the last place.
"""

import os
import subprocess
import sys
import tempfile

import torch
from safetensors.torch import load_file, save_file
from torchao.quantization.quant_primitives import (
    MappingType,
    _choose_qparams_affine_tinygemm,
    _choose_qparams_and_quantize_affine_hqq,
    _dequantize_affine_tinygemm,
    _quantize_affine_tinygemm,
)

from int4_values import awkward, ordinary

DTYPES = {
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
    "float32": torch.float32,
}


def ordered(t):
    """Integers in the order of the values: neighbours differ by one."""
    if t.dtype == torch.float32:
        bits = t.view(torch.int32).to(torch.int64)
        low = -(2**31)
    else:
        bits = t.view(torch.int16).to(torch.int64)
        low = -(2**15)
    return torch.where(bits < 0, low - bits, bits)


def ulps(a, b):
    assert torch.isfinite(a).all() and torch.isfinite(b).all()
    return int((ordered(a) - ordered(b)).abs().max()) if a.numel() else 0


def hqq_cases():
    for dtype in DTYPES:
        for form in ("tinygemm", "raw"):
            for make in (ordinary, awkward):
                for group in (32, 64, 128):
                    w = make((36, 384), DTYPES[dtype], group)
                    yield f"hqq:4:{group}:1:20:{dtype}:{form}:{make.__name__}", w
    w = ordinary((40, 256), torch.float32, 3)
    for nbits in (1, 2, 3, 5, 6, 8):
        for form in ("tinygemm", "raw"):
            yield f"hqq:{nbits}:64:1:20:float32:{form}:bits", w
    for group in (8, 20, 40):
        for form in ("tinygemm", "raw"):
            yield f"hqq:4:{group}:0:20:float32:{form}:axis", w
    for dtype in DTYPES:
        for axis in (0, 1):
            yield f"hqq:4:16:{axis}:0:{dtype}:raw:unsolved", ordinary(
                (32, 64), DTYPES[dtype], 5
            )
            yield f"hqq:4:16:{axis}:0:{dtype}:tinygemm:unsolved", ordinary(
                (32, 64), DTYPES[dtype], 6
            )
    # Distances above the threshold at which the solver's shrinkage acts.
    yield "hqq:4:64:1:20:float32:raw:wide", ordinary((16, 256), torch.float32, 9) * 90
    yield "hqq:2:64:1:20:bfloat16:tinygemm:wide", ordinary(
        (16, 256), torch.bfloat16, 9
    ) * 50


def hqq_expected(name, w):
    _, nbits, group, axis, iterations, dtype, form, _ = name.split(":")
    codes, scale, zero, _ = _choose_qparams_and_quantize_affine_hqq(
        w,
        nbits=int(nbits),
        group_size=int(group),
        optimize=iterations != "0",
        axis=int(axis),
        compute_dtype=DTYPES[dtype],
        device="cpu",
        raw_output=form == "raw",
    )
    return codes, scale, zero


def run(probe, tensors):
    with tempfile.TemporaryDirectory() as folder:
        source = os.path.join(folder, "in.safetensors")
        result = os.path.join(folder, "out.safetensors")
        save_file({k: v.contiguous().clone() for k, v in tensors.items()}, source)
        subprocess.run([probe, source, result], check=True)
        return load_file(result)


def judge_hqq(probe):
    cases = dict(hqq_cases())
    found = run(probe, cases)
    exact, worst, bad = 0, 0, []
    for name, w in cases.items():
        codes, scale, zero = hqq_expected(name, w)
        ours = [found[f"{name}/{f}"] for f in ("codes", "scale", "zero_point")]
        assert ours[0].shape == codes.shape and ours[1].shape == scale.shape, name
        assert ours[2].shape == zero.shape, (name, ours[2].shape, zero.shape)
        differ = int((ours[0] != codes).sum())
        apart = [ulps(ours[1], scale), ulps(ours[2], zero)]
        worst = max(worst, *apart)
        exact += torch.equal(ours[2], zero)
        if differ or max(apart) > 2:
            bad.append((name, differ, apart))
    for line in bad:
        print("differs:", *line)
    print(
        f"hqq: {len(cases)} cases, codes equal in {len(cases) - len(bad)}, "
        f"zero points bit-equal in {exact}, at most {worst} ulp apart"
    )
    assert not bad


def tinygemm_cases():
    n = 0
    for dtype, torch_dtype in DTYPES.items():
        for block in ("1x32", "1x160", "36x1", "4x8", "36x160"):
            for target, low, high in (
                ("uint8", 0, 15),
                ("uint4", 0, 15),
                ("uint8", 0, 255),
                ("uint3", 0, 7),
                ("int8", -8, 7),
                ("int32", 0, 15),
                ("uint8", 0, 2),
            ):
                n += 1
                w = awkward((36, 160), torch_dtype, n)
                for kind in ((dtype,) * 3, ("float32", "bfloat16", "float16")):
                    yield (
                        f"tinygemm:{block}:{target}:{low}:{high}:"
                        + ":".join(kind)
                        + f":{dtype}"
                    ), w
    yield "tinygemm:1x1x64:uint4:0:15:bfloat16:bfloat16:bfloat16:3d", awkward(
        (3, 5, 128), torch.bfloat16, 1
    )


def tinygemm_expected(name, w):
    _, block, target, low, high, scale_dtype, zero_dtype, out, _ = name.split(":")
    block = [int(b) for b in block.split("x")]
    target = getattr(torch, target)
    limits = dict(quant_min=int(low), quant_max=int(high))
    scale, zero = _choose_qparams_affine_tinygemm(
        w,
        MappingType.ASYMMETRIC,
        block,
        target,
        scale_dtype=DTYPES[scale_dtype],
        zero_point_dtype=DTYPES[zero_dtype],
        **limits,
    )
    codes = _quantize_affine_tinygemm(w, block, scale, zero, target, **limits)
    back = _dequantize_affine_tinygemm(
        codes, block, scale, zero, target, output_dtype=DTYPES[out], **limits
    )
    return {"scale": scale, "zero_point": zero, "codes": codes, "back": back}


def bits(t):
    return t.contiguous().view(torch.uint8) if t.dim() else t.view(1).view(torch.uint8)


def judge_tinygemm(probe):
    cases = dict(tinygemm_cases())
    found = run(probe, cases)
    compared = 0
    for name, w in cases.items():
        for field, expected in tinygemm_expected(name, w).items():
            ours = found[f"{name}/{field}"]
            assert ours.dtype == expected.dtype, (name, field, ours.dtype)
            assert ours.shape == expected.shape, (name, field, ours.shape)
            if not torch.equal(bits(ours), bits(expected)):
                at = (ours != expected).nonzero()[:3]
                raise AssertionError((name, field, at, len((ours != expected).nonzero())))
            compared += expected.numel()
    print(f"tinygemm: {len(cases)} cases, {compared} values bit-equal")


if __name__ == "__main__":
    judge_tinygemm(sys.argv[1])
    judge_hqq(sys.argv[1])
