"""Linear modules of compressed-tensors with quantized activations.

`cases(dtype)` gives directories' tensors and config.json for a Linear whose
weight is the identity: its output is what the activations became. `expected`
is the wheel's own value."""

import json

import torch
from compressed_tensors.compressors import pack_to_int32
from compressed_tensors.quantization import QuantizationArgs, QuantizationScheme
from compressed_tensors.quantization.lifecycle.forward import forward_quantize
from compressed_tensors.quantization.quant_config import QuantizationStatus
from safetensors.torch import save_file

SIZE = 128
TOKEN = dict(num_bits=8, strategy="token", dynamic=True)
TENSOR = dict(num_bits=8, strategy="tensor")
GROUP = dict(num_bits=8, strategy="group", group_size=32, dynamic=True)

# name: format, input_activations, static parameters
CASES = {
    "int8 token": ("int-quantized", dict(type="int", **TOKEN), {}),
    "int8 token asymmetric": (
        "int-quantized", dict(type="int", symmetric=False, **TOKEN), {}),
    "int8 tensor": ("int-quantized", dict(type="int", dynamic=True, **TENSOR), {}),
    "int8 tensor asymmetric": (
        "int-quantized",
        dict(type="int", symmetric=False, dynamic=True, **TENSOR), {}),
    "int8 groups": ("int-quantized", dict(type="int", **GROUP), {}),
    "int8 groups asymmetric": (
        "int-quantized", dict(type="int", symmetric=False, **GROUP), {}),
    "int8 static": (
        "int-quantized", dict(type="int", **TENSOR), dict(input_scale=0.031)),
    "int8 static asymmetric": (
        "int-quantized", dict(type="int", symmetric=False, **TENSOR),
        dict(input_scale=0.031, input_zero_point=-7)),
    "float8 token": ("float-quantized", dict(type="float", **TOKEN), {}),
    "float8 tensor": (
        "float-quantized", dict(type="float", dynamic=True, **TENSOR), {}),
    "float8 groups": ("float-quantized", dict(type="float", **GROUP), {}),
    "float8 static": (
        "float-quantized", dict(type="float", **TENSOR), dict(input_scale=0.007)),
    "W4A8": ("pack-quantized", dict(type="int", **TOKEN), {}),
    "W4A8 asymmetric": (
        "pack-quantized", dict(type="int", symmetric=False, **TOKEN), {}),
    "W8 weights with float8": ("int-quantized", dict(type="float", **TOKEN), {}),
}


def weight_args(form):
    return dict(num_bits=4 if form == "pack-quantized" else 8,
                type="float" if form == "float-quantized" else "int",
                symmetric=True, strategy="channel")


def write(directory, form, activations, static, dtype):
    """Two modules "0" (with a bias of zeros) and "1"."""
    directory.mkdir()
    eye = torch.eye(SIZE)
    tensors = {"0.bias": torch.zeros(SIZE, dtype=dtype)}
    for name in "01":
        tensors[f"{name}.weight_scale"] = torch.ones(SIZE, 1, dtype=dtype)
        if form == "pack-quantized":
            tensors[f"{name}.weight_packed"] = pack_to_int32(eye.to(torch.int8), 4)
            tensors[f"{name}.weight_shape"] = torch.tensor([SIZE, SIZE])
        else:
            codes = torch.int8 if form == "int-quantized" else torch.float8_e4m3fn
            tensors[f"{name}.weight"] = eye.to(codes)
        for key, value in static.items():
            kind = torch.int8 if key == "input_zero_point" else dtype
            tensors[f"{name}.{key}"] = torch.tensor([value]).to(kind)
    save_file(tensors, directory / "model.safetensors")
    group = dict(targets=["0", "1"], weights=weight_args(form),
                 input_activations=activations, output_activations=None,
                 format=form)
    config = dict(quant_method="compressed-tensors", format=form,
                  quantization_status="compressed",
                  config_groups={"group_0": group}, ignore=[])
    (directory / "config.json").write_text(
        json.dumps({"quantization_config": config}))
    return directory


def expected(x, form, activations, static):
    """The wheel's activations; two dimensions would share one scale there."""
    module = torch.nn.Linear(SIZE, SIZE)
    args = QuantizationArgs(**activations)
    module.quantization_scheme = QuantizationScheme(
        targets=["Linear"], weights=QuantizationArgs(**weight_args(form)),
        input_activations=args)
    module.quantization_status = QuantizationStatus.COMPRESSED
    for key, value in static.items():
        kind = torch.int8 if key == "input_zero_point" else x.dtype
        setattr(module, key, torch.tensor([value]).to(kind))
    rows = x.reshape(1, -1, SIZE)
    with torch.no_grad():
        return forward_quantize(module, rows, "input", args).reshape(x.shape)
