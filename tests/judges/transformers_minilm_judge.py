"""MiniLM, a real BERT, goes the whole way as int8 weight-only.

usage: transformers_minilm_judge.py MANTISSA MODEL_DIRECTORY
"""

import sys
import tempfile
from pathlib import Path

import torch
import transformers
from sentence_transformers import SentenceTransformer
from torchao.quantization import Int8WeightOnlyConfig

from transformers_support import (
    check_unflatten,
    classes,
    compare_configs,
    compare_files,
    load,
    reference,
    run_tool,
)

MANTISSA, SOURCE = sys.argv[1], Path(sys.argv[2])
TEXTS = [
    "A tool that quantizes model checkpoints.",
    "The weather is fine today.",
    "Quantization makes models smaller.",
]


def hidden(model):
    tokenizer = transformers.AutoTokenizer.from_pretrained(SOURCE)
    batch = tokenizer(TEXTS, return_tensors="pt", padding=True)
    with torch.no_grad():
        return model(**batch).last_hidden_state


def main():
    with tempfile.TemporaryDirectory() as scratch:
        ours, theirs = Path(scratch) / "ours", Path(scratch) / "theirs"
        auto = transformers.AutoModel
        words = [SOURCE, "-c", "int8_weight_only", "-o", ours]
        run_tool(MANTISSA, "quantize", *words)
        reference(SOURCE, Int8WeightOnlyConfig(), theirs, auto)
        # The source holds a buffer that Transformers does not write.
        buffer = ["embeddings.position_ids"]
        count = compare_files(ours, theirs, extra=buffer)
        compare_configs(ours, theirs)
        check_unflatten(ours)
        model, other = load(ours, auto), load(theirs, auto)
        kinds = classes(model)
        assert kinds == classes(other)
        assert kinds["encoder.layer.0.output.dense.weight"] == "Int8Tensor"
        assert kinds["embeddings.word_embeddings.weight"] == "Tensor"
        assert torch.equal(hidden(model), hidden(other))
        before = SentenceTransformer(str(SOURCE)).encode(TEXTS)
        after = SentenceTransformer(str(ours)).encode(TEXTS)
        cosine = (before * after).sum(-1).min()
        assert cosine > 0.99, cosine
        print(f"MiniLM int8: {count} tensors, hidden states equal; sentence "
              f"embeddings from the directory alone, cosine {cosine:.4f}")


main()
