"""Sentence embeddings against sentence-transformers, within 1e-5.

MiniLM as it is, and with the other poolings and without normalization, in
batches of sentences of different lengths; token ids are sentence-transformers'
own.

usage: sentence_encoder_judge.py PROBE MINILM
"""

import json
import sys
import tempfile
from pathlib import Path

import numpy
from sentence_transformers import SentenceTransformer

from models_support import read_floats, run_probe

PROBE, MINILM = sys.argv[1:3]
BOUND = 1e-5
SENTENCES = [
    "A cat sits on the mat.",
    "Numerics",
    "Low precision makes large models small: int8, int4, float8 and others.",
    "the quick brown fox " * 90,  # longer than max_seq_length
    "\u00dcber 20 \u20ac kostet das, oder?",
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


main()
