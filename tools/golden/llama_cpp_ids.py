"""Token ids of llama.cpp for the tokenizer fixtures.

usage: llama_cpp_ids.py GGUF NAME [PRE]

Needs `pip install llama_cpp_python==0.3.36 xxhash gguf numpy`. Writes, under
tests/golden/tokenizer, NAME_hard_cases.json (ids of every text of
hard_cases.json) and NAME_wikitext.txt (one line per 100 lines of
wikitext-2/test.txt: number of ids and XXH3 of them as 32-bit little-endian
numbers). With PRE the vocabulary is that of GGUF, but tokenizer.ggml.pre is
PRE: how other pre-tokenizers are judged without their models.
"""

import ctypes
import json
import sys
import tempfile
from pathlib import Path

import gguf
import llama_cpp
import numpy as np
import xxhash

GOLDEN = Path(__file__).resolve().parents[2] / "tests" / "golden"
LINES = 100


def with_pre(source, pre, target):
    """A vocabulary-only copy of `source` with another pre-tokenizer."""
    reader = gguf.GGUFReader(source)
    writer = gguf.GGUFWriter(target, "llama")
    for key, field in reader.fields.items():
        if key.startswith("GGUF.") or key == "general.architecture":
            continue
        value = pre if key == "tokenizer.ggml.pre" else field.contents()
        kind = field.types[0]
        sub = field.types[-1] if kind == gguf.GGUFValueType.ARRAY else None
        writer.add_key_value(key, value, kind, sub_type=sub)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


class Vocabulary:
    def __init__(self, path):
        llama_cpp.llama_backend_init()
        parameters = llama_cpp.llama_model_default_params()
        parameters.vocab_only = True
        self.model = llama_cpp.llama_model_load_from_file(
            str(path).encode(), parameters)
        assert self.model, path
        self.vocab = llama_cpp.llama_model_get_vocab(self.model)

    def ids(self, text):
        raw = text.encode()
        out = (llama_cpp.llama_token * (len(raw) + 8))()
        # No BOS or EOS; special tokens in the text are recognized.
        count = llama_cpp.llama_tokenize(
            self.vocab, ctypes.c_char_p(raw), len(raw), out, len(out), False,
            True)
        assert count >= 0, count
        return list(out[:count])


def main():
    source, name = sys.argv[1:3]
    with tempfile.TemporaryDirectory() as folder:
        if len(sys.argv) > 3:
            target = Path(folder) / "vocabulary.gguf"
            with_pre(source, sys.argv[3], target)
            source = target
        vocabulary = Vocabulary(source)
    folder = GOLDEN / "tokenizer"
    cases = json.loads((folder / "hard_cases.json").read_text())
    ids = {case: vocabulary.ids(text) for case, text in cases.items()}
    lines = [f' "{case}": {json.dumps(found)}' for case, found in ids.items()]
    (folder / f"{name}_hard_cases.json").write_text(
        "{\n" + ",\n".join(lines) + "\n}\n")
    text = (GOLDEN / "wikitext-2" / "test.txt").read_bytes().decode()
    rows = text.split("\n")
    total, hashes = 0, []
    for start in range(0, len(rows), LINES):
        found = vocabulary.ids("\n".join(rows[start:start + LINES]))
        digest = xxhash.xxh3_64_hexdigest(np.array(found, "<u4").tobytes())
        hashes.append(f"{len(found)} {digest}\n")
        total += len(found)
    (folder / f"{name}_wikitext.txt").write_text("".join(hashes))
    print(f"{len(ids)} hard cases, {total} ids in {len(hashes)} parts")


main()
