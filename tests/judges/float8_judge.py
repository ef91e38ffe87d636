"""Float8Tensor and the float8 primitives against torchao on a CPU."""
import itertools
import json
import os
import subprocess
import sys
import tempfile

import torch
from safetensors.torch import load_file, save_file
from torchao.prototype.safetensors.safetensors_support import (
    flatten_tensor_state_dict,
)
from torchao.quantization import Float8WeightOnlyConfig, quantize_
from torchao.quantization.granularity import (
    PerAxis, PerBlock, PerGroup, PerRow, PerTensor,
)
from torchao.quantization.quant_primitives import (
    _choose_scale_float8, _dequantize_affine_float8, _quantize_affine_float8,
)
from torchao.quantization.quantize_.common import KernelPreference
from torchao.quantization.quantize_.workflows.float8.float8_tensor import (
    Float8MMConfig, Float8Tensor, QuantizeTensorToFloat8Kwargs,
)

DTYPES = [torch.bfloat16, torch.float16, torch.float32]
FLOAT8 = [torch.float8_e4m3fn, torch.float8_e5m2, torch.float8_e4m3fnuz,
          torch.float8_e5m2fnuz]
TINY = 2.0 ** -126


def name(dtype):
    return str(dtype).removeprefix("torch.")


def weight(shape, dtype, seed):
    g = torch.Generator().manual_seed(seed)
    w = torch.randn(shape, generator=g) * 0.05
    rows = w.view(-1, shape[-1])
    rows[1] = 0
    rows[2, 5 % shape[-1]] = 60.0
    rows[3] *= 1e-38
    rows[4] *= 1e-6
    rows[5] = -0.37
    rows[6] *= 2.0 ** torch.randint(-20, 8, rows[6].shape, generator=g)
    rows[7] = 0.0
    rows[7, 0] = 448 * 1.0625
    rows[7, 1:] = torch.arange(shape[-1] - 1) / 16.0  # ties of the codes
    return w.to(dtype)


def granularity_json(g):
    data = {k: list(v) if isinstance(v, tuple) else v for k, v in vars(g).items()}
    return {"_type": type(g).__name__, "_data": data}


def entry(tensor):
    _, metadata = flatten_tensor_state_dict({"m.weight": tensor})
    text = metadata["m.weight"]
    head = '{"_type": "Float8Tensor", "_data": '
    tail = ', "_tensor_data_names": ["qdata", "scale"]}'
    assert text.startswith(head) and text.endswith(tail), text
    return text[len(head):-len(tail)]


def build_encode_cases():
    cases = []
    shapes = {
        (48, 160): [PerTensor(), PerRow(), PerRow(0), PerGroup(32),
                    PerBlock([16, 80]), PerAxis(1)],
        (9, 77): [PerTensor(), PerRow(), PerGroup(7)],
        (256, 384): [PerBlock([128, 128]), PerTensor(), PerRow()],
        (128, 128): [PerTensor(), PerBlock([128, 128])],
        (3, 256, 128): [PerTensor(), PerRow(), PerRow(1), PerRow(0),
                        PerGroup(64), PerBlock([128, 128]), PerAxis(0)],
        (300, 64): [PerTensor(), PerBlock([150, 64])],
    }
    for dtype, (shape, granularities) in itertools.product(DTYPES, shapes.items()):
        for g in granularities:
            cases.append((shape, dtype, dict(granularity=g)))
    bounds = [dict(hp_value_lb=1e-3), dict(hp_value_ub=0.11),
              dict(hp_value_lb=0.003, hp_value_ub=7.7)]
    for dtype, f8, b in itertools.product(DTYPES, FLOAT8, bounds + [{}]):
        cases.append(((16, 96), dtype,
                      dict(granularity=PerRow(), float8_dtype=f8, **b)))
    kwargs = [
        QuantizeTensorToFloat8Kwargs(),
        QuantizeTensorToFloat8Kwargs(granularity=PerTensor(),
                                     float8_dtype=torch.float8_e5m2),
        QuantizeTensorToFloat8Kwargs(
            granularity=PerBlock([1, 128]), hp_value_lb=1e-5,
            hp_value_ub=1200.0, mm_config=Float8MMConfig(True, False, True),
            kernel_preference=KernelPreference.TORCH)]
    for k in kwargs:
        cases.append(((16, 96), torch.bfloat16, dict(
            granularity=PerRow(), act_quant_kwargs=k,
            mm_config=Float8MMConfig(use_fast_accum=True),
            kernel_preference=KernelPreference.TORCH)))
    return cases


def bits(t):
    return t.view(torch.uint8) if t.dtype.itemsize == 1 else t.view(torch.int32)


def expand(scale, shape):
    block = [a // b for a, b in zip(shape, scale.shape)]
    for d, n in enumerate(block):
        scale = scale.repeat_interleave(n, dim=d)
    return scale


def check_fields(key, w, qdata, scale, got_q, got_s):
    """Where torchao's scale is 0 ours is the smallest normal float32, and the
    codes are torchao's formula with that scale; all else is byte-equal."""
    fixed = torch.where(scale == 0, torch.tensor(TINY), scale)
    assert torch.equal(bits(fixed), bits(got_s)), key
    zero = expand(scale, w.shape) == 0
    expected = torch.where(
        zero, bits(_quantize_affine_float8(w, fixed, qdata.dtype)), bits(qdata))
    assert torch.equal(expected, bits(got_q)), (
        key, int((expected != bits(got_q)).sum()))
    return int(zero.sum())


def build_scale_cases():
    g = torch.Generator().manual_seed(3)
    out = []
    for dtype, f8 in itertools.product(DTYPES, FLOAT8):
        power = torch.randint(-14, 10, (2048, 1), generator=g)
        x = (torch.rand((2048, 2), generator=g) * 2.0 ** power).to(dtype)
        for scale_dtype in (torch.float32, torch.float8_e8m0fnu):
            for lb, ub in [(None, None), (0.01, None), (0.02, 3.3)]:
                out.append((x, [1, 2], f8, scale_dtype, lb, ub))
        out.append((x, [2048, 2], f8, torch.float32, None, None))
        out.append((x, [64, 1], f8, torch.float32, None, None))
    return out


def main(probe):
    cases, inputs, wanted = [], {}, {}
    for i, (shape, dtype, args) in enumerate(build_encode_cases()):
        key, w = f"e{i}", weight(shape, dtype, i)
        t = Float8Tensor.from_hp(w, **args)
        inputs[key] = w
        data = entry(t)
        wanted[key] = (w, t, data)
        cases.append({
            "kind": "encode", "key": key, "data": data,
            "float8_dtype": name(t.qdata.dtype),
            "granularity": granularity_json(args["granularity"]),
            "lb": args.get("hp_value_lb"), "ub": args.get("hp_value_ub")})
        inputs[key + ".qdata"], inputs[key + ".scale"] = t.qdata, t.scale
        cases.append({"kind": "decode", "key": key, "data": data})
    # The way of a user: quantize_ on a module.
    for j, (g, dtype) in enumerate(itertools.product(
            [None, PerTensor(), PerRow(), PerGroup(32)], DTYPES)):
        key, w = f"m{j}", weight((24, 96), dtype, 1000 + j)
        module = torch.nn.Sequential(torch.nn.Linear(96, 24, bias=False).to(dtype))
        module[0].weight = torch.nn.Parameter(w.clone(), requires_grad=False)
        quantize_(module, Float8WeightOnlyConfig(granularity=g))
        t = module[0].weight
        data = entry(t.data)
        inputs[key] = w
        wanted[key] = (w, t, data)
        cases.append({
            "kind": "encode", "key": key, "data": data,
            "float8_dtype": "float8_e4m3fn", "lb": None, "ub": None,
            "granularity": granularity_json(PerRow() if g is None else g)})
    scales = build_scale_cases()
    for i, (x, block, f8, scale_dtype, lb, ub) in enumerate(scales):
        key = f"s{i}"
        inputs[key] = x
        cases.append({"kind": "scale", "key": key, "block": block,
                      "float8_dtype": name(f8), "scale_dtype": name(scale_dtype),
                      "lb": lb, "ub": ub})
    g = torch.Generator().manual_seed(5)
    expansions = [[1], [8, 1], [1, 64], [8, 64], [4, 16], [2, 64], [1, 1]]
    for i, (shape, dtype, f8) in enumerate(
            itertools.product(expansions, DTYPES, FLOAT8)):
        key = f"q{i}"
        inputs[key] = weight((8, 64), dtype, 2000 + i)
        inputs[key + ".scale"] = torch.rand(shape, generator=g) / 100 + 1e-6
        cases.append({"kind": "quantize", "key": key, "float8_dtype": name(f8)})

    with tempfile.TemporaryDirectory() as folder:
        paths = [os.path.join(folder, p) for p in ("cases", "in", "out")]
        with open(paths[0], "w") as f:
            json.dump(cases, f)
        save_file({k: v.clone().contiguous() for k, v in inputs.items()}, paths[1])
        subprocess.run([probe, *paths], check=True)
        out = load_file(paths[2])
        with open(paths[2] + ".json") as f:
            written = json.load(f)

    elements = exempt = 0
    for key, (w, t, data) in wanted.items():
        exempt += check_fields(key, w, t.qdata, t.scale, out[key + ".qdata"],
                               out[key + ".scale"])
        assert written[key] == data, (key, written[key], data)
        elements += w.numel()
        if key.startswith("e"):
            expected = t.dequantize()
            got = out[key + ".decoded"]
            assert got.dtype == expected.dtype
            nan = expected.isnan()  # torchao's zero blocks
            assert torch.equal(got.isnan(), nan), key
            assert torch.equal(got[~nan], expected[~nan]), key
    differ = 0
    for i, (x, block, f8, scale_dtype, lb, ub) in enumerate(scales):
        expected = _choose_scale_float8(x, block, f8, scale_dtype, lb, ub)
        expected = torch.where(expected == 0, torch.tensor(TINY), expected)
        got = out[f"s{i}.scale"]
        assert got.shape == expected.shape
        wrong = int((bits(got) != bits(expected)).sum())
        if wrong:
            print(f"s{i} {x.dtype} {f8} {scale_dtype} {lb} {ub}: {wrong}")
        differ += wrong
    assert differ == 0, differ
    quantized = [c for c in cases if c["kind"] == "quantize"]
    for case in quantized:
        key = case["key"]
        f8 = getattr(torch, case["float8_dtype"])
        q = _quantize_affine_float8(inputs[key], inputs[key + ".scale"], f8)
        assert torch.equal(bits(q), bits(out[key + ".qdata"])), key
        back = _dequantize_affine_float8(q, inputs[key + ".scale"])
        assert torch.equal(back, out[key + ".back"]), key
    print(f"{len(wanted)} tensors of {elements} elements byte-equal with their "
          f"metadata ({exempt} elements in blocks of scale 0 by formula), "
          f"{len(scales)} scale tensors, {len(quantized)} expansions")
    assert elements > 500_000 and exempt > 0
    return 0


sys.exit(main(sys.argv[1]))
