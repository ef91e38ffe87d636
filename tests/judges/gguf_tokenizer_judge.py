"""The tokenizer.json made from a GGUF against llama.cpp's ids, and Qwen's
against those of Transformers' class for it.

usage: gguf_tokenizer_judge.py PROBE GGUF
       gguf_tokenizer_judge.py PROBE GGUF --directory DIRECTORY

llama.cpp's ids are fixtures (tests/golden/manifest.md says how they were made).
They are compared with those of the tokenizers wheel, and of the class that
AutoTokenizer picks, on our files: every hard case id by id, wikitext-2's test
text by a hash of the ids of each 100 lines. The vocabulary is also given the
names of the other known pre-tokenizers. DIRECTORY is what a conversion wrote;
else the files are made here.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import gguf
import numpy as np
from tokenizers import Tokenizer
from transformers import AutoTokenizer, Qwen2Tokenizer

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
LINES = 100
FIXTURES = {"smollm": "smollm2", "gpt-2": "smollm2_as_gpt-2",
            "llama-bpe": "smollm2_as_llama-bpe"}


def parts_of_text():
    rows = (GOLDEN / "wikitext-2" / "test.txt").read_bytes().decode()
    rows = rows.split("\n")
    for start in range(0, len(rows), LINES):
        yield "\n".join(rows[start:start + LINES])


def hashes(probe, folder, encoded):
    path = Path(folder) / "ids.bin"
    with open(path, "wb") as file:
        for ids in encoded:
            np.array([len(ids), *ids], "<u4").tofile(file)
    return subprocess.run([probe, "xxh3", path], check=True, text=True,
                          capture_output=True).stdout


def judge(probe, folder, directory, fixture):
    cases = json.loads(
        (GOLDEN / "tokenizer" / "hard_cases.json").read_text())
    expected = json.loads(
        (GOLDEN / "tokenizer" / f"{fixture}_hard_cases.json").read_text())
    assert cases.keys() == expected.keys()
    bare = Tokenizer.from_file(str(directory / "tokenizer.json"))
    auto = AutoTokenizer.from_pretrained(directory)
    for name, text in cases.items():
        for ids in (bare.encode(text, add_special_tokens=False).ids,
                    auto(text, add_special_tokens=False).input_ids):
            assert ids == expected[name], (name, ids, expected[name])
    parts = list(parts_of_text())
    wanted = (GOLDEN / "tokenizer" / f"{fixture}_wikitext.txt").read_text()
    encoded = [e.ids for e in bare.encode_batch(parts, add_special_tokens=False)]
    found = hashes(probe, folder, encoded)
    assert found == wanted, [
        (i, a, b) for i, (a, b)
        in enumerate(zip(found.split("\n"), wanted.split("\n"))) if a != b]
    again = [auto(part, add_special_tokens=False).input_ids
             for part in parts[:5]]
    assert again == encoded[:5]
    total = sum(map(len, encoded))
    print(f"{fixture}: {len(cases)} hard cases and {total} ids of wikitext-2 "
          "equal llama.cpp's")


def judge_qwen(directory):
    """Ids of Transformers' own class with the same vocabulary and merges."""
    tree = json.loads((directory / "tokenizer.json").read_text())["model"]
    merges = [tuple(merge.split(" ")) for merge in tree["merges"]]
    theirs = Qwen2Tokenizer(tree["vocab"], merges).backend_tokenizer
    theirs.encode_special_tokens = True
    ours = Tokenizer.from_file(str(directory / "tokenizer.json"))
    ours.encode_special_tokens = True
    auto = AutoTokenizer.from_pretrained(directory)
    cases = json.loads((GOLDEN / "tokenizer" / "hard_cases.json").read_text())
    composed = "e\u0301 = \u00e9, 12345 67\n\n  x"
    texts = [composed, *cases.values(), *parts_of_text()]
    total = 0
    for text in texts:
        expected = theirs.encode(text, add_special_tokens=False).ids
        assert ours.encode(text, add_special_tokens=False).ids == expected, text
        total += len(expected)
    plain = theirs.encode(composed, add_special_tokens=False).ids
    assert auto(composed, add_special_tokens=False).input_ids == plain
    print(f"qwen2: {len(texts)} texts, {total} ids equal those of "
          "Transformers' class")


def rename_pre(source, pre, target):
    """A copy of the file with another tokenizer.ggml.pre; no weights change."""
    reader = gguf.GGUFReader(source)
    writer = gguf.GGUFWriter(target, "llama")
    for key, field in reader.fields.items():
        if key.startswith("GGUF.") or key == "general.architecture":
            continue
        kind = field.types[0]
        sub = field.types[-1] if kind == gguf.GGUFValueType.ARRAY else None
        value = pre if key == "tokenizer.ggml.pre" else field.contents()
        writer.add_key_value(key, value, kind, sub_type=sub)
    for tensor in reader.tensors:
        writer.add_tensor(tensor.name, tensor.data,
                          raw_dtype=tensor.tensor_type)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def check_config(directory):
    config = json.loads((directory / "tokenizer_config.json").read_text())
    tokenizer = AutoTokenizer.from_pretrained(directory)
    assert tokenizer.bos_token_id == 1 and tokenizer.eos_token_id == 2
    assert tokenizer.pad_token_id == 2 and tokenizer.unk_token_id == 0
    assert tokenizer.chat_template == config["chat_template"]
    chat = [{"role": "user", "content": "Hi"}]
    text = tokenizer.apply_chat_template(chat, tokenize=False,
                                         add_generation_prompt=True)
    assert text.endswith("<|im_start|>user\nHi<|im_end|>\n"
                         "<|im_start|>assistant\n"), text
    assert tokenizer.decode(tokenizer("Hi <|im_end|>").input_ids,
                            skip_special_tokens=True) == "Hi "


def main():
    probe, source = sys.argv[1], Path(sys.argv[2])
    if not source.exists():
        print(f"skipped: no {source} (tools/setup.sh --models)")
        sys.exit(77)
    with tempfile.TemporaryDirectory() as folder:
        if len(sys.argv) > 3:
            judge(probe, folder, Path(sys.argv[4]), FIXTURES["smollm"])
            check_config(Path(sys.argv[4]))
            return
        for pre, fixture in {**FIXTURES, "qwen2": None}.items():
            renamed = source
            if pre != "smollm":
                renamed = Path(folder) / f"{pre}.gguf"
                rename_pre(source, pre, renamed)
            directory = Path(folder) / pre
            subprocess.run([probe, "texts", renamed, directory], check=True)
            if fixture is None:
                judge_qwen(directory)
                continue
            judge(probe, folder, directory, fixture)
            if pre == "smollm":
                check_config(directory)


main()
