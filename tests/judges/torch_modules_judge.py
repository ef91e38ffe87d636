"""Judges the products of quantized weights: torchao's eager modules on the CPU.

usage: torch_modules_judge.py TORCH_PROBE

torchao quantizes a Linear and saves it; the probe loads the file and runs it on
the same inputs. int8 paths and weight-only paths give the same bits. Directories
of compressed-tensors with activations give those of the wheel. What torchao runs
on a GPU alone is compared with its formula.
"""
import os
import subprocess
import sys
import tempfile
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"

import torch
from safetensors.torch import load_file, save_file
from torchao.prototype.safetensors.safetensors_support import (
    flatten_tensor_state_dict,
    unflatten_tensor_state_dict,
)
from torchao.quantization import quant_api
from torchao.quantization import (
    Float8DynamicActivationFloat8WeightConfig,
    Float8WeightOnlyConfig,
    Int8DynamicActivationInt8WeightConfig,
    Int8DynamicActivationIntxWeightConfig,
    Int8StaticActivationInt8WeightConfig,
    Int8WeightOnlyConfig,
    IntxWeightOnlyConfig,
    PerAxis,
    PerGroup,
    PerRow,
    PerTensor,
    quantize_,
)
from torchao.quantization.quant_primitives import MappingType

import compressed_activations
import float8_products

PROBE = sys.argv[1]
quant_api._check_hardware_support = lambda granularity: None
torch.set_num_threads(1)
torch.manual_seed(0)


def int8(granularity, mapping=MappingType.SYMMETRIC, reduce_range=False):
    return Int8DynamicActivationInt8WeightConfig(
        granularity=granularity, act_mapping_type=mapping,
        reduce_range=reduce_range)


def static(granularity):
    return Int8StaticActivationInt8WeightConfig(
        act_quant_scale=torch.tensor([[0.02]]),
        act_quant_zero_point=torch.tensor([[0]], dtype=torch.int8),
        granularity=granularity)


CONFIGS = {
    "int8 dynamic rows": (lambda: int8(PerRow()), "int8_dynamic_activation_int8_weight"),
    "int8 dynamic tensor": (lambda: int8(PerTensor()),
                            "int8_dynamic_activation_int8_weight:granularity=per_tensor"),
    "int8 dynamic asymmetric": (
        lambda: int8(PerRow(), MappingType.ASYMMETRIC),
        "int8_dynamic_activation_int8_weight:act_mapping_type=ASYMMETRIC"),
    "int8 dynamic asymmetric tensor": (
        lambda: int8(PerTensor(), MappingType.ASYMMETRIC), None),
    "int8 dynamic reduced": (lambda: int8(PerRow(), reduce_range=True), None),
    "int8 static": (lambda: static(PerTensor()), None),
    "int8 rows": (lambda: Int8WeightOnlyConfig(version=2), "int8_weight_only"),
    "int8 tensor": (lambda: Int8WeightOnlyConfig(
        version=2, granularity=PerTensor()), None),
    "int8 groups": (lambda: Int8WeightOnlyConfig(
        version=2, granularity=PerGroup(32)), None),
    "8da4w": (lambda: Int8DynamicActivationIntxWeightConfig(
        weight_dtype=torch.int4, weight_granularity=PerGroup(32)),
        "int8_dynamic_activation_intx_weight:weight_dtype=int4"),
    "8da8w": (lambda: Int8DynamicActivationIntxWeightConfig(
        weight_dtype=torch.int8, weight_granularity=PerAxis(0)), None),
    "int4": (lambda: IntxWeightOnlyConfig(
        weight_dtype=torch.int4, granularity=PerGroup(32)), None),
    "float8": (lambda: Float8WeightOnlyConfig(), "float8_weight_only"),
    "float8 dynamic tensor": (
        lambda: Float8DynamicActivationFloat8WeightConfig(
            granularity=PerTensor()), None),
}
SHAPES = [(1, 128), (5, 128), (33, 128), (2, 7, 128)]


def run(*arguments):
    done = subprocess.run([PROBE, *map(str, arguments)], capture_output=True,
                          text=True)
    assert done.returncode == 0, f"{arguments}: {done.stderr}"


def model(dtype):
    return torch.nn.Sequential(
        torch.nn.Linear(128, 96),
        torch.nn.Linear(128, 40, bias=False)).to(dtype)


def save(state, path, quantized):
    if not quantized:
        return save_file({k: v.contiguous() for k, v in state.items()}, path)
    tensors, metadata = flatten_tensor_state_dict(
        {name: t.detach() for name, t in state.items()})
    save_file(tensors, path, metadata=metadata)


def compare(case, net, found):
    for name, y in found.items():
        x = inputs[name]
        with torch.no_grad():
            # torchao wants a static scale of x's rank.
            rows = x.flatten(0, -2) if "static" in case else x
            expected = net[int(name[0])](rows).reshape(*x.shape[:-1], -1)
        assert y.dtype == expected.dtype and y.shape == expected.shape, case
        assert torch.equal(y, expected), (
            f"{case} {name}: {(y != expected).sum()} of {y.numel()} differ, by "
            f"up to {(y.float() - expected.float()).abs().max()}")


def judge_compressed(folder):
    for dtype in (torch.float32, torch.bfloat16, torch.float16):
        rows = {f"{layer}/{i}": (torch.randn(shape) * 2).to(dtype)
                for layer in (0, 1) for i, shape in enumerate(SHAPES)}
        rows["0/1"][2] = 0
        rows["1/2"][:, 5] = 100  # one channel decides the scale
        rows["1/0"] = rows["1/0"].abs()
        # A zero point of one value for the tensor is rounded once: in bfloat16
        # one input in forty shows it.
        for i in range(len(SHAPES), len(SHAPES) + 120):
            rows[f"0/{i}"] = (torch.randn(1, compressed_activations.SIZE) * 2).to(dtype)
        save_file(rows, folder / "x.safetensors")
        for case, what in compressed_activations.CASES.items():
            path = compressed_activations.write(
                folder / f"{case} {dtype}", *what, dtype)
            run("run", path, folder / "x.safetensors", folder / "y.safetensors")
            found = load_file(folder / "y.safetensors")
            for name, x in rows.items():
                wheel = compressed_activations.expected(x, *what)
                assert found[name].dtype == dtype, case
                error = (found[name].double() - wheel.double()).abs()
                # The product with the identity adds a rounding or two of y and
                # of a zero point's share; another code is a step of the scale.
                bound = torch.finfo(dtype).eps * wheel.double().abs()
                bound += 2e-7 * x.double().abs().max()
                assert (error <= bound).all(), (
                    f"{case} {dtype} {name}: {(error > bound).sum()} of "
                    f"{error.numel()} differ, by up to {error.max()}")
        print(f"compressed-tensors, {dtype}: {len(compressed_activations.CASES)} "
              f"kinds of activations, those of the wheel")


with tempfile.TemporaryDirectory() as tmp:
    folder = Path(tmp)
    count = 0
    for dtype in (torch.float32, torch.bfloat16):
        inputs = {f"{layer}/{i}": (torch.randn(shape) * 2).to(dtype)
                  for layer in (0, 1) for i, shape in enumerate(SHAPES)}
        save_file(inputs, folder / "x.safetensors")
        for case, (config, words) in CONFIGS.items():
            net = model(dtype)
            save(net.state_dict(), folder / "plain.safetensors", False)
            quantize_(net, config())
            save(net.state_dict(), folder / "in.safetensors", True)
            run("run", folder / "in.safetensors", folder / "x.safetensors",
                folder / "y.safetensors")
            compare(f"{case} {dtype}", net, load_file(folder / "y.safetensors"))
            count += 1
            if words is None:
                continue
            # Quantized and saved here, loaded by torchao: the same bytes.
            run("quantize", words, folder / "plain.safetensors", folder / "out")
            path = folder / "out" / "model.safetensors"
            from safetensors import safe_open
            with safe_open(path, "pt") as file:
                metadata = file.metadata()
            ours = load_file(path)
            theirs = load_file(folder / "in.safetensors")
            assert ours.keys() == theirs.keys(), case
            for name, tensor in theirs.items():
                assert torch.equal(ours[name].view(torch.uint8),
                                   tensor.view(torch.uint8)), (case, name)
            state, leftovers = unflatten_tensor_state_dict(ours, metadata)
            assert not leftovers, (case, leftovers)
            other = model(dtype)
            quantize_(other, config())
            other.load_state_dict(state, assign=True)
            compare(f"{case} {dtype} saved here", other,
                    load_file(folder / "y.safetensors"))
    print(f"{count} modules: the same bits; what is saved here loads in torchao")
    judge_compressed(folder)
    float8_products.judge(run, save, folder)
