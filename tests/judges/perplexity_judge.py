"""`eval` on a real model against Transformers and llama.cpp, computed in float32.

SmolLM2 as its GGUF file, and as directories made of it: weight-only ones within
0.1 % of Transformers on the values that `convert` decodes. The GGUF file within
0.1 % of llama.cpp's figure for the same windows.

int8 activations make this model chaotic: on one window Transformers' own two
attentions differ by 1.7 %. So there the KL divergence from the plain model counts,
which must be torchao's within a factor of 1.5 (weights alone: a tenth).

usage: perplexity_judge.py MANTISSA FILE.gguf WIKITEXT WINDOWS LLAMA_CPP.json
"""

import json
import math
import sys
import tempfile
from pathlib import Path

import torch
from transformers import AutoTokenizer

from transformers_support import load, run_tool

MANTISSA, GGUF, WIKITEXT, WINDOWS = *sys.argv[1:4], int(sys.argv[4])
CONTEXT = 512
FIXTURE = json.loads(Path(sys.argv[5]).read_text())
INT4 = ["intx_weight_only:weight_dtype=int4", "--group-size", "32"]
# Name: source, config of `quantize`, bound.
DIRECTORIES = {
    "bf16": (None, [], 1e-3),
    "int8_weight_only": ("bf16", ["int8_weight_only"], 1e-3),
    "intx_int4_g32": ("bf16", INT4, 1e-3),
}


def ours(model, windows=WINDOWS, *more):
    words = ["--context", CONTEXT, "--windows", windows, "--json", "-q", *more]
    answer = json.loads(run_tool(MANTISSA, "eval", model, "--text", WIKITEXT, *words))
    assert answer["compute_dtype"] == "float32", answer
    return answer


def log_chances(model, directory, windows):
    """Of the second half of each window: its tokens and what the model says."""
    ids = AutoTokenizer.from_pretrained(directory)(TEXT)["input_ids"]
    rows = torch.tensor(ids[: CONTEXT * windows]).reshape(windows, CONTEXT)
    half = CONTEXT // 2
    with torch.inference_mode():
        for row in rows:
            hidden = model.model(row[None]).last_hidden_state[0, half:-1]
            log = torch.log_softmax(model.lm_head(hidden).double(), -1)
            yield row[half + 1:, None], log


def theirs(directory):
    """Perplexity by llama.cpp's protocol, of what Transformers loads."""
    total, count = 0.0, 0
    for tokens, log in log_chances(load(directory).float(), directory, WINDOWS):
        total -= log.gather(1, tokens).sum().item()
        count += len(tokens)
    return math.exp(total / count)


def judge_int8_dynamic(plain, directory):
    run_tool(MANTISSA, "quantize", plain, "-o", directory, "--no-report",
             "-c", "int8_dynamic_activation_int8_weight")
    answer = ours(directory, 1, "--reference", plain)["kl_divergence"]
    (_, want), = log_chances(load(plain), plain, 1)
    (_, got), = log_chances(load(directory), directory, 1)
    expected = (want.exp() * (want - got)).sum(-1).mean().item()
    print(f"int8_dynamic: KL {answer:.4f}, torchao's {expected:.4f}", flush=True)
    assert 1 / 1.5 <= answer / expected <= 1.5, (answer, expected)


def compare(name, answer, expected, bound):
    assert answer["tokens_scored"] == WINDOWS * (CONTEXT // 2 - 1), answer
    apart = answer["perplexity"] / expected - 1
    print(f"{name}: {answer['perplexity']:.4f}, expected {expected:.4f}, "
          f"{100 * apart:+.4f} %", flush=True)
    assert abs(apart) <= bound, (name, apart, bound)


def main():
    gguf = ours(GGUF)
    compare("gguf, llama.cpp", gguf, FIXTURE["perplexity"][str(WINDOWS)], 1e-3)
    with tempfile.TemporaryDirectory() as scratch:
        scratch = Path(scratch)
        for dtype, name in (("float32", "fp32"), ("bfloat16", "bf16")):
            run_tool(MANTISSA, "convert", GGUF, "--dtype", dtype, "-o", scratch / name)
        compare("gguf", gguf, theirs(scratch / "fp32"), 1e-3)
        for name, (source, config, bound) in DIRECTORIES.items():
            directory = plain = scratch / name
            if source:
                run_tool(MANTISSA, "quantize", scratch / source, "-o", directory,
                         "--no-report", "-c", *config)
            if source == "bf16":
                plain = scratch / f"{name}-plain"
                run_tool(MANTISSA, "convert", directory, "--dtype", "float32",
                         "-o", plain, "--no-report")
            compare(name, ours(directory), theirs(plain), bound)
        judge_int8_dynamic(scratch / "fp32", scratch / "int8_dynamic")


TEXT = Path(WIKITEXT).read_text()[: 40 * CONTEXT * (WINDOWS + 1)]
main()
