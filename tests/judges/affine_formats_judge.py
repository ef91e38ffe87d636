"""Int8Tensor and IntxUnpackedToInt8Tensor against torchao's, byte by byte.

affine_formats_judge.py PROBE
Every field, of slices and experts too, the metadata entry that
flatten_tensor_state_dict writes and the dequantized weight are compared, on
each instruction set level of this machine.
"""
import json
import os
import pathlib
import subprocess
import sys
import tempfile

import torch
from safetensors.torch import load_file, save_file
from torchao.prototype.safetensors.safetensors_support import (
    flatten_tensor_state_dict,
    unflatten_tensor_state_dict,
)
from torchao.quantization import (
    Int8DynamicActivationInt8WeightConfig,
    Int8DynamicActivationIntxWeightConfig,
    Int8StaticActivationInt8WeightConfig,
    Int8Tensor,
    Int8WeightOnlyConfig,
    IntxUnpackedToInt8Tensor,
    IntxWeightOnlyConfig,
    MappingType,
    PerAxis,
    PerGroup,
    PerRow,
    PerTensor,
    quantize_,
)

from affine_values import DTYPES, same_bytes, weight

MAPPINGS = list(MappingType.__members__)


def granularity_json(g):
    return {"_type": type(g).__name__, "_data": dict(vars(g))}


def enum_json(kind, member):
    return {"_type": kind, "_data": member}


def dtype_json(d):
    return {"_type": "torch.dtype", "_data": str(d).split(".")[1]}


def linear(w, config):
    """What quantize_ makes of a Linear with this weight."""
    n, k = w.shape
    module = torch.nn.Sequential(torch.nn.Linear(k, n, bias=False))
    module[0].weight = torch.nn.Parameter(w.clone(), requires_grad=False)
    quantize_(module, config)
    return module[0].weight


def int8_case(w, g, want, mapping="SYMMETRIC", reduce=False, act=None):
    case = dict(format="int8", input=w, granularity=granularity_json(g),
                mapping_type=enum_json("MappingType", mapping),
                reduce_range=reduce)
    if act:
        case["act_granularity"] = granularity_json(act[0])
        case["act_mapping_type"] = enum_json("MappingType", act[1])
    return case, want


def int8_cases(tensors):
    for d in DTYPES:
        name, experts = f"w.{d}", f"e.{d}"
        w, e = tensors[name], tensors[experts]
        for g in (PerTensor(), PerRow(), PerGroup(32), PerGroup(64)):
            yield int8_case(name, g, linear(w, Int8WeightOnlyConfig(
                granularity=g)))
        for g in (PerTensor(), PerRow()):
            for a in (PerTensor(), PerRow()):
                for m in ("SYMMETRIC", "ASYMMETRIC"):
                    for reduce in (False, True):
                        config = Int8DynamicActivationInt8WeightConfig(
                            granularity=[a, g], reduce_range=reduce,
                            act_mapping_type=MappingType[m])
                        yield int8_case(name, g, linear(w, config),
                                        reduce=reduce, act=(a, m))
        case, want = int8_case(
            name, PerRow(),
            linear(w, Int8StaticActivationInt8WeightConfig(
                act_quant_scale=tensors["act"], granularity=PerRow())),
            act=(PerRow(), "SYMMETRIC"))
        yield dict(case, act_quant_scale="act"), want
        for t, value in ((name, w), (experts, e)):
            for g in (PerTensor(), PerRow(), PerRow(0), PerAxis(-1),
                      PerGroup(32)):
                for m in MAPPINGS:
                    yield int8_case(t, g, Int8Tensor.from_hp(
                        value, g, mapping_type=MappingType[m]), mapping=m)


def conv2d(w, config):
    """What quantize_ makes of a Conv2d with this weight."""
    n, c, h, k = w.shape
    module = torch.nn.Sequential(torch.nn.Conv2d(c, n, (h, k), bias=False))
    module[0].weight = torch.nn.Parameter(w.clone(), requires_grad=False)
    quantize_(module, config,
              filter_fn=lambda m, _: isinstance(m, torch.nn.Conv2d))
    return module[0].weight


def intx_case(w, g, want, bits, mapping, scale=None, algorithm="AFFINE",
              act=None):
    case = dict(format="intx", input=w, granularity=granularity_json(g),
                mapping_type=enum_json("MappingType", mapping),
                target_dtype=dtype_json(getattr(torch, f"int{bits}")),
                algorithm=enum_json("IntxChooseQParamsAlgorithm", algorithm))
    if scale:
        case["scale_dtype"] = dtype_json(scale)
    if act:
        case["activation_quantization"] = act
    return case, want


def intx_cases(tensors):
    for d in DTYPES:
        name, experts = f"w.{d}", f"e.{d}"
        w, e = tensors[name], tensors[experts]
        for bits in range(1, 9):
            dtype = getattr(torch, f"int{bits}")
            for g in (PerGroup(32), PerGroup(64), PerAxis(0)):
                for m in MAPPINGS:
                    if bits == 1 and m == "SYMMETRIC_NO_CLIPPING_ERR":
                        continue  # divides by 0: refused here
                    yield intx_case(name, g, linear(w, IntxWeightOnlyConfig(
                        weight_dtype=dtype, granularity=g,
                        mapping_type=MappingType[m])), bits, m)
                yield intx_case(name, g, linear(w, IntxWeightOnlyConfig(
                    weight_dtype=dtype, granularity=g,
                    intx_choose_qparams_algorithm="hqq_scale_only")), bits,
                    "SYMMETRIC", algorithm="HQQ_SCALE_ONLY")
            yield intx_case(name, PerGroup(32), linear(
                w, Int8DynamicActivationIntxWeightConfig(
                    weight_dtype=dtype, weight_granularity=PerGroup(32))),
                bits, "SYMMETRIC", act="int8_asym_per_token")
        for scale in DTYPES.values():
            for bits in (4, 8):
                dtype = getattr(torch, f"int{bits}")
                for m in MAPPINGS:
                    yield intx_case(name, PerGroup(32), linear(
                        w, IntxWeightOnlyConfig(
                            weight_dtype=dtype, granularity=PerGroup(32),
                            mapping_type=MappingType[m], scale_dtype=scale)),
                        bits, m, scale)
                yield intx_case(name, PerAxis(0), linear(
                    w, Int8DynamicActivationIntxWeightConfig(
                        weight_dtype=dtype, weight_granularity=PerAxis(0),
                        weight_scale_dtype=scale,
                        intx_choose_qparams_algorithm="hqq_scale_only")),
                    bits, "SYMMETRIC", scale, "HQQ_SCALE_ONLY",
                    act="int8_asym_per_token")
        for m in MAPPINGS:
            for g in (PerGroup(4), PerAxis(0)):
                yield intx_case(f"c.{d}", g, conv2d(
                    tensors[f"c.{d}"], IntxWeightOnlyConfig(
                        weight_dtype=torch.int4, granularity=g,
                        mapping_type=MappingType[m],
                        scale_dtype=torch.float32)), 4, m, torch.float32)
            yield intx_case(experts, PerGroup(32),
                            IntxUnpackedToInt8Tensor.from_hp(
                                e, [1, 1, 32], torch.int4,
                                mapping_type=MappingType[m]), 4, m)


def cut_cases(tensors):
    """Slices and experts, where torchao's own are right."""
    for d in DTYPES:
        w, e = tensors[f"w.{d}"], tensors[f"e.{d}"]
        for g in (PerRow(), PerGroup(32), PerTensor()):
            want = Int8Tensor.from_hp(w, g)
            cuts = [(0, 3, 10), (1, 64, 128)]
            for dim, begin, end in cuts:
                case, part = int8_case(f"w.{d}", g, want.narrow(
                    dim, begin, end - begin))
                yield dict(case, slice=[dim, begin, end]), part
        for g in (PerRow(), PerGroup(64)):
            case, part = int8_case(f"e.{d}", g, Int8Tensor.from_hp(e, g)[2])
            yield dict(case, select=2), part
        for g, block in ((PerGroup(32), [1, 32]), (PerAxis(0), [1, 192])):
            want = IntxUnpackedToInt8Tensor.from_hp(w, block, torch.int4)
            for dim, begin, end in [(0, 3, 10), (1, 64, 128)]:
                if dim == 1 and block[1] == 192:
                    continue  # torchao refuses a part of a block
                case, part = intx_case(f"w.{d}", g, want.narrow(
                    dim, begin, end - begin), 4, "SYMMETRIC")
                yield dict(case, slice=[dim, begin, end]), part


def run_probe(probe, cases, tensors, level):
    with tempfile.TemporaryDirectory() as d:
        d = pathlib.Path(d)
        (d / "cases.json").write_text(json.dumps(cases))
        save_file(tensors, d / "in.safetensors")
        env = dict(os.environ)
        env.pop("MANTISSA_CPU", None)
        if level:
            env["MANTISSA_CPU"] = level
        subprocess.run([probe, d / "cases.json", d / "in.safetensors",
                        d / "out.safetensors", d / "meta.json"], check=True,
                       env=env)
        return (load_file(d / "out.safetensors"),
                json.loads((d / "meta.json").read_text()))


def entry_text(meta):
    """The metadata entry that our attributes and field names make."""
    required = meta["fields"][:meta["required"]]
    names = meta["fields"][meta["required"]:] + required
    return (f'{{"_type": "{meta["type"]}", "_data": {meta["data"]}, '
            f'"_tensor_data_names": {json.dumps(names)}}}')


def compare(case, want, got, meta):
    name = case["name"]
    flat, metadata = flatten_tensor_state_dict({"m.weight": want})
    assert metadata["m.weight"] == entry_text(meta), (
        case, metadata["m.weight"], entry_text(meta))
    assert meta["reparsed"] == meta["data"], case
    finite = all(torch.isfinite(t.float()).all() for t in flat.values())
    assert (meta["check"] == "") == finite, (case, meta["check"])
    fields = {k[len("m._weight_"):]: v for k, v in flat.items()}
    assert list(fields) == meta["fields"], (case, list(fields))
    for field, value in fields.items():
        mine = got[f"{name}/{field}"]
        assert same_bytes(mine, value), (
            case, field, (mine != value).sum(), mine.dtype, value.dtype)
    decoded = want.dequantize()
    assert same_bytes(got[f"{name}/decoded"], decoded), case
    # And back: torchao builds its tensor from our fields and entry.
    mine = {f"m._weight_{f}": got[f"{name}/{f}"] for f in meta["fields"]}
    state, left = unflatten_tensor_state_dict(
        mine, {"tensor_names": json.dumps(["m.weight"]),
               "m.weight": entry_text(meta)})
    assert not left and same_bytes(state["m.weight"].dequantize(), decoded), case
    return len(fields)


def main(probe):
    tensors = {"act": torch.full((1, 1), 0.04)}
    for name, dtype in DTYPES.items():
        tensors[f"w.{name}"] = weight(40, 192, dtype)
        tensors[f"e.{name}"] = weight(40, 192, dtype, 1).reshape(4, 10, 192)
        tensors[f"c.{name}"] = weight(10, 72, dtype, 2).reshape(10, 8, 3, 3)
    pairs = [*int8_cases(tensors), *intx_cases(tensors), *cut_cases(tensors)]
    cases = [dict(case, name=f"c{i}") for i, (case, _) in enumerate(pairs)]
    levels = [None, "scalar", "avx2"]
    fields = 0
    for level in levels:
        got, meta = run_probe(probe, cases, tensors, level)
        for case, (_, want) in zip(cases, pairs):
            fields += compare(case, want, got, meta[case["name"]])
    print(f"{len(cases)} weights on {len(levels)} levels: {fields} fields, "
          "their metadata entries and dequantized values equal torchao's")


main(sys.argv[1])
