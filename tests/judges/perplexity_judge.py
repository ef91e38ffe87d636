"""`eval` on a real model against Transformers and llama.cpp, computed in float32.

SmolLM2 as its GGUF file, and as directories made of it: weight-only ones within
0.1 % of Transformers on the values that `convert` decodes; int8 with dynamic
activations within 0.5 % of Transformers and torchao on the same directory. The
GGUF file within 0.1 % of llama.cpp's figure for the same windows.

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
    "int8_dynamic": ("fp32", ["int8_dynamic_activation_int8_weight"], 5e-3),
}


def ours(model):
    words = ["--context", CONTEXT, "--windows", WINDOWS, "--json", "-q"]
    answer = json.loads(run_tool(MANTISSA, "eval", model, "--text", WIKITEXT, *words))
    assert answer["compute_dtype"] == "float32", answer
    return answer


def theirs(directory):
    """Perplexity by llama.cpp's protocol, of what Transformers loads."""
    model = load(directory)
    if not hasattr(model, "hf_quantizer"):
        model = model.float()
    assert model.dtype == torch.float32, model.dtype
    ids = AutoTokenizer.from_pretrained(directory)(TEXT)["input_ids"]
    rows = torch.tensor(ids[: CONTEXT * WINDOWS]).reshape(WINDOWS, CONTEXT)
    half = CONTEXT // 2
    total = 0.0
    with torch.inference_mode():
        for row in rows:
            hidden = model.model(row[None]).last_hidden_state[0, half:-1]
            log = torch.log_softmax(model.lm_head(hidden).double(), -1)
            total -= log.gather(1, row[half + 1:, None]).sum().item()
    return math.exp(total / (WINDOWS * (half - 1)))


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


TEXT = Path(WIKITEXT).read_text()[: 40 * CONTEXT * (WINDOWS + 1)]
main()
