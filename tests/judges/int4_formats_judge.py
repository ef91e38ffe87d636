"""Int4Tensor and Int4TilePackedTo4dTensor against torchao.

The wheel cannot build either on a CPU: Int4Tensor needs MSLK, the tiles need a
CUDA operator. So Int4Tensor is judged by its formula in torch lines, and the
wheel's own Int4TilePackedTo4dTensor.from_hp runs with a CPU version of the one
missing operator, written from the element list of the layout. Metadata goes
through torchao's safetensors module in both cases.
"""

import json
import os
import subprocess
import sys
import tempfile

import torch
from safetensors.torch import load_file, save_file
from torchao.prototype.safetensors.safetensors_support import (
    flatten_tensor_state_dict,
    unflatten_tensor_state_dict,
)
from torchao.quantization import Int4TilePackedTo4dTensor
from torchao.quantization.quantize_.workflows import Int4ChooseQParamsAlgorithm

from int4_layouts import (
    fused,
    int4_asymmetric,
    int4_symmetric,
    pack_low_first,
    pack_tiles,
    unpack_tiles,
)
from int4_values import awkward, ordinary

DTYPES = (torch.bfloat16, torch.float16, torch.float32)
LIBRARY = torch.library.Library("aten", "IMPL")


def add_missing_operator():
    def convert(tiles, inner_k_tiles):
        codes = torch.stack([tiles >> 4, tiles & 0xF], dim=-1).flatten(1)
        return pack_tiles(codes, inner_k_tiles)

    LIBRARY.impl("_convert_weight_to_int4pack", convert, "CPU")
    torch.cuda.get_device_capability = lambda *_: (8, 0)


def same(ours, expected, what):
    assert ours.dtype == expected.dtype, (what, ours.dtype, expected.dtype)
    assert ours.shape == expected.shape, (what, ours.shape, expected.shape)
    a = ours.contiguous().view(torch.uint8)
    b = expected.contiguous().view(torch.uint8)
    if not torch.equal(a, b):
        where = (ours != expected).nonzero()
        raise AssertionError((what, len(where), where[:3].tolist()))
    return expected.numel()


def name_of(dtype):
    return str(dtype).removeprefix("torch.")


def run(probe, tensors):
    with tempfile.TemporaryDirectory() as folder:
        source = os.path.join(folder, "in.safetensors")
        result = os.path.join(folder, "out.safetensors")
        save_file({k: v.contiguous().clone() for k, v in tensors.items()}, source)
        subprocess.run([probe, source, result], check=True)
        return load_file(result)


def rebuilt(name, kind, fields, attributes):
    """torchao's object from our fields, which must flatten to the same entry."""
    entry = {
        "_type": kind,
        "_data": json.loads(attributes),
        "_tensor_data_names": list(fields),
    }
    metadata = {"tensor_names": json.dumps(["m.weight"]), "m.weight": json.dumps(entry)}
    stored = {f"m._weight_{field}": value for field, value in fields.items()}
    tensors, leftovers = unflatten_tensor_state_dict(stored, metadata)
    assert not leftovers, (name, list(leftovers))
    again, again_metadata = flatten_tensor_state_dict(tensors)
    assert again_metadata["m.weight"] == json.dumps(entry), (
        name,
        again_metadata["m.weight"],
        entry,
    )
    assert f'"_data": {attributes}, ' in again_metadata["m.weight"], name
    for key, value in stored.items():
        same(again[key], value, (name, key))
    return tensors["m.weight"]


def int4_cases():
    for dtype in DTYPES:
        for activation in ("bfloat16", "float8_e4m3fn"):
            for group, k in ((32, 96), (64, 576), (128, 384), (12, 36)):
                w = awkward((45, k), dtype, group)
                yield f"int4:{group}:{activation}:whole:{name_of(dtype)}", w
            w = awkward((3, 20, 192), dtype, 4)
            yield f"int4:64:{activation}:whole:{name_of(dtype)}3d", w
            yield f"int4:64:{activation}:select-1:{name_of(dtype)}", w
            w = awkward((40, 256), dtype, 5)
            yield f"int4:32:{activation}:slice-0-8-24:{name_of(dtype)}", w
            yield f"int4:32:{activation}:slice-1-64-256:{name_of(dtype)}", w


def int4_expected(w, group, activation):
    """qdata, scale, zero_point and codes by the formula, 2-D or 3-D."""
    rule = int4_asymmetric if activation == "bfloat16" else int4_symmetric
    parts = []
    for matrix in w.reshape(-1, *w.shape[-2:]):
        codes, scale, zero = rule(matrix, group)
        parts.append(
            (
                pack_low_first(codes),
                scale.t().contiguous().to(w.dtype),
                zero.t().contiguous().to(w.dtype),
                codes,
            )
        )
    out = [torch.stack(p) for p in zip(*parts)]
    return out if w.dim() == 3 else [p[0] for p in out]


def int4_values(codes, scale, zero, group):
    wide = [
        t.transpose(-1, -2).repeat_interleave(group, dim=-1) for t in (scale, zero)
    ]
    return fused(codes, wide[0], wide[1], scale.dtype)


def judge_int4(probe):
    cases = dict(int4_cases())
    found = run(probe, cases)
    compared = 0
    for name, w in cases.items():
        _, group, activation, op, _ = name.split(":")
        group = int(group)
        fields = {f: found[f"{name}/{f}"] for f in ("qdata", "scale", "zero_point")}
        attributes = bytes(found[f"{name}/attributes"].numpy()).decode()
        ours = rebuilt(name, "Int4Tensor", fields, attributes)
        assert str(ours.activation_dtype) == f"torch.{activation}", name
        qdata, scale, zero, codes = int4_expected(w, group, activation)
        words = op.split("-")
        if words[0] == "select":
            i = int(words[1])
            qdata, scale, zero, codes = qdata[i], scale[i], zero[i], codes[i]
        elif words[0] == "slice":
            dim, begin, end = map(int, words[1:])
            if dim == 0:  # a cut of rows is the encoding of the rows
                part = w[begin:end]
            else:
                part = w[:, begin:end]
            qdata, scale, zero, codes = int4_expected(part, group, activation)
            whole = Int4Like(w, group, activation)
            same(ours.qdata, whole.cut(dim, begin, end).qdata, (name, "slice"))
        for field, expected in (("qdata", qdata), ("scale", scale), ("zero_point", zero)):
            compared += same(fields[field], expected, (name, field))
        values = int4_values(codes, scale, zero, group)
        compared += same(found[f"{name}/decoded"], values, (name, "decoded"))
        same(found[f"{name}/parsed"], values, (name, "parsed"))
        assert list(ours.shape) == list(values.shape), (name, ours.shape)
    print(f"Int4Tensor: {len(cases)} cases, {compared} elements bit-equal")


class Int4Like:
    """The wheel's Int4Tensor from the formula, and its own slice of it."""

    def __init__(self, w, group, activation):
        from torchao.quantization import Int4Tensor

        qdata, scale, zero, _ = int4_expected(w, group, activation)
        self.tensor = Int4Tensor(
            qdata,
            scale,
            zero,
            [1, group],
            list(w.shape),
            activation_dtype=getattr(torch, activation),
        )

    def cut(self, dim, begin, end):
        return torch.ops.aten.slice.Tensor(self.tensor, dim, begin, end)


def tile_cases():
    yield "tile:128:tinygemm:8:whole:aligned", awkward((256, 1024), torch.bfloat16, 1)
    yield "tile:64:tinygemm:8:whole:padded", awkward((45, 576), torch.bfloat16, 2)
    yield "tile:32:tinygemm:16:whole:padded", awkward((19, 1120), torch.bfloat16, 3)
    yield "tile:256:tinygemm:16:whole:padded", awkward((9, 2304), torch.bfloat16, 4)
    yield "tile:64:tinygemm:8:whole:experts", awkward((3, 20, 192), torch.bfloat16, 5)
    yield "tile:64:tinygemm:8:select-2:experts", awkward((3, 20, 192), torch.bfloat16, 5)
    for make in (ordinary, awkward):
        w = make((64, 1024), torch.bfloat16, 6)
        yield f"tile:64:hqq:8:whole:{make.__name__}", w
        yield f"tile:128:hqq:16:whole:{make.__name__}", make((37, 640), torch.bfloat16, 7)
        w = make((3, 20, 192), torch.bfloat16, 8)
        yield f"tile:32:hqq:8:whole:experts{make.__name__}", w
        yield f"tile:32:hqq:8:select-0:experts{make.__name__}", w
    w = awkward((48, 2048), torch.bfloat16, 9)
    yield "tile:64:tinygemm:8:slice-0-16-40:unpadded", w
    yield "tile:64:tinygemm:8:slice-1-1024-2048:unpadded", w


def tile_values(t, group):
    """The kernels' values of a torchao tensor: one bf16 fused multiply-add."""
    matrices = zip(
        t.qdata.reshape(-1, *t.qdata.shape[-4:]),
        t.scale_and_zero.reshape(-1, *t.scale_and_zero.shape[-3:]),
    )
    out = []
    for qdata, pairs in matrices:
        codes = unpack_tiles(qdata) - 8
        wide = pairs.transpose(0, 1).repeat_interleave(group, dim=1)
        out.append(fused(codes, wide[..., 0], wide[..., 1], torch.bfloat16))
    n, k = t.shape[-2:]
    return torch.stack(out).reshape(*t.shape[:-2], *out[0].shape)[..., :n, :k]


def judge_tiles(probe):
    add_missing_operator()
    cases = dict(tile_cases())
    found = run(probe, cases)
    compared = 0
    for name, w in cases.items():
        _, group, algorithm, ntile, op, _ = name.split(":")
        group = int(group)
        expected = Int4TilePackedTo4dTensor.from_hp(
            w,
            [1] * (w.dim() - 1) + [group],
            Int4ChooseQParamsAlgorithm(algorithm),
            int(ntile),
        )
        words = op.split("-")
        if words[0] == "select":
            expected = torch.ops.aten.select.int(expected, 0, int(words[1]))
        elif words[0] == "slice":
            expected = torch.ops.aten.slice.Tensor(expected, *map(int, words[1:]))
        fields = {f: found[f"{name}/{f}"] for f in ("qdata", "scale_and_zero")}
        attributes = bytes(found[f"{name}/attributes"].numpy()).decode()
        ours = rebuilt(name, "Int4TilePackedTo4dTensor", fields, attributes)
        assert list(ours.shape) == list(expected.shape), name
        assert list(ours.block_size) == list(expected.block_size), name
        for field, value in fields.items():
            compared += same(value, getattr(expected, field), (name, field))
        values = tile_values(expected, group)
        compared += same(found[f"{name}/decoded"], values, (name, "decoded"))
        same(found[f"{name}/parsed"], values, (name, "parsed"))
    print(f"Int4TilePackedTo4dTensor: {len(cases)} cases, {compared} elements bit-equal")


if __name__ == "__main__":
    judge_int4(sys.argv[1])
    judge_tiles(sys.argv[1])
