"""Our tokenizers against the wheel `tokenizers`: equal ids, equal decode.

usage: tokenizer_judge.py PROBE GGUF_PROBE SMOLLM2.gguf MINILM_DIRECTORY

On wikitext-2's test text and on hard cases, for the tokenizers of two real
models (skipped where they are missing) and for small ones trained here, one per
component (tokenizer_kinds.py). A SentencePiece model is written here; what it
must give is the wheel's BPE with the merges that follow from its scores. The
same vocabulary in a GGUF, which the wheel `gguf` writes, must give what
Transformers makes of it.
"""

import json
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

from gguf_scores import of_transformers, scored, write_gguf
from tokenizer_kinds import MARK, kinds, legacy
from tokenizers import Tokenizer, decoders, normalizers, processors
from transformers import AutoTokenizer

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
MORE_CASES = [
    "", " ", "  ", "\n", "a", "\u00e9", "e\u0301", "\u0301", "\u180e",
    "a\u180eb \u180e c", "\u1e9b\u0323", "\ufdfa", "\u2126\u212b", "1/2 \u00bd",
    "\u2460\u24b6", "\u4f60\u597d\u4e16\u754c", "\u4f60 \u597d", "\uac00\u1100\u1161",
    "\U0001f468\u200d\U0001f469\u200d\U0001f467", "\U0001f600\U0001f601",
    "\U0001f1e9\U0001f1ea", "a" * 300, " " * 300, "\n" * 50 + " " * 20 + "x",
    "\t\r\n\x0b\x0c\x85\xa0\u2028\u3000", "".join(map(chr, range(1, 128))),
    "".join(map(chr, range(0x80, 0x180))), "\x00\x01\x7f", "\ufffd\ufeff\u200b",
    "I'll I'LL we'Re 'S \u017f", "don't  do not , . ? ! ' n't", "123456789",
    "\u0661\u0662\u0663 \u2167 \u00b2", "\u0130stanbul \u0131", "\u03a3\u03c2 \u1e9e",
    "x_y-z  <s> a </s>b", "a<|end|>x<|end|> <left>b  <left>  c <right>  d",
    "  <both>  \n\n<both>WORD words WORD.raw raw_ YeS yes YES\n\n\n",
    MARK + " a" + MARK, "a  b   c", "Zzyzx  Zzyzx", "\ue000\U000f0000\u0378",
    "<0x41><0xFF>", "##a [CLS] [MASK]", "\u0e01\u0e33 \u0915\u094d\u0937",
]


def texts():
    cases = json.loads((GOLDEN / "tokenizer" / "hard_cases.json").read_text())
    rows = (GOLDEN / "wikitext-2" / "test.txt").read_bytes().decode()
    rows = rows.split("\n")
    parts = ["\n".join(rows[i:i + 200]) for i in range(0, len(rows), 200)]
    return [*cases.values(), *MORE_CASES], parts


def ask(probe, kind, path, asked):
    folder = Path(path).parent
    (folder / "texts.json").write_text(json.dumps(asked))
    subprocess.run([probe, kind, path, folder / "texts.json",
                    folder / "out.json"], check=True)
    return json.loads((folder / "out.json").read_text())


def compare(name, found, wheel, asked, tolerant=()):
    wheel.no_truncation()
    wheel.no_padding()
    count = 0
    for text, ours in zip(asked, found["answers"], strict=True):
        wheel.encode_special_tokens = False
        ids = wheel.encode(text, add_special_tokens=False).ids
        with_special = wheel.encode(text).ids
        wheel.encode_special_tokens = True
        plain = wheel.encode(text, add_special_tokens=False).ids
        wheel.encode_special_tokens = False
        theirs = {"ids": ids, "special": with_special, "plain": plain,
                  "decoded": wheel.decode(ids),
                  "kept": wheel.decode(ids, skip_special_tokens=False)}
        for key, value in theirs.items():
            assert ours[key] == value, (name, key, text[:200], ours[key][:60],
                                        value[:60])
        if "\ufffd" not in ours["decoded"] and "streamed" not in tolerant:
            assert ours["streamed"] == ours["decoded"], (
                name, text[:200], ours["streamed"][:200])
        count += len(ids)
    print(f"{name}: {len(asked)} texts, {count} ids equal", flush=True)


def judge_file(probe, folder, name, wheel, asked):
    path = Path(folder) / "tokenizer.json"
    wheel.save(str(path))
    found = ask(probe, "json", path, asked)
    assert found["size"] == wheel.get_vocab_size(), (name, found["size"])
    compare(name, found, wheel, asked)


def varint(number):
    out = b""
    while number >= 0x80:
        out += bytes([number & 0x7f | 0x80])
        number >>= 7
    return out + bytes([number])


def message(number, payload):
    return varint(number << 3 | 2) + varint(len(payload)) + payload


def sentencepiece(pieces):
    """ModelProto of (text, score, type)."""
    out = b""
    for text, score, kind in pieces:
        body = message(1, text.encode()) + b"\x15" + struct.pack("<f", score)
        out += message(1, body + b"\x18" + varint(kind))
    trainer = b"\x18\x02"  # model_type BPE
    normalizer = message(1, b"identity") + b"\x18\x01\x20\x00\x28\x01"
    return out + message(2, trainer) + message(3, normalizer)


def judge_scores(probe, folder, tree, asked):
    pieces = scored(tree)
    path = Path(folder) / "tokenizer.model"
    path.write_bytes(sentencepiece(pieces))
    scores = {token: score for token, score, kind in pieces if kind == 1}
    merges = [(-scores[token], token[:cut], token[cut:])
              for token in scores for cut in range(1, len(token))
              if token[:cut] in scores and token[cut:] in scores]
    merges.sort(key=lambda merge: merge[0])
    tree["model"]["merges"] = [[left, right] for _, left, right in merges]
    tree["post_processor"] = {
        "type": "TemplateProcessing",
        "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}},
                   {"Sequence": {"id": "A", "type_id": 0}}],
        "pair": [{"Sequence": {"id": "A", "type_id": 0}},
                 {"Sequence": {"id": "B", "type_id": 1}}],
        "special_tokens": {"<s>": {"id": "<s>", "ids": [1],
                                   "tokens": ["<s>"]}}}
    found = ask(probe, "spm", path, asked)
    assert (found["bos"], found["eos"], found["adds_bos"]) == (1, 2, True)
    compare("sentencepiece", found, Tokenizer.from_str(json.dumps(tree)), asked)


def judge_gguf_scores(probe, gguf_probe, folder, tree, hard, parts):
    pieces = scored(tree) + [("<|user|>", 0.0, 4), ("old", -1e6, 5)]
    path = Path(folder) / "scores.gguf"
    write_gguf(path, pieces)
    directory = Path(folder) / "scores"
    subprocess.run([gguf_probe, "texts", path, directory], check=True)
    hard = [*hard, "a<|user|> b</s>c", "<|user|><|user|>x old  old"]
    asked = hard + parts
    found = ask(probe, "json", directory / "tokenizer.json", asked)
    assert (found["bos"], found["eos"], found["adds_bos"]) == (1, 2, True)
    compare("GGUF with scores", found, of_transformers(path), asked)
    # What Transformers loads from the directory that a conversion writes.
    auto = AutoTokenizer.from_pretrained(directory)
    assert (auto.unk_token_id, auto.bos_token_id, auto.eos_token_id) == (0, 1, 2)
    for text, answer in zip(hard, found["answers"]):
        assert auto(text).input_ids == answer["special"], text
    write_gguf(path, pieces, add_space_prefix=False, add_bos_token=False,
               add_eos_token=True)
    subprocess.run([gguf_probe, "texts", path, directory], check=True)
    found = ask(probe, "json", directory / "tokenizer.json", hard)
    assert not found["adds_bos"]
    wheel = of_transformers(path)
    wheel.normalizer = normalizers.Replace(" ", MARK)
    wheel.decoder = decoders.Sequence([
        decoders.Replace(MARK, " "), decoders.ByteFallback(), decoders.Fuse()])
    wheel.post_processor = processors.TemplateProcessing(
        single="$A </s>", special_tokens=[("</s>", 2)])
    compare("GGUF without prefix", found, wheel, hard)


def judge_smollm(probe, gguf_probe, gguf, folder, asked):
    directory = Path(folder) / "smollm2"
    subprocess.run([gguf_probe, "texts", gguf, directory], check=True)
    path = directory / "tokenizer.json"
    found = ask(probe, "json", path, asked)
    assert (found["bos"], found["eos"], found["adds_bos"]) == (1, 2, False)
    compare("SmolLM2", found, Tokenizer.from_file(str(path)), asked)


def judge_minilm(probe, directory, folder, asked):
    copy = Path(folder) / "minilm"
    copy.mkdir()
    path = copy / "tokenizer.json"
    path.write_bytes((Path(directory) / "tokenizer.json").read_bytes())
    compare("MiniLM", ask(probe, "json", path, asked),
            Tokenizer.from_file(str(path)), asked)


def main():
    probe, gguf_probe, gguf, minilm = sys.argv[1:]
    hard, parts = texts()
    training = "\n".join(parts[:6])
    with tempfile.TemporaryDirectory() as folder:
        for name, wheel in kinds(training):
            judge_file(probe, folder, name, wheel, hard + parts[-6:])
        tree = json.loads(legacy(training).to_str())
        judge_scores(probe, folder, tree, hard + parts[-6:])
        # SentencePiece, and ours, make no special token of plain text, which
        # Transformers does: no token here leads to one.
        tree = json.loads(legacy(training.replace("<unk>", "")).to_str())
        judge_gguf_scores(probe, gguf_probe, folder, tree, hard, parts[-6:])
        if not Path(gguf).exists():
            print("real models: not there (tools/setup.sh --models)")
            return
        judge_smollm(probe, gguf_probe, gguf, folder, hard + parts)
        judge_minilm(probe, minilm, folder, hard + parts)


main()
