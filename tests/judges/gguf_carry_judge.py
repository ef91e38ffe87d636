"""Codes carried over from GGUF blocks against ggml's values.

usage: gguf_carry_judge.py MANTISSA GGUF

Tiny models, quantized by the gguf wheel, and the real one go through
`mantissa quantize`. Where the plan says "exact", what torchao reads from the
directory and dequantizes equals the wheel's value rounded once to the logical
dtype. torchao has no dequantize for Int4Tensor: code * scale + zero_point, as
its kernels define it. Rows of q and k are compared in Hugging Face's order.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import gguf
import numpy as np
import torch
from safetensors import safe_open
from torchao.prototype.safetensors.safetensors_support import (
    unflatten_tensor_state_dict,
)

HEADS, KV_HEADS, HIDDEN, FFN = 2, 1, 128, 96
NAMES = {"attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj",
         "attn_v": "self_attn.v_proj", "attn_output": "self_attn.o_proj",
         "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj",
         "ffn_down": "mlp.down_proj"}
SHAPES = {"attn_q": (128, 128), "attn_k": (64, 128), "attn_v": (64, 128),
          "attn_output": (128, 128), "ffn_gate": (96, 128),
          "ffn_up": (96, 128), "ffn_down": (128, 96)}
INT8 = ["-c", "int8_weight_only", "--group-size", "32"]
INTX = ["-c", "intx_weight_only:weight_dtype=int4,scale_dtype=float32",
        "--group-size", "32"]
INT4 = ["-c", "int4_weight_only", "--group-size", "32"]
# Source type, config, --dtype, class it becomes.
CASES = [
    ("Q8_0", INT8, "bfloat16", "Int8Tensor"),
    ("Q8_0", INT8, "float32", "Int8Tensor"),
    ("Q8_0", INT8, "float16", "Int8Tensor"),
    ("Q4_0", INT8, "bfloat16", "Int8Tensor"),
    ("Q4_0", INTX, "bfloat16", "IntxUnpackedToInt8Tensor"),
    ("Q4_0", INTX, "float32", "IntxUnpackedToInt8Tensor"),
    ("Q4_1", INT4, "float32", "Int4Tensor"),
]


def write(path, qtype):
    rng = np.random.default_rng(7)
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_block_count(1)
    writer.add_context_length(128)
    writer.add_embedding_length(HIDDEN)
    writer.add_feed_forward_length(FFN)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(["<s>", "a", "b", "ab"])
    writer.add_token_types([3, 1, 1, 1])
    writer.add_token_merges(["a b"])
    for name in ("blk.0.attn_norm", "blk.0.ffn_norm", "output_norm"):
        writer.add_tensor(f"{name}.weight", np.ones(HIDDEN, np.float32))
    writer.add_tensor("token_embd.weight",
                      rng.standard_normal((4, HIDDEN)).astype(np.float32))
    for name, shape in SHAPES.items():
        values = rng.standard_normal(shape).astype(np.float32)
        values *= np.exp(rng.standard_normal((shape[0], 1))).astype(np.float32)
        values[3] = 0
        writer.add_tensor(f"blk.0.{name}.weight",
                          gguf.quantize(values, qtype), raw_dtype=qtype)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def in_huggingface_order(values, heads):
    rows = values.shape[0] // heads // 2
    split = values.reshape(heads, rows, 2, values.shape[1])
    return np.ascontiguousarray(split.swapaxes(1, 2)).reshape(values.shape)


def ggml_values(path):
    """Hugging Face name -> float32 values, for the weights of the layers."""
    reader = gguf.GGUFReader(path)
    heads = {"attn_q": reader.fields["llama.attention.head_count"].contents(),
             "attn_k":
             reader.fields["llama.attention.head_count_kv"].contents()}
    values = {}
    for tensor in reader.tensors:
        parts = tensor.name.split(".")
        if parts[0] != "blk" or parts[2] not in NAMES:
            continue
        found = gguf.dequantize(tensor.data, tensor.tensor_type)
        if parts[2] in heads:
            found = in_huggingface_order(found, heads[parts[2]])
        name = f"model.layers.{parts[1]}.{NAMES[parts[2]]}.weight"
        values[name] = (tensor.tensor_type.name, torch.from_numpy(found))
    return values


def dequantized(tensor):
    if type(tensor).__name__ != "Int4Tensor":
        return tensor.dequantize()
    low = (tensor.qdata << 4) >> 4  # arithmetic shifts of int8
    codes = torch.stack([low, tensor.qdata >> 4], -1).reshape(
        tensor.qdata.shape[0], -1).to(tensor.scale.dtype)
    group = tensor.block_size[-1]
    scale = tensor.scale.t().repeat_interleave(group, 1)
    zero = tensor.zero_point.t().repeat_interleave(group, 1)
    return codes * scale + zero


def load(directory):
    with safe_open(directory / "model.safetensors", "pt") as file:
        stored = {name: file.get_tensor(name) for name in file.keys()}
        state, leftover = unflatten_tensor_state_dict(stored, file.metadata())
    assert not leftover, list(leftover)
    return state


def planned_exact(mantissa, path, config, dtype):
    text = subprocess.run(
        [mantissa, "plan", path, *config, "--dtype", dtype, "--json"],
        check=True, text=True, capture_output=True).stdout
    return {t["name"] for t in json.loads(text)["tensors"]
            if t["action"] == "carry"}


def judge(mantissa, path, config, dtype, expected_class):
    exact = planned_exact(mantissa, path, config, dtype)
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out"
        subprocess.run([mantissa, "quantize", path, *config, "--dtype", dtype,
                        "-o", out, "-q"], check=True)
        state = load(out)
    truth = ggml_values(path)
    assert exact == set(truth), exact ^ set(truth)
    logical = getattr(torch, dtype)
    negative = 0
    for name, (_, values) in truth.items():
        tensor = state[name]
        assert type(tensor).__name__ == expected_class, type(tensor)
        found = dequantized(tensor)
        assert found.dtype == logical and found.shape == values.shape
        wanted = values.to(logical)
        assert torch.equal(found, wanted), (
            name, int((found != wanted).sum()))
        negative += int((tensor.scale < 0).sum())
    return len(truth), negative


def main():
    mantissa, real = sys.argv[1], Path(sys.argv[2])
    for source, config, dtype, target in CASES:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "tiny.gguf"
            write(path, gguf.GGMLQuantizationType[source])
            count, negative = judge(mantissa, path, config, dtype, target)
        if source == "Q4_0":
            assert negative > 0, "no negative scale was judged"
        print(f"{source} -> {target}, {dtype}: {count} tensors exact, "
              f"{negative} scales negative")
    if not real.exists():
        print(f"skipped: no {real} (tools/setup.sh --models)")
        sys.exit(77)
    count, _ = judge(mantissa, real, INT4, "float32", "Int4Tensor")
    print(f"{real.name} -> Int4Tensor, float32: {count} tensors exact")


main()
