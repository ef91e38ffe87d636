"""Rope scaling of GGUF files against Transformers' rotary embedding.

usage: gguf_rope_judge.py PROBE

Tiny models are written with the gguf wheel. The frequencies that Transformers
computes from our config.json must be those that the file says: base frequency
divided by the factor (linear) or by the tensor of factors (Llama 3).
"""

import subprocess
import sys
import tempfile
from pathlib import Path

import gguf
import numpy as np
import torch
from transformers import AutoConfig
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

HEAD_DIM, THETA = 64, 500000.0
TOKENS = ["<s>", "a", "b", "ab"]


def write(path, scaling, factors):
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_block_count(1)
    writer.add_context_length(131072)
    writer.add_embedding_length(128)
    writer.add_feed_forward_length(32)
    writer.add_head_count(2)
    writer.add_head_count_kv(2)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(THETA)
    for add, value in scaling:
        getattr(writer, add)(value)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(TOKENS)
    writer.add_token_types([3, 1, 1, 1])
    writer.add_token_merges(["a b"])
    shapes = {"token_embd": (4, 128), "output_norm": (128,)}
    for name, shape in {"attn_norm": (128,), "ffn_norm": (128,),
                        "attn_q": (128, 128), "attn_k": (128, 128),
                        "attn_v": (128, 128), "attn_output": (128, 128),
                        "ffn_gate": (32, 128), "ffn_up": (32, 128),
                        "ffn_down": (128, 32)}.items():
        shapes[f"blk.0.{name}"] = shape
    for name, shape in shapes.items():
        writer.add_tensor(f"{name}.weight", np.ones(shape, np.float32))
    if factors is not None:
        writer.add_tensor("rope_freqs.weight", factors)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def llama3_factors(factor):
    wave = 2 * np.pi * THETA ** (np.arange(0, HEAD_DIM, 2) / HEAD_DIM)
    smooth = (8192 / wave - 1) / 3
    middle = 1 / ((1 - smooth) / factor + smooth)
    return np.where(wave < 2048, 1, np.where(wave > 8192, factor,
                                             middle)).astype(np.float32)


def main():
    probe = sys.argv[1]
    base = THETA ** (-np.arange(0, HEAD_DIM, 2) / HEAD_DIM)
    linear = gguf.RopeScalingType.LINEAR
    yarn = gguf.RopeScalingType.YARN
    cases = {
        "default": ([], None, base),
        "linear": ([("add_rope_scaling_type", linear),
                    ("add_rope_scaling_factor", 4.0)], None, base / 4),
        "llama3.1": ([], llama3_factors(8), base / llama3_factors(8)),
        "llama3.2": ([], llama3_factors(32), base / llama3_factors(32)),
        "yarn": ([("add_rope_scaling_type", yarn),
                  ("add_rope_scaling_factor", 16.0),
                  ("add_rope_scaling_orig_ctx_len", 8192)], None, None),
    }
    for name, (scaling, factors, expected) in cases.items():
        with tempfile.TemporaryDirectory() as folder:
            path, out = Path(folder) / "m.gguf", Path(folder) / "out"
            write(path, scaling, factors)
            subprocess.run([probe, "texts", path, out], check=True)
            config = AutoConfig.from_pretrained(out)
        rotary = LlamaRotaryEmbedding(config)
        if expected is None:  # yarn: what its own definition makes of the keys
            reference = AutoConfig.for_model(
                "llama", hidden_size=128, num_attention_heads=2,
                max_position_embeddings=131072,
                rope_parameters={"rope_type": "yarn", "rope_theta": THETA,
                                 "factor": 16.0,
                                 "original_max_position_embeddings": 8192})
            theirs = LlamaRotaryEmbedding(reference)
            assert torch.equal(rotary.inv_freq, theirs.inv_freq)
            assert rotary.attention_scaling == theirs.attention_scaling != 1
        else:
            assert rotary.attention_scaling == 1
            np.testing.assert_allclose(rotary.inv_freq.numpy(), expected,
                                       rtol=1e-6)
        print(f"{name}: {len(rotary.inv_freq)} frequencies as the file says")


main()
