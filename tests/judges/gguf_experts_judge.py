"""A quantized GGUF with experts against Transformers' own GGUF loader.

A tiny random Qwen 3 with experts, its matrices as blocks of the gguf wheel.
What `convert` makes of the file, in float32, has the tensors and the logits of
the model that Transformers loads from it, bit for bit; `eval`, which multiplies
the blocks as they are stored, its perplexity; `plan`, `quantize` and `bench
model` take the file.

usage: gguf_experts_judge.py MANTISSA
"""

import json
import re
import sys
import tempfile
from pathlib import Path

from transformers_support import load, run_tool, tiny_model  # quiets the rest

import gguf
import torch
from gguf_decoders import CONTEXT, WINDOWS, perplexity, tensors_of
from gguf_scores import of_transformers, scored, write_gguf
from tokenizer_kinds import legacy
from transformers import AutoModelForCausalLM

MANTISSA = sys.argv[1]
GOLDEN = Path(__file__).resolve().parents[1] / "golden"
WIDTH = 768  # Transformers' loader reads no width of experts; its default
FIELDS = dict(num_experts=4, num_experts_per_tok=2, moe_intermediate_size=WIDTH,
              head_dim=32, intermediate_size=96, max_position_embeddings=128,
              rms_norm_eps=1e-5, norm_topk_prob=True,
              rope_parameters=dict(rope_type="default", rope_theta=1e6))
KEYS = dict(architecture="qwen3moe", expert_count=4, expert_used_count=2,
            expert_feed_forward_length=WIDTH, key_length=32, value_length=32,
            rope_freq_base=1e6)
TYPES = ("Q4_0", "Q5_1", "Q8_0")


def as_blocks(tensors, kind):
    """Matrices in blocks; vectors and routers as converters leave them."""
    def encode(name, values):
        if values.ndim == 1 or name.endswith("ffn_gate_inp"):
            return values
        return gguf.quantize(values, kind), kind
    return {name: encode(name, values) for name, values in tensors.items()}


def judge_convert(path, theirs, out):
    run_tool(MANTISSA, "convert", path, "--dtype", "float32", "-o", out)
    ours, expected = load(out), theirs.state_dict()
    assert ours.state_dict().keys() == expected.keys()
    for name, value in ours.state_dict().items():
        assert torch.equal(value, expected[name]), name
    ids = torch.arange(CONTEXT)[None]
    with torch.no_grad():
        assert torch.equal(ours(ids).logits, theirs(ids).logits)
    return len(expected)


def judge_eval(path, theirs, text, ids):
    answer = json.loads(run_tool(
        MANTISSA, "eval", path, "--text", text, "--context", CONTEXT,
        "--windows", WINDOWS, "--json", "-q"))
    expected, count = perplexity(theirs, ids)
    assert answer["tokens_scored"] == count, answer
    apart = answer["perplexity"] / expected - 1
    assert abs(apart) <= 1e-5, (answer, expected)
    return apart


def judge_commands(path, scratch):
    config = ["-c", "int8_weight_only"]
    plan = run_tool(MANTISSA, "plan", path, *config)
    assert re.search(r"mlp\.experts\.gate_up_proj .* quantize ", plan), plan
    run_tool(MANTISSA, "quantize", path, *config, "-o", scratch / "int8", "-q")
    run_tool(MANTISSA, "verify", scratch / "int8")
    measured = json.loads(run_tool(
        MANTISSA, "bench", "model", path, "--prompt-tokens", 8,
        "--decode-tokens", 8, "--repetitions", 1, "--json"))
    assert measured, measured


def main():
    text = (GOLDEN / "wikitext-2" / "test.txt").read_text()
    tree = json.loads(legacy(text[:60000].replace("<unk>", ""), size=600).to_str())
    pieces = scored(tree)
    model = tiny_model("Qwen3Moe", torch.float32, vocab_size=len(pieces), **FIELDS)
    with tempfile.TemporaryDirectory() as scratch:
        scratch = Path(scratch)
        words = scratch / "text.txt"
        words.write_text(text[60000:80000])
        for name in TYPES:
            path = scratch / f"{name}.gguf"
            kind = gguf.GGMLQuantizationType[name]
            write_gguf(path, pieces, as_blocks(tensors_of(model), kind), **KEYS)
            theirs = AutoModelForCausalLM.from_pretrained(
                scratch, gguf_file=path.name, dtype=torch.float32).eval()
            assert theirs.config.norm_topk_prob
            count = judge_convert(path, theirs, scratch / name)
            wheel = of_transformers(path)
            wheel.encode_special_tokens = True
            ids = wheel.encode(words.read_text()).ids
            apart = judge_eval(path, theirs, words, ids)
            print(f"{name}: {count} tensors and the logits equal; perplexity "
                  f"of the blocks {apart:+.1e} apart")
        judge_commands(path, scratch)


main()
