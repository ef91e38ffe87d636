"""Sentence embeddings against sentence-transformers, within 1e-5.

MiniLM as it is, and with the other poolings and without normalization, in
batches of sentences of different lengths; token ids are sentence-transformers'
own. Then the tool's `embed`, which reads the sentences itself, special tokens in
them included: on MiniLM's files of 2021, as sentence-transformers writes them
today, and with a prompt that stands before every sentence.

usage: sentence_encoder_judge.py PROBE TOOL MINILM
"""

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy
from sentence_transformers import SentenceTransformer

from models_support import read_floats, run_probe

PROBE, TOOL, MINILM = sys.argv[1:4]
BOUND = 1e-5
SENTENCES = [
    "A cat sits on the mat.",
    "Numerics",
    "Low precision makes large models small: int8, int4, float8 and others.",
    "the quick brown fox " * 90,  # longer than max_seq_length
    "\u00dcber 20 \u20ac kostet das, oder?",
]
# What else a text may hold.
TEXTS = SENTENCES + [
    "The [MASK] sits on the mat.",
    "[CLS] a [SEP] b [UNK][PAD]c[SEP]",
    "x[MASK]y [mask] [ MASK ] [SEP",
    "[PAD]",
    "",
    "  spaces\t around  ",
    "[SEP] " * 300,
]
POOLINGS = ["mean_tokens", "cls_token", "max_tokens", "mean_sqrt_len_tokens"]


def variant(out, pooling, normalize):
    """MiniLM with another modules.json and pooling."""
    out.mkdir()
    for path in Path(MINILM).iterdir():
        if path.name not in ("modules.json", "1_Pooling"):
            (out / path.name).symlink_to(path)
    modules = json.loads((Path(MINILM) / "modules.json").read_text())
    if not normalize:
        modules = modules[:2]
    (out / "modules.json").write_text(json.dumps(modules))
    (out / "1_Pooling").mkdir()
    config = json.loads((Path(MINILM) / "1_Pooling/config.json").read_text())
    for key in config:
        if key.startswith("pooling_mode_"):
            config[key] = key == "pooling_mode_" + pooling
    (out / "1_Pooling/config.json").write_text(json.dumps(config))
    return out


def saved_today(out, **changes):
    """MiniLM as sentence-transformers saves it, a prompt being among changes."""
    model = SentenceTransformer(MINILM, device="cpu", **changes)
    model.max_seq_length = 128
    model.save_pretrained(str(out))
    return out


def check_tool(name, path):
    """`embed` on texts against encode(): same vectors."""
    file = path.parent / "texts.txt"
    file.write_text("".join(text + "\n" for text in TEXTS))
    command = [TOOL, "embed", path, "--file", file]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    ours = numpy.array([json.loads(line) for line in run.stdout.splitlines()])
    expected = SentenceTransformer(str(path), device="cpu").encode(TEXTS)
    assert ours.shape == expected.shape, (name, ours.shape, expected.shape)
    error = numpy.abs(ours - expected).max(axis=1)
    assert error.max() <= BOUND, (name, TEXTS[error.argmax()], error.max())
    print(f"embed, {name}: within {error.max():.1e}")
    return run.stderr


def check_tools(scratch):
    plain = scratch / "plain"
    shutil.copytree(MINILM, plain)
    assert "cut to the 256" in check_tool("files of 2021", plain)
    today = saved_today(scratch / "today")
    assert "cut to the 128" in check_tool("files of today", today)
    prompted = saved_today(
        scratch / "prompted",
        prompts={"query": "Represent [MASK] this: ", "document": ""},
        default_prompt_name="query",
    )
    check_tool("a default prompt", prompted)
    pooling = prompted / "1_Pooling/config.json"
    config = json.loads(pooling.read_text())
    pooling.write_text(json.dumps({**config, "include_prompt": False}))
    run = subprocess.run(
        [TOOL, "embed", prompted, "a"], capture_output=True, text=True)
    assert run.returncode == 2 and "include_prompt" in run.stderr, run


def token_ids(model):
    features = model.tokenize(SENTENCES)
    rows = zip(features["input_ids"], features["attention_mask"])
    return [ids[mask.bool()].tolist() for ids, mask in rows]


def main():
    with tempfile.TemporaryDirectory() as scratch:
        scratch = Path(scratch)
        directories = {"MiniLM": Path(MINILM)}
        for pooling in POOLINGS:
            name = f"{pooling}, not normalized"
            directories[name] = variant(scratch / pooling, pooling, False)
        models = {
            name: SentenceTransformer(str(path), device="cpu")
            for name, path in directories.items()
        }
        jobs = [
            {
                "kind": "embed",
                "model": str(path),
                "sentences": token_ids(models[name]),
            }
            for name, path in directories.items()
        ]
        assert max(map(len, jobs[0]["sentences"])) == 256
        results = run_probe(PROBE, jobs, scratch)
        for i, (name, model) in enumerate(models.items()):
            assert results[i]["max_length"] == 256, results[i]
            expected = model.encode(SENTENCES, batch_size=len(SENTENCES))
            ours = read_floats(scratch / f"{i}.f32", expected.shape)
            error = numpy.abs(ours - expected).max()
            scale = max(1.0, numpy.abs(expected).max())
            assert error <= BOUND * scale, (name, error, scale)
            print(f"{name}: within {error:.1e}, largest {scale:.2f}")
        check_tools(scratch)


main()
