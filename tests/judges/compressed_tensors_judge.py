"""Directories of compressed-tensors that the tool writes, against the wheel.

Bytes: every scheme's scales, zero points and codes equal calculate_qparams and
quantize (in float32, by the stored scale) of compressed-tensors, packed by its
pack_to_int32; its decompressors give the values that the tool's `convert
--format plain` gives. A torchao config keeps torchao's values.

usage: compressed_tensors_judge.py MANTISSA
"""

import sys
import tempfile
from pathlib import Path

import torch
from compressed_tensors.compressors import BaseCompressor, pack_to_int32
from compressed_tensors.quantization import (
    QuantizationScheme,
    preset_name_to_scheme,
)
from compressed_tensors.quantization.lifecycle.forward import quantize
from compressed_tensors.quantization.utils import calculate_qparams

from transformers_support import (
    quantization_config,
    read_files,
    run_tool,
    same_bytes,
    save,
    tiny_model,
)

MANTISSA = sys.argv[1]
ODD = dict(hidden_size=64, intermediate_size=160)


def scheme_of(directory, group="group_0"):
    return QuantizationScheme(**quantization_config(directory)["config_groups"][group])


def blocks(weight, args):
    """The weight as one row of values for each scale, and the scale's shape."""
    n, k = weight.shape
    if args.strategy == "tensor":
        return weight.reshape(1, -1), (1,)
    if args.strategy == "channel":
        return weight, (n, 1)
    if args.strategy == "group":
        return weight.reshape(-1, args.group_size), (n, k // args.group_size)
    rows, columns = args.block_structure
    padded = torch.nn.functional.pad(weight, (0, 0, 0, -n % rows))
    grid = padded.reshape(-1, rows, k // columns, columns).transpose(1, 2)
    return grid.reshape(-1, rows * columns), (grid.shape[0], grid.shape[1])


def expected(weight, scheme):
    """Fields that compressed-tensors makes of a weight."""
    args = scheme.weights
    values, shape = blocks(weight, args)
    scale, zero = calculate_qparams(values.amin(1), values.amax(1), args)
    scale, zero = scale.reshape(shape), zero.reshape(shape)
    padded = weight
    if args.strategy == "block":
        padded = torch.nn.functional.pad(
            weight, (0, 0, 0, -weight.shape[0] % args.block_structure[0])
        )
    codes = quantize(
        padded.float(),
        scale.float(),
        None if args.symmetric else zero,
        args,
        dtype=args.pytorch_dtype(),
    )[: weight.shape[0]]
    out = {"weight_scale": scale}
    if scheme.format != "pack-quantized":
        out["weight"] = codes
        if not args.symmetric:
            out["weight_zero_point"] = zero
        return out
    codes = codes.to(torch.int8)
    out["weight_packed"] = pack_to_int32(codes, args.num_bits)
    out["weight_shape"] = torch.tensor(weight.shape)
    if not args.symmetric:
        zero = zero.to(torch.int8)
        out["weight_zero_point"] = pack_to_int32(zero, args.num_bits, packed_dim=0)
    return out


def module_fields(tensors, module):
    prefix = module + "."
    return {k[len(prefix):]: v for k, v in tensors.items() if k.startswith(prefix)}


def compare_module(found, weight, scheme, where):
    want = expected(weight, scheme)
    assert set(found) == set(want), (where, set(found) ^ set(want))
    for field, tensor in want.items():
        tensor = tensor.contiguous()
        assert same_bytes(found[field], tensor), (
            where,
            field,
            found[field].dtype,
            tensor.dtype,
            list(found[field].shape),
            list(tensor.shape),
            (found[field].float() != tensor.float()).sum()
            if found[field].shape == tensor.shape else None,
        )


def modules_of(tensors):
    return sorted(
        name.removesuffix(".weight_scale")
        for name in tensors
        if name.endswith(".weight_scale")
    )


def judge_scheme(name, words, source, scratch):
    """Bytes of every module, and the values that their decompressor makes."""
    weights, _ = read_files(source)
    out, plain = scratch / name, scratch / (name + "_plain")
    text = run_tool(MANTISSA, "quantize", source, *words, "-o", out, "--allow-unloadable")
    tensors, metadata = read_files(out)
    scheme = scheme_of(out)
    modules = modules_of(tensors)
    assert len(modules) == 15, modules
    run_tool(MANTISSA, "convert", out, "--format", "plain", "-o", plain)
    decoded, _ = read_files(plain)
    assert set(decoded) == set(weights), set(decoded) ^ set(weights)
    run_tool(MANTISSA, "verify", out)
    compressor = BaseCompressor.get_value_from_registry(scheme.format)
    for module in modules:
        found = module_fields(tensors, module)
        compare_module(found, weights[module + ".weight"], scheme, (name, module))
        theirs = compressor.decompress(found, scheme)["weight"]
        ours = decoded[module + ".weight"]
        assert theirs.dtype == ours.dtype and torch.equal(theirs, ours), (name, module)
    preset = words[1].split(":")[0]
    if not name.startswith("x_"):
        their_scheme = preset_name_to_scheme(preset, ["Linear"])
        for part in ("weights", "input_activations"):
            left, right = getattr(scheme, part), getattr(their_scheme, part)
            if left is not None and left.group_size and left.strategy == "group":
                right.group_size = left.group_size
            if left is not None:
                left.observer = right.observer = None
            assert left == right, (name, part, left, right)
    print(f"{name}: {len(modules)} modules byte-equal ({scheme.format})")
    return text


def judge_schemes(scratch):
    for dtype in (torch.bfloat16, torch.float16, torch.float32):
        source = save(tiny_model(dtype=dtype, **ODD), scratch / f"{dtype}"[6:])
        tag = str(dtype)[6:]
        sub = scratch / ("out_" + tag)
        sub.mkdir()
        for bits in range(1, 9):
            if bits > 1:
                judge_scheme(
                    f"W{bits}A16", ["--scheme", f"W{bits}A16", "--group-size", "32"],
                    source, sub)
            judge_scheme(
                f"x_W{bits}A16_ASYM",
                ["--scheme", f"W{bits}A16_ASYM:group_size=16"], source, sub)
        judge_scheme("x_W1A16", ["--scheme", "W1A16", "--group-size", "32"], source, sub)
        for name in ("W8A8", "INT8", "FP8_DYNAMIC"):
            judge_scheme(name, ["--scheme", name], source, sub)
        judge_scheme("W4A8", ["--scheme", "W4A8", "--group-size", "32"], source, sub)
    source = save(
        tiny_model(hidden_size=128, intermediate_size=256), scratch / "blocks")
    judge_scheme("FP8_BLOCK", ["--scheme", "FP8_BLOCK"], source, scratch)


TORCHAO = {
    "intx3_g32": ["-c", "intx_weight_only:weight_dtype=int3,granularity=per_group(32)"],
    "intx4_asym": ["-c", "intx_weight_only:weight_dtype=int4,"
                   "granularity=per_group(16),mapping_type=ASYMMETRIC"],
    "intx5_axis": ["-c", "intx_weight_only:weight_dtype=int5"],
    "int8": ["-c", "int8_weight_only"],
    "int8_tensor": ["-c", "int8_weight_only:granularity=per_tensor"],
    "int8_dynamic": ["-c", "int8_dynamic_activation_int8_weight"],
    "int8_dynamic_intx4": ["-c", "int8_dynamic_activation_intx_weight:"
                           "weight_dtype=int4"],
    "float8": ["-c", "float8_weight_only"],
    "float8_tensor": ["-c", "float8_weight_only:granularity=per_tensor"],
    "float8_dynamic": ["-c", "float8_dynamic_activation_float8_weight:"
                       "granularity=per_row"],
}


def judge_torchao(scratch):
    """The values of torchao's own directory, and the way back."""
    source = save(tiny_model(**ODD), scratch / "torchao_source")
    for name, words in TORCHAO.items():
        ao, ct = scratch / (name + "_ao"), scratch / (name + "_ct")
        back, plain = scratch / (name + "_back"), scratch / (name + "_plain")
        run_tool(MANTISSA, "quantize", source, *words, "-o", ao)
        run_tool(MANTISSA, "quantize", source, *words, "--format",
                 "compressed-tensors", "-o", ct)
        run_tool(MANTISSA, "convert", ao, "--format", "plain", "-o", plain)
        tensors, _ = read_files(ct)
        values, _ = read_files(plain)
        scheme = scheme_of(ct)
        compressor = BaseCompressor.get_value_from_registry(scheme.format)
        for module in modules_of(tensors):
            theirs = compressor.decompress(module_fields(tensors, module), scheme)
            assert torch.equal(theirs["weight"], values[module + ".weight"]), (
                name, module)
        run_tool(MANTISSA, "convert", ao, "--format", "compressed-tensors", "-o",
                 scratch / (name + "_converted"))
        run_tool(MANTISSA, "convert", ct, "--format", "torchao", "-o", back)
        converted, _ = read_files(scratch / (name + "_converted"))
        assert set(converted) == set(tensors), (name, set(converted) ^ set(tensors))
        for key, tensor in tensors.items():
            assert same_bytes(converted[key], tensor), (name, key)
        ours, theirs = read_files(back)[0], read_files(ao)[0]
        assert set(ours) == set(theirs), (name, set(ours) ^ set(theirs))
        for key, tensor in theirs.items():
            assert same_bytes(ours[key], tensor), (name, key)
        print(f"{name}: torchao's values as {scheme.format}, and back by byte")


def main():
    with tempfile.TemporaryDirectory() as scratch:
        judge_schemes(Path(scratch))
        judge_torchao(Path(scratch))


main()
