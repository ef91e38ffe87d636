"""Judges `mantissa verify` against what Transformers writes.

usage: verify_files.py MANTISSA

A tiny Llama is quantized and saved by Transformers with torchao, in shards:
verify must call every directory sound. Then the same directory with one wrong
scale, one wrong group size in config.json, one field removed and one byte
missing must not pass.
"""
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torchao.quantization import (
    FqnToConfig,
    Float8WeightOnlyConfig,
    Int8DynamicActivationInt8WeightConfig,
    Int8DynamicActivationIntxWeightConfig,
    Int8WeightOnlyConfig,
    IntxWeightOnlyConfig,
    PerGroup,
)
from transformers import (
    AutoModelForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    TorchAoConfig,
)
from transformers.utils import logging

TOOL = sys.argv[1]


def int4(group):
    return IntxWeightOnlyConfig(weight_dtype=torch.int4,
                                granularity=PerGroup(group))


CONFIGS = {
    "int8": Int8WeightOnlyConfig(version=2),
    "int8 dynamic": Int8DynamicActivationInt8WeightConfig(version=2),
    "intx": int4(32),
    "8da4w": Int8DynamicActivationIntxWeightConfig(
        weight_dtype=torch.int4, weight_granularity=PerGroup(32)),
    "float8": Float8WeightOnlyConfig(),
    "by name": FqnToConfig({
        "re:.*q_proj": Int8WeightOnlyConfig(version=2),
        "model.layers.1.mlp.down_proj": None,
        "_default": int4(64),
    }),
}


def verify(path):
    run = subprocess.run([TOOL, "verify", path, "--json"],
                         capture_output=True, text=True)
    report = json.loads(run.stdout) if run.stdout else None
    return run.returncode, report, run.stderr


def change_shard(folder, name, change):
    """Writes the shard that holds `name` again, after change(tensors)."""
    index = json.loads((folder / "model.safetensors.index.json").read_text())
    path = folder / index["weight_map"][name]
    with safe_open(path, "pt") as file:
        metadata = file.metadata()
    tensors = load_file(path)
    change(tensors)
    save_file(tensors, path, metadata=metadata)


def set_scale(folder, name):
    def change(tensors):
        tensors[name][0] = float("nan")
    change_shard(folder, name, change)


def set_group(folder, _):
    path = folder / "config.json"
    text = path.read_text()
    changed = text.replace('"group_size": 32', '"group_size": 64')
    assert changed != text
    path.write_text(changed)


def drop_field(folder, name):
    change_shard(folder, name, lambda tensors: tensors.pop(name))
    path = folder / "model.safetensors.index.json"
    index = json.loads(path.read_text())
    del index["weight_map"][name]
    path.write_text(json.dumps(index))


def drop_byte(folder, _):
    path = sorted(folder.glob("*.safetensors"))[0]
    path.write_bytes(path.read_bytes()[:-1])


BREAKAGES = {
    "wrong scale": (set_scale, 5),
    "other group size in config.json": (set_group, 5),
    "missing field": (drop_field, 4),
    "missing byte": (drop_byte, 4),
}


def main():
    logging.disable_progress_bar()
    torch.manual_seed(0)
    model = LlamaForCausalLM(LlamaConfig(
        vocab_size=128, hidden_size=64, intermediate_size=128,
        num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
        tie_word_embeddings=False)).bfloat16()
    with tempfile.TemporaryDirectory() as tmp:
        folder = Path(tmp)
        model.save_pretrained(folder / "plain")
        assert verify(folder / "plain")[0] == 0
        for name, config in CONFIGS.items():
            quantized = AutoModelForCausalLM.from_pretrained(
                folder / "plain", dtype=torch.bfloat16,
                quantization_config=TorchAoConfig(config))
            quantized.save_pretrained(folder / name, max_shard_size="60KB")
            assert len(list((folder / name).glob("*.safetensors"))) > 1
            code, report, error = verify(folder / name)
            assert code == 0, f"{name}: {report} {error}"
            assert report["quantized_tensors"] >= 13, f"{name}: {report}"
        for name, (breaks, expected) in BREAKAGES.items():
            shutil.copytree(folder / "intx", folder / "broken")
            breaks(folder / "broken",
                   "model.layers.0.self_attn.q_proj._weight_scale")
            code, report, error = verify(folder / "broken")
            assert code == expected, f"{name}: {code} {report} {error}"
            shutil.rmtree(folder / "broken")
    print(f"verify: {len(CONFIGS)} directories of Transformers are sound, "
          f"{len(BREAKAGES)} broken ones are not")


main()
