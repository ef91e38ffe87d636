"""SmolLM2, a real GGUF file, goes the whole way to what Transformers runs.

`convert` at both dtypes gives the logits of Transformers' own GGUF loader and
the same greedy text; int8 and int4 directories made from the bfloat16 one equal
those of Transformers + torchao; quantizing the GGUF itself gives the same bytes.

usage: transformers_smollm_judge.py MANTISSA FILE.gguf
"""

import json
import sys
import tempfile
from pathlib import Path

import torch
import transformers
from torchao.quantization import (
    Int8WeightOnlyConfig,
    IntxWeightOnlyConfig,
    PerGroup,
)

from transformers_support import (
    check_unflatten,
    classes,
    compare_configs,
    compare_files,
    compare_runs,
    compare_tensors,
    load,
    logits,
    read_files,
    reference,
    run_tool,
)

MANTISSA, GGUF = sys.argv[1], Path(sys.argv[2])
PROMPT = "The three largest cities of France are"
CONFIGS = {
    "int8": (Int8WeightOnlyConfig(), ["-c", "int8_weight_only"]),
    "intx_int4_g32": (
        IntxWeightOnlyConfig(
            weight_dtype=torch.int4, granularity=PerGroup(32)
        ),
        ["-c", "intx_weight_only:weight_dtype=int4", "--group-size", "32"],
    ),
}


def own_loader(dtype):
    model = transformers.AutoModelForCausalLM.from_pretrained(
        GGUF.parent, gguf_file=GGUF.name, dtype=dtype
    )
    return model.eval()


def greedy(model, tokenizer):
    batch = tokenizer(PROMPT, return_tensors="pt")
    out = model.generate(
        **batch,
        max_new_tokens=12,
        do_sample=False,
        pad_token_id=tokenizer.pad_token_id,
    )
    return tokenizer.decode(out[0])


def judge_convert(dtype, out):
    words = ["convert", GGUF, "-o", out]
    name = str(dtype).removeprefix("torch.")
    if dtype == torch.float32:
        words += ["--dtype", name]  # bfloat16 is the default for this file
    run_tool(MANTISSA, *words)
    config = json.loads((out / "config.json").read_text())
    assert config.get("dtype", config.get("torch_dtype")) == name, config
    ours, theirs = load(out), own_loader(dtype)
    assert ours.dtype == dtype
    state, expected = ours.state_dict(), theirs.state_dict()
    compare_tensors(state, expected)
    a, b = logits(ours, 64), logits(theirs, 64)
    assert torch.equal(a, b), (a - b).abs().max()
    tokenizer = transformers.AutoTokenizer.from_pretrained(out)
    text = greedy(ours, tokenizer)
    assert text == greedy(theirs, tokenizer)
    print(f"convert {name}: {len(state)} tensors, logits and text equal "
          f"Transformers' own loader: {text!r}")


def judge_quantize(name, source, scratch):
    config, words = CONFIGS[name]
    ours, theirs = scratch / f"{name}_ours", scratch / f"{name}_theirs"
    reference(source, config, theirs)
    run_tool(MANTISSA, "quantize", source, *words, "-o", ours)
    count = compare_files(ours, theirs)
    compare_configs(ours, theirs)
    check_unflatten(ours)
    model = compare_runs(ours, theirs)
    kinds = sorted(set(classes(model).values()) - {"Tensor"})
    direct = scratch / f"{name}_direct"
    run_tool(MANTISSA, "quantize", GGUF, *words, "-o", direct)
    compare_tensors(read_files(direct)[0], read_files(ours)[0])
    print(f"{name}: {count} tensors, metadata, config, logits equal; {kinds}; "
          "the same bytes from the GGUF itself")


def main():
    with tempfile.TemporaryDirectory() as scratch:
        scratch = Path(scratch)
        judge_convert(torch.float32, scratch / "float32")
        judge_convert(torch.bfloat16, scratch / "bfloat16")
        for name in CONFIGS:
            judge_quantize(name, scratch / "bfloat16", scratch)


main()
