"""A model that computes the same and whose weights lie on no 4-bit grid.

SmolLM2 is at hand as Q4_1 alone: groups of 32 along the same columns meet their
old grid again, which flatters or punishes whoever quantizes anew. Permuting the
hidden channels, those of V and O inside each head and those of the feed-forward
block changes no output, and each new group mixes 32 old ones.

usage: offgrid.py HF_DIR OUT_DIR F32.gguf OUT.gguf
HF_DIR is the model decoded to bfloat16; the GGUF gets the same values as F32.
"""

import json
import re
import shutil
import sys
from pathlib import Path

import gguf
import numpy
import torch
from safetensors.torch import load_file, save_file

SEED = 20261123


class Permutations:
    def __init__(self, config):
        heads, groups = config["num_attention_heads"], config["num_key_value_heads"]
        hidden, layers = config["hidden_size"], config["num_hidden_layers"]
        width = config.get("head_dim") or hidden // heads
        draw = numpy.random.default_rng(SEED).permutation
        self.hidden = draw(hidden)
        inside = [[draw(width) for _ in range(groups)] for _ in range(layers)]
        self.v = [
            numpy.concatenate([g * width + p for g, p in enumerate(layer)])
            for layer in inside
        ]
        self.wide = [draw(config["intermediate_size"]) for _ in range(layers)]
        self.o = [
            numpy.concatenate(
                [h * width + layer[h * groups // heads] for h in range(heads)]
            )
            for layer in inside
        ]

    def apply(self, kind, layer, w):
        hidden = self.hidden
        if kind == "norm":
            return w[hidden]
        rows = {"v": self.v, "gate": self.wide, "up": self.wide}.get(kind)
        columns = {"o": self.o, "down": self.wide}.get(kind)
        if rows is not None:
            w = w[rows[layer]]
        elif columns is not None:
            w = w[hidden]
        return w[:, hidden if columns is None else columns[layer]]


def kind_of(name):
    """What a weight is, and in which layer, by either convention of names."""
    found = re.match(r"(?:model\.layers|blk)\.(\d+)\.(.*)\.weight", name)
    if not found:
        table = re.search("embed|lm_head|token_embd|^output.weight", name)
        return ("embed" if table else "norm"), 0
    part = found[2]
    if part.endswith("norm"):
        return "norm", int(found[1])
    part = part.split(".")[-1].replace("attn_output", "o")
    return re.sub(r"^(attn|ffn)_|_proj$", "", part), int(found[1])


def main():
    source, out, plain, target = map(Path, sys.argv[1:])
    out.mkdir(parents=True, exist_ok=True)
    for file in source.iterdir():
        if file.suffix != ".safetensors":
            shutil.copy(file, out)
    permutations = Permutations(json.loads((source / "config.json").read_text()))
    weights = load_file(source / "model.safetensors")
    save_file(
        {
            name: permutations.apply(*kind_of(name), w).contiguous()
            for name, w in weights.items()
        },
        out / "model.safetensors",
        {"format": "pt"},
    )
    shutil.copy(plain, target)
    reader = gguf.GGUFReader(target, "r+")
    for tensor in reader.tensors:
        shape = [int(size) for size in reversed(tensor.shape)]
        values = torch.from_numpy(numpy.array(tensor.data).reshape(shape))
        values = values.to(torch.bfloat16).float()
        moved = permutations.apply(*kind_of(tensor.name), values)
        tensor.data[...] = moved.numpy().reshape(tensor.data.shape)
    reader.data.flush()
    print(json.dumps({"tensors": len(weights)}))


main()
