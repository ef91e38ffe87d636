"""A GGUF whose vocabulary has scores, through `eval` and `generate`.

A tiny random Llama, a Mixtral whose experts are stored together or one by one,
and a Qwen 3 with experts, with a small vocabulary trained here
(tokenizer.ggml.model = llama: scores, byte tokens, a user-defined token). Ids are
those of the wheel's own reading of the file; the perplexity is that of
Transformers on the same weights within 1e-5, greedy answers have its tokens and,
of the Llama, the wheel's text.

usage: gguf_scores_judge.py MANTISSA
"""

import json
import sys
import tempfile
from pathlib import Path

import torch
from gguf_decoders import CONTEXT, WINDOWS, one_by_one, perplexity, tensors_of
from gguf_scores import of_transformers, scored, write_gguf
from tokenizer_kinds import legacy

from transformers_support import run_tool, tiny_model

MANTISSA = sys.argv[1]
GOLDEN = Path(__file__).resolve().parents[1] / "golden"
NEW_TOKENS = 24
EXPERTS = (dict(num_local_experts=3, num_experts_per_tok=2),
           dict(expert_count=3, expert_used_count=2, rope_freq_base=1e6))
QWEN_EXPERTS = (
    dict(num_experts=4, num_experts_per_tok=2, moe_intermediate_size=48,
         head_dim=32, norm_topk_prob=True, rope_parameters=dict(
             rope_type="default", rope_theta=1e6)),
    dict(architecture="qwen3moe", expert_count=4, expert_used_count=2,
         expert_feed_forward_length=48, key_length=32, value_length=32,
         rope_freq_base=1e6))
PROMPTS = ["The game", "  two  spaces", "\u4f60\u597d \U0001f600 <|user|> b",
           "a\nb\tc \u00e9"]


def judge_eval(path, model, wheel, text, scratch):
    (scratch / "text.txt").write_bytes(text.encode())
    answer = json.loads(run_tool(
        MANTISSA, "eval", path, "--text", scratch / "text.txt", "--context",
        CONTEXT, "--windows", WINDOWS, "--json", "-q"))
    expected, count = perplexity(model, wheel.encode(text).ids)
    assert answer["tokens_scored"] == count, answer
    apart = answer["perplexity"] / expected - 1
    assert abs(apart) <= 1e-5, (answer, expected)
    print(f"eval: perplexity {expected:.4f}, {apart:+.1e} apart")


def judge_generate(path, model, wheel, texts):
    for prompt in PROMPTS:
        answer = json.loads(run_tool(
            MANTISSA, "generate", path, "--prompt", prompt, "--temperature", "0",
            "--max-tokens", NEW_TOKENS, "--compute-dtype", "float32",
            "--kv-cache-dtype", "float32", "--json", "-q"))
        ids = wheel.encode(prompt).ids
        assert answer["prompt_tokens"] == len(ids), (prompt, answer, ids)
        with torch.no_grad():
            out = model.generate(
                torch.tensor([ids]), do_sample=False, max_new_tokens=NEW_TOKENS,
                attention_mask=torch.ones(1, len(ids), dtype=torch.long),
                pad_token_id=0, eos_token_id=2)[0, len(ids):].tolist()
        tokens = answer["tokens"]
        assert tokens == out[:len(tokens)] and len(tokens) >= len(out) - 1, (
            prompt, tokens, out)
        # The text goes on behind the prompt: with its leading space.
        text = wheel.decode(ids + tokens)[len(wheel.decode(ids)):]
        assert not texts or answer["text"] == text, (
            prompt, answer["text"], text)
    print(f"generate: {len(PROMPTS)} prompts, tokens equal"
          + ", text too" * texts)


def judge_family(family, fields, keys, pieces, text, scratch, stored=dict):
    model = tiny_model(family, torch.float32, vocab_size=len(pieces),
                       intermediate_size=96, max_position_embeddings=128,
                       rms_norm_eps=1e-5, **fields)
    with torch.no_grad():
        model.lm_head.weight[3:259] = 0  # no answer of bytes that are no UTF-8
    path = scratch / f"{family}.gguf"
    write_gguf(path, pieces, stored(tensors_of(model)), **keys)
    wheel = of_transformers(path)
    wheel.encode_special_tokens = True  # plain text makes no special token
    print(family, stored.__name__)
    judge_eval(path, model, wheel, text, scratch)
    judge_generate(path, model, wheel, texts=family == "Llama")


def main():
    text = (GOLDEN / "wikitext-2" / "test.txt").read_text()
    tree = json.loads(legacy(text[:60000].replace("<unk>", ""), size=600).to_str())
    pieces = scored(tree) + [("<|user|>", 0.0, 4)]
    text = text[60000:80000] + "\u4f60\u597d <|user|> \U0001f600\t e\u0301\n" * 9
    with tempfile.TemporaryDirectory() as scratch:
        for job in (("Llama", {}, {}), ("Mixtral", *EXPERTS)):
            judge_family(*job, pieces, text, Path(scratch))
        judge_family("Mixtral", *EXPERTS, pieces, text, Path(scratch), one_by_one)
        judge_family("Qwen3Moe", *QWEN_EXPERTS, pieces, text, Path(scratch))


main()
