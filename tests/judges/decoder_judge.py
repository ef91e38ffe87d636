"""Decoders against Transformers: logits and greedy continuations in float32.

A tiny random model of every family and every kind of RoPE, saved by
Transformers; the same models quantized by the tool; SmolLM2 as the tool
converts it, and as the GGUF file itself. Every logit within 2e-5 of the
largest; a cached decode gives the logits of one pass. Directories of
compressed-tensors with quantized activations, as Transformers loads them by
default.

usage: decoder_judge.py PROBE MANTISSA SMOLLM2.gguf
"""

import json
import sys
import tempfile
from pathlib import Path

import numpy
import torch
import transformers

from decided_codes import steady_, watch
from models_support import run_probe
from safetensors.torch import save_file
from transformers_support import load, read_files, run_tool, save, tiny_model

PROBE, MANTISSA, GGUF = sys.argv[1:4]
BOUND = 2e-5
NEW_TOKENS = 12
SLIDING = dict(use_sliding_window=True, sliding_window=8, max_window_layers=1)


def rope(kind, **fields):
    return dict(rope_parameters={"rope_type": kind, "rope_theta": 1e4, **fields})


LLAMA3 = rope(
    "llama3",
    factor=8.0,
    low_freq_factor=1.0,
    high_freq_factor=4.0,
    original_max_position_embeddings=64,
)
YARN = dict(factor=4.0, original_max_position_embeddings=128)
GEMMA3_ROPE = {
    "full_attention": {"rope_type": "linear", "factor": 8.0, "rope_theta": 1e6},
    "sliding_attention": {"rope_type": "default", "rope_theta": 1e4},
}
EXPERTS = dict(num_experts_per_tok=2)
QWEN_EXPERTS = dict(
    num_experts=4, moe_intermediate_size=32, head_dim=16, **EXPERTS
)

# name: family, fields
MODELS = {
    "llama": ("Llama", {}),
    "llama llama3": ("Llama", LLAMA3),
    "llama linear": ("Llama", rope("linear", factor=4.0)),
    "llama yarn": ("Llama", rope("yarn", **YARN)),
    "llama yarn mscale": (
        "Llama",
        rope("yarn", mscale=0.7, mscale_all_dim=0.4, truncate=False, **YARN),
    ),
    "llama yarn factor": (
        "Llama",
        rope("yarn", attention_factor=1.3, beta_fast=16.0, beta_slow=2.0, **YARN),
    ),
    "llama biases tied": (
        "Llama",
        dict(attention_bias=True, mlp_bias=True, tie_word_embeddings=True),
    ),
    "llama head_dim": ("Llama", dict(head_dim=32, num_key_value_heads=1)),
    "qwen2": ("Qwen2", {}),
    "qwen2 sliding": ("Qwen2", SLIDING),
    "qwen3": ("Qwen3", dict(head_dim=32)),
    "qwen3 bias sliding": ("Qwen3", dict(head_dim=16, attention_bias=True, **SLIDING)),
    "mistral": ("Mistral", dict(sliding_window=None)),
    "mistral sliding": ("Mistral", dict(sliding_window=8)),
    "gemma": ("Gemma", dict(head_dim=16)),
    "gemma2": (
        "Gemma2",
        dict(
            head_dim=16,
            num_hidden_layers=3,
            sliding_window=8,
            query_pre_attn_scalar=24,
            attn_logit_softcapping=2.0,
            final_logit_softcapping=3.0,
        ),
    ),
    "gemma3_text": (
        "Gemma3",
        dict(head_dim=16, num_hidden_layers=7, sliding_window=8),
    ),
    "gemma3_text caps rope": (
        "Gemma3",
        dict(
            head_dim=16,
            num_hidden_layers=7,
            sliding_window=8,
            final_logit_softcapping=3.0,
            attn_logit_softcapping=2.0,
            rope_parameters=GEMMA3_ROPE,
        ),
    ),
    "mixtral": ("Mixtral", dict(num_local_experts=3, **EXPERTS)),
    "mixtral sliding": (
        "Mixtral",
        dict(num_local_experts=4, sliding_window=8, **EXPERTS),
    ),
    "qwen3_moe": ("Qwen3Moe", dict(norm_topk_prob=True, **QWEN_EXPERTS)),
    "qwen3_moe mixed": (
        "Qwen3Moe",
        dict(mlp_only_layers=[1], num_hidden_layers=4, decoder_sparse_step=2,
             **QWEN_EXPERTS),
    ),
}
# The spelling of Transformers 4 of models above.
OLD_ROPE = {
    "llama llama3": ("type", {}),
    "llama yarn": ("rope_type", {}),
    "gemma3_text caps rope": ("rope_type", dict(rope_local_base_freq=1e4)),
}
QUANTIZED = {
    "int8": ("llama biases tied", ["-c", "int8_weight_only"]),
    "int4 scheme": ("qwen2", ["--scheme", "W4A16", "--group-size", "32"]),
    "float8 experts": ("mixtral", ["-c", "float8_weight_only"]),
}
# Activations of compressed-tensors: the tool's words; static scales are put in.
ASYMMETRIC = "int8_dynamic_activation_int8_weight:act_mapping_type=ASYMMETRIC"
ACTIVATIONS = {
    "W8A8": ["--scheme", "W8A8"],
    "W8A8 asymmetric": ["-c", ASYMMETRIC],
    "W8A8 static": ["--scheme", "W8A8"],
    "W4A8": ["--scheme", "W4A8:group_size=32"],
    "FP8_DYNAMIC": ["--scheme", "FP8_DYNAMIC"],
    "FP8 static": ["--scheme", "FP8_DYNAMIC"],
    "W8A8 last of two groups": ["--scheme", "W8A8"],
}
INPUT_SCALES = {"W8A8 static": 0.05, "FP8 static": 0.01}
SHORT_PROMPTS = 12


def make_models(scratch):
    """name -> (directory, the model that Transformers loads)."""
    made = {}
    for name, (family, fields) in MODELS.items():
        model = tiny_model(
            family,
            torch.float32,
            "Gemma3Text" if family == "Gemma3" else None,
            **{"max_position_embeddings": 512, **fields},
        )
        directory = save(model, scratch / name.replace(" ", "_"))
        made[name] = (directory, load(directory))
    return made


def respell(directory, out, key, extra):
    """The same model with `rope_scaling` and a top-level `rope_theta`."""
    out.mkdir()
    (out / "model.safetensors").symlink_to(directory / "model.safetensors")
    config = json.loads((directory / "config.json").read_text())
    rope = config.pop("rope_parameters")
    rope = rope.get("full_attention", rope)
    config["rope_theta"] = rope.pop("rope_theta")
    rope[key] = rope.pop("rope_type")
    config["rope_scaling"] = rope
    config.update(extra)
    (out / "config.json").write_text(json.dumps(config))
    return out


def quantized(source, words, scratch):
    """The tool's directory, and Transformers on the values in it."""
    out = scratch / "quantized"
    run_tool(MANTISSA, "quantize", source, *words, "-o", out)
    plain = scratch / "decoded"
    run_tool(MANTISSA, "convert", out, "-o", plain)
    return out, load(plain)


def make_static(directory, scale):
    """The same weights with one given scale for the inputs of each module."""
    tensors, metadata = read_files(directory)
    for name in [n for n in tensors if n.endswith(".weight_scale")]:
        tensors[name.replace("weight_scale", "input_scale")] = torch.tensor([scale])
    save_file(tensors, directory / "model.safetensors", metadata=metadata)
    path = directory / "config.json"
    config = json.loads(path.read_text())
    for group in config["quantization_config"]["config_groups"].values():
        group["input_activations"].update(dynamic=False, strategy="tensor")
    path.write_text(json.dumps(config))


def put_other_group_first(directory):
    """The same targets without activations, in front: the last group counts."""
    path = directory / "config.json"
    config = json.loads(path.read_text())
    quantization = config["quantization_config"]
    (group,) = quantization["config_groups"].values()
    quantization["config_groups"] = {
        "group_0": dict(group, input_activations=None), "group_1": group}
    path.write_text(json.dumps(config))


def with_activations(scratch):
    """name -> (directory, what Transformers loads by default)."""
    source = save(steady_(tiny_model(dtype=torch.float32)), scratch / "steady")
    made = {}
    for name, words in ACTIVATIONS.items():
        out = scratch / name.replace(" ", "_")
        run_tool(MANTISSA, "quantize", source, *words, "--format",
                 "compressed-tensors", "-o", out)
        if name in INPUT_SCALES:
            make_static(out, INPUT_SCALES[name])
        if name.endswith("last of two groups"):
            put_other_group_first(out)
        made[name] = (out, load(out))
    return made


def short_prompts(vocabulary):
    torch.manual_seed(4)
    return torch.randint(0, vocabulary, (SHORT_PROMPTS, 10)).tolist()


def compare_activations(name, index, job, model, scratch):
    """Positions in front of the first code that the last bits decide."""
    compared, all_positions, worst = 0, 0, 0
    for p, ids in enumerate(job["prompts"]):
        with torch.no_grad(), watch() as seen:
            expected = model(torch.tensor([ids])).logits[0].float().numpy()
        ours = numpy.fromfile(scratch / f"{index}_{p}.f32", numpy.float32)
        ours = ours.reshape(expected.shape)
        error = numpy.abs(ours - expected).max(-1) / numpy.abs(expected).max()
        decided = error[:seen.first]
        compared += len(decided)
        all_positions += len(ids)
        worst = max([worst, *decided])
        assert (decided <= BOUND).all(), (name, p, seen.first, error)
    assert compared >= all_positions // 2, (name, compared, all_positions)
    print(f"{name}: logits within {worst:.1e} of the largest at {compared} of "
          f"{all_positions} positions, those whose codes are decided")


def prompts_for(vocabulary):
    torch.manual_seed(3)
    return [
        torch.randint(0, vocabulary, (length,)).tolist()
        for length in (1, 27, 300)
    ]


def greedy(model, ids):
    with torch.no_grad():
        out = model.generate(
            torch.tensor([ids]),
            attention_mask=torch.ones(1, len(ids), dtype=torch.long),
            do_sample=False,
            max_new_tokens=NEW_TOKENS,
            min_new_tokens=NEW_TOKENS,
            pad_token_id=0,
            eos_token_id=None,
        )
    return out[0, len(ids):].tolist()


def compare(name, index, job, result, model, scratch):
    worst = 0
    for p, (ids, answer) in enumerate(zip(job["prompts"], result["answers"])):
        with torch.no_grad():
            expected = model(torch.tensor([ids])).logits[0].float().numpy()
        ours = numpy.fromfile(scratch / f"{index}_{p}.f32", numpy.float32)
        ours = ours.reshape(expected.shape)
        scale = numpy.abs(expected).max()
        error = numpy.abs(ours - expected).max() / scale
        worst = max(worst, error)
        assert error <= BOUND, (name, len(ids), error)
        cached = answer["cache_difference"] / scale
        assert cached <= BOUND, (name, len(ids), "cache", cached)
        tokens = greedy(model, ids)
        assert answer["tokens"] == tokens, (name, answer["tokens"], tokens)
    print(f"{name}: logits within {worst:.1e} of the largest, "
          f"{NEW_TOKENS} tokens equal")


def main():
    with tempfile.TemporaryDirectory() as scratch:
        scratch = Path(scratch)
        made = make_models(scratch)
        for name, (key, extra) in OLD_ROPE.items():
            directory, model = made[name]
            out = respell(directory, scratch / f"old_{key}_{len(made)}", key, extra)
            made[f"{name}, spelled as in 4"] = (out, model)
        for name, (base, words) in QUANTIZED.items():
            (scratch / name).mkdir()
            made[f"{base}, {name}"] = quantized(made[base][0], words, scratch / name)
        smollm = scratch / "smollm2"
        run_tool(MANTISSA, "convert", GGUF, "--dtype", "float32", "-o", smollm)
        judge = load(smollm)
        made["smollm2 directory"] = (smollm, judge)
        made["smollm2 GGUF"] = (GGUF, judge)
        jobs = [
            {
                "kind": "logits",
                "model": str(directory),
                "prompts": prompts_for(model.config.vocab_size),
                "continue": NEW_TOKENS,
            }
            for directory, model in made.values()
        ]
        activated = with_activations(scratch)
        first = len(jobs)
        jobs += [
            {
                "kind": "logits",
                "model": str(directory),
                "prompts": short_prompts(model.config.vocab_size),
                "continue": 0,
            }
            for directory, model in activated.values()
        ]
        results = run_probe(PROBE, jobs, scratch)
        for i, (name, (_, model)) in enumerate(made.items()):
            compare(name, i, jobs[i], results[i], model, scratch)
        for i, (name, (_, model)) in enumerate(activated.items(), first):
            compare_activations(name, i, jobs[i], model, scratch)


main()
