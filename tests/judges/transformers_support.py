"""What the judges of directories share: tiny models, references, comparisons.

A reference directory is what Transformers and torchao write from the same
model. `compare_files` compares bytes and metadata of two directories,
`compare_runs` loads both and compares classes and logits.
"""

import json
import logging
import os
import subprocess
import warnings
from pathlib import Path

# Before the imports that read it.
os.environ.setdefault("TQDM_DISABLE", "1")

import torch
import transformers
from safetensors import safe_open
from torchao.core.config import config_from_dict, config_to_dict
from torchao.prototype.safetensors.safetensors_support import (
    unflatten_tensor_state_dict,
)
from transformers import TorchAoConfig
from transformers.utils import logging as hf_logging

warnings.filterwarnings("ignore", message=".*_default is deprecated.*")
hf_logging.disable_progress_bar()
hf_logging.set_verbosity_warning()


class _Warnings(logging.Handler):
    """Collects what Transformers warns about while it loads."""

    def __init__(self):
        super().__init__(logging.WARNING)
        self.lines = []

    def emit(self, record):
        self.lines.append(record.getMessage())


TINY = dict(
    vocab_size=96,
    hidden_size=64,
    intermediate_size=128,
    num_hidden_layers=2,
    num_attention_heads=4,
    num_key_value_heads=2,
    max_position_embeddings=64,
)


def tiny_model(family="Llama", dtype=torch.bfloat16, config=None, **fields):
    """A random model whose logits depend on every weight.

    `config` names the config class where it is not called as the family."""
    torch.manual_seed(1)
    config = getattr(transformers, (config or family) + "Config")
    config = config(**{**TINY, **fields})
    model = getattr(transformers, family + "ForCausalLM")(config)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            spread = torch.randn(parameter.shape)
            norm = name.endswith("norm.weight")
            parameter.copy_(1 + spread / 4 if norm else spread / 8)
    return model.to(dtype).eval()


def save(model, directory):
    model.save_pretrained(directory)
    return Path(directory)


def run_tool(binary, *args, expect=0):
    """Runs the tool and returns its output; any other exit code is a failure."""
    done = subprocess.run(
        [str(binary), *map(str, args)], capture_output=True, text=True
    )
    assert done.returncode == expect, (
        f"{args}: exit {done.returncode}, expected {expect}\n"
        f"{done.stdout}\n{done.stderr}"
    )
    return done.stdout + done.stderr


def write_config(config, path):
    path.write_text(json.dumps(config_to_dict(config)))
    return path


def reference(source, config, out, auto=transformers.AutoModelForCausalLM, **fields):
    """The directory that Transformers and torchao write from `source`."""
    model = auto.from_pretrained(
        source, quantization_config=TorchAoConfig(config, **fields)
    )
    return save(model.eval(), out)


def load(directory, auto=transformers.AutoModelForCausalLM):
    """Loads a directory; a missing or unexpected key or a report fails."""
    caught = _Warnings()
    root = logging.getLogger("transformers")
    root.addHandler(caught)
    try:
        model, info = auto.from_pretrained(directory, output_loading_info=True)
    finally:
        root.removeHandler(caught)
    left = {key: value for key, value in info.items() if value}
    assert not left, (str(directory), left)
    assert not caught.lines, (str(directory), caught.lines)
    return model.eval()


def classes(model):
    """Parameter name -> class of its tensor."""
    out = {}
    for name, value in model.named_parameters(remove_duplicate=False):
        kind = type(value).__name__
        out[name] = "Tensor" if kind == "Parameter" else kind
    return out


def logits(model, length=12):
    ids = torch.arange(length).reshape(1, length) % model.config.vocab_size
    with torch.no_grad():
        return model(ids).logits


def read_files(directory):
    """All tensors and the metadata of a directory; shards must agree on it."""
    tensors, metadata = {}, None
    files = sorted(Path(directory).glob("*.safetensors"))
    assert files, directory
    for path in files:
        with safe_open(path, "pt") as file:
            if metadata is not None:
                assert file.metadata() == metadata, f"{path}: other metadata"
            metadata = file.metadata()
            for key in file.keys():
                assert key not in tensors, f"{path}: {key} twice"
                tensors[key] = file.get_tensor(key)
    return tensors, metadata


def parsed(metadata):
    """Metadata as a map; the list of names has no order that matters."""
    out = {}
    for key, value in metadata.items():
        if key == "mantissa":
            assert isinstance(json.loads(value), dict)
        elif key == "tensor_names":
            out[key] = sorted(json.loads(value))
        elif key == "format":
            out[key] = value
        else:
            out[key] = json.loads(value)
    return out


def same_bytes(ours, theirs):
    if ours.dtype != theirs.dtype or ours.shape != theirs.shape:
        return False
    if not ours.numel():
        return True
    as_bytes = [t.contiguous().reshape(-1).view(torch.uint8) for t in (ours, theirs)]
    return torch.equal(*as_bytes)


def compare_tensors(ours, theirs):
    assert set(ours) == set(theirs), set(ours) ^ set(theirs)
    for name, tensor in ours.items():
        other = theirs[name]
        assert same_bytes(tensor, other), (
            f"{name}: {tensor.dtype} {list(tensor.shape)} against "
            f"{other.dtype} {list(other.shape)}"
        )
    return len(ours)


def quantization_config(directory):
    config = json.loads((Path(directory) / "config.json").read_text())
    return config["quantization_config"]


def compare_files(ours, theirs, rename=lambda key: key, extra=()):
    """Tensors and metadata are those of the reference, plus `extra` names."""
    tensors, metadata = read_files(ours)
    expected, expected_metadata = read_files(theirs)
    expected = {rename(key): value for key, value in expected.items()}
    left, right = parsed(metadata), parsed(expected_metadata)
    for name in extra:
        del tensors[name]
        assert left.pop(name) == {"_type": "Tensor"}
        left["tensor_names"].remove(name)
    count = compare_tensors(tensors, expected)
    assert left.keys() == right.keys(), left.keys() ^ right.keys()
    for key in left:
        assert left[key] == right[key], (key, left[key], right[key])
    return count


def compare_configs(ours, theirs):
    left, right = quantization_config(ours), quantization_config(theirs)
    assert left == right, (json.dumps(left), json.dumps(right))
    config_from_dict(left["quant_type"]["default"])


def check_unflatten(directory):
    """torchao's own reader takes every tensor and leaves nothing over."""
    tensors, metadata = read_files(directory)
    state, left = unflatten_tensor_state_dict(tensors, metadata)
    assert not left, list(left)
    return state


def compare_runs(ours, theirs, auto=transformers.AutoModelForCausalLM):
    """Both load cleanly into the same classes with the same logits."""
    left, right = load(ours, auto), load(theirs, auto)
    assert classes(left) == classes(right), (classes(left), classes(right))
    a, b = logits(left), logits(right)
    assert torch.isfinite(a).all() and torch.equal(a, b), (a - b).abs().max()
    return left
