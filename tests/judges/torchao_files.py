"""Judges the reading and writing of torchao's checkpoint convention.

usage: torchao_files.py PROBE [--quantized]

State dicts that torchao quantized are flattened by torchao and saved by
safetensors, in one file and in shards that part every tensor's fields. The
probe loads and saves them: tensor bytes and metadata map must be the same,
torchao must take the metadata for its own and load the file without leftovers.
--quantized: the probe goes through a module, which says nothing of torchao where
nothing is quantized.
"""
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torchao.prototype.safetensors.safetensors_support import (
    flatten_tensor_state_dict,
    unflatten_tensor_state_dict,
)
from torchao.prototype.safetensors.safetensors_utils import is_metadata_torchao
from torchao.quantization import quant_api
from torchao.quantization import (
    Float8DynamicActivationFloat8WeightConfig,
    Float8WeightOnlyConfig,
    Int4Tensor,
    Int4TilePackedTo4dTensor,
    Int8DynamicActivationInt8WeightConfig,
    Int8DynamicActivationIntxWeightConfig,
    Int8WeightOnlyConfig,
    IntxWeightOnlyConfig,
    PerAxis,
    PerGroup,
    PerRow,
    PerTensor,
    quantize_,
)

PROBE = sys.argv[1]
QUANTIZED = "--quantized" in sys.argv
# The tensors of the dynamic float8 configs can be made on any machine.
quant_api._check_hardware_support = lambda granularity: None


def quantized(config, dtype=torch.bfloat16, n=48, k=128):
    torch.manual_seed(0)
    model = torch.nn.Sequential(
        torch.nn.Linear(k, n), torch.nn.LayerNorm(n),
        torch.nn.Linear(n, 32, bias=False)).to(dtype)
    quantize_(model[0], config)
    state = model.state_dict()
    return {name: tensor.detach() if type(tensor) is not torch.nn.Parameter
            else tensor.data for name, tensor in state.items()}


def int4_plain(dtype=torch.bfloat16, n=16, k=128, group=64):
    """torchao packs these on a GPU only: the fields are made by hand."""
    torch.manual_seed(1)
    return {
        "layer.weight": Int4Tensor(
            qdata=torch.randint(-128, 127, (n, k // 2), dtype=torch.int8),
            scale=torch.rand(k // group, n).to(dtype),
            zero_point=torch.rand(k // group, n).to(dtype),
            block_size=[1, group], shape=torch.Size([n, k])),
        "layer.bias": torch.ones(n, dtype=dtype),
    }


def int4_tiles(n=16, k=1024, group=128):
    torch.manual_seed(2)
    return {
        "layer.weight": Int4TilePackedTo4dTensor(
            qdata=torch.randint(-2**31, 2**31 - 1,
                                (n // 8, k // 128, 32, 4), dtype=torch.int32),
            scale_and_zero=torch.rand(k // group, n, 2).bfloat16(),
            block_size=[1, group], shape=torch.Size([n, k])),
    }


CASES = {
    "Tensor": {
        "plain": lambda: {"a.weight": torch.ones(2, 3), "a.b\u00e9.c": torch.ones(1)},
    },
    "Int8Tensor": {
        "row": lambda: quantized(Int8WeightOnlyConfig(version=2)),
        "row fp32": lambda: quantized(Int8WeightOnlyConfig(version=2),
                                      torch.float32),
        "group": lambda: quantized(
            Int8WeightOnlyConfig(version=2, granularity=PerGroup(32))),
        "tensor": lambda: quantized(
            Int8WeightOnlyConfig(version=2, granularity=PerTensor())),
        "dynamic": lambda: quantized(
            Int8DynamicActivationInt8WeightConfig(version=2)),
        "dynamic tensor": lambda: quantized(
            Int8DynamicActivationInt8WeightConfig(
                version=2, granularity=PerTensor())),
    },
    "IntxUnpackedToInt8Tensor": {
        "int4 g32": lambda: quantized(IntxWeightOnlyConfig(
            weight_dtype=torch.int4, granularity=PerGroup(32))),
        "int3 axis fp16": lambda: quantized(IntxWeightOnlyConfig(
            weight_dtype=torch.int3, granularity=PerAxis(0)), torch.float16),
        "8da4w": lambda: quantized(Int8DynamicActivationIntxWeightConfig(
            weight_dtype=torch.int4, weight_granularity=PerGroup(32))),
    },
    "Float8Tensor": {
        "row": lambda: quantized(Float8WeightOnlyConfig()),
        "dynamic row": lambda: quantized(
            Float8DynamicActivationFloat8WeightConfig(granularity=PerRow())),
        "dynamic tensor": lambda: quantized(
            Float8DynamicActivationFloat8WeightConfig(
                granularity=PerTensor())),
    },
    "Int4Tensor": {"g64": int4_plain,
                   "fp16": lambda: int4_plain(torch.float16)},
    "Int4TilePackedTo4dTensor": {"g128": int4_tiles},
}
# Formats that this version promises; others are judged as soon as they exist.
REQUIRED = {"Tensor", "Int8Tensor", "IntxUnpackedToInt8Tensor", "Float8Tensor",
            "Int4Tensor", "Int4TilePackedTo4dTensor"}


def resave(source, target):
    run = subprocess.run([PROBE, "resave", source, target],
                         capture_output=True, text=True)
    assert run.returncode == 0, f"{source}: {run.stderr}"


def save_sharded(folder, tensors, metadata):
    """Fields of one tensor fall into different files, round robin."""
    names = sorted(tensors)
    shards = [names[0::2], names[1::2]]
    weight_map = {}
    for i, shard in enumerate(shards):
        file = f"model-{i + 1:05}-of-{len(shards):05}.safetensors"
        save_file({name: tensors[name] for name in shard}, folder / file,
                  metadata=metadata)
        weight_map |= {name: file for name in shard}
    (folder / "model.safetensors.index.json").write_text(
        json.dumps({"metadata": {"total_size": 1}, "weight_map": weight_map}))


def compare(target, tensors, metadata, case):
    ours = load_file(target)
    assert ours.keys() == tensors.keys(), f"{case}: {ours.keys()}"
    for name, tensor in tensors.items():
        assert ours[name].dtype == tensor.dtype, f"{case}: {name}"
        assert ours[name].shape == tensor.shape, f"{case}: {name}"
        a, b = ours[name].view(torch.uint8), tensor.contiguous().view(torch.uint8)
        assert torch.equal(a, b), f"{case}: {name}: bytes differ"
    with safe_open(target, "pt") as file:
        written = file.metadata()
    written.pop("mantissa", None)  # who wrote it
    for key in metadata.keys() | written.keys():
        assert written.get(key) == metadata.get(key), (
            f"{case}: metadata {key}:\n{written.get(key)}\n"
            f"{metadata.get(key)}")
    assert is_metadata_torchao(written), case
    state, leftovers = unflatten_tensor_state_dict(ours, written)
    assert not leftovers, f"{case}: leftovers {list(leftovers)}"
    return len(state)


def main():
    available = subprocess.run([PROBE, "formats"], capture_output=True,
                               text=True, check=True).stdout.split()
    available = {"Tensor", *available} & set(CASES)
    assert REQUIRED <= available, REQUIRED - available
    counts = {}
    for type_, cases in CASES.items():
        if type_ not in available or (QUANTIZED and type_ == "Tensor"):
            print("not in this version:", type_)
            continue
        for name, make in cases.items():
            case = f"{type_} {name}"
            state = make()
            tensors, metadata = flatten_tensor_state_dict(state)
            metadata["format"] = "pt"
            assert type_ in metadata[next(iter(state))], case
            with tempfile.TemporaryDirectory() as tmp:
                folder = Path(tmp)
                save_file(tensors, folder / "one.safetensors",
                          metadata=metadata)
                (folder / "sharded").mkdir()
                save_sharded(folder / "sharded", tensors, metadata)
                for source in ("one.safetensors", "sharded"):
                    resave(folder / source, folder / "out.safetensors")
                    found = compare(folder / "out.safetensors", tensors,
                                    metadata, f"{case} ({source})")
                    assert found == len(state), case
            counts[type_] = counts.get(type_, 0) + 1
    for type_, count in counts.items():
        print(f"{type_}: {count} state dicts, one file and sharded, "
              "same tensor bytes and metadata")


main()
