"""A GGUF whose vocabulary has scores, through `eval` and `generate`.

A tiny random Llama, and a Mixtral whose experts are stored together or one by
one, with a small vocabulary trained here
(tokenizer.ggml.model = llama: scores, byte tokens, a user-defined token). Ids are those of the wheel's
own reading of the file; the perplexity is that of Transformers on the same
weights within 1e-5, greedy answers have its tokens and, of the Llama, the wheel's text.

usage: gguf_scores_judge.py MANTISSA
"""

import json
import math
import sys
import tempfile
from pathlib import Path

import torch
from gguf_scores import of_transformers, scored, write_gguf
from tokenizer_kinds import legacy

from transformers_support import run_tool, tiny_model

MANTISSA = sys.argv[1]
GOLDEN = Path(__file__).resolve().parents[1] / "golden"
CONTEXT, WINDOWS, NEW_TOKENS = 64, 8, 24
EXPERTS = (dict(num_local_experts=3, num_experts_per_tok=2),
           dict(expert_count=3, expert_used_count=2, rope_freq_base=1e6))
PROMPTS = ["The game", "  two  spaces", "\u4f60\u597d \U0001f600 <|user|> b",
           "a\nb\tc \u00e9"]


def interleaved(weight, heads):
    """Rows as llama.cpp rotates them: pairs beside each other."""
    rows = weight.shape[0] // heads // 2
    return (weight.reshape(heads, 2, rows, -1).transpose(1, 2)
            .reshape(weight.shape))


def one_by_one(tensors):
    """The experts of a layer as older files have them: a tensor for each."""
    out = {}
    for name, weight in tensors.items():
        if name.endswith("_exps"):
            stem = name.removesuffix("_exps")
            out |= {f"{stem}.{e}": one for e, one in enumerate(weight)}
        else:
            out[name] = weight
    return out


def tensors_of(model):
    state = model.state_dict()
    names = {"self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k",
             "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output",
             "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
             "mlp.down_proj": "ffn_down", "input_layernorm": "attn_norm",
             "post_attention_layernorm": "ffn_norm"}
    out = {"token_embd": state["model.embed_tokens.weight"],
           "output_norm": state["model.norm.weight"],
           "output": state["lm_head.weight"]}
    for layer in range(model.config.num_hidden_layers):
        for theirs, name in names.items():
            weight = state.get(f"model.layers.{layer}.{theirs}.weight")
            if weight is None:
                continue  # of a layer without experts
            if name in ("attn_q", "attn_k"):
                weight = interleaved(weight, 4 if name == "attn_q" else 2)
            out[f"blk.{layer}.{name}"] = weight
        mlp = f"model.layers.{layer}.mlp."
        if mlp + "experts.down_proj" in state:
            gate, up = state[mlp + "experts.gate_up_proj"].chunk(2, 1)
            out |= {f"blk.{layer}.ffn_gate_inp": state[mlp + "gate.weight"],
                    f"blk.{layer}.ffn_gate_exps": gate,
                    f"blk.{layer}.ffn_up_exps": up,
                    f"blk.{layer}.ffn_down_exps":
                        state[mlp + "experts.down_proj"]}
    return {name: weight.contiguous().numpy() for name, weight in out.items()}


def perplexity(model, ids):
    """Of the second half of each window, whose first token is BOS."""
    total, count = 0.0, 0
    rows = torch.tensor(ids[:CONTEXT * WINDOWS]).reshape(WINDOWS, CONTEXT)
    rows[:, 0] = 1
    half = CONTEXT // 2
    with torch.no_grad():
        for row in rows:
            log = torch.log_softmax(model(row[None]).logits[0].double(), -1)
            total -= log[half:-1].gather(1, row[half + 1:, None]).sum().item()
            count += CONTEXT - 1 - half
    return math.exp(total / count), count


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


main()
