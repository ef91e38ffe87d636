"""Models with fused experts go the whole way as float8 weight-only.

A tiny Mixtral and a tiny Qwen3Moe, stored expert by expert: the tool's
directory loads into Transformers without a key over, runs, and gives the
logits of the directory that Transformers + torchao write. Int8 experts load
and do not run in Transformers: `plan` must say so.

usage: transformers_experts_judge.py MANTISSA
"""

import sys
import tempfile
from pathlib import Path

from safetensors.torch import load_file
from torchao.quantization import (
    Float8WeightOnlyConfig,
    FqnToConfig,
    Int8WeightOnlyConfig,
)

from transformers_support import (
    check_unflatten,
    classes,
    compare_configs,
    compare_files,
    compare_runs,
    load,
    logits,
    reference,
    run_tool,
    save,
    tiny_model,
    write_config,
)

MANTISSA = sys.argv[1]
FAMILIES = {
    "Mixtral": dict(num_local_experts=3, num_experts_per_tok=2),
    "Qwen3Moe": dict(
        num_experts=4,
        num_experts_per_tok=2,
        moe_intermediate_size=32,
        head_dim=16,
        mlp_only_layers=[1],
    ),
}
EXPERTS = r"re:model\.layers\.[0-9]+\.mlp\.experts\.(gate_up|down)_proj"


def loading_key(key):
    # Transformers reverts the module path of a quantized file but not the
    # names in its metadata; ours agree with the metadata.
    return key.replace(".block_sparse_moe.", ".mlp.")


def judge_float8(family, source, scratch):
    float8 = Float8WeightOnlyConfig()
    rules = FqnToConfig({EXPERTS: float8, "lm_head": None, "_default": float8})
    theirs = reference(source, rules, scratch / "theirs")
    ours = scratch / "ours"
    config = write_config(rules, scratch / "rules.json")
    run_tool(MANTISSA, "quantize", source, "-c", config, "-o", ours)
    count = compare_files(ours, theirs, loading_key)
    compare_configs(ours, theirs)
    check_unflatten(ours)
    model = compare_runs(ours, theirs)
    kinds = classes(model)
    experts = [name for name in kinds if ".experts." in name]
    assert experts and all(kinds[n] == "Float8Tensor" for n in experts), kinds
    plain = scratch / "plain"
    words = ["-c", "float8_weight_only", "--ignore", "lm_head"]
    run_tool(MANTISSA, "quantize", source, *words, "-o", plain)
    compare_files(plain, theirs, loading_key)
    compare_runs(plain, theirs)
    print(f"{family} float8: {count} tensors, {len(experts)} expert weights, "
          "metadata, logits equal; plain -c the same")


def judge_kept_experts(family, source, scratch):
    """Experts that a rule keeps are written so that they load."""
    ours = scratch / "kept"
    words = ["-c", "float8_weight_only", "--ignore", EXPERTS]
    words += ["--ignore", "lm_head"]
    run_tool(MANTISSA, "quantize", source, *words, "-o", ours)
    theirs = reference(source, Float8WeightOnlyConfig(), scratch / "plain_ref")
    model = compare_runs(ours, theirs)
    kinds = classes(model)
    assert all(kinds[n] == "Tensor" for n in kinds if ".experts." in n)
    check_unflatten(ours)
    print(f"{family} float8 with kept experts: loads, logits equal")


def judge_int8(family, source, scratch):
    out = scratch / "int8"
    words = [source, "-c", "int8_weight_only"]
    said = run_tool(MANTISSA, "plan", *words)
    assert "Int8Tensor (experts): loads in" in said, said
    assert "runs on nothing" in said, said
    run_tool(MANTISSA, "quantize", *words, "-o", out)
    model = load(out)
    kinds = classes(model)
    assert all(kinds[n] == "Int8Tensor" for n in kinds if ".experts." in n)
    try:
        logits(model)
    except NotImplementedError as refusal:
        assert "transpose" in str(refusal), refusal
    else:
        raise AssertionError("int8 experts run: plan says that they do not")
    expected = reference(
        source,
        FqnToConfig({EXPERTS: Int8WeightOnlyConfig(),
                     "_default": Int8WeightOnlyConfig()}),
        scratch / "int8_ref",
        modules_to_not_convert=[],
    )
    compare_files(out, expected, loading_key)
    print(f"{family} int8: plan says that it loads and does not run; it does so")


def main():
    for family, fields in FAMILIES.items():
        with tempfile.TemporaryDirectory() as scratch:
            scratch = Path(scratch)
            source = save(tiny_model(family, **fields), scratch / "source")
            stored = load_file(source / "model.safetensors")
            assert any(".experts.0." in name for name in stored), "not fused"
            judge_float8(family, source, scratch)
            judge_kept_experts(family, source, scratch)
            judge_int8(family, source, scratch)


main()
