"""Compares config JSON and name rules with torchao and Transformers.

usage: configs_judge.py PROBE
"""

import importlib
import json
import random
import subprocess
import sys
import tempfile
import types
import warnings
from collections import OrderedDict

warnings.filterwarnings("ignore")

import torch
from torch import nn
from torchao.core.config import config_from_dict, config_to_dict
from torchao.float8.inference import Float8MMConfig
from torchao.quantization import (
    FqnToConfig,
    Float8DynamicActivationFloat8WeightConfig,
    Float8DynamicActivationInt4WeightConfig,
    Float8WeightOnlyConfig,
    Int4WeightOnlyConfig,
    Int8DynamicActivationInt8WeightConfig,
    Int8DynamicActivationIntxWeightConfig,
    Int8StaticActivationInt8WeightConfig,
    Int8WeightOnlyConfig,
    IntxWeightOnlyConfig,
    MappingType,
    PerAxis,
    PerGroup,
    PerRow,
    PerTensor,
    quantize_,
)
from torchao.quantization import quant_api
from torchao.quantization.granularity import PerBlock
from torchao.quantization.quantize_.common import KernelPreference
from torchao.quantization.quantize_.common.quantization_step import (
    QuantizationStep,
)
from torchao.quantization.quantize_.workflows import (
    Float8PackingFormat,
    Int4ChooseQParamsAlgorithm,
    Int4PackingFormat,
    IntxChooseQParamsAlgorithm,
    IntxPackingFormat,
)


def attribute(module, name):
    return getattr(importlib.import_module("torchao." + module), name)


class Probe:
    def __init__(self, path):
        self.process = subprocess.Popen(
            [path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def ask(self, **request):
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())


def ordered(value):
    """Objects as lists of pairs, so that key order counts."""
    if isinstance(value, dict):
        return [(key, ordered(item)) for key, item in value.items()]
    if isinstance(value, list):
        return [ordered(item) for item in value]
    return value


# Classes outside the allow-list of config_from_dict: torchao cannot read them,
# nor any config that holds a QuantizationStep.
UNREADABLE = {
    "NF4WeightOnlyConfig",
    "PrototypeInt4WeightOnlyConfig",
    "Int8DynamicActivationInt4WeightConfig",
    "Float8DynamicActivationFloat8WeightOpaqueTensorConfig",
    "GroupwiseLutWeightConfig",
    "CodebookWeightOnlyConfig",
    "GPTQConfig",
}


def opaque(**fields):
    return attribute(
        "prototype.float8_opaque_tensor",
        "Float8DynamicActivationFloat8WeightOpaqueTensorConfig",
    )(**fields)


def python_configs():
    """(name, config): defaults and other values of every class."""
    prototype = "prototype.quantization"
    uintx = attribute(prototype, "UIntxWeightOnlyConfig")
    uintx_dynamic = attribute(
        prototype, "Int8DynamicActivationUIntxWeightConfig"
    )
    static8 = attribute(
        prototype + ".quant_api", "Float8StaticActivationFloat8WeightConfig"
    )
    int4 = prototype + ".int4"
    proto4 = attribute(int4, "PrototypeInt4WeightOnlyConfig")
    da8w4 = attribute(int4, "Int8DynamicActivationInt4WeightConfig")
    mx_module = "prototype.mx_formats"
    mx = attribute(mx_module, "MXDynamicActivationMXWeightConfig")
    nvfp4 = attribute(mx_module, "NVFP4DynamicActivationNVFP4WeightConfig")
    nvfp4_weight = attribute(mx_module, "NVFP4WeightOnlyConfig")
    nf4 = attribute("prototype._nf4tensor_api", "NF4WeightOnlyConfig")
    gguf = attribute(prototype, "GGUFWeightOnlyConfig")
    codebook = attribute(
        prototype + ".codebook.codebook_quantized_tensor",
        "CodebookWeightOnlyConfig",
    )
    coreml = attribute(
        prototype + ".codebook_coreml.api", "CodebookWeightOnlyConfig"
    )
    lut = attribute(
        prototype + ".codebook_groupwise.api", "GroupwiseLutWeightConfig"
    )
    stretched = attribute("prototype.parq", "StretchedIntxWeightConfig")
    awq = attribute("prototype.awq", "AWQConfig")
    smooth = attribute("prototype.smoothquant", "SmoothQuantConfig")
    gptq = attribute("prototype.gptq", "GPTQConfig")
    blocks = [PerBlock([1, 128]), PerBlock([128, 128])]
    f8 = torch.float8_e5m2
    yield Int8WeightOnlyConfig()
    for granularity in (PerTensor(), PerGroup(64), PerRow(0)):
        yield Int8WeightOnlyConfig(granularity=granularity)
    yield Int8WeightOnlyConfig(set_inductor_config=False)
    yield Int8DynamicActivationInt8WeightConfig()
    yield Int8DynamicActivationInt8WeightConfig(
        act_mapping_type=MappingType.ASYMMETRIC,
        granularity=[PerTensor(), PerRow()],
        reduce_range=True,
        weight_only_decode=True,
    )
    yield Int8DynamicActivationInt8WeightConfig(
        granularity=None, reduce_range=None
    )
    yield Int8StaticActivationInt8WeightConfig()
    yield Int8StaticActivationInt8WeightConfig(granularity=PerTensor())
    yield Int4WeightOnlyConfig()
    for packing in Int4PackingFormat:
        yield Int4WeightOnlyConfig(group_size=32, int4_packing_format=packing)
        yield Int4WeightOnlyConfig(int4_packing_format=packing.value)
    yield Int4WeightOnlyConfig(
        int4_choose_qparams_algorithm=Int4ChooseQParamsAlgorithm.HQQ,
        int4_packing_format="tile_packed_to_4d",
        int4_tile_packed_ntile=16,
    )
    yield Int4WeightOnlyConfig(int4_choose_qparams_algorithm="hqq")
    yield IntxWeightOnlyConfig()
    yield Int8DynamicActivationIntxWeightConfig()
    for bits in range(1, 9):
        yield IntxWeightOnlyConfig(
            weight_dtype=getattr(torch, f"int{bits}"),
            granularity=PerGroup(16 * bits),
            mapping_type=list(MappingType)[bits % 3],
            scale_dtype=(None, torch.float32, torch.float16)[bits % 3],
        )
    for packing in IntxPackingFormat:
        yield IntxWeightOnlyConfig(intx_packing_format=packing)
        yield Int8DynamicActivationIntxWeightConfig(
            intx_packing_format=packing.value
        )
    yield Int8DynamicActivationIntxWeightConfig(
        weight_dtype=torch.int4,
        weight_granularity=PerAxis(0),
        weight_mapping_type=MappingType.ASYMMETRIC,
        weight_scale_dtype=torch.bfloat16,
        act_mapping_type=MappingType.SYMMETRIC,
        intx_choose_qparams_algorithm=IntxChooseQParamsAlgorithm.HQQ_SCALE_ONLY,
    )
    yield Float8WeightOnlyConfig()
    for granularity in (PerTensor(), PerRow(), PerGroup(128)):
        yield Float8WeightOnlyConfig(weight_dtype=f8, granularity=granularity)
    yield Float8DynamicActivationFloat8WeightConfig()
    for granularity in (PerRow(), [PerTensor(), PerTensor()], blocks):
        yield Float8DynamicActivationFloat8WeightConfig(granularity=granularity)
    for packing in Float8PackingFormat:
        yield Float8DynamicActivationFloat8WeightConfig(
            packing_format=packing, alg_id=3
        )
    for preference in KernelPreference:
        yield Float8DynamicActivationFloat8WeightConfig(
            activation_dtype=f8,
            weight_dtype=f8,
            mm_config=Float8MMConfig(pad_inner_dim=True),
            activation_value_lb=0.5,
            activation_value_ub=1.25e-3,
            kernel_preference=preference,
        )
    yield Float8DynamicActivationInt4WeightConfig()
    yield Float8DynamicActivationInt4WeightConfig("plain")
    yield Float8DynamicActivationInt4WeightConfig(Int4PackingFormat.PLAIN)
    yield static8()
    yield static8(step="prepare")
    yield static8(step=QuantizationStep.CONVERT, granularity=PerTensor())
    yield static8(quantize_and_dequantize_output=True)
    for cls in (uintx, uintx_dynamic):
        yield cls()
        yield cls(group_size=None, bit_width=8, packing_bitwidth=32)
    yield proto4()
    yield proto4(32, Int4ChooseQParamsAlgorithm.HQQ, False)
    yield da8w4()
    yield da8w4(64, MappingType.SYMMETRIC, False)
    yield opaque()
    yield opaque(granularity=PerRow())
    yield opaque(granularity=[PerGroup(32), PerGroup(32)])
    yield nf4()
    yield gguf()
    yield gguf(torch.uint3, 4)
    yield codebook(torch.uint8, [1, 4], 32)
    yield coreml(torch.uint4, [2, -1])
    yield lut()
    yield lut(
        code_dtype=torch.int3,
        weight_dtype=torch.bfloat16,
        backend="coreml",
        lut_block_shape=[-1, 64],
        scale_block_shape=[4, -1],
        target="aten",
        cache_dir="cache",
        use_qdq_reference=True,
    )
    yield stretched()
    yield stretched(PerGroup(32), torch.float32, 2, 3, -4, 3, None)
    for step in ("prepare", QuantizationStep.CONVERT):
        yield awq(Int4WeightOnlyConfig(32), step, 7)
        yield smooth(Int8DynamicActivationInt8WeightConfig(), step, None, True)
    yield smooth(
        Int8DynamicActivationInt8WeightConfig(),
        QuantizationStep.PREPARE_FOR_SMOOTHQUANT_SMOOTHING_FACTOR,
        0.25,
    )
    yield gptq(base_config=Int8WeightOnlyConfig())
    yield gptq("convert", Int8WeightOnlyConfig(), 0.1, 128)
    yield mx()
    yield mx(
        activation_dtype=torch.float4_e2m1fn_x2,
        weight_dtype=torch.float4_e2m1fn_x2,
        kernel_preference=KernelPreference.EMULATED,
    )
    yield nvfp4()
    yield nvfp4(False, False)
    yield nvfp4(step="convert")
    yield nvfp4_weight()
    yield nvfp4_weight(False)
    yield FqnToConfig()
    yield FqnToConfig(
        OrderedDict(
            [
                ("z.weight", None),
                (r"re:model\.layers\.[0-9]+\.mlp.*", Int8WeightOnlyConfig()),
                ("a", IntxWeightOnlyConfig(granularity=PerGroup(32))),
                ("_default", Float8WeightOnlyConfig()),
            ]
        )
    )


def judge_json(probe):
    seen = set()
    compared = read_back = 0
    for config in python_configs():
        name = type(config).__name__
        theirs = config_to_dict(config)
        answer = probe.ask(op="read", config=theirs)
        assert "error" not in answer, (name, answer)
        assert answer["warnings"] == [], (name, answer["warnings"])
        ours = answer["config"]
        assert ordered(ours) == ordered(theirs), (name, ours, theirs)
        compared += 1
        seen.add(name)
        if name in UNREADABLE or '"QuantizationStep"' in json.dumps(ours):
            try:
                config_from_dict(ours)
            except (ValueError, TypeError):
                continue
            raise AssertionError(f"{name} is no exemption any more")
        again = config_to_dict(config_from_dict(ours))
        assert again == theirs, (name, again, theirs)
        read_back += 1
    known = {row["type"] for row in probe.ask(op="defaults")}
    assert seen == known, seen ^ known
    print(
        f"json: {compared} configs of {len(seen)} classes equal, "
        f"{read_back} read back by torchao"
    )


# Classes whose constructor needs arguments have no default to compare.
NO_DEFAULT = {"AWQConfig", "SmoothQuantConfig", "GPTQConfig"}


def judge_defaults(probe):
    theirs = {}
    for config in python_configs():
        theirs.setdefault(type(config).__name__, config_to_dict(config))
    count = 0
    for row in probe.ask(op="defaults"):
        name = row["type"]
        if name in NO_DEFAULT or name == "CodebookWeightOnlyConfig":
            continue
        assert ordered(row["config"]) == ordered(theirs[name]), name
        words = probe.ask(op="words", text=row["short_name"])
        if name != "FqnToConfig":
            assert words["config"] == theirs[name], (name, words)
        count += 1
    print(f"defaults: {count} classes equal, as built here and by words")


def judge_words(probe):
    table = {
        "intx_weight_only:weight_dtype=int4,granularity=per_group(32)": (
            IntxWeightOnlyConfig(
                weight_dtype=torch.int4, granularity=PerGroup(32)
            )
        ),
        "Int8WeightOnly:granularity=PerTensor": Int8WeightOnlyConfig(
            granularity=PerTensor()
        ),
        "float8_dynamic_activation_float8_weight:granularity=per_row,"
        "activation_value_ub=12.5,kernel_preference=torch": (
            Float8DynamicActivationFloat8WeightConfig(
                granularity=PerRow(),
                activation_value_ub=12.5,
                kernel_preference=KernelPreference.TORCH,
            )
        ),
        "int8_dynamic_activation_int8_weight:granularity=[per_tensor,per_row]"
        ",act_mapping_type=uneven": None,
        **{
            "int8_dynamic_activation_int8_weight:granularity=[per_tensor,per_row]"
            f",act_mapping_type={word}": Int8DynamicActivationInt8WeightConfig(
                granularity=[PerTensor(), PerRow()],
                act_mapping_type=MappingType.ASYMMETRIC,
            )
            for word in ("ASYMMETRIC", "asymmetric")
        },
        "float8_dynamic_activation_int4_weight:int4_packing_format=plain": (
            Float8DynamicActivationInt4WeightConfig("plain")
        ),
        "int4_weight_only:int4_packing_format=tile_packed_to_4d,group_size=64"
        ",int4_choose_qparams_algorithm=hqq": Int4WeightOnlyConfig(
            64,
            int4_packing_format=Int4PackingFormat.TILE_PACKED_TO_4D,
            int4_choose_qparams_algorithm=Int4ChooseQParamsAlgorithm.HQQ,
        ),
    }
    for text, config in table.items():
        answer = probe.ask(op="words", text=text)
        if config is None:
            assert "error" in answer, text
        else:
            assert answer["config"] == config_to_dict(config), (text, answer)
            config_from_dict(answer["config"])
    print(f"words: {len(table)} lines equal")


def judge_removed(probe):
    """Names that we call removed are not importable from torchao."""
    names = [
        "Float8DynamicActivationFloat8SemiSparseWeightConfig",
        "GemliteUIntXWeightOnlyConfig",
        "UIntXWeightOnlyConfig",
        "FPXWeightOnlyConfig",
        "Int4DynamicActivationInt4WeightConfig",
    ]
    for name in names:
        config = {"_type": name, "_version": 1, "_data": {}}
        assert "was removed" in probe.ask(op="read", config=config)["error"]
        try:
            config_from_dict(config)
        except ValueError:
            continue
        raise AssertionError(f"torchao still has {name}")
    print(f"removed: {len(names)} names refused by both")


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.q = nn.Linear(32, 32, bias=False)
        self.up = nn.Linear(32, 32, bias=False)


class Experts(nn.Module):
    def __init__(self):
        super().__init__()
        self.gate = nn.Parameter(torch.randn(32, 32))
        self.down = nn.Parameter(torch.randn(32, 32))


class Toy(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(8, 32)
        self.layers = nn.ModuleList([Block(), Block()])
        self.experts = Experts()
        self.norm = nn.LayerNorm(32, elementwise_affine=True, bias=False)
        self.head = nn.Linear(32, 32, bias=False)

    def get_input_embeddings(self):
        return self.embed


KEYS = [
    "layers.0.q",
    "layers.0.q.weight",
    "layers.1.up",
    "layers.1.up.weight",
    "head",
    "head.weight",
    "experts.gate",
    "experts.down",
    r"re:layers\.[01]\.q",
    r"re:.*\.up",
    r"re:layers\.1.*",
    r"re:(layers|head).*weight",
    r"re:experts\..*",
    r"re:he.d",
    r"re:(layers\.0|head).*",
    r"re:experts\.(gate|down)",
    r"re:[f-h].*\.weight",
]
CONFIGS = [
    None,
    Int8WeightOnlyConfig(set_inductor_config=False),
    IntxWeightOnlyConfig(granularity=PerGroup(32)),
    Float8WeightOnlyConfig(set_inductor_config=False),
]
# What a weight becomes under each config: enough to tell them apart.
CLASSES = ["Parameter", "Int8Tensor", "IntxUnpackedToInt8Tensor", "Float8Tensor"]


def random_rules(rng):
    keys = rng.sample(KEYS, rng.randint(1, 5))
    if rng.random() < 0.4:
        keys.append("_default")
    return OrderedDict((key, rng.choice(CONFIGS)) for key in keys)


def full(key, name):
    import re

    return key.startswith("re:") and re.fullmatch(key[3:], name) is not None


def torchao_is_sound(rules, names):
    """False where torchao's handler is known to be wrong or cannot answer."""
    patterns = [key for key in rules if key.startswith("re:")]
    for name in names:
        module, leaf = name.rsplit(".", 1)
        own = [key for key in patterns if full(key, name)]
        if len(own) > 1:
            return False  # every match is applied, or a null does not stop it
        if name in rules and (own or rules[name] is None):
            return False  # quantized twice; a null shields the whole module
        if leaf != "weight" and (
            module in rules or any(full(key, module) for key in patterns)
        ):
            return False  # a module key asks for a weight that is not there
        if own and not isinstance(module_of(name), nn.Linear):
            if leaf == "weight":
                return False  # embeddings and norms: not what is compared
    for name, module in SHAPES.named_modules():
        if not isinstance(getattr(module, "weight", None), nn.Parameter) and any(
            rules[key] is not None
            for key in rules
            if key == name or full(key, name)
        ):
            return False  # a config for a module without a weight
    # A parameter rule takes the module out of the later steps, for all of its
    # parameters: keep modules with several parameters free of mixtures.
    gate, down = ("experts.gate" in rules, "experts.down" in rules)
    regex = any(
        full(key, "experts.gate") or full(key, "experts.down")
        for key in patterns
    )
    return not ((gate or down) and regex)


SHAPES = Toy()


def module_of(name):
    return SHAPES.get_submodule(name.rsplit(".", 1)[0])


def judge_fqn(probe):
    rng = random.Random(4)
    names = [name for name, _ in SHAPES.named_parameters()]
    compared = skipped = quantized = 0
    while compared < 150:
        rules = random_rules(rng)
        if not torchao_is_sound(rules, names):
            skipped += 1
            continue
        config = FqnToConfig(rules)
        model = Toy()
        quantize_(model, config, filter_fn=None)
        answer = probe.ask(
            op="decide", config=config_to_dict(config), names=names
        )
        for name, parts in zip(names, answer, strict=True):
            ours = parts["ours"]
            module, leaf = name.rsplit(".", 1)
            linear = isinstance(module_of(name), nn.Linear)
            applies = ours["own"] or (
                leaf == "weight"
                and (linear or any(full(k, module) for k in rules))
            )
            index = 0
            if applies and ours["config"] is not None:
                index = [
                    config_to_dict(c) if c else None for c in CONFIGS
                ].index(ours["config"])
            got = type(model.get_parameter(name).data).__name__
            if got == "Tensor":
                got = "Parameter"
            assert got == CLASSES[index], (rules, name, got, CLASSES[index])
            quantized += index != 0
        compared += 1
    assert quantized > 100
    print(
        f"FqnToConfig: {compared} random rule sets x {len(names)} parameters "
        f"as torchao's handler, {quantized} quantized; {skipped} sets left "
        "out that meet its known errors"
    )


def judge_transformers(probe):
    from transformers.integrations.torchao import TorchAoQuantize

    taken = []

    class Recorder(TorchAoQuantize):
        def _quantize(self, module, config, *args, **kwargs):
            taken.append(config)

    def choice(config, model, name):
        quantizer = types.SimpleNamespace(
            offload_to_cpu=False,
            quantization_config=types.SimpleNamespace(
                untie_embedding_weights=False,
                get_apply_tensor_subclass=lambda: config,
            ),
        )
        taken.clear()
        value = model.get_parameter(name)
        Recorder(quantizer).convert(
            {"weight": [value]}, model, name, missing_keys=set()
        )
        if not taken:
            return None
        chosen = taken[0]
        if isinstance(chosen, FqnToConfig):
            (chosen,) = chosen.fqn_to_config.values()
        return config_to_dict(chosen)

    rng = random.Random(5)
    names = [name for name, _ in SHAPES.named_parameters()]
    count = differ = 0
    for _ in range(300):
        rules = random_rules(rng)
        config = FqnToConfig(rules)
        by_key = FqnToConfig(OrderedDict(sorted(rules.items())))
        answer = probe.ask(
            op="decide", config=config_to_dict(config), names=names
        )
        for name, parts in zip(names, answer, strict=True):
            theirs = choice(config, SHAPES, name)
            assert theirs == parts["transformers"]["config"], (rules, name)
            assert choice(by_key, SHAPES, name) == parts["sorted"]["config"]
            count += 1
            differ += parts["ours"]["config"] != theirs
    assert differ > 0
    print(
        f"Transformers: {count} decisions equal in written and in sorted "
        f"order; {differ} of them differ from FqnToConfig's own"
    )


def cpu_configs():
    """Configs whose weight torchao can build on a CPU."""
    for granularity in (PerRow(), PerTensor(), PerGroup(32)):
        yield Int8WeightOnlyConfig(granularity=granularity)
    yield Int8DynamicActivationInt8WeightConfig()
    yield Int8DynamicActivationInt8WeightConfig(
        act_mapping_type=MappingType.ASYMMETRIC,
        granularity=[PerTensor(), PerRow()],
        reduce_range=True,
    )
    for bits in (1, 3, 4, 8):
        for mapping in (MappingType.SYMMETRIC, MappingType.ASYMMETRIC):
            yield IntxWeightOnlyConfig(
                weight_dtype=getattr(torch, f"int{bits}"),
                granularity=PerGroup(32),
                mapping_type=mapping,
            )
    yield IntxWeightOnlyConfig(scale_dtype=torch.float16)
    yield Int8DynamicActivationIntxWeightConfig(
        weight_dtype=torch.int4, weight_scale_dtype=torch.float32
    )
    yield Int8DynamicActivationIntxWeightConfig(weight_granularity=PerAxis(0))
    for granularity in (PerTensor(), PerRow(), PerGroup(32)):
        for dtype in (torch.float8_e4m3fn, torch.float8_e5m2):
            yield Float8WeightOnlyConfig(
                weight_dtype=dtype, granularity=granularity
            )
    yield Float8DynamicActivationFloat8WeightConfig()
    yield Float8DynamicActivationFloat8WeightConfig(
        granularity=PerRow(),
        activation_value_lb=0.5,
        activation_value_ub=12.5,
        kernel_preference=KernelPreference.TORCH,
    )


def takes(config, dtype):
    """False for what torchao asserts against and we refuse."""
    return (
        dtype == torch.bfloat16
        or not isinstance(config, Float8DynamicActivationFloat8WeightConfig)
        or isinstance(config.granularity[0], PerTensor)
    )


def judge_weights(probe):
    """quantize_ with a config against choose() and encode() with its JSON."""
    from safetensors.torch import load_file, save_file
    from torchao.prototype.safetensors.safetensors_support import (
        flatten_tensor_state_dict,
    )

    # torchao asks for a GPU before it builds a dynamic float8 weight.
    quant_api._check_hardware_support = lambda granularities: None
    count = fields = refused = 0
    with tempfile.TemporaryDirectory() as folder:
        source, target = folder + "/in.safetensors", folder + "/out.safetensors"
        for dtype in (torch.bfloat16, torch.float16, torch.float32):
            for config in cpu_configs():
                weight = torch.randn(48, 160).to(dtype)
                weight[5, 7] = 300
                if "Float8" not in type(config).__name__:
                    weight[3] = 0  # NaN in torchao's float8
                save_file({"weight": weight}, source)
                if not takes(config, dtype):
                    answer = probe.ask(
                        op="encode",
                        config=config_to_dict(config),
                        to=target,
                        **{"from": source},
                    )
                    assert "bfloat16" in answer["refusal"], answer
                    refused += 1
                    continue
                model = nn.Sequential(nn.Linear(160, 48, bias=False))
                model[0].weight = nn.Parameter(weight.clone())
                quantize_(model, config)
                tensors, metadata = flatten_tensor_state_dict(
                    model.state_dict()
                )
                entry = json.loads(metadata["0.weight"])
                answer = probe.ask(
                    op="encode",
                    config=config_to_dict(config),
                    to=target,
                    **{"from": source},
                )
                assert answer.get("format") == entry["_type"], (config, answer)
                assert ordered(answer["attributes"]) == ordered(
                    entry["_data"]
                ), (config, answer, entry)
                ours = load_file(target)
                assert len(ours) == len(tensors)
                for name, value in ours.items():
                    theirs = tensors["0._weight_" + name]
                    assert value.dtype == theirs.dtype, (config, name)
                    assert value.shape == theirs.shape, (config, name)
                    assert torch.equal(
                        value.contiguous().view(torch.uint8),
                        theirs.contiguous().view(torch.uint8),
                    ), (config, dtype, name)
                    fields += 1
                count += 1
    print(
        f"weights: {count} quantized weights, {fields} fields byte-equal, "
        f"{refused} refused as torchao does"
    )


def main():
    torch.manual_seed(0)
    probe = Probe(sys.argv[1])
    judge_json(probe)
    judge_defaults(probe)
    judge_words(probe)
    judge_removed(probe)
    judge_weights(probe)
    judge_fqn(probe)
    judge_transformers(probe)


if __name__ == "__main__":
    main()
