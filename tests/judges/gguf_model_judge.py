"""A converted GGUF model against Transformers' own GGUF loader.

usage: gguf_model_judge.py GGUF DIRECTORY...
       gguf_model_judge.py --tool MANTISSA GGUF

DIRECTORY is what a conversion of GGUF wrote; its dtype stands in config.json.
With --tool `mantissa convert` makes two here (default dtype and float32). For each
one: every tensor, the logits and the greedy text equal those of the model that
Transformers loads from the GGUF file in the same dtype.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from safetensors import safe_open
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer
from transformers.utils import logging

TEXT = "The quick brown fox, 3.14 and \u00bd of it, jumps over\n\n  the lazy dog."
CHAT = [{"role": "user", "content": "What is the capital of France?"}]
CONFIG_KEYS = [
    "attention_bias", "bos_token_id", "eos_token_id", "head_dim", "hidden_act",
    "hidden_size", "intermediate_size", "max_position_embeddings", "mlp_bias",
    "model_type", "num_attention_heads", "num_hidden_layers",
    "num_key_value_heads", "pad_token_id", "rms_norm_eps", "rope_parameters",
    "tie_word_embeddings", "vocab_size",
]


def load_gguf(path, dtype):
    return AutoModelForCausalLM.from_pretrained(
        path.parent, gguf_file=path.name, dtype=dtype).eval()


def load_directory(path):
    model, report = AutoModelForCausalLM.from_pretrained(
        path, dtype="auto", output_loading_info=True)
    for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        assert not report[kind], (kind, report[kind])
    return model.eval()


def bits(tensor):
    return tensor.contiguous().view(torch.uint8)


def compare_tensors(directory, reference):
    state = reference.state_dict()
    tied = reference.config.tie_word_embeddings
    compared = 0
    with safe_open(directory / "model.safetensors", "pt") as file:
        names = set(file.keys())
        expected = set(state) - ({"lm_head.weight"} if tied else set())
        assert names == expected, names ^ expected
        for name in sorted(names):
            ours, theirs = file.get_tensor(name), state[name]
            assert ours.dtype == theirs.dtype, (name, ours.dtype, theirs.dtype)
            assert ours.shape == theirs.shape, (name, ours.shape)
            assert torch.equal(bits(ours), bits(theirs)), name
            compared += 1
    return compared


def judge(gguf, directory):
    directory = Path(directory)
    dtype_name = json.loads((directory / "config.json").read_text())["dtype"]
    dtype = getattr(torch, dtype_name)
    theirs = load_gguf(gguf, dtype)
    ours = load_directory(directory)
    assert ours.dtype == theirs.dtype == dtype
    config = AutoConfig.from_pretrained(directory)
    for key in CONFIG_KEYS:
        found, expected = getattr(config, key), getattr(theirs.config, key)
        assert found == expected, (key, found, expected)
    compared = compare_tensors(directory, theirs)
    tokenizer = AutoTokenizer.from_pretrained(directory)
    ids = tokenizer(TEXT, return_tensors="pt").input_ids
    with torch.no_grad():
        a, b = ours(ids).logits, theirs(ids).logits
    assert torch.equal(a, b), (a - b).abs().max()
    assert a.abs().max() > 1, "flat logits judge nothing"
    prompt = tokenizer.apply_chat_template(
        CHAT, add_generation_prompt=True, return_tensors="pt",
        return_dict=False)
    text = []
    for model in (ours, theirs):
        out = model.generate(prompt, max_new_tokens=16, do_sample=False)
        text.append(tokenizer.decode(out[0, prompt.shape[1]:]))
    assert text[0] == text[1], text
    print(f"{dtype_name}: {compared} tensors, logits {list(a.shape)} and the "
          f"config equal; both say {text[0]!r}")


def main():
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    arguments = sys.argv[1:]
    if arguments[0] != "--tool":
        gguf = Path(arguments[0])
        for directory in arguments[1:]:
            judge(gguf, directory)
        return
    tool, gguf = arguments[1], Path(arguments[2])
    if not gguf.exists():
        print(f"skipped: no {gguf} (tools/setup.sh --models)")
        sys.exit(77)
    with tempfile.TemporaryDirectory() as folder:
        for words in ([], ["--dtype", "float32"]):
            directory = os.path.join(folder, "".join(words) or "default")
            subprocess.run([tool, "convert", gguf, "-o", directory, *words],
                           check=True)
            judge(gguf, directory)


main()
