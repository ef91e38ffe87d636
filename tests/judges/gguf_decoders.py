"""What judges of small GGUF decoders share: their tensors, their perplexity."""

import math

import torch

CONTEXT, WINDOWS = 64, 8


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
             "post_attention_layernorm": "ffn_norm",
             "self_attn.q_norm": "attn_q_norm",
             "self_attn.k_norm": "attn_k_norm"}
    turned = model.config.model_type in ("llama", "mixtral")
    out = {"token_embd": state["model.embed_tokens.weight"],
           "output_norm": state["model.norm.weight"],
           "output": state["lm_head.weight"]}
    for layer in range(model.config.num_hidden_layers):
        for theirs, name in names.items():
            weight = state.get(f"model.layers.{layer}.{theirs}.weight")
            if weight is None:
                continue  # of another family
            if turned and name in ("attn_q", "attn_k"):
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
