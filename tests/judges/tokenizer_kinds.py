"""Small tokenizers, trained here, one per component that the reader knows.

kinds(TEXT) yields pairs of a name and a tokenizers.Tokenizer.
"""

import json

from tokenizers import (AddedToken, Regex, Tokenizer, decoders, models,
                        normalizers, pre_tokenizers, processors, trainers)

MARK = "\u2581"
LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
          r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
QWEN = LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")
BYTES = [f"<0x{byte:02X}>" for byte in range(256)]
BEHAVIORS = ["removed", "isolated", "merged_with_previous",
             "merged_with_next", "contiguous"]


def edited(tokenizer, change):
    """The tokenizer after a change of its JSON."""
    tree = json.loads(tokenizer.to_str())
    change(tree)
    return Tokenizer.from_str(json.dumps(tree))


def train(text, model, *, normalizer=None, pre=None, decoder=None, size=2000,
          special=("<s>", "</s>"), wordpiece=False, **options):
    tokenizer = Tokenizer(model)
    if normalizer is not None:
        tokenizer.normalizer = normalizer
    if pre is not None:
        tokenizer.pre_tokenizer = pre
    if decoder is not None:
        tokenizer.decoder = decoder
    kind = trainers.WordPieceTrainer if wordpiece else trainers.BpeTrainer
    tokenizer.train_from_iterator(
        text.split("\n"), kind(vocab_size=size, special_tokens=list(special),
                               show_progress=False, **options))
    return tokenizer


def byte_level(text, pre, **options):
    return train(text, models.BPE(), pre=pre, decoder=decoders.ByteLevel(),
                 initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
                 **options)


def split_bytes(regex):
    return pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(regex), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])


def llama3(text):
    tokenizer = byte_level(text, split_bytes(LLAMA3))
    tokenizer.post_processor = processors.Sequence([
        processors.ByteLevel(trim_offsets=False),
        processors.TemplateProcessing(single="<s> $A",
                                      special_tokens=[("<s>", 0)])])
    tree = json.loads(tokenizer.to_str())
    tree["model"]["ignore_merges"] = True
    # A word that no merges make: ignore_merges alone finds it.
    tree["model"]["vocab"]["\u0120Zzyzx"] = len(tree["model"]["vocab"])
    return Tokenizer.from_str(json.dumps(tree))


def fallback(text, **options):
    """BPE with byte tokens, a small alphabet and a fused unknown token."""
    tokenizer = train(text, models.BPE(unk_token="<unk>", fuse_unk=True,
                                       byte_fallback=True),
                      special=["<unk>", "<s>", "</s>", *BYTES],
                      limit_alphabet=70, **options)

    def change(tree):
        tree["added_tokens"] = tree["added_tokens"][:3]
    return edited(tokenizer, change)


def legacy(text, **options):
    return fallback(
        text, normalizer=normalizers.Sequence([
            normalizers.Prepend(MARK), normalizers.Replace(" ", MARK)]),
        decoder=decoders.Sequence([
            decoders.Replace(MARK, " "), decoders.ByteFallback(),
            decoders.Fuse(), decoders.Strip(" ", 1, 0)]), **options)


def metaspace(text, scheme, split):
    return fallback(
        text, pre=pre_tokenizers.Metaspace(prepend_scheme=scheme, split=split),
        decoder=decoders.Sequence([
            decoders.Metaspace(prepend_scheme=scheme),
            decoders.ByteFallback(), decoders.Fuse()]))


def gemma(text):
    return fallback(text, normalizer=normalizers.Replace(" ", MARK),
                    pre=pre_tokenizers.Split(" ", "merged_with_previous"),
                    decoder=decoders.Sequence([
                        decoders.Replace(MARK, " "), decoders.ByteFallback(),
                        decoders.Fuse()]))


def no_bytes(text):
    """Byte tokens are missing, so that unknown characters are unknown."""
    return train(text, models.BPE(unk_token="<unk>"), special=["<unk>"],
                 pre=pre_tokenizers.WhitespaceSplit(), limit_alphabet=60)


def bert(text, **normalizer):
    tokenizer = train(
        text, models.WordPiece(unk_token="[UNK]"), wordpiece=True,
        normalizer=normalizers.BertNormalizer(**normalizer),
        pre=pre_tokenizers.BertPreTokenizer(), decoder=decoders.WordPiece(),
        special=["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"])
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3),
                                                         ("[CLS]", 2))
    return tokenizer


def roberta(text):
    tokenizer = byte_level(text, pre_tokenizers.ByteLevel())
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 1),
                                                            ("<s>", 0))
    return tokenizer


def added(text):
    """Every flag of added tokens, on top of a lowercasing normalizer."""
    tokenizer = byte_level(text, pre_tokenizers.ByteLevel(),
                           normalizer=normalizers.Lowercase())
    tokenizer.add_special_tokens([
        AddedToken("<|end|>", normalized=False),
        AddedToken("<|end|>x", normalized=False),
        AddedToken("<left>", lstrip=True), AddedToken("<right>", rstrip=True),
        AddedToken("<both>", lstrip=True, rstrip=True, normalized=False)])
    tokenizer.add_tokens([
        AddedToken("WORD", single_word=True, normalized=True),
        AddedToken("raw", single_word=True, normalized=False),
        AddedToken("\n\n", normalized=False), AddedToken("YeS")])
    return tokenizer


def suffixed(text):
    return train(text, models.BPE(unk_token="<unk>", end_of_word_suffix="</w>"),
                 special=["<unk>"], pre=pre_tokenizers.Whitespace(),
                 end_of_word_suffix="</w>",
                 decoder=decoders.BPEDecoder(suffix="</w>"))


def prefixed(text):
    return train(text, models.BPE(unk_token="<unk>",
                                  continuing_subword_prefix="##"),
                 special=["<unk>"], pre=pre_tokenizers.Punctuation(),
                 normalizer=normalizers.Strip(),
                 continuing_subword_prefix="##",
                 decoder=decoders.WordPiece(cleanup=False))


def kinds(text):
    yield "gpt2", byte_level(text, pre_tokenizers.ByteLevel(
        add_prefix_space=False))
    yield "smollm", byte_level(text, pre_tokenizers.Sequence([
        pre_tokenizers.Digits(individual_digits=True),
        pre_tokenizers.ByteLevel(add_prefix_space=False)]))
    yield "llama3", llama3(text)
    yield "qwen", byte_level(text, split_bytes(QWEN),
                             normalizer=normalizers.NFC())
    yield "llama2", legacy(text)
    for scheme in ("always", "first", "never"):
        yield f"metaspace {scheme}", metaspace(text, scheme, True)
    yield "metaspace whole", metaspace(text, "first", False)
    yield "gemma", gemma(text)
    yield "no bytes", no_bytes(text)
    yield "bert uncased", bert(text)
    yield "bert cased", bert(text, lowercase=False, strip_accents=False)
    yield "bert accents", bert(text, lowercase=False, strip_accents=True,
                               handle_chinese_chars=False)
    yield "bert unclean", bert(text, clean_text=False)
    yield "roberta", roberta(text)
    yield "added tokens", added(text)
    yield "suffix", suffixed(text)
    yield "prefix", prefixed(text)
    for form in (normalizers.NFD(), normalizers.NFKC(), normalizers.NFKD()):
        name = json.loads(form.__getstate__())["type"]
        yield name, byte_level(text, pre_tokenizers.ByteLevel(), size=400,
                               normalizer=form)
    yield "accents", byte_level(
        text, pre_tokenizers.Digits(), size=400,
        normalizer=normalizers.Sequence([normalizers.NFD(),
                                         normalizers.StripAccents(),
                                         normalizers.Replace(Regex(r"\s+"),
                                                             " ")]))
    yield "byte level normalizer", byte_level(
        text, pre_tokenizers.CharDelimiterSplit("e"), size=400,
        normalizer=normalizers.ByteLevel())
    for behavior in BEHAVIORS:
        yield f"split {behavior}", byte_level(
            text, pre_tokenizers.Sequence([
                pre_tokenizers.Split(Regex(r"[^\W\d_]+|\d{2}(?=\d)"
                                           .replace(r"\W", r"\s")), behavior,
                                     invert=behavior == "contiguous"),
                pre_tokenizers.ByteLevel(add_prefix_space=False,
                                         use_regex=False)]), size=400)
