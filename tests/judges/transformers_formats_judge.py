"""Quantizes a tiny Llama with the tool and with Transformers + torchao.

For each config: bytes of every tensor, metadata, quantization_config, classes
and logits of the tool's directory equal those of the reference directory.

usage: transformers_formats_judge.py MANTISSA
"""

import json
import shutil
import sys
import tempfile
from pathlib import Path

import torch
from torchao.quantization import (
    Float8WeightOnlyConfig,
    FqnToConfig,
    Int8DynamicActivationInt8WeightConfig,
    Int8DynamicActivationIntxWeightConfig,
    Int8WeightOnlyConfig,
    IntxWeightOnlyConfig,
    PerGroup,
    PerRow,
    PerTensor,
    quantize_,
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
    quantization_config,
    read_files,
    reference,
    run_tool,
    same_bytes,
    save,
    tiny_model,
    write_config,
)

MANTISSA = sys.argv[1]
INT4 = IntxWeightOnlyConfig(
    weight_dtype=torch.int4, granularity=PerGroup(32)
)
# Config, and how the tool's own words spell it.
CONFIGS = {
    "int8": (Int8WeightOnlyConfig(), ["-c", "int8_weight_only"]),
    "int8_dynamic": (
        Int8DynamicActivationInt8WeightConfig(),
        ["-c", "int8_dynamic_activation_int8_weight"],
    ),
    "intx_int4_g32": (
        INT4,
        ["-c", "intx_weight_only:weight_dtype=int4", "--group-size", "32"],
    ),
    "int8_dynamic_intx4_g32": (
        Int8DynamicActivationIntxWeightConfig(
            weight_dtype=torch.int4, weight_granularity=PerGroup(32)
        ),
        [
            "-c",
            "int8_dynamic_activation_intx_weight:weight_dtype=int4",
            "--group-size",
            "32",
        ],
    ),
    "float8_row": (
        Float8WeightOnlyConfig(granularity=PerRow()),
        ["-c", "float8_weight_only"],
    ),
    "float8_tensor": (
        Float8WeightOnlyConfig(granularity=PerTensor()),
        None,
    ),
    "int8_g32": (
        Int8WeightOnlyConfig(granularity=PerGroup(32)),
        None,
    ),
    "fqn": (
        FqnToConfig(
            {
                "model.layers.0.self_attn.q_proj": None,
                "model.layers.1.mlp.down_proj": Float8WeightOnlyConfig(),
                r"re:model\.layers\.[0-9]+\.mlp\..*": INT4,
                "_default": Int8WeightOnlyConfig(),
            }
        ),
        None,
    ),
}


def judge_config(name, source, scratch):
    config, words = CONFIGS[name]
    theirs = reference(source, config, scratch / "theirs")
    config_file = write_config(config, scratch / "config.json")
    ours = scratch / "ours"
    run_tool(MANTISSA, "quantize", source, "-c", config_file, "-o", ours)
    count = compare_files(ours, theirs)
    compare_configs(ours, theirs)
    check_unflatten(ours)
    model = compare_runs(ours, theirs)
    kinds = sorted(set(classes(model).values()) - {"Tensor"})
    if words:
        spelled = scratch / "spelled"
        run_tool(MANTISSA, "quantize", source, *words, "-o", spelled)
        same_directory(ours, spelled)
    print(f"{name}: {count} tensors, metadata, config, logits equal; {kinds}")


def same_directory(left, right):
    """The same weights and config, however the config was spelled."""
    compare_tensors(read_files(left)[0], read_files(right)[0])
    compare_configs(left, right)


def judge_ignore(source, scratch):
    """--ignore and --tensor-type become rules that the reference shares."""
    config = FqnToConfig(
        {
            "model.layers.0.mlp.up_proj": None,
            r"re:.*o_proj.*": Float8WeightOnlyConfig(),
            "_default": Int8WeightOnlyConfig(),
        }
    )
    theirs = reference(source, config, scratch / "theirs")
    ours = scratch / "ours"
    run_tool(
        MANTISSA,
        "quantize",
        source,
        "-c",
        "int8_weight_only",
        "--ignore",
        "model.layers.0.mlp.up_proj",
        "--tensor-type",
        "o_proj=float8_weight_only",
        "-o",
        ours,
    )
    compare_files(ours, theirs)
    compare_runs(ours, theirs)
    print("--ignore and --tensor-type: equal to the same rules of FqnToConfig")


def judge_shards(source, scratch):
    """A sharded directory holds and means the same as one file."""
    one, many = scratch / "one", scratch / "many"
    words = ["quantize", source, "-c", "int8_weight_only"]
    run_tool(MANTISSA, *words, "-o", one)
    run_tool(MANTISSA, *words, "--shard-size", "20KB", "-o", many)
    files = sorted(p.name for p in many.glob("*.safetensors"))
    assert len(files) > 3, files
    index = json.loads((many / "model.safetensors.index.json").read_text())
    assert sorted(set(index["weight_map"].values())) == files
    tensors, _ = read_files(many)
    assert set(index["weight_map"]) == set(tensors)
    size = sum(t.numel() * t.element_size() for t in tensors.values())
    assert index["metadata"]["total_size"] == size
    compare_tensors(tensors, read_files(one)[0])
    check_unflatten(many)
    compare_runs(many, one)
    print(f"{len(files)} shards: equal to one file, loads, logits equal")


def judge_untied_head(source, scratch):
    """An untied head is eligible, as in torchao; Transformers must be told."""
    config = Int8WeightOnlyConfig()
    theirs = reference(
        source, config, scratch / "theirs", modules_to_not_convert=[]
    )
    ours = scratch / "ours"
    run_tool(MANTISSA, "quantize", source, "-c", "int8_weight_only", "-o", ours)
    compare_files(ours, theirs)
    model = compare_runs(ours, theirs)
    assert classes(model)["lm_head.weight"] == "Int8Tensor"
    kept = scratch / "kept"
    run_tool(
        MANTISSA,
        "quantize",
        source,
        "-c",
        "int8_weight_only",
        "--ignore",
        "lm_head",
        "-o",
        kept,
    )
    plain = reference(source, config, scratch / "plain")
    compare_files(kept, plain)
    model = compare_runs(kept, plain)
    assert classes(model)["lm_head.weight"] == "Tensor"
    print("untied lm_head: quantized, and kept with --ignore, as references")


def quantized_like_linear(weight, config):
    """A weight as torchao stores it, whatever module holds it."""
    linear = torch.nn.Linear(weight.shape[1], weight.shape[0], bias=False)
    linear.weight = torch.nn.Parameter(weight.detach().clone())
    quantize_(linear, config)
    return linear.weight


def check_fields(directory, name, weight):
    tensors, _ = read_files(directory)
    module = name.removesuffix(".weight")
    for field in ("qdata", "scale", "zero_point"):
        stored = tensors[f"{module}._weight_{field}"]
        assert same_bytes(stored, getattr(weight, field)), (name, field)


def tie_of(directory):
    config = json.loads((directory / "config.json").read_text())
    return config["tie_word_embeddings"]


def judge_rule_on_tied_head(source, model, scratch):
    """A rule on a tied lm_head writes its own copy and ends the tie."""
    ours = scratch / "ours"
    run_tool(
        MANTISSA,
        "quantize",
        source,
        "-c",
        "float8_weight_only",
        "--tensor-type",
        "^lm_head=int8_weight_only",
        "-o",
        ours,
    )
    assert tie_of(ours) is False
    weight = model.get_input_embeddings().weight
    expected = quantized_like_linear(weight, Int8WeightOnlyConfig())
    check_fields(ours, "lm_head.weight", expected)
    assert same_bytes(
        read_files(ours)[0]["model.embed_tokens.weight"], weight.detach()
    )
    check_unflatten(ours)
    # The reference: the same model untied before Transformers quantizes it.
    untied = tiny_model(tie_word_embeddings=False)
    state = model.state_dict()
    untied.load_state_dict({k: v.clone() for k, v in state.items()})
    config = FqnToConfig(
        {
            "lm_head": Int8WeightOnlyConfig(),
            "_default": Float8WeightOnlyConfig(),
        }
    )
    theirs = reference(
        save(untied, scratch / "untied"),
        config,
        scratch / "theirs",
        modules_to_not_convert=[],
    )
    compare_files(ours, theirs)
    compare_runs(ours, theirs)
    print("rule on a tied lm_head: own copy, tie ended, equal to reference")


def judge_rule_on_embedding(source, model, scratch):
    """A rule on the tied embedding quantizes the shared tensor."""
    ours = scratch / "ours"
    run_tool(
        MANTISSA,
        "quantize",
        source,
        "-c",
        "int8_weight_only",
        "--tensor-type",
        "embed_tokens=int8_weight_only",
        "-o",
        ours,
    )
    assert tie_of(ours) is True
    name = "model.embed_tokens.weight"
    expected = quantized_like_linear(
        model.get_input_embeddings().weight, Int8WeightOnlyConfig()
    )
    check_fields(ours, name, expected)
    assert not [k for k in read_files(ours)[0] if k.startswith("lm_head")]
    loaded = load(ours)
    assert classes(loaded)[name] == "Int8Tensor"
    assert loaded.lm_head.weight is loaded.model.embed_tokens.weight
    # The reference: the same model with the dequantized embedding, and every
    # Linear quantized alike. The head multiplies int8 codes, so it is close
    # instead of equal.
    theirs = reference(source, Int8WeightOnlyConfig(), scratch / "theirs")
    plain = load(theirs)
    with torch.no_grad():
        plain.model.embed_tokens.weight.copy_(expected.dequantize())
    a, b = logits(loaded).float(), logits(plain).float()
    error = ((a - b).norm() / b.norm()).item()
    assert error < 2e-2, error
    print(f"rule on the tied embedding: bytes equal, runs, error {error:.1e}")


def main():
    with tempfile.TemporaryDirectory() as scratch:
        scratch = Path(scratch)
        tied_model = tiny_model(tie_word_embeddings=True)
        tied = save(tied_model, scratch / "tied")
        untied = save(
            tiny_model(tie_word_embeddings=False), scratch / "untied_model"
        )
        cases = [
            lambda at, name=name: judge_config(name, tied, at)
            for name in CONFIGS
        ]
        cases += [
            lambda at: judge_ignore(tied, at),
            lambda at: judge_shards(tied, at),
            lambda at: judge_untied_head(untied, at),
            lambda at: judge_rule_on_tied_head(tied, tied_model, at),
            lambda at: judge_rule_on_embedding(tied, tied_model, at),
        ]
        for case in cases:
            at = scratch / "case"
            at.mkdir()
            case(at)
            shutil.rmtree(at)


main()
