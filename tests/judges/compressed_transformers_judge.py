"""Directories of compressed-tensors that the tool writes, in Transformers.

Default load: weight-only symmetric and mixed directories have the logits of the
decoded bfloat16 directory; W8A8, W4A8 and FP8_DYNAMIC those of the decoded model
with activations fake-quantized per token. dequantize=True: every directory with
one scheme has the logits of the decoded one, the asymmetric included. No key is
missing or unexpected.

usage: compressed_transformers_judge.py MANTISSA FILE.gguf
"""

import json
import sys
import tempfile
from pathlib import Path

import torch
import transformers
from transformers import CompressedTensorsConfig

from transformers_support import load, logits, read_files, run_tool, save, tiny_model

MANTISSA, GGUF = sys.argv[1], Path(sys.argv[2])
SYMMETRIC = {
    "W2A16": ["--scheme", "W2A16:group_size=32"],
    "W3A16": ["--scheme", "W3A16:group_size=32"],
    "W3A16_mse": ["--scheme", "W3A16:group_size=32,observer=mse"],
    "W4A16": ["--scheme", "W4A16", "--group-size", "32"],
    "W5A16": ["--scheme", "W5A16:group_size=16"],
    "W8A16": ["--scheme", "W8A16:group_size=32"],
    "intx4_axis": ["-c", "intx_weight_only:weight_dtype=int4"],
    "int8": ["-c", "int8_weight_only"],
    "naive_int8": ["-c", "int8_weight_only:granularity=per_tensor"],
    "naive_fp8": ["-c", "float8_weight_only"],
}
ACTIVATIONS = {
    "W8A8": ["--scheme", "W8A8"],
    "W4A8": ["--scheme", "W4A8:group_size=32"],
    "FP8_DYNAMIC": ["--scheme", "FP8_DYNAMIC"],
    "int8_dynamic": ["-c", "int8_dynamic_activation_int8_weight"],
}
ASYMMETRIC = {
    "W4A16_ASYM": ["--scheme", "W4A16_ASYM:group_size=32"],
    "W8A16_ASYM": ["--scheme", "W8A16_ASYM:group_size=32"],
}
MIXED = [
    "--scheme", "W4A16:group_size=32",
    "--tensor-type", "down_proj=W8A16:group_size=32",
    "--tensor-type", "layers.1.self_attn=intx_weight_only:weight_dtype=int3",
    "--tensor-type", "layers.0.self_attn.o_proj=float8_weight_only",
    "--ignore", "re:.*layers.0.mlp.up_proj.weight",
]


class FakeQuantized:
    """Hooks with the activation formula of compressed-tensors."""

    def __init__(self, model, modules, floating):
        names = dict(model.named_modules())
        quantize = self.float8 if floating else self.int8
        self.handles = [
            names[module].register_forward_pre_hook(
                lambda _, args, quantize=quantize: (quantize(args[0]), *args[1:])
            )
            for module in modules
        ]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for handle in self.handles:
            handle.remove()

    @staticmethod
    def scale(x, steps):
        scale = x.abs().amax(-1, keepdim=True) / steps
        eps = torch.full_like(scale, torch.finfo(scale.dtype).eps)
        return torch.where(scale == 0, eps, scale)

    @classmethod
    def int8(cls, x):
        scale = cls.scale(x, 127.5)
        return torch.round(torch.clamp(x / scale, -128, 127)) * scale

    @classmethod
    def float8(cls, x):
        scale = cls.scale(x, 448.0)
        codes = torch.clamp(x / scale, -448, 448).to(torch.float8_e4m3fn)
        return codes.to(x.dtype) * scale


def load_dequantized(directory):
    model, info = transformers.AutoModelForCausalLM.from_pretrained(
        directory,
        quantization_config=CompressedTensorsConfig(dequantize=True),
        output_loading_info=True,
    )
    left = {key: value for key, value in info.items() if value}
    assert not left, (str(directory), left)
    return model.eval()


def load_default(directory):
    model, info = transformers.AutoModelForCausalLM.from_pretrained(
        directory, output_loading_info=True
    )
    left = {key: value for key, value in info.items() if value}
    assert not left, (str(directory), left)
    return model.eval()


def modules_of(directory):
    names = read_files(directory)[0]
    return [n.removesuffix(".weight_scale") for n in names if n.endswith("weight_scale")]


def equal(a, b, what):
    assert torch.isfinite(a).all() and torch.equal(a, b), (what, (a - b).abs().max())


def write(name, words, source, scratch):
    """The quantized directory and the decoded one."""
    out, plain = scratch / name, scratch / (name + "_plain")
    run_tool(MANTISSA, "quantize", source, *words, "--format",
             "compressed-tensors", "-o", out)
    run_tool(MANTISSA, "convert", out, "-o", plain)
    return out, load(plain)


def judge(source, scratch, symmetric, activations, asymmetric):
    for name, words in symmetric.items():
        out, plain = write(name, words, source, scratch)
        expected = logits(plain)
        equal(logits(load_default(out)), expected, name)
        equal(logits(load_dequantized(out)), expected, name + " dequantized")
        print(f"{name}: both loads have the logits of the decoded directory")
    for name, words in activations.items():
        out, plain = write(name, words, source, scratch)
        equal(logits(load_dequantized(out)), logits(plain), name)
        with FakeQuantized(plain, modules_of(out), name.startswith("FP8")):
            expected = logits(plain)
        equal(logits(load_default(out)), expected, name + " by default")
        print(f"{name}: dequantize=True is the decoded directory, the default "
              "load adds the activation formula")
    for name, words in asymmetric.items():
        out, plain = write(name, words, source, scratch)
        equal(logits(load_dequantized(out)), logits(plain), name)
        print(f"{name}: dequantize=True is the decoded directory")


def judge_mixed(source, scratch):
    out, plain = write("mixed", MIXED, source, scratch)
    config = json.loads((out / "config.json").read_text())["quantization_config"]
    assert config["format"] == "mixed-precision", config["format"]
    assert "model.layers.0.mlp.up_proj" in config["ignore"]
    targets = [t for g in config["config_groups"].values() for t in g["targets"]]
    assert not any(t.startswith("re:") for t in targets), targets
    equal(logits(load_default(out)), logits(plain), "mixed")
    print(f"mixed: {len(config['config_groups'])} schemes, default load exact")
    text = run_tool(MANTISSA, "plan", source, *MIXED[:4], "--tensor-type",
                    "q_proj=W4A16_ASYM:group_size=32", expect=2)
    assert "--allow-unloadable" in text and "dequantize=True" in text, text


def main():
    with tempfile.TemporaryDirectory() as scratch:
        scratch = Path(scratch)
        source = save(tiny_model(intermediate_size=160), scratch / "tiny")
        judge(source, scratch, SYMMETRIC, ACTIVATIONS, ASYMMETRIC)
        judge_mixed(source, scratch)
        tied = save(tiny_model(tie_word_embeddings=True), scratch / "tied")
        judge(tied, scratch, {"tied_W4A16": SYMMETRIC["W4A16"]}, {}, {})
        smollm = scratch / "smollm"
        run_tool(MANTISSA, "convert", GGUF, "-o", smollm)
        text = run_tool(MANTISSA, "plan", smollm, "--scheme", "W4A16", expect=6)
        assert "K = 576" in text and "--group-size 64 or 32" in text, text
        judge(smollm, scratch, {"smollm_W4A16": SYMMETRIC["W4A16"]}, {}, {})


main()
